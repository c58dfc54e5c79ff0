/* SPDX-License-Identifier: Apache-2.0 */
#include "buffer/buffer.h"

struct mf_wbuf_decision mf_wbuf_decide(const struct mf_wbuf_limits *lim,
                                       size_t n_rounds, uint32_t tokens,
                                       bool is_other_session, uint32_t new_tokens)
{
    struct mf_wbuf_decision d = {.reason = MF_WBUF_NONE};

    if (is_other_session && n_rounds > 0) {
        d.transfer_first = true;
        d.reason = MF_WBUF_SESSION_CHANGE;
        n_rounds = 0;
        tokens = 0;
    }
    if (new_tokens > lim->max_tokens) {
        d.transfer_first = d.transfer_first || n_rounds > 0;
        d.is_direct = true;
        d.reason = d.reason == MF_WBUF_NONE ? MF_WBUF_OVERSIZE : d.reason;
        return d;
    }
    if (n_rounds == 0) {
        return d;
    }
    if ((uint64_t)tokens + new_tokens > lim->max_tokens) {
        d.transfer_first = true;
        d.reason = MF_WBUF_TOKEN_LIMIT;
    } else if (n_rounds >= lim->max_rounds) {
        d.transfer_first = true;
        d.reason = MF_WBUF_SIZE_LIMIT;
    }
    return d;
}

bool mf_wbuf_is_idle(const struct mf_userbuf *u, const struct mf_hbuf_limits *lim,
                     uint64_t now_ms)
{
    return !mf_list_is_empty(&u->write) && now_ms >= u->last_write_ms &&
           now_ms - u->last_write_ms >= lim->idle_ms;
}
