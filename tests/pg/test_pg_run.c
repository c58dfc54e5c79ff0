/* SPDX-License-Identifier: Apache-2.0 */
/* The runner on a real server: what libpq and Postgres make of each round. */
#include "pg/run_kit.h"

#include "store/pg_code.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A table of the case's own, which hates one word. */
MF_LOOP static void furnish(struct run_kit *k)
{
    run_kit_do(k, "DROP TABLE IF EXISTS run_rows");
    run_kit_do(k, "CREATE TABLE run_rows (id bigint PRIMARY KEY, word text"
                  " CONSTRAINT no_poison CHECK (word <> 's3cret'))");
}

MF_LOOP static int64_t count(struct run_kit *k)
{
    return run_kit_ask(k, "SELECT count(*) FROM run_rows");
}

MF_LOOP static size_t n_connects(const struct mf_pg_pool *p)
{
    struct mf_pg_pool_stats stats;
    size_t n = 0;

    mf_pg_pool_stats(p, &stats);
    for (size_t i = 0; i < stats.n_endpoints; i++) {
        n += stats.endpoints[i].n_connects;
    }
    return n;
}

MF_TEST(pg_run, a_write_is_there_when_it_is_over)
{
    struct run_job at_once = {.rounds = {"INSERT INTO run_rows VALUES (1, 'a')"},
                              .is_last = true};
    struct run_job in_turn = {.rounds = {"INSERT INTO run_rows VALUES (2, 'b')",
                                         "INSERT INTO run_rows VALUES (3, 'c')"}};
    struct run_kit k;

    run_kit_open(&k);
    furnish(&k);
    MF_CHECK_OK(run_kit_write(&k, &at_once));
    MF_CHECK_INT(at_once.n_steps, 2);
    MF_CHECK_INT(count(&k), 1);
    MF_CHECK_OK(run_kit_write(&k, &in_turn));
    MF_CHECK_INT(in_turn.n_steps, 3);
    MF_CHECK_INT(count(&k), 3);
    run_kit_close(&k);
}

/* The sentence names the constraint and nothing of the row. */
MF_TEST(pg_run, a_refused_row_leaves_nothing_and_is_not_quoted)
{
    struct run_job job = {.rounds = {"INSERT INTO run_rows VALUES (1, 'a')",
                                     "INSERT INTO run_rows VALUES (2, 's3cret')"}};
    struct run_job next = {.rounds = {"INSERT INTO run_rows VALUES (4, 'd')"}};
    struct run_kit k;
    size_t n;

    run_kit_open(&k);
    furnish(&k);
    MF_CHECK_INT(run_kit_write(&k, &job), MF_EPOISON);
    MF_CHECK(strstr(job.err.msg, "no_poison") != NULL);
    MF_CHECK(strstr(job.err.msg, "s3cret") == NULL);
    MF_CHECK_INT(job.err.sys, mf_pg_state_number("23514"));
    MF_CHECK_INT(count(&k), 0);
    n = n_connects(k.runner.writes);
    MF_CHECK_OK(run_kit_write(&k, &next));
    MF_CHECK_INT(count(&k), 1);
    MF_CHECK_INT(n_connects(k.runner.writes), n); /* the connection is still good */
    run_kit_close(&k);
}

MF_TEST(pg_run, what_the_text_of_an_error_quotes_is_not_told)
{
    struct run_job json = {.rounds = {"SELECT '{s3cret'::json"}};
    struct run_job number = {.rounds = {"SELECT 's3cret'::bigint"}};
    struct run_job twice = {.rounds = {"INSERT INTO run_rows VALUES (77777, 'a')",
                                       "INSERT INTO run_rows VALUES (77777, 'a')"}};
    struct run_kit k;

    run_kit_open(&k);
    furnish(&k);
    MF_CHECK_INT(run_kit_read(&k, &json), MF_EPOISON);
    MF_CHECK(strstr(json.err.msg, "s3cret") == NULL);
    MF_CHECK_INT(run_kit_read(&k, &number), MF_EPOISON);
    MF_CHECK(strstr(number.err.msg, "s3cret") == NULL);
    MF_CHECK_INT(run_kit_write(&k, &twice), MF_EEXIST);
    MF_CHECK(strstr(twice.err.msg, "run_rows_pkey") != NULL);
    MF_CHECK(strstr(twice.err.msg, "77777") == NULL);
    run_kit_close(&k);
}

MF_TEST(pg_run, rows_stream_in_order_and_enough_is_enough)
{
    struct run_job all = {
        .rounds = {"SELECT i::bigint FROM generate_series(1, 50000) i"},
        .streams = true};
    struct run_job some = all;
    struct run_kit k;

    run_kit_open(&k);
    MF_CHECK_OK(run_kit_read(&k, &all));
    MF_CHECK_INT(all.n_rows, 50000);
    MF_CHECK(all.in_order);
    MF_CHECK_INT(all.n_steps, 2);
    some.enough_at = 1000;
    MF_CHECK_OK(run_kit_read(&k, &some));
    MF_CHECK(some.n_rows >= 1000 && some.n_rows < 3000);
    MF_CHECK_INT(run_kit_ask(&k, "SELECT 7::bigint"), 7);
    run_kit_close(&k);
}

MF_TEST(pg_run, rows_that_end_in_an_error_are_an_error)
{
    struct run_job job = {.rounds = {"SELECT (100000 / (20000 - i))::bigint FROM"
                                     " generate_series(1, 30000) i"},
                          .streams = true};
    struct run_kit k;

    run_kit_open(&k);
    MF_CHECK_INT(run_kit_read(&k, &job), MF_EPOISON); /* division by zero: 22012 */
    MF_CHECK(job.n_rows <= 20000);
    MF_CHECK_INT(job.n_steps, 1);
    MF_CHECK_INT(run_kit_ask(&k, "SELECT 7::bigint"), 7);
    run_kit_close(&k);
}

/* Tries until the breaker is closed again. */
MF_LOOP static void insist(struct run_kit *k, const struct run_job *job,
                           struct run_job *out)
{
    for (int i = 0; i < 500; i++) {
        *out = *job;
        if (run_kit_write(k, out) == 0) {
            return;
        }
        MF_CHECK_INT(out->rc, MF_EUNAVAILABLE);
        (void)usleep(10000);
    }
    fail_msg("%s", out->err.msg);
}

/* The statement does not go on in the server either. */
MF_TEST(pg_run, a_late_answer_is_given_up_here_and_there)
{
    static const char busy[] =
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'active'"
        " AND query LIKE '%pg_sleep(61)%' AND pid <> pg_backend_pid()";
    struct run_job job = {.rounds = {"SELECT pg_sleep(61)::text"}};
    struct run_job look = {.rounds = {busy}}, answer;
    struct run_kit k;
    int n_looks = 0;

    run_kit_open(&k);
    k.runner.deadline_ms = 300;
    MF_CHECK_INT(run_kit_write(&k, &job), MF_ETIMEOUT);
    k.runner.deadline_ms = 30000;
    insist(&k, &look, &answer);
    while (answer.value[7] > 0 && n_looks < 500) {
        n_looks++;
        (void)usleep(10000);
        insist(&k, &look, &answer);
    }
    MF_CHECK(n_looks < 500);
    run_kit_close(&k);
}

MF_TEST(pg_run, a_backend_that_is_ended_costs_one_job)
{
    struct run_job job = {
        .rounds = {"INSERT INTO run_rows VALUES (1, 'a')",
                   "SELECT pg_terminate_backend(pg_backend_pid())::text"}};
    struct run_job next = {.rounds = {"INSERT INTO run_rows VALUES (2, 'b')"}}, answer;
    struct run_kit k;

    run_kit_open(&k);
    furnish(&k);
    MF_CHECK_INT(run_kit_write(&k, &job), MF_EUNAVAILABLE);
    MF_CHECK(job.err.msg[0] != '\0');
    insist(&k, &next, &answer);
    MF_CHECK_INT(count(&k), 1);
    run_kit_close(&k);
}
