/* SPDX-License-Identifier: Apache-2.0 */
#include "npu/twin_in.h"

#include "base/err.h"
#include "base/mem.h"
#include "npu/canary.h"
#include "npu/clock.h"
#include "npu/pack.h"

#include <stdio.h>
#include <string.h>

#define M_MULT        256
#define K_MULT        512
#define N_MULT        64
#define M_MAX         512
#define QUEUE_DEPTH   4
#define MAX_BYTES     ((size_t)1 << 30) /* of one memory */
#define VERIFY_LIMIT  ((int64_t)30 * 1000000000)
#define NEVER_FLUSHED 0xff /* what the device reads where nothing was: NaN */

/* ---- probe, open, close ---- */

static void fill_caps(struct mf_npu_caps *c, const struct mf_npu_conf *conf,
                      const struct mf_npu_manifest *m)
{
    *c = (struct mf_npu_caps){.backend = "twin",
                              .device = "CPU twin",
                              .runtime = "memfuse",
                              .driver = "none",
                              .m_mult = M_MULT,
                              .k_mult = K_MULT,
                              .n_mult = N_MULT,
                              .m_max = M_MAX,
                              .queue_depth = conf->queue_depth,
                              .dtype_mask = 1U << MF_NPU_F32 | 1U << MF_NPU_BF16,
                              .simulated = true};
    if (c->queue_depth == 0) {
        c->queue_depth = QUEUE_DEPTH;
    }
    if (m == NULL) {
        return;
    }
    c->m_mult = m->m_mult;
    c->k_mult = m->k_mult;
    c->n_mult = m->n_mult;
    c->m_max = 0;
    for (size_t i = 0; i < m->n_shapes; i++) {
        c->m_max = mf_max(c->m_max, m->shapes[i].gemm.m);
    }
}

static bool has_dir(const struct mf_npu_conf *conf)
{
    return conf->dir != NULL && conf->dir[0] != '\0';
}

static int read_manifest(struct mf_npu_manifest *m, const struct mf_npu_conf *conf,
                         struct mf_npu_err *err)
{
    struct mf_err why = {0};
    int rc = mf_npu_manifest_open(m, conf->dir, &why);

    return rc < 0 ? mf_npu_err_set(err, rc, "%s", why.msg) : 0;
}

static int twin_probe(const struct mf_npu_conf *conf, struct mf_npu_caps *caps,
                      struct mf_npu_err *err)
{
    struct mf_npu_manifest m;
    int rc = 0;

    if (has_dir(conf)) {
        rc = read_manifest(&m, conf, err);
        if (rc == 0) {
            fill_caps(caps, conf, &m);
            mf_npu_manifest_fini(&m);
        }
    } else {
        fill_caps(caps, conf, NULL);
    }
    return rc;
}

static int init_sync(struct mf_npu_dev *dev)
{
    pthread_condattr_t attr;

    if (pthread_mutex_init(&dev->lock, NULL) != 0) {
        return MF_ENOMEM;
    }
    MF_ASSERT(pthread_condattr_init(&attr) == 0);
    MF_ASSERT(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    MF_ASSERT(pthread_cond_init(&dev->wake, &attr) == 0);
    MF_ASSERT(pthread_cond_init(&dev->done, &attr) == 0);
    MF_ASSERT(pthread_condattr_destroy(&attr) == 0);
    return 0;
}

void mf_twin_dev_free(struct mf_npu_dev *dev)
{
    struct mf_npu_plan *p;
    struct mf_link *k;

    while ((p = dev->plans) != NULL) {
        dev->plans = p->next;
        mf_free(p);
    }
    while ((k = mf_list_head(&dev->mems)) != NULL) {
        struct mf_npu_mem *mem = mf_container_of(k, struct mf_npu_mem, in_dev);

        mem->refs = 1;
        mf_twin_mem_unref(mem);
    }
    if (dev->has_manifest) {
        mf_npu_manifest_fini(&dev->manifest);
    }
    pthread_cond_destroy(&dev->wake);
    pthread_cond_destroy(&dev->done);
    pthread_mutex_destroy(&dev->lock);
    mf_free(dev);
}

static int twin_open(const struct mf_npu_conf *conf, struct mf_npu_dev **out,
                     struct mf_npu_err *err)
{
    struct mf_npu_dev *dev = mf_calloc(1, sizeof(*dev));
    int rc;

    *out = NULL;
    if (dev == NULL || init_sync(dev) < 0) {
        mf_free(dev);
        return mf_npu_err_set(err, MF_ENOMEM, "no memory for a device");
    }
    mf_list_init(&dev->line);
    mf_list_init(&dev->mems);
    rc = has_dir(conf) ? read_manifest(&dev->manifest, conf, err) : 0;
    if (rc == 0) {
        dev->has_manifest = has_dir(conf);
        dev->layout = dev->has_manifest ? dev->manifest.layout : MF_NPU_LAYOUT_PLAIN;
        fill_caps(&dev->caps, conf, dev->has_manifest ? &dev->manifest : NULL);
        dev->health.state = MF_NPU_READY;
        dev->health.since_ns = mf_npu_now_ns();
        if (pthread_create(&dev->thread, NULL, mf_twin_dispatch, dev) != 0) {
            rc = mf_npu_err_set(err, MF_ENOMEM, "no thread for a device");
        }
    }
    if (rc < 0) {
        mf_twin_dev_free(dev);
        return rc;
    }
    *out = dev;
    return 0;
}

static bool is_used(const struct mf_npu_job *job, const struct mf_npu_mem *mem)
{
    for (unsigned i = 0; job != NULL && i < job->n; i++) {
        if (job->op[i].a == mem || job->op[i].w == mem || job->op[i].c == mem) {
            return true;
        }
    }
    return false;
}

/* All but what the running job reads and writes: its thread frees that. */
static void drop_unused(struct mf_npu_dev *dev)
{
    struct mf_npu_plan *p;
    struct mf_list all;
    struct mf_link *k;

    mf_list_init(&all);
    mf_list_move(&all, &dev->mems);
    while ((p = dev->plans) != NULL) {
        dev->plans = p->next;
        mf_free(p);
    }
    while ((k = mf_list_pop_head(&all)) != NULL) {
        struct mf_npu_mem *mem = mf_container_of(k, struct mf_npu_mem, in_dev);

        mf_list_push_tail(&dev->mems, k);
        if (!is_used(dev->running, mem)) {
            mem->refs = 1;
            mf_twin_mem_unref(mem);
        }
    }
}

static void twin_caps(const struct mf_npu_dev *dev, struct mf_npu_caps *caps)
{
    *caps = dev->caps;
}

static void twin_close(struct mf_npu_dev *dev)
{
    bool is_settled;

    pthread_mutex_lock(&dev->lock);
    is_settled = mf_twin_settle(dev);
    if (!is_settled) {
        mf_twin_lose(dev, MF_ETIMEOUT, "closed while a job hung");
        drop_unused(dev);
        dev->is_left = true;
        if (!dev->is_hanging) { /* only slow, but as little finished */
            dev->is_hanging = true;
            mf_twin_hang_begins();
        }
    }
    dev->is_closing = true;
    pthread_cond_signal(&dev->wake);
    if (!is_settled) {
        (void)pthread_detach(dev->thread);
    }
    pthread_mutex_unlock(&dev->lock);
    if (is_settled) {
        (void)pthread_join(dev->thread, NULL);
        mf_twin_dev_free(dev);
    }
}

/* ---- memory ---- */

void mf_twin_mem_unref(struct mf_npu_mem *mem)
{
    if (--mem->refs == 0) {
        mf_list_remove(&mem->dev->mems, &mem->in_dev);
        mf_free(mem->host);
        mf_free(mem->device);
        mf_free(mem);
    }
}

static int twin_mem_new(struct mf_npu_dev *dev, enum mf_npu_mem_kind kind, size_t bytes,
                        struct mf_npu_mem **out, struct mf_npu_err *err)
{
    struct mf_npu_mem *mem;

    (void)kind; /* all the same here */
    *out = NULL;
    if (bytes == 0 || bytes > MAX_BYTES) {
        return mf_npu_err_set(err, MF_EINVAL, "a memory of %zu bytes; 1 to %zu", bytes,
                              MAX_BYTES);
    }
    mem = mf_calloc(1, sizeof(*mem));
    if (mem != NULL) {
        mem->host = mf_calloc(1, bytes);
        mem->device = mf_malloc(bytes);
    }
    if (mem == NULL || mem->host == NULL || mem->device == NULL) {
        if (mem != NULL) {
            mf_free(mem->host);
            mf_free(mem->device);
        }
        mf_free(mem);
        return mf_npu_err_set(err, MF_ENOMEM, "no memory of %zu bytes", bytes);
    }
    memset(mem->device, NEVER_FLUSHED, bytes);
    mem->dev = dev;
    mem->bytes = bytes;
    mem->refs = 1;
    pthread_mutex_lock(&dev->lock);
    mf_list_push_tail(&dev->mems, &mem->in_dev);
    pthread_mutex_unlock(&dev->lock);
    *out = mem;
    return 0;
}

static void *twin_mem_map(struct mf_npu_mem *mem)
{
    return mem->host;
}

static bool is_within(const struct mf_npu_mem *mem, size_t at, size_t n)
{
    return at <= mem->bytes && n <= mem->bytes - at;
}

static int twin_mem_flush(struct mf_npu_mem *mem, size_t at, size_t n)
{
    if (!is_within(mem, at, n)) {
        return MF_EINVAL;
    }
    pthread_mutex_lock(&mem->dev->lock);
    memcpy(mem->device + at, mem->host + at, n);
    pthread_mutex_unlock(&mem->dev->lock);
    return 0;
}

static int twin_mem_inval(struct mf_npu_mem *mem, size_t at, size_t n)
{
    if (!is_within(mem, at, n)) {
        return MF_EINVAL;
    }
    pthread_mutex_lock(&mem->dev->lock);
    memcpy(mem->host + at, mem->device + at, n);
    pthread_mutex_unlock(&mem->dev->lock);
    return 0;
}

static void twin_mem_put(struct mf_npu_mem *mem)
{
    struct mf_npu_dev *dev = mem->dev;

    pthread_mutex_lock(&dev->lock);
    mf_twin_mem_unref(mem);
    pthread_mutex_unlock(&dev->lock);
}

static int twin_weight_pack(struct mf_npu_dev *dev, const struct mf_npu_gemm *g,
                            const float *w, size_t ld, struct mf_npu_mem **out,
                            struct mf_npu_err *err)
{
    size_t bytes = (size_t)g->k * g->n * sizeof(uint16_t);
    int rc = twin_mem_new(dev, MF_NPU_MEM_WEIGHT, bytes, out, err);

    if (rc == 0) {
        MF_ASSERT(*out != NULL);
        mf_npu_pack_weight((uint16_t *)(void *)(*out)->host, dev->layout, g->k, g->n, w,
                           ld);
        rc = twin_mem_flush(*out, 0, bytes);
    }
    return rc;
}

/* ---- plans ---- */

static bool is_same(const struct mf_npu_gemm *a, const struct mf_npu_gemm *b)
{
    return a->m == b->m && a->k == b->k && a->n == b->n && a->a == b->a &&
           a->b == b->b && a->c == b->c && a->epi == b->epi;
}

static bool has_program(const struct mf_npu_dev *dev, const struct mf_npu_gemm *g)
{
    const struct mf_npu_caps *c = &dev->caps;

    if (g->a != MF_NPU_BF16 || g->b != MF_NPU_BF16 || g->c != MF_NPU_F32) {
        return false;
    }
    if (dev->has_manifest) {
        return mf_npu_manifest_find(&dev->manifest, g) != NULL;
    }
    return g->m > 0 && g->k > 0 && g->n > 0 && g->m % c->m_mult == 0 &&
           g->k % c->k_mult == 0 && g->n % c->n_mult == 0 && g->m <= c->m_max;
}

static struct mf_npu_plan *plan_find(struct mf_npu_dev *dev,
                                     const struct mf_npu_gemm *g)
{
    struct mf_npu_plan *p = dev->plans;

    while (p != NULL && !is_same(&p->gemm, g)) {
        p = p->next;
    }
    return p;
}

static int twin_plan(struct mf_npu_dev *dev, const struct mf_npu_gemm *g,
                     struct mf_npu_plan **out, struct mf_npu_err *err)
{
    struct mf_npu_plan *p;

    *out = NULL;
    if (!has_program(dev, g)) {
        return mf_npu_err_set(err, MF_EUNPROCESSABLE, "no program for %ux%ux%u", g->m,
                              g->k, g->n);
    }
    pthread_mutex_lock(&dev->lock);
    p = plan_find(dev, g);
    if (p == NULL) {
        p = mf_calloc(1, sizeof(*p));
        if (p != NULL) {
            p->gemm = *g;
            p->next = dev->plans;
            dev->plans = p;
        }
    }
    pthread_mutex_unlock(&dev->lock);
    *out = p;
    return p != NULL ? 0 : mf_npu_err_set(err, MF_ENOMEM, "no memory for a plan");
}

/* ---- how it is ---- */

static void note_verdict(struct mf_npu_dev *dev, int rc,
                         const struct mf_npu_gauge *gauge, const struct mf_npu_err *why)
{
    pthread_mutex_lock(&dev->lock);
    dev->stats.verify_runs++;
    dev->health.last_cosine = mf_npu_gauge_cosine(gauge);
    dev->health.max_abs_err = gauge->max_abs_err;
    dev->caps.verified = rc == 0;
    if (rc == MF_ECORRUPT) {
        dev->stats.verify_bad++;
        mf_twin_lose(dev, rc, why->text);
    }
    pthread_mutex_unlock(&dev->lock);
}

/* Plans are only put before the head: those of the list stay as they are. */
static const struct mf_npu_plan *first_plan(struct mf_npu_dev *dev)
{
    const struct mf_npu_plan *p;

    pthread_mutex_lock(&dev->lock);
    p = dev->plans;
    pthread_mutex_unlock(&dev->lock);
    return p;
}

static void twin_health(const struct mf_npu_dev *dev, struct mf_npu_health *out)
{
    pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&dev->lock;

    pthread_mutex_lock(lock);
    *out = dev->health;
    pthread_mutex_unlock(lock);
}

/* Of every shape of the manifest, or of those that were asked for. */
static int twin_verify(struct mf_npu_dev *dev, struct mf_npu_health *out)
{
    struct mf_npu_canary_of of = {mf_npu_twin(), dev, VERIFY_LIMIT};
    struct mf_npu_gauge gauge = {0};
    struct mf_npu_err why = {0};
    int rc = 0;

    if (dev->has_manifest) {
        for (size_t i = 0; rc == 0 && i < dev->manifest.n_shapes; i++) {
            rc = mf_npu_canary(&of, &dev->manifest.shapes[i].gemm, &gauge, &why);
        }
    } else {
        for (const struct mf_npu_plan *p = first_plan(dev); rc == 0 && p != NULL;
             p = p->next) {
            rc = mf_npu_canary(&of, &p->gemm, &gauge, &why);
        }
    }
    note_verdict(dev, rc, &gauge, &why);
    twin_health(dev, out);
    return rc;
}

static void twin_stats(const struct mf_npu_dev *dev, struct mf_npu_stats *out)
{
    pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&dev->lock;

    pthread_mutex_lock(lock);
    *out = dev->stats;
    out->in_flight = dev->running != NULL ? 1 : 0;
    out->queued = (uint32_t)dev->n_queued;
    pthread_mutex_unlock(lock);
}

const struct mf_npu_backend *mf_npu_twin(void)
{
    static const struct mf_npu_backend twin = {
        .abi = MF_NPU_ABI,
        .name = "twin",
        .probe = twin_probe,
        .open = twin_open,
        .caps = twin_caps,
        .close = twin_close,
        .mem_new = twin_mem_new,
        .mem_map = twin_mem_map,
        .mem_flush = twin_mem_flush,
        .mem_inval = twin_mem_inval,
        .mem_put = twin_mem_put,
        .weight_pack = twin_weight_pack,
        .plan = twin_plan,
        .submit = mf_twin_submit,
        .wait = mf_twin_wait,
        .cancel = mf_twin_cancel,
        .job_put = mf_twin_job_put,
        .verify = twin_verify,
        .health = twin_health,
        .stats = twin_stats,
    };

    return &twin;
}
