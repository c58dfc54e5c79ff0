/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "lib/mf_test.h"
#include "pg/conn_kit.h"

#include <stdio.h>
#include <string.h>

#define MIB (1024UL * 1024)

MF_LOOP static void add_number(struct conn_kit *k, enum conn_stmt id, int64_t n)
{
    mf_pg_add(&k->round, (enum mf_pg_stmt)id);
    mf_pg_int(&k->round, n);
}

static void is_heard(const struct peer *p, size_t i, size_t at, ExecStatusType status)
{
    MF_CHECK(i < p->n_heard);
    MF_CHECK_INT(p->heard[i].at, at);
    MF_CHECK_INT(p->heard[i].status, status);
}

MF_TEST(pg_conn, is_ready_with_its_settings_made)
{
    struct conn_kit k;
    struct peer p;

    conn_kit_open(&k, "");
    peer_ready(&k, &p);
    MF_CHECK(strchr(mf_pg_conn_endpoint(p.conn), ':') != NULL);
    MF_CHECK_INT(mf_pg_conn_host(p.conn), 0);
    MF_CHECK(mf_pg_conn_opened_ms(p.conn) <= mf_loop_now_ms(k.loop));
    MF_CHECK(!mf_pg_conn_in_transaction(p.conn));
    peer_text(&p, "SELECT current_setting('statement_timeout')");
    MF_CHECK_STR(p.heard[0].text, "70s");
    peer_text(&p, "SELECT current_setting('lock_timeout')");
    MF_CHECK_STR(p.heard[0].text, "9s");
    peer_text(&p, "SELECT current_setting('idle_in_transaction_session_timeout')");
    MF_CHECK_STR(p.heard[0].text, "70s");
    peer_text(&p, "SELECT current_setting('application_name')");
    MF_CHECK_STR(p.heard[0].text, "memfuse");
    peer_close(&p, false);
    conn_kit_close(&k);
}

MF_TEST(pg_conn, gives_the_results_of_a_round_in_order)
{
    struct conn_kit k;
    struct peer p;

    conn_kit_open(&k, "");
    peer_ready(&k, &p);
    for (int64_t i = 0; i < 3; i++) { /* prepared the first time only */
        round_begin(&k);
        add_number(&k, T_NEXT, 41 + i);
        mf_pg_add_text(&k.round, "SELECT 7::int8");
        add_number(&k, T_NEXT, 10);
        add_number(&k, T_DIVIDE, 5);
        peer_run(&p);
        MF_CHECK_INT(p.n_heard, 4);
        for (size_t at = 0; at < 4; at++) {
            is_heard(&p, at, at, PGRES_TUPLES_OK);
        }
        MF_CHECK_INT(p.heard[0].number, 42 + i);
        MF_CHECK_INT(p.heard[1].number, 7);
        MF_CHECK_INT(p.heard[2].number, 11);
        MF_CHECK_INT(p.heard[3].number, 20);
    }
    MF_CHECK_INT(p.n_over, 3);
    MF_CHECK_INT(peer_number(&p, "SELECT count(*) FROM pg_prepared_statements"), 2);
    peer_close(&p, false);
    conn_kit_close(&k);
}

MF_TEST(pg_conn, goes_on_after_an_error_in_the_middle_of_a_round)
{
    struct conn_kit k;
    struct peer p;

    conn_kit_open(&k, "");
    peer_ready(&k, &p);
    round_begin(&k);
    mf_pg_add_text(&k.round, "BEGIN");
    add_number(&k, T_DIVIDE, 0);
    add_number(&k, T_NEXT, 1); /* its prepare is not run either */
    mf_pg_add_text(&k.round, "COMMIT");
    peer_run(&p);
    MF_CHECK_INT(p.n_heard, 4);
    is_heard(&p, 0, 0, PGRES_COMMAND_OK);
    is_heard(&p, 1, 1, PGRES_FATAL_ERROR);
    MF_CHECK_STR(p.heard[1].state, "22012");
    is_heard(&p, 2, 2, PGRES_PIPELINE_ABORTED);
    is_heard(&p, 3, 3, PGRES_PIPELINE_ABORTED);
    MF_CHECK(mf_pg_conn_in_transaction(p.conn));
    peer_text(&p, "ROLLBACK");
    MF_CHECK(!mf_pg_conn_in_transaction(p.conn));
    round_begin(&k);
    add_number(&k, T_NEXT, 1);
    add_number(&k, T_DIVIDE, 2);
    peer_run(&p);
    MF_CHECK_INT(p.heard[0].number, 2);
    MF_CHECK_INT(p.heard[1].number, 50);
    peer_close(&p, false);
    conn_kit_close(&k);
}

MF_TEST(pg_conn, makes_a_failed_prepare_the_failure_of_its_call)
{
    struct conn_kit k;
    struct peer p;

    conn_kit_open(&k, "");
    peer_ready(&k, &p);
    round_begin(&k);
    add_number(&k, T_NEXT, 1);
    mf_pg_add(&k.round, (enum mf_pg_stmt)T_NO_TABLE);
    add_number(&k, T_NEXT, 2);
    peer_run(&p);
    MF_CHECK_INT(p.n_heard, 3); /* one result for each call */
    is_heard(&p, 0, 0, PGRES_TUPLES_OK);
    is_heard(&p, 1, 1, PGRES_FATAL_ERROR);
    MF_CHECK_STR(p.heard[1].state, "42P01");
    is_heard(&p, 2, 2, PGRES_PIPELINE_ABORTED);
    peer_text(&p, "CREATE TABLE not_there_yet ()");
    mf_pg_add(round_begin(&k), (enum mf_pg_stmt)T_NO_TABLE);
    peer_run(&p);
    is_heard(&p, 0, 0, PGRES_TUPLES_OK);
    peer_text(&p, "DROP TABLE not_there_yet");
    peer_close(&p, false);
    conn_kit_close(&k);
}

MF_TEST(pg_conn, streams_rows_a_few_at_a_time_and_stands_still_while_paused)
{
    struct conn_kit k;
    struct peer p;
    size_t n_pauses = 0;

    conn_kit_open(&k, "");
    peer_ready(&k, &p);
    k.counted = &p;
    k.is_counting = true;
    mf_loop_at_turn_end(k.loop, &k.hook);
    p.pause_every = 1000;
    round_begin(&k);
    add_number(&k, T_NEXT, 1);
    add_number(&k, T_ROWS, 10000);
    mf_pg_stream_last(&k.round);
    add_number(&k, T_NEXT, 2);
    peer_send(&p);
    while (!p.is_over) {
        run_turns(&k, 1);
        if (p.is_paused) {
            size_t before = p.n_heard;

            n_pauses++;
            run_turns(&k, 20);
            MF_CHECK_INT(p.n_heard, before);
            p.is_paused = false;
            mf_pg_conn_pause(p.conn, false);
            MF_CHECK_INT(p.n_heard, before);
        }
    }
    MF_CHECK_INT(n_pauses, 10);
    MF_CHECK_INT(p.n_heard, 1 + 10000 + 1 + 1);
    MF_CHECK_INT(p.n_rows, 10002);
    is_heard(&p, 1, 1, PGRES_SINGLE_TUPLE);
    MF_CHECK_INT(p.heard[MAX_HEARD - 1].number, MAX_HEARD - 1);
    MF_CHECK(p.most_in_turn <= 512);
    peer_close(&p, false);
    conn_kit_close(&k);
}

MF_TEST(pg_conn, sends_and_takes_sixteen_mib_in_one_value)
{
    struct conn_kit k;
    struct peer p;
    static char big[16 * MIB];

    memset(big, 'b', 16 * MIB);
    conn_kit_open(&k, "");
    peer_ready(&k, &p);
    mf_pg_add(round_begin(&k), (enum mf_pg_stmt)T_ECHO);
    mf_pg_bytes(&k.round, mf_slice_of(big, 16 * MIB));
    peer_run(&p);
    MF_CHECK_INT(p.heard[0].number, 16 * MIB);
    MF_CHECK_INT(p.n_bytes, 16 * MIB + 8);
    peer_close(&p, false);
    conn_kit_close(&k);
}

/* Neither side reads all before it has written all: one that only wrote would wait for
 * ever. */
MF_TEST(pg_conn, reads_while_it_writes)
{
    struct conn_kit k;
    struct peer p;
    static char part[MIB / 4];

    memset(part, 'p', MIB / 4);
    conn_kit_open(&k, "");
    peer_ready(&k, &p);
    round_begin(&k);
    for (size_t i = 0; i < 100; i++) {
        mf_pg_add(&k.round, (enum mf_pg_stmt)T_ECHO);
        mf_pg_bytes(&k.round, mf_slice_of(part, MIB / 4));
    }
    peer_run(&p);
    MF_CHECK_INT(p.n_heard, 100);
    MF_CHECK_INT(p.n_bytes, 100 * (MIB / 4 + 8));
    peer_close(&p, false);
    conn_kit_close(&k);
}

MF_LOOP static void terminate(struct peer *other, int64_t pid)
{
    char text[80];

    (void)snprintf(text, sizeof(text), "SELECT pg_terminate_backend(%d)", (int)pid);
    peer_text(other, text);
}

MF_TEST(pg_conn, is_lost_when_the_server_ends_it_in_a_round)
{
    struct conn_kit k;
    struct peer p, other;
    int64_t pid;

    conn_kit_open(&k, "");
    peer_ready(&k, &p);
    peer_ready(&k, &other);
    pid = peer_number(&p, "SELECT pg_backend_pid()::int8");
    round_begin(&k);
    add_number(&k, T_NEXT, 1);
    add_number(&k, T_SLEEP, 60);
    peer_send(&p);
    terminate(&other, pid);
    mf_loop_fixture_wait(k.loop, &p.is_lost);
    MF_CHECK_INT(p.err.code, MF_EUNAVAILABLE);
    MF_CHECK(strstr(p.err.msg, "terminating connection") != NULL);
    MF_CHECK_INT(p.n_over, 1); /* the round before only */
    MF_CHECK(mf_pg_conn_send(p.conn, &k.round, NULL) == MF_EUNAVAILABLE);
    peer_close(&p, true);
    peer_close(&other, false);
    conn_kit_close(&k);
}

MF_TEST(pg_conn, is_lost_when_the_server_ends_it_at_rest)
{
    struct conn_kit k;
    struct peer p, other;

    conn_kit_open(&k, "");
    peer_ready(&k, &p);
    peer_ready(&k, &other);
    terminate(&other, peer_number(&p, "SELECT pg_backend_pid()::int8"));
    mf_loop_fixture_wait(k.loop, &p.is_lost);
    MF_CHECK_INT(p.err.code, MF_EUNAVAILABLE);
    MF_CHECK(strstr(p.err.msg, "terminating connection") != NULL);
    peer_close(&p, false);
    peer_close(&other, false);
    conn_kit_close(&k);
}

MF_LOOP static int64_t n_sleeping(struct peer *p)
{
    return peer_number(p, "SELECT count(*) FROM pg_stat_activity WHERE state = 'active'"
                          " AND query LIKE 'SELECT pg_sleep(%'");
}

MF_LOOP static void sleep_until_seen(struct conn_kit *k, struct peer *p,
                                     struct peer *other)
{
    round_begin(k);
    add_number(k, T_SLEEP, 60);
    peer_send(p);
    while (n_sleeping(other) == 0) {
        run_ms(k, 5);
    }
}

MF_TEST(pg_conn, tells_the_server_to_give_up_when_it_is_closed_so)
{
    struct conn_kit k;
    struct peer p, other;

    conn_kit_open(&k, "");
    peer_ready(&k, &p);
    peer_ready(&k, &other);
    sleep_until_seen(&k, &p, &other);
    peer_close(&p, true);
    mf_loop_fixture_wait(k.loop, &p.is_closed);
    for (int i = 0; i < 1000 && n_sleeping(&other) > 0; i++) {
        run_ms(&k, 5);
    }
    MF_CHECK_INT(n_sleeping(&other), 0);
    MF_CHECK(!p.is_over && !p.is_lost && p.n_heard == 0); /* nothing after close */
    peer_close(&other, true);                             /* nothing to cancel */
    conn_kit_close(&k);
}

MF_TEST(pg_conn, is_lost_when_the_plan_of_a_statement_no_longer_fits)
{
    struct conn_kit k;
    struct peer p;

    conn_kit_open(&k, "");
    peer_ready(&k, &p);
    peer_text(&p, "CREATE TABLE changing (a int)");
    mf_pg_add(round_begin(&k), (enum mf_pg_stmt)T_CHANGING);
    peer_run(&p);
    is_heard(&p, 0, 0, PGRES_TUPLES_OK);
    peer_text(&p, "ALTER TABLE changing ADD COLUMN b int");
    mf_pg_add(round_begin(&k), (enum mf_pg_stmt)T_CHANGING);
    peer_run(&p);
    MF_CHECK(p.is_lost && p.n_heard == 0);
    MF_CHECK_INT(p.err.code, MF_EUNAVAILABLE);
    peer_close(&p, false);
    mf_loop_fixture_wait(k.loop, &p.is_closed);
    peer_ready(&k, &p); /* a new one can */
    mf_pg_add(round_begin(&k), (enum mf_pg_stmt)T_CHANGING);
    peer_run(&p);
    is_heard(&p, 0, 0, PGRES_TUPLES_OK);
    peer_text(&p, "DROP TABLE changing");
    peer_close(&p, false);
    conn_kit_close(&k);
}

MF_TEST(pg_conn, is_lost_when_its_prepared_statements_are_gone)
{
    struct conn_kit k;
    struct peer p;

    conn_kit_open(&k, "");
    peer_ready(&k, &p);
    round_begin(&k);
    add_number(&k, T_NEXT, 1);
    peer_run(&p);
    peer_text(&p, "DEALLOCATE ALL");
    round_begin(&k);
    add_number(&k, T_NEXT, 1);
    add_number(&k, T_DIVIDE, 1);
    peer_run(&p);
    MF_CHECK(p.is_lost && p.n_heard == 0);
    MF_CHECK_INT(p.err.code, MF_EUNAVAILABLE);
    peer_close(&p, false);
    conn_kit_close(&k);
}

MF_TEST(pg_conn, can_be_closed_from_inside_a_result)
{
    struct conn_kit k;
    struct peer p;

    conn_kit_open(&k, "");
    peer_ready(&k, &p);
    p.closes_on_result = true;
    round_begin(&k);
    add_number(&k, T_ROWS, 1000);
    mf_pg_stream_last(&k.round);
    peer_send(&p);
    mf_loop_fixture_wait(k.loop, &p.is_closed);
    MF_CHECK_INT(p.n_heard, 1);
    MF_CHECK(!p.is_over && !p.is_lost);
    conn_kit_close(&k);
}

MF_LOOP static void close_after(struct conn_kit *k, size_t turns)
{
    struct peer p;

    peer_open(k, &p);
    run_turns(k, turns);
    if (p.is_ready && p.rc == 0) {
        round_begin(k);
        add_number(k, T_NEXT, 1);
        add_number(k, T_ROWS, 1000);
        peer_send(&p);
        run_turns(k, turns % 7);
    }
    peer_close(&p, turns % 2 == 0);
    mf_loop_fixture_wait(k->loop, &p.is_closed);
}

/* The case ends with no handle, no block and (address sanitizer) nothing of libpq's. */
MF_TEST(pg_conn, can_be_closed_at_any_moment)
{
    static const char *const dsns[] = {"", "host=localhost,/nowhere port=1,5432"};

    for (size_t i = 0; i < mf_countof(dsns); i++) {
        struct conn_kit k;

        conn_kit_open(&k, dsns[i]);
        for (size_t turns = 0; turns < 40; turns++) {
            close_after(&k, turns);
        }
        conn_kit_close(&k);
    }
}

MF_TEST(pg_conn, says_so_when_memory_ends_and_leaves_nothing)
{
    bool has_failed = true;

    for (size_t n = 1; has_failed; n++) {
        struct conn_kit k;
        struct peer p = {0};
        const struct mf_pg_conn_events none = {0};

        conn_kit_open(&k, "");
        mf_test_fail_nth(n);
        if (n == 1) {
            MF_CHECK_INT(mf_pg_conn_open(&p.conn, k.loop, &k.cfg, &none), MF_ENOMEM);
        } else {
            peer_open(&k, &p);
            mf_loop_fixture_wait(k.loop, &p.is_ready);
        }
        has_failed = mf_test_has_failed();
        mf_test_fail_nth(0);
        MF_CHECK_INT(p.rc, has_failed && n > 1 ? MF_ENOMEM : 0);
        if (p.conn != NULL) {
            peer_close(&p, false);
        }
        conn_kit_close(&k);
    }
}

MF_TEST(pg_conn, sends_nothing_of_a_round_for_which_there_is_no_memory)
{
    struct conn_kit k;
    struct peer p;
    struct mf_err err = {0};

    conn_kit_open(&k, "");
    peer_ready(&k, &p);
    round_begin(&k);
    for (int64_t i = 0; i < 500; i++) {
        add_number(&k, T_NEXT, i);
    }
    mf_test_fail_nth(1);
    MF_CHECK_INT(mf_pg_conn_send(p.conn, &k.round, &err), MF_ENOMEM);
    mf_test_fail_nth(0);
    peer_run(&p);
    MF_CHECK_INT(p.n_heard, 500);
    k.round.rc = MF_ETOOBIG;
    MF_CHECK_INT(mf_pg_conn_send(p.conn, &k.round, &err), MF_ETOOBIG);
    MF_CHECK_INT(err.code, MF_ETOOBIG);
    peer_close(&p, false);
    conn_kit_close(&k);
}
