/* SPDX-License-Identifier: Apache-2.0 */
#include "http/http_fixture.h"

#include <stdio.h>
#include <sys/socket.h>

#define HOST "Host: a\r\n"

static const char post_small[] =
    "POST /now HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n"
    "hello";

static void open_roomy(struct mf_http_fixture *f, struct mf_buf *out)
{
    struct mf_http_config cfg = mf_http_fixture_config();

    mf_buf_init(out);
    mf_http_fixture_open(f, &cfg);
}

MF_TEST(http, answers_with_the_headers_each_answer_has)
{
    struct mf_http_fixture f;
    struct mf_buf out;
    int fd;

    open_roomy(&f, &out);
    mf_loop_assert(f.loop);
    fd = mf_connect(&f);
    mf_say_str(&f, fd, post_small);
    mf_hear_answers(&f, fd, &out, 1);
    MF_CHECK_INT(mf_status_of(&out), 200);
    MF_CHECK(strncmp(out.p, "HTTP/1.1 200 OK\r\nDate: ", 23) == 0);
    MF_CHECK_INT(mf_count(&out, " GMT\r\n"), 1);
    MF_CHECK_INT(mf_count(&out, "\r\nX-Content-Type-Options: nosniff\r\n"), 1);
    MF_CHECK_INT(mf_count(&out, "\r\nCache-Control: no-store\r\n"), 1);
    MF_CHECK_INT(mf_count(&out, "\r\nContent-Type: text/plain\r\n"), 1);
    MF_CHECK_INT(mf_count(&out, "\r\nContent-Length: 8\r\n"), 1);
    MF_CHECK_INT(mf_count(&out, "Connection:"), 0);
    MF_CHECK_INT(mf_count(&out, "\r\n\r\n2 /now 5"), 1);
    MF_CHECK_INT(mf_http_n_connections(f.server), 1);
    MF_CHECK_INT(mf_http_n_requests(f.server), 0);
    mf_buf_fini(&out);
    mf_http_fixture_close(&f);
}

MF_TEST(http, keeps_the_connection_for_a_thousand_requests)
{
    struct mf_http_fixture f;
    struct mf_buf out;
    int fd;

    open_roomy(&f, &out);
    mf_loop_assert(f.loop);
    fd = mf_connect(&f);
    for (int i = 0; i < 1000; i++) {
        mf_buf_reset(&out);
        mf_say_str(&f, fd, post_small);
        mf_hear_answers(&f, fd, &out, 1);
    }
    MF_CHECK_INT(f.n_seen, 1000);
    MF_CHECK_INT(mf_http_n_connections(f.server), 1);
    mf_buf_fini(&out);
    mf_http_fixture_close(&f);
}

MF_TEST(http, reads_the_same_when_bytes_come_one_by_one)
{
    struct mf_http_fixture f;
    struct mf_buf out;
    int fd;
    static const char bytes[] =
        "GET /now?x=y HTTP/1.1\r\n" HOST "\r\n"
        "POST /now HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n2\r\nde\r\n0\r\nT: u\r\n\r\n"
        "PUT /now HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nxyz";

    open_roomy(&f, &out);
    mf_loop_assert(f.loop);
    fd = mf_connect(&f);
    for (size_t i = 0; i < sizeof(bytes) - 1; i++) {
        mf_say(&f, fd, mf_slice_of(bytes + i, 1));
        mf_turns(&f, 1);
    }
    mf_hear_answers(&f, fd, &out, 3);
    MF_CHECK(strstr(out.p, "0 /now 0") < strstr(out.p, "2 /now 5"));
    MF_CHECK(strstr(out.p, "2 /now 5") < strstr(out.p, "3 /now 3"));
    mf_buf_fini(&out);
    mf_http_fixture_close(&f);
}

MF_TEST(http, answers_pipelined_requests_in_order_though_replied_in_reverse)
{
    struct mf_http_fixture f;
    struct mf_buf out;
    int fd;

    open_roomy(&f, &out);
    mf_loop_assert(f.loop);
    fd = mf_connect(&f);
    for (int i = 0; i < 5; i++) {
        mf_say_str(&f, fd, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    }
    mf_wait_kept(&f, 5);
    MF_CHECK_INT(mf_http_n_requests(f.server), 5);
    for (int i = 4; i >= 0; i--) {
        char text[16];

        (void)snprintf(text, sizeof(text), "answer %d", i);
        mf_answer(f.kept[i], text);
        f.kept[i] = NULL;
        mf_turns(&f, 2);
        MF_CHECK_INT(recv(fd, text, 1, MSG_PEEK | MSG_DONTWAIT), i == 0 ? 1 : -1);
    }
    mf_hear_answers(&f, fd, &out, 5);
    for (int i = 1; i < 5; i++) {
        char before[16], after[16];

        (void)snprintf(before, sizeof(before), "answer %d", i - 1);
        (void)snprintf(after, sizeof(after), "answer %d", i);
        MF_CHECK(strstr(out.p, before) < strstr(out.p, after));
    }
    MF_CHECK_INT(mf_http_n_requests(f.server), 0);
    mf_buf_fini(&out);
    mf_http_fixture_close(&f);
}

MF_TEST(http, pauses_reading_at_the_pipelined_bound_and_goes_on_after)
{
    struct mf_http_fixture f;
    struct mf_http_config cfg = mf_http_fixture_config();
    struct mf_buf out;
    int fd;

    mf_buf_init(&out);
    cfg.max_pipelined = 3;
    mf_http_fixture_open(&f, &cfg);
    mf_loop_assert(f.loop);
    fd = mf_connect(&f);
    for (int i = 0; i < 10; i++) {
        mf_say_str(&f, fd, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    }
    mf_wait_kept(&f, 3);
    for (size_t i = 0; i < 10; i++) {
        mf_turns(&f, 5);
        MF_CHECK_INT(f.n_kept, mf_min(i + 3, (size_t)10));
        mf_answer(f.kept[i], "x");
        f.kept[i] = NULL;
    }
    mf_hear_answers(&f, fd, &out, 10);
    mf_buf_fini(&out);
    mf_http_fixture_close(&f);
}

MF_TEST(http, says_close_on_a_last_request_that_had_to_wait_unread)
{
    struct mf_http_fixture f;
    struct mf_http_config cfg = mf_http_fixture_config();
    struct mf_buf out;
    int fd;

    mf_buf_init(&out);
    cfg.max_pipelined = 1;
    mf_http_fixture_open(&f, &cfg);
    mf_loop_assert(f.loop);
    fd = mf_connect(&f);
    mf_say_str(&f, fd,
               "GET /later HTTP/1.1\r\n" HOST "\r\n"
               "GET /now HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"
               "GET /never HTTP/1.1\r\n" HOST "\r\n");
    mf_wait_kept(&f, 1);
    mf_answer(f.kept[0], "x");
    f.kept[0] = NULL;
    MF_CHECK(mf_hear_to_the_end(&f, fd, &out));
    MF_CHECK_INT(mf_count(&out, "HTTP/1.1 200"), 2);
    MF_CHECK_INT(mf_count(&out, "Connection: close\r\n"), 1);
    MF_CHECK_INT(f.n_seen, 2);
    mf_buf_fini(&out);
    mf_http_fixture_close(&f);
}

MF_TEST(http, survives_ten_thousand_pipelined_requests_of_one_who_reads_late)
{
    struct mf_http_fixture f;
    struct mf_http_config cfg = mf_http_fixture_config();
    struct mf_buf out, all;
    size_t n_seen;
    int fd;

    mf_buf_init(&out);
    mf_buf_init(&all);
    cfg.max_output_bytes = 4096;
    mf_http_fixture_open(&f, &cfg);
    mf_loop_assert(f.loop);
    fd = mf_connect(&f);
    for (int i = 0; i < 8; i++) { /* 8 MiB: more than the sockets take */
        mf_buf_add_str(&all, "GET /big HTTP/1.1\r\n" HOST "\r\n");
    }
    for (int i = 0; i < 10000; i++) {
        mf_buf_add_str(&all, "GET /now HTTP/1.1\r\n" HOST "\r\n");
    }
    mf_say(&f, fd, mf_slice_of(all.p, mf_min(all.n, (size_t)60000)));
    mf_turns(&f, 50);
    n_seen = f.n_seen;
    MF_CHECK(n_seen >= 1 && n_seen < 9); /* the bound holds the rest back */
    mf_turns(&f, 20);
    MF_CHECK_INT(f.n_seen, n_seen);
    for (size_t at = 60000; at < all.n;) {
        size_t n = mf_min(all.n - at, (size_t)20000);

        mf_hear_answers(&f, fd, &out, f.n_seen < 100 ? f.n_seen : 0);
        mf_say(&f, fd, mf_slice_of(all.p + at, n));
        at += n;
    }
    mf_hear_answers(&f, fd, &out, 10008);
    MF_CHECK_INT(f.n_seen, 10008);
    mf_buf_fini(&all);
    mf_buf_fini(&out);
    mf_http_fixture_close(&f);
}

MF_TEST(http, takes_large_bodies_of_both_kinds)
{
    struct mf_http_fixture f;
    struct mf_buf out, all;
    int fd;

    open_roomy(&f, &out);
    mf_loop_assert(f.loop);
    mf_buf_init(&all);
    fd = mf_connect(&f);
    mf_buf_addf(&all, "POST /now HTTP/1.1\r\n" HOST "Content-Length: %d\r\n\r\n",
                1 << 20);
    for (int i = 0; i < 1 << 20; i++) {
        mf_buf_add_char(&all, 'b');
    }
    mf_buf_add_str(&all,
                   "POST /now HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 100; i++) {
        mf_buf_add_str(&all, "3e8\r\n");
        for (int k = 0; k < 1000; k++) {
            mf_buf_add_char(&all, 'c');
        }
        mf_buf_add_str(&all, "\r\n");
    }
    mf_buf_add_str(&all, "0\r\n\r\n");
    mf_say(&f, fd, mf_slice_of(all.p, all.n));
    mf_hear_answers(&f, fd, &out, 2);
    mf_buf_add_char(&f.seen, '\0');
    MF_CHECK_STR(f.seen.p, "/now 1048576\n/now 100000\n");
    mf_buf_fini(&all);
    mf_buf_fini(&out);
    mf_http_fixture_close(&f);
}

MF_TEST(http, says_continue_in_its_place_and_only_when_waited_for)
{
    struct mf_http_fixture f;
    struct mf_buf out;
    int fd;

    open_roomy(&f, &out);
    mf_loop_assert(f.loop);
    fd = mf_connect(&f);
    mf_say_str(&f, fd, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    mf_wait_kept(&f, 1);
    mf_say_str(&f, fd,
               "POST /now HTTP/1.1\r\n" HOST "Expect: 100-continue\r\n"
               "Content-Length: 2\r\n\r\n");
    mf_turns(&f, 5);
    mf_answer(f.kept[0], "first");
    f.kept[0] = NULL;
    mf_hear_answers(&f, fd, &out, 2);
    MF_CHECK(strstr(out.p, "firstHTTP/1.1 100 Continue\r\n\r\n") != NULL);
    mf_say_str(&f, fd, "ab");
    mf_hear_answers(&f, fd, &out, 3);
    MF_CHECK(strstr(out.p, "2 /now 2") != NULL);
    mf_say_str(&f, fd,
               "POST /now HTTP/1.1\r\n" HOST "Expect: 100-continue\r\n"
               "Content-Length: 2\r\n\r\ncd");
    mf_hear_answers(&f, fd, &out, 4);
    MF_CHECK_INT(mf_count(&out, "100 Continue"), 1);
    mf_buf_fini(&out);
    mf_http_fixture_close(&f);
}

MF_TEST(http, answers_head_with_the_length_and_no_body)
{
    struct mf_http_fixture f;
    struct mf_buf out;

    open_roomy(&f, &out);
    mf_loop_assert(f.loop);
    MF_CHECK_INT(mf_ask_once(&f,
                             "HEAD /now HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n",
                             &out),
                 200);
    MF_CHECK_INT(mf_count(&out, "Content-Length: 8\r\n"), 1);
    MF_CHECK_STR(out.p + out.n - 4, "\r\n\r\n");
    MF_CHECK_INT(mf_ask_once(&f, "HEAD /now HTTP/1.1\r\n\r\n", &out), 400);
    MF_CHECK_STR(out.p + out.n - 4, "\r\n\r\n");
    mf_buf_fini(&out);
    mf_http_fixture_close(&f);
}

MF_TEST(http, closes_or_keeps_as_version_and_connection_ask)
{
    struct mf_http_fixture f;
    struct mf_buf out;
    int fd;

    open_roomy(&f, &out);
    mf_loop_assert(f.loop);
    MF_CHECK_INT(
        mf_ask_once(&f, "GET /now HTTP/1.0\r\n\r\nGET /now HTTP/1.0\r\n\r\n", &out),
        200);
    MF_CHECK_INT(mf_count(&out, "Connection: close\r\n"), 1);
    MF_CHECK_INT(mf_ask_once(&f,
                             "GET /close HTTP/1.1\r\n" HOST "\r\n"
                             "GET /now HTTP/1.1\r\n" HOST "\r\n",
                             &out),
                 200);
    MF_CHECK_INT(mf_count(&out, "Connection: close\r\n"), 1);
    MF_CHECK_INT(mf_count(&out, "HTTP/1.1 200"), 1);
    MF_CHECK_INT(f.n_seen, 2); /* nothing behind the last one is handled */
    fd = mf_connect(&f);
    mf_buf_reset(&out);
    mf_say_str(&f, fd, "GET /now HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    mf_hear_answers(&f, fd, &out, 1);
    MF_CHECK_INT(mf_count(&out, "Connection: keep-alive\r\n"), 1);
    mf_say_str(&f, fd, "GET /now HTTP/1.0\r\n\r\n");
    MF_CHECK(mf_hear_to_the_end(&f, fd, &out));
    MF_CHECK_INT(mf_count(&out, "HTTP/1.1 200"), 2);
    mf_buf_fini(&out);
    mf_http_fixture_close(&f);
}

MF_TEST(http, answers_all_after_the_client_closed_its_half)
{
    struct mf_http_fixture f;
    struct mf_http_config cfg = mf_http_fixture_config();
    struct mf_buf out;
    int fd;

    mf_buf_init(&out);
    cfg.max_pipelined = 1; /* the second waits unread when the end is seen */
    mf_http_fixture_open(&f, &cfg);
    mf_loop_assert(f.loop);
    fd = mf_connect(&f);
    mf_say_str(&f, fd,
               "GET /later HTTP/1.1\r\n" HOST "\r\n"
               "GET /now HTTP/1.1\r\n" HOST "\r\nGET /cut-off HT");
    MF_CHECK_OK(shutdown(fd, SHUT_WR));
    mf_wait_kept(&f, 1);
    mf_turns(&f, 5);
    mf_answer(f.kept[0], "x");
    f.kept[0] = NULL;
    MF_CHECK(mf_hear_to_the_end(&f, fd, &out));
    MF_CHECK_INT(mf_count(&out, "HTTP/1.1 200"), 2);
    MF_CHECK_INT(f.n_seen, 2);
    mf_turns(&f, 5);
    MF_CHECK_INT(mf_http_n_connections(f.server), 0);
    mf_buf_fini(&out);
    mf_http_fixture_close(&f);
}

MF_TEST(http, refuses_by_the_head_and_reads_no_body)
{
    struct mf_http_fixture f;
    struct mf_buf out;

    open_roomy(&f, &out);
    mf_loop_assert(f.loop);
    MF_CHECK_INT(mf_ask_once(&f,
                             "POST /refuse HTTP/1.1\r\n" HOST
                             "Expect: 100-continue\r\nContent-Length: 9\r\n\r\n"
                             "GET /now HTTP/1.1\r\n" HOST "\r\n",
                             &out),
                 401);
    MF_CHECK_INT(mf_count(&out, "WWW-Authenticate: Bearer\r\n"), 1);
    MF_CHECK_INT(mf_count(&out, "Connection: close\r\n"), 1);
    MF_CHECK_INT(mf_count(&out, "HTTP/1.1"), 1);
    MF_CHECK_INT(f.n_seen, 0);
    mf_buf_fini(&out);
    mf_http_fixture_close(&f);
}

MF_TEST(http, finds_headers_without_regard_to_case)
{
    struct mf_http_header h[] = {{MF_SLICE("Content-Type"), MF_SLICE("a")},
                                 {MF_SLICE("x"), MF_SLICE("b")},
                                 {MF_SLICE("X"), MF_SLICE("c")}};
    struct mf_http_req req = {.headers = h, .n_headers = 3};

    MF_CHECK(mf_slice_is(mf_http_header(&req, "content-type"), "a"));
    MF_CHECK(mf_slice_is(mf_http_header(&req, "X"), "b"));
    MF_CHECK(mf_http_header(&req, "y").p == NULL);
}

MF_TEST(http, decodes_percent_and_finds_query_values)
{
    struct mf_arena a;
    struct mf_slice out;

    mf_arena_init(&a, 256);
    MF_CHECK_OK(mf_http_decode(&a, MF_SLICE("a%20b+c%C3%a4"), false, &out));
    MF_CHECK(mf_slice_is(out, "a b+c\xc3\xa4"));
    MF_CHECK_OK(mf_http_decode(&a, MF_SLICE("+"), true, &out));
    MF_CHECK(mf_slice_is(out, " "));
    MF_CHECK_INT(mf_http_decode(&a, MF_SLICE("%4"), true, &out), MF_EINVAL);
    MF_CHECK_INT(mf_http_decode(&a, MF_SLICE("%"), true, &out), MF_EINVAL);
    MF_CHECK_INT(mf_http_decode(&a, MF_SLICE("%g0"), true, &out), MF_EINVAL);
    MF_CHECK_INT(mf_http_decode(&a, MF_SLICE("%00"), true, &out), MF_EINVAL);
    MF_CHECK_OK(
        mf_http_query_get(&a, MF_SLICE("x=1&n%61me=J%2BD+E&name=2&z"), "name", &out));
    MF_CHECK(mf_slice_is(out, "J+D E"));
    MF_CHECK_OK(mf_http_query_get(&a, MF_SLICE("x=1&z"), "z", &out));
    MF_CHECK_INT(out.n, 0);
    MF_CHECK_INT(mf_http_query_get(&a, MF_SLICE("xx=1&&=y"), "x", &out), MF_ENOTFOUND);
    MF_CHECK_INT(mf_http_query_get(&a, mf_slice_of(NULL, 0), "x", &out), MF_ENOTFOUND);
    MF_CHECK_INT(mf_http_query_get(&a, MF_SLICE("x=%zz"), "x", &out), MF_EINVAL);
    mf_arena_fini(&a);
}
