/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cols: what ranking needs of each record besides vector and terms: columns in message
 * order, one set for messages and one for knowledge.
 *
 * Owns:    the columns
 * Thread:  the owner's
 * Limits:  2^32 - 1 records
 * Fails:   MF_ENOMEM from reserve
 */
#ifndef MF_RECALL_COLS_H
#define MF_RECALL_COLS_H

#include "base/base.h"
#include "recall/searchrec.h"

enum mf_kind { MF_KIND_MESSAGE, MF_KIND_KNOWLEDGE, MF_KIND_COUNT };

/* Which of the records around are of the same session. */
enum mf_near {
    MF_NEAR_BEFORE_1 = 1,
    MF_NEAR_AFTER_1 = 2,
    MF_NEAR_BEFORE_2 = 4,
    MF_NEAR_AFTER_2 = 8,
    MF_NEAR_ALL = 15,
    MF_NEAR_STALE = 128 /* to be found out again */
};

#define MF_META_NO_ROLE 7U

struct mf_cols {
    size_t n;
    uint64_t *seq; /* ascending */
    uint32_t *rec; /* the shelf's number of the record */
    uint32_t *session;
    uint32_t *n_terms;
    uint32_t *meta; /* see mf_meta */
    uint8_t *near;  /* enum mf_near */
    size_t caps[6];
};

/* flags (4 bits), role (4), month (8), year (16). */
static inline uint32_t mf_meta(const struct mf_search_view *v)
{
    uint32_t role = (v->flags & MF_SEARCH_KNOWLEDGE) != 0 ? MF_META_NO_ROLE : v->role;

    return (v->flags & 15U) | role << 4 | (uint32_t)v->month << 8 |
           (uint32_t)v->year << 16;
}

static inline enum mf_kind mf_kind_of(const struct mf_search_view *v)
{
    return (v->flags & MF_SEARCH_KNOWLEDGE) != 0 ? MF_KIND_KNOWLEDGE : MF_KIND_MESSAGE;
}

MF_ANY void mf_cols_fini(struct mf_cols *c);
MF_MUST MF_ANY int mf_cols_reserve(struct mf_cols *c, size_t n_more);
/* Opens a place at `at`; rec and session are the caller's to fill. */
MF_ANY void mf_cols_insert(struct mf_cols *c, size_t at, uint64_t seq,
                           const struct mf_search_view *v);
MF_ANY void mf_cols_remove(struct mf_cols *c, size_t at);
/* Removes all of a session; marks those near the gaps as stale. */
MF_ANY void mf_cols_remove_session(struct mf_cols *c, uint32_t session);
/* The first place whose seq is not below `seq`. */
MF_ANY size_t mf_cols_place(const struct mf_cols *c, uint64_t seq);
/* The bits of the record at `at`, from the session column. */
MF_ANY uint8_t mf_cols_near(const struct mf_cols *c, size_t at);
MF_ANY size_t mf_cols_bytes(const struct mf_cols *c);

#endif
