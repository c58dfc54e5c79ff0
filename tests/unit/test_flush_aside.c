/* SPDX-License-Identifier: Apache-2.0 */
/* A part of the store is away: users "a.." and "b.." are of two parts. */
#include "base/err.h"
#include "base/stat.h"
#include "unit/flush_rig.h"

#define HOUR_MS 3600000

static struct rig rig;

/* Part b is away, and is asked again after so long. */
static struct rig *open_without_b(uint64_t backoff_ms) MF_ASSERTS_LOOP;

static struct rig *open_without_b(uint64_t backoff_ms)
{
    struct mf_flush_config cfg = rig_config();

    cfg.dep.first_backoff_ms = backoff_ms;
    cfg.dep.max_backoff_ms = backoff_ms;
    rig_open(&rig, &cfg);
    mf_fake_store_part_away(rig.store, "b");
    return &rig;
}

/* All parts are there, and are asked at once. */
MF_LOOP static void come_back(struct rig *r)
{
    mf_fake_store_part_away(r->store, "");
    mf_flush_kick(r->flush);
}

/* All parts are back: so many of the writes until `n_settled` are urgent. */
MF_LOOP static void check_urgent_on_the_way_back(struct rig *r, size_t n_urgent,
                                                 size_t n_settled)
{
    size_t n_before = rig_stats(r)->n_urgent, n_writes = rig_stats(r)->n_writes;

    come_back(r);
    rig_settle(r, n_settled);
    MF_CHECK_INT(rig_stats(r)->n_writes - n_writes, 1);
    MF_CHECK_INT(rig_stats(r)->n_urgent - n_before, n_urgent);
}

/* Jobs of both parts that share a batch. */
MF_LOOP static void add_both(struct rig *r, uint64_t seq)
{
    (void)rig_job(r, "a1", seq, MF_FLUSH_NORMAL);
    (void)rig_job(r, "b1", seq + 1, MF_FLUSH_NORMAL);
}

MF_TEST(flush_aside, users_of_the_other_part_are_stored)
{
    struct rig *r = open_without_b(HOUR_MS);

    add_both(r, 1);
    add_both(r, 3);
    rig_settle(r, 2);
    rig_turn(r, 20);
    rig_check_stored(r, "a1", 1);
    rig_check_stored(r, "a1", 3);
    MF_CHECK(!rig_is_stored(r, "b1", 2));
    MF_CHECK_INT(r->n_stored, 2);
    MF_CHECK_INT(r->n_parked, 0);
    /* All four at once, the question, one part, and the other is known by then. */
    MF_CHECK_INT(rig_stats(r)->n_asked_parts, 1);
    MF_CHECK_INT(mf_flush_n_aside(r->flush), 2);
    MF_CHECK_INT(mf_buffers_n_entries(r->buffers, MF_PLACE_QUEUED), 2);
    MF_CHECK(mf_dep_is_up(mf_flush_health(r->flush)));
    rig_close(r);
}

MF_TEST(flush_aside, the_part_is_asked_now_and_then_and_all_of_it_follows)
{
    struct rig *r = open_without_b(2);
    size_t n_retries = (size_t)mf_stat_get(MF_STAT_flush_retries);

    for (uint64_t seq = 1; seq < 100; seq += 2) {
        add_both(r, seq);
    }
    rig_settle(r, 50);
    while (mf_stat_get(MF_STAT_flush_retries) < (int64_t)n_retries + 5) {
        rig_turn(r, 1);
    }
    MF_CHECK_INT(r->n_stored, 50);
    MF_CHECK(mf_flush_n_aside(r->flush) >= 40); /* the rest may be on its way, to see */
    mf_fake_store_part_away(r->store, "");
    rig_settle(r, 100);
    for (uint64_t seq = 1; seq <= 100; seq++) {
        rig_check_stored(r, seq % 2 == 1 ? "a1" : "b1", seq);
    }
    MF_CHECK_INT(rig_stats(r)->n_again, 0);
    MF_CHECK_INT(mf_flush_n_aside(r->flush), 0);
    rig_close(r);
}

/* What comes later for the part that is away joins it without asking the part. */
MF_TEST(flush_aside, later_rounds_of_the_part_join_those_that_wait)
{
    struct rig *r = open_without_b(HOUR_MS);
    size_t n_writes;

    add_both(r, 1);
    rig_settle(r, 1);
    rig_turn(r, 20);
    n_writes = rig_stats(r)->n_writes;
    add_both(r, 3);
    rig_settle(r, 2);
    rig_turn(r, 20);
    MF_CHECK_INT(rig_stats(r)->n_writes - n_writes, 3); /* both, the question, one */
    MF_CHECK_INT(mf_flush_n_aside(r->flush), 2);
    come_back(r);
    rig_settle(r, 4);
    /* In one batch. */
    MF_CHECK_INT(r->rows_of_write[r->n_seen - 1], 2);
    rig_close(r);
}

MF_TEST(flush_aside, each_part_waits_for_itself)
{
    struct rig *r = open_without_b(2);

    mf_fake_store_part_away(r->store, "bc");
    (void)rig_job(r, "c1", 9, MF_FLUSH_NORMAL);
    add_both(r, 1);
    rig_settle(r, 1);
    mf_fake_store_part_away(r->store, "b");
    rig_settle(r, 2);
    rig_check_stored(r, "c1", 9);
    MF_CHECK(!rig_is_stored(r, "b1", 2));
    mf_fake_store_part_away(r->store, "");
    rig_settle(r, 3);
    rig_close(r);
}

MF_TEST(flush_aside, who_asks_learns_that_an_entry_stands_aside)
{
    struct rig *r = open_without_b(HOUR_MS);
    struct mf_entry *e;

    e = rig_job(r, "b1", 1, MF_FLUSH_NORMAL);
    MF_CHECK(!mf_flush_is_aside(e)); /* in line */
    rig_turn(r, 20);
    MF_CHECK(mf_flush_is_aside(e));
    mf_flush_raise(r->flush, e, MF_FLUSH_CRITICAL);
    come_back(r);
    rig_settle(r, 1);
    MF_CHECK_INT(rig_stats(r)->n_urgent, 1);
    rig_close(r);
}

/* Somebody waits for one of those that stand aside: the batch it joined goes before
 * what nobody waits for, and so does what was divided from such a batch. */
MF_TEST(flush_aside, who_waits_makes_the_batch_urgent_that_takes_his_round_in)
{
    struct rig *r = open_without_b(HOUR_MS);

    (void)rig_job(r, "b1", 1, MF_FLUSH_NORMAL);
    rig_turn(r, 20);
    MF_CHECK_INT(mf_flush_n_aside(r->flush), 1);
    (void)rig_job(r, "b1", 2, MF_FLUSH_CRITICAL);
    rig_turn(r, 20);
    MF_CHECK_INT(mf_flush_n_aside(r->flush), 2);
    check_urgent_on_the_way_back(r, 1, 2);
    rig_close(r);
}

MF_TEST(flush_aside, what_is_divided_from_an_urgent_batch_is_urgent)
{
    struct rig *r = open_without_b(HOUR_MS);

    (void)rig_job(r, "a1", 1, MF_FLUSH_CRITICAL);
    (void)rig_job(r, "b1", 2, MF_FLUSH_CRITICAL);
    rig_settle(r, 1);
    rig_turn(r, 20);
    MF_CHECK_INT(mf_flush_n_aside(r->flush), 1);
    check_urgent_on_the_way_back(r, 1, 2);
    rig_close(r);
}

MF_TEST(flush_aside, poison_among_what_comes_back_is_parked_alone)
{
    struct rig *r = open_without_b(HOUR_MS);

    for (uint64_t seq = 1; seq <= 7; seq += 2) {
        add_both(r, seq);
    }
    rig_settle(r, 4);
    rig_turn(r, 20);
    mf_fake_store_poison(r->store, "m4");
    come_back(r);
    rig_settle(r, 8);
    MF_CHECK_INT(r->n_parked, 1);
    MF_CHECK_INT(r->parked_seqs[0], 4);
    rig_close(r);
}

/* What is split off the batch that goes to see belongs to the part, too. */
MF_TEST(flush_aside, all_of_the_part_follows_when_the_first_of_it_is_poison)
{
    struct rig *r = open_without_b(HOUR_MS);

    for (uint64_t seq = 1; seq <= 15; seq++) { /* more than a batch */
        (void)rig_job(r, "b1", seq, MF_FLUSH_NORMAL);
    }
    rig_turn(r, 40);
    MF_CHECK_INT(mf_flush_n_aside(r->flush), 15);
    mf_fake_store_poison(r->store, "m1");
    come_back(r);
    rig_settle(r, 15);
    MF_CHECK_INT(r->n_parked, 1);
    MF_CHECK_INT(r->parked_seqs[0], 1);
    rig_close(r);
}

MF_TEST(flush_aside, an_outage_of_the_whole_holds_back_what_stands_aside)
{
    struct rig *r = open_without_b(2);

    add_both(r, 1);
    rig_settle(r, 1);
    mf_fake_store_fail_all(r->store, MF_EUNAVAILABLE);
    add_both(r, 3);
    rig_turn(r, 50);
    mf_fake_store_part_away(r->store, "");
    mf_fake_store_fail_all(r->store, 0);
    rig_settle(r, 4);
    MF_CHECK_INT(rig_stats(r)->n_again, 0);
    rig_close(r);
}

MF_TEST(flush_aside, close_gives_all_of_it_back)
{
    struct rig *r = open_without_b(HOUR_MS);

    for (uint64_t seq = 1; seq <= 41; seq += 2) { /* several batches aside */
        add_both(r, seq);
    }
    rig_settle(r, 21);
    rig_turn(r, 20);
    MF_CHECK_INT(mf_flush_n_aside(r->flush), 21);
    rig_close_flush(r);
    MF_CHECK_INT(mf_buffers_n_entries(r->buffers, MF_PLACE_HYBRID), 21);
    rig_close(r);
}

/* At any point of the way, also while the question is out. */
MF_TEST(flush_aside, close_at_any_moment_gives_back_what_is_not_stored)
{
    for (unsigned turns = 0; turns < 24; turns++) {
        struct rig *r = open_without_b(1);

        add_both(r, 1);
        rig_turn(r, turns);
        rig_close_flush(r);
        MF_CHECK_INT(mf_buffers_n_entries(r->buffers, MF_PLACE_HYBRID) + r->n_stored,
                     2);
        rig_close(r);
    }
}

MF_TEST(flush_aside, without_memory_it_waits_and_goes_later)
{
    for (size_t nth = 1; nth < 24; nth++) {
        struct rig *r = open_without_b(1);

        add_both(r, 1);
        mf_test_fail_nth(nth);
        rig_turn(r, 12);
        mf_test_fail_nth(0);
        rig_settle(r, 1);
        rig_check_stored(r, "a1", 1);
        mf_fake_store_part_away(r->store, "");
        rig_settle(r, 2);
        rig_check_stored(r, "b1", 2);
        MF_CHECK_INT(r->n_parked, 0);
        rig_close(r);
    }
}
