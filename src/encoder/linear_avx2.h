/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linear_avx2: the tile and the last step of the AVX2 kernels, as linear_avx512.h has
 * them for twice the width. A tile is 6 rows of 16 columns: 12 sums, 2 vectors of
 * weights and the spread numbers of x: 15 or 16 of the 16 registers.
 *
 * Owns:    nothing
 * Thread:  any
 * Limits:  included by the kernels of one instruction set only
 * Fails:   never
 */
#ifndef MF_ENCODER_LINEAR_AVX2_H
#define MF_ENCODER_LINEAR_AVX2_H

#include "encoder/linear_in.h"

#include <immintrin.h>
#include <string.h>

#define AVX2        __attribute__((target("avx2,fma")))
#define AVX2_INLINE AVX2 static inline __attribute__((always_inline))

#define AVX2_WIDTH  16
#define AVX2_HEIGHT 6

enum avx2_step {
    AVX2_F32,
    AVX2_VNNI, /* u8 times s8, four at once */
    AVX2_PAIRS /* int16 times int16, two at once: exact where VNNI is not there */
};

static inline bool avx2_is_supported(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

/* acc += x * w, lane by lane. */
AVX2_INLINE __m256i avx2_step(enum avx2_step s, __m256i acc, __m256i x, __m256i w)
{
    if (s == AVX2_VNNI) {
        /* Assembly, as in linear_avx512.h; VEX, since AVX-512 may be missing. */
        __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(acc) : "x"(x), "x"(w));
        return acc;
    }
    if (s == AVX2_PAIRS) {
        return _mm256_add_epi32(acc, _mm256_madd_epi16(x, w));
    }
    return _mm256_castps_si256(_mm256_fmadd_ps(
        _mm256_castsi256_ps(x), _mm256_castsi256_ps(w), _mm256_castsi256_ps(acc)));
}

AVX2_INLINE __m256i avx2_spread(const unsigned char *x)
{
    int32_t group;

    memcpy(&group, x, sizeof(group));
    return _mm256_set1_epi32(group);
}

AVX2_INLINE void avx2_tile_rows(enum avx2_step s, const unsigned rows,
                                const struct mf_linear_tile *t)
{
    const unsigned char *x = t->x;
    const __m256i *w = (const __m256i *)(const void *)t->w;
    __m256i acc[AVX2_HEIGHT][2];
    __m256i *out = t->acc;

#pragma GCC unroll 6
    for (unsigned r = 0; r < rows; r++) {
        acc[r][0] = acc[r][1] = _mm256_setzero_si256();
    }
    for (size_t g = t->n_groups; g > 0; g--) {
        __m256i w0 = _mm256_load_si256(w++);
        __m256i w1 = _mm256_load_si256(w++);

#pragma GCC unroll 6
        for (unsigned r = 0; r < rows; r++) {
            __m256i xr = avx2_spread(x + r * t->stride);

            acc[r][0] = avx2_step(s, acc[r][0], xr, w0);
            acc[r][1] = avx2_step(s, acc[r][1], xr, w1);
        }
        x += MF_GROUP_BYTES;
    }
#pragma GCC unroll 6
    for (unsigned r = 0; r < rows; r++) {
        _mm256_store_si256(out++, acc[r][0]);
        _mm256_store_si256(out++, acc[r][1]);
    }
}

/* A height the compiler knows keeps all sums in registers. */
AVX2_INLINE void avx2_tile(enum avx2_step s, const struct mf_linear_tile *t)
{
    switch (t->rows) {
    case 1: avx2_tile_rows(s, 1, t); break;
    case 2: avx2_tile_rows(s, 2, t); break;
    case 3: avx2_tile_rows(s, 3, t); break;
    case 4: avx2_tile_rows(s, 4, t); break;
    case 5: avx2_tile_rows(s, 5, t); break;
    default: avx2_tile_rows(s, 6, t); break;
    }
}

AVX2_INLINE __m256 avx2_set(float f)
{
    return _mm256_set1_ps(f);
}

/* Into -120..120; NaN stays. */
AVX2_INLINE __m256 avx2_clamp(__m256 x)
{
    return _mm256_min_ps(avx2_set(120), _mm256_max_ps(avx2_set(-120), x));
}

/* 2^x of a clamped x: the polynomials of avx512_exp2. */
AVX2_INLINE __m256 avx2_exp2(__m256 x, const bool is_exact)
{
    __m256 whole = _mm256_floor_ps(x);
    __m256 f = _mm256_sub_ps(x, whole);
    __m256i exponent = _mm256_slli_epi32(_mm256_cvtps_epi32(whole), 23);
    __m256 p;

    if (is_exact) {
        p = avx2_set(1.87757669e-3f);
        p = _mm256_fmadd_ps(p, f, avx2_set(8.98934063e-3f));
        p = _mm256_fmadd_ps(p, f, avx2_set(5.58263175e-2f));
        p = _mm256_fmadd_ps(p, f, avx2_set(2.40153611e-1f));
        p = _mm256_fmadd_ps(p, f, avx2_set(6.93153083e-1f));
        p = _mm256_fmadd_ps(p, f, avx2_set(9.9999994e-1f));
    } else {
        p = avx2_set(7.80245215e-2f);
        p = _mm256_fmadd_ps(p, f, avx2_set(2.26067156e-1f));
        p = _mm256_fmadd_ps(p, f, avx2_set(6.95833564e-1f));
        p = _mm256_fmadd_ps(p, f, avx2_set(9.99925196e-1f));
    }
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), exponent));
}

#define AVX2_LOG2_E 1.44269504089f

AVX2_INLINE __m256 avx2_gelu_tanh(__m256 x, const bool is_exact)
{
    const float c = -2 * 0.7978845608f * AVX2_LOG2_E;
    __m256 u =
        _mm256_fmadd_ps(_mm256_mul_ps(x, x), avx2_set(c * 0.044715f), avx2_set(c));
    __m256 e = avx2_exp2(avx2_clamp(_mm256_mul_ps(x, u)), is_exact);

    return _mm256_div_ps(x, _mm256_add_ps(e, avx2_set(1)));
}

/* x Phi(x), erf by Abramowitz and Stegun 7.1.26, as avx512_gelu_erf. */
AVX2_INLINE __m256 avx2_gelu_erf(__m256 x)
{
    __m256 z =
        _mm256_mul_ps(_mm256_andnot_ps(avx2_set(-0.0f), x), avx2_set(0.70710678f));
    __m256 d = _mm256_fmadd_ps(z, avx2_set(0.3275911f), avx2_set(1));
    __m256 t = _mm256_div_ps(avx2_set(1), d);
    __m256 e = _mm256_mul_ps(_mm256_mul_ps(z, z), avx2_set(-AVX2_LOG2_E));
    __m256 p = avx2_set(1.061405429f);
    __m256 tail;

    p = _mm256_fmadd_ps(p, t, avx2_set(-1.453152027f));
    p = _mm256_fmadd_ps(p, t, avx2_set(1.421413741f));
    p = _mm256_fmadd_ps(p, t, avx2_set(-0.284496736f));
    p = _mm256_fmadd_ps(p, t, avx2_set(0.254829592f));
    p = _mm256_mul_ps(_mm256_mul_ps(p, t), avx2_exp2(avx2_clamp(e), true));
    tail = _mm256_mul_ps(_mm256_mul_ps(x, avx2_set(0.5f)), p);
    /* The sign bit chooses. */
    return _mm256_blendv_ps(_mm256_sub_ps(x, tail), tail, x);
}

AVX2_INLINE __m256 avx2_activate(__m256 v, __m256 residual, const bool is_exact,
                                 const enum mf_epilogue ep)
{
    switch (ep) {
    case MF_EP_GELU: return is_exact ? avx2_gelu_erf(v) : avx2_gelu_tanh(v, false);
    case MF_EP_GELU_TANH: return avx2_gelu_tanh(v, is_exact);
    case MF_EP_RELU: return _mm256_max_ps(_mm256_setzero_ps(), v); /* keeps NaN */
    case MF_EP_RESIDUAL: return _mm256_add_ps(v, residual);
    case MF_EP_BIAS: break;
    }
    return v;
}

/* The lanes that lie in the row: all, or the first `left`. */
AVX2_INLINE __m256i avx2_lanes(uint32_t left)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int32_t)left),
                              _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

/* The float that 8 sums of row r stand for, bias included. */
AVX2_INLINE __m256 avx2_value(enum avx2_step s, const struct mf_linear_finish *f,
                              unsigned r, uint32_t c)
{
    const struct mf_linear *l = f->l;
    const float *acc = (const float *)f->acc + (size_t)r * AVX2_WIDTH + c;
    __m256 sums = _mm256_load_ps(acc);
    __m256 bias = _mm256_load_ps(l->bias + f->first + c);
    __m256i zero;
    __m256 scale;

    if (s == AVX2_F32) {
        return _mm256_add_ps(sums, bias);
    }
    zero = _mm256_load_si256((const __m256i *)(const void *)(l->sum + f->first + c));
    zero = _mm256_mullo_epi32(_mm256_set1_epi32(f->zero[r]), zero);
    zero = _mm256_sub_epi32(_mm256_castps_si256(sums), zero);
    scale =
        _mm256_mul_ps(avx2_set(f->scale[r]), _mm256_load_ps(l->scale + f->first + c));
    return _mm256_fmadd_ps(_mm256_cvtepi32_ps(zero), scale, bias);
}

/* y[0..7], or as many of them as are `left`. */
AVX2_INLINE void avx2_put(float *y, uint32_t left, __m256 v, const bool is_exact,
                          const enum mf_epilogue ep)
{
    __m256i in = avx2_lanes(left);
    __m256 old = _mm256_setzero_ps();

    if (ep == MF_EP_RESIDUAL) {
        old = _mm256_maskload_ps(y, in);
    }
    v = avx2_activate(v, old, is_exact, ep);
    if (left >= 8) {
        _mm256_storeu_ps(y, v);
    } else {
        _mm256_maskstore_ps(y, in, v);
    }
}

AVX2_INLINE void avx2_finish_as(enum avx2_step s, const struct mf_linear_finish *f,
                                const enum mf_epilogue ep)
{
    for (unsigned r = 0; r < f->rows; r++) {
        float *y = (float *)f->y + r * f->ldy;

        for (uint32_t c = 0; c < f->cols; c += 8) {
            avx2_put(y + c, f->cols - c, avx2_value(s, f, r, c), s == AVX2_F32, ep);
        }
    }
}

AVX2_INLINE void avx2_finish(enum avx2_step s, const struct mf_linear_finish *f)
{
    switch (f->ep) {
    case MF_EP_GELU: avx2_finish_as(s, f, MF_EP_GELU); break;
    case MF_EP_GELU_TANH: avx2_finish_as(s, f, MF_EP_GELU_TANH); break;
    case MF_EP_RELU: avx2_finish_as(s, f, MF_EP_RELU); break;
    case MF_EP_RESIDUAL: avx2_finish_as(s, f, MF_EP_RESIDUAL); break;
    case MF_EP_BIAS: avx2_finish_as(s, f, MF_EP_BIAS); break;
    }
}

#endif
