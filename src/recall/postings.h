/* SPDX-License-Identifier: Apache-2.0 */
/*
 * postings: which records hold a term, and how often.
 *
 * A record's terms are first all reserved, then all added, so that a record is in or
 * not in, never half. A term without records is forgotten.
 *
 * Owns:    the lists
 * Thread:  the owner's
 * Limits:  2^32 - 1 terms and records
 * Fails:   MF_ENOMEM from reserve
 */
#ifndef MF_RECALL_POSTINGS_H
#define MF_RECALL_POSTINGS_H

#include "base/base.h"

struct mf_term {
    uint32_t hash;
    uint32_t n, cap;
    uint32_t n_reserved; /* entries promised and not yet added */
    uint32_t n_gone;     /* entries that the next sweep removes */
    uint32_t *records;   /* cap of them, then cap counts (u8) in the same block */
};

struct mf_postings {
    struct mf_term *terms;
    size_t n_terms, cap_terms;
    uint32_t *table; /* open addressing: index + 1, 0: free */
    size_t n_table;  /* a power of 2 */
    uint32_t *free_terms;
    size_t n_free, cap_free;
    size_t bytes; /* of the blocks */
};

static inline uint8_t *mf_term_counts(const struct mf_term *t)
{
    return (uint8_t *)(t->records + t->cap);
}

MF_ANY void mf_postings_init(struct mf_postings *p);
MF_ANY void mf_postings_fini(struct mf_postings *p);
MF_MUST MF_ANY int mf_postings_reserve(struct mf_postings *p, uint32_t hash,
                                       uint32_t *term);
MF_ANY void mf_postings_unreserve(struct mf_postings *p, uint32_t term);
MF_ANY void mf_postings_add(struct mf_postings *p, uint32_t term, uint32_t record,
                            uint8_t count);
MF_ANY void mf_postings_remove(struct mf_postings *p, uint32_t term, uint32_t record);
/* Removes from `term` all records whose bit is set, when n_gone says there are any. */
MF_ANY void mf_postings_sweep(struct mf_postings *p, uint32_t term,
                              const uint8_t *gone_bits);
MF_ANY const struct mf_term *mf_postings_find(const struct mf_postings *p,
                                              uint32_t hash);
MF_ANY size_t mf_postings_bytes(const struct mf_postings *p);

#endif
