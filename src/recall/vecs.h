/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vecs: the vectors of one space, size and form, row by row in segments that never
 * move, so that a scan reads memory from front to back and growth copies nothing.
 *
 * Owns:    the rows
 * Thread:  the owner's
 * Limits:  2^32 - 1 rows
 * Fails:   MF_ENOMEM from reserve; what follows a reserve does not fail
 */
#ifndef MF_RECALL_VECS_H
#define MF_RECALL_VECS_H

#include "base/base.h"
#include "recall/searchrec.h"

#define MF_VECS_NONE        UINT32_MAX
#define MF_VECS_SEGMENT_MAX 1024

struct mf_vecs {
    uint32_t space;
    uint16_t dim;
    bool is_f32;
    size_t row_bytes;
    void **segments; /* 16 rows, 32, .. 1024, 1024 .. */
    size_t n_segments, cap_segments;
    uint32_t *owner; /* of each row: the record, MF_VECS_NONE: free */
    float *scale;
    float *inv_r; /* 1 / r, see mf_smooth_inv_r */
    uint32_t *free_rows;
    size_t n_rows, n_free;
    size_t cap_owner, cap_scale, cap_inv_r, cap_free;
};

/* One stored vector: a row, or NULL for none. */
struct mf_vec {
    const void *row;
    float scale;
    bool is_f32;
    uint16_t dim;
};

MF_ANY void mf_vecs_init(struct mf_vecs *v, uint32_t space, uint16_t dim, bool is_f32);
MF_ANY void mf_vecs_fini(struct mf_vecs *v);
MF_MUST MF_ANY int mf_vecs_reserve(struct mf_vecs *v); /* room for one more row */
MF_ANY uint32_t mf_vecs_add(struct mf_vecs *v, uint32_t owner,
                            const struct mf_search_view *rec);
MF_ANY void mf_vecs_drop(struct mf_vecs *v, uint32_t row);
MF_ANY struct mf_vec mf_vecs_get(const struct mf_vecs *v, uint32_t row);
MF_ANY size_t mf_vecs_bytes(const struct mf_vecs *v);
/* Rows of segment i: how many, and the first one's number. */
MF_ANY size_t mf_vecs_segment(const struct mf_vecs *v, size_t i, uint32_t *first);

/* Writes a record's vector as a padded row. */
MF_ANY void mf_vec_write(void *row, size_t row_bytes, const struct mf_search_view *rec);
MF_ANY double mf_vec_dot(const struct mf_vec *a, const struct mf_vec *b);
/* 1 / |v[2] + a1 (v[1] + v[3]) + a2 (v[0] + v[4])|; v[2] is there, the others may be
 * NULL rows. */
MF_ANY float mf_smooth_inv_r(const struct mf_vec v[5], double a1, double a2);

#endif
