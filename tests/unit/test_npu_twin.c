/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"
#include "base/mem.h"
#include "lib/mf_test.h"
#include "npu/canary.h"
#include "npu/clock.h"
#include "npu/pack.h"
#include "npu/twin.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

#define M    ((size_t)256)
#define K    ((size_t)512)
#define N    ((size_t)64)
#define ROWS ((size_t)5)
#define LONG ((int64_t)60 * 1000000000)
#define SOON ((int64_t)50 * 1000000)

static const struct mf_npu_gemm plain = {
    .m = M, .k = K, .n = N, .a = MF_NPU_BF16, .b = MF_NPU_BF16, .c = MF_NPU_F32};

struct bench {
    const struct mf_npu_backend *b;
    struct mf_npu_dev *dev;
    struct mf_npu_mem *a, *w, *c;
    struct mf_npu_plan *plan;
    struct mf_npu_op op;
};

static float weight(size_t i)
{
    return (float)((int)(i * 2654435761U >> 16) % 65 - 32) / 32;
}

static float input(size_t i)
{
    return (float)((int)(i * 40503U >> 4) % 33 - 16) / 16;
}

static void bench_open(struct bench *t, const struct mf_npu_gemm *g)
{
    struct mf_npu_conf conf = {.queue_depth = 2};
    float *w = mf_array(K * N, sizeof(*w));
    uint16_t *a;

    memset(t, 0, sizeof(*t));
    t->b = mf_npu_twin();
    assert_non_null(w);
    for (size_t i = 0; i < K * N; i++) {
        w[i] = weight(i);
    }
    MF_CHECK_OK(t->b->open(&conf, &t->dev, NULL));
    MF_CHECK_OK(t->b->plan(t->dev, g, &t->plan, NULL));
    MF_CHECK_OK(t->b->weight_pack(t->dev, g, w, N, &t->w, NULL));
    MF_CHECK_OK(t->b->mem_new(t->dev, MF_NPU_MEM_IN, M * K * 2, &t->a, NULL));
    MF_CHECK_OK(t->b->mem_new(t->dev, MF_NPU_MEM_OUT, M * N * 4, &t->c, NULL));
    a = t->b->mem_map(t->a);
    for (size_t i = 0; i < ROWS * K; i++) {
        a[i] = mf_npu_bf16(input(i));
    }
    t->op = (struct mf_npu_op){
        .plan = t->plan, .a = t->a, .w = t->w, .c = t->c, .rows = ROWS};
    mf_free(w);
}

static void bench_close(struct bench *t)
{
    t->b->mem_put(t->a);
    t->b->mem_put(t->w);
    t->b->mem_put(t->c);
    t->b->close(t->dev);
    mf_npu_twin_set_faults(NULL);
}

static int run_until(struct bench *t, int64_t limit_ns, struct mf_npu_err *err)
{
    struct mf_npu_job *job;
    int rc = t->b->submit(t->dev, &t->op, 1, mf_npu_now_ns() + limit_ns, &job, err);

    if (rc == 0) {
        rc = t->b->wait(job, err);
        t->b->job_put(job);
    }
    return rc;
}

static double expected(size_t row, size_t column)
{
    double sum = 0;

    for (size_t k = 0; k < K; k++) {
        sum += (double)input(row * K + k) * (double)weight(k * N + column);
    }
    return sum;
}

/* The largest difference of the used rows. */
static double distance(struct bench *t, bool has_gelu)
{
    const float *c = t->b->mem_map(t->c);
    double most = 0;

    for (size_t i = 0; i < ROWS * N; i++) {
        double want = expected(i / N, i % N);

        want = has_gelu ? mf_npu_gelu(want) : want;
        if (!(fabs((double)c[i] - want) <= most)) {
            most = fabs((double)c[i] - want);
        }
    }
    return most;
}

MF_TEST(npu_twin, multiplies_as_a_plain_loop_does)
{
    struct bench t;

    bench_open(&t, &plain);
    MF_CHECK_OK(run_until(&t, LONG, NULL));
    MF_CHECK(distance(&t, false) < 1e-4);
    MF_CHECK(((float *)t.b->mem_map(t.c))[ROWS * N] ==
             0); /* rows not used: as it was */
    bench_close(&t);
}

MF_TEST(npu_twin, applies_gelu_where_the_program_has_it)
{
    struct mf_npu_gemm g = plain;
    struct bench t;

    g.epi = MF_NPU_EPI_GELU;
    bench_open(&t, &g);
    MF_CHECK_OK(run_until(&t, LONG, NULL));
    MF_CHECK(distance(&t, true) < 1e-4);
    bench_close(&t);
}

MF_TEST(npu_twin, says_what_it_is)
{
    struct mf_npu_conf conf = {.queue_depth = 0};
    struct mf_npu_caps caps;

    MF_CHECK_OK(mf_npu_twin()->probe(&conf, &caps, NULL));
    MF_CHECK(caps.simulated && !caps.verified);
    MF_CHECK_INT(caps.m_mult, 256);
    MF_CHECK_INT(caps.k_mult, 512);
    MF_CHECK_INT(caps.n_mult, 64);
    MF_CHECK_INT(caps.queue_depth, 4);
    MF_CHECK_STR(caps.backend, "twin");
}

MF_TEST(npu_twin, sees_of_a_memory_what_was_flushed_only)
{
    struct bench t;
    uint16_t *w;

    bench_open(&t, &plain);
    w = t.b->mem_map(t.w);
    memset(w, 0, K * N * 2);
    MF_CHECK_OK(run_until(&t, LONG, NULL));
    MF_CHECK(distance(&t, false) < 1e-4); /* the zeros did not arrive */
    MF_CHECK_OK(t.b->mem_flush(t.w, 0, K * N * 2));
    MF_CHECK_OK(run_until(&t, LONG, NULL));
    MF_CHECK(((float *)t.b->mem_map(t.c))[1] == 0);
    MF_CHECK_INT(t.b->mem_flush(t.w, 1, K * N * 2), MF_EINVAL);
    MF_CHECK_INT(t.b->mem_inval(t.w, SIZE_MAX, 2), MF_EINVAL);
    bench_close(&t);
}

MF_TEST(npu_twin, a_forgotten_sync_of_inputs_gives_wrong_numbers)
{
    struct mf_npu_twin_faults f = {.skips_input_sync = true};
    struct bench t;

    bench_open(&t, &plain);
    mf_npu_twin_set_faults(&f);
    MF_CHECK_OK(run_until(&t, LONG, NULL));
    MF_CHECK(!(distance(&t, false) < 1));
    bench_close(&t);
}

MF_TEST(npu_twin, memory_given_back_to_the_host_is_what_the_device_wrote)
{
    struct bench t;
    float *c;

    bench_open(&t, &plain);
    MF_CHECK_OK(run_until(&t, LONG, NULL));
    c = t.b->mem_map(t.c);
    memset(c, 0, ROWS * N * 4);
    MF_CHECK_OK(t.b->mem_inval(t.c, 0, ROWS * N * 4));
    MF_CHECK(distance(&t, false) < 1e-4);
    bench_close(&t);
}

MF_TEST(npu_twin, refuses_shapes_without_a_program)
{
    struct mf_npu_gemm g[] = {plain, plain, plain, plain, plain};
    struct mf_npu_plan *plan;
    struct mf_npu_err err = {0};
    struct bench t;

    g[0].m = 100;
    g[1].k = 384;
    g[2].n = 63;
    g[3].m = 1024;
    g[4].a = MF_NPU_I8;
    bench_open(&t, &plain);
    for (size_t i = 0; i < mf_countof(g); i++) {
        MF_CHECK_INT(t.b->plan(t.dev, &g[i], &plan, &err), MF_EUNPROCESSABLE);
        assert_null(plan);
    }
    MF_CHECK(strstr(err.text, "256x512x64") != NULL);
    bench_close(&t);
}

MF_TEST(npu_twin, refuses_operations_that_leave_their_memories)
{
    struct mf_npu_job *job;
    struct bench t;
    struct mf_npu_op op;

    bench_open(&t, &plain);
    op = t.op;
    op.rows = M + 1;
    MF_CHECK_INT(t.b->submit(t.dev, &op, 1, LONG, &job, NULL), MF_EINVAL);
    op = t.op;
    op.a_at = 2;
    MF_CHECK_INT(t.b->submit(t.dev, &op, 1, LONG, &job, NULL), MF_EINVAL);
    op = t.op;
    op.c = t.w;
    op.c_at = 4;
    MF_CHECK_INT(t.b->submit(t.dev, &op, 1, LONG, &job, NULL), MF_EINVAL);
    MF_CHECK_INT(t.b->submit(t.dev, &t.op, 0, LONG, &job, NULL), MF_EINVAL);
    bench_close(&t);
}

MF_TEST(npu_twin, canary_accepts_what_computes_and_refuses_what_pretends)
{
    struct mf_npu_twin_faults f = {.skips_compute = true};
    struct mf_npu_health h;
    struct mf_npu_stats s;
    struct bench t;

    bench_open(&t, &plain);
    MF_CHECK_OK(t.b->verify(t.dev, &h));
    MF_CHECK(h.state == MF_NPU_READY && h.last_cosine > 0.999999);
    MF_CHECK(h.max_abs_err < 1e-6);
    mf_npu_twin_set_faults(&f);
    MF_CHECK_INT(t.b->verify(t.dev, &h), MF_ECORRUPT);
    MF_CHECK_INT(h.state, MF_NPU_LOST);
    MF_CHECK(strstr(h.last.text, "wrong numbers for 256x512x64") != NULL);
    t.b->stats(t.dev, &s);
    MF_CHECK_INT(s.verify_runs, 2);
    MF_CHECK_INT(s.verify_bad, 1);
    bench_close(&t);
}

MF_TEST(npu_twin, canary_sees_one_wrong_element)
{
    struct mf_npu_twin_faults f = {.wrong_every = 1};
    struct mf_npu_health h;
    struct bench t;

    bench_open(&t, &plain);
    mf_npu_twin_set_faults(&f);
    MF_CHECK_INT(t.b->verify(t.dev, &h), MF_ECORRUPT);
    MF_CHECK(strstr(h.last.text, ": 1 of 16384") != NULL);
    bench_close(&t);
}

MF_TEST(npu_twin, a_full_line_is_busy_and_nothing_is_lost)
{
    struct mf_npu_twin_faults f = {.hang_at = 1};
    struct mf_npu_job *job[2], *more;
    int64_t until = mf_npu_now_ns() + LONG;
    struct mf_npu_stats s;
    struct bench t;

    bench_open(&t, &plain);
    mf_npu_twin_set_faults(&f);
    for (size_t i = 0; i < 2; i++) {
        MF_CHECK_OK(t.b->submit(t.dev, &t.op, 1, until, &job[i], NULL));
    }
    MF_CHECK_INT(t.b->submit(t.dev, &t.op, 1, until, &more, NULL), MF_EBUSY);
    while (mf_npu_twin_n_hanging() == 0) { /* the thread has not begun yet */
    }
    mf_npu_twin_set_faults(NULL); /* the first goes on */
    for (size_t i = 0; i < 2; i++) {
        MF_CHECK_OK(t.b->wait(job[i], NULL));
        t.b->job_put(job[i]);
    }
    t.b->stats(t.dev, &s);
    MF_CHECK_INT(s.jobs_ok, 2);
    MF_CHECK_INT(s.queued + s.in_flight, 0);
    MF_CHECK(distance(&t, false) < 1e-4);
    bench_close(&t);
}

MF_TEST(npu_twin, a_job_that_never_ends_loses_the_device_and_nothing_else)
{
    struct mf_npu_twin_faults f = {.hang_at = 2};
    struct mf_npu_job *hangs, *waits;
    struct mf_npu_err err = {0};
    struct mf_npu_health h;
    struct mf_npu_stats s;
    struct bench t;

    bench_open(&t, &plain);
    mf_npu_twin_set_faults(&f);
    MF_CHECK_OK(run_until(&t, LONG, NULL));
    MF_CHECK_OK(t.b->submit(t.dev, &t.op, 1, mf_npu_now_ns() + SOON, &hangs, NULL));
    MF_CHECK_OK(t.b->submit(t.dev, &t.op, 1, mf_npu_now_ns() + LONG, &waits, NULL));
    MF_CHECK_INT(t.b->wait(hangs, &err), MF_ETIMEOUT);
    MF_CHECK(strstr(err.text, "deadline") != NULL);
    MF_CHECK_INT(t.b->wait(waits, &err), MF_EUNAVAILABLE);
    t.b->job_put(hangs);
    t.b->job_put(waits);
    MF_CHECK_INT(run_until(&t, LONG, &err), MF_EUNAVAILABLE);
    t.b->health(t.dev, &h);
    MF_CHECK_INT(h.state, MF_NPU_LOST);
    MF_CHECK_INT(h.last.code, MF_ETIMEOUT);
    t.b->stats(t.dev, &s);
    MF_CHECK_INT(s.jobs_timeout, 1);
    MF_CHECK_INT(s.quarantined, 1);
    t.b->mem_put(t.a);
    t.b->mem_put(t.w);
    t.b->mem_put(t.c);
    t.b->close(t.dev);
    MF_CHECK_INT(mf_npu_twin_n_hanging(), 1);
    MF_CHECK(mf_test_live_blocks() > 0); /* what it computes with is not pulled away */
    mf_npu_twin_set_faults(NULL);
    MF_CHECK_INT(mf_npu_twin_n_hanging(), 0);
}

MF_TEST(npu_twin, close_waits_for_jobs_and_leaves_those_behind_their_deadline)
{
    struct mf_npu_twin_faults f = {.hang_at = 1};
    struct mf_npu_job *job;
    struct bench t;

    bench_open(&t, &plain);
    MF_CHECK_OK(t.b->submit(t.dev, &t.op, 1, mf_npu_now_ns() + LONG, &job, NULL));
    t.b->job_put(job); /* nobody waits for it; it runs all the same */
    bench_close(&t);
    bench_open(&t, &plain);
    mf_npu_twin_set_faults(&f);
    MF_CHECK_OK(t.b->submit(t.dev, &t.op, 1, mf_npu_now_ns() + SOON, &job, NULL));
    t.b->job_put(job);
    t.b->close(t.dev); /* its memories were not put: the device's */
    MF_CHECK_INT(mf_npu_twin_n_hanging(), 1);
    mf_npu_twin_set_faults(NULL);
}

MF_TEST(npu_twin, canceled_jobs_leave_the_line_or_lose_their_result)
{
    struct mf_npu_twin_faults f = {.hang_at = 1};
    struct mf_npu_job *runs, *queued;
    int64_t until = mf_npu_now_ns() + LONG;
    struct mf_npu_stats s;
    struct bench t;

    bench_open(&t, &plain);
    mf_npu_twin_set_faults(&f);
    MF_CHECK_OK(t.b->submit(t.dev, &t.op, 1, until, &runs, NULL));
    while (mf_npu_twin_n_hanging() == 0) {
    }
    MF_CHECK_OK(t.b->submit(t.dev, &t.op, 1, until, &queued, NULL));
    MF_CHECK_OK(t.b->cancel(queued));
    MF_CHECK_OK(t.b->cancel(runs));
    MF_CHECK_INT(t.b->wait(queued, NULL), MF_ECANCELED);
    MF_CHECK_INT(t.b->wait(runs, NULL), MF_ECANCELED);
    MF_CHECK_OK(t.b->cancel(runs)); /* again: nothing */
    t.b->job_put(runs);
    t.b->job_put(queued);
    mf_npu_twin_set_faults(NULL);
    MF_CHECK(((float *)t.b->mem_map(t.c))[0] == 0);
    MF_CHECK_OK(run_until(&t, LONG, NULL));
    t.b->stats(t.dev, &s);
    MF_CHECK_INT(s.jobs_canceled, 2);
    MF_CHECK_INT(s.jobs_ok, 1);
    bench_close(&t);
}

MF_TEST(npu_twin, is_degraded_after_a_failure_and_ready_after_many_good_jobs)
{
    struct mf_npu_twin_faults f = {.fail_every = 1};
    struct mf_npu_health h;
    struct mf_npu_stats s;
    struct bench t;

    bench_open(&t, &plain);
    mf_npu_twin_set_faults(&f);
    MF_CHECK_INT(run_until(&t, LONG, NULL), MF_EBACKEND);
    t.b->health(t.dev, &h);
    MF_CHECK_INT(h.state, MF_NPU_DEGRADED);
    MF_CHECK_INT(h.last.code, MF_EBACKEND);
    mf_npu_twin_set_faults(NULL);
    for (int i = 0; i < 16; i++) {
        MF_CHECK_OK(run_until(&t, LONG, NULL));
    }
    t.b->health(t.dev, &h);
    MF_CHECK_INT(h.state, MF_NPU_READY);
    t.b->stats(t.dev, &s);
    MF_CHECK_INT(s.jobs_failed, 1);
    MF_CHECK_INT(s.jobs_ok, 16);
    MF_CHECK_INT(s.bytes_out, 16 * ROWS * N * 4);
    bench_close(&t);
}

static void *submit_many(void *arg)
{
    struct bench t = *(struct bench *)arg;
    struct mf_npu_mem *c;
    void *failed = NULL;

    MF_CHECK_OK(t.b->mem_new(t.dev, MF_NPU_MEM_OUT, M * N * 4, &c, NULL));
    t.op.c = t.c = c;
    for (int i = 0; i < 20; i++) {
        int rc = run_until(&t, LONG, NULL);

        if (rc != MF_EBUSY && (rc < 0 || !(distance(&t, false) < 1e-4))) {
            failed = arg;
        }
    }
    t.b->mem_put(c);
    return failed;
}

MF_TEST(npu_twin, several_threads_submit_at_once)
{
    struct bench t;
    pthread_t threads[3];
    void *failed;

    bench_open(&t, &plain);
    for (size_t i = 0; i < mf_countof(threads); i++) {
        MF_CHECK_OK(pthread_create(&threads[i], NULL, submit_many, &t));
    }
    for (size_t i = 0; i < mf_countof(threads); i++) {
        MF_CHECK_OK(pthread_join(threads[i], &failed));
        assert_null(failed);
    }
    bench_close(&t);
}

static int open_and_verify(void)
{
    struct mf_npu_conf conf = {.queue_depth = 1};
    const struct mf_npu_backend *b = mf_npu_twin();
    struct mf_npu_dev *dev;
    struct mf_npu_plan *plan;
    struct mf_npu_health h;
    int rc = b->open(&conf, &dev, NULL);

    if (rc < 0) {
        return rc;
    }
    rc = b->plan(dev, &plain, &plan, NULL);
    if (rc == 0) {
        rc = b->verify(dev, &h);
    }
    b->close(dev);
    return rc;
}

MF_TEST(npu_twin, reports_when_there_is_no_memory)
{
    int rc = MF_ENOMEM;

    for (unsigned nth = 1; rc != 0; nth++) {
        mf_test_fail_nth(nth);
        rc = open_and_verify();
        mf_test_fail_nth(0);
        MF_CHECK(rc == 0 || rc == MF_ENOMEM);
        MF_CHECK(nth < 100);
    }
}

MF_TEST(npu_gauge, tells_wrong_numbers_from_rounded_ones)
{
    struct mf_npu_gauge good = {0}, nan = {0}, zeros = {0}, none = {0};

    for (int i = 1; i <= 100; i++) {
        double want = i % 2 == 0 ? i : -i;

        mf_npu_gauge_add(&good, want * 1.001, want, i, MF_NPU_EPI_NONE);
        mf_npu_gauge_add(&nan, i == 50 ? (double)NAN : want, want, i, MF_NPU_EPI_NONE);
        mf_npu_gauge_add(&zeros, 0, want / 1000, i, MF_NPU_EPI_NONE);
    }
    MF_CHECK(mf_npu_gauge_is_good(&good));
    MF_CHECK(!mf_npu_gauge_is_good(&nan) && nan.n_wrong == 1);
    MF_CHECK(!mf_npu_gauge_is_good(&zeros) && zeros.n_wrong == 0);
    MF_CHECK(!mf_npu_gauge_is_good(&none));
    MF_CHECK(fabs(good.max_abs_err - 0.1) < 1e-9);
}
