/* SPDX-License-Identifier: Apache-2.0 */
/* pg_run_priv: a run, between pg_run.c (its way) and pg_runner.c (its clock). */
#ifndef MF_STORE_PG_RUN_PRIV_H
#define MF_STORE_PG_RUN_PRIV_H

#include "store/pg_run.h"

enum mf_pg_next {
    MF_PG_NEXT_STEP, /* the verb looks at the results */
    MF_PG_NEXT_SEND, /* a round is there */
    MF_PG_NEXT_END
};

struct mf_pg_piece {
    PGresult **rows;
    size_t n, cap, bytes;
};

struct mf_pg_run {
    struct mf_pg_runner *runner;
    struct mf_pg_run_spec spec;
    struct mf_link link;      /* in runner->runs */
    struct mf_link wait_link; /* in runner->waiting while the server works */
    uint64_t due_ms;

    /* a worker's while is_working */
    struct mf_pg_job job;
    struct mf_job work;
    struct mf_arena args;
    struct mf_pg_piece handed;
    int worker_rc;
    bool is_working;

    enum mf_pg_next next;
    bool has_begin, has_commit; /* the round has them around the verb's statements */
    bool is_begun, is_committed;
    size_t n_calls;    /* of the round, with them */
    unsigned n_rounds; /* answered */
    PGresult **results;
    size_t n_results, results_cap;
    struct mf_pg_piece filling; /* rows as they come */
    bool is_enough;             /* no more of them are wanted */

    struct mf_pg_pool *pool;
    struct mf_pg_ask ask;
    struct mf_pg_conn *conn; /* NULL: not yet, or not any more */
    bool is_asking, is_in_round, is_paused, is_rolling_back;
    enum mf_pg_use use;
    struct mf_err gone; /* why there is no connection */

    int rc; /* the first failure, with its sentence unless the verb wrote it */
    struct mf_err err;
};

/* The first failure counts; `err` NULL: the verb wrote the sentence. */
MF_LOOP void mf_pg_run_fail(struct mf_pg_run *run, int rc, const struct mf_err *err);
MF_LOOP void mf_pg_run_fail_closing(struct mf_pg_run *run, int rc);
MF_LOOP void mf_pg_run_give_back(struct mf_pg_run *run, enum mf_pg_use use);
/* Does what is next; the run may be over and gone afterwards. */
MF_LOOP void mf_pg_run_proceed(struct mf_pg_run *run);
/* Somebody began to wait for the server. */
MF_LOOP void mf_pg_runner_set_clock(struct mf_pg_runner *r);

#endif
