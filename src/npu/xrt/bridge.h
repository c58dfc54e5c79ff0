/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bridge: the C++ classes of XRT behind C functions: the only file of memfuse in C++,
 * since XRT's own C interface cannot load an xclbin on an NPU.
 *
 * No exception crosses: each becomes a code and XRT's own sentence. Which arguments a
 * kernel takes, which memory each wants and what a state means is known here.
 *
 * Owns:    device, buffers and runs; a run must be finished before it is freed (XRT
 *          ends the process otherwise): one that is not is left alone for ever
 * Thread:  the dispatcher's (line.h), and no other
 * Limits:  none here
 * Fails:   MF_ENOTFOUND (open), MF_ENOMEM, MF_EBACKEND with XRT's sentence
 */
#ifndef MF_NPU_XRT_BRIDGE_H
#define MF_NPU_XRT_BRIDGE_H

#include "npu/npu.h"

#ifdef __cplusplus
extern "C" {
#endif

struct mf_xrt_hw;
struct mf_xrt_bo;
struct mf_xrt_run;

/* Arguments of the kernel, in their order. */
enum mf_xrt_arg {
    MF_XRT_ARG_OPCODE,
    MF_XRT_ARG_PROGRAM,
    MF_XRT_ARG_N_WORDS,
    MF_XRT_ARG_A,
    MF_XRT_ARG_B,
    MF_XRT_ARG_C
};

enum mf_xrt_done { MF_XRT_RUNNING, MF_XRT_OK, MF_XRT_FAILED };

struct mf_xrt_args {
    struct mf_xrt_bo *program, *a, *b, *c;
    uint32_t n_words;
};

/* Of the headers that this was built with: "2.13". */
const char *mf_xrt_generation(void);
/* Built with an XRT that has no hardware contexts: it cannot drive an NPU. */
bool mf_xrt_is_legacy(void);
/* Whether the XRT library in this process is of the generation of the headers. */
bool mf_xrt_matches(void);

int mf_xrt_open(unsigned index, struct mf_xrt_hw **out, struct mf_npu_err *err);
void mf_xrt_name(const struct mf_xrt_hw *hw, char *out, size_t n); /* "": unknown */
int mf_xrt_load(struct mf_xrt_hw *hw, const uint8_t *xclbin, size_t n,
                const char *kernel, struct mf_npu_err *err);
void mf_xrt_close(struct mf_xrt_hw *hw);

int mf_xrt_bo_new(struct mf_xrt_hw *hw, enum mf_xrt_arg arg, size_t bytes,
                  struct mf_xrt_bo **out, struct mf_npu_err *err);
/* A part of another; the whole stays until its parts are freed. */
int mf_xrt_bo_part(struct mf_xrt_bo *of, size_t at, size_t n, struct mf_xrt_bo **out,
                   struct mf_npu_err *err);
void *mf_xrt_bo_map(struct mf_xrt_bo *bo);
int mf_xrt_bo_sync(struct mf_xrt_bo *bo, bool to_device, size_t at, size_t n,
                   struct mf_npu_err *err);
void mf_xrt_bo_free(struct mf_xrt_bo *bo);

int mf_xrt_run_new(struct mf_xrt_hw *hw, const struct mf_xrt_args *args,
                   struct mf_xrt_run **out, struct mf_npu_err *err);
int mf_xrt_run_start(struct mf_xrt_run *run, struct mf_npu_err *err);
/* At most so long. MF_XRT_RUNNING: ask again. `err` is set with MF_XRT_FAILED. */
enum mf_xrt_done mf_xrt_run_wait(struct mf_xrt_run *run, unsigned ms,
                                 struct mf_npu_err *err);
void mf_xrt_run_free(struct mf_xrt_run *run);

#ifdef __cplusplus
}
#endif

#endif
