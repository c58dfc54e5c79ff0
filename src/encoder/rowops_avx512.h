/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rowops_avx512: the words of rowops_simd.h for registers of 16 floats.
 *
 * Owns:    nothing
 * Thread:  any
 * Limits:  only in files compiled for AVX-512 F
 * Fails:   never
 */
#ifndef MF_ENCODER_ROWOPS_AVX512_H
#define MF_ENCODER_ROWOPS_AVX512_H

#include "encoder/rowops_in.h"

#include <immintrin.h>

#define VL ((size_t)16) /* floats of a register */
#define MR 8 /* rows of a tile: 8 x 3 sums, 3 columns and 1 factor of 32 registers */

typedef __m512 vf;

MF_INLINE vf v_zero(void)
{
    return _mm512_setzero_ps();
}

MF_INLINE vf v_all(float x)
{
    return _mm512_set1_ps(x);
}

MF_INLINE vf v_load(const float *p)
{
    return _mm512_loadu_ps(p);
}

MF_INLINE void v_store(float *p, vf x)
{
    _mm512_storeu_ps(p, x);
}

MF_INLINE __mmask16 v_first(size_t n)
{
    return (__mmask16)((1U << n) - 1);
}

/* The first n < VL elements; the rest are zero, or not written. */
MF_INLINE vf v_load_some(const float *p, size_t n)
{
    return _mm512_maskz_loadu_ps(v_first(n), p);
}

MF_INLINE void v_store_some(float *p, vf x, size_t n)
{
    _mm512_mask_storeu_ps(p, v_first(n), x);
}

MF_INLINE vf v_keep(vf x, size_t n)
{
    return _mm512_maskz_mov_ps(v_first(n), x);
}

MF_INLINE vf v_add(vf a, vf b)
{
    return _mm512_add_ps(a, b);
}

MF_INLINE vf v_sub(vf a, vf b)
{
    return _mm512_sub_ps(a, b);
}

MF_INLINE vf v_mul(vf a, vf b)
{
    return _mm512_mul_ps(a, b);
}

MF_INLINE vf v_fma(vf a, vf b, vf c) /* a * b + c */
{
    return _mm512_fmadd_ps(a, b, c);
}

/* When one of them is NaN: b. */
MF_INLINE vf v_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}

MF_INLINE float v_sum(vf x)
{
    return _mm512_reduce_add_ps(x);
}

MF_INLINE float v_top(vf x)
{
    return _mm512_reduce_max_ps(x);
}

MF_INLINE vf v_round(vf x)
{
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

MF_INLINE vf v_scale(vf x, vf n) /* x * 2^n, n whole */
{
    return _mm512_scalef_ps(x, n);
}

/* Neighbours of four rows: 4 x 4 blocks, turned inside each quarter of a register. */
MF_INLINE void turn_quarters(vf *r)
{
    vf t[16];

    MF_UNROLL
    for (size_t i = 0; i < 8; i++) {
        t[2 * i] = _mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    }
    MF_UNROLL
    for (size_t i = 0; i < 16; i += 4) {
        __m512d a = _mm512_castps_pd(t[i]);
        __m512d b = _mm512_castps_pd(t[i + 2]);
        __m512d c = _mm512_castps_pd(t[i + 1]);
        __m512d d = _mm512_castps_pd(t[i + 3]);

        r[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
        r[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
        r[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(c, d));
        r[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(c, d));
    }
}

/* 16 x 16: row i of r becomes column i of dst, whose rows are `ld` apart. */
MF_INLINE void v_transpose(vf *r, float *dst, size_t ld)
{
    turn_quarters(r);
    MF_UNROLL
    for (size_t j = 0; j < 4; j++) {
        vf a = _mm512_shuffle_f32x4(r[j], r[4 + j], 0x88);
        vf b = _mm512_shuffle_f32x4(r[8 + j], r[12 + j], 0x88);
        vf c = _mm512_shuffle_f32x4(r[j], r[4 + j], 0xdd);
        vf d = _mm512_shuffle_f32x4(r[8 + j], r[12 + j], 0xdd);

        v_store(dst + j * ld, _mm512_shuffle_f32x4(a, b, 0x88));
        v_store(dst + (4 + j) * ld, _mm512_shuffle_f32x4(c, d, 0x88));
        v_store(dst + (8 + j) * ld, _mm512_shuffle_f32x4(a, b, 0xdd));
        v_store(dst + (12 + j) * ld, _mm512_shuffle_f32x4(c, d, 0xdd));
    }
}

#endif
