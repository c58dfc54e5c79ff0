/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lock: one process a journal; says whose it is, and whether the last one closed it.
 *
 * journal.lock is locked as long as its descriptor is open (an open file description
 * lock: two openers in one process exclude each other, too) and holds the process id
 * and "running" or "closed". It is never removed: another could hold the old one.
 *
 * Owns:    the descriptor
 * Thread:  the owner's
 * Limits:  none
 * Fails:   MF_EBUSY with the other's process id, MF_ENOSPC, MF_EIO
 */
#ifndef MF_JOURNAL_LOCK_H
#define MF_JOURNAL_LOCK_H

#include "base/base.h"
#include "base/err.h"

struct mf_jlock {
    int fd;
};

/* `*was_closed`: the process before ended with mf_jlock_release(lock, true). */
MF_MUST MF_ANY int mf_jlock_take(struct mf_jlock *lock, const char *dir,
                                 bool *was_closed, struct mf_err *err);
MF_ANY void mf_jlock_release(struct mf_jlock *lock, bool is_closed);

#endif
