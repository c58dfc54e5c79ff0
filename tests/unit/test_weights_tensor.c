/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/mf_test.h"
#include "weights/weights.h"

#include <math.h>

/* Behind one byte, since data may stand anywhere. */
struct odd {
    uint8_t before;
    uint8_t data[256];
};

static void read_at_odd(const void *data, size_t n, struct mf_tensor t, uint32_t from,
                        float *out)
{
    struct odd odd;

    MF_CHECK(n <= sizeof(odd.data));
    memcpy(odd.data, data, n);
    t.data = odd.data;
    mf_tensor_read(&t, from, t.rows - from, out);
}

MF_TEST(tensor, copies_f32_rows_as_they_are)
{
    static const float in[] = {1, -2, 3.5F, 1e-40F, INFINITY, -0.0F};
    float out[4];

    read_at_odd(in, sizeof(in),
                (struct mf_tensor){.rows = 3, .cols = 2, .dtype = MF_DTYPE_F32}, 1,
                out);
    MF_CHECK_MEM(out, in + 2, sizeof(out));
}

MF_TEST(tensor, reads_f16_exactly)
{
    static const uint16_t in[] = {0x0000, 0x8000, 0x3c00, 0xc000, 0x7bff, 0x0400,
                                  0x0001, 0x83ff, 0x3555, 0x7c00, 0xfc00, 0x7e01};
    static const float want[] = {0,
                                 -0.0F,
                                 1,
                                 -2,
                                 65504,
                                 0x1p-14F,
                                 0x1p-24F,
                                 -0x3ffp-24F,
                                 0x1.554p-2F,
                                 (float)INFINITY,
                                 -(float)INFINITY};
    float out[12];

    read_at_odd(in, sizeof(in),
                (struct mf_tensor){.rows = 1, .cols = 12, .dtype = MF_DTYPE_F16}, 0,
                out);
    MF_CHECK_MEM(out, want, sizeof(want));
    MF_CHECK(isnan(out[11]));
}

MF_TEST(tensor, reads_every_finite_half_as_the_arithmetic_says)
{
    for (uint32_t bits = 0; bits < 0x8000; bits++) {
        int exponent = (int)(bits >> 10);
        int fraction = (int)(bits & 0x3ff);
        float want = exponent == 0 ? ldexpf((float)fraction, -24)
                                   : ldexpf((float)(1024 + fraction), exponent - 25);
        uint16_t half = (uint16_t)bits;
        float out;

        if (exponent == 31) {
            continue;
        }
        read_at_odd(&half, sizeof(half),
                    (struct mf_tensor){.rows = 1, .cols = 1, .dtype = MF_DTYPE_F16}, 0,
                    &out);
        MF_CHECK(out == want);
    }
}

MF_TEST(tensor, reads_bf16_exactly)
{
    static const uint16_t in[] = {0x3f80, 0xc000, 0x7f7f, 0x0001, 0xff80, 0x3eab};
    static const float want[] = {
        1, -2, 0x1.fep127F, 0x1p-133F, -(float)INFINITY, 0x1.56p-2F};
    float out[6];

    read_at_odd(in, sizeof(in),
                (struct mf_tensor){.rows = 1, .cols = 6, .dtype = MF_DTYPE_BF16}, 0,
                out);
    MF_CHECK_MEM(out, want, sizeof(want));
}

MF_TEST(tensor, reads_q8_blocks_with_their_own_scale)
{
    uint8_t in[4 * 34];
    float out[64];

    /* Two rows of two blocks; scales 0.5, 1, 2, -1. */
    static const uint16_t scales[] = {0x3800, 0x3c00, 0x4000, 0xbc00};
    static const float values[] = {0.5F, 1, 2, -1};

    for (size_t b = 0; b < mf_countof(scales); b++) {
        mf_put_u16(in + 34 * b, scales[b]);
        for (size_t i = 0; i < 32; i++) {
            in[34 * b + 2 + i] = (uint8_t)(int8_t)((int)i * 8 - 128);
        }
    }
    read_at_odd(in, sizeof(in),
                (struct mf_tensor){.rows = 2, .cols = 64, .dtype = MF_DTYPE_Q8_0}, 1,
                out);
    for (size_t i = 0; i < 64; i++) {
        MF_CHECK(out[i] == values[2 + i / 32] * (float)((int)(i % 32) * 8 - 128));
    }
}
