/* SPDX-License-Identifier: Apache-2.0 */
#include "npu/remote_priv.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static struct mf_npu_remote_conf remote_conf = {.inner = "xrt"};

int64_t mf_remote_now_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Readers hold a device as const; its lock and counters are not part of that. */
static struct mf_npu_dev *unconst(const struct mf_npu_dev *dev)
{
    return (struct mf_npu_dev *)(uintptr_t)dev;
}

void mf_remote_lock(const struct mf_npu_dev *dev)
{
    (void)pthread_mutex_lock(&unconst(dev)->lock);
}

void mf_remote_unlock(const struct mf_npu_dev *dev)
{
    (void)pthread_mutex_unlock(&unconst(dev)->lock);
}

int mf_remote_tell(struct mf_npu_err *to, int code, int sys, const char *text)
{
    if (to != NULL) {
        to->code = code;
        to->sys = sys;
        (void)snprintf(to->text, sizeof(to->text), "%s", text);
    }
    return code;
}

static int tell_errno(struct mf_npu_err *err, int code, const char *what)
{
    char text[160];
    int e = errno;

    (void)snprintf(text, sizeof(text), "%s: %s", what, strerror(e));
    return mf_remote_tell(err, code, e, text);
}

/* Nobody can make it shorter: a page that is gone would be a SIGBUS here. */
static int make_shared(struct mf_npu_dev *dev, struct mf_npu_err *err)
{
    void *base;

    dev->memfd = memfd_create("memfuse-npu", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (dev->memfd < 0) {
        return tell_errno(err, MF_ENOMEM, "no memory to share with a worker");
    }
    if (ftruncate(dev->memfd, (off_t)MF_NPU_WIRE_SHARED) < 0 ||
        fcntl(dev->memfd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
        goto close_fd;
    }
    base = mmap(NULL, MF_NPU_WIRE_SHARED, PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_NORESERVE, dev->memfd, 0);
    if (base == MAP_FAILED) {
        goto close_fd;
    }
    dev->base = base;
    return 0;

close_fd:
    (void)tell_errno(err, MF_ENOMEM, "no memory to share with a worker");
    (void)close(dev->memfd);
    return MF_ENOMEM;
}

static bool copy_text(char *to, size_t cap, const char *from)
{
    size_t n = from != NULL ? strlen(from) : 0;

    if (n >= cap) {
        return false;
    }
    memcpy(to, from != NULL ? from : "", n + 1);
    return true;
}

static int take_conf(struct mf_npu_dev *dev, const struct mf_npu_conf *conf,
                     struct mf_npu_err *err)
{
    const struct mf_npu_remote_conf *r = &remote_conf;
    const char *program = r->program != NULL ? r->program : "/proc/self/exe";

    if (!copy_text(dev->what.inner, sizeof(dev->what.inner), r->inner) ||
        !copy_text(dev->what.dir, sizeof(dev->what.dir), conf->dir) ||
        !copy_text(dev->what.module, sizeof(dev->what.module), conf->module) ||
        !copy_text(dev->program, sizeof(dev->program), program)) {
        return mf_remote_tell(err, MF_EINVAL, 0,
                              "the folders of the NPU: less than 1024 bytes each");
    }
    dev->what.index = conf->index;
    dev->what.queue_depth = conf->queue_depth;
    dev->first_backoff_ms = r->first_backoff_ms != 0 ? r->first_backoff_ms : 100;
    dev->max_backoff_ms = r->max_backoff_ms != 0 ? r->max_backoff_ms : 30000;
    dev->answer_ms = r->answer_ms != 0 ? r->answer_ms : 5000;
    return 0;
}

static void make_locks(struct mf_npu_dev *dev)
{
    pthread_condattr_t at;

    (void)pthread_mutex_init(&dev->lock, NULL);
    (void)pthread_condattr_init(&at);
    (void)pthread_condattr_setclock(&at, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&dev->changed, &at);
    (void)pthread_condattr_destroy(&at);
}

static struct mf_npu_dev *dev_new(void)
{
    struct mf_npu_dev *dev = mf_calloc(1, sizeof(*dev));

    if (dev == NULL) {
        return NULL;
    }
    dev->child.sock = -1;
    dev->next_seq = 1;
    mf_list_init(&dev->calls);
    mf_list_init(&dev->spans);
    mf_list_init(&dev->mems);
    mf_list_init(&dev->dying);
    mf_list_init(&dev->jobs);
    dev->health.state = MF_NPU_PROBING;
    dev->health.since_ns = mf_remote_now_ns();
    make_locks(dev);
    return dev;
}

static void dev_free(struct mf_npu_dev *dev)
{
    (void)pthread_cond_destroy(&dev->changed);
    (void)pthread_mutex_destroy(&dev->lock);
    mf_free(dev);
}

static void free_mems(struct mf_list *mems)
{
    while (!mf_list_is_empty(mems)) {
        struct mf_link *k = mf_list_pop_head(mems);

        mf_remote_mem_free(mf_container_of(k, struct mf_npu_mem, link));
    }
}

/* The reader is gone, and with it the worker. */
static void free_all(struct mf_npu_dev *dev)
{
    while (!mf_list_is_empty(&dev->jobs)) {
        struct mf_link *k = mf_list_pop_head(&dev->jobs);

        mf_free(mf_container_of(k, struct mf_npu_job, link));
    }
    free_mems(&dev->mems);
    free_mems(&dev->dying);
    for (size_t i = 0; i < MF_NPU_WIRE_PLANS; i++) {
        mf_free(dev->plans[i]);
    }
    (void)munmap(dev->base, MF_NPU_WIRE_SHARED);
    (void)close(dev->memfd);
    (void)close(dev->wake);
    dev_free(dev);
}

static int start_reader(struct mf_npu_dev *dev, struct mf_npu_err *err)
{
    int rc;

    dev->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (dev->wake < 0) {
        return tell_errno(err, MF_ENOMEM, "no eventfd");
    }
    rc = make_shared(dev, err);
    if (rc < 0) {
        goto close_wake;
    }
    errno = pthread_create(&dev->reader, NULL, mf_remote_reader, dev);
    if (errno != 0) {
        rc = tell_errno(err, MF_ENOMEM, "no thread for the worker");
        goto free_shared;
    }
    return 0;

free_shared:
    (void)munmap(dev->base, MF_NPU_WIRE_SHARED);
    (void)close(dev->memfd);
close_wake:
    (void)close(dev->wake);
    return rc;
}

/* Of the first worker; another one is tried only for a device that was open. */
static int await_first(struct mf_npu_dev *dev, struct mf_npu_err *err)
{
    int rc;

    mf_remote_lock(dev);
    while (!dev->has_tried) {
        (void)pthread_cond_wait(&dev->changed, &dev->lock);
    }
    rc = dev->first_rc;
    if (rc < 0) {
        (void)mf_remote_tell(err, rc, 0, dev->health.last.text);
    }
    mf_remote_unlock(dev);
    return rc;
}

static int begin(const struct mf_npu_conf *conf, bool is_probe, struct mf_npu_dev **out,
                 struct mf_npu_err *err)
{
    struct mf_npu_dev *dev = dev_new();
    int rc;

    *out = NULL;
    if (dev == NULL) {
        return mf_remote_tell(err, MF_ENOMEM, 0, "no memory for a device");
    }
    dev->is_probe = is_probe;
    rc = take_conf(dev, conf, err);
    if (rc == 0) {
        rc = start_reader(dev, err);
    }
    if (rc < 0) {
        dev_free(dev);
        return rc;
    }
    rc = await_first(dev, err);
    if (rc < 0) {
        (void)pthread_join(dev->reader, NULL);
        free_all(dev);
        return rc;
    }
    *out = dev;
    return 0;
}

static int remote_open(const struct mf_npu_conf *conf, struct mf_npu_dev **out,
                       struct mf_npu_err *err)
{
    return begin(conf, false, out, err);
}

static int remote_probe(const struct mf_npu_conf *conf, struct mf_npu_caps *caps,
                        struct mf_npu_err *err)
{
    struct mf_npu_dev *dev;
    int rc = begin(conf, true, &dev, err);

    if (rc == 0) {
        (void)pthread_join(dev->reader, NULL);
        *caps = dev->caps;
        free_all(dev);
    }
    return rc;
}

static void remote_caps(const struct mf_npu_dev *dev, struct mf_npu_caps *caps)
{
    mf_remote_lock(dev);
    *caps = dev->caps;
    mf_remote_unlock(dev);
}

static int64_t last_deadline(const struct mf_npu_dev *dev)
{
    int64_t last = 0;

    mf_list_each (&dev->jobs, k) {
        const struct mf_npu_job *job = mf_container_of(k, struct mf_npu_job, link);

        last = job->call.is_done ? last : mf_max(last, job->deadline_ns);
    }
    return last;
}

static void remote_close(struct mf_npu_dev *dev)
{
    int64_t until;

    if (dev == NULL) {
        return;
    }
    mf_remote_lock(dev);
    until = last_deadline(dev);
    while (dev->n_in_flight > 0 && mf_remote_now_ns() < until) {
        const struct timespec t = {.tv_sec = until / 1000000000,
                                   .tv_nsec = until % 1000000000};

        (void)pthread_cond_timedwait(&dev->changed, &dev->lock, &t);
    }
    dev->is_closing = true;
    mf_remote_wake(dev);
    mf_remote_unlock(dev);
    (void)pthread_join(dev->reader, NULL);
    free_all(dev);
}

static int remote_verify(struct mf_npu_dev *dev, struct mf_npu_health *out)
{
    struct mf_npu_msg m = {.type = MF_NPU_MSG_VERIFY};
    struct mf_remote_call call = {0};
    struct mf_npu_err err;
    int rc;

    mf_remote_lock(dev);
    rc = mf_remote_ask(dev, &m, &call, &err);
    if (call.is_done && rc != MF_EUNAVAILABLE) {
        dev->health.last_cosine = call.answer.last_cosine;
        dev->health.max_abs_err = call.answer.max_abs_err;
        dev->stats.verify_runs++;
        dev->stats.verify_bad += rc == MF_ECORRUPT;
        dev->caps = call.answer.caps;
    }
    *out = dev->health;
    if (rc < 0) {
        out->last = err;
    }
    mf_remote_unlock(dev);
    return rc;
}

static void remote_health(const struct mf_npu_dev *dev, struct mf_npu_health *out)
{
    mf_remote_lock(dev);
    *out = dev->health;
    if (dev->is_doomed && dev->health.state != MF_NPU_LOST) {
        out->state = MF_NPU_LOST; /* its reader is about to say so */
        (void)mf_remote_tell(&out->last, dev->why.code, 0, dev->why.msg);
    }
    mf_remote_unlock(dev);
}

static void remote_stats(const struct mf_npu_dev *dev, struct mf_npu_stats *out)
{
    mf_remote_lock(dev);
    *out = dev->stats;
    out->busy_ns = dev->busy_ns + dev->last_busy_ns;
    out->queue_ns = dev->queue_ns + dev->last_queue_ns;
    out->in_flight = dev->n_in_flight;
    mf_remote_unlock(dev);
}

int mf_npu_remote_pid(const struct mf_npu_dev *dev)
{
    int pid;

    mf_remote_lock(dev);
    pid = (int)dev->child.pid;
    mf_remote_unlock(dev);
    return pid;
}

static const struct mf_npu_backend remote_backend = {
    .abi = MF_NPU_ABI,
    .name = "remote",
    .restores = true,
    .probe = remote_probe,
    .open = remote_open,
    .caps = remote_caps,
    .close = remote_close,
    .mem_new = mf_remote_mem_new,
    .mem_map = mf_remote_mem_map,
    .mem_flush = mf_remote_mem_flush,
    .mem_inval = mf_remote_mem_inval,
    .mem_put = mf_remote_mem_put,
    .weight_pack = mf_remote_weight_pack,
    .plan = mf_remote_plan,
    .submit = mf_remote_submit,
    .wait = mf_remote_wait,
    .cancel = mf_remote_cancel,
    .job_put = mf_remote_job_put,
    .verify = remote_verify,
    .health = remote_health,
    .stats = remote_stats,
};

const struct mf_npu_backend *mf_npu_remote(const struct mf_npu_remote_conf *conf)
{
    remote_conf = *conf;
    return &remote_backend;
}
