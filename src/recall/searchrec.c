/* SPDX-License-Identifier: Apache-2.0 */
#include "recall/searchrec.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/wallclock.h"
#include "recall/quant.h"
#include "recall/question.h"

#include <math.h>
#include <stdlib.h>

#define VERSION   1
#define HEADER    24
#define ALL_FLAGS 15
#define FEW       32 /* terms sorted by insertion */

static int compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static void sort_hashes(uint32_t *h, size_t n)
{
    if (n > FEW) {
        qsort(h, n, sizeof(*h), compare_u32);
        return;
    }
    for (size_t i = 1; i < n; i++) {
        uint32_t x = h[i];
        size_t k = i;

        for (; k > 0 && h[k - 1] > x; k--) {
            h[k] = h[k - 1];
        }
        h[k] = x;
    }
}

static size_t count_distinct(const uint32_t *h, size_t n)
{
    size_t n_distinct = 0;

    for (size_t i = 0; i < n; i++) {
        n_distinct += i == 0 || h[i] != h[i - 1];
    }
    return n_distinct;
}

static void write_terms(char *hashes, size_t n_distinct, const uint32_t *h, size_t n)
{
    uint8_t *counts = (uint8_t *)hashes + 4 * n_distinct;
    size_t at = 0;

    for (size_t i = 0; i < n; at++) {
        size_t same = 1;

        while (i + same < n && h[i + same] == h[i]) {
            same++;
        }
        mf_put_u32(hashes + 4 * at, h[i]);
        counts[at] = (uint8_t)mf_min(same, 255);
        i += same;
    }
}

/* Header fields of `v` and room for the rest; where the terms go, or NULL. */
static char *add_header(struct mf_buf *out, const struct mf_search_view *v,
                        const float *vector)
{
    bool as_f32 = (v->flags & MF_SEARCH_F32) != 0;
    size_t vector_n = (size_t)v->dim * (as_f32 ? sizeof(float) : 1);
    size_t total = HEADER + vector_n + 5 * (size_t)v->n_distinct;
    char *at = mf_buf_reserve(out, total);
    float scale = 1;

    if (at == NULL) {
        return NULL;
    }
    if (v->dim > 0 && !as_f32) {
        scale = mf_quantise(vector, v->dim, (int8_t *)(at + HEADER));
    } else if (v->dim > 0) {
        mf_put_floats(at + HEADER, vector, v->dim);
    }
    at[0] = VERSION;
    at[1] = (char)v->flags;
    at[2] = (char)v->role;
    at[3] = (char)v->month;
    mf_put_u16(at + 4, v->year);
    mf_put_u16(at + 6, v->dim);
    mf_put_u32(at + 8, v->n_terms);
    mf_put_u32(at + 12, v->n_distinct);
    mf_put_u32(at + 16, v->dim > 0 ? v->space : 0);
    mf_put_floats(at + 20, &scale, 1);
    out->n += total;
    return at + HEADER + vector_n;
}

static bool is_fit_vector(const float *v, size_t dim)
{
    double sum = 0;

    for (size_t i = 0; i < dim; i++) {
        sum += (double)v[i] * (double)v[i];
    }
    return dim <= MF_SEARCH_MAX_DIM && mf_is_unit(sum);
}

static int set_vector(struct mf_search_view *v, const float *vector, uint16_t dim,
                      uint32_t space, bool as_f32)
{
    v->flags &= (uint8_t)~MF_SEARCH_F32;
    v->dim = 0;
    v->space = 0;
    if (vector == NULL || dim == 0) {
        return 0;
    }
    if (!is_fit_vector(vector, dim)) {
        return MF_EINVAL;
    }
    v->flags |= as_f32 ? MF_SEARCH_F32 : 0;
    v->dim = dim;
    v->space = space;
    return 0;
}

static void set_date(struct mf_search_view *v, int64_t created_us)
{
    int year;
    int month;

    mf_wallclock_year_month(created_us, &year, &month);
    if (year >= 1 && year <= UINT16_MAX) {
        v->year = (uint16_t)year;
        v->month = (uint8_t)month;
    }
}

static int hash_terms(struct mf_terms *terms, struct mf_slice text, uint32_t **hashes,
                      size_t *n)
{
    const struct mf_slice *stems;
    int rc = mf_terms_of(terms, text, &stems, n);
    uint32_t *h;

    if (rc < 0) {
        return rc;
    }
    h = mf_array(*n + 1, sizeof(*h));
    if (h == NULL) {
        return MF_ENOMEM;
    }
    for (size_t i = 0; i < *n; i++) {
        h[i] = mf_term_hash(stems[i].p, stems[i].n);
    }
    sort_hashes(h, *n);
    *hashes = h;
    return 0;
}

int mf_search_build(struct mf_buf *out, struct mf_terms *terms,
                    const struct mf_search_input *in)
{
    struct mf_search_view v = {
        .flags = mf_text_flags(in->text),
        .role = in->is_knowledge ? 0 : (uint8_t)in->role,
    };
    uint32_t *hashes;
    size_t n;
    char *at;
    int rc = set_vector(&v, in->vector, in->dim, in->space, in->as_f32);

    if (rc < 0) {
        return rc;
    }
    rc = hash_terms(terms, in->text, &hashes, &n);
    if (rc < 0) {
        return rc;
    }
    v.flags |= in->is_knowledge ? MF_SEARCH_KNOWLEDGE : 0;
    v.n_terms = (uint32_t)n;
    v.n_distinct = (uint32_t)count_distinct(hashes, n);
    set_date(&v, in->created_us);
    at = add_header(out, &v, in->vector);
    if (at != NULL) {
        write_terms(at, v.n_distinct, hashes, n);
    }
    mf_free(hashes);
    return mf_buf_status(out);
}

int mf_search_rebuild(struct mf_buf *out, const struct mf_search_view *v,
                      const float *vector, uint16_t dim, uint32_t space, bool as_f32)
{
    struct mf_search_view changed = *v;
    int rc = set_vector(&changed, vector, dim, space, as_f32);
    char *at;

    if (rc < 0) {
        return rc;
    }
    at = add_header(out, &changed, vector);
    if (at != NULL && v->n_distinct > 0) {
        memcpy(at, v->hashes, 4 * (size_t)v->n_distinct);
        memcpy(at + 4 * (size_t)v->n_distinct, v->counts, v->n_distinct);
    }
    return mf_buf_status(out);
}

static bool are_fit_terms(const struct mf_search_view *v)
{
    uint64_t total = 0;
    bool is_full = false; /* a count that may stand for more */
    uint32_t last = 0;

    for (uint32_t i = 0; i < v->n_distinct; i++) {
        uint32_t hash = mf_get_u32(v->hashes + 4 * (size_t)i);

        if ((i > 0 && hash <= last) || v->counts[i] == 0) {
            return false;
        }
        last = hash;
        total += v->counts[i];
        is_full = is_full || v->counts[i] == 255;
    }
    return total == v->n_terms || (is_full && total < v->n_terms);
}

static bool is_fit_header(const struct mf_search_view *v, const char *p)
{
    return p[0] == VERSION && (v->flags & ~ALL_FLAGS) == 0 &&
           v->role < MF_MSG_ROLE_COUNT && v->month <= 12 &&
           v->dim <= MF_SEARCH_MAX_DIM && isfinite(v->scale);
}

int mf_search_view(struct mf_slice rec, struct mf_search_view *v)
{
    const char *p = rec.p;
    size_t vector_n;

    if (rec.n < HEADER) {
        return MF_ECORRUPT;
    }
    *v = (struct mf_search_view){.flags = (uint8_t)p[1],
                                 .role = (uint8_t)p[2],
                                 .month = (uint8_t)p[3],
                                 .year = mf_get_u16(p + 4),
                                 .dim = mf_get_u16(p + 6),
                                 .n_terms = mf_get_u32(p + 8),
                                 .n_distinct = mf_get_u32(p + 12),
                                 .space = mf_get_u32(p + 16)};
    mf_get_floats(&v->scale, p + 20, 1);
    if (!is_fit_header(v, p)) {
        return MF_ECORRUPT;
    }
    vector_n = (size_t)v->dim * ((v->flags & MF_SEARCH_F32) != 0 ? sizeof(float) : 1);
    if (rec.n != HEADER + vector_n + 5 * (size_t)v->n_distinct) {
        return MF_ECORRUPT;
    }
    v->vector = v->dim > 0 ? p + HEADER : NULL;
    v->hashes = (const uint8_t *)p + HEADER + vector_n;
    v->counts = v->hashes + 4 * (size_t)v->n_distinct;
    if (!are_fit_terms(v) || (v->dim > 0 && !mf_is_stored_unit(mf_stored_square(
                                                v->vector, v->dim, v->scale,
                                                (v->flags & MF_SEARCH_F32) != 0)))) {
        return MF_ECORRUPT;
    }
    return 0;
}
