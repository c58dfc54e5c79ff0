/* SPDX-License-Identifier: Apache-2.0 */
#include "store/sqlite_priv.h"
#include "unit/store_faults.h"
#include "unit/store_kit.h"

#include <errno.h>
#include <stdio.h>

struct code_case {
    int sqlite, code;
};

MF_TEST(store_fault, translates_each_code_of_sqlite)
{
    static const struct code_case cases[] = {
        {SQLITE_CONSTRAINT_CHECK, MF_EPOISON},
        {SQLITE_CONSTRAINT_NOTNULL, MF_EPOISON},
        {SQLITE_CONSTRAINT_DATATYPE, MF_EPOISON},
        {SQLITE_CONSTRAINT_PRIMARYKEY, MF_EPOISON},
        {SQLITE_CONSTRAINT_UNIQUE, MF_EEXIST},
        {SQLITE_TOOBIG, MF_EPOISON},
        {SQLITE_MISMATCH, MF_EPOISON},
        {SQLITE_FULL, MF_ENOSPC},
        {SQLITE_BUSY, MF_EUNAVAILABLE},
        {SQLITE_BUSY_SNAPSHOT, MF_EUNAVAILABLE},
        {SQLITE_LOCKED, MF_EUNAVAILABLE},
        {SQLITE_IOERR_WRITE, MF_EUNAVAILABLE},
        {SQLITE_IOERR_FSYNC, MF_EUNAVAILABLE},
        {SQLITE_CANTOPEN, MF_EUNAVAILABLE},
        {SQLITE_READONLY, MF_EUNAVAILABLE},
        {SQLITE_CORRUPT_INDEX, MF_ECORRUPT},
        {SQLITE_NOTADB, MF_ECORRUPT},
        {SQLITE_NOMEM, MF_ENOMEM},
        {SQLITE_IOERR_NOMEM, MF_ENOMEM},
        {SQLITE_ERROR, MF_EDB},
    };

    for (size_t i = 0; i < mf_countof(cases); i++) {
        MF_CHECK_INT(mf_sq_code(cases[i].sqlite), cases[i].code);
    }
}

/* Whether the planner's word for a step is a walk over a table that grows. */
static bool walks_rows(const char *detail)
{
    static const char *const tables[] = {"m",        "p",         "messages",
                                         "passages", "knowledge", "idempotency"};
    char prefix[32];

    for (size_t i = 0; i < mf_countof(tables); i++) {
        size_t n = (size_t)snprintf(prefix, sizeof(prefix), "SCAN %s", tables[i]);

        if (strncmp(detail, prefix, n) == 0 &&
            (detail[n] == '\0' || detail[n] == ' ')) {
            return true;
        }
    }
    return false;
}

static void check_step(enum mf_sq_stmt id, const char *detail)
{
    if (walks_rows(detail)) {
        fail_msg("%s: %s", mf_sq_text(id), detail);
    }
}

static void check_plan(sqlite3 *db, enum mf_sq_stmt id)
{
    char text[2048];
    sqlite3_stmt *st = NULL;

    (void)snprintf(text, sizeof(text), "EXPLAIN QUERY PLAN %s", mf_sq_text(id));
    MF_CHECK_INT(sqlite3_prepare_v2(db, text, -1, &st, NULL), SQLITE_OK);
    while (sqlite3_step(st) == SQLITE_ROW) {
        check_step(id, (const char *)sqlite3_column_text(st, 3));
    }
    MF_CHECK_INT(sqlite3_finalize(st), SQLITE_OK);
}

MF_TEST(store_fault, reaches_rows_by_a_key_or_an_index_in_every_statement)
{
    struct mf_sq_conn c;
    const struct mf_sq_step *steps;
    size_t n_steps;
    char path[4200];

    (void)snprintf(path, sizeof(path), "%s/memfuse.db", mf_test_tmpdir());
    MF_CHECK_OK(mf_sq_conn_open(&c, path, true, 1024, NULL));
    steps = mf_sq_steps(&n_steps);
    MF_CHECK_OK(mf_sq_migrate(&c, steps, n_steps, NULL));
    for (int i = 0; i < MF_SQ_STMT_COUNT; i++) {
        if (i != MF_SQ_PENDING_COUNT) { /* walks the partial indexes, once, at open */
            check_plan(c.db, (enum mf_sq_stmt)i);
        }
    }
    mf_sq_conn_close(&c);
}

/* A fault in one batch costs that batch alone, whole, and the next one succeeds. */
static void check_fault(enum faults_call call, unsigned nth, int error, int code)
{
    struct store_kit k = {0};
    struct mf_store_row rows[2] = {kit_row("u1", "s1", "m1", 1),
                                   kit_row("u1", "s1", "m2", 2)};

    kit_open(&k);
    faults_arm(call, nth, 1, error);
    MF_CHECK_INT(kit_write(&k, rows, 2, NULL), code);
    MF_CHECK_INT(faults_n_fired(), 1);
    faults_disarm();
    MF_CHECK_INT(kit_count(&k, "SELECT count(*) FROM messages"), 0);
    MF_CHECK_OK(kit_write(&k, rows, 2, NULL));
    kit_close_store(&k);
    MF_CHECK_OK(kit_open_store(&k, NULL));
    MF_CHECK_INT(k.store->info.n_messages, 2);
    kit_close(&k);
}

MF_TEST(store_fault, survives_a_full_disk)
{
    check_fault(FAULTS_WRITE, 1, ENOSPC, MF_ENOSPC);
}

MF_TEST(store_fault, survives_a_failed_write)
{
    check_fault(FAULTS_WRITE, 2, EIO, MF_EUNAVAILABLE);
}

MF_TEST(store_fault, acknowledges_nothing_that_was_not_synced)
{
    check_fault(FAULTS_SYNC, 1, EIO, MF_EUNAVAILABLE);
}

MF_TEST(store_fault, answers_unavailable_while_another_program_writes)
{
    struct store_kit k = {0};
    struct mf_store_row row = kit_row("u1", "s1", "m1", 1);
    struct mf_store_messages m = {.req = {.op = MF_STORE_LIST_MESSAGES},
                                  .user_id = kit_s("u1"),
                                  .session_id = kit_s("s1")};
    char path[4200];
    sqlite3 *db = NULL;

    kit_open(&k);
    (void)snprintf(path, sizeof(path), "%s/memfuse.db", k.dir);
    MF_CHECK_INT(sqlite3_open(path, &db), SQLITE_OK);
    MF_CHECK_INT(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    MF_CHECK_INT(kit_write(&k, &row, 1, NULL), MF_EUNAVAILABLE);
    MF_CHECK_OK(kit_run(&k, &m.req)); /* readers do not wait */
    mf_store_req_fini(&m.req);
    MF_CHECK_INT(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    MF_CHECK_INT(sqlite3_close(db), SQLITE_OK);
    MF_CHECK_OK(kit_write(&k, &row, 1, NULL));
    kit_close(&k);
}

/* --- no memory: each request in turn, each allocation in turn */

MF_LOOP static int sweep_open(struct store_kit *k)
{
    int rc = kit_open_store(k, NULL);

    if (rc == 0) {
        kit_close_store(k);
    }
    return rc;
}

MF_LOOP static int sweep_write(struct store_kit *k)
{
    struct mf_store_row row = kit_row("u1", "s1", "m8", 8);

    return kit_write(k, &row, 1, NULL);
}

MF_LOOP static int sweep_list(struct store_kit *k)
{
    struct mf_store_messages m = {.req = {.op = MF_STORE_LIST_MESSAGES},
                                  .user_id = kit_s("u1"),
                                  .session_id = kit_s("s1")};
    int rc = kit_run(k, &m.req);

    mf_store_req_fini(&m.req);
    return rc;
}

MF_LOOP static int sweep_search(struct store_kit *k)
{
    struct mf_store_search s = {.req = {.op = MF_STORE_LOAD_SEARCH},
                                .user_id = kit_s("u1")};
    int rc = kit_run(k, &s.req);

    mf_store_req_fini(&s.req);
    return rc;
}

MF_LOOP static int sweep_create(struct store_kit *k)
{
    struct mf_entity fact = kit_knowledge("u1", "k1", 9);

    return kit_create(k, MF_ENTITY_KNOWLEDGE, &fact);
}

MF_LOOP static int sweep_delete(struct store_kit *k)
{
    struct mf_store_entity e = {.req = {.op = MF_STORE_DELETE},
                                .kind = MF_ENTITY_AGENT,
                                .in = {.id = kit_s("a1")}};
    int rc = kit_run(k, &e.req);

    mf_store_req_fini(&e.req);
    return rc;
}

typedef int (*sweep_fn)(struct store_kit *k);

/* Ends when a run asked for fewer blocks than the one that was to fail. */
MF_LOOP static void sweep(struct store_kit *k, sweep_fn run, int fails_with)
{
    for (size_t nth = 1;; nth++) {
        int rc;

        mf_test_fail_nth(nth);
        rc = run(k);
        if (!mf_test_has_failed()) {
            mf_test_fail_nth(0);
            MF_CHECK_OK(rc);
            MF_CHECK(nth > 1);
            return;
        }
        MF_CHECK_INT(rc, fails_with);
    }
}

MF_TEST(store_fault, reports_each_failed_allocation_and_stays_usable)
{
    static const sweep_fn sweeps[] = {sweep_write, sweep_list, sweep_search,
                                      sweep_create, sweep_delete};
    struct store_kit k = {0};

    kit_open(&k);
    kit_people(&k);
    for (size_t i = 0; i < mf_countof(sweeps); i++) {
        sweep(&k, sweeps[i], MF_ENOMEM);
    }
    MF_CHECK_INT(kit_count(&k, "SELECT count(*) FROM knowledge"), 1);
    MF_CHECK_INT(kit_count(&k, "SELECT count(*) FROM sessions"), 1);
    kit_close_store(&k);
    sweep(&k, sweep_open, MF_ENOMEM);
    kit_close(&k);
}
