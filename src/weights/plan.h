/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan: what a model's configuration promises; its tensors are held against it.
 *
 * Owns:    nothing; prompts and vocabulary are in the model's arena
 * Thread:  the owner's
 * Limits:  MF_PLAN_MAX_*
 * Fails:   never
 */
#ifndef MF_WEIGHTS_PLAN_H
#define MF_WEIGHTS_PLAN_H

#include "weights/weights.h"

#define MF_PLAN_MAX_LAYERS    256
#define MF_PLAN_MAX_WIDTH     16384 /* hidden, ffn */
#define MF_PLAN_MAX_VOCAB     1000000
#define MF_PLAN_MAX_POSITIONS 65536
#define MF_PLAN_MAX_TYPES     1024
#define MF_PLAN_MIN_WINDOW    3 /* a piece between the two special ones */

enum mf_naming {
    MF_NAMING_BERT,
    MF_NAMING_DISTILBERT,
    MF_NAMING_MPNET,
    MF_NAMING_GGUF /* llama.cpp's, of the bert architecture */
};

/* Sizes that are 0 (n_vocab, n_positions, n_types, n_buckets) are not promised: the
 * tensor tells. */
struct mf_plan {
    struct mf_weights_info info;
    struct mf_weights_vocab vocab; /* n 0: the file has none */
    enum mf_naming naming;
    uint32_t n_types, n_buckets;
    char published[128]; /* a name the file itself carries; may be "" */
};

#endif
