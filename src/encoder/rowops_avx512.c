/* SPDX-License-Identifier: Apache-2.0 */
#include "encoder/rowops_avx512.h"

#include "encoder/rowops_simd.h"

static bool avx512_is_supported(void)
{
    return __builtin_cpu_supports("avx512f") != 0;
}

static bool bf16_is_supported(void)
{
    return __builtin_cpu_supports("avx512f") != 0 &&
           __builtin_cpu_supports("avx512bw") != 0 &&
           __builtin_cpu_supports("avx512vl") != 0 &&
           __builtin_cpu_supports("avx512vbmi") != 0 &&
           __builtin_cpu_supports("avx512bf16") != 0;
}

static void avx512_attention(const struct mf_attention *a, void *work)
{
    attend(a, work, false);
}

static void avx512_attention_fast(const struct mf_attention *a, void *work)
{
    attend(a, work, true);
}

static size_t bf16_attention_bytes(uint32_t n, uint32_t width, uint32_t n_heads)
{
    size_t f32 = simd_attention_bytes(n, width, n_heads);
    size_t bf16 = mf_attention_bf16_bytes(n, width, n_heads);

    return mf_max(f32, bf16);
}

const struct mf_rowops mf_rowops_avx512 = {
    .name = "avx512",
    .is_supported = avx512_is_supported,
    .layer_norm = simd_layer_norm,
    .attention_bytes = simd_attention_bytes,
    .attention = avx512_attention,
    .attention_fast = avx512_attention_fast,
    .add = simd_add,
    .max = simd_max,
};

const struct mf_rowops mf_rowops_avx512bf16 = {
    .name = "avx512bf16",
    .is_supported = bf16_is_supported,
    .layer_norm = simd_layer_norm,
    .attention_bytes = bf16_attention_bytes,
    .attention = avx512_attention,
    .attention_fast = avx512_attention_fast,
    .attention_bf16 = mf_attention_bf16,
    .layer_norm_bf16 = mf_layer_norm_bf16,
    .add = simd_add,
    .max = simd_max,
};
