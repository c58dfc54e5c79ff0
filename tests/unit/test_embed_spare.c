/* SPDX-License-Identifier: Apache-2.0 */
/* The spare job: a worker that is free takes it without the loop, and until then it is
 * as if it still stood in line. */
#include "lib/embed_fixture.h"

#include <unistd.h>

/* A model that computes and was measured, and whose next call stands still. Its first
 * call was "w". */
static void rig_open(struct fix *f, const struct mf_embed_config *cfg)
{
    struct task k;

    fix_open(f,
             &(struct mf_fake_config){
                 .delay_ms = 1, .batch_texts = 2, .prefers_cores = true},
             cfg);
    MF_CHECK_OK(submit(f, &k, "w", MF_ORDINARY));
    run_until_done(f, &k);
    mf_fake_hold(f->fake);
}

/* One text in the model, the next in the spare. */
static void run_one_and_spare(struct fix *f, struct task *a, struct task *b)
{
    MF_CHECK_OK(submit(f, a, "A", MF_ORDINARY));
    run_until_calls(f, 2);
    MF_CHECK_OK(submit(f, b, "B", MF_ORDINARY));
    run_a_while(f);
}

/* Texts that come one after the other, turn by turn, still become one batch. */
MF_TEST(embed_spare, grows_while_nobody_takes_it)
{
    struct fix f;
    struct task k[4];

    rig_open(&f, &plain_config);
    mf_loop_assert(f.loop);
    run_one_and_spare(&f, &k[0], &k[1]);
    MF_CHECK_OK(submit(&f, &k[2], "C", MF_ORDINARY));
    run_a_while(&f);
    MF_CHECK_OK(submit(&f, &k[3], "D", MF_ORDINARY)); /* two are a batch */
    run_a_while(&f);
    mf_fake_release(f.fake);
    run_until_done(&f, &k[3]);
    MF_CHECK_STR(mf_fake_counts(f.fake).order, "wABD");
    MF_CHECK_STR(done_order, "wABCD");
    fix_close(&f);
}

MF_TEST(embed_spare, is_begun_while_the_loop_is_busy)
{
    struct fix f;
    struct task k[3];

    rig_open(&f, &plain_config);
    mf_loop_assert(f.loop);
    run_one_and_spare(&f, &k[0], &k[1]);
    MF_CHECK_OK(submit(&f, &k[2], "C", MF_ORDINARY));
    mf_fake_release(f.fake);
    for (unsigned i = 0; mf_fake_counts(f.fake).calls < 3; i++) { /* no turn */
        MF_CHECK(i < PATIENCE);
        (void)usleep(1000);
    }
    MF_CHECK_INT(k[0].n_done, 0);
    run_until_done(&f, &k[2]);
    check_vector(&f, &k[0]);
    check_vector(&f, &k[1]);
    check_vector(&f, &k[2]);
    MF_CHECK_STR(mf_fake_counts(f.fake).order, "wABC");
    MF_CHECK_INT(mf_fake_counts(f.fake).max_running, 1);
    fix_close(&f);
}

MF_TEST(embed_spare, tells_the_loop_of_each_job_while_the_next_one_runs)
{
    struct fix f;
    struct task k[12];

    rig_open(&f, &plain_config);
    mf_loop_assert(f.loop);
    for (size_t i = 0; i < 12; i++) {
        MF_CHECK_OK(submit(&f, &k[i], &"abcdefghijkl"[i], MF_ORDINARY));
    }
    for (unsigned i = 0; i < 12; i += 2) {
        mf_fake_let(f.fake, 1);
        run_until_done(&f, &k[i + 1]);
        check_vector(&f, &k[i]);
        check_vector(&f, &k[i + 1]);
        MF_CHECK_INT(mf_embed_backlog(f.embed), 10 - i);
    }
    MF_CHECK_STR(done_order, "wabcdefghijkl");
    MF_CHECK_STR(mf_fake_counts(f.fake).order, "wacegik");
    MF_CHECK_INT(mf_fake_counts(f.fake).max_running, 1);
    fix_close(&f);
}

MF_TEST(embed_spare, of_background_texts_lets_an_urgent_one_pass)
{
    struct fix f;
    struct task k[4];

    rig_open(&f, &plain_config);
    run_one_and_spare(&f, &k[0], &k[1]);
    MF_CHECK_OK(submit(&f, &k[2], "C", MF_ORDINARY));
    MF_CHECK_OK(submit(&f, &k[3], "U", MF_URGENT));
    run_a_while(&f);
    mf_fake_release(f.fake);
    run_until_done(&f, &k[2]);
    MF_CHECK_STR(mf_fake_counts(f.fake).order, "wAUB"); /* B and C are one batch now */
    MF_CHECK_STR(done_order, "wAUBC");
    fix_close(&f);
}

MF_TEST(embed_spare, is_taken_back_while_background_is_paused)
{
    struct fix f;
    struct task k[2];

    rig_open(&f, &plain_config);
    mf_loop_assert(f.loop);
    run_one_and_spare(&f, &k[0], &k[1]);
    mf_embed_pause(f.embed, true);
    run_a_while(&f);
    mf_fake_release(f.fake);
    run_until_done(&f, &k[0]);
    run_a_while(&f);
    MF_CHECK_INT(k[1].n_done, 0);
    MF_CHECK_STR(mf_fake_counts(f.fake).order, "wA");
    mf_embed_pause(f.embed, false);
    run_until_done(&f, &k[1]);
    fix_close(&f);
}

MF_TEST(embed_spare, still_counts_as_waiting)
{
    struct mf_embed_config cfg = plain_config;
    struct fix f;
    struct task k[3];

    cfg.max_waiting = 1;
    rig_open(&f, &cfg);
    mf_loop_assert(f.loop);
    run_one_and_spare(&f, &k[0], &k[1]);
    MF_CHECK_INT(submit(&f, &k[2], "C", MF_ORDINARY), MF_EBUSY);
    /* an urgent one would pass it: only what runs is before that */
    MF_CHECK_INT(mf_embed_load(f.embed, MF_URGENT).tokens, 2);
    MF_CHECK_INT(mf_embed_load(f.embed, MF_ORDINARY).tokens, 4);
    mf_fake_release(f.fake);
    run_until_done(&f, &k[1]);
    MF_CHECK_OK(submit(&f, &k[2], "C", MF_ORDINARY));
    run_until_done(&f, &k[2]);
    fix_close(&f);
}

MF_TEST(embed_spare, is_not_embedded_when_its_text_is_canceled)
{
    struct mf_embed_config cfg = plain_config;
    struct fix f;
    struct task k[3];

    cfg.max_waiting = 1;
    rig_open(&f, &cfg);
    mf_loop_assert(f.loop);
    run_one_and_spare(&f, &k[0], &k[1]);
    mf_embed_cancel(f.embed, &k[1].t);
    run_until_done(&f, &k[1]);
    MF_CHECK_INT(k[1].rc, MF_ECANCELED);
    mf_fake_release(f.fake);
    run_until_done(&f, &k[0]);
    run_a_while(&f);
    MF_CHECK_STR(mf_fake_counts(f.fake).order, "wA");
    MF_CHECK_OK(submit(&f, &k[2], "C", MF_ORDINARY)); /* the line has room again */
    run_until_done(&f, &k[2]);
    fix_close(&f);
}

MF_TEST(embed_spare, is_canceled_when_embed_is_closed)
{
    struct fix f;
    struct task k[3];

    rig_open(&f, &plain_config);
    mf_loop_assert(f.loop);
    run_one_and_spare(&f, &k[0], &k[1]);
    MF_CHECK_OK(submit(&f, &k[2], "C", MF_ORDINARY));
    mf_embed_close(f.embed, fix_closed, &f);
    run_until_done(&f, &k[1]);
    MF_CHECK_INT(k[1].rc, MF_ECANCELED);
    mf_fake_release(f.fake);
    MF_CHECK(mf_loop_run_until(f.loop, &f.closed, PATIENCE));
    check_vector(&f, &k[0]);
    MF_CHECK_INT(k[2].rc, MF_ECANCELED);
    MF_CHECK_STR(mf_fake_counts(f.fake).order, "wA");
    f.embed = NULL;
    fix_close(&f);
}

MF_TEST(embed_spare, is_given_up_when_an_urgent_text_waited_too_long_in_it)
{
    struct mf_embed_config cfg = plain_config;
    struct fix f;
    struct task a, urgent;

    cfg.dep.timeout_ms = 100;
    rig_open(&f, &cfg);
    MF_CHECK_OK(submit(&f, &a, "A", MF_ORDINARY));
    run_until_calls(&f, 2);
    MF_CHECK_OK(submit(&f, &urgent, "U", MF_URGENT));
    run_until_done(&f, &urgent); /* the model never lets go of "A" */
    MF_CHECK_INT(urgent.rc, MF_ETIMEOUT);
    run_until_done(&f, &a);
    MF_CHECK_INT(a.rc, MF_ETIMEOUT);
    MF_CHECK_STR(mf_fake_counts(f.fake).order, "wA");
    fix_close(&f);
}

MF_TEST(embed_spare, goes_back_into_its_place_as_half_of_a_batch)
{
    struct fix f;
    struct task k[5];

    rig_open(&f, &plain_config);
    mf_fake_fail_calls(f.fake, 1);
    for (size_t i = 0; i < 4; i++) {
        MF_CHECK_OK(submit(&f, &k[i], &"abcd"[i], MF_ORDINARY));
    }
    run_until_calls(&f, 2); /* a and b, which will fail; c and d are the spare */
    MF_CHECK_OK(submit(&f, &k[4], "U", MF_URGENT));
    run_a_while(&f);
    mf_fake_release(f.fake);
    for (size_t i = 0; i < 5; i++) {
        run_until_done(&f, &k[i]);
        check_vector(&f, &k[i]);
    }
    /* U may be at work before the loop knows that a and b failed, c and d not */
    MF_CHECK_STR(mf_fake_counts(f.fake).order + 2, "Uabc");
    fix_close(&f);
}

/* A batch that fails, its halves, and spares, with one allocation that fails. */
static bool one_round_without_memory(size_t nth)
{
    struct mf_embed_config cfg = plain_config;
    struct fix f;
    struct task k[6];
    bool has_failed;

    cfg.dep.max_attempts = 1;
    rig_open(&f, &cfg);
    mf_loop_assert(f.loop);
    mf_fake_release(f.fake);
    mf_fake_fail_calls(f.fake, 1);
    mf_test_fail_nth(nth);
    for (size_t i = 0; i < 6; i++) {
        MF_CHECK_OK(submit(&f, &k[i], &"abcdef"[i], MF_ORDINARY));
    }
    for (size_t i = 0; i < 6; i++) {
        run_until_done(&f, &k[i]);
        MF_CHECK_INT(k[i].n_done, 1);
        MF_CHECK_INT(k[i].n_after, 1);
    }
    has_failed = mf_test_has_failed();
    mf_test_fail_nth(0);
    for (size_t i = 0; i < 6; i++) {
        if (k[i].rc == 0) {
            check_vector(&f, &k[i]);
        } else {
            MF_CHECK(has_failed);
            MF_CHECK_INT(k[i].rc, MF_ENOMEM);
            check_no_vector(&k[i]);
        }
    }
    MF_CHECK_INT(mf_embed_backlog(f.embed), 0);
    MF_CHECK_INT(mf_embed_load(f.embed, MF_ORDINARY).tokens, 0);
    fix_close(&f);
    return has_failed;
}

MF_TEST(embed_spare, fails_tasks_cleanly_when_memory_is_short)
{
    size_t n = 1;

    while (one_round_without_memory(n)) {
        n++;
    }
    MF_CHECK(n > 5); /* three batches and two halves */
}

MF_TEST(embed_spare, is_not_made_for_a_model_that_needs_no_time)
{
    struct fix f;
    struct task k[3];

    fix_open(&f, &(struct mf_fake_config){.batch_texts = 2, .prefers_cores = true},
             &plain_config);
    mf_loop_assert(f.loop);
    mf_fake_hold(f.fake);
    MF_CHECK_OK(submit(&f, &k[0], "A", MF_ORDINARY));
    run_until_calls(&f, 1);
    MF_CHECK_OK(submit(&f, &k[1], "B", MF_ORDINARY));
    run_a_while(&f);
    MF_CHECK_OK(submit(&f, &k[2], "C", MF_ORDINARY));
    mf_fake_release(f.fake);
    run_until_done(&f, &k[2]);
    MF_CHECK_STR(mf_fake_counts(f.fake).order, "AB"); /* B and C in one batch */
    fix_close(&f);
}
