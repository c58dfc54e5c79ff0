/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/record.h"
#include "unit/journal_logkit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Finds the payload of `seq` in the closed file and changes one byte of it. */
static void flip_in_payload(const char *dir, uint64_t seq)
{
    struct mf_item *it = kit_item(seq);
    const char *path = kit_in(dir, "journal.db");
    off_t n = kit_size_of(path);
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
    struct mf_jlog *log = kit_open_log(dir);
    struct kit_rounds r;
    struct mf_err err;

    MF_CHECK_OK(kit_commit(log, 1, 100).rc);
    mf_jlog_close(log);
    flip_in_payload(dir, bad[0]);
    flip_in_payload(dir, bad[1]);
    for (int i = 0; i < 2; i++) { /* found again: the same file */
        log = kit_open_log(dir);
        MF_CHECK_INT(replay_with(log, false, &r, &err), MF_ECORRUPT);
        MF_CHECK(strstr(err.msg, "2 damaged records, the first is 20") != NULL);
        MF_CHECK(strstr(err.msg, "journal-damaged-20.bin") != NULL);
        MF_CHECK_INT(r.n, 98);
        MF_CHECK_INT(r.n_wrong, 0);
        check_quarantine(kit_in(dir, "journal-damaged-20.bin"), bad, 2);
        mf_jlog_close(log);
    }
    log = kit_open_log(dir);
    MF_CHECK_OK(replay_with(log, true, &r, &err));
    MF_CHECK_INT(r.n, 98);
    mf_jlog_close(log);
    log = kit_open_log(dir);
    MF_CHECK_INT(kit_replayed(log)->n, 98);
    MF_CHECK_INT(log->next_seq, 101);
    mf_jlog_close(log);
}

MF_TEST(jlog, finds_a_whole_record_in_anothers_row)
{
    const char *dir = mf_test_tmpdir();
    struct mf_jlog *log = kit_open_log(dir);
    struct kit_rounds r;
    struct mf_err err;

    MF_CHECK_OK(kit_commit(log, 1, 3).rc);
    mf_jlog_close(log);
    kit_sql(kit_in(dir, "journal.db"),
            "UPDATE rounds SET payload = (SELECT payload FROM rounds WHERE seq = 1)"
            " WHERE seq = 3");
    log = kit_open_log(dir);
    MF_CHECK_INT(replay_with(log, false, &r, &err), MF_ECORRUPT);
    MF_CHECK_INT(r.n, 2);
    /* The damaged one is the last: nobody knows how many numbers it had. */
    MF_CHECK(log->next_seq > UINT64_C(1) << 32);
    mf_jlog_close(log);
}

MF_TEST(jlog, stops_the_replay_when_the_callee_says_so)
{
    struct mf_jlog *log = kit_open_log(mf_test_tmpdir());
    struct mf_err err = {0};

    MF_CHECK_OK(kit_commit(log, 1, 3).rc);
    MF_CHECK_INT(mf_jlog_replay(log, false, kit_refuse_second, NULL, &err), -1234);
    mf_jlog_close(log);
}

/* Zeroes a leaf page in the middle of the file. */
static void break_a_page(const char *dir)
{
    static const char zeros[8192];
    const char *path = kit_in(dir, "journal.db");

    kit_write_bytes(path, kit_size_of(path) / 2 / 8192 * 8192, zeros, sizeof(zeros));
}

MF_TEST(jlog, salvages_the_intact_rounds_of_a_file_with_a_broken_page)
{
    const char *dir = mf_test_tmpdir();
    struct mf_jlog_park p = {390, "bad", 1};
    struct mf_jlog_batch b = {.parks = &p, .n_parks = 1};
    struct mf_jlog *log = kit_open_log(dir);
    struct mf_err err = {0};
    struct kit_rounds *r;

    MF_CHECK_OK(kit_commit(log, 1, 400).rc);
    mf_jlog_commit(log, &b);
    mf_jlog_close(log);
    break_a_page(dir);
    kit_check_open_fails(dir, MF_ECORRUPT, "journal.db");
    MF_CHECK_OK(mf_jlog_open(&log, dir, true, &err));
    r = kit_replayed(log);
    MF_CHECK(r->n > 370 && r->n < 400);
    MF_CHECK_INT(r->seqs[0], 1);
    MF_CHECK_INT(r->last, 400); /* from both ends */
    MF_CHECK_INT(r->n_parked, 1);
    MF_CHECK(log->next_seq > UINT64_C(1) << 32);
    MF_CHECK(kit_size_of(kit_in(dir, "journal-damaged-1.db")) > 0);
    MF_CHECK_INT(kit_size_of(kit_in(dir, "journal.db.salvaged")), -1);
    mf_jlog_close(log);
    log = kit_open_log(dir);
    MF_CHECK_INT(kit_replayed(log)->n, r->n);
    mf_jlog_close(log);
}

MF_TEST(jlog, starts_anew_beside_a_file_that_holds_nothing_readable_when_told_to)
{
    const char *dir = mf_test_tmpdir();
    struct mf_err err = {0};
    struct mf_jlog *log;

    kit_write_bytes(kit_in(dir, "journal.db"), 0,
                    "This is a text, not a database. ....", 32);
    MF_CHECK_OK(mf_jlog_open(&log, dir, true, &err));
    MF_CHECK_INT(kit_replayed(log)->n, 0);
    MF_CHECK(log->next_seq > UINT64_C(1) << 32);
    MF_CHECK_INT(kit_size_of(kit_in(dir, "journal-damaged-1.db")), 32);
    mf_jlog_close(log);
}

MF_TEST(jlog, ends_a_salvage_that_was_cut_short_between_its_renames)
{
    const char *dir = mf_test_tmpdir();
    struct mf_jlog *log = kit_open_log(dir);

    MF_CHECK_OK(kit_commit(log, 1, 7).rc);
    mf_jlog_close(log);
    MF_CHECK_OK(rename(kit_in(dir, "journal.db"), kit_in(dir, "journal.db.salvaged")));
    kit_write_bytes(kit_in(dir, "journal.db-wal"), 0, "of the damaged file", 19);
    log = kit_open_log(dir);
    MF_CHECK_INT(kit_replayed(log)->n, 7);
    MF_CHECK_INT(kit_size_of(kit_in(dir, "journal-damaged-1.db-wal")), 19);
    mf_jlog_close(log);
}

static void flip_in_wal(const char *dir, off_t at)
{
    const char *path = kit_in(dir, "journal.db-wal");
    char byte;
    int fd = open(path, O_RDWR);

    MF_CHECK_INT(pread(fd, &byte, 1, at), 1);
    byte = (char)(byte ^ 4);
    MF_CHECK_INT(pwrite(fd, &byte, 1, at), 1);
    (void)close(fd);
}

/* Ten commits of five rounds in the WAL, nothing checkpointed, then a sudden end; tells
 * the end of the WAL after each. */
static void leave_a_wal(const char *dir, off_t ends[10])
{
    struct mf_jlog *log = kit_open_log(dir);

    for (uint64_t i = 0; i < 10; i++) {
        MF_CHECK_OK(kit_commit(log, 1 + i * 5, 5).rc);
        ends[i] = kit_wal_end(log);
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
    kit_check_open_fails(dir, MF_ECORRUPT, "5 commits behind it cannot be read");
    MF_CHECK_OK(mf_jlog_open(&log, dir, true, &err));
    MF_CHECK_INT(kit_replayed(log)->n, 25); /* the five commits before */
    MF_CHECK(log->next_seq > UINT64_C(1) << 32);
    MF_CHECK(kit_size_of(kit_in(dir, "journal-damaged-1.db-wal")) >= ends[9]);
    mf_jlog_close(log);
}

MF_TEST(jlog, finds_a_damaged_head_of_the_wal)
{
    const char *dir = mf_test_tmpdir();
    off_t ends[10];

    leave_a_wal(dir, ends);
    flip_in_wal(dir, 13); /* its number of checkpoints: only the sum tells */
    kit_check_open_fails(dir, MF_ECORRUPT, "journal.db-wal is damaged");
}

MF_TEST(jlog, takes_a_torn_last_commit_for_the_power_cut_it_is)
{
    const char *dir = mf_test_tmpdir();
    struct mf_jlog *log;
    off_t ends[10];

    leave_a_wal(kit_in(dir, "torn"), ends);
    flip_in_wal(kit_in(dir, "torn"), ends[8] + 24 + 4000);
    log = kit_open_log(kit_in(dir, "torn"));
    MF_CHECK_INT(kit_replayed(log)->n, 45);
    mf_jlog_close(log);
    leave_a_wal(kit_in(dir, "short"), ends);
    MF_CHECK_OK(truncate(kit_in(dir, "short/journal.db-wal"), ends[9] - 5000));
    log = kit_open_log(kit_in(dir, "short"));
    MF_CHECK_INT(kit_replayed(log)->n, 45);
    mf_jlog_close(log);
}
