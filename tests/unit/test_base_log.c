/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/mf_test.h"

#include "base/log.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct {
    char last[1200];
    size_t n, n_lines;
    enum mf_log_level level;
} got;

static uint64_t now_ms;

static void keep_line(enum mf_log_level level, const char *line, size_t n, void *arg)
{
    MF_CHECK_PTR(arg, &got);
    MF_CHECK(n < sizeof(got.last));
    memcpy(got.last, line, n);
    got.last[n] = '\0';
    got.n = n;
    got.level = level;
    got.n_lines++;
}

static uint64_t fake_now(void)
{
    return now_ms;
}

static void listen(void)
{
    memset(&got, 0, sizeof(got));
    mf_log_set_sink(keep_line, &got);
    mf_log_set_clock(fake_now);
    mf_log_set_level(MF_LOG_INFO);
}

static void unlisten(void)
{
    mf_log_set_sink(NULL, NULL);
    mf_log_set_clock(NULL);
    mf_log_set_level(MF_LOG_INFO);
}

/* What follows the time. */
static const char *rest_of_last(void)
{
    return strchr(got.last, ' ') + 1;
}

MF_TEST(log, line_has_time_level_event_and_values)
{
    listen();
    mf_log_warn("flush_retry", "batch=%d wait_ms=%d", 3, 250);
    MF_CHECK_STR(rest_of_last(), "warn flush_retry batch=3 wait_ms=250\n");
    MF_CHECK_INT(got.level, MF_LOG_WARN);
    MF_CHECK_INT(got.last[10], 'T');
    MF_CHECK_INT(rest_of_last()[-2], 'Z');
    mf_log_info("started", "%s", "");
    MF_CHECK_STR(rest_of_last(), "info started\n");
    unlisten();
}

static int count_up(int *n)
{
    return ++*n;
}

MF_TEST(log, arguments_are_not_evaluated_when_the_level_is_off)
{
    int n = 0;

    listen();
    mf_log_debug("quiet", "n=%d", count_up(&n));
    MF_CHECK_INT(n, 0);
    MF_CHECK_INT(got.n_lines, 0);
    mf_log_set_level(MF_LOG_DEBUG);
    mf_log_debug("loud", "n=%d", count_up(&n));
    MF_CHECK_INT(n, 1);
    MF_CHECK_INT(got.n_lines, 1);
    mf_log_set_level(MF_LOG_ERROR);
    mf_log_warn("quiet", "n=%d", count_up(&n));
    MF_CHECK_INT(n, 1);
    mf_log_error("loud", "n=%d", count_up(&n));
    MF_CHECK_INT(got.n_lines, 2);
    unlisten();
}

MF_TEST(log, long_line_is_cut_and_still_ends)
{
    char value[3000];

    listen();
    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    mf_log_info("long", "value=%s", value);
    MF_CHECK(got.n <= 1024);
    MF_CHECK(got.n > 1000);
    MF_CHECK_INT(got.last[got.n - 1], '\n');
    MF_CHECK_INT(got.last[got.n - 2], 'v');
    mf_log_info(value, "%s", "even the event");
    MF_CHECK(got.n <= 1024);
    MF_CHECK_INT(got.last[got.n - 1], '\n');
    unlisten();
}

MF_TEST(log, value_cannot_begin_a_line)
{
    listen();
    mf_log_info("name", "user=%s", "x\nerror forged\x7f\x01");
    MF_CHECK_STR(rest_of_last(), "info name user=x?error forged??\n");
    unlisten();
}

static const char *quoted(const char *s, size_t n)
{
    static char out[64];

    MF_CHECK_PTR(mf_log_quote(out, sizeof(out), s, n), out);
    return out;
}

MF_TEST(log, quote_escapes_what_would_break_a_value)
{
    MF_CHECK_STR(quoted("plain-1.2:3", 11), "plain-1.2:3");
    MF_CHECK_STR(quoted("", 0), "\"\"");
    MF_CHECK_STR(quoted("a b", 3), "\"a b\"");
    MF_CHECK_STR(quoted("a=b", 3), "\"a=b\"");
    MF_CHECK_STR(quoted("a\"b\\", 4), "\"a\\\"b\\\\\"");
    MF_CHECK_STR(quoted("\n\r\t", 3), "\"\\n\\r\\t\"");
    MF_CHECK_STR(quoted("\0\x1f\xc3\xbc", 4), "\"\\x00\\x1f\\xc3\\xbc\"");
}

MF_TEST(log, quote_cuts_at_whole_escapes_for_every_size)
{
    for (size_t cap = 3; cap < 24; cap++) {
        char out[24];
        size_t n;

        memset(out, '#', sizeof(out));
        (void)mf_log_quote(out, cap, "\x01\x01\x01\x01\x01", 5);
        n = strlen(out);
        MF_CHECK(n < cap);
        MF_CHECK_INT((n - 2) % 4, 0);
        MF_CHECK_INT(out[n - 1], '"');
        (void)mf_log_quote(out, cap, "abcdefghijklmnopqrstuvwxyz", 26);
        MF_CHECK_INT(strlen(out), cap - 1);
    }
}

MF_TEST(log, limiter_writes_once_a_second_and_tells_what_it_held_back)
{
    listen();
    now_ms = 5000;
    for (int i = 0; i < 10; i++) {
        mf_log_limited(MF_LOG_WARN, "disk_full", "try=%d", i);
    }
    MF_CHECK_INT(got.n_lines, 1);
    MF_CHECK_STR(rest_of_last(), "warn disk_full try=0\n");
    mf_log_limited(MF_LOG_WARN, "other_event", "n=%d", 1);
    MF_CHECK_INT(got.n_lines, 2);
    now_ms = 5999;
    mf_log_limited(MF_LOG_WARN, "disk_full", "try=%d", 10);
    MF_CHECK_INT(got.n_lines, 2);
    now_ms = 6000;
    mf_log_limited(MF_LOG_WARN, "disk_full", "try=%d", 11);
    MF_CHECK_STR(rest_of_last(), "warn disk_full held_back=10 try=11\n");
    now_ms = 7000;
    mf_log_limited(MF_LOG_WARN, "disk_full", "try=%d", 12);
    MF_CHECK_STR(rest_of_last(), "warn disk_full try=12\n");
    unlisten();
}

MF_TEST(log, limiter_stays_bounded_with_more_events_than_slots)
{
    char event[16];

    listen();
    now_ms = 9000;
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(event, sizeof(event), "flood_%d", i);
        mf_log_limited(MF_LOG_WARN, event, "i=%d", i);
    }
    MF_CHECK(got.n_lines <= 64);
    unlisten();
}

MF_TEST(log, lines_that_cannot_be_written_are_counted)
{
    uint64_t before = mf_log_dropped();
    int saved = dup(STDERR_FILENO);
    int ends[2];
    void (*old)(int) = signal(SIGPIPE, SIG_IGN);

    MF_CHECK_OK(pipe(ends));
    MF_CHECK_OK(close(ends[0]));
    MF_CHECK_INT(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    mf_log_error("into_nothing", "n=%d", 1);
    MF_CHECK_INT(dup2(saved, STDERR_FILENO), STDERR_FILENO);
    MF_CHECK_OK(close(ends[1]));
    MF_CHECK_OK(close(saved));
    (void)signal(SIGPIPE, old);
    MF_CHECK(mf_log_dropped() == before + 1);
}

static void *write_many(void *arg)
{
    for (int i = 0; i < 200; i++) {
        mf_log_info("from_thread", "who=%s i=%d", (const char *)arg, i);
    }
    return NULL;
}

MF_TEST(log, lines_of_two_threads_do_not_mix)
{
    static char names[2][2] = {"a", "b"};
    FILE *file = tmpfile();
    int saved = dup(STDERR_FILENO);
    pthread_t threads[2];
    char line[256];
    int n = 0;

    assert_non_null(file);
    MF_CHECK_INT(dup2(fileno(file), STDERR_FILENO), STDERR_FILENO);
    for (int i = 0; i < 2; i++) {
        MF_CHECK_OK(pthread_create(&threads[i], NULL, write_many, names[i]));
    }
    for (int i = 0; i < 2; i++) {
        MF_CHECK_OK(pthread_join(threads[i], NULL));
    }
    MF_CHECK_INT(dup2(saved, STDERR_FILENO), STDERR_FILENO);
    MF_CHECK_OK(close(saved));
    rewind(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        assert_non_null(strstr(line, "Z info from_thread who="));
        n++;
    }
    MF_CHECK_INT(n, 400);
    MF_CHECK_OK(fclose(file));
}
