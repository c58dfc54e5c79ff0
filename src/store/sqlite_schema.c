/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "store/sqlite_priv.h"

/*
 * Version 1, chosen by measuring (bench/store.c). Messages are clustered by (user_id,
 * seq): a user's search records lie together, however the users' rows came interleaved
 * (10,000 of them in a third of the time that a table in order of arrival needs). One
 * table holds record and text, the record first, so that reading it does not walk the
 * overflow pages of a long text. The two other indexes begin with what is new in each
 * batch, the id and the session: a third more rows a second than with the user first.
 * No foreign keys, no triggers: every row would pay for them. `totals` spares counting.
 */
#define MESSAGE_TABLES                                                                 \
    "CREATE TABLE messages ("                                                          \
    " user_id TEXT NOT NULL, seq INTEGER NOT NULL, id TEXT NOT NULL,"                  \
    " session_id TEXT NOT NULL, round_id TEXT, created_us INTEGER NOT NULL,"           \
    " updated_us INTEGER NOT NULL, role INTEGER NOT NULL,"                             \
    " is_pending INTEGER NOT NULL, search BLOB, content TEXT NOT NULL,"                \
    " metadata TEXT, PRIMARY KEY (user_id, seq),"                                      \
    " CONSTRAINT content_is_not_empty CHECK (content <> ''),"                          \
    " CONSTRAINT role_is_known CHECK (role BETWEEN 0 AND 3),"                          \
    " CONSTRAINT seq_is_positive CHECK (seq > 0)) STRICT, WITHOUT ROWID;"              \
    "CREATE UNIQUE INDEX messages_id ON messages (id, user_id);"                       \
    "CREATE INDEX messages_session ON messages"                                        \
    " (session_id, created_us, seq);"                                                  \
    "CREATE INDEX messages_pending ON messages (seq) WHERE is_pending = 1;"            \
    "CREATE TABLE passages ("                                                          \
    " user_id TEXT NOT NULL, message_id TEXT NOT NULL, passages BLOB NOT NULL,"        \
    " PRIMARY KEY (user_id, message_id)) STRICT, WITHOUT ROWID;"                       \
    "CREATE TABLE knowledge ("                                                         \
    " user_id TEXT NOT NULL, seq INTEGER NOT NULL, id TEXT NOT NULL,"                  \
    " created_us INTEGER NOT NULL, updated_us INTEGER NOT NULL,"                       \
    " is_pending INTEGER NOT NULL, search BLOB, content TEXT NOT NULL,"                \
    " PRIMARY KEY (user_id, seq),"                                                     \
    " CONSTRAINT content_is_not_empty CHECK (content <> ''),"                          \
    " CONSTRAINT seq_is_positive CHECK (seq > 0)) STRICT, WITHOUT ROWID;"              \
    "CREATE UNIQUE INDEX knowledge_id ON knowledge (user_id, id);"                     \
    "CREATE INDEX knowledge_pending ON knowledge (seq) WHERE is_pending = 1;"

#define ENTITY_TABLES                                                                  \
    "CREATE TABLE users ("                                                             \
    " id TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL UNIQUE, description TEXT,"      \
    " created_us INTEGER NOT NULL, updated_us INTEGER NOT NULL)"                       \
    " STRICT, WITHOUT ROWID;"                                                          \
    "CREATE TABLE agents ("                                                            \
    " id TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL UNIQUE, description TEXT,"      \
    " created_us INTEGER NOT NULL, updated_us INTEGER NOT NULL)"                       \
    " STRICT, WITHOUT ROWID;"                                                          \
    "CREATE TABLE sessions ("                                                          \
    " user_id TEXT NOT NULL, id TEXT NOT NULL UNIQUE, agent_id TEXT NOT NULL,"         \
    " name TEXT, created_us INTEGER NOT NULL, updated_us INTEGER NOT NULL,"            \
    " PRIMARY KEY (user_id, id)) STRICT, WITHOUT ROWID;" /* Name first: one index      \
                                                            answers with and without   \
                                                            the user. */               \
    "CREATE UNIQUE INDEX sessions_name ON sessions (name, user_id);"                   \
    "CREATE INDEX sessions_agent ON sessions (agent_id);"                              \
    "CREATE TABLE api_keys ("                                                          \
    " user_id TEXT NOT NULL, id TEXT NOT NULL, name TEXT,"                             \
    " key_hash BLOB NOT NULL UNIQUE, permissions TEXT,"                                \
    " created_us INTEGER NOT NULL, updated_us INTEGER NOT NULL,"                       \
    " expires_us INTEGER NOT NULL, PRIMARY KEY (user_id, id),"                         \
    " CONSTRAINT key_hash_is_sha256 CHECK (length(key_hash) = 32))"                    \
    " STRICT, WITHOUT ROWID;"

#define OTHER_TABLES                                                                   \
    "CREATE TABLE idempotency ("                                                       \
    " key BLOB NOT NULL PRIMARY KEY, body_hash BLOB NOT NULL,"                         \
    " status INTEGER NOT NULL, response BLOB, created_us INTEGER NOT NULL)"            \
    " STRICT, WITHOUT ROWID;"                                                          \
    "CREATE INDEX idempotency_age ON idempotency (created_us);"                        \
    "CREATE TABLE totals ("                                                            \
    " id INTEGER PRIMARY KEY CHECK (id = 1), next_seq INTEGER NOT NULL,"               \
    " n_messages INTEGER NOT NULL) STRICT;"                                            \
    "INSERT INTO totals VALUES (1, 1, 0);"

#define APPLICATION_ID 0x6d667374 /* "mfst"; the same number in the text below */

static const struct mf_sq_step steps[] = {
    {MESSAGE_TABLES ENTITY_TABLES OTHER_TABLES "PRAGMA application_id = 0x6d667374;"
                                               "PRAGMA user_version = 1;"},
    /* Which vector space the rows' vectors are of. */
    {"ALTER TABLE totals ADD COLUMN space INTEGER NOT NULL DEFAULT 0;"
     "PRAGMA user_version = 2;"},
};

const struct mf_sq_step *mf_sq_steps(size_t *n)
{
    *n = mf_countof(steps);
    return steps;
}

static int read_number(struct mf_sq_conn *c, const char *sql, int64_t *out,
                       struct mf_err *err)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(c->db, sql, -1, &st, NULL);

    if (rc == SQLITE_OK) {
        rc = sqlite3_step(st);
    }
    if (rc != SQLITE_ROW) {
        rc = mf_sq_fail(c, err);
    } else {
        *out = sqlite3_column_int64(st, 0);
        rc = 0;
    }
    (void)sqlite3_finalize(st); /* repeats the error that was taken above */
    return rc;
}

/* A file of ours carries our application id; a new one has no table yet. */
static int check_owner(struct mf_sq_conn *c, int64_t version, struct mf_err *err)
{
    int64_t n_tables = 0;
    int64_t id = 0;
    int rc = read_number(c, "SELECT count(*) FROM sqlite_schema", &n_tables, err);

    if (rc < 0) {
        return rc;
    }
    rc = read_number(c, "PRAGMA application_id", &id, err);
    if (rc < 0) {
        return rc;
    }
    if (version > 0 ? id == APPLICATION_ID : n_tables == 0) {
        return 0;
    }
    return mf_err_set(err, MF_EINVAL,
                      "the file is a SQLite database of another program: choose "
                      "another data.dir or move it away");
}

static int run_steps(struct mf_sq_conn *c, const struct mf_sq_step *list,
                     size_t n_steps, struct mf_err *err)
{
    int64_t version = 0;
    int rc = read_number(c, "PRAGMA user_version", &version, err);

    if (rc < 0) {
        return rc;
    }
    if (version < 0 || (uint64_t)version > n_steps) {
        return mf_err_set(err, MF_EINVAL,
                          "the file has schema version %lld, this program knows up to "
                          "%zu: start the newer memfuse that wrote it",
                          (long long)version, n_steps);
    }
    rc = check_owner(c, version, err);
    for (size_t i = (size_t)version; rc == 0 && i < n_steps; i++) {
        mf_log_info("store_migrate", "from=%zu to=%zu", i, i + 1);
        rc = mf_sq_exec(c, list[i].sql, err);
    }
    return rc;
}

int mf_sq_migrate(struct mf_sq_conn *c, const struct mf_sq_step *list, size_t n_steps,
                  struct mf_err *err)
{
    int rc = mf_sq_exec(c, "BEGIN IMMEDIATE", err);

    if (rc < 0) {
        return rc;
    }
    rc = run_steps(c, list, n_steps, err);
    if (rc == 0) {
        rc = mf_sq_exec(c, "COMMIT", err);
    }
    if (rc < 0) {
        mf_sq_roll_back(c);
    }
    return rc;
}

int mf_sq_read_info(struct mf_sq_conn *c, struct mf_store_info *info,
                    struct mf_err *err)
{
    struct mf_sq q = mf_sq_begin(c, MF_SQ_TOTALS_GET, err);
    int rc = mf_sq_step(&q);

    if (rc == 1) {
        info->next_seq = (uint64_t)mf_sq_read_int(&q, 0);
        info->n_messages = (uint64_t)mf_sq_read_int(&q, 1);
        info->space = (uint32_t)mf_sq_read_int(&q, 2);
    }
    mf_sq_end(&q);
    if (rc == 0) {
        return mf_err_set(err, MF_ECORRUPT, "the table totals is empty");
    }
    if (rc < 0) {
        return rc;
    }
    q = mf_sq_begin(c, MF_SQ_PENDING_COUNT, err);
    rc = mf_sq_step(&q);
    if (rc == 1) {
        info->n_pending = (uint64_t)mf_sq_read_int(&q, 0);
    }
    mf_sq_end(&q);
    return rc < 0 ? rc : 0;
}
