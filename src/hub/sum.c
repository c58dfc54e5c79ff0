/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/sum.h"

#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#define CHUNK ((size_t)256 * 1024)

static int sum_bytes(int fd, EVP_MD_CTX *ctx, char *chunk, uint64_t *bytes)
{
    *bytes = 0;
    for (;;) {
        ssize_t n = read(fd, chunk, CHUNK);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n == 0 ? 0 : mf_code_from_errno(errno);
        }
        if (EVP_DigestUpdate(ctx, chunk, (size_t)n) != 1) {
            return MF_ENOMEM;
        }
        *bytes += (uint64_t)n;
    }
}

static int sum_file(int fd, char *sha256, uint64_t *bytes)
{
    unsigned char sum[32];
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    char *chunk = mf_malloc(CHUNK);
    int rc = MF_ENOMEM;

    if (ctx != NULL && chunk != NULL &&
        EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1) {
        rc = sum_bytes(fd, ctx, chunk, bytes);
    }
    if (rc == 0 && EVP_DigestFinal_ex(ctx, sum, NULL) != 1) {
        rc = MF_ENOMEM;
    }
    if (rc == 0) {
        mf_hex(sha256, sum, sizeof(sum));
    }
    mf_free(chunk);
    EVP_MD_CTX_free(ctx);
    return rc;
}

int mf_hub_sum(int dir, const char *path, char sha256[MF_SHA256_HEX], uint64_t *bytes,
               struct mf_err *err)
{
    int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
    int rc;

    if (fd < 0 && errno == ENOENT) {
        return mf_err_set(err, MF_ENOTFOUND, "%s is missing", path);
    }
    if (fd < 0) {
        return mf_err_set(err, mf_code_from_errno(errno), "%s cannot be opened", path);
    }
    rc = sum_file(fd, sha256, bytes);
    (void)close(fd);
    return rc < 0 ? mf_err_set(err, rc, "%s cannot be read", path) : 0;
}
