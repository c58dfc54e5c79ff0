/* SPDX-License-Identifier: Apache-2.0 */
#include "tokenizer/model_file.h"

#include "base/log.h"
#include "base/mem.h"
#include "tokenizer/tokenizer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int read_all(int fd, const char *name, struct mf_buf *out, struct mf_err *err)
{
    size_t step = (size_t)64 << 10;

    for (;;) {
        char *to = mf_buf_reserve(out, step);
        ssize_t n = to == NULL ? 0 : read(fd, to, step);

        if (to == NULL) {
            return mf_err_set(err, MF_ENOMEM, "%s: out of memory", name);
        }
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return mf_err_set(err, MF_EIO, "%s: not readable: %s", name,
                              strerror(errno));
        }
        if (n == 0) {
            return 0;
        }
        out->n += (size_t)n;
        if (out->n > (size_t)MF_TOKENIZER_FILE_MAX) {
            return mf_err_set(err, MF_EINVAL, "%s: more than %d bytes", name,
                              MF_TOKENIZER_FILE_MAX);
        }
    }
}

int mf_model_file_read(const char *folder, const char *name, struct mf_buf *out,
                       struct mf_err *err)
{
    char path[PATH_MAX];
    int fd, rc, n = snprintf(path, sizeof(path), "%s/%s", folder, name);

    if (n < 0 || (size_t)n >= sizeof(path)) {
        return mf_err_set(err, MF_EINVAL, "%s: the folder's name is too long", name);
    }
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        return mf_err_set(err, MF_ENOTFOUND, "there is no %s", name);
    }
    if (fd < 0) {
        return mf_err_set(err, MF_EIO, "%s: not readable: %s", name, strerror(errno));
    }
    rc = read_all(fd, name, out, err);
    (void)close(fd);
    return rc;
}

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

static int parse(struct mf_model_json *j, const struct mf_buf *text)
{
    yyjson_read_err fault;

    /* Without YYJSON_READ_INSITU the text is only read. */
    j->doc = yyjson_read_opts(text->p, text->n, YYJSON_READ_NOFLAG, &seam, &fault);
    if (j->doc == NULL && fault.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION) {
        return mf_err_set(j->err, MF_ENOMEM, "%s: out of memory", j->name);
    }
    if (j->doc == NULL) {
        return mf_model_json_refuse(j, "no JSON, at byte %zu: %s", fault.pos,
                                    fault.msg);
    }
    if (!yyjson_is_obj(yyjson_doc_get_root(j->doc))) {
        yyjson_doc_free(j->doc);
        return mf_model_json_refuse(j, "must be a JSON object");
    }
    return 0;
}

int mf_model_json_open(struct mf_model_json *j, const char *folder, const char *name,
                       struct mf_err *err)
{
    struct mf_buf text;
    int rc;

    *j = (struct mf_model_json){.name = name, .err = err};
    mf_buf_init(&text);
    rc = mf_model_file_read(folder, name, &text, err);
    if (rc == 0) {
        rc = parse(j, &text);
    }
    mf_buf_fini(&text);
    return rc;
}

void mf_model_json_close(struct mf_model_json *j)
{
    yyjson_doc_free(j->doc);
}

int mf_model_json_refuse(const struct mf_model_json *j, const char *fmt, ...)
{
    char sentence[MF_ERR_MAX];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(sentence, sizeof(sentence), fmt, ap);
    va_end(ap);
    return mf_err_set(j->err, MF_EINVAL, "%s: %s", j->name, sentence);
}

static yyjson_val *get(yyjson_val *obj, const char *key)
{
    yyjson_val *v = yyjson_obj_get(obj, key);

    return yyjson_is_null(v) ? NULL : v;
}

int mf_model_json_bool(const struct mf_model_json *j, yyjson_val *obj,
                       const char *where, const char *key, bool *out)
{
    yyjson_val *v = get(obj, key);

    if (v != NULL && !yyjson_is_bool(v)) {
        return mf_model_json_refuse(j, "%s%s must be true or false", where, key);
    }
    *out = v == NULL ? *out : yyjson_get_bool(v);
    return 0;
}

int mf_model_json_u32(const struct mf_model_json *j, yyjson_val *obj, const char *where,
                      const char *key, uint32_t *out)
{
    yyjson_val *v = get(obj, key);

    if (v != NULL && (!yyjson_is_uint(v) || yyjson_get_uint(v) > UINT32_MAX)) {
        return mf_model_json_refuse(j, "%s%s must be a whole number", where, key);
    }
    *out = v == NULL ? *out : (uint32_t)yyjson_get_uint(v);
    return 0;
}

int mf_model_json_text(const struct mf_model_json *j, yyjson_val *obj,
                       const char *where, const char *key, struct mf_slice *out)
{
    yyjson_val *v = get(obj, key);

    if (v != NULL && !yyjson_is_str(v)) {
        return mf_model_json_refuse(j, "%s%s must be text", where, key);
    }
    if (v != NULL) {
        *out = mf_slice_of(yyjson_get_str(v), yyjson_get_len(v));
    }
    return 0;
}

const char *mf_model_word(struct mf_model_word *to, struct mf_slice text)
{
    return mf_log_quote(to->s, sizeof(to->s), text.p, text.n);
}
