/* SPDX-License-Identifier: Apache-2.0 */
#include "embed/embed.h"

#include "base/err.h"
#include "base/id.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stat.h"
#include "embed/embed_job.h"
#include "embed/embed_line.h"

#define MAX_BATCH 256

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

/* A task that the job did not end is tried again, unless nothing is any more. */
MF_LOOP static void try_again(struct mf_embed *e, struct mf_embed_job *job, size_t i,
                              int status)
{
    struct mf_embed_slot *s = &job->slots[i];

    if (status < 0 || e->closing) {
        mf_embed_finish(e, s->task, MF_ECANCELED);
    } else if (job->batch_rc != 0 && job->n > 1) {
        mf_stat_add(MF_STAT_embed_retries, 1);
        mf_embed_retry_alone(e, s->task);
    } else {
        mf_embed_retry_later(e, s->task, s->rc);
    }
}

MF_LOOP static void end_slots(struct mf_embed *e, struct mf_embed_job *job, int status)
{
    for (size_t i = 0; i < job->n; i++) {
        if (atomic_load(&job->slots[i].state) == MF_SLOT_SETTLED) {
            mf_embed_finish(e, job->slots[i].task, job->slots[i].rc);
        }
    }
    for (size_t i = job->n; i > 0; i--) { /* backwards: they go to the line's head */
        if (atomic_load(&job->slots[i - 1].state) == MF_SLOT_OPEN) {
            try_again(e, job, i - 1, status);
        }
    }
}

static void on_job_done(struct mf_job *base, int status)
{
    struct mf_embed_job *job = mf_container_of(base, struct mf_embed_job, job);
    struct mf_embed *e = job->embed;

    mf_loop_assert(e->loop);
    mf_list_remove(&e->running, &job->link);
    if (status == 0) {
        mf_stat_observe(MF_STAT_embed_us, job->took_us);
    }
    if (status == 0 && !job->timed_out) {
        if (has_worked(job)) {
            note_success(e);
        } else {
            note_failure(e);
        }
    }
    end_slots(e, job, status);
    mf_embed_job_free(job);
    mf_embed_wake(e);
}

/* The next batch of one class: a background text must not delay an urgent one. While
 * the model is not known to be well, one text is enough to find out. */
MF_LOOP static size_t next_batch(struct mf_embed *e, struct mf_embed_task **tasks)
{
    const struct mf_model_info *info = &e->model->info;
    struct mf_list *line = !mf_list_is_empty(&e->urgent) ? &e->urgent : &e->background;
    size_t max = mf_min(mf_max(info->batch_texts, 1u), MAX_BATCH);
    size_t n = 0, bytes = 0;

    if (!mf_dep_is_up(&e->dep)) {
        max = 1;
    }
    for (struct mf_embed_task *t; n < max && (t = mf_embed_first_of(line)) != NULL;) {
        if (n > 0 && (t->alone || t->text.n > info->batch_bytes ||
                      bytes > info->batch_bytes - t->text.n)) {
            break;
        }
        mf_list_remove(line, &t->link);
        mf_embed_count_waiting(e, t, -1);
        tasks[n++] = t;
        bytes += t->text.n;
        if (t->alone) {
            break;
        }
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
    for (size_t i = n; i > 0; i--) {
        mf_embed_retry_later(e, tasks[i - 1], rc);
    }
}

MF_LOOP static void start_job(struct mf_embed *e)
{
    struct mf_embed_task *tasks[MAX_BATCH];
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
}

MF_LOOP static bool has_work(const struct mf_embed *e)
{
    return !mf_list_is_empty(&e->urgent) ||
           (!e->paused && !mf_list_is_empty(&e->background));
}

MF_LOOP static void start_jobs(struct mf_embed *e)
{
    while (!e->closing && has_work(e) && e->running.n < e->cfg.permits) {
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
            job->slots[i].task->timed_out = true;
            mf_embed_fail(e, job->slots[i].task, MF_ETIMEOUT);
        }
    }
}

static struct mf_embed_job *job_of(struct mf_link *k)
{
    return mf_container_of(k, struct mf_embed_job, link);
}

/* Urgent tasks that nobody will wait for any more, or that a model which is down would
 * keep waiting. */
MF_LOOP static void give_up_urgent(struct mf_embed *e)
{
    uint64_t now = mf_loop_now_ms(e->loop);
    struct mf_embed_task *t;

    while ((t = mf_embed_first_of(&e->urgent)) != NULL) {
        bool is_late = now - t->submitted_ms >= e->dep.cfg.timeout_ms;

        if (!is_late && e->dep.state != MF_DEP_DOWN) {
            return;
        }
        mf_list_remove(&e->urgent, &t->link);
        t->timed_out = is_late;
        mf_embed_fail(e, t, is_late ? MF_ETIMEOUT : MF_EBACKEND);
    }
}

MF_LOOP static void give_up_late(struct mf_embed *e)
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

/* When something falls due that no other event will tell us. */
MF_LOOP static uint64_t next_due(const struct mf_embed *e)
{
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
    if (!mf_list_is_empty(&e->urgent)) {
        due = mf_min(due, mf_embed_first_of(&e->urgent)->submitted_ms + timeout);
    }
    if (has_work(e) && !mf_dep_is_up(&e->dep) && e->running.n < e->cfg.permits) {
        due = mf_min(due, e->dep.retry_at_ms);
    }
    return due;
}

static void on_timer(uv_timer_t *timer)
{
    struct mf_embed *e = mf_container_of(timer, struct mf_embed, timer);

    mf_loop_assert(e->loop);
    give_up_late(e);
    mf_embed_wake(e);
}

MF_LOOP static void set_timer(struct mf_embed *e)
{
    uint64_t due = next_due(e), now = mf_loop_now_ms(e->loop);

    if (due == UINT64_MAX) {
        MF_ASSERT(uv_timer_stop(&e->timer) == 0);
        return;
    }
    MF_ASSERT(uv_timer_start(&e->timer, on_timer, due > now ? due - now : 0, 0) == 0);
}

/* ---- closing ---- */

static void on_timer_closed(uv_handle_t *handle)
{
    struct mf_embed *e = mf_container_of(handle, struct mf_embed, timer);
    mf_embed_closed_fn closed = e->closed;
    void *arg = e->closed_arg;

    mf_loop_assert(e->loop);
    mf_loop_forget_hook(e->loop, &e->hook);
    mf_free(e);
    if (closed != NULL) {
        closed(arg);
    }
}

static void on_end_lane_closed(void *arg)
{
    struct mf_embed *e = arg;

    mf_loop_assert(e->loop);
    uv_close((uv_handle_t *)&e->timer, on_timer_closed);
}

MF_LOOP static void cancel_line(struct mf_embed *e, struct mf_list *line)
{
    struct mf_link *k;

    while ((k = mf_list_pop_head(line)) != NULL) {
        mf_embed_finish(e, mf_embed_task_of(k), MF_ECANCELED);
    }
}

/* Once the model's lane is gone there are no jobs; when the last `after` has run, too,
 * the rest is closed. */
MF_LOOP static void close_rest(struct mf_embed *e)
{
    if (e->lane != NULL || e->end_lane == NULL || !mf_list_is_empty(&e->ending) ||
        !mf_list_is_empty(&e->in_end_job)) {
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
    if (e->closing) {
        cancel_line(e, &e->urgent);
        cancel_line(e, &e->background);
        cancel_line(e, &e->later);
    }
    mf_embed_take_due(e);
    start_jobs(e);
    give_up_urgent(e);
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
    mf_lane_close(e->lane, on_lane_closed, e);
    mf_embed_wake(e);
}

/* ---- the door ---- */

static void embed_init(struct mf_embed *e, struct mf_loop *l, struct mf_model *model,
                       const struct mf_embed_config *cfg)
{
    e->loop = l;
    e->model = model;
    e->cfg = *cfg;
    if (e->cfg.dep.timeout_ms == 0) {
        e->cfg.dep.timeout_ms = MF_EMBED_TIMEOUT_MS;
    }
    mf_dep_init(&e->dep, &e->cfg.dep);
    mf_list_init(&e->urgent);
    mf_list_init(&e->background);
    mf_list_init(&e->later);
    mf_list_init(&e->running);
    mf_list_init(&e->ending);
    mf_list_init(&e->in_end_job);
    e->hook.fn = on_turn_end;
}

int mf_embed_open(struct mf_embed **out, struct mf_loop *l, struct mf_model *model,
                  const struct mf_embed_config *cfg)
{
    struct mf_embed *e = mf_calloc(1, sizeof(*e));
    int rc;

    if (e == NULL) {
        return MF_ENOMEM;
    }
    MF_ASSERT(cfg->permits > 0);
    embed_init(e, l, model, cfg);
    rc = mf_lane_open(&e->lane, l, "embed", cfg->permits, 0);
    if (rc < 0) {
        goto free_embed;
    }
    rc = mf_lane_open(&e->end_lane, l, "embed_end", 1, 0);
    if (rc < 0) {
        goto close_lane;
    }
    MF_ASSERT(uv_timer_init(mf_loop_uv(l), &e->timer) == 0);
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
    t->not_before_ms = 0;
    t->attempts = 0;
    t->rc = 0;
    t->urgent = urgency == MF_URGENT;
    t->timed_out = t->alone = false;
    e->n_tasks++;
    e->bytes += t->text.n;
    mf_stat_add(MF_STAT_embed_backlog, 1);
    mf_embed_count_waiting(e, t, 1);
    mf_embed_enter_line(e, t, false);
    mf_embed_wake(e);
    return 0;
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
