/* SPDX-License-Identifier: Apache-2.0 */
/*
 * salvage: what can be had from a journal that is damaged, and where the rest goes.
 *
 * Owns:    nothing
 * Thread:  the caller's, who holds the lock
 * Limits:  a damaged file is read from both ends towards the damage
 * Fails:   MF_ECORRUPT, MF_ENOSPC, MF_ENOMEM, MF_EIO
 */
#ifndef MF_JOURNAL_SALVAGE_H
#define MF_JOURNAL_SALVAGE_H

#include "base/base.h"
#include "base/err.h"
#include "journal/record.h"

#include <sqlite3.h>

/* Seqs are never used twice: behind damage we go on this far above what is seen. */
#define MF_JLOG_SEQ_LEAP ((uint64_t)1 << 32)
/* A number beyond is damage: nobody counts that far, and no clock gets there before
 * 2093. */
#define MF_JLOG_MAX_SEQ  (MF_RECORD_MAX_SEQ - 4 * MF_JLOG_SEQ_LEAP)

/* Above every order number in the file, erased rounds included. */
MF_MUST MF_ANY int mf_jlog_find_next(sqlite3 *db, uint64_t *next, struct mf_err *err);

/* Makes a new file from the intact records and moves the old one aside. A cut at any
 * instant leaves either. */
MF_MUST MF_ANY int mf_jlog_salvage(const char *dir, struct mf_err *err);

#endif
