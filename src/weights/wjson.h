/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wjson: a model's JSON files: read whole, then asked key by key; what is wrong is told
 * with the file and the key.
 *
 * Owns:    the document, until closed
 * Thread:  any
 * Limits:  depth MF_WJSON_DEPTH
 * Fails:   MF_EINVAL, MF_ENOMEM
 */
#ifndef MF_WEIGHTS_WJSON_H
#define MF_WEIGHTS_WJSON_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

#include <yyjson.h>

#define MF_WJSON_DEPTH 32

struct mf_wjson {
    const char *file;
    yyjson_doc *doc;
    yyjson_val *root;
    struct mf_err *err;
};

/* On failure there is nothing to close. */
MF_MUST MF_ANY int mf_wjson_open(struct mf_wjson *j, const char *file,
                                 struct mf_slice text, struct mf_err *err);
MF_ANY void mf_wjson_close(struct mf_wjson *j);

/* The root must be an object (a list). */
MF_MUST MF_ANY int mf_wjson_want_object(const struct mf_wjson *j);
MF_MUST MF_ANY int mf_wjson_want_list(const struct mf_wjson *j);

/* NULL: not there, or null. */
MF_ANY yyjson_val *mf_wjson_get(const struct mf_wjson *j, const char *key);
/* *out stays when the key is absent; when it is 0 then, the key is required. */
MF_MUST MF_ANY int mf_wjson_u32(const struct mf_wjson *j, const char *key, uint32_t max,
                                uint32_t *out);
MF_MUST MF_ANY int mf_wjson_bool(const struct mf_wjson *j, const char *key, bool *out);
/* *out stays when the key is absent. The text lives as long as the document. */
MF_MUST MF_ANY int mf_wjson_text(const struct mf_wjson *j, const char *key,
                                 const char **out);

/* What a file's text looks like in a sentence: escaped, cut. */
#define MF_SHOWN_MAX 96

struct mf_shown {
    char s[MF_SHOWN_MAX];
};

MF_ANY const char *mf_shown(struct mf_shown *to, struct mf_slice text);

#endif
