/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_pool_priv: what the files of pg_pool share: pg_pool.c (who waits, breaker, line),
 * pg_member.c (one connection of the pool).
 *
 * Owns:    the pool's parts
 * Thread:  loop
 * Limits:  cfg.max members
 * Fails:   as pg_pool.h
 */
#ifndef MF_STORE_PG_POOL_PRIV_H
#define MF_STORE_PG_POOL_PRIV_H

#include "store/pg_pool.h"

enum mf_pg_member_state {
    MF_PG_MEMBER_OPENING,
    MF_PG_MEMBER_IDLE,
    MF_PG_MEMBER_LENT,
    MF_PG_MEMBER_CLOSING
};

struct mf_pg_member {
    struct mf_link link;      /* pool->members */
    struct mf_link idle_link; /* pool->idle */
    struct mf_pg_pool *pool;
    struct mf_pg_conn *conn;
    enum mf_pg_member_state state;
    uint64_t started_ms, idle_since_ms;
    uint64_t dies_at_ms; /* UINT64_MAX: of no age */
    uint64_t n_uses;
    uint16_t failures; /* one bit a use, the last one lowest */
    bool is_lost, cancels;
};

struct mf_pg_pool {
    struct mf_loop *loop;
    struct mf_pg_pool_config cfg;
    struct mf_list members, idle; /* idle: the one used last at the tail */
    struct mf_list line[MF_ORDINARY + 1];
    struct mf_dep dep;
    struct mf_err why;
    struct mf_pg_member *probe; /* while it runs */
    bool failed_in_use;         /* the last failure: a use, not an attempt */
    bool was_up;
    uint64_t grow_at_ms; /* no attempt before, while other connections work */
    uv_timer_t timer;
    struct mf_turn_hook hook;
    unsigned n_canceling;
    struct mf_pg_pool_stats stats; /* counters */

    bool closing, timer_is_closing;
    mf_pg_pool_closed_fn closed;
    void *closed_arg;
};

/* pg_member.c */
MF_MUST MF_LOOP int mf_pg_member_open(struct mf_pg_pool *p, struct mf_pg_member **out);
/* Idle, its events the pool's again. */
MF_LOOP void mf_pg_member_rest(struct mf_pg_member *m);
/* The one used last, or NULL. */
MF_LOOP struct mf_pg_member *mf_pg_member_take(struct mf_pg_pool *p);
MF_LOOP void mf_pg_member_close(struct mf_pg_member *m, bool cancels);
MF_ANY bool mf_pg_member_is_worn(const struct mf_pg_member *m, uint64_t now_ms);
MF_ANY uint64_t mf_pg_member_due_ms(const struct mf_pg_member *m);
MF_ANY size_t mf_pg_members_in(const struct mf_pg_pool *p,
                               enum mf_pg_member_state state);

/* pg_pool.c: what became of an attempt; closed ones are freed behind it. */
MF_LOOP void mf_pg_pool_connected(struct mf_pg_pool *p, struct mf_pg_member *m);
MF_LOOP void mf_pg_pool_refused(struct mf_pg_pool *p, struct mf_pg_member *m,
                                const struct mf_err *err);
MF_LOOP void mf_pg_pool_wake(struct mf_pg_pool *p); /* at the end of this turn */

#endif
