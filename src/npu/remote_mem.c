/* SPDX-License-Identifier: Apache-2.0 */
#include "npu/remote_priv.h"

#include "base/mem.h"

#include <string.h>

static int take_id(struct mf_npu_dev *dev, uint32_t *id)
{
    for (uint32_t i = 0; i < MF_NPU_WIRE_MEMS; i++) {
        if (!dev->has_id[i]) {
            dev->has_id[i] = 1;
            *id = i;
            return 0;
        }
    }
    return MF_ENOMEM;
}

void mf_remote_mem_msg(const struct mf_npu_mem *mem, struct mf_npu_msg_mem *m)
{
    MF_ASSERT(mem != NULL);
    *m = (struct mf_npu_msg_mem){mem->id, mem->kind, mem->span.at, mem->bytes};
}

int mf_remote_mem_make(struct mf_npu_dev *dev, enum mf_npu_mem_kind kind,
                       uint64_t bytes, struct mf_npu_mem **out, struct mf_npu_err *err)
{
    struct mf_npu_mem *mem = mf_calloc(1, sizeof(*mem));
    int rc;

    if (mem == NULL) {
        return mf_remote_tell(err, MF_ENOMEM, 0, "no memory for a device memory");
    }
    if (take_id(dev, &mem->id) < 0) {
        rc = mf_remote_tell(err, MF_ENOMEM, 0, "too many device memories");
        goto free_mem;
    }
    rc = mf_remote_span_take(dev, &mem->span, bytes, err);
    if (rc < 0) {
        goto give_id;
    }
    mem->dev = dev;
    mem->kind = kind;
    mem->bytes = bytes;
    mem->refs = 1;
    mf_list_push_tail(&dev->mems, &mem->link);
    *out = mem;
    return 0;

give_id:
    dev->has_id[mem->id] = 0;
free_mem:
    mf_free(mem);
    return rc;
}

void mf_remote_mem_free(struct mf_npu_mem *mem)
{
    mf_remote_span_give(mem->dev, &mem->span);
    mem->dev->has_id[mem->id] = 0;
    mf_free(mem);
}

/* Tells the worker of some of those that are to go; the next ones when it answered, so
 * that its socket never fills with them. */
static void tell_dying(struct mf_npu_dev *dev)
{
    mf_list_each (&dev->dying, k) {
        struct mf_npu_mem *mem = mf_container_of(k, struct mf_npu_mem, link);
        struct mf_npu_msg m = {.type = MF_NPU_MSG_MEM_PUT};

        if (dev->n_puts == MF_REMOTE_MAX_PUTS) {
            return;
        }
        if (mf_link_is_on(&mem->put.link)) {
            continue;
        }
        m.u.range.id = mem->id;
        mem->put.kind = MF_REMOTE_PUT;
        mem->put.deadline_ns = mf_remote_now_ns() +
                               (int64_t)dev->answer_ms * MF_NS_PER_MS * MF_REMOTE_SLOW;
        if (mf_remote_send(dev, &m, &mem->put) < 0) {
            return; /* the worker is at its end; so are they then */
        }
        dev->n_puts++;
    }
}

void mf_remote_mem_gone(struct mf_npu_mem *mem)
{
    struct mf_npu_dev *dev = mem->dev;

    dev->n_puts--;
    if (mem->put.answer.rc < 0) {
        return; /* stays with the dying until the worker's end */
    }
    mf_list_remove(&dev->dying, &mem->link);
    mf_remote_mem_free(mem);
    tell_dying(dev);
}

void mf_remote_mem_unref(struct mf_npu_mem *mem)
{
    struct mf_npu_dev *dev = mem->dev;

    if (--mem->refs > 0) {
        return;
    }
    mf_list_remove(&dev->mems, &mem->link);
    if (mem->gen != dev->gen || dev->child.pid == 0) {
        mf_remote_mem_free(mem);
        return;
    }
    mf_list_push_tail(&dev->dying, &mem->link);
    tell_dying(dev);
}

int mf_remote_mem_new(struct mf_npu_dev *dev, enum mf_npu_mem_kind kind, size_t bytes,
                      struct mf_npu_mem **out, struct mf_npu_err *err)
{
    struct mf_npu_msg m = {.type = MF_NPU_MSG_MEM_NEW};
    struct mf_remote_call call = {0};
    struct mf_npu_mem *mem = NULL;
    int rc;

    if ((unsigned)kind > MF_NPU_MEM_PROGRAM) {
        return mf_remote_tell(err, MF_EINVAL, 0, "unknown kind of memory");
    }
    mf_remote_lock(dev);
    rc = mf_remote_mem_make(dev, kind, bytes, &mem, err);
    if (rc == 0) {
        mf_remote_mem_msg(mem, &m.u.mem);
        call.mem = mem;
        rc = mf_remote_ask(dev, &m, &call, err);
    }
    if (rc < 0 && mem != NULL) {
        mf_remote_mem_unref(mem);
        mem = NULL;
    }
    mf_remote_unlock(dev);
    *out = mem;
    return rc;
}

void *mf_remote_mem_map(struct mf_npu_mem *mem)
{
    return mem->dev->base + mem->span.at;
}

static int sync_mem(struct mf_npu_mem *mem, enum mf_npu_msg_type type, size_t at,
                    size_t n)
{
    struct mf_npu_msg m = {.type = type};
    struct mf_remote_call call = {0};
    int rc;

    if (at > mem->bytes || n > mem->bytes - at) {
        return MF_EINVAL;
    }
    m.u.range = (struct mf_npu_msg_range){mem->id, at, n};
    mf_remote_lock(mem->dev);
    rc = mf_remote_ask(mem->dev, &m, &call, NULL);
    mf_remote_unlock(mem->dev);
    return rc;
}

int mf_remote_mem_flush(struct mf_npu_mem *mem, size_t at, size_t n)
{
    return sync_mem(mem, MF_NPU_MSG_FLUSH, at, n);
}

int mf_remote_mem_inval(struct mf_npu_mem *mem, size_t at, size_t n)
{
    return sync_mem(mem, MF_NPU_MSG_INVAL, at, n);
}

void mf_remote_mem_put(struct mf_npu_mem *mem)
{
    struct mf_npu_dev *dev;

    if (mem == NULL) {
        return;
    }
    dev = mem->dev;
    mf_remote_lock(dev);
    mf_remote_mem_unref(mem);
    mf_remote_unlock(dev);
}
