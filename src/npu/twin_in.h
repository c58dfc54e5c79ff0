/* SPDX-License-Identifier: Apache-2.0 */
/*
 * twin_in: what the files of the twin share: twin.c the table and its memories,
 * twin_line.c the jobs, twin_gemm.c the numbers, twin_faults.c what goes wrong.
 *
 * Owns:    a device is freed by close, or by its own thread when that hung meanwhile
 * Thread:  everything in mf_npu_dev under its lock, save what a running job computes
 * Limits:  see twin.h
 * Fails:   see npu.h
 */
#ifndef MF_NPU_TWIN_IN_H
#define MF_NPU_TWIN_IN_H

#include "base/list.h"
#include "npu/manifest.h"
#include "npu/twin.h"

#include <pthread.h>

struct mf_npu_mem {
    struct mf_npu_dev *dev;
    struct mf_link in_dev;
    unsigned refs; /* the caller's and one for each job that uses it */
    size_t bytes;
    unsigned char *host, *device;
};

struct mf_npu_plan {
    struct mf_npu_plan *next;
    struct mf_npu_gemm gemm;
};

struct twin_op {
    struct mf_npu_gemm gemm;
    struct mf_npu_mem *a, *w, *c;
    size_t a_at, c_at;
    uint32_t rows;
};

enum twin_job_state { TWIN_QUEUED, TWIN_RUNNING, TWIN_DONE };

struct mf_npu_job {
    struct mf_npu_dev *dev;
    struct mf_link in_line;
    unsigned refs; /* the caller's and the line's */
    enum twin_job_state state;
    bool is_dropped; /* nobody wants its result: the host's side stays as it is */
    int rc;
    const char *why;
    int64_t deadline_ns, queued_ns, began_ns;
    unsigned n;
    struct twin_op op[];
};

struct mf_npu_dev {
    pthread_mutex_t lock;
    pthread_cond_t wake, done; /* of the thread; of those that wait for jobs */
    pthread_t thread;
    struct mf_list line, mems;
    size_t n_queued;
    struct mf_npu_job *running;
    bool is_closing, is_left; /* is_left: closed while a job hung */
    bool is_hanging;          /* counted as such */
    bool has_manifest;
    struct mf_npu_manifest manifest;
    enum mf_npu_layout layout;
    struct mf_npu_plan *plans;
    struct mf_npu_caps caps;
    struct mf_npu_health health;
    struct mf_npu_stats stats;
    uint64_t n_good_in_row;
};

/* ---- twin.c; with the lock held ---- */

MF_ANY void mf_twin_mem_unref(struct mf_npu_mem *mem);
/* What close left behind; without the lock. */
MF_ANY void mf_twin_dev_free(struct mf_npu_dev *dev);

/* ---- twin_line.c ---- */

MF_ANY void *mf_twin_dispatch(void *arg); /* the thread; arg: the device */
MF_ANY int mf_twin_submit(struct mf_npu_dev *dev, const struct mf_npu_op *ops,
                          unsigned n, int64_t deadline_ns, struct mf_npu_job **out,
                          struct mf_npu_err *err);
MF_ANY int mf_twin_wait(struct mf_npu_job *job, struct mf_npu_err *err);
MF_ANY int mf_twin_cancel(struct mf_npu_job *job);
MF_ANY void mf_twin_job_put(struct mf_npu_job *job);
/* Until nothing runs, or the running job's deadline is over: then false. With the
 * lock held. */
MF_ANY bool mf_twin_settle(struct mf_npu_dev *dev);
/* With the lock held; what waits in line ends with MF_EUNAVAILABLE. */
MF_ANY void mf_twin_lose(struct mf_npu_dev *dev, int code, const char *why);

/* ---- twin_gemm.c: on the device's copies ---- */

MF_MUST MF_ANY int mf_twin_gemm(const struct twin_op *op, enum mf_npu_layout layout);

/* ---- twin_faults.c ---- */

/* What happens to the job that begins now. */
struct twin_fate {
    bool is_wrong, fails, hangs, skips_compute, skips_input_sync;
    uint64_t delay_us, nth, generation;
};

MF_ANY void mf_twin_fate(struct twin_fate *out);
/* Returns when the faults are changed. */
MF_ANY void mf_twin_hang(const struct twin_fate *fate);
/* One more hangs (mf_twin_fate counted those it told to). */
MF_ANY void mf_twin_hang_begins(void);
/* What hung has given back all it held. */
MF_ANY void mf_twin_hang_over(void);

#endif
