/* SPDX-License-Identifier: Apache-2.0 */
#include "encoder/linear_in.h"

#if defined(__x86_64__)

#    include "encoder/linear_avx512.h"

/* A row of x (float, or bf16), and what it is multiplied by, if anything. */
struct source {
    const void *x;
    const float *smooth;
    uint32_t k;
};

/* What of it is known when this is compiled. */
struct kind {
    bool has_smooth, is_bf16;
};

AVX512_INLINE __m512 load_float(const float *x, const __mmask16 in, const bool is_last)
{
    return is_last ? _mm512_maskz_loadu_ps(in, x) : _mm512_loadu_ps(x);
}

AVX512_INLINE __m512 load_bf16(const uint16_t *x, const __mmask16 in,
                               const bool is_last)
{
    __m256i half = is_last ? _mm256_maskz_loadu_epi16(in, x)
                           : _mm256_loadu_si256((const __m256i *)(const void *)x);

    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

/* 16 numbers; where the row may end (`is_last`), zeros behind it. */
AVX512_INLINE __m512 load_x(const struct source *s, uint32_t k, const struct kind kind,
                            const bool is_last)
{
    uint32_t left = s->k > k ? s->k - k : 0;
    __mmask16 in = left >= 16 || !is_last ? 0xffff : (__mmask16)((1U << left) - 1);
    __m512 v = kind.is_bf16 ? load_bf16((const uint16_t *)s->x + k, in, is_last)
                            : load_float((const float *)s->x + k, in, is_last);

    return kind.has_smooth ? _mm512_mul_ps(v, load_float(s->smooth + k, in, is_last))
                           : v;
}

/* The bits of floats, as integers: the largest signed one is the largest number, as
 * long as one is above 0; the largest unsigned one is the smallest number, as long as
 * one is below 0. What is not finite is beyond all numbers of its sign. */
struct range {
    __m512i top, bottom;
};

AVX512_INLINE void widen_64(struct range *range, const struct source *s, uint32_t k,
                            const struct kind kind, const bool is_last)
{
#    pragma GCC unroll 4
    for (uint32_t i = 0; i < 64; i += 16) {
        __m512i v = _mm512_castps_si512(load_x(s, k + i, kind, is_last));

        range->top = _mm512_max_epi32(range->top, v);
        range->bottom = _mm512_max_epu32(range->bottom, v);
    }
}

static inline float float_of(uint32_t bits)
{
    float f;

    memcpy(&f, &bits, sizeof(f));
    return f;
}

AVX512_INLINE float range_of(const struct source *s, const struct kind kind,
                             const struct mf_linear_rows *row)
{
    struct range range = {_mm512_setzero_si512(), _mm512_setzero_si512()};
    uint32_t k = 0;
    uint32_t bottom;
    float max, min;

    for (; k + 64 <= s->k; k += 64) {
        widen_64(&range, s, k, kind, false);
    }
    if (k < s->k) {
        widen_64(&range, s, k, kind, true);
    }
    bottom = _mm512_reduce_max_epu32(range.bottom);
    max = float_of((uint32_t)_mm512_reduce_max_epi32(range.top));
    min = bottom >> 31 != 0 ? float_of(bottom) : 0;
    return mf_linear_range(min, max, (max - min) * 0, row);
}

/* What makes q of x: round(x * inverse) + zero, in 0..255. */
struct quantiser {
    __m512 inverse;
    __m512i zero; /* 16 bits each */
    __m512i order;
};

AVX512_INLINE __m512i quantise_64(const struct quantiser *q, const struct source *s,
                                  uint32_t k, const struct kind kind,
                                  const bool is_last)
{
    __m512i part[4];
    __m512i low;
    __m512i high;

#    pragma GCC unroll 4
    for (uint32_t i = 0; i < 4; i++) {
        __m512 v = load_x(s, k + 16 * i, kind, is_last);

        part[i] = _mm512_cvtps_epi32(_mm512_mul_ps(v, q->inverse));
    }
    low = _mm512_adds_epi16(_mm512_packs_epi32(part[0], part[1]), q->zero);
    high = _mm512_adds_epi16(_mm512_packs_epi32(part[2], part[3]), q->zero);
    /* Packing works within each 128 bits: the four of them are mixed until here. */
    return _mm512_permutexvar_epi32(q->order, _mm512_packus_epi16(low, high));
}

AVX512_INLINE void prepare_as(const struct source *s, const struct kind kind,
                              const struct mf_linear_rows *row)
{
    struct quantiser q = {
        .inverse = _mm512_set1_ps(range_of(s, kind, row)),
        .zero = _mm512_set1_epi16((int16_t)*row->zero),
        .order =
            _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15),
    };
    uint32_t k = 0;

    for (; k + 64 <= s->k; k += 64) {
        _mm512_store_si512(row->x + k, quantise_64(&q, s, k, kind, false));
    }
    if (k < s->k) {
        _mm512_store_si512(row->x + k, quantise_64(&q, s, k, kind, true));
    }
}

AVX512_INLINE void prepare_of(const struct mf_linear *l, const void *x,
                              const bool is_bf16, const struct mf_linear_rows *row)
{
    const struct kind plain = {.is_bf16 = is_bf16};
    const struct kind smoothed = {.is_bf16 = is_bf16, .has_smooth = true};
    struct source s = {.x = x, .smooth = l->smooth, .k = l->k};

    if (s.smooth == NULL) {
        prepare_as(&s, plain, row);
    } else {
        prepare_as(&s, smoothed, row);
    }
}

AVX512 static void prepare(const struct mf_linear *l, const float *x,
                           const struct mf_linear_rows *row)
{
    prepare_of(l, x, false, row);
}

AVX512 static void prepare_bf16(const struct mf_linear *l, const uint16_t *x,
                                const struct mf_linear_rows *row)
{
    prepare_of(l, x, true, row);
}

AVX512 static void run_tile(const struct mf_linear_tile *t,
                            const struct mf_linear_finish *f)
{
    avx512_run(MF_PREC_INT8, t, f);
}

static bool is_supported(void)
{
    return avx512_is_supported() && __builtin_cpu_supports("avx512vnni");
}

static bool has_bf16(void)
{
    return is_supported() && __builtin_cpu_supports("avx512bf16");
}

static const struct mf_linear_kernel kernel = {
    .precision = MF_PREC_INT8,
    .width = AVX512_WIDTH,
    .height = AVX512_HEIGHT,
    .bytes = 1,
    .prepare = prepare,
    .prepare_bf16 = prepare_bf16,
    .run_tile = run_tile,
};

MF_LINEAR_OPS(mf_linear_int8_avx512, "int8-avx512vnni", MF_PREC_INT8, kernel,
              is_supported, has_bf16);

#endif
