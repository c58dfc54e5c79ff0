/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/journal_groupkit.h"

#include <string.h>

static void forget_done(struct mf_group *g)
{
    mf_list_init(&g->done_appends);
    mf_list_init(&g->done_erases);
    mf_list_init(&g->done_parks);
}

MF_TEST(group, has_nothing_to_do_at_first)
{
    struct mf_group g;

    start(&g);
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_NOTHING);
    MF_CHECK(mf_group_is_idle(&g));
    MF_CHECK(mf_group_wake_at(&g) == MF_GROUP_NEVER);
}

MF_TEST(group, keeps_one_commit_in_flight_and_gathers_the_next)
{
    struct mf_group g;
    struct mf_journal_append a[3];

    start(&g);
    MF_CHECK_OK(add(&g, &a[0], 10));
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT);
    MF_CHECK_OK(add(&g, &a[1], 10));
    MF_CHECK_OK(add(&g, &a[2], 10));
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_NOTHING);
    MF_CHECK_INT(g.sent_appends.n, 1);
    mf_group_finish(&g, &fine, 0);
    MF_CHECK_INT(g.done_appends.n, 1);
    MF_CHECK_INT(a[0].rc, 0);
    MF_CHECK_INT(a[1].rc, 0); /* accepted, not told */
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT);
    MF_CHECK_INT(g.sent_appends.n, 2);
}

MF_TEST(group, seals_no_more_rounds_than_a_commit_may_hold)
{
    struct mf_group g;
    struct mf_journal_append a[5];

    start(&g);
    for (size_t i = 0; i < 5; i++) {
        MF_CHECK_OK(add(&g, &a[i], 1));
    }
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT);
    MF_CHECK_INT(g.sent_appends.n, 3);
    MF_CHECK_PTR(mf_list_head(&g.sent_appends), &a[0].link);
    mf_group_finish(&g, &fine, 0);
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT);
    MF_CHECK_PTR(mf_list_head(&g.sent_appends), &a[3].link);
}

MF_TEST(group, seals_no_more_bytes_than_a_commit_may_hold_but_one_round_goes_alone)
{
    struct mf_group g;
    struct mf_journal_append a[4];

    start(&g);
    MF_CHECK_OK(add(&g, &a[0], 60));
    MF_CHECK_OK(add(&g, &a[1], 40));
    MF_CHECK_OK(add(&g, &a[2], 500));
    MF_CHECK_OK(add(&g, &a[3], 1));
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT);
    MF_CHECK_INT(g.sent_appends.n, 2);
    mf_group_finish(&g, &fine, 0);
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT);
    MF_CHECK_INT(g.sent_appends.n, 1);
    MF_CHECK_PTR(mf_list_head(&g.sent_appends), &a[2].link);
}

MF_TEST(group, refuses_a_round_over_the_byte_bound_until_rounds_are_erased)
{
    static const uint64_t seq = 1;
    struct mf_group_result erased = {.free_bytes = UINT64_MAX, .erased_bytes = 990};
    struct mf_group g;
    struct mf_journal_append a, b;
    struct mf_journal_erase e;

    start(&g);
    MF_CHECK_INT(add(&g, &a, 1001), MF_ETOOBIG);
    MF_CHECK_OK(add(&g, &a, 990));
    MF_CHECK_INT(add(&g, &b, 11), MF_EBUSY);
    MF_CHECK(!mf_link_is_on(&b.link));
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT);
    mf_group_finish(&g, &fine, 0);
    MF_CHECK_INT(add(&g, &b, 11), MF_EBUSY);
    erase(&g, &e, &seq, 1);
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT);
    MF_CHECK_INT(add(&g, &b, 11), MF_EBUSY); /* not erased yet */
    mf_group_finish(&g, &erased, 0);
    MF_CHECK_INT(g.bytes, 0);
    MF_CHECK_OK(add(&g, &b, 11));
}

MF_TEST(group, counts_restored_rounds_even_beyond_the_bound)
{
    struct mf_group g;
    struct mf_journal_append a;

    start(&g);
    mf_group_restore(&g, 900);
    mf_group_restore(&g, 900);
    MF_CHECK_INT(g.bytes, 1800);
    MF_CHECK_INT(add(&g, &a, 1), MF_EBUSY);
}

MF_TEST(group, erases_in_small_steps_and_tells_after_the_last)
{
    static const uint64_t seqs[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    uint64_t sent[4];
    struct mf_group g;
    struct mf_journal_erase e, f;

    start(&g);
    erase(&g, &e, seqs, 6);
    erase(&g, &f, seqs + 6, 3);
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT);
    MF_CHECK_INT(g.n_sent_erases, 4);
    mf_group_sent_erases(&g, sent);
    MF_CHECK_MEM(sent, seqs, sizeof(sent));
    mf_group_finish(&g, &fine, 0);
    MF_CHECK_INT(g.done_erases.n, 0);
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT);
    mf_group_sent_erases(&g, sent);
    MF_CHECK_MEM(sent, seqs + 4, sizeof(sent)); /* the rest of e and two of f */
    mf_group_finish(&g, &fine, 0);
    MF_CHECK_INT(g.done_erases.n, 1);
    MF_CHECK_INT(e.rc, 0);
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT);
    MF_CHECK_INT(g.n_sent_erases, 1);
    mf_group_finish(&g, &fine, 0);
    MF_CHECK_INT(g.done_erases.n, 2);
}

MF_TEST(group, erases_little_beside_rounds_but_keeps_pace_with_them)
{
    static const uint64_t seqs[1000] = {1};
    struct mf_group_limits lim = limits;
    struct mf_journal_append a[60];
    struct mf_group g;
    struct mf_journal_erase e;

    lim.max_commit_erases = 900;
    lim.max_commit_rounds = 100;
    mf_group_init(&g, &lim);
    MF_CHECK_OK(add(&g, &a[0], 1));
    erase(&g, &e, seqs, 1000);
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT);
    MF_CHECK_INT(g.n_sent_erases, MF_GROUP_ERASES_BESIDE);
    mf_group_finish(&g, &fine, 0);
    forget_done(&g);
    for (size_t i = 0; i < mf_countof(a); i++) {
        MF_CHECK_OK(add(&g, &a[i], 1));
    }
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT);
    MF_CHECK_INT(g.n_sent_erases, 2 * mf_countof(a));
    mf_group_finish(&g, &fine, 0);
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT); /* nobody waits */
    MF_CHECK_INT(g.n_sent_erases, 1000 - MF_GROUP_ERASES_BESIDE - 2 * mf_countof(a));
    mf_group_finish(&g, &fine, 0);
    MF_CHECK_INT(g.done_erases.n, 1);
}

MF_TEST(group, tells_an_empty_erase_without_a_commit)
{
    struct mf_group g;
    struct mf_journal_erase e;

    start(&g);
    erase(&g, &e, NULL, 0);
    MF_CHECK_INT(g.done_erases.n, 1);
    MF_CHECK_INT(e.rc, 0);
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_NOTHING);
}

MF_TEST(group, fails_the_rounds_and_keeps_the_erases_when_there_is_no_room)
{
    static const uint64_t seqs[] = {1, 2};
    uint64_t sent[2];
    struct mf_group g;
    struct mf_journal_append a, b;
    struct mf_journal_erase e;
    struct mf_journal_park p = {.seq = 9}, q = {.seq = 10};

    start(&g);
    MF_CHECK_OK(add(&g, &a, 10));
    erase(&g, &e, seqs, 2);
    mf_group_park(&g, &p);
    MF_CHECK_INT(mf_group_seal(&g, 1000), MF_GROUP_COMMIT);
    MF_CHECK_OK(add(&g, &b, 10));
    mf_group_park(&g, &q);
    mf_group_finish(&g, &no_room, 1000);
    MF_CHECK_INT(g.done_appends.n, 2);
    MF_CHECK_INT(a.rc, MF_ENOSPC);
    MF_CHECK_INT(b.rc, MF_ENOSPC);
    MF_CHECK_INT(g.bytes, 0);
    MF_CHECK_INT(g.done_erases.n + g.done_parks.n, 0);
    MF_CHECK(mf_group_is_full(&g));
    MF_CHECK_INT(add(&g, &b, 10), MF_ENOSPC);
    MF_CHECK_INT(mf_group_seal(&g, 1099), MF_GROUP_NOTHING);
    MF_CHECK(mf_group_wake_at(&g) == 1100);
    MF_CHECK_INT(mf_group_seal(&g, 1100), MF_GROUP_COMMIT);
    MF_CHECK(g.is_probe);
    mf_group_sent_erases(&g, sent);
    MF_CHECK_MEM(sent, seqs, sizeof(seqs)); /* from the start again */
    MF_CHECK_PTR(mf_list_head(&g.sent_parks), &p.link);
    MF_CHECK_PTR(mf_list_tail(&g.sent_parks), &q.link);
    mf_group_finish(&g, &fine, 1100);
    MF_CHECK(!mf_group_is_full(&g));
    MF_CHECK_INT(g.done_erases.n, 1);
    MF_CHECK_INT(g.done_parks.n, 2);
    MF_CHECK(mf_group_wake_at(&g) == MF_GROUP_NEVER);
    MF_CHECK_OK(add(&g, &b, 10));
}

MF_TEST(group, probes_less_and_less_often_up_to_a_bound)
{
    struct mf_group g;
    uint64_t now = 0, last = 0;

    start(&g);
    mf_group_start(&g, true, UINT64_MAX, now);
    for (int i = 0; i < 40; i++) {
        uint64_t wait = mf_group_wake_at(&g) - now;

        MF_CHECK(wait >= last && wait >= MF_GROUP_FIRST_RETRY_MS &&
                 wait <= MF_GROUP_MAX_RETRY_MS);
        last = wait;
        now += wait;
        MF_CHECK_INT(mf_group_seal(&g, now), MF_GROUP_COMMIT);
        MF_CHECK(g.is_probe);
        mf_group_finish(&g, &no_room, now);
    }
    MF_CHECK(last == MF_GROUP_MAX_RETRY_MS);
}

MF_TEST(group, refuses_rounds_but_erases_while_the_reserve_is_touched)
{
    static const uint64_t seqs[] = {1, 2};
    struct mf_group_result low = {.free_bytes = 49};
    struct mf_group_result enough = {.free_bytes = 50};
    struct mf_group g;
    struct mf_journal_append a;
    struct mf_journal_erase e;

    start(&g);
    mf_group_start(&g, false, 50, 0);
    MF_CHECK(!mf_group_is_full(&g));
    MF_CHECK_OK(add(&g, &a, 1));
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT);
    mf_group_finish(&g, &low, 0);
    MF_CHECK_INT(a.rc, 0); /* it was committed */
    MF_CHECK_INT(add(&g, &a, 1), MF_ENOSPC);
    erase(&g, &e, seqs, 2);
    MF_CHECK_INT(mf_group_seal(&g, 10), MF_GROUP_COMMIT); /* at once */
    MF_CHECK(!g.is_probe);
    mf_group_finish(&g, &fine, 10);
    MF_CHECK(mf_group_wake_at(&g) == MF_GROUP_LOW_RETRY_MS); /* not put off */
    MF_CHECK_INT(mf_group_seal(&g, MF_GROUP_LOW_RETRY_MS - 1), MF_GROUP_NOTHING);
    MF_CHECK_INT(mf_group_seal(&g, MF_GROUP_LOW_RETRY_MS), MF_GROUP_COMMIT);
    MF_CHECK(g.is_probe);
    mf_group_finish(&g, &fine, MF_GROUP_LOW_RETRY_MS); /* could not look */
    MF_CHECK(mf_group_wake_at(&g) == 2 * MF_GROUP_LOW_RETRY_MS);
    MF_CHECK_INT(mf_group_seal(&g, 2 * MF_GROUP_LOW_RETRY_MS), MF_GROUP_COMMIT);
    mf_group_finish(&g, &enough, 2 * MF_GROUP_LOW_RETRY_MS);
    MF_CHECK(!mf_group_is_full(&g));
    MF_CHECK_OK(add(&g, &a, 1));
}

MF_TEST(group, lets_the_line_wait_when_memory_was_short)
{
    struct mf_group_result short_of = {.rc = MF_ENOMEM, .free_bytes = UINT64_MAX};
    struct mf_group g;
    struct mf_journal_append a, b;

    start(&g);
    MF_CHECK_OK(add(&g, &a, 1));
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT);
    MF_CHECK_OK(add(&g, &b, 1));
    mf_group_finish(&g, &short_of, 0);
    MF_CHECK_INT(a.rc, MF_ENOMEM);
    MF_CHECK_INT(g.done_appends.n, 1);
    MF_CHECK(!mf_group_is_full(&g));
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_NOTHING);
    MF_CHECK_INT(mf_group_seal(&g, mf_group_wake_at(&g)), MF_GROUP_COMMIT);
    MF_CHECK(!g.is_probe);
    MF_CHECK_PTR(mf_list_head(&g.sent_appends), &b.link);
}

MF_TEST(group, dies_once_and_for_all)
{
    static const uint64_t seqs[] = {1, 2};
    struct mf_group g;
    struct mf_journal_append a, b, c;
    struct mf_journal_erase e, f;
    struct mf_journal_park p = {.seq = 1}, q = {.seq = 2}, r = {.seq = 3};

    start(&g);
    MF_CHECK_OK(add(&g, &a, 1));
    erase(&g, &e, seqs, 2);
    mf_group_park(&g, &p);
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT);
    MF_CHECK_OK(add(&g, &b, 1));
    mf_group_park(&g, &q);
    mf_group_finish(&g, &fatal, 0);
    MF_CHECK(g.is_dead);
    MF_CHECK_INT(a.rc, MF_EFATAL);
    MF_CHECK_INT(b.rc, MF_EFATAL);
    MF_CHECK_INT(e.rc, MF_EFATAL);
    MF_CHECK_INT(p.rc, MF_EFATAL);
    MF_CHECK_INT(q.rc, MF_EFATAL);
    MF_CHECK_INT(g.done_appends.n, 2);
    MF_CHECK_INT(add(&g, &c, 1), MF_EFATAL);
    erase(&g, &f, seqs, 2);
    mf_group_park(&g, &r);
    MF_CHECK_INT(f.rc, MF_EFATAL);
    MF_CHECK_INT(r.rc, MF_EFATAL);
    MF_CHECK_INT(g.done_erases.n, 2);
    MF_CHECK_INT(g.done_parks.n, 3);
    MF_CHECK_INT(mf_group_seal(&g, 1 << 30), MF_GROUP_NOTHING);
    MF_CHECK(mf_group_wake_at(&g) == MF_GROUP_NEVER);
}

MF_TEST(group, takes_an_unknown_code_as_fatal)
{
    struct mf_group_result odd = {.rc = MF_EIO, .free_bytes = UINT64_MAX};
    struct mf_group g;
    struct mf_journal_append a;

    start(&g);
    MF_CHECK_OK(add(&g, &a, 1));
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT);
    mf_group_finish(&g, &odd, 0);
    MF_CHECK(g.is_dead);
    MF_CHECK_INT(a.rc, MF_EFATAL);
}

MF_TEST(group, checkpoints_a_short_wal_when_nobody_waits)
{
    struct mf_group_result grown = {.free_bytes = UINT64_MAX, .wal_pages = 10};
    struct mf_group g;
    struct mf_journal_append a, b;

    start(&g);
    MF_CHECK_OK(add(&g, &a, 1));
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT);
    MF_CHECK_OK(add(&g, &b, 1));
    mf_group_finish(&g, &grown, 0);
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT); /* a burst goes first */
    mf_group_finish(&g, &grown, 0);
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_CHECKPOINT);
    mf_group_finish(&g, &fine, 0);
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_NOTHING);
}

MF_TEST(group, checkpoints_between_commits_when_the_wal_is_long)
{
    struct mf_group_result grown = {.free_bytes = UINT64_MAX,
                                    .wal_pages = 10 * MF_GROUP_LATE_CHECKPOINT};
    struct mf_group g;
    struct mf_journal_append a, b;

    start(&g);
    MF_CHECK_OK(add(&g, &a, 1));
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT);
    MF_CHECK_OK(add(&g, &b, 1));
    mf_group_finish(&g, &grown, 0);
    MF_CHECK_INT(g.done_appends.n, 1); /* told before the checkpoint */
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_CHECKPOINT);
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_NOTHING);
    MF_CHECK_INT(g.sent_appends.n, 0);
    mf_group_finish(&g, &fine, 0);
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT);
    MF_CHECK_INT(g.sent_appends.n, 1);
}

MF_TEST(group, closes_after_one_try_of_what_stands_in_line)
{
    static const uint64_t seq = 1;
    struct mf_group g;
    struct mf_journal_append a;
    struct mf_journal_erase e, f;

    start(&g);
    erase(&g, &e, &seq, 1);
    mf_group_start(&g, true, UINT64_MAX, 0);
    mf_group_close(&g);
    MF_CHECK_INT(add(&g, &a, 1), MF_ECLOSED);
    erase(&g, &f, &seq, 1);
    MF_CHECK_INT(f.rc, MF_ECLOSED);
    forget_done(&g);
    MF_CHECK(!mf_group_is_idle(&g));
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT); /* before its retry time */
    mf_group_finish(&g, &no_room, 0);
    MF_CHECK_INT(e.rc, MF_ENOSPC);
    MF_CHECK_INT(mf_group_seal(&g, 1 << 20), MF_GROUP_NOTHING);
    forget_done(&g);
    MF_CHECK(mf_group_is_idle(&g));
}
