/* SPDX-License-Identifier: Apache-2.0 */
/* The text of manifest.json: every key, its kind and its bounds. */
#include "npu/artefact.h"
#include "npu/manifest_in.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define WORD_MAX    31U
#define KERNEL_MAX  63U
#define SUM_DIGITS  (MF_NPU_SUM - 1U)
#define UUID_DIGITS 32U
#define BLOCK       4096U

const char *const mf_npu_arguments[6] = {
    "opcode", "instructions", "n_instructions", "a", "b", "c"};

static const char *const dtypes[] = {
    [MF_NPU_F32] = "f32", [MF_NPU_BF16] = "bf16", [MF_NPU_I8] = "i8"};
static const char *const epilogues[] = {
    [MF_NPU_EPI_NONE] = "none", [MF_NPU_EPI_GELU] = "gelu"};
static const char *const layouts[] = {
    [MF_NPU_LAYOUT_PLAIN] = "plain", [MF_NPU_LAYOUT_TILED_8X8] = "tiled-8x8"};

/* Which of the words it is; n: none. */
static size_t word_of(struct mf_slice s, const char *const *words, size_t n)
{
    size_t i = 0;

    while (i < n && !mf_slice_is(s, words[i])) {
        i++;
    }
    return i;
}

bool mf_npu_dtype_of(struct mf_slice word, enum mf_npu_dtype *out)
{
    size_t i = word_of(word, dtypes, mf_countof(dtypes));

    *out = i < mf_countof(dtypes) ? (enum mf_npu_dtype)i : MF_NPU_F32;
    return i < mf_countof(dtypes);
}

bool mf_npu_epi_of(struct mf_slice word, enum mf_npu_epi *out)
{
    size_t i = word_of(word, epilogues, mf_countof(epilogues));

    *out = i < mf_countof(epilogues) ? (enum mf_npu_epi)i : MF_NPU_EPI_NONE;
    return i < mf_countof(epilogues);
}

const char *mf_npu_dtype_word(enum mf_npu_dtype t)
{
    return dtypes[t];
}

const char *mf_npu_epi_word(enum mf_npu_epi e)
{
    return epilogues[e];
}

int mf_npu_known_keys(const struct mf_jdoc *j, const char *const *known)
{
    yyjson_obj_iter it = yyjson_obj_iter_with(j->root);
    yyjson_val *key;

    while ((key = yyjson_obj_iter_next(&it)) != NULL) {
        struct mf_shown shown;
        const char *const *k = known;

        while (*k != NULL && !mf_slice_is(mf_jdoc_slice(key), *k)) {
            k++;
        }
        if (*k == NULL) {
            return mf_jdoc_refuse(j, "%s%s is no key that is known here", j->where,
                                  mf_shown(&shown, mf_jdoc_slice(key)));
        }
        if (yyjson_obj_get(j->root, *k) != yyjson_obj_iter_get_val(key)) {
            return mf_jdoc_refuse(j, "%s%s stands twice", j->where, *k);
        }
    }
    return 0;
}

/* ---- one key ---- */

/* A text of 1 to `max` bytes without NUL, copied; the key is needed. */
static int take_text(struct mf_npu_manifest *m, const struct mf_jdoc *j,
                     const char *key, size_t max, const char **out)
{
    struct mf_slice s = {NULL, 0};
    int rc = mf_jdoc_text(j, key, &s);

    if (rc < 0) {
        return rc;
    }
    if (s.n == 0) {
        return mf_jdoc_refuse(j, "%s%s is missing", j->where, key);
    }
    if (s.n > max || memchr(s.p, '\0', s.n) != NULL) {
        return mf_jdoc_refuse(j, "%s%s must have 1 to %zu bytes and no zero byte",
                              j->where, key, max);
    }
    *out = mf_arena_strndup(&m->arena, s.p, s.n);
    return *out == NULL ? mf_err_set(j->err, MF_ENOMEM, "%s: out of memory", j->file)
                        : 0;
}

static int take_digits(struct mf_npu_manifest *m, const struct mf_jdoc *j,
                       const char *key, size_t n, const char **out)
{
    const char *text = "";
    int rc = take_text(m, j, key, n, &text);

    if (rc < 0) {
        return rc;
    }
    if (strlen(text) != n || strspn(text, "0123456789abcdef") != n) {
        return mf_jdoc_refuse(j, "%s%s must be %zu digits, 0 to 9 and a to f", j->where,
                              key, n);
    }
    *out = text;
    return 0;
}

static int take_file(struct mf_npu_manifest *m, const struct mf_jdoc *j,
                     const char **file, const char **sha256)
{
    int rc = take_text(m, j, "file", MF_NPU_NAME_MAX, file);

    if (rc == 0 && !mf_npu_artefact_name_ok(mf_slice_str(*file))) {
        return mf_jdoc_refuse(j,
                              "%sfile must be the plain name of a file in the folder: "
                              "letters, digits, '.', '_', '-'",
                              j->where);
    }
    return rc < 0 ? rc : take_digits(m, j, "sha256", SUM_DIGITS, sha256);
}

/* One of the words; *out is its number. */
static int take_word(const struct mf_jdoc *j, const char *key, const char *const *words,
                     size_t n, size_t *out)
{
    struct mf_slice s = {NULL, 0};
    struct mf_shown shown;
    char all[64] = "";
    int rc = mf_jdoc_text(j, key, &s);

    if (rc < 0) {
        return rc;
    }
    *out = word_of(s, words, n);
    if (*out < n) {
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        size_t used = strlen(all);

        (void)snprintf(all + used, sizeof(all) - used, "%s%s", i == 0 ? "" : ", ",
                       words[i]);
    }
    return s.n == 0
               ? mf_jdoc_refuse(j, "%s%s is missing; known: %s", j->where, key, all)
               : mf_jdoc_refuse(j, "%s%s is %s; known: %s", j->where, key,
                                mf_shown(&shown, s), all);
}

/* ---- the shapes ---- */

static int take_multiple(const struct mf_jdoc *j, const char *key, uint32_t mult,
                         uint32_t *out)
{
    int rc = mf_jdoc_size(j, key, MF_NPU_MAX_DIM, out);

    if (rc == 0 && *out % mult != 0) {
        return mf_jdoc_refuse(j, "%s%s is %u, which is no multiple of %s_mult, %u",
                              j->where, key, *out, key, mult);
    }
    return rc;
}

static int take_gemm(const struct mf_npu_manifest *m, const struct mf_jdoc *j,
                     struct mf_npu_gemm *g)
{
    size_t a = 0, b = 0, c = 0, epi = 0;
    int rc = take_multiple(j, "m", m->m_mult, &g->m);

    rc = rc < 0 ? rc : take_multiple(j, "k", m->k_mult, &g->k);
    rc = rc < 0 ? rc : take_multiple(j, "n", m->n_mult, &g->n);
    rc = rc < 0 ? rc : take_word(j, "a", dtypes, mf_countof(dtypes), &a);
    rc = rc < 0 ? rc : take_word(j, "b", dtypes, mf_countof(dtypes), &b);
    rc = rc < 0 ? rc : take_word(j, "c", dtypes, mf_countof(dtypes), &c);
    rc = rc < 0 ? rc : take_word(j, "epilogue", epilogues, mf_countof(epilogues), &epi);
    g->a = (enum mf_npu_dtype)a;
    g->b = (enum mf_npu_dtype)b;
    g->c = (enum mf_npu_dtype)c;
    g->epi = (enum mf_npu_epi)epi;
    return rc;
}

static int take_shape(struct mf_npu_manifest *m, const struct mf_jdoc *j, yyjson_val *v)
{
    static const char *const known[] = {"m", "k",        "n",    "a",      "b",
                                        "c", "epilogue", "file", "sha256", NULL};
    struct mf_npu_shape *s = &m->shapes[m->n_shapes];
    const struct mf_npu_shape *same;
    struct mf_jdoc in;
    char where[32];
    int rc;

    (void)snprintf(where, sizeof(where), "shapes[%zu].", m->n_shapes);
    in = mf_jdoc_inside(j, v, where);
    if (!yyjson_is_obj(v)) {
        return mf_jdoc_refuse(j, "shapes[%zu] must be a JSON object", m->n_shapes);
    }
    *s = (struct mf_npu_shape){0};
    rc = mf_npu_known_keys(&in, known);
    rc = rc < 0 ? rc : take_gemm(m, &in, &s->gemm);
    rc = rc < 0 ? rc : take_file(m, &in, &s->file, &s->sha256);
    if (rc < 0) {
        return rc;
    }
    same = mf_npu_manifest_find(m, &s->gemm);
    if (same != NULL) {
        return mf_jdoc_refuse(j, "shapes[%zu] is the same as shapes[%zu]", m->n_shapes,
                              (size_t)(same - m->shapes));
    }
    m->n_shapes++;
    return 0;
}

static int take_shapes(struct mf_npu_manifest *m, const struct mf_jdoc *j)
{
    yyjson_val *list = mf_jdoc_get(j, "shapes"), *v;
    yyjson_arr_iter it = yyjson_arr_iter_with(list);
    size_t n = yyjson_arr_size(list);

    if (n == 0 || n > MF_NPU_MAX_SHAPES) {
        return mf_jdoc_refuse(j, "shapes must be a list of 1 to %d", MF_NPU_MAX_SHAPES);
    }
    m->shapes = mf_arena_alloc(&m->arena, n * sizeof(*m->shapes));
    if (m->shapes == NULL) {
        return mf_err_set(j->err, MF_ENOMEM, "%s: out of memory", j->file);
    }
    while ((v = yyjson_arr_iter_next(&it)) != NULL) {
        int rc = take_shape(m, j, v);

        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

/* ---- the rest ---- */

static int take_format(const struct mf_jdoc *j)
{
    uint32_t format = 0;
    int rc = mf_jdoc_size(j, "format", UINT32_MAX, &format);

    return rc < 0                    ? rc
           : format == MF_NPU_FORMAT ? 0
                                     : mf_jdoc_refuse(j,
                                                      "format is %u; this memfuse "
                                                      "knows %u only",
                                                      format, MF_NPU_FORMAT);
}

static int take_generation(struct mf_npu_manifest *m, const struct mf_jdoc *j)
{
    int rc = take_text(m, j, "generation", WORD_MAX, &m->generation);
    const char *g = m->generation;

    if (rc == 0 &&
        (strlen(g) != 4 || strncmp(g, "npu", 3) != 0 || g[3] < '1' || g[3] > '9')) {
        return mf_jdoc_refuse(j, "generation must be npu and a digit, such as npu1 "
                                 "(Phoenix) or npu4 (Strix)");
    }
    return rc;
}

static int take_kernel(struct mf_npu_manifest *m, const struct mf_jdoc *j)
{
    int rc = take_text(m, j, "kernel", KERNEL_MAX, &m->kernel);

    for (const char *c = m->kernel; rc == 0 && *c != '\0'; c++) {
        if (*c <= ' ' || *c >= 127) {
            return mf_jdoc_refuse(j, "kernel must be of printable ASCII, no blanks");
        }
    }
    return rc;
}

static int take_arguments(const struct mf_jdoc *j)
{
    yyjson_val *list = mf_jdoc_get(j, "arguments");
    bool is_good = yyjson_arr_size(list) == mf_countof(mf_npu_arguments);

    for (size_t i = 0; is_good && i < mf_countof(mf_npu_arguments); i++) {
        is_good =
            mf_slice_is(mf_jdoc_slice(yyjson_arr_get(list, i)), mf_npu_arguments[i]);
    }
    return is_good ? 0
                   : mf_jdoc_refuse(j, "arguments must be opcode, instructions, "
                                       "n_instructions, a, b, c in this order");
}

static int take_mults(struct mf_npu_manifest *m, const struct mf_jdoc *j)
{
    int rc = mf_jdoc_size(j, "m_mult", MF_NPU_MAX_DIM, &m->m_mult);

    rc = rc < 0 ? rc : mf_jdoc_size(j, "k_mult", MF_NPU_MAX_DIM, &m->k_mult);
    rc = rc < 0 ? rc : mf_jdoc_size(j, "n_mult", MF_NPU_MAX_DIM, &m->n_mult);
    if (rc == 0 && m->layout == MF_NPU_LAYOUT_TILED_8X8 &&
        (m->k_mult % 8 != 0 || m->n_mult % 8 != 0)) {
        return mf_jdoc_refuse(j, "k_mult and n_mult must be multiples of 8 when layout "
                                 "is tiled-8x8");
    }
    return rc;
}

static int take_xclbin(struct mf_npu_manifest *m, const struct mf_jdoc *j)
{
    static const char *const known[] = {"file", "sha256", "uuid", NULL};
    yyjson_val *v = mf_jdoc_get(j, "xclbin");
    struct mf_jdoc in = mf_jdoc_inside(j, v, "xclbin.");
    int rc;

    if (!yyjson_is_obj(v)) {
        return mf_jdoc_refuse(j, "xclbin must be a JSON object: file, sha256, uuid");
    }
    rc = mf_npu_known_keys(&in, known);
    rc = rc < 0 ? rc : take_file(m, &in, &m->xclbin, &m->xclbin_sha256);
    return rc < 0 ? rc : take_digits(m, &in, "uuid", UUID_DIGITS, &m->uuid);
}

static int take_root(struct mf_npu_manifest *m, const struct mf_jdoc *j)
{
    static const char *const known[] = {
        "format", "generation", "layout", "rounding", "xclbin", "kernel",   "arguments",
        "m_mult", "k_mult",     "n_mult", "shapes",   "tools",  "emulated", NULL};
    static const char *const roundings[] = {"even"};
    size_t layout = 0, rounding = 0;
    int rc = mf_jdoc_want_object(j);

    rc = rc < 0 ? rc : take_format(j); /* first: another may have other keys */
    rc = rc < 0 ? rc : mf_npu_known_keys(j, known);
    rc = rc < 0 ? rc : take_generation(m, j);
    rc = rc < 0 ? rc : take_word(j, "layout", layouts, mf_countof(layouts), &layout);
    m->layout = (enum mf_npu_layout)layout;
    rc = rc < 0 ? rc : take_word(j, "rounding", roundings, 1, &rounding);
    rc = rc < 0 ? rc : take_xclbin(m, j);
    rc = rc < 0 ? rc : take_kernel(m, j);
    rc = rc < 0 ? rc : take_arguments(j);
    rc = rc < 0 ? rc : take_mults(m, j);
    rc = rc < 0 ? rc : mf_jdoc_bool(j, "emulated", &m->is_emulated);
    if (rc == 0 && mf_jdoc_get(j, "tools") != NULL &&
        !yyjson_is_obj(mf_jdoc_get(j, "tools"))) {
        return mf_jdoc_refuse(j, "tools must be a JSON object");
    }
    return rc < 0 ? rc : take_shapes(m, j);
}

int mf_npu_manifest_parse(struct mf_npu_manifest *m, const char *dir,
                          struct mf_slice text, struct mf_err *err)
{
    struct mf_jdoc j;
    int rc = mf_jdoc_open(&j, MF_NPU_MANIFEST, text, err);

    if (rc < 0) {
        return rc;
    }
    *m = (struct mf_npu_manifest){0};
    mf_arena_init(&m->arena, BLOCK);
    m->dir = mf_arena_strndup(&m->arena, dir, strlen(dir));
    rc = m->dir == NULL ? mf_err_set(err, MF_ENOMEM, "%s: out of memory", j.file)
                        : take_root(m, &j);
    mf_jdoc_close(&j);
    if (rc < 0) {
        mf_npu_manifest_fini(m);
    }
    return rc;
}
