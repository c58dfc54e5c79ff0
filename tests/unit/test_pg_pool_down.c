/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/mf_test.h"
#include "unit/pg_pool_rig.h"

MF_TEST(pg_pool_down, answers_with_the_reason_of_the_attempt_that_failed)
{
    struct rig r;

    rig_init(&r);
    fake_pg.rc = MF_EAUTH;
    rig_open(&r);
    MF_CHECK_INT(answered(&r, 0)->rc, MF_EAUTH);
    MF_CHECK_STR(r.askers[0].why, "refused as told");
    MF_CHECK_INT(health_of(&r), MF_DEP_UP); /* one is not three */
    rig_close(&r);
}

MF_TEST(pg_pool_down, refuses_at_once_while_it_is_down_and_says_why)
{
    struct rig r;

    rig_init(&r);
    fake_pg.rc = MF_ETIMEOUT;
    rig_open(&r);
    for (size_t i = 0; i < 8; i++) { /* three attempts, and three of them fail */
        (void)ask(&r, i, MF_ORDINARY);
    }
    wait_count(&r, &r.n_answers, 8);
    MF_CHECK_INT(health_of(&r), MF_DEP_DOWN);
    MF_CHECK_INT(fake_pg.n_opened, 3);
    MF_CHECK_INT(r.askers[7].rc, MF_EUNAVAILABLE);
    MF_CHECK_STR(r.askers[7].why, "refused as told");
    MF_CHECK_STR(mf_pg_pool_why(r.pool)->msg, "refused as told");
    MF_CHECK_INT(answered(&r, 0)->rc, MF_EUNAVAILABLE);
    MF_CHECK_INT(fake_pg.n_opened, 3); /* no further attempt */
    rig_close(&r);
}

MF_TEST(pg_pool_down, comes_up_again_by_itself)
{
    struct rig r;
    size_t n_failed;

    rig_init(&r);
    fake_pg.rc = MF_EUNAVAILABLE;
    r.cfg.dep.first_backoff_ms = r.cfg.dep.max_backoff_ms = 10;
    rig_open(&r);
    for (size_t i = 0; i < 3; i++) {
        (void)answered(&r, i);
    }
    MF_CHECK(health_of(&r) != MF_DEP_UP);
    wait_for(&r, &fake_pg.n_closed, 6); /* nobody asked for these */
    fake_pg.rc = 0;
    n_failed = fake_pg.n_opened;
    wait_for(&r, &fake_pg.n_opened, n_failed + 1);
    turns(&r, 3);
    MF_CHECK_INT(health_of(&r), MF_DEP_UP);
    MF_CHECK_INT(fake_pg.n_live, 1);
    MF_CHECK_INT(fake_pg.most_live, 1);
    use(&r, MF_PG_USE_OK);
    rig_close(&r);
}

MF_TEST(pg_pool_down, lets_who_asks_during_the_probe_wait_for_it)
{
    struct rig r;

    rig_init(&r);
    fake_pg.rc = MF_EUNAVAILABLE;
    r.cfg.dep.open_after = 1;
    r.cfg.dep.first_backoff_ms = r.cfg.dep.max_backoff_ms = 10;
    rig_open(&r);
    (void)answered(&r, 0);
    fake_pg.holds = true;
    wait_count(&r, &fake_pg.n_opened, 2);
    (void)ask(&r, 1, MF_ORDINARY);
    (void)ask(&r, 2, MF_ORDINARY);
    turns(&r, 5);
    MF_CHECK(!r.askers[1].has_answer);
    MF_CHECK_INT(fake_pg.n_opened, 2); /* one probe */
    fake_pg_answer(fake_pg_live(0), MF_EAUTH);
    mf_loop_fixture_wait(r.loop, &r.askers[2].has_answer);
    MF_CHECK(r.askers[1].rc == MF_EAUTH && r.askers[2].rc == MF_EUNAVAILABLE);
    wait_count(&r, &fake_pg.n_opened, 3);
    (void)ask(&r, 3, MF_ORDINARY);
    fake_pg_answer(fake_pg_live(0), 0);
    mf_loop_fixture_wait(r.loop, &r.askers[3].has_answer);
    MF_CHECK_OK(r.askers[3].rc);
    MF_CHECK_INT(health_of(&r), MF_DEP_UP);
    give(&r, &r.askers[3], MF_PG_USE_OK);
    rig_close(&r);
}

MF_TEST(pg_pool_down, goes_down_by_uses_that_fail_and_probes_with_one_use)
{
    struct rig r;

    rig_init(&r);
    r.cfg.dep.first_backoff_ms = r.cfg.dep.max_backoff_ms = 1000;
    rig_open(&r);
    for (size_t i = 0; i < 3; i++) {
        use(&r, i == 1 ? MF_PG_USE_LATE : MF_PG_USE_FAILED);
    }
    MF_CHECK_INT(health_of(&r), MF_DEP_DOWN);
    MF_CHECK_STR(mf_pg_pool_why(r.pool)->msg, "a reason");
    MF_CHECK_INT(answered(&r, 0)->rc, MF_EUNAVAILABLE);
    fake_pg.holds = true;
    wait_count(&r, &fake_pg.n_opened, 3); /* the timer's own probe */
    (void)ask(&r, 1, MF_ORDINARY);
    (void)ask(&r, 2, MF_ORDINARY);
    fake_pg_answer(fake_pg_live(1), 0);
    mf_loop_fixture_wait(r.loop, &r.askers[1].has_answer);
    turns(&r, 5);
    MF_CHECK(health_of(&r) == MF_DEP_PROBING && !r.askers[2].has_answer);
    give(&r, &r.askers[1], MF_PG_USE_OK);
    mf_loop_fixture_wait(r.loop, &r.askers[2].has_answer);
    MF_CHECK_OK(r.askers[2].rc);
    MF_CHECK_INT(health_of(&r), MF_DEP_UP);
    give(&r, &r.askers[2], MF_PG_USE_OK);
    rig_close(&r);
}

MF_TEST(pg_pool_down,
        opens_the_breaker_again_at_the_first_failure_after_a_probe_of_its_own)
{
    struct rig r;

    rig_init(&r);
    r.cfg.dep.first_backoff_ms = r.cfg.dep.max_backoff_ms = 10;
    rig_open(&r);
    for (size_t i = 0; i < 3; i++) {
        use(&r, MF_PG_USE_LOST);
    }
    MF_CHECK_INT(health_of(&r), MF_DEP_DOWN);
    wait_count(&r, &fake_pg.n_opened, 4);
    turns(&r, 3);
    MF_CHECK_INT(health_of(&r), MF_DEP_UP);
    use(&r, MF_PG_USE_FAILED);
    MF_CHECK_INT(health_of(&r), MF_DEP_DOWN);
    MF_CHECK_INT(mf_pg_pool_health(r.pool)->failures, 4);
    rig_close(&r);
}

MF_TEST(pg_pool_down, leaves_who_waits_to_the_connections_that_work)
{
    struct rig r;

    rig_init(&r);
    rig_open(&r);
    (void)answered(&r, 0);
    fake_pg.rc = MF_EUNAVAILABLE; /* the server has no room for a second one */
    (void)ask(&r, 1, MF_ORDINARY);
    wait_count(&r, &fake_pg.n_closed, 1);
    turns(&r, 10);
    MF_CHECK_INT(fake_pg.n_opened, 2); /* and is not asked again and again */
    MF_CHECK(!r.askers[1].has_answer);
    give(&r, &r.askers[0], MF_PG_USE_OK);
    mf_loop_fixture_wait(r.loop, &r.askers[1].has_answer);
    MF_CHECK_OK(r.askers[1].rc);
    give(&r, &r.askers[1], MF_PG_USE_OK);
    rig_close(&r);
}

MF_TEST(pg_pool_down, counts_a_lack_of_its_own_for_nothing)
{
    struct rig r;

    rig_init(&r);
    r.cfg.dep.open_after = 1;
    fake_pg.rc = MF_ENOMEM;
    rig_open(&r);
    MF_CHECK_INT(answered(&r, 0)->rc, MF_ENOMEM);
    MF_CHECK_INT(health_of(&r), MF_DEP_UP);
    MF_CHECK_INT(mf_pg_pool_health(r.pool)->failures, 0);
    rig_close(&r);
}

/* Nobody asks, and there is no room for one more: the oldest makes way. */
MF_TEST(pg_pool_down, probes_in_the_place_of_a_connection_that_rests)
{
    struct rig r;

    rig_init(&r);
    r.cfg.max = 1;
    r.cfg.dep.open_after = 1;
    r.cfg.dep.first_backoff_ms = r.cfg.dep.max_backoff_ms = 10;
    rig_open(&r);
    use(&r, MF_PG_USE_FAILED);
    turns(&r, 2);
    MF_CHECK_INT(health_of(&r), MF_DEP_DOWN);
    MF_CHECK_INT(fake_pg.n_closed, 0);
    wait_count(&r, &fake_pg.n_opened, 2);
    turns(&r, 3);
    MF_CHECK_INT(health_of(&r), MF_DEP_UP);
    MF_CHECK_INT(fake_pg.most_live, 1);
    rig_close(&r);
}
