/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "npu/xrt/device.h"

#define PART_ALIGN 4096U /* a part of a buffer begins on a page */

/* ---- is this a job? ---- */

static int check_mem(const struct mf_npu_dev *dev, const struct mf_npu_mem *mem,
                     enum mf_npu_mem_kind kind, const char *name,
                     struct mf_npu_err *err)
{
    if (mem == NULL || mem->dev != dev || mem->kind != kind) {
        return mf_npu_err_set(err, MF_EINVAL,
                              "%s is not a memory of this device of that kind", name);
    }
    return 0;
}

static int check_room(const struct mf_npu_mem *mem, size_t at, size_t n,
                      const char *name, struct mf_npu_err *err)
{
    if (at % PART_ALIGN != 0) {
        return mf_npu_err_set(err, MF_EINVAL,
                              "%s begins at byte %zu: must be a multiple of %u", name,
                              at, PART_ALIGN);
    }
    if (at > mem->bytes || n > mem->bytes - at) {
        return mf_npu_err_set(err, MF_EINVAL,
                              "%s: %zu bytes at %zu are needed, the memory has %zu",
                              name, n, at, mem->bytes);
    }
    return 0;
}

/* The device computes all of m, so there must be room for it whatever `rows` says. */
static int check_op(const struct mf_npu_dev *dev, const struct mf_npu_op *op,
                    struct mf_npu_err *err)
{
    const struct mf_npu_gemm *g;
    int rc;

    if (op->plan == NULL) {
        return mf_npu_err_set(err, MF_EINVAL, "a run without a plan");
    }
    g = &op->plan->gemm;
    if (op->rows == 0 || op->rows > g->m) {
        return mf_npu_err_set(err, MF_EINVAL, "rows: %u, must be 1 to %u", op->rows,
                              g->m);
    }
    rc = check_mem(dev, op->a, MF_NPU_MEM_IN, "a", err);
    rc = rc < 0 ? rc : check_mem(dev, op->w, MF_NPU_MEM_WEIGHT, "w", err);
    rc = rc < 0 ? rc : check_mem(dev, op->c, MF_NPU_MEM_OUT, "c", err);
    if (rc < 0) {
        return rc;
    }
    rc = check_room(op->a, op->a_at, (size_t)g->m * g->k * mf_xrt_dtype_size(g->a), "a",
                    err);
    rc = rc < 0 ? rc
                : check_room(op->w, 0, (size_t)g->k * g->n * mf_xrt_dtype_size(g->b),
                             "w", err);
    return rc < 0 ? rc
                  : check_room(op->c, op->c_at,
                               (size_t)g->m * g->n * mf_xrt_dtype_size(g->c), "c", err);
}

/* ---- its life ---- */

/* Not more than a year ahead, so that adding to it is safe. */
static int64_t bounded(int64_t deadline_ns)
{
    const int64_t year_ns = 365LL * 24 * 3600 * 1000000000;

    return mf_max(0, mf_min(deadline_ns, mf_npu_now_ns() + year_ns));
}

static struct mf_npu_job *job_new(struct mf_npu_dev *dev, const struct mf_npu_op *ops,
                                  unsigned n, int64_t deadline_ns)
{
    struct mf_npu_job *job = mf_calloc(1, sizeof(*job) + n * sizeof(*ops));

    if (job == NULL) {
        return NULL;
    }
    job->dev = dev;
    job->refs = 2;
    job->deadline_ns = bounded(deadline_ns);
    job->pushed_ns = mf_npu_now_ns();
    job->n_ops = n;
    memcpy(job->ops, ops, n * sizeof(*ops));
    return job;
}

static void job_unref(struct mf_npu_job *job)
{
    if (--job->refs == 0) {
        mf_free(job);
    }
}

int mf_xrt_submit(struct mf_npu_dev *dev, const struct mf_npu_op *ops, unsigned n,
                  int64_t deadline_ns, struct mf_npu_job **out, struct mf_npu_err *err)
{
    struct mf_npu_job *job;
    int rc = 0;

    if (n == 0 || n > MF_XRT_MAX_OPS) {
        return mf_npu_err_set(err, MF_EINVAL, "runs of a job: %u, must be 1 to %u", n,
                              MF_XRT_MAX_OPS);
    }
    for (unsigned i = 0; i < n && rc == 0; i++) {
        rc = check_op(dev, &ops[i], err);
    }
    if (rc < 0) {
        return rc;
    }
    job = job_new(dev, ops, n, deadline_ns);
    if (job == NULL) {
        return mf_npu_err_set(err, MF_ENOMEM, "out of memory for a job");
    }
    pthread_mutex_lock(&dev->lock);
    if (dev->is_lost || dev->is_closing) {
        rc = mf_npu_err_set(err, MF_EUNAVAILABLE, "the device is lost: %.200s",
                            dev->health.last.text);
    } else if (dev->line.n + (dev->running != NULL) >= dev->caps.queue_depth) {
        rc =
            mf_npu_err_set(err, MF_EBUSY, "%u jobs are in line", dev->caps.queue_depth);
    }
    if (rc < 0) {
        pthread_mutex_unlock(&dev->lock);
        mf_free(job);
        return rc;
    }
    for (unsigned i = 0; i < n; i++) {
        ops[i].a->refs++;
        ops[i].w->refs++;
        ops[i].c->refs++;
    }
    dev->last_deadline_ns = mf_max(dev->last_deadline_ns, job->deadline_ns);
    mf_list_push_tail(&dev->line, &job->link);
    pthread_cond_signal(&dev->work);
    *out = job;
    pthread_mutex_unlock(&dev->lock);
    return 0;
}

static void count_ending(struct mf_npu_dev *dev, const struct mf_npu_job *job, int rc)
{
    struct mf_npu_stats *s = &dev->stats;
    uint64_t us, i = 0;

    if (rc == MF_ETIMEOUT) {
        s->jobs_timeout++;
    } else if (rc == MF_ECANCELED) {
        s->jobs_canceled++;
    } else if (rc < 0) {
        s->jobs_failed++;
    }
    if (job->started_ns > 0) {
        s->busy_ns += (uint64_t)(mf_npu_now_ns() - job->started_ns);
    }
    if (rc < 0) {
        return;
    }
    s->jobs_ok++;
    us = (uint64_t)(mf_npu_now_ns() - job->pushed_ns) / 1000;
    while (us > 1 && i < mf_countof(s->latency) - 1) {
        us >>= 1;
        i++;
    }
    s->latency[i]++;
}

static void end_with(struct mf_npu_job *job, int rc, const struct mf_npu_err *err)
{
    job->phase = MF_XRT_FINISHED;
    job->rc = rc;
    if (rc < 0 && err != NULL) {
        job->err = *err;
    }
    job->err.code = rc;
    count_ending(job->dev, job, rc);
    pthread_cond_broadcast(&job->dev->news);
}

void mf_xrt_job_finish(struct mf_npu_job *job, int rc, const struct mf_npu_err *err)
{
    if (job->phase != MF_XRT_FINISHED) {
        end_with(job, rc, err);
    }
    for (unsigned i = 0; i < job->n_ops; i++) {
        mf_xrt_mem_unref(job->ops[i].a);
        mf_xrt_mem_unref(job->ops[i].w);
        mf_xrt_mem_unref(job->ops[i].c);
    }
    job_unref(job);
}

void mf_xrt_job_quarantine(struct mf_npu_job *job)
{
    struct mf_npu_err late = {0};

    (void)mf_npu_err_set(&late, MF_ETIMEOUT,
                         "the device did not end a run before its deadline");
    if (job->phase != MF_XRT_FINISHED) {
        end_with(job, MF_ETIMEOUT, &late);
    }
    job->dev->stats.quarantined++;
    mf_list_push_tail(&job->dev->quarantine, &job->link);
}

/* ---- its end ---- */

static struct timespec at_ns(int64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / 1000000000),
                             .tv_nsec = (long)(ns % 1000000000)};
}

static void wait_until(struct mf_npu_job *job, int64_t until_ns)
{
    struct timespec until = at_ns(until_ns);

    while (job->phase != MF_XRT_FINISHED && mf_npu_now_ns() < until_ns) {
        (void)pthread_cond_timedwait(&job->dev->news, &job->dev->lock, &until);
    }
}

/* The deadline is over and the dispatcher has not said so. */
static void give_up(struct mf_npu_job *job)
{
    struct mf_npu_dev *dev = job->dev;
    struct mf_npu_err late = {0};

    if (job->phase == MF_XRT_IN_LINE) { /* no fault of the device */
        (void)mf_npu_err_set(&late, MF_ETIMEOUT, "late before it was started");
        mf_list_remove(&dev->line, &job->link);
        mf_xrt_job_finish(job, MF_ETIMEOUT, &late);
        return;
    }
    wait_until(job, job->deadline_ns + MF_XRT_SLACK_NS);
    if (job->phase != MF_XRT_FINISHED) {
        mf_xrt_job_quarantine(job);
        mf_xrt_lose(dev, true, MF_ETIMEOUT, "a call into XRT does not return");
    }
}

int mf_xrt_wait(struct mf_npu_job *job, struct mf_npu_err *err)
{
    struct mf_npu_dev *dev = job->dev;
    int rc;

    pthread_mutex_lock(&dev->lock);
    wait_until(job, job->deadline_ns);
    if (job->phase != MF_XRT_FINISHED) {
        give_up(job);
    }
    rc = job->rc;
    if (rc < 0 && err != NULL) {
        *err = job->err;
    }
    pthread_mutex_unlock(&dev->lock);
    return rc;
}

/* One under way ends for the caller now; the dispatcher lets its memories go. */
int mf_xrt_cancel(struct mf_npu_job *job)
{
    struct mf_npu_dev *dev = job->dev;
    struct mf_npu_err err = {0};

    (void)mf_npu_err_set(&err, MF_ECANCELED, "canceled");
    pthread_mutex_lock(&dev->lock);
    if (job->phase == MF_XRT_IN_LINE) {
        mf_list_remove(&dev->line, &job->link);
        mf_xrt_job_finish(job, MF_ECANCELED, &err);
    } else if (job->phase == MF_XRT_UNDER_WAY) {
        job->is_canceled = true;
        end_with(job, MF_ECANCELED, &err);
    }
    pthread_mutex_unlock(&dev->lock);
    return 0;
}

void mf_xrt_job_put(struct mf_npu_job *job)
{
    struct mf_npu_dev *dev = job->dev;

    pthread_mutex_lock(&dev->lock);
    job_unref(job);
    pthread_mutex_unlock(&dev->lock);
}
