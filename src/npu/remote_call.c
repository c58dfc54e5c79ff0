/* SPDX-License-Identifier: Apache-2.0 */
#include "npu/remote_priv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

void mf_remote_wake(struct mf_npu_dev *dev)
{
    /* Fails only when so many wakes wait that one more says nothing. */
    (void)eventfd_write(dev->wake, 1);
}

void mf_remote_doom(struct mf_npu_dev *dev, int code, const char *fmt, ...)
{
    va_list ap;

    if (dev->is_doomed) {
        return; /* the first reason is the cause */
    }
    dev->is_doomed = true;
    dev->is_up = false;
    dev->why.code = code;
    va_start(ap, fmt);
    (void)vsnprintf(dev->why.msg, sizeof(dev->why.msg), fmt, ap);
    va_end(ap);
    mf_remote_wake(dev);
}

/* Never waits: a worker that leaves its socket full is as good as dead. */
static int put_out(struct mf_npu_dev *dev, const struct mf_npu_msg *m)
{
    uint8_t buf[MF_NPU_WIRE_MAX];
    size_t n = mf_npu_wire_encode(buf, m);

    if (dev->child.sock < 0 || dev->is_doomed) {
        return MF_EUNAVAILABLE;
    }
    if (send(dev->child.sock, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)n) {
        return 0;
    }
    if (errno == EAGAIN) {
        mf_remote_doom(dev, MF_ETIMEOUT, "the worker does not read");
    }
    return MF_EUNAVAILABLE; /* else its end is at hand, and the reader sees it */
}

int mf_remote_send(struct mf_npu_dev *dev, struct mf_npu_msg *m,
                   struct mf_remote_call *call)
{
    int rc;

    m->seq = dev->next_seq++;
    call->seq = m->seq;
    call->type = m->type;
    call->is_done = false;
    rc = put_out(dev, m);
    if (rc < 0) {
        return rc;
    }
    mf_list_push_tail(&dev->calls, &call->link);
    if (call->deadline_ns < dev->wake_at_ns) {
        mf_remote_wake(dev);
    }
    return 0;
}

void mf_remote_post(struct mf_npu_dev *dev, const struct mf_npu_msg *m)
{
    if (put_out(dev, m) < 0) {
        return; /* with the worker goes what this was to change */
    }
}

static int lost(const struct mf_npu_dev *dev, struct mf_npu_err *err)
{
    return mf_remote_tell(err, MF_EUNAVAILABLE, 0,
                          dev->is_doomed ? dev->why.msg : dev->health.last.text);
}

int mf_remote_ask(struct mf_npu_dev *dev, struct mf_npu_msg *m,
                  struct mf_remote_call *call, struct mf_npu_err *err)
{
    bool is_slow = m->type == MF_NPU_MSG_WEIGHT || m->type == MF_NPU_MSG_VERIFY ||
                   m->type == MF_NPU_MSG_PLAN;

    call->kind = MF_REMOTE_SYNC;
    call->deadline_ns = mf_remote_now_ns() + (int64_t)dev->answer_ms * MF_NS_PER_MS *
                                                 (is_slow ? MF_REMOTE_SLOW : 1);
    if (!dev->is_up || mf_remote_send(dev, m, call) < 0) {
        return lost(dev, err);
    }
    while (!call->is_done) {
        (void)pthread_cond_wait(&dev->changed, &dev->lock);
    }
    if (call->answer.rc < 0) {
        return mf_remote_tell(err, call->answer.rc, call->answer.sys,
                              call->answer.text);
    }
    return 0;
}

static void finish(struct mf_npu_dev *dev, struct mf_remote_call *call)
{
    mf_list_remove(&dev->calls, &call->link);
    call->is_done = true;
    if (call->answer.rc == 0 && call->mem != NULL && call->kind == MF_REMOTE_SYNC) {
        call->mem->gen = dev->gen;
    }
    if (call->answer.rc == 0 && call->plan != NULL) {
        dev->plans[call->plan->id] = call->plan;
    }
    if (call->kind == MF_REMOTE_JOB) {
        mf_remote_job_done(mf_container_of(call, struct mf_npu_job, call));
    } else if (call->kind == MF_REMOTE_PUT) {
        mf_remote_mem_gone(mf_container_of(call, struct mf_npu_mem, put));
    }
    (void)pthread_cond_broadcast(&dev->changed);
}

static struct mf_remote_call *find(const struct mf_npu_dev *dev, uint64_t seq)
{
    mf_list_each (&dev->calls, k) {
        struct mf_remote_call *call = mf_container_of(k, struct mf_remote_call, link);

        if (call->seq == seq) {
            return call;
        }
    }
    return NULL;
}

static void take_news(struct mf_npu_dev *dev, const struct mf_npu_msg_answer *a)
{
    dev->last_busy_ns = a->busy_ns;
    dev->last_queue_ns = a->queue_ns;
    if (!dev->is_up) {
        return; /* being made ready: its answers are judged there */
    }
    if (a->state == MF_NPU_LOST) {
        mf_remote_doom(dev, a->rc < 0 ? a->rc : MF_EBACKEND, "the device is lost: %s",
                       a->text[0] != '\0' ? a->text : "it does not say why");
    } else if (a->state == MF_NPU_READY || a->state == MF_NPU_DEGRADED) {
        dev->health.state = a->state;
    }
}

void mf_remote_answered(struct mf_npu_dev *dev, const struct mf_npu_msg *answer)
{
    struct mf_remote_call *call = find(dev, answer->seq);

    if (call == NULL || answer->type != MF_NPU_MSG_ANSWER ||
        answer->u.answer.to != call->type) {
        mf_remote_doom(dev, MF_ECORRUPT,
                       "the worker sent %s to %s number %llu, which nobody asked",
                       mf_npu_wire_name(answer->type),
                       mf_npu_wire_name(
                           answer->type == MF_NPU_MSG_ANSWER ? answer->u.answer.to : 0),
                       (unsigned long long)answer->seq);
        return;
    }
    call->answer = answer->u.answer;
    take_news(dev, &call->answer);
    finish(dev, call);
}

void mf_remote_fail_all(struct mf_npu_dev *dev)
{
    while (!mf_list_is_empty(&dev->calls)) {
        struct mf_remote_call *call =
            mf_container_of(mf_list_head(&dev->calls), struct mf_remote_call, link);

        memset(&call->answer, 0, sizeof(call->answer));
        call->answer.rc = MF_EUNAVAILABLE;
        (void)snprintf(call->answer.text, sizeof(call->answer.text), "%s",
                       dev->why.msg);
        finish(dev, call);
    }
}
