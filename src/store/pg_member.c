/* SPDX-License-Identifier: Apache-2.0 */
#include "base/id.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/pg_pool_priv.h"

#define MAX_FAILURES 8 /* of the last 16 uses: half */

static void on_ready(MF_UNUSED struct mf_pg_conn *c, int rc, const struct mf_err *err,
                     void *arg)
{
    struct mf_pg_member *m = arg;

    mf_loop_assert(m->pool->loop);
    if (rc < 0) {
        mf_pg_pool_refused(m->pool, m, err);
    } else {
        mf_pg_pool_connected(m->pool, m);
    }
}

/* Nobody's: who borrows a connection sets his own events before he sends. */
static void on_result(MF_UNUSED struct mf_pg_conn *c, MF_UNUSED size_t at,
                      PGresult *res, MF_UNUSED void *arg)
{
    PQclear(res);
}

static void on_round_over(MF_UNUSED struct mf_pg_conn *c, MF_UNUSED void *arg)
{
}

static void on_lost(struct mf_pg_conn *c, const struct mf_err *err, void *arg)
{
    struct mf_pg_member *m = arg;
    char why[MF_ERR_MAX];

    mf_loop_assert(m->pool->loop);
    mf_log_limited(MF_LOG_INFO, "pg_lost", "pool=%s endpoint=%s err=%s",
                   m->pool->cfg.name, mf_pg_conn_endpoint(c),
                   mf_log_quote(why, sizeof(why), err->msg, strlen(err->msg)));
    m->is_lost = true;
    if (m->state == MF_PG_MEMBER_IDLE) {
        mf_pg_member_close(m, false);
    }
}

static struct mf_pg_conn_events events_of(struct mf_pg_member *m)
{
    return (struct mf_pg_conn_events){.ready = on_ready,
                                      .result = on_result,
                                      .round_over = on_round_over,
                                      .lost = on_lost,
                                      .arg = m};
}

uint64_t mf_pg_pool_lifetime_ms(uint64_t age_ms, uint32_t chance)
{
    uint64_t age = mf_min(age_ms, UINT32_MAX); /* the product fits */

    return age_ms - (((age / 10 + 1) * chance) >> 32);
}

int mf_pg_member_open(struct mf_pg_pool *p, struct mf_pg_member **out)
{
    struct mf_pg_member *m = mf_calloc(1, sizeof(*m));
    struct mf_pg_conn_events events;
    int rc;

    if (m == NULL) {
        return MF_ENOMEM;
    }
    m->pool = p;
    m->started_ms = mf_loop_now_ms(p->loop);
    events = events_of(m);
    rc = mf_pg_conn_open(&m->conn, p->loop, &p->cfg.conn, &events);
    if (rc < 0) {
        mf_free(m);
        return rc;
    }
    mf_list_push_tail(&p->members, &m->link);
    *out = m;
    return 0;
}

MF_LOOP static void begin_life(struct mf_pg_member *m)
{
    uint64_t age_ms = m->pool->cfg.age_ms;
    uint32_t chance;

    mf_random(&chance, sizeof(chance));
    m->dies_at_ms = age_ms == 0 ? UINT64_MAX
                                : mf_pg_conn_opened_ms(m->conn) +
                                      mf_pg_pool_lifetime_ms(age_ms, chance);
}

void mf_pg_member_rest(struct mf_pg_member *m)
{
    struct mf_pg_conn_events events = events_of(m);

    if (m->state == MF_PG_MEMBER_OPENING) {
        begin_life(m);
    } else {
        mf_pg_conn_set_events(m->conn, &events);
    }
    m->state = MF_PG_MEMBER_IDLE;
    m->idle_since_ms = mf_loop_now_ms(m->pool->loop);
    mf_list_push_tail(&m->pool->idle, &m->idle_link);
}

/* The others get older at rest until they are not needed any more. */
struct mf_pg_member *mf_pg_member_take(struct mf_pg_pool *p)
{
    struct mf_link *k = mf_list_tail(&p->idle);
    struct mf_pg_member *m;

    if (k == NULL) {
        return NULL;
    }
    m = mf_container_of(k, struct mf_pg_member, idle_link);
    mf_list_remove(&p->idle, k);
    m->state = MF_PG_MEMBER_LENT;
    return m;
}

static void on_closed(void *arg)
{
    struct mf_pg_member *m = arg;
    struct mf_pg_pool *p = m->pool;

    mf_loop_assert(p->loop);
    mf_list_remove(&p->members, &m->link);
    p->n_canceling -= m->cancels;
    mf_free(m);
    mf_pg_pool_wake(p);
}

void mf_pg_member_close(struct mf_pg_member *m, bool cancels)
{
    struct mf_pg_pool *p = m->pool;

    if (m->state == MF_PG_MEMBER_IDLE) {
        mf_list_remove(&p->idle, &m->idle_link);
    }
    m->state = MF_PG_MEMBER_CLOSING;
    /* One at a time: telling a server that hangs may hold a pool thread for long, and
     * the others end by their statement_timeout. */
    m->cancels = cancels && p->n_canceling == 0;
    p->n_canceling += m->cancels;
    mf_pg_conn_close(m->conn, m->cancels, on_closed, m);
}

/* Not to be given out again. */
bool mf_pg_member_is_worn(const struct mf_pg_member *m, uint64_t now_ms)
{
    return m->is_lost || now_ms >= m->dies_at_ms ||
           __builtin_popcount(m->failures) > MAX_FAILURES;
}

uint64_t mf_pg_member_due_ms(const struct mf_pg_member *m)
{
    uint64_t idle_ms = m->pool->cfg.idle_ms;

    return idle_ms == 0 ? m->dies_at_ms
                        : mf_min(m->dies_at_ms, m->idle_since_ms + idle_ms);
}

size_t mf_pg_members_in(const struct mf_pg_pool *p, enum mf_pg_member_state state)
{
    size_t n = 0;

    mf_list_each (&p->members, k) {
        n += mf_container_of(k, struct mf_pg_member, link)->state == state;
    }
    return n;
}
