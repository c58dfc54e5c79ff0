/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "npu/canary.h"
#include "npu/offload_in.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A slot holds so many rows, or one program's, if those are more. */
#define SLOT_ROWS    2048U
/* The first run of a program may be a slow one: it has so many deadlines. */
#define CANARY_TIMES 10

static uint32_t round_up(uint32_t n, uint32_t to)
{
    return (n + to - 1) / to * to;
}

const struct rig_dense *mf_rig_dense(const struct rig *r, uint32_t layer,
                                     enum mf_dense_role role)
{
    return &r->dense[(size_t)layer * MF_DENSE_ROLES + role];
}

/* ---- shapes ---- */

/* Twice the size each, as far as the device goes. */
static int choose_buckets(struct rig *r, struct mf_npu_err *err)
{
    const struct mf_npu_caps *c = &r->caps;

    if (c->m_mult == 0 || c->k_mult == 0 || c->n_mult == 0 || c->m_max < c->m_mult) {
        return mf_npu_err_set(err, MF_EINVAL, "a device for shapes of %ux%ux%u to m %u",
                              c->m_mult, c->k_mult, c->n_mult, c->m_max);
    }
    for (uint32_t m = c->m_mult; m <= c->m_max && r->n_buckets < MF_NPU_MAX_BUCKETS;
         m *= 2) {
        r->bucket[r->n_buckets++] = m;
    }
    r->slot_rows = round_up(SLOT_ROWS, r->bucket[r->n_buckets - 1]);
    return 0;
}

static void shape_role(struct rig_role *role, const struct mf_npu_caps *c, uint32_t k,
                       uint32_t n)
{
    role->k = k;
    role->n = n;
    role->padded_k = round_up(k, c->k_mult);
    role->padded_n = round_up(n, c->n_mult);
    role->has_bias_row = role->padded_k > k;
    role->biggest = -1;
}

/* Of a role, for so many rows. */
static struct mf_npu_gemm gemm_of(const struct rig_role *role, uint32_t m, bool gelu)
{
    return (struct mf_npu_gemm){.m = m,
                                .k = role->padded_k,
                                .n = role->padded_n,
                                .a = MF_NPU_BF16,
                                .b = MF_NPU_BF16,
                                .c = MF_NPU_F32,
                                .epi = gelu ? MF_NPU_EPI_GELU : MF_NPU_EPI_NONE};
}

static void plan_bucket(struct rig *r, struct rig_role *role, int bucket, bool gelu)
{
    struct mf_npu_gemm g = gemm_of(role, r->bucket[bucket], gelu);
    struct rig_plan *p = &role->plan[bucket];

    if (r->backend->plan(r->dev, &g, &p->plan, NULL) == 0) {
        p->has_gelu = gelu;
        role->biggest = bucket;
    } else {
        p->plan = NULL;
    }
}

/* The device's GELU is used when the bias is in the product before it. */
static void plan_role(struct rig *r, struct rig_role *role, bool wants_gelu)
{
    for (int b = 0; b < r->n_buckets; b++) {
        plan_bucket(r, role, b, wants_gelu);
        if (wants_gelu && role->plan[b].plan == NULL) {
            plan_bucket(r, role, b, false);
        }
    }
}

static int plan_roles(struct rig *r, const struct mf_weights_info *info,
                      struct mf_npu_err *err)
{
    const uint32_t hidden = info->hidden, ffn = info->ffn;
    const uint32_t k[] = {hidden, hidden, hidden, ffn};
    const uint32_t n[] = {3 * hidden, hidden, ffn, hidden};
    bool has_any = false;

    for (int i = 0; i < MF_DENSE_ROLES; i++) {
        struct rig_role *role = &r->role[i];

        shape_role(role, &r->caps, k[i], n[i]);
        plan_role(r, role,
                  i == MF_DENSE_UP && role->has_bias_row &&
                      info->activation == MF_ACT_GELU);
        has_any = has_any || role->biggest >= 0;
    }
    return has_any ? 0
                   : mf_npu_err_set(err, MF_EUNPROCESSABLE,
                                    "no program fits a model of %u and %u wide", hidden,
                                    ffn);
}

/* ---- weights ---- */

/* Padded with zeros; the bias below the weights where there is room. */
static float *pad_weight(const struct rig_role *role, const float *w, const float *bias)
{
    float *to = mf_calloc((size_t)role->padded_k * role->padded_n, sizeof(*to));

    if (to == NULL) {
        return NULL;
    }
    for (size_t k = 0; k < role->k; k++) {
        memcpy(to + k * role->padded_n, w + k * role->n, role->n * sizeof(*to));
    }
    if (role->has_bias_row) {
        memcpy(to + (size_t)role->k * role->padded_n, bias, role->n * sizeof(*to));
    }
    return to;
}

static int load_padded(struct rig *r, const struct rig_role *role,
                       struct rig_dense *dense, const float *w, struct mf_npu_err *err)
{
    struct mf_npu_gemm g = gemm_of(role, r->bucket[role->biggest], false);

    return r->backend->weight_pack(r->dev, &g, w, role->padded_n, &dense->w, err);
}

static int load_dense(struct rig *r, const struct mf_encoder *e, uint32_t layer,
                      enum mf_dense_role which, struct mf_npu_err *err)
{
    const struct rig_role *role = &r->role[which];
    struct rig_dense *dense = &r->dense[(size_t)layer * MF_DENSE_ROLES + which];
    struct mf_dense_weights d;
    float *padded;
    int rc = mf_encoder_dense(e, layer, which, &d);

    if (rc < 0) {
        return mf_npu_err_set(err, rc, "no memory for the weights of a layer");
    }
    MF_ASSERT(d.k == role->k && d.n == role->n);
    padded = pad_weight(role, d.w, d.bias);
    rc = padded == NULL ? MF_ENOMEM : mf_sums_make(r, role, &d, &dense->sums);
    mf_free(d.w);
    rc = rc == 0 ? load_padded(r, role, dense, padded, err)
                 : mf_npu_err_set(err, rc, "no memory for weights");
    mf_free(padded);
    if (role->has_bias_row) {
        mf_free(d.bias);
    } else {
        dense->bias = d.bias;
    }
    return rc;
}

static int load_all(struct rig *r, const struct mf_encoder *e, struct mf_npu_err *err)
{
    int rc = mf_sums_open(r);

    if (rc < 0) {
        return mf_npu_err_set(err, rc, "no memory for weights");
    }
    for (uint32_t i = 0; rc == 0 && i < r->n_layers * MF_DENSE_ROLES; i++) {
        enum mf_dense_role role = (enum mf_dense_role)(i % MF_DENSE_ROLES);

        if (r->role[role].biggest >= 0) {
            rc = load_dense(r, e, i / MF_DENSE_ROLES, role, err);
        }
    }
    return rc;
}

static int make_slots(struct rig *r, struct mf_npu_err *err)
{
    size_t k = 0, n = 0;
    int rc = 0;

    for (int i = 0; i < MF_DENSE_ROLES; i++) {
        k = mf_max(k, (size_t)r->role[i].padded_k);
        n = mf_max(n, (size_t)r->role[i].padded_n);
    }
    for (int i = 0; rc == 0 && i < MF_NPU_SLOTS; i++) {
        struct rig_slot *s = &r->slot[i];

        s->rig = r;
        s->sum = mf_array(r->slot_rows, sizeof(*s->sum));
        s->row = mf_array(k + 1, sizeof(*s->row));
        if (s->sum == NULL || s->row == NULL) {
            return mf_npu_err_set(err, MF_ENOMEM, "no memory for rows");
        }
        rc = r->backend->mem_new(r->dev, MF_NPU_MEM_IN,
                                 r->slot_rows * k * sizeof(uint16_t), &s->a, err);
        if (rc == 0) {
            rc = r->backend->mem_new(r->dev, MF_NPU_MEM_OUT,
                                     r->slot_rows * n * sizeof(float), &s->c, err);
        }
    }
    return rc;
}

/* ---- the canary of every shape that is used ---- */

/* Roles of one shape share its program. */
static bool is_seen(const struct rig *r, int role, int bucket)
{
    for (int i = 0; i < role; i++) {
        if (r->role[i].plan[bucket].plan == r->role[role].plan[bucket].plan) {
            return true;
        }
    }
    return false;
}

static int verify_shape(const struct rig *r, int which, int bucket,
                        const struct mf_npu_canary_of *of, struct mf_npu_gauge *gauge,
                        struct mf_npu_err *err)
{
    const struct rig_role *role = &r->role[which];
    struct mf_npu_gemm g =
        gemm_of(role, r->bucket[bucket], role->plan[bucket].has_gelu);

    if (role->plan[bucket].plan == NULL || is_seen(r, which, bucket)) {
        return 0;
    }
    return mf_npu_canary(of, &g, gauge, err);
}

static int verify_all(struct rig *r, uint64_t limit_ms, struct mf_npu_err *err)
{
    struct mf_npu_canary_of of = {r->backend, r->dev,
                                  (int64_t)limit_ms * CANARY_TIMES * 1000000};
    struct mf_npu_gauge gauge = {0};
    int n = MF_DENSE_ROLES * r->n_buckets, rc = 0;

    for (int i = 0; rc == 0 && i < n; i++) {
        rc = verify_shape(r, i % MF_DENSE_ROLES, i / MF_DENSE_ROLES, &of, &gauge, err);
    }
    r->cosine = mf_npu_gauge_cosine(&gauge);
    r->max_abs_err = gauge.max_abs_err;
    r->caps.verified = rc == 0;
    return rc;
}

/* ---- open, close ---- */

static int make_resident(struct rig *r, const struct mf_encoder *e,
                         const struct mf_npu_offload_conf *conf, struct mf_npu_err *err)
{
    int rc;

    r->backend->caps(r->dev, &r->caps);
    rc = choose_buckets(r, err);
    if (rc == 0) {
        rc = plan_roles(r, mf_encoder_model(e), err);
    }
    if (rc == 0) {
        rc = verify_all(r, conf->deadline_ms, err);
    }
    if (rc == 0) {
        rc = load_all(r, e, err);
    }
    return rc == 0 ? make_slots(r, err) : rc;
}

int mf_rig_open(struct rig **out, const struct mf_encoder *e,
                const struct mf_npu_offload_conf *conf, struct mf_npu_err *err)
{
    uint32_t n_layers = mf_encoder_n_layers(e);
    struct rig *r = mf_calloc(1, sizeof(*r) + (size_t)n_layers * MF_DENSE_ROLES *
                                                  sizeof(r->dense[0]));
    int rc;

    *out = NULL;
    if (r == NULL) {
        return mf_npu_err_set(err, MF_ENOMEM, "no memory for a device");
    }
    r->backend = conf->backend;
    r->n_layers = n_layers;
    rc = r->backend->open(&conf->npu, &r->dev, err);
    if (rc == 0) {
        rc = make_resident(r, e, conf, err);
    } else {
        r->dev = NULL;
    }
    if (rc < 0) {
        mf_rig_close(r);
        return rc;
    }
    *out = r;
    return 0;
}

static void put(const struct rig *r, struct mf_npu_mem *mem)
{
    if (mem != NULL) {
        r->backend->mem_put(mem);
    }
}

void mf_rig_close(struct rig *r)
{
    for (size_t i = 0; i < (size_t)r->n_layers * MF_DENSE_ROLES; i++) {
        put(r, r->dense[i].w);
        mf_free(r->dense[i].bias);
        mf_sums_free(&r->dense[i].sums);
    }
    for (int i = 0; i < MF_NPU_SLOTS; i++) {
        put(r, r->slot[i].a);
        put(r, r->slot[i].c);
        mf_free(r->slot[i].sum);
        mf_free(r->slot[i].row);
    }
    mf_free(r->sign);
    if (r->dev != NULL) {
        r->backend->close(r->dev);
    }
    mf_free(r);
}
