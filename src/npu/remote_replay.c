/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a new worker is told before anybody uses it: the device, every memory with the
 * weights in it, every plan; then, unless it is the first, which its opener verifies,
 * it has to compute the canary right.
 */
#include "npu/remote_priv.h"

#include "base/map.h"

#include <stdio.h>
#include <string.h>

/* The reader's own way to ask: it hears while it waits. */
static int ask(struct mf_npu_dev *dev, struct mf_npu_msg *m,
               struct mf_remote_call *call)
{
    int rc;

    call->kind = MF_REMOTE_SYNC;
    call->deadline_ns =
        mf_remote_now_ns() + (int64_t)dev->answer_ms * MF_NS_PER_MS * MF_REMOTE_SLOW;
    rc = mf_remote_send(dev, m, call);
    if (rc < 0) {
        mf_remote_doom(dev, MF_EUNAVAILABLE, "the worker is gone");
        return rc;
    }
    while (!call->is_done) {
        rc = mf_remote_step(dev);
        if (rc < 0 && !call->is_done) {
            mf_list_remove(&dev->calls, &call->link);
            return dev->is_doomed ? dev->why.code : rc;
        }
    }
    if (call->answer.rc < 0) {
        mf_remote_doom(dev, call->answer.rc, "%s: %s", mf_npu_wire_name(call->type),
                       call->answer.text);
    }
    return call->answer.rc;
}

static int tell_device(struct mf_npu_dev *dev)
{
    struct mf_npu_msg m = {.type = dev->is_probe ? MF_NPU_MSG_PROBE : MF_NPU_MSG_OPEN};
    struct mf_remote_call call = {0};
    int rc;

    m.u.open = dev->what;
    rc = ask(dev, &m, &call);
    if (rc == 0) {
        dev->caps = call.answer.caps;
    }
    return rc;
}

static struct mf_npu_mem *next_unknown(struct mf_npu_dev *dev)
{
    mf_list_each (&dev->mems, k) {
        struct mf_npu_mem *mem = mf_container_of(k, struct mf_npu_mem, link);

        /* 0: its own first message has not been answered. */
        if (mem->gen != 0 && mem->gen != dev->gen) {
            return mem;
        }
    }
    return NULL;
}

static int tell_content(struct mf_npu_dev *dev, struct mf_npu_mem *mem)
{
    struct mf_npu_msg m = {.type = MF_NPU_MSG_FLUSH};
    struct mf_remote_call call = {0};

    if (mem->has_sum &&
        mf_hash_bytes(dev->base + mem->span.at, mem->bytes) != mem->sum) {
        mf_remote_doom(dev, MF_ECORRUPT,
                       "a worker that is gone has written over a packed weight");
        return MF_ECORRUPT;
    }
    m.u.range = (struct mf_npu_msg_range){mem->id, 0, mem->bytes};
    return ask(dev, &m, &call);
}

static int tell_mem(struct mf_npu_dev *dev, struct mf_npu_mem *mem)
{
    struct mf_npu_msg m = {.type = MF_NPU_MSG_MEM_NEW};
    struct mf_remote_call call = {.mem = mem};
    int rc;

    mf_remote_mem_msg(mem, &m.u.mem);
    rc = ask(dev, &m, &call);
    if (rc == 0 &&
        (mem->kind == MF_NPU_MEM_WEIGHT || mem->kind == MF_NPU_MEM_PROGRAM)) {
        rc = tell_content(dev, mem);
    }
    return rc;
}

static int tell_mems(struct mf_npu_dev *dev)
{
    struct mf_npu_mem *mem;
    int rc = 0;

    for (mem = next_unknown(dev); rc == 0 && mem != NULL; mem = next_unknown(dev)) {
        mem->refs++; /* its owner may give it back meanwhile */
        rc = tell_mem(dev, mem);
        mf_remote_mem_unref(mem);
    }
    return rc;
}

static int tell_plans(struct mf_npu_dev *dev)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < MF_NPU_WIRE_PLANS; i++) {
        struct mf_npu_msg m = {.type = MF_NPU_MSG_PLAN};
        struct mf_remote_call call = {0};

        if (dev->plans[i] != NULL) {
            m.u.plan = (struct mf_npu_msg_plan){(uint32_t)i, dev->plans[i]->gemm};
            rc = ask(dev, &m, &call);
        }
    }
    return rc;
}

static int check_numbers(struct mf_npu_dev *dev)
{
    struct mf_npu_msg m = {.type = MF_NPU_MSG_VERIFY};
    struct mf_remote_call call = {0};
    int rc = ask(dev, &m, &call);

    dev->stats.verify_runs++;
    if (rc == 0 || rc == MF_ECORRUPT) {
        dev->health.last_cosine = call.answer.last_cosine;
        dev->health.max_abs_err = call.answer.max_abs_err;
    }
    if (rc == MF_ECORRUPT) {
        dev->stats.verify_bad++;
    }
    if (rc == 0) {
        dev->caps = call.answer.caps; /* `verified` is new */
    }
    return rc;
}

int mf_remote_make_ready(struct mf_npu_dev *dev)
{
    int rc = tell_device(dev);

    if (rc < 0 || dev->is_probe) {
        return rc;
    }
    rc = tell_mems(dev);
    if (rc == 0) {
        rc = tell_plans(dev);
    }
    if (rc == 0 && dev->gen > 1) { /* nobody else looks before it is used again */
        rc = check_numbers(dev);
    }
    return rc;
}
