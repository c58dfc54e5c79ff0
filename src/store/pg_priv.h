/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_priv: the Postgres store, between pg.c (requests), pg_ready.c (the schema, and
 * whether the database is there) and pg_open.c (opening and closing).
 *
 * Owns:    connections, runs, and requests from submit to done
 * Thread:  loop
 * Limits:  max_waiting requests that have no connection
 * Fails:   see store.h
 */
#ifndef MF_STORE_PG_PRIV_H
#define MF_STORE_PG_PRIV_H

#include "store/pg_dsn.h"
#include "store/pg_pool.h"
#include "store/pg_run.h"
#include "store/pg_schema.h"
#include "store/store.h"

/* What workers read. When the database has changed there is another one; runs that
 * began with the last one keep it, so each lives as long as the store. */
struct mf_pg_known {
    struct mf_pg_env env;
    struct mf_pg_known *older;
};

enum mf_pg_readiness {
    MF_PG_LOOKING, /* the schema is looked at: requests wait in the line */
    MF_PG_READY,
    MF_PG_FAILED /* the last look failed: requests fail until one succeeds */
};

struct mf_pg_store {
    struct mf_store base; /* first member */
    struct mf_pg_dsn dsn;
    struct mf_pg_known *known;
    struct mf_pg_runner runner;
    size_t max_waiting;
    unsigned n_conns;

    struct mf_list line;       /* requests, by their job's link */
    struct mf_turn_hook ender; /* of those in line */

    enum mf_pg_readiness readiness;
    char holder[sizeof(((struct mf_pg_schema *)NULL)->holder)];
    struct mf_pg_schema schema;
    struct mf_err look_err; /* of the look that runs */
    struct mf_err why;      /* of the last one that failed */
    bool is_looking;
    unsigned n_failed_looks; /* in a row */
    uint64_t looked_ms;
    struct mf_dep_config dep;
    uv_timer_t look_timer;

    bool is_closing, is_going;
    unsigned n_open_parts;
    mf_store_closed_fn closed;
    void *closed_arg;
};

/* --- requests (pg.c) */

MF_MUST MF_LOOP int mf_pg_submit(struct mf_store *base, struct mf_store_req *req);
MF_LOOP void mf_pg_let_go(struct mf_pg_store *s);   /* the line: each to its run */
MF_LOOP void mf_pg_end_line(struct mf_pg_store *s); /* at the end of this turn */

/* --- readiness (pg_ready.c) */

/* Looks at the schema and migrates it, now. */
MF_LOOP void mf_pg_look(struct mf_pg_store *s);
/* A request ended so: perhaps the schema is to be looked at again. */
MF_LOOP void mf_pg_heed(struct mf_pg_store *s, const struct mf_err *err);
MF_LOOP void mf_pg_health(const struct mf_store *base, struct mf_store_health *out);

/* --- the end (pg_open.c) */

MF_LOOP void mf_pg_close(struct mf_store *base, mf_store_closed_fn closed, void *arg);
/* A run is over: perhaps it was the last. */
MF_LOOP void mf_pg_close_parts(struct mf_pg_store *s);

#endif
