/* SPDX-License-Identifier: Apache-2.0 */
/* The way of a job: its rounds, what stands around them, and how each failure ends. */
#include "unit/pg_run_rig.h"

#include "base/mem.h"

#include <string.h>
#include <unistd.h>

/* --- verbs */

/* The common part of a step: counts, and fails where the case wants it. */
static int enter(struct mf_pg_job *j)
{
    struct rig_job *s = j->state;

    MF_CHECK_INT(j->n_rounds, s->n_steps);
    MF_CHECK_INT(j->round.n, 0);
    s->n_steps++;
    s->n_results = j->n_results;
    if (s->fail_step_at == (int)s->n_steps) {
        return mf_err_set(j->err, MF_ENOTFOUND, "the verb says no");
    }
    return 0;
}

static int at_once_step(struct mf_pg_job *j)
{
    int rc = enter(j);

    if (rc == 0 && j->n_rounds == 0) {
        mf_pg_add_text(&j->round, "x");
        mf_pg_add_text(&j->round, "y");
        mf_pg_is_last(j);
    }
    return rc;
}

/* x, then y, then the end. */
static int in_turn_step(struct mf_pg_job *j)
{
    int rc = enter(j);

    if (rc == 0 && j->n_rounds < 2) {
        mf_pg_add_text(&j->round, j->n_rounds == 0 ? "x" : "y");
    }
    return rc;
}

static int empty_step(struct mf_pg_job *j)
{
    return enter(j);
}

static int stream_step(struct mf_pg_job *j)
{
    struct rig_job *s = j->state;
    int rc = enter(j);

    if (rc == 0 && j->n_rounds == 0) {
        mf_pg_add_text(&j->round, "rows");
        mf_pg_stream_last(&j->round);
        s->in_order = true;
    }
    return rc;
}

static int stream_rows(struct mf_pg_job *j, PGresult *const *rows, size_t n)
{
    struct rig_job *s = j->state;

    MF_CHECK(n > 0);
    s->n_pieces++;
    while (s->waits_for_pause && rig.n_pauses == 0) {
        (void)usleep(1000);
    }
    for (size_t i = 0; i < n; i++) {
        uint64_t value;

        memcpy(&value, PQgetvalue(rows[i], 0, 0), sizeof(value));
        s->in_order &= value == s->n_rows;
        s->n_rows++;
    }
    if (s->fail_rows < 0) {
        return mf_err_set(j->err, s->fail_rows, "the rows say no");
    }
    return s->enough_at > 0 && s->n_rows >= s->enough_at;
}

static const struct mf_pg_verb write_at_once = {at_once_step, NULL, true};
static const struct mf_pg_verb write_in_turn = {in_turn_step, NULL, true};
static const struct mf_pg_verb write_nothing = {empty_step, NULL, true};
static const struct mf_pg_verb read_in_turn = {in_turn_step, NULL, false};
static const struct mf_pg_verb stream = {stream_step, stream_rows, false};

/* --- rounds */

MF_TEST(pg_run_paths, a_write_that_knows_all_goes_in_one_round)
{
    struct rig_job job = {0};

    rig_open();
    MF_CHECK_OK(rig_run(&write_at_once, &job));
    MF_CHECK_STR(rig.sent, "BEGIN x y COMMIT;");
    MF_CHECK_INT(job.n_steps, 2);
    MF_CHECK_INT(job.n_results, 2); /* the verb's own */
    MF_CHECK_INT(rig.use, MF_PG_USE_OK);
    rig_close();
}

MF_TEST(pg_run_paths, a_write_in_turn_ends_with_a_commit_of_its_own)
{
    struct rig_job job = {0};

    rig_open();
    MF_CHECK_OK(rig_run(&write_in_turn, &job));
    MF_CHECK_STR(rig.sent, "BEGIN x;y;COMMIT;");
    MF_CHECK_INT(job.n_steps, 3);
    MF_CHECK_INT(job.n_results, 1);
    rig_close();
}

MF_TEST(pg_run_paths, a_read_has_nothing_around_it)
{
    struct rig_job job = {0};

    rig_open();
    MF_CHECK_OK(rig_run(&read_in_turn, &job));
    MF_CHECK_STR(rig.sent, "x;y;");
    MF_CHECK_INT(job.n_steps, 3);
    rig_close();
}

MF_TEST(pg_run_paths, nothing_to_write_needs_no_server)
{
    struct rig_job job = {0}, down = {0}, waiting = {0};

    rig_open();
    MF_CHECK_OK(rig_run(&write_nothing, &job));
    rig.is_down = true;
    MF_CHECK_OK(rig_run(&write_nothing, &down));
    rig.holds_asks = true;
    MF_CHECK_OK(rig_run(&write_nothing, &waiting));
    MF_CHECK_STR(rig.sent, "");
    rig_close();
}

MF_TEST(pg_run_paths, writes_ask_and_end_in_the_order_in_which_they_began)
{
    struct rig_job jobs[RIG_MAX_RUNS] = {0};

    rig_open();
    for (size_t i = 0; i < RIG_MAX_RUNS; i++) {
        MF_CHECK_OK(rig_start(i % 2 == 0 ? &write_at_once : &write_in_turn, &jobs[i]));
    }
    for (size_t i = 0; i < RIG_MAX_RUNS; i++) {
        rig_wait(&jobs[i]);
        MF_CHECK_OK(jobs[i].rc);
        MF_CHECK_INT(jobs[i].order, i);
    }
    MF_CHECK_STR(rig.asked, "wwwwwwww");
    rig_close();
}

/* --- failures */

static void fails(const char *state, int code, enum mf_pg_use use, const char *sent)
{
    struct rig_job job = {0};

    rig_open();
    rig.fail_text = "x";
    rig.fail_state = state;
    MF_CHECK_INT(rig_run(&write_at_once, &job), code);
    MF_CHECK_INT(job.n_steps, 1); /* not called with the results of a failure */
    MF_CHECK_INT(job.err.code, code);
    MF_CHECK(strstr(job.err.msg, state) != NULL);
    MF_CHECK_STR(rig.sent, sent);
    MF_CHECK_INT(rig.use, use);
    rig_close();
}

MF_TEST(pg_run_paths, a_refused_row_is_rolled_back_and_the_connection_is_good)
{
    fails("23514", MF_EPOISON, MF_PG_USE_OK, "BEGIN x y COMMIT;ROLLBACK;");
    fails("23505", MF_EEXIST, MF_PG_USE_OK, "BEGIN x y COMMIT;ROLLBACK;");
    fails("57014", MF_ETIMEOUT, MF_PG_USE_OK, "BEGIN x y COMMIT;ROLLBACK;");
    fails("40P01", MF_EUNAVAILABLE, MF_PG_USE_OK, "BEGIN x y COMMIT;ROLLBACK;");
    /* A node of a cluster is away, not the server. */
    fails("08006", MF_EUNAVAILABLE, MF_PG_USE_OK, "BEGIN x y COMMIT;ROLLBACK;");
}

MF_TEST(pg_run_paths, a_server_in_trouble_is_rolled_back_and_counted)
{
    fails("53100", MF_ENOSPC, MF_PG_USE_FAILED, "BEGIN x y COMMIT;ROLLBACK;");
    fails("42P01", MF_EUNAVAILABLE, MF_PG_USE_FAILED, "BEGIN x y COMMIT;ROLLBACK;");
}

MF_TEST(pg_run_paths, a_server_that_goes_away_is_not_asked_to_roll_back)
{
    fails("57P01", MF_EUNAVAILABLE, MF_PG_USE_LOST, "BEGIN x y COMMIT;");
}

MF_TEST(pg_run_paths, a_failed_rollback_costs_the_connection_and_the_first_reason_stays)
{
    struct rig_job job = {0};

    rig_open();
    rig.fail_text = "x";
    rig.fail_state = "23514";
    rig.lose_text = "ROLLBACK";
    MF_CHECK_INT(rig_run(&write_at_once, &job), MF_EPOISON);
    MF_CHECK_INT(rig.use, MF_PG_USE_LOST);
    rig_close();
}

MF_TEST(pg_run_paths, a_commit_that_answers_rollback_is_a_failure)
{
    struct rig_job at_once = {0}, in_turn = {0};

    rig_open();
    rig.commit_says = "ROLLBACK";
    MF_CHECK_INT(rig_run(&write_at_once, &at_once), MF_EDB);
    MF_CHECK_INT(at_once.n_steps, 1);
    MF_CHECK_INT(rig_run(&write_in_turn, &in_turn), MF_EDB);
    rig_close();
}

MF_TEST(pg_run_paths, a_connection_that_breaks_at_the_commit_leaves_it_unknown)
{
    struct rig_job job = {0};

    rig_open();
    rig.lose_text = "COMMIT";
    MF_CHECK_INT(rig_run(&write_at_once, &job), MF_EUNAVAILABLE);
    MF_CHECK_STR(job.err.msg, "broke");
    MF_CHECK_INT(rig.use, MF_PG_USE_LOST);
    rig_close();
}

/* Two steps stand between a broken connection and the end: what was committed is. */
MF_TEST(pg_run_paths,
        a_connection_that_breaks_between_rounds_fails_only_what_is_not_over)
{
    struct rig_job over = {0}, open = {0};

    rig_open();
    rig.lose_after_round = true;
    MF_CHECK_OK(rig_run(&write_at_once, &over));
    MF_CHECK_INT(rig.use, MF_PG_USE_LOST);
    MF_CHECK_INT(rig_run(&write_in_turn, &open), MF_EUNAVAILABLE);
    MF_CHECK_STR(open.err.msg, "broke");
    rig_close();
}

MF_TEST(pg_run_paths, no_connection_is_told_with_the_pools_reason)
{
    struct rig_job job = {0};

    rig_open();
    rig.is_down = true;
    MF_CHECK_INT(rig_run(&read_in_turn, &job), MF_EUNAVAILABLE);
    MF_CHECK_STR(job.err.msg, "down");
    MF_CHECK_STR(rig.asked, "w"); /* the store's own */
    rig_close();
}

MF_TEST(pg_run_paths, a_silent_server_is_given_up_at_the_deadline)
{
    struct rig_job job = {0}, next = {0};

    rig_open();
    rig.is_silent = true;
    rig.runner.deadline_ms = 50;
    MF_CHECK_INT(rig_run(&write_at_once, &job), MF_ETIMEOUT);
    MF_CHECK_INT(rig.use, MF_PG_USE_LATE);
    MF_CHECK(strstr(job.err.msg, "50 ms") != NULL);
    MF_CHECK_INT(rig_run(&write_at_once, &next), MF_ETIMEOUT);
    rig_close();
}

MF_TEST(pg_run_paths, a_verb_that_refuses_is_rolled_back_with_its_own_words)
{
    struct rig_job first = {.fail_step_at = 1}, second = {.fail_step_at = 2};

    rig_open();
    MF_CHECK_INT(rig_run(&write_in_turn, &first), MF_ENOTFOUND);
    MF_CHECK_STR(rig.sent, "");
    MF_CHECK_INT(rig_run(&write_in_turn, &second), MF_ENOTFOUND);
    MF_CHECK_STR(second.err.msg, "the verb says no");
    MF_CHECK_STR(rig.sent, "BEGIN x;ROLLBACK;");
    MF_CHECK_INT(rig.use, MF_PG_USE_OK);
    rig_close();
}

MF_TEST(pg_run_paths, those_without_a_connection_can_be_canceled)
{
    struct rig_job jobs[3] = {0};

    rig_open();
    rig.holds_asks = true;
    for (size_t i = 0; i < mf_countof(jobs); i++) {
        MF_CHECK_OK(rig_start(&write_at_once, &jobs[i]));
    }
    mf_pg_runner_cancel(&rig.runner);
    for (size_t i = 0; i < mf_countof(jobs); i++) {
        rig_wait(&jobs[i]);
        MF_CHECK_INT(jobs[i].rc, MF_ECANCELED);
    }
    MF_CHECK_STR(rig.sent, "");
    rig_close();
}

/* --- rows */

MF_TEST(pg_run_paths, rows_come_in_pieces_and_in_order)
{
    struct rig_job job = {0};

    rig_open();
    rig.n_rows = 10000;
    MF_CHECK_OK(rig_run(&stream, &job));
    MF_CHECK_INT(job.n_rows, 10000);
    MF_CHECK(job.in_order);
    MF_CHECK(job.n_pieces >= 10000 / 600 && job.n_pieces < 200);
    MF_CHECK_INT(job.n_steps, 2);
    MF_CHECK_INT(job.n_results, 1); /* the empty one behind the rows */
    rig_close();
}

/* Without it all of a large user would lie in memory. */
MF_TEST(pg_run_paths, the_server_waits_while_the_worker_is_behind)
{
    struct rig_job job = {.waits_for_pause = true};

    rig_open();
    rig.n_rows = 10000;
    MF_CHECK_OK(rig_run(&stream, &job));
    MF_CHECK(rig.n_pauses >= 1);
    MF_CHECK_INT(job.n_rows, 10000);
    MF_CHECK(job.in_order);
    rig_close();
}

MF_TEST(pg_run_paths, no_rows_are_no_piece)
{
    struct rig_job job = {0};

    rig_open();
    MF_CHECK_OK(rig_run(&stream, &job));
    MF_CHECK_INT(job.n_pieces, 0);
    MF_CHECK_INT(job.n_steps, 2);
    rig_close();
}

MF_TEST(pg_run_paths, enough_rows_are_enough_and_the_connection_stays_good)
{
    struct rig_job job = {.enough_at = 300};

    rig_open();
    rig.n_rows = 20000;
    MF_CHECK_OK(rig_run(&stream, &job));
    MF_CHECK_INT(job.n_pieces, 1);
    MF_CHECK_INT(job.n_steps, 2);
    MF_CHECK_INT(rig.use, MF_PG_USE_OK);
    rig_close();
}

MF_TEST(pg_run_paths, rows_that_are_refused_end_the_job)
{
    struct rig_job job = {.fail_rows = MF_ECORRUPT};

    rig_open();
    rig.n_rows = 5000;
    MF_CHECK_INT(rig_run(&stream, &job), MF_ECORRUPT);
    MF_CHECK_STR(job.err.msg, "the rows say no");
    MF_CHECK_INT(job.n_pieces, 1);
    MF_CHECK_INT(job.n_steps, 1);
    rig_close();
}

/* --- memory */

static void survives_faults(const struct mf_pg_verb *verb, int allowed)
{
    bool has_failed = true;

    for (size_t nth = 1; has_failed; nth++) {
        struct rig_job job = {0};
        int rc;

        rig_open();
        rig.n_rows = 1200;
        mf_test_fail_nth(nth);
        rc = rig_start(verb, &job);
        if (rc == 0) {
            rig_wait(&job);
            rc = job.rc;
        }
        has_failed = mf_test_has_failed();
        mf_test_fail_nth(0);
        MF_CHECK(rc == 0 || rc == allowed);
        MF_CHECK(has_failed || rc == 0);
        MF_CHECK(rc == 0 || job.rc == 0 || job.err.msg[0] != '\0');
        rig_close();
    }
}

MF_TEST(pg_run_paths, each_failed_allocation_is_a_clean_end)
{
    survives_faults(&write_at_once, MF_ENOMEM);
    survives_faults(&write_in_turn, MF_ENOMEM);
    survives_faults(&stream, MF_ENOMEM);
}
