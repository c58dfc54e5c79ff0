/* SPDX-License-Identifier: Apache-2.0 */
#include "base/stat.h"
#include "journal/journal.h"
#include "lib/fault_vfs.h"
#include "lib/mf_test.h"
#include "unit/journal_kit.h"

#include <sqlite3.h>
#include <string.h>

#define N_MANY 2500

static struct kit_rounds *replayed(struct kit *k)
{
    static struct kit_rounds r;
    struct mf_err err = {0};

    memset(&r, 0, sizeof(r));
    if (mf_journal_replay(k->j, kit_count, &r, &err) < 0) {
        fail_msg("%s", err.msg);
    }
    MF_CHECK_INT(r.n_wrong, 0);
    return &r;
}

MF_TEST(journal, tells_done_after_the_commit_and_gives_all_back_to_another_process)
{
    const char *dir = mf_test_tmpdir();
    struct kit k = {0};
    char got[256];
    unsigned long long said[5], bytes;

    as_loop();
    kit_open(&k, dir);
    MF_CHECK_INT(mf_journal_next_seq(k.j), 1);
    for (uint64_t seq = 1; seq <= 20; seq++) {
        MF_CHECK_OK(kit_append_and_wait(&k, seq));
    }
    MF_CHECK_OK(kit_park_and_wait(&k, 7, "the store refuses it"));
    bytes = mf_journal_bytes(k.j);
    kit_close(&k);
    MF_CHECK_INT(kit_child(got, sizeof(got), "replay", dir), 0);
    MF_CHECK_INT(kit_scan(got, said), 5);
    MF_CHECK_INT(said[0], 20);
    MF_CHECK_INT(said[1], 1);
    MF_CHECK_INT(said[2], 0);
    MF_CHECK(said[3] == bytes);
    MF_CHECK_INT(said[4], 21);
    kit_open(&k, dir);
    MF_CHECK_INT(replayed(&k)->n, 20);
    MF_CHECK(mf_journal_bytes(k.j) == bytes);
    kit_close(&k);
}

MF_TEST(journal, commits_what_one_turn_appended_at_once_and_in_order)
{
    static struct kit_append a[500];
    struct kit k = {0};
    int64_t commits = mf_stat_get(MF_STAT_journal_commits);
    int64_t rounds = mf_stat_get(MF_STAT_journal_rounds);

    as_loop();
    kit_open(&k, mf_test_tmpdir());
    kit_n_done = 0;
    for (uint64_t i = 0; i < 500; i++) {
        MF_CHECK_OK(kit_append(&k, &a[i], i + 1));
    }
    MF_CHECK(!mf_journal_is_idle(k.j));
    MF_CHECK(kit_run_until(&k, &a[499].is_done));
    for (unsigned i = 0; i < 500; i++) {
        MF_CHECK_INT(a[i].rc, 0);
        MF_CHECK_INT(a[i].order, i);
    }
    MF_CHECK_INT(mf_stat_get(MF_STAT_journal_commits) - commits, 1);
    MF_CHECK_INT(mf_stat_get(MF_STAT_journal_rounds) - rounds, 500);
    MF_CHECK(mf_journal_is_idle(k.j));
    kit_close(&k);
}

/* A chain: each `done` appends the next, so that commits follow each other. */
struct chain {
    struct kit *k;
    struct mf_journal_append a;
    uint64_t left;
    bool is_over;
};

static void on_link(struct mf_journal_append *a, int rc)
{
    struct chain *c = mf_container_of(a, struct chain, a);
    uint64_t seq = mf_journal_next_seq(c->k->j);
    struct mf_item *it;

    as_loop();
    MF_ASSERT(rc == 0);
    c->is_over = --c->left == 0;
    if (!c->is_over) {
        it = kit_item(seq);
        c->a = (struct mf_journal_append){.item = it, .done = on_link};
        MF_ASSERT(mf_journal_append(c->k->j, &c->a) == 0);
        mf_item_unref(it);
    }
}

MF_TEST(journal, takes_appends_from_inside_done_and_checkpoints_in_between)
{
    const char *dir = mf_test_tmpdir();
    struct kit k = {0};
    struct mf_item *it = kit_item(1);
    struct chain c = {.k = &k, .left = 60};

    as_loop();
    kit_config(&k.cfg, dir);
    k.cfg.checkpoint_pages = 10;
    kit_open(&k, dir);
    c.a = (struct mf_journal_append){.item = it, .done = on_link};
    MF_CHECK_OK(mf_journal_append(k.j, &c.a));
    mf_item_unref(it);
    MF_CHECK(kit_run_until(&k, &c.is_over));
    kit_close(&k);
    kit_open(&k, dir);
    MF_CHECK_INT(replayed(&k)->n, 60);
    kit_close(&k);
}

MF_TEST(journal, splits_what_is_more_than_a_commit_may_hold)
{
    static struct kit_append a[N_MANY];
    const char *dir = mf_test_tmpdir();
    struct kit k = {0};
    int64_t commits = mf_stat_get(MF_STAT_journal_commits);

    kit_open(&k, dir);
    for (uint64_t i = 0; i < N_MANY; i++) {
        MF_CHECK_OK(kit_append(&k, &a[i], i + 1));
    }
    MF_CHECK(kit_run_until(&k, &a[N_MANY - 1].is_done));
    MF_CHECK_INT(mf_stat_get(MF_STAT_journal_commits) - commits, 3);
    kit_close(&k);
    kit_open(&k, dir);
    MF_CHECK_INT(replayed(&k)->n, N_MANY);
    MF_CHECK(replayed(&k)->is_ascending);
    kit_close(&k);
}

MF_TEST(journal, erases_for_good_and_gives_the_bytes_back)
{
    static struct kit_append a[N_MANY];
    static uint64_t seqs[N_MANY];
    const char *dir = mf_test_tmpdir();
    struct kit k = {0};

    as_loop();
    kit_open(&k, dir);
    for (uint64_t i = 0; i < N_MANY; i++) {
        MF_CHECK_OK(kit_append(&k, &a[i], i + 1));
        seqs[i] = i + 1;
    }
    MF_CHECK(kit_run_until(&k, &a[N_MANY - 1].is_done));
    MF_CHECK_OK(kit_erase_and_wait(&k, seqs, N_MANY - 1)); /* several steps */
    MF_CHECK_INT(mf_journal_bytes(k.j), a[N_MANY - 1].a.bytes);
    MF_CHECK_OK(kit_erase_and_wait(&k, seqs + N_MANY - 1, 1));
    MF_CHECK_INT(mf_journal_bytes(k.j), 0);
    MF_CHECK_OK(kit_erase_and_wait(&k, NULL, 0));
    kit_close(&k);
    kit_open(&k, dir);
    MF_CHECK_INT(replayed(&k)->n, 0);
    MF_CHECK_INT(mf_journal_next_seq(k.j), N_MANY + 1);
    kit_close(&k);
}

MF_TEST(journal, parks_and_unparks)
{
    const char *dir = mf_test_tmpdir();
    struct kit k = {0};
    char reason[] = "bad vector";

    kit_open(&k, dir);
    MF_CHECK_OK(kit_append_and_wait(&k, 1));
    MF_CHECK_OK(kit_append_and_wait(&k, 2));
    MF_CHECK_OK(kit_park_and_wait(&k, 1, reason));
    MF_CHECK_OK(kit_park_and_wait(&k, 2, "other"));
    MF_CHECK_OK(kit_park_and_wait(&k, 2, NULL));
    MF_CHECK_INT(kit_park_and_wait(&k, 3, "none"), MF_ENOTFOUND);
    kit_close(&k);
    kit_open(&k, dir);
    MF_CHECK_INT(replayed(&k)->n, 2);
    MF_CHECK_INT(replayed(&k)->n_parked, 1);
    MF_CHECK_STR(replayed(&k)->last_reason, "bad vector");
    kit_close(&k);
}

MF_TEST(journal, tells_a_park_that_found_no_memory_later)
{
    struct mf_journal_park p = {.seq = 1, .reason = "bad"};
    struct kit k = {0};

    as_loop();
    kit_open(&k, mf_test_tmpdir());
    mf_test_fail_nth(1);
    mf_journal_park(k.j, &p);
    mf_test_fail_nth(0);
    MF_CHECK_INT(p.rc, MF_ENOMEM);
    MF_CHECK(!mf_journal_is_idle(k.j));
    kit_close(&k);
}

MF_TEST(journal, refuses_more_bytes_than_it_may_hold)
{
    static const uint64_t seq = 1;
    const char *dir = mf_test_tmpdir();
    struct kit k = {0};
    struct kit_append a, b;

    kit_config(&k.cfg, dir);
    k.cfg.max_bytes = 1000;
    kit_open(&k, dir);
    MF_CHECK_OK(kit_append(&k, &a, 1)); /* some 300 bytes */
    MF_CHECK_INT(kit_append(&k, &b, 14), MF_EBUSY);
    MF_CHECK(kit_run_until(&k, &a.is_done));
    MF_CHECK_INT(kit_append(&k, &b, 14), MF_EBUSY);
    MF_CHECK_OK(kit_erase_and_wait(&k, &seq, 1));
    MF_CHECK_OK(kit_append_and_wait(&k, 14));
    kit_close(&k);
}

MF_TEST(journal, commits_what_stands_in_line_when_closed)
{
    static struct kit_append a[100];
    const char *dir = mf_test_tmpdir();
    struct kit k = {0};

    kit_open(&k, dir);
    for (uint64_t i = 0; i < 100; i++) {
        MF_CHECK_OK(kit_append(&k, &a[i], i + 1));
    }
    kit_close(&k);
    for (unsigned i = 0; i < 100; i++) {
        MF_CHECK(a[i].is_done && a[i].rc == 0);
    }
    kit_open(&k, dir);
    MF_CHECK_INT(replayed(&k)->n, 100);
    kit_close(&k);
}

struct close_from_done {
    struct mf_journal_append a;
    struct kit *k;
    struct kit_append refused;
    int rc;
};

static void on_closed(void *arg)
{
    ((struct kit *)arg)->is_closed = true;
}

static void on_done_close(struct mf_journal_append *a, int rc)
{
    struct close_from_done *c = mf_container_of(a, struct close_from_done, a);

    as_loop();
    MF_ASSERT(rc == 0);
    mf_journal_close(c->k->j, on_closed, c->k);
    c->rc = kit_append(c->k, &c->refused, 2);
}

MF_TEST(journal, can_be_closed_from_inside_done_and_takes_nothing_more)
{
    struct kit k = {0};
    struct close_from_done c = {.k = &k};
    struct mf_item *it = kit_item(1);

    as_loop();
    kit_open(&k, mf_test_tmpdir());
    c.a = (struct mf_journal_append){.item = it, .done = on_done_close};
    MF_CHECK_OK(mf_journal_append(k.j, &c.a));
    mf_item_unref(it);
    MF_CHECK(kit_run_until(&k, &k.is_closed));
    MF_CHECK_INT(c.rc, MF_ECLOSED);
    MF_CHECK_OK(mf_loop_close(k.loop));
}

MF_TEST(journal, fails_rounds_without_room_and_recovers_by_itself)
{
    static const uint64_t seq = 1;
    const char *dir = mf_test_tmpdir();
    struct kit k = {0};
    struct kit_append a;

    as_loop();
    fault_vfs_install();
    kit_open(&k, dir);
    MF_CHECK_OK(kit_append_and_wait(&k, 1));
    fault_vfs_arm(FAULT_WRITE, 1, 4, SQLITE_FULL);
    MF_CHECK_INT(kit_append_and_wait(&k, 2), MF_ENOSPC);
    MF_CHECK(mf_journal_is_full(k.j));
    MF_CHECK_INT(kit_append(&k, &a, 3), MF_ENOSPC);
    MF_CHECK_OK(kit_erase_and_wait(&k, &seq, 1)); /* waits until there is room */
    MF_CHECK(fault_vfs_n_fired() >= 2);
    MF_CHECK(!mf_journal_is_full(k.j));
    MF_CHECK(!mf_journal_is_dead(k.j));
    MF_CHECK_OK(kit_append_and_wait(&k, 3));
    kit_close(&k);
    fault_vfs_remove();
    kit_open(&k, dir);
    MF_CHECK_INT(replayed(&k)->n, 1);
    MF_CHECK_INT(replayed(&k)->seqs[0], 3);
    kit_close(&k);
}

MF_TEST(journal, closes_though_there_is_no_room)
{
    const char *dir = mf_test_tmpdir();
    struct kit k = {0};

    fault_vfs_install();
    kit_open(&k, dir);
    MF_CHECK_OK(kit_append_and_wait(&k, 1));
    fault_vfs_arm(FAULT_WRITE, 1, 100000, SQLITE_FULL);
    MF_CHECK_INT(kit_append_and_wait(&k, 2), MF_ENOSPC);
    kit_close(&k);
    fault_vfs_remove();
    kit_open(&k, dir);
    MF_CHECK_INT(replayed(&k)->n, 1);
    kit_close(&k);
}

MF_TEST(journal, refuses_rounds_while_free_space_is_below_the_reserve)
{
    const char *dir = mf_test_tmpdir();
    struct kit k = {0};
    struct kit_append a;

    as_loop();
    kit_config(&k.cfg, dir);
    k.cfg.min_free_bytes = UINT64_MAX;
    kit_open(&k, dir);
    MF_CHECK(mf_journal_is_full(k.j));
    MF_CHECK_INT(kit_append(&k, &a, 1), MF_ENOSPC);
    kit_close(&k);
}

MF_TEST(journal, dies_when_a_sync_fails_and_says_so_once)
{
    static const uint64_t seq = 1;
    const char *dir = mf_test_tmpdir();
    struct kit k = {0};
    struct kit_append a, b;

    as_loop();
    fault_vfs_install();
    kit_open(&k, dir);
    MF_CHECK_OK(kit_append_and_wait(&k, 1));
    fault_vfs_arm(FAULT_SYNC, 1, 1, SQLITE_IOERR_FSYNC);
    MF_CHECK_OK(kit_append(&k, &a, 2));
    MF_CHECK(kit_run_until(&k, &a.is_done));
    MF_CHECK_INT(fault_vfs_n_fired(), 1);
    MF_CHECK_INT(a.rc, MF_EFATAL);
    MF_CHECK_INT(k.n_fatal, 1);
    MF_CHECK(mf_journal_is_dead(k.j));
    MF_CHECK_INT(kit_append(&k, &b, 3), MF_EFATAL);
    MF_CHECK_INT(kit_erase_and_wait(&k, &seq, 1), MF_EFATAL);
    MF_CHECK_INT(kit_park_and_wait(&k, 1, "bad"), MF_EFATAL);
    kit_close(&k);
    MF_CHECK_INT(k.n_fatal, 1);
    MF_CHECK_INT(fault_vfs_n_after(), 0);
    fault_vfs_remove();
    kit_open(&k, dir);
    MF_CHECK(replayed(&k)->n >= 1);
    MF_CHECK_INT(replayed(&k)->seqs[0], 1);
    kit_close(&k);
}

static void check_refused(struct mf_journal_config *cfg, const char *part)
{
    static const struct mf_loop_config loop = {.pool_threads = 4};
    struct mf_loop *l;
    struct mf_journal *j = NULL;
    struct mf_err err = {0};

    as_loop();
    MF_CHECK_OK(mf_loop_open(&l, &loop, &err));
    MF_CHECK_INT(mf_journal_open(&j, l, cfg, NULL, NULL, &err), MF_EINVAL);
    MF_CHECK(strstr(err.msg, part) != NULL);
    MF_CHECK_PTR(j, NULL);
    MF_CHECK_OK(mf_loop_close(l));
}

MF_TEST(journal, refuses_a_configuration_that_cannot_work)
{
    struct mf_journal_config good, cfg;

    kit_config(&good, mf_test_tmpdir());
    cfg = good;
    cfg.dir = "";
    check_refused(&cfg, "data.dir");
    cfg = good;
    cfg.max_bytes = 0;
    check_refused(&cfg, "journal.max_bytes");
    cfg = good;
    cfg.max_commit_rounds = 0;
    check_refused(&cfg, "journal.max_commit_rounds");
    cfg = good;
    cfg.max_commit_bytes = 0;
    check_refused(&cfg, "journal.max_commit_bytes");
    cfg = good;
    cfg.checkpoint_pages = 0;
    check_refused(&cfg, "journal.checkpoint_pages");
}

MF_TEST(journal, opens_cleanly_or_not_at_all_after_each_failed_allocation)
{
    static const struct mf_loop_config loop = {.pool_threads = 4};
    struct kit k = {0};
    struct mf_err err = {0};
    size_t n = 0;
    int rc;

    as_loop();
    kit_config(&k.cfg, mf_test_tmpdir());
    MF_CHECK_OK(mf_loop_open(&k.loop, &loop, &err));
    do {
        mf_test_fail_nth(++n);
        rc = mf_journal_open(&k.j, k.loop, &k.cfg, NULL, NULL, &err);
        MF_CHECK(rc == 0 || rc == MF_ENOMEM);
    } while (rc < 0);
    mf_test_fail_nth(0);
    MF_CHECK(n > 5);
    kit_close(&k);
}
