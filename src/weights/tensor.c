/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/weights.h"

/* ggml's Q8_0: a scale in half precision, then so many signed bytes. */
#define Q8_BLOCK 32U
#define Q8_BYTES (2U + Q8_BLOCK)

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "tensors are little-endian and are read as they stand");

static float from_bits(uint32_t bits)
{
    float f;

    memcpy(&f, &bits, sizeof(f));
    return f;
}

/* Shifting the halves' exponent into place leaves it 112 too small: one multiplication
 * mends that, and makes normal numbers of subnormal ones. */
static float from_f16(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000U) << 16;
    uint32_t rest = (uint32_t)(h & 0x7fffU) << 13;
    float f = from_bits(rest) * 0x1p112F;
    uint32_t bits;

    memcpy(&bits, &f, sizeof(bits));
    if (rest >= 0x7c00U << 13) {
        bits = 0x7f800000U | (rest & 0x7fffffU); /* infinity, not a number */
    }
    return from_bits(bits | sign);
}

static void read_f16(const uint8_t *p, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t h;

        memcpy(&h, p + 2 * i, sizeof(h));
        out[i] = from_f16(h);
    }
}

static void read_bf16(const uint8_t *p, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t h;

        memcpy(&h, p + 2 * i, sizeof(h));
        out[i] = from_bits((uint32_t)h << 16);
    }
}

static void read_q8(const uint8_t *p, size_t n, float *out)
{
    for (size_t i = 0; i < n; i += Q8_BLOCK, p += Q8_BYTES) {
        float scale = from_f16(mf_get_u16(p));

        for (size_t k = 0; k < Q8_BLOCK; k++) {
            out[i + k] = scale * (float)(int8_t)p[2 + k];
        }
    }
}

void mf_tensor_read(const struct mf_tensor *t, uint32_t from, uint32_t n, float *out)
{
    size_t n_before = (size_t)from * t->cols, n_values = (size_t)n * t->cols;
    const uint8_t *p = t->data;

    MF_ASSERT(from <= t->rows && n <= t->rows - from);
    switch (t->dtype) {
    case MF_DTYPE_F32:
        memcpy(out, p + n_before * sizeof(float), n_values * sizeof(float));
        break;
    case MF_DTYPE_F16: read_f16(p + n_before * 2, n_values, out); break;
    case MF_DTYPE_BF16: read_bf16(p + n_before * 2, n_values, out); break;
    case MF_DTYPE_Q8_0:
        read_q8(p + n_before / Q8_BLOCK * Q8_BYTES, n_values, out);
        break;
    }
}

const char *mf_dtype_name(enum mf_dtype d)
{
    static const char *const names[] = {[MF_DTYPE_F32] = "float32",
                                        [MF_DTYPE_F16] = "float16",
                                        [MF_DTYPE_BF16] = "bfloat16",
                                        [MF_DTYPE_Q8_0] = "q8_0"};

    return names[d];
}

const char *mf_pooling_name(enum mf_pooling p)
{
    static const char *const names[] = {[MF_POOL_MEAN] = "mean",
                                        [MF_POOL_CLS] = "cls",
                                        [MF_POOL_MAX] = "max",
                                        [MF_POOL_LAST] = "last"};

    return names[p];
}
