/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane: permit-limited uv_work with a waiting line.
 *
 * A permit is a number on the loop, never a lock: a job goes to the pool only with a
 * permit, so no pool thread is ever parked. Urgent jobs go before ordinary ones; inside
 * a class the order is that of submission. A lane of one permit runs its jobs one at a
 * time and in order: what its `work` alone touches needs no lock. The next job may be
 * at work while `done` of the last one runs, so `done` looks at its job only.
 *
 * Owns:    the waiting line; a job belongs to the lane from submit to done
 * Thread:  loop; `work` runs on a pool thread and sees its job and nothing else
 * Limits:  max_waiting jobs in line: then MF_EBUSY; the sum of all permits should stay
 *          <= pool threads - 2
 * Fails:   MF_ENOMEM (open), MF_EBUSY (line full), MF_ECLOSED (closing)
 */
#ifndef MF_LOOP_LANE_H
#define MF_LOOP_LANE_H

#include "base/base.h"
#include "base/list.h"
#include "loop/loop.h"

struct mf_lane;
struct mf_job;

enum mf_urgency { MF_URGENT, MF_ORDINARY };

typedef void (*mf_job_work_fn)(struct mf_job *job); /* worker */
/* Loop; exactly once, never before submit returned. `status` is 0, or MF_ECANCELED
 * when the job never ran. The job is the caller's again. */
typedef void (*mf_job_done_fn)(struct mf_job *job, int status);
typedef void (*mf_lane_closed_fn)(void *arg);

struct mf_job { /* embedded in the caller's struct */
    mf_job_work_fn work;
    mf_job_done_fn done;
    /* the lane's own */
    uv_work_t req;
    struct mf_link link;
    struct mf_lane *lane;
};

/* `name` lives as long as the lane. No permits: the lane is paused. */
MF_MUST MF_LOOP int mf_lane_open(struct mf_lane **out, struct mf_loop *l,
                                 const char *name, unsigned permits,
                                 size_t max_waiting);
/* On 0 `done` will come. On an error nothing happened and the job is the caller's. */
MF_MUST MF_LOOP int mf_lane_submit(struct mf_lane *lane, struct mf_job *job,
                                   enum mf_urgency urgency);
/* Lowered below what runs: nobody is interrupted, nobody starts until enough ended. */
MF_LOOP void mf_lane_set_permits(struct mf_lane *lane, unsigned permits);
MF_LOOP size_t mf_lane_n_waiting(const struct mf_lane *lane);
MF_LOOP size_t mf_lane_n_running(const struct mf_lane *lane);
/* Waiting jobs end as canceled, and so do running ones which the pool has not begun;
 * the others are waited for. Then the lane is gone and `closed` (which may be NULL) is
 * called once, never before this returns. May be called from a `done`, and again: only
 * the first `closed` counts. */
MF_LOOP void mf_lane_close(struct mf_lane *lane, mf_lane_closed_fn closed, void *arg);

#endif
