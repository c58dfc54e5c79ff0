/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "encoder/encoder_in.h"

static size_t aligned_bytes(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

/* Of any number of rows up to `n_rows`: a kernel may cut many rows into smaller blocks
 * than it makes of fewer, so the most rows need not be the most bytes. */
static size_t linear_bytes(const struct mf_linear_ops *ops, size_t n_rows, uint32_t k)
{
    size_t most = 0;

    for (size_t rows = 1; rows <= n_rows; rows++) {
        size_t n = ops->work_bytes(rows, k);

        most = mf_max(most, n);
    }
    return most;
}

/* Linears and attention take turns: the larger need of both. */
static size_t work_bytes(const struct mf_stack *st, size_t n_rows)
{
    const struct mf_weights_info *i = &st->frame->info;
    size_t most = st->frame->rows->attention_bytes(i->window, i->hidden, i->n_heads);

    for (int role = 0; role < MF_DENSE_ROLES; role++) {
        size_t n = linear_bytes(mf_dense_ops(&st->choice, role), n_rows,
                                mf_dense_inputs(st->frame, role));

        most = mf_max(most, n);
    }
    return aligned_bytes(most);
}

static float *take(char **at, size_t n_floats)
{
    float *p = (float *)(void *)*at;

    *at += aligned_bytes(n_floats * sizeof(float));
    return p;
}

/* A device is fed with more at once. */
static size_t chunk_rows(const struct mf_stack *st)
{
    size_t rows = mf_max((size_t)MF_CHUNK_ROWS, (size_t)st->frame->info.window);

    return st->device.begin == NULL ? rows : mf_max(rows, st->device.rows);
}

int mf_scratch_make(struct mf_scratch **out, const struct mf_stack *st,
                    size_t max_tokens)
{
    const struct mf_weights_info *i = &st->frame->info;
    size_t tokens = mf_max(max_tokens, (size_t)i->window);
    size_t n_rows = mf_min(tokens, chunk_rows(st));
    size_t wide_rows = st->device.begin == NULL ? MF_FFN_ROWS : n_rows;
    size_t row = aligned_bytes(n_rows * i->hidden * sizeof(float));
    size_t wide = aligned_bytes(wide_rows * i->ffn * sizeof(float));
    struct mf_scratch *s = mf_calloc(1, sizeof(*s));
    char *at;

    *out = NULL;
    if (s == NULL) {
        return MF_ENOMEM;
    }
    s->block = at = mf_aligned(64, 6 * row + wide + work_bytes(st, n_rows));
    if (at == NULL) {
        mf_free(s);
        return MF_ENOMEM;
    }
    s->max_tokens = tokens;
    s->n_rows = n_rows;
    s->wide_rows = wide_rows;
    s->x = take(&at, n_rows * i->hidden);
    s->context = take(&at, n_rows * i->hidden);
    s->qkv = take(&at, 3 * n_rows * i->hidden);
    s->wide = take(&at, wide_rows * i->ffn);
    s->half = (uint16_t *)(void *)take(&at, n_rows * i->hidden);
    s->work = at;
    *out = s;
    return 0;
}

void mf_scratch_free(struct mf_scratch *s)
{
    if (s != NULL) {
        mf_aligned_free(s->block);
        mf_free(s);
    }
}

size_t mf_scratch_max_tokens(const struct mf_scratch *s)
{
    return s->max_tokens;
}
