/* SPDX-License-Identifier: Apache-2.0 */
/* A question: who asks, rank, and the sessions of what was found. */
#include "engine/resolve.h"

#include "base/stat.h"

#include <string.h>

struct ask {
    struct mf_resolve resolve;
    struct mf_ask_call *c;
    struct mf_engine *e;
    struct mf_query_req q;
    struct mf_store_entity sessions; /* those of the hits that are not remembered */
    bool has_sessions;
    uint64_t n_forgotten; /* of the directory, when they were asked for */
    uint64_t began_ns;
    size_t i_session, i_agent; /* of resolve.got; 0: none */
};

MF_LOOP static void finish(struct ask *k, int rc)
{
    struct mf_ask_call *c = k->c;

    if (rc == 0) {
        mf_stat_add(MF_STAT_queries, 1);
        mf_stat_add(MF_STAT_queries_partial, c->is_partial);
        mf_stat_observe(MF_STAT_query_us, (uv_hrtime() - k->began_ns) / 1000);
    }
    mf_call_finish(&c->call, rc);
    if (k->has_sessions) {
        mf_store_req_fini(&k->sessions.req);
    }
    mf_free(k);
}

static int copy(struct mf_arena *a, struct mf_slice *out, struct mf_slice in)
{
    char *p = mf_arena_strndup(a, in.n > 0 ? in.p : "", in.n);

    *out = mf_slice_of(p, in.n);
    return p == NULL ? MF_ENOMEM : 0;
}

static const struct mf_entity *find_loaded(const struct ask *k, struct mf_slice id)
{
    for (size_t i = 0; i < k->sessions.n_rows; i++) {
        if (mf_slice_eq(k->sessions.rows[i].id, id)) {
            return &k->sessions.rows[i];
        }
    }
    return NULL;
}

MF_LOOP static int name_session(struct ask *k, struct mf_found *f)
{
    struct mf_slice id = f->hit.row.session_id;
    struct mf_arena *a = k->c->call.arena;
    const struct mf_known *s =
        mf_directory_find(k->e->directory, MF_ENTITY_SESSION, id);
    const struct mf_entity *row = s != NULL ? NULL : find_loaded(k, id);
    int rc = 0;

    if (s != NULL) {
        rc = copy(a, &f->session_name, s->name);
        return rc < 0 ? rc : copy(a, &f->agent_id, mf_id_slice(&s->agent_id));
    }
    if (row != NULL) {
        rc = copy(a, &f->session_name, row->name);
        return rc < 0 ? rc : copy(a, &f->agent_id, row->agent_id);
    }
    return 0;
}

MF_LOOP static int name_sessions(struct ask *k)
{
    struct mf_ask_call *c = k->c;

    for (size_t i = 0; i < c->n_found; i++) {
        struct mf_found *f = &c->found[i];
        int rc;

        if (f->hit.row.session_id.n == 0) {
            continue;
        }
        f->in_session = mf_slice_eq(f->hit.row.session_id, c->session_id);
        rc = name_session(k, f);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

static void on_sessions(struct mf_store_req *req, int rc)
{
    struct ask *k = mf_container_of(req, struct ask, sessions.req);

    mf_loop_assert(k->e->loop);
    if (rc < 0) {
        k->sessions.n_rows = 0;
    }
    /* A session that was deleted meanwhile must not be thought to be there. */
    if (k->n_forgotten == mf_directory_n_forgotten(k->e->directory)) {
        for (size_t i = 0; i < k->sessions.n_rows; i++) {
            mf_directory_remember(k->e->directory, MF_ENTITY_SESSION,
                                  &k->sessions.rows[i]);
        }
    }
    if (rc < 0 && rc != MF_ENOTFOUND) {
        k->c->is_partial = true; /* without the sessions' names */
    }
    finish(k, name_sessions(k));
}

static bool is_listed(const struct mf_slice *ids, size_t n, struct mf_slice id)
{
    for (size_t i = 0; i < n; i++) {
        if (mf_slice_eq(ids[i], id)) {
            return true;
        }
    }
    return false;
}

MF_LOOP static int submit_sessions(struct ask *k, enum mf_store_op op,
                                   void (*done)(struct mf_store_req *req, int rc))
{
    k->sessions.req.op = op;
    k->sessions.req.done = done;
    k->sessions.req.urgency = MF_URGENT;
    k->sessions.kind = MF_ENTITY_SESSION;
    k->has_sessions = true;
    return k->e->state == MF_ENGINE_CLOSING
               ? MF_ECLOSED
               : mf_store_submit(k->e->store, &k->sessions.req);
}

/* Sessions of the hits that memory does not have: one visit to the store for all.
 * MF_ENOTFOUND: memory has them all. */
MF_LOOP static int load_sessions(struct ask *k)
{
    struct mf_ask_call *c = k->c;
    struct mf_slice *ids =
        mf_arena_alloc(c->call.arena, (c->n_found + 1) * sizeof(*ids));
    size_t n = 0;

    if (ids == NULL) {
        return MF_ENOMEM;
    }
    for (size_t i = 0; i < c->n_found; i++) {
        struct mf_slice id = c->found[i].hit.row.session_id;

        if (id.n > 0 && !is_listed(ids, n, id) &&
            mf_directory_find(k->e->directory, MF_ENTITY_SESSION, id) == NULL) {
            ids[n++] = id;
        }
    }
    if (n == 0) {
        return MF_ENOTFOUND;
    }
    k->sessions.ids = ids;
    k->sessions.n = n;
    k->n_forgotten = mf_directory_n_forgotten(k->e->directory);
    return submit_sessions(k, MF_STORE_GET, on_sessions);
}

static void on_any_session(struct mf_store_req *req, int rc)
{
    struct ask *k = mf_container_of(req, struct ask, sessions.req);

    mf_loop_assert(k->e->loop);
    k->c->no_sessions = rc == MF_ENOTFOUND || (rc == 0 && k->sessions.n_rows == 0);
    finish(k, 0);
}

/* Nothing was found: is there a session at all where it could have been? */
MF_LOOP static void look_for_any_session(struct ask *k)
{
    k->sessions.in.user_id = k->q.user_id;
    k->sessions.in.agent_id = k->c->agent_id;
    k->sessions.limit = 1;
    if (k->c->is_partial || submit_sessions(k, MF_STORE_LIST, on_any_session) < 0) {
        finish(k, 0);
    }
}

static void on_ranked(struct mf_query_req *q, int rc)
{
    struct ask *k = mf_container_of(q, struct ask, q);
    struct mf_ask_call *c = k->c;

    mf_loop_assert(k->e->loop);
    if (rc < 0) {
        finish(k, mf_call_blame(&c->call, rc, &q->err));
        return;
    }
    c->is_partial = q->is_partial;
    c->no_vector = q->no_vector;
    c->found = mf_arena_alloc(c->call.arena, (q->n_hits + 1) * sizeof(*c->found));
    if (c->found == NULL) {
        finish(k, MF_ENOMEM);
        return;
    }
    memset(c->found, 0, (q->n_hits + 1) * sizeof(*c->found));
    c->n_found = q->n_hits;
    for (size_t i = 0; i < q->n_hits; i++) {
        c->found[i].hit = q->hits[i];
    }
    if (c->n_found == 0) {
        look_for_any_session(k);
        return;
    }
    rc = load_sessions(k);
    if (rc == 0) {
        return;
    }
    c->is_partial = c->is_partial || rc != MF_ENOTFOUND; /* without their names */
    finish(k, name_sessions(k));
}

MF_LOOP static int rank(struct ask *k)
{
    struct mf_ask_call *c = k->c;
    struct mf_query_req *q = &k->q;

    q->user_id = k->resolve.got[0].id;
    q->user_name = k->resolve.got[0].name;
    if (k->i_agent > 0) {
        q->agent_name = k->resolve.got[k->i_agent].name;
    }
    q->agent_id = c->agent_id;
    q->text = c->text;
    q->top_k = mf_min((size_t)c->top_k, (size_t)k->e->conf->recall_max_top_k);
    q->min_similarity = c->min_similarity;
    q->no_messages = c->no_messages;
    q->no_knowledge = c->no_knowledge;
    q->no_vector_leg = c->no_vector_leg;
    q->no_keyword_leg = c->no_keyword_leg;
    q->arena = c->call.arena;
    q->done = on_ranked;
    return mf_query_submit(k->e->query, q);
}

MF_LOOP static void on_agent_of_session(struct mf_resolve *r, int rc)
{
    struct ask *k = mf_container_of(r, struct ask, resolve);

    if (rc == MF_ENOTFOUND && r->i == k->i_agent) { /* deleted this moment */
        k->i_agent = 0;
        memset(&k->c->call.err, 0, sizeof(k->c->call.err));
        k->c->call.field = NULL;
        rc = 0;
    }
    if (rc == 0) {
        rc = rank(k);
    }
    if (rc < 0) {
        finish(k, rc);
    }
}

/* The session tells which agent's name counts when the question names none. */
MF_LOOP static int resolve_agent(struct ask *k)
{
    struct mf_slice user_id = k->resolve.got[0].id;
    struct mf_slice agent_id = k->resolve.got[k->i_session].agent_id;

    memset(&k->resolve, 0, sizeof(k->resolve));
    mf_resolve_want(&k->resolve, MF_ENTITY_USER, user_id);
    mf_resolve_want(&k->resolve, MF_ENTITY_AGENT, agent_id);
    k->i_agent = 1;
    mf_resolve_start(&k->resolve, &k->c->call, on_agent_of_session);
    return 0;
}

MF_LOOP static int check_session(struct ask *k)
{
    struct mf_ask_call *c = k->c;

    if (k->i_session > 0 &&
        !mf_slice_eq(k->resolve.got[k->i_session].user_id, k->resolve.got[0].id)) {
        return mf_call_fail(&c->call, MF_ENOTFOUND, "session_id",
                            "Session '%.*s' not found for user '%.*s'",
                            (int)c->session_id.n, c->session_id.p, (int)c->user_id.n,
                            c->user_id.p);
    }
    return 0;
}

MF_LOOP static void on_resolved(struct mf_resolve *r, int rc)
{
    struct ask *k = mf_container_of(r, struct ask, resolve);
    struct mf_ask_call *c = k->c;

    if (rc == MF_ENOTFOUND && k->i_session > 0 && r->i == k->i_session) {
        rc = mf_call_fail(&c->call, MF_ENOTFOUND, "session_id",
                          "Session '%.*s' not found for user '%.*s'",
                          (int)c->session_id.n, c->session_id.p, (int)c->user_id.n,
                          c->user_id.p);
    } else if (rc == MF_ENOTFOUND && k->i_agent > 0 && r->i == k->i_agent) {
        rc = mf_call_fail(&c->call, MF_ENOTFOUND, "agent_id", "Agent '%.*s' not found",
                          (int)c->agent_id.n, c->agent_id.p);
    }
    if (rc == 0) {
        rc = check_session(k);
    }
    if (rc < 0 || c->top_k <= 0) {
        finish(k, rc);
        return;
    }
    rc = k->i_agent == 0 && k->i_session > 0 ? resolve_agent(k) : rank(k);
    if (rc < 0) {
        finish(k, rc);
    }
}

int mf_engine_ask(struct mf_engine *e, struct mf_ask_call *c)
{
    int rc = mf_call_check(e, &c->call, false);
    struct ask *k;

    if (rc < 0) {
        return rc;
    }
    k = mf_calloc(1, sizeof(*k));
    if (k == NULL) {
        return mf_call_fail(&c->call, MF_ENOMEM, NULL, "out of memory");
    }
    c->found = NULL;
    c->n_found = 0;
    c->is_partial = c->no_vector = c->no_sessions = false;
    k->e = e;
    k->c = c;
    k->began_ns = uv_hrtime();
    mf_call_begin(e, &c->call);
    mf_resolve_want(&k->resolve, MF_ENTITY_USER, c->user_id);
    if (c->session_id.n > 0) {
        k->i_session = k->resolve.n;
        mf_resolve_want(&k->resolve, MF_ENTITY_SESSION, c->session_id);
    }
    if (c->agent_id.n > 0) {
        k->i_agent = k->resolve.n;
        mf_resolve_want(&k->resolve, MF_ENTITY_AGENT, c->agent_id);
    }
    mf_resolve_start(&k->resolve, &c->call, on_resolved);
    return 0;
}
