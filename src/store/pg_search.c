/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LOAD_SEARCH, in one round trip: of a shared store the user's mark, before any row is
 * read; then, as the server sends them, his sessions, and his search records, messages
 * and knowledge by ascending seq.
 *
 * A job may end between two steps, and its arena is all that is then given back: so the
 * piece is a block of that arena of fixed size, filled and fed again and again, and the
 * sessions are a sorted array in it.
 */
#include "store/pg_job.h"
#include "store/pg_row.h"

#include <stdlib.h>

#define PIECE_ROWS        1000
#define PIECE_BYTES       (1024UL * 1024) /* a piece of usual records fits */
#define FIRST_SESSIONS    64
#define N_SESSION_COLUMNS 2 /* a record has one more */

struct session {
    struct mf_slice id, agent_id;
};

struct load {                 /* j->state */
    struct session *sessions; /* by id, once all are there */
    size_t n_sessions, sessions_cap;
    bool is_sorted;
    const struct session *last;
    size_t n_read;
    struct mf_store_search_row *rows; /* of the piece; all without feed */
    size_t n, cap;
    char *bytes; /* of the piece */
    size_t n_bytes;
    bool is_enough;
};

static struct mf_store_search *of_job(const struct mf_pg_job *j)
{
    return mf_container_of(j->req, struct mf_store_search, req);
}

static int no_memory(struct mf_pg_job *j)
{
    return mf_err_set(j->err, MF_ENOMEM, "no memory for the search records");
}

static int64_t as_int(uint64_t v)
{
    return (int64_t)mf_min(v, (uint64_t)INT64_MAX);
}

static bool is_delta(const struct mf_pg_job *j)
{
    return j->env->cfg.is_shared && of_job(j)->after_mark > 0;
}

/* --- sessions */

static int compare_slices(struct mf_slice a, struct mf_slice b)
{
    size_t n = mf_min(a.n, b.n);
    int order = n == 0 ? 0 : memcmp(a.p, b.p, n);

    return order != 0 ? order : (a.n > b.n) - (a.n < b.n);
}

static int by_id(const void *a, const void *b)
{
    return compare_slices(((const struct session *)a)->id,
                          ((const struct session *)b)->id);
}

/* Room for one more, or NULL. */
MF_WORKER static struct session *next_session(struct mf_pg_job *j, struct load *l)
{
    size_t cap = mf_max(l->sessions_cap * 2, (size_t)FIRST_SESSIONS);
    struct session *more;

    if (l->n_sessions < l->sessions_cap) {
        return &l->sessions[l->n_sessions++];
    }
    more = mf_arena_alloc(&j->kept, cap * sizeof(*more));
    if (more == NULL) {
        return NULL;
    }
    if (l->n_sessions > 0) {
        memcpy(more, l->sessions, l->n_sessions * sizeof(*more));
    }
    l->sessions = more;
    l->sessions_cap = cap;
    return &l->sessions[l->n_sessions++];
}

/* Ids lie in the request's arena: without a feed its rows name them. */
MF_WORKER static int take_session(struct mf_pg_job *j, struct load *l,
                                  const PGresult *res)
{
    struct mf_pg_row r = mf_pg_row(res, 0, j->err);
    struct session *s = next_session(j, l);

    if (s == NULL) {
        return no_memory(j);
    }
    s->id = mf_pg_read(&r, 0, &j->req->arena);
    s->agent_id = mf_pg_read(&r, 1, &j->req->arena);
    return r.rc;
}

/* Afterwards l->last is the session `id`. */
static void find_session(struct load *l, struct mf_slice id)
{
    const struct session key = {.id = id};

    if (l->last != NULL && mf_slice_eq(l->last->id, id)) {
        return;
    }
    if (l->n_sessions > 0 && !l->is_sorted) {
        qsort(l->sessions, l->n_sessions, sizeof(*l->sessions), by_id);
        l->is_sorted = true;
    }
    l->last = l->n_sessions == 0
                  ? NULL
                  : bsearch(&key, l->sessions, l->n_sessions, sizeof(key), by_id);
}

/* --- search records */

/* 0: go on; positive: the taker has enough; negative: its error. */
MF_WORKER static int feed_piece(struct mf_pg_job *j, struct load *l)
{
    struct mf_store_search *s = of_job(j);
    int rc;

    if (s->feed == NULL || l->n == 0) {
        return 0;
    }
    rc = s->feed(s, l->rows, l->n);
    l->n = 0;
    l->n_bytes = 0;
    l->is_enough = rc > 0;
    return rc;
}

MF_WORKER static struct mf_store_search_row *next_row(struct mf_pg_job *j,
                                                      struct load *l)
{
    struct mf_store_search_row *more;
    size_t cap = mf_max(l->cap * 2, (size_t)64);

    if (l->n < l->cap) {
        return &l->rows[l->n++];
    }
    more = mf_arena_alloc(&j->req->arena, cap * sizeof(*more));
    if (more == NULL) {
        return NULL;
    }
    if (l->n > 0) {
        memcpy(more, l->rows, l->n * sizeof(*more));
    }
    l->rows = more;
    l->cap = cap;
    return &l->rows[l->n++];
}

/* Bytes that live as long as the piece, or as the request without feed; one that is
 * larger than a whole piece stays until the end of the job. */
MF_WORKER static int keep(struct mf_pg_job *j, struct load *l, struct mf_slice v,
                          struct mf_slice *out)
{
    char *to;

    *out = (struct mf_slice){NULL, 0};
    if (v.n == 0) {
        return 0;
    }
    if (of_job(j)->feed != NULL && v.n <= PIECE_BYTES - l->n_bytes) {
        to = l->bytes + l->n_bytes;
        l->n_bytes += v.n;
    } else {
        to = mf_arena_alloc(of_job(j)->feed == NULL ? &j->req->arena : &j->kept, v.n);
    }
    if (to == NULL) {
        return no_memory(j);
    }
    memcpy(to, v.p, v.n);
    *out = mf_slice_of(to, v.n);
    return 0;
}

MF_WORKER static int take_row(struct mf_pg_job *j, struct load *l, const PGresult *res)
{
    struct mf_pg_row r = mf_pg_row(res, 0, j->err);
    struct mf_slice session_id = mf_pg_peek(&r, 1);
    struct mf_slice search = mf_pg_peek(&r, 2);
    size_t n_bytes = session_id.n + search.n;
    struct mf_store_search_row *row;
    int rc = 0;

    if (n_bytes > PIECE_BYTES - l->n_bytes) {
        rc = feed_piece(j, l);
    }
    if (rc != 0) {
        return rc;
    }
    row = next_row(j, l);
    if (row == NULL) {
        return no_memory(j);
    }
    *row = (struct mf_store_search_row){.seq = (uint64_t)mf_pg_get_int(&r, 0)};
    if (session_id.n > 0) {
        find_session(l, session_id);
        if (l->last != NULL) {
            row->session_id = l->last->id;
            row->agent_id = l->last->agent_id;
        } else {
            rc = keep(j, l, session_id, &row->session_id);
        }
    }
    rc = rc < 0 ? rc : keep(j, l, search, &row->search);
    l->n_read++;
    return r.rc < 0 ? r.rc : rc;
}

/* One row: of the sessions, which come first, or a record. */
MF_WORKER static int take_any(struct mf_pg_job *j, struct load *l, const PGresult *res)
{
    struct mf_store_search *s = of_job(j);
    int rc;

    if (PQnfields(res) == N_SESSION_COLUMNS) {
        return take_session(j, l, res);
    }
    if (s->max_rows > 0 && l->n_read == s->max_rows) {
        s->has_more = true;
        l->is_enough = true;
        return 1;
    }
    rc = take_row(j, l, res);
    return rc == 0 && l->n == PIECE_ROWS ? feed_piece(j, l) : rc;
}

int mf_pg_load_search_rows(struct mf_pg_job *j, PGresult *const *rows, size_t n)
{
    struct load *l = j->state;

    for (size_t i = 0; i < n && !l->is_enough; i++) {
        int rc = take_any(j, l, rows[i]);

        if (rc != 0) {
            return rc;
        }
    }
    return l->is_enough ? 1 : 0;
}

/* --- the round */

MF_WORKER static int begin(struct mf_pg_job *j)
{
    struct load *l = mf_arena_alloc(&j->kept, sizeof(*l));

    if (l == NULL) {
        return no_memory(j);
    }
    *l = (struct load){.is_enough = false};
    if (of_job(j)->feed != NULL) {
        l->cap = PIECE_ROWS;
        l->rows = mf_arena_alloc(&j->kept, l->cap * sizeof(*l->rows));
        l->bytes = mf_arena_alloc(&j->kept, PIECE_BYTES);
        if (l->rows == NULL || l->bytes == NULL) {
            return no_memory(j);
        }
    }
    j->state = l;
    return 0;
}

static void ask_sessions(struct mf_pg_job *j)
{
    const struct mf_store_search *s = of_job(j);

    mf_pg_add(&j->round,
              is_delta(j) ? MF_PG_SEARCH_SESSIONS_SINCE : MF_PG_SEARCH_SESSIONS);
    mf_pg_text(&j->round, s->user_id);
    if (is_delta(j)) {
        mf_pg_int(&j->round, as_int(s->after_mark));
    }
    mf_pg_stream_last(&j->round);
}

static void ask_records(struct mf_pg_job *j)
{
    const struct mf_store_search *s = of_job(j);

    mf_pg_add(&j->round, is_delta(j) ? MF_PG_SEARCH_SINCE : MF_PG_SEARCH_ALL);
    mf_pg_text(&j->round, s->user_id);
    mf_pg_int(&j->round, as_int(is_delta(j) ? s->after_mark : s->after_seq));
    /* One more than wanted tells whether there is more. */
    mf_pg_limit(&j->round, s->max_rows == 0 ? 0 : s->max_rows + 1);
    mf_pg_stream_last(&j->round);
}

/* A user of whom no row was ever marked has none. */
MF_WORKER static int take_mark(struct mf_pg_job *j, const PGresult *res)
{
    struct mf_pg_row r;

    if (PQntuples(res) == 0) {
        return 0;
    }
    r = mf_pg_row(res, 0, j->err);
    of_job(j)->mark = (uint64_t)mf_pg_get_int(&r, 0);
    return r.rc;
}

MF_WORKER static int finish(struct mf_pg_job *j, struct load *l)
{
    struct mf_store_search *s = of_job(j);
    int rc = feed_piece(j, l);

    s->rows = s->feed == NULL && l->n > 0 ? l->rows : NULL;
    s->n_rows = l->n_read;
    return mf_min(rc, 0);
}

int mf_pg_load_search(struct mf_pg_job *j)
{
    struct mf_store_search *s = of_job(j);
    bool is_shared = j->env->cfg.is_shared;
    int rc;

    if (j->n_rounds > 0) {
        rc = is_shared ? take_mark(j, mf_pg_result(j, 0)) : 0;
        return rc < 0 ? rc : finish(j, j->state);
    }
    s->has_more = false;
    s->mark = 0;
    rc = begin(j);
    if (rc < 0) {
        return rc;
    }
    if (is_shared) {
        mf_pg_add(&j->round, MF_PG_SEARCH_MARK);
        mf_pg_text(&j->round, s->user_id);
    }
    ask_sessions(j);
    ask_records(j);
    return 0;
}
