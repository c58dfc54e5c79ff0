/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vocab: the pieces and their ids, and the longest piece that a word begins with.
 *
 * A piece that only continues a word is kept without its prefix ("##") and apart from
 * those that begin one. Prefixes of a word are hashed byte by byte, so that all of them
 * cost one walk.
 *
 * Owns:    the bytes of the pieces and the table
 * Thread:  made by one, then read by any
 * Limits:  MF_VOCAB_MAX ids; pieces longer than MF_WORD_BYTES match no word
 * Fails:   MF_ENOMEM
 */
#ifndef MF_TOKENIZER_VOCAB_H
#define MF_TOKENIZER_VOCAB_H

#include "base/base.h"
#include "base/str.h"

#define MF_VOCAB_NONE       UINT32_MAX
#define MF_WORD_CHARS       256 /* the most that max_input_chars_per_word is */
#define MF_WORD_CHARS_USUAL 100 /* what it is when nothing is said */
#define MF_WORD_BYTES       1024

struct mf_vocab_slot {
    uint32_t tag; /* half of the hash */
    uint32_t id;  /* MF_VOCAB_NONE: free */
    uint32_t at;
    uint16_t n;
    bool continues;
};

struct mf_vocab_piece {
    uint32_t at, n;
};

struct mf_vocab {
    struct mf_buf text;
    struct mf_vocab_piece *pieces; /* by id */
    uint32_t n_ids, cap_ids;
    struct mf_vocab_slot *slots;
    size_t mask;
    size_t longest; /* bytes of the longest piece, prefix not counted */
    struct mf_slice prefix;
};

/* `prefix` marks pieces that continue a word; copied. Ids will be below `n_ids`. */
MF_MUST MF_ANY int mf_vocab_init(struct mf_vocab *v, struct mf_slice prefix,
                                 uint32_t n_ids);
MF_ANY void mf_vocab_fini(struct mf_vocab *v);
/* Writes the id's piece; a later one of the same id or text takes the place. */
MF_ANY void mf_vocab_add(struct mf_vocab *v, uint32_t id, struct mf_slice piece);
/* The table of what was added, to find by text. */
MF_MUST MF_ANY int mf_vocab_index(struct mf_vocab *v);
MF_ANY struct mf_slice mf_vocab_piece(const struct mf_vocab *v, uint32_t id);
/* The id of exactly this piece or MF_VOCAB_NONE. */
MF_ANY uint32_t mf_vocab_find(const struct mf_vocab *v, struct mf_slice piece);

struct mf_vocab_hit {
    uint32_t id, end; /* bytes of the word up to the end of this piece */
};

/* Cuts a word of at most MF_WORD_BYTES greedily into `hits` (one a byte at most).
 * Returns how many; 0 when there is no way. */
MF_ANY size_t mf_vocab_cut(const struct mf_vocab *v, const char *word, size_t n,
                           struct mf_vocab_hit *hits);

#endif
