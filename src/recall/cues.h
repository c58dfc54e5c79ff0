/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cues: a text as a row of words, as regular expressions see them: runs of letters,
 * digits and '_' of any script, compared without case.
 *
 * Owns:    nothing: views the caller's text
 * Thread:  any (pure)
 * Limits:  of a word only the first MF_CUE_WORD - 1 characters are kept folded
 * Fails:   never; a byte that is no UTF-8 is no word
 */
#ifndef MF_RECALL_CUES_H
#define MF_RECALL_CUES_H

#include "base/base.h"
#include "base/str.h"

#define MF_CUE_WORD 16

struct mf_cue_word {
    size_t at, n;   /* bytes of the text */
    size_t n_chars; /* code points */
    bool is_ascii;
    char folded[MF_CUE_WORD]; /* lower-case ASCII, NUL-terminated; '?' for the rest */
};

struct mf_cue_reader {
    struct mf_slice text;
    size_t at;
};

MF_ANY bool mf_cue_next(struct mf_cue_reader *r, struct mf_cue_word *w);
/* Equal without case, code point by code point. */
MF_ANY bool mf_cue_same(struct mf_slice a, struct mf_slice b);
/* 2000..2099 for a word that names a year, else 0. */
MF_ANY unsigned mf_cue_year(struct mf_slice text, const struct mf_cue_word *w);
MF_ANY bool mf_cue_has_time_word(struct mf_slice text);
/* `b` follows `a` after exactly one ' '. */
MF_ANY bool mf_cue_follows(struct mf_slice text, const struct mf_cue_word *a,
                           const struct mf_cue_word *b);
/* At most 20 words and a question mark at the end. */
MF_ANY bool mf_cue_is_short_question(struct mf_slice text);
/* The first word, when it can be a person's name: letters, three or more; else empty.
 */
MF_ANY struct mf_slice mf_cue_first_name(struct mf_slice record_name);
/* 1..12 for a word that names a month in any case, else 0. */
MF_ANY unsigned mf_cue_month(const struct mf_cue_word *w);
/* "when", "what day" .. at the front. */
MF_ANY bool mf_cue_asks_time(struct mf_slice text);

#endif
