/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manifest: what a folder of NPU artefacts holds: manifest.json beside one xclbin and
 * an instruction file for each shape. Read and checked as a whole before anything of it
 * reaches XRT: sizes, SHA-256 of each file, the xclbin's own structure (xclbin.h).
 *
 * {"format": 1, "generation": "npu4", "layout": "plain" | "tiled-8x8",
 *  "rounding": "even", "xclbin": {"file": .., "sha256": .., "uuid": ..},
 *  "kernel": "MLIR_AIE", "arguments": ["opcode", "instructions", "n_instructions", "a",
 *  "b", "c"], "m_mult": 256, "k_mult": 512, "n_mult": 64,
 *  "shapes": [{"m": 256, "k": 512, "n": 1152, "a": "bf16", "b": "bf16", "c": "f32",
 *  "epilogue": "none" | "gelu", "file": .., "sha256": ..}], "tools": {..},
 *  "emulated": true}
 *
 * "kernel" is how the kernel's name in the xclbin begins (xclbin.h). Keys that are not
 * known are refused. "emulated" must tell the truth: instructions of our emulation are
 * known by their first word.
 *
 * Owns:    the parsed texts and lists
 * Thread:  any
 * Limits:  MF_NPU_MAX_SHAPES shapes, MF_NPU_MAX_FILE bytes a file
 * Fails:   MF_ENOTFOUND, MF_EINVAL with file, key and reason; MF_ENOMEM
 */
#ifndef MF_NPU_MANIFEST_H
#define MF_NPU_MANIFEST_H

#include "base/base.h"
#include "base/err.h"
#include "base/mem.h"
#include "npu/npu.h"

#define MF_NPU_MAX_SHAPES     256
#define MF_NPU_MAX_FILE       (256UL * 1024 * 1024)
#define MF_NPU_MAX_DIM        65536U /* m, k, n */
#define MF_NPU_MANIFEST       "manifest.json"
/* The first word of an instruction file of our emulation; behind it m, k, n, epilogue
 * (enum mf_npu_epi), layout (enum mf_npu_layout), and zeros up to the 16th word. */
#define MF_NPU_EMULATED_MAGIC 0x31554d45U /* "EMU1" */
#define MF_NPU_EMULATED_WORDS 16U

enum mf_npu_layout { MF_NPU_LAYOUT_PLAIN, MF_NPU_LAYOUT_TILED_8X8 };

struct mf_npu_shape {
    struct mf_npu_gemm gemm;
    const char *file;   /* of the instructions, in the folder */
    const char *sha256; /* of that file */
};

struct mf_npu_manifest {
    struct mf_arena arena;
    const char *dir, *generation, *xclbin, *xclbin_sha256, *uuid;
    const char *kernel; /* its whole name, as the xclbin has it */
    enum mf_npu_layout layout;
    uint32_t m_mult, k_mult, n_mult;
    struct mf_npu_shape *shapes;
    size_t n_shapes;
    bool is_emulated; /* made by our emulation: no hardware runs it */
};

/* Reads and checks everything; on failure there is nothing to fini. */
MF_MUST MF_ANY int mf_npu_manifest_open(struct mf_npu_manifest *m, const char *dir,
                                        struct mf_err *err);
MF_ANY void mf_npu_manifest_fini(struct mf_npu_manifest *m);
/* The whole file's bytes, checked against its sum; the caller's to mf_free. */
MF_MUST MF_ANY int mf_npu_manifest_read(const struct mf_npu_manifest *m,
                                        const char *file, uint8_t **out, size_t *n,
                                        struct mf_err *err);
/* NULL: no such shape. */
MF_ANY const struct mf_npu_shape *mf_npu_manifest_find(const struct mf_npu_manifest *m,
                                                       const struct mf_npu_gemm *g);
/* `memfuse npu manifest DIR`: writes manifest.json from what lies in the folder: names
 * of instruction files say their shape (gemm_M_K_N_A_B_C_EPILOGUE.insts), shapes.json
 * the rest: the manifest's own keys without xclbin, arguments and shapes. Nothing is
 * written that mf_npu_manifest_open would refuse. */
MF_MUST MF_ANY int mf_npu_manifest_make(const char *dir, struct mf_err *err);

#endif
