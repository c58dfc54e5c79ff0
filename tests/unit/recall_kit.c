/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/recall_kit.h"

#include "base/err.h"

#include <math.h>
#include <stdio.h>

const struct mf_recall_weights kit_weights = {
    .a1 = .2,
    .a2 = .1,
    .b1 = .5,
    .b2 = .25,
    .k1 = 1.2,
    .b = .75,
    .w = .7,
    .speaker = .2,
    .date = .2,
    .time_word = .1,
    .short_question = -.08,
    .keyword_rows = 200,
};

const char *const kit_questions[KIT_QUESTIONS] = {
    "When did I repair the bicycle near the station?",
    "What did you recommend for the dog in March 1970",
    "harbour paintings harbour",
};

static uint32_t mix(uint32_t x)
{
    x = (x ^ (x >> 16)) * 0x7feb352dU;
    x = (x ^ (x >> 15)) * 0x846ca68bU;
    return x ^ (x >> 16);
}

void kit_vector(uint32_t seed, float v[KIT_DIM])
{
    double sum = 0;

    for (uint32_t i = 0; i < KIT_DIM; i++) {
        v[i] = (float)(mix(seed * 1000 + i) % 2001) / 1000 - 1;
        sum += (double)v[i] * (double)v[i];
    }
    for (uint32_t i = 0; i < KIT_DIM; i++) {
        v[i] /= (float)sqrt(sum);
    }
}

struct kit_rec kit_draw(uint32_t seed, size_t i)
{
    static const char *const words[] = {"bicycle", "repair",    "dog",     "the",
                                        "station", "paintings", "harbour", "yesterday",
                                        "I",       "meeting",   "hiking",  "music"};
    uint32_t x = mix(seed * 7919 + (uint32_t)i);
    struct kit_rec r = {.seq = 10 * i,
                        .role = x % 2 == 0 ? MF_MSG_USER : MF_MSG_ASSISTANT,
                        .is_knowledge = x % 11 == 0,
                        .as_f32 = x % 5 == 0,
                        .vector = x % 7 == 0 ? 0 : x,
                        .space = x % 13 == 0 ? KIT_OTHER : KIT_SPACE};
    size_t n = 1 + x % 9;
    size_t at = 0;

    (void)snprintf(r.session, sizeof(r.session), "s%u", x / 4 % 3);
    (void)snprintf(r.agent, sizeof(r.agent), "a%u", x / 4 % 3 % 2);
    for (size_t k = 0; k < n; k++) {
        at += (size_t)snprintf(r.text + at, sizeof(r.text) - at, "%s ",
                               words[mix(x + (uint32_t)k) % mf_countof(words)]);
    }
    if (x % 3 == 0) {
        (void)snprintf(r.text + at, sizeof(r.text) - at, "?");
    }
    return r;
}

void kit_build(struct mf_buf *out, struct mf_terms *t, const struct kit_rec *r)
{
    float v[KIT_DIM];
    struct mf_search_input in = {.text = mf_slice_str(r->text),
                                 .role = r->role,
                                 .is_knowledge = r->is_knowledge,
                                 .created_us = (int64_t)r->seq * 86400 * 100000,
                                 .vector = r->vector == 0 ? NULL : v,
                                 .dim = KIT_DIM,
                                 .space = r->space,
                                 .as_f32 = r->as_f32};

    kit_vector(r->vector, v);
    mf_buf_init(out);
    MF_CHECK_OK(mf_search_build(out, t, &in));
}

int kit_put(struct mf_shelf *s, struct mf_terms *t, const struct kit_rec *r)
{
    struct mf_buf rec;
    int rc;

    kit_on_loop();
    kit_build(&rec, t, r);
    rc = mf_shelf_put(s, r->seq, mf_slice_str(r->session), mf_slice_str(r->agent),
                      mf_slice_of(rec.p, rec.n));
    mf_buf_fini(&rec);
    return rc;
}

int kit_replace(struct mf_shelf *s, struct mf_terms *t, const struct kit_rec *r)
{
    struct mf_buf rec;
    int rc;

    kit_on_loop();
    kit_build(&rec, t, r);
    rc = mf_shelf_replace(s, r->seq, mf_slice_of(rec.p, rec.n));
    mf_buf_fini(&rec);
    return rc;
}

int kit_feed(struct mf_stream *st, struct mf_terms *t, const struct kit_rec *r)
{
    struct mf_shelf_row row = {.seq = r->seq,
                               .session_id = mf_slice_str(r->session),
                               .agent_id = mf_slice_str(r->agent)};
    struct mf_buf rec;
    int rc;

    kit_build(&rec, t, r);
    row.rec = mf_slice_of(rec.p, rec.n);
    rc = mf_stream_feed(st, &row, 1);
    mf_buf_fini(&rec);
    return rc;
}

struct mf_shelf *kit_shelf(struct mf_terms *t, const struct kit_rec *r, size_t n,
                           size_t skip)
{
    struct mf_shelf *s = mf_shelf_new(&kit_weights);

    MF_CHECK(s != NULL);
    for (size_t i = 0; i < n; i++) {
        if (i != skip) {
            MF_CHECK_OK(kit_put(s, t, &r[i]));
        }
    }
    return s;
}

struct mf_scan_request kit_request(struct mf_question *q, struct mf_terms *t,
                                   const char *text, float v[KIT_DIM])
{
    MF_CHECK_OK(mf_question_init(q, t, mf_slice_str(text), MF_SLICE("Ada Byron"),
                                 MF_SLICE("bot")));
    kit_vector((uint32_t)strlen(text), v);
    return (struct mf_scan_request){.question = q,
                                    .vector = v,
                                    .dim = KIT_DIM,
                                    .space = KIT_SPACE,
                                    .weights = &kit_weights,
                                    .top_k = KIT_MAX_HITS};
}

int kit_scan(const struct mf_shelf *s, const struct mf_scan_request *r,
             struct mf_scan_hit *hits, size_t *n)
{
    return mf_shelf_scan(s, r, hits, n);
}

void kit_check_hits(const struct mf_scan_hit *a, size_t n_a,
                    const struct mf_scan_hit *b, size_t n_b)
{
    MF_CHECK_INT(n_a, n_b);
    for (size_t i = 0; i < n_a; i++) {
        MF_CHECK_INT(a[i].seq, b[i].seq);
        MF_CHECK_INT(a[i].is_knowledge, b[i].is_knowledge);
        MF_CHECK_INT(a[i].has_vector, b[i].has_vector);
        MF_CHECK(a[i].score == b[i].score);
        MF_CHECK(a[i].similarity == b[i].similarity);
        MF_CHECK(a[i].bm25 == b[i].bm25);
        MF_CHECK(a[i].boost == b[i].boost);
    }
}

void kit_check_same(const struct mf_shelf *a, const struct mf_shelf *b,
                    struct mf_terms *t)
{
    static struct mf_scan_hit hits[2][KIT_MAX_HITS];
    size_t n[2];

    MF_CHECK_INT(mf_shelf_count(a), mf_shelf_count(b));
    for (size_t i = 0; i < KIT_QUESTIONS; i++) {
        struct mf_question q;
        float v[KIT_DIM];
        struct mf_scan_request r = kit_request(&q, t, kit_questions[i], v);

        MF_CHECK_OK(mf_shelf_scan(a, &r, hits[0], &n[0]));
        MF_CHECK_OK(mf_shelf_scan(b, &r, hits[1], &n[1]));
        MF_CHECK_INT(n[0], mf_shelf_count(a));
        kit_check_hits(hits[0], n[0], hits[1], n[1]);
        mf_question_fini(&q);
    }
}
