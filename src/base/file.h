/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file: bytes written to a file as a whole; and bytes as hexadecimal digits, for the
 * sums that stand beside them.
 *
 * Owns:    nothing
 * Thread:  any but the loop's: a disk is waited for
 * Limits:  names of NAME_MAX - 5 bytes
 * Fails:   -errno
 */
#ifndef MF_FILE_H
#define MF_FILE_H

#include "base/base.h"

MF_MUST MF_ANY int mf_file_write_all(int fd, const void *p, size_t n);
/* Writes ".NAME.new" in the open folder `dir`, syncs it and renames it to `name`, so
 * that a reader has the old bytes or the new. After a failure only the old are there.
 */
MF_MUST MF_ANY int mf_file_replace(int dir, const char *name, const void *p, size_t n);

/* 2 n digits in lower case, and a NUL. */
MF_ANY void mf_hex(char *out, const void *p, size_t n);

#endif
