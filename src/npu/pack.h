/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pack: floats to what a device reads: bf16 rounded to nearest even, weights in the
 * manifest's layout, activations padded to a shape. Pure.
 *
 * Plain: row by row. Tiled 8x8: tile by tile, those of the first eight rows first;
 * within a tile row by row.
 *
 * Bias: where k is padded, the first column of A's padding holds ones and that row of
 * B the bias (whoever pads B puts it there); so the device adds it before its epilogue.
 *
 * Owns:    nothing
 * Thread:  any
 * Limits:  tiled: k and n are multiples of 8
 * Fails:   never; a NaN stays one, what rounds beyond the largest number is infinite
 */
#ifndef MF_NPU_PACK_H
#define MF_NPU_PACK_H

#include "base/base.h"
#include "npu/manifest.h"

#include <string.h>

/* k x n bf16 in `layout` from k x n floats, ld a row. */
MF_ANY void mf_npu_pack_weight(uint16_t *to, enum mf_npu_layout layout, uint32_t k,
                               uint32_t n, const float *w, size_t ld);
/* The number of B at (row, col) in a packed weight. */
MF_ANY size_t mf_npu_pack_at(enum mf_npu_layout layout, uint32_t k, uint32_t n,
                             uint32_t row, uint32_t col);
/* rows x k bf16 from rows x k_used floats; has_bias: column k_used is 1. */
MF_ANY void mf_npu_pack_rows(uint16_t *to, uint32_t k, const float *x, size_t rows,
                             uint32_t k_used, bool has_bias);

/* Here, so that loops over them become vector code. */
static inline uint16_t mf_npu_bf16(float v)
{
    const uint32_t infinite = 0x7f800000U;
    const uint32_t quiet = 0x40U; /* keeps a NaN one when its low half is cut off */
    uint32_t bits, rounded;

    memcpy(&bits, &v, sizeof(bits));
    rounded = (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
    /* Both are computed and one is taken. */
    return (uint16_t)((bits & ~0x80000000U) > infinite ? (bits >> 16) | quiet
                                                       : rounded);
}

static inline float mf_npu_float(uint16_t v)
{
    uint32_t bits = (uint32_t)v << 16;
    float f;

    memcpy(&f, &bits, sizeof(f));
    return f;
}

#endif
