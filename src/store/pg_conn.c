/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "store/pg_code.h"
#include "store/pg_conn_priv.h"

#include <stdio.h>

#define RESULTS_A_TURN 256
#define BINARY         1

enum { NOT_PREPARED, PREPARED, PREPARING }; /* is_prepared */

static void on_watch_closed(uv_handle_t *handle)
{
    struct mf_pg_watch *w = mf_container_of(handle, struct mf_pg_watch, poll);
    struct mf_pg_conn *c = w->conn;

    mf_loop_assert(c->loop);
    mf_free(w);
    c->n_open_handles--;
    mf_pg_conn_release(c);
}

void mf_pg_unwatch(struct mf_pg_conn *c)
{
    if (c->watch != NULL) {
        uv_close((uv_handle_t *)&c->watch->poll, on_watch_closed);
        c->watch = NULL;
    }
}

MF_LOOP static int watch_socket(struct mf_pg_conn *c, int fd)
{
    struct mf_pg_watch *w;
    int rc;

    w = mf_calloc(1, sizeof(*w));

    if (w == NULL) {
        return MF_ENOMEM;
    }
    rc = uv_poll_init(mf_loop_uv(c->loop), &w->poll, fd);
    if (rc < 0) {
        mf_free(w);
        return mf_code_from_errno(-rc);
    }
    w->conn = c;
    c->watch = w;
    c->n_open_handles++;
    return 0;
}

int mf_pg_watch(struct mf_pg_conn *c, int events, uv_poll_cb on_poll)
{
    int rc = c->watch == NULL ? watch_socket(c, PQsocket(c->pg)) : 0;
    struct mf_pg_watch *w = c->watch;

    if (rc < 0 || w == NULL || w->events == events) {
        return rc;
    }
    w->events = events;
    rc =
        events == 0 ? uv_poll_stop(&w->poll) : uv_poll_start(&w->poll, events, on_poll);
    return rc < 0 ? mf_code_from_errno(-rc) : 0;
}

/* libpq gives what it cannot attribute to a statement as a notice, also a server's
 * farewell: that is why the connection is lost a moment later. */
void mf_pg_quiet(void *arg, const PGresult *res)
{
    struct mf_pg_conn *c = arg;
    const char *severity = PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);
    const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);

    if (c != NULL && severity != NULL && text != NULL &&
        (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0)) {
        (void)snprintf(c->last_words, sizeof(c->last_words), "%s", text);
    }
}

void mf_pg_conn_break(struct mf_pg_conn *c)
{
    if (c->is_broken || c->closing) {
        return;
    }
    c->is_broken = true;
    mf_pg_unwatch(c);
    (void)uv_timer_stop(&c->timer);
    mf_loop_at_turn_end(c->loop, &c->hook);
}

MF_LOOP static void tell(struct mf_pg_conn *c)
{
    if (c->is_told) {
        return;
    }
    c->is_told = true;
    if (c->state == MF_PG_READY) {
        c->events.lost(c, &c->err, c->events.arg);
    } else {
        c->events.ready(c, c->err.code, &c->err, c->events.arg);
    }
}

MF_LOOP static void lose(struct mf_pg_conn *c)
{
    const char *why = c->last_words[0] != '\0' ? c->last_words : PQerrorMessage(c->pg);
    size_t n = strcspn(why, "\n");

    (void)mf_err_set(&c->err, MF_EUNAVAILABLE, "%s: %.*s", c->endpoint,
                     n == 0 ? (int)sizeof("connection lost") - 1 : (int)n,
                     n == 0 ? "connection lost" : why);
    mf_pg_conn_break(c);
}

/* --- results --- */

static bool is_failed(const PGresult *res)
{
    return PQresultStatus(res) == PGRES_FATAL_ERROR;
}

/* The session is over, or is not the one we prepared our statements in. */
static bool is_end(const PGresult *res, const struct mf_pg_expected *e)
{
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    const char *severity = PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);
    const char *place = PQresultErrorField(res, PG_DIAG_SOURCE_FUNCTION);

    if (state == NULL) {
        return true; /* libpq's own: no answer came */
    }
    if (severity != NULL && strcmp(severity, "ERROR") != 0) {
        return true;
    }
    if (e->is_prepare && strcmp(state, "42P05") == 0) {
        return true;
    }
    if (e->is_prepare || e->stmt == MF_PG_STMT_COUNT) {
        return false;
    }
    /* "cached plan must not change result type": the tables were changed. */
    return strcmp(state, "26000") == 0 ||
           (strcmp(state, "0A000") == 0 && place != NULL &&
            strcmp(place, "RevalidateCachedQuery") == 0);
}

MF_LOOP static void end_by(struct mf_pg_conn *c, PGresult *res)
{
    if (PQresultErrorField(res, PG_DIAG_SQLSTATE) == NULL) {
        PQclear(res);
        lose(c);
        return;
    }
    (void)mf_pg_fail(res, &c->err);
    (void)mf_err_wrap(&c->err, c->err.code, "%s", c->endpoint);
    PQclear(res);
    mf_pg_conn_break(c);
}

MF_LOOP static void deliver(struct mf_pg_conn *c, size_t at, PGresult *res)
{
    if (c->state == MF_PG_READY) {
        c->events.result(c, at, res, c->events.arg);
        return;
    }
    if (PQresultStatus(res) != PGRES_TUPLES_OK) {
        c->is_unset = true;
        (void)mf_pg_fail(res, &c->err);
    }
    PQclear(res);
}

MF_LOOP static void take_prepare(struct mf_pg_conn *c, struct mf_pg_expected *e,
                                 PGresult *res)
{
    bool is_ok = PQresultStatus(res) == PGRES_COMMAND_OK;

    c->is_prepared[e->stmt] = is_ok ? PREPARED : NOT_PREPARED;
    if (!is_failed(res)) {
        PQclear(res);
        return;
    }
    e[1].is_over = true; /* the call itself */
    deliver(c, e->call, res);
}

MF_LOOP static void begin_next(struct mf_pg_conn *c)
{
    if (c->at < c->n_expected && c->expected[c->at].streams) {
        /* Refused for a call that is not run, after the failure of another. */
        (void)PQsetSingleRowMode(c->pg);
    }
}

MF_LOOP static void end_round(struct mf_pg_conn *c)
{
    c->in_round = false;
    if (c->state == MF_PG_READY) {
        c->events.round_over(c, c->events.arg);
        return;
    }
    if (c->is_unset) {
        mf_pg_conn_break(c);
        return;
    }
    c->state = MF_PG_READY;
    c->opened_ms = mf_loop_now_ms(c->loop);
    (void)uv_timer_stop(&c->timer);
    c->events.ready(c, 0, &c->err, c->events.arg);
}

MF_LOOP static void take_result(struct mf_pg_conn *c, PGresult *res)
{
    struct mf_pg_expected *e = &c->expected[c->at];

    if (PQresultStatus(res) == PGRES_PIPELINE_SYNC) {
        PQclear(res);
        end_round(c);
    } else if (c->at == c->n_expected || (is_failed(res) && is_end(res, e))) {
        end_by(c, res);
    } else {
        e->has_result = true;
        if (e->is_prepare) {
            take_prepare(c, e, res);
        } else if (e->is_over) {
            PQclear(res);
        } else {
            deliver(c, e->call, res);
        }
    }
}

MF_LOOP static void take_one(struct mf_pg_conn *c)
{
    PGresult *res = PQgetResult(c->pg);

    if (res != NULL) {
        take_result(c, res);
    } else if (c->at < c->n_expected && c->expected[c->at].has_result) {
        c->at++;
        begin_next(c);
    } else {
        lose(c); /* out of step with the server */
    }
}

MF_LOOP static void flush(struct mf_pg_conn *c)
{
    int rc = PQflush(c->pg);

    c->wants_write = rc > 0;
    if (rc < 0) {
        c->has_ended = true; /* what was read before is still taken */
    }
}

/* The server waits for what it is to copy. */
MF_LOOP static void feed_copy(struct mf_pg_conn *c)
{
    if (c->at == c->n_expected || !mf_pg_feed_copy(c, c->copying[c->at].copy)) {
        lose(c);
        return;
    }
    flush(c);
}

MF_LOOP static void end_copying(struct mf_pg_conn *c)
{
    c->copying = NULL;
    if (PQenterPipelineMode(c->pg) == 0) {
        lose(c);
        return;
    }
    end_round(c);
}

MF_LOOP static void take_copying(struct mf_pg_conn *c)
{
    PGresult *res = PQgetResult(c->pg);

    if (res == NULL) {
        end_copying(c);
    } else if (PQresultStatus(res) == PGRES_COPY_IN) {
        PQclear(res);
        feed_copy(c);
    } else if (c->at == c->n_expected ||
               (is_failed(res) && is_end(res, &c->expected[c->at]))) {
        end_by(c, res);
    } else {
        deliver(c, c->at++, res);
    }
}

MF_LOOP static void take_results(struct mf_pg_conn *c)
{
    size_t n = 0;

    c->has_more = false;
    while (!c->closing && !c->is_broken && !c->is_paused && !PQisBusy(c->pg) &&
           c->in_round) {
        if (n++ == RESULTS_A_TURN) {
            c->has_more = true;
            return;
        }
        if (c->copying != NULL) {
            take_copying(c);
        } else {
            take_one(c);
        }
    }
}

static void on_io(uv_poll_t *poll, int status, int events);

MF_LOOP static void await_io(struct mf_pg_conn *c)
{
    bool reads = !c->is_paused && !c->has_more;
    int rc = mf_pg_watch(
        c, (reads ? UV_READABLE : 0) | (c->wants_write ? UV_WRITABLE : 0), on_io);

    if (rc < 0) {
        (void)mf_err_set(&c->err, rc, "%s: its socket cannot be waited for",
                         c->endpoint);
        mf_pg_conn_break(c);
    }
}

MF_LOOP static void go_on(struct mf_pg_conn *c)
{
    c->has_ended = c->has_ended || PQsocket(c->pg) < 0;
    if (c->has_ended) {
        mf_pg_unwatch(c); /* libpq may have closed it */
    }
    take_results(c);
    if (c->closing || c->is_broken) {
        return;
    }
    if (c->has_more) {
        mf_loop_at_turn_end(c->loop, &c->hook);
    }
    if (!c->has_ended && PQstatus(c->pg) != CONNECTION_BAD) {
        await_io(c);
    } else if (!c->has_more && !c->is_paused) {
        lose(c);
    }
}

static void on_io(uv_poll_t *poll, int status, int events)
{
    struct mf_pg_watch *w = mf_container_of(poll, struct mf_pg_watch, poll);
    struct mf_pg_conn *c = w->conn;

    mf_loop_assert(c->loop);
    if (status < 0) {
        w->events = 0; /* libuv stopped it, and there may be more to read */
    }
    if ((status < 0 || (events & UV_READABLE) != 0) && PQconsumeInput(c->pg) == 0) {
        c->has_ended = true;
    }
    if (!c->has_ended) {
        flush(c);
    }
    go_on(c);
}

static void on_turn_end(struct mf_turn_hook *h)
{
    struct mf_pg_conn *c = mf_container_of(h, struct mf_pg_conn, hook);

    mf_loop_assert(c->loop);
    if (c->is_broken) {
        tell(c);
    } else {
        go_on(c);
    }
}

/* --- rounds --- */

static struct mf_pg_expected *expect(struct mf_pg_conn *c, size_t call,
                                     enum mf_pg_stmt stmt)
{
    struct mf_pg_expected *e = &c->expected[c->n_expected++];

    *e = (struct mf_pg_expected){.call = (uint32_t)call, .stmt = (uint16_t)stmt};
    return e;
}

MF_LOOP static int plan(struct mf_pg_conn *c, const struct mf_pg_round *r)
{
    int rc = mf_grow((void **)&c->expected, &c->expected_cap, 2 * r->n + 1,
                     sizeof(*c->expected));

    if (rc < 0) {
        return rc;
    }
    c->n_expected = c->at = 0;
    for (size_t i = 0; i < r->n; i++) {
        const struct mf_pg_call *call = &r->calls[i];
        bool is_text = call->text != NULL || c->copying != NULL;

        if (!is_text && c->is_prepared[call->id] == NOT_PREPARED) {
            expect(c, i, call->id)->is_prepare = true;
            c->is_prepared[call->id] = PREPARING;
        }
        expect(c, i, is_text ? MF_PG_STMT_COUNT : call->id)->streams = call->streams;
    }
    return 0;
}

static bool queue(struct mf_pg_conn *c, const struct mf_pg_expected *e,
                  const struct mf_pg_call *call)
{
    static const int formats[MF_PG_MAX_ARGS] = {
        BINARY, BINARY, BINARY, BINARY, BINARY, BINARY, BINARY, BINARY,
        BINARY, BINARY, BINARY, BINARY, BINARY, BINARY, BINARY, BINARY,
        BINARY, BINARY, BINARY, BINARY, BINARY, BINARY, BINARY, BINARY};

    MF_ASSERT(call->n <= MF_PG_MAX_ARGS);
    if (call->text != NULL) {
        return PQsendQueryParams(c->pg, call->text, call->n, NULL, call->values,
                                 call->lengths, formats, BINARY) == 1;
    }
    if (e->is_prepare) {
        return PQsendPrepare(c->pg, mf_pg_sql(call->id)->name,
                             mf_pg_sql(call->id)->text, 0, NULL) == 1;
    }
    return PQsendQueryPrepared(c->pg, mf_pg_sql(call->id)->name, call->n, call->values,
                               call->lengths, formats, BINARY) == 1;
}

MF_LOOP static bool send_pipeline(struct mf_pg_conn *c, const struct mf_pg_round *r)
{
    bool is_sent = true;

    for (size_t i = 0; i < c->n_expected && is_sent; i++) {
        is_sent = queue(c, &c->expected[i], &r->calls[c->expected[i].call]);
    }
    return is_sent && PQpipelineSync(c->pg) == 1;
}

MF_LOOP static int send_round(struct mf_pg_conn *c, const struct mf_pg_round *r)
{
    int rc;

    c->copying = mf_pg_round_copies(r) ? r->calls : NULL;
    rc = plan(c, r);
    if (rc < 0) {
        return rc;
    }
    c->in_round = true;
    if (!(c->copying != NULL ? mf_pg_send_texts(c, r) : send_pipeline(c, r))) {
        lose(c); /* what went out before is the server's: its outcome is unknown */
        return 0;
    }
    begin_next(c);
    flush(c);
    if (c->has_ended) {
        mf_loop_at_turn_end(c->loop, &c->hook);
    } else {
        await_io(c);
    }
    return 0;
}

int mf_pg_conn_send(struct mf_pg_conn *c, const struct mf_pg_round *r,
                    struct mf_err *err)
{
    int rc = r->rc;

    if (c->state != MF_PG_READY || c->is_broken || c->closing) {
        return mf_err_set(err, MF_EUNAVAILABLE, "%s: the connection is gone",
                          c->endpoint);
    }
    MF_ASSERT(!c->in_round && r->n > 0 && r->n <= UINT32_MAX / 2);
    if (rc == 0) {
        rc = send_round(c, r);
    }
    return rc < 0 ? mf_err_set(err, rc, "%s", mf_code_sentence(rc)) : 0;
}

void mf_pg_conn_pause(struct mf_pg_conn *c, bool pause)
{
    if (c->is_paused == pause) {
        return;
    }
    c->is_paused = pause;
    if (c->closing || c->is_broken) {
        return;
    }
    if (pause && !c->has_ended) {
        await_io(c);
    } else if (!pause) {
        mf_loop_at_turn_end(c->loop, &c->hook); /* what libpq holds already */
    }
}

void mf_pg_conn_settle(struct mf_pg_conn *c)
{
    char statement[24], lock[24];
    struct mf_pg_call call = {
        .text = "SELECT set_config('statement_timeout', $1, false),"
                " set_config('idle_in_transaction_session_timeout', $1, false),"
                " set_config('lock_timeout', $2, false)",
        .n = 2,
        .values = {statement, lock},
    };
    struct mf_pg_round r = {.calls = &call, .n = 1};

    mf_pg_host_show(PQhost(c->pg), PQport(c->pg), c->endpoint);
    (void)PQsetErrorVerbosity(c->pg, PQERRORS_DEFAULT);
    (void)PQsetNoticeReceiver(c->pg, mf_pg_quiet, c);
    call.lengths[0] = snprintf(statement, sizeof(statement), "%llu",
                               (unsigned long long)c->cfg.statement_timeout_ms);
    call.lengths[1] = snprintf(lock, sizeof(lock), "%llu",
                               (unsigned long long)c->cfg.lock_timeout_ms);
    if (PQsetnonblocking(c->pg, 1) < 0 || PQenterPipelineMode(c->pg) == 0) {
        lose(c);
        return;
    }
    if (send_round(c, &r) < 0) {
        (void)mf_err_set(&c->err, MF_ENOMEM, "%s", mf_code_sentence(MF_ENOMEM));
        mf_pg_conn_break(c);
    }
}

/* --- the rest of the header --- */

int mf_pg_conn_open(struct mf_pg_conn **out, struct mf_loop *l,
                    const struct mf_pg_conn_config *cfg,
                    const struct mf_pg_conn_events *events)
{
    struct mf_pg_conn *c = mf_calloc(1, sizeof(*c));
    uint64_t own_ms = cfg->dsn->connect_timeout_ms;

    if (c == NULL) {
        return MF_ENOMEM;
    }
    c->loop = l;
    c->cfg = *cfg;
    c->events = *events;
    c->hook.fn = on_turn_end;
    c->cfg.connect_timeout_ms = own_ms > 0 ? own_ms : cfg->connect_timeout_ms;
    mf_buf_init(&c->step.hosts);
    mf_buf_init(&c->step.addrs);
    mf_buf_init(&c->step.ports);
    MF_ASSERT(uv_timer_init(mf_loop_uv(l), &c->timer) == 0); /* never fails */
    c->n_open_handles = 1;
    c->deadline_ms = mf_loop_now_ms(l) + c->cfg.connect_timeout_ms;
    mf_pg_conn_begin(c);
    *out = c;
    return 0;
}

void mf_pg_conn_set_events(struct mf_pg_conn *c, const struct mf_pg_conn_events *events)
{
    c->events = *events;
}

bool mf_pg_conn_in_transaction(const struct mf_pg_conn *c)
{
    return c->pg != NULL && PQtransactionStatus(c->pg) != PQTRANS_IDLE;
}

const char *mf_pg_conn_endpoint(const struct mf_pg_conn *c)
{
    return c->endpoint;
}

size_t mf_pg_conn_host(const struct mf_pg_conn *c)
{
    return c->host;
}

uint64_t mf_pg_conn_opened_ms(const struct mf_pg_conn *c)
{
    return c->opened_ms;
}
