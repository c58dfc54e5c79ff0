/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/resolve.h"

#include <string.h>

void mf_resolve_want(struct mf_resolve *r, enum mf_entity_kind kind, struct mf_slice id)
{
    MF_ASSERT(r->n < MF_RESOLVE_MAX);
    r->want[r->n].kind = kind;
    r->want[r->n].id = id;
    r->n++;
}

MF_LOOP static int not_found(struct mf_resolve *r)
{
    static const char *const names[] = {"User", "Agent", "Session", "Knowledge",
                                        "API key"};
    static const char *const fields[] = {"user_id", "agent_id", "session_id",
                                         "knowledge_id", "key_id"};
    enum mf_entity_kind kind = r->want[r->i].kind;
    struct mf_slice id = r->want[r->i].id;

    return mf_call_fail(r->call, MF_ENOTFOUND, fields[kind],
                        "%s with ID '%.*s' not found", names[kind],
                        (int)mf_min(id.n, (size_t)MF_ID_MAX), id.p);
}

static int copy(struct mf_arena *a, struct mf_slice *out, struct mf_slice in)
{
    char *p = mf_arena_strndup(a, in.n > 0 ? in.p : "", in.n);

    *out = mf_slice_of(p, in.n);
    return p == NULL ? MF_ENOMEM : 0;
}

/* Foreign and unknown look the same. Agents are everybody's. */
static bool is_in_scope(const struct mf_resolve *r, const struct mf_known *k)
{
    switch (k->kind) {
    case MF_ENTITY_USER: return mf_scope_covers(r->call->scope, mf_id_slice(&k->id));
    case MF_ENTITY_AGENT: return true;
    case MF_ENTITY_SESSION:
    case MF_ENTITY_KNOWLEDGE:
    case MF_ENTITY_API_KEY: break;
    }
    return mf_scope_covers(r->call->scope, mf_id_slice(&k->user_id));
}

MF_LOOP static int take(struct mf_resolve *r, const struct mf_known *k)
{
    struct mf_resolved *g = &r->got[r->i];
    struct mf_arena *a = r->call->arena;

    if (!is_in_scope(r, k)) {
        return not_found(r);
    }
    if (copy(a, &g->id, mf_id_slice(&k->id)) < 0 ||
        copy(a, &g->user_id, mf_id_slice(&k->user_id)) < 0 ||
        copy(a, &g->agent_id, mf_id_slice(&k->agent_id)) < 0 ||
        copy(a, &g->name, k->name) < 0) {
        return MF_ENOMEM;
    }
    r->i++;
    return 0;
}

static void on_known(struct mf_directory_wait *w, int rc, const struct mf_known *k);

/* As far as memory goes. 1: the store was asked. */
MF_LOOP static int advance(struct mf_resolve *r)
{
    struct mf_directory *d = r->call->engine->directory;

    while (r->i < r->n) {
        const struct mf_known *k =
            mf_directory_find(d, r->want[r->i].kind, r->want[r->i].id);
        int rc;

        if (k == NULL) {
            r->wait.done = on_known;
            rc = mf_directory_load(d, r->want[r->i].kind, r->want[r->i].id, &r->wait);
            return rc == 0              ? 1
                   : rc == MF_ENOTFOUND ? not_found(r)
                                        : mf_call_blame(r->call, rc, &r->wait.err);
        }
        rc = take(r, k);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

/* What comes next would meet rooms that are closed. */
static bool is_too_late(const struct mf_resolve *r)
{
    return r->call->engine->state == MF_ENGINE_CLOSING;
}

MF_LOOP static void on_known(struct mf_directory_wait *w, int rc,
                             const struct mf_known *k)
{
    struct mf_resolve *r = mf_container_of(w, struct mf_resolve, wait);

    if (is_too_late(r)) {
        rc = MF_ECLOSED;
    } else if (rc == MF_ENOTFOUND) {
        rc = not_found(r);
    } else if (rc < 0) {
        rc = mf_call_blame(r->call, rc, &w->err);
    } else {
        rc = take(r, k);
    }
    if (rc == 0) {
        rc = advance(r);
    }
    if (rc <= 0) {
        r->done(r, rc);
    }
}

static void on_turn_end(struct mf_turn_hook *h)
{
    struct mf_resolve *r = mf_container_of(h, struct mf_resolve, hook);

    mf_loop_assert(r->call->engine->loop);
    r->done(r, is_too_late(r) ? MF_ECLOSED : r->rc);
}

void mf_resolve_start(struct mf_resolve *r, struct mf_call *c,
                      void (*done)(struct mf_resolve *r, int rc))
{
    r->call = c;
    r->done = done;
    r->i = 0;
    memset(&r->hook, 0, sizeof(r->hook));
    r->rc = advance(r);
    if (r->rc <= 0) {
        r->hook.fn = on_turn_end;
        mf_loop_at_turn_end(c->engine->loop, &r->hook);
    }
}
