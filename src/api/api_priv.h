/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_priv: one request on its way through the api: route, key, Idempotency-Key,
 * handler, answer.
 *
 * A handler (mf_handler_fn) either starts an engine call and returns 0, and `done`
 * (mf_api_on_done, or its own) answers later; or answers with mf_api_finish and returns
 * 0; or returns a negative code, having said why in r->faults or r->u.call: then it is
 * answered for it. So every path answers once.
 *
 * Owns:    struct mf_api_req lives in the request's arena and dies with the answer:
 *          after mf_api_finish or mf_api_fail touch nothing of it
 * Thread:  loop
 * Limits:  limits.*
 * Fails:   see envelope.h
 */
#ifndef MF_API_API_PRIV_H
#define MF_API_API_PRIV_H

#include "api/api.h"
#include "api/auth.h"
#include "api/envelope.h"
#include "api/family.h"
#include "api/json_in.h"
#include "api/route.h"
#include "api/vectors.h"
#include "http/http.h"

struct mf_api {
    struct mf_loop *loop;
    const struct mf_conf *conf;
    struct mf_engine *engine; /* NULL: gone */
    struct mf_http_server *http;
    struct mf_auth *auth;
    struct mf_json json;
    struct mf_buf out;    /* the answer being written */
    struct mf_buf health; /* its part that never changes */
    bool is_draining;
    int64_t opened_us;
    struct mf_api_crowd crowd;
    /* while closing */
    uv_timer_t closing;
    uint64_t close_by_ms;
    mf_api_closed_fn closed;
    void *closed_arg;
};

struct mf_api_idem;

struct mf_api_req {
    union { /* each begins with struct mf_call */
        struct mf_call call;
        struct mf_add_call add;
        struct mf_messages_call messages;
        struct mf_ask_call ask;
        struct mf_entity_call entity;
    } u;
    struct mf_api *api;
    struct mf_http_req *http;
    const struct mf_route *route;
    struct mf_slice ids[MF_ROUTE_IDS]; /* of the path */
    struct mf_scope scope;
    struct mf_faults faults;
    void (*format)(struct mf_api_req *r); /* mf_api_on_done, when all went well */
    struct mf_api_idem *idem;             /* NULL: no Idempotency-Key */
    struct mf_slice recorded; /* what a repetition is answered; empty: the same */
    struct mf_slice secret;   /* a key that is shown this once */
    size_t n_requeued;        /* dead letters */
    enum mf_family family;
    uint64_t started_ns;
    unsigned retry_after_s;     /* 0: as the status has it */
    struct mf_api_embed *embed; /* NULL: not about vectors */
};

/* request.c */
MF_LOOP void mf_api_on_request(struct mf_http_req *http, void *arg);
MF_LOOP int mf_api_on_head(struct mf_http_req *http, void *arg);
/* The request is who it says: on to the Idempotency-Key and the handler. */
MF_LOOP void mf_api_go_on(struct mf_api_req *r);
MF_LOOP void mf_api_run(struct mf_api_req *r);
/* Prepares r->u.call; `format` answers when the call succeeded. */
MF_LOOP void mf_api_call(struct mf_api_req *r, void (*format)(struct mf_api_req *r));
MF_LOOP void mf_api_on_done(struct mf_call *c, int rc);
/* Reads the body and hands it to `take`, which notes faults. 0 or the faults' code. */
MF_MUST MF_LOOP int mf_api_body(struct mf_api_req *r,
                                void (*take)(struct mf_api_req *r,
                                             const struct mf_json_at *at));

/* A success: begin, write the data, finish. */
MF_LOOP struct mf_buf *mf_api_begin(struct mf_api_req *r, int status);
MF_LOOP void mf_api_finish(struct mf_api_req *r, int status, const char *message);
MF_LOOP void mf_api_fail(struct mf_api_req *r, int rc);
/* An error in words of our own; `headers` may be NULL. */
MF_LOOP void mf_api_refuse(struct mf_api_req *r, int status, const char *field,
                           const char *message, const char *headers);
/* What stands in api->out; `headers` may be NULL. */
MF_LOOP void mf_api_send_out(struct mf_api_req *r, int status, const char *headers);
/* An answer as it stands in `body`: empty for none. */
MF_LOOP void mf_api_send(struct mf_api_req *r, int status, struct mf_slice body,
                         const char *headers);

#endif
