/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/wfile.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

static int join(char *path, const char *folder, const char *name)
{
    const char *slash = *folder == '\0' || *name == '\0' ? "" : "/";
    int n = snprintf(path, PATH_MAX, "%s%s%s", folder, slash, name);

    return n < 0 || n >= PATH_MAX ? MF_EINVAL : 0;
}

static int failed(struct mf_err *err, const char *name, const char *what)
{
    int sys = errno;
    int code = sys == ENOENT || sys == ENOTDIR ? MF_ENOTFOUND
               : sys == ENOMEM                 ? MF_ENOMEM
                                               : MF_EIO;

    code = mf_err_set(err, code, "%s: cannot be %s: %s", name, what, strerror(sys));
    if (err != NULL) {
        err->sys = sys;
    }
    return code;
}

static int map(struct mf_wfile *f, int fd, const char *name, uint64_t max,
               struct mf_err *err)
{
    struct stat st;
    void *p;

    if (fstat(fd, &st) != 0) {
        return failed(err, name, "looked at");
    }
    if (!S_ISREG(st.st_mode)) {
        return mf_err_set(err, MF_EINVAL, "%s: is no regular file", name);
    }
    if ((uint64_t)st.st_size > max) {
        return mf_err_set(err, MF_EINVAL, "%s: %lld bytes; at most %llu can be read",
                          name, (long long)st.st_size, (unsigned long long)max);
    }
    if (st.st_size == 0) {
        f->bytes = MF_SLICE("");
        return 0;
    }
    p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED) {
        return failed(err, name, "mapped");
    }
    f->bytes = mf_slice_of(p, (size_t)st.st_size);
    return 0;
}

int mf_wfile_open(struct mf_wfile *f, const char *folder, const char *name,
                  uint64_t max, struct mf_err *err)
{
    char path[PATH_MAX];
    int fd, rc;

    if (join(path, folder, name) != 0) {
        return mf_err_set(err, MF_EINVAL, "%s: the path is too long", name);
    }
    /* Not to hang on a pipe of that name. */
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return failed(err, name, "opened");
    }
    rc = map(f, fd, name, max, err);
    (void)close(fd);
    return rc;
}

void mf_wfile_close(struct mf_wfile *f)
{
    if (f->bytes.n > 0) {
        (void)munmap((void *)(uintptr_t)f->bytes.p, f->bytes.n);
    }
    f->bytes = MF_SLICE("");
}

bool mf_wfile_is_there(const char *folder, const char *name)
{
    char path[PATH_MAX];
    struct stat st;

    return join(path, folder, name) == 0 && stat(path, &st) == 0;
}

int mf_wfile_digest(const struct mf_wfile *f, char *hex, struct mf_err *err)
{
    uint8_t md[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    /* The whole file is read now, from its beginning to its end. */
    (void)madvise((void *)(uintptr_t)f->bytes.p, f->bytes.n, MADV_WILLNEED);
    if (EVP_Digest(f->bytes.p, f->bytes.n, md, &n, EVP_sha256(), NULL) != 1) {
        return mf_err_set(err, MF_ENOMEM, "the SHA-256 could not be computed");
    }
    mf_hex(hex, md, n);
    return 0;
}
