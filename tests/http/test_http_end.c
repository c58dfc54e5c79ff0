/* SPDX-License-Identifier: Apache-2.0 */
#include "http/http_fixture.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define HOST      "Host: a\r\n"
#define GET_NOW   "GET /now HTTP/1.1\r\n" HOST "\r\n"
#define GET_LATER "GET /later HTTP/1.1\r\n" HOST "\r\n"

static void open_roomy(struct mf_http_fixture *f, struct mf_buf *out)
{
    struct mf_http_config cfg = mf_http_fixture_config();

    mf_buf_init(out);
    mf_http_fixture_open(f, &cfg);
}

MF_TEST(http_end, tells_the_handler_that_the_client_is_gone)
{
    struct mf_http_fixture f;
    struct mf_buf out;
    int fd;

    open_roomy(&f, &out);
    mf_loop_assert(f.loop);
    fd = mf_connect(&f);
    mf_say_str(&f, fd, GET_LATER GET_LATER);
    mf_wait_kept(&f, 2);
    mf_answer(f.kept[1], "waits in its slot, and goes with the connection");
    f.kept[1] = NULL;
    MF_CHECK(!f.kept[0]->client_is_gone);
    mf_reset(&f, fd);
    mf_turns(&f, 5);
    MF_CHECK_INT(mf_http_n_connections(f.server), 0);
    MF_CHECK(f.kept[0]->client_is_gone);
    MF_CHECK(mf_slice_is(f.kept[0]->path, "/later")); /* still there to be read */
    MF_CHECK_INT(mf_http_n_requests(f.server), 1);
    mf_answer(f.kept[0], "goes nowhere");
    f.kept[0] = NULL;
    MF_CHECK_INT(mf_http_n_requests(f.server), 0);
    mf_buf_fini(&out);
    mf_http_fixture_close(&f);
}

MF_TEST(http_end, tells_that_the_client_ended_and_answers_it_all_the_same)
{
    struct mf_http_fixture f;
    struct mf_buf out;
    int fd;

    open_roomy(&f, &out);
    mf_loop_assert(f.loop);
    fd = mf_connect(&f);
    mf_say_str(&f, fd, GET_LATER GET_LATER);
    mf_wait_kept(&f, 2);
    MF_CHECK(!f.kept[0]->client_has_ended && !f.kept[1]->client_has_ended);
    MF_CHECK_OK(shutdown(fd, SHUT_WR));
    mf_turns(&f, 5);
    MF_CHECK(f.kept[0]->client_has_ended && f.kept[1]->client_has_ended);
    MF_CHECK(!f.kept[0]->client_is_gone);
    mf_answer(f.kept[0], "one");
    mf_answer(f.kept[1], "two");
    f.kept[0] = f.kept[1] = NULL;
    MF_CHECK(mf_hear_to_the_end(&f, fd, &out));
    mf_buf_add_char(&out, '\0');
    MF_CHECK(strstr(out.p, "one") != NULL && strstr(out.p, "two") != NULL);
    mf_buf_fini(&out);
    mf_http_fixture_close(&f);
}

/* Resets after each number of bytes sent, with and without an answer on the way. */
MF_TEST(http_end, survives_a_reset_at_any_byte)
{
    static const char bytes[] =
        "POST /later HTTP/1.1\r\n" HOST
        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        "GET /big HTTP/1.1\r\n" HOST "\r\nGET /now";
    struct mf_http_fixture f;
    struct mf_buf out;

    open_roomy(&f, &out);
    mf_loop_assert(f.loop);
    for (size_t n = 0; n < sizeof(bytes); n++) {
        int fd = mf_connect(&f);

        mf_say(&f, fd, mf_slice_of(bytes, n));
        mf_turns(&f, 2);
        if (f.n_kept > 0 && n % 2 == 0) {
            mf_answer(f.kept[0], "x");
            f.n_kept = 0;
            mf_turns(&f, n % 3 == 0 ? 1 : 0);
        }
        mf_reset(&f, fd);
        mf_turns(&f, 2);
        MF_CHECK_INT(mf_http_n_connections(f.server), 0);
        if (f.n_kept > 0) {
            mf_answer(f.kept[0], "x");
            f.n_kept = 0;
        }
        MF_CHECK_INT(mf_http_n_requests(f.server), 0);
    }
    mf_buf_fini(&out);
    mf_http_fixture_close(&f);
}

MF_TEST(http_end, drains_idle_at_once_and_the_others_after_their_answers)
{
    struct mf_http_fixture f;
    struct mf_buf out;
    int idle, busy, half;

    open_roomy(&f, &out);
    mf_loop_assert(f.loop);
    idle = mf_connect(&f);
    busy = mf_connect(&f);
    half = mf_connect(&f);
    mf_say_str(&f, busy, GET_LATER GET_LATER);
    mf_say_str(&f, half, "POST /now HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\na");
    mf_wait_kept(&f, 2);
    mf_turns(&f, 3);
    mf_http_drain(f.server);
    MF_CHECK(mf_hear_to_the_end(&f, idle, &out));
    MF_CHECK_INT(out.n, 0);
    MF_CHECK_INT(mf_http_n_connections(f.server), 2);
    mf_say_str(&f, half, "b" GET_NOW);
    MF_CHECK(mf_hear_to_the_end(&f, half, &out));
    MF_CHECK_INT(mf_count(&out, "HTTP/1.1 200"), 1);
    MF_CHECK_INT(mf_count(&out, "Connection: close\r\n"), 1);
    mf_buf_reset(&out);
    mf_answer(f.kept[0], "one");
    mf_answer(f.kept[1], "two");
    f.n_kept = 0;
    MF_CHECK(mf_hear_to_the_end(&f, busy, &out));
    MF_CHECK_INT(mf_count(&out, "HTTP/1.1 200"), 2);
    MF_CHECK_INT(mf_count(&out, "Connection: close\r\n"), 1); /* the last one only */
    MF_CHECK_INT(mf_http_n_connections(f.server), 0);
    mf_buf_fini(&out);
    mf_http_fixture_close(&f);
}

MF_TEST(http_end, refuses_new_connections_while_it_drains)
{
    struct mf_http_fixture f;
    struct mf_buf out;
    struct sockaddr_storage a;
    socklen_t n = sizeof(a);
    int fd, other;

    open_roomy(&f, &out);
    mf_loop_assert(f.loop);
    fd = mf_connect(&f);
    MF_CHECK_OK(getpeername(fd, (struct sockaddr *)&a, &n));
    mf_http_drain(f.server);
    mf_http_drain(f.server); /* may be repeated */
    other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    MF_CHECK(other >= 0);
    MF_CHECK_INT(connect(other, (struct sockaddr *)&a, n), -1);
    MF_CHECK_OK(close(other));
    mf_buf_fini(&out);
    mf_http_fixture_close(&f);
}

/* The fixture answers the kept requests after the server is gone. */
MF_TEST(http_end, closes_with_open_requests_that_are_answered_later)
{
    struct mf_http_fixture f;
    struct mf_buf out;
    int fd, half;

    open_roomy(&f, &out);
    mf_loop_assert(f.loop);
    fd = mf_connect(&f);
    half = mf_connect(&f);
    mf_say_str(&f, fd, GET_LATER GET_LATER "GET /big HTTP/1.1\r\n" HOST "\r\n");
    mf_say_str(&f, half, "POST /now HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\na");
    mf_wait_kept(&f, 2);
    mf_turns(&f, 3);
    mf_close_server(&f);
    MF_CHECK(f.kept[0]->client_is_gone && f.kept[1]->client_is_gone);
    (void)mf_hear_to_the_end(&f, fd, &out);
    MF_CHECK_INT(out.n, 0);
    mf_buf_fini(&out);
    mf_http_fixture_close(&f);
}

static void close_at_once(struct mf_http_req *req, void *arg)
{
    struct mf_http_fixture *f = arg;

    mf_loop_assert(f->loop);
    f->kept[f->n_kept++] = req;
    mf_http_drain(f->server);
    mf_answer(req, "bye");
    f->n_kept = 0;
}

MF_TEST(http_end, may_be_drained_from_a_handler)
{
    struct mf_http_fixture f;
    struct mf_http_config cfg = mf_http_fixture_config();
    struct mf_buf out;
    int fd;

    open_roomy(&f, &out);
    mf_loop_assert(f.loop);
    mf_close_server(&f);
    f.is_closed = false;
    MF_CHECK_OK(mf_http_open(&f.server, f.loop, &cfg, close_at_once, NULL, &f, NULL));
    fd = mf_connect(&f);
    mf_say_str(&f, fd, GET_NOW GET_NOW);
    MF_CHECK(mf_hear_to_the_end(&f, fd, &out));
    MF_CHECK_INT(mf_count(&out, "HTTP/1.1 200"), 1);
    MF_CHECK_INT(mf_count(&out, "Connection: close\r\n"), 1);
    mf_buf_fini(&out);
    mf_http_fixture_close(&f);
}

MF_TEST(http_end, listens_on_a_unix_socket_and_removes_it)
{
    struct mf_http_fixture f;
    struct mf_http_config cfg = mf_http_fixture_config();
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct mf_buf out;
    struct stat st;
    char host[160];
    int stale, fd;

    open_roomy(&f, &out);
    mf_loop_assert(f.loop);
    mf_close_server(&f);
    f.is_closed = false;
    (void)snprintf(a.sun_path, sizeof(a.sun_path), "%s/s", mf_test_tmpdir());
    (void)snprintf(host, sizeof(host), "unix:%s", a.sun_path);
    stale = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0); /* of one that was killed */
    MF_CHECK_OK(bind(stale, (const struct sockaddr *)&a, sizeof(a)));
    MF_CHECK_OK(close(stale));
    cfg.host = host;
    MF_CHECK_OK(mf_http_open(&f.server, f.loop, &cfg, close_at_once, NULL, &f, NULL));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    MF_CHECK_OK(connect(fd, (const struct sockaddr *)&a, sizeof(a)));
    mf_say_str(&f, fd, GET_NOW);
    MF_CHECK(mf_hear_to_the_end(&f, fd, &out));
    MF_CHECK_INT(mf_status_of(&out), 200);
    MF_CHECK_OK(close(fd));
    mf_close_server(&f);
    MF_CHECK_INT(stat(a.sun_path, &st), -1);
    mf_buf_fini(&out);
    mf_http_fixture_close(&f);
}

static int try_open(struct mf_http_fixture *f, const struct mf_http_config *cfg,
                    struct mf_err *err)
{
    struct mf_http_server *s = NULL;
    int rc;

    mf_loop_assert(f->loop);
    rc = mf_http_open(&s, f->loop, cfg, close_at_once, NULL, f, err);
    MF_CHECK(rc < 0);
    return rc;
}

MF_TEST(http_end, names_the_address_it_cannot_listen_on)
{
    struct mf_http_fixture f;
    struct mf_http_config cfg = mf_http_fixture_config();
    struct mf_buf out;
    struct mf_err err = {0};
    char text[64];

    open_roomy(&f, &out);
    mf_loop_assert(f.loop);
    cfg.port = mf_http_port(f.server);
    MF_CHECK_INT(try_open(&f, &cfg, &err), MF_EIO);
    (void)snprintf(text, sizeof(text), "127.0.0.1 port %u: address already in use",
                   cfg.port);
    MF_CHECK(strstr(err.msg, text) != NULL);
    cfg.port = 65536;
    MF_CHECK_INT(try_open(&f, &cfg, &err), MF_EINVAL);
    cfg = mf_http_fixture_config();
    cfg.host = "example.invalid";
    MF_CHECK_INT(try_open(&f, &cfg, &err), MF_EINVAL);
    MF_CHECK(strstr(err.msg, "server.host \"example.invalid\"") != NULL);
    cfg.host = "unix:";
    MF_CHECK_INT(try_open(&f, &cfg, &err), MF_EINVAL);
    cfg = mf_http_fixture_config();
    cfg.max_pipelined = 0;
    MF_CHECK_INT(try_open(&f, &cfg, &err), MF_EINVAL);
    MF_CHECK_STR(err.msg, "server.max_pipelined is 0: at least 1");
    mf_http_fixture_close(&f);
    mf_buf_fini(&out);
}

/* What a client does meets every failing allocation once: an answer, or the end of the
 * connection; and the next client is served. */
MF_TEST(http_end, survives_each_failing_allocation)
{
    static const char bytes[] =
        "POST /now HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n"
        "hello" GET_LATER GET_NOW "bad";
    bool has_failed = true;

    for (size_t nth = 1; has_failed; nth++) {
        struct mf_http_fixture f;
        struct mf_buf out;
        int fd;

        open_roomy(&f, &out);
        mf_loop_assert(f.loop);
        MF_CHECK(mf_buf_reserve(&out, 1 << 20) != NULL);
        MF_CHECK(mf_buf_reserve(&f.seen, 4096) != NULL);
        fd = mf_connect(&f);
        mf_say_str(&f, fd, bytes);
        mf_test_fail_nth(nth);
        mf_turns(&f, 3);
        if (f.n_kept > 0) {
            mf_answer(f.kept[0], "x");
            f.n_kept = 0;
        }
        mf_turns(&f, 3);
        has_failed = mf_test_has_failed();
        mf_test_fail_nth(0);
        mf_buf_reset(&out);
        (void)mf_hear_to_the_end(&f, fd, &out);
        mf_buf_reset(&out);
        MF_CHECK_INT(mf_ask_once(&f, "GET /now HTTP/1.0\r\n\r\n", &out), 200);
        mf_buf_fini(&out);
        mf_http_fixture_close(&f);
        MF_CHECK(nth < 200);
    }
}
