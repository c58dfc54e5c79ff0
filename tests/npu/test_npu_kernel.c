/* SPDX-License-Identifier: Apache-2.0 */
/* What only the shipped XRT above an emulated kernel can show (kemu.h): its own words,
 * its waits when a signal comes, its heap, and the shapes of a real model. */
#include "lib/mf_test.h"
#include "lib/npu_artefacts.h"
#include "npu/canary.h"
#include "npu/xrt_kit.h"

#include <stdlib.h>
#include <string.h>

#define MAX_ERROR 1e-5

static const struct mf_npu_backend *xrt(void)
{
    return kit_backend(KIT_MODULE);
}

MF_TEST(npu_kernel, tells_in_the_words_of_xrt_that_the_driver_refused_a_context)
{
    struct mf_npu_dev *dev = NULL;
    struct mf_npu_err err = {0};

    MF_CHECK_INT(kit_try_open(xrt(), "refuse-context", &dev, &err), MF_EBACKEND);
    MF_CHECK_STR(err.text, "XRT: DRM_IOCTL_AMDXDNA_CREATE_HWCTX IOCTL failed "
                           "(err=-22): Invalid argument");
}

/* The plugin takes no notice of it: a wait that a signal ended looks like one that is
 * over in time. */
MF_TEST(npu_kernel, waits_on_when_signals_interrupt_the_wait)
{
    struct mf_npu_dev *dev = kit_open(xrt(), MF_NPU_LAYOUT_PLAIN, "eintr=1,delay=20");
    struct mf_npu_health health;
    struct mf_npu_err err = {0};
    struct kit_product p;

    kit_product_init(&p, xrt(), dev, &kit_plain);
    for (int i = 0; i < 5; i++) {
        MF_CHECK_OK(kit_run(&p, dev, p.g.m, 10 * SECOND_NS, &err));
        MF_CHECK(kit_error(&p, p.g.m) <= MAX_ERROR);
    }
    xrt()->health(dev, &health);
    MF_CHECK_INT(health.state, MF_NPU_READY);
    kit_product_fini(&p);
    xrt()->close(dev);
}

/* Programs lie in the heap, activations do not: one page is left for one program. */
MF_TEST(npu_kernel, has_no_plan_when_the_heap_is_full)
{
    struct mf_npu_dev *dev = kit_open(xrt(), MF_NPU_LAYOUT_PLAIN, "heap=8192");
    struct mf_npu_plan *plan = NULL;
    struct mf_npu_err err = {0};
    struct kit_product p;

    kit_product_init(&p, xrt(), dev, &kit_plain);
    MF_CHECK_INT(xrt()->plan(dev, &kit_gelu, &plan, &err), MF_ENOMEM);
    MF_CHECK(strstr(err.text, "XRT: ") == err.text);
    MF_CHECK_OK(kit_run(&p, dev, p.g.m, 10 * SECOND_NS, &err));
    MF_CHECK(kit_error(&p, p.g.m) <= MAX_ERROR);
    kit_product_fini(&p);
    xrt()->close(dev);
}

static void check_model(enum mf_npu_layout layout)
{
    const char *dir = mf_test_tmpdir();
    struct npu_artefacts a = npu_artefacts_minilm();
    struct mf_npu_conf conf = {.dir = dir};
    struct mf_npu_dev *dev = NULL;
    struct mf_npu_health health;
    struct mf_npu_err err = {0};
    struct mf_err why = {0};

    MF_CHECK_OK(setenv("MF_FAKE_XRT", "", 1)); /* what the case before has set */
    a.layout = layout;
    MF_CHECK_OK(npu_artefacts_write(dir, &a));
    MF_CHECK_OK(mf_npu_manifest_make(dir, &why));
    MF_CHECK_OK(xrt()->open(&conf, &dev, &err));
    MF_CHECK_OK(xrt()->verify(dev, &health));
    MF_CHECK_INT(health.state, MF_NPU_READY);
    MF_CHECK(health.last_cosine >= MF_NPU_MIN_COSINE);
    MF_CHECK(health.max_abs_err < 1e-3);
    xrt()->close(dev);
}

MF_TEST(npu_kernel, multiplies_right_in_every_shape_of_minilm)
{
    check_model(MF_NPU_LAYOUT_PLAIN);
}

MF_TEST(npu_kernel, multiplies_right_in_every_shape_of_minilm_in_tiles)
{
    check_model(MF_NPU_LAYOUT_TILED_8X8);
}
