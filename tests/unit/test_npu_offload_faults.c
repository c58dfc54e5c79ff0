/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of products when the device fails, lies, is away or comes back. */
#include "base/err.h"
#include "encoder/device.h"
#include "lib/mf_test.h"
#include "npu/twin.h"
#include "unit/offload_kit.h"

#include <string.h>

static struct mf_npu_backend altered; /* the twin with functions of its own */

MF_TEST(npu_offload_faults, one_wrong_number_loses_the_device_and_is_computed_again)
{
    struct mf_npu_twin_faults f = {.wrong_every = 1};
    struct mf_npu_offload_conf conf = once();
    struct mf_npu_report r;
    struct bench t;
    double most;

    bench_open(&t, &kit_small, &conf);
    mf_npu_twin_set_faults(&f);
    (void)agreement(&t, &most);
    MF_CHECK(most < 1e-6); /* the first product was wrong: all is the CPU's */
    r = report(&t);
    MF_CHECK_INT(r.health.state, MF_NPU_LOST);
    MF_CHECK_INT(r.health.last.code, MF_ECORRUPT);
    MF_CHECK(strstr(r.health.last.text, "wrong numbers in layer 0") != NULL);
    MF_CHECK_INT(r.stats.verify_bad, 1);
    MF_CHECK_INT(r.n_offloaded, 0);
    MF_CHECK_INT(r.n_on_cpu, PRODUCTS);
    (void)agreement(&t, &most);
    MF_CHECK(most == 0);
    MF_CHECK_INT(report(&t).n_on_cpu, 2 * PRODUCTS);
    bench_close(&t);
}

MF_TEST(npu_offload_faults, looks_agree_with_a_device_that_computes)
{
    struct mf_npu_offload_conf conf = always();
    struct mf_npu_report r;
    struct bench t;
    double most;

    conf.check_every = 1;
    bench_open(&t, &kit_small, &conf);
    MF_CHECK(agreement(&t, &most) > 0.9999);
    r = report(&t);
    MF_CHECK_INT(r.health.state, MF_NPU_READY);
    MF_CHECK_INT(r.stats.verify_runs, PRODUCTS); /* none of what was measured */
    MF_CHECK_INT(r.stats.verify_bad, 0);
    MF_CHECK(r.health.max_abs_err < 1e-4 && r.health.last_cosine > 0.99999);
    bench_close(&t);
}

/* How many looks it takes for so many batches. */
static uint64_t looks_of(struct bench *t, unsigned n_batches)
{
    uint64_t before = report(t).stats.verify_runs;
    double most;

    for (unsigned i = 0; i < n_batches; i++) {
        (void)agreement(t, &most);
    }
    return report(t).stats.verify_runs - before;
}

MF_TEST(npu_offload_faults,
        every_job_of_a_young_device_is_looked_at_and_few_of_an_old_one)
{
    struct mf_npu_twin_faults f = {.fail_every = 5};
    struct mf_npu_offload_conf conf = always();
    const unsigned young = 2 * MF_NPU_LOOK_SHARE / PRODUCTS; /* batches */
    struct bench t;

    conf.check_every = 4;
    bench_open(&t, &kit_small, &conf);
    kit_texts(&t.texts, 1, 4, 9);
    MF_CHECK_INT(looks_of(&t, young - 1), (young - 1) * PRODUCTS);
    (void)looks_of(&t, young + 1);
    MF_CHECK_INT(looks_of(&t, young), young * PRODUCTS / 4); /* of age 256 and more */
    mf_npu_twin_set_faults(&f);
    (void)looks_of(&t, 1);
    mf_npu_twin_set_faults(NULL);
    MF_CHECK_INT(looks_of(&t, 2), 2 * PRODUCTS); /* it failed a job: young again */
    bench_close(&t);
}

MF_TEST(npu_offload_faults, what_is_no_number_is_never_used)
{
    struct mf_npu_twin_faults f = {.skips_input_sync = true};
    struct mf_npu_offload_conf conf = once();
    struct mf_npu_report r;
    struct bench t;
    double most;

    bench_open(&t, &kit_small, &conf);
    kit_texts(&t.texts, 20, 40, 5); /* more rows than any batch had before */
    mf_npu_twin_set_faults(&f);
    (void)agreement(&t, &most);
    MF_CHECK(most < 1e-6);
    r = report(&t);
    MF_CHECK_INT(r.health.state, MF_NPU_LOST);
    MF_CHECK_INT(r.health.last.code, MF_ECORRUPT);
    bench_close(&t);
}

MF_TEST(npu_offload_faults, failed_jobs_are_done_here_and_many_in_a_row_lose_the_device)
{
    struct mf_npu_twin_faults third = {.fail_every = 3}, all = {.fail_every = 1};
    struct mf_npu_offload_conf conf = once();
    struct mf_npu_report r;
    struct bench t;
    double most;

    bench_open(&t, &kit_small, &conf);
    mf_npu_twin_set_faults(&third);
    MF_CHECK(agreement(&t, &most) > 0.9999);
    r = report(&t);
    MF_CHECK_INT(r.n_on_cpu, PRODUCTS / 3);
    MF_CHECK_INT(r.n_offloaded, PRODUCTS - PRODUCTS / 3);
    MF_CHECK_INT(r.stats.jobs_failed, PRODUCTS / 3);
    MF_CHECK_INT(r.health.state, MF_NPU_DEGRADED);
    mf_npu_twin_set_faults(&all);
    (void)agreement(&t, &most);
    (void)agreement(&t, &most);
    MF_CHECK(most < 1e-6);
    r = report(&t);
    MF_CHECK_INT(r.health.state, MF_NPU_LOST);
    MF_CHECK_INT(r.health.last.code, MF_EBACKEND);
    bench_close(&t);
}

MF_TEST(npu_offload_faults,
        a_job_that_hangs_costs_its_deadline_and_the_device_comes_back)
{
    struct mf_npu_twin_faults f = {.hang_at = 3};
    struct mf_npu_report r;
    struct bench t;
    double most;

    bench_open(&t, &kit_small, NULL);
    mf_npu_twin_set_faults(&f);
    MF_CHECK(agreement(&t, &most) > 0.9999);
    r = report(&t);
    MF_CHECK_INT(r.health.state, MF_NPU_LOST);
    MF_CHECK_INT(r.health.last.code, MF_ETIMEOUT);
    MF_CHECK_INT(r.n_offloaded, 2);
    MF_CHECK_INT(r.n_on_cpu, PRODUCTS - 2);
    pause_ms(5); /* longer than the longest backoff */
    MF_CHECK(agreement(&t, &most) > 0.9999);
    r = report(&t);
    MF_CHECK_INT(r.health.state, MF_NPU_READY);
    MF_CHECK_INT(r.stats.reopens, 1);
    MF_CHECK_INT(r.stats.jobs_timeout, 1); /* not forgotten with the old one */
    MF_CHECK_INT(r.n_offloaded, 2 + PRODUCTS);
    MF_CHECK_INT(mf_npu_twin_n_hanging(), 1);
    bench_close(&t);
    MF_CHECK_INT(mf_npu_twin_n_hanging(), 0);
}

MF_TEST(npu_offload_faults, a_device_that_still_lies_is_not_taken_back)
{
    struct mf_npu_twin_faults wrong = {.wrong_every = 1},
                              lies = {.skips_compute = true};
    struct mf_npu_offload_conf conf = always();
    struct mf_npu_report r;
    struct bench t;
    double most;

    conf.check_every = 1;
    bench_open(&t, &kit_small, &conf);
    kit_texts(&t.texts, 1, 1, 3);
    mf_npu_twin_set_faults(&wrong);
    (void)agreement(&t, &most);
    MF_CHECK_INT(report(&t).health.state, MF_NPU_LOST);
    mf_npu_twin_set_faults(&lies);
    for (int i = 0; i < 3; i++) {
        pause_ms(5);
        (void)agreement(&t, &most);
        MF_CHECK(most == 0);
        r = report(&t);
        MF_CHECK_INT(r.health.state, MF_NPU_LOST);
        MF_CHECK_INT(r.stats.reopens, 0);
        MF_CHECK(strstr(r.health.last.text, "wrong numbers for") != NULL);
    }
    mf_npu_twin_set_faults(NULL);
    pause_ms(5);
    MF_CHECK(agreement(&t, &most) > 0.9999);
    MF_CHECK_INT(report(&t).health.state, MF_NPU_READY);
    MF_CHECK_INT(report(&t).stats.reopens, 1);
    bench_close(&t);
}

MF_TEST(npu_offload_faults, refuses_a_device_that_completes_and_computes_nothing)
{
    struct mf_npu_twin_faults f = {.skips_compute = true};
    struct bench t;
    double most;

    bench_prepare(&t, &kit_small);
    mf_npu_twin_set_faults(&f);
    MF_CHECK_INT(mf_npu_offload_open(&t.o, t.e, &t.conf, &t.err), MF_ECORRUPT);
    MF_CHECK(strstr(t.err.msg, "twin: wrong numbers for 256x512x") != NULL);
    assert_null(t.o);
    (void)agreement(&t, &most);
    MF_CHECK(most == 0);
    bench_close(&t);
}

/* What the altered twin does besides. Products here have fewer rows than the canary. */
static struct {
    unsigned n_fail;        /* so many jobs fail */
    bool is_full_by_turns;  /* every second job finds the line full */
    bool is_going, is_away; /* jobs fail; and it says that it is LOST */
    unsigned n_opened, n_submits;
} trouble;

static int submit_in_trouble(struct mf_npu_dev *dev, const struct mf_npu_op *ops,
                             unsigned n, int64_t deadline_ns, struct mf_npu_job **out,
                             struct mf_npu_err *err)
{
    *out = NULL;
    err->code = 0;
    if (ops->rows < 256) {
        trouble.n_submits++;
        if (trouble.is_full_by_turns && trouble.n_submits % 2 == 0) {
            err->code = MF_EBUSY;
        } else if (trouble.is_going || trouble.is_away) {
            err->code = MF_EUNAVAILABLE;
        } else if (trouble.n_fail > 0) {
            trouble.n_fail--;
            err->code = MF_EBACKEND;
        }
    }
    return err->code < 0 ? err->code
                         : mf_npu_twin()->submit(dev, ops, n, deadline_ns, out, err);
}

static int open_counted(const struct mf_npu_conf *conf, struct mf_npu_dev **out,
                        struct mf_npu_err *err)
{
    trouble.n_opened++;
    return mf_npu_twin()->open(conf, out, err);
}

static void health_in_trouble(const struct mf_npu_dev *dev, struct mf_npu_health *out)
{
    mf_npu_twin()->health(dev, out);
    if (trouble.is_away) {
        out->state = MF_NPU_LOST;
        out->last.code = MF_EUNAVAILABLE;
    }
}

static struct mf_npu_offload_conf troubled(void)
{
    struct mf_npu_offload_conf conf = always();

    memset(&trouble, 0, sizeof(trouble));
    altered = *mf_npu_twin();
    altered.submit = submit_in_trouble;
    altered.open = open_counted;
    altered.health = health_in_trouble;
    conf.backend = &altered;
    return conf;
}

MF_TEST(npu_offload_faults, a_full_line_is_no_fault_of_the_device)
{
    struct mf_npu_offload_conf conf = troubled();
    struct mf_npu_report r;
    struct bench t;
    double most;

    bench_open(&t, &kit_small, &conf);
    trouble.is_full_by_turns = true;
    MF_CHECK(agreement(&t, &most) > 0.9999);
    r = report(&t);
    MF_CHECK_INT(r.n_offloaded, PRODUCTS / 2);
    MF_CHECK_INT(r.n_on_cpu, PRODUCTS / 2);
    MF_CHECK_INT(r.health.state, MF_NPU_READY);
    bench_close(&t);
}

MF_TEST(npu_offload_faults,
        a_device_that_restores_itself_is_waited_for_and_not_opened_again)
{
    struct mf_npu_offload_conf conf = troubled();
    struct mf_npu_report r;
    struct bench t;
    double most;

    altered.restores = true;
    bench_open(&t, &kit_small, &conf);
    trouble.is_going = true; /* before it knows of its own end */
    for (int i = 0; i < 3; i++) {
        MF_CHECK(agreement(&t, &most) > 0.9999);
        MF_CHECK_INT(report(&t).n_offloaded, 0);
    }
    trouble.is_away = true;
    trouble.n_submits = 0;
    pause_ms(5); /* longer than the longest backoff */
    MF_CHECK(agreement(&t, &most) > 0.9999);
    MF_CHECK_INT(report(&t).health.state, MF_NPU_LOST);
    MF_CHECK_INT(trouble.n_submits, 0);
    trouble.is_going = trouble.is_away = false;
    MF_CHECK(agreement(&t, &most) > 0.9999);
    r = report(&t);
    MF_CHECK_INT(r.health.state, MF_NPU_READY);
    MF_CHECK_INT(r.n_offloaded, PRODUCTS);
    MF_CHECK_INT(r.stats.reopens, 0);
    MF_CHECK_INT(trouble.n_opened, 1);
    bench_close(&t);
}

MF_TEST(npu_offload_faults,
        wrong_numbers_of_a_device_that_restores_itself_are_ours_to_judge)
{
    struct mf_npu_twin_faults f = {.wrong_every = 1};
    struct mf_npu_offload_conf conf = troubled();
    struct bench t;
    double most;

    altered.restores = true;
    conf.check_every = 1;
    bench_open(&t, &kit_small, &conf);
    kit_texts(&t.texts, 1, 1, 3);
    mf_npu_twin_set_faults(&f);
    (void)agreement(&t, &most);
    MF_CHECK_INT(report(&t).health.state, MF_NPU_LOST);
    mf_npu_twin_set_faults(NULL);
    pause_ms(5);
    MF_CHECK(agreement(&t, &most) > 0.9999);
    MF_CHECK_INT(report(&t).stats.reopens, 1);
    MF_CHECK_INT(trouble.n_opened, 2);
    bench_close(&t);
}

MF_TEST(npu_offload_faults, a_measured_batch_that_failed_is_measured_again)
{
    struct mf_npu_offload_conf conf = troubled();
    struct mf_npu_report r;
    struct bench t;

    trouble.n_fail = 3;
    bench_open(&t, &kit_small, &conf);
    r = report(&t);
    MF_CHECK(trouble.n_fail == 0 && r.npu_us > 0);
    MF_CHECK(r.agreement > 0.999 && r.agreement < 1); /* a device did compute it */
    bench_close(&t);
}

MF_TEST(npu_offload_faults, a_device_that_was_never_measured_is_not_used)
{
    struct mf_npu_offload_conf conf = troubled();
    struct bench t;

    bench_prepare(&t, &kit_small);
    trouble.n_fail = UINT32_MAX;
    MF_CHECK_INT(mf_npu_offload_open(&t.o, t.e, &conf, &t.err), MF_EBACKEND);
    assert_non_null(strstr(t.err.msg, "failed the batch that measures it"));
    trouble.n_fail = 0;
    altered.restores = trouble.is_going = true; /* away as soon as it is asked */
    MF_CHECK_INT(mf_npu_offload_open(&t.o, t.e, &conf, &t.err), MF_EUNAVAILABLE);
    assert_null(t.o);
    bench_close(&t);
}
