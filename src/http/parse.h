/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parse: bytes in, whole requests or one fault out. llhttp reads heads and chunked
 * bodies; the guard judges each head; bodies with a length are only counted.
 *
 * The verdict does not depend on how the bytes were cut: every limit falls at a byte,
 * and of two faults the one at the earlier byte is told. After a fault nothing more is
 * read, ever.
 *
 * Owns:    its llhttp state; the request belongs to the caller
 * Thread:  loop (no call into it: fuzzed without one)
 * Limits:  struct mf_http_bounds
 * Fails:   MF_HTTP_EV_FAULT with an HTTP status and a sentence
 */
#ifndef MF_HTTP_PARSE_H
#define MF_HTTP_PARSE_H

#include "http/request.h"

#include <llhttp.h>

struct mf_http_bounds {
    size_t max_body_bytes;
    size_t max_url_bytes;
    size_t max_header_bytes;
    size_t max_headers;
    size_t max_buffered_bytes;
    size_t buffered_bytes; /* of all bodies now; given back by the owner of requests */
};

struct mf_http_fault {
    int status;
    const char *field; /* a header or a part of the message */
    char message[192]; /* names the limit */
};

enum mf_http_event {
    MF_HTTP_EV_MORE,  /* all input is taken, more is needed */
    MF_HTTP_EV_HEAD,  /* the request's head is there and passed the guard */
    MF_HTTP_EV_DONE,  /* the request is complete */
    MF_HTTP_EV_FAULT, /* see fault; the parser is dead */
};

enum mf_http_stage {
    MF_HTTP_BETWEEN, /* no byte of the request has come */
    MF_HTTP_IN_HEAD,
    MF_HTTP_IN_BODY,
    MF_HTTP_AT_END,
    MF_HTTP_DEAD
};

struct mf_http_parser {
    llhttp_t ll;
    struct mf_http_bounds *bounds;
    struct mf_http_request *req;
    enum mf_http_stage stage;
    unsigned n_blank; /* bytes of the one CRLF that may precede a request */
    const char *base; /* where the bytes llhttp reads now begin */
    size_t head_n;    /* bytes of the head before `base` */
    size_t method_n, url_at, url_n;
    size_t n_names;
    uint64_t left; /* of a body with a length; of a chunked body on the wire */
    bool has_method, has_url, has_version, has_name;
    struct mf_http_name name; /* that is being read */
    struct mf_http_fault fault;
};

MF_ANY void mf_http_parser_init(struct mf_http_parser *p,
                                struct mf_http_bounds *bounds);
/* The next bytes belong to `r`, which is empty. */
MF_ANY void mf_http_parser_begin(struct mf_http_parser *p, struct mf_http_request *r);
/* Reads from *at on and moves it. To be called until it says MORE: HEAD and DONE may
 * come without any byte left. After DONE begin anew. */
MF_ANY enum mf_http_event mf_http_parse(struct mf_http_parser *p, const char **at,
                                        const char *end);
MF_ANY void mf_http_fault_set(struct mf_http_fault *f, int status, const char *field,
                              const char *fmt, ...) MF_PRINTF(4, 5);

#endif
