/* SPDX-License-Identifier: Apache-2.0 */
/*
 * known: the users, agents and sessions that a process remembers of a remote store, in
 * the journal's file: after a restart adds to them can go on while the store is away.
 * A note is one change of them on its way to a commit.
 *
 * Owns:    a note owns its bytes
 * Thread:  notes: the owner's; the file: as log.h
 * Limits:  the caller's bound of each kind
 * Fails:   MF_ENOMEM; the file: as log.h
 */
#ifndef MF_JOURNAL_KNOWN_H
#define MF_JOURNAL_KNOWN_H

#include "base/base.h"
#include "base/err.h"
#include "journal/journal.h"

#include <sqlite3.h>

struct mf_jnote {
    struct mf_link link;
    struct mf_journal_forget *asked; /* who waits for it; NULL: nobody (any more) */
    bool is_forget, with_owned;
    struct mf_journal_known what; /* slices of `bytes`; forget: kind and id only */
    struct mf_slice drop;         /* remember: the id that went for it; or empty */
    char bytes[];
};

/* NULL: no memory. */
MF_ANY struct mf_jnote *mf_jnote_remember(const struct mf_journal_known *k,
                                          struct mf_slice drop);
MF_ANY struct mf_jnote *mf_jnote_forget(unsigned kind, struct mf_slice id);

/* Leaves the `max_of_kind` remembered last, then gives them, oldest first. */
MF_MUST MF_ANY int mf_jknown_each(sqlite3 *db, size_t max_of_kind,
                                  mf_journal_known_fn each, void *arg,
                                  struct mf_err *err);

#endif
