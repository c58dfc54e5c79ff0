/* SPDX-License-Identifier: Apache-2.0 */
/* A question in, ranked messages with their texts out. */
#include "lib/fake_model.h"
#include "unit/query_rig.h"

#include "embed/model.h"

#include <unistd.h>

MF_TEST(query, answers_with_texts_from_wherever_they_are)
{
    struct rig g;
    struct ask a;
    uint64_t stored, waiting, parked, fresh;
    const struct mf_query_hit *hit;

    rig_open(&g, NULL);
    stored = kit_add(&g.k, "u1", 1, "an old zebra");
    kit_index(&g.k, "u1", stored, true);
    kit_store(&g.k, "u1", stored);
    waiting = kit_add(&g.k, "u1", 2, "a zebra that waits");
    kit_move(&g.k, "u1", waiting, MF_PLACE_HYBRID);
    parked = kit_add(&g.k, "u1", 1, "a parked zebra");
    kit_move(&g.k, "u1", parked, MF_PLACE_HYBRID);
    kit_move(&g.k, "u1", parked, MF_PLACE_PARKED);
    fresh = kit_add(&g.k, "u1", 1, "a new zebra");
    rig_ask(&g, &a, "zebra");
    MF_CHECK_INT(a.r.n_hits, 4);
    MF_CHECK(!a.r.is_partial && !a.r.no_vector);
    MF_CHECK_STR(rig_hit(&a, stored)->source, "store");
    MF_CHECK_STR(rig_hit(&a, waiting)->source, "hybrid_buffer");
    MF_CHECK_STR(rig_hit(&a, parked)->source, "hybrid_buffer");
    MF_CHECK_STR(rig_hit(&a, fresh)->source, "write_buffer");
    hit = rig_hit(&a, stored);
    rig_check_slice(hit->content, "an old zebra");
    rig_check_slice(hit->row.session_id, "u1-s1");
    rig_check_slice(hit->row.msg.id, "m1");
    rig_check_slice(hit->row.msg.metadata, "{\"a\":1}");
    MF_CHECK(hit->scan.similarity > 0);
    hit = rig_hit(&a, waiting);
    rig_check_slice(hit->content, "a zebra that waits");
    rig_check_slice(hit->row.user_id, "u1");
    rig_check_slice(hit->row.session_id, "u1-s2");
    rig_check_slice(hit->row.round_id, "r");
    MF_CHECK(!hit->is_passage);
    for (size_t i = 1; i < a.r.n_hits; i++) {
        MF_CHECK(a.r.hits[i - 1].scan.score >= a.r.hits[i].scan.score);
    }
    rig_forget(&a);
    rig_close(&g);
}

/* What is answered is the request's own: the buffers may let go at once. */
MF_TEST(query, answers_with_copies)
{
    struct rig g;
    struct ask a;
    uint64_t seq;

    rig_open(&g, NULL);
    seq = kit_add(&g.k, "u1", 1, "my zebra eats grass");
    rig_ask(&g, &a, "zebra");
    kit_store(&g.k, "u1", seq);
    rig_check_slice(rig_hit(&a, seq)->content, "my zebra eats grass");
    rig_forget(&a);
    rig_close(&g);
}

/* Ranked from the buffers, stored before its text is fetched. */
MF_TEST(query, finds_the_text_of_what_was_stored_meanwhile)
{
    struct rig g;
    struct ask a;
    uint64_t seq;

    rig_open(&g, NULL);
    seq = kit_add(&g.k, "u1", 1, "my zebra eats grass");
    rig_ask(&g, &a, "zebra"); /* the shelf is there */
    rig_forget(&a);
    mf_lane_set_permits(g.k.lib->lane, 0);
    rig_prepare(&a, "zebra");
    rig_submit(&g, &a);
    while (mf_lane_n_waiting(g.k.lib->lane) == 0) {
        kit_turns(&g.k, 1);
    }
    kit_store(&g.k, "u1", seq);
    mf_lane_set_permits(g.k.lib->lane, 1);
    rig_wait(&g, &a);
    MF_CHECK_OK(a.rc);
    MF_CHECK_STR(rig_hit(&a, seq)->source, "store");
    rig_forget(&a);
    rig_close(&g);
}

MF_TEST(query, leaves_out_what_is_deleted_before_its_text_is_read)
{
    struct rig g;
    struct ask a;
    uint64_t gone, kept;

    rig_open(&g, NULL);
    gone = kit_add(&g.k, "u1", 1, "my zebra eats grass");
    kept = kit_add(&g.k, "u1", 1, "a zebra has stripes");
    kit_store(&g.k, "u1", gone);
    kit_store(&g.k, "u1", kept);
    rig_ask(&g, &a, "zebra");
    MF_CHECK_INT(a.r.n_hits, 2);
    rig_forget(&a);
    rig_prepare(&a, "zebra");
    kit_gate(&g.k, KIT_HOLD_BEFORE);
    rig_submit(&g, &a);
    kit_wait_gated(&g.k, 1); /* for texts: the shelf is there */
    kit_delete(&g.k, "u1", gone);
    kit_gate(&g.k, KIT_OPEN);
    rig_wait(&g, &a);
    MF_CHECK_OK(a.rc);
    MF_CHECK(!a.r.is_partial);
    MF_CHECK_INT(a.r.n_hits, 1);
    rig_check_slice(rig_hit(&a, kept)->content, "a zebra has stripes");
    rig_forget(&a);
    rig_close(&g);
}

MF_TEST(query, is_partial_when_the_texts_are_late_or_fail)
{
    struct rig g;
    struct ask a;
    uint64_t stored, fresh;

    rig_open(&g, NULL);
    stored = kit_add(&g.k, "u1", 1, "an old zebra");
    kit_store(&g.k, "u1", stored);
    fresh = kit_add(&g.k, "u1", 1, "a new zebra");
    rig_ask(&g, &a, "zebra");
    MF_CHECK_INT(a.r.n_hits, 2);
    rig_forget(&a);
    for (int i = 0; i < 2; i++) {
        g.k.fail_done = i == 0 ? MF_EUNAVAILABLE : 0;
        g.k.fail_submit = i == 1 ? MF_EBUSY : 0;
        rig_ask(&g, &a, "zebra");
        MF_CHECK(a.r.is_partial);
        MF_CHECK_INT(a.r.n_hits, 1);
        rig_check_slice(rig_hit(&a, fresh)->content, "a new zebra");
        rig_forget(&a);
    }
    g.k.fail_submit = 0;
    mf_query_free(g.query);
    MF_CHECK_OK(mf_query_open(
        &g.query, g.k.loop, g.embed, g.k.lib, &g.k.gate, g.k.buffers,
        &(struct mf_query_config){.store_timeout_ms = 10, .passage_tokens = 20}));
    kit_gate(&g.k, KIT_HOLD_BEFORE);
    rig_ask(&g, &a, "zebra");
    MF_CHECK(a.r.is_partial);
    MF_CHECK_INT(a.r.n_hits, 1);
    rig_forget(&a);
    kit_gate(&g.k, KIT_OPEN); /* the late texts are nobody's */
    kit_turns(&g.k, 3);
    rig_close(&g);
}

MF_TEST(query, each_is_answered_in_time_when_the_texts_of_several_are_late)
{
    struct rig g;
    struct ask a[3];
    uint64_t stored;

    rig_open(&g, NULL);
    stored = kit_add(&g.k, "u1", 1, "an old zebra");
    kit_store(&g.k, "u1", stored);
    rig_ask(&g, &a[0], "zebra"); /* the shelf is there now */
    rig_forget(&a[0]);
    mf_query_free(g.query);
    MF_CHECK_OK(mf_query_open(
        &g.query, g.k.loop, g.embed, g.k.lib, &g.k.gate, g.k.buffers,
        &(struct mf_query_config){.store_timeout_ms = 10, .passage_tokens = 20}));
    kit_gate(&g.k, KIT_HOLD_BEFORE);
    for (size_t i = 0; i < 3; i++) {
        rig_prepare(&a[i], "zebra");
        rig_submit(&g, &a[i]);
        kit_wait_gated(&g.k, i + 1); /* its time runs before the next one's */
        (void)usleep(3000);
        uv_update_time(mf_loop_uv(g.k.loop));
    }
    for (size_t i = 0; i < 3; i++) {
        rig_wait(&g, &a[i]);
        MF_CHECK(a[i].r.is_partial);
        rig_forget(&a[i]);
    }
    kit_gate(&g.k, KIT_OPEN);
    kit_turns(&g.k, 3);
    rig_close(&g);
}

MF_TEST(query, is_partial_when_the_load_is_late)
{
    struct rig g;
    struct ask a;

    rig_open(&g, NULL);
    g.k.lib->cfg.store_timeout_ms = 10;
    kit_store(&g.k, "u1", kit_add(&g.k, "u1", 1, "an old zebra"));
    (void)kit_add(&g.k, "u1", 1, "a new zebra");
    kit_gate(&g.k, KIT_HOLD_BEFORE);
    rig_ask(&g, &a, "zebra");
    MF_CHECK(a.r.is_partial);
    MF_CHECK_INT(a.r.n_hits, 1);
    rig_check_slice(a.r.hits[0].content, "a new zebra");
    rig_forget(&a);
    rig_close(&g);
}

/* ---- the legs ---- */

MF_TEST(query, answers_by_keyword_when_the_embedding_fails)
{
    struct mf_fake_config fake = {0};
    struct mf_fake_model *f = mf_fake_model_open(&fake);
    struct rig g;
    struct ask a;
    uint64_t seq;

    rig_open(&g, &f->model);
    seq = kit_add(&g.k, "u1", 1, "my zebra eats grass");
    rig_prepare(&a, "FAIL zebra");
    a.r.min_similarity = .9; /* nothing has a similarity now */
    rig_submit(&g, &a);
    rig_wait(&g, &a);
    MF_CHECK_OK(a.rc);
    MF_CHECK(a.r.no_vector);
    MF_CHECK(!a.r.is_partial);
    MF_CHECK_INT(a.r.n_hits, 1);
    MF_CHECK(rig_hit(&a, seq)->scan.bm25 > 0);
    rig_forget(&a);
    rig_prepare(&a, "FAIL zebra");
    a.r.no_keyword_leg = true;
    rig_submit(&g, &a);
    rig_wait(&g, &a);
    MF_CHECK_INT(a.rc, MF_EBACKEND);
    MF_CHECK_INT(a.r.err.code, MF_EBACKEND);
    MF_CHECK_INT(a.r.n_hits, 0);
    rig_forget(&a);
    rig_close(&g);
    mf_model_close(&f->model);
}

MF_TEST(query, does_not_embed_without_the_vector_leg)
{
    struct mf_fake_config fake = {0};
    struct mf_fake_model *f = mf_fake_model_open(&fake);
    struct rig g;
    struct ask a;

    rig_open(&g, &f->model);
    (void)kit_add(&g.k, "u1", 1, "my zebra eats grass");
    rig_prepare(&a, "zebra");
    a.r.no_vector_leg = true;
    rig_submit(&g, &a);
    rig_wait(&g, &a);
    MF_CHECK_OK(a.rc);
    MF_CHECK(!a.r.no_vector);
    MF_CHECK_INT(a.r.n_hits, 1);
    MF_CHECK_INT(mf_fake_counts(f).calls, 0);
    rig_forget(&a);
    rig_close(&g);
    mf_model_close(&f->model);
}

MF_TEST(query, filters_by_agent_kind_similarity_and_number)
{
    struct rig g;
    struct ask a;
    uint64_t one, two, known;

    rig_open(&g, NULL);
    one = kit_add(&g.k, "u1", 1, "my zebra eats grass");
    two = kit_add(&g.k, "u1", 2, "the weather is fine today");
    kit_index(&g.k, "u1", one, true);
    kit_index(&g.k, "u1", two, true);
    known = kit_add_knowledge(&g.k, "u1", "zebras live in Africa");
    rig_prepare(&a, "my zebra eats grass");
    a.r.agent_id = mf_slice_str("a2");
    a.r.no_knowledge = true;
    rig_submit(&g, &a);
    rig_wait(&g, &a);
    MF_CHECK_INT(a.r.n_hits, 1);
    MF_CHECK_INT(a.r.hits[0].scan.seq, two);
    rig_forget(&a);
    rig_prepare(&a, "my zebra eats grass");
    a.r.no_messages = true;
    rig_submit(&g, &a);
    rig_wait(&g, &a);
    MF_CHECK_INT(a.r.n_hits, 1);
    MF_CHECK(rig_hit(&a, known)->scan.is_knowledge);
    MF_CHECK_INT(a.r.hits[0].row.session_id.n, 0);
    rig_check_slice(a.r.hits[0].content, "zebras live in Africa");
    MF_CHECK_STR(a.r.hits[0].source, "store");
    rig_forget(&a);
    rig_prepare(&a, "my zebra eats grass");
    a.r.min_similarity = .9;
    rig_submit(&g, &a);
    rig_wait(&g, &a);
    MF_CHECK_INT(a.r.n_hits, 1);
    MF_CHECK_INT(a.r.hits[0].scan.seq, one);
    rig_forget(&a);
    rig_prepare(&a, "my zebra eats grass");
    a.r.top_k = 2;
    rig_submit(&g, &a);
    rig_wait(&g, &a);
    MF_CHECK_INT(a.r.n_hits, 2);
    rig_forget(&a);
    rig_close(&g);
}

/* ---- passages ---- */

#define HORSES                                                                         \
    "horses run over the wide and green fields all day long and sleep at night. "
#define ZEBRAS                                                                         \
    "zebras eat grass in the dry land and drink at the river when it gets dark."

/* Two passages, each with its own vector. */
MF_LOOP static void add_passages(struct rig *g, uint64_t seq)
{
    struct mf_text texts[2] = {{.text = MF_SLICE(HORSES)}, {.text = MF_SLICE(ZEBRAS)}};
    struct mf_passage p[2] = {{.at = 0, .n = sizeof(HORSES) - 1},
                              {.at = sizeof(HORSES) - 1, .n = sizeof(ZEBRAS) - 1}};
    uint16_t dim = g->model->info.dim;
    float *v = mf_array(2 * (size_t)dim, sizeof(float));
    struct mf_entry_msg *m = kit_msg(&g->k, "u1", seq);
    struct mf_buf rec, passages;
    struct mf_text_result res[2] = {{0}};

    mf_buf_init(&rec);
    mf_buf_init(&passages);
    kit_index(&g->k, "u1", seq, true);
    mf_buf_add(&rec, m->search.p, m->search.n);
    MF_CHECK_OK(g->model->ops->embed(g->model, texts, 2, v, res));
    p[0].vector = v;
    p[1].vector = v + dim;
    MF_CHECK_OK(mf_passages_build(&passages, p, 2, dim, g->model->info.space_id));
    MF_CHECK_OK(mf_entry_set_record(g->k.buffers, m, &rec, &passages, true));
    mf_free(v);
}

MF_TEST(query, answers_a_long_message_by_its_best_passage)
{
    struct rig g;
    struct ask a;
    uint64_t seq;

    rig_open(&g, NULL);
    seq = kit_add(&g.k, "u1", 1, HORSES ZEBRAS);
    add_passages(&g, seq);
    for (int i = 0; i < 2; i++) { /* from the buffers, then from the store */
        rig_ask(&g, &a, "what do zebras eat and drink");
        MF_CHECK(rig_hit(&a, seq)->is_passage);
        rig_check_slice(rig_hit(&a, seq)->content, ZEBRAS);
        rig_check_slice(rig_hit(&a, seq)->row.msg.content, HORSES ZEBRAS);
        rig_forget(&a);
        rig_ask(&g, &a, "where do horses run and sleep");
        rig_check_slice(rig_hit(&a, seq)->content, HORSES);
        rig_forget(&a);
        rig_prepare(&a, "zebras"); /* nothing to choose by */
        a.r.no_vector_leg = true;
        rig_submit(&g, &a);
        rig_wait(&g, &a);
        MF_CHECK(!rig_hit(&a, seq)->is_passage);
        rig_check_slice(rig_hit(&a, seq)->content, HORSES ZEBRAS);
        rig_forget(&a);
        if (i == 0) {
            kit_store(&g.k, "u1", seq);
        }
    }
    rig_close(&g);
}

/* ---- bounds and the end ---- */

MF_TEST(query, refuses_a_number_of_hits_out_of_bounds)
{
    struct rig g;
    struct ask a;

    rig_open(&g, NULL);
    rig_prepare(&a, "zebra");
    a.r.top_k = 0;
    MF_CHECK_INT(mf_query_submit(g.query, &a.r), MF_EINVAL);
    a.r.top_k = MF_QUERY_MAX_HITS + 1;
    MF_CHECK_INT(mf_query_submit(g.query, &a.r), MF_EINVAL);
    MF_CHECK_STR(a.r.err.msg, "top_k is 10001: choose 1 to 10000");
    a.r.top_k = MF_QUERY_MAX_HITS;
    rig_submit(&g, &a);
    rig_wait(&g, &a);
    MF_CHECK_OK(a.rc);
    rig_forget(&a);
    rig_close(&g);
}

MF_TEST(query, ends_as_closed_when_the_model_is_closed)
{
    struct mf_fake_config fake = {0};
    struct mf_fake_model *f = mf_fake_model_open(&fake);
    struct rig g;
    struct ask a[3];

    rig_open(&g, &f->model);
    mf_fake_hold(f);
    for (int i = 0; i < 2; i++) { /* one in the job, one in line */
        rig_prepare(&a[i], "zebra");
        rig_submit(&g, &a[i]);
    }
    kit_turns(&g.k, 2);
    g.is_closed = false;
    mf_embed_close(g.embed, rig_on_closed, &g);
    rig_prepare(&a[2], "zebra");
    MF_CHECK_INT(mf_query_submit(g.query, &a[2].r), MF_ECLOSED);
    mf_fake_release(f);
    MF_CHECK(mf_loop_run_until(g.k.loop, &g.is_closed, KIT_PATIENCE));
    g.embed = NULL;
    for (int i = 0; i < 2; i++) {
        rig_wait(&g, &a[i]);
        MF_CHECK(a[i].rc == MF_ECLOSED || (i == 0 && a[i].rc == 0));
    }
    MF_CHECK_INT(a[1].rc, MF_ECLOSED);
    MF_CHECK_INT(a[2].n_done, 0);
    rig_close(&g);
    for (int i = 0; i < 3; i++) {
        rig_forget(&a[i]);
    }
    mf_model_close(&f->model);
}

MF_TEST(query, ends_as_closed_when_the_library_is_closed)
{
    struct rig g;
    struct ask a;

    rig_open(&g, NULL);
    kit_gate(&g.k, KIT_HOLD_BEFORE);
    rig_prepare(&a, "zebra");
    rig_submit(&g, &a);
    kit_wait_gated(&g.k, 1);
    g.is_closed = false;
    mf_library_close(g.k.lib, rig_on_closed, &g);
    rig_wait(&g, &a);
    MF_CHECK_INT(a.rc, MF_ECLOSED);
    kit_gate(&g.k, KIT_OPEN);
    MF_CHECK(mf_loop_run_until(g.k.loop, &g.is_closed, KIT_PATIENCE));
    kit_open_library(&g.k); /* for rig_close */
    rig_forget(&a);
    rig_close(&g);
}

MF_TEST(query, answers_or_says_why_not_whichever_allocation_fails)
{
    struct rig g;
    struct ask a;
    uint64_t stored, fresh;
    bool has_failed = true;

    rig_open(&g, NULL);
    stored = kit_add(&g.k, "u1", 1, "an old zebra");
    kit_store(&g.k, "u1", stored);
    fresh = kit_add(&g.k, "u1", 1, "a new zebra");
    rig_ask(&g, &a, "zebra");
    rig_forget(&a);
    for (size_t nth = 1; has_failed; nth++) {
        rig_prepare(&a, "zebra");
        mf_test_fail_nth(nth);
        a.rc = mf_query_submit(g.query, &a.r);
        if (a.rc == 0) {
            rig_wait(&g, &a);
        }
        has_failed = mf_test_has_failed();
        mf_test_fail_nth(0);
        MF_CHECK(a.rc == 0 || a.rc == MF_ENOMEM);
        if (a.rc == 0) {
            rig_check_slice(rig_hit(&a, fresh)->content, "a new zebra");
        }
        if (a.rc == 0 && !a.r.is_partial) {
            rig_check_slice(rig_hit(&a, stored)->content, "an old zebra");
        }
        rig_forget(&a);
    }
    MF_CHECK_INT(mf_query_n_running(g.query), 0);
    rig_close(&g);
}
