/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "base/stat.h"
#include "lib/mf_test.h"
#include "loop/loop.h"
#include "loop/monitor.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define STALL_MS 100

/* What the watchdog logged; the sink is called on its thread. */
struct watched {
    uv_timer_t timer;
    uv_timer_t second;
    struct mf_loop *loop;
    sem_t reported; /* posted for a loop_stall of on_block */
    bool came_while_held;
    unsigned n_ticks;

    pthread_mutex_t lock;
    char lines[4096];
};

static void keep_line(MF_UNUSED enum mf_log_level level, const char *line, size_t n,
                      void *arg)
{
    struct watched *w = arg;
    size_t at;

    MF_ASSERT(pthread_mutex_lock(&w->lock) == 0);
    at = strlen(w->lines);
    (void)snprintf(w->lines + at, sizeof(w->lines) - at, "%.*s", (int)n, line);
    MF_ASSERT(pthread_mutex_unlock(&w->lock) == 0);
    if (strstr(line, " loop_stall callback=on_block ") != NULL) {
        MF_ASSERT(sem_post(&w->reported) == 0);
    }
}

static size_t count(const char *text, const char *word)
{
    size_t n = 0;

    for (const char *at = strstr(text, word); at != NULL; at = strstr(at + 1, word)) {
        n++;
    }
    return n;
}

static void watched_open(struct watched *w, unsigned stall_ms)
{
    struct mf_loop_config cfg = {.pool_threads = 4, .stall_ms = stall_ms};

    memset(w, 0, sizeof(*w));
    MF_CHECK_OK(mf_loop_open(&w->loop, &cfg, NULL));
    MF_CHECK_OK(sem_init(&w->reported, 0, 0));
    MF_CHECK_OK(pthread_mutex_init(&w->lock, NULL));
    MF_CHECK_OK(uv_timer_init(mf_loop_uv(w->loop), &w->timer));
    MF_CHECK_OK(uv_timer_init(mf_loop_uv(w->loop), &w->second));
    mf_log_set_sink(keep_line, w);
}

static void watched_close(struct watched *w)
{
    mf_log_set_sink(NULL, NULL);
    uv_close((uv_handle_t *)&w->timer, NULL);
    uv_close((uv_handle_t *)&w->second, NULL);
    mf_loop_assert(w->loop);
    mf_loop_run(w->loop);
    MF_CHECK_OK(mf_loop_close(w->loop));
    MF_CHECK_OK(sem_destroy(&w->reported));
    MF_CHECK_OK(pthread_mutex_destroy(&w->lock));
}

/* Holds the loop until the watchdog has said so: no wall time is asserted. */
static void on_block(uv_timer_t *handle)
{
    struct watched *w = mf_container_of(handle, struct watched, timer);
    struct timespec until;
    int rc;

    mf_loop_assert(w->loop);
    MF_CHECK_OK(clock_gettime(CLOCK_REALTIME, &until));
    until.tv_sec += 30;
    do {
        rc = sem_timedwait(&w->reported, &until);
    } while (rc != 0 && errno == EINTR);
    w->came_while_held = rc == 0;
}

static void on_innocent(uv_timer_t *handle)
{
    struct watched *w = mf_container_of(handle, struct watched, second);

    mf_loop_assert(w->loop);
    w->n_ticks++;
}

MF_TEST(loop_monitor, names_the_callback_that_holds_the_loop_while_it_does)
{
    int64_t before = mf_stat_get(MF_STAT_loop_stalls);
    struct watched w;

    watched_open(&w, STALL_MS);
    mf_loop_assert(w.loop);
    MF_CHECK_OK(uv_timer_start(&w.timer, on_block, 0, 0));
    MF_CHECK_OK(uv_timer_start(&w.second, on_innocent, 0, 0));
    mf_loop_run(w.loop);
    MF_CHECK(w.came_while_held);
    MF_CHECK_INT(count(w.lines, " loop_stall callback=on_block held_ms="), 1);
    MF_CHECK_INT(count(w.lines, " loop_stall_end callback=on_block held_ms="), 1);
    MF_CHECK(mf_stat_get(MF_STAT_loop_stalls) > before);
    watched_close(&w);
}

MF_TEST(loop_monitor, reports_each_stall_once)
{
    struct watched w;

    watched_open(&w, 10);
    mf_loop_assert(w.loop);
    for (int i = 0; i < 3; i++) {
        MF_CHECK_OK(uv_timer_start(&w.timer, on_block, 0, 0));
        mf_loop_run(w.loop);
        MF_CHECK(w.came_while_held);
    }
    MF_CHECK_INT(count(w.lines, " loop_stall callback=on_block "), 3);
    MF_CHECK_INT(count(w.lines, " loop_stall_end callback=on_block "), 3);
    watched_close(&w);
}

MF_TEST(loop_monitor, takes_sleep_for_sleep)
{
    struct watched w;

    watched_open(&w, 20);
    mf_loop_assert(w.loop);
    MF_CHECK_OK(uv_timer_start(&w.second, on_innocent, 200, 0));
    mf_loop_run(w.loop); /* sleeps ten times as long as a callback may take */
    MF_CHECK_INT(w.n_ticks, 1);
    MF_CHECK_INT(count(w.lines, "callback=on_prepare"), 0);
    MF_CHECK_INT(count(w.lines, "callback=(null)"), 0);
    watched_close(&w);
}

static void on_block_blindly(uv_timer_t *handle)
{
    struct watched *w = mf_container_of(handle, struct watched, timer);
    struct timespec nap = {.tv_nsec = 50000000};

    mf_loop_assert(w->loop);
    MF_CHECK_OK(nanosleep(&nap, NULL));
}

MF_TEST(loop_monitor, is_silent_when_switched_off)
{
    struct watched w;

    watched_open(&w, 0);
    mf_loop_assert(w.loop);
    MF_CHECK_OK(uv_timer_start(&w.timer, on_block_blindly, 0, 0));
    mf_loop_run(w.loop);
    MF_CHECK_STR(w.lines, "");
    watched_close(&w);
}

MF_TEST(loop_monitor, wakes_often_enough_and_not_too_often)
{
    MF_CHECK_INT(mf_monitor_wake_ms(1), 10);
    MF_CHECK_INT(mf_monitor_wake_ms(100), 25);
    MF_CHECK_INT(mf_monitor_wake_ms(1000), 100);
    MF_CHECK_INT(mf_monitor_wake_ms(UINT32_MAX), 100);
}
