/* SPDX-License-Identifier: Apache-2.0 */
/* manifest.json from what lies in a folder. What is made is read again as any other
 * manifest before it is put there: one set of rules, in one place. */
#include "npu/artefact.h"
#include "npu/manifest_in.h"
#include "npu/xclbin.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SHAPES_JSON  "shapes.json"
#define INSTRUCTIONS ".insts"
#define XCLBIN       ".xclbin"
#define NAME_FORM    "gemm_M_K_N_A_B_C_EPILOGUE" INSTRUCTIONS

struct name {
    char s[MF_NPU_NAME_MAX + 1];
};

struct names {
    struct name *all; /* of instruction files */
    size_t n, cap;
    struct name xclbin; /* "" while there is none */
};

struct making {
    const char *path;
    int dir;
    struct names names;
    yyjson_mut_doc *out;
    struct mf_err *err;
};

/* ---- what lies there ---- */

static bool ends_in(struct mf_slice s, const char *end)
{
    size_t n = strlen(end);

    return s.n > n && memcmp(s.p + s.n - n, end, n) == 0;
}

static int take_name(struct making *k, const char *file)
{
    struct mf_slice s = mf_slice_str(file);
    struct names *names = &k->names;
    struct mf_shown shown;

    if (!ends_in(s, INSTRUCTIONS) && !ends_in(s, XCLBIN)) {
        return 0;
    }
    if (!mf_npu_artefact_name_ok(s)) {
        return mf_err_set(k->err, MF_EINVAL,
                          "%s: a name of letters, digits, '.', '_', '-' is needed",
                          mf_shown(&shown, s));
    }
    if (ends_in(s, XCLBIN)) {
        if (names->xclbin.s[0] != '\0') {
            return mf_err_set(k->err, MF_EINVAL,
                              "%s and %s: one xclbin holds all shapes; leave one",
                              names->xclbin.s, file);
        }
        memcpy(names->xclbin.s, file, s.n + 1);
        return 0;
    }
    if (names->n == MF_NPU_MAX_SHAPES) {
        return mf_err_set(k->err, MF_EINVAL, "more than %d files *" INSTRUCTIONS,
                          MF_NPU_MAX_SHAPES);
    }
    if (mf_grow((void **)&names->all, &names->cap, names->n + 1, sizeof(*names->all)) <
        0) {
        return mf_err_set(k->err, MF_ENOMEM, "out of memory");
    }
    memcpy(names->all[names->n++].s, file, s.n + 1);
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct name *)a)->s, ((const struct name *)b)->s);
}

static int list_folder(struct making *k)
{
    DIR *d = opendir(k->path);
    struct dirent *e;
    int rc = 0;

    if (d == NULL) {
        return mf_err_set(k->err, mf_code_from_errno(errno), "%s cannot be listed",
                          k->path);
    }
    while (rc == 0 && (e = readdir(d)) != NULL) {
        rc = take_name(k, e->d_name);
    }
    (void)closedir(d);
    if (rc == 0 && (k->names.n == 0 || k->names.xclbin.s[0] == '\0')) {
        return mf_err_set(k->err, MF_ENOTFOUND,
                          "%s has no file *%s; what makes them: tools/npu-kernels",
                          k->path, k->names.n == 0 ? INSTRUCTIONS : XCLBIN);
    }
    if (rc == 0) {
        qsort(k->names.all, k->names.n, sizeof(*k->names.all), by_name);
    }
    return rc;
}

/* ---- what is written ---- */

/* The next word of the name, up to '_' or its end. */
static struct mf_slice next_word(struct mf_slice *rest)
{
    const char *end = rest->n == 0 ? NULL : memchr(rest->p, '_', rest->n);
    struct mf_slice w = *rest;

    w.n = end == NULL ? rest->n : (size_t)(end - rest->p);
    rest->p += end == NULL ? w.n : w.n + 1;
    rest->n -= end == NULL ? w.n : w.n + 1;
    return w;
}

static bool shape_of_name(struct mf_slice rest, struct mf_npu_gemm *g)
{
    uint32_t *const dims[] = {&g->m, &g->k, &g->n};

    enum mf_npu_dtype *const types[] = {&g->a, &g->b, &g->c};

    rest.n -= strlen(INSTRUCTIONS);
    if (!mf_slice_is(next_word(&rest), "gemm")) {
        return false;
    }
    for (size_t i = 0; i < mf_countof(dims); i++) {
        uint64_t v;

        if (mf_slice_to_u64(next_word(&rest), &v) < 0 || v > MF_NPU_MAX_DIM) {
            return false;
        }
        *dims[i] = (uint32_t)v;
    }
    for (size_t i = 0; i < mf_countof(types); i++) {
        if (!mf_npu_dtype_of(next_word(&rest), types[i])) {
            return false;
        }
    }
    return mf_npu_epi_of(next_word(&rest), &g->epi) && rest.n == 0;
}

/* *out is the caller's to mf_free. */
static int read_and_sum(const struct making *k, const char *file, uint8_t **out,
                        size_t *n, char sum[MF_NPU_SUM])
{
    uint8_t *bytes = NULL;
    int rc = mf_npu_artefact_read(k->dir, file, MF_NPU_MAX_FILE, &bytes, n, k->err);

    if (rc < 0) {
        return rc;
    }
    rc = mf_npu_artefact_sum(mf_slice_of((const char *)bytes, *n), sum);
    if (rc < 0) {
        mf_free(bytes);
        return mf_err_set(k->err, rc, "%s: out of memory", file);
    }
    *out = bytes;
    return 0;
}

static int no_memory(const struct making *k)
{
    return mf_err_set(k->err, MF_ENOMEM, MF_NPU_MANIFEST ": out of memory");
}

static int put_shape(const struct making *k, const char *file, yyjson_mut_val *list)
{
    yyjson_mut_val *v = yyjson_mut_arr_add_obj(k->out, list);
    struct mf_npu_gemm g;
    char sum[MF_NPU_SUM];
    uint8_t *bytes = NULL;
    size_t n = 0;
    int rc;

    if (!shape_of_name(mf_slice_str(file), &g)) {
        return mf_err_set(k->err, MF_EINVAL,
                          "%s does not say its shape; it must be called " NAME_FORM
                          ", such as gemm_256_512_1152_bf16_bf16_f32_none.insts",
                          file);
    }
    rc = read_and_sum(k, file, &bytes, &n, sum);
    if (rc < 0) {
        return rc;
    }
    mf_free(bytes);
    return yyjson_mut_obj_add_uint(k->out, v, "m", g.m) &&
                   yyjson_mut_obj_add_uint(k->out, v, "k", g.k) &&
                   yyjson_mut_obj_add_uint(k->out, v, "n", g.n) &&
                   yyjson_mut_obj_add_str(k->out, v, "a", mf_npu_dtype_word(g.a)) &&
                   yyjson_mut_obj_add_str(k->out, v, "b", mf_npu_dtype_word(g.b)) &&
                   yyjson_mut_obj_add_str(k->out, v, "c", mf_npu_dtype_word(g.c)) &&
                   yyjson_mut_obj_add_str(k->out, v, "epilogue",
                                          mf_npu_epi_word(g.epi)) &&
                   yyjson_mut_obj_add_strcpy(k->out, v, "file", file) &&
                   yyjson_mut_obj_add_strcpy(k->out, v, "sha256", sum)
               ? 0
               : no_memory(k);
}

static int put_shapes(const struct making *k, yyjson_mut_val *root)
{
    yyjson_mut_val *list = yyjson_mut_arr(k->out);

    if (!yyjson_mut_obj_add_val(k->out, root, "shapes", list)) {
        return no_memory(k);
    }
    for (size_t i = 0; i < k->names.n; i++) {
        int rc = put_shape(k, k->names.all[i].s, list);

        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

/* By the kernel that shapes.json names: the check tells the uuid. */
static int put_xclbin(const struct making *k, const struct mf_jdoc *given,
                      yyjson_mut_val *root)
{
    const char *file = k->names.xclbin.s;
    const char *kernel = yyjson_get_str(mf_jdoc_get(given, "kernel"));
    struct mf_xclbin_info info = {0};
    char sum[MF_NPU_SUM];
    yyjson_mut_val *v;
    uint8_t *bytes = NULL;
    size_t n = 0;
    int rc;

    if (kernel == NULL) {
        return mf_jdoc_refuse(given, "kernel is missing; it is text such as MLIR_AIE");
    }
    rc = read_and_sum(k, file, &bytes, &n, sum);
    if (rc < 0) {
        return rc;
    }
    rc = mf_xclbin_check(mf_slice_of((const char *)bytes, n), kernel, &info, k->err);
    mf_free(bytes);
    if (rc < 0) {
        return mf_err_wrap(k->err, rc, "%s", file);
    }
    v = yyjson_mut_obj(k->out);
    return yyjson_mut_obj_add_val(k->out, root, "xclbin", v) &&
                   yyjson_mut_obj_add_strcpy(k->out, v, "file", file) &&
                   yyjson_mut_obj_add_strcpy(k->out, v, "sha256", sum) &&
                   yyjson_mut_obj_add_strcpy(k->out, v, "uuid", info.uuid)
               ? 0
               : no_memory(k);
}

/* What shapes.json says goes over as it is: the reader of the result judges it. */
static int put_given(const struct making *k, const struct mf_jdoc *given,
                     yyjson_mut_val *root)
{
    static const char *const known[] = {"format", "generation", "layout", "rounding",
                                        "kernel", "m_mult",     "k_mult", "n_mult",
                                        "tools",  "emulated",   NULL};
    int rc = mf_jdoc_want_object(given);

    rc = rc < 0 ? rc : mf_npu_known_keys(given, known);
    if (rc < 0) {
        return rc;
    }
    for (const char *const *key = known; *key != NULL; key++) {
        yyjson_val *v = mf_jdoc_get(given, *key);

        if (v != NULL && !yyjson_mut_obj_add_val(k->out, root, *key,
                                                 yyjson_val_mut_copy(k->out, v))) {
            return no_memory(k);
        }
    }
    return 0;
}

static int put_arguments(const struct making *k, yyjson_mut_val *root)
{
    yyjson_mut_val *list = yyjson_mut_arr(k->out);
    bool is_good = yyjson_mut_obj_add_val(k->out, root, "arguments", list);

    for (size_t i = 0; i < mf_countof(mf_npu_arguments); i++) {
        is_good = is_good && yyjson_mut_arr_add_str(k->out, list, mf_npu_arguments[i]);
    }
    return is_good ? 0 : no_memory(k);
}

static int put_all(struct making *k, const struct mf_jdoc *given)
{
    yyjson_mut_val *root = yyjson_mut_obj(k->out);
    int rc = root == NULL ? no_memory(k) : put_given(k, given, root);

    yyjson_mut_doc_set_root(k->out, root);
    rc = rc < 0 ? rc : put_xclbin(k, given, root);
    rc = rc < 0 ? rc : put_arguments(k, root);
    return rc < 0 ? rc : put_shapes(k, root);
}

/* ---- and read again ---- */

static int check_text(const struct making *k, struct mf_slice text)
{
    struct mf_npu_manifest m;
    int rc = mf_npu_manifest_parse(&m, k->path, text, k->err);

    if (rc < 0) {
        return mf_err_wrap(k->err, rc,
                           "what " SHAPES_JSON " and the files' names give");
    }
    rc = mf_npu_manifest_check(&m, k->err);
    mf_npu_manifest_fini(&m);
    return rc;
}

static int write_checked(const struct making *k)
{
    size_t n = 0;
    char *text = yyjson_mut_write_opts(
        k->out, YYJSON_WRITE_PRETTY_TWO_SPACES | YYJSON_WRITE_NEWLINE_AT_END,
        &mf_jdoc_memory, &n, NULL);
    int rc;

    if (text == NULL) {
        return no_memory(k);
    }
    rc = check_text(k, mf_slice_of(text, n));
    rc = rc < 0 ? rc
                : mf_npu_artefact_write(k->dir, MF_NPU_MANIFEST, mf_slice_of(text, n),
                                        k->err);
    mf_free(text);
    return rc;
}

static int make_from(struct making *k, struct mf_slice given_text)
{
    struct mf_jdoc given;
    int rc = mf_jdoc_open(&given, SHAPES_JSON, given_text, k->err);

    if (rc < 0) {
        return rc;
    }
    k->out = yyjson_mut_doc_new(&mf_jdoc_memory);
    rc = k->out == NULL ? no_memory(k) : put_all(k, &given);
    rc = rc < 0 ? rc : write_checked(k);
    yyjson_mut_doc_free(k->out);
    mf_jdoc_close(&given);
    return rc;
}

int mf_npu_manifest_make(const char *path, struct mf_err *err)
{
    struct making k = {.path = path, .err = err};
    uint8_t *text = NULL;
    size_t n = 0;
    int rc;

    k.dir = mf_npu_artefact_dir(path, err);
    if (k.dir < 0) {
        return k.dir;
    }
    rc = list_folder(&k);
    rc = rc < 0 ? rc
                : mf_npu_artefact_read(k.dir, SHAPES_JSON, MF_NPU_MANIFEST_MAX, &text,
                                       &n, err);
    if (rc == 0) {
        rc = make_from(&k, mf_slice_of((const char *)text, n));
        mf_free(text);
    }
    mf_free(k.names.all);
    (void)close(k.dir);
    return rc;
}
