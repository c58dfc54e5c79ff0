/* SPDX-License-Identifier: Apache-2.0 */
/* Wrong numbers that come as a completed job: what becomes of them in the encoder. */
#include "encoder/device.h"
#include "lib/mf_test.h"
#include "npu/twin.h"
#include "unit/offload_kit.h"

#include <math.h>
#include <string.h>

static struct mf_npu_backend altered; /* the twin with functions of its own */
static uint32_t seed;

enum fault { NONE, NUMBER, SWAP, STALE, ZEROS, NOT_A_NUMBER, COLUMNS, NOISE, N_FAULTS };

/* What is done to a result. Products here have fewer rows than the canary. */
static struct {
    enum fault fault;
    unsigned at; /* the job; 0: all */
    float noise;
    unsigned n_jobs;
    struct mf_npu_op op;
    uint32_t n, row_before;
    float before[256 * 128];
} world;

static struct {
    const struct mf_npu_plan *plan;
    uint32_t n;
} planned[16];

static int plan_noted(struct mf_npu_dev *dev, const struct mf_npu_gemm *g,
                      struct mf_npu_plan **out, struct mf_npu_err *err)
{
    int rc = mf_npu_twin()->plan(dev, g, out, err);
    size_t i = 0;

    while (rc == 0 && planned[i].plan != NULL && planned[i].plan != *out) {
        i++;
    }
    MF_CHECK(i < mf_countof(planned));
    if (rc == 0) {
        planned[i].plan = *out;
        planned[i].n = g->n;
    }
    return rc;
}

static int submit_noted(struct mf_npu_dev *dev, const struct mf_npu_op *ops, unsigned n,
                        int64_t deadline_ns, struct mf_npu_job **out,
                        struct mf_npu_err *err)
{
    world.op = ops[0];
    for (size_t i = 0; i < mf_countof(planned); i++) {
        world.n = planned[i].plan == ops[0].plan ? planned[i].n : world.n;
    }
    return mf_npu_twin()->submit(dev, ops, n, deadline_ns, out, err);
}

static void add_noise(float *c, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525U + 1013904223U;
        c[i] *= 1 + world.noise * (float)((double)(seed >> 8) / (1 << 23) - 1);
    }
}

static void spoil(float *c, size_t n, size_t rows)
{
    float row[128];

    switch (world.fault) {
    case NUMBER: c[(rows - 1) * n + 4] += 0.3F; break;
    case SWAP:
        memcpy(row, c, n * sizeof(*c));
        memcpy(c, c + n, n * sizeof(*c));
        memcpy(c + n, row, n * sizeof(*c));
        break;
    case STALE: memcpy(c, world.before, rows * n * sizeof(*c)); break;
    case ZEROS: memset(c + n, 0, n * sizeof(*c)); break;
    case NOT_A_NUMBER: c[rows * n / 2 + 1] = NAN; break;
    case COLUMNS:
        for (size_t i = 0; i < rows; i++) {
            c[i * n + 5] += 0.3F;
            c[i * n + 6] += 0.3F;
        }
        break;
    case NOISE: add_noise(c, rows * n); break;
    case NONE:
    case N_FAULTS:
    default: break;
    }
}

static int wait_spoilt(struct mf_npu_job *job, struct mf_npu_err *err)
{
    int rc = mf_npu_twin()->wait(job, err);
    float *c =
        (float *)mf_npu_twin()->mem_map(world.op.c) + world.op.c_at / sizeof(float);
    size_t rows = world.op.rows, n = world.n;

    if (rc == 0 && rows < 256) {
        bool is_it = world.at == 0 || ++world.n_jobs == world.at;

        if (is_it) {
            spoil(c, n, rows);
        }
        MF_CHECK(n <= 128);
        memcpy(world.before, c, rows * n * sizeof(*c));
    }
    return rc;
}

static struct mf_npu_offload_conf spoilt(void)
{
    struct mf_npu_offload_conf conf = once();

    memset(&world, 0, sizeof(world));
    memset(planned, 0, sizeof(planned));
    altered = *mf_npu_twin();
    altered.plan = plan_noted;
    altered.submit = submit_noted;
    altered.wait = wait_spoilt;
    conf.backend = &altered;
    conf.deadline_ms = 60000; /* a thread sanitizer may watch */
    return conf;
}

static void check_fault(enum fault fault, unsigned at)
{
    struct mf_npu_offload_conf conf = spoilt();
    struct mf_npu_report r;
    struct bench t;
    double most;

    bench_open(&t, &kit_small, &conf);
    MF_CHECK(agreement(&t, &most) > 0.9999);
    MF_CHECK_INT(report(&t).n_offloaded, PRODUCTS);
    world.fault = fault;
    world.at = at;
    world.n_jobs = 0;
    MF_CHECK(agreement(&t, &most) > 0.9999);
    MF_CHECK(at > 1 || most < 1e-6); /* all is the CPU's */
    r = report(&t);
    MF_CHECK_INT(r.n_offloaded, PRODUCTS + at - 1);
    MF_CHECK_INT(r.n_on_cpu, PRODUCTS - at + 1);
    MF_CHECK_INT(r.health.state, MF_NPU_LOST);
    MF_CHECK_INT(r.health.last.code, MF_ECORRUPT);
    MF_CHECK_INT(r.stats.verify_bad, 1);
    MF_CHECK_INT(r.stats.verify_runs, 0);
    bench_close(&t);
}

MF_TEST(npu_offload_wrong, a_fault_is_found_in_its_job_and_no_vector_has_it)
{
    static const enum fault faults[] = {NUMBER, SWAP, STALE, ZEROS, NOT_A_NUMBER};

    for (size_t i = 0; i < mf_countof(faults); i++) {
        check_fault(faults[i], 1 + MF_DENSE_QKV);
        check_fault(faults[i], 1 + MF_DENSE_OUT);
        check_fault(faults[i], 1 + MF_DENSE_DOWN);
        check_fault(faults[i], 1 + MF_DENSE_ROLES + MF_DENSE_UP);
    }
}

MF_TEST(npu_offload_wrong, seldom_looks_find_wrong_columns_of_gelu_at_last)
{
    struct mf_npu_offload_conf conf = spoilt();
    struct mf_npu_report r;
    struct bench t;
    double most;
    int n = 0;

    conf.check_every = 7;
    bench_open(&t, &kit_small, &conf);
    kit_texts(&t.texts, 1, 4, 9);
    for (; n < 60; n++) { /* it is no young one */
        (void)agreement(&t, &most);
    }
    world.fault = COLUMNS;
    for (n = 0; report(&t).health.state == MF_NPU_READY; n++) {
        world.n_jobs = 0;
        world.at = MF_DENSE_UP + 1;
        (void)agreement(&t, &most);
        MF_CHECK(n < 100);
    }
    MF_CHECK(n > 1); /* until then it got through */
    r = report(&t);
    MF_CHECK_INT(r.health.last.code, MF_ECORRUPT);
    assert_non_null(strstr(r.health.last.text, "wrong numbers in layer 0: cosine"));
    MF_CHECK_INT(r.stats.verify_bad, 1);
    bench_close(&t);
}

MF_TEST(npu_offload_wrong, looks_come_upon_each_product_of_a_model)
{
    const uint64_t age = 2 * PRODUCTS * MF_NPU_LOOK_SHARE;
    unsigned layer, n;

    for (layer = 0; layer < LAYERS; layer++) {
        struct mf_npu_offload_conf conf = spoilt();
        struct bench t;
        double most;

        conf.check_every = 2 * PRODUCTS; /* would be the same product each time */
        bench_open(&t, &kit_small, &conf);
        kit_texts(&t.texts, 1, 1, 9);
        for (n = 0; n < age / PRODUCTS; n++) {
            (void)agreement(&t, &most);
        }
        world.fault = COLUMNS;
        for (n = 0; report(&t).health.state == MF_NPU_READY; n++) {
            world.n_jobs = 0;
            world.at = layer * MF_DENSE_ROLES + MF_DENSE_UP + 1;
            (void)agreement(&t, &most);
            MF_CHECK(n < 400);
        }
        bench_close(&t);
    }
}

MF_TEST(npu_offload_wrong, a_device_is_held_to_what_it_was_when_it_was_measured)
{
    struct mf_npu_offload_conf conf = spoilt();
    struct bench t;
    double most;

    world.fault = NOISE;
    world.noise = 0.004F; /* as of one with blocks that share an exponent */
    bench_open(&t, &kit_small, &conf);
    for (int i = 0; i < 30; i++) {
        kit_texts(&t.texts, 8, 20, (uint32_t)i);
        MF_CHECK(agreement(&t, &most) > 0.999);
    }
    MF_CHECK_INT(report(&t).health.state, MF_NPU_READY);
    MF_CHECK_INT(report(&t).n_offloaded, 30 * PRODUCTS);
    bench_close(&t);

    conf = spoilt();
    bench_open(&t, &kit_small, &conf);
    MF_CHECK(agreement(&t, &most) > 0.9999);
    world.fault = NOISE; /* worse than it was */
    world.noise = 0.004F;
    (void)agreement(&t, &most);
    MF_CHECK(most < 1e-6);
    MF_CHECK_INT(report(&t).health.last.code, MF_ECORRUPT);
    bench_close(&t);
}

MF_TEST(npu_offload_wrong, what_is_measured_must_be_right_too)
{
    struct mf_npu_offload_conf conf = spoilt();
    struct bench t;

    bench_prepare(&t, &kit_small);
    world.fault = NOISE;
    world.noise = 0.3F;
    MF_CHECK_INT(mf_npu_offload_open(&t.o, t.e, &conf, &t.err), MF_ECORRUPT);
    assert_non_null(strstr(t.err.msg, "wrong numbers in layer 0: the sum of row"));
    bench_close(&t);
}
