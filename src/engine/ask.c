/* SPDX-License-Identifier: Apache-2.0 */
/* A question: who asks, rank, and the sessions of what was found. */
#include "engine/away.h"
#include "engine/resolve.h"

#include "base/stat.h"

#include <string.h>

struct ask;

/* A visit to the store for sessions; a late one outlives its ask. */
struct naming {
    struct mf_store_entity req;
    struct mf_engine *e;
    struct ask *k;       /* NULL: nobody waits any more */
    struct mf_link link; /* engine.naming, while somebody does */
    uint64_t until_ms;
    uint64_t n_forgotten; /* of the directory, when it began */
    struct mf_id user_id, agent_id;
    struct mf_slice ids[]; /* behind them what they point to */
};

struct ask {
    struct mf_resolve resolve;
    struct mf_ask_call *c;
    struct mf_engine *e;
    struct mf_query_req q;
    struct naming *sessions; /* of the hits; those that are not remembered */
    uint64_t began_ns;
    size_t i_session, i_agent; /* of resolve.got; 0: none */
    bool is_unnamed;           /* the agent of the session could not be asked for */
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
    for (size_t i = 0; k->sessions != NULL && i < k->sessions->req.n_rows; i++) {
        if (mf_slice_eq(k->sessions->req.rows[i].id, id)) {
            return &k->sessions->req.rows[i];
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

    if (s == NULL && row == NULL && k->c->is_partial) {
        s = mf_directory_guess(k->e->directory, MF_ENTITY_SESSION, id);
    }
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

static void naming_free(struct naming *n)
{
    mf_store_req_fini(&n->req.req);
    mf_free(n);
}

/* The visit is over: whom it was for; NULL: nobody any more, and `n` is gone. */
MF_LOOP static struct ask *naming_over(struct naming *n)
{
    struct ask *k = n->k;

    if (k == NULL) {
        naming_free(n);
        return NULL;
    }
    mf_list_remove(&n->e->naming, &n->link);
    return k;
}

static void on_sessions(struct mf_store_req *req, int rc)
{
    struct naming *n = mf_container_of(req, struct naming, req.req);
    struct ask *k;

    mf_loop_assert(n->e->loop);
    k = naming_over(n);
    if (k == NULL) {
        return;
    }
    if (rc < 0) {
        n->req.n_rows = 0;
    }
    /* A session that was deleted meanwhile must not be thought to be there. */
    if (n->n_forgotten == mf_directory_n_forgotten(k->e->directory)) {
        for (size_t i = 0; i < n->req.n_rows; i++) {
            mf_directory_remember(k->e->directory, MF_ENTITY_SESSION, &n->req.rows[i]);
        }
    }
    if (rc < 0 && rc != MF_ENOTFOUND) {
        k->c->is_partial = true; /* without the sessions' names */
    }
    finish(k, name_sessions(k));
    naming_free(n);
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

/* All it needs is its own: it may outlive the question. */
MF_LOOP static struct naming *naming_new(struct ask *k, const struct mf_slice *ids,
                                         size_t n_ids)
{
    size_t each = sizeof(struct mf_slice) + sizeof(struct mf_id);
    struct naming *n = mf_calloc(1, sizeof(*n) + n_ids * each);
    struct mf_id *room;

    if (n == NULL) {
        return NULL;
    }
    n->e = k->e;
    n->k = k;
    n->until_ms = mf_loop_now_ms(k->e->loop) + k->e->conf->recall_store_timeout_ms;
    n->n_forgotten = mf_directory_n_forgotten(k->e->directory);
    n->req.ids = n->ids;
    room = (struct mf_id *)(void *)&n->ids[n_ids];
    for (size_t i = 0; i < n_ids; i++) {
        if (mf_id_from(&room[i], ids[i]) == 0) {
            n->ids[n->req.n++] = mf_id_slice(&room[i]);
        }
    }
    return n;
}

MF_LOOP static int naming_submit(struct naming *n, enum mf_store_op op,
                                 void (*done)(struct mf_store_req *req, int rc))
{
    struct mf_engine *e = n->e;
    int rc;

    n->req.req.op = op;
    n->req.req.done = done;
    n->req.req.urgency = MF_URGENT;
    n->req.kind = MF_ENTITY_SESSION;
    rc = e->state == MF_ENGINE_CLOSING ? MF_ECLOSED
                                       : mf_store_submit(e->store, &n->req.req);
    if (rc < 0) {
        n->k->sessions = NULL;
        mf_free(n);
        return rc;
    }
    mf_list_push_tail(&e->naming, &n->link);
    return 0;
}

void mf_ask_tick(struct mf_engine *e, uint64_t now_ms)
{
    struct mf_link *l;

    while ((l = mf_list_head(&e->naming)) != NULL) {
        struct naming *n = mf_container_of(l, struct naming, link);
        struct ask *k = n->k;

        if (n->until_ms > now_ms) {
            break;
        }
        mf_list_remove(&e->naming, &n->link);
        n->k = NULL;
        k->sessions = NULL; /* a worker may be writing into it */
        k->c->is_partial = true;
        finish(k, name_sessions(k));
    }
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
    k->sessions = naming_new(k, ids, n);
    return k->sessions == NULL ? MF_ENOMEM
                               : naming_submit(k->sessions, MF_STORE_GET, on_sessions);
}

static void on_any_session(struct mf_store_req *req, int rc)
{
    struct naming *n = mf_container_of(req, struct naming, req.req);
    struct ask *k;

    mf_loop_assert(n->e->loop);
    k = naming_over(n);
    if (k == NULL) {
        return;
    }
    k->c->no_sessions = rc == MF_ENOTFOUND || (rc == 0 && n->req.n_rows == 0);
    finish(k, 0);
    naming_free(n);
}

/* Nothing was found: is there a session at all where it could have been? */
MF_LOOP static void look_for_any_session(struct ask *k)
{
    struct naming *n = k->c->is_partial ? NULL : naming_new(k, NULL, 0);

    if (n == NULL || mf_id_from(&n->user_id, k->q.user_id) < 0 ||
        (k->c->agent_id.n > 0 && mf_id_from(&n->agent_id, k->c->agent_id) < 0)) {
        mf_free(n);
        finish(k, 0);
        return;
    }
    k->sessions = n;
    n->req.ids = NULL;
    n->req.in.user_id = mf_id_slice(&n->user_id);
    n->req.in.agent_id = mf_id_slice(&n->agent_id);
    n->req.limit = 1;
    if (naming_submit(n, MF_STORE_LIST, on_any_session) < 0) {
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
    c->is_partial = q->is_partial || k->is_unnamed;
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
    if (rc < 0 && mf_store_is_away(k->e->store, rc)) { /* without its name, then */
        k->i_agent = 0;
        k->is_unnamed = true;
        memset(&k->c->call.err, 0, sizeof(k->c->call.err));
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
