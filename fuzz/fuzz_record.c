/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a record: taken only when packing what came out gives the same bytes
 * again. The checksum is put right first, or a fuzzer would never get past it; the
 * first byte says whether.
 */
#include "base/mem.h"
#include "journal/record.h"

#include <xxhash.h>

#define SUM_BYTES 8

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void as_loop(void) MF_ASSERTS_LOOP
{
}

static void check(struct mf_slice rec)
{
    struct mf_record_head head;
    struct mf_item *it = NULL;
    bool is_whole = mf_record_peek(rec, &head);
    int rc = mf_record_unpack(rec, &it);
    struct mf_buf again;

    as_loop();
    MF_ASSERT(rc == 0 || (rc == MF_ECORRUPT && it == NULL));
    if (rc < 0) {
        return;
    }
    MF_ASSERT(is_whole && head.seq == it->seq && head.n_msgs == it->n_msgs);
    MF_ASSERT(mf_record_size(it) == rec.n);
    mf_buf_init(&again);
    MF_ASSERT(mf_record_pack(&again, it) == 0);
    MF_ASSERT(mf_slice_eq(rec, mf_slice_of(again.p, again.n)));
    mf_buf_fini(&again);
    mf_item_unref(it);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mf_buf b;

    if (size == 0) {
        return 0;
    }
    mf_buf_init(&b);
    mf_buf_add(&b, data + 1, size - 1);
    if (data[0] % 2 == 0 && b.n >= SUM_BYTES) {
        /* Length and checksum as they must be: the fields are what is tried. */
        if (b.n >= 16) {
            mf_put_u32(b.p + 4, (uint32_t)b.n);
        }
        mf_put_u64(b.p + b.n - SUM_BYTES, XXH3_64bits(b.p, b.n - SUM_BYTES));
    }
    check(mf_slice_of(b.p, b.n));
    mf_buf_fini(&b);
    return 0;
}
