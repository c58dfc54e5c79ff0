/* SPDX-License-Identifier: Apache-2.0 */
/* embed's jobs: from the lines to the model and back, and those that take too long. */
#include "embed/embed_line.h"

#include "base/err.h"
#include "base/id.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stat.h"
#include "embed/embed_job.h"

#define MIN_SPARE_US         100
#define URGENT_RECENT_MS     2000
#define BESIDE_URGENT_TOKENS 64
#define MIN_GROWTH           4 /* of a spare: a quarter */

/* ---- jobs ---- */

MF_LOOP static void tell_health(struct mf_embed *e, bool was_up)
{
    if (was_up && !mf_dep_is_up(&e->dep)) {
        mf_log_warn("embed_down", "model=%s failures=%u", e->model->info.name,
                    e->dep.failures);
    } else if (!was_up && mf_dep_is_up(&e->dep)) {
        mf_log_info("embed_up", "model=%s", e->model->info.name);
    }
}

MF_LOOP static void note_failure(struct mf_embed *e)
{
    bool was_up = mf_dep_is_up(&e->dep);
    uint32_t chance;

    mf_random(&chance, sizeof(chance));
    mf_dep_failed(&e->dep, mf_loop_now_ms(e->loop), chance);
    tell_health(e, was_up);
}

MF_LOOP static void note_success(struct mf_embed *e)
{
    bool was_up = mf_dep_is_up(&e->dep);

    mf_dep_succeeded(&e->dep);
    tell_health(e, was_up);
}

/* A model that tells one text's fault from its own has worked. */
static bool has_worked(const struct mf_embed_job *job)
{
    for (size_t i = 0; i < job->n; i++) {
        if (job->slots[i].rc == 0 || mf_embed_is_final(job->slots[i].rc)) {
            return true;
        }
    }
    return false;
}

static bool is_open(const struct mf_embed_slot *s)
{
    return atomic_load(&s->state) == MF_SLOT_OPEN;
}

/* The texts that are still open become two batches, in order. */
MF_LOOP static void split(struct mf_embed *e, struct mf_embed_job *job)
{
    uint32_t first = mf_embed_order_new_group(&e->order);
    uint32_t second = mf_embed_order_new_group(&e->order);
    size_t n_open = 0, n = 0;

    for (size_t i = 0; i < job->n; i++) {
        n_open += is_open(&job->slots[i]);
    }
    mf_stat_add(MF_STAT_embed_retries, (int64_t)n_open);
    for (size_t i = 0; i < job->n; i++) {
        struct mf_embed_task *t = job->slots[i].task;

        if (is_open(&job->slots[i])) {
            t->slot = NULL;
            mf_embed_count_waiting(e, t, 1);
            mf_embed_order_push_group(&e->order, t,
                                      n++ < (n_open + 1) / 2 ? first : second);
        }
    }
}

/* Tasks that the job did not end: tried again, unless nothing is any more. */
MF_LOOP static void try_again(struct mf_embed *e, struct mf_embed_job *job, int status)
{
    for (size_t i = 0; i < job->n; i++) {
        struct mf_embed_slot *s = &job->slots[i];

        if (!is_open(s)) { /* `done` of another one may have canceled it */
            continue;
        }
        s->task->slot = NULL;
        if (status < 0 || e->closing) {
            mf_embed_finish(e, s->task, MF_ECANCELED);
        } else {
            mf_embed_retry_later(e, s->task, s->rc);
        }
    }
}

MF_LOOP static void end_slots(struct mf_embed *e, struct mf_embed_job *job, int status)
{
    for (size_t i = 0; i < job->n; i++) {
        struct mf_embed_slot *s = &job->slots[i];

        if (atomic_load(&s->state) == MF_SLOT_SETTLED) {
            s->task->slot = NULL;
            mf_embed_finish(e, s->task, s->rc);
        }
    }
    if (status == 0 && !e->closing && mf_embed_job_failed_whole(job)) {
        split(e, job);
    } else {
        try_again(e, job, status);
    }
}

/* What the job says about the model. */
MF_LOOP static void judge(struct mf_embed *e, const struct mf_embed_job *job)
{
    if (job->n_rows > 0) {
        mf_stat_observe(MF_STAT_embed_us, job->took_us);
    }
    if (job->timed_out) {
        return; /* that was the judgement */
    }
    if (has_worked(job)) {
        note_success(e);
        if (job->n_rows == job->n) {
            mf_embed_rate_add(&e->rate, job->cost, job->took_us);
            mf_embed_rate_learn(&e->rate, job->judged_cost, job->judged_tokens);
        }
    } else if (job->n_rows > 0 || !mf_dep_is_up(&e->dep)) {
        note_failure(e); /* or the probe did not take place */
    }
}

/* The spare job's tasks still count as waiting; those of a job that has begun do not.
 */
MF_LOOP static void leave_waiting(struct mf_embed *e, const struct mf_embed_job *job)
{
    if (job->urgency == MF_ORDINARY) {
        e->n_waiting -= job->n;
        e->waiting_bytes -= job->bytes;
    }
}

MF_LOOP static void job_begun(struct mf_embed *e, struct mf_embed_job *job)
{
    leave_waiting(e, job);
    job->started_ms = mf_loop_now_ms(e->loop);
    mf_list_push_tail(&e->running, &job->link);
    if (job->urgency == MF_ORDINARY) {
        e->bg_cost_in_jobs += job->cost;
        e->n_bg_jobs++;
    }
}

MF_LOOP static void job_ended(struct mf_embed *e, struct mf_embed_job *job, int status)
{
    mf_list_remove(&e->running, &job->link);
    if (job->urgency == MF_ORDINARY) {
        e->bg_cost_in_jobs -= job->cost;
        e->n_bg_jobs--;
    }
    if (status == 0) {
        judge(e, job);
    }
    end_slots(e, job, status);
    mf_embed_job_free(job);
}

/* A spare that a worker has taken meanwhile has begun. */
MF_LOOP static void note_taken(struct mf_embed *e)
{
    struct mf_embed_job *job = mf_embed_hand_taken(&e->hand);

    if (job != NULL) {
        job_begun(e, job);
    }
}

void mf_embed_on_news(struct mf_embed_hand *h, struct mf_embed_job *never_ran)
{
    struct mf_embed *e = mf_container_of(h, struct mf_embed, hand);
    struct mf_embed_job *job, *next;

    mf_loop_assert(e->loop);
    job = mf_embed_hand_collect(h);
    note_taken(e); /* after collect: what has ended was taken before */
    for (; job != NULL; job = next) {
        next = job->next_finished;
        job_ended(e, job, 0);
    }
    if (never_ran != NULL) {
        job_ended(e, never_ran, MF_ECANCELED);
    }
    mf_embed_wake(e);
}

/* Where somebody asks now and then, the batches that he may have to wait for are small
 * and leave one runner free: less throughput for a fraction of the wait. */
MF_LOOP static bool is_shared(const struct mf_embed *e)
{
    return e->model->info.prefers_cores && e->last_urgent_ms > 0 &&
           mf_loop_now_ms(e->loop) - e->last_urgent_ms < URGENT_RECENT_MS;
}

MF_LOOP static bool may_run_background(const struct mf_embed *e)
{
    if (e->paused || e->order.n[MF_ORDINARY] == 0) {
        return false;
    }
    return !is_shared(e) || e->cfg.permits == 1 || e->n_bg_jobs + 1 < e->cfg.permits;
}

/* While the model is not known to be well, one text is enough to find out. */
MF_LOOP static struct mf_embed_limits limits_of(const struct mf_embed *e)
{
    const struct mf_model_info *info = &e->model->info;

    return (struct mf_embed_limits){
        .texts = mf_dep_is_up(&e->dep) ? info->batch_texts : 1,
        .bytes = info->batch_bytes,
        .tokens = info->batch_tokens == 0
                      ? SIZE_MAX
                      : mf_embed_rate_budget(&e->rate, info->batch_tokens),
        .background_tokens = is_shared(e) ? BESIDE_URGENT_TOKENS : 0,
        .only_urgent = e->paused};
}

/* The batch could not even be tried. */
MF_LOOP static void refuse_batch(struct mf_embed *e, struct mf_embed_task **tasks,
                                 size_t n)
{
    if (!mf_dep_is_up(&e->dep)) {
        note_failure(e); /* the probe did not take place */
    }
    for (size_t i = 0; i < n; i++) {
        mf_embed_count_waiting(e, tasks[i], -1);
        mf_embed_retry_later(e, tasks[i], MF_ENOMEM);
    }
}

/* NULL: there was no memory, and its tasks will be tried again. */
MF_LOOP static struct mf_embed_job *make_job(struct mf_embed *e)
{
    struct mf_embed_task *tasks[MF_EMBED_MAX_BATCH];
    struct mf_embed_limits lim = limits_of(e);
    bool urgent_waits = e->order.n[MF_URGENT] > 0;
    unsigned urgent_run = e->order.urgent_run;
    size_t n = mf_embed_order_take(&e->order, &lim, tasks);
    struct mf_embed_job *job = mf_embed_job_new(e->model, tasks, n);

    if (job == NULL) {
        refuse_batch(e, tasks, n);
        return NULL;
    }
    job->yields = !urgent_waits;
    job->is_half = tasks[0]->group != 0;
    job->urgent_run = urgent_run;
    for (size_t i = 0; i < n; i++) {
        job->slots[i].is_last = !mf_dep_may_retry(&e->dep.cfg, tasks[i]->attempts + 1);
    }
    return job;
}

MF_LOOP static bool has_work(const struct mf_embed *e)
{
    return e->order.n[MF_URGENT] > 0 || may_run_background(e);
}

void mf_embed_take_back(struct mf_embed *e)
{
    struct mf_embed_job *job = mf_embed_hand_take_back(&e->hand);

    if (job == NULL) {
        return;
    }
    leave_waiting(e, job);
    e->order.urgent_run = job->urgent_run; /* it had no turn */
    for (size_t i = job->n; i > 0; i--) {
        struct mf_embed_task *t = job->slots[i - 1].task;

        if (is_open(&job->slots[i - 1])) {
            t->slot = NULL;
            mf_embed_count_waiting(e, t, 1);
            mf_embed_order_put_back(&e->order, t);
        }
    }
    mf_embed_job_free(job);
}

/* As many more came meanwhile as make it worth while to make it anew: where many ask
 * for one text each, what comes first would else be a batch of one or two. */
MF_LOOP static bool can_grow(const struct mf_embed *e, const struct mf_embed_job *spare)
{
    const struct mf_embed_task *next = mf_embed_order_oldest(&e->order, spare->urgency);
    struct mf_embed_limits lim = limits_of(e);

    return next != NULL && next->group == 0 && !spare->is_half &&
           e->order.n[spare->urgency] * MIN_GROWTH >= spare->n &&
           spare->n < mf_min(lim.texts, (size_t)MF_EMBED_MAX_BATCH) &&
           mf_embed_order_fits(&lim, next, spare->bytes, spare->cost);
}

/* The spare was made ready for a moment that is over. */
MF_LOOP static bool is_stale(const struct mf_embed *e, const struct mf_embed_job *spare)
{
    if (!mf_dep_is_up(&e->dep) || can_grow(e, spare)) {
        return true;
    }
    if (spare->urgency == MF_URGENT) { /* to be given up in its line */
        return mf_loop_now_ms(e->loop) - spare->oldest_ms >= e->dep.cfg.timeout_ms;
    }
    return e->paused || (spare->yields && e->order.n[MF_URGENT] > 0);
}

/* Only for a model that computes here, and for longer than the spare's way to the
 * worker takes: for others a batch that is as large as it can be when its turn comes is
 * worth more. */
void mf_embed_make_spare(struct mf_embed *e)
{
    struct mf_embed_job *job;

    if (!e->model->info.prefers_cores || e->closing || e->hand.offered != NULL ||
        !has_work(e) || !mf_dep_is_up(&e->dep) ||
        mf_embed_rate_job_us(&e->rate) < MIN_SPARE_US) {
        return;
    }
    job = make_job(e);
    if (job != NULL) {
        mf_embed_hand_offer(&e->hand, job);
    }
}

void mf_embed_start_jobs(struct mf_embed *e)
{
    note_taken(e);
    if (e->hand.offered != NULL && is_stale(e, e->hand.offered)) {
        mf_embed_take_back(e);
    }
    while (!e->closing && !mf_list_is_empty(&e->hand.idle) &&
           (e->hand.offered != NULL || has_work(e))) {
        struct mf_embed_job *job;

        if (!mf_dep_may_call(&e->dep, mf_loop_now_ms(e->loop))) {
            return;
        }
        job = mf_embed_hand_take_back(&e->hand);
        note_taken(e);
        if (job == NULL && has_work(e)) {
            job = make_job(e);
        }
        if (job != NULL) {
            job_begun(e, job);
            mf_embed_hand_start(&e->hand, e->lane, job);
        }
    }
}

/* ---- time ---- */

MF_LOOP static void give_up_job(struct mf_embed *e, struct mf_embed_job *job)
{
    job->timed_out = true;
    note_failure(e);
    mf_log_limited(MF_LOG_WARN, "embed_timeout", "model=%s texts=%zu timeout_ms=%llu",
                   e->model->info.name, job->n,
                   (unsigned long long)e->dep.cfg.timeout_ms);
    for (size_t i = 0; i < job->n; i++) {
        if (mf_embed_slot_take(&job->slots[i], MF_SLOT_GIVEN_UP)) {
            job->slots[i].task->slot = NULL;
            job->slots[i].task->timed_out = true;
            mf_embed_fail(e, job->slots[i].task, MF_ETIMEOUT);
        }
    }
}

static struct mf_embed_job *job_of(struct mf_link *k)
{
    return mf_container_of(k, struct mf_embed_job, link);
}

void mf_embed_give_up_urgent(struct mf_embed *e)
{
    uint64_t now = mf_loop_now_ms(e->loop);
    struct mf_embed_task *t;

    while ((t = mf_embed_order_oldest(&e->order, MF_URGENT)) != NULL) {
        bool is_late = now - t->submitted_ms >= e->dep.cfg.timeout_ms;

        if (!is_late && e->dep.state != MF_DEP_DOWN) {
            return;
        }
        mf_embed_leave_line(e, t);
        t->timed_out = is_late;
        mf_embed_fail(e, t, is_late ? MF_ETIMEOUT : MF_EBACKEND);
    }
}

void mf_embed_give_up_late(struct mf_embed *e)
{
    uint64_t now = mf_loop_now_ms(e->loop);

    mf_list_each (&e->running, k) {
        struct mf_embed_job *job = job_of(k);

        if (now - job->started_ms < e->dep.cfg.timeout_ms) {
            break;
        }
        if (!job->timed_out) {
            give_up_job(e, job);
        }
    }
}

uint64_t mf_embed_next_due(const struct mf_embed *e)
{
    const struct mf_embed_task *urgent = mf_embed_order_oldest(&e->order, MF_URGENT);
    const struct mf_embed_job *spare = e->hand.offered;
    uint64_t due = UINT64_MAX, timeout = e->dep.cfg.timeout_ms;

    mf_list_each (&e->running, k) {
        if (!job_of(k)->timed_out) {
            due = job_of(k)->started_ms + timeout;
            break;
        }
    }
    if (!mf_list_is_empty(&e->later)) {
        due = mf_min(due, e->later_at_ms);
    }
    if (spare != NULL && spare->urgency == MF_URGENT) {
        due = mf_min(due, spare->oldest_ms + timeout);
    }
    if (urgent != NULL) {
        due = mf_min(due, urgent->submitted_ms + timeout);
    }
    if (has_work(e) && !mf_dep_is_up(&e->dep) && !mf_list_is_empty(&e->hand.idle)) {
        due = mf_min(due, e->dep.retry_at_ms);
    }
    return due;
}
