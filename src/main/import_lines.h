/* SPDX-License-Identifier: Apache-2.0 */
/*
 * import_lines: a file, or what comes through a pipe, line by line.
 *
 * Owns:    the descriptor, unless it is stdin; the line until the next one
 * Thread:  any, one at a time
 * Limits:  max_line bytes: of a longer line nothing is kept
 * Fails:   MF_EIO, MF_ENOMEM
 */
#ifndef MF_MAIN_IMPORT_LINES_H
#define MF_MAIN_IMPORT_LINES_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

#define MF_LINES_READ 65536

struct mf_lines {
    int fd;
    size_t max_line;
    uint64_t number;    /* of the line, from 1 */
    struct mf_buf line; /* without its end: LF or CR LF */
    bool is_too_long;
    size_t at, n;
    char read[MF_LINES_READ];
};

/* "-": stdin. */
MF_MUST MF_ANY int mf_lines_open(struct mf_lines *l, const char *path, size_t max_line,
                                 struct mf_err *err);
MF_ANY void mf_lines_close(struct mf_lines *l);
/* The next line that is not empty: 1; 0: there is none. */
MF_MUST MF_ANY int mf_lines_next(struct mf_lines *l, struct mf_err *err);

#endif
