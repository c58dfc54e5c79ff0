/* SPDX-License-Identifier: Apache-2.0 */
/* embed's jobs: from the lines to the model and back, and those that take too long. */
#include "embed/embed_line.h"

#include "base/err.h"
#include "base/id.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stat.h"
#include "embed/embed_job.h"

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
        }
    } else if (job->n_rows > 0 || !mf_dep_is_up(&e->dep)) {
        note_failure(e); /* or the probe did not take place */
    }
}

static void on_job_done(struct mf_job *base, int status)
{
    struct mf_embed_job *job = mf_container_of(base, struct mf_embed_job, job);
    struct mf_embed *e = job->embed;

    mf_loop_assert(e->loop);
    mf_list_remove(&e->running, &job->link);
    if (job->urgency == MF_ORDINARY) {
        e->bg_cost_in_jobs -= job->cost;
    }
    if (status == 0) {
        judge(e, job);
    }
    end_slots(e, job, status);
    mf_embed_job_free(job);
    mf_embed_wake(e);
}

/* While the model is not known to be well, one text is enough to find out. */
MF_LOOP static size_t next_batch(struct mf_embed *e, struct mf_embed_task **tasks)
{
    const struct mf_model_info *info = &e->model->info;
    struct mf_embed_limits lim = {
        .texts = mf_dep_is_up(&e->dep) ? info->batch_texts : 1,
        .bytes = info->batch_bytes,
        .tokens = info->batch_tokens == 0 ? SIZE_MAX : info->batch_tokens,
        .only_urgent = e->paused};
    size_t n = mf_embed_order_take(&e->order, &lim, tasks);

    for (size_t i = 0; i < n; i++) {
        mf_embed_count_waiting(e, tasks[i], -1);
    }
    return n;
}

/* The batch could not even be tried. */
MF_LOOP static void refuse_batch(struct mf_embed *e, struct mf_embed_task **tasks,
                                 size_t n, int rc)
{
    if (!mf_dep_is_up(&e->dep)) {
        note_failure(e); /* the probe did not take place */
    }
    for (size_t i = 0; i < n; i++) {
        tasks[i]->slot = NULL;
        mf_embed_retry_later(e, tasks[i], rc);
    }
}

MF_LOOP static void start_job(struct mf_embed *e)
{
    struct mf_embed_task *tasks[MF_EMBED_MAX_BATCH];
    size_t n = next_batch(e, tasks);
    struct mf_embed_job *job = mf_embed_job_new(e->model, tasks, n);
    int rc;

    if (job == NULL) {
        refuse_batch(e, tasks, n, MF_ENOMEM);
        return;
    }
    job->embed = e;
    job->job.done = on_job_done;
    job->started_ms = mf_loop_now_ms(e->loop);
    for (size_t i = 0; i < n; i++) {
        job->slots[i].is_last = !mf_dep_may_retry(&e->dep.cfg, tasks[i]->attempts + 1);
    }
    rc = mf_lane_submit(e->lane, &job->job, MF_ORDINARY);
    if (rc < 0) {
        mf_embed_job_free(job);
        refuse_batch(e, tasks, n, rc);
        return;
    }
    mf_list_push_tail(&e->running, &job->link);
    if (job->urgency == MF_ORDINARY) {
        e->bg_cost_in_jobs += job->cost;
    }
}

bool mf_embed_has_work(const struct mf_embed *e)
{
    return e->order.n[MF_URGENT] > 0 || (!e->paused && e->order.n[MF_ORDINARY] > 0);
}

void mf_embed_start_jobs(struct mf_embed *e)
{
    while (!e->closing && mf_embed_has_work(e) && e->running.n < e->cfg.permits) {
        if (!mf_dep_may_call(&e->dep, mf_loop_now_ms(e->loop))) {
            return;
        }
        start_job(e);
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
    if (urgent != NULL) {
        due = mf_min(due, urgent->submitted_ms + timeout);
    }
    if (mf_embed_has_work(e) && !mf_dep_is_up(&e->dep) &&
        e->running.n < e->cfg.permits) {
        due = mf_min(due, e->dep.retry_at_ms);
    }
    return due;
}
