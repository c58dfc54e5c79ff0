/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/log.h"

#include "base/mem.h"
#include "journal/logfile.h"
#include "journal/record.h"
#include "lib/fault_vfs.h"
#include "lib/mf_test.h"
#include "unit/journal_kit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static struct mf_jlog *open_log(const char *dir)
{
    struct mf_err err = {0};
    struct mf_jlog *log = NULL;

    if (mf_jlog_open(&log, dir, false, &err) < 0) {
        fail_msg("%s", err.msg);
    }
    return log;
}

static struct mf_jlog_batch commit(struct mf_jlog *log, uint64_t from, size_t n)
{
    struct mf_item *items[512];
    struct mf_jlog_batch b = {.items = items, .n_items = n};

    as_loop();
    MF_ASSERT(n <= mf_countof(items));
    for (size_t i = 0; i < n; i++) {
        items[i] = kit_item(from + i);
    }
    mf_jlog_commit(log, &b);
    for (size_t i = 0; i < n; i++) {
        mf_item_unref(items[i]);
    }
    return b;
}

static struct mf_jlog_batch erase(struct mf_jlog *log, const uint64_t *seqs, size_t n)
{
    struct mf_jlog_batch b = {.erase = seqs, .n_erase = n};

    mf_jlog_commit(log, &b);
    return b;
}

static struct kit_rounds *replayed(struct mf_jlog *log)
{
    static struct kit_rounds r;
    struct mf_err err = {0};

    memset(&r, 0, sizeof(r));
    if (mf_jlog_replay(log, false, kit_count_bytes, &r, &err) < 0) {
        fail_msg("%s", err.msg);
    }
    MF_CHECK_INT(r.n_wrong, 0);
    MF_CHECK(r.n == 0 || r.is_ascending);
    return &r;
}

static const char *in(const char *dir, const char *name)
{
    static char paths[64][4200];
    static unsigned next;
    char *path = paths[next++ % 64];

    (void)snprintf(path, 4200, "%s/%s", dir, name);
    return path;
}

static off_t size_of(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? st.st_size : -1;
}

/* Another program at work on the closed file. */
static void sql(const char *path, const char *words)
{
    sqlite3 *db;

    MF_CHECK_INT(sqlite3_open(path, &db), SQLITE_OK);
    MF_CHECK_INT(sqlite3_exec(db, words, NULL, NULL, NULL), SQLITE_OK);
    MF_CHECK_INT(sqlite3_close(db), SQLITE_OK);
}

MF_TEST(jlog, gives_back_what_was_committed_after_a_clean_close)
{
    const char *dir = mf_test_tmpdir();
    struct mf_jlog *log = open_log(dir);
    struct mf_jlog_batch b = commit(log, 1, 100);

    MF_CHECK_OK(b.rc);
    MF_CHECK(b.wal_pages > 0);
    MF_CHECK(size_of(in(dir, "journal.db-wal")) > 0);
    MF_CHECK_INT(size_of(in(dir, "journal.db-shm")), -1);
    mf_jlog_close(log);
    MF_CHECK_INT(size_of(in(dir, "journal.db-wal")), -1);
    MF_CHECK_INT(size_of(in(dir, "journal.db.new")), -1);
    log = open_log(dir);
    MF_CHECK_INT(replayed(log)->n, 100);
    MF_CHECK_INT(log->next_seq, 101);
    mf_jlog_close(log);
}

MF_TEST(jlog, gives_back_what_was_committed_though_nobody_closed_it)
{
    const char *dir = mf_test_tmpdir();
    struct mf_jlog *log = open_log(dir);
    struct mf_jlog_batch b = commit(log, 1, 100);

    MF_CHECK_OK(b.rc);
    log->is_dead = true; /* leaves the file as a crash would */
    mf_jlog_close(log);
    MF_CHECK(size_of(in(dir, "journal.db-wal")) > 0);
    log = open_log(dir);
    MF_CHECK_INT(replayed(log)->n, 100);
    MF_CHECK_OK(commit(log, 101, 5).rc);
    mf_jlog_close(log);
    log = open_log(dir);
    MF_CHECK_INT(replayed(log)->n, 105);
    mf_jlog_close(log);
}

MF_TEST(jlog, uses_wal_with_full_sync_large_pages_and_no_shared_memory)
{
    static const char *const pragmas[][2] = {
        {"PRAGMA journal_mode", "wal"},     {"PRAGMA synchronous", "2"},
        {"PRAGMA page_size", "8192"},       {"PRAGMA locking_mode", "exclusive"},
        {"PRAGMA wal_autocheckpoint", "0"}, {"PRAGMA user_version", "1"},
        {"PRAGMA auto_vacuum", "0"}};
    struct mf_jlog *log = open_log(mf_test_tmpdir());

    for (size_t i = 0; i < mf_countof(pragmas); i++) {
        sqlite3_stmt *st;

        MF_CHECK_INT(sqlite3_prepare_v2(log->db, pragmas[i][0], -1, &st, NULL),
                     SQLITE_OK);
        MF_CHECK_INT(sqlite3_step(st), SQLITE_ROW);
        MF_CHECK_STR((const char *)sqlite3_column_text(st, 0), pragmas[i][1]);
        (void)sqlite3_finalize(st);
    }
    mf_jlog_close(log);
}

MF_TEST(jlog, keeps_rounds_erased_and_numbers_used)
{
    static const uint64_t seqs[] = {1, 3, 4, 77};
    const char *dir = mf_test_tmpdir();
    struct mf_jlog *log = open_log(dir);
    struct mf_jlog_batch b;
    struct kit_rounds *r;
    uint64_t bytes;

    MF_CHECK_OK(commit(log, 1, 4).rc);
    r = replayed(log);
    bytes = r->bytes;
    b = erase(log, seqs, 4);
    MF_CHECK_OK(b.rc);
    r = replayed(log);
    MF_CHECK_INT(r->n, 1);
    MF_CHECK_INT(r->seqs[0], 2);
    MF_CHECK_INT(b.erased_bytes, bytes - r->bytes);
    b = erase(log, seqs, 4); /* again: nothing is there */
    MF_CHECK_OK(b.rc);
    MF_CHECK_INT(b.erased_bytes, 0);
    mf_jlog_close(log);
    log = open_log(dir);
    MF_CHECK_INT(replayed(log)->n, 1);
    MF_CHECK_INT(log->next_seq, 5);
    mf_jlog_close(log);
}

MF_TEST(jlog, counts_each_message_of_a_round_as_a_number_used)
{
    const char *dir = mf_test_tmpdir();
    struct mf_jlog *log = open_log(dir);
    struct mf_item *it = kit_big_item(10, 5, 20);
    struct mf_jlog_batch b = {.items = &it, .n_items = 1};

    as_loop();
    MF_CHECK_INT(log->next_seq, 1);
    mf_jlog_commit(log, &b);
    MF_CHECK_INT(log->next_seq, 15);
    mf_jlog_close(log);
    log = open_log(dir);
    MF_CHECK_INT(log->next_seq, 15);
    mf_item_unref(it);
    mf_jlog_close(log);
}

MF_TEST(jlog, marks_and_unmarks_parked_rounds)
{
    struct mf_jlog_park parks[] = {{2, "a bad row", 1}, {9, "not there", 1}};
    struct mf_jlog_park unparks[] = {{2, NULL, 1}, {1, NULL, 1}};
    struct mf_jlog_batch b = {.parks = parks, .n_parks = 2};
    const char *dir = mf_test_tmpdir();
    struct mf_jlog *log = open_log(dir);

    MF_CHECK_OK(commit(log, 1, 3).rc);
    mf_jlog_commit(log, &b);
    MF_CHECK_OK(b.rc);
    MF_CHECK_INT(parks[0].rc, 0);
    MF_CHECK_INT(parks[1].rc, MF_ENOTFOUND);
    mf_jlog_close(log);
    log = open_log(dir);
    MF_CHECK_INT(replayed(log)->n, 3);
    MF_CHECK_INT(replayed(log)->n_parked, 1);
    MF_CHECK_STR(replayed(log)->last_reason, "a bad row");
    b.parks = unparks;
    mf_jlog_commit(log, &b);
    MF_CHECK_INT(unparks[0].rc, 0);
    MF_CHECK_INT(unparks[1].rc, MF_ENOTFOUND);
    MF_CHECK_INT(replayed(log)->n_parked, 0);
    mf_jlog_close(log);
}

MF_TEST(jlog, forgets_the_mark_with_the_round)
{
    static const uint64_t seq = 1;
    struct mf_jlog_park p = {1, "bad", 1};
    struct mf_jlog_batch b = {.parks = &p, .n_parks = 1};
    struct mf_jlog *log = open_log(mf_test_tmpdir());

    MF_CHECK_OK(commit(log, 1, 1).rc);
    mf_jlog_commit(log, &b);
    MF_CHECK_OK(erase(log, &seq, 1).rc);
    MF_CHECK_OK(commit(log, 1, 1).rc); /* the same number, for this test only */
    MF_CHECK_INT(replayed(log)->n_parked, 0);
    mf_jlog_close(log);
}

MF_TEST(jlog, reuses_the_wal_after_a_checkpoint)
{
    const char *dir = mf_test_tmpdir();
    struct mf_jlog *log = open_log(dir);
    struct mf_jlog_batch b;
    off_t most = 0;

    for (uint64_t i = 0; i < 200; i++) {
        b = commit(log, 1 + i * 20, 20);
        MF_CHECK_OK(b.rc);
        if (b.wal_pages > 30) {
            most = mf_max(most, size_of(in(dir, "journal.db-wal")));
            mf_jlog_checkpoint(log, &b);
            MF_CHECK_OK(b.rc);
            MF_CHECK_INT(b.wal_pages, 0);
            /* kept, not cut: cutting costs a sync of the folder's data each time */
            MF_CHECK_INT(size_of(in(dir, "journal.db-wal")), most);
        }
    }
    MF_CHECK(most > 0 && most < (off_t)60 * 8300);
    MF_CHECK_INT(replayed(log)->n, 4000);
    mf_jlog_close(log);
}

static void check_open_fails(const char *dir, int rc, const char *part)
{
    struct mf_err err = {0};
    struct mf_jlog *log = NULL;

    MF_CHECK_INT(mf_jlog_open(&log, dir, false, &err), rc);
    MF_CHECK_INT(err.code, rc);
    if (strstr(err.msg, part) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", err.msg, part);
    }
    MF_CHECK_PTR(log, NULL);
}

MF_TEST(jlog, refuses_a_second_opener_and_names_the_first)
{
    const char *dir = mf_test_tmpdir();
    struct mf_jlog *log = open_log(dir);
    char want[4400];
    char got[4400];

    (void)snprintf(want, sizeof(want), "journal in %s is in use by process %ld", dir,
                   (long)getpid());
    check_open_fails(dir, MF_EBUSY, want);
    MF_CHECK_INT(kit_child(got, sizeof(got), "open", dir), 2);
    MF_CHECK_STR(got, want);
    MF_CHECK_OK(commit(log, 1, 1).rc); /* undisturbed */
    mf_jlog_close(log);
    MF_CHECK_INT(kit_child(got, sizeof(got), "open", dir), 0);
}

MF_TEST(jlog, names_another_process_that_holds_it)
{
    const char *dir = mf_test_tmpdir();
    char byte, want[64];
    int fd;
    pid_t pid = kit_child_start(&fd, "hold", dir);

    MF_CHECK_INT(read(fd, &byte, 1), 1); /* it has opened it */
    (void)snprintf(want, sizeof(want), "is in use by process %ld", (long)pid);
    check_open_fails(dir, MF_EBUSY, want);
    kit_child_kill(pid, fd);
    mf_jlog_close(open_log(dir)); /* the lock died with it */
}

MF_TEST(jlog, refuses_a_file_of_a_newer_version)
{
    const char *dir = mf_test_tmpdir();

    mf_jlog_close(open_log(dir));
    sql(in(dir, "journal.db"), "PRAGMA user_version=2");
    check_open_fails(dir, MF_EINVAL, "newer memfuse (format 2, this one knows 1)");
}

MF_TEST(jlog, refuses_a_foreign_file_and_leaves_it_alone)
{
    const char *dir = mf_test_tmpdir();
    sqlite3_stmt *st;
    sqlite3 *db;

    sql(in(dir, "journal.db"), "CREATE TABLE precious(x); INSERT INTO precious "
                               "VALUES(7)");
    check_open_fails(dir, MF_ECORRUPT, "is not a journal of memfuse");
    MF_CHECK_INT(sqlite3_open(in(dir, "journal.db"), &db), SQLITE_OK);
    MF_CHECK_INT(sqlite3_prepare_v2(db, "PRAGMA journal_mode", -1, &st, NULL), 0);
    MF_CHECK_INT(sqlite3_step(st), SQLITE_ROW);
    MF_CHECK_STR((const char *)sqlite3_column_text(st, 0), "delete");
    (void)sqlite3_finalize(st);
    (void)sqlite3_close(db);
}

static void write_bytes(const char *path, off_t at, const void *p, size_t n)
{
    int fd = open(path, O_RDWR | O_CREAT, 0600);

    MF_CHECK(fd >= 0);
    MF_CHECK_INT(pwrite(fd, p, n, at), n);
    (void)close(fd);
}

MF_TEST(jlog, refuses_files_that_are_none)
{
    const char *dir = mf_test_tmpdir();
    char name[8400];

    write_bytes(in(dir, "journal.db"), 0, "", 0);
    check_open_fails(dir, MF_ECORRUPT, "is not a journal");
    write_bytes(in(dir, "journal.db"), 0, "This is a text, not a database. ....", 32);
    check_open_fails(dir, MF_ECORRUPT, "journal.db");
    (void)snprintf(name, sizeof(name), "%s/journal.db/below", dir);
    check_open_fails(name, MF_EIO, "below");
}

MF_TEST(jlog, refuses_a_wal_without_its_file)
{
    const char *dir = mf_test_tmpdir();
    struct mf_jlog *log = open_log(dir);

    MF_CHECK_OK(commit(log, 1, 3).rc);
    log->is_dead = true;
    mf_jlog_close(log);
    MF_CHECK_OK(unlink(in(dir, "journal.db")));
    check_open_fails(dir, MF_ECORRUPT, "is missing, but its WAL is there");
}

MF_TEST(jlog, goes_on_with_what_a_start_that_was_cut_short_left)
{
    const char *dir = mf_test_tmpdir();

    write_bytes(in(dir, "journal.db.new"), 0, "half a fi", 9);
    write_bytes(in(dir, "journal.db.new-journal"), 0, "half a jour", 11);
    mf_jlog_close(open_log(dir));
    MF_CHECK_INT(size_of(in(dir, "journal.db.new-journal")), -1);
    MF_CHECK_INT(size_of(in(dir, "journal.db.new")), -1);
}

/* Finds the payload of `seq` in the closed file and changes one byte of it. */
static void flip_in_payload(const char *dir, uint64_t seq)
{
    struct mf_item *it = kit_item(seq);
    const char *path = in(dir, "journal.db");
    off_t n = size_of(path);
    char *bytes = malloc((size_t)n);
    char *at;
    int fd = open(path, O_RDWR);

    as_loop();
    MF_ASSERT(bytes != NULL && pread(fd, bytes, (size_t)n, 0) == n);
    at = memmem(bytes, (size_t)n, it->msgs[0].content.p, 40);
    MF_ASSERT(at != NULL);
    at[7] = (char)(at[7] ^ 0x20);
    MF_CHECK_INT(pwrite(fd, at + 7, 1, at + 7 - bytes), 1);
    (void)close(fd);
    free(bytes);
    mf_item_unref(it);
}

static int replay_with(struct mf_jlog *log, bool accept_loss, struct kit_rounds *r,
                       struct mf_err *err)
{
    memset(r, 0, sizeof(*r));
    return mf_jlog_replay(log, accept_loss, kit_count_bytes, r, err);
}

static void check_quarantine(const char *path, const uint64_t *seqs, uint32_t n)
{
    static char bytes[65536];
    int fd = open(path, O_RDONLY);
    ssize_t got = read(fd, bytes, sizeof(bytes));
    size_t at = 16;
    struct mf_record_head head;

    MF_CHECK(got > 16);
    (void)close(fd);
    MF_CHECK_MEM(bytes, "mfdamage", 8);
    MF_CHECK_INT(mf_get_u32(bytes + 8), 1);
    MF_CHECK_INT(mf_get_u32(bytes + 12), n);
    for (uint32_t i = 0; i < n; i++) {
        size_t len = mf_get_u32(bytes + at + 8);

        MF_CHECK_INT(mf_get_u64(bytes + at), seqs[i]);
        MF_CHECK(at + 12 + len <= (size_t)got);
        MF_CHECK(!mf_record_peek(mf_slice_of(bytes + at + 12, len), &head));
        at += 12 + len;
    }
    MF_CHECK_INT(at, got);
}

MF_TEST(jlog, finds_and_saves_damaged_records_and_goes_on_only_when_told_to)
{
    static const uint64_t bad[] = {20, 41};
    const char *dir = mf_test_tmpdir();
    struct mf_jlog *log = open_log(dir);
    struct kit_rounds r;
    struct mf_err err;

    MF_CHECK_OK(commit(log, 1, 100).rc);
    mf_jlog_close(log);
    flip_in_payload(dir, bad[0]);
    flip_in_payload(dir, bad[1]);
    for (int i = 0; i < 2; i++) { /* found again: the same file */
        log = open_log(dir);
        MF_CHECK_INT(replay_with(log, false, &r, &err), MF_ECORRUPT);
        MF_CHECK(strstr(err.msg, "2 damaged records, the first is 20") != NULL);
        MF_CHECK(strstr(err.msg, "journal-damaged-20.bin") != NULL);
        MF_CHECK_INT(r.n, 98);
        MF_CHECK_INT(r.n_wrong, 0);
        check_quarantine(in(dir, "journal-damaged-20.bin"), bad, 2);
        mf_jlog_close(log);
    }
    log = open_log(dir);
    MF_CHECK_OK(replay_with(log, true, &r, &err));
    MF_CHECK_INT(r.n, 98);
    mf_jlog_close(log);
    log = open_log(dir);
    MF_CHECK_INT(replayed(log)->n, 98);
    MF_CHECK_INT(log->next_seq, 101);
    mf_jlog_close(log);
}

MF_TEST(jlog, finds_a_whole_record_in_anothers_row)
{
    const char *dir = mf_test_tmpdir();
    struct mf_jlog *log = open_log(dir);
    struct kit_rounds r;
    struct mf_err err;

    MF_CHECK_OK(commit(log, 1, 3).rc);
    mf_jlog_close(log);
    sql(in(dir, "journal.db"),
        "UPDATE rounds SET payload = (SELECT payload FROM rounds WHERE seq = 1)"
        " WHERE seq = 3");
    log = open_log(dir);
    MF_CHECK_INT(replay_with(log, false, &r, &err), MF_ECORRUPT);
    MF_CHECK_INT(r.n, 2);
    /* The damaged one is the last: nobody knows how many numbers it had. */
    MF_CHECK(log->next_seq > UINT64_C(1) << 32);
    mf_jlog_close(log);
}

MF_TEST(jlog, stops_the_replay_when_the_callee_says_so)
{
    struct mf_jlog *log = open_log(mf_test_tmpdir());
    struct mf_err err = {0};

    MF_CHECK_OK(commit(log, 1, 3).rc);
    MF_CHECK_INT(mf_jlog_replay(log, false, kit_refuse_second, NULL, &err), -1234);
    mf_jlog_close(log);
}

/* Zeroes a leaf page in the middle of the file. */
static void break_a_page(const char *dir)
{
    static const char zeros[8192];
    const char *path = in(dir, "journal.db");

    write_bytes(path, size_of(path) / 2 / 8192 * 8192, zeros, sizeof(zeros));
}

MF_TEST(jlog, salvages_the_intact_rounds_of_a_file_with_a_broken_page)
{
    const char *dir = mf_test_tmpdir();
    struct mf_jlog_park p = {390, "bad", 1};
    struct mf_jlog_batch b = {.parks = &p, .n_parks = 1};
    struct mf_jlog *log = open_log(dir);
    struct mf_err err = {0};
    struct kit_rounds *r;

    MF_CHECK_OK(commit(log, 1, 400).rc);
    mf_jlog_commit(log, &b);
    mf_jlog_close(log);
    break_a_page(dir);
    check_open_fails(dir, MF_ECORRUPT, "journal.db");
    MF_CHECK_OK(mf_jlog_open(&log, dir, true, &err));
    r = replayed(log);
    MF_CHECK(r->n > 370 && r->n < 400);
    MF_CHECK_INT(r->seqs[0], 1);
    MF_CHECK_INT(r->last, 400); /* from both ends */
    MF_CHECK_INT(r->n_parked, 1);
    MF_CHECK(log->next_seq > UINT64_C(1) << 32);
    MF_CHECK(size_of(in(dir, "journal-damaged-1.db")) > 0);
    MF_CHECK_INT(size_of(in(dir, "journal.db.salvaged")), -1);
    mf_jlog_close(log);
    log = open_log(dir);
    MF_CHECK_INT(replayed(log)->n, r->n);
    mf_jlog_close(log);
}

MF_TEST(jlog, starts_anew_beside_a_file_that_holds_nothing_readable_when_told_to)
{
    const char *dir = mf_test_tmpdir();
    struct mf_err err = {0};
    struct mf_jlog *log;

    write_bytes(in(dir, "journal.db"), 0, "This is a text, not a database. ....", 32);
    MF_CHECK_OK(mf_jlog_open(&log, dir, true, &err));
    MF_CHECK_INT(replayed(log)->n, 0);
    MF_CHECK(log->next_seq > UINT64_C(1) << 32);
    MF_CHECK_INT(size_of(in(dir, "journal-damaged-1.db")), 32);
    mf_jlog_close(log);
}

MF_TEST(jlog, ends_a_salvage_that_was_cut_short_between_its_renames)
{
    const char *dir = mf_test_tmpdir();
    struct mf_jlog *log = open_log(dir);

    MF_CHECK_OK(commit(log, 1, 7).rc);
    mf_jlog_close(log);
    MF_CHECK_OK(rename(in(dir, "journal.db"), in(dir, "journal.db.salvaged")));
    write_bytes(in(dir, "journal.db-wal"), 0, "of the damaged file", 19);
    log = open_log(dir);
    MF_CHECK_INT(replayed(log)->n, 7);
    MF_CHECK_INT(size_of(in(dir, "journal-damaged-1.db-wal")), 19);
    mf_jlog_close(log);
}

static void flip_in_wal(const char *dir, off_t at)
{
    const char *path = in(dir, "journal.db-wal");
    char byte;
    int fd = open(path, O_RDWR);

    MF_CHECK_INT(pread(fd, &byte, 1, at), 1);
    byte = (char)(byte ^ 4);
    MF_CHECK_INT(pwrite(fd, &byte, 1, at), 1);
    (void)close(fd);
}

/* Ten commits of five rounds in the WAL, nothing checkpointed, then a sudden end; tells
 * the length of the WAL after each. */
static void leave_a_wal(const char *dir, off_t ends[10])
{
    struct mf_jlog *log = open_log(dir);

    for (uint64_t i = 0; i < 10; i++) {
        MF_CHECK_OK(commit(log, 1 + i * 5, 5).rc);
        ends[i] = size_of(in(dir, "journal.db-wal"));
    }
    log->is_dead = true;
    mf_jlog_close(log);
}

MF_TEST(jlog, finds_damage_in_the_wal_that_would_lose_commits_silently)
{
    const char *dir = mf_test_tmpdir();
    struct mf_err err = {0};
    struct mf_jlog *log;
    off_t ends[10];

    leave_a_wal(dir, ends);
    flip_in_wal(dir, ends[4] + 24 + 4000); /* in the sixth commit's first page */
    check_open_fails(dir, MF_ECORRUPT, "5 commits behind it cannot be read");
    MF_CHECK_OK(mf_jlog_open(&log, dir, true, &err));
    MF_CHECK_INT(replayed(log)->n, 25); /* the five commits before */
    MF_CHECK(log->next_seq > UINT64_C(1) << 32);
    MF_CHECK(size_of(in(dir, "journal-damaged-1.db-wal")) == ends[9]);
    mf_jlog_close(log);
}

MF_TEST(jlog, finds_a_damaged_head_of_the_wal)
{
    const char *dir = mf_test_tmpdir();
    off_t ends[10];

    leave_a_wal(dir, ends);
    flip_in_wal(dir, 13); /* its number of checkpoints: only the sum tells */
    check_open_fails(dir, MF_ECORRUPT, "journal.db-wal is damaged");
}

MF_TEST(jlog, takes_a_torn_last_commit_for_the_power_cut_it_is)
{
    const char *dir = mf_test_tmpdir();
    struct mf_jlog *log;
    off_t ends[10];

    leave_a_wal(in(dir, "torn"), ends);
    flip_in_wal(in(dir, "torn"), ends[8] + 24 + 4000);
    log = open_log(in(dir, "torn"));
    MF_CHECK_INT(replayed(log)->n, 45);
    mf_jlog_close(log);
    leave_a_wal(in(dir, "short"), ends);
    MF_CHECK_OK(truncate(in(dir, "short/journal.db-wal"), ends[9] - 5000));
    log = open_log(in(dir, "short"));
    MF_CHECK_INT(replayed(log)->n, 45);
    mf_jlog_close(log);
}

/* Commits, erases and checkpoints; the first rc < 0 ends it. Tells what was confirmed:
 * rounds 1..*n_acked, of which those up to *n_erased are erased again. */
static int life(struct mf_jlog *log, uint64_t *n_acked, uint64_t *n_erased)
{
    struct mf_jlog_batch b;

    *n_acked = *n_erased = 0;
    for (int i = 0; i < 6; i++) {
        uint64_t seqs[4];

        b = commit(log, *n_acked + 1, 8);
        if (b.rc < 0) {
            return b.rc;
        }
        *n_acked += 8;
        for (size_t k = 0; k < 4; k++) {
            seqs[k] = *n_erased + 1 + k;
        }
        b = erase(log, seqs, 4);
        if (b.rc < 0) {
            return b.rc;
        }
        *n_erased += 4;
        mf_jlog_checkpoint(log, &b);
        if (b.rc < 0) {
            return b.rc;
        }
    }
    return 0;
}

/* All that was confirmed is there; the failed commit is there as a whole or not. */
static void check_after_life(const char *dir, uint64_t n_acked, uint64_t n_erased)
{
    struct mf_jlog *log = open_log(dir);
    struct kit_rounds *r = replayed(log);
    uint64_t first = r->n > 0 ? r->seqs[0] : n_erased + 1;

    MF_CHECK(first == n_erased + 1 || first == n_erased + 5);
    MF_CHECK(r->n == n_acked - (first - 1) || r->n == n_acked + 8 - (first - 1));
    MF_CHECK(r->n == 0 || r->last == first + r->n - 1);
    mf_jlog_close(log);
}

static bool live_with_fault(const char *dir, enum fault_call call, unsigned n, int code)
{
    uint64_t n_acked, n_erased;
    struct mf_jlog *log = open_log(dir);
    struct mf_jlog_batch b;
    bool has_fired;
    int rc;

    fault_vfs_arm(call, n, 1, code);
    rc = life(log, &n_acked, &n_erased);
    has_fired = fault_vfs_n_fired() == 1;
    MF_CHECK_INT(rc, has_fired ? MF_EFATAL : 0);
    MF_CHECK_INT(log->is_dead, has_fired);
    if (has_fired) {
        mf_jlog_close(log);
        MF_CHECK_INT(fault_vfs_n_after(), 0); /* nothing written, nothing synced */
    } else {
        fault_vfs_disarm();
        b = commit(log, n_acked + 1, 1);
        n_acked += 1;
        MF_CHECK_OK(b.rc);
        mf_jlog_close(log);
    }
    fault_vfs_disarm();
    check_after_life(dir, n_acked, n_erased);
    return has_fired;
}

static unsigned sweep(enum fault_call call, int code)
{
    const char *dir = mf_test_tmpdir();
    unsigned n = 0;
    char sub[4200];

    fault_vfs_install();
    do {
        (void)snprintf(sub, sizeof(sub), "%s/%d-%u", dir, (int)call, ++n);
    } while (live_with_fault(sub, call, n, code));
    fault_vfs_remove();
    return n - 1;
}

MF_TEST(jlog, dies_at_each_failed_fsync_and_writes_nothing_more)
{
    /* 12 commits, 6 checkpoints of the WAL and the file each */
    MF_CHECK(sweep(FAULT_SYNC, SQLITE_IOERR_FSYNC) >= 24);
}

MF_TEST(jlog, dies_at_each_failed_write_and_writes_nothing_more)
{
    MF_CHECK(sweep(FAULT_WRITE, SQLITE_IOERR_WRITE) >= 36);
}

/* The n-th write finds no room, and so do the `times` after it. */
static bool live_without_room(const char *dir, unsigned n, unsigned times)
{
    uint64_t n_acked, n_erased;
    struct mf_jlog *log = open_log(dir);
    struct mf_jlog_batch b = {.is_probe = true};
    bool has_fired;
    int rc;

    fault_vfs_arm(FAULT_WRITE, n, times, SQLITE_FULL);
    rc = life(log, &n_acked, &n_erased);
    has_fired = fault_vfs_n_fired() > 0;
    MF_CHECK_INT(rc, has_fired ? MF_ENOSPC : 0);
    MF_CHECK(!log->is_dead);
    fault_vfs_disarm();
    mf_jlog_commit(log, &b);
    MF_CHECK_OK(b.rc);
    MF_CHECK(b.free_bytes != UINT64_MAX);
    /* Nothing of the failed commit: the same numbers can be used. */
    b = commit(log, n_acked + 1, 8);
    MF_CHECK_OK(b.rc);
    MF_CHECK_INT(replayed(log)->n, n_acked + 8 - n_erased);
    mf_jlog_close(log);
    log = open_log(dir);
    MF_CHECK_INT(replayed(log)->n, n_acked + 8 - n_erased);
    mf_jlog_close(log);
    return has_fired;
}

MF_TEST(jlog, loses_nothing_and_goes_on_after_each_write_without_room)
{
    const char *dir = mf_test_tmpdir();
    unsigned n = 0;
    char sub[4200];

    fault_vfs_install();
    do {
        (void)snprintf(sub, sizeof(sub), "%s/%u", dir, ++n);
    } while (live_without_room(sub, n, 1 + n % 3));
    fault_vfs_remove();
    MF_CHECK(n > 36);
}

MF_TEST(jlog, opens_without_room_and_works_when_there_is_some)
{
    const char *dir = mf_test_tmpdir();
    struct mf_jlog *log;
    struct mf_jlog_batch b = {.is_probe = true};

    mf_jlog_close(open_log(dir));
    fault_vfs_install();
    fault_vfs_arm(FAULT_WRITE, 1, 1000, SQLITE_FULL);
    log = open_log(dir);
    MF_CHECK(fault_vfs_n_fired() > 0);
    MF_CHECK(log->is_full);
    mf_jlog_commit(log, &b);
    MF_CHECK_INT(b.rc, MF_ENOSPC);
    fault_vfs_disarm();
    mf_jlog_commit(log, &b);
    MF_CHECK_OK(b.rc);
    MF_CHECK_OK(commit(log, 1, 5).rc);
    MF_CHECK_INT(replayed(log)->n, 5);
    mf_jlog_close(log);
    fault_vfs_remove();
}

MF_TEST(jlog, refuses_to_open_when_the_first_commit_fails)
{
    const char *dir = mf_test_tmpdir();

    mf_jlog_close(open_log(dir));
    fault_vfs_install();
    fault_vfs_arm(FAULT_SYNC, 1, 1, SQLITE_IOERR_FSYNC);
    check_open_fails(dir, MF_EIO, dir);
    MF_CHECK_INT(fault_vfs_n_fired(), 1);
    fault_vfs_remove();
    mf_jlog_close(open_log(dir));
}

/* A bound on the size of files answers EFBIG: no room, too. */
MF_TEST(jlog, takes_a_file_size_limit_as_no_room)
{
    const char *dir = mf_test_tmpdir();
    struct mf_jlog *log = open_log(dir);
    void (*before)(int) = signal(SIGXFSZ, SIG_IGN);
    struct rlimit old, low;
    uint64_t next = 1;
    struct mf_jlog_batch b = {.is_probe = true};

    MF_CHECK_OK(getrlimit(RLIMIT_FSIZE, &old));
    low = old;
    low.rlim_cur = (rlim_t)600 * 1024;
    MF_CHECK_OK(setrlimit(RLIMIT_FSIZE, &low));
    while (next < 100000) {
        b = commit(log, next, 100);
        if (b.rc < 0) {
            break;
        }
        next += 100;
    }
    MF_CHECK_OK(setrlimit(RLIMIT_FSIZE, &old));
    (void)signal(SIGXFSZ, before);
    if (b.rc != MF_ENOSPC) {
        fail_msg("%s", b.err.msg);
    }
    MF_CHECK(next > 1 && next < 100000);
    MF_CHECK_OK(commit(log, next, 100).rc);
    mf_jlog_close(log);
    log = open_log(dir);
    MF_CHECK_INT(replayed(log)->n, next + 99);
    mf_jlog_close(log);
}

/* A real disk that is full, where one can be had: another program's file fills it. */
MF_TEST(jlog, recovers_when_a_disk_that_was_full_has_room_again)
{
    const char *dir = mf_test_tmpdir();
    static const char ballast[3 << 20];
    static const uint64_t seqs[] = {1, 2, 3};
    struct mf_jlog_batch b = {.is_probe = true, .erase = seqs, .n_erase = 3};
    struct mf_jlog *log;
    uint64_t next = 1;

    if (mount("none", dir, "tmpfs", 0, "size=6m") != 0) {
        skip();
    }
    write_bytes(in(dir, "ballast"), 0, ballast, sizeof(ballast));
    log = open_log(dir);
    do {
        b.rc = commit(log, next, 100).rc;
        next += b.rc == 0 ? 100 : 0;
    } while (b.rc == 0 && next < 100000);
    MF_CHECK_INT(b.rc, MF_ENOSPC);
    MF_CHECK_INT(replayed(log)->n, next - 1); /* reading goes on */
    MF_CHECK_OK(unlink(in(dir, "ballast")));
    mf_jlog_commit(log, &b);
    MF_CHECK_OK(b.rc);
    MF_CHECK_INT(b.wal_pages < 10, 1); /* the probe let the WAL start over */
    MF_CHECK_OK(commit(log, next, 100).rc);
    mf_jlog_close(log);
    log = open_log(dir);
    MF_CHECK_INT(replayed(log)->n, next + 99 - 3);
    mf_jlog_close(log);
    MF_CHECK_OK(umount(dir));
}

MF_TEST(jlog, rolls_back_when_there_is_no_memory_for_a_record)
{
    struct mf_jlog *log = open_log(mf_test_tmpdir());
    struct mf_item *it = kit_big_item(1, 1, 100000);
    struct mf_jlog_batch b = {.items = &it, .n_items = 1};

    as_loop();
    mf_test_fail_nth(1);
    mf_jlog_commit(log, &b);
    mf_test_fail_nth(0);
    MF_CHECK_INT(b.rc, MF_ENOMEM);
    MF_CHECK(!log->is_dead);
    mf_jlog_commit(log, &b);
    MF_CHECK_OK(b.rc);
    mf_item_unref(it);
    mf_jlog_close(log);
}

MF_TEST(jlog, opens_cleanly_or_not_at_all_after_each_failed_allocation)
{
    const char *dir = mf_test_tmpdir();
    struct mf_jlog *log = NULL;
    struct mf_err err;
    size_t n = 0;
    int rc;

    do {
        mf_test_fail_nth(++n);
        rc = mf_jlog_open(&log, dir, false, &err);
        MF_CHECK(rc == 0 || rc == MF_ENOMEM);
    } while (rc < 0);
    mf_test_fail_nth(0);
    MF_CHECK_INT(n, 3); /* the handle, the folder's name, none */
    mf_jlog_close(log);
}
