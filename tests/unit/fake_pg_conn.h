/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_pg_conn: pg_conn.h without a server, for what stands above it. Linked instead of
 * pg_conn*.c.
 *
 * A connection is ready (or not, fake_pg.rc) at the end of the turn in which it was
 * opened, unless fake_pg.holds: then when fake_pg_answer says so.
 *
 * Owns:    the connections between open and closed
 * Thread:  loop
 * Limits:  MAX_FAKES connections at once
 * Fails:   an assertion when there are more
 */
#ifndef MF_FAKE_PG_CONN_H
#define MF_FAKE_PG_CONN_H

#include "store/pg_conn.h"

#define MAX_FAKES 32

struct fake_pg {
    int rc; /* of the attempts from now on */
    size_t host;
    bool holds, in_transaction;
    /* what happened */
    size_t n_opened, n_live, most_live, n_closed, n_canceled;
    struct mf_pg_conn *live[MAX_FAKES]; /* in order of opening; NULL: closed */
};

extern struct fake_pg fake_pg;

MF_LOOP void fake_pg_answer(struct mf_pg_conn *c, int rc); /* at the end of the turn */
MF_LOOP void fake_pg_lose(struct mf_pg_conn *c);
/* The k-th that is alive, from 0. */
MF_LOOP struct mf_pg_conn *fake_pg_live(size_t k);

#endif
