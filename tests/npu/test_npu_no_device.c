/* SPDX-License-Identifier: Apache-2.0 */
/* The real XRT as its package installs it, on a machine without an NPU: through its C
 * interface, or while it prints, XRT 2.13 ends the process here. */
#include "lib/mf_test.h"
#include "npu/xrt_kit.h"
#include "npu/xrt_load.h"

#include <stdlib.h>
#include <string.h>

MF_TEST(npu_no_device, finds_none_and_says_so)
{
    struct mf_npu_conf conf = {.dir = kit_artefacts(MF_NPU_LAYOUT_PLAIN), .index = 77};
    const struct mf_npu_backend *backend = NULL;
    struct mf_npu_dev *dev = NULL;
    struct mf_npu_caps caps;
    struct mf_npu_err why = {0};
    struct mf_err err = {0};

    MF_CHECK_OK(unsetenv("XILINX_XRT"));
    MF_CHECK_OK(unsetenv("XCL_EMULATION_MODE"));
    MF_CHECK_OK(mf_npu_xrt_load(KIT_MODULE, &backend, &err));
    for (int i = 0; i < 2; i++) {
        MF_CHECK_INT(backend->probe(&conf, &caps, &why), MF_ENOTFOUND);
        MF_CHECK_INT(backend->open(&conf, &dev, &why), MF_ENOTFOUND);
        MF_CHECK_INT(strncmp(why.text, "XRT: ", 5), 0);
        MF_CHECK(strlen(why.text) > 10);
    }
}
