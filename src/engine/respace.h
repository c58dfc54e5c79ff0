/* SPDX-License-Identifier: Apache-2.0 */
/*
 * respace: after the model was changed, walks over what is stored and marks the rows
 * whose vector is of another space (or missing) as pending, for the backfill to embed
 * them anew. Until then they keep their old record and are found by their words;
 * vectors of two spaces are never compared.
 *
 * Owns:    one step of the walk under way
 * Thread:  loop; records are looked at on the store's worker
 * Limits:  MF_RESPACE_ROWS rows a step, one step at a time
 * Fails:   a step that failed is tried again at the next interval
 */
#ifndef MF_ENGINE_RESPACE_H
#define MF_ENGINE_RESPACE_H

#include "base/base.h"
#include "engine/backfill.h"
#include "engine/index.h"

#define MF_RESPACE_ROWS 1000

struct mf_respace;

/* Has nothing to do when the store's rows are of the model's space. A remote store is
 * asked once it is there. */
MF_MUST MF_LOOP int mf_respace_new(struct mf_respace **out,
                                   const struct mf_index_parts *p,
                                   struct mf_backfill *backfill);
MF_LOOP void mf_respace_free(struct mf_respace *r); /* the store is closed */
MF_LOOP void mf_respace_stop(struct mf_respace *r);
MF_LOOP void mf_respace_tick(struct mf_respace *r, uint64_t now_ms);

#endif
