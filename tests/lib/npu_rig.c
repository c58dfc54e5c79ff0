/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/npu_rig.h"

#include "lib/mf_test.h"
#include "npu/pack.h"
#include "npu/remote.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct mf_npu_gemm shape = {
    .m = RIG_M, .k = RIG_K, .n = RIG_N, .a = MF_NPU_BF16, .b = MF_NPU_BF16};

int64_t rig_now_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Small whole numbers: exact in bf16, and their sums in f32 in whatever order. */
static int a_at(unsigned seed, unsigned row, unsigned k)
{
    return (int)((seed * 31 + row * 7 + k * 3) % 9) - 4;
}

static int w_at(unsigned k, unsigned n)
{
    return (int)((k * 5 + n * 11) % 7) - 3;
}

static void pack(struct npu_rig *r)
{
    float *w = malloc(sizeof(float) * RIG_K * (RIG_N + 8));
    struct mf_npu_err err;

    for (unsigned k = 0; k < RIG_K; k++) {
        for (unsigned n = 0; n < RIG_N + 8; n++) {
            w[k * (RIG_N + 8) + n] = n < RIG_N ? (float)w_at(k, n) : 1000.0F;
        }
    }
    MF_CHECK_OK(r->be->weight_pack(r->dev, &shape, w, RIG_N + 8, &r->weight, &err));
    free(w);
}

void rig_open(struct npu_rig *r, const struct mf_npu_backend *be)
{
    const struct mf_npu_conf conf = {.queue_depth = 4};
    struct mf_npu_err err = {0};
    int rc;

    *r = (struct npu_rig){.be = be};
    rc = be->open(&conf, &r->dev, &err);
    if (rc < 0) {
        (void)fprintf(stderr, "open: %d %s\n", rc, err.text);
    }
    MF_CHECK_OK(rc);
    MF_CHECK_OK(be->plan(r->dev, &shape, &r->plan, &err));
    pack(r);
}

void rig_close(struct npu_rig *r)
{
    r->be->mem_put(r->weight);
    r->be->close(r->dev);
}

void rig_slot(struct npu_rig *r, struct npu_slot *s)
{
    struct mf_npu_err err;

    MF_CHECK_OK(r->be->mem_new(r->dev, MF_NPU_MEM_IN, RIG_M * RIG_K * sizeof(uint16_t),
                               &s->a, &err));
    MF_CHECK_OK(r->be->mem_new(r->dev, MF_NPU_MEM_OUT, RIG_M * RIG_N * sizeof(float),
                               &s->c, &err));
}

void rig_put_slot(struct npu_rig *r, struct npu_slot *s)
{
    r->be->mem_put(s->a);
    r->be->mem_put(s->c);
}

void rig_fill(struct npu_rig *r, struct npu_slot *s, unsigned seed)
{
    uint16_t *a = r->be->mem_map(s->a);

    for (unsigned row = 0; row < RIG_M; row++) {
        for (unsigned k = 0; k < RIG_K; k++) {
            a[row * RIG_K + k] = mf_npu_bf16((float)a_at(seed, row, k));
        }
    }
    memset(r->be->mem_map(s->c), 0x55, RIG_M * RIG_N * sizeof(float));
}

int rig_submit(struct npu_rig *r, struct npu_slot *s, unsigned limit_ms,
               struct mf_npu_job **job, struct mf_npu_err *err)
{
    const struct mf_npu_op op = {
        .plan = r->plan, .a = s->a, .w = r->weight, .c = s->c, .rows = RIG_M};

    return r->be->submit(r->dev, &op, 1, rig_now_ns() + (int64_t)limit_ms * 1000000,
                         job, err);
}

int rig_run(struct npu_rig *r, struct npu_slot *s, unsigned seed, unsigned limit_ms)
{
    struct mf_npu_job *job;
    struct mf_npu_err err;
    int rc;

    rig_fill(r, s, seed);
    rc = rig_submit(r, s, limit_ms, &job, &err);
    if (rc == 0) {
        rc = r->be->wait(job, &err);
        r->be->job_put(job);
    }
    return rc;
}

static float want_at(unsigned seed, unsigned row, unsigned n)
{
    int sum = 0;

    for (unsigned k = 0; k < RIG_K; k++) {
        sum += a_at(seed, row, k) * w_at(k, n);
    }
    return (float)sum;
}

/* A row repeats after nine: so do its products. */
int rig_is_right(struct npu_rig *r, struct npu_slot *s, unsigned seed)
{
    const float *c = r->be->mem_map(s->c);
    float want[9][RIG_N];

    for (unsigned i = 0; i < 9 * RIG_N; i++) {
        want[i / RIG_N][i % RIG_N] = want_at(seed, i / RIG_N, i % RIG_N);
    }
    for (size_t i = 0; i < RIG_M * RIG_N; i++) {
        if (c[i] != want[i / RIG_N % 9][i % RIG_N]) {
            return 0;
        }
    }
    return 1;
}

void rig_nap_ms(long ms)
{
    const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    (void)nanosleep(&t, NULL);
}

const struct mf_npu_backend *rig_remote(void)
{
    static const struct mf_npu_remote_conf conf = {.inner = "twin",
                                                   .program = NPU_TEST_WORKER,
                                                   .first_backoff_ms = 4,
                                                   .max_backoff_ms = 64,
                                                   .answer_ms = 2000};

    return mf_npu_remote(&conf);
}

void rig_worker_is(const char *mode)
{
    MF_CHECK_OK(setenv("NPU_TEST_WORKER", mode, 1));
}

int rig_await_ready(struct npu_rig *r)
{
    int64_t until = rig_now_ns() + 10000000000;
    struct mf_npu_health h;

    do {
        r->be->health(r->dev, &h);
        if (h.state == MF_NPU_READY) {
            return 1;
        }
        rig_nap_ms(1);
    } while (rig_now_ns() < until);
    (void)fprintf(stderr, "not ready: %s\n", h.last.text);
    return 0;
}

int rig_count_fds(int pid)
{
    char path[64] = "/proc/self/fd";
    const struct dirent *e;
    int n = 0;
    DIR *d;

    if (pid != 0) {
        (void)snprintf(path, sizeof(path), "/proc/%d/fd", pid);
    }
    d = opendir(path);
    assert_non_null(d);
    while ((e = readdir(d)) != NULL) {
        n += e->d_name[0] != '.';
    }
    (void)closedir(d);
    return n - (pid == 0); /* the folder itself */
}
