/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_pool_rig: a pool above connections that need no server, and who asks it.
 *
 * Owns:    loop, pool, dsn
 * Thread:  the case's, which becomes the loop thread
 * Limits:  N_ASKS askers; long times, of which a case makes short what it looks at
 * Fails:   through cmocka's assertions
 */
#ifndef MF_PG_POOL_RIG_H
#define MF_PG_POOL_RIG_H

#include "lib/loop_fixture.h"
#include "store/pg_pool.h"
#include "unit/fake_pg_conn.h"

#define N_ASKS 16

struct rig;

struct asker {
    struct mf_pg_ask ask;
    struct rig *rig;
    struct mf_pg_conn *conn;
    bool has_answer, gives_at_once;
    int rc;
    size_t order; /* when it was answered: 1, 2, .. */
    char why[MF_ERR_MAX];
};

struct rig {
    struct mf_loop *loop;
    struct mf_pg_dsn dsn;
    struct mf_pg_pool_config cfg;
    struct mf_pg_pool *pool;
    struct asker askers[N_ASKS];
    size_t n_answers;
    bool is_closed;
};

/* Three hosts, three connections, three failures open the breaker. */
void rig_init(struct rig *r) MF_ASSERTS_LOOP;
MF_LOOP void rig_open(struct rig *r);
void on_rig_closed(void *arg); /* arg: the rig */
/* And nothing is left. */
MF_LOOP void rig_close(struct rig *r);
MF_LOOP struct asker *ask(struct rig *r, size_t i, enum mf_urgency urgency);
MF_LOOP struct asker *answered(struct rig *r, size_t i); /* ask, and wait */
MF_LOOP void give(struct rig *r, struct asker *a, enum mf_pg_use use);
MF_LOOP void use(struct rig *r, enum mf_pg_use use); /* ask, wait, give */
MF_LOOP void turns(struct rig *r, size_t n);
/* Up to a minute; the case itself asserts no time. */
MF_LOOP void wait_for(struct rig *r, const size_t *count, size_t least);
MF_LOOP void wait_count(struct rig *r, const size_t *count, size_t wanted);
MF_LOOP enum mf_dep_state health_of(const struct rig *r);

#endif
