/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/quarantine.h"

#include "base/mem.h"
#include "journal/logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define NEW_NAME   "journal-damaged.new"
#define HEAD_BYTES 16 /* magic, version, count */
#define AT_COUNT   12
#define VERSION    1

static const char magic[8] = {'m', 'f', 'd', 'a', 'm', 'a', 'g', 'e'};

void mf_quarantine_init(struct mf_quarantine *q, const char *dir)
{
    *q = (struct mf_quarantine){.dir = dir, .fd = -1};
}

static int put(struct mf_quarantine *q, const void *p, size_t n, struct mf_err *err)
{
    while (n > 0) {
        ssize_t put = write(q->fd, p, n);

        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put <= 0) {
            return mf_logfile_fail_sys(put < 0 ? errno : ENOSPC, "write", NEW_NAME,
                                       err);
        }
        p = (const char *)p + put;
        n -= (size_t)put;
    }
    return 0;
}

static int begin(struct mf_quarantine *q, struct mf_err *err)
{
    char head[HEAD_BYTES] = {0};
    struct mf_path path;
    int rc = mf_logfile_path(&path, q->dir, NEW_NAME, err);

    if (rc < 0) {
        return rc;
    }
    q->fd = open(path.s, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (q->fd < 0) {
        return mf_logfile_fail_sys(errno, "create", path.s, err);
    }
    memcpy(head, magic, sizeof(magic));
    mf_put_u32(head + sizeof(magic), VERSION);
    return put(q, head, sizeof(head), err);
}

int mf_quarantine_add(struct mf_quarantine *q, uint64_t seq, struct mf_slice rec,
                      struct mf_err *err)
{
    char head[12];
    void *seqs = q->seqs;
    int rc = q->fd < 0 ? begin(q, err) : 0;

    if (rc < 0) {
        return rc;
    }
    if (mf_grow(&seqs, &q->cap, q->n + 1, sizeof(*q->seqs)) < 0) {
        return mf_err_set(err, MF_ENOMEM, "out of memory for damaged records");
    }
    q->seqs = seqs;
    q->seqs[q->n++] = seq;
    mf_put_u64(head, seq);
    mf_put_u32(head + 8, (uint32_t)rec.n);
    rc = put(q, head, sizeof(head), err);
    return rc < 0 ? rc : put(q, rec.p, rec.n, err);
}

int mf_quarantine_finish(struct mf_quarantine *q, char *name, struct mf_err *err)
{
    char count[4];
    struct mf_path from, to;
    int rc = mf_logfile_path(&from, q->dir, NEW_NAME, err);

    (void)snprintf(name, MF_QUARANTINE_NAME_MAX, "journal-damaged-%llu.bin",
                   (unsigned long long)q->seqs[0]);
    if (rc == 0) {
        rc = mf_logfile_path(&to, q->dir, name, err);
    }
    if (rc < 0) {
        return rc;
    }
    mf_put_u32(count, (uint32_t)q->n);
    if (pwrite(q->fd, count, sizeof(count), AT_COUNT) != (ssize_t)sizeof(count) ||
        fsync(q->fd) != 0 || rename(from.s, to.s) != 0) {
        return mf_logfile_fail_sys(errno, "save damaged records in", to.s, err);
    }
    return mf_logfile_sync(q->dir, err);
}

void mf_quarantine_fini(struct mf_quarantine *q)
{
    if (q->fd >= 0) {
        (void)close(q->fd);
    }
    mf_free(q->seqs);
    mf_quarantine_init(q, NULL);
}
