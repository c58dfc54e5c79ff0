/* SPDX-License-Identifier: Apache-2.0 */
/* Users, agents, sessions, knowledge, keys: creating. */
#include "engine/entity_work.h"

#include "base/wallclock.h"
#include "engine/keyids.h"

#include <stdio.h>
#include <string.h>

MF_LOOP static void show_knowledge(struct mf_engine *e, const struct mf_entity *row)
{
    if (e->state == MF_ENGINE_CLOSING) {
        return; /* nobody will ask */
    }
    mf_library_put(e->library, row->user_id, row->seq, mf_slice_of(NULL, 0),
                   mf_slice_of(NULL, 0), row->search);
    if (row->is_pending) {
        mf_index_expect_pending(e->index);
    }
}

/* What a request that was sent again finds is older than what it would have made. */
static void take_rows(struct mf_entity_work *w)
{
    for (size_t i = 0; w->req.n_rows == w->n_ins && i < w->n_ins; i++) {
        w->ins[i].seq = w->req.rows[i].seq;
        w->ins[i].created_us = w->req.rows[i].created_us;
        w->ins[i].updated_us = w->req.rows[i].updated_us;
    }
}

static void on_created(struct mf_store_req *req, int rc)
{
    struct mf_entity_work *w = mf_container_of(req, struct mf_entity_work, req.req);
    struct mf_entity_call *c = w->c;

    mf_loop_assert(w->e->loop);
    if (rc == MF_ECONFLICT) { /* the user or agent went meanwhile */
        mf_directory_forget(w->e->directory, MF_ENTITY_USER, w->ins[0].user_id);
        mf_directory_forget(w->e->directory, MF_ENTITY_AGENT, w->ins[0].agent_id);
        rc = mf_call_fail(&c->call, MF_ENOTFOUND, "user_id", "%s",
                          req->err.msg[0] != '\0' ? req->err.msg
                                                  : "the user or agent is gone");
    } else if (rc < 0) {
        rc = mf_entity_work_blame(w, rc);
    }
    if (rc == 0) {
        take_rows(w);
    }
    for (size_t i = 0; rc == 0 && i < w->n_ins; i++) {
        const struct mf_entity *row = &w->ins[i];

        if (c->kind == MF_ENTITY_KNOWLEDGE) {
            show_knowledge(w->e, row);
        } else {
            mf_directory_remember(w->e->directory, c->kind, row);
        }
    }
    if (rc == 0) {
        c->rows = w->ins;
        c->n_rows = w->n_ins;
    }
    mf_entity_work_finish(w, rc);
}

static int record_answer(struct mf_entity_work *w)
{
    struct mf_entity_call *c = w->c;

    if (c->idem_key.n == 0 || c->format == NULL) {
        return 0;
    }
    w->idem.key = c->idem_key;
    memcpy(w->idem.body_hash, c->idem_hash, sizeof(w->idem.body_hash));
    w->idem.created_us = mf_wallclock_us();
    w->idem.status = c->format(c, w->ins, w->n_ins, &w->response);
    w->idem.response = mf_slice_of(w->response.p, w->response.n);
    w->req.idem = &w->idem;
    return mf_buf_status(&w->response);
}

/* A user that is being deleted gets nothing new. */
MF_LOOP static int check_open(struct mf_entity_work *w)
{
    const struct mf_entity *row = &w->ins[0];

    if (w->c->kind == MF_ENTITY_USER || w->c->kind == MF_ENTITY_AGENT ||
        !mf_settle_is_closing(w->e, row->user_id, mf_slice_of("", 0), row->agent_id)) {
        return 0;
    }
    return mf_call_fail(&w->c->call, MF_ENOTFOUND, "user_id",
                        "User with ID '%.*s' not found", (int)row->user_id.n,
                        row->user_id.p);
}

MF_LOOP static void store_rows(struct mf_entity_work *w)
{
    int rc = check_open(w);

    if (rc == 0) {
        rc = record_answer(w);
    }
    if (rc < 0) {
        mf_entity_work_finish(w, rc);
        return;
    }
    w->req.ins = w->ins;
    w->req.n_ins = w->n_ins;
    (void)mf_entity_work_submit(w, MF_STORE_CREATE, on_created);
}

/* ---- rows ---- */

/* Of an Idempotency-Key: the same whenever and wherever this request comes. */
static int draw_id(const struct mf_entity_call *c, size_t i, struct mf_id *out)
{
    struct mf_keyids k;
    int rc;

    if (c->idem_key.n == 0) {
        mf_id_new_v4(out);
        return 0;
    }
    rc = mf_keyids_init(&k, c->idem_key, c->idem_hash);
    return rc < 0 ? rc : mf_keyids_make(&k, (uint32_t)i, out);
}

static int make_id(const struct mf_entity_call *c, size_t i, struct mf_slice *out)
{
    struct mf_id id;
    char *copy;

    if (draw_id(c, i, &id) < 0) {
        return MF_ENOMEM;
    }
    copy = mf_arena_strndup(c->call.arena, id.s, id.n);
    *out = mf_slice_of(copy, id.n);
    return copy == NULL ? MF_ENOMEM : 0;
}

static int fill_ids(struct mf_entity_work *w)
{
    struct mf_entity_call *c = w->c;
    struct mf_arena *a = c->call.arena;
    int64_t now = mf_wallclock_us();

    w->n_ins = c->n_ins;
    w->ins = mf_arena_alloc(a, (c->n_ins + 1) * sizeof(*w->ins));
    if (w->ins == NULL) {
        return MF_ENOMEM;
    }
    for (size_t i = 0; i < c->n_ins; i++) {
        struct mf_entity *row = &w->ins[i];

        *row = c->ins[i];
        row->created_us = row->updated_us = now;
        if (c->kind == MF_ENTITY_KNOWLEDGE || c->kind == MF_ENTITY_API_KEY) {
            row->user_id = w->resolve.got[0].id; /* whose it is was checked there */
        }
        if (row->id.n == 0 && make_id(c, i, &row->id) < 0) {
            return MF_ENOMEM;
        }
    }
    return 0;
}

/* "{user}-{agent}-{first 8 hex digits of a UUID}", as MemFuse does. */
static int make_session_name(struct mf_entity_work *w)
{
    const struct mf_resolved *user = &w->resolve.got[0], *agent = &w->resolve.got[1];
    size_t cap = user->name.n + agent->name.n + 16;
    char *name = mf_arena_alloc(w->c->call.arena, cap);
    struct mf_id id;
    int n;

    if (name == NULL || draw_id(w->c, w->n_ins, &id) < 0) {
        return MF_ENOMEM;
    }
    n = snprintf(name, cap, "%.*s-%.*s-%.8s", (int)user->name.n, user->name.p,
                 (int)agent->name.n, agent->name.p, id.s);
    w->ins[0].name = mf_slice_of(name, n < 0 ? 0 : (size_t)n);
    return 0;
}

MF_LOOP static void on_knowledge_made(struct mf_index_job *j, int rc)
{
    struct mf_entity_work *w = mf_container_of(j, struct mf_entity_work, job);

    for (size_t i = 0; rc == 0 && i < w->n_ins; i++) {
        w->ins[i].search = mf_slice_of(w->texts[i].search.p, w->texts[i].search.n);
        w->ins[i].is_pending = !w->texts[i].has_vector;
        w->ins[i].seq = mf_engine_take_seqs(w->e, 1);
    }
    if (rc < 0) {
        mf_entity_work_finish(w, rc);
        return;
    }
    store_rows(w);
}

MF_LOOP static int make_knowledge(struct mf_entity_work *w)
{
    w->texts = mf_calloc(w->n_ins, sizeof(*w->texts));
    if (w->texts == NULL) {
        return MF_ENOMEM;
    }
    for (size_t i = 0; i < w->n_ins; i++) {
        w->texts[i] = (struct mf_index_text){.text = w->ins[i].text,
                                             .is_knowledge = true,
                                             .created_us = w->ins[i].created_us};
    }
    w->job.texts = w->texts;
    w->job.n = w->n_ins;
    w->job.done = on_knowledge_made;
    return mf_index_texts(w->e->index, &w->job);
}

/* ---- the same name at the same moment ---- */

static struct mf_entity_work *find_creator(struct mf_entity_work *w)
{
    const struct mf_entity *row = &w->ins[0];

    mf_list_each (&w->e->creating, k) {
        struct mf_entity_work *o = mf_container_of(k, struct mf_entity_work, link);

        if (o->c->kind == w->c->kind && mf_slice_eq(o->ins[0].name, row->name) &&
            (w->c->kind != MF_ENTITY_SESSION ||
             mf_slice_eq(o->ins[0].user_id, row->user_id))) {
            return o;
        }
    }
    return NULL;
}

MF_LOOP static void create_named(struct mf_entity_work *w)
{
    struct mf_entity_work *first = find_creator(w);

    if (first != NULL) {
        mf_list_push_tail(&first->waiters, &w->link);
        return;
    }
    mf_list_push_tail(&w->e->creating, &w->link);
    w->is_creating = true;
    store_rows(w);
}

MF_LOOP static void on_resolved(struct mf_resolve *r, int rc)
{
    struct mf_entity_work *w = mf_container_of(r, struct mf_entity_work, resolve);

    if (rc == 0) {
        rc = fill_ids(w);
    }
    if (rc < 0 || w->n_ins == 0) {
        mf_entity_work_finish(w, rc);
        return;
    }
    switch (w->c->kind) {
    case MF_ENTITY_KNOWLEDGE: rc = make_knowledge(w); break;
    case MF_ENTITY_API_KEY: store_rows(w); return;
    case MF_ENTITY_SESSION:
        rc = w->ins[0].name.n == 0 ? make_session_name(w) : 0;
        if (rc == 0) {
            create_named(w);
            return;
        }
        break;
    case MF_ENTITY_USER:
    case MF_ENTITY_AGENT: create_named(w); return;
    }
    if (rc < 0) {
        mf_entity_work_finish(w, rc);
    }
}

MF_LOOP static int check_rights(struct mf_entity_call *c)
{
    if (c->kind == MF_ENTITY_USER && !c->call.scope->is_admin) {
        return mf_call_fail(&c->call, MF_EFORBIDDEN, "name",
                            "only the administrator may create users");
    }
    return 0;
}

int mf_engine_entity_create(struct mf_engine *e, struct mf_entity_call *c)
{
    int rc = check_rights(c);
    struct mf_entity_work *w = NULL;

    if (rc == 0) {
        rc = mf_entity_work_new(&w, e, c, true);
    }
    if (w == NULL) {
        return rc;
    }
    if (c->kind == MF_ENTITY_KNOWLEDGE || c->kind == MF_ENTITY_API_KEY) {
        mf_resolve_want(&w->resolve, MF_ENTITY_USER, c->in.user_id);
    } else if (c->kind == MF_ENTITY_SESSION) {
        MF_ASSERT(c->n_ins == 1);
        mf_resolve_want(&w->resolve, MF_ENTITY_USER, c->ins[0].user_id);
        mf_resolve_want(&w->resolve, MF_ENTITY_AGENT, c->ins[0].agent_id);
    }
    mf_resolve_start(&w->resolve, &c->call, on_resolved);
    return 0;
}
