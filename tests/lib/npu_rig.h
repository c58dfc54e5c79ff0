/* SPDX-License-Identifier: Apache-2.0 */
/* One small product on a device, and what it must be: the same on every backend. */
#ifndef MF_NPU_RIG_H
#define MF_NPU_RIG_H

#include "npu/npu.h"

#define RIG_M 256UL
#define RIG_K 512UL
#define RIG_N 64UL

struct npu_rig {
    const struct mf_npu_backend *be;
    struct mf_npu_dev *dev;
    struct mf_npu_plan *plan;
    struct mf_npu_mem *weight;
};

/* A place for one job at a time. */
struct npu_slot {
    struct mf_npu_mem *a, *c;
};

int64_t rig_now_ns(void);
void rig_open(struct npu_rig *r, const struct mf_npu_backend *be);
void rig_close(struct npu_rig *r);
void rig_slot(struct npu_rig *r, struct npu_slot *s);
void rig_put_slot(struct npu_rig *r, struct npu_slot *s);
/* Rows whose numbers depend on `seed`; C is filled with what no product is. */
void rig_fill(struct npu_rig *r, struct npu_slot *s, unsigned seed);
int rig_submit(struct npu_rig *r, struct npu_slot *s, unsigned limit_ms,
               struct mf_npu_job **job, struct mf_npu_err *err);
/* Fill, submit, wait, put: the job's code. */
int rig_run(struct npu_rig *r, struct npu_slot *s, unsigned seed, unsigned limit_ms);
/* Whether C is the product of that seed, bit by bit: sums of small whole numbers. */
int rig_is_right(struct npu_rig *r, struct npu_slot *s, unsigned seed);
/* Until it is READY; false after ten seconds. */
int rig_await_ready(struct npu_rig *r);
void rig_nap_ms(long ms);
/* The remote backend with the worker of the tests, and what that is to be. */
const struct mf_npu_backend *rig_remote(void);
void rig_worker_is(const char *mode);
int rig_count_fds(int pid); /* 0: this process */

#endif
