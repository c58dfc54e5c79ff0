/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/linear_kit.h"

#include "base/mem.h"
#include "encoder/linear_in.h"
#include "lib/mf_test.h"

#include <math.h>
#include <string.h>

/* One group, odd panels, each tile height of each kernel, all of a block and more. */
const struct linear_shape linear_shapes[] = {
    {1, 4, 4, 0, 0},      {1, 4, 52, 0, 0},     {2, 8, 48, 3, 1},
    {3, 12, 44, 0, 0},    {4, 20, 16, 1, 0},    {5, 36, 20, 0, 5},
    {6, 60, 100, 0, 0},   {7, 64, 96, 4, 4},    {8, 68, 64, 0, 0},
    {9, 128, 12, 0, 0},   {10, 132, 48, 0, 0},  {11, 32, 32, 0, 0},
    {12, 28, 36, 0, 0},   {13, 48, 144, 7, 0},  {14, 16, 8, 0, 0},
    {15, 192, 52, 0, 0},  {16, 384, 48, 0, 0},  {17, 100, 148, 0, 9},
    {23, 384, 384, 0, 0}, {150, 2048, 4, 0, 0}, {70, 1536, 52, 0, 0},
};
const size_t linear_n_shapes = mf_countof(linear_shapes);

const enum mf_epilogue linear_epilogues[5] = {
    MF_EP_BIAS, MF_EP_GELU, MF_EP_GELU_TANH, MF_EP_RELU, MF_EP_RESIDUAL,
};

float linear_draw(uint32_t *state)
{
    *state = *state * 1664525U + 1013904223U;
    return (float)(*state >> 8) / (float)(1U << 24);
}

static float *floats(size_t n)
{
    float *p = mf_array(n, sizeof(*p));

    MF_CHECK(p != NULL);
    return p;
}

/* -range..range, and every 13th input ten times that: an outlier, as models have. */
static void draw_row(float *p, size_t n, float range, uint32_t *state)
{
    for (size_t i = 0; i < n; i++) {
        p[i] = (2 * linear_draw(state) - 1) * range * (i % 13 == 5 ? 10.0f : 1.0f);
    }
}

void linear_rig_init(struct linear_rig *rig, const struct linear_shape *shape)
{
    uint32_t state = (uint32_t)shape->rows * 7919 + shape->k * 31 + shape->n;
    size_t n_w = (size_t)shape->n * shape->k;

    *rig = (struct linear_rig){.shape = *shape};
    rig->ldx = shape->k + shape->gap_x;
    rig->ldy = shape->n + shape->gap_y;
    rig->w = floats(n_w);
    rig->bias = floats(shape->n);
    rig->absmax = floats(shape->k);
    rig->x = floats(shape->rows * rig->ldx);
    rig->residual = floats(shape->rows * shape->n);
    for (uint32_t n = 0; n < shape->n; n++) {
        for (uint32_t k = 0; k < shape->k; k++) {
            rig->w[n * (size_t)shape->k + k] =
                (2 * linear_draw(&state) - 1) / sqrtf((float)shape->k);
        }
    }
    draw_row(rig->bias, shape->n, 0.5f, &state);
    draw_row(rig->residual, shape->rows * shape->n, 1, &state);
    for (size_t i = 0; i < shape->rows * rig->ldx; i++) {
        rig->x[i] = NAN;
    }
    memset(rig->absmax, 0, shape->k * sizeof(float));
    for (size_t r = 0; r < shape->rows; r++) {
        float *x = rig->x + r * rig->ldx;

        draw_row(x, shape->k, 1, &state);
        for (uint32_t k = 0; k < shape->k; k++) {
            rig->absmax[k] = fmaxf(rig->absmax[k], fabsf(x[k]));
        }
    }
}

void linear_rig_fini(struct linear_rig *rig)
{
    mf_free(rig->w);
    mf_free(rig->bias);
    mf_free(rig->absmax);
    mf_free(rig->x);
    mf_free(rig->residual);
}

static void fill_y(const struct linear_rig *rig, float *y, enum mf_epilogue ep)
{
    for (size_t i = 0; i < rig->shape.rows * rig->ldy; i++) {
        size_t c = i % rig->ldy;

        y[i] = LINEAR_GUARD;
        if (c < rig->shape.n && ep == MF_EP_RESIDUAL) {
            y[i] = rig->residual[i / rig->ldy * rig->shape.n + c];
        } else if (c < rig->shape.n) {
            y[i] = NAN; /* what stood there is of no account */
        }
    }
}

static void check_gaps(const struct linear_rig *rig, const float *y)
{
    for (size_t i = 0; i < rig->shape.rows * rig->ldy; i++) {
        if (i % rig->ldy >= rig->shape.n && y[i] != LINEAR_GUARD) {
            fail_msg("row %zu: column %zu of %u was written", i / rig->ldy,
                     i % rig->ldy, rig->shape.n);
        }
    }
}

/* Gaps stay NaN. */
static uint16_t *x_as_bf16(const struct linear_rig *rig)
{
    size_t n = rig->shape.rows * rig->ldx;
    uint16_t *half = mf_array(n, sizeof(*half));

    MF_CHECK(half != NULL);
    for (size_t i = 0; i < n; i++) {
        half[i] = mf_linear_bf16(rig->x[i]);
    }
    return half;
}

/* In place: y holds as many bf16, read from behind so that none is overwritten. */
static void widen(float *y, size_t n)
{
    const uint16_t *half = (const uint16_t *)(const void *)y;

    for (size_t i = n; i-- > 0;) {
        uint32_t bits = (uint32_t)half[i] << 16;

        memcpy(y + i, &bits, sizeof(bits));
    }
}

static void narrow(float *y, size_t n)
{
    uint16_t *half = (uint16_t *)(void *)y;

    for (size_t i = 0; i < n; i++) {
        half[i] = mf_linear_bf16(y[i]);
    }
}

static void run_filled(const struct linear_rig *rig, const struct mf_linear_ops *ops,
                       const struct mf_linear *l, struct mf_linear_call *call)
{
    size_t n = rig->shape.rows * rig->ldy;
    uint16_t *half = rig->x_is_bf16 ? x_as_bf16(rig) : NULL;

    call->x = rig->x_is_bf16 ? (const void *)half : rig->x;
    call->ldx = rig->ldx;
    call->ldy = rig->ldy;
    call->rows = rig->shape.rows;
    call->x_is_bf16 = rig->x_is_bf16;
    call->y_is_bf16 = rig->y_is_bf16;
    if (rig->y_is_bf16) {
        narrow(call->y, n);
    }
    ops->run(l, call);
    if (rig->y_is_bf16) {
        widen(call->y, n);
    }
    mf_free(half);
}

float *linear_rig_run(const struct linear_rig *rig, const struct mf_linear_ops *ops,
                      enum mf_epilogue ep)
{
    const struct linear_shape *s = &rig->shape;
    struct mf_linear_source src = {
        .w = rig->w,
        .bias = rig->has_no_bias ? NULL : rig->bias,
        .absmax = rig->has_smoothing ? rig->absmax : NULL,
        .k = s->k,
        .n = s->n,
    };
    struct mf_linear_call call = {.ep = ep};
    struct mf_linear *l;
    size_t bytes = ops->work_bytes(s->rows, s->k);
    unsigned char *work = mf_aligned(64, bytes + 1);
    float *y = floats(s->rows * rig->ldy);

    MF_CHECK(work != NULL);
    work[bytes] = 0x5a;
    MF_CHECK_OK(ops->pack(&l, &src));
    fill_y(rig, y, ep);
    call.y = y;
    call.work = work;
    run_filled(rig, ops, l, &call);
    MF_CHECK_INT(work[bytes], 0x5a);
    check_gaps(rig, y);
    ops->free(l);
    mf_aligned_free(work);
    return y;
}

static double epilogue(double v, double residual, enum mf_epilogue ep)
{
    switch (ep) {
    case MF_EP_GELU: return 0.5 * v * (1 + erf(v * M_SQRT1_2));
    case MF_EP_GELU_TANH:
        return 0.5 * v * (1 + tanh(sqrt(2 / M_PI) * (v + 0.044715 * v * v * v)));
    case MF_EP_RELU: return v > 0 ? v : 0;
    case MF_EP_RESIDUAL: return v + residual;
    case MF_EP_BIAS: break;
    }
    return v;
}

double *linear_rig_answer(const struct linear_rig *rig, enum mf_epilogue ep)
{
    const struct linear_shape *s = &rig->shape;
    double *y = mf_calloc(s->rows * rig->ldy, sizeof(*y));

    MF_CHECK(y != NULL);
    for (size_t r = 0; r < s->rows; r++) {
        for (uint32_t n = 0; n < s->n; n++) {
            double sum = rig->has_no_bias ? 0 : (double)rig->bias[n];

            for (uint32_t k = 0; k < s->k; k++) {
                sum += (double)rig->x[r * rig->ldx + k] *
                       (double)rig->w[(size_t)n * s->k + k];
            }
            y[r * rig->ldy + n] =
                epilogue(sum, (double)rig->residual[r * s->n + n], ep);
        }
    }
    return y;
}
