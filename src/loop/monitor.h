/* SPDX-License-Identifier: Apache-2.0 */
/*
 * monitor: a thread of its own that sees when one callback holds the loop too long.
 * Private to this module.
 *
 * The loop thread only stores a name and bumps a counter; it never looks at a clock.
 * The watchdog samples both and measures the time between its own samples: a stall is
 * reported at the latest two wakes after it passed `stall_ms`, its length is exact to
 * a wake, and what ends before it was reported is not counted.
 *
 * Owns:    the watchdog thread, between start and stop
 * Thread:  loop, but for the watchdog inside; the two atomics are all they share
 *          while it runs
 * Limits:  a wake every stall_ms / 4, at least 10 and at most 100 ms
 * Fails:   MF_ENOMEM from new; without a thread start logs loop_watchdog_off
 */
#ifndef MF_LOOP_MONITOR_H
#define MF_LOOP_MONITOR_H

#include "base/base.h"

#include <pthread.h>
#include <stdatomic.h>

struct mf_monitor {
    _Atomic(const char *) callback; /* NULL: the loop sleeps */
    _Atomic uint64_t n_entries;     /* callbacks begun, and sleeps */
    unsigned stall_ms;              /* 0: no watchdog */
    bool has_thread;
    pthread_t thread;
    pthread_mutex_t lock; /* guards stop_wanted */
    pthread_cond_t stop_asked;
    bool stop_wanted;
};

MF_ANY unsigned mf_monitor_wake_ms(unsigned stall_ms);
MF_ANY struct mf_monitor *mf_monitor_new(unsigned stall_ms);
MF_ANY void mf_monitor_free(struct mf_monitor *m);
MF_LOOP void mf_monitor_start(struct mf_monitor *m);
MF_LOOP void mf_monitor_stop(struct mf_monitor *m); /* joins the thread */

/* `callback` begins (a string that lives on), or with NULL the loop sleeps. The name is
 * stored before the count, so that who sees the count sees at least this name. There
 * is one writer: no locked instruction is needed. */
MF_ANY static inline void mf_monitor_enter(struct mf_monitor *m, const char *callback)
{
    uint64_t n = atomic_load_explicit(&m->n_entries, memory_order_relaxed);

    atomic_store_explicit(&m->callback, callback, memory_order_relaxed);
    atomic_store_explicit(&m->n_entries, n + 1, memory_order_release);
}

#endif
