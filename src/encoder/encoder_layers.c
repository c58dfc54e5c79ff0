/* SPDX-License-Identifier: Apache-2.0 */
/* From roles to packed linears: queries, keys and values become one of three times the
 * width, with the scores' 1 / sqrt(head_dim) already in the queries. */
#include "base/mem.h"
#include "encoder/encoder_in.h"

#include <math.h>

uint32_t mf_dense_inputs(const struct mf_frame *f, enum mf_dense_role role)
{
    return role == MF_DENSE_DOWN ? f->info.ffn : f->info.hidden;
}

uint32_t mf_dense_outputs(const struct mf_frame *f, enum mf_dense_role role)
{
    uint32_t hidden = f->info.hidden;

    return role == MF_DENSE_QKV  ? 3 * hidden
           : role == MF_DENSE_UP ? f->info.ffn
                                 : hidden;
}

const struct mf_linear_ops *mf_dense_ops(const struct mf_choice *c,
                                         enum mf_dense_role role)
{
    return role == MF_DENSE_DOWN ? c->down : c->main;
}

size_t mf_absmax_at(const struct mf_frame *f, uint32_t layer, enum mf_dense_role role)
{
    size_t a_layer = 3 * (size_t)f->info.hidden + f->info.ffn;

    return layer * a_layer + (size_t)role * f->info.hidden; /* the widest is last */
}

size_t mf_absmax_count(const struct mf_frame *f)
{
    return mf_absmax_at(f, f->info.n_layers, MF_DENSE_QKV);
}

static void read_pair(const struct mf_frame *f, uint32_t layer, enum mf_layer_role role,
                      float *w, float *bias)
{
    const struct mf_tensor *t = mf_weights_of_layer(f->weights, layer, role);
    const struct mf_tensor *b =
        mf_weights_of_layer(f->weights, layer, (enum mf_layer_role)(role + 1));

    mf_tensor_read(t, 0, t->rows, w);
    mf_tensor_read(b, 0, 1, bias);
}

static void read_qkv(const struct mf_frame *f, uint32_t layer, float *w, float *bias)
{
    size_t hidden = f->info.hidden;
    float scale = (float)(1 / sqrt((double)hidden / f->info.n_heads));

    read_pair(f, layer, MF_W_QUERY, w, bias);
    for (size_t i = 0; i < hidden * hidden; i++) {
        w[i] *= scale;
    }
    for (size_t i = 0; i < hidden; i++) {
        bias[i] *= scale;
    }
    read_pair(f, layer, MF_W_KEY, w + hidden * hidden, bias + hidden);
    read_pair(f, layer, MF_W_VALUE, w + 2 * hidden * hidden, bias + 2 * hidden);
}

void mf_dense_read(const struct mf_frame *f, uint32_t layer, enum mf_dense_role role,
                   float *w, float *bias)
{
    switch (role) {
    case MF_DENSE_QKV: read_qkv(f, layer, w, bias); break;
    case MF_DENSE_OUT: read_pair(f, layer, MF_W_OUT, w, bias); break;
    case MF_DENSE_UP: read_pair(f, layer, MF_W_UP, w, bias); break;
    case MF_DENSE_DOWN: read_pair(f, layer, MF_W_DOWN, w, bias); break;
    case MF_DENSE_ROLES:
    default: break;
    }
}

/* `w`: room for the largest of them, with its bias behind. */
static int pack_layer(struct mf_stack *st, uint32_t layer, const float *absmax,
                      float *w)
{
    const struct mf_frame *f = st->frame;

    for (int role = 0; role < MF_DENSE_ROLES; role++) {
        uint32_t k = mf_dense_inputs(f, role);
        uint32_t n = mf_dense_outputs(f, role);
        float *bias = w + (size_t)k * n;
        struct mf_linear_source src = {.w = w, .bias = bias, .k = k, .n = n};
        int rc;

        src.absmax = absmax == NULL ? NULL : absmax + mf_absmax_at(f, layer, role);
        mf_dense_read(f, layer, role, w, bias);
        rc = mf_dense_ops(&st->choice, role)
                 ->pack(&st->dense[(size_t)layer * MF_DENSE_ROLES + role], &src);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

static int pack_all(struct mf_stack *st, const float *absmax)
{
    const struct mf_frame *f = st->frame;
    size_t wide = mf_max(3 * (size_t)f->info.hidden, (size_t)f->info.ffn);
    float *w = mf_array(wide * (f->info.hidden + 1), sizeof(*w));
    int rc = w == NULL ? MF_ENOMEM : 0;

    for (uint32_t i = 0; rc == 0 && i < f->info.n_layers; i++) {
        rc = pack_layer(st, i, absmax, w);
    }
    mf_free(w);
    return rc;
}

int mf_stack_new(struct mf_stack **out, const struct mf_frame *f,
                 const struct mf_choice *choice, const float *absmax)
{
    size_t n = (size_t)f->info.n_layers * MF_DENSE_ROLES;
    struct mf_stack *st = mf_calloc(1, sizeof(*st) + n * sizeof(struct mf_linear *));
    int rc;

    *out = NULL;
    if (st == NULL) {
        return MF_ENOMEM;
    }
    st->frame = f;
    st->choice = *choice;
    rc = pack_all(st, absmax);
    if (rc < 0) {
        mf_stack_free(st);
        return rc;
    }
    *out = st;
    return 0;
}

void mf_stack_free(struct mf_stack *st)
{
    if (st == NULL) {
        return;
    }
    for (size_t i = 0; i < (size_t)st->frame->info.n_layers * MF_DENSE_ROLES; i++) {
        if (st->dense[i] != NULL) {
            mf_dense_ops(&st->choice, (enum mf_dense_role)(i % MF_DENSE_ROLES))
                ->free(st->dense[i]);
        }
    }
    mf_free(st);
}
