/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shelf_in: the inside of a shelf, for its own three files.
 *
 * Owns:    see shelf.h
 * Thread:  the holder's: the loop while it is not lent, readers while it is
 * Limits:  2^32 - 2 records
 * Fails:   MF_ENOMEM: a change is done or not done, never half
 */
#ifndef MF_RECALL_SHELF_IN_H
#define MF_RECALL_SHELF_IN_H

#include "base/list.h"
#include "recall/cols.h"
#include "recall/postings.h"
#include "recall/sessions.h"
#include "recall/shelf.h"
#include "recall/vecs.h"

/* A record by its number, which it keeps while places in the columns shift. */
struct shelf_rec {
    uint32_t at; /* place in the columns of its kind */
    uint8_t kind;
    uint16_t set; /* of vectors */
    uint32_t row; /* MF_VECS_NONE: no vector */
    uint32_t n_terms;
    uint32_t *terms; /* n_terms of postings, then as many counts (u8) */
};

struct mf_shelf {
    struct mf_recall_weights weights;
    struct mf_cols cols[MF_KIND_COUNT];
    struct shelf_rec *recs;
    uint32_t *free_recs;
    size_t n_recs, cap_recs, n_free, cap_free;
    struct mf_vecs *sets;
    size_t n_sets, cap_sets;
    struct mf_postings postings;
    struct mf_sessions sessions;
    size_t term_bytes; /* of the records' own lists */
    unsigned n_lent;
    struct mf_list line; /* changes that wait, oldest first */
    size_t line_bytes;
    struct mf_list waiters;
};

/* The changes themselves, for a shelf that is not lent. */
MF_MUST MF_ANY int mf_shelf_do_put(struct mf_shelf *s, const struct mf_shelf_row *row,
                                   const struct mf_search_view *v);
MF_MUST MF_ANY int mf_shelf_do_replace(struct mf_shelf *s, uint64_t seq,
                                       const struct mf_search_view *v);
MF_MUST MF_ANY int mf_shelf_do_remove(struct mf_shelf *s, uint64_t seq);
MF_MUST MF_ANY int mf_shelf_do_remove_session(struct mf_shelf *s, struct mf_slice id);
/* Whether the record that is there says the same. */
MF_ANY bool mf_shelf_holds(const struct mf_shelf *s, uint64_t seq,
                           const struct mf_search_view *v);
/* NULL: not there. */
MF_ANY struct shelf_rec *mf_shelf_find(const struct mf_shelf *s, uint64_t seq);

#endif
