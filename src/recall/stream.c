/* SPDX-License-Identifier: Apache-2.0 */
#include "recall/shelf.h"

#include "recall/dot.h"
#include "recall/grow.h"
#include "recall/rank.h"
#include "recall/vecs.h"

#define AROUND 5 /* a record and its neighbours */

/* A record that may still be somebody's neighbour. */
struct recent {
    struct mf_buf session;
    void *row; /* of the request's size and space; see has_vector */
    struct mf_vec vec;
    bool has_vector;
};

/* What is kept of each record of a kind besides its columns. */
struct numbers {
    float *d, *inv_r;
    uint8_t *hidden;
    size_t cap_d, cap_inv_r, cap_hidden;
};

struct hit {
    uint32_t at;
    uint8_t kind, count;
};

/* The records that hold one term of the question. */
struct found {
    struct hit *hits;
    size_t n, cap;
};

struct mf_stream {
    struct mf_scan_request r;
    struct mf_dot_query q;
    bool wants_vectors;
    size_t row_bytes; /* of the larger form */
    struct mf_cols cols[MF_KIND_COUNT];
    struct numbers numbers[MF_KIND_COUNT];
    struct found *found;          /* of each term */
    struct recent recent[AROUND]; /* messages, by place modulo AROUND */
};

static int alloc_rows(struct mf_stream *st)
{
    st->row_bytes = mf_dot_row_bytes(st->r.dim, true);
    for (size_t i = 0; i < AROUND; i++) {
        st->recent[i].row = mf_aligned(MF_DOT_ALIGN, st->row_bytes + MF_DOT_ALIGN);
        if (st->recent[i].row == NULL) {
            return MF_ENOMEM;
        }
    }
    return mf_dot_query_init(&st->q, st->r.vector, st->r.dim);
}

int mf_stream_new(struct mf_stream **out, const struct mf_scan_request *r)
{
    struct mf_stream *st = mf_calloc(1, sizeof(*st));
    int rc = 0;

    if (st == NULL) {
        return MF_ENOMEM;
    }
    st->r = *r;
    st->wants_vectors = mf_rank_wants_vectors(r);
    st->found = mf_calloc(r->question->n_terms + 1, sizeof(*st->found));
    if (st->found == NULL) {
        rc = MF_ENOMEM;
    } else if (st->wants_vectors) {
        rc = alloc_rows(st);
    }
    if (rc < 0) {
        mf_stream_free(st);
        return rc;
    }
    *out = st;
    return 0;
}

void mf_stream_free(struct mf_stream *st)
{
    if (st == NULL) {
        return;
    }
    for (size_t i = 0; i < AROUND; i++) {
        mf_buf_fini(&st->recent[i].session);
        mf_aligned_free(st->recent[i].row);
    }
    for (size_t kind = 0; kind < MF_KIND_COUNT; kind++) {
        mf_cols_fini(&st->cols[kind]);
        mf_free(st->numbers[kind].d);
        mf_free(st->numbers[kind].inv_r);
        mf_free(st->numbers[kind].hidden);
    }
    for (size_t i = 0; st->found != NULL && i < st->r.question->n_terms; i++) {
        mf_free(st->found[i].hits);
    }
    mf_free(st->found);
    mf_dot_query_fini(&st->q);
    mf_free(st);
}

/* --- neighbours --- */

static struct recent *recent_at(struct mf_stream *st, size_t at)
{
    return &st->recent[at % AROUND];
}

static bool is_same_session(struct mf_stream *st, size_t a, size_t b)
{
    const struct mf_buf *x = &recent_at(st, a)->session;
    const struct mf_buf *y = &recent_at(st, b)->session;

    return mf_slice_eq(mf_slice_of(x->p, x->n), mf_slice_of(y->p, y->n));
}

static void link_near(struct mf_stream *st, size_t at)
{
    uint8_t *near = st->cols[MF_KIND_MESSAGE].near;

    if (at >= 1 && is_same_session(st, at, at - 1)) {
        near[at] |= MF_NEAR_BEFORE_1;
        near[at - 1] |= MF_NEAR_AFTER_1;
    }
    if (at >= 2 && is_same_session(st, at, at - 2)) {
        near[at] |= MF_NEAR_BEFORE_2;
        near[at - 2] |= MF_NEAR_AFTER_2;
    }
}

static struct mf_vec vec_at(struct mf_stream *st, size_t at)
{
    const struct recent *x = recent_at(st, at);

    return x->has_vector ? x->vec : (struct mf_vec){0};
}

/* When both records after it are known, or never will be. */
static void settle(struct mf_stream *st, size_t at)
{
    uint8_t near = st->cols[MF_KIND_MESSAGE].near[at];
    struct mf_vec around[AROUND] = {[2] = vec_at(st, at)};

    if (around[2].row == NULL) {
        return;
    }
    if ((near & MF_NEAR_BEFORE_2) != 0) {
        around[0] = vec_at(st, at - 2);
    }
    if ((near & MF_NEAR_BEFORE_1) != 0) {
        around[1] = vec_at(st, at - 1);
    }
    if ((near & MF_NEAR_AFTER_1) != 0) {
        around[3] = vec_at(st, at + 1);
    }
    if ((near & MF_NEAR_AFTER_2) != 0) {
        around[4] = vec_at(st, at + 2);
    }
    st->numbers[MF_KIND_MESSAGE].inv_r[at] =
        mf_smooth_inv_r(around, st->r.weights->a1, st->r.weights->a2);
}

/* --- one record --- */

static bool is_of_space(const struct mf_stream *st, const struct mf_search_view *v)
{
    return st->wants_vectors && v->dim > 0 && v->dim == st->r.dim &&
           v->space == st->r.space;
}

static float take_vector(struct mf_stream *st, struct recent *x,
                         const struct mf_search_view *v)
{
    bool is_f32 = (v->flags & MF_SEARCH_F32) != 0;
    int64_t sum;
    float d;

    x->has_vector = is_of_space(st, v);
    if (!x->has_vector) {
        return 0;
    }
    mf_vec_write(x->row, mf_dot_row_bytes(v->dim, is_f32), v);
    x->vec = (struct mf_vec){x->row, is_f32 ? 1 : v->scale, is_f32, v->dim};
    if (is_f32) {
        mf_dot()->rows_f32(x->row, 1, &st->q, &d);
        return d;
    }
    mf_dot()->rows_i8(x->row, 1, &st->q, &sum);
    return mf_dot_value(&st->q, sum, v->scale);
}

static int reserve(struct mf_stream *st, enum mf_kind kind)
{
    struct numbers *x = &st->numbers[kind];
    size_t need = st->cols[kind].n + 1;

    if (mf_cols_reserve(&st->cols[kind], 1) < 0 ||
        mf_grow_array(&x->d, &x->cap_d, need, sizeof(*x->d)) < 0 ||
        mf_grow_array(&x->inv_r, &x->cap_inv_r, need, sizeof(*x->inv_r)) < 0 ||
        mf_grow_array(&x->hidden, &x->cap_hidden, need, 1) < 0) {
        return MF_ENOMEM;
    }
    return 0;
}

/* The count of a term in a record, whose hashes ascend. */
static uint8_t count_of(const struct mf_search_view *v, uint32_t hash)
{
    size_t lo = 0;
    size_t hi = v->n_distinct;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        uint32_t x = mf_get_u32(v->hashes + 4 * mid);

        if (x == hash) {
            return v->counts[mid];
        }
        if (x < hash) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return 0;
}

static int take_terms(struct mf_stream *st, const struct mf_search_view *v, size_t at)
{
    size_t n_terms = mf_rank_wants_keywords(&st->r) ? st->r.question->n_terms : 0;

    for (size_t i = 0; i < n_terms; i++) {
        struct found *f = &st->found[i];
        uint8_t count = count_of(v, st->r.question->terms[i]);

        if (count == 0) {
            continue;
        }
        if (mf_grow_array(&f->hits, &f->cap, f->n + 1, sizeof(*f->hits)) < 0) {
            return MF_ENOMEM;
        }
        f->hits[f->n++] = (struct hit){(uint32_t)at, (uint8_t)mf_kind_of(v), count};
    }
    return 0;
}

static int remember_session(struct recent *x, struct mf_slice session)
{
    mf_buf_reset(&x->session);
    mf_buf_add_slice(&x->session, session);
    return mf_buf_status(&x->session);
}

static int take_message(struct mf_stream *st, const struct mf_shelf_row *row,
                        const struct mf_search_view *v, size_t at)
{
    struct recent *x = recent_at(st, at);

    if (remember_session(x, row->session_id) < 0) {
        return MF_ENOMEM;
    }
    st->numbers[MF_KIND_MESSAGE].d[at] = take_vector(st, x, v);
    link_near(st, at);
    if (at >= 2) {
        settle(st, at - 2);
    }
    return 0;
}

/* Knowledge has no neighbours: a place among the recent is lent and given back empty.
 */
static void take_knowledge(struct mf_stream *st, const struct mf_search_view *v,
                           size_t at)
{
    struct numbers *x = &st->numbers[MF_KIND_KNOWLEDGE];
    struct recent *spare = recent_at(st, st->cols[MF_KIND_MESSAGE].n);
    struct mf_vec around[AROUND] = {0};

    x->d[at] = take_vector(st, spare, v);
    if (spare->has_vector) {
        around[2] = spare->vec;
        x->inv_r[at] = mf_smooth_inv_r(around, 0, 0);
    }
    spare->has_vector = false;
}

static int feed_one(struct mf_stream *st, const struct mf_shelf_row *row)
{
    struct mf_search_view v;
    int rc = mf_search_view(row->rec, &v);
    enum mf_kind kind;
    struct mf_cols *c;
    size_t at;

    if (rc < 0) {
        return rc;
    }
    kind = mf_kind_of(&v);
    c = &st->cols[kind];
    at = c->n;
    if (at > 0 && row->seq <= c->seq[at - 1]) {
        return MF_EINVAL;
    }
    if (reserve(st, kind) < 0 || take_terms(st, &v, at) < 0) {
        return MF_ENOMEM;
    }
    mf_cols_insert(c, at, row->seq, &v);
    st->numbers[kind].d[at] = 0;
    st->numbers[kind].inv_r[at] = 0;
    st->numbers[kind].hidden[at] =
        !mf_rank_is_of_agent(kind, row->agent_id, st->r.agent_id);
    if (kind == MF_KIND_KNOWLEDGE) {
        take_knowledge(st, &v, at);
        return 0;
    }
    return take_message(st, row, &v, at);
}

int mf_stream_feed(struct mf_stream *st, const struct mf_shelf_row *rows, size_t n)
{
    int result = 0;

    for (size_t i = 0; i < n; i++) {
        int rc = feed_one(st, &rows[i]);

        if (rc < 0 && rc != MF_ECORRUPT) {
            return rc;
        }
        result = rc < 0 ? rc : result;
    }
    return result;
}

static void copy_numbers(const struct mf_stream *st, struct mf_rank *rank)
{
    for (size_t kind = 0; kind < MF_KIND_COUNT; kind++) {
        const struct numbers *x = &st->numbers[kind];
        size_t first = mf_rank_first(rank, (enum mf_kind)kind);
        size_t n = st->cols[kind].n;

        if (n > 0) {
            memcpy(rank->d + first, x->d, n * sizeof(*x->d));
            memcpy(rank->inv_r + first, x->inv_r, n * sizeof(*x->inv_r));
            memcpy(rank->hidden + first, x->hidden, n);
        }
    }
}

static void count_hits(const struct mf_stream *st, struct mf_rank *rank)
{
    for (size_t i = 0; i < st->r.question->n_terms; i++) {
        const struct found *f = &st->found[i];
        double idf = mf_rank_idf(rank, f->n);

        for (size_t k = 0; k < f->n; k++) {
            const struct hit *h = &f->hits[k];
            size_t first = mf_rank_first(rank, (enum mf_kind)h->kind);

            mf_rank_hit(rank, first + h->at, st->cols[h->kind].n_terms[h->at], idf,
                        h->count);
        }
    }
}

int mf_stream_finish(struct mf_stream *st, struct mf_scan_hit *hits, size_t *n_hits)
{
    size_t n = st->cols[MF_KIND_MESSAGE].n;
    struct mf_rank rank;
    int rc = mf_rank_init(&rank, &st->r, st->cols);

    *n_hits = 0;
    if (rc < 0) {
        return rc;
    }
    for (size_t at = n < 2 ? 0 : n - 2; at < n; at++) {
        settle(st, at);
    }
    copy_numbers(st, &rank);
    count_hits(st, &rank);
    rc = mf_rank_finish(&rank, hits, n_hits);
    mf_rank_fini(&rank);
    return rc;
}
