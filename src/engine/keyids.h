/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keyids: ids made of an Idempotency-Key, so that a request that is sent again, to
 * whichever process on the same store, makes the same rows, of which the store keeps
 * one. UUIDs of version 8 (RFC 9562): the first 16 bytes of
 *
 *     SHA-256(SHA-256("memfuse id 1" | length of key, 8 bytes | key | hash of the body)
 *             | index, 4 bytes)                  all numbers little-endian
 *
 * The key is scoped (who, route, the client's words), so nobody else's key gives them.
 * The body counts, so that another request under a key that nobody remembers any more
 * is another one, and never lost for one that is stored.
 *
 * Owns:    nothing
 * Thread:  any
 * Limits:  2^32 ids of a key
 * Fails:   MF_ENOMEM
 */
#ifndef MF_ENGINE_KEYIDS_H
#define MF_ENGINE_KEYIDS_H

#include "base/base.h"
#include "base/id.h"

#define MF_KEYIDS_BYTES 32

struct mf_keyids {
    uint8_t seed[MF_KEYIDS_BYTES];
};

MF_MUST MF_ANY int mf_keyids_init(struct mf_keyids *k, struct mf_slice key,
                                  const uint8_t body_hash[MF_KEYIDS_BYTES]);
/* SHA-256. */
MF_MUST MF_ANY int mf_keyids_hash(struct mf_slice bytes, uint8_t out[MF_KEYIDS_BYTES]);
MF_MUST MF_ANY int mf_keyids_make(const struct mf_keyids *k, uint32_t index,
                                  struct mf_id *out);

#endif
