/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/safetensors.h"

#include "jdoc/jdoc.h"
#include "weights/weights.h"

#define LENGTH_BYTES 8U
#define METADATA     "__metadata__"

static const struct mf_wtype types[] = {
    {"F32", 1, 4, MF_DTYPE_F32},    {"F16", 1, 2, MF_DTYPE_F16},
    {"BF16", 1, 2, MF_DTYPE_BF16},  {"F64", 1, 8, MF_NO_DTYPE},
    {"I64", 1, 8, MF_NO_DTYPE},     {"U64", 1, 8, MF_NO_DTYPE},
    {"I32", 1, 4, MF_NO_DTYPE},     {"U32", 1, 4, MF_NO_DTYPE},
    {"I16", 1, 2, MF_NO_DTYPE},     {"U16", 1, 2, MF_NO_DTYPE},
    {"I8", 1, 1, MF_NO_DTYPE},      {"U8", 1, 1, MF_NO_DTYPE},
    {"BOOL", 1, 1, MF_NO_DTYPE},    {"F8_E4M3", 1, 1, MF_NO_DTYPE},
    {"F8_E5M2", 1, 1, MF_NO_DTYPE},
};

/* The three members of a tensor's declaration; others are left alone. */
struct declared {
    yyjson_val *dtype, *shape, *offsets;
};

static int refuse(const struct mf_wtable *t, struct mf_slice tensor, const char *why,
                  struct mf_err *err)
{
    struct mf_shown name;

    return mf_err_set(err, MF_EINVAL, "%s: tensor %s: %s", t->file,
                      mf_shown(&name, tensor), why);
}

static int collect(const struct mf_wtable *t, struct mf_slice name, yyjson_val *v,
                   struct declared *d, struct mf_err *err)
{
    yyjson_obj_iter it;
    yyjson_val *key;

    if (!yyjson_obj_iter_init(v, &it)) {
        return refuse(t, name, "must be a JSON object", err);
    }
    while ((key = yyjson_obj_iter_next(&it)) != NULL) {
        yyjson_val **slot = yyjson_equals_str(key, "dtype")          ? &d->dtype
                            : yyjson_equals_str(key, "shape")        ? &d->shape
                            : yyjson_equals_str(key, "data_offsets") ? &d->offsets
                                                                     : NULL;

        if (slot != NULL && *slot != NULL) {
            return refuse(t, name, "declared twice", err);
        }
        if (slot != NULL) {
            *slot = yyjson_obj_iter_get_val(key);
        }
    }
    if (d->dtype == NULL || d->shape == NULL || d->offsets == NULL) {
        return refuse(t, name, "dtype, shape or data_offsets is missing", err);
    }
    return 0;
}

static int read_type(const struct mf_wtable *t, struct mf_wentry *e, yyjson_val *v,
                     struct mf_err *err)
{
    struct mf_shown name, dtype;

    if (!yyjson_is_str(v)) {
        return refuse(t, e->name, "dtype must be text", err);
    }
    for (size_t i = 0; i < mf_countof(types); i++) {
        if (yyjson_equals_str(v, types[i].name)) {
            e->type = &types[i];
            return 0;
        }
    }
    return mf_err_set(err, MF_EINVAL, "%s: tensor %s: unknown dtype %s", t->file,
                      mf_shown(&name, e->name), mf_shown(&dtype, mf_jdoc_slice(v)));
}

static int read_shape(const struct mf_wtable *t, struct mf_wentry *e, yyjson_val *v,
                      struct mf_err *err)
{
    yyjson_arr_iter it;
    yyjson_val *dim;

    if (!yyjson_is_arr(v) || yyjson_arr_size(v) > MF_WTABLE_DIMS) {
        return refuse(t, e->name, "shape must be a list of up to 8 sizes", err);
    }
    (void)yyjson_arr_iter_init(v, &it);
    while ((dim = yyjson_arr_iter_next(&it)) != NULL) {
        if (!yyjson_is_uint(dim)) {
            return refuse(t, e->name, "shape must be of whole numbers", err);
        }
        e->dim[e->n_dims++] = yyjson_get_uint(dim);
    }
    return 0;
}

static int read_offsets(const struct mf_wtable *t, struct mf_wentry *e, yyjson_val *v,
                        struct mf_err *err)
{
    yyjson_val *begin = yyjson_arr_get_first(v), *end = yyjson_arr_get_last(v);
    struct mf_shown name;
    uint64_t n;

    if (yyjson_arr_size(v) != 2 || !yyjson_is_uint(begin) || !yyjson_is_uint(end) ||
        yyjson_get_uint(end) < yyjson_get_uint(begin)) {
        return refuse(t, e->name, "data_offsets must be [begin, end], ascending", err);
    }
    e->begin = yyjson_get_uint(begin);
    n = yyjson_get_uint(end) - e->begin;
    if (n != e->n_bytes) {
        return mf_err_set(err, MF_EINVAL,
                          "%s: tensor %s: %llu bytes of data, its shape needs %llu",
                          t->file, mf_shown(&name, e->name), (unsigned long long)n,
                          (unsigned long long)e->n_bytes);
    }
    return 0;
}

static int read_tensor(struct mf_wtable *t, struct mf_wentry *e, yyjson_val *key,
                       struct mf_err *err)
{
    struct mf_slice name = mf_jdoc_slice(key);
    struct declared d = {0};
    int rc;

    e->name.p = mf_arena_strndup(&t->arena, name.p, name.n);
    if (e->name.p == NULL) {
        return mf_err_set(err, MF_ENOMEM, "%s: out of memory", t->file);
    }
    e->name.n = name.n;
    rc = collect(t, name, yyjson_obj_iter_get_val(key), &d, err);
    rc = rc < 0 ? rc : read_type(t, e, d.dtype, err);
    rc = rc < 0 ? rc : read_shape(t, e, d.shape, err);
    rc = rc < 0 ? rc : mf_wtable_size(t, e, err);
    return rc < 0 ? rc : read_offsets(t, e, d.offsets, err);
}

static int read_tensors(struct mf_wtable *t, yyjson_val *root, struct mf_err *err)
{
    yyjson_obj_iter it;
    yyjson_val *key;
    size_t n = 0;

    (void)yyjson_obj_iter_init(root, &it);
    while ((key = yyjson_obj_iter_next(&it)) != NULL) {
        int rc = yyjson_equals_str(key, METADATA)
                     ? 0
                     : read_tensor(t, &t->all[n++], key, err);

        if (rc < 0) {
            return rc;
        }
    }
    t->n = n;
    return 0;
}

/* What is behind the last tensor belongs to none: not a file that anybody wrote. */
static int check_end(const struct mf_wtable *t, struct mf_err *err)
{
    uint64_t end = 0;

    for (size_t i = 0; i < t->n; i++) {
        end = mf_max(end, t->all[i].begin + t->all[i].n_bytes);
    }
    if (end != t->data.n) {
        return mf_err_set(err, MF_EINVAL, "%s: %llu bytes behind the last tensor",
                          t->file, (unsigned long long)(t->data.n - end));
    }
    return 0;
}

static int find_header(const char *file, struct mf_slice bytes, struct mf_slice *json,
                       struct mf_err *err)
{
    uint64_t n;

    if (bytes.n < LENGTH_BYTES) {
        return mf_err_set(err, MF_EINVAL, "%s: %zu bytes: the file is cut off", file,
                          bytes.n);
    }
    n = mf_get_u64(bytes.p);
    if (n > (uint64_t)MF_WEIGHTS_HEADER_MAX) {
        return mf_err_set(err, MF_EINVAL,
                          "%s: a header of %llu bytes; at most %d can be read", file,
                          (unsigned long long)n, MF_WEIGHTS_HEADER_MAX);
    }
    if (n > bytes.n - LENGTH_BYTES) {
        return mf_err_set(
            err, MF_EINVAL,
            "%s: a header of %llu bytes ends behind the file: the file is "
            "cut off",
            file, (unsigned long long)n);
    }
    *json = mf_slice_of(bytes.p + LENGTH_BYTES, (size_t)n);
    return 0;
}

int mf_safetensors_read(struct mf_wtable *t, const char *file, struct mf_slice bytes,
                        struct mf_err *err)
{
    struct mf_slice json = MF_SLICE("");
    struct mf_jdoc j;
    int rc = find_header(file, bytes, &json, err);

    rc = rc < 0 ? rc : mf_jdoc_open(&j, file, json, err);
    if (rc < 0) {
        return rc;
    }
    rc = mf_jdoc_want_object(&j);
    if (rc < 0) {
        goto close_json;
    }
    rc = mf_wtable_init(t, file, yyjson_obj_size(j.root), err);
    if (rc < 0) {
        goto close_json;
    }
    t->data = mf_slice_of(json.p + json.n, bytes.n - LENGTH_BYTES - json.n);
    rc = read_tensors(t, j.root, err);
    rc = rc < 0 ? rc : mf_wtable_check(t, 1, err);
    rc = rc < 0 ? rc : check_end(t, err);
    if (rc < 0) {
        mf_wtable_fini(t);
    }
close_json:
    mf_jdoc_close(&j);
    return rc;
}
