/* SPDX-License-Identifier: Apache-2.0 */
/*
 * offload_in: what the files of the offload share.
 *
 * rig: a device with all that is resident on it: weights of every linear layer, plans
 * of every shape, memories of the slots. Opened, verified and closed as a whole.
 * offload.c routes batches and judges the device, offload_run.c computes a product,
 * offload_sums.c checks all its rows by their sums, offload_check.c recomputes one of
 * them, offload_measure.c finds the break-even.
 *
 * Owns:    see each struct
 * Thread:  a rig is read-only once made; a slot belongs to one batch; what the offload
 *          counts and decides is under its lock
 * Limits:  MF_NPU_MAX_BUCKETS sizes of m, MF_NPU_MAX_OPS operations of one product
 * Fails:   as npu.h
 */
#ifndef MF_NPU_OFFLOAD_IN_H
#define MF_NPU_OFFLOAD_IN_H

#include "encoder/device.h"
#include "loop/dep.h"
#include "npu/offload.h"

#include <pthread.h>

#define MF_NPU_MAX_BUCKETS 8
#define MF_NPU_MAX_OPS     16
#define MF_NPU_SUM_COLUMNS 8 /* of a product with GELU, that are computed here, too */

/* A sum is off by no more of its length while the device is measured. */
#define MF_NPU_SUM_MEASURED (1.0 / 16)

struct rig_plan {
    struct mf_npu_plan *plan; /* NULL: the device has no program for it */
    bool has_gelu;
};

struct rig_role {
    uint32_t k, n, padded_k, padded_n;
    bool has_bias_row; /* in the padding of k; else the bias is added here */
    struct rig_plan plan[MF_NPU_MAX_BUCKETS];
    int biggest; /* bucket with a plan; -1: none at all */
};

/* Of weights as the device has them, k + 1 each: behind them the bias, or zero where it
 * is not in the product. */
struct rig_sums {
    float *sum;    /* of a row, each number times its rig.sign */
    float *length; /* root of the squares of a row */
    float *column[MF_NPU_SUM_COLUMNS];
    double column_length[MF_NPU_SUM_COLUMNS];
};

struct rig_dense {
    struct mf_npu_mem *w;
    float *bias; /* n; or NULL: the device adds it */
    struct rig_sums sums;
};

/* What a row of C must come to. */
struct sum_row {
    float want[MF_NPU_SUM_COLUMNS]; /* the sum; with GELU: the columns */
    float length;                   /* what errors are measured by */
};

struct rig_slot {
    struct mf_npu_mem *a, *c;
    struct sum_row *sum; /* slot_rows */
    float *row;          /* the widest, and one for the bias */
    bool is_taken;       /* under the offload's lock */
    struct rig *rig;
};

struct rig {
    const struct mf_npu_backend *backend;
    struct mf_npu_dev *dev;
    struct mf_npu_caps caps;
    uint32_t bucket[MF_NPU_MAX_BUCKETS]; /* sizes of m, ascending */
    int n_buckets;
    size_t slot_rows;
    struct rig_role role[MF_DENSE_ROLES];
    struct rig_slot slot[MF_NPU_SLOTS];
    double cosine, max_abs_err; /* of the canary */
    float *sign;                /* of each column in a sum */
    uint32_t n_layers;
    struct rig_dense dense[]; /* n_layers x MF_DENSE_ROLES */
};

struct measured {
    uint32_t rows;
    double cpu_us, npu_us;
    double agreement; /* smallest cosine of both ways' vectors */
};

struct mf_npu_offload {
    struct mf_npu_offload_conf conf; /* its texts are ours */
    struct mf_encoder *encoder;
    struct rig *rig; /* NULL: while it is opened again */
    pthread_mutex_t lock;
    /* under the lock */
    enum mf_npu_state state; /* READY, PROBING or LOST: what we think of it */
    int64_t since_ns;
    struct mf_npu_err last;
    double last_cosine, max_abs_err;
    struct mf_dep dep;
    unsigned failed_in_row, n_taken;
    uint64_t n_jobs, n_failed, n_checks, n_bad, n_reopens, n_offloaded, n_on_cpu;
    bool has_begun;                 /* measured, and in use */
    double worst_sum;               /* of what was measured; -1: none was */
    uint64_t young_from, last_look; /* of n_jobs */
    int64_t restored_ns;            /* since when the device says that it is well */
    struct mf_npu_stats past;       /* of devices that were closed */
    struct mf_npu_caps caps;
    size_t max_rows; /* of a batch */
    uint32_t min_rows, batch_rows;
    struct measured measured;
};

/* ---- offload_rig.c ---- */

MF_MUST MF_ANY int mf_rig_open(struct rig **out, const struct mf_encoder *e,
                               const struct mf_npu_offload_conf *conf,
                               struct mf_npu_err *err);
MF_ANY void mf_rig_close(struct rig *r);
MF_ANY const struct rig_dense *mf_rig_dense(const struct rig *r, uint32_t layer,
                                            enum mf_dense_role role);

/* ---- offload_run.c ---- */

struct product {
    const struct rig *rig;
    const struct rig_slot *slot;
    const struct mf_device_call *call;
    struct mf_npu_op op[MF_NPU_MAX_OPS];
    bool has_gelu[MF_NPU_MAX_OPS];
    unsigned n_ops;
    double bound; /* of its sums */
};

/* Which programs; MF_EUNPROCESSABLE: there is none. */
MF_MUST MF_ANY int mf_product_plan(struct product *p);
/* Packs, submits, waits: C is in the slot. */
MF_MUST MF_ANY int mf_product_run(const struct product *p, int64_t deadline_ns,
                                  struct mf_npu_err *err);
/* From the slot to y, with what the device left out. */
MF_ANY void mf_product_finish(const struct product *p);
/* Where row `row` of C stands, and whether GELU is in it. */
MF_ANY const float *mf_product_row(const struct product *p, size_t row, bool *has_gelu);

/* ---- offload_sums.c ---- */

MF_MUST MF_ANY int mf_sums_open(struct rig *r);
MF_MUST MF_ANY int mf_sums_make(const struct rig *r, const struct rig_role *role,
                                const struct mf_dense_weights *d, struct rig_sums *s);
MF_ANY void mf_sums_free(struct rig_sums *s);
/* How far a sum may be off, of its length, in a device of which this is the worst that
 * was measured; -1: nothing was. */
MF_ANY double mf_sums_bound(double worst, uint32_t k);
/* Into the slot, of x: while the device computes. */
MF_ANY void mf_sums_expect(const struct product *p);
/* All rows of C. MF_ECORRUPT: one is wrong; MF_EINVAL: x is no number. `worst` of the
 * sums, of its length; -1: there was none. */
MF_MUST MF_ANY int mf_sums_check(const struct product *p, double *worst,
                                 struct mf_npu_err *err);

/* ---- offload_check.c ---- */

/* One row against the CPU's. MF_ECORRUPT: it is wrong. */
MF_MUST MF_ANY int mf_product_check(const struct product *p, const struct mf_encoder *e,
                                    size_t row, double *cosine, double *max_abs_err);

/* ---- offload_measure.c ---- */

/* One batch of `rows` pieces, both ways; the device is set and empty of work. */
MF_MUST MF_ANY int mf_measure_batch(struct mf_npu_offload *o, uint32_t rows,
                                    struct measured *out);
/* Ascending sizes: from how many rows on the device is faster. A program takes its time
 * whatever of its rows are used; the CPU's is in proportion to them. */
MF_ANY uint32_t mf_measure_break_even(const struct measured *m, size_t n);

#endif
