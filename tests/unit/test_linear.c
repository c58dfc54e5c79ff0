/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"
#include "encoder/linear.h"
#include "lib/mf_test.h"
#include "unit/linear_kit.h"

#include <string.h>

static const enum mf_precision with_plain[] = {MF_PREC_F32, MF_PREC_BF16, MF_PREC_INT8};

MF_TEST(linear, names_each_kernel_once)
{
    const struct mf_linear_ops *const *all = mf_linear_all();

    for (size_t i = 0; all[i] != NULL; i++) {
        const char *precision = mf_precision_name(all[i]->precision);

        MF_CHECK(strncmp(all[i]->name, precision, strlen(precision)) == 0);
        for (size_t j = 0; j < i; j++) {
            MF_CHECK(strcmp(all[i]->name, all[j]->name) != 0);
        }
    }
}

MF_TEST(linear, keeps_kernels_of_one_precision_together_with_plain_last)
{
    const struct mf_linear_ops *const *all = mf_linear_all();
    size_t n_plain = 0;

    for (size_t i = 0; all[i] != NULL; i++) {
        bool is_last = all[i + 1] == NULL || all[i + 1]->precision != all[i]->precision;
        bool is_plain = strstr(all[i]->name, "-plain") != NULL;

        MF_CHECK_INT(is_last, is_plain);
        MF_CHECK(!is_plain || all[i]->is_supported());
        n_plain += is_plain;
    }
    MF_CHECK_INT(n_plain, mf_countof(with_plain));
}

MF_TEST(linear, takes_first_supported_kernel_as_the_best)
{
    const struct mf_linear_ops *const *all = mf_linear_all();

    for (size_t p = 0; p < mf_countof(with_plain); p++) {
        const struct mf_linear_ops *best = mf_linear_best(with_plain[p]);
        size_t i = 0;

        while (all[i]->precision != with_plain[p] || !all[i]->is_supported()) {
            i++;
        }
        MF_CHECK_PTR(best, all[i]);
    }
}

MF_TEST(linear, measures_each_supported_kernel)
{
    const struct mf_linear_ops *const *all = mf_linear_all();

    for (size_t i = 0; all[i] != NULL; i++) {
        if (all[i]->is_supported()) {
            MF_CHECK(mf_linear_measure(all[i], 5, 64, 52) > 0);
        }
    }
}

MF_TEST(linear, measures_nothing_without_memory)
{
    const struct mf_linear_ops *ops = mf_linear_best(MF_PREC_F32);

    for (size_t nth = 1;; nth++) {
        double gops;

        mf_test_fail_nth(nth);
        gops = mf_linear_measure(ops, 1, 8, 8);
        if (!mf_test_has_failed()) {
            MF_CHECK(gops > 0);
            MF_CHECK(nth > 3);
            break;
        }
        MF_CHECK(gops == 0);
    }
    mf_test_fail_nth(0);
}

MF_TEST(linear, does_not_pack_without_memory)
{
    const struct mf_linear_ops *const *all = mf_linear_all();
    static const float w[16] = {1};
    const struct mf_linear_source src = {.w = w, .k = 4, .n = 4};

    for (size_t i = 0; all[i] != NULL; i++) {
        struct mf_linear *l = NULL;

        mf_test_fail_nth(1);
        MF_CHECK_INT(all[i]->pack(&l, &src), MF_ENOMEM);
        MF_CHECK_PTR(l, NULL);
    }
    mf_test_fail_nth(0);
}

MF_TEST(linear, needs_no_more_work_memory_for_fewer_rows)
{
    const struct mf_linear_ops *const *all = mf_linear_all();

    for (size_t i = 0; all[i] != NULL; i++) {
        MF_CHECK(all[i]->work_bytes(1, 384) <= all[i]->work_bytes(64, 384));
        /* Rows are worked in blocks: a large batch needs no more than some of them. */
        MF_CHECK(all[i]->work_bytes(1000000, 1536) < (size_t)1 << 20);
    }
}
