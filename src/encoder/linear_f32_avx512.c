/* SPDX-License-Identifier: Apache-2.0 */
#include "encoder/linear_in.h"

#if defined(__x86_64__)

#    include "encoder/linear_avx512.h"

AVX512 static void tile(const struct mf_linear_tile *t)
{
    avx512_tile(MF_PREC_F32, t);
}

AVX512 static void finish(const struct mf_linear_finish *f)
{
    avx512_finish(MF_PREC_F32, f);
}

static const struct mf_linear_kernel kernel = {
    .precision = MF_PREC_F32,
    .width = AVX512_WIDTH,
    .height = AVX512_HEIGHT,
    .bytes = 4,
    .tile = tile,
    .finish = finish,
};

MF_LINEAR_OPS(mf_linear_f32_avx512, "f32-avx512", MF_PREC_F32, kernel,
              avx512_is_supported, mf_linear_never);

#endif
