/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quarantine: a file of damaged records in the making. docs/journal-format.md draws it.
 *
 * Owns:    the descriptor of the file in the making; the list of seqs
 * Thread:  the owner's
 * Limits:  none
 * Fails:   MF_ENOSPC, MF_ENOMEM, MF_EIO
 */
#ifndef MF_JOURNAL_QUARANTINE_H
#define MF_JOURNAL_QUARANTINE_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

#define MF_QUARANTINE_NAME_MAX 64

struct mf_quarantine {
    const char *dir;
    int fd; /* -1: nothing came yet */
    uint64_t *seqs;
    size_t n, cap;
};

MF_ANY void mf_quarantine_init(struct mf_quarantine *q, const char *dir);
MF_MUST MF_ANY int mf_quarantine_add(struct mf_quarantine *q, uint64_t seq,
                                     struct mf_slice rec, struct mf_err *err);
/* Gives the file its name, journal-damaged-N.bin with N the first seq: the same damage
 * found again is the same file. `name` holds
 * MF_QUARANTINE_NAME_MAX bytes. */
MF_MUST MF_ANY int mf_quarantine_finish(struct mf_quarantine *q, char *name,
                                        struct mf_err *err);
MF_ANY void mf_quarantine_fini(struct mf_quarantine *q);

#endif
