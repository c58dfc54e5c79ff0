/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/recall_kit.h"

#include "base/err.h"

#define N 150

/* Feeds records one by one and compares with a shelf that holds the same. */
static void check_stream(struct mf_terms *t, const struct kit_rec *recs, size_t n,
                         struct mf_scan_request *r)
{
    static struct mf_scan_hit hits[2][KIT_MAX_HITS];
    struct mf_shelf *s = kit_shelf(t, recs, n, n);
    struct mf_stream *st;
    size_t count[2];

    kit_on_loop();
    MF_CHECK_OK(mf_stream_new(&st, r));
    for (size_t i = 0; i < n; i++) {
        MF_CHECK_OK(kit_feed(st, t, &recs[i]));
    }
    MF_CHECK_OK(mf_stream_finish(st, hits[0], &count[0]));
    MF_CHECK_OK(kit_scan(s, r, hits[1], &count[1]));
    kit_check_hits(hits[0], count[0], hits[1], count[1]);
    mf_stream_free(st);
    mf_shelf_free(s);
}

MF_TEST(stream, gives_what_a_shelf_gives)
{
    struct mf_terms *t = mf_terms_new();
    struct kit_rec recs[N];

    (void)state;
    for (uint32_t seed = 0; seed < 30; seed++) {
        struct mf_question q;
        float v[KIT_DIM];
        struct mf_scan_request r =
            kit_request(&q, t, kit_questions[seed % KIT_QUESTIONS], v);

        for (size_t i = 0; i < N; i++) {
            recs[i] = kit_draw(seed, i);
        }
        r.no_keyword_leg = seed % 10 == 7;
        r.no_vector_leg = seed % 10 == 8;
        r.min_similarity = seed % 10 == 6 ? .5 : 0;
        r.agent_id = seed % 3 == 1 ? MF_SLICE("a1") : mf_slice_of(NULL, 0);
        r.top_k = seed % 4 == 0 ? 10 : KIT_MAX_HITS;
        check_stream(t, recs, seed < 6 ? seed : N, &r);
        mf_question_fini(&q);
    }
    mf_terms_free(t);
}

MF_TEST(stream, refuses_what_does_not_ascend_and_skips_what_is_damaged)
{
    struct mf_terms *t = mf_terms_new();
    struct kit_rec recs[3] = {{.seq = 5, .text = "harbour"},
                              {.seq = 4, .text = "harbour"},
                              {.seq = 4, .text = "harbour", .is_knowledge = true}};
    struct mf_shelf_row damaged = {.seq = 7, .rec = MF_SLICE("no record")};
    struct mf_scan_hit hits[3];
    struct mf_question q;
    float v[KIT_DIM];
    struct mf_scan_request r = kit_request(&q, t, "harbour", v);
    struct mf_stream *st;
    size_t n;

    (void)state;
    MF_CHECK_OK(mf_stream_new(&st, &r));
    MF_CHECK_OK(kit_feed(st, t, &recs[0]));
    MF_CHECK_INT(mf_stream_feed(st, &damaged, 1), MF_ECORRUPT);
    MF_CHECK_OK(kit_feed(st, t, &recs[2]));
    MF_CHECK_INT(kit_feed(st, t, &recs[1]), MF_EINVAL);
    MF_CHECK_OK(mf_stream_finish(st, hits, &n));
    MF_CHECK_INT(n, 2);
    MF_CHECK(hits[0].seq == 5 && hits[1].seq == 4 && hits[1].is_knowledge);
    mf_stream_free(st);
    mf_question_fini(&q);
    mf_terms_free(t);
}

MF_TEST(stream, ends_cleanly_when_memory_runs_out)
{
    struct mf_terms *t = mf_terms_new();
    struct mf_scan_hit hits[8];
    struct mf_question q;
    float v[KIT_DIM];
    struct mf_scan_request r = kit_request(&q, t, kit_questions[0], v);
    struct mf_buf recs[8];
    struct mf_shelf_row rows[8];
    int rc = MF_ENOMEM;

    (void)state;
    r.top_k = 8;
    for (size_t i = 0; i < 8; i++) {
        struct kit_rec rec = kit_draw(3, i);

        kit_build(&recs[i], t, &rec);
        rows[i] =
            (struct mf_shelf_row){.seq = i, .rec = mf_slice_of(recs[i].p, recs[i].n)};
    }
    for (size_t nth = 1; rc != 0; nth++) {
        struct mf_stream *st = NULL;
        size_t n;

        mf_test_fail_nth(nth);
        rc = mf_stream_new(&st, &r);
        rc = rc < 0 ? rc : mf_stream_feed(st, rows, 8);
        rc = rc < 0 ? rc : mf_stream_finish(st, hits, &n);
        mf_test_fail_nth(0);
        MF_CHECK(rc == 0 ? n == 8 : rc == MF_ENOMEM);
        mf_stream_free(st);
    }
    for (size_t i = 0; i < 8; i++) {
        mf_buf_fini(&recs[i]);
    }
    mf_question_fini(&q);
    mf_terms_free(t);
}
