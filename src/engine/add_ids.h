/* SPDX-License-Identifier: Apache-2.0 */
/*
 * add_ids: the ids of a round that comes in, and which of its messages are there
 * already: those with the client's own ids, and those of an Idempotency-Key.
 *
 * Owns:    visits to the store; one that is late outlives its add
 * Thread:  loop
 * Limits:  a remote store is waited for recall.store_timeout long
 * Fails:   MF_ENOMEM, MF_ECONFLICT, MF_EUNPROCESSABLE, the store's codes
 */
#ifndef MF_ENGINE_ADD_IDS_H
#define MF_ENGINE_ADD_IDS_H

#include "engine/engine_priv.h"

MF_MUST MF_LOOP int mf_add_make_ids(struct mf_add_work *w);
/* Whether some of its messages may be there. */
MF_LOOP bool mf_add_may_be_known(const struct mf_add_work *w);
/* Fills w->is_known. On 0 the add goes on, perhaps before this returns: mf_add_go_on or
 * mf_add_finish. */
MF_MUST MF_LOOP int mf_add_check_ids(struct mf_add_work *w);

/* add.c */
MF_LOOP void mf_add_go_on(struct mf_add_work *w);
MF_LOOP void mf_add_finish(struct mf_add_work *w, int rc);

#endif
