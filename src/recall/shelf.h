/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shelf: one user's search records in memory, in message order: vectors, postings,
 * flags, r (the length of the smoothed vector, computed here, never stored).
 *
 * A shelf is lent to scanning workers (mf_shelf_lend .. mf_shelf_return). While it is
 * lent nothing in it changes: what the loop puts, replaces or removes meanwhile stands
 * in line inside the shelf and is done when the last borrower returned it. A new scan
 * must wait while something stands in line (mf_shelf_lend says MF_EBUSY and calls the
 * waiter later), so that whoever asks after an acknowledgement finds the message.
 *
 * Records are known by their order number (seq). Knowledge stands after all messages
 * and has no neighbours and no role; in all else (extremes, N, df, lengths, the boost
 * of a date, of a time word) it is a record like any other. Removed records leave no
 * trace in scores: neighbours, r, N, df and lengths are as if they had never been
 * there. r is computed among neighbours of the record's own vector space.
 *
 * Owns:    copies of all records put into it
 * Thread:  loop; mf_shelf_scan on a worker while lent
 * Limits:  none here: recall.max_bytes counts mf_shelf_bytes of all shelves
 * Fails:   MF_ENOMEM: nothing changed; MF_ECORRUPT for a damaged record (not put). A
 *          change in line that finds no memory when its turn comes stays in line, and
 *          mf_shelf_lend tries it again and says MF_ENOMEM while it fails
 */
#ifndef MF_RECALL_SHELF_H
#define MF_RECALL_SHELF_H

#include "base/base.h"
#include "base/err.h"
#include "base/list.h"
#include "base/str.h"
#include "recall/question.h"
#include "recall/searchrec.h"

/* Constants of reference section 2; every one a key recall.*; defaults there. */
struct mf_recall_weights {
    double a1, a2;         /* vector neighbours: .2 .1 */
    double b1, b2;         /* keyword neighbours: .5 .25 */
    double k1, b;          /* BM25: 1.2 .75 */
    double w;              /* vector leg: .7 */
    double speaker;        /* .2 */
    double date;           /* .2 */
    double time_word;      /* .1 */
    double short_question; /* -.08 */
    unsigned keyword_rows; /* 200 */
};

struct mf_scan_request {
    const struct mf_question *question;
    const float *vector; /* of question->text_to_embed, unit; NULL: keyword leg only */
    uint16_t dim;
    uint32_t space;
    const struct mf_recall_weights *weights;
    size_t top_k;
    double min_similarity;    /* of (1 + cos) / 2; 0: no bound. Under a bound a record
                                 whose similarity is not known is not returned */
    struct mf_slice agent_id; /* only sessions of this agent, and knowledge that belongs
                                 to no agent; empty: all */
    bool no_messages, no_knowledge;
    bool no_vector_leg, no_keyword_leg; /* store_type keyword, vector */
};

struct mf_scan_hit {
    uint64_t seq;
    bool is_knowledge;
    bool has_vector;   /* one of the request's space, which was compared */
    double score;      /* s of section 2.6; reported / 1.5, clamped to 0..1 */
    double similarity; /* (1 + cos) / 2 of the raw vector; 0 without one */
    double bm25;       /* raw k_j */
    double boost;      /* sum of the boosts */
};

struct mf_shelf;

struct mf_shelf_waiter {                      /* embedded in who wants to scan */
    struct mf_link link;                      /* zeroed */
    void (*ready)(struct mf_shelf_waiter *w); /* loop; ask again; frees no shelf */
};

MF_ANY struct mf_shelf *mf_shelf_new(const struct mf_recall_weights *weights);
/* Not while lent. Also on a worker, for a shelf nobody else knows any more: one of
 * 100,000 records takes 10 ms. */
MF_ANY void mf_shelf_free(struct mf_shelf *s);

/* In any order of seq, which messages and knowledge share. A seq that is there already
 * is left as it is (0 returned). A session's agent is the one it was first put with. */
MF_MUST MF_LOOP int mf_shelf_put(struct mf_shelf *s, uint64_t seq,
                                 struct mf_slice session_id, struct mf_slice agent_id,
                                 struct mf_slice rec);
/* Another record for a seq that is there: a vector that came late, a changed text.
 * MF_ENOTFOUND; MF_EINVAL when a message would become knowledge or the reverse. */
MF_MUST MF_LOOP int mf_shelf_replace(struct mf_shelf *s, uint64_t seq,
                                     struct mf_slice rec);
MF_MUST MF_LOOP int mf_shelf_remove(struct mf_shelf *s,
                                    uint64_t seq); /* MF_ENOTFOUND */
/* 0 also when the session has no record. Work grows with the whole shelf: up to 4 ms at
 * 100,000 records. */
MF_MUST MF_LOOP int mf_shelf_remove_session(struct mf_shelf *s,
                                            struct mf_slice session_id);

struct mf_shelf_row {
    uint64_t seq;
    struct mf_slice session_id, agent_id, rec;
};

/* What a store says of a seq: put, or replaced where it is there. A record that is
 * equal to the one there changes nothing and costs next to nothing. MF_EINVAL when a
 * message would become knowledge or the reverse. */
MF_MUST MF_LOOP int mf_shelf_take(struct mf_shelf *s, const struct mf_shelf_row *row);

/* Many at once, ascending seq, for loading: cheaper than put one by one. May be called
 * on a worker for a shelf nobody else knows yet. Damaged records are left out, all
 * others are put, and MF_ECORRUPT is returned at the end; after MF_ENOMEM only some are
 * there. */
MF_MUST MF_ANY int mf_shelf_load(struct mf_shelf *s, const struct mf_shelf_row *rows,
                                 size_t n);

MF_ANY size_t mf_shelf_count(const struct mf_shelf *s);
MF_ANY size_t mf_shelf_bytes(const struct mf_shelf *s);
/* With what stands in line. */
MF_LOOP bool mf_shelf_has(const struct mf_shelf *s, uint64_t seq);

/* 0: lent, give it back once. MF_EBUSY: `w` stands in line and is called. MF_ENOMEM:
 * not lent, `w` is not called. */
MF_MUST MF_LOOP int mf_shelf_lend(struct mf_shelf *s, struct mf_shelf_waiter *w);
MF_LOOP void mf_shelf_return(struct mf_shelf *s);
MF_LOOP void mf_shelf_forget_waiter(struct mf_shelf *s, struct mf_shelf_waiter *w);
MF_LOOP bool mf_shelf_is_lent(const struct mf_shelf *s);

/* Ranks all records; writes at most r->top_k hits, best first, and their number. */
MF_MUST MF_WORKER int mf_shelf_scan(const struct mf_shelf *s,
                                    const struct mf_scan_request *r,
                                    struct mf_scan_hit *hits, size_t *n_hits);

/*
 * The same ranking for a user too large to be resident: records are fed in order, in
 * pieces, and only a few numbers of each are kept. All on one worker at a time.
 * Messages ascend by seq, and so does knowledge; the two may come mixed. The request's
 * question, vector and weights are borrowed until mf_stream_free.
 *
 * Feed: MF_ECORRUPT: damaged records were left out, all others taken; MF_EINVAL: a seq
 * that does not ascend; MF_ENOMEM. After the latter two the stream can only be freed.
 */
struct mf_stream;

MF_MUST MF_ANY int mf_stream_new(struct mf_stream **out,
                                 const struct mf_scan_request *r);
MF_MUST MF_ANY int mf_stream_feed(struct mf_stream *st, const struct mf_shelf_row *rows,
                                  size_t n);
MF_MUST MF_ANY int mf_stream_finish(struct mf_stream *st, struct mf_scan_hit *hits,
                                    size_t *n_hits);
MF_ANY void mf_stream_free(struct mf_stream *st);

#endif
