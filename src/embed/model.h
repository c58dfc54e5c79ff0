/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model: what an embedding model promises: a small table, chosen in one place.
 *
 * Owns:    the implementation owns its weights
 * Thread:  open and close on the loop at start and stop; the rest on workers, several
 *          at once, so they must not share anything that changes
 * Limits:  info.window pieces of a text are represented, the rest is not
 * Fails:   MF_EBACKEND, MF_ENOMEM; a failed text leaves no vector
 */
#ifndef MF_EMBED_MODEL_H
#define MF_EMBED_MODEL_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

struct mf_model;

struct mf_model_info {
    const char *name;  /* "hash" */
    const char *space; /* names the vector space: model, revision, precision */
    uint32_t space_id; /* mf_space_id(space): stored with each vector */
    uint16_t dim;
    uint32_t window;      /* pieces */
    bool is_semantic;     /* false: lexical only, and every answer says so */
    uint32_t batch_texts; /* texts a job takes at most; 1: no batching */
    size_t batch_bytes;   /* and bytes of text; one longer text goes alone */
};

struct mf_model_ops {
    const char *name;
    /* Vectors of unit length, n * dim floats, row i for texts[i]; of the first `window`
     * pieces of each. rc[i] is 0 or why text i failed; returns non-zero when the whole
     * batch failed. */
    int (*embed)(struct mf_model *m, const struct mf_slice *texts, size_t n, float *out,
                 int *rc);
    /* Byte offsets of the pieces of a text: writes at most cap, returns how many. */
    size_t (*pieces)(struct mf_model *m, struct mf_slice text, uint32_t *at,
                     size_t cap);
    void (*close)(struct mf_model *m);
};

struct mf_model { /* first member of every implementation */
    const struct mf_model_ops *ops;
    struct mf_model_info info;
};

MF_ANY uint32_t mf_space_id(const char *space); /* xxh32 of the name, never 0 */

/* The built-in one: hashed words and character 3-4-grams, fixed prior, not semantic. */
MF_MUST MF_ANY int mf_model_hash_open(struct mf_model **out, struct mf_err *err);
/* `name`: "hash", or a folder. */
MF_MUST MF_ANY int mf_model_open(struct mf_model **out, const char *name,
                                 struct mf_err *err);
MF_ANY void mf_model_close(struct mf_model *m);

#endif
