/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names: what may be written into an address or below a folder, and which files of a
 * published model are worth having.
 *
 * Owns:    nothing
 * Thread:  any
 * Limits:  a name of MF_HUB_NAME_MAX - 1 bytes, a path of MF_HUB_FILE_NAME_MAX - 1, a
 *          revision of MF_HUB_REVISION_MAX - 1
 * Fails:   by saying no
 */
#ifndef MF_HUB_NAMES_H
#define MF_HUB_NAMES_H

#include "base/base.h"

#define MF_HUB_NAME_MAX      200
#define MF_HUB_FILE_NAME_MAX 128
#define MF_HUB_REVISION_MAX  80

/* "name" or "owner/name": letters, digits, '.', '_', '-'; no part begins with '.'. */
MF_ANY bool mf_hub_name_ok(const char *name);
/* A branch, tag or commit: as one part of a name. */
MF_ANY bool mf_hub_revision_ok(const char *revision);
/* Relative, below where it is put: no "..", no empty part, no backslash, nothing that
 * does not print. */
MF_ANY bool mf_hub_path_ok(const char *path);
/* The folder a model gets: the name without its owner. */
MF_ANY const char *mf_hub_leaf(const char *name);
/* Most bytes the file may have; 0: a sentence encoder does not need it. */
MF_ANY uint64_t mf_hub_file_bound(const char *path);
/* 64 hexadecimal digits. */
MF_ANY bool mf_hub_is_sha256(const char *text, size_t n);

#endif
