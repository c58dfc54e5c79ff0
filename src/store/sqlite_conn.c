/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "base/str.h"
#include "store/sqlite_priv.h"

/* Only a foreign program (a shell, a backup) can make us wait. */
#define BUSY_MS 1000

struct statement {
    const char *text;
    bool is_write;
};

#define READ  false
#define WRITE true

static const struct statement statements[MF_SQ_STMT_COUNT] = {
#define X(name, access, sql) {sql, access},
    MF_SQL_TABLE(X)
#undef X
};

#undef READ
#undef WRITE

const char *mf_sq_text(enum mf_sq_stmt id)
{
    return statements[id].text;
}

bool mf_sq_is_write(enum mf_sq_stmt id)
{
    return statements[id].is_write;
}

struct code_row {
    int sqlite, code;
};

/* Extended codes first; the primary code answers for the rest of its family. */
static const struct code_row codes[] = {
    {SQLITE_CONSTRAINT_UNIQUE, MF_EEXIST},
    {SQLITE_CONSTRAINT, MF_EPOISON}, /* check, not null, type, primary key */
    {SQLITE_TOOBIG, MF_EPOISON},
    {SQLITE_MISMATCH, MF_EPOISON},
    {SQLITE_FULL, MF_ENOSPC},
    {SQLITE_BUSY, MF_EUNAVAILABLE},
    {SQLITE_LOCKED, MF_EUNAVAILABLE},
    {SQLITE_PROTOCOL, MF_EUNAVAILABLE},
    {SQLITE_IOERR_NOMEM, MF_ENOMEM},
    {SQLITE_IOERR_CORRUPTFS, MF_ECORRUPT},
    {SQLITE_IOERR, MF_EUNAVAILABLE},
    {SQLITE_CANTOPEN, MF_EUNAVAILABLE},
    {SQLITE_READONLY, MF_EUNAVAILABLE},
    {SQLITE_PERM, MF_EUNAVAILABLE},
    {SQLITE_CORRUPT, MF_ECORRUPT},
    {SQLITE_NOTADB, MF_ECORRUPT},
    {SQLITE_NOMEM, MF_ENOMEM},
};

int mf_sq_code(int extended)
{
    for (size_t i = 0; i < mf_countof(codes); i++) {
        if (codes[i].sqlite == extended || codes[i].sqlite == (extended & 0xff)) {
            return codes[i].code;
        }
    }
    return MF_EDB;
}

/* SQLite's sentences name tables, columns and constraints, never values. */
int mf_sq_fail(struct mf_sq_conn *c, struct mf_err *err)
{
    int extended = sqlite3_extended_errcode(c->db);
    int rc = mf_err_set(err, mf_sq_code(extended), "%s", sqlite3_errmsg(c->db));

    if (err != NULL) {
        err->sys = extended;
    }
    return rc;
}

int mf_sq_exec(struct mf_sq_conn *c, const char *sql, struct mf_err *err)
{
    return sqlite3_exec(c->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0
                                                                   : mf_sq_fail(c, err);
}

/* SQLite answers with the mode that holds afterwards, which may be the old one. */
static int on_journal_mode(void *arg, int n, char **values, MF_UNUSED char **names)
{
    bool *is_wal = arg;

    *is_wal = n == 1 && mf_slice_is(mf_slice_str(values[0]), "wal");
    return 0;
}

static int enter_wal(struct mf_sq_conn *c, struct mf_err *err)
{
    bool is_wal = false;
    /* 8 KiB: a search record of 1,000 bytes stays in the row's own page. */
    int rc = mf_sq_exec(c, "PRAGMA page_size = 8192", err);

    if (rc < 0) {
        return rc;
    }
    if (sqlite3_exec(c->db, "PRAGMA journal_mode = WAL", on_journal_mode, &is_wal,
                     NULL) != SQLITE_OK) {
        return mf_sq_fail(c, err);
    }
    return is_wal ? 0
                  : mf_err_set(err, MF_EUNAVAILABLE,
                               "the file system has no shared memory for a WAL: "
                               "choose a local folder for data.dir");
}

/* PRAGMA takes no bound value; this one is our own number. */
static int set_cache(struct mf_sq_conn *c, size_t bytes, struct mf_err *err)
{
    struct mf_buf sql;
    int rc;

    mf_buf_init(&sql);
    mf_buf_add_str(&sql, "PRAGMA cache_size = -");
    mf_buf_add_u64(&sql, bytes / 1024);
    mf_buf_add_char(&sql, '\0');
    rc = mf_buf_status(&sql);
    rc = rc < 0 ? mf_err_set(err, rc, "no memory to set the page cache")
                : mf_sq_exec(c, sql.p, err);
    mf_buf_fini(&sql);
    return rc;
}

#define COMMON_PRAGMAS                                                                 \
    "PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = FULL;"                        \
    "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;"                        \
    "PRAGMA temp_store = MEMORY;"

static int configure(struct mf_sq_conn *c, size_t cache_bytes, struct mf_err *err)
{
    static const char writer[] =
        COMMON_PRAGMAS "PRAGMA journal_size_limit = 134217728;";
    static const char reader[] = COMMON_PRAGMAS "PRAGMA query_only = ON;";
    int rc = c->is_writer ? enter_wal(c, err) : 0;

    if (rc < 0) {
        return rc;
    }
    if (sqlite3_busy_timeout(c->db, BUSY_MS) != SQLITE_OK ||
        sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL) != SQLITE_OK ||
        sqlite3_db_config(c->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, !c->is_writer,
                          NULL) != SQLITE_OK) {
        return mf_sq_fail(c, err);
    }
    rc = mf_sq_exec(c, c->is_writer ? writer : reader, err);
    return rc < 0 ? rc : set_cache(c, cache_bytes, err);
}

int mf_sq_conn_open(struct mf_sq_conn *c, const char *path, bool is_writer,
                    size_t cache_bytes, struct mf_err *err)
{
    int access =
        is_writer ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY;
    int rc;

    *c = (struct mf_sq_conn){.is_writer = is_writer};
    rc = sqlite3_open_v2(path, &c->db,
                         access | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    if (c->db == NULL) {
        return mf_err_set(err, MF_ENOMEM, "no memory for a connection");
    }
    rc = rc == SQLITE_OK ? configure(c, cache_bytes, err) : mf_sq_fail(c, err);
    if (rc < 0) {
        mf_sq_conn_close(c);
    }
    return rc;
}

int mf_sq_prepare(struct mf_sq_conn *c, struct mf_err *err)
{
    for (size_t i = 0; i < MF_SQ_STMT_COUNT; i++) {
        if (statements[i].is_write && !c->is_writer) {
            continue;
        }
        if (sqlite3_prepare_v3(c->db, statements[i].text, -1, SQLITE_PREPARE_PERSISTENT,
                               &c->stmts[i], NULL) != SQLITE_OK) {
            return mf_err_wrap(err, mf_sq_fail(c, err),
                               "the schema is not what this version needs");
        }
    }
    return 0;
}

void mf_sq_conn_close(struct mf_sq_conn *c)
{
    for (size_t i = 0; i < MF_SQ_STMT_COUNT; i++) {
        (void)sqlite3_finalize(c->stmts[i]); /* repeats an error told before */
    }
    if (c->db != NULL) {
        MF_ASSERT(sqlite3_close(c->db) == SQLITE_OK); /* busy: a statement of ours */
    }
    *c = (struct mf_sq_conn){.is_writer = c->is_writer};
}

/* The first error is the one to tell; SQLite itself has rolled back after some. */
void mf_sq_roll_back(struct mf_sq_conn *c)
{
    if (sqlite3_get_autocommit(c->db) == 0) {
        (void)sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
    }
    MF_ASSERT(sqlite3_get_autocommit(c->db) != 0);
}

static int run_plain(struct mf_sq_conn *c, enum mf_sq_stmt id, struct mf_err *err)
{
    struct mf_sq q = mf_sq_begin(c, id, err);

    return mf_sq_run(&q, NULL);
}

int mf_sq_transact(struct mf_sq_conn *c, bool is_write, mf_sq_body_fn body,
                   struct mf_store_req *req)
{
    int rc = run_plain(c, is_write ? MF_SQ_BEGIN_WRITE : MF_SQ_BEGIN_READ, &req->err);

    if (rc < 0) {
        return rc;
    }
    rc = body(c, req);
    if (rc == 0) {
        rc = run_plain(c, MF_SQ_COMMIT, &req->err);
    }
    if (rc < 0) {
        mf_sq_roll_back(c);
    }
    return rc;
}
