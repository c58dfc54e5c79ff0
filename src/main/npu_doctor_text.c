/* SPDX-License-Identifier: Apache-2.0 */
/* The doctor's lines, and how it reads files. */
#include "main/npu_doctor.h"

#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void mf_doctor_init(struct mf_doctor *d, const struct mf_doctor_paths *paths)
{
    *d = (struct mf_doctor){.paths = *paths};
    mf_buf_init(&d->out);
}

void mf_doctor_fini(struct mf_doctor *d)
{
    mf_buf_fini(&d->out);
}

void mf_doctor_say(struct mf_doctor *d, enum mf_doctor_mark mark, const char *what,
                   const char *fmt, ...)
{
    static const char *const marks[] = {
        [MF_DOCTOR_OK] = "ok", [MF_DOCTOR_BAD] = "bad", [MF_DOCTOR_UNKNOWN] = "?"};
    char line[1024];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    d->n_bad += mark == MF_DOCTOR_BAD;
    mf_buf_addf(&d->out, "%-3s  %-9s  %s\n", marks[mark], what, line);
}

static int read_on(int fd, struct mf_buf *to)
{
    while (to->n < MF_DOCTOR_MAX_FILE) {
        char *at = mf_buf_reserve(to, 8192); /* the kernel's log wants a whole record */
        ssize_t n = at == NULL ? 0 : read(fd, at, 8192);

        if (at == NULL) {
            return MF_ENOMEM;
        }
        if (n == 0 || (n < 0 && errno == EAGAIN)) {
            break;
        }
        if (n < 0 && errno != EPIPE && errno != EINTR) { /* EPIPE: it was overwritten */
            return mf_code_from_errno(errno);
        }
        to->n += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

int mf_doctor_read(const struct mf_doctor *d, const char *path, struct mf_buf *to)
{
    char full[MF_DOCTOR_PATH];
    int fd, rc;

    (void)snprintf(full, sizeof(full), "%s%s", d->paths.root, path);
    fd = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return mf_code_from_errno(errno);
    }
    rc = read_on(fd, to);
    (void)close(fd);
    return rc;
}

void mf_doctor_line(const struct mf_doctor *d, const char *path, char *out, size_t n)
{
    struct mf_buf text;
    struct mf_slice rest, line;

    out[0] = '\0';
    mf_buf_init(&text);
    if (mf_doctor_read(d, path, &text) == 0) {
        rest = mf_slice_of(text.p, text.n);
        if (mf_doctor_next_line(&rest, &line)) {
            line = mf_slice_trim(line);
            (void)snprintf(out, n, "%.*s", (int)line.n, line.n > 0 ? line.p : "");
        }
    }
    mf_buf_fini(&text);
}

bool mf_doctor_next_line(struct mf_slice *rest, struct mf_slice *line)
{
    const char *end = rest->n == 0 ? NULL : memchr(rest->p, '\n', rest->n);
    size_t n = end == NULL ? rest->n : (size_t)(end - rest->p);

    if (rest->n == 0) {
        return false;
    }
    *line = mf_slice_of(rest->p, n);
    n += end != NULL;
    *rest = mf_slice_of(rest->p + n, rest->n - n);
    return true;
}

bool mf_doctor_version(const char *s, unsigned *major, unsigned *minor)
{
    char *end, *last;
    unsigned long a = strtoul(s, &end, 10), b;

    if (end == s || *end != '.') {
        return false;
    }
    b = strtoul(end + 1, &last, 10);
    *major = (unsigned)a;
    *minor = (unsigned)b;
    return last != end + 1 && a <= 9999 && b <= 9999;
}
