/* SPDX-License-Identifier: Apache-2.0 */
#include "api/vec_out.h"

#include <math.h>

/* ---- the shortest decimal of a float ---- */

#define MIN_POWER (-31)
#define MAX_POWER 45

/* 10^k as 64 bits, the highest set, rounded up: ceil(10^k * 2^(63 - floor(log2 10^k))).
 */
static const uint64_t powers[MAX_POWER - MIN_POWER + 1] = {
    0x81CEB32C4B43FCF5U, 0xA2425FF75E14FC32U, 0xCAD2F7F5359A3B3FU, 0xFD87B5F28300CA0EU,
    0x9E74D1B791E07E49U, 0xC612062576589DDBU, 0xF79687AED3EEC552U, 0x9ABE14CD44753B53U,
    0xC16D9A0095928A28U, 0xF1C90080BAF72CB2U, 0x971DA05074DA7BEFU, 0xBCE5086492111AEBU,
    0xEC1E4A7DB69561A6U, 0x9392EE8E921D5D08U, 0xB877AA3236A4B44AU, 0xE69594BEC44DE15CU,
    0x901D7CF73AB0ACDAU, 0xB424DC35095CD810U, 0xE12E13424BB40E14U, 0x8CBCCC096F5088CCU,
    0xAFEBFF0BCB24AAFFU, 0xDBE6FECEBDEDD5BFU, 0x89705F4136B4A598U, 0xABCC77118461CEFDU,
    0xD6BF94D5E57A42BDU, 0x8637BD05AF6C69B6U, 0xA7C5AC471B478424U, 0xD1B71758E219652CU,
    0x83126E978D4FDF3CU, 0xA3D70A3D70A3D70BU, 0xCCCCCCCCCCCCCCCDU, 0x8000000000000000U,
    0xA000000000000000U, 0xC800000000000000U, 0xFA00000000000000U, 0x9C40000000000000U,
    0xC350000000000000U, 0xF424000000000000U, 0x9896800000000000U, 0xBEBC200000000000U,
    0xEE6B280000000000U, 0x9502F90000000000U, 0xBA43B74000000000U, 0xE8D4A51000000000U,
    0x9184E72A00000000U, 0xB5E620F480000000U, 0xE35FA931A0000000U, 0x8E1BC9BF04000000U,
    0xB1A2BC2EC5000000U, 0xDE0B6B3A76400000U, 0x8AC7230489E80000U, 0xAD78EBC5AC620000U,
    0xD8D726B7177A8000U, 0x878678326EAC9000U, 0xA968163F0A57B400U, 0xD3C21BCECCEDA100U,
    0x84595161401484A0U, 0xA56FA5B99019A5C8U, 0xCECB8F27F4200F3AU, 0x813F3978F8940985U,
    0xA18F07D736B90BE6U, 0xC9F2C9CD04674EDFU, 0xFC6F7C4045812297U, 0x9DC5ADA82B70B59EU,
    0xC5371912364CE306U, 0xF684DF56C3E01BC7U, 0x9A130B963A6C115DU, 0xC097CE7BC90715B4U,
    0xF0BDC21ABB48DB21U, 0x96769950B50D88F5U, 0xBC143FA4E250EB32U, 0xEB194F8E1AE525FEU,
    0x92EFD1B8D0CF37BFU, 0xB7ABC627050305AEU, 0xE596B7B0C643C71AU, 0x8F7E32CE7BEA5C70U,
    0xB35DBF821AE4F38CU,
};

struct decimal { /* digits * 10^power */
    uint32_t digits;
    int power;
};

/* Logarithms by a product and a shift, exact for all exponents of a float. */
static int floor_log10_of_pow2(int e) /* floor(log10(2^e)) */
{
    return (e * 1262611) >> 22;
}

static int floor_log10_of_3_4_pow2(int e) /* floor(log10(3/4 * 2^e)) */
{
    return (e * 1262611 - 524031) >> 22;
}

static int floor_log2_of_pow10(int e) /* floor(log2(10^e)) */
{
    return (e * 1741647) >> 19;
}

/* The upper part of g * c, with its last bit set when anything was cut off. */
static uint32_t round_to_odd(uint64_t g, uint32_t c)
{
    unsigned __int128 p = (unsigned __int128)g * c;
    uint32_t upper = (uint32_t)(p >> 64), lower = (uint32_t)(p >> 32);

    return upper | (lower > 1);
}

/* Of the decimals s and s + 1 at this power, in quarters, one that lies inside the
 * interval of the float; false when both do or none does. */
static bool pick_inside(uint32_t s4, uint32_t step, const uint32_t ends[2],
                        uint32_t *add)
{
    bool lower_is_in = ends[0] <= s4, upper_is_in = s4 + step <= ends[1];

    *add = upper_is_in;
    return lower_is_in != upper_is_in;
}

/* `v` is in quarters of 10^k, `ends` are those of the interval that rounds to it. */
static struct decimal shortest_inside(uint32_t v, const uint32_t ends[2], int k)
{
    uint32_t s = v / 4, s10 = s / 10, middle = 4 * s + 2, add;

    if (s >= 10 && pick_inside(40 * s10, 40, ends, &add)) {
        return (struct decimal){s10 + add, k + 1};
    }
    if (pick_inside(4 * s, 4, ends, &add)) {
        return (struct decimal){s + add, k};
    }
    add = v > middle || (v == middle && (s & 1) != 0);
    return (struct decimal){s + add, k};
}

/* Of fraction * 2^exponent. */
static struct decimal shortest(uint32_t fraction, int exponent, bool is_lower_closer)
{
    bool is_odd = (fraction & 1) != 0; /* then the ends round to the neighbours */
    uint32_t below = 4 * fraction - 2 + is_lower_closer, above = 4 * fraction + 2;
    int k = is_lower_closer ? floor_log10_of_3_4_pow2(exponent)
                            : floor_log10_of_pow2(exponent);
    int h = exponent + floor_log2_of_pow10(-k) + 1;
    uint64_t g = powers[-k - MIN_POWER];
    uint32_t ends[2] = {round_to_odd(g, below << h) + is_odd,
                        round_to_odd(g, above << h) - is_odd};

    return shortest_inside(round_to_odd(g, 4 * fraction << h), ends, k);
}

static struct decimal decimal_of(uint32_t bits)
{
    uint32_t fraction = bits & 0x7FFFFF;
    int biased = (int)(bits >> 23 & 0xFF);

    if (biased == 0) { /* subnormal */
        return shortest(fraction, -149, false);
    }
    return shortest(fraction | 0x800000, biased - 150, fraction == 0 && biased > 1);
}

/* ---- as text ---- */

#define MAX_DIGITS 9 /* of the shortest decimal of a float */

static size_t count_digits(uint32_t v)
{
    static const uint32_t powers_of_10[MAX_DIGITS + 1] = {
        1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000};
    size_t bits = 32 - (size_t)__builtin_clz(v | 1);
    size_t n = bits * 1233 >> 12; /* bits * log10(2), or one less */

    return n + (v >= powers_of_10[n]);
}

static void put_pair(char *at, uint32_t v)
{
    static const char pairs[201] = "00010203040506070809101112131415161718192021222324"
                                   "25262728293031323334353637383940414243444546474849"
                                   "50515253545556575859606162636465666768697071727374"
                                   "75767778798081828384858687888990919293949596979899";

    memcpy(at, pairs + (size_t)2 * v, 2);
}

/* With zeros in front: no branch depends on the number, which nobody could foresee. */
static void put_ten_digits(char *at, uint32_t v)
{
    uint32_t upper = v / 10000, lower = v % 10000;

    put_pair(at, upper / 10000);
    put_pair(at + 2, upper % 10000 / 100);
    put_pair(at + 4, upper % 100);
    put_pair(at + 6, lower / 100);
    put_pair(at + 8, lower % 100);
}

static void put_digits(char *at, uint32_t v, size_t n)
{
    char ten[10];

    put_ten_digits(ten, v);
    memcpy(at, ten + sizeof(ten) - n, n);
}

/* 0.00012: what stands behind the point is as long as the power is deep. Writes 18
 * bytes. */
static size_t put_small(char *at, struct decimal d)
{
    char zeros_first[32] = {'0', '0', '0', '0', '0', '0'};
    size_t n = (size_t)-d.power;

    put_ten_digits(zeros_first + 6, d.digits);
    at[0] = '0';
    at[1] = '.';
    memcpy(at + 2, zeros_first + 16 - n, 16);
    return 2 + n;
}

/* 12.5, 12.0, 1200.0 */
static size_t put_large(char *at, uint32_t digits, size_t n, int point)
{
    size_t whole = (size_t)point;

    put_digits(at, digits, n);
    if (n > whole) {
        memmove(at + whole + 1, at + whole, n - whole);
        at[whole] = '.';
        return n + 1;
    }
    memset(at + n, '0', whole - n);
    at[whole] = '.';
    at[whole + 1] = '0';
    return whole + 2;
}

/* 1.25e-12 */
static size_t put_scientific(char *at, uint32_t digits, size_t n, int exponent)
{
    unsigned e = (unsigned)(exponent < 0 ? -exponent : exponent);
    size_t len = n;

    put_digits(at, digits, n);
    if (n > 1) {
        memmove(at + 2, at + 1, n - 1);
        at[1] = '.';
        len++;
    }
    at[len++] = 'e';
    if (exponent < 0) {
        at[len++] = '-';
    }
    put_digits(at + len, e, e < 10 ? 1 : 2);
    return len + (e < 10 ? 1 : 2);
}

static size_t put_decimal(char *at, struct decimal d)
{
    size_t n;
    int point; /* where it stands behind the first digit */

    while (d.digits % 10 == 0) {
        d.digits /= 10;
        d.power++;
    }
    n = count_digits(d.digits);
    point = (int)n + d.power;
    if (point > 0 && point <= 9) {
        return put_large(at, d.digits, n, point);
    }
    if (point <= 0 && point > -5) {
        return put_small(at, d);
    }
    return put_scientific(at, d.digits, n, point - 1);
}

size_t mf_float_format(float v, char at[MF_FLOAT_TEXT])
{
    static const char none[4] = {'n', 'u', 'l', 'l'}, zero[3] = {'0', '.', '0'};
    uint32_t bits;
    size_t sign;

    memcpy(&bits, &v, sizeof(bits));
    if (!isfinite(v)) {
        memcpy(at, none, sizeof(none));
        return sizeof(none);
    }
    sign = bits >> 31;
    at[0] = '-';
    bits &= 0x7FFFFFFF;
    if (bits == 0) {
        memcpy(at + sign, zero, sizeof(zero));
        return sign + sizeof(zero);
    }
    return sign + put_decimal(at + sign, decimal_of(bits));
}

void mf_vec_put_json(struct mf_buf *b, const float *v, size_t n)
{
    char *from = mf_buf_reserve(b, n * (MF_FLOAT_TEXT + 1) + 2), *at = from;

    if (from == NULL) {
        return;
    }
    *at++ = '[';
    for (size_t i = 0; i < n; i++) {
        if (i > 0) {
            *at++ = ',';
        }
        at += mf_float_format(v[i], at);
    }
    *at++ = ']';
    b->n += (size_t)(at - from);
}

/* ---- base64 ---- */

static void encode_three(const unsigned char *in, char *out)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t v = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];

    out[0] = digits[v >> 18];
    out[1] = digits[v >> 12 & 63];
    out[2] = digits[v >> 6 & 63];
    out[3] = digits[v & 63];
}

static char *encode(const unsigned char *in, size_t n, char *out)
{
    unsigned char last[3] = {0};

    for (; n >= 3; n -= 3, in += 3, out += 4) {
        encode_three(in, out);
    }
    if (n > 0) {
        memcpy(last, in, n);
        encode_three(last, out);
        memcpy(out + n + 1, "==", 3 - n);
        out += 4;
    }
    return out;
}

void mf_vec_put_base64(struct mf_buf *b, const float *v, size_t n)
{
    size_t bytes = n * sizeof(float);
    char *from = mf_buf_reserve(b, (bytes + 2) / 3 * 4);

    _Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
                   "floats go out as they lie in memory");
    if (from != NULL) {
        b->n += (size_t)(encode((const unsigned char *)v, bytes, from) - from);
    }
}

void mf_vec_normalize(float *v, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++) {
        sum += (double)v[i] * v[i];
    }
    if (sum > 0) {
        double scale = 1 / sqrt(sum);

        for (size_t i = 0; i < n; i++) {
            v[i] = (float)(v[i] * scale);
        }
    }
}
