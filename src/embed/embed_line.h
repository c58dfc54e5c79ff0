/* SPDX-License-Identifier: Apache-2.0 */
/*
 * embed_line: the inside of embed: its state, and the ways of a task through the lines
 * to its end. For embed's own files.
 *
 * Owns:    see embed.h
 * Thread:  loop
 * Limits:  see embed.h
 * Fails:   never
 */
#ifndef MF_EMBED_EMBED_LINE_H
#define MF_EMBED_EMBED_LINE_H

#include "embed/embed.h"
#include "embed/embed_hand.h"
#include "embed/embed_load.h"
#include "embed/embed_order.h"

struct mf_embed {
    struct mf_loop *loop;
    struct mf_model *model;
    struct mf_embed_config cfg;
    struct mf_dep dep;
    struct mf_lane *lane;        /* the model's jobs */
    struct mf_lane *end_lane;    /* `after` of tasks that no job of the model ends */
    struct mf_embed_order order; /* the lines */
    uint64_t last_urgent_ms;     /* when somebody last asked; 0: never */
    struct mf_list later;        /* failed once, waiting for their backoff */
    uint64_t later_at_ms;        /* when the first of them is due */
    struct mf_list running;      /* struct mf_embed_job, in order of start */
    struct mf_list canceled;     /* tasks whose `done` comes at the end of the turn */
    struct mf_list ending;       /* tasks on the way to end_job */
    struct mf_list in_end_job;
    struct mf_job end_job;
    struct mf_turn_hook hook;
    uv_timer_t timer;
    size_t n_tasks, bytes;           /* not done */
    size_t n_waiting, waiting_bytes; /* of the background, not in a job */
    size_t cost[2];                  /* estimated tokens not done, by urgency */
    size_t bg_cost_in_jobs;
    unsigned n_bg_jobs; /* background jobs that run */
    struct mf_embed_rate rate;
    bool paused, closing;
    mf_embed_closed_fn closed;
    void *closed_arg;
    struct mf_embed_hand hand;
    struct mf_embed_runner runners[]; /* cfg.permits */
};

static inline struct mf_embed_task *mf_embed_task_of(struct mf_link *k)
{
    return mf_container_of(k, struct mf_embed_task, link);
}

static inline struct mf_embed_task *mf_embed_first_of(const struct mf_list *l)
{
    struct mf_link *k = mf_list_head(l);

    return k == NULL ? NULL : mf_embed_task_of(k);
}

MF_LOOP static inline void mf_embed_wake(struct mf_embed *e)
{
    mf_loop_at_turn_end(e->loop, &e->hook);
}

/* ---- embed_line.c ---- */

/* Calls `done`: the task is the caller's again. */
MF_LOOP void mf_embed_finish(struct mf_embed *e, struct mf_embed_task *t, int rc);
/* The task failed for good by the loop's judgement: `after` on a worker, then `done`.
 */
MF_LOOP void mf_embed_fail(struct mf_embed *e, struct mf_embed_task *t, int rc);
MF_LOOP void mf_embed_start_end_job(struct mf_embed *e); /* if there is need for it */

/* `sign` 1 when a task comes to wait for a job, -1 when it goes into one. */
MF_LOOP void mf_embed_count_waiting(struct mf_embed *e, const struct mf_embed_task *t,
                                    int sign);
MF_LOOP void mf_embed_retry_later(struct mf_embed *e, struct mf_embed_task *t, int rc);
MF_LOOP void mf_embed_take_due(struct mf_embed *e); /* back from `later` */
/* Out of the line it waits in: t->line is not NULL. */
MF_LOOP void mf_embed_leave_line(struct mf_embed *e, struct mf_embed_task *t);

/* ---- embed_run.c ---- */

MF_LOOP void mf_embed_start_jobs(struct mf_embed *e);
MF_LOOP void mf_embed_make_spare(struct mf_embed *e);
MF_LOOP void mf_embed_take_back(struct mf_embed *e); /* the spare job's tasks, too */
void mf_embed_on_news(struct mf_embed_hand *h, struct mf_embed_job *never_ran);
MF_LOOP void mf_embed_give_up_late(struct mf_embed *e); /* jobs that take too long */
/* Urgent tasks that nobody will wait for any more, or that a model which is down would
 * keep waiting in vain. */
MF_LOOP void mf_embed_give_up_urgent(struct mf_embed *e);
/* When something falls due that no other event will tell us; UINT64_MAX: nothing. */
MF_LOOP uint64_t mf_embed_next_due(const struct mf_embed *e);

#endif
