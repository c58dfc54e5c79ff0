/* SPDX-License-Identifier: Apache-2.0 */
#include "encoder/linear_in.h"

#if defined(__x86_64__)

#    include "encoder/linear_avx512.h"

/* A row of x, and what it is multiplied by, if anything. */
struct source {
    const float *x, *smooth;
    uint32_t k;
};

/* 16 numbers; where the row may end (`is_last`), zeros behind it. */
AVX512_INLINE __m512 load_x(const struct source *s, uint32_t k, const bool has_smooth,
                            const bool is_last)
{
    uint32_t left = s->k > k ? s->k - k : 0;
    __mmask16 in = left >= 16 || !is_last ? 0xffff : (__mmask16)((1U << left) - 1);
    __m512 v =
        is_last ? _mm512_maskz_loadu_ps(in, s->x + k) : _mm512_loadu_ps(s->x + k);

    if (!has_smooth) {
        return v;
    }
    return _mm512_mul_ps(v, is_last ? _mm512_maskz_loadu_ps(in, s->smooth + k)
                                    : _mm512_loadu_ps(s->smooth + k));
}

/* Lanes of the smallest, the largest, and NaN where a number is not finite: the latter
 * are two, as one sum would wait for itself. */
struct range {
    __m512 min, max, poison[2];
};

AVX512_INLINE void widen_64(struct range *range, const struct source *s, uint32_t k,
                            const bool has_smooth, const bool is_last)
{
#    pragma GCC unroll 4
    for (uint32_t i = 0; i < 64; i += 16) {
        __m512 v = load_x(s, k + i, has_smooth, is_last);

        range->min = _mm512_min_ps(range->min, v);
        range->max = _mm512_max_ps(range->max, v);
        range->poison[i / 16 % 2] =
            _mm512_fmadd_ps(v, _mm512_setzero_ps(), range->poison[i / 16 % 2]);
    }
}

AVX512_INLINE float range_of(const struct source *s, const bool has_smooth,
                             const struct mf_linear_rows *row)
{
    __m512 none = _mm512_setzero_ps();
    struct range range = {none, none, {none, none}};
    uint32_t k = 0;

    for (; k + 64 <= s->k; k += 64) {
        widen_64(&range, s, k, has_smooth, false);
    }
    if (k < s->k) {
        widen_64(&range, s, k, has_smooth, true);
    }
    return mf_linear_range(
        _mm512_reduce_min_ps(range.min), _mm512_reduce_max_ps(range.max),
        _mm512_reduce_add_ps(_mm512_add_ps(range.poison[0], range.poison[1])), row);
}

/* What makes q of x: round(x * inverse) + zero, in 0..255. */
struct quantiser {
    __m512 inverse;
    __m512i zero; /* 16 bits each */
    __m512i order;
};

AVX512_INLINE __m512i quantise_64(const struct quantiser *q, const struct source *s,
                                  uint32_t k, const bool has_smooth, const bool is_last)
{
    __m512i part[4];
    __m512i low;
    __m512i high;

#    pragma GCC unroll 4
    for (uint32_t i = 0; i < 4; i++) {
        __m512 v = load_x(s, k + 16 * i, has_smooth, is_last);

        part[i] = _mm512_cvtps_epi32(_mm512_mul_ps(v, q->inverse));
    }
    low = _mm512_adds_epi16(_mm512_packs_epi32(part[0], part[1]), q->zero);
    high = _mm512_adds_epi16(_mm512_packs_epi32(part[2], part[3]), q->zero);
    /* Packing works within each 128 bits: the four of them are mixed until here. */
    return _mm512_permutexvar_epi32(q->order, _mm512_packus_epi16(low, high));
}

AVX512_INLINE void prepare_as(const struct source *s, const bool has_smooth,
                              const struct mf_linear_rows *row)
{
    struct quantiser q = {
        .inverse = _mm512_set1_ps(range_of(s, has_smooth, row)),
        .zero = _mm512_set1_epi16((int16_t)*row->zero),
        .order =
            _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15),
    };
    uint32_t k = 0;

    for (; k + 64 <= s->k; k += 64) {
        _mm512_store_si512(row->x + k, quantise_64(&q, s, k, has_smooth, false));
    }
    if (k < s->k) {
        _mm512_store_si512(row->x + k, quantise_64(&q, s, k, has_smooth, true));
    }
}

AVX512 static void prepare(const struct mf_linear *l, const float *x,
                           const struct mf_linear_rows *row)
{
    struct source s = {.x = x, .smooth = l->smooth, .k = l->k};

    if (s.smooth == NULL) {
        prepare_as(&s, false, row);
    } else {
        prepare_as(&s, true, row);
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
