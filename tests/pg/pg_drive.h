/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_drive: runs a verb of the Postgres store over a plain libpq connection that waits,
 * a round at a time, so that a case can stop between any two rounds.
 *
 * Owns:    the connection; the job's arenas and results
 * Thread:  the caller's, one at a time a drive
 * Limits:  rows that stream are handed over one by one
 * Fails:   connecting through cmocka's assertions; the verb's and the server's codes
 */
#ifndef MF_PG_DRIVE_H
#define MF_PG_DRIVE_H

#include "store/pg_job.h"

struct drive {
    PGconn *db;
    struct mf_pg_env env;
    struct mf_pg_job job;
    struct mf_arena args;
    struct mf_err err;
    mf_pg_rows_fn rows;
    PGresult *results[MF_PG_MAX_CALLS];
};

/* Connects to MF_TEST_DSN with these further words of libpq. */
MF_ANY void drive_open(struct drive *d, const char *more);
MF_ANY void drive_close(struct drive *d);
/* A job without a request. */
MF_ANY void drive_begin(struct drive *d, void *state);
/* A step and its round: 1: more to come, 0: it is over, negative: it failed. */
MF_MUST MF_ANY int drive_round(struct drive *d, mf_pg_step_fn step);
MF_ANY void drive_end(struct drive *d);
/* begin, rounds until it is over, end: 0 or the failure; `*n` (may be NULL) rounds. */
MF_MUST MF_ANY int drive_all(struct drive *d, mf_pg_step_fn step, void *state,
                             unsigned *n);

/* A request of the store, whose arena the caller frees (mf_store_req_fini): in a
 * transaction when the verb writes, which is rolled back when it fails. */
MF_MUST MF_ANY int drive_request(struct drive *d, const struct mf_pg_verb *v,
                                 struct mf_store_req *req);

/* SQL of the case's own; a failure of the server's fails the case. */
MF_ANY void drive_exec(struct drive *d, const char *sql);
/* The first value of the first row, in text; NULL is "". Until the next call. */
MF_ANY const char *drive_value(struct drive *d, const char *sql);

#endif
