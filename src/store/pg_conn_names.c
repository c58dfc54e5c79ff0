/* SPDX-License-Identifier: Apache-2.0 */
#include "store/pg_conn_priv.h"

#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>

static void on_name(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
    struct mf_pg_name *name = mf_container_of(req, struct mf_pg_name, req);
    struct mf_pg_conn *c = name->conn;

    mf_loop_assert(c->loop);
    name->is_pending = false;
    name->rc = status;
    if (c->closing || c->state != MF_PG_RESOLVING) {
        uv_freeaddrinfo(found);
        mf_pg_conn_release(c);
        return;
    }
    name->found = found;
    if (mf_pg_names_pending(c) == 0 || (c->has_expired && status == 0)) {
        mf_pg_conn_resolved(c);
    }
}

bool mf_pg_names_ask(struct mf_pg_conn *c)
{
    static const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                          .ai_socktype = SOCK_STREAM};
    const struct mf_pg_dsn *d = c->cfg.dsn;
    bool has_names = false;

    for (size_t i = 0; i < d->n_hosts; i++) {
        struct mf_pg_name *name = &c->names[i];

        if (d->hosts[i].is_numeric) {
            continue;
        }
        has_names = true;
        name->conn = c;
        name->rc = uv_getaddrinfo(mf_loop_uv(c->loop), &name->req, on_name,
                                  d->hosts[i].name, NULL, &hints);
        name->is_pending = name->rc == 0;
    }
    return has_names;
}

size_t mf_pg_names_pending(const struct mf_pg_conn *c)
{
    size_t n = 0;

    for (size_t i = 0; i < c->cfg.dsn->n_hosts; i++) {
        n += c->names[i].is_pending;
    }
    return n;
}

static struct mf_pg_target *add_target(struct mf_pg_conn *c, size_t host)
{
    struct mf_pg_target *t;

    if (c->n_targets == MF_PG_MAX_TARGETS) {
        return NULL;
    }
    t = &c->targets[c->n_targets++];
    *t = (struct mf_pg_target){.host = host};
    return t;
}

static void add_found(struct mf_pg_conn *c, size_t host)
{
    for (const struct addrinfo *a = c->names[host].found; a != NULL; a = a->ai_next) {
        struct mf_pg_target *t = add_target(c, host);

        if (t == NULL) {
            return;
        }
        if (getnameinfo(a->ai_addr, a->ai_addrlen, t->addr, sizeof(t->addr), NULL, 0,
                        NI_NUMERICHOST) != 0) {
            c->n_targets--; /* of a family we cannot write down */
        }
    }
}

void mf_pg_names_collect(struct mf_pg_conn *c)
{
    const struct mf_pg_dsn *d = c->cfg.dsn;

    c->n_targets = 0;
    for (size_t i = 0; i < d->n_hosts; i++) {
        if (!d->hosts[i].is_numeric) {
            add_found(c, i);
            continue;
        }
        const struct mf_pg_target *t = add_target(c, i);

        if (t != NULL && d->hosts[i].addr != NULL) {
            (void)snprintf(c->targets[c->n_targets - 1].addr, MF_PG_ADDRESS, "%s",
                           d->hosts[i].addr);
        }
    }
}

/* A question that a pool thread is at work on comes to its end later: nobody waits. */
void mf_pg_names_forget(struct mf_pg_conn *c)
{
    for (size_t i = 0; i < c->cfg.dsn->n_hosts; i++) {
        struct mf_pg_name *name = &c->names[i];

        if (name->is_pending) {
            (void)uv_cancel((uv_req_t *)&name->req);
        }
        uv_freeaddrinfo(name->found);
        name->found = NULL;
    }
}
