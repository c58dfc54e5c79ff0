/* SPDX-License-Identifier: Apache-2.0 */
#include "jdoc/jdoc.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>

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

const yyjson_alc mf_jdoc_memory = {seam_malloc, seam_realloc, seam_free, NULL};

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
        if (depth > MF_JDOC_DEPTH) {
            return true;
        }
    }
    return false;
}

int mf_jdoc_open(struct mf_jdoc *j, const char *file, struct mf_slice text,
                 struct mf_err *err)
{
    yyjson_read_err fault;
    yyjson_doc *doc;

    if (is_too_deep(text)) {
        return mf_err_set(err, MF_EINVAL, "%s: JSON deeper than %d", file,
                          MF_JDOC_DEPTH);
    }
    /* Without YYJSON_READ_INSITU the text is only read. */
    doc = yyjson_read_opts((char *)(uintptr_t)text.p, text.n, YYJSON_READ_NOFLAG,
                           &mf_jdoc_memory, &fault);
    if (doc == NULL && fault.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION) {
        return mf_err_set(err, MF_ENOMEM, "%s: out of memory", file);
    }
    if (doc == NULL) {
        return mf_err_set(err, MF_EINVAL, "%s: no JSON, at byte %zu: %s", file,
                          fault.pos, fault.msg);
    }
    *j = (struct mf_jdoc){.file = file,
                          .where = "",
                          .doc = doc,
                          .root = yyjson_doc_get_root(doc),
                          .err = err};
    return 0;
}

void mf_jdoc_close(struct mf_jdoc *j)
{
    yyjson_doc_free(j->doc);
}

struct mf_jdoc mf_jdoc_inside(const struct mf_jdoc *j, yyjson_val *v, const char *where)
{
    struct mf_jdoc inside = *j;

    inside.root = v;
    inside.where = where;
    return inside;
}

int mf_jdoc_refuse(const struct mf_jdoc *j, const char *fmt, ...)
{
    char sentence[MF_ERR_MAX];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(sentence, sizeof(sentence), fmt, ap);
    va_end(ap);
    return mf_err_set(j->err, MF_EINVAL, "%s: %s", j->file, sentence);
}

int mf_jdoc_want_object(const struct mf_jdoc *j)
{
    return yyjson_is_obj(j->root) ? 0 : mf_jdoc_refuse(j, "must be a JSON object");
}

int mf_jdoc_want_list(const struct mf_jdoc *j)
{
    return yyjson_is_arr(j->root) ? 0 : mf_jdoc_refuse(j, "must be a JSON list");
}

yyjson_val *mf_jdoc_get(const struct mf_jdoc *j, const char *key)
{
    yyjson_val *v = yyjson_obj_get(j->root, key);

    return yyjson_is_null(v) ? NULL : v;
}

int mf_jdoc_bool(const struct mf_jdoc *j, const char *key, bool *out)
{
    yyjson_val *v = mf_jdoc_get(j, key);

    if (v != NULL && !yyjson_is_bool(v)) {
        return mf_jdoc_refuse(j, "%s%s must be true or false", j->where, key);
    }
    *out = v == NULL ? *out : yyjson_get_bool(v);
    return 0;
}

int mf_jdoc_u32(const struct mf_jdoc *j, const char *key, uint32_t *out)
{
    yyjson_val *v = mf_jdoc_get(j, key);

    if (v != NULL && (!yyjson_is_uint(v) || yyjson_get_uint(v) > UINT32_MAX)) {
        return mf_jdoc_refuse(j, "%s%s must be a whole number", j->where, key);
    }
    *out = v == NULL ? *out : (uint32_t)yyjson_get_uint(v);
    return 0;
}

int mf_jdoc_text(const struct mf_jdoc *j, const char *key, struct mf_slice *out)
{
    yyjson_val *v = mf_jdoc_get(j, key);

    if (v != NULL && !yyjson_is_str(v)) {
        return mf_jdoc_refuse(j, "%s%s must be text", j->where, key);
    }
    if (v != NULL) {
        *out = mf_jdoc_slice(v);
    }
    return 0;
}

int mf_jdoc_size(const struct mf_jdoc *j, const char *key, uint32_t max, uint32_t *out)
{
    yyjson_val *v = mf_jdoc_get(j, key);

    if (v == NULL && *out > 0) {
        return 0;
    }
    if (v == NULL) {
        return mf_jdoc_refuse(j, "%s%s is missing", j->where, key);
    }
    if (!yyjson_is_uint(v) || yyjson_get_uint(v) < 1 || yyjson_get_uint(v) > max) {
        return mf_jdoc_refuse(j, "%s%s must be a whole number, 1 to %u", j->where, key,
                              max);
    }
    *out = (uint32_t)yyjson_get_uint(v);
    return 0;
}

const char *mf_shown(struct mf_shown *to, struct mf_slice text)
{
    return mf_log_quote(to->s, sizeof(to->s), text.p, text.n);
}
