/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/fault_vfs.h"
#include "unit/journal_logkit.h"

#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

/* Commits, erases and checkpoints; the first rc < 0 ends it. Tells what was confirmed:
 * rounds 1..*n_acked, of which those up to *n_erased are erased again. */
static int life(struct mf_jlog *log, uint64_t *n_acked, uint64_t *n_erased)
{
    struct mf_jlog_batch b;

    *n_acked = *n_erased = 0;
    for (int i = 0; i < 6; i++) {
        uint64_t seqs[4];

        b = kit_commit(log, *n_acked + 1, 8);
        if (b.rc < 0) {
            return b.rc;
        }
        *n_acked += 8;
        for (size_t k = 0; k < 4; k++) {
            seqs[k] = *n_erased + 1 + k;
        }
        b = kit_erase(log, seqs, 4);
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
    struct mf_jlog *log = kit_open_log(dir);
    struct kit_rounds *r = kit_replayed(log);
    uint64_t first = r->n > 0 ? r->seqs[0] : n_erased + 1;

    MF_CHECK(first == n_erased + 1 || first == n_erased + 5);
    MF_CHECK(r->n == n_acked - (first - 1) || r->n == n_acked + 8 - (first - 1));
    MF_CHECK(r->n == 0 || r->last == first + r->n - 1);
    mf_jlog_close(log);
}

static bool live_with_fault(const char *dir, enum fault_call call, unsigned n, int code)
{
    uint64_t n_acked, n_erased;
    struct mf_jlog *log = kit_open_log(dir);
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
        b = kit_commit(log, n_acked + 1, 1);
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

/* The n-th write finds no room, and so do the `times` after it. Counts lives that took
 * no harm: what is written ahead of the commits needs no room. */
static bool live_without_room(const char *dir, unsigned n, unsigned times,
                              unsigned *n_unharmed)
{
    uint64_t n_acked, n_erased;
    struct mf_jlog *log = kit_open_log(dir);
    struct mf_jlog_batch b = {.is_probe = true};
    bool has_fired;
    int rc;

    fault_vfs_arm(FAULT_WRITE, n, times, SQLITE_FULL);
    rc = life(log, &n_acked, &n_erased);
    has_fired = fault_vfs_n_fired() > 0;
    MF_CHECK(rc == 0 || (has_fired && rc == MF_ENOSPC));
    *n_unharmed += has_fired && rc == 0;
    MF_CHECK(!log->is_dead);
    fault_vfs_disarm();
    mf_jlog_commit(log, &b);
    MF_CHECK_OK(b.rc);
    MF_CHECK(b.free_bytes != UINT64_MAX);
    /* Nothing of the failed commit: the same numbers can be used. */
    b = kit_commit(log, n_acked + 1, 8);
    MF_CHECK_OK(b.rc);
    MF_CHECK_INT(kit_replayed(log)->n, n_acked + 8 - n_erased);
    mf_jlog_close(log);
    log = kit_open_log(dir);
    MF_CHECK_INT(kit_replayed(log)->n, n_acked + 8 - n_erased);
    mf_jlog_close(log);
    return has_fired;
}

MF_TEST(jlog, loses_nothing_and_goes_on_after_each_write_without_room)
{
    const char *dir = mf_test_tmpdir();
    unsigned n = 0, n_unharmed = 0;
    char sub[4200];

    fault_vfs_install();
    do {
        (void)snprintf(sub, sizeof(sub), "%s/%u", dir, ++n);
    } while (live_without_room(sub, n, 1 + n % 3, &n_unharmed));
    fault_vfs_remove();
    MF_CHECK(n_unharmed > 0 && n_unharmed <= 16);
    MF_CHECK(n > 36 + n_unharmed);
}

MF_TEST(jlog, opens_without_room_and_works_when_there_is_some)
{
    const char *dir = mf_test_tmpdir();
    struct mf_jlog *log;
    struct mf_jlog_batch b = {.is_probe = true};

    mf_jlog_close(kit_open_log(dir));
    fault_vfs_install();
    fault_vfs_arm(FAULT_WRITE, 1, 1000, SQLITE_FULL);
    log = kit_open_log(dir);
    MF_CHECK(fault_vfs_n_fired() > 0);
    MF_CHECK(log->is_full);
    mf_jlog_commit(log, &b);
    MF_CHECK_INT(b.rc, MF_ENOSPC);
    fault_vfs_disarm();
    mf_jlog_commit(log, &b);
    MF_CHECK_OK(b.rc);
    MF_CHECK_OK(kit_commit(log, 1, 5).rc);
    MF_CHECK_INT(kit_replayed(log)->n, 5);
    mf_jlog_close(log);
    fault_vfs_remove();
}

MF_TEST(jlog, refuses_to_open_when_the_first_commit_fails)
{
    const char *dir = mf_test_tmpdir();

    mf_jlog_close(kit_open_log(dir));
    fault_vfs_install();
    fault_vfs_arm(FAULT_SYNC, 1, 1, SQLITE_IOERR_FSYNC);
    kit_check_open_fails(dir, MF_EIO, dir);
    MF_CHECK_INT(fault_vfs_n_fired(), 1);
    fault_vfs_remove();
    mf_jlog_close(kit_open_log(dir));
}

/* A bound on the size of files answers EFBIG: no room, too. */
MF_TEST(jlog, takes_a_file_size_limit_as_no_room)
{
    const char *dir = mf_test_tmpdir();
    struct mf_jlog *log = kit_open_log(dir);
    void (*before)(int) = signal(SIGXFSZ, SIG_IGN);
    struct rlimit old, low;
    uint64_t next = 1;
    struct mf_jlog_batch b = {.is_probe = true};

    MF_CHECK_OK(getrlimit(RLIMIT_FSIZE, &old));
    low = old;
    low.rlim_cur = (rlim_t)600 * 1024;
    MF_CHECK_OK(setrlimit(RLIMIT_FSIZE, &low));
    while (next < 100000) {
        b = kit_commit(log, next, 100);
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
    MF_CHECK_OK(kit_commit(log, next, 100).rc);
    mf_jlog_close(log);
    log = kit_open_log(dir);
    MF_CHECK_INT(kit_replayed(log)->n, next + 99);
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
        skip(); /* a full disk of our own needs the right to mount one */
    }
    kit_write_bytes(kit_in(dir, "ballast"), 0, ballast, sizeof(ballast));
    log = kit_open_log(dir);
    do {
        b.rc = kit_commit(log, next, 100).rc;
        next += b.rc == 0 ? 100 : 0;
    } while (b.rc == 0 && next < 100000);
    MF_CHECK_INT(b.rc, MF_ENOSPC);
    MF_CHECK_INT(kit_replayed(log)->n, next - 1); /* reading goes on */
    MF_CHECK_OK(unlink(kit_in(dir, "ballast")));
    mf_jlog_commit(log, &b);
    MF_CHECK_OK(b.rc);
    MF_CHECK_INT(b.wal_pages < 10, 1); /* the probe let the WAL start over */
    MF_CHECK_OK(kit_commit(log, next, 100).rc);
    mf_jlog_close(log);
    log = kit_open_log(dir);
    MF_CHECK_INT(kit_replayed(log)->n, next + 99 - 3);
    mf_jlog_close(log);
    MF_CHECK_OK(umount(dir));
}

MF_TEST(jlog, rolls_back_when_there_is_no_memory_for_a_record)
{
    struct mf_jlog *log = kit_open_log(mf_test_tmpdir());
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
