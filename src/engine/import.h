/* SPDX-License-Identifier: Apache-2.0 */
/*
 * import: many messages from a file into the store, past journal and buffers (memfuse
 * import). There is no engine: a journal that this process would have to keep is locked
 * while rows are written beside it, so that no service runs on the same folder; with a
 * store of its own server a service may.
 *
 * Each line of the file is one round of one session. Its rows carry the record for the
 * search without a vector, marked as pending: found by their words, and embedded by the
 * service from the store. Messages that bring no id have one that is made of the line
 * (keyids.h): its user, its session, its number in the file and its bytes. The same
 * file once more finds them there.
 *
 * Owns:    loop's journal and store; names and their ids; a batch owns its bytes
 * Thread:  loop, but for filling a batch, which any thread may do while another batch
 *          is stored
 * Limits:  MF_IMPORT_NAMES names are remembered
 * Fails:   MF_EBUSY: a service has data.dir. MF_ECANCELED: `refused` said so. The
 *          store's codes: then some of the batch may be stored; the same lines once
 * more do no harm
 */
#ifndef MF_ENGINE_IMPORT_H
#define MF_ENGINE_IMPORT_H

#include "base/base.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/conf.h"
#include "engine/record_task.h"
#include "loop/loop.h"
#include "store/store.h"

#define MF_IMPORT_NAMES 65536
#define MF_IMPORT_AGENT "agent_default" /* of a session that is new and names none */

struct mf_import_line {
    uint64_t number;                      /* in the file, from 1 */
    struct mf_slice text;                 /* as it stands there, without its end */
    struct mf_slice user, agent, session; /* names; agent: may be empty */
    const struct mf_msg *msgs;            /* id may be empty; created_us 0: now */
    uint32_t n_msgs;
    size_t first; /* the batch's own: its first row */
};

struct mf_import_batch {
    struct mf_arena arena; /* what lines and rows point to */
    struct mf_import_line *lines;
    struct mf_store_row *rows; /* of the lines, in order */
    size_t n_lines, lines_cap, n_rows, rows_cap;
    size_t bytes; /* of the texts */
    struct mf_buf scratch;
};

MF_ANY void mf_import_batch_init(struct mf_import_batch *b);
MF_ANY void mf_import_batch_reset(struct mf_import_batch *b); /* empty again */
MF_ANY void mf_import_batch_fini(struct mf_import_batch *b);
/* What the line points to, but its text, lives in the batch's arena. `maker`:
 * mf_import_maker. */
MF_MUST MF_ANY int mf_import_batch_add(struct mf_import_batch *b,
                                       const struct mf_import_line *line,
                                       const struct mf_record_maker *maker,
                                       int64_t now_us);

struct mf_import;

struct mf_import_events {
    /* This line cannot be stored, whatever is tried; nothing of it was. True: go on
     * without it. */
    bool (*refused)(void *arg, const struct mf_import_line *line, const char *why);
    void *arg;
};

struct mf_import_counts {
    uint64_t n_lines;  /* that are in the store now */
    uint64_t n_stored; /* messages */
    uint64_t n_there;  /* that the store had already */
};

MF_MUST MF_ANY int mf_import_open(struct mf_import **out, struct mf_loop *l,
                                  const struct mf_conf *conf,
                                  const struct mf_import_events *events,
                                  struct mf_err *err);
/* Runs the loop until all is closed. NULL is fine. */
MF_LOOP void mf_import_close(struct mf_import *im);
MF_ANY const struct mf_record_maker *mf_import_maker(const struct mf_import *im);
/* Makes users, agents and sessions that are missing, then stores the rows; runs the
 * loop meanwhile. Adds to `counts` also when it fails. The batch is used up. */
MF_MUST MF_LOOP int mf_import_store(struct mf_import *im, struct mf_import_batch *b,
                                    struct mf_import_counts *counts,
                                    struct mf_err *err);

#endif
