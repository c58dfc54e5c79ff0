/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal: a SQLite WAL log of accepted rounds: append, group commit, erase, park,
 * replay.
 *
 * One connection makes every write and checkpoint (locking_mode EXCLUSIVE: a second
 * process is refused with the first one's pid), on a lane of one. What one loop turn
 * appended and erased becomes one transaction; while it runs, the next gathers: one
 * commit in flight. `done` comes after the commit that holds the round returned.
 *
 * A disk that is full fails the rounds of that commit with MF_ENOSPC; the journal tries
 * again by itself and recovers (mf_journal_is_full). A failed fsync or write is fatal
 * for the handle: no further commit, all waiting rounds fail with MF_EFATAL, `fatal` is
 * called once; the process must end and start anew (PostgreSQL's lesson of 2018).
 *
 * Owns:    journal.db, its WAL and lock in the folder; a reference to each appended
 *          item until its done
 * Thread:  loop; open and replay on the loop's thread, before the loop runs
 * Limits:  max_bytes of rounds not yet erased: then MF_EBUSY from append
 * Fails:   MF_EBUSY, MF_ENOSPC, MF_EFATAL, MF_ECLOSED; open: MF_EBUSY (locked),
 *          MF_ECORRUPT (damaged: the sentence says what was saved where), MF_EIO
 */
#ifndef MF_JOURNAL_JOURNAL_H
#define MF_JOURNAL_JOURNAL_H

#include "base/base.h"
#include "base/err.h"
#include "base/list.h"
#include "item/item.h"
#include "loop/loop.h"

struct mf_journal;

struct mf_journal_config {
    const char *dir;
    uint64_t max_bytes;      /* journal.max_bytes */
    uint64_t min_free_bytes; /* journal.min_free: below it append answers MF_ENOSPC */
    unsigned max_commit_rounds; /* journal.max_commit_rounds */
    size_t max_commit_bytes;
    unsigned checkpoint_pages; /* PASSIVE/RESTART in steps, on the worker */
    bool accept_loss; /* --set journal.accept_loss=true: go on without records that are
                         damaged */
};

typedef void (*mf_journal_fatal_fn)(const struct mf_err *err, void *arg); /* loop */

MF_MUST MF_ANY int mf_journal_open(struct mf_journal **out, struct mf_loop *l,
                                   const struct mf_journal_config *cfg,
                                   mf_journal_fatal_fn fatal, void *arg,
                                   struct mf_err *err);

/* Calls `each` for every round that is not erased, by ascending seq, with a reference
 * for the callee (parked ones with their reason, else NULL). Before the loop runs. A
 * non-zero answer ends the replay and is returned. */
typedef int (*mf_journal_replay_fn)(struct mf_item *it, const char *parked_reason,
                                    void *arg);
MF_MUST MF_ANY int mf_journal_replay(struct mf_journal *j, mf_journal_replay_fn each,
                                     void *arg, struct mf_err *err);
/* Above every order number this journal ever held (seq + i of each message i; kept when
 * rounds are erased). At least 1. */
MF_ANY uint64_t mf_journal_next_seq(const struct mf_journal *j);

/* `done` is called once, on the loop, never before append returned. */
struct mf_journal_append {
    struct mf_item *item; /* seq is set, greater than any before */
    void (*done)(struct mf_journal_append *a, int rc);
    struct mf_link link; /* zeroed */
    /* the journal's own */
    size_t bytes;
    int rc;
};

/* On an error nothing happened: MF_EBUSY (max_bytes), MF_ENOSPC, MF_ETOOBIG (no record
 * or no journal of max_bytes can hold it), MF_EFATAL, MF_ECLOSED. */
MF_MUST MF_LOOP int mf_journal_append(struct mf_journal *j,
                                      struct mf_journal_append *a);

/* Rounds the store confirmed. `done` (may be NULL) after the erasing commit: only then
 * can a crash not bring them back. */
struct mf_journal_erase {
    const uint64_t *seqs; /* the caller's until done */
    size_t n;
    void (*done)(struct mf_journal_erase *e, int rc);
    struct mf_link link; /* zeroed */
    /* the journal's own */
    size_t at, sealed;
    int rc;
};

/* Only rounds whose append is done. A seq that is not there is no error. */
MF_LOOP void mf_journal_erase(struct mf_journal *j, struct mf_journal_erase *e);

/* Dead letters: the round stays in the journal, marked, with its reason. unpark
 * (reason NULL) makes it an ordinary one again. */
struct mf_journal_park {
    uint64_t seq;
    const char *reason;                              /* copied */
    void (*done)(struct mf_journal_park *p, int rc); /* MF_ENOTFOUND: no such round */
    struct mf_link link;                             /* zeroed */
    /* the journal's own */
    char *copy;
    int rc;
};

MF_LOOP void mf_journal_park(struct mf_journal *j, struct mf_journal_park *p);

/* ---- what is known of a remote store ---- */

struct mf_journal_known {
    unsigned kind; /* the caller's word */
    struct mf_slice id, user_id, agent_id, name;
};

/* Keeps `k` (copied) in place of the one of its kind and id, and no longer the one with
 * the id `drop` (may be empty). Goes along with the next commit that is made anyway,
 * not more than some of them with each. Without memory, or with very many in line, it
 * is lost: it costs whoever remembers it a look at the store, no more. */
MF_LOOP void mf_journal_remember(struct mf_journal *j, const struct mf_journal_known *k,
                                 struct mf_slice drop);

/* No longer kept; with_owned: nor all that have it as user or agent. Whoever waits
 * (`done`) has a commit made. On an error it is not on disk: after MF_ENOSPC it still
 * stands in line. */
struct mf_journal_forget {
    unsigned kind;
    struct mf_slice id; /* copied */
    bool with_owned;
    void (*done)(struct mf_journal_forget *f, int rc); /* not NULL */
    struct mf_link link;                               /* zeroed */
    /* the journal's own */
    int rc;
};

MF_LOOP void mf_journal_forget(struct mf_journal *j, struct mf_journal_forget *f);
/* The same for one that nobody waits for: as mf_journal_remember. */
MF_LOOP void mf_journal_forget_later(struct mf_journal *j, unsigned kind,
                                     struct mf_slice id);

/* Gives what was kept, at most max_of_kind of each kind, those remembered last, oldest
 * first. Before the loop runs. A non-zero answer ends it and is returned. */
typedef int (*mf_journal_known_fn)(const struct mf_journal_known *k, void *arg);
MF_MUST MF_ANY int mf_journal_each_known(struct mf_journal *j, size_t max_of_kind,
                                         mf_journal_known_fn each, void *arg,
                                         struct mf_err *err);

MF_LOOP uint64_t mf_journal_bytes(const struct mf_journal *j); /* rounds not erased */
MF_LOOP bool mf_journal_is_full(const struct mf_journal *j);   /* disk full, retrying */
MF_LOOP bool mf_journal_is_dead(const struct mf_journal *j);   /* fatal happened */
MF_LOOP bool mf_journal_is_idle(const struct mf_journal *j);   /* nothing in line */

typedef void (*mf_journal_closed_fn)(void *arg);
/* Commits what stands in line, then closes (checkpoint included) and calls `closed`. */
MF_LOOP void mf_journal_close(struct mf_journal *j, mf_journal_closed_fn closed,
                              void *arg);

#endif
