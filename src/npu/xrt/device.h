/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device: what the files of the module share: the device behind the table of npu.h.
 *
 * One thread, the dispatcher, makes every call into XRT. The others leave calls (they
 * wait for the answer), jobs (they may wait) and memories that nobody needs any more.
 * Two ways to be lost: numbers were wrong, then XRT is left in order; or a run did not
 * end in time (stuck), then nothing of XRT is touched again and the device is kept
 * aside until the process ends, since XRT aborts it or waits for ever otherwise.
 *
 * The manifest is read by the C code of memfuse linked into the module (hidden, beside
 * that of the service): the entry takes no table of helpers, and what is checked here
 * is what XRT is given.
 *
 * Owns:    see npu.h; `lock` guards all but what is said to be the dispatcher's
 * Thread:  any, but for the dispatcher's
 * Limits:  MF_XRT_MAX_OPS runs a job, MF_XRT_MAX_RUNS runs kept
 * Fails:   as npu.h
 */
#ifndef MF_NPU_XRT_DEVICE_H
#define MF_NPU_XRT_DEVICE_H

#include <pthread.h>

#include "base/list.h"
#include "npu/canary.h" /* mf_npu_err_set */
#include "npu/clock.h"
#include "npu/manifest.h"
#include "npu/npu.h"
#include "npu/xrt/bridge.h"

#define MF_XRT_MAX_OPS   64U
#define MF_XRT_MAX_RUNS  2048U
#define MF_XRT_N_BUCKETS 256U
/* How long after its deadline a job is left to the dispatcher to end, before it is
 * taken for stuck inside XRT itself. */
#define MF_XRT_SLACK_NS  1000000000LL

struct mf_npu_mem {
    struct mf_link link; /* in the device's mems or dead */
    struct mf_npu_dev *dev;
    struct mf_xrt_bo *bo; /* dispatcher */
    void *map;
    size_t bytes;
    enum mf_npu_mem_kind kind;
    unsigned refs;
};

struct mf_npu_plan {
    struct mf_link link;
    struct mf_npu_gemm gemm;
    struct mf_xrt_bo *program; /* dispatcher */
    uint32_t n_words;
};

enum mf_xrt_phase { MF_XRT_IN_LINE, MF_XRT_UNDER_WAY, MF_XRT_FINISHED };

struct mf_npu_job {
    struct mf_link link; /* in the device's line, or its quarantine */
    struct mf_npu_dev *dev;
    enum mf_xrt_phase phase;
    unsigned refs; /* the caller's and the device's */
    bool is_canceled;
    int rc;
    struct mf_npu_err err;
    int64_t deadline_ns, pushed_ns, started_ns;
    unsigned n_ops;
    struct mf_npu_op ops[]; /* each holds a reference to its memories */
};

struct mf_xrt_call {
    struct mf_link link;
    int (*fn)(struct mf_npu_dev *dev, void *arg, struct mf_npu_err *err);
    void *arg;
    struct mf_npu_err *err;
    int rc;
    bool is_done;
};

/* A run with all arguments set, for one combination of them. */
struct mf_xrt_kept {
    struct mf_xrt_kept *next;
    struct mf_npu_op op;               /* its key; rows unused */
    struct mf_xrt_bo *a_part, *c_part; /* of the parts that begin behind 0 */
    struct mf_xrt_run *run;
};

struct mf_npu_dev {
    pthread_mutex_t lock;
    pthread_cond_t work; /* for the dispatcher */
    pthread_cond_t news; /* a call or a job is done, the dispatcher has ended */
    pthread_t thread;
    struct mf_link shelf; /* of devices kept aside */
    struct mf_list calls, line, mems, dead, plans, quarantine;
    struct mf_npu_job *running;
    bool is_closing, has_ended, is_lost, is_stuck;
    unsigned index, good_in_a_row;
    int64_t last_deadline_ns;
    struct mf_npu_manifest manifest; /* unchanged while open */
    struct mf_npu_caps caps;
    struct mf_npu_health health;
    struct mf_npu_stats stats;
    struct mf_xrt_hw *hw;                          /* dispatcher */
    struct mf_xrt_kept *buckets[MF_XRT_N_BUCKETS]; /* dispatcher */
    unsigned n_kept;                               /* dispatcher */
};

/* entry.c */
extern const struct mf_npu_backend mf_xrt_backend;

/* device.c */
size_t mf_xrt_dtype_size(enum mf_npu_dtype t);
int mf_xrt_probe(const struct mf_npu_conf *conf, struct mf_npu_caps *caps,
                 struct mf_npu_err *err);
int mf_xrt_dev_open(const struct mf_npu_conf *conf, struct mf_npu_dev **out,
                    struct mf_npu_err *err);
void mf_xrt_dev_close(struct mf_npu_dev *dev);
void mf_xrt_caps(const struct mf_npu_dev *dev, struct mf_npu_caps *caps);
void mf_xrt_health(const struct mf_npu_dev *dev, struct mf_npu_health *out);
void mf_xrt_stats(const struct mf_npu_dev *dev, struct mf_npu_stats *out);

/* line.c: the dispatcher */
int mf_xrt_line_start(struct mf_npu_dev *dev, struct mf_npu_err *err);
/* Runs `fn` on the dispatcher and waits for it; MF_EUNAVAILABLE when the device is
 * lost. */
int mf_xrt_do(struct mf_npu_dev *dev,
              int (*fn)(struct mf_npu_dev *dev, void *arg, struct mf_npu_err *err),
              void *arg, struct mf_npu_err *err);
/* With the lock: what stands in line fails; with is_stuck nobody calls XRT any more. */
void mf_xrt_lose(struct mf_npu_dev *dev, bool is_stuck, int code, const char *text);

/* job.c */
int mf_xrt_submit(struct mf_npu_dev *dev, const struct mf_npu_op *ops, unsigned n,
                  int64_t deadline_ns, struct mf_npu_job **out, struct mf_npu_err *err);
int mf_xrt_wait(struct mf_npu_job *job, struct mf_npu_err *err);
int mf_xrt_cancel(struct mf_npu_job *job);
void mf_xrt_job_put(struct mf_npu_job *job);
/* With the lock, once a job: it ends, unless it was canceled before, and its memories
 * are let go. */
void mf_xrt_job_finish(struct mf_npu_job *job, int rc, const struct mf_npu_err *err);
/* As finish with MF_ETIMEOUT, but its memories are kept for ever. */
void mf_xrt_job_quarantine(struct mf_npu_job *job);

/* mem.c */
int mf_xrt_mem_new(struct mf_npu_dev *dev, enum mf_npu_mem_kind kind, size_t bytes,
                   struct mf_npu_mem **out, struct mf_npu_err *err);
void *mf_xrt_mem_map(struct mf_npu_mem *mem);
int mf_xrt_mem_flush(struct mf_npu_mem *mem, size_t at, size_t n);
int mf_xrt_mem_inval(struct mf_npu_mem *mem, size_t at, size_t n);
void mf_xrt_mem_put(struct mf_npu_mem *mem);
void mf_xrt_mem_unref(struct mf_npu_mem *mem); /* with the lock */
int mf_xrt_weight_pack(struct mf_npu_dev *dev, const struct mf_npu_gemm *g,
                       const float *w, size_t ld, struct mf_npu_mem **out,
                       struct mf_npu_err *err);
int mf_xrt_plan(struct mf_npu_dev *dev, const struct mf_npu_gemm *g,
                struct mf_npu_plan **out, struct mf_npu_err *err);

/* runs.c: on the dispatcher, without the lock */
/* The run of this combination; the device's. */
int mf_xrt_runs_get(struct mf_npu_dev *dev, const struct mf_npu_op *op,
                    struct mf_xrt_kept **out, struct mf_npu_err *err);
void mf_xrt_runs_drop(struct mf_npu_dev *dev, struct mf_xrt_kept *kept);
void mf_xrt_runs_forget(struct mf_npu_dev *dev, const struct mf_npu_mem *mem);
void mf_xrt_runs_clear(struct mf_npu_dev *dev);

/* verify.c */
int mf_xrt_verify(struct mf_npu_dev *dev, struct mf_npu_health *out);

#endif
