/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xrt_kit: the module on the fake library (fake_xrt.cpp) and one product on it, for the
 * tests of the table. The device's faults are those of MF_FAKE_XRT at open.
 */
#ifndef XRT_KIT_H
#define XRT_KIT_H

#include "npu/manifest.h"
#include "npu/npu.h"

#define SECOND_NS 1000000000LL

extern const struct mf_npu_gemm kit_plain, kit_gelu; /* of every folder of the kit */

/* The module of `folder` (KIT_MODULE) on the fake; loaded once. */
const struct mf_npu_backend *kit_backend(const char *folder);
/* A fresh folder with emulated artefacts and their manifest. */
const char *kit_artefacts(enum mf_npu_layout layout);
/* Asserts that it opens. `faults` may be NULL. */
struct mf_npu_dev *kit_open(const struct mf_npu_backend *b, enum mf_npu_layout layout,
                            const char *faults);
int kit_try_open(const struct mf_npu_backend *b, const char *faults,
                 struct mf_npu_dev **out, struct mf_npu_err *err);

/* Product with its numbers: A and B are set, flushed as far as the table says. */
struct kit_product {
    const struct mf_npu_backend *b;
    struct mf_npu_gemm g;
    struct mf_npu_plan *plan;
    struct mf_npu_mem *a, *w, *c;
    size_t a_at, c_at;
    float *a_numbers, *w_numbers;
};

void kit_product_init(struct kit_product *p, const struct mf_npu_backend *b,
                      struct mf_npu_dev *dev, const struct mf_npu_gemm *g);
/* With A and C beginning `at` bytes into their memories. */
void kit_product_init_at(struct kit_product *p, const struct mf_npu_backend *b,
                         struct mf_npu_dev *dev, const struct mf_npu_gemm *g,
                         size_t at);
void kit_product_fini(struct kit_product *p);
struct mf_npu_op kit_op(const struct kit_product *p, uint32_t rows);
int kit_submit(struct kit_product *p, struct mf_npu_dev *dev, uint32_t rows,
               int64_t limit_ns, struct mf_npu_job **job, struct mf_npu_err *err);
/* Submit, wait, put. */
int kit_run(struct kit_product *p, struct mf_npu_dev *dev, uint32_t rows,
            int64_t limit_ns, struct mf_npu_err *err);
/* The largest error of the first `rows` rows against a loop in double precision, in
 * parts of the sum of the products' magnitudes; infinite for a NaN. */
double kit_error(const struct kit_product *p, uint32_t rows);

#endif
