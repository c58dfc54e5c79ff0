/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/mf_test.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static char first_dir[4096];

MF_TEST(mf_test, counts_blocks_of_the_seam)
{
    const size_t before = mf_test_live_blocks();
    void *a = mf_malloc(1);
    void *b = mf_calloc(2, 3);
    void *c = mf_realloc(NULL, 4);

    MF_CHECK_INT(mf_test_live_blocks() - before, 3);
    c = mf_realloc(c, 400);
    mf_free(NULL);
    MF_CHECK_INT(mf_test_live_blocks() - before, 3);
    mf_free(a);
    mf_free(b);
    mf_free(c);
    MF_CHECK_INT(mf_test_live_blocks() - before, 0);
}

MF_TEST(mf_test, fails_exactly_the_nth_allocation)
{
    for (size_t n = 1; n <= 4; n++) {
        mf_test_fail_nth(n);
        for (size_t i = 1; i <= 5; i++) {
            void *p = mf_malloc(8);

            MF_CHECK_INT(p == NULL, i == n);
            MF_CHECK_INT(mf_test_has_failed(), i >= n);
            mf_free(p);
        }
    }
    mf_test_fail_nth(0);
    MF_CHECK(!mf_test_has_failed());
}

MF_TEST(mf_test, leaves_a_failure_armed_for_nobody)
{
    mf_test_fail_nth(1);
}

MF_TEST(mf_test, next_case_has_its_memory)
{
    void *p = mf_malloc(8);

    assert_non_null(p);
    mf_free(p);
}

MF_TEST(mf_test, tmpdir_exists_and_stays_for_the_case)
{
    const char *dir = mf_test_tmpdir();
    struct stat st;

    MF_CHECK_OK(stat(dir, &st));
    MF_CHECK(S_ISDIR(st.st_mode));
    MF_CHECK_STR(mf_test_tmpdir(), dir);
    (void)snprintf(first_dir, sizeof(first_dir), "%s", dir);
}

MF_TEST(mf_test, tmpdir_of_another_case_is_another)
{
    MF_CHECK(strcmp(mf_test_tmpdir(), first_dir) != 0);
}
