/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_schema: the tables, and the way from any earlier version to this one.
 *
 * Numbered steps, forward only, each in a transaction of its own that also writes the
 * new number; a newer number than ours is refused. Only who holds the lease row (a
 * compare-and-set with an end time, no advisory lock) takes steps; others wait and look
 * again. All DDL is IF NOT EXISTS, so that a step whose outcome is unknown may be taken
 * again.
 *
 * Owns:    nothing
 * Thread:  worker (a verb)
 * Limits:  none
 * Fails:   MF_EINVAL: newer schema, a database of another program, or Citus wanted and
 *          not there; MF_EBUSY: another process migrates, try again later; MF_EEXIST:
 *          another process created the same at the same moment, try again at once; what
 *          the server says
 */
#ifndef MF_STORE_PG_SCHEMA_H
#define MF_STORE_PG_SCHEMA_H

#include "store/pg_job.h"

#define MF_PG_SCHEMA_VERSION 1

struct mf_pg_schema { /* j->state of the verb below */
    /* out */
    uint32_t vector_oid; /* 0: no pgvector, or not wanted */
    bool is_citus;
    char server[64]; /* "PostgreSQL 15.20" */
    /* the verb's own */
    char holder[40]; /* who we are in the lease row; set by the caller */
    int version, phase;
    bool has_lease, has_tables, was_created, was_vector_tried, was_spread, is_stale;
};

/* Migrates, finds out what the server can, and sets the space of the rows to 0 when it
 * is not env->space. A verb without a request; runs its own transactions (is_write
 * false). */
MF_MUST MF_WORKER int mf_pg_migrate(struct mf_pg_job *j);

#endif
