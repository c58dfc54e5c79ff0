/* SPDX-License-Identifier: Apache-2.0 */
/*
 * embed_rate MODEL PRECISION: the encoder for bench/embed.py, which alternates it with
 * its peers. Tells what it is ("ready ..."), then answers each line of stdin with one:
 *
 *   texts LEN LEN ..   the texts to encode from now on, by their pieces
 *   file PATH          the same, a line each: a pass cuts them into pieces, too
 *   run THREADS S      encodes them all until S seconds of CPU time are used, at least
 *                      once: medians "wall_ms cpu_ms times"; a thread takes the next
 *                      batch when it is free, as the workers of the service do
 *   ceiling S          operations of the kernel's multiply instruction a second
 */
#include "base/mem.h"
#include "ceiling.h"
#include "embed/sample_texts.h"
#include "encoder/encoder.h"
#include "tokenizer/tokenizer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BATCH_TOKENS 512 /* as the service's jobs */
#define MAX_THREADS  64
#define MAX_TIMES    1000
#define FIRST_ID     1000 /* below are pieces that no text has */

struct rate {
    struct mf_weights *weights;
    struct mf_tokenizer *tokenizer;
    struct mf_encoder *encoder;
    uint32_t hidden, window, n_vocab;
    struct mf_scratch *scratch[MAX_THREADS];
    uint32_t *id, *at;
    char *lines;            /* of the file that texts came from; NULL: from none */
    struct mf_slice *texts; /* in it */
    size_t *batch;          /* texts where each batch begins, and the end */
    size_t n_texts, n_batches;
    float *out;
    int *rc;
    atomic_size_t next;
    pthread_barrier_t gate; /* before and behind each pass */
    bool stops;             /* written before the gate opens */
};

/* Threads stay for all passes of a run, so that each has found a core of its own. */
struct worker {
    pthread_t thread;
    struct rate *rate;
    struct mf_scratch *scratch;
};

static void must(bool ok, const char *what)
{
    if (!ok) {
        (void)fprintf(stderr, "embed_rate: %s\n", what);
        exit(1);
    }
}

static double now_ms(clockid_t clock)
{
    struct timespec t;

    must(clock_gettime(clock, &t) == 0, "no clock");
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *v, size_t n)
{
    qsort(v, n, sizeof(*v), compare);
    return v[n / 2];
}

/* ---- opening ---- */

static enum mf_precision_wish wish_of(const char *name)
{
    static const char *const names[] = {"auto", "f32", "bf16", "fp16", "int8"};

    for (size_t i = 0; i < mf_countof(names); i++) {
        if (strcmp(name, names[i]) == 0) {
            return (enum mf_precision_wish)i;
        }
    }
    must(false, "which precision?");
    return MF_WISH_AUTO;
}

/* Sample texts in pieces; id and at are the caller's to free. */
static struct mf_ids sample(const struct rate *r, const char *const *texts, size_t n)
{
    uint32_t *id = mf_array(n * r->window, sizeof(*id));
    uint32_t *at = mf_array(n + 1, sizeof(*at));

    must(id != NULL && at != NULL, "out of memory");
    at[0] = 0;
    for (size_t i = 0; i < n; i++) {
        struct mf_pieces p = {.id = id + at[i], .cap = r->window};

        (void)mf_tokenizer_encode(r->tokenizer, mf_slice_str(texts[i]),
                                  MF_ENCODE_SPECIAL, &p);
        at[i + 1] = at[i] + (uint32_t)p.n;
    }
    return (struct mf_ids){.id = id, .at = at, .n = n};
}

static void sample_free(struct mf_ids *ids)
{
    mf_free((uint32_t *)(uintptr_t)ids->id);
    mf_free((uint32_t *)(uintptr_t)ids->at);
}

static void rate_open(struct rate *r, const char *model, const char *precision)
{
    struct mf_encoder_options opt = {.wish = wish_of(precision)};
    struct mf_err err = {0};

    must(mf_weights_open(&r->weights, model, &err) == 0, err.msg);
    must(mf_tokenizer_open(&r->tokenizer, model, &err) == 0, err.msg);
    r->hidden = mf_weights_info(r->weights)->hidden;
    r->window = mf_weights_info(r->weights)->window;
    r->n_vocab = mf_weights_info(r->weights)->n_vocab;
    must(r->n_vocab > FIRST_ID, "a vocabulary as small as this says nothing");
    opt.calibration = sample(r, mf_sample_calibration, MF_SAMPLE_CALIBRATION);
    opt.guard = sample(r, mf_sample_guard, MF_SAMPLE_GUARD);
    must(mf_encoder_open(&r->encoder, r->weights, &opt, &err) == 0, err.msg);
    sample_free(&opt.calibration);
    sample_free(&opt.guard);
}

static void texts_free(struct rate *r)
{
    mf_free(r->id);
    mf_free(r->at);
    free(r->lines);
    mf_free(r->texts);
    mf_free(r->batch);
    mf_free(r->out);
    mf_free(r->rc);
    r->lines = NULL;
    r->texts = NULL;
}

static void rate_close(struct rate *r)
{
    for (size_t i = 0; i < MAX_THREADS; i++) {
        mf_scratch_free(r->scratch[i]);
    }
    mf_encoder_close(r->encoder);
    mf_tokenizer_close(r->tokenizer);
    mf_weights_close(r->weights);
    texts_free(r);
}

/* ---- texts ---- */

static size_t count_words(const char *line)
{
    size_t n = 0;

    for (const char *p = line; *p != '\0'; p++) {
        n += *p == ' ';
    }
    return n + 1;
}

static void texts_room(struct rate *r, size_t n)
{
    texts_free(r);
    r->id = mf_array(n * r->window, sizeof(*r->id));
    r->at = mf_array(n + 1, sizeof(*r->at));
    r->batch = mf_array(n + 1, sizeof(*r->batch));
    r->out = mf_array(n, r->hidden * sizeof(*r->out));
    r->rc = mf_array(n, sizeof(*r->rc));
    must(r->id != NULL && r->at != NULL && r->batch != NULL && r->out != NULL &&
             r->rc != NULL,
         "out of memory");
}

static void texts_batch(struct rate *r)
{
    size_t first = 0;

    r->n_batches = 0;
    r->batch[0] = 0;
    for (size_t i = 1; i <= r->n_texts; i++) {
        if (i == r->n_texts || r->at[i + 1] - r->at[first] > BATCH_TOKENS) {
            r->batch[++r->n_batches] = i;
            first = i;
        }
    }
}

static void texts_tell(const struct rate *r)
{
    (void)printf("texts %zu pieces %u batches %zu\n", r->n_texts, r->at[r->n_texts],
                 r->n_batches);
}

static void texts_set(struct rate *r, char *lens)
{
    uint32_t seed = 12345;
    char *rest = NULL;

    texts_room(r, count_words(lens));
    r->n_texts = 0;
    r->at[0] = 0;
    for (char *word = strtok_r(lens, " \n", &rest); word != NULL;
         word = strtok_r(NULL, " \n", &rest)) {
        size_t n = strtoul(word, NULL, 10);

        must(n >= 1 && n <= r->window, "a text is longer than the window");
        for (size_t i = 0; i < n; i++) {
            seed = seed * 1664525u + 1013904223u;
            r->id[r->at[r->n_texts] + i] =
                FIRST_ID + (seed >> 8) % (r->n_vocab - FIRST_ID);
        }
        r->at[r->n_texts + 1] = r->at[r->n_texts] + (uint32_t)n;
        r->n_texts++;
    }
    texts_batch(r);
    texts_tell(r);
}

/* The pieces of text `i`, to where they stand. */
static size_t cut_text(const struct rate *r, size_t i)
{
    struct mf_pieces p = {.id = r->id + r->at[i], .cap = r->window};

    (void)mf_tokenizer_encode(r->tokenizer, r->texts[i], MF_ENCODE_SPECIAL, &p);
    return p.n;
}

/* All of a file; the caller frees it. */
static char *read_file(const char *path, size_t *n)
{
    FILE *f = fopen(path, "r");
    char *all = NULL;
    size_t cap = 0;
    ssize_t got;

    must(f != NULL, "the file cannot be read");
    got = getdelim(&all, &cap, '\0', f); /* texts have no NUL */
    must(got > 0, "the file is empty");
    (void)fclose(f);
    *n = (size_t)got;
    return all;
}

static void texts_read(struct rate *r, const char *path)
{
    size_t n, n_lines = 0, n_texts = 0;
    char *all = read_file(path, &n), *rest = NULL;

    for (size_t i = 0; i < n; i++) {
        n_lines += all[i] == '\n';
    }
    texts_room(r, n_lines + 1);
    r->lines = all;
    r->texts = mf_array(n_lines + 1, sizeof(*r->texts));
    must(r->texts != NULL, "out of memory");
    r->at[0] = 0;
    for (char *line = strtok_r(all, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        r->texts[n_texts] = mf_slice_str(line);
        r->at[n_texts + 1] = r->at[n_texts] + (uint32_t)cut_text(r, n_texts);
        n_texts++;
    }
    r->n_texts = n_texts;
    texts_batch(r);
    texts_tell(r);
}

/* ---- running ---- */

static void work_batches(const struct worker *w)
{
    struct rate *r = w->rate;
    size_t i;

    while ((i = atomic_fetch_add(&r->next, 1)) < r->n_batches) {
        size_t first = r->batch[i];
        struct mf_ids ids = {
            .id = r->id, .at = r->at + first, .n = r->batch[i + 1] - first};

        for (size_t k = first; r->texts != NULL && k < r->batch[i + 1]; k++) {
            (void)cut_text(r, k);
        }
        mf_encoder_run(r->encoder, w->scratch, &ids, 0, r->out + first * r->hidden,
                       r->rc + first);
    }
}

static void *work_passes(void *arg)
{
    struct worker *w = arg;

    for (;;) {
        (void)pthread_barrier_wait(&w->rate->gate);
        if (w->rate->stops) {
            return NULL;
        }
        work_batches(w);
        (void)pthread_barrier_wait(&w->rate->gate);
    }
}

static void workers_start(struct rate *r, struct worker *w, size_t n)
{
    must(n >= 1 && n <= MAX_THREADS, "how many threads?");
    must(pthread_barrier_init(&r->gate, NULL, (unsigned)n) == 0, "no barrier");
    r->stops = false;
    for (size_t i = 0; i < n; i++) {
        must(r->scratch[i] != NULL ||
                 mf_scratch_new(&r->scratch[i], r->encoder, BATCH_TOKENS) == 0,
             "out of memory");
        w[i] = (struct worker){.rate = r, .scratch = r->scratch[i]};
        must(i == 0 || pthread_create(&w[i].thread, NULL, work_passes, &w[i]) == 0,
             "no thread");
    }
}

static void workers_stop(struct rate *r, struct worker *w, size_t n)
{
    r->stops = true;
    (void)pthread_barrier_wait(&r->gate);
    for (size_t i = 1; i < n; i++) {
        must(pthread_join(w[i].thread, NULL) == 0, "a thread is lost");
    }
    (void)pthread_barrier_destroy(&r->gate);
}

/* One pass over all texts; the calling thread is the first worker. */
static void pass(struct rate *r, const struct worker *first)
{
    atomic_store(&r->next, 0);
    (void)pthread_barrier_wait(&r->gate);
    work_batches(first);
    (void)pthread_barrier_wait(&r->gate);
    for (size_t i = 0; i < r->n_texts; i++) {
        must(r->rc[i] == 0, "a text failed");
    }
}

static void run(struct rate *r, size_t n_threads, double seconds)
{
    struct worker workers[MAX_THREADS];
    double wall[MAX_TIMES], cpu[MAX_TIMES];
    double used = 0;
    size_t n = 0;

    workers_start(r, workers, n_threads);
    while (n < MAX_TIMES && (n == 0 || used < seconds * 1e3)) {
        double cpu_began = now_ms(CLOCK_PROCESS_CPUTIME_ID);
        double wall_began = now_ms(CLOCK_MONOTONIC);

        pass(r, &workers[0]);
        wall[n] = now_ms(CLOCK_MONOTONIC) - wall_began;
        cpu[n] = now_ms(CLOCK_PROCESS_CPUTIME_ID) - cpu_began;
        used += cpu[n++];
    }
    workers_stop(r, workers, n_threads);
    (void)printf("%.4f %.4f %zu\n", median(wall, n), median(cpu, n), n);
}

/* ---- the conversation ---- */

static void answer(struct rate *r, char *line)
{
    char *rest = NULL;
    char *word;

    line[strcspn(line, "\n")] = '\0';
    word = strtok_r(line, " ", &rest);
    if (word == NULL) {
        return;
    }
    if (strcmp(word, "texts") == 0) {
        texts_set(r, rest);
    } else if (strcmp(word, "file") == 0) {
        texts_read(r, rest);
    } else if (strcmp(word, "run") == 0) {
        size_t n_threads = strtoul(rest, &rest, 10);

        must(r->n_texts > 0, "no texts to run");
        run(r, n_threads, strtod(rest, NULL));
    } else if (strcmp(word, "ceiling") == 0) {
        (void)printf("%.2f\n", ceiling_measure(mf_encoder_info(r->encoder)->kernel,
                                               strtod(rest, NULL)));
    } else {
        must(false, "what is this command?");
    }
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    const struct mf_encoder_info *info;
    struct rate r = {0};
    char *line = NULL;
    size_t cap = 0;

    must(argc == 3, "embed_rate MODEL PRECISION");
    rate_open(&r, argv[1], argv[2]);
    info = mf_encoder_info(r.encoder);
    (void)printf("ready %s %s %s %.6f %.6f\n", info->precision, info->kernel, info->isa,
                 (double)info->guard_min, (double)info->guard_mean);
    (void)fflush(stdout);
    while (getline(&line, &cap, stdin) > 0) {
        answer(&r, line);
    }
    free(line);
    rate_close(&r);
    return 0;
}
