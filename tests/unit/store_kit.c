/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/store_kit.h"
#include "unit/store_kit_pg.h"

#include "base/log.h"

#include <sqlite3.h>
#include <stdio.h>

#define PATH_CAP 4200

static bool is_over;
static bool is_closed;
static int last_rc;

static void on_done(struct mf_store_req *req, int rc)
{
    mf_loop_assert(req->store->loop);
    is_over = true;
    last_rc = rc;
}

static void on_closed(void *arg)
{
    struct store_kit *k = arg;

    mf_loop_assert(k->loop);
    is_closed = true;
}

int kit_open_store(struct store_kit *k, struct mf_err *err)
{
    struct mf_store_config cfg = {
        .backend = "sqlite",
        .dir = k->dir,
        .readers = 2,
        .max_waiting = k->max_waiting == 0 ? 100 : k->max_waiting,
        .cache_bytes = 1024UL * 1024,
        .space = k->space,
    };

    if (kit_is_postgres()) {
        cfg.backend = "postgres";
        kit_pg_config(k, &cfg);
    }
    k->store = NULL;
    return mf_store_open(&k->store, k->loop, &cfg, err);
}

void kit_close_store(struct store_kit *k)
{
    is_closed = false;
    mf_store_close(k->store, on_closed, k);
    mf_loop_fixture_wait(k->loop, &is_closed);
    k->store = NULL;
}

void kit_open(struct store_kit *k)
{
    struct mf_err err = {0};

    mf_log_set_level(MF_LOG_WARN);
    k->loop = mf_loop_fixture_open();
    k->dir = mf_test_tmpdir();
    if (kit_is_postgres()) {
        kit_pg_furnish(k);
    }
    if (kit_open_store(k, &err) < 0) {
        fail_msg("%s", err.msg);
    }
}

void kit_close(struct store_kit *k)
{
    if (k->store != NULL) {
        kit_close_store(k);
    }
    mf_loop_fixture_close(k->loop);
}

int kit_run(struct store_kit *k, struct mf_store_req *req)
{
    int rc;

    req->done = on_done;
    is_over = false;
    rc = mf_store_submit(k->store, req);
    if (rc < 0) {
        return rc;
    }
    MF_CHECK(!is_over); /* never before submit returned */
    mf_loop_fixture_wait(k->loop, &is_over);
    return last_rc;
}

struct mf_slice kit_s(const char *s)
{
    return mf_slice_str(s);
}

bool kit_is(struct mf_slice a, const char *s)
{
    return mf_slice_is(a, s);
}

struct mf_store_row kit_row(const char *user, const char *session, const char *id,
                            uint64_t seq)
{
    return (struct mf_store_row){
        .seq = seq,
        .user_id = kit_s(user),
        .session_id = kit_s(session),
        .round_id = kit_s("r1"),
        .msg = {.id = kit_s(id),
                .content = kit_s("a text"),
                .created_us = (int64_t)seq,
                .updated_us = (int64_t)seq,
                .role = MF_MSG_USER},
        .search = kit_s("record"),
    };
}

int kit_write_as(struct store_kit *k, enum mf_store_op op,
                 const struct mf_store_row *rows, size_t n, size_t *n_changed,
                 struct mf_err *err)
{
    struct mf_store_write w = {.req = {.op = op}, .rows = rows, .n_rows = n};
    int rc = kit_run(k, &w.req);

    if (n_changed != NULL) {
        *n_changed = w.n_changed;
    }
    if (err != NULL) {
        *err = w.req.err;
    }
    mf_store_req_fini(&w.req);
    return rc;
}

int kit_write(struct store_kit *k, const struct mf_store_row *rows, size_t n,
              size_t *n_changed)
{
    return kit_write_as(k, MF_STORE_WRITE_ROUNDS, rows, n, n_changed, NULL);
}

int kit_create(struct store_kit *k, enum mf_entity_kind kind,
               const struct mf_entity *in)
{
    struct mf_store_entity e = {
        .req = {.op = MF_STORE_CREATE}, .kind = kind, .ins = in, .n_ins = 1};
    int rc = kit_run(k, &e.req);

    mf_store_req_fini(&e.req);
    return rc;
}

MF_LOOP static void make(struct store_kit *k, enum mf_entity_kind kind, const char *id,
                         const char *user, const char *agent)
{
    struct mf_entity in = {.id = kit_s(id),
                           .user_id = kit_s(user),
                           .agent_id = kit_s(agent),
                           .name = kit_s(id),
                           .created_us = 1,
                           .updated_us = 1};

    MF_CHECK_OK(kit_create(k, kind, &in));
}

void kit_people(struct store_kit *k)
{
    make(k, MF_ENTITY_USER, "u1", NULL, NULL);
    make(k, MF_ENTITY_USER, "u2", NULL, NULL);
    make(k, MF_ENTITY_AGENT, "a1", NULL, NULL);
    make(k, MF_ENTITY_AGENT, "a2", NULL, NULL);
    make(k, MF_ENTITY_SESSION, "s1", "u1", "a1");
    make(k, MF_ENTITY_SESSION, "s2", "u1", "a2");
    make(k, MF_ENTITY_SESSION, "s3", "u2", "a1");
}

struct mf_entity kit_knowledge(const char *user, const char *id, uint64_t seq)
{
    return (struct mf_entity){.id = kit_s(id),
                              .user_id = kit_s(user),
                              .text = kit_s("a fact"),
                              .has_text = true,
                              .search = kit_s("fact record"),
                              .seq = seq,
                              .created_us = (int64_t)seq,
                              .updated_us = (int64_t)seq};
}

static sqlite3 *open_file(const struct store_kit *k)
{
    char path[PATH_CAP];
    sqlite3 *db = NULL;

    (void)snprintf(path, sizeof(path), "%s/memfuse.db", k->dir);
    MF_CHECK_INT(sqlite3_open(path, &db), SQLITE_OK);
    /* The store alone may checkpoint. */
    MF_CHECK_INT(sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL),
                 SQLITE_OK);
    return db;
}

static int64_t count_in_file(const struct store_kit *k, const char *sql)
{
    sqlite3 *db = open_file(k);
    sqlite3_stmt *st = NULL;
    int64_t n;

    MF_CHECK_INT(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
    MF_CHECK_INT(sqlite3_step(st), SQLITE_ROW);
    n = sqlite3_column_int64(st, 0);
    MF_CHECK_INT(sqlite3_finalize(st), SQLITE_OK);
    MF_CHECK_INT(sqlite3_close(db), SQLITE_OK);
    return n;
}

static void exec_on_file(const struct store_kit *k, const char *sql)
{
    sqlite3 *db = open_file(k);

    MF_CHECK_INT(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    MF_CHECK_INT(sqlite3_close(db), SQLITE_OK);
}

int64_t kit_count(const struct store_kit *k, const char *sql)
{
    return kit_is_postgres() ? kit_pg_count(k, sql) : count_in_file(k, sql);
}

void kit_exec(const struct store_kit *k, const char *sql)
{
    if (kit_is_postgres()) {
        kit_pg_exec(k, sql);
    } else {
        exec_on_file(k, sql);
    }
}

int64_t kit_n_messages(const struct store_kit *k)
{
    return kit_count(k, kit_is_postgres() ? "SELECT count(*) FROM messages"
                                          : "SELECT n_messages FROM totals");
}

int64_t kit_space(const struct store_kit *k)
{
    return kit_count(k, kit_is_postgres() ? "SELECT space FROM memfuse"
                                          : "SELECT space FROM totals");
}
