/* SPDX-License-Identifier: Apache-2.0 */
/* pack: numbers and places against a reference that is slow and plain. */
#include "lib/mf_test.h"
#include "npu/pack.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static float float_of(uint32_t bits)
{
    float f;

    memcpy(&f, &bits, sizeof(f));
    return f;
}

/* The nearer of the two neighbours, by arithmetic; of two equally near, the even one. A
 * number beyond the largest has 2^128 as its upper neighbour, which is infinite. */
static uint16_t nearest(float v)
{
    uint32_t bits;
    uint16_t low;
    double below, above;

    memcpy(&bits, &v, sizeof(bits));
    low = (uint16_t)(bits >> 16);
    below = fabs((double)float_of((uint32_t)low << 16));
    above = (low & 0x7fff) == 0x7f7f
                ? ldexp(1, 128)
                : fabs((double)float_of((uint32_t)(low + 1) << 16));
    if (fabs((double)v) - below == above - fabs((double)v)) {
        return (low & 1) == 0 ? low : (uint16_t)(low + 1);
    }
    return fabs((double)v) - below < above - fabs((double)v) ? low
                                                             : (uint16_t)(low + 1);
}

MF_TEST(npu_pack, rounds_every_finite_number_to_the_nearest_even)
{
    static const uint32_t tails[] = {0,      1,      0x7ffe, 0x7fff, 0x8000,
                                     0x8001, 0x8002, 0xc000, 0xfffe, 0xffff};
    size_t n = 0;

    for (size_t i = 0; i < 65536 * mf_countof(tails); i++) {
        uint32_t head = (uint32_t)(i / mf_countof(tails));
        float v = float_of(head << 16 | tails[i % mf_countof(tails)]);

        if (isfinite(v)) {
            MF_CHECK_INT(mf_npu_bf16(v), nearest(v));
            n++;
        }
    }
    MF_CHECK_INT(n, (size_t)2 * 0x7f80 * mf_countof(tails));
}

MF_TEST(npu_pack, keeps_infinities_nans_zeros_and_denormals_what_they_are)
{
    MF_CHECK_INT(mf_npu_bf16(INFINITY), 0x7f80);
    MF_CHECK_INT(mf_npu_bf16(-INFINITY), 0xff80);
    MF_CHECK_INT(mf_npu_bf16(0.0F), 0);
    MF_CHECK_INT(mf_npu_bf16(-0.0F), 0x8000);
    MF_CHECK_INT(mf_npu_bf16(float_of(0x7f7fffff)), 0x7f80); /* the largest: up */
    MF_CHECK_INT(mf_npu_bf16(float_of(0x00008001)), 1);      /* a denormal, kept */
    MF_CHECK_INT(mf_npu_bf16(float_of(0x00008000)), 0);
    for (uint32_t tail = 1; tail != 0; tail <<= 1) {
        uint32_t bits = 0x7f800000U | (tail & 0x7fffffU);

        if (isnan(float_of(bits))) {
            MF_CHECK(isnan(mf_npu_float(mf_npu_bf16(float_of(bits)))));
            MF_CHECK_INT(mf_npu_bf16(float_of(bits | 0x80000000U)) >> 15, 1);
        }
    }
    MF_CHECK(isnan(mf_npu_float(mf_npu_bf16(float_of(0x7fffffff)))));
}

MF_TEST(npu_pack, gives_back_what_bf16_can_hold)
{
    for (uint32_t head = 0; head <= 0xffff; head++) {
        float v = mf_npu_float((uint16_t)head);

        if (!isnan(v)) {
            MF_CHECK_INT(mf_npu_bf16(v), head);
        }
    }
}

/* ---- weights ---- */

struct weight {
    uint32_t k, n;
    size_t ld;
    float *w, *bias;
    uint16_t *out;
};

static float some(size_t i)
{
    return sinf((float)i * 1.37F) * (float)(1 + i % 5);
}

static struct weight weight_new(uint32_t k, uint32_t n, size_t ld)
{
    struct weight w = {.k = k, .n = n, .ld = ld};

    w.w = calloc((size_t)k * ld + 1, sizeof(float));
    w.out = malloc((size_t)k * n * sizeof(uint16_t));
    assert_true(w.w != NULL && w.out != NULL);
    for (size_t i = 0; i < (size_t)k * ld; i++) {
        w.w[i] = some(i);
    }
    memset(w.out, 0xab, (size_t)k * n * sizeof(uint16_t));
    return w;
}

static void weight_free(struct weight *w)
{
    free(w->w);
    free(w->out);
}

/* Where it must be, written down as the header tells it: tile by tile, row by row. */
static size_t place(enum mf_npu_layout layout, uint32_t n, uint32_t row, uint32_t col)
{
    size_t at = 0;

    if (layout == MF_NPU_LAYOUT_PLAIN) {
        return (size_t)row * n + col;
    }
    while (at / 64 / (n / 8) * 8 + at % 64 / 8 != row ||
           at / 64 % (n / 8) * 8 + at % 8 != col) {
        at++;
    }
    return at;
}

static void check_weight(enum mf_npu_layout layout, struct weight w)
{
    mf_npu_pack_weight(w.out, layout, w.k, w.n, w.w, w.ld);
    for (uint32_t row = 0; row < w.k; row++) {
        for (uint32_t col = 0; col < w.n; col++) {
            size_t at = place(layout, w.n, row, col);

            MF_CHECK_INT(mf_npu_pack_at(layout, w.k, w.n, row, col), at);
            MF_CHECK_INT(w.out[at], nearest(w.w[row * w.ld + col]));
        }
    }
    weight_free(&w);
}

MF_TEST(npu_pack, puts_weights_in_their_places_plainly)
{
    check_weight(MF_NPU_LAYOUT_PLAIN, weight_new(16, 24, 27));
    check_weight(MF_NPU_LAYOUT_PLAIN, weight_new(8, 8, 8));
    check_weight(MF_NPU_LAYOUT_PLAIN, weight_new(5, 3, 3));
}

MF_TEST(npu_pack, puts_weights_in_their_places_in_tiles)
{
    check_weight(MF_NPU_LAYOUT_TILED_8X8, weight_new(16, 24, 27));
    check_weight(MF_NPU_LAYOUT_TILED_8X8, weight_new(24, 16, 16));
    check_weight(MF_NPU_LAYOUT_TILED_8X8, weight_new(8, 8, 9));
}

MF_TEST(npu_pack, pads_rows_with_one_for_the_bias_and_zeros)
{
    uint16_t out[3 * 16 + 1];
    float x[3 * 10];

    for (size_t i = 0; i < mf_countof(x); i++) {
        x[i] = some(i);
    }
    for (int has_bias = 0; has_bias <= 1; has_bias++) {
        memset(out, 0xab, sizeof(out));
        mf_npu_pack_rows(out, 16, x, 3, 10, has_bias);
        for (size_t i = 0; i < (size_t)3 * 16; i++) {
            size_t col = i % 16;
            uint16_t want = col < 10                ? nearest(x[i / 16 * 10 + col])
                            : has_bias && col == 10 ? 0x3f80
                                                    : 0;

            MF_CHECK_INT(out[i], want);
        }
        MF_CHECK_INT(out[(size_t)3 * 16], 0xabab); /* and not one more */
    }
}

/* What it is for: the device's own product has the bias in it. */
MF_TEST(npu_pack, makes_a_product_that_holds_the_bias)
{
    struct weight w =
        weight_new(16, 8, 8); /* 10 rows, the bias, and what meets zeros */
    float x[10];
    uint16_t a[16];

    for (size_t i = 0; i < mf_countof(x); i++) {
        x[i] = some(i + 99);
    }
    mf_npu_pack_weight(w.out, MF_NPU_LAYOUT_TILED_8X8, 16, 8, w.w, 8);
    mf_npu_pack_rows(a, 16, x, 1, 10, true);
    for (uint32_t col = 0; col < 8; col++) {
        double bias = (double)w.w[(size_t)10 * 8 + col];
        double is = 0, want = bias, mass = fabs(bias);

        for (uint32_t k = 0; k < 16; k++) {
            is += (double)mf_npu_float(a[k]) *
                  (double)mf_npu_float(
                      w.out[mf_npu_pack_at(MF_NPU_LAYOUT_TILED_8X8, 16, 8, k, col)]);
        }
        for (uint32_t k = 0; k < 10; k++) {
            want += (double)x[k] * (double)w.w[k * 8 + col];
            mass += fabs((double)x[k] * (double)w.w[k * 8 + col]);
        }
        MF_CHECK(fabs(is - want) <= mass / 128);
    }
    weight_free(&w);
}
