/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "journal/log.h"
#include "journal/logfile.h"
#include "journal/quarantine.h"
#include "journal/record.h"

struct replay {
    struct mf_jlog *log;
    mf_jlog_each_fn each;
    void *arg;
    struct mf_quarantine damaged;
    bool has_parked;
    struct mf_err *err;
};

static const char sql[] = "SELECT r.seq, r.payload, p.reason FROM rounds r"
                          " LEFT JOIN parked p ON p.seq = r.seq ORDER BY r.seq";

static int take_row(struct replay *r, sqlite3_stmt *st)
{
    uint64_t seq = (uint64_t)sqlite3_column_int64(st, 0);
    const char *blob = sqlite3_column_blob(st, 1);
    struct mf_slice rec = mf_slice_of(blob, (size_t)sqlite3_column_bytes(st, 1));
    struct mf_record_head head;
    struct mf_item *it;
    int rc = MF_ECORRUPT;

    /* A whole record in another's row is damage, too. */
    if (mf_record_peek(rec, &head) && head.seq == seq) {
        rc = mf_record_unpack(rec, &it);
    }
    if (rc == MF_ECORRUPT) {
        return mf_quarantine_add(&r->damaged, seq, rec, r->err);
    }
    if (rc < 0) {
        return mf_err_set(r->err, rc, "record %llu: %s", (unsigned long long)seq,
                          mf_code_sentence(rc));
    }
    r->has_parked = r->has_parked || sqlite3_column_type(st, 2) != SQLITE_NULL;
    return r->each(it, (const char *)sqlite3_column_text(st, 2), rec.n, r->arg);
}

static int scan(struct replay *r)
{
    sqlite3_stmt *st = NULL;
    int rc = 0;
    int step = sqlite3_prepare_v2(r->log->db, sql, -1, &st, NULL);

    while (rc == 0 && (step == SQLITE_OK || step == SQLITE_ROW)) {
        step = sqlite3_step(st);
        if (step == SQLITE_ROW) {
            rc = take_row(r, st);
        }
    }
    if (rc == 0 && step != SQLITE_DONE) {
        rc = mf_logfile_fail(r->log->db, step, "replay", r->err);
    }
    (void)sqlite3_finalize(st);
    return rc;
}

/* A step at a time, so that no commit is long. */
static int erase_damaged(struct replay *r)
{
    const size_t step = 1024;

    for (size_t at = 0; at < r->damaged.n; at += step) {
        struct mf_jlog_batch b = {.erase = r->damaged.seqs + at,
                                  .n_erase = mf_min(step, r->damaged.n - at)};

        mf_jlog_commit(r->log, &b);
        if (b.rc < 0) {
            return mf_err_set(r->err, b.rc, "erasing damaged records: %s", b.err.msg);
        }
    }
    return 0;
}

static int save_damaged(struct replay *r, bool accept_loss)
{
    char name[MF_QUARANTINE_NAME_MAX];
    int rc = mf_quarantine_finish(&r->damaged, name, r->err);

    if (rc < 0) {
        return rc;
    }
    mf_log_error("journal_damaged", "records=%zu saved=%s accept_loss=%d", r->damaged.n,
                 name, accept_loss);
    if (accept_loss) {
        return erase_damaged(r);
    }
    return mf_err_set(r->err, MF_ECORRUPT,
                      "%zu damaged records, the first is %llu, were saved in %s; start "
                      "with --set journal.accept_loss=true to go on without them",
                      r->damaged.n, (unsigned long long)r->damaged.seqs[0], name);
}

int mf_jlog_replay(struct mf_jlog *log, bool accept_loss, mf_jlog_each_fn each,
                   void *arg, struct mf_err *err)
{
    struct replay r = {.log = log, .each = each, .arg = arg, .err = err};
    int rc;

    mf_quarantine_init(&r.damaged, log->dir);
    rc = scan(&r);
    if (rc == 0 && r.damaged.n == 0) {
        log->has_parked = r.has_parked;
    } else if (rc == 0) {
        rc = save_damaged(&r, accept_loss);
    }
    mf_quarantine_fini(&r.damaged);
    return rc;
}
