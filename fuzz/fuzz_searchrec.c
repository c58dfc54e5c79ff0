/* SPDX-License-Identifier: Apache-2.0 */
/*
 * searchrec: whatever bytes the store holds, viewing them reads only them; what passes
 * the check can be put on a shelf, replaced, removed, streamed and ranked, with finite
 * scores, the same resident and streamed. What is built from a text and a vector passes
 * the check and is found.
 */
#include "base/err.h"
#include "base/mem.h"
#include "recall/shelf.h"

#include <math.h>
#include <stdlib.h>

#define DIM    8
#define N_RECS 6

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct mf_recall_weights weights = {
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
    .keyword_rows = 3,
};

static struct mf_terms *terms;

MF_ASSERTS_LOOP static void on_loop(void)
{
}

static void must(bool ok)
{
    if (!ok) {
        abort();
    }
}

static struct mf_scan_request request(const struct mf_question *q, const float *v)
{
    return (struct mf_scan_request){.question = q,
                                    .vector = v,
                                    .dim = DIM,
                                    .space = 1,
                                    .weights = &weights,
                                    .top_k = N_RECS};
}

static size_t stream(const struct mf_scan_request *r, const struct mf_shelf_row *rows,
                     size_t n, struct mf_scan_hit *hits)
{
    struct mf_stream *st;
    size_t n_hits;

    must(mf_stream_new(&st, r) == 0);
    must(mf_stream_feed(st, rows, n) == 0);
    must(mf_stream_finish(st, hits, &n_hits) == 0);
    mf_stream_free(st);
    return n_hits;
}

static size_t scan(const struct mf_shelf *s, const struct mf_scan_request *r,
                   struct mf_scan_hit *hits)
{
    size_t n;

    must(mf_shelf_scan(s, r, hits, &n) == 0);
    must(n == mf_shelf_count(s));
    for (size_t i = 0; i < n; i++) {
        must(isfinite(hits[i].score) && hits[i].similarity >= 0 &&
             hits[i].similarity <= 1);
    }
    return n;
}

static void shelve(const struct mf_shelf_row *rows, size_t n,
                   const struct mf_scan_request *r)
{
    struct mf_shelf *s = mf_shelf_new(&weights);
    struct mf_scan_hit hits[2][N_RECS];
    size_t n_hits;

    on_loop();
    must(s != NULL);
    for (size_t i = n; i-- > 0;) {
        must(mf_shelf_put(s, rows[i].seq, rows[i].session_id, rows[i].agent_id,
                          rows[i].rec) == 0);
    }
    n_hits = scan(s, r, hits[0]);
    must(stream(r, rows, n, hits[1]) == n_hits);
    for (size_t i = 0; i < n_hits; i++) {
        must(hits[0][i].seq == hits[1][i].seq && hits[0][i].score == hits[1][i].score);
    }
    for (size_t i = 1; i < n; i++) {
        int rc = mf_shelf_replace(s, rows[i].seq, rows[0].rec);

        must(rc == 0 || rc == MF_EINVAL);
    }
    (void)scan(s, r, hits[0]);
    must(n == 0 || mf_shelf_remove(s, rows[0].seq) == 0);
    must(mf_shelf_remove_session(s, MF_SLICE("s1")) == 0);
    (void)scan(s, r, hits[0]);
    mf_shelf_free(s);
}

/* The first record is built from the bytes, the others are the bytes, cut in pieces. */
static void build_one(struct mf_buf *out, struct mf_slice bytes, const float *v)
{
    struct mf_search_input in = {.text = bytes,
                                 .role = MF_MSG_USER,
                                 .created_us = (int64_t)bytes.n * 1000000000000,
                                 .vector = bytes.n % 3 == 0 ? NULL : v,
                                 .dim = DIM,
                                 .space = 1,
                                 .as_f32 = bytes.n % 2 == 0,
                                 .is_knowledge = bytes.n % 5 == 0};
    struct mf_search_view view;

    must(mf_search_build(out, terms, &in) == 0);
    must(mf_search_view(mf_slice_of(out->p, out->n), &view) == 0);
}

static size_t cut(struct mf_slice bytes, struct mf_shelf_row *rows)
{
    static const struct mf_slice sessions[] = {MF_SLICE("s0"), MF_SLICE("s1")};
    size_t n = 1;

    while (bytes.n > 1 && n < N_RECS) {
        size_t length = mf_min((size_t)(uint8_t)bytes.p[0], bytes.n - 1);
        struct mf_slice rec = mf_slice_of(bytes.p + 1, length);
        struct mf_search_view v;

        if (mf_search_view(rec, &v) == 0) {
            rows[n] = (struct mf_shelf_row){.seq = n + 1, .rec = rec};
            rows[n].session_id = sessions[n % 2];
            n++;
        }
        bytes.p += 1 + length;
        bytes.n -= 1 + length;
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const float v[DIM] = {.5F, .5F, .5F, .5F};
    struct mf_slice bytes = {(const char *)data, size};
    struct mf_shelf_row rows[N_RECS] = {{.seq = 1, .session_id = MF_SLICE("s0")}};
    struct mf_scan_request r;
    struct mf_question q;
    struct mf_buf built;
    uint32_t at;
    uint32_t n;

    if (terms == NULL) {
        terms = mf_terms_new();
        must(terms != NULL);
    }
    mf_buf_init(&built);
    build_one(&built, bytes, v);
    rows[0].rec = mf_slice_of(built.p, built.n);
    must(mf_question_init(&q, terms, bytes, mf_slice_of(bytes.p, size / 2),
                          MF_SLICE("Max")) == 0);
    r = request(&q, v);
    shelve(rows, cut(bytes, rows), &r);
    if (mf_passages_best(bytes, v, DIM, 1, 100, &at, &n) == 0) {
        must((uint64_t)at + n <= 100);
    }
    mf_question_fini(&q);
    mf_buf_fini(&built);
    return 0;
}
