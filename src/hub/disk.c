/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/disk.h"

#include "base/file.h"
#include "hub/find.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK 16384

static int fail(struct mf_err *err, const char *path, const char *what)
{
    int code = errno == ENOENT ? MF_ENOTFOUND : mf_code_from_errno(errno);

    return mf_err_set(err, code, "%s: %s: %s", path, what,
                      errno == ENOSPC ? "no space left on the disk"
                                      : mf_code_sentence(code));
}

static int read_all(int fd, const char *path, size_t max_bytes, struct mf_buf *out,
                    struct mf_err *err)
{
    for (;;) {
        char *at = mf_buf_reserve(out, CHUNK);
        ssize_t n = at == NULL ? 0 : read(fd, at, CHUNK);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return fail(err, path, "cannot be read");
        }
        out->n += (size_t)n;
        if (out->n > max_bytes) {
            return mf_err_set(err, MF_ETOOBIG, "%s has more than %zu bytes", path,
                              max_bytes);
        }
        if (n == 0) {
            break;
        }
    }
    return mf_buf_status(out) < 0 ? mf_err_set(err, MF_ENOMEM, "out of memory") : 0;
}

int mf_hub_read_file(int dir, const char *path, size_t max_bytes, struct mf_buf *out,
                     struct mf_err *err)
{
    int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
    int rc;

    if (fd < 0) {
        return fail(err, path, "cannot be opened");
    }
    rc = read_all(fd, path, max_bytes, out, err);
    (void)close(fd);
    return rc;
}

int mf_hub_write_file(int dir, const char *path, struct mf_slice text,
                      struct mf_err *err)
{
    int rc = mf_file_replace(dir, path, text.p, text.n);

    errno = -rc;
    return rc < 0 ? fail(err, path, "cannot be written") : 0;
}

static int remove_entry(int dir, const char *name, struct mf_err *err)
{
    struct stat st;

    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        return fail(err, name, "cannot be looked at");
    }
    if (S_ISDIR(st.st_mode)) {
        return mf_hub_remove_tree(dir, name, err);
    }
    return unlinkat(dir, name, 0) < 0 ? fail(err, name, "cannot be removed") : 0;
}

static int remove_entries(DIR *d, struct mf_err *err)
{
    struct dirent *e;
    int rc = 0;

    while (rc == 0 && (e = readdir(d)) != NULL) {
        if (!mf_slice_is(mf_slice_str(e->d_name), ".") &&
            !mf_slice_is(mf_slice_str(e->d_name), "..")) {
            rc = remove_entry(dirfd(d), e->d_name, err);
        }
    }
    return rc;
}

int mf_hub_remove_tree(int dir, const char *name, struct mf_err *err)
{
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d;
    int rc;

    if (fd < 0) {
        return errno == ENOENT ? 0 : fail(err, name, "cannot be opened");
    }
    d = fdopendir(fd);
    if (d == NULL) {
        (void)close(fd);
        return mf_err_set(err, MF_ENOMEM, "out of memory");
    }
    rc = remove_entries(d, err);
    (void)closedir(d);
    if (rc == 0 && unlinkat(dir, name, AT_REMOVEDIR) < 0) {
        rc = fail(err, name, "cannot be removed");
    }
    return rc;
}

static int make_path(const char *path, struct mf_err *err)
{
    char part[MF_HUB_PATH_MAX];
    size_t n = strlen(path);

    if (n == 0 || n >= sizeof(part)) {
        return mf_err_set(err, MF_EINVAL, "the folder's name is empty or too long");
    }
    for (size_t i = 1; i <= n; i++) {
        if (path[i] != '/' && path[i] != '\0') {
            continue;
        }
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdir(part, 0755) < 0 && errno != EEXIST) {
            return fail(err, part, "cannot be made");
        }
    }
    return 0;
}

int mf_hub_open_dir(const char *path, bool make, struct mf_err *err)
{
    int rc = make ? make_path(path, err) : 0;
    int fd;

    if (rc < 0) {
        return rc;
    }
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? fail(err, path, "cannot be opened") : fd;
}
