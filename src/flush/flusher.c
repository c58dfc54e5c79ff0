/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stat.h"
#include "flush/state.h"

#define NEVER UINT64_MAX

MF_LOOP static void job_free(struct mf_flush *f, struct flush_job *job)
{
    MF_ASSERT(mf_list_is_empty(&job->group.entries));
    mf_flushq_remove(&f->q, &job->node);
    mf_stat_add(MF_STAT_flush_queue, -1);
    mf_free(job);
}

/* Whether the store may be called now; asks nothing of the breaker yet, since the asker
 * becomes the probe. */
static bool may_call_store(const struct mf_flush *f, uint64_t now_ms)
{
    return mf_dep_is_up(&f->dep) || now_ms >= f->dep.retry_at_ms;
}

/* ---- the next batch ---- */

/* The store failed twice in a row: only the oldest batch asks it again, and nobody
 * overtakes it, so that what waited for the store is stored in order. */
static bool is_failing(const struct mf_flush *f)
{
    return f->dep.failures > 1;
}

/* The one opened first of those that are due, or of all; NULL: none. */
static struct flush_batch *first_waiting(const struct mf_flush *f, uint64_t now_ms)
{
    struct flush_batch *first = NULL;

    mf_list_each (&f->waiting, k) {
        struct flush_batch *b = mf_container_of(k, struct flush_batch, link);

        if ((is_failing(f) || b->not_before_ms <= now_ms) &&
            (first == NULL || b->serial < first->serial)) {
            first = b;
        }
    }
    return first;
}

static uint64_t waiting_due_at_ms(const struct mf_flush *f)
{
    uint64_t at = NEVER;

    if (is_failing(f) && f->waiting.n > 0) {
        return first_waiting(f, 0)->not_before_ms;
    }
    mf_list_each (&f->waiting, k) {
        at = mf_min(at, mf_container_of(k, struct flush_batch, link)->not_before_ms);
    }
    return at;
}

void flush_let_waiting_go(struct mf_flush *f)
{
    mf_list_each (&f->waiting, k) {
        mf_container_of(k, struct flush_batch, link)->not_before_ms = 0;
    }
    flush_aside_hurry(f);
}

static bool may_open_batch(const struct mf_flush *f)
{
    if (f->is_paused && !f->is_hurried && f->q.n_critical == 0) {
        return false;
    }
    if (is_failing(f) && f->waiting.n + f->making.n > 0) {
        return false;
    }
    return f->q.n > 0 &&
           f->waiting.n + flush_n_under_way(f) < 2 * (size_t)f->cfg.workers;
}

static uint64_t queue_due_at_ms(const struct mf_flush *f)
{
    struct mf_batch_fill all = f->queued;

    if (f->is_hurried || f->q.n_critical > 0) {
        return 0;
    }
    all.opened_ms = mf_flushq_oldest_ms(&f->q);
    return mf_batch_due_at_ms(&all, &f->limits);
}

/* Whole rounds, as many as fit; true when the job is used up (and gone). */
MF_LOOP static bool take_from_job(struct mf_flush *f, struct flush_batch *b,
                                  struct flush_job *job)
{
    struct mf_link *k;

    while ((k = mf_list_head(&job->group.entries)) != NULL) {
        struct mf_entry *e = flush_entry_at(k);
        size_t n_rows = e->item->n_msgs;

        if (!mf_batch_fits(&b->fill, &f->limits, n_rows, e->item->bytes)) {
            return false;
        }
        f->queued.n_rows -= n_rows;
        f->queued.bytes -= e->item->bytes;
        flush_batch_take(b, e);
    }
    b->is_urgent = b->is_urgent || job->node.priority == MF_FLUSH_CRITICAL;
    job_free(f, job);
    return true;
}

/* When only somebody who waits makes it due, the batch ends with the last of those:
 * others neither slow it down nor lose their chance to fill one. */
MF_LOOP static void fill_batch(struct mf_flush *f, struct flush_batch *b,
                               uint64_t now_ms)
{
    struct mf_batch_fill all = f->queued;
    bool takes_all;

    all.opened_ms = mf_flushq_oldest_ms(&f->q);
    takes_all =
        f->is_hurried || (!f->is_paused && mf_batch_is_due(&all, &f->limits, now_ms));
    while (takes_all || f->q.n_critical > 0) {
        struct mf_flushq_node *node = mf_flushq_peek(&f->q, now_ms);
        struct flush_job *job;

        if (node == NULL) {
            break;
        }
        job = mf_container_of(node, struct flush_job, node);
        if (!take_from_job(f, b, job)) {
            b->is_urgent = b->is_urgent || job->node.priority == MF_FLUSH_CRITICAL;
            break;
        }
    }
    f->is_hurried = f->is_hurried && f->q.n > 0;
}

MF_LOOP static struct flush_batch *open_batch(struct mf_flush *f, uint64_t now_ms)
{
    struct flush_batch *b;

    if (!may_open_batch(f) || now_ms < f->memory_at_ms || now_ms < queue_due_at_ms(f)) {
        return NULL;
    }
    b = flush_batch_new(f);
    if (b == NULL) {
        f->memory_at_ms = now_ms + mf_max(f->cfg.dep.first_backoff_ms, 1);
        mf_log_limited(MF_LOG_WARN, "flush_memory", "queued=%zu wait_ms=%llu", f->q.n,
                       (unsigned long long)f->cfg.dep.first_backoff_ms);
        return NULL;
    }
    fill_batch(f, b, now_ms);
    return b;
}

MF_LOOP static struct flush_batch *next_batch(struct mf_flush *f, uint64_t now_ms)
{
    struct flush_batch *b;

    if (flush_n_under_way(f) >= f->cfg.workers || !may_call_store(f, now_ms) ||
        (is_failing(f) && f->making.n > 0)) { /* which may be the oldest */
        return NULL;
    }
    b = first_waiting(f, now_ms);
    if (b != NULL && b->not_before_ms <= now_ms) {
        mf_list_remove(&f->waiting, &b->link);
        return b;
    }
    b = is_failing(f) ? NULL : flush_aside_due(f, now_ms);
    if (b != NULL) {
        flush_aside_take(b);
        return b;
    }
    return open_batch(f, now_ms);
}

/* ---- when to look again ---- */

static uint64_t next_look_ms(const struct mf_flush *f)
{
    uint64_t at = NEVER;

    if (flush_n_under_way(f) >= f->cfg.workers || (is_failing(f) && f->making.n > 0)) {
        return NEVER; /* the next one that comes back looks */
    }
    if (may_open_batch(f)) {
        at = mf_max(queue_due_at_ms(f), f->memory_at_ms);
    }
    at = mf_min(at, waiting_due_at_ms(f));
    if (!is_failing(f)) {
        at = mf_min(at, flush_aside_due_at_ms(f));
    }
    if (at != NEVER && !mf_dep_is_up(&f->dep)) {
        at = mf_max(at, f->dep.retry_at_ms);
    }
    return at;
}

static void on_timer(uv_timer_t *t)
{
    struct mf_flush *f = mf_container_of(t, struct mf_flush, timer);

    mf_loop_assert(f->loop);
    flush_ask(f);
}

MF_LOOP static void arm_timer(struct mf_flush *f, uint64_t now_ms)
{
    uint64_t at = next_look_ms(f);
    int rc;

    if (at == NEVER) {
        rc = uv_timer_stop(&f->timer);
    } else {
        rc = uv_timer_start(&f->timer, on_timer, at > now_ms ? at - now_ms : 0, 0);
    }
    MF_ASSERT(rc == 0);
}

MF_LOOP static void offer_room(struct mf_flush *f)
{
    if (f->is_room_wanted && f->q.n < f->cfg.max_queue) {
        f->is_room_wanted = false;
        if (f->events.room != NULL) {
            f->events.room(f->events.arg);
        }
    }
}

/* One batch a turn: making its rows is work, and the loop has others to serve. */
static void on_turn_end(struct mf_turn_hook *h)
{
    struct mf_flush *f = mf_container_of(h, struct mf_flush, hook);
    uint64_t now_ms;
    struct flush_batch *b;

    mf_loop_assert(f->loop);
    if (f->is_closing) {
        return;
    }
    now_ms = mf_loop_now_ms(f->loop);
    b = next_batch(f, now_ms);
    if (b != NULL) {
        flush_batch_launch(b);
        flush_ask(f);
    } else {
        arm_timer(f, now_ms);
    }
    offer_room(f);
}

void flush_ask(struct mf_flush *f)
{
    if (!f->is_closing) {
        mf_loop_at_turn_end(f->loop, &f->hook);
    }
}

/* ---- for others ---- */

static bool config_is_ok(const struct mf_flush_config *cfg)
{
    return cfg->workers > 0 && cfg->max_queue > 0 && cfg->batch_rows > 0 &&
           cfg->batch_bytes > 0 && mf_flushq_levels_ok(cfg->levels);
}

int mf_flush_open(struct mf_flush **out, struct mf_loop *l, struct mf_store *store,
                  struct mf_buffers *buffers, const struct mf_flush_config *cfg,
                  const struct mf_flush_events *events)
{
    struct mf_flush *f;

    MF_ASSERT(events->stored != NULL && events->parked != NULL);
    if (!config_is_ok(cfg)) {
        mf_log_error("flush_config",
                     "workers=%u max_queue=%u levels=%u batch_rows=%zu batch_bytes=%zu "
                     "hint=\"levels is 5 or 3, the others are at least 1\"",
                     cfg->workers, cfg->max_queue, cfg->levels, cfg->batch_rows,
                     cfg->batch_bytes);
        return MF_EINVAL;
    }
    f = mf_calloc(1, sizeof(*f));
    if (f == NULL) {
        return MF_ENOMEM;
    }
    f->loop = l;
    f->store = store;
    f->buffers = buffers;
    f->cfg = *cfg;
    f->events = *events;
    f->limits = (struct mf_batch_limits){.max_rows = cfg->batch_rows,
                                         .max_bytes = cfg->batch_bytes,
                                         .max_age_ms = cfg->batch_age_ms};
    f->hook.fn = on_turn_end;
    mf_flushq_init(&f->q, cfg->levels, cfg->ageing_ms);
    mf_list_init(&f->waiting);
    mf_list_init(&f->making);
    mf_list_init(&f->flying);
    mf_list_init(&f->aside);
    mf_dep_init(&f->dep, &cfg->dep);
    MF_ASSERT(uv_timer_init(mf_loop_uv(l), &f->timer) == 0);
    *out = f;
    return 0;
}

bool mf_flush_has_room(struct mf_flush *f)
{
    f->is_room_wanted = f->is_room_wanted || f->q.n >= f->cfg.max_queue;
    return f->q.n < f->cfg.max_queue;
}

/* A job in line without entries yet. */
MF_LOOP static int job_new(struct mf_flush *f, struct flush_job **out)
{
    struct flush_job *job;

    if (f->is_closing) {
        return MF_ECLOSED;
    }
    if (!mf_flush_has_room(f)) {
        return MF_EBUSY;
    }
    job = mf_calloc(1, sizeof(*job));
    if (job == NULL) {
        return MF_ENOMEM;
    }
    job->group.is_job = true;
    mf_list_init(&job->group.entries);
    *out = job;
    return 0;
}

MF_LOOP static void job_take(struct mf_flush *f, struct flush_job *job,
                             struct mf_entry *e)
{
    mf_entry_move(f->buffers, e, MF_PLACE_QUEUED, &job->group.entries);
    f->queued.n_rows += e->item->n_msgs;
    f->queued.bytes += e->item->bytes;
}

MF_LOOP static void job_stand_in_line(struct mf_flush *f, struct flush_job *job,
                                      unsigned p)
{
    mf_flushq_push(&f->q, &job->node, (enum mf_flush_priority)p,
                   mf_loop_now_ms(f->loop));
    mf_stat_add(MF_STAT_flush_queue, 1);
    flush_ask(f);
}

int mf_flush_push(struct mf_flush *f, struct mf_list *entries, enum mf_flush_priority p)
{
    unsigned urgency = p;
    struct flush_job *job;
    struct mf_link *k;
    int rc;

    if (mf_list_is_empty(entries)) {
        return 0;
    }
    rc = job_new(f, &job);
    if (rc != 0) {
        return rc;
    }
    while ((k = mf_list_pop_head(entries)) != NULL) {
        struct mf_entry *e = flush_entry_at(k);

        urgency = mf_min(urgency, e->urgency);
        e->urgency = mf_min(e->urgency, (unsigned)p);
        job_take(f, job, e);
    }
    job_stand_in_line(f, job, urgency);
    return 0;
}

int mf_flush_requeue(struct mf_flush *f, struct mf_entry *e)
{
    struct flush_job *job;
    int rc;

    MF_ASSERT(e->place == MF_PLACE_PARKED);
    rc = job_new(f, &job);
    if (rc != 0) {
        return rc;
    }
    e->urgency = mf_min(e->urgency, (unsigned)MF_FLUSH_NORMAL);
    job_take(f, job, e);
    job_stand_in_line(f, job, e->urgency);
    return 0;
}

void mf_flush_raise(struct mf_flush *f, struct mf_entry *e, enum mf_flush_priority p)
{
    struct flush_group *g;

    e->urgency = mf_min(e->urgency, (unsigned)p);
    if (e->place != MF_PLACE_QUEUED) {
        return;
    }
    g = mf_container_of(e->list, struct flush_group, entries);
    if (g->is_job) {
        mf_flushq_raise(&f->q, &mf_container_of(g, struct flush_job, group)->node, p,
                        mf_loop_now_ms(f->loop));
        flush_ask(f);
    } else if (p == MF_FLUSH_CRITICAL) {
        mf_container_of(g, struct flush_batch, group)->is_urgent = true;
    }
}

void mf_flush_kick(struct mf_flush *f)
{
    f->is_hurried = f->q.n > 0;
    flush_let_waiting_go(f);
    flush_ask(f);
}

void mf_flush_pause(struct mf_flush *f, bool pause)
{
    if (f->is_paused != pause) {
        f->is_paused = pause;
        flush_ask(f);
    }
}

size_t mf_flush_n_queued(const struct mf_flush *f)
{
    return f->q.n;
}

size_t mf_flush_n_flying(const struct mf_flush *f)
{
    return flush_n_under_way(f);
}

const struct mf_dep *mf_flush_health(const struct mf_flush *f)
{
    return &f->dep;
}

/* ---- the end ---- */

static void on_timer_closed(uv_handle_t *h)
{
    struct mf_flush *f = mf_container_of((uv_timer_t *)h, struct mf_flush, timer);
    mf_flush_closed_fn closed = f->closed;
    void *arg = f->closed_arg;

    mf_loop_assert(f->loop);
    mf_free(f);
    closed(arg);
}

void flush_end_if_idle(struct mf_flush *f)
{
    if (f->is_closing && flush_n_under_way(f) == 0 &&
        uv_is_closing((uv_handle_t *)&f->timer) == 0) {
        uv_close((uv_handle_t *)&f->timer, on_timer_closed);
    }
}

MF_LOOP static void dissolve_queue(struct mf_flush *f)
{
    struct mf_flushq_node *node;

    while ((node = mf_flushq_peek(&f->q, mf_loop_now_ms(f->loop))) != NULL) {
        struct flush_job *job = mf_container_of(node, struct flush_job, node);
        struct mf_link *k;

        while ((k = mf_list_head(&job->group.entries)) != NULL) {
            mf_entry_move(f->buffers, flush_entry_at(k), MF_PLACE_HYBRID, NULL);
        }
        job_free(f, job);
    }
}

void mf_flush_close(struct mf_flush *f, mf_flush_closed_fn closed, void *arg)
{
    struct mf_link *k;

    MF_ASSERT(!f->is_closing);
    f->is_closing = true;
    f->closed = closed;
    f->closed_arg = arg;
    mf_loop_forget_hook(f->loop, &f->hook);
    MF_ASSERT(uv_timer_stop(&f->timer) == 0);
    dissolve_queue(f);
    while ((k = mf_list_pop_head(&f->waiting)) != NULL) {
        flush_batch_dissolve(mf_container_of(k, struct flush_batch, link));
    }
    while ((k = mf_list_pop_head(&f->aside)) != NULL) {
        flush_batch_dissolve(mf_container_of(k, struct flush_batch, link));
    }
    flush_end_if_idle(f);
}
