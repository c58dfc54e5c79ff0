/* SPDX-License-Identifier: Apache-2.0 */
/* The reference of every precision, for any machine: what the others must give. */
#include "encoder/linear_in.h"

#include <math.h>
#include <string.h>

#define WIDTH  16
#define HEIGHT 4

static float from_bf16(uint16_t half)
{
    uint32_t bits = (uint32_t)half << 16;
    float f;

    memcpy(&f, &bits, sizeof(f));
    return f;
}

/* Each add_*: acc[c] += one group of x times the same group of column c. */
typedef void (*add_fn)(void *acc, const unsigned char *x, const unsigned char *w);

static void add_f32(void *acc, const unsigned char *x, const unsigned char *w)
{
    const float *xf = (const float *)(const void *)x;
    const float *wf = (const float *)(const void *)w;
    float *sum = acc;

    for (size_t c = 0; c < WIDTH; c++) {
        sum[c] += xf[0] * wf[c];
    }
}

static void add_bf16(void *acc, const unsigned char *x, const unsigned char *w)
{
    const uint16_t *xh = (const uint16_t *)(const void *)x;
    const uint16_t *wh = (const uint16_t *)(const void *)w;
    float *sum = acc;

    for (size_t c = 0; c < WIDTH; c++) {
        sum[c] += from_bf16(xh[0]) * from_bf16(wh[2 * c]) +
                  from_bf16(xh[1]) * from_bf16(wh[2 * c + 1]);
    }
}

static void add_int8(void *acc, const unsigned char *x, const unsigned char *w)
{
    const int8_t *ws = (const int8_t *)w;
    int32_t *sum = acc;

    for (size_t c = 0; c < WIDTH; c++, ws += 4) {
        sum[c] += x[0] * ws[0] + x[1] * ws[1] + x[2] * ws[2] + x[3] * ws[3];
    }
}

static inline void add_groups(const struct mf_linear_tile *t, add_fn add)
{
    int32_t(*acc)[WIDTH] = t->acc; /* of the size of a float */

    memset(acc, 0, t->rows * sizeof(*acc));
    for (size_t g = 0; g < t->n_groups; g++) {
        const unsigned char *w = t->w + g * WIDTH * MF_GROUP_BYTES;

        for (unsigned r = 0; r < t->rows; r++) {
            add(acc[r], t->x + r * t->stride + g * MF_GROUP_BYTES, w);
        }
    }
}

static float activate(float v, float residual, enum mf_epilogue ep)
{
    switch (ep) {
    case MF_EP_GELU: return 0.5f * v * (1 + erff(v * (float)M_SQRT1_2));
    case MF_EP_GELU_TANH:
        return 0.5f * v *
               (1 +
                tanhf(0.7978845608f * (v + 0.044715f * v * v * v))); /* sqrt(2/pi) */
    case MF_EP_RELU: return v > 0 || isnan(v) ? v : 0;
    case MF_EP_RESIDUAL: return v + residual;
    case MF_EP_BIAS: break;
    }
    return v;
}

static void float_finish(const struct mf_linear_finish *f)
{
    const float(*acc)[WIDTH] = f->acc;

    for (unsigned r = 0; r < f->rows; r++) {
        float *y = (float *)f->y + r * f->ldy;

        for (uint32_t c = 0; c < f->cols; c++) {
            y[c] = activate(acc[r][c] + f->l->bias[f->first + c], y[c], f->ep);
        }
    }
}

/* sum of (q - zero) * w = sum of q * w - zero * sum of w */
static void int8_finish(const struct mf_linear_finish *f)
{
    const int32_t(*acc)[WIDTH] = f->acc;
    const int32_t *sum = f->l->sum + f->first;
    const float *scale = f->l->scale + f->first;

    for (unsigned r = 0; r < f->rows; r++) {
        float *y = (float *)f->y + r * f->ldy;

        for (uint32_t c = 0; c < f->cols; c++) {
            float dot = (float)(acc[r][c] - f->zero[r] * sum[c]);
            float v = dot * (f->scale[r] * scale[c]) + f->l->bias[f->first + c];

            y[c] = activate(v, y[c], f->ep);
        }
    }
}

static void f32_tile(const struct mf_linear_tile *t, const struct mf_linear_finish *f)
{
    add_groups(t, add_f32);
    float_finish(f);
}

static void bf16_tile(const struct mf_linear_tile *t, const struct mf_linear_finish *f)
{
    add_groups(t, add_bf16);
    float_finish(f);
}

static void int8_tile(const struct mf_linear_tile *t, const struct mf_linear_finish *f)
{
    add_groups(t, add_int8);
    int8_finish(f);
}

static void bf16_prepare(const struct mf_linear *l, const float *x,
                         const struct mf_linear_rows *row)
{
    uint16_t *q = (uint16_t *)(void *)row->x;

    for (uint32_t k = 0; k < l->k; k++) {
        q[k] = mf_linear_bf16(x[k]);
    }
}

float mf_linear_range(float min, float max, float poison,
                      const struct mf_linear_rows *row)
{
    float range = max - min;
    /* A row of zeros, or of numbers so small that 1 / scale has no float. */
    float inverse = range > 1e-30f ? MF_U8_MAX / range : 0;

    *row->scale = (range > 1e-30f ? range / MF_U8_MAX : 0) + poison;
    *row->zero = (int32_t)lrintf(fminf(-min * inverse, MF_U8_MAX));
    *row->shift = *row->scale * (float)*row->zero;
    return inverse;
}

static float smoothed(const struct mf_linear *l, const float *x, uint32_t k)
{
    return l->smooth == NULL ? x[k] : x[k] * l->smooth[k];
}

static void int8_prepare(const struct mf_linear *l, const float *x,
                         const struct mf_linear_rows *row)
{
    float min = 0;
    float max = 0;
    float poison = 0;
    float inverse;

    for (uint32_t k = 0; k < l->k; k++) {
        float v = smoothed(l, x, k);

        min = v < min ? v : min;
        max = v > max ? v : max;
        poison += v * 0;
    }
    inverse = mf_linear_range(min, max, poison, row);
    for (uint32_t k = 0; k < l->k; k++) {
        float v = fmaxf(fminf(smoothed(l, x, k) * inverse, MF_U8_MAX), -MF_U8_MAX);
        int32_t q = (int32_t)lrintf(v) + *row->zero;

        row->x[k] = (uint8_t)mf_max(mf_min(q, MF_U8_MAX), 0);
    }
}

static bool is_supported(void)
{
    return true;
}

static const struct mf_linear_kernel f32_kernel = {
    .precision = MF_PREC_F32,
    .width = WIDTH,
    .height = HEIGHT,
    .bytes = 4,
    .run_tile = f32_tile,
};

static const struct mf_linear_kernel bf16_kernel = {
    .precision = MF_PREC_BF16,
    .width = WIDTH,
    .height = HEIGHT,
    .bytes = 2,
    .prepare = bf16_prepare,
    .run_tile = bf16_tile,
};

static const struct mf_linear_kernel int8_kernel = {
    .precision = MF_PREC_INT8,
    .width = WIDTH,
    .height = HEIGHT,
    .bytes = 1,
    .prepare = int8_prepare,
    .run_tile = int8_tile,
};

MF_LINEAR_OPS(mf_linear_f32_plain, "f32-plain", MF_PREC_F32, f32_kernel, is_supported,
              mf_linear_never);
MF_LINEAR_OPS(mf_linear_bf16_plain, "bf16-plain", MF_PREC_BF16, bf16_kernel,
              is_supported, mf_linear_never);
MF_LINEAR_OPS(mf_linear_int8_plain, "int8-plain", MF_PREC_INT8, int8_kernel,
              is_supported, mf_linear_never);
