/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

int mf_file_write_all(int fd, const void *p, size_t n)
{
    const char *at = p;

    while (n > 0) {
        ssize_t done = write(fd, at, n);

        if (done < 0 && errno != EINTR) {
            return -errno;
        }
        at += done > 0 ? done : 0;
        n -= done > 0 ? (size_t)done : 0;
    }
    return 0;
}

static int write_synced(int fd, const void *p, size_t n)
{
    int rc = mf_file_write_all(fd, p, n);

    return rc == 0 && fsync(fd) < 0 ? -errno : rc;
}

int mf_file_replace(int dir, const char *name, const void *p, size_t n)
{
    char beside[NAME_MAX + 8];
    int fd, rc;

    (void)snprintf(beside, sizeof(beside), ".%s.new", name);
    fd = openat(dir, beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) {
        return -errno;
    }
    rc = write_synced(fd, p, n);
    if (close(fd) < 0 && rc == 0) {
        rc = -errno;
    }
    if (rc == 0 && renameat(dir, beside, dir, name) < 0) {
        rc = -errno;
    }
    if (rc < 0) {
        (void)unlinkat(dir, beside, 0);
    }
    return rc;
}

void mf_hex(char *out, const void *p, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *at = p;

    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[at[i] >> 4];
        out[2 * i + 1] = digits[at[i] & 15];
    }
    out[2 * n] = '\0';
}
