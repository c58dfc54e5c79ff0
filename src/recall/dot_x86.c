/* SPDX-License-Identifier: Apache-2.0 */
#include "recall/dot.h"

#if defined(__x86_64__)

#    include <immintrin.h>

#    define AVX2   __attribute__((target("avx2,fma")))
#    define AVX512 __attribute__((target("avx512f,avx512bw,avx512vnni,avx2,fma")))

/* --- AVX2: int8 widened to int16; pair sums of 16-bit products in 32-bit lanes.
 * A lane takes dim / 16 of them, each at most 2 * 128 * 32640: below 2^31 at 4096. ---
 */

AVX2 static inline int64_t sum_i32x8(__m256i v)
{
    __m256i even = _mm256_cvtepi32_epi64(_mm256_castsi256_si128(v));
    __m256i odd = _mm256_cvtepi32_epi64(_mm256_extracti128_si256(v, 1));
    __m256i s4 = _mm256_add_epi64(even, odd);
    __m128i s2 =
        _mm_add_epi64(_mm256_castsi256_si128(s4), _mm256_extracti128_si256(s4, 1));

    return _mm_cvtsi128_si64(s2) + _mm_extract_epi64(s2, 1);
}

AVX2 static inline __m256i widen_i8(const int8_t *p)
{
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)p));
}

AVX2 static inline __m256i load_i16(const int16_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

AVX2 static void avx2_rows_i8(const int8_t *rows, size_t n_rows,
                              const struct mf_dot_query *q, int64_t *out)
{
    for (size_t r = 0; r < n_rows; r++, rows += q->n_i8) {
        __m256i a = _mm256_setzero_si256();
        __m256i b = _mm256_setzero_si256();

        for (size_t i = 0; i < q->n_i8; i += 32) {
            a = _mm256_add_epi32(
                a, _mm256_madd_epi16(widen_i8(rows + i), load_i16(q->w + i)));
            b = _mm256_add_epi32(
                b, _mm256_madd_epi16(widen_i8(rows + i + 16), load_i16(q->w + i + 16)));
        }
        out[r] = sum_i32x8(a) + sum_i32x8(b);
    }
}

AVX2 static int32_t avx2_pair_i8(const int8_t *a, const int8_t *b, size_t n)
{
    __m256i sum = _mm256_setzero_si256();

    for (size_t i = 0; i < n; i += 16) {
        sum =
            _mm256_add_epi32(sum, _mm256_madd_epi16(widen_i8(a + i), widen_i8(b + i)));
    }
    return (int32_t)sum_i32x8(sum);
}

AVX2 static inline float sum_f32x8(__m256 v)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));

    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

AVX2 static float avx2_pair_f32(const float *a, const float *b, size_t n)
{
    __m256 x = _mm256_setzero_ps();
    __m256 y = _mm256_setzero_ps();

    for (size_t i = 0; i < n; i += 16) {
        x = _mm256_fmadd_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i), x);
        y = _mm256_fmadd_ps(_mm256_loadu_ps(a + i + 8), _mm256_loadu_ps(b + i + 8), y);
    }
    return sum_f32x8(_mm256_add_ps(x, y));
}

AVX2 static void avx2_rows_f32(const float *rows, size_t n_rows,
                               const struct mf_dot_query *q, float *out)
{
    for (size_t r = 0; r < n_rows; r++, rows += q->n_f32) {
        out[r] = avx2_pair_f32(rows, q->f, q->n_f32);
    }
}

static bool avx2_works(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

const struct mf_dot_ops mf_dot_avx2 = {
    .name = "avx2",
    .works = avx2_works,
    .rows_i8 = avx2_rows_i8,
    .rows_f32 = avx2_rows_f32,
    .pair_i8 = avx2_pair_i8,
    .pair_f32 = avx2_pair_f32,
};

/* --- AVX-512 VNNI multiplies unsigned by signed bytes: the stored side gets 128 added
 * (its top bit flipped), and what that adds to the sum is taken off again. --- */

AVX512 static inline __m512i load_biased(const int8_t *p)
{
    return _mm512_xor_si512(_mm512_loadu_si512(p), _mm512_set1_epi8((char)0x80));
}

AVX512 static inline int32_t sum_i32x16(__m512i v)
{
    return _mm512_reduce_add_epi32(v);
}

AVX512 static void avx512_rows_i8(const int8_t *rows, size_t n_rows,
                                  const struct mf_dot_query *q, int64_t *out)
{
    for (size_t r = 0; r < n_rows; r++, rows += q->n_i8) {
        __m512i hi = _mm512_setzero_si512();
        __m512i lo = _mm512_setzero_si512();

        for (size_t i = 0; i < q->n_i8; i += 64) {
            __m512i v = load_biased(rows + i);

            hi = _mm512_dpbusd_epi32(hi, v, _mm512_loadu_si512(q->hi + i));
            lo = _mm512_dpbusd_epi32(lo, v, _mm512_loadu_si512(q->lo + i));
        }
        out[r] = (int64_t)sum_i32x16(hi) * 256 + sum_i32x16(lo) - q->bias;
    }
}

AVX512 static int32_t avx512_pair_i8(const int8_t *a, const int8_t *b, size_t n)
{
    __m512i sum = _mm512_setzero_si512();
    __m512i bias = _mm512_setzero_si512();

    for (size_t i = 0; i < n; i += 64) {
        __m512i y = _mm512_loadu_si512(b + i);

        sum = _mm512_dpbusd_epi32(sum, load_biased(a + i), y);
        bias = _mm512_dpbusd_epi32(bias, _mm512_set1_epi8(1), y);
    }
    return sum_i32x16(_mm512_sub_epi32(sum, _mm512_slli_epi32(bias, 7)));
}

AVX512 static float avx512_pair_f32(const float *a, const float *b, size_t n)
{
    __m512 sum = _mm512_setzero_ps();

    for (size_t i = 0; i < n; i += 16) {
        sum = _mm512_fmadd_ps(_mm512_loadu_ps(a + i), _mm512_loadu_ps(b + i), sum);
    }
    return _mm512_reduce_add_ps(sum);
}

AVX512 static void avx512_rows_f32(const float *rows, size_t n_rows,
                                   const struct mf_dot_query *q, float *out)
{
    for (size_t r = 0; r < n_rows; r++, rows += q->n_f32) {
        out[r] = avx512_pair_f32(rows, q->f, q->n_f32);
    }
}

static bool avx512_works(void)
{
    return __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512f") && avx2_works();
}

const struct mf_dot_ops mf_dot_avx512 = {
    .name = "avx512",
    .works = avx512_works,
    .rows_i8 = avx512_rows_i8,
    .rows_f32 = avx512_rows_f32,
    .pair_i8 = avx512_pair_i8,
    .pair_f32 = avx512_pair_f32,
};

#else

typedef int mf_dot_nothing_here; /* a translation unit is not empty */

#endif
