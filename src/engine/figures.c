/* SPDX-License-Identifier: Apache-2.0 */
/* What others are told about the engine, and since when the store is away. */
#include "engine/engine_priv.h"

#include "base/log.h"
#include "base/stat.h"
#include "base/wallclock.h"

#include <stdio.h>

#define LOG_AFTER_US 1000000

/* The store's own word, and what the flush met. */
MF_LOOP static bool is_store_up(const struct mf_engine *e, struct mf_store_health *h)
{
    mf_store_health(e->store, h);
    if (h->is_up && !mf_dep_is_up(mf_flush_health(e->flush))) {
        h->is_up = false;
        (void)snprintf(h->why, sizeof(h->why),
                       "the store did not take what was to be stored");
    } else if (h->is_up && mf_flush_n_aside(e->flush) > 0) {
        h->is_up = false;
        (void)snprintf(h->why, sizeof(h->why),
                       "a part of the store is away: %zu rounds wait for it",
                       mf_flush_n_aside(e->flush));
    }
    return h->is_up;
}

MF_LOOP static size_t count_waiting(const struct mf_engine *e)
{
    return mf_buffers_n_entries(e->buffers, MF_PLACE_WRITE) +
           mf_buffers_n_entries(e->buffers, MF_PLACE_HYBRID) +
           mf_buffers_n_entries(e->buffers, MF_PLACE_QUEUED) +
           mf_buffers_n_entries(e->buffers, MF_PLACE_FLYING);
}

void mf_engine_watch_store(struct mf_engine *e)
{
    char quoted[2 * MF_ERR_MAX];
    struct mf_store_health h;
    bool is_up = is_store_up(e, &h);
    int64_t now_us = mf_wallclock_us();

    if (is_up && !e->is_down_logged) {
        e->store_down_us = 0;
        return;
    }
    if (!is_up) {
        e->store_down_us = e->store_down_us == 0 ? now_us : e->store_down_us;
        /* One that is being connected to at the start is not worth a line. */
        if (e->is_down_logged || now_us - e->store_down_us < LOG_AFTER_US) {
            return;
        }
        e->is_down_logged = true;
        mf_log_warn("store_away", "backend=%s waiting=%zu why=%s",
                    e->store->info.backend, count_waiting(e),
                    mf_log_quote(quoted, sizeof(quoted), h.why, strlen(h.why)));
        return;
    }
    mf_log_info("store_back", "backend=%s waiting=%zu after_s=%lld",
                e->store->info.backend, count_waiting(e),
                (long long)((now_us - e->store_down_us) / 1000000));
    e->store_down_us = 0;
    e->is_down_logged = false;
}

void mf_engine_show_figures(const struct mf_engine *e)
{
    mf_stat_set(MF_STAT_messages_pending, (int64_t)mf_buffers_n_messages(e->buffers));
    mf_stat_set(MF_STAT_bytes_pending, (int64_t)mf_buffers_bytes(e->buffers));
    mf_stat_set(MF_STAT_shelf_bytes, (int64_t)mf_library_bytes(e->library));
}

MF_LOOP static void tell_store(const struct mf_engine *e, struct mf_engine_figures *f)
{
    struct mf_store_health h;

    f->store = e->store->info.backend;
    f->store_up = is_store_up(e, &h);
    f->store_down_us = 0;
    f->store_why[0] = '\0';
    if (!f->store_up) {
        f->store_down_us = e->store_down_us > 0 ? e->store_down_us : mf_wallclock_us();
        memcpy(f->store_why, h.why, sizeof(f->store_why));
    }
}

void mf_engine_figures(const struct mf_engine *e, struct mf_engine_figures *f)
{
    if (e->state == MF_ENGINE_CLOSING) { /* the rooms are gone, one after the other */
        *f = (struct mf_engine_figures){.is_draining = true,
                                        .store = e->conf->store_backend};
        return;
    }
    f->n_write = mf_buffers_n_entries(e->buffers, MF_PLACE_WRITE);
    f->n_hybrid = mf_buffers_n_entries(e->buffers, MF_PLACE_HYBRID);
    f->n_queued = mf_buffers_n_entries(e->buffers, MF_PLACE_QUEUED);
    f->n_flying = mf_buffers_n_entries(e->buffers, MF_PLACE_FLYING);
    f->n_parked = mf_buffers_n_entries(e->buffers, MF_PLACE_PARKED);
    f->n_waiting = count_waiting(e);
    f->n_messages = mf_buffers_n_messages(e->buffers);
    f->bytes = mf_buffers_bytes(e->buffers);
    f->max_bytes = mf_buffers_max_bytes(e->buffers);
    f->flush_jobs = mf_flush_n_queued(e->flush);
    f->embed_backlog = mf_embed_backlog(e->embed);
    f->journal_bytes = mf_journal_bytes(e->journal);
    f->n_shelves = mf_library_n_shelves(e->library);
    f->shelf_bytes = mf_library_bytes(e->library);
    f->journal_full = mf_journal_is_full(e->journal);
    f->embed_up = mf_dep_is_up(mf_embed_health(e->embed));
    f->is_draining = e->state != MF_ENGINE_OPEN;
    tell_store(e, f);
}
