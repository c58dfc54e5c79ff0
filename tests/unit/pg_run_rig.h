/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_run_rig: the runner of Postgres jobs over a connection and a pool that do what the
 * case says. It takes the place of pg_conn and pg_pool, and of what libpq reads out of
 * a result, in the program it is linked into.
 *
 * Owns:    the loop, the lane, the one fake connection
 * Thread:  the case's, which becomes the loop thread
 * Limits:  one rig at a time
 * Fails:   through cmocka's assertions
 */
#ifndef PG_RUN_RIG_H
#define PG_RUN_RIG_H

#include "lib/loop_fixture.h"
#include "lib/mf_test.h"
#include "store/pg_run.h"

#define RIG_MAX_RUNS 8

struct rig_job { /* j->state of the verbs of a case */
    unsigned n_steps;
    int fail_step_at, fail_rows;
    int rc;                  /* of the end */
    size_t n_results;        /* that the last step saw */
    size_t n_rows, n_pieces; /* that the rows function saw */
    size_t enough_at;        /* it has enough at so many; 0: never */
    unsigned order;          /* of its end among all */
    bool in_order, waits_for_pause, is_done;
    struct mf_err err;
};

struct rig {
    struct mf_loop *loop;
    struct mf_pg_runner runner;
    struct mf_pg_env env;
    char sent[512];                     /* "BEGIN x COMMIT;": a round ends with ; */
    char asked[64];                     /* "ww": pools asked, in order */
    const char *fail_text, *fail_state; /* the statement that fails, and how */
    const char *lose_text;              /* the connection breaks at this one */
    const char *commit_says;            /* COMMIT */
    size_t n_rows;                      /* of a statement that streams */
    bool is_down, is_silent;            /* no connection; no answer */
    bool holds_asks;                    /* asks wait */
    bool lose_after_round;
    bool has_given;
    enum mf_pg_use use; /* with which the connection came back */
    _Atomic unsigned n_pauses;
    unsigned n_ended;
};

extern struct rig rig;

MF_ANY void rig_open(void) MF_ASSERTS_LOOP;
MF_LOOP void rig_close(void);
/* Begins; rig_wait for its end. */
MF_LOOP int rig_start(const struct mf_pg_verb *verb, struct rig_job *job);
MF_LOOP void rig_wait(const struct rig_job *job);
/* Both; the rc of the end. */
MF_LOOP int rig_run(const struct mf_pg_verb *verb, struct rig_job *job);

#endif
