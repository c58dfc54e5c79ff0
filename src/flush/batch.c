/* SPDX-License-Identifier: Apache-2.0 */
#include "flush/batch.h"

static bool is_full(const struct mf_batch_fill *b, const struct mf_batch_limits *lim)
{
    return b->n_rows >= lim->max_rows || b->bytes >= lim->max_bytes;
}

uint64_t mf_batch_due_at_ms(const struct mf_batch_fill *b,
                            const struct mf_batch_limits *lim)
{
    uint64_t at;

    if (b->n_rows == 0) {
        return UINT64_MAX;
    }
    if (is_full(b, lim)) {
        return 0;
    }
    return __builtin_add_overflow(b->opened_ms, lim->max_age_ms, &at) ? UINT64_MAX : at;
}

bool mf_batch_is_due(const struct mf_batch_fill *b, const struct mf_batch_limits *lim,
                     uint64_t now_ms)
{
    return b->n_rows > 0 && mf_batch_due_at_ms(b, lim) <= now_ms;
}

static bool adds_up(size_t have, size_t more, size_t max)
{
    return have <= max && more <= max - have;
}

bool mf_batch_fits(const struct mf_batch_fill *b, const struct mf_batch_limits *lim,
                   size_t n_rows, size_t bytes)
{
    if (b->n_rows == 0) {
        return true;
    }
    return adds_up(b->n_rows, n_rows, lim->max_rows) &&
           adds_up(b->bytes, bytes, lim->max_bytes);
}
