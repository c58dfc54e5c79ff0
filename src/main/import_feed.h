/* SPDX-License-Identifier: Apache-2.0 */
/*
 * import_feed: the file of `memfuse import` as batches of rows that are ready but for
 * their owners: read, checked, with ids and search records. While one batch is stored a
 * worker fills the next.
 *
 * Owns:    the file, the reader of its JSON
 * Thread:  fill: a worker, one at a time; all else the loop's, while none fills
 * Limits:  MF_FEED_ROWS rows, MF_FEED_BYTES of texts or MF_FEED_MEMORY end a batch, and
 *          the line with which it has them
 * Fails:   rc and err: the file cannot be read, no memory
 */
#ifndef MF_MAIN_IMPORT_FEED_H
#define MF_MAIN_IMPORT_FEED_H

#include "base/base.h"
#include "engine/import.h"

#define MF_FEED_ROWS   4000
#define MF_FEED_BYTES  ((size_t)4 << 20)
#define MF_FEED_MEMORY ((size_t)64 << 20) /* also of lines that are bad or empty */

struct mf_feed;

struct mf_feed_config {
    const struct mf_conf *conf;
    const char *path; /* "-": stdin */
    const struct mf_record_maker *maker;
    bool skips_bad;
};

/* What a fill came to. */
struct mf_feed_result {
    int rc;
    struct mf_err err;
    bool is_over;       /* there is no more, or a bad line ended it */
    bool is_bad;        /* that */
    uint64_t n_skipped; /* bad ones */
    struct mf_buf said; /* about them: "FILE:LINE: field: sentence", each in a line */
};

MF_MUST MF_ANY int mf_feed_open(struct mf_feed **out, const struct mf_feed_config *cfg,
                                struct mf_err *err);
MF_ANY void mf_feed_close(struct mf_feed *f);
/* Fills an empty batch. `r` is written anew, but for its buffer's memory. */
MF_ANY void mf_feed_fill(struct mf_feed *f, struct mf_import_batch *b,
                         struct mf_feed_result *r);

#endif
