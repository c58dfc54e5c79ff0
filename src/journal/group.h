/* SPDX-License-Identifier: Apache-2.0 */
/*
 * group: what stands in line for the journal, what goes into the next commit, and who
 * is told what when it returns. Pure: time and results are arguments.
 *
 * One piece of work is in flight at a time. What arrives meanwhile gathers and is the
 * next commit, so commits grow with the disk's latency by themselves.
 *
 * A commit the disk had no room for fails its rounds and those in line; erasing and
 * parking stay in line, since erasing frees room. Then one probe at each retry time,
 * with backoff, until one succeeds. Free space below the reserve (min_free_bytes) only
 * refuses new rounds. A fatal result ends everything.
 *
 * Owns:    the lines; the requests are their senders'
 * Thread:  the owner's
 * Limits:  all in struct mf_group_limits
 * Fails:   add: MF_EBUSY, MF_ENOSPC, MF_ETOOBIG, MF_EFATAL, MF_ECLOSED
 */
#ifndef MF_JOURNAL_GROUP_H
#define MF_JOURNAL_GROUP_H

#include "base/base.h"
#include "base/list.h"
#include "journal/known.h"

#define MF_GROUP_FIRST_RETRY_MS UINT64_C(100)
#define MF_GROUP_MAX_RETRY_MS   UINT64_C(5000)
#define MF_GROUP_LOW_RETRY_MS   UINT64_C(1000)
#define MF_GROUP_NEVER          UINT64_MAX
#define MF_GROUP_MAX_PARKS      64 /* of one commit */
/* Each erased round may touch a page of its own. Beside rounds, which somebody waits
 * for, a commit takes so many, or twice as many as rounds: erasing keeps pace. */
#define MF_GROUP_ERASES_BESIDE  64

/* Notes (known.h) go along with what is committed anyway: so many beside rounds, more
 * without. A note that somebody waits for has a commit made. */
#define MF_GROUP_MAX_NOTES     256
#define MF_GROUP_NOTES_BESIDE  32
#define MF_GROUP_WAITING_NOTES 1024 /* then new ones are dropped */

struct mf_group_limits {
    uint64_t max_bytes;
    uint64_t min_free_bytes;
    size_t max_commit_rounds, max_commit_bytes, max_commit_erases;
    unsigned checkpoint_pages;
};

/* A checkpoint is made when nothing stands in line, or at so many times its pages: a
 * burst need not wait for one, a load has to. */
#define MF_GROUP_LATE_CHECKPOINT 8

enum mf_group_work { MF_GROUP_NOTHING, MF_GROUP_COMMIT, MF_GROUP_CHECKPOINT };

struct mf_group {
    struct mf_group_limits lim;
    struct mf_list appends, erases, parks, notes; /* in line */
    struct mf_list sent_appends, sent_parks, sent_notes;
    size_t n_awaited;     /* notes in line that somebody waits for */
    size_t n_sent_erases; /* seqs; sent erases stay in line, marked by `sealed` */
    struct mf_list done_appends, done_erases, done_parks; /* to be told their rc */
    struct mf_list done_forgets;                          /* likewise */
    struct mf_list done_notes;                            /* to be freed */
    enum mf_group_work in_flight;
    bool is_probe;  /* the commit in flight finds out whether there is room again */
    uint64_t bytes; /* rounds in line, in flight and in the journal */
    uint64_t wal_pages;
    bool is_refused; /* a write found no room */
    bool is_low;     /* the reserve is touched */
    bool is_dead, is_closing;
    unsigned failures; /* in a row */
    uint64_t retry_at_ms;
};

struct mf_group_result {
    int rc;              /* 0, MF_ENOSPC, MF_ENOMEM; any other is fatal */
    uint64_t free_bytes; /* of the file system; UINT64_MAX: not looked */
    uint64_t erased_bytes;
    uint64_t wal_pages; /* not checkpointed yet */
};

MF_ANY void mf_group_init(struct mf_group *g, const struct mf_group_limits *lim);
/* A round that was there before: counted, never refused. */
MF_ANY void mf_group_restore(struct mf_group *g, uint64_t bytes);
/* What opening the journal found: no room for a commit, or so much free. */
MF_ANY void mf_group_start(struct mf_group *g, bool is_refused, uint64_t free_bytes,
                           uint64_t now_ms);

/* `a->bytes` is set. */
MF_MUST MF_ANY int mf_group_append(struct mf_group *g, struct mf_journal_append *a);
MF_ANY void mf_group_erase(struct mf_group *g, struct mf_journal_erase *e);
/* `p->rc` is set: what is not 0 is told as it is. */
MF_ANY void mf_group_park(struct mf_group *g, struct mf_journal_park *p);

MF_ANY void mf_group_note(struct mf_group *g, struct mf_jnote *n);

/* What is to be done now. After MF_GROUP_COMMIT: sent_appends, sent_parks, sent_notes
 * and mf_group_sent_erases tell what is in it; it may be empty (is_probe). */
MF_MUST MF_ANY enum mf_group_work mf_group_seal(struct mf_group *g, uint64_t now_ms);
/* Writes the n_sent_erases seqs of the commit in flight. */
MF_ANY void mf_group_sent_erases(const struct mf_group *g, uint64_t *seqs);
/* The work in flight returned; on success sent parks have their `rc`. */
MF_ANY void mf_group_finish(struct mf_group *g, const struct mf_group_result *r,
                            uint64_t now_ms);
/* When to seal even if nothing arrives, or MF_GROUP_NEVER. */
MF_ANY uint64_t mf_group_wake_at(const struct mf_group *g);

/* No new rounds from now on. What stands in line gets one try, at once. */
MF_ANY void mf_group_close(struct mf_group *g);
MF_ANY bool mf_group_is_full(const struct mf_group *g);
MF_ANY bool mf_group_is_idle(const struct mf_group *g); /* nothing in line or untold */

#endif
