/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_file: the files a case needs.
 *
 * Owns:    nothing
 * Thread:  the case's
 * Limits:  paths of PATH_MAX
 * Fails:   through cmocka's assertions
 */
#ifndef MF_TEST_FILE_H
#define MF_TEST_FILE_H

#include "base/base.h"

/* These bytes are the whole file, which may be there. */
MF_ANY void mf_test_write(const char *path, const void *p, size_t n);
/* The same in a folder; its path, until the next call. */
MF_ANY const char *mf_test_file(const char *dir, const char *name, const void *p,
                                size_t n);
MF_ANY const char *mf_test_text(const char *dir, const char *name, const char *text);
MF_ANY void mf_test_copy(const char *from, const char *to);

#endif
