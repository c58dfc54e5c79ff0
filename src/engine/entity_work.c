/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/entity_work.h"

#include <string.h>

int mf_entity_work_new(struct mf_entity_work **out, struct mf_engine *e,
                       struct mf_entity_call *c, bool is_change)
{
    int rc = mf_call_check(e, &c->call, is_change);
    struct mf_entity_work *w;

    if (rc < 0) {
        return rc;
    }
    w = mf_calloc(1, sizeof(*w));
    if (w == NULL) {
        return mf_call_fail(&c->call, MF_ENOMEM, NULL, "out of memory");
    }
    w->e = e;
    w->c = c;
    c->rows = NULL;
    c->n_rows = 0;
    mf_list_init(&w->waiters);
    mf_buf_init(&w->response);
    mf_call_begin(e, &c->call);
    *out = w;
    return 0;
}

void mf_entity_work_finish(struct mf_entity_work *w, int rc)
{
    struct mf_link *k;

    if (w->is_creating) {
        mf_list_remove(&w->e->creating, &w->link);
        w->is_creating = false;
    }
    if (w->has_settle) {
        mf_settle_end(&w->settle);
    }
    if (rc == 0 && w->has_req && w->c->rows == NULL) {
        w->c->rows = w->req.rows;
        w->c->n_rows = w->req.n_rows;
    }
    /* Who asked for the same name meanwhile gets the same row. */
    while ((k = mf_list_pop_head(&w->waiters)) != NULL) {
        struct mf_entity_work *o = mf_container_of(k, struct mf_entity_work, link);

        o->c->rows = w->c->rows;
        o->c->n_rows = w->c->n_rows;
        o->c->call.err = w->c->call.err;
        o->c->call.field = w->c->call.field;
        mf_entity_work_finish(o, rc);
    }
    if (w->in_verb) {
        MF_ASSERT(rc < 0); /* rows would be gone */
        mf_call_finish_later(&w->c->call, rc);
    } else {
        mf_call_finish(&w->c->call, rc);
    }
    if (w->has_req) {
        mf_store_req_fini(&w->req.req);
    }
    for (size_t i = 0; w->texts != NULL && i < w->n_ins; i++) {
        mf_buf_fini(&w->texts[i].search);
        mf_buf_fini(&w->texts[i].passages);
    }
    mf_free(w->texts);
    mf_buf_fini(&w->response);
    mf_free(w);
}

int mf_entity_work_submit(struct mf_entity_work *w, enum mf_store_op op,
                          void (*done)(struct mf_store_req *req, int rc))
{
    int rc;

    w->has_req = true;
    w->req.req.op = op;
    w->req.req.done = done;
    w->req.req.urgency = MF_URGENT;
    w->req.kind = w->c->kind;
    rc = w->e->state == MF_ENGINE_CLOSING ? MF_ECLOSED
                                          : mf_store_submit(w->e->store, &w->req.req);
    if (rc < 0) {
        mf_entity_work_finish(w, rc);
    }
    return rc;
}

static const char *const kind_names[] = {"User", "Agent", "Session", "Knowledge",
                                         "API key"};
static const char *const kind_fields[] = {"user_id", "agent_id", "session_id",
                                          "knowledge_id", "key_id"};

int mf_entity_not_found(struct mf_entity_work *w)
{
    struct mf_slice id = w->c->in.id;

    return mf_call_fail(&w->c->call, MF_ENOTFOUND, kind_fields[w->c->kind],
                        "%s with ID '%.*s' not found", kind_names[w->c->kind],
                        (int)mf_min(id.n, (size_t)MF_ID_MAX), id.p);
}

MF_LOOP static int name_taken(struct mf_entity_work *w)
{
    struct mf_slice name = w->n_ins > 0 ? w->ins[0].name : w->c->in.name;

    return mf_call_fail(&w->c->call, MF_EEXIST, "name",
                        "%s with name '%.*s' already exists%s", kind_names[w->c->kind],
                        (int)mf_min(name.n, (size_t)128), name.p,
                        w->c->kind == MF_ENTITY_SESSION ? " for this user" : "");
}

int mf_entity_work_blame(struct mf_entity_work *w, int rc)
{
    if (rc == MF_EEXIST) {
        return name_taken(w);
    }
    if (rc == MF_ENOTFOUND) {
        return mf_entity_not_found(w);
    }
    return mf_call_blame(&w->c->call, rc, &w->req.req.err);
}
