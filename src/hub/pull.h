/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pull: a model from a hub into a folder.
 *
 *   GET {base}/api/models/{name}/revision/{revision}?blobs=true    files and commit
 *   GET {base}/{name}/resolve/{commit}/{file}                      each that is needed
 *
 * All of it goes into models/.NAME.part; when everything is there and right the folder
 * gets its name by one rename. Whatever ends a pull before, the next one of the same
 * commit takes up from there; of another commit it begins anew.
 *
 * Owns:    nothing between calls
 * Thread:  one; it waits for the network and the disk
 * Limits:  hub/names.h and hub/listing.h: bytes and number of files; TRIES in a row
 *          without a byte, with growing pauses
 * Fails:   MF_EINVAL: a name, the base, what the hub says; MF_EEXIST: another revision
 *          is there; MF_EBUSY: another pull is under way; MF_ECORRUPT: a checksum;
 *          MF_ECANCELED; and what web.h and disk.h say
 */
#ifndef MF_HUB_PULL_H
#define MF_HUB_PULL_H

#include "base/base.h"
#include "base/err.h"
#include "hub/find.h"
#include "hub/names.h"

struct mf_hub_progress {
    const char *file;
    uint64_t done, total; /* bytes; total 0: not known */
    bool is_whole;        /* and checked; said once for each file */
    bool was_there;       /* from an earlier pull */
};

struct mf_hub_options {
    const char *name, *base, *revision;
    const char *models; /* the folder of models; made when it is missing */
    void (*progress)(void *arg, const struct mf_hub_progress *p);
    void (*retry)(void *arg, const char *why, unsigned pause_ms);
    bool (*is_stopped)(void *arg);
    void *arg;
};

struct mf_hub_pulled {
    char folder[MF_HUB_PATH_MAX];
    char partial[MF_HUB_PATH_MAX]; /* where it grows; set from the beginning */
    char revision[MF_HUB_REVISION_MAX];
    size_t n_files, n_compared; /* files that the hub told a checksum of */
    uint64_t bytes;
    bool was_there; /* nothing had to be done */
};

MF_MUST MF_ANY int mf_hub_pull(struct mf_hub_pulled *out,
                               const struct mf_hub_options *o, struct mf_err *err);

#endif
