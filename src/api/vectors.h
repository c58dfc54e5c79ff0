/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vectors: a request for vectors on its way: through the engine's service, then into
 * text, which for long answers a worker writes. A client that left ends its wait.
 *
 * Owns:    struct mf_api_embed lives in the request's arena; its results until the
 *          answer
 * Thread:  loop; `put` of a long answer runs on a worker
 * Limits:  the service's; MF_VECTORS_INLINE numbers are written on the loop
 * Fails:   answered in the words of the request's family
 */
#ifndef MF_API_VECTORS_H
#define MF_API_VECTORS_H

#include "api/embed_in.h"
#include "base/list.h"
#include "embed/service.h"
#include "loop/lane.h"
#include "loop/loop.h"

#define MF_VECTORS_INLINE 16384U

struct mf_api;
struct mf_api_req;
struct mf_api_embed;

/* Writes the answer. Looks at `e` and nothing else. */
typedef void (*mf_api_put_fn)(const struct mf_api_embed *e, struct mf_buf *out);

struct mf_api_look {
    struct mf_service_look k;
    struct mf_api_embed *e;
};

struct mf_api_embed {
    struct mf_api_req *r;
    struct mf_embed_wish wish;
    mf_api_put_fn put;
    struct mf_slice model; /* its name, ours */
    size_t dim;            /* of the model */
    /* results */
    float *vectors;     /* wish.n rows of wish.dim, `dim` apart; NULL: looks */
    uint32_t *n_tokens; /* with the vectors */
    struct mf_api_look *looks;
    uint64_t n_all_tokens;
    uint64_t took_ms; /* in the model, and before it */
    /* its own */
    struct mf_service_request req;
    struct mf_link link; /* mf_api_crowd.waiting */
    uint64_t begun_ns;
    size_t n_left; /* looks */
    int rc;
    struct mf_job job;
    struct mf_buf out;
};

/* What of this module lives as long as the api. */
struct mf_api_crowd {
    struct mf_list waiting; /* for the service's vectors */
    uv_timer_t timer;       /* looks who is gone, while anybody waits */
    struct mf_lane *lane;
    void (*closed)(void *arg);
    void *closed_arg;
};

MF_MUST MF_LOOP int mf_api_crowd_open(struct mf_api *a);
/* After it no request is answered by a worker. */
MF_LOOP void mf_api_crowd_close(struct mf_api *a, void (*closed)(void *arg), void *arg);

/* r->embed, with the wish that `take` read from the body. Negative: faults are noted.
 */
MF_MUST MF_LOOP int mf_api_embed_new(struct mf_api_req *r,
                                     void (*take)(const struct mf_json_at *at,
                                                  const struct mf_embed_rules *rules,
                                                  struct mf_embed_wish *out));
/* On to the service; the answer is `put`. */
MF_MUST MF_LOOP int mf_api_embed_vectors(struct mf_api_embed *e, mf_api_put_fn put);
MF_MUST MF_LOOP int mf_api_embed_looks(struct mf_api_embed *e, bool wants_states,
                                       mf_api_put_fn put);

#endif
