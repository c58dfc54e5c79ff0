/* SPDX-License-Identifier: Apache-2.0 */
#include "npu/wire.h"

#include "base/str.h"

#include <string.h>

#define HEAD_BYTES 16

/* One walk over a message's fields serves both directions, so they cannot differ. */
struct coder {
    uint8_t *p;
    size_t at, n; /* n: bytes there are (reading) or may be (writing) */
    bool is_write;
    const char *fault;
};

static uint8_t *take(struct coder *c, size_t n)
{
    uint8_t *p = c->p + c->at;

    if (c->fault != NULL || n > c->n - c->at) {
        c->fault = c->fault != NULL ? c->fault : "it is too short";
        return NULL;
    }
    c->at += n;
    return p;
}

static void code_u16(struct coder *c, uint16_t *v)
{
    uint8_t *p = take(c, 2);

    if (p == NULL) {
        return;
    }
    if (c->is_write) {
        mf_put_u16(p, *v);
    } else {
        *v = mf_get_u16(p);
    }
}

static void code_u32(struct coder *c, uint32_t *v)
{
    uint8_t *p = take(c, 4);

    if (p == NULL) {
        return;
    }
    if (c->is_write) {
        mf_put_u32(p, *v);
    } else {
        *v = mf_get_u32(p);
    }
}

static void code_u64(struct coder *c, uint64_t *v)
{
    uint8_t *p = take(c, 8);

    if (p == NULL) {
        return;
    }
    if (c->is_write) {
        mf_put_u64(p, *v);
    } else {
        *v = mf_get_u64(p);
    }
}

static void code_int(struct coder *c, int *v)
{
    uint32_t u = (uint32_t)*v;

    code_u32(c, &u);
    *v = (int)u;
}

static void code_double(struct coder *c, double *v)
{
    uint64_t u;

    memcpy(&u, v, sizeof(u));
    code_u64(c, &u);
    memcpy(v, &u, sizeof(u));
}

/* A number below `end`; the value goes by the return, since enums differ in type. */
static uint32_t code_below(struct coder *c, uint32_t v, uint32_t end, const char *fault)
{
    code_u32(c, &v);
    if (c->fault == NULL && v >= end) {
        c->fault = fault;
    }
    return c->fault == NULL ? v : 0;
}

static void code_bool(struct coder *c, bool *v)
{
    *v = code_below(c, *v ? 1 : 0, 2, "a flag is neither 0 nor 1") == 1;
}

/* Terminated, and nothing but zeros behind the end: one text has one encoding. */
static void code_text(struct coder *c, char *s, size_t cap)
{
    uint8_t *p = take(c, cap);
    size_t len;

    if (p == NULL) {
        return;
    }
    if (c->is_write) {
        len = strnlen(s, cap - 1);
        memcpy(p, s, len);
        memset(p + len, 0, cap - len);
        return;
    }
    memcpy(s, p, cap);
    len = strnlen(s, cap);
    for (size_t i = len; i < cap; i++) {
        if (s[i] != 0) {
            c->fault = "a text goes on behind its end";
        }
    }
    if (len == cap) {
        c->fault = "a text has no end";
        s[0] = '\0';
    }
}

static void code_shared(struct coder *c, uint64_t *at, uint64_t *bytes)
{
    code_u64(c, at);
    code_u64(c, bytes);
    if (c->fault == NULL &&
        (*at > MF_NPU_WIRE_SHARED || *bytes > MF_NPU_WIRE_SHARED - *at)) {
        c->fault = "a range is not within the shared memory";
    }
}

static void code_mem_id(struct coder *c, uint32_t *id)
{
    *id = code_below(c, *id, MF_NPU_WIRE_MEMS, "no such memory's number");
}

static void code_plan_id(struct coder *c, uint32_t *id)
{
    *id = code_below(c, *id, MF_NPU_WIRE_PLANS, "no such plan's number");
}

static enum mf_npu_dtype code_dtype(struct coder *c, enum mf_npu_dtype t)
{
    return (enum mf_npu_dtype)code_below(c, (uint32_t)t, MF_NPU_I8 + 1,
                                         "an unknown type of number");
}

static void code_gemm(struct coder *c, struct mf_npu_gemm *g)
{
    code_u32(c, &g->m);
    code_u32(c, &g->k);
    code_u32(c, &g->n);
    g->a = code_dtype(c, g->a);
    g->b = code_dtype(c, g->b);
    g->c = code_dtype(c, g->c);
    g->epi = (enum mf_npu_epi)code_below(c, (uint32_t)g->epi, MF_NPU_EPI_GELU + 1,
                                         "an unknown epilogue");
}

static void code_open(struct coder *c, struct mf_npu_msg_open *o)
{
    code_text(c, o->inner, sizeof(o->inner));
    code_text(c, o->dir, sizeof(o->dir));
    code_text(c, o->module, sizeof(o->module));
    code_u32(c, &o->index);
    code_u32(c, &o->queue_depth);
}

static void code_mem(struct coder *c, struct mf_npu_msg_mem *m)
{
    code_mem_id(c, &m->id);
    m->kind = (enum mf_npu_mem_kind)code_below(
        c, (uint32_t)m->kind, MF_NPU_MEM_PROGRAM + 1, "an unknown kind of memory");
    code_shared(c, &m->at, &m->bytes);
}

static void code_range(struct coder *c, struct mf_npu_msg_range *r)
{
    code_mem_id(c, &r->id);
    code_shared(c, &r->at, &r->bytes);
}

static void code_weight(struct coder *c, struct mf_npu_msg_weight *w)
{
    uint64_t bytes = 0;

    code_gemm(c, &w->gemm);
    code_mem(c, &w->mem);
    code_u64(c, &w->floats_at);
    if (c->fault != NULL) {
        return;
    }
    if (__builtin_mul_overflow((uint64_t)w->gemm.k * w->gemm.n, sizeof(float),
                               &bytes) ||
        bytes > MF_NPU_WIRE_SHARED || w->floats_at > MF_NPU_WIRE_SHARED - bytes) {
        c->fault = "floats that are not within the shared memory";
    }
}

static void code_op(struct coder *c, struct mf_npu_msg_op *op)
{
    code_plan_id(c, &op->plan);
    code_mem_id(c, &op->a);
    code_mem_id(c, &op->w);
    code_mem_id(c, &op->c);
    code_u32(c, &op->rows);
    code_u64(c, &op->a_at);
    code_u64(c, &op->c_at);
}

static void code_submit(struct coder *c, struct mf_npu_msg_submit *s)
{
    uint64_t deadline = (uint64_t)s->deadline_ns;

    code_u64(c, &deadline);
    s->deadline_ns = (int64_t)deadline;
    s->n = code_below(c, s->n, MF_NPU_WIRE_OPS + 1, "too many runs in a job");
    for (uint32_t i = 0; i < s->n && c->fault == NULL; i++) {
        code_op(c, &s->ops[i]);
    }
}

static void code_caps(struct coder *c, struct mf_npu_caps *k)
{
    code_text(c, k->backend, sizeof(k->backend));
    code_text(c, k->device, sizeof(k->device));
    code_text(c, k->runtime, sizeof(k->runtime));
    code_text(c, k->driver, sizeof(k->driver));
    code_u32(c, &k->m_mult);
    code_u32(c, &k->k_mult);
    code_u32(c, &k->n_mult);
    code_u32(c, &k->m_max);
    code_u32(c, &k->queue_depth);
    code_u32(c, &k->dtype_mask);
    code_bool(c, &k->simulated);
    code_bool(c, &k->verified);
}

static void code_answer(struct coder *c, struct mf_npu_msg_answer *a)
{
    a->to = (enum mf_npu_msg_type)code_below(c, (uint32_t)a->to, MF_NPU_MSG_ANSWER,
                                             "an answer to no request");
    if (c->fault == NULL && (a->to < MF_NPU_MSG_OPEN || a->to == MF_NPU_MSG_CANCEL)) {
        c->fault = "an answer to no request";
    }
    code_int(c, &a->rc);
    if (c->fault == NULL && (a->rc > 0 || a->rc < MF_ENOSPC)) {
        c->fault = "an unknown code";
    }
    code_int(c, &a->sys);
    a->state = (enum mf_npu_state)code_below(c, (uint32_t)a->state, MF_NPU_LOST + 1,
                                             "an unknown state");
    code_text(c, a->text, sizeof(a->text));
    code_u64(c, &a->busy_ns);
    code_u64(c, &a->queue_ns);
    code_double(c, &a->last_cosine);
    code_double(c, &a->max_abs_err);
    code_caps(c, &a->caps);
}

static void code_body(struct coder *c, struct mf_npu_msg *m)
{
    switch (m->type) {
    case MF_NPU_MSG_OPEN:
    case MF_NPU_MSG_PROBE: code_open(c, &m->u.open); return;
    case MF_NPU_MSG_MEM_NEW: code_mem(c, &m->u.mem); return;
    case MF_NPU_MSG_MEM_PUT: code_mem_id(c, &m->u.range.id); return;
    case MF_NPU_MSG_FLUSH:
    case MF_NPU_MSG_INVAL: code_range(c, &m->u.range); return;
    case MF_NPU_MSG_WEIGHT: code_weight(c, &m->u.weight); return;
    case MF_NPU_MSG_PLAN:
        code_plan_id(c, &m->u.plan.id);
        code_gemm(c, &m->u.plan.gemm);
        return;
    case MF_NPU_MSG_SUBMIT: code_submit(c, &m->u.submit); return;
    case MF_NPU_MSG_CANCEL:
    case MF_NPU_MSG_VERIFY: return;
    case MF_NPU_MSG_ANSWER: code_answer(c, &m->u.answer); return;
    default: c->fault = "an unknown type";
    }
}

/* The length is written last, so it stands apart from the walk. */
static void code_head(struct coder *c, struct mf_npu_msg *m, uint32_t *len)
{
    uint16_t version = MF_NPU_WIRE_VERSION, type = (uint16_t)m->type;

    code_u16(c, &version);
    code_u16(c, &type);
    code_u32(c, len);
    code_u64(c, &m->seq);
    if (c->fault == NULL && version != MF_NPU_WIRE_VERSION) {
        c->fault = "another version";
    }
    m->type = (enum mf_npu_msg_type)type;
}

size_t mf_npu_wire_encode(uint8_t *out, const struct mf_npu_msg *m)
{
    struct mf_npu_msg copy = *m;
    struct coder c = {.p = out, .n = MF_NPU_WIRE_MAX, .is_write = true};
    uint32_t len = 0;

    code_head(&c, &copy, &len);
    code_body(&c, &copy);
    MF_ASSERT(c.fault == NULL);
    mf_put_u32(out + 4, (uint32_t)c.at);
    return c.at;
}

int mf_npu_wire_decode(struct mf_npu_msg *m, const uint8_t *p, size_t n,
                       struct mf_err *err)
{
    /* Reading never writes through it. */
    struct coder c = {.p = (uint8_t *)(uintptr_t)p, .n = n};
    uint32_t len = 0;

    memset(m, 0, sizeof(*m));
    if (n > MF_NPU_WIRE_MAX) {
        return mf_err_set(err, MF_EINVAL, "message of %zu bytes; the limit is %d", n,
                          MF_NPU_WIRE_MAX);
    }
    code_head(&c, m, &len);
    if (c.fault == NULL && len != n) {
        c.fault = "its length is not the packet's";
    }
    if (c.fault == NULL) {
        code_body(&c, m);
    }
    if (c.fault == NULL && c.at != n) {
        c.fault = "it is too long";
    }
    if (c.fault != NULL) {
        return mf_err_set(err, MF_EINVAL, "%s message of %zu bytes: %s",
                          mf_npu_wire_name(m->type), n, c.fault);
    }
    return 0;
}

const char *mf_npu_wire_name(enum mf_npu_msg_type t)
{
    static const char *const names[] = {
        "?",      "open", "probe",  "mem_new", "mem_put", "flush", "inval",
        "weight", "plan", "submit", "cancel",  "verify",  "answer"};

    return (size_t)t < mf_countof(names) ? names[t] : "?";
}

size_t mf_npu_dtype_bytes(enum mf_npu_dtype t)
{
    return t == MF_NPU_F32 ? 4 : t == MF_NPU_BF16 ? 2 : 1;
}
