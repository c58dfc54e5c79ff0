/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The texts of what was ranked: from the buffers, else from the store. What left the
 * buffers after the scan is in the store by now, since the store is asked later. What
 * is in neither was deleted meanwhile: here, which the library was told, or, of a
 * shared store, by another process. Then it is taken off the shelf, and what is left is
 * ranked again, so that others take the places.
 */
#include "query/query_priv.h"

#include "base/log.h"

#include <stdlib.h>

/* Rankings after the first. Before the last one the whole shelf goes: more was deleted
 * than stood among the hits. */
#define MAX_AGAIN 2

/* A request for texts; a late one outlives its ask. */
struct mf_fetch {
    struct mf_store_messages req;
    struct mf_query *q;
    struct mf_ask *ask; /* NULL: nobody waits any more */
    struct mf_id user_id;
    uint64_t seqs[]; /* ascending */
};

/* ---- into the request's arena ---- */

static int copy(struct mf_arena *arena, struct mf_slice *s)
{
    char *p = mf_arena_strndup(arena, s->n > 0 ? s->p : "", s->n);

    s->p = p;
    return p == NULL ? MF_ENOMEM : 0;
}

/* The best passage of a long message, told from what the row or the entry keeps. */
static void choose_content(const struct mf_ask *a, struct mf_query_hit *hit,
                           struct mf_slice passages)
{
    struct mf_slice text = hit->row.msg.content;
    uint32_t at, n;

    hit->content = text;
    if (!a->has_vector || passages.n == 0 ||
        mf_tokens_of_text(text) <= a->q->cfg.passage_tokens) {
        return;
    }
    if (mf_passages_best(passages, a->vector, a->q->dim, a->q->space, text.n, &at,
                         &n) == 0) {
        hit->content = mf_slice_of(text.p + at, n);
        hit->is_passage = true;
    }
}

static int fill(const struct mf_ask *a, struct mf_query_hit *hit,
                const struct mf_store_row *from, const char *source)
{
    struct mf_store_row *to = &hit->row;
    struct mf_slice *slices[] = {&to->user_id,     &to->session_id,   &to->round_id,
                                 &to->msg.content, &to->msg.metadata, &to->msg.id};

    *to = *from;
    to->search = to->passages = mf_slice_of(NULL, 0); /* nobody reads them */
    for (size_t i = 0; i < mf_countof(slices); i++) {
        if (copy(a->r->arena, slices[i]) < 0) {
            return MF_ENOMEM;
        }
    }
    choose_content(a, hit, from->passages);
    hit->source = source;
    return 0;
}

MF_LOOP static int fill_from_entry(const struct mf_ask *a, struct mf_query_hit *hit,
                                   const struct mf_entry_msg *m)
{
    const struct mf_item *it = m->entry->item;
    struct mf_store_row row = {.seq = m->seq,
                               .user_id = it->user_id,
                               .session_id = it->session_id,
                               .round_id = it->round_id,
                               .msg = *mf_entry_msg_of(m),
                               .passages = {m->passages.p, m->passages.n},
                               .is_pending = !m->has_vector};

    return fill(a, hit, &row,
                m->entry->place == MF_PLACE_WRITE ? "write_buffer" : "hybrid_buffer");
}

/* Hits without a source have no text: they go. */
static void compact(struct mf_query_req *r)
{
    size_t n = 0;

    for (size_t i = 0; i < r->n_hits; i++) {
        if (r->hits[i].source != NULL) {
            r->hits[n++] = r->hits[i];
        }
    }
    r->n_hits = n;
}

struct hit_id {
    struct mf_slice id;
    size_t at; /* among the hits */
};

static int compare_ids(const void *a, const void *b)
{
    const struct hit_id *x = a;
    const struct hit_id *y = b;
    int c;

    if (x->id.n != y->id.n) {
        return x->id.n < y->id.n ? -1 : 1;
    }
    c = memcmp(x->id.p, y->id.p, x->id.n);
    return c != 0 ? c : (x->at > y->at) - (x->at < y->at);
}

/* A client sent a message again, to another process: until ours has heard that the
 * store has it, both are found. The better one stays. */
static int drop_doubles(struct mf_query_req *r)
{
    struct hit_id *ids = mf_arena_alloc(r->arena, r->n_hits * sizeof(*ids) + 1);

    if (ids == NULL) {
        return MF_ENOMEM;
    }
    for (size_t i = 0; i < r->n_hits; i++) {
        ids[i] = (struct hit_id){r->hits[i].row.msg.id, i};
    }
    if (r->n_hits > 0) {
        qsort(ids, r->n_hits, sizeof(*ids), compare_ids);
    }
    for (size_t i = 1; i < r->n_hits; i++) {
        if (mf_slice_eq(ids[i].id, ids[i - 1].id)) {
            r->hits[ids[i].at].source = NULL;
        }
    }
    compact(r);
    return 0;
}

MF_LOOP static void end(struct mf_ask *a, int rc)
{
    compact(a->r);
    if (rc == 0 && a->q->store->info.is_shared) {
        rc = drop_doubles(a->r);
    }
    mf_ask_finish(a, rc);
}

/* ---- the store ---- */

static int compare_rows(const void *a, const void *b)
{
    const struct mf_store_row *x = a;
    const struct mf_store_row *y = b;

    return (x->seq > y->seq) - (x->seq < y->seq);
}

static int compare_seqs(const void *a, const void *b)
{
    uint64_t x, y;

    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return (x > y) - (x < y);
}

MF_LOOP static int fill_from_rows(struct mf_ask *a, struct mf_store_messages *m)
{
    struct mf_query_req *r = a->r;

    if (m->n_rows > 0) {
        qsort(m->rows, m->n_rows, sizeof(*m->rows), compare_rows);
    }
    for (size_t i = 0; i < r->n_hits && m->n_rows > 0; i++) {
        struct mf_store_row key = {.seq = r->hits[i].scan.seq};
        const struct mf_store_row *row;

        if (r->hits[i].source != NULL) {
            continue;
        }
        row = bsearch(&key, m->rows, m->n_rows, sizeof(*m->rows), compare_rows);
        if (row != NULL && fill(a, &r->hits[i], row, "store") < 0) {
            return MF_ENOMEM;
        }
    }
    return 0;
}

MF_LOOP static size_t forget_deleted(struct mf_ask *a)
{
    const struct mf_query_req *r = a->r;
    size_t n = 0;

    for (size_t i = 0; i < r->n_hits; i++) {
        if (r->hits[i].source == NULL) {
            mf_library_removed(a->q->library, r->user_id, r->hits[i].scan.seq);
            n++;
        }
    }
    return n;
}

/* Whether the ask goes on. If it cannot, the hits that have a text are the answer. */
MF_LOOP static bool rank_again(struct mf_ask *a)
{
    struct mf_query *q = a->q;

    if (!q->store->info.is_shared || forget_deleted(a) == 0 ||
        a->n_again == MAX_AGAIN) {
        return false;
    }
    a->n_again++;
    if (a->n_again == MAX_AGAIN) {
        mf_library_user_gone(q->library, a->r->user_id);
    }
    if (mf_ask_rank(a) < 0) {
        return false;
    }
    mf_list_remove(&q->timed, &a->in_timed);
    mf_fetch_set_timer(q);
    return true;
}

static void free_fetch(struct mf_fetch *f)
{
    mf_store_req_fini(&f->req.req);
    mf_free(f);
}

static void on_fetched(struct mf_store_req *req, int rc)
{
    struct mf_fetch *f = mf_container_of(req, struct mf_fetch, req.req);
    struct mf_ask *a = f->ask;

    mf_loop_assert(f->q->loop);
    f->q->n_at_store--;
    if (a == NULL) {
        free_fetch(f);
        return;
    }
    a->fetch = NULL;
    rc = rc == MF_ENOTFOUND ? 0 : rc;
    if (rc == 0) {
        rc = fill_from_rows(a, &f->req);
    } else {
        mf_log_limited(MF_LOG_WARN, "query_texts_failed", "code=%s", mf_code_name(rc));
        a->r->is_partial = true;
    }
    free_fetch(f);
    if (rc < 0 || !rank_again(a)) {
        end(a, rc == MF_ENOMEM ? rc : 0);
    }
}

static void on_texts_late(uv_timer_t *timer)
{
    struct mf_query *q = mf_container_of(timer, struct mf_query, timer);
    uint64_t now = mf_loop_now_ms(q->loop);
    struct mf_link *k;

    mf_loop_assert(q->loop);
    while ((k = mf_list_head(&q->timed)) != NULL) {
        struct mf_ask *a = mf_container_of(k, struct mf_ask, in_timed);

        if (a->deadline_ms > now) {
            break;
        }
        mf_log_limited(MF_LOG_WARN, "query_texts_late", "timeout_ms=%llu",
                       (unsigned long long)q->cfg.store_timeout_ms);
        a->fetch->ask = NULL;
        a->fetch = NULL;
        a->r->is_partial = true;
        end(a, 0);
    }
    mf_fetch_set_timer(q);
}

void mf_fetch_set_timer(struct mf_query *q)
{
    struct mf_link *k = mf_list_head(&q->timed);
    uint64_t now = mf_loop_now_ms(q->loop);
    uint64_t at;

    if (k == NULL) {
        (void)uv_timer_stop(&q->timer);
        return;
    }
    at = mf_container_of(k, struct mf_ask, in_timed)->deadline_ms;
    MF_ASSERT(uv_timer_start(&q->timer, on_texts_late, at > now ? at - now : 0, 0) ==
              0);
}

MF_LOOP static int ask_store(struct mf_ask *a, size_t n)
{
    struct mf_query *q = a->q;
    struct mf_fetch *f = mf_calloc(1, sizeof(*f) + n * sizeof(f->seqs[0]));
    size_t k = 0;
    int rc;

    if (f == NULL) {
        return MF_ENOMEM;
    }
    rc = mf_id_from(&f->user_id, a->r->user_id);
    for (size_t i = 0; i < a->r->n_hits; i++) {
        if (a->r->hits[i].source == NULL) {
            f->seqs[k++] = a->r->hits[i].scan.seq;
        }
    }
    qsort(f->seqs, n, sizeof(f->seqs[0]), compare_seqs);
    f->q = q;
    f->ask = a;
    f->req.req.op = MF_STORE_GET_MESSAGES;
    f->req.req.done = on_fetched;
    f->req.req.urgency = MF_URGENT;
    f->req.user_id = mf_id_slice(&f->user_id);
    f->req.seqs = f->seqs;
    f->req.n = n;
    if (rc == 0) {
        rc = mf_store_submit(q->store, &f->req.req);
    }
    if (rc < 0) {
        mf_free(f);
        return rc;
    }
    q->n_at_store++;
    a->fetch = f;
    a->deadline_ms = mf_loop_now_ms(q->loop) + q->cfg.store_timeout_ms;
    mf_list_push_tail(&q->timed, &a->in_timed);
    if (q->timed.n == 1) {
        mf_fetch_set_timer(q);
    }
    return 0;
}

/* What is in the buffers; the rest is counted. */
MF_LOOP static int fill_from_buffers(struct mf_ask *a, size_t *n_missing)
{
    struct mf_userbuf *u = mf_userbuf_find(a->q->buffers, a->r->user_id);

    *n_missing = 0;
    for (size_t i = 0; i < a->r->n_hits; i++) {
        struct mf_query_hit *hit = &a->r->hits[i];
        struct mf_entry_msg *m =
            u == NULL ? NULL : mf_userbuf_find_seq(u, hit->scan.seq);

        if (m == NULL) {
            (*n_missing)++;
        } else if (fill_from_entry(a, hit, m) < 0) {
            return MF_ENOMEM;
        }
    }
    return 0;
}

void mf_ask_fetch(struct mf_ask *a)
{
    struct mf_query_req *r = a->r;
    size_t n = a->scan.n_hits;
    size_t n_missing = 0;
    int rc;

    r->hits = mf_arena_alloc(r->arena, n * sizeof(*r->hits) + 1);
    if (r->hits == NULL) {
        mf_ask_finish(a, MF_ENOMEM);
        return;
    }
    memset(r->hits, 0, n * sizeof(*r->hits));
    for (size_t i = 0; i < n; i++) {
        r->hits[i].scan = a->hits[i];
    }
    r->n_hits = n;
    rc = fill_from_buffers(a, &n_missing);
    if (rc == 0 && n_missing > 0) {
        rc = ask_store(a, n_missing);
        if (rc == 0) {
            return;
        }
        a->r->is_partial = true;
    }
    end(a, rc == MF_ENOMEM ? rc : 0);
}
