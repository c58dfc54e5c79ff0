/* SPDX-License-Identifier: Apache-2.0 */
/* Between buffers, flush and journal: what is due, what the store confirmed. */
#include "engine/engine_priv.h"

#include "base/log.h"

#include <string.h>

struct erase_work {
    struct mf_journal_erase er;
    struct mf_engine *e;
    struct mf_list entries;
    uint64_t seqs[];
};

struct park_work {
    struct mf_journal_park park;
    struct mf_engine *e;
};

static void on_erased(struct mf_journal_erase *er, int rc)
{
    struct erase_work *w = mf_container_of(er, struct erase_work, er);
    struct mf_engine *e = w->e;
    struct mf_link *k;

    mf_loop_assert(e->loop);
    if (rc < 0) {
        mf_log_error("journal_erase_failed", "code=%s rounds=%zu", mf_code_name(rc),
                     er->n);
    }
    while ((k = mf_list_pop_head(&w->entries)) != NULL) {
        struct mf_entry *en = mf_container_of(k, struct mf_entry, in_place);

        mf_list_remove(&e->erasing, &en->in_user);
        /* Not erased: who waits for it times out, and a restart stores it once more,
         * which changes nothing. */
        if (rc == 0) {
            mf_settle_gone(e, en->item, en->user_data != NULL);
        }
        mf_entry_free(e->buffers, en);
    }
    mf_free(w);
    mf_engine_stop_later(e);
}

MF_LOOP static void note_erasing(struct mf_engine *e, struct mf_list *entries)
{
    mf_list_each (entries, k) {
        mf_list_push_tail(&e->erasing,
                          &mf_container_of(k, struct mf_entry, in_place)->in_user);
    }
}

void mf_engine_erase(struct mf_engine *e, struct mf_list *entries)
{
    struct erase_work *w;
    size_t i = 0;

    if (mf_list_is_empty(entries)) {
        return;
    }
    w = mf_calloc(1, sizeof(*w) + entries->n * sizeof(w->seqs[0]));
    if (w == NULL) { /* the tick tries again */
        mf_log_limited(MF_LOG_WARN, "journal_erase_memory", "rounds=%zu", entries->n);
        if (entries != &e->unerased) {
            note_erasing(e, entries);
            mf_list_move(&e->unerased, entries);
        }
        return;
    }
    w->e = e;
    mf_list_init(&w->entries);
    if (entries != &e->unerased) {
        note_erasing(e, entries);
    }
    mf_list_each (entries, k) {
        w->seqs[i++] = mf_container_of(k, struct mf_entry, in_place)->item->seq;
    }
    mf_list_move(&w->entries, entries);
    w->er.seqs = w->seqs;
    w->er.n = i;
    w->er.done = on_erased;
    mf_journal_erase(e->journal, &w->er);
}

/* Told after the commit: a look at the store before it would have found nothing. */
MF_LOOP static void expect_if_pending(struct mf_engine *e, const struct mf_entry *en)
{
    for (uint32_t i = 0; i < en->item->n_msgs; i++) {
        if (!en->msgs[i].has_vector) {
            mf_index_expect_pending(e->index);
            return;
        }
    }
}

MF_LOOP static void on_stored(struct mf_list *entries, void *arg)
{
    struct mf_engine *e = arg;

    mf_list_each (entries, k) {
        struct mf_entry *en = mf_container_of(k, struct mf_entry, in_place);

        if (en->item->idem_key.n > 0) {
            mf_idem_drop(e->idem, en->item->idem_key);
        }
        expect_if_pending(e, en);
    }
    mf_engine_erase(e, entries);
}

MF_LOOP static void on_storing(struct mf_entry *en, void *arg)
{
    struct mf_engine *e = arg;

    mf_library_stored(e->library, en);
}

static void on_park_recorded(struct mf_journal_park *p, int rc)
{
    struct park_work *w = mf_container_of(p, struct park_work, park);

    mf_loop_assert(w->e->loop);
    if (rc < 0) {
        mf_log_error("park_failed", "seq=%llu code=%s", (unsigned long long)p->seq,
                     mf_code_name(rc));
    }
    mf_free((char *)(uintptr_t)p->reason);
    mf_free(w);
}

void mf_engine_note_parked(struct mf_engine *e, const struct mf_item *it,
                           const char *reason)
{
    struct park_work *w = mf_calloc(1, sizeof(*w));

    if (w == NULL) {
        return; /* known in memory; a restart finds out anew */
    }
    w->e = e;
    w->park.seq = it->seq;
    w->park.reason = reason == NULL ? NULL : mf_strndup(reason, strlen(reason));
    w->park.done = on_park_recorded;
    if (reason != NULL && w->park.reason == NULL) {
        mf_free(w);
        return;
    }
    mf_journal_park(e->journal, &w->park);
}

MF_LOOP static void on_parked(struct mf_entry *en, const struct mf_err *why, void *arg)
{
    struct mf_engine *e = arg;

    mf_settle_parked(e, en->item);
    mf_engine_note_parked(e, en->item, why->msg);
}

MF_LOOP static bool on_make(const struct mf_list *entries, struct mf_flush_make *made,
                            void *arg)
{
    struct mf_engine *e = arg;

    return mf_index_make(e->index, entries, made);
}

MF_LOOP static int on_prepare(struct mf_entry *en, void *arg)
{
    struct mf_engine *e = arg;

    return mf_index_prepare(e->index, en);
}

MF_LOOP static bool on_idem(struct mf_entry *en, struct mf_store_idem *out, void *arg)
{
    struct mf_engine *e = arg;

    return en->item->idem_key.n > 0 && mf_idem_find(e->idem, en->item->idem_key, out);
}

MF_LOOP static void on_room(void *arg)
{
    mf_engine_sweep(arg);
}

int mf_engine_start_flush(struct mf_engine *e)
{
    const struct mf_conf *c = e->conf;
    struct mf_flush_config cfg = {
        .workers = (unsigned)c->buffer_max_flush_workers,
        .max_queue = (unsigned)c->buffer_max_flush_queue_size,
        .levels = (unsigned)c->flush_priority_levels,
        .ageing_ms = c->flush_ageing_ms,
        .batch_rows = c->flush_batch_rows,
        .batch_bytes = c->flush_batch_bytes,
        .batch_age_ms = c->flush_batch_age_ms,
        .dep = {.timeout_ms = c->buffer_flush_timeout_ms,
                .max_attempts = 0,
                .first_backoff_ms = c->flush_retry_first_ms,
                .max_backoff_ms = c->flush_retry_max_ms,
                .open_after = (unsigned)c->flush_breaker_after}};
    struct mf_flush_events ev = {.storing = on_storing,
                                 .stored = on_stored,
                                 .parked = on_parked,
                                 .make = on_make,
                                 .prepare = on_prepare,
                                 .idem = on_idem,
                                 .room = on_room,
                                 .arg = e};

    return mf_flush_open(&e->flush, e->loop, e->store, e->buffers, &cfg, &ev);
}

/* ---- what is due ---- */

/* A job is of a moderate size: so is the work of looking whether there is one. */
#define JOB_ROUNDS 64

/* How many of the user's oldest rounds are ready, one behind the other. */
MF_LOOP static size_t count_ready(struct mf_engine *e, const struct mf_userbuf *u,
                                  bool no_wait, size_t max)
{
    uint64_t now = mf_loop_now_ms(e->loop);
    size_t n = 0;

    mf_list_each (&u->hybrid, k) {
        const struct mf_entry *en = mf_container_of(k, struct mf_entry, in_place);

        if (n == max || !mf_entry_is_ready(en, &e->hbuf_limits, now, no_wait)) {
            break;
        }
        n++;
    }
    return n;
}

MF_LOOP static void take_oldest(struct mf_userbuf *u, struct mf_list *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        mf_list_push_tail(out, mf_list_pop_head(&u->hybrid));
    }
}

MF_LOOP static bool under_pressure(const struct mf_engine *e)
{
    return mf_buffers_bytes(e->buffers) > mf_buffers_max_bytes(e->buffers) / 2;
}

/* How many ready rounds make a job: as many as make the buffer due, or any when the
 * oldest has waited its time. */
MF_LOOP static size_t enough_for_job(const struct mf_engine *e,
                                     const struct mf_userbuf *u, enum mf_hbuf_due due)
{
    bool is_old = mf_loop_now_ms(e->loop) - u->oldest_hybrid_ms >=
                  e->hbuf_limits.flush_interval_ms;

    if (due != MF_HBUF_DUE_SIZE || is_old || under_pressure(e) ||
        !e->conf->buffer_enabled) {
        return 1;
    }
    return mf_min(e->hbuf_limits.max_rounds, JOB_ROUNDS);
}

void mf_engine_consider(struct mf_engine *e, struct mf_userbuf *u)
{
    uint64_t now = mf_loop_now_ms(e->loop);
    bool no_wait = mf_index_is_late(e->index) || !e->conf->buffer_enabled;

    for (;;) {
        enum mf_hbuf_due due =
            mf_hbuf_is_due(&e->hbuf_limits, u->hybrid.n, u->oldest_hybrid_ms, now);
        size_t n, enough = enough_for_job(e, u, due);
        struct mf_list job;

        if (due == MF_HBUF_NOT_DUE && (under_pressure(e) || !e->conf->buffer_enabled)) {
            due = MF_HBUF_DUE_INTERVAL;
        }
        if (due == MF_HBUF_NOT_DUE || mf_list_is_empty(&u->hybrid) ||
            !mf_flush_has_room(e->flush)) {
            return;
        }
        n = count_ready(e, u, no_wait, JOB_ROUNDS);
        if (n < mf_min(enough, u->hybrid.n)) {
            return;
        }
        mf_list_init(&job);
        take_oldest(u, &job, n);
        if (mf_flush_push(e->flush, &job,
                          due == MF_HBUF_DUE_SIZE ? MF_FLUSH_NORMAL : MF_FLUSH_LOW) <
            0) {
            mf_userbuf_give_back(u, &job);
            return;
        }
    }
}

void mf_engine_push_rest(struct mf_engine *e, struct mf_userbuf *u,
                         enum mf_flush_priority p)
{
    uint64_t now = mf_loop_now_ms(e->loop);
    struct mf_list job;

    (void)mf_userbuf_transfer(e->buffers, u, now);
    while (!mf_list_is_empty(&u->hybrid)) {
        mf_list_init(&job);
        take_oldest(u, &job, mf_min(u->hybrid.n, (size_t)JOB_ROUNDS));
        if (mf_flush_push(e->flush, &job, p) < 0) {
            mf_userbuf_give_back(u, &job);
            return;
        }
    }
}

void mf_engine_push_all(struct mf_engine *e, struct mf_userbuf *u,
                        enum mf_flush_priority p)
{
    mf_engine_push_rest(e, u, p);
    mf_list_each (&u->all, k) {
        struct mf_entry *en = mf_container_of(k, struct mf_entry, in_user);

        if (en->place == MF_PLACE_QUEUED && en->urgency > (unsigned)p) {
            mf_flush_raise(e->flush, en, p);
        }
    }
}

void mf_engine_entry_changed(struct mf_entry *en, void *arg)
{
    struct mf_engine *e = arg;

    if (e->state != MF_ENGINE_CLOSING && en->place == MF_PLACE_HYBRID &&
        en->n_missing == 0) {
        mf_engine_consider(e, en->owner);
    }
}
