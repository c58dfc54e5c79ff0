/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rowops: what an encoder does between its linear layers, for one instruction set:
 * layer norm, self-attention of one sequence, pooling. And the plain C reference.
 *
 * Owns:    nothing
 * Thread:  any, several at once; each call has its own work block
 * Limits:  width a multiple of 4; head_dim a multiple of 4, up to 128
 * Fails:   never
 */
#ifndef MF_ENCODER_ROWOPS_H
#define MF_ENCODER_ROWOPS_H

#include "base/base.h"

struct mf_attention {
    const float *qkv; /* n rows of 3 * width: queries (scaled by 1/sqrt(head_dim) when
                         they were packed), keys, values */
    float *out;       /* n rows of width */
    uint32_t n, width, n_heads;
    /* Added to the scores (MPNet), or NULL: of query i and key j in head h it is
     * bias[h * bias_ld + j - i], so `bias` points at the middle, distance 0, and
     * reaches n - 1 to each side. */
    const float *bias;
    size_t bias_ld;
};

/* The same with queries, keys, values and result in bf16. */
struct mf_attention_bf16 {
    const uint16_t *qkv;
    uint16_t *out;
    uint32_t n, width, n_heads;
    const float *bias;
    size_t bias_ld;
};

struct mf_norm_rows {
    float *x; /* rows of `width` */
    size_t rows;
    uint32_t width;
    const float *g, *b;
    float eps;
};

struct mf_rowops {
    const char *name;
    bool (*is_supported)(void);
    /* In place: (x - mean) / sqrt(var + eps) * g + b, each row of `width`. */
    void (*layer_norm)(float *x, size_t rows, uint32_t width, const float *g,
                       const float *b, float eps);
    /* 64-aligned work memory for a sequence of n, and for all shorter ones. */
    size_t (*attention_bytes)(uint32_t n, uint32_t width, uint32_t n_heads);
    void (*attention)(const struct mf_attention *a, void *work); /* f32 throughout */
    /* A cheap exp where the CPU is quick at it; else the same. */
    void (*attention_fast)(const struct mf_attention *a, void *work);
    /* bf16 products and a cheap exp. NULL where the CPU has no bf16, as the next. */
    void (*attention_bf16)(const struct mf_attention_bf16 *a, void *work);
    /* layer_norm whose result is also left in bf16, in `out`. */
    void (*layer_norm_bf16)(const struct mf_norm_rows *n, uint16_t *out);
    /* dst += src, n floats; and dst = max(dst, src) of numbers, not of NaN. */
    void (*add)(float *dst, const float *src, size_t n);
    void (*max)(float *dst, const float *src, size_t n);
};

MF_ANY const struct mf_rowops *const *mf_rowops_all(void); /* best first, NULL ends */
MF_ANY const struct mf_rowops *mf_rowops_best(void);

#endif
