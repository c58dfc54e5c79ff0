/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linear: y = epilogue(x W^T + b) over packed weights, for one precision and one
 * instruction set: a small table of each, and the plain C reference they are tested
 * against.
 *
 * The epilogue is part of the kernel's last step: bias, then the activation, or bias
 * and the residual that stands in y. int8: activations are u8 with a scale and a zero
 * point a row (asymmetric), weights s8 with a scale a column; the smoothing factors
 * (from `absmax`) multiply inside the quantiser and divide the weights when they are
 * packed.
 *
 * Owns:    a packed layer owns its block; x, y and the work block are the caller's
 * Thread:  pack and free on any; run on several threads at once, each its own work
 * block Limits:  k and n multiples of 4, up to MF_LINEAR_MAX each; any number of rows
 * Fails:   pack: MF_ENOMEM; run never
 */
#ifndef MF_ENCODER_LINEAR_H
#define MF_ENCODER_LINEAR_H

#include "base/base.h"

#define MF_LINEAR_MAX 16384

enum mf_epilogue {
    MF_EP_BIAS,
    MF_EP_GELU,
    MF_EP_GELU_TANH,
    MF_EP_RELU,
    MF_EP_RESIDUAL
};

enum mf_precision { MF_PREC_F32, MF_PREC_BF16, MF_PREC_FP16, MF_PREC_INT8 };

struct mf_linear; /* packed; layout known to its own kernel only */

struct mf_linear_source {
    const float *w;    /* n x k row-major: out x in */
    const float *bias; /* n, or NULL */
    uint32_t k, n;
    const float *absmax; /* k: largest |x| of each input seen in calibration; NULL: no
                            smoothing. For int8 */
};

/* One call of run. x and y are float, or bf16 where the kernel has it: k and n numbers
 * a row, rows ldx and ldy numbers apart. MF_EP_RESIDUAL: y holds the residual, and is
 * float. */
struct mf_linear_call {
    const void *x;
    void *y;
    size_t ldx, ldy, rows;
    enum mf_epilogue ep;
    bool x_is_bf16, y_is_bf16;
    void *work;
};

struct mf_linear_ops {
    const char *name; /* "int8-avx512vnni" */
    enum mf_precision precision;
    /* The CPU can run it (CPUID and the operating system's word). */
    bool (*is_supported)(void);
    int (*pack)(struct mf_linear **out, const struct mf_linear_source *src);
    void (*free)(struct mf_linear *l);
    /* Bytes of 64-aligned work memory for `rows` rows of a layer with `k` inputs. */
    size_t (*work_bytes)(size_t rows, uint32_t k);
    /* x and y may be bf16; a result is that of floats, rounded. */
    bool (*has_bf16)(void);
    void (*run)(const struct mf_linear *l, const struct mf_linear_call *c);
};

/* All there are, the fastest of each precision first; NULL ends the list. The plain C
 * ones are the last of their precision and always supported. */
MF_ANY const struct mf_linear_ops *const *mf_linear_all(void);
/* The first supported one, or NULL. */
MF_ANY const struct mf_linear_ops *mf_linear_best(enum mf_precision p);
MF_ANY const char *mf_precision_name(enum mf_precision p); /* "int8" */

/* Measured on the spot, for choosing and for telling: thousand million operations a
 * second of CPU time of one thread of `ops` on rows x k x n; about 3 ms. 0: no memory.
 */
MF_ANY double mf_linear_measure(const struct mf_linear_ops *ops, size_t rows,
                                uint32_t k, uint32_t n);

#endif
