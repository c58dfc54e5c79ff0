/* SPDX-License-Identifier: Apache-2.0 */
/*
 * logfile: journal.db as a file: made whole or not at all, opened with our settings,
 * checked, read from the disk and not from memory, and moved aside when damaged.
 *
 * Owns:    nothing; a connection it opens is the caller's
 * Thread:  the caller's
 * Limits:  paths of PATH_MAX
 * Fails:   MF_EBUSY, MF_ECORRUPT, MF_EINVAL (made by a newer version), MF_ENOSPC,
 *          MF_ENOMEM, MF_EIO
 */
#ifndef MF_JOURNAL_LOGFILE_H
#define MF_JOURNAL_LOGFILE_H

#include "base/base.h"
#include "base/err.h"

#include <limits.h>
#include <sqlite3.h>

#define MF_LOGFILE_VERSION  2          /* user_version */
#define MF_LOGFILE_APP_ID   0x6d666a31 /* application_id, "mfj1" */
#define MF_LOGFILE_NAME     "journal.db"
#define MF_LOGFILE_WAL      MF_LOGFILE_NAME "-wal"
#define MF_LOGFILE_SALVAGED "journal.db.salvaged" /* whole; about to be journal.db */

struct mf_path {
    char s[PATH_MAX];
};

/* dir/name; a path too long is MF_EINVAL. */
MF_MUST MF_ANY int mf_logfile_path(struct mf_path *path, const char *dir,
                                   const char *name, struct mf_err *err);
/* Codes of SQLite and the system as ours: room, memory, damage, else MF_EIO. The
 * sentence: "WHAT: SQLite's words (the system's words)". */
MF_ANY int mf_logfile_fail(sqlite3 *db, int rc, const char *what, struct mf_err *err);
MF_ANY int mf_logfile_fail_sys(int sys, const char *what, const char *path,
                               struct mf_err *err);
MF_ANY bool mf_logfile_is_no_room(sqlite3 *db, int rc);

MF_MUST MF_ANY int mf_logfile_make_dir(const char *dir, struct mf_err *err);
MF_MUST MF_ANY int mf_logfile_sync(const char *path, struct mf_err *err);
/* Makes journal.db unless it is there: under another name, synced, then renamed. Ends
 * a salvage that was cut short. */
MF_MUST MF_ANY int mf_logfile_make(const char *dir, struct mf_err *err);
/* Fills a new file at `path` with our tables, open in *out. */
MF_MUST MF_ANY int mf_logfile_create(sqlite3 **out, const char *path,
                                     struct mf_err *err);
/* Closes it as one whole file without a WAL, synced. */
MF_MUST MF_ANY int mf_logfile_finish(sqlite3 *db, const char *path, struct mf_err *err);
MF_ANY void mf_logfile_remove(const char *path); /* with its WAL and journal */
/* Forgets what the system's cache holds of the file and its WAL: after a failed fsync
 * it shows bytes that the disk does not have. */
MF_MUST MF_ANY int mf_logfile_cool(const char *dir, struct mf_err *err);
/* A connection with our settings, made if `flags` say so; nothing checked. */
MF_MUST MF_ANY int mf_logfile_connect(sqlite3 **out, const char *path, int flags,
                                      struct mf_err *err);
MF_MUST MF_ANY int mf_logfile_run(sqlite3 *db, const char *sql, const char *what,
                                  struct mf_err *err);
/* Opens and checks; on an error `*out` is NULL. */
MF_MUST MF_ANY int mf_logfile_open(sqlite3 **out, const char *dir, struct mf_err *err);
/* Renames journal.db and its WAL to journal-damaged-N.db{,-wal}, N the first number
 * free and told, and the salvaged file to journal.db. */
MF_MUST MF_ANY int mf_logfile_replace(const char *dir, struct mf_path *moved,
                                      struct mf_err *err);
MF_ANY uint64_t mf_logfile_free_bytes(const char *dir); /* UINT64_MAX: unknown */

#endif
