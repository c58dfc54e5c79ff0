/* SPDX-License-Identifier: Apache-2.0 */
/*
 * idem: the Idempotency-Key of requests that create: the same key and body again get
 * the recorded answer, another body 422. A key belongs to who asks and to the path.
 *
 * Owns:    nothing lasting; the engine keeps the answers
 * Thread:  loop
 * Limits:  a key of 1..MF_IDEM_KEY_MAX bytes without control characters
 * Fails:   400 field Idempotency-Key; 422; the store's codes when it cannot be asked
 */
#ifndef MF_API_IDEM_H
#define MF_API_IDEM_H

#include "api/api_priv.h"

/* The SDK puts an agent's whole name, of limits.name_bytes, into its keys. */
#define MF_IDEM_KEY_MAX 2048U

/* Ends in mf_api_run or in an answer. */
MF_LOOP void mf_api_idem_request(struct mf_api_req *r);
/* The key and the body's hash for the engine's record; untouched without one. */
MF_LOOP void mf_api_idem_fill(const struct mf_api_req *r, struct mf_slice *key,
                              uint8_t hash[MF_AUTH_HASH]);
/* The answer as it is about to be sent. What stands in api->out is another's
 * afterwards. */
MF_LOOP void mf_api_idem_answered(struct mf_api_req *r, int status,
                                  struct mf_slice body);

#endif
