/* SPDX-License-Identifier: Apache-2.0 */
/*
 * idem: answers by Idempotency-Key. A key under way makes others with the same key
 * wait; an answer that the store does not hold yet (an add that is not flushed) is held
 * here, the rest is asked for in the store.
 *
 * Owns:    keys and answers in memory
 * Thread:  loop
 * Limits:  answers held: one per round in the buffers; the store's for idempotency.ttl
 * Fails:   MF_ENOMEM, MF_EBUSY and the store's codes, as MF_IDEM_FAILED
 */
#ifndef MF_ENGINE_IDEM_H
#define MF_ENGINE_IDEM_H

#include "base/base.h"
#include "engine/engine.h"

struct mf_idem;

MF_MUST MF_LOOP int mf_idem_new(struct mf_idem **out, struct mf_store *store);
MF_LOOP void mf_idem_free(struct mf_idem *m);
/* A look-up that takes longer is over by the next mf_idem_tick, as with a store that is
 * away; 0: it is waited for. */
MF_LOOP void mf_idem_bound(struct mf_idem *m, uint64_t max_wait_ms);
MF_LOOP void mf_idem_tick(struct mf_idem *m, uint64_t now_ms);
/* The store is about to be closed: it is asked no more (MF_ECLOSED). */
MF_LOOP void mf_idem_stop(struct mf_idem *m);
MF_MUST MF_LOOP int mf_idem_begin(struct mf_idem *m, struct mf_idem_ticket *t);
MF_LOOP void mf_idem_end(struct mf_idem *m, struct mf_idem_ticket *t, int status,
                         struct mf_slice response);
/* From now on the answer of this key stays here until mf_idem_drop: its round is
 * acknowledged and not stored. */
MF_LOOP void mf_idem_hold(struct mf_idem *m, struct mf_slice key);
/* Found in the journal by a restart. */
MF_MUST MF_LOOP int mf_idem_restore(struct mf_idem *m,
                                    const struct mf_store_idem *answer);
/* The held answer, for the flush. Slices live until mf_idem_drop. */
MF_LOOP bool mf_idem_find(struct mf_idem *m, struct mf_slice key,
                          struct mf_store_idem *out);
MF_LOOP void mf_idem_drop(struct mf_idem *m, struct mf_slice key);

#endif
