/* SPDX-License-Identifier: Apache-2.0 */
/* A caller that does not wait any more: before, while and after its text is embedded.
 */
#include "base/mem.h"
#include "lib/embed_fixture.h"

static void check_canceled(const struct task *k)
{
    MF_CHECK_INT(k->rc, MF_ECANCELED);
    MF_CHECK_INT(k->n_done, 1);
    check_no_vector(k);
}

MF_TEST(embed_cancel, never_embeds_what_no_job_has_begun)
{
    struct fix f;
    struct task k[4];

    fix_open(&f, &(struct mf_fake_config){0}, &plain_config);
    mf_loop_assert(f.loop);
    mf_fake_hold(f.fake);
    MF_CHECK_OK(submit(&f, &k[0], "A", MF_ORDINARY));
    run_until_calls(&f, 1);
    MF_CHECK_OK(submit(&f, &k[1], "B", MF_ORDINARY));
    MF_CHECK_OK(submit(&f, &k[2], "U", MF_URGENT));
    MF_CHECK_OK(submit(&f, &k[3], "C", MF_ORDINARY));
    mf_embed_cancel(f.embed, &k[1].t);
    mf_embed_cancel(f.embed, &k[2].t);
    mf_embed_cancel(f.embed, &k[2].t);
    MF_CHECK_INT(k[1].n_done + k[2].n_done, 0); /* not inside the call */
    run_until_done(&f, &k[1]);
    run_until_done(&f, &k[2]);
    MF_CHECK_INT(k[0].n_done, 0); /* it did not wait for the others */
    mf_fake_release(f.fake);
    run_until_done(&f, &k[3]);
    check_canceled(&k[1]);
    check_canceled(&k[2]);
    MF_CHECK_INT(k[1].n_after + k[2].n_after, 0);
    MF_CHECK_STR(mf_fake_counts(f.fake).order, "AC");
    MF_CHECK_INT(mf_embed_backlog(f.embed), 0);
    MF_CHECK_INT(mf_embed_backlog_bytes(f.embed), 0);
    fix_close(&f);
}

MF_TEST(embed_cancel, makes_room_in_the_line_at_once)
{
    struct mf_embed_config cfg = plain_config;
    struct fix f;
    struct task k[3];

    cfg.max_waiting = 1;
    fix_open(&f, &(struct mf_fake_config){0}, &cfg);
    mf_loop_assert(f.loop);
    mf_fake_hold(f.fake);
    MF_CHECK_OK(submit(&f, &k[0], "A", MF_ORDINARY));
    MF_CHECK_INT(submit(&f, &k[1], "B", MF_ORDINARY), MF_EBUSY);
    mf_embed_cancel(f.embed, &k[0].t);
    MF_CHECK_OK(submit(&f, &k[1], "B", MF_ORDINARY));
    MF_CHECK_INT(submit(&f, &k[2], "C", MF_ORDINARY), MF_EBUSY);
    run_until_done(&f, &k[0]);
    mf_fake_release(f.fake);
    run_until_done(&f, &k[1]);
    check_vector(&f, &k[1]);
    fix_close(&f);
}

MF_TEST(embed_cancel, drops_the_result_of_what_is_under_way_and_keeps_the_others)
{
    struct fix f;
    struct task k[3];

    fix_open(&f, &(struct mf_fake_config){.batch_texts = 3}, &plain_config);
    mf_loop_assert(f.loop);
    mf_fake_hold(f.fake);
    MF_CHECK_OK(submit(&f, &k[0], "A", MF_ORDINARY));
    MF_CHECK_OK(submit(&f, &k[1], "B", MF_ORDINARY));
    MF_CHECK_OK(submit(&f, &k[2], "C", MF_ORDINARY));
    run_until_calls(&f, 1);
    mf_embed_cancel(f.embed, &k[1].t);
    run_until_done(&f, &k[1]); /* while the model still has it */
    check_canceled(&k[1]);
    MF_CHECK_INT(k[1].n_after, 0);
    MF_CHECK_INT(mf_embed_backlog(f.embed), 2);
    mf_fake_release(f.fake);
    run_until_done(&f, &k[2]);
    check_vector(&f, &k[0]);
    check_vector(&f, &k[2]);
    check_canceled(&k[1]);
    fix_close(&f);
}

/* The caller's memory is its own again after `done`, whatever the worker still does. */
MF_TEST(embed_cancel, does_not_touch_the_task_after_done)
{
    struct fix f;
    struct task *k = mf_calloc(1, sizeof(*k)), next;
    char *text = mf_strndup("text", 4);

    assert_non_null(k);
    assert_non_null(text);
    fix_open(&f, &(struct mf_fake_config){0}, &plain_config);
    mf_loop_assert(f.loop);
    mf_fake_hold(f.fake);
    MF_CHECK_OK(submit(&f, k, text, MF_URGENT));
    run_until_calls(&f, 1);
    mf_embed_cancel(f.embed, &k->t);
    run_until_done(&f, k);
    MF_CHECK_INT(k->rc, MF_ECANCELED);
    mf_free(k);
    mf_free(text);
    MF_CHECK_OK(submit(&f, &next, "next", MF_URGENT));
    mf_fake_release(f.fake);
    run_until_done(&f, &next);
    check_vector(&f, &next);
    fix_close(&f);
}

/* All threads of the pool are busy, so that the job stands in line there. */
static void work_hold(uv_work_t *req)
{
    uv_sem_wait(req->data);
}

static void on_held(uv_work_t *req, MF_UNUSED int status)
{
    (void)req;
}

MF_TEST(embed_cancel, leaves_out_what_was_canceled_before_the_worker_began)
{
    struct fix f;
    struct task k[4];
    uv_work_t holds[14];
    uv_sem_t sem;

    fix_open(&f, &(struct mf_fake_config){.batch_texts = 3}, &plain_config);
    mf_loop_assert(f.loop);
    MF_CHECK_INT(mf_loop_pool_threads(f.loop), mf_countof(holds));
    MF_CHECK_OK(uv_sem_init(&sem, 0));
    for (size_t i = 0; i < mf_countof(holds); i++) {
        holds[i].data = &sem;
        MF_CHECK_OK(uv_queue_work(mf_loop_uv(f.loop), &holds[i], work_hold, on_held));
    }
    MF_CHECK_OK(submit(&f, &k[0], "A", MF_ORDINARY));
    MF_CHECK_OK(submit(&f, &k[1], "B", MF_ORDINARY));
    MF_CHECK_OK(submit(&f, &k[2], "C", MF_ORDINARY));
    run_a_while(&f);
    MF_CHECK_INT(mf_fake_counts(f.fake).calls, 0);
    mf_embed_cancel(f.embed, &k[0].t);
    run_until_done(&f, &k[0]);
    for (size_t i = 0; i < mf_countof(holds); i++) {
        uv_sem_post(&sem);
    }
    run_until_done(&f, &k[2]);
    check_canceled(&k[0]);
    check_vector(&f, &k[1]);
    check_vector(&f, &k[2]);
    MF_CHECK_STR(mf_fake_counts(f.fake).order, "B");
    MF_CHECK_INT(mf_fake_counts(f.fake).texts, 2);
    run_a_while(&f);
    uv_sem_destroy(&sem);
    fix_close(&f);
}

MF_TEST(embed_cancel, ends_a_task_that_waits_for_its_backoff)
{
    struct mf_embed_config cfg = plain_config;
    struct fix f;
    struct task bad, good;

    cfg.dep.first_backoff_ms = cfg.dep.max_backoff_ms = 3600000;
    fix_open(&f, &(struct mf_fake_config){0}, &cfg);
    mf_loop_assert(f.loop);
    mf_fake_fail_calls(f.fake, 1);
    MF_CHECK_OK(submit(&f, &bad, "a", MF_ORDINARY));
    MF_CHECK_OK(submit(&f, &good, "b", MF_ORDINARY));
    run_until_done(&f, &good);
    mf_embed_cancel(f.embed, &bad.t);
    run_until_done(&f, &bad);
    check_canceled(&bad);
    MF_CHECK_INT(bad.n_after, 0);
    MF_CHECK_INT(mf_embed_backlog(f.embed), 0);
    fix_close(&f);
}

/* ---- calls from inside `done` ---- */

static struct task *victims;
static size_t n_victims;

static void done_then_cancel(struct mf_embed_task *t, int rc)
{
    struct task *k = mf_container_of(t, struct task, t);

    mf_loop_assert(k->fix->loop);
    task_done(t, rc);
    for (size_t i = 0; i < n_victims; i++) {
        if (!victims[i].is_done) {
            mf_embed_cancel(k->fix->embed, &victims[i].t);
        }
    }
}

/* Four in one batch; the first to end cancels the others, whatever became of them. */
static void run_one_that_cancels(const char *const text[4], unsigned max_attempts)
{
    struct mf_embed_config cfg = plain_config;
    struct fix f;
    struct task k[4];

    cfg.dep.max_attempts = max_attempts;
    fix_open(&f, &(struct mf_fake_config){.batch_texts = 4}, &cfg);
    mf_loop_assert(f.loop);
    victims = k;
    n_victims = 4;
    for (size_t i = 0; i < 4; i++) {
        MF_CHECK_OK(submit(&f, &k[i], text[i], MF_ORDINARY));
        k[i].t.done = done_then_cancel;
    }
    for (size_t i = 0; i < 4; i++) {
        run_until_done(&f, &k[i]);
    }
    run_a_while(&f);
    for (size_t i = 0, n_canceled = 0; i < 4; i++) {
        MF_CHECK_INT(k[i].n_done, 1);
        n_canceled += k[i].rc == MF_ECANCELED;
        MF_CHECK(i < 3 || n_canceled == 3);
    }
    MF_CHECK_INT(mf_fake_counts(f.fake).texts, 4); /* none was tried again */
    MF_CHECK_INT(mf_embed_backlog(f.embed), 0);
    fix_close(&f);
}

MF_TEST(embed_cancel, may_be_called_from_inside_done)
{
    static const char *const good[4] = {"a", "b", "c", "d"};
    static const char *const mixed[4] = {"FAIL", "b", "FAIL", "d"};
    static const char *const last[4] = {"FAIL", "FAIL", "FAIL", "d"};
    static const char *const bad[4] = {"FAIL", "FAIL", "FAIL", "FAIL"};

    run_one_that_cancels(good, 2);
    run_one_that_cancels(mixed, 2);
    run_one_that_cancels(last, 2);
    run_one_that_cancels(bad, 1);
}

static void done_then_cancel_and_close(struct mf_embed_task *t, int rc)
{
    struct task *k = mf_container_of(t, struct task, t);

    mf_loop_assert(k->fix->loop);
    done_then_cancel(t, rc);
    mf_embed_close(k->fix->embed, fix_closed, k->fix);
}

MF_TEST(embed_cancel, goes_with_closing)
{
    struct fix f;
    struct task k[4];

    fix_open(&f, &(struct mf_fake_config){.batch_texts = 2}, &plain_config);
    victims = k;
    n_victims = 4;
    for (size_t i = 0; i < 4; i++) {
        MF_CHECK_OK(submit(&f, &k[i], "a", i < 2 ? MF_URGENT : MF_ORDINARY));
        k[i].t.done = done_then_cancel_and_close;
    }
    MF_CHECK(mf_loop_run_until(f.loop, &f.closed, PATIENCE));
    check_vector(&f, &k[0]);
    for (size_t i = 0; i < 4; i++) {
        MF_CHECK_INT(k[i].n_done, 1);
        MF_CHECK_INT(k[i].rc, i == 0 ? 0 : MF_ECANCELED);
    }
    f.embed = NULL;
    fix_close(&f);
}

/* A few turns in which every second task that is not done is canceled. */
MF_LOOP static void cancel_half(struct fix *f, struct task *k, size_t n)
{
    static const bool never = false;

    for (size_t i = 0; i < n; i += 2) {
        if (i % 8 == 0) {
            (void)mf_loop_run_until(f->loop, &never, 0);
        }
        if (!k[i].is_done) {
            mf_embed_cancel(f->embed, &k[i].t);
        }
    }
}

MF_LOOP static void run_round(struct fix *f)
{
    struct task k[40];

    for (size_t i = 0; i < 40; i++) {
        MF_CHECK_OK(submit(f, &k[i], i % 13 == 0 ? "BATCH" : "abc",
                           i % 3 == 0 ? MF_URGENT : MF_ORDINARY));
    }
    cancel_half(f, k, 40);
    for (size_t i = 0; i < 40; i++) {
        run_until_done(f, &k[i]);
    }
    for (size_t i = 0; i < 40; i++) {
        MF_CHECK_INT(k[i].n_done, 1);
        MF_CHECK(k[i].n_after <= 1);
        MF_CHECK(k[i].rc == 0 || k[i].rc == MF_ECANCELED || k[i].rc == MF_EBACKEND);
    }
    MF_CHECK_INT(mf_embed_backlog(f->embed), 0);
}

/* Whatever the race between the worker and the caller: `done` once, and no task left.
 */
MF_TEST(embed_cancel, ends_each_task_once_at_any_moment)
{
    struct mf_embed_config cfg = plain_config;
    struct fix f;

    cfg.permits = 4;
    for (unsigned spares = 0; spares < 2; spares++) {
        fix_open(&f,
                 &(struct mf_fake_config){
                     .batch_texts = 3, .delay_ms = spares, .prefers_cores = spares > 0},
                 &cfg);
        mf_loop_assert(f.loop);
        for (size_t round = 0; round < 50; round++) {
            run_round(&f);
        }
        fix_close(&f);
    }
}
