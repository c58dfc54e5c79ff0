/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/away.h"
#include "engine/engine_priv.h"

#include <string.h>

void mf_settles_init(struct mf_settles *all)
{
    mf_list_init(&all->active);
}

static bool covers(struct mf_slice scope, struct mf_slice id)
{
    return scope.n == 0 || mf_slice_eq(scope, id);
}

static bool matches(const struct mf_settle *s, const struct mf_item *it)
{
    return it->seq <= s->max_seq && covers(s->user_id, it->user_id) &&
           covers(s->session_id, it->session_id) && covers(s->agent_id, it->agent_id);
}

/* A dead letter on its way out of the journal. */
static bool is_purged(const struct mf_entry *en)
{
    return en->user_data != NULL;
}

static struct mf_item *item_of(struct mf_link *in_user)
{
    return mf_container_of(in_user, struct mf_entry, in_user)->item;
}

static bool has_match(const struct mf_settle *s, const struct mf_list *in_user)
{
    mf_list_each (in_user, k) {
        if (matches(s, item_of(k))) {
            return true;
        }
    }
    return false;
}

static size_t count_match(const struct mf_settle *s, const struct mf_list *in_user)
{
    size_t n = 0;

    mf_list_each (in_user, k) {
        n += matches(s, item_of(k));
    }
    return n;
}

MF_LOOP static size_t count_adding(const struct mf_engine *e, const struct mf_settle *s)
{
    size_t n = 0;

    mf_list_each (&e->adding, k) {
        const struct mf_add_work *w = mf_container_of(k, struct mf_add_work, link);

        n += w->item != NULL && matches(s, w->item);
    }
    return n;
}

static size_t count_stored(const struct mf_engine *e)
{
    size_t n = 0;

    mf_list_each (&e->erasing, k) {
        n += !is_purged(mf_container_of(k, struct mf_entry, in_user));
    }
    return n;
}

/* What the settle has to wait for; AGENT: one, until a sweep met none. */
MF_LOOP static size_t count(struct mf_engine *e, struct mf_settle *s)
{
    const struct mf_buffers *b = e->buffers;
    const struct mf_userbuf *u;

    switch (s->width) {
    case MF_SETTLE_AGENT: return 1;
    case MF_SETTLE_ALL:
        s->has_parked = mf_buffers_n_entries(b, MF_PLACE_PARKED) > 0;
        return mf_buffers_n_entries(b, MF_PLACE_WRITE) +
               mf_buffers_n_entries(b, MF_PLACE_HYBRID) +
               mf_buffers_n_entries(b, MF_PLACE_QUEUED) +
               mf_buffers_n_entries(b, MF_PLACE_FLYING) + count_stored(e) +
               count_adding(e, s);
    case MF_SETTLE_USER: break;
    }
    u = mf_userbuf_find(e->buffers, s->user_id);
    return (u == NULL ? 0 : count_match(s, &u->all)) + count_match(s, &e->erasing) +
           count_adding(e, s);
}

/* For good: out of buffers, journal, shelves and the answers that are held. */
MF_LOOP static void purge(struct mf_engine *e, struct mf_entry *en,
                          struct mf_list *gone)
{
    for (uint32_t i = 0; i < en->item->n_msgs; i++) {
        mf_library_removed(e->library, en->item->user_id, en->msgs[i].seq);
    }
    if (en->item->idem_key.n > 0) {
        mf_idem_drop(e->idem, en->item->idem_key);
    }
    mf_entry_stored(e->buffers, en);
    en->user_data = e; /* see is_purged */
    mf_list_push_tail(gone, &en->in_place);
}

/* Dead letters of the scope: erased, or in the way. The last one may take the user's
 * buffer with it. */
MF_LOOP static int purge_parked(struct mf_engine *e, struct mf_settle *s,
                                struct mf_userbuf *u)
{
    struct mf_list gone;
    struct mf_link *k = mf_list_head(&u->all);

    mf_list_init(&gone);
    for (size_t left = u->all.n; left > 0; left--) {
        struct mf_entry *en = mf_container_of(k, struct mf_entry, in_user);

        k = k->next;
        if (en->place != MF_PLACE_PARKED || !matches(s, en->item)) {
            continue;
        }
        if (!s->may_purge) {
            return MF_ECONFLICT;
        }
        purge(e, en, &gone);
    }
    mf_engine_erase(e, &gone);
    return 0;
}

/* Asks again for the flush of all that matches: a full queue may have refused. */
MF_LOOP static int drive_user(struct mf_engine *e, struct mf_settle *s,
                              struct mf_userbuf *u)
{
    if (u == NULL || !has_match(s, &u->all)) {
        return 0;
    }
    s->has_met = true;
    mf_engine_push_all(e, u, MF_FLUSH_CRITICAL);
    return s->width == MF_SETTLE_ALL ? 0 : purge_parked(e, s, u);
}

MF_LOOP static int drive(struct mf_engine *e, struct mf_settle *s)
{
    int rc = 0;

    if (s->width == MF_SETTLE_USER) {
        rc = drive_user(e, s, mf_userbuf_find(e->buffers, s->user_id));
    } else {
        mf_engine_sweep(e);
    }
    mf_flush_kick(e->flush);
    return rc;
}

static void finish(struct mf_settle *s, int rc)
{
    if (s->is_done) {
        return;
    }
    s->is_done = true;
    s->done(s, rc);
}

static void finish_counted(struct mf_settle *s)
{
    finish(s, s->has_parked ? MF_ECONFLICT : 0);
}

void mf_settle_begin(struct mf_engine *e, struct mf_settle *s)
{
    s->engine = e;
    s->is_done = s->has_parked = false;
    s->has_met = true; /* a sweep under way has passed some by */
    s->width = s->user_id.n > 0    ? MF_SETTLE_USER
               : s->agent_id.n > 0 ? MF_SETTLE_AGENT
                                   : MF_SETTLE_ALL;
    s->max_seq = mf_seqs_last(&e->seqs);
    s->deadline_ms = mf_loop_now_ms(e->loop) + e->conf->buffer_flush_timeout_ms;
    s->n_left = count(e, s);
    memset(&s->link, 0, sizeof(s->link));
    mf_list_push_tail(&e->settles.active, &s->link);
    if (e->state == MF_ENGINE_CLOSING) {
        finish(s, MF_ECLOSED);
        return;
    }
    if (s->n_left == 0) {
        finish_counted(s);
        return;
    }
    if (mf_store_is_away(e->store, 0)) { /* why wait for what cannot come */
        finish(s, MF_EUNAVAILABLE);
        return;
    }
    if (drive(e, s) < 0) {
        finish(s, MF_ECONFLICT);
    }
}

void mf_settle_end(struct mf_settle *s)
{
    mf_list_remove(&s->engine->settles.active, &s->link);
}

bool mf_settle_is_closing(const struct mf_engine *e, struct mf_slice user_id,
                          struct mf_slice session_id, struct mf_slice agent_id)
{
    mf_list_each (&e->settles.active, k) {
        const struct mf_settle *s = mf_container_of(k, struct mf_settle, link);

        if (s->is_closing && covers(s->user_id, user_id) &&
            covers(s->session_id, session_id) && covers(s->agent_id, agent_id)) {
            return true;
        }
    }
    return false;
}

static void step(struct mf_settle *s)
{
    MF_ASSERT(s->n_left > 0);
    if (--s->n_left == 0) {
        finish_counted(s);
    }
}

void mf_settle_gone(struct mf_engine *e, const struct mf_item *it, bool was_parked)
{
    mf_list_each_safe (&e->settles.active, k) {
        struct mf_settle *s = mf_container_of(k, struct mf_settle, link);

        if (s->is_done || !matches(s, it)) {
            continue;
        }
        if (s->width == MF_SETTLE_AGENT) {
            mf_engine_sweep(e); /* perhaps that was the last one */
        } else if (s->width == MF_SETTLE_USER || !was_parked) {
            step(s); /* ALL did not count what was parked */
        }
    }
}

void mf_settle_entered(struct mf_engine *e, struct mf_entry *en)
{
    mf_list_each (&e->settles.active, k) {
        const struct mf_settle *s = mf_container_of(k, struct mf_settle, link);

        if (!s->is_done && matches(s, en->item)) {
            mf_engine_push_all(e, en->owner, MF_FLUSH_CRITICAL);
            return;
        }
    }
}

void mf_settle_parked(struct mf_engine *e, const struct mf_item *it)
{
    mf_list_each_safe (&e->settles.active, k) {
        struct mf_settle *s = mf_container_of(k, struct mf_settle, link);

        if (!s->is_done && s->width == MF_SETTLE_ALL && matches(s, it)) {
            s->has_parked = true;
            step(s);
        }
    }
}

/* ---- along with the sweep of all users ---- */

/* What is not among the users yet will be, or is gone before the sweep ends. */
void mf_settle_sweep_begins(struct mf_engine *e)
{
    mf_list_each (&e->settles.active, k) {
        struct mf_settle *s = mf_container_of(k, struct mf_settle, link);

        if (s->width == MF_SETTLE_AGENT) {
            s->has_met = count_adding(e, s) > 0;
        }
    }
}

void mf_settle_visit(struct mf_engine *e, struct mf_userbuf *u)
{
    struct mf_id user_id = u->user_id; /* a purge may take the buffer away */

    mf_list_each_safe (&e->settles.active, k) {
        struct mf_settle *s = mf_container_of(k, struct mf_settle, link);

        if (s->is_done || s->width == MF_SETTLE_USER) {
            continue;
        }
        u = mf_userbuf_find(e->buffers, mf_id_slice(&user_id));
        if (drive_user(e, s, u) < 0) {
            finish(s, MF_ECONFLICT);
        }
    }
}

/* In the order in which rounds go (adding, users, erasing) each one was met that was
 * not gone before. */
void mf_settle_sweep_ends(struct mf_engine *e)
{
    mf_list_each_safe (&e->settles.active, k) {
        struct mf_settle *s = mf_container_of(k, struct mf_settle, link);

        if (s->is_done || s->width != MF_SETTLE_AGENT) {
            continue;
        }
        if (!s->has_met && !has_match(s, &e->erasing)) {
            finish(s, 0);
        }
    }
}

/* What it asks for stands aside: why wait for that. */
MF_LOOP static bool waits_for_part(const struct mf_engine *e, const struct mf_settle *s)
{
    const struct mf_userbuf *u;

    if (s->width != MF_SETTLE_USER) {
        return s->width == MF_SETTLE_ALL && mf_flush_n_aside(e->flush) > 0;
    }
    u = mf_userbuf_find(e->buffers, s->user_id);
    if (u == NULL) {
        return false;
    }
    mf_list_each (&u->all, k) {
        const struct mf_entry *en = mf_container_of(k, struct mf_entry, in_user);

        if (matches(s, en->item) && mf_flush_is_aside(en)) {
            return true;
        }
    }
    return false;
}

void mf_settle_tick(struct mf_engine *e, uint64_t now_ms)
{
    bool is_away = mf_store_is_away(e->store, 0);

    mf_list_each_safe (&e->settles.active, k) {
        struct mf_settle *s = mf_container_of(k, struct mf_settle, link);

        if (s->is_done) {
            continue;
        }
        if (now_ms >= s->deadline_ms) {
            finish(s, MF_ETIMEOUT);
        } else if (is_away || waits_for_part(e, s)) {
            finish(s, MF_EUNAVAILABLE);
        } else if (drive(e, s) < 0) {
            finish(s, MF_ECONFLICT);
        }
    }
}

void mf_settle_cancel_all(struct mf_engine *e)
{
    mf_list_each_safe (&e->settles.active, k) {
        finish(mf_container_of(k, struct mf_settle, link), MF_ECLOSED);
    }
}
