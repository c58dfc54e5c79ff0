/* SPDX-License-Identifier: Apache-2.0 */
/*
 * find: which model the word `auto` means on this machine.
 *
 * Owns:    nothing
 * Thread:  any
 * Limits:  a path of MF_HUB_PATH_MAX - 1 bytes
 * Fails:   MF_ETOOBIG
 */
#ifndef MF_HUB_FIND_H
#define MF_HUB_FIND_H

#include "base/base.h"

#define MF_HUB_PATH_MAX      4352
#define MF_HUB_MODELS        "models"
#define MF_HUB_DEFAULT_MODEL "all-MiniLM-L6-v2"

/* "auto" becomes models/all-MiniLM-L6-v2, of the working directory before data_dir,
 * where there is one, else "hash"; every other word stays what it is. */
MF_MUST MF_ANY int mf_hub_find(char *out, size_t cap, const char *model,
                               const char *data_dir);
/* A model is there as a whole or not at all: its folder is put in place last. */
MF_ANY bool mf_hub_is_model(const char *folder);

#endif
