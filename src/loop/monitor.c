/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/monitor.h"

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stat.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

#define MIN_WAKE_MS 10U
#define MAX_WAKE_MS 100U

/* What the watchdog saw last, and since when. */
struct sighting {
    uint64_t n_entries;
    const char *callback;
    uint64_t since_ms;
    bool is_reported;
};

static uint64_t ms_of(const struct timespec *ts)
{
    return (uint64_t)ts->tv_sec * 1000 + (uint64_t)ts->tv_nsec / 1000000;
}

static struct timespec monotonic_now(void)
{
    struct timespec ts;

    MF_ASSERT(clock_gettime(CLOCK_MONOTONIC, &ts) == 0);
    return ts;
}

static void end_sighting(const struct sighting *s, uint64_t now_ms)
{
    if (s->is_reported) {
        mf_log_warn("loop_stall_end", "callback=%s held_ms=%llu", s->callback,
                    (unsigned long long)(now_ms - s->since_ms));
    }
}

static void look(struct mf_monitor *m, struct sighting *s, uint64_t now_ms)
{
    uint64_t n = atomic_load_explicit(&m->n_entries, memory_order_acquire);
    const char *callback = atomic_load_explicit(&m->callback, memory_order_relaxed);

    if (n != s->n_entries) {
        end_sighting(s, now_ms);
        *s = (struct sighting){n, callback, now_ms, false};
        return;
    }
    if (s->callback == NULL || s->is_reported || now_ms - s->since_ms < m->stall_ms) {
        return;
    }
    s->is_reported = true;
    mf_stat_add(MF_STAT_loop_stalls, 1);
    /* The name of the first sample: one read just now may belong to the next. */
    mf_log_warn("loop_stall", "callback=%s held_ms=%llu", s->callback,
                (unsigned long long)(now_ms - s->since_ms));
}

/* Sleeps one wake, or until stop is asked for. The lock is held by the caller. */
static void sleep_a_wake(struct mf_monitor *m)
{
    struct timespec until = monotonic_now();
    int rc = 0;

    until.tv_nsec += (long)mf_monitor_wake_ms(m->stall_ms) * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    while (!m->stop_wanted && rc == 0) {
        rc = pthread_cond_timedwait(&m->stop_asked, &m->lock, &until);
    }
    MF_ASSERT(rc == 0 || rc == ETIMEDOUT);
}

static void *watch(void *arg)
{
    struct mf_monitor *m = arg;
    struct sighting s = {0};
    struct timespec now;

    MF_ASSERT(pthread_mutex_lock(&m->lock) == 0);
    while (!m->stop_wanted) {
        now = monotonic_now();
        look(m, &s, ms_of(&now));
        sleep_a_wake(m);
    }
    MF_ASSERT(pthread_mutex_unlock(&m->lock) == 0);
    now = monotonic_now();
    end_sighting(&s, ms_of(&now));
    return NULL;
}

unsigned mf_monitor_wake_ms(unsigned stall_ms)
{
    return mf_min(mf_max(stall_ms / 4, MIN_WAKE_MS), MAX_WAKE_MS);
}

struct mf_monitor *mf_monitor_new(unsigned stall_ms)
{
    struct mf_monitor *m = mf_calloc(1, sizeof(*m));
    pthread_condattr_t attr;

    if (m == NULL) {
        return NULL;
    }
    m->stall_ms = stall_ms;
    /* With glibc none of these can fail for a fresh object and a known clock. */
    MF_ASSERT(pthread_mutex_init(&m->lock, NULL) == 0);
    MF_ASSERT(pthread_condattr_init(&attr) == 0);
    MF_ASSERT(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    MF_ASSERT(pthread_cond_init(&m->stop_asked, &attr) == 0);
    MF_ASSERT(pthread_condattr_destroy(&attr) == 0);
    return m;
}

void mf_monitor_free(struct mf_monitor *m)
{
    MF_ASSERT(!m->has_thread);
    MF_ASSERT(pthread_cond_destroy(&m->stop_asked) == 0);
    MF_ASSERT(pthread_mutex_destroy(&m->lock) == 0);
    mf_free(m);
}

void mf_monitor_start(struct mf_monitor *m)
{
    sigset_t all, before;
    int rc;

    if (m->stall_ms == 0) {
        return;
    }
    m->stop_wanted = false;
    /* Signals are for the host's own threads: ours is born with all of them blocked. */
    MF_ASSERT(sigfillset(&all) == 0);
    MF_ASSERT(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    rc = pthread_create(&m->thread, NULL, watch, m);
    MF_ASSERT(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    m->has_thread = rc == 0;
    if (rc != 0) {
        /* The server works without it; a thread that cannot be had is no reason to
         * refuse messages. */
        mf_log_error("loop_watchdog_off", "errno=%d", rc);
    }
}

void mf_monitor_stop(struct mf_monitor *m)
{
    if (!m->has_thread) {
        return;
    }
    MF_ASSERT(pthread_mutex_lock(&m->lock) == 0);
    m->stop_wanted = true;
    MF_ASSERT(pthread_cond_signal(&m->stop_asked) == 0);
    MF_ASSERT(pthread_mutex_unlock(&m->lock) == 0);
    MF_ASSERT(pthread_join(m->thread, NULL) == 0);
    m->has_thread = false;
}
