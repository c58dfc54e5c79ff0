/* SPDX-License-Identifier: Apache-2.0 */
/*
 * added: the tokens that are taken out of a text before it is cut ("[SEP]", "<s>").
 *
 * Owns:    their texts
 * Thread:  made by one, then read by any
 * Limits:  MF_ADDED_MAX tokens of at most MF_ADDED_BYTES
 * Fails:   MF_ENOMEM
 */
#ifndef MF_TOKENIZER_ADDED_H
#define MF_TOKENIZER_ADDED_H

#include "tokenizer/normalise.h"

#define MF_ADDED_MAX   10000
#define MF_ADDED_BYTES 1024

struct mf_added_token {
    uint32_t id;
    struct mf_slice text;
    bool lstrip, rstrip; /* swallows the blanks before, behind it */
    bool normalized;     /* looked for in what the normaliser made of the text */
    uint32_t *cps;       /* its own normalised form, when it is looked for there */
    size_t n_cps;
};

struct mf_added {
    struct mf_added_token *all;
    size_t n, cap;
    size_t n_normalized;
    bool begins[256]; /* some token that is not normalised begins with this byte */
};

/* Copies the token's text, and forgets its `cps`. */
MF_MUST MF_ANY int mf_added_add(struct mf_added *a, const struct mf_added_token *token);
MF_ANY void mf_added_fini(struct mf_added *a);
/* Normalises those that want it. MF_EINVAL: nothing is left of one. */
MF_MUST MF_ANY int mf_added_normalise(struct mf_added *a,
                                      const struct mf_normaliser *z);
/* The longest token, none of the normalised, that stands at text.p[at], or NULL. */
MF_ANY const struct mf_added_token *mf_added_at(const struct mf_added *a,
                                                struct mf_slice text, size_t at);

#endif
