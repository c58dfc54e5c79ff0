/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hash_prior: what a word is worth before anything is known about the corpus: the root
 * of an inverse document frequency, estimated from the word's rank in English.
 *
 * The tables are a judgement of ours, in steps: it matters little whether a word stands
 * a step too high. They are part of the vector space: a change needs a new revision of
 * its name.
 *
 * Owns:    the table, built once at open, read-only afterwards
 * Thread:  any
 * Limits:  MF_HASH_PRIOR_SLOTS
 * Fails:   never
 */
#ifndef MF_EMBED_HASH_PRIOR_H
#define MF_EMBED_HASH_PRIOR_H

#include "base/base.h"
#include "embed/hash_word.h"

#define MF_HASH_PRIOR_SLOTS 2048 /* a power of two, over twice the words */
#define MF_HASH_WEIGHT_STOP 0
#define MF_HASH_WEIGHT_RARE 2850 /* words not in the table */

struct mf_hash_prior {
    uint64_t key[MF_HASH_PRIOR_SLOTS]; /* 0: free */
    uint16_t weight[MF_HASH_PRIOR_SLOTS];
};

MF_ANY void mf_hash_prior_init(struct mf_hash_prior *p);
/* Thousandths; MF_HASH_WEIGHT_STOP for stop words. Ask with the word as it is written
 * for stop words, with its stem for the others. */
MF_ANY unsigned mf_hash_prior_weight(const struct mf_hash_prior *p, uint64_t key);

#endif
