/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/pg_run_rig.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define DEADLINE_MS 30000

struct rig rig;

/* --- libpq, of results that have no server */

static const char *failed_state; /* of the result that is being told */

char *PQcmdStatus(MF_UNUSED PGresult *res)
{
    static char words[16];

    (void)snprintf(words, sizeof(words), "%s", rig.commit_says);
    return words;
}

char *PQresultErrorField(MF_UNUSED const PGresult *res, int field)
{
    static char state[8];
    static char message[] = "the rig said so";

    if (field == PG_DIAG_SQLSTATE && failed_state != NULL) {
        (void)snprintf(state, sizeof(state), "%s", failed_state);
        return state;
    }
    return field == PG_DIAG_MESSAGE_PRIMARY ? message : NULL;
}

/* --- the connection */

struct mf_pg_conn {
    struct mf_pg_conn_events events;
    struct mf_turn_hook hook;
    char texts[8][16];
    bool streams[8];
    size_t n;
    size_t at, row; /* what is told next */
    bool is_in_round, is_paused, is_in_transaction, is_aborted, is_lost;
};

static struct mf_pg_conn conn;
static bool is_lent;

static void tell(size_t at, PGresult *res)
{
    conn.events.result(&conn, at, res, conn.events.arg);
}

static PGresult *row(size_t i)
{
    PGresAttDesc column = {.name = (char[]){"i"}, .format = 1, .typlen = 8};
    PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_SINGLE_TUPLE);
    uint64_t value = i;

    MF_CHECK(PQsetResultAttrs(res, 1, &column) == 1);
    MF_CHECK(PQsetvalue(res, 0, 0, (char *)&value, sizeof(value)) == 1);
    return res;
}

static void follow_transaction(const char *text)
{
    if (strcmp(text, "BEGIN") == 0) {
        conn.is_in_transaction = true;
    } else if (strcmp(text, "ROLLBACK") == 0 || strcmp(text, "COMMIT") == 0) {
        conn.is_in_transaction = false;
    }
}

/* Whether the connection lives. */
static bool answer(size_t at)
{
    const char *text = conn.texts[at];

    if (rig.lose_text != NULL && strcmp(text, rig.lose_text) == 0) {
        struct mf_err err = {.code = MF_EUNAVAILABLE, .msg = "broke"};

        conn.is_lost = true;
        conn.events.lost(&conn, &err, conn.events.arg);
        return false;
    }
    if (conn.is_aborted) {
        tell(at, PQmakeEmptyPGresult(NULL, PGRES_PIPELINE_ABORTED));
        return true;
    }
    if (rig.fail_text != NULL && strcmp(text, rig.fail_text) == 0) {
        conn.is_aborted = true;
        failed_state = rig.fail_state;
        tell(at, PQmakeEmptyPGresult(NULL, PGRES_FATAL_ERROR));
        failed_state = NULL;
        return true;
    }
    follow_transaction(text);
    tell(at, PQmakeEmptyPGresult(NULL, conn.streams[at] ? PGRES_TUPLES_OK
                                                        : PGRES_COMMAND_OK));
    return true;
}

/* A statement, or a hundred rows, a turn. */
static void on_conn_turn(struct mf_turn_hook *h)
{
    mf_loop_assert(rig.loop);
    if (rig.is_silent || conn.is_paused || conn.is_lost || !conn.is_in_round) {
        return;
    }
    if (conn.at < conn.n && conn.streams[conn.at] && conn.row < rig.n_rows) {
        for (int i = 0; i < 100 && conn.row < rig.n_rows && !conn.is_paused; i++) {
            tell(conn.at, row(conn.row++));
        }
        mf_loop_at_turn_end(rig.loop, h);
        return;
    }
    if (conn.at < conn.n) {
        if (answer(conn.at++)) {
            mf_loop_at_turn_end(rig.loop, h);
        }
        return;
    }
    conn.is_in_round = false;
    conn.is_aborted = false;
    conn.events.round_over(&conn, conn.events.arg);
    if (rig.lose_after_round && is_lent) {
        struct mf_err err = {.code = MF_EUNAVAILABLE, .msg = "broke"};

        conn.is_lost = true;
        conn.events.lost(&conn, &err, conn.events.arg);
    }
}

void mf_pg_conn_set_events(struct mf_pg_conn *c, const struct mf_pg_conn_events *events)
{
    c->events = *events;
}

int mf_pg_conn_send(struct mf_pg_conn *c, const struct mf_pg_round *r,
                    struct mf_err *err)
{
    MF_CHECK(!c->is_in_round && !c->is_paused);
    if (r->rc < 0) {
        return mf_err_set(err, r->rc, "no memory");
    }
    MF_CHECK(r->n <= mf_countof(c->texts));
    for (size_t i = 0; i < r->n; i++) {
        const struct mf_pg_call *call = &r->calls[i];
        size_t n = strlen(rig.sent);

        (void)snprintf(c->texts[i], sizeof(c->texts[i]), "%s",
                       call->text == NULL ? mf_pg_sql(call->id)->text : call->text);
        (void)snprintf(rig.sent + n, sizeof(rig.sent) - n, "%s%s", c->texts[i],
                       i + 1 < r->n ? " " : ";");
        c->streams[i] = call->streams;
    }
    c->n = r->n;
    c->at = c->row = 0;
    c->is_in_round = true;
    mf_loop_at_turn_end(rig.loop, &c->hook);
    return 0;
}

void mf_pg_conn_pause(struct mf_pg_conn *c, bool pause)
{
    rig.n_pauses += pause;
    c->is_paused = pause;
    if (!pause && c->is_in_round) {
        mf_loop_at_turn_end(rig.loop, &c->hook);
    }
}

bool mf_pg_conn_in_transaction(const struct mf_pg_conn *c)
{
    return c->is_in_transaction;
}

/* --- the pool */

struct mf_pg_pool {
    char letter;
};

static struct mf_pg_pool reads = {'r'}, writes = {'w'};
static struct mf_list asks;
static struct mf_turn_hook pool_hook;

static void on_pool_turn(MF_UNUSED struct mf_turn_hook *h)
{
    struct mf_link *k;

    mf_loop_assert(rig.loop);
    while (!rig.holds_asks && !is_lent && (k = mf_list_pop_head(&asks)) != NULL) {
        struct mf_pg_ask *a = mf_container_of(k, struct mf_pg_ask, link);
        struct mf_err err = {.code = MF_EUNAVAILABLE, .msg = "down"};

        is_lent = !rig.is_down;
        if (is_lent) {
            conn.is_lost = false;
        }
        a->got(a, rig.is_down ? NULL : &conn, rig.is_down ? MF_EUNAVAILABLE : 0,
               rig.is_down ? &err : NULL);
    }
}

void mf_pg_pool_ask(struct mf_pg_pool *p, struct mf_pg_ask *a)
{
    size_t n = strlen(rig.asked);

    (void)snprintf(rig.asked + n, sizeof(rig.asked) - n, "%c", p->letter);
    mf_list_push_tail(&asks, &a->link);
    mf_loop_at_turn_end(rig.loop, &pool_hook);
}

void mf_pg_pool_forget(MF_UNUSED struct mf_pg_pool *p, struct mf_pg_ask *a)
{
    mf_list_remove(&asks, &a->link);
}

void mf_pg_pool_give(MF_UNUSED struct mf_pg_pool *p, struct mf_pg_conn *c,
                     enum mf_pg_use use, const struct mf_err *err)
{
    MF_CHECK_PTR(c, &conn);
    MF_CHECK(is_lent);
    MF_CHECK(use == MF_PG_USE_OK ? err == NULL : err != NULL && err->msg[0] != '\0');
    MF_CHECK(use == MF_PG_USE_LOST || use == MF_PG_USE_LATE || !c->is_in_transaction);
    mf_loop_forget_hook(rig.loop, &c->hook);
    c->is_in_round = c->is_paused = c->is_in_transaction = c->is_aborted = false;
    rig.use = use;
    rig.has_given = true;
    is_lent = false;
    mf_loop_at_turn_end(rig.loop, &pool_hook);
}

/* --- the rig */

void rig_open(void)
{
    rig = (struct rig){.commit_says = "COMMIT"};
    rig.loop = mf_loop_fixture_open();
    conn = (struct mf_pg_conn){.hook = {.fn = on_conn_turn}};
    pool_hook = (struct mf_turn_hook){.fn = on_pool_turn};
    is_lent = false;
    mf_loop_assert(rig.loop);
    mf_list_init(&asks);
    rig.runner = (struct mf_pg_runner){.loop = rig.loop,
                                       .reads = &reads,
                                       .writes = &writes,
                                       .env = &rig.env,
                                       .deadline_ms = DEADLINE_MS};
    MF_CHECK_OK(mf_lane_open(&rig.runner.lane, rig.loop, "steps", 2, 16));
    mf_pg_runner_open(&rig.runner);
}

static void on_closed(void *arg)
{
    bool *is_closed = arg;

    mf_loop_assert(rig.loop);
    *is_closed = true;
}

void rig_close(void)
{
    bool is_closed = false;

    MF_CHECK_INT(rig.runner.n_running, 0);
    MF_CHECK(!is_lent);
    MF_CHECK_INT(asks.n, 0);
    mf_pg_runner_close(&rig.runner, on_closed, &is_closed);
    mf_loop_fixture_wait(rig.loop, &is_closed);
    is_closed = false;
    mf_lane_close(rig.runner.lane, on_closed, &is_closed);
    mf_loop_fixture_wait(rig.loop, &is_closed);
    mf_loop_forget_hook(rig.loop, &pool_hook);
    mf_loop_fixture_close(rig.loop);
}

static void on_done(void *arg, int rc)
{
    struct rig_job *job = arg;

    mf_loop_assert(rig.loop);
    MF_CHECK(!job->is_done);
    job->is_done = true;
    job->rc = rc;
    job->order = rig.n_ended++;
}

int rig_start(const struct mf_pg_verb *verb, struct rig_job *job)
{
    struct mf_pg_run_spec spec = {.verb = verb,
                                  .state = job,
                                  .err = &job->err,
                                  .urgency = MF_ORDINARY,
                                  .done = on_done,
                                  .arg = job};
    int rc = mf_pg_run(&rig.runner, &spec);

    MF_CHECK(!job->is_done);
    return rc;
}

void rig_wait(const struct rig_job *job)
{
    mf_loop_fixture_wait(rig.loop, &job->is_done);
}

int rig_run(const struct mf_pg_verb *verb, struct rig_job *job)
{
    MF_CHECK_OK(rig_start(verb, job));
    rig_wait(job);
    return job->rc;
}
