/* SPDX-License-Identifier: Apache-2.0 */
/*
 * embed_in: what a body asks to have embedded, in OpenAI's words and in TEI's.
 *
 * Owns:    nothing: texts are views of the request's arena
 * Thread:  any
 * Limits:  struct mf_embed_rules
 * Fails:   faults, as json_in has them; of type MF_FAULT_EMPTY: there is no text
 */
#ifndef MF_API_EMBED_IN_H
#define MF_API_EMBED_IN_H

#include "api/json_in.h"
#include "embed/model.h"

#define MF_OPENAI_MAX_TEXTS  2048U
#define MF_OPENAI_MAX_TOKENS 300000U /* of a request, estimated */
#define MF_FAULT_EMPTY       "empty"

struct mf_embed_rules {
    const struct mf_model_info *model;
    size_t max_texts; /* TEI */
    bool cuts;        /* texts longer than the window, when the body does not say */
};

struct mf_embed_wish {
    struct mf_slice *texts;
    size_t n;
    struct mf_slice prompt; /* to stand before each text */
    unsigned flags;         /* MF_TEXT_* */
    size_t dim;             /* of the answer */
    bool base64;            /* OpenAI */
    bool special;           /* TEI's tokenize */
};

/* Tokens of the longest text that is read whole. */
static inline uint32_t mf_embed_max_tokens(const struct mf_model_info *m)
{
    return m->window + m->n_special;
}

MF_ANY void mf_embed_in_openai(const struct mf_json_at *at,
                               const struct mf_embed_rules *rules,
                               struct mf_embed_wish *out);
MF_ANY void mf_embed_in_tei(const struct mf_json_at *at,
                            const struct mf_embed_rules *rules,
                            struct mf_embed_wish *out);

#endif
