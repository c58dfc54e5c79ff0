/* SPDX-License-Identifier: Apache-2.0 */
#include "http/transcript.h"

struct reading {
    struct mf_buf *out;
    struct mf_http_bounds bounds;
    struct mf_http_pool pool;
    struct mf_http_parser parser;
    struct mf_http_request *cur;
};

static void write_request(struct mf_buf *out, const struct mf_http_request *r)
{
    const struct mf_http_req *q = &r->pub;

    mf_buf_addf(out, "%d %.*s ?%.*s %zu %zu %s%s%s\n", (int)q->method, (int)q->path.n,
                q->path.p, (int)q->query.n, q->query.p, q->n_headers, q->body.n,
                r->is_kept_alive ? "keep" : "close", r->is_chunked ? " chunked" : "",
                r->wants_continue ? " continue" : "");
    for (size_t i = 0; i < q->n_headers; i++) {
        mf_buf_add_slice(out, q->headers[i].name);
        mf_buf_add_str(out, ": [");
        mf_buf_add_slice(out, q->headers[i].value);
        mf_buf_add_str(out, "]\n");
    }
    mf_buf_add_slice(out, q->body);
    mf_buf_add_char(out, '\n');
}

static void forget(struct reading *r)
{
    if (r->cur != NULL) {
        MF_ASSERT(r->bounds.buffered_bytes == r->cur->body.n);
        r->bounds.buffered_bytes = 0;
        mf_http_pool_give(&r->pool, r->cur);
        r->cur = NULL;
    }
}

static void take_request(struct reading *r)
{
    r->cur = mf_http_pool_take(&r->pool);
    MF_ASSERT(r->cur != NULL);
    mf_http_parser_begin(&r->parser, r->cur);
}

/* False when the connection would read no further. */
static bool end_request(struct reading *r)
{
    bool goes_on = r->cur->is_kept_alive;

    write_request(r->out, r->cur);
    forget(r);
    return goes_on;
}

static bool feed(struct reading *r, const char *at, const char *end)
{
    bool goes_on = true;

    while (goes_on && (r->cur != NULL || at < end)) {
        if (r->cur == NULL) {
            take_request(r);
        }
        switch (mf_http_parse(&r->parser, &at, end)) {
        case MF_HTTP_EV_MORE: MF_ASSERT(at == end); return true;
        case MF_HTTP_EV_HEAD: break;
        case MF_HTTP_EV_DONE: goes_on = end_request(r); break;
        case MF_HTTP_EV_FAULT:
            mf_buf_addf(r->out, "fault %d\n", r->parser.fault.status);
            return false;
        }
    }
    return goes_on;
}

void mf_transcript(struct mf_buf *out, const struct mf_http_bounds *bounds,
                   struct mf_slice bytes, mf_cut_fn cut, void *arg,
                   struct mf_http_fault *fault)
{
    struct reading r = {.out = out, .bounds = *bounds};
    bool goes_on = true;

    mf_http_pool_init(&r.pool, bounds->max_headers);
    mf_http_parser_init(&r.parser, &r.bounds);
    for (size_t at = 0; at < bytes.n && goes_on;) {
        size_t n = cut == NULL ? bytes.n : cut(at, bytes.n - at, arg);
        /* Each piece in a block of its own, so that reading beyond it, or later, is
         * found by the address sanitizer. */
        char *piece = mf_strndup(bytes.p + at, n);

        MF_ASSERT(piece != NULL);
        goes_on = feed(&r, piece, piece + n);
        mf_free(piece);
        at += n;
    }
    if (goes_on && r.cur != NULL) {
        mf_buf_add_str(out, "more\n");
    }
    if (fault != NULL) {
        *fault = r.parser.fault;
    }
    forget(&r);
    mf_http_pool_fini(&r.pool);
}
