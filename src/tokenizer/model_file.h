/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model_file: the files of a tokenizer, read whole, and their JSON asked key by key.
 *
 * Owns:    the bytes and the document, until closed
 * Thread:  any
 * Limits:  MF_TOKENIZER_FILE_MAX bytes
 * Fails:   MF_ENOTFOUND, MF_EINVAL (file and key), MF_EIO, MF_ENOMEM
 */
#ifndef MF_TOKENIZER_MODEL_FILE_H
#define MF_TOKENIZER_MODEL_FILE_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

#include <yyjson.h>

/* Appends the file to `out`, which the caller frees, also on failure. */
MF_MUST MF_ANY int mf_model_file_read(const char *folder, const char *name,
                                      struct mf_buf *out, struct mf_err *err);

struct mf_model_json {
    const char *name;
    yyjson_doc *doc;
    struct mf_err *err;
};

/* On failure there is nothing to close. The root is an object. */
MF_MUST MF_ANY int mf_model_json_open(struct mf_model_json *j, const char *folder,
                                      const char *name, struct mf_err *err);
MF_ANY void mf_model_json_close(struct mf_model_json *j);

/* Each sets *out, and leaves it when the key is absent or null; `where` names `obj` in
 * the sentence. The slice lives as long as the document. */
MF_MUST MF_ANY int mf_model_json_bool(const struct mf_model_json *j, yyjson_val *obj,
                                      const char *where, const char *key, bool *out);
MF_MUST MF_ANY int mf_model_json_u32(const struct mf_model_json *j, yyjson_val *obj,
                                     const char *where, const char *key, uint32_t *out);
MF_MUST MF_ANY int mf_model_json_text(const struct mf_model_json *j, yyjson_val *obj,
                                      const char *where, const char *key,
                                      struct mf_slice *out);
/* MF_EINVAL with "NAME: <sentence>". */
MF_ANY int mf_model_json_refuse(const struct mf_model_json *j, const char *fmt, ...)
    MF_PRINTF(2, 3);

/* What a file's text looks like in a sentence: escaped, cut. */
struct mf_model_word {
    char s[64];
};

MF_ANY const char *mf_model_word(struct mf_model_word *to, struct mf_slice text);

#endif
