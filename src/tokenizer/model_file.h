/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model_file: the files of a tokenizer, read whole.
 *
 * Owns:    nothing; bytes and documents are the caller's
 * Thread:  any
 * Limits:  MF_TOKENIZER_FILE_MAX bytes
 * Fails:   MF_ENOTFOUND, MF_EINVAL (file and key), MF_EIO, MF_ENOMEM
 */
#ifndef MF_TOKENIZER_MODEL_FILE_H
#define MF_TOKENIZER_MODEL_FILE_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"
#include "jdoc/jdoc.h"

/* Appends the file to `out`, which the caller frees, also on failure. */
MF_MUST MF_ANY int mf_model_file_read(const char *folder, const char *name,
                                      struct mf_buf *out, struct mf_err *err);

/* One that must be an object. On failure there is nothing to close. */
MF_MUST MF_ANY int mf_model_file_open_json(struct mf_jdoc *j, const char *folder,
                                           const char *name, struct mf_err *err);

#endif
