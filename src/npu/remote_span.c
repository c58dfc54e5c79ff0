/* SPDX-License-Identifier: Apache-2.0 */
/* Places in the shared memory: first fit, whole pages, in order of their place. */
#include "npu/remote_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#define PAGE 4096UL

/* The first gap that is wide enough; what follows it, or the end. */
static struct mf_link *find_gap(struct mf_npu_dev *dev, uint64_t bytes, uint64_t *at)
{
    uint64_t end = 0;

    mf_list_each (&dev->spans, k) {
        const struct mf_remote_span *s =
            mf_container_of(k, struct mf_remote_span, link);

        if (s->at - end >= bytes) {
            *at = end;
            return k;
        }
        end = s->at + s->bytes;
    }
    *at = end;
    return MF_NPU_WIRE_SHARED - end >= bytes ? &dev->spans.head : NULL;
}

int mf_remote_span_take(struct mf_npu_dev *dev, struct mf_remote_span *s,
                        uint64_t bytes, struct mf_npu_err *err)
{
    struct mf_link *before = NULL;
    char text[128];
    int e;

    if (bytes > 0 && bytes <= MF_NPU_WIRE_SHARED) {
        s->bytes = (bytes + PAGE - 1) / PAGE * PAGE;
        before = find_gap(dev, s->bytes, &s->at);
    }
    if (before == NULL) {
        (void)snprintf(text, sizeof(text),
                       "a memory of %llu bytes has no place; all have %lu together",
                       (unsigned long long)bytes, MF_NPU_WIRE_SHARED);
        return mf_remote_tell(err, bytes == 0 ? MF_EINVAL : MF_ENOMEM, 0, text);
    }
    /* Had now: a page that cannot be had later is a SIGBUS in the middle of a copy. */
    e = fallocate(dev->memfd, 0, (off_t)s->at, (off_t)s->bytes) < 0 ? errno : 0;
    if (e != 0) {
        return mf_remote_tell(err, MF_ENOMEM, e, "no memory to share with the worker");
    }
    mf_link_insert(&dev->spans, &s->link, before);
    return 0;
}

void mf_remote_span_give(struct mf_npu_dev *dev, struct mf_remote_span *s)
{
    mf_list_remove(&dev->spans, &s->link);
    /* Where it is refused the pages stay with us; the place is free all the same. */
    (void)fallocate(dev->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                    (off_t)s->at, (off_t)s->bytes);
}
