/* SPDX-License-Identifier: Apache-2.0 */
/*
 * err: a code for the program, a sentence for the human.
 *
 * Functions return 0 or a negative enum mf_code. Who knows more writes a sentence
 * into struct mf_err (by value, never allocated); who passes it on may wrap it; who
 * handles it logs it, once. libuv, SQLite and libpq codes are translated where they
 * enter.
 *
 * Owns:    nothing; struct mf_err is the caller's
 * Thread:  any
 * Limits:  a sentence of MF_ERR_MAX - 1 bytes, cut at the end
 * Fails:   never
 */
#ifndef MF_ERR_H
#define MF_ERR_H

#include "base/base.h"

/* name, HTTP status, sentence */
#define MF_ERR_TABLE(X)                                                                \
    X(EINVAL, 400, "invalid input")                                                    \
    X(EAUTH, 401, "not authenticated")                                                 \
    X(EFORBIDDEN, 403, "not allowed")                                                  \
    X(ENOTFOUND, 404, "not found")                                                     \
    X(EEXIST, 409, "already exists")                                                   \
    X(ECONFLICT, 409, "in conflict with what is there")                                \
    X(ETOOBIG, 413, "too large")                                                       \
    X(EUNPROCESSABLE, 422, "not processable")                                          \
    X(ERATE, 429, "too many requests")                                                 \
    X(ECANCELED, 499, "canceled")                                                      \
    X(EIO, 500, "input or output error")                                               \
    X(EDB, 500, "the store failed")                                                    \
    X(EPOISON, 500, "the store refuses this row")                                      \
    X(ECORRUPT, 500, "damaged data")                                                   \
    X(EBACKEND, 500, "the embedding model failed")                                     \
    X(EFATAL, 500, "not able to go on")                                                \
    X(EBUSY, 503, "busy, try again later")                                             \
    X(ECLOSED, 503, "shutting down")                                                   \
    X(ENOMEM, 503, "out of memory")                                                    \
    X(EUNAVAILABLE, 503, "the store is not available")                                 \
    X(ETIMEOUT, 504, "timed out")                                                      \
    X(ENOSPC, 507, "no space left on the disk")

enum mf_code_index {
    MF_CODE_OK_INDEX = 0,

#define X(name, status, sentence) MF_CODE_##name##_INDEX,
    MF_ERR_TABLE(X)
#undef X
};

enum mf_code {
    MF_OK = 0,

#define X(name, status, sentence) MF_##name = -MF_CODE_##name##_INDEX,
    MF_ERR_TABLE(X)
#undef X
};

#define MF_ERR_MAX 256

struct mf_err {
    int code; /* enum mf_code */
    int sys;  /* errno or the library's own code, 0 when there is none */
    char msg[MF_ERR_MAX];
};

/* Writes the sentence and returns `code`, so that one line reports and returns.
 * `err` may be NULL. */
MF_ANY int mf_err_set(struct mf_err *err, int code, const char *fmt, ...)
    MF_PRINTF(3, 4);

/* Puts "prefix: " before the sentence that is there (or the code's own) and returns
 * `code`. */
MF_ANY int mf_err_wrap(struct mf_err *err, int code, const char *fmt, ...)
    MF_PRINTF(3, 4);

MF_ANY const char *mf_code_name(int code);     /* "EINVAL"; "OK" for 0 */
MF_ANY const char *mf_code_sentence(int code); /* "invalid input" */
MF_ANY int mf_code_status(int code);           /* 400; 200 for 0 */
MF_ANY int mf_code_from_errno(int sys);        /* ENOSPC, EDQUOT -> MF_ENOSPC, ... */

#endif
