/* SPDX-License-Identifier: Apache-2.0 */
#include "embed/embed_load.h"

#include <math.h>

#define BYTES_PER_PIECE 4
#define SPECIALS        2
#define OLD_SHARE       (15.0 / 16)
#define MAX_COST        (UINT32_MAX / 2)
#define MAX_MS          1e15
#define MAX_STRETCH     2.0

uint32_t mf_embed_cost(const struct mf_model_info *info, struct mf_slice text,
                       bool wants_passages)
{
    size_t n = mf_min(text.n / BYTES_PER_PIECE, (size_t)MAX_COST) + SPECIALS;
    size_t in_window = mf_min(n, (size_t)mf_max(info->window, 1u));

    return (uint32_t)(wants_passages && n > in_window ? in_window + n : in_window);
}

void mf_embed_rate_add(struct mf_embed_rate *r, uint64_t tokens, uint64_t us)
{
    r->tokens = r->tokens * OLD_SHARE + (double)tokens;
    r->us = r->us * OLD_SHARE + (double)mf_max(us, (uint64_t)1);
    r->jobs = r->jobs * OLD_SHARE + 1;
}

uint64_t mf_embed_rate_job_us(const struct mf_embed_rate *r)
{
    return r->jobs > 0 ? (uint64_t)(r->us / r->jobs) : 0;
}

uint64_t mf_embed_rate_ms(const struct mf_embed_rate *r, uint64_t tokens,
                          unsigned permits)
{
    if (!(r->tokens > 0)) {
        return 0;
    }
    return (uint64_t)fmin(ceil((double)tokens * r->us / r->tokens / permits / 1000),
                          MAX_MS);
}

void mf_embed_rate_learn(struct mf_embed_rate *r, uint64_t estimated, uint64_t real)
{
    r->estimated = r->estimated * OLD_SHARE + (double)estimated;
    r->real = r->real * OLD_SHARE + (double)real;
}

size_t mf_embed_rate_budget(const struct mf_embed_rate *r, size_t tokens)
{
    double stretch = r->real > 0 ? r->estimated / r->real : 1;

    return (size_t)((double)tokens * fmin(fmax(stretch, 1), MAX_STRETCH));
}
