/* SPDX-License-Identifier: Apache-2.0 */
/*
 * idset: which of a request's ids is this one? A table beside the request's own array,
 * so that a thousand ids are not compared with a thousand others. Pure.
 *
 * Owns:    the table, in the caller's arena; the ids are borrowed
 * Thread:  the owner's
 * Limits:  2^31 ids
 * Fails:   MF_ENOMEM
 */
#ifndef MF_ENGINE_IDSET_H
#define MF_ENGINE_IDSET_H

#include "base/base.h"
#include "base/mem.h"
#include "base/str.h"

#define MF_IDSET_NONE SIZE_MAX

struct mf_idset {
    const struct mf_slice *ids;
    uint32_t *slots; /* index + 1; 0: free */
    size_t mask;
    size_t twice; /* out: an index whose id stands before it already, or NONE */
};

MF_MUST MF_ANY int mf_idset_build(struct mf_idset *s, struct mf_arena *a,
                                  const struct mf_slice *ids, size_t n);
/* The first index of this id, or MF_IDSET_NONE. */
MF_ANY size_t mf_idset_find(const struct mf_idset *s, struct mf_slice id);

#endif
