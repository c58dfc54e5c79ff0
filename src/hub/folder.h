/* SPDX-License-Identifier: Apache-2.0 */
/*
 * folder: what a model's folder is, at a glance: no weights are opened.
 *
 * Owns:    nothing; the struct holds all of it by value
 * Thread:  any
 * Limits:  a config.json of CONFIG_MAX bytes
 * Fails:   MF_ENOTFOUND: no folder, or no config.json in it; MF_EINVAL: config.json is
 * no JSON; MF_EIO; MF_ENOMEM
 */
#ifndef MF_HUB_FOLDER_H
#define MF_HUB_FOLDER_H

#include "base/base.h"
#include "base/err.h"
#include "hub/find.h"
#include "hub/manifest.h"

struct mf_hub_folder {
    char path[MF_HUB_PATH_MAX];
    char name[MF_HUB_NAME_MAX];         /* the folder's own */
    char revision[MF_HUB_REVISION_MAX]; /* of its manifest; "" */
    uint32_t dim;                       /* 0: config.json does not say */
    uint64_t bytes;                     /* of what is needed of it */
};

MF_MUST MF_ANY int mf_hub_folder_read(struct mf_hub_folder *f, const char *path,
                                      struct mf_err *err);
/* Calls `each` for every model in the folder `models`, by name; its code, when it is
 * not 0, ends that and comes back. A folder that is not there has none. */
MF_MUST MF_ANY int mf_hub_list(const char *models,
                               int (*each)(void *arg, const struct mf_hub_folder *f),
                               void *arg, struct mf_err *err);

#endif
