/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn_kit: a connection to the test's own server, and what was heard from it.
 *
 * The program's statements are the kit's (enum conn_stmt), by the numbers of the first
 * of the store's: it brings its own mf_pg_sql().
 *
 * Owns:    struct conn_kit: loop, dsn, connection
 * Thread:  the case's, which becomes the loop thread
 * Limits:  MAX_HEARD results are kept, all are counted
 * Fails:   through cmocka's assertions
 */
#ifndef MF_CONN_KIT_H
#define MF_CONN_KIT_H

#include "lib/loop_fixture.h"
#include "store/pg_args.h"
#include "store/pg_conn.h"

#define MAX_HEARD 512

enum conn_stmt {
    T_NEXT,
    T_ECHO,
    T_ROWS,
    T_NO_TABLE,
    T_DIVIDE,
    T_SLEEP,
    T_CHANGING,
    CONN_STMT_COUNT
};

struct heard {
    size_t at;
    ExecStatusType status;
    char state[6];
    int64_t number; /* first column of the first row, when it is an int8 */
    char text[32];  /* else the text, cut */
};

struct peer {
    struct conn_kit *kit;
    struct mf_pg_conn *conn;
    struct heard heard[MAX_HEARD];
    size_t n_heard, n_rows, n_over, n_bytes;
    size_t in_turn, most_in_turn; /* results that came in one turn */
    size_t pause_every;
    bool is_ready, is_over, is_lost, is_closed, is_paused, closes_on_result;
    int rc;
    struct mf_err err;
};

struct conn_kit {
    struct mf_loop *loop;
    struct mf_pg_dsn dsn;
    struct mf_pg_conn_config cfg;
    struct mf_arena arena;
    struct mf_pg_round round;
    struct mf_turn_hook hook; /* counts turns */
    struct peer *counted;
    bool is_counting;
};

/* `dsn`: appended to the server's own; a whole one when it begins with '='. */
void conn_kit_open(struct conn_kit *k, const char *dsn) MF_ASSERTS_LOOP;
MF_LOOP void conn_kit_close(struct conn_kit *k);
/* Begins; wait for p->is_ready. */
MF_LOOP void peer_open(struct conn_kit *k, struct peer *p);
/* And is ready without an error. */
MF_LOOP void peer_ready(struct conn_kit *k, struct peer *p);
MF_LOOP void peer_close(struct peer *p, bool cancels);
/* The round: add to k->round, then send and wait for its end. */
MF_LOOP struct mf_pg_round *round_begin(struct conn_kit *k);
MF_LOOP void peer_send(struct peer *p);
MF_LOOP void peer_run(struct peer *p);
MF_LOOP void peer_text(struct peer *p, const char *text); /* one statement, run */
MF_LOOP int64_t peer_number(struct peer *p, const char *text);
MF_LOOP void run_turns(struct conn_kit *k, size_t n);
MF_LOOP void run_ms(struct conn_kit *k, uint64_t ms);

#endif
