/* SPDX-License-Identifier: Apache-2.0 */
/* Rows that come or go as bf16: nothing else may be different. */
#include "base/mem.h"
#include "encoder/linear_in.h"
#include "lib/mf_test.h"
#include "unit/linear_kit.h"

#include <string.h>

static float rounded(float f)
{
    uint32_t bits = (uint32_t)mf_linear_bf16(f) << 16;

    memcpy(&f, &bits, sizeof(f));
    return f;
}

typedef void (*check_fn)(struct linear_rig *rig, const struct mf_linear_ops *ops,
                         enum mf_epilogue ep);

static void check_shape(const struct linear_shape *shape,
                        const struct mf_linear_ops *ops, check_fn check)
{
    struct linear_rig rig;

    for (size_t e = 0; e < 2 * mf_countof(linear_epilogues); e++) {
        linear_rig_init(&rig, shape);
        rig.has_smoothing = e % 2 == 1;
        check(&rig, ops, linear_epilogues[e / 2]);
        linear_rig_fini(&rig);
    }
}

static void for_each_kernel(check_fn check)
{
    const struct mf_linear_ops *const *all = mf_linear_all();

    for (size_t i = 0; all[i] != NULL; i++) {
        if (!all[i]->is_supported() || !all[i]->has_bf16()) {
            print_message("%s: no bf16 here, not tested\n", all[i]->name);
            continue;
        }
        for (size_t s = 0; s < linear_n_shapes; s++) {
            check_shape(&linear_shapes[s], all[i], check);
        }
    }
}

static void check_same(const struct linear_rig *rig, const struct mf_linear_ops *ops,
                       const float *got, const float *want)
{
    for (size_t i = 0; i < rig->shape.rows * rig->ldy; i++) {
        if (got[i] != want[i]) {
            fail_msg("%s, %zu x %u x %u, number %zu: %.9g, not %.9g", ops->name,
                     rig->shape.rows, rig->shape.k, rig->shape.n, i, (double)got[i],
                     (double)want[i]);
        }
    }
}

static void check_input(struct linear_rig *rig, const struct mf_linear_ops *ops,
                        enum mf_epilogue ep)
{
    float *want, *got;

    for (size_t i = 0; i < rig->shape.rows * rig->ldx; i++) {
        rig->x[i] = rounded(rig->x[i]);
    }
    want = linear_rig_run(rig, ops, ep);
    rig->x_is_bf16 = true;
    got = linear_rig_run(rig, ops, ep);
    check_same(rig, ops, got, want);
    mf_free(want);
    mf_free(got);
}

MF_TEST(linear, reads_bf16_as_the_floats_it_stands_for)
{
    for_each_kernel(check_input);
}

/* A residual is float: there is no such result. */
static void check_output(struct linear_rig *rig, const struct mf_linear_ops *ops,
                         enum mf_epilogue ep)
{
    float *want, *got;

    if (ep == MF_EP_RESIDUAL) {
        return;
    }
    want = linear_rig_run(rig, ops, ep);
    for (size_t i = 0; i < rig->shape.rows * rig->ldy; i++) {
        want[i] = rounded(want[i]);
    }
    rig->y_is_bf16 = true;
    got = linear_rig_run(rig, ops, ep);
    check_same(rig, ops, got, want);
    mf_free(want);
    mf_free(got);
}

MF_TEST(linear, writes_bf16_as_the_floats_rounded)
{
    for_each_kernel(check_output);
}

MF_TEST(linear, does_without_bf16_where_products_are_of_floats)
{
    MF_CHECK(!mf_linear_best(MF_PREC_F32)->has_bf16());
}
