/* SPDX-License-Identifier: Apache-2.0 */
/* Users too large for a shelf, a store that is late or down, and the end. */
#include "unit/query_kit.h"

#include "base/stat.h"

/* Stored and buffered messages in turn, with and without vectors and records. */
MF_LOOP static void add_mixed(struct kit *k, int n)
{
    static const char *const texts[] = {"my zebra eats grass", "a horse runs",
                                        "the weather is fine", "zebra or horse?"};

    for (int i = 0; i < n; i++) {
        uint64_t seq = kit_add(k, "u1", 1 + i / 3 % 2, texts[i % 4]);

        if (i % 5 != 0) {
            kit_index(k, "u1", seq, i % 3 != 0);
        }
        if (i % 7 < 4) {
            kit_store(k, "u1", seq);
        }
    }
    (void)kit_add_knowledge(k, "u1", "zebras live in Africa");
}

MF_TEST(library, streams_a_large_user_with_the_same_scores)
{
    struct kit k;
    struct kit_scan resident, streamed;
    int64_t streams = mf_stat_get(MF_STAT_shelf_streams);
    int64_t loads;

    kit_open(&k);
    add_mixed(&k, 50);
    kit_scan(&k, &resident, "u1", "which zebra did I see?");
    MF_CHECK_INT(mf_stat_get(MF_STAT_shelf_streams), streams);
    MF_CHECK_INT(resident.s.n_hits, 51);
    kit_close_library(&k);
    k.cfg.max_resident = 10;
    kit_open_library(&k);
    loads = mf_stat_get(MF_STAT_shelf_loads);
    for (int i = 0; i < 2; i++) {
        kit_scan(&k, &streamed, "u1", "which zebra did I see?");
        MF_CHECK(!streamed.s.is_partial);
        kit_check_same(&resident, &streamed);
        kit_forget(&streamed);
    }
    MF_CHECK_INT(mf_stat_get(MF_STAT_shelf_loads), loads); /* it ended early */
    MF_CHECK_INT(mf_library_n_shelves(k.lib), 0);
    MF_CHECK_INT(mf_library_bytes(k.lib), 0);
    MF_CHECK_INT(mf_stat_get(MF_STAT_shelf_streams), streams + 2);
    kit_forget(&resident);
    kit_close(&k);
}

MF_TEST(library, streams_only_sessions_of_the_agent_that_asks)
{
    struct kit k;
    struct kit_scan resident, streamed;

    kit_open(&k);
    add_mixed(&k, 30);
    kit_question(&k, &resident, "u1", "zebra");
    resident.s.request.agent_id = mf_slice_str("a2");
    MF_CHECK_OK(kit_submit(&resident));
    kit_wait(&resident);
    kit_close_library(&k);
    k.cfg.max_resident = 5;
    kit_open_library(&k);
    kit_question(&k, &streamed, "u1", "zebra");
    streamed.s.request.agent_id = mf_slice_str("a2");
    MF_CHECK_OK(kit_submit(&streamed));
    kit_wait(&streamed);
    kit_check_same(&resident, &streamed);
    kit_forget(&resident);
    kit_forget(&streamed);
    kit_close(&k);
}

MF_TEST(library, streams_a_user_whose_shelf_has_outgrown_its_bound)
{
    struct kit k;
    struct kit_scan q;
    uint64_t last;

    kit_open(&k);
    k.lib->cfg.max_resident = 10;
    for (int i = 0; i < 10; i++) {
        (void)kit_add(&k, "u1", 1, "my zebra");
    }
    kit_scan(&k, &q, "u1", "zebra");
    MF_CHECK_INT(mf_library_n_shelves(k.lib), 1);
    kit_forget(&q);
    last = kit_add(&k, "u1", 1, "my zebra");
    for (int i = 0; i < 2; i++) {
        kit_scan(&k, &q, "u1", "zebra");
        MF_CHECK_INT(q.s.n_hits, 11);
        MF_CHECK_INT(kit_count(&q, last), 1);
        kit_forget(&q);
        kit_turns(&k, 2);
    }
    MF_CHECK_INT(mf_library_n_shelves(k.lib), 0);
    kit_close(&k);
}

/* Read by the store, then deleted, before the stream is ranked. */
MF_TEST(library, does_not_stream_what_is_deleted_meanwhile)
{
    struct kit k;
    struct kit_scan q;
    uint64_t gone, kept, other;

    kit_open(&k);
    k.lib->cfg.max_resident = 2;
    gone = kit_add(&k, "u1", 1, "my zebra eats grass");
    kept = kit_add(&k, "u1", 1, "a zebra has stripes");
    other = kit_add(&k, "u1", 2, "a zebra in session two");
    kit_store(&k, "u1", gone);
    kit_store(&k, "u1", kept);
    kit_store(&k, "u1", other);
    kit_scan(&k, &q, "u1", "zebra"); /* finds that it is large */
    MF_CHECK_INT(q.s.n_hits, 3);
    kit_forget(&q);
    kit_hold_read(&k, &q, KIT_HOLD_AFTER);
    kit_delete(&k, "u1", gone);
    kit_let_read(&k, &q);
    MF_CHECK_INT(q.s.n_hits, 2);
    MF_CHECK_INT(kit_count(&q, gone), 0);
    kit_forget(&q);
    kit_hold_read(&k, &q, KIT_HOLD_AFTER);
    kit_delete_session(&k, "u1", 2);
    kit_let_read(&k, &q);
    MF_CHECK_INT(q.s.n_hits, 1);
    MF_CHECK_INT(q.hits[0].seq, kept);
    kit_forget(&q);
    kit_close(&k);
}

/* Gathered over several turns while the store takes it away. */
MF_TEST(library, streams_each_message_once_while_the_flush_goes_on)
{
    struct kit k;
    struct kit_scan q;
    size_t n = 0;

    kit_open(&k);
    k.lib->cfg.max_resident = 1;
    for (int i = 0; i < 60; i++) {
        kit_store(&k, "u1", kit_add(&k, "u1", 1, "my zebra"));
    }
    kit_scan(&k, &q, "u1", "zebra");
    MF_CHECK_INT(q.s.n_hits, 60);
    kit_forget(&q);
    for (int i = 0; i < 4; i++) {
        (void)kit_add(&k, "u1", 1, "a late zebra");
    }
    kit_hold_read(&k, &q, KIT_HOLD_BEFORE);
    for (uint64_t seq = 61; seq <= 64; seq += 2) {
        kit_store(&k, "u1", seq);
    }
    kit_let_read(&k, &q);
    for (uint64_t seq = 1; seq <= 64; seq++) {
        n += kit_count(&q, seq) == 1;
    }
    MF_CHECK_INT(n, 64);
    kit_forget(&q);
    kit_close(&k);
}

/* ---- the store is late or down ---- */

MF_TEST(library, answers_from_memory_when_the_store_is_late_then_wholly)
{
    struct kit k;
    struct kit_scan q;
    uint64_t stored, made, bare;

    kit_open(&k);
    k.lib->cfg.store_timeout_ms = 20;
    stored = kit_add(&k, "u1", 1, "an old zebra");
    kit_store(&k, "u1", stored);
    made = kit_add(&k, "u1", 1, "my zebra eats grass");
    kit_index(&k, "u1", made, true);
    bare = kit_add(&k, "u1", 2, "a zebra has stripes");
    kit_gate(&k, KIT_HOLD_BEFORE);
    kit_scan(&k, &q, "u1", "zebra");
    MF_CHECK(q.s.is_partial);
    MF_CHECK_INT(q.s.n_hits, 2);
    MF_CHECK(kit_hit(&q, made)->has_vector);
    MF_CHECK_INT(kit_count(&q, bare), 1);
    kit_forget(&q);
    k.lib->cfg.store_timeout_ms = KIT_PATIENCE;
    kit_gate(&k, KIT_OPEN);
    kit_scan(&k, &q, "u1", "zebra");
    MF_CHECK(!q.s.is_partial);
    MF_CHECK_INT(q.s.n_hits, 3);
    MF_CHECK_INT(k.n_asked, 1); /* the late load became the shelf */
    kit_forget(&q);
    kit_close(&k);
}

MF_LOOP static void check_partial_then_whole(struct kit *k)
{
    struct kit_scan q;

    kit_scan(k, &q, "u1", "zebra");
    MF_CHECK(q.s.is_partial);
    MF_CHECK_INT(q.s.n_hits, 1);
    kit_forget(&q);
    k->fail_submit = k->fail_done = 0;
    kit_scan(k, &q, "u1", "zebra");
    MF_CHECK(!q.s.is_partial);
    MF_CHECK_INT(q.s.n_hits, 2);
    kit_forget(&q);
}

MF_TEST(library, answers_from_memory_when_the_store_fails_then_wholly)
{
    struct kit k;

    kit_open(&k);
    kit_store(&k, "u1", kit_add(&k, "u1", 1, "an old zebra"));
    (void)kit_add(&k, "u1", 1, "my zebra eats grass");
    k.fail_done = MF_EUNAVAILABLE;
    check_partial_then_whole(&k);
    mf_library_user_gone(k.lib, mf_slice_str("u1"));
    k.fail_submit = MF_EBUSY;
    check_partial_then_whole(&k);
    kit_close(&k);
}

MF_TEST(library, streams_from_memory_when_the_store_is_late_or_fails)
{
    struct kit k;
    struct kit_scan q;

    kit_open(&k);
    k.lib->cfg.max_resident = 1;
    kit_store(&k, "u1", kit_add(&k, "u1", 1, "an old zebra"));
    kit_store(&k, "u1", kit_add(&k, "u1", 1, "another old zebra"));
    (void)kit_add(&k, "u1", 1, "my zebra eats grass");
    kit_scan(&k, &q, "u1", "zebra"); /* finds that it is large */
    MF_CHECK_INT(q.s.n_hits, 3);
    kit_forget(&q);
    k.fail_done = MF_EUNAVAILABLE;
    kit_scan(&k, &q, "u1", "zebra");
    MF_CHECK(q.s.is_partial);
    MF_CHECK_INT(q.s.n_hits, 1);
    kit_forget(&q);
    k.fail_done = 0;
    k.lib->cfg.store_timeout_ms = 20;
    kit_gate(&k, KIT_HOLD_BEFORE);
    kit_scan(&k, &q, "u1", "zebra");
    MF_CHECK(q.s.is_partial);
    MF_CHECK_INT(q.s.n_hits, 1);
    kit_forget(&q);
    kit_gate(&k, KIT_OPEN); /* the late feed goes to nobody */
    kit_turns(&k, 3);
    k.lib->cfg.store_timeout_ms = KIT_PATIENCE;
    kit_scan(&k, &q, "u1", "zebra");
    MF_CHECK(!q.s.is_partial);
    MF_CHECK_INT(q.s.n_hits, 3);
    kit_forget(&q);
    kit_close(&k);
}

MF_TEST(library, passes_over_a_damaged_record)
{
    struct kit k;
    struct kit_scan q;
    struct mf_buf bad;
    uint64_t seq;

    kit_open(&k);
    seq = kit_add(&k, "u1", 1, "my zebra eats grass");
    mf_buf_init(&bad);
    mf_buf_add_str(&bad, "no record");
    MF_CHECK_OK(
        mf_entry_set_record(k.buffers, kit_msg(&k, "u1", seq), &bad, NULL, false));
    kit_store(&k, "u1", seq);
    kit_store(&k, "u1", kit_add(&k, "u1", 1, "a zebra has stripes"));
    for (int i = 0; i < 2; i++) {
        kit_scan(&k, &q, "u1", "zebra");
        MF_CHECK_INT(q.s.n_hits, 1);
        MF_CHECK(!q.s.is_partial);
        kit_forget(&q);
        k.lib->cfg.max_resident = 0; /* and the same as a stream */
        mf_library_user_gone(k.lib, mf_slice_str("u1"));
    }
    kit_close(&k);
}

MF_TEST(library, keeps_a_shelf_in_memory_that_is_given_a_damaged_record)
{
    struct kit k;
    struct kit_scan q;
    struct mf_buf bad;
    uint64_t seq;

    kit_open(&k);
    kit_store(&k, "u1", kit_add(&k, "u1", 1, "a zebra has stripes"));
    kit_scan(&k, &q, "u1", "zebra");
    kit_forget(&q);
    seq = kit_add(&k, "u1", 1, "my zebra eats grass");
    mf_buf_init(&bad);
    mf_buf_add_str(&bad, "no record");
    MF_CHECK_OK(
        mf_entry_set_record(k.buffers, kit_msg(&k, "u1", seq), &bad, NULL, false));
    kit_scan(&k, &q, "u1", "zebra"); /* puts it, or not */
    MF_CHECK_INT(q.s.n_hits, 1);
    MF_CHECK(!q.s.is_partial);
    kit_forget(&q);
    kit_store(&k, "u1", seq);
    MF_CHECK_INT(mf_library_n_shelves(k.lib), 1);
    kit_close(&k);
}

/* ---- bounds and the end ---- */

MF_TEST(library, says_busy_when_too_many_scans_are_in_line)
{
    static struct kit_scan q[MF_LIBRARY_MAX_SCANS + 1];
    struct kit k;
    size_t n = mf_countof(q);

    kit_open(&k);
    (void)kit_add(&k, "u1", 1, "my zebra");
    for (size_t i = 0; i < n; i++) {
        kit_question(&k, &q[i], "u1", "zebra");
        MF_CHECK_INT(kit_submit(&q[i]), i < n - 1 ? 0 : MF_EBUSY);
    }
    for (size_t i = 0; i < n - 1; i++) {
        kit_wait(&q[i]);
        MF_CHECK_INT(q[i].s.n_hits, 1);
    }
    MF_CHECK_INT(q[n - 1].n_done, 0);
    MF_CHECK_OK(kit_submit(&q[n - 1]));
    kit_wait(&q[n - 1]);
    for (size_t i = 0; i < n; i++) {
        kit_forget(&q[i]);
    }
    kit_close(&k);
}

static void on_library_closed(void *arg)
{
    bool *is_closed = arg;

    *is_closed = true;
}

/* Scans in each state: arrived, waiting for a load, at the store as a stream, in the
 * lane. */
MF_TEST(library, ends_every_scan_once_when_it_is_closed)
{
    struct kit k;
    struct kit_scan q[4];
    bool is_closed = false;

    kit_open(&k);
    kit_add_user(&k, "u2");
    kit_add_user(&k, "u3");
    k.lib->cfg.max_resident = 1;
    kit_store(&k, "u2", kit_add(&k, "u2", 1, "an old zebra"));
    kit_store(&k, "u2", kit_add(&k, "u2", 1, "another zebra"));
    kit_scan(&k, &q[0], "u2", "zebra"); /* large */
    kit_forget(&q[0]);
    kit_scan(&k, &q[0], "u3", "zebra"); /* resident */
    kit_forget(&q[0]);
    kit_gate(&k, KIT_HOLD_BEFORE);
    mf_lane_set_permits(k.lib->lane, 0);
    kit_question(&k, &q[0], "u1", "zebra");
    kit_question(&k, &q[1], "u2", "zebra");
    kit_question(&k, &q[2], "u3", "zebra");
    kit_question(&k, &q[3], "u3", "zebra");
    for (int i = 0; i < 3; i++) {
        MF_CHECK_OK(kit_submit(&q[i]));
    }
    kit_wait_gated(&k, 2);
    MF_CHECK_OK(kit_submit(&q[3]));
    mf_library_close(k.lib, on_library_closed, &is_closed);
    MF_CHECK_INT(kit_submit(&q[3]), MF_ECLOSED);
    kit_turns(&k, 3);
    MF_CHECK(!is_closed); /* the store works for us still */
    MF_CHECK(q[0].is_done && q[2].is_done && q[3].is_done);
    kit_gate(&k, KIT_OPEN);
    MF_CHECK(mf_loop_run_until(k.loop, &is_closed, KIT_PATIENCE));
    k.lib = NULL;
    for (int i = 0; i < 4; i++) {
        MF_CHECK_INT(q[i].n_done, 1);
        MF_CHECK_INT(q[i].rc, MF_ECLOSED);
        kit_forget(&q[i]);
    }
    kit_close(&k);
}

MF_TEST(library, frees_large_shelves_and_is_closed_beside_that)
{
    struct kit k;
    struct kit_scan q;

    kit_open(&k);
    for (int i = 0; i < 2500; i++) {
        (void)kit_add(&k, "u1", 1, "my zebra");
    }
    kit_scan(&k, &q, "u1", "zebra");
    kit_forget(&q);
    mf_library_user_gone(k.lib, mf_slice_str("u1"));
    kit_turns(&k, 2);
    kit_scan(&k, &q, "u1", "zebra");
    kit_forget(&q);
    MF_CHECK_INT(mf_library_n_shelves(k.lib), 1);
    kit_close(&k);
}

MF_TEST(library, streams_or_says_enomem_whichever_allocation_fails)
{
    struct kit k;
    struct kit_scan q;
    bool has_failed = true;

    kit_open(&k);
    k.lib->cfg.max_resident = 1;
    kit_store(&k, "u1", kit_add(&k, "u1", 1, "an old zebra"));
    kit_store(&k, "u1", kit_add(&k, "u1", 1, "another old zebra"));
    (void)kit_add(&k, "u1", 1, "my zebra eats grass");
    for (size_t nth = 1; has_failed; nth++) {
        kit_question(&k, &q, "u1", "zebra");
        q.s.request.agent_id = mf_slice_str("a1");
        mf_test_fail_nth(nth);
        q.rc = kit_submit(&q);
        if (q.rc == 0) {
            MF_CHECK(mf_loop_run_until(k.loop, &q.is_done, KIT_PATIENCE));
        }
        has_failed = mf_test_has_failed();
        mf_test_fail_nth(0);
        MF_CHECK(q.rc == 0 || q.rc == MF_ENOMEM);
        if (q.rc == 0) {
            MF_CHECK_INT(q.s.n_hits, q.s.is_partial ? 1 : 3);
        }
        kit_forget(&q);
    }
    kit_close(&k);
}
