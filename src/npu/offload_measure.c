/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "npu/clock.h"
#include "npu/offload_in.h"

#include <math.h>

#define TEXT_PIECES 64
#define TRIES       3
/* Nobody waits for another try of what is so much slower. */
#define HOPELESS    4

struct batch {
    uint32_t *id, *at;
    int *rc;
    float *by_cpu, *by_npu;
    struct mf_scratch *scratch;
    struct mf_ids ids;
};

static void batch_free(struct batch *b)
{
    mf_scratch_free(b->scratch);
    mf_free(b->id);
    mf_free(b->at);
    mf_free(b->rc);
    mf_free(b->by_cpu);
    mf_free(b->by_npu);
}

/* Texts of random pieces, `rows` of those in all. */
static int batch_make(struct batch *b, const struct mf_encoder *e, uint32_t rows)
{
    const struct mf_weights_info *info = mf_encoder_model(e);
    uint32_t longest = mf_min(info->window, (uint32_t)TEXT_PIECES);
    size_t n = (rows + longest - 1) / longest;
    uint32_t seed = rows;

    b->id = mf_array(rows, sizeof(*b->id));
    b->at = mf_array(n + 1, sizeof(*b->at));
    b->rc = mf_array(n, sizeof(*b->rc));
    b->by_cpu = mf_array(n * info->hidden, sizeof(float));
    b->by_npu = mf_array(n * info->hidden, sizeof(float));
    if (b->id == NULL || b->at == NULL || b->rc == NULL || b->by_cpu == NULL ||
        b->by_npu == NULL || mf_scratch_new(&b->scratch, e, rows) < 0) {
        return MF_ENOMEM;
    }
    for (uint32_t i = 0; i < rows; i++) {
        seed = seed * 1664525U + 1013904223U;
        b->id[i] = (seed >> 8) % info->n_vocab;
    }
    for (size_t i = 0; i <= n; i++) {
        b->at[i] = (uint32_t)mf_min(i * longest, (size_t)rows);
    }
    b->ids = (struct mf_ids){b->id, b->at, n};
    return 0;
}

static double run_once(const struct mf_npu_offload *o, struct batch *b, float *out)
{
    int64_t begin_ns = mf_npu_now_ns();

    mf_encoder_run(o->encoder, b->scratch, &b->ids, 0, out, b->rc);
    return (double)(mf_npu_now_ns() - begin_ns) / 1000;
}

/* From how many rows on the device is asked, while this measures. */
static void route(struct mf_npu_offload *o, uint32_t min_rows)
{
    pthread_mutex_lock(&o->lock);
    o->min_rows = min_rows;
    pthread_mutex_unlock(&o->lock);
}

static uint64_t count_failed(struct mf_npu_offload *o)
{
    uint64_t n;

    pthread_mutex_lock(&o->lock);
    n = o->n_failed;
    pthread_mutex_unlock(&o->lock);
    return n;
}

static void time_cpu(struct mf_npu_offload *o, struct batch *b, struct measured *out)
{
    route(o, UINT32_MAX);
    out->cpu_us = INFINITY;
    for (int i = 0; i < TRIES; i++) {
        out->cpu_us = fmin(out->cpu_us, run_once(o, b, b->by_cpu));
    }
}

/* A batch whose jobs failed says nothing about the device's speed. */
static void time_npu(struct mf_npu_offload *o, struct batch *b, struct measured *out)
{
    uint64_t failed = count_failed(o);
    bool is_hopeless = false;

    route(o, 1);
    out->npu_us = INFINITY;
    for (int i = 0; i < TRIES && !is_hopeless; i++) {
        out->npu_us = fmin(out->npu_us, run_once(o, b, b->by_npu));
        is_hopeless = out->npu_us > HOPELESS * out->cpu_us;
    }
    if (count_failed(o) != failed) {
        out->npu_us = INFINITY;
    }
}

static double cosine(const float *a, const float *b, uint32_t n)
{
    double ab = 0, aa = 0, bb = 0;

    for (uint32_t i = 0; i < n; i++) {
        ab += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
}

int mf_measure_batch(struct mf_npu_offload *o, uint32_t rows, struct measured *out)
{
    uint32_t dim = mf_encoder_model(o->encoder)->hidden;
    struct batch b = {.id = NULL};
    int rc = batch_make(&b, o->encoder, rows);

    *out = (struct measured){.rows = rows, .agreement = 1};
    if (rc == 0) {
        time_cpu(o, &b, out);
        time_npu(o, &b, out);
        for (size_t i = 0; i < b.ids.n; i++) {
            out->agreement = fmin(out->agreement,
                                  cosine(b.by_cpu + i * dim, b.by_npu + i * dim, dim));
        }
    }
    batch_free(&b);
    return rc;
}

uint32_t mf_measure_break_even(const struct measured *m, size_t n)
{
    uint32_t least = UINT32_MAX;

    for (size_t i = n; i > 0 && m[i - 1].npu_us < m[i - 1].cpu_us; i--) {
        const struct measured *at = &m[i - 1];
        uint32_t rows = (uint32_t)ceil(at->rows * at->npu_us / at->cpu_us);

        least = mf_max(rows, i > 1 ? m[i - 2].rows + 1 : 1);
    }
    return least;
}
