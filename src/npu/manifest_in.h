/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manifest_in: the text of a manifest alone, for its readers, its writer, tests and the
 * fuzzer. Internal.
 *
 * Owns:    nothing
 * Thread:  any
 * Limits:  MF_NPU_MANIFEST_MAX bytes of text
 * Fails:   as manifest.h
 */
#ifndef MF_NPU_MANIFEST_IN_H
#define MF_NPU_MANIFEST_IN_H

#include "base/str.h"
#include "jdoc/jdoc.h"
#include "npu/manifest.h"

#define MF_NPU_MANIFEST_MAX ((size_t)1024 * 1024)
#define MF_NPU_FORMAT       1U

extern const char *const mf_npu_arguments[6];

/* No file is looked at. On failure there is nothing to fini. */
MF_MUST MF_ANY int mf_npu_manifest_parse(struct mf_npu_manifest *m, const char *dir,
                                         struct mf_slice text, struct mf_err *err);
/* The files against what the manifest says; m->kernel becomes the whole name. */
MF_MUST MF_ANY int mf_npu_manifest_check(struct mf_npu_manifest *m, struct mf_err *err);
/* A key of the object that is none of `known` (ended by NULL) is refused. */
MF_MUST MF_ANY int mf_npu_known_keys(const struct mf_jdoc *j, const char *const *known);
/* "bf16", "gelu"; false: no such word. */
MF_MUST MF_ANY bool mf_npu_dtype_of(struct mf_slice word, enum mf_npu_dtype *out);
MF_MUST MF_ANY bool mf_npu_epi_of(struct mf_slice word, enum mf_npu_epi *out);
MF_ANY const char *mf_npu_dtype_word(enum mf_npu_dtype t);
MF_ANY const char *mf_npu_epi_word(enum mf_npu_epi e);

#endif
