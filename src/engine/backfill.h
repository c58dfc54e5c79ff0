/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backfill: embeds stored rows that were stored without a vector: looks for some of
 * them now and then, at background priority, and writes their records back.
 *
 * Owns:    one step under way: a reading, its texts, a writing
 * Thread:  loop
 * Limits:  embed.backfill_batch rows a step, every embed.backfill_interval
 * Fails:   a step that failed is tried again at the next interval
 */
#ifndef MF_ENGINE_BACKFILL_H
#define MF_ENGINE_BACKFILL_H

#include "base/base.h"
#include "engine/index.h"
#include "engine/record_task.h"

struct mf_backfill;

MF_MUST MF_LOOP int mf_backfill_new(struct mf_backfill **out,
                                    const struct mf_index_parts *p,
                                    const struct mf_record_maker *maker);
MF_LOOP void mf_backfill_free(struct mf_backfill *b);   /* embed and store are closed */
MF_LOOP void mf_backfill_expect(struct mf_backfill *b); /* there may be such rows */
MF_LOOP void mf_backfill_stop(struct mf_backfill *b);   /* nothing new is begun */
MF_LOOP void mf_backfill_tick(struct mf_backfill *b, uint64_t now_ms);

#endif
