/* SPDX-License-Identifier: Apache-2.0 */
/*
 * embed: submit a text, its vector arrives on the loop.
 *
 * Tasks wait in lines, interactive before background and short before long
 * (embed_order.h); a job (one uv_work) takes a batch of what waits, as large as the
 * model likes. Permits bound the jobs at once. A task that failed is tried again with
 * backoff; one that took too long ends as MF_ETIMEOUT (its job keeps the permit until
 * it returns, and its result is dropped). A batch that failed as a whole is tried again
 * in halves, and these in theirs, so that one bad text fails alone.
 *
 * Too long is dep.timeout_ms in a job; for an interactive task also since it was
 * submitted. While the breaker is open interactive tasks end at once as MF_EBACKEND,
 * background ones wait. MF_EINVAL, MF_ETOOBIG and MF_EUNPROCESSABLE from a model are
 * the text's own fault and not tried again.
 *
 * Owns:    the waiting lines; a task belongs to embed from submit to done
 * Thread:  loop; `after` of a task runs on the worker that made its vector
 * Limits:  max_waiting tasks and max_waiting_bytes of background text: MF_EBUSY
 * Fails:   never a made-up vector: `done` brings the code
 */
#ifndef MF_EMBED_EMBED_H
#define MF_EMBED_EMBED_H

#include "base/base.h"
#include "base/list.h"
#include "base/str.h"
#include "embed/model.h"
#include "item/chunk.h"
#include "loop/dep.h"
#include "loop/lane.h"

#define MF_EMBED_TIMEOUT_MS 30000 /* when dep.timeout_ms is 0 */

struct mf_embed;
struct mf_embed_slot;
struct mf_embed_task;

/* Worker, after the vector was made (rc 0) or when it failed for good (rc < 0, vector
 * NULL meanwhile): build what is built from it. Sees the task and nothing else. Not
 * called for a task that was canceled before the worker came to it. May be NULL. */
typedef void (*mf_embed_after_fn)(struct mf_embed_task *t, int rc);
/* Loop; exactly once, never before submit returned. rc 0: t->vector holds the
 * vector, when the caller brought a place for it.
 */
typedef void (*mf_embed_done_fn)(struct mf_embed_task *t, int rc);

struct mf_embed_task {    /* embedded in the caller's struct */
    struct mf_slice text; /* must stay until done */
    struct mf_slice
        prompt;          /* the model sees it before the text and before each passage,
                            whose spans are of the text alone; stays likewise */
    unsigned flags;      /* MF_TEXT_* */
    float *vector;       /* dim floats of the caller's, must stay until done; NULL: only
                            `after` sees the vector, in the job's own memory */
    bool wants_passages; /* texts longer than the window get passages too */
    mf_embed_after_fn after;
    mf_embed_done_fn done;
    /* results */
    uint32_t n_tokens;             /* pieces the model read; 0 when it failed */
    float *passage_vectors;        /* n_passages * dim; freed after `done` returned */
    struct mf_span *passage_spans; /* likewise */
    size_t n_passages;             /* 0: the text fits the window */
    /* embed's own */
    struct mf_link link;
    struct mf_list *line;       /* it waits in; NULL: in none */
    struct mf_embed_slot *slot; /* of its job; NULL: in none, or given up */
    uint64_t submitted_ms, not_before_ms;
    enum mf_urgency urgency;
    uint32_t cost;  /* estimated tokens */
    uint32_t group; /* of a batch that failed; 0: none */
    unsigned attempts;
    int rc;
    bool timed_out, canceled;
};

struct mf_embed_config {
    unsigned permits; /* jobs at once; 0: as is best for the model */
    struct mf_dep_config dep;
    size_t max_waiting; /* background tasks */
    size_t max_waiting_bytes;
};

/* What stands before a new task. */
struct mf_embed_load {
    size_t tokens;    /* estimated, of tasks not done that would go first */
    uint64_t wait_ms; /* until they are, by the measured rate; 0 before the first job */
};

typedef void (*mf_embed_closed_fn)(void *arg);

/* `model` is borrowed: it outlives embed. */
MF_MUST MF_LOOP int mf_embed_open(struct mf_embed **out, struct mf_loop *l,
                                  struct mf_model *model,
                                  const struct mf_embed_config *cfg);
MF_MUST MF_LOOP int mf_embed_submit(struct mf_embed *e, struct mf_embed_task *t,
                                    enum mf_urgency urgency);
/* The caller's wait ends: `done` comes with MF_ECANCELED, soon and never inside this
 * call. A text that the model was not given yet never will be; of one under way the
 * result is dropped. For a task that is submitted and not done; more than once is
 * once. */
MF_LOOP void mf_embed_cancel(struct mf_embed *e, struct mf_embed_task *t);
MF_LOOP struct mf_embed_load mf_embed_load(const struct mf_embed *e,
                                           enum mf_urgency urgency);
MF_LOOP unsigned mf_embed_permits(const struct mf_embed *e);
/* The most that `permits` of a config can come to, whatever the model: for the size of
 * the pool. */
MF_ANY unsigned mf_embed_max_permits(unsigned permits);
/* True when background work stands still on purpose: see mf_embed_pause. */
MF_LOOP void mf_embed_pause(struct mf_embed *e, bool pause); /* background line only */
MF_LOOP size_t mf_embed_backlog(const struct mf_embed *e);   /* tasks not done */
MF_LOOP size_t mf_embed_backlog_bytes(const struct mf_embed *e);
MF_LOOP const struct mf_model_info *mf_embed_info(const struct mf_embed *e);
MF_LOOP const struct mf_dep *mf_embed_health(const struct mf_embed *e);
/* Waiting tasks end as MF_ECANCELED, running jobs are waited for. */
MF_LOOP void mf_embed_close(struct mf_embed *e, mf_embed_closed_fn closed, void *arg);

#endif
