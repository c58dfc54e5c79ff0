/* SPDX-License-Identifier: Apache-2.0 */
/* bf16 products, summed in f32 over k ascending; GELU by erf. */
#include "kemu.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TILE 8U

static float widen(uint16_t v)
{
    uint32_t bits = (uint32_t)v << 16;
    float f;

    memcpy(&f, &bits, sizeof(f));
    return f;
}

/* Where B's number stands. Tiled: 8x8 tiles, those of the first eight rows first. */
static size_t at(const struct kemu_gemm *g, uint32_t row, uint32_t column)
{
    size_t tile = (size_t)(row / TILE) * (g->n / TILE) + column / TILE;

    if (g->layout == 0) {
        return (size_t)row * g->n + column;
    }
    return (tile * TILE + row % TILE) * TILE + column % TILE;
}

static float *widen_b(const struct kemu_gemm *g)
{
    float *b = malloc((size_t)g->k * g->n * sizeof(*b));

    for (uint32_t i = 0; b != NULL && i < g->k; i++) {
        for (uint32_t j = 0; j < g->n; j++) {
            b[(size_t)i * g->n + j] = widen(g->b[at(g, i, j)]);
        }
    }
    return b;
}

/* One row of C: a row of B for each number of A's row, so that each sum grows in the
 * order of k. */
/* Every test waits for this loop. */
__attribute__((target_clones("avx2", "default"))) static void
run_row(const struct kemu_gemm *g, uint32_t row, const float *b)
{
    const uint16_t *a = g->a + (size_t)row * g->k;
    float *restrict c = g->c + (size_t)row * g->n;

    memset(c, 0, g->n * sizeof(*c));
    for (uint32_t i = 0; i < g->k; i++) {
        const float *from = b + (size_t)i * g->n;
        float x = widen(a[i]);

        for (uint32_t j = 0; j < g->n; j++) {
            c[j] += x * from[j];
        }
    }
    for (uint32_t j = 0; g->epilogue != 0 && j < g->n; j++) {
        c[j] = 0.5F * c[j] * (1 + erff(c[j] * (float)M_SQRT1_2));
    }
}

bool kemu_gemm(const struct kemu_gemm *g)
{
    float *b = widen_b(g);

    if (b == NULL) {
        return false;
    }
    for (uint32_t row = 0; row < g->m; row++) {
        run_row(g, row, b);
    }
    free(b);
    return true;
}
