/* SPDX-License-Identifier: Apache-2.0 */
/* A round comes in: whose it is, is there room, journal, buffers. */
#include "engine/away.h"
#include "engine/engine_priv.h"
#include "engine/keyids.h"

#include "base/log.h"
#include "base/stat.h"
#include "base/wallclock.h"

#include <string.h>

MF_LOOP static void finish(struct mf_add_work *w, int rc)
{
    struct mf_engine *e = w->e;
    struct mf_item *it = w->item;

    mf_list_remove(&e->adding, &w->link);
    if (rc < 0 && w->reserved > 0) {
        mf_buffers_unreserve(e->buffers, w->reserved);
    }
    if (rc < 0 && it != NULL) {
        mf_settle_gone(e, it, false);
    }
    if (w->in_verb) { /* nothing may be done before the verb returned */
        mf_call_finish_later(&w->c->call, rc);
    } else {
        mf_call_finish(&w->c->call, rc); /* `w` is gone with the call's arena */
    }
    mf_item_unref(it);
}

static size_t count_written(const struct mf_userbuf *u)
{
    size_t n = 0;

    mf_list_each (&u->write, k) {
        n += mf_container_of(k, struct mf_entry, in_place)->item->n_msgs;
    }
    return n;
}

/* Committed but not shown: without memory for the entry the client is told to try
 * again, once the round cannot come back at a restart any more. */
static void on_undone(struct mf_journal_erase *er, int rc)
{
    struct mf_add_work *w = mf_container_of(er, struct mf_add_work, undo);

    mf_loop_assert(w->e->loop);
    if (rc < 0) {
        mf_log_error("journal_erase_failed", "code=%s rounds=1", mf_code_name(rc));
    }
    finish(w, w->undo_rc);
}

MF_LOOP static void take_back(struct mf_add_work *w, int rc)
{
    struct mf_engine *e = w->e;

    if (e->state == MF_ENGINE_CLOSING) {
        finish(w, rc);
        return;
    }
    w->undo_rc = rc;
    w->undo_seq = w->item->seq;
    w->undo =
        (struct mf_journal_erase){.seqs = &w->undo_seq, .n = 1, .done = on_undone};
    mf_journal_erase(e->journal, &w->undo);
}

/* In the buffers, and so listed, read and found: before the answer goes out. */
MF_LOOP static int show(struct mf_add_work *w)
{
    struct mf_engine *e = w->e;
    struct mf_add_outcome out;
    int rc = mf_buffers_add(e->buffers, w->item,
                            e->conf->buffer_enabled ? &e->wbuf_limits : NULL,
                            mf_loop_now_ms(e->loop), &out);

    if (rc < 0) {
        return rc;
    }
    w->reserved = 0; /* the buffers count it from here */
    mf_stat_add(MF_STAT_messages_added, w->item->n_msgs);
    e->n_work += MF_PACE_ROUND + w->item->n_msgs;
    if (w->item->idem_key.n > 0) {
        mf_idem_hold(e->idem, w->item->idem_key);
    }
    w->c->transfer_triggered = out.transferred;
    w->c->is_bypass = !e->conf->buffer_enabled;
    w->c->total_messages = count_written(out.entry->owner);
    if (e->state != MF_ENGINE_CLOSING) { /* else it waits in the journal */
        mf_index_entry(e->index, out.entry);
        mf_settle_entered(e, out.entry);
        mf_engine_consider(e, out.entry->owner);
    }
    return 0;
}

static void on_committed(struct mf_journal_append *a, int rc)
{
    struct mf_add_work *w = mf_container_of(a, struct mf_add_work, append);

    mf_loop_assert(w->e->loop);
    if (rc == MF_ENOSPC) {
        rc = mf_call_fail(&w->c->call, rc, NULL,
                          "the disk of data.dir is full: free some space; nothing of "
                          "this request was stored");
    }
    if (rc < 0) {
        finish(w, rc);
        return;
    }
    rc = show(w);
    if (rc < 0) {
        take_back(w, rc);
    } else {
        finish(w, 0);
    }
}

MF_LOOP static int admit(struct mf_add_work *w, const struct mf_item *it)
{
    struct mf_engine *e = w->e;
    struct mf_call *c = &w->c->call;

    if (e->state != MF_ENGINE_OPEN) {
        return mf_call_fail(c, MF_ECLOSED, NULL, "memfuse is shutting down");
    }
    if (mf_journal_is_dead(e->journal)) {
        return mf_call_fail(c, MF_EFATAL, NULL,
                            "the journal failed; memfuse has to be restarted");
    }
    if (!mf_buffers_has_room(e->buffers, it->bytes)) {
        return mf_call_fail(c, MF_EBUSY, NULL,
                            "the buffers are full (buffer.max_bytes, %zu bytes): try "
                            "again later",
                            mf_buffers_max_bytes(e->buffers));
    }
    return 0;
}

/* New messages only; those that are known already are answered without a round. */
static struct mf_item *make_item(struct mf_add_work *w)
{
    struct mf_add_call *c = w->c;
    struct mf_msg *msgs = mf_arena_alloc(c->call.arena, c->n_msgs * sizeof(*msgs));
    struct mf_item_spec spec = {.accepted_us = mf_wallclock_us(),
                                .user_id = w->user_id,
                                .session_id = c->session_id,
                                .agent_id = w->agent_id,
                                .idem_key = c->idem_key};
    uint32_t n = 0;

    if (msgs == NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < c->n_msgs; i++) {
        if (w->is_known != NULL && w->is_known[i]) {
            continue;
        }
        msgs[n] = c->msgs[i];
        msgs[n].id = w->ids[i];
        msgs[n].updated_us = spec.accepted_us;
        if (msgs[n].created_us == 0) {
            msgs[n].created_us = spec.accepted_us;
        }
        n++;
    }
    spec.round_id = mf_id_slice(&w->round_id);
    memcpy(spec.idem_hash, c->idem_hash, sizeof(spec.idem_hash));
    spec.msgs = msgs;
    spec.n_msgs = n;
    return mf_item_new(&spec);
}

static bool all_known(const struct mf_add_work *w)
{
    for (uint32_t i = 0; i < w->c->n_msgs; i++) {
        if (w->is_known == NULL || !w->is_known[i]) {
            return false;
        }
    }
    return true;
}

MF_LOOP static int journal_round(struct mf_add_work *w)
{
    struct mf_engine *e = w->e;
    struct mf_item *it = make_item(w);
    int rc;

    if (it == NULL) {
        return MF_ENOMEM;
    }
    rc = admit(w, it);
    if (rc < 0) {
        mf_item_unref(it);
        return rc;
    }
    mf_item_set_seq(it, mf_engine_take_seqs(e, it->n_msgs));
    w->append.item = it;
    w->append.done = on_committed;
    rc = mf_journal_append(e->journal, &w->append);
    if (rc < 0) {
        mf_item_unref(it);
        return rc == MF_ENOSPC
                   ? mf_call_fail(&w->c->call, rc, NULL,
                                  "the disk of data.dir is full: free some space")
               : rc == MF_EBUSY
                   ? mf_call_fail(
                         &w->c->call, rc, NULL,
                         "the journal is full (journal.max_bytes): the store is "
                         "behind, try again later")
                   : rc;
    }
    w->item = it;
    w->reserved = it->bytes;
    mf_buffers_reserve(e->buffers, it->bytes);
    return 0;
}

MF_LOOP static int no_session(struct mf_add_work *w)
{
    return mf_call_fail(&w->c->call, MF_ENOTFOUND, "session_id",
                        "Session with ID '%.*s' not found", (int)w->c->session_id.n,
                        w->c->session_id.p);
}

/* Asks the store whose it is: on_session. */
MF_LOOP static int load_session(struct mf_add_work *w)
{
    int rc = mf_directory_load(w->e->directory, MF_ENTITY_SESSION, w->c->session_id,
                               &w->wait);

    if (rc == MF_ENOTFOUND) {
        return no_session(w);
    }
    return rc < 0 ? mf_call_blame(&w->c->call, rc, &w->wait.err) : 0;
}

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
static int make_ids(struct mf_add_work *w)
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

/* Ends the work (through finish) unless the round is on its way. */
MF_LOOP static void go_on(struct mf_add_work *w)
{
    struct mf_engine *e = w->e;
    int rc;

    w->is_checked = true;
    if (all_known(w)) {
        finish(w, 0);
        return;
    }
    /* The store was asked meanwhile: is the session there still? */
    if (mf_directory_find(e->directory, MF_ENTITY_SESSION, w->c->session_id) == NULL) {
        rc = load_session(w);
    } else if (mf_settle_is_closing(e, w->user_id, w->c->session_id, w->agent_id)) {
        rc = no_session(w);
    } else {
        rc = journal_round(w);
    }
    if (rc < 0) {
        finish(w, rc);
    }
}

/* ---- ids that may be known: the client's own, and those of an Idempotency-Key ---- */

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

static void on_known(struct mf_store_req *req, int rc)
{
    struct mf_add_work *w = mf_container_of(req, struct mf_add_work, known.req);

    mf_loop_assert(w->e->loop);
    /* Of a key's ids the store itself keeps one row, should there be two: what it
     * cannot be asked now is taken for new. A client's id may have other content. */
    if (rc == MF_ENOTFOUND ||
        (rc < 0 && !has_client_ids(w->c) && mf_store_is_away(w->e->store, rc))) {
        rc = 0;
        w->known.n_rows = 0;
    } else if (rc < 0) {
        rc = mf_call_blame(&w->c->call, rc, &req->err);
    }
    for (size_t i = 0; rc == 0 && i < w->known.n_rows; i++) {
        rc = compare_row(w, &w->known.rows[i]);
    }
    mf_store_req_fini(req);
    if (rc < 0) {
        finish(w, rc);
        return;
    }
    go_on(w);
}

MF_LOOP static int twice(struct mf_add_work *w)
{
    struct mf_slice id = w->ids[w->set.twice];

    return mf_call_fail(&w->c->call, MF_EUNPROCESSABLE, "messages.id",
                        "message ID '%.*s' stands twice in this request", (int)id.n,
                        id.p);
}

/* 0: done later by on_known or go_on. */
MF_LOOP static int check_ids(struct mf_add_work *w)
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
        go_on(w);
        return 0;
    }
    memset(&w->known, 0, sizeof(w->known));
    w->known.req.op = MF_STORE_GET_MESSAGES;
    w->known.req.done = on_known;
    w->known.req.urgency = MF_URGENT;
    w->known.user_id = w->user_id;
    w->known.ids = rest;
    w->known.n = n_rest;
    rc = mf_store_submit(w->e->store, &w->known.req);
    if (rc < 0) {
        mf_store_req_fini(&w->known.req);
    }
    return rc;
}

/* ---- whose session it is ---- */

static int copy_owner(struct mf_add_work *w, const struct mf_known *k)
{
    struct mf_arena *a = w->c->call.arena;
    char *user = mf_arena_strndup(a, k->user_id.s, k->user_id.n);
    char *agent = mf_arena_strndup(a, k->agent_id.s, k->agent_id.n);

    if (user == NULL || agent == NULL) {
        return MF_ENOMEM;
    }
    w->user_id = mf_slice_of(user, k->user_id.n);
    w->agent_id = mf_slice_of(agent, k->agent_id.n);
    return 0;
}

/* 0: on its way, ends in finish. Else nothing is under way. */
MF_LOOP static int enter(struct mf_add_work *w, const struct mf_known *k)
{
    int rc = copy_owner(w, k);

    if (rc == 0 && w->e->state != MF_ENGINE_OPEN) {
        return mf_call_fail(&w->c->call, MF_ECLOSED, NULL, "memfuse is shutting down");
    }
    if (rc == 0 &&
        (!mf_scope_covers(w->c->call.scope, w->user_id) ||
         mf_settle_is_closing(w->e, w->user_id, w->c->session_id, w->agent_id))) {
        rc = no_session(w);
    }
    if (rc == 0 && w->ids == NULL) {
        rc = make_ids(w);
    }
    if (rc < 0) {
        return rc;
    }
    return (w->c->idem_key.n > 0 || has_client_ids(w->c)) && !w->is_checked
               ? check_ids(w)
               : journal_round(w);
}

MF_LOOP static void on_session(struct mf_directory_wait *wait, int rc,
                               const struct mf_known *k)
{
    struct mf_add_work *w = mf_container_of(wait, struct mf_add_work, wait);

    if (rc == MF_ENOTFOUND) {
        rc = no_session(w);
    } else if (rc < 0) {
        rc = mf_call_blame(&w->c->call, rc, &wait->err);
    } else {
        rc = enter(w, k);
    }
    if (rc < 0) {
        finish(w, rc);
    }
}

int mf_engine_add(struct mf_engine *e, struct mf_add_call *c)
{
    const struct mf_known *k =
        mf_directory_find(e->directory, MF_ENTITY_SESSION, c->session_id);
    struct mf_add_work *w;
    int rc = mf_call_check(e, &c->call, true);

    if (rc < 0) {
        return rc;
    }
    w = mf_arena_alloc(c->call.arena, sizeof(*w));
    if (w == NULL) {
        return mf_call_fail(&c->call, MF_ENOMEM, NULL, "out of memory");
    }
    memset(w, 0, sizeof(*w));
    w->e = e;
    w->c = c;
    c->ids = NULL;
    c->transfer_triggered = c->is_bypass = false;
    c->total_messages = 0;
    mf_call_begin(e, &c->call);
    mf_list_push_tail(&e->adding, &w->link);
    w->in_verb = true;
    w->wait.done = on_session;
    if (c->n_msgs == 0) {
        finish(w, 0);
        return 0;
    }
    if (k != NULL) {
        rc = enter(w, k);
    } else {
        rc = load_session(w);
    }
    if (rc < 0) {
        finish(w, rc);
    }
    w->in_verb = false; /* the call is not done yet, so `w` is there */
    return 0;
}
