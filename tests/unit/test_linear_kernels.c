/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "encoder/linear.h"
#include "lib/mf_test.h"
#include "unit/linear_kit.h"

#include <math.h>
#include <string.h>

static const struct mf_linear_ops *plain_of(enum mf_precision p)
{
    const struct mf_linear_ops *const *all = mf_linear_all();
    const struct mf_linear_ops *last = NULL;

    for (size_t i = 0; all[i] != NULL; i++) {
        last = all[i]->precision == p ? all[i] : last;
    }
    return last;
}

static bool is_gelu(enum mf_epilogue ep)
{
    return ep == MF_EP_GELU || ep == MF_EP_GELU_TANH;
}

/* How far a kernel may be from the plain one, for a result of magnitude 1 and less. The
 * same integers make the same int8 sums, of which some take the zero's part in float;
 * bf16 sums are of another order. Where the precision is coarse, so is the GELU. */
static double close_enough(enum mf_precision p, enum mf_epilogue ep)
{
    double sums = p == MF_PREC_INT8 ? 4e-6 : 1e-5;

    if (!is_gelu(ep)) {
        return sums;
    }
    return p == MF_PREC_F32 ? sums : 6e-4;
}

static void check_close(const struct linear_rig *rig, const struct mf_linear_ops *ops,
                        enum mf_epilogue ep, const float *got, const double *want,
                        double tolerance)
{
    for (size_t i = 0; i < rig->shape.rows * rig->ldy; i++) {
        double off = fabs((double)got[i] - want[i]);

        if (i % rig->ldy < rig->shape.n &&
            !(off <= tolerance * fmax(1, fabs(want[i])))) {
            fail_msg("%s, %zu x %u x %u, epilogue %d, row %zu, column %zu: %.9g, not "
                     "%.9g",
                     ops->name, rig->shape.rows, rig->shape.k, rig->shape.n, (int)ep,
                     i / rig->ldy, i % rig->ldy, (double)got[i], want[i]);
        }
    }
}

static double *widened(const struct linear_rig *rig, float *y)
{
    size_t n = rig->shape.rows * rig->ldy;
    double *wide = mf_array(n, sizeof(*wide));

    MF_CHECK(wide != NULL);
    for (size_t i = 0; i < n; i++) {
        wide[i] = (double)y[i];
    }
    mf_free(y);
    return wide;
}

static void check_against_plain(const struct linear_rig *rig,
                                const struct mf_linear_ops *ops)
{
    for (size_t e = 0; e < mf_countof(linear_epilogues); e++) {
        enum mf_epilogue ep = linear_epilogues[e];
        double *want = widened(rig, linear_rig_run(rig, plain_of(ops->precision), ep));
        float *got = linear_rig_run(rig, ops, ep);

        check_close(rig, ops, ep, got, want, close_enough(ops->precision, ep));
        mf_free(want);
        mf_free(got);
    }
}

static void check_all_shapes(const struct mf_linear_ops *ops, bool has_smoothing)
{
    for (size_t s = 0; s < linear_n_shapes; s++) {
        struct linear_rig rig;

        linear_rig_init(&rig, &linear_shapes[s]);
        rig.has_smoothing = has_smoothing;
        rig.has_no_bias = s % 4 == 3;
        check_against_plain(&rig, ops);
        linear_rig_fini(&rig);
    }
}

MF_TEST(linear, gives_what_the_plain_kernel_gives)
{
    const struct mf_linear_ops *const *all = mf_linear_all();

    for (size_t i = 0; all[i] != NULL; i++) {
        if (!all[i]->is_supported()) {
            print_message("%s: not on this CPU, not tested\n", all[i]->name);
            continue;
        }
        if (all[i] != plain_of(all[i]->precision)) {
            check_all_shapes(all[i], false);
        }
    }
}

MF_TEST(linear, gives_what_the_plain_kernel_gives_when_inputs_are_smoothed)
{
    const struct mf_linear_ops *const *all = mf_linear_all();

    for (size_t i = 0; all[i] != NULL; i++) {
        if (all[i]->precision == MF_PREC_INT8 && all[i]->is_supported() &&
            all[i] != plain_of(MF_PREC_INT8)) {
            check_all_shapes(all[i], true);
        }
    }
}

static void check_against_answer(const struct linear_rig *rig,
                                 const struct mf_linear_ops *ops)
{
    for (size_t e = 0; e < mf_countof(linear_epilogues); e++) {
        enum mf_epilogue ep = linear_epilogues[e];
        double *want = linear_rig_answer(rig, ep);
        float *got = linear_rig_run(rig, ops, ep);

        check_close(rig, ops, ep, got, want, 4e-6);
        mf_free(want);
        mf_free(got);
    }
}

MF_TEST(linear, gives_the_exact_answer_in_f32)
{
    const struct mf_linear_ops *const *all = mf_linear_all();

    for (size_t i = 0; all[i] != NULL; i++) {
        if (all[i]->precision != MF_PREC_F32 || !all[i]->is_supported()) {
            continue;
        }
        for (size_t s = 0; s < linear_n_shapes; s++) {
            struct linear_rig rig;

            linear_rig_init(&rig, &linear_shapes[s]);
            check_against_answer(&rig, all[i]);
            linear_rig_fini(&rig);
        }
    }
}

/* The root of the mean square of what is wrong, beside that of the right answer. */
static double relative_error(const struct linear_rig *rig,
                             const struct mf_linear_ops *ops)
{
    double *want = linear_rig_answer(rig, MF_EP_BIAS);
    float *got = linear_rig_run(rig, ops, MF_EP_BIAS);
    double wrong = 0;
    double right = 0;

    for (size_t i = 0; i < rig->shape.rows * rig->ldy; i++) {
        if (i % rig->ldy < rig->shape.n) {
            wrong += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
            right += want[i] * want[i];
        }
    }
    mf_free(want);
    mf_free(got);
    return sqrt(wrong / right);
}

static const struct linear_shape of_a_model = {23, 384, 384, 0, 0};

MF_TEST(linear, comes_near_the_answer_in_bf16_and_int8)
{
    const struct mf_linear_ops *const *all = mf_linear_all();
    struct linear_rig rig;

    linear_rig_init(&rig, &of_a_model);
    for (size_t i = 0; all[i] != NULL; i++) {
        double most = all[i]->precision == MF_PREC_INT8 ? 0.02 : 0.004;

        if (all[i]->is_supported() && relative_error(&rig, all[i]) > most) {
            fail_msg("%s is off by %g", all[i]->name, relative_error(&rig, all[i]));
        }
    }
    linear_rig_fini(&rig);
}

MF_TEST(linear, loses_less_to_int8_when_outliers_are_smoothed)
{
    struct linear_rig rig;
    double rough;

    linear_rig_init(&rig, &of_a_model);
    rough = relative_error(&rig, plain_of(MF_PREC_INT8));
    rig.has_smoothing = true;
    MF_CHECK(relative_error(&rig, plain_of(MF_PREC_INT8)) < 0.7 * rough);
    linear_rig_fini(&rig);
}
