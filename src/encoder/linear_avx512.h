/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linear_avx512: the tile and the last step of the AVX-512 kernels. The precision is a
 * constant at each use: the compiler makes one function of it, without a branch inside.
 *
 * A tile is 8 rows of 48 columns: 24 sums, 3 vectors of weights and the number of x
 * that is spread over the lanes: 28 to 32 of the 32 registers.
 *
 * Owns:    nothing
 * Thread:  any
 * Limits:  included by the kernels of one instruction set only
 * Fails:   never
 */
#ifndef MF_ENCODER_LINEAR_AVX512_H
#define MF_ENCODER_LINEAR_AVX512_H

#include "encoder/linear_in.h"

#include <immintrin.h>
#include <string.h>

#define AVX512        __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")))
#define AVX512_INLINE AVX512 static inline __attribute__((always_inline))

#define AVX512_WIDTH  48
#define AVX512_HEIGHT 8

static inline bool avx512_is_supported(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

/* acc += x * w, lane by lane. As assembly: gcc 12 moves the sums of its built-in
 * functions through the stack at each step. */
AVX512_INLINE __m512i avx512_step(enum mf_precision p, __m512i acc, __m512i x,
                                  __m512i w)
{
    if (p == MF_PREC_INT8) {
        __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(x), "v"(w));
    } else if (p == MF_PREC_BF16) {
        __asm__("vdpbf16ps %2, %1, %0" : "+v"(acc) : "v"(x), "v"(w));
    } else {
        __asm__("vfmadd231ps %2, %1, %0" : "+v"(acc) : "v"(x), "v"(w));
    }
    return acc;
}

AVX512_INLINE __m512i avx512_spread(const unsigned char *x)
{
    int32_t group;

    memcpy(&group, x, sizeof(group));
    return _mm512_set1_epi32(group);
}

/* The sums of all groups: acc[r][0..2] of row r. */
AVX512_INLINE void avx512_sum_rows(enum mf_precision p, const unsigned rows,
                                   const struct mf_linear_tile *t, __m512i (*acc)[3])
{
    const unsigned char *x = t->x;
    const unsigned char *w = t->w;
    size_t stride = t->stride;

#pragma GCC unroll 8
    for (unsigned r = 0; r < rows; r++) {
        acc[r][0] = acc[r][1] = acc[r][2] = _mm512_setzero_si512();
    }
    for (size_t g = t->n_groups; g > 0; g--) {
        __m512i w0 = _mm512_load_si512(w);
        __m512i w1 = _mm512_load_si512(w + 64);
        __m512i w2 = _mm512_load_si512(w + 128);

#pragma GCC unroll 8
        for (unsigned r = 0; r < rows; r++) {
            __m512i xr = avx512_spread(x + r * stride);

            acc[r][0] = avx512_step(p, acc[r][0], xr, w0);
            acc[r][1] = avx512_step(p, acc[r][1], xr, w1);
            acc[r][2] = avx512_step(p, acc[r][2], xr, w2);
        }
        x += MF_GROUP_BYTES;
        w += (size_t)AVX512_WIDTH * MF_GROUP_BYTES;
    }
}

AVX512_INLINE void avx512_tile_rows(enum mf_precision p, const unsigned rows,
                                    const struct mf_linear_tile *t)
{
    __m512i acc[AVX512_HEIGHT][3];
    __m512i *out = t->acc;

    avx512_sum_rows(p, rows, t, acc);
#pragma GCC unroll 8
    for (unsigned r = 0; r < rows; r++) {
        _mm512_store_si512(out++, acc[r][0]);
        _mm512_store_si512(out++, acc[r][1]);
        _mm512_store_si512(out++, acc[r][2]);
    }
}

/* A height the compiler knows keeps all sums in registers. */
AVX512_INLINE void avx512_tile(enum mf_precision p, const struct mf_linear_tile *t)
{
    switch (t->rows) {
    case 1: avx512_tile_rows(p, 1, t); break;
    case 2: avx512_tile_rows(p, 2, t); break;
    case 3: avx512_tile_rows(p, 3, t); break;
    case 4: avx512_tile_rows(p, 4, t); break;
    case 5: avx512_tile_rows(p, 5, t); break;
    case 6: avx512_tile_rows(p, 6, t); break;
    case 7: avx512_tile_rows(p, 7, t); break;
    default: avx512_tile_rows(p, 8, t); break;
    }
}

/* 2^x: the whole part goes into the exponent, and 2^[0, 1) is a polynomial: of degree 3
 * (relative error 7.5e-5) or 5 (7.5e-8, as good as a float). */
AVX512_INLINE __m512 avx512_exp2(__m512 x, const bool is_exact)
{
    __m512 f = _mm512_reduce_ps(x, 1); /* x - floor(x) */
    __m512 p;

    if (is_exact) {
        p = _mm512_set1_ps(1.87757669e-3f);
        p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(8.98934063e-3f));
        p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(5.58263175e-2f));
        p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(2.40153611e-1f));
        p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(6.93153083e-1f));
        p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(9.9999994e-1f));
    } else {
        p = _mm512_set1_ps(7.80245215e-2f);
        p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(2.26067156e-1f));
        p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(6.95833564e-1f));
        p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(9.99925196e-1f));
    }
    return _mm512_scalef_ps(p, x);
}

#define LOG2_E 1.44269504089f

/* x / (1 + exp(-2 u)) with u = sqrt(2 / pi) (x + 0.044715 x^3): the tanh form. */
AVX512_INLINE __m512 avx512_gelu_tanh(__m512 x, const bool is_exact)
{
    const float c = -2 * 0.7978845608f * LOG2_E;
    __m512 u = _mm512_fmadd_ps(_mm512_mul_ps(x, x), _mm512_set1_ps(c * 0.044715f),
                               _mm512_set1_ps(c));
    /* The smaller magnitude, with the sign of the first. */
    __m512 e = _mm512_range_ps(_mm512_mul_ps(x, u), _mm512_set1_ps(120), 2);
    __m512 d = _mm512_add_ps(avx512_exp2(e, is_exact), _mm512_set1_ps(1));

    if (is_exact) {
        return _mm512_div_ps(x, d);
    }
    return _mm512_mul_ps(x, _mm512_rcp14_ps(d));
}

/* x Phi(x), erf by Abramowitz and Stegun 7.1.26 (absolute error 1.5e-7). */
AVX512_INLINE __m512 avx512_gelu_erf(__m512 x)
{
    __m512 z = _mm512_mul_ps(_mm512_abs_ps(x), _mm512_set1_ps(0.70710678f));
    __m512 d = _mm512_fmadd_ps(z, _mm512_set1_ps(0.3275911f), _mm512_set1_ps(1));
    __m512 t = _mm512_div_ps(_mm512_set1_ps(1), d);
    __m512 e = _mm512_mul_ps(_mm512_mul_ps(z, z), _mm512_set1_ps(-LOG2_E));
    __m512 half = _mm512_mul_ps(x, _mm512_set1_ps(0.5f));
    __m512 p = _mm512_set1_ps(1.061405429f);
    __m512 tail; /* x times half of erfc(|x| / sqrt(2)) */

    p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(-1.453152027f));
    p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(1.421413741f));
    p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(-0.284496736f));
    p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(0.254829592f));
    p = _mm512_mul_ps(p, t);
    e = avx512_exp2(_mm512_range_ps(e, _mm512_set1_ps(120), 2), true);
    tail = _mm512_mul_ps(half, _mm512_mul_ps(p, e));
    return _mm512_mask_sub_ps(
        tail, _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_GE_OQ), x, tail);
}

/* x (1/2 + an odd polynomial of x) up to 4 and the value there beyond: within 2e-4, for
 * precisions that are coarser than that, and than what the tanh form is off (5e-4).
 * Nothing but multiplications, two of which begin in each cycle. */
AVX512_INLINE __m512 avx512_gelu_coarse(__m512 x)
{
    /* The smaller magnitude, with the sign of the first. */
    __m512 z = _mm512_range_ps(x, _mm512_set1_ps(4), 2);
    __m512 s = _mm512_mul_ps(z, z);
    __m512 p = _mm512_set1_ps(2.25886351e-8f);

    p = _mm512_fmadd_ps(p, s, _mm512_set1_ps(-1.58885261e-6f));
    p = _mm512_fmadd_ps(p, s, _mm512_set1_ps(4.77644843e-5f));
    p = _mm512_fmadd_ps(p, s, _mm512_set1_ps(-8.12194362e-4f));
    p = _mm512_fmadd_ps(p, s, _mm512_set1_ps(8.76373059e-3f));
    p = _mm512_fmadd_ps(p, s, _mm512_set1_ps(-6.45545128e-2f));
    p = _mm512_fmadd_ps(p, s, _mm512_set1_ps(3.97870348e-1f));
    return _mm512_mul_ps(x, _mm512_fmadd_ps(z, p, _mm512_set1_ps(0.5f)));
}

AVX512_INLINE __m512 avx512_activate(__m512 v, __m512 residual, const bool is_exact,
                                     const enum mf_epilogue ep)
{
    switch (ep) {
    case MF_EP_GELU: return is_exact ? avx512_gelu_erf(v) : avx512_gelu_coarse(v);
    case MF_EP_GELU_TANH: return avx512_gelu_tanh(v, is_exact);
    case MF_EP_RELU: return _mm512_max_ps(_mm512_setzero_ps(), v); /* keeps NaN */
    case MF_EP_RESIDUAL: return _mm512_add_ps(v, residual);
    case MF_EP_BIAS: break;
    }
    return v;
}

/* What becomes of a sum; known when this is compiled. */
struct avx512_last {
    enum mf_epilogue ep;
    bool to_bf16;
};

/* 16 columns of the layer, in registers while the rows of a tile go by. */
struct avx512_columns {
    __m512 bias, scale, sum; /* the last one times the scale */
};

AVX512_INLINE struct avx512_columns
avx512_columns_of(enum mf_precision p, const struct mf_linear_finish *f, uint32_t c)
{
    const struct mf_linear *l = f->l;
    struct avx512_columns columns = {.bias = _mm512_load_ps(l->bias + f->first + c)};

    if (p == MF_PREC_INT8) {
        __m512i sum = _mm512_load_si512(l->sum + f->first + c);

        columns.scale = _mm512_load_ps(l->scale + f->first + c);
        columns.sum = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), columns.scale);
    }
    return columns;
}

/* The float that the sums of row r stand for, bias included. int8: the sum of
 * (q - zero) * w is that of q * w less the zero times the sum of w. */
AVX512_INLINE __m512 avx512_value(enum mf_precision p, const struct mf_linear_finish *f,
                                  unsigned r, __m512i acc,
                                  const struct avx512_columns *c)
{
    __m512 shift, scale;

    if (p != MF_PREC_INT8) {
        return _mm512_add_ps(_mm512_castsi512_ps(acc), c->bias);
    }
    shift = _mm512_set1_ps(f->shift[r]);
    scale = _mm512_mul_ps(_mm512_set1_ps(f->scale[r]), c->scale);
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(acc), scale,
                           _mm512_fnmadd_ps(shift, c->sum, c->bias));
}

/* Nearest bf16. Assembly: the kernels that hand over bf16 are more than those whose
 * target has the instruction; has_bf16 tells whether the CPU has it. */
AVX512_INLINE __m256i avx512_to_bf16(__m512 v)
{
    __m256i half;

    __asm__("vcvtneps2bf16 %1, %0" : "=v"(half) : "v"(v));
    return half;
}

AVX512_INLINE void avx512_put_bf16(uint16_t *y, uint32_t left, __m512 v)
{
    __m256i half = avx512_to_bf16(v);

    if (left >= 16) {
        _mm256_storeu_si256((__m256i *)(void *)y, half);
    } else {
        _mm256_mask_storeu_epi16(y, (__mmask16)((1U << left) - 1), half);
    }
}

/* y[0..15], or as many of them as are `left`. */
AVX512_INLINE void avx512_put(float *y, uint32_t left, __m512 v, const bool is_exact,
                              const enum mf_epilogue ep)
{
    bool is_whole = left >= 16;
    __mmask16 in = (__mmask16)((1U << (left & 15)) - 1);
    __m512 old = _mm512_setzero_ps();

    if (ep == MF_EP_RESIDUAL) {
        old = is_whole ? _mm512_loadu_ps(y) : _mm512_maskz_loadu_ps(in, y);
    }
    v = avx512_activate(v, old, is_exact, ep);
    if (is_whole) {
        _mm512_storeu_ps(y, v);
    } else {
        _mm512_mask_storeu_ps(y, in, v);
    }
}

/* The result of row r, 16 columns from column c of the panel on or as many as are
 * `left`. */
AVX512_INLINE void avx512_put_value(enum mf_precision p,
                                    const struct mf_linear_finish *f,
                                    const struct avx512_last *last, size_t at,
                                    uint32_t left, __m512 v)
{
    if (last->to_bf16) {
        v = avx512_activate(v, v, false, last->ep);
        avx512_put_bf16((uint16_t *)f->y + at, left, v);
    } else {
        avx512_put((float *)f->y + at, left, v, p == MF_PREC_F32, last->ep);
    }
}

/* 16 columns from column c of the panel on, or as many as are `left`. */
AVX512_INLINE void avx512_finish_columns(enum mf_precision p,
                                         const struct mf_linear_finish *f,
                                         const struct avx512_last *last, uint32_t c,
                                         uint32_t left)
{
    struct avx512_columns columns = avx512_columns_of(p, f, c);
    const int32_t *acc = (const int32_t *)f->acc + c;
    size_t at = c;

    for (unsigned r = 0; r < f->rows; r++) {
        __m512 v = avx512_value(p, f, r, _mm512_load_si512(acc), &columns);

        avx512_put_value(p, f, last, at, left, v);
        at += f->ldy;
        acc += AVX512_WIDTH;
    }
}

AVX512_INLINE void avx512_finish_to(enum mf_precision p,
                                    const struct mf_linear_finish *f,
                                    const struct avx512_last *last)
{
    uint32_t c = 0;

    for (; c + 16 <= f->cols; c += 16) {
        avx512_finish_columns(p, f, last, c, 16);
    }
    if (c < f->cols) {
        avx512_finish_columns(p, f, last, c, f->cols - c);
    }
}

/* A whole tile with its last step: the sums never leave the registers. */
AVX512_INLINE void avx512_whole_to(enum mf_precision p, const struct mf_linear_tile *t,
                                   const struct mf_linear_finish *f,
                                   const struct avx512_last *last)
{
    __m512i acc[AVX512_HEIGHT][3];

    avx512_sum_rows(p, AVX512_HEIGHT, t, acc);
#pragma GCC unroll 3
    for (unsigned c = 0; c < 3; c++) {
        struct avx512_columns columns = avx512_columns_of(p, f, 16 * c);

#pragma GCC unroll 8
        for (unsigned r = 0; r < AVX512_HEIGHT; r++) {
            __m512 v = avx512_value(p, f, r, acc[r][c], &columns);

            avx512_put_value(p, f, last, r * f->ldy + (size_t)16 * c, 16, v);
        }
    }
}

/* `t` or NULL: its sums stand in f->acc. */
AVX512_INLINE void avx512_finish_as(enum mf_precision p, const struct mf_linear_tile *t,
                                    const struct mf_linear_finish *f,
                                    const enum mf_epilogue ep)
{
    const struct avx512_last to_float = {.ep = ep};
    const struct avx512_last to_bf16 = {.ep = ep, .to_bf16 = true};
    const bool may_be_bf16 = p != MF_PREC_F32 && ep != MF_EP_RESIDUAL;

    if (t != NULL && may_be_bf16 && f->y_is_bf16) {
        avx512_whole_to(p, t, f, &to_bf16);
    } else if (t != NULL) {
        avx512_whole_to(p, t, f, &to_float);
    } else if (may_be_bf16 && f->y_is_bf16) {
        avx512_finish_to(p, f, &to_bf16);
    } else {
        avx512_finish_to(p, f, &to_float);
    }
}

AVX512_INLINE void avx512_finish(enum mf_precision p, const struct mf_linear_tile *t,
                                 const struct mf_linear_finish *f)
{
    switch (f->ep) {
    case MF_EP_GELU: avx512_finish_as(p, t, f, MF_EP_GELU); break;
    case MF_EP_GELU_TANH: avx512_finish_as(p, t, f, MF_EP_GELU_TANH); break;
    case MF_EP_RELU: avx512_finish_as(p, t, f, MF_EP_RELU); break;
    case MF_EP_RESIDUAL: avx512_finish_as(p, t, f, MF_EP_RESIDUAL); break;
    case MF_EP_BIAS: avx512_finish_as(p, t, f, MF_EP_BIAS); break;
    }
}

AVX512_INLINE void avx512_run(enum mf_precision p, const struct mf_linear_tile *t,
                              const struct mf_linear_finish *f)
{
    if (t->rows == AVX512_HEIGHT && f->cols == AVX512_WIDTH) {
        avx512_finish(p, t, f);
    } else {
        avx512_tile(p, t);
        avx512_finish(p, NULL, f);
    }
}

#endif
