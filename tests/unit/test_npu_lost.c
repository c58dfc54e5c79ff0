/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of callers when the helper process fails in each way it can. */
#include "lib/mf_test.h"
#include "lib/npu_rig.h"
#include "lib/npu_test_worker.h"

#include "base/err.h"
#include "npu/remote.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int try_open(struct mf_npu_err *err)
{
    const struct mf_npu_conf conf = {.queue_depth = 4};
    struct mf_npu_dev *dev;
    int rc = rig_remote()->open(&conf, &dev, err);

    if (rc == 0) {
        rig_remote()->close(dev);
    }
    return rc;
}

/* Until the device has seen the end of its worker. */
static void await_lost(struct npu_rig *r)
{
    struct mf_npu_health h;

    do {
        rig_nap_ms(1);
        r->be->health(r->dev, &h);
    } while (h.state != MF_NPU_LOST);
}

/* ---- the worker's files, and its end ---- */

MF_TEST(npu_lost, leaves_nothing_behind_and_gives_the_worker_only_its_files)
{
    int before = rig_count_fds(0), pid;
    struct npu_rig r;

    rig_worker_is("twin");
    rig_open(&r, rig_remote());
    pid = mf_npu_remote_pid(r.dev);
    MF_CHECK(pid > 0);
    MF_CHECK_INT(rig_count_fds(pid), 5); /* 0, 1, 2, the socket, the memory */
    MF_CHECK_INT(rig_count_fds(0), before + 3);
    rig_close(&r);
    MF_CHECK_INT(rig_count_fds(0), before);
    MF_CHECK_INT(waitpid(-1, NULL, WNOHANG), -1); /* no child is left, dead or alive */
    MF_CHECK_INT(kill(pid, 0), -1);
}

MF_TEST(npu_lost, takes_the_worker_along_when_the_service_is_killed)
{
    char line[32] = {0}, path[64], stat[256];
    int out[2], fd, pid, status, worker;

    rig_worker_is("twin");
    MF_CHECK_OK(pipe(out));
    pid = fork();
    if (pid == 0) {
        (void)dup2(out[1], 1);
        (void)execl(NPU_TEST_WORKER, "npu_test_worker", "parent", NPU_TEST_WORKER,
                    (char *)NULL);
        _exit(9);
    }
    MF_CHECK(read(out[0], line, sizeof(line) - 1) > 0);
    worker = (int)strtol(line, NULL, 10);
    MF_CHECK_OK(kill(pid, SIGKILL));
    MF_CHECK_INT(waitpid(pid, &status, 0), pid);
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", worker);
    for (;;) { /* gone, or dead and not yet fetched by its new parent */
        ssize_t n = -1;

        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0) {
            n = read(fd, stat, sizeof(stat) - 1);
            (void)close(fd);
        }
        if (n <= 0) {
            break;
        }
        stat[n] = '\0';
        if (strstr(stat, ") Z ") != NULL) {
            break;
        }
        rig_nap_ms(1);
    }
    (void)close(out[0]);
    (void)close(out[1]);
}

MF_TEST(npu_lost, starts_another_one_that_knows_everything_when_one_is_killed)
{
    struct mf_npu_health h;
    struct mf_npu_stats st;
    struct npu_slot s;
    struct npu_rig r;
    int pid;

    rig_worker_is("twin");
    rig_open(&r, rig_remote());
    rig_slot(&r, &s);
    MF_CHECK_OK(rig_run(&r, &s, 1, 60000));
    for (unsigned i = 0; i < 3; i++) {
        pid = mf_npu_remote_pid(r.dev);
        MF_CHECK_OK(kill(pid, SIGKILL));
        await_lost(&r);
        r.be->health(r.dev, &h);
        MF_CHECK_INT(h.last.code, MF_EUNAVAILABLE);
        MF_CHECK(rig_await_ready(&r));
        r.be->health(r.dev, &h);
        assert_non_null(strstr(h.last.text, "signal 9 (SIGKILL)"));
        MF_CHECK(mf_npu_remote_pid(r.dev) != pid);
        MF_CHECK_OK(rig_run(&r, &s, i, 60000));
        MF_CHECK(rig_is_right(&r, &s, i));
    }
    r.be->stats(r.dev, &st);
    /* The first one's numbers are for who opened it to look at. */
    MF_CHECK(st.reopens == 3 && st.verify_runs == 3 && st.in_flight == 0);
    rig_put_slot(&r, &s);
    rig_close(&r);
}

MF_TEST(npu_lost, ends_jobs_of_a_killed_worker_at_once)
{
    struct mf_npu_job *job[3];
    struct mf_npu_err err;
    struct npu_slot s;
    struct npu_rig r;

    rig_worker_is("slow");
    rig_open(&r, rig_remote());
    rig_slot(&r, &s);
    for (size_t i = 0; i < 3; i++) {
        MF_CHECK_OK(rig_submit(&r, &s, 3600000, &job[i], &err));
    }
    MF_CHECK_OK(kill(mf_npu_remote_pid(r.dev), SIGKILL));
    for (size_t i = 0; i < 3; i++) {
        MF_CHECK_INT(r.be->wait(job[i], &err), MF_EUNAVAILABLE);
        r.be->job_put(job[i]);
    }
    rig_worker_is("twin");
    rig_put_slot(&r, &s);
    rig_close(&r);
}

MF_TEST(npu_lost, does_not_wait_longer_than_the_deadline_for_a_stopped_worker)
{
    struct mf_npu_job *job;
    struct mf_npu_health h;
    struct mf_npu_stats st;
    struct mf_npu_err err;
    struct npu_slot s;
    struct npu_rig r;

    rig_worker_is("twin");
    rig_open(&r, rig_remote());
    rig_slot(&r, &s);
    rig_fill(&r, &s, 5);
    MF_CHECK_OK(kill(mf_npu_remote_pid(r.dev), SIGSTOP));
    MF_CHECK_OK(rig_submit(&r, &s, 50, &job, &err));
    MF_CHECK_INT(r.be->wait(job, &err), MF_ETIMEOUT);
    r.be->health(r.dev, &h);
    MF_CHECK_INT(h.state, MF_NPU_LOST);
    r.be->job_put(job);
    MF_CHECK(rig_await_ready(&r));
    MF_CHECK_OK(rig_run(&r, &s, 6, 60000));
    MF_CHECK(rig_is_right(&r, &s, 6));
    r.be->stats(r.dev, &st);
    MF_CHECK(st.quarantined == 1 && st.reopens == 1);
    rig_put_slot(&r, &s);
    rig_close(&r);
}

MF_TEST(npu_lost, takes_a_worker_that_leaves_a_request_unanswered_for_dead)
{
    struct mf_npu_health h;
    struct npu_slot s;
    struct npu_rig r;

    rig_worker_is("twin");
    rig_open(&r, rig_remote());
    rig_slot(&r, &s);
    MF_CHECK_OK(kill(mf_npu_remote_pid(r.dev), SIGSTOP));
    MF_CHECK_INT(r.be->mem_flush(s.a, 0, 16), MF_EUNAVAILABLE);
    r.be->health(r.dev, &h);
    MF_CHECK_INT(h.state, MF_NPU_LOST);
    assert_non_null(strstr(h.last.text, "did not answer flush in time"));
    MF_CHECK(rig_await_ready(&r));
    MF_CHECK_OK(r.be->mem_flush(s.a, 0, 16));
    rig_put_slot(&r, &s);
    rig_close(&r);
}

MF_TEST(npu_lost, replaces_a_worker_whose_device_hangs)
{
    struct npu_slot s;
    struct npu_rig r;

    rig_worker_is("hang"); /* at the second job; the first is the canary's */
    rig_open(&r, rig_remote());
    rig_slot(&r, &s);
    rig_worker_is("twin");
    while (rig_run(&r, &s, 1, 200) == 0) {
    }
    MF_CHECK(rig_await_ready(&r));
    MF_CHECK_OK(rig_run(&r, &s, 2, 60000));
    MF_CHECK(rig_is_right(&r, &s, 2));
    rig_put_slot(&r, &s);
    rig_close(&r);
}

MF_TEST(npu_lost, is_not_ready_with_a_worker_that_computes_wrong_numbers)
{
    struct mf_npu_health h;
    struct npu_slot s;
    struct npu_rig r;

    rig_worker_is("twin");
    rig_open(&r, rig_remote());
    rig_slot(&r, &s);
    rig_worker_is("wrong");
    MF_CHECK_OK(kill(mf_npu_remote_pid(r.dev), SIGKILL));
    do {
        rig_nap_ms(1);
        r.be->health(r.dev, &h);
        MF_CHECK(h.state != MF_NPU_READY || h.last.code == 0);
    } while (h.last.code != MF_ECORRUPT);
    MF_CHECK_INT(rig_run(&r, &s, 1, 60000), MF_EUNAVAILABLE);
    rig_worker_is("twin");
    MF_CHECK(rig_await_ready(&r));
    MF_CHECK_OK(rig_run(&r, &s, 1, 60000));
    MF_CHECK(rig_is_right(&r, &s, 1));
    rig_put_slot(&r, &s);
    rig_close(&r);
}

MF_TEST(npu_lost, does_not_give_a_weight_to_a_worker_that_another_one_wrote_over)
{
    struct mf_npu_health h;
    struct npu_slot s;
    struct npu_rig r;

    rig_worker_is("twin");
    rig_open(&r, rig_remote());
    rig_slot(&r, &s);
    rig_worker_is("scribble");
    MF_CHECK_OK(kill(mf_npu_remote_pid(r.dev), SIGKILL));
    do {
        rig_nap_ms(1);
        r.be->health(r.dev, &h);
    } while (strstr(h.last.text, "exit code 3") == NULL);
    rig_worker_is("twin");
    do {
        rig_nap_ms(1);
        r.be->health(r.dev, &h);
        MF_CHECK_INT(h.state, MF_NPU_LOST);
    } while (h.last.code != MF_ECORRUPT);
    assert_non_null(strstr(h.last.text, "written over a packed weight"));
    MF_CHECK_INT(rig_run(&r, &s, 1, 60000), MF_EUNAVAILABLE);
    rig_put_slot(&r, &s);
    rig_close(&r);
}

MF_TEST(npu_lost, hands_a_failed_job_on_and_keeps_the_worker)
{
    struct mf_npu_health h;
    struct mf_npu_stats st;
    struct npu_slot s;
    struct npu_rig r;

    rig_worker_is("fail");
    rig_open(&r, rig_remote());
    rig_slot(&r, &s);
    MF_CHECK_INT(rig_run(&r, &s, 1, 60000), MF_EBACKEND);
    r.be->health(r.dev, &h);
    MF_CHECK_INT(h.state, MF_NPU_DEGRADED);
    r.be->stats(r.dev, &st);
    MF_CHECK(st.jobs_failed == 1 && st.reopens == 0);
    rig_put_slot(&r, &s);
    rig_close(&r);
    rig_worker_is("twin");
}

/* ---- workers that are none ---- */

MF_TEST(npu_lost, says_why_the_first_worker_could_not_be_used)
{
    struct mf_npu_remote_conf conf = {.inner = "twin", .program = "/no/such/program"};
    const struct mf_npu_conf npu = {.dir = "/no/such/folder"};
    int before = rig_count_fds(0);
    struct mf_npu_caps caps;
    struct mf_npu_err err;
    struct mf_npu_dev *dev;
    char longer[2000];

    rig_worker_is("exit");
    MF_CHECK_INT(try_open(&err), MF_EUNAVAILABLE);
    assert_non_null(strstr(err.text, "exit code 7"));
    rig_worker_is("twin");
    MF_CHECK_INT(rig_remote()->open(&npu, &dev, &err), MF_ENOTFOUND);
    assert_non_null(strstr(err.text, "/no/such/folder"));
    assert_null(strstr(err.text, "signal")); /* our own */
    MF_CHECK_INT(rig_remote()->probe(&npu, &caps, &err), MF_ENOTFOUND);
    MF_CHECK_INT(mf_npu_remote(&conf)->open(&npu, &dev, &err), MF_EUNAVAILABLE);
    assert_non_null(strstr(err.text, "/no/such/program"));
    conf = (struct mf_npu_remote_conf){.inner = "abacus", .program = NPU_TEST_WORKER};
    MF_CHECK_INT(mf_npu_remote(&conf)->open(&npu, &dev, &err), MF_EINVAL);
    assert_non_null(strstr(err.text, "abacus"));
    memset(longer, 'x', sizeof(longer));
    longer[sizeof(longer) - 1] = '\0';
    const struct mf_npu_conf far = {.dir = longer};
    MF_CHECK_INT(rig_remote()->open(&far, &dev, &err), MF_EINVAL);
    MF_CHECK_INT(rig_count_fds(0), before);
    MF_CHECK_INT(waitpid(-1, NULL, WNOHANG), -1);
}

MF_TEST(npu_lost, has_no_use_for_a_worker_that_a_person_starts)
{
    int pid = fork(), status;

    if (pid == 0) {
        (void)close(3);
        (void)close(4);
        (void)execl(NPU_TEST_WORKER, "memfuse", "npu-worker", (char *)NULL);
        _exit(9);
    }
    MF_CHECK_INT(waitpid(pid, &status, 0), pid);
    MF_CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 2);
}

MF_TEST(npu_lost, gives_up_on_a_first_worker_that_says_nothing)
{
    static const struct mf_npu_remote_conf conf = {
        .inner = "twin", .program = NPU_TEST_WORKER, .answer_ms = 10};
    const struct mf_npu_conf npu = {0};
    struct mf_npu_dev *dev;
    struct mf_npu_err err;

    rig_worker_is("deaf");
    MF_CHECK_INT(mf_npu_remote(&conf)->open(&npu, &dev, &err), MF_ETIMEOUT);
    assert_non_null(strstr(err.text, "did not answer open in time"));
    rig_worker_is("twin");
}

static size_t read_times(const char *path, long long *at, size_t max)
{
    FILE *f = fopen(path, "re");
    char line[32];
    size_t n = 0;

    while (f != NULL && n < max && fgets(line, sizeof(line), f) != NULL) {
        at[n++] = strtoll(line, NULL, 10);
    }
    if (f != NULL) {
        (void)fclose(f);
    }
    return n;
}

/* The pauses of one that exits at once: each at least half of the doubled one before,
 * up to the limit. Only the shortest possible pause is asked for: sleep is never less.
 */
MF_TEST(npu_lost, waits_longer_and_longer_for_a_worker_that_exits_at_once)
{
    static const long least_ms[] = {2, 4, 8, 16, 32, 32, 32};
    char path[512];
    long long at[16] = {0};
    size_t n = 0;
    struct npu_rig r;

    (void)snprintf(path, sizeof(path), "%s/starts", mf_test_tmpdir());
    rig_worker_is("twin");
    rig_open(&r, rig_remote());
    MF_CHECK_OK(setenv("NPU_TEST_STARTS", path, 1));
    rig_worker_is("exit");
    MF_CHECK_OK(kill(mf_npu_remote_pid(r.dev), SIGKILL));
    while (n < mf_countof(least_ms) + 1) {
        rig_nap_ms(5);
        n = read_times(path, at, mf_countof(at));
    }
    for (size_t i = 0; i + 1 < mf_countof(least_ms); i++) {
        /* The first start comes after the first pause; times are cut to ms. */
        MF_CHECK(at[i + 1] - at[i] >= least_ms[i + 1] - 1);
    }
    MF_CHECK_OK(unsetenv("NPU_TEST_STARTS"));
    rig_worker_is("twin");
    MF_CHECK(rig_await_ready(&r));
    rig_close(&r);
}

MF_TEST(npu_lost, can_be_closed_while_there_is_no_worker)
{
    struct npu_slot s;
    struct npu_rig r;

    rig_worker_is("twin");
    rig_open(&r, rig_remote());
    rig_slot(&r, &s);
    rig_worker_is("exit");
    MF_CHECK_OK(kill(mf_npu_remote_pid(r.dev), SIGKILL));
    await_lost(&r);
    MF_CHECK_INT(rig_run(&r, &s, 1, 1000), MF_EUNAVAILABLE);
    MF_CHECK_INT(r.be->mem_inval(s.a, 0, 1), MF_EUNAVAILABLE);
    rig_put_slot(&r, &s);
    rig_close(&r);
    rig_worker_is("twin");
}

/* A device whose worker says yes and computes nothing, until it is asked for a job. */
static void run_fault(const char *mode)
{
    struct mf_npu_job *job = NULL;
    struct mf_npu_health h;
    struct mf_npu_err err;
    struct npu_slot s;
    struct npu_rig r;
    int rc;

    rig_worker_is(mode);
    rig_open(&r, rig_remote());
    rig_slot(&r, &s);
    MF_CHECK_OK(rig_submit(&r, &s, 60000, &job, &err));
    rc = r.be->wait(job, &err);
    /* The first of two answers is a good one. */
    MF_CHECK(rc == MF_EUNAVAILABLE || (rc == 0 && strcmp(mode, "fault:11") == 0));
    rig_worker_is("twin");
    r.be->job_put(job);
    do {
        r.be->health(r.dev, &h);
    } while (h.state != MF_NPU_LOST && h.last.code == 0);
    MF_CHECK(h.last.text[0] != '\0');
    MF_CHECK(rig_await_ready(&r));
    rig_put_slot(&r, &s);
    rig_close(&r);
}

MF_TEST(npu_lost, ends_a_worker_that_sends_what_is_no_answer)
{
    char mode[32];

    for (int i = 0; i < NPU_TEST_FAULTS; i++) {
        (void)snprintf(mode, sizeof(mode), "fault:%d", i);
        run_fault(mode);
    }
}

MF_TEST(npu_lost, returns_every_block_when_memory_fails_at_any_point_of_the_opening)
{
    int before = rig_count_fds(0);
    struct mf_npu_err err;

    rig_worker_is("twin");
    for (size_t i = 1; i < 100; i++) {
        size_t live = mf_test_live_blocks();
        int rc;

        mf_test_fail_nth(i);
        rc = try_open(&err);
        mf_test_fail_nth(0);
        MF_CHECK(rc == 0 || rc == MF_ENOMEM);
        MF_CHECK_INT(mf_test_live_blocks(), live);
        MF_CHECK_INT(rig_count_fds(0), before);
        if (!mf_test_has_failed()) {
            return;
        }
    }
    fail();
}
