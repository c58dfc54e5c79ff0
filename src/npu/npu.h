/* SPDX-License-Identifier: Apache-2.0 */
/*
 * npu: what a device that multiplies matrices promises: a plain C table with several
 * behind it: the CPU twin (twin.c, in this process), XRT (a module that is loaded,
 * xrt/), and remote.c, which hosts either in a helper process.
 *
 * A device holds weights packed once, programs (one for each shape), and activations in
 * memory that both sides see; a job runs programs one after the other. It succeeded
 * when its status is 0 and nothing else is success.
 *
 * Owns:    dev: its memories, plans and jobs. A job holds its memories until it is
 *          finished; one that never finishes is kept aside (quarantine), never freed
 * Thread:  all calls from any thread; a device lines them up itself
 * Limits:  caps: shapes are multiples of m_mult, k_mult, n_mult; queue_depth jobs
 * Fails:   MF_EINVAL, MF_ENOTFOUND (no device), MF_EUNPROCESSABLE (no program for this
 *          shape), MF_ENOMEM, MF_EBUSY (line full: use the CPU), MF_ETIMEOUT,
 * MF_ECANCELED, MF_EBACKEND (the device failed a job), MF_EUNAVAILABLE (the device is
 * lost), MF_ECORRUPT (numbers are wrong)
 */
#ifndef MF_NPU_NPU_H
#define MF_NPU_NPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MF_NPU_ABI 2

enum mf_npu_dtype { MF_NPU_F32, MF_NPU_BF16, MF_NPU_I8 };

enum mf_npu_mem_kind {
    MF_NPU_MEM_WEIGHT,
    MF_NPU_MEM_IN,
    MF_NPU_MEM_OUT,
    MF_NPU_MEM_PROGRAM
};

enum mf_npu_epi { MF_NPU_EPI_NONE, MF_NPU_EPI_GELU };

enum mf_npu_state {
    MF_NPU_CLOSED,
    MF_NPU_PROBING,
    MF_NPU_READY,
    MF_NPU_DEGRADED, /* works, but jobs failed lately */
    MF_NPU_LOST      /* wrong numbers, or it does not answer: not used any more */
};

struct mf_npu_err { /* as base/err.h; a module in C++ sees this one */
    int code;
    int sys;
    char text[240];
};

struct mf_npu_conf {
    const char *dir;    /* the artefacts with their manifest.json (manifest.h) */
    const char *module; /* folder of the modules npu-xrt-*.so; of the twin: unused */
    unsigned index;     /* which device */
    unsigned queue_depth;
};

struct mf_npu_caps {
    char backend[16], device[48], runtime[32], driver[48];
    uint32_t m_mult, k_mult, n_mult, m_max;
    uint32_t queue_depth, dtype_mask; /* 1 << enum mf_npu_dtype */
    bool simulated;                   /* no hardware computes: never said to be any */
    bool verified;                    /* the canary of every shape was right */
};

/* C[m][n] = epilogue(A[m][k] B[k][n]); the padded shape. A row-major; B packed by
 * weight_pack; C row-major. */
struct mf_npu_gemm {
    uint32_t m, k, n;
    enum mf_npu_dtype a, b, c;
    enum mf_npu_epi epi;
};

struct mf_npu_dev;
struct mf_npu_mem;
struct mf_npu_plan;
struct mf_npu_job;

/* One run. Offsets in bytes. `rows`: how many of m are used: no more is synced. */
struct mf_npu_op {
    const struct mf_npu_plan *plan;
    struct mf_npu_mem *a, *w, *c;
    size_t a_at, c_at;
    uint32_t rows;
};

struct mf_npu_stats {
    uint64_t jobs_ok, jobs_failed, jobs_timeout, jobs_canceled, ops;
    uint64_t bytes_in, bytes_out, verify_runs, verify_bad, reopens, quarantined;
    uint64_t busy_ns, queue_ns;
    uint64_t latency[24]; /* jobs that took 2^i us and less than 2^(i + 1) */
    uint32_t in_flight, queued;
};

struct mf_npu_health {
    enum mf_npu_state state;
    int64_t since_ns; /* monotonic */
    double last_cosine, max_abs_err;
    struct mf_npu_err last;
};

struct mf_npu_backend {
    uint32_t abi; /* MF_NPU_ABI */
    const char *name;
    bool restores; /* a LOST device comes back by itself, verified; its user waits */
    /* Is there one, and what can it do? Nothing is kept. */
    int (*probe)(const struct mf_npu_conf *conf, struct mf_npu_caps *caps,
                 struct mf_npu_err *err);
    int (*open)(const struct mf_npu_conf *conf, struct mf_npu_dev **out,
                struct mf_npu_err *err);
    void (*caps)(const struct mf_npu_dev *dev, struct mf_npu_caps *caps);
    void (*close)(struct mf_npu_dev *dev); /* waits for jobs up to their deadlines */

    int (*mem_new)(struct mf_npu_dev *dev, enum mf_npu_mem_kind kind, size_t bytes,
                   struct mf_npu_mem **out, struct mf_npu_err *err);
    void *(*mem_map)(struct mf_npu_mem *mem);
    int (*mem_flush)(struct mf_npu_mem *mem, size_t at, size_t n); /* to the device */
    int (*mem_inval)(struct mf_npu_mem *mem, size_t at, size_t n); /* from it */
    void (*mem_put)(struct mf_npu_mem *mem);

    /* `w`: k x n floats (inputs x outputs), ld floats a row; rounded to nearest even.
     * The memory is resident and flushed. */
    int (*weight_pack)(struct mf_npu_dev *dev, const struct mf_npu_gemm *g,
                       const float *w, size_t ld, struct mf_npu_mem **out,
                       struct mf_npu_err *err);
    /* The program of a shape; the device's, kept. */
    int (*plan)(struct mf_npu_dev *dev, const struct mf_npu_gemm *g,
                struct mf_npu_plan **out, struct mf_npu_err *err);

    /* The device does the syncs of a job: inputs before, outputs after. deadline_ns:
     * monotonic. */
    int (*submit)(struct mf_npu_dev *dev, const struct mf_npu_op *ops, unsigned n,
                  int64_t deadline_ns, struct mf_npu_job **out, struct mf_npu_err *err);
    /* Until it is finished, or its deadline: MF_ETIMEOUT, and the device is LOST. */
    int (*wait)(struct mf_npu_job *job, struct mf_npu_err *err);
    /* Never blocks. Waiting in line: taken out. Running: its result is dropped. */
    int (*cancel)(struct mf_npu_job *job);
    void (*job_put)(struct mf_npu_job *job);

    /* The canary of every shape: known numbers against the CPU's. */
    int (*verify)(struct mf_npu_dev *dev, struct mf_npu_health *out);
    void (*health)(const struct mf_npu_dev *dev, struct mf_npu_health *out);
    void (*stats)(const struct mf_npu_dev *dev, struct mf_npu_stats *out);
};

/* The only symbol that a module exports; NULL for another ABI. */
typedef const struct mf_npu_backend *(*mf_npu_entry_fn)(uint32_t abi);
#define MF_NPU_ENTRY "mf_npu_backend_entry"

#ifdef __cplusplus
}
#endif

#endif
