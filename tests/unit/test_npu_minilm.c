/* SPDX-License-Identifier: Apache-2.0 */
/* The weights of all-MiniLM-L6-v2 (the folder in MEMFUSE_TEST_MODEL) on the CPU twin:
 * the shapes of the real thing, texts as people write them. */
#include "base/err.h"
#include "embed/model.h"
#include "embed/sample_texts.h"
#include "lib/mf_test.h"
#include "npu/offload.h"
#include "npu/twin.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DIM    384
#define LAYERS 6ULL

static struct mf_model *open_model(const char *precision)
{
    struct mf_model_options opt = {.model = getenv("MEMFUSE_TEST_MODEL"),
                                   .precision = precision};
    struct mf_model *m = NULL;
    struct mf_err err = {0};

    if (opt.model == NULL) {
        print_message("MEMFUSE_TEST_MODEL names no folder with all-MiniLM-L6-v2\n");
        skip();
    }
    if (mf_model_open(&m, &opt, &err) < 0) {
        fail_msg("%s", err.msg);
    }
    MF_CHECK_INT(m->info.dim, DIM);
    return m;
}

static struct mf_npu_offload *open_device(struct mf_model *m)
{
    struct mf_npu_offload_conf conf = {.backend = mf_npu_twin(),
                                       .deadline_ms = 60000,
                                       .check_every = 10,
                                       .min_rows = 1};
    struct mf_npu_offload *o;
    struct mf_err err = {0};

    if (mf_npu_offload_open(&o, mf_model_encoder(m), &conf, &err) < 0) {
        fail_msg("%s", err.msg);
    }
    return o;
}

static void embed(struct mf_model *m, float *out)
{
    struct mf_text texts[MF_SAMPLE_GUARD];
    struct mf_text_result res[MF_SAMPLE_GUARD];

    for (size_t i = 0; i < MF_SAMPLE_GUARD; i++) {
        texts[i] = (struct mf_text){mf_slice_str(mf_sample_guard[i]), 0};
    }
    MF_CHECK_OK(m->ops->embed(m, texts, MF_SAMPLE_GUARD, out, res));
    for (size_t i = 0; i < MF_SAMPLE_GUARD; i++) {
        MF_CHECK_OK(res[i].rc);
    }
}

static double least_cosine(const float *a, const float *b)
{
    double least = 1;

    for (size_t i = 0; i < MF_SAMPLE_GUARD; i++) {
        double dot = 0; /* both are of unit length */

        for (size_t d = 0; d < DIM; d++) {
            dot += (double)a[i * DIM + d] * (double)b[i * DIM + d];
        }
        least = fmin(least, dot);
    }
    return least;
}

static void check_precision(const char *precision, double with_itself)
{
    static float exact[MF_SAMPLE_GUARD * DIM], cpu[MF_SAMPLE_GUARD * DIM],
        npu[MF_SAMPLE_GUARD * DIM];
    struct mf_model *f32 = open_model("f32");
    struct mf_model *m = open_model(precision);
    uint32_t space = m->info.space_id;
    struct mf_npu_offload *o;
    struct mf_npu_report r;

    embed(f32, exact);
    embed(m, cpu);
    o = open_device(m);
    mf_npu_offload_report(o, &r);
    mf_model_set_device(
        m, &(struct mf_model_device){"npu", r.batch_rows, (float)r.agreement});
    embed(m, npu);
    mf_npu_offload_report(o, &r);
    print_message("%s: agreement %.5f, with f32 %.5f, with itself %.5f\n", precision,
                  r.agreement, least_cosine(exact, npu), least_cosine(cpu, npu));
    MF_CHECK(least_cosine(exact, npu) >= 0.999);
    MF_CHECK(least_cosine(cpu, npu) >= with_itself);
    MF_CHECK(r.n_offloaded > 0 && r.n_offloaded % (4 * LAYERS) == 0);
    MF_CHECK_INT(r.n_on_cpu, 0);
    MF_CHECK_INT(r.health.state, MF_NPU_READY);
    MF_CHECK(r.stats.verify_runs > 0 && r.stats.verify_bad == 0);
    MF_CHECK_INT(m->info.space_id, space); /* nobody could tell them apart */
    mf_npu_offload_close(o);
    mf_model_close(m);
    mf_model_close(f32);
}

MF_TEST(npu_minilm, vectors_of_the_device_are_those_of_f32)
{
    check_precision("f32", 0.999);
}

MF_TEST(npu_minilm, vectors_of_the_device_are_near_those_of_int8)
{
    check_precision("int8", 0.98);
}
