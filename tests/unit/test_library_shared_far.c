/* SPDX-License-Identifier: Apache-2.0 */
/* A shared store that is late or down, shelves that go beside a delta, and the end. */
#include "unit/query_kit.h"

#include "base/stat.h"

/* One stored zebra, the shelf that has it, and a foreign zebra it lacks. */
MF_ANY static void open_behind(struct kit *k) MF_ASSERTS_LOOP;

static void open_behind(struct kit *k)
{
    kit_open_shared(k);
    (void)kit_other_add(k, "u1", 1, "a foreign zebra");
}

MF_LOOP static void check_scan(struct kit *k, size_t n, bool is_partial)
{
    struct kit_scan q;

    kit_scan(k, &q, "u1", "zebra");
    MF_CHECK_INT(q.s.is_partial, is_partial);
    MF_CHECK_INT(q.s.n_hits, n);
    kit_forget(&q);
}

/* ---- late, down ---- */

MF_TEST(library, answers_from_the_shelf_when_a_shared_store_is_late_then_wholly)
{
    struct kit k;

    open_behind(&k);
    (void)kit_add(&k, "u1", 1, "my zebra");
    k.lib->cfg.store_timeout_ms = 20;
    kit_gate(&k, KIT_HOLD_BEFORE);
    check_scan(&k, 2, true);
    check_scan(&k, 2, true); /* the delta it waits for began before it */
    MF_CHECK_INT(k.n_asked, 2);
    k.lib->cfg.store_timeout_ms = KIT_PATIENCE;
    kit_gate(&k, KIT_OPEN);
    check_scan(&k, 3, false);
    MF_CHECK_INT(k.n_asked, 3);
    MF_CHECK_INT(mf_library_n_shelves(k.lib), 1);
    kit_close(&k);
}

MF_TEST(library, answers_from_the_shelf_when_a_shared_store_fails_then_wholly)
{
    struct kit k;

    open_behind(&k);
    (void)kit_add(&k, "u1", 1, "my zebra");
    k.fail_done = MF_EUNAVAILABLE;
    check_scan(&k, 2, true);
    k.fail_done = 0;
    k.fail_submit = MF_EBUSY;
    check_scan(&k, 2, true);
    k.fail_submit = 0;
    check_scan(&k, 3, false);
    MF_CHECK_INT(mf_library_n_shelves(k.lib), 1);
    kit_close(&k);
}

/* The first one's delta fails; the second one, which came later, has one of its own. */
MF_TEST(library, asks_anew_for_a_scan_that_came_during_a_delta_that_failed)
{
    struct kit k;
    struct kit_scan q[2];

    open_behind(&k);
    kit_hold_read(&k, &q[0], KIT_HOLD_BEFORE);
    kit_question(&k, &q[1], "u1", "zebra");
    MF_CHECK_OK(kit_submit(&q[1]));
    kit_turns(&k, 2);
    kit_gate(&k, KIT_HOLD_AFTER);
    k.fail_done = MF_EUNAVAILABLE;
    kit_gate(&k, KIT_OPEN);
    while (!q[0].is_done) {
        kit_turns(&k, 1);
        k.fail_done = k.n_asked > 2 ? 0 : k.fail_done;
    }
    k.fail_done = 0;
    kit_wait(&q[0]);
    kit_wait(&q[1]);
    MF_CHECK(q[0].s.is_partial);
    MF_CHECK_INT(q[0].s.n_hits, 1);
    MF_CHECK(!q[1].s.is_partial);
    MF_CHECK_INT(q[1].s.n_hits, 2);
    MF_CHECK_INT(k.n_asked, 3);
    kit_forget(&q[0]);
    kit_forget(&q[1]);
    kit_close(&k);
}

/* Loading takes most of its time: the delta after it has the rest. */
MF_TEST(library, bounds_the_load_and_the_delta_after_it_together)
{
    struct kit k;
    struct kit_scan q[2];

    kit_open(&k);
    kit_share(&k);
    kit_store(&k, "u1", kit_add(&k, "u1", 1, "an old zebra"));
    k.lib->cfg.store_timeout_ms = 500;
    kit_hold_read(&k, &q[0], KIT_HOLD_AFTER);
    kit_question(&k, &q[1], "u1", "zebra");
    MF_CHECK_OK(kit_submit(&q[1]));
    kit_turns(&k, 2);
    k.how = KIT_HOLD_BEFORE; /* the load goes on, */
    kit_let_one(&k);
    kit_wait(&q[0]);
    kit_wait_gated(&k, 1); /* the delta stays */
    kit_wait(&q[1]);
    MF_CHECK(!q[0].s.is_partial);
    MF_CHECK_INT(q[0].s.n_hits, 1);
    MF_CHECK(q[1].s.is_partial);
    MF_CHECK_INT(q[1].s.n_hits, 1);
    kit_forget(&q[0]);
    kit_forget(&q[1]);
    kit_close(&k);
}

/* ---- shelves that go ---- */

MF_TEST(library, may_evict_a_shelf_whose_delta_is_late)
{
    struct kit k;
    struct kit_scan q;
    int64_t evictions = mf_stat_get(MF_STAT_shelf_evictions);

    for (int is_read = 0; is_read < 2; is_read++) {
        open_behind(&k);
        k.lib->cfg.store_timeout_ms = 20;
        kit_hold_read(&k, &q, is_read == 0 ? KIT_HOLD_BEFORE : KIT_HOLD_AFTER);
        kit_wait(&q);
        MF_CHECK(q.s.is_partial);
        kit_forget(&q);
        k.lib->cfg.max_bytes = 1;
        mf_library_arm(k.lib);
        kit_turns(&k, 2);
        MF_CHECK_INT(mf_library_n_shelves(k.lib), 0);
        MF_CHECK_INT(mf_stat_get(MF_STAT_shelf_evictions), ++evictions);
        k.lib->cfg.max_bytes = 64 << 20;
        k.lib->cfg.store_timeout_ms = KIT_PATIENCE;
        kit_gate(&k, KIT_OPEN);
        check_scan(&k, 2, false);
        kit_close(&k);
    }
}

MF_TEST(library, loads_anew_when_the_shelf_goes_beside_a_delta)
{
    struct kit k;
    struct kit_scan q;

    open_behind(&k);
    kit_hold_read(&k, &q, KIT_HOLD_AFTER);
    mf_library_user_gone(k.lib, mf_slice_str("u1"));
    kit_turns(&k, 2);
    MF_CHECK_INT(k.n_asked, 3);
    kit_let_read(&k, &q);
    MF_CHECK(!q.s.is_partial);
    MF_CHECK_INT(q.s.n_hits, 2);
    kit_forget(&q);
    kit_close(&k);
}

/* Some of its rows are put. */
MF_TEST(library, may_lose_a_shelf_while_a_delta_is_put)
{
    struct kit k;
    struct kit_scan q;

    open_behind(&k);
    kit_other_add_many(&k, "u1", 400, "a foreign zebra");
    kit_hold_read(&k, &q, KIT_HOLD_AFTER);
    kit_gate(&k, KIT_OPEN);
    while (mf_shelf_count(mf_holder_find(k.lib, mf_slice_str("u1"))->shelf) < 100) {
        (void)uv_run(mf_loop_uv(k.loop), UV_RUN_NOWAIT);
    }
    mf_library_user_gone(k.lib, mf_slice_str("u1"));
    kit_wait(&q);
    MF_CHECK_INT(q.s.n_hits, 402);
    kit_forget(&q);
    kit_close(&k);
}

MF_TEST(library, takes_a_delta_beside_a_shelf_that_has_outgrown_its_bound)
{
    struct kit k;
    struct kit_scan q;

    open_behind(&k);
    kit_hold_read(&k, &q, KIT_HOLD_AFTER);
    k.lib->cfg.max_resident = 0;
    mf_holder_want_turn(mf_holder_find(k.lib, mf_slice_str("u1")));
    kit_turns(&k, 2);
    MF_CHECK_INT(mf_library_n_shelves(k.lib), 0);
    MF_CHECK_PTR(mf_holder_find(k.lib, mf_slice_str("u1"))->delta, NULL);
    kit_let_read(&k, &q);
    MF_CHECK(!q.s.is_partial);
    MF_CHECK_INT(q.s.n_hits, 2);
    kit_forget(&q);
    kit_close(&k);
}

/* ---- the end ---- */

static void on_library_closed(void *arg)
{
    bool *is_closed = arg;

    *is_closed = true;
}

MF_TEST(library, is_closed_beside_a_delta)
{
    struct kit k;
    struct kit_scan q[2];
    bool is_closed;

    for (int is_read = 0; is_read < 2; is_read++) {
        open_behind(&k);
        is_closed = false;
        kit_hold_read(&k, &q[0], is_read == 0 ? KIT_HOLD_BEFORE : KIT_HOLD_AFTER);
        kit_question(&k, &q[1], "u1", "zebra");
        MF_CHECK_OK(kit_submit(&q[1]));
        kit_turns(&k, 1);
        mf_library_close(k.lib, on_library_closed, &is_closed);
        kit_turns(&k, 3);
        MF_CHECK(q[0].is_done && q[1].is_done);
        MF_CHECK(!is_closed); /* the store works for us still */
        kit_gate(&k, KIT_OPEN);
        MF_CHECK(mf_loop_run_until(k.loop, &is_closed, KIT_PATIENCE));
        k.lib = NULL;
        for (int i = 0; i < 2; i++) {
            MF_CHECK_INT(q[i].n_done, 1);
            MF_CHECK_INT(q[i].rc, MF_ECLOSED);
            kit_forget(&q[i]);
        }
        kit_close(&k);
    }
}

/* ---- memory ---- */

MF_TEST(library, answers_of_a_shared_store_whichever_allocation_fails)
{
    struct kit k;
    struct kit_scan q;
    bool has_failed = true;
    size_t n = 2, n_partial = 0;

    open_behind(&k);
    for (size_t nth = 1; has_failed; nth++) {
        uint64_t seq = kit_other_add(&k, "u1", 1, "a foreign zebra");

        n++;
        kit_question(&k, &q, "u1", "zebra");
        mf_test_fail_nth(nth);
        q.rc = kit_submit(&q);
        if (q.rc == 0) {
            MF_CHECK(mf_loop_run_until(k.loop, &q.is_done, KIT_PATIENCE));
        }
        has_failed = mf_test_has_failed();
        mf_test_fail_nth(0);
        MF_CHECK(q.rc == 0 || q.rc == MF_ENOMEM);
        n_partial += q.rc == 0 && q.s.is_partial;
        if (q.rc == 0 && !q.s.is_partial) {
            MF_CHECK_INT(q.s.n_hits, n);
            MF_CHECK_INT(kit_count(&q, seq), 1);
        }
        kit_forget(&q);
    }
    MF_CHECK(n_partial > 0);
    check_scan(&k, n, false);
    kit_close(&k);
}

/* What cannot be noted beside a delta makes it count for nobody. */
MF_TEST(library, honours_a_deletion_beside_a_delta_without_memory)
{
    struct kit k;
    struct kit_scan q;
    uint64_t seq;

    for (size_t nth = 1; nth < 3; nth++) {
        open_behind(&k);
        seq = kit_other_add(&k, "u1", 1, "another foreign zebra");
        kit_hold_read(&k, &q, KIT_HOLD_AFTER);
        kit_other_delete(&k, "u1", seq);
        mf_test_fail_nth(nth);
        mf_library_removed(k.lib, mf_slice_str("u1"), seq);
        mf_test_fail_nth(0);
        kit_let_read(&k, &q);
        MF_CHECK_INT(q.s.n_hits, 2);
        MF_CHECK_INT(kit_count(&q, seq), 0);
        kit_forget(&q);
        kit_close(&k);
    }
}
