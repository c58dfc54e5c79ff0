/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remote_kit: an engine_kit whose store is remote (lib/far_store.h). Linked into a test
 * program it comes between the engine and mf_store_open.
 *
 * Owns:    how the next store is opened; one case at a time
 * Thread:  the case's
 */
#ifndef MF_REMOTE_KIT_H
#define MF_REMOTE_KIT_H

#include "flow/engine_kit.h"
#include "lib/far_store.h"

/* Opens the kit with a store that is there, node 7. */
MF_ANY void remote_open(struct kit *k, const char *const *settings) MF_ASSERTS_LOOP;
MF_LOOP void remote_close(struct kit *k);
/* The store of the kit's engine, and of those it opens after a stop. */
MF_LOOP void remote_cut(bool is_cut);
MF_ANY void remote_cut_next(bool is_cut); /* of the latter alone */
MF_ANY void remote_share(bool is_on);     /* stores opened from here on */
MF_LOOP struct mf_store *remote_store(void);
/* Stores opened from here on have their file in this folder; NULL: in data.dir. */
MF_ANY void remote_store_dir(const char *dir);

#endif
