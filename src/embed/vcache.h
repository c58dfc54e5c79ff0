/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vcache: vectors that were made, by the hash of what they were made of: bounded in
 * bytes, the least recently used goes first, and none is used beyond its age.
 *
 * Clear takes no longer for many than for few: what is cleared is not found any more
 * and its memory goes in steps (mf_vcache_sweep).
 *
 * Owns:    its copies of the vectors
 * Thread:  the owner's
 * Limits:  max_bytes of all entries, their heads counted; 0: keeps nothing
 * Fails:   MF_ENOMEM from mf_vcache_new; a vector for which there is no memory is not
 *          kept
 */
#ifndef MF_EMBED_VCACHE_H
#define MF_EMBED_VCACHE_H

#include "base/base.h"
#include "base/list.h"
#include "base/map.h"
#include "base/str.h"

#include <openssl/evp.h>

#define MF_VKEY_BYTES 32U /* SHA-256 */

struct mf_vkey {
    uint8_t b[MF_VKEY_BYTES];
};

/* SHA-256 over the length-prefixed space, the flags, and the length of `prompt` and
 * `text` together: what is embedded is the one behind the other. MF_ENOMEM. */
struct mf_vkey_maker {
    EVP_MD *sha256;
    EVP_MD_CTX *ctx;
};

struct mf_vkey_of {
    struct mf_slice space, prompt, text;
    unsigned flags;
};

MF_MUST MF_ANY int mf_vkey_maker_init(struct mf_vkey_maker *m);
MF_ANY void mf_vkey_maker_fini(struct mf_vkey_maker *m);
MF_MUST MF_ANY int mf_vkey_make(struct mf_vkey_maker *m, const struct mf_vkey_of *of,
                                struct mf_vkey *out);

static inline struct mf_slice mf_vkey_slice(const struct mf_vkey *k)
{
    return mf_slice_of((const char *)k->b, sizeof(k->b));
}

/* ---- the cache ---- */

struct mf_vcache;

struct mf_vcache_counts {
    uint64_t evicted, expired;
    size_t n, bytes; /* that can be found */
};

MF_MUST MF_ANY int mf_vcache_new(struct mf_vcache **out, uint16_t dim, size_t max_bytes,
                                 uint64_t ttl_ms); /* 0: no end */
MF_ANY void mf_vcache_free(struct mf_vcache *c);
/* NULL, or the vector, which stays until the next call. */
MF_ANY const float *mf_vcache_get(struct mf_vcache *c, const struct mf_vkey *key,
                                  uint64_t now_ms, uint32_t *n_tokens);
MF_ANY void mf_vcache_put(struct mf_vcache *c, const struct mf_vkey *key,
                          const float *vector, uint32_t n_tokens, uint64_t now_ms);
MF_ANY void mf_vcache_clear(struct mf_vcache *c);
/* Frees up to `max` of what was cleared. True: there is more. */
MF_ANY bool mf_vcache_sweep(struct mf_vcache *c, size_t max);
MF_ANY void mf_vcache_counts(const struct mf_vcache *c, struct mf_vcache_counts *out);
MF_ANY void mf_vcache_reset_counts(struct mf_vcache *c);

#endif
