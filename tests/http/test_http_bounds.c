/* SPDX-License-Identifier: Apache-2.0 */
#include "base/stat.h"
#include "http/http_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define HOST    "Host: a\r\n"
#define GET_NOW "GET /now HTTP/1.1\r\n" HOST "\r\n"

static void add_times(struct mf_buf *b, char c, size_t n)
{
    while (n-- > 0) {
        mf_buf_add_char(b, c);
    }
}

MF_TEST(http, refuses_a_length_over_the_bound_before_any_byte_of_the_body)
{
    struct mf_http_fixture f;
    struct mf_http_config cfg = mf_http_fixture_config();
    struct mf_buf out;

    mf_buf_init(&out);
    mf_http_fixture_open(&f, &cfg);
    mf_loop_assert(f.loop);
    MF_CHECK_INT(mf_ask_once(&f,
                             "POST /now HTTP/1.1\r\n" HOST "Expect: 100-continue\r\n"
                             "Content-Length: 1048577\r\n\r\n",
                             &out),
                 413);
    MF_CHECK_INT(mf_count(&out, "100 Continue"), 0);
    MF_CHECK_INT(mf_count(&out, "Connection: close\r\n"), 1);
    MF_CHECK_INT(mf_count(&out,
                          "{\"status\":\"error\",\"code\":413,\"data\":null,"
                          "\"message\":\"the body is larger than "
                          "server.max_body_bytes (1048576 bytes)\",\"errors\":"
                          "[{\"field\":\"Content-Length\",\"message\":\"the body is "
                          "larger than server.max_body_bytes (1048576 bytes)\"}]}"),
                 1);
    MF_CHECK_INT(f.n_seen, 0);
    mf_buf_fini(&out);
    mf_http_fixture_close(&f);
}

/* A client that sends all of a large body before it listens must read the 413. */
MF_TEST(http, lets_the_client_read_the_early_answer_rather_than_a_reset)
{
    struct mf_http_fixture f;
    struct mf_http_config cfg = mf_http_fixture_config();
    struct mf_buf out, all;

    mf_buf_init(&out);
    mf_buf_init(&all);
    mf_http_fixture_open(&f, &cfg);
    mf_loop_assert(f.loop);
    mf_buf_add_str(&all,
                   "POST /now HTTP/1.1\r\n" HOST "Content-Length: 8000000\r\n\r\n");
    add_times(&all, 'b', 8000000);
    mf_buf_add_char(&all, '\0');
    MF_CHECK_INT(mf_ask_once(&f, all.p, &out), 413);
    mf_turns(&f, 5);
    MF_CHECK_INT(mf_http_n_connections(f.server), 0);
    mf_buf_fini(&all);
    mf_buf_fini(&out);
    mf_http_fixture_close(&f);
}

/* Limits of the head on the wire; at each byte they are tested with the parser. */
MF_TEST(http, names_the_limit_of_url_headers_and_count)
{
    struct mf_http_fixture f;
    struct mf_http_config cfg = mf_http_fixture_config();
    struct mf_buf out;

    mf_buf_init(&out);
    cfg.max_url_bytes = 10;
    cfg.max_header_bytes = 60;
    cfg.max_headers = 3;
    cfg.max_body_bytes = 4;
    mf_http_fixture_open(&f, &cfg);
    mf_loop_assert(f.loop);
    MF_CHECK_INT(mf_ask_once(&f, "GET /234567890x HTTP/1.1\r\n" HOST "\r\n", &out),
                 414);
    MF_CHECK(strstr(out.p, "server.max_url_bytes (10 bytes)") != NULL);
    MF_CHECK_INT(
        mf_ask_once(&f, "GET / HTTP/1.1\r\n" HOST "A: 1\r\nB: 2\r\nC: 3\r\n\r\n", &out),
        431);
    MF_CHECK(strstr(out.p, "server.max_headers (3)") != NULL);
    MF_CHECK_INT(mf_ask_once(&f,
                             "GET / HTTP/1.1\r\n" HOST "A: 0123456789012345678901234"
                             "56789012345678901234567890\r\n\r\n",
                             &out),
                 431);
    MF_CHECK(strstr(out.p, "server.max_header_bytes (60 bytes)") != NULL);
    MF_CHECK_INT(mf_ask_once(&f,
                             "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked"
                             "\r\n\r\n2\r\nab\r\n3\r\n",
                             &out),
                 413);
    MF_CHECK_INT(f.n_seen, 0);
    mf_buf_fini(&out);
    mf_http_fixture_close(&f);
}

MF_TEST(http, turns_away_connections_over_the_bound_with_retry_after)
{
    struct mf_http_fixture f;
    struct mf_http_config cfg = mf_http_fixture_config();
    struct mf_buf out;
    int a, b, c;

    mf_buf_init(&out);
    cfg.max_connections = 2;
    mf_http_fixture_open(&f, &cfg);
    mf_loop_assert(f.loop);
    a = mf_connect(&f);
    b = mf_connect(&f);
    mf_turns(&f, 3);
    MF_CHECK_INT(mf_http_n_connections(f.server), 2);
    MF_CHECK_INT(mf_ask_once(&f, GET_NOW, &out), 503);
    MF_CHECK_INT(mf_count(&out, "Retry-After: 1\r\n"), 1);
    MF_CHECK(strstr(out.p, "server.max_connections (2)") != NULL);
    MF_CHECK_INT(mf_http_n_connections(f.server), 2);
    MF_CHECK_INT(f.n_seen, 0);
    mf_hang_up(&f, a);
    mf_turns(&f, 5);
    MF_CHECK_INT(mf_http_n_connections(f.server), 1);
    c = mf_connect(&f); /* there is room again */
    mf_buf_reset(&out);
    mf_say_str(&f, c, GET_NOW);
    mf_hear_answers(&f, c, &out, 1);
    MF_CHECK_INT(mf_status_of(&out), 200);
    mf_buf_reset(&out);
    mf_say_str(&f, b, GET_NOW);
    mf_hear_answers(&f, b, &out, 1);
    MF_CHECK_INT(mf_status_of(&out), 200);
    mf_buf_fini(&out);
    mf_http_fixture_close(&f);
}

MF_TEST(http, answers_even_a_crowd_far_over_the_bound)
{
    struct mf_http_fixture f;
    struct mf_http_config cfg = mf_http_fixture_config();
    struct mf_buf out;
    int fds[MF_MAX_CLIENTS];

    mf_buf_init(&out);
    cfg.max_connections = 1;
    mf_http_fixture_open(&f, &cfg);
    mf_loop_assert(f.loop);
    for (size_t i = 0; i < MF_MAX_CLIENTS; i++) {
        fds[i] = mf_connect(&f);
    }
    mf_turns(&f, 5);
    for (size_t i = 1; i < MF_MAX_CLIENTS; i++) {
        mf_buf_reset(&out);
        MF_CHECK(mf_hear_to_the_end(&f, fds[i], &out));
        MF_CHECK_INT(mf_status_of(&out), 503);
    }
    MF_CHECK_INT(mf_http_n_connections(f.server), 1);
    mf_buf_fini(&out);
    mf_http_fixture_close(&f);
}

MF_TEST(http, bounds_the_bodies_of_all_connections_together)
{
    struct mf_http_fixture f;
    struct mf_http_config cfg = mf_http_fixture_config();
    struct mf_buf out;
    int fd;
    static const char ten[] =
        "POST /later HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\n"
        "0123456789";

    mf_buf_init(&out);
    cfg.max_buffered_bytes = 20;
    mf_http_fixture_open(&f, &cfg);
    mf_loop_assert(f.loop);
    fd = mf_connect(&f);
    mf_say_str(&f, fd, ten);
    mf_say_str(&f, fd, ten);
    mf_wait_kept(&f, 2);
    MF_CHECK_INT(mf_ask_once(&f, ten, &out), 503);
    MF_CHECK_INT(mf_count(&out, "Retry-After: 1\r\n"), 1);
    MF_CHECK(strstr(out.p, "server.max_buffered_bytes (20 bytes)") != NULL);
    mf_answer(f.kept[1], "x"); /* waits in its slot and gives its body back when out */
    mf_answer(f.kept[0], "x");
    f.kept[0] = f.kept[1] = NULL;
    mf_buf_reset(&out);
    mf_hear_answers(&f, fd, &out, 2);
    mf_say_str(&f, fd, ten);
    mf_say_str(&f, fd, ten);
    mf_wait_kept(&f, 4);
    mf_buf_fini(&out);
    mf_http_fixture_close(&f);
}

static struct mf_http_config hasty(void)
{
    struct mf_http_config cfg = mf_http_fixture_config();

    cfg.header_timeout_ms = cfg.body_timeout_ms = 40;
    cfg.idle_timeout_ms = cfg.write_timeout_ms = 40;
    return cfg;
}

MF_TEST(http, answers_408_to_slow_headers_and_bodies_and_nothing_to_the_idle)
{
    struct mf_http_fixture f;
    struct mf_http_config cfg = hasty();
    struct mf_buf out;
    int fd;

    mf_buf_init(&out);
    mf_http_fixture_open(&f, &cfg);
    mf_loop_assert(f.loop);
    MF_CHECK_INT(mf_ask_once(&f, "GET / HTTP/1.1\r\nHost: ", &out), 408);
    MF_CHECK(strstr(out.p, "server.header_timeout_ms (40 ms)") != NULL);
    MF_CHECK_INT(
        mf_ask_once(&f, "POST / HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\na", &out),
        408);
    MF_CHECK(strstr(out.p, "server.body_timeout_ms (40 ms)") != NULL);
    MF_CHECK_INT(mf_ask_once(&f, "", &out), 0);
    MF_CHECK_INT(out.n, 0);
    MF_CHECK_INT(mf_ask_once(&f, "\r\n", &out), 0); /* no request has begun */
    MF_CHECK_INT(out.n, 0);
    fd = mf_connect(&f);
    mf_say_str(&f, fd, GET_NOW);
    MF_CHECK(mf_hear_to_the_end(&f, fd, &out)); /* idle after an answer */
    MF_CHECK_INT(mf_count(&out, "HTTP/1.1"), 1);
    mf_buf_fini(&out);
    mf_http_fixture_close(&f);
}

/* One byte now and then does not move the deadline of the headers. */
MF_TEST(http, ends_who_drips_headers)
{
    struct mf_http_fixture f;
    struct mf_http_config cfg = hasty();
    struct mf_buf out;
    char c;
    int fd;
    int n_drops = 0;

    mf_buf_init(&out);
    mf_http_fixture_open(&f, &cfg);
    mf_loop_assert(f.loop);
    fd = mf_connect(&f);
    mf_say_str(&f, fd, "GET / HTTP/1.1\r\nX: ");
    while (recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) < 0) {
        MF_CHECK(n_drops++ < 5000);
        mf_say_str(&f, fd, "x");
        mf_turns(&f, 2);
    }
    MF_CHECK(mf_hear_to_the_end(&f, fd, &out));
    MF_CHECK_INT(mf_status_of(&out), 408);
    mf_buf_fini(&out);
    mf_http_fixture_close(&f);
}

MF_TEST(http, waits_for_the_handler_without_a_deadline_and_answers_in_order)
{
    struct mf_http_fixture f;
    struct mf_http_config cfg = hasty();
    struct mf_buf out;
    int fd;

    mf_buf_init(&out);
    mf_http_fixture_open(&f, &cfg);
    mf_loop_assert(f.loop);
    fd = mf_connect(&f);
    mf_say_str(&f, fd, "GET /later HTTP/1.1\r\n" HOST "\r\nGET / HT");
    mf_wait_kept(&f, 1);
    mf_turns(&f, 200); /* the second request's deadline passes meanwhile */
    mf_answer(f.kept[0], "patience");
    f.kept[0] = NULL;
    MF_CHECK(mf_hear_to_the_end(&f, fd, &out));
    MF_CHECK_INT(mf_status_of(&out), 200);
    MF_CHECK_INT(mf_count(&out, "patienceHTTP/1.1 408"), 1);
    mf_buf_fini(&out);
    mf_http_fixture_close(&f);
}

MF_TEST(http, closes_a_reader_that_takes_nothing)
{
    struct mf_http_fixture f;
    struct mf_http_config cfg = hasty();
    int fd;

    mf_http_fixture_open(&f, &cfg);
    mf_loop_assert(f.loop);
    fd = mf_connect(&f);
    for (int i = 0; i < 12; i++) {
        mf_say_str(&f, fd, "GET /big HTTP/1.1\r\n" HOST "\r\n");
    }
    for (int i = 0; i < 20000 && (f.n_seen == 0 || mf_http_n_connections(f.server) > 0);
         i++) {
        mf_turns(&f, 1);
    }
    MF_CHECK_INT(mf_http_n_connections(f.server), 0);
    MF_CHECK(f.n_seen < 12); /* the output bound held the rest back */
    mf_http_fixture_close(&f);
}

MF_TEST(http, holds_at_most_the_output_bound_and_one_answer)
{
    struct mf_http_fixture f;
    struct mf_http_config cfg = mf_http_fixture_config();
    struct mf_buf out;
    int fd;

    mf_buf_init(&out);
    cfg.max_output_bytes = 1; /* reading pauses as soon as one answer waits */
    mf_http_fixture_open(&f, &cfg);
    mf_loop_assert(f.loop);
    fd = mf_connect(&f);
    for (int i = 0; i < 4; i++) {
        mf_say_str(&f, fd, GET_NOW);
    }
    mf_hear_answers(&f, fd, &out, 4);
    MF_CHECK_INT(f.n_seen, 4);
    mf_buf_fini(&out);
    mf_http_fixture_close(&f);
}

/* Takes all descriptors but `n`. */
static void leave_descriptors(int n)
{
    struct rlimit limit = {64, 64};
    int fds[64] = {0};
    int taken = 0;

    MF_CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
    while (taken < 64 && (fds[taken] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0) {
        taken++;
    }
    MF_CHECK(taken >= n && n >= 0);
    for (int i = taken - n; i < taken; i++) {
        MF_CHECK_OK(close(fds[i]));
    }
}

static void run_out_of_descriptors(void)
{
    struct mf_http_fixture f;
    struct mf_http_config cfg = mf_http_fixture_config();
    struct mf_buf out;
    int a, b, c;

    mf_buf_init(&out);
    mf_http_fixture_open(&f, &cfg);
    mf_loop_assert(f.loop);
    leave_descriptors(5); /* libuv keeps one back itself, at its first stream */
    a = mf_connect(&f);
    mf_turns(&f, 3);
    MF_CHECK_INT(mf_http_n_connections(f.server), 1);
    b = mf_connect(&f);
    c = mf_connect(&f); /* the last descriptor: the server has none for either */
    MF_CHECK(mf_hear_to_the_end(&f, c, &out) && mf_status_of(&out) == 503);
    MF_CHECK_INT(mf_count(&out, "Retry-After: 1\r\n"), 1);
    mf_hang_up(&f, c);
    mf_buf_reset(&out);
    mf_say_str(&f, a, GET_NOW); /* those who are in are served */
    mf_hear_answers(&f, a, &out, 1);
    mf_hang_up(&f, a);
    mf_turns(&f, 5);
    mf_buf_reset(&out);
    MF_CHECK_INT(mf_ask_once(&f, "GET /now HTTP/1.0\r\n\r\n", &out), 200);
    mf_buf_reset(&out);
    MF_CHECK(mf_hear_to_the_end(&f, b, &out) && mf_status_of(&out) == 503);
    mf_buf_fini(&out);
    mf_http_fixture_close(&f);
}

/* In a child, whose limit of descriptors is lowered. */
MF_TEST(http, hears_out_of_descriptors_and_resumes)
{
    pid_t child = fork();
    int status = 1;

    MF_CHECK(child >= 0);
    if (child == 0) {
        run_out_of_descriptors();
        _exit(0);
    }
    MF_CHECK_INT(waitpid(child, &status, 0), child);
    MF_CHECK(WIFEXITED(status));
    MF_CHECK_INT(WEXITSTATUS(status), 0);
}
