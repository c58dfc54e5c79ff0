/* SPDX-License-Identifier: Apache-2.0 */
#include "npu/offload.h"

#include "base/log.h"
#include "base/mem.h"
#include "npu/canary.h"
#include "npu/clock.h"
#include "npu/offload_in.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define DEADLINE_MS      2000
#define FIRST_BACKOFF_MS 1000
#define MAX_BACKOFF_MS   60000
#define MAX_US           1e12 /* longer: not measured */
#define MAX_FAILED       8    /* jobs in a row: then it is lost */
#define MEASURE_TRIES    3
#define AWAIT_NS         3000000000 /* between them, for one that is away */

/* ---- the verdict; with the lock held ---- */

static void set_state(struct mf_npu_offload *o, enum mf_npu_state state)
{
    o->state = state;
    o->since_ns = mf_npu_now_ns();
}

static uint64_t now_ms(void)
{
    return (uint64_t)mf_npu_now_ns() / 1000000;
}

static uint32_t chance(void)
{
    return (uint32_t)((uint64_t)mf_npu_now_ns() * 0x9e3779b97f4a7c15U >> 32);
}

static void lose(struct mf_npu_offload *o, const struct mf_npu_err *why)
{
    char quoted[2 * sizeof(why->text)];

    if (o->state == MF_NPU_LOST) {
        return;
    }
    set_state(o, MF_NPU_LOST);
    o->last = *why;
    mf_dep_failed(&o->dep, now_ms(), chance());
    mf_log_error("npu_lost", "device=%s simulated=%d code=%s why=%s", o->caps.backend,
                 o->caps.simulated, mf_code_name(why->code),
                 mf_log_quote(quoted, sizeof(quoted), why->text, strlen(why->text)));
}

/* A full line and little memory are no fault of the device. One that is away is ours to
 * open again only where it does not come back by itself; wrong numbers are ours to
 * judge in any case. */
static void note_bad(struct mf_npu_offload *o, const struct mf_npu_err *why)
{
    o->n_on_cpu++;
    o->n_failed++;
    switch (why->code) {
    case MF_EBUSY:
    case MF_ENOMEM: return;
    case MF_ECORRUPT: lose(o, why); return;
    case MF_ETIMEOUT:
    case MF_EUNAVAILABLE:
        if (!o->conf.backend->restores) {
            lose(o, why);
        }
        o->last = *why;
        return;
    default:
        o->last = *why;
        o->young_from = o->n_jobs;
        if (++o->failed_in_row >= MAX_FAILED) {
            lose(o, why);
        }
        return;
    }
}

/* Whether jobs may go there now. One that was restored meanwhile is a young one. */
static bool is_usable(struct mf_npu_offload *o)
{
    struct mf_npu_health dev;

    if (o->state != MF_NPU_READY || !o->conf.backend->restores) {
        return o->state == MF_NPU_READY;
    }
    o->conf.backend->health(o->rig->dev, &dev);
    if (dev.since_ns != o->restored_ns) {
        o->restored_ns = dev.since_ns;
        o->young_from = o->n_jobs;
    }
    return dev.state == MF_NPU_READY || dev.state == MF_NPU_DEGRADED;
}

/* The job that begins now. Looks become fewer with what they have seen: so of all that
 * an ageing device computed since it was opened, little was computed since the last
 * look. Pauses differ, so that each product of a model has its turn: all have the same
 * number of them. */
static bool is_looked_at(struct mf_npu_offload *o)
{
    uint64_t age = o->n_jobs - o->young_from;
    uint64_t every = mf_min((uint64_t)o->conf.check_every, age / MF_NPU_LOOK_SHARE);
    uint64_t sooner = (o->n_jobs * 0x9e3779b97f4a7c15U >> 32) % (every / 8 + 1);

    if (!o->has_begun || o->conf.check_every == 0 || o->n_jobs - o->last_look < every) {
        return false;
    }
    o->last_look = o->n_jobs - sooner;
    return true;
}

/* ---- a lost device is opened again ---- */

static void add_stats(struct mf_npu_stats *to, const struct mf_npu_stats *s)
{
    to->jobs_ok += s->jobs_ok;
    to->jobs_failed += s->jobs_failed;
    to->jobs_timeout += s->jobs_timeout;
    to->jobs_canceled += s->jobs_canceled;
    to->ops += s->ops;
    to->bytes_in += s->bytes_in;
    to->bytes_out += s->bytes_out;
    to->verify_runs += s->verify_runs;
    to->verify_bad += s->verify_bad;
    to->reopens += s->reopens;
    to->quarantined += s->quarantined;
    to->busy_ns += s->busy_ns;
    to->queue_ns += s->queue_ns;
    for (size_t i = 0; i < mf_countof(s->latency); i++) {
        to->latency[i] += s->latency[i];
    }
}

static void take_rig(struct mf_npu_offload *o, struct rig *rig)
{
    o->rig = rig;
    o->caps = rig->caps;
    o->max_rows = rig->slot_rows;
    o->last_cosine = rig->cosine;
    o->max_abs_err = rig->max_abs_err;
    o->failed_in_row = 0;
    o->young_from = o->n_jobs;
    set_state(o, MF_NPU_READY);
}

static void close_rig(struct mf_npu_offload *o)
{
    struct rig *old = o->rig;
    struct mf_npu_stats s;

    if (old == NULL) {
        return;
    }
    old->backend->stats(old->dev, &s);
    pthread_mutex_lock(&o->lock);
    add_stats(&o->past, &s);
    o->rig = NULL;
    pthread_mutex_unlock(&o->lock);
    mf_rig_close(old);
}

/* Without the lock: nobody else has a slot, or gets one, while the state is PROBING. */
static void revive(struct mf_npu_offload *o)
{
    struct mf_npu_err err = {0};
    struct rig *rig = NULL;
    int rc;

    close_rig(o);
    rc = mf_rig_open(&rig, o->encoder, &o->conf, &err);
    pthread_mutex_lock(&o->lock);
    if (rc == 0) {
        take_rig(o, rig);
        o->n_reopens++;
        mf_dep_succeeded(&o->dep);
        mf_log_info("npu_back", "device=%s simulated=%d", o->caps.backend,
                    o->caps.simulated);
    } else {
        o->last = err;
        set_state(o, MF_NPU_LOST);
        mf_dep_failed(&o->dep, now_ms(), chance());
    }
    pthread_mutex_unlock(&o->lock);
}

/* ---- what the encoder calls ---- */

static struct rig_slot *take_slot(struct mf_npu_offload *o)
{
    bool may = is_usable(o);

    for (int i = 0; may && i < MF_NPU_SLOTS; i++) {
        struct rig_slot *s = &o->rig->slot[i];

        if (!s->is_taken) {
            s->is_taken = true;
            o->n_taken++;
            return s;
        }
    }
    return NULL;
}

MF_WORKER static void *device_begin(void *arg, size_t rows)
{
    struct mf_npu_offload *o = arg;
    struct rig_slot *s = NULL;

    pthread_mutex_lock(&o->lock);
    if (rows >= o->min_rows && rows <= o->max_rows) {
        if (o->state == MF_NPU_LOST && o->n_taken == 0 &&
            mf_dep_may_call(&o->dep, now_ms())) {
            set_state(o, MF_NPU_PROBING);
            pthread_mutex_unlock(&o->lock);
            revive(o);
            pthread_mutex_lock(&o->lock);
        }
        s = take_slot(o);
    }
    if (s == NULL) {
        o->n_on_cpu += (uint64_t)mf_encoder_n_layers(o->encoder) * MF_DENSE_ROLES;
    }
    pthread_mutex_unlock(&o->lock);
    return s;
}

MF_WORKER static void device_end(void *arg, void *slot)
{
    struct mf_npu_offload *o = arg;
    struct rig_slot *s = slot;

    pthread_mutex_lock(&o->lock);
    s->is_taken = false;
    o->n_taken--;
    pthread_mutex_unlock(&o->lock);
}

/* False: it was lost since the batch began. */
static bool count_job(struct mf_npu_offload *o, struct product *p, uint64_t *nth,
                      bool *look)
{
    uint32_t k = p->rig->role[p->call->role].k;
    bool may;

    pthread_mutex_lock(&o->lock);
    may = is_usable(o);
    *nth = may ? ++o->n_jobs : 0;
    *look = may && is_looked_at(o);
    p->bound = o->has_begun ? mf_sums_bound(o->worst_sum, k) : MF_NPU_SUM_MEASURED;
    o->n_on_cpu += may ? 0 : 1;
    pthread_mutex_unlock(&o->lock);
    return may;
}

static int check_row(struct mf_npu_offload *o, const struct product *p, uint64_t nth,
                     struct mf_npu_err *err)
{
    size_t row = (size_t)(nth * 0x9e3779b97f4a7c15U >> 32) % p->call->rows;
    double cosine = 0, max_abs_err = 0;
    int rc = mf_product_check(p, o->encoder, row, &cosine, &max_abs_err);

    if (rc == MF_ENOMEM) {
        return 0; /* no verdict */
    }
    pthread_mutex_lock(&o->lock);
    o->n_checks++;
    o->n_bad += rc < 0 ? 1 : 0;
    o->last_cosine = cosine;
    o->max_abs_err = max_abs_err;
    pthread_mutex_unlock(&o->lock);
    return rc == 0 ? 0
                   : mf_npu_err_set(err, rc,
                                    "wrong numbers in layer %u: cosine %.6f, error %g",
                                    p->call->layer, cosine, max_abs_err);
}

/* What the device gave, before it is used. While it is measured that tells how near it
 * comes with this model. */
static int judge(struct mf_npu_offload *o, const struct product *p,
                 struct mf_npu_err *err)
{
    double worst;
    int rc = mf_sums_check(p, &worst, err);

    pthread_mutex_lock(&o->lock);
    o->n_bad += rc == MF_ECORRUPT ? 1 : 0;
    if (rc == 0 && !o->has_begun) {
        o->worst_sum = fmax(o->worst_sum, worst);
    }
    pthread_mutex_unlock(&o->lock);
    return rc;
}

MF_WORKER static int device_linear(void *arg, void *slot,
                                   const struct mf_device_call *call)
{
    struct mf_npu_offload *o = arg;
    const struct rig_slot *s = slot;
    struct product p = {.rig = s->rig, .slot = s, .call = call};
    struct mf_npu_err err = {0};
    uint64_t nth;
    bool look;
    int rc = mf_product_plan(&p);

    if (rc < 0) {
        pthread_mutex_lock(&o->lock);
        o->n_on_cpu++;
        pthread_mutex_unlock(&o->lock);
        return rc;
    }
    if (!count_job(o, &p, &nth, &look)) {
        return MF_EUNAVAILABLE;
    }
    rc = mf_product_run(&p, mf_npu_now_ns() + (int64_t)o->conf.deadline_ms * 1000000,
                        &err);
    rc = rc == 0 ? judge(o, &p, &err) : rc;
    rc = rc == 0 && look ? check_row(o, &p, nth, &err) : rc;
    if (rc == 0) {
        mf_product_finish(&p);
    }
    pthread_mutex_lock(&o->lock);
    if (rc == 0) {
        o->n_offloaded++;
        o->failed_in_row = 0;
    } else {
        err.code = rc;
        note_bad(o, &err);
    }
    pthread_mutex_unlock(&o->lock);
    return rc;
}

/* ---- open, close ---- */

static void attach(struct mf_npu_offload *o, size_t rows)
{
    struct mf_encoder_device d = {.begin = device_begin,
                                  .linear = device_linear,
                                  .end = device_end,
                                  .arg = o,
                                  .rows = rows};

    mf_encoder_set_device(o->encoder, &d);
}

/* Every size both ways, or, where somebody said from how many rows on, one small batch
 * for the vectors' sake. MF_EBACKEND: the device did not compute one, and so nobody
 * knows its vectors. */
static int measure(struct mf_npu_offload *o)
{
    struct measured m[MF_NPU_MAX_BUCKETS] = {{0}};
    const struct rig *r = o->rig;
    uint32_t biggest = r->bucket[r->n_buckets - 1];
    uint32_t small = mf_min(biggest, (uint32_t)64);
    int n_sizes = o->conf.min_rows > 0 ? 1 : r->n_buckets;
    double agreement = 1;

    for (int i = 0; i < n_sizes; i++) {
        int rc =
            mf_measure_batch(o, o->conf.min_rows > 0 ? small : r->bucket[i], &m[i]);

        if (rc < 0 || m[i].npu_us > MAX_US) {
            return rc < 0 ? rc : MF_EBACKEND;
        }
        agreement = mf_min(agreement, m[i].agreement);
    }
    o->measured = m[n_sizes - 1];
    o->measured.agreement = agreement;
    o->min_rows = o->conf.min_rows > 0 ? o->conf.min_rows
                                       : mf_measure_break_even(m, (size_t)n_sizes);
    o->batch_rows = o->min_rows == UINT32_MAX ? 0 : biggest;
    o->n_offloaded = o->n_on_cpu = 0;
    return 0;
}

/* False: it was lost for good, or is away for longer than a start may wait. */
static bool await_usable(struct mf_npu_offload *o)
{
    const struct timespec nap = {.tv_nsec = 10000000};
    int64_t until_ns = mf_npu_now_ns() + AWAIT_NS;
    bool is_back = false;

    while (!is_back && o->state == MF_NPU_READY && mf_npu_now_ns() < until_ns) {
        (void)nanosleep(&nap, NULL);
        pthread_mutex_lock(&o->lock);
        is_back = is_usable(o);
        pthread_mutex_unlock(&o->lock);
    }
    return is_back;
}

/* What failed may have been a moment's failure: it is tried again. */
static int measure_in_the_end(struct mf_npu_offload *o)
{
    int rc = measure(o);

    for (int i = 1; rc == MF_EBACKEND && i < MEASURE_TRIES && await_usable(o); i++) {
        rc = measure(o);
    }
    return rc;
}

/* Detached where it would never be asked. */
static int start(struct mf_npu_offload *o, struct mf_err *err)
{
    int rc;

    attach(o, o->rig->bucket[o->rig->n_buckets - 1]);
    rc = measure_in_the_end(o);
    mf_encoder_set_device(o->encoder, NULL);
    if (rc == MF_EBACKEND) {
        rc = o->last.code < 0 ? o->last.code : rc;
        return mf_err_set(err, rc, "the device failed the batch that measures it: %s",
                          o->last.text[0] != '\0' ? o->last.text
                                                  : mf_code_sentence(rc));
    }
    if (rc < 0) {
        return mf_err_set(err, rc, "no memory to measure the device");
    }
    if (o->measured.agreement < MF_NPU_MIN_AGREEMENT) {
        return mf_err_set(err, MF_ECORRUPT,
                          "the device's vectors are not the CPU's: cosine %.4f",
                          o->measured.agreement);
    }
    o->has_begun = true; /* looks would have been measured, too */
    o->young_from = o->n_jobs;
    if (o->batch_rows > 0) {
        attach(o, o->batch_rows);
    }
    return 0;
}

static char *copy_text(const char *s, bool *failed)
{
    char *to = s == NULL ? NULL : mf_strndup(s, strlen(s));

    *failed = *failed || (s != NULL && to == NULL);
    return to;
}

static int init(struct mf_npu_offload *o, struct mf_encoder *e,
                const struct mf_npu_offload_conf *conf)
{
    struct mf_dep_config dep = {.timeout_ms = MAX_BACKOFF_MS,
                                .first_backoff_ms = conf->first_backoff_ms,
                                .max_backoff_ms = conf->max_backoff_ms,
                                .open_after = 1};
    bool failed = false;

    o->encoder = e;
    o->conf = *conf;
    o->conf.npu.dir = copy_text(conf->npu.dir, &failed);
    o->conf.npu.module = copy_text(conf->npu.module, &failed);
    if (o->conf.deadline_ms == 0) {
        o->conf.deadline_ms = DEADLINE_MS;
    }
    if (dep.first_backoff_ms == 0) {
        dep.first_backoff_ms = FIRST_BACKOFF_MS;
        dep.max_backoff_ms = MAX_BACKOFF_MS;
    }
    mf_dep_init(&o->dep, &dep);
    o->state = MF_NPU_PROBING;
    o->worst_sum = -1;
    return failed ? MF_ENOMEM : 0;
}

static void say_open(const struct mf_npu_offload *o)
{
    char quoted[2 * sizeof(o->caps.device)];

    mf_log_info(
        "npu_open",
        "backend=%s device=%s simulated=%d min_rows=%lld cpu_us=%.0f "
        "npu_us=%.0f agreement=%.5f",
        o->caps.backend,
        mf_log_quote(quoted, sizeof(quoted), o->caps.device, strlen(o->caps.device)),
        o->caps.simulated, o->min_rows == UINT32_MAX ? -1LL : (long long)o->min_rows,
        o->measured.cpu_us, o->measured.npu_us, o->measured.agreement);
}

int mf_npu_offload_open(struct mf_npu_offload **out, struct mf_encoder *e,
                        const struct mf_npu_offload_conf *conf, struct mf_err *err)
{
    struct mf_npu_offload *o = mf_calloc(1, sizeof(*o));
    struct mf_npu_err why = {0};
    struct rig *rig;
    int rc;

    *out = NULL;
    if (o == NULL || pthread_mutex_init(&o->lock, NULL) != 0) {
        mf_free(o);
        return mf_err_set(err, MF_ENOMEM, "no memory for a device");
    }
    rc = init(o, e, conf);
    if (rc == 0) {
        rc = mf_rig_open(&rig, e, &o->conf, &why);
    }
    if (rc < 0) {
        rc = mf_err_set(err, rc, "%s: %s", conf->backend->name,
                        why.text[0] != '\0' ? why.text : mf_code_sentence(rc));
    } else {
        take_rig(o, rig);
        rc = start(o, err);
    }
    if (rc < 0) {
        mf_npu_offload_close(o);
        return rc;
    }
    say_open(o);
    *out = o;
    return 0;
}

void mf_npu_offload_close(struct mf_npu_offload *o)
{
    if (o == NULL) {
        return;
    }
    mf_encoder_set_device(o->encoder, NULL);
    close_rig(o);
    pthread_mutex_destroy(&o->lock);
    mf_free((char *)(uintptr_t)o->conf.npu.dir);
    mf_free((char *)(uintptr_t)o->conf.npu.module);
    mf_free(o);
}

/* ---- how it is ---- */

static void merge_health(const struct mf_npu_offload *o, struct mf_npu_health *out)
{
    struct mf_npu_health dev;

    *out = (struct mf_npu_health){.state = o->state,
                                  .since_ns = o->since_ns,
                                  .last_cosine = o->last_cosine,
                                  .max_abs_err = o->max_abs_err,
                                  .last = o->last};
    if (o->rig == NULL || o->state != MF_NPU_READY) {
        return;
    }
    o->rig->backend->health(o->rig->dev, &dev);
    if (dev.state != MF_NPU_READY) { /* it knows better */
        out->state = dev.state;
        out->since_ns = dev.since_ns;
        out->last = dev.last;
    }
}

void mf_npu_offload_report(const struct mf_npu_offload *o, struct mf_npu_report *out)
{
    pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&o->lock;
    struct mf_npu_stats s = {0};

    pthread_mutex_lock(lock);
    *out = (struct mf_npu_report){.caps = o->caps,
                                  .stats = o->past,
                                  .min_rows = o->min_rows,
                                  .batch_rows = o->batch_rows,
                                  .measured_rows = o->measured.rows,
                                  .cpu_us = o->measured.cpu_us,
                                  .npu_us = o->measured.npu_us,
                                  .agreement = o->measured.agreement,
                                  .n_offloaded = o->n_offloaded,
                                  .n_on_cpu = o->n_on_cpu};
    merge_health(o, &out->health);
    if (o->rig != NULL) {
        o->rig->backend->stats(o->rig->dev, &s);
    }
    add_stats(&out->stats, &s);
    out->stats.in_flight = s.in_flight;
    out->stats.queued = s.queued;
    out->stats.reopens += o->n_reopens;
    out->stats.verify_runs += o->n_checks;
    out->stats.verify_bad += o->n_bad;
    pthread_mutex_unlock(lock);
}
