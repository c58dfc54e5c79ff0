/* SPDX-License-Identifier: Apache-2.0 */
#include "npu/xrt/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DEFAULT_DEPTH 4U
#define EMULATION     "XCL_EMULATION_MODE"
#define TEAR_DOWN_NS  5000000000LL /* then XRT's own destructors are taken for stuck */

/* Devices with a run that never ended. They stay reachable here until the process
 * ends: freeing any of it would make XRT abort, or wait for ever. */
static pthread_mutex_t shelf_lock = PTHREAD_MUTEX_INITIALIZER;
static struct mf_list shelf;

size_t mf_xrt_dtype_size(enum mf_npu_dtype t)
{
    switch (t) {
    case MF_NPU_F32: return 4;
    case MF_NPU_BF16: return 2;
    case MF_NPU_I8: break;
    }
    return 1;
}

static const char *driver_name(void)
{
    const char *mode = getenv(EMULATION);

    if (mode != NULL) {
        return mode;
    }
    return access("/sys/module/amdxdna", F_OK) == 0 ? "amdxdna" : "";
}

static void caps_fill(struct mf_npu_dev *dev, const struct mf_npu_conf *conf)
{
    const struct mf_npu_manifest *m = &dev->manifest;
    struct mf_npu_caps *caps = &dev->caps;

    (void)snprintf(caps->backend, sizeof(caps->backend), "xrt");
    (void)snprintf(caps->runtime, sizeof(caps->runtime), "XRT %s", mf_xrt_generation());
    (void)snprintf(caps->driver, sizeof(caps->driver), "%s", driver_name());
    caps->m_mult = m->m_mult;
    caps->k_mult = m->k_mult;
    caps->n_mult = m->n_mult;
    caps->queue_depth = conf->queue_depth == 0 ? DEFAULT_DEPTH : conf->queue_depth;
    for (size_t i = 0; i < m->n_shapes; i++) {
        const struct mf_npu_gemm *g = &m->shapes[i].gemm;

        caps->m_max = mf_max(caps->m_max, g->m);
        caps->dtype_mask |= 1U << g->a | 1U << g->b | 1U << g->c;
    }
    /* An XRT without contexts drives no NPU; an emulation says so in its manifest. */
    caps->simulated = mf_xrt_is_legacy() || m->is_emulated || getenv(EMULATION) != NULL;
}

static int locks_init(struct mf_npu_dev *dev)
{
    pthread_condattr_t attr;
    int rc = pthread_condattr_init(&attr);

    if (rc != 0) {
        return rc;
    }
    rc = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    rc = rc != 0 ? rc : pthread_mutex_init(&dev->lock, NULL);
    rc = rc != 0 ? rc : pthread_cond_init(&dev->work, &attr);
    rc = rc != 0 ? rc : pthread_cond_init(&dev->news, &attr);
    (void)pthread_condattr_destroy(&attr);
    return rc;
}

/* Its manifest is read; nothing of XRT was called yet. */
static int dev_new(const struct mf_npu_conf *conf, struct mf_npu_dev **out,
                   struct mf_npu_err *err)
{
    struct mf_npu_dev *dev = mf_calloc(1, sizeof(*dev));
    struct mf_err why = {0};
    int rc;

    if (dev == NULL || locks_init(dev) != 0) {
        mf_free(dev);
        (void)mf_npu_err_set(err, MF_ENOMEM, "out of memory for the device");
        return MF_ENOMEM;
    }
    mf_list_init(&dev->calls);
    mf_list_init(&dev->line);
    mf_list_init(&dev->mems);
    mf_list_init(&dev->dead);
    mf_list_init(&dev->plans);
    mf_list_init(&dev->quarantine);
    dev->index = conf->index;
    dev->health.state = MF_NPU_PROBING;
    dev->health.since_ns = mf_npu_now_ns();
    rc = mf_npu_manifest_open(&dev->manifest, conf->dir, &why);
    if (rc < 0) {
        mf_free(dev);
        (void)mf_npu_err_set(err, rc, "%s", why.msg);
        return rc;
    }
    caps_fill(dev, conf);
    *out = dev;
    return 0;
}

static void dev_free(struct mf_npu_dev *dev)
{
    (void)pthread_cond_destroy(&dev->news);
    (void)pthread_cond_destroy(&dev->work);
    (void)pthread_mutex_destroy(&dev->lock);
    mf_npu_manifest_fini(&dev->manifest);
    mf_free(dev);
}

static int call_find(struct mf_npu_dev *dev, MF_UNUSED void *arg,
                     struct mf_npu_err *err)
{
    int rc = mf_xrt_open(dev->index, &dev->hw, err);

    if (rc < 0) {
        return rc;
    }
    mf_xrt_name(dev->hw, dev->caps.device, sizeof(dev->caps.device));
    return 0;
}

static int call_load(struct mf_npu_dev *dev, MF_UNUSED void *arg,
                     struct mf_npu_err *err)
{
    struct mf_err why = {0};
    uint8_t *bytes;
    size_t n;
    int rc =
        mf_npu_manifest_read(&dev->manifest, dev->manifest.xclbin, &bytes, &n, &why);

    if (rc < 0) {
        return mf_npu_err_set(err, rc, "%s", why.msg);
    }
    rc = mf_xrt_load(dev->hw, bytes, n, dev->manifest.kernel, err);
    mf_free(bytes);
    return rc;
}

static int dev_start(const struct mf_npu_conf *conf, bool is_probe,
                     struct mf_npu_dev **out, struct mf_npu_err *err)
{
    struct mf_npu_dev *dev;
    int rc = dev_new(conf, &dev, err);

    if (rc < 0) {
        return rc;
    }
    rc = mf_xrt_line_start(dev, err);
    if (rc < 0) {
        dev_free(dev);
        return rc;
    }
    rc = mf_xrt_do(dev, call_find, NULL, err);
    if (rc == 0 && !is_probe) {
        rc = mf_xrt_do(dev, call_load, NULL, err);
    }
    if (rc < 0) {
        mf_xrt_dev_close(dev);
        return rc;
    }
    *out = dev;
    return 0;
}

int mf_xrt_probe(const struct mf_npu_conf *conf, struct mf_npu_caps *caps,
                 struct mf_npu_err *err)
{
    struct mf_npu_dev *dev;
    int rc = dev_start(conf, true, &dev, err);

    if (rc < 0) {
        return rc;
    }
    mf_xrt_caps(dev, caps);
    mf_xrt_dev_close(dev);
    return 0;
}

int mf_xrt_dev_open(const struct mf_npu_conf *conf, struct mf_npu_dev **out,
                    struct mf_npu_err *err)
{
    int rc = dev_start(conf, false, out, err);

    if (rc == 0) {
        pthread_mutex_lock(&(*out)->lock);
        (*out)->health.state = MF_NPU_READY;
        (*out)->health.since_ns = mf_npu_now_ns();
        pthread_mutex_unlock(&(*out)->lock);
    }
    return rc;
}

static void keep_aside(struct mf_npu_dev *dev)
{
    pthread_mutex_lock(&shelf_lock);
    if (shelf.head.next == NULL) {
        mf_list_init(&shelf);
    }
    mf_list_push_tail(&shelf, &dev->shelf);
    pthread_mutex_unlock(&shelf_lock);
}

void mf_xrt_dev_close(struct mf_npu_dev *dev)
{
    int64_t until_ns;
    struct timespec until;
    bool is_over, is_stuck;

    pthread_mutex_lock(&dev->lock);
    dev->is_closing = true;
    pthread_cond_signal(&dev->work);
    until_ns = dev->is_stuck
                   ? mf_npu_now_ns() + MF_XRT_SLACK_NS
                   : mf_max(dev->last_deadline_ns, mf_npu_now_ns()) + TEAR_DOWN_NS;
    until = (struct timespec){.tv_sec = (time_t)(until_ns / 1000000000),
                              .tv_nsec = (long)(until_ns % 1000000000)};
    while (!dev->has_ended && mf_npu_now_ns() < until_ns) {
        (void)pthread_cond_timedwait(&dev->news, &dev->lock, &until);
    }
    is_over = dev->has_ended;
    is_stuck = dev->is_stuck;
    if (!is_over) { /* inside XRT: should it come back, it must not touch anything */
        dev->is_stuck = true;
    }
    pthread_mutex_unlock(&dev->lock);
    if (is_over) {
        (void)pthread_join(dev->thread, NULL);
    } else {
        (void)pthread_detach(dev->thread);
    }
    if (is_over && !is_stuck) {
        dev_free(dev);
    } else {
        keep_aside(dev);
    }
}

/* The table's readers take const; the lock is no part of what they read. */
static struct mf_npu_dev *unlocked(const struct mf_npu_dev *dev)
{
    return (struct mf_npu_dev *)(uintptr_t)dev;
}

void mf_xrt_caps(const struct mf_npu_dev *dev, struct mf_npu_caps *caps)
{
    pthread_mutex_lock(&unlocked(dev)->lock);
    *caps = dev->caps;
    pthread_mutex_unlock(&unlocked(dev)->lock);
}

void mf_xrt_health(const struct mf_npu_dev *dev, struct mf_npu_health *out)
{
    pthread_mutex_lock(&unlocked(dev)->lock);
    *out = dev->health;
    pthread_mutex_unlock(&unlocked(dev)->lock);
}

void mf_xrt_stats(const struct mf_npu_dev *dev, struct mf_npu_stats *out)
{
    pthread_mutex_lock(&unlocked(dev)->lock);
    *out = dev->stats;
    out->in_flight = dev->running != NULL;
    out->queued = (uint32_t)dev->line.n;
    pthread_mutex_unlock(&unlocked(dev)->lock);
}
