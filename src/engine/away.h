/* SPDX-License-Identifier: Apache-2.0 */
/*
 * away: is it the store that is away, or the request that is wrong?
 *
 * Owns:    nothing
 * Thread:  loop
 * Limits:  none
 * Fails:   never
 */
#ifndef MF_ENGINE_AWAY_H
#define MF_ENGINE_AWAY_H

#include "store/store.h"

/* Whether a request that ended with `rc` (0: none was made) found a remote store away:
 * it says so, or the store failed lately and has not answered since. NULL (closed):
 * false. */
MF_LOOP bool mf_store_is_away(const struct mf_store *s, int rc);

#endif
