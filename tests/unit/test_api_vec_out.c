/* SPDX-License-Identifier: Apache-2.0 */
/* Vectors as text: no digit too many, none too few, and base64 as everybody reads it.
 */
#include "api/vec_out.h"
#include "base/mem.h"
#include "lib/mf_test.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define SAMPLES 400000u

static void format(float v, char out[MF_FLOAT_TEXT + 1])
{
    size_t n = mf_float_format(v, out);

    MF_CHECK(n <= MF_FLOAT_TEXT);
    out[n] = '\0';
}

static void check_text(float v, const char *want)
{
    char text[MF_FLOAT_TEXT + 1];

    format(v, text);
    MF_CHECK_STR(text, want);
}

static float float_of(uint32_t bits)
{
    float v;

    memcpy(&v, &bits, sizeof(v));
    return v;
}

static uint32_t bits_of(float v)
{
    uint32_t bits;

    memcpy(&bits, &v, sizeof(bits));
    return bits;
}

static size_t significant(const char *text)
{
    size_t n = 0, zeros = 0;

    for (; *text != '\0' && *text != 'e'; text++) {
        if (*text < '0' || *text > '9' || (n == 0 && *text == '0')) {
            continue;
        }
        zeros = *text == '0' ? zeros + 1 : 0;
        n++;
    }
    return n - zeros; /* 1200.0 has two */
}

/* Digits that the C library needs to tell this float from all others. */
static int digits_needed(float v)
{
    char text[64];
    int n = 1;

    do {
        (void)snprintf(text, sizeof(text), "%.*e", n - 1, (double)v);
    } while (bits_of(strtof(text, NULL)) != bits_of(v) && n++ < 9);
    return n;
}

static void check_same_and_short(uint32_t bits)
{
    char text[MF_FLOAT_TEXT + 1];
    float v = float_of(bits);

    format(v, text);
    if (bits_of(strtof(text, NULL)) != bits ||
        significant(text) > (size_t)digits_needed(v)) {
        print_error("%08x is written as %s\n", bits, text);
        fail();
    }
}

MF_TEST(vec_out, writes_numbers_as_people_do)
{
    check_text(0.0f, "0.0");
    check_text(-0.0f, "-0.0");
    check_text(1.0f, "1.0");
    check_text(-1.5f, "-1.5");
    check_text(0.1f, "0.1");
    check_text(0.3f, "0.3");
    check_text(12.0f, "12.0");
    check_text(1200.0f, "1200.0");
    check_text(123456.79f, "123456.79");
    check_text(0.012345678f, "0.012345678");
    check_text(-0.00001234f, "-0.00001234");
    check_text(0.000001234f, "1.234e-6");
    check_text(16777216.0f, "16777216.0");
    check_text(1e10f, "1e10");
    check_text(FLT_MAX, "3.4028235e38");
    check_text(FLT_MIN, "1.1754944e-38");
    check_text(FLT_TRUE_MIN, "1e-45");
    check_text(9.999999e-6f, "9.999999e-6");
}

MF_TEST(vec_out, writes_null_for_what_is_no_number)
{
    check_text(NAN, "null");
    check_text(INFINITY, "null");
    check_text(-INFINITY, "null");
}

MF_TEST(vec_out, writes_floats_that_read_back_the_same_with_no_digit_too_many)
{
    uint64_t x = 0x9E3779B97F4A7C15u;

    for (unsigned i = 0; i < SAMPLES; i++) {
        uint32_t bits;

        x = x * 6364136223846793005u + 1442695040888963407u;
        bits = (uint32_t)(x >> 32) & 0x7FFFFFFF;
        if (i % 2 == 0) { /* of the size that parts of a unit vector have */
            bits = 0x3A000000 + bits % 0x05800000;
        }
        if (bits < 0x7F800000) {
            check_same_and_short(bits);
        }
    }
}

MF_TEST(vec_out, writes_every_power_of_two_and_its_neighbours)
{
    for (uint32_t e = 0; e < 255; e++) {
        for (uint32_t k = 0; k < 4; k++) {
            check_same_and_short(mf_max((e << 23) + k, 3u) - 2);
        }
    }
}

MF_TEST(vec_out, writes_a_vector_as_a_list)
{
    const float v[3] = {0.5f, -1.0f, 1e-9f};
    struct mf_buf b;

    mf_buf_init(&b);
    mf_vec_put_json(&b, v, 3);
    mf_vec_put_json(&b, v, 0);
    mf_buf_add_char(&b, '\0');
    MF_CHECK_STR(b.p, "[0.5,-1.0,1e-9][]");
    mf_buf_fini(&b);
}

MF_TEST(vec_out, writes_base64_with_its_padding)
{
    const float v[3] = {1.0f, -2.5f, 0.0f};
    struct mf_buf b;

    mf_buf_init(&b);
    for (size_t n = 0; n <= 3; n++) {
        mf_vec_put_base64(&b, v, n);
        mf_buf_add_char(&b, '|');
    }
    mf_buf_add_char(&b, '\0');
    MF_CHECK_STR(b.p, "|AACAPw==|AACAPwAAIMA=|AACAPwAAIMAAAAAA|");
    mf_buf_fini(&b);
}

MF_TEST(vec_out, brings_the_first_part_of_a_vector_to_unit_length)
{
    float v[3] = {3, 4, 100}, zero[2] = {0, 0};

    mf_vec_normalize(v, 2);
    MF_CHECK(fabsf(v[0] - 0.6f) < 1e-7f && fabsf(v[1] - 0.8f) < 1e-7f);
    MF_CHECK(v[2] == 100);
    mf_vec_normalize(zero, 2);
    MF_CHECK(zero[0] == 0 && zero[1] == 0);
}

MF_TEST(vec_out, marks_a_buffer_for_which_there_is_no_memory)
{
    const float v[1] = {1};
    struct mf_buf b;

    mf_buf_init(&b);
    mf_test_fail_nth(1);
    mf_vec_put_json(&b, v, 1);
    mf_test_fail_nth(1);
    mf_vec_put_base64(&b, v, 1);
    mf_test_fail_nth(0);
    MF_CHECK(mf_buf_status(&b) < 0);
    mf_buf_fini(&b);
}
