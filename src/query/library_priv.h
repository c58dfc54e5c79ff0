/* SPDX-License-Identifier: Apache-2.0 */
/*
 * library_priv: what the files of the library share among themselves.
 *
 * A holder is what the library knows of one user; a run is one scan from submit to
 * done. Holders that have something to do stand in the library's turn list, and only
 * the hook at the end of a turn moves them on, a bounded number of records a turn: no
 * callback ever finds a holder half changed.
 *
 * Owns:    holders, runs, loads, feeds
 * Thread:  loop; loads, feeds and rows to build are a worker's while their job runs
 * Limits:  those of library.h
 * Fails:   those of library.h
 */
#ifndef MF_QUERY_LIBRARY_PRIV_H
#define MF_QUERY_LIBRARY_PRIV_H

#include "base/id.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "loop/lane.h"
#include "query/library.h"

#include <stdatomic.h>

#define MF_TURN_ROWS    256 /* records put in one turn: under 5 ms */
#define MF_FRESH_ROWS   1024
#define MF_DELTA_ROWS   16384
#define MF_MAX_RESTARTS 3

/* ---- messages of the buffers, on their way to a shelf or through a stream ---- */

struct mf_pending_row {
    uint64_t seq;
    struct mf_item *item; /* our reference */
    uint32_t i;
    bool has_record; /* when it was gathered */
    struct mf_buf rec;
};

struct mf_pending {
    struct mf_pending_row *rows; /* ascending seq */
    size_t n, cap;
    bool lacks_records; /* some row has to be built */
};

/* ---- one user ---- */

enum mf_holder_state {
    MF_HOLDER_LOADING, /* at the store, or what happened meanwhile is being applied */
    MF_HOLDER_RESIDENT,
    MF_HOLDER_LARGE, /* streamed */
    MF_HOLDER_FAILED /* the store failed: the next scan tries again */
};

struct mf_holder {
    struct mf_map_node node; /* key: user_id */
    struct mf_id user_id;
    struct mf_library *lib;
    enum mf_holder_state state;
    bool is_gone;           /* out of the map; lives while runs use its shelf */
    struct mf_link in_used; /* of the library: least recently used first */
    struct mf_link in_turn;
    struct mf_list waiting; /* runs that have not begun */
    size_t n_active;        /* runs that have */
    struct mf_shelf *shelf; /* RESIDENT; LOADING once the store has ended */
    size_t bytes;           /* counted in the library */
    uint64_t mark;          /* listed messages up to here are on the shelf */
    struct mf_fresh *fresh; /* those being put */
    struct mf_load *load;
    /* Of a shared store: what was written up to there is on the shelf. Its reads (a
     * load, then deltas) count up; one that began before a run arrived is not enough
     * for that run. */
    uint64_t store_mark;
    uint64_t reads_begun, reads_done;
    struct mf_delta *delta;
    unsigned n_reloads;
    struct mf_list log; /* what happened while LOADING */
    size_t log_bytes;
    bool has_lost_log;
    /* What went while runs were active: they must not answer with it. */
    uint64_t *gone;
    size_t n_gone, cap_gone;
    unsigned epoch; /* more went than `gone` can tell */
};

/* ---- one scan ---- */

enum mf_run_state {
    MF_RUN_ARRIVED,   /* in lib->arrivals */
    MF_RUN_WAITING,   /* in holder->waiting */
    MF_RUN_GATHERING, /* in lib->gathering; this and all below are active */
    MF_RUN_AT_STORE,
    MF_RUN_AT_WORK /* lane or shelf */
};

struct mf_run {
    struct mf_library_scan *s;
    struct mf_library *lib;
    struct mf_holder *h; /* NULL while ARRIVED */
    enum mf_run_state state;
    struct mf_link link;
    struct mf_link in_timed;
    uint64_t deadline_ms;
    uint64_t upto; /* messages listed up to here have to be ranked */
    uint64_t read; /* the first read of the holder that is enough; 0: none is needed */
    unsigned n_restarts, epoch;
    struct mf_shelf_waiter waiter;
    const struct mf_shelf *shelf; /* lent */
    struct mf_job job;
    struct mf_feed *feed; /* a streamed or partial one */
    int rc;
};

struct mf_library {
    struct mf_loop *loop;
    struct mf_store *store;
    struct mf_buffers *buffers;
    struct mf_library_config cfg;
    struct mf_lane *lane;
    struct mf_map holders;
    struct mf_list used;
    struct mf_list turn;      /* holders */
    struct mf_list arrivals;  /* runs */
    struct mf_list gathering; /* runs */
    struct mf_list timed;     /* runs, by deadline */
    struct mf_turn_hook hook;
    uv_timer_t timer;
    size_t budget; /* records that may still be put in this turn */
    size_t bytes, n_shelves;
    size_t n_runs;
    size_t n_at_store; /* requests */
    size_t max_delta;  /* rows; a shelf that lacks more is loaded anew */
    bool is_closing, is_lane_closed, is_timer_closed;
    mf_library_closed_fn closed;
    void *closed_arg;
};

/* ---- library.c ---- */

/* The hook runs at the end of this turn. */
MF_LOOP void mf_library_arm(struct mf_library *lib);
/* From now on the run is answered without the store after store_timeout_ms. */
MF_LOOP void mf_library_time(struct mf_run *run);
MF_LOOP void mf_library_untime(struct mf_run *run);

/* ---- library_holder.c ---- */

MF_ANY struct mf_slice mf_holder_key(const struct mf_map_node *node);
MF_LOOP struct mf_holder *mf_holder_find(struct mf_library *lib, struct mf_slice user);
MF_MUST MF_LOOP int mf_holder_new(struct mf_library *lib, struct mf_slice user,
                                  struct mf_holder **out);
MF_LOOP void mf_holder_want_turn(struct mf_holder *h);
/* Counts the shelf's bytes anew. */
MF_LOOP void mf_holder_account(struct mf_holder *h);
MF_LOOP void mf_holder_set_state(struct mf_holder *h, enum mf_holder_state state);
/* Forgets all that is known of the user; those who wait ask anew. */
MF_LOOP void mf_holder_drop(struct mf_holder *h);
MF_LOOP void mf_holder_fail_waiting(struct mf_holder *h, int rc);
MF_LOOP void mf_holder_free(struct mf_holder *h);
MF_LOOP void mf_holder_note_gone(struct mf_holder *h, uint64_t seq);
/* What came of putting a record, logged: 0 (also when it was refused) or MF_ENOMEM. */
MF_MUST MF_LOOP int mf_holder_judge_put(uint64_t seq, int rc);
/* Puts rows from *at on, of n, with row `i` on the shelf by `put`, in which `u` (may be
 * NULL) is what the buffers have of the user: as many as this turn has room for.
 * Whether all are put; else there is another turn, or the holder was dropped, and what
 * `at` is part of went with it. Many records are not left standing in a lent shelf's
 * line, which would be done in one go: they wait until it is back. */
typedef int mf_holder_put_fn(struct mf_holder *h, size_t i, struct mf_userbuf *u);
MF_MUST MF_LOOP bool mf_holder_put_part(struct mf_holder *h, mf_holder_put_fn *put,
                                        size_t *at, size_t n);
MF_LOOP void mf_holder_evict(struct mf_library *lib);
/* Frees a shelf of nobody, a large one on a worker. */
MF_LOOP void mf_library_free_shelf(struct mf_library *lib, struct mf_shelf *shelf);

/* ---- library_load.c ---- */

MF_LOOP void mf_load_start(struct mf_holder *h);
/* Its holder does not want it any more; it ends by itself. */
MF_LOOP void mf_load_abandon(struct mf_holder *h);
/* Applies a part of what happened while loading. */
MF_LOOP void mf_load_settle(struct mf_holder *h);

enum mf_change_kind {
    MF_CHANGE_PUT,
    MF_CHANGE_REPLACE,
    MF_CHANGE_REMOVE,
    MF_CHANGE_REMOVE_SESSION
};

MF_LOOP void mf_load_note(struct mf_holder *h, enum mf_change_kind kind,
                          const struct mf_shelf_row *row);
MF_LOOP void mf_load_forget_log(struct mf_holder *h);

/* ---- library_fresh.c ---- */

/* The greatest seq listed for the user; 0: none. */
MF_LOOP uint64_t mf_pending_tail(struct mf_library *lib, struct mf_slice user);
/* Appends rounds with after < seq <= upto until `max` messages are there. */
MF_MUST MF_LOOP int mf_pending_gather(struct mf_pending *p, struct mf_userbuf *u,
                                      uint64_t after, uint64_t upto, size_t max);
MF_MUST MF_LOOP int mf_pending_copy_records(struct mf_pending *p, struct mf_userbuf *u,
                                            size_t from);
/* Makes the records that are missing, by keyword only. */
MF_MUST MF_WORKER int mf_pending_build(struct mf_pending *p, bool as_f32);
MF_LOOP void mf_pending_fini(struct mf_pending *p);
/* Puts what those who wait have to see, as far as this turn allows. */
MF_LOOP void mf_fresh_step(struct mf_holder *h);
MF_LOOP void mf_fresh_abandon(struct mf_holder *h);

/* ---- library_delta.c ---- */

/* Asks a shared store what is new for those who wait, and puts what it said. */
MF_LOOP void mf_delta_step(struct mf_holder *h);
MF_LOOP void mf_delta_abandon(struct mf_holder *h);
/* A change of a seq, or (0) of a session, came beside a delta that is under way. */
MF_LOOP void mf_delta_told(struct mf_holder *h, uint64_t seq,
                           struct mf_slice session_id);

/* ---- library_run.c ---- */

MF_LOOP void mf_run_enter(struct mf_run *run);
/* A run that waits begins: its holder counts it among the active. */
MF_LOOP void mf_run_begin(struct mf_run *run, enum mf_run_state state);
MF_LOOP void mf_run_lend(struct mf_run *run);
/* The store is late or failed: a run that waits is content with what is there. */
MF_LOOP void mf_run_want_no_read(struct mf_run *run);
/* The end of an active or waiting run. */
MF_LOOP void mf_run_finish(struct mf_run *run, int rc);
/* It ranked: finish, unless what it saw went meanwhile. */
MF_LOOP void mf_run_ranked(struct mf_run *run);
MF_LOOP void mf_run_restart(struct mf_run *run);

/* ---- library_stream.c ---- */

/* Begins a run that waits: through the store, or (partial) without it. */
MF_LOOP void mf_stream_run(struct mf_run *run, bool is_partial);
MF_LOOP void mf_stream_gather(struct mf_run *run);
/* The store is late: on without it. */
MF_LOOP void mf_stream_go_partial(struct mf_run *run);
MF_LOOP void mf_feed_stop(struct mf_run *run);
MF_LOOP void mf_feed_free(struct mf_feed *f);

#endif
