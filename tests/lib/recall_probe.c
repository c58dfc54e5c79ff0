/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recall_probe: puts what a script describes on a shelf and prints what it finds, for
 * comparison with recall_reference.py. Texts and vectors are hexadecimal; "-" is empty.
 *
 *   C dim f32                                   a new conversation
 *   R seq knowledge role session us text space vector   one record ("-": no vector)
 *   Q text user agent space vector              a question about it
 *   T text                                      terms and flags of a text
 */
#include "base/mem.h"
#include "recall/shelf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FIELDS 12
#define PIECE      7

struct probe {
    struct mf_terms *terms;
    struct mf_shelf *shelf;
    struct mf_shelf_row *rows;
    size_t n_rows, cap_rows;
    uint16_t dim;
    bool as_f32;
};

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

static void must(bool ok, const char *what)
{
    if (!ok) {
        (void)fprintf(stderr, "recall_probe: %s\n", what);
        exit(2);
    }
}

MF_ASSERTS_LOOP static void on_loop(void)
{
}

static unsigned nibble(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10) & 15U;
}

/* In place. */
static struct mf_slice unhex(char *s)
{
    size_t n = strlen(s) / 2;

    if (strcmp(s, "-") == 0) {
        return mf_slice_of("", 0);
    }
    for (size_t i = 0; i < n; i++) {
        s[i] = (char)(nibble(s[2 * i]) << 4 | nibble(s[2 * i + 1]));
    }
    return mf_slice_of(s, n);
}

static const float *unhex_vector(char *s, float *out)
{
    struct mf_slice v = unhex(s);

    memcpy(out, v.p, v.n);
    return v.n == 0 ? NULL : out;
}

static void forget_rows(struct probe *p)
{
    for (size_t i = 0; i < p->n_rows; i++) {
        free((void *)(uintptr_t)p->rows[i].session_id.p);
        free((void *)(uintptr_t)p->rows[i].rec.p);
    }
    p->n_rows = 0;
}

static void start(struct probe *p, char **f)
{
    on_loop();
    forget_rows(p);
    mf_shelf_free(p->shelf);
    p->shelf = NULL;
    p->dim = (uint16_t)strtoul(f[1], NULL, 10);
    p->as_f32 = f[2][0] == '1';
}

static void add_record(struct probe *p, char **f)
{
    static float vector[MF_SEARCH_MAX_DIM];
    struct mf_search_input in = {
        .text = unhex(f[6]),
        .role = (enum mf_msg_role)strtoul(f[3], NULL, 10),
        .is_knowledge = f[2][0] == '1',
        .created_us = strtoll(f[5], NULL, 10),
        .vector = unhex_vector(f[8], vector),
        .dim = p->dim,
        .space = (uint32_t)strtoul(f[7], NULL, 10),
        .as_f32 = p->as_f32,
    };
    struct mf_buf rec;
    char *copy;

    mf_buf_init(&rec);
    must(mf_search_build(&rec, p->terms, &in) == 0, "cannot build a record");
    copy = malloc(rec.n);
    must(copy != NULL && p->n_rows < p->cap_rows, "no room");
    memcpy(copy, rec.p, rec.n);
    p->rows[p->n_rows++] =
        (struct mf_shelf_row){.seq = strtoull(f[1], NULL, 10),
                              .session_id = mf_slice_str(strdup(f[4])),
                              .rec = mf_slice_of(copy, rec.n)};
    mf_buf_fini(&rec);
}

static void print_hits(const char *name, const struct mf_scan_hit *hits, size_t n)
{
    (void)printf("\"%s\": [", name);
    for (size_t i = 0; i < n; i++) {
        (void)printf("%s[%.17g, %llu]", i == 0 ? "" : ", ", hits[i].score,
                     (unsigned long long)hits[i].seq);
    }
    (void)printf("]");
}

static size_t stream(struct probe *p, const struct mf_scan_request *r,
                     struct mf_scan_hit *hits)
{
    struct mf_stream *st;
    size_t n;

    must(mf_stream_new(&st, r) == 0, "cannot stream");
    for (size_t i = 0; i < p->n_rows; i += PIECE) {
        size_t piece = mf_min((size_t)PIECE, p->n_rows - i);

        must(mf_stream_feed(st, p->rows + i, piece) == 0, "cannot feed");
    }
    must(mf_stream_finish(st, hits, &n) == 0, "cannot finish");
    mf_stream_free(st);
    return n;
}

static void print_question(const struct mf_question *q)
{
    (void)printf("{\"role\": %d, \"months\": %u, \"asks_time\": %s, \"years\": [",
                 q->role, q->months, q->asks_time ? "true" : "false");
    for (size_t i = 0; i < q->n_years; i++) {
        (void)printf("%s%u", i == 0 ? "" : ", ", q->years[i]);
    }
    (void)printf("], \"embed\": \"");
    for (size_t i = 0; i < q->text_to_embed.n; i++) {
        (void)printf("%02x", (uint8_t)q->text_to_embed.p[i]);
    }
    (void)printf("\", ");
}

/* Puts all at once, or one by one in the order of the script's lines. */
static void fill_shelf(struct probe *p)
{
    if (p->shelf == NULL) {
        p->shelf = mf_shelf_new(&weights);
        must(p->shelf != NULL, "no shelf");
        must(mf_shelf_load(p->shelf, p->rows, p->n_rows) == 0, "cannot load");
    }
}

static void ask(struct probe *p, char **f)
{
    static float vector[MF_SEARCH_MAX_DIM];
    struct mf_scan_hit *hits = calloc(p->n_rows + 1, sizeof(*hits));
    struct mf_question q;
    struct mf_scan_request r = {.question = &q,
                                .vector = unhex_vector(f[5], vector),
                                .dim = p->dim,
                                .space = (uint32_t)strtoul(f[4], NULL, 10),
                                .weights = &weights,
                                .top_k = p->n_rows};
    size_t n;

    must(hits != NULL &&
             mf_question_init(&q, p->terms, unhex(f[1]), unhex(f[2]), unhex(f[3])) == 0,
         "cannot read the question");
    fill_shelf(p);
    print_question(&q);
    must(mf_shelf_scan(p->shelf, &r, hits, &n) == 0, "cannot scan");
    print_hits("resident", hits, n);
    (void)printf(", ");
    n = stream(p, &r, hits);
    print_hits("streamed", hits, n);
    (void)printf("}\n");
    mf_question_fini(&q);
    free(hits);
}

static void print_terms(struct probe *p, char **f)
{
    struct mf_slice text = unhex(f[1]);
    const struct mf_slice *stems;
    size_t n;

    must(mf_terms_of(p->terms, text, &stems, &n) == 0, "no terms");
    (void)printf("{\"flags\": %u, \"terms\": [", mf_text_flags(text));
    for (size_t i = 0; i < n; i++) {
        (void)printf("%s\"", i == 0 ? "" : ", ");
        for (size_t k = 0; k < stems[i].n; k++) {
            (void)printf("%02x", (uint8_t)stems[i].p[k]);
        }
        (void)printf("\"");
    }
    (void)printf("]}\n");
}

static void run(struct probe *p, char *line)
{
    char *f[MAX_FIELDS] = {0};
    char *save;
    size_t n = 0;

    for (char *s = strtok_r(line, " \n", &save); s != NULL && n < MAX_FIELDS;
         s = strtok_r(NULL, " \n", &save)) {
        f[n++] = s;
    }
    must(n > 0, "empty line");
    if (f[0][0] == 'C' && n == 3) {
        start(p, f);
    } else if (f[0][0] == 'R' && n == 9) {
        add_record(p, f);
    } else if (f[0][0] == 'Q' && n == 6) {
        ask(p, f);
    } else if (f[0][0] == 'T' && n == 2) {
        print_terms(p, f);
    } else {
        must(false, "unknown line");
    }
}

int main(void)
{
    struct probe p = {.terms = mf_terms_new(), .cap_rows = 100000};
    char *line = NULL;
    size_t cap = 0;

    on_loop();
    p.rows = calloc(p.cap_rows, sizeof(*p.rows));
    must(p.terms != NULL && p.rows != NULL, "out of memory");
    while (getline(&line, &cap, stdin) > 0) {
        run(&p, line);
    }
    forget_rows(&p);
    mf_shelf_free(p.shelf);
    mf_terms_free(p.terms);
    free(p.rows);
    free(line);
    return 0;
}
