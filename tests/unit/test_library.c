/* SPDX-License-Identifier: Apache-2.0 */
/* Shelves: what a scan finds at every moment of a message's life. */
#include "unit/query_kit.h"

#include "base/stat.h"

/* With the shelf that is there, and with one that is loaded anew. */
MF_LOOP static void check_found_warm_and_cold(struct kit *k, const char *text,
                                              uint64_t seq)
{
    kit_check_found(k, text, seq);
    mf_library_user_gone(k->lib, mf_slice_str("u1"));
    kit_check_found(k, text, seq);
}

MF_TEST(library, finds_a_message_as_soon_as_it_is_added)
{
    struct kit k;
    struct kit_scan q;
    uint64_t seq;

    kit_open(&k);
    kit_scan(&k, &q, "u1", "zebra");
    MF_CHECK_INT(q.s.n_hits, 0);
    kit_forget(&q);
    (void)kit_add(&k, "u1", 1, "the weather is fine");
    seq = kit_add(&k, "u1", 1, "my zebra eats grass");
    kit_scan(&k, &q, "u1", "zebra");
    MF_CHECK_INT(q.s.n_hits, 2);
    MF_CHECK_INT(q.hits[0].seq, seq);
    MF_CHECK(q.hits[0].bm25 > 0);
    MF_CHECK(!q.hits[0].has_vector);
    kit_forget(&q);
    kit_close(&k);
}

MF_TEST(library, finds_a_message_once_at_every_place)
{
    struct kit k;
    uint64_t seq;

    kit_open(&k);
    (void)kit_add(&k, "u1", 1, "another one");
    seq = kit_add(&k, "u1", 1, "my zebra eats grass");
    check_found_warm_and_cold(&k, "zebra", seq);
    kit_move(&k, "u1", seq, MF_PLACE_HYBRID);
    check_found_warm_and_cold(&k, "zebra", seq);
    kit_index(&k, "u1", seq, true);
    check_found_warm_and_cold(&k, "zebra", seq);
    kit_move(&k, "u1", seq, MF_PLACE_QUEUED);
    check_found_warm_and_cold(&k, "zebra", seq);
    kit_move(&k, "u1", seq, MF_PLACE_FLYING);
    check_found_warm_and_cold(&k, "zebra", seq);
    kit_commit(&k, "u1", seq); /* in the store and in the buffers */
    check_found_warm_and_cold(&k, "zebra", seq);
    kit_confirm(&k, "u1", seq);
    check_found_warm_and_cold(&k, "zebra", seq);
    kit_close(&k);
}

MF_TEST(library, finds_a_parked_message)
{
    struct kit k;
    uint64_t seq;

    kit_open(&k);
    seq = kit_add(&k, "u1", 1, "my zebra eats grass");
    kit_move(&k, "u1", seq, MF_PLACE_HYBRID);
    kit_move(&k, "u1", seq, MF_PLACE_PARKED);
    check_found_warm_and_cold(&k, "zebra", seq);
    kit_close(&k);
}

/* The store reads before the round is committed, and answers after it was confirmed. */
MF_TEST(library, finds_a_round_that_is_stored_behind_the_loads_back)
{
    struct kit k;
    struct kit_scan q;
    uint64_t before, during;

    kit_open(&k);
    before = kit_add(&k, "u1", 1, "my zebra eats grass");
    kit_hold_read(&k, &q, KIT_HOLD_AFTER);
    during = kit_add(&k, "u1", 1, "a zebra came later");
    kit_store(&k, "u1", before);
    kit_store(&k, "u1", during);
    MF_CHECK_PTR(mf_userbuf_find(k.buffers, mf_slice_str("u1")), NULL);
    kit_let_read(&k, &q);
    MF_CHECK_INT(kit_count(&q, before), 1);
    kit_forget(&q);
    kit_check_found(&k, "zebra", during);
    MF_CHECK_INT(k.n_asked, 1); /* the same shelf all the time */
    kit_close(&k);
}

MF_TEST(library, finds_a_round_once_that_the_load_saw_and_the_buffers_hold)
{
    struct kit k;
    struct kit_scan q;
    uint64_t seq;

    kit_open(&k);
    seq = kit_add(&k, "u1", 1, "my zebra eats grass");
    kit_commit(&k, "u1", seq);
    kit_hold_read(&k, &q, KIT_HOLD_AFTER);
    kit_confirm(&k, "u1", seq);
    kit_let_read(&k, &q);
    MF_CHECK_INT(q.s.n_hits, 1);
    kit_forget(&q);
    kit_close(&k);
}

/* Stored while its record is being made for the shelf. */
MF_TEST(library, finds_a_round_that_is_stored_while_it_is_put)
{
    struct kit k;
    struct kit_scan q;
    uint64_t seq;

    kit_open(&k);
    kit_check_not_found(&k, "zebra", 1);
    seq = kit_add(&k, "u1", 1, "my zebra eats grass");
    kit_hold_work(&k, &q);
    kit_store(&k, "u1", seq);
    kit_let_work(&k, &q);
    MF_CHECK_INT(kit_count(&q, seq), 1);
    kit_forget(&q);
    kit_close(&k);
}

/* The same, and then deleted: the job that makes its record must not bring it back. */
MF_TEST(library, does_not_bring_back_what_was_deleted_while_it_was_put)
{
    struct kit k;
    struct kit_scan q;
    uint64_t seq;

    kit_open(&k);
    kit_check_not_found(&k, "zebra", 1);
    seq = kit_add(&k, "u1", 1, "my zebra eats grass");
    kit_hold_work(&k, &q);
    kit_store(&k, "u1", seq);
    kit_delete(&k, "u1", seq);
    kit_let_work(&k, &q);
    MF_CHECK_INT(q.s.n_hits, 0);
    kit_forget(&q);
    kit_check_not_found(&k, "zebra", seq);
    kit_close(&k);
}

/* ---- better records ---- */

MF_TEST(library, ranks_by_a_vector_as_soon_as_it_is_made)
{
    struct kit k;
    struct kit_scan q;
    uint64_t seq;

    kit_open(&k);
    seq = kit_add(&k, "u1", 1, "my zebra eats grass");
    kit_scan(&k, &q, "u1", "my zebra eats grass");
    MF_CHECK(!q.hits[0].has_vector);
    MF_CHECK(q.hits[0].similarity == 0);
    kit_forget(&q);
    kit_index(&k, "u1", seq, true);
    kit_scan(&k, &q, "u1", "my zebra eats grass");
    MF_CHECK_INT(q.s.n_hits, 1);
    MF_CHECK(q.hits[0].has_vector);
    MF_CHECK(q.hits[0].similarity > .95);
    kit_forget(&q);
    kit_close(&k);
}

MF_TEST(library, keeps_a_vector_that_is_made_while_the_record_is_put)
{
    struct kit k;
    struct kit_scan q;
    uint64_t seq;

    kit_open(&k);
    kit_check_not_found(&k, "zebra", 1);
    seq = kit_add(&k, "u1", 1, "my zebra eats grass");
    kit_hold_work(&k, &q);
    kit_index(&k, "u1", seq, true);
    kit_let_work(&k, &q);
    MF_CHECK(kit_hit(&q, seq)->has_vector);
    kit_forget(&q);
    kit_close(&k);
}

/* The store reads the pending row; the vector comes before its answer. */
MF_TEST(library, keeps_a_vector_that_is_made_while_loading)
{
    struct kit k;
    struct kit_scan q;
    struct mf_buf rec;
    uint64_t seq;

    kit_open(&k);
    seq = kit_add(&k, "u1", 1, "my zebra eats grass");
    kit_index(&k, "u1", seq, true);
    mf_buf_init(&rec);
    mf_buf_add(&rec, kit_msg(&k, "u1", seq)->search.p,
               kit_msg(&k, "u1", seq)->search.n);
    kit_index(&k, "u1", seq, false);
    kit_store(&k, "u1", seq);
    kit_hold_read(&k, &q, KIT_HOLD_AFTER);
    mf_library_replaced(k.lib, mf_slice_str("u1"), seq, mf_slice_of(rec.p, rec.n));
    kit_let_read(&k, &q);
    MF_CHECK(kit_hit(&q, seq)->has_vector);
    kit_forget(&q);
    mf_buf_fini(&rec);
    kit_close(&k);
}

/* ---- filters ---- */

MF_TEST(library, ranks_only_sessions_of_the_agent_that_asks)
{
    struct kit k;
    struct kit_scan q;
    uint64_t one, two, stored;

    kit_open(&k);
    stored = kit_add(&k, "u1", 1, "an old zebra");
    kit_store(&k, "u1", stored);
    one = kit_add(&k, "u1", 1, "my zebra eats grass");
    two = kit_add(&k, "u1", 2, "a zebra has stripes");
    kit_question(&k, &q, "u1", "zebra");
    q.s.request.agent_id = mf_slice_str("a2");
    MF_CHECK_OK(kit_submit(&q));
    kit_wait(&q);
    MF_CHECK_INT(q.s.n_hits, 1);
    MF_CHECK_INT(kit_count(&q, two), 1);
    kit_forget(&q);
    kit_question(&k, &q, "u1", "zebra");
    q.s.request.agent_id = mf_slice_str("a1");
    MF_CHECK_OK(kit_submit(&q));
    kit_wait(&q);
    MF_CHECK_INT(q.s.n_hits, 2);
    MF_CHECK_INT(kit_count(&q, one), 1);
    MF_CHECK_INT(kit_count(&q, stored), 1);
    kit_forget(&q);
    kit_close(&k);
}

MF_TEST(library, ranks_knowledge_with_messages_or_apart)
{
    struct kit k;
    struct kit_scan q;
    uint64_t cold, warm, msg;

    kit_open(&k);
    cold = kit_add_knowledge(&k, "u1", "zebras live in Africa");
    msg = kit_add(&k, "u1", 1, "my zebra eats grass");
    kit_check_found(&k, "zebra", cold);
    warm = kit_add_knowledge(&k, "u1", "zebras run fast");
    kit_scan(&k, &q, "u1", "zebra");
    MF_CHECK_INT(q.s.n_hits, 3);
    MF_CHECK(kit_hit(&q, warm)->is_knowledge);
    MF_CHECK(!kit_hit(&q, msg)->is_knowledge);
    kit_forget(&q);
    kit_question(&k, &q, "u1", "zebra");
    q.s.request.no_knowledge = true;
    MF_CHECK_OK(kit_submit(&q));
    kit_wait(&q);
    MF_CHECK_INT(q.s.n_hits, 1);
    MF_CHECK_INT(q.hits[0].seq, msg);
    kit_forget(&q);
    kit_question(&k, &q, "u1", "zebra");
    q.s.request.no_messages = true;
    MF_CHECK_OK(kit_submit(&q));
    kit_wait(&q);
    MF_CHECK_INT(q.s.n_hits, 2);
    MF_CHECK_INT(kit_count(&q, msg), 0);
    kit_forget(&q);
    kit_close(&k);
}

MF_TEST(library, keeps_users_apart)
{
    struct kit k;
    struct kit_scan q;
    uint64_t mine;

    kit_open(&k);
    kit_add_user(&k, "u2");
    mine = kit_add(&k, "u1", 1, "my zebra eats grass");
    (void)kit_add(&k, "u2", 1, "my zebra eats hay");
    kit_scan(&k, &q, "u1", "zebra");
    MF_CHECK_INT(q.s.n_hits, 1);
    MF_CHECK_INT(q.hits[0].seq, mine);
    kit_forget(&q);
    kit_close(&k);
}

/* ---- many ---- */

MF_TEST(library, puts_many_messages_over_several_turns)
{
    struct kit k;
    struct kit_scan q;
    uint64_t last = 0;

    kit_open(&k);
    for (int i = 0; i < 3000; i++) {
        last = kit_add(&k, "u1", 1 + i % 2, i == 7 ? "my zebra" : "some horse");
        if (i % 3 == 0) {
            kit_index(&k, "u1", last, true);
        }
    }
    kit_scan(&k, &q, "u1", "zebra");
    MF_CHECK_INT(q.hits[0].seq, 8);
    MF_CHECK_INT(mf_shelf_count(mf_holder_find(k.lib, mf_slice_str("u1"))->shelf),
                 3000);
    MF_CHECK_INT(mf_holder_find(k.lib, mf_slice_str("u1"))->mark, last);
    kit_forget(&q);
    kit_close(&k);
}

MF_TEST(library, answers_concurrent_scans_each_with_what_was_there_before_it)
{
    enum { N = 40 };

    static struct kit_scan q[N];
    uint64_t newest[N];
    struct kit k;

    kit_open(&k);
    for (int i = 0; i < N; i++) {
        newest[i] = kit_add(&k, "u1", 1, "my zebra eats grass");
        if (i % 3 == 0) {
            kit_index(&k, "u1", newest[i], true);
        }
        kit_question(&k, &q[i], "u1", "zebra");
        MF_CHECK_OK(kit_submit(&q[i]));
        if (i % 4 == 0) {
            kit_turns(&k, 1);
        }
        if (i % 5 == 0) {
            kit_store(&k, "u1", newest[i]);
        }
    }
    for (int i = 0; i < N; i++) {
        kit_wait(&q[i]);
        for (int j = 0; j <= i; j++) {
            MF_CHECK_INT(kit_count(&q[i], newest[j]), 1);
        }
        kit_forget(&q[i]);
    }
    MF_CHECK_INT(k.n_asked, 1);
    kit_close(&k);
}

/* ---- memory ---- */

MF_TEST(library, evicts_the_least_recently_used_and_reloads_the_same)
{
    struct kit k;
    struct kit_scan before, after, q;
    int64_t evictions = mf_stat_get(MF_STAT_shelf_evictions);

    kit_open(&k);
    kit_add_user(&k, "u2");
    for (int i = 0; i < 20; i++) {
        uint64_t seq = kit_add(&k, "u1", 1 + i % 2, i % 3 == 0 ? "a zebra" : "a horse");

        kit_index(&k, "u1", seq, i % 4 != 0);
        if (i % 2 == 0) {
            kit_store(&k, "u1", seq);
        }
    }
    kit_scan(&k, &before, "u1", "which zebra");
    MF_CHECK_INT(mf_library_n_shelves(k.lib), 1);
    MF_CHECK(mf_library_bytes(k.lib) > 0);
    k.lib->cfg.max_bytes = mf_library_bytes(k.lib) + 1;
    kit_scan(&k, &q, "u2", "zebra");
    kit_turns(&k, 3);
    MF_CHECK_INT(mf_library_n_shelves(k.lib), 1);
    MF_CHECK_PTR(mf_holder_find(k.lib, mf_slice_str("u1")), NULL);
    MF_CHECK_INT(mf_stat_get(MF_STAT_shelf_evictions), evictions + 1);
    MF_CHECK(mf_library_bytes(k.lib) <= k.lib->cfg.max_bytes);
    kit_scan(&k, &after, "u1", "which zebra");
    MF_CHECK_INT(k.n_asked, 3);
    kit_check_same(&before, &after);
    kit_forget(&before);
    kit_forget(&after);
    kit_forget(&q);
    kit_close(&k);
}

MF_TEST(library, refuses_a_user_id_that_is_none)
{
    struct kit k;
    struct kit_scan q;

    kit_open(&k);
    kit_question(&k, &q, "no id", "zebra");
    MF_CHECK_INT(kit_submit(&q), MF_EINVAL);
    kit_turns(&k, 2);
    MF_CHECK_INT(q.n_done, 0);
    kit_forget(&q);
    kit_close(&k);
}

MF_TEST(library, answers_or_says_enomem_whichever_allocation_fails)
{
    struct kit k;
    struct kit_scan q;
    uint64_t stored, fresh;
    bool has_failed = true;

    kit_open(&k);
    stored = kit_add(&k, "u1", 1, "my zebra eats grass");
    kit_store(&k, "u1", stored);
    fresh = kit_add(&k, "u1", 1, "a zebra has stripes");
    for (size_t nth = 1; has_failed; nth++) {
        mf_library_user_gone(k.lib, mf_slice_str("u1"));
        kit_question(&k, &q, "u1", "zebra");
        mf_test_fail_nth(nth);
        q.rc = kit_submit(&q);
        if (q.rc == 0) {
            MF_CHECK(mf_loop_run_until(k.loop, &q.is_done, KIT_PATIENCE));
        }
        has_failed = mf_test_has_failed();
        mf_test_fail_nth(0);
        MF_CHECK(q.rc == 0 || q.rc == MF_ENOMEM || q.rc == MF_EBUSY);
        if (q.rc == 0 && !q.s.is_partial) {
            MF_CHECK_INT(kit_count(&q, stored), 1);
            MF_CHECK_INT(kit_count(&q, fresh), 1);
        }
        kit_forget(&q);
    }
    kit_check_found(&k, "zebra", stored);
    kit_close(&k);
}

/* A change the shelf has no memory for: it is dropped, and the next one has it. */
MF_TEST(library, forgets_a_shelf_that_could_not_take_a_change)
{
    struct kit k;
    uint64_t seq;

    kit_open(&k);
    kit_check_not_found(&k, "zebra", 1);
    seq = kit_add_knowledge(&k, "u1", "zebras live in Africa");
    for (size_t nth = 1;; nth++) {
        bool has_failed;

        mf_test_fail_nth(nth);
        mf_library_session_gone(k.lib, mf_slice_str("u1"), mf_slice_str("u1-s1"));
        mf_library_removed(k.lib, mf_slice_str("u1"), 999);
        has_failed = mf_test_has_failed();
        mf_test_fail_nth(0);
        kit_check_found(&k, "zebra", seq);
        if (!has_failed) {
            break;
        }
    }
    kit_close(&k);
}
