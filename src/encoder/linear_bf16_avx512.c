/* SPDX-License-Identifier: Apache-2.0 */
#include "encoder/linear_in.h"

#if defined(__x86_64__)

#    include "encoder/linear_avx512.h"

#    define AVX512_BF16                                                                \
        __attribute__((                                                                \
            target("avx512bf16,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")))

AVX512_BF16 static void prepare(const struct mf_linear *l, const float *x,
                                const struct mf_linear_rows *row)
{
    for (uint32_t k = 0; k < l->k; k += 16) {
        uint32_t left = l->k - k;
        __mmask16 in = left >= 16 ? 0xffff : (__mmask16)((1U << left) - 1);
        __m256bh half = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(in, x + k));

        _mm256_store_si256((__m256i *)(void *)row->x + k / 16, (__m256i)half);
    }
}

AVX512 static void run_tile(const struct mf_linear_tile *t,
                            const struct mf_linear_finish *f)
{
    avx512_run(MF_PREC_BF16, t, f);
}

static bool is_supported(void)
{
    return avx512_is_supported() && __builtin_cpu_supports("avx512bf16");
}

static const struct mf_linear_kernel kernel = {
    .precision = MF_PREC_BF16,
    .width = AVX512_WIDTH,
    .height = AVX512_HEIGHT,
    .bytes = 2,
    .prepare = prepare,
    .run_tile = run_tile,
};

MF_LINEAR_OPS(mf_linear_bf16_avx512, "bf16-avx512", MF_PREC_BF16, kernel, is_supported,
              is_supported);

#endif
