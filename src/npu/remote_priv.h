/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remote_priv: what the files of the remote backend share. remote.c: the table, open,
 * close; remote_reader.c: the thread that starts, hears, watches and ends workers;
 * remote_replay.c: what a new worker is told; remote_call.c: a message and its answer;
 * remote_mem.c, remote_span.c, remote_plan.c: memories, their places, weights and
 * plans; remote_jobs.c: jobs; remote_child.c: the process.
 *
 * One lock guards all of a device. `gen` counts workers: a memory or a plan is known to
 * the worker whose number it carries.
 *
 * Owns:    see remote.h
 * Thread:  functions named mf_remote_* want the lock unless they say otherwise
 * Limits:  see wire.h
 * Fails:   see npu.h
 */
#ifndef MF_NPU_REMOTE_PRIV_H
#define MF_NPU_REMOTE_PRIV_H

#include "base/base.h"
#include "base/err.h"
#include "base/list.h"
#include "npu/remote.h"
#include "npu/wire.h"

#include <pthread.h>
#include <sys/types.h>

#define MF_REMOTE_SLOW     6 /* open, weight, verify may take so often answer_ms */
#define MF_REMOTE_MAX_PUTS 8 /* memories given back and not answered yet */
#define MF_NS_PER_MS       1000000LL

struct mf_remote_child {
    pid_t pid;     /* 0: none */
    int sock;      /* -1: none */
    bool is_stuck; /* killed, and still there: in the driver, most likely */
};

enum mf_remote_call_kind { MF_REMOTE_SYNC, MF_REMOTE_JOB, MF_REMOTE_PUT };

/* A message that will be answered. */
struct mf_remote_call {
    struct mf_link link; /* while it is under way */
    enum mf_remote_call_kind kind;
    uint64_t seq;
    int64_t deadline_ns; /* then the worker is taken for dead */
    bool is_done;
    /* Becomes known to the worker by an answer of 0, before anybody can see that a
     * worker died meanwhile. */
    struct mf_npu_mem *mem;
    struct mf_npu_plan *plan;
    enum mf_npu_msg_type type;
    struct mf_npu_msg_answer answer;
};

struct mf_remote_span { /* a piece of the shared memory */
    struct mf_link link;
    uint64_t at, bytes;
};

struct mf_npu_mem {
    struct mf_remote_span span;
    struct mf_link link; /* mems, or dying */
    struct mf_npu_dev *dev;
    uint32_t id;
    enum mf_npu_mem_kind kind;
    uint64_t bytes; /* asked for; the span is rounded up */
    unsigned refs;  /* the caller, each job, the replay */
    uint64_t gen;
    uint64_t sum; /* of a packed weight, so that a wild worker's stroke is seen */
    bool has_sum;
    struct mf_remote_call put;
};

struct mf_npu_plan {
    struct mf_npu_dev *dev;
    uint32_t id;
    struct mf_npu_gemm gemm;
};

struct mf_npu_job {
    struct mf_link link; /* jobs: all that are not freed */
    struct mf_remote_call call;
    struct mf_npu_dev *dev;
    unsigned refs; /* the caller, the worker's answer */
    bool is_canceled;
    int64_t deadline_ns, begun_ns;
    uint32_t n_ops;
    uint64_t bytes_in, bytes_out;
    struct mf_npu_mem *mems[]; /* three for each op */
};

struct mf_npu_dev {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t reader;
    /* As asked for */
    struct mf_npu_msg_open what;
    char program[MF_NPU_WIRE_PATH];
    uint64_t first_backoff_ms, max_backoff_ms, answer_ms;
    bool is_probe;
    /* The worker */
    struct mf_remote_child child;
    uint64_t gen;
    bool is_up;     /* others than the reader may call */
    bool is_doomed; /* the reader ends it; `why` says why */
    struct mf_err why;
    unsigned n_failed; /* attempts in a row */
    int64_t up_since_ns;
    int wake;             /* eventfd */
    int64_t wake_at_ns;   /* the reader looks at deadlines by then */
    struct mf_list calls; /* under way */
    uint64_t next_seq;
    /* Open and close */
    bool has_tried, is_closing;
    int first_rc;
    /* Memories */
    int memfd;
    uint8_t *base;
    struct mf_list spans;       /* by place */
    struct mf_list mems, dying; /* dying: given back, the worker still has them */
    unsigned n_puts;            /* of dying: told */
    uint8_t has_id[MF_NPU_WIRE_MEMS];
    struct mf_npu_plan *plans[MF_NPU_WIRE_PLANS];
    uint8_t has_plan[MF_NPU_WIRE_PLANS];
    struct mf_list jobs;
    uint32_t n_in_flight;
    /* News */
    struct mf_npu_caps caps;
    struct mf_npu_health health;
    struct mf_npu_stats stats;
    uint64_t busy_ns, queue_ns; /* of workers that are gone */
    uint64_t last_busy_ns, last_queue_ns;
};

/* remote.c */
MF_ANY int64_t mf_remote_now_ns(void); /* no lock needed */
MF_ANY void mf_remote_lock(const struct mf_npu_dev *dev);
MF_ANY void mf_remote_unlock(const struct mf_npu_dev *dev);
/* `to` may be NULL; returns the code. No lock needed. */
MF_ANY int mf_remote_tell(struct mf_npu_err *to, int code, int sys, const char *text);

/* remote_child.c: no lock needed */
MF_MUST MF_ANY int mf_remote_child_start(struct mf_remote_child *c, const char *program,
                                         int memfd, struct mf_err *err);
/* Ends it: waits `grace_ms` for it to go by itself once the socket is closed, then
 * kills it. Writes how it ended by itself, in words; "" when it did not: that it was
 * killed here is no news. False: it is still there. */
MF_ANY bool mf_remote_child_end(struct mf_remote_child *c, unsigned grace_ms, char *how,
                                size_t cap);

/* remote_call.c */
MF_ANY void mf_remote_doom(struct mf_npu_dev *dev, int code, const char *fmt, ...)
    MF_PRINTF(3, 4);
/* Sends and registers; MF_EUNAVAILABLE when it cannot. Numbers the message. */
MF_MUST MF_ANY int mf_remote_send(struct mf_npu_dev *dev, struct mf_npu_msg *m,
                                  struct mf_remote_call *call);
/* Not answered and not registered. */
MF_ANY void mf_remote_post(struct mf_npu_dev *dev, const struct mf_npu_msg *m);
/* Of any thread but the reader: sends, waits for the answer. */
MF_MUST MF_ANY int mf_remote_ask(struct mf_npu_dev *dev, struct mf_npu_msg *m,
                                 struct mf_remote_call *call, struct mf_npu_err *err);
MF_ANY void mf_remote_answered(struct mf_npu_dev *dev, const struct mf_npu_msg *answer);
/* Everything under way ends with MF_EUNAVAILABLE. */
MF_ANY void mf_remote_fail_all(struct mf_npu_dev *dev);
MF_ANY void mf_remote_wake(struct mf_npu_dev *dev);

/* remote_reader.c */
MF_ANY void *mf_remote_reader(void *arg); /* takes the lock itself */
/* One look at the socket and at deadlines; negative: the worker is lost. */
MF_MUST MF_ANY int mf_remote_step(struct mf_npu_dev *dev);

/* remote_replay.c: the reader's */
MF_MUST MF_ANY int mf_remote_make_ready(struct mf_npu_dev *dev);

/* remote_span.c */
MF_MUST MF_ANY int mf_remote_span_take(struct mf_npu_dev *dev, struct mf_remote_span *s,
                                       uint64_t bytes, struct mf_npu_err *err);
MF_ANY void mf_remote_span_give(struct mf_npu_dev *dev, struct mf_remote_span *s);

/* remote_mem.c */
MF_ANY void mf_remote_mem_msg(const struct mf_npu_mem *mem, struct mf_npu_msg_mem *m);
MF_MUST MF_ANY int mf_remote_mem_make(struct mf_npu_dev *dev, enum mf_npu_mem_kind kind,
                                      uint64_t bytes, struct mf_npu_mem **out,
                                      struct mf_npu_err *err);
MF_ANY void mf_remote_mem_unref(struct mf_npu_mem *mem);
MF_ANY void mf_remote_mem_free(struct mf_npu_mem *mem); /* nobody knows it any more */
MF_ANY void mf_remote_mem_gone(struct mf_npu_mem *mem); /* the worker gave it back */
MF_ANY int mf_remote_mem_new(struct mf_npu_dev *dev, enum mf_npu_mem_kind kind,
                             size_t bytes, struct mf_npu_mem **out,
                             struct mf_npu_err *err); /* takes the lock, as all below */
MF_ANY void *mf_remote_mem_map(struct mf_npu_mem *mem);
MF_ANY int mf_remote_mem_flush(struct mf_npu_mem *mem, size_t at, size_t n);
MF_ANY int mf_remote_mem_inval(struct mf_npu_mem *mem, size_t at, size_t n);
MF_ANY void mf_remote_mem_put(struct mf_npu_mem *mem);

/* remote_plan.c: they take the lock */
MF_ANY int mf_remote_weight_pack(struct mf_npu_dev *dev, const struct mf_npu_gemm *g,
                                 const float *w, size_t ld, struct mf_npu_mem **out,
                                 struct mf_npu_err *err);
MF_ANY int mf_remote_plan(struct mf_npu_dev *dev, const struct mf_npu_gemm *g,
                          struct mf_npu_plan **out, struct mf_npu_err *err);

/* remote_jobs.c: they take the lock, but for job_done and job_unref */
MF_ANY int mf_remote_submit(struct mf_npu_dev *dev, const struct mf_npu_op *ops,
                            unsigned n, int64_t deadline_ns, struct mf_npu_job **out,
                            struct mf_npu_err *err);
MF_ANY int mf_remote_wait(struct mf_npu_job *job, struct mf_npu_err *err);
MF_ANY int mf_remote_cancel(struct mf_npu_job *job);
MF_ANY void mf_remote_job_put(struct mf_npu_job *job);
MF_ANY void mf_remote_job_done(struct mf_npu_job *job);

#endif
