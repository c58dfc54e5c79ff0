/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_in: JSON of strangers in, checked once: strict JSON, valid UTF-8, a bounded
 * depth, no key twice, no NUL, no number without end. Numbers stay text, so that what
 * is kept is kept digit for digit.
 *
 * Owns:    one reader with its memory; strings of an open document live in the arena
 *          the body was copied to, and stay when the document is closed
 * Thread:  the owner's; one document at a time
 * Limits:  max_depth levels, MF_JSON_MAX_KEYS keys of an object, numbers of
 *          MF_JSON_MAX_DIGITS bytes; MF_FAULTS_MAX faults are told, the rest is counted
 * Fails:   faults with the place and what to do: MF_EINVAL (400) for what no client
 *          should ever send, MF_EUNPROCESSABLE (422) for JSON that does not parse and
 *          for wrong fields, MF_ETOOBIG (413); MF_ENOMEM
 */
#ifndef MF_API_JSON_IN_H
#define MF_API_JSON_IN_H

#include "base/base.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#include <yyjson.h>

#define MF_JSON_MAX_KEYS   1000U
#define MF_JSON_MAX_DIGITS 64U
#define MF_FAULTS_MAX      16U

/* ---- what is wrong with a request ---- */

struct mf_fault {
    const char *type;  /* "missing", "string_type", ... as pydantic names them */
    const char *field; /* "messages[3].content" */
    const char *msg;
};

struct mf_faults { /* zeroed, then the arena set */
    struct mf_arena *arena;
    int code; /* 0: none; else what the whole request is */
    size_t n; /* of all, may be more than are kept */
    struct mf_fault *all;
};

static inline size_t mf_faults_kept(const struct mf_faults *f)
{
    return f->n < MF_FAULTS_MAX ? f->n : MF_FAULTS_MAX;
}

/* Returns f->code: MF_EINVAL before MF_ETOOBIG before MF_EUNPROCESSABLE, MF_ENOMEM
 * when it could not be noted. `type` lives on; `field` is copied. */
MF_ANY int mf_fault_add(struct mf_faults *f, int code, const char *type,
                        const char *field, const char *fmt, ...) MF_PRINTF(5, 6);

/* ---- the document ---- */

struct mf_json_seen { /* keys of a wide object */
    yyjson_val *key;
    uint32_t round;
};

struct mf_json {
    char *pool;        /* values of small bodies */
    yyjson_val **ends; /* of the containers we are in */
    struct mf_json_seen *seen;
    uint32_t seen_round;
    size_t max_depth;
    yyjson_doc *doc; /* between open and close */
};

MF_MUST MF_ANY int mf_json_init(struct mf_json *j, size_t max_depth);
MF_ANY void mf_json_fini(struct mf_json *j);
/* Copies the body into faults->arena, reads and checks it. Only after 0 it is closed.
 */
MF_MUST MF_ANY int mf_json_open(struct mf_json *j, struct mf_slice body,
                                struct mf_faults *faults, yyjson_val **root);
MF_ANY void mf_json_close(struct mf_json *j);
/* A value as compact JSON text in the arena. */
MF_MUST MF_ANY int mf_json_compact(yyjson_val *v, struct mf_arena *a,
                                   struct mf_slice *out);
/* Whether compact JSON text of an object has this key (a plain word) at its top. */
MF_ANY bool mf_json_has_key(struct mf_slice object, const char *key);

/* ---- typed fields ---- */

/* Where we look: the body, or element `i` of one of its lists. */
struct mf_json_at {
    struct mf_faults *faults;
    yyjson_val *obj;
    const char *list; /* NULL: the body itself */
    size_t i;
};

/* A fault of field `key` here (NULL: of the element itself). Returns faults->code. */
MF_ANY int mf_json_fault(const struct mf_json_at *at, const char *key, int code,
                         const char *type, const char *fmt, ...) MF_PRINTF(5, 6);

enum mf_json_need { MF_JSON_REQUIRED, MF_JSON_OPTIONAL };

/* True when the field is there and of its type. False when it is optional and absent or
 * null, or with a fault noted. */
MF_ANY bool mf_json_text(const struct mf_json_at *at, const char *key,
                         enum mf_json_need need, struct mf_slice *out);
MF_ANY bool mf_json_object(const struct mf_json_at *at, const char *key,
                           yyjson_val **out);
MF_ANY bool mf_json_list(const struct mf_json_at *at, const char *key,
                         enum mf_json_need need, yyjson_val **out);
MF_ANY bool mf_json_bool(const struct mf_json_at *at, const char *key, bool *out);
/* A whole number; one beyond 64 bits becomes the nearest that fits. */
MF_ANY bool mf_json_int(const struct mf_json_at *at, const char *key, int64_t *out);
MF_ANY bool mf_json_real(const struct mf_json_at *at, const char *key, double *out);
/* A required list of strings, at most `max` (conf key `limit` in the sentence). */
MF_ANY bool mf_json_texts(const struct mf_json_at *at, const char *key, uint64_t max,
                          const char *limit, struct mf_slice **out, size_t *n);

static inline struct mf_slice mf_json_slice(yyjson_val *string)
{
    return mf_slice_of(yyjson_get_str(string), yyjson_get_len(string));
}

#endif
