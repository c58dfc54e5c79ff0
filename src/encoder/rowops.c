/* SPDX-License-Identifier: Apache-2.0 */
#include "encoder/rowops.h"

#include "encoder/rowops_in.h"

static const struct mf_rowops *const all[] = {
#if defined(__x86_64__)
    &mf_rowops_avx512bf16, &mf_rowops_avx512,
    &mf_rowops_avx2,
#endif
    &mf_rowops_plain,      NULL,
};

const struct mf_rowops *const *mf_rowops_all(void)
{
    return all;
}

const struct mf_rowops *mf_rowops_best(void)
{
    size_t i = 0;

    while (!all[i]->is_supported()) { /* the plain one always is */
        i++;
    }
    return all[i];
}
