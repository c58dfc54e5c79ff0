/* SPDX-License-Identifier: Apache-2.0 */
#include "main/import_lines.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int mf_lines_open(struct mf_lines *l, const char *path, size_t max_line,
                  struct mf_err *err)
{
    l->max_line = max_line;
    l->number = 0;
    l->at = l->n = 0;
    mf_buf_init(&l->line);
    l->fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    return l->fd >= 0 ? 0
                      : mf_err_set(err, mf_code_from_errno(errno), "%s: %s", path,
                                   strerror(errno));
}

void mf_lines_close(struct mf_lines *l)
{
    if (l->fd > STDIN_FILENO) {
        (void)close(l->fd);
    }
    mf_buf_fini(&l->line);
}

/* More bytes: 1; 0: the end. */
static int refill(struct mf_lines *l, struct mf_err *err)
{
    ssize_t n;

    do {
        n = read(l->fd, l->read, sizeof(l->read));
    } while (n < 0 && errno == EINTR);
    l->at = 0;
    l->n = n < 0 ? 0 : (size_t)n;
    return n > 0    ? 1
           : n == 0 ? 0
                    : mf_err_set(err, MF_EIO, "line %llu cannot be read: %s",
                                 (unsigned long long)l->number, strerror(errno));
}

static void keep(struct mf_lines *l, const char *p, size_t n)
{
    l->is_too_long = l->is_too_long || l->line.n + n > l->max_line;
    if (!l->is_too_long) {
        mf_buf_add(&l->line, p, n);
    }
}

/* Up to the next LF, or the end: 1; 0: there was nothing. */
static int read_line(struct mf_lines *l, struct mf_err *err)
{
    bool is_any = false;

    l->number++;
    l->is_too_long = false;
    mf_buf_reset(&l->line);
    for (;;) {
        int rc = l->at < l->n ? 1 : refill(l, err);
        const char *from = l->read + l->at;
        const char *end;

        if (rc <= 0) {
            return rc < 0 ? rc : is_any;
        }
        is_any = true;
        end = memchr(from, '\n', l->n - l->at);
        keep(l, from, end == NULL ? l->n - l->at : (size_t)(end - from));
        l->at = end == NULL ? l->n : (size_t)(end + 1 - l->read);
        if (end != NULL) {
            return 1;
        }
    }
}

int mf_lines_next(struct mf_lines *l, struct mf_err *err)
{
    for (;;) {
        int rc = read_line(l, err);

        if (rc <= 0) {
            return rc;
        }
        if (mf_buf_status(&l->line) < 0) {
            return mf_err_set(err, MF_ENOMEM, "out of memory");
        }
        if (l->line.n > 0 && l->line.p[l->line.n - 1] == '\r') {
            l->line.n--;
        }
        if (l->line.n > 0 || l->is_too_long) {
            return 1;
        }
    }
}
