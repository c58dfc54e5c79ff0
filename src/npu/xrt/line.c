/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "npu/xrt/device.h"

#define SLICE_MS  100      /* of waiting, so that our own deadline decides */
#define NAP_NS    200000LL /* when XRT returns from a wait at once */
#define GOOD_JOBS 16U      /* in a row, and a degraded device is a good one again */

/* Whether the run was started and has not ended: then it must never be freed. */
struct ending {
    int rc;
    bool is_unfinished;
};

static struct ending ended(int rc)
{
    return (struct ending){.rc = rc};
}

/* Until it ends or the deadline is over. */
static struct ending run_wait(struct mf_xrt_run *run, int64_t deadline_ns,
                              struct mf_npu_err *err)
{
    const struct timespec nap = {.tv_nsec = NAP_NS};

    for (;;) {
        int64_t now = mf_npu_now_ns(), left_ms = (deadline_ns - now) / 1000000 + 1;
        enum mf_xrt_done done;

        if (now >= deadline_ns) {
            (void)mf_npu_err_set(err, MF_ETIMEOUT,
                                 "the device did not end a run before its deadline");
            return (struct ending){.rc = MF_ETIMEOUT, .is_unfinished = true};
        }
        done = mf_xrt_run_wait(run, (unsigned)mf_min(left_ms, SLICE_MS), err);
        if (done == MF_XRT_OK) {
            return ended(0);
        }
        if (done == MF_XRT_FAILED) {
            return ended(MF_EBACKEND);
        }
        if (mf_npu_now_ns() - now < NAP_NS) {
            (void)nanosleep(&nap, NULL);
        }
    }
}

/* Only the bytes that are used are synced: to XRT that is flushing caches. */
static struct ending op_run(struct mf_npu_dev *dev, const struct mf_npu_job *job,
                            const struct mf_npu_op *op, struct mf_npu_err *err)
{
    const struct mf_npu_gemm *g = &op->plan->gemm;
    size_t a_bytes = (size_t)op->rows * g->k * mf_xrt_dtype_size(g->a);
    size_t c_bytes = (size_t)op->rows * g->n * mf_xrt_dtype_size(g->c);
    struct mf_xrt_kept *kept = NULL;
    struct ending end;
    int rc = mf_xrt_runs_get(dev, op, &kept, err);

    if (rc == 0) {
        rc = mf_xrt_bo_sync(op->a->bo, true, op->a_at, a_bytes, err);
    }
    if (rc < 0) {
        return ended(rc);
    }
    if (mf_npu_now_ns() >= job->deadline_ns) {
        return ended(mf_npu_err_set(err, MF_ETIMEOUT, "late before it was started"));
    }
    end = ended(mf_xrt_run_start(kept->run, err));
    if (end.rc == 0) {
        end = run_wait(kept->run, job->deadline_ns, err);
    }
    if (end.rc < 0 && !end.is_unfinished) {
        mf_xrt_runs_drop(dev, kept); /* what failed is not started again */
    }
    if (end.rc == 0) {
        end.rc = mf_xrt_bo_sync(op->c->bo, false, op->c_at, c_bytes, err);
    }
    return end;
}

static void count_sync(struct mf_npu_dev *dev, const struct mf_npu_job *job)
{
    for (unsigned i = 0; i < job->n_ops; i++) {
        const struct mf_npu_op *op = &job->ops[i];
        const struct mf_npu_gemm *g = &op->plan->gemm;

        dev->stats.bytes_in += (uint64_t)op->rows * g->k * mf_xrt_dtype_size(g->a);
        dev->stats.bytes_out += (uint64_t)op->rows * g->n * mf_xrt_dtype_size(g->c);
    }
    dev->stats.ops += job->n_ops;
}

/* What the end of a job says about the device. */
static void note_ending(struct mf_npu_dev *dev, int rc, const struct mf_npu_err *err)
{
    if (dev->is_lost) {
        return;
    }
    if (rc == MF_EBACKEND) {
        dev->good_in_a_row = 0;
        dev->health.last = *err;
        if (dev->health.state == MF_NPU_READY) {
            dev->health.state = MF_NPU_DEGRADED;
            dev->health.since_ns = mf_npu_now_ns();
        }
    }
    if (rc == 0 && ++dev->good_in_a_row >= GOOD_JOBS &&
        dev->health.state == MF_NPU_DEGRADED) {
        dev->health.state = MF_NPU_READY;
        dev->health.since_ns = mf_npu_now_ns();
    }
}

/* With the lock, which is let go while XRT works. */
static void job_run(struct mf_npu_dev *dev, struct mf_npu_job *job)
{
    struct mf_npu_err err = {0};
    struct ending end = {0};

    job->phase = MF_XRT_UNDER_WAY;
    job->started_ns = mf_npu_now_ns();
    dev->stats.queue_ns += (uint64_t)(job->started_ns - job->pushed_ns);
    dev->running = job;
    pthread_mutex_unlock(&dev->lock);
    for (unsigned i = 0; i < job->n_ops && end.rc == 0; i++) {
        end = op_run(dev, job, &job->ops[i], &err);
    }
    pthread_mutex_lock(&dev->lock);
    dev->running = NULL;
    if (job->phase == MF_XRT_FINISHED && !job->is_canceled) {
        return; /* somebody who waited has given up the device while XRT was silent */
    }
    if (end.is_unfinished) {
        mf_xrt_job_quarantine(job);
        mf_xrt_lose(dev, true, MF_ETIMEOUT, err.text);
        return;
    }
    if (end.rc == 0) {
        count_sync(dev, job);
    }
    note_ending(dev, end.rc, &err);
    mf_xrt_job_finish(job, end.rc, &err);
}

static void call_run(struct mf_npu_dev *dev, struct mf_xrt_call *call)
{
    pthread_mutex_unlock(&dev->lock);
    call->rc = call->fn(dev, call->arg, call->err);
    pthread_mutex_lock(&dev->lock);
    call->is_done = true;
    pthread_cond_broadcast(&dev->news);
}

static void bury(struct mf_npu_dev *dev, struct mf_npu_mem *mem)
{
    pthread_mutex_unlock(&dev->lock);
    mf_xrt_runs_forget(dev, mem);
    mf_xrt_bo_free(mem->bo);
    mf_free(mem);
    pthread_mutex_lock(&dev->lock);
}

/* With the lock: one thing that is to be done; false: nothing. */
static bool work_one(struct mf_npu_dev *dev)
{
    struct mf_link *k;

    if (dev->is_stuck) {
        return false;
    }
    if ((k = mf_list_pop_head(&dev->calls)) != NULL) {
        call_run(dev, mf_container_of(k, struct mf_xrt_call, link));
        return true;
    }
    if ((k = mf_list_pop_head(&dev->dead)) != NULL) {
        bury(dev, mf_container_of(k, struct mf_npu_mem, link));
        return true;
    }
    if ((k = mf_list_pop_head(&dev->line)) != NULL) {
        job_run(dev, mf_container_of(k, struct mf_npu_job, link));
        return true;
    }
    return false;
}

/* Everything of XRT, in the order in which it needs each other. */
static void tear_down(struct mf_npu_dev *dev)
{
    struct mf_link *k;

    mf_xrt_runs_clear(dev);
    while ((k = mf_list_pop_head(&dev->mems)) != NULL) {
        struct mf_npu_mem *mem = mf_container_of(k, struct mf_npu_mem, link);

        mf_xrt_bo_free(mem->bo);
        mf_free(mem);
    }
    while ((k = mf_list_pop_head(&dev->plans)) != NULL) {
        struct mf_npu_plan *plan = mf_container_of(k, struct mf_npu_plan, link);

        mf_xrt_bo_free(plan->program);
        mf_free(plan);
    }
    if (dev->hw != NULL) {
        mf_xrt_close(dev->hw);
        dev->hw = NULL;
    }
}

static void *dispatch(void *arg)
{
    struct mf_npu_dev *dev = arg;

    pthread_mutex_lock(&dev->lock);
    for (;;) {
        if (work_one(dev)) {
            continue;
        }
        if (dev->is_closing) {
            break;
        }
        pthread_cond_wait(&dev->work, &dev->lock);
    }
    if (!dev->is_stuck) {
        pthread_mutex_unlock(&dev->lock);
        tear_down(dev); /* nobody else looks any more */
        pthread_mutex_lock(&dev->lock);
    }
    dev->has_ended = true;
    pthread_cond_broadcast(&dev->news);
    pthread_mutex_unlock(&dev->lock);
    return NULL;
}

/* No signal interrupts XRT: it takes that for the end of a wait. */
int mf_xrt_line_start(struct mf_npu_dev *dev, struct mf_npu_err *err)
{
    sigset_t all, before;
    int rc;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&dev->thread, NULL, dispatch, dev);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        return mf_npu_err_set(err, MF_ENOMEM, "no thread for the device: %s",
                              strerror(rc));
    }
    return 0;
}

static int say_lost(const struct mf_npu_dev *dev, struct mf_npu_err *err)
{
    return mf_npu_err_set(err, MF_EUNAVAILABLE, "the device is lost: %.200s",
                          dev->health.last.text);
}

int mf_xrt_do(struct mf_npu_dev *dev,
              int (*fn)(struct mf_npu_dev *dev, void *arg, struct mf_npu_err *err),
              void *arg, struct mf_npu_err *err)
{
    struct mf_xrt_call call = {.fn = fn, .arg = arg, .err = err};

    pthread_mutex_lock(&dev->lock);
    if (dev->is_lost) {
        call.rc = say_lost(dev, err);
    } else {
        mf_list_push_tail(&dev->calls, &call.link);
        pthread_cond_signal(&dev->work);
        while (!call.is_done) {
            pthread_cond_wait(&dev->news, &dev->lock);
        }
    }
    pthread_mutex_unlock(&dev->lock);
    return call.rc;
}

void mf_xrt_lose(struct mf_npu_dev *dev, bool is_stuck, int code, const char *text)
{
    struct mf_npu_err gone = {0};
    struct mf_link *k;

    dev->is_stuck = dev->is_stuck || is_stuck;
    if (!dev->is_lost) {
        dev->is_lost = true;
        dev->caps.verified = false;
        dev->health.state = MF_NPU_LOST;
        dev->health.since_ns = mf_npu_now_ns();
        (void)mf_npu_err_set(&dev->health.last, code, "%s", text);
    }
    (void)say_lost(dev, &gone);
    while ((k = mf_list_pop_head(&dev->line)) != NULL) {
        mf_xrt_job_finish(mf_container_of(k, struct mf_npu_job, link), MF_EUNAVAILABLE,
                          &gone);
    }
    while ((k = mf_list_pop_head(&dev->calls)) != NULL) {
        struct mf_xrt_call *call = mf_container_of(k, struct mf_xrt_call, link);

        call->rc = say_lost(dev, call->err);
        call->is_done = true;
    }
    pthread_cond_broadcast(&dev->news);
}
