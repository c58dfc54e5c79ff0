/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/pg_pool_rig.h"

#include "base/mem.h"
#include "lib/mf_test.h"

#include <stdio.h>
#include <string.h>

static const struct mf_err reason = {.code = MF_EUNAVAILABLE, .msg = "a reason"};

static void on_got(struct mf_pg_ask *ask, struct mf_pg_conn *c, int rc,
                   const struct mf_err *err)
{
    struct asker *a = mf_container_of(ask, struct asker, ask);

    mf_loop_assert(a->rig->loop);
    MF_CHECK(!a->has_answer && (c == NULL) == (rc < 0));
    a->has_answer = true;
    a->conn = c;
    a->rc = rc;
    a->order = ++a->rig->n_answers;
    (void)snprintf(a->why, sizeof(a->why), "%s", err == NULL ? "" : err->msg);
    if (a->gives_at_once && c != NULL) {
        a->conn = NULL;
        mf_pg_pool_give(a->rig->pool, c, MF_PG_USE_OK, NULL);
    }
}

void rig_init(struct rig *r)
{
    *r = (struct rig){0};
    fake_pg = (struct fake_pg){0};
    r->loop = mf_loop_fixture_open();
    MF_CHECK_OK(mf_pg_dsn_parse(&r->dsn, "host=/a,/b,/c dbname=x", NULL, 1000, NULL));
    r->cfg = (struct mf_pg_pool_config){.name = "read",
                                        .conn = {.dsn = &r->dsn},
                                        .max = 3,
                                        .idle_ms = 600000,
                                        .age_ms = 600000,
                                        .dep = {.timeout_ms = 60000,
                                                .first_backoff_ms = 600000,
                                                .max_backoff_ms = 600000,
                                                .open_after = 3}};
}

void rig_open(struct rig *r)
{
    MF_CHECK_OK(mf_pg_pool_open(&r->pool, r->loop, &r->cfg));
}

void on_rig_closed(void *arg)
{
    struct rig *r = arg;

    r->is_closed = true;
}

void rig_close(struct rig *r)
{
    mf_pg_pool_close(r->pool, on_rig_closed, r);
    MF_CHECK(!r->is_closed);
    mf_loop_fixture_wait(r->loop, &r->is_closed);
    MF_CHECK_INT(fake_pg.n_live, 0);
    MF_CHECK_INT(fake_pg.n_opened, fake_pg.n_closed);
    mf_loop_fixture_close(r->loop);
    mf_pg_dsn_fini(&r->dsn);
}

struct asker *ask(struct rig *r, size_t i, enum mf_urgency urgency)
{
    struct asker *a = &r->askers[i];

    *a = (struct asker){.rig = r, .ask = {.got = on_got, .urgency = urgency}};
    mf_pg_pool_ask(r->pool, &a->ask);
    MF_CHECK(!a->has_answer);
    return a;
}

struct asker *answered(struct rig *r, size_t i)
{
    struct asker *a = ask(r, i, MF_ORDINARY);

    mf_loop_fixture_wait(r->loop, &a->has_answer);
    return a;
}

void give(struct rig *r, struct asker *a, enum mf_pg_use use)
{
    struct mf_pg_conn *c = a->conn;

    MF_CHECK(c != NULL);
    a->conn = NULL;
    mf_pg_pool_give(r->pool, c, use, use == MF_PG_USE_OK ? NULL : &reason);
}

void use(struct rig *r, enum mf_pg_use use)
{
    struct asker *a = answered(r, 0);

    MF_CHECK_OK(a->rc);
    give(r, a, use);
}

void turns(struct rig *r, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        (void)uv_run(mf_loop_uv(r->loop), UV_RUN_NOWAIT);
    }
}

void wait_for(struct rig *r, const size_t *count, size_t least)
{
    static const bool never = false;

    for (int i = 0; i < 12000 && *count < least; i++) {
        (void)mf_loop_run_until(r->loop, &never, 5);
    }
    MF_CHECK(*count >= least);
}

void wait_count(struct rig *r, const size_t *count, size_t wanted)
{
    wait_for(r, count, wanted);
    MF_CHECK_INT(*count, wanted);
}

enum mf_dep_state health_of(const struct rig *r)
{
    return mf_pg_pool_health(r->pool)->state;
}
