/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manifest: memfuse-model.json, which a pulled folder holds: what it is and the sums of
 * its files. While a pull is under way it lists the files that are whole, so that the
 * next one takes up from there.
 *
 *   {"name": "owner/all-MiniLM-L6-v2", "revision": "8b3219a9...",
 *    "files": [{"path": "config.json", "bytes": 612, "sha256": "953f9c0d..."}]}
 *
 * Owns:    nothing; the struct holds all of it by value
 * Thread:  any
 * Limits:  MF_HUB_FILES_MAX files; MF_MANIFEST_MAX bytes
 * Fails:   MF_ENOTFOUND: there is none; MF_EINVAL: it is damaged, or names a file that
 *          is not below the folder; MF_EIO and MF_ENOSPC from the disk; MF_ENOMEM
 */
#ifndef MF_HUB_MANIFEST_H
#define MF_HUB_MANIFEST_H

#include "base/base.h"
#include "base/err.h"
#include "hub/listing.h"
#include "hub/names.h"

#define MF_MANIFEST_NAME "memfuse-model.json"
#define MF_MANIFEST_MAX  ((size_t)64 * 1024)

struct mf_manifest_file {
    char path[MF_HUB_FILE_NAME_MAX];
    uint64_t bytes;
    char sha256[MF_SHA256_HEX];
};

struct mf_manifest {
    char name[MF_HUB_NAME_MAX];
    char revision[MF_HUB_REVISION_MAX];
    struct mf_manifest_file files[MF_HUB_FILES_MAX];
    size_t n_files;
};

/* `dir`: the open folder. */
MF_MUST MF_ANY int mf_manifest_read(struct mf_manifest *m, int dir, struct mf_err *err);
/* Replaces the one that is there, as a whole. */
MF_MUST MF_ANY int mf_manifest_write(const struct mf_manifest *m, int dir,
                                     struct mf_err *err);
/* What we know of the default model without being told. */
MF_ANY void mf_manifest_of_default(struct mf_manifest *m);
MF_ANY const struct mf_manifest_file *mf_manifest_find(const struct mf_manifest *m,
                                                       const char *path);
/* Adds or replaces. */
MF_MUST MF_ANY int mf_manifest_put(struct mf_manifest *m,
                                   const struct mf_manifest_file *f);
/* Whether the file below `dir` is what the manifest says. MF_ECORRUPT tells how not. */
MF_MUST MF_ANY int mf_manifest_check(const struct mf_manifest_file *f, int dir,
                                     struct mf_err *err);

#endif
