/* SPDX-License-Identifier: Apache-2.0 */
#include "store/pg_index.h"

#include "base/wallclock.h"
#include "store/pg_code.h"
#include "store/pg_dsn.h"

#include <libpq-fe.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_VECTOR_DIM 2000U /* of pgvector's HNSW; beyond it halves of floats */
#define LINE           512
#define NAME           "messages_embedding_"

/* Of the indexes by that name on our table. A build that still runs is not a broken
 * one.
 */
#define FIND_INDEX                                                                     \
    "SELECT c.relname, i.indisvalid, EXISTS (SELECT 1 FROM"                            \
    " pg_catalog.pg_stat_progress_create_index p WHERE p.index_relid = c.oid)"         \
    " FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid"   \
    " WHERE i.indrelid = to_regclass('messages')"

static const char find_facts[] =
    "SELECT coalesce((SELECT extversion FROM pg_catalog.pg_extension"
    " WHERE extname = 'vector'), ''), EXISTS (SELECT 1 FROM pg_catalog.pg_attribute"
    " WHERE attrelid = to_regclass('messages') AND attname = 'embedding'"
    " AND NOT attisdropped)";

static const char find_dims[] = "SELECT vector_dims(embedding), count(*) FROM messages"
                                " WHERE embedding IS NOT NULL GROUP BY 1 ORDER BY 1";

struct indexing {
    const struct mf_pg_index_ask *ask;
    struct mf_pg_dsn dsn;
    PGconn *pg;
    struct mf_err *err;
};

/* ---- texts ---- */

static const char *type_of(unsigned dim)
{
    return dim <= MAX_VECTOR_DIM ? "vector" : "halfvec";
}

int mf_pg_index_sql(struct mf_buf *out, unsigned dim, bool is_citus, struct mf_err *err)
{
    const char *type = type_of(dim);

    if (dim == 0 || dim > MF_PG_INDEX_MAX_DIM) {
        return mf_err_set(err, MF_EINVAL,
                          "vectors of %u floats cannot be indexed: pgvector indexes 1 "
                          "to %u; our own search needs no index",
                          dim, MF_PG_INDEX_MAX_DIM);
    }
    mf_buf_addf(
        out,
        "CREATE INDEX %sIF NOT EXISTS " NAME "%u ON messages USING hnsw"
        " ((embedding::%s(%u)) %s_cosine_ops) WHERE vector_dims(embedding) = %u",
        is_citus ? "" : "CONCURRENTLY ", dim, type, dim, type, dim);
    return mf_buf_status(out);
}

void mf_pg_index_query(struct mf_buf *out, unsigned dim)
{
    const char *type = type_of(dim);

    mf_buf_addf(out,
                "WHERE vector_dims(embedding) = %u ORDER BY embedding::%s(%u) <=> "
                "$1::%s(%u)",
                dim, type, dim, type, dim);
}

static void say(const struct indexing *x, const char *fmt, ...) MF_PRINTF(2, 3);

static void say(const struct indexing *x, const char *fmt, ...)
{
    char line[LINE];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    x->ask->say(x->ask->arg, line);
}

/* ---- the connection ---- */

static const char *end_list(struct mf_buf *list)
{
    if (mf_buf_status(list) < 0 || list->n == 0) {
        return "";
    }
    list->p[list->n - 1] = '\0'; /* the last comma */
    return list->p;
}

static PGconn *connect_to(const struct mf_pg_dsn *d)
{
    const char *keywords[MF_PG_MAX_WORDS + 4], *values[MF_PG_MAX_WORDS + 4];
    struct mf_buf lists[3];
    PGconn *pg;
    size_t n = d->n;

    memcpy((void *)keywords, (const void *)d->keywords, n * sizeof(*keywords));
    memcpy((void *)values, (const void *)d->values, n * sizeof(*values));
    for (size_t k = 0; k < mf_countof(lists); k++) {
        static const char *const names[] = {"host", "hostaddr", "port"};

        mf_buf_init(&lists[k]);
        for (size_t i = 0; i < d->n_hosts; i++) {
            const struct mf_pg_host *h = &d->hosts[i];
            const char *part = k == 0 ? h->name : k == 1 ? h->addr : h->port;

            mf_buf_add_str(&lists[k], part == NULL ? "" : part);
            mf_buf_add_char(&lists[k], ',');
        }
        keywords[n] = names[k];
        values[n++] = end_list(&lists[k]);
    }
    keywords[n] = values[n] = NULL;
    pg = PQconnectdbParams(keywords, values, 0);
    for (size_t k = 0; k < mf_countof(lists); k++) {
        mf_buf_fini(&lists[k]);
    }
    return pg;
}

static void be_quiet(MF_UNUSED void *arg, MF_UNUSED const PGresult *res)
{
}

/* The answer, the caller's to clear; NULL after a sentence. */
static PGresult *run(const struct indexing *x, const char *sql)
{
    PGresult *res = PQexec(x->pg, sql);
    ExecStatusType status = PQresultStatus(res);

    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
        return res;
    }
    (void)mf_pg_fail(res, x->err);
    PQclear(res);
    return NULL;
}

static int run_only(const struct indexing *x, const char *sql)
{
    PGresult *res = run(x, sql);

    PQclear(res);
    return res == NULL ? x->err->code : 0;
}

static int open_database(struct indexing *x)
{
    const struct mf_store_pg_config *c = x->ask->cfg;
    int rc = mf_pg_dsn_parse(&x->dsn, c->dsn, c->password_file, c->connect_timeout_ms,
                             x->err);

    if (rc < 0) {
        return rc;
    }
    x->pg = connect_to(&x->dsn);
    if (PQstatus(x->pg) != CONNECTION_OK) {
        const char *why = PQerrorMessage(x->pg);

        return mf_err_set(x->err, MF_EUNAVAILABLE, "%.*s", (int)strcspn(why, "\n"),
                          why);
    }
    (void)PQsetNoticeReceiver(x->pg, be_quiet, NULL);
    /* It takes as long as it takes, also where the role has limits of its own. */
    return run_only(x, "SET statement_timeout = 0; SET lock_timeout = 0");
}

/* ---- what is there ---- */

static bool is_new_enough(const char *version)
{
    char *dot = NULL;
    unsigned long major = strtoul(version, &dot, 10);

    return major > 0 || (*dot == '.' && strtoul(dot + 1, NULL, 10) >= 8);
}

static int judge(const struct indexing *x, const char *version, bool has_column)
{
    if (version[0] == '\0') {
        return mf_err_set(x->err, MF_EUNAVAILABLE,
                          "the database has no pgvector, so that there is no column to "
                          "index; memfuse's own search needs neither");
    }
    if (!is_new_enough(version)) {
        return mf_err_set(x->err, MF_EUNAVAILABLE,
                          "pgvector %.32s is too old: install 0.8 or later, then ALTER "
                          "EXTENSION vector UPDATE",
                          version);
    }
    if (!has_column) {
        return mf_err_set(x->err, MF_EUNAVAILABLE,
                          "there is no column messages.embedding: start memfuse serve "
                          "once with store.postgres.vector: auto, which makes it");
    }
    say(x, "pgvector %.32s", version);
    return 0;
}

static int look(const struct indexing *x)
{
    PGresult *res = run(x, find_facts);
    int rc;

    if (res == NULL) {
        return x->err->code;
    }
    rc = judge(x, PQgetvalue(res, 0, 0), PQgetvalue(res, 0, 1)[0] == 't');
    PQclear(res);
    return rc;
}

/* ---- build ---- */

static int drop(const struct indexing *x, const char *name)
{
    char *quoted = PQescapeIdentifier(x->pg, name, strlen(name));
    char sql[LINE];
    int rc;

    if (quoted == NULL) {
        return mf_err_set(x->err, MF_ENOMEM, "out of memory");
    }
    (void)snprintf(sql, sizeof(sql), "DROP INDEX %sIF EXISTS %s",
                   x->ask->cfg->is_citus ? "" : "CONCURRENTLY ", quoted);
    PQfreemem(quoted);
    rc = run_only(x, sql);
    if (rc == 0) {
        say(x, "dropped %s", name);
    }
    return rc;
}

static int build(const struct indexing *x, unsigned dim)
{
    int64_t began_us = mf_wallclock_us();
    struct mf_buf sql;
    int rc;

    mf_buf_init(&sql);
    rc = mf_pg_index_sql(&sql, dim, x->ask->cfg->is_citus, x->err);
    mf_buf_add_char(&sql, '\0');
    if (rc == 0) {
        rc = mf_buf_status(&sql);
    }
    if (rc == 0) {
        say(x, "building " NAME "%u%s", dim,
            x->ask->cfg->is_citus ? ": writes wait for it" : " beside the writes");
        rc = run_only(x, sql.p);
    }
    mf_buf_fini(&sql);
    if (rc == 0) {
        say(x, "built " NAME "%u in %.1f s", dim,
            (double)(mf_wallclock_us() - began_us) / 1e6);
    }
    return rc;
}

/* 1: it is there and good; 0: it is to be built. */
static int look_for(const struct indexing *x, unsigned dim)
{
    char sql[sizeof(FIND_INDEX) + 64], name[64];
    PGresult *res;
    bool is_valid, is_building;

    (void)snprintf(name, sizeof(name), NAME "%u", dim);
    (void)snprintf(sql, sizeof(sql), FIND_INDEX " AND c.relname = '%s'", name);
    res = run(x, sql);
    if (res == NULL) {
        return x->err->code;
    }
    if (PQntuples(res) == 0) {
        PQclear(res);
        return 0;
    }
    is_valid = PQgetvalue(res, 0, 1)[0] == 't';
    is_building = PQgetvalue(res, 0, 2)[0] == 't';
    PQclear(res);
    if (is_building) {
        return mf_err_set(x->err, MF_EBUSY, "%s is being built by another session",
                          name);
    }
    if (is_valid) {
        say(x, "%s is there already", name);
        return 1;
    }
    say(x, "%s is there, but its build was broken off: it is built anew", name);
    return drop(x, name);
}

static int build_one(const struct indexing *x, unsigned dim, const char *n_rows)
{
    struct mf_buf query;
    int rc;

    say(x, "%s messages with vectors of %u floats", n_rows, dim);
    rc = look_for(x, dim);
    if (rc == 0) {
        rc = build(x, dim);
    }
    if (rc < 0) {
        return rc;
    }
    mf_buf_init(&query);
    mf_pg_index_query(&query, dim);
    say(x, "it serves queries with: %.*s LIMIT ...", (int)query.n,
        query.n == 0 ? "" : query.p);
    mf_buf_fini(&query);
    return 0;
}

static int build_all(const struct indexing *x)
{
    PGresult *res = run(x, find_dims);
    int rc = 0;

    if (res == NULL) {
        return x->err->code;
    }
    if (PQntuples(res) == 0) {
        say(x, "no message has a vector yet: there is nothing to index");
    }
    for (int i = 0; rc == 0 && i < PQntuples(res); i++) {
        rc = build_one(x, (unsigned)strtoul(PQgetvalue(res, i, 0), NULL, 10),
                       PQgetvalue(res, i, 1));
    }
    PQclear(res);
    return rc;
}

static int drop_all(const struct indexing *x)
{
    PGresult *res = run(x, FIND_INDEX " AND c.relname ~ '^" NAME "[0-9]+$'"
                                      " ORDER BY c.relname");
    int rc = 0;

    if (res == NULL) {
        return x->err->code;
    }
    if (PQntuples(res) == 0) {
        say(x, "there is no index to drop");
    }
    for (int i = 0; rc == 0 && i < PQntuples(res); i++) {
        rc = drop(x, PQgetvalue(res, i, 0));
    }
    PQclear(res);
    return rc;
}

int mf_pg_index_run(const struct mf_pg_index_ask *ask, struct mf_err *err)
{
    struct indexing x = {.ask = ask, .err = err};
    int rc = open_database(&x);

    if (rc == 0) {
        rc = look(&x);
    }
    if (rc == 0) {
        rc = ask->drops ? drop_all(&x) : build_all(&x);
    }
    PQfinish(x.pg);
    if (x.dsn.n > 0) {
        mf_pg_dsn_fini(&x.dsn);
    }
    return rc;
}
