/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/lane.h"

#include "lib/loop_fixture.h"
#include "lib/mf_test.h"

#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>

#define MAX_JOBS     16
#define POOL_THREADS 4 /* of the fixture */

struct stage;

struct act { /* one job of a case */
    struct mf_job job;
    struct stage *stage;
    char name;
    bool is_held; /* its work waits for the stage's gate */
    bool has_run, is_submitted;
    unsigned n_done;
    int status;
};

/* A loop, a lane and what happened on both sides. */
struct stage {
    struct mf_loop *loop;
    struct mf_lane *lane;
    struct act acts[MAX_JOBS];
    sem_t gate;    /* a post lets one held job go */
    sem_t started; /* posted by each held job that runs */
    atomic_uint n_at_work, most_at_work;
    char ran[MAX_JOBS + 1]; /* written by workers of a lane of one, without a lock */
    bool notes_runs;
    char done[MAX_JOBS + 1];
    unsigned n_done, wanted;
    bool has_wanted;
    bool is_closed;
    unsigned n_closed;
    struct act *resubmits; /* from its own done, once */
    struct act *closes;    /* the lane, from its done */
};

static void sem_take(sem_t *s)
{
    int rc;

    do {
        rc = sem_wait(s);
    } while (rc != 0 && errno == EINTR);
    MF_ASSERT(rc == 0);
}

static void note(char *notes, char c)
{
    size_t n = strlen(notes);

    MF_ASSERT(n < MAX_JOBS);
    notes[n] = c;
    notes[n + 1] = '\0';
}

MF_WORKER static void work_act(struct mf_job *job)
{
    struct act *a = mf_container_of(job, struct act, job);
    struct stage *s = a->stage;
    unsigned n = atomic_fetch_add(&s->n_at_work, 1) + 1;
    unsigned most = atomic_load(&s->most_at_work);

    while (n > most && !atomic_compare_exchange_weak(&s->most_at_work, &most, n)) {
    }
    a->has_run = true;
    if (s->notes_runs) {
        note(s->ran, a->name);
    }
    if (a->is_held) {
        MF_ASSERT(sem_post(&s->started) == 0);
        sem_take(&s->gate);
    }
    atomic_fetch_sub(&s->n_at_work, 1);
}

static void on_stage_closed(void *arg)
{
    struct stage *s = arg;

    mf_loop_assert(s->loop);
    s->n_closed++;
    s->is_closed = true;
}

MF_LOOP static void submit(struct stage *s, char name, enum mf_urgency urgency)
{
    struct act *a = &s->acts[name - 'a'];

    a->stage = s;
    a->name = name;
    a->job.work = work_act;
    MF_CHECK_OK(mf_lane_submit(s->lane, &a->job, urgency));
    MF_CHECK_INT(a->n_done, 0); /* never before submit returned */
    a->is_submitted = true;
}

MF_LOOP static void submit_all(struct stage *s, const char *names)
{
    for (; *names != '\0'; names++) {
        submit(s, *names, MF_ORDINARY);
    }
}

static void on_act_done(struct mf_job *job, int status)
{
    struct act *a = mf_container_of(job, struct act, job);
    struct stage *s = a->stage;

    mf_loop_assert(s->loop);
    MF_CHECK(a->is_submitted);
    MF_CHECK(!s->is_closed);
    a->n_done++;
    a->status = status;
    note(s->done, a->name);
    s->has_wanted = ++s->n_done == s->wanted;
    if (s->resubmits == a) {
        s->resubmits = NULL;
        MF_CHECK_OK(mf_lane_submit(s->lane, job, MF_ORDINARY));
    }
    if (s->closes == a) {
        mf_lane_close(s->lane, on_stage_closed, s);
        MF_CHECK(!s->is_closed);
        MF_CHECK_INT(mf_lane_submit(s->lane, job, MF_URGENT), MF_ECLOSED);
    }
}

static struct mf_loop *stage_open(struct stage *s, unsigned permits,
                                  size_t max_waiting) MF_ASSERTS_LOOP;

static struct mf_loop *stage_open(struct stage *s, unsigned permits, size_t max_waiting)
{
    memset(s, 0, sizeof(*s));
    for (size_t i = 0; i < MAX_JOBS; i++) {
        s->acts[i].job.done = on_act_done;
    }
    MF_CHECK_OK(sem_init(&s->gate, 0, 0));
    MF_CHECK_OK(sem_init(&s->started, 0, 0));
    s->loop = mf_loop_fixture_open();
    MF_CHECK_OK(mf_lane_open(&s->lane, s->loop, "test", permits, max_waiting));
    return s->loop;
}

static void hold(struct stage *s, const char *names)
{
    for (; *names != '\0'; names++) {
        s->acts[*names - 'a'].is_held = true;
    }
}

static void await_started(struct stage *s, unsigned n)
{
    while (n-- > 0) {
        sem_take(&s->started);
    }
}

static void let_go(struct stage *s, unsigned n)
{
    while (n-- > 0) {
        MF_CHECK_OK(sem_post(&s->gate));
    }
}

MF_LOOP static void await_done(struct stage *s, unsigned n)
{
    s->wanted = n;
    s->has_wanted = s->n_done == n;
    mf_loop_fixture_wait(s->loop, &s->has_wanted);
}

MF_LOOP static void stage_end(struct stage *s)
{
    mf_loop_fixture_wait(s->loop, &s->is_closed);
    MF_CHECK_INT(s->n_closed, 1);
    mf_loop_fixture_close(s->loop);
    for (size_t i = 0; i < MAX_JOBS; i++) {
        MF_CHECK(!s->acts[i].is_submitted || s->acts[i].n_done > 0);
    }
    MF_CHECK_OK(sem_destroy(&s->gate));
    MF_CHECK_OK(sem_destroy(&s->started));
}

MF_LOOP static void stage_close(struct stage *s)
{
    mf_lane_close(s->lane, on_stage_closed, s);
    MF_CHECK(!s->is_closed);
    stage_end(s);
}

MF_TEST(lane, runs_no_more_jobs_at_once_than_permits)
{
    struct stage s;

    (void)stage_open(&s, 2, 8);
    hold(&s, "abcde");
    submit_all(&s, "abcde");
    MF_CHECK_INT(mf_lane_n_running(s.lane), 2);
    MF_CHECK_INT(mf_lane_n_waiting(s.lane), 3);
    await_started(&s, 2);
    let_go(&s, 5);
    await_done(&s, 5);
    MF_CHECK_INT(atomic_load(&s.most_at_work), 2);
    MF_CHECK_INT(mf_lane_n_running(s.lane), 0);
    MF_CHECK_INT(mf_lane_n_waiting(s.lane), 0);
    stage_close(&s);
}

MF_TEST(lane, runs_urgent_jobs_first_and_each_class_in_order)
{
    struct stage s;

    (void)stage_open(&s, 1, 8);
    s.notes_runs = true; /* a lane of one: the thread sanitizer sees if it lies */
    hold(&s, "a");
    submit(&s, 'a', MF_ORDINARY);
    submit(&s, 'b', MF_ORDINARY);
    submit(&s, 'c', MF_ORDINARY);
    submit(&s, 'd', MF_URGENT);
    submit(&s, 'e', MF_URGENT);
    let_go(&s, 1);
    await_done(&s, 5);
    MF_CHECK_STR(s.ran, "adebc");
    MF_CHECK_STR(s.done, "adebc");
    MF_CHECK_INT(atomic_load(&s.most_at_work), 1);
    stage_close(&s);
}

MF_TEST(lane, returns_busy_when_the_line_is_full)
{
    struct stage s;
    struct act *c = &s.acts['c' - 'a'];

    (void)stage_open(&s, 1, 1);
    hold(&s, "a");
    submit(&s, 'a', MF_ORDINARY);
    submit(&s, 'b', MF_ORDINARY);
    c->stage = &s;
    c->name = 'c';
    c->job.work = work_act;
    MF_CHECK_INT(mf_lane_submit(s.lane, &c->job, MF_ORDINARY), MF_EBUSY);
    MF_CHECK_INT(mf_lane_submit(s.lane, &c->job, MF_URGENT), MF_EBUSY);
    let_go(&s, 1);
    await_done(&s, 2);
    MF_CHECK_STR(s.done, "ab"); /* nothing happened to c */
    submit(&s, 'c', MF_ORDINARY);
    await_done(&s, 3);
    MF_CHECK_STR(s.done, "abc");
    stage_close(&s);
}

MF_TEST(lane, runs_a_job_without_a_line_while_a_permit_is_free)
{
    struct stage s;

    (void)stage_open(&s, 2, 0);
    hold(&s, "ab");
    submit(&s, 'a', MF_ORDINARY);
    submit(&s, 'b', MF_ORDINARY);
    s.acts[2].job.work = work_act;
    MF_CHECK_INT(mf_lane_submit(s.lane, &s.acts[2].job, MF_URGENT), MF_EBUSY);
    let_go(&s, 2);
    await_done(&s, 2);
    stage_close(&s);
}

MF_TEST(lane, starts_nobody_until_enough_jobs_ended_when_permits_are_lowered)
{
    struct stage s;

    (void)stage_open(&s, 3, 8);
    hold(&s, "abcdef");
    submit_all(&s, "abcdef");
    await_started(&s, 3);
    mf_lane_set_permits(s.lane, 1);
    MF_CHECK_INT(mf_lane_n_running(s.lane), 3); /* nobody is interrupted */
    let_go(&s, 1);
    await_done(&s, 1);
    MF_CHECK_INT(mf_lane_n_running(s.lane), 2);
    let_go(&s, 1);
    await_done(&s, 2);
    MF_CHECK_INT(mf_lane_n_running(s.lane), 1);
    MF_CHECK_INT(mf_lane_n_waiting(s.lane), 3);
    let_go(&s, 1);
    await_done(&s, 3);
    MF_CHECK_INT(mf_lane_n_running(s.lane), 1);
    MF_CHECK_INT(mf_lane_n_waiting(s.lane), 2);
    atomic_store(&s.most_at_work, 0);
    let_go(&s, 3);
    await_done(&s, 6);
    MF_CHECK(atomic_load(&s.most_at_work) <= 1);
    stage_close(&s);
}

MF_TEST(lane, starts_those_in_line_at_once_when_permits_are_raised)
{
    struct stage s;

    (void)stage_open(&s, 0, 8); /* paused */
    hold(&s, "abc");
    submit_all(&s, "abc");
    MF_CHECK_INT(mf_lane_n_running(s.lane), 0);
    mf_lane_set_permits(s.lane, 2);
    MF_CHECK_INT(mf_lane_n_running(s.lane), 2);
    await_started(&s, 2);
    mf_lane_set_permits(s.lane, 9);
    MF_CHECK_INT(mf_lane_n_running(s.lane), 3);
    await_started(&s, 1);
    let_go(&s, 3);
    await_done(&s, 3);
    stage_close(&s);
}

MF_TEST(lane, parks_no_pool_thread_with_those_in_line)
{
    struct stage full, other;
    struct mf_loop *l = stage_open(&full, 1, MAX_JOBS);

    memset(&other, 0, sizeof(other));
    other.loop = l;
    other.acts[0].job.done = on_act_done;
    MF_CHECK_OK(mf_lane_open(&other.lane, l, "other", 1, 1));
    hold(&full, "abcdefghij");
    submit_all(&full, "abcdefghij"); /* far more than the pool has */
    submit(&other, 'a', MF_ORDINARY);
    await_done(&other, 1); /* while all of `full` is held */
    MF_CHECK_INT(full.n_done, 0);
    let_go(&full, 10);
    await_done(&full, 10);
    mf_lane_close(other.lane, on_stage_closed, &other);
    mf_loop_fixture_wait(l, &other.is_closed);
    stage_close(&full);
}

MF_TEST(lane, takes_a_job_back_from_inside_its_done)
{
    struct stage s;

    (void)stage_open(&s, 1, 1);
    s.resubmits = &s.acts[0];
    submit(&s, 'a', MF_ORDINARY);
    await_done(&s, 2);
    MF_CHECK_STR(s.done, "aa");
    stage_close(&s);
}

MF_TEST(lane, cancels_those_in_line_and_waits_for_those_at_work_on_close)
{
    struct stage s;
    struct mf_loop *l = stage_open(&s, 1, 8);

    hold(&s, "a");
    submit(&s, 'a', MF_ORDINARY);
    await_started(&s, 1);
    submit(&s, 'b', MF_ORDINARY);
    submit(&s, 'c', MF_URGENT);
    mf_lane_close(s.lane, on_stage_closed, &s);
    mf_lane_close(s.lane, on_stage_closed, &s); /* may be called twice */
    MF_CHECK_INT(s.n_done, 0);
    MF_CHECK_INT(mf_lane_submit(s.lane, &s.acts[9].job, MF_URGENT), MF_ECLOSED);
    await_done(&s, 2);
    MF_CHECK_STR(s.done, "cb");
    MF_CHECK(!mf_loop_run_until(l, &s.is_closed, 20)); /* `a` is still out */
    let_go(&s, 1);
    stage_end(&s);
    MF_CHECK_STR(s.done, "cba");
    MF_CHECK_INT(s.acts[0].status, 0);
    MF_CHECK_INT(s.acts[1].status, MF_ECANCELED);
    MF_CHECK_INT(s.acts[2].status, MF_ECANCELED);
    MF_CHECK(s.acts[0].has_run && !s.acts[1].has_run && !s.acts[2].has_run);
}

MF_TEST(lane, closes_from_inside_a_done)
{
    struct stage s;

    (void)stage_open(&s, 1, 8);
    hold(&s, "a");
    s.closes = &s.acts[0];
    submit(&s, 'a', MF_ORDINARY);
    submit(&s, 'b', MF_ORDINARY); /* takes the permit of a */
    submit(&s, 'c', MF_ORDINARY);
    let_go(&s, 1);
    stage_end(&s);
    MF_CHECK_INT(s.n_done, 3);
    MF_CHECK_INT(s.acts[0].status, 0);
    MF_CHECK_INT(s.acts[2].status, MF_ECANCELED);
    MF_CHECK_INT(s.acts[1].status, s.acts[1].has_run ? 0 : MF_ECANCELED);
}

MF_TEST(lane, takes_back_jobs_the_pool_has_not_begun_on_close)
{
    struct stage full, s;
    struct mf_loop *l = stage_open(&full, POOL_THREADS, 0);

    memset(&s, 0, sizeof(s));
    s.loop = l;
    s.acts[0].job.done = on_act_done;
    MF_CHECK_OK(mf_lane_open(&s.lane, l, "late", 1, 1));
    hold(&full, "abcd");
    submit_all(&full, "abcd");
    await_started(&full, POOL_THREADS);
    submit(&s, 'a', MF_ORDINARY);
    MF_CHECK_INT(mf_lane_n_running(s.lane), 1); /* in the pool's queue, that is */
    mf_lane_close(s.lane, on_stage_closed, &s);
    mf_loop_fixture_wait(l, &s.is_closed); /* while the pool is full */
    MF_CHECK_INT(s.acts[0].n_done, 1);
    MF_CHECK_INT(s.acts[0].status, MF_ECANCELED);
    MF_CHECK(!s.acts[0].has_run);
    let_go(&full, POOL_THREADS);
    await_done(&full, POOL_THREADS);
    stage_close(&full);
}

MF_TEST(lane, closes_without_a_callback_and_without_a_job)
{
    struct mf_loop *l = mf_loop_fixture_open();
    struct mf_lane *lane = NULL;

    MF_CHECK_OK(mf_lane_open(&lane, l, "empty", 1, 1));
    mf_lane_close(lane, NULL, NULL);
    mf_loop_fixture_close(l);
}

MF_TEST(lane, fails_to_open_cleanly_without_memory)
{
    struct mf_loop *l = mf_loop_fixture_open();
    struct mf_lane *lane = NULL;

    mf_test_fail_nth(1);
    MF_CHECK_INT(mf_lane_open(&lane, l, "none", 1, 1), MF_ENOMEM);
    MF_CHECK(mf_test_has_failed());
    mf_test_fail_nth(0);
    MF_CHECK_PTR(lane, NULL);
    mf_loop_fixture_close(l);
}
