/* SPDX-License-Identifier: Apache-2.0 */
/*
 * int8 without AVX-512: by AVX-VNNI where the CPU has it. Else the same numbers as
 * int16, whose products and sums are exact: u8 times s8 in one instruction
 * (vpmaddubsw) would be cut off at 16 bits.
 */
#include "encoder/linear_in.h"

#if defined(__x86_64__)

#    include "encoder/linear_avx2.h"

/* 8 numbers, zeros after the end of the row. */
AVX2_INLINE __m256 load_x(const struct mf_linear *l, const float *x, uint32_t k)
{
    __m256i in = avx2_lanes(l->k > k ? l->k - k : 0);
    __m256 v = _mm256_maskload_ps(x + k, in);

    return l->smooth == NULL ? v
                             : _mm256_mul_ps(v, _mm256_maskload_ps(l->smooth + k, in));
}

/* round(x * inverse) + zero of 16 numbers, as 16 bits, in the order 0-3, 8-11, 4-7,
 * 12-15. */
AVX2_INLINE __m256i scaled(const struct mf_linear *l, const float *x, uint32_t k,
                           __m256 inverse, __m256i zero)
{
    __m256i a = _mm256_cvtps_epi32(_mm256_mul_ps(load_x(l, x, k), inverse));
    __m256i b = _mm256_cvtps_epi32(_mm256_mul_ps(load_x(l, x, k + 8), inverse));

    return _mm256_adds_epi16(_mm256_packs_epi32(a, b), zero);
}

/* The smallest, largest and poison lanes of a row; 1 / scale of it. */
AVX2_INLINE float range_of(const struct mf_linear *l, const float *x,
                           const struct mf_linear_rows *row)
{
    float lanes[3][8];
    __m256 min = _mm256_setzero_ps();
    __m256 max = min;
    __m256 poison = min;

    for (uint32_t k = 0; k < l->k; k += 8) {
        __m256 v = load_x(l, x, k);

        min = _mm256_min_ps(min, v);
        max = _mm256_max_ps(max, v);
        poison = _mm256_fmadd_ps(v, _mm256_setzero_ps(), poison);
    }
    _mm256_storeu_ps(lanes[0], min);
    _mm256_storeu_ps(lanes[1], max);
    _mm256_storeu_ps(lanes[2], poison);
    for (unsigned i = 1; i < 8; i++) {
        lanes[0][0] = mf_min(lanes[0][0], lanes[0][i]);
        lanes[1][0] = mf_max(lanes[1][0], lanes[1][i]);
        lanes[2][0] += lanes[2][i];
    }
    return mf_linear_range(lanes[0][0], lanes[1][0], lanes[2][0], row);
}

AVX2 static void prepare_bytes(const struct mf_linear *l, const float *x,
                               const struct mf_linear_rows *row)
{
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    __m256 inverse = avx2_set(range_of(l, x, row));
    __m256i zero = _mm256_set1_epi16((int16_t)*row->zero);
    __m256i *q = (__m256i *)(void *)row->x;

    for (uint32_t k = 0; k < l->k; k += 32) {
        __m256i a = scaled(l, x, k, inverse, zero);
        __m256i b = scaled(l, x, k + 16, inverse, zero);

        _mm256_store_si256(
            q++, _mm256_permutevar8x32_epi32(_mm256_packus_epi16(a, b), order));
    }
}

AVX2 static void prepare_pairs(const struct mf_linear *l, const float *x,
                               const struct mf_linear_rows *row)
{
    __m256 inverse = avx2_set(range_of(l, x, row));
    __m256i zero = _mm256_set1_epi16((int16_t)*row->zero);
    __m256i *q = (__m256i *)(void *)row->x;

    for (uint32_t k = 0; k < l->k; k += 16) {
        __m256i v =
            _mm256_permute4x64_epi64(scaled(l, x, k, inverse, zero), 0xd8); /* 0213 */

        v = _mm256_max_epi16(v, _mm256_setzero_si256());
        _mm256_store_si256(q++, _mm256_min_epi16(v, _mm256_set1_epi16(MF_U8_MAX)));
    }
}

AVX2 static void tile_vnni(const struct mf_linear_tile *t,
                           const struct mf_linear_finish *f)
{
    avx2_tile(AVX2_VNNI, t);
    avx2_finish(AVX2_VNNI, f);
}

AVX2 static void tile_pairs(const struct mf_linear_tile *t,
                            const struct mf_linear_finish *f)
{
    avx2_tile(AVX2_PAIRS, t);
    avx2_finish(AVX2_PAIRS, f);
}

/* EAX of CPUID's leaf 7, which a CPU with AVX2 has. */
static uint32_t cpuid_7(uint32_t part)
{
    uint32_t eax = 7;
    uint32_t ecx = part;

    __asm__("cpuid" : "+a"(eax), "+c"(ecx) : : "rbx", "rdx");
    return eax;
}

/* Asked by hand, since clang 14 has no name for it: the first part tells how many there
 * are, the second has the bit. The operating system's word is that for AVX2. */
static bool has_vnni(void)
{
    return avx2_is_supported() && cpuid_7(0) >= 1 && (cpuid_7(1) & 1U << 4) != 0;
}

static const struct mf_linear_kernel vnni = {
    .precision = MF_PREC_INT8,
    .width = AVX2_WIDTH,
    .height = AVX2_HEIGHT,
    .bytes = 1,
    .prepare = prepare_bytes,
    .run_tile = tile_vnni,
};

static const struct mf_linear_kernel pairs = {
    .precision = MF_PREC_INT8,
    .width = AVX2_WIDTH,
    .height = AVX2_HEIGHT,
    .bytes = 2,
    .prepare = prepare_pairs,
    .run_tile = tile_pairs,
};

MF_LINEAR_OPS(mf_linear_int8_avxvnni, "int8-avxvnni", MF_PREC_INT8, vnni, has_vnni,
              mf_linear_never);
MF_LINEAR_OPS(mf_linear_int8_avx2, "int8-avx2", MF_PREC_INT8, pairs, avx2_is_supported,
              mf_linear_never);

#endif
