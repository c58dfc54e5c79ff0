/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_conn_priv: what the files of pg_conn share: pg_conn.c (rounds), pg_conn_copy.c
 * (rounds that copy), pg_conn_open.c
 * (names, connecting), pg_conn_names.c (the resolver), pg_conn_close.c (cancel, end).
 *
 * libpq's steps of connecting run on a pool thread, one at a time, the socket is waited
 * for on the loop: reading .pgpass and a bundle of certificates, TLS and SCRAM together
 * hold a thread for tens of milliseconds. While a step runs `pg` is the step's.
 *
 * Owns:    the connection's parts
 * Thread:  loop, but for step.* and cancel.* while their work runs
 * Limits:  MF_PG_MAX_TARGETS addresses an attempt
 * Fails:   as pg_conn.h
 */
#ifndef MF_STORE_PG_CONN_PRIV_H
#define MF_STORE_PG_CONN_PRIV_H

#include "base/str.h"
#include "store/pg_conn.h"
#include "store/pg_sql.h"

#define MF_PG_MAX_TARGETS 64
#define MF_PG_ADDRESS     64 /* of a numeric address with its scope */

enum mf_pg_conn_state {
    MF_PG_RESOLVING,
    MF_PG_CONNECTING,
    MF_PG_SETTING, /* the settings of the session run as a round */
    MF_PG_READY
};

/* A uv_poll_t belongs to one socket; libpq may change sockets in each step. */
struct mf_pg_watch {
    uv_poll_t poll;
    struct mf_pg_conn *conn;
    int events;
};

struct mf_pg_name { /* one question to the resolver */
    uv_getaddrinfo_t req;
    struct mf_pg_conn *conn;
    struct addrinfo *found;
    int rc;
    bool is_pending;
};

struct mf_pg_target { /* where an attempt goes */
    size_t host;      /* in the dsn */
    char addr[MF_PG_ADDRESS];
};

/* What a round's results belong to, in order. */
struct mf_pg_expected {
    uint32_t call;
    uint16_t stmt;
    bool is_prepare, streams;
    bool has_result; /* the NULL that follows ends it */
    bool is_over;    /* its prepare failed, which was its result */
};

struct mf_pg_step {
    uv_work_t req;
    PGconn *pg; /* NULL: begin */
    PostgresPollingStatusType status;
    /* of the beginning */
    const char *keywords[MF_PG_MAX_WORDS + 4], *values[MF_PG_MAX_WORDS + 4];
    struct mf_buf hosts, addrs, ports; /* libpq's lists */
};

struct mf_pg_cancel {
    uv_work_t req;
    PGcancel *request;
};

struct mf_pg_conn {
    struct mf_loop *loop;
    struct mf_pg_conn_config cfg;
    struct mf_pg_conn_events events;
    enum mf_pg_conn_state state;
    PGconn *pg;
    struct mf_pg_watch *watch;
    uv_timer_t timer;
    struct mf_turn_hook hook;
    struct mf_err err; /* why it broke */
    bool is_broken, is_told;
    char endpoint[MF_PG_ENDPOINT];
    size_t host;
    uint64_t deadline_ms, opened_ms;
    /* what the server said before it hung up, which libpq takes for a notice */
    char last_words[MF_ERR_MAX];

    /* open */
    struct mf_pg_name names[MF_PG_MAX_HOSTS];
    struct mf_pg_target targets[MF_PG_MAX_TARGETS];
    size_t n_targets, first, current; /* of the attempt that runs */
    struct mf_pg_step step;
    bool is_stepping;
    bool has_expired; /* the share of the time that names, or this target, had */

    /* rounds */
    uint8_t is_prepared[MF_PG_STMT_COUNT];
    struct mf_pg_expected *expected;
    size_t expected_cap, n_expected, at;
    const struct mf_pg_call *copying; /* the calls of a round that copies, else NULL */
    bool in_round, is_paused, wants_write;
    bool has_more;  /* results that wait for the next turn */
    bool has_ended; /* nothing more can be read from the socket */
    bool is_unset;  /* the server refused a setting */

    /* end */
    bool closing;
    mf_pg_conn_closed_fn closed;
    void *closed_arg;
    struct mf_pg_cancel cancel;
    bool is_canceling;
    unsigned n_open_handles;
};

/* pg_conn.c */
/* Waits for `events` of `pg`'s socket. Unwatch before libpq may close it. */
MF_MUST MF_LOOP int mf_pg_watch(struct mf_pg_conn *c, int events, uv_poll_cb on_poll);
MF_LOOP void mf_pg_unwatch(struct mf_pg_conn *c);
/* Connected: sends the settings. */
MF_LOOP void mf_pg_conn_settle(struct mf_pg_conn *c);
/* Tells `ready` or `lost` at the end of this turn, once; why is in c->err. */
MF_LOOP void mf_pg_conn_break(struct mf_pg_conn *c);
MF_ANY void mf_pg_quiet(void *arg, const PGresult *res); /* arg: the connection */

/* pg_conn_copy.c */
MF_ANY bool mf_pg_round_copies(const struct mf_pg_round *r);
/* Out of the pipeline, and all texts of the round as one query. */
MF_LOOP bool mf_pg_send_texts(struct mf_pg_conn *c, const struct mf_pg_round *r);
MF_LOOP bool mf_pg_feed_copy(struct mf_pg_conn *c, struct mf_slice data);

/* pg_conn_names.c */
/* Asks for all names; false when there is none to ask for. */
MF_LOOP bool mf_pg_names_ask(struct mf_pg_conn *c);
MF_LOOP size_t mf_pg_names_pending(const struct mf_pg_conn *c);
/* The addresses that are known by now, as targets. */
MF_LOOP void mf_pg_names_collect(struct mf_pg_conn *c);
MF_LOOP void mf_pg_names_forget(struct mf_pg_conn *c);

/* pg_conn_open.c */
MF_LOOP void mf_pg_conn_begin(struct mf_pg_conn *c);
/* All names have an answer, or their time is over. */
MF_LOOP void mf_pg_conn_resolved(struct mf_pg_conn *c);

/* pg_conn_error.c: what libpq says of a failed attempt (made with PQERRORS_VERBOSE), as
 * a code and a sentence of one line. */
MF_ANY int mf_pg_connect_error(const PGconn *pg, struct mf_err *err);
MF_ANY int mf_pg_connect_meaning(const char *message, bool needs_password,
                                 struct mf_err *err);

/* pg_conn_close.c */
/* Frees it when nothing runs any more. */
MF_LOOP void mf_pg_conn_release(struct mf_pg_conn *c);

#endif
