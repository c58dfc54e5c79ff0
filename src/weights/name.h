/* SPDX-License-Identifier: Apache-2.0 */
/*
 * name: what to call a model.
 *
 * Owns:    nothing
 * Thread:  any
 * Limits:  cut to the room given
 * Fails:   never
 */
#ifndef MF_WEIGHTS_NAME_H
#define MF_WEIGHTS_NAME_H

#include "base/base.h"

/* The folder's own name; in a hub's cache (models--ORG--NAME/snapshots/REVISION) that
 * of the repository. `published` (maybe "") when the folder is just called "model", or
 * by a revision. */
MF_ANY void mf_name_of_folder(char *out, size_t cap, const char *path,
                              const char *published);
/* `published`, when it is not ""; else the file's name. */
MF_ANY void mf_name_of_gguf(char *out, size_t cap, const char *path,
                            const char *published);

#endif
