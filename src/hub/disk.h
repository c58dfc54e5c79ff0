/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk: small files and folders, read and written as a whole.
 *
 * Owns:    nothing
 * Thread:  any
 * Limits:  the caller's, in bytes
 * Fails:   MF_ENOTFOUND, MF_ETOOBIG, MF_EIO, MF_ENOSPC, MF_ENOMEM, with the file named
 */
#ifndef MF_HUB_DISK_H
#define MF_HUB_DISK_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

/* `dir` is an open folder in all of them. */
MF_MUST MF_ANY int mf_hub_read_file(int dir, const char *path, size_t max_bytes,
                                    struct mf_buf *out, struct mf_err *err);
/* Beside it first, synced, then renamed over what is there. */
MF_MUST MF_ANY int mf_hub_write_file(int dir, const char *path, struct mf_slice text,
                                     struct mf_err *err);
/* The folder with all in it; links are removed, not followed. Not there: 0. */
MF_MUST MF_ANY int mf_hub_remove_tree(int dir, const char *name, struct mf_err *err);
/* Makes what is missing of the path and opens it; or a negative code. */
MF_MUST MF_ANY int mf_hub_open_dir(const char *path, bool make, struct mf_err *err);

#endif
