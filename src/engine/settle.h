/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settle: brings rounds out of journal and buffers into the store before somebody
 * changes or deletes what they hold, so that a crash later cannot bring back what was
 * changed. A settle is done when the store holds all rounds of its scope that were
 * acknowledged (or admitted) when it began and the journal has erased them.
 *
 * Owns:    nothing: a settle is embedded in who waits
 * Thread:  loop
 * Limits:  buffer.performance.flush_timeout. A settle of one user visits that user; one
 *          of all rounds, or of an agent, goes along with the sweep of all users
 * Fails:   MF_ETIMEOUT, MF_ECLOSED; MF_EUNAVAILABLE while a remote store is away;
 * MF_ECONFLICT when a dead letter is in the scope and the settle may not purge it
 */
#ifndef MF_ENGINE_SETTLE_H
#define MF_ENGINE_SETTLE_H

#include "base/base.h"
#include "base/list.h"
#include "base/str.h"
#include "buffer/buffer.h"

struct mf_engine;

struct mf_settles {
    struct mf_list active;
};

enum mf_settle_width {
    MF_SETTLE_USER, /* of one user: what matches is counted */
    MF_SETTLE_ALL,  /* of all: counted by the buffers; dead letters aside */
    MF_SETTLE_AGENT /* across users: done when a whole sweep meets none */
};

struct mf_settle {
    /* in: what counts; empty slices match all; stay until done */
    struct mf_slice user_id, session_id, agent_id;
    bool is_closing; /* nothing new may enter the scope until mf_settle_end */
    bool may_purge;  /* dead letters in the scope are erased: it is deleted anyway */
    void (*done)(struct mf_settle *s, int rc);
    /* settle's own */
    struct mf_link link;
    struct mf_engine *engine;
    uint64_t max_seq, deadline_ms;
    enum mf_settle_width width;
    size_t n_left;
    bool is_done;
    bool has_met;    /* AGENT: a round of the scope, in this sweep */
    bool has_parked; /* ALL: dead letters stay behind */
};

MF_LOOP void mf_settles_init(struct mf_settles *all);
/* `done` may come before this returns, when there is nothing to wait for. */
MF_LOOP void mf_settle_begin(struct mf_engine *e, struct mf_settle *s);
/* After done; opens the scope again. */
MF_LOOP void mf_settle_end(struct mf_settle *s);
/* Whether somebody is deleting what a new round or session would belong to. */
MF_LOOP bool mf_settle_is_closing(const struct mf_engine *e, struct mf_slice user_id,
                                  struct mf_slice session_id, struct mf_slice agent_id);
/* A round left the journal, or was never admitted to it. */
MF_LOOP void mf_settle_gone(struct mf_engine *e, const struct mf_item *it,
                            bool was_parked);
/* A round came into the buffers: who waits for it has it flushed at once. */
MF_LOOP void mf_settle_entered(struct mf_engine *e, struct mf_entry *en);
MF_LOOP void mf_settle_parked(struct mf_engine *e, const struct mf_item *it);
/* The sweep: begins, visits this user, has visited all. */
MF_LOOP void mf_settle_sweep_begins(struct mf_engine *e);
MF_LOOP void mf_settle_visit(struct mf_engine *e, struct mf_userbuf *u);
MF_LOOP void mf_settle_sweep_ends(struct mf_engine *e);
MF_LOOP void mf_settle_tick(struct mf_engine *e, uint64_t now_ms);
MF_LOOP void mf_settle_cancel_all(struct mf_engine *e);

#endif
