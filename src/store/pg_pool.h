/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_pool: connections and who waits for one.
 *
 * At most `max` connections. Who asks gets an idle one, or a new one when there is
 * room, or waits: urgent ones first, else in order. A connection that is idle for
 * idle_ms, or older than age_ms (less up to a tenth, drawn for each, so that they do
 * not all go at once), or of whose last 16 uses more than half failed, is closed and
 * not given out.
 *
 * An attempt that fails while other connections work leaves who waits to those, and no
 * further one is made for the first backoff; without another connection it is the
 * answer of who waits longest.
 *
 * Down: a failed attempt to connect, and a use that ended with MF_PG_BLAME_SERVER or
 * _SETUP, counts for the pool's mf_dep (breaker). While it is open who asks gets
 * MF_EUNAVAILABLE with the last reason at once; after the backoff one attempt is made
 * as soon as somebody asks or by itself (a probe), and success lets all go on. Who asks
 * while the probe runs waits for its outcome. When it was uses that failed, the probe
 * is a use of the first who waits; without anybody it is a connection, after which the
 * first use that fails opens the breaker again, for longer.
 *
 * Owns:    connections, idle or lent
 * Thread:  loop
 * Limits:  `max` connections; the waiting line is bounded by whoever asks
 * Fails:   `got` with MF_EUNAVAILABLE, MF_EAUTH, MF_ETIMEOUT, MF_ECANCELED (closing)
 */
#ifndef MF_STORE_PG_POOL_H
#define MF_STORE_PG_POOL_H

#include "base/base.h"
#include "base/err.h"
#include "base/list.h"
#include "loop/dep.h"
#include "loop/lane.h"
#include "loop/loop.h"
#include "store/pg_conn.h"

struct mf_pg_pool;

struct mf_pg_pool_config {
    const char *name; /* "read", "write": for the log */
    struct mf_pg_conn_config conn;
    unsigned max;
    uint64_t idle_ms, age_ms; /* 0: no such limit */
    struct mf_dep_config dep;
};

struct mf_pg_ask { /* embedded in who asks; zeroed */
    /* Once, never before mf_pg_pool_ask returned: a ready connection, which is given
     * back, or NULL and why. */
    void (*got)(struct mf_pg_ask *a, struct mf_pg_conn *c, int rc,
                const struct mf_err *err);
    enum mf_urgency urgency;
    /* the pool's own */
    struct mf_link link;
};

enum mf_pg_use {                   /* how the use of a connection went */
                 MF_PG_USE_OK,     /* also a request that the server refused for its own
                                      fault */
                 MF_PG_USE_FAILED, /* the server's fault; the connection may be used
                                      again */
                 MF_PG_USE_LOST,   /* broken: close it; counts as failed */
                 MF_PG_USE_LATE /* no answer in time: cancel what runs (one cancel at a
                                   time: it may hold a pool thread) and close; counts as
                                   failed */
};

struct mf_pg_endpoint_stats {
    char name[80]; /* host:port */
    /* An attempt that ended at a later host failed at this one. */
    uint64_t n_connects, n_connect_failures, n_uses, n_failures;
};

struct mf_pg_pool_stats {
    unsigned n_open, n_idle, n_waiting;
    uint64_t n_uses, n_reuses; /* reuse: of a connection that had been used before */
    struct mf_pg_endpoint_stats endpoints[MF_PG_MAX_HOSTS];
    size_t n_endpoints;
};

MF_MUST MF_LOOP int mf_pg_pool_open(struct mf_pg_pool **out, struct mf_loop *l,
                                    const struct mf_pg_pool_config *cfg);
MF_LOOP void mf_pg_pool_ask(struct mf_pg_pool *p, struct mf_pg_ask *a);
/* Still waiting: it will not be called. */
MF_LOOP void mf_pg_pool_forget(struct mf_pg_pool *p, struct mf_pg_ask *a);
/* `err`: the reason, for all but OK. The connection is no longer the caller's. */
MF_LOOP void mf_pg_pool_give(struct mf_pg_pool *p, struct mf_pg_conn *c,
                             enum mf_pg_use use, const struct mf_err *err);
MF_LOOP const struct mf_dep *mf_pg_pool_health(const struct mf_pg_pool *p);
MF_LOOP const struct mf_err *mf_pg_pool_why(const struct mf_pg_pool *p); /* when down */
MF_LOOP void mf_pg_pool_stats(const struct mf_pg_pool *p, struct mf_pg_pool_stats *out);
/* How old a connection of age_ms gets: a tenth less at most. Pure. */
MF_ANY uint64_t mf_pg_pool_lifetime_ms(uint64_t age_ms, uint32_t chance);
/* Waiting ones end as canceled; all connections must have been given back. */
typedef void (*mf_pg_pool_closed_fn)(void *arg);
MF_LOOP void mf_pg_pool_close(struct mf_pg_pool *p, mf_pg_pool_closed_fn closed,
                              void *arg);

#endif
