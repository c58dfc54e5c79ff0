/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quant: vectors as they stand in records: int8 with one scale, or little-endian
 * floats.
 *
 * Owns:    nothing
 * Thread:  any (pure)
 * Limits:  none
 * Fails:   never
 */
#ifndef MF_RECALL_QUANT_H
#define MF_RECALL_QUANT_H

#include "base/base.h"
#include "base/str.h"

#include <math.h>

/* Nearest of -127..127 steps; the step is returned. */
static inline float mf_quantise(const float *v, size_t n, int8_t *out)
{
    float max = 0;

    for (size_t i = 0; i < n; i++) {
        max = fmaxf(max, fabsf(v[i]));
    }
    for (size_t i = 0; i < n; i++) {
        out[i] = (int8_t)lrintf(max > 0 ? v[i] * (127 / max) : 0);
    }
    return max > 0 ? max / 127 : 1;
}

static inline void mf_put_floats(void *at, const float *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;

        memcpy(&bits, v + i, sizeof(bits));
        mf_put_u32((char *)at + 4 * i, bits);
    }
}

static inline void mf_get_floats(float *v, const void *at, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = mf_get_u32((const char *)at + 4 * i);

        memcpy(v + i, &bits, sizeof(bits));
    }
}

/* Length squared of a stored vector. */
static inline double mf_stored_square(const void *at, size_t n, float scale,
                                      bool is_f32)
{
    double sum = 0;
    int64_t units = 0;

    for (size_t i = 0; i < n && !is_f32; i++) {
        const int8_t *x = (const int8_t *)at + i;

        units += (int64_t)*x * *x;
    }
    for (size_t i = 0; i < n && is_f32; i++) {
        float x;

        mf_get_floats(&x, (const char *)at + 4 * i, 1);
        sum += (double)x * (double)x;
    }
    return is_f32 ? sum : (double)units * (double)scale * (double)scale;
}

/* Both are false for NaN. Int8 changes the length of an odd vector by far more than
 * that of a model's. */
static inline bool mf_is_unit(double square)
{
    return square > 0.98 && square < 1.02;
}

static inline bool mf_is_stored_unit(double square)
{
    return square > 0.5 && square < 2;
}

#endif
