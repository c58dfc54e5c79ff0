/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokenizer: a text to the pieces a sentence encoder knows, exactly as the Hugging Face
 * `tokenizers` library cuts it.
 *
 * Read from a model folder (tokenizer.json, else vocab.txt with tokenizer_config.json),
 * or made of a vocabulary that the caller has.
 * BERT's WordPiece: BertNormalizer (clean_text, handle_chinese_chars, strip_accents,
 * lowercase), BertPreTokenizer, greedy longest match, the special tokens around it.
 *
 * Owns:    the vocabulary, read-only after open
 * Thread:  open and close on any; the rest on several threads at once
 * Limits:  MF_VOCAB_MAX pieces; a file of MF_TOKENIZER_FILE_MAX bytes
 * Fails:   open: MF_EINVAL (what is wrong in which file), MF_ENOTFOUND, MF_EIO,
 *          MF_ENOMEM; encoding never: damaged UTF-8 reads as U+FFFD, which is dropped
 */
#ifndef MF_TOKENIZER_TOKENIZER_H
#define MF_TOKENIZER_TOKENIZER_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

#define MF_VOCAB_MAX          1000000
#define MF_TOKENIZER_FILE_MAX (64 * 1024 * 1024)

struct mf_tokenizer;

struct mf_tokenizer_info {
    uint32_t n_vocab; /* ids are below it */
    uint32_t cls_id, sep_id, unk_id, pad_id;
    uint32_t n_special; /* pieces that `special` adds to a text: 2 for BERT */
};

/* WordPiece's vocabulary with the usual settings; copied. */
struct mf_tokenizer_vocab {
    const struct mf_slice *pieces; /* by id; "##" before those that continue a word */
    uint32_t n;
    const uint32_t *special; /* ids of what is taken out of a text whole ("[SEP]") */
    size_t n_special;
    uint32_t cls_id, sep_id, unk_id, pad_id;
    bool lowercase; /* texts are; accents are stripped then */
};

enum mf_encode_flags {
    MF_ENCODE_SPECIAL = 1, /* [CLS] before, [SEP] behind; they count for `cap` */
    MF_ENCODE_LEFT = 2,    /* too long: keep the end, not the beginning */
    MF_ENCODE_COUNT = 4, /* walk the whole text, to return how many there are in all */
};

/* What one text becomes: the caller's arrays of `cap` elements. */
struct mf_pieces {
    uint32_t *id;
    uint32_t *start, *end; /* bytes in the text, [start, end); both may be NULL. The
                              special tokens have 0, 0 */
    size_t cap;
    size_t n;       /* out: written */
    size_t n_bytes; /* out: bytes of the text that the written pieces reach over; all of
                       it when nothing was cut off */
};

MF_MUST MF_ANY int mf_tokenizer_open(struct mf_tokenizer **out, const char *folder,
                                     struct mf_err *err);
/* MF_EINVAL (which id is wrong), MF_ENOMEM. */
MF_MUST MF_ANY int mf_tokenizer_open_vocab(struct mf_tokenizer **out,
                                           const struct mf_tokenizer_vocab *v,
                                           struct mf_err *err);
MF_ANY void mf_tokenizer_close(struct mf_tokenizer *t);
MF_ANY const struct mf_tokenizer_info *mf_tokenizer_info(const struct mf_tokenizer *t);

/* Truncates to p->cap pieces (specials kept: the text gives way). Returns how many
 * pieces there would be without the bound, specials included, when MF_ENCODE_COUNT is
 * set; else p->n when nothing was cut and p->n + 1 when something was. */
MF_ANY size_t mf_tokenizer_encode(const struct mf_tokenizer *t, struct mf_slice text,
                                  unsigned flags, struct mf_pieces *p);
/* Byte offsets where the pieces of the whole text begin, without specials, ascending:
 * writes at most `cap` and returns how many there are. Cuts never fall inside a UTF-8
 * sequence. */
MF_ANY size_t mf_tokenizer_offsets(const struct mf_tokenizer *t, struct mf_slice text,
                                   uint32_t *at, size_t cap);
/* The piece's own writing ("##ing", "[CLS]"); empty for an id out of range. */
MF_ANY struct mf_slice mf_tokenizer_piece(const struct mf_tokenizer *t, uint32_t id);

#endif
