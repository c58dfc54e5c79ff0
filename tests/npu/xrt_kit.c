/* SPDX-License-Identifier: Apache-2.0 */
#include "npu/xrt_kit.h"

#include <dlfcn.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/mf_test.h"
#include "lib/npu_artefacts.h"
#include "npu/clock.h"
#include "npu/pack.h"
#include "npu/xrt_load.h"

#define SHAPE(epilogue)                                                                \
    {                                                                                  \
        .m = 32, .k = 64, .n = 32, .a = MF_NPU_BF16, .b = MF_NPU_BF16,                 \
        .c = MF_NPU_F32, .epi = (epilogue)                                             \
    }

const struct mf_npu_gemm kit_plain = SHAPE(MF_NPU_EPI_NONE);
const struct mf_npu_gemm kit_gelu = SHAPE(MF_NPU_EPI_GELU);

static const struct mf_npu_gemm shapes[] = {SHAPE(MF_NPU_EPI_NONE),
                                            SHAPE(MF_NPU_EPI_GELU)};

const struct mf_npu_backend *kit_backend(const char *folder)
{
    static const struct mf_npu_backend *backend;
    struct mf_err err = {0};

    if (backend == NULL) {
        /* By its path; the module then finds it by the name that it has in itself. */
        MF_CHECK(dlopen(KIT_FAKE, RTLD_NOW | RTLD_GLOBAL) != NULL);
        int rc = mf_npu_xrt_load(folder, &backend, &err);

        if (rc < 0) {
            fail_msg("%s", err.msg);
        }
    }
    return backend;
}

const char *kit_artefacts(enum mf_npu_layout layout)
{
    const char *dir = mf_test_tmpdir();
    struct mf_err err = {0};
    struct npu_artefacts a = {.layout = layout,
                              .m_mult = 32,
                              .k_mult = 32,
                              .n_mult = 32,
                              .shapes = shapes,
                              .n_shapes = mf_countof(shapes),
                              .kernel = NPU_ARTEFACTS_KERNEL};

    MF_CHECK_OK(npu_artefacts_write(dir, &a));
    if (mf_npu_manifest_make(dir, &err) < 0) {
        fail_msg("%s", err.msg);
    }
    return dir;
}

/* No thread of a device is there yet that could read the environment. */
static int open_with(const struct mf_npu_backend *b, enum mf_npu_layout layout,
                     const char *faults, struct mf_npu_dev **out,
                     struct mf_npu_err *err)
{
    struct mf_npu_conf conf = {.dir = kit_artefacts(layout), .queue_depth = 4};

    MF_CHECK_OK(setenv("MF_FAKE_XRT", faults == NULL ? "" : faults, 1));
    return b->open(&conf, out, err);
}

struct mf_npu_dev *kit_open(const struct mf_npu_backend *b, enum mf_npu_layout layout,
                            const char *faults)
{
    struct mf_npu_dev *dev = NULL;
    struct mf_npu_err err = {0};

    if (open_with(b, layout, faults, &dev, &err) < 0) {
        fail_msg("%s", err.text);
    }
    return dev;
}

int kit_try_open(const struct mf_npu_backend *b, const char *faults,
                 struct mf_npu_dev **out, struct mf_npu_err *err)
{
    return open_with(b, MF_NPU_LAYOUT_PLAIN, faults, out, err);
}

static float *draw(size_t n, uint32_t seed)
{
    float *v = malloc(n * sizeof(*v));

    MF_CHECK(v != NULL);
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525U + 1013904223U;
        v[i] = (float)((int)(seed >> 9) % 129 - 64) / 64; /* exact in bf16 */
    }
    return v;
}

static struct mf_npu_mem *mem_new(const struct mf_npu_backend *b,
                                  struct mf_npu_dev *dev, enum mf_npu_mem_kind kind,
                                  size_t bytes)
{
    struct mf_npu_mem *mem = NULL;
    struct mf_npu_err err = {0};

    if (b->mem_new(dev, kind, bytes, &mem, &err) < 0) {
        fail_msg("%s", err.text);
    }
    return mem;
}

void kit_product_init_at(struct kit_product *p, const struct mf_npu_backend *b,
                         struct mf_npu_dev *dev, const struct mf_npu_gemm *g, size_t at)
{
    struct mf_npu_err err = {0};

    *p = (struct kit_product){.b = b, .g = *g, .a_at = at, .c_at = at};
    p->a_numbers = draw((size_t)g->m * g->k, 1);
    p->w_numbers = draw((size_t)g->k * g->n, 2);
    MF_CHECK_OK(b->plan(dev, g, &p->plan, &err));
    MF_CHECK_OK(b->weight_pack(dev, g, p->w_numbers, g->n, &p->w, &err));
    p->a = mem_new(b, dev, MF_NPU_MEM_IN, at + (size_t)g->m * g->k * 2);
    p->c = mem_new(b, dev, MF_NPU_MEM_OUT, at + (size_t)g->m * g->n * 4);
    mf_npu_pack_rows((uint16_t *)(void *)((char *)b->mem_map(p->a) + at), g->k,
                     p->a_numbers, g->m, g->k, false);
}

void kit_product_init(struct kit_product *p, const struct mf_npu_backend *b,
                      struct mf_npu_dev *dev, const struct mf_npu_gemm *g)
{
    kit_product_init_at(p, b, dev, g, 0);
}

void kit_product_fini(struct kit_product *p)
{
    p->b->mem_put(p->a);
    p->b->mem_put(p->w);
    p->b->mem_put(p->c);
    free(p->a_numbers);
    free(p->w_numbers);
}

struct mf_npu_op kit_op(const struct kit_product *p, uint32_t rows)
{
    return (struct mf_npu_op){.plan = p->plan,
                              .a = p->a,
                              .w = p->w,
                              .c = p->c,
                              .a_at = p->a_at,
                              .c_at = p->c_at,
                              .rows = rows};
}

int kit_submit(struct kit_product *p, struct mf_npu_dev *dev, uint32_t rows,
               int64_t limit_ns, struct mf_npu_job **job, struct mf_npu_err *err)
{
    struct mf_npu_op op = kit_op(p, rows);

    return p->b->submit(dev, &op, 1, mf_npu_now_ns() + limit_ns, job, err);
}

int kit_run(struct kit_product *p, struct mf_npu_dev *dev, uint32_t rows,
            int64_t limit_ns, struct mf_npu_err *err)
{
    struct mf_npu_job *job = NULL;
    int rc = kit_submit(p, dev, rows, limit_ns, &job, err);

    if (rc == 0) {
        rc = p->b->wait(job, err);
        p->b->job_put(job);
    }
    return rc;
}

static double gelu(double x)
{
    return 0.5 * x * (1 + erf(x * M_SQRT1_2));
}

double kit_error(const struct kit_product *p, uint32_t rows)
{
    const char *base = p->b->mem_map(p->c);
    const float *got = (const float *)(const void *)(base + p->c_at);
    const struct mf_npu_gemm *g = &p->g;
    double worst = 0;

    for (size_t i = 0; i < (size_t)rows * g->n; i++) {
        const float *a = p->a_numbers + i / g->n * g->k;
        double want = 0, mass = 0, err;

        for (size_t k = 0; k < g->k; k++) {
            double x = (double)a[k] * (double)p->w_numbers[k * g->n + i % g->n];

            want += x;
            mass += fabs(x);
        }
        err = fabs((double)got[i] - (g->epi == MF_NPU_EPI_GELU ? gelu(want) : want));
        worst = err <= 1e30 ? fmax(worst, err / mass) : (double)INFINITY;
    }
    return worst;
}
