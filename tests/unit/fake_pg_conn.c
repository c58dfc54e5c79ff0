/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/fake_pg_conn.h"

#include "base/mem.h"

struct fake_pg fake_pg;

struct mf_pg_conn {
    struct mf_loop *loop;
    struct mf_pg_conn_events events;
    struct mf_turn_hook hook;
    int rc;
    size_t host;
    bool is_told, is_lost, is_closing;
    uint64_t opened_ms;
    mf_pg_conn_closed_fn closed;
    void *closed_arg;
};

static void forget(struct mf_pg_conn *c)
{
    for (size_t i = 0; i < MAX_FAKES; i++) {
        if (fake_pg.live[i] == c) {
            fake_pg.live[i] = NULL;
        }
    }
    fake_pg.n_live--;
    fake_pg.n_closed++;
}

static void on_turn_end(struct mf_turn_hook *h)
{
    struct mf_pg_conn *c = mf_container_of(h, struct mf_pg_conn, hook);
    struct mf_err err = {0};

    mf_loop_assert(c->loop);
    if (c->is_closing) {
        forget(c);
        c->closed(c->closed_arg);
        mf_free(c);
        return;
    }
    if (c->is_lost) {
        (void)mf_err_set(&err, MF_EUNAVAILABLE, "lost");
        c->events.lost(c, &err, c->events.arg);
        return;
    }
    MF_ASSERT(!c->is_told);
    c->is_told = true;
    c->opened_ms = mf_loop_now_ms(c->loop);
    if (c->rc < 0) {
        (void)mf_err_set(&err, c->rc, "refused as told");
    }
    c->events.ready(c, c->rc, &err, c->events.arg);
}

int mf_pg_conn_open(struct mf_pg_conn **out, struct mf_loop *l,
                    MF_UNUSED const struct mf_pg_conn_config *cfg,
                    const struct mf_pg_conn_events *events)
{
    struct mf_pg_conn *c = mf_calloc(1, sizeof(*c));
    size_t at = 0;

    if (c == NULL) {
        return MF_ENOMEM;
    }
    while (fake_pg.live[at] != NULL) {
        at++;
        MF_ASSERT(at < MAX_FAKES);
    }
    fake_pg.live[at] = c;
    fake_pg.n_opened++;
    fake_pg.n_live++;
    fake_pg.most_live = mf_max(fake_pg.most_live, fake_pg.n_live);
    c->loop = l;
    c->events = *events;
    c->hook.fn = on_turn_end;
    c->host = fake_pg.host;
    if (!fake_pg.holds) {
        fake_pg_answer(c, fake_pg.rc);
    }
    *out = c;
    return 0;
}

void fake_pg_answer(struct mf_pg_conn *c, int rc)
{
    c->rc = rc;
    mf_loop_at_turn_end(c->loop, &c->hook);
}

void fake_pg_lose(struct mf_pg_conn *c)
{
    c->is_lost = true;
    mf_loop_at_turn_end(c->loop, &c->hook);
}

struct mf_pg_conn *fake_pg_live(size_t k)
{
    for (size_t i = 0; i < MAX_FAKES; i++) {
        if (fake_pg.live[i] != NULL && k-- == 0) {
            return fake_pg.live[i];
        }
    }
    return NULL;
}

void mf_pg_conn_set_events(struct mf_pg_conn *c, const struct mf_pg_conn_events *events)
{
    c->events = *events;
}

bool mf_pg_conn_in_transaction(MF_UNUSED const struct mf_pg_conn *c)
{
    return fake_pg.in_transaction;
}

const char *mf_pg_conn_endpoint(MF_UNUSED const struct mf_pg_conn *c)
{
    return "fake:1";
}

size_t mf_pg_conn_host(const struct mf_pg_conn *c)
{
    return c->host;
}

uint64_t mf_pg_conn_opened_ms(const struct mf_pg_conn *c)
{
    return c->opened_ms;
}

void mf_pg_conn_close(struct mf_pg_conn *c, bool cancels, mf_pg_conn_closed_fn closed,
                      void *arg)
{
    MF_ASSERT(!c->is_closing);
    fake_pg.n_canceled += cancels;
    c->is_closing = true;
    c->closed = closed;
    c->closed_arg = arg;
    mf_loop_at_turn_end(c->loop, &c->hook);
}
