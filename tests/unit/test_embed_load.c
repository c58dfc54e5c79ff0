/* SPDX-License-Identifier: Apache-2.0 */
/* What a text costs, how fast the model is, and what embed says stands before a new
 * text. */
#include "embed/embed_load.h"
#include "lib/embed_fixture.h"

#include <sched.h>

static uint32_t cost(uint32_t window, size_t bytes, bool wants_passages)
{
    struct mf_model_info info = {.window = window};

    return mf_embed_cost(&info, mf_slice_of(NULL, bytes), wants_passages);
}

MF_TEST(embed_load, estimates_a_text_by_its_bytes_up_to_the_window)
{
    MF_CHECK_INT(cost(256, 0, false), 2);
    MF_CHECK_INT(cost(256, 3, false), 2);
    MF_CHECK_INT(cost(256, 40, false), 12);
    MF_CHECK_INT(cost(256, 1016, false), 256);
    MF_CHECK_INT(cost(256, 1000000, false), 256);
    MF_CHECK_INT(cost(0, 1000000, false), 1);
}

MF_TEST(embed_load, adds_the_passages_of_a_longer_text)
{
    MF_CHECK_INT(cost(256, 1016, true), 256);
    MF_CHECK_INT(cost(256, 4000, true), 256 + 1002);
    MF_CHECK(cost(256, SIZE_MAX, true) > 1000000);
}

MF_TEST(embed_load, tells_how_long_tokens_take_by_what_was_measured)
{
    struct mf_embed_rate r = {0};

    MF_CHECK_INT(mf_embed_rate_ms(&r, 1000, 1), 0);
    MF_CHECK_INT(mf_embed_rate_job_us(&r), 0);
    mf_embed_rate_add(&r, 100, 5000); /* 20 a millisecond */
    MF_CHECK_INT(mf_embed_rate_ms(&r, 1000, 1), 50);
    MF_CHECK_INT(mf_embed_rate_ms(&r, 1000, 2), 25);
    MF_CHECK_INT(mf_embed_rate_job_us(&r), 5000);
    MF_CHECK_INT(mf_embed_rate_ms(&r, 1, 1), 1); /* rounded up */
    MF_CHECK_INT(mf_embed_rate_ms(&r, 0, 1), 0);
    MF_CHECK(mf_embed_rate_ms(&r, UINT64_MAX, 1) >= 100000000000000ull);
}

MF_TEST(embed_load, follows_a_model_that_became_slower)
{
    struct mf_embed_rate r = {0};

    for (size_t i = 0; i < 100; i++) {
        mf_embed_rate_add(&r, 100, 1000);
    }
    mf_embed_rate_add(&r, 1, 1000); /* one small job says little */
    MF_CHECK(mf_embed_rate_ms(&r, 10000, 1) <= 107);
    for (size_t i = 0; i < 100; i++) {
        mf_embed_rate_add(&r, 100, 4000);
    }
    MF_CHECK(mf_embed_rate_ms(&r, 10000, 1) > 390);
    mf_embed_rate_add(&r, 0, 0); /* harmless */
    MF_CHECK(mf_embed_rate_ms(&r, 10000, 1) > 390);
}

MF_TEST(embed_load, stretches_a_batch_of_texts_that_have_less_tokens_than_estimated)
{
    struct mf_embed_rate r = {0};

    MF_CHECK_INT(mf_embed_rate_budget(&r, 512), 512);
    mf_embed_rate_learn(&r, 300, 200);
    MF_CHECK_INT(mf_embed_rate_budget(&r, 512), 768);
    for (size_t i = 0; i < 100; i++) {
        mf_embed_rate_learn(&r, 900, 200);
    }
    MF_CHECK_INT(mf_embed_rate_budget(&r, 512), 1024); /* at most twice */
    for (size_t i = 0; i < 100; i++) {
        mf_embed_rate_learn(&r, 100, 200);
    }
    MF_CHECK_INT(mf_embed_rate_budget(&r, 512), 512); /* never less */
    mf_embed_rate_learn(&r, 0, 0);                    /* harmless */
    MF_CHECK_INT(mf_embed_rate_budget(&r, 512), 512);
}

/* ---- what embed says ---- */

MF_TEST(embed_load, counts_what_would_go_before_a_new_task)
{
    struct fix f;
    struct task k[4];

    fix_open(&f, &(struct mf_fake_config){0}, &plain_config);
    mf_loop_assert(f.loop);
    MF_CHECK_INT(mf_embed_load(f.embed, MF_ORDINARY).tokens, 0);
    mf_fake_hold(f.fake);
    MF_CHECK_OK(submit(&f, &k[0], "8 bytes.", MF_ORDINARY)); /* costs 4 */
    run_until_calls(&f, 1);
    MF_CHECK_OK(submit(&f, &k[1], "four", MF_ORDINARY)); /* costs 3 */
    MF_CHECK_OK(submit(&f, &k[2], "four", MF_URGENT));
    /* the one that runs and the urgent one; for background all three */
    MF_CHECK_INT(mf_embed_load(f.embed, MF_URGENT).tokens, 4 + 3);
    MF_CHECK_INT(mf_embed_load(f.embed, MF_ORDINARY).tokens, 4 + 3 + 3);
    MF_CHECK_INT(mf_embed_load(f.embed, MF_ORDINARY).wait_ms, 0); /* nothing measured */
    mf_embed_cancel(f.embed, &k[1].t);
    run_until_done(&f, &k[1]);
    MF_CHECK_INT(mf_embed_load(f.embed, MF_ORDINARY).tokens, 4 + 3);
    mf_fake_release(f.fake);
    run_until_done(&f, &k[0]);
    run_until_done(&f, &k[2]);
    MF_CHECK_INT(mf_embed_load(f.embed, MF_URGENT).tokens, 0);
    MF_CHECK_INT(mf_embed_load(f.embed, MF_ORDINARY).tokens, 0);
    fix_close(&f);
}

MF_TEST(embed_load, estimates_the_wait_once_a_job_was_measured)
{
    struct fix f;
    struct task k[3];

    fix_open(&f, &(struct mf_fake_config){.delay_ms = 20}, &plain_config);
    mf_loop_assert(f.loop);
    MF_CHECK_OK(submit(&f, &k[0], "8 bytes.", MF_ORDINARY));
    run_until_done(&f, &k[0]);
    mf_fake_hold(f.fake);
    MF_CHECK_OK(submit(&f, &k[1], "8 bytes.", MF_ORDINARY));
    MF_CHECK_OK(submit(&f, &k[2], "8 bytes.", MF_ORDINARY));
    MF_CHECK(mf_embed_load(f.embed, MF_ORDINARY).wait_ms >= 40);
    MF_CHECK_INT(mf_embed_load(f.embed, MF_URGENT).wait_ms, 0); /* it would be next */
    fix_close(&f);
}

MF_TEST(embed_load, does_not_take_the_speed_of_failures_for_the_models)
{
    struct fix f;
    struct task k[2];

    fix_open(&f, &(struct mf_fake_config){0}, &plain_config);
    mf_loop_assert(f.loop);
    mf_fake_fail_calls(f.fake, 2);
    MF_CHECK_OK(submit(&f, &k[0], "fails", MF_ORDINARY));
    run_until_done(&f, &k[0]);
    MF_CHECK_INT(k[0].rc, MF_EBACKEND);
    MF_CHECK_OK(submit(&f, &k[1], "waits", MF_ORDINARY));
    MF_CHECK_INT(mf_embed_load(f.embed, MF_ORDINARY).wait_ms, 0);
    MF_CHECK(mf_embed_load(f.embed, MF_ORDINARY).tokens > 0);
    fix_close(&f);
}

/* ---- permits ---- */

static unsigned permits_of(unsigned wish, bool prefers_cores)
{
    struct mf_embed_config cfg = plain_config;
    struct fix f;
    unsigned n;

    cfg.permits = wish;
    fix_open(&f, &(struct mf_fake_config){.prefers_cores = prefers_cores}, &cfg);
    mf_loop_assert(f.loop);
    n = mf_embed_permits(f.embed);
    fix_close(&f);
    return n;
}

MF_TEST(embed_load, takes_a_permit_for_each_core_when_the_model_computes)
{
    cpu_set_t set;
    unsigned n_cores;

    MF_CHECK_OK(sched_getaffinity(0, sizeof(set), &set));
    n_cores = mf_min((unsigned)CPU_COUNT(&set), 64u);
    MF_CHECK_INT(permits_of(0, true), n_cores);
    MF_CHECK_INT(permits_of(0, false), 2);
    MF_CHECK_INT(permits_of(5, true), 5);
    MF_CHECK_INT(mf_embed_max_permits(5), 5);
    MF_CHECK_INT(mf_embed_max_permits(0), mf_max(n_cores, 2u));
}

static cpu_set_t one_of(const cpu_set_t *all)
{
    cpu_set_t one;
    size_t i = 0;

    while (!CPU_ISSET(i, all)) {
        i++;
    }
    CPU_ZERO(&one);
    CPU_SET(i, &one);
    return one;
}

MF_TEST(embed_load, counts_the_cores_that_we_may_run_on)
{
    cpu_set_t all, one;

    MF_CHECK_OK(sched_getaffinity(0, sizeof(all), &all));
    one = one_of(&all);
    MF_CHECK_OK(sched_setaffinity(0, sizeof(one), &one));
    MF_CHECK_INT(permits_of(0, true), 1);
    MF_CHECK_OK(sched_setaffinity(0, sizeof(all), &all));
}
