/* SPDX-License-Identifier: Apache-2.0 */
#include "npu/pack.h"

#include <string.h>

#define TILE 8U
#define ONE  0x3f80U /* 1.0 */

size_t mf_npu_pack_at(enum mf_npu_layout layout, MF_UNUSED uint32_t k, uint32_t n,
                      uint32_t row, uint32_t col)
{
    size_t tile;

    MF_DEBUG_ASSERT(row < k && col < n);
    if (layout == MF_NPU_LAYOUT_PLAIN) {
        return (size_t)row * n + col;
    }
    tile = (size_t)(row / TILE) * (n / TILE) + col / TILE;
    return tile * TILE * TILE + (size_t)(row % TILE) * TILE + col % TILE;
}

static void put_run(uint16_t *to, const float *from, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        to[i] = mf_npu_bf16(from[i]);
    }
}

void mf_npu_pack_weight(uint16_t *to, enum mf_npu_layout layout, uint32_t k, uint32_t n,
                        const float *w, size_t ld)
{
    /* What lies behind each other in a row of B: all of it, or the row of a tile. */
    uint32_t run = layout == MF_NPU_LAYOUT_PLAIN ? n : TILE;

    MF_ASSERT(layout == MF_NPU_LAYOUT_PLAIN || (k % TILE == 0 && n % TILE == 0));
    for (uint32_t row = 0; row < k; row++) {
        for (uint32_t col = 0; col < n; col += run) {
            put_run(to + mf_npu_pack_at(layout, k, n, row, col), w + row * ld + col,
                    run);
        }
    }
}

void mf_npu_pack_rows(uint16_t *to, uint32_t k, const float *x, size_t rows,
                      uint32_t k_used, bool has_bias)
{
    MF_ASSERT(k_used <= k && (!has_bias || k_used < k));
    for (size_t row = 0; row < rows; row++) {
        uint16_t *out = to + row * k;
        const float *in = x + row * k_used;

        put_run(out, in, k_used);
        memset(out + k_used, 0, (size_t)(k - k_used) * sizeof(*out));
        if (has_bias) {
            out[k_used] = ONE;
        }
    }
}
