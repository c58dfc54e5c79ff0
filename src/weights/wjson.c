/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/wjson.h"

#include "base/log.h"
#include "base/mem.h"

static void *seam_malloc(MF_UNUSED void *ctx, size_t n)
{
    return mf_malloc(n);
}

static void *seam_realloc(MF_UNUSED void *ctx, void *p, MF_UNUSED size_t old, size_t n)
{
    return mf_realloc(p, n);
}

static void seam_free(MF_UNUSED void *ctx, void *p)
{
    mf_free(p);
}

static const yyjson_alc seam = {seam_malloc, seam_realloc, seam_free, NULL};

/* Brackets outside of strings; whether they fit together is the reader's matter. */
static bool is_too_deep(struct mf_slice text)
{
    bool in_string = false;
    size_t depth = 0;

    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];

        if (in_string && c == '\\') {
            i++;
        } else if (c == '"') {
            in_string = !in_string;
        } else if (!in_string && (c == '{' || c == '[')) {
            depth++;
        } else if (!in_string && (c == '}' || c == ']') && depth > 0) {
            depth--;
        }
        if (depth > MF_WJSON_DEPTH) {
            return true;
        }
    }
    return false;
}

int mf_wjson_open(struct mf_wjson *j, const char *file, struct mf_slice text,
                  struct mf_err *err)
{
    yyjson_read_err fault;

    if (is_too_deep(text)) {
        return mf_err_set(err, MF_EINVAL, "%s: JSON deeper than %d", file,
                          MF_WJSON_DEPTH);
    }
    /* Without YYJSON_READ_INSITU the text is only read. */
    j->doc = yyjson_read_opts((char *)(uintptr_t)text.p, text.n, YYJSON_READ_NOFLAG,
                              &seam, &fault);
    if (j->doc == NULL && fault.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION) {
        return mf_err_set(err, MF_ENOMEM, "%s: out of memory", file);
    }
    if (j->doc == NULL) {
        return mf_err_set(err, MF_EINVAL, "%s: no JSON, at byte %zu: %s", file,
                          fault.pos, fault.msg);
    }
    j->file = file;
    j->root = yyjson_doc_get_root(j->doc);
    j->err = err;
    return 0;
}

void mf_wjson_close(struct mf_wjson *j)
{
    yyjson_doc_free(j->doc);
}

int mf_wjson_want_object(const struct mf_wjson *j)
{
    if (!yyjson_is_obj(j->root)) {
        return mf_err_set(j->err, MF_EINVAL, "%s: must be a JSON object", j->file);
    }
    return 0;
}

int mf_wjson_want_list(const struct mf_wjson *j)
{
    if (!yyjson_is_arr(j->root)) {
        return mf_err_set(j->err, MF_EINVAL, "%s: must be a JSON list", j->file);
    }
    return 0;
}

yyjson_val *mf_wjson_get(const struct mf_wjson *j, const char *key)
{
    yyjson_val *v = yyjson_obj_get(j->root, key);

    return yyjson_is_null(v) ? NULL : v;
}

int mf_wjson_u32(const struct mf_wjson *j, const char *key, uint32_t max, uint32_t *out)
{
    yyjson_val *v = mf_wjson_get(j, key);

    if (v == NULL && *out > 0) {
        return 0;
    }
    if (v == NULL) {
        return mf_err_set(j->err, MF_EINVAL, "%s: %s is missing", j->file, key);
    }
    if (!yyjson_is_uint(v) || yyjson_get_uint(v) < 1 || yyjson_get_uint(v) > max) {
        return mf_err_set(j->err, MF_EINVAL, "%s: %s must be a whole number, 1 to %u",
                          j->file, key, max);
    }
    *out = (uint32_t)yyjson_get_uint(v);
    return 0;
}

int mf_wjson_bool(const struct mf_wjson *j, const char *key, bool *out)
{
    yyjson_val *v = mf_wjson_get(j, key);

    if (v != NULL && !yyjson_is_bool(v)) {
        return mf_err_set(j->err, MF_EINVAL, "%s: %s must be true or false", j->file,
                          key);
    }
    *out = v == NULL ? *out : yyjson_get_bool(v);
    return 0;
}

int mf_wjson_text(const struct mf_wjson *j, const char *key, const char **out)
{
    yyjson_val *v = mf_wjson_get(j, key);

    if (v == NULL) {
        return 0;
    }
    if (!yyjson_is_str(v) || strlen(yyjson_get_str(v)) != yyjson_get_len(v)) {
        return mf_err_set(j->err, MF_EINVAL, "%s: %s must be text", j->file, key);
    }
    *out = yyjson_get_str(v);
    return 0;
}

const char *mf_shown(struct mf_shown *to, struct mf_slice text)
{
    return mf_log_quote(to->s, sizeof(to->s), text.p, text.n);
}
