/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sqlite_priv: what the files of the SQLite store share.
 *
 * One connection makes every write and every checkpoint, on a lane of one permit: two
 * that do so at the same instant can lose committed rows (the WAL-reset bug of SQLite
 * 3.7.0 to 3.51.2). Readers are read-only, never checkpoint, and never wait.
 *
 * Owns:    connections; statements prepared at open, for their whole life
 * Thread:  a connection belongs to the job that runs on it
 * Limits:  MF_SQ_MAX_READERS readers
 * Fails:   enum mf_code, translated from SQLite's codes by mf_sq_code
 */
#ifndef MF_STORE_SQLITE_PRIV_H
#define MF_STORE_SQLITE_PRIV_H

#include "store/sqlite_sql.h"
#include "store/store.h"

#include <sqlite3.h>

#define MF_SQ_MAX_READERS 8

enum mf_sq_stmt {

#define X(name, access, text) MF_SQ_##name,
    MF_SQL_TABLE(X)
#undef X
        MF_SQ_STMT_COUNT,
};

struct mf_sq_conn {
    sqlite3 *db;
    bool is_writer;
    sqlite3_stmt *stmts[MF_SQ_STMT_COUNT]; /* a reader has no WRITE ones */
};

/* The text of a statement and whether only the writer has it. */
MF_ANY const char *mf_sq_text(enum mf_sq_stmt id);
MF_ANY bool mf_sq_is_write(enum mf_sq_stmt id);

/* --- the library and the file (sqlite_file.c) */

/* Refuses a SQLite that will not do and logs the one that runs. */
MF_MUST MF_ANY int mf_sq_check_library(struct mf_err *err);
MF_MUST MF_ANY int mf_sq_path(char *out, size_t cap, const char *dir,
                              struct mf_err *err);
/* Makes the file, for its owner only, when it is not there. */
MF_MUST MF_ANY int mf_sq_create_private(const char *path, struct mf_err *err);

/* --- connections (sqlite_conn.c) */

/* Opens without statements; mf_sq_prepare once the schema is there. */
MF_MUST MF_ANY int mf_sq_conn_open(struct mf_sq_conn *c, const char *path,
                                   bool is_writer, size_t cache_bytes,
                                   struct mf_err *err);
MF_MUST MF_ANY int mf_sq_prepare(struct mf_sq_conn *c, struct mf_err *err);
MF_ANY void mf_sq_conn_close(struct mf_sq_conn *c); /* the writer's checkpoints */
/* Runs constant statements without values. */
MF_MUST MF_ANY int mf_sq_exec(struct mf_sq_conn *c, const char *sql,
                              struct mf_err *err);
MF_ANY int mf_sq_code(int extended); /* SQLite's extended code to MF_E* */
/* Writes the connection's last error into `err` and returns its code. */
MF_ANY int mf_sq_fail(struct mf_sq_conn *c, struct mf_err *err);
MF_ANY void mf_sq_roll_back(struct mf_sq_conn *c);
/* Runs `body` in a transaction and undoes it whole when it fails. */
typedef int (*mf_sq_body_fn)(struct mf_sq_conn *c, struct mf_store_req *req);
MF_MUST MF_ANY int mf_sq_transact(struct mf_sq_conn *c, bool is_write,
                                  mf_sq_body_fn body, struct mf_store_req *req);

/* --- one run of a prepared statement (sqlite_query.c)
 *
 * begin, bind, step until 0, end. Binding borrows the bytes until end. A binding that
 * failed is reported by the first step. */
struct mf_sq {
    struct mf_sq_conn *conn;
    sqlite3_stmt *st;
    struct mf_err *err;
    int rc; /* SQLite's, of the bindings */
};

MF_ANY struct mf_sq mf_sq_begin(struct mf_sq_conn *c, enum mf_sq_stmt id,
                                struct mf_err *err);
MF_ANY void mf_sq_bind_int(struct mf_sq *q, int at, int64_t v);
MF_ANY void mf_sq_bind_text(struct mf_sq *q, int at,
                            struct mf_slice v);        /* empty: NULL */
MF_ANY void mf_sq_bind_empty(struct mf_sq *q, int at); /* the text of no bytes */
MF_ANY void mf_sq_bind_blob(struct mf_sq *q, int at,
                            struct mf_slice v);                      /* empty: NULL */
MF_ANY void mf_sq_bind_limit(struct mf_sq *q, int at, size_t limit); /* 0: none */
MF_MUST MF_ANY int mf_sq_step(struct mf_sq *q); /* 1: a row, 0: the end, else MF_E* */
MF_ANY void mf_sq_end(struct mf_sq *q);
/* Steps a statement that gives no rows, and ends it. `n_changed` may be NULL. */
MF_MUST MF_ANY int mf_sq_run(struct mf_sq *q, size_t *n_changed);

/* Column `at` (text or blob) copied into the arena. */
MF_MUST MF_ANY int mf_sq_read(struct mf_sq *q, int at, struct mf_arena *a,
                              struct mf_slice *out);
MF_ANY int64_t mf_sq_read_int(struct mf_sq *q, int at);
/* Column `at` where it lies: until the next step. */
MF_ANY struct mf_slice mf_sq_peek(struct mf_sq *q, int at);
/* The columns of MF_SQL_MESSAGE and of the entities. */
MF_MUST MF_ANY int mf_sq_read_row(struct mf_sq *q, struct mf_arena *a,
                                  struct mf_store_row *out);
MF_MUST MF_ANY int mf_sq_read_entity(struct mf_sq *q, struct mf_arena *a,
                                     struct mf_entity *out);

/* A growing array in an arena. */
struct mf_sq_vec {
    void *p;
    size_t n, cap;
};

/* Room for one more element of `size`, zeroed, or NULL. */
MF_ANY void *mf_sq_push(struct mf_sq_vec *v, struct mf_arena *a, size_t size);

/* --- schema (sqlite_schema.c) */

struct mf_sq_step {
    const char *sql; /* from version i to i + 1 */
};

/* Brings the file to version n_steps in one transaction; refuses a newer or foreign
 * one. */
MF_MUST MF_ANY int mf_sq_migrate(struct mf_sq_conn *c, const struct mf_sq_step *steps,
                                 size_t n_steps, struct mf_err *err);
MF_ANY const struct mf_sq_step *mf_sq_steps(size_t *n);
MF_MUST MF_ANY int mf_sq_read_info(struct mf_sq_conn *c, struct mf_store_info *info,
                                   struct mf_err *err);

/* --- verbs: bodies of transactions */

MF_MUST MF_WORKER int mf_sq_write_rounds(struct mf_sq_conn *c, struct mf_store_req *r);
MF_MUST MF_WORKER int mf_sq_update_messages(struct mf_sq_conn *c,
                                            struct mf_store_req *r);
MF_MUST MF_WORKER int mf_sq_set_search(struct mf_sq_conn *c, struct mf_store_req *r);
MF_MUST MF_WORKER int mf_sq_delete_messages(struct mf_sq_conn *c,
                                            struct mf_store_req *r);
MF_MUST MF_WORKER int mf_sq_get_messages(struct mf_sq_conn *c, struct mf_store_req *r);
MF_MUST MF_WORKER int mf_sq_list_messages(struct mf_sq_conn *c, struct mf_store_req *r);
MF_MUST MF_WORKER int mf_sq_pending(struct mf_sq_conn *c, struct mf_store_req *r);
MF_MUST MF_WORKER int mf_sq_mark_foreign(struct mf_sq_conn *c, struct mf_store_req *r);
MF_MUST MF_WORKER int mf_sq_load_search(struct mf_sq_conn *c, struct mf_store_req *r);
MF_MUST MF_WORKER int mf_sq_get(struct mf_sq_conn *c, struct mf_store_req *r);
MF_MUST MF_WORKER int mf_sq_find(struct mf_sq_conn *c, struct mf_store_req *r);
MF_MUST MF_WORKER int mf_sq_list(struct mf_sq_conn *c, struct mf_store_req *r);
MF_MUST MF_WORKER int mf_sq_create(struct mf_sq_conn *c, struct mf_store_req *r);
MF_MUST MF_WORKER int mf_sq_update(struct mf_sq_conn *c, struct mf_store_req *r);
MF_MUST MF_WORKER int mf_sq_delete(struct mf_sq_conn *c, struct mf_store_req *r);
MF_MUST MF_WORKER int mf_sq_idem_get(struct mf_sq_conn *c, struct mf_store_req *r);
MF_MUST MF_WORKER int mf_sq_idem_purge(struct mf_sq_conn *c, struct mf_store_req *r);

/* Parts that verbs share. */
MF_MUST MF_WORKER int mf_sq_idem_put(struct mf_sq_conn *c,
                                     const struct mf_store_idem *idem,
                                     struct mf_err *err);
/* `next_seq` 0: unchanged. */
MF_MUST MF_WORKER int mf_sq_add_totals(struct mf_sq_conn *c, uint64_t next_seq,
                                       int64_t n_messages, struct mf_err *err);
MF_MUST MF_WORKER int mf_sq_set_space(struct mf_sq_conn *c, uint32_t space,
                                      struct mf_err *err);
/* One entity by the id (and, unless empty, the user_id) of `key`: 1 found, 0 not. */
MF_MUST MF_WORKER int mf_sq_get_one(struct mf_sq_conn *c, enum mf_entity_kind kind,
                                    const struct mf_entity *key, struct mf_arena *a,
                                    struct mf_entity *out, struct mf_err *err);

struct mf_sq_kind { /* the statements of an entity; MF_SQ_STMT_COUNT: none */
    const char *name;
    enum mf_sq_stmt get, find, list, put, set, drop;
};

MF_ANY const struct mf_sq_kind *mf_sq_kind(enum mf_entity_kind kind);

#endif
