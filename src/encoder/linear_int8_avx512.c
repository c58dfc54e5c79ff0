/* SPDX-License-Identifier: Apache-2.0 */
#include "encoder/linear_in.h"

#if defined(__x86_64__)

#    include "encoder/linear_avx512.h"

/* 16 numbers, zeros after the end of the row. */
AVX512_INLINE __m512 load_x(const struct mf_linear *l, const float *x, uint32_t k)
{
    uint32_t left = l->k > k ? l->k - k : 0;
    __mmask16 in = left >= 16 ? 0xffff : (__mmask16)((1U << left) - 1);
    __m512 v = _mm512_maskz_loadu_ps(in, x + k);

    return l->smooth == NULL
               ? v
               : _mm512_mul_ps(v, _mm512_maskz_loadu_ps(in, l->smooth + k));
}

/* round(x * inverse) of 32 numbers, as 16 bits; the order of lanes is mixed. */
AVX512_INLINE __m512i scaled(const struct mf_linear *l, const float *x, uint32_t k,
                             __m512 inverse)
{
    __m512i a = _mm512_cvtps_epi32(_mm512_mul_ps(load_x(l, x, k), inverse));
    __m512i b = _mm512_cvtps_epi32(_mm512_mul_ps(load_x(l, x, k + 16), inverse));

    return _mm512_packs_epi32(a, b);
}

AVX512 static void prepare(const struct mf_linear *l, const float *x,
                           const struct mf_linear_rows *row)
{
    const __m512i order =
        _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    __m512 min = _mm512_setzero_ps();
    __m512 max = min;
    __m512 poison = min;
    __m512 inverse;
    __m512i zero;

    for (uint32_t k = 0; k < l->k; k += 16) {
        __m512 v = load_x(l, x, k);

        min = _mm512_min_ps(min, v);
        max = _mm512_max_ps(max, v);
        poison = _mm512_fmadd_ps(v, _mm512_setzero_ps(), poison);
    }
    inverse = _mm512_set1_ps(mf_linear_range(_mm512_reduce_min_ps(min),
                                             _mm512_reduce_max_ps(max),
                                             _mm512_reduce_add_ps(poison), row));
    zero = _mm512_set1_epi16((int16_t)*row->zero);
    for (uint32_t k = 0; k < l->k; k += 64) {
        __m512i a = _mm512_adds_epi16(scaled(l, x, k, inverse), zero);
        __m512i b = _mm512_adds_epi16(scaled(l, x, k + 32, inverse), zero);
        __m512i q = _mm512_packus_epi16(a, b);

        _mm512_store_si512(row->x + k, _mm512_permutexvar_epi32(order, q));
    }
}

AVX512 static void tile(const struct mf_linear_tile *t)
{
    avx512_tile(MF_PREC_INT8, t);
}

AVX512 static void finish(const struct mf_linear_finish *f)
{
    avx512_finish(MF_PREC_INT8, f);
}

static bool is_supported(void)
{
    return avx512_is_supported() && __builtin_cpu_supports("avx512vnni");
}

static const struct mf_linear_kernel kernel = {
    .precision = MF_PREC_INT8,
    .width = AVX512_WIDTH,
    .height = AVX512_HEIGHT,
    .bytes = 1,
    .prepare = prepare,
    .tile = tile,
    .finish = finish,
};

MF_LINEAR_OPS(mf_linear_int8_avx512, "int8-avx512vnni", MF_PREC_INT8, kernel,
              is_supported);

#endif
