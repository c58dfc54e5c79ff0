/* SPDX-License-Identifier: Apache-2.0 */
#include "pg/conn_kit.h"

#include "base/mem.h"
#include "lib/mf_test.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>

#define INT8_OID 20

const struct mf_pg_sql *mf_pg_sql(enum mf_pg_stmt id)
{
    static const struct mf_pg_sql table[CONN_STMT_COUNT] = {
        [T_NEXT] = {"next", "SELECT $1::int8 + 1"},
        [T_ECHO] = {"echo", "SELECT octet_length($1::bytea)::int8, $1::bytea"},
        [T_ROWS] = {"rows", "SELECT i::int8, repeat('x', 100) FROM"
                            " generate_series(1::int8, $1::int8) i"},
        [T_NO_TABLE] = {"no_table", "SELECT count(*) FROM not_there_yet"},
        [T_DIVIDE] = {"divide", "SELECT 100 / $1::int8"},
        [T_SLEEP] = {"sleep", "SELECT pg_sleep($1::int8)"},
        [T_CHANGING] = {"changing", "SELECT * FROM changing"},
    };

    MF_ASSERT((size_t)id < CONN_STMT_COUNT);
    return &table[id];
}

static void keep_value(struct heard *h, const PGresult *res)
{
    int64_t n;

    if (PQntuples(res) == 0 || PQnfields(res) == 0 || PQgetisnull(res, 0, 0)) {
        return;
    }
    if (PQftype(res, 0) == INT8_OID) {
        memcpy(&n, PQgetvalue(res, 0, 0), sizeof(n));
        h->number = (int64_t)be64toh((uint64_t)n);
        return;
    }
    (void)snprintf(h->text, sizeof(h->text), "%.*s", PQgetlength(res, 0, 0),
                   PQgetvalue(res, 0, 0));
}

static void count(struct peer *p, const PGresult *res)
{
    p->n_rows += (size_t)PQntuples(res);
    for (int i = 0; PQntuples(res) > 0 && i < PQnfields(res); i++) {
        p->n_bytes += (size_t)PQgetlength(res, 0, i);
    }
    p->in_turn++;
    p->most_in_turn = mf_max(p->most_in_turn, p->in_turn);
}

static void on_result(struct mf_pg_conn *c, size_t at, PGresult *res, void *arg)
{
    struct peer *p = arg;

    mf_loop_assert(p->kit->loop);
    MF_CHECK_PTR(c, p->conn);
    MF_CHECK(!p->is_paused && !p->is_closed);
    if (p->n_heard < MAX_HEARD) {
        const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
        struct heard *h = &p->heard[p->n_heard];

        *h = (struct heard){.at = at, .status = PQresultStatus(res)};
        (void)snprintf(h->state, sizeof(h->state), "%s", state == NULL ? "" : state);
        keep_value(h, res);
    }
    p->n_heard++;
    count(p, res);
    PQclear(res);
    if (p->pause_every > 0 && p->n_heard % p->pause_every == 0) {
        p->is_paused = true;
        mf_pg_conn_pause(c, true);
    }
    if (p->closes_on_result) {
        peer_close(p, false);
    }
}

static void on_ready(struct mf_pg_conn *c, int rc, const struct mf_err *err, void *arg)
{
    struct peer *p = arg;

    MF_CHECK(p->conn == c && !p->is_ready); /* once, after open returned */
    p->is_ready = true;
    p->rc = rc;
    p->err = *err;
    MF_CHECK_INT(err->code, rc);
}

static void on_over(MF_UNUSED struct mf_pg_conn *c, void *arg)
{
    struct peer *p = arg;

    MF_CHECK(!p->is_over);
    p->is_over = true;
    p->n_over++;
}

static void on_lost(MF_UNUSED struct mf_pg_conn *c, const struct mf_err *err, void *arg)
{
    struct peer *p = arg;

    MF_CHECK(!p->is_lost && p->is_ready);
    p->is_lost = true;
    p->is_over = true;
    p->err = *err;
}

static void on_closed(void *arg)
{
    struct peer *p = arg;

    p->is_closed = true;
    p->conn = NULL;
}

static void on_turn(struct mf_turn_hook *h)
{
    struct conn_kit *k = mf_container_of(h, struct conn_kit, hook);

    mf_loop_assert(k->loop);
    if (k->counted != NULL) {
        k->counted->in_turn = 0;
    }
    if (k->is_counting) {
        mf_loop_at_turn_end(k->loop, h);
    }
}

void conn_kit_open(struct conn_kit *k, const char *dsn)
{
    char text[1024];
    const char *server = getenv("MF_TEST_DSN");
    struct mf_err err = {0};

    *k = (struct conn_kit){.hook.fn = on_turn};
    k->loop = mf_loop_fixture_open();
    mf_arena_init(&k->arena, 65536);
    MF_CHECK(server != NULL);
    (void)snprintf(text, sizeof(text), "%s %s", dsn[0] == '=' ? "" : server,
                   dsn[0] == '=' ? dsn + 1 : dsn);
    if (mf_pg_dsn_parse(&k->dsn, text, NULL, 10000, &err) < 0) {
        fail_msg("%s", err.msg);
    }
    k->cfg = (struct mf_pg_conn_config){.dsn = &k->dsn,
                                        .connect_timeout_ms = 10000,
                                        .statement_timeout_ms = 70000,
                                        .lock_timeout_ms = 9000};
}

void conn_kit_close(struct conn_kit *k)
{
    k->is_counting = false;
    mf_loop_fixture_close(k->loop);
    mf_arena_fini(&k->arena);
    mf_pg_dsn_fini(&k->dsn);
}

void peer_open(struct conn_kit *k, struct peer *p)
{
    const struct mf_pg_conn_events events = {.ready = on_ready,
                                             .result = on_result,
                                             .round_over = on_over,
                                             .lost = on_lost,
                                             .arg = p};

    *p = (struct peer){.kit = k};
    MF_CHECK_OK(mf_pg_conn_open(&p->conn, k->loop, &k->cfg, &events));
    MF_CHECK(!p->is_ready);
}

void peer_ready(struct conn_kit *k, struct peer *p)
{
    peer_open(k, p);
    mf_loop_fixture_wait(k->loop, &p->is_ready);
    if (p->rc < 0) {
        fail_msg("%s", p->err.msg);
    }
}

void peer_close(struct peer *p, bool cancels)
{
    mf_pg_conn_close(p->conn, cancels, on_closed, p);
    MF_CHECK(!p->is_closed);
}

struct mf_pg_round *round_begin(struct conn_kit *k)
{
    mf_arena_reset(&k->arena);
    mf_pg_round_init(&k->round, &k->arena);
    return &k->round;
}

void peer_send(struct peer *p)
{
    p->n_heard = p->n_rows = p->n_bytes = 0;
    p->is_over = false;
    MF_CHECK_OK(mf_pg_conn_send(p->conn, &p->kit->round, &p->err));
    MF_CHECK(!p->is_over && p->n_heard == 0); /* nothing before it returned */
    mf_arena_reset(&p->kit->arena);           /* the round is libpq's by now */
}

void peer_run(struct peer *p)
{
    peer_send(p);
    mf_loop_fixture_wait(p->kit->loop, &p->is_over);
}

void peer_text(struct peer *p, const char *text)
{
    mf_pg_add_text(round_begin(p->kit), text);
    peer_run(p);
    if (!p->is_lost && p->heard[0].state[0] != '\0') {
        fail_msg("%s: %s", text, p->heard[0].state);
    }
}

int64_t peer_number(struct peer *p, const char *text)
{
    peer_text(p, text);
    MF_CHECK(p->n_heard == 1 && p->n_rows == 1);
    return p->heard[0].number;
}

void run_turns(struct conn_kit *k, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        (void)uv_run(mf_loop_uv(k->loop), UV_RUN_NOWAIT);
    }
}

void run_ms(struct conn_kit *k, uint64_t ms)
{
    static const bool never = false;

    (void)mf_loop_run_until(k->loop, &never, ms);
}
