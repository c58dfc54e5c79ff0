/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/loop.h"

#include "base/log.h"
#include "lib/loop_fixture.h"
#include "lib/mf_test.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define FAR_MS 3600000 /* a timer that keeps the loop asleep, never due in a test */

static char last_line[512];

static void keep_line(MF_UNUSED enum mf_log_level level, const char *line, size_t n,
                      MF_UNUSED void *arg)
{
    (void)snprintf(last_line, sizeof(last_line), "%.*s", (int)n, line);
}

/* A hook that notes when it ran and asks for itself again `again` times. */
struct noter {
    struct mf_turn_hook hook;
    struct mf_loop *loop;
    char name;
    char *notes; /* zeroed, and large enough for the case */
    unsigned n_runs, again;
    bool is_over;
    struct mf_turn_hook *forgets;
};

static void on_note(struct mf_turn_hook *h)
{
    struct noter *n = mf_container_of(h, struct noter, hook);

    mf_loop_assert(n->loop);
    n->n_runs++;
    if (n->notes != NULL) {
        n->notes[strlen(n->notes)] = n->name; /* the rest is zero */
    }
    if (n->forgets != NULL) {
        mf_loop_forget_hook(n->loop, n->forgets);
    }
    if (n->again > 0) {
        n->again--;
        mf_loop_at_turn_end(n->loop, h);
        return;
    }
    n->is_over = true;
}

static struct noter noter_of(struct mf_loop *l, char name, char *notes)
{
    return (struct noter){.hook.fn = on_note, .loop = l, .name = name, .notes = notes};
}

struct ticker {
    uv_timer_t timer;
    struct mf_loop *loop;
    struct noter *asks;
    bool has_run;
};

static void on_tick(uv_timer_t *handle)
{
    struct ticker *t = mf_container_of(handle, struct ticker, timer);

    mf_loop_assert(t->loop);
    t->has_run = true;
    if (t->asks != NULL) {
        mf_loop_at_turn_end(t->loop, &t->asks->hook);
    }
}

MF_LOOP static void ticker_start(struct ticker *t, struct mf_loop *l, uint64_t ms)
{
    *t = (struct ticker){.loop = l};
    MF_CHECK_OK(uv_timer_init(mf_loop_uv(l), &t->timer));
    MF_CHECK_OK(uv_timer_start(&t->timer, on_tick, ms, 0));
}

static void on_closed_ask(uv_handle_t *handle)
{
    struct ticker *t = (struct ticker *)handle;

    mf_loop_assert(t->loop);
    mf_loop_at_turn_end(t->loop, &t->asks->hook);
}

#ifndef NDEBUG
static void *enter_elsewhere(void *arg)
{
    mf_loop_enter(arg, "elsewhere");
    return NULL;
}

/* The first case: the thread sanitizer lets a program fork only before its pool runs.
 */
MF_TEST(loop, aborts_when_a_callback_runs_on_another_thread)
{
    struct mf_loop *l = mf_loop_fixture_open();
    pid_t child = fork();
    int status = 0;

    MF_CHECK(child >= 0);
    if (child == 0) {
        pthread_t thread;

        (void)signal(SIGABRT, SIG_DFL);
        (void)fclose(stderr);
        (void)pthread_create(&thread, NULL, enter_elsewhere, l);
        (void)pthread_join(thread, NULL);
        _exit(0);
    }
    MF_CHECK_INT(waitpid(child, &status, 0), child);
    MF_CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    mf_loop_fixture_close(l);
}
#endif

MF_TEST(loop, runs_a_hook_once_however_often_it_was_asked_for)
{
    struct mf_loop *l = mf_loop_fixture_open();
    struct noter n = noter_of(l, 'a', NULL);

    mf_loop_at_turn_end(l, &n.hook);
    mf_loop_at_turn_end(l, &n.hook);
    mf_loop_at_turn_end(l, &n.hook);
    MF_CHECK_INT(n.n_runs, 0);
    mf_loop_run(l);
    MF_CHECK_INT(n.n_runs, 1);
    mf_loop_fixture_close(l);
}

MF_TEST(loop, runs_hooks_in_the_order_they_were_asked_for)
{
    char notes[8] = "";
    struct mf_loop *l = mf_loop_fixture_open();
    struct noter a = noter_of(l, 'a', notes);
    struct noter b = noter_of(l, 'b', notes);
    struct noter c = noter_of(l, 'c', notes);

    mf_loop_at_turn_end(l, &b.hook);
    mf_loop_at_turn_end(l, &a.hook);
    mf_loop_at_turn_end(l, &c.hook);
    mf_loop_run(l);
    MF_CHECK_STR(notes, "bac");
    mf_loop_fixture_close(l);
}

MF_TEST(loop, runs_a_hook_that_asks_again_in_the_next_turn_without_sleeping)
{
    char notes[16] = "";
    struct mf_loop *l = mf_loop_fixture_open();
    struct noter a = noter_of(l, 'a', notes);
    struct noter b = noter_of(l, 'b', notes);
    struct ticker far;

    ticker_start(&far, l, FAR_MS);
    a.again = 3;
    mf_loop_at_turn_end(l, &a.hook);
    mf_loop_at_turn_end(l, &b.hook);
    mf_loop_fixture_wait(l, &a.is_over);
    MF_CHECK_STR(notes, "abaaa"); /* b before the second a: that is another turn */
    MF_CHECK(!far.has_run);
    uv_close((uv_handle_t *)&far.timer, NULL);
    mf_loop_fixture_close(l);
}

/* Counts how often the loop came round, before and after its sleep. */
struct rounds {
    uv_prepare_t prepare;
    uv_check_t check;
    struct mf_turn_hook hook;
    struct mf_loop *loop;
    unsigned n, seen_by_hook, left;
    bool is_over;
};

static void on_round_prepare(uv_prepare_t *handle)
{
    struct rounds *r = mf_container_of(handle, struct rounds, prepare);

    mf_loop_assert(r->loop);
    r->n++;
}

static void on_round_check(uv_check_t *handle)
{
    struct rounds *r = mf_container_of(handle, struct rounds, check);

    mf_loop_assert(r->loop);
    r->n++;
}

static void on_round_hook(struct mf_turn_hook *h)
{
    struct rounds *r = mf_container_of(h, struct rounds, hook);

    mf_loop_assert(r->loop);
    MF_CHECK(r->n > r->seen_by_hook);
    r->seen_by_hook = r->n;
    r->is_over = --r->left == 0;
    if (!r->is_over) {
        mf_loop_at_turn_end(r->loop, h);
    }
}

MF_TEST(loop, lets_the_loop_come_round_before_a_hook_that_asks_again)
{
    struct mf_loop *l = mf_loop_fixture_open();
    struct rounds r = {.loop = l, .left = 6, .hook.fn = on_round_hook};

    MF_CHECK_OK(uv_prepare_init(mf_loop_uv(l), &r.prepare));
    MF_CHECK_OK(uv_check_init(mf_loop_uv(l), &r.check));
    MF_CHECK_OK(uv_prepare_start(&r.prepare, on_round_prepare));
    MF_CHECK_OK(uv_check_start(&r.check, on_round_check));
    mf_loop_at_turn_end(l, &r.hook);
    mf_loop_fixture_wait(l, &r.is_over);
    uv_close((uv_handle_t *)&r.prepare, NULL);
    uv_close((uv_handle_t *)&r.check, NULL);
    mf_loop_fixture_close(l);
}

MF_TEST(loop, runs_a_hook_asked_for_by_a_callback_before_it_sleeps)
{
    struct mf_loop *l = mf_loop_fixture_open();
    struct noter n = noter_of(l, 'a', NULL);
    struct ticker soon, far;

    ticker_start(&far, l, FAR_MS);
    ticker_start(&soon, l, 0);
    soon.asks = &n;
    mf_loop_fixture_wait(l, &n.is_over);
    MF_CHECK_INT(n.n_runs, 1);
    MF_CHECK(!far.has_run);
    uv_close((uv_handle_t *)&soon.timer, NULL);
    uv_close((uv_handle_t *)&far.timer, NULL);
    mf_loop_fixture_close(l);
}

MF_TEST(loop, runs_a_hook_asked_for_by_the_last_close_callback)
{
    struct mf_loop *l = mf_loop_fixture_open();
    struct noter n = noter_of(l, 'a', NULL);
    struct ticker t;

    ticker_start(&t, l, FAR_MS);
    t.asks = &n;
    n.again = 2;
    uv_close((uv_handle_t *)&t.timer, on_closed_ask);
    mf_loop_run(l);
    MF_CHECK_INT(n.n_runs, 3);
    mf_loop_fixture_close(l);
}

MF_TEST(loop, does_not_run_a_hook_forgotten_by_one_before_it)
{
    char notes[8] = "";
    struct mf_loop *l = mf_loop_fixture_open();
    struct noter a = noter_of(l, 'a', notes);
    struct noter b = noter_of(l, 'b', notes);
    struct noter c = noter_of(l, 'c', notes);

    a.forgets = &b.hook;
    mf_loop_at_turn_end(l, &a.hook);
    mf_loop_at_turn_end(l, &b.hook);
    mf_loop_at_turn_end(l, &c.hook);
    mf_loop_run(l);
    MF_CHECK_STR(notes, "ac");
    mf_loop_at_turn_end(l, &b.hook); /* forgotten once, not for ever */
    mf_loop_run(l);
    MF_CHECK_STR(notes, "acb");
    mf_loop_fixture_close(l);
}

MF_TEST(loop, ends_when_the_only_hook_was_forgotten)
{
    struct mf_loop *l = mf_loop_fixture_open();
    struct noter n = noter_of(l, 'a', NULL);

    mf_loop_at_turn_end(l, &n.hook);
    mf_loop_forget_hook(l, &n.hook);
    mf_loop_forget_hook(l, &n.hook);
    mf_loop_run(l);
    MF_CHECK_INT(n.n_runs, 0);
    mf_loop_fixture_close(l);
}

static void on_tick_stop(uv_timer_t *handle)
{
    struct ticker *t = mf_container_of(handle, struct ticker, timer);

    mf_loop_assert(t->loop);
    t->has_run = true;
    if (t->asks != NULL) {
        mf_loop_at_turn_end(t->loop, &t->asks->hook);
    }
    mf_loop_stop(t->loop);
}

MF_TEST(loop, returns_from_run_after_the_turn_that_stopped_it)
{
    struct mf_loop *l = mf_loop_fixture_open();
    struct noter n = noter_of(l, 'a', NULL);
    struct ticker stop, far;

    ticker_start(&far, l, FAR_MS);
    ticker_start(&stop, l, 0);
    stop.asks = &n;
    MF_CHECK_OK(uv_timer_start(&stop.timer, on_tick_stop, 0, 0));
    mf_loop_run(l);
    MF_CHECK(stop.has_run);
    MF_CHECK_INT(n.n_runs, 1); /* the end of that turn was still kept */
    MF_CHECK(!far.has_run);
    uv_close((uv_handle_t *)&stop.timer, NULL);
    uv_close((uv_handle_t *)&far.timer, NULL);
    mf_loop_fixture_close(l);
}

static void on_closed_stop(uv_handle_t *handle)
{
    struct ticker *t = (struct ticker *)handle;

    mf_loop_assert(t->loop);
    mf_loop_at_turn_end(t->loop, &t->asks->hook);
    mf_loop_stop(t->loop);
}

MF_TEST(loop, runs_the_hooks_of_the_turn_that_stopped_it_from_a_close_callback)
{
    struct mf_loop *l = mf_loop_fixture_open();
    struct noter n = noter_of(l, 'a', NULL);
    struct ticker t;

    ticker_start(&t, l, FAR_MS);
    t.asks = &n;
    uv_close((uv_handle_t *)&t.timer, on_closed_stop);
    mf_loop_run(l);
    MF_CHECK_INT(n.n_runs, 1);
    mf_loop_fixture_close(l);
}

MF_TEST(loop, returns_false_from_run_until_when_time_is_up_or_nothing_is_left)
{
    bool never = false;
    struct mf_loop *l = mf_loop_fixture_open();
    struct ticker far;

    MF_CHECK(!mf_loop_run_until(l, &never, FAR_MS)); /* nothing is left */
    ticker_start(&far, l, FAR_MS);
    MF_CHECK(!mf_loop_run_until(l, &never, 1));
    MF_CHECK(!far.has_run);
    uv_close((uv_handle_t *)&far.timer, NULL);
    mf_loop_fixture_close(l);
}

MF_TEST(loop, refuses_to_close_and_names_the_handle_that_is_left)
{
    struct mf_loop *l = mf_loop_fixture_open();
    struct ticker t;

    ticker_start(&t, l, FAR_MS);
    mf_log_set_sink(keep_line, NULL);
    MF_CHECK_INT(mf_loop_close(l), MF_EBUSY);
    MF_CHECK(strstr(last_line, "loop_handle_left type=timer active=1 closing=0"));
    uv_close((uv_handle_t *)&t.timer, NULL);
    MF_CHECK_INT(mf_loop_close(l), MF_EBUSY); /* its callback has not come yet */
    MF_CHECK(strstr(last_line, "loop_handle_left type=timer active=0 closing=1"));
    mf_log_set_sink(NULL, NULL);
    mf_loop_fixture_close(l);
}

MF_TEST(loop, refuses_to_close_with_a_hook_left)
{
    struct mf_loop *l = mf_loop_fixture_open();
    struct noter n = noter_of(l, 'a', NULL);

    mf_loop_at_turn_end(l, &n.hook);
    mf_log_set_sink(keep_line, NULL);
    MF_CHECK_INT(mf_loop_close(l), MF_EBUSY);
    mf_log_set_sink(NULL, NULL);
    MF_CHECK(strstr(last_line, "loop_hook_left n=1"));
    mf_loop_forget_hook(l, &n.hook);
    mf_loop_fixture_close(l);
}

struct wait_job {
    uv_work_t req;
    struct mf_loop *loop;
    bool is_done;
};

MF_WORKER static void work_nothing(MF_UNUSED uv_work_t *req)
{
}

static void on_worked(uv_work_t *req, MF_UNUSED int status)
{
    struct wait_job *job = mf_container_of(req, struct wait_job, req);

    mf_loop_assert(job->loop);
    job->is_done = true;
}

MF_TEST(loop, refuses_to_close_with_a_request_left)
{
    struct mf_loop *l = mf_loop_fixture_open();
    struct wait_job job = {.loop = l};

    MF_CHECK_OK(uv_queue_work(mf_loop_uv(l), &job.req, work_nothing, on_worked));
    mf_log_set_sink(keep_line, NULL);
    MF_CHECK_INT(mf_loop_close(l), MF_EBUSY);
    mf_log_set_sink(NULL, NULL);
    MF_CHECK(strstr(last_line, "loop_request_left"));
    mf_loop_fixture_wait(l, &job.is_done);
    mf_loop_fixture_close(l);
}

MF_TEST(loop, fails_to_open_cleanly_whichever_allocation_fails)
{
    struct mf_loop_config cfg = {.pool_threads = 4, .stall_ms = 100};
    size_t nth = 0;
    int rc;

    do {
        struct mf_err err = {0};
        struct mf_loop *l = NULL;

        mf_test_fail_nth(++nth);
        rc = mf_loop_open(&l, &cfg, &err);
        mf_test_fail_nth(0);
        if (rc == 0) {
            MF_CHECK_OK(mf_loop_close(l));
        } else {
            MF_CHECK_INT(rc, MF_ENOMEM);
            MF_CHECK_INT(err.code, MF_ENOMEM);
            MF_CHECK(err.msg[0] != '\0');
            MF_CHECK_PTR(l, NULL);
        }
    } while (rc != 0);
    MF_CHECK_INT(nth, 3); /* the loop, the monitor */
}
