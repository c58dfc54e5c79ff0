/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"
#include "base/mem.h"
#include "encoder/encoder_in.h"
#include "lib/mf_test.h"
#include "npu/offload.h"
#include "npu/offload_in.h"
#include "npu/twin.h"
#include "unit/encoder_kit.h"

#include <math.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#define WIDTH    512 /* the widest model here */
#define LAYERS   2
#define PRODUCTS ((uint64_t)LAYERS * MF_DENSE_ROLES)

struct bench {
    struct mf_weights *w;
    struct mf_encoder *e, *cpu; /* with the device; without one */
    struct mf_npu_offload *o;
    struct mf_npu_offload_conf conf;
    struct kit_texts texts;
    struct mf_err err;
};

static struct mf_npu_backend altered; /* the twin with a function of its own */

static struct mf_npu_offload_conf always(void)
{
    return (struct mf_npu_offload_conf){.backend = mf_npu_twin(),
                                        .npu = {.queue_depth = 4},
                                        .deadline_ms = 3000,
                                        .min_rows = 1,
                                        .first_backoff_ms = 1,
                                        .max_backoff_ms = 2};
}

/* An encoder that gives the same bits: of the same kernel, which is chosen by a
 * measurement that comes out this way or that for a model as small as these. */
static struct mf_encoder *peer_of(const struct mf_encoder *e,
                                  const struct mf_weights *w)
{
    struct mf_encoder *peer = kit_open(w, MF_WISH_F32);

    while (strcmp(mf_encoder_info(peer)->kernel, mf_encoder_info(e)->kernel) != 0) {
        mf_encoder_close(peer);
        peer = kit_open(w, MF_WISH_F32);
    }
    return peer;
}

static void bench_prepare(struct bench *t, const struct kit_shape *shape)
{
    memset(t, 0, sizeof(*t));
    t->conf = always();
    t->w = kit_model(shape);
    t->e = kit_open(t->w, MF_WISH_F32);
    t->cpu = peer_of(t->e, t->w);
    kit_texts(&t->texts, 8, 20, 3);
}

static void bench_open(struct bench *t, const struct kit_shape *shape,
                       const struct mf_npu_offload_conf *conf)
{
    bench_prepare(t, shape);
    if (conf != NULL) {
        t->conf = *conf;
    }
    if (mf_npu_offload_open(&t->o, t->e, &t->conf, &t->err) < 0) {
        fail_msg("%s", t->err.msg);
    }
}

static void bench_close(struct bench *t)
{
    mf_npu_offload_close(t->o);
    mf_npu_twin_set_faults(NULL);
    mf_encoder_close(t->e);
    mf_encoder_close(t->cpu);
    kit_model_free(t->w);
}

static void run(const struct mf_encoder *e, const struct mf_ids *ids, float *out)
{
    struct mf_scratch *s;
    int rc[KIT_TEXTS_MAX];

    MF_CHECK_OK(mf_scratch_new(&s, e, KIT_IDS_MAX));
    mf_encoder_run(e, s, ids, 0, out, rc);
    for (size_t i = 0; i < ids->n; i++) {
        MF_CHECK_OK(rc[i]); /* whatever the device does */
    }
    mf_scratch_free(s);
}

/* The smallest cosine of both encoders' vectors; the largest difference. */
static double agreement(const struct bench *t, double *most)
{
    static float a[KIT_TEXTS_MAX * WIDTH], b[KIT_TEXTS_MAX * WIDTH];
    uint32_t dim = mf_encoder_model(t->e)->hidden;
    double least = 1;

    run(t->e, &t->texts.ids, a);
    run(t->cpu, &t->texts.ids, b);
    *most = 0;
    for (size_t i = 0; i < t->texts.ids.n; i++) {
        least = fmin(least, kit_cosine(a + i * dim, b + i * dim, dim));
        for (size_t d = 0; d < dim; d++) {
            *most = fmax(*most, fabs((double)a[i * dim + d] - (double)b[i * dim + d]));
        }
    }
    return least;
}

static struct mf_npu_report report(const struct bench *t)
{
    struct mf_npu_report r;

    mf_npu_offload_report(t->o, &r);
    return r;
}

static void pause_ms(long ms)
{
    struct timespec t = {0, ms * 1000000};

    (void)nanosleep(&t, NULL);
}

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

/* ---- faults ---- */

MF_TEST(npu_offload, one_wrong_number_loses_the_device_and_is_computed_again)
{
    struct mf_npu_twin_faults f = {.wrong_every = 1};
    struct mf_npu_offload_conf conf = always();
    struct mf_npu_report r;
    struct bench t;
    double most;

    conf.check_every = 1;
    conf.first_backoff_ms = conf.max_backoff_ms = 3600000;
    bench_open(&t, &kit_small, &conf);
    kit_texts(&t.texts, 1, 1, 3); /* one row: the one that is looked at */
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

MF_TEST(npu_offload, seldom_looks_find_a_wrong_number_at_last)
{
    struct mf_npu_twin_faults f = {.wrong_every = 1};
    struct mf_npu_offload_conf conf = always();
    struct bench t;
    double most;
    int n = 0;

    conf.check_every = 3;
    conf.first_backoff_ms = conf.max_backoff_ms = 3600000;
    bench_open(&t, &kit_small, &conf);
    kit_texts(&t.texts, 1, 4, 9);
    mf_npu_twin_set_faults(&f);
    while (report(&t).health.state == MF_NPU_READY) {
        (void)agreement(&t, &most);
        MF_CHECK(n++ < 200);
    }
    MF_CHECK_INT(report(&t).health.last.code, MF_ECORRUPT);
    bench_close(&t);
}

MF_TEST(npu_offload, looks_agree_with_a_device_that_computes)
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

MF_TEST(npu_offload, every_job_of_a_young_device_is_looked_at_and_few_of_an_old_one)
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

MF_TEST(npu_offload, what_is_no_number_is_never_used)
{
    struct mf_npu_twin_faults f = {.skips_input_sync = true};
    struct mf_npu_offload_conf conf = always();
    struct mf_npu_report r;
    struct bench t;
    double most;

    conf.first_backoff_ms = conf.max_backoff_ms = 3600000;
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

MF_TEST(npu_offload, failed_jobs_are_done_here_and_many_in_a_row_lose_the_device)
{
    struct mf_npu_twin_faults third = {.fail_every = 3}, all = {.fail_every = 1};
    struct mf_npu_offload_conf conf = always();
    struct mf_npu_report r;
    struct bench t;
    double most;

    conf.first_backoff_ms = conf.max_backoff_ms = 3600000;
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

MF_TEST(npu_offload, a_job_that_hangs_costs_its_deadline_and_the_device_comes_back)
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

MF_TEST(npu_offload, a_device_that_still_lies_is_not_taken_back)
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

MF_TEST(npu_offload, refuses_a_device_that_completes_and_computes_nothing)
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

MF_TEST(npu_offload, a_full_line_is_no_fault_of_the_device)
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

MF_TEST(npu_offload, a_device_that_restores_itself_is_waited_for_and_not_opened_again)
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

MF_TEST(npu_offload, wrong_numbers_of_a_device_that_restores_itself_are_ours_to_judge)
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

MF_TEST(npu_offload, a_measured_batch_that_failed_is_measured_again)
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

MF_TEST(npu_offload, a_device_that_was_never_measured_is_not_used)
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
    struct bench t;
    double most;

    conf.check_every = 1;
    conf.npu.queue_depth = 1;
    bench_open(&t, &kit_small, &conf);
    mf_npu_twin_set_faults(&f);
    for (size_t i = 0; i < 2; i++) {
        kit_texts(&t.texts, 1, 1, (uint32_t)i);
        (void)agreement(&t, &most);
    }
    f.wrong_every = 0; /* rows not looked at may be wrong: the threads compare all */
    mf_npu_twin_set_faults(&f);
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
