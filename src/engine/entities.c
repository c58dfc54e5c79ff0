/* SPDX-License-Identifier: Apache-2.0 */
/* Users, agents, sessions, knowledge, keys: reading, changing, deleting. */
#include "engine/entity_work.h"

#include "base/log.h"
#include "base/wallclock.h"

#include <string.h>

/* Foreign rows are not there. Agents are everybody's to see. */
static bool is_visible(const struct mf_entity_work *w, const struct mf_entity *row)
{
    const struct mf_scope *s = w->c->call.scope;

    switch (w->c->kind) {
    case MF_ENTITY_AGENT: return true;
    case MF_ENTITY_USER: return mf_scope_covers(s, row->id);
    case MF_ENTITY_API_KEY:
    case MF_ENTITY_SESSION:
    case MF_ENTITY_KNOWLEDGE: break;
    }
    return mf_scope_covers(s, row->user_id);
}

static void drop_foreign(struct mf_entity_work *w)
{
    size_t n = 0;

    for (size_t i = 0; i < w->req.n_rows; i++) {
        if (is_visible(w, &w->req.rows[i])) {
            w->req.rows[n++] = w->req.rows[i];
        }
    }
    w->req.n_rows = n;
}

MF_LOOP static int no_such_name(struct mf_entity_work *w)
{
    static const char *const names[] = {"User", "Agent", "Session", "Knowledge",
                                        "API key"};
    struct mf_slice name = w->c->in.name, user = w->c->in.user_id;

    return mf_call_fail(
        &w->c->call, MF_ENOTFOUND, "name", "%s with name '%.*s' not found%s%.*s%s",
        names[w->c->kind], (int)mf_min(name.n, (size_t)128), name.p,
        user.n > 0 ? " for user '" : "", (int)mf_min(user.n, (size_t)MF_ID_MAX), user.p,
        user.n > 0 ? "'" : "");
}

static void on_got(struct mf_store_req *req, int rc)
{
    struct mf_entity_work *w = mf_container_of(req, struct mf_entity_work, req.req);

    mf_loop_assert(w->e->loop);
    if (rc == MF_ENOTFOUND) {
        rc = 0;
        w->req.n_rows = 0;
    }
    if (rc < 0) {
        mf_entity_work_finish(w, mf_entity_work_blame(w, rc));
        return;
    }
    drop_foreign(w);
    if (w->req.n_rows == 0 && w->req.req.op == MF_STORE_FIND) {
        rc = no_such_name(w);
    } else if (w->req.n_rows == 0 && w->req.req.op == MF_STORE_GET &&
               w->c->n_ids == 0) {
        rc = mf_entity_not_found(w);
    }
    mf_entity_work_finish(w, rc);
}

/* The one step of a verb, taken before it returned. */
MF_LOOP static void submit_in_verb(struct mf_entity_work *w, enum mf_store_op op)
{
    int rc;

    w->in_verb = true;
    rc = mf_entity_work_submit(w, op, on_got);
    if (rc == 0) {
        w->in_verb = false;
    }
}

int mf_engine_entity_get(struct mf_engine *e, struct mf_entity_call *c)
{
    struct mf_entity_work *w = NULL;
    int rc = mf_entity_work_new(&w, e, c, false);

    if (w == NULL) {
        return rc;
    }
    w->req.in = c->in;
    w->req.ids = c->ids;
    w->req.n = c->n_ids;
    submit_in_verb(w, MF_STORE_GET);
    return 0;
}

int mf_engine_entity_find(struct mf_engine *e, struct mf_entity_call *c)
{
    struct mf_entity_work *w = NULL;
    int rc = mf_entity_work_new(&w, e, c, false);

    if (w == NULL) {
        return rc;
    }
    w->req.in = c->in;
    if (c->kind == MF_ENTITY_SESSION && c->in.user_id.n == 0 &&
        !c->call.scope->is_admin) {
        w->req.in.user_id = mf_id_slice(&c->call.scope->user_id);
    }
    submit_in_verb(w, MF_STORE_FIND);
    return 0;
}

MF_LOOP static void on_list_resolved(struct mf_resolve *r, int rc)
{
    struct mf_entity_work *w = mf_container_of(r, struct mf_entity_work, resolve);

    if (rc < 0) {
        mf_entity_work_finish(w, rc);
        return;
    }
    w->req.in = w->c->in;
    if (w->c->kind != MF_ENTITY_USER && w->c->kind != MF_ENTITY_AGENT &&
        w->c->in.user_id.n == 0 && !w->c->call.scope->is_admin) {
        w->req.in.user_id = mf_id_slice(&w->c->call.scope->user_id);
    }
    (void)mf_entity_work_submit(w, MF_STORE_LIST, on_got);
}

int mf_engine_entity_list(struct mf_engine *e, struct mf_entity_call *c)
{
    struct mf_entity_work *w = NULL;
    int rc = mf_entity_work_new(&w, e, c, false);

    if (w == NULL) {
        return rc;
    }
    if (c->in.user_id.n > 0) {
        mf_resolve_want(&w->resolve, MF_ENTITY_USER, c->in.user_id);
    }
    if (c->in.agent_id.n > 0) {
        mf_resolve_want(&w->resolve, MF_ENTITY_AGENT, c->in.agent_id);
    }
    mf_resolve_start(&w->resolve, &c->call, on_list_resolved);
    return 0;
}

/* ---- update ---- */

MF_LOOP static void show_changed(struct mf_engine *e, const struct mf_entity *row)
{
    if (e->state == MF_ENGINE_CLOSING) {
        return; /* nobody will ask */
    }
    mf_library_replaced(e->library, row->user_id, row->seq, row->search);
    if (row->is_pending) {
        mf_index_expect_pending(e->index);
    }
}

static void on_updated(struct mf_store_req *req, int rc)
{
    struct mf_entity_work *w = mf_container_of(req, struct mf_entity_work, req.req);

    mf_loop_assert(w->e->loop);
    if (rc < 0) {
        mf_entity_work_finish(w, mf_entity_work_blame(w, rc));
        return;
    }
    for (size_t i = 0; i < w->req.n_rows; i++) {
        const struct mf_entity *row = &w->req.rows[i];

        mf_directory_forget(w->e->directory, w->c->kind, row->id);
        if (w->c->kind == MF_ENTITY_KNOWLEDGE) {
            show_changed(w->e, row);
        }
    }
    mf_entity_work_finish(w, 0);
}

MF_LOOP static void on_knowledge_made(struct mf_index_job *j, int rc)
{
    struct mf_entity_work *w = mf_container_of(j, struct mf_entity_work, job);

    if (rc < 0) {
        mf_entity_work_finish(w, rc);
        return;
    }
    for (size_t i = 0; i < w->n_ins; i++) {
        struct mf_entity *row = &w->ins[i];

        row->updated_us = mf_max(mf_wallclock_us(), row->updated_us + 1);
        row->search = mf_slice_of(w->texts[i].search.p, w->texts[i].search.n);
        row->is_pending = !w->texts[i].has_vector;
    }
    /* The rows that were read stay until the end: ins point into their arena. */
    w->req.ins = w->ins;
    w->req.n_ins = w->n_ins;
    w->req.in.user_id = w->c->in.user_id;
    w->req.set_text = true;
    w->req.rows = NULL;
    w->req.n_rows = 0;
    (void)mf_entity_work_submit(w, MF_STORE_UPDATE, on_updated);
}

static int copy_slice(struct mf_arena *a, struct mf_slice *s)
{
    char *p = mf_arena_strndup(a, s->n > 0 ? s->p : "", s->n);

    s->p = p;
    return p == NULL ? MF_ENOMEM : 0;
}

/* Those items that exist, with their new texts. */
static int choose_items(struct mf_entity_work *w)
{
    struct mf_arena *a = w->c->call.arena;
    size_t n = w->req.n_rows;
    struct mf_idset set;

    if (mf_idset_build(&set, a, w->c->ids, mf_min(w->c->n_ids, w->c->n_ins)) < 0) {
        return MF_ENOMEM;
    }
    w->ins = mf_arena_alloc(a, (n + 1) * sizeof(*w->ins));
    w->texts = mf_calloc(n + 1, sizeof(*w->texts));
    if (w->ins == NULL || w->texts == NULL) {
        return MF_ENOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        struct mf_entity *row = &w->ins[w->n_ins];
        size_t at = mf_idset_find(&set, w->req.rows[i].id);

        if (at == MF_IDSET_NONE) {
            continue;
        }
        *row = w->req.rows[i];
        row->text = w->c->ins[at].text;
        row->has_text = true;
        row->name = row->agent_id = row->key_hash = mf_slice_of(NULL, 0);
        if (copy_slice(a, &row->id) < 0 || copy_slice(a, &row->user_id) < 0) {
            return MF_ENOMEM;
        }
        w->texts[w->n_ins] = (struct mf_index_text){
            .text = row->text, .is_knowledge = true, .created_us = row->created_us};
        w->n_ins++;
    }
    return 0;
}

static void on_items_read(struct mf_store_req *req, int rc)
{
    struct mf_entity_work *w = mf_container_of(req, struct mf_entity_work, req.req);

    mf_loop_assert(w->e->loop);
    if (rc == MF_ENOTFOUND) {
        rc = 0;
        w->req.n_rows = 0;
    }
    if (rc == 0) {
        rc = choose_items(w);
    } else {
        rc = mf_entity_work_blame(w, rc);
    }
    mf_store_req_fini(req);
    memset(&w->req, 0, sizeof(w->req));
    w->has_req = false;
    if (rc < 0 || w->n_ins == 0) {
        mf_entity_work_finish(w, rc);
        return;
    }
    w->job.texts = w->texts;
    w->job.n = w->n_ins;
    w->job.done = on_knowledge_made;
    rc = mf_index_texts(w->e->index, &w->job);
    if (rc < 0) {
        mf_entity_work_finish(w, rc);
    }
}

MF_LOOP static void on_update_resolved(struct mf_resolve *r, int rc)
{
    struct mf_entity_work *w = mf_container_of(r, struct mf_entity_work, resolve);
    struct mf_entity_call *c = w->c;

    if (rc < 0) {
        mf_entity_work_finish(w, rc);
        return;
    }
    w->req.in = c->in;
    if (c->kind == MF_ENTITY_KNOWLEDGE) {
        w->req.ids = c->ids;
        w->req.n = c->n_ids;
        (void)mf_entity_work_submit(w, MF_STORE_GET, on_items_read);
        return;
    }
    w->req.set_name = c->set_name;
    w->req.set_text = c->set_text;
    w->req.in.updated_us = mf_wallclock_us();
    if (c->kind == MF_ENTITY_SESSION) {
        w->req.in.user_id = r->got[0].user_id;
    }
    (void)mf_entity_work_submit(w, MF_STORE_UPDATE, on_updated);
}

/* Agents are shared: who is not the administrator may make and see them, no more. */
MF_LOOP static int check_rights(struct mf_entity_call *c)
{
    if (c->kind == MF_ENTITY_AGENT && !c->call.scope->is_admin) {
        return mf_call_fail(&c->call, MF_EFORBIDDEN, "agent_id",
                            "only the administrator may change or delete an agent");
    }
    return 0;
}

MF_LOOP static void want_owner(struct mf_entity_work *w)
{
    struct mf_entity_call *c = w->c;

    if (c->kind == MF_ENTITY_KNOWLEDGE || c->kind == MF_ENTITY_API_KEY) {
        mf_resolve_want(&w->resolve, MF_ENTITY_USER, c->in.user_id);
    } else {
        mf_resolve_want(&w->resolve, c->kind, c->in.id);
    }
}

int mf_engine_entity_update(struct mf_engine *e, struct mf_entity_call *c)
{
    int rc = check_rights(c);
    struct mf_entity_work *w = NULL;

    if (rc == 0) {
        rc = mf_entity_work_new(&w, e, c, true);
    }
    if (w == NULL) {
        return rc;
    }
    want_owner(w);
    mf_resolve_start(&w->resolve, &c->call, on_update_resolved);
    return 0;
}

/* ---- delete ---- */

MF_LOOP static void forget_deleted(struct mf_entity_work *w)
{
    struct mf_engine *e = w->e;

    if (e->state == MF_ENGINE_CLOSING) {
        return; /* nobody will ask */
    }
    for (size_t i = 0; i < w->req.n_sessions; i++) {
        const struct mf_entity *s = &w->req.sessions[i];

        mf_directory_forget(e->directory, MF_ENTITY_SESSION, s->id);
        mf_library_session_gone(e->library, s->user_id, s->id);
    }
    for (size_t i = 0; i < w->req.n_rows; i++) {
        const struct mf_entity *row = &w->req.rows[i];

        mf_directory_forget(e->directory, w->c->kind, row->id);
        switch (w->c->kind) {
        case MF_ENTITY_USER: mf_library_user_gone(e->library, row->id); break;
        case MF_ENTITY_SESSION:
            mf_library_session_gone(e->library, row->user_id, row->id);
            break;
        case MF_ENTITY_KNOWLEDGE:
            mf_library_removed(e->library, row->user_id, row->seq);
            break;
        case MF_ENTITY_AGENT:
        case MF_ENTITY_API_KEY: break;
        }
    }
}

static void on_forgotten(struct mf_journal_forget *f, int rc)
{
    struct mf_entity_work *w = mf_container_of(f, struct mf_entity_work, forget);

    mf_loop_assert(w->e->loop);
    if (rc < 0) { /* it is deleted all the same */
        mf_log_warn("journal_forget_failed", "code=%s", mf_code_name(rc));
    }
    mf_entity_work_finish(w, 0);
}

/* What a remote store deleted must not be there again after a restart while the store
 * is away: it leaves the journal's file before the answer. (Before the deletion it
 * might be remembered once more until then.) */
MF_LOOP static void finish_deleted(struct mf_entity_work *w)
{
    bool is_kept = w->c->kind == MF_ENTITY_USER || w->c->kind == MF_ENTITY_AGENT ||
                   w->c->kind == MF_ENTITY_SESSION;

    if (!is_kept || !w->e->store_is_remote || w->e->journal == NULL) {
        mf_entity_work_finish(w, 0);
        return;
    }
    w->forget =
        (struct mf_journal_forget){.kind = w->c->kind,
                                   .id = w->c->in.id,
                                   .with_owned = w->c->kind != MF_ENTITY_SESSION,
                                   .done = on_forgotten};
    mf_journal_forget(w->e->journal, &w->forget);
}

static void on_deleted(struct mf_store_req *req, int rc)
{
    struct mf_entity_work *w = mf_container_of(req, struct mf_entity_work, req.req);

    mf_loop_assert(w->e->loop);
    if (rc == MF_ENOTFOUND && w->c->n_ids > 0) {
        rc = 0; /* only what exists */
        w->req.n_rows = 0;
    }
    if (rc < 0) {
        mf_entity_work_finish(w, mf_entity_work_blame(w, rc));
        return;
    }
    forget_deleted(w);
    if (w->req.n_rows == 0 && w->c->n_ids == 0) {
        mf_entity_work_finish(w, mf_entity_not_found(w));
        return;
    }
    finish_deleted(w);
}

MF_LOOP static void delete_now(struct mf_entity_work *w)
{
    w->req.in = w->c->in;
    w->req.ids = w->c->ids;
    w->req.n = w->c->n_ids;
    if (w->c->kind == MF_ENTITY_SESSION) {
        w->req.in.user_id = w->resolve.got[0].user_id;
    }
    (void)mf_entity_work_submit(w, MF_STORE_DELETE, on_deleted);
}

MF_LOOP static void on_settled(struct mf_settle *s, int rc)
{
    struct mf_entity_work *w = mf_container_of(s, struct mf_entity_work, settle);

    if (rc == MF_ETIMEOUT) {
        rc =
            mf_call_fail(&w->c->call, rc, NULL,
                         "the store did not take the rounds under way in time "
                         "(buffer.performance.flush_timeout): nothing was deleted, try "
                         "again later");
    }
    if (rc < 0) {
        mf_entity_work_finish(w, rc);
        return;
    }
    delete_now(w);
}

MF_LOOP static void on_delete_resolved(struct mf_resolve *r, int rc)
{
    struct mf_entity_work *w = mf_container_of(r, struct mf_entity_work, resolve);
    struct mf_settle *s = &w->settle;

    if (rc < 0) {
        mf_entity_work_finish(w, rc);
        return;
    }
    switch (w->c->kind) {
    case MF_ENTITY_USER: s->user_id = r->got[0].id; break;
    case MF_ENTITY_AGENT: s->agent_id = r->got[0].id; break;
    case MF_ENTITY_SESSION:
        s->user_id = r->got[0].user_id;
        s->session_id = r->got[0].id;
        break;
    case MF_ENTITY_KNOWLEDGE:
    case MF_ENTITY_API_KEY: delete_now(w); return;
    }
    s->is_closing = true;
    s->may_purge = true;
    s->done = on_settled;
    w->has_settle = true;
    mf_settle_begin(w->e, s);
}

int mf_engine_entity_delete(struct mf_engine *e, struct mf_entity_call *c)
{
    int rc = check_rights(c);
    struct mf_entity_work *w = NULL;

    if (rc == 0) {
        rc = mf_entity_work_new(&w, e, c, true);
    }
    if (w == NULL) {
        return rc;
    }
    want_owner(w);
    mf_resolve_start(&w->resolve, &c->call, on_delete_resolved);
    return 0;
}
