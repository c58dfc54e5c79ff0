/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane: permit-limited uv_work with a waiting line.
 *
 * A permit is a number on the loop, never a lock: a job goes to the pool only with a
 * permit, so no pool thread is ever parked. Urgent jobs go before ordinary ones; inside
 * a class the order is that of submission. A lane of one permit runs its jobs one at a
 * time and in order: what it alone touches needs no lock.
 *
 * Owns:    the waiting line; a job belongs to the lane from submit to done
 * Thread:  loop; `work` runs on a pool thread and sees its job and nothing else
 * Limits:  max_waiting jobs in line: then MF_EBUSY; the sum of all permits should stay
 *          <= pool threads - 2
 * Fails:   MF_EBUSY (line full), MF_ECLOSED (closing)
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

MF_MUST MF_LOOP int mf_lane_open(struct mf_lane **out, struct mf_loop *l,
                                 const char *name, unsigned permits,
                                 size_t max_waiting);
/* On 0 `done` will come. On an error nothing happened and the job is the caller's. */
MF_MUST MF_LOOP int mf_lane_submit(struct mf_lane *lane, struct mf_job *job,
                                   enum mf_urgency urgency);
MF_LOOP void mf_lane_set_permits(struct mf_lane *lane, unsigned permits);
MF_LOOP size_t mf_lane_n_waiting(const struct mf_lane *lane);
MF_LOOP size_t mf_lane_n_running(const struct mf_lane *lane);
/* Waiting jobs end as canceled, running ones are waited for; then `closed` is called
 * once and the lane is gone. May be called from a `done`. */
MF_LOOP void mf_lane_close(struct mf_lane *lane, mf_lane_closed_fn closed, void *arg);

#endif
