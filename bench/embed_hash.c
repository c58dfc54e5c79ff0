/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the built-in hash model costs: microseconds of CPU time for a message of 30
 * words, and for texts of other lengths. The median of several rounds, since machines
 * are shared; the load average stands beside it.
 */
#include "embed/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define N_TEXTS  500
#define N_ROUNDS 21
#define MAX_TEXT 8192

static const char *const vocabulary[] = {
    "the",         "I",           "to",       "and",         "of",          "a",
    "we",          "my",          "was",      "in",          "for",         "that",
    "yesterday",   "restaurant",  "meeting",  "garden",      "travelling",  "museum",
    "project",     "recommended", "birthday", "keyboard",    "station",     "library",
    "sister",      "Lisbon",      "cinnamon", "appointment", "temperature", "bicycle",
    "photographs", "neighbour",   "concert",  "database",    "morning",     "exercise",
    "documentary", "allergic",    "running"};

struct text {
    char bytes[MAX_TEXT];
    size_t n;
};

static uint32_t next_random(uint32_t *x)
{
    *x = *x * 1664525u + 1013904223u;
    return *x >> 8;
}

static void write_text(struct text *t, unsigned n_words, uint32_t seed)
{
    t->n = 0;
    for (unsigned i = 0; i < n_words; i++) {
        const char *word = vocabulary[next_random(&seed) % mf_countof(vocabulary)];
        int n = snprintf(t->bytes + t->n, MAX_TEXT - t->n, "%s%s ", word,
                         i % 12 == 11 ? "." : "");

        t->n += (size_t)n;
    }
}

static double cpu_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Microseconds a text; negative when the model failed. */
static double one_round(struct mf_model *m, const struct text *texts, float *v)
{
    double start = cpu_us();

    for (size_t i = 0; i < N_TEXTS; i++) {
        struct mf_text t = {.text = {texts[i].bytes, texts[i].n}};
        struct mf_text_result res = {0};

        if (m->ops->embed(m, &t, 1, v, &res) != 0 || res.rc != 0) {
            return -1;
        }
    }
    return (cpu_us() - start) / N_TEXTS;
}

static int measure(struct mf_model *m, unsigned n_words, struct text *texts, float *v)
{
    double us[N_ROUNDS];
    size_t bytes = 0;

    for (uint32_t i = 0; i < N_TEXTS; i++) {
        write_text(&texts[i], n_words, i);
        bytes += texts[i].n;
    }
    for (size_t i = 0; i < N_ROUNDS; i++) {
        us[i] = one_round(m, texts, v);
        if (us[i] < 0) {
            return 1;
        }
    }
    qsort(us, N_ROUNDS, sizeof(us[0]), by_value);
    (void)printf("%4u words, %5zu bytes: %6.2f us a message (best %.2f, worst %.2f)\n",
                 n_words, bytes / N_TEXTS, us[N_ROUNDS / 2], us[0], us[N_ROUNDS - 1]);
    return 0;
}

int main(void)
{
    static struct text texts[N_TEXTS];
    static const unsigned sizes[] = {3, 10, 30, 100, 500};
    double load[3] = {0};
    struct mf_model *m;
    float *v;
    int rc = 0;

    if (mf_model_hash_open(&m, NULL) < 0) {
        return 1;
    }
    v = calloc(m->info.dim, sizeof(*v));
    for (size_t i = 0; v != NULL && rc == 0 && i < mf_countof(sizes); i++) {
        rc = measure(m, sizes[i], texts, v);
    }
    if (getloadavg(load, 3) == 3) {
        (void)printf("load average %.2f %.2f %.2f\n", load[0], load[1], load[2]);
    }
    rc |= v == NULL;
    free(v);
    mf_model_close(m);
    return rc;
}
