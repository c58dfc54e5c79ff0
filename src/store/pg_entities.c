/* SPDX-License-Identifier: Apache-2.0 */
#include "store/pg_entities.h"

#include "store/pg_row.h"

#include <stdlib.h>

#define NONE MF_PG_STMT_COUNT

static const struct mf_pg_kind kinds[MF_ENTITY_KIND_COUNT] = {
    [MF_ENTITY_USER] = {"user", MF_PG_USER_GET, MF_PG_USER_LOCK, MF_PG_USER_FIND,
                        MF_PG_USER_LIST, MF_PG_USER_PUT, MF_PG_USER_NAMESAKES,
                        MF_PG_USER_SET, MF_PG_USER_DROP, false},
    [MF_ENTITY_AGENT] = {"agent", MF_PG_AGENT_GET, MF_PG_AGENT_LOCK, MF_PG_AGENT_FIND,
                         MF_PG_AGENT_LIST, MF_PG_AGENT_PUT, MF_PG_AGENT_NAMESAKES,
                         MF_PG_AGENT_SET, MF_PG_AGENT_DROP, false},
    [MF_ENTITY_SESSION] = {"session", MF_PG_SESSION_GET, MF_PG_SESSION_GET,
                           MF_PG_SESSION_FIND, MF_PG_SESSION_LIST, MF_PG_SESSION_PUT,
                           MF_PG_SESSION_NAMESAKES, MF_PG_SESSION_SET,
                           MF_PG_SESSION_DROP, true},
    [MF_ENTITY_KNOWLEDGE] = {"knowledge", MF_PG_KNOWLEDGE_GET, MF_PG_KNOWLEDGE_GET,
                             NONE, MF_PG_KNOWLEDGE_LIST, MF_PG_KNOWLEDGE_PUT, NONE,
                             MF_PG_KNOWLEDGE_SET, MF_PG_KNOWLEDGE_DROP, true},
    [MF_ENTITY_API_KEY] = {"API key", MF_PG_API_KEY_GET, MF_PG_API_KEY_GET,
                           MF_PG_API_KEY_FIND, MF_PG_API_KEY_LIST, MF_PG_API_KEY_PUT,
                           NONE, MF_PG_API_KEY_SET, MF_PG_API_KEY_DROP, true},
};

const struct mf_pg_kind *mf_pg_kind(enum mf_entity_kind kind)
{
    MF_ASSERT((unsigned)kind < MF_ENTITY_KIND_COUNT);
    return &kinds[kind];
}

static int no_memory(struct mf_pg_job *j)
{
    return mf_err_set(j->err, MF_ENOMEM, "no memory for the rows");
}

int mf_pg_entity_not_found(struct mf_pg_job *j)
{
    return mf_err_set(j->err, MF_ENOTFOUND, "no such %s",
                      mf_pg_kind(mf_pg_entity_of(j)->kind)->name);
}

int mf_pg_read_entities(struct mf_pg_job *j, const PGresult *res,
                        struct mf_pg_entities *out)
{
    size_t n = (size_t)PQntuples(res);

    *out = (struct mf_pg_entities){0};
    if (n == 0) {
        return 0;
    }
    out->rows = mf_arena_alloc(&j->req->arena, n * sizeof(*out->rows));
    if (out->rows == NULL) {
        return no_memory(j);
    }
    for (; out->n < n; out->n++) {
        struct mf_pg_row r = mf_pg_row(res, (int)out->n, j->err);
        int rc = mf_pg_read_entity(&r, &j->req->arena, &out->rows[out->n]);

        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

/* --- rows by their ids */

static int compare_slices(struct mf_slice a, struct mf_slice b)
{
    size_t n = mf_min(a.n, b.n);
    int order = n == 0 ? 0 : memcmp(a.p, b.p, n);

    return order != 0 ? order : (a.n > b.n) - (a.n < b.n);
}

static int by_id(const void *a, const void *b)
{
    return compare_slices(((const struct mf_entity *)a)->id,
                          ((const struct mf_entity *)b)->id);
}

void mf_pg_sort_entities(struct mf_pg_entities *e)
{
    if (e->n > 1) {
        qsort(e->rows, e->n, sizeof(*e->rows), by_id);
    }
}

size_t mf_pg_first_of(const struct mf_pg_entities *e, struct mf_slice id)
{
    size_t from = 0;
    size_t to = e->n;

    while (from < to) {
        size_t middle = from + (to - from) / 2;

        if (compare_slices(e->rows[middle].id, id) < 0) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from < e->n && mf_slice_eq(e->rows[from].id, id) ? from : e->n;
}

size_t mf_pg_n_asked(const struct mf_store_entity *e)
{
    return e->ids == NULL ? 1 : e->n;
}

struct mf_slice mf_pg_asked_id(const struct mf_store_entity *e, size_t i)
{
    return e->ids == NULL ? e->in.id : e->ids[i];
}

static struct mf_slice asked_at(const void *rows, size_t i)
{
    return mf_pg_asked_id(rows, i);
}

void mf_pg_add_get(struct mf_pg_job *j, enum mf_pg_stmt get)
{
    const struct mf_store_entity *e = mf_pg_entity_of(j);

    mf_pg_add(&j->round, get);
    mf_pg_text_array(&j->round, e, mf_pg_n_asked(e), asked_at);
    if (!mf_pg_kind(e->kind)->has_user) {
        return;
    }
    if (e->in.user_id.n > 0) {
        mf_pg_text_array(&j->round, &e->in, 1, mf_pg_user_at);
    } else {
        mf_pg_null(&j->round); /* of sessions: anybody's; of others: nobody's */
    }
}

int mf_pg_give_asked(struct mf_pg_job *j, struct mf_pg_entities *all, bool is_once)
{
    struct mf_store_entity *e = mf_pg_entity_of(j);
    size_t n = mf_pg_n_asked(e);
    bool *was_given;

    e->rows = NULL;
    e->n_rows = 0;
    if (e->ids == NULL && all->n == 0) {
        return mf_pg_entity_not_found(j);
    }
    if (n == 0 || all->n == 0) {
        return 0;
    }
    e->rows = mf_arena_alloc(&j->req->arena, n * sizeof(*e->rows));
    was_given = mf_arena_alloc(&j->kept, all->n * sizeof(*was_given));
    if (e->rows == NULL || was_given == NULL) {
        return no_memory(j);
    }
    memset(was_given, 0, all->n * sizeof(*was_given));
    mf_pg_sort_entities(all);
    for (size_t i = 0; i < n; i++) {
        size_t at = mf_pg_first_of(all, mf_pg_asked_id(e, i));

        if (at < all->n && !(is_once && was_given[at])) {
            e->rows[e->n_rows++] = all->rows[at];
            was_given[at] = true;
        }
    }
    return 0;
}

struct mf_slice mf_pg_id_at(const void *rows, size_t i)
{
    return ((const struct mf_entity *)rows)[i].id;
}

struct mf_slice mf_pg_user_at(const void *rows, size_t i)
{
    return ((const struct mf_entity *)rows)[i].user_id;
}

/* --- the verbs that read */

/* All rows of the answer, as they came. */
MF_WORKER static int give_all(struct mf_pg_job *j)
{
    struct mf_store_entity *e = mf_pg_entity_of(j);
    struct mf_pg_entities found;
    int rc = mf_pg_read_entities(j, mf_pg_result(j, 0), &found);

    e->rows = found.rows;
    e->n_rows = found.n;
    return rc;
}

int mf_pg_get(struct mf_pg_job *j)
{
    struct mf_store_entity *e = mf_pg_entity_of(j);
    const struct mf_pg_kind *kind = mf_pg_kind(e->kind);
    struct mf_pg_entities found;
    int rc;

    if (j->n_rounds == 0) {
        mf_pg_add_get(j, kind->get);
        return 0;
    }
    rc = mf_pg_read_entities(j, mf_pg_result(j, 0), &found);
    return rc < 0 ? rc : mf_pg_give_asked(j, &found, false);
}

int mf_pg_find(struct mf_pg_job *j)
{
    struct mf_store_entity *e = mf_pg_entity_of(j);
    const struct mf_pg_kind *kind = mf_pg_kind(e->kind);
    int rc;

    if (kind->find == NONE) {
        return mf_err_set(j->err, MF_EINVAL, "%s has no name to find it by",
                          kind->name);
    }
    if (j->n_rounds > 0) {
        rc = give_all(j);
        return rc == 0 && e->n_rows == 0 ? mf_pg_entity_not_found(j) : rc;
    }
    mf_pg_add(&j->round, kind->find);
    if (e->kind == MF_ENTITY_API_KEY) {
        mf_pg_bytes(&j->round, e->in.key_hash);
    } else {
        mf_pg_text(&j->round, e->in.name);
    }
    if (e->kind == MF_ENTITY_SESSION) {
        mf_pg_text(&j->round, e->in.user_id);
    }
    return 0;
}

/* Sessions are reached by the index that the filter allows. */
static void add_session_list(struct mf_pg_job *j, const struct mf_store_entity *e)
{
    if (e->in.user_id.n > 0) {
        mf_pg_add(&j->round, MF_PG_SESSION_LIST_OF_USER);
        mf_pg_limit(&j->round, e->limit);
        mf_pg_text(&j->round, e->in.user_id);
        mf_pg_text(&j->round, e->in.agent_id);
        return;
    }
    if (e->in.agent_id.n > 0) {
        mf_pg_add(&j->round, MF_PG_SESSION_LIST_OF_AGENT);
        mf_pg_limit(&j->round, e->limit);
        mf_pg_text(&j->round, e->in.agent_id);
        return;
    }
    mf_pg_add(&j->round, MF_PG_SESSION_LIST);
    mf_pg_limit(&j->round, e->limit);
}

int mf_pg_list(struct mf_pg_job *j)
{
    const struct mf_store_entity *e = mf_pg_entity_of(j);

    if (j->n_rounds > 0) {
        return give_all(j);
    }
    if (e->kind == MF_ENTITY_SESSION) {
        add_session_list(j, e);
        return 0;
    }
    mf_pg_add(&j->round, mf_pg_kind(e->kind)->list);
    mf_pg_limit(&j->round, e->limit);
    if (mf_pg_kind(e->kind)->has_user) {
        mf_pg_text(&j->round, e->in.user_id);
    }
    return 0;
}
