/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/walcheck.h"

#include "base/mem.h"
#include "journal/logfile.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* https://www.sqlite.org/fileformat2.html, "The Write-Ahead Log" */
#define HEAD_BYTES  32
#define FRAME_BYTES 24
#define MAGIC       0x377f0682 /* the lowest bit: sums are of big-endian words */

enum { AT_MAGIC = 0, AT_PAGE = 8, AT_SALT = 16, AT_SUM = 24 };

enum { AT_FRAME_COMMIT = 4, AT_FRAME_SALT = 8, AT_FRAME_SUM = 16 };

#define SALT_BYTES 8
#define SUMMED     8 /* of a frame's head */

struct wal {
    int fd;
    unsigned char head[HEAD_BYTES];
    unsigned char *frame;
    size_t page;
    bool is_big_endian;
    uint32_t sum[2];
};

static uint32_t big32(const unsigned char *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return be32toh(v);
}

static uint32_t word(const struct wal *w, const unsigned char *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return w->is_big_endian ? be32toh(v) : le32toh(v);
}

static void add_to_sum(struct wal *w, const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i += 8) {
        w->sum[0] += word(w, p + i) + w->sum[1];
        w->sum[1] += word(w, p + i + 4) + w->sum[0];
    }
}

static bool is_sum(const struct wal *w, const unsigned char *p)
{
    return big32(p) == w->sum[0] && big32(p + 4) == w->sum[1];
}

/* Whether the frame goes on from the one before. */
static bool is_next(struct wal *w)
{
    add_to_sum(w, w->frame, SUMMED);
    add_to_sum(w, w->frame + FRAME_BYTES, w->page);
    return is_sum(w, w->frame + AT_FRAME_SUM);
}

static bool is_of_this_wal(const struct wal *w)
{
    return memcmp(w->frame + AT_FRAME_SALT, w->head + AT_SALT, SALT_BYTES) == 0;
}

static int scan(struct wal *w, const char *path, struct mf_err *err)
{
    size_t size = FRAME_BYTES + w->page, n_lost = 0;
    off_t at = HEAD_BYTES, broken_at = HEAD_BYTES;
    bool is_broken;
    ssize_t got;

    add_to_sum(w, w->head, AT_SUM);
    is_broken = !is_sum(w, w->head + AT_SUM);
    while ((got = pread(w->fd, w->frame, size, at)) == (ssize_t)size) {
        bool is_ours = is_of_this_wal(w);

        if (!is_broken && !(is_ours && is_next(w))) {
            is_broken = true;
            broken_at = at;
        }
        if (is_broken && is_ours && big32(w->frame + AT_FRAME_COMMIT) != 0) {
            n_lost++;
        }
        at += (off_t)size;
    }
    if (got < 0) {
        return mf_logfile_fail_sys(errno, "read", path, err);
    }
    if (n_lost < 2) {
        return 0;
    }
    return mf_err_set(err, MF_ECORRUPT,
                      "%s is damaged at byte %lld: %zu commits behind "
                      "it cannot be read",
                      path, (long long)broken_at, n_lost);
}

static int check(struct wal *w, const char *path, struct mf_err *err)
{
    int rc;

    if (pread(w->fd, w->head, HEAD_BYTES, 0) != HEAD_BYTES) {
        return 0; /* empty, or torn at birth */
    }
    w->page = big32(w->head + AT_PAGE);
    if ((big32(w->head + AT_MAGIC) & ~1U) != MAGIC || w->page < 512 ||
        w->page > 65536 || (w->page & (w->page - 1)) != 0) {
        return 0; /* SQLite will not read it: a head that was torn */
    }
    w->is_big_endian = (big32(w->head + AT_MAGIC) & 1) != 0;
    w->frame = mf_malloc(FRAME_BYTES + w->page);
    if (w->frame == NULL) {
        return mf_err_set(err, MF_ENOMEM, "out of memory");
    }
    rc = scan(w, path, err);
    mf_free(w->frame);
    return rc;
}

int mf_walcheck(const char *path, struct mf_err *err)
{
    struct wal w = {.fd = open(path, O_RDONLY | O_CLOEXEC)};
    int rc;

    if (w.fd < 0) {
        return errno == ENOENT ? 0 : mf_logfile_fail_sys(errno, "open", path, err);
    }
    rc = check(&w, path, err);
    (void)close(w.fd);
    return rc;
}
