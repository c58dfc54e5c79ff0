/* SPDX-License-Identifier: Apache-2.0 */
/*
 * directory: the users, agents and sessions that were asked for lately, so that an add
 * need not ask the store whose session it is.
 *
 * Of a remote store it is kept in the journal's file, too (mf_directory_keep), so that
 * after a restart known sessions go on while the store is away. What a restart found
 * there is not believed as long as the store can be asked: it may have been deleted or
 * renamed by somebody else. Our own deletions take it out of the file before they are
 * answered (mf_journal_forget).
 *
 * Of a shared store, whose rows others may delete, what was remembered longer than
 * MF_DIRECTORY_TRUST_MS ago is unsure, too.
 *
 * Owns:    copies of ids and names
 * Thread:  loop
 * Limits:  directory.max_sessions of each kind, least recently used dropped
 * Fails:   MF_ENOTFOUND (the store does not know it), MF_EUNAVAILABLE and kin
 */
#ifndef MF_ENGINE_DIRECTORY_H
#define MF_ENGINE_DIRECTORY_H

#include "base/base.h"
#include "base/err.h"
#include "base/id.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "journal/journal.h"
#include "store/store.h"

#define MF_DIRECTORY_TRUST_MS 5000

struct mf_directory;

struct mf_known { /* read-only to callers; lives until the next call on the directory */
    struct mf_map_node node;
    struct mf_link link;
    enum mf_entity_kind kind;
    struct mf_id id, user_id, agent_id;
    struct mf_slice name; /* the known's own */
    bool is_unsure;       /* from the journal's file; the store has not said so yet */
    uint64_t said_ms;     /* when the store said so */
};

struct mf_directory_wait { /* embedded in who asks */
    void (*done)(struct mf_directory_wait *w, int rc, const struct mf_known *k);
    struct mf_err err;
    struct mf_link link;
};

MF_MUST MF_LOOP int mf_directory_new(struct mf_directory **out, struct mf_store *store,
                                     size_t max_of_kind);
MF_LOOP void mf_directory_free(struct mf_directory *d); /* nothing under way */

/* Who waits for the store longer than so is told MF_EUNAVAILABLE, or what is unsure, by
 * the next mf_directory_tick; 0: waits. */
MF_LOOP void mf_directory_bound(struct mf_directory *d, uint64_t max_wait_ms);
MF_LOOP void mf_directory_tick(struct mf_directory *d, uint64_t now_ms);
/* From now on what is remembered is kept in this journal, too. */
MF_LOOP void mf_directory_keep(struct mf_directory *d, struct mf_journal *j);
/* One that was kept; before the loop runs. MF_ENOMEM. */
MF_MUST MF_LOOP int mf_directory_restore(struct mf_directory *d,
                                         const struct mf_journal_known *k);
/* The store is about to be closed: it is asked no more (MF_ECLOSED). */
MF_LOOP void mf_directory_stop(struct mf_directory *d);
/* Grows with each deletion: a row read from the store before must not be remembered
 * after one. */
MF_LOOP uint64_t mf_directory_n_forgotten(const struct mf_directory *d);

/* What is remembered and sure, or NULL. */
MF_LOOP const struct mf_known *
mf_directory_find(struct mf_directory *d, enum mf_entity_kind kind, struct mf_slice id);
/* Unsure, too: for names, when the store did not give them. */
MF_LOOP const struct mf_known *mf_directory_guess(struct mf_directory *d,
                                                  enum mf_entity_kind kind,
                                                  struct mf_slice id);
/* Asks the store; `done` once, later. A store that is away leaves what is unsure. On an
 * error nothing is under way, and w->err says why. */
MF_MUST MF_LOOP int mf_directory_load(struct mf_directory *d, enum mf_entity_kind kind,
                                      struct mf_slice id, struct mf_directory_wait *w);
/* The store confirmed this row. Forgetting to remember costs a visit, no more. */
MF_LOOP void mf_directory_remember(struct mf_directory *d, enum mf_entity_kind kind,
                                   const struct mf_entity *row);
MF_LOOP void mf_directory_forget(struct mf_directory *d, enum mf_entity_kind kind,
                                 struct mf_slice id);

#endif
