/* SPDX-License-Identifier: Apache-2.0 */
#include "npu/artefact.h"

#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUM_BYTES ((size_t)32)

bool mf_npu_artefact_name_ok(struct mf_slice name)
{
    static const char known[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789._-";

    if (name.n == 0 || name.n > MF_NPU_NAME_MAX || name.p[0] == '.') {
        return false;
    }
    for (size_t i = 0; i < name.n; i++) {
        if (memchr(known, name.p[i], sizeof(known) - 1) == NULL) {
            return false;
        }
    }
    return true;
}

static int fail(struct mf_err *err, int sys, const char *name, const char *what)
{
    int code = sys == ENOENT ? MF_ENOTFOUND : mf_code_from_errno(sys);

    (void)mf_err_set(err, code, "%s: %s: %s", name, what, strerror(sys));
    if (err != NULL) {
        err->sys = sys;
    }
    return code;
}

int mf_npu_artefact_dir(const char *dir, struct mf_err *err)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 ? fail(err, errno, dir, "the folder cannot be opened") : fd;
}

/* A size that fits, of a plain file: a pipe or a device could keep us waiting. */
static int look_at(int fd, const char *name, size_t max_bytes, size_t *n,
                   struct mf_err *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0) {
        return fail(err, errno, name, "cannot be looked at");
    }
    if (!S_ISREG(st.st_mode)) {
        return mf_err_set(err, MF_EINVAL, "%s is no plain file", name);
    }
    if (st.st_size < 0 || (uint64_t)st.st_size > max_bytes) {
        return mf_err_set(err, MF_EINVAL, "%s has %lld bytes; %zu are the limit", name,
                          (long long)st.st_size, max_bytes);
    }
    *n = (size_t)st.st_size;
    return 0;
}

static int read_whole(int fd, const char *name, uint8_t *to, size_t n,
                      struct mf_err *err)
{
    size_t have = 0;

    while (have < n) {
        ssize_t got = read(fd, to + have, n - have);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return fail(err, errno, name, "cannot be read");
        }
        if (got == 0) {
            return mf_err_set(err, MF_EINVAL, "%s became shorter while it was read",
                              name);
        }
        have += (size_t)got;
    }
    return 0;
}

int mf_npu_artefact_read(int dir, const char *name, size_t max_bytes, uint8_t **out,
                         size_t *n, struct mf_err *err)
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    uint8_t *bytes = NULL;
    int rc;

    if (fd < 0) {
        return fail(err, errno, name, "cannot be opened");
    }
    rc = look_at(fd, name, max_bytes, n, err);
    if (rc == 0) {
        bytes = mf_malloc(*n + 1);
        rc = bytes == NULL ? mf_err_set(err, MF_ENOMEM, "%s: out of memory", name)
                           : read_whole(fd, name, bytes, *n, err);
    }
    (void)close(fd);
    if (rc < 0) {
        mf_free(bytes);
        return rc;
    }
    *out = bytes;
    return 0;
}

int mf_npu_artefact_write(int dir, const char *name, struct mf_slice bytes,
                          struct mf_err *err)
{
    int rc = mf_file_replace(dir, name, bytes.p, bytes.n);

    return rc < 0 ? fail(err, -rc, name, "cannot be written") : 0;
}

int mf_npu_artefact_sum(struct mf_slice bytes, char sum[MF_NPU_SUM])
{
    unsigned char raw[SUM_BYTES];

    if (EVP_Digest(bytes.p, bytes.n, raw, NULL, EVP_sha256(), NULL) != 1) {
        return MF_ENOMEM;
    }
    mf_hex(sum, raw, sizeof(raw));
    return 0;
}
