/* SPDX-License-Identifier: Apache-2.0 */
#include "buffer/buffer.h"

static bool has_passed(uint64_t since_ms, uint64_t span_ms, uint64_t now_ms)
{
    return now_ms >= since_ms && now_ms - since_ms >= span_ms;
}

enum mf_hbuf_due mf_hbuf_is_due(const struct mf_hbuf_limits *lim, size_t n_rounds,
                                uint64_t oldest_ms, uint64_t now_ms)
{
    if (n_rounds == 0) {
        return MF_HBUF_NOT_DUE;
    }
    if (n_rounds >= lim->max_rounds) {
        return MF_HBUF_DUE_SIZE;
    }
    return has_passed(oldest_ms, lim->flush_interval_ms, now_ms) ? MF_HBUF_DUE_INTERVAL
                                                                 : MF_HBUF_NOT_DUE;
}

bool mf_entry_is_ready(const struct mf_entry *e, const struct mf_hbuf_limits *lim,
                       uint64_t now_ms, bool no_wait)
{
    return no_wait || e->n_missing == 0 ||
           has_passed(e->hybrid_ms, lim->vector_wait_ms, now_ms);
}
