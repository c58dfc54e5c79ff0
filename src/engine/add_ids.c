/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/add_ids.h"

#include "engine/away.h"
#include "engine/keyids.h"

#include "base/wallclock.h"

#include <string.h>

/* A look-up of ids in the store. */
struct visit {
    struct mf_store_messages req;
    struct mf_engine *e;
    struct mf_add_work *w; /* NULL: nobody waits any more */
    struct mf_link link;   /* engine.visiting, while somebody does */
    uint64_t until_ms;
    struct mf_id user_id;
    struct mf_slice ids[]; /* behind them what they point to */
};

/* One that the client did not bring. Of an Idempotency-Key: the same whenever and
 * wherever this request comes. */
static int make_id(const struct mf_keyids *key, uint32_t i, uint64_t now_ms,
                   struct mf_id *out)
{
    if (key != NULL) {
        return mf_keyids_make(key, i, out);
    }
    mf_id_new_v7(out, now_ms);
    return 0;
}

/* All ids of the answer, and the round's: the client's own, or new ones. */
int mf_add_make_ids(struct mf_add_work *w)
{
    struct mf_add_call *c = w->c;
    uint64_t now_ms = (uint64_t)mf_wallclock_us() / 1000;
    struct mf_keyids of_key;
    const struct mf_keyids *key = c->idem_key.n > 0 ? &of_key : NULL;
    int rc = key == NULL ? 0 : mf_keyids_init(&of_key, c->idem_key, c->idem_hash);

    w->ids = mf_arena_alloc(c->call.arena, c->n_msgs * sizeof(*w->ids));
    if (w->ids == NULL) {
        return MF_ENOMEM;
    }
    if (rc == 0) {
        rc = make_id(key, UINT32_MAX, now_ms, &w->round_id);
    }
    for (uint32_t i = 0; rc == 0 && i < c->n_msgs; i++) {
        struct mf_id id;
        char *copy;

        if (c->msgs[i].id.n > 0) {
            w->ids[i] = c->msgs[i].id;
            continue;
        }
        rc = make_id(key, i, now_ms, &id);
        copy = rc < 0 ? NULL : mf_arena_strndup(c->call.arena, id.s, id.n);
        rc = copy == NULL ? MF_ENOMEM : 0;
        w->ids[i] = mf_slice_of(copy, id.n);
    }
    c->ids = rc < 0 ? NULL : w->ids;
    return rc;
}

static bool may_be_known(const struct mf_add_call *c, uint32_t i)
{
    return c->msgs[i].id.n > 0 || c->idem_key.n > 0;
}

static bool has_client_ids(const struct mf_add_call *c)
{
    for (uint32_t i = 0; i < c->n_msgs; i++) {
        if (c->msgs[i].id.n > 0) {
            return true;
        }
    }
    return false;
}

bool mf_add_may_be_known(const struct mf_add_work *w)
{
    return w->c->idem_key.n > 0 || has_client_ids(w->c);
}

MF_LOOP static int compare_known(struct mf_add_work *w, uint32_t i,
                                 struct mf_slice session_id, const struct mf_msg *there)
{
    const struct mf_msg *m = &w->c->msgs[i];

    /* The same key and body made it: changed it may be since, but it is that message.
     */
    if (m->id.n == 0) {
        w->is_known[i] = true;
        return 0;
    }
    if (!mf_slice_eq(session_id, w->c->session_id) || there->role != m->role ||
        !mf_slice_eq(there->content, m->content)) {
        return mf_call_fail(&w->c->call, MF_ECONFLICT, "messages.id",
                            "a message with ID '%.*s' and other content exists",
                            (int)m->id.n, m->id.p);
    }
    w->is_known[i] = true;
    return 0;
}

static bool is_being_added(const struct mf_add_work *w, struct mf_slice id)
{
    mf_list_each (&w->e->adding, k) {
        const struct mf_add_work *o = mf_container_of(k, struct mf_add_work, link);

        if (o != w && o->is_known != NULL && mf_slice_eq(o->user_id, w->user_id) &&
            mf_idset_find(&o->set, id) != MF_IDSET_NONE) {
            return true;
        }
    }
    return false;
}

/* What the buffers know; the rest is left for the store. */
MF_LOOP static int check_buffers(struct mf_add_work *w, struct mf_slice *rest,
                                 size_t *n_rest)
{
    struct mf_userbuf *u = mf_userbuf_find(w->e->buffers, w->user_id);

    for (uint32_t i = 0; i < w->c->n_msgs; i++) {
        struct mf_slice id = w->ids[i];
        struct mf_entry_msg *m;
        int rc;

        if (!may_be_known(w->c, i)) {
            continue;
        }
        /* Requests with the same key come one after the other. */
        if (w->c->msgs[i].id.n > 0 && is_being_added(w, id)) {
            return mf_call_fail(&w->c->call, MF_ECONFLICT, "messages.id",
                                "message ID '%.*s' is being added by another request: "
                                "try again",
                                (int)id.n, id.p);
        }
        m = u == NULL ? NULL : mf_userbuf_find_msg(u, id);
        if (m == NULL) {
            rest[(*n_rest)++] = id;
            continue;
        }
        rc = compare_known(w, i, m->entry->item->session_id, mf_entry_msg_of(m));
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

MF_LOOP static int compare_row(struct mf_add_work *w, const struct mf_store_row *row)
{
    size_t i = mf_idset_find(&w->set, row->msg.id);

    return i == MF_IDSET_NONE
               ? 0
               : compare_known(w, (uint32_t)i, row->session_id, &row->msg);
}

/* What the store knows; without it, `why`. */
MF_LOOP static void visited(struct mf_add_work *w, int rc, const struct mf_err *why,
                            const struct mf_store_row *rows, size_t n_rows)
{
    /* Of a key's ids the store itself keeps one row, should there be two: what it
     * cannot be asked now is taken for new. A client's id may have other content. */
    if (rc == MF_ENOTFOUND ||
        (rc < 0 && !has_client_ids(w->c) && mf_store_is_away(w->e->store, rc))) {
        mf_add_go_on(w);
        return;
    }
    if (rc < 0) {
        rc = mf_call_blame(&w->c->call, rc, why);
    }
    for (size_t i = 0; rc == 0 && i < n_rows; i++) {
        rc = compare_row(w, &rows[i]);
    }
    if (rc < 0) {
        mf_add_finish(w, rc);
        return;
    }
    mf_add_go_on(w);
}

static void on_visited(struct mf_store_req *req, int rc)
{
    struct visit *v = mf_container_of(req, struct visit, req.req);

    mf_loop_assert(v->e->loop);
    if (v->w != NULL) {
        mf_list_remove(&v->e->visiting, &v->link);
        visited(v->w, rc, &req->err, v->req.rows, v->req.n_rows);
    }
    mf_store_req_fini(req);
    mf_free(v);
}

void mf_add_tick(struct mf_engine *e, uint64_t now_ms)
{
    struct mf_link *k;

    while ((k = mf_list_head(&e->visiting)) != NULL) {
        struct visit *v = mf_container_of(k, struct visit, link);
        struct mf_add_work *w = v->w;
        struct mf_err err = {0};

        if (v->until_ms > now_ms) {
            break;
        }
        mf_list_remove(&e->visiting, &v->link);
        v->w = NULL;
        visited(w,
                mf_err_set(&err, MF_EUNAVAILABLE,
                           "the store did not say in time whether these messages are "
                           "there: try again later"),
                &err, NULL, 0);
    }
}

/* Asks for copies: it may outlive the add. */
MF_LOOP static int visit(struct mf_add_work *w, const struct mf_slice *ids, size_t n)
{
    struct mf_engine *e = w->e;
    struct visit *v =
        mf_calloc(1, sizeof(*v) + n * (sizeof(struct mf_slice) + sizeof(struct mf_id)));
    struct mf_id *room;
    int rc;

    if (v == NULL) {
        return MF_ENOMEM;
    }
    room = (struct mf_id *)(void *)&v->ids[n];
    rc = mf_id_from(&v->user_id, w->user_id);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = mf_id_from(&room[i], ids[i]);
        v->ids[i] = mf_id_slice(&room[i]);
    }
    v->e = e;
    v->w = w;
    v->until_ms = e->store_is_remote
                      ? mf_loop_now_ms(e->loop) + e->conf->recall_store_timeout_ms
                      : UINT64_MAX;
    v->req.req.op = MF_STORE_GET_MESSAGES;
    v->req.req.done = on_visited;
    v->req.req.urgency = MF_URGENT;
    v->req.user_id = mf_id_slice(&v->user_id);
    v->req.ids = v->ids;
    v->req.n = n;
    if (rc == 0) {
        rc = mf_store_submit(e->store, &v->req.req);
    }
    if (rc < 0) {
        rc = mf_call_blame(&w->c->call, rc, &v->req.req.err);
        mf_free(v);
        return rc;
    }
    mf_list_push_tail(&e->visiting, &v->link);
    return 0;
}

MF_LOOP static int twice(struct mf_add_work *w)
{
    struct mf_slice id = w->ids[w->set.twice];

    return mf_call_fail(&w->c->call, MF_EUNPROCESSABLE, "messages.id",
                        "message ID '%.*s' stands twice in this request", (int)id.n,
                        id.p);
}

int mf_add_check_ids(struct mf_add_work *w)
{
    struct mf_arena *a = w->c->call.arena;
    struct mf_slice *rest = mf_arena_alloc(a, w->c->n_msgs * sizeof(*rest));
    size_t n_rest = 0;
    int rc = mf_idset_build(&w->set, a, w->ids, w->c->n_msgs);

    if (rc == 0 && w->set.twice != MF_IDSET_NONE) {
        return twice(w);
    }
    w->is_known = rc < 0 || rest == NULL
                      ? NULL
                      : mf_arena_alloc(a, w->c->n_msgs * sizeof(*w->is_known));
    if (w->is_known == NULL) {
        return MF_ENOMEM;
    }
    memset(w->is_known, 0, w->c->n_msgs * sizeof(*w->is_known));
    rc = check_buffers(w, rest, &n_rest);
    if (rc < 0) {
        return rc;
    }
    if (n_rest == 0) {
        mf_add_go_on(w);
        return 0;
    }
    return visit(w, rest, n_rest);
}
