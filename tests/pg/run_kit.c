/* SPDX-License-Identifier: Apache-2.0 */
#include "pg/run_kit.h"

#include "base/log.h"
#include "base/mem.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define DEADLINE_MS 30000

static int step(struct mf_pg_job *j)
{
    struct run_job *job = j->state;
    const char *text = job->rounds[j->n_rounds];

    job->n_steps++;
    if (j->n_results > 0 && PQntuples(mf_pg_result(j, 0)) > 0) {
        const PGresult *res = mf_pg_result(j, 0);
        size_t n = (size_t)PQgetlength(res, 0, 0);

        memcpy(job->value, PQgetvalue(res, 0, 0), mf_min(n, sizeof(job->value)));
    }
    if (text == NULL) {
        return 0;
    }
    mf_pg_add_text(&j->round, text);
    if (job->streams) {
        mf_pg_stream_last(&j->round);
        job->in_order = true;
    }
    if (job->is_last) {
        mf_pg_is_last(j);
    }
    return 0;
}

static uint64_t number(const char *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return be64toh(v);
}

static int take_rows(struct mf_pg_job *j, PGresult *const *rows, size_t n)
{
    struct run_job *job = j->state;

    for (size_t i = 0; i < n; i++) {
        job->in_order &= number(PQgetvalue(rows[i], 0, 0)) == ++job->n_rows;
    }
    return job->enough_at > 0 && job->n_rows >= job->enough_at;
}

static const struct mf_pg_verb read_verb = {step, take_rows, false};
static const struct mf_pg_verb write_verb = {step, NULL, true};

static void on_done(void *arg, int rc)
{
    struct run_job *job = arg;

    MF_CHECK(!job->is_done);
    job->is_done = true;
    job->rc = rc;
}

MF_LOOP static int run(struct run_kit *k, const struct mf_pg_verb *verb,
                       struct run_job *job)
{
    struct mf_pg_run_spec spec = {.verb = verb,
                                  .state = job,
                                  .err = &job->err,
                                  .urgency = MF_ORDINARY,
                                  .done = on_done,
                                  .arg = job};

    MF_CHECK_OK(mf_pg_run(&k->runner, &spec));
    MF_CHECK(!job->is_done);
    mf_loop_fixture_wait(k->loop, &job->is_done);
    return job->rc;
}

int run_kit_write(struct run_kit *k, struct run_job *job)
{
    return run(k, &write_verb, job);
}

int run_kit_read(struct run_kit *k, struct run_job *job)
{
    return run(k, &read_verb, job);
}

int64_t run_kit_ask(struct run_kit *k, const char *sql)
{
    struct run_job job = {.rounds = {sql}};

    if (run_kit_read(k, &job) < 0) {
        fail_msg("%s: %s", sql, job.err.msg);
    }
    return (int64_t)number(job.value);
}

void run_kit_do(struct run_kit *k, const char *sql)
{
    struct run_job job = {.rounds = {sql}};

    if (run_kit_read(k, &job) < 0) {
        fail_msg("%s: %s", sql, job.err.msg);
    }
}

MF_LOOP static void open_pool(struct run_kit *k, struct mf_pg_pool **out, unsigned max)
{
    struct mf_pg_pool_config cfg = {.name = "test",
                                    .conn = {.dsn = &k->dsn,
                                             .connect_timeout_ms = 10000,
                                             .statement_timeout_ms = DEADLINE_MS,
                                             .lock_timeout_ms = DEADLINE_MS},
                                    .max = max,
                                    .idle_ms = 60000,
                                    .age_ms = 300000,
                                    .dep = {.timeout_ms = 10000,
                                            .first_backoff_ms = 10,
                                            .max_backoff_ms = 100,
                                            .open_after = 1}};

    MF_CHECK_OK(mf_pg_pool_open(out, k->loop, &cfg));
}

void run_kit_open(struct run_kit *k)
{
    struct mf_err err = {0};

    *k = (struct run_kit){0};
    k->loop = mf_loop_fixture_open();
    mf_log_set_level(MF_LOG_ERROR);
    MF_CHECK(getenv("MF_TEST_DSN") != NULL);
    if (mf_pg_dsn_parse(&k->dsn, getenv("MF_TEST_DSN"), NULL, 10000, &err) < 0) {
        fail_msg("%s", err.msg);
    }
    k->runner.loop = k->loop;
    k->runner.env = &k->env;
    k->runner.deadline_ms = DEADLINE_MS;
    MF_CHECK_OK(mf_lane_open(&k->runner.lane, k->loop, "steps", 2, 16));
    open_pool(k, &k->runner.reads, 2);
    open_pool(k, &k->runner.writes, 1);
    mf_pg_runner_open(&k->runner);
}

static void on_closed(void *arg)
{
    bool *is_closed = arg;

    *is_closed = true;
}

void run_kit_close(struct run_kit *k)
{
    bool is_closed[4] = {false};

    mf_pg_runner_close(&k->runner, on_closed, &is_closed[0]);
    mf_lane_close(k->runner.lane, on_closed, &is_closed[1]);
    mf_pg_pool_close(k->runner.reads, on_closed, &is_closed[2]);
    mf_pg_pool_close(k->runner.writes, on_closed, &is_closed[3]);
    for (size_t i = 0; i < mf_countof(is_closed); i++) {
        mf_loop_fixture_wait(k->loop, &is_closed[i]);
    }
    mf_pg_dsn_fini(&k->dsn);
    mf_loop_fixture_close(k->loop);
}
