/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_code: what an error of the server means for us. Pure.
 *
 * Source of the states: PostgreSQL's table of error codes (appendix A of its manual),
 * and what Citus, Yugabyte and Cockroach send for the same events.
 *
 * Owns:    nothing
 * Thread:  any
 * Limits:  none
 * Fails:   never: an unknown state is MF_EDB
 */
#ifndef MF_STORE_PG_CODE_H
#define MF_STORE_PG_CODE_H

#include "base/base.h"
#include "base/err.h"

struct pg_result;

enum mf_pg_blame {
    MF_PG_BLAME_ROW,     /* this row, for ever: class 22, 23 but 23505 */
    MF_PG_BLAME_REQUEST, /* names taken (23505), canceled for its time (57014) */
    MF_PG_BLAME_MOMENT,  /* serialization, deadlock, lock timeout: soon again */
    MF_PG_BLAME_SERVER,  /* restarting, full, too many connections, read-only */
    MF_PG_BLAME_SETUP    /* password, database, privileges, table or column missing: a
                            person has to act; trying again at once is of no use */
};

struct mf_pg_meaning {
    int code; /* MF_E* */
    enum mf_pg_blame blame;
    bool is_lost;       /* the connection cannot be used any more */
    const char *advice; /* what to do, or NULL */
};

/* `state`: five characters; NULL or empty: the connection broke. */
MF_ANY const struct mf_pg_meaning *mf_pg_meaning(const char *state);
/* Writes the server's own sentence (never its DETAIL, which may quote a row), the state
 * and the advice into `err`; returns the code. err->sys is the state in base 36. */
MF_ANY int mf_pg_fail(const struct pg_result *res, struct mf_err *err);
/* What that result means: Citus has a state in common with defects. */
MF_ANY const struct mf_pg_meaning *mf_pg_meaning_of(const struct pg_result *res);
/* The server is there, but did not reach one that it keeps rows on. */
MF_ANY bool mf_pg_is_worker_away(const struct mf_err *err);
/* The server rolled it back for another's sake, a deadlock or an order that no two
 * could have had: nothing happened, and the same once more may go well at once. */
MF_ANY bool mf_pg_is_victim(const struct mf_err *err);
/* As mf_pg_fail, of a state and a sentence; `place`: behind the sentence. */
MF_ANY int mf_pg_fail_words(const char *state, const char *message, const char *place,
                            struct mf_err *err);
MF_ANY int mf_pg_state_number(const char *state); /* 5 characters in base 36 */
/* Leaves of a sentence about the server what its users' clients may read: no address,
 * no name of a user, database or table. The log has the whole of it. */
MF_ANY void mf_pg_hide(struct mf_err *err);

#endif
