/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service: embedding for others: a request of several texts in, all its vectors out.
 *
 * Same text, same flags, same space: computed once. A text that is being embedded is
 * joined by whoever asks for it meanwhile (single flight); afterwards its vector is
 * kept in a cache (LRU, bounded in bytes and age). The key is the SHA-256 over the
 * length-prefixed space, flags and text. Failures are never kept. A request is admitted
 * or refused as a whole before anything is computed: refused when what waits before it
 * would take longer than max_wait_ms by the measured rate, or is more than max_tokens.
 *
 * Owns:    flights and cached vectors; a request belongs to the service from submit to
 *          done
 * Thread:  loop
 * Limits:  cache_bytes; max_tokens estimated tokens waiting; max_wait_ms
 * Fails:   MF_ERATE from submit (retry_after_ms is set), MF_ECLOSED, MF_ENOMEM; `done`
 *          brings the first failed text's code and place: a request succeeds whole or
 *          not at all
 */
#ifndef MF_EMBED_SERVICE_H
#define MF_EMBED_SERVICE_H

#include "base/base.h"
#include "base/list.h"
#include "base/str.h"
#include "embed/embed.h"

struct mf_service;
struct mf_service_request;
struct mf_flight_wait;

typedef void (*mf_service_done_fn)(struct mf_service_request *r, int rc);

struct mf_service_request {       /* embedded in the caller's struct */
    const struct mf_slice *texts; /* n of them; must stay until done */
    size_t n;
    struct mf_slice prompt; /* put before each text; may be empty; must stay */
    unsigned flags;         /* MF_TEXT_* */
    enum mf_urgency urgency;
    mf_service_done_fn done; /* loop; exactly once, never before submit returned */
    /* results, valid until `done` returned */
    float *vectors;              /* n x dim */
    uint32_t *n_tokens;          /* n */
    bool takes_results;          /* set by the caller: `vectors` and `n_tokens` of a
                                    success become the caller's, who frees both */
    size_t failed;               /* rc < 0: which text */
    uint64_t retry_after_ms;     /* submit gave MF_ERATE */
    uint32_t n_cached, n_joined; /* of n: from the cache, from a flight of others */
    /* the service's own */
    struct mf_link link;
    struct mf_service *service;
    struct mf_flight_wait *waits; /* n; NULL: waits for nothing any more */
    size_t n_left;
    int rc;
};

struct mf_service_config {
    struct mf_model *model; /* embed's */
    size_t cache_bytes;     /* 0: no cache */
    uint64_t cache_ttl_ms;  /* 0: no end */
    size_t max_tokens;      /* estimated tokens waiting before a new request */
    uint64_t max_wait_ms;
};

struct mf_service_stats {
    uint64_t hits, misses, joined, evicted, expired; /* texts, since open or reset */
    size_t cached, cached_bytes, in_flight;
};

typedef void (*mf_service_closed_fn)(void *arg);

/* `embed` is borrowed: the service is closed first. */
MF_MUST MF_LOOP int mf_service_open(struct mf_service **out, struct mf_loop *l,
                                    struct mf_embed *embed,
                                    const struct mf_service_config *cfg);
MF_MUST MF_LOOP int mf_service_submit(struct mf_service *s,
                                      struct mf_service_request *r);
/* The client left: its wait ends (`done` with MF_ECANCELED, never inside this call); a
 * flight that nobody waits for any more is canceled, the others go on. */
MF_LOOP void mf_service_cancel(struct mf_service *s, struct mf_service_request *r);
MF_LOOP void mf_service_stats(const struct mf_service *s, struct mf_service_stats *out);
MF_LOOP void mf_service_clear(struct mf_service *s);              /* the cache */
MF_LOOP void mf_service_reset_stats(struct mf_service *s);        /* the counters */
MF_LOOP size_t mf_service_n_requests(const struct mf_service *s); /* not done */
MF_LOOP const struct mf_model_info *mf_service_info(const struct mf_service *s);

/* One text on a worker, not cached: its pieces (tokenize), or a vector for each of them
 * (states). In a worker lane of its own, one at a time; same admission. Once submitted
 * it runs to its end. */
struct mf_service_look {
    struct mf_slice text; /* must stay until done */
    unsigned flags;
    bool wants_states; /* else pieces */
    bool special;      /* pieces: with [CLS] and [SEP] */
    void (*done)(struct mf_service_look *k, int rc);
    /* results: the caller's, who frees them */
    struct mf_piece *pieces; /* n; `writing` is a view of the text or of the
                                model */
    float *states;           /* n x dim */
    size_t n;
    uint64_t retry_after_ms;
    /* the service's own */
    struct mf_job job;
    struct mf_service *service;
    struct mf_model *model;
    int rc;
};

MF_MUST MF_LOOP int mf_service_look(struct mf_service *s, struct mf_service_look *k);
/* Waiting requests end as MF_ECANCELED. */
MF_LOOP void mf_service_close(struct mf_service *s, mf_service_closed_fn closed,
                              void *arg);

#endif
