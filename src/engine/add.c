/* SPDX-License-Identifier: Apache-2.0 */
/* A round comes in: whose it is, is there room, journal, buffers. */
#include "engine/add_ids.h"

#include "base/log.h"
#include "base/stat.h"
#include "base/wallclock.h"

#include <string.h>

void mf_add_finish(struct mf_add_work *w, int rc)
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
    mf_add_finish(w, w->undo_rc);
}

MF_LOOP static void take_back(struct mf_add_work *w, int rc)
{
    struct mf_engine *e = w->e;

    if (e->state == MF_ENGINE_CLOSING) {
        mf_add_finish(w, rc);
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
        mf_add_finish(w, rc);
        return;
    }
    rc = show(w);
    if (rc < 0) {
        take_back(w, rc);
    } else {
        mf_add_finish(w, 0);
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

/* Ends the work (through finish) unless the round is on its way. */
void mf_add_go_on(struct mf_add_work *w)
{
    struct mf_engine *e = w->e;
    int rc;

    w->is_checked = true;
    if (all_known(w)) {
        mf_add_finish(w, 0);
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
        mf_add_finish(w, rc);
    }
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
        rc = mf_add_make_ids(w);
    }
    if (rc < 0) {
        return rc;
    }
    return mf_add_may_be_known(w) && !w->is_checked ? mf_add_check_ids(w)
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
        mf_add_finish(w, rc);
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
        mf_add_finish(w, 0);
        return 0;
    }
    if (k != NULL) {
        rc = enter(w, k);
    } else {
        rc = load_session(w);
    }
    if (rc < 0) {
        mf_add_finish(w, rc);
    }
    w->in_verb = false; /* the call is not done yet, so `w` is there */
    return 0;
}
