/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/mf_test.h"
#include "main/npu_verify.h"

#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* What a device that is right looks like. */
static void fill(struct mf_verify *v)
{
    mf_verify_init(v);
    v->has_artefacts = v->has_device = v->has_model = true;
    (void)snprintf(v->caps.device, sizeof(v->caps.device), "NPU Strix");
    (void)snprintf(v->generation, sizeof(v->generation), "npu4");
    v->is_verified = true;
    v->caps.m_max = 512;
    v->shapes = mf_calloc(2, sizeof(*v->shapes));
    assert_non_null(v->shapes);
    v->n_shapes = 2;
    for (size_t i = 0; i < 2; i++) {
        v->shapes[i] = (struct mf_verify_shape){.gemm = {.m = 256, .k = 512, .n = 1152},
                                                .was_run = true,
                                                .is_good = true,
                                                .cosine = 1};
    }
    v->n_texts = 118;
    v->min_cosine = 0.9995;
    v->mean_cosine = 0.9999;
    v->speed[0] = (struct mf_verify_speed){8, 10, 2000, 2.0, 1.0};
    v->routed.min_rows = 300;
    v->used.health.state = MF_NPU_READY;
    v->used.n_offloaded = 24;
    v->used.stats.jobs_ok = 24;
    v->used.stats.latency[7] = 24;
}

static size_t judge(struct mf_verify *v)
{
    mf_verify_judge(v);
    return v->n_failures;
}

static bool has(const struct mf_buf *b, const char *words)
{
    return b->n > 0 && memmem(b->p, b->n, words, strlen(words)) != NULL;
}

MF_TEST(npu_verify, passes_what_is_right)
{
    struct mf_verify v;
    struct mf_buf out;

    fill(&v);
    mf_buf_init(&out);
    MF_CHECK_INT(judge(&v), 0);
    mf_verify_print(&v, &out);
    MF_CHECK_OK(mf_buf_status(&out));
    MF_CHECK_INT(strncmp(out.p, "memfuse npu verify: NPU Strix\n", 30), 0);
    MF_CHECK(!has(&out, "SIMULATED"));
    MF_CHECK(has(&out, "verdict      ok\n"));
    MF_CHECK(has(&out, "break-even   300 rows"));
    MF_CHECK(has(&out, "     8     200.0         40.0         80.0     2.000\n"));
    MF_CHECK(has(&out, "128 ..      256 us          24 jobs\n"));
    MF_CHECK(has(&out, "24 ok, 0 failed, 0 late, 0 canceled"));
    mf_buf_fini(&out);
    mf_verify_fini(&v);
}

MF_TEST(npu_verify, names_a_simulated_device_in_the_first_line_and_the_verdict)
{
    struct mf_verify v;
    struct mf_buf out;

    for (int by_artefacts = 0; by_artefacts < 2; by_artefacts++) {
        fill(&v);
        mf_buf_init(&out);
        v.caps.simulated = by_artefacts == 0;
        v.is_emulated = by_artefacts == 1;
        mf_verify_print(&v, &out);
        MF_CHECK(memmem(out.p, 40, "SIMULATED", 9) != NULL);
        MF_CHECK(has(&out, "verdict      ok, of a SIMULATED device\n"));
        mf_buf_fini(&out);
        mf_verify_fini(&v);
    }
}

static void check_fails(struct mf_verify *v, const char *words)
{
    struct mf_buf out;

    MF_CHECK_INT(judge(v), 1);
    mf_buf_init(&out);
    mf_verify_print(v, &out);
    MF_CHECK(has(&out, "\nFAILED       "));
    MF_CHECK(has(&out, words));
    MF_CHECK(!has(&out, "verdict      ok"));
    mf_buf_fini(&out);
    mf_verify_fini(v);
}

MF_TEST(npu_verify, fails_when_a_shape_is_wrong)
{
    struct mf_verify v;

    fill(&v);
    v.shapes[1].is_good = false;
    check_fails(&v, "1 of 2 shapes gave wrong numbers");
    fill(&v);
    v.is_verified = false;
    check_fails(&v, "own canary was not right");
}

MF_TEST(npu_verify, fails_below_the_cosine_and_when_it_is_no_number)
{
    struct mf_verify v;

    fill(&v);
    v.min_cosine = 0.99899;
    check_fails(&v, "0.998990");
    fill(&v);
    v.min_cosine = (double)NAN;
    check_fails(&v, "smallest cosine");
    fill(&v);
    v.n_texts_failed = 3;
    check_fails(&v, "3 of 118 texts");
}

MF_TEST(npu_verify, fails_when_the_cpu_did_the_work)
{
    struct mf_verify v;

    fill(&v);
    v.used.n_offloaded = 0;
    check_fails(&v, "nothing of the model ran on the device");
    fill(&v);
    v.used.stats.jobs_failed = 1;
    v.used.stats.jobs_timeout = 2;
    check_fails(&v, "3 jobs failed or were late");
    fill(&v);
    v.used.health.state = MF_NPU_LOST;
    check_fails(&v, "the device is lost");
}

MF_TEST(npu_verify, fails_when_emulated_artefacts_run_on_what_calls_itself_hardware)
{
    struct mf_verify v;

    fill(&v);
    v.is_emulated = true;
    check_fails(&v, "says it is hardware");
}

MF_TEST(npu_verify, tells_what_is_known_when_there_is_no_device)
{
    struct mf_verify v;
    struct mf_buf out;

    mf_verify_init(&v);
    mf_buf_init(&out);
    mf_verify_fail(&v, "there is no device to use: %s", "none");
    MF_CHECK_INT(judge(&v), 1);
    mf_verify_print(&v, &out);
    MF_CHECK(has(&out, "memfuse npu verify: no device was opened\n"));
    MF_CHECK(has(&out, "FAILED       there is no device to use: none\n"));
    MF_CHECK(!has(&out, "canary"));
    mf_buf_fini(&out);
    mf_verify_fini(&v);
}

MF_TEST(npu_verify, hides_paths_and_keeps_a_sentence_on_one_line)
{
    struct mf_verify v;

    mf_verify_init(&v);
    v.hidden[0] = (struct mf_verify_hidden){"/srv/x/npu", "DIR"};
    v.hidden[1] = (struct mf_verify_hidden){"/srv/x/npu/model", "MODEL"};
    mf_verify_fail(&v, "%s", "/srv/x/npu/a.xclbin\nand /srv/x/npu/model/x");
    MF_CHECK_INT(v.failures.n, strlen("FAILED       DIR/a.xclbin and MODEL/x\n"));
    MF_CHECK(has(&v.failures, "FAILED       DIR/a.xclbin and MODEL/x\n"));
    mf_verify_fini(&v);
}

MF_TEST(npu_verify, says_when_the_cpu_is_always_faster)
{
    struct mf_verify v;
    struct mf_buf out;

    fill(&v);
    mf_buf_init(&out);
    v.routed.min_rows = UINT32_MAX;
    mf_verify_print(&v, &out);
    MF_CHECK(has(&out, "break-even   none: the CPU is always faster"));
    mf_buf_fini(&out);
    mf_verify_fini(&v);
}
