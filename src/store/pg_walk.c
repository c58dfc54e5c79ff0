/* SPDX-License-Identifier: Apache-2.0 */
/* MARK_FOREIGN: one page of the walk, in the order of (user_id, seq). */
#include "store/pg_job.h"
#include "store/pg_row.h"

enum phase { SPACE, PAGE, MARK, END };

struct key {
    struct mf_slice user_id, id;
};

struct walk { /* j->state */
    enum phase phase;
    struct key *foreign;
    size_t n_foreign;
};

static struct mf_store_walk *of_job(const struct mf_pg_job *j)
{
    return mf_container_of(j->req, struct mf_store_walk, req);
}

static int no_memory(struct mf_pg_job *j)
{
    return mf_err_set(j->err, MF_ENOMEM, "no memory for a walk's rows");
}

static struct mf_slice user_at(const void *rows, size_t i)
{
    return ((const struct key *)rows)[i].user_id;
}

static struct mf_slice id_at(const void *rows, size_t i)
{
    return ((const struct key *)rows)[i].id;
}

MF_WORKER static int ask_space(struct mf_pg_job *j, struct walk *k)
{
    k->phase = SPACE;
    mf_pg_add(&j->round, MF_PG_SCHEMA_ROW);
    return 0;
}

MF_WORKER static int ask_page(struct mf_pg_job *j, struct walk *k)
{
    const struct mf_store_walk *w = of_job(j);

    k->phase = PAGE;
    mf_pg_add(&j->round, w->in_knowledge ? MF_PG_WALK_KNOWLEDGE : MF_PG_WALK_MESSAGES);
    mf_pg_words(&j->round, w->user_id);
    mf_pg_int(&j->round, (int64_t)mf_min(w->seq, (uint64_t)INT64_MAX));
    mf_pg_limit(&j->round, w->max_rows);
    return 0;
}

/* Another store's rows may be of the space that is wanted already. */
MF_WORKER static int take_space(struct mf_pg_job *j, struct walk *k)
{
    struct mf_store_walk *w = of_job(j);
    const PGresult *res = mf_pg_result(j, 0);
    int64_t space = 0;

    if (PQntuples(res) > 0) {
        struct mf_pg_row r = mf_pg_row(res, 0, j->err);

        space = mf_pg_get_int(&r, 1);
        if (r.rc < 0) {
            return r.rc;
        }
    }
    if (w->space == 0 || space != (int64_t)w->space) {
        return ask_page(j, k);
    }
    k->phase = END;
    w->is_at_end = true;
    w->next_in_knowledge = true;
    return 0;
}

MF_WORKER static int see_row(struct mf_pg_job *j, struct walk *k, struct mf_pg_row *r)
{
    const struct mf_store_walk *w = of_job(j);

    if (mf_pg_get_bool(r, 2) || !w->is_foreign(w, mf_pg_peek(r, 3))) {
        return r->rc;
    }
    k->foreign[k->n_foreign++] = (struct key){
        .user_id = mf_pg_read(r, 0, &j->kept),
        .id = mf_pg_read(r, 4, &j->kept),
    };
    return r->rc;
}

/* Where the next step goes on: after the last row, or with the other table. */
MF_WORKER static int set_next(struct mf_pg_job *j, const PGresult *res, size_t n)
{
    struct mf_store_walk *w = of_job(j);
    bool is_table_done = n < w->max_rows;
    struct mf_pg_row r;

    w->is_at_end = is_table_done && w->in_knowledge;
    w->next_in_knowledge = w->in_knowledge || is_table_done;
    w->next_user_id = (struct mf_slice){NULL, 0};
    w->next_seq = 0;
    if (is_table_done) {
        return 0;
    }
    r = mf_pg_row(res, (int)n - 1, j->err);
    w->next_user_id = mf_pg_read(&r, 0, &j->req->arena);
    w->next_seq = (uint64_t)mf_pg_get_int(&r, 1);
    return r.rc;
}

MF_WORKER static int add_marks(struct mf_pg_job *j, struct walk *k)
{
    const struct mf_store_walk *w = of_job(j);

    k->phase = MARK;
    if (k->n_foreign > 0) {
        mf_pg_add(&j->round, w->in_knowledge ? MF_PG_WALK_MARK_KNOWLEDGE
                                             : MF_PG_WALK_MARK_MESSAGES);
        mf_pg_text_array(&j->round, k->foreign, k->n_foreign, user_at);
        mf_pg_text_array(&j->round, k->foreign, k->n_foreign, id_at);
    }
    if (w->is_at_end) {
        mf_pg_add(&j->round, MF_PG_SCHEMA_SET_SPACE);
        mf_pg_int(&j->round, w->space);
    }
    if (j->round.n > 0) {
        mf_pg_is_last(j);
    }
    return 0;
}

MF_WORKER static int take_page(struct mf_pg_job *j, struct walk *k)
{
    struct mf_store_walk *w = of_job(j);
    const PGresult *res = mf_pg_result(j, 0);
    size_t n = (size_t)PQntuples(res);
    int rc;

    k->foreign = mf_arena_alloc(&j->kept, (n + 1) * sizeof(*k->foreign));
    if (k->foreign == NULL) {
        return no_memory(j);
    }
    for (size_t i = 0; i < n; i++) {
        struct mf_pg_row r = mf_pg_row(res, (int)i, j->err);

        rc = see_row(j, k, &r);
        if (rc < 0) {
            return rc;
        }
    }
    rc = set_next(j, res, n);
    if (rc < 0) {
        return rc;
    }
    w->n_marked = k->n_foreign;
    return add_marks(j, k);
}

MF_WORKER static int begin(struct mf_pg_job *j)
{
    const struct mf_store_walk *w = of_job(j);
    struct walk *k = mf_arena_alloc(&j->kept, sizeof(*k));
    bool is_first = w->user_id.n == 0 && w->seq == 0 && !w->in_knowledge;

    if (k == NULL) {
        return no_memory(j);
    }
    *k = (struct walk){.phase = SPACE};
    j->state = k;
    return is_first ? ask_space(j, k) : ask_page(j, k);
}

int mf_pg_mark_foreign(struct mf_pg_job *j)
{
    struct walk *k = j->state;

    if (j->n_rounds == 0) {
        return begin(j);
    }
    switch (k->phase) {
    case SPACE: return take_space(j, k);
    case PAGE: return take_page(j, k);
    case MARK:
    case END:
    default: return 0;
    }
}
