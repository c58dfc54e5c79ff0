/* SPDX-License-Identifier: Apache-2.0 */
#include "encoder/linear_in.h"

#if defined(__x86_64__)

#    include "encoder/linear_avx512.h"

AVX512 static void run_tile(const struct mf_linear_tile *t,
                            const struct mf_linear_finish *f)
{
    avx512_run(MF_PREC_F32, t, f);
}

static const struct mf_linear_kernel kernel = {
    .precision = MF_PREC_F32,
    .width = AVX512_WIDTH,
    .height = AVX512_HEIGHT,
    .bytes = 4,
    .run_tile = run_tile,
};

MF_LINEAR_OPS(mf_linear_f32_avx512, "f32-avx512", MF_PREC_F32, kernel,
              avx512_is_supported, mf_linear_never);

#endif
