/* SPDX-License-Identifier: Apache-2.0 */
/* Ways to the server of with_far_server.sh, and ways that end nowhere. */
#include "lib/mf_test.h"
#include "pg/far_kit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void fails(const char *pattern, int code, const char *sentence)
{
    struct conn_kit k;
    struct peer p;

    conn_kit_open(&k, far_dsn(pattern, 0));
    far_attempt(&k, &p, k.dsn.n_hosts - 1);
    MF_CHECK_INT(p.rc, code);
    if (strstr(p.err.msg, sentence) == NULL || strstr(p.err.msg, "hunter") != NULL) {
        fail_msg("%s: %s", pattern, p.err.msg);
    }
    conn_kit_close(&k);
}

/* A socket that takes connections and never says a word. */
static int silent_open(int *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    MF_CHECK(fd >= 0);
    MF_CHECK_OK(bind(fd, (struct sockaddr *)&a, sizeof(a)));
    MF_CHECK_OK(listen(fd, 64));
    MF_CHECK_OK(getsockname(fd, (struct sockaddr *)&a, &n));
    *port = ntohs(a.sin_port);
    return fd;
}

MF_TEST(pg_connect, takes_a_certificate_that_names_the_host)
{
    struct conn_kit k;
    struct peer p;

    conn_kit_open(&k, far_dsn("host=localhost hostaddr=127.0.0.1 port=%1 user=pw "
                              "password=hunter2 dbname=postgres sslmode=verify-full "
                              "sslrootcert=%3/ca.crt",
                              0));
    peer_ready(&k, &p);
    peer_text(&p, "SELECT ssl::text FROM pg_stat_ssl WHERE pid = pg_backend_pid()");
    MF_CHECK_STR(p.heard[0].text, "true");
    peer_close(&p, false);
    conn_kit_close(&k);
}

MF_TEST(pg_connect, refuses_a_certificate_of_another_host_or_signer)
{
    fails("host=elsewhere.test hostaddr=127.0.0.1 port=%1 user=pw password=hunter2 "
          "dbname=postgres sslmode=verify-full sslrootcert=%3/ca.crt",
          MF_EUNAVAILABLE, "elsewhere.test");
    fails("host=localhost hostaddr=127.0.0.1 port=%1 user=pw password=hunter2 "
          "dbname=postgres sslmode=verify-full sslrootcert=%3/other.crt",
          MF_EUNAVAILABLE, "certificate verify failed");
    fails("host=localhost hostaddr=127.0.0.1 port=%1 user=pw password=hunter2 "
          "dbname=postgres sslmode=verify-full sslrootcert=/nowhere.crt",
          MF_EUNAVAILABLE, "/nowhere.crt");
}

MF_TEST(pg_connect, says_what_the_server_said_of_a_password_or_a_database)
{
    fails("host=127.0.0.1 port=%1 user=pw password=hunter3 dbname=postgres", MF_EAUTH,
          "password authentication failed for user \"pw\" (SQLSTATE 28P01)");
    fails("host=127.0.0.1 port=%1 user=pw dbname=postgres passfile=/nowhere", MF_EAUTH,
          "set store.postgres.password_file");
    fails("host=127.0.0.1 port=%1 user=nobody dbname=postgres", MF_EAUTH,
          "(SQLSTATE 28000)");
    fails("host=%4 port=%1 user=test dbname=not_there", MF_EUNAVAILABLE,
          "database \"not_there\" does not exist (SQLSTATE 3D000)");
}

MF_TEST(pg_connect, goes_on_to_the_next_host_when_one_is_dead)
{
    int port;
    int fd = silent_open(&port);

    MF_CHECK_OK(close(fd)); /* nobody listens there now */
    far_leads_to("host=127.0.0.1,/nowhere,%4 port=%5,1,%1 user=test dbname=postgres",
                 port, 2);
    far_leads_to("host=localhost port=%1 user=test dbname=postgres", 0, 0);
}

MF_TEST(pg_connect, goes_on_to_the_next_host_when_a_name_is_not_known)
{
    far_leads_to("host=nowhere.invalid,%4 port=1,%1 user=test dbname=postgres", 0, 1);
    fails("host=nowhere.invalid port=1 user=test", MF_EUNAVAILABLE,
          "nowhere.invalid:1");
}

MF_TEST(pg_connect, gives_up_when_the_time_is_over)
{
    struct conn_kit k;
    struct peer p;
    int port;
    int fd = silent_open(&port);

    conn_kit_open(&k, far_dsn("host=127.0.0.1,127.0.0.1 port=%5 user=test", port));
    k.cfg.connect_timeout_ms = 200;
    far_attempt(&k, &p, 1); /* each had its share */
    MF_CHECK_INT(p.rc, MF_ETIMEOUT);
    MF_CHECK(strstr(p.err.msg, "no answer within 200 ms") != NULL);
    conn_kit_close(&k);
    MF_CHECK_OK(close(fd));
}

MF_TEST(pg_connect, leaves_time_for_the_host_behind_one_that_is_silent)
{
    struct conn_kit k;
    struct peer p;
    int port;
    int fd = silent_open(&port);

    conn_kit_open(
        &k, far_dsn("host=127.0.0.1,%4 port=%5,%1 user=test dbname=postgres", port));
    k.cfg.connect_timeout_ms = 2000;
    far_attempt(&k, &p, 1);
    MF_CHECK_OK(p.rc);
    conn_kit_close(&k);
    MF_CHECK_OK(close(fd));
}

MF_TEST(pg_connect, finds_the_server_that_writes)
{
    far_leads_to("host=127.0.0.1 port=%2 user=test dbname=postgres", 0, 0);
    far_leads_to("host=127.0.0.1,127.0.0.1 port=%2,%1 user=test dbname=postgres "
                 "target_session_attrs=read-write",
                 0, 1);
    far_leads_to("host=127.0.0.1,127.0.0.1 port=%1,%2 user=test dbname=postgres "
                 "target_session_attrs=standby",
                 0, 1);
    far_leads_to("host=127.0.0.1,%4 port=%1,%1 user=test dbname=postgres "
                 "target_session_attrs=prefer-standby",
                 0, 0);
    fails("host=127.0.0.1 port=%2 user=test dbname=postgres "
          "target_session_attrs=read-write",
          MF_EUNAVAILABLE, "read-only");
}

MF_TEST(pg_connect, can_be_closed_at_any_moment_of_a_handshake)
{
    int port;
    int fd = silent_open(&port);

    for (size_t turns = 0; turns < 60; turns++) {
        struct conn_kit k;
        struct peer p;

        conn_kit_open(&k,
                      far_dsn(turns % 2 == 0
                                  ? "host=localhost port=%1 user=pw password=hunter2 "
                                    "dbname=postgres sslmode=require"
                                  : "host=127.0.0.1 port=%5 user=test",
                              port));
        peer_open(&k, &p);
        run_turns(&k, turns);
        run_ms(&k, turns / 4);
        peer_close(&p, true);
        conn_kit_close(&k);
        MF_CHECK(p.is_closed);
    }
    MF_CHECK_OK(close(fd));
}
