/* SPDX-License-Identifier: Apache-2.0 */
/* Leaves a block behind: its test passes when mf_test says so. */
#include "lib/mf_test.h"

#include "base/mem.h"

static void *left_behind;

MF_TEST(mf_test, leaks)
{
    left_behind = mf_malloc(1);
    assert_non_null(left_behind);
}
