/* SPDX-License-Identifier: Apache-2.0 */
/*
 * normalise: what BERT's normaliser and its cutting into words make of each character.
 *
 * All flags are folded into one table at the start, so that a character costs one look:
 * is it dropped, does it end a word, is it a word of its own, and what is it written
 * as.
 *
 * Owns:    the table
 * Thread:  made by one, then read by any
 * Limits:  a character becomes at most MF_NORM_MAX others (blanks around CJK counted)
 * Fails:   MF_ENOMEM
 */
#ifndef MF_TOKENIZER_NORMALISE_H
#define MF_TOKENIZER_NORMALISE_H

#include "base/base.h"
#include "base/str.h"

#define MF_NORM_MAX 3

enum mf_norm_class {
    MF_NORM_LETTER, /* part of a word: all that is nothing else */
    MF_NORM_GONE,
    MF_NORM_BLANK,
    MF_NORM_PUNCT,  /* a word of its own */
    MF_NORM_ALONE,  /* CJK: a letter between two blanks */
    MF_NORM_SEVERAL /* becomes several letters; only in the table */
};

struct mf_norm_flags {
    bool clean_text, handle_chinese_chars, strip_accents, lowercase;
};

struct mf_normaliser {
    struct mf_norm_flags flags;
    uint16_t *index; /* code point / 256 -> page */
    uint32_t (*pages)[256];
    size_t n_pages, cap_pages;
};

struct mf_norm_char {
    enum mf_norm_class kind; /* never MF_NORM_SEVERAL */
    bool is_ordered;         /* kept, but its neighbours decide where it stands */
    uint8_t n;
    uint32_t cp[MF_NORM_MAX];
};

MF_MUST MF_ANY int mf_normaliser_init(struct mf_normaliser *z,
                                      const struct mf_norm_flags *flags);
MF_ANY void mf_normaliser_fini(struct mf_normaliser *z);
MF_ANY void mf_normalise(const struct mf_normaliser *z, uint32_t cp,
                         struct mf_norm_char *out);
/* The canonical combining class of what `cp` begins with when decomposed. */
MF_ANY uint8_t mf_norm_order(uint32_t cp);
/* Whether nothing is left of `cp` when accents are stripped. */
MF_ANY bool mf_norm_is_mark(uint32_t cp);
MF_ANY bool mf_norm_is_blank(uint32_t cp); /* white space, with or without cleaning */

/* The character at text.p[at], at < text.n: its code point, its length. Damage reads as
 * U+FFFD, one for each longest run of bytes that begins a valid sequence. */
MF_ANY size_t mf_norm_decode(struct mf_slice text, size_t at, uint32_t *cp);
/* Where the character begins that ends before text.p[at]; not before `begin` < at. */
MF_ANY size_t mf_norm_step_back(struct mf_slice text, size_t begin, size_t at);
MF_ANY size_t mf_norm_encode(uint32_t cp, char out[4]);

#endif
