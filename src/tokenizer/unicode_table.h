/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unicode_table: what BERT's normaliser must know of code points, at the ages of
 * Unicode which the peer library (Hugging Face `tokenizers`) has: its tables of
 * categories, of decompositions and of small letters are of three different ones.
 * Written by tools/make_unicode_table.py; all tables ascend.
 *
 * Owns:    nothing, constants
 * Thread:  any
 * Limits:  Hangul syllables decompose by rule and are in no table
 * Fails:   never
 */
#ifndef MF_TOKENIZER_UNICODE_TABLE_H
#define MF_TOKENIZER_UNICODE_TABLE_H

#include "base/base.h"

struct mf_uni_range {
    uint32_t first, last;
};

struct mf_uni_order {
    uint32_t first, last;
    uint8_t order;
};

/* Each `step`th of first..last has its small letter to - first further on. */
struct mf_uni_lower {
    uint32_t first, last;
    uint8_t step;
    uint32_t to;
};

/* first + i stands for mf_uni_base[at + i]; 0: for itself. */
struct mf_uni_bases {
    uint32_t first, last;
    uint16_t at;
};

struct mf_uni_several {
    uint32_t cp;
    uint8_t n;
    uint32_t to[3];
};

extern const struct mf_uni_range mf_uni_dropped[]; /* controls that cleaning drops */
extern const size_t mf_uni_n_dropped;
extern const struct mf_uni_range mf_uni_blanks[];
extern const size_t mf_uni_n_blanks;
extern const struct mf_uni_range mf_uni_puncts[];
extern const size_t mf_uni_n_puncts;
extern const struct mf_uni_range mf_uni_cjk[]; /* words of their own */
extern const size_t mf_uni_n_cjk;
extern const struct mf_uni_range mf_uni_marks[]; /* nothing is left without accents */
extern const size_t mf_uni_n_marks;
/* Canonical combining class of the first code point of the decomposition, where it is
 * not 0. */
extern const struct mf_uni_order mf_uni_orders[];
extern const size_t mf_uni_n_orders;
extern const struct mf_uni_lower mf_uni_lowers[];
extern const size_t mf_uni_n_lowers;
/* What is left of a character without its accents, one code point or several. */
extern const struct mf_uni_bases mf_uni_bases[];
extern const size_t mf_uni_n_bases;
extern const uint32_t mf_uni_base[];
extern const size_t mf_uni_n_base;
extern const struct mf_uni_several mf_uni_several[];
extern const size_t mf_uni_n_several;

#endif
