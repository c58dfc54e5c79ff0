/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sentence encoder as a model: tokenizer, weights and encoder of one folder or
 * file, and the work memory of the workers that use them.
 */
#include "base/mem.h"
#include "embed/model.h"
#include "embed/sample_texts.h"
#include "encoder/encoder.h"
#include "tokenizer/tokenizer.h"
#include "weights/weights.h"

#include <pthread.h>
#include <stdio.h>

#define BATCH_TOKENS 512 /* of one job: larger ones gain nothing on a CPU */
#define BATCH_TEXTS  64
#define MAX_TEXTS    256          /* of one job of a device */
#define TOKEN_BYTES  ((size_t)16) /* of text, at most, that become a piece */
#define MIN_WINDOW   8

/* What one call needs; kept for the next one. */
struct workspace {
    struct workspace *next;
    struct mf_scratch *scratch;
    uint32_t *id; /* max_tokens */
    uint32_t at[MAX_TEXTS + 1];
    size_t text[MAX_TEXTS]; /* which of the call's texts each one is */
    int rc[MAX_TEXTS];
    size_t n;
    unsigned flags; /* MF_TEXT_RAW or 0, of all in it */
};

struct transformer {
    struct mf_model model;
    struct mf_weights *weights;
    struct mf_tokenizer *tokenizer;
    struct mf_encoder *encoder;
    uint32_t max_pieces; /* of a text, specials included */
    char space[160], kernel[96];
    struct mf_prompt_text *prompts;
    pthread_mutex_t lock; /* of `idle` */
    struct workspace *idle;
};

static struct transformer *transformer_of(struct mf_model *m)
{
    return mf_container_of(m, struct transformer, model);
}

/* ---- work memory ---- */

static void workspace_free(struct workspace *w)
{
    mf_scratch_free(w->scratch);
    mf_free(w->id);
    mf_free(w);
}

static struct workspace *workspace_new(const struct transformer *t)
{
    size_t max_tokens = t->model.info.batch_tokens + t->max_pieces;
    struct workspace *w = mf_calloc(1, sizeof(*w));

    if (w == NULL) {
        return NULL;
    }
    w->id = mf_array(max_tokens, sizeof(*w->id));
    if (w->id == NULL || mf_scratch_new(&w->scratch, t->encoder, max_tokens) < 0) {
        w->scratch = NULL;
        workspace_free(w);
        return NULL;
    }
    return w;
}

static struct workspace *workspace_take(struct transformer *t)
{
    struct workspace *w;

    pthread_mutex_lock(&t->lock);
    w = t->idle;
    if (w != NULL) {
        t->idle = w->next;
    }
    pthread_mutex_unlock(&t->lock);
    return w != NULL ? w : workspace_new(t);
}

static void workspace_give_back(struct transformer *t, struct workspace *w)
{
    pthread_mutex_lock(&t->lock);
    w->next = t->idle;
    t->idle = w;
    pthread_mutex_unlock(&t->lock);
}

/* ---- texts to vectors ---- */

/* Embeds what the workspace gathered; rows go to their texts' places. The encoder
 * writes rows one behind the other, which is where they belong unless a text failed
 * before. */
static void run_gathered(const struct transformer *t, struct workspace *w, float *out,
                         struct mf_text_result *res)
{
    struct mf_ids ids = {w->id, w->at, w->n};
    size_t dim = t->model.info.dim;
    size_t first = w->text[0];

    if (w->n == 0) {
        return;
    }
    mf_encoder_run(t->encoder, w->scratch, &ids, w->flags != 0 ? MF_RUN_RAW : 0,
                   out + first * dim, w->rc);
    for (size_t i = w->n; i > 0; i--) { /* backwards: rows only move up */
        size_t to = w->text[i - 1], from = first + i - 1;

        if (to != from) {
            memcpy(out + to * dim, out + from * dim, dim * sizeof(*out));
        }
        res[to].rc = w->rc[i - 1];
    }
    w->n = 0;
}

/* Puts the text's pieces behind those that are there; there is room for them. */
static void gather(const struct transformer *t, struct workspace *w,
                   const struct mf_text *text, size_t i, struct mf_text_result *res)
{
    uint32_t used = w->n == 0 ? 0 : w->at[w->n];
    struct mf_pieces p = {.id = w->id + used, .cap = t->max_pieces};
    unsigned flags = MF_ENCODE_SPECIAL;
    size_t n;

    if ((text->flags & MF_TEXT_LEFT) != 0) {
        flags |= MF_ENCODE_LEFT;
    }
    n = mf_tokenizer_encode(t->tokenizer, text->text, flags, &p);
    res->n_tokens = (uint32_t)p.n;
    res->rc = 0;
    if (n > p.n && (text->flags & MF_TEXT_WHOLE) != 0) {
        res->rc = MF_ETOOBIG;
        return;
    }
    w->at[w->n] = used;
    w->at[w->n + 1] = used + (uint32_t)p.n;
    w->text[w->n++] = i;
}

static bool has_room(const struct transformer *t, const struct workspace *w,
                     const struct mf_text *text)
{
    return w->n == 0 ||
           (w->n < t->model.info.batch_texts &&
            w->flags == (text->flags & MF_TEXT_RAW) &&
            w->at[w->n] + t->max_pieces <= mf_scratch_max_tokens(w->scratch));
}

MF_WORKER static int transformer_embed(struct mf_model *m, const struct mf_text *texts,
                                       size_t n, float *out, struct mf_text_result *res)
{
    struct transformer *t = transformer_of(m);
    struct workspace *w = workspace_take(t);

    if (w == NULL) {
        return MF_ENOMEM;
    }
    w->n = 0;
    for (size_t i = 0; i < n; i++) {
        if (!has_room(t, w, &texts[i])) {
            run_gathered(t, w, out, res);
        }
        w->flags = texts[i].flags & MF_TEXT_RAW;
        gather(t, w, &texts[i], i, &res[i]);
    }
    run_gathered(t, w, out, res);
    workspace_give_back(t, w);
    return 0;
}

MF_WORKER static int transformer_states(struct mf_model *m, const struct mf_text *text,
                                        float **out, uint32_t *n_tokens)
{
    struct transformer *t = transformer_of(m);
    struct workspace *w = workspace_take(t);
    struct mf_text_result res;
    struct mf_ids ids;

    if (w == NULL) {
        return MF_ENOMEM;
    }
    w->n = 0;
    gather(t, w, text, 0, &res);
    ids = (struct mf_ids){w->id, w->at, 1};
    *out =
        res.rc == 0 ? mf_array(res.n_tokens, t->model.info.dim * sizeof(**out)) : NULL;
    if (res.rc == 0 && *out == NULL) {
        res.rc = MF_ENOMEM;
    }
    if (res.rc == 0) {
        mf_encoder_run(t->encoder, w->scratch, &ids, MF_RUN_PER_TOKEN, *out, &res.rc);
    }
    workspace_give_back(t, w);
    if (res.rc != 0) {
        mf_free(*out);
        *out = NULL;
    }
    *n_tokens = res.n_tokens;
    return res.rc;
}

/* ---- pieces ---- */

MF_WORKER static size_t transformer_pieces(struct mf_model *m, struct mf_slice text,
                                           uint32_t *at, size_t cap)
{
    return mf_tokenizer_offsets(transformer_of(m)->tokenizer, text, at, cap);
}

MF_WORKER static size_t transformer_tokenize(struct mf_model *m,
                                             const struct mf_text *text, bool special,
                                             struct mf_piece *out, size_t cap)
{
    const struct mf_tokenizer *t = transformer_of(m)->tokenizer;
    uint32_t *block = mf_array(mf_max(cap, (size_t)1), 3 * sizeof(*block));
    struct mf_pieces p = {.id = block, .cap = cap};
    size_t n_special = special ? mf_tokenizer_info(t)->n_special : 0;
    size_t n;

    if (block == NULL) {
        return 0;
    }
    p.start = block + cap;
    p.end = block + 2 * cap;
    n = mf_tokenizer_encode(t, text->text,
                            MF_ENCODE_COUNT | (special ? MF_ENCODE_SPECIAL : 0u), &p);
    for (size_t i = 0; i < p.n; i++) {
        out[i].id = p.id[i];
        out[i].start = p.start[i];
        out[i].end = p.end[i];
        out[i].writing = mf_tokenizer_piece(t, p.id[i]);
        out[i].is_special = n_special > 0 && (i == 0 || i + 1 == n);
    }
    mf_free(block);
    return n;
}

/* ---- a device ---- */

static struct mf_encoder *transformer_encoder(struct mf_model *m)
{
    return transformer_of(m)->encoder;
}

static void drop_workspaces(struct transformer *t)
{
    struct workspace *w;

    while ((w = t->idle) != NULL) {
        t->idle = w->next;
        workspace_free(w);
    }
}

static bool is_same_space(const struct transformer *t, const struct mf_model_device *d)
{
    bool is_int8 = strncmp(t->model.info.precision, "int8", 4) == 0;

    return d->agreement >= (is_int8 ? MF_GUARD_MIN_INT8 : MF_GUARD_MIN_HALF);
}

static void transformer_set_device(struct mf_model *m, const struct mf_model_device *d)
{
    struct transformer *t = transformer_of(m);
    struct mf_model_info *info = &m->info;
    size_t used = strlen(t->space);

    drop_workspaces(t); /* of the old size */
    if (!is_same_space(t, d)) {
        (void)snprintf(t->space + used, sizeof(t->space) - used, "+%s", d->name);
        info->space_id = mf_space_id(t->space);
    }
    if (d->batch_tokens > info->batch_tokens) {
        info->batch_tokens = d->batch_tokens;
        info->batch_texts = MAX_TEXTS;
        info->batch_bytes = TOKEN_BYTES * d->batch_tokens;
    }
}

/* ---- open and close ---- */

static void transformer_close(struct mf_model *m)
{
    struct transformer *t = transformer_of(m);

    drop_workspaces(t);
    if (t->encoder != NULL) {
        mf_encoder_close(t->encoder);
    }
    if (t->tokenizer != NULL) {
        mf_tokenizer_close(t->tokenizer);
    }
    if (t->weights != NULL) {
        mf_weights_close(t->weights);
    }
    pthread_mutex_destroy(&t->lock);
    mf_free(t->prompts);
    mf_free(t);
}

static const struct mf_model_ops transformer_ops = {
    .name = "transformer",
    .embed = transformer_embed,
    .pieces = transformer_pieces,
    .tokenize = transformer_tokenize,
    .states = transformer_states,
    .encoder = transformer_encoder,
    .set_device = transformer_set_device,
    .close = transformer_close,
};

/* Sample texts as the encoder takes them; one block, `id` to be freed. */
struct sample {
    uint32_t *id, *at;
    size_t n;
};

static int sample_make(struct sample *s, const struct transformer *t,
                       const char *const *texts, size_t n)
{
    size_t used = 0;

    s->n = n;
    s->id = mf_array(n * t->max_pieces + n + 1, sizeof(*s->id));
    if (s->id == NULL) {
        return MF_ENOMEM;
    }
    s->at = s->id + n * t->max_pieces;
    for (size_t i = 0; i < n; i++) {
        struct mf_pieces p = {.id = s->id + used, .cap = t->max_pieces};

        s->at[i] = (uint32_t)used;
        (void)mf_tokenizer_encode(t->tokenizer, mf_slice_str(texts[i]),
                                  MF_ENCODE_SPECIAL, &p);
        used += p.n;
    }
    s->at[n] = (uint32_t)used;
    return 0;
}

static int open_encoder(struct transformer *t, const struct mf_model_options *opt,
                        enum mf_precision_wish wish, struct mf_err *err)
{
    struct sample calibration = {NULL, NULL, 0}, guard = {NULL, NULL, 0};
    int rc = sample_make(&calibration, t, mf_sample_calibration, MF_SAMPLE_CALIBRATION);

    if (rc == 0) {
        rc = sample_make(&guard, t, mf_sample_guard, MF_SAMPLE_GUARD);
    }
    if (rc == 0) {
        struct mf_encoder_options o = {
            .wish = wish,
            .calibration = {calibration.id, calibration.at, calibration.n},
            .guard = {guard.id, guard.at, guard.n},
            .cache_dir = opt->cache_dir,
        };

        rc = mf_encoder_open(&t->encoder, t->weights, &o, err);
    } else {
        rc = mf_err_set(err, rc, "model %s: out of memory", opt->model);
    }
    mf_free(calibration.id);
    mf_free(guard.id);
    return rc;
}

static int wish_of(const char *precision, enum mf_precision_wish *out)
{
    static const char *const names[] = {
        [MF_WISH_AUTO] = "auto", [MF_WISH_F32] = "f32",   [MF_WISH_BF16] = "bf16",
        [MF_WISH_FP16] = "fp16", [MF_WISH_INT8] = "int8",
    };

    for (size_t i = 0; i < mf_countof(names); i++) {
        if (strcmp(precision, names[i]) == 0) {
            *out = (enum mf_precision_wish)i;
            return 0;
        }
    }
    return MF_EINVAL;
}

/* Tokenizer and weights were published together, and yet. */
static int check_fit(struct transformer *t, const struct mf_model_options *opt,
                     struct mf_err *err)
{
    const struct mf_weights_info *w = mf_weights_info(t->weights);
    const struct mf_tokenizer_info *k = mf_tokenizer_info(t->tokenizer);

    if (k->n_vocab > w->n_vocab) {
        return mf_err_set(err, MF_EINVAL,
                          "model %s: its tokenizer has %u pieces, its weights only %u; "
                          "take both from the same publication",
                          opt->model, k->n_vocab, w->n_vocab);
    }
    if (w->window < MIN_WINDOW) {
        return mf_err_set(
            err, MF_EINVAL,
            "model %s: a window of %u pieces is too small, %d is the least", opt->model,
            w->window, MIN_WINDOW);
    }
    t->max_pieces = w->window;
    return 0;
}

/* Of the files beside the weights, or of the vocabulary that is in their file. */
static int open_tokenizer(struct transformer *t, const struct mf_model_options *opt,
                          struct mf_err *err)
{
    const struct mf_weights_vocab *v = mf_weights_vocab(t->weights);
    struct mf_tokenizer_vocab given;
    int rc;

    if (v == NULL) {
        return mf_tokenizer_open(&t->tokenizer, opt->model, err);
    }
    given = (struct mf_tokenizer_vocab){.pieces = v->pieces,
                                        .n = v->n,
                                        .special = v->special,
                                        .n_special = v->n_special,
                                        .cls_id = v->cls_id,
                                        .sep_id = v->sep_id,
                                        .unk_id = v->unk_id,
                                        .pad_id = v->pad_id,
                                        .lowercase = v->lowercase};
    rc = mf_tokenizer_open_vocab(&t->tokenizer, &given, err);
    return rc < 0 ? mf_err_wrap(err, rc, "%s", opt->model) : 0;
}

static int open_parts(struct transformer *t, const struct mf_model_options *opt,
                      struct mf_err *err)
{
    enum mf_precision_wish wish;
    int rc;

    if (wish_of(opt->precision, &wish) < 0) {
        return mf_err_set(err, MF_EINVAL, "precision '%.32s' is not known",
                          opt->precision);
    }
    rc = mf_weights_open(&t->weights, opt->model, err);
    if (rc == 0) {
        rc = open_tokenizer(t, opt, err);
    }
    if (rc == 0) {
        rc = check_fit(t, opt, err);
    }
    return rc < 0 ? rc : open_encoder(t, opt, wish, err);
}

static int copy_prompts(struct transformer *t)
{
    const struct mf_weights_info *w = mf_weights_info(t->weights);

    if (w->n_prompts == 0) {
        return 0;
    }
    t->prompts = mf_array(w->n_prompts, sizeof(*t->prompts));
    if (t->prompts == NULL) {
        return MF_ENOMEM;
    }
    for (size_t i = 0; i < w->n_prompts; i++) {
        t->prompts[i].name = w->prompts[i].name;
        t->prompts[i].text = w->prompts[i].text;
    }
    t->model.info.prompts = t->prompts;
    t->model.info.n_prompts = w->n_prompts;
    t->model.info.default_prompt = w->default_prompt;
    return 0;
}

/* All that decides where a vector lies: the weights by their content (a folder may be
 * renamed), how pieces become one vector, the precision, and what is put before a
 * document. */
static void name_space(struct transformer *t)
{
    const struct mf_weights_info *w = mf_weights_info(t->weights);
    struct mf_slice prompt = mf_model_prompt(&t->model.info, MF_USE_DOCUMENT);

    (void)snprintf(t->space, sizeof(t->space), "%.32s/%u/%s/%s", w->revision, w->window,
                   mf_pooling_name(w->pooling), mf_encoder_info(t->encoder)->precision);
    if (prompt.n > 0) {
        size_t used = strlen(t->space);

        (void)snprintf(t->space + used, sizeof(t->space) - used, "/%08x",
                       (unsigned)mf_space_id(prompt.p));
    }
}

static void fill_info(struct transformer *t)
{
    const struct mf_weights_info *w = mf_weights_info(t->weights);
    const struct mf_encoder_info *e = mf_encoder_info(t->encoder);
    struct mf_model_info *info = &t->model.info;

    name_space(t);
    (void)snprintf(t->kernel, sizeof(t->kernel), "%s %s", e->kernel, e->isa);
    info->name = w->name;
    info->space = t->space;
    info->space_id = mf_space_id(t->space);
    info->dim = (uint16_t)w->hidden;
    info->n_special = mf_tokenizer_info(t->tokenizer)->n_special;
    info->window = t->max_pieces - info->n_special;
    info->is_semantic = true;
    info->batch_texts = BATCH_TEXTS;
    info->batch_bytes = TOKEN_BYTES * BATCH_TOKENS;
    info->batch_tokens = BATCH_TOKENS;
    info->prefers_cores = true;
    info->precision = e->precision;
    info->kernel = t->kernel;
    info->guard_min = e->guard_min;
    info->guard_mean = e->guard_mean;
    info->pooling = mf_pooling_name(w->pooling);
    info->dtype = mf_dtype_name(w->dtype);
    info->revision = w->revision;
}

int mf_model_transformer_open(struct mf_model **out, const struct mf_model_options *opt,
                              struct mf_err *err)
{
    struct transformer *t = mf_calloc(1, sizeof(*t));
    int rc;

    if (t == NULL) {
        return mf_err_set(err, MF_ENOMEM, "model %s: out of memory", opt->model);
    }
    t->model.ops = &transformer_ops;
    if (pthread_mutex_init(&t->lock, NULL) != 0) {
        mf_free(t);
        return mf_err_set(err, MF_ENOMEM, "model %s: no mutex", opt->model);
    }
    rc = open_parts(t, opt, err);
    if (rc == 0) {
        rc = copy_prompts(t);
    }
    if (rc < 0) {
        transformer_close(&t->model);
        return rc;
    }
    fill_info(t);
    *out = &t->model;
    return 0;
}
