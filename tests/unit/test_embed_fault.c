/* SPDX-License-Identifier: Apache-2.0 */
/* What embed does with a model that fails, lies or hangs, and without memory. */
#include "base/mem.h"
#include "base/stat.h"
#include "lib/embed_fixture.h"

static void check_failed(const struct task *k, int rc)
{
    MF_CHECK_INT(k->rc, rc);
    MF_CHECK_INT(k->n_done, 1);
    MF_CHECK_INT(k->n_after, 1);
    MF_CHECK_INT(k->after_rc, rc);
    MF_CHECK(!k->after_had_vector);
    MF_CHECK_PTR(k->t.vector, k->v);
    check_no_vector(k);
}

MF_TEST(embed_fault, fails_one_text_of_a_batch_and_not_the_others)
{
    struct fix f;
    struct task k[3];
    int64_t failed = mf_stat_get(MF_STAT_embed_failed);

    fix_open(&f, &(struct mf_fake_config){.batch_texts = 3}, &plain_config);
    MF_CHECK_OK(submit(&f, &k[0], "a", MF_ORDINARY));
    MF_CHECK_OK(submit(&f, &k[1], "FAIL", MF_ORDINARY));
    MF_CHECK_OK(submit(&f, &k[2], "c", MF_ORDINARY));
    run_until_done(&f, &k[1]);
    check_vector(&f, &k[0]);
    check_vector(&f, &k[2]);
    check_failed(&k[1], MF_EBACKEND);
    MF_CHECK_INT(mf_fake_counts(f.fake).texts, 4); /* it had two attempts */
    MF_CHECK_INT(mf_stat_get(MF_STAT_embed_failed), failed + 1);
    fix_close(&f);
}

MF_TEST(embed_fault, tries_halves_when_the_batch_failed_as_a_whole)
{
    struct mf_embed_config cfg = plain_config;
    struct fix f;
    struct task k[4];

    /* long enough for the others to have been tried by then */
    cfg.dep.first_backoff_ms = cfg.dep.max_backoff_ms = 600;
    fix_open(&f, &(struct mf_fake_config){.batch_texts = 4}, &cfg);
    MF_CHECK_OK(submit(&f, &k[0], "a", MF_ORDINARY));
    MF_CHECK_OK(submit(&f, &k[1], "BATCH", MF_ORDINARY));
    MF_CHECK_OK(submit(&f, &k[2], "c", MF_ORDINARY));
    MF_CHECK_OK(submit(&f, &k[3], "d", MF_ORDINARY));
    run_until_done(&f, &k[3]);
    run_until_done(&f, &k[1]);
    check_vector(&f, &k[0]);
    check_vector(&f, &k[2]);
    check_vector(&f, &k[3]);
    check_failed(&k[1], MF_EBACKEND);
    /* the batch, its halves, the halves of the bad one, the bad text's second attempt
     */
    MF_CHECK_STR(mf_fake_counts(f.fake).order, "aacaBB");
    fix_close(&f);
}

/* 64 texts in one batch, the bad one at any place. */
static void run_with_one_bad_of_64(size_t bad)
{
    struct mf_embed_config cfg = plain_config;
    struct fix f;
    struct task k[64];

    cfg.dep.max_attempts = 1;
    cfg.dep.open_after = 5; /* halves that work tell that the model is well */
    fix_open(&f, &(struct mf_fake_config){.batch_texts = 64}, &cfg);
    mf_loop_assert(f.loop);
    for (size_t i = 0; i < 64; i++) {
        MF_CHECK_OK(submit(&f, &k[i], i == bad ? "BATCH" : "good", MF_ORDINARY));
    }
    for (size_t i = 0; i < 64; i++) {
        run_until_done(&f, &k[i]);
        MF_CHECK(mf_dep_is_up(mf_embed_health(f.embed)));
        if (i == bad) {
            check_failed(&k[i], MF_EBACKEND);
        } else {
            check_vector(&f, &k[i]);
        }
    }
    /* the batch, and two halves in each of 6 steps */
    MF_CHECK_INT(mf_fake_counts(f.fake).calls, 1 + 2 * 6);
    fix_close(&f);
}

MF_TEST(embed_fault, finds_one_bad_text_of_many_in_a_few_steps)
{
    run_with_one_bad_of_64(0);
    run_with_one_bad_of_64(37);
    run_with_one_bad_of_64(63);
}

MF_TEST(embed_fault, does_not_put_other_texts_into_the_halves)
{
    struct fix f;
    struct task k[4];

    fix_open(&f, &(struct mf_fake_config){.batch_texts = 4}, &plain_config);
    mf_loop_assert(f.loop);
    mf_fake_hold(f.fake);
    mf_fake_fail_calls(f.fake, 1);
    MF_CHECK_OK(submit(&f, &k[0], "a", MF_ORDINARY));
    MF_CHECK_OK(submit(&f, &k[1], "b", MF_ORDINARY));
    run_until_calls(&f, 1);
    MF_CHECK_OK(submit(&f, &k[2], "c", MF_ORDINARY));
    MF_CHECK_OK(submit(&f, &k[3], "d", MF_ORDINARY));
    mf_fake_release(f.fake);
    run_until_done(&f, &k[3]);
    MF_CHECK_STR(mf_fake_counts(f.fake).order, "aabc");
    fix_close(&f);
}

MF_TEST(embed_fault, leaves_canceled_texts_out_of_the_halves)
{
    struct fix f;
    struct task k[4];

    fix_open(&f, &(struct mf_fake_config){.batch_texts = 4}, &plain_config);
    mf_loop_assert(f.loop);
    mf_fake_hold(f.fake);
    mf_fake_fail_calls(f.fake, 1);
    for (size_t i = 0; i < 4; i++) {
        MF_CHECK_OK(submit(&f, &k[i], &"abcd"[i], MF_ORDINARY));
    }
    run_until_calls(&f, 1);
    mf_embed_cancel(f.embed, &k[0].t);
    mf_embed_cancel(f.embed, &k[2].t);
    mf_fake_release(f.fake);
    run_until_done(&f, &k[3]);
    check_vector(&f, &k[1]);
    check_vector(&f, &k[3]);
    MF_CHECK_INT(k[0].rc, MF_ECANCELED);
    MF_CHECK_INT(k[2].rc, MF_ECANCELED);
    MF_CHECK_STR(mf_fake_counts(f.fake).order, "abd");
    MF_CHECK_INT(mf_fake_counts(f.fake).texts, 4 + 2);
    fix_close(&f);
}

MF_TEST(embed_fault, never_hands_over_what_is_no_unit_vector)
{
    static const char *const bad[] = {"NAN", "ZERO", "LONG", "SKIP"};
    struct fix f;
    struct task k[mf_countof(bad)], good;

    fix_open(&f, &(struct mf_fake_config){.batch_texts = 8}, &plain_config);
    MF_CHECK_OK(submit(&f, &good, "good", MF_ORDINARY));
    for (size_t i = 0; i < mf_countof(bad); i++) {
        MF_CHECK_OK(submit(&f, &k[i], bad[i], MF_ORDINARY));
    }
    for (size_t i = 0; i < mf_countof(bad); i++) {
        run_until_done(&f, &k[i]);
        check_failed(&k[i], MF_EBACKEND);
    }
    check_vector(&f, &good);
    fix_close(&f);
}

MF_TEST(embed_fault, fails_a_text_whose_passages_fail)
{
    struct fix f;
    struct task k;

    fix_open(&f, &(struct mf_fake_config){.window = 2}, &plain_config);
    MF_CHECK_OK(submit(&f, &k, "a b c d", MF_ORDINARY));
    k.t.wants_passages = true;
    mf_fake_hold(f.fake);
    run_until_calls(&f, 1);
    mf_fake_release(f.fake);
    run_until_calls(&f, 2);
    run_until_done(&f, &k);
    MF_CHECK_INT(k.rc, 0);
    MF_CHECK_INT(mf_fake_counts(f.fake).calls, 3);
    MF_CHECK_OK(submit(&f, &k, "a b NAN d", MF_ORDINARY));
    k.t.wants_passages = true;
    run_until_done(&f, &k);
    check_failed(&k, MF_EBACKEND);
    MF_CHECK_INT(k.t.n_passages, 0);
    fix_close(&f);
}

MF_TEST(embed_fault, does_not_try_again_what_is_the_texts_own_fault)
{
    struct mf_embed_config cfg = plain_config;
    struct fix f;
    struct task k;

    cfg.dep.max_attempts = 10;
    cfg.dep.open_after = 1;
    fix_open(&f, &(struct mf_fake_config){0}, &cfg);
    mf_loop_assert(f.loop);
    MF_CHECK_OK(submit(&f, &k, "INVALID", MF_ORDINARY));
    run_until_done(&f, &k);
    check_failed(&k, MF_EINVAL);
    MF_CHECK_INT(mf_fake_counts(f.fake).calls, 1);
    MF_CHECK(mf_dep_is_up(mf_embed_health(f.embed)));
    fix_close(&f);
}

MF_TEST(embed_fault, tries_again_until_the_model_is_back)
{
    struct mf_embed_config cfg = plain_config;
    struct fix f;
    struct task k;
    int64_t retries = mf_stat_get(MF_STAT_embed_retries);

    cfg.dep.max_attempts = 5;
    fix_open(&f, &(struct mf_fake_config){0}, &cfg);
    mf_fake_fail_calls(f.fake, 3);
    MF_CHECK_OK(submit(&f, &k, "a", MF_ORDINARY));
    run_until_done(&f, &k);
    check_vector(&f, &k);
    MF_CHECK_INT(k.n_done, 1);
    MF_CHECK_INT(k.n_after, 1);
    MF_CHECK_INT(mf_fake_counts(f.fake).calls, 4);
    MF_CHECK_INT(mf_stat_get(MF_STAT_embed_retries), retries + 3);
    fix_close(&f);
}

MF_TEST(embed_fault, lets_others_pass_a_task_that_waits_for_its_backoff)
{
    struct mf_embed_config cfg = plain_config;
    struct fix f;
    struct task bad, good;

    cfg.dep.first_backoff_ms = cfg.dep.max_backoff_ms = 3600000;
    fix_open(&f, &(struct mf_fake_config){0}, &cfg);
    mf_fake_fail_calls(f.fake, 1);
    MF_CHECK_OK(submit(&f, &bad, "a", MF_ORDINARY));
    MF_CHECK_OK(submit(&f, &good, "b", MF_ORDINARY));
    run_until_done(&f, &good);
    run_a_while(&f);
    check_vector(&f, &good);
    MF_CHECK_INT(bad.n_done, 0);
    fix_close(&f);
    MF_CHECK_INT(bad.rc, MF_ECANCELED);
    MF_CHECK_INT(bad.n_done, 1);
    MF_CHECK_INT(bad.n_after, 0);
}

MF_TEST(embed_fault, fails_an_urgent_task_whose_backoff_would_outlast_its_time)
{
    struct mf_embed_config cfg = plain_config;
    struct fix f;
    struct task k;

    cfg.dep.first_backoff_ms = cfg.dep.max_backoff_ms = 3600000;
    fix_open(&f, &(struct mf_fake_config){0}, &cfg);
    mf_fake_fail_calls(f.fake, 1);
    MF_CHECK_OK(submit(&f, &k, "u", MF_URGENT));
    run_until_done(&f, &k);
    check_failed(&k, MF_EBACKEND);
    fix_close(&f);
}

/* ---- time ---- */

static int freed_rc;

static void done_then_free(struct mf_embed_task *t, int rc)
{
    struct task *k = mf_container_of(t, struct task, t);

    freed_rc = rc;
    mf_free((char *)(uintptr_t)t->text.p);
    mf_free(k);
}

/* The caller frees text and vector while the worker still has them in hand: the job
 * must have its own. */
MF_TEST(embed_fault, gives_up_a_call_that_hangs_and_drops_its_result)
{
    struct mf_embed_config cfg = plain_config;
    struct fix f;
    struct task *k = mf_calloc(1, sizeof(*k)), next;
    char *text = mf_strndup("hanging", 7);

    assert_non_null(k);
    assert_non_null(text);
    cfg.dep.timeout_ms = 250;
    fix_open(&f, &(struct mf_fake_config){0}, &cfg);
    mf_loop_assert(f.loop);
    freed_rc = 0;
    mf_fake_hold(f.fake);
    MF_CHECK_OK(submit(&f, k, text, MF_ORDINARY));
    k->t.done = done_then_free;
    while (freed_rc == 0) {
        run_a_while(&f);
    }
    MF_CHECK_INT(freed_rc, MF_ETIMEOUT);
    MF_CHECK_INT(mf_embed_backlog(f.embed), 0);
    MF_CHECK_INT(mf_fake_counts(f.fake).running, 1);
    MF_CHECK_OK(submit(&f, &next, "next", MF_ORDINARY));
    run_a_while(&f); /* the hanging call keeps the only permit */
    MF_CHECK_INT(mf_fake_counts(f.fake).calls, 1);
    mf_fake_release(f.fake);
    run_until_done(&f, &next);
    check_vector(&f, &next);
    fix_close(&f);
}

MF_TEST(embed_fault, calls_after_on_a_worker_when_the_loop_gave_the_task_up)
{
    struct mf_embed_config cfg = plain_config;
    struct fix f;
    struct task k[3];

    cfg.dep.timeout_ms = 20;
    fix_open(&f, &(struct mf_fake_config){.batch_texts = 3}, &cfg);
    mf_loop_assert(f.loop);
    mf_fake_hold(f.fake);
    for (size_t i = 0; i < 3; i++) {
        MF_CHECK_OK(submit(&f, &k[i], "a", MF_ORDINARY));
    }
    for (size_t i = 0; i < 3; i++) {
        run_until_done(&f, &k[i]);
        check_failed(&k[i], MF_ETIMEOUT);
        MF_CHECK(k[i].t.timed_out);
    }
    MF_CHECK_INT(mf_embed_health(f.embed)->n_failed, 1);
    mf_fake_release(f.fake);
    fix_close(&f);
    for (size_t i = 0; i < 3; i++) {
        MF_CHECK_INT(k[i].n_done, 1);
        MF_CHECK_INT(k[i].n_after, 1);
        check_no_vector(&k[i]);
    }
}

MF_TEST(embed_fault, gives_up_an_urgent_task_that_never_got_a_permit)
{
    struct mf_embed_config cfg = plain_config;
    struct fix f;
    struct task bg, urgent;

    cfg.dep.timeout_ms = 20;
    fix_open(&f, &(struct mf_fake_config){0}, &cfg);
    mf_fake_hold(f.fake);
    MF_CHECK_OK(submit(&f, &bg, "b", MF_ORDINARY));
    run_until_calls(&f, 1);
    MF_CHECK_OK(submit(&f, &urgent, "u", MF_URGENT));
    run_until_done(&f, &urgent);
    check_failed(&urgent, MF_ETIMEOUT);
    MF_CHECK_STR(mf_fake_counts(f.fake).order, "b");
    mf_fake_release(f.fake);
    fix_close(&f);
    MF_CHECK_INT(bg.rc, MF_ETIMEOUT);
}

/* ---- the breaker ---- */

MF_TEST(embed_fault, ends_urgent_tasks_at_once_while_the_breaker_is_open)
{
    struct mf_embed_config cfg = plain_config;
    struct fix f;
    struct task k[2], urgent, bg;

    cfg.dep.max_attempts = 1;
    cfg.dep.open_after = 2;
    cfg.dep.first_backoff_ms = cfg.dep.max_backoff_ms = 3600000;
    fix_open(&f, &(struct mf_fake_config){0}, &cfg);
    mf_loop_assert(f.loop);
    mf_fake_fail_calls(f.fake, 100);
    for (size_t i = 0; i < 2; i++) {
        MF_CHECK(mf_dep_is_up(mf_embed_health(f.embed)));
        MF_CHECK_OK(submit(&f, &k[i], "a", MF_ORDINARY));
        run_until_done(&f, &k[i]);
        check_failed(&k[i], MF_EBACKEND);
    }
    MF_CHECK_INT(mf_embed_health(f.embed)->state, MF_DEP_DOWN);
    MF_CHECK_OK(submit(&f, &bg, "b", MF_ORDINARY));
    MF_CHECK_OK(submit(&f, &urgent, "u", MF_URGENT));
    run_until_done(&f, &urgent);
    check_failed(&urgent, MF_EBACKEND);
    run_a_while(&f);
    MF_CHECK_INT(bg.n_done, 0);
    MF_CHECK_INT(mf_fake_counts(f.fake).calls, 2);
    fix_close(&f);
    MF_CHECK_INT(bg.rc, MF_ECANCELED);
}

MF_TEST(embed_fault, probes_with_one_text_and_then_takes_up_work_again)
{
    struct mf_embed_config cfg = plain_config;
    struct fix f;
    struct task k[6];

    cfg.dep.max_attempts = 0;
    cfg.dep.open_after = 1;
    fix_open(&f, &(struct mf_fake_config){.batch_texts = 3}, &cfg);
    mf_loop_assert(f.loop);
    mf_fake_fail_calls(f.fake, 4);
    for (size_t i = 0; i < 6; i++) {
        MF_CHECK_OK(submit(&f, &k[i], "a", MF_ORDINARY));
    }
    for (size_t i = 0; i < 6; i++) {
        run_until_done(&f, &k[i]);
        check_vector(&f, &k[i]);
    }
    MF_CHECK(mf_dep_is_up(mf_embed_health(f.embed)));
    /* 4 that failed; one probe; at least two for the other five */
    MF_CHECK(mf_fake_counts(f.fake).calls >= 7);
    MF_CHECK_INT(mf_embed_health(f.embed)->n_failed, 4);
    fix_close(&f);
}

/* ---- memory ---- */

MF_TEST(embed_fault, tells_open_that_there_is_no_memory)
{
    struct fix f;
    struct mf_embed *e = NULL;

    fix_open(&f, &(struct mf_fake_config){0}, &plain_config);
    mf_loop_assert(f.loop);
    for (size_t n = 1;; n++) {
        mf_test_fail_nth(n);
        if (mf_embed_open(&e, f.loop, &f.fake->model, &plain_config) == 0) {
            break;
        }
        MF_CHECK(mf_test_has_failed());
        assert_null(e);
        run_a_while(&f);
    }
    mf_test_fail_nth(0);
    mf_embed_close(e, fix_closed, &f);
    MF_CHECK(mf_loop_run_until(f.loop, &f.closed, PATIENCE));
    f.closed = false;
    f.n_closed = 0;
    fix_close(&f);
}

static bool one_round_without_memory(size_t nth)
{
    struct mf_embed_config cfg = plain_config;
    struct fix f;
    struct task k[3];
    bool failed;

    cfg.dep.max_attempts = 1;
    fix_open(&f, &(struct mf_fake_config){.window = 2, .batch_texts = 2}, &cfg);
    mf_test_fail_nth(nth);
    for (size_t i = 0; i < 3; i++) {
        MF_CHECK_OK(submit(&f, &k[i], "a b c d", MF_ORDINARY));
        k[i].t.wants_passages = true;
    }
    for (size_t i = 0; i < 3; i++) {
        run_until_done(&f, &k[i]);
        if (k[i].rc == 0) {
            check_vector(&f, &k[i]);
        } else {
            check_failed(&k[i], MF_ENOMEM);
        }
    }
    failed = mf_test_has_failed();
    MF_CHECK(failed == (k[0].rc < 0 || k[1].rc < 0 || k[2].rc < 0));
    mf_test_fail_nth(0);
    fix_close(&f);
    return failed;
}

MF_TEST(embed_fault, fails_tasks_cleanly_when_memory_is_short)
{
    size_t n = 1;

    while (one_round_without_memory(n)) {
        n++;
    }
    MF_CHECK(n > 6);
}
