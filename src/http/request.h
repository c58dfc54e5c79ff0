/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request: one request with all its memory, and the pool it comes from.
 *
 * The bytes of the head and of the body are copied here as they are parsed, so the
 * slices a handler sees stand still until its reply. A request that comes back to the
 * pool keeps small buffers: a small request costs two copies and no allocation.
 *
 * Owns:    head, body, reply that waits, header table, arena
 * Thread:  loop (no call into it: the parser is fuzzed without one)
 * Limits:  MF_HTTP_POOL_MAX idle requests, MF_HTTP_KEEP_BYTES a buffer kept
 * Fails:   NULL when out of memory
 */
#ifndef MF_HTTP_REQUEST_H
#define MF_HTTP_REQUEST_H

#include "base/list.h"
#include "http/http.h"

#define MF_HTTP_POOL_MAX   256U
#define MF_HTTP_KEEP_BYTES 16384U

struct mf_http_conn;

enum mf_http_req_state {
    MF_HTTP_REQ_FREE,
    MF_HTTP_REQ_RECEIVING, /* its connection's `cur` */
    MF_HTTP_REQ_IN_HEAD,   /* the same, while the head function runs */
    MF_HTTP_REQ_DELIVERED, /* with the handler, on its connection's slots or orphan */
    MF_HTTP_REQ_REPLIED    /* on the slots, waits for earlier answers */
};

struct mf_http_name { /* where a header's name stands in the head */
    uint32_t at, n;
};

struct mf_http_request {
    struct mf_http_req pub;
    enum mf_http_req_state state;
    struct mf_http_server *server; /* NULL once the server is gone */
    struct mf_http_conn *conn;     /* NULL once the connection is gone */
    struct mf_link link;           /* slots, orphans or the pool */
    struct mf_buf head, body, reply;
    uint64_t content_length;
    bool is_http10;
    bool is_kept_alive;
    bool is_chunked;
    bool wants_continue;
    bool is_last; /* its answer ends the connection */
    struct mf_http_name *names;
    struct mf_http_header headers[]; /* max_headers, then the names */
};

struct mf_http_pool {
    struct mf_list idle;
    size_t max_headers;
};

MF_ANY void mf_http_pool_init(struct mf_http_pool *p, size_t max_headers);
MF_ANY void mf_http_pool_fini(struct mf_http_pool *p);
MF_ANY struct mf_http_request *mf_http_pool_take(struct mf_http_pool *p);
/* `p` may be NULL: the request is freed. It must be on no list. */
MF_ANY void mf_http_pool_give(struct mf_http_pool *p, struct mf_http_request *r);
/* Empties a buffer; its memory stays when it is small. */
MF_ANY void mf_http_keep_small(struct mf_buf *b);

#endif
