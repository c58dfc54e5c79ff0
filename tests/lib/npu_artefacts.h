/* SPDX-License-Identifier: Apache-2.0 */
/*
 * npu_artefacts: a folder of artefacts of our emulation: an xclbin with the five
 * sections that XRT of either generation takes, an instruction file for each shape, and
 * shapes.json; no manifest.json (mf_npu_manifest_make writes it).
 */
#ifndef NPU_ARTEFACTS_H
#define NPU_ARTEFACTS_H

#include "base/str.h"
#include "npu/manifest.h"

#define NPU_ARTEFACTS_XCLBIN "emulated.xclbin"
#define NPU_ARTEFACTS_KERNEL "MLIR_AIE"
#define NPU_ARTEFACTS_UUID   "6d656d66757365206e7075656d753100"

struct npu_artefacts {
    enum mf_npu_layout layout;
    uint32_t m_mult, k_mult, n_mult;
    const struct mf_npu_gemm *shapes;
    size_t n_shapes;
    const char *kernel; /* as the xclbin has it */
};

/* What MiniLM needs: m 256 and 512; multiples 256, 512, 64; plain. */
struct npu_artefacts npu_artefacts_minilm(void);
/* What the made-up model of the whole program's tests needs (tests/e2e/made_up.py):
 * hidden 64, 128 within. */
struct npu_artefacts npu_artefacts_small(void);
/* 0, or -1 with errno. The folder must be there. */
int npu_artefacts_write(const char *dir, const struct npu_artefacts *a);

/* The sections of the xclbin in the order in which they stand in it. */
enum npu_section {
    NPU_XML,
    NPU_BANKS,
    NPU_UNITS,
    NPU_LINKS,
    NPU_PARTITION,
    NPU_SECTIONS
};

struct npu_xclbin {
    const char *kernel;
    const char *xml;                          /* NULL: one that fits the kernel */
    uint32_t left_out;                        /* 1 << enum npu_section */
    size_t at[NPU_SECTIONS], n[NPU_SECTIONS]; /* written: where they are */
};

void npu_xclbin_make(struct mf_buf *out, struct npu_xclbin *x);
/* "gemm_256_512_1152_bf16_bf16_f32_none.insts" */
void npu_instructions_name(const struct mf_npu_gemm *g, char *out, size_t cap);

#endif
