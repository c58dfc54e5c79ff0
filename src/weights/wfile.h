/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wfile: one file of a model, mapped to be read.
 *
 * A file that is made shorter while it is mapped ends the process (SIGBUS): a published
 * model is replaced by renaming, never written in place.
 *
 * Owns:    the mapping
 * Thread:  any
 * Limits:  regular files of at most `max` bytes
 * Fails:   MF_ENOTFOUND, MF_EINVAL (no regular file, too large), MF_EIO, MF_ENOMEM;
 *          the sentence names the file
 */
#ifndef MF_WEIGHTS_WFILE_H
#define MF_WEIGHTS_WFILE_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

struct mf_wfile {
    struct mf_slice bytes;
};

/* `name` inside `folder`; the folder may be "". */
MF_MUST MF_ANY int mf_wfile_open(struct mf_wfile *f, const char *folder,
                                 const char *name, uint64_t max, struct mf_err *err);
MF_ANY void mf_wfile_close(struct mf_wfile *f);
MF_ANY bool mf_wfile_is_there(const char *folder, const char *name);
/* The SHA-256 as hex digits: 65 bytes with the end. */
MF_MUST MF_ANY int mf_wfile_digest(const struct mf_wfile *f, char *hex,
                                   struct mf_err *err);

#endif
