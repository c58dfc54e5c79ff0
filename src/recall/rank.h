/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rank: the scores and the order, from what the legs found. One ranking for resident
 * and streamed records: both fill d and inv_r (vector leg) and call mf_rank_hit
 * (keyword leg), then finish. Places count messages first, then knowledge.
 *
 * Knowledge has no neighbours and no role; in everything else (extremes, N, df,
 * lengths, date, time word, short question) it counts as any record.
 *
 * Owns:    its columns of numbers; borrows the request and the cols
 * Thread:  any
 * Limits:  none
 * Fails:   MF_ENOMEM
 */
#ifndef MF_RECALL_RANK_H
#define MF_RECALL_RANK_H

#include "base/base.h"
#include "recall/cols.h"
#include "recall/shelf.h"

struct mf_rank {
    const struct mf_scan_request *r;
    const struct mf_cols *cols; /* of each kind */
    size_t n;                   /* records of both kinds */
    double average;             /* terms of a record */
    float *d;                   /* dot product with the question; 0 for no vector */
    float *inv_r;               /* 0: no vector, or another space's */
    float *v;                   /* smoothed */
    double *bm25;               /* k_j */
    double *k;                  /* K_j */
    uint8_t *kept;              /* bit: among the best keyword rows */
    uint8_t *hidden;            /* 1: not to be returned */
    float lo, hi;               /* extremes of v */
    double top_k;               /* largest K_j */
    double per_v, per_k, per_f; /* what scales each part */
    void *block;
};

MF_MUST MF_ANY int mf_rank_init(struct mf_rank *k, const struct mf_scan_request *r,
                                const struct mf_cols *cols); /* of each kind */
MF_ANY void mf_rank_fini(struct mf_rank *k);
MF_MUST MF_ANY int mf_rank_finish(struct mf_rank *k, struct mf_scan_hit *hits,
                                  size_t *n_hits);

/* The first place of a kind. */
static inline size_t mf_rank_first(const struct mf_rank *k, enum mf_kind kind)
{
    return kind == MF_KIND_MESSAGE ? 0 : k->cols[MF_KIND_MESSAGE].n;
}

MF_ANY double mf_rank_idf(const struct mf_rank *k, size_t df);

/* A record of n_terms terms holds one of the question's tf times. */
static inline void mf_rank_hit(struct mf_rank *k, size_t at, uint32_t n_terms,
                               double idf, double tf)
{
    const struct mf_recall_weights *w = k->r->weights;

    k->bm25[at] += idf * tf * (w->k1 + 1) /
                   (tf + w->k1 * (1 - w->b + w->b * n_terms / k->average));
}

/* Who asks with an agent sees its sessions, and knowledge that belongs to no agent. */
MF_ANY bool mf_rank_is_of_agent(enum mf_kind kind, struct mf_slice agent_of_session,
                                struct mf_slice agent);
MF_ANY bool mf_rank_wants_vectors(const struct mf_scan_request *r);
MF_ANY bool mf_rank_wants_keywords(const struct mf_scan_request *r);

#endif
