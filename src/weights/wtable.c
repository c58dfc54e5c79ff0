/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/wtable.h"

#include "jdoc/jdoc.h"

#include <stdlib.h>

int mf_wtable_init(struct mf_wtable *t, const char *file, size_t n, struct mf_err *err)
{
    t->file = file;
    t->data = MF_SLICE("");
    t->n = n;
    mf_arena_init(&t->arena, 4096);
    t->all = mf_calloc(n == 0 ? 1 : n, sizeof(*t->all));
    if (t->all == NULL) {
        return mf_err_set(err, MF_ENOMEM, "%s: out of memory", file);
    }
    return 0;
}

void mf_wtable_fini(struct mf_wtable *t)
{
    mf_free(t->all);
    mf_arena_fini(&t->arena);
}

static bool multiply(uint64_t *a, uint64_t b)
{
    return !__builtin_mul_overflow(*a, b, a);
}

int mf_wtable_size(const struct mf_wtable *t, struct mf_wentry *e, struct mf_err *err)
{
    uint64_t last = e->n_dims == 0 ? 1 : e->dim[e->n_dims - 1];
    uint64_t n = 1;
    struct mf_shown name;

    for (uint32_t i = 0; i < e->n_dims; i++) {
        if (!multiply(&n, e->dim[i])) {
            return mf_err_set(err, MF_EINVAL, "%s: tensor %s: its shape is too large",
                              t->file, mf_shown(&name, e->name));
        }
    }
    if (last % e->type->n_elements != 0) {
        return mf_err_set(err, MF_EINVAL,
                          "%s: tensor %s: rows of %llu, %s needs a multiple of %u",
                          t->file, mf_shown(&name, e->name), (unsigned long long)last,
                          e->type->name, e->type->n_elements);
    }
    e->n_bytes = n / e->type->n_elements;
    if (!multiply(&e->n_bytes, e->type->n_bytes)) {
        return mf_err_set(err, MF_EINVAL, "%s: tensor %s: its shape is too large",
                          t->file, mf_shown(&name, e->name));
    }
    return 0;
}

static int by_place(const void *a, const void *b)
{
    const struct mf_wentry *x = a, *y = b;

    if (x->begin != y->begin) {
        return x->begin < y->begin ? -1 : 1;
    }
    return (x->n_bytes > y->n_bytes) - (x->n_bytes < y->n_bytes);
}

static int compare(struct mf_slice a, struct mf_slice b)
{
    size_t n = mf_min(a.n, b.n);
    int order = n == 0 ? 0 : memcmp(a.p, b.p, n);

    return order != 0 ? order : (a.n > b.n) - (a.n < b.n);
}

static int by_name(const void *a, const void *b)
{
    const struct mf_wentry *x = a, *y = b;

    return compare(x->name, y->name);
}

static int check_places(struct mf_wtable *t, uint32_t align, struct mf_err *err)
{
    uint64_t at = 0;
    struct mf_shown name;

    qsort(t->all, t->n, sizeof(*t->all), by_place);
    for (size_t i = 0; i < t->n; i++) {
        const struct mf_wentry *e = &t->all[i];
        uint64_t padded = (at + align - 1) / align * align;

        if (e->begin > t->data.n || e->n_bytes > t->data.n - e->begin) {
            return mf_err_set(err, MF_EINVAL,
                              "%s: tensor %s ends behind the file: the file is cut off",
                              t->file, mf_shown(&name, e->name));
        }
        if (e->begin < padded) {
            return mf_err_set(err, MF_EINVAL,
                              "%s: tensor %s overlaps another: it begins at %llu, "
                              "expected %llu",
                              t->file, mf_shown(&name, e->name),
                              (unsigned long long)e->begin, (unsigned long long)padded);
        }
        if (e->begin > padded) {
            return mf_err_set(err, MF_EINVAL,
                              "%s: a gap before tensor %s: it begins at %llu, expected "
                              "%llu",
                              t->file, mf_shown(&name, e->name),
                              (unsigned long long)e->begin, (unsigned long long)padded);
        }
        at = e->begin + e->n_bytes;
    }
    return 0;
}

int mf_wtable_check(struct mf_wtable *t, uint32_t align, struct mf_err *err)
{
    int rc = check_places(t, align, err);
    struct mf_shown name;

    if (rc < 0) {
        return rc;
    }
    qsort(t->all, t->n, sizeof(*t->all), by_name);
    for (size_t i = 1; i < t->n; i++) {
        if (mf_slice_eq(t->all[i - 1].name, t->all[i].name)) {
            return mf_err_set(err, MF_EINVAL, "%s: tensor %s is there twice", t->file,
                              mf_shown(&name, t->all[i].name));
        }
    }
    return 0;
}

static int name_against_entry(const void *key, const void *entry)
{
    const struct mf_slice *name = key;
    const struct mf_wentry *e = entry;

    return compare(*name, e->name);
}

const struct mf_wentry *mf_wtable_find(const struct mf_wtable *t, const char *name)
{
    struct mf_slice key = mf_slice_str(name);

    return bsearch(&key, t->all, t->n, sizeof(*t->all), name_against_entry);
}
