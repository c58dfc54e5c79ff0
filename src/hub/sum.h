/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sum: SHA-256 of a file.
 *
 * Owns:    nothing
 * Thread:  any
 * Limits:  none
 * Fails:   MF_ENOTFOUND, MF_EIO, MF_ENOMEM, with the file named
 */
#ifndef MF_HUB_SUM_H
#define MF_HUB_SUM_H

#include "base/base.h"
#include "base/err.h"
#include "hub/listing.h"

/* Of `path` below the open folder `dir`: hexadecimal, lower case, and how long it is.
 */
MF_MUST MF_ANY int mf_hub_sum(int dir, const char *path, char sha256[MF_SHA256_HEX],
                              uint64_t *bytes, struct mf_err *err);

#endif
