/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/salvage.h"

#include "base/log.h"
#include "journal/logfile.h"
#include "journal/record.h"

static struct mf_slice column_blob(sqlite3_stmt *st, int column)
{
    const char *p = sqlite3_column_blob(st, column);

    return mf_slice_of(p, (size_t)sqlite3_column_bytes(st, column));
}

/* Above the order numbers of the record in row `seq`; a damaged one may have had many.
 */
static uint64_t above(uint64_t seq, struct mf_slice rec)
{
    struct mf_record_head head;

    if (mf_record_peek(rec, &head) && head.seq == seq) {
        return seq + mf_max(head.n_msgs, 1U);
    }
    return seq + MF_JLOG_SEQ_LEAP;
}

static int max_next(sqlite3 *db, const char *sql, uint64_t *next)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);

    if (rc == SQLITE_OK) {
        rc = sqlite3_step(st);
    }
    if (rc == SQLITE_ROW) {
        uint64_t seq = (uint64_t)sqlite3_column_int64(st, 0);
        bool has_record = sqlite3_column_count(st) > 1;

        *next = mf_max(*next, has_record ? above(seq, column_blob(st, 1)) : seq);
        rc = SQLITE_DONE;
    }
    (void)sqlite3_finalize(st);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static const char sql_kept[] = "SELECT value FROM meta WHERE key = 'next_seq'";
static const char sql_last[] =
    "SELECT seq, payload FROM rounds ORDER BY seq DESC LIMIT 1";

int mf_jlog_find_next(sqlite3 *db, uint64_t *next, struct mf_err *err)
{
    int rc;

    *next = 1;
    rc = max_next(db, sql_kept, next);
    if (rc == SQLITE_OK) {
        rc = max_next(db, sql_last, next);
    }
    if (rc != SQLITE_OK) {
        return mf_logfile_fail(db, rc, "greatest number in journal", err);
    }
    if (*next > MF_JLOG_MAX_SEQ) {
        return mf_err_set(err, MF_ECORRUPT, "order number %llu is out of all bounds",
                          (unsigned long long)*next);
    }
    return 0;
}

struct salvage {
    sqlite3 *from, *to;
    sqlite3_stmt *put;
    uint64_t n_kept;
    int64_t last_seq; /* reached from the front */
};

static int keep(struct salvage *s, uint64_t seq, struct mf_slice rec)
{
    struct mf_record_head head;
    int rc;

    if (!mf_record_peek(rec, &head) || head.seq != seq || seq > MF_JLOG_MAX_SEQ) {
        return SQLITE_OK; /* it stays in the old file */
    }
    rc = sqlite3_bind_int64(s->put, 1, (sqlite3_int64)seq);
    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_blob64(s->put, 2, rec.p, rec.n, SQLITE_STATIC);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(s->put) == SQLITE_DONE ? SQLITE_OK : sqlite3_errcode(s->to);
        (void)sqlite3_reset(s->put);
        s->n_kept++;
    }
    return rc;
}

/* Reads rows until there are no more or the damage begins: only an error of writing is
 * one. */
static int copy_rounds(struct salvage *s, const char *sql, bool is_forward)
{
    sqlite3_stmt *st = NULL;
    int rc = SQLITE_OK;

    if (sqlite3_prepare_v2(s->from, sql, -1, &st, NULL) != SQLITE_OK ||
        sqlite3_bind_int64(st, 1, s->last_seq) != SQLITE_OK) {
        return SQLITE_OK;
    }
    while (rc == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW) {
        int64_t seq = sqlite3_column_int64(st, 0);

        rc = keep(s, (uint64_t)seq, column_blob(st, 1));
        s->last_seq = is_forward ? seq : s->last_seq;
    }
    (void)sqlite3_finalize(st);
    return rc;
}

/* Marks that cannot be read are lost: their rounds become ordinary ones again. */
static int copy_parked(struct salvage *s)
{
    sqlite3_stmt *st = NULL, *put = NULL;
    int rc = sqlite3_prepare_v2(s->to,
                                "INSERT OR IGNORE INTO parked SELECT seq, ?2, ?3"
                                " FROM rounds WHERE seq = ?1",
                                -1, &put, NULL);

    if (rc != SQLITE_OK ||
        sqlite3_prepare_v2(s->from, "SELECT seq, reason, at FROM parked", -1, &st,
                           NULL) != SQLITE_OK) {
        (void)sqlite3_finalize(put);
        return rc;
    }
    while (rc == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW) {
        for (int i = 0; i < 3 && rc == SQLITE_OK; i++) {
            rc = sqlite3_bind_value(put, i + 1, sqlite3_column_value(st, i));
        }
        if (rc == SQLITE_OK && sqlite3_step(put) != SQLITE_DONE) {
            rc = sqlite3_errcode(s->to);
        }
        (void)sqlite3_reset(put);
    }
    (void)sqlite3_finalize(put);
    (void)sqlite3_finalize(st);
    return rc;
}

static int leap(struct salvage *s)
{
    uint64_t kept = 1, next = 1;
    sqlite3_stmt *st = NULL;
    int rc = max_next(s->to, sql_last, &next);

    if (max_next(s->from, sql_kept, &kept) == SQLITE_OK && kept < MF_JLOG_MAX_SEQ) {
        next = mf_max(next, kept);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_prepare_v2(
            s->to, "INSERT OR REPLACE INTO meta VALUES('next_seq', ?1)", -1, &st, NULL);
    }
    if (rc == SQLITE_OK) {
        next += MF_JLOG_SEQ_LEAP;
        rc = sqlite3_bind_int64(st, 1, (sqlite3_int64)next);
    }
    if (rc == SQLITE_OK && sqlite3_step(st) != SQLITE_DONE) {
        rc = sqlite3_errcode(s->to);
    }
    (void)sqlite3_finalize(st);
    return rc;
}

static int copy_all(struct salvage *s)
{
    int rc = sqlite3_exec(s->to, "BEGIN", NULL, NULL, NULL);

    if (rc == SQLITE_OK) {
        rc = sqlite3_prepare_v2(s->to, "INSERT OR IGNORE INTO rounds VALUES(?1, ?2)",
                                -1, &s->put, NULL);
    }
    if (rc == SQLITE_OK) {
        rc = copy_rounds(
            s, "SELECT seq, payload FROM rounds WHERE seq > ?1 ORDER BY seq", true);
    }
    if (rc == SQLITE_OK) {
        rc = copy_rounds(
            s, "SELECT seq, payload FROM rounds WHERE seq > ?1 ORDER BY seq DESC",
            false);
    }
    if (rc == SQLITE_OK) {
        rc = copy_parked(s);
    }
    if (rc == SQLITE_OK) {
        rc = leap(s);
    }
    (void)sqlite3_finalize(s->put);
    return rc == SQLITE_OK ? sqlite3_exec(s->to, "COMMIT", NULL, NULL, NULL) : rc;
}

/* The old file is only read, but its WAL is looked through, which wants it writable. */
static int copy_from(sqlite3 *to, const char *old, uint64_t *n_kept, struct mf_err *err)
{
    struct salvage s = {.to = to};
    int rc = mf_logfile_connect(&s.from, old, SQLITE_OPEN_READWRITE, NULL);

    if (rc < 0) { /* not there, or no file at all: an empty one has no tables either */
        rc = mf_logfile_connect(&s.from, ":memory:", SQLITE_OPEN_READWRITE, err);
    }
    if (rc < 0) {
        return rc;
    }
    (void)sqlite3_db_config(s.from, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    (void)sqlite3_exec(s.from, "PRAGMA locking_mode=EXCLUSIVE", NULL, NULL, NULL);
    rc = copy_all(&s);
    if (rc != SQLITE_OK) {
        rc = mf_logfile_fail(to, rc, "salvage", err);
    }
    (void)sqlite3_close(s.from);
    *n_kept = s.n_kept;
    return rc;
}

int mf_jlog_salvage(const char *dir, struct mf_err *err)
{
    struct mf_path old, path, moved;
    uint64_t n_kept = 0;
    sqlite3 *to = NULL;
    int rc = mf_logfile_path(&old, dir, MF_LOGFILE_NAME, err);

    if (rc == 0) {
        rc = mf_logfile_path(&path, dir, MF_LOGFILE_SALVAGED, err);
    }
    if (rc == 0) {
        rc = mf_logfile_create(&to, path.s, err);
    }
    if (rc < 0) {
        return rc;
    }
    rc = copy_from(to, old.s, &n_kept, err);
    if (rc < 0) {
        (void)sqlite3_close(to);
        mf_logfile_remove(path.s);
        return rc;
    }
    rc = mf_logfile_finish(to, path.s, err);
    if (rc == 0) {
        rc = mf_logfile_replace(dir, &moved, err);
    }
    if (rc == 0) {
        mf_log_error("journal_salvaged", "kept=%llu old=%s", (unsigned long long)n_kept,
                     moved.s);
    }
    return rc;
}
