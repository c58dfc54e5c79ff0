/* SPDX-License-Identifier: Apache-2.0 */
#include "recall/dot.h"

#include "base/err.h"
#include "base/mem.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

/* 256 * 127 + 127: the largest number whose low part stays in -128..127. */
#define W_MAX 32639.0

static void plain_rows_i8(const int8_t *rows, size_t n_rows,
                          const struct mf_dot_query *q, int64_t *out)
{
    for (size_t r = 0; r < n_rows; r++, rows += q->n_i8) {
        int64_t sum = 0;

        for (size_t i = 0; i < q->n_i8; i++) {
            sum += (int64_t)rows[i] * q->w[i];
        }
        out[r] = sum;
    }
}

static int32_t plain_pair_i8(const int8_t *a, const int8_t *b, size_t n)
{
    int32_t sum = 0;

    for (size_t i = 0; i < n; i++) {
        sum += a[i] * b[i];
    }
    return sum;
}

static float plain_pair_f32(const float *a, const float *b, size_t n)
{
    float part[16] = {0};
    float sum = 0;

    for (size_t i = 0; i < n; i += mf_countof(part)) {
        for (size_t k = 0; k < mf_countof(part); k++) {
            part[k] += a[i + k] * b[i + k];
        }
    }
    for (size_t k = 0; k < mf_countof(part); k++) {
        sum += part[k];
    }
    return sum;
}

static void plain_rows_f32(const float *rows, size_t n_rows,
                           const struct mf_dot_query *q, float *out)
{
    for (size_t r = 0; r < n_rows; r++) {
        out[r] = plain_pair_f32(rows + r * q->n_f32, q->f, q->n_f32);
    }
}

static bool plain_works(void)
{
    return true;
}

const struct mf_dot_ops mf_dot_plain = {
    .name = "plain",
    .works = plain_works,
    .rows_i8 = plain_rows_i8,
    .rows_f32 = plain_rows_f32,
    .pair_i8 = plain_pair_i8,
    .pair_f32 = plain_pair_f32,
};

static const struct mf_dot_ops *const all[] = {
#if defined(__x86_64__)
    &mf_dot_avx512,
    &mf_dot_avx2,
#endif
    &mf_dot_plain,
    NULL,
};

/* Two threads that choose at once choose the same. */
static _Atomic(const struct mf_dot_ops *) chosen;

const struct mf_dot_ops *mf_dot(void)
{
    const struct mf_dot_ops *ops = atomic_load_explicit(&chosen, memory_order_acquire);

    if (mf_likely(ops != NULL)) {
        return ops;
    }
    ops = &mf_dot_plain; /* the last one */
    for (size_t i = mf_countof(all) - 1; i-- > 0;) {
        ops = all[i]->works() ? all[i] : ops;
    }
    atomic_store_explicit(&chosen, ops, memory_order_release);
    return ops;
}

void mf_dot_use(const struct mf_dot_ops *ops)
{
    atomic_store_explicit(&chosen, ops, memory_order_release);
}

const struct mf_dot_ops *const *mf_dot_all(void)
{
    return all;
}

static double largest(const float *v, size_t n)
{
    double max = 0;

    for (size_t i = 0; i < n; i++) {
        double x = fabs((double)v[i]);

        max = x > max ? x : max;
    }
    return max;
}

/* Splits so that the low part is signed, too: both parts fit a signed byte. */
static void split(struct mf_dot_query *q, size_t i, int w)
{
    int hi = (w + 128) >> 8;

    q->w[i] = (int16_t)w;
    q->hi[i] = (int8_t)hi;
    q->lo[i] = (int8_t)(w - 256 * hi);
    q->bias += 128 * (int64_t)w;
}

int mf_dot_query_init(struct mf_dot_query *q, const float *v, size_t dim)
{
    size_t n = mf_dot_row_bytes(dim, false);
    double max = largest(v, dim);
    char *block = mf_aligned(MF_DOT_ALIGN, n * 8);

    if (block == NULL) {
        return MF_ENOMEM;
    }
    memset(block, 0, n * 8);
    *q = (struct mf_dot_query){
        .n_i8 = n,
        .n_f32 = mf_dot_row_bytes(dim, true) / sizeof(float),
        .scale = max > 0 ? max / W_MAX : 1,
        .f = (float *)(void *)block,
        .w = (int16_t *)(void *)(block + n * 4),
        .hi = (int8_t *)(block + n * 6),
        .lo = (int8_t *)(block + n * 7),
    };
    memcpy(q->f, v, dim * sizeof(*v));
    for (size_t i = 0; i < dim; i++) {
        split(q, i, (int)lrint((double)v[i] / q->scale));
    }
    return 0;
}

void mf_dot_query_fini(struct mf_dot_query *q)
{
    mf_aligned_free(q->f);
    *q = (struct mf_dot_query){0};
}
