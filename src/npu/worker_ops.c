/* SPDX-License-Identifier: Apache-2.0 */
#include "npu/worker_priv.h"

#include "npu/canary.h"
#include "npu/twin.h"
#include "npu/xrt_load.h"

#include <string.h>

static const struct mf_npu_backend *backend_of(const struct mf_npu_msg_open *o,
                                               struct mf_npu_err *err)
{
    const struct mf_npu_backend *be = NULL;
    struct mf_err why = {0};
    int rc;

    if (strcmp(o->inner, "twin") == 0) {
        return mf_npu_twin();
    }
    if (strcmp(o->inner, "xrt") != 0) {
        (void)mf_npu_err_set(err, MF_EINVAL, "no backend named '%s': twin, xrt",
                             o->inner);
        return NULL;
    }
    rc = mf_npu_xrt_load(o->module[0] != '\0' ? o->module : NULL, &be, &why);
    if (rc < 0) {
        (void)mf_npu_err_set(err, rc, "%s", why.msg);
        return NULL;
    }
    return be;
}

static void probe(struct mf_worker *w, const struct mf_npu_msg *m,
                  const struct mf_npu_conf *conf)
{
    struct mf_npu_msg a = {.type = MF_NPU_MSG_ANSWER, .seq = m->seq};
    struct mf_npu_err err = {0};
    int rc = w->be->probe(conf, &a.u.answer.caps, &err);

    if (rc < 0) {
        mf_worker_answer(w, m->seq, m->type, rc, &err);
        return;
    }
    a.u.answer.to = m->type;
    mf_worker_send(w, &a);
}

void mf_worker_open(struct mf_worker *w, const struct mf_npu_msg *m)
{
    const struct mf_npu_msg_open *o = &m->u.open;
    struct mf_npu_conf conf = {
        .dir = o->dir[0] != '\0' ? o->dir : NULL,
        .module = o->module[0] != '\0' ? o->module : NULL,
        .index = o->index,
        .queue_depth = o->queue_depth,
    };
    struct mf_npu_err err = {0};
    int rc = MF_EINVAL;

    if (w->be != NULL) {
        (void)mf_npu_err_set(&err, rc, "a device is open");
    } else {
        w->be = backend_of(o, &err);
        rc = w->be == NULL ? err.code : rc;
    }
    if (w->be != NULL && w->dev == NULL && m->type == MF_NPU_MSG_PROBE) {
        probe(w, m, &conf);
        w->be = NULL;
        return;
    }
    if (w->be != NULL && w->dev == NULL) {
        rc = w->be->open(&conf, &w->dev, &err);
    }
    if (rc < 0 && w->dev == NULL) {
        w->be = NULL;
    }
    mf_worker_answer(w, m->seq, m->type, rc, &err);
}

const struct mf_worker_mem *mf_worker_mem(const struct mf_worker *w, uint32_t id)
{
    return id < MF_NPU_WIRE_MEMS && w->mems[id].mem != NULL ? &w->mems[id] : NULL;
}

static int mem_new(struct mf_worker *w, const struct mf_npu_msg_mem *m,
                   struct mf_npu_err *err)
{
    struct mf_worker_mem *to = &w->mems[m->id];

    if (to->mem != NULL) {
        return mf_npu_err_set(err, MF_EEXIST, "memory %u is there", m->id);
    }
    *to = (struct mf_worker_mem){.at = m->at, .bytes = m->bytes};
    return w->be->mem_new(w->dev, m->kind, m->bytes, &to->mem, err);
}

static int mem_put(struct mf_worker *w, uint32_t id, struct mf_npu_err *err)
{
    if (w->mems[id].mem == NULL) {
        return mf_npu_err_set(err, MF_EINVAL, "no memory %u", id);
    }
    w->be->mem_put(w->mems[id].mem);
    w->mems[id].mem = NULL;
    return 0;
}

static int sync_mem(struct mf_worker *w, const struct mf_npu_msg *m,
                    struct mf_npu_err *err)
{
    const struct mf_npu_msg_range *r = &m->u.range;
    const struct mf_worker_mem *mem = mf_worker_mem(w, r->id);
    uint8_t *inner;
    int rc;

    if (mem == NULL || r->at > mem->bytes || r->bytes > mem->bytes - r->at) {
        return mf_npu_err_set(err, MF_EINVAL, "no such range of memory %u", r->id);
    }
    inner = (uint8_t *)w->be->mem_map(mem->mem) + r->at;
    if (m->type == MF_NPU_MSG_FLUSH) {
        memcpy(inner, w->base + mem->at + r->at, r->bytes);
        return w->be->mem_flush(mem->mem, r->at, r->bytes);
    }
    rc = w->be->mem_inval(mem->mem, r->at, r->bytes);
    if (rc == 0) {
        memcpy(w->base + mem->at + r->at, inner, r->bytes);
    }
    return rc;
}

static int weight(struct mf_worker *w, const struct mf_npu_msg_weight *m,
                  struct mf_npu_err *err)
{
    struct mf_worker_mem *to = &w->mems[m->mem.id];
    int rc;

    if (to->mem != NULL) {
        return mf_npu_err_set(err, MF_EEXIST, "memory %u is there", m->mem.id);
    }
    *to = (struct mf_worker_mem){.at = m->mem.at, .bytes = m->mem.bytes};
    rc = w->be->weight_pack(w->dev, &m->gemm,
                            (const float *)(const void *)(w->base + m->floats_at),
                            m->gemm.n, &to->mem, err);
    if (rc == 0) {
        memcpy(w->base + to->at, w->be->mem_map(to->mem), to->bytes);
    }
    return rc;
}

static int plan(struct mf_worker *w, const struct mf_npu_msg_plan *m,
                struct mf_npu_err *err)
{
    struct mf_worker_plan *p = &w->plans[m->id];

    p->gemm = m->gemm;
    return w->be->plan(w->dev, &m->gemm, &p->plan, err);
}

static int verify(struct mf_worker *w, struct mf_npu_err *err)
{
    struct mf_npu_health health = {0};
    int rc = w->be->verify(w->dev, &health);

    if (rc < 0) {
        *err = health.last;
    }
    return rc;
}

int mf_worker_do(struct mf_worker *w, const struct mf_npu_msg *m,
                 struct mf_npu_err *err)
{
    switch (m->type) {
    case MF_NPU_MSG_MEM_NEW: return mem_new(w, &m->u.mem, err);
    case MF_NPU_MSG_MEM_PUT: return mem_put(w, m->u.range.id, err);
    case MF_NPU_MSG_FLUSH:
    case MF_NPU_MSG_INVAL: return sync_mem(w, m, err);
    case MF_NPU_MSG_WEIGHT: return weight(w, &m->u.weight, err);
    case MF_NPU_MSG_PLAN: return plan(w, &m->u.plan, err);
    case MF_NPU_MSG_VERIFY: return verify(w, err);
    case MF_NPU_MSG_OPEN:
    case MF_NPU_MSG_PROBE:
    case MF_NPU_MSG_SUBMIT:
    case MF_NPU_MSG_CANCEL:
    case MF_NPU_MSG_ANSWER: break;
    }
    return mf_npu_err_set(err, MF_EINVAL, "a message for somebody else");
}
