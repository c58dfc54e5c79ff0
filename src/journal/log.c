/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/log.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/wallclock.h"
#include "journal/logfile.h"
#include "journal/record.h"
#include "journal/salvage.h"
#include "journal/walcheck.h"

#include <stdio.h>
#include <time.h>

#define LOOK_AT_SPACE_EVERY_MS 1000

#define WAL_HEAD_BYTES  32
#define WAL_FRAME_BYTES (24 + 8192)
/* The WAL is written ahead of the commits by so much at once, and again when half of it
 * is used. */
#define AHEAD_BYTES     (UINT64_C(1) << 20)
/* A commit of more pages costs what its bytes cost, however its place was made. */
#define AHEAD_MAX_PAGES 32

static const char *const sqls[MF_JLOG_N_STMTS] = {
    [MF_JLOG_BEGIN] = "BEGIN IMMEDIATE",
    [MF_JLOG_COMMIT] = "COMMIT",
    [MF_JLOG_APPEND] = "INSERT INTO rounds VALUES(?1, ?2)",
    [MF_JLOG_SIZE_OF] = "SELECT length(payload) FROM rounds WHERE seq = ?1",
    [MF_JLOG_ERASE] = "DELETE FROM rounds WHERE seq = ?1",
    [MF_JLOG_PARK] = ("INSERT OR REPLACE INTO parked SELECT seq, ?2, ?3 FROM rounds"
                      " WHERE seq = ?1"),
    [MF_JLOG_UNPARK] = "DELETE FROM parked WHERE seq = ?1",
    [MF_JLOG_SET_NEXT] = "INSERT OR REPLACE INTO meta VALUES('next_seq', ?1)",
    [MF_JLOG_KNOWN_PUT] = "INSERT OR REPLACE INTO known VALUES(?1, ?2, ?3, ?4, ?5)",
    [MF_JLOG_KNOWN_DROP] = "DELETE FROM known WHERE kind = ?1 AND id = ?2",
    [MF_JLOG_KNOWN_DROP_OWNED] =
        "DELETE FROM known WHERE user_id = ?2 OR agent_id = ?2",
};

static uint64_t clock_us(void)
{
    struct timespec ts;

    MF_ASSERT(clock_gettime(CLOCK_MONOTONIC, &ts) == 0);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* One step of a statement that gives no row, or one whose first column is a number:
 * SQLITE_DONE, SQLITE_ROW or the error. */
static int step(sqlite3_stmt *st, int64_t *number)
{
    int rc = sqlite3_step(st);
    int end;

    if (rc == SQLITE_ROW && number != NULL) {
        *number = sqlite3_column_int64(st, 0);
    }
    end = sqlite3_reset(st);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? rc : end;
}

/* Runs a statement whose only answer is whether it worked. */
static int act(struct mf_jlog *log, enum mf_jlog_stmt which)
{
    int rc = step(log->stmts[which], NULL);

    return rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : rc;
}

static int bind_seq(sqlite3_stmt *st, uint64_t seq)
{
    return sqlite3_bind_int64(st, 1, (sqlite3_int64)seq);
}

static int append(struct mf_jlog *log, const struct mf_item *it)
{
    sqlite3_stmt *st = log->stmts[MF_JLOG_APPEND];
    int rc;

    mf_buf_reset(&log->record);
    /* Too large was refused before it came here. */
    if (mf_record_pack(&log->record, it) < 0) {
        return SQLITE_NOMEM;
    }
    rc = bind_seq(st, it->seq);
    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_blob64(st, 2, log->record.p, log->record.n, SQLITE_STATIC);
    }
    return rc == SQLITE_OK ? act(log, MF_JLOG_APPEND) : rc;
}

static int erase(struct mf_jlog *log, uint64_t seq, uint64_t *bytes)
{
    int64_t n = 0;
    int rc = bind_seq(log->stmts[MF_JLOG_SIZE_OF], seq);

    if (rc == SQLITE_OK) {
        rc = step(log->stmts[MF_JLOG_SIZE_OF], &n);
    }
    if (rc != SQLITE_ROW) {
        return rc == SQLITE_DONE ? SQLITE_OK : rc;
    }
    *bytes += (uint64_t)n;
    rc = bind_seq(log->stmts[MF_JLOG_ERASE], seq);
    if (rc == SQLITE_OK) {
        rc = bind_seq(log->stmts[MF_JLOG_UNPARK], seq);
    }
    if (rc == SQLITE_OK) {
        rc = act(log, MF_JLOG_ERASE);
    }
    return rc == SQLITE_OK && log->has_parked ? act(log, MF_JLOG_UNPARK) : rc;
}

static int park(struct mf_jlog *log, struct mf_jlog_park *p)
{
    enum mf_jlog_stmt which = p->reason == NULL ? MF_JLOG_UNPARK : MF_JLOG_PARK;
    sqlite3_stmt *st = log->stmts[which];
    int rc = bind_seq(st, p->seq);

    if (rc == SQLITE_OK && p->reason != NULL) {
        rc = sqlite3_bind_text(st, 2, p->reason, -1, SQLITE_STATIC);
    }
    log->has_parked = log->has_parked || p->reason != NULL;
    if (rc == SQLITE_OK && p->reason != NULL) {
        rc = sqlite3_bind_int64(st, 3, mf_wallclock_us());
    }
    if (rc == SQLITE_OK) {
        rc = act(log, which);
    }
    p->rc = rc == SQLITE_OK && sqlite3_changes(log->db) == 0 ? MF_ENOTFOUND : 0;
    return rc;
}

static int bind_text(sqlite3_stmt *st, int at, struct mf_slice s)
{
    return sqlite3_bind_text64(st, at, s.n > 0 ? s.p : "", s.n, SQLITE_STATIC,
                               SQLITE_UTF8);
}

static int drop_known(struct mf_jlog *log, enum mf_jlog_stmt which, unsigned kind,
                      struct mf_slice id)
{
    sqlite3_stmt *st = log->stmts[which];
    int rc = bind_text(st, 2, id);

    if (rc == SQLITE_OK && which == MF_JLOG_KNOWN_DROP) {
        rc = sqlite3_bind_int64(st, 1, kind);
    }
    return rc == SQLITE_OK ? act(log, which) : rc;
}

static int put_known(struct mf_jlog *log, const struct mf_journal_known *k)
{
    sqlite3_stmt *st = log->stmts[MF_JLOG_KNOWN_PUT];
    const struct mf_slice texts[] = {k->id, k->user_id, k->agent_id, k->name};
    int rc = sqlite3_bind_int64(st, 1, k->kind);

    for (int i = 0; i < (int)mf_countof(texts) && rc == SQLITE_OK; i++) {
        rc = bind_text(st, i + 2, texts[i]);
    }
    return rc == SQLITE_OK ? act(log, MF_JLOG_KNOWN_PUT) : rc;
}

static int note(struct mf_jlog *log, const struct mf_jnote *n)
{
    unsigned kind = n->what.kind;
    int rc;

    if (!n->is_forget) {
        rc = put_known(log, &n->what);
        return rc == SQLITE_OK && n->drop.n > 0
                   ? drop_known(log, MF_JLOG_KNOWN_DROP, kind, n->drop)
                   : rc;
    }
    rc = drop_known(log, MF_JLOG_KNOWN_DROP, kind, n->what.id);
    return rc == SQLITE_OK && n->with_owned
               ? drop_known(log, MF_JLOG_KNOWN_DROP_OWNED, kind, n->what.id)
               : rc;
}

static int set_next(struct mf_jlog *log, uint64_t next)
{
    int rc = bind_seq(log->stmts[MF_JLOG_SET_NEXT], next);

    return rc == SQLITE_OK ? act(log, MF_JLOG_SET_NEXT) : rc;
}

static uint64_t next_after(uint64_t next, const struct mf_item *it)
{
    return mf_max(next, it->seq + mf_max(it->n_msgs, 1U));
}

static int fill(struct mf_jlog *log, struct mf_jlog_batch *b, uint64_t next)
{
    int rc = SQLITE_OK;

    for (size_t i = 0; i < b->n_items && rc == SQLITE_OK; i++) {
        rc = append(log, b->items[i]);
    }
    for (size_t i = 0; i < b->n_erase && rc == SQLITE_OK; i++) {
        rc = erase(log, b->erase[i], &b->erased_bytes);
    }
    for (size_t i = 0; i < b->n_parks && rc == SQLITE_OK; i++) {
        rc = park(log, &b->parks[i]);
    }
    for (size_t i = 0; i < b->n_notes && rc == SQLITE_OK; i++) {
        rc = note(log, b->notes[i]);
    }
    /* The rounds tell the greatest seq themselves until they are erased. */
    if (rc == SQLITE_OK && (b->is_probe || (b->n_erase > 0 && next > log->kept_next))) {
        rc = set_next(log, next);
    }
    return rc;
}

static int transact(struct mf_jlog *log, struct mf_jlog_batch *b)
{
    uint64_t next = log->next_seq;
    int rc = act(log, MF_JLOG_BEGIN);

    for (size_t i = 0; i < b->n_items; i++) {
        next = next_after(next, b->items[i]);
    }
    if (rc == SQLITE_OK) {
        rc = fill(log, b, next);
    }
    if (rc == SQLITE_OK) {
        rc = act(log, MF_JLOG_COMMIT);
    }
    if (rc == SQLITE_OK) {
        log->next_seq = next;
        log->kept_next = b->is_probe || b->n_erase > 0 ? next : log->kept_next;
    }
    return rc;
}

/* Says what a failure means, and takes back what was not committed. */
static int fail(struct mf_jlog *log, struct mf_jlog_batch *b, int rc, const char *what)
{
    int code = mf_logfile_fail(log->db, rc, what, &b->err);

    b->erased_bytes = 0;
    if (code != MF_ENOSPC && code != MF_ENOMEM) {
        code = MF_EFATAL;
    }
    /* A rollback writes nothing; without one the next commit would hold this one. */
    if (!sqlite3_get_autocommit(log->db) &&
        sqlite3_exec(log->db, "ROLLBACK", NULL, NULL, NULL) != SQLITE_OK) {
        code = MF_EFATAL;
    }
    log->is_dead = code == MF_EFATAL;
    b->err.code = code;
    return code;
}

static int checkpoint(struct mf_jlog *log, int mode)
{
    int in_wal = 0, done = 0;
    int rc = sqlite3_wal_checkpoint_v2(log->db, NULL, mode, &in_wal, &done);

    if (rc == SQLITE_OK) {
        log->wal_pages = (uint64_t)mf_max(in_wal - done, 0);
        log->wal_used = in_wal > done ? log->wal_used : 0; /* it starts over */
    }
    return rc;
}

static int write_zeros(sqlite3_file *f, uint64_t *from, uint64_t to)
{
    static const unsigned char zeros[65536];
    int rc = SQLITE_OK;

    while (rc == SQLITE_OK && *from < to) {
        uint64_t n = mf_min((uint64_t)sizeof(zeros), to - *from);

        rc = f->pMethods->xWrite(f, zeros, (int)n, (sqlite3_int64)*from);
        *from += rc == SQLITE_OK ? n : 0;
    }
    return rc;
}

/* Makes room behind the WAL's end, as zeros that SQLite takes for the end too. A commit
 * that writes over its place waits half as long for the disk as one that makes the file
 * grow: then blocks and the size are to be synced as well. */
static int write_ahead(struct mf_jlog *log)
{
    uint64_t used = WAL_HEAD_BYTES + log->wal_used * WAL_FRAME_BYTES;
    sqlite3_file *f = NULL;
    sqlite3_int64 size = 0;
    int rc;

    if (log->last_pages > AHEAD_MAX_PAGES || used + AHEAD_BYTES / 2 <= log->wal_bytes) {
        return SQLITE_OK;
    }
    rc = sqlite3_file_control(log->db, NULL, SQLITE_FCNTL_JOURNAL_POINTER, (void *)&f);
    if (rc != SQLITE_OK || f == NULL || f->pMethods == NULL) {
        return rc;
    }
    rc = f->pMethods->xFileSize(f, &size);
    if (rc == SQLITE_OK) {
        log->wal_bytes = (uint64_t)size;
        rc = write_zeros(f, &log->wal_bytes, used + AHEAD_BYTES);
    }
    /* The commit finds out itself whether it has room. */
    return mf_logfile_is_no_room(log->db, rc) ? SQLITE_OK : rc;
}

static void look_at_space(struct mf_jlog *log, struct mf_jlog_batch *b)
{
    bool is_due = b->now_ms - log->looked_at_ms >= LOOK_AT_SPACE_EVERY_MS;

    b->free_bytes = UINT64_MAX;
    if (is_due || b->is_probe || b->rc < 0) {
        log->looked_at_ms = b->now_ms;
        b->free_bytes = mf_logfile_free_bytes(log->dir);
    }
}

static void begin_batch(struct mf_jlog *log, struct mf_jlog_batch *b)
{
    MF_ASSERT(!log->is_dead);
    b->rc = 0;
    b->err = (struct mf_err){0};
    b->erased_bytes = 0;
    b->took_us = clock_us();
}

static void end_batch(struct mf_jlog *log, struct mf_jlog_batch *b)
{
    look_at_space(log, b);
    b->wal_pages = log->wal_pages;
    b->took_us = clock_us() - b->took_us;
}

void mf_jlog_commit(struct mf_jlog *log, struct mf_jlog_batch *b)
{
    int rc = SQLITE_OK;

    begin_batch(log, b);
    if (b->is_probe) {
        /* May let the WAL start over, which then needs no room; no room here is no
         * answer yet. */
        rc = checkpoint(log, SQLITE_CHECKPOINT_PASSIVE);
        if (mf_logfile_is_no_room(log->db, rc)) {
            rc = SQLITE_OK;
        }
    }
    if (rc == SQLITE_OK && !b->is_probe) { /* a probe is to need little */
        rc = write_ahead(log);
    }
    if (rc == SQLITE_OK) {
        rc = transact(log, b);
    }
    if (rc != SQLITE_OK) {
        b->rc = fail(log, b, rc, "journal commit");
    }
    end_batch(log, b);
}

void mf_jlog_checkpoint(struct mf_jlog *log, struct mf_jlog_batch *b)
{
    int rc;

    begin_batch(log, b);
    rc = checkpoint(log, SQLITE_CHECKPOINT_PASSIVE);
    if (rc != SQLITE_OK) {
        b->rc = fail(log, b, rc, "journal checkpoint");
    }
    end_batch(log, b);
}

static int on_wal_commit(void *arg, MF_UNUSED sqlite3 *db, MF_UNUSED const char *name,
                         int n_pages)
{
    struct mf_jlog *log = arg;
    uint64_t n = (uint64_t)n_pages;

    log->last_pages = n - (n > log->wal_used ? log->wal_used : 0);
    log->wal_used = log->wal_pages = n;
    return SQLITE_OK;
}

static int prepare(struct mf_jlog *log, struct mf_err *err)
{
    for (size_t i = 0; i < MF_JLOG_N_STMTS; i++) {
        int rc = sqlite3_prepare_v3(log->db, sqls[i], -1, SQLITE_PREPARE_PERSISTENT,
                                    &log->stmts[i], NULL);

        if (rc != SQLITE_OK) {
            return mf_logfile_fail(log->db, rc, "journal tables", err);
        }
    }
    (void)sqlite3_wal_hook(log->db, on_wal_commit, log);
    log->has_parked = true; /* until somebody has looked */
    return 0;
}

/* A commit before anybody counts on one: the WAL exists and is on disk with its name,
 * and a disk that cannot be written is found out now. */
static int open_with_commit(struct mf_jlog *log, struct mf_err *err)
{
    struct mf_jlog_batch b = {.is_probe = true};

    mf_jlog_commit(log, &b);
    log->free_bytes = b.free_bytes;
    if (b.rc == MF_ENOSPC) {
        log->is_full = true;
        return 0;
    }
    if (b.rc < 0) {
        if (err != NULL) {
            *err = b.err;
        }
        return b.rc == MF_EFATAL ? MF_EIO : b.rc;
    }
    return mf_logfile_sync(log->dir, err);
}

static void close_db(struct mf_jlog *log)
{
    for (size_t i = 0; i < MF_JLOG_N_STMTS; i++) {
        (void)sqlite3_finalize(log->stmts[i]);
        log->stmts[i] = NULL;
    }
    (void)sqlite3_close(log->db);
    log->db = NULL;
}

static void log_free(struct mf_jlog *log, bool is_closed)
{
    close_db(log);
    mf_jlock_release(&log->lock, is_closed);
    mf_buf_fini(&log->record);
    mf_free(log->dir);
    mf_free(log);
}

static int check_wal(const char *dir, struct mf_err *err)
{
    struct mf_path wal;
    int rc = mf_logfile_path(&wal, dir, MF_LOGFILE_WAL, err);

    return rc < 0 ? rc : mf_walcheck(wal.s, err);
}

static int open_file(struct mf_jlog *log, struct mf_err *err)
{
    int rc = mf_logfile_make(log->dir, err);

    if (rc == 0) {
        rc = check_wal(log->dir, err);
    }
    if (rc == 0) {
        rc = mf_logfile_open(&log->db, log->dir, err);
    }
    if (rc == 0) {
        rc = prepare(log, err);
    }
    if (rc == 0) {
        rc = mf_jlog_find_next(log->db, &log->next_seq, err);
    }
    if (rc < 0) {
        close_db(log);
    }
    return rc;
}

static int open_or_salvage(struct mf_jlog *log, bool accept_loss, struct mf_err *err)
{
    int rc = open_file(log, err);

    if (rc == MF_ECORRUPT && accept_loss) {
        rc = mf_jlog_salvage(log->dir, err);
        if (rc == 0) {
            rc = open_file(log, err);
        }
    }
    return rc;
}

static int open_locked(struct mf_jlog *log, bool accept_loss, bool was_closed,
                       struct mf_err *err)
{
    int rc = was_closed ? 0 : mf_logfile_cool(log->dir, err);

    if (rc == 0) {
        rc = open_or_salvage(log, accept_loss, err);
    }
    if (rc == 0) {
        rc = open_with_commit(log, err);
    }
    return rc;
}

int mf_jlog_open(struct mf_jlog **out, const char *dir, bool accept_loss,
                 struct mf_err *err)
{
    struct mf_jlog *log = mf_calloc(1, sizeof(*log));
    bool was_closed = false;
    int rc;

    if (log == NULL) {
        return mf_err_set(err, MF_ENOMEM, "journal in %s: out of memory", dir);
    }
    log->lock.fd = -1;
    log->dir = mf_strndup(dir, strlen(dir));
    rc = log->dir == NULL ? mf_err_set(err, MF_ENOMEM, "out of memory")
                          : mf_logfile_make_dir(dir, err);
    if (rc == 0) {
        rc = mf_jlock_take(&log->lock, dir, &was_closed, err);
        if (rc == MF_EBUSY) { /* its sentence names the folder */
            log_free(log, false);
            return rc;
        }
    }
    if (rc == 0) {
        rc = open_locked(log, accept_loss, was_closed, err);
    }
    if (rc < 0) {
        log_free(log, false);
        return mf_err_wrap(err, rc, "journal in %s", dir);
    }
    *out = log;
    return 0;
}

void mf_jlog_close(struct mf_jlog *log)
{
    bool is_clean = !log->is_dead;

    if (is_clean) {
        int rc = checkpoint(log, SQLITE_CHECKPOINT_TRUNCATE);

        is_clean = rc == SQLITE_OK;
        if (!is_clean) {
            mf_log_warn("journal_close", "sqlite=%d note=wal_kept", rc);
        }
    }
    if (is_clean) {
        /* All is in the file: SQLite may take the empty WAL away. */
        (void)sqlite3_db_config(log->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    }
    log_free(log, is_clean);
}
