/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hash_word: the words of a text as the hash model sees them. Pure, no locale.
 *
 * A word is a run of letters and digits, or a run of wide characters (scripts that are
 * written without blanks, Hangul, pictures), lower-cased. Letters are ASCII letters and
 * digits and what lies from U+0080 on and is no punctuation.
 *
 * Owns:    nothing
 * Thread:  any
 * Limits:  MF_HASH_WORD_MAX characters a word; a longer run gives several words
 * Fails:   never: damaged UTF-8 counts as letters
 */
#ifndef MF_EMBED_HASH_WORD_H
#define MF_EMBED_HASH_WORD_H

#include "base/base.h"
#include "base/str.h"

#define MF_HASH_WORD_MAX 64

enum mf_char_class { MF_CHAR_BLANK, MF_CHAR_MARK, MF_CHAR_LETTER, MF_CHAR_WIDE };

struct mf_hash_word {
    uint32_t cp[MF_HASH_WORD_MAX];
    unsigned n;
    bool is_wide;
};

MF_ANY enum mf_char_class mf_char_class_of(uint32_t cp);
MF_ANY uint32_t mf_char_lower(uint32_t cp); /* ASCII, Latin, Greek, Cyrillic */
/* The next word from `*at` on; false when there is none. */
MF_ANY bool mf_hash_word_next(struct mf_slice text, size_t *at, struct mf_hash_word *w);
/* Cuts English endings (s, ing, ed, e); only ever shortens or changes the last letter.
 */
MF_ANY void mf_hash_word_stem(struct mf_hash_word *w);
MF_ANY uint64_t mf_hash_word_key(const struct mf_hash_word *w); /* never 0 */
MF_ANY uint64_t mf_hash_mix(uint64_t h); /* spreads; a bijection */

/* About what WordPiece makes of a text: a word is one piece up to 6 characters and one
 * more for each 4 after them; a mark and a wide character are one. */
struct mf_hash_piece {
    size_t start, end; /* bytes [start, end) of the text; 0, 0 before the first */
    bool is_word;      /* letters: a word, or a part of one */
};

/* The piece after `p`; false when there is none. */
MF_ANY bool mf_hash_piece_next(struct mf_slice text, struct mf_hash_piece *p);
/* As a model's `pieces`. */
MF_ANY size_t mf_hash_pieces(struct mf_slice text, uint32_t *at, size_t cap);

#endif
