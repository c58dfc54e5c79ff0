/* SPDX-License-Identifier: Apache-2.0 */
#include "recall/shelf_in.h"

#include "recall/grow.h"

#define MAX_SETS UINT16_MAX

/* What a record needs besides its place; all of it had before anything changes. */
struct content {
    const struct mf_search_view *v;
    uint32_t *terms;
    uint16_t set;
};

struct mf_shelf *mf_shelf_new(const struct mf_recall_weights *weights)
{
    struct mf_shelf *s = mf_calloc(1, sizeof(*s));

    if (s == NULL) {
        return NULL;
    }
    s->weights = *weights;
    mf_postings_init(&s->postings);
    mf_sessions_init(&s->sessions);
    mf_list_init(&s->line);
    mf_list_init(&s->waiters);
    return s;
}

void mf_shelf_free(struct mf_shelf *s)
{
    if (s == NULL) {
        return;
    }
    MF_ASSERT(s->n_lent == 0 && mf_list_is_empty(&s->waiters));
    for (struct mf_link *k; (k = mf_list_pop_head(&s->line)) != NULL;) {
        mf_free(k);
    }
    for (size_t i = 0; i < s->n_recs; i++) {
        mf_free(s->recs[i].terms);
    }
    for (size_t i = 0; i < s->n_sets; i++) {
        mf_vecs_fini(&s->sets[i]);
    }
    mf_cols_fini(&s->cols[MF_KIND_MESSAGE]);
    mf_cols_fini(&s->cols[MF_KIND_KNOWLEDGE]);
    mf_postings_fini(&s->postings);
    mf_sessions_fini(&s->sessions);
    mf_free(s->sets);
    mf_free(s->recs);
    mf_free(s->free_recs);
    mf_free(s);
}

struct shelf_rec *mf_shelf_find(const struct mf_shelf *s, uint64_t seq)
{
    for (size_t kind = 0; kind < MF_KIND_COUNT; kind++) {
        const struct mf_cols *c = &s->cols[kind];
        size_t at = mf_cols_place(c, seq);

        if (at < c->n && c->seq[at] == seq) {
            return &s->recs[c->rec[at]];
        }
    }
    return NULL;
}

/* --- r and neighbours --- */

static struct mf_vec vec_at(const struct mf_shelf *s, size_t at,
                            const struct mf_vecs *like)
{
    const struct shelf_rec *rec = &s->recs[s->cols[MF_KIND_MESSAGE].rec[at]];
    const struct mf_vecs *set;

    if (rec->row == MF_VECS_NONE) {
        return (struct mf_vec){0};
    }
    set = &s->sets[rec->set];
    if (set->space != like->space || set->dim != like->dim) {
        return (struct mf_vec){0};
    }
    return mf_vecs_get(set, rec->row);
}

/* Among neighbours of the record's own vector space: a scan for that space finds r as
 * if the others were not there yet. */
static void refresh_one(struct mf_shelf *s, enum mf_kind kind, size_t at)
{
    struct mf_cols *c = &s->cols[kind];
    const struct shelf_rec *rec = &s->recs[c->rec[at]];
    uint8_t near = kind == MF_KIND_MESSAGE ? mf_cols_near(c, at) : 0;
    struct mf_vec around[5] = {0};
    struct mf_vecs *set;

    c->near[at] = near;
    if (rec->row == MF_VECS_NONE) {
        return;
    }
    set = &s->sets[rec->set];
    around[2] = mf_vecs_get(set, rec->row);
    if ((near & MF_NEAR_BEFORE_2) != 0) {
        around[0] = vec_at(s, at - 2, set);
    }
    if ((near & MF_NEAR_BEFORE_1) != 0) {
        around[1] = vec_at(s, at - 1, set);
    }
    if ((near & MF_NEAR_AFTER_1) != 0) {
        around[3] = vec_at(s, at + 1, set);
    }
    if ((near & MF_NEAR_AFTER_2) != 0) {
        around[4] = vec_at(s, at + 2, set);
    }
    set->inv_r[rec->row] = mf_smooth_inv_r(around, s->weights.a1, s->weights.a2);
}

/* The record at `at` and those within two. */
static void refresh(struct mf_shelf *s, enum mf_kind kind, size_t at)
{
    size_t last = mf_min(at + 3, s->cols[kind].n);

    for (size_t i = at < 2 ? 0 : at - 2; i < last; i++) {
        refresh_one(s, kind, i);
    }
}

/* Tells the records from `at` on where they stand now. */
static void renumber(struct mf_shelf *s, enum mf_kind kind, size_t at)
{
    const struct mf_cols *c = &s->cols[kind];

    for (size_t i = at; i < c->n; i++) {
        s->recs[c->rec[i]].at = (uint32_t)i;
    }
}

/* --- contents: terms and vector --- */

/* The set for such vectors, else an empty one, else a place for a new one. */
static size_t find_set(const struct mf_shelf *s, const struct mf_search_view *v)
{
    bool is_f32 = (v->flags & MF_SEARCH_F32) != 0;
    size_t empty = s->n_sets;

    for (size_t i = 0; i < s->n_sets; i++) {
        const struct mf_vecs *set = &s->sets[i];

        if (set->space == v->space && set->dim == v->dim && set->is_f32 == is_f32) {
            return i;
        }
        empty = set->n_rows == 0 ? i : empty;
    }
    return empty;
}

static int reserve_set(struct mf_shelf *s, const struct mf_search_view *v,
                       uint16_t *out)
{
    size_t i = find_set(s, v);

    if (i == MAX_SETS ||
        mf_grow_array(&s->sets, &s->cap_sets, i + 1, sizeof(*s->sets)) < 0) {
        return MF_ENOMEM;
    }
    if (i == s->n_sets) {
        s->sets[s->n_sets++] = (struct mf_vecs){0};
    }
    if (s->sets[i].n_rows == 0) {
        mf_vecs_fini(&s->sets[i]);
        mf_vecs_init(&s->sets[i], v->space, v->dim, (v->flags & MF_SEARCH_F32) != 0);
    }
    *out = (uint16_t)i;
    return mf_vecs_reserve(&s->sets[i]);
}

static void unreserve_terms(struct mf_shelf *s, uint32_t *terms, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        mf_postings_unreserve(&s->postings, terms[i]);
    }
    mf_free(terms);
}

static int reserve_content(struct mf_shelf *s, struct content *c)
{
    const struct mf_search_view *v = c->v;

    c->terms = mf_malloc(5 * (size_t)v->n_distinct + 1);
    if (c->terms == NULL) {
        return MF_ENOMEM;
    }
    for (uint32_t i = 0; i < v->n_distinct; i++) {
        uint32_t hash = mf_get_u32(v->hashes + 4 * (size_t)i);

        if (mf_postings_reserve(&s->postings, hash, &c->terms[i]) < 0) {
            unreserve_terms(s, c->terms, i);
            return MF_ENOMEM;
        }
    }
    if (v->dim > 0 && reserve_set(s, v, &c->set) < 0) {
        unreserve_terms(s, c->terms, v->n_distinct);
        return MF_ENOMEM;
    }
    if (v->n_distinct > 0) {
        memcpy(c->terms + v->n_distinct, v->counts, v->n_distinct);
    }
    return 0;
}

static void add_vector(struct mf_shelf *s, uint32_t number, const struct content *c)
{
    struct shelf_rec *rec = &s->recs[number];

    rec->row = MF_VECS_NONE;
    if (c->v->dim > 0) {
        rec->set = c->set;
        rec->row = mf_vecs_add(&s->sets[c->set], number, c->v);
    }
}

static void add_terms(struct mf_shelf *s, uint32_t number, const struct content *c)
{
    struct shelf_rec *rec = &s->recs[number];

    rec->n_terms = c->v->n_distinct;
    rec->terms = c->terms;
    s->term_bytes += 5 * (size_t)rec->n_terms + 1;
    for (uint32_t i = 0; i < rec->n_terms; i++) {
        mf_postings_add(&s->postings, rec->terms[i], number, c->v->counts[i]);
    }
}

static void forget_terms(struct mf_shelf *s, struct shelf_rec *rec)
{
    s->term_bytes -= 5 * (size_t)rec->n_terms + 1;
    mf_free(rec->terms);
    rec->terms = NULL;
}

static void drop_terms(struct mf_shelf *s, uint32_t number)
{
    struct shelf_rec *rec = &s->recs[number];

    for (uint32_t i = 0; i < rec->n_terms; i++) {
        mf_postings_remove(&s->postings, rec->terms[i], number);
    }
    forget_terms(s, rec);
}

static void drop_vector(struct mf_shelf *s, uint16_t set, uint32_t row)
{
    if (row != MF_VECS_NONE) {
        mf_vecs_drop(&s->sets[set], row);
    }
}

static void free_number(struct mf_shelf *s, uint32_t number)
{
    s->free_recs[s->n_free++] = number;
}

/* --- the changes --- */

static int reserve_place(struct mf_shelf *s, enum mf_kind kind)
{
    size_t need = s->n_recs + 1;

    if (mf_cols_reserve(&s->cols[kind], 1) < 0 ||
        mf_grow_array(&s->recs, &s->cap_recs, need, sizeof(*s->recs)) < 0 ||
        mf_grow_array(&s->free_recs, &s->cap_free, need, sizeof(*s->free_recs)) < 0) {
        return MF_ENOMEM;
    }
    return 0;
}

/* Neighbours are left to the caller. */
static int put_alone(struct mf_shelf *s, const struct mf_shelf_row *row,
                     const struct mf_search_view *v, size_t *place)
{
    enum mf_kind kind = mf_kind_of(v);
    struct mf_cols *c = &s->cols[kind];
    struct content content = {.v = v};
    struct mf_session *session;
    uint32_t number;

    if (reserve_place(s, kind) < 0) {
        return MF_ENOMEM;
    }
    session = mf_sessions_get(&s->sessions, row->session_id, row->agent_id);
    if (session == NULL) {
        return MF_ENOMEM;
    }
    if (reserve_content(s, &content) < 0) {
        mf_sessions_tidy(&s->sessions, session);
        return MF_ENOMEM;
    }
    session->n_records++;
    number = s->n_free > 0 ? s->free_recs[--s->n_free] : (uint32_t)s->n_recs++;
    *place = mf_cols_place(c, row->seq);
    mf_cols_insert(c, *place, row->seq, v);
    c->rec[*place] = number;
    c->session[*place] = session->index;
    s->recs[number].kind = (uint8_t)kind;
    add_terms(s, number, &content);
    add_vector(s, number, &content);
    renumber(s, kind, *place);
    return 0;
}

int mf_shelf_do_put(struct mf_shelf *s, const struct mf_shelf_row *row,
                    const struct mf_search_view *v)
{
    size_t place;
    int rc;

    if (mf_shelf_find(s, row->seq) != NULL) {
        return 0;
    }
    rc = put_alone(s, row, v, &place);
    if (rc == 0) {
        refresh(s, mf_kind_of(v), place);
    }
    return rc;
}

/* The usual replacement brings only a vector. */
static bool has_same_terms(const struct mf_shelf *s, const struct shelf_rec *rec,
                           const struct mf_search_view *v)
{
    if (rec->n_terms != v->n_distinct) {
        return false;
    }
    for (uint32_t i = 0; i < rec->n_terms; i++) {
        if (s->postings.terms[rec->terms[i]].hash !=
            mf_get_u32(v->hashes + 4 * (size_t)i)) {
            return false;
        }
    }
    return rec->n_terms == 0 ||
           memcmp(rec->terms + rec->n_terms, v->counts, rec->n_terms) == 0;
}

static bool has_same_vector(const struct mf_shelf *s, const struct shelf_rec *rec,
                            const struct mf_search_view *v)
{
    bool is_f32 = (v->flags & MF_SEARCH_F32) != 0;
    const struct mf_vecs *set;
    struct mf_vec vec;

    if (v->dim == 0 || rec->row == MF_VECS_NONE) {
        return v->dim == 0 && rec->row == MF_VECS_NONE;
    }
    set = &s->sets[rec->set];
    vec = mf_vecs_get(set, rec->row);
    return set->space == v->space && set->dim == v->dim && set->is_f32 == is_f32 &&
           (is_f32 || vec.scale == v->scale) &&
           memcmp(vec.row, v->vector, v->dim * (is_f32 ? sizeof(float) : 1)) == 0;
}

bool mf_shelf_holds(const struct mf_shelf *s, uint64_t seq,
                    const struct mf_search_view *v)
{
    const struct shelf_rec *rec = mf_shelf_find(s, seq);
    const struct mf_cols *c = &s->cols[mf_kind_of(v)];

    return rec != NULL && rec->kind == mf_kind_of(v) &&
           c->meta[rec->at] == mf_meta(v) && c->n_terms[rec->at] == v->n_terms &&
           has_same_terms(s, rec, v) && has_same_vector(s, rec, v);
}

static int change_content(struct mf_shelf *s, uint32_t number,
                          const struct mf_search_view *v)
{
    struct content content = {.v = v};
    int rc;

    if (has_same_terms(s, &s->recs[number], v)) {
        rc = v->dim > 0 ? reserve_set(s, v, &content.set) : 0;
    } else {
        rc = reserve_content(s, &content);
        if (rc == 0) {
            drop_terms(s, number);
            add_terms(s, number, &content);
        }
    }
    if (rc == 0) {
        struct shelf_rec old = s->recs[number];

        add_vector(s, number, &content);
        drop_vector(s, old.set, old.row);
    }
    return rc;
}

int mf_shelf_do_replace(struct mf_shelf *s, uint64_t seq,
                        const struct mf_search_view *v)
{
    struct shelf_rec *rec = mf_shelf_find(s, seq);
    struct mf_cols *c;
    int rc;

    if (rec == NULL) {
        return MF_ENOTFOUND;
    }
    if (rec->kind != mf_kind_of(v)) {
        return MF_EINVAL;
    }
    rc = change_content(s, (uint32_t)(rec - s->recs), v);
    if (rc < 0) {
        return rc;
    }
    c = &s->cols[rec->kind];
    c->meta[rec->at] = mf_meta(v);
    c->n_terms[rec->at] = v->n_terms;
    refresh(s, rec->kind, rec->at);
    return 0;
}

int mf_shelf_do_remove(struct mf_shelf *s, uint64_t seq)
{
    struct shelf_rec *rec = mf_shelf_find(s, seq);
    struct mf_session *session;
    uint32_t number;

    if (rec == NULL) {
        return MF_ENOTFOUND;
    }
    number = (uint32_t)(rec - s->recs);
    session = s->sessions.by_index[s->cols[rec->kind].session[rec->at]];
    session->n_records--;
    mf_sessions_tidy(&s->sessions, session);
    drop_terms(s, number);
    drop_vector(s, rec->set, rec->row);
    mf_cols_remove(&s->cols[rec->kind], rec->at);
    renumber(s, rec->kind, rec->at);
    refresh(s, rec->kind, rec->at);
    free_number(s, number);
    return 0;
}

/* --- a whole session --- */

/* Lists which terms lose entries, then each list is swept once. */
static void drop_marked(struct mf_shelf *s, const uint8_t *gone)
{
    for (uint32_t i = 0; i < s->n_recs; i++) {
        for (uint32_t k = 0;
             (gone[i / 8] >> (i % 8) & 1) != 0 && k < s->recs[i].n_terms; k++) {
            s->postings.terms[s->recs[i].terms[k]].n_gone++;
        }
    }
    for (uint32_t i = 0; i < s->n_recs; i++) {
        struct shelf_rec *rec = &s->recs[i];

        if ((gone[i / 8] >> (i % 8) & 1) == 0) {
            continue;
        }
        for (uint32_t k = 0; k < rec->n_terms; k++) {
            mf_postings_sweep(&s->postings, rec->terms[k], gone);
        }
        forget_terms(s, rec);
        drop_vector(s, rec->set, rec->row);
        free_number(s, i);
    }
}

static void mark_session(const struct mf_cols *c, uint32_t session, uint8_t *gone)
{
    for (size_t i = 0; i < c->n; i++) {
        if (c->session[i] == session) {
            gone[c->rec[i] / 8] |= (uint8_t)(1U << (c->rec[i] % 8));
        }
    }
}

static void close_gaps(struct mf_shelf *s, enum mf_kind kind, uint32_t session)
{
    struct mf_cols *c = &s->cols[kind];

    mf_cols_remove_session(c, session);
    renumber(s, kind, 0);
    for (size_t i = 0; i < c->n; i++) {
        if ((c->near[i] & MF_NEAR_STALE) != 0) {
            refresh_one(s, kind, i);
        }
    }
}

int mf_shelf_do_remove_session(struct mf_shelf *s, struct mf_slice id)
{
    struct mf_session *session = mf_sessions_find(&s->sessions, id);
    uint8_t *gone;

    if (session == NULL) {
        return 0;
    }
    gone = mf_calloc(s->n_recs / 8 + 1, 1);
    if (gone == NULL) {
        return MF_ENOMEM;
    }
    mark_session(&s->cols[MF_KIND_MESSAGE], session->index, gone);
    mark_session(&s->cols[MF_KIND_KNOWLEDGE], session->index, gone);
    drop_marked(s, gone);
    close_gaps(s, MF_KIND_MESSAGE, session->index);
    close_gaps(s, MF_KIND_KNOWLEDGE, session->index);
    session->n_records = 0;
    mf_sessions_tidy(&s->sessions, session);
    mf_free(gone);
    return 0;
}

/* --- loading --- */

static int load_row(struct mf_shelf *s, const struct mf_shelf_row *row,
                    size_t stale_from[MF_KIND_COUNT])
{
    struct mf_search_view v;
    enum mf_kind kind;
    size_t place;
    int rc = mf_search_view(row->rec, &v);

    if (rc < 0 || mf_shelf_find(s, row->seq) != NULL) {
        return rc;
    }
    kind = mf_kind_of(&v);
    rc = put_alone(s, row, &v, &place);
    if (rc == 0) {
        place = place < 2 ? 0 : place - 2;
        stale_from[kind] = mf_min(stale_from[kind], place);
    }
    return rc;
}

int mf_shelf_load(struct mf_shelf *s, const struct mf_shelf_row *rows, size_t n)
{
    size_t stale_from[MF_KIND_COUNT] = {SIZE_MAX, SIZE_MAX};
    int result = 0;

    MF_ASSERT(s->n_lent == 0);
    for (size_t i = 0; i < n && result != MF_ENOMEM; i++) {
        int rc = load_row(s, &rows[i], stale_from);

        result = rc < 0 ? rc : result;
    }
    for (size_t kind = 0; kind < MF_KIND_COUNT; kind++) {
        for (size_t i = stale_from[kind]; i < s->cols[kind].n; i++) {
            refresh_one(s, (enum mf_kind)kind, i);
        }
    }
    return result;
}

size_t mf_shelf_count(const struct mf_shelf *s)
{
    return s->cols[MF_KIND_MESSAGE].n + s->cols[MF_KIND_KNOWLEDGE].n;
}

size_t mf_shelf_bytes(const struct mf_shelf *s)
{
    size_t bytes = sizeof(*s) + mf_cols_bytes(&s->cols[MF_KIND_MESSAGE]) +
                   mf_cols_bytes(&s->cols[MF_KIND_KNOWLEDGE]) +
                   mf_postings_bytes(&s->postings) + mf_sessions_bytes(&s->sessions) +
                   s->cap_recs * sizeof(*s->recs) +
                   s->cap_free * sizeof(*s->free_recs) + s->term_bytes + s->line_bytes;

    for (size_t i = 0; i < s->n_sets; i++) {
        bytes += sizeof(s->sets[i]) + mf_vecs_bytes(&s->sets[i]);
    }
    return bytes;
}
