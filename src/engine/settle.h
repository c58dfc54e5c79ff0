/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settle: brings rounds out of journal and buffers into the store before somebody
 * changes or deletes what they hold, so that a crash later cannot bring back what was
 * changed. A settle is done when the store holds all rounds of its scope that were
 * acknowledged (or admitted) when it began and the journal has erased them.
 *
 * Owns:    nothing: a settle is embedded in who waits
 * Thread:  loop
 * Limits:  buffer.performance.flush_timeout
 * Fails:   MF_ETIMEOUT, MF_ECLOSED; MF_ECONFLICT when a dead letter is in the scope and
 *          the settle may not purge it
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
    size_t n_left;
    bool is_done;
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
MF_LOOP void mf_settle_gone(struct mf_engine *e, const struct mf_item *it);
MF_LOOP void mf_settle_tick(struct mf_engine *e, uint64_t now_ms);
MF_LOOP void mf_settle_cancel_all(struct mf_engine *e);

#endif
