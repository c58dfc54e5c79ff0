/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine_priv: what the files of engine share, and nobody else.
 *
 * Owns:    struct mf_engine
 * Thread:  loop
 * Limits:  see engine.h
 * Fails:   see engine.h
 */
#ifndef MF_ENGINE_PRIV_H
#define MF_ENGINE_PRIV_H

#include "buffer/buffer.h"
#include "embed/embed.h"
#include "embed/service.h"
#include "engine/directory.h"
#include "engine/engine.h"
#include "engine/idem.h"
#include "engine/idset.h"
#include "engine/index.h"
#include "engine/pace.h"
#include "engine/seqs.h"
#include "engine/settle.h"
#include "flush/flush.h"
#include "journal/journal.h"
#include "npu/offload.h"
#include "query/library.h"
#include "query/query.h"

enum mf_engine_state { MF_ENGINE_OPEN, MF_ENGINE_DRAINING, MF_ENGINE_CLOSING };

struct mf_engine {
    struct mf_loop *loop;
    const struct mf_conf *conf;
    struct mf_engine_events events;
    enum mf_engine_state state;

    struct mf_model *model;
    bool owns_model;
    struct mf_npu_offload *npu; /* of our own model; NULL: the CPU computes */
    int npu_code;               /* a device was looked for and not taken: why; else 0 */

    struct mf_engine_npu_end {
        uv_work_t req;
        struct mf_npu_offload *npu;
    } npu_end;
    struct mf_journal *journal;
    struct mf_store *store;
    struct mf_buffers *buffers;
    struct mf_embed *embed;
    struct mf_service *service;
    struct mf_index *index;
    struct mf_flush *flush;
    struct mf_library *library;
    struct mf_query *query;
    struct mf_directory *directory;
    struct mf_idem *idem;
    struct mf_settles settles;

    struct mf_wbuf_limits wbuf_limits;
    struct mf_hbuf_limits hbuf_limits;
    struct mf_seqs seqs;

    struct mf_list adding;   /* struct mf_add_work: admitted, not committed */
    struct mf_list erasing;  /* entries: STORED, the journal has not erased them */
    struct mf_list unerased; /* those of them that the journal was not asked for yet */
    struct mf_list creating; /* struct mf_create_work: names being created */
    struct mf_list visiting; /* adds that wait for what the store knows of their ids */
    struct mf_list naming;   /* questions that wait for the names of their sessions */
    struct mf_list ready;    /* calls to be finished at the end of this turn */
    struct mf_turn_hook ready_hook, stop_hook, sweep_hook;
    size_t sweep_left; /* users still to be visited, from the head of their list */
    bool is_sweeping, is_sweep_wanted;
    size_t n_calls; /* verbs that returned 0 and are not done */

    uv_timer_t tick, pace_timer;
    struct mf_pace pace;
    uint64_t n_work; /* acknowledged, as pace counts it */
    uint64_t idem_purge_at_ms;
    bool is_purging;
    bool store_is_remote;
    bool is_down_logged;   /* that the store is away */
    int64_t store_down_us; /* since when; 0: it is there */
    uint64_t drain_until_ms;
    mf_engine_closed_fn closed;
    void *closed_arg;
};

/* An add between admission and commit. */
struct mf_add_work {
    struct mf_link link; /* engine.adding */
    struct mf_add_call *c;
    struct mf_engine *e;
    struct mf_item *item; /* NULL until admitted */
    struct mf_journal_append append;
    struct mf_directory_wait wait;
    struct mf_slice *ids;
    struct mf_id round_id;
    struct mf_idset set; /* of ids; when some may be known */
    bool *is_known;
    bool is_checked, in_verb;
    struct mf_journal_erase undo; /* committed, but there was no memory to show it */
    uint64_t undo_seq;
    int undo_rc;
    struct mf_slice user_id, agent_id; /* own copies in the call's arena */
    size_t reserved;
};

/* Before a verb begins: MF_ECLOSED once it is too late for it. */
MF_MUST MF_LOOP int mf_call_check(const struct mf_engine *e, struct mf_call *c,
                                  bool is_change);
/* Every verb begins and ends here: counts what is under way. */
MF_LOOP void mf_call_begin(struct mf_engine *e, struct mf_call *c);
MF_LOOP void mf_call_finish(struct mf_call *c, int rc);       /* calls done now */
MF_LOOP void mf_call_finish_later(struct mf_call *c, int rc); /* at the turn's end */
/* The first of n order numbers. */
MF_LOOP uint64_t mf_engine_take_seqs(struct mf_engine *e, uint64_t n);
/* Sets err and field, returns the code. */
MF_LOOP int mf_call_fail(struct mf_call *c, int rc, const char *field, const char *fmt,
                         ...) MF_PRINTF(4, 5);
/* Copies a request's sentence into the call; returns rc. */
MF_LOOP int mf_call_blame(struct mf_call *c, int rc, const struct mf_err *err);

/* Rounds of this user that are due go to the flush. */
MF_LOOP void mf_engine_consider(struct mf_engine *e, struct mf_userbuf *u);
/* Everything of the user that can be moved goes to the flush now; push_all: and what
 * is in line there becomes as urgent. */
MF_LOOP void mf_engine_push_rest(struct mf_engine *e, struct mf_userbuf *u,
                                 enum mf_flush_priority p);
MF_LOOP void mf_engine_push_all(struct mf_engine *e, struct mf_userbuf *u,
                                enum mf_flush_priority p);
/* Looks at every user once, a slice of a turn at a time: what is due goes to the
 * flush. */
MF_LOOP void mf_engine_sweep(struct mf_engine *e);
MF_LOOP void mf_engine_init_sweep(struct mf_engine *e);
/* The journal remembers that the store refuses this round; reason NULL: no longer. */
MF_LOOP void mf_engine_note_parked(struct mf_engine *e, const struct mf_item *it,
                                   const char *reason);
/* Erases stored or purged entries from the journal, then frees them. */
MF_LOOP void mf_engine_erase(struct mf_engine *e, struct mf_list *entries);
/* On towards closed, at the end of this turn: nobody on the stack loses a room. */
MF_LOOP void mf_engine_stop_later(struct mf_engine *e);
MF_LOOP void mf_engine_init_stop(struct mf_engine *e);
MF_LOOP void mf_engine_on_tick(struct mf_engine *e);
/* Notes (and logs) when the store goes and comes back. */
MF_LOOP void mf_engine_watch_store(struct mf_engine *e);
MF_LOOP void mf_engine_show_figures(const struct mf_engine *e);
/* Whose visit to the store takes too long goes on without it. */
MF_LOOP void mf_add_tick(struct mf_engine *e, uint64_t now_ms);
MF_LOOP void mf_ask_tick(struct mf_engine *e, uint64_t now_ms);
MF_MUST MF_LOOP int mf_engine_start_flush(struct mf_engine *e);
/* An entry got a record, or lost hope of a vector: it may be due now. */
MF_LOOP void mf_engine_entry_changed(struct mf_entry *en, void *arg);
/* Start failed: closes what is open, running the loop until it is. */
MF_ANY void mf_engine_abandon(struct mf_engine *e);

#endif
