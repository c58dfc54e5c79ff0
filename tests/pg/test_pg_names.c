/* SPDX-License-Identifier: Apache-2.0 */
/* What the resolver says, and when: the names below .test are answered here, before the
 * C library sees them. */
#include "lib/mf_test.h"
#include "pg/far_kit.h"

#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

typedef int (*getaddrinfo_fn)(const char *, const char *, const struct addrinfo *,
                              struct addrinfo **);

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool holds_slow, holds_late; /* slow.test, late.test */
    size_t n_asked, n_moves;
} resolver = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static int address(const char *text, struct addrinfo **res)
{
    const struct addrinfo numeric = {.ai_flags = AI_NUMERICHOST,
                                     .ai_socktype = SOCK_STREAM};
    void *found = dlsym(RTLD_NEXT, "getaddrinfo");
    getaddrinfo_fn next;

    memcpy(&next, &found, sizeof(next));
    return next(text, NULL, &numeric, res);
}

static void wait_while(const bool *holds)
{
    (void)pthread_mutex_lock(&resolver.lock);
    resolver.n_asked++;
    (void)pthread_cond_broadcast(&resolver.changed);
    while (*holds) {
        (void)pthread_cond_wait(&resolver.changed, &resolver.lock);
    }
    (void)pthread_mutex_unlock(&resolver.lock);
}

static void hold(bool *holds, bool yes)
{
    (void)pthread_mutex_lock(&resolver.lock);
    *holds = yes;
    (void)pthread_cond_broadcast(&resolver.changed);
    (void)pthread_mutex_unlock(&resolver.lock);
}

/* Until a pool thread is at work on a question: nobody can call it back. */
static void wait_asked(void)
{
    struct timespec until;
    int rc = 0;

    MF_CHECK_OK(clock_gettime(CLOCK_REALTIME, &until));
    until.tv_sec += 60;
    (void)pthread_mutex_lock(&resolver.lock);
    while (resolver.n_asked == 0 && rc == 0) {
        rc = pthread_cond_timedwait(&resolver.changed, &resolver.lock, &until);
    }
    (void)pthread_mutex_unlock(&resolver.lock);
    MF_CHECK_OK(rc);
}

/* libuv's own library calls it, so it is seen from outside of the program. */
__attribute__((visibility("default"))) int
getaddrinfo(const char *restrict name, const char *restrict service,
            const struct addrinfo *restrict req, struct addrinfo **restrict pai)
{
    void *found = dlsym(RTLD_NEXT, "getaddrinfo");
    getaddrinfo_fn next;
    int rc;

    if (name != NULL && strcmp(name, "slow.test") == 0) {
        wait_while(&resolver.holds_slow);
        return address("127.0.0.1", pai);
    }
    if (name != NULL && strcmp(name, "late.test") == 0) {
        wait_while(&resolver.holds_late);
        return address("127.0.0.1", pai);
    }
    if (name != NULL && strcmp(name, "moves.test") == 0) {
        return address(resolver.n_moves++ == 0 ? "127.0.0.2" : "127.0.0.1", pai);
    }
    if (name != NULL && strcmp(name, "two.test") == 0) {
        rc = address("127.0.0.2", pai);
        return rc != 0 ? rc : address("127.0.0.1", &(*pai)->ai_next);
    }
    memcpy(&next, &found, sizeof(next));
    return next(name, service, req, pai);
}

MF_TEST(pg_names, tries_all_addresses_of_a_name)
{
    far_leads_to("host=two.test port=%1 user=test dbname=postgres sslmode=disable", 0,
                 0);
    far_leads_to("host=/nowhere,two.test port=%1 user=test dbname=postgres "
                 "sslmode=disable",
                 0, 1);
}

MF_TEST(pg_names, asks_anew_for_each_attempt)
{
    struct conn_kit k;
    struct peer p;

    resolver.n_moves = 0;
    conn_kit_open(&k, far_dsn("host=moves.test port=%1 user=test dbname=postgres "
                              "sslmode=disable",
                              0));
    far_attempt(&k, &p, 0);
    MF_CHECK_INT(p.rc, MF_EUNAVAILABLE);
    far_attempt(&k, &p, 0);
    MF_CHECK_OK(p.rc);
    MF_CHECK_INT(resolver.n_moves, 2);
    conn_kit_close(&k);
}

MF_TEST(pg_names, goes_on_without_a_name_that_has_no_answer_in_its_time)
{
    struct conn_kit k;
    struct peer p;

    hold(&resolver.holds_slow, true);
    conn_kit_open(&k,
                  far_dsn("host=slow.test,%4 port=%1 user=test dbname=postgres", 0));
    k.cfg.connect_timeout_ms = 1000;
    peer_open(&k, &p);
    mf_loop_fixture_wait(k.loop, &p.is_ready);
    MF_CHECK_OK(p.rc);
    MF_CHECK_INT(mf_pg_conn_host(p.conn), 1);
    peer_text(&p, "SELECT 1"); /* with a question that is still open */
    peer_close(&p, false);
    run_turns(&k, 20);
    MF_CHECK(!p.is_closed); /* the resolver's thread writes into it */
    hold(&resolver.holds_slow, false);
    mf_loop_fixture_wait(k.loop, &p.is_closed);
    conn_kit_close(&k);
}

MF_TEST(pg_names, takes_the_first_name_that_has_an_answer_when_all_are_late)
{
    struct conn_kit k;
    struct peer p;

    hold(&resolver.holds_slow, true);
    hold(&resolver.holds_late, true);
    conn_kit_open(&k, far_dsn("host=slow.test,late.test port=%1 user=test "
                              "dbname=postgres sslmode=disable",
                              0));
    k.cfg.connect_timeout_ms = 4000;
    peer_open(&k, &p);
    run_ms(&k, 2100); /* their half of the time */
    MF_CHECK(!p.is_ready);
    hold(&resolver.holds_late, false);
    mf_loop_fixture_wait(k.loop, &p.is_ready);
    MF_CHECK_OK(p.rc);
    MF_CHECK_INT(mf_pg_conn_host(p.conn), 1);
    hold(&resolver.holds_slow, false);
    peer_close(&p, false);
    conn_kit_close(&k);
}

MF_TEST(pg_names, says_so_when_the_resolver_has_no_answer)
{
    struct conn_kit k;
    struct peer p;

    hold(&resolver.holds_slow, true);
    conn_kit_open(&k, far_dsn("host=slow.test port=%1 user=test sslmode=disable", 0));
    k.cfg.connect_timeout_ms = 100;
    peer_open(&k, &p);
    mf_loop_fixture_wait(k.loop, &p.is_ready);
    MF_CHECK_INT(p.rc, MF_ETIMEOUT);
    MF_CHECK(strstr(p.err.msg, "no answer from the resolver within 100 ms") != NULL);
    peer_close(&p, false);
    hold(&resolver.holds_slow, false);
    mf_loop_fixture_wait(k.loop, &p.is_closed);
    conn_kit_close(&k);
}

MF_TEST(pg_names, can_be_closed_while_the_resolver_is_at_work)
{
    struct conn_kit k;
    struct peer p;

    hold(&resolver.holds_slow, true);
    conn_kit_open(&k, far_dsn("host=slow.test port=%1 user=test sslmode=disable", 0));
    resolver.n_asked = 0;
    peer_open(&k, &p);
    wait_asked();
    peer_close(&p, true);
    run_turns(&k, 20);
    MF_CHECK(!p.is_closed && !p.is_ready);
    hold(&resolver.holds_slow, false);
    mf_loop_fixture_wait(k.loop, &p.is_closed);
    MF_CHECK(!p.is_ready);
    conn_kit_close(&k);
}
