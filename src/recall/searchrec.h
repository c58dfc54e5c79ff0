/* SPDX-License-Identifier: Apache-2.0 */
/*
 * searchrec: all that search needs of one message or knowledge item, in one compact,
 * versioned record: the `search` column of the store. Little-endian, checked on the
 * way in: a stored record may be damaged.
 *
 *   0 u8 version   1 u8 flags   2 u8 role   3 u8 month (1..12, 0 unknown)
 *   4 u16 year     6 u16 dim (0: no vector)   8 u32 n_terms (all, with repeats)
 *  12 u32 n_distinct   16 u32 space   20 f32 scale
 *  24 vector: dim * i8 (value = i8 * scale), or dim * f32 when MF_SEARCH_F32
 *   . u32 term hash * n_distinct, ascending   . u8 count * n_distinct (255 = 255 or
 * more)
 *
 * Owns:    nothing: builds into the caller's buffer, views the caller's bytes
 * Thread:  any (pure)
 * Limits:  dim <= MF_SEARCH_MAX_DIM
 * Fails:   MF_ENOMEM; MF_EINVAL for a vector that has not unit length (or NaN) or too
 *          many numbers (build); MF_ECORRUPT (view)
 */
#ifndef MF_RECALL_SEARCHREC_H
#define MF_RECALL_SEARCHREC_H

#include "base/base.h"
#include "base/str.h"
#include "item/item.h"

#define MF_SEARCH_MAX_DIM 4096

enum mf_search_flag {
    MF_SEARCH_SHORT_QUESTION = 1, /* ends in '?', at most 20 words */
    MF_SEARCH_TIME_WORD = 2,
    MF_SEARCH_KNOWLEDGE = 4, /* no role, no neighbours */
    MF_SEARCH_F32 = 8
};

struct mf_search_view {
    uint8_t flags, role, month;
    uint16_t year, dim;
    uint32_t n_terms, n_distinct, space;
    float scale;
    const void *vector;    /* unaligned; NULL when dim is 0 */
    const uint8_t *hashes; /* unaligned u32 */
    const uint8_t *counts;
};

struct mf_search_input {
    struct mf_slice text; /* the whole message */
    enum mf_msg_role role;
    bool is_knowledge;
    int64_t created_us;  /* gives year and month */
    const float *vector; /* unit length, dim floats; NULL: pending */
    uint16_t dim;
    uint32_t space; /* id of the vector space; vectors of another one are never mixed */
    bool as_f32;    /* keep floats (recall.vectors: f32), else int8 with one scale */
};

struct mf_terms; /* scratch for stemming: one per thread, reusable */

MF_ANY struct mf_terms *mf_terms_new(void);
MF_ANY void mf_terms_free(struct mf_terms *t);

/* Appends the record to `out`. */
MF_MUST MF_ANY int mf_search_build(struct mf_buf *out, struct mf_terms *terms,
                                   const struct mf_search_input *in);
/* The same record with another (or no) vector. */
MF_MUST MF_ANY int mf_search_rebuild(struct mf_buf *out, const struct mf_search_view *v,
                                     const float *vector, uint16_t dim, uint32_t space,
                                     bool as_f32);
MF_MUST MF_ANY int mf_search_view(struct mf_slice rec, struct mf_search_view *v);

/* 32-bit hash of a stem, the one in the records (xxh32, seed 0: on disk, so fixed). */
MF_ANY uint32_t mf_term_hash(const char *stem, size_t n);
/* Stems of a text, stop words out, in order, with repeats; slices live until the next
 * call with the same scratch. Lower-case, 's and apostrophes dropped, [a-z0-9]+ words
 * stemmed by Porter. Accents are dropped, composed or combining: a word that is then
 * plain [a-z0-9]+ is treated as one ("café" and "cafe" are the same stem); any other
 * word is kept whole and lower-cased. Scripts without spaces give character bigrams, a
 * character that stands alone itself. MF_ENOMEM. */
MF_MUST MF_ANY int mf_terms_of(struct mf_terms *t, struct mf_slice text,
                               const struct mf_slice **stems, size_t *n);

/* Passages of a long message: further vectors, used only to choose what is returned. */
struct mf_passage {
    uint32_t at, n; /* bytes of the message's text */
    const float *vector;
};

MF_MUST MF_ANY int mf_passages_build(struct mf_buf *out, const struct mf_passage *p,
                                     size_t n_passages, uint16_t dim, uint32_t space);
/* The span of the best passage for q; MF_ENOTFOUND for none, another space or none fit;
 * MF_ECORRUPT. `text_n` bounds the span. */
MF_MUST MF_ANY int mf_passages_best(struct mf_slice rec, const float *q, uint16_t dim,
                                    uint32_t space, size_t text_n, uint32_t *at,
                                    uint32_t *n);

#endif
