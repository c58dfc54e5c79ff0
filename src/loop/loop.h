/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop: the one uv_loop_t, the end of each turn, ordered stop, and the monitor.
 *
 * Owns:    the uv_loop_t, its prepare/check handles, the watchdog thread
 * Thread:  loop, but for the watchdog inside
 * Limits:  stall_ms: a callback that holds the loop longer is logged by name while it
 *          does (event loop_stall callback=NAME held_ms=N) and counted, and once more
 *          when it ended (loop_stall_end); the time runs from mf_loop_assert to the
 *          next one. pool_threads: at most 1024; the first loop of a process decides
 * Fails:   MF_EINVAL (pool_threads), MF_ENOMEM, MF_EBUSY (no descriptor), MF_EIO from
 *          open; mf_loop_close returns MF_EBUSY when a handle, a hook or a request is
 *          left, logs which, and the loop lives on
 */
#ifndef MF_LOOP_LOOP_H
#define MF_LOOP_LOOP_H

#include "base/base.h"
#include "base/err.h"
#include "base/list.h"

#include <uv.h>

struct mf_loop;

struct mf_loop_config {
    unsigned pool_threads; /* uv_work pool; set before the first libuv call; 0: 4 */
    unsigned stall_ms;     /* 0: no watchdog */
};

/* The calling thread becomes the loop thread. The watchdog starts with
 * mf_loop_run. */
MF_MUST MF_ANY int mf_loop_open(struct mf_loop **out, const struct mf_loop_config *cfg,
                                struct mf_err *err);
/* Runs until mf_loop_stop and no active handle is left, or until nothing is left. */
MF_LOOP void mf_loop_run(struct mf_loop *l);
/* The time limit of a wait whose subject has its own end. */
#define MF_LOOP_FOR_EVER_MS (UINT64_C(1) << 50)
/* Runs turns until `*flag` is true, `timeout_ms` passed, mf_loop_stop or nothing is
 * left; without the watchdog: for tests, and for commands that wait for one thing.
 * Returns *flag. */
MF_ANY bool mf_loop_run_until(struct mf_loop *l, const bool *flag, uint64_t timeout_ms);
MF_LOOP void mf_loop_stop(struct mf_loop *l); /* mf_loop_run returns after this turn */
/* Frees the loop. Every handle must have been closed by its owner before. */
MF_MUST MF_ANY int mf_loop_close(struct mf_loop *l);

MF_ANY uv_loop_t *mf_loop_uv(struct mf_loop *l);
MF_ANY uint64_t mf_loop_now_ms(const struct mf_loop *l); /* monotonic, of this turn */
/* What the pool has; less or more than asked for when another loop came first. */
MF_ANY unsigned mf_loop_pool_threads(const struct mf_loop *l);

/* States that we are on the loop thread (tested in debug builds) and gives the
 * monitor the name of the callback that runs now, a string that lives on. First line
 * of each on_*. Costs two stores. */
MF_ANY void mf_loop_enter(const struct mf_loop *l,
                          const char *callback) MF_ASSERTS_LOOP;
#define mf_loop_assert(l) mf_loop_enter((l), __func__)

/*
 * Work for the end of this turn: before the loop sleeps, once however often it was
 * asked for. Embedded by value in its owner; no allocation. A hook may ask again from
 * inside itself: then it runs in the next turn, which comes at once. A hook that waits
 * keeps the loop running. Hooks run in the order they were asked for.
 */
struct mf_turn_hook {
    struct mf_link link; /* zeroed by the owner before first use */
    void (*fn)(struct mf_turn_hook *h);
};

MF_LOOP void mf_loop_at_turn_end(struct mf_loop *l, struct mf_turn_hook *h);
MF_LOOP void mf_loop_forget_hook(struct mf_loop *l, struct mf_turn_hook *h);

#endif
