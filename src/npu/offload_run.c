/* SPDX-License-Identifier: Apache-2.0 */
/* One product: rows into the slot's A, operations of a job, C back into y. */
#include "npu/canary.h"
#include "npu/offload_in.h"
#include "npu/pack.h"

#include <math.h>
#include <string.h>

/* The smallest program for so many rows, or the biggest there is. */
static int bucket_for(const struct rig *r, const struct rig_role *role, size_t rows)
{
    int b = 0;

    while (b < role->biggest && (role->plan[b].plan == NULL || r->bucket[b] < rows)) {
        b++;
    }
    return b;
}

static const struct rig_role *role_of(const struct product *p)
{
    return &p->rig->role[p->call->role];
}

static const struct rig_dense *dense_of(const struct product *p)
{
    return mf_rig_dense(p->rig, p->call->layer, p->call->role);
}

int mf_product_plan(struct product *p)
{
    const struct rig_role *role = role_of(p);
    size_t rows = p->call->rows;

    p->n_ops = 0;
    if (role->biggest < 0 || rows == 0 || rows > p->rig->slot_rows) {
        return MF_EUNPROCESSABLE;
    }
    for (size_t at = 0; at < rows; p->n_ops++) {
        int b = bucket_for(p->rig, role, rows - at);
        size_t n = mf_min(rows - at, (size_t)p->rig->bucket[b]);

        if (p->n_ops == MF_NPU_MAX_OPS) {
            return MF_EUNPROCESSABLE;
        }
        p->has_gelu[p->n_ops] = role->plan[b].has_gelu;
        p->op[p->n_ops] =
            (struct mf_npu_op){.plan = role->plan[b].plan,
                               .a = p->slot->a,
                               .w = dense_of(p)->w,
                               .c = p->slot->c,
                               .a_at = at * role->padded_k * sizeof(uint16_t),
                               .c_at = at * role->padded_n * sizeof(float),
                               .rows = (uint32_t)n};
        at += n;
    }
    return 0;
}

int mf_product_run(const struct product *p, int64_t deadline_ns, struct mf_npu_err *err)
{
    const struct mf_npu_backend *b = p->rig->backend;
    const struct rig_role *role = role_of(p);
    struct mf_npu_job *job;
    int rc;

    mf_npu_pack_rows(b->mem_map(p->slot->a), role->padded_k, p->call->x, p->call->rows,
                     role->k, role->has_bias_row);
    rc = b->submit(p->rig->dev, p->op, p->n_ops, deadline_ns, &job, err);
    if (rc == 0) {
        mf_sums_expect(p);
        rc = b->wait(job, err);
        b->job_put(job);
    }
    return rc;
}

/* Rows stand behind each other, whichever operation computed them. */
const float *mf_product_row(const struct product *p, size_t row, bool *has_gelu)
{
    const float *c = p->rig->backend->mem_map(p->slot->c);
    size_t end = 0;

    *has_gelu = false;
    for (unsigned i = 0; i < p->n_ops && row >= end; i++) {
        end += p->op[i].rows;
        *has_gelu = p->has_gelu[i];
    }
    return c + row * role_of(p)->padded_n;
}

static float activate(enum mf_epilogue ep, float x)
{
    const float tanh_scale = 0.7978845608F; /* sqrt(2 / pi) */

    switch (ep) {
    case MF_EP_GELU: return 0.5F * x * (1 + erff(x * (float)M_SQRT1_2));
    case MF_EP_GELU_TANH:
        return 0.5F * x * (1 + tanhf(tanh_scale * (x + 0.044715F * x * x * x)));
    case MF_EP_RELU: return fmaxf(x, 0);
    case MF_EP_BIAS:
    case MF_EP_RESIDUAL:
    default: return x;
    }
}

static void finish_row(const struct product *p, const float *c, bool has_gelu, float *y)
{
    const float *bias = dense_of(p)->bias;
    enum mf_epilogue ep = has_gelu ? MF_EP_BIAS : p->call->ep;
    uint32_t n = role_of(p)->n;

    if (ep == MF_EP_RESIDUAL) {
        for (uint32_t i = 0; i < n; i++) {
            y[i] += c[i] + (bias != NULL ? bias[i] : 0);
        }
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        y[i] = c[i] + (bias != NULL ? bias[i] : 0);
    }
    for (uint32_t i = 0; ep != MF_EP_BIAS && i < n; i++) {
        y[i] = activate(ep, y[i]);
    }
}

void mf_product_finish(const struct product *p)
{
    uint32_t n = role_of(p)->n;

    for (size_t row = 0; row < p->call->rows; row++) {
        bool has_gelu;
        const float *c = mf_product_row(p, row, &has_gelu);

        finish_row(p, c, has_gelu, p->call->y + row * n);
    }
}
