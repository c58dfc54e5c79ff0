/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth: who asks. The one place that makes scopes.
 *
 * Without server.api_key_validation everybody is the administrator (the configuration
 * check allows that on loopback and Unix sockets only). With it, a request carries
 * `Bearer KEY`; keys are known by their SHA-256. The administrator's comes from
 * server.admin_key_file, users' keys from the store, remembered for a second.
 *
 * Owns:    the digest, the administrator's key hash, up to MF_AUTH_MAX_KNOWN keys
 * Thread:  loop
 * Limits:  a key of MF_AUTH_MIN_KEY..MF_AUTH_MAX_KEY printable bytes
 * Fails:   open: MF_EINVAL, MF_EIO with the file in the sentence; a request: answered
 *          401, the same whether the key is unknown, expired or of a user that went
 */
#ifndef MF_API_AUTH_H
#define MF_API_AUTH_H

#include "base/base.h"
#include "base/err.h"
#include "base/id.h"
#include "conf/conf.h"
#include "engine/scope.h"
#include "loop/loop.h"

#define MF_AUTH_MAX_KNOWN 4096U
#define MF_AUTH_TTL_MS    1000U
#define MF_AUTH_MIN_KEY   16U
#define MF_AUTH_MAX_KEY   256U
#define MF_AUTH_HASH      32U

/* "mf_", 8 of the key's id, "_", 32 random bytes in base 62 */
#define MF_KEY_SECRET 43U
#define MF_KEY_LEN    (3U + 8U + 1U + MF_KEY_SECRET)

struct mf_auth;
struct mf_api_req;
struct mf_http_req;

MF_MUST MF_LOOP int mf_auth_open(struct mf_auth **out, const struct mf_conf *conf,
                                 struct mf_err *err);
MF_LOOP void mf_auth_close(struct mf_auth *a);
/* Fills r->scope and calls mf_api_go_on, now or later; or answers 401. */
MF_LOOP void mf_auth_request(struct mf_api_req *r);
/* Whether a request that needs a key shows none: refused before its body is read. */
MF_LOOP bool mf_auth_has_no_key(const struct mf_auth *a,
                                const struct mf_http_req *http);
/* Keys or users were deleted: nothing remembered counts any more. */
MF_LOOP void mf_auth_forget(struct mf_auth *a);
MF_MUST MF_LOOP int mf_auth_hash(struct mf_auth *a, struct mf_slice text,
                                 uint8_t hash[MF_AUTH_HASH]);

/* Pure. */
MF_ANY void mf_auth_make_key(const struct mf_id *id, const uint8_t random[32],
                             char key[MF_KEY_LEN + 1]);
/* The KEY of "Bearer KEY". MF_EINVAL. */
MF_MUST MF_ANY int mf_auth_bearer(struct mf_slice header, struct mf_slice *key);
/* Reads a key file: a plain file of ours, mode 0600 or less. `out` is NUL-terminated.
 */
MF_MUST MF_ANY int mf_auth_read_key_file(const char *path,
                                         char out[MF_AUTH_MAX_KEY + 1],
                                         struct mf_err *err);

#endif
