/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The module on the real XRT 2.13 with its driver that does nothing ("noop"): real
 * parser, real calls, no numbers. XRT looks for the driver in $XILINX_XRT/lib, Debian
 * has it in a folder of its architecture: a private root with one link joins them.
 */
#include "lib/mf_test.h"
#include "npu/clock.h"
#include "npu/xrt_kit.h"
#include "npu/xrt_load.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct mf_npu_backend *noop(void)
{
    static const struct mf_npu_backend *backend;
    char link[512];
    const char *root;
    struct mf_err err = {0};

    if (backend == NULL) {
        root = mf_test_tmpdir();
        (void)snprintf(link, sizeof(link), "%s/lib", root);
        MF_CHECK_OK(symlink(KIT_XRT_LIBS, link));
        MF_CHECK_OK(setenv("XILINX_XRT", root, 1));
        MF_CHECK_OK(setenv("XCL_EMULATION_MODE", "noop", 1));
        if (mf_npu_xrt_load(KIT_MODULE, &backend, &err) < 0) {
            fail_msg("%s", err.msg);
        }
    }
    return backend;
}

MF_TEST(npu_noop, goes_through_the_whole_life_and_is_refused_since_no_numbers_come_out)
{
    struct mf_npu_dev *dev = kit_open(noop(), MF_NPU_LAYOUT_PLAIN, NULL);
    struct mf_npu_health health;
    struct mf_npu_caps caps;
    struct mf_npu_stats stats;
    struct mf_npu_err err = {0};
    struct kit_product p;

    kit_product_init(&p, noop(), dev, &kit_plain);
    for (int i = 0; i < 3; i++) {
        MF_CHECK_OK(kit_run(&p, dev, p.g.m, 10 * SECOND_NS, &err));
    }
    MF_CHECK(kit_error(&p, p.g.m) > 0.01);
    noop()->caps(dev, &caps);
    MF_CHECK(caps.simulated);
    MF_CHECK_STR(caps.runtime, "XRT 2.13");
    MF_CHECK_STR(caps.driver, "noop");
    MF_CHECK_INT(noop()->verify(dev, &health), MF_ECORRUPT);
    MF_CHECK_INT(health.state, MF_NPU_LOST);
    noop()->caps(dev, &caps);
    MF_CHECK(!caps.verified);
    noop()->stats(dev, &stats);
    MF_CHECK(stats.jobs_ok >= 3);
    MF_CHECK_INT(stats.verify_bad, 1);
    kit_product_fini(&p);
    noop()->close(dev);
}

MF_TEST(npu_noop, opens_again_and_takes_parts_of_memories)
{
    struct mf_npu_dev *dev = kit_open(noop(), MF_NPU_LAYOUT_PLAIN, NULL);
    struct mf_npu_err err = {0};
    struct kit_product p;

    kit_product_init_at(&p, noop(), dev, &kit_plain, 8192);
    MF_CHECK_OK(kit_run(&p, dev, p.g.m, 10 * SECOND_NS, &err));
    kit_product_fini(&p);
    noop()->close(dev);
}

MF_TEST(npu_noop, probes_and_keeps_nothing)
{
    struct mf_npu_conf conf = {.dir = kit_artefacts(MF_NPU_LAYOUT_PLAIN)};
    struct mf_npu_caps caps;
    struct mf_npu_err err = {0};

    for (int i = 0; i < 3; i++) {
        MF_CHECK_OK(noop()->probe(&conf, &caps, &err));
        MF_CHECK(caps.simulated);
    }
}
