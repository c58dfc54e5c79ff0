/* SPDX-License-Identifier: Apache-2.0 */
#include "embed/embed_line.h"

#include "base/err.h"
#include "base/id.h"
#include "base/mem.h"
#include "base/stat.h"
#include "embed/embed_job.h"

/* ---- how a task ends ---- */

void mf_embed_finish(struct mf_embed *e, struct mf_embed_task *t, int rc)
{
    float *vectors = t->passage_vectors;
    struct mf_span *spans = t->passage_spans;

    if (t->canceled) {
        rc = MF_ECANCELED;
    }
    e->n_tasks--;
    e->bytes -= t->text.n;
    e->cost[t->urgency] -= t->cost;
    mf_stat_add(MF_STAT_embed_backlog, -1);
    if (rc == 0) {
        mf_stat_add(MF_STAT_embed_texts, 1);
    } else if (rc != MF_ECANCELED) {
        mf_stat_add(MF_STAT_embed_failed, 1);
    }
    t->rc = rc;
    t->done(t, rc); /* `t` is the caller's again */
    mf_free(vectors);
    mf_free(spans);
}

MF_WORKER static void work_end(struct mf_job *job)
{
    struct mf_embed *e = mf_container_of(job, struct mf_embed, end_job);

    mf_list_each (&e->in_end_job, k) {
        mf_embed_after_failure(mf_embed_task_of(k), mf_embed_task_of(k)->rc);
    }
}

static void on_end_done(struct mf_job *job, int status);

void mf_embed_start_end_job(struct mf_embed *e)
{
    if (mf_list_is_empty(&e->ending) || !mf_list_is_empty(&e->in_end_job)) {
        return;
    }
    mf_list_move(&e->in_end_job, &e->ending);
    mf_list_each (&e->in_end_job, k) {
        mf_embed_task_of(k)->line = NULL; /* the worker has it now */
    }
    e->end_job.work = work_end;
    e->end_job.done = on_end_done;
    /* The lane is ours, has a permit free and is closed only when nothing is left. */
    MF_ASSERT(mf_lane_submit(e->end_lane, &e->end_job, MF_URGENT) == 0);
}

static void on_end_done(struct mf_job *job, MF_UNUSED int status)
{
    struct mf_embed *e = mf_container_of(job, struct mf_embed, end_job);
    struct mf_link *k;

    mf_loop_assert(e->loop);
    while ((k = mf_list_pop_head(&e->in_end_job)) != NULL) {
        mf_embed_finish(e, mf_embed_task_of(k), mf_embed_task_of(k)->rc);
    }
    mf_embed_wake(e);
}

/* The task failed for good by the loop's judgement; `after` still has to run, and on a
 * worker. */
void mf_embed_fail(struct mf_embed *e, struct mf_embed_task *t, int rc)
{
    if (t->after == NULL) {
        mf_embed_finish(e, t, rc);
        return;
    }
    t->rc = rc;
    mf_list_push_tail(&e->ending, &t->link);
    t->line = &e->ending;
    mf_embed_start_end_job(e);
}

/* ---- the lines ---- */

void mf_embed_count_waiting(struct mf_embed *e, const struct mf_embed_task *t, int sign)
{
    if (t->urgency == MF_ORDINARY) {
        e->n_waiting += (size_t)sign;
        e->waiting_bytes += (size_t)sign * t->text.n;
    }
}

MF_LOOP static uint64_t backoff_end(struct mf_embed *e, unsigned attempts)
{
    uint64_t delay, step;
    uint32_t chance;

    mf_random(&chance, sizeof(chance));
    delay = mf_dep_backoff_ms(&e->dep.cfg, attempts, chance);
    /* Whole steps, so that many tasks fall due together. */
    step = delay / 16 + 1;
    return (mf_loop_now_ms(e->loop) + delay + step - 1) / step * step;
}

void mf_embed_retry_later(struct mf_embed *e, struct mf_embed_task *t, int rc)
{
    if (t->canceled) { /* just now, by `done` of another one */
        mf_embed_finish(e, t, MF_ECANCELED);
        return;
    }
    t->attempts++;
    if (!mf_dep_may_retry(&e->dep.cfg, t->attempts)) {
        mf_embed_fail(e, t, rc);
        return;
    }
    t->not_before_ms = backoff_end(e, t->attempts);
    if (t->urgency == MF_URGENT &&
        t->not_before_ms >= t->submitted_ms + e->dep.cfg.timeout_ms) {
        mf_embed_fail(e, t, rc); /* nobody waits for it that long */
        return;
    }
    mf_stat_add(MF_STAT_embed_retries, 1);
    mf_embed_count_waiting(e, t, 1);
    if (mf_list_is_empty(&e->later) || t->not_before_ms < e->later_at_ms) {
        e->later_at_ms = t->not_before_ms;
    }
    mf_list_push_tail(&e->later, &t->link);
    t->line = &e->later;
}

void mf_embed_take_due(struct mf_embed *e)
{
    uint64_t now = mf_loop_now_ms(e->loop), next = UINT64_MAX;
    struct mf_list due;
    struct mf_link *k;

    if (mf_list_is_empty(&e->later) || e->later_at_ms > now) {
        return;
    }
    mf_list_init(&due);
    mf_list_each_safe (&e->later, l) {
        if (mf_embed_task_of(l)->not_before_ms <= now) {
            mf_list_remove(&e->later, l);
            mf_list_push_tail(&due, l);
        } else {
            next = mf_min(next, mf_embed_task_of(l)->not_before_ms);
        }
    }
    e->later_at_ms = next;
    while ((k = mf_list_tail(&due)) != NULL) { /* backwards: each goes to the head */
        mf_list_remove(&due, k);
        mf_embed_order_push(&e->order, mf_embed_task_of(k), true);
    }
}

void mf_embed_leave_line(struct mf_embed *e, struct mf_embed_task *t)
{
    bool is_ending = t->line == &e->ending;

    if (is_ending || t->line == &e->later) {
        mf_list_remove(t->line, &t->link);
        t->line = NULL;
    } else {
        mf_embed_order_remove(&e->order, t);
    }
    if (!is_ending) {
        mf_embed_count_waiting(e, t, -1);
    }
}
