/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/pace.h"
#include "lib/mf_test.h"

#include <string.h>

#define STEP_MS 20
#define MS_NS   1000000ull

/* A process that looks every STEP_MS. */
struct watch {
    struct mf_pace p;
    struct mf_pace_view v;
};

static void watch_init(struct watch *w)
{
    memset(w, 0, sizeof(*w));
    w->v.now_ms = 1000;
    w->v.max_wait_ms = 10000;
    (void)mf_pace_stands_back(&w->p, &w->v);
}

/* `rate`: rounds of one message a second; `share`: of the time the loop waited for a
 * processor. */
static bool look(struct watch *w, double rate, double share)
{
    w->v.now_ms += STEP_MS;
    w->v.n_work += (uint64_t)(rate * STEP_MS / 1000) * (MF_PACE_ROUND + 1);
    w->v.delay_ns += (uint64_t)(share * STEP_MS * (double)MS_NS);
    return mf_pace_stands_back(&w->p, &w->v);
}

MF_TEST(pace, stands_back_when_a_burst_meets_short_processors)
{
    struct watch w;

    watch_init(&w);
    MF_CHECK(look(&w, 50000, 0.2));
}

MF_TEST(pace, works_on_when_processors_are_free)
{
    struct watch w;

    watch_init(&w);
    MF_CHECK(!look(&w, 50000, 0));
}

MF_TEST(pace, works_on_when_few_messages_arrive)
{
    struct watch w;

    watch_init(&w);
    MF_CHECK(!look(&w, 1000, 0.5));
}

MF_TEST(pace, stands_back_when_a_burst_meets_slow_commits)
{
    struct watch w;

    watch_init(&w);
    w.v.n_commits += 2;
    w.v.commits_us += 2 * MF_PACE_SLOW_COMMIT_US;
    MF_CHECK(!look(&w, 50000, 0));
    w.v.n_commits += 2;
    w.v.commits_us += 2 * (MF_PACE_SLOW_COMMIT_US + 1);
    MF_CHECK(look(&w, 50000, 0));
}

MF_TEST(pace, bridges_a_moment_without_a_commit)
{
    struct watch w;

    watch_init(&w);
    for (int i = 0; i < 20; i++) {
        MF_CHECK(look(&w, 50000, 0.2));
    }
    for (unsigned ms = STEP_MS; ms < MF_PACE_HOLD_MS; ms += STEP_MS) {
        MF_CHECK(look(&w, 0, 0));
    }
    MF_CHECK(look(&w, 50000, 0));
}

MF_TEST(pace, keeps_back_while_the_burst_lasts_and_returns_with_its_end)
{
    struct watch w;

    watch_init(&w);
    MF_CHECK(look(&w, 50000, 0.2));
    MF_CHECK(look(&w, 50000, 0)); /* standing back made the processors free */
    for (unsigned ms = 0; look(&w, 100, 0); ms += STEP_MS) {
        MF_CHECK(ms < 10 * MF_PACE_SMOOTH_MS + MF_PACE_HOLD_MS);
    }
}

MF_TEST(pace, lets_the_store_catch_up_when_the_buffers_are_half_full)
{
    struct watch w;

    watch_init(&w);
    MF_CHECK(look(&w, 50000, 0.2));
    w.v.full_share = MF_PACE_FULL_SHARE;
    MF_CHECK(!look(&w, 50000, 0.2));
    w.v.full_share = MF_PACE_CAUGHT_SHARE;
    MF_CHECK(!look(&w, 50000, 0.2));
    w.v.full_share = MF_PACE_CAUGHT_SHARE / 2;
    MF_CHECK(look(&w, 50000, 0.2));
}

MF_TEST(pace, stands_back_no_longer_than_it_may)
{
    struct watch w;
    unsigned n = 0;

    watch_init(&w);
    w.v.full_share = 0.2;
    while (look(&w, 50000, 0.2)) {
        n++;
        MF_CHECK(n <= w.v.max_wait_ms / STEP_MS);
    }
    MF_CHECK_INT(n, w.v.max_wait_ms / STEP_MS);
    MF_CHECK(!look(&w, 50000, 0.2));
}

MF_TEST(pace, reads_what_this_thread_waited)
{
    uint64_t before = mf_pace_thread_delay_ns();

    MF_CHECK(mf_pace_thread_delay_ns() >= before);
}
