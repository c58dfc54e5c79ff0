/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Properties: a file is either taken or its problems are told; the settings that stand
 * afterwards print to a file which is taken and prints the same again.
 */
#include "conf/conf.h"

#include <string.h>

/* The name is the fuzzer's; nobody else calls it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_round_trip(const struct mf_conf *c)
{
    struct mf_conf again;
    struct mf_conf_report r = {.n_problems = 0};
    struct mf_buf first, second;

    mf_buf_init(&r.text);
    mf_buf_init(&first);
    mf_buf_init(&second);
    MF_ASSERT(mf_conf_init(&again) == 0);
    mf_conf_print(c, &first);
    MF_ASSERT(mf_buf_status(&first) == 0);
    MF_ASSERT(mf_conf_read_yaml(&again, mf_slice_of(first.p, first.n), "printed", &r) ==
              0);
    mf_conf_print(&again, &second);
    MF_ASSERT(first.n == second.n && memcmp(first.p, second.p, first.n) == 0);
    mf_conf_fini(&again);
    mf_buf_fini(&second);
    mf_buf_fini(&first);
    mf_buf_fini(&r.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct mf_conf c;
    struct mf_conf_report r = {.n_problems = 0};
    int rc;

    mf_buf_init(&r.text);
    MF_ASSERT(mf_conf_init(&c) == 0);
    rc = mf_conf_read_yaml(&c, mf_slice_of((const char *)data, n), "f", &r);
    MF_ASSERT(rc == 0 || rc == MF_EINVAL);
    MF_ASSERT((rc == 0) == (r.n_problems == 0));
    MF_ASSERT((r.n_problems == 0) == (r.text.n == 0));
    if (rc == 0) {
        MF_ASSERT((mf_conf_check(&c, &r) == 0) == (r.n_problems == 0));
    }
    check_round_trip(&c);
    mf_conf_fini(&c);
    mf_buf_fini(&r.text);
    return 0;
}
