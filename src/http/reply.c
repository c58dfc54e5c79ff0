/* SPDX-License-Identifier: Apache-2.0 */
#include "http/reply.h"

#include <stdio.h>
#include <strings.h>
#include <time.h>

/* Room for every fixed word of an answer and its numbers. */
#define FIXED_BYTES 320U

static const char no_store[] = "Cache-Control: no-store\r\n";

/* status, reason */
#define STATUS_TABLE(X)                                                                \
    X(200, "OK")                                                                       \
    X(201, "Created")                                                                  \
    X(202, "Accepted")                                                                 \
    X(204, "No Content")                                                               \
    X(207, "Multi-Status")                                                             \
    X(301, "Moved Permanently")                                                        \
    X(302, "Found")                                                                    \
    X(303, "See Other")                                                                \
    X(304, "Not Modified")                                                             \
    X(307, "Temporary Redirect")                                                       \
    X(308, "Permanent Redirect")                                                       \
    X(400, "Bad Request")                                                              \
    X(401, "Unauthorized")                                                             \
    X(403, "Forbidden")                                                                \
    X(404, "Not Found")                                                                \
    X(405, "Method Not Allowed")                                                       \
    X(406, "Not Acceptable")                                                           \
    X(408, "Request Timeout")                                                          \
    X(409, "Conflict")                                                                 \
    X(410, "Gone")                                                                     \
    X(411, "Length Required")                                                          \
    X(412, "Precondition Failed")                                                      \
    X(413, "Content Too Large")                                                        \
    X(414, "URI Too Long")                                                             \
    X(415, "Unsupported Media Type")                                                   \
    X(417, "Expectation Failed")                                                       \
    X(422, "Unprocessable Content")                                                    \
    X(428, "Precondition Required")                                                    \
    X(429, "Too Many Requests")                                                        \
    X(431, "Request Header Fields Too Large")                                          \
    X(499, "Client Closed Request")                                                    \
    X(500, "Internal Server Error")                                                    \
    X(501, "Not Implemented")                                                          \
    X(502, "Bad Gateway")                                                              \
    X(503, "Service Unavailable")                                                      \
    X(504, "Gateway Timeout")                                                          \
    X(507, "Insufficient Storage")

static struct mf_slice status_line(int status)
{
    switch (status) {
#define X(code, reason)                                                                \
    case code: return MF_SLICE("HTTP/1.1 " #code " " reason "\r\n");
        STATUS_TABLE(X)
#undef X
    default: return mf_slice_of(NULL, 0);
    }
}

void mf_http_stamp_set(struct mf_http_stamp *s, int64_t unix_s)
{
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t t = (time_t)unix_s;
    struct tm tm;
    int n;

    MF_ASSERT(gmtime_r(&t, &tm) != NULL);
    n = snprintf(s->text, sizeof(s->text),
                 "Date: %s, %02d %s %04d %02d:%02d:%02d GMT\r\n"
                 "X-Content-Type-Options: nosniff\r\n",
                 days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900,
                 tm.tm_hour, tm.tm_min, tm.tm_sec);
    MF_ASSERT(n > 0 && (size_t)n < sizeof(s->text));
    s->n = (size_t)n;
}

/* The pens write where the caller reserved enough. */
static char *put(char *at, const void *p, size_t n)
{
    memcpy(at, p, n);
    return at + n;
}

static char *put_number(char *at, uint64_t v)
{
    char digits[20];
    size_t n = sizeof(digits);

    do {
        digits[--n] = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    return put(at, digits + n, sizeof(digits) - n);
}

#define PUT_WORDS(at, words) put((at), "" words, sizeof(words) - 1)

static char *put_status(char *at, int status)
{
    struct mf_slice line = status_line(status);

    if (line.n > 0) {
        return put(at, line.p, line.n);
    }
    MF_ASSERT(status >= 100 && status <= 999);
    at = PUT_WORDS(at, "HTTP/1.1 ");
    at = put_number(at, (uint64_t)status);
    return PUT_WORDS(at, " Status\r\n");
}

static bool names_header(const char *headers, const char *name)
{
    size_t n = strlen(name);

    for (const char *line = headers; line != NULL && *line != '\0';) {
        const char *lf = strchr(line, '\n');

        if (strncasecmp(line, name, n) == 0 && line[n] == ':') {
            return true;
        }
        line = lf == NULL ? NULL : lf + 1;
    }
    return false;
}

static bool has_no_length(int status)
{
    return status < 200 || status == 204 || status == 304;
}

void mf_http_write_reply(struct mf_buf *out, const struct mf_http_stamp *stamp,
                         const struct mf_http_reply *reply, unsigned shape)
{
    struct mf_slice type = mf_slice_str(reply->content_type);
    struct mf_slice extra = mf_slice_str(reply->extra_headers);
    size_t body_n = type.n == 0 || has_no_length(reply->status) ? 0 : reply->body.n;
    char *start =
        mf_buf_reserve(out, FIXED_BYTES + stamp->n + type.n + extra.n + body_n);
    char *at = start;

    if (start == NULL) {
        return;
    }
    at = put_status(at, reply->status);
    at = put(at, stamp->text, stamp->n);
    if (extra.n == 0 || !names_header(extra.p, "Cache-Control")) {
        at = put(at, no_store, sizeof(no_store) - 1);
    }
    if (type.n > 0) {
        at = PUT_WORDS(at, "Content-Type: ");
        at = put(at, type.p, type.n);
        at = PUT_WORDS(at, "\r\n");
    }
    if (!has_no_length(reply->status)) {
        at = PUT_WORDS(at, "Content-Length: ");
        at = put_number(at, body_n);
        at = PUT_WORDS(at, "\r\n");
    }
    if (reply->retry_after_s > 0) {
        at = PUT_WORDS(at, "Retry-After: ");
        at = put_number(at, reply->retry_after_s);
        at = PUT_WORDS(at, "\r\n");
    }
    if ((shape & MF_HTTP_SAYS_CLOSE) != 0) {
        at = PUT_WORDS(at, "Connection: close\r\n");
    } else if ((shape & MF_HTTP_SAYS_KEEP) != 0) {
        at = PUT_WORDS(at, "Connection: keep-alive\r\n");
    }
    at = extra.n > 0 ? put(at, extra.p, extra.n) : at;
    at = PUT_WORDS(at, "\r\n");
    if (body_n > 0 && (shape & MF_HTTP_NO_BODY) == 0) {
        at = put(at, reply->body.p, body_n);
    }
    out->n += (size_t)(at - start);
}

/* Our own sentences and llhttp's: ASCII, but they may quote. */
static void escape(char *out, size_t cap, const char *s)
{
    size_t n = 0;

    for (; *s != '\0' && n + 3 < cap; s++) {
        if (*s == '"' || *s == '\\') {
            out[n++] = '\\';
        }
        out[n++] = (char)((unsigned char)*s < ' ' ? ' ' : *s);
    }
    out[n] = '\0';
}

void mf_http_write_fault(struct mf_buf *out, const struct mf_http_stamp *stamp,
                         const struct mf_http_fault *f, bool no_body)
{
    char message[2 * sizeof(f->message)];
    char body[640 + 2 * sizeof(message)];
    struct mf_http_reply reply = {.status = f->status,
                                  .content_type = "application/json",
                                  .retry_after_s =
                                      f->status == 503 ? MF_HTTP_RETRY_S : 0};
    int n;

    escape(message, sizeof(message), f->message);
    n = snprintf(body, sizeof(body),
                 "{\"status\":\"error\",\"code\":%d,\"data\":null,\"message\":\"%s\","
                 "\"errors\":[{\"field\":\"%s\",\"message\":\"%s\"}]}",
                 f->status, message, f->field, message);
    MF_ASSERT(n > 0 && (size_t)n < sizeof(body));
    reply.body = mf_slice_of(body, (size_t)n);
    mf_http_write_reply(out, stamp, &reply,
                        MF_HTTP_SAYS_CLOSE | (no_body ? MF_HTTP_NO_BODY : 0U));
}
