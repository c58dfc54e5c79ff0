/* SPDX-License-Identifier: Apache-2.0 */
#include "http/parse.h"

#include "http/guard.h"

#include <stdarg.h>
#include <stdio.h>

#define MAX_RESERVE_BYTES 65536U
#define LINE_REST         11U /* " HTTP/1.1\r\n" */

/* A chunked body may need this many bytes on the wire for one of its own: "1\r\nx\r\n"
 * is six. Beyond it is a storm of framing. */
#define WIRE_PER_BYTE 8U

void mf_http_fault_set(struct mf_http_fault *f, int status, const char *field,
                       const char *fmt, ...)
{
    va_list args;

    f->status = status;
    f->field = field;
    va_start(args, fmt);
    (void)vsnprintf(f->message, sizeof(f->message), fmt, args); /* cut is fine */
    va_end(args);
}

static enum mf_http_event die(struct mf_http_parser *p)
{
    p->stage = MF_HTTP_DEAD;
    return MF_HTTP_EV_FAULT;
}

static size_t offset_of(const struct mf_http_parser *p, const char *at)
{
    return p->head_n + (size_t)(at - p->base);
}

static bool method_from_llhttp(int method, enum mf_http_method *out)
{
    switch (method) {
    case HTTP_GET: *out = MF_HTTP_GET; return true;
    case HTTP_HEAD: *out = MF_HTTP_HEAD; return true;
    case HTTP_POST: *out = MF_HTTP_POST; return true;
    case HTTP_PUT: *out = MF_HTTP_PUT; return true;
    case HTTP_PATCH: *out = MF_HTTP_PATCH; return true;
    case HTTP_DELETE: *out = MF_HTTP_DELETE; return true;
    case HTTP_OPTIONS: *out = MF_HTTP_OPTIONS; return true;
    default: return false;
    }
}

static void fault_method(struct mf_http_parser *p)
{
    mf_http_fault_set(
        &p->fault, 501, "method",
        "only GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS are served");
}

static void fault_url(struct mf_http_parser *p)
{
    mf_http_fault_set(&p->fault, 414, "url",
                      "the target is longer than server.max_url_bytes (%zu bytes)",
                      p->bounds->max_url_bytes);
}

/* Where a target that is just not too long ends in the head. */
static size_t target_end_max(const struct mf_http_parser *p)
{
    return p->method_n + 1 + p->bounds->max_url_bytes;
}

static int on_method_complete(llhttp_t *ll)
{
    struct mf_http_parser *p = ll->data;

    if (!method_from_llhttp(ll->method, &p->req->pub.method)) {
        fault_method(p);
        return HPE_USER;
    }
    p->method_n = strlen(llhttp_method_name(ll->method));
    p->has_method = true;
    return 0;
}

static int on_url(llhttp_t *ll, const char *at, size_t n)
{
    struct mf_http_parser *p = ll->data;

    if (p->url_n == 0) {
        p->url_at = offset_of(p, at);
    }
    p->url_n += n;
    return 0;
}

static int on_url_complete(llhttp_t *ll)
{
    struct mf_http_parser *p = ll->data;

    p->has_url = true;
    if (p->url_at + p->url_n > target_end_max(p)) {
        fault_url(p);
        return HPE_USER;
    }
    return 0;
}

static int on_version_complete(llhttp_t *ll)
{
    struct mf_http_parser *p = ll->data;

    p->has_version = true;
    return 0;
}

static int on_header_field(llhttp_t *ll, const char *at, size_t n)
{
    struct mf_http_parser *p = ll->data;

    if (p->stage == MF_HTTP_IN_BODY) { /* a trailer: read, bounded, not kept */
        return 0;
    }
    if (!p->has_name) {
        p->has_name = true;
        p->name.at = (uint32_t)offset_of(p, at);
    }
    p->name.n = (uint32_t)(offset_of(p, at) + n) - p->name.at;
    return 0;
}

/* Limits are judged in the *_complete callbacks: these stand at a byte, while the
 * spans come as the input was cut. */
static int on_header_value_complete(llhttp_t *ll)
{
    struct mf_http_parser *p = ll->data;

    if (p->stage == MF_HTTP_IN_BODY) {
        return 0;
    }
    if (!p->has_version) {
        mf_http_fault_set(&p->fault, 400, "request line",
                          "HTTP/1.1 or HTTP/1.0 please");
        return HPE_USER;
    }
    if (p->n_names == p->bounds->max_headers) {
        mf_http_fault_set(&p->fault, 431, "headers",
                          "more headers than server.max_headers (%zu)",
                          p->bounds->max_headers);
        return HPE_USER;
    }
    p->req->names[p->n_names++] = p->name;
    p->has_name = false;
    return 0;
}

static int on_headers_complete(MF_UNUSED llhttp_t *ll)
{
    return HPE_PAUSED;
}

static void fault_body(struct mf_http_parser *p)
{
    mf_http_fault_set(&p->fault, 413, "body",
                      "the body is larger than server.max_body_bytes (%zu bytes)",
                      p->bounds->max_body_bytes);
}

static int on_chunk_header(llhttp_t *ll)
{
    struct mf_http_parser *p = ll->data;

    if (ll->content_length > p->bounds->max_body_bytes - p->req->body.n) {
        fault_body(p);
        return HPE_USER;
    }
    return 0;
}

static int on_chunk_extension(llhttp_t *ll, MF_UNUSED const char *at,
                              MF_UNUSED size_t n)
{
    struct mf_http_parser *p = ll->data;

    mf_http_fault_set(&p->fault, 400, "Transfer-Encoding",
                      "chunk extensions are not accepted");
    return HPE_USER;
}

static int body_add(struct mf_http_parser *p, const char *at, size_t n)
{
    struct mf_http_bounds *b = p->bounds;

    if (n > b->max_buffered_bytes - mf_min(b->buffered_bytes, b->max_buffered_bytes)) {
        mf_http_fault_set(&p->fault, 503, "body",
                          "all bodies together reached server.max_buffered_bytes "
                          "(%zu bytes): try again later",
                          b->max_buffered_bytes);
        return HPE_USER;
    }
    mf_buf_add(&p->req->body, at, n);
    if (mf_buf_status(&p->req->body) < 0) {
        mf_http_fault_set(&p->fault, 503, "body", "out of memory: try again later");
        return HPE_USER;
    }
    b->buffered_bytes += n;
    return 0;
}

static int on_body(llhttp_t *ll, const char *at, size_t n)
{
    return body_add(ll->data, at, n);
}

static int on_message_complete(MF_UNUSED llhttp_t *ll)
{
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_method_complete = on_method_complete,
    .on_url = on_url,
    .on_url_complete = on_url_complete,
    .on_version_complete = on_version_complete,
    .on_header_field = on_header_field,
    .on_header_value_complete = on_header_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_chunk_header = on_chunk_header,
    .on_chunk_extension_name = on_chunk_extension,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

void mf_http_parser_init(struct mf_http_parser *p, struct mf_http_bounds *bounds)
{
    memset(p, 0, sizeof(*p));
    llhttp_init(&p->ll, HTTP_REQUEST, &settings);
    p->ll.data = p;
    p->bounds = bounds;
}

void mf_http_parser_begin(struct mf_http_parser *p, struct mf_http_request *r)
{
    MF_ASSERT(p->stage == MF_HTTP_BETWEEN || p->stage == MF_HTTP_AT_END);
    llhttp_reset(&p->ll);
    p->req = r;
    p->stage = MF_HTTP_BETWEEN;
    p->n_blank = 0;
    p->head_n = p->method_n = p->url_at = p->url_n = p->n_names = 0;
    p->left = 0;
    p->has_method = p->has_url = p->has_version = p->has_name = false;
}

/* Whether a limit was passed before the byte at `offset` of the head, where `url_end`
 * is the end of the target so far. */
static bool is_over_limit(struct mf_http_parser *p, size_t offset, size_t url_end)
{
    const struct mf_http_bounds *b = p->bounds;

    if (p->has_method && !p->has_url && url_end > target_end_max(p)) {
        fault_url(p);
        return true;
    }
    if (p->has_url &&
        offset > p->method_n + 1 + p->url_n + LINE_REST + b->max_header_bytes + 2) {
        mf_http_fault_set(&p->fault, 431, "headers",
                          "the headers are longer than server.max_header_bytes "
                          "(%zu bytes)",
                          b->max_header_bytes);
        return true;
    }
    return false;
}

static bool is_token_byte(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static const char *field_of(const struct mf_http_parser *p, llhttp_errno_t rc)
{
    if (rc == HPE_INVALID_CONTENT_LENGTH || rc == HPE_UNEXPECTED_CONTENT_LENGTH) {
        return "Content-Length";
    }
    if (rc == HPE_INVALID_TRANSFER_ENCODING) {
        return "Transfer-Encoding";
    }
    return p->has_version ? "headers" : "request line";
}

static enum mf_http_event head_fault(struct mf_http_parser *p, llhttp_errno_t rc,
                                     const char *at, const char *end)
{
    if (is_over_limit(p, offset_of(p, at), offset_of(p, at)) || p->fault.status != 0) {
        return die(p);
    }
    if (rc == HPE_INVALID_METHOD && at < end && is_token_byte(*at)) {
        fault_method(p);
        return die(p);
    }
    mf_http_fault_set(&p->fault, 400, field_of(p, rc), "%s",
                      llhttp_get_error_reason(&p->ll));
    return die(p);
}

static enum mf_http_event head_is_complete(struct mf_http_parser *p)
{
    struct mf_http_request *r = p->req;

    if (mf_http_guard(p) < 0) {
        return die(p);
    }
    p->stage = MF_HTTP_IN_BODY;
    if (r->is_chunked) {
        p->left =
            MAX_RESERVE_BYTES + (uint64_t)p->bounds->max_body_bytes * WIRE_PER_BYTE;
        llhttp_resume(&p->ll);
    } else {
        p->left = r->content_length;
    }
    return MF_HTTP_EV_HEAD;
}

static enum mf_http_event parse_head(struct mf_http_parser *p, const char **at,
                                     const char *end)
{
    const char *stop = end;
    llhttp_errno_t rc;
    size_t n;

    p->base = *at;
    rc = llhttp_execute(&p->ll, *at, (size_t)(end - *at));
    if (rc != HPE_OK) {
        stop = llhttp_get_error_pos(&p->ll);
    }
    if (rc != HPE_OK && rc != HPE_PAUSED) {
        return head_fault(p, rc, stop, end);
    }
    n = (size_t)(stop - *at);
    if (is_over_limit(p, p->head_n + n,
                      p->url_n > 0 ? p->url_at + p->url_n : p->head_n + n)) {
        return die(p);
    }
    mf_buf_add(&p->req->head, *at, n);
    if (mf_buf_status(&p->req->head) < 0) {
        mf_http_fault_set(&p->fault, 503, "headers", "out of memory: try again later");
        return die(p);
    }
    p->head_n += n;
    *at = stop;
    return rc == HPE_OK ? MF_HTTP_EV_MORE : head_is_complete(p);
}

static enum mf_http_event body_is_complete(struct mf_http_parser *p)
{
    p->req->pub.body = mf_slice_of(p->req->body.p, p->req->body.n);
    p->stage = MF_HTTP_AT_END;
    return MF_HTTP_EV_DONE;
}

static enum mf_http_event parse_counted(struct mf_http_parser *p, const char **at,
                                        const char *end)
{
    struct mf_http_request *r = p->req;
    size_t n = mf_min((size_t)(end - *at), p->left);

    if (r->body.n == 0 && p->left > 0 && p->left <= MAX_RESERVE_BYTES) {
        /* One allocation at most; body_add tells when there is no memory. */
        (void)mf_buf_reserve(&r->body, p->left);
    }
    if (n > 0 && body_add(p, *at, n) != 0) {
        return die(p);
    }
    *at += n;
    p->left -= n;
    return p->left == 0 ? body_is_complete(p) : MF_HTTP_EV_MORE;
}

static enum mf_http_event parse_chunks(struct mf_http_parser *p, const char **at,
                                       const char *end)
{
    size_t n = mf_min((size_t)(end - *at), p->left);
    llhttp_errno_t rc;

    if (n == 0) {
        return MF_HTTP_EV_MORE;
    }
    rc = llhttp_execute(&p->ll, *at, n);
    if (rc == HPE_PAUSED) {
        *at = llhttp_get_error_pos(&p->ll);
        return body_is_complete(p);
    }
    if (rc != HPE_OK) {
        if (p->fault.status == 0) {
            mf_http_fault_set(&p->fault, 400, "Transfer-Encoding", "%s",
                              llhttp_get_error_reason(&p->ll));
        }
        return die(p);
    }
    *at += n;
    p->left -= n;
    if (p->left == 0) {
        fault_body(p);
        return die(p);
    }
    return MF_HTTP_EV_MORE;
}

/* One empty line before a request is let pass, as RFC 9112 asks; not more. */
static bool skip_blank(struct mf_http_parser *p, const char **at, const char *end)
{
    while (*at < end && (**at == '\r' || **at == '\n')) {
        if (p->n_blank == 2 || **at != "\r\n"[p->n_blank]) {
            break;
        }
        p->n_blank++;
        (*at)++;
    }
    if (*at == end) {
        return true;
    }
    if (p->n_blank == 1 || **at == '\r' || **at == '\n') {
        mf_http_fault_set(&p->fault, 400, "request line",
                          "no more than one empty line may come before a request");
        return false;
    }
    return true;
}

enum mf_http_event mf_http_parse(struct mf_http_parser *p, const char **at,
                                 const char *end)
{
    switch (p->stage) {
    case MF_HTTP_BETWEEN:
        if (!skip_blank(p, at, end)) {
            return die(p);
        }
        if (*at == end) {
            return MF_HTTP_EV_MORE;
        }
        p->stage = MF_HTTP_IN_HEAD;
        return parse_head(p, at, end);
    case MF_HTTP_IN_HEAD: return *at == end ? MF_HTTP_EV_MORE : parse_head(p, at, end);
    case MF_HTTP_IN_BODY:
        return p->req->is_chunked ? parse_chunks(p, at, end)
                                  : parse_counted(p, at, end);
    case MF_HTTP_AT_END:
    case MF_HTTP_DEAD: break;
    }
    return MF_HTTP_EV_FAULT;
}
