/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retry: what becomes of a batch that the store did not take. Pure.
 *
 * MF_EPOISON (and other words about the rows themselves) halves the batch, and parks a
 * round that stands alone. All else passes: the batch waits and goes again, for ever
 * unless max_attempts bounds it, when it is treated as poison.
 *
 * Owns:    nothing
 * Thread:  any
 * Limits:  those in struct mf_dep_config
 * Fails:   never
 */
#ifndef MF_FLUSH_RETRY_H
#define MF_FLUSH_RETRY_H

#include "base/base.h"
#include "loop/dep.h"

enum mf_flush_verdict {
    MF_FLUSH_RETRY, /* whole, after wait_ms */
    MF_FLUSH_SPLIT, /* into halves, at once */
    MF_FLUSH_PARK   /* the one round in it */
};

struct mf_flush_outcome {
    enum mf_flush_verdict verdict;
    uint64_t wait_ms;
    bool is_refusal; /* the store answered and refuses the rows: it is alive */
    bool is_loud;    /* should not happen: a human ought to look */
};

/* `attempts` (>= 1) were made with this batch of n_rounds, the last ended with `code`.
 */
MF_ANY struct mf_flush_outcome mf_flush_judge(const struct mf_dep_config *cfg, int code,
                                              unsigned attempts, size_t n_rounds,
                                              uint32_t chance);

#endif
