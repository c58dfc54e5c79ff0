/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device: a place other than this CPU that can compute the encoder's linear layers, as
 * the encoder sees it: a small table, implemented above (npu/offload.h).
 *
 * A chunk of texts that got a slot is computed in floats, product by product, all of
 * its rows at once. A scratch made before the device was set has no room for that and
 * computes here.
 *
 * Owns:    nothing
 * Thread:  the functions are called on workers, several at once, each with its own slot
 * Limits:  none
 * Fails:   `linear` says so and leaves y as it was: the encoder computes it itself
 */
#ifndef MF_ENCODER_DEVICE_H
#define MF_ENCODER_DEVICE_H

#include "base/base.h"
#include "encoder/linear.h"
#include "weights/weights.h"

struct mf_encoder;

enum mf_dense_role {
    MF_DENSE_QKV, /* hidden -> 3 * hidden: queries, keys, values */
    MF_DENSE_OUT,
    MF_DENSE_UP,
    MF_DENSE_DOWN,
    MF_DENSE_ROLES
};

struct mf_device_call {
    uint32_t layer;
    enum mf_dense_role role;
    const float *x; /* rows x inputs, dense */
    float *y;       /* rows x outputs; MF_EP_RESIDUAL: holds what is added to */
    size_t rows;
    enum mf_epilogue ep;
};

struct mf_encoder_device {
    /* For the batch that begins now: a slot, or NULL: it is computed here. */
    void *(*begin)(void *arg, size_t rows);
    int (*linear)(void *arg, void *slot, const struct mf_device_call *c);
    void (*end)(void *arg, void *slot);
    void *arg;
    size_t rows; /* a chunk should have so many: a scratch made later takes them */
};

/* Before any run, or while none is under way. NULL: none. */
MF_ANY void mf_encoder_set_device(struct mf_encoder *e,
                                  const struct mf_encoder_device *dev);

/* The weights of a linear layer: k x n floats as inputs x outputs behind each other
 * (w), n floats (bias): the caller's to mf_free both. */
struct mf_dense_weights {
    uint32_t k, n;
    float *w, *bias;
};

MF_MUST MF_ANY int mf_encoder_dense(const struct mf_encoder *e, uint32_t layer,
                                    enum mf_dense_role role,
                                    struct mf_dense_weights *out);
MF_ANY uint32_t mf_encoder_n_layers(const struct mf_encoder *e);
MF_ANY const struct mf_weights_info *mf_encoder_model(const struct mf_encoder *e);

#endif
