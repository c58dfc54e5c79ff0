/* SPDX-License-Identifier: Apache-2.0 */
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

static bool has_match(const struct mf_settle *s, const struct mf_userbuf *u)
{
    mf_list_each (&u->all, k) {
        if (matches(s, mf_container_of(k, struct mf_entry, in_user)->item)) {
            return true;
        }
    }
    return false;
}

static size_t count_of_user(const struct mf_settle *s, const struct mf_userbuf *u)
{
    size_t n = 0;

    mf_list_each (&u->all, k) {
        n += matches(s, mf_container_of(k, struct mf_entry, in_user)->item);
    }
    return n;
}

MF_LOOP static size_t count_all(struct mf_engine *e, const struct mf_settle *s)
{
    size_t n = 0;

    mf_list_each (mf_buffers_users(e->buffers), k) {
        const struct mf_userbuf *u = mf_container_of(k, struct mf_userbuf, in_all);

        if (covers(s->user_id, mf_id_slice(&u->user_id))) {
            n += count_of_user(s, u);
        }
    }
    mf_list_each (&e->erasing, k) {
        n += matches(s, mf_container_of(k, struct mf_entry, in_user)->item);
    }
    mf_list_each (&e->adding, k) {
        const struct mf_add_work *w = mf_container_of(k, struct mf_add_work, link);

        n += w->item != NULL && matches(s, w->item);
    }
    return n;
}

/* Dead letters of the scope: erased, or in the way. */
MF_LOOP static int purge_parked(struct mf_engine *e, struct mf_settle *s,
                                struct mf_userbuf *u)
{
    struct mf_list gone;

    mf_list_init(&gone);
    mf_list_each_safe (&u->all, k) {
        struct mf_entry *en = mf_container_of(k, struct mf_entry, in_user);

        if (en->place != MF_PLACE_PARKED || !matches(s, en->item)) {
            continue;
        }
        if (!s->may_purge) {
            return MF_ECONFLICT;
        }
        mf_entry_stored(e->buffers, en);
        mf_list_push_tail(&gone, &en->in_place);
    }
    mf_engine_erase(e, &gone);
    return 0;
}

/* Asks again for the flush of all that matches: a full queue may have refused. */
MF_LOOP static int drive(struct mf_engine *e, struct mf_settle *s)
{
    int rc = 0;

    mf_list_each_safe (mf_buffers_users(e->buffers), k) {
        struct mf_userbuf *u = mf_container_of(k, struct mf_userbuf, in_all);

        if (!covers(s->user_id, mf_id_slice(&u->user_id)) || !has_match(s, u)) {
            continue;
        }
        mf_engine_push_all(e, u, MF_FLUSH_CRITICAL);
        if (purge_parked(e, s, u) < 0) {
            rc = MF_ECONFLICT;
        }
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

void mf_settle_begin(struct mf_engine *e, struct mf_settle *s)
{
    s->engine = e;
    s->is_done = false;
    s->max_seq = e->next_seq - 1;
    s->deadline_ms = mf_loop_now_ms(e->loop) + e->conf->buffer_flush_timeout_ms;
    s->n_left = count_all(e, s);
    memset(&s->link, 0, sizeof(s->link));
    mf_list_push_tail(&e->settles.active, &s->link);
    if (s->n_left == 0) {
        finish(s, 0);
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

void mf_settle_gone(struct mf_engine *e, const struct mf_item *it)
{
    mf_list_each_safe (&e->settles.active, k) {
        struct mf_settle *s = mf_container_of(k, struct mf_settle, link);

        if (s->is_done || !matches(s, it)) {
            continue;
        }
        MF_ASSERT(s->n_left > 0);
        if (--s->n_left == 0) {
            finish(s, 0);
        }
    }
}

void mf_settle_tick(struct mf_engine *e, uint64_t now_ms)
{
    mf_list_each_safe (&e->settles.active, k) {
        struct mf_settle *s = mf_container_of(k, struct mf_settle, link);

        if (s->is_done) {
            continue;
        }
        if (now_ms >= s->deadline_ms) {
            finish(s, MF_ETIMEOUT);
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
