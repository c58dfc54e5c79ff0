/* SPDX-License-Identifier: Apache-2.0 */
#include "encoder/encoder_in.h"

#include <math.h>
#include <string.h>

#define EXPONENT 0x7f800000U /* all ones: infinity or NaN */

/* To the end, whatever is found: the compiler makes steps of many numbers of it. */
bool mf_is_finite(const float *v, size_t n)
{
    uint32_t n_bad = 0;

    for (size_t i = 0; i < n; i++) {
        uint32_t bits;

        memcpy(&bits, v + i, sizeof(bits));
        n_bad += (bits & EXPONENT) == EXPONENT;
    }
    return n_bad == 0;
}

void mf_unit(float *v, uint32_t n)
{
    double square = 0;
    float scale;

    for (uint32_t i = 0; i < n; i++) {
        square += (double)v[i] * (double)v[i];
    }
    if (square == 0) {
        return;
    }
    scale = (float)(1 / sqrt(square));
    for (uint32_t i = 0; i < n; i++) {
        v[i] *= scale;
    }
}

static void pool_mean(const struct mf_frame *f, const float *x, size_t n, float *out)
{
    uint32_t hidden = f->info.hidden;
    float share = 1 / (float)n;

    for (size_t i = 1; i < n; i++) {
        f->rows->add(out, x + i * hidden, hidden);
    }
    for (uint32_t i = 0; i < hidden; i++) {
        out[i] *= share;
    }
}

static void pool_max(const struct mf_frame *f, const float *x, size_t n, float *out)
{
    for (size_t i = 1; i < n; i++) {
        f->rows->max(out, x + i * f->info.hidden, f->info.hidden);
    }
}

void mf_pool(const struct mf_frame *f, const float *x, size_t n, float *out)
{
    size_t hidden = f->info.hidden;
    size_t from = f->info.pooling == MF_POOL_LAST ? n - 1 : 0;

    memcpy(out, x + from * hidden, hidden * sizeof(float));
    switch (f->info.pooling) {
    case MF_POOL_MEAN: pool_mean(f, x, n, out); break;
    case MF_POOL_MAX: pool_max(f, x, n, out); break;
    case MF_POOL_CLS:
    case MF_POOL_LAST:
    default: break;
    }
}
