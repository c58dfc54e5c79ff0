/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attention by dot products of bf16 pairs. Two neighbours of a row are one 32-bit
 * element: keys are turned as such elements, values are laid two keys together.
 */
#include "encoder/rowops_avx512.h"

#include "encoder/rowops_simd.h"

/* In inline assembly: gcc 12 moves the sums of the intrinsic through the stack. */
#define DOT_PAIRS(sum, a, b)                                                           \
    __asm__("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b))

#define PAIR_STEP ((size_t)16) /* pairs of a register: 32 dimensions */

struct bf_room {
    uint32_t *keys;   /* panels: pairs x PANEL */
    uint32_t *values; /* n_pairs x dim_pad: element d of keys 2j and 2j + 1 */
    uint32_t *query;  /* MR x pairs */
    uint16_t *shares; /* MR x n_pad: weights */
    float *scores;    /* MR x n_pad */
    size_t n_pad, dim_pad, pairs, n_pairs;
};

static struct bf_room bf_room_of(uint32_t n, uint32_t dim, char *work)
{
    struct bf_room r = {.n_pad = round_up(n, PANEL),
                        .dim_pad = round_up(dim, 2 * VL),
                        .n_pairs = ((size_t)n + 1) / 2};

    r.pairs = r.dim_pad / 2;
    r.keys = (uint32_t *)(void *)work;
    r.values = r.keys + r.n_pad * r.pairs;
    r.query = r.values + r.n_pairs * r.dim_pad;
    r.scores = (float *)(void *)(r.query + MR * r.pairs);
    r.shares = (uint16_t *)(void *)(r.scores + MR * r.n_pad);
    return r;
}

size_t mf_attention_bf16_bytes(uint32_t n, uint32_t width, uint32_t n_heads)
{
    size_t n_pad = round_up(n, PANEL);
    size_t dim_pad = round_up(width / n_heads, 2 * VL);
    size_t words = n_pad * dim_pad / 2 + ((size_t)n + 1) / 2 * dim_pad +
                   MR * dim_pad / 2 + MR * n_pad;

    return round_up(words * sizeof(uint32_t) + MR * n_pad * sizeof(uint16_t), 64);
}

/* 32 floats, or as many as there are, to 16 pairs. */
MF_INLINE __m512i to_pairs(const float *x, size_t n)
{
    vf lo = load_upto(x, n);
    vf hi = n > VL ? load_upto(x + VL, n - VL) : v_zero();

    return (__m512i)_mm512_cvtne2ps_pbh(hi, lo);
}

/* 16 keys from `j`, 16 pairs of each from `p`: what is not there is zero. */
static void pack_pair_block(const struct head *h, size_t j, size_t p, uint32_t *out)
{
    vf rows[VL];

    for (size_t i = 0; i < VL; i++) {
        const float *k = h->k + (j + i) * h->ld + 2 * p;

        rows[i] =
            j + i < h->n ? _mm512_castsi512_ps(to_pairs(k, h->dim - 2 * p)) : v_zero();
    }
    v_transpose(rows, (float *)(void *)out, PANEL);
}

static void pack_pair_keys(const struct head *h, const struct bf_room *r)
{
    for (size_t j = 0; j < h->n; j += VL) {
        uint32_t *panel = r->keys + j / PANEL * PANEL * r->pairs + j % PANEL;

        for (size_t p = 0; p < r->pairs; p += PAIR_STEP) {
            pack_pair_block(h, j, p, panel + p * PANEL);
        }
    }
}

MF_INLINE __m512i widen_bf16(vf x)
{
    return _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(x));
}

static void pack_pair_values(const struct head *h, const struct bf_room *r)
{
    for (size_t j = 0; j < r->n_pairs; j++) {
        const float *even = h->v + 2 * j * h->ld;
        bool has_odd = 2 * j + 1 < h->n;

        for (uint32_t d = 0; d < r->dim_pad; d += VL) {
            size_t left = d < h->dim ? h->dim - d : 0;
            vf lo = load_upto(even + d, left);
            vf hi = has_odd ? load_upto(even + h->ld + d, left) : v_zero();

            _mm512_storeu_si512(
                r->values + j * r->dim_pad + d,
                _mm512_or_si512(widen_bf16(lo), _mm512_slli_epi32(widen_bf16(hi), 16)));
        }
    }
}

MF_INLINE void pair_scores(const int rows, const struct bf_room *r,
                           const uint32_t *panel, float *s)
{
    vf s0[MR];
    vf s1[MR];
    vf s2[MR];

    MF_UNROLL
    for (int i = 0; i < rows; i++) {
        s0[i] = s1[i] = s2[i] = v_zero();
    }
    for (size_t p = 0; p < r->pairs; p++, panel += PANEL) {
        __m512i k0 = _mm512_loadu_si512(panel);
        __m512i k1 = _mm512_loadu_si512(panel + VL);
        __m512i k2 = _mm512_loadu_si512(panel + 2 * VL);

        MF_UNROLL
        for (int i = 0; i < rows; i++) {
            __m512i q = _mm512_set1_epi32((int)r->query[(size_t)i * r->pairs + p]);

            DOT_PAIRS(s0[i], q, k0);
            DOT_PAIRS(s1[i], q, k1);
            DOT_PAIRS(s2[i], q, k2);
        }
    }
    MF_UNROLL
    for (int i = 0; i < rows; i++) {
        v_store(s + (size_t)i * r->n_pad, s0[i]);
        v_store(s + (size_t)i * r->n_pad + VL, s1[i]);
        v_store(s + (size_t)i * r->n_pad + 2 * VL, s2[i]);
    }
}

MF_INLINE float soften_pairs(float *s, uint16_t *share, const struct head *h,
                             uint32_t i)
{
    size_t n_up = close_row(s, h, i);
    vf top = v_all(row_top(s, n_up));
    vf sum = v_zero();

    for (size_t j = 0; j < n_up; j += VL) {
        vf e = v_exp_fast(v_sub(v_load(s + j), top));

        sum = v_add(sum, e);
        _mm256_storeu_si256((__m256i *)(void *)(share + j),
                            (__m256i)_mm512_cvtneps_pbh(e));
    }
    return 1 / v_sum(sum);
}

MF_INLINE __m512i both_shares(const uint16_t *share)
{
    int32_t pair;

    memcpy(&pair, share, sizeof(pair));
    return _mm512_set1_epi32(pair);
}

MF_INLINE void pair_values(const int rows, const struct head *h,
                           const struct bf_room *r, const float *part, uint32_t d,
                           float *out)
{
    vf s0[MR];
    vf s1[MR];
    const uint32_t *v = r->values + d;
    size_t left = h->dim - d;

    MF_UNROLL
    for (int i = 0; i < rows; i++) {
        s0[i] = s1[i] = v_zero();
    }
    for (size_t j = 0; j < r->n_pairs; j++, v += r->dim_pad) {
        __m512i v0 = _mm512_loadu_si512(v);
        __m512i v1 = _mm512_loadu_si512(v + VL);

        MF_UNROLL
        for (int i = 0; i < rows; i++) {
            __m512i p = both_shares(r->shares + (size_t)i * r->n_pad + 2 * j);

            DOT_PAIRS(s0[i], p, v0);
            DOT_PAIRS(s1[i], p, v1);
        }
    }
    MF_UNROLL
    for (int i = 0; i < rows; i++) {
        vf f = v_all(part[i]);
        float *o = out + (size_t)i * h->ld_out + d;

        store_upto(o, v_mul(s0[i], f), left);
        store_upto(o + VL, v_mul(s1[i], f), left > VL ? left - VL : 0);
    }
}

MF_INLINE void load_queries(const int rows, const struct head *h,
                            const struct bf_room *r, const float *q)
{
    for (int i = 0; i < rows; i++) {
        for (size_t p = 0; p < r->pairs; p += PAIR_STEP) {
            _mm512_storeu_si512(
                r->query + (size_t)i * r->pairs + p,
                to_pairs(q + (size_t)i * h->ld + 2 * p, h->dim - 2 * p));
        }
    }
}

MF_INLINE void pair_tile(const int rows, const struct head *h, const struct bf_room *r,
                         uint32_t i)
{
    float part[MR];

    load_queries(rows, h, r, h->q + (size_t)i * h->ld);
    for (size_t j = 0; j < r->n_pad; j += PANEL) {
        pair_scores(rows, r, r->keys + j * r->pairs, r->scores + j);
    }
    for (int k = 0; k < rows; k++) {
        part[k] = soften_pairs(r->scores + (size_t)k * r->n_pad,
                               r->shares + (size_t)k * r->n_pad, h, i + (uint32_t)k);
    }
    for (uint32_t d = 0; d < h->dim; d += 2 * VL) {
        pair_values(rows, h, r, part, d, h->out + (size_t)i * h->ld_out);
    }
}

static void pair_rest(const struct head *h, const struct bf_room *r, uint32_t i)
{
    switch (h->n - i) {
    case 7: pair_tile(7, h, r, i); break;
    case 6: pair_tile(6, h, r, i); break;
    case 5: pair_tile(5, h, r, i); break;
    case 4: pair_tile(4, h, r, i); break;
    case 3: pair_tile(3, h, r, i); break;
    case 2: pair_tile(2, h, r, i); break;
    case 1: pair_tile(1, h, r, i); break;
    default: break;
    }
}

void mf_attention_bf16(const struct mf_attention *a, void *work)
{
    for (uint32_t k = 0; k < a->n_heads; k++) {
        struct head h = head_of(a, k);
        struct bf_room r = bf_room_of(h.n, h.dim, work);
        uint32_t i = 0;

        pack_pair_keys(&h, &r);
        pack_pair_values(&h, &r);
        for (; i + MR <= h.n; i += MR) {
            pair_tile(MR, &h, &r, i);
        }
        pair_rest(&h, &r, i);
    }
}
