/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/lock.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* "<process id> <state>\n", filled up with blanks: overwriting takes no room. */
#define NOTE_BYTES 32
#define RUNNING    "running"
#define CLOSED     "closed"

static int write_note(int fd, const char *state)
{
    char text[NOTE_BYTES];
    char note[NOTE_BYTES];
    int n = snprintf(text, sizeof(text), "%ld %s", (long)getpid(), state);

    MF_ASSERT(n > 0 && (size_t)n < sizeof(note));
    memset(note, ' ', sizeof(note));
    memcpy(note, text, (size_t)n);
    note[sizeof(note) - 1] = '\n';
    if (pwrite(fd, note, sizeof(note), 0) != (ssize_t)sizeof(note)) {
        return -1;
    }
    return fdatasync(fd);
}

/* Whether the note says `state`; then also who wrote it. */
static bool note_says(int fd, const char *state, long *pid)
{
    char note[NOTE_BYTES + 1] = {0};
    char *end;

    if (pread(fd, note, NOTE_BYTES, 0) != NOTE_BYTES) {
        return false;
    }
    *pid = strtol(note, &end, 10);
    return end != note && *end == ' ' && strncmp(end + 1, state, strlen(state)) == 0;
}

static int refuse(int fd, const char *dir, struct mf_err *err)
{
    long pid;

    /* Who has just taken the lock has not said so yet: then nobody is named. */
    if (note_says(fd, RUNNING, &pid)) {
        return mf_err_set(err, MF_EBUSY, "journal in %s is in use by process %ld", dir,
                          pid);
    }
    return mf_err_set(err, MF_EBUSY, "journal in %s is in use by another process", dir);
}

static int fail(struct mf_err *err, const char *what, const char *path)
{
    int sys = errno;
    int rc = mf_code_from_errno(sys) == MF_ENOSPC ? MF_ENOSPC : MF_EIO;

    (void)mf_err_set(err, rc, "cannot %s %s: %s", what, path, strerror(sys));
    if (err != NULL) {
        err->sys = sys;
    }
    return rc;
}

static int take(int fd, const char *dir, const char *path, struct mf_err *err)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    if (fcntl(fd, F_OFD_SETLK, &whole) == 0) {
        return 0;
    }
    if (errno == EAGAIN || errno == EACCES) {
        return refuse(fd, dir, err);
    }
    return fail(err, "lock", path);
}

int mf_jlock_take(struct mf_jlock *lock, const char *dir, bool *was_closed,
                  struct mf_err *err)
{
    char path[PATH_MAX];
    long pid;
    int rc;

    if (snprintf(path, sizeof(path), "%s/journal.lock", dir) >= (int)sizeof(path)) {
        return mf_err_set(err, MF_EINVAL, "data.dir is longer than %d bytes",
                          PATH_MAX - 64);
    }
    lock->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock->fd < 0) {
        return fail(err, "open", path);
    }
    rc = take(lock->fd, dir, path, err);
    if (rc < 0) {
        goto close_file;
    }
    *was_closed = note_says(lock->fd, CLOSED, &pid);
    /* On disk before anything else is: no power cut may leave "closed" beside work. */
    if (write_note(lock->fd, RUNNING) != 0) {
        rc = fail(err, "write", path);
        goto close_file;
    }
    return 0;

close_file:
    (void)close(lock->fd);
    lock->fd = -1;
    return rc;
}

void mf_jlock_release(struct mf_jlock *lock, bool is_closed)
{
    if (lock->fd < 0) {
        return;
    }
    /* Without the note the next start only looks more closely. */
    if (is_closed && write_note(lock->fd, CLOSED) != 0) {
        mf_log_warn("journal_lock_note", "sys=%d", errno);
    }
    (void)close(lock->fd);
    lock->fd = -1;
}
