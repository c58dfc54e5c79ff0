/* SPDX-License-Identifier: Apache-2.0 */
#include "embed/embed.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/stat.h"
#include "embed/embed_job.h"
#include "embed/embed_line.h"

#include <sched.h>

#define FEW_PERMITS 2u /* of a model that computes elsewhere */
#define MAX_CORES   64

/* ---- time ---- */

static void on_timer(uv_timer_t *timer)
{
    struct mf_embed *e = mf_container_of(timer, struct mf_embed, timer);

    mf_loop_assert(e->loop);
    mf_embed_give_up_late(e);
    mf_embed_wake(e);
}

MF_LOOP static void set_timer(struct mf_embed *e)
{
    uint64_t due = mf_embed_next_due(e), now = mf_loop_now_ms(e->loop);

    if (due == UINT64_MAX) {
        MF_ASSERT(uv_timer_stop(&e->timer) == 0);
        return;
    }
    MF_ASSERT(uv_timer_start(&e->timer, on_timer, due > now ? due - now : 0, 0) == 0);
}

/* ---- closing ---- */

static void on_async_closed(uv_handle_t *handle)
{
    struct mf_embed *e = mf_container_of(handle, struct mf_embed, hand.async);
    mf_embed_closed_fn closed = e->closed;
    void *arg = e->closed_arg;

    mf_loop_assert(e->loop);
    mf_loop_forget_hook(e->loop, &e->hook);
    mf_free(e);
    if (closed != NULL) {
        closed(arg);
    }
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct mf_embed *e = mf_container_of(handle, struct mf_embed, timer);

    mf_loop_assert(e->loop);
    uv_close((uv_handle_t *)&e->hand.async, on_async_closed);
}

static void on_end_lane_closed(void *arg)
{
    struct mf_embed *e = arg;

    mf_loop_assert(e->loop);
    uv_close((uv_handle_t *)&e->timer, on_timer_closed);
}

/* Everything that no job has. */
MF_LOOP static void cancel_waiting(struct mf_embed *e)
{
    struct mf_embed_task *t;
    struct mf_link *k;

    for (enum mf_urgency u = MF_URGENT; u <= MF_ORDINARY; u++) {
        while ((t = mf_embed_order_oldest(&e->order, u)) != NULL) {
            mf_embed_leave_line(e, t);
            mf_embed_finish(e, t, MF_ECANCELED);
        }
    }
    while ((k = mf_list_head(&e->later)) != NULL) {
        mf_embed_leave_line(e, mf_embed_task_of(k));
        mf_embed_finish(e, mf_embed_task_of(k), MF_ECANCELED);
    }
}

MF_LOOP static void end_canceled(struct mf_embed *e)
{
    struct mf_link *k;

    while ((k = mf_list_pop_head(&e->canceled)) != NULL) {
        mf_embed_finish(e, mf_embed_task_of(k), MF_ECANCELED);
    }
}

/* Once the model's lane is gone there are no jobs; when the last `after` has run, too,
 * the rest is closed. */
MF_LOOP static void close_rest(struct mf_embed *e)
{
    if (e->lane != NULL || e->end_lane == NULL || !mf_list_is_empty(&e->ending) ||
        !mf_list_is_empty(&e->in_end_job) || !mf_list_is_empty(&e->canceled)) {
        return;
    }
    mf_lane_close(e->end_lane, on_end_lane_closed, e);
    e->end_lane = NULL;
}

static void on_lane_closed(void *arg)
{
    struct mf_embed *e = arg;

    mf_loop_assert(e->loop);
    e->lane = NULL;
    mf_embed_wake(e);
}

static void on_turn_end(struct mf_turn_hook *h)
{
    struct mf_embed *e = mf_container_of(h, struct mf_embed, hook);

    mf_loop_assert(e->loop);
    end_canceled(e);
    if (e->closing) {
        cancel_waiting(e);
    }
    mf_embed_take_due(e);
    mf_embed_start_jobs(e);
    mf_embed_give_up_urgent(e);
    mf_embed_make_spare(e);
    mf_embed_start_end_job(e);
    if (e->closing) {
        close_rest(e);
    }
    if (e->end_lane != NULL) {
        set_timer(e);
    }
}

void mf_embed_close(struct mf_embed *e, mf_embed_closed_fn closed, void *arg)
{
    if (e->closing) {
        return;
    }
    e->closing = true;
    e->closed = closed;
    e->closed_arg = arg;
    mf_embed_take_back(e);
    mf_lane_close(e->lane, on_lane_closed, e);
    mf_embed_wake(e);
}

/* ---- the door ---- */

/* That we may run on. */
static unsigned n_cores(void)
{
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof(set), &set) != 0) {
        return FEW_PERMITS; /* more of them than the set has room for */
    }
    return (unsigned)mf_min(CPU_COUNT(&set), MAX_CORES);
}

unsigned mf_embed_max_permits(unsigned permits)
{
    return permits > 0 ? permits : mf_max(n_cores(), FEW_PERMITS);
}

static unsigned permits_of(const struct mf_embed_config *cfg,
                           const struct mf_model_info *info)
{
    if (cfg->permits > 0) {
        return cfg->permits;
    }
    return info->prefers_cores ? n_cores() : FEW_PERMITS;
}

static void embed_init(struct mf_embed *e, struct mf_loop *l, struct mf_model *model,
                       const struct mf_embed_config *cfg, unsigned permits)
{
    e->loop = l;
    e->model = model;
    e->cfg = *cfg;
    e->cfg.permits = permits;
    if (e->cfg.dep.timeout_ms == 0) {
        e->cfg.dep.timeout_ms = MF_EMBED_TIMEOUT_MS;
    }
    mf_dep_init(&e->dep, &e->cfg.dep);
    mf_embed_order_init(&e->order);
    mf_list_init(&e->later);
    mf_list_init(&e->running);
    mf_list_init(&e->canceled);
    mf_list_init(&e->ending);
    mf_list_init(&e->in_end_job);
    e->hook.fn = on_turn_end;
}

int mf_embed_open(struct mf_embed **out, struct mf_loop *l, struct mf_model *model,
                  const struct mf_embed_config *cfg)
{
    unsigned permits = permits_of(cfg, &model->info);
    struct mf_embed *e =
        mf_calloc(1, sizeof(*e) + permits * sizeof(struct mf_embed_runner));
    int rc;

    if (e == NULL) {
        return MF_ENOMEM;
    }
    embed_init(e, l, model, cfg, permits);
    rc = mf_lane_open(&e->lane, l, "embed", e->cfg.permits, 0);
    if (rc < 0) {
        goto free_embed;
    }
    rc = mf_lane_open(&e->end_lane, l, "embed_end", 1, 0);
    if (rc < 0) {
        goto close_lane;
    }
    MF_ASSERT(uv_timer_init(mf_loop_uv(l), &e->timer) == 0);
    mf_embed_hand_init(&e->hand, l, e->runners, permits, mf_embed_on_news);
    *out = e;
    return 0;

close_lane:
    mf_lane_close(e->lane, NULL, NULL);
free_embed:
    mf_free(e);
    return rc;
}

static bool is_full(const struct mf_embed *e, const struct mf_embed_task *t)
{
    size_t left =
        e->cfg.max_waiting_bytes - mf_min(e->waiting_bytes, e->cfg.max_waiting_bytes);

    /* One text that is larger than the bound gets in when the line is empty. */
    return e->n_waiting >= e->cfg.max_waiting || (e->n_waiting > 0 && t->text.n > left);
}

int mf_embed_submit(struct mf_embed *e, struct mf_embed_task *t,
                    enum mf_urgency urgency)
{
    if (e->closing) {
        return MF_ECLOSED;
    }
    if (urgency == MF_ORDINARY && is_full(e, t)) {
        return MF_EBUSY;
    }
    t->n_tokens = 0;
    t->passage_vectors = NULL;
    t->passage_spans = NULL;
    t->n_passages = 0;
    t->link = (struct mf_link){NULL, NULL};
    t->submitted_ms = mf_loop_now_ms(e->loop);
    if (urgency == MF_URGENT) {
        e->last_urgent_ms = t->submitted_ms;
    }
    t->not_before_ms = 0;
    t->attempts = 0;
    t->rc = 0;
    t->line = NULL;
    t->slot = NULL;
    t->urgency = urgency;
    t->cost = mf_embed_cost(&e->model->info, t->text, t->wants_passages);
    t->timed_out = t->canceled = false;
    e->n_tasks++;
    e->bytes += t->text.n;
    e->cost[urgency] += t->cost;
    mf_stat_add(MF_STAT_embed_backlog, 1);
    mf_embed_count_waiting(e, t, 1);
    mf_embed_order_push(&e->order, t, false);
    mf_embed_wake(e);
    return 0;
}

void mf_embed_cancel(struct mf_embed *e, struct mf_embed_task *t)
{
    if (t->canceled) {
        return;
    }
    t->canceled = true;
    if (t->line != NULL) {
        mf_embed_leave_line(e, t);
    } else if (t->slot != NULL && mf_embed_slot_take(t->slot, MF_SLOT_GIVEN_UP)) {
        t->slot = NULL;
    } else {
        return; /* a worker has just settled it, or calls `after`: about to be done */
    }
    mf_list_push_tail(&e->canceled, &t->link);
    mf_embed_wake(e);
}

void mf_embed_pause(struct mf_embed *e, bool pause)
{
    e->paused = pause;
    mf_embed_wake(e);
}

size_t mf_embed_backlog(const struct mf_embed *e)
{
    return e->n_tasks;
}

size_t mf_embed_backlog_bytes(const struct mf_embed *e)
{
    return e->bytes;
}

const struct mf_model_info *mf_embed_info(const struct mf_embed *e)
{
    return &e->model->info;
}

const struct mf_dep *mf_embed_health(const struct mf_embed *e)
{
    return &e->dep;
}

struct mf_embed_load mf_embed_load(const struct mf_embed *e, enum mf_urgency urgency)
{
    size_t tokens = e->cost[MF_URGENT] +
                    (urgency == MF_URGENT ? e->bg_cost_in_jobs : e->cost[MF_ORDINARY]);

    return (struct mf_embed_load){
        .tokens = tokens,
        .wait_ms = mf_embed_rate_ms(&e->rate, tokens, e->cfg.permits)};
}

unsigned mf_embed_permits(const struct mf_embed *e)
{
    return e->cfg.permits;
}
