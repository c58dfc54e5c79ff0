/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run waits for three things: its step on a worker, its connection, the server's
 * answer. Whatever ends, `proceed` looks at what is to be done next; while a worker has
 * the job nothing of it is touched here, however the connection fares.
 */
#include "store/pg_run_priv.h"

#include "base/mem.h"
#include "store/pg_code.h"

#include <string.h>

#define ARGS_BLOCK  16384
#define KEPT_BLOCK  1024
/* Rows are handed over in pieces: large enough that a job is worth it, small enough
 * that two of them are nothing (a row alone in its PGresult takes some 3 KiB). */
#define PIECE_ROWS  512
#define PIECE_BYTES ((size_t)2 << 20)

static bool is_write(const struct mf_pg_run *run)
{
    return run->spec.verb->is_write;
}

void mf_pg_run_fail(struct mf_pg_run *run, int rc, const struct mf_err *err)
{
    if (run->rc == 0) {
        run->rc = rc;
        run->err = err == NULL ? (struct mf_err){0} : *err;
    }
}

void mf_pg_run_fail_closing(struct mf_pg_run *run, int rc)
{
    struct mf_err err;

    mf_pg_run_fail(run, mf_err_set(&err, rc, "the store was closed before its turn"),
                   &err);
}

static void clear_piece(struct mf_pg_piece *p)
{
    for (size_t i = 0; i < p->n; i++) {
        PQclear(p->rows[i]);
    }
    p->n = 0;
    p->bytes = 0;
}

static void clear_results(PGresult **results, size_t *n)
{
    for (size_t i = 0; i < *n; i++) {
        PQclear(results[i]);
    }
    *n = 0;
}

/* --- on workers */

/* BEGIN before what the verb added, COMMIT behind it. */
MF_WORKER static void frame_round(struct mf_pg_run *run)
{
    struct mf_pg_round *r = &run->job.round;
    bool is_last = run->job.is_last || (r->n == 0 && run->is_begun);

    MF_ASSERT(r->n == 0 || !run->is_committed); /* a verb that said it was its last */
    run->has_begin = is_write(run) && !run->is_begun && r->n > 0;
    run->has_commit = is_write(run) && !run->is_committed && is_last &&
                      (run->is_begun || run->has_begin);
    if (run->has_begin) {
        size_t n = r->n;

        mf_pg_add(r, MF_PG_BEGIN);
        if (r->n > n) {
            struct mf_pg_call begin = r->calls[n];

            memmove(r->calls + 1, r->calls, n * sizeof(*r->calls));
            r->calls[0] = begin;
        }
    }
    if (run->has_commit) {
        mf_pg_add(r, MF_PG_COMMIT);
    }
}

MF_WORKER static void work_step(struct mf_job *work)
{
    struct mf_pg_run *run = mf_container_of(work, struct mf_pg_run, work);
    struct mf_pg_job *j = &run->job;

    mf_arena_reset(&run->args);
    mf_pg_round_init(&j->round, &run->args);
    run->worker_rc = run->spec.verb->step(j);
    clear_results(j->results, &j->n_results);
    if (run->worker_rc < 0) {
        return;
    }
    frame_round(run);
    run->worker_rc = j->round.rc < 0 ? mf_err_set(j->err, j->round.rc,
                                                  "a statement for the "
                                                  "database: %s",
                                                  mf_code_sentence(j->round.rc))
                                     : 0;
}

MF_WORKER static void work_rows(struct mf_job *work)
{
    struct mf_pg_run *run = mf_container_of(work, struct mf_pg_run, work);

    run->worker_rc = run->spec.verb->rows(&run->job, run->handed.rows, run->handed.n);
    clear_piece(&run->handed);
}

/* --- the end */

MF_LOOP static void stop_clock(struct mf_pg_run *run)
{
    if (mf_link_is_on(&run->wait_link)) {
        mf_list_remove(&run->runner->waiting, &run->wait_link);
    }
    if (mf_list_is_empty(&run->runner->waiting)) { /* it would keep the loop running */
        (void)uv_timer_stop(&run->runner->timer);
    }
}

void mf_pg_run_give_back(struct mf_pg_run *run, enum mf_pg_use use)
{
    struct mf_pg_conn *c = run->conn;

    if (c == NULL) {
        return;
    }
    stop_clock(run);
    if (run->is_paused) {
        mf_pg_conn_pause(c, false);
        run->is_paused = false;
    }
    run->conn = NULL;
    run->is_in_round = false;
    mf_pg_pool_give(run->pool, c, use, use == MF_PG_USE_OK ? NULL : &run->gone);
}

MF_LOOP static void finish(struct mf_pg_run *run)
{
    struct mf_pg_runner *r = run->runner;
    struct mf_pg_run_spec spec = run->spec;
    int rc = run->rc;

    if (run->err.code != 0) {
        *run->job.err = run->err;
    } else if (rc < 0 && run->job.err->code == 0) {
        (void)mf_err_set(run->job.err, rc, "%s", mf_code_sentence(rc));
    }
    mf_list_remove(&r->runs, &run->link);
    r->n_running--;
    clear_results(run->job.results, &run->job.n_results);
    clear_results(run->results, &run->n_results);
    clear_piece(&run->filling);
    clear_piece(&run->handed);
    mf_free((void *)run->results);
    mf_free((void *)run->filling.rows);
    mf_free((void *)run->handed.rows);
    mf_arena_fini(&run->args);
    mf_arena_fini(&run->job.kept);
    mf_free(run);
    spec.done(spec.arg, rc);
}

MF_LOOP static int send_calls(struct mf_pg_run *run)
{
    struct mf_pg_runner *r = run->runner;
    struct mf_err err = {0};
    int rc = mf_pg_conn_send(run->conn, &run->job.round, &err);

    run->n_calls = run->job.round.n;
    if (rc < 0) {
        if (rc != MF_ENOMEM && rc != MF_ETOOBIG) {
            run->use = MF_PG_USE_LOST;
            run->gone = err;
        }
        mf_pg_run_fail(run, rc, &err);
        return rc;
    }
    run->is_in_round = true;
    run->due_ms = mf_loop_now_ms(r->loop) + r->deadline_ms;
    mf_list_push_tail(&r->waiting, &run->wait_link);
    mf_pg_runner_set_clock(r);
    return 0;
}

/* Whether the server works on it. */
MF_LOOP static bool roll_back(struct mf_pg_run *run)
{
    if (run->is_rolling_back || !mf_pg_conn_in_transaction(run->conn)) {
        return false;
    }
    run->is_rolling_back = true;
    run->has_begin = run->has_commit = false;
    clear_results(run->results, &run->n_results);
    mf_pg_round_init(&run->job.round, &run->args);
    mf_pg_add(&run->job.round, MF_PG_ROLLBACK);
    if (run->job.round.rc == 0 && send_calls(run) == 0) {
        return true;
    }
    run->use = MF_PG_USE_LOST;
    return false;
}

/* No worker has the job and nothing is under way. */
MF_LOOP static void wind_up(struct mf_pg_run *run)
{
    if (run->is_asking) {
        mf_pg_pool_forget(run->pool, &run->ask);
        run->is_asking = false;
    }
    if (run->conn != NULL) {
        if (run->use != MF_PG_USE_LOST && roll_back(run)) {
            return;
        }
        if (run->use != MF_PG_USE_LOST && mf_pg_conn_in_transaction(run->conn)) {
            run->use = MF_PG_USE_LOST;
        }
        mf_pg_run_give_back(run, run->use);
    }
    finish(run);
}

/* --- rows */

static bool is_full(const struct mf_pg_piece *p)
{
    return p->n >= PIECE_ROWS || p->bytes >= PIECE_BYTES;
}

static void on_worked(struct mf_job *work, int status);

MF_LOOP static int to_worker(struct mf_pg_run *run, mf_job_work_fn fn)
{
    int rc;

    run->work.work = fn;
    run->work.done = on_worked;
    rc = mf_lane_submit(run->runner->lane, &run->work, run->spec.urgency);
    if (rc < 0) {
        struct mf_err err;

        mf_pg_run_fail(
            run, mf_err_set(&err, rc, "no turn on a worker: %s", mf_code_sentence(rc)),
            &err);
        return rc;
    }
    run->is_working = true;
    return 0;
}

/* Hands over the piece that is full, or the rest when no more will come; stops the
 * server's stream while the worker is behind. */
MF_LOOP static void hand_over(struct mf_pg_run *run)
{
    bool is_due = is_full(&run->filling) || (!run->is_in_round && run->filling.n > 0);

    if (run->rc < 0 || run->is_enough) {
        clear_piece(&run->filling);
    } else if (is_due && !run->is_working) {
        struct mf_pg_piece free = run->handed;

        run->handed = run->filling;
        run->filling = free;
        (void)to_worker(run, work_rows); /* else it has failed */
    }
    if (run->is_in_round && run->is_paused != is_full(&run->filling)) {
        run->is_paused = !run->is_paused;
        mf_pg_conn_pause(run->conn, run->is_paused);
    }
}

MF_LOOP static void keep_row(struct mf_pg_run *run, PGresult *res)
{
    struct mf_pg_piece *p = &run->filling;

    if (run->rc < 0 || run->is_enough) { /* the rest is only read */
        PQclear(res);
        return;
    }
    if (mf_grow((void **)&p->rows, &p->cap, p->n + 1, sizeof(PGresult *)) < 0) {
        mf_pg_run_fail(run, MF_ENOMEM, NULL);
        PQclear(res);
        return;
    }
    p->rows[p->n++] = res;
    p->bytes += PQresultMemorySize(res);
    hand_over(run);
}

/* --- answers */

MF_LOOP static void take_failure(struct mf_pg_run *run, const PGresult *res)
{
    const struct mf_pg_meaning *m = mf_pg_meaning_of(res);
    struct mf_err err = {0};
    int rc = mf_pg_fail(res, &err);

    if (run->rc == 0 || run->is_rolling_back) {
        bool is_lost = m->is_lost || run->is_rolling_back;
        bool is_servers =
            m->blame == MF_PG_BLAME_SERVER || m->blame == MF_PG_BLAME_SETUP;

        run->gone = err;
        run->use = is_lost      ? MF_PG_USE_LOST
                   : is_servers ? MF_PG_USE_FAILED
                                : MF_PG_USE_OK;
    }
    mf_pg_run_fail(run, rc, &err);
}

/* A transaction in which something failed answers COMMIT with ROLLBACK. */
MF_LOOP static void take_commit(struct mf_pg_run *run, PGresult *res)
{
    struct mf_err err;

    if (strcmp(PQcmdStatus(res), "COMMIT") == 0) {
        run->is_committed = true;
    } else {
        mf_pg_run_fail(
            run, mf_err_set(&err, MF_EDB, "the database undid the transaction"), &err);
    }
    PQclear(res);
}

MF_LOOP static void keep_result(struct mf_pg_run *run, size_t at, PGresult *res)
{
    if (run->has_commit && at + 1 == run->n_calls) {
        take_commit(run, res);
        return;
    }
    if (run->rc < 0 || run->is_rolling_back || (run->has_begin && at == 0)) {
        PQclear(res);
        return;
    }
    if (mf_grow((void **)&run->results, &run->results_cap, run->n_results + 1,
                sizeof(PGresult *)) < 0) {
        mf_pg_run_fail(run, MF_ENOMEM, NULL);
        PQclear(res);
        return;
    }
    run->results[run->n_results++] = res;
}

static void on_result(MF_UNUSED struct mf_pg_conn *c, size_t at, PGresult *res,
                      void *arg)
{
    struct mf_pg_run *run = arg;
    ExecStatusType status = PQresultStatus(res);

    mf_loop_assert(run->runner->loop);
    if (status == PGRES_SINGLE_TUPLE && run->spec.verb->rows != NULL) {
        keep_row(run, res);
        return;
    }
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
        keep_result(run, at, res);
        return;
    }
    if (status != PGRES_PIPELINE_ABORTED) { /* that comes after the one that failed */
        take_failure(run, res);
    }
    PQclear(res);
}

static void on_round_over(MF_UNUSED struct mf_pg_conn *c, void *arg)
{
    struct mf_pg_run *run = arg;
    bool is_commit_alone = run->has_commit && run->n_calls == 1;

    mf_loop_assert(run->runner->loop);
    stop_clock(run);
    if (run->is_paused) {
        run->is_paused = false;
        mf_pg_conn_pause(run->conn, false);
    }
    run->is_in_round = false;
    run->is_begun |= run->has_begin;
    run->next = is_commit_alone ? MF_PG_NEXT_END : MF_PG_NEXT_STEP;
    run->n_rounds++;
    mf_pg_run_proceed(run);
}

/* A connection that breaks while a step runs is missed only when there is more to say:
 * what was committed is. */
static void on_lost(MF_UNUSED struct mf_pg_conn *c, const struct mf_err *err, void *arg)
{
    struct mf_pg_run *run = arg;
    bool was_in_round = run->is_in_round;

    mf_loop_assert(run->runner->loop);
    if (run->use != MF_PG_USE_LOST) { /* else the server said why */
        run->gone = *err;
        run->gone.code = err->code == 0 ? MF_EUNAVAILABLE : err->code;
    }
    mf_pg_run_give_back(run, MF_PG_USE_LOST);
    if (was_in_round) {
        mf_pg_run_fail(run, run->gone.code, &run->gone);
    }
    mf_pg_run_proceed(run);
}

static void on_got(struct mf_pg_ask *a, struct mf_pg_conn *c, int rc,
                   const struct mf_err *err)
{
    struct mf_pg_run *run = mf_container_of(a, struct mf_pg_run, ask);
    struct mf_pg_conn_events events = {
        .result = on_result, .round_over = on_round_over, .lost = on_lost, .arg = run};

    mf_loop_assert(run->runner->loop);
    run->is_asking = false;
    run->conn = c;
    if (c == NULL) {
        run->gone = err == NULL ? (struct mf_err){0} : *err;
        run->gone.code = rc;
    } else {
        mf_pg_conn_set_events(c, &events);
    }
    mf_pg_run_proceed(run);
}

static void on_worked(struct mf_job *work, int status)
{
    struct mf_pg_run *run = mf_container_of(work, struct mf_pg_run, work);
    bool is_step = work->work == work_step;

    mf_loop_assert(run->runner->loop);
    run->is_working = false;
    if (status < 0) {
        mf_pg_run_fail_closing(run, status);
    } else if (run->worker_rc < 0) {
        mf_pg_run_fail(run, run->worker_rc, NULL); /* the verb wrote the sentence */
    } else if (!is_step) {
        run->is_enough |= run->worker_rc > 0;
    } else {
        run->next = run->job.round.n > 0 ? MF_PG_NEXT_SEND : MF_PG_NEXT_END;
    }
    mf_pg_run_proceed(run);
}

/* --- what is next */

MF_LOOP static int take_step(struct mf_pg_run *run)
{
    run->job.n_rounds = run->n_rounds;
    run->job.results = run->results;
    run->job.n_results = run->n_results;
    run->n_results = 0;
    return to_worker(run, work_step);
}

MF_LOOP static int send_round(struct mf_pg_run *run)
{
    if (run->conn != NULL) {
        return send_calls(run);
    }
    if (run->is_asking) {
        return 0;
    }
    mf_pg_run_fail(run, run->gone.code, &run->gone);
    return run->rc;
}

void mf_pg_run_proceed(struct mf_pg_run *run)
{
    int rc = run->rc;

    if (run->spec.verb->rows != NULL) {
        hand_over(run);
        rc = run->rc;
    }
    if (run->is_working || run->is_in_round) {
        return;
    }
    if (rc == 0 && run->next == MF_PG_NEXT_STEP) {
        rc = take_step(run);
    } else if (rc == 0 && run->next == MF_PG_NEXT_SEND) {
        rc = send_round(run);
    } else {
        wind_up(run);
        return;
    }
    if (rc < 0) {
        wind_up(run);
    }
}

int mf_pg_run(struct mf_pg_runner *r, const struct mf_pg_run_spec *spec)
{
    struct mf_pg_run *run = mf_calloc(1, sizeof(*run));
    bool is_writers = spec->verb->is_write || spec->req == NULL;
    int rc;

    if (run == NULL) {
        return MF_ENOMEM;
    }
    run->runner = r;
    run->spec = *spec;
    run->pool = is_writers ? r->writes : r->reads;
    run->job.req = spec->req;
    run->job.env = r->env;
    run->job.err = spec->req == NULL ? spec->err : &spec->req->err;
    run->job.state = spec->state;
    mf_arena_init(&run->args, ARGS_BLOCK);
    mf_arena_init(&run->job.kept, KEPT_BLOCK);
    rc = to_worker(run, work_step);
    if (rc < 0) {
        mf_free(run);
        return rc;
    }
    mf_list_push_tail(&r->runs, &run->link);
    r->n_running++;
    run->ask.got = on_got;
    run->ask.urgency = spec->urgency;
    run->is_asking = true;
    /* While the step runs, so that writes stand in line in the order of their coming.
     */
    mf_pg_pool_ask(run->pool, &run->ask);
    return 0;
}
