/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/lane.h"

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"

struct mf_lane {
    struct mf_loop *loop;
    const char *name;
    unsigned permits;
    size_t max_waiting;
    struct mf_list urgent, ordinary; /* the line */
    struct mf_list running; /* handed to the pool; may exceed lowered permits */
    struct mf_turn_hook cancel_hook; /* after close: ends those in line */
    bool closing;
    mf_lane_closed_fn closed;
    void *closed_arg;
};

static void on_job_done(uv_work_t *req, int status);

MF_WORKER static void work_job(uv_work_t *req)
{
    struct mf_job *job = mf_container_of(req, struct mf_job, req);

    job->work(job);
}

MF_LOOP static void start_job(struct mf_lane *lane, struct mf_job *job)
{
    mf_list_push_tail(&lane->running, &job->link);
    MF_ASSERT(uv_queue_work(mf_loop_uv(lane->loop), &job->req, work_job, on_job_done) ==
              0);
}

static struct mf_job *pop_waiting(struct mf_lane *lane)
{
    struct mf_link *k = mf_list_pop_head(&lane->urgent);

    if (k == NULL) {
        k = mf_list_pop_head(&lane->ordinary);
    }
    return k == NULL ? NULL : mf_container_of(k, struct mf_job, link);
}

/* Afterwards either no permit is free or nobody stands in line. */
MF_LOOP static void call_waiting(struct mf_lane *lane)
{
    while (!lane->closing && lane->running.n < lane->permits) {
        struct mf_job *job = pop_waiting(lane);

        if (job == NULL) {
            return;
        }
        start_job(lane, job);
    }
}

/* The lane ends when it is closed, the hook has run and no job is out. */
MF_LOOP static void end_if_over(struct mf_lane *lane)
{
    mf_lane_closed_fn closed = lane->closed;
    void *arg = lane->closed_arg;

    if (!lane->closing || mf_link_is_on(&lane->cancel_hook.link) ||
        lane->running.n > 0) {
        return;
    }
    mf_log_debug("lane_closed", "name=%s", lane->name);
    mf_free(lane);
    if (closed != NULL) {
        closed(arg);
    }
}

static void on_job_done(uv_work_t *req, int status)
{
    struct mf_job *job = mf_container_of(req, struct mf_job, req);
    struct mf_lane *lane = job->lane;

    mf_loop_assert(lane->loop);
    mf_list_remove(&lane->running, &job->link);
    /* Before `done`, so that the pool works while the loop tells the caller. */
    call_waiting(lane);
    job->done(job, status == UV_ECANCELED ? MF_ECANCELED : 0);
    end_if_over(lane);
}

static void on_cancel_turn(struct mf_turn_hook *h)
{
    struct mf_lane *lane = mf_container_of(h, struct mf_lane, cancel_hook);
    struct mf_job *job;

    mf_loop_assert(lane->loop);
    while ((job = pop_waiting(lane)) != NULL) {
        job->done(job, MF_ECANCELED);
    }
    end_if_over(lane);
}

int mf_lane_open(struct mf_lane **out, struct mf_loop *l, const char *name,
                 unsigned permits, size_t max_waiting)
{
    struct mf_lane *lane = mf_calloc(1, sizeof(*lane));

    if (lane == NULL) {
        return MF_ENOMEM;
    }
    lane->loop = l;
    lane->name = name;
    lane->permits = permits;
    lane->max_waiting = max_waiting;
    mf_list_init(&lane->urgent);
    mf_list_init(&lane->ordinary);
    mf_list_init(&lane->running);
    lane->cancel_hook.fn = on_cancel_turn;
    mf_log_debug("lane_open", "name=%s permits=%u max_waiting=%zu", name, permits,
                 max_waiting);
    *out = lane;
    return 0;
}

int mf_lane_submit(struct mf_lane *lane, struct mf_job *job, enum mf_urgency urgency)
{
    if (lane->closing) {
        return MF_ECLOSED;
    }
    if (lane->running.n >= lane->permits &&
        mf_lane_n_waiting(lane) >= lane->max_waiting) {
        return MF_EBUSY;
    }
    job->link = (struct mf_link){NULL, NULL};
    job->lane = lane;
    mf_list_push_tail(urgency == MF_URGENT ? &lane->urgent : &lane->ordinary,
                      &job->link);
    call_waiting(lane);
    return 0;
}

void mf_lane_set_permits(struct mf_lane *lane, unsigned permits)
{
    lane->permits = permits;
    call_waiting(lane);
}

size_t mf_lane_n_waiting(const struct mf_lane *lane)
{
    return lane->urgent.n + lane->ordinary.n;
}

size_t mf_lane_n_running(const struct mf_lane *lane)
{
    return lane->running.n;
}

void mf_lane_close(struct mf_lane *lane, mf_lane_closed_fn closed, void *arg)
{
    if (lane->closing) {
        return;
    }
    lane->closing = true;
    lane->closed = closed;
    lane->closed_arg = arg;
    mf_list_each (&lane->running, k) {
        struct mf_job *job = mf_container_of(k, struct mf_job, link);

        /* Helps when the pool is busy with others; a job that runs answers UV_EBUSY
         * and is waited for. */
        (void)uv_cancel((uv_req_t *)&job->req);
    }
    mf_loop_at_turn_end(lane->loop, &lane->cancel_hook);
}
