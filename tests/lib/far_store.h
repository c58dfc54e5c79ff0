/* SPDX-License-Identifier: Apache-2.0 */
/*
 * far_store: a real store made remote: it tells nothing when it is opened, can be cut
 * off (requests end as MF_EUNAVAILABLE) or stalled (they get no answer), and the part
 * of one user's rows can be away for what is to be stored.
 *
 * As a remote store does, it answers the first step of MARK_FOREIGN at once when the
 * space of the rows is the one asked for, and is down from the first request that
 * failed on until it is there again.
 *
 * Owns:    the store behind it
 * Thread:  loop
 */
#ifndef MF_TEST_FAR_STORE_H
#define MF_TEST_FAR_STORE_H

#include "store/store.h"

#define FAR_STORE_WHY "no route to the database"

MF_LOOP struct mf_store *mf_far_store_open(struct mf_store *near, unsigned node);
MF_LOOP void mf_far_store_cut(struct mf_store *s, bool is_cut);
/* The end of it: requests that were held are worked on. */
MF_LOOP void mf_far_store_stall(struct mf_store *s, bool is_stalled);
/* The rows of this user are of a part of their own that is away; NULL: nobody's. The
 * text stays the caller's, until the next. */
MF_LOOP void mf_far_store_part_away(struct mf_store *s, const char *user_id);
MF_LOOP size_t mf_far_store_n_asked(const struct mf_store *s, enum mf_store_op op);

#endif
