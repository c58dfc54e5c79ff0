/* SPDX-License-Identifier: Apache-2.0 */
#include "http/transcript.h"
#include "lib/mf_test.h"

#include <stdio.h>

static const struct mf_http_bounds roomy = {.max_body_bytes = 1 << 20,
                                            .max_url_bytes = 8192,
                                            .max_header_bytes = 16384,
                                            .max_headers = 100,
                                            .max_buffered_bytes = 1 << 24};

static size_t cut_one(MF_UNUSED size_t at, MF_UNUSED size_t left, MF_UNUSED void *arg)
{
    return 1;
}

static size_t cut_at(size_t at, size_t left, void *arg)
{
    size_t where = *(const size_t *)arg;

    return at < where ? where - at : left;
}

/* In one piece; then at every place; then byte by byte: all must read the same. */
static char *read_all_ways(const struct mf_http_bounds *b, struct mf_slice bytes,
                           struct mf_http_fault *fault)
{
    struct mf_buf whole, other;

    mf_buf_init(&whole);
    mf_buf_init(&other);
    mf_transcript(&whole, b, bytes, NULL, NULL, fault);
    mf_buf_add_char(&whole, '\0');
    for (size_t where = 1; where <= bytes.n; where++) {
        mf_buf_reset(&other);
        mf_transcript(&other, b, bytes, where == bytes.n ? cut_one : cut_at, &where,
                      NULL);
        mf_buf_add_char(&other, '\0');
        MF_CHECK_STR(other.p, whole.p);
    }
    mf_buf_fini(&other);
    return whole.p;
}

static int verdict(const struct mf_http_bounds *b, struct mf_slice bytes,
                   struct mf_http_fault *f)
{
    char *text = read_all_ways(b, bytes, f);
    int status = strstr(text, "fault") != NULL  ? f->status
                 : strstr(text, "more") != NULL ? 0
                                                : 200;

    mf_free(text);
    return status;
}

struct vector {
    const char *name;
    const char *bytes;
    size_t n;
    int status;
    const char *field;
};

#define V(name, bytes, status, field)                                                  \
    {                                                                                  \
        name, bytes, sizeof(bytes) - 1, status, field                                  \
    }
#define GET  "GET / HTTP/1.1\r\n"
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"
#define HOST "Host: a\r\n"
#define TE   "Transfer-Encoding: chunked\r\n"
/* What an attacker hides behind the first request: it must never be seen. */
#define HID  "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"

static const struct vector vectors[] = {
    /* request line */
    V("http 0.9", "GET /\r\n\r\n" HID, 400, "request line"),
    V("http 0.9 with headers", "GET /\r\nHost: a\r\n\r\n" HID, 400, NULL),
    V("http 2.0", "GET / HTTP/2.0\r\n" HOST "\r\n" HID, 400, NULL),
    V("http 1.2", "GET / HTTP/1.2\r\n" HOST "\r\n" HID, 400, NULL),
    V("http 3", "GET / HTTP/3.0\r\n" HOST "\r\n" HID, 400, NULL),
    V("lower case http", "GET / http/1.1\r\n" HOST "\r\n" HID, 400, NULL),
    V("http 2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 501, "method"),
    V("rtsp", "OPTIONS * RTSP/1.0\r\n" HOST "\r\n", 400, "request line"),
    V("ice", "SOURCE / ICE/1.0\r\n" HOST "\r\n", 501, "method"),
    V("tls hello", "\x16\x03\x01\x02\x00\x01\x00\x01", 400, "request line"),
    V("lower case method", "get / HTTP/1.1\r\n" HOST "\r\n" HID, 501, "method"),
    V("unknown method", "BREW / HTTP/1.1\r\n" HOST "\r\n" HID, 501, "method"),
    V("longer method", "GETX / HTTP/1.1\r\n" HOST "\r\n" HID, 501, "method"),
    V("trace", "TRACE / HTTP/1.1\r\n" HOST "\r\n" HID, 501, "method"),
    V("propfind", "PROPFIND / HTTP/1.1\r\n" HOST "\r\n" HID, 501, "method"),
    V("connect", "CONNECT a:80 HTTP/1.1\r\n" HOST "\r\n" HID, 501, "method"),
    V("blank first", " GET / HTTP/1.1\r\n" HOST "\r\n" HID, 400, "request line"),
    V("tab after method", "GET\t/ HTTP/1.1\r\n" HOST "\r\n" HID, 400, NULL),
    V("two blanks", "GET  / HTTP/1.1\r\n" HOST "\r\n" HID, 400, NULL),
    V("two blanks behind", "GET /  HTTP/1.1\r\n" HOST "\r\n" HID, 400, NULL),
    V("blank in target", "GET /a b HTTP/1.1\r\n" HOST "\r\n" HID, 400, NULL),
    V("blank after version", "GET / HTTP/1.1 \r\n" HOST "\r\n" HID, 400, NULL),
    V("absolute form", "GET http://a/ HTTP/1.1\r\n" HOST "\r\n" HID, 400, "url"),
    V("authority form", "GET a:80 HTTP/1.1\r\n" HOST "\r\n" HID, 400, NULL),
    V("star with GET", "GET * HTTP/1.1\r\n" HOST "\r\n" HID, 400, "url"),
    V("fragment", "GET /#x HTTP/1.1\r\n" HOST "\r\n" HID, 400, "url"),
    V("nul in target", "GET /\0 HTTP/1.1\r\n" HOST "\r\n" HID, 400, NULL),
    V("8 bit target", "GET /\xc3\xa4 HTTP/1.1\r\n" HOST "\r\n" HID, 400, NULL),
    V("bare lf line", "GET / HTTP/1.1\n" HOST "\r\n" HID, 400, NULL),
    V("bare cr line", "GET / HTTP/1.1\r" HOST "\r\n" HID, 400, NULL),
    V("two empty lines", "\r\n\r\n" GET HOST "\r\n", 400, "request line"),
    V("empty line of lf", "\n" GET HOST "\r\n", 400, "request line"),
    V("cr alone before", "\rGET / HTTP/1.1\r\n" HOST "\r\n", 400, "request line"),
    /* headers */
    V("no host", GET "\r\n" HID, 400, "Host"),
    V("two hosts", GET HOST "Host: b\r\n\r\n" HID, 400, "Host"),
    V("same host twice", GET HOST HOST "\r\n" HID, 400, "Host"),
    V("empty host", GET "Host:\r\n\r\n" HID, 400, "Host"),
    V("host list", GET "Host: a, b\r\n\r\n" HID, 400, "Host"),
    V("host with path", GET "Host: a/b\r\n\r\n" HID, 400, "Host"),
    V("host with user", GET "Host: u@a\r\n\r\n" HID, 400, "Host"),
    V("bare lf header", GET "Host: a\nX: b\r\n\r\n" HID, 400, "headers"),
    V("bare cr header", GET "Host: a\rX: b\r\n\r\n" HID, 400, "headers"),
    V("bare lf at end", GET HOST "\n" HID, 400, "headers"),
    V("nul in value", GET HOST "X: a\0b\r\n\r\n" HID, 400, "headers"),
    V("nul in name", GET HOST "X\0: a\r\n\r\n" HID, 400, "headers"),
    V("escape in value", GET HOST "X: a\x1b[b\r\n\r\n" HID, 400, "headers"),
    V("del in value", GET HOST "X: a\x7f\r\n\r\n" HID, 400, "headers"),
    V("blank before colon", GET HOST "X : a\r\n\r\n" HID, 400, "headers"),
    V("blank before colon of length", POST "Content-Length : 5\r\n\r\nabcde" HID, 400,
      "headers"),
    V("tab before colon", GET HOST "X\t: a\r\n\r\n" HID, 400, "headers"),
    V("fold", GET HOST "X: a\r\n b\r\n\r\n" HID, 400, "headers"),
    V("fold with tab", GET HOST "X: a\r\n\tb\r\n\r\n" HID, 400, "headers"),
    V("fold in encoding", POST "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" HID,
      400, NULL),
    V("folded first line", GET " Host: a\r\n\r\n" HID, 400, "headers"),
    V("blank before length", POST " Content-Length: 5\r\n\r\nabcde" HID, 400,
      "headers"),
    V("no colon", GET HOST "Xyz\r\n\r\n" HID, 400, "headers"),
    V("no name", GET HOST ": a\r\n\r\n" HID, 400, "headers"),
    V("brackets in name", GET HOST "X(y): a\r\n\r\n" HID, 400, "headers"),
    V("8 bit name", GET HOST "\xc3\xa4: a\r\n\r\n" HID, 400, "headers"),
    V("odd expectation", POST "Content-Length: 1\r\nExpect: 200-ok\r\n\r\nx" HID, 417,
      "Expect"),
    /* length */
    V("length and encoding", POST TE "Content-Length: 5\r\n\r\n0\r\n\r\n" HID, 400,
      NULL),
    V("encoding and length", POST "Content-Length: 5\r\n" TE "\r\n0\r\n\r\n" HID, 400,
      NULL),
    V("two lengths", POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcde" HID,
      400, NULL),
    V("same length twice", POST "Content-Length: 1\r\nContent-Length: 1\r\n\r\na" HID,
      400, NULL),
    V("length list", POST "Content-Length: 1, 1\r\n\r\na" HID, 400, NULL),
    V("length with plus", POST "Content-Length: +1\r\n\r\na" HID, 400, NULL),
    V("length with minus", POST "Content-Length: -1\r\n\r\na" HID, 400, NULL),
    V("length in hex", POST "Content-Length: 0x1\r\n\r\na" HID, 400, NULL),
    V("length with a dot", POST "Content-Length: 1.0\r\n\r\na" HID, 400, NULL),
    V("length with a blank", POST "Content-Length: 1 0\r\n\r\na" HID, 400, NULL),
    V("empty length", POST "Content-Length:\r\n\r\na" HID, 400, NULL),
    V("length overflows", POST "Content-Length: 18446744073709551617\r\n\r\na" HID, 400,
      NULL),
    V("length too large", POST "Content-Length: 18446744073709551615\r\n\r\na" HID, 413,
      "Content-Length"),
    /* encoding */
    V("gzip", POST "Transfer-Encoding: gzip\r\n\r\n" HID, 400, NULL),
    V("gzip, chunked", POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" HID,
      400, NULL),
    V("chunked, gzip", POST "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n" HID,
      400, NULL),
    V("chunked twice", POST TE TE "\r\n0\r\n\r\n" HID, 400, NULL),
    V("chunked, chunked",
      POST "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" HID, 400, NULL),
    V("identity", POST "Transfer-Encoding: identity\r\n\r\n" HID, 400, NULL),
    V("quoted chunked", POST "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n" HID, 400,
      NULL),
    V("xchunked", POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" HID, 400, NULL),
    V("empty encoding", POST "Transfer-Encoding:\r\n\r\n" HID, 400, NULL),
    V("vertical tab",
      POST "Transfer-Encoding: \x0b"
           "chunked\r\n\r\n0\r\n\r\n" HID,
      400, NULL),
    V("encoding on 1.0", "POST / HTTP/1.0\r\n" TE "\r\n0\r\n\r\n" HID, 400, NULL),
    /* chunks */
    V("no crlf after data", POST TE "\r\n1\r\nxYZ0\r\n\r\n" HID, 400,
      "Transfer-Encoding"),
    V("lf after data", POST TE "\r\n1\r\nx\n0\r\n\r\n" HID, 400, "Transfer-Encoding"),
    V("lf after size", POST TE "\r\n1\nx\r\n0\r\n\r\n" HID, 400, "Transfer-Encoding"),
    V("cr after size", POST TE "\r\n1\rx\r\n0\r\n\r\n" HID, 400, "Transfer-Encoding"),
    V("no size", POST TE "\r\n\r\nx\r\n0\r\n\r\n" HID, 400, "Transfer-Encoding"),
    V("size in 0x", POST TE "\r\n0x1\r\nx\r\n0\r\n\r\n" HID, 400, "Transfer-Encoding"),
    V("negative size", POST TE "\r\n-1\r\nx\r\n0\r\n\r\n" HID, 400,
      "Transfer-Encoding"),
    V("blank before size", POST TE "\r\n 1\r\nx\r\n0\r\n\r\n" HID, 400,
      "Transfer-Encoding"),
    V("blank after size", POST TE "\r\n1 \r\nx\r\n0\r\n\r\n" HID, 400,
      "Transfer-Encoding"),
    V("extension", POST TE "\r\n1;a=b\r\nx\r\n0\r\n\r\n" HID, 400, "Transfer-Encoding"),
    V("extension at the end", POST TE "\r\n1\r\nx\r\n0;a\r\n\r\n" HID, 400,
      "Transfer-Encoding"),
    V("lf in an extension", POST TE "\r\n1;\nx\r\n0\r\n\r\n" HID, 400,
      "Transfer-Encoding"),
    V("size overflows", POST TE "\r\n10000000000000001\r\nx\r\n0\r\n\r\n" HID, 400,
      "Transfer-Encoding"),
    V("size too large", POST TE "\r\nffffffffffffffff\r\nx\r\n0\r\n\r\n" HID, 413,
      "body"),
    V("bad trailer", POST TE "\r\n1\r\nx\r\n0\r\nX : b\r\n\r\n" HID, 400,
      "Transfer-Encoding"),
    V("lf after last chunk", POST TE "\r\n0\n\n" HID, 400, "Transfer-Encoding"),
};

MF_TEST(http_parse, refuses_each_smuggling_vector_and_reads_nothing_behind_it)
{
    for (size_t i = 0; i < mf_countof(vectors); i++) {
        const struct vector *v = &vectors[i];
        struct mf_http_fault f = {0};
        char *text = read_all_ways(&roomy, mf_slice_of(v->bytes, v->n), &f);

        if (f.status != v->status || strstr(text, "hidden") != NULL ||
            (v->field != NULL && strcmp(f.field, v->field) != 0)) {
            print_error("%s: %d %s %s\n%s\n", v->name, f.status, f.field, f.message,
                        text);
        }
        MF_CHECK_INT(f.status, v->status);
        MF_CHECK(v->field == NULL || strcmp(f.field, v->field) == 0);
        MF_CHECK(f.message[0] != '\0');
        MF_CHECK(strncmp(text, "fault", 5) == 0);
        mf_free(text);
    }
}

static void check_reads(struct mf_slice bytes, const char *want)
{
    struct mf_http_fault f;
    char *text = read_all_ways(&roomy, bytes, &f);

    MF_CHECK_STR(text, want);
    mf_free(text);
}

MF_TEST(http_parse, reads_a_request_and_its_headers)
{
    check_reads(MF_SLICE("GET /a/b?c=d&e HTTP/1.1\r\nHost: a:80\r\nX-Y:\r\n"
                         "Z: \t b c \t\r\n\r\n"),
                "0 /a/b ?c=d&e 3 0 keep\nHost: [a:80]\nX-Y: []\nZ: [b c]\n\n");
    check_reads(MF_SLICE("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
                "6 * ? 1 0 keep\nHost: [a]\n\n");
    check_reads(MF_SLICE("DELETE /x? HTTP/1.1\r\nhOST: [::1]:80\r\n"
                         "content-length: 3\r\n\r\n{}\n"),
                "5 /x ? 2 3 keep\nhOST: [[::1]:80]\ncontent-length: [3]\n{}\n\n");
}

MF_TEST(http_parse, keeps_alive_as_version_and_connection_say)
{
    check_reads(MF_SLICE("GET / HTTP/1.0\r\n\r\n" HID), "0 / ? 0 0 close\n\n");
    check_reads(MF_SLICE("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"),
                "0 / ? 1 0 keep\nConnection: [Keep-Alive]\n\n");
    check_reads(MF_SLICE(GET HOST "Connection: x, CLOSE\r\n\r\n" HID),
                "0 / ? 2 0 close\nHost: [a]\nConnection: [x, CLOSE]\n\n");
    check_reads(
        MF_SLICE(GET HOST "Connection: close\r\nConnection: keep-alive\r\n\r\n"),
        "0 / ? 3 0 close\nHost: [a]\nConnection: [close]\n"
        "Connection: [keep-alive]\n\n");
}

MF_TEST(http_parse, reads_pipelined_requests_with_bodies_of_both_kinds)
{
    check_reads(
        MF_SLICE("\r\n" POST "Content-Length: 5\r\n\r\nabcde"
                 "\r\n" POST TE "\r\n3\r\nfgh\r\n0002\r\nij\r\n0\r\nT: u\r\n\r\n"
                 "PUT /p HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
                 "HEAD /h HTTP/1.1\r\nHost: a\r\n\r\n"),
        "2 / ? 2 5 keep\nHost: [a]\nContent-Length: [5]\nabcde\n"
        "2 / ? 2 5 keep chunked\nHost: [a]\nTransfer-Encoding: [chunked]\nfghij\n"
        "3 /p ? 2 0 keep\nHost: [a]\nContent-Length: [0]\n\n"
        "1 /h ? 1 0 keep\nHost: [a]\n\n");
}

MF_TEST(http_parse, passes_over_the_wish_for_another_protocol)
{
    check_reads(
        MF_SLICE(GET HOST "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n" POST
                          "Connection: Upgrade\r\nUpgrade: h2c\r\n"
                          "Content-Length: 5\r\n\r\nabcde" POST
                          "Connection: Upgrade\r\nUpgrade: h2c\r\n" TE
                          "\r\n2\r\nij\r\n0\r\n\r\n" GET HOST "\r\n"),
        "0 / ? 3 0 keep\nHost: [a]\nConnection: [Upgrade]\nUpgrade: [websocket]\n\n"
        "2 / ? 4 5 keep\nHost: [a]\nConnection: [Upgrade]\nUpgrade: [h2c]\n"
        "Content-Length: [5]\nabcde\n"
        "2 / ? 4 2 keep chunked\nHost: [a]\nConnection: [Upgrade]\nUpgrade: [h2c]\n"
        "Transfer-Encoding: [chunked]\nij\n"
        "0 / ? 1 0 keep\nHost: [a]\n\n");
}

MF_TEST(http_parse, waits_for_what_is_missing)
{
    check_reads(MF_SLICE("GET / HT"), "more\n");
    check_reads(MF_SLICE("\r\n"), "more\n");
    check_reads(MF_SLICE(GET HOST "\r"), "more\n");
    check_reads(MF_SLICE(POST "Content-Length: 3\r\n\r\nab"), "more\n");
    check_reads(MF_SLICE(POST TE "\r\n1\r\na\r\n0\r\n"), "more\n");
    check_reads(MF_SLICE(POST TE "\r\n1\r\na\r\n0\r\nX: y\r\n"), "more\n");
}

MF_TEST(http_parse, sees_the_wish_for_a_continue)
{
    check_reads(MF_SLICE(POST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\nx"),
                "2 / ? 3 1 keep continue\nHost: [a]\nExpect: [100-Continue]\n"
                "Content-Length: [1]\nx\n");
    check_reads(MF_SLICE(GET HOST "Expect: 100-continue\r\n\r\n"), /* nothing to send */
                "0 / ? 2 0 keep\nHost: [a]\nExpect: [100-continue]\n\n");
}

/* limit - 1, limit and limit + 1 of something that `make` builds. */
static void check_limit(const struct mf_http_bounds *b, size_t limit, int status,
                        void (*make)(struct mf_buf *out, size_t n))
{
    struct mf_http_fault f = {0};
    struct mf_buf bytes;

    mf_buf_init(&bytes);
    for (size_t n = limit - 1; n <= limit + 1; n++) {
        mf_buf_reset(&bytes);
        make(&bytes, n);
        MF_CHECK_INT(verdict(b, mf_slice_of(bytes.p, bytes.n), &f),
                     n > limit ? status : 200);
    }
    mf_buf_add_str(&bytes, HID); /* and the same with more behind it */
    MF_CHECK_INT(verdict(b, mf_slice_of(bytes.p, bytes.n), &f), status);
    MF_CHECK(strstr(f.message, "server.max_") != NULL);
    mf_buf_fini(&bytes);
}

static void add_times(struct mf_buf *b, char c, size_t n)
{
    while (n-- > 0) {
        mf_buf_add_char(b, c);
    }
}

static void make_url(struct mf_buf *b, size_t n)
{
    mf_buf_add_str(b, "DELETE /");
    add_times(b, 'u', n - 1);
    mf_buf_add_str(b, " HTTP/1.1\r\n" HOST "\r\n");
}

static void make_header_bytes(struct mf_buf *b, size_t n)
{
    size_t fixed = strlen(HOST "X: \r\n");

    mf_buf_add_str(b, GET HOST "X: ");
    add_times(b, 'v', n - fixed);
    mf_buf_add_str(b, "\r\n\r\n");
}

static void make_headers(struct mf_buf *b, size_t n)
{
    mf_buf_add_str(b, GET HOST);
    for (size_t i = 1; i < n; i++) {
        mf_buf_addf(b, "X%zu: y\r\n", i);
    }
    mf_buf_add_str(b, "\r\n");
}

static void make_body(struct mf_buf *b, size_t n)
{
    mf_buf_addf(b, POST "Content-Length: %zu\r\n\r\n", n);
    add_times(b, 'b', n);
}

static void make_one_chunk(struct mf_buf *b, size_t n)
{
    mf_buf_addf(b, POST TE "\r\n%zx\r\n", n);
    add_times(b, 'b', n);
    mf_buf_add_str(b, "\r\n0\r\n\r\n");
}

static void make_small_chunks(struct mf_buf *b, size_t n)
{
    mf_buf_add_str(b, POST TE "\r\n");
    for (size_t i = 0; i < n; i++) {
        mf_buf_add_str(b, "1\r\nb\r\n");
    }
    mf_buf_add_str(b, "0\r\n\r\n");
}

static const struct mf_http_bounds narrow = {.max_body_bytes = 60,
                                             .max_url_bytes = 40,
                                             .max_header_bytes = 200,
                                             .max_headers = 10,
                                             .max_buffered_bytes = 1000};

MF_TEST(http_parse, holds_each_limit_at_its_byte)
{
    check_limit(&narrow, narrow.max_url_bytes, 414, make_url);
    check_limit(&narrow, narrow.max_header_bytes, 431, make_header_bytes);
    check_limit(&narrow, narrow.max_headers, 431, make_headers);
    check_limit(&narrow, narrow.max_body_bytes, 413, make_body);
    check_limit(&narrow, narrow.max_body_bytes, 413, make_one_chunk);
    check_limit(&narrow, narrow.max_body_bytes, 413, make_small_chunks);
}

static int status_when_cut(struct mf_slice bytes, mf_cut_fn cut)
{
    struct mf_http_fault f = {0};
    struct mf_buf out;

    mf_buf_init(&out);
    mf_transcript(&out, &narrow, bytes, cut, NULL, &f);
    mf_buf_fini(&out);
    return f.status;
}

MF_TEST(http_parse, bounds_what_never_ends)
{
    static const struct {
        const char *start;
        char c;
        int status;
    } endless[] = {
        {"GET /", 'a', 414},        {"GET ", ' ', 414},
        {"GET / ", ' ', 431},       {GET "X", 'x', 431},
        {GET "X: ", 'x', 431},      {GET "X:", ' ', 431},
        {POST TE "\r\n", '0', 413}, {POST TE "\r\n0\r\nT: ", 't', 413},
    };
    struct mf_buf b;

    mf_buf_init(&b);
    for (size_t i = 0; i < mf_countof(endless); i++) {
        mf_buf_reset(&b);
        mf_buf_add_str(&b, endless[i].start);
        add_times(&b, endless[i].c, 70000);
        mf_buf_add_char(&b, '\0'); /* an error behind the limit changes nothing */
        MF_CHECK_INT(status_when_cut(mf_slice_of(b.p, b.n), NULL), endless[i].status);
        MF_CHECK_INT(status_when_cut(mf_slice_of(b.p, b.n), cut_one),
                     endless[i].status);
    }
    mf_buf_fini(&b);
}

MF_TEST(http_parse, refuses_bodies_beyond_the_common_bound)
{
    struct mf_http_bounds b = roomy;
    struct mf_http_fault f = {0};

    b.max_buffered_bytes = 10;
    b.buffered_bytes = 0;
    MF_CHECK_INT(verdict(&b, MF_SLICE(POST "Content-Length: 10\r\n\r\n0123456789"), &f),
                 200);
    MF_CHECK_INT(
        verdict(&b, MF_SLICE(POST "Content-Length: 11\r\n\r\n0123456789a"), &f), 503);
    MF_CHECK(strstr(f.message, "server.max_buffered_bytes (10 bytes)") != NULL);
}
