/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listing: what a hub says about a model: its commit and the files it has.
 *
 *   {"sha": "8b3219a9...", "siblings": [{"rfilename": "config.json", "size": 612},
 *    {"rfilename": "model.safetensors", "lfs": {"sha256": "53aa...", "size":
 * 90868376}}]}
 *
 * Owns:    nothing; the struct holds all of it by value
 * Thread:  any
 * Limits:  MF_HUB_FILES_MAX files that are needed, MF_HUB_LISTING_MAX bytes of JSON
 * Fails:   MF_EINVAL with what is wrong: among it any file name that would leave its
 *          folder, needed or not; MF_ENOTFOUND: the model lacks what we need; MF_ENOMEM
 */
#ifndef MF_HUB_LISTING_H
#define MF_HUB_LISTING_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"
#include "hub/names.h"

#define MF_HUB_LISTING_MAX ((size_t)4 * 1024 * 1024)
#define MF_HUB_FILES_MAX   24
#define MF_SHA256_HEX      65 /* with the NUL */

struct mf_hub_file {
    char path[MF_HUB_FILE_NAME_MAX];
    uint64_t bytes;             /* as the hub says; 0: it does not */
    uint64_t max_bytes;         /* as we say */
    char sha256[MF_SHA256_HEX]; /* as the hub says, lower case; "": it does not */
};

struct mf_hub_listing {
    char revision[MF_HUB_REVISION_MAX]; /* the commit; "": the hub does not say */
    struct mf_hub_file files[MF_HUB_FILES_MAX]; /* those needed, the weights last */
    size_t n_files;
};

MF_MUST MF_ANY int mf_hub_listing_read(struct mf_hub_listing *out, struct mf_slice json,
                                       struct mf_err *err);
/* Copies 64 hexadecimal digits, in lower case; false (and "") when it is none. */
MF_ANY bool mf_hub_take_sha256(char *out, const char *text, size_t n);

#endif
