/* SPDX-License-Identifier: Apache-2.0 */
/*
 * embed_load: what a text costs, how fast the model is, and how good the estimate of
 * the cost was. Pure.
 *
 * Owns:    nothing
 * Thread:  any
 * Limits:  an estimate by bytes: the loop does not cut texts into pieces
 * Fails:   never
 */
#ifndef MF_EMBED_EMBED_LOAD_H
#define MF_EMBED_EMBED_LOAD_H

#include "base/str.h"
#include "embed/model.h"

/* Estimated tokens of a text, never 0: a piece for each 4 bytes and the specials, at
 * most the window; what its passages cost is added. */
MF_ANY uint32_t mf_embed_cost(const struct mf_model_info *info, struct mf_slice text,
                              bool wants_passages);

/* Tokens and time of the jobs so far, each job counting 15/16 of the one after it, so
 * that a small job says less than a large one. Zeroed first. */
struct mf_embed_rate {
    double tokens, us, jobs;
    double estimated, real; /* tokens of the texts whose own became known */
};

MF_ANY void mf_embed_rate_add(struct mf_embed_rate *r, uint64_t tokens, uint64_t us);
MF_ANY uint64_t mf_embed_rate_job_us(const struct mf_embed_rate *r); /* mean; or 0 */
/* How long `tokens` take with so many jobs at once; 0 before the first job. */
MF_ANY uint64_t mf_embed_rate_ms(const struct mf_embed_rate *r, uint64_t tokens,
                                 unsigned permits);

/* What texts were taken for, and what they had. Texts with passages say nothing. */
MF_ANY void mf_embed_rate_learn(struct mf_embed_rate *r, uint64_t estimated,
                                uint64_t real);
/* Estimated tokens of a batch that is to have `tokens`: more where words are long, at
 * most twice as many, since the next texts may be others. */
MF_ANY size_t mf_embed_rate_budget(const struct mf_embed_rate *r, size_t tokens);

#endif
