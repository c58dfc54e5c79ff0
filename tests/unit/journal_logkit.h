/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_logkit: the journal's file without a loop: opened, filled, read, changed.
 */
#ifndef MF_JOURNAL_LOGKIT_H
#define MF_JOURNAL_LOGKIT_H

#include "journal/log.h"
#include "unit/journal_kit.h"

struct mf_jlog *kit_open_log(const char *dir);
struct mf_jlog_batch kit_commit(struct mf_jlog *log, uint64_t from, size_t n);
struct mf_jlog_batch kit_erase(struct mf_jlog *log, const uint64_t *seqs, size_t n);
struct kit_rounds *kit_replayed(struct mf_jlog *log);
const char *kit_in(const char *dir, const char *name);
off_t kit_size_of(const char *path);
off_t kit_wal_end(const struct mf_jlog *log); /* of what is in it */
void kit_sql(const char *path, const char *words);
void kit_check_open_fails(const char *dir, int rc, const char *part);
void kit_write_bytes(const char *path, off_t at, const void *p, size_t n);

#endif
