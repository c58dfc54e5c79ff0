/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/mf_test.h"
#include "loop/dep.h"

static const struct mf_dep_config usual = {.timeout_ms = 5000,
                                           .max_attempts = 3,
                                           .first_backoff_ms = 2000,
                                           .max_backoff_ms = 30000,
                                           .open_after = 3};

static struct mf_dep dep_failed_times(unsigned n, uint64_t now_ms)
{
    struct mf_dep d;

    mf_dep_init(&d, &usual);
    for (unsigned i = 0; i < n; i++) {
        MF_CHECK(mf_dep_may_call(&d, now_ms));
        mf_dep_failed(&d, now_ms, UINT32_MAX);
    }
    return d;
}

MF_TEST(dep, doubles_the_backoff_up_to_the_cap)
{
    static const uint64_t most[] = {2000, 4000, 8000, 16000, 30000, 30000};

    for (unsigned i = 0; i < mf_countof(most); i++) {
        MF_CHECK_INT(mf_dep_backoff_ms(&usual, i + 1, UINT32_MAX), most[i]);
        MF_CHECK_INT(mf_dep_backoff_ms(&usual, i + 1, 0), most[i] / 2);
    }
    MF_CHECK_INT(mf_dep_backoff_ms(&usual, UINT32_MAX, UINT32_MAX), 30000);
}

MF_TEST(dep, draws_the_backoff_from_the_upper_half_by_chance)
{
    uint64_t before = 0;

    for (uint64_t chance = 0; chance <= UINT32_MAX; chance += UINT32_MAX / 64) {
        uint64_t ms = mf_dep_backoff_ms(&usual, 2, (uint32_t)chance);

        MF_CHECK(ms >= 2000 && ms <= 4000);
        MF_CHECK(chance == 0 || ms > before);
        before = ms;
    }
}

MF_TEST(dep, survives_extreme_backoff_settings)
{
    struct mf_dep_config zero = {.first_backoff_ms = 0, .max_backoff_ms = 30000};
    struct mf_dep_config huge = {.first_backoff_ms = UINT64_MAX,
                                 .max_backoff_ms = UINT64_MAX};
    struct mf_dep_config low_cap = {.first_backoff_ms = 2000, .max_backoff_ms = 7};

    MF_CHECK_INT(mf_dep_backoff_ms(&zero, 1, UINT32_MAX), 0);
    MF_CHECK_INT(mf_dep_backoff_ms(&zero, UINT32_MAX, UINT32_MAX), 0);
    MF_CHECK_INT(mf_dep_backoff_ms(&huge, 90, UINT32_MAX), UINT32_MAX);
    MF_CHECK_INT(mf_dep_backoff_ms(&low_cap, 1, UINT32_MAX), 7);
    MF_CHECK_INT(mf_dep_backoff_ms(&low_cap, 1, 0), 3);
}

MF_TEST(dep, opens_after_failures_in_a_row_only)
{
    struct mf_dep d = dep_failed_times(2, 1000);

    mf_dep_succeeded(&d);
    MF_CHECK(mf_dep_may_call(&d, 1000));
    mf_dep_failed(&d, 1000, 0);
    mf_dep_failed(&d, 1000, 0);
    MF_CHECK(mf_dep_is_up(&d));
    MF_CHECK(mf_dep_may_call(&d, 1000));
    mf_dep_failed(&d, 1000, 0);
    MF_CHECK(!mf_dep_is_up(&d));
    MF_CHECK(!mf_dep_may_call(&d, 1000));
    MF_CHECK_INT(d.n_ok, 1);
    MF_CHECK_INT(d.n_failed, 5);
}

MF_TEST(dep, lets_one_probe_through_when_the_wait_is_over)
{
    struct mf_dep d = dep_failed_times(3, 1000); /* waits 8000 */

    MF_CHECK(!mf_dep_may_call(&d, 8999));
    MF_CHECK(mf_dep_may_call(&d, 9000));
    MF_CHECK_INT(d.state, MF_DEP_PROBING);
    MF_CHECK(!mf_dep_may_call(&d, 9000)); /* one */
    MF_CHECK(!mf_dep_is_up(&d));
    mf_dep_succeeded(&d);
    MF_CHECK(mf_dep_is_up(&d));
    MF_CHECK(mf_dep_may_call(&d, 9001));
    MF_CHECK(mf_dep_may_call(&d, 9001));
    MF_CHECK_INT(d.failures, 0);
}

MF_TEST(dep, waits_longer_after_a_failed_probe)
{
    struct mf_dep d = dep_failed_times(3, 1000);

    MF_CHECK(mf_dep_may_call(&d, 9000));
    mf_dep_failed(&d, 10000, UINT32_MAX); /* the fourth: waits 16000 */
    MF_CHECK(!mf_dep_may_call(&d, 25999));
    MF_CHECK(mf_dep_may_call(&d, 26000));
}

MF_TEST(dep, gives_up_a_probe_that_never_reports)
{
    struct mf_dep d = dep_failed_times(3, 1000);

    MF_CHECK(mf_dep_may_call(&d, 9000));
    MF_CHECK(!mf_dep_may_call(&d, 9000 + 29999));
    MF_CHECK(mf_dep_may_call(&d, 9000 + 30000));
}

MF_TEST(dep, takes_late_failures_of_one_outage_as_one)
{
    struct mf_dep d = dep_failed_times(3, 1000);

    for (int i = 0; i < 50; i++) { /* begun before the breaker opened */
        mf_dep_failed(&d, 5000, UINT32_MAX);
    }
    MF_CHECK_INT(d.failures, 3);
    MF_CHECK_INT(d.n_failed, 53);
    MF_CHECK(mf_dep_may_call(&d, 9000));
}

MF_TEST(dep, closes_the_breaker_on_a_late_success)
{
    struct mf_dep d = dep_failed_times(3, 1000);

    mf_dep_succeeded(&d);
    MF_CHECK(mf_dep_may_call(&d, 1001));
}

MF_TEST(dep, never_opens_without_a_breaker)
{
    struct mf_dep_config cfg = usual;
    struct mf_dep d;

    cfg.open_after = 0;
    mf_dep_init(&d, &cfg);
    for (int i = 0; i < 1000; i++) {
        mf_dep_failed(&d, 1, 0);
        MF_CHECK(mf_dep_may_call(&d, 1));
    }
    MF_CHECK(mf_dep_is_up(&d));
}

MF_TEST(dep, counts_attempts_and_takes_zero_for_no_end)
{
    struct mf_dep_config endless = {.max_attempts = 0};

    MF_CHECK(mf_dep_may_retry(&usual, 2));
    MF_CHECK(!mf_dep_may_retry(&usual, 3));
    MF_CHECK(!mf_dep_may_retry(&usual, 4));
    MF_CHECK(mf_dep_may_retry(&endless, UINT32_MAX));
}
