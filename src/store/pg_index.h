/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_index: the HNSW indexes of pgvector over the column `embedding`, for people who
 * ask in SQL; built by a command after loading, never in the way of a flush (an insert
 * into one costs a hundred times that of a row). Our own search needs none.
 *
 * The column has no dimension, an index must have one: so there is one for each
 * dimension that its rows have, over a cast, of those rows alone. On one connection of
 * its own, which waits.
 *
 * Owns:    nothing
 * Thread:  any but the loop's: it waits for the database, for hours perhaps
 * Limits:  MF_PG_INDEX_MAX_DIM floats, pgvector's own
 * Fails:   MF_EUNAVAILABLE: no database, no pgvector, no column; MF_EINVAL; what the
 *          server says
 */
#ifndef MF_STORE_PG_INDEX_H
#define MF_STORE_PG_INDEX_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"
#include "store/store.h"

#define MF_PG_INDEX_MAX_DIM 4000U

struct mf_pg_index_ask {
    const struct mf_store_pg_config *cfg;
    bool drops; /* instead of building */
    /* What is found and done, a sentence at a time. */
    void (*say)(void *arg, const char *sentence);
    void *arg;
};

/* An index that is there and good stays; one that a build left half done is built anew.
 */
MF_MUST MF_ANY int mf_pg_index_run(const struct mf_pg_index_ask *ask,
                                   struct mf_err *err);

/* The statement that builds it, outside of a transaction; writes go on meanwhile, but
 * on Citus, which builds on each worker in a transaction. MF_EINVAL: more floats than
 * pgvector can index. */
MF_MUST MF_ANY int mf_pg_index_sql(struct mf_buf *out, unsigned dim, bool is_citus,
                                   struct mf_err *err);
/* How a query asks for it, behind FROM messages, with the vector as $1. */
MF_ANY void mf_pg_index_query(struct mf_buf *out, unsigned dim);

#endif
