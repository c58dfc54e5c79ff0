/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linear: the linear layers of a small encoder (384 wide, FFN 1536) on each kernel that
 * this CPU has, beside the most its multiply instruction can do on one core. Thread CPU
 * time. On a shared machine the speed of a core changes from one moment to the next: a
 * share is of the ceiling just before and just after, and all are medians of rounds.
 *
 * Columns: thousand million operations a second and the share of the ceiling, for 2048
 * rows (32 texts of 64 pieces), 256, 64 and 8 rows. "all" weighs the four layers as an
 * encoder does.
 */
#include "encoder/linear.h"
#include "base/mem.h"
#include "ceiling.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define N_ROUNDS   7
#define CEILING_S  0.01
#define TRIAL_S    0.01
#define MAX_INPUT  1536
#define MAX_OUTPUT 1536
#define MAX_ROWS   2048

static const struct layer {
    const char *name;
    uint32_t k, n;
    enum mf_epilogue ep;
} layers[] = {
    {"qkv", 384, 1152, MF_EP_BIAS},
    {"attention out", 384, 384, MF_EP_RESIDUAL},
    {"ffn 1, gelu", 384, 1536, MF_EP_GELU},
    {"ffn 2", 1536, 384, MF_EP_RESIDUAL},
};

static const size_t n_rows[] = {MAX_ROWS, 256, 64, 8};

static void must(bool ok)
{
    if (!ok) {
        (void)fprintf(stderr, "linear: failed\n");
        exit(1);
    }
}

static double now_s(void)
{
    struct timespec t;

    must(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
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

static bool has_word(const char *name, const char *word)
{
    return strstr(name, word) != NULL;
}

static void fill(float *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        p[i] = (float)((int)(i * 37 % 101) - 50) / 64;
    }
}

struct bench {
    const struct mf_linear_ops *ops;
    struct mf_linear *packed[mf_countof(layers)];
    float *x, *y;
    void *work;
    double ceiling[N_ROUNDS];
    double gops[mf_countof(n_rows)][mf_countof(layers)][N_ROUNDS];
    double share[mf_countof(n_rows)][mf_countof(layers)][N_ROUNDS];
};

static void bench_init(struct bench *b, const struct mf_linear_ops *ops)
{
    float *w = mf_array((size_t)MAX_INPUT * MAX_OUTPUT, sizeof(*w));

    *b = (struct bench){.ops = ops};
    b->x = mf_aligned(64, (size_t)MAX_ROWS * MAX_INPUT * sizeof(float));
    b->y = mf_aligned(64, (size_t)MAX_ROWS * MAX_OUTPUT * sizeof(float));
    b->work = mf_aligned(64, ops->work_bytes(MAX_ROWS, MAX_INPUT) +
                                 ops->work_bytes(MAX_ROWS, 384));
    must(w != NULL && b->x != NULL && b->y != NULL && b->work != NULL);
    fill(w, (size_t)MAX_INPUT * MAX_OUTPUT);
    fill(b->x, (size_t)MAX_ROWS * MAX_INPUT);
    for (size_t i = 0; i < mf_countof(layers); i++) {
        float absmax[MAX_INPUT];
        struct mf_linear_source src = {
            .w = w, .absmax = absmax, .k = layers[i].k, .n = layers[i].n};

        for (size_t k = 0; k < MAX_INPUT; k++) {
            absmax[k] = 1;
        }
        must(ops->pack(&b->packed[i], &src) == 0);
    }
    mf_free(w);
}

static void bench_fini(struct bench *b)
{
    for (size_t i = 0; i < mf_countof(layers); i++) {
        b->ops->free(b->packed[i]);
    }
    mf_aligned_free(b->x);
    mf_aligned_free(b->y);
    mf_aligned_free(b->work);
}

static double measure_layer(const struct bench *b, size_t layer, size_t rows)
{
    const struct layer *l = &layers[layer];
    struct mf_linear_call c = {.x = b->x,
                               .y = b->y,
                               .ldx = l->k,
                               .ldy = l->n,
                               .rows = rows,
                               .ep = l->ep,
                               .work = b->work};
    size_t n_runs = 0;
    double begin;
    double took;

    fill(b->y, rows * l->n); /* residuals that grew without end would slow down */
    begin = now_s();
    do {
        b->ops->run(b->packed[layer], &c);
        n_runs++;
        took = now_s() - begin;
    } while (took < TRIAL_S);
    return 2e-9 * (double)n_runs * (double)rows * l->k * l->n / took;
}

static void bench_round(struct bench *b, size_t round)
{
    double before = ceiling_measure(b->ops->name, CEILING_S);

    b->ceiling[round] = before;
    for (size_t r = 0; r < mf_countof(n_rows); r++) {
        for (size_t i = 0; i < mf_countof(layers); i++) {
            double gops = measure_layer(b, i, n_rows[r]);
            double after = ceiling_measure(b->ops->name, CEILING_S);

            b->gops[r][i][round] = gops;
            b->share[r][i][round] = after > 0 ? 2 * gops / (before + after) : 0;
            before = after;
        }
    }
}

/* Adds up what the four layers take together, in ops and in time at the ceiling. */
struct total {
    double work, time, share_time;
};

static void print_cell(double gops, double share)
{
    (void)printf("%9.1f", gops);
    if (share > 0) {
        (void)printf(" %4.0f %%", 100 * share);
    } else {
        (void)printf("%7s", "");
    }
}

static void print_layer(struct bench *b, size_t layer, struct total *total)
{
    double work = 2.0 * layers[layer].k * layers[layer].n;

    (void)printf("    %-14s %4u x %-4u", layers[layer].name, layers[layer].k,
                 layers[layer].n);
    for (size_t r = 0; r < mf_countof(n_rows); r++) {
        double gops = median(b->gops[r][layer], N_ROUNDS);
        double share = median(b->share[r][layer], N_ROUNDS);

        total[r].work += work;
        total[r].time += work / gops;
        total[r].share_time += share > 0 ? work / share : 0;
        print_cell(gops, share);
    }
    (void)printf("\n");
}

static void bench_print(struct bench *b)
{
    struct total total[mf_countof(n_rows)] = {{0}};

    (void)printf("%s, ceiling %.1f\n", b->ops->name, median(b->ceiling, N_ROUNDS));
    for (size_t i = 0; i < mf_countof(layers); i++) {
        print_layer(b, i, total);
    }
    (void)printf("    %-26s", "all");
    for (size_t r = 0; r < mf_countof(n_rows); r++) {
        const struct total *t = &total[r];

        print_cell(t->work / t->time, t->share_time > 0 ? t->work / t->share_time : 0);
    }
    (void)printf("\n");
}

/* bench_linear [WORD]: only kernels with the word in their names. */
int main(int argc, char **argv)
{
    const struct mf_linear_ops *const *all = mf_linear_all();
    double load[3];

    must(getloadavg(load, 3) == 3);
    (void)printf("load average %.2f; thousand million operations a second of CPU time\n"
                 "%28s%9zu rows  %9zu rows  %9zu rows  %9zu rows\n",
                 load[0], "", n_rows[0], n_rows[1], n_rows[2], n_rows[3]);
    for (size_t i = 0; all[i] != NULL; i++) {
        struct bench b;

        if (!all[i]->is_supported() || (argc > 1 && !has_word(all[i]->name, argv[1]))) {
            continue;
        }
        bench_init(&b, all[i]);
        for (size_t round = 0; round < N_ROUNDS; round++) {
            bench_round(&b, round);
        }
        bench_print(&b);
        bench_fini(&b);
    }
    return 0;
}
