/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_write_rig: a job that writes rows, and no server: the case calls the steps of a
 * verb itself and looks at what they add to the round.
 *
 * Owns:    the job's arenas between rig_open and rig_close
 * Thread:  the case's
 * Limits:  two results a round
 * Fails:   as the steps do
 */
#ifndef MF_PG_WRITE_RIG_H
#define MF_PG_WRITE_RIG_H

#include "lib/mf_test.h"
#include "store/pg_job.h"

struct rig {
    struct mf_pg_env env;
    struct mf_store_write w;
    struct mf_pg_job job;
    struct mf_arena args;
    PGresult *results[2];
};

/* `env` and the rest of `w` are the case's. The arenas have small blocks: many to fail.
 */
MF_ANY void rig_open(struct rig *r, const struct mf_store_row *rows, size_t n);
MF_ANY void rig_close(struct rig *r);

#endif
