/* SPDX-License-Identifier: Apache-2.0 */
/* C = A B: bf16 products, summed in f32 over k ascending; GELU by erf. */
#include "base/mem.h"
#include "npu/pack.h"
#include "npu/twin_in.h"

#include <math.h>

#define STRIP 8 /* columns of B at once: four rows of them stay in registers */
#define ROWS  4

static float gelu(float x)
{
    return 0.5F * x * (1 + erff(x * (float)M_SQRT1_2));
}

/* k x STRIP floats. */
static void read_strip(const struct twin_op *op, enum mf_npu_layout layout,
                       const uint16_t *b, uint32_t column, float *to)
{
    uint32_t k = op->gemm.k, n = op->gemm.n;

    for (uint32_t row = 0; row < k; row++) {
        /* Either layout keeps eight columns of a row together. */
        const uint16_t *from = b + mf_npu_pack_at(layout, k, n, row, column);

        for (uint32_t i = 0; i < STRIP; i++) {
            to[(size_t)row * STRIP + i] = mf_npu_float(from[i]);
        }
    }
}

/* c += x b, of STRIP columns. */
static inline void add_scaled(float *c, float x, const float *b)
{
    for (uint32_t j = 0; j < STRIP; j++) {
        c[j] += x * b[j];
    }
}

static void multiply(const float *a, uint32_t k, const float *b, float c[ROWS][STRIP])
{
    for (uint32_t i = 0; i < k; i++) {
        for (uint32_t r = 0; r < ROWS; r++) {
            add_scaled(c[r], a[(size_t)r * k + i], b + (size_t)i * STRIP);
        }
    }
}

static void write_strip(const struct twin_op *op, const float *c, float *to)
{
    for (uint32_t j = 0; j < STRIP; j++) {
        to[j] = op->gemm.epi == MF_NPU_EPI_GELU ? gelu(c[j]) : c[j];
    }
}

/* `a`: whole blocks of ROWS rows; those behind op->rows are zeros. */
static void run_strip(const struct twin_op *op, const float *a, const float *b,
                      float *to)
{
    for (uint32_t row = 0; row < op->rows; row += ROWS) {
        float c[ROWS][STRIP] = {{0}};

        multiply(a + (size_t)row * op->gemm.k, op->gemm.k, b, c);
        for (uint32_t r = 0; r < ROWS && row + r < op->rows; r++) {
            write_strip(op, c[r], to + (size_t)(row + r) * op->gemm.n);
        }
    }
}

int mf_twin_gemm(const struct twin_op *op, enum mf_npu_layout layout)
{
    const struct mf_npu_gemm *g = &op->gemm;
    const uint16_t *bits = (const uint16_t *)(const void *)(op->a->device + op->a_at);
    const uint16_t *b = (const uint16_t *)(const void *)op->w->device;
    float *c = (float *)(void *)(op->c->device + op->c_at);
    size_t rows = ((size_t)op->rows + ROWS - 1) / ROWS * ROWS;
    float *a = mf_calloc(rows * g->k, sizeof(*a));
    float *strip = mf_array((size_t)g->k * STRIP, sizeof(*strip));

    if (a == NULL || strip == NULL) {
        mf_free(a);
        mf_free(strip);
        return MF_ENOMEM;
    }
    for (size_t i = 0; i < (size_t)op->rows * g->k; i++) {
        a[i] = mf_npu_float(bits[i]);
    }
    for (uint32_t column = 0; column < g->n; column += STRIP) {
        read_strip(op, layout, b, column, strip);
        run_strip(op, a, strip, c + column);
    }
    mf_free(a);
    mf_free(strip);
    return 0;
}
