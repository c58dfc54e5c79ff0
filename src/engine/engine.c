/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/engine_priv.h"

#include "base/log.h"
#include "base/stat.h"
#include "base/wallclock.h"
#include "engine/model_choice.h"
#include "engine/rooms_conf.h"

#include <string.h>

#define MAX_TICK_MS    500
#define PACE_MS        20
#define PURGE_RETRY_MS 60000

/* ---- now and then ---- */

struct purge {
    struct mf_store_idem_req req;
    struct mf_engine *e;
};

static void on_purged(struct mf_store_req *req, int rc)
{
    struct purge *p = mf_container_of(req, struct purge, req.req);
    struct mf_engine *e = p->e;

    mf_loop_assert(e->loop);
    if (rc < 0) {
        mf_log_limited(MF_LOG_WARN, "idempotency_purge", "code=%s", mf_code_name(rc));
    }
    e->is_purging = false;
    if (rc < 0) {
        e->idem_purge_at_ms = mf_loop_now_ms(e->loop) + PURGE_RETRY_MS;
    }
    mf_store_req_fini(req);
    mf_free(p);
}

MF_LOOP static void purge_idem(struct mf_engine *e, uint64_t now)
{
    struct purge *p;

    if (e->is_purging || now < e->idem_purge_at_ms) {
        return;
    }
    e->idem_purge_at_ms = now + e->conf->idempotency_ttl_ms / 4;
    p = mf_calloc(1, sizeof(*p));
    if (p == NULL) {
        return;
    }
    p->e = e;
    p->req.req.op = MF_STORE_IDEM_PURGE;
    p->req.req.done = on_purged;
    p->req.req.urgency = MF_ORDINARY;
    p->req.before_us = mf_wallclock_us() - (int64_t)e->conf->idempotency_ttl_ms * 1000;
    if (mf_store_submit(e->store, &p->req.req) < 0) {
        mf_store_req_fini(&p->req.req);
        mf_free(p);
        return;
    }
    e->is_purging = true;
}

void mf_engine_on_tick(struct mf_engine *e)
{
    uint64_t now = mf_loop_now_ms(e->loop);

    mf_engine_erase(e, &e->unerased);
    mf_settle_tick(e, now);
    mf_directory_tick(e->directory, now);
    mf_idem_tick(e->idem, now);
    mf_add_tick(e, now);
    mf_ask_tick(e, now);
    if (e->state == MF_ENGINE_OPEN) {
        mf_engine_sweep(e);
        mf_index_tick(e->index, now);
        purge_idem(e, now);
    }
    mf_engine_watch_store(e);
    mf_engine_show_figures(e);
    mf_engine_stop_later(e);
}

static void on_tick(uv_timer_t *t)
{
    struct mf_engine *e = mf_container_of(t, struct mf_engine, tick);

    mf_loop_assert(e->loop);
    mf_engine_on_tick(e);
}

static void on_ready(struct mf_turn_hook *h)
{
    struct mf_engine *e = mf_container_of(h, struct mf_engine, ready_hook);
    struct mf_list now;
    struct mf_link *k;

    mf_loop_assert(e->loop);
    mf_list_init(&now);
    mf_list_move(&now, &e->ready);
    while ((k = mf_list_pop_head(&now)) != NULL) {
        struct mf_call *c = mf_container_of(k, struct mf_call, link);

        mf_call_finish(c, c->rc);
    }
}

/* ---- start ---- */

MF_LOOP static int on_replayed(struct mf_item *it, const char *parked_reason, void *arg)
{
    struct mf_engine *e = arg;
    struct mf_add_outcome out;
    int rc;

    mf_buffers_reserve(e->buffers, it->bytes);
    rc = mf_buffers_add(e->buffers, it, NULL, 0, &out);
    if (rc < 0) {
        mf_buffers_unreserve(e->buffers, it->bytes);
        if (rc == MF_EEXIST) { /* not worth refusing to start: the journal keeps it */
            mf_log_error("replay_duplicate", "seq=%llu", (unsigned long long)it->seq);
            rc = 0;
        }
        mf_item_unref(it);
        return rc;
    }
    if (it->idem_key.n > 0) {
        struct mf_buf answer;
        struct mf_store_idem idem = {
            .key = it->idem_key, .status = 201, .created_us = it->accepted_us};

        mf_buf_init(&answer);
        e->events.format_add(it, &answer, e->events.arg);
        memcpy(idem.body_hash, it->idem_hash, sizeof(idem.body_hash));
        idem.response = mf_slice_of(answer.p, answer.n);
        rc = mf_buf_status(&answer) < 0 ? MF_ENOMEM : mf_idem_restore(e->idem, &idem);
        mf_buf_fini(&answer);
    }
    if (parked_reason != NULL) {
        mf_entry_move(e->buffers, out.entry, MF_PLACE_PARKED, NULL);
    }
    mf_index_entry(e->index, out.entry);
    mf_item_unref(it);
    return rc;
}

static void on_journal_fatal(const struct mf_err *err, void *arg)
{
    struct mf_engine *e = arg;

    e->events.fatal(err, e->events.arg);
}

static int open_journal(struct mf_engine *e, struct mf_err *err)
{
    struct mf_journal_config cfg;

    mf_journal_conf(e->conf, &cfg);
    return mf_journal_open(&e->journal, e->loop, &cfg, on_journal_fatal, e, err);
}

static int open_store(struct mf_engine *e, struct mf_err *err)
{
    struct mf_store_config cfg;

    mf_store_conf(e->conf, e->model->info.space_id, &cfg);
    return mf_store_open(&e->store, e->loop, &cfg, err);
}

MF_LOOP static int open_model(struct mf_engine *e, struct mf_model *model,
                              struct mf_err *err)
{
    struct mf_err why = {0};
    int rc;

    if (model != NULL) {
        e->model = model;
        return 0;
    }
    e->owns_model = true;
    rc = mf_engine_choose_model(&e->model, e->conf, err);
    if (rc == 0) {
        rc = mf_engine_choose_device(&e->npu, e->model, e->conf, &why);
        e->npu_code = rc == 0 && why.msg[0] != '\0' ? why.code : 0;
    }
    return rc == 0 || why.msg[0] == '\0' ? rc : mf_err_set(err, rc, "%s", why.msg);
}

MF_LOOP static int open_embed(struct mf_engine *e)
{
    const struct mf_conf *c = e->conf;
    struct mf_embed_config cfg = {
        .permits = (unsigned)c->embed_max_concurrent,
        .dep = {.timeout_ms = c->embed_timeout_ms,
                .max_attempts = (unsigned)c->embed_max_attempts,
                .first_backoff_ms = c->embed_retry_first_ms,
                .max_backoff_ms = c->embed_retry_max_ms},
        .max_waiting = c->embed_max_backlog + c->embed_backfill_batch,
        .max_waiting_bytes = c->buffer_max_bytes};

    return mf_embed_open(&e->embed, e->loop, e->model, &cfg);
}

MF_LOOP static int open_service(struct mf_engine *e)
{
    const struct mf_conf *c = e->conf;
    struct mf_service_config cfg = {.model = e->model,
                                    .cache_bytes = c->embed_cache_bytes,
                                    .cache_ttl_ms = c->embed_cache_ttl_ms,
                                    .max_tokens = c->embed_max_queued_tokens,
                                    .max_wait_ms = c->embed_max_wait_ms};

    return mf_service_open(&e->service, e->loop, e->embed, &cfg);
}

MF_LOOP static int open_library(struct mf_engine *e)
{
    const struct mf_conf *c = e->conf;
    struct mf_library_config cfg = {
        .weights = {.a1 = c->recall_a1,
                    .a2 = c->recall_a2,
                    .b1 = c->recall_b1,
                    .b2 = c->recall_b2,
                    .k1 = c->recall_k1,
                    .b = c->recall_b,
                    .w = c->recall_w,
                    .speaker = c->recall_speaker,
                    .date = c->recall_date,
                    .time_word = c->recall_time_word,
                    .short_question = c->recall_short_question,
                    .keyword_rows = (unsigned)c->recall_keyword_rows},
        .max_bytes = c->recall_max_bytes,
        .max_resident = c->recall_max_resident,
        .store_timeout_ms = c->recall_store_timeout_ms,
        .scan_permits = (unsigned)c->recall_scan_permits,
        .as_f32 = strcmp(c->recall_vectors, "f32") == 0};

    return mf_library_open(&e->library, e->loop, e->store, e->buffers, &cfg);
}

MF_LOOP static int open_rooms(struct mf_engine *e)
{
    struct mf_query_config qc = {.store_timeout_ms = e->conf->recall_store_timeout_ms,
                                 .passage_tokens =
                                     (uint32_t)e->conf->recall_passage_tokens};
    struct mf_index_parts parts;
    int rc = mf_buffers_new(&e->buffers, e->conf->buffer_max_bytes);

    if (rc == 0) {
        rc = open_embed(e);
    }
    if (rc == 0) {
        rc = open_service(e);
    }
    if (rc == 0) {
        rc = open_library(e);
    }
    if (rc == 0) {
        rc = mf_query_open(&e->query, e->loop, e->embed, e->library, e->store,
                           e->buffers, &qc);
    }
    if (rc == 0) {
        parts = (struct mf_index_parts){e->loop,
                                        e->embed,
                                        e->buffers,
                                        e->store,
                                        e->library,
                                        e->conf,
                                        mf_engine_entry_changed,
                                        e};
        rc = mf_index_open(&e->index, &parts);
    }
    if (rc == 0) {
        rc = mf_engine_start_flush(e);
    }
    if (rc == 0) {
        rc = mf_directory_new(&e->directory, e->store, e->conf->directory_max_sessions);
    }
    if (rc == 0) {
        rc = mf_idem_new(&e->idem, e->store);
    }
    return rc;
}

MF_LOOP static void init_engine(struct mf_engine *e, struct mf_loop *l,
                                const struct mf_conf *conf,
                                const struct mf_engine_events *events)
{
    e->loop = l;
    e->conf = conf;
    e->events = *events;
    e->wbuf_limits.max_rounds = (unsigned)conf->buffer_round_max_size;
    e->wbuf_limits.max_tokens = (unsigned)conf->buffer_round_max_tokens;
    e->hbuf_limits.max_rounds = (unsigned)conf->buffer_hybrid_max_size;
    e->hbuf_limits.flush_interval_ms = conf->buffer_flush_interval_ms;
    e->hbuf_limits.idle_ms = conf->buffer_force_flush_timeout_ms;
    e->hbuf_limits.vector_wait_ms = conf->flush_vector_wait_ms;
    mf_list_init(&e->adding);
    mf_list_init(&e->erasing);
    mf_list_init(&e->unerased);
    mf_list_init(&e->creating);
    mf_list_init(&e->ready);
    mf_list_init(&e->visiting);
    mf_list_init(&e->naming);
    mf_settles_init(&e->settles);
    e->ready_hook.fn = on_ready;
    mf_engine_init_sweep(e);
    mf_engine_init_stop(e);
}

static void on_pace(uv_timer_t *t)
{
    struct mf_engine *e = mf_container_of(t, struct mf_engine, pace_timer);
    struct mf_pace_view v = {
        .delay_ns = mf_pace_thread_delay_ns(),
        .n_work = e->n_work,
        .max_wait_ms = mf_min(e->hbuf_limits.flush_interval_ms, MF_PACE_MAX_MS)};
    struct mf_stat_histogram commits;
    bool pause;

    mf_loop_assert(e->loop);
    v.now_ms = mf_loop_now_ms(e->loop);
    mf_stat_read_histogram(MF_STAT_journal_commit_us, &commits);
    v.n_commits = commits.count;
    v.commits_us = commits.sum;
    v.full_share =
        (double)mf_buffers_bytes(e->buffers) / (double)mf_buffers_max_bytes(e->buffers);
    pause = mf_pace_stands_back(&e->pace, &v) && e->state == MF_ENGINE_OPEN;
    mf_index_pause(e->index, pause);
    mf_flush_pause(e->flush, pause);
}

static void start_tick(struct mf_engine *e)
{
    uint64_t ms = mf_min(e->hbuf_limits.flush_interval_ms, e->hbuf_limits.idle_ms) / 4;

    ms = mf_min(ms, e->conf->embed_backfill_ms);
    ms = mf_max(mf_min(ms, MAX_TICK_MS), 5);
    MF_ASSERT(uv_timer_init(mf_loop_uv(e->loop), &e->tick) == 0);
    MF_ASSERT(uv_timer_start(&e->tick, on_tick, ms, ms) == 0);
    MF_ASSERT(uv_timer_init(mf_loop_uv(e->loop), &e->pace_timer) == 0);
    MF_ASSERT(uv_timer_start(&e->pace_timer, on_pace, PACE_MS, PACE_MS) == 0);
}

MF_LOOP static int on_known(const struct mf_journal_known *k, void *arg)
{
    struct mf_engine *e = arg;

    return mf_directory_restore(e->directory, k);
}

/* A store on this disk is never away: nothing need be kept of it. */
MF_LOOP static int restore_known(struct mf_engine *e, struct mf_err *err)
{
    int rc;

    e->store_is_remote = e->store->info.is_remote;
    if (!e->store_is_remote) {
        return 0;
    }
    rc = mf_journal_each_known(e->journal, e->conf->directory_max_sessions, on_known, e,
                               err);
    mf_directory_keep(e->directory, e->journal);
    mf_directory_bound(e->directory, e->conf->recall_store_timeout_ms);
    mf_idem_bound(e->idem, e->conf->recall_store_timeout_ms);
    return rc;
}

static void init_seqs(struct mf_engine *e)
{
    const struct mf_store_info *info = &e->store->info;
    uint64_t next = mf_journal_next_seq(e->journal);

    if (info->is_remote) {
        mf_seqs_init_clock(&e->seqs, next, info->node);
    } else {
        mf_seqs_init_count(&e->seqs, mf_max(next, info->next_seq));
    }
}

uint64_t mf_engine_take_seqs(struct mf_engine *e, uint64_t n)
{
    return mf_seqs_take(&e->seqs, n, (uint64_t)mf_wallclock_us() / 1000);
}

int mf_engine_open(struct mf_engine **out, struct mf_loop *l,
                   const struct mf_conf *conf, struct mf_model *model,
                   const struct mf_engine_events *events, struct mf_err *err)
{
    struct mf_engine *e = mf_calloc(1, sizeof(*e));
    int rc;

    mf_loop_assert(l); /* the loop does not run yet, but this is its thread */
    if (e == NULL) {
        return mf_err_set(err, MF_ENOMEM, "out of memory");
    }
    init_engine(e, l, conf, events);
    rc = open_model(e, model, err);
    if (rc == 0) {
        rc = open_journal(e, err);
    }
    if (rc == 0) {
        rc = open_store(e, err);
    }
    if (rc == 0) {
        rc = open_rooms(e);
        if (rc < 0) {
            (void)mf_err_set(err, rc, "engine: %s", mf_code_sentence(rc));
        }
    }
    if (rc == 0) {
        rc = mf_journal_replay(e->journal, on_replayed, e, err);
    }
    if (rc == 0) {
        rc = restore_known(e, err);
    }
    start_tick(e);
    if (rc < 0) {
        mf_engine_abandon(e);
        return rc;
    }
    init_seqs(e);
    *out = e;
    return 0;
}

const struct mf_model_info *mf_engine_model(const struct mf_engine *e)
{
    return &e->model->info;
}

struct mf_service *mf_engine_service(struct mf_engine *e)
{
    return e->service;
}
