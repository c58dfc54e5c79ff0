/* SPDX-License-Identifier: Apache-2.0 */
/* A store that other processes write to, too: what a scan finds, and what it asks. */
#include "unit/query_kit.h"

#include <stdio.h>

/* A scan that ranks `n` messages, `seq` (if any) once. */
MF_LOOP static void check_scan(struct kit *k, size_t n, uint64_t seq)
{
    struct kit_scan q;

    kit_scan(k, &q, "u1", "zebra");
    MF_CHECK(!q.s.is_partial);
    MF_CHECK_INT(q.s.n_hits, n);
    MF_CHECK_INT(kit_count(&q, seq), seq != 0);
    kit_forget(&q);
}

MF_LOOP static struct mf_holder *holder(struct kit *k)
{
    return mf_holder_find(k->lib, mf_slice_str("u1"));
}

MF_TEST(library, finds_what_another_process_wrote_with_the_next_scan)
{
    struct kit k;
    struct kit_scan q;
    uint64_t seq;

    kit_open_shared(&k);
    seq = kit_other_add(&k, "u1", 2, "a foreign zebra");
    kit_scan(&k, &q, "u1", "zebra");
    MF_CHECK_INT(q.s.n_hits, 2);
    MF_CHECK_INT(kit_count(&q, seq), 1);
    MF_CHECK(kit_hit(&q, seq)->has_vector);
    kit_forget(&q);
    kit_question(&k, &q, "u1", "zebra"); /* and knows its session */
    q.s.request.agent_id = mf_slice_str("a2");
    MF_CHECK_OK(kit_submit(&q));
    kit_wait(&q);
    MF_CHECK_INT(q.s.n_hits, 1);
    MF_CHECK_INT(q.hits[0].seq, seq);
    kit_forget(&q);
    MF_CHECK_INT(k.n_asked, 3);
    MF_CHECK_INT(mf_library_n_shelves(k.lib), 1);
    kit_close(&k);
}

MF_TEST(library, finds_what_another_process_changed_as_it_is_now)
{
    struct kit k;
    struct kit_scan q;
    uint64_t message, knowledge;

    kit_open_shared(&k);
    message = kit_add(&k, "u1", 1, "a horse runs");
    kit_store(&k, "u1", message);
    knowledge = kit_add_knowledge(&k, "u1", "horses sleep");
    kit_scan(&k, &q, "u1", "zebra");
    MF_CHECK(kit_hit(&q, message)->bm25 == 0);
    MF_CHECK(kit_hit(&q, knowledge)->bm25 == 0);
    kit_forget(&q);
    kit_other_change(&k, "u1", message, "a zebra runs");
    kit_other_change(&k, "u1", knowledge, "zebras sleep");
    kit_scan(&k, &q, "u1", "zebra");
    MF_CHECK_INT(q.s.n_hits, 3);
    MF_CHECK(kit_hit(&q, message)->bm25 > 0);
    MF_CHECK(kit_hit(&q, message)->has_vector);
    MF_CHECK(kit_hit(&q, knowledge)->bm25 > 0);
    kit_forget(&q);
    kit_close(&k);
}

MF_TEST(library, asks_a_store_of_its_own_once)
{
    struct kit k;

    kit_open(&k);
    kit_store(&k, "u1", kit_add(&k, "u1", 1, "an old zebra"));
    for (size_t i = 1; i < 6; i++) {
        check_scan(&k, i, 0);
        kit_store(&k, "u1", kit_add(&k, "u1", 1, "a zebra"));
    }
    MF_CHECK_INT(k.n_asked, 1);
    kit_close(&k);
}

MF_TEST(library, asks_a_shared_store_once_for_each_scan)
{
    struct kit k;

    kit_open_shared(&k);
    for (size_t i = 1; i < 6; i++) {
        check_scan(&k, i, 0);
        MF_CHECK_INT(k.n_asked, 1 + i);
        (void)kit_other_add(&k, "u1", 1, "a zebra");
    }
    kit_close(&k);
}

MF_TEST(library, shares_one_delta_among_scans_that_came_before_it)
{
    enum { N = 5 };

    static struct kit_scan q[N];
    struct kit k;
    uint64_t seq;

    kit_open_shared(&k);
    seq = kit_other_add(&k, "u1", 1, "a foreign zebra");
    for (int i = 0; i < N; i++) {
        kit_question(&k, &q[i], "u1", "zebra");
        MF_CHECK_OK(kit_submit(&q[i]));
    }
    for (int i = 0; i < N; i++) {
        kit_wait(&q[i]);
        MF_CHECK_INT(kit_count(&q[i], seq), 1);
        kit_forget(&q[i]);
    }
    MF_CHECK_INT(k.n_asked, 2);
    kit_close(&k);
}

/* The read that is under way (a load, then a delta) was before what the second scan has
 * to find; so was the third's, which shares. */
MF_TEST(library, gives_a_scan_that_came_during_a_read_another_one)
{
    static struct kit_scan q[3];
    struct kit k;
    uint64_t seq[2];

    kit_open(&k);
    kit_share(&k);
    for (int round = 0; round < 2; round++) {
        k.n_asked = 0;
        kit_hold_read(&k, &q[0], KIT_HOLD_AFTER);
        seq[round] = kit_other_add(&k, "u1", 1, "a foreign zebra");
        for (int i = 1; i < 3; i++) {
            kit_question(&k, &q[i], "u1", "zebra");
            MF_CHECK_OK(kit_submit(&q[i]));
        }
        kit_turns(&k, 3);
        MF_CHECK_INT(k.n_gated, 1);
        kit_gate(&k, KIT_OPEN);
        for (int i = 0; i < 3; i++) {
            kit_wait(&q[i]);
            MF_CHECK(!q[i].s.is_partial);
            MF_CHECK_INT(kit_count(&q[i], seq[round]), i > 0);
            MF_CHECK_INT(kit_count(&q[i], seq[0]), i > 0 || round > 0);
            kit_forget(&q[i]);
        }
        MF_CHECK_INT(k.n_asked, 2);
    }
    kit_close(&k);
}

MF_TEST(library, waits_for_the_store_and_for_its_own_messages)
{
    struct kit k;
    struct kit_scan q;
    uint64_t own, foreign;

    kit_open_shared(&k);
    foreign = kit_other_add(&k, "u1", 1, "a foreign zebra");
    own = kit_add(&k, "u1", 1, "my zebra");
    kit_scan(&k, &q, "u1", "zebra");
    MF_CHECK_INT(q.s.n_hits, 3);
    MF_CHECK_INT(kit_count(&q, own), 1);
    MF_CHECK_INT(kit_count(&q, foreign), 1);
    kit_forget(&q);
    kit_close(&k);
}

/* ---- the process's own rows ---- */

MF_TEST(library, takes_its_own_rows_back_once_and_leaves_them_as_they_are)
{
    struct kit k;
    struct kit_scan q;
    size_t bytes;
    uint64_t own[40];

    kit_open_shared(&k);
    for (size_t i = 0; i < mf_countof(own); i++) {
        own[i] = kit_add(&k, "u1", 1, "my zebra");
        kit_index(&k, "u1", own[i], i % 2 == 0);
    }
    check_scan(&k, 41, own[7]);
    bytes = mf_library_bytes(k.lib);
    for (size_t i = 0; i < mf_countof(own); i++) {
        kit_store(&k, "u1", own[i]);
    }
    kit_scan(&k, &q, "u1", "zebra");
    MF_CHECK_INT(q.s.n_hits, 41);
    for (size_t i = 0; i < mf_countof(own); i++) {
        MF_CHECK_INT(kit_count(&q, own[i]), 1);
        MF_CHECK_INT(kit_hit(&q, own[i])->has_vector, i % 2 == 0);
    }
    kit_forget(&q);
    MF_CHECK_INT(mf_library_bytes(k.lib), bytes);
    MF_CHECK_INT(holder(&k)->store_mark, k.mark);
    kit_close(&k);
}

/* Committed, and the answer is not there yet; meanwhile another process changes it. */
MF_TEST(library, leaves_to_the_buffers_what_they_hold_and_asks_again)
{
    struct kit k;
    struct kit_scan q;
    uint64_t seq, other, before;

    kit_open_shared(&k);
    seq = kit_add(&k, "u1", 1, "my horse");
    kit_index(&k, "u1", seq, true);
    kit_commit(&k, "u1", seq);
    check_scan(&k, 2, seq);
    MF_CHECK_INT(holder(&k)->store_mark, k.mark); /* it is what they hold */
    kit_other_change(&k, "u1", seq, "my zebra");
    before = k.mark - 1;
    other = kit_other_add(&k, "u1", 1, "a foreign zebra");
    for (int i = 0; i < 2; i++) {
        kit_scan(&k, &q, "u1", "zebra");
        MF_CHECK_INT(kit_count(&q, other), 1);
        MF_CHECK_INT(kit_count(&q, seq), 1);
        MF_CHECK(kit_hit(&q, seq)->bm25 == 0);
        kit_forget(&q);
        MF_CHECK_INT(holder(&k)->store_mark, before);
    }
    kit_confirm(&k, "u1", seq);
    kit_scan(&k, &q, "u1", "zebra");
    MF_CHECK_INT(q.s.n_hits, 3);
    MF_CHECK(kit_hit(&q, seq)->bm25 > 0);
    kit_forget(&q);
    MF_CHECK_INT(holder(&k)->store_mark, k.mark);
    kit_close(&k);
}

/* ---- told beside a delta ---- */

/* A delta has read two foreign messages; they are not put yet. */
MF_ANY static void begin_delta(struct kit_held *b) MF_ASSERTS_LOOP;

static void begin_delta(struct kit_held *b)
{
    kit_open_shared(&b->k);
    b->first = kit_other_add(&b->k, "u1", 1, "a foreign horse");
    b->second = kit_other_add(&b->k, "u1", 2, "another foreign horse");
    kit_hold_read(&b->k, &b->q, KIT_HOLD_AFTER);
}

MF_TEST(library, does_not_take_what_was_deleted_beside_the_delta)
{
    struct kit_held b;

    begin_delta(&b);
    kit_delete(&b.k, "u1", b.first);
    kit_end_held(&b, false, true);
    check_scan(&b.k, 2, b.second);
    MF_CHECK_INT(holder(&b.k)->store_mark, b.k.mark);
    kit_close(&b.k);
}

MF_TEST(library, does_not_take_a_session_that_ended_beside_the_delta)
{
    struct kit_held b;

    begin_delta(&b);
    kit_delete_session(&b.k, "u1", 2);
    kit_end_held(&b, true, false);
    check_scan(&b.k, 2, b.first);
    kit_close(&b.k);
}

/* It is left out once, not for good: the mark stays. */
MF_TEST(library, brings_with_the_next_delta_what_was_told_beside_this_one)
{
    struct kit_held b;

    begin_delta(&b);
    mf_library_removed(b.k.lib, mf_slice_str("u1"), b.first);
    kit_end_held(&b, false, true);
    check_scan(&b.k, 3, b.first);
    kit_close(&b.k);
}

/* Told too much to be kept: the delta counts for nobody. */
MF_TEST(library, asks_again_when_too_much_was_told_beside_the_delta)
{
    struct kit_held b;

    begin_delta(&b);
    for (uint64_t seq = 0; seq < 1100; seq++) {
        mf_library_removed(b.k.lib, mf_slice_str("u1"), 10000 + seq);
    }
    kit_delete(&b.k, "u1", b.first);
    MF_CHECK_INT(b.k.n_asked, 2);
    kit_end_held(&b, false, true);
    MF_CHECK_INT(b.k.n_asked, 3);
    MF_CHECK(!b.q.s.is_partial);
    kit_close(&b.k);
}

/* Ours was stored first, and its answer comes after the delta that has theirs. */
MF_TEST(library, keeps_what_another_process_changed_after_us)
{
    struct kit k;
    struct kit_scan q;
    struct mf_buf old;
    struct mf_msg msg = {.content = MF_SLICE("a horse"), .role = MF_MSG_USER};
    uint64_t seq;

    kit_open_shared(&k);
    seq = kit_other_add(&k, "u1", 1, "a donkey");
    kit_build(&k, &old, &msg, false, true);
    check_scan(&k, 2, seq);
    kit_other_change(&k, "u1", seq, "a zebra");
    check_scan(&k, 2, seq);
    mf_library_replaced(k.lib, mf_slice_str("u1"), seq, mf_slice_of(old.p, old.n));
    kit_scan(&k, &q, "u1", "zebra");
    MF_CHECK(kit_hit(&q, seq)->bm25 > 0);
    kit_forget(&q);
    mf_library_user_gone(k.lib, mf_slice_str("u1"));
    kit_hold_read(&k, &q, KIT_HOLD_AFTER); /* and while loading */
    mf_library_replaced(k.lib, mf_slice_str("u1"), seq, mf_slice_of(old.p, old.n));
    kit_let_read(&k, &q);
    MF_CHECK(kit_hit(&q, seq)->bm25 > 0);
    kit_forget(&q);
    mf_buf_fini(&old);
    kit_close(&k);
}

/* The record is better than the row, and the row's own reader does not know. */
MF_TEST(library, keeps_a_record_that_is_made_beside_the_delta)
{
    struct kit k;
    struct kit_scan q;
    struct mf_buf rec;
    uint64_t seq;

    kit_open_shared(&k);
    seq = kit_add(&k, "u1", 1, "my zebra");
    kit_index(&k, "u1", seq, false);
    kit_build(&k, &rec, mf_entry_msg_of(kit_msg(&k, "u1", seq)), false, true);
    check_scan(&k, 2, seq);
    kit_commit(&k, "u1", seq);
    kit_hold_read(&k, &q, KIT_HOLD_AFTER);
    mf_library_record_made(k.lib, mf_slice_str("u1"), seq, mf_slice_of(rec.p, rec.n));
    kit_confirm(&k, "u1", seq);
    kit_let_read(&k, &q);
    MF_CHECK_INT(q.s.n_hits, 2);
    MF_CHECK(kit_hit(&q, seq)->has_vector);
    kit_forget(&q);
    mf_buf_fini(&rec);
    kit_close(&k);
}

/* We made it of the old text, and they changed it since. */
MF_TEST(library, keeps_what_another_process_changed_beside_a_load)
{
    struct kit k;
    struct kit_scan q;
    struct mf_buf rec;
    uint64_t seq;

    kit_open(&k);
    kit_share(&k);
    seq = kit_add(&k, "u1", 1, "my horse");
    kit_index(&k, "u1", seq, false);
    kit_build(&k, &rec, mf_entry_msg_of(kit_msg(&k, "u1", seq)), false, true);
    kit_commit(&k, "u1", seq);
    kit_other_change(&k, "u1", seq, "my zebra");
    kit_hold_read(&k, &q, KIT_HOLD_AFTER);
    mf_library_record_made(k.lib, mf_slice_str("u1"), seq, mf_slice_of(rec.p, rec.n));
    kit_confirm(&k, "u1", seq);
    kit_let_read(&k, &q);
    MF_CHECK_INT(q.s.n_hits, 1);
    MF_CHECK(kit_hit(&q, seq)->bm25 > 0);
    kit_forget(&q);
    mf_buf_fini(&rec);
    kit_close(&k);
}

/* ---- large deltas ---- */

MF_TEST(library, takes_many_rows_over_several_turns)
{
    struct kit k;
    struct kit_scan q[2];
    uint64_t last;

    kit_open_shared(&k);
    kit_other_add_many(&k, "u1", 700, "a foreign horse");
    last = kit_other_add(&k, "u1", 1, "a foreign zebra");
    mf_lane_set_permits(k.lib->lane, 0);
    kit_question(&k, &q[0], "u1", "zebra");
    MF_CHECK_OK(kit_submit(&q[0]));
    while (mf_lane_n_waiting(k.lib->lane) == 0) { /* the shelf is lent */
        kit_turns(&k, 1);
    }
    MF_CHECK_INT(mf_shelf_count(holder(&k)->shelf), 702);
    kit_other_add_many(&k, "u1", 300, "a foreign horse");
    kit_question(&k, &q[1], "u1", "zebra");
    MF_CHECK_OK(kit_submit(&q[1]));
    kit_turns(&k, 5);
    MF_CHECK(mf_shelf_is_lent(holder(&k)->shelf));
    MF_CHECK(!mf_shelf_has(holder(&k)->shelf, last + 1)); /* not even in line */
    mf_lane_set_permits(k.lib->lane, 1);
    for (int i = 0; i < 2; i++) {
        kit_wait(&q[i]);
        MF_CHECK_INT(kit_count(&q[i], last), 1);
        MF_CHECK_INT(q[i].hits[0].seq, last);
        kit_forget(&q[i]);
    }
    MF_CHECK_INT(mf_shelf_count(holder(&k)->shelf), 1002);
    kit_close(&k);
}

MF_TEST(library, loads_a_shelf_anew_that_is_too_far_behind)
{
    struct kit k;
    unsigned before;

    kit_open_shared(&k);
    k.lib->max_delta = 10;
    kit_other_add_many(&k, "u1", 10, "a foreign zebra");
    before = k.n_asked;
    check_scan(&k, 11, 0);
    MF_CHECK_INT(k.n_asked, before + 1);
    kit_other_add_many(&k, "u1", 11, "a foreign zebra");
    check_scan(&k, 22, 0);
    MF_CHECK_INT(k.n_asked, before + 3);
    MF_CHECK_INT(mf_library_n_shelves(k.lib), 1);
    kit_close(&k);
}

/* Six messages that a scan has seen are deleted elsewhere, and one comes whose mark is
 * the next after `mark`. */
MF_LOOP static void begin_another_life(struct kit *k, uint64_t mark)
{
    uint64_t seq;

    kit_other_add_many(k, "u1", 5, "a foreign zebra");
    check_scan(k, 6, 0);
    for (seq = 1; seq <= 6; seq++) {
        kit_other_delete(k, "u1", seq);
    }
    k->mark = mark;
    seq = kit_other_add(k, "u1", 1, "a zebra of another life");
    check_scan(k, 1, seq);
}

/* Deleted elsewhere and made again, with more changes than before. */
MF_TEST(library, loads_a_shelf_anew_whose_user_was_made_again)
{
    struct kit k;

    kit_open_shared(&k);
    begin_another_life(&k, (uint64_t)1 << MF_STORE_MARK_BITS);
    MF_CHECK_INT(mf_shelf_count(holder(&k)->shelf), 1); /* and of no other */
    kit_close(&k);
}

/* By a clock that is behind. */
MF_TEST(library, loads_a_shelf_anew_whose_mark_went_back)
{
    struct kit k;

    kit_open_shared(&k);
    begin_another_life(&k, 0);
    kit_close(&k);
}

MF_TEST(library, streams_a_user_whom_another_process_made_large)
{
    struct kit k;
    unsigned before;

    kit_open_shared(&k);
    k.lib->cfg.max_resident = 10;
    kit_other_add_many(&k, "u1", 30, "a foreign zebra");
    check_scan(&k, 31, 0);
    kit_turns(&k, 2);
    MF_CHECK_INT(mf_library_n_shelves(k.lib), 0);
    before = k.n_asked;
    (void)kit_other_add(&k, "u1", 1, "a late zebra");
    check_scan(&k, 32, k.next_seq - 1);
    MF_CHECK_INT(k.n_asked, before + 1); /* the stream is all it needs */
    kit_close(&k);
}

MF_TEST(library, asks_for_each_of_many_users)
{
    enum { N = 20 };

    static struct kit_scan q[N];
    static char users[N][8];
    struct kit k;
    uint64_t seq[N];

    kit_open(&k);
    kit_share(&k);
    for (int i = 0; i < N; i++) {
        (void)snprintf(users[i], sizeof(users[i]), "v%d", i);
        kit_add_user(&k, users[i]);
        kit_scan(&k, &q[i], users[i], "zebra");
        MF_CHECK_INT(q[i].s.n_hits, 0);
        kit_forget(&q[i]);
    }
    for (int i = 0; i < N; i++) {
        seq[i] = kit_other_add(&k, users[i], 1, "a foreign zebra");
        kit_question(&k, &q[i], users[i], "zebra");
        MF_CHECK_OK(kit_submit(&q[i]));
    }
    for (int i = 0; i < N; i++) {
        kit_wait(&q[i]);
        MF_CHECK_INT(q[i].s.n_hits, 1);
        MF_CHECK_INT(q[i].hits[0].seq, seq[i]);
        kit_forget(&q[i]);
    }
    MF_CHECK_INT(k.n_asked, 2 * N);
    kit_close(&k);
}
