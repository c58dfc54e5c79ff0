/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan: how long one question takes on a shelf of 10,000 and 100,000 messages of 384
 * numbers, on each instruction path; beside it, what reading the same bytes takes, and
 * what terms of a message of 30 words take. Thread CPU time, median and best of many.
 */
#include "base/mem.h"
#include "recall/dot.h"
#include "recall/shelf.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DIM      384
#define MAX_RUNS 400
#define TOP_K    10

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
    .keyword_rows = 200,
};

MF_ASSERTS_LOOP static void on_loop(void)
{
}

static void must(bool ok)
{
    if (!ok) {
        (void)fprintf(stderr, "scan: failed\n");
        exit(1);
    }
}

static uint64_t state = 88172645463325252U;

static uint32_t rnd(uint32_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)((state >> 32) * n >> 32);
}

static double now_us(void)
{
    struct timespec t;

    must(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void draw_vector(float *v)
{
    double sum = 0;

    for (size_t i = 0; i < DIM; i++) {
        v[i] = (float)((int)rnd(2001) + (int)rnd(2001) - 2000) / 1000;
        sum += (double)v[i] * (double)v[i];
    }
    for (size_t i = 0; i < DIM; i++) {
        v[i] /= (float)sqrt(sum);
    }
}

/* Frequent words come often: the square of an even draw. */
static void draw_text(struct mf_buf *text, size_t n_words)
{
    mf_buf_reset(text);
    for (size_t i = 0; i < n_words; i++) {
        static const char *const glue[] = {"the", "I", "was", "and", "to"};
        uint32_t w = rnd(200);

        if (rnd(2) == 0) {
            mf_buf_add_str(text, glue[rnd(5)]);
        } else {
            mf_buf_addf(text, "%c%cr%c%cing", 'a' + (int)(w % 26), 'a' + (int)(w / 26),
                        'a' + (int)(rnd(26) * rnd(26) / 26), 'a' + (int)rnd(6));
        }
        mf_buf_add_char(text, ' ');
    }
}

static struct mf_shelf *make_shelf(size_t n, struct mf_terms *terms, bool as_f32)
{
    struct mf_shelf *s = mf_shelf_new(&weights);
    struct mf_buf text;
    struct mf_buf rec;
    float v[DIM];
    char session[16];

    must(s != NULL);
    mf_buf_init(&text);
    mf_buf_init(&rec);
    for (size_t i = 0; i < n; i++) {
        struct mf_search_input in = {.role =
                                         i % 2 == 0 ? MF_MSG_USER : MF_MSG_ASSISTANT,
                                     .created_us = (int64_t)i * 1000000000,
                                     .vector = v,
                                     .dim = DIM,
                                     .space = 1,
                                     .as_f32 = as_f32};
        struct mf_shelf_row row = {.seq = i + 1};

        draw_text(&text, 30);
        draw_vector(v);
        in.text = mf_slice_of(text.p, text.n);
        mf_buf_reset(&rec);
        must(mf_search_build(&rec, terms, &in) == 0);
        (void)snprintf(session, sizeof(session), "s%zu", i / 40);
        row.session_id = mf_slice_str(session);
        row.rec = mf_slice_of(rec.p, rec.n);
        must(mf_shelf_load(s, &row, 1) == 0);
    }
    mf_buf_fini(&text);
    mf_buf_fini(&rec);
    return s;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

static void report(const char *what, size_t n, double *us, size_t n_runs)
{
    qsort(us, n_runs, sizeof(*us), compare);
    (void)printf("%-28s n=%-7zu median %9.1f us   best %9.1f us\n", what, n,
                 us[n_runs / 2], us[0]);
}

static void time_scan(const char *what, const struct mf_shelf *s,
                      const struct mf_scan_request *r)
{
    static double us[MAX_RUNS];
    size_t n = mf_shelf_count(s);
    size_t n_runs = n > 50000 ? 40 : MAX_RUNS;
    struct mf_scan_hit hits[TOP_K];
    size_t n_hits;

    for (size_t i = 0; i < n_runs; i++) {
        double begin = now_us();

        must(mf_shelf_scan(s, r, hits, &n_hits) == 0);
        us[i] = now_us() - begin;
    }
    report(what, n, us, n_runs);
}

static volatile uint64_t sink; /* so that the sum is needed */

static uint64_t sum_up(const uint64_t *p, size_t n)
{
    uint64_t sum[8] = {0};

    for (size_t i = 0; i < n; i++) {
        sum[i % 8] += p[i];
    }
    return sum[0] + sum[1] + sum[2] + sum[3] + sum[4] + sum[5] + sum[6] + sum[7];
}

/* The floor: the same bytes, only summed up. */
static void time_reading(size_t n)
{
    static double us[MAX_RUNS];
    size_t n_words = n * DIM / sizeof(uint64_t);
    uint64_t *p = mf_calloc(n_words, sizeof(*p));

    must(p != NULL);
    memset(p, 1, n_words * sizeof(*p));
    for (size_t run = 0; run < 40; run++) {
        double begin = now_us();

        sink += sum_up(p, n_words);
        us[run] = now_us() - begin;
    }
    report("reading the bytes", n, us, 40);
    mf_free(p);
}

static void time_terms(struct mf_terms *terms)
{
    static double us[MAX_RUNS];
    static const char text[] =
        "I was at the museum last weekend with my sister and we both loved the paintings "
        "of the harbour, so she recommended another exhibition near the station to me";
    const struct mf_slice *stems;
    size_t n;

    for (size_t run = 0; run < MAX_RUNS; run++) {
        double begin = now_us();

        for (size_t i = 0; i < 100; i++) {
            must(mf_terms_of(terms, mf_slice_str(text), &stems, &n) == 0);
        }
        us[run] = (now_us() - begin) / 100;
    }
    report("terms of 29 words", n, us, MAX_RUNS);
    for (size_t run = 0; run < MAX_RUNS; run++) {
        double begin = now_us();

        for (size_t i = 0; i < 100; i++) {
            must(mf_text_flags(mf_slice_str(text)) <= 15);
        }
        us[run] = (now_us() - begin) / 100;
    }
    report("flags of 29 words", 1, us, MAX_RUNS);
}

static void time_size(size_t n, struct mf_terms *terms, struct mf_scan_request *r)
{
    const struct mf_dot_ops *const *all = mf_dot_all();
    struct mf_shelf *s = make_shelf(n, terms, false);
    struct mf_scan_request keywords = *r;
    char what[40];

    on_loop();
    for (; *all != NULL; all++) {
        if ((*all)->works()) {
            mf_dot_use(*all);
            (void)snprintf(what, sizeof(what), "scan int8 %s", (*all)->name);
            time_scan(what, s, r);
        }
    }
    mf_dot_use(NULL);
    keywords.no_vector_leg = true;
    time_scan("scan without vectors", s, &keywords);
    (void)printf("%-28s n=%-7zu %.0f bytes a message\n", "memory", n,
                 (double)mf_shelf_bytes(s) / (double)n);
    mf_shelf_free(s);
    s = make_shelf(n, terms, true);
    time_scan("scan f32", s, r);
    mf_shelf_free(s);
    time_reading(n);
}

int main(void)
{
    struct mf_terms *terms = mf_terms_new();
    struct mf_question q;
    struct mf_buf text;
    float v[DIM];
    double load[3];
    struct mf_scan_request r = {.question = &q,
                                .vector = v,
                                .dim = DIM,
                                .space = 1,
                                .weights = &weights,
                                .top_k = TOP_K};

    must(terms != NULL && getloadavg(load, 3) == 3);
    mf_buf_init(&text);
    draw_text(&text, 14);
    draw_vector(v);
    must(mf_question_init(&q, terms, mf_slice_of(text.p, text.n), MF_SLICE("Ada"),
                          MF_SLICE("bot")) == 0);
    (void)printf("load average %.2f, %u terms in the question\n", load[0], q.n_terms);
    time_terms(terms);
    time_size(10000, terms, &r);
    time_size(100000, terms, &r);
    mf_question_fini(&q);
    mf_buf_fini(&text);
    mf_terms_free(terms);
    return 0;
}
