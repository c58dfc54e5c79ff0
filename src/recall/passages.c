/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Passages of a long message, little-endian:
 *   0 u8 version   1 u8 0   2 u16 dim   4 u32 space   8 u32 n
 *  12 n times: u32 at, u32 n, f32 scale, dim * i8
 */
#include "recall/searchrec.h"

#include "base/err.h"
#include "recall/quant.h"

#define VERSION  1
#define HEADER   12
#define ROW_HEAD 12

int mf_passages_build(struct mf_buf *out, const struct mf_passage *p, size_t n_passages,
                      uint16_t dim, uint32_t space)
{
    size_t row_n = ROW_HEAD + (size_t)dim;
    size_t total = HEADER + n_passages * row_n;
    char *at = mf_buf_reserve(out, total);

    if (at == NULL) {
        return MF_ENOMEM;
    }
    memset(at, 0, HEADER);
    at[0] = VERSION;
    mf_put_u16(at + 2, dim);
    mf_put_u32(at + 4, space);
    mf_put_u32(at + 8, (uint32_t)n_passages);
    at += HEADER;
    for (size_t i = 0; i < n_passages; i++, at += row_n) {
        float scale = mf_quantise(p[i].vector, dim, (int8_t *)(at + ROW_HEAD));

        mf_put_u32(at, p[i].at);
        mf_put_u32(at + 4, p[i].n);
        mf_put_floats(at + 8, &scale, 1);
    }
    out->n += total;
    return 0;
}

static double score_row(const char *row, const float *q, size_t dim)
{
    const int8_t *v = (const int8_t *)(row + ROW_HEAD);
    double sum = 0;
    float scale;

    mf_get_floats(&scale, row + 8, 1);
    for (size_t i = 0; i < dim; i++) {
        sum += (double)v[i] * (double)q[i];
    }
    return sum * (double)scale;
}

static bool is_fit(struct mf_slice rec)
{
    uint64_t row_n;

    if (rec.n < HEADER || rec.p[0] != VERSION || rec.p[1] != 0) {
        return false;
    }
    row_n = ROW_HEAD + (uint64_t)mf_get_u16(rec.p + 2);
    return rec.n - HEADER == mf_get_u32(rec.p + 8) * row_n;
}

/* NaN, which a damaged scale may give, is never the best. */
static const char *best_row(struct mf_slice rec, const float *q, size_t dim,
                            size_t text_n)
{
    const char *best = NULL;
    double best_score = -INFINITY;

    for (size_t at = HEADER; at < rec.n; at += ROW_HEAD + dim) {
        const char *row = rec.p + at;
        uint64_t end = (uint64_t)mf_get_u32(row) + mf_get_u32(row + 4);
        double score = end <= text_n ? score_row(row, q, dim) : -INFINITY;

        if (score > best_score) {
            best = row;
            best_score = score;
        }
    }
    return best;
}

/* NOLINTNEXTLINE(readability-function-size): seven plain parameters, see the header */
int mf_passages_best(struct mf_slice rec, const float *q, uint16_t dim, uint32_t space,
                     size_t text_n, uint32_t *at, uint32_t *n)
{
    const char *best;

    if (!is_fit(rec)) {
        return MF_ECORRUPT;
    }
    if (mf_get_u16(rec.p + 2) != dim || mf_get_u32(rec.p + 4) != space) {
        return MF_ENOTFOUND;
    }
    best = best_row(rec, q, dim, text_n);
    if (best == NULL) {
        return MF_ENOTFOUND;
    }
    *at = mf_get_u32(best);
    *n = mf_get_u32(best + 4);
    return 0;
}
