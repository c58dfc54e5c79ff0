/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers no model should send: each kernel must stay calm, and say what it cannot do
 * by a result that is not finite. */
#include "base/mem.h"
#include "encoder/linear.h"
#include "lib/mf_test.h"
#include "unit/linear_kit.h"

#include <float.h>
#include <math.h>

static const struct linear_shape shape = {9, 84, 52, 0, 0};

typedef void (*check_fn)(struct linear_rig *rig, const struct mf_linear_ops *ops);

static void for_each_kernel(check_fn check)
{
    const struct mf_linear_ops *const *all = mf_linear_all();

    for (size_t i = 0; all[i] != NULL; i++) {
        struct linear_rig rig;

        if (!all[i]->is_supported()) {
            continue;
        }
        linear_rig_init(&rig, &shape);
        check(&rig, all[i]);
        linear_rig_fini(&rig);
    }
}

static void set_row(struct linear_rig *rig, size_t row, float value)
{
    for (uint32_t k = 0; k < rig->shape.k; k++) {
        rig->x[row * rig->ldx + k] = value;
    }
}

static void check_zero_rows(struct linear_rig *rig, const struct mf_linear_ops *ops)
{
    float *y;

    for (size_t r = 0; r < rig->shape.rows; r++) {
        set_row(rig, r, 0);
    }
    y = linear_rig_run(rig, ops, MF_EP_BIAS);
    for (size_t i = 0; i < rig->shape.rows * rig->ldy; i++) {
        MF_CHECK(y[i] == rig->bias[i % rig->ldy]);
    }
    mf_free(y);
}

MF_TEST(linear, gives_the_bias_for_rows_of_zeros)
{
    for_each_kernel(check_zero_rows);
}

static void check_constant_rows(struct linear_rig *rig, const struct mf_linear_ops *ops)
{
    double *want;
    float *y;

    for (size_t r = 0; r < rig->shape.rows; r++) {
        set_row(rig, r, r % 2 == 0 ? 0.75f : -3);
    }
    want = linear_rig_answer(rig, MF_EP_BIAS);
    y = linear_rig_run(rig, ops, MF_EP_BIAS);
    for (size_t i = 0; i < rig->shape.rows * rig->ldy; i++) {
        /* x is exact; the weights are rounded in bf16 and int8. */
        MF_CHECK(fabs((double)y[i] - want[i]) < 0.05);
    }
    mf_free(want);
    mf_free(y);
}

MF_TEST(linear, keeps_rows_of_one_number)
{
    for_each_kernel(check_constant_rows);
}

static void check_tiny(struct linear_rig *rig, const struct mf_linear_ops *ops)
{
    float *y;

    set_row(rig, 0, FLT_TRUE_MIN);
    set_row(rig, 1, -FLT_MIN);
    set_row(rig, 2, 1e-30f);
    y = linear_rig_run(rig, ops, MF_EP_BIAS);
    for (size_t i = 0; i < 3 * rig->ldy; i++) {
        MF_CHECK(fabsf(y[i] - rig->bias[i % rig->ldy]) < 1e-20f);
    }
    mf_free(y);
}

MF_TEST(linear, takes_the_smallest_numbers_for_nothing)
{
    for_each_kernel(check_tiny);
}

static void check_big(struct linear_rig *rig, const struct mf_linear_ops *ops)
{
    double *want;

    for (uint32_t k = 0; k < rig->shape.k; k++) {
        rig->x[k] *= 1e30f;
    }
    want = linear_rig_answer(rig, MF_EP_BIAS);
    for (size_t e = 0; e < mf_countof(linear_epilogues); e++) {
        float *y = linear_rig_run(rig, ops, linear_epilogues[e]);

        for (uint32_t n = 0; n < rig->shape.n; n++) {
            bool is_cut = want[n] < 0 && linear_epilogues[e] != MF_EP_BIAS &&
                          linear_epilogues[e] != MF_EP_RESIDUAL;

            MF_CHECK(fabs((double)y[n] - (is_cut ? 0 : want[n])) < 5e29);
        }
        mf_free(y);
    }
    mf_free(want);
}

MF_TEST(linear, bears_numbers_of_30_digits)
{
    for_each_kernel(check_big);
}

static bool is_finite_row(const struct linear_rig *rig, const float *y, size_t row)
{
    for (uint32_t n = 0; n < rig->shape.n; n++) {
        if (!isfinite(y[row * rig->ldy + n])) {
            return false;
        }
    }
    return true;
}

/* Also in the last lane of a row, where the vectors are not full. */
static void check_poison(struct linear_rig *rig, const struct mf_linear_ops *ops)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY};

    for (size_t b = 0; b < mf_countof(bad); b++) {
        rig->x[1 * rig->ldx] = bad[b];
        rig->x[4 * rig->ldx + 40] = bad[b];
        rig->x[8 * rig->ldx + rig->shape.k - 1] = bad[b];
        for (size_t e = 0; e < mf_countof(linear_epilogues); e++) {
            float *y = linear_rig_run(rig, ops, linear_epilogues[e]);

            for (size_t r = 0; r < rig->shape.rows; r++) {
                bool is_bad = r == 1 || r == 4 || r == 8;

                MF_CHECK_INT(is_finite_row(rig, y, r), !is_bad);
            }
            mf_free(y);
        }
    }
}

MF_TEST(linear, passes_on_what_is_not_finite_and_only_in_its_row)
{
    for_each_kernel(check_poison);
}

static void check_zero_weights(struct linear_rig *rig, const struct mf_linear_ops *ops)
{
    float *y;

    rig->has_smoothing = true;
    rig->absmax[3] = 0;
    for (uint32_t n = 0; n < rig->shape.n; n++) {
        rig->w[n * (size_t)rig->shape.k + 7] = 0;
    }
    for (uint32_t k = 0; k < rig->shape.k; k++) {
        rig->w[k] = 0;
    }
    y = linear_rig_run(rig, ops, MF_EP_BIAS);
    for (size_t r = 0; r < rig->shape.rows; r++) {
        MF_CHECK(y[r * rig->ldy] == rig->bias[0]);
        MF_CHECK(is_finite_row(rig, y, r));
    }
    mf_free(y);
}

MF_TEST(linear, packs_columns_and_inputs_without_weight)
{
    for_each_kernel(check_zero_weights);
}

/* The model's fault: any result will do, but nothing undefined on the way. */
static void check_bad_weights(struct linear_rig *rig, const struct mf_linear_ops *ops)
{
    rig->w[5] = INFINITY;
    rig->w[rig->shape.k] = NAN;
    for (int i = 0; i < 2; i++) {
        rig->has_smoothing = i == 1;
        mf_free(linear_rig_run(rig, ops, MF_EP_BIAS));
    }
}

MF_TEST(linear, survives_weights_that_are_not_finite)
{
    for_each_kernel(check_bad_weights);
}
