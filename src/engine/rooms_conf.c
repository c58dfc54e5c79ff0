/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/rooms_conf.h"

#include "recall/searchrec.h"

#include <string.h>

/* The server has so much longer than its own statement_timeout to say that it gave up.
 */
#define STORE_GRACE_MS         5000
#define STORE_FIRST_BACKOFF_MS 500ull

void mf_journal_conf(const struct mf_conf *c, struct mf_journal_config *out)
{
    *out = (struct mf_journal_config){
        .dir = c->data_dir,
        .max_bytes = c->journal_max_bytes,
        .min_free_bytes = c->journal_min_free_bytes,
        .max_commit_rounds = (unsigned)c->journal_max_commit_rounds,
        .max_commit_bytes = c->journal_max_commit_bytes,
        .checkpoint_pages = (unsigned)c->journal_checkpoint_pages,
        .accept_loss = c->journal_accept_loss};
}

/* A worker's: the store writes the vectors down for people who ask in SQL. */
static size_t vector_of(struct mf_slice search, float *to, size_t max_dim)
{
    struct mf_search_view v;

    if (search.n == 0 || mf_search_view(search, &v) < 0 || v.vector == NULL ||
        v.dim > max_dim) {
        return 0;
    }
    if ((v.flags & MF_SEARCH_F32) != 0) {
        memcpy(to, v.vector, v.dim * sizeof(*to));
        return v.dim;
    }
    for (size_t i = 0; i < v.dim; i++) {
        to[i] = (float)((const int8_t *)v.vector)[i] * v.scale;
    }
    return v.dim;
}

static struct mf_store_pg_config pg_config(const struct mf_conf *c)
{
    return (struct mf_store_pg_config){
        .dsn = c->store_postgres_dsn,
        .password_file = c->store_postgres_password_file,
        .wants_vector = strcmp(c->store_postgres_vector, "auto") == 0,
        .is_citus = strcmp(c->store_postgres_distribute, "citus") == 0,
        .is_shared = c->store_shared,
        .node = (unsigned)c->store_postgres_node,
        .readers = (unsigned)c->store_postgres_readers,
        .writers = (unsigned)c->store_postgres_writers,
        .connect_timeout_ms = c->store_postgres_connect_timeout_ms,
        .statement_timeout_ms = c->store_postgres_statement_timeout_ms,
        .lock_timeout_ms = c->store_postgres_lock_timeout_ms,
        .deadline_ms = c->store_postgres_statement_timeout_ms + STORE_GRACE_MS,
        .idle_ms = c->store_postgres_idle_timeout_ms,
        .age_ms = c->store_postgres_max_age_ms,
        .first_backoff_ms =
            mf_min(STORE_FIRST_BACKOFF_MS, c->store_postgres_max_backoff_ms),
        .max_backoff_ms = c->store_postgres_max_backoff_ms};
}

void mf_store_conf(const struct mf_conf *c, uint32_t space, struct mf_store_config *out)
{
    *out = (struct mf_store_config){.backend = c->store_backend,
                                    .dir = c->data_dir,
                                    .readers = (unsigned)c->store_sqlite_readers,
                                    .max_waiting = c->store_max_waiting,
                                    .cache_bytes = c->store_sqlite_cache_bytes,
                                    .space = space,
                                    .pg = pg_config(c),
                                    .vector_of = vector_of};
}

unsigned mf_store_permits(const struct mf_conf *c)
{
    return (unsigned)(strcmp(c->store_backend, "postgres") == 0
                          ? c->store_postgres_writers + c->store_postgres_readers
                          : 1 + c->store_sqlite_readers);
}
