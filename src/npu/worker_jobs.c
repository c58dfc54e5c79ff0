/* SPDX-License-Identifier: Apache-2.0 */
#include "npu/worker_priv.h"

#include "base/mem.h"
#include "npu/canary.h"

#include <string.h>

struct job_result { /* what goes back to the shared memory */
    const uint8_t *from;
    uint8_t *to;
    size_t bytes;
};

struct job {
    struct mf_link link;
    uint64_t seq;
    struct mf_npu_job *job;
    bool is_canceled;
    uint32_t n;
    struct job_result out[];
};

static bool fits(const struct mf_worker_mem *mem, uint64_t at, uint64_t bytes)
{
    return at <= mem->bytes && bytes <= mem->bytes - at;
}

/* Its own thread may be reading still what a job left in its memories. */
static bool is_lost(const struct mf_worker *w)
{
    struct mf_npu_health h = {0};

    w->be->health(w->dev, &h);
    return h.state == MF_NPU_LOST;
}

/* One run as the inner device wants it. */
static int take_op(struct mf_worker *w, const struct mf_npu_msg_op *m,
                   struct mf_npu_op *op, struct job_result *out)
{
    const struct mf_worker_mem *a = mf_worker_mem(w, m->a), *c = mf_worker_mem(w, m->c);
    const struct mf_worker_mem *weight = mf_worker_mem(w, m->w);
    const struct mf_worker_plan *p = &w->plans[m->plan];
    uint64_t in_bytes, out_bytes;

    if (a == NULL || c == NULL || weight == NULL || p->plan == NULL ||
        m->rows > p->gemm.m) {
        return MF_EINVAL;
    }
    in_bytes = (uint64_t)m->rows * p->gemm.k * mf_npu_dtype_bytes(p->gemm.a);
    out_bytes = (uint64_t)m->rows * p->gemm.n * mf_npu_dtype_bytes(p->gemm.c);
    if (!fits(a, m->a_at, in_bytes) || !fits(c, m->c_at, out_bytes)) {
        return MF_EINVAL;
    }
    *op = (struct mf_npu_op){p->plan, a->mem,  weight->mem, c->mem,
                             m->a_at, m->c_at, m->rows};
    *out = (struct job_result){(const uint8_t *)w->be->mem_map(c->mem) + m->c_at,
                               w->base + c->at + m->c_at, out_bytes};
    return 0;
}

/* A run's rows of A, to where the inner device reads them. */
static void copy_in(struct mf_worker *w, const struct mf_npu_msg_op *m)
{
    const struct mf_worker_mem *a = mf_worker_mem(w, m->a);
    const struct mf_npu_gemm *g = &w->plans[m->plan].gemm;

    memcpy((uint8_t *)w->be->mem_map(a->mem) + m->a_at, w->base + a->at + m->a_at,
           (uint64_t)m->rows * g->k * mf_npu_dtype_bytes(g->a));
}

static int begin(struct mf_worker *w, const struct mf_npu_msg *m, struct job *job,
                 struct mf_npu_err *err)
{
    const struct mf_npu_msg_submit *s = &m->u.submit;
    struct mf_npu_op ops[MF_NPU_WIRE_OPS];
    bool is_refused = is_lost(w); /* by submit, in its own words */

    for (uint32_t i = 0; i < s->n; i++) {
        if (take_op(w, &s->ops[i], &ops[i], &job->out[i]) < 0) {
            return mf_npu_err_set(err, MF_EINVAL, "run %u names what is not there", i);
        }
        if (!is_refused) {
            copy_in(w, &s->ops[i]);
        }
    }
    job->seq = m->seq;
    job->n = s->n;
    return w->be->submit(w->dev, ops, s->n, s->deadline_ns, &job->job, err);
}

void mf_worker_submit(struct mf_worker *w, const struct mf_npu_msg *m)
{
    struct mf_npu_err err = {0};
    struct job *job = mf_calloc(1, sizeof(*job) + m->u.submit.n * sizeof(job->out[0]));
    int rc = MF_ENOMEM;

    if (job != NULL) {
        rc = begin(w, m, job, &err);
    }
    if (rc < 0) {
        mf_free(job);
        mf_worker_answer(w, m->seq, m->type, rc, &err);
        return;
    }
    (void)pthread_mutex_lock(&w->lock);
    mf_list_push_tail(&w->jobs, &job->link);
    (void)pthread_cond_signal(&w->changed);
    (void)pthread_mutex_unlock(&w->lock);
}

void mf_worker_cancel(struct mf_worker *w, uint64_t seq)
{
    (void)pthread_mutex_lock(&w->lock);
    mf_list_each (&w->jobs, k) {
        struct job *job = mf_container_of(k, struct job, link);

        if (job->seq == seq && !job->is_canceled) {
            job->is_canceled = true;
            (void)w->be->cancel(job->job); /* too late is no fault */
        }
    }
    (void)pthread_mutex_unlock(&w->lock);
}

/* The first one in line, which is the first to end; NULL: none will come. */
static struct job *next(struct mf_worker *w)
{
    struct mf_link *k;

    (void)pthread_mutex_lock(&w->lock);
    while (mf_list_is_empty(&w->jobs) && !w->is_ending) {
        (void)pthread_cond_wait(&w->changed, &w->lock);
    }
    k = mf_list_head(&w->jobs);
    (void)pthread_mutex_unlock(&w->lock);
    return k != NULL ? mf_container_of(k, struct job, link) : NULL;
}

static void finish(struct mf_worker *w, struct job *job)
{
    struct mf_npu_err err = {0};
    int rc = w->be->wait(job->job, &err);

    (void)pthread_mutex_lock(&w->lock);
    mf_list_remove(&w->jobs, &job->link);
    (void)pthread_mutex_unlock(&w->lock);
    if (rc == 0 && job->is_canceled) {
        rc = MF_ECANCELED;
    }
    for (uint32_t i = 0; i < job->n && rc == 0; i++) {
        memcpy(job->out[i].to, job->out[i].from, job->out[i].bytes);
    }
    w->be->job_put(job->job);
    mf_worker_answer(w, job->seq, MF_NPU_MSG_SUBMIT, rc, &err);
    mf_free(job);
}

static void *wait_for_jobs(void *arg)
{
    struct mf_worker *w = arg;
    struct job *job;

    for (job = next(w); job != NULL; job = next(w)) {
        finish(w, job);
    }
    return NULL;
}

int mf_worker_jobs_start(struct mf_worker *w)
{
    return pthread_create(&w->waiter, NULL, wait_for_jobs, w) == 0 ? 0 : MF_ENOMEM;
}

void mf_worker_jobs_stop(struct mf_worker *w)
{
    (void)pthread_mutex_lock(&w->lock);
    w->is_ending = true;
    (void)pthread_cond_signal(&w->changed);
    (void)pthread_mutex_unlock(&w->lock);
    (void)pthread_join(w->waiter, NULL);
}
