/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/fetch.h"

#include "base/file.h"
#include "hub/disk.h"
#include "hub/sum.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define TRIES          4
#define FIRST_PAUSE_MS 400
#define SLICE_MS       50

/* One GET with its tries; bytes go to `text` or to `fd`. */
struct fetch {
    const struct mf_hub_options *o;
    const char *file; /* for the progress; NULL: none */
    struct mf_buf *text;
    int fd;
    uint64_t done, total;
};

/* ---- what comes ---- */

static int begin_text(void *arg, uint64_t from, MF_UNUSED uint64_t total)
{
    struct fetch *f = arg;

    if (from != 0) {
        return MF_EINVAL;
    }
    mf_buf_reset(f->text);
    f->done = 0;
    return 0;
}

static int write_text(void *arg, const void *p, size_t n)
{
    struct fetch *f = arg;

    mf_buf_add(f->text, p, n);
    f->done += n;
    return mf_buf_status(f->text);
}

static int begin_file(void *arg, uint64_t from, uint64_t total)
{
    struct fetch *f = arg;

    if (ftruncate(f->fd, (off_t)from) < 0 || lseek(f->fd, (off_t)from, SEEK_SET) < 0) {
        return mf_code_from_errno(errno);
    }
    f->done = from;
    f->total = total;
    return 0;
}

static int write_file(void *arg, const void *p, size_t n)
{
    struct fetch *f = arg;
    int rc = mf_file_write_all(f->fd, p, n);

    if (rc < 0) {
        return mf_code_from_errno(-rc);
    }
    f->done += n;
    if (f->o->progress != NULL) {
        f->o->progress(f->o->arg, &(struct mf_hub_progress){.file = f->file,
                                                            .done = f->done,
                                                            .total = f->total});
    }
    return 0;
}

static bool is_stopped(void *arg)
{
    const struct fetch *f = arg;

    return f->o->is_stopped != NULL && f->o->is_stopped(f->o->arg);
}

/* ---- tries ---- */

static int pause_before(struct fetch *f, unsigned n_failed, struct mf_err *err)
{
    unsigned pause_ms = FIRST_PAUSE_MS << (n_failed - 1);

    if (f->o->retry != NULL) {
        f->o->retry(f->o->arg, err->msg, pause_ms);
    }
    for (unsigned ms = 0; ms < pause_ms; ms += SLICE_MS) {
        struct timespec slice = {.tv_nsec = SLICE_MS * 1000000L};

        if (is_stopped(f)) {
            return mf_err_set(err, MF_ECANCELED, "stopped");
        }
        (void)nanosleep(&slice, NULL);
    }
    return 0;
}

/* What failed after some bytes came has a right to all its tries again. */
static int get_patiently(struct mf_web *web, struct fetch *f, struct mf_web_get *g,
                         bool can_resume, struct mf_err *err)
{
    unsigned n_failed = 0;

    for (;;) {
        uint64_t before = f->done;
        struct mf_err why = {0};
        int rc;

        g->from = can_resume ? f->done : 0;
        rc = mf_web_get(web, g, &why);
        if (rc == MF_ECONFLICT && g->from > 0) { /* there is nothing behind our part */
            f->done = 0;
            can_resume = false;
            continue;
        }
        if (rc == 0 || (rc != MF_EUNAVAILABLE && rc != MF_ETIMEOUT)) {
            *err = why;
            return rc;
        }
        n_failed = f->done > before ? 1 : n_failed + 1;
        if (n_failed == TRIES) {
            *err = why;
            return rc;
        }
        rc = pause_before(f, n_failed, &why);
        if (rc < 0) {
            *err = why;
            return rc;
        }
    }
}

int mf_fetch_text(const struct mf_fetch_from *from, size_t max_bytes,
                  struct mf_buf *out, struct mf_err *err)
{
    struct fetch f = {.o = from->options, .text = out, .fd = -1};
    struct mf_web_get g = {.url = from->url,
                           .max_bytes = max_bytes,
                           .begin = begin_text,
                           .write = write_text,
                           .is_stopped = is_stopped,
                           .arg = &f};

    return get_patiently(from->web, &f, &g, false, err);
}

/* ---- a file ---- */

static int open_part(int dir, const char *part, uint64_t *bytes, struct mf_err *err)
{
    int fd = openat(dir, part, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
    off_t end = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);

    if (end < 0) {
        int code = mf_code_from_errno(errno);

        if (fd >= 0) {
            (void)close(fd);
        }
        return mf_err_set(err, code, "%s: %s", part, mf_code_sentence(code));
    }
    *bytes = (uint64_t)end;
    return fd;
}

/* `told`: the checksum that came with the answer, or "". */
static int fill_part(const struct mf_fetch_from *from, int fd, uint64_t bytes,
                     const struct mf_hub_file *want, char told[MF_SHA256_HEX],
                     struct mf_err *err)
{
    struct fetch f = {.o = from->options, .file = want->path, .fd = fd, .done = bytes};
    struct mf_web_get g = {.url = from->url,
                           .max_bytes = want->bytes > 0 ? want->bytes : want->max_bytes,
                           .begin = begin_file,
                           .write = write_file,
                           .is_stopped = is_stopped,
                           .arg = &f};
    int rc = 0;

    told[0] = '\0';
    if (bytes > 0 && bytes == want->bytes) {
        return 0; /* it ended between its last byte and its name */
    }
    if (bytes >= g.max_bytes) {
        f.done = 0;
    }
    rc = get_patiently(from->web, &f, &g, true, err);
    if (rc == 0 && fsync(fd) < 0) {
        rc = mf_code_from_errno(errno);
    }
    memcpy(told, g.sha256, MF_SHA256_HEX);
    return rc;
}

/* What came is not kept when it is wrong: taking up from it would never end well. */
static int judge_part(int dir, const char *part, const struct mf_hub_file *want,
                      const char *told, struct mf_manifest_file *got,
                      struct mf_err *err)
{
    const char *sum = want->sha256[0] != '\0' ? want->sha256 : told;
    int rc = mf_hub_sum(dir, part, got->sha256, &got->bytes, err);

    if (rc < 0) {
        return rc;
    }
    if (want->bytes > 0 && got->bytes != want->bytes) {
        rc = mf_err_set(err, MF_ECORRUPT,
                        "%" PRIu64 " bytes came where the hub lists %" PRIu64,
                        got->bytes, want->bytes);
    } else if (sum[0] != '\0' && strcmp(sum, got->sha256) != 0) {
        rc = mf_err_set(err, MF_ECORRUPT,
                        "its checksum is %.12s.. where the hub says %.12s..; what came "
                        "was thrown away",
                        got->sha256, sum);
    }
    if (rc < 0) {
        (void)unlinkat(dir, part, 0);
    }
    return rc;
}

int mf_fetch_file(const struct mf_fetch_from *from, int dir,
                  const struct mf_hub_file *want, struct mf_fetched *got,
                  struct mf_err *err)
{
    char part[MF_HUB_FILE_NAME_MAX + 8], told[MF_SHA256_HEX];
    uint64_t bytes = 0;
    int fd, rc;

    (void)snprintf(part, sizeof(part), "%s.part", want->path);
    (void)snprintf(got->file.path, sizeof(got->file.path), "%s", want->path);
    fd = open_part(dir, part, &bytes, err);
    if (fd < 0) {
        return fd;
    }
    rc = fill_part(from, fd, bytes, want, told, err);
    (void)close(fd);
    if (rc == 0) {
        rc = judge_part(dir, part, want, told, &got->file, err);
    }
    if (rc == 0 && renameat(dir, part, dir, want->path) < 0) {
        rc = mf_code_from_errno(errno);
    }
    got->is_compared = want->sha256[0] != '\0' || told[0] != '\0';
    return rc < 0 ? mf_err_wrap(err, rc, "%s", want->path) : 0;
}
