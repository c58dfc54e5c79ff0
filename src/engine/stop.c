/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stop in order: refuse what is new, answer what is in flight, flush what can be
 * flushed within drain.timeout, leave the rest in the journal, close each room after
 * those that use it: flush, service, embed, library, store, index, journal, device.
 */
#include "engine/engine_priv.h"

#include "base/log.h"

#include <string.h>

/* The journal closed before it could be asked: a restart stores them once more. */
MF_LOOP static void forget_unerased(struct mf_engine *e)
{
    struct mf_link *k;

    while ((k = mf_list_pop_head(&e->unerased)) != NULL) {
        struct mf_entry *en = mf_container_of(k, struct mf_entry, in_place);

        mf_list_remove(&e->erasing, &en->in_user);
        mf_entry_free(e->buffers, en);
    }
}

static void on_timers_closed(uv_handle_t *h)
{
    struct mf_engine *e = mf_container_of((uv_timer_t *)h, struct mf_engine, tick);
    mf_engine_closed_fn closed = e->closed;
    void *arg = e->closed_arg;

    mf_loop_assert(e->loop);
    mf_loop_forget_hook(e->loop, &e->ready_hook);
    mf_loop_forget_hook(e->loop, &e->stop_hook);
    mf_loop_forget_hook(e->loop, &e->sweep_hook);
    forget_unerased(e);
    mf_directory_free(e->directory);
    mf_idem_free(e->idem);
    if (e->buffers != NULL) {
        mf_buffers_free(e->buffers);
    }
    if (e->owns_model && e->model != NULL) {
        mf_model_close(e->model);
    }
    mf_free(e);
    if (closed != NULL) {
        closed(arg);
    }
}

static void on_pace_closed(uv_handle_t *h)
{
    struct mf_engine *e =
        mf_container_of((uv_timer_t *)h, struct mf_engine, pace_timer);

    mf_loop_assert(e->loop);
    uv_close((uv_handle_t *)&e->tick, on_timers_closed);
}

/* It waits for the helper process to end. */
MF_WORKER static void work_close_device(uv_work_t *req)
{
    struct mf_engine_npu_end *end = mf_container_of(req, struct mf_engine_npu_end, req);

    mf_npu_offload_close(end->npu);
}

static void close_next(void *arg);

static void on_device_closed(uv_work_t *req, MF_UNUSED int status)
{
    struct mf_engine *e = mf_container_of(req, struct mf_engine, npu_end.req);

    mf_loop_assert(e->loop);
    close_next(e);
}

/* Each room is closed when the one before reported; then its pointer is NULL. */
MF_LOOP static void close_rooms(struct mf_engine *e)
{
    if (e->flush != NULL) {
        struct mf_flush *f = e->flush;

        e->flush = NULL;
        mf_flush_close(f, close_next, e);
    } else if (e->service != NULL) {
        struct mf_service *s = e->service;

        e->service = NULL;
        mf_service_close(s, close_next, e);
    } else if (e->embed != NULL) {
        struct mf_embed *m = e->embed;

        e->embed = NULL;
        mf_embed_close(m, close_next, e);
    } else if (e->library != NULL) {
        struct mf_library *lib = e->library;

        e->library = NULL;
        mf_library_close(lib, close_next, e);
    } else if (e->store != NULL) {
        struct mf_store *s = e->store;

        e->store = NULL;
        mf_store_close(s, close_next, e);
    } else if (e->index != NULL) {
        struct mf_index *x = e->index;

        e->index = NULL;
        mf_index_close(x, close_next, e);
    } else if (e->journal != NULL) {
        struct mf_journal *j = e->journal;

        if (e->query != NULL) {
            mf_query_free(e->query);
            e->query = NULL;
        }
        e->journal = NULL;
        mf_journal_close(j, close_next, e);
    } else if (e->npu != NULL) {
        e->npu_end.npu = e->npu;
        e->npu = NULL;
        MF_ASSERT(uv_queue_work(mf_loop_uv(e->loop), &e->npu_end.req, work_close_device,
                                on_device_closed) == 0);
    } else {
        uv_close((uv_handle_t *)&e->pace_timer, on_pace_closed);
    }
}

static void close_next(void *arg)
{
    struct mf_engine *e = arg;

    mf_loop_assert(e->loop);
    close_rooms(e);
}

MF_LOOP static bool is_drained(const struct mf_engine *e)
{
    return mf_buffers_n_entries(e->buffers, MF_PLACE_WRITE) == 0 &&
           mf_buffers_n_entries(e->buffers, MF_PLACE_HYBRID) == 0 &&
           mf_buffers_n_entries(e->buffers, MF_PLACE_QUEUED) == 0 &&
           mf_buffers_n_entries(e->buffers, MF_PLACE_FLYING) == 0 &&
           mf_list_is_empty(&e->erasing);
}

/* From here on nothing new begins: who goes on with a call sees MF_ECLOSED. */
MF_LOOP static void begin_closing(struct mf_engine *e)
{
    e->state = MF_ENGINE_CLOSING;
    if (e->index != NULL) {
        mf_index_stop(e->index);
    }
    if (e->directory != NULL) {
        mf_directory_stop(e->directory);
    }
    if (e->idem != NULL) {
        mf_idem_stop(e->idem);
    }
    (void)uv_timer_stop(&e->tick);
    (void)uv_timer_stop(&e->pace_timer);
}

MF_LOOP static void stop_step(struct mf_engine *e)
{
    bool in_time = mf_loop_now_ms(e->loop) < e->drain_until_ms;

    if (e->state != MF_ENGINE_DRAINING) {
        return;
    }
    if ((e->n_calls > 0 || mf_service_n_requests(e->service) > 0) && in_time) {
        return; /* answers first; settles are flushing already */
    }
    if (!is_drained(e) && in_time && !mf_journal_is_dead(e->journal)) {
        mf_engine_sweep(e);
        mf_flush_kick(e->flush);
        return;
    }
    if (!is_drained(e)) {
        mf_log_info("drain_ended", "left_in_journal=%zu",
                    mf_buffers_n_messages(e->buffers));
    }
    begin_closing(e);
    mf_settle_cancel_all(e);
    close_rooms(e);
}

static void on_stop_step(struct mf_turn_hook *h)
{
    struct mf_engine *e = mf_container_of(h, struct mf_engine, stop_hook);

    mf_loop_assert(e->loop);
    stop_step(e);
}

void mf_engine_init_stop(struct mf_engine *e)
{
    e->stop_hook.fn = on_stop_step;
}

void mf_engine_stop_later(struct mf_engine *e)
{
    if (e->state == MF_ENGINE_DRAINING) {
        mf_loop_at_turn_end(e->loop, &e->stop_hook);
    }
}

void mf_engine_close(struct mf_engine *e, mf_engine_closed_fn closed, void *arg)
{
    MF_ASSERT(e->state == MF_ENGINE_OPEN);
    e->state = MF_ENGINE_DRAINING;
    e->closed = closed;
    e->closed_arg = arg;
    mf_index_pause(e->index, false);
    mf_flush_pause(e->flush, false);
    e->drain_until_ms = mf_loop_now_ms(e->loop) + e->conf->drain_timeout_ms;
    /* The store is asked as soon as possible; the tick drives the rest. */
    (void)uv_timer_start(&e->tick, e->tick.timer_cb, 0, 10);
}

static void on_abandoned(void *arg)
{
    bool *is_closed = arg;

    *is_closed = true;
}

void mf_engine_abandon(struct mf_engine *e)
{
    bool is_closed = false;

    mf_loop_assert(e->loop);
    begin_closing(e);
    e->closed = on_abandoned;
    e->closed_arg = &is_closed;
    close_rooms(e);
    while (!is_closed) {
        (void)uv_run(mf_loop_uv(e->loop), UV_RUN_ONCE);
    }
}
