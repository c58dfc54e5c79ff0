/* SPDX-License-Identifier: Apache-2.0 */
#include "recall/vecs.h"

#include "base/err.h"
#include "base/mem.h"
#include "recall/dot.h"
#include "recall/grow.h"
#include "recall/quant.h"

#include <math.h>

#define FIRST_ROWS 16
#define N_GROWING  6 /* segments of 16 .. 512 rows */

static size_t segment_rows(size_t i)
{
    return i < N_GROWING ? (size_t)FIRST_ROWS << i : MF_VECS_SEGMENT_MAX;
}

static size_t segment_first(size_t i)
{
    size_t k = mf_min(i, N_GROWING);

    return FIRST_ROWS * (((size_t)1 << k) - 1) + (i - k) * MF_VECS_SEGMENT_MAX;
}

static size_t segment_of(size_t row)
{
    size_t growing = segment_first(N_GROWING);

    if (row >= growing) {
        return N_GROWING + (row - growing) / MF_VECS_SEGMENT_MAX;
    }
    return (size_t)(63 - __builtin_clzll(row / FIRST_ROWS + 1));
}

static char *row_at(const struct mf_vecs *v, uint32_t row)
{
    size_t i = segment_of(row);

    return (char *)v->segments[i] + (row - segment_first(i)) * v->row_bytes;
}

void mf_vecs_init(struct mf_vecs *v, uint32_t space, uint16_t dim, bool is_f32)
{
    *v = (struct mf_vecs){.space = space,
                          .dim = dim,
                          .is_f32 = is_f32,
                          .row_bytes = mf_dot_row_bytes(dim, is_f32)};
}

void mf_vecs_fini(struct mf_vecs *v)
{
    for (size_t i = 0; i < v->n_segments; i++) {
        mf_aligned_free(v->segments[i]);
    }
    mf_free(v->segments);
    mf_free(v->owner);
    mf_free(v->scale);
    mf_free(v->inv_r);
    mf_free(v->free_rows);
}

static int add_segment(struct mf_vecs *v)
{
    size_t bytes = segment_rows(v->n_segments) * v->row_bytes;
    void *segment;

    if (mf_grow_array(&v->segments, &v->cap_segments, v->n_segments + 1,
                      sizeof(*v->segments)) < 0) {
        return MF_ENOMEM;
    }
    segment = mf_aligned(MF_DOT_ALIGN, bytes);
    if (segment == NULL) {
        return MF_ENOMEM;
    }
    v->segments[v->n_segments++] = segment;
    return 0;
}

int mf_vecs_reserve(struct mf_vecs *v)
{
    size_t need = v->n_rows + 1;

    if (v->n_free > 0) {
        return 0;
    }
    if (mf_grow_array(&v->owner, &v->cap_owner, need, sizeof(*v->owner)) < 0 ||
        mf_grow_array(&v->scale, &v->cap_scale, need, sizeof(*v->scale)) < 0 ||
        mf_grow_array(&v->inv_r, &v->cap_inv_r, need, sizeof(*v->inv_r)) < 0 ||
        mf_grow_array(&v->free_rows, &v->cap_free, need, sizeof(*v->free_rows)) < 0) {
        return MF_ENOMEM;
    }
    return v->n_rows < segment_first(v->n_segments) ? 0 : add_segment(v);
}

void mf_vec_write(void *row, size_t row_bytes, const struct mf_search_view *rec)
{
    memset(row, 0, row_bytes);
    if ((rec->flags & MF_SEARCH_F32) != 0) {
        mf_get_floats(row, rec->vector, rec->dim);
    } else {
        memcpy(row, rec->vector, rec->dim);
    }
}

uint32_t mf_vecs_add(struct mf_vecs *v, uint32_t owner,
                     const struct mf_search_view *rec)
{
    uint32_t row = v->n_free > 0 ? v->free_rows[--v->n_free] : (uint32_t)v->n_rows++;

    mf_vec_write(row_at(v, row), v->row_bytes, rec);
    v->owner[row] = owner;
    v->scale[row] = v->is_f32 ? 1 : rec->scale;
    v->inv_r[row] = 1;
    return row;
}

void mf_vecs_drop(struct mf_vecs *v, uint32_t row)
{
    v->owner[row] = MF_VECS_NONE;
    v->free_rows[v->n_free++] = row;
    if (v->n_free == v->n_rows) { /* a space that went out of use keeps no memory */
        mf_vecs_fini(v);
        mf_vecs_init(v, v->space, v->dim, v->is_f32);
    }
}

struct mf_vec mf_vecs_get(const struct mf_vecs *v, uint32_t row)
{
    return (struct mf_vec){row_at(v, row), v->scale[row], v->is_f32, v->dim};
}

size_t mf_vecs_bytes(const struct mf_vecs *v)
{
    return segment_first(v->n_segments) * v->row_bytes +
           v->cap_segments * sizeof(*v->segments) + v->cap_owner * sizeof(*v->owner) +
           v->cap_scale * sizeof(*v->scale) + v->cap_inv_r * sizeof(*v->inv_r) +
           v->cap_free * sizeof(*v->free_rows);
}

size_t mf_vecs_segment(const struct mf_vecs *v, size_t i, uint32_t *first)
{
    size_t at = segment_first(i);

    *first = (uint32_t)at;
    return mf_min(segment_rows(i), v->n_rows - at);
}

static double number_at(const struct mf_vec *v, size_t i)
{
    return v->is_f32 ? (double)((const float *)v->row)[i]
                     : (double)v->scale * ((const int8_t *)v->row)[i];
}

double mf_vec_dot(const struct mf_vec *a, const struct mf_vec *b)
{
    const struct mf_dot_ops *ops = mf_dot();
    size_t row_bytes = mf_dot_row_bytes(a->dim, a->is_f32);
    double sum = 0;

    if (!a->is_f32 && !b->is_f32) {
        return (double)a->scale * (double)b->scale *
               ops->pair_i8(a->row, b->row, row_bytes);
    }
    if (a->is_f32 && b->is_f32) {
        return (double)ops->pair_f32(a->row, b->row, row_bytes / sizeof(float));
    }
    for (size_t i = 0; i < a->dim; i++) {
        sum += number_at(a, i) * number_at(b, i);
    }
    return sum;
}

/* The product of v[i] with the sum of itself and twice those before it, weighted. */
static double add_one(const struct mf_vec v[5], size_t i, const double weights[5])
{
    double sum = weights[i] * mf_vec_dot(&v[i], &v[i]);

    for (size_t k = 0; k < i; k++) {
        if (v[k].row != NULL) {
            sum += 2 * weights[k] * mf_vec_dot(&v[i], &v[k]);
        }
    }
    return weights[i] * sum;
}

float mf_smooth_inv_r(const struct mf_vec v[5], double a1, double a2)
{
    const double weights[5] = {a2, a1, 1, a1, a2};
    double sum = 0;

    for (size_t i = 0; i < 5; i++) {
        sum += v[i].row != NULL ? add_one(v, i, weights) : 0;
    }
    return sum > 1e-12 ? (float)(1 / sqrt(sum)) : 1;
}
