/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jdoc: a JSON file that somebody published: read whole, with the memory of the seam,
 * then asked key by key; what is wrong is told with the file and the key.
 *
 * Owns:    the document, until closed; texts live as long
 * Thread:  any
 * Limits:  depth MF_JDOC_DEPTH
 * Fails:   MF_EINVAL, MF_ENOMEM
 */
#ifndef MF_JDOC_JDOC_H
#define MF_JDOC_JDOC_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

#include <yyjson.h>

#define MF_JDOC_DEPTH 32

/* The seam, for others that call yyjson themselves. */
extern const yyjson_alc mf_jdoc_memory;

struct mf_jdoc {
    const char *file;
    const char *where; /* before each key in a sentence: "normalizer." */
    yyjson_doc *doc;
    yyjson_val *root;
    struct mf_err *err;
};

/* On failure there is nothing to close. */
MF_MUST MF_ANY int mf_jdoc_open(struct mf_jdoc *j, const char *file,
                                struct mf_slice text, struct mf_err *err);
MF_ANY void mf_jdoc_close(struct mf_jdoc *j);
/* A value inside as if it were the root; borrows all, is not closed. */
MF_ANY struct mf_jdoc mf_jdoc_inside(const struct mf_jdoc *j, yyjson_val *v,
                                     const char *where);

/* MF_EINVAL with "FILE: <sentence>". */
MF_ANY int mf_jdoc_refuse(const struct mf_jdoc *j, const char *fmt, ...)
    MF_PRINTF(2, 3);
/* The root must be an object (a list). */
MF_MUST MF_ANY int mf_jdoc_want_object(const struct mf_jdoc *j);
MF_MUST MF_ANY int mf_jdoc_want_list(const struct mf_jdoc *j);

/* NULL: not there, or null. */
MF_ANY yyjson_val *mf_jdoc_get(const struct mf_jdoc *j, const char *key);
/* These leave *out as it is when the key is not there. */
MF_MUST MF_ANY int mf_jdoc_bool(const struct mf_jdoc *j, const char *key, bool *out);
MF_MUST MF_ANY int mf_jdoc_u32(const struct mf_jdoc *j, const char *key, uint32_t *out);
MF_MUST MF_ANY int mf_jdoc_text(const struct mf_jdoc *j, const char *key,
                                struct mf_slice *out);
/* From 1 on; the key is needed when *out is 0. */
MF_MUST MF_ANY int mf_jdoc_size(const struct mf_jdoc *j, const char *key, uint32_t max,
                                uint32_t *out);

/* The text of a string (a key is one); empty for whatever is none: the length that
 * yyjson tells of a list is its number of elements. */
static inline struct mf_slice mf_jdoc_slice(yyjson_val *v)
{
    return yyjson_is_str(v) ? mf_slice_of(yyjson_get_str(v), yyjson_get_len(v))
                            : (struct mf_slice){NULL, 0};
}

/* What a file's text looks like in a sentence: escaped, cut. */
#define MF_SHOWN_MAX 96

struct mf_shown {
    char s[MF_SHOWN_MAX];
};

MF_ANY const char *mf_shown(struct mf_shown *to, struct mf_slice text);

#endif
