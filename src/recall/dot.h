/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dot: dot products of stored vectors, by the widest instructions the machine has.
 *
 * A stored vector is a row of int8 (times one scale) or of floats, padded with zeros to
 * MF_DOT_ALIGN bytes. The question is kept with 16 bits a number, so that only the
 * stored side is coarse. All paths give the same int8 sums, bit for bit; sums of floats
 * differ in their last bits, since their order differs.
 *
 * Owns:    struct mf_dot_query owns its copies of the question's vector
 * Thread:  any; the path is chosen once, at the first use
 * Limits:  dim <= 4096, so that no 32-bit sum overflows
 * Fails:   MF_ENOMEM
 */
#ifndef MF_RECALL_DOT_H
#define MF_RECALL_DOT_H

#include "base/base.h"

#define MF_DOT_ALIGN 64

struct mf_dot_query {
    size_t n_i8;  /* numbers of an int8 row, padded: a multiple of 64 */
    size_t n_f32; /* numbers of a float row, padded: a multiple of 16 */
    double scale; /* value = w * scale */
    int16_t *w;
    int8_t *hi, *lo; /* w = 256 * hi + lo */
    float *f;        /* as given */
    int64_t bias;    /* 128 * sum of w: what adding 128 to each int8 adds to the sum */
};

struct mf_dot_ops {
    const char *name;
    bool (*works)(void); /* on this machine */
    /* out[i] = row i of `rows` times q->w; rows are n_i8 bytes (n_f32 floats) each. */
    void (*rows_i8)(const int8_t *rows, size_t n_rows, const struct mf_dot_query *q,
                    int64_t *out);
    void (*rows_f32)(const float *rows, size_t n_rows, const struct mf_dot_query *q,
                     float *out);
    /* Two stored vectors of n numbers, n a multiple of 64 (int8) or 16 (floats). */
    int32_t (*pair_i8)(const int8_t *a, const int8_t *b, size_t n);
    float (*pair_f32)(const float *a, const float *b, size_t n);
};

extern const struct mf_dot_ops mf_dot_plain;
#if defined(__x86_64__)
extern const struct mf_dot_ops mf_dot_avx2;
extern const struct mf_dot_ops mf_dot_avx512;
#endif

/* The best that works here, or the one of mf_dot_use. */
MF_ANY const struct mf_dot_ops *mf_dot(void);
/* For tests and benchmarks: NULL goes back to the best. */
MF_ANY void mf_dot_use(const struct mf_dot_ops *ops);
/* All that were built, NULL-terminated; some may not work here. */
MF_ANY const struct mf_dot_ops *const *mf_dot_all(void);

MF_MUST MF_ANY int mf_dot_query_init(struct mf_dot_query *q, const float *v,
                                     size_t dim);
MF_ANY void mf_dot_query_fini(struct mf_dot_query *q);

/* What a sum of rows_i8 stands for. */
static inline float mf_dot_value(const struct mf_dot_query *q, int64_t sum, float scale)
{
    return (float)((double)sum * q->scale * (double)scale);
}

/* Bytes of a stored row. */
static inline size_t mf_dot_row_bytes(size_t dim, bool as_f32)
{
    size_t bytes = as_f32 ? dim * sizeof(float) : dim;

    return (bytes + MF_DOT_ALIGN - 1) / MF_DOT_ALIGN * MF_DOT_ALIGN;
}

#endif
