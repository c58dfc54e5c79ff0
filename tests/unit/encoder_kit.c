/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/encoder_kit.h"

#include "base/mem.h"
#include "lib/mf_test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_LAYERS 4
#define MAX_WIDE   256
#define MAX_TOKENS 64

struct mf_weights {
    struct mf_weights_info info;
    struct mf_tensor model[MF_W_MODEL_ROLES], layer[MAX_LAYERS][MF_W_LAYER_ROLES];
    float *model_data[MF_W_MODEL_ROLES], *layer_data[MAX_LAYERS][MF_W_LAYER_ROLES];
};

const struct kit_shape kit_small = {.arch = MF_ARCH_BERT,
                                    .n_layers = 2,
                                    .hidden = 32,
                                    .n_heads = 4,
                                    .ffn = 64,
                                    .window = 40,
                                    .pooling = MF_POOL_MEAN,
                                    .activation = MF_ACT_GELU};

const struct mf_weights_info *mf_weights_info(const struct mf_weights *w)
{
    return &w->info;
}

const struct mf_tensor *mf_weights_of_model(const struct mf_weights *w,
                                            enum mf_model_role role)
{
    return &w->model[role];
}

const struct mf_tensor *mf_weights_of_layer(const struct mf_weights *w, uint32_t layer,
                                            enum mf_layer_role role)
{
    return &w->layer[layer][role];
}

float *kit_of_model(struct mf_weights *w, enum mf_model_role role)
{
    return w->model_data[role];
}

float *kit_of_layer(struct mf_weights *w, uint32_t layer, enum mf_layer_role role)
{
    return w->layer_data[layer][role];
}

static uint32_t next(uint32_t *seed)
{
    *seed = *seed * 1664525U + 1013904223U;
    return *seed >> 8;
}

static float uniform(uint32_t *seed) /* -1..1 */
{
    return (float)((double)next(seed) / (1 << 23) - 1);
}

struct fill {
    uint32_t rows, cols;
    float middle, spread;
};

static float *fill_tensor(struct mf_tensor *t, const struct fill *f, uint32_t *seed)
{
    float *data = mf_array((size_t)f->rows * f->cols + 1, sizeof(*data));

    assert_non_null(data);
    for (size_t i = 0; i < (size_t)f->rows * f->cols; i++) {
        data[i] = f->middle + f->spread * uniform(seed);
    }
    *t = (struct mf_tensor){
        .data = data, .rows = f->rows, .cols = f->cols, .dtype = MF_DTYPE_F32};
    return data;
}

static void fill_model(struct mf_weights *w, uint32_t *seed)
{
    const struct mf_weights_info *i = &w->info;
    bool has_types = i->arch == MF_ARCH_BERT || i->arch == MF_ARCH_ROBERTA;
    const struct fill fills[MF_W_MODEL_ROLES] = {
        [MF_W_WORDS] = {i->n_vocab, i->hidden, 0, 1},
        [MF_W_POSITIONS] = {i->n_positions, i->hidden, 0, 0.5F},
        [MF_W_TYPES] = {has_types ? 2 : 0, i->hidden, 0, 0.5F},
        [MF_W_EMBED_NORM] = {1, i->hidden, 1, 0.2F},
        [MF_W_EMBED_NORM_BIAS] = {1, i->hidden, 0, 0.2F},
        [MF_W_RELATIVE] = {i->arch == MF_ARCH_MPNET ? KIT_BUCKETS : 0, i->n_heads, 0,
                           1},
    };

    for (int r = 0; r < MF_W_MODEL_ROLES; r++) {
        w->model_data[r] = fill_tensor(&w->model[r], &fills[r], seed);
    }
}

static void fill_layer(struct mf_weights *w, uint32_t layer, uint32_t *seed)
{
    const struct mf_weights_info *i = &w->info;
    uint32_t hidden = i->hidden;
    float spread = 1.7F / sqrtf((float)hidden);

    for (int r = 0; r < MF_W_LAYER_ROLES; r++) {
        struct fill f = {hidden, hidden, 0, spread};

        if (r == MF_W_UP) {
            f.rows = i->ffn;
        } else if (r == MF_W_DOWN) {
            f.cols = i->ffn;
        } else if (r == MF_W_ATTENTION_NORM || r == MF_W_FFN_NORM) {
            f = (struct fill){1, hidden, 1, 0.2F};
        } else if (r % 2 == 1) { /* each bias stands behind its weight */
            f = (struct fill){1, r == MF_W_UP_BIAS ? i->ffn : hidden, 0, 0.3F};
        }
        w->layer_data[layer][r] = fill_tensor(&w->layer[layer][r], &f, seed);
    }
}

struct mf_weights *kit_model(const struct kit_shape *shape)
{
    struct mf_weights *w = mf_calloc(1, sizeof(*w));
    uint32_t seed = 7;
    bool has_offset = shape->arch == MF_ARCH_MPNET || shape->arch == MF_ARCH_ROBERTA;

    assert_non_null(w);
    w->info = (struct mf_weights_info){
        .arch = shape->arch,
        .n_layers = shape->n_layers,
        .hidden = shape->hidden,
        .n_heads = shape->n_heads,
        .ffn = shape->ffn,
        .n_vocab = KIT_VOCAB,
        .n_positions = shape->window + 2,
        .position_offset = has_offset ? 2 : 0,
        .window = shape->window,
        .norm_eps = 1e-12F,
        .activation = shape->activation,
        .pooling = shape->pooling,
        .name = "made-up",
    };
    memset(w->info.revision, 'a', MF_REVISION_LEN);
    fill_model(w, &seed);
    for (uint32_t i = 0; i < shape->n_layers; i++) {
        fill_layer(w, i, &seed);
    }
    return w;
}

void kit_model_free(struct mf_weights *w)
{
    for (int r = 0; r < MF_W_MODEL_ROLES; r++) {
        mf_free(w->model_data[r]);
    }
    for (uint32_t i = 0; i < w->info.n_layers; i++) {
        for (int r = 0; r < MF_W_LAYER_ROLES; r++) {
            mf_free(w->layer_data[i][r]);
        }
    }
    mf_free(w);
}

void kit_texts(struct kit_texts *t, size_t n, uint32_t longest, uint32_t seed)
{
    memset(t, 0, sizeof(*t));
    for (size_t i = 0; i < n; i++) {
        uint32_t length = 1 + next(&seed) % longest;

        t->at[i + 1] = t->at[i] + length;
        assert_true(t->at[i + 1] <= KIT_IDS_MAX);
        for (uint32_t p = t->at[i]; p < t->at[i + 1]; p++) {
            t->id[p] = next(&seed) % KIT_VOCAB;
        }
    }
    t->ids = (struct mf_ids){.id = t->id, .at = t->at, .n = n};
}

struct mf_ids kit_one(const struct mf_ids *ids, size_t i, uint32_t at[2])
{
    at[0] = ids->at[i];
    at[1] = ids->at[i + 1];
    return (struct mf_ids){.id = ids->id, .at = at, .n = 1};
}

struct mf_encoder *kit_open(const struct mf_weights *w, enum mf_precision_wish wish)
{
    struct mf_encoder_options opt = {.wish = wish};
    struct mf_encoder *e;

    MF_CHECK_OK(mf_encoder_open(&e, w, &opt, NULL));
    return e;
}

void kit_run(const struct mf_encoder *e, const struct mf_ids *ids, unsigned flags,
             float *out)
{
    struct mf_scratch *s;
    int rc[KIT_TEXTS_MAX];

    MF_CHECK_OK(mf_scratch_new(&s, e, 128));
    mf_encoder_run(e, s, ids, flags, out, rc);
    for (size_t i = 0; i < ids->n; i++) {
        MF_CHECK_OK(rc[i]);
    }
    mf_scratch_free(s);
}

double kit_cosine(const float *a, const float *b, uint32_t n)
{
    double ab = 0;
    double aa = 0;
    double bb = 0;

    for (uint32_t i = 0; i < n; i++) {
        ab += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    return ab / sqrt(aa * bb);
}

static void norm(double *x, uint32_t n, const float *g, const float *b)
{
    double mean = 0;
    double variance = 0;

    for (uint32_t i = 0; i < n; i++) {
        mean += x[i] / n;
    }
    for (uint32_t i = 0; i < n; i++) {
        variance += (x[i] - mean) * (x[i] - mean) / n;
    }
    for (uint32_t i = 0; i < n; i++) {
        x[i] = (x[i] - mean) / sqrt(variance + 1e-12) * (double)g[i] + (double)b[i];
    }
}

static void dense(const struct mf_weights *w, uint32_t layer, enum mf_layer_role role,
                  const double *x, double *y)
{
    const struct mf_tensor *t = &w->layer[layer][role];
    const float *weight = w->layer_data[layer][role];
    const float *bias = w->layer_data[layer][role + 1];

    for (uint32_t o = 0; o < t->rows; o++) {
        y[o] = (double)bias[o];
        for (uint32_t i = 0; i < t->cols; i++) {
            y[o] += (double)weight[(size_t)o * t->cols + i] * x[i];
        }
    }
}

static double activate(enum mf_activation a, double x)
{
    switch (a) {
    case MF_ACT_RELU: return x > 0 ? x : 0;
    case MF_ACT_GELU_TANH:
        return 0.5 * x * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
    case MF_ACT_GELU:
    default: return 0.5 * x * (1 + erf(x / sqrt(2)));
    }
}

/* As published for T5 and MPNet. */
static uint32_t bucket(int distance)
{
    int n = abs(distance);
    int at = n < 8 ? n : 8 + (int)(logf((float)n / 8) / logf(16) * 8);

    return (uint32_t)((at > 15 ? 15 : at) + (distance > 0 ? KIT_BUCKETS / 2 : 0));
}

static double score(const struct mf_weights *w, const double *q, const double *k,
                    uint32_t head, int distance)
{
    uint32_t dim = w->info.hidden / w->info.n_heads;
    double s = 0;

    for (uint32_t d = 0; d < dim; d++) {
        s += q[head * dim + d] * k[head * dim + d];
    }
    s /= sqrt(dim);
    if (w->info.arch == MF_ARCH_MPNET) {
        s +=
            (double)
                w->model_data[MF_W_RELATIVE][bucket(distance) * w->info.n_heads + head];
    }
    return s;
}

struct qkv {
    double q[MAX_TOKENS][MAX_WIDE], k[MAX_TOKENS][MAX_WIDE], v[MAX_TOKENS][MAX_WIDE];
};

static void attend_head(const struct mf_weights *w, const struct qkv *a, uint32_t n,
                        uint32_t i, uint32_t h, double *out)
{
    uint32_t dim = w->info.hidden / w->info.n_heads;
    double sum = 0;
    double p[MAX_TOKENS];

    for (uint32_t j = 0; j < n; j++) {
        p[j] = exp(score(w, a->q[i], a->k[j], h, (int)j - (int)i));
        sum += p[j];
    }
    for (uint32_t d = h * dim; d < (h + 1) * dim; d++) {
        out[d] = 0;
        for (uint32_t j = 0; j < n; j++) {
            out[d] += p[j] / sum * a->v[j][d];
        }
    }
}

static void attend(const struct mf_weights *w, const struct qkv *a, uint32_t n,
                   uint32_t i, double *out)
{
    for (uint32_t h = 0; h < w->info.n_heads; h++) {
        attend_head(w, a, n, i, h, out);
    }
}

static void layer_rows(const struct mf_weights *w, uint32_t l, uint32_t n, double *rows)
{
    static struct qkv a;
    uint32_t hidden = w->info.hidden;
    float *const *data = w->layer_data[l];
    double y[MAX_WIDE];
    double z[MAX_WIDE];

    for (uint32_t i = 0; i < n; i++) {
        dense(w, l, MF_W_QUERY, rows + (size_t)i * hidden, a.q[i]);
        dense(w, l, MF_W_KEY, rows + (size_t)i * hidden, a.k[i]);
        dense(w, l, MF_W_VALUE, rows + (size_t)i * hidden, a.v[i]);
    }
    for (uint32_t i = 0; i < n; i++) {
        double *x = rows + (size_t)i * hidden;

        attend(w, &a, n, i, y);
        dense(w, l, MF_W_OUT, y, z);
        for (uint32_t d = 0; d < hidden; d++) {
            x[d] += z[d];
        }
        norm(x, hidden, data[MF_W_ATTENTION_NORM], data[MF_W_ATTENTION_NORM_BIAS]);
        dense(w, l, MF_W_UP, x, y);
        for (uint32_t d = 0; d < w->info.ffn; d++) {
            y[d] = activate(w->info.activation, y[d]);
        }
        dense(w, l, MF_W_DOWN, y, z);
        for (uint32_t d = 0; d < hidden; d++) {
            x[d] += z[d];
        }
        norm(x, hidden, data[MF_W_FFN_NORM], data[MF_W_FFN_NORM_BIAS]);
    }
}

/* The row that word `id` at place `i` brings. */
static void embed_piece(const struct mf_weights *w, uint32_t id, uint32_t i, double *x)
{
    size_t hidden = w->info.hidden;
    size_t place = (i + w->info.position_offset) * hidden;
    bool has_types = w->model[MF_W_TYPES].rows > 0;

    for (size_t d = 0; d < hidden; d++) {
        x[d] = (double)w->model_data[MF_W_WORDS][id * hidden + d] +
               (double)w->model_data[MF_W_POSITIONS][place + d] +
               (has_types ? (double)w->model_data[MF_W_TYPES][d] : 0);
    }
    norm(x, w->info.hidden, w->model_data[MF_W_EMBED_NORM],
         w->model_data[MF_W_EMBED_NORM_BIAS]);
}

void kit_reference(const struct mf_weights *w, const uint32_t *id, uint32_t n,
                   double *rows)
{
    uint32_t hidden = w->info.hidden;

    assert_true(n <= MAX_TOKENS && w->info.ffn <= MAX_WIDE && hidden <= MAX_WIDE);
    for (uint32_t i = 0; i < n; i++) {
        embed_piece(w, id[i], i, rows + (size_t)i * hidden);
    }
    for (uint32_t l = 0; l < w->info.n_layers; l++) {
        layer_rows(w, l, n, rows);
    }
}

static double pool(enum mf_pooling how, const double *column, uint32_t n, uint32_t step)
{
    double y = how == MF_POOL_LAST ? column[(size_t)(n - 1) * step] : column[0];

    for (uint32_t i = 1; i < n; i++) {
        double x = column[(size_t)i * step];

        if (how == MF_POOL_MEAN) {
            y += x;
        } else if (how == MF_POOL_MAX && x > y) {
            y = x;
        }
    }
    return how == MF_POOL_MEAN ? y / n : y;
}

void kit_reference_vector(const struct mf_weights *w, const uint32_t *id, uint32_t n,
                          double *out)
{
    static double rows[MAX_TOKENS * MAX_WIDE];
    uint32_t hidden = w->info.hidden;
    double square = 0;

    kit_reference(w, id, n, rows);
    for (uint32_t d = 0; d < hidden; d++) {
        out[d] = pool(w->info.pooling, rows + d, n, hidden);
        square += out[d] * out[d];
    }
    for (uint32_t d = 0; d < hidden; d++) {
        out[d] /= sqrt(square);
    }
}
