/* SPDX-License-Identifier: Apache-2.0 */
#include "store/sqlite_priv.h"

#define NONE MF_SQ_STMT_COUNT

static const struct mf_sq_kind kinds[MF_ENTITY_KIND_COUNT] = {
    [MF_ENTITY_USER] = {"user", MF_SQ_USER_GET, MF_SQ_USER_FIND, MF_SQ_USER_LIST,
                        MF_SQ_USER_PUT, MF_SQ_USER_SET, MF_SQ_USER_DROP},
    [MF_ENTITY_AGENT] = {"agent", MF_SQ_AGENT_GET, MF_SQ_AGENT_FIND, MF_SQ_AGENT_LIST,
                         MF_SQ_AGENT_PUT, MF_SQ_AGENT_SET, MF_SQ_AGENT_DROP},
    [MF_ENTITY_SESSION] = {"session", MF_SQ_SESSION_GET, MF_SQ_SESSION_FIND,
                           MF_SQ_SESSION_LIST, MF_SQ_SESSION_PUT, MF_SQ_SESSION_SET,
                           MF_SQ_SESSION_DROP},
    [MF_ENTITY_KNOWLEDGE] = {"knowledge", MF_SQ_KNOWLEDGE_GET, NONE,
                             MF_SQ_KNOWLEDGE_LIST, MF_SQ_KNOWLEDGE_PUT,
                             MF_SQ_KNOWLEDGE_SET, MF_SQ_KNOWLEDGE_DROP},
    [MF_ENTITY_API_KEY] = {"API key", MF_SQ_API_KEY_GET, MF_SQ_API_KEY_FIND,
                           MF_SQ_API_KEY_LIST, MF_SQ_API_KEY_PUT, MF_SQ_API_KEY_SET,
                           MF_SQ_API_KEY_DROP},
};

const struct mf_sq_kind *mf_sq_kind(enum mf_entity_kind kind)
{
    MF_ASSERT((unsigned)kind < MF_ENTITY_KIND_COUNT);
    return &kinds[kind];
}

static struct mf_store_entity *of_req(struct mf_store_req *req)
{
    return mf_container_of(req, struct mf_store_entity, req);
}

/* Statements differ in which of the common parameters they know. */
static bool knows(const struct mf_sq *q, int at)
{
    return sqlite3_bind_parameter_count(q->st) >= at;
}

int mf_sq_get_one(struct mf_sq_conn *c, enum mf_entity_kind kind,
                  const struct mf_entity *key, struct mf_arena *a,
                  struct mf_entity *out, struct mf_err *err)
{
    struct mf_sq q = mf_sq_begin(c, mf_sq_kind(kind)->get, err);
    int rc;

    *out = (struct mf_entity){0};
    mf_sq_bind_text(&q, 1, key->id);
    if (knows(&q, 2)) {
        mf_sq_bind_text(&q, 2, key->user_id);
    }
    rc = mf_sq_step(&q);
    if (rc == 1) {
        int read = mf_sq_read_entity(&q, a, out);

        rc = read < 0 ? read : 1;
    }
    mf_sq_end(&q);
    return rc;
}

static int get_into(struct mf_sq_conn *c, struct mf_store_entity *e, struct mf_slice id,
                    struct mf_sq_vec *rows)
{
    struct mf_store_req *req = &e->req;
    const struct mf_entity key = {.id = id, .user_id = e->in.user_id};
    struct mf_entity found;
    struct mf_entity *slot;
    int rc = mf_sq_get_one(c, e->kind, &key, &req->arena, &found, &req->err);

    if (rc <= 0) {
        return rc;
    }
    slot = mf_sq_push(rows, &req->arena, sizeof(*slot));
    if (slot == NULL) {
        return mf_err_set(&req->err, MF_ENOMEM, "no memory for the rows");
    }
    *slot = found;
    return 1;
}

static void give_rows(struct mf_store_entity *e, const struct mf_sq_vec *rows)
{
    e->rows = rows->p;
    e->n_rows = rows->n;
}

/* One that is missing is an error; of many, those found are the answer. */
int mf_sq_get(struct mf_sq_conn *c, struct mf_store_req *req)
{
    struct mf_store_entity *e = of_req(req);
    struct mf_sq_vec rows = {0};
    bool is_one = e->ids == NULL;
    int rc = 0;

    for (size_t i = 0; rc >= 0 && i < (is_one ? 1 : e->n); i++) {
        rc = get_into(c, e, is_one ? e->in.id : e->ids[i], &rows);
    }
    if (rc < 0) {
        return rc;
    }
    give_rows(e, &rows);
    return is_one && rows.n == 0 ? mf_err_set(&req->err, MF_ENOTFOUND, "no such %s",
                                              mf_sq_kind(e->kind)->name)
                                 : 0;
}

static int read_entities(struct mf_sq *q, struct mf_store_entity *e)
{
    struct mf_sq_vec rows = {0};
    int rc;

    while ((rc = mf_sq_step(q)) == 1) {
        struct mf_entity *slot = mf_sq_push(&rows, &e->req.arena, sizeof(*slot));

        rc = slot == NULL ? mf_err_set(&e->req.err, MF_ENOMEM, "no memory for the rows")
                          : mf_sq_read_entity(q, &e->req.arena, slot);
        if (rc < 0) {
            break;
        }
    }
    mf_sq_end(q);
    give_rows(e, &rows);
    return rc;
}

int mf_sq_find(struct mf_sq_conn *c, struct mf_store_req *req)
{
    struct mf_store_entity *e = of_req(req);
    const struct mf_sq_kind *kind = mf_sq_kind(e->kind);
    struct mf_sq q;
    int rc;

    if (kind->find == NONE) {
        return mf_err_set(&req->err, MF_EINVAL, "%s has no name to find it by",
                          kind->name);
    }
    q = mf_sq_begin(c, kind->find, &req->err);
    if (e->kind == MF_ENTITY_API_KEY) {
        mf_sq_bind_blob(&q, 1, e->in.key_hash);
    } else {
        mf_sq_bind_text(&q, 1, e->in.name);
    }
    if (knows(&q, 2)) {
        mf_sq_bind_text(&q, 2, e->in.user_id);
    }
    rc = read_entities(&q, e);
    if (rc < 0) {
        return rc;
    }
    return e->n_rows > 0
               ? 0
               : mf_err_set(&req->err, MF_ENOTFOUND, "no such %s", kind->name);
}

/* Sessions are reached by the index that the filter allows. */
static enum mf_sq_stmt list_statement(const struct mf_store_entity *e)
{
    if (e->kind == MF_ENTITY_SESSION && e->in.user_id.n > 0) {
        return MF_SQ_SESSION_LIST_OF_USER;
    }
    if (e->kind == MF_ENTITY_SESSION && e->in.agent_id.n > 0) {
        return MF_SQ_SESSION_LIST_OF_AGENT;
    }
    return mf_sq_kind(e->kind)->list;
}

int mf_sq_list(struct mf_sq_conn *c, struct mf_store_req *req)
{
    struct mf_store_entity *e = of_req(req);
    struct mf_sq q = mf_sq_begin(c, list_statement(e), &req->err);

    mf_sq_bind_limit(&q, 1, e->limit);
    if (knows(&q, 2)) {
        mf_sq_bind_text(&q, 2, e->in.user_id);
    }
    if (knows(&q, 3)) {
        mf_sq_bind_text(&q, 3, e->in.agent_id);
    }
    return read_entities(&q, e);
}
