/* SPDX-License-Identifier: Apache-2.0 */
/*
 * query_priv: what the files of query share among themselves.
 *
 * Owns:    asks, and the store's requests for texts
 * Thread:  loop
 * Limits:  those of query.h
 * Fails:   those of query.h
 */
#ifndef MF_QUERY_QUERY_PRIV_H
#define MF_QUERY_QUERY_PRIV_H

#include "base/id.h"
#include "base/list.h"
#include "query/query.h"

struct mf_query {
    struct mf_loop *loop;
    struct mf_embed *embed;
    struct mf_library *library;
    struct mf_store *store;
    struct mf_buffers *buffers;
    struct mf_query_config cfg;
    uint16_t dim;
    uint32_t space;
    struct mf_terms *terms;
    struct mf_list timed; /* asks that wait for texts, by deadline */
    uv_timer_t timer;
    size_t n_running;
    size_t n_at_store;
};

/* One question from submit to done. */
struct mf_ask {
    struct mf_query *q;
    struct mf_query_req *r;
    struct mf_question question;
    float *vector;
    bool has_vector;
    struct mf_embed_task embedding;
    struct mf_library_scan scan;
    struct mf_scan_hit *hits;
    struct mf_fetch *fetch; /* at the store */
    unsigned n_again;       /* ranked again, since hits were deleted elsewhere */
    struct mf_link in_timed;
    uint64_t deadline_ms;
};

MF_LOOP void mf_ask_finish(struct mf_ask *a, int rc);
/* Ranks, then fetches; on an error nothing happened. */
MF_MUST MF_LOOP int mf_ask_rank(struct mf_ask *a);

/* ---- query_fetch.c ---- */

/* The texts of what was ranked; ends the ask. */
MF_LOOP void mf_ask_fetch(struct mf_ask *a);
/* The timer of those who wait for the store. */
MF_LOOP void mf_fetch_set_timer(struct mf_query *q);

#endif
