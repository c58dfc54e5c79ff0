/* SPDX-License-Identifier: Apache-2.0 */
#include "pg/crowd.h"

#include "unit/store_kit.h"

#include <stdio.h>

void crowd_make(struct crowd *c, size_t n, size_t n_users)
{
    MF_CHECK(n <= CROWD_MAX);
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(c->ids[i], CROWD_NAME, "m%zu", n - i);
        (void)snprintf(c->users[i], CROWD_NAME, "u%zu", i % n_users);
        c->rows[i] = kit_row(c->users[i], "s1", c->ids[i], i + 1);
    }
}
