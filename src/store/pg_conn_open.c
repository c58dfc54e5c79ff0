/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "store/pg_conn_priv.h"

MF_LOOP static void attempt(struct mf_pg_conn *c);
static void on_late(uv_timer_t *timer);

/* Many hosts share the time, so that the last one too is tried in it. */
MF_LOOP static void arm(struct mf_pg_conn *c, size_t shares)
{
    uint64_t now = mf_loop_now_ms(c->loop);
    uint64_t left = c->deadline_ms > now ? c->deadline_ms - now : 0;

    (void)uv_timer_start(&c->timer, on_late, mf_max(1, left / shares), 0);
}

MF_LOOP static void fail(struct mf_pg_conn *c, int code, const char *what)
{
    (void)mf_err_set(&c->err, code, "%s: %s", c->endpoint, what);
    mf_pg_conn_break(c);
}

MF_LOOP static void fail_late(struct mf_pg_conn *c, const char *what)
{
    (void)mf_err_set(&c->err, MF_ETIMEOUT, "%s: %s within %llu ms", c->endpoint, what,
                     (unsigned long long)c->cfg.connect_timeout_ms);
    mf_pg_conn_break(c);
}

MF_LOOP static void set_host(struct mf_pg_conn *c, size_t host)
{
    const struct mf_pg_host *h = &c->cfg.dsn->hosts[host];

    c->host = host;
    mf_pg_host_show(h->name, h->port, c->endpoint);
}

static bool is_target(const struct mf_pg_conn *c, size_t i)
{
    const struct mf_pg_target *t = &c->targets[i];
    const struct mf_pg_host *h = &c->cfg.dsn->hosts[t->host];
    const char *addr = PQhostaddr(c->pg);
    const char *name = PQhost(c->pg);
    const char *port = PQport(c->pg);

    if (name == NULL || port == NULL || strcmp(port, h->port) != 0) {
        return false;
    }
    if (addr != NULL && addr[0] != '\0' && t->addr[0] != '\0') {
        return strcmp(addr, t->addr) == 0 && strcmp(name, h->name) == 0;
    }
    return strcmp(name, h->name) == 0 || h->name[0] == '\0';
}

/* Which of the addresses libpq is at now. */
MF_LOOP static void follow(struct mf_pg_conn *c)
{
    for (size_t i = c->first; i < c->n_targets; i++) {
        if (!is_target(c, i)) {
            continue;
        }
        if (i != c->current) {
            c->current = i;
            set_host(c, c->targets[i].host);
            arm(c, c->n_targets - i);
        }
        return;
    }
}

/* The one that is tried took its share of the time: on with those behind it. */
MF_LOOP static void next_target(struct mf_pg_conn *c)
{
    mf_pg_unwatch(c);
    PQfinish(c->pg);
    c->pg = NULL;
    c->has_expired = false;
    if (c->current + 1 == c->n_targets || mf_loop_now_ms(c->loop) >= c->deadline_ms) {
        fail_late(c, "no answer");
        return;
    }
    c->first = c->current + 1;
    attempt(c);
}

MF_WORKER static void work_step(uv_work_t *req)
{
    struct mf_pg_step *s = mf_container_of(req, struct mf_pg_step, req);

    if (s->pg != NULL) {
        s->status = PQconnectPoll(s->pg);
        return;
    }
    s->pg = PQconnectStartParams(s->keywords, s->values, 0);
    if (s->pg == NULL || PQstatus(s->pg) == CONNECTION_BAD) {
        s->status = PGRES_POLLING_FAILED;
        return;
    }
    /* The state's five characters are in no other place of a failed attempt. */
    (void)PQsetErrorVerbosity(s->pg, PQERRORS_VERBOSE);
    (void)PQsetNoticeReceiver(s->pg, mf_pg_quiet, NULL);
    s->status = PGRES_POLLING_WRITING;
}

static void on_step(uv_work_t *req, int status);

MF_LOOP static void step(struct mf_pg_conn *c)
{
    if (uv_queue_work(mf_loop_uv(c->loop), &c->step.req, work_step, on_step) < 0) {
        fail(c, MF_ENOMEM, mf_code_sentence(MF_ENOMEM));
        return;
    }
    c->is_stepping = true;
}

static void on_socket(uv_poll_t *poll, MF_UNUSED int status, MF_UNUSED int events)
{
    struct mf_pg_watch *w = mf_container_of(poll, struct mf_pg_watch, poll);
    struct mf_pg_conn *c = w->conn;

    mf_loop_assert(c->loop);
    /* The step may close the socket: its number could then be another one's. */
    mf_pg_unwatch(c);
    step(c); /* also on an error: libpq will find it */
}

MF_LOOP static void await_socket(struct mf_pg_conn *c, int events)
{
    int rc = mf_pg_watch(c, events, on_socket);

    follow(c);
    if (rc < 0) {
        fail(c, rc, "its socket cannot be waited for");
    } else if (c->has_expired) {
        next_target(c);
    }
}

static void on_step(uv_work_t *req, MF_UNUSED int status)
{
    struct mf_pg_step *s = mf_container_of(req, struct mf_pg_step, req);
    struct mf_pg_conn *c = mf_container_of(s, struct mf_pg_conn, step);

    mf_loop_assert(c->loop);
    c->is_stepping = false;
    c->pg = s->pg;
    if (c->closing) {
        mf_pg_conn_release(c);
        return;
    }
    switch (c->pg == NULL ? PGRES_POLLING_FAILED : s->status) {
    case PGRES_POLLING_READING: await_socket(c, UV_READABLE); break;
    case PGRES_POLLING_WRITING: await_socket(c, UV_WRITABLE); break;
    case PGRES_POLLING_OK:
        follow(c);
        c->state = MF_PG_SETTING;
        arm(c, 1);
        mf_pg_conn_settle(c);
        break;
    case PGRES_POLLING_FAILED:
    case PGRES_POLLING_ACTIVE:
    default:
        if (c->pg != NULL) {
            follow(c);
        }
        (void)mf_pg_connect_error(c->pg, &c->err);
        mf_pg_conn_break(c);
    }
}

static void add_list(struct mf_buf *list, const char *part)
{
    mf_buf_add_str(list, part);
    mf_buf_add_char(list, ',');
}

static const char *end_list(struct mf_buf *list)
{
    if (mf_buf_status(list) < 0) {
        return NULL;
    }
    list->p[list->n - 1] = '\0'; /* the last comma */
    return list->p;
}

MF_LOOP static int write_lists(struct mf_pg_conn *c)
{
    const struct mf_pg_dsn *d = c->cfg.dsn;
    struct mf_pg_step *s = &c->step;

    mf_buf_reset(&s->hosts);
    mf_buf_reset(&s->addrs);
    mf_buf_reset(&s->ports);
    for (size_t i = c->first; i < c->n_targets; i++) {
        const struct mf_pg_host *h = &d->hosts[c->targets[i].host];

        add_list(&s->hosts, h->name);
        add_list(&s->addrs, c->targets[i].addr);
        add_list(&s->ports, h->port);
    }
    for (size_t i = 0; i < d->n; i++) {
        s->keywords[i] = d->keywords[i];
        s->values[i] = d->values[i];
    }
    s->keywords[d->n] = "host";
    s->values[d->n] = end_list(&s->hosts);
    s->keywords[d->n + 1] = "hostaddr";
    s->values[d->n + 1] = end_list(&s->addrs);
    s->keywords[d->n + 2] = "port";
    s->values[d->n + 2] = end_list(&s->ports);
    s->keywords[d->n + 3] = s->values[d->n + 3] = NULL;
    return s->hosts.failed || s->addrs.failed || s->ports.failed ? MF_ENOMEM : 0;
}

MF_LOOP static void attempt(struct mf_pg_conn *c)
{
    c->current = c->first;
    set_host(c, c->targets[c->first].host);
    arm(c, c->n_targets - c->first);
    if (write_lists(c) < 0) {
        fail(c, MF_ENOMEM, mf_code_sentence(MF_ENOMEM));
        return;
    }
    c->step.pg = NULL;
    step(c);
}

MF_LOOP static void fail_unresolved(struct mf_pg_conn *c)
{
    int rc = c->names[c->host].rc;

    if (rc < 0) {
        fail(c, MF_EUNAVAILABLE, uv_strerror(rc));
    } else {
        fail_late(c, "no answer from the resolver");
    }
}

void mf_pg_conn_resolved(struct mf_pg_conn *c)
{
    mf_pg_names_collect(c);
    mf_pg_names_forget(c);
    if (c->n_targets == 0) {
        fail_unresolved(c);
        return;
    }
    c->state = MF_PG_CONNECTING;
    c->has_expired = false;
    c->first = 0;
    attempt(c);
}

/* With what is known by now, or else with the first name that has an answer. */
MF_LOOP static void resolve_late(struct mf_pg_conn *c)
{
    mf_pg_names_collect(c);
    if (c->n_targets == 0 && mf_loop_now_ms(c->loop) < c->deadline_ms) {
        c->has_expired = true;
        arm(c, 1);
    } else {
        mf_pg_conn_resolved(c);
    }
}

static void on_late(uv_timer_t *timer)
{
    struct mf_pg_conn *c = mf_container_of(timer, struct mf_pg_conn, timer);

    mf_loop_assert(c->loop);
    switch (c->state) {
    case MF_PG_RESOLVING: resolve_late(c); break;
    case MF_PG_CONNECTING:
        c->has_expired = true;
        if (!c->is_stepping) {
            next_target(c);
        }
        break;
    case MF_PG_SETTING: fail_late(c, "no answer to the session's settings"); break;
    case MF_PG_READY:
    default: break;
    }
}

void mf_pg_conn_begin(struct mf_pg_conn *c)
{
    size_t n_hosts = c->cfg.dsn->n_hosts;

    set_host(c, n_hosts - 1);
    arm(c, n_hosts > 1 ? 2 : 1); /* the dead resolver of one name is not all hosts' */
    if (!mf_pg_names_ask(c) || mf_pg_names_pending(c) == 0) {
        mf_pg_conn_resolved(c);
    }
}
