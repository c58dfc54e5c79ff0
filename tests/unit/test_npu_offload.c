/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"
#include "base/mem.h"
#include "encoder/encoder_in.h"
#include "lib/mf_test.h"
#include "npu/offload.h"
#include "npu/offload_in.h"
#include "npu/twin.h"
#include "unit/offload_kit.h"

#include <pthread.h>

static struct mf_npu_backend altered; /* the twin with a function of its own */

MF_TEST(npu_offload, vectors_are_the_cpus_and_every_product_was_the_devices)
{
    struct mf_npu_report r;
    struct bench t;
    double most;

    bench_open(&t, &kit_small, NULL);
    MF_CHECK(agreement(&t, &most) > 0.9999);
    MF_CHECK(most > 0); /* bf16 is not f32: it was not the CPU that computed */
    r = report(&t);
    MF_CHECK_INT(r.n_offloaded, PRODUCTS);
    MF_CHECK_INT(r.n_on_cpu, 0);
    MF_CHECK_INT(r.health.state, MF_NPU_READY);
    MF_CHECK(r.caps.simulated && r.caps.verified);
    MF_CHECK(r.health.last_cosine > 0.99999 && r.agreement > 0.9999);
    MF_CHECK_INT(r.min_rows, 1);
    MF_CHECK_INT(r.batch_rows, 512);
    bench_close(&t);
}

MF_TEST(npu_offload, what_the_device_has_not_is_added_here)
{
    static const enum mf_activation all[] = {MF_ACT_GELU, MF_ACT_GELU_TANH,
                                             MF_ACT_RELU};
    struct kit_shape wide = kit_small;
    struct bench t;
    double most;

    for (size_t i = 0; i < mf_countof(all); i++) {
        struct kit_shape s = kit_small;

        s.activation = all[i];
        bench_open(&t, &s, NULL);
        MF_CHECK(agreement(&t, &most) > 0.9999);
        bench_close(&t);
    }
    wide.n_layers = 1; /* no padding in k: no bias row, so no GELU there either */
    wide.hidden = wide.ffn = 512;
    bench_open(&t, &wide, NULL);
    MF_CHECK(agreement(&t, &most) > 0.9999);
    MF_CHECK_INT(report(&t).n_offloaded, MF_DENSE_ROLES);
    bench_close(&t);
}

static int plan_small_only(struct mf_npu_dev *dev, const struct mf_npu_gemm *g,
                           struct mf_npu_plan **out, struct mf_npu_err *err)
{
    if (g->m > 256) {
        *out = NULL;
        return MF_EUNPROCESSABLE;
    }
    return mf_npu_twin()->plan(dev, g, out, err);
}

MF_TEST(npu_offload, more_rows_than_a_program_takes_are_one_job_of_several_runs)
{
    struct mf_npu_offload_conf conf = always();
    struct mf_npu_stats before, after;
    struct bench t;
    double most;

    altered = *mf_npu_twin();
    altered.plan = plan_small_only;
    conf.backend = &altered;
    bench_open(&t, &kit_small, &conf);
    before = report(&t).stats;
    kit_texts(&t.texts, 20, 40, 5);
    MF_CHECK(t.texts.at[20] > 256 && t.texts.at[20] <= 512);
    MF_CHECK(agreement(&t, &most) > 0.9999);
    after = report(&t).stats;
    MF_CHECK_INT(after.jobs_ok - before.jobs_ok, PRODUCTS);
    MF_CHECK_INT(after.ops - before.ops, 2 * PRODUCTS);
    bench_close(&t);
}

static int plan_without_up(struct mf_npu_dev *dev, const struct mf_npu_gemm *g,
                           struct mf_npu_plan **out, struct mf_npu_err *err)
{
    if (g->n == 128) { /* queries, keys and values */
        *out = NULL;
        return MF_EUNPROCESSABLE;
    }
    return mf_npu_twin()->plan(dev, g, out, err);
}

MF_TEST(npu_offload, products_without_a_program_stay_here)
{
    struct mf_npu_offload_conf conf = always();
    struct mf_npu_report r;
    struct bench t;
    double most;

    altered = *mf_npu_twin();
    altered.plan = plan_without_up;
    conf.backend = &altered;
    bench_open(&t, &kit_small, &conf);
    MF_CHECK(agreement(&t, &most) > 0.9999);
    r = report(&t);
    MF_CHECK_INT(r.n_offloaded, PRODUCTS - LAYERS);
    MF_CHECK_INT(r.n_on_cpu, LAYERS);
    MF_CHECK_INT(r.health.state, MF_NPU_READY);
    bench_close(&t);
}

MF_TEST(npu_offload, small_batches_stay_here)
{
    struct mf_npu_offload_conf conf = always();
    struct mf_npu_report r;
    struct bench t;
    double most;

    conf.min_rows = 100;
    bench_open(&t, &kit_small, &conf);
    kit_texts(&t.texts, 3, 20, 3);
    MF_CHECK(agreement(&t, &most) > 0.999999);
    MF_CHECK(most == 0); /* the same instructions */
    r = report(&t);
    MF_CHECK_INT(r.n_offloaded, 0);
    MF_CHECK_INT(r.n_on_cpu, PRODUCTS);
    bench_close(&t);
}

MF_TEST(npu_offload, a_device_that_is_never_faster_is_never_asked)
{
    struct mf_npu_offload_conf conf = always();
    struct mf_npu_report r;
    struct bench t;
    double most;

    conf.min_rows = 0;
    bench_open(&t, &kit_small, &conf); /* the twin computes the padding, too */
    (void)agreement(&t, &most);
    r = report(&t);
    MF_CHECK(most == 0);
    MF_CHECK(r.min_rows == UINT32_MAX && r.batch_rows == 0 && r.n_offloaded == 0);
    MF_CHECK_INT(r.measured_rows, 512);
    MF_CHECK(r.cpu_us > 0 && r.npu_us > r.cpu_us);
    bench_close(&t);
}

MF_TEST(npu_offload, break_even_is_where_the_cpu_takes_as_long_as_the_program)
{
    const struct measured never[] = {{256, 100, 200, 1}, {512, 200, 300, 1}};
    const struct measured late[] = {{256, 100, 200, 1}, {512, 200, 150, 1}};
    const struct measured soon[] = {{256, 100, 50, 1}, {512, 200, 100, 1}};
    const struct measured gap[] = {{256, 100, 50, 1}, {512, 200, 300, 1}};
    const struct measured edge[] = {{256, 100, 200, 1}, {512, 200, 10, 1}};

    MF_CHECK(mf_measure_break_even(never, 2) == UINT32_MAX);
    MF_CHECK_INT(mf_measure_break_even(late, 2), 384);
    MF_CHECK_INT(mf_measure_break_even(soon, 2), 128);
    MF_CHECK(mf_measure_break_even(gap, 2) == UINT32_MAX);
    MF_CHECK_INT(mf_measure_break_even(edge, 2), 257);
    MF_CHECK_INT(mf_measure_break_even(soon, 1), 128);
}

/* ---- many at once ---- */

static void *run_many(void *arg)
{
    struct bench *t = arg;
    void *failed = NULL;

    for (int i = 0; i < 6; i++) {
        float a[WIDTH], b[WIDTH];
        struct kit_texts texts;

        kit_texts(&texts, 1, 20, (uint32_t)i);
        run(t->e, &texts.ids, a);
        run(t->cpu, &texts.ids, b);
        if (!(kit_cosine(a, b, 32) > 0.999)) {
            failed = t;
        }
    }
    return failed;
}

static void check_threads(struct bench *t, size_t n)
{
    pthread_t threads[4];
    void *failed;

    for (size_t i = 0; i < n; i++) {
        MF_CHECK_OK(pthread_create(&threads[i], NULL, run_many, t));
    }
    for (size_t i = 0; i < n; i++) {
        MF_CHECK_OK(pthread_join(threads[i], &failed));
        assert_null(failed);
    }
}

MF_TEST(npu_offload, batches_at_once_share_the_slots_and_give_them_back)
{
    struct mf_npu_report r;
    struct bench t;
    uint64_t offloaded;
    double most;

    bench_open(&t, &kit_small, NULL);
    check_threads(&t, 4);
    r = report(&t);
    MF_CHECK_INT(r.n_offloaded + r.n_on_cpu, 24 * PRODUCTS);
    MF_CHECK_INT(r.stats.queued + r.stats.in_flight, 0);
    offloaded = r.n_offloaded;
    (void)agreement(&t, &most);
    MF_CHECK_INT(report(&t).n_offloaded, offloaded + PRODUCTS);
    bench_close(&t);
}

MF_TEST(npu_offload, batches_at_once_survive_every_fault)
{
    struct mf_npu_twin_faults f = {
        .wrong_every = 17, .fail_every = 5, .hang_at = 30, .delay_us = 100};
    struct mf_npu_offload_conf conf = always();
    struct kit_shape linear = kit_small;
    struct bench t;
    double most;

    linear.activation = MF_ACT_RELU; /* no wrong number gets through, and all compare */
    conf.npu.queue_depth = 1;
    bench_open(&t, &linear, &conf);
    mf_npu_twin_set_faults(&f);
    for (size_t i = 0; i < 2; i++) {
        kit_texts(&t.texts, 1, 1, (uint32_t)i);
        MF_CHECK(agreement(&t, &most) > 0.999);
    }
    check_threads(&t, 3);
    mf_npu_twin_set_faults(NULL);
    pause_ms(5);
    for (int i = 0; i < 3; i++) { /* enough good jobs to be well again */
        MF_CHECK(agreement(&t, &most) > 0.9999);
    }
    MF_CHECK_INT(report(&t).health.state, MF_NPU_READY);
    MF_CHECK_INT(report(&t).stats.queued, 0);
    bench_close(&t);
}

MF_TEST(npu_offload, work_memory_made_before_the_device_computes_here)
{
    static float out[KIT_TEXTS_MAX * WIDTH];
    int rc[KIT_TEXTS_MAX];
    struct mf_scratch *s;
    struct bench t;

    bench_prepare(&t, &kit_small);
    kit_texts(&t.texts, 10, 40, 5);
    MF_CHECK(t.texts.at[10] > MF_FFN_ROWS);
    MF_CHECK_OK(mf_scratch_new(&s, t.e, KIT_IDS_MAX));
    MF_CHECK_OK(mf_npu_offload_open(&t.o, t.e, &t.conf, &t.err));
    mf_encoder_run(t.e, s, &t.texts.ids, 0, out, rc);
    MF_CHECK_OK(rc[0]);
    MF_CHECK_INT(report(&t).n_offloaded, 0);
    mf_scratch_free(s);
    bench_close(&t);
}

/* ---- memory ---- */

MF_TEST(npu_offload, reports_when_there_is_no_memory)
{
    struct bench t;
    int rc = MF_ENOMEM;

    bench_prepare(&t, &kit_small);
    for (unsigned nth = 1; rc != 0; nth++) {
        mf_test_fail_nth(nth);
        rc = mf_npu_offload_open(&t.o, t.e, &t.conf, &t.err);
        mf_test_fail_nth(0);
        MF_CHECK(rc == 0 || (rc == MF_ENOMEM && t.err.msg[0] != '\0'));
        MF_CHECK(nth < 500);
    }
    bench_close(&t);
}

MF_TEST(npu_offload, no_memory_for_a_job_costs_a_product_only)
{
    struct mf_npu_offload_conf conf = always();
    struct mf_scratch *s;
    struct bench t;
    bool has_failed = true;

    conf.check_every = 1;
    bench_open(&t, &kit_small, &conf);
    MF_CHECK_OK(mf_scratch_new(&s, t.e, KIT_IDS_MAX));
    for (unsigned nth = 1; has_failed; nth++) {
        static float out[KIT_TEXTS_MAX * WIDTH];
        int rc[KIT_TEXTS_MAX];

        mf_test_fail_nth(nth);
        mf_encoder_run(t.e, s, &t.texts.ids, 0, out, rc);
        has_failed = mf_test_has_failed();
        mf_test_fail_nth(0);
        for (size_t i = 0; i < t.texts.ids.n; i++) {
            MF_CHECK_OK(rc[i]);
        }
        MF_CHECK_INT(report(&t).stats.verify_bad, 0);
        MF_CHECK(nth < 500);
    }
    mf_scratch_free(s);
    bench_close(&t);
}
