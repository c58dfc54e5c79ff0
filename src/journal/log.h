/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log: the journal's file: one SQLite connection that writes, erases, parks and
 * checkpoints. No loop, no queue: whoever holds it calls, one at a time.
 *
 * Once a write or an fsync failed, nothing is written through this handle any more
 * (is_dead): the kernel may have dropped the pages and call the next fsync a success.
 *
 * Owns:    the connection, the lock, one buffer for records
 * Thread:  one at a time: the loop's before it runs, then a lane's of one permit
 * Limits:  records of MF_RECORD_MAX_BYTES
 * Fails:   open: as mf_journal_open; commit, checkpoint: 0, MF_ENOSPC, MF_ENOMEM (all
 *          was rolled back, try again later), MF_EFATAL
 */
#ifndef MF_JOURNAL_LOG_H
#define MF_JOURNAL_LOG_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"
#include "item/item.h"
#include "journal/known.h"
#include "journal/lock.h"

#include <sqlite3.h>

enum mf_jlog_stmt {
    MF_JLOG_BEGIN,
    MF_JLOG_COMMIT,
    MF_JLOG_APPEND,
    MF_JLOG_SIZE_OF,
    MF_JLOG_ERASE,
    MF_JLOG_PARK,
    MF_JLOG_UNPARK,
    MF_JLOG_SET_NEXT,
    MF_JLOG_KNOWN_PUT,
    MF_JLOG_KNOWN_DROP,
    MF_JLOG_KNOWN_DROP_OWNED,
    MF_JLOG_N_STMTS
};

struct mf_jlog {
    char *dir;
    struct mf_jlock lock;
    sqlite3 *db;
    sqlite3_stmt *stmts[MF_JLOG_N_STMTS];
    struct mf_buf record;
    uint64_t next_seq;     /* above all it ever held */
    uint64_t kept_next;    /* what meta says */
    uint64_t wal_pages;    /* not checkpointed */
    uint64_t wal_used;     /* pages in the WAL before the place of the next one */
    uint64_t wal_bytes;    /* of its file, as far as known */
    uint64_t last_pages;   /* of the last commit */
    uint64_t looked_at_ms; /* at the free space */
    uint64_t free_bytes;   /* when opened */
    bool has_parked;       /* maybe; else erasing need not look */
    bool is_full;          /* no room for the commit that opens it */
    bool is_dead;
};

struct mf_jlog_park {
    uint64_t seq;
    const char *reason; /* NULL: unpark */
    int rc;             /* 0 or MF_ENOTFOUND */
};

/* One commit: what it is made of, and how it went. */
struct mf_jlog_batch {
    struct mf_item *const *items; /* ascending seqs */
    size_t n_items;
    const uint64_t *erase;
    size_t n_erase;
    struct mf_jlog_park *parks;
    size_t n_parks;
    struct mf_jnote *const *notes;
    size_t n_notes;
    bool is_probe; /* checkpoint first, write something in any case */
    uint64_t now_ms;

    int rc;
    struct mf_err err; /* set when rc < 0 */
    uint64_t erased_bytes;
    uint64_t free_bytes; /* UINT64_MAX: not looked */
    uint64_t wal_pages;
    uint64_t took_us;
};

MF_MUST MF_ANY int mf_jlog_open(struct mf_jlog **out, const char *dir, bool accept_loss,
                                struct mf_err *err);
MF_ANY void mf_jlog_commit(struct mf_jlog *log, struct mf_jlog_batch *b);
MF_ANY void mf_jlog_checkpoint(struct mf_jlog *log, struct mf_jlog_batch *b);
/* Checkpoints and closes; a dead one is left as it is for the next start. */
MF_ANY void mf_jlog_close(struct mf_jlog *log);

/* Calls `each` for all rounds by ascending seq, with a reference and the bytes of the
 * record. Damaged records go to a file journal-damaged-N.bin (N: the first one's seq):
 * then MF_ECORRUPT at the end, or, with accept_loss, they are erased. */
typedef int (*mf_jlog_each_fn)(struct mf_item *it, const char *parked_reason,
                               size_t bytes, void *arg);
MF_MUST MF_ANY int mf_jlog_replay(struct mf_jlog *log, bool accept_loss,
                                  mf_jlog_each_fn each, void *arg, struct mf_err *err);

#endif
