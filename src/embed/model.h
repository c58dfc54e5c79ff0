/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model: what an embedding model promises: a small table, chosen in one place.
 *
 * Owns:    the implementation owns its weights
 * Thread:  open and close on the loop at start and stop; the rest on workers, several
 *          at once, so they must not share anything that changes
 * Limits:  info.window pieces of a text are represented, the rest is not
 * Fails:   MF_EBACKEND, MF_ENOMEM; a failed text leaves no vector; MF_ETOOBIG for a
 *          text that must be represented as a whole and cannot
 */
#ifndef MF_EMBED_MODEL_H
#define MF_EMBED_MODEL_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

struct mf_encoder; /* encoder/encoder.h */
struct mf_model;

enum mf_text_flags {
    MF_TEXT_WHOLE =
        1,            /* longer than the window: MF_ETOOBIG instead of cutting it off */
    MF_TEXT_LEFT = 2, /* cut off the beginning, not the end */
    MF_TEXT_RAW = 4,  /* the vector is not brought to unit length */
};

struct mf_text {
    struct mf_slice text;
    unsigned flags; /* enum mf_text_flags */
};

struct mf_text_result {
    int rc;            /* 0 or why this text failed */
    uint32_t n_tokens; /* pieces the model read, specials included */
};

/* One piece as the model sees it: bytes [start, end) of the text. */
struct mf_piece {
    struct mf_slice writing; /* of the model or the text: lives as long as both */
    uint32_t id, start, end;
    bool is_special; /* put there by the model: start and end are 0 */
};

/* A text that the model's makers put before others: "query: ". */
struct mf_prompt_text {
    const char *name, *text;
};

struct mf_model_info {
    const char *name;  /* as published: "all-MiniLM-L6-v2"; "hash" */
    const char *space; /* names the vector space: model, revision, precision, and the
                          prompt of documents when there is one */
    uint32_t space_id; /* mf_space_id(space): stored with each vector */
    uint16_t dim;
    uint32_t window;       /* pieces of a text, specials not counted */
    uint32_t n_special;    /* pieces put around each text */
    bool is_semantic;      /* false: lexical only, and every answer says so */
    uint32_t batch_texts;  /* texts a job takes at most; 1: no batching */
    size_t batch_bytes;    /* and bytes of text; one longer text goes alone */
    uint32_t batch_tokens; /* a job takes about so many, at least one text; 0: any */
    bool prefers_cores;    /* computes: one job for each core is best */
    const char *precision; /* "int8", "f32"; "exact" */
    const char *kernel;    /* "int8-avx512vnni rows-avx512"; "hash" */
    float guard_min, guard_mean; /* cosine against f32; 1 when exact */
    const char *pooling;         /* "mean"; "hash" */
    const char *dtype;           /* of the published weights: "float32" */
    const char *revision;        /* hex, or "1" */
    const struct mf_prompt_text *prompts;
    size_t n_prompts;
    const char *default_prompt; /* a name in prompts, or NULL */
};

/* What a text is embedded for. A model that tells questions from documents has prompts
 * for them. */
enum mf_text_use { MF_USE_QUESTION, MF_USE_DOCUMENT };

/* What computes a model's products from now on, beside the CPU. */
struct mf_model_device {
    const char *name;      /* "npu"; part of the space's name when it needs its own */
    uint32_t batch_tokens; /* it wants about so many in a batch; 0: as before */
    float agreement;       /* smallest cosine of its vectors and the CPU's */
};

struct mf_model_ops {
    const char *name;
    /* Vectors of unit length (unless MF_TEXT_RAW), n * dim floats, row i for texts[i];
     * of the first (MF_TEXT_LEFT: last) `window` pieces of each. Returns non-zero when
     * the whole batch failed. */
    int (*embed)(struct mf_model *m, const struct mf_text *texts, size_t n, float *out,
                 struct mf_text_result *res);
    /* Byte offsets of the pieces of the whole text, without specials: writes at most
     * cap, returns how many there are. */
    size_t (*pieces)(struct mf_model *m, struct mf_slice text, uint32_t *at,
                     size_t cap);
    /* The pieces of the whole text, with the specials around it if wanted: writes at
     * most cap, returns how many there are. */
    size_t (*tokenize)(struct mf_model *m, const struct mf_text *t, bool special,
                       struct mf_piece *out, size_t cap);
    /* A vector for each piece: n_tokens * dim floats, the caller's to mf_free.
     * MF_EUNPROCESSABLE: this model has none. */
    int (*states)(struct mf_model *m, const struct mf_text *t, float **out,
                  uint32_t *n_tokens);
    /* NULL, both: this model has no encoder to give a device to. */
    struct mf_encoder *(*encoder)(struct mf_model *m);
    void (*set_device)(struct mf_model *m, const struct mf_model_device *d);
    void (*close)(struct mf_model *m);
};

struct mf_model { /* first member of every implementation */
    const struct mf_model_ops *ops;
    struct mf_model_info info;
};

struct mf_model_options {
    const char *model;     /* "hash", or a folder, or a .gguf file */
    const char *precision; /* "auto", "f32", "bf16", "fp16", "int8" */
    const char *cache_dir; /* of packed weights; NULL: none */
};

MF_ANY uint32_t mf_space_id(const char *space); /* xxh32 of the name, never 0 */

/* The built-in one: hashed words and character 3-4-grams, fixed prior, not semantic. */
MF_MUST MF_ANY int mf_model_hash_open(struct mf_model **out, struct mf_err *err);
/* A sentence encoder from published weights. */
MF_MUST MF_ANY int mf_model_transformer_open(struct mf_model **out,
                                             const struct mf_model_options *opt,
                                             struct mf_err *err);
/* The one that opt->model names. */
MF_MUST MF_ANY int mf_model_open(struct mf_model **out,
                                 const struct mf_model_options *opt,
                                 struct mf_err *err);
MF_ANY void mf_model_close(struct mf_model *m);
/* What stands before a text of this use, as sentence-transformers chooses it (its
 * encode_query and encode_document): the prompt "query"; "document", "passage" or
 * "corpus"; else the default one; else nothing. Lives as long as the model. */
MF_ANY struct mf_slice mf_model_prompt(const struct mf_model_info *info,
                                       enum mf_text_use use);
/* The encoder inside, for who gives it a device; NULL: there is none. */
MF_ANY struct mf_encoder *mf_model_encoder(struct mf_model *m);
/* The encoder has a device now: before the first text, for a model with an encoder.
 * Batches become larger. While `agreement` reaches what the model's precision had to
 * reach against f32, the vectors are of the same space; else the space has another name
 * (and so stored vectors are made anew), since either may compute any of them. */
MF_ANY void mf_model_set_device(struct mf_model *m, const struct mf_model_device *d);

#endif
