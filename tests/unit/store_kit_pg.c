/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/store_kit_pg.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static PGconn *connect_to(const char *dsn)
{
    PGconn *db = PQconnectdb(dsn);

    if (PQstatus(db) != CONNECTION_OK) {
        fail_msg("%s", PQerrorMessage(db));
    }
    return db;
}

PGresult *kit_pg_run(PGconn *db, const char *sql)
{
    PGresult *res = PQexec(db, sql);
    ExecStatusType status = PQresultStatus(res);

    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        fail_msg("%s: %s", sql, PQresultErrorMessage(res));
    }
    return res;
}

bool kit_is_postgres(void)
{
    return getenv("MF_TEST_DSN") != NULL;
}

void kit_pg_furnish(struct store_kit *k)
{
    static unsigned n_cases;

    char sql[256];
    char schema[64];
    PGconn *db = connect_to(getenv("MF_TEST_DSN"));

    (void)snprintf(schema, sizeof(schema), "case_%d_%u", (int)getpid(), ++n_cases);
    /* The words of the kit stand in a schema that the store does not see. */
    (void)snprintf(sql, sizeof(sql),
                   "CREATE SCHEMA %s; CREATE SCHEMA %s_kit;"
                   "CREATE DOMAIN %s_kit.blob AS bytea",
                   schema, schema, schema);
    PQclear(kit_pg_run(db, sql));
    PQfinish(db);
    (void)snprintf(k->dsn, sizeof(k->dsn), "%s options='-c search_path=%s,public'",
                   getenv("MF_TEST_DSN"), schema);
}

/* A vector for every record, so that the column is written where there is one. */
static size_t vector_of(struct mf_slice search, float *to, size_t max_dim)
{
    if (search.n == 0 || max_dim < 2) {
        return 0;
    }
    to[0] = (float)search.n;
    to[1] = (float)search.p[0];
    return 2;
}

void kit_pg_config(const struct store_kit *k, struct mf_store_config *cfg)
{
    const char *version = getenv("MF_TEST_PG_VERSION");

    cfg->vector_of = vector_of;
    cfg->pg = (struct mf_store_pg_config){
        .dsn = k->dsn,
        .wants_vector = true,
        .is_citus = version != NULL && strcmp(version, "citus") == 0,
        .is_shared = k->is_shared || getenv("MF_TEST_PG_SHARED") != NULL,
        .node = 1,
        .readers = 2,
        .writers = 1,
        .connect_timeout_ms = 10000,
        .statement_timeout_ms = 30000,
        .lock_timeout_ms = 10000,
        .deadline_ms = 40000,
        .idle_ms = 60000,
        .age_ms = 300000,
        .first_backoff_ms = 10,
        .max_backoff_ms = 1000,
    };
}

static PGconn *connect_to_case(const struct store_kit *k)
{
    PGconn *db = connect_to(k->dsn);

    PQclear(kit_pg_run(db, "SELECT set_config('search_path', path || ',' || "
                           "split_part(path, ',', 1) || '_kit', false)"
                           " FROM current_setting('search_path') path"));
    return db;
}

int64_t kit_pg_count(const struct store_kit *k, const char *sql)
{
    PGconn *db = connect_to_case(k);
    PGresult *res = kit_pg_run(db, sql);
    int64_t n;

    MF_CHECK_INT(PQntuples(res), 1);
    n = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
    PQclear(res);
    PQfinish(db);
    return n;
}

void kit_pg_exec(const struct store_kit *k, const char *sql)
{
    PGconn *db = connect_to_case(k);

    PQclear(kit_pg_run(db, sql));
    PQfinish(db);
}

int64_t kit_pg_n_marked_last(const struct store_kit *k)
{
    return kit_pg_count(k, "SELECT count(*) FROM messages m JOIN marks k"
                           " USING (user_id) WHERE m.mark = k.mark");
}

void kit_pg_restart_marks(const struct store_kit *k)
{
    kit_pg_exec(k, "UPDATE marks SET mark = 1");
    kit_pg_exec(k, "UPDATE messages SET mark = 1");
}
