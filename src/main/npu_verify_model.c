/* SPDX-License-Identifier: Apache-2.0 */
/* The model on the device and on the CPU: are the vectors the same, which is faster? */
#include "main/npu_verify.h"

#include "base/mem.h"
#include "embed/sample_texts.h"
#include "encoder/encoder.h"
#include "npu/clock.h"
#include "tokenizer/tokenizer.h"

#include <math.h>
#include <stdio.h>

#define N_TEXTS      (MF_SAMPLE_GUARD + MF_SAMPLE_CALIBRATION)
#define MAX_BATCH    128
#define CHUNK_TOKENS 512 /* of a job of the service, as in embed/transformer.c */
#define DEADLINE_MS  10000
#define CHECK_EVERY  16
#define MAX_ROUNDS   64
#define ENOUGH_S     2.0

static const size_t batch_sizes[MF_VERIFY_SPEEDS] = {1, 8, 32, MAX_BATCH};

/* Everything open; `at` and `id` are the pieces of all sample texts, the guard's
 * first. */
struct bench {
    struct mf_verify *v;
    struct mf_weights *weights;
    struct mf_tokenizer *tokenizer;
    struct mf_encoder *cpu, *with_device; /* the same, but one was given the device */
    struct mf_npu_offload *offload;
    struct mf_scratch *on_cpu, *on_device;
    uint32_t *id, at[N_TEXTS + 1];
    uint32_t
        calibration_at[MF_SAMPLE_CALIBRATION + 1]; /* from its own first piece on */
    uint32_t *batch_id, batch_at[MAX_BATCH + 1];
    float *want, *got;
    size_t dim, window;
    int rc[MAX_BATCH];
};

static bool complain(struct mf_verify *v, const char *what, int rc,
                     const struct mf_err *err)
{
    mf_verify_fail(v, "%s: %s", what,
                   err->msg[0] != '\0' ? err->msg : mf_code_sentence(rc));
    return false;
}

/* ---- texts ---- */

static bool cut_texts(struct bench *b)
{
    size_t used = 0;

    b->id = mf_array(N_TEXTS * b->window, sizeof(*b->id));
    b->batch_id = mf_array(MAX_BATCH * b->window, sizeof(*b->batch_id));
    b->want = mf_array(N_TEXTS * b->dim, sizeof(*b->want));
    b->got = mf_array(mf_max(N_TEXTS, MAX_BATCH) * b->dim, sizeof(*b->got));
    if (b->id == NULL || b->batch_id == NULL || b->want == NULL || b->got == NULL) {
        mf_verify_fail(b->v, "out of memory");
        return false;
    }
    for (size_t i = 0; i < N_TEXTS; i++) {
        struct mf_pieces p = {.id = b->id + used, .cap = b->window};
        const char *text = i < MF_SAMPLE_GUARD
                               ? mf_sample_guard[i]
                               : mf_sample_calibration[i - MF_SAMPLE_GUARD];

        b->at[i] = (uint32_t)used;
        (void)mf_tokenizer_encode(b->tokenizer, mf_slice_str(text), MF_ENCODE_SPECIAL,
                                  &p);
        used += p.n;
    }
    b->at[N_TEXTS] = (uint32_t)used;
    for (size_t i = 0; i <= MF_SAMPLE_CALIBRATION; i++) {
        b->calibration_at[i] = b->at[MF_SAMPLE_GUARD + i] - b->at[MF_SAMPLE_GUARD];
    }
    return true;
}

/* n texts from the first-th on, and round again. */
static struct mf_ids take_batch(struct bench *b, size_t first, size_t n)
{
    uint32_t used = 0;

    for (size_t i = 0; i < n; i++) {
        size_t from = (first + i) % N_TEXTS;
        uint32_t len = b->at[from + 1] - b->at[from];

        memcpy(b->batch_id + used, b->id + b->at[from], len * sizeof(*b->id));
        b->batch_at[i] = used;
        used += len;
    }
    b->batch_at[n] = used;
    return (struct mf_ids){b->batch_id, b->batch_at, n};
}

/* ---- vectors ---- */

static size_t embed_all(struct bench *b, const struct mf_encoder *e,
                        struct mf_scratch *s, float *out)
{
    size_t n_failed = 0;

    for (size_t i = 0; i < N_TEXTS; i += MAX_BATCH) {
        size_t n = mf_min((size_t)MAX_BATCH, N_TEXTS - i);
        struct mf_ids ids = take_batch(b, i, n);

        mf_encoder_run(e, s, &ids, 0, out + i * b->dim, b->rc);
        for (size_t k = 0; k < n; k++) {
            n_failed += b->rc[k] != 0;
        }
    }
    return n_failed;
}

static double cosine(const float *a, const float *b, size_t n)
{
    double ab = 0, aa = 0, bb = 0;

    for (size_t i = 0; i < n; i++) {
        ab += (double)a[i] * b[i];
        aa += (double)a[i] * a[i];
        bb += (double)b[i] * b[i];
    }
    return ab / sqrt(aa * bb);
}

static void compare(const struct bench *b, double *min, double *mean)
{
    double sum = 0;

    *min = 1;
    for (size_t i = 0; i < N_TEXTS; i++) {
        double c = cosine(b->want + i * b->dim, b->got + i * b->dim, b->dim);

        *min = c >= *min ? *min : c; /* NaN is the least */
        sum += c;
    }
    *mean = sum / N_TEXTS;
}

/* ---- opening ---- */

static bool open_encoder(struct bench *b, enum mf_precision_wish wish,
                         struct mf_encoder **out)
{
    struct mf_encoder_options opt = {
        .wish = wish,
        .guard = {b->id, b->at, MF_SAMPLE_GUARD},
        .calibration = {b->id + b->at[MF_SAMPLE_GUARD], b->calibration_at,
                        MF_SAMPLE_CALIBRATION},
    };
    struct mf_err err = {0};
    int rc = mf_encoder_open(out, b->weights, &opt, &err);

    return rc == 0 || complain(b->v, "the model", rc, &err);
}

static bool make_scratch(struct bench *b, const struct mf_encoder *e,
                         struct mf_scratch **out)
{
    if (mf_scratch_new(out, e, CHUNK_TOKENS + b->window) == 0) {
        return true;
    }
    mf_verify_fail(b->v, "out of memory");
    return false;
}

static bool open_model(struct bench *b, const struct mf_verify_ask *ask)
{
    const struct mf_weights_info *info;
    struct mf_err err = {0};
    int rc = mf_weights_open(&b->weights, ask->model, &err);

    if (rc == 0) {
        rc = mf_tokenizer_open(&b->tokenizer, ask->model, &err);
    }
    if (rc < 0) {
        return complain(b->v, "the model", rc, &err);
    }
    info = mf_weights_info(b->weights);
    b->dim = info->hidden;
    b->window = info->window;
    (void)snprintf(b->v->model, sizeof(b->v->model), "%s", info->name);
    return cut_texts(b);
}

/* What is right: f32 on this CPU. */
static bool make_reference(struct bench *b)
{
    struct mf_encoder *e = NULL;
    struct mf_scratch *s = NULL;
    bool is_good = open_encoder(b, MF_WISH_F32, &e) && make_scratch(b, e, &s);

    if (is_good && embed_all(b, e, s, b->want) > 0) {
        mf_verify_fail(b->v, "the CPU gave no vector for some texts");
        is_good = false;
    }
    if (s != NULL) {
        mf_scratch_free(s);
    }
    if (e != NULL) {
        mf_encoder_close(e);
    }
    return is_good;
}

static enum mf_precision_wish wish_of(const char *precision)
{
    static const char *const names[] = {
        [MF_WISH_AUTO] = "auto", [MF_WISH_F32] = "f32",   [MF_WISH_BF16] = "bf16",
        [MF_WISH_FP16] = "fp16", [MF_WISH_INT8] = "int8",
    };

    for (size_t i = 0; i < mf_countof(names); i++) {
        if (strcmp(precision, names[i]) == 0) {
            return (enum mf_precision_wish)i;
        }
    }
    return MF_WISH_AUTO;
}

/* The CPU as the service would use it. */
static bool open_cpu(struct bench *b, const struct mf_verify_ask *ask)
{
    const struct mf_encoder_info *info;
    double mean;

    if (!open_encoder(b, wish_of(ask->precision), &b->cpu) ||
        !make_scratch(b, b->cpu, &b->on_cpu)) {
        return false;
    }
    info = mf_encoder_info(b->cpu);
    (void)snprintf(b->v->precision, sizeof(b->v->precision), "%s", info->precision);
    (void)snprintf(b->v->linear, sizeof(b->v->linear), "%s", info->kernel);
    if (embed_all(b, b->cpu, b->on_cpu, b->got) > 0) {
        mf_verify_fail(b->v, "the CPU gave no vector for some texts");
        return false;
    }
    compare(b, &b->v->cpu_min_cosine, &mean);
    return true;
}

static bool open_offload(struct bench *b, const struct mf_verify_ask *ask,
                         uint32_t min_rows)
{
    struct mf_npu_offload_conf conf = {.backend = ask->backend,
                                       .npu = ask->npu,
                                       .deadline_ms = DEADLINE_MS,
                                       .check_every = CHECK_EVERY,
                                       .min_rows = min_rows};
    struct mf_err err = {0};
    int rc = mf_npu_offload_open(&b->offload, b->with_device, &conf, &err);

    if (rc < 0) {
        b->offload = NULL;
        return complain(b->v, "the model on the device", rc, &err);
    }
    return true;
}

/* Beside the precision that the CPU chose before: chosen anew by its speed, it might be
 * another. Where the service would draw the line; then everything goes to the device.
 */
static bool open_device(struct bench *b, const struct mf_verify_ask *ask)
{
    if (!open_encoder(b, wish_of(b->v->precision), &b->with_device) ||
        !open_offload(b, ask, 0)) {
        return false;
    }
    mf_npu_offload_report(b->offload, &b->v->routed);
    mf_npu_offload_close(b->offload);
    return open_offload(b, ask, 1) && make_scratch(b, b->with_device, &b->on_device);
}

/* ---- speed ---- */

static double time_run(struct bench *b, const struct mf_encoder *e,
                       struct mf_scratch *s, const struct mf_ids *ids)
{
    int64_t began = mf_npu_now_ns();

    mf_encoder_run(e, s, ids, 0, b->got, b->rc);
    return (double)(mf_npu_now_ns() - began) / 1e9;
}

/* By turns, so that both meet the same clock and the same neighbours. */
static void measure(struct bench *b, struct mf_verify_speed *s)
{
    while (s->n_rounds < MAX_ROUNDS && s->cpu_s + s->device_s < ENOUGH_S) {
        struct mf_ids ids = take_batch(b, s->n_rounds * s->n_texts, s->n_texts);

        s->n_rows += ids.at[ids.n];
        s->cpu_s += time_run(b, b->cpu, b->on_cpu, &ids);
        s->device_s += time_run(b, b->with_device, b->on_device, &ids);
        s->n_rounds++;
    }
}

static void run_all(struct bench *b)
{
    struct mf_verify *v = b->v;

    v->n_texts = N_TEXTS;
    v->n_texts_failed = embed_all(b, b->with_device, b->on_device, b->got);
    compare(b, &v->min_cosine, &v->mean_cosine);
    for (size_t i = 0; i < MF_VERIFY_SPEEDS; i++) {
        v->speed[i].n_texts = batch_sizes[i];
        measure(b, &v->speed[i]);
    }
    mf_npu_offload_report(b->offload, &v->used);
    v->has_model = true;
}

static void close_all(struct bench *b)
{
    if (b->on_device != NULL) {
        mf_scratch_free(b->on_device);
    }
    if (b->offload != NULL) {
        mf_npu_offload_close(b->offload);
    }
    if (b->on_cpu != NULL) {
        mf_scratch_free(b->on_cpu);
    }
    if (b->with_device != NULL) {
        mf_encoder_close(b->with_device);
    }
    if (b->cpu != NULL) {
        mf_encoder_close(b->cpu);
    }
    mf_tokenizer_close(b->tokenizer);
    mf_weights_close(b->weights);
    mf_free(b->id);
    mf_free(b->batch_id);
    mf_free(b->want);
    mf_free(b->got);
}

void mf_verify_model(struct mf_verify *v, const struct mf_verify_ask *ask)
{
    struct bench b = {.v = v};

    if (open_model(&b, ask) && make_reference(&b) && open_cpu(&b, ask) &&
        open_device(&b, ask)) {
        run_all(&b);
    }
    close_all(&b);
}
