/* SPDX-License-Identifier: Apache-2.0 */
#include "http/reply.h"
#include "lib/mf_test.h"

static void check_reply(const struct mf_http_reply *reply, unsigned shape,
                        const char *want)
{
    struct mf_http_stamp stamp;
    struct mf_buf out;

    mf_buf_init(&out);
    mf_http_stamp_set(&stamp, 784111777);
    mf_http_write_reply(&out, &stamp, reply, shape);
    mf_buf_add_char(&out, '\0');
    MF_CHECK_OK(mf_buf_status(&out));
    MF_CHECK_STR(out.p, want);
    mf_buf_fini(&out);
}

#define STAMP                                                                          \
    "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nX-Content-Type-Options: nosniff\r\n"
#define NO_STORE "Cache-Control: no-store\r\n"

MF_TEST(http_reply, writes_body_with_type_and_length)
{
    const struct mf_http_reply r = {
        .status = 201, .content_type = "application/json", .body = MF_SLICE("{}")};

    check_reply(&r, 0,
                "HTTP/1.1 201 Created\r\n" STAMP NO_STORE
                "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
    check_reply(&r, MF_HTTP_NO_BODY | MF_HTTP_SAYS_CLOSE,
                "HTTP/1.1 201 Created\r\n" STAMP NO_STORE
                "Content-Type: application/json\r\nContent-Length: 2\r\n"
                "Connection: close\r\n\r\n");
    check_reply(&r, MF_HTTP_SAYS_KEEP,
                "HTTP/1.1 201 Created\r\n" STAMP NO_STORE
                "Content-Type: application/json\r\nContent-Length: 2\r\n"
                "Connection: keep-alive\r\n\r\n{}");
}

MF_TEST(http_reply, frames_answers_without_a_body)
{
    struct mf_http_reply r = {.status = 204};

    check_reply(&r, 0, "HTTP/1.1 204 No Content\r\n" STAMP NO_STORE "\r\n");
    r.status = 404;
    check_reply(
        &r, 0, "HTTP/1.1 404 Not Found\r\n" STAMP NO_STORE "Content-Length: 0\r\n\r\n");
    r.status = 299; /* no reason of ours, still a status line */
    check_reply(&r, 0,
                "HTTP/1.1 299 Status\r\n" STAMP NO_STORE "Content-Length: 0\r\n\r\n");
}

MF_TEST(http_reply, adds_retry_after_and_the_headers_of_the_caller)
{
    struct mf_http_reply r = {
        .status = 429, .retry_after_s = 17, .extra_headers = "Allow: GET\r\n"};

    check_reply(&r, 0,
                "HTTP/1.1 429 Too Many Requests\r\n" STAMP NO_STORE
                "Content-Length: 0\r\nRetry-After: 17\r\nAllow: GET\r\n\r\n");
    r.extra_headers = "A: b\r\ncache-control: max-age=1\r\n";
    check_reply(&r, 0,
                "HTTP/1.1 429 Too Many Requests\r\n" STAMP
                "Content-Length: 0\r\nRetry-After: 17\r\nA: b\r\n"
                "cache-control: max-age=1\r\n\r\n");
}

MF_TEST(http_reply, quotes_the_sentence_of_a_fault)
{
    struct mf_http_stamp stamp;
    struct mf_http_fault f;
    struct mf_buf out;

    mf_buf_init(&out);
    mf_http_stamp_set(&stamp, 0);
    mf_http_fault_set(&f, 400, "x", "a \"b\" \\ %c", '\n');
    mf_http_write_fault(&out, &stamp, &f, false);
    mf_buf_add_char(&out, '\0');
    MF_CHECK(strstr(out.p, "\r\nConnection: close\r\n") != NULL);
    MF_CHECK(strstr(out.p,
                    "\"message\":\"a \\\"b\\\" \\\\  \",\"errors\":"
                    "[{\"field\":\"x\",\"message\":\"a \\\"b\\\" \\\\  \"}]}") != NULL);
    memset(f.message, '"', sizeof(f.message) - 1); /* the longest there can be */
    mf_buf_reset(&out);
    mf_http_write_fault(&out, &stamp, &f, false);
    MF_CHECK(out.n > 4 * sizeof(f.message));
    MF_CHECK(memcmp(out.p + out.n - 4, "\"}]}", 4) == 0);
    mf_buf_fini(&out);
}
