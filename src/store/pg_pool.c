/* SPDX-License-Identifier: Apache-2.0 */
#include "store/pg_pool.h"

#include "base/id.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/pg_pool_priv.h"

/* --- who waits --- */

static size_t n_waiting(const struct mf_pg_pool *p)
{
    return p->line[MF_URGENT].n + p->line[MF_ORDINARY].n;
}

static struct mf_pg_ask *pop_ask(struct mf_pg_pool *p)
{
    struct mf_link *k = mf_list_pop_head(&p->line[MF_URGENT]);

    if (k == NULL) {
        k = mf_list_pop_head(&p->line[MF_ORDINARY]);
    }
    return k == NULL ? NULL : mf_container_of(k, struct mf_pg_ask, link);
}

MF_LOOP static void refuse_one(struct mf_pg_pool *p, int rc, const struct mf_err *why)
{
    struct mf_pg_ask *a = pop_ask(p);
    struct mf_err err = *why; /* `got` may change the pool's own */

    if (a != NULL) {
        err.code = rc;
        a->got(a, NULL, rc, &err);
    }
}

/* Those who wait now; who asks again from inside `got` has his answer in a later turn.
 */
MF_LOOP static void refuse_all(struct mf_pg_pool *p, int rc, const struct mf_err *why)
{
    for (size_t n = n_waiting(p); n > 0; n--) {
        refuse_one(p, rc, why);
    }
}

MF_LOOP static void lend(struct mf_pg_pool *p, struct mf_pg_member *m)
{
    struct mf_pg_ask *a = pop_ask(p);

    p->stats.n_uses++;
    p->stats.n_reuses += m->n_uses > 0;
    p->stats.endpoints[mf_pg_conn_host(m->conn)].n_uses++;
    m->n_uses++;
    a->got(a, m->conn, 0, NULL);
}

/* --- up and down --- */

static void log_change(struct mf_pg_pool *p)
{
    char why[MF_ERR_MAX];
    bool is_up = mf_dep_is_up(&p->dep);

    if (is_up == p->was_up) {
        return;
    }
    p->was_up = is_up;
    if (is_up) {
        mf_log_info("pg_up", "pool=%s", p->cfg.name);
    } else {
        mf_log_warn("pg_down", "pool=%s failures=%u err=%s", p->cfg.name,
                    p->dep.failures,
                    mf_log_quote(why, sizeof(why), p->why.msg, strlen(p->why.msg)));
    }
}

MF_LOOP static void count_failure(struct mf_pg_pool *p, const struct mf_err *err,
                                  bool in_use)
{
    uint32_t chance;

    mf_random(&chance, sizeof(chance));
    if (err != NULL) {
        p->why = *err;
    }
    p->failed_in_use = in_use;
    mf_dep_failed(&p->dep, mf_loop_now_ms(p->loop), chance);
    log_change(p);
}

static void count_success(struct mf_pg_pool *p)
{
    mf_dep_succeeded(&p->dep);
    log_change(p);
}

/* A connection says little when it was uses that failed: the next one decides. */
static void count_connection(struct mf_pg_pool *p, bool is_probe)
{
    if (!p->failed_in_use) {
        count_success(p);
    } else if (is_probe) {
        p->dep.state = MF_DEP_UP; /* its failures in a row stay */
        log_change(p);
    }
}

void mf_pg_pool_connected(struct mf_pg_pool *p, struct mf_pg_member *m)
{
    size_t host = mf_pg_conn_host(m->conn);
    bool is_probe = p->probe == m;

    for (size_t i = 0; i < host; i++) {
        p->stats.endpoints[i].n_connect_failures++;
    }
    p->stats.endpoints[host].n_connects++;
    mf_log_info("pg_connected", "pool=%s endpoint=%s ms=%llu", p->cfg.name,
                mf_pg_conn_endpoint(m->conn),
                (unsigned long long)(mf_loop_now_ms(p->loop) - m->started_ms));
    mf_pg_member_rest(m);
    if (is_probe) {
        p->probe = NULL;
    }
    if (!(is_probe && p->failed_in_use && n_waiting(p) > 0)) {
        count_connection(p, is_probe);
    }
    mf_pg_pool_wake(p);
}

static bool has_others(const struct mf_pg_pool *p)
{
    return p->idle.n + mf_pg_members_in(p, MF_PG_MEMBER_LENT) > 0;
}

void mf_pg_pool_refused(struct mf_pg_pool *p, struct mf_pg_member *m,
                        const struct mf_err *err)
{
    char why[MF_ERR_MAX];
    size_t host = mf_pg_conn_host(m->conn);

    for (size_t i = 0; i <= host; i++) {
        p->stats.endpoints[i].n_connect_failures++;
    }
    mf_log_limited(MF_LOG_WARN, "pg_connect_failed",
                   "pool=%s endpoint=%s code=%s err=%s", p->cfg.name,
                   mf_pg_conn_endpoint(m->conn), mf_code_name(err->code),
                   mf_log_quote(why, sizeof(why), err->msg, strlen(err->msg)));
    if (p->probe == m) {
        p->probe = NULL;
    }
    if (err->code != MF_ENOMEM) { /* our own lack: it says nothing of the server */
        count_failure(p, err, false);
    }
    if (!p->closing && !has_others(p)) {
        refuse_one(p, err->code, err);
    }
    mf_pg_member_close(m, false);
    p->grow_at_ms = mf_loop_now_ms(p->loop) + p->cfg.dep.first_backoff_ms;
    mf_pg_pool_wake(p);
}

/* --- the turn --- */

MF_LOOP static bool open_one(struct mf_pg_pool *p, struct mf_pg_member **out)
{
    struct mf_err err = {0};
    int rc = mf_pg_member_open(p, out);

    if (rc < 0) { /* as above */
        (void)mf_err_set(&err, rc, "%s", mf_code_sentence(rc));
        refuse_one(p, rc, &err);
    }
    return rc == 0;
}

MF_LOOP static void serve_up(struct mf_pg_pool *p)
{
    struct mf_pg_member *m;
    size_t wanted;

    while (n_waiting(p) > 0 && p->idle.n > 0 && mf_dep_is_up(&p->dep) && !p->closing) {
        lend(p, mf_pg_member_take(p));
    }
    if (has_others(p) && mf_loop_now_ms(p->loop) < p->grow_at_ms) {
        return;
    }
    wanted = mf_pg_members_in(p, MF_PG_MEMBER_OPENING);
    while (wanted < n_waiting(p) && p->members.n < p->cfg.max && open_one(p, &m)) {
        wanted++;
    }
}

MF_LOOP static void close_oldest(struct mf_pg_pool *p)
{
    struct mf_link *k = mf_list_head(&p->idle);

    if (k != NULL) {
        mf_pg_member_close(mf_container_of(k, struct mf_pg_member, idle_link), false);
    }
}

/* All lent, or on their way out: what becomes of those will tell, or wake us. */
MF_LOOP static void begin_probe(struct mf_pg_pool *p)
{
    struct mf_pg_member *m = NULL;

    if (n_waiting(p) > 0 && p->idle.n > 0) {
        p->probe = mf_pg_member_take(p);
        lend(p, p->probe);
    } else if (p->members.n == p->cfg.max) {
        close_oldest(p);
    } else if (open_one(p, &m)) {
        p->probe = m;
    }
}

MF_LOOP static void serve_down(struct mf_pg_pool *p)
{
    if (p->dep.state == MF_DEP_DOWN &&
        !mf_dep_may_call(&p->dep, mf_loop_now_ms(p->loop))) {
        refuse_all(p, MF_EUNAVAILABLE, &p->why);
    } else if (p->probe == NULL) {
        begin_probe(p);
    }
}

static void on_timer(uv_timer_t *timer);

MF_LOOP static void close_worn(struct mf_pg_pool *p)
{
    uint64_t now = mf_loop_now_ms(p->loop);

    mf_list_each_safe (&p->idle, k) {
        struct mf_pg_member *m = mf_container_of(k, struct mf_pg_member, idle_link);

        if (mf_pg_member_due_ms(m) <= now) {
            mf_pg_member_close(m, false);
        }
    }
}

/* Health returns without anybody asking: who looks at it may send nobody until then. */
static uint64_t next_due_ms(const struct mf_pg_pool *p)
{
    uint64_t now = mf_loop_now_ms(p->loop);
    uint64_t due = UINT64_MAX;

    mf_list_each (&p->idle, k) {
        const struct mf_pg_member *m =
            mf_container_of(k, struct mf_pg_member, idle_link);

        due = mf_min(due, mf_pg_member_due_ms(m));
    }
    if (p->dep.state == MF_DEP_DOWN) {
        due = mf_min(due, p->dep.retry_at_ms);
    } else if (p->dep.state == MF_DEP_PROBING && p->probe == NULL) {
        due = mf_min(due, now + p->cfg.dep.first_backoff_ms);
    } else if (n_waiting(p) > 0 && p->grow_at_ms > now) {
        due = mf_min(due, p->grow_at_ms);
    }
    return due;
}

MF_LOOP static void set_timer(struct mf_pg_pool *p)
{
    uint64_t now = mf_loop_now_ms(p->loop);
    uint64_t due = next_due_ms(p);

    if (due == UINT64_MAX) {
        (void)uv_timer_stop(&p->timer);
    } else {
        (void)uv_timer_start(&p->timer, on_timer, due > now ? due - now : 1, 0);
    }
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct mf_pg_pool *p = mf_container_of(handle, struct mf_pg_pool, timer);
    mf_pg_pool_closed_fn closed = p->closed;
    void *arg = p->closed_arg;

    mf_loop_assert(p->loop);
    mf_loop_forget_hook(p->loop, &p->hook);
    mf_free(p);
    if (closed != NULL) {
        closed(arg);
    }
}

MF_LOOP static void go_on_closing(struct mf_pg_pool *p)
{
    static const struct mf_err why = {.code = MF_ECANCELED,
                                      .msg = "the store is being closed"};

    refuse_all(p, MF_ECANCELED, &why);
    mf_list_each_safe (&p->members, k) {
        struct mf_pg_member *m = mf_container_of(k, struct mf_pg_member, link);

        MF_ASSERT(m->state != MF_PG_MEMBER_LENT);
        if (m->state != MF_PG_MEMBER_CLOSING) {
            mf_pg_member_close(m, false);
        }
    }
    if (p->members.n == 0 && n_waiting(p) == 0 && !p->timer_is_closing) {
        p->timer_is_closing = true;
        uv_close((uv_handle_t *)&p->timer, on_timer_closed);
    }
}

MF_LOOP static void turn(struct mf_pg_pool *p)
{
    if (!p->closing) {
        close_worn(p);
        if (mf_dep_is_up(&p->dep)) {
            serve_up(p);
        } else {
            serve_down(p);
        }
    }
    if (p->closing) {
        go_on_closing(p);
    } else {
        set_timer(p);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct mf_pg_pool *p = mf_container_of(timer, struct mf_pg_pool, timer);

    mf_loop_assert(p->loop);
    turn(p);
}

static void on_turn_end(struct mf_turn_hook *h)
{
    struct mf_pg_pool *p = mf_container_of(h, struct mf_pg_pool, hook);

    mf_loop_assert(p->loop);
    turn(p);
}

void mf_pg_pool_wake(struct mf_pg_pool *p)
{
    mf_loop_at_turn_end(p->loop, &p->hook);
}

/* --- the header's --- */

int mf_pg_pool_open(struct mf_pg_pool **out, struct mf_loop *l,
                    const struct mf_pg_pool_config *cfg)
{
    struct mf_pg_pool *p = mf_calloc(1, sizeof(*p));
    const struct mf_pg_dsn *d = cfg->conn.dsn;

    if (p == NULL) {
        return MF_ENOMEM;
    }
    p->loop = l;
    p->cfg = *cfg;
    p->cfg.max = mf_max(1U, cfg->max);
    p->hook.fn = on_turn_end;
    p->was_up = true;
    mf_list_init(&p->members);
    mf_list_init(&p->idle);
    mf_list_init(&p->line[MF_URGENT]);
    mf_list_init(&p->line[MF_ORDINARY]);
    mf_dep_init(&p->dep, &cfg->dep);
    MF_ASSERT(uv_timer_init(mf_loop_uv(l), &p->timer) == 0); /* never fails */
    p->stats.n_endpoints = d->n_hosts;
    for (size_t i = 0; i < d->n_hosts; i++) {
        mf_pg_host_show(d->hosts[i].name, d->hosts[i].port, p->stats.endpoints[i].name);
    }
    *out = p;
    return 0;
}

void mf_pg_pool_ask(struct mf_pg_pool *p, struct mf_pg_ask *a)
{
    mf_list_push_tail(&p->line[a->urgency], &a->link);
    mf_pg_pool_wake(p);
}

void mf_pg_pool_forget(struct mf_pg_pool *p, struct mf_pg_ask *a)
{
    if (mf_link_is_on(&a->link)) {
        mf_list_remove(&p->line[a->urgency], &a->link);
    }
}

static struct mf_pg_member *member_of(const struct mf_pg_pool *p,
                                      const struct mf_pg_conn *c)
{
    mf_list_each (&p->members, k) {
        struct mf_pg_member *m = mf_container_of(k, struct mf_pg_member, link);

        if (m->conn == c) {
            return m;
        }
    }
    return NULL;
}

MF_LOOP static void count_use(struct mf_pg_pool *p, struct mf_pg_member *m,
                              enum mf_pg_use use, const struct mf_err *err)
{
    bool has_failed = use != MF_PG_USE_OK;

    m->failures = (uint16_t)(m->failures << 1 | has_failed);
    if (p->probe == m) {
        p->probe = NULL;
    }
    if (has_failed) {
        p->stats.endpoints[mf_pg_conn_host(m->conn)].n_failures++;
        count_failure(p, err, true);
    } else {
        count_success(p);
    }
}

void mf_pg_pool_give(struct mf_pg_pool *p, struct mf_pg_conn *c, enum mf_pg_use use,
                     const struct mf_err *err)
{
    struct mf_pg_member *m = member_of(p, c);
    bool is_usable = use == MF_PG_USE_OK || use == MF_PG_USE_FAILED;

    MF_ASSERT(m != NULL && m->state == MF_PG_MEMBER_LENT);
    count_use(p, m, use, err);
    /* A transaction that nobody ended would swallow the next one's writes. */
    if (is_usable && !mf_pg_conn_in_transaction(c) &&
        !mf_pg_member_is_worn(m, mf_loop_now_ms(p->loop))) {
        mf_pg_member_rest(m);
    } else {
        mf_pg_member_close(m, use == MF_PG_USE_LATE);
    }
    mf_pg_pool_wake(p);
}

const struct mf_dep *mf_pg_pool_health(const struct mf_pg_pool *p)
{
    return &p->dep;
}

const struct mf_err *mf_pg_pool_why(const struct mf_pg_pool *p)
{
    return &p->why;
}

void mf_pg_pool_stats(const struct mf_pg_pool *p, struct mf_pg_pool_stats *out)
{
    *out = p->stats;
    out->n_idle = (unsigned)p->idle.n;
    out->n_open = out->n_idle + (unsigned)mf_pg_members_in(p, MF_PG_MEMBER_LENT);
    out->n_waiting = (unsigned)n_waiting(p);
}

void mf_pg_pool_close(struct mf_pg_pool *p, mf_pg_pool_closed_fn closed, void *arg)
{
    if (p->closing) {
        return;
    }
    p->closing = true;
    p->closed = closed;
    p->closed_arg = arg;
    mf_pg_pool_wake(p);
}
