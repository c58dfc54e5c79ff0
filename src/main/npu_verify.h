/* SPDX-License-Identifier: Apache-2.0 */
/*
 * npu_verify: what `memfuse npu verify` found, as numbers; what must hold of them; and
 * the table that a person sends us. It names no host, no user and no path.
 *
 * Owns:    the list of shapes and its sentences
 * Thread:  any
 * Limits:  none
 * Fails:   memory: mf_buf_status of what is written
 */
#ifndef MF_MAIN_NPU_VERIFY_H
#define MF_MAIN_NPU_VERIFY_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"
#include "npu/offload.h"

#define MF_VERIFY_MIN_COSINE 0.999
#define MF_VERIFY_SPEEDS     4
#define MF_VERIFY_HIDDEN     3

struct mf_verify_shape {
    struct mf_npu_gemm gemm;
    bool was_run, is_good;
    double cosine, max_abs_err;
};

/* The same batches, one side and the other by turns. */
struct mf_verify_speed {
    size_t n_texts; /* of a batch */
    size_t n_rounds, n_rows;
    double cpu_s, device_s; /* in all */
};

/* What must not stand in the table, and what stands there instead. */
struct mf_verify_hidden {
    const char *path, *name;
};

struct mf_verify {
    struct mf_verify_hidden hidden[MF_VERIFY_HIDDEN];
    struct mf_buf failures; /* a line each */
    size_t n_failures;
    /* the machine */
    char cpu[80], kernel[80];
    unsigned n_cores;
    /* the artefacts */
    char generation[32], compute_kernel[64];
    bool has_artefacts, is_emulated, is_tiled;
    struct mf_verify_shape *shapes;
    size_t n_shapes;
    /* the device; has_device: it could be opened */
    struct mf_npu_caps caps;
    bool has_device, is_verified; /* is_verified: its own canary found it right */
    /* the model; has_model: its numbers are there */
    bool has_model;
    char model[128], precision[16], linear[64];
    size_t n_texts, n_texts_failed;
    double min_cosine, mean_cosine, cpu_min_cosine;
    struct mf_verify_speed speed[MF_VERIFY_SPEEDS];
    struct mf_npu_report routed; /* as the service would open it: its break-even */
    struct mf_npu_report used;   /* while everything went to the device */
};

/* What is asked for on the command line and by the settings. */
struct mf_verify_ask {
    const char *dir, *model, *precision;
    const struct mf_npu_backend *backend;
    struct mf_npu_conf npu;
};

MF_ANY void mf_verify_init(struct mf_verify *v);
MF_ANY void mf_verify_fini(struct mf_verify *v);
/* Something that must hold does not: a sentence, with the hidden paths named by what
 * they are. */
MF_ANY void mf_verify_fail(struct mf_verify *v, const char *fmt, ...) MF_PRINTF(2, 3);
/* Adds what the numbers say. */
MF_ANY void mf_verify_judge(struct mf_verify *v);
MF_ANY void mf_verify_print(const struct mf_verify *v, struct mf_buf *out);

/* The model on the device and on the CPU (npu_verify_model.c). What goes wrong is
 * among the failures. */
MF_ANY void mf_verify_model(struct mf_verify *v, const struct mf_verify_ask *ask);

#endif
