/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http: listen, connections, llhttp and the guard, replies. Knows no memory, no store.
 *
 * A request is handed to the handler when its body is complete and lives until exactly
 * one mf_http_reply. Replies may come in any order and later; on the wire they stand in
 * the order of the requests. All replies of a connection in one loop turn leave in one
 * write.
 *
 * Guard after llhttp: exactly one Host (1.1), Transfer-Encoding only `chunked`, only on
 * 1.1 and never with Content-Length, one Content-Length of digits, no folded header, no
 * blank before a colon, closed method list (GET HEAD POST PUT PATCH DELETE OPTIONS; 501
 * for others), no CONNECT, targets in origin form only (and `OPTIONS *`),
 * no chunk extensions; trailers are read and dropped. A wish for another protocol
 * (Upgrade) is passed over, as RFC 9110 7.8 lets a server do: some clients ask for h2c
 * each time. Any parse error answers 400 and
 * closes. These answers are error envelopes that name the field and the limit.
 *
 * HTTP/1.0 is answered and closed unless it asks for keep-alive. After an answer that
 * comes before the end of its request (413, 401 by the head function ..) input is
 * thrown away for a while, so that the client reads the answer and not a reset.
 *
 * Owns:    listener, connections, requests until replied
 * Thread:  loop
 * Limits:  struct mf_http_config; 413, 414, 431, 408, 503 + Retry-After at the bounds
 * Fails:   MF_EIO, MF_EINVAL, MF_ENOMEM from open (address or key in the sentence); a
 *          connection that meets the end of memory is answered 503 or closed
 */
#ifndef MF_HTTP_HTTP_H
#define MF_HTTP_HTTP_H

#include "base/base.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/loop.h"

struct mf_http_server;
struct mf_http_req;

struct mf_http_config {
    const char *host; /* "127.0.0.1", "::1", "0.0.0.0", "localhost" or "unix:/path" */
    unsigned port;    /* 0: any; mf_http_port tells */
    unsigned backlog;
    size_t max_connections; /* beyond: accept, 503 + Retry-After, close */
    size_t
        max_body_bytes;   /* 413, by Content-Length before a byte of the body is read */
    size_t max_url_bytes; /* 414 */
    size_t max_header_bytes;    /* of all headers; 431 */
    size_t max_headers;         /* 431 */
    size_t max_pipelined;       /* outstanding per connection; reading pauses beyond */
    size_t max_output_bytes;    /* unsent per connection; reading pauses beyond */
    size_t max_buffered_bytes;  /* bodies of all connections together; 503 beyond */
    uint64_t header_timeout_ms; /* from the first byte; 408 */
    uint64_t body_timeout_ms;   /* for the whole body; 408 */
    uint64_t idle_timeout_ms;   /* between requests; closed without a word */
    uint64_t write_timeout_ms;  /* a reader that takes nothing is closed */
};

enum mf_http_method {
    MF_HTTP_GET,
    MF_HTTP_HEAD,
    MF_HTTP_POST,
    MF_HTTP_PUT,
    MF_HTTP_PATCH,
    MF_HTTP_DELETE,
    MF_HTTP_OPTIONS,
    MF_HTTP_METHOD_COUNT
};

struct mf_http_header {
    struct mf_slice name;  /* as sent; compare without case */
    struct mf_slice value; /* trimmed */
};

/* Read-only to handlers, and only until the reply. */
struct mf_http_req {
    enum mf_http_method method;
    struct mf_slice path;  /* raw, without the query: still percent-encoded */
    struct mf_slice query; /* raw, without '?', may be empty */
    const struct mf_http_header *headers;
    size_t n_headers;
    struct mf_slice body;
    struct mf_arena arena; /* dies with the reply; handlers may use it */
    bool client_is_gone;   /* reply all the same: it goes nowhere */
    bool client_has_ended; /* it closed the connection, or its half of it: it may still
                            * read the reply, but most that do this have left */
    void *user;            /* the handler's own. What the head function puts here must
                            * be of the arena: the body may never come */
};

/* Must lead to exactly one mf_http_reply, now or later. */
typedef void (*mf_http_handler_fn)(struct mf_http_req *req, void *arg);
/* Headers are complete, the body is not read. Return 0 to go on (then `100 Continue`
 * goes out when the client waits for it). To refuse, call mf_http_refuse and return
 * non-zero. May be NULL. */
typedef int (*mf_http_head_fn)(struct mf_http_req *req, void *arg);
typedef void (*mf_http_closed_fn)(void *arg);

struct mf_http_reply {
    int status;
    const char *content_type;  /* NULL: no body */
    struct mf_slice body;      /* borrowed for the call; copied to the output */
    const char *extra_headers; /* "Name: value\r\n..." or NULL */
    unsigned retry_after_s;    /* 0: none */
    bool close;                /* last answer of this connection */
};

MF_MUST MF_LOOP int mf_http_open(struct mf_http_server **out, struct mf_loop *l,
                                 const struct mf_http_config *cfg,
                                 mf_http_handler_fn handler, mf_http_head_fn head,
                                 void *arg, struct mf_err *err);
MF_LOOP unsigned mf_http_port(const struct mf_http_server *s);
MF_LOOP void mf_http_reply(struct mf_http_req *req, const struct mf_http_reply *reply);
/* Only inside the head function: remember this answer; the server sends it, does not
 * read the body, and closes. */
MF_LOOP void mf_http_refuse(struct mf_http_req *req, const struct mf_http_reply *reply);
/* First header of that name, compared without case; {NULL, 0} when absent. */
MF_ANY struct mf_slice mf_http_header(const struct mf_http_req *req, const char *name);
MF_LOOP size_t mf_http_n_connections(const struct mf_http_server *s);
MF_LOOP size_t mf_http_n_requests(const struct mf_http_server *s); /* not yet replied */
/* Stop accepting; answers from now on carry `Connection: close`; connections without a
 * request are closed. */
MF_LOOP void mf_http_drain(struct mf_http_server *s);
/* Closes all connections at once (after drain), then `closed`, and the server is gone.
 * Requests without a reply yet live until theirs came. */
MF_LOOP void mf_http_close(struct mf_http_server *s, mf_http_closed_fn closed,
                           void *arg);

/* Pure helpers for handlers. */
/* Percent-decodes into the arena; `plus` turns '+' into a blank (queries). MF_EINVAL
 * for a broken escape or %00. */
MF_MUST MF_ANY int mf_http_decode(struct mf_arena *a, struct mf_slice in, bool plus,
                                  struct mf_slice *out);
/* First value of `name` in a query, decoded. MF_ENOTFOUND when absent. */
MF_MUST MF_ANY int mf_http_query_get(struct mf_arena *a, struct mf_slice query,
                                     const char *name, struct mf_slice *out);

#endif
