/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_run: runs jobs (pg_job.h): a connection of the pool, the rounds of the verb, its
 * steps on workers, the deadline, and what the outcome says about the connection.
 *
 * An answer that does not come within deadline_ms of the round's sending is
 * MF_ETIMEOUT: the statement is canceled on the server and the connection closed. A
 * connection that breaks is MF_EUNAVAILABLE: whether the transaction was committed is
 * not known, and the request may be sent again since each verb is idempotent.
 *
 * Owns:    runs: from start to done
 * Thread:  loop; steps on the lane
 * Limits:  the pool's
 * Fails:   MF_ENOMEM from start; the verb's and the server's codes in `done`
 */
#ifndef MF_STORE_PG_RUN_H
#define MF_STORE_PG_RUN_H

#include "base/base.h"
#include "loop/lane.h"
#include "store/pg_job.h"
#include "store/pg_pool.h"

struct mf_pg_runner { /* the parts it works with; outlive all runs */
    struct mf_loop *loop;
    struct mf_lane *lane; /* of the steps */
    struct mf_pg_pool *reads, *writes;
    const struct mf_pg_env *env;
    uint64_t deadline_ms;
    size_t n_running;
    /* the runner's own */
    struct mf_list runs;
    struct mf_list waiting; /* for an answer of the server; the oldest first */
    uv_timer_t timer;       /* of the first of them */
    void (*closed)(void *arg);
    void *closed_arg;
};

/* The parts above n_running are filled in. */
MF_LOOP void mf_pg_runner_open(struct mf_pg_runner *r);
/* Those that have no connection yet end with MF_ECANCELED, before this returns when no
 * step of theirs runs. */
MF_LOOP void mf_pg_runner_cancel(struct mf_pg_runner *r);
/* No run is left. `closed` later; the runner is its owner's again. */
MF_LOOP void mf_pg_runner_close(struct mf_pg_runner *r, void (*closed)(void *arg),
                                void *arg);

struct mf_pg_run;
typedef void (*mf_pg_run_done_fn)(void *arg, int rc);

/* `req` may be NULL (then `err` is where the sentence goes, and `state` what the verb
 * finds in j->state, and it goes through the writers' pool). `done` once, later; the
 * run may be over and gone by then. Writes ask for their connection in the order in
 * which they were begun. */
struct mf_pg_run_spec {
    const struct mf_pg_verb *verb;
    struct mf_store_req *req;
    void *state;
    struct mf_err *err;
    enum mf_urgency urgency;
    mf_pg_run_done_fn done;
    void *arg;
};

MF_MUST MF_LOOP int mf_pg_run(struct mf_pg_runner *r,
                              const struct mf_pg_run_spec *spec);

#endif
