/* SPDX-License-Identifier: Apache-2.0 */
/*
 * embed_job: one call of the model: a batch of texts, and what became of each.
 *
 * A job has copies of its texts and a place of its own for the vectors, so that a task
 * which the loop gave up (it took too long) can be forgotten by its caller while the
 * worker is still busy. Who gets hold of a slot first decides: the worker takes it to
 * hand over the result, the loop to give the task up.
 *
 * Owns:    one block: slots, copies, vectors; the tasks are their callers'
 * Thread:  made and freed on the loop; mf_embed_job_work on a worker (embed_hand.h)
 * Limits:  the caller chose the batch
 * Fails:   NULL on exhaustion
 */
#ifndef MF_EMBED_EMBED_JOB_H
#define MF_EMBED_EMBED_JOB_H

#include "base/base.h"
#include "base/list.h"
#include "embed/embed.h"
#include "embed/model.h"
#include "loop/lane.h"

#include <stdatomic.h>

enum mf_embed_slot_state {
    MF_SLOT_OPEN,     /* nobody has it: after the job, try the task again */
    MF_SLOT_SETTLED,  /* the worker took it: `after` was called, the task is over */
    MF_SLOT_GIVEN_UP, /* the loop took it: the task is not ours any more; not computed
                         when the job has not begun */
};

struct mf_embed_slot {
    struct mf_embed_task *task;
    atomic_int state;
    bool is_last;        /* no further attempt: a failure is for good */
    bool wants_passages; /* as the task said */
    size_t prompt_n;     /* bytes before the text, in `texts` */
    size_t row;          /* of texts, results and vectors */
    int rc;
};

struct mf_embed_job {
    struct mf_link link;                /* of embed's running jobs */
    struct mf_embed_job *next_finished; /* of embed_hand's */
    struct mf_model *model;
    uint64_t started_ms;
    uint64_t took_us;
    uint64_t cost; /* estimated tokens */
    /* Estimated and real ones of its texts that went well, without passages. */
    uint64_t judged_cost, judged_tokens;
    uint64_t oldest_ms;  /* when the first of its tasks was submitted */
    size_t bytes;        /* of its tasks' texts */
    bool yields;         /* no urgent task waited when it was made */
    bool is_half;        /* of one that failed: nothing else goes with it */
    unsigned urgent_run; /* of the order, before it was taken */
    enum mf_urgency urgency;
    bool timed_out;
    int batch_rc; /* the whole batch failed */
    size_t n;
    size_t n_rows;         /* texts that the model was given */
    struct mf_text *texts; /* our copies */
    struct mf_text_result *results;
    float *vectors;
    struct mf_embed_slot slots[];
};

MF_ANY struct mf_embed_job *
mf_embed_job_new(struct mf_model *model, struct mf_embed_task *const *tasks, size_t n);
MF_ANY void mf_embed_job_free(struct mf_embed_job *job);
/* After the work: several texts failed together, so that none of them was judged. */
MF_ANY bool mf_embed_job_failed_whole(const struct mf_embed_job *job);
MF_WORKER void mf_embed_job_work(struct mf_embed_job *job);
/* Takes an open slot; false when the other side was first. */
MF_ANY bool mf_embed_slot_take(struct mf_embed_slot *s, enum mf_embed_slot_state how);
/* The text's own fault: another attempt would end the same way. */
MF_ANY bool mf_embed_is_final(int rc);
/* Calls t->after with rc < 0, t->vector being NULL meanwhile. */
MF_ANY void mf_embed_after_failure(struct mf_embed_task *t, int rc);

#endif
