/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokenizer_priv: what the files of this module share: the opened tokenizer, the table
 * of a kind of tokenizer, and the place where pieces go.
 *
 * Owns:    struct mf_tokenizer owns all that hangs on it
 * Thread:  filled by the one who opens, then read by any
 * Limits:  MF_WORD_CHARS characters a word
 * Fails:   as tokenizer.h
 */
#ifndef MF_TOKENIZER_PRIV_H
#define MF_TOKENIZER_PRIV_H

#include "tokenizer/added.h"
#include "tokenizer/normalise.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/vocab.h"

struct mf_piece_sink;

/* Another way to cut (Unigram, byte pairs) is another of these, chosen by the file's
 * model.type. */
struct mf_tokenizer_ops {
    const char *type;
    /* After the file was read: what encoding wants prepared. */
    MF_MUST int (*prepare)(struct mf_tokenizer *t, struct mf_err *err);
    void (*walk)(const struct mf_tokenizer *t, struct mf_slice text,
                 struct mf_piece_sink *sink);
};

extern const struct mf_tokenizer_ops mf_tokenizer_wordpiece;

/* How the ASCII part of a text is walked. */
enum mf_byte_class {
    MF_BYTE_SLOW, /* not ASCII, dropped, or an added token may begin here */
    MF_BYTE_LETTER,
    MF_BYTE_BLANK,
    MF_BYTE_PUNCT
};

struct mf_tokenizer {
    const struct mf_tokenizer_ops *ops;
    struct mf_tokenizer_info info;
    struct mf_vocab vocab;
    struct mf_norm_flags flags;
    uint32_t max_chars; /* a longer word is unknown */
    struct mf_added added;
    struct mf_normaliser norm;
    uint8_t byte_class[256];
    char byte_small[128];
    uint32_t byte_id[128]; /* the piece of this byte alone, or the unknown one */
};

/* Takes pieces in the order of the text: passes over the first `skip`, keeps `cap`. */
struct mf_piece_sink {
    uint32_t *id, *start, *end; /* each may be NULL */
    size_t cap, skip;
    bool counts_all;
    bool is_done;   /* out: no further piece is wanted */
    size_t n_seen;  /* out */
    uint32_t first; /* out: where the first kept piece begins ... */
    uint32_t last;  /* ... and the last one ends */
};

static inline void mf_piece_put(struct mf_piece_sink *s, uint32_t id, uint32_t start,
                                uint32_t end)
{
    size_t i = s->n_seen++;

    if (i < s->skip) {
        return;
    }
    i -= s->skip;
    if (i >= s->cap) {
        s->is_done = !s->counts_all;
        return;
    }
    if (s->id != NULL) {
        s->id[i] = id;
    }
    if (s->start != NULL) {
        s->start[i] = start;
    }
    if (s->end != NULL) {
        s->end[i] = end;
    }
    s->first = i == 0 ? start : s->first;
    s->last = end;
}

/* The readers fill `t` (zeroed) up to t->ops->prepare; on failure the caller closes it.
 * MF_ENOTFOUND: the folder has no such file. */
MF_MUST MF_ANY int mf_tokenizer_read_json(struct mf_tokenizer *t, const char *folder,
                                          struct mf_err *err);
MF_MUST MF_ANY int mf_tokenizer_read_vocab_txt(struct mf_tokenizer *t,
                                               const char *folder, struct mf_err *err);

/* The same of a vocabulary that is there. */
MF_MUST MF_ANY int mf_tokenizer_take_vocab(struct mf_tokenizer *t,
                                           const struct mf_tokenizer_vocab *v,
                                           struct mf_err *err);

#endif
