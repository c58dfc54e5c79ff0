/* SPDX-License-Identifier: Apache-2.0 */
/*
 * embed_hand: from hand to hand between the loop and the workers: jobs out, jobs back.
 *
 * A worker that has ended a job takes the spare one, which the loop has made ready, at
 * once: it does not wait until the loop has heard of the first and has woken it again,
 * which on a busy machine takes longer than a small job. A runner is what a permit of
 * the lane stands for: one uv_work that takes jobs as long as there are any.
 *
 * Owns:    the runners; a job is the worker's from start, and from the moment that the
 *          spare is taken, until collect
 * Thread:  loop; the two words that workers see are atomic
 * Limits:  as many runners as the lane has permits; one spare
 * Fails:   never
 */
#ifndef MF_EMBED_EMBED_HAND_H
#define MF_EMBED_EMBED_HAND_H

#include "embed/embed_job.h"

struct mf_embed_hand;

/* Loop: jobs have ended (collect), or a runner has and is idle again. `never_ran`: a
 * job that the closing lane did not let begin; else NULL. */
typedef void (*mf_embed_news_fn)(struct mf_embed_hand *h,
                                 struct mf_embed_job *never_ran);

struct mf_embed_runner {
    struct mf_job job;
    struct mf_link link; /* of the idle ones */
    struct mf_embed_hand *hand;
    struct mf_embed_job *first;
};

struct mf_embed_hand {
    _Atomic(struct mf_embed_job *) spare;
    _Atomic(struct mf_embed_job *) finished; /* a stack: job->next_finished */
    struct mf_embed_job
        *offered;        /* the spare, until the loop knows that it was taken */
    struct mf_list idle; /* struct mf_embed_runner */
    uv_async_t async;    /* a job has ended and another one was begun */
    struct mf_loop *loop;
    mf_embed_news_fn news;
};

/* The async is closed by the owner. */
MF_LOOP void mf_embed_hand_init(struct mf_embed_hand *h, struct mf_loop *l,
                                struct mf_embed_runner *runners, size_t n,
                                mf_embed_news_fn news);
/* There is an idle runner. */
MF_LOOP void mf_embed_hand_start(struct mf_embed_hand *h, struct mf_lane *lane,
                                 struct mf_embed_job *job);
/* There is no spare. */
MF_LOOP void mf_embed_hand_offer(struct mf_embed_hand *h, struct mf_embed_job *job);
/* The spare, when no worker has taken it; else NULL. */
MF_LOOP struct mf_embed_job *mf_embed_hand_take_back(struct mf_embed_hand *h);
/* The spare, once, when a worker has taken it since the last call; else NULL. */
MF_LOOP struct mf_embed_job *mf_embed_hand_taken(struct mf_embed_hand *h);
/* The jobs that have ended since the last call, linked by next_finished, the first one
 * first. */
MF_LOOP struct mf_embed_job *mf_embed_hand_collect(struct mf_embed_hand *h);

#endif
