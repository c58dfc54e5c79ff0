/* SPDX-License-Identifier: Apache-2.0 */
/* A module that leaves one sync out (skip_sync.c): each of them is missed in the
 * numbers. Each case is a process of its own, since its module counts its syncs. */
#include "lib/mf_test.h"
#include "npu/xrt_kit.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_ERROR 1e-5

enum { RIGHT = 10, WRONG, FAILED };

/* One product: its program, its weights, its rows, its result. */
static int run_product(const char *skip)
{
    const struct mf_npu_backend *b;
    struct mf_npu_dev *dev;
    struct mf_npu_err err = {0};
    struct kit_product p;
    int rc, seen;

    MF_CHECK_OK(setenv("MF_SKIP_SYNC", skip, 1));
    b = kit_backend(KIT_MODULE);
    dev = kit_open(b, MF_NPU_LAYOUT_PLAIN, NULL);
    kit_product_init(&p, b, dev, &kit_plain);
    rc = kit_run(&p, dev, p.g.m, 60 * SECOND_NS, &err);
    seen = rc < 0 ? FAILED : kit_error(&p, p.g.m) <= MAX_ERROR ? RIGHT : WRONG;
    kit_product_fini(&p);
    b->close(dev);
    return seen;
}

static int run_without(const char *sync)
{
    int status = 0;
    pid_t child = fork();

    MF_CHECK(child >= 0);
    if (child == 0) {
        _exit(run_product(sync));
    }
    MF_CHECK_INT(waitpid(child, &status, 0), child);
    MF_CHECK(WIFEXITED(status));
    return WEXITSTATUS(status);
}

MF_TEST(npu_xrt_skip, multiplies_right_with_all_its_syncs)
{
    MF_CHECK_INT(run_without("0"), RIGHT);
    MF_CHECK_INT(run_without("5"), RIGHT); /* there are four */
}

MF_TEST(npu_xrt_skip, fails_without_the_sync_of_the_program)
{
    MF_CHECK_INT(run_without("1"), FAILED);
}

MF_TEST(npu_xrt_skip, multiplies_wrong_without_the_sync_of_the_weights)
{
    MF_CHECK_INT(run_without("2"), WRONG);
}

MF_TEST(npu_xrt_skip, multiplies_wrong_without_the_sync_of_the_rows)
{
    MF_CHECK_INT(run_without("3"), WRONG);
}

MF_TEST(npu_xrt_skip, multiplies_wrong_without_the_sync_of_the_result)
{
    MF_CHECK_INT(run_without("4"), WRONG);
}
