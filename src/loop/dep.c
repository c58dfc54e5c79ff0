/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/dep.h"

void mf_dep_init(struct mf_dep *d, const struct mf_dep_config *cfg)
{
    *d = (struct mf_dep){.cfg = *cfg, .state = MF_DEP_UP};
}

bool mf_dep_may_call(struct mf_dep *d, uint64_t now_ms)
{
    if (d->state == MF_DEP_UP) {
        return true;
    }
    if (now_ms < d->retry_at_ms) {
        return false;
    }
    d->state = MF_DEP_PROBING;
    /* A probe that never reports (its work was canceled) shall not keep the breaker
     * open for ever: after this time somebody else may try. */
    d->retry_at_ms = now_ms + mf_max(d->cfg.timeout_ms, d->cfg.max_backoff_ms);
    return true;
}

void mf_dep_succeeded(struct mf_dep *d)
{
    d->n_ok++;
    d->failures = 0;
    d->state = MF_DEP_UP;
}

void mf_dep_failed(struct mf_dep *d, uint64_t now_ms, uint32_t chance)
{
    d->n_failed++;
    if (d->state == MF_DEP_DOWN) {
        /* Calls begun before the breaker opened: many of them at once are still one
         * outage and do not lengthen the wait. */
        return;
    }
    if (d->failures < UINT32_MAX) {
        d->failures++;
    }
    if (d->state == MF_DEP_PROBING ||
        (d->cfg.open_after > 0 && d->failures >= d->cfg.open_after)) {
        d->state = MF_DEP_DOWN;
        d->retry_at_ms = now_ms + mf_dep_backoff_ms(&d->cfg, d->failures, chance);
    }
}

uint64_t mf_dep_backoff_ms(const struct mf_dep_config *cfg, unsigned attempt,
                           uint32_t chance)
{
    /* 2^32 ms are 49 days; below it the product with `chance` fits. */
    uint64_t cap = mf_min(cfg->max_backoff_ms, UINT32_MAX);
    uint64_t base = mf_min(cfg->first_backoff_ms, cap);
    uint64_t least;

    for (unsigned i = 1; i < attempt && base > 0 && base < cap; i++) {
        base = mf_min(base * 2, cap);
    }
    least = base / 2;
    return least + (((base - least + 1) * chance) >> 32);
}

bool mf_dep_may_retry(const struct mf_dep_config *cfg, unsigned attempts_made)
{
    return cfg->max_attempts == 0 || attempts_made < cfg->max_attempts;
}

bool mf_dep_is_up(const struct mf_dep *d)
{
    return d->state == MF_DEP_UP;
}
