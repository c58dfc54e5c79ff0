/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record_task: one text through the embedding lane to a search record and its passages,
 * all built on the worker that made the vector.
 *
 * Owns:    the records until the caller takes them (swaps in an empty
 *          buffer)
 * Thread:  loop, but for the building
 * Limits:  none
 * Fails:   rc < 0 with a record without a vector, or (no memory, canceled) none
 */
#ifndef MF_ENGINE_RECORD_TASK_H
#define MF_ENGINE_RECORD_TASK_H

#include "base/base.h"
#include "base/str.h"
#include "embed/embed.h"
#include "engine/terms_pool.h"
#include "item/item.h"

/* What all tasks of an engine share. */
struct mf_record_maker {
    struct mf_embed *embed;
    struct mf_terms_pool *terms;
    bool as_f32; /* recall.vectors */
};

struct mf_record_task;
typedef void (*mf_record_made_fn)(struct mf_record_task *rt, int rc); /* loop */

struct mf_record_task { /* embedded in who waits */
    struct mf_embed_task task;
    struct mf_slice text; /* stays until made */
    enum mf_msg_role role;
    int64_t created_us;
    bool is_knowledge;
    struct mf_buf search, passages; /* out */
    /* its own */
    const struct mf_record_maker *maker;
    mf_record_made_fn made;
    uint16_t dim;
    uint32_t space;
    int build_rc;
};

/* `maker` outlives the task. The vector is only seen on the worker: it needs no place
 * of ours. */
MF_LOOP void mf_record_task_init(struct mf_record_task *rt,
                                 const struct mf_record_maker *maker,
                                 struct mf_slice text, enum mf_msg_role role,
                                 int64_t created_us);
MF_MUST MF_LOOP int mf_record_task_submit(struct mf_record_task *rt,
                                          enum mf_urgency urgency,
                                          mf_record_made_fn made);
MF_LOOP void mf_record_task_fini(struct mf_record_task *rt);

/* A record without a vector. */
MF_MUST MF_ANY int mf_record_build(struct mf_buf *out,
                                   const struct mf_record_maker *maker,
                                   const struct mf_msg *msg);

#endif
