/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "unit/journal_logkit.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

MF_TEST(jlog, gives_back_what_was_committed_after_a_clean_close)
{
    const char *dir = mf_test_tmpdir();
    struct mf_jlog *log = kit_open_log(dir);
    struct mf_jlog_batch b = kit_commit(log, 1, 100);

    MF_CHECK_OK(b.rc);
    MF_CHECK(b.wal_pages > 0);
    MF_CHECK(kit_size_of(kit_in(dir, "journal.db-wal")) > 0);
    MF_CHECK_INT(kit_size_of(kit_in(dir, "journal.db-shm")), -1);
    mf_jlog_close(log);
    MF_CHECK_INT(kit_size_of(kit_in(dir, "journal.db-wal")), -1);
    MF_CHECK_INT(kit_size_of(kit_in(dir, "journal.db.new")), -1);
    log = kit_open_log(dir);
    MF_CHECK_INT(kit_replayed(log)->n, 100);
    MF_CHECK_INT(log->next_seq, 101);
    mf_jlog_close(log);
}

MF_TEST(jlog, gives_back_what_was_committed_though_nobody_closed_it)
{
    const char *dir = mf_test_tmpdir();
    struct mf_jlog *log = kit_open_log(dir);
    struct mf_jlog_batch b = kit_commit(log, 1, 100);

    MF_CHECK_OK(b.rc);
    log->is_dead = true; /* leaves the file as a crash would */
    mf_jlog_close(log);
    MF_CHECK(kit_size_of(kit_in(dir, "journal.db-wal")) > 0);
    log = kit_open_log(dir);
    MF_CHECK_INT(kit_replayed(log)->n, 100);
    MF_CHECK_OK(kit_commit(log, 101, 5).rc);
    mf_jlog_close(log);
    log = kit_open_log(dir);
    MF_CHECK_INT(kit_replayed(log)->n, 105);
    mf_jlog_close(log);
}

MF_TEST(jlog, uses_wal_with_full_sync_large_pages_and_no_shared_memory)
{
    static const char *const pragmas[][2] = {
        {"PRAGMA journal_mode", "wal"},     {"PRAGMA synchronous", "2"},
        {"PRAGMA page_size", "8192"},       {"PRAGMA locking_mode", "exclusive"},
        {"PRAGMA wal_autocheckpoint", "0"}, {"PRAGMA user_version", "2"},
        {"PRAGMA auto_vacuum", "0"}};
    struct mf_jlog *log = kit_open_log(mf_test_tmpdir());

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
    struct mf_jlog *log = kit_open_log(dir);
    struct mf_jlog_batch b;
    struct kit_rounds *r;
    uint64_t bytes;

    MF_CHECK_OK(kit_commit(log, 1, 4).rc);
    r = kit_replayed(log);
    bytes = r->bytes;
    b = kit_erase(log, seqs, 4);
    MF_CHECK_OK(b.rc);
    r = kit_replayed(log);
    MF_CHECK_INT(r->n, 1);
    MF_CHECK_INT(r->seqs[0], 2);
    MF_CHECK_INT(b.erased_bytes, bytes - r->bytes);
    b = kit_erase(log, seqs, 4); /* again: nothing is there */
    MF_CHECK_OK(b.rc);
    MF_CHECK_INT(b.erased_bytes, 0);
    mf_jlog_close(log);
    log = kit_open_log(dir);
    MF_CHECK_INT(kit_replayed(log)->n, 1);
    MF_CHECK_INT(log->next_seq, 5);
    mf_jlog_close(log);
}

MF_TEST(jlog, counts_each_message_of_a_round_as_a_number_used)
{
    const char *dir = mf_test_tmpdir();
    struct mf_jlog *log = kit_open_log(dir);
    struct mf_item *it = kit_big_item(10, 5, 20);
    struct mf_jlog_batch b = {.items = &it, .n_items = 1};

    as_loop();
    MF_CHECK_INT(log->next_seq, 1);
    mf_jlog_commit(log, &b);
    MF_CHECK_INT(log->next_seq, 15);
    mf_jlog_close(log);
    log = kit_open_log(dir);
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
    struct mf_jlog *log = kit_open_log(dir);

    MF_CHECK_OK(kit_commit(log, 1, 3).rc);
    mf_jlog_commit(log, &b);
    MF_CHECK_OK(b.rc);
    MF_CHECK_INT(parks[0].rc, 0);
    MF_CHECK_INT(parks[1].rc, MF_ENOTFOUND);
    mf_jlog_close(log);
    log = kit_open_log(dir);
    MF_CHECK_INT(kit_replayed(log)->n, 3);
    MF_CHECK_INT(kit_replayed(log)->n_parked, 1);
    MF_CHECK_STR(kit_replayed(log)->last_reason, "a bad row");
    b.parks = unparks;
    mf_jlog_commit(log, &b);
    MF_CHECK_INT(unparks[0].rc, 0);
    MF_CHECK_INT(unparks[1].rc, MF_ENOTFOUND);
    MF_CHECK_INT(kit_replayed(log)->n_parked, 0);
    mf_jlog_close(log);
}

MF_TEST(jlog, forgets_the_mark_with_the_round)
{
    static const uint64_t seq = 1;
    struct mf_jlog_park p = {1, "bad", 1};
    struct mf_jlog_batch b = {.parks = &p, .n_parks = 1};
    struct mf_jlog *log = kit_open_log(mf_test_tmpdir());

    MF_CHECK_OK(kit_commit(log, 1, 1).rc);
    mf_jlog_commit(log, &b);
    MF_CHECK_OK(kit_erase(log, &seq, 1).rc);
    MF_CHECK_OK(kit_commit(log, 1, 1).rc); /* the same number, for this test only */
    MF_CHECK_INT(kit_replayed(log)->n_parked, 0);
    mf_jlog_close(log);
}

MF_TEST(jlog, reuses_the_wal_after_a_checkpoint)
{
    const char *dir = mf_test_tmpdir();
    struct mf_jlog *log = kit_open_log(dir);
    struct mf_jlog_batch b;
    off_t most = 0;

    for (uint64_t i = 0; i < 200; i++) {
        b = kit_commit(log, 1 + i * 20, 20);
        MF_CHECK_OK(b.rc);
        if (b.wal_pages > 30) {
            most = mf_max(most, kit_size_of(kit_in(dir, "journal.db-wal")));
            mf_jlog_checkpoint(log, &b);
            MF_CHECK_OK(b.rc);
            MF_CHECK_INT(b.wal_pages, 0);
            /* kept, not cut: cutting costs a sync of the folder's data each time */
            MF_CHECK_INT(kit_size_of(kit_in(dir, "journal.db-wal")), most);
        }
    }
    MF_CHECK(most > 0 && most < (off_t)60 * 8300 + (1 << 20)); /* written ahead */
    MF_CHECK_INT(kit_replayed(log)->n, 4000);
    mf_jlog_close(log);
}

MF_TEST(jlog, commits_into_room_that_was_written_ahead)
{
    const char *dir = mf_test_tmpdir();
    struct mf_jlog *log = kit_open_log(dir);
    unsigned n_grown = 0;
    off_t size = 0;

    for (uint64_t seq = 1; seq <= 200; seq++) {
        off_t now;

        MF_CHECK_OK(kit_commit(log, seq, 1).rc);
        now = kit_size_of(kit_in(dir, "journal.db-wal"));
        MF_CHECK(now >= kit_wal_end(log) + (1 << 18));
        n_grown += now > size;
        size = now;
    }
    MF_CHECK(n_grown >= 2 && n_grown < 12);
    log->is_dead = true; /* a sudden end: zeros behind the last commit */
    mf_jlog_close(log);
    log = kit_open_log(dir);
    MF_CHECK_INT(kit_replayed(log)->n, 200);
    mf_jlog_close(log);
}

MF_TEST(jlog, writes_nothing_ahead_of_large_commits)
{
    const char *dir = mf_test_tmpdir();
    struct mf_jlog *log = kit_open_log(dir);

    as_loop();
    for (uint64_t seq = 1; seq <= 3; seq++) {
        struct mf_item *it = kit_big_item(seq, 1, 1200000);
        struct mf_jlog_batch b = {.items = &it, .n_items = 1};

        mf_jlog_commit(log, &b);
        MF_CHECK_OK(b.rc);
        mf_item_unref(it);
        MF_CHECK_INT(kit_size_of(kit_in(dir, "journal.db-wal")), kit_wal_end(log));
    }
    mf_jlog_close(log);
}

MF_TEST(jlog, refuses_a_second_opener_and_names_the_first)
{
    const char *dir = mf_test_tmpdir();
    struct mf_jlog *log = kit_open_log(dir);
    char want[4400];
    char got[4400];

    (void)snprintf(want, sizeof(want), "journal in %s is in use by process %ld", dir,
                   (long)getpid());
    kit_check_open_fails(dir, MF_EBUSY, want);
    MF_CHECK_INT(kit_child(got, sizeof(got), "open", dir), 2);
    MF_CHECK_STR(got, want);
    MF_CHECK_OK(kit_commit(log, 1, 1).rc); /* undisturbed */
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
    kit_check_open_fails(dir, MF_EBUSY, want);
    kit_child_kill(pid, fd);
    mf_jlog_close(kit_open_log(dir)); /* the lock died with it */
}

MF_TEST(jlog, refuses_a_file_of_a_newer_version)
{
    const char *dir = mf_test_tmpdir();

    mf_jlog_close(kit_open_log(dir));
    kit_sql(kit_in(dir, "journal.db"), "PRAGMA user_version=3");
    kit_check_open_fails(dir, MF_EINVAL, "newer memfuse (format 3, this one knows 2)");
}

MF_TEST(jlog, refuses_a_foreign_file_and_leaves_it_alone)
{
    const char *dir = mf_test_tmpdir();
    sqlite3_stmt *st;
    sqlite3 *db;

    kit_sql(kit_in(dir, "journal.db"), "CREATE TABLE precious(x); INSERT INTO precious "
                                       "VALUES(7)");
    kit_check_open_fails(dir, MF_ECORRUPT, "is not a journal of memfuse");
    MF_CHECK_INT(sqlite3_open(kit_in(dir, "journal.db"), &db), SQLITE_OK);
    MF_CHECK_INT(sqlite3_prepare_v2(db, "PRAGMA journal_mode", -1, &st, NULL), 0);
    MF_CHECK_INT(sqlite3_step(st), SQLITE_ROW);
    MF_CHECK_STR((const char *)sqlite3_column_text(st, 0), "delete");
    (void)sqlite3_finalize(st);
    (void)sqlite3_close(db);
}

MF_TEST(jlog, refuses_files_that_are_none)
{
    const char *dir = mf_test_tmpdir();
    char name[8400];

    kit_write_bytes(kit_in(dir, "journal.db"), 0, "", 0);
    kit_check_open_fails(dir, MF_ECORRUPT, "is not a journal");
    kit_write_bytes(kit_in(dir, "journal.db"), 0,
                    "This is a text, not a database. ....", 32);
    kit_check_open_fails(dir, MF_ECORRUPT, "journal.db");
    (void)snprintf(name, sizeof(name), "%s/journal.db/below", dir);
    kit_check_open_fails(name, MF_EIO, "below");
}

MF_TEST(jlog, refuses_a_wal_without_its_file)
{
    const char *dir = mf_test_tmpdir();
    struct mf_jlog *log = kit_open_log(dir);

    MF_CHECK_OK(kit_commit(log, 1, 3).rc);
    log->is_dead = true;
    mf_jlog_close(log);
    MF_CHECK_OK(unlink(kit_in(dir, "journal.db")));
    kit_check_open_fails(dir, MF_ECORRUPT, "is missing, but its WAL is there");
}

MF_TEST(jlog, goes_on_with_what_a_start_that_was_cut_short_left)
{
    const char *dir = mf_test_tmpdir();

    kit_write_bytes(kit_in(dir, "journal.db.new"), 0, "half a fi", 9);
    kit_write_bytes(kit_in(dir, "journal.db.new-journal"), 0, "half a jour", 11);
    mf_jlog_close(kit_open_log(dir));
    MF_CHECK_INT(kit_size_of(kit_in(dir, "journal.db.new-journal")), -1);
    MF_CHECK_INT(kit_size_of(kit_in(dir, "journal.db.new")), -1);
}
