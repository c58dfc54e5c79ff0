/* SPDX-License-Identifier: Apache-2.0 */
#include "pg/pg_drive.h"

#include "lib/mf_test.h"
#include "store/pg_code.h"

#include <stdio.h>
#include <stdlib.h>

#define ARENA_BLOCK 4096

static bool is_good(const PGresult *res)
{
    ExecStatusType status = PQresultStatus(res);

    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

void drive_open(struct drive *d, const char *more)
{
    const char *dsn = getenv("MF_TEST_DSN");
    char all[1024];

    *d = (struct drive){.db = NULL};
    if (dsn == NULL) {
        fail_msg("MF_TEST_DSN is not set: run by tests/lib/with_postgres.sh");
    }
    (void)snprintf(all, sizeof(all), "%s %s", dsn, more);
    d->db = PQconnectdb(all);
    if (PQstatus(d->db) != CONNECTION_OK) {
        fail_msg("%s", PQerrorMessage(d->db));
    }
}

void drive_close(struct drive *d)
{
    PQfinish(d->db);
    d->db = NULL;
}

void drive_begin(struct drive *d, void *state)
{
    mf_arena_init(&d->args, ARENA_BLOCK);
    d->err = (struct mf_err){0};
    d->job = (struct mf_pg_job){
        .env = &d->env, .err = &d->err, .results = d->results, .state = state};
    mf_arena_init(&d->job.kept, ARENA_BLOCK);
}

static void clear_results(struct drive *d)
{
    for (size_t i = 0; i < d->job.n_results; i++) {
        PQclear(d->results[i]);
    }
    d->job.n_results = 0;
}

void drive_end(struct drive *d)
{
    clear_results(d);
    mf_arena_fini(&d->job.kept);
    mf_arena_fini(&d->args);
}

static int send_call(struct drive *d, const struct mf_pg_call *c)
{
    int formats[MF_PG_MAX_ARGS];
    const char *text = c->text != NULL ? c->text : mf_pg_sql(c->id)->text;

    for (size_t i = 0; i < mf_countof(formats); i++) {
        formats[i] = 1;
    }
    return PQsendQueryParams(d->db, text, c->n, NULL, c->values, c->lengths, formats,
                             1);
}

/* Keeps what is good, hands over a row that streams; the first failure counts. */
static int take_one(struct drive *d, PGresult *res, int rc)
{
    if (PQresultStatus(res) == PGRES_SINGLE_TUPLE) {
        rc = rc != 0 ? rc : d->rows(&d->job, &res, 1);
    } else if (!is_good(res)) {
        /* What follows a failure in the pipeline is aborted, and no reason of its own.
         */
        rc = d->err.code < 0 ? d->err.code : mf_pg_fail(res, &d->err);
    } else if (d->job.n_results < mf_countof(d->results)) {
        d->results[d->job.n_results++] = res;
        return rc;
    }
    PQclear(res);
    return rc;
}

/* The results of one call, up to the NULL behind them. */
static int take_results(struct drive *d, const struct mf_pg_call *c)
{
    PGresult *res;
    int rc = 0;

    if (c->streams && PQsetSingleRowMode(d->db) != 1) {
        return mf_err_set(&d->err, MF_EUNAVAILABLE, "%s", PQerrorMessage(d->db));
    }
    while ((res = PQgetResult(d->db)) != NULL) {
        rc = take_one(d, res, rc);
    }
    return mf_min(rc, 0);
}

static int run_round(struct drive *d)
{
    const struct mf_pg_round *r = &d->job.round;
    PGresult *sync;
    int rc = 0;

    if (PQenterPipelineMode(d->db) != 1) {
        return mf_err_set(&d->err, MF_EUNAVAILABLE, "%s", PQerrorMessage(d->db));
    }
    for (size_t i = 0; i < r->n; i++) {
        if (send_call(d, &r->calls[i]) != 1) {
            return mf_err_set(&d->err, MF_EUNAVAILABLE, "%s", PQerrorMessage(d->db));
        }
    }
    if (PQpipelineSync(d->db) != 1) {
        return mf_err_set(&d->err, MF_EUNAVAILABLE, "%s", PQerrorMessage(d->db));
    }
    for (size_t i = 0; i < r->n; i++) {
        int one = take_results(d, &r->calls[i]);

        rc = rc < 0 ? rc : one;
    }
    sync = PQgetResult(d->db);
    if (rc == 0 && PQresultStatus(sync) != PGRES_PIPELINE_SYNC) {
        rc = mf_err_set(&d->err, MF_EUNAVAILABLE, "no end of the round");
    }
    PQclear(sync);
    (void)PQexitPipelineMode(d->db);
    return rc;
}

int drive_round(struct drive *d, mf_pg_step_fn step)
{
    int rc;

    mf_arena_reset(&d->args);
    mf_pg_round_init(&d->job.round, &d->args);
    rc = step(&d->job);
    clear_results(d);
    rc = rc < 0 ? rc : d->job.round.rc;
    if (rc < 0 || d->job.round.n == 0) {
        return rc;
    }
    rc = run_round(d);
    d->job.n_rounds++;
    return rc < 0 ? rc : 1;
}

int drive_all(struct drive *d, mf_pg_step_fn step, void *state, unsigned *n)
{
    int rc;

    drive_begin(d, state);
    do {
        rc = drive_round(d, step);
    } while (rc > 0);
    if (n != NULL) {
        *n = d->job.n_rounds;
    }
    drive_end(d);
    return rc;
}

/* Rounds until the verb adds none or said that the last one went. */
static int run_rounds(struct drive *d, const struct mf_pg_verb *v)
{
    int rc;

    do {
        rc = drive_round(d, v->step);
    } while (rc > 0 && !d->job.is_last);
    return rc;
}

int drive_request(struct drive *d, const struct mf_pg_verb *v, struct mf_store_req *req)
{
    int rc;

    req->err = (struct mf_err){0};
    mf_arena_init(&req->arena, ARENA_BLOCK);
    drive_begin(d, NULL);
    d->job.req = req;
    d->rows = v->rows;
    if (v->is_write) {
        drive_exec(d, "BEGIN");
    }
    rc = run_rounds(d, v);
    if (v->is_write) {
        drive_exec(d, rc < 0 ? "ROLLBACK" : "COMMIT");
    }
    if (rc > 0) { /* the step that takes the results of the last round */
        rc = drive_round(d, v->step);
    }
    req->err = d->err;
    drive_end(d);
    return rc;
}

void drive_exec(struct drive *d, const char *sql)
{
    PGresult *res = PQexec(d->db, sql);

    if (!is_good(res)) {
        fail_msg("%s: %s", sql, PQresultErrorMessage(res));
    }
    PQclear(res);
}

const char *drive_value(struct drive *d, const char *sql)
{
    static char value[256];
    PGresult *res = PQexec(d->db, sql);

    if (!is_good(res) || PQntuples(res) == 0) {
        fail_msg("%s: %s", sql, PQresultErrorMessage(res));
    }
    (void)snprintf(value, sizeof(value), "%s", PQgetvalue(res, 0, 0));
    PQclear(res);
    return value;
}
