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
    bool has_bf16; /* what only linear layers or the attention read is bf16 */
    void *slot;    /* of the device that computes this chunk's linears; or NULL */
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

/* Whether what a layer reads, or writes, is bf16: what is rounded to that, or coarser,
 * before it is multiplied need not be kept as float. */
static bool reads_bf16(const struct run *r, enum mf_dense_role role)
{
    return r->has_bf16 &&
           (role == MF_DENSE_OUT ||
            mf_dense_ops(&r->st->choice, role)->precision == MF_PREC_BF16);
}

static bool writes_bf16(const struct run *r, enum mf_dense_role role)
{
    return r->has_bf16 && (role == MF_DENSE_QKV ||
                           (role == MF_DENSE_UP && reads_bf16(r, MF_DENSE_DOWN)));
}

static enum mf_epilogue epilogue_of(const struct mf_frame *f, enum mf_dense_role role)
{
    return role == MF_DENSE_QKV  ? MF_EP_BIAS
           : role == MF_DENSE_UP ? f->activation
                                 : MF_EP_RESIDUAL;
}

static void run_dense(const struct run *r, uint32_t layer, enum mf_dense_role role,
                      const void *x, size_t rows, void *y)
{
    const struct mf_frame *f = r->f;
    struct mf_linear_call c = {
        .x = x,
        .y = y,
        .ldx = mf_dense_inputs(f, role),
        .ldy = mf_dense_outputs(f, role),
        .rows = rows,
        .ep = epilogue_of(f, role),
        .x_is_bf16 = reads_bf16(r, role),
        .y_is_bf16 = writes_bf16(r, role),
        .work = r->s->work,
    };

    if (r->s->absmax != NULL) {
        raise_absmax(r->s->absmax + mf_absmax_at(f, layer, role), x, rows,
                     (uint32_t)c.ldx);
    }
    mf_dense_ops(&r->st->choice, role)
        ->run(r->st->dense[(size_t)layer * MF_DENSE_ROLES + role], &c);
}

/* Rows from `first` on. */
static void norm_rows(const struct run *r, size_t first, size_t rows,
                      const struct mf_norm *norm)
{
    uint32_t hidden = r->f->info.hidden;
    struct mf_norm_rows n = {.x = r->s->x + first * hidden,
                             .rows = rows,
                             .width = hidden,
                             .g = norm->scale,
                             .b = norm->bias,
                             .eps = r->f->info.norm_eps};

    if (reads_bf16(r, MF_DENSE_QKV)) {
        r->f->rows->layer_norm_bf16(&n, r->s->half + first * hidden);
    } else {
        r->f->rows->layer_norm(n.x, rows, hidden, n.g, n.b, n.eps);
    }
}

/* What a linear layer reads of x. */
static const void *rows_of_x(const struct run *r, size_t first)
{
    size_t at = first * r->f->info.hidden;

    return reads_bf16(r, MF_DENSE_QKV) ? (const void *)(r->s->half + at)
                                       : (const void *)(r->s->x + at);
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
    norm_rows(r, 0, r->n_rows, &r->f->embed);
}

/* Text i, whose rows begin at `row`. */
static void attend_text(const struct run *r, size_t i, size_t row)
{
    const struct mf_frame *f = r->f;
    size_t hidden = f->info.hidden;
    struct mf_attention a = {
        .qkv = r->s->qkv + row * 3 * hidden,
        .out = r->s->context + row * hidden,
        .n = (uint32_t)text_pieces(r->ids, i),
        .width = f->info.hidden,
        .n_heads = f->info.n_heads,
        .bias = f->relative == NULL ? NULL : f->relative + f->info.window - 1,
        .bias_ld = 2 * (size_t)f->info.window - 1,
    };

    if (r->st->choice.main->precision == MF_PREC_F32) {
        f->rows->attention(&a, r->s->work);
    } else {
        f->rows->attention_fast(&a, r->s->work);
    }
}

static void attend_text_bf16(const struct run *r, size_t i, size_t row)
{
    const struct mf_frame *f = r->f;
    size_t hidden = f->info.hidden;
    struct mf_attention_bf16 a = {
        .qkv = (const uint16_t *)(const void *)r->s->qkv + row * 3 * hidden,
        .out = (uint16_t *)(void *)r->s->context + row * hidden,
        .n = (uint32_t)text_pieces(r->ids, i),
        .width = f->info.hidden,
        .n_heads = f->info.n_heads,
        .bias = f->relative == NULL ? NULL : f->relative + f->info.window - 1,
        .bias_ld = 2 * (size_t)f->info.window - 1,
    };

    f->rows->attention_bf16(&a, r->s->work);
}

static void attend_texts(const struct run *r)
{
    size_t row = 0;

    for (size_t i = r->first; i < r->last; i++) {
        if (r->has_bf16) {
            attend_text_bf16(r, i, row);
        } else {
            attend_text(r, i, row);
        }
        row += text_pieces(r->ids, i);
    }
}

static void run_ffn(const struct run *r, uint32_t layer)
{
    for (size_t at = 0; at < r->n_rows; at += MF_FFN_ROWS) {
        size_t n = mf_min(r->n_rows - at, (size_t)MF_FFN_ROWS);

        run_dense(r, layer, MF_DENSE_UP, rows_of_x(r, at), n, r->s->wide);
        run_dense(r, layer, MF_DENSE_DOWN, r->s->wide, n,
                  r->s->x + at * r->f->info.hidden);
        norm_rows(r, at, n, &r->f->layers[layer].ffn);
    }
}

static void run_layers(const struct run *r)
{
    for (uint32_t i = 0; i < r->f->info.n_layers; i++) {
        run_dense(r, i, MF_DENSE_QKV, rows_of_x(r, 0), r->n_rows, r->s->qkv);
        attend_texts(r);
        run_dense(r, i, MF_DENSE_OUT, r->s->context, r->n_rows, r->s->x);
        norm_rows(r, 0, r->n_rows, &r->f->layers[i].attention);
        run_ffn(r, i);
    }
}

/* All rows at once on the device, floats; what it cannot is done here. */
static void run_on_device(const struct run *r, uint32_t layer, enum mf_dense_role role,
                          const float *x, float *y)
{
    const struct mf_encoder_device *d = &r->st->device;
    struct mf_device_call c = {.layer = layer,
                               .role = role,
                               .x = x,
                               .y = y,
                               .rows = r->n_rows,
                               .ep = epilogue_of(r->f, role)};

    if (d->linear(d->arg, r->slot, &c) < 0) {
        run_dense(r, layer, role, x, r->n_rows, y);
    }
}

static void run_layers_on_device(const struct run *r)
{
    struct mf_scratch *s = r->s;

    for (uint32_t i = 0; i < r->f->info.n_layers; i++) {
        run_on_device(r, i, MF_DENSE_QKV, s->x, s->qkv);
        attend_texts(r);
        run_on_device(r, i, MF_DENSE_OUT, s->context, s->x);
        norm_rows(r, 0, r->n_rows, &r->f->layers[i].attention);
        run_on_device(r, i, MF_DENSE_UP, s->x, s->wide);
        run_on_device(r, i, MF_DENSE_DOWN, s->wide, s->x);
        norm_rows(r, 0, r->n_rows, &r->f->layers[i].ffn);
    }
}

/* A device is asked once a chunk: where there is none, no product pays for the
 * question. */
static void run_chunk(struct run *r)
{
    const struct mf_encoder_device *d = &r->st->device;

    if (d->begin != NULL && r->n_rows <= r->s->wide_rows) {
        r->slot = d->begin(d->arg, r->n_rows);
    }
    if (r->slot == NULL) {
        embed_pieces(r);
        run_layers(r);
        return;
    }
    r->has_bf16 = false;
    embed_pieces(r);
    run_layers_on_device(r);
    d->end(d->arg, r->slot);
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

/* Not while maxima are looked for: those are of floats. */
static bool keeps_bf16(const struct mf_stack *st, const struct mf_scratch *s)
{
    return st->choice.main->precision != MF_PREC_F32 && s->absmax == NULL &&
           st->frame->rows->attention_bf16 != NULL && st->choice.main->has_bf16() &&
           st->choice.down->has_bf16();
}

void mf_forward(const struct mf_stack *st, struct mf_scratch *s,
                const struct mf_ids *ids, unsigned flags, float *out, int *rc)
{
    const struct mf_frame *f = st->frame;
    bool has_bf16 = keeps_bf16(st, s);
    size_t i = 0;

    while (i < ids->n) {
        struct run r = {
            .st = st, .f = f, .s = s, .ids = ids, .first = i, .has_bf16 = has_bf16};

        if (!text_fits(f, ids, i)) {
            size_t n;
            float *y = result_of(f, ids, i, flags, out, &n);

            memset(y, 0, n * sizeof(float));
            rc[i++] = MF_EBACKEND;
            continue;
        }
        i = r.last = chunk_end(f, s, ids, i);
        r.n_rows = ids->at[r.last] - ids->at[r.first];
        run_chunk(&r);
        finish_texts(&r, flags, out, rc);
    }
}
