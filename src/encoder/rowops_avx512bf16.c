/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attention in bf16, by dot products of pairs: two neighbours are one 32-bit element.
 * And layer norm that leaves its result as bf16, too.
 *
 * 16 queries at a time, one in each lane of a register, so that the largest score and
 * the sum of the weights of a query need no step across lanes. Numbers of keys and
 * values are spread over the lanes as they are read; only the queries are turned
 * before, and the sums of the values after.
 */
#include "encoder/rowops_avx512.h"

#include "encoder/rowops_simd.h"

#define LANES ((size_t)16)
#define PAIRS ((size_t)16)       /* of a chunk: 32 dimensions */
#define CHUNK ((size_t)(2 * 16)) /* dimensions */
#define SUMS  ((size_t)16)       /* of a tile */
#define KEYS  SUMS
#define DIMS  SUMS

/* sum += a times what stands at `one`, spread over the lanes. In inline assembly: gcc
 * 12 moves the sums of the intrinsic through the stack. */
#define DOT_PAIRS(sum, a, one)                                                         \
    __asm__("vdpbf16ps %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(a), "m"(one))

struct bf_head {
    const uint16_t *q, *k, *v; /* rows `ld` apart */
    size_t ld;
    uint16_t *out; /* rows `ld_out` apart */
    size_t ld_out;
    const float *bias; /* of distance 0, or NULL */
    size_t n, dim;
};

struct bf_room {
    uint32_t *keys;   /* a chunk after the other: n_pad x PAIRS */
    uint32_t *values; /* n_pairs x dim_pad: element d of keys 2j and 2j + 1 */
    uint32_t *query;  /* a chunk after the other: PAIRS x LANES */
    float *scores;    /* n_pad x LANES */
    uint32_t *shares; /* n_pairs x LANES: where the scores were; keys 2j and 2j + 1 */
    size_t n_pad, dim_pad, n_chunks, n_pairs;
};

static struct bf_head bf_head_of(const struct mf_attention_bf16 *a, uint32_t i)
{
    size_t dim = a->width / a->n_heads;
    const uint16_t *q = a->qkv + i * dim;

    return (struct bf_head){
        .q = q,
        .k = q + a->width,
        .v = q + (size_t)2 * a->width,
        .ld = (size_t)3 * a->width,
        .out = a->out + i * dim,
        .ld_out = a->width,
        .bias = a->bias == NULL ? NULL : a->bias + (size_t)i * a->bias_ld,
        .n = a->n,
        .dim = dim,
    };
}

/* What there is room for; the addresses are not set. */
static struct bf_room bf_sizes(uint32_t n, uint32_t dim)
{
    struct bf_room r = {.n_pad = round_up(n, KEYS),
                        .dim_pad = round_up(dim, CHUNK),
                        .n_pairs = ((size_t)n + 1) / 2};

    r.n_chunks = r.dim_pad / CHUNK;
    return r;
}

static struct bf_room bf_room_of(uint32_t n, uint32_t dim, void *work)
{
    struct bf_room r = bf_sizes(n, dim);

    r.keys = work;
    r.values = r.keys + r.n_chunks * r.n_pad * PAIRS;
    r.query = r.values + r.n_pairs * r.dim_pad;
    r.shares = r.query + r.n_chunks * PAIRS * LANES;
    r.scores = (float *)(void *)r.shares;
    return r;
}

size_t mf_attention_bf16_bytes(uint32_t n, uint32_t width, uint32_t n_heads)
{
    struct bf_room r = bf_sizes(n, width / n_heads);
    size_t words = r.n_chunks * PAIRS * (r.n_pad + LANES) + r.n_pairs * r.dim_pad +
                   r.n_pad * LANES;

    return words * sizeof(uint32_t);
}

/* 32 numbers, or as many as there are: 16 pairs. */
MF_INLINE __m512i load_pairs(const uint16_t *x, size_t n)
{
    return n >= CHUNK ? _mm512_loadu_si512(x)
                      : _mm512_maskz_loadu_epi16((1U << n) - 1, x);
}

/* Lane by lane a pair of both. */
MF_INLINE __m512i pair_up(vf even, vf odd)
{
    const __m512i order =
        _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8,
                         23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);

    return _mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh(odd, even));
}

/* The rows behind the last key are zero: a tile reads them. */
static void pack_keys_bf16(const struct bf_head *h, const struct bf_room *r)
{
    uint32_t *to = r->keys;

    for (size_t d = 0; d < r->dim_pad; d += CHUNK) {
        for (size_t j = 0; j < h->n; j++, to += PAIRS) {
            _mm512_storeu_si512(to, load_pairs(h->k + j * h->ld + d, h->dim - d));
        }
        for (size_t j = h->n; j < r->n_pad; j++, to += PAIRS) {
            _mm512_storeu_si512(to, _mm512_setzero_si512());
        }
    }
}

static void pack_values_bf16(const struct bf_head *h, const struct bf_room *r)
{
    const __m512i near =
        _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8,
                         39, 7, 38, 6, 37, 5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
    const __m512i far = _mm512_add_epi16(near, _mm512_set1_epi16(16));
    uint32_t *to = r->values;

    for (size_t j = 0; j < h->n; j += 2) {
        for (size_t d = 0; d < r->dim_pad; d += CHUNK, to += CHUNK) {
            const uint16_t *v = h->v + j * h->ld + d;
            __m512i even = load_pairs(v, h->dim - d);
            __m512i odd = j + 1 < h->n ? load_pairs(v + h->ld, h->dim - d)
                                       : _mm512_setzero_si512();

            _mm512_storeu_si512(to, _mm512_permutex2var_epi16(even, near, odd));
            _mm512_storeu_si512(to + VL, _mm512_permutex2var_epi16(even, far, odd));
        }
    }
}

/* 32 dimensions of up to 16 queries to pairs of them, 16 queries each; where there is
 * no query, zeros. */
MF_INLINE void turn_chunk(const struct bf_head *h, const uint16_t *q, size_t n,
                          size_t n_dims, uint32_t *to)
{
    vf rows[LANES];

    if (n >= LANES && n_dims >= CHUNK) {
#pragma GCC unroll 16
        for (size_t k = 0; k < LANES; k++) {
            rows[k] = _mm512_loadu_ps((const float *)(const void *)(q + k * h->ld));
        }
        v_transpose(rows, (float *)(void *)to, LANES);
        return;
    }
    for (size_t k = 0; k < LANES; k++) {
        rows[k] =
            k < n ? _mm512_castsi512_ps(load_pairs(q + k * h->ld, n_dims)) : v_zero();
    }
    v_transpose(rows, (float *)(void *)to, LANES);
}

static void turn_queries(const struct bf_head *h, const struct bf_room *r, size_t i)
{
    for (size_t d = 0; d < h->dim; d += CHUNK) {
        turn_chunk(h, h->q + i * h->ld + d, h->n - i, h->dim - d,
                   r->query + d / 2 * LANES);
    }
}

/* What is added to the scores of queries i, i + 1, .. with key j: as the distance falls
 * from lane to lane, they are read backwards; nothing of queries that are not. */
MF_INLINE vf bias_of(const struct bf_head *h, size_t i, size_t j)
{
    const __m512i backwards =
        _mm512_set_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    size_t n = mf_min(h->n - i, LANES);
    const float *first = h->bias + (ptrdiff_t)j - (ptrdiff_t)(i + LANES - 1);
    __mmask16 in = (__mmask16)(0xffffU << (LANES - n));

    return _mm512_permutexvar_ps(backwards, _mm512_maskz_loadu_ps(in, first));
}

/* Scores of the queries from i on with the keys from j on, to memory; returns the
 * largest of each query, and of `top`. */
MF_INLINE vf put_scores(const struct bf_head *h, const struct bf_room *r,
                        const vf *score, size_t i, size_t j, vf top)
{
    size_t n = mf_min(h->n - j, KEYS);

#pragma GCC unroll 16
    for (size_t k = 0; k < KEYS; k++) {
        if (k < n) {
            vf s = h->bias == NULL ? score[k] : v_add(score[k], bias_of(h, i, j + k));

            v_store(r->scores + (j + k) * LANES, s);
            top = v_max(top, s);
        }
    }
    return top;
}

/* What stands `step` apart from `one` on, each times the lanes of `a`. */
MF_INLINE void add_products(vf *sum, __m512i a, const uint32_t *one, size_t step)
{
#pragma GCC unroll 16
    for (size_t k = 0; k < SUMS; k++) {
        DOT_PAIRS(sum[k], a, one[k * step]);
    }
}

MF_INLINE vf pair_scores(const struct bf_head *h, const struct bf_room *r, size_t i,
                         size_t j, vf top)
{
    vf sum[KEYS];

#pragma GCC unroll 16
    for (size_t k = 0; k < KEYS; k++) {
        sum[k] = v_zero();
    }
    for (size_t c = 0; c < r->n_chunks; c++) {
        const uint32_t *key = r->keys + (c * r->n_pad + j) * PAIRS;
        const uint32_t *query = r->query + c * PAIRS * LANES;

        for (size_t p = 0; p < PAIRS; p++, key++, query += LANES) {
            add_products(sum, _mm512_loadu_si512(query), key, PAIRS);
        }
    }
    return put_scores(h, r, sum, i, j, top);
}

/* A number of 16 bits whose upper 9 are an exponent and whose lower 7 a fraction f is,
 * read as bf16, 2^exponent (1 + f): this is how much (1 + f - 2^f) * 128 is too large,
 * for each f. */
static const uint8_t exp_excess[128] = {
    0,  0,  1,  1,  1,  1,  2,  2,  2,  3,  3,  3,  3,  4,  4,  4,  4,  5,  5,
    5,  5,  6,  6,  6,  6,  6,  7,  7,  7,  7,  7,  8,  8,  8,  8,  8,  8,  9,
    9,  9,  9,  9,  9,  9,  10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 11, 11, 11,
    11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11,
    11, 11, 11, 11, 11, 11, 10, 10, 10, 10, 10, 10, 10, 10, 10, 9,  9,  9,  9,
    9,  9,  9,  8,  8,  8,  8,  8,  7,  7,  7,  7,  7,  6,  6,  6,  6,  5,  5,
    5,  4,  4,  4,  3,  3,  3,  3,  2,  2,  1,  1,  1,  0,
};

#define EXP_UNIT 65536.0F           /* of the upper 16 bits of 32 */
#define EXP_STEP (128 * LOG2_E)     /* a score of 1 */
#define EXP_ONE  (127 * 128 + 0.5F) /* of the weight 1; what follows is cut off */

/* What makes weights of scores. */
struct soften {
    vf step, one;
    __m512i near, far; /* exp_excess */
};

/* e^(score - top) of two keys, a pair of bf16 for each query, within 0.4 %: in whole
 * numbers. What is far below becomes 0, as does what is not a number. */
MF_INLINE __m512i soften_pair(const struct soften *e, const float *score)
{
    const __m512i upper = _mm512_set1_epi32((int)0xffff0000);
    const __mmask64 low_bytes = 0x5555555555555555;
    __m512i even = _mm512_cvtps_epi32(v_fma(v_load(score), e->step, e->one));
    __m512i odd = _mm512_cvtps_epi32(v_fma(v_load(score + LANES), e->step, e->one));
    /* (odd & upper) | even >> 16 */
    __m512i both =
        _mm512_ternarylogic_epi32(odd, upper, _mm512_srli_epi32(even, 16), 0xea);

    both = _mm512_max_epi16(both, _mm512_setzero_si512());
    return _mm512_sub_epi16(
        both, _mm512_maskz_permutex2var_epi8(low_bytes, e->near, both, e->far));
}

/* Scores to weights, in pairs of keys; returns 1 / their sum. */
MF_INLINE vf soften_pairs(const struct bf_room *r, size_t n, vf top)
{
    const uint32_t ones = 0x3f803f80;
    const struct soften e = {
        .step = v_all(EXP_UNIT * EXP_STEP),
        .one = v_fma(top, v_all(-EXP_UNIT * EXP_STEP), v_all(EXP_UNIT * EXP_ONE)),
        .near = _mm512_loadu_si512(exp_excess),
        .far = _mm512_loadu_si512(exp_excess + 64)};
    vf sum = v_zero();

    for (size_t j = 0; j < r->n_pairs; j++) {
        __m512i pair = soften_pair(&e, r->scores + 2 * j * LANES);

        if (2 * j + 1 == n) { /* there is no odd key */
            pair = _mm512_and_si512(pair, _mm512_set1_epi32(0xffff));
        }
        DOT_PAIRS(sum, pair, ones);
        _mm512_storeu_si512(r->shares + j * LANES, pair);
    }
    return _mm512_div_ps(v_all(1), sum);
}

/* A pair of dimensions of 16 queries in each of 16 registers, to their rows. */
MF_INLINE void put_turned(const struct bf_head *h, vf *pair, size_t i, size_t d)
{
    uint16_t *out = h->out + i * h->ld_out + d;
    uint32_t square[LANES * PAIRS];
    size_t left = h->dim - d;

    if (i + LANES <= h->n && left >= CHUNK) {
        v_transpose(pair, (float *)(void *)out, h->ld_out / 2);
        return;
    }
    v_transpose(pair, (float *)(void *)square, PAIRS);
    for (size_t k = 0; k < LANES && i + k < h->n; k++) {
        memcpy(out + k * h->ld_out, square + k * PAIRS,
               mf_min(left, CHUNK) * sizeof(*out));
    }
}

/* Of 16 dimensions, to 8 registers of pairs of them. */
MF_INLINE void pair_values(const struct bf_room *r, vf part, const uint32_t *v,
                           vf *pair)
{
    vf sum[DIMS];

#pragma GCC unroll 16
    for (size_t k = 0; k < DIMS; k++) {
        sum[k] = v_zero();
    }
    for (size_t j = 0; j < r->n_pairs; j++, v += r->dim_pad) {
        add_products(sum, _mm512_loadu_si512(r->shares + j * LANES), v, 1);
    }
#pragma GCC unroll 8
    for (size_t k = 0; k < DIMS / 2; k++) {
        pair[k] = _mm512_castsi512_ps(
            pair_up(v_mul(sum[2 * k], part), v_mul(sum[2 * k + 1], part)));
    }
}

MF_INLINE void chunk_values(const struct bf_head *h, const struct bf_room *r, vf part,
                            size_t i, size_t d)
{
    vf pair[PAIRS];

    pair_values(r, part, r->values + d, pair);
    pair_values(r, part, r->values + d + DIMS, pair + PAIRS / 2);
    put_turned(h, pair, i, d);
}

static void attend_queries(const struct bf_head *h, const struct bf_room *r, size_t i)
{
    vf top = v_all(-INFINITY);
    vf part;

    turn_queries(h, r, i);
    for (size_t j = 0; j < h->n; j += KEYS) {
        top = pair_scores(h, r, i, j, top);
    }
    part = soften_pairs(r, h->n, top);
    for (size_t d = 0; d < h->dim; d += CHUNK) {
        chunk_values(h, r, part, i, d);
    }
}

void mf_attention_bf16(const struct mf_attention_bf16 *a, void *work)
{
    for (uint32_t k = 0; k < a->n_heads; k++) {
        struct bf_head h = bf_head_of(a, k);
        struct bf_room r = bf_room_of(a->n, (uint32_t)h.dim, work);

        pack_keys_bf16(&h, &r);
        pack_values_bf16(&h, &r);
        for (size_t i = 0; i < h.n; i += LANES) {
            attend_queries(&h, &r, i);
        }
    }
}

static void store_bf16(uint16_t *p, vf x, size_t n)
{
    __m256i half = (__m256i)_mm512_cvtneps_pbh(x);

    if (n >= VL) {
        _mm256_storeu_si256((__m256i *)(void *)p, half);
    } else {
        _mm256_mask_storeu_epi16(p, v_first(n), half);
    }
}

void mf_layer_norm_bf16(const struct mf_norm_rows *n, uint16_t *out)
{
    float *x = n->x;

    for (size_t r = 0; r < n->rows; r++, x += n->width, out += n->width) {
        vf mean = v_all(row_mean(x, n->width));
        vf scale = v_all(1 / sqrtf(row_variance(x, n->width, mean) + n->eps));

        for (uint32_t i = 0; i < n->width; i += VL) {
            size_t left = n->width - i;
            vf d = v_mul(v_sub(load_upto(x + i, left), mean), scale);

            d = v_fma(d, load_upto(n->g + i, left), load_upto(n->b + i, left));
            store_upto(x + i, d, left);
            store_bf16(out + i, d, left);
        }
    }
}
