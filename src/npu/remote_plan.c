/* SPDX-License-Identifier: Apache-2.0 */
#include "npu/remote_priv.h"

#include "base/map.h"
#include "base/mem.h"

#include <string.h>

/* Row by row: the caller's rows may stand further apart. */
static void copy_floats(float *to, const struct mf_npu_gemm *g, const float *w,
                        size_t ld)
{
    for (uint32_t row = 0; row < g->k; row++) {
        memcpy(to + (size_t)row * g->n, w + row * ld, g->n * sizeof(float));
    }
}

/* The floats lie in the shared memory only while they are packed: what is kept there is
 * the packed weight, for the next worker. */
static int ask_to_pack(struct mf_npu_dev *dev, const struct mf_npu_gemm *g,
                       struct mf_npu_mem *mem, uint64_t floats_at,
                       struct mf_npu_err *err)
{
    struct mf_npu_msg m = {.type = MF_NPU_MSG_WEIGHT};
    struct mf_remote_call call = {.mem = mem};
    int rc;

    m.u.weight.gemm = *g;
    m.u.weight.floats_at = floats_at;
    mf_remote_mem_msg(mem, &m.u.weight.mem);
    rc = mf_remote_ask(dev, &m, &call, err);
    if (rc == 0) {
        mem->sum = mf_hash_bytes(dev->base + mem->span.at, mem->bytes);
        mem->has_sum = true;
    }
    return rc;
}

int mf_remote_weight_pack(struct mf_npu_dev *dev, const struct mf_npu_gemm *g,
                          const float *w, size_t ld, struct mf_npu_mem **out,
                          struct mf_npu_err *err)
{
    uint64_t n = (uint64_t)g->k * g->n;
    struct mf_remote_span floats = {0};
    struct mf_npu_mem *mem = NULL;
    int rc;

    *out = NULL;
    if (n == 0 || n > MF_NPU_WIRE_SHARED / sizeof(float) || ld < g->n) {
        return mf_remote_tell(err, MF_EINVAL, 0,
                              "a weight needs k and n above 0, and rows of n or more");
    }
    mf_remote_lock(dev);
    rc = mf_remote_mem_make(dev, MF_NPU_MEM_WEIGHT, n * mf_npu_dtype_bytes(g->b), &mem,
                            err);
    if (rc < 0) {
        goto unlock;
    }
    rc = mf_remote_span_take(dev, &floats, n * sizeof(float), err);
    if (rc < 0) {
        goto put_mem;
    }
    mf_remote_unlock(dev); /* no one else knows this piece */
    copy_floats((float *)(void *)(dev->base + floats.at), g, w, ld);
    mf_remote_lock(dev);
    rc = ask_to_pack(dev, g, mem, floats.at, err);
    mf_remote_span_give(dev, &floats);
put_mem:
    if (rc < 0) {
        mf_remote_mem_unref(mem);
        mem = NULL;
    }
unlock:
    mf_remote_unlock(dev);
    *out = mem;
    return rc;
}

static bool is_same(const struct mf_npu_gemm *x, const struct mf_npu_gemm *y)
{
    return x->m == y->m && x->k == y->k && x->n == y->n && x->a == y->a &&
           x->b == y->b && x->c == y->c && x->epi == y->epi;
}

/* The plan of this shape, or NULL and the first free number (MF_NPU_WIRE_PLANS: none).
 */
static struct mf_npu_plan *find(const struct mf_npu_dev *dev,
                                const struct mf_npu_gemm *g, uint32_t *free_id)
{
    *free_id = MF_NPU_WIRE_PLANS;
    for (uint32_t i = MF_NPU_WIRE_PLANS; i-- > 0;) {
        if (dev->plans[i] != NULL && is_same(&dev->plans[i]->gemm, g)) {
            return dev->plans[i];
        }
        if (!dev->has_plan[i]) {
            *free_id = i;
        }
    }
    return NULL;
}

static int make(struct mf_npu_dev *dev, const struct mf_npu_gemm *g, uint32_t id,
                struct mf_npu_plan **out, struct mf_npu_err *err)
{
    struct mf_npu_msg m = {.type = MF_NPU_MSG_PLAN};
    struct mf_remote_call call = {0};
    struct mf_npu_plan *plan;
    int rc;

    if (id == MF_NPU_WIRE_PLANS) {
        return mf_remote_tell(err, MF_ENOMEM, 0, "too many shapes on one device");
    }
    plan = mf_malloc(sizeof(*plan));
    if (plan == NULL) {
        return mf_remote_tell(err, MF_ENOMEM, 0, "no memory for a plan");
    }
    *plan = (struct mf_npu_plan){dev, id, *g};
    m.u.plan = (struct mf_npu_msg_plan){id, *g};
    call.plan = plan;
    dev->has_plan[id] = 1;
    rc = mf_remote_ask(dev, &m, &call, err);
    if (rc < 0) {
        dev->has_plan[id] = 0;
        mf_free(plan);
        return rc;
    }
    *out = plan;
    return 0;
}

int mf_remote_plan(struct mf_npu_dev *dev, const struct mf_npu_gemm *g,
                   struct mf_npu_plan **out, struct mf_npu_err *err)
{
    uint32_t id;
    int rc = 0;

    mf_remote_lock(dev);
    *out = find(dev, g, &id);
    if (*out == NULL) {
        rc = make(dev, g, id, out, err);
    }
    mf_remote_unlock(dev);
    return rc;
}
