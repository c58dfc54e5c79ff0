/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index: makes the search records: of acknowledged rounds in the background, of texts
 * somebody waits for, and of stored rows whose vector is still missing (backfill).
 *
 * A round whose texts find no room in the embedding lane (embed.max_backlog) has no
 * records until it is about to be stored: then a lane of its own makes them, without
 * vectors. It is stored pending, and embedded later from the store; a shelf that needs
 * it before makes its own. No vector is ever invented.
 *
 * Owns:    texts under way (a reference to their items)
 * Thread:  loop; records are built on workers
 * Limits:  embed.max_backlog
 * Fails:   a text that cannot be embedded ends as a record without a vector
 */
#ifndef MF_ENGINE_INDEX_H
#define MF_ENGINE_INDEX_H

#include "base/base.h"
#include "buffer/buffer.h"
#include "conf/conf.h"
#include "embed/embed.h"
#include "flush/flush.h"
#include "query/library.h"
#include "store/store.h"

struct mf_index;

struct mf_index_parts {
    struct mf_loop *loop;
    struct mf_embed *embed;
    struct mf_buffers *buffers;
    struct mf_store *store;
    struct mf_library *library;
    const struct mf_conf *conf;
    /* An entry got a record or lost hope of a vector: it may be due now. */
    void (*changed)(struct mf_entry *e, void *arg);
    void *arg;
};

MF_MUST MF_LOOP int mf_index_open(struct mf_index **out,
                                  const struct mf_index_parts *p);
/* Starts on an acknowledged round. */
MF_LOOP void mf_index_entry(struct mf_index *x, struct mf_entry *e);
/* Is the backlog so long that rounds should not wait for vectors? */
MF_LOOP bool mf_index_is_late(const struct mf_index *x);
/* Has the records that these rounds lack made by a worker, without vectors: before they
 * are written. True: made->done will come, and until then the rounds neither fly nor
 * are stored. False: none is lacking, or mf_index_prepare has to. */
MF_LOOP bool mf_index_make(struct mf_index *x, const struct mf_list *entries,
                           struct mf_flush_make *made);
/* Builds the records a round still lacks, without vectors, now. */
MF_MUST MF_LOOP int mf_index_prepare(struct mf_index *x, struct mf_entry *e);
/* There may be rows without a vector in the store. */
MF_LOOP void mf_index_expect_pending(struct mf_index *x);
/* Background work stands still: what is under way ends. */
MF_LOOP void mf_index_pause(struct mf_index *x, bool pause);
MF_LOOP void mf_index_tick(struct mf_index *x, uint64_t now_ms);

/* Texts somebody waits for: knowledge, updates. */
struct mf_index_text {
    struct mf_slice text; /* stays until done */
    enum mf_msg_role role;
    bool is_knowledge;
    int64_t created_us;
    /* out */
    struct mf_buf search, passages; /* the caller's to fini */
    bool has_vector;
};

struct mf_index_job {
    struct mf_index_text *texts;
    size_t n;
    void (*done)(struct mf_index_job *j, int rc); /* 0, MF_ENOMEM, MF_ECLOSED */
    size_t n_left;
    int rc;
};

MF_MUST MF_LOOP int mf_index_texts(struct mf_index *x, struct mf_index_job *j);

/* Nothing new is begun, and what was made is dropped: the rooms around are closed. */
MF_LOOP void mf_index_stop(struct mf_index *x);
typedef void (*mf_index_closed_fn)(void *arg);
/* After embed and store were closed. */
MF_LOOP void mf_index_close(struct mf_index *x, mf_index_closed_fn closed, void *arg);

#endif
