/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The planner is asked for every statement, with no values known and scans of whole
 * tables priced out of reach: one that is planned nevertheless has no index to use.
 */
#include "store/pg_sql.h"
#include "unit/store_kit_pg.h"

#include <stdio.h>

/* The greatest n of its $n. */
static int count_parameters(const char *text)
{
    int n = 0;

    for (const char *p = strchr(text, '$'); p != NULL; p = strchr(p + 1, '$')) {
        int at = 0;

        for (const char *d = p + 1; *d >= '0' && *d <= '9'; d++) {
            at = at * 10 + (*d - '0');
        }
        n = mf_max(n, at);
    }
    return n;
}

static bool reads_a_whole_table(const PGresult *plan)
{
    for (int i = 0; i < PQntuples(plan); i++) {
        if (strstr(PQgetvalue(plan, i, 0), "Seq Scan") != NULL) {
            return true;
        }
    }
    return false;
}

static void explain(PGconn *db, const struct mf_pg_sql *sql)
{
    static char text[8192];

    int n = count_parameters(sql->text);
    PGresult *plan;
    size_t used;

    (void)snprintf(text, sizeof(text), "PREPARE %s AS %s", sql->name, sql->text);
    PQclear(kit_pg_run(db, text));
    used = (size_t)snprintf(text, sizeof(text), "EXPLAIN EXECUTE %s(", sql->name);
    for (int i = 0; i < n; i++) {
        used += (size_t)snprintf(text + used, sizeof(text) - used, "NULL%s",
                                 i + 1 == n ? ")" : ", ");
    }
    plan = kit_pg_run(db, text);
    if (reads_a_whole_table(plan)) {
        fail_msg("%s: no index for it", sql->name);
    }
    PQclear(plan);
}

MF_TEST(pg_plans, reach_messages_passages_and_answers_by_a_key_or_an_index)
{
    static const enum mf_pg_stmt statements[] = {

#define X(name, text) MF_PG_##name,
        MF_PG_SQL_MESSAGES(X)
#undef X
    };
    struct store_kit k = {0};
    struct mf_store_row row = kit_row("u1", "s1", "m1", 1);
    PGconn *db;

    kit_open(&k);
    MF_CHECK_OK(kit_write(&k, &row, 1, NULL)); /* the tables are there now */
    db = PQconnectdb(k.dsn);
    MF_CHECK_INT(PQstatus(db), CONNECTION_OK);
    PQclear(kit_pg_run(db, "SET enable_seqscan = off"));
    PQclear(kit_pg_run(db, "SET plan_cache_mode = force_generic_plan"));
    for (size_t i = 0; i < mf_countof(statements); i++) {
        const struct mf_pg_sql *sql = mf_pg_sql(statements[i]);

        if (strstr(sql->text, "vector[]") == NULL) { /* as the ones without it */
            explain(db, sql);
        }
    }
    PQfinish(db);
    kit_close(&k);
}
