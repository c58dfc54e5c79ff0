/* SPDX-License-Identifier: Apache-2.0 */
#include "encoder/linear_in.h"

#if defined(__x86_64__)

#    include "encoder/linear_avx2.h"

AVX2 static void run_tile(const struct mf_linear_tile *t,
                          const struct mf_linear_finish *f)
{
    avx2_tile(AVX2_F32, t);
    avx2_finish(AVX2_F32, f);
}

static const struct mf_linear_kernel kernel = {
    .precision = MF_PREC_F32,
    .width = AVX2_WIDTH,
    .height = AVX2_HEIGHT,
    .bytes = 4,
    .run_tile = run_tile,
};

MF_LINEAR_OPS(mf_linear_f32_avx2, "f32-avx2", MF_PREC_F32, kernel, avx2_is_supported,
              mf_linear_never);

#endif
