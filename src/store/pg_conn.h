/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_conn: one connection to the database, never waited for: libpq on uv_poll.
 *
 * Names are resolved by uv_getaddrinfo for each attempt (libpq itself would block),
 * then PQconnectStart/PQconnectPoll, whose steps run on a pool thread (certificates,
 * TLS and SCRAM take milliseconds); after that the settings of a session in one round
 * (statement_timeout and idle_in_transaction_session_timeout, lock_timeout), and it is
 * ready. It lives in pipeline mode. One round runs at a time.
 *
 * All addresses of all hosts share the time: one that is silent leaves their part to
 * those behind it, and names that have no answer in half of it are left out.
 *
 * Owns:    the PGconn, its uv_poll_t and uv_timer_t
 * Thread:  loop; cancel and steps of connecting run on a pool thread
 * Limits:  connect_timeout_ms (the dsn's own connect_timeout when it has one) from open
 * to ready; 256 results a callback
 * Fails:   `ready` or `lost` with MF_EUNAVAILABLE, MF_ETIMEOUT, MF_EAUTH (what the
 * server said of a password or a missing database), MF_EDB
 */
#ifndef MF_STORE_PG_CONN_H
#define MF_STORE_PG_CONN_H

#include "base/base.h"
#include "base/err.h"
#include "loop/loop.h"
#include "store/pg_args.h"
#include "store/pg_dsn.h"

#include <libpq-fe.h>

struct mf_pg_conn;

struct mf_pg_conn_config {
    const struct mf_pg_dsn *dsn; /* outlives the connection */
    uint64_t connect_timeout_ms, statement_timeout_ms, lock_timeout_ms;
};

/* Called on the loop, never before the function that asked for it returned; each may
 * close the connection, none is called after mf_pg_conn_close. */
struct mf_pg_conn_events {
    /* Once: it can be used, or why not (err; then close it). */
    void (*ready)(struct mf_pg_conn *c, int rc, const struct mf_err *err, void *arg);
    /* One result, in order; the callee's to PQclear. `at`: which call of the round. A
     * call that streams gives one result a row (PGRES_SINGLE_TUPLE), then an empty
     * PGRES_TUPLES_OK. What follows a failed call comes as PGRES_PIPELINE_ABORTED. */
    void (*result)(struct mf_pg_conn *c, size_t at, PGresult *res, void *arg);
    /* All results of the round have been given; the next one may be sent. */
    void (*round_over)(struct mf_pg_conn *c, void *arg);
    /* The connection broke, in a round or idle: its outcome is unknown. Close it. So
     * does a session that lost our prepared statements (a pooler), or whose plans no
     * longer fit the tables. */
    void (*lost)(struct mf_pg_conn *c, const struct mf_err *err, void *arg);
    void *arg;
};

MF_MUST MF_LOOP int mf_pg_conn_open(struct mf_pg_conn **out, struct mf_loop *l,
                                    const struct mf_pg_conn_config *cfg,
                                    const struct mf_pg_conn_events *events);
/* Later rounds may be others': the events of the next ones. */
MF_LOOP void mf_pg_conn_set_events(struct mf_pg_conn *c,
                                   const struct mf_pg_conn_events *events);
/* Copies the round into libpq's buffer and begins to send; of one that copies, the
 * calls and their data stay until round_over. On an error nothing was sent. */
MF_MUST MF_LOOP int mf_pg_conn_send(struct mf_pg_conn *c, const struct mf_pg_round *r,
                                    struct mf_err *err);
/* While paused nothing is read: whoever takes the rows is not ready for more. */
MF_LOOP void mf_pg_conn_pause(struct mf_pg_conn *c, bool pause);
MF_LOOP bool mf_pg_conn_in_transaction(const struct mf_pg_conn *c);
/* Of the server that answered: "host:port", and where it is in the dsn's hosts. */
MF_LOOP const char *mf_pg_conn_endpoint(const struct mf_pg_conn *c);
MF_LOOP size_t mf_pg_conn_host(const struct mf_pg_conn *c);
MF_LOOP uint64_t mf_pg_conn_opened_ms(const struct mf_pg_conn *c);
/* `cancels`: the server is told (PQcancel, on a pool thread) to give up what runs,
 * before the connection is closed. `closed` (may be NULL) once all is gone, never
 * before this returns. */
typedef void (*mf_pg_conn_closed_fn)(void *arg);
MF_LOOP void mf_pg_conn_close(struct mf_pg_conn *c, bool cancels,
                              mf_pg_conn_closed_fn closed, void *arg);

#endif
