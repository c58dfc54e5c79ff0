/* SPDX-License-Identifier: Apache-2.0 */
#include "npu/canary.h"

#include "base/mem.h"
#include "npu/clock.h"
#include "npu/pack.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define BASE_ROWS      16U
/* Of the mass. */
#define MAX_ERROR      2e-3
/* Of a device's GELU: tables and tanh are near, not equal. */
#define MAX_GELU_ERROR 2e-3
#define TINY           1e-6

int mf_npu_err_set(struct mf_npu_err *err, int code, const char *fmt, ...)
{
    va_list args;

    if (err != NULL) {
        err->code = code;
        err->sys = 0;
        va_start(args, fmt);
        (void)vsnprintf(err->text, sizeof(err->text), fmt, args);
        va_end(args);
    }
    return code;
}

double mf_npu_gelu(double x)
{
    return 0.5 * x * (1 + erf(x * M_SQRT1_2));
}

void mf_npu_gauge_add(struct mf_npu_gauge *g, double got, double want, double mass,
                      enum mf_npu_epi epi)
{
    double most =
        MAX_ERROR * mass + TINY + (epi == MF_NPU_EPI_GELU ? MAX_GELU_ERROR : 0);
    double err = fabs(got - want);

    g->n++;
    if (!(err <= most)) { /* a NaN is wrong, too */
        g->n_wrong++;
    }
    if (isfinite(got)) {
        g->max_abs_err = fmax(g->max_abs_err, err);
        g->dot += got * want;
        g->got_square += got * got;
    }
    g->want_square += want * want;
}

double mf_npu_gauge_cosine(const struct mf_npu_gauge *g)
{
    if (g->want_square <= 0) {
        return g->n_wrong == 0 ? 1 : 0;
    }
    return g->got_square <= 0 ? 0 : g->dot / sqrt(g->got_square * g->want_square);
}

bool mf_npu_gauge_is_good(const struct mf_npu_gauge *g)
{
    return g->n > 0 && g->n_wrong == 0 && mf_npu_gauge_cosine(g) >= MF_NPU_MIN_COSINE;
}

/* ---- the canary's numbers ---- */

struct numbers {
    float *w;            /* k x n */
    float *base;         /* BASE_ROWS x k */
    double *want, *mass; /* BASE_ROWS x n, before the epilogue */
};

/* -1..1 in steps of 1/64: exact in bf16, and their sums in f32. */
static float draw(uint32_t *seed)
{
    *seed = *seed * 1664525U + 1013904223U;
    return (float)((int)(*seed >> 9) % 129 - 64) / 64;
}

static uint32_t base_of(uint32_t row)
{
    return (row + 5 * (row / 256)) % BASE_ROWS;
}

/* 2^-4 .. 2^3, with either sign. */
static float factor_of(uint32_t row)
{
    uint32_t group = row / BASE_ROWS % 16;
    float power = ldexpf(1, (int)(group % 8) - 4);

    return group < 8 ? power : -power;
}

static void numbers_free(struct numbers *d)
{
    mf_free(d->w);
    mf_free(d->base);
    mf_free(d->want);
    mf_free(d->mass);
}

static void compute_row(const struct numbers *d, const struct mf_npu_gemm *g,
                        uint32_t row)
{
    double *want = d->want + (size_t)row * g->n, *mass = d->mass + (size_t)row * g->n;

    for (uint32_t k = 0; k < g->k; k++) {
        double a = (double)d->base[(size_t)row * g->k + k];
        const float *w = d->w + (size_t)k * g->n;

        for (uint32_t n = 0; n < g->n; n++) {
            double p = a * (double)w[n];

            want[n] += p;
            mass[n] += fabs(p);
        }
    }
}

static int numbers_make(struct numbers *d, const struct mf_npu_gemm *g)
{
    size_t n_w = (size_t)g->k * g->n, n_base = (size_t)BASE_ROWS * g->k;
    uint32_t seed = g->m * 31 + g->k * 7 + g->n;

    d->w = mf_array(n_w, sizeof(*d->w));
    d->base = mf_array(n_base, sizeof(*d->base));
    d->want = mf_calloc((size_t)BASE_ROWS * g->n, sizeof(*d->want));
    d->mass = mf_calloc((size_t)BASE_ROWS * g->n, sizeof(*d->mass));
    if (d->w == NULL || d->base == NULL || d->want == NULL || d->mass == NULL) {
        return MF_ENOMEM;
    }
    for (size_t i = 0; i < n_w; i++) {
        d->w[i] = draw(&seed);
    }
    for (size_t i = 0; i < n_base; i++) {
        d->base[i] = draw(&seed);
    }
    for (uint32_t row = 0; row < BASE_ROWS; row++) {
        compute_row(d, g, row);
    }
    return 0;
}

static void write_rows(const struct numbers *d, const struct mf_npu_gemm *g,
                       uint16_t *to)
{
    for (uint32_t row = 0; row < g->m; row++) {
        const float *from = d->base + (size_t)base_of(row) * g->k;
        float factor = factor_of(row);

        for (uint32_t k = 0; k < g->k; k++) {
            to[(size_t)row * g->k + k] = mf_npu_bf16(factor * from[k]);
        }
    }
}

static void compare_row(const struct numbers *d, const struct mf_npu_gemm *g,
                        uint32_t row, const float *got, struct mf_npu_gauge *sum)
{
    size_t base = (size_t)base_of(row) * g->n;
    double factor = (double)factor_of(row);

    for (uint32_t n = 0; n < g->n; n++) {
        double want = factor * d->want[base + n];

        if (g->epi == MF_NPU_EPI_GELU) {
            want = mf_npu_gelu(want);
        }
        mf_npu_gauge_add(sum, (double)got[n], want, fabs(factor) * d->mass[base + n],
                         g->epi);
    }
}

static void compare(const struct numbers *d, const struct mf_npu_gemm *g,
                    const float *got, struct mf_npu_gauge *sum)
{
    for (uint32_t row = 0; row < g->m; row++) {
        compare_row(d, g, row, got + (size_t)row * g->n, sum);
    }
}

/* ---- on the device ---- */

struct memories {
    struct mf_npu_mem *a, *w, *c;
};

static void memories_put(const struct mf_npu_backend *b, struct memories *mem)
{
    struct mf_npu_mem *all[] = {mem->a, mem->w, mem->c};

    for (size_t i = 0; i < mf_countof(all); i++) {
        if (all[i] != NULL) {
            b->mem_put(all[i]);
        }
    }
}

static int memories_make(const struct mf_npu_canary_of *of, const struct mf_npu_gemm *g,
                         const struct numbers *d, struct memories *mem,
                         struct mf_npu_err *err)
{
    const struct mf_npu_backend *b = of->backend;
    struct mf_npu_dev *dev = of->dev;
    size_t a_bytes = (size_t)g->m * g->k * sizeof(uint16_t);
    size_t c_bytes = (size_t)g->m * g->n * sizeof(float);
    int rc = b->weight_pack(dev, g, d->w, g->n, &mem->w, err);

    if (rc == 0) {
        rc = b->mem_new(dev, MF_NPU_MEM_IN, a_bytes, &mem->a, err);
    }
    if (rc == 0) {
        rc = b->mem_new(dev, MF_NPU_MEM_OUT, c_bytes, &mem->c, err);
    }
    if (rc == 0) {
        write_rows(d, g, b->mem_map(mem->a));
        memset(b->mem_map(mem->c), 0xff, c_bytes); /* NaN: it must be written over */
        rc = b->mem_flush(mem->c, 0, c_bytes);
    }
    return rc;
}

static int run(const struct mf_npu_canary_of *of, const struct mf_npu_op *op,
               struct mf_npu_err *err)
{
    const struct mf_npu_backend *b = of->backend;
    int64_t deadline_ns = mf_npu_now_ns() + of->limit_ns;
    struct mf_npu_job *job;
    int rc = b->submit(of->dev, op, 1, deadline_ns, &job, err);

    if (rc == 0) {
        rc = b->wait(job, err);
        b->job_put(job);
    }
    return rc;
}

static int judge(const struct mf_npu_gemm *g, const struct mf_npu_gauge *of_shape,
                 struct mf_npu_err *err)
{
    if (mf_npu_gauge_is_good(of_shape)) {
        return 0;
    }
    return mf_npu_err_set(
        err, MF_ECORRUPT, "wrong numbers for %ux%ux%u: %zu of %zu, cosine %.6f", g->m,
        g->k, g->n, of_shape->n_wrong, of_shape->n, mf_npu_gauge_cosine(of_shape));
}

static void gauge_join(struct mf_npu_gauge *sum, const struct mf_npu_gauge *g)
{
    sum->n += g->n;
    sum->n_wrong += g->n_wrong;
    sum->dot += g->dot;
    sum->got_square += g->got_square;
    sum->want_square += g->want_square;
    sum->max_abs_err = fmax(sum->max_abs_err, g->max_abs_err);
}

int mf_npu_canary(const struct mf_npu_canary_of *of, const struct mf_npu_gemm *g,
                  struct mf_npu_gauge *sum, struct mf_npu_err *err)
{
    struct mf_npu_gauge of_shape = {0};
    struct numbers d = {NULL, NULL, NULL, NULL};
    struct memories mem = {NULL, NULL, NULL};
    struct mf_npu_op op = {.rows = g->m};
    struct mf_npu_plan *plan;
    int rc = of->backend->plan(of->dev, g, &plan, err);

    if (rc < 0) {
        return rc;
    }
    if (numbers_make(&d, g) < 0) {
        numbers_free(&d);
        return mf_npu_err_set(err, MF_ENOMEM, "no memory for a canary");
    }
    rc = memories_make(of, g, &d, &mem, err);
    if (rc == 0) {
        op = (struct mf_npu_op){
            .plan = plan, .a = mem.a, .w = mem.w, .c = mem.c, .rows = g->m};
        rc = run(of, &op, err);
    }
    if (rc == 0) {
        compare(&d, g, of->backend->mem_map(mem.c), &of_shape);
        gauge_join(sum, &of_shape);
        rc = judge(g, &of_shape, err);
    }
    memories_put(of->backend, &mem);
    numbers_free(&d);
    return rc;
}
