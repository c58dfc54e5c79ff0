/* SPDX-License-Identifier: Apache-2.0 */
#include "npu/canary.h"
#include "npu/xrt/device.h"

#define CANARY_NS 10000000000LL /* of one shape: more than a device needs by far */

static void note(struct mf_npu_dev *dev, const struct mf_npu_gauge *sum, int rc,
                 const struct mf_npu_err *err)
{
    pthread_mutex_lock(&dev->lock);
    dev->stats.verify_runs++;
    dev->stats.verify_bad += rc == MF_ECORRUPT;
    dev->health.last_cosine = mf_npu_gauge_cosine(sum);
    dev->health.max_abs_err = sum->max_abs_err;
    dev->caps.verified = rc == 0 && !dev->is_lost;
    if (rc == MF_ECORRUPT) {
        mf_xrt_lose(dev, false, rc, err->text);
    }
    pthread_mutex_unlock(&dev->lock);
}

int mf_xrt_verify(struct mf_npu_dev *dev, struct mf_npu_health *out)
{
    const struct mf_npu_canary_of of = {
        .backend = &mf_xrt_backend, .dev = dev, .limit_ns = CANARY_NS};
    struct mf_npu_gauge sum = {0};
    struct mf_npu_err err = {0};
    int rc = 0;

    for (size_t i = 0; i < dev->manifest.n_shapes && rc == 0; i++) {
        rc = mf_npu_canary(&of, &dev->manifest.shapes[i].gemm, &sum, &err);
    }
    note(dev, &sum, rc, &err);
    mf_xrt_health(dev, out);
    return rc;
}
