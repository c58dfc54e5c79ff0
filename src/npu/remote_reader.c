/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread for each device starts workers, hears them, and ends them. The worker dies
 * with the thread that started it (it asks the kernel for that), so it must be one that
 * lives as long as the device.
 */
#include "npu/remote_priv.h"

#include "base/id.h"
#include "base/log.h"
#include "loop/dep.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#define NEVER    INT64_MAX
#define GRACE_MS 50 /* for a worker whose socket ended: its own end says more */

static int64_t first_deadline(const struct mf_npu_dev *dev)
{
    int64_t first = NEVER;

    mf_list_each (&dev->calls, k) {
        const struct mf_remote_call *call =
            mf_container_of(k, struct mf_remote_call, link);

        first = mf_min(first, call->deadline_ns);
    }
    return first;
}

/* Sleeps until a packet, a wake or `until_ns`; the lock is let go meanwhile. */
static short sleep_on(struct mf_npu_dev *dev, int64_t until_ns)
{
    struct pollfd fds[2] = {{.fd = dev->wake, .events = POLLIN},
                            {.fd = dev->child.sock, .events = POLLIN}};
    int64_t left = until_ns - mf_remote_now_ns();
    struct timespec t;
    eventfd_t n;

    left = left < 0 ? 0 : left;
    t = (struct timespec){.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
    dev->wake_at_ns = until_ns;
    mf_remote_unlock(dev);
    if (ppoll(fds, 2, until_ns == NEVER ? NULL : &t, NULL) < 0) {
        fds[0].revents = fds[1].revents = 0;
    }
    if (fds[0].revents != 0) {
        (void)eventfd_read(dev->wake, &n);
    }
    mf_remote_lock(dev);
    return fds[1].revents;
}

/* False: there is nothing to hear any more, now or ever (then it is doomed). */
static bool hear_one(struct mf_npu_dev *dev)
{
    uint8_t buf[MF_NPU_WIRE_MAX];
    struct mf_npu_msg m;
    struct mf_err err;
    ssize_t n = recv(dev->child.sock, buf, sizeof(buf),
                     MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC);

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return false;
    }
    if (n <= 0) {
        mf_remote_doom(dev, MF_EUNAVAILABLE, "the worker is gone");
        return false;
    }
    if ((size_t)n > sizeof(buf)) {
        mf_remote_doom(dev, MF_ECORRUPT, "the worker sent a message of %zd bytes", n);
        return false;
    }
    if (mf_npu_wire_decode(&m, buf, (size_t)n, &err) < 0) {
        mf_remote_doom(dev, MF_ECORRUPT, "the worker sent no answer: %.200s", err.msg);
        return false;
    }
    mf_remote_answered(dev, &m);
    return !dev->is_doomed;
}

static void check_deadlines(struct mf_npu_dev *dev, int64_t now_ns)
{
    mf_list_each (&dev->calls, k) {
        const struct mf_remote_call *call =
            mf_container_of(k, struct mf_remote_call, link);

        if (call->deadline_ns <= now_ns) {
            mf_remote_doom(dev, MF_ETIMEOUT, "the worker did not answer %s in time",
                           mf_npu_wire_name(call->type));
            return;
        }
    }
}

int mf_remote_step(struct mf_npu_dev *dev)
{
    int64_t until = first_deadline(dev);
    bool has_more = true;
    short got;

    if (dev->is_doomed || dev->is_closing) {
        return MF_EUNAVAILABLE;
    }
    /* One look too many later is cheaper than being woken for every call. */
    if (until == NEVER && dev->wake_at_ns > mf_remote_now_ns()) {
        until = dev->wake_at_ns;
    }
    got = sleep_on(dev, until);
    while (got != 0 && has_more) {
        has_more = hear_one(dev);
    }
    /* After hearing: a late look at an answer that lies there is not its fault. */
    check_deadlines(dev, mf_remote_now_ns());
    return dev->is_doomed || dev->is_closing ? MF_EUNAVAILABLE : 0;
}

static void free_dying(struct mf_npu_dev *dev)
{
    while (!mf_list_is_empty(&dev->dying)) {
        struct mf_npu_mem *mem =
            mf_container_of(mf_list_head(&dev->dying), struct mf_npu_mem, link);

        mf_list_remove(&dev->dying, &mem->link);
        mf_remote_mem_free(mem);
    }
    dev->n_puts = 0;
}

static void say_lost(struct mf_npu_dev *dev, const char *how)
{
    struct mf_npu_err *last = &dev->health.last;

    (void)snprintf(last->text, sizeof(last->text), "%.140s%s%.90s", dev->why.msg,
                   how[0] != '\0' ? "; " : "", how);
    last->code = dev->why.code;
    dev->health.state = MF_NPU_LOST;
    dev->health.since_ns = mf_remote_now_ns();
}

/* The worker's end: whatever it had is failed, then it is killed and reaped. */
static void end_worker(struct mf_npu_dev *dev)
{
    bool is_asked = dev->is_closing && !dev->is_doomed;
    struct mf_remote_child child = dev->child;
    unsigned grace_ms = is_asked ? 1000 : GRACE_MS;
    bool is_gone;
    char how[96];

    dev->is_up = false;
    if (dev->why.msg[0] == '\0') {
        (void)snprintf(dev->why.msg, sizeof(dev->why.msg), "the device is closed");
    }
    if (dev->is_doomed && dev->why.code != MF_EUNAVAILABLE) {
        grace_ms = 0; /* it is there, and not to be trusted */
    }
    dev->child.sock = -1;
    dev->busy_ns += dev->last_busy_ns;
    dev->queue_ns += dev->last_queue_ns;
    dev->last_busy_ns = dev->last_queue_ns = 0;
    mf_remote_fail_all(dev);
    mf_remote_unlock(dev);
    is_gone = mf_remote_child_end(&child, grace_ms, how, sizeof(how));
    mf_remote_lock(dev);
    dev->child = child;
    /* Only now: nobody writes to that memory any more. */
    if (is_gone) {
        free_dying(dev);
    }
    say_lost(dev, how);
}

static void nap(struct mf_npu_dev *dev, uint64_t ms)
{
    int64_t until = mf_remote_now_ns() + (int64_t)ms * MF_NS_PER_MS;

    while (!dev->is_closing && mf_remote_now_ns() < until) {
        (void)sleep_on(dev, until);
    }
}

static uint64_t next_backoff_ms(struct mf_npu_dev *dev)
{
    const struct mf_dep_config cfg = {.first_backoff_ms = dev->first_backoff_ms,
                                      .max_backoff_ms = dev->max_backoff_ms};
    int64_t lived_ms = (mf_remote_now_ns() - dev->up_since_ns) / MF_NS_PER_MS;
    uint32_t chance;

    /* One that lived long failed for itself; one that did not is the next of a row. */
    if (dev->up_since_ns != 0 && lived_ms >= (int64_t)dev->max_backoff_ms) {
        dev->n_failed = 0;
    }
    dev->up_since_ns = 0;
    mf_random(&chance, sizeof(chance));
    return mf_dep_backoff_ms(&cfg, ++dev->n_failed, chance);
}

static int start(struct mf_npu_dev *dev)
{
    struct mf_remote_child child = {.sock = -1};
    struct mf_err err;
    int rc;

    dev->is_doomed = false;
    memset(&dev->why, 0, sizeof(dev->why));
    dev->gen++;
    mf_remote_unlock(dev);
    rc = mf_remote_child_start(&child, dev->program, dev->memfd, &err);
    mf_remote_lock(dev);
    if (rc < 0) {
        dev->why = err;
        return rc;
    }
    dev->child = child;
    rc = mf_remote_make_ready(dev);
    if (rc == 0 && !dev->is_probe) {
        dev->is_up = true;
        dev->up_since_ns = mf_remote_now_ns();
        dev->health.state = MF_NPU_READY;
        dev->health.since_ns = dev->up_since_ns;
        mf_log_info("npu_worker_ready", "pid=%d starts=%llu", (int)child.pid,
                    (unsigned long long)dev->gen);
    }
    return rc;
}

static void tell_opener(struct mf_npu_dev *dev, int rc)
{
    dev->first_rc = rc;
    dev->has_tried = true;
    (void)pthread_cond_broadcast(&dev->changed);
}

/* One life of a worker. False: no other one follows. */
static bool run_worker(struct mf_npu_dev *dev)
{
    bool is_first = !dev->has_tried;
    int rc = start(dev);

    if (rc == 0 && !dev->is_probe) {
        if (is_first) {
            tell_opener(dev, 0);
        }
        while (mf_remote_step(dev) == 0) {
        }
    }
    end_worker(dev);
    if (is_first && (rc < 0 || dev->is_probe)) {
        tell_opener(dev, rc);
        return false;
    }
    return !dev->is_closing;
}

static void back_off(struct mf_npu_dev *dev)
{
    uint64_t ms = next_backoff_ms(dev);
    char quoted[320];

    mf_log_limited(MF_LOG_WARN, "npu_worker_lost", "reason=%s restart_ms=%llu",
                   mf_log_quote(quoted, sizeof(quoted), dev->health.last.text,
                                strlen(dev->health.last.text)),
                   (unsigned long long)ms);
    nap(dev, ms);
}

/* One that does not die still has the device: no other one before it is gone. */
static void await_next(struct mf_npu_dev *dev)
{
    back_off(dev);
    while (dev->child.is_stuck && !dev->is_closing) {
        end_worker(dev);
        back_off(dev);
    }
}

void *mf_remote_reader(void *arg)
{
    struct mf_npu_dev *dev = arg;

    mf_remote_lock(dev);
    while (run_worker(dev)) {
        await_next(dev);
        if (dev->is_closing) {
            break;
        }
        dev->stats.reopens++;
    }
    mf_remote_unlock(dev);
    return NULL;
}
