/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weights: a published sentence encoder, read from its folder (sentence-transformers
 * layout: config.json, model.safetensors, modules.json, 1_Pooling/config.json,
 * sentence_bert_config.json, config_sentence_transformers.json) or from one GGUF file.
 *
 * Whoever published it, the tensors come under one set of roles; names with or without
 * "bert.", "roberta.", "mpnet.", "distilbert." and LayerNorm's gamma/beta are known.
 *
 * Owns:    the mapped file; tensors are views into it
 * Thread:  open and close on any; reading on several threads at once
 * Limits:  MF_WEIGHTS_HEADER_MAX; offsets, shapes and types are checked against each
 *          other and the file's size, no two tensors overlap; JSON depth 32
 * Fails:   MF_EINVAL with the file and the tensor or key named, MF_ENOTFOUND, MF_EIO,
 *          MF_ENOMEM. A weights' file made shorter while it is open ends the process
 *          (SIGBUS): replace it by renaming
 */
#ifndef MF_WEIGHTS_WEIGHTS_H
#define MF_WEIGHTS_WEIGHTS_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

#define MF_WEIGHTS_HEADER_MAX (16 * 1024 * 1024)
#define MF_REVISION_LEN       64 /* hex digits of the SHA-256 of the weights' file */

enum mf_dtype { MF_DTYPE_F32, MF_DTYPE_F16, MF_DTYPE_BF16, MF_DTYPE_Q8_0 };

struct mf_tensor {
    const void *data;    /* little-endian, row-major, maybe not aligned */
    uint32_t rows, cols; /* a vector has rows 1 */
    enum mf_dtype dtype;
};

enum mf_arch { MF_ARCH_BERT, MF_ARCH_DISTILBERT, MF_ARCH_MPNET, MF_ARCH_ROBERTA };

enum mf_pooling { MF_POOL_MEAN, MF_POOL_CLS, MF_POOL_MAX, MF_POOL_LAST };

enum mf_activation { MF_ACT_GELU, MF_ACT_GELU_TANH, MF_ACT_RELU };

/* Of the whole model. */
enum mf_model_role {
    MF_W_WORDS,      /* n_vocab x hidden */
    MF_W_POSITIONS,  /* n_positions x hidden */
    MF_W_TYPES,      /* n_types x hidden; rows 0: the architecture has none */
    MF_W_EMBED_NORM, /* 1 x hidden */
    MF_W_EMBED_NORM_BIAS,
    MF_W_RELATIVE, /* MPNet: buckets x heads; rows 0 otherwise */
    MF_W_MODEL_ROLES
};

/* Of each layer; weights are out x in, as PyTorch keeps them. */
enum mf_layer_role {
    MF_W_QUERY,
    MF_W_QUERY_BIAS,
    MF_W_KEY,
    MF_W_KEY_BIAS,
    MF_W_VALUE,
    MF_W_VALUE_BIAS,
    MF_W_OUT,
    MF_W_OUT_BIAS,
    MF_W_ATTENTION_NORM,
    MF_W_ATTENTION_NORM_BIAS,
    MF_W_UP,
    MF_W_UP_BIAS, /* intermediate.dense: ffn x hidden */
    MF_W_DOWN,
    MF_W_DOWN_BIAS, /* output.dense: hidden x ffn */
    MF_W_FFN_NORM,
    MF_W_FFN_NORM_BIAS,
    MF_W_LAYER_ROLES
};

struct mf_prompt {
    const char *name, *text; /* "query", "query: " */
};

struct mf_weights_info {
    enum mf_arch arch;
    uint32_t n_layers, hidden, n_heads, ffn, n_vocab, n_positions;
    uint32_t position_offset; /* of the first piece: 0; 2 for RoBERTa and MPNet */
    uint32_t window;          /* pieces, specials included */
    float norm_eps;
    enum mf_activation activation;
    enum mf_pooling pooling;
    bool normalise;      /* the layout says so (2_Normalize) */
    enum mf_dtype dtype; /* of the large tensors */
    char name[128];      /* folder's or published name */
    char revision[MF_REVISION_LEN + 1];
    const struct mf_prompt *prompts;
    size_t n_prompts;
    const char *default_prompt; /* a name among them, or NULL */
};

/* WordPiece's vocabulary, when the weights' file carries it. */
struct mf_weights_vocab {
    const struct mf_slice *pieces; /* by id; "##" before those that continue a word */
    uint32_t n;
    const uint32_t *special; /* ids of what is no word ("[SEP]"), each once */
    size_t n_special;
    uint32_t cls_id, sep_id, unk_id, pad_id;
    bool lowercase; /* no piece has a capital letter */
};

struct mf_weights;

/* `path`: a folder, or a .gguf file. */
MF_MUST MF_ANY int mf_weights_open(struct mf_weights **out, const char *path,
                                   struct mf_err *err);
MF_ANY void mf_weights_close(struct mf_weights *w);
MF_ANY const struct mf_weights_info *mf_weights_info(const struct mf_weights *w);
/* NULL: a folder, whose tokenizer's files are beside its weights. */
MF_ANY const struct mf_weights_vocab *mf_weights_vocab(const struct mf_weights *w);

MF_ANY const struct mf_tensor *mf_weights_of_model(const struct mf_weights *w,
                                                   enum mf_model_role role);
MF_ANY const struct mf_tensor *mf_weights_of_layer(const struct mf_weights *w,
                                                   uint32_t layer,
                                                   enum mf_layer_role role);
/* Rows [from, from + n) as f32 into `out` (n * cols floats). */
MF_ANY void mf_tensor_read(const struct mf_tensor *t, uint32_t from, uint32_t n,
                           float *out);
MF_ANY const char *mf_dtype_name(enum mf_dtype d);     /* "float32" as TEI writes it */
MF_ANY const char *mf_pooling_name(enum mf_pooling p); /* "mean" */

#endif
