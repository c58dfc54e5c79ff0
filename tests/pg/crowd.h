/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crowd: a batch of rows of many users, who come interleaved.
 *
 * Owns:    struct crowd: the rows and the names in them; texts are the case's
 * Thread:  any
 * Limits:  CROWD_MAX rows
 * Fails:   an assertion when there are more
 */
#ifndef MF_TEST_CROWD_H
#define MF_TEST_CROWD_H

#include "store/store.h"

#define CROWD_MAX  3000
#define CROWD_NAME 24

struct crowd {
    struct mf_store_row rows[CROWD_MAX];
    char ids[CROWD_MAX][CROWD_NAME], users[CROWD_MAX][CROWD_NAME];
};

/* Row i is message "m<n - i>" of user "u<i % n_users>", with the order number i + 1. */
MF_ANY void crowd_make(struct crowd *c, size_t n, size_t n_users);

#endif
