/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rowops_simd: the row operations in f32, written once for registers of VL floats and
 * tiles of MR rows; the file that includes it says what the words v_* mean.
 *
 * Attention of one head: keys turned into panels of 3 registers of keys, values copied
 * beside each other, then MR queries at a time: scores, softmax, sum of values. The
 * division by the sum of the weights comes last.
 *
 * Owns:    nothing
 * Thread:  any
 * Limits:  as rowops.h
 * Fails:   never
 */
#ifndef MF_ENCODER_ROWOPS_SIMD_H
#define MF_ENCODER_ROWOPS_SIMD_H

#include "encoder/rowops_exp.h"

#include <math.h>
#include <string.h>

#define PANEL (3 * VL)

struct head {
    const float *q, *k, *v; /* rows `ld` apart */
    size_t ld;
    float *out; /* rows `ld_out` apart */
    size_t ld_out;
    const float *bias; /* of distance 0, or NULL */
    uint32_t n, dim;
};

struct room {
    float *keys;   /* panels: dim x PANEL */
    float *values; /* n x dim_pad */
    float *scores; /* MR x n_pad */
    size_t n_pad, dim_pad;
};

static inline size_t round_up(size_t n, size_t step)
{
    return (n + step - 1) / step * step;
}

static inline size_t simd_attention_bytes(uint32_t n, uint32_t width, uint32_t n_heads)
{
    size_t dim = width / n_heads;
    size_t n_pad = round_up(n, PANEL);

    return round_up(
        (n_pad * dim + n * round_up(dim, 2 * VL) + MR * n_pad) * sizeof(float), 64);
}

static inline struct room room_of(const struct head *h, void *work)
{
    struct room r = {.keys = work,
                     .n_pad = round_up(h->n, PANEL),
                     .dim_pad = round_up(h->dim, 2 * VL)};

    r.values = r.keys + r.n_pad * h->dim;
    r.scores = r.values + h->n * r.dim_pad;
    return r;
}

static inline struct head head_of(const struct mf_attention *a, uint32_t i)
{
    uint32_t dim = a->width / a->n_heads;
    const float *q = a->qkv + (size_t)i * dim;

    return (struct head){
        .q = q,
        .k = q + a->width,
        .v = q + (size_t)2 * a->width,
        .ld = (size_t)3 * a->width,
        .out = a->out + (size_t)i * dim,
        .ld_out = a->width,
        .bias = a->bias == NULL ? NULL : a->bias + (size_t)i * a->bias_ld,
        .n = a->n,
        .dim = dim,
    };
}

/* VL keys from `j`, VL elements of each from `d`: what is not there is zero. */
static inline void pack_key_block(const struct head *h, size_t j, uint32_t d,
                                  float *out)
{
    vf rows[VL];
    size_t n_dims = mf_min((size_t)(h->dim - d), VL);
    float square[VL * VL];

    for (size_t i = 0; i < VL; i++) {
        const float *k = h->k + (j + i) * h->ld + d;

        rows[i] = j + i >= h->n  ? v_zero()
                  : n_dims == VL ? v_load(k)
                                 : v_load_some(k, n_dims);
    }
    if (n_dims == VL) {
        v_transpose(rows, out, PANEL);
        return;
    }
    v_transpose(rows, square, VL);
    for (size_t i = 0; i < n_dims; i++) {
        v_store(out + i * PANEL, v_load(square + i * VL));
    }
}

static inline void pack_keys(const struct head *h, const struct room *r)
{
    for (size_t j = 0; j < r->n_pad; j += VL) {
        float *panel = r->keys + j / PANEL * PANEL * h->dim + j % PANEL;

        for (uint32_t d = 0; d < h->dim; d += VL) {
            pack_key_block(h, j, d, panel + (size_t)d * PANEL);
        }
    }
}

static inline void pack_values(const struct head *h, const struct room *r)
{
    for (size_t j = 0; j < h->n; j++) {
        float *row = r->values + j * r->dim_pad;

        memcpy(row, h->v + j * h->ld, h->dim * sizeof(float));
        memset(row + h->dim, 0, (r->dim_pad - h->dim) * sizeof(float));
    }
}

MF_INLINE void score_tile(const int rows, const struct head *h, const float *q,
                          const float *panel, float *s, size_t ld)
{
    vf sum[MR][3];

    MF_UNROLL
    for (int i = 0; i < rows; i++) {
        sum[i][0] = sum[i][1] = sum[i][2] = v_zero();
    }
    for (uint32_t d = 0; d < h->dim; d++, panel += PANEL) {
        vf k0 = v_load(panel);
        vf k1 = v_load(panel + VL);
        vf k2 = v_load(panel + 2 * VL);

        MF_UNROLL
        for (int i = 0; i < rows; i++) {
            vf x = v_all(q[(size_t)i * h->ld + d]);

            sum[i][0] = v_fma(x, k0, sum[i][0]);
            sum[i][1] = v_fma(x, k1, sum[i][1]);
            sum[i][2] = v_fma(x, k2, sum[i][2]);
        }
    }
    MF_UNROLL
    for (int i = 0; i < rows; i++) {
        v_store(s + (size_t)i * ld, sum[i][0]);
        v_store(s + (size_t)i * ld + VL, sum[i][1]);
        v_store(s + (size_t)i * ld + 2 * VL, sum[i][2]);
    }
}

MF_INLINE void store_upto(float *p, vf x, size_t n)
{
    if (n >= VL) {
        v_store(p, x);
    } else if (n > 0) {
        v_store_some(p, x, n);
    }
}

/* Two registers of each output row, from dimension `d` on. */
MF_INLINE void value_tile(const int rows, const struct head *h, const struct room *r,
                          const float *share, uint32_t d, float *out)
{
    vf sum[MR][2];
    const float *v = r->values + d;
    size_t left = h->dim - d;

    MF_UNROLL
    for (int i = 0; i < rows; i++) {
        sum[i][0] = sum[i][1] = v_zero();
    }
    for (uint32_t j = 0; j < h->n; j++, v += r->dim_pad) {
        vf v0 = v_load(v);
        vf v1 = v_load(v + VL);

        MF_UNROLL
        for (int i = 0; i < rows; i++) {
            vf p = v_all(r->scores[(size_t)i * r->n_pad + j]);

            sum[i][0] = v_fma(p, v0, sum[i][0]);
            sum[i][1] = v_fma(p, v1, sum[i][1]);
        }
    }
    MF_UNROLL
    for (int i = 0; i < rows; i++) {
        vf f = v_all(share[i]);
        float *o = out + (size_t)i * h->ld_out + d;

        store_upto(o, v_mul(sum[i][0], f), left);
        store_upto(o + VL, v_mul(sum[i][1], f), left > VL ? left - VL : 0);
    }
}

/* What stands behind the last key gets no weight. */
MF_INLINE size_t close_row(float *s, const struct head *h, uint32_t i)
{
    size_t n_up = round_up(h->n, VL);

    if (h->bias != NULL) {
        const float *bias = h->bias - i;
        size_t j = 0;

        for (; j + VL <= h->n; j += VL) {
            v_store(s + j, v_add(v_load(s + j), v_load(bias + j)));
        }
        for (; j < h->n; j++) {
            s[j] += bias[j];
        }
    }
    for (size_t j = h->n; j < n_up; j++) {
        s[j] = -1e30F;
    }
    return n_up;
}

MF_INLINE float row_top(const float *s, size_t n_up)
{
    vf top = v_load(s);

    for (size_t j = VL; j < n_up; j += VL) {
        top = v_max(top, v_load(s + j));
    }
    return v_top(top);
}

/* Row i of the scores to weights; returns 1 / their sum. */
MF_INLINE float soften(float *s, const struct head *h, uint32_t i, const bool fast)
{
    size_t n_up = close_row(s, h, i);
    vf top = v_all(row_top(s, n_up));
    vf sum = v_zero();

    for (size_t j = 0; j < n_up; j += VL) {
        vf x = v_sub(v_load(s + j), top);
        vf e = fast ? v_exp_fast(x) : v_exp(x);

        sum = v_add(sum, e);
        v_store(s + j, e);
    }
    return 1 / v_sum(sum);
}

MF_INLINE void attend_tile(const int rows, const struct head *h, const struct room *r,
                           uint32_t i, const bool fast)
{
    const float *q = h->q + (size_t)i * h->ld;
    float share[MR];

    for (size_t j = 0; j < r->n_pad; j += PANEL) {
        score_tile(rows, h, q, r->keys + j * h->dim, r->scores + j, r->n_pad);
    }
    for (int k = 0; k < rows; k++) {
        share[k] = soften(r->scores + (size_t)k * r->n_pad, h, i + (uint32_t)k, fast);
    }
    for (uint32_t d = 0; d < h->dim; d += 2 * VL) {
        value_tile(rows, h, r, share, d, h->out + (size_t)i * h->ld_out);
    }
}

MF_INLINE void attend_rest(const struct head *h, const struct room *r, uint32_t i,
                           const bool fast)
{
    switch (h->n - i) {
#if MR > 4
    case 7: attend_tile(7, h, r, i, fast); break;
    case 6: attend_tile(6, h, r, i, fast); break;
    case 5: attend_tile(5, h, r, i, fast); break;
    case 4: attend_tile(4, h, r, i, fast); break;
#endif
    case 3: attend_tile(3, h, r, i, fast); break;
    case 2: attend_tile(2, h, r, i, fast); break;
    case 1: attend_tile(1, h, r, i, fast); break;
    default: break;
    }
}

MF_INLINE void attend(const struct mf_attention *a, void *work, const bool fast)
{
    for (uint32_t k = 0; k < a->n_heads; k++) {
        struct head h = head_of(a, k);
        struct room r = room_of(&h, work);
        uint32_t i = 0;

        pack_keys(&h, &r);
        pack_values(&h, &r);
        for (; i + MR <= h.n; i += MR) {
            attend_tile(MR, &h, &r, i, fast);
        }
        attend_rest(&h, &r, i, fast);
    }
}

MF_INLINE vf load_upto(const float *p, size_t n)
{
    return n >= VL ? v_load(p) : v_load_some(p, n);
}

/* Four sums side by side, as one would wait for itself at each step. */
MF_INLINE float row_mean(const float *x, uint32_t width)
{
    vf sum[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
    uint32_t i = 0;

    for (; i + 4 * VL <= width; i += 4 * VL) {
        MF_UNROLL
        for (int k = 0; k < 4; k++) {
            sum[k] = v_add(sum[k], v_load(x + i + (size_t)k * VL));
        }
    }
    for (; i < width; i += VL) {
        sum[0] = v_add(sum[0], load_upto(x + i, width - i));
    }
    return v_sum(v_add(v_add(sum[0], sum[1]), v_add(sum[2], sum[3]))) / (float)width;
}

MF_INLINE float row_variance(const float *x, uint32_t width, vf mean)
{
    vf sum[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
    uint32_t i = 0;

    for (; i + 4 * VL <= width; i += 4 * VL) {
        MF_UNROLL
        for (int k = 0; k < 4; k++) {
            vf d = v_sub(v_load(x + i + (size_t)k * VL), mean);

            sum[k] = v_fma(d, d, sum[k]);
        }
    }
    for (; i < width; i += VL) {
        vf d = v_sub(load_upto(x + i, width - i), mean);

        d = width - i < VL ? v_keep(d, width - i) : d;
        sum[0] = v_fma(d, d, sum[0]);
    }
    return v_sum(v_add(v_add(sum[0], sum[1]), v_add(sum[2], sum[3]))) / (float)width;
}

static inline void simd_layer_norm(float *x, size_t rows, uint32_t width,
                                   const float *g, const float *b, float eps)
{
    for (size_t r = 0; r < rows; r++, x += width) {
        vf mean = v_all(row_mean(x, width));
        vf scale = v_all(1 / sqrtf(row_variance(x, width, mean) + eps));

        for (uint32_t i = 0; i < width; i += VL) {
            size_t left = width - i;
            vf d = v_mul(v_sub(load_upto(x + i, left), mean), scale);

            store_upto(x + i, v_fma(d, load_upto(g + i, left), load_upto(b + i, left)),
                       left);
        }
    }
}

static inline void simd_add(float *dst, const float *src, size_t n)
{
    for (size_t i = 0; i < n; i += VL) {
        store_upto(dst + i, v_add(load_upto(dst + i, n - i), load_upto(src + i, n - i)),
                   n - i);
    }
}

static inline void simd_max(float *dst, const float *src, size_t n)
{
    for (size_t i = 0; i < n; i += VL) {
        store_upto(dst + i, v_max(load_upto(dst + i, n - i), load_upto(src + i, n - i)),
                   n - i);
    }
}

#endif
