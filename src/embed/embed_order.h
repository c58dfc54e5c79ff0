/* SPDX-License-Identifier: Apache-2.0 */
/*
 * embed_order: which texts the model gets next. Pure: the tasks bring their times.
 *
 * Urgent before background. Inside a class short texts first: a text yields to shorter
 * ones, but only to those that were submitted at most a few milliseconds after it, so
 * that whatever has waited long goes first. After MF_EMBED_URGENT_RUN urgent batches in
 * a row the oldest background texts get one: background never starves.
 * The halves of a batch that failed stay together and go before all others of their
 * class.
 *
 * Owns:    the lines; a task is on one of them from push to remove or take
 * Thread:  the owner's
 * Limits:  push, remove and oldest cost the same however many wait
 * Fails:   never
 */
#ifndef MF_EMBED_EMBED_ORDER_H
#define MF_EMBED_EMBED_ORDER_H

#include "embed/embed.h"

#define MF_EMBED_LENGTHS    6
#define MF_EMBED_URGENT_RUN 8
#define MF_EMBED_MAX_BATCH  256 /* texts */

struct mf_embed_order {
    struct mf_list line[2][MF_EMBED_LENGTHS]; /* by urgency and length */
    struct mf_list split[2];                  /* halves, by urgency */
    size_t n[2];
    unsigned urgent_run; /* urgent batches since background last had its turn */
    uint32_t last_group;
};

struct mf_embed_limits { /* of one batch; a text that is larger goes alone */
    size_t texts, bytes, tokens;
    size_t background_tokens; /* of a background batch; 0: as tokens */
    bool only_urgent;
};

MF_ANY void mf_embed_order_init(struct mf_embed_order *o);
/* `first`: it has been in the line before. t->urgency, t->submitted_ms and t->cost are
 * set. */
MF_ANY void mf_embed_order_push(struct mf_embed_order *o, struct mf_embed_task *t,
                                bool first);
/* A name for the tasks that are pushed with it, one after the other: they become one
 * batch, and nothing else is in it. */
MF_ANY uint32_t mf_embed_order_new_group(struct mf_embed_order *o);
MF_ANY void mf_embed_order_push_group(struct mf_embed_order *o, struct mf_embed_task *t,
                                      uint32_t group);
/* What was taken last, back to where it was; of a batch the last one first. */
MF_ANY void mf_embed_order_put_back(struct mf_embed_order *o, struct mf_embed_task *t);
MF_ANY void mf_embed_order_remove(struct mf_embed_order *o, struct mf_embed_task *t);
/* The one of a class that was submitted first; NULL when none waits. */
MF_ANY struct mf_embed_task *mf_embed_order_oldest(const struct mf_embed_order *o,
                                                   enum mf_urgency urgency);
/* Whether a batch of so many bytes and estimated tokens has room for it. */
MF_ANY bool mf_embed_order_fits(const struct mf_embed_limits *lim,
                                const struct mf_embed_task *t, size_t bytes,
                                size_t tokens);
/* Takes the next batch out of the lines: at most MF_EMBED_MAX_BATCH. */
MF_ANY size_t mf_embed_order_take(struct mf_embed_order *o,
                                  const struct mf_embed_limits *lim,
                                  struct mf_embed_task **tasks);

#endif
