/* SPDX-License-Identifier: Apache-2.0 */
/* One row of a product once more, in double, of the numbers that the device was given.
 * The weights are read anew: they are asked for seldom and need no copy. */
#include "base/mem.h"
#include "npu/canary.h"
#include "npu/offload_in.h"
#include "npu/pack.h"

#include <math.h>

struct check {
    struct mf_dense_weights d;
    double *want, *mass;
};

static double rounded(float v)
{
    return (double)mf_npu_float(mf_npu_bf16(v));
}

static void compute_row(struct check *c, const float *x, bool has_bias)
{
    for (uint32_t i = 0; i < c->d.n; i++) {
        double bias = has_bias ? rounded(c->d.bias[i]) : 0;

        c->want[i] = bias;
        c->mass[i] = fabs(bias);
    }
    for (uint32_t k = 0; k < c->d.k; k++) {
        double a = rounded(x[k]);

        for (uint32_t i = 0; i < c->d.n; i++) {
            double p = a * rounded(c->d.w[(size_t)k * c->d.n + i]);

            c->want[i] += p;
            c->mass[i] += fabs(p);
        }
    }
}

static int compare(const struct check *c, const float *got, bool has_gelu,
                   double *cosine, double *max_abs_err)
{
    enum mf_npu_epi epi = has_gelu ? MF_NPU_EPI_GELU : MF_NPU_EPI_NONE;
    struct mf_npu_gauge gauge = {0};

    for (uint32_t i = 0; i < c->d.n; i++) {
        mf_npu_gauge_add(&gauge, (double)got[i],
                         has_gelu ? mf_npu_gelu(c->want[i]) : c->want[i], c->mass[i],
                         epi);
    }
    *cosine = mf_npu_gauge_cosine(&gauge);
    *max_abs_err = gauge.max_abs_err;
    return mf_npu_gauge_is_good(&gauge) ? 0 : MF_ECORRUPT;
}

int mf_product_check(const struct product *p, const struct mf_encoder *e, size_t row,
                     double *cosine, double *max_abs_err)
{
    const struct mf_device_call *call = p->call;
    struct check c = {0};
    bool has_gelu;
    const float *got = mf_product_row(p, row, &has_gelu);
    int rc = mf_encoder_dense(e, call->layer, call->role, &c.d);

    if (rc < 0) {
        return rc;
    }
    c.want = mf_array(c.d.n, sizeof(*c.want));
    c.mass = mf_array(c.d.n, sizeof(*c.mass));
    rc = MF_ENOMEM;
    if (c.want != NULL && c.mass != NULL) {
        compute_row(&c, call->x + row * c.d.k, p->rig->role[call->role].has_bias_row);
        rc = compare(&c, got, has_gelu, cosine, max_abs_err);
    }
    mf_free(c.d.w);
    mf_free(c.d.bias);
    mf_free(c.want);
    mf_free(c.mass);
    return rc;
}
