/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of a store that other processes write to, too. */
#include "unit/query_rig.h"

/* `n` stored zebras, a shelf that has them. */
MF_ANY static void open_shared(struct rig *g, size_t n) MF_ASSERTS_LOOP;

static void open_shared(struct rig *g, size_t n)
{
    struct ask a;

    rig_open(g, NULL);
    kit_share(&g->k);
    kit_other_add_many(&g->k, "u1", n, "a zebra");
    rig_ask(g, &a, "zebra");
    MF_CHECK_INT(a.r.n_hits, mf_min(n, (size_t)10));
    rig_forget(&a);
}

MF_LOOP static size_t n_on_shelf(struct rig *g)
{
    return mf_shelf_count(mf_holder_find(g->k.lib, mf_slice_str("u1"))->shelf);
}

MF_LOOP static void check_whole(const struct ask *a, size_t n)
{
    MF_CHECK(!a->r.is_partial);
    MF_CHECK_INT(a->r.n_hits, n);
    for (size_t i = 0; i < a->r.n_hits; i++) {
        MF_CHECK_STR(a->r.hits[i].source, "store");
        MF_CHECK(a->r.hits[i].content.n > 0);
    }
}

MF_TEST(query, fills_the_places_of_what_another_process_deleted)
{
    struct rig g;
    struct ask a;
    uint64_t gone[3];
    size_t before;

    open_shared(&g, 20);
    rig_ask(&g, &a, "zebra");
    for (size_t i = 0; i < mf_countof(gone); i++) {
        gone[i] = a.r.hits[3 * i].scan.seq;
    }
    rig_forget(&a);
    for (size_t i = 0; i < mf_countof(gone); i++) {
        kit_other_delete(&g.k, "u1", gone[i]);
    }
    before = g.k.n_asked;
    rig_ask(&g, &a, "zebra");
    check_whole(&a, 10);
    for (size_t i = 0; i < a.r.n_hits; i++) {
        for (size_t j = 0; j < mf_countof(gone); j++) {
            MF_CHECK(a.r.hits[i].scan.seq != gone[j]);
        }
    }
    rig_forget(&a);
    MF_CHECK_INT(n_on_shelf(&g), 17);
    MF_CHECK_INT(g.k.n_asked, before + 4); /* twice what is new, twice texts */
    before = g.k.n_asked;
    rig_ask(&g, &a, "zebra");
    check_whole(&a, 10);
    rig_forget(&a);
    MF_CHECK_INT(g.k.n_asked, before + 2);
    rig_close(&g);
}

/* More than a few rankings would come by. */
MF_TEST(query, finds_what_is_left_when_another_process_deleted_most)
{
    struct rig g;
    struct ask a;

    open_shared(&g, 60);
    for (uint64_t seq = 1; seq <= 60; seq++) {
        if (seq % 20 != 0) {
            kit_other_delete(&g.k, "u1", seq);
        }
    }
    rig_ask(&g, &a, "zebra");
    check_whole(&a, 3);
    rig_forget(&a);
    MF_CHECK_INT(n_on_shelf(&g), 3);
    for (uint64_t seq = 20; seq <= 60; seq += 20) {
        kit_other_delete(&g.k, "u1", seq);
    }
    rig_ask(&g, &a, "zebra");
    check_whole(&a, 0);
    rig_forget(&a);
    rig_close(&g);
}

/* What is deleted there behind our back is left out, and that is all. */
MF_TEST(query, ranks_once_when_the_store_is_its_own)
{
    struct rig g;
    struct ask a;
    size_t before;

    open_shared(&g, 20);
    g.k.gate.info.is_shared = false;
    rig_ask(&g, &a, "zebra");
    kit_other_delete(&g.k, "u1", a.r.hits[0].scan.seq);
    rig_forget(&a);
    before = g.k.n_asked;
    rig_ask(&g, &a, "zebra");
    check_whole(&a, 9);
    rig_forget(&a);
    MF_CHECK_INT(g.k.n_asked, before + 1); /* texts */
    rig_close(&g);
}

MF_TEST(query, answers_with_what_another_process_changed)
{
    struct rig g;
    struct ask a;

    open_shared(&g, 3);
    kit_other_change(&g.k, "u1", 2, "a horse runs");
    rig_ask(&g, &a, "horse");
    check_whole(&a, 3);
    MF_CHECK_INT(a.r.hits[0].scan.seq, 2);
    MF_CHECK(a.r.hits[0].scan.bm25 > 0);
    rig_check_slice(a.r.hits[0].content, "a horse runs");
    rig_forget(&a);
    rig_close(&g);
}

/* Of what is deleted the store tells nothing, and then nothing at all. */
MF_TEST(query, is_partial_when_the_store_fails_while_it_ranks_again)
{
    struct rig g;
    struct ask a;

    open_shared(&g, 3);
    kit_other_delete(&g.k, "u1", 2);
    rig_prepare(&a, "zebra");
    kit_gate(&g.k, KIT_HOLD_AFTER);
    rig_submit(&g, &a);
    kit_wait_gated(&g.k, 1); /* what is new */
    kit_let_one(&g.k);
    kit_wait_gated(&g.k, 1); /* texts */
    g.k.fail_submit = MF_EUNAVAILABLE;
    kit_gate(&g.k, KIT_OPEN);
    rig_wait(&g, &a);
    MF_CHECK_OK(a.rc);
    MF_CHECK(a.r.is_partial);
    MF_CHECK_INT(a.r.n_hits, 0); /* no texts */
    rig_forget(&a);
    g.k.fail_submit = 0;
    rig_ask(&g, &a, "zebra");
    check_whole(&a, 2);
    rig_forget(&a);
    rig_close(&g);
}

MF_TEST(query, ends_as_closed_while_it_ranks_again)
{
    struct rig g;
    struct ask a;

    open_shared(&g, 3);
    kit_other_delete(&g.k, "u1", 2);
    rig_prepare(&a, "zebra");
    kit_gate(&g.k, KIT_HOLD_AFTER);
    rig_submit(&g, &a);
    kit_wait_gated(&g.k, 1);
    kit_let_one(&g.k);
    kit_wait_gated(&g.k, 1);
    kit_let_one(&g.k);
    kit_wait_gated(&g.k, 1); /* what is new, again */
    kit_close_library(&g.k);
    rig_wait(&g, &a);
    MF_CHECK_INT(a.rc, MF_ECLOSED);
    MF_CHECK_INT(a.r.n_hits, 0);
    rig_forget(&a);
    kit_open_library(&g.k);
    rig_close(&g);
}

/* A client's second try went to the other process; ours still has the first one. */
MF_TEST(query, shows_a_message_once_that_was_sent_to_two_processes)
{
    struct rig g;
    struct ask a;
    uint64_t ours, theirs;

    open_shared(&g, 3);
    ours = kit_add(&g.k, "u1", 1, "a zebra told twice");
    theirs = kit_other_retry(&g.k, "u1", ours);
    rig_ask(&g, &a, "zebra told twice");
    MF_CHECK_INT(a.r.n_hits, 4);
    MF_CHECK(a.r.hits[0].scan.seq == ours || a.r.hits[0].scan.seq == theirs);
    for (size_t i = 1; i < a.r.n_hits; i++) {
        MF_CHECK(a.r.hits[i].scan.seq <= 3);
    }
    rig_forget(&a);
    kit_store(&g.k, "u1", ours); /* it is there: nothing is written */
    rig_ask(&g, &a, "zebra told twice");
    check_whole(&a, 4);
    MF_CHECK_INT(a.r.hits[0].scan.seq, theirs);
    rig_forget(&a);
    MF_CHECK_INT(n_on_shelf(&g), 4);
    rig_close(&g);
}

MF_TEST(query, answers_of_a_shared_store_whichever_allocation_fails)
{
    struct rig g;
    struct ask a;
    bool has_failed = true;
    uint64_t seq = 1;

    open_shared(&g, 300);
    for (size_t nth = 1; has_failed; nth++) {
        kit_other_delete(&g.k, "u1", seq++);
        rig_prepare(&a, "zebra");
        a.r.top_k = 300;
        mf_test_fail_nth(nth);
        a.rc = mf_query_submit(g.query, &a.r);
        if (a.rc == 0) {
            MF_CHECK(mf_loop_run_until(g.k.loop, &a.is_done, KIT_PATIENCE));
        }
        has_failed = mf_test_has_failed();
        mf_test_fail_nth(0);
        MF_CHECK(a.rc == 0 || a.rc == MF_ENOMEM);
        for (size_t i = 0; i < a.r.n_hits; i++) {
            MF_CHECK(a.r.hits[i].source != NULL && a.r.hits[i].scan.seq >= seq);
        }
        if (a.rc == 0 && !a.r.is_partial) {
            MF_CHECK(a.r.n_hits >= 300 - seq);
        }
        rig_forget(&a);
    }
    rig_close(&g);
}
