/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker_priv: what the files of the helper process share: worker.c hears and answers,
 * worker_ops.c does what is asked, worker_jobs.c waits for jobs.
 *
 * The inner device has memories of its own. What lies in the shared memory is copied
 * there when it is flushed or a job needs it, and back from it.
 *
 * Owns:    the device, its memories and plans, the mapping of the shared memory
 * Thread:  requests on the main one; one more waits for jobs, in their order
 * Limits:  wire.h
 * Fails:   a request: by its answer; a message that is none: the process ends
 */
#ifndef MF_NPU_WORKER_PRIV_H
#define MF_NPU_WORKER_PRIV_H

#include "base/base.h"
#include "base/list.h"
#include "npu/wire.h"

#include <pthread.h>

struct mf_worker_mem {
    struct mf_npu_mem *mem; /* NULL: this number is free */
    uint64_t at, bytes;     /* in the shared memory */
};

struct mf_worker_plan {
    struct mf_npu_plan *plan;
    struct mf_npu_gemm gemm;
};

struct mf_worker {
    int sock;
    uint8_t *base;
    const struct mf_npu_backend *be; /* NULL until OPEN */
    struct mf_npu_dev *dev;
    struct mf_worker_mem mems[MF_NPU_WIRE_MEMS];
    struct mf_worker_plan plans[MF_NPU_WIRE_PLANS];
    /* Shared with the thread that waits */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t waiter;
    struct mf_list jobs;
    bool is_ending;
};

/* worker.c. The state and the counts are filled in here. */
MF_ANY void mf_worker_answer(struct mf_worker *w, uint64_t seq, enum mf_npu_msg_type to,
                             int rc, const struct mf_npu_err *err);
MF_ANY void mf_worker_send(struct mf_worker *w, const struct mf_npu_msg *m);

/* worker_ops.c */
MF_ANY void mf_worker_open(struct mf_worker *w, const struct mf_npu_msg *m);
MF_MUST MF_ANY int mf_worker_do(struct mf_worker *w, const struct mf_npu_msg *m,
                                struct mf_npu_err *err);
/* NULL: no such one. */
MF_ANY const struct mf_worker_mem *mf_worker_mem(const struct mf_worker *w,
                                                 uint32_t id);

/* worker_jobs.c */
MF_MUST MF_ANY int mf_worker_jobs_start(struct mf_worker *w);
MF_ANY void mf_worker_jobs_stop(struct mf_worker *w); /* after their ends */
MF_ANY void mf_worker_submit(struct mf_worker *w, const struct mf_npu_msg *m);
MF_ANY void mf_worker_cancel(struct mf_worker *w, uint64_t seq);

#endif
