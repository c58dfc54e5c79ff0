/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rowops_in: the tables of rowops, for the file that lists them.
 *
 * Owns:    nothing
 * Thread:  any
 * Limits:  as rowops.h
 * Fails:   never
 */
#ifndef MF_ENCODER_ROWOPS_IN_H
#define MF_ENCODER_ROWOPS_IN_H

#include "encoder/rowops.h"

extern const struct mf_rowops mf_rowops_plain;
#if defined(__x86_64__)
extern const struct mf_rowops mf_rowops_avx2;
extern const struct mf_rowops mf_rowops_avx512;
extern const struct mf_rowops mf_rowops_avx512bf16;

/* What the last one has in bf16; its other operations are those of avx512. */
MF_ANY size_t mf_attention_bf16_bytes(uint32_t n, uint32_t width, uint32_t n_heads);
MF_ANY void mf_attention_bf16(const struct mf_attention_bf16 *a, void *work);
MF_ANY void mf_layer_norm_bf16(const struct mf_norm_rows *n, uint16_t *out);
#endif

/* Loops over the rows of a register tile must vanish, or the tile lives in memory. */
#if defined(__clang__)
#    define MF_UNROLL _Pragma("unroll")
#else
#    define MF_UNROLL _Pragma("GCC unroll 8")
#endif
#define MF_INLINE static inline __attribute__((always_inline))

#endif
