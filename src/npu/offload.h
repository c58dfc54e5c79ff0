/* SPDX-License-Identifier: Apache-2.0 */
/*
 * offload: the encoder's linear layers on a device (encoder/device.h): weights packed
 * and resident, two activation slots (one's GEMM runs on the device while the CPU does
 * attention and norms of the other), routing by a measured break-even, canary.
 *
 * A batch of fewer rows than the break-even, a shape without a program, a full line, a
 * failed or late job: that product is computed on the CPU; nobody sees an error.
 *
 * Each result is checked before it is used: all its rows by their sums (of products
 * with GELU: by some columns, offload_sums.c), within what was measured at open; and
 * now and then one row in all its columns by the CPU's (a look): of every job at first,
 * and after 2 * MF_NPU_LOOK_SHARE jobs as seldom as a MF_NPU_LOOK_SHARE-th of the
 * device's age in jobs, at the most `check_every`. It is young again when it was opened
 * or restored or failed a job. Beyond the bound the device is LOST and the product is
 * done again on the CPU. What only looks see may have been in use since the look
 * before: wrong columns of a product with GELU.
 *
 * A device that is lost for its numbers, or whose jobs fail one after the other, is
 * closed here, and opened and verified again with growing pauses (mf_dep). One that is
 * away or late is, too, unless it restores itself (npu.h): then everything is on the
 * CPU until it is back.
 *
 * Products are rounded to bf16 before they are multiplied, and any batch, or product of
 * one, may be computed here instead: so vectors of both ways must be of one space. At
 * open a batch is run both ways (agreement: the smallest cosine); a device that fails
 * it each time is not taken. The space is the CPU's while the device agrees with it as
 * well as its own precision had to agree with f32 (encoder.h: 0.9999 for f32, bf16 and
 * fp16, 0.99 for int8), since then nobody could tell them apart; else it is one of its
 * own (embed/model.h), and under MF_NPU_MIN_AGREEMENT the device is refused.
 *
 * Owns:    the device, its memories; borrows the encoder
 * Thread:  open, close on any; the rest on workers
 * Limits:  MF_NPU_SLOTS batches at once; the others use the CPU
 * Fails:   open: as npu.h; with `device: auto` the caller goes on without
 */
#ifndef MF_NPU_OFFLOAD_H
#define MF_NPU_OFFLOAD_H

#include "base/base.h"
#include "base/err.h"
#include "encoder/encoder.h"
#include "npu/npu.h"

#define MF_NPU_SLOTS      2
#define MF_NPU_LOOK_SHARE 64

#define MF_NPU_MIN_AGREEMENT 0.95

struct mf_npu_offload;

struct mf_npu_offload_conf {
    const struct mf_npu_backend *backend;
    struct mf_npu_conf npu;
    uint64_t deadline_ms; /* of one job: 2000 */
    uint32_t check_every; /* jobs between two looks at the most; 0: never */
    uint32_t min_rows;    /* 0: measured at open */
    uint64_t first_backoff_ms, max_backoff_ms; /* before a lost one is opened again;
                                                  0: 1000, 60000 */
};

struct mf_npu_report { /* for health, info and `memfuse npu verify` */
    struct mf_npu_caps caps;
    struct mf_npu_health health;
    struct mf_npu_stats stats;
    uint32_t min_rows;   /* break-even; UINT32_MAX: the CPU is always faster */
    uint32_t batch_rows; /* chunks should have so many; 0: any */
    uint32_t measured_rows;
    double cpu_us, npu_us; /* of the measured batch of so many rows */
    double agreement;      /* smallest cosine of its vectors, device against CPU */
    uint64_t n_offloaded, n_on_cpu; /* products */
};

MF_MUST MF_ANY int mf_npu_offload_open(struct mf_npu_offload **out,
                                       struct mf_encoder *e,
                                       const struct mf_npu_offload_conf *conf,
                                       struct mf_err *err);
MF_ANY void mf_npu_offload_close(struct mf_npu_offload *o); /* no run under way */
MF_ANY void mf_npu_offload_report(const struct mf_npu_offload *o,
                                  struct mf_npu_report *out);

#endif
