/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fetch: one file of a hub, tried again where that may help.
 *
 * Owns:    nothing between calls
 * Thread:  one; it waits for the network and the disk
 * Limits:  the caller's bound of bytes; TRIES in a row without a new byte
 * Fails:   what web.h and disk.h say; MF_ECORRUPT: the checksum
 */
#ifndef MF_HUB_FETCH_H
#define MF_HUB_FETCH_H

#include "hub/listing.h"
#include "hub/manifest.h"
#include "hub/pull.h"
#include "hub/web.h"

struct mf_fetch_from {
    struct mf_web *web;
    const struct mf_hub_options *options; /* whom to tell, when to stop */
    const char *url;
};

struct mf_fetched {
    struct mf_manifest_file file;
    bool is_compared; /* the hub told a checksum, and it is the file's */
};

/* An answer kept in memory. */
MF_MUST MF_ANY int mf_fetch_text(const struct mf_fetch_from *from, size_t max_bytes,
                                 struct mf_buf *out, struct mf_err *err);

/* A file below the open folder `dir`: grows as PATH.part, gets its name when it is what
 * `want` says. */
MF_MUST MF_ANY int mf_fetch_file(const struct mf_fetch_from *from, int dir,
                                 const struct mf_hub_file *want, struct mf_fetched *got,
                                 struct mf_err *err);

#endif
