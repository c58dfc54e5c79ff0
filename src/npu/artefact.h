/* SPDX-License-Identifier: Apache-2.0 */
/*
 * artefact: the files of a folder of NPU artefacts: named plainly, read whole, summed;
 * and one written beside what is there, then put in its place.
 *
 * Owns:    nothing
 * Thread:  any
 * Limits:  the caller's, in bytes
 * Fails:   MF_ENOTFOUND, MF_EINVAL (name, too long, no plain file), MF_EIO, MF_ENOSPC,
 *          MF_ENOMEM, with the file named
 */
#ifndef MF_NPU_ARTEFACT_H
#define MF_NPU_ARTEFACT_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

#define MF_NPU_NAME_MAX 120
#define MF_NPU_SUM      65 /* SHA-256 in lower case hexadecimal, with its NUL */

/* Letters, digits, '.', '_', '-', not beginning with '.': so it stays in the folder. */
MF_ANY bool mf_npu_artefact_name_ok(struct mf_slice name);
MF_MUST MF_ANY int mf_npu_artefact_dir(const char *dir, struct mf_err *err);
/* `dir` is an open folder; *out is the caller's to mf_free. */
MF_MUST MF_ANY int mf_npu_artefact_read(int dir, const char *name, size_t max_bytes,
                                        uint8_t **out, size_t *n, struct mf_err *err);
MF_MUST MF_ANY int mf_npu_artefact_write(int dir, const char *name,
                                         struct mf_slice bytes, struct mf_err *err);
MF_MUST MF_ANY int mf_npu_artefact_sum(struct mf_slice bytes, char sum[MF_NPU_SUM]);

#endif
