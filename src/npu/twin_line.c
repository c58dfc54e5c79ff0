/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs in line, and the thread that takes one after the other. */
#include "base/err.h"
#include "base/mem.h"
#include "npu/canary.h"
#include "npu/clock.h"
#include "npu/twin_in.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define NS_PER_S     1000000000
#define WELL_AGAIN   16 /* good jobs in a row after one that failed */
#define WRONG_BY     64.0F
#define WRONG_COLUMN 8U

/* ---- the end of a job; with the lock held ---- */

static void job_unref(struct mf_npu_job *job)
{
    if (--job->refs > 0) {
        return;
    }
    for (unsigned i = 0; i < job->n; i++) {
        mf_twin_mem_unref(job->op[i].a);
        mf_twin_mem_unref(job->op[i].w);
        mf_twin_mem_unref(job->op[i].c);
    }
    mf_free(job);
}

static void note_latency(struct mf_npu_stats *s, int64_t ns)
{
    size_t i = 0;

    for (int64_t us = ns / 1000; us > 1 && i + 1 < mf_countof(s->latency); us /= 2) {
        i++;
    }
    s->latency[i]++;
}

static void note_good(struct mf_npu_dev *dev, const struct mf_npu_job *job)
{
    int64_t now_ns = mf_npu_now_ns();

    dev->stats.jobs_ok++;
    dev->stats.ops += job->n;
    note_latency(&dev->stats, now_ns - job->queued_ns);
    if (dev->health.state == MF_NPU_DEGRADED && ++dev->n_good_in_row >= WELL_AGAIN) {
        dev->health.state = MF_NPU_READY;
        dev->health.since_ns = now_ns;
    }
}

static void note_bad(struct mf_npu_dev *dev, const struct mf_npu_job *job)
{
    dev->n_good_in_row = 0;
    if (job->rc == MF_ECANCELED) {
        dev->stats.jobs_canceled++;
        return;
    }
    if (job->rc == MF_ETIMEOUT) {
        dev->stats.jobs_timeout++;
    } else {
        dev->stats.jobs_failed++;
    }
    (void)mf_npu_err_set(&dev->health.last, job->rc, "%s", job->why);
    if (dev->health.state == MF_NPU_READY) {
        dev->health.state = MF_NPU_DEGRADED;
        dev->health.since_ns = mf_npu_now_ns();
    }
}

static void job_end(struct mf_npu_job *job, int rc, const char *why)
{
    job->state = TWIN_DONE;
    job->rc = rc;
    job->why = why;
    if (rc == 0) {
        note_good(job->dev, job);
    } else {
        note_bad(job->dev, job);
    }
    pthread_cond_broadcast(&job->dev->done);
}

static void leave_line(struct mf_npu_job *job, int rc, const char *why)
{
    mf_list_remove(&job->dev->line, &job->in_line);
    job->dev->n_queued--;
    job_end(job, rc, why);
    job_unref(job);
}

void mf_twin_lose(struct mf_npu_dev *dev, int code, const char *why)
{
    struct mf_link *k;

    if (dev->health.state != MF_NPU_LOST) {
        dev->health.state = MF_NPU_LOST;
        dev->health.since_ns = mf_npu_now_ns();
    }
    while ((k = mf_list_head(&dev->line)) != NULL) {
        leave_line(mf_container_of(k, struct mf_npu_job, in_line), MF_EUNAVAILABLE,
                   "the device is lost");
    }
    (void)mf_npu_err_set(&dev->health.last, code, "%s", why);
}

/* ---- the thread ---- */

static void sync_inputs(struct mf_npu_job *job)
{
    for (unsigned i = 0; i < job->n; i++) {
        const struct twin_op *op = &job->op[i];
        size_t bytes = (size_t)op->rows * op->gemm.k * sizeof(uint16_t);

        memcpy(op->a->device + op->a_at, op->a->host + op->a_at, bytes);
        job->dev->stats.bytes_in += bytes;
    }
}

static void sync_outputs(struct mf_npu_job *job)
{
    for (unsigned i = 0; i < job->n; i++) {
        const struct twin_op *op = &job->op[i];
        size_t bytes = (size_t)op->rows * op->gemm.n * sizeof(float);

        memcpy(op->c->host + op->c_at, op->c->device + op->c_at, bytes);
        job->dev->stats.bytes_out += bytes;
    }
}

static void spoil(const struct twin_op *op, uint64_t nth)
{
    size_t row = (nth * 7919) % op->rows, column = nth % WRONG_COLUMN;
    float *c = (float *)(void *)(op->c->device + op->c_at);

    c[row * op->gemm.n + column] += WRONG_BY;
}

static int compute(const struct mf_npu_job *job, const struct twin_fate *fate)
{
    if (fate->delay_us > 0) {
        struct timespec t = {(time_t)(fate->delay_us / 1000000),
                             (long)(fate->delay_us % 1000000) * 1000};

        (void)nanosleep(&t, NULL);
    }
    if (fate->fails) {
        return MF_EBACKEND;
    }
    for (unsigned i = 0; !fate->skips_compute && i < job->n; i++) {
        int rc = mf_twin_gemm(&job->op[i], job->dev->layout);

        if (rc < 0) {
            return rc;
        }
    }
    if (fate->is_wrong) {
        spoil(&job->op[0], fate->nth);
    }
    return 0;
}

static void run_job(struct mf_npu_dev *dev, struct mf_npu_job *job)
{
    struct twin_fate fate;
    int rc;

    mf_twin_fate(&fate);
    job->state = TWIN_RUNNING;
    job->began_ns = mf_npu_now_ns();
    dev->running = job;
    dev->is_hanging = fate.hangs;
    pthread_cond_broadcast(&dev->done); /* whoever closes looks at its deadline */
    dev->stats.queue_ns += (uint64_t)(job->began_ns - job->queued_ns);
    if (!fate.skips_input_sync) {
        sync_inputs(job);
    }
    pthread_mutex_unlock(&dev->lock);
    if (fate.hangs) {
        mf_twin_hang(&fate);
    }
    rc = compute(job, &fate);
    pthread_mutex_lock(&dev->lock);
    dev->running = NULL;
    dev->stats.busy_ns += (uint64_t)(mf_npu_now_ns() - job->began_ns);
    if (!job->is_dropped) {
        if (rc == 0) {
            sync_outputs(job);
        }
        job_end(job, rc, rc == MF_ENOMEM ? "no memory" : "the job failed");
    }
    job_unref(job);
    pthread_cond_broadcast(&dev->done);
    if (dev->is_hanging && !dev->is_left) {
        dev->is_hanging = false;
        mf_twin_hang_over();
    }
}

void *mf_twin_dispatch(void *arg)
{
    struct mf_npu_dev *dev = arg;
    struct mf_link *k;

    pthread_mutex_lock(&dev->lock);
    for (;;) {
        while ((k = mf_list_pop_head(&dev->line)) == NULL && !dev->is_closing) {
            pthread_cond_wait(&dev->wake, &dev->lock);
        }
        if (k == NULL) {
            break;
        }
        dev->n_queued--;
        run_job(dev, mf_container_of(k, struct mf_npu_job, in_line));
    }
    pthread_mutex_unlock(&dev->lock);
    if (dev->is_left) { /* close did not wait for this thread */
        mf_twin_dev_free(dev);
        mf_twin_hang_over();
    }
    return NULL;
}

bool mf_twin_settle(struct mf_npu_dev *dev)
{
    while (dev->running != NULL || dev->n_queued > 0) {
        struct mf_npu_job *job = dev->running;
        struct timespec until;

        if (job == NULL) { /* the thread is about to take the next */
            pthread_cond_wait(&dev->done, &dev->lock);
            continue;
        }
        until = (struct timespec){(time_t)(job->deadline_ns / NS_PER_S),
                                  (long)(job->deadline_ns % NS_PER_S)};
        if (pthread_cond_timedwait(&dev->done, &dev->lock, &until) == ETIMEDOUT &&
            dev->running == job) {
            return false;
        }
    }
    return true;
}

/* ---- the callers ---- */

static int check_op(const struct mf_npu_dev *dev, const struct mf_npu_op *op)
{
    const struct mf_npu_gemm *g;

    if (op->plan == NULL || op->a == NULL || op->w == NULL || op->c == NULL) {
        return MF_EINVAL;
    }
    g = &op->plan->gemm;
    if (op->rows == 0 || op->rows > g->m || op->a->dev != dev || op->w->dev != dev ||
        op->c->dev != dev) {
        return MF_EINVAL;
    }
    if (op->a_at + (size_t)g->m * g->k * sizeof(uint16_t) > op->a->bytes ||
        op->c_at + (size_t)g->m * g->n * sizeof(float) > op->c->bytes ||
        (size_t)g->k * g->n * sizeof(uint16_t) > op->w->bytes) {
        return MF_EINVAL;
    }
    return 0;
}

static struct mf_npu_job *job_new(struct mf_npu_dev *dev, const struct mf_npu_op *ops,
                                  unsigned n)
{
    struct mf_npu_job *job = mf_calloc(1, sizeof(*job) + n * sizeof(job->op[0]));

    if (job == NULL) {
        return NULL;
    }
    job->dev = dev;
    job->refs = 2;
    job->n = n;
    for (unsigned i = 0; i < n; i++) {
        job->op[i] = (struct twin_op){.gemm = ops[i].plan->gemm,
                                      .a = ops[i].a,
                                      .w = ops[i].w,
                                      .c = ops[i].c,
                                      .a_at = ops[i].a_at,
                                      .c_at = ops[i].c_at,
                                      .rows = ops[i].rows};
        ops[i].a->refs++;
        ops[i].w->refs++;
        ops[i].c->refs++;
    }
    return job;
}

static int admit(struct mf_npu_dev *dev, struct mf_npu_err *err)
{
    if (dev->health.state == MF_NPU_LOST || dev->is_closing) {
        return mf_npu_err_set(err, MF_EUNAVAILABLE, "the device is lost: %s",
                              dev->health.last.text);
    }
    if (dev->n_queued + (dev->running != NULL ? 1 : 0) >= dev->caps.queue_depth) {
        return mf_npu_err_set(err, MF_EBUSY, "%u jobs are in line",
                              dev->caps.queue_depth);
    }
    return 0;
}

int mf_twin_submit(struct mf_npu_dev *dev, const struct mf_npu_op *ops, unsigned n,
                   int64_t deadline_ns, struct mf_npu_job **out, struct mf_npu_err *err)
{
    struct mf_npu_job *job;
    int rc;

    *out = NULL;
    for (unsigned i = 0; i < n; i++) {
        if (check_op(dev, &ops[i]) < 0) {
            return mf_npu_err_set(err, MF_EINVAL, "operation %u does not fit", i);
        }
    }
    if (n == 0) {
        return mf_npu_err_set(err, MF_EINVAL, "a job of no operation");
    }
    pthread_mutex_lock(&dev->lock);
    rc = admit(dev, err);
    if (rc == 0) {
        job = job_new(dev, ops, n);
        rc = job != NULL ? 0 : mf_npu_err_set(err, MF_ENOMEM, "no memory for a job");
    }
    if (rc == 0) {
        job->deadline_ns = deadline_ns;
        job->queued_ns = mf_npu_now_ns();
        mf_list_push_tail(&dev->line, &job->in_line);
        dev->n_queued++;
        pthread_cond_signal(&dev->wake);
        *out = job;
    }
    pthread_mutex_unlock(&dev->lock);
    return rc;
}

static void give_up(struct mf_npu_job *job)
{
    struct mf_npu_dev *dev = job->dev;

    if (job->state == TWIN_QUEUED) {
        leave_line(job, MF_ETIMEOUT, "not begun by its deadline");
    } else {
        job->is_dropped = true;
        dev->stats.quarantined++;
        job_end(job, MF_ETIMEOUT, "not finished by its deadline");
    }
    mf_twin_lose(dev, MF_ETIMEOUT, job->why);
}

int mf_twin_wait(struct mf_npu_job *job, struct mf_npu_err *err)
{
    struct mf_npu_dev *dev = job->dev;
    struct timespec until = {(time_t)(job->deadline_ns / NS_PER_S),
                             (long)(job->deadline_ns % NS_PER_S)};
    int rc;

    pthread_mutex_lock(&dev->lock);
    while (job->state != TWIN_DONE) {
        if (pthread_cond_timedwait(&dev->done, &dev->lock, &until) == ETIMEDOUT &&
            job->state != TWIN_DONE) {
            give_up(job);
        }
    }
    rc = job->rc;
    if (rc < 0) {
        (void)mf_npu_err_set(err, rc, "%s", job->why);
    }
    pthread_mutex_unlock(&dev->lock);
    return rc;
}

int mf_twin_cancel(struct mf_npu_job *job)
{
    struct mf_npu_dev *dev = job->dev;

    pthread_mutex_lock(&dev->lock);
    if (job->state == TWIN_QUEUED) {
        leave_line(job, MF_ECANCELED, "canceled");
    } else if (job->state == TWIN_RUNNING) {
        job->is_dropped = true;
        job_end(job, MF_ECANCELED, "canceled");
    }
    pthread_mutex_unlock(&dev->lock);
    return 0;
}

void mf_twin_job_put(struct mf_npu_job *job)
{
    struct mf_npu_dev *dev = job->dev;

    pthread_mutex_lock(&dev->lock);
    job_unref(job);
    pthread_mutex_unlock(&dev->lock);
}
