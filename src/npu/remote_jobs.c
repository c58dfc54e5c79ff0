/* SPDX-License-Identifier: Apache-2.0 */
#include "npu/remote_priv.h"

#include "base/mem.h"

#include <time.h>

static uint64_t in_bytes(const struct mf_npu_op *op)
{
    const struct mf_npu_gemm *g = &op->plan->gemm;

    return (uint64_t)op->rows * g->k * mf_npu_dtype_bytes(g->a);
}

static uint64_t out_bytes(const struct mf_npu_op *op)
{
    const struct mf_npu_gemm *g = &op->plan->gemm;

    return (uint64_t)op->rows * g->n * mf_npu_dtype_bytes(g->c);
}

static bool fits(const struct mf_npu_mem *mem, size_t at, uint64_t bytes)
{
    return at <= mem->bytes && bytes <= mem->bytes - at;
}

static int check_op(const struct mf_npu_dev *dev, const struct mf_npu_op *op,
                    struct mf_npu_err *err)
{
    const struct mf_npu_gemm *g;

    if (op->plan == NULL || op->a == NULL || op->w == NULL || op->c == NULL ||
        op->plan->dev != dev || op->a->dev != dev || op->w->dev != dev ||
        op->c->dev != dev) {
        return mf_remote_tell(err, MF_EINVAL, 0,
                              "a run needs a plan and three memories of this device");
    }
    g = &op->plan->gemm;
    if (op->rows == 0 || op->rows > g->m) {
        return mf_remote_tell(err, MF_EINVAL, 0, "rows must be 1 to the plan's m");
    }
    /* The device runs over all of m, whatever is used of it. */
    if (!fits(op->a, op->a_at, (uint64_t)g->m * g->k * mf_npu_dtype_bytes(g->a)) ||
        !fits(op->c, op->c_at, (uint64_t)g->m * g->n * mf_npu_dtype_bytes(g->c)) ||
        !fits(op->w, 0, (uint64_t)g->k * g->n * mf_npu_dtype_bytes(g->b))) {
        return mf_remote_tell(err, MF_EINVAL, 0,
                              "a run reaches beyond the end of a memory");
    }
    return 0;
}

static struct mf_npu_job *job_new(struct mf_npu_dev *dev, const struct mf_npu_op *ops,
                                  unsigned n, int64_t deadline_ns)
{
    struct mf_npu_job *job = mf_calloc(1, sizeof(*job) + 3UL * n * sizeof(void *));

    if (job == NULL) {
        return NULL;
    }
    job->dev = dev;
    job->refs = 2;
    job->n_ops = n;
    job->deadline_ns = deadline_ns;
    job->call.kind = MF_REMOTE_JOB;
    /* Its own deadline is the waiter's and the device's; this is the worker's. */
    if (__builtin_add_overflow(deadline_ns, (int64_t)dev->answer_ms * MF_NS_PER_MS,
                               &job->call.deadline_ns)) {
        job->call.deadline_ns = INT64_MAX;
    }
    for (unsigned i = 0; i < n; i++) {
        job->mems[3UL * i] = ops[i].a;
        job->mems[3UL * i + 1] = ops[i].w;
        job->mems[3UL * i + 2] = ops[i].c;
        job->bytes_in += in_bytes(&ops[i]);
        job->bytes_out += out_bytes(&ops[i]);
    }
    return job;
}

static void fill(struct mf_npu_msg *m, const struct mf_npu_op *ops, unsigned n,
                 int64_t deadline_ns)
{
    m->type = MF_NPU_MSG_SUBMIT;
    m->u.submit.deadline_ns = deadline_ns;
    m->u.submit.n = n;
    for (unsigned i = 0; i < n; i++) {
        const struct mf_npu_op *op = &ops[i];

        m->u.submit.ops[i] = (struct mf_npu_msg_op){
            .plan = op->plan->id,
            .a = op->a->id,
            .w = op->w->id,
            .c = op->c->id,
            .rows = op->rows,
            .a_at = op->a_at,
            .c_at = op->c_at,
        };
    }
}

/* From here the job holds its memories, and the answer will end it. */
static void take_up(struct mf_npu_job *job)
{
    struct mf_npu_dev *dev = job->dev;

    for (uint32_t i = 0; i < 3 * job->n_ops; i++) {
        job->mems[i]->refs++;
    }
    job->begun_ns = mf_remote_now_ns();
    mf_list_push_tail(&dev->jobs, &job->link);
    dev->n_in_flight++;
    dev->stats.ops += job->n_ops;
    dev->stats.bytes_in += job->bytes_in;
    dev->stats.bytes_out += job->bytes_out;
}

static int start(struct mf_npu_dev *dev, struct mf_npu_job *job, struct mf_npu_msg *m,
                 struct mf_npu_err *err)
{
    if (!dev->is_up) {
        return mf_remote_tell(err, MF_EUNAVAILABLE, 0, dev->health.last.text);
    }
    if (dev->n_in_flight >= dev->caps.queue_depth) {
        return mf_remote_tell(err, MF_EBUSY, 0, "the device's line is full");
    }
    if (mf_remote_send(dev, m, &job->call) < 0) {
        return mf_remote_tell(err, MF_EUNAVAILABLE, 0, "the worker is gone");
    }
    take_up(job);
    return 0;
}

int mf_remote_submit(struct mf_npu_dev *dev, const struct mf_npu_op *ops, unsigned n,
                     int64_t deadline_ns, struct mf_npu_job **out,
                     struct mf_npu_err *err)
{
    struct mf_npu_msg m = {0};
    struct mf_npu_job *job;
    int rc = 0;

    *out = NULL;
    if (n == 0 || n > MF_NPU_WIRE_OPS) {
        return mf_remote_tell(err, MF_EINVAL, 0, "a job has 1 to 64 runs");
    }
    for (unsigned i = 0; i < n && rc == 0; i++) {
        rc = check_op(dev, &ops[i], err);
    }
    if (rc < 0) {
        return rc;
    }
    job = job_new(dev, ops, n, deadline_ns);
    if (job == NULL) {
        return mf_remote_tell(err, MF_ENOMEM, 0, "no memory for a job");
    }
    fill(&m, ops, n, deadline_ns);
    mf_remote_lock(dev);
    rc = start(dev, job, &m, err);
    mf_remote_unlock(dev);
    if (rc < 0) {
        mf_free(job);
        return rc;
    }
    *out = job;
    return 0;
}

static void job_unref(struct mf_npu_job *job)
{
    if (--job->refs > 0) {
        return;
    }
    mf_list_remove(&job->dev->jobs, &job->link);
    mf_free(job);
}

static void count(struct mf_npu_dev *dev, const struct mf_npu_job *job)
{
    uint64_t us = (uint64_t)(mf_remote_now_ns() - job->begun_ns) / 1000;
    unsigned i = us < 2 ? 0 : 63U - (unsigned)__builtin_clzll(us);

    switch (job->call.answer.rc) {
    case 0:
        dev->stats.jobs_ok++;
        dev->stats.latency[mf_min(i, mf_countof(dev->stats.latency) - 1)]++;
        return;
    case MF_ETIMEOUT: dev->stats.jobs_timeout++; return;
    case MF_ECANCELED: dev->stats.jobs_canceled++; return;
    default: dev->stats.jobs_failed++;
    }
}

void mf_remote_job_done(struct mf_npu_job *job)
{
    struct mf_npu_dev *dev = job->dev;

    if (job->is_canceled && job->call.answer.rc == 0) {
        job->call.answer.rc = MF_ECANCELED;
    }
    count(dev, job);
    dev->n_in_flight--;
    for (uint32_t i = 0; i < 3 * job->n_ops; i++) {
        mf_remote_mem_unref(job->mems[i]);
    }
    job_unref(job);
}

/* Until it is done, canceled or late. */
static void await(struct mf_npu_job *job)
{
    const struct timespec until = {.tv_sec = job->deadline_ns / 1000000000,
                                   .tv_nsec = job->deadline_ns % 1000000000};

    while (!job->call.is_done && !job->is_canceled &&
           mf_remote_now_ns() < job->deadline_ns) {
        (void)pthread_cond_timedwait(&job->dev->changed, &job->dev->lock, &until);
    }
}

static int result(struct mf_npu_job *job, struct mf_npu_err *err)
{
    const struct mf_npu_msg_answer *a = &job->call.answer;

    if (job->call.is_done) {
        return a->rc == 0 ? 0 : mf_remote_tell(err, a->rc, a->sys, a->text);
    }
    if (job->is_canceled) {
        return mf_remote_tell(err, MF_ECANCELED, 0, "the job was canceled");
    }
    job->dev->stats.quarantined++;
    mf_remote_doom(job->dev, MF_ETIMEOUT, "a job was not finished by its deadline");
    return mf_remote_tell(err, MF_ETIMEOUT, 0, job->dev->why.msg);
}

int mf_remote_wait(struct mf_npu_job *job, struct mf_npu_err *err)
{
    struct mf_npu_dev *dev = job->dev;
    int rc;

    mf_remote_lock(dev);
    await(job);
    rc = result(job, err);
    mf_remote_unlock(dev);
    return rc;
}

int mf_remote_cancel(struct mf_npu_job *job)
{
    struct mf_npu_msg m = {.type = MF_NPU_MSG_CANCEL, .seq = job->call.seq};

    mf_remote_lock(job->dev);
    if (!job->call.is_done && !job->is_canceled) {
        job->is_canceled = true;
        mf_remote_post(job->dev, &m);
        (void)pthread_cond_broadcast(&job->dev->changed);
    }
    mf_remote_unlock(job->dev);
    return 0;
}

void mf_remote_job_put(struct mf_npu_job *job)
{
    struct mf_npu_dev *dev;

    if (job == NULL) {
        return;
    }
    dev = job->dev;
    mf_remote_lock(dev);
    job_unref(job);
    mf_remote_unlock(dev);
}
