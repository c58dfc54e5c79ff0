/* SPDX-License-Identifier: Apache-2.0 */
/*
 * query: a question in, ranked messages out: embed (interactive), rank (library), fetch
 * the texts of the best from buffers or store.
 *
 * Owns:    nothing lasting; a request from submit to done
 * Thread:  loop
 * Limits:  1 <= top_k <= MF_QUERY_MAX_HITS: MF_EINVAL; recall.store_timeout for each of
 *          the two visits to the store (a shared one: for each of at most six, when
 * hits were deleted by another process and others take their places) Fails:   MF_EBUSY,
 * MF_ENOMEM, MF_ECLOSED. A failed embedding answers by keyword alone
 *          (`no_vector`; min_similarity then bounds nothing), or with its code when
 *          that leg is off, too; a store that is late or down answers with `is_partial`
 */
#ifndef MF_QUERY_QUERY_H
#define MF_QUERY_QUERY_H

#include "base/base.h"
#include "base/err.h"
#include "base/mem.h"
#include "buffer/buffer.h"
#include "embed/embed.h"
#include "query/library.h"
#include "store/store.h"

#define MF_QUERY_MAX_HITS 10000

struct mf_query;

struct mf_query_config {
    uint64_t store_timeout_ms;
    uint32_t passage_tokens; /* longer messages are answered by their best passage */
};

struct mf_query_hit {
    struct mf_scan_hit scan;
    struct mf_store_row row; /* views into the request's arena; knowledge: session_id
                                empty. search and passages are left empty */
    const char *source;      /* "write_buffer", "hybrid_buffer", "store" */
    struct mf_slice content; /* row.msg.content, or its best passage */
    bool is_passage;
};

struct mf_query_req {
    /* in; slices stay until done */
    struct mf_slice user_id, user_name, agent_name;
    struct mf_slice agent_id; /* filter; empty: all */
    struct mf_slice text;
    size_t top_k;
    double min_similarity;
    bool no_messages, no_knowledge, no_vector_leg, no_keyword_leg;
    struct mf_arena *arena; /* results go here */
    void (*done)(struct mf_query_req *r, int rc);
    /* out */
    struct mf_query_hit *hits; /* best first */
    size_t n_hits;
    bool is_partial;
    bool no_vector; /* the embedding failed: ranked by keyword alone */
    struct mf_err err;
    void *state; /* query's own */
};

MF_MUST MF_LOOP int mf_query_open(struct mf_query **out, struct mf_loop *l,
                                  struct mf_embed *embed, struct mf_library *library,
                                  struct mf_store *store, struct mf_buffers *buffers,
                                  const struct mf_query_config *cfg);
MF_MUST MF_LOOP int mf_query_submit(struct mf_query *q, struct mf_query_req *r);
MF_LOOP size_t mf_query_n_running(const struct mf_query *q);
/* After embed, library and store were closed (they end what is under way). The memory
 * goes in the next turn of the loop. */
MF_LOOP void mf_query_free(struct mf_query *q);

#endif
