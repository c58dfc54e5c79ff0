/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a message of the helper process: taken only when encoding what came out
 * gives the same bytes again. The first byte says whether version and length are put
 * right before.
 */
#include "base/err.h"
#include "base/str.h"
#include "npu/wire.h"

#include <string.h>

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t in[2 * MF_NPU_WIRE_MAX], again[MF_NPU_WIRE_MAX];
    struct mf_npu_msg m;
    struct mf_err err;
    size_t n;
    int rc;

    if (size == 0 || size > sizeof(in)) {
        return 0;
    }
    n = size - 1;
    memcpy(in, data + 1, n);
    if (data[0] % 2 == 0 && n >= 8) {
        mf_put_u16(in, MF_NPU_WIRE_VERSION);
        mf_put_u32(in + 4, (uint32_t)n);
    }
    rc = mf_npu_wire_decode(&m, in, n, &err);
    MF_ASSERT(rc == 0 || (rc == MF_EINVAL && err.msg[0] != '\0'));
    if (rc == 0) {
        MF_ASSERT(mf_npu_wire_encode(again, &m) == n);
        MF_ASSERT(memcmp(in, again, n) == 0);
    }
    return 0;
}
