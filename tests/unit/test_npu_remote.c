/* SPDX-License-Identifier: Apache-2.0 */
/* The device in a helper process, against the same in this one. */
#include "lib/mf_test.h"
#include "lib/npu_rig.h"

#include "base/err.h"
#include "npu/pack.h"
#include "npu/remote.h"
#include "npu/twin.h"

#include <stdlib.h>
#include <string.h>

/* ---- the same as in this process ---- */

#define MANY_ROWS 77U

static const struct mf_npu_gemm gelu = {.m = 256,
                                        .k = 512,
                                        .n = 128,
                                        .a = MF_NPU_BF16,
                                        .b = MF_NPU_BF16,
                                        .epi = MF_NPU_EPI_GELU};

/* Two runs in a job, one with an offset on both sides; everything that came of them. */
static void compute(const struct mf_npu_backend *be, float *out, size_t n)
{
    struct mf_npu_mem *weight, *a, *c;
    struct mf_npu_plan *plan;
    struct npu_rig r;
    struct mf_npu_job *job;
    struct mf_npu_err err;
    float *w = malloc(sizeof(float) * gelu.k * gelu.n);
    uint16_t *rows;

    rig_open(&r, be);
    for (size_t i = 0; i < (size_t)gelu.k * gelu.n; i++) {
        w[i] = (float)((i * 37) % 101) / 1000.0F - 0.05F;
    }
    MF_CHECK_OK(be->plan(r.dev, &gelu, &plan, &err));
    MF_CHECK_OK(be->weight_pack(r.dev, &gelu, w, gelu.n, &weight, &err));
    MF_CHECK_OK(be->mem_new(r.dev, MF_NPU_MEM_IN, 2UL * 256 * 512 * 2, &a, &err));
    MF_CHECK_OK(be->mem_new(r.dev, MF_NPU_MEM_OUT, n * sizeof(float), &c, &err));
    rows = be->mem_map(a);
    for (size_t i = 0; i < 2UL * 256 * 512; i++) {
        rows[i] = mf_npu_bf16((float)((i * 13) % 89) / 50.0F - 0.8F);
    }
    memset(be->mem_map(c), 0, n * sizeof(float));
    MF_CHECK_OK(be->mem_flush(c, 0, n * sizeof(float)));
    const struct mf_npu_op ops[] = {
        {.plan = r.plan, .a = a, .w = r.weight, .c = c, .rows = 256},
        {.plan = plan,
         .a = a,
         .w = weight,
         .c = c,
         .a_at = 256UL * 512 * 2,
         .c_at = 256UL * 64 * 4,
         .rows = MANY_ROWS}};

    MF_CHECK_OK(be->submit(r.dev, ops, 2, rig_now_ns() + 60000000000, &job, &err));
    MF_CHECK_OK(be->wait(job, &err));
    be->job_put(job);
    memcpy(out, be->mem_map(c), n * sizeof(float));
    be->mem_put(a);
    be->mem_put(c);
    be->mem_put(weight);
    rig_close(&r);
    free(w);
}

MF_TEST(npu_remote, computes_bit_by_bit_what_the_twin_computes_in_this_process)
{
    size_t n = 256UL * 64 + 256UL * 128;
    float *here = malloc(n * sizeof(float)), *there = malloc(n * sizeof(float));

    rig_worker_is("twin");
    compute(mf_npu_twin(), here, n);
    compute(rig_remote(), there, n);
    MF_CHECK_MEM(here, there, n * sizeof(float));
    MF_CHECK(here[256UL * 64 + 5] != 0.0F);
    /* Rows that were not used are not written. */
    MF_CHECK(here[256UL * 64 + (size_t)MANY_ROWS * 128] == 0.0F);
    free(here);
    free(there);
}

MF_TEST(npu_remote, syncs_and_keeps_memories_as_the_twin_does)
{
    const struct mf_npu_backend *both[] = {mf_npu_twin(), rig_remote()};

    rig_worker_is("twin");
    for (size_t i = 0; i < 2; i++) {
        struct mf_npu_mem *mem = NULL;
        struct mf_npu_err err;
        struct npu_rig r;
        uint8_t *p;

        rig_open(&r, both[i]);
        MF_CHECK_INT(r.be->mem_new(r.dev, MF_NPU_MEM_IN, 0, &mem, &err), MF_EINVAL);
        MF_CHECK_OK(r.be->mem_new(r.dev, MF_NPU_MEM_IN, 10000, &mem, &err));
        p = r.be->mem_map(mem);
        memset(p, 1, 10000);
        MF_CHECK_OK(r.be->mem_flush(mem, 100, 50));
        memset(p, 2, 10000);
        MF_CHECK_OK(r.be->mem_inval(mem, 100, 50));
        MF_CHECK(p[99] == 2 && p[100] == 1 && p[149] == 1 && p[150] == 2);
        MF_CHECK_INT(r.be->mem_flush(mem, 9999, 2), MF_EINVAL);
        MF_CHECK_INT(r.be->mem_inval(mem, 10001, 0), MF_EINVAL);
        MF_CHECK_INT(r.be->mem_inval(mem, 1, SIZE_MAX), MF_EINVAL);
        r.be->mem_put(mem);
        rig_close(&r);
    }
}

MF_TEST(npu_remote, says_of_its_device_what_the_twin_says_of_itself)
{
    const struct mf_npu_conf conf = {.queue_depth = 3};
    struct mf_npu_caps here, there;
    struct mf_npu_health h;
    struct mf_npu_err err;
    struct npu_rig r;

    rig_worker_is("twin");
    MF_CHECK_OK(mf_npu_twin()->probe(&conf, &here, &err));
    MF_CHECK_OK(rig_remote()->probe(&conf, &there, &err));
    MF_CHECK_STR(here.backend, there.backend);
    MF_CHECK_STR(here.device, there.device);
    MF_CHECK(there.simulated && there.queue_depth == 3 && there.m_max == here.m_max);
    MF_CHECK(there.m_mult == here.m_mult && there.k_mult == here.k_mult &&
             there.n_mult == here.n_mult && there.dtype_mask == here.dtype_mask);
    rig_open(&r, rig_remote());
    MF_CHECK_OK(r.be->verify(r.dev, &h));
    MF_CHECK(h.state == MF_NPU_READY && h.last_cosine > 0.9999);
    r.be->caps(r.dev, &there);
    MF_CHECK(there.verified);
    rig_close(&r);
}

MF_TEST(npu_remote, refuses_what_does_not_fit_as_the_twin_does)
{
    const struct mf_npu_backend *both[] = {mf_npu_twin(), rig_remote()};

    rig_worker_is("twin");
    for (size_t i = 0; i < 2; i++) {
        struct mf_npu_gemm odd = {.m = 256, .k = 511, .n = 64, .a = 1, .b = 1};
        struct mf_npu_plan *plan;
        struct mf_npu_job *job;
        struct mf_npu_err err = {0};
        struct npu_slot s;
        struct npu_rig r;

        rig_open(&r, both[i]);
        rig_slot(&r, &s);
        MF_CHECK_INT(r.be->plan(r.dev, &odd, &plan, &err), MF_EUNPROCESSABLE);
        MF_CHECK(err.text[0] != '\0');
        struct mf_npu_op good = {
            .plan = r.plan, .a = s.a, .w = r.weight, .c = s.c, .rows = 256};
        struct mf_npu_op bad[] = {good, good, good, good, good};
        bad[0].rows = 257;
        bad[1].rows = 0;
        bad[2].a_at = 2;
        bad[3].c_at = 4;
        bad[4].plan = NULL;
        for (size_t k = 0; k < mf_countof(bad); k++) {
            MF_CHECK_INT(r.be->submit(r.dev, &bad[k], 1, INT64_MAX, &job, &err),
                         MF_EINVAL);
        }
        MF_CHECK_INT(r.be->submit(r.dev, &good, 0, INT64_MAX, &job, &err), MF_EINVAL);
        MF_CHECK_OK(rig_run(&r, &s, 1, 60000));
        MF_CHECK(rig_is_right(&r, &s, 1));
        rig_put_slot(&r, &s);
        rig_close(&r);
    }
}

MF_TEST(npu_remote, answers_that_the_line_is_full_and_takes_jobs_out_of_it)
{
    struct mf_npu_job *job[4], *more;
    struct mf_npu_stats st;
    struct mf_npu_err err;
    struct npu_slot s[4];
    struct npu_rig r;

    rig_worker_is("slow");
    rig_open(&r, rig_remote());
    for (unsigned i = 0; i < 4; i++) {
        rig_slot(&r, &s[i]);
        rig_fill(&r, &s[i], i);
        MF_CHECK_OK(rig_submit(&r, &s[i], 60000, &job[i], &err));
    }
    MF_CHECK_INT(rig_submit(&r, &s[0], 60000, &more, &err), MF_EBUSY);
    MF_CHECK_OK(r.be->cancel(job[3]));
    MF_CHECK_OK(r.be->cancel(job[3]));
    MF_CHECK_INT(r.be->wait(job[3], &err), MF_ECANCELED);
    for (unsigned i = 0; i < 3; i++) {
        MF_CHECK_OK(r.be->wait(job[i], &err));
        MF_CHECK(rig_is_right(&r, &s[i], i));
    }
    MF_CHECK_OK(r.be->cancel(job[0])); /* too late: it stays as it ended */
    MF_CHECK_OK(r.be->wait(job[0], &err));
    for (unsigned i = 0; i < 4; i++) {
        r.be->job_put(job[i]);
        rig_put_slot(&r, &s[i]);
    }
    MF_CHECK_OK(setenv("NPU_TEST_WORKER", "twin", 1));
    do { /* the canceled one is answered after the others */
        r.be->stats(r.dev, &st);
    } while (st.in_flight > 0);
    MF_CHECK(st.jobs_ok == 3 && st.jobs_canceled == 1 && st.ops == 4);
    rig_close(&r);
}

MF_TEST(npu_remote, gives_places_and_numbers_of_memories_back)
{
    struct npu_slot s;
    struct npu_rig r;

    rig_worker_is("twin");
    rig_open(&r, rig_remote());
    for (unsigned i = 0; i < 3000; i++) { /* of 4096 numbers, two each time */
        rig_slot(&r, &s);
        rig_put_slot(&r, &s);
    }
    rig_slot(&r, &s);
    MF_CHECK_OK(rig_run(&r, &s, 3, 60000));
    MF_CHECK(rig_is_right(&r, &s, 3));
    rig_put_slot(&r, &s);
    rig_close(&r);
}
