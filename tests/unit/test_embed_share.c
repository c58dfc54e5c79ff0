/* SPDX-License-Identifier: Apache-2.0 */
/* While somebody asks, background leaves one runner free for the next who does. */
#include "lib/embed_fixture.h"

#define N_BACKGROUND 3
#define RECENT_MS    1900 /* "now" ends a little later: see embed_run.c */
#define TRIES        20

struct scene {
    unsigned permits;
    bool prefers_cores; /* the model computes here */
    bool is_asked;      /* an urgent text was done just before */
};

struct outcome {
    unsigned running; /* background calls at once */
    bool in_time;     /* while the urgent text was recent, on a busy machine, too */
};

static struct outcome watch(struct fix *f, struct task *background, unsigned n_before,
                            uint64_t asked_ms)
{
    struct outcome o;

    for (size_t i = 0; i < N_BACKGROUND; i++) {
        MF_CHECK_OK(submit(f, &background[i], &"abc"[i], MF_ORDINARY));
    }
    run_until_calls(f, n_before + 1);
    run_a_while(f);
    o.running = mf_fake_counts(f->fake).running;
    o.in_time = mf_loop_now_ms(f->loop) - asked_ms < RECENT_MS;
    return o;
}

/* Background texts stand still in the model; all of them are done in the end. */
static struct outcome play_once(const struct scene *s)
{
    struct mf_embed_config cfg = plain_config;
    struct task urgent, background[N_BACKGROUND];
    struct outcome o;
    struct fix f;
    uint64_t asked_ms;

    cfg.permits = s->permits;
    fix_open(&f, &(struct mf_fake_config){.prefers_cores = s->prefers_cores}, &cfg);
    mf_loop_assert(f.loop);
    asked_ms = mf_loop_now_ms(f.loop);
    if (s->is_asked) {
        MF_CHECK_OK(submit(&f, &urgent, "U", MF_URGENT));
        run_until_done(&f, &urgent);
    }
    mf_fake_hold(f.fake);
    o = watch(&f, background, s->is_asked ? 1 : 0, asked_ms);
    mf_fake_release(f.fake);
    for (size_t i = 0; i < N_BACKGROUND; i++) {
        run_until_done(&f, &background[i]);
        check_vector(&f, &background[i]);
    }
    fix_close(&f);
    return o;
}

static unsigned running_of(const struct scene *s)
{
    for (unsigned i = 0; i < TRIES; i++) {
        struct outcome o = play_once(s);

        if (o.in_time) {
            return o.running;
        }
    }
    fail_msg("this machine is too slow to ask twice within %d ms", RECENT_MS);
    return 0;
}

MF_TEST(embed_share, background_takes_all_runners_while_nobody_asks)
{
    MF_CHECK_INT(running_of(&(struct scene){.permits = 2, .prefers_cores = true}), 2);
}

MF_TEST(embed_share, background_leaves_one_runner_free_while_somebody_asks)
{
    MF_CHECK_INT(running_of(&(struct scene){
                     .permits = 2, .prefers_cores = true, .is_asked = true}),
                 1);
    MF_CHECK_INT(running_of(&(struct scene){
                     .permits = 3, .prefers_cores = true, .is_asked = true}),
                 2);
}

MF_TEST(embed_share, background_goes_on_where_there_is_one_runner)
{
    MF_CHECK_INT(running_of(&(struct scene){
                     .permits = 1, .prefers_cores = true, .is_asked = true}),
                 1);
}

MF_TEST(embed_share, a_model_elsewhere_has_runners_for_all)
{
    MF_CHECK_INT(running_of(&(struct scene){.permits = 2, .is_asked = true}), 2);
}

MF_TEST(embed_share, the_free_runner_is_there_for_who_asks_next)
{
    struct mf_embed_config cfg = plain_config;
    struct task urgent[2], background[N_BACKGROUND];
    struct outcome o;
    struct fix f;

    cfg.permits = 2;
    fix_open(&f, &(struct mf_fake_config){.prefers_cores = true}, &cfg);
    mf_loop_assert(f.loop);
    MF_CHECK_OK(submit(&f, &urgent[0], "U", MF_URGENT));
    run_until_done(&f, &urgent[0]);
    mf_fake_hold(f.fake);
    o = watch(&f, background, 1, mf_loop_now_ms(f.loop));
    MF_CHECK_OK(submit(&f, &urgent[1], "V", MF_URGENT));
    run_until_calls(&f, 3);
    if (o.in_time) { /* without a wait for one of background */
        MF_CHECK_STR(mf_fake_counts(f.fake).order, "UaV");
    }
    mf_fake_release(f.fake);
    run_until_done(&f, &background[2]);
    run_until_done(&f, &urgent[1]);
    fix_close(&f);
}
