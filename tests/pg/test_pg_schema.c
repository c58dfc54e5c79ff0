/* SPDX-License-Identifier: Apache-2.0 */
#include "store/pg_index.h"
#include "store/pg_schema.h"

#include "base/log.h"
#include "lib/mf_test.h"
#include "pg/pg_drive.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define N_TABLES      "10" /* with memfuse */
#define MAX_ROUNDS    64
#define N_MIGRATORS   4
#define N_RACES       5
#define FAR_FUTURE_US "9000000000000000"

#define COUNT_TABLES                                                                   \
    "SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p')"                        \
    " AND relnamespace = current_schema()::regnamespace"

static bool is_version(const char *version)
{
    const char *is = getenv("MF_TEST_PG_VERSION");

    return is != NULL && strcmp(is, version) == 0;
}

/* A schema of the case's own, first in the search path. */
static const char *fresh_schema(void)
{
    static char words[128];
    static unsigned n;

    struct drive d;
    char sql[64];

    mf_log_set_level(MF_LOG_WARN);
    drive_open(&d, "");
    (void)snprintf(sql, sizeof(sql), "CREATE SCHEMA s_%d_%u", (int)getpid(), ++n);
    drive_exec(&d, sql);
    drive_close(&d);
    (void)snprintf(
        words, sizeof(words),
        "options='-c search_path=s_%d_%u,public -c client_min_messages=error'",
        (int)getpid(), n);
    return words;
}

static struct mf_pg_schema named(const char *holder)
{
    struct mf_pg_schema s = {.version = 0};

    (void)snprintf(s.holder, sizeof(s.holder), "%s", holder);
    return s;
}

static int migrate_as(struct drive *d, struct mf_pg_schema *s, const char *holder)
{
    *s = named(holder);
    return drive_all(d, mf_pg_migrate, s, NULL);
}

static void open_fresh(struct drive *d)
{
    drive_open(d, fresh_schema());
}

MF_TEST(pg_schema, makes_all_tables_and_the_next_time_only_looks)
{
    struct drive d;
    struct mf_pg_schema s = named("one");
    char xmin[64];
    unsigned n = 0;

    open_fresh(&d);
    MF_CHECK_OK(drive_all(&d, mf_pg_migrate, &s, NULL));
    MF_CHECK_INT(s.version, MF_PG_SCHEMA_VERSION);
    MF_CHECK(strncmp(s.server, "PostgreSQL 1", 12) == 0);
    MF_CHECK(strchr(s.server, '(') == NULL);
    MF_CHECK_STR(drive_value(&d, COUNT_TABLES), N_TABLES);
    MF_CHECK_STR(drive_value(&d, "SELECT version FROM memfuse"), "1");
    MF_CHECK_STR(drive_value(&d, "SELECT lease_holder IS NULL FROM memfuse"), "t");
    (void)snprintf(xmin, sizeof(xmin), "%s",
                   drive_value(&d, "SELECT xmin FROM memfuse"));
    s = named("two");
    MF_CHECK_OK(drive_all(&d, mf_pg_migrate, &s, &n));
    MF_CHECK_INT(n, 2);
    MF_CHECK_STR(drive_value(&d, "SELECT xmin FROM memfuse"), xmin);
    drive_close(&d);
}

MF_TEST(pg_schema, goes_on_where_a_migration_was_cut_off_after_any_round)
{
    struct mf_pg_schema s;
    bool is_over = false;

    for (unsigned cut = 1; !is_over; cut++) {
        const char *words = fresh_schema();
        struct drive d;

        MF_CHECK(cut < MAX_ROUNDS);
        drive_open(&d, words);
        d.env.cfg.wants_vector = true;
        d.env.cfg.is_citus = is_version("citus");
        s = named("one");
        drive_begin(&d, &s);
        for (unsigned i = 0; i < cut && !is_over; i++) {
            int rc = drive_round(&d, mf_pg_migrate);

            MF_CHECK(rc >= 0);
            is_over = rc == 0;
        }
        drive_end(&d);
        MF_CHECK_OK(migrate_as(&d, &s, "one"));
        MF_CHECK_STR(drive_value(&d, COUNT_TABLES), N_TABLES);
        MF_CHECK_STR(drive_value(&d, "SELECT lease_holder IS NULL FROM memfuse"), "t");
        drive_close(&d);
    }
}

MF_TEST(pg_schema, waits_for_the_lease_of_another_until_its_end)
{
    struct drive d;
    struct mf_pg_schema s;

    open_fresh(&d);
    MF_CHECK_OK(migrate_as(&d, &s, "one"));
    drive_exec(&d, "UPDATE memfuse SET version = 0, lease_holder = 'other',"
                   " lease_until_us = " FAR_FUTURE_US);
    MF_CHECK_INT(migrate_as(&d, &s, "one"), MF_EBUSY);
    MF_CHECK_STR(drive_value(&d, "SELECT lease_holder FROM memfuse"), "other");
    drive_exec(&d, "UPDATE memfuse SET lease_until_us = 1");
    MF_CHECK_OK(migrate_as(&d, &s, "one"));
    MF_CHECK_STR(drive_value(&d, "SELECT version FROM memfuse"), "1");
    drive_close(&d);
}

MF_TEST(pg_schema, needs_no_lease_when_there_is_nothing_to_do)
{
    struct drive d;
    struct mf_pg_schema s;

    open_fresh(&d);
    MF_CHECK_OK(migrate_as(&d, &s, "one"));
    drive_exec(&d, "UPDATE memfuse SET lease_holder = 'other', lease_until_us ="
                   " " FAR_FUTURE_US);
    MF_CHECK_OK(migrate_as(&d, &s, "one"));
    MF_CHECK_STR(drive_value(&d, "SELECT lease_holder FROM memfuse"), "other");
    drive_close(&d);
}

MF_TEST(pg_schema, refuses_a_newer_version)
{
    struct drive d;
    struct mf_pg_schema s;

    open_fresh(&d);
    MF_CHECK_OK(migrate_as(&d, &s, "one"));
    drive_exec(&d, "UPDATE memfuse SET version = 99");
    MF_CHECK_INT(migrate_as(&d, &s, "one"), MF_EINVAL);
    MF_CHECK_STR(d.err.msg, "the database has schema version 99, this program knows up "
                            "to 1: start the newer memfuse that wrote it");
    drive_close(&d);
}

MF_TEST(pg_schema, refuses_the_tables_of_another_program)
{
    static const char *const made[] = {
        "CREATE TABLE messages (id int)",
        "CREATE VIEW users AS SELECT 1 AS id",
        "CREATE TABLE memfuse (id int)",
    };
    static const char *const names[] = {"table messages", "table users",
                                        "table memfuse"};
    struct mf_pg_schema s;

    for (size_t i = 0; i < mf_countof(made); i++) {
        struct drive d;

        open_fresh(&d);
        drive_exec(&d, made[i]);
        MF_CHECK_INT(migrate_as(&d, &s, "one"), MF_EINVAL);
        MF_CHECK(strstr(d.err.msg, names[i]) != NULL);
        MF_CHECK(strstr(d.err.msg, "search_path") != NULL);
        MF_CHECK_STR(
            drive_value(&d, "SELECT count(*) FROM pg_class WHERE relname = 'agents'"
                            " AND relnamespace = current_schema()::regnamespace"),
            "0");
        drive_close(&d);
    }
}

MF_TEST(pg_schema, refuses_tables_whose_version_was_lost)
{
    struct drive d;
    struct mf_pg_schema s;

    open_fresh(&d);
    MF_CHECK_OK(migrate_as(&d, &s, "one"));
    drive_exec(&d, "DELETE FROM memfuse");
    MF_CHECK_INT(migrate_as(&d, &s, "one"), MF_EINVAL);
    MF_CHECK(strstr(d.err.msg, "lost its row") != NULL);
    drive_close(&d);
}

MF_TEST(pg_schema, says_that_no_schema_of_the_search_path_exists)
{
    struct drive d;
    struct mf_pg_schema s;

    drive_open(&d, "options='-c search_path=nowhere'");
    MF_CHECK_INT(migrate_as(&d, &s, "one"), MF_EINVAL);
    MF_CHECK(strstr(d.err.msg, "search path") != NULL);
    drive_close(&d);
}

MF_TEST(pg_schema, forgets_the_space_of_the_rows_when_another_one_is_wanted)
{
    struct drive d;
    struct mf_pg_schema s;

    open_fresh(&d);
    d.env.space = 7;
    MF_CHECK_OK(migrate_as(&d, &s, "one"));
    drive_exec(&d, "UPDATE memfuse SET space = 7");
    MF_CHECK_OK(migrate_as(&d, &s, "one"));
    MF_CHECK_STR(drive_value(&d, "SELECT space FROM memfuse"), "7");
    d.env.space = 8;
    MF_CHECK_OK(migrate_as(&d, &s, "one"));
    MF_CHECK_STR(drive_value(&d, "SELECT space FROM memfuse"), "0");
    drive_close(&d);
}

/* --- several at once */

struct migrator {
    pthread_t thread;
    struct drive d;
    char holder[16];
    int rc;
};

static void *migrate_until_done(void *arg)
{
    struct migrator *m = arg;

    for (int i = 0; i < 2000; i++) {
        struct mf_pg_schema s = named(m->holder);

        m->rc = drive_all(&m->d, mf_pg_migrate, &s, NULL);
        if (m->rc != MF_EBUSY && m->rc != MF_EEXIST) {
            break;
        }
        usleep(5000);
    }
    return NULL;
}

MF_TEST(pg_schema, ends_well_for_all_who_migrate_at_once)
{
    static struct migrator all[N_MIGRATORS];

    for (unsigned race = 0; race < N_RACES; race++) {
        const char *words = fresh_schema();

        for (unsigned i = 0; i < N_MIGRATORS; i++) {
            drive_open(&all[i].d, words);
            all[i].d.env.cfg.wants_vector = true;
            all[i].d.env.cfg.is_citus = is_version("citus");
            (void)snprintf(all[i].holder, sizeof(all[i].holder), "process %u", i);
        }
        for (unsigned i = 0; i < N_MIGRATORS; i++) {
            MF_CHECK_OK(
                pthread_create(&all[i].thread, NULL, migrate_until_done, &all[i]));
        }
        for (unsigned i = 0; i < N_MIGRATORS; i++) {
            MF_CHECK_OK(pthread_join(all[i].thread, NULL));
            MF_CHECK_STR(all[i].rc < 0 ? all[i].d.err.msg : "", "");
        }
        MF_CHECK_STR(drive_value(&all[0].d, COUNT_TABLES), N_TABLES);
        for (unsigned i = 0; i < N_MIGRATORS; i++) {
            drive_close(&all[i].d);
        }
    }
}

/* --- what some servers can */

MF_TEST(pg_schema, adds_the_vector_column_where_pgvector_is_and_is_wanted)
{
    static const char n_columns[] =
        "SELECT count(*) FROM pg_attribute WHERE attname = 'embedding'"
        " AND attrelid = 'messages'::regclass";
    bool has_it = is_version("18");
    struct drive d;
    struct mf_pg_schema s;

    open_fresh(&d);
    MF_CHECK_OK(migrate_as(&d, &s, "one"));
    MF_CHECK_INT(s.vector_oid, 0);
    MF_CHECK_STR(drive_value(&d, n_columns), "0");
    d.env.cfg.wants_vector = true;
    MF_CHECK_OK(migrate_as(&d, &s, "one"));
    MF_CHECK_STR(drive_value(&d, n_columns), has_it ? "1" : "0");
    MF_CHECK(has_it == (s.vector_oid != 0));
    if (has_it) {
        char oid[16];

        (void)snprintf(oid, sizeof(oid), "%u", s.vector_oid);
        MF_CHECK_STR(drive_value(&d, "SELECT 'vector'::regtype::oid"), oid);
    }
    MF_CHECK_STR(drive_value(&d, "SELECT lease_holder IS NULL FROM memfuse"), "t");
    d.env.cfg.wants_vector = false;
    MF_CHECK_OK(migrate_as(&d, &s, "one"));
    MF_CHECK_INT(s.vector_oid, 0);
    drive_close(&d);
}

/* Until somebody who may has created it. */
MF_TEST(pg_schema, goes_without_pgvector_when_it_may_not_create_the_extension)
{
    struct drive d;
    struct mf_pg_schema s;

    if (!is_version("18")) {
        skip();
    }
    drive_open(&d, "");
    drive_exec(&d, "CREATE DATABASE no_vector");
    drive_exec(&d, "CREATE ROLE plain LOGIN");
    drive_close(&d);
    drive_open(&d, "dbname=no_vector");
    drive_exec(&d, "DROP EXTENSION IF EXISTS vector");
    drive_exec(&d, "CREATE SCHEMA plain AUTHORIZATION plain");
    drive_exec(&d, "SET ROLE plain");
    drive_exec(&d, "SET search_path TO plain");
    d.env.cfg.wants_vector = true;
    MF_CHECK_OK(migrate_as(&d, &s, "one"));
    MF_CHECK_INT(s.vector_oid, 0);
    MF_CHECK_STR(drive_value(&d, COUNT_TABLES), N_TABLES);
    drive_exec(&d, "RESET ROLE");
    drive_exec(&d, "CREATE EXTENSION vector SCHEMA plain");
    drive_exec(&d, "SET ROLE plain");
    MF_CHECK_OK(migrate_as(&d, &s, "one"));
    MF_CHECK(s.vector_oid != 0);
    drive_close(&d);
}

static void check_index(struct drive *d, unsigned dim)
{
    struct mf_buf sql;
    char check[256];

    mf_buf_init(&sql);
    MF_CHECK_OK(mf_pg_index_sql(&sql, dim, false, NULL));
    mf_buf_add_char(&sql, '\0');
    MF_CHECK_OK(mf_buf_status(&sql));
    drive_exec(d, sql.p);
    mf_buf_fini(&sql);
    (void)snprintf(check, sizeof(check),
                   "SELECT indisvalid FROM pg_index"
                   " WHERE indexrelid = 'messages_embedding_%u'::regclass",
                   dim);
    MF_CHECK_STR(drive_value(d, check), "t");
}

/* Vectors of two models lie in one column; each has its index. */
MF_TEST(pg_schema, tells_how_to_index_the_vectors_of_a_dimension)
{
    struct drive d;
    struct mf_pg_schema s;
    struct mf_buf none;
    struct mf_err err;
    PGresult *plan;

    mf_buf_init(&none);
    MF_CHECK_INT(mf_pg_index_sql(&none, 0, false, &err), MF_EINVAL);
    MF_CHECK_INT(mf_pg_index_sql(&none, 4001, false, &err), MF_EINVAL);
    MF_CHECK(strstr(err.msg, "4001") != NULL);
    if (!is_version("18")) {
        skip();
    }
    open_fresh(&d);
    d.env.cfg.wants_vector = true;
    MF_CHECK_OK(migrate_as(&d, &s, "one"));
    drive_exec(&d, "INSERT INTO messages SELECT 'u', 'm' || i, i, 's', NULL, 1, 1, 0,"
                   " false, 0, NULL, 'text', NULL, CASE WHEN i % 2 = 0 THEN"
                   " ('[1,0,' || i || ']')::vector ELSE '[1,1]'::vector END"
                   " FROM generate_series(1, 500) i");
    check_index(&d, 3);
    check_index(&d, 2500);
    drive_exec(&d, "SET enable_seqscan = off");
    plan = PQexec(d.db, "EXPLAIN SELECT id FROM messages WHERE vector_dims(embedding) ="
                        " 3 ORDER BY embedding::vector(3) <=> '[1,0,2]' LIMIT 5");
    MF_CHECK(PQntuples(plan) > 1);
    MF_CHECK(strstr(PQgetvalue(plan, 1, 0), "messages_embedding_3") != NULL);
    PQclear(plan);
    drive_close(&d);
}

MF_TEST(pg_schema, says_what_to_do_when_citus_is_wanted_and_not_there)
{
    struct drive d;
    struct mf_pg_schema s;

    if (is_version("citus")) {
        skip();
    }
    open_fresh(&d);
    d.env.cfg.is_citus = true;
    MF_CHECK_INT(migrate_as(&d, &s, "one"), MF_EINVAL);
    MF_CHECK(strstr(d.err.msg, "CREATE EXTENSION citus") != NULL);
    drive_close(&d);
}

#define COUNT_SPREAD(kind)                                                             \
    "SELECT count(*) FROM citus_tables WHERE citus_table_type = '" kind "'"            \
    " AND table_name IN (SELECT oid FROM pg_class"                                     \
    " WHERE relnamespace = current_schema()::regnamespace)"

MF_TEST(pg_schema, spreads_the_tables_over_a_citus_cluster_once)
{
    struct drive d;
    struct mf_pg_schema s;

    if (!is_version("citus")) {
        skip();
    }
    open_fresh(&d);
    MF_CHECK_OK(migrate_as(&d, &s, "one"));
    MF_CHECK(s.is_citus);
    MF_CHECK_STR(drive_value(&d, COUNT_SPREAD("distributed")), "0");
    d.env.cfg.is_citus = true;
    for (int i = 0; i < 2; i++) {
        MF_CHECK_OK(migrate_as(&d, &s, "one"));
        MF_CHECK_STR(drive_value(&d, COUNT_SPREAD("distributed")), "5");
        MF_CHECK_STR(drive_value(&d, COUNT_SPREAD("reference")), "3");
    }
    MF_CHECK_STR(drive_value(&d,
                             "SELECT count(DISTINCT colocation_id) FROM citus_tables"
                             " WHERE table_name IN ('messages'::regclass,"
                             " 'passages'::regclass, 'knowledge'::regclass,"
                             " 'sessions'::regclass, 'marks'::regclass)"),
                 "1");
    d.env.cfg.is_citus = false; /* as they are */
    MF_CHECK_OK(migrate_as(&d, &s, "one"));
    MF_CHECK_STR(drive_value(&d, COUNT_SPREAD("distributed")), "5");
    drive_close(&d);
}
