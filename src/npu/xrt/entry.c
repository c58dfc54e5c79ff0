/* SPDX-License-Identifier: Apache-2.0 */
#include "npu/xrt/device.h"

const struct mf_npu_backend mf_xrt_backend = {
    .abi = MF_NPU_ABI,
    .name = "xrt",
    .probe = mf_xrt_probe,
    .open = mf_xrt_dev_open,
    .caps = mf_xrt_caps,
    .close = mf_xrt_dev_close,
    .mem_new = mf_xrt_mem_new,
    .mem_map = mf_xrt_mem_map,
    .mem_flush = mf_xrt_mem_flush,
    .mem_inval = mf_xrt_mem_inval,
    .mem_put = mf_xrt_mem_put,
    .weight_pack = mf_xrt_weight_pack,
    .plan = mf_xrt_plan,
    .submit = mf_xrt_submit,
    .wait = mf_xrt_wait,
    .cancel = mf_xrt_cancel,
    .job_put = mf_xrt_job_put,
    .verify = mf_xrt_verify,
    .health = mf_xrt_health,
    .stats = mf_xrt_stats,
};

__attribute__((visibility("default"))) const struct mf_npu_backend *
mf_npu_backend_entry(uint32_t abi);

/* Built with other headers than the library that is here, the first call would crash.
 */
const struct mf_npu_backend *mf_npu_backend_entry(uint32_t abi)
{
    return abi == MF_NPU_ABI && mf_xrt_matches() ? &mf_xrt_backend : NULL;
}
