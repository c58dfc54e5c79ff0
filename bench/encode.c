/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encode: piece ids in, vectors out, for comparing the encoder with others. Reads lines
 * of ids from stdin, writes n x hidden floats (little-endian) to stdout; tells on
 * stderr what it is and how long it took.
 *
 *   bench_encode [MODEL [PRECISION [CALIBRATION [GUARD [REPEAT [CACHE]]]]]]
 *
 * MODEL: a folder, else $MEMFUSE_TEST_MODEL. CALIBRATION and GUARD: files of ids, ""
 * for none. REPEAT: passes over all texts after the first; the smallest CPU time is
 * told.
 */
#include "base/mem.h"
#include "encoder/encoder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SCRATCH_TOKENS 4096

struct corpus {
    uint32_t *id, *at;
    size_t n_ids, id_cap, n, at_cap;
};

static void out_of_memory(void)
{
    (void)fprintf(stderr, "encode: out of memory\n");
    exit(1);
}

static void corpus_cut(struct corpus *c)
{
    if (mf_grow((void **)&c->at, &c->at_cap, c->n + 2, sizeof(*c->at)) < 0) {
        out_of_memory();
    }
    if (c->n == 0) {
        c->at[0] = 0;
    }
    c->at[++c->n] = (uint32_t)c->n_ids;
}

static void corpus_add_line(struct corpus *c, char *line)
{
    char *rest = NULL;

    for (char *word = strtok_r(line, " \n", &rest); word != NULL;
         word = strtok_r(NULL, " \n", &rest)) {
        if (mf_grow((void **)&c->id, &c->id_cap, c->n_ids + 1, sizeof(*c->id)) < 0) {
            out_of_memory();
        }
        c->id[c->n_ids++] = (uint32_t)strtoul(word, NULL, 10);
    }
    corpus_cut(c);
}

static struct mf_ids corpus_read(struct corpus *c, FILE *in)
{
    char *line = NULL;
    size_t cap = 0;

    while (getline(&line, &cap, in) > 0) {
        corpus_add_line(c, line);
    }
    free(line);
    return (struct mf_ids){.id = c->id, .at = c->at, .n = c->n};
}

static struct mf_ids corpus_open(struct corpus *c, const char *path)
{
    struct mf_ids ids = {0};
    FILE *in;

    if (path[0] == '\0') {
        return ids;
    }
    in = fopen(path, "re");
    if (in == NULL) {
        (void)fprintf(stderr, "encode: cannot open %s\n", path);
        exit(1);
    }
    ids = corpus_read(c, in);
    (void)fclose(in);
    return ids;
}

static void corpus_fini(struct corpus *c)
{
    mf_free(c->id);
    mf_free(c->at);
}

static double cpu_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static enum mf_precision_wish wish_of(const char *name)
{
    static const char *const names[] = {"auto", "f32", "bf16", "fp16", "int8"};

    for (size_t i = 0; i < mf_countof(names); i++) {
        if (strcmp(name, names[i]) == 0) {
            return (enum mf_precision_wish)i;
        }
    }
    (void)fprintf(stderr, "encode: no precision is called %s\n", name);
    exit(1);
}

/* Texts whose encoding failed. */
static size_t run_all(const struct mf_encoder *e, struct mf_scratch *s,
                      const struct mf_ids *ids, float *out, int *rc)
{
    size_t n_bad = 0;

    mf_encoder_run(e, s, ids, 0, out, rc);
    for (size_t i = 0; i < ids->n; i++) {
        n_bad += rc[i] != 0;
    }
    return n_bad;
}

static int encode(const struct mf_encoder *e, const struct mf_ids *ids, size_t hidden,
                  int repeat)
{
    float *out = mf_calloc(ids->n * hidden + 1, sizeof(*out));
    int *rc = mf_calloc(ids->n + 1, sizeof(*rc));
    struct mf_scratch *s = NULL;
    double best = 0;
    size_t n_bad = 0;

    if (out == NULL || rc == NULL || mf_scratch_new(&s, e, SCRATCH_TOKENS) < 0) {
        out_of_memory();
    }
    for (int i = 0; i <= repeat; i++) {
        double start = cpu_ms();
        double took;

        n_bad = run_all(e, s, ids, out, rc);
        took = cpu_ms() - start;
        best = i == 0 || took < best ? took : best;
    }
    (void)fprintf(stderr, "texts=%zu pieces=%u failed=%zu cpu_ms=%.3f\n", ids->n,
                  ids->n == 0 ? 0 : ids->at[ids->n], n_bad, best);
    if (fwrite(out, sizeof(float) * hidden, ids->n, stdout) != ids->n) {
        (void)fprintf(stderr, "encode: cannot write\n");
        n_bad++;
    }
    mf_scratch_free(s);
    mf_free(rc);
    mf_free(out);
    return n_bad == 0 ? 0 : 1;
}

static int encode_with(const struct mf_weights *w, const struct mf_encoder_options *opt,
                       const struct mf_ids *ids, int repeat)
{
    struct mf_encoder *e;
    struct mf_err err = {0};
    const struct mf_encoder_info *i;
    int rc;

    if (mf_encoder_open(&e, w, opt, &err) < 0) {
        (void)fprintf(stderr, "encode: %s\n", err.msg);
        return 1;
    }
    i = mf_encoder_info(e);
    (void)fprintf(stderr,
                  "precision=%s kernel=%s isa=%s guard_min=%.6f guard_mean=%.6f "
                  "gops=%.1f cached=%d\n",
                  i->precision, i->kernel, i->isa, (double)i->guard_min,
                  (double)i->guard_mean, i->gops, i->was_cached);
    rc = encode(e, ids, mf_weights_info(w)->hidden, repeat);
    mf_encoder_close(e);
    return rc;
}

static const char *argument(int n, char **v, int i, const char *otherwise)
{
    return i < n ? v[i] : otherwise;
}

int main(int n, char **v)
{
    const char *model = argument(n, v, 1, getenv("MEMFUSE_TEST_MODEL"));
    struct corpus calibration = {0};
    struct corpus guard = {0};
    struct corpus texts = {0};
    struct mf_encoder_options opt = {.wish = wish_of(argument(n, v, 2, "f32"))};
    struct mf_err err = {0};
    struct mf_weights *w;
    struct mf_ids ids;
    int rc;

    if (model == NULL) {
        (void)fprintf(stderr, "encode: no model: name a folder\n");
        return 0;
    }
    if (mf_weights_open(&w, model, &err) < 0) {
        (void)fprintf(stderr, "encode: %s\n", err.msg);
        return 1;
    }
    opt.calibration = corpus_open(&calibration, argument(n, v, 3, ""));
    opt.guard = corpus_open(&guard, argument(n, v, 4, ""));
    opt.cache_dir = argument(n, v, 6, NULL);
    ids = corpus_read(&texts, stdin);
    rc = encode_with(w, &opt, &ids, (int)strtol(argument(n, v, 5, "0"), NULL, 10));
    mf_weights_close(w);
    corpus_fini(&calibration);
    corpus_fini(&guard);
    corpus_fini(&texts);
    return rc;
}
