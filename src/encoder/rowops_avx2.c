/* SPDX-License-Identifier: Apache-2.0 */
#include "encoder/rowops_in.h"

#include <immintrin.h>

#define VL ((size_t)8) /* floats of a register */
#define MR 4 /* rows of a tile: 4 x 3 sums, 3 columns and 1 factor of 16 registers */

typedef __m256 vf;

MF_INLINE vf v_zero(void)
{
    return _mm256_setzero_ps();
}

MF_INLINE vf v_all(float x)
{
    return _mm256_set1_ps(x);
}

MF_INLINE vf v_load(const float *p)
{
    return _mm256_loadu_ps(p);
}

MF_INLINE void v_store(float *p, vf x)
{
    _mm256_storeu_ps(p, x);
}

MF_INLINE __m256i v_first(size_t n)
{
    const __m256i at = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);

    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), at);
}

MF_INLINE vf v_load_some(const float *p, size_t n)
{
    return _mm256_maskload_ps(p, v_first(n));
}

MF_INLINE void v_store_some(float *p, vf x, size_t n)
{
    _mm256_maskstore_ps(p, v_first(n), x);
}

MF_INLINE vf v_keep(vf x, size_t n)
{
    return _mm256_and_ps(x, _mm256_castsi256_ps(v_first(n)));
}

MF_INLINE vf v_add(vf a, vf b)
{
    return _mm256_add_ps(a, b);
}

MF_INLINE vf v_sub(vf a, vf b)
{
    return _mm256_sub_ps(a, b);
}

MF_INLINE vf v_mul(vf a, vf b)
{
    return _mm256_mul_ps(a, b);
}

MF_INLINE vf v_fma(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}

MF_INLINE vf v_max(vf a, vf b)
{
    return _mm256_max_ps(a, b);
}

MF_INLINE float v_sum(vf x)
{
    __m128 h = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));

    h = _mm_add_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_add_ss(h, _mm_movehdup_ps(h)));
}

MF_INLINE float v_top(vf x)
{
    __m128 h = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));

    h = _mm_max_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_max_ss(h, _mm_movehdup_ps(h)));
}

MF_INLINE vf v_round(vf x)
{
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/* Through the exponent's bits: n > -127, and x near 1. */
MF_INLINE vf v_scale(vf x, vf n)
{
    __m256i e = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));

    return _mm256_mul_ps(x, _mm256_castsi256_ps(_mm256_slli_epi32(e, 23)));
}

/* 4 x 4 blocks, turned inside each half of a register. */
MF_INLINE void turn_halves(vf *r)
{
    MF_UNROLL
    for (size_t i = 0; i < 8; i += 4) {
        vf a = _mm256_unpacklo_ps(r[i], r[i + 1]);
        vf b = _mm256_unpackhi_ps(r[i], r[i + 1]);
        vf c = _mm256_unpacklo_ps(r[i + 2], r[i + 3]);
        vf d = _mm256_unpackhi_ps(r[i + 2], r[i + 3]);

        r[i] = _mm256_shuffle_ps(a, c, 0x44);
        r[i + 1] = _mm256_shuffle_ps(a, c, 0xee);
        r[i + 2] = _mm256_shuffle_ps(b, d, 0x44);
        r[i + 3] = _mm256_shuffle_ps(b, d, 0xee);
    }
}

MF_INLINE void v_transpose(vf *r, float *dst, size_t ld)
{
    turn_halves(r);
    MF_UNROLL
    for (size_t j = 0; j < 4; j++) {
        v_store(dst + j * ld, _mm256_permute2f128_ps(r[j], r[4 + j], 0x20));
        v_store(dst + (4 + j) * ld, _mm256_permute2f128_ps(r[j], r[4 + j], 0x31));
    }
}

#include "encoder/rowops_simd.h"

static bool avx2_is_supported(void)
{
    return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
}

static void avx2_attention(const struct mf_attention *a, void *work)
{
    attend(a, work, false);
}

static void avx2_attention_fast(const struct mf_attention *a, void *work)
{
    attend(a, work, true);
}

const struct mf_rowops mf_rowops_avx2 = {
    .name = "avx2",
    .is_supported = avx2_is_supported,
    .layer_norm = simd_layer_norm,
    .attention_bytes = simd_attention_bytes,
    .attention = avx2_attention,
    .attention_fast = avx2_attention_fast,
    .add = simd_add,
    .max = simd_max,
};
