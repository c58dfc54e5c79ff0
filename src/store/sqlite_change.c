/* SPDX-License-Identifier: Apache-2.0 */
#include "store/sqlite_priv.h"

static struct mf_store_entity *of_req(struct mf_store_req *req)
{
    return mf_container_of(req, struct mf_store_entity, req);
}

static void give_rows(struct mf_store_entity *e, const struct mf_sq_vec *rows)
{
    e->rows = rows->p;
    e->n_rows = rows->n;
}

/* All statements that put or set an entity share these parameters; each knows them up
 * to its own last one, and at least eight. */
static void bind_entity(struct mf_sq *q, const struct mf_entity *in,
                        const struct mf_store_entity *e)
{
    int n = sqlite3_bind_parameter_count(q->st);

    mf_sq_bind_text(q, 1, in->id);
    mf_sq_bind_text(q, 2, in->user_id);
    mf_sq_bind_text(q, 3, in->agent_id);
    mf_sq_bind_text(q, 4, in->name);
    mf_sq_bind_text(q, 5, in->text);
    if (in->has_text && in->text.n == 0) {
        mf_sq_bind_empty(q, 5);
    }
    mf_sq_bind_blob(q, 6, in->key_hash);
    mf_sq_bind_int(q, 7, in->created_us);
    mf_sq_bind_int(q, 8, in->updated_us);
    if (n >= 9) {
        mf_sq_bind_int(q, 9, in->expires_us);
    }
    if (n >= 12) {
        mf_sq_bind_int(q, 10, (int64_t)in->seq);
        mf_sq_bind_blob(q, 11, in->search);
        mf_sq_bind_int(q, 12, in->is_pending);
    }
    if (n >= 13) {
        mf_sq_bind_int(q, 13, e->set_name);
    }
    if (n >= 14) {
        mf_sq_bind_int(q, 14, e->set_text);
    }
}

/* `n_changed` may be NULL. */
MF_WORKER static int run_entity(struct mf_sq_conn *c, struct mf_store_entity *e,
                                enum mf_sq_stmt id, const struct mf_entity *in,
                                size_t *n_changed)
{
    const char *kind = mf_sq_kind(e->kind)->name;
    struct mf_sq q = mf_sq_begin(c, id, &e->req.err);
    int rc;

    bind_entity(&q, in, e);
    rc = mf_sq_run(&q, n_changed);
    if (rc == MF_EEXIST) {
        return mf_err_set(&e->req.err, rc, "another %s has this %s already", kind,
                          e->kind == MF_ENTITY_API_KEY ? "key" : "name");
    }
    return rc < 0 ? mf_err_wrap(&e->req.err, rc, "%s", kind) : 0;
}

/* Adds the entity as it now stands to the answer: 1, or 0 when it is not there. */
MF_WORKER static int push_current(struct mf_sq_conn *c, struct mf_store_entity *e,
                                  const struct mf_entity *in, struct mf_sq_vec *rows)
{
    struct mf_entity found;
    struct mf_entity *slot;
    int rc = mf_sq_get_one(c, e->kind, in, &e->req.arena, &found, &e->req.err);

    if (rc <= 0) {
        return rc;
    }
    slot = mf_sq_push(rows, &e->req.arena, sizeof(*slot));
    if (slot == NULL) {
        return mf_err_set(&e->req.err, MF_ENOMEM, "no memory for the rows");
    }
    *slot = found;
    return 1;
}

static int not_found(struct mf_store_entity *e)
{
    return mf_err_set(&e->req.err, MF_ENOTFOUND, "no such %s",
                      mf_sq_kind(e->kind)->name);
}

/* --- create */

MF_WORKER static int require(struct mf_sq_conn *c, struct mf_store_entity *e,
                             enum mf_entity_kind kind, struct mf_slice id)
{
    const struct mf_entity key = {.id = id};
    struct mf_entity parent;
    int rc = mf_sq_get_one(c, kind, &key, &e->req.arena, &parent, &e->req.err);

    if (rc == 0) {
        return mf_err_set(&e->req.err, MF_ECONFLICT, "%s %.*s is not there",
                          mf_sq_kind(kind)->name, (int)mf_min(id.n, (size_t)MF_ID_MAX),
                          id.n == 0 ? "" : id.p);
    }
    return mf_min(rc, 0);
}

MF_WORKER static int require_parents(struct mf_sq_conn *c, struct mf_store_entity *e,
                                     const struct mf_entity *in)
{
    int rc;

    if (e->kind == MF_ENTITY_USER || e->kind == MF_ENTITY_AGENT) {
        return 0;
    }
    rc = require(c, e, MF_ENTITY_USER, in->user_id);
    if (rc < 0 || e->kind != MF_ENTITY_SESSION) {
        return rc;
    }
    return require(c, e, MF_ENTITY_AGENT, in->agent_id);
}

static bool is_same(const struct mf_entity *a, const struct mf_entity *b)
{
    return mf_slice_eq(a->user_id, b->user_id) &&
           mf_slice_eq(a->agent_id, b->agent_id) && mf_slice_eq(a->name, b->name) &&
           mf_slice_eq(a->text, b->text) && mf_slice_eq(a->key_hash, b->key_hash);
}

/* A request sent again, for its answer was lost, finds what it made: 1. */
MF_WORKER static int is_made_already(struct mf_sq_conn *c, struct mf_store_entity *e,
                                     const struct mf_entity *in)
{
    struct mf_entity key = {.id = in->id, .user_id = in->user_id};
    struct mf_entity found;
    int rc;

    if (e->kind == MF_ENTITY_SESSION) {
        key.user_id = (struct mf_slice){NULL, 0}; /* its id is one for all users */
    }
    rc = mf_sq_get_one(c, e->kind, &key, &e->req.arena, &found, &e->req.err);

    if (rc <= 0 || is_same(in, &found)) {
        return rc;
    }
    return mf_err_set(&e->req.err, MF_EEXIST, "another %s has this id already",
                      mf_sq_kind(e->kind)->name);
}

MF_WORKER static int create_one(struct mf_sq_conn *c, struct mf_store_entity *e,
                                const struct mf_entity *in, struct mf_sq_vec *rows)
{
    int rc = is_made_already(c, e, in);

    if (rc == 0) {
        rc = require_parents(c, e, in);
        rc = rc < 0 ? rc : run_entity(c, e, mf_sq_kind(e->kind)->put, in, NULL);
    }
    return rc < 0 ? rc : push_current(c, e, in, rows);
}

int mf_sq_create(struct mf_sq_conn *c, struct mf_store_req *req)
{
    struct mf_store_entity *e = of_req(req);
    struct mf_sq_vec rows = {0};
    uint64_t next_seq = 0;
    int rc = 0;

    for (size_t i = 0; rc >= 0 && i < e->n_ins; i++) {
        rc = create_one(c, e, &e->ins[i], &rows);
        if (e->kind == MF_ENTITY_KNOWLEDGE) {
            next_seq = mf_max(next_seq, e->ins[i].seq + 1);
        }
    }
    if (rc >= 0 && e->idem != NULL) {
        rc = mf_sq_idem_put(c, e->idem, &req->err);
    }
    if (rc < 0) {
        return rc;
    }
    give_rows(e, &rows);
    return mf_sq_add_totals(c, next_seq, 0, &req->err);
}

/* --- update */

MF_WORKER static int update_knowledge(struct mf_sq_conn *c, struct mf_store_entity *e,
                                      struct mf_sq_vec *rows)
{
    for (size_t i = 0; i < e->n_ins; i++) {
        size_t n = 0;
        int rc = run_entity(c, e, MF_SQ_KNOWLEDGE_SET, &e->ins[i], &n);

        if (rc == 0 && n > 0) {
            rc = push_current(c, e, &e->ins[i], rows);
        }
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

MF_WORKER static int update_named(struct mf_sq_conn *c, struct mf_store_entity *e,
                                  struct mf_sq_vec *rows)
{
    struct mf_entity before;
    int rc = mf_sq_get_one(c, e->kind, &e->in, &e->req.arena, &before, &e->req.err);

    if (rc <= 0) {
        return rc < 0 ? rc : not_found(e);
    }
    rc = run_entity(c, e, mf_sq_kind(e->kind)->set, &e->in, NULL);
    return rc < 0 ? rc : push_current(c, e, &e->in, rows);
}

int mf_sq_update(struct mf_sq_conn *c, struct mf_store_req *req)
{
    struct mf_store_entity *e = of_req(req);
    struct mf_sq_vec rows = {0};
    int rc = e->kind == MF_ENTITY_KNOWLEDGE ? update_knowledge(c, e, &rows)
                                            : update_named(c, e, &rows);

    if (rc < 0) {
        return rc;
    }
    give_rows(e, &rows);
    return 0;
}

/* --- delete */

/* Runs a statement whose parameters are ids. */
MF_WORKER static int drop(struct mf_sq_conn *c, enum mf_sq_stmt id, struct mf_slice a,
                          struct mf_slice b, size_t *n, struct mf_err *err)
{
    struct mf_sq q = mf_sq_begin(c, id, err);

    mf_sq_bind_text(&q, 1, a);
    if (sqlite3_bind_parameter_count(q.st) >= 2) {
        mf_sq_bind_text(&q, 2, b);
    }
    return mf_sq_run(&q, n);
}

MF_WORKER static int drop_session_rows(struct mf_sq_conn *c, struct mf_slice user_id,
                                       struct mf_slice session_id, size_t *n_messages,
                                       struct mf_err *err)
{
    size_t n = 0;
    int rc = drop(c, MF_SQ_SESSION_DROP_PASSAGES, user_id, session_id, NULL, err);

    rc = rc < 0 ? rc
                : drop(c, MF_SQ_SESSION_DROP_MESSAGES, user_id, session_id, &n, err);
    *n_messages += n;
    return rc;
}

/* The sessions that an owner takes along, into e->sessions. */
MF_WORKER static int list_sessions(struct mf_sq_conn *c, struct mf_store_entity *e,
                                   const struct mf_entity *owner, struct mf_sq_vec *out)
{
    bool is_user = e->kind == MF_ENTITY_USER;
    struct mf_sq q = mf_sq_begin(
        c, is_user ? MF_SQ_SESSION_LIST_OF_USER : MF_SQ_SESSION_LIST_OF_AGENT,
        &e->req.err);
    int rc;

    mf_sq_bind_limit(&q, 1, 0);
    if (is_user) {
        mf_sq_bind_text(&q, 2, owner->id);
    } else {
        mf_sq_bind_text(&q, 3, owner->id);
    }
    while ((rc = mf_sq_step(&q)) == 1) {
        struct mf_entity *slot = mf_sq_push(out, &e->req.arena, sizeof(*slot));

        rc = slot == NULL ? mf_err_set(&e->req.err, MF_ENOMEM, "no memory for the rows")
                          : mf_sq_read_entity(&q, &e->req.arena, slot);
        if (rc < 0) {
            break;
        }
    }
    mf_sq_end(&q);
    return rc;
}

MF_WORKER static int drop_user_rows(struct mf_sq_conn *c, const struct mf_entity *user,
                                    size_t *n_messages, struct mf_err *err)
{
    static const enum mf_sq_stmt others[] = {
        MF_SQ_USER_DROP_SESSIONS,
        MF_SQ_USER_DROP_PASSAGES,
        MF_SQ_USER_DROP_KNOWLEDGE,
        MF_SQ_USER_DROP_API_KEYS,
    };
    struct mf_slice none = {NULL, 0};
    size_t n = 0;
    int rc = drop(c, MF_SQ_USER_DROP_MESSAGES, user->id, none, &n, err);

    *n_messages += n;
    for (size_t i = 0; rc == 0 && i < mf_countof(others); i++) {
        rc = drop(c, others[i], user->id, none, NULL, err);
    }
    return rc;
}

/* `sessions`: those from `from` on belong to the agent that goes. */
MF_WORKER static int drop_agent_rows(struct mf_sq_conn *c,
                                     const struct mf_sq_vec *sessions, size_t from,
                                     size_t *n_messages, struct mf_err *err)
{
    const struct mf_entity *list = sessions->p;
    int rc = 0;

    for (size_t i = from; rc == 0 && i < sessions->n; i++) {
        rc = drop_session_rows(c, list[i].user_id, list[i].id, n_messages, err);
        rc = rc < 0
                 ? rc
                 : drop(c, MF_SQ_SESSION_DROP, list[i].id, list[i].user_id, NULL, err);
    }
    return rc;
}

MF_WORKER static int drop_dependents(struct mf_sq_conn *c, struct mf_store_entity *e,
                                     const struct mf_entity *row,
                                     struct mf_sq_vec *sessions, size_t *n_messages)
{
    size_t from = sessions->n;
    int rc;

    if (e->kind == MF_ENTITY_SESSION) {
        return drop_session_rows(c, row->user_id, row->id, n_messages, &e->req.err);
    }
    if (e->kind != MF_ENTITY_USER && e->kind != MF_ENTITY_AGENT) {
        return 0;
    }
    rc = list_sessions(c, e, row, sessions);
    if (rc < 0) {
        return rc;
    }
    return e->kind == MF_ENTITY_USER
               ? drop_user_rows(c, row, n_messages, &e->req.err)
               : drop_agent_rows(c, sessions, from, n_messages, &e->req.err);
}

/* 1 when it was there. */
MF_WORKER static int delete_one(struct mf_sq_conn *c, struct mf_store_entity *e,
                                struct mf_slice id, struct mf_sq_vec *rows,
                                struct mf_sq_vec *sessions, size_t *n_messages)
{
    const struct mf_entity key = {.id = id, .user_id = e->in.user_id};
    const struct mf_entity *row;
    int rc = push_current(c, e, &key, rows);

    if (rc <= 0) {
        return rc;
    }
    row = (const struct mf_entity *)rows->p + rows->n - 1;
    rc = drop_dependents(c, e, row, sessions, n_messages);
    rc = rc < 0
             ? rc
             : drop(c, mf_sq_kind(e->kind)->drop, id, row->user_id, NULL, &e->req.err);
    return rc < 0 ? rc : 1;
}

int mf_sq_delete(struct mf_sq_conn *c, struct mf_store_req *req)
{
    struct mf_store_entity *e = of_req(req);
    struct mf_sq_vec rows = {0};
    struct mf_sq_vec sessions = {0};
    bool is_one = e->ids == NULL;
    size_t n_messages = 0;
    int rc = 0;

    for (size_t i = 0; rc >= 0 && i < (is_one ? 1 : e->n); i++) {
        rc = delete_one(c, e, is_one ? e->in.id : e->ids[i], &rows, &sessions,
                        &n_messages);
    }
    if (rc < 0) {
        return rc;
    }
    if (is_one && rows.n == 0) {
        return not_found(e);
    }
    give_rows(e, &rows);
    e->sessions = sessions.p;
    e->n_sessions = sessions.n;
    return mf_sq_add_totals(c, 0, -(int64_t)n_messages, &req->err);
}
