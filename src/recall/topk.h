/* SPDX-License-Identifier: Apache-2.0 */
/*
 * topk: the k best of many, ties to the smaller place.
 *
 * Owns:    its heap
 * Thread:  the owner's
 * Limits:  k, given at the start
 * Fails:   MF_ENOMEM from init
 */
#ifndef MF_RECALL_TOPK_H
#define MF_RECALL_TOPK_H

#include "base/base.h"

struct mf_top {
    double key;
    size_t at;
};

struct mf_topk {
    struct mf_top *heap; /* worst first */
    size_t n, k;
};

MF_MUST MF_ANY int mf_topk_init(struct mf_topk *t, size_t k);
MF_ANY void mf_topk_fini(struct mf_topk *t);
MF_ANY void mf_topk_take(struct mf_topk *t, double key, size_t at);
MF_ANY void mf_topk_sort(struct mf_topk *t); /* best first; nothing is taken after */

/* Worse than all that are kept, with a full heap; for `at` in ascending order. */
static inline bool mf_topk_is_below(const struct mf_topk *t, double key)
{
    return t->n == t->k && (t->k == 0 || key <= t->heap[0].key);
}

#endif
