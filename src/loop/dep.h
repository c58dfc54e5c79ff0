/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dep: one thing we depend on (the store, the embedding model): timeout, retry with
 * jittered backoff, breaker, health. Pure: time and chance are arguments.
 *
 * Backoff: "full jitter" (Brooker, Exponential Backoff And Jitter, AWS 2015): a delay
 * drawn from [base/2, base] with base = min(cap, first * 2^(attempt - 1)).
 * Breaker: after `open_after` failures in a row no call is let through for the backoff
 * delay of that many failures; then one probe is; its success closes the breaker, its
 * failure waits the next delay. Failures that come in while the breaker is open belong
 * to calls begun before and change nothing. A probe that reports neither within
 * max(timeout_ms, max_backoff_ms) is taken for lost: another one may go.
 *
 * Owns:    its own numbers
 * Thread:  the owner's
 * Limits:  all in struct mf_dep_config; a delay is at most 2^32 - 1 ms
 * Fails:   never
 */
#ifndef MF_LOOP_DEP_H
#define MF_LOOP_DEP_H

#include "base/base.h"

struct mf_dep_config {
    uint64_t timeout_ms;       /* of one call */
    unsigned max_attempts;     /* of one piece of work; 0: no end */
    uint64_t first_backoff_ms; /* 2000 */
    uint64_t max_backoff_ms;   /* 30000 */
    unsigned open_after;       /* failures in a row; 0: no breaker */
};

enum mf_dep_state { MF_DEP_UP, MF_DEP_DOWN, MF_DEP_PROBING };

struct mf_dep {
    struct mf_dep_config cfg;
    enum mf_dep_state state;
    unsigned failures; /* in a row */
    uint64_t retry_at_ms;
    uint64_t n_ok, n_failed;
};

MF_ANY void mf_dep_init(struct mf_dep *d, const struct mf_dep_config *cfg);
/* Whether a call may start now. When DOWN and due, the first asker becomes the probe.
 */
MF_ANY bool mf_dep_may_call(struct mf_dep *d, uint64_t now_ms);
MF_ANY void mf_dep_succeeded(struct mf_dep *d);
MF_ANY void mf_dep_failed(struct mf_dep *d, uint64_t now_ms, uint32_t chance);
/* Delay before attempt number `attempt` + 1 (attempt >= 1 already failed). */
MF_ANY uint64_t mf_dep_backoff_ms(const struct mf_dep_config *cfg, unsigned attempt,
                                  uint32_t chance);
MF_ANY bool mf_dep_may_retry(const struct mf_dep_config *cfg, unsigned attempts_made);
MF_ANY bool mf_dep_is_up(const struct mf_dep *d);

#endif
