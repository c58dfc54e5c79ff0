/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_kit_pg: the Postgres half of store_kit: a schema for each case in the database
 * of MF_TEST_DSN, and SQL on it.
 *
 * Environment: MF_TEST_PG_VERSION (citus: tables are distributed), MF_TEST_PG_SHARED
 * (set: as if other processes wrote to it, too).
 *
 * Owns:    nothing; the schemas go with the server
 * Thread:  the case's; waits for the server
 * Limits:  none
 * Fails:   through cmocka's assertions
 */
#ifndef MF_STORE_KIT_PG_H
#define MF_STORE_KIT_PG_H

#include "unit/store_kit.h"

#include <libpq-fe.h>

/* Makes the schema and k->dsn. */
MF_ANY void kit_pg_furnish(struct store_kit *k);
/* Fills what a Postgres store wants to know. */
MF_ANY void kit_pg_config(const struct store_kit *k, struct mf_store_config *cfg);
MF_ANY PGresult *kit_pg_run(PGconn *db, const char *sql); /* the caller clears it */
MF_ANY int64_t kit_pg_count(const struct store_kit *k, const char *sql);
MF_ANY void kit_pg_exec(const struct store_kit *k, const char *sql);

/* ---- a shared store ---- */

/* How many messages have the last mark of their user. */
MF_ANY int64_t kit_pg_n_marked_last(const struct store_kit *k);
/* Every user's last mark is 1 now, and every message's: to go on with, instead of the
 * clock. */
MF_ANY void kit_pg_restart_marks(const struct store_kit *k);

#endif
