/* SPDX-License-Identifier: Apache-2.0 */
#include "http/http_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAIT_TURNS 20000U /* of a millisecond: far more than any case needs */
#define BIG_BYTES  (1U << 20)

static char big_body[BIG_BYTES];

struct mf_http_config mf_http_fixture_config(void)
{
    return (struct mf_http_config){.host = "127.0.0.1",
                                   .backlog = 128,
                                   .max_connections = 64,
                                   .max_body_bytes = 1 << 20,
                                   .max_url_bytes = 8192,
                                   .max_header_bytes = 16384,
                                   .max_headers = 100,
                                   .max_pipelined = 16,
                                   .max_output_bytes = 1 << 20,
                                   .max_buffered_bytes = 16 << 20,
                                   .header_timeout_ms = 60000,
                                   .body_timeout_ms = 60000,
                                   .idle_timeout_ms = 60000,
                                   .write_timeout_ms = 60000};
}

void mf_answer(struct mf_http_req *req, const char *text)
{
    struct mf_http_reply reply = {
        .status = 200, .content_type = "text/plain", .body = mf_slice_str(text)};

    mf_http_reply(req, &reply);
}

MF_LOOP static void answer_now(struct mf_http_req *req)
{
    struct mf_buf text;
    struct mf_http_reply reply = {.status = 200, .content_type = "text/plain"};

    mf_buf_init(&text);
    mf_buf_addf(&text, "%d ", (int)req->method);
    mf_buf_add_slice(&text, req->path);
    mf_buf_addf(&text, " %zu", req->body.n);
    reply.body = mf_slice_of(text.p, text.n);
    reply.close = mf_slice_is(req->path, "/close");
    if (mf_slice_is(req->path, "/big")) {
        memset(big_body, 'b', sizeof(big_body));
        reply.body = mf_slice_of(big_body, sizeof(big_body));
    }
    mf_http_reply(req, &reply);
    mf_buf_fini(&text);
}

static void handle(struct mf_http_req *req, void *arg)
{
    struct mf_http_fixture *f = arg;

    mf_loop_assert(f->loop);
    mf_buf_add_slice(&f->seen, req->path);
    mf_buf_addf(&f->seen, " %zu\n", req->body.n);
    f->n_seen++;
    if (mf_slice_is(req->path, "/later")) {
        MF_CHECK(f->n_kept < MF_MAX_KEPT);
        f->kept[f->n_kept++] = req;
        return;
    }
    answer_now(req);
}

static int look_at_head(struct mf_http_req *req, void *arg)
{
    const struct mf_http_fixture *f = arg;
    const struct mf_http_reply no = {.status = 401,
                                     .content_type = "application/json",
                                     .body = MF_SLICE("{\"no\":1}"),
                                     .extra_headers = "WWW-Authenticate: Bearer\r\n"};

    mf_loop_assert(f->loop);
    MF_CHECK_INT(req->body.n, 0);
    if (!mf_slice_is(req->path, "/refuse")) {
        return 0;
    }
    mf_http_refuse(req, &no);
    return 1;
}

void mf_http_fixture_open(struct mf_http_fixture *f, const struct mf_http_config *cfg)
{
    struct mf_err err = {0};

    *f = (struct mf_http_fixture){.cfg = *cfg};
    for (size_t i = 0; i < MF_MAX_CLIENTS; i++) {
        f->clients[i] = -1;
    }
    mf_buf_init(&f->seen);
    f->loop = mf_loop_fixture_open();
    mf_loop_assert(f->loop);
    MF_CHECK_OK(mf_http_open(&f->server, f->loop, cfg, handle, look_at_head, f, &err));
    MF_CHECK(mf_http_port(f->server) != 0);
}

static void on_closed(void *arg)
{
    ((struct mf_http_fixture *)arg)->is_closed = true;
}

void mf_close_server(struct mf_http_fixture *f)
{
    mf_http_close(f->server, on_closed, f);
    mf_loop_fixture_wait(f->loop, &f->is_closed);
    f->server = NULL;
}

void mf_http_fixture_close(struct mf_http_fixture *f)
{
    if (f->server != NULL) {
        mf_close_server(f);
    }
    for (size_t i = 0; i < f->n_kept; i++) {
        if (f->kept[i] != NULL) {
            mf_answer(f->kept[i], "too late");
        }
    }
    for (size_t i = 0; i < MF_MAX_CLIENTS; i++) {
        if (f->clients[i] >= 0) {
            MF_CHECK_OK(close(f->clients[i]));
        }
    }
    mf_buf_fini(&f->seen);
    mf_loop_fixture_close(f->loop);
}

static int *client_slot(struct mf_http_fixture *f, int fd)
{
    for (size_t i = 0; i < MF_MAX_CLIENTS; i++) {
        if (f->clients[i] == fd) {
            return &f->clients[i];
        }
    }
    fail_msg("no such client: %d", fd);
    return NULL;
}

int mf_connect(struct mf_http_fixture *f)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)mf_http_port(f->server)),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    MF_CHECK(fd >= 0);
    MF_CHECK_OK(connect(fd, (const struct sockaddr *)&a, sizeof(a)));
    *client_slot(f, -1) = fd;
    return fd;
}

void mf_hang_up(struct mf_http_fixture *f, int fd)
{
    *client_slot(f, fd) = -1;
    MF_CHECK_OK(close(fd));
}

void mf_reset(struct mf_http_fixture *f, int fd)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};

    MF_CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)));
    mf_hang_up(f, fd);
}

void mf_turns(struct mf_http_fixture *f, unsigned n)
{
    static const bool never = false;

    for (unsigned i = 0; i < n; i++) {
        (void)mf_loop_run_until(f->loop, &never, 1);
    }
}

void mf_say(struct mf_http_fixture *f, int fd, struct mf_slice bytes)
{
    unsigned turns = 0;

    while (bytes.n > 0) {
        ssize_t n = send(fd, bytes.p, bytes.n, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EAGAIN) {
            MF_CHECK(turns++ < WAIT_TURNS);
            mf_turns(f, 1);
            continue;
        }
        MF_CHECK(n > 0);
        bytes.p += n;
        bytes.n -= (size_t)n;
    }
}

void mf_say_str(struct mf_http_fixture *f, int fd, const char *bytes)
{
    mf_say(f, fd, mf_slice_str(bytes));
}

/* Bytes read, 0 at the end, -1 after a reset; -2: nothing there. */
static ssize_t hear_some(int fd, struct mf_buf *out)
{
    char *at = mf_buf_reserve(out, 65537);
    ssize_t n;

    MF_CHECK(at != NULL);
    n = recv(fd, at, 65536, MSG_DONTWAIT);
    if (n < 0) {
        return errno == EAGAIN ? -2 : -1;
    }
    out->n += (size_t)n;
    out->p[out->n] = '\0';
    return n;
}

static const char *find_after(const struct mf_buf *b, const char *from,
                              const char *part)
{
    return memmem(from, (size_t)(b->p + b->n - from), part, strlen(part));
}

size_t mf_count(const struct mf_buf *b, const char *part)
{
    size_t n = 0;

    for (const char *at = b->p; at != NULL && (at = find_after(b, at, part)) != NULL;
         at += strlen(part)) {
        n++;
    }
    return n;
}

/* An answer's head is shorter; a search over all the rest would cost the square. */
#define HEAD_MAX 2048

static const char *find_in_head(const struct mf_buf *b, const char *from,
                                const char *part)
{
    size_t left = (size_t)(b->p + b->n - from);

    return memmem(from, mf_min(left, (size_t)HEAD_MAX), part, strlen(part));
}

/* Complete answers in `b` from `*at` on (not of HEAD requests); moves it behind them.
 */
static size_t count_answers(const struct mf_buf *b, size_t *at)
{
    size_t n = 0;

    while (*at < b->n) {
        const char *head = b->p + *at;
        const char *end = find_in_head(b, head, "\r\n\r\n");
        const char *length = find_in_head(b, head, "Content-Length: ");
        size_t body = 0;

        if (end == NULL) {
            break;
        }
        if (length != NULL && length < end) {
            body = strtoul(length + strlen("Content-Length: "), NULL, 10);
        }
        if ((size_t)(b->p + b->n - end) < 4 + body) {
            break;
        }
        *at = (size_t)(end - b->p) + 4 + body;
        n++;
    }
    return n;
}

void mf_hear_answers(struct mf_http_fixture *f, int fd, struct mf_buf *out, size_t n)
{
    size_t at = 0;
    size_t n_heard = count_answers(out, &at);

    for (unsigned turns = 0; n_heard < n; turns++) {
        ssize_t got = hear_some(fd, out);

        MF_CHECK(turns < WAIT_TURNS);
        MF_CHECK(got > 0 || got == -2);
        if (got < 0) {
            mf_turns(f, 1);
        }
        n_heard += count_answers(out, &at);
    }
}

bool mf_hear_to_the_end(struct mf_http_fixture *f, int fd, struct mf_buf *out)
{
    ssize_t got;

    for (unsigned turns = 0; (got = hear_some(fd, out)) > 0 || got == -2; turns++) {
        MF_CHECK(turns < WAIT_TURNS);
        if (got < 0) {
            mf_turns(f, 1);
        }
    }
    return got == 0;
}

int mf_ask_once(struct mf_http_fixture *f, const char *bytes, struct mf_buf *out)
{
    int fd = mf_connect(f);

    mf_buf_reset(out);
    mf_say_str(f, fd, bytes);
    MF_CHECK(mf_hear_to_the_end(f, fd, out));
    mf_hang_up(f, fd);
    return mf_status_of(out);
}

void mf_wait_kept(struct mf_http_fixture *f, size_t n)
{
    for (unsigned turns = 0; f->n_kept < n; turns++) {
        MF_CHECK(turns < WAIT_TURNS);
        mf_turns(f, 1);
    }
}

int mf_status_of(const struct mf_buf *answer)
{
    return answer->n > 12 && memcmp(answer->p, "HTTP/1.1 ", 9) == 0
               ? (int)strtol(answer->p + 9, NULL, 10)
               : 0;
}
