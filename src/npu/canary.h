/* SPDX-License-Identifier: Apache-2.0 */
/*
 * canary: does a device compute what it says it computed? Numbers against the CPU's.
 *
 * The canary of a shape: signed pseudo-random A and B, all exact in bf16, C filled with
 * NaN before; every element of C is compared. A row of A is one of sixteen, times a
 * power of two and a sign of its own, so that the CPU computes sixteen rows only and a
 * row in a wrong place is seen.
 *
 * A number is right within 1/500 of the sum of the products' magnitudes (of its bound:
 * room for devices which cut off what they add up; what multiplies in blocks that share
 * an exponent passes with these numbers, not with those of a model), and the cosine of
 * all must reach 0.999.
 *
 * Owns:    nothing
 * Thread:  any
 * Limits:  none
 * Fails:   MF_ECORRUPT when numbers are wrong; what the device says; MF_ENOMEM
 */
#ifndef MF_NPU_CANARY_H
#define MF_NPU_CANARY_H

#include "base/base.h"
#include "base/err.h"
#include "npu/npu.h"

#define MF_NPU_MIN_COSINE 0.999

struct mf_npu_gauge {
    double dot, got_square, want_square, max_abs_err;
    size_t n, n_wrong;
};

/* `mass`: sum of |a| |b| of the element. */
MF_ANY void mf_npu_gauge_add(struct mf_npu_gauge *g, double got, double want,
                             double mass, enum mf_npu_epi epi);
MF_ANY double mf_npu_gauge_cosine(const struct mf_npu_gauge *g);
MF_ANY bool mf_npu_gauge_is_good(const struct mf_npu_gauge *g);
MF_ANY double mf_npu_gelu(double x);

struct mf_npu_canary_of {
    const struct mf_npu_backend *backend;
    struct mf_npu_dev *dev;
    int64_t limit_ns; /* of the job */
};

/* Adds to `sum`, which begins as zeros. */
MF_MUST MF_ANY int mf_npu_canary(const struct mf_npu_canary_of *of,
                                 const struct mf_npu_gemm *g, struct mf_npu_gauge *sum,
                                 struct mf_npu_err *err);

/* Writes the sentence and returns `code`. */
MF_ANY int mf_npu_err_set(struct mf_npu_err *err, int code, const char *fmt, ...)
    MF_PRINTF(3, 4);

#endif
