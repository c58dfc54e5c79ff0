/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/loop.h"

#include "base/log.h"
#include "base/mem.h"
#include "loop/monitor.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define DEFAULT_POOL_THREADS 4U
#define MAX_POOL_THREADS     1024U /* libuv's own bound */

struct mf_loop {
    uv_loop_t uv;
    uv_prepare_t prepare; /* just before the loop sleeps */
    uv_check_t check;     /* just after */
    uv_idle_t awake;    /* active while a hook waits: the loop does not sleep or end */
    uv_timer_t timeout; /* of mf_loop_run_until */
    bool has_timed_out;
    bool is_stopped;
    pthread_t thread;
    unsigned pool_threads;
    struct mf_list hooks;
    struct mf_link turn_mark;   /* on `hooks` while they run: what is behind it waits */
    struct mf_monitor *monitor; /* apart, so that a const loop may report to it */
};

/* The pool is one for the whole process and its size is read once: the first loop
 * decides. */
static _Atomic unsigned pool_size;

static void on_awake(uv_idle_t *handle)
{
    mf_loop_assert(mf_container_of(handle, struct mf_loop, awake));
}

static void on_timeout(uv_timer_t *handle)
{
    struct mf_loop *l = mf_container_of(handle, struct mf_loop, timeout);

    mf_loop_assert(l);
    l->has_timed_out = true;
    uv_stop(&l->uv); /* else the poll of this turn sleeps until some other timer */
}

/* The mark is put behind the hooks of this turn. Only one list exists at any time, so a
 * hook may forget any other while they run. */
MF_LOOP static void run_hooks(struct mf_loop *l)
{
    struct mf_link *k;

    if (mf_list_is_empty(&l->hooks)) {
        return;
    }
    mf_list_push_tail(&l->hooks, &l->turn_mark);
    while ((k = mf_list_pop_head(&l->hooks)) != &l->turn_mark) {
        struct mf_turn_hook *h = mf_container_of(k, struct mf_turn_hook, link);

        h->fn(h);
    }
    if (mf_list_is_empty(&l->hooks)) {
        MF_ASSERT(uv_idle_stop(&l->awake) == 0);
    }
}

static void on_prepare(uv_prepare_t *handle)
{
    struct mf_loop *l = mf_container_of(handle, struct mf_loop, prepare);

    mf_loop_assert(l);
    run_hooks(l);
    mf_monitor_enter(l->monitor, NULL);
}

/* Callbacks of the poll come before this one: each of them has told the monitor its
 * own name. */
static void on_check(uv_check_t *handle)
{
    struct mf_loop *l = mf_container_of(handle, struct mf_loop, check);

    mf_loop_assert(l);
    run_hooks(l);
}

static int set_pool_size(unsigned wanted, struct mf_err *err)
{
    unsigned size = 0;
    char text[16];

    if (wanted > MAX_POOL_THREADS) {
        return mf_err_set(err, MF_EINVAL,
                          "pool_threads is %u, the limit is %u: lower it", wanted,
                          MAX_POOL_THREADS);
    }
    if (!atomic_compare_exchange_strong(&pool_size, &size, wanted)) {
        if (size != wanted) {
            mf_log_warn("loop_pool_fixed", "wanted=%u threads=%u", wanted, size);
        }
        return 0;
    }
    (void)snprintf(text, sizeof(text), "%u", wanted);
    if (setenv("UV_THREADPOOL_SIZE", text, 1) != 0) {
        atomic_store(&pool_size, 0);
        return mf_err_set(err, MF_ENOMEM, "no memory for UV_THREADPOOL_SIZE");
    }
    return 0;
}

/* None of these allocates or can fail. */
static void init_handles(struct mf_loop *l)
{
    MF_ASSERT(uv_prepare_init(&l->uv, &l->prepare) == 0);
    MF_ASSERT(uv_check_init(&l->uv, &l->check) == 0);
    MF_ASSERT(uv_idle_init(&l->uv, &l->awake) == 0);
    MF_ASSERT(uv_timer_init(&l->uv, &l->timeout) == 0);
    MF_ASSERT(uv_prepare_start(&l->prepare, on_prepare) == 0);
    MF_ASSERT(uv_check_start(&l->check, on_check) == 0);
    uv_unref((uv_handle_t *)&l->prepare);
    uv_unref((uv_handle_t *)&l->check);
    uv_unref((uv_handle_t *)&l->timeout);
}

int mf_loop_open(struct mf_loop **out, const struct mf_loop_config *cfg,
                 struct mf_err *err)
{
    struct mf_loop *l;
    int rc = set_pool_size(
        cfg->pool_threads != 0 ? cfg->pool_threads : DEFAULT_POOL_THREADS, err);

    if (rc < 0) {
        return rc;
    }
    l = mf_calloc(1, sizeof(*l));
    if (l == NULL) {
        return mf_err_set(err, MF_ENOMEM, "no memory for the loop");
    }
    l->monitor = mf_monitor_new(cfg->stall_ms);
    if (l->monitor == NULL) {
        rc = mf_err_set(err, MF_ENOMEM, "no memory for the loop");
        goto free_loop;
    }
    rc = uv_loop_init(&l->uv);
    if (rc < 0) {
        rc = mf_err_set(err, mf_code_from_errno(-rc), "the loop: %s", uv_strerror(rc));
        goto free_monitor;
    }
    mf_list_init(&l->hooks);
    l->thread = pthread_self();
    l->pool_threads = atomic_load(&pool_size);
    init_handles(l);
    *out = l;
    return 0;

free_monitor:
    mf_monitor_free(l->monitor);
free_loop:
    mf_free(l);
    return rc;
}

void mf_loop_run(struct mf_loop *l)
{
    mf_loop_assert(l);
    mf_monitor_start(l->monitor);
    /* Whether something is left is the business of mf_loop_close. */
    (void)uv_run(&l->uv, UV_RUN_DEFAULT);
    run_hooks(l); /* asked for by the last close callbacks */
    l->is_stopped = false;
    mf_monitor_stop(l->monitor);
}

bool mf_loop_run_until(struct mf_loop *l, const bool *flag, uint64_t timeout_ms)
{
    mf_loop_assert(l);
    l->has_timed_out = false;
    uv_update_time(&l->uv);
    MF_ASSERT(uv_timer_start(&l->timeout, on_timeout, timeout_ms, 0) == 0);
    while (!*flag && !l->has_timed_out && !l->is_stopped &&
           uv_loop_alive(&l->uv) != 0) {
        (void)uv_run(&l->uv, UV_RUN_ONCE);
    }
    MF_ASSERT(uv_timer_stop(&l->timeout) == 0);
    run_hooks(l);
    l->is_stopped = false;
    return *flag;
}

void mf_loop_stop(struct mf_loop *l)
{
    l->is_stopped = true;
    uv_stop(&l->uv);
}

struct leftovers {
    const struct mf_loop *loop;
    size_t n;
};

static void log_leftover(uv_handle_t *h, void *arg)
{
    struct leftovers *left = arg;
    const struct mf_loop *l = left->loop;

    if (h == (const uv_handle_t *)&l->prepare || h == (const uv_handle_t *)&l->check ||
        h == (const uv_handle_t *)&l->awake || h == (const uv_handle_t *)&l->timeout) {
        return;
    }
    left->n++;
    mf_log_error("loop_handle_left", "type=%s active=%d closing=%d",
                 uv_handle_type_name(h->type), uv_is_active(h), uv_is_closing(h));
}

MF_LOOP static bool has_leftovers(struct mf_loop *l)
{
    struct leftovers left = {.loop = l};

    uv_walk(&l->uv, log_leftover, &left);
    if (left.n > 0) {
        return true;
    }
    if (!mf_list_is_empty(&l->hooks)) {
        mf_log_error("loop_hook_left", "n=%zu", l->hooks.n);
        return true;
    }
    if (uv_loop_alive(&l->uv) != 0) { /* no handle: a request, such as uv_work */
        mf_log_error("loop_request_left", "pool_threads=%u", l->pool_threads);
        return true;
    }
    return false;
}

int mf_loop_close(struct mf_loop *l)
{
    mf_loop_assert(l);
    if (has_leftovers(l)) {
        return MF_EBUSY;
    }
    uv_close((uv_handle_t *)&l->prepare, NULL);
    uv_close((uv_handle_t *)&l->check, NULL);
    uv_close((uv_handle_t *)&l->awake, NULL);
    uv_close((uv_handle_t *)&l->timeout, NULL);
    (void)uv_run(&l->uv, UV_RUN_DEFAULT); /* ends these four */
    MF_ASSERT(uv_loop_close(&l->uv) == 0);
    mf_monitor_free(l->monitor);
    mf_free(l);
    return 0;
}

uv_loop_t *mf_loop_uv(struct mf_loop *l)
{
    return &l->uv;
}

uint64_t mf_loop_now_ms(const struct mf_loop *l)
{
    return uv_now(&l->uv);
}

unsigned mf_loop_pool_threads(const struct mf_loop *l)
{
    return l->pool_threads;
}

void mf_loop_enter(const struct mf_loop *l, const char *callback)
{
    MF_DEBUG_ASSERT(pthread_equal(pthread_self(), l->thread) != 0);
    mf_monitor_enter(l->monitor, callback);
}

void mf_loop_at_turn_end(struct mf_loop *l, struct mf_turn_hook *h)
{
    if (mf_link_is_on(&h->link)) {
        return;
    }
    mf_list_push_tail(&l->hooks, &h->link);
    MF_ASSERT(uv_idle_start(&l->awake, on_awake) == 0);
}

void mf_loop_forget_hook(struct mf_loop *l, struct mf_turn_hook *h)
{
    if (!mf_link_is_on(&h->link)) {
        return;
    }
    mf_list_remove(&l->hooks, &h->link);
    if (mf_list_is_empty(&l->hooks)) {
        MF_ASSERT(uv_idle_stop(&l->awake) == 0);
    }
}
