/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "npu/pack.h"
#include "npu/xrt/device.h"

#define TILE 8U

static enum mf_xrt_arg arg_of(enum mf_npu_mem_kind kind)
{
    switch (kind) {
    case MF_NPU_MEM_WEIGHT: return MF_XRT_ARG_B;
    case MF_NPU_MEM_IN: return MF_XRT_ARG_A;
    case MF_NPU_MEM_OUT: return MF_XRT_ARG_C;
    case MF_NPU_MEM_PROGRAM: break;
    }
    return MF_XRT_ARG_PROGRAM;
}

static int call_mem_new(struct mf_npu_dev *dev, void *arg, struct mf_npu_err *err)
{
    struct mf_npu_mem *mem = arg;
    int rc = mf_xrt_bo_new(dev->hw, arg_of(mem->kind), mem->bytes, &mem->bo, err);

    if (rc < 0) {
        return rc;
    }
    mem->map = mf_xrt_bo_map(mem->bo);
    pthread_mutex_lock(&dev->lock);
    mf_list_push_tail(&dev->mems, &mem->link);
    pthread_mutex_unlock(&dev->lock);
    return 0;
}

int mf_xrt_mem_new(struct mf_npu_dev *dev, enum mf_npu_mem_kind kind, size_t bytes,
                   struct mf_npu_mem **out, struct mf_npu_err *err)
{
    struct mf_npu_mem *mem;
    int rc;

    if (bytes == 0) {
        (void)mf_npu_err_set(err, MF_EINVAL, "a memory of 0 bytes");
        return MF_EINVAL;
    }
    mem = mf_calloc(1, sizeof(*mem));
    if (mem == NULL) {
        (void)mf_npu_err_set(err, MF_ENOMEM, "out of memory");
        return MF_ENOMEM;
    }
    mem->dev = dev;
    mem->kind = kind;
    mem->bytes = bytes;
    mem->refs = 1;
    rc = mf_xrt_do(dev, call_mem_new, mem, err);
    if (rc < 0) {
        mf_free(mem);
        return rc;
    }
    *out = mem;
    return 0;
}

void *mf_xrt_mem_map(struct mf_npu_mem *mem)
{
    return mem->map;
}

struct sync_call {
    struct mf_npu_mem *mem;
    size_t at, n;
    bool to_device;
};

static int call_sync(MF_UNUSED struct mf_npu_dev *dev, void *arg,
                     struct mf_npu_err *err)
{
    const struct sync_call *c = arg;

    return mf_xrt_bo_sync(c->mem->bo, c->to_device, c->at, c->n, err);
}

static int sync_mem(struct mf_npu_mem *mem, bool to_device, size_t at, size_t n)
{
    struct sync_call c = {mem, at, n, to_device};
    struct mf_npu_err err;

    if (at > mem->bytes || n > mem->bytes - at) {
        return MF_EINVAL;
    }
    return n == 0 ? 0 : mf_xrt_do(mem->dev, call_sync, &c, &err);
}

int mf_xrt_mem_flush(struct mf_npu_mem *mem, size_t at, size_t n)
{
    return sync_mem(mem, true, at, n);
}

int mf_xrt_mem_inval(struct mf_npu_mem *mem, size_t at, size_t n)
{
    return sync_mem(mem, false, at, n);
}

void mf_xrt_mem_unref(struct mf_npu_mem *mem)
{
    if (--mem->refs == 0) {
        mf_list_remove(&mem->dev->mems, &mem->link);
        mf_list_push_tail(&mem->dev->dead, &mem->link);
        pthread_cond_signal(&mem->dev->work);
    }
}

void mf_xrt_mem_put(struct mf_npu_mem *mem)
{
    struct mf_npu_dev *dev = mem->dev;

    pthread_mutex_lock(&dev->lock);
    mf_xrt_mem_unref(mem);
    pthread_mutex_unlock(&dev->lock);
}

/* ---- weights ---- */

int mf_xrt_weight_pack(struct mf_npu_dev *dev, const struct mf_npu_gemm *g,
                       const float *w, size_t ld, struct mf_npu_mem **out,
                       struct mf_npu_err *err)
{
    size_t bytes = (size_t)g->k * g->n * sizeof(uint16_t);
    struct mf_npu_mem *mem;
    int rc;

    if (g->b != MF_NPU_BF16 || g->k % TILE != 0 || g->n % TILE != 0 || ld < g->n) {
        return mf_npu_err_set(err, MF_EINVAL,
                              "weights: bf16, k and n multiples of %u, and rows of "
                              "not less than n numbers are taken",
                              TILE);
    }
    rc = mf_xrt_mem_new(dev, MF_NPU_MEM_WEIGHT, bytes, &mem, err);
    if (rc < 0) {
        return rc;
    }
    mf_npu_pack_weight(mem->map, dev->manifest.layout, g->k, g->n, w, ld);
    rc = mf_xrt_mem_flush(mem, 0, bytes);
    if (rc < 0) {
        mf_xrt_mem_put(mem);
        return mf_npu_err_set(err, rc, "the weights did not reach the device");
    }
    *out = mem;
    return 0;
}

/* ---- programs ---- */

struct plan_call {
    struct mf_npu_plan *plan;
    const uint8_t *bytes;
    size_t n;
};

static struct mf_npu_plan *plan_find(struct mf_npu_dev *dev,
                                     const struct mf_npu_gemm *g)
{
    mf_list_each (&dev->plans, k) {
        struct mf_npu_plan *p = mf_container_of(k, struct mf_npu_plan, link);

        if (p->gemm.m == g->m && p->gemm.k == g->k && p->gemm.n == g->n &&
            p->gemm.a == g->a && p->gemm.b == g->b && p->gemm.c == g->c &&
            p->gemm.epi == g->epi) {
            return p;
        }
    }
    return NULL;
}

static int call_plan(struct mf_npu_dev *dev, void *arg, struct mf_npu_err *err)
{
    struct plan_call *c = arg;
    struct mf_npu_plan *plan = c->plan;
    int rc = mf_xrt_bo_new(dev->hw, MF_XRT_ARG_PROGRAM, c->n, &plan->program, err);

    if (rc < 0) {
        return rc;
    }
    memcpy(mf_xrt_bo_map(plan->program), c->bytes, c->n);
    rc = mf_xrt_bo_sync(plan->program, true, 0, c->n, err);
    if (rc < 0) {
        mf_xrt_bo_free(plan->program);
        return rc;
    }
    pthread_mutex_lock(&dev->lock);
    mf_list_push_tail(&dev->plans, &plan->link);
    pthread_mutex_unlock(&dev->lock);
    return 0;
}

static int plan_make(struct mf_npu_dev *dev, const struct mf_npu_shape *shape,
                     struct plan_call *c, struct mf_npu_err *err)
{
    int rc;

    if (c->n == 0 || c->n % sizeof(uint32_t) != 0 ||
        c->n / sizeof(uint32_t) > UINT32_MAX) {
        return mf_npu_err_set(err, MF_EINVAL, "%s: %zu bytes are no 32-bit words",
                              shape->file, c->n);
    }
    c->plan = mf_calloc(1, sizeof(*c->plan));
    if (c->plan == NULL) {
        return mf_npu_err_set(err, MF_ENOMEM, "out of memory for a program");
    }
    c->plan->gemm = shape->gemm;
    c->plan->n_words = (uint32_t)(c->n / sizeof(uint32_t));
    rc = mf_xrt_do(dev, call_plan, c, err);
    if (rc < 0) {
        mf_free(c->plan);
    }
    return rc;
}

/* Two threads that ask for the same shape at once make it twice: both work, and the
 * second is freed with the device. */
int mf_xrt_plan(struct mf_npu_dev *dev, const struct mf_npu_gemm *g,
                struct mf_npu_plan **out, struct mf_npu_err *err)
{
    const struct mf_npu_shape *shape = mf_npu_manifest_find(&dev->manifest, g);
    struct plan_call c = {0};
    struct mf_err why = {0};
    uint8_t *bytes;
    int rc;

    if (shape == NULL) {
        return mf_npu_err_set(err, MF_EUNPROCESSABLE, "no program for %u x %u x %u",
                              g->m, g->k, g->n);
    }
    pthread_mutex_lock(&dev->lock);
    *out = plan_find(dev, g);
    pthread_mutex_unlock(&dev->lock);
    if (*out != NULL) {
        return 0;
    }
    rc = mf_npu_manifest_read(&dev->manifest, shape->file, &bytes, &c.n, &why);
    if (rc < 0) {
        return mf_npu_err_set(err, rc, "%s", why.msg);
    }
    c.bytes = bytes;
    rc = plan_make(dev, shape, &c, err);
    mf_free(bytes);
    *out = rc < 0 ? NULL : c.plan;
    return rc;
}
