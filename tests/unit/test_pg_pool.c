/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "lib/mf_test.h"
#include "unit/pg_pool_rig.h"

MF_TEST(pg_pool, opens_no_more_than_max_and_serves_in_order_urgent_ones_first)
{
    static const size_t in_order[] = {0, 1, 2, 5, 6, 3, 4};
    struct rig r;
    struct mf_pg_pool_stats stats;

    rig_init(&r);
    rig_open(&r);
    for (size_t i = 0; i < 5; i++) {
        (void)ask(&r, i, MF_ORDINARY);
    }
    wait_count(&r, &r.n_answers, 3);
    (void)ask(&r, 5, MF_URGENT);
    (void)ask(&r, 6, MF_URGENT);
    turns(&r, 5);
    mf_pg_pool_stats(r.pool, &stats);
    MF_CHECK(stats.n_open == 3 && stats.n_idle == 0 && stats.n_waiting == 4);
    for (size_t i = 0; i < 7; i++) {
        struct asker *a = &r.askers[in_order[i]];

        wait_count(&r, &r.n_answers, mf_max(3, i + 1));
        MF_CHECK_INT(a->order, i + 1);
        MF_CHECK_INT(r.n_answers, mf_max(3, i + 1));
        if (i >= 2) { /* from here on two are lent and the others wait for the third */
            give(&r, a, MF_PG_USE_OK);
        }
    }
    give(&r, &r.askers[0], MF_PG_USE_OK);
    give(&r, &r.askers[1], MF_PG_USE_OK);
    MF_CHECK_INT(fake_pg.n_opened, 3);
    MF_CHECK_INT(fake_pg.most_live, 3);
    rig_close(&r);
}

MF_TEST(pg_pool, gives_the_connection_used_last_again_and_counts_it)
{
    struct rig r;
    struct mf_pg_pool_stats stats;
    struct mf_pg_conn *last;

    rig_init(&r);
    fake_pg.host = 1;
    rig_open(&r);
    (void)ask(&r, 1, MF_ORDINARY);
    (void)ask(&r, 2, MF_ORDINARY);
    wait_count(&r, &r.n_answers, 2);
    last = r.askers[1].conn;
    give(&r, &r.askers[2], MF_PG_USE_OK);
    give(&r, &r.askers[1], MF_PG_USE_OK);
    for (size_t i = 0; i < 5; i++) {
        struct asker *a = answered(&r, 3);

        MF_CHECK_PTR(a->conn, last);
        give(&r, a, i == 0 ? MF_PG_USE_FAILED : MF_PG_USE_OK);
    }
    turns(&r, 2);
    mf_pg_pool_stats(r.pool, &stats);
    MF_CHECK(stats.n_uses == 7 && stats.n_reuses == 5);
    MF_CHECK(stats.n_open == 2 && stats.n_idle == 2);
    MF_CHECK_INT(stats.n_endpoints, 3);
    MF_CHECK_STR(stats.endpoints[1].name, "/b:5432");
    MF_CHECK_INT(stats.endpoints[1].n_connects, 2);
    MF_CHECK_INT(stats.endpoints[1].n_uses, 7);
    MF_CHECK_INT(stats.endpoints[1].n_failures, 1);
    MF_CHECK_INT(stats.endpoints[0].n_connect_failures, 2); /* tried before */
    MF_CHECK_INT(stats.endpoints[2].n_connect_failures, 0);
    rig_close(&r);
}

MF_TEST(pg_pool, opens_a_connection_for_each_who_waits_and_not_more)
{
    struct rig r;

    rig_init(&r);
    fake_pg.holds = true;
    rig_open(&r);
    (void)ask(&r, 0, MF_ORDINARY);
    turns(&r, 5);
    MF_CHECK_INT(fake_pg.n_opened, 1);
    (void)ask(&r, 1, MF_ORDINARY);
    turns(&r, 5);
    MF_CHECK_INT(fake_pg.n_opened, 2);
    fake_pg_answer(fake_pg_live(1), 0);
    mf_loop_fixture_wait(r.loop, &r.askers[0].has_answer);
    MF_CHECK(!r.askers[1].has_answer);
    give(&r, &r.askers[0], MF_PG_USE_OK); /* the second need not wait for its own */
    mf_loop_fixture_wait(r.loop, &r.askers[1].has_answer);
    MF_CHECK_INT(fake_pg.n_opened, 2);
    give(&r, &r.askers[1], MF_PG_USE_OK);
    rig_close(&r);
}

MF_TEST(pg_pool, forgets_who_does_not_want_one_any_more)
{
    struct rig r;

    rig_init(&r);
    fake_pg.holds = true;
    rig_open(&r);
    for (size_t i = 0; i < 3; i++) {
        (void)ask(&r, i, i == 1 ? MF_URGENT : MF_ORDINARY);
    }
    turns(&r, 2);
    mf_pg_pool_forget(r.pool, &r.askers[0].ask);
    mf_pg_pool_forget(r.pool, &r.askers[1].ask);
    mf_pg_pool_forget(r.pool, &r.askers[1].ask); /* not waiting: nothing */
    fake_pg_answer(fake_pg_live(0), 0);
    mf_loop_fixture_wait(r.loop, &r.askers[2].has_answer);
    MF_CHECK(!r.askers[0].has_answer && !r.askers[1].has_answer);
    give(&r, &r.askers[2], MF_PG_USE_OK);
    rig_close(&r);
}

MF_TEST(pg_pool, closes_what_is_idle_too_long)
{
    struct rig r;

    rig_init(&r);
    r.cfg.idle_ms = 20;
    rig_open(&r);
    (void)ask(&r, 1, MF_ORDINARY);
    (void)ask(&r, 2, MF_ORDINARY);
    wait_count(&r, &r.n_answers, 2);
    give(&r, &r.askers[1], MF_PG_USE_OK);
    wait_count(&r, &fake_pg.n_closed, 1); /* the other one is in use */
    give(&r, &r.askers[2], MF_PG_USE_OK);
    wait_count(&r, &fake_pg.n_closed, 2);
    rig_close(&r);
}

MF_TEST(pg_pool, closes_what_is_too_old_when_it_is_given_back_or_idle)
{
    struct rig r;
    static const bool never = false;

    rig_init(&r);
    r.cfg.age_ms = 20;
    rig_open(&r);
    (void)answered(&r, 0);
    (void)mf_loop_run_until(r.loop, &never, 30);
    MF_CHECK_INT(fake_pg.n_closed, 0);
    give(&r, &r.askers[0], MF_PG_USE_OK);
    wait_count(&r, &fake_pg.n_closed, 1);
    (void)answered(&r, 0);
    give(&r, &r.askers[0], MF_PG_USE_OK);
    wait_count(&r, &fake_pg.n_closed, 2);
    rig_close(&r);
}

MF_TEST(pg_pool, draws_lifetimes_up_to_a_tenth_shorter)
{
    MF_CHECK_INT(mf_pg_pool_lifetime_ms(300000, 0), 300000);
    MF_CHECK_INT(mf_pg_pool_lifetime_ms(300000, UINT32_MAX), 270000);
    MF_CHECK_INT(mf_pg_pool_lifetime_ms(300000, UINT32_MAX / 2), 285000);
    MF_CHECK_INT(mf_pg_pool_lifetime_ms(1, UINT32_MAX), 1);
}

MF_TEST(pg_pool, closes_a_connection_of_whose_last_sixteen_uses_more_than_half_failed)
{
    struct rig r;

    rig_init(&r);
    r.cfg.dep.open_after = 0;
    rig_open(&r);
    for (size_t i = 0; i < 100; i++) { /* every second one: half, not more */
        use(&r, i % 2 == 0 ? MF_PG_USE_FAILED : MF_PG_USE_OK);
    }
    turns(&r, 2);
    MF_CHECK_INT(fake_pg.n_closed, 0);
    use(&r, MF_PG_USE_FAILED); /* takes the place of a failed one */
    turns(&r, 2);
    MF_CHECK_INT(fake_pg.n_closed, 0);
    use(&r, MF_PG_USE_FAILED);
    turns(&r, 2);
    MF_CHECK_INT(fake_pg.n_closed, 1);
    use(&r, MF_PG_USE_FAILED); /* a new one begins anew */
    turns(&r, 2);
    MF_CHECK_INT(fake_pg.n_closed, 1);
    rig_close(&r);
}

MF_TEST(pg_pool, closes_what_is_lost_late_or_in_the_middle_of_a_transaction)
{
    struct rig r;

    rig_init(&r);
    r.cfg.dep.open_after = 0;
    rig_open(&r);
    use(&r, MF_PG_USE_LOST);
    wait_count(&r, &fake_pg.n_closed, 1);
    MF_CHECK_INT(fake_pg.n_canceled, 0);
    use(&r, MF_PG_USE_LATE);
    wait_count(&r, &fake_pg.n_closed, 2);
    MF_CHECK_INT(fake_pg.n_canceled, 1);
    fake_pg.in_transaction = true;
    use(&r, MF_PG_USE_OK);
    wait_count(&r, &fake_pg.n_closed, 3);
    MF_CHECK_INT(fake_pg.n_canceled, 1);
    rig_close(&r);
}

MF_TEST(pg_pool, tells_one_server_at_a_time_to_give_up)
{
    struct rig r;

    rig_init(&r);
    rig_open(&r);
    (void)ask(&r, 1, MF_ORDINARY);
    (void)ask(&r, 2, MF_ORDINARY);
    wait_count(&r, &r.n_answers, 2);
    give(&r, &r.askers[1], MF_PG_USE_LATE);
    give(&r, &r.askers[2], MF_PG_USE_LATE);
    wait_count(&r, &fake_pg.n_closed, 2);
    MF_CHECK_INT(fake_pg.n_canceled, 1);
    use(&r, MF_PG_USE_LATE);
    wait_count(&r, &fake_pg.n_closed, 3);
    MF_CHECK_INT(fake_pg.n_canceled, 2);
    rig_close(&r);
}

MF_TEST(pg_pool, drops_an_idle_connection_that_is_lost)
{
    struct rig r;

    rig_init(&r);
    rig_open(&r);
    use(&r, MF_PG_USE_OK);
    turns(&r, 2);
    fake_pg_lose(fake_pg_live(0));
    wait_count(&r, &fake_pg.n_closed, 1);
    MF_CHECK_INT(health_of(&r), MF_DEP_UP);
    use(&r, MF_PG_USE_OK);
    MF_CHECK_INT(fake_pg.n_opened, 2);
    rig_close(&r);
}

MF_TEST(pg_pool, ends_who_waits_as_canceled_when_it_is_closed)
{
    struct rig r;

    rig_init(&r);
    fake_pg.holds = true;
    rig_open(&r);
    (void)ask(&r, 0, MF_ORDINARY);
    turns(&r, 2);
    (void)ask(&r, 1, MF_URGENT);
    mf_pg_pool_close(r.pool, on_rig_closed, &r);
    MF_CHECK(!r.askers[0].has_answer);
    mf_loop_fixture_wait(r.loop, &r.is_closed);
    MF_CHECK(r.askers[0].rc == MF_ECANCELED && r.askers[1].rc == MF_ECANCELED);
    MF_CHECK_INT(fake_pg.n_live, 0);
    mf_loop_fixture_close(r.loop);
    mf_pg_dsn_fini(&r.dsn);
}

MF_TEST(pg_pool, takes_a_connection_back_from_inside_got)
{
    struct rig r;

    rig_init(&r);
    r.cfg.max = 1;
    rig_open(&r);
    for (size_t i = 0; i < 10; i++) {
        ask(&r, i, MF_ORDINARY)->gives_at_once = true;
    }
    wait_count(&r, &r.n_answers, 10);
    MF_CHECK_INT(fake_pg.n_opened, 1);
    for (size_t i = 0; i < 10; i++) {
        MF_CHECK_INT(r.askers[i].order, i + 1);
    }
    rig_close(&r);
}

MF_LOOP static void ask_and_close(struct rig *r, size_t fail_nth)
{
    bool has_failed;

    rig_open(r);
    mf_test_fail_nth(fail_nth);
    (void)answered(r, 0);
    has_failed = mf_test_has_failed();
    mf_test_fail_nth(0);
    MF_CHECK_INT(r->askers[0].rc, has_failed ? MF_ENOMEM : 0);
    MF_CHECK_INT(health_of(r), MF_DEP_UP); /* it says nothing of the server */
    MF_CHECK(has_failed == (fail_nth <= 2));
    if (!has_failed) {
        give(r, &r->askers[0], MF_PG_USE_OK);
    }
    use(r, MF_PG_USE_OK);
    rig_close(r);
}

MF_TEST(pg_pool, answers_everybody_when_memory_ends)
{
    struct rig r;

    rig_init(&r);
    mf_test_fail_nth(1);
    MF_CHECK_INT(mf_pg_pool_open(&r.pool, r.loop, &r.cfg), MF_ENOMEM);
    mf_test_fail_nth(0);
    ask_and_close(&r, 1);
    for (size_t n = 2; n < 4; n++) {
        rig_init(&r);
        ask_and_close(&r, n);
    }
}
