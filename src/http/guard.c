/* SPDX-License-Identifier: Apache-2.0 */
#include "http/guard.h"

struct framing { /* what the headers say, counted */
    unsigned n_hosts, n_lengths, n_encodings;
    bool says_close, says_keep_alive;
};

static int refuse(struct mf_http_parser *p, const char *field, const char *why)
{
    mf_http_fault_set(&p->fault, 400, field, "%s", why);
    return MF_EINVAL;
}

static bool is_line_clean(struct mf_http_parser *p)
{
    const struct mf_buf *h = &p->req->head;
    size_t at = p->method_n + 1 + p->url_n;

    if (h->n < at + 11 || h->p[p->method_n] != ' ' ||
        memcmp(h->p + at, " HTTP/1.", 8) != 0 ||
        memcmp(h->p + at + 9, "\r\n", 2) != 0) {
        return false;
    }
    p->req->is_http10 = h->p[at + 8] == '0';
    return p->req->is_http10 || h->p[at + 8] == '1';
}

/* Only the origin form, and `*` for OPTIONS. */
static bool split_target(struct mf_http_parser *p)
{
    struct mf_http_req *pub = &p->req->pub;
    struct mf_slice url = mf_slice_of(p->req->head.p + p->method_n + 1, p->url_n);
    const char *mark;

    if (url.n == 1 && url.p[0] == '*' && pub->method == MF_HTTP_OPTIONS) {
        pub->path = url;
        pub->query = mf_slice_of(url.p + 1, 0);
        return true;
    }
    if (url.n == 0 || url.p[0] != '/') {
        return false;
    }
    for (size_t i = 0; i < url.n; i++) {
        if (url.p[i] <= ' ' || url.p[i] >= 0x7f || url.p[i] == '#') {
            return false;
        }
    }
    mark = memchr(url.p, '?', url.n);
    pub->path = mf_slice_of(url.p, mark == NULL ? url.n : (size_t)(mark - url.p));
    pub->query = mark == NULL
                     ? mf_slice_of(url.p + url.n, 0)
                     : mf_slice_of(mark + 1, url.n - (size_t)(mark + 1 - url.p));
    return true;
}

static struct mf_slice trim_blanks(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t')) {
        p++;
    }
    while (p < end && (end[-1] == ' ' || end[-1] == '\t')) {
        end--;
    }
    return mf_slice_of(p, (size_t)(end - p));
}

static bool has_control_byte(struct mf_slice v)
{
    for (size_t i = 0; i < v.n; i++) {
        unsigned char c = (unsigned char)v.p[i];

        if ((c < ' ' && c != '\t') || c == 0x7f) {
            return true;
        }
    }
    return false;
}

/* Header `i` must fill its line from the end of the one before to its own CRLF. */
static bool take_header(struct mf_http_parser *p, size_t i, size_t line_at)
{
    struct mf_http_request *r = p->req;
    const struct mf_http_name *name = &r->names[i];
    size_t colon = (size_t)name->at + name->n;
    size_t next = i + 1 < p->n_names ? r->names[i + 1].at : r->head.n - 2;
    const char *h = r->head.p;

    if (name->at != line_at || name->n == 0 || next > r->head.n - 2 ||
        next < colon + 3 || h[colon] != ':' || h[next - 2] != '\r' ||
        h[next - 1] != '\n') {
        return false;
    }
    r->headers[i].name = mf_slice_of(h + name->at, name->n);
    r->headers[i].value = trim_blanks(h + colon + 1, h + next - 2);
    return !has_control_byte(r->headers[i].value);
}

static bool take_headers(struct mf_http_parser *p)
{
    struct mf_http_request *r = p->req;
    size_t line_at = p->method_n + 1 + p->url_n + 11;

    if (r->head.n < line_at + 2 || memcmp(r->head.p + r->head.n - 2, "\r\n", 2) != 0) {
        return false;
    }
    for (size_t i = 0; i < p->n_names; i++) {
        if (!take_header(p, i, line_at)) {
            return false;
        }
        line_at = i + 1 < p->n_names ? r->names[i + 1].at : r->head.n - 2;
    }
    r->pub.headers = r->headers;
    r->pub.n_headers = p->n_names;
    return line_at == r->head.n - 2;
}

static void read_connection(struct framing *f, struct mf_slice list)
{
    const char *at = list.p;
    const char *end = list.p + list.n;

    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *stop = comma == NULL ? end : comma;
        struct mf_slice word = trim_blanks(at, stop);

        f->says_close = f->says_close || mf_slice_is_nocase(word, "close");
        f->says_keep_alive =
            f->says_keep_alive || mf_slice_is_nocase(word, "keep-alive");
        at = stop + 1;
    }
}

static bool is_no_host_byte(char c)
{
    switch (c) {
    case ' ':
    case '\t':
    case ',':
    case '/':
    case '?':
    case '#':
    case '@':
    case '\\': return true;
    default: return false;
    }
}

static int read_host(struct mf_http_parser *p, struct framing *f, struct mf_slice v)
{
    if (++f->n_hosts > 1) {
        return refuse(p, "Host", "more than one Host");
    }
    for (size_t i = 0; i < v.n; i++) {
        if (is_no_host_byte(v.p[i])) {
            return refuse(p, "Host", "Host is one name with an optional port");
        }
    }
    return v.n == 0 ? refuse(p, "Host", "Host is empty") : 0;
}

static int read_length(struct mf_http_parser *p, struct framing *f, struct mf_slice v)
{
    if (++f->n_lengths > 1) {
        return refuse(p, "Content-Length", "more than one Content-Length");
    }
    if (mf_slice_to_u64(v, &p->req->content_length) < 0) {
        return refuse(p, "Content-Length", "Content-Length must be decimal digits");
    }
    return 0;
}

static int read_encoding(struct mf_http_parser *p, struct framing *f, struct mf_slice v)
{
    if (++f->n_encodings > 1 || !mf_slice_is_nocase(v, "chunked")) {
        return refuse(p, "Transfer-Encoding",
                      "the only transfer coding accepted is chunked, once");
    }
    if (p->req->is_http10) {
        return refuse(p, "Transfer-Encoding", "HTTP/1.0 knows no Transfer-Encoding");
    }
    p->req->is_chunked = true;
    return 0;
}

static int read_expect(struct mf_http_parser *p, struct mf_slice v)
{
    if (!mf_slice_is_nocase(v, "100-continue")) {
        mf_http_fault_set(&p->fault, 417, "Expect",
                          "the only expectation met is 100-continue");
        return MF_EINVAL;
    }
    p->req->wants_continue = !p->req->is_http10;
    return 0;
}

/* The few headers that frame the message; the length of a name tells most others off
 * without a comparison. */
static int read_header(struct mf_http_parser *p, struct framing *f,
                       const struct mf_http_header *h)
{
    switch (h->name.n) {
    case 4: return mf_slice_is_nocase(h->name, "host") ? read_host(p, f, h->value) : 0;
    case 6: return mf_slice_is_nocase(h->name, "expect") ? read_expect(p, h->value) : 0;
    case 10:
        if (mf_slice_is_nocase(h->name, "connection")) {
            read_connection(f, h->value);
        }
        return 0;
    case 14:
        return mf_slice_is_nocase(h->name, "content-length")
                   ? read_length(p, f, h->value)
                   : 0;
    case 17:
        return mf_slice_is_nocase(h->name, "transfer-encoding")
                   ? read_encoding(p, f, h->value)
                   : 0;
    default: return 0;
    }
}

/* The parser must have understood the same framing as we did. */
static bool agrees_with_llhttp(const struct mf_http_parser *p, const struct framing *f)
{
    bool ll_chunked = (p->ll.flags & F_CHUNKED) != 0;
    bool ll_length = (p->ll.flags & F_CONTENT_LENGTH) != 0;

    return ll_chunked == p->req->is_chunked && ll_length == (f->n_lengths == 1) &&
           (!ll_length || p->ll.content_length == p->req->content_length);
}

static int check_framing(struct mf_http_parser *p, const struct framing *f)
{
    struct mf_http_request *r = p->req;

    if (f->n_hosts == 0 && !r->is_http10) {
        return refuse(p, "Host", "Host is missing");
    }
    if (f->n_encodings > 0 && f->n_lengths > 0) {
        return refuse(p, "Content-Length",
                      "Content-Length and Transfer-Encoding exclude each other");
    }
    if (!agrees_with_llhttp(p, f)) {
        return refuse(p, "headers", "the length of the body is not clear");
    }
    if (r->content_length > p->bounds->max_body_bytes) {
        mf_http_fault_set(&p->fault, 413, "Content-Length",
                          "the body is larger than server.max_body_bytes (%zu bytes)",
                          p->bounds->max_body_bytes);
        return MF_EINVAL;
    }
    r->is_kept_alive = !f->says_close && (!r->is_http10 || f->says_keep_alive);
    r->wants_continue = r->wants_continue && (r->is_chunked || r->content_length > 0);
    return 0;
}

int mf_http_guard(struct mf_http_parser *p)
{
    struct framing f = {0};

    if (!is_line_clean(p)) {
        return refuse(p, "request line",
                      "a request line is METHOD, blank, target, blank, HTTP/1.1");
    }
    if (!split_target(p)) {
        return refuse(p, "url", "the target must begin with '/' and hold no fragment");
    }
    if (!take_headers(p)) {
        return refuse(p, "headers",
                      "a header is name, colon, value on one line that ends in CRLF");
    }
    for (size_t i = 0; i < p->n_names; i++) {
        int rc = read_header(p, &f, &p->req->headers[i]);

        if (rc < 0) {
            return rc;
        }
    }
    return check_framing(p, &f);
}
