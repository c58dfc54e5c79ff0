/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encoder_in: what the files of `encoder` share.
 *
 * frame: what is the same in every precision (positions, norms, MPNet's biases).
 * stack: the linear layers packed for one choice of kernels. A choice is what the
 * ladder decides and the cache keeps.
 *
 * Owns:    see each struct
 * Thread:  frame and stack are read-only once made; a scratch belongs to one run
 * Limits:  see encoder.h
 * Fails:   MF_ENOMEM and what encoder.h says
 */
#ifndef MF_ENCODER_ENCODER_IN_H
#define MF_ENCODER_ENCODER_IN_H

#include "encoder/device.h"
#include "encoder/encoder.h"
#include "encoder/rowops.h"

/* Texts are taken together up to so many rows, or one text alone. */
#define MF_CHUNK_ROWS 512
/* So many rows go up and down the wide layer at once: their activations stay near. */
#define MF_FFN_ROWS   96

struct mf_norm {
    const float *scale, *bias;
};

struct mf_layer_norms {
    struct mf_norm attention, ffn;
};

struct mf_frame {
    const struct mf_weights *weights; /* borrowed */
    struct mf_weights_info info;
    const struct mf_rowops *rows;
    enum mf_epilogue activation;
    float *floats;          /* one block for all below */
    const float *positions; /* window x hidden, the type's row added */
    struct mf_norm embed;
    struct mf_layer_norms *layers;
    const float *relative; /* MPNet: heads x (2 * window - 1); or NULL */
};

MF_MUST MF_ANY int mf_frame_init(struct mf_frame *f, const struct mf_weights *w,
                                 struct mf_err *err);
MF_ANY void mf_frame_fini(struct mf_frame *f);
/* MPNet: heads x (2 * window - 1) floats, ascending distance key - query. */
MF_ANY void mf_relative_fill(const struct mf_frame *f, float *out);

struct mf_choice {
    const struct mf_linear_ops *main, *down; /* `down`: the second FFN layer */
    double gops;
    float guard_min, guard_mean;
};

struct mf_stack {
    const struct mf_frame *frame;
    struct mf_choice choice;
    struct mf_encoder_device device; /* begin is NULL: there is none */
    struct mf_linear *dense[];       /* n_layers x MF_DENSE_ROLES */
};

/* Inputs and outputs of one layer's linear. */
MF_ANY uint32_t mf_dense_inputs(const struct mf_frame *f, enum mf_dense_role role);
MF_ANY uint32_t mf_dense_outputs(const struct mf_frame *f, enum mf_dense_role role);
MF_ANY const struct mf_linear_ops *mf_dense_ops(const struct mf_choice *c,
                                                enum mf_dense_role role);

/* n x k floats as published, outputs x inputs, and n floats. */
MF_ANY void mf_dense_read(const struct mf_frame *f, uint32_t layer,
                          enum mf_dense_role role, float *w, float *bias);

/* Maxima of all linears' inputs, one behind the other: where one begins, how many in
 * all. */
MF_ANY size_t mf_absmax_at(const struct mf_frame *f, uint32_t layer,
                           enum mf_dense_role role);
MF_ANY size_t mf_absmax_count(const struct mf_frame *f);

/* `absmax` may be NULL: no smoothing. */
MF_MUST MF_ANY int mf_stack_new(struct mf_stack **out, const struct mf_frame *f,
                                const struct mf_choice *choice, const float *absmax);
MF_ANY void mf_stack_free(struct mf_stack *st);

struct mf_scratch {
    size_t max_tokens, n_rows;       /* asked for; of a chunk */
    size_t wide_rows;                /* of `wide`; all of a chunk for a device */
    float *x, *qkv, *context, *wide; /* the last three may hold bf16 */
    uint16_t *half;                  /* x as bf16 */
    void *work;
    float *absmax; /* to be raised by every run, or NULL */
    void *block;
};

MF_MUST MF_ANY int mf_scratch_make(struct mf_scratch **out, const struct mf_stack *st,
                                   size_t max_tokens);
MF_ANY void mf_forward(const struct mf_stack *st, struct mf_scratch *s,
                       const struct mf_ids *ids, unsigned flags, float *out, int *rc);

/* Rows of the last layer to one vector. */
MF_ANY void mf_pool(const struct mf_frame *f, const float *x, size_t n, float *out);
/* Brings to unit length; nothing happens to a vector of zeros. */
MF_ANY void mf_unit(float *v, uint32_t n);
MF_ANY bool mf_is_finite(const float *v, size_t n);

/* Runs the texts through f32 and notes the largest inputs: mf_absmax_count floats. */
MF_MUST MF_ANY int mf_calibrate(const struct mf_stack *f32, const struct mf_ids *texts,
                                float *absmax);
/* One vector a text; what failed is zero. */
MF_MUST MF_ANY int mf_embed_texts(const struct mf_stack *st, const struct mf_ids *texts,
                                  float *out);
/* The stack's texts against `reference`: into its choice. */
MF_MUST MF_ANY int mf_guard(struct mf_stack *st, const struct mf_ids *texts,
                            const float *reference);
MF_ANY float mf_guard_bound(const struct mf_choice *c);

/* Best first; `n` at most MF_LADDER_MAX. */
#define MF_LADDER_MAX 5

struct mf_ladder {
    struct mf_choice step[MF_LADDER_MAX];
    size_t n;
};

MF_MUST MF_ANY int mf_ladder_init(struct mf_ladder *l, const struct mf_frame *f,
                                  const struct mf_encoder_options *opt,
                                  struct mf_err *err);
/* Walks down until a step passes; the stack of that one. */
MF_MUST MF_ANY int mf_ladder_walk(const struct mf_ladder *l, const struct mf_frame *f,
                                  const struct mf_encoder_options *opt, float *absmax,
                                  struct mf_stack **out, struct mf_err *err);
MF_ANY const char *mf_choice_precision(const struct mf_choice *c);

/* What makes a cached choice valid: model, options, kernels of this machine. */
struct mf_cache_key {
    char path[512];
    uint64_t print;
};

MF_ANY bool mf_cache_key_init(struct mf_cache_key *k, const struct mf_frame *f,
                              const struct mf_encoder_options *opt);
/* True: `c` and `absmax` (mf_absmax_count floats) are filled. */
MF_ANY bool mf_cache_load(const struct mf_cache_key *k, const struct mf_frame *f,
                          struct mf_choice *c, float *absmax);
/* Best effort: a failure is logged. */
MF_ANY void mf_cache_save(const struct mf_cache_key *k, const struct mf_frame *f,
                          const struct mf_choice *c, const float *absmax);

#endif
