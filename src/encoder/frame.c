/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "encoder/encoder_in.h"

#include <string.h>

static int shape_check(const struct mf_weights_info *i, struct mf_err *err)
{
    const uint32_t wide = mf_max(i->ffn, 3 * (uint64_t)i->hidden);

    if (i->n_heads == 0 || i->hidden % i->n_heads != 0 || i->n_layers == 0) {
        return mf_err_set(err, MF_EINVAL,
                          "model %s: hidden_size %u is no multiple of %u heads",
                          i->name, i->hidden, i->n_heads);
    }
    if (i->hidden / i->n_heads % 4 != 0 || i->hidden / i->n_heads > 128) {
        return mf_err_set(err, MF_EINVAL,
                          "model %s: %u dimensions a head; supported are multiples of "
                          "4 up to 128",
                          i->name, i->hidden / i->n_heads);
    }
    if (i->ffn == 0 || i->ffn % 4 != 0 || wide > MF_LINEAR_MAX) {
        return mf_err_set(err, MF_EINVAL,
                          "model %s: intermediate_size %u with hidden_size %u; "
                          "supported are multiples of 4 up to %d",
                          i->name, i->ffn, i->hidden, MF_LINEAR_MAX);
    }
    if (i->window == 0 || i->window + i->position_offset > i->n_positions) {
        return mf_err_set(err, MF_EINVAL,
                          "model %s: a window of %u pieces does not fit %u positions",
                          i->name, i->window, i->n_positions);
    }
    return 0;
}

static size_t floats_needed(const struct mf_weights_info *i)
{
    size_t relative =
        i->arch == MF_ARCH_MPNET ? (size_t)i->n_heads * (2 * (size_t)i->window - 1) : 0;

    return (size_t)i->window * i->hidden + relative +
           (2 + 4 * (size_t)i->n_layers) * i->hidden;
}

static void read_positions(const struct mf_frame *f, float *out)
{
    const struct mf_tensor *positions = mf_weights_of_model(f->weights, MF_W_POSITIONS);
    const struct mf_tensor *types = mf_weights_of_model(f->weights, MF_W_TYPES);
    size_t hidden = f->info.hidden;
    float *type;

    mf_tensor_read(positions, f->info.position_offset, f->info.window, out);
    if (types == NULL || types->rows == 0) {
        return;
    }
    /* Every piece is of the first text: type 0. What stands behind comes later. */
    type = out + f->info.window * hidden;
    mf_tensor_read(types, 0, 1, type);
    for (uint32_t p = 0; p < f->info.window; p++) {
        f->rows->add(out + p * hidden, type, hidden);
    }
}

static const float *read_vector(const struct mf_tensor *t, float **at)
{
    float *v = *at;

    mf_tensor_read(t, 0, 1, v);
    *at += t->cols;
    return v;
}

static const float *layer_vector(const struct mf_frame *f, uint32_t layer,
                                 enum mf_layer_role role, float **at)
{
    return read_vector(mf_weights_of_layer(f->weights, layer, role), at);
}

static void read_all(struct mf_frame *f)
{
    const struct mf_weights *w = f->weights;
    float *at = f->floats;

    f->positions = at;
    read_positions(f, at);
    at += (size_t)f->info.window * f->info.hidden;
    f->embed.scale = read_vector(mf_weights_of_model(w, MF_W_EMBED_NORM), &at);
    f->embed.bias = read_vector(mf_weights_of_model(w, MF_W_EMBED_NORM_BIAS), &at);
    for (uint32_t i = 0; i < f->info.n_layers; i++) {
        struct mf_layer_norms *n = &f->layers[i];

        n->attention.scale = layer_vector(f, i, MF_W_ATTENTION_NORM, &at);
        n->attention.bias = layer_vector(f, i, MF_W_ATTENTION_NORM_BIAS, &at);
        n->ffn.scale = layer_vector(f, i, MF_W_FFN_NORM, &at);
        n->ffn.bias = layer_vector(f, i, MF_W_FFN_NORM_BIAS, &at);
    }
    if (f->info.arch == MF_ARCH_MPNET) {
        mf_relative_fill(f, at);
        f->relative = at;
    }
}

static enum mf_epilogue epilogue_of(enum mf_activation a)
{
    switch (a) {
    case MF_ACT_GELU_TANH: return MF_EP_GELU_TANH;
    case MF_ACT_RELU: return MF_EP_RELU;
    case MF_ACT_GELU:
    default: return MF_EP_GELU;
    }
}

int mf_frame_init(struct mf_frame *f, const struct mf_weights *w, struct mf_err *err)
{
    const struct mf_weights_info *info = mf_weights_info(w);
    int rc = shape_check(info, err);

    memset(f, 0, sizeof(*f));
    if (rc < 0) {
        return rc;
    }
    f->weights = w;
    f->info = *info;
    f->rows = mf_rowops_best();
    f->activation = epilogue_of(info->activation);
    f->floats = mf_aligned(64, floats_needed(info) * sizeof(float));
    f->layers = mf_calloc(info->n_layers, sizeof(*f->layers));
    if (f->floats == NULL || f->layers == NULL) {
        mf_frame_fini(f);
        return mf_err_set(err, MF_ENOMEM, "no memory for model %s", info->name);
    }
    read_all(f);
    return 0;
}

void mf_frame_fini(struct mf_frame *f)
{
    mf_aligned_free(f->floats);
    mf_free(f->layers);
    memset(f, 0, sizeof(*f));
}
