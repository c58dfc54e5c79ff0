/* SPDX-License-Identifier: Apache-2.0 */
#include "tokenizer/model_file.h"

#include "tokenizer/tokenizer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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

int mf_model_file_open_json(struct mf_jdoc *j, const char *folder, const char *name,
                            struct mf_err *err)
{
    struct mf_buf text;
    int rc;

    mf_buf_init(&text);
    rc = mf_model_file_read(folder, name, &text, err);
    rc = rc < 0 ? rc : mf_jdoc_open(j, name, mf_slice_of(text.p, text.n), err);
    mf_buf_fini(&text);
    if (rc < 0) {
        return rc;
    }
    rc = mf_jdoc_want_object(j);
    if (rc < 0) {
        mf_jdoc_close(j);
    }
    return rc;
}
