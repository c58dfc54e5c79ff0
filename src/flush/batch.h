/* SPDX-License-Identifier: Apache-2.0 */
/*
 * batch: when a batch is worth a transaction, and what fits into it. Pure.
 *
 * Owns:    nothing
 * Thread:  any
 * Limits:  those in struct mf_batch_limits
 * Fails:   never
 */
#ifndef MF_FLUSH_BATCH_H
#define MF_FLUSH_BATCH_H

#include "base/base.h"

struct mf_batch_limits {
    size_t max_rows;
    size_t max_bytes;
    uint64_t max_age_ms;
};

/* What is there to be written. */
struct mf_batch_fill {
    size_t n_rows;
    size_t bytes;
    uint64_t opened_ms; /* since when its oldest part waits */
};

/* Full, or its oldest part has waited long enough. Nothing is never due. */
MF_ANY bool mf_batch_is_due(const struct mf_batch_fill *b,
                            const struct mf_batch_limits *lim, uint64_t now_ms);
/* When it will be due if nothing comes any more; UINT64_MAX: never. */
MF_ANY uint64_t mf_batch_due_at_ms(const struct mf_batch_fill *b,
                                   const struct mf_batch_limits *lim);
/* Whether one more round may go in. The first always does: a round is not divided. */
MF_ANY bool mf_batch_fits(const struct mf_batch_fill *b,
                          const struct mf_batch_limits *lim, size_t n_rows,
                          size_t bytes);

#endif
