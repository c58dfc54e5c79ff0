/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run_kit: the runner of Postgres jobs on the test's own server, with verbs that are
 * told what to say.
 *
 * Owns:    loop, pools, lane and runner between open and close
 * Thread:  the case's, which becomes the loop thread
 * Limits:  one kit a case
 * Fails:   through cmocka's assertions
 */
#ifndef RUN_KIT_H
#define RUN_KIT_H

#include "lib/loop_fixture.h"
#include "lib/mf_test.h"
#include "store/pg_dsn.h"
#include "store/pg_run.h"

struct run_kit {
    struct mf_loop *loop;
    struct mf_pg_dsn dsn;
    struct mf_pg_env env;
    struct mf_pg_runner runner;
};

/* What a job says: a round for each text, up to NULL. */
struct run_job {
    const char *rounds[4];
    bool is_last; /* the commit goes along with the first */
    bool streams;
    unsigned n_steps;
    size_t n_rows, enough_at;
    bool in_order;
    char value[64]; /* first of the last round's first row */
    bool is_done;
    int rc;
    struct mf_err err;
};

MF_ANY void run_kit_open(struct run_kit *k) MF_ASSERTS_LOOP;
MF_LOOP void run_kit_close(struct run_kit *k);
MF_LOOP int run_kit_write(struct run_kit *k, struct run_job *job);
MF_LOOP int run_kit_read(struct run_kit *k, struct run_job *job);
/* One statement that must succeed; its first value, a bigint. */
MF_LOOP int64_t run_kit_ask(struct run_kit *k, const char *sql);
MF_LOOP void run_kit_do(struct run_kit *k, const char *sql);

#endif
