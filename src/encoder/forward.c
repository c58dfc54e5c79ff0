/* SPDX-License-Identifier: Apache-2.0 */
/* Chunks of texts through all layers. Rows stand one under the other; only attention
 * and pooling see where a text begins and ends. */
#include "base/mem.h"
#include "encoder/encoder_in.h"

#include <math.h>
#include <string.h>

#define CACHE_LINE  64
#define FETCH_AHEAD 4 /* pieces */

struct run {
    const struct mf_stack *st;
    const struct mf_frame *f;
    struct mf_scratch *s;
    const struct mf_ids *ids;
    size_t first, last; /* texts of this chunk */
    size_t n_rows;
};

static size_t text_pieces(const struct mf_ids *ids, size_t i)
{
    return ids->at[i + 1] - ids->at[i];
}

static void raise_absmax(float *max, const float *x, size_t rows, uint32_t k)
{
    for (size_t i = 0; i < rows * k; i++) {
        max[i % k] = fmaxf(max[i % k], fabsf(x[i]));
    }
}

static void run_dense(const struct run *r, uint32_t layer, enum mf_dense_role role,
                      const float *x, size_t rows, float *y)
{
    const struct mf_frame *f = r->f;
    uint32_t k = mf_dense_inputs(f, role);
    enum mf_epilogue ep = role == MF_DENSE_QKV  ? MF_EP_BIAS
                          : role == MF_DENSE_UP ? f->activation
                                                : MF_EP_RESIDUAL;

    if (r->s->absmax != NULL) {
        raise_absmax(r->s->absmax + mf_absmax_at(f, layer, role), x, rows, k);
    }
    mf_dense_ops(&r->st->choice, role)
        ->run(r->st->dense[(size_t)layer * MF_DENSE_ROLES + role], x, k, rows, y,
              mf_dense_outputs(f, role), ep, r->s->work);
}

static void norm_rows(const struct run *r, float *x, size_t rows,
                      const struct mf_norm *n)
{
    r->f->rows->layer_norm(x, rows, r->f->info.hidden, n->scale, n->bias,
                           r->f->info.norm_eps);
}

/* Pieces are anywhere in the table: their rows come a few pieces before they are read.
 * Not of packed numbers: their reading takes longer than their coming. */
static void fetch_ahead(const struct mf_tensor *words, const uint32_t *id,
                        const uint32_t *end)
{
    bool is_f32 = words->dtype == MF_DTYPE_F32;
    bool is_half = words->dtype == MF_DTYPE_F16 || words->dtype == MF_DTYPE_BF16;
    size_t bytes = words->cols * (is_f32 ? sizeof(float) : sizeof(uint16_t));
    const char *row;

    if ((!is_f32 && !is_half) || end - id <= FETCH_AHEAD) {
        return;
    }
    row = (const char *)words->data + id[FETCH_AHEAD] * bytes;
    for (size_t at = 0; at < bytes; at += CACHE_LINE) {
        __builtin_prefetch(row + at);
    }
}

static void embed_pieces(const struct run *r)
{
    const uint32_t *end = r->ids->id + r->ids->at[r->last];
    const struct mf_tensor *words = mf_weights_of_model(r->f->weights, MF_W_WORDS);
    size_t hidden = r->f->info.hidden;
    float *x = r->s->x;

    for (size_t i = r->first; i < r->last; i++) {
        const uint32_t *id = r->ids->id + r->ids->at[i];

        for (size_t p = 0; p < text_pieces(r->ids, i); p++, x += hidden) {
            fetch_ahead(words, id + p, end);
            mf_tensor_read(words, id[p], 1, x);
            r->f->rows->add(x, r->f->positions + p * hidden, hidden);
        }
    }
    norm_rows(r, r->s->x, r->n_rows, &r->f->embed);
}

static void attend_texts(const struct run *r)
{
    const struct mf_frame *f = r->f;
    bool exact = r->st->choice.main->precision == MF_PREC_F32;
    size_t hidden = f->info.hidden;
    size_t row = 0;

    for (size_t i = r->first; i < r->last; i++) {
        struct mf_attention a = {
            .qkv = r->s->qkv + row * 3 * hidden,
            .out = r->s->context + row * hidden,
            .n = (uint32_t)text_pieces(r->ids, i),
            .width = f->info.hidden,
            .n_heads = f->info.n_heads,
            .bias = f->relative == NULL ? NULL : f->relative + f->info.window - 1,
            .bias_ld = 2 * (size_t)f->info.window - 1,
        };

        (exact ? f->rows->attention : f->rows->attention_fast)(&a, r->s->work);
        row += a.n;
    }
}

static void run_ffn(const struct run *r, uint32_t layer)
{
    size_t hidden = r->f->info.hidden;

    for (size_t at = 0; at < r->n_rows; at += MF_FFN_ROWS) {
        size_t n = mf_min(r->n_rows - at, (size_t)MF_FFN_ROWS);
        float *x = r->s->x + at * hidden;

        run_dense(r, layer, MF_DENSE_UP, x, n, r->s->wide);
        run_dense(r, layer, MF_DENSE_DOWN, r->s->wide, n, x);
        norm_rows(r, x, n, &r->f->layers[layer].ffn);
    }
}

static void run_layers(const struct run *r)
{
    for (uint32_t i = 0; i < r->f->info.n_layers; i++) {
        run_dense(r, i, MF_DENSE_QKV, r->s->x, r->n_rows, r->s->qkv);
        attend_texts(r);
        run_dense(r, i, MF_DENSE_OUT, r->s->context, r->n_rows, r->s->x);
        norm_rows(r, r->s->x, r->n_rows, &r->f->layers[i].attention);
        run_ffn(r, i);
    }
}

/* Where the result of text i stands, and how many floats it is. */
static float *result_of(const struct mf_frame *f, const struct mf_ids *ids, size_t i,
                        unsigned flags, float *out, size_t *n)
{
    size_t hidden = f->info.hidden;

    if ((flags & MF_RUN_PER_TOKEN) != 0) {
        *n = text_pieces(ids, i) * hidden;
        return out + (ids->at[i] - ids->at[0]) * hidden;
    }
    *n = hidden;
    return out + i * hidden;
}

/* All rows are looked at: a pooling that skips rows, or takes a maximum, hides NaN. */
static int finish_text(const struct run *r, const float *x, size_t n_rows,
                       unsigned flags, float *out)
{
    size_t n = n_rows * r->f->info.hidden;

    if (!mf_is_finite(x, n)) {
        return MF_EBACKEND;
    }
    if ((flags & MF_RUN_PER_TOKEN) != 0) {
        memcpy(out, x, n * sizeof(float));
        return 0;
    }
    mf_pool(r->f, x, n_rows, out);
    if ((flags & MF_RUN_RAW) == 0) {
        mf_unit(out, r->f->info.hidden);
    }
    return mf_is_finite(out, r->f->info.hidden) ? 0 : MF_EBACKEND;
}

static void finish_texts(const struct run *r, unsigned flags, float *out, int *rc)
{
    const float *x = r->s->x;

    for (size_t i = r->first; i < r->last; i++) {
        size_t n_rows = text_pieces(r->ids, i);
        size_t n;
        float *y = result_of(r->f, r->ids, i, flags, out, &n);

        rc[i] = finish_text(r, x, n_rows, flags, y);
        if (rc[i] < 0) {
            memset(y, 0, n * sizeof(float));
        }
        x += n_rows * r->f->info.hidden;
    }
}

/* The tokenizer and the weights are two files: a piece may be unknown to the latter. */
static bool text_fits(const struct mf_frame *f, const struct mf_ids *ids, size_t i)
{
    size_t n = text_pieces(ids, i);
    const uint32_t *id = ids->id + ids->at[i];

    if (n == 0 || n > f->info.window) {
        return false;
    }
    for (size_t p = 0; p < n; p++) {
        if (id[p] >= f->info.n_vocab) {
            return false;
        }
    }
    return true;
}

static size_t chunk_end(const struct mf_frame *f, const struct mf_scratch *s,
                        const struct mf_ids *ids, size_t first)
{
    size_t i = first;

    while (i < ids->n && ids->at[i + 1] - ids->at[first] <= s->n_rows &&
           text_fits(f, ids, i)) {
        i++;
    }
    return i;
}

void mf_forward(const struct mf_stack *st, struct mf_scratch *s,
                const struct mf_ids *ids, unsigned flags, float *out, int *rc)
{
    const struct mf_frame *f = st->frame;
    size_t i = 0;

    while (i < ids->n) {
        struct run r = {.st = st, .f = f, .s = s, .ids = ids, .first = i};

        if (!text_fits(f, ids, i)) {
            size_t n;
            float *y = result_of(f, ids, i, flags, out, &n);

            memset(y, 0, n * sizeof(float));
            rc[i++] = MF_EBACKEND;
            continue;
        }
        i = r.last = chunk_end(f, s, ids, i);
        r.n_rows = ids->at[r.last] - ids->at[r.first];
        embed_pieces(&r);
        run_layers(&r);
        finish_texts(&r, flags, out, rc);
    }
}
