/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/recall_kit.h"

#include "base/err.h"

#include <stdio.h>

#define N 120

struct talk {
    struct mf_terms *t;
    struct kit_rec recs[N];
};

static void draw(struct talk *k, uint32_t seed)
{
    k->t = mf_terms_new();
    MF_CHECK(k->t != NULL);
    for (size_t i = 0; i < N; i++) {
        k->recs[i] = kit_draw(seed, i);
    }
}

static const struct mf_scan_hit *scan(const struct mf_shelf *s,
                                      const struct mf_scan_request *r, size_t *n)
{
    static struct mf_scan_hit hits[KIT_MAX_HITS];

    MF_CHECK_OK(kit_scan(s, r, hits, n));
    return hits;
}

MF_TEST(shelf, ranks_the_same_in_whatever_order_records_were_put)
{
    struct talk k;
    struct mf_shelf *a;
    struct mf_shelf *b = mf_shelf_new(&kit_weights);

    (void)state;
    kit_on_loop();
    draw(&k, 1);
    a = kit_shelf(k.t, k.recs, N, N);
    for (size_t i = 0; i < N; i++) {
        MF_CHECK_OK(kit_put(b, k.t, &k.recs[(i * 77 + 5) % N]));
    }
    kit_check_same(a, b, k.t);
    mf_shelf_free(a);
    mf_shelf_free(b);
    mf_terms_free(k.t);
}

MF_TEST(shelf, loads_many_as_if_they_were_put_one_by_one)
{
    struct talk k;
    struct mf_shelf *a;
    struct mf_shelf *b = mf_shelf_new(&kit_weights);
    struct mf_shelf_row rows[N];
    struct mf_buf recs[N];

    (void)state;
    kit_on_loop();
    draw(&k, 2);
    a = kit_shelf(k.t, k.recs, N, N);
    for (size_t i = 0; i < N; i++) {
        kit_build(&recs[i], k.t, &k.recs[i]);
        rows[i] = (struct mf_shelf_row){k.recs[i].seq, mf_slice_str(k.recs[i].session),
                                        mf_slice_str(k.recs[i].agent),
                                        mf_slice_of(recs[i].p, recs[i].n)};
    }
    MF_CHECK_OK(mf_shelf_load(b, rows, N / 3));
    MF_CHECK_OK(mf_shelf_load(b, rows + N / 3, N - N / 3));
    MF_CHECK_OK(mf_shelf_load(b, rows, N)); /* all there: nothing changes */
    kit_check_same(a, b, k.t);
    for (size_t i = 0; i < N; i++) {
        mf_buf_fini(&recs[i]);
    }
    mf_shelf_free(a);
    mf_shelf_free(b);
    mf_terms_free(k.t);
}

MF_TEST(shelf, loads_the_others_when_a_record_is_damaged)
{
    struct talk k;
    struct mf_shelf *s = mf_shelf_new(&kit_weights);
    struct mf_buf rec;
    struct mf_shelf_row rows[3] = {{.seq = 1}, {.seq = 2}, {.seq = 3}};

    (void)state;
    kit_on_loop();
    draw(&k, 2);
    kit_build(&rec, k.t, &k.recs[0]);
    rows[0].rec = rows[2].rec = mf_slice_of(rec.p, rec.n);
    rows[1].rec = mf_slice_of(rec.p, rec.n - 1);
    MF_CHECK_INT(mf_shelf_load(s, rows, 3), MF_ECORRUPT);
    MF_CHECK_INT(mf_shelf_count(s), 2);
    MF_CHECK(mf_shelf_has(s, 1) && !mf_shelf_has(s, 2) && mf_shelf_has(s, 3));
    MF_CHECK_INT(mf_shelf_put(s, 9, MF_SLICE("s"), MF_SLICE("a"), rows[1].rec),
                 MF_ECORRUPT);
    MF_CHECK_INT(mf_shelf_replace(s, 1, rows[1].rec), MF_ECORRUPT);
    mf_buf_fini(&rec);
    mf_shelf_free(s);
    mf_terms_free(k.t);
}

MF_TEST(shelf, forgets_a_removed_record_as_if_it_had_never_been_there)
{
    struct talk k;

    (void)state;
    kit_on_loop();
    draw(&k, 3);
    for (size_t i = 0; i < N; i += 13) {
        struct mf_shelf *a = kit_shelf(k.t, k.recs, N, i);
        struct mf_shelf *b = kit_shelf(k.t, k.recs, N, N);

        MF_CHECK_OK(mf_shelf_remove(b, k.recs[i].seq));
        MF_CHECK_INT(mf_shelf_remove(b, k.recs[i].seq), MF_ENOTFOUND);
        MF_CHECK(!mf_shelf_has(b, k.recs[i].seq));
        kit_check_same(a, b, k.t);
        MF_CHECK_OK(kit_put(b, k.t, &k.recs[i])); /* reuses what was freed */
        MF_CHECK_OK(kit_put(a, k.t, &k.recs[i]));
        kit_check_same(a, b, k.t);
        mf_shelf_free(a);
        mf_shelf_free(b);
    }
    mf_terms_free(k.t);
}

MF_TEST(shelf, forgets_a_whole_session)
{
    struct talk k;
    struct mf_shelf *a;
    struct mf_shelf *b;

    (void)state;
    kit_on_loop();
    draw(&k, 4);
    a = mf_shelf_new(&kit_weights);
    b = kit_shelf(k.t, k.recs, N, N);
    for (size_t i = 0; i < N; i++) {
        if (strcmp(k.recs[i].session, "s1") != 0) {
            MF_CHECK_OK(kit_put(a, k.t, &k.recs[i]));
        }
    }
    MF_CHECK_OK(mf_shelf_remove_session(b, MF_SLICE("s1")));
    MF_CHECK_OK(mf_shelf_remove_session(b, MF_SLICE("never was")));
    MF_CHECK(mf_shelf_count(b) > 0 && mf_shelf_count(b) < N);
    kit_check_same(a, b, k.t);
    MF_CHECK_OK(mf_shelf_remove_session(b, MF_SLICE("s0")));
    MF_CHECK_OK(mf_shelf_remove_session(b, MF_SLICE("s2")));
    MF_CHECK_INT(mf_shelf_count(b), 0);
    for (size_t i = 0; i < N; i++) {
        if (strcmp(k.recs[i].session, "s1") != 0) {
            MF_CHECK_OK(kit_put(b, k.t, &k.recs[i]));
        }
    }
    kit_check_same(a, b, k.t);
    mf_shelf_free(a);
    mf_shelf_free(b);
    mf_terms_free(k.t);
}

MF_TEST(shelf, takes_a_vector_that_comes_late_and_a_changed_text)
{
    struct talk k;
    struct mf_shelf *a;
    struct mf_shelf *b = mf_shelf_new(&kit_weights);

    (void)state;
    kit_on_loop();
    draw(&k, 5);
    a = kit_shelf(k.t, k.recs, N, N);
    for (size_t i = 0; i < N; i++) {
        struct kit_rec early = k.recs[i];

        early.vector = i % 4 == 0 ? 123 : 0;
        if (i % 3 == 0) {
            (void)snprintf(early.text, sizeof(early.text), "another harbour text %zu",
                           i);
        }
        MF_CHECK_OK(kit_put(b, k.t, &early));
    }
    for (size_t i = 0; i < N; i++) {
        MF_CHECK_OK(kit_replace(b, k.t, &k.recs[(i * 7) % N]));
    }
    kit_check_same(a, b, k.t);
    k.recs[0].seq = 5;
    MF_CHECK_INT(kit_replace(b, k.t, &k.recs[0]), MF_ENOTFOUND);
    k.recs[0].seq = 0;
    k.recs[0].is_knowledge = !k.recs[0].is_knowledge;
    MF_CHECK_INT(kit_replace(b, k.t, &k.recs[0]), MF_EINVAL);
    kit_check_same(a, b, k.t);
    mf_shelf_free(a);
    mf_shelf_free(b);
    mf_terms_free(k.t);
}

MF_TEST(shelf, leaves_a_seq_that_is_there_as_it_is)
{
    struct talk k;
    struct mf_shelf *a;
    struct mf_shelf *b;
    struct kit_rec other;

    (void)state;
    kit_on_loop();
    draw(&k, 6);
    a = kit_shelf(k.t, k.recs, N, N);
    b = kit_shelf(k.t, k.recs, N, N);
    other = k.recs[7];
    (void)snprintf(other.text, sizeof(other.text), "harbour bicycle dog");
    MF_CHECK_OK(kit_put(b, k.t, &other));
    kit_check_same(a, b, k.t);
    mf_shelf_free(a);
    mf_shelf_free(b);
    mf_terms_free(k.t);
}

MF_TEST(shelf, puts_a_record_wholly_or_not_at_all_when_memory_runs_out)
{
    struct talk k;
    struct mf_shelf *a;
    struct mf_shelf *b = mf_shelf_new(&kit_weights);

    (void)state;
    kit_on_loop();
    draw(&k, 7);
    a = kit_shelf(k.t, k.recs, N, N);
    for (size_t i = 0; i < N; i++) {
        struct mf_buf rec;
        struct mf_slice bytes;
        int rc = MF_ENOMEM;

        kit_build(&rec, k.t, &k.recs[i]);
        bytes = mf_slice_of(rec.p, rec.n);
        for (size_t nth = 1; rc != 0; nth++) {
            mf_test_fail_nth(nth);
            rc = mf_shelf_put(b, k.recs[i].seq, mf_slice_str(k.recs[i].session),
                              mf_slice_str(k.recs[i].agent), bytes);
            mf_test_fail_nth(0);
            MF_CHECK(rc == 0 || rc == MF_ENOMEM);
            MF_CHECK_INT(mf_shelf_count(b), i + (rc == 0));
        }
        mf_buf_fini(&rec);
    }
    kit_check_same(a, b, k.t);
    mf_shelf_free(a);
    mf_shelf_free(b);
    mf_terms_free(k.t);
}

MF_TEST(shelf, changes_and_scans_cleanly_when_memory_runs_out)
{
    struct talk k;
    struct mf_shelf *s;
    struct mf_question q;
    float v[KIT_DIM];
    struct mf_scan_hit hits[KIT_MAX_HITS];
    struct mf_scan_request r;
    struct kit_rec changed;
    struct mf_buf rec;
    size_t n;
    int rc = MF_ENOMEM;

    (void)state;
    kit_on_loop();
    draw(&k, 8);
    s = kit_shelf(k.t, k.recs, N, N);
    r = kit_request(&q, k.t, kit_questions[0], v);
    changed = k.recs[1];
    (void)snprintf(changed.text, sizeof(changed.text), "new words only here");
    changed.vector = 99;
    changed.space = 4;
    kit_build(&rec, k.t, &changed);
    for (size_t nth = 1; rc != 0; nth++) {
        mf_test_fail_nth(nth);
        rc = mf_shelf_replace(s, changed.seq, mf_slice_of(rec.p, rec.n));
        MF_CHECK(rc == 0 || rc == MF_ENOMEM);
    }
    for (size_t nth = rc = 1; rc != 0; nth++) {
        mf_test_fail_nth(nth);
        rc = kit_scan(s, &r, hits, &n);
        MF_CHECK(rc == 0 ? n == N : (rc == MF_ENOMEM && n == 0));
    }
    for (size_t nth = rc = 1; rc != 0; nth++) {
        mf_test_fail_nth(nth);
        rc = mf_shelf_remove_session(s, MF_SLICE("s0"));
        MF_CHECK(rc == 0 || (rc == MF_ENOMEM && mf_shelf_count(s) == N));
    }
    mf_test_fail_nth(0);
    mf_buf_fini(&rec);
    mf_question_fini(&q);
    mf_shelf_free(s);
    mf_terms_free(k.t);
}

/* Messages of an agent, at least so similar. */
static bool is_wanted(const struct talk *k, const struct mf_scan_hit *h)
{
    const struct kit_rec *rec = &k->recs[h->seq / 10];

    return !rec->is_knowledge && strcmp(rec->agent, "a1") == 0 && h->similarity >= .45;
}

MF_TEST(shelf, returns_only_what_was_asked_for_and_ranks_it_alike)
{
    static struct mf_scan_hit all[KIT_MAX_HITS];
    struct talk k;
    struct mf_shelf *s;
    struct mf_question q;
    float v[KIT_DIM];
    struct mf_scan_request r;
    const struct mf_scan_hit *hits;
    size_t n_all;
    size_t n;
    size_t at = 0;

    (void)state;
    kit_on_loop();
    draw(&k, 9);
    s = kit_shelf(k.t, k.recs, N, N);
    r = kit_request(&q, k.t, kit_questions[1], v);
    MF_CHECK_OK(kit_scan(s, &r, all, &n_all));
    r.no_knowledge = true;
    r.agent_id = MF_SLICE("a1");
    r.min_similarity = .45;
    r.top_k = 9;
    hits = scan(s, &r, &n);
    MF_CHECK_INT(n, 9);
    for (size_t i = 0; i < n_all && at < n; i++) {
        if (is_wanted(&k, &all[i])) {
            kit_check_hits(&all[i], 1, &hits[at++], 1);
        }
    }
    MF_CHECK_INT(at, n);
    mf_question_fini(&q);
    mf_shelf_free(s);
    mf_terms_free(k.t);
}

MF_TEST(shelf, returns_one_kind_or_none_on_request)
{
    struct talk k;
    struct mf_shelf *s;
    struct mf_question q;
    float v[KIT_DIM];
    struct mf_scan_request r;
    size_t n;

    (void)state;
    kit_on_loop();
    draw(&k, 9);
    s = kit_shelf(k.t, k.recs, N, N);
    r = kit_request(&q, k.t, kit_questions[1], v);
    r.no_messages = true;
    MF_CHECK(scan(s, &r, &n)[0].is_knowledge);
    MF_CHECK(n > 0 && n < N / 2);
    r.no_knowledge = true;
    (void)scan(s, &r, &n);
    MF_CHECK_INT(n, 0);
    r.no_messages = r.no_knowledge = false;
    r.top_k = 0;
    (void)scan(s, &r, &n);
    MF_CHECK_INT(n, 0);
    mf_question_fini(&q);
    mf_shelf_free(s);
    mf_terms_free(k.t);
}

MF_TEST(shelf, shows_knowledge_without_an_agent_to_every_agent)
{
    struct kit_rec recs[3] = {
        {.seq = 1, .session = "s1", .agent = "a1", .text = "harbour one"},
        {.seq = 2, .text = "harbour two", .is_knowledge = true},
        {.seq = 3, .session = "s2", .text = "harbour three"},
    };
    struct mf_terms *t = mf_terms_new();
    struct mf_shelf *s = kit_shelf(t, recs, 3, 3);
    struct mf_scan_hit hits[3];
    struct mf_question q;
    float v[KIT_DIM];
    struct mf_scan_request r = kit_request(&q, t, "harbour", v);
    size_t n;

    (void)state;
    kit_on_loop();
    r.agent_id = MF_SLICE("a1");
    MF_CHECK_OK(kit_scan(s, &r, hits, &n));
    MF_CHECK_INT(n, 2);
    MF_CHECK_INT(hits[0].seq, 1);
    MF_CHECK_INT(hits[1].seq, 2);
    r.agent_id = MF_SLICE("a2");
    MF_CHECK_OK(kit_scan(s, &r, hits, &n));
    MF_CHECK_INT(n, 1);
    MF_CHECK_INT(hits[0].seq, 2);
    mf_question_fini(&q);
    mf_shelf_free(s);
    mf_terms_free(t);
}

MF_TEST(shelf, breaks_ties_by_order_also_where_keyword_rows_are_cut)
{
    struct mf_terms *t = mf_terms_new();
    struct mf_shelf *s = mf_shelf_new(&kit_weights);
    struct mf_recall_weights weights = kit_weights;
    struct mf_scan_hit hits[20];
    struct mf_question q;
    float v[KIT_DIM];
    struct mf_scan_request r = kit_request(&q, t, "harbour", v);
    size_t n;

    (void)state;
    kit_on_loop();
    weights.keyword_rows = 3;
    r.weights = &weights;
    for (size_t i = 20; i-- > 0;) { /* every one a session of its own */
        struct kit_rec rec = {.seq = i, .text = "harbour"};

        (void)snprintf(rec.session, sizeof(rec.session), "s%zu", i);
        MF_CHECK_OK(kit_put(s, t, &rec));
    }
    r.top_k = 20;
    MF_CHECK_OK(kit_scan(s, &r, hits, &n));
    MF_CHECK_INT(n, 20);
    for (size_t i = 0; i < 20; i++) {
        MF_CHECK_INT(hits[i].seq, i);
        MF_CHECK(hits[i].score == (i < 3 ? 1.0 : 0.0));
        MF_CHECK(hits[i].bm25 > 0 && !hits[i].has_vector && hits[i].similarity == 0);
    }
    mf_question_fini(&q);
    mf_shelf_free(s);
    mf_terms_free(t);
}

MF_TEST(shelf, leaves_out_a_leg_on_request)
{
    struct talk k;
    struct mf_shelf *s;
    struct mf_question q;
    float v[KIT_DIM];
    struct mf_scan_request r;
    const struct mf_scan_hit *hits;
    size_t n;

    (void)state;
    kit_on_loop();
    draw(&k, 10);
    s = kit_shelf(k.t, k.recs, N, N);
    r = kit_request(&q, k.t, kit_questions[2], v);
    r.no_vector_leg = true;
    hits = scan(s, &r, &n);
    MF_CHECK(n == N && hits[0].bm25 > 0 && !hits[0].has_vector);
    r.no_vector_leg = false;
    r.vector = NULL;
    MF_CHECK(scan(s, &r, &n)[0].bm25 > 0);
    r.vector = v;
    r.no_keyword_leg = true;
    hits = scan(s, &r, &n);
    MF_CHECK_INT(n, N);
    for (size_t i = 0; i < n; i++) {
        MF_CHECK(hits[i].bm25 == 0);
    }
    MF_CHECK(hits[0].has_vector);
    mf_question_fini(&q);
    mf_shelf_free(s);
    mf_terms_free(k.t);
}

MF_TEST(shelf, answers_when_it_is_empty)
{
    struct mf_terms *t = mf_terms_new();
    struct mf_shelf *s = mf_shelf_new(&kit_weights);
    struct mf_scan_hit hit;
    struct mf_question q;
    float v[KIT_DIM];
    struct mf_scan_request r = kit_request(&q, t, "harbour", v);
    size_t n = 7;

    (void)state;
    kit_on_loop();
    MF_CHECK_OK(kit_scan(s, &r, &hit, &n));
    MF_CHECK_INT(n, 0);
    mf_question_fini(&q);
    mf_shelf_free(s);
    mf_terms_free(t);
}

MF_TEST(shelf, counts_its_bytes_up_and_down)
{
    struct talk k;
    struct mf_shelf *s = mf_shelf_new(&kit_weights);
    size_t empty = mf_shelf_bytes(s);
    size_t full;

    (void)state;
    kit_on_loop();
    draw(&k, 11);
    for (size_t i = 0; i < N; i++) {
        MF_CHECK_OK(kit_put(s, k.t, &k.recs[i]));
    }
    full = mf_shelf_bytes(s);
    MF_CHECK(full >= empty + N * (size_t)KIT_DIM / 2);
    for (size_t i = 0; i < N; i++) {
        MF_CHECK_OK(mf_shelf_remove(s, k.recs[i].seq));
    }
    MF_CHECK(mf_shelf_bytes(s) < full - N * (size_t)KIT_DIM / 2);
    mf_shelf_free(s);
    mf_terms_free(k.t);
}
