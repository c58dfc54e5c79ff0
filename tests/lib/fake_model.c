/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/fake_model.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

static bool says(struct mf_slice text, const char *word)
{
    return text.n > 0 && memmem(text.p, text.n, word, strlen(word)) != NULL;
}

void mf_fake_vector(const struct mf_fake_model *f, struct mf_slice text, float *out)
{
    uint64_t x = 0x9E3779B97F4A7C15ull;
    double sum = 0;

    for (size_t i = 0; i < text.n; i++) {
        x = (x ^ (unsigned char)text.p[i]) * 0x100000001B3ull;
    }
    for (size_t i = 0; i < f->model.info.dim; i++) {
        x = x * 6364136223846793005ull + 1442695040888963407ull;
        out[i] = (float)(x >> 40) / (1u << 24) - 0.5f;
        sum += (double)out[i] * out[i];
    }
    for (size_t i = 0; i < f->model.info.dim; i++) {
        out[i] = (float)(out[i] / sqrt(sum));
    }
}

static size_t fake_pieces(MF_UNUSED struct mf_model *m, struct mf_slice text,
                          uint32_t *at, size_t cap)
{
    size_t n = 0;

    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == ' ' || (i > 0 && text.p[i - 1] != ' ')) {
            continue;
        }
        if (n < cap) {
            at[n] = (uint32_t)i;
        }
        n++;
    }
    return n;
}

static int embed_one(struct mf_fake_model *f, const struct mf_text *t, float *out,
                     uint32_t *n_tokens)
{
    size_t dim = f->model.info.dim, n = fake_pieces(&f->model, t->text, NULL, 0);
    struct mf_slice text = t->text;

    *n_tokens = (uint32_t)mf_min(n, (size_t)f->model.info.window);
    if (n > f->model.info.window && (t->flags & MF_TEXT_WHOLE) != 0) {
        return MF_ETOOBIG;
    }

    if (says(text, "FAIL")) {
        return MF_EBACKEND;
    }
    if (says(text, "INVALID")) {
        return MF_EINVAL;
    }
    if (says(text, "SKIP")) {
        return 0;
    }
    mf_fake_vector(f, text, out);
    for (size_t i = 0; i < dim; i++) {
        out[i] = says(text, "ZERO") ? 0 : says(text, "LONG") ? out[i] * 2 : out[i];
        out[i] *= (t->flags & MF_TEXT_RAW) != 0 ? 3 : 1;
    }
    if (says(text, "NAN")) {
        out[dim - 1] = NAN;
    }
    return 0;
}

static void enter_call(struct mf_fake_model *f, const struct mf_text *texts, size_t n)
{
    struct mf_fake_counts *c = &f->counts;

    if (c->calls < MF_FAKE_ORDER - 1) {
        c->order[c->calls] = *(texts[0].text.n > 0 ? texts[0].text.p : "-");
    }
    c->calls++;
    c->texts += (unsigned)n;
    c->max_batch = mf_max(c->max_batch, (unsigned)n);
    c->running++;
    c->max_running = mf_max(c->max_running, c->running);
}

static bool begin_call(struct mf_fake_model *f, const struct mf_text *texts, size_t n)
{
    bool fails;

    (void)pthread_mutex_lock(&f->lock);
    enter_call(f, texts, n);
    while (f->held && f->n_let == 0) {
        (void)pthread_cond_wait(&f->released, &f->lock);
    }
    f->n_let -= f->held;
    fails = f->fail_calls > 0;
    f->fail_calls -= fails;
    (void)pthread_mutex_unlock(&f->lock);
    return !fails;
}

static void end_call(struct mf_fake_model *f)
{
    (void)pthread_mutex_lock(&f->lock);
    f->counts.running--;
    (void)pthread_mutex_unlock(&f->lock);
}

static int fake_embed(struct mf_model *m, const struct mf_text *texts, size_t n,
                      float *out, struct mf_text_result *res)
{
    struct mf_fake_model *f = mf_container_of(m, struct mf_fake_model, model);
    struct timespec delay = {f->cfg.delay_ms / 1000,
                             (long)(f->cfg.delay_ms % 1000) * 1000000};
    int batch_rc = begin_call(f, texts, n) ? 0 : MF_EBACKEND;

    if (f->cfg.delay_ms > 0) {
        (void)nanosleep(&delay, NULL);
    }
    for (size_t i = 0; i < n; i++) {
        batch_rc = says(texts[i].text, "BATCH") ? MF_EBACKEND : batch_rc;
        res[i].rc = embed_one(f, &texts[i], out + i * m->info.dim, &res[i].n_tokens);
    }
    end_call(f);
    return batch_rc;
}

static size_t fake_tokenize(MF_UNUSED struct mf_model *m, const struct mf_text *t,
                            bool special, struct mf_piece *out, size_t cap)
{
    size_t n = 0, end = 0, extra = special ? 1 : 0;

    for (size_t i = 0; i < t->text.n; i = end + 1) {
        const char *blank = memchr(t->text.p + i, ' ', t->text.n - i);

        end = blank == NULL ? t->text.n : (size_t)(blank - t->text.p);
        if (end > i && n + extra < cap) {
            out[n + extra] =
                (struct mf_piece){.id = (uint32_t)n + 1,
                                  .start = (uint32_t)i,
                                  .end = (uint32_t)end,
                                  .writing = mf_slice_of(t->text.p + i, end - i)};
        }
        n += end > i;
    }
    if (special && cap > 0) {
        out[0] = (struct mf_piece){.writing = MF_SLICE("[CLS]"), .is_special = true};
    }
    return n + extra;
}

/* One row for each word: the word's own vector. */
static int fake_states(struct mf_model *m, const struct mf_text *t, float **out,
                       uint32_t *n_tokens)
{
    struct mf_fake_model *f = mf_container_of(m, struct mf_fake_model, model);
    size_t n = fake_tokenize(m, t, false, NULL, 0), dim = m->info.dim;
    struct mf_piece *pieces = mf_array(n, sizeof(*pieces));

    *out = mf_array(n * dim, sizeof(float));
    if (pieces == NULL || *out == NULL) {
        mf_free(pieces);
        mf_free(*out);
        return MF_ENOMEM;
    }
    (void)fake_tokenize(m, t, false, pieces, n);
    for (size_t i = 0; i < n; i++) {
        mf_fake_vector(f, pieces[i].writing, *out + i * dim);
    }
    *n_tokens = (uint32_t)n;
    mf_free(pieces);
    return 0;
}

static void fake_close(struct mf_model *m)
{
    struct mf_fake_model *f = mf_container_of(m, struct mf_fake_model, model);

    (void)pthread_cond_destroy(&f->released);
    (void)pthread_mutex_destroy(&f->lock);
    mf_free(f);
}

static const struct mf_model_ops fake_ops = {
    .name = "fake",
    .embed = fake_embed,
    .pieces = fake_pieces,
    .tokenize = fake_tokenize,
    .states = fake_states,
    .close = fake_close,
};

struct mf_fake_model *mf_fake_model_open(const struct mf_fake_config *cfg)
{
    struct mf_fake_model *f = mf_calloc(1, sizeof(*f));

    if (f == NULL) {
        return NULL;
    }
    f->cfg = *cfg;
    f->model.ops = &fake_ops;
    f->model.info = (struct mf_model_info){
        .name = "fake",
        .space = "fake-1",
        .space_id = mf_space_id("fake-1"),
        .dim = cfg->dim == 0 ? 8 : cfg->dim,
        .window = cfg->window == 0 ? 256 : cfg->window,
        .is_semantic = cfg->is_semantic,
        .batch_texts = cfg->batch_texts == 0 ? 1 : cfg->batch_texts,
        .batch_bytes = cfg->batch_bytes == 0 ? SIZE_MAX : cfg->batch_bytes,
        .batch_tokens = cfg->batch_tokens,
        .prefers_cores = cfg->prefers_cores,
        .precision = "f32",
        .kernel = "fake",
        .guard_min = 1,
        .guard_mean = 1,
        .pooling = "fake",
        .dtype = "float32",
        .revision = "1",
    };
    if (pthread_mutex_init(&f->lock, NULL) != 0 ||
        pthread_cond_init(&f->released, NULL) != 0) {
        abort();
    }
    return f;
}

static void set_held(struct mf_fake_model *f, bool held)
{
    (void)pthread_mutex_lock(&f->lock);
    f->held = held;
    (void)pthread_cond_broadcast(&f->released);
    (void)pthread_mutex_unlock(&f->lock);
}

void mf_fake_hold(struct mf_fake_model *f)
{
    set_held(f, true);
}

void mf_fake_release(struct mf_fake_model *f)
{
    set_held(f, false);
}

void mf_fake_let(struct mf_fake_model *f, unsigned n)
{
    (void)pthread_mutex_lock(&f->lock);
    f->n_let += n;
    (void)pthread_cond_broadcast(&f->released);
    (void)pthread_mutex_unlock(&f->lock);
}

void mf_fake_fail_calls(struct mf_fake_model *f, unsigned n)
{
    (void)pthread_mutex_lock(&f->lock);
    f->fail_calls = n;
    (void)pthread_mutex_unlock(&f->lock);
}

struct mf_fake_counts mf_fake_counts(struct mf_fake_model *f)
{
    struct mf_fake_counts c;

    (void)pthread_mutex_lock(&f->lock);
    c = f->counts;
    (void)pthread_mutex_unlock(&f->lock);
    return c;
}
