/* SPDX-License-Identifier: Apache-2.0 */
/* The module through its table, on the fake library: numbers, memories, jobs. */
#include "lib/mf_test.h"
#include "npu/clock.h"
#include "npu/xrt_kit.h"

#include <string.h>

#define MAX_ERROR 1e-5

static const struct mf_npu_backend *xrt(void)
{
    return kit_backend(KIT_MODULE);
}

static void check_product(enum mf_npu_layout layout, const struct mf_npu_gemm *g,
                          size_t at)
{
    struct mf_npu_dev *dev = kit_open(xrt(), layout, NULL);
    struct mf_npu_err err = {0};
    struct kit_product p;

    kit_product_init_at(&p, xrt(), dev, g, at);
    MF_CHECK_OK(kit_run(&p, dev, g->m, 10 * SECOND_NS, &err));
    MF_CHECK(kit_error(&p, g->m) <= MAX_ERROR);
    kit_product_fini(&p);
    xrt()->close(dev);
}

MF_TEST(npu_xrt, multiplies_as_a_loop_in_double_precision_does)
{
    check_product(MF_NPU_LAYOUT_PLAIN, &kit_plain, 0);
}

MF_TEST(npu_xrt, packs_weights_in_the_layout_of_the_manifest)
{
    check_product(MF_NPU_LAYOUT_TILED_8X8, &kit_plain, 0);
}

MF_TEST(npu_xrt, applies_the_epilogue_of_the_shape)
{
    check_product(MF_NPU_LAYOUT_PLAIN, &kit_gelu, 0);
}

MF_TEST(npu_xrt, reads_and_writes_behind_the_beginning_of_a_memory)
{
    check_product(MF_NPU_LAYOUT_PLAIN, &kit_plain, 8192);
}

MF_TEST(npu_xrt, sees_new_rows_in_each_run_of_the_same_memories)
{
    struct mf_npu_dev *dev = kit_open(xrt(), MF_NPU_LAYOUT_PLAIN, NULL);
    struct mf_npu_err err = {0};
    struct kit_product p;
    uint16_t *a;

    kit_product_init(&p, xrt(), dev, &kit_plain);
    a = xrt()->mem_map(p.a);
    for (int i = 0; i < 5; i++) {
        for (size_t j = 0; j < (size_t)p.g.m * p.g.k; j++) {
            a[j] ^= 0x8000; /* the sign */
            p.a_numbers[j] = -p.a_numbers[j];
        }
        MF_CHECK_OK(kit_run(&p, dev, p.g.m, 10 * SECOND_NS, &err));
        MF_CHECK(kit_error(&p, p.g.m) <= MAX_ERROR);
    }
    kit_product_fini(&p);
    xrt()->close(dev);
}

MF_TEST(npu_xrt, syncs_no_more_than_the_rows_that_are_used)
{
    struct mf_npu_dev *dev = kit_open(xrt(), MF_NPU_LAYOUT_PLAIN, NULL);
    struct mf_npu_stats stats;
    struct mf_npu_err err = {0};
    struct kit_product p;
    unsigned char *c;

    kit_product_init(&p, xrt(), dev, &kit_plain);
    c = xrt()->mem_map(p.c);
    memset(c, 0x5a, (size_t)p.g.m * p.g.n * 4);
    MF_CHECK_OK(kit_run(&p, dev, 3, 10 * SECOND_NS, &err));
    MF_CHECK(kit_error(&p, 3) <= MAX_ERROR);
    for (size_t i = 3UL * p.g.n * 4; i < (size_t)p.g.m * p.g.n * 4; i++) {
        MF_CHECK_INT(c[i], 0x5a);
    }
    xrt()->stats(dev, &stats);
    MF_CHECK_INT(stats.bytes_in, 3 * p.g.k * 2);
    MF_CHECK_INT(stats.bytes_out, 3 * p.g.n * 4);
    MF_CHECK_INT(stats.jobs_ok, 1);
    MF_CHECK_INT(stats.ops, 1);
    kit_product_fini(&p);
    xrt()->close(dev);
}

MF_TEST(npu_xrt, runs_several_products_in_one_job)
{
    struct mf_npu_dev *dev = kit_open(xrt(), MF_NPU_LAYOUT_PLAIN, NULL);
    struct mf_npu_job *job = NULL;
    struct mf_npu_err err = {0};
    struct mf_npu_op ops[2];
    struct kit_product p, q;

    kit_product_init(&p, xrt(), dev, &kit_plain);
    kit_product_init(&q, xrt(), dev, &kit_gelu);
    ops[0] = kit_op(&p, p.g.m);
    ops[1] = kit_op(&q, q.g.m);
    MF_CHECK_OK(
        xrt()->submit(dev, ops, 2, mf_npu_now_ns() + 10 * SECOND_NS, &job, &err));
    MF_CHECK_OK(xrt()->wait(job, &err));
    MF_CHECK_OK(xrt()->wait(job, &err)); /* and says so again */
    xrt()->job_put(job);
    MF_CHECK(kit_error(&p, p.g.m) <= MAX_ERROR);
    MF_CHECK(kit_error(&q, q.g.m) <= MAX_ERROR);
    kit_product_fini(&p);
    kit_product_fini(&q);
    xrt()->close(dev);
}

MF_TEST(npu_xrt, keeps_memories_of_a_job_until_it_is_finished)
{
    struct mf_npu_dev *dev = kit_open(xrt(), MF_NPU_LAYOUT_PLAIN, "delay=50");
    struct mf_npu_job *job = NULL;
    struct mf_npu_err err = {0};
    struct kit_product p;

    kit_product_init(&p, xrt(), dev, &kit_plain);
    MF_CHECK_OK(kit_submit(&p, dev, 1, 10 * SECOND_NS, &job, &err));
    kit_product_fini(&p);
    MF_CHECK_OK(xrt()->wait(job, &err));
    xrt()->job_put(job);
    xrt()->close(dev);
}

MF_TEST(npu_xrt, says_what_it_is_and_never_calls_an_emulation_hardware)
{
    struct mf_npu_conf conf = {.dir = kit_artefacts(MF_NPU_LAYOUT_PLAIN)};
    struct mf_npu_caps caps;
    struct mf_npu_err err = {0};

    MF_CHECK_OK(xrt()->probe(&conf, &caps, &err));
    MF_CHECK_STR(caps.backend, "xrt");
    MF_CHECK_STR(caps.device, "fake NPU");
    MF_CHECK_INT(caps.m_mult, 32);
    MF_CHECK_INT(caps.m_max, 32);
    MF_CHECK_INT(caps.dtype_mask, 1U << MF_NPU_F32 | 1U << MF_NPU_BF16);
    MF_CHECK(caps.queue_depth > 0);
    MF_CHECK(caps.simulated);
    MF_CHECK(!caps.verified);
}

MF_TEST(npu_xrt, is_verified_when_the_canary_of_every_shape_was_right)
{
    struct mf_npu_dev *dev = kit_open(xrt(), MF_NPU_LAYOUT_TILED_8X8, NULL);
    struct mf_npu_health health;
    struct mf_npu_stats stats;
    struct mf_npu_caps caps;

    MF_CHECK_OK(xrt()->verify(dev, &health));
    MF_CHECK_INT(health.state, MF_NPU_READY);
    MF_CHECK(health.last_cosine > 0.99999);
    xrt()->caps(dev, &caps);
    MF_CHECK(caps.verified);
    xrt()->stats(dev, &stats);
    MF_CHECK_INT(stats.verify_runs, 1);
    MF_CHECK_INT(stats.jobs_ok, 2);
    xrt()->close(dev);
}

MF_TEST(npu_xrt, has_no_plan_for_a_shape_without_program)
{
    struct mf_npu_dev *dev = kit_open(xrt(), MF_NPU_LAYOUT_PLAIN, NULL);
    struct mf_npu_gemm g = kit_plain;
    struct mf_npu_plan *plan = NULL, *again = NULL;
    struct mf_npu_err err = {0};

    g.n = 96;
    MF_CHECK_INT(xrt()->plan(dev, &g, &plan, &err), MF_EUNPROCESSABLE);
    MF_CHECK(strstr(err.text, "32 x 64 x 96") != NULL);
    MF_CHECK_OK(xrt()->plan(dev, &kit_plain, &plan, &err));
    MF_CHECK_OK(xrt()->plan(dev, &kit_plain, &again, &err));
    MF_CHECK_PTR(plan, again);
    xrt()->close(dev);
}

static void check_refused(struct mf_npu_dev *dev, struct mf_npu_op op, const char *why)
{
    struct mf_npu_job *job = NULL;
    struct mf_npu_err err = {0};

    MF_CHECK_INT(xrt()->submit(dev, &op, 1, INT64_MAX, &job, &err), MF_EINVAL);
    if (strstr(err.text, why) == NULL) {
        fail_msg("'%s' does not say '%s'", err.text, why);
    }
}

MF_TEST(npu_xrt, refuses_a_job_that_does_not_fit_and_says_why)
{
    struct mf_npu_dev *dev = kit_open(xrt(), MF_NPU_LAYOUT_PLAIN, NULL);
    struct mf_npu_err err = {0};
    struct mf_npu_op op;
    struct kit_product p;

    kit_product_init(&p, xrt(), dev, &kit_plain);
    op = kit_op(&p, 0);
    check_refused(dev, op, "rows: 0, must be 1 to 32");
    op.rows = 33;
    check_refused(dev, op, "rows: 33");
    op = kit_op(&p, 1);
    op.a = op.c;
    check_refused(dev, op, "a is not a memory");
    op = kit_op(&p, 1);
    op.w = NULL;
    check_refused(dev, op, "w is not a memory");
    op = kit_op(&p, 1);
    op.c_at = 4096;
    check_refused(dev, op, "c: 4096 bytes at 4096 are needed, the memory has 4096");
    op.c_at = 64;
    check_refused(dev, op, "c begins at byte 64: must be a multiple of 4096");
    op = kit_op(&p, 1);
    op.plan = NULL;
    check_refused(dev, op, "without a plan");
    MF_CHECK_INT(xrt()->mem_new(dev, MF_NPU_MEM_IN, 0, &p.a, &err), MF_EINVAL);
    MF_CHECK_INT(xrt()->mem_flush(p.w, 4096, 1), MF_EINVAL);
    kit_product_fini(&p);
    xrt()->close(dev);
}

MF_TEST(npu_xrt, is_busy_when_its_line_is_full_and_takes_more_afterwards)
{
    struct mf_npu_dev *dev = kit_open(xrt(), MF_NPU_LAYOUT_PLAIN, "delay=100");
    struct mf_npu_job *jobs[4], *more = NULL;
    struct mf_npu_err err = {0};
    struct kit_product p;

    kit_product_init(&p, xrt(), dev, &kit_plain);
    for (int i = 0; i < 4; i++) {
        MF_CHECK_OK(kit_submit(&p, dev, 1, 60 * SECOND_NS, &jobs[i], &err));
    }
    MF_CHECK_INT(kit_submit(&p, dev, 1, 60 * SECOND_NS, &more, &err), MF_EBUSY);
    for (int i = 0; i < 4; i++) {
        MF_CHECK_OK(xrt()->wait(jobs[i], &err));
        xrt()->job_put(jobs[i]);
    }
    MF_CHECK_OK(kit_run(&p, dev, 1, 60 * SECOND_NS, &err));
    kit_product_fini(&p);
    xrt()->close(dev);
}

MF_TEST(npu_xrt, cancels_what_stands_in_line_and_what_is_under_way)
{
    struct mf_npu_dev *dev = kit_open(xrt(), MF_NPU_LAYOUT_PLAIN, "delay=200");
    struct mf_npu_job *jobs[3];
    struct mf_npu_stats stats;
    struct mf_npu_err err = {0};
    struct kit_product p;

    kit_product_init(&p, xrt(), dev, &kit_plain);
    for (int i = 0; i < 3; i++) {
        MF_CHECK_OK(kit_submit(&p, dev, 1, 60 * SECOND_NS, &jobs[i], &err));
    }
    MF_CHECK_OK(xrt()->cancel(jobs[0]));
    MF_CHECK_OK(xrt()->cancel(jobs[1]));
    MF_CHECK_INT(xrt()->wait(jobs[0], &err), MF_ECANCELED);
    MF_CHECK_INT(xrt()->wait(jobs[1], &err), MF_ECANCELED);
    MF_CHECK_OK(xrt()->wait(jobs[2], &err));
    MF_CHECK_OK(xrt()->cancel(jobs[2])); /* too late: it has its result */
    MF_CHECK_OK(xrt()->wait(jobs[2], &err));
    for (int i = 0; i < 3; i++) {
        xrt()->job_put(jobs[i]);
    }
    xrt()->stats(dev, &stats);
    MF_CHECK_INT(stats.jobs_canceled, 2);
    MF_CHECK_INT(stats.jobs_ok, 1);
    kit_product_fini(&p);
    xrt()->close(dev);
}

MF_TEST(npu_xrt, ends_its_jobs_before_it_closes)
{
    struct mf_npu_dev *dev = kit_open(xrt(), MF_NPU_LAYOUT_PLAIN, "delay=20");
    struct mf_npu_job *jobs[3];
    struct mf_npu_err err = {0};
    struct kit_product p;

    kit_product_init(&p, xrt(), dev, &kit_plain);
    for (int i = 0; i < 3; i++) {
        MF_CHECK_OK(kit_submit(&p, dev, 1, 60 * SECOND_NS, &jobs[i], &err));
        xrt()->job_put(jobs[i]);
    }
    kit_product_fini(&p);
    xrt()->close(dev);
}
