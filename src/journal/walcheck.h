/* SPDX-License-Identifier: Apache-2.0 */
/*
 * walcheck: whether a WAL lost commits that were on disk. SQLite takes the first frame
 * with a wrong checksum for the torn end of a power cut and forgets all behind it. A
 * torn end is at most one commit, since one is synced before the next begins: where two
 * commits stand behind the break, it is damage.
 *
 * Owns:    nothing
 * Thread:  any; before SQLite opens the file
 * Limits:  damage in the last commit looks like a power cut and cannot be told from it
 * Fails:   MF_ECORRUPT, MF_ENOMEM, MF_EIO
 */
#ifndef MF_JOURNAL_WALCHECK_H
#define MF_JOURNAL_WALCHECK_H

#include "base/base.h"
#include "base/err.h"

/* No file is fine. */
MF_MUST MF_ANY int mf_walcheck(const char *path, struct mf_err *err);

#endif
