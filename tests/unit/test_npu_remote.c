/* SPDX-License-Identifier: Apache-2.0 */
/* The device in a helper process, against the same in this one, and what becomes of
 * callers when the helper fails in each way it can. */
#include "lib/mf_test.h"
#include "lib/npu_rig.h"
#include "lib/npu_test_worker.h"

#include "base/err.h"
#include "npu/pack.h"
#include "npu/remote.h"
#include "npu/twin.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const struct mf_npu_backend *remote(void)
{
    static const struct mf_npu_remote_conf conf = {.inner = "twin",
                                                   .program = NPU_TEST_WORKER,
                                                   .first_backoff_ms = 4,
                                                   .max_backoff_ms = 64,
                                                   .answer_ms = 2000};

    return mf_npu_remote(&conf);
}

static void worker_is(const char *mode)
{
    MF_CHECK_OK(setenv("NPU_TEST_WORKER", mode, 1));
}

static void nap_ms(long ms)
{
    const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    (void)nanosleep(&t, NULL);
}

static int try_open(struct mf_npu_err *err)
{
    const struct mf_npu_conf conf = {.queue_depth = 4};
    struct mf_npu_dev *dev;
    int rc = remote()->open(&conf, &dev, err);

    if (rc == 0) {
        remote()->close(dev);
    }
    return rc;
}

/* Signals the worker, and waits until the device has seen it. */
static void await_lost(struct npu_rig *r)
{
    struct mf_npu_health h;

    do {
        nap_ms(1);
        r->be->health(r->dev, &h);
    } while (h.state != MF_NPU_LOST);
}

/* ---- the same as in this process ---- */

#define MANY_ROWS 77U

static const struct mf_npu_gemm gelu = {.m = 256,
                                        .k = 512,
                                        .n = 128,
                                        .a = MF_NPU_BF16,
                                        .b = MF_NPU_BF16,
                                        .epi = MF_NPU_EPI_GELU};

/* Two runs in a job, one with an offset on both sides; everything that came of them. */
static void compute(const struct mf_npu_backend *be, float *out, size_t n)
{
    struct mf_npu_mem *weight, *a, *c;
    struct mf_npu_plan *plan;
    struct npu_rig r;
    struct mf_npu_job *job;
    struct mf_npu_err err;
    float *w = malloc(sizeof(float) * gelu.k * gelu.n);
    uint16_t *rows;

    rig_open(&r, be);
    for (size_t i = 0; i < (size_t)gelu.k * gelu.n; i++) {
        w[i] = (float)((i * 37) % 101) / 1000.0F - 0.05F;
    }
    MF_CHECK_OK(be->plan(r.dev, &gelu, &plan, &err));
    MF_CHECK_OK(be->weight_pack(r.dev, &gelu, w, gelu.n, &weight, &err));
    MF_CHECK_OK(be->mem_new(r.dev, MF_NPU_MEM_IN, 2 * 256 * 512 * 2, &a, &err));
    MF_CHECK_OK(be->mem_new(r.dev, MF_NPU_MEM_OUT, n * sizeof(float), &c, &err));
    rows = be->mem_map(a);
    for (size_t i = 0; i < 2UL * 256 * 512; i++) {
        rows[i] = mf_npu_bf16((float)((i * 13) % 89) / 50.0F - 0.8F);
    }
    memset(be->mem_map(c), 0, n * sizeof(float));
    MF_CHECK_OK(be->mem_flush(c, 0, n * sizeof(float)));
    const struct mf_npu_op ops[] = {
        {.plan = r.plan, .a = a, .w = r.weight, .c = c, .rows = 256},
        {.plan = plan,
         .a = a,
         .w = weight,
         .c = c,
         .a_at = 256UL * 512 * 2,
         .c_at = 256UL * 64 * 4,
         .rows = MANY_ROWS}};

    MF_CHECK_OK(be->submit(r.dev, ops, 2, rig_now_ns() + 60000000000, &job, &err));
    MF_CHECK_OK(be->wait(job, &err));
    be->job_put(job);
    memcpy(out, be->mem_map(c), n * sizeof(float));
    be->mem_put(a);
    be->mem_put(c);
    be->mem_put(weight);
    rig_close(&r);
    free(w);
}

MF_TEST(npu_remote, computes_bit_by_bit_what_the_twin_computes_in_this_process)
{
    size_t n = 256 * 64 + 256 * 128;
    float *here = malloc(n * sizeof(float)), *there = malloc(n * sizeof(float));

    worker_is("twin");
    compute(mf_npu_twin(), here, n);
    compute(remote(), there, n);
    MF_CHECK_MEM(here, there, n * sizeof(float));
    MF_CHECK(here[256 * 64 + 5] != 0.0F);
    /* Rows that were not used are not written. */
    MF_CHECK(here[256 * 64 + (size_t)MANY_ROWS * 128] == 0.0F);
    free(here);
    free(there);
}

MF_TEST(npu_remote, syncs_and_keeps_memories_as_the_twin_does)
{
    const struct mf_npu_backend *both[] = {mf_npu_twin(), remote()};

    worker_is("twin");
    for (size_t i = 0; i < 2; i++) {
        struct mf_npu_mem *mem = NULL;
        struct mf_npu_err err;
        struct npu_rig r;
        uint8_t *p;

        rig_open(&r, both[i]);
        MF_CHECK_INT(r.be->mem_new(r.dev, MF_NPU_MEM_IN, 0, &mem, &err), MF_EINVAL);
        MF_CHECK_OK(r.be->mem_new(r.dev, MF_NPU_MEM_IN, 10000, &mem, &err));
        p = r.be->mem_map(mem);
        memset(p, 1, 10000);
        MF_CHECK_OK(r.be->mem_flush(mem, 100, 50));
        memset(p, 2, 10000);
        MF_CHECK_OK(r.be->mem_inval(mem, 100, 50));
        MF_CHECK(p[99] == 2 && p[100] == 1 && p[149] == 1 && p[150] == 2);
        MF_CHECK_INT(r.be->mem_flush(mem, 9999, 2), MF_EINVAL);
        MF_CHECK_INT(r.be->mem_inval(mem, 10001, 0), MF_EINVAL);
        MF_CHECK_INT(r.be->mem_inval(mem, 1, SIZE_MAX), MF_EINVAL);
        r.be->mem_put(mem);
        rig_close(&r);
    }
}

MF_TEST(npu_remote, says_of_its_device_what_the_twin_says_of_itself)
{
    const struct mf_npu_conf conf = {.queue_depth = 3};
    struct mf_npu_caps here, there;
    struct mf_npu_health h;
    struct mf_npu_err err;
    struct npu_rig r;

    worker_is("twin");
    MF_CHECK_OK(mf_npu_twin()->probe(&conf, &here, &err));
    MF_CHECK_OK(remote()->probe(&conf, &there, &err));
    MF_CHECK_STR(here.backend, there.backend);
    MF_CHECK_STR(here.device, there.device);
    MF_CHECK(there.simulated && there.queue_depth == 3 && there.m_max == here.m_max);
    MF_CHECK(there.m_mult == here.m_mult && there.k_mult == here.k_mult &&
             there.n_mult == here.n_mult && there.dtype_mask == here.dtype_mask);
    rig_open(&r, remote());
    MF_CHECK_OK(r.be->verify(r.dev, &h));
    MF_CHECK(h.state == MF_NPU_READY && h.last_cosine > 0.9999);
    r.be->caps(r.dev, &there);
    MF_CHECK(there.verified);
    rig_close(&r);
}

MF_TEST(npu_remote, refuses_what_does_not_fit_as_the_twin_does)
{
    const struct mf_npu_backend *both[] = {mf_npu_twin(), remote()};

    worker_is("twin");
    for (size_t i = 0; i < 2; i++) {
        struct mf_npu_gemm odd = {.m = 256, .k = 511, .n = 64, .a = 1, .b = 1};
        struct mf_npu_plan *plan;
        struct mf_npu_job *job;
        struct mf_npu_err err = {0};
        struct npu_slot s;
        struct npu_rig r;

        rig_open(&r, both[i]);
        rig_slot(&r, &s);
        MF_CHECK_INT(r.be->plan(r.dev, &odd, &plan, &err), MF_EUNPROCESSABLE);
        MF_CHECK(err.text[0] != '\0');
        struct mf_npu_op good = {
            .plan = r.plan, .a = s.a, .w = r.weight, .c = s.c, .rows = 256};
        struct mf_npu_op bad[] = {good, good, good, good, good};
        bad[0].rows = 257;
        bad[1].rows = 0;
        bad[2].a_at = 2;
        bad[3].c_at = 4;
        bad[4].plan = NULL;
        for (size_t k = 0; k < mf_countof(bad); k++) {
            MF_CHECK_INT(r.be->submit(r.dev, &bad[k], 1, INT64_MAX, &job, &err),
                         MF_EINVAL);
        }
        MF_CHECK_INT(r.be->submit(r.dev, &good, 0, INT64_MAX, &job, &err), MF_EINVAL);
        MF_CHECK_OK(rig_run(&r, &s, 1, 60000));
        MF_CHECK(rig_is_right(&r, &s, 1));
        rig_put_slot(&r, &s);
        rig_close(&r);
    }
}

MF_TEST(npu_remote, answers_that_the_line_is_full_and_takes_jobs_out_of_it)
{
    struct mf_npu_job *job[4], *more;
    struct mf_npu_stats st;
    struct mf_npu_err err;
    struct npu_slot s[4];
    struct npu_rig r;

    worker_is("slow");
    rig_open(&r, remote());
    for (unsigned i = 0; i < 4; i++) {
        rig_slot(&r, &s[i]);
        rig_fill(&r, &s[i], i);
        MF_CHECK_OK(rig_submit(&r, &s[i], 60000, &job[i], &err));
    }
    MF_CHECK_INT(rig_submit(&r, &s[0], 60000, &more, &err), MF_EBUSY);
    MF_CHECK_OK(r.be->cancel(job[3]));
    MF_CHECK_OK(r.be->cancel(job[3]));
    MF_CHECK_INT(r.be->wait(job[3], &err), MF_ECANCELED);
    for (unsigned i = 0; i < 3; i++) {
        MF_CHECK_OK(r.be->wait(job[i], &err));
        MF_CHECK(rig_is_right(&r, &s[i], i));
    }
    MF_CHECK_OK(r.be->cancel(job[0])); /* too late: it stays as it ended */
    MF_CHECK_OK(r.be->wait(job[0], &err));
    for (unsigned i = 0; i < 4; i++) {
        r.be->job_put(job[i]);
        rig_put_slot(&r, &s[i]);
    }
    MF_CHECK_OK(setenv("NPU_TEST_WORKER", "twin", 1));
    do { /* the canceled one is answered after the others */
        r.be->stats(r.dev, &st);
    } while (st.in_flight > 0);
    MF_CHECK(st.jobs_ok == 3 && st.jobs_canceled == 1 && st.ops == 4);
    rig_close(&r);
}

MF_TEST(npu_remote, gives_places_and_numbers_of_memories_back)
{
    struct npu_slot s;
    struct npu_rig r;

    worker_is("twin");
    rig_open(&r, remote());
    for (unsigned i = 0; i < 3000; i++) { /* of 4096 numbers, two each time */
        rig_slot(&r, &s);
        rig_put_slot(&r, &s);
    }
    rig_slot(&r, &s);
    MF_CHECK_OK(rig_run(&r, &s, 3, 60000));
    MF_CHECK(rig_is_right(&r, &s, 3));
    rig_put_slot(&r, &s);
    rig_close(&r);
}

/* ---- the worker's files, and its end ---- */

MF_TEST(npu_remote, leaves_nothing_behind_and_gives_the_worker_only_its_files)
{
    int before = rig_count_fds(0), pid;
    struct npu_rig r;

    worker_is("twin");
    rig_open(&r, remote());
    pid = mf_npu_remote_pid(r.dev);
    MF_CHECK(pid > 0);
    MF_CHECK_INT(rig_count_fds(pid), 5); /* 0, 1, 2, the socket, the memory */
    MF_CHECK_INT(rig_count_fds(0), before + 3);
    rig_close(&r);
    MF_CHECK_INT(rig_count_fds(0), before);
    MF_CHECK_INT(waitpid(-1, NULL, WNOHANG), -1); /* no child is left, dead or alive */
    MF_CHECK_INT(kill(pid, 0), -1);
}

MF_TEST(npu_remote, takes_the_worker_along_when_the_service_is_killed)
{
    char line[32] = {0}, path[64], stat[256];
    int out[2], fd, pid, status;

    worker_is("twin");
    MF_CHECK_OK(pipe(out));
    pid = fork();
    if (pid == 0) {
        (void)dup2(out[1], 1);
        (void)execl(NPU_TEST_WORKER, "npu_test_worker", "parent", NPU_TEST_WORKER,
                    (char *)NULL);
        _exit(9);
    }
    MF_CHECK(read(out[0], line, sizeof(line) - 1) > 0);
    MF_CHECK_OK(kill(pid, SIGKILL));
    MF_CHECK_INT(waitpid(pid, &status, 0), pid);
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", atoi(line));
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
        nap_ms(1);
    }
    (void)close(out[0]);
    (void)close(out[1]);
}

MF_TEST(npu_remote, starts_another_one_that_knows_everything_when_one_is_killed)
{
    struct mf_npu_health h;
    struct mf_npu_stats st;
    struct npu_slot s;
    struct npu_rig r;
    int pid;

    worker_is("twin");
    rig_open(&r, remote());
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
    MF_CHECK(st.reopens == 3 && st.verify_runs == 4 && st.in_flight == 0);
    rig_put_slot(&r, &s);
    rig_close(&r);
}

MF_TEST(npu_remote, ends_jobs_of_a_killed_worker_at_once)
{
    struct mf_npu_job *job[3];
    struct mf_npu_err err;
    struct npu_slot s;
    struct npu_rig r;

    worker_is("slow");
    rig_open(&r, remote());
    rig_slot(&r, &s);
    for (size_t i = 0; i < 3; i++) {
        MF_CHECK_OK(rig_submit(&r, &s, 3600000, &job[i], &err));
    }
    MF_CHECK_OK(kill(mf_npu_remote_pid(r.dev), SIGKILL));
    for (size_t i = 0; i < 3; i++) {
        MF_CHECK_INT(r.be->wait(job[i], &err), MF_EUNAVAILABLE);
        r.be->job_put(job[i]);
    }
    worker_is("twin");
    rig_put_slot(&r, &s);
    rig_close(&r);
}

MF_TEST(npu_remote, does_not_wait_longer_than_the_deadline_for_a_stopped_worker)
{
    struct mf_npu_job *job;
    struct mf_npu_health h;
    struct mf_npu_stats st;
    struct mf_npu_err err;
    struct npu_slot s;
    struct npu_rig r;

    worker_is("twin");
    rig_open(&r, remote());
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

MF_TEST(npu_remote, takes_a_worker_that_leaves_a_request_unanswered_for_dead)
{
    struct mf_npu_health h;
    struct npu_slot s;
    struct npu_rig r;

    worker_is("twin");
    rig_open(&r, remote());
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

MF_TEST(npu_remote, replaces_a_worker_whose_device_hangs)
{
    struct npu_slot s;
    struct npu_rig r;

    worker_is("hang"); /* at the second job; the first is the canary's */
    rig_open(&r, remote());
    rig_slot(&r, &s);
    worker_is("twin");
    while (rig_run(&r, &s, 1, 200) == 0) {
    }
    MF_CHECK(rig_await_ready(&r));
    MF_CHECK_OK(rig_run(&r, &s, 2, 60000));
    MF_CHECK(rig_is_right(&r, &s, 2));
    rig_put_slot(&r, &s);
    rig_close(&r);
}

MF_TEST(npu_remote, is_not_ready_with_a_worker_that_computes_wrong_numbers)
{
    struct mf_npu_health h;
    struct npu_slot s;
    struct npu_rig r;

    worker_is("twin");
    rig_open(&r, remote());
    rig_slot(&r, &s);
    worker_is("wrong");
    MF_CHECK_OK(kill(mf_npu_remote_pid(r.dev), SIGKILL));
    do {
        nap_ms(1);
        r.be->health(r.dev, &h);
        MF_CHECK(h.state != MF_NPU_READY || h.last.code == 0);
    } while (h.last.code != MF_ECORRUPT);
    MF_CHECK_INT(rig_run(&r, &s, 1, 60000), MF_EUNAVAILABLE);
    worker_is("twin");
    MF_CHECK(rig_await_ready(&r));
    MF_CHECK_OK(rig_run(&r, &s, 1, 60000));
    MF_CHECK(rig_is_right(&r, &s, 1));
    rig_put_slot(&r, &s);
    rig_close(&r);
}

MF_TEST(npu_remote, hands_a_failed_job_on_and_keeps_the_worker)
{
    struct mf_npu_health h;
    struct mf_npu_stats st;
    struct npu_slot s;
    struct npu_rig r;

    worker_is("fail");
    rig_open(&r, remote());
    rig_slot(&r, &s);
    MF_CHECK_INT(rig_run(&r, &s, 1, 60000), MF_EBACKEND);
    r.be->health(r.dev, &h);
    MF_CHECK_INT(h.state, MF_NPU_DEGRADED);
    r.be->stats(r.dev, &st);
    MF_CHECK(st.jobs_failed == 1 && st.reopens == 0);
    rig_put_slot(&r, &s);
    rig_close(&r);
    worker_is("twin");
}

/* ---- workers that are none ---- */

MF_TEST(npu_remote, says_why_the_first_worker_could_not_be_used)
{
    struct mf_npu_remote_conf conf = {.inner = "twin", .program = "/no/such/program"};
    const struct mf_npu_conf npu = {.dir = "/no/such/folder"};
    int before = rig_count_fds(0);
    struct mf_npu_caps caps;
    struct mf_npu_err err;
    struct mf_npu_dev *dev;
    char longer[2000];

    worker_is("exit");
    MF_CHECK_INT(try_open(&err), MF_EUNAVAILABLE);
    assert_non_null(strstr(err.text, "exit code 7"));
    worker_is("twin");
    MF_CHECK_INT(remote()->open(&npu, &dev, &err), MF_ENOTFOUND);
    assert_non_null(strstr(err.text, "/no/such/folder"));
    MF_CHECK_INT(remote()->probe(&npu, &caps, &err), MF_ENOTFOUND);
    MF_CHECK_INT(mf_npu_remote(&conf)->open(&npu, &dev, &err), MF_EUNAVAILABLE);
    assert_non_null(strstr(err.text, "/no/such/program"));
    conf = (struct mf_npu_remote_conf){.inner = "abacus", .program = NPU_TEST_WORKER};
    MF_CHECK_INT(mf_npu_remote(&conf)->open(&npu, &dev, &err), MF_EINVAL);
    assert_non_null(strstr(err.text, "abacus"));
    memset(longer, 'x', sizeof(longer));
    longer[sizeof(longer) - 1] = '\0';
    const struct mf_npu_conf far = {.dir = longer};
    MF_CHECK_INT(remote()->open(&far, &dev, &err), MF_EINVAL);
    MF_CHECK_INT(rig_count_fds(0), before);
    MF_CHECK_INT(waitpid(-1, NULL, WNOHANG), -1);
}

MF_TEST(npu_remote, gives_up_on_a_first_worker_that_says_nothing)
{
    static const struct mf_npu_remote_conf conf = {
        .inner = "twin", .program = NPU_TEST_WORKER, .answer_ms = 10};
    const struct mf_npu_conf npu = {0};
    struct mf_npu_dev *dev;
    struct mf_npu_err err;

    worker_is("deaf");
    MF_CHECK_INT(mf_npu_remote(&conf)->open(&npu, &dev, &err), MF_ETIMEOUT);
    assert_non_null(strstr(err.text, "did not answer open in time"));
    worker_is("twin");
}

/* The pauses of one that exits at once: each at least half of the doubled one before,
 * up to the limit. Only the shortest possible pause is asked for: sleep is never less.
 */
MF_TEST(npu_remote, waits_longer_and_longer_for_a_worker_that_exits_at_once)
{
    static const long least_ms[] = {2, 4, 8, 16, 32, 32, 32};
    char path[512];
    long long at[16] = {0};
    size_t n = 0;
    struct npu_rig r;
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s/starts", mf_test_tmpdir());
    worker_is("twin");
    rig_open(&r, remote());
    MF_CHECK_OK(setenv("NPU_TEST_STARTS", path, 1));
    worker_is("exit");
    MF_CHECK_OK(kill(mf_npu_remote_pid(r.dev), SIGKILL));
    while (n < mf_countof(least_ms) + 1) {
        nap_ms(5);
        f = fopen(path, "re");
        for (n = 0; f != NULL && n < 16 && fscanf(f, "%lld", &at[n]) == 1; n++) {
        }
        if (f != NULL) {
            (void)fclose(f);
        }
    }
    for (size_t i = 0; i + 1 < mf_countof(least_ms); i++) {
        /* The first start comes after the first pause; times are cut to ms. */
        MF_CHECK(at[i + 1] - at[i] >= least_ms[i + 1] - 1);
    }
    MF_CHECK_OK(unsetenv("NPU_TEST_STARTS"));
    worker_is("twin");
    MF_CHECK(rig_await_ready(&r));
    rig_close(&r);
}

MF_TEST(npu_remote, can_be_closed_while_there_is_no_worker)
{
    struct npu_slot s;
    struct npu_rig r;

    worker_is("twin");
    rig_open(&r, remote());
    rig_slot(&r, &s);
    worker_is("exit");
    MF_CHECK_OK(kill(mf_npu_remote_pid(r.dev), SIGKILL));
    await_lost(&r);
    MF_CHECK_INT(rig_run(&r, &s, 1, 1000), MF_EUNAVAILABLE);
    MF_CHECK_INT(r.be->mem_inval(s.a, 0, 1), MF_EUNAVAILABLE);
    rig_put_slot(&r, &s);
    rig_close(&r);
    worker_is("twin");
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

    worker_is(mode);
    rig_open(&r, remote());
    rig_slot(&r, &s);
    MF_CHECK_OK(rig_submit(&r, &s, 60000, &job, &err));
    rc = r.be->wait(job, &err);
    /* The first of two answers is a good one. */
    MF_CHECK(rc == MF_EUNAVAILABLE || (rc == 0 && strcmp(mode, "fault:11") == 0));
    worker_is("twin");
    r.be->job_put(job);
    do {
        r.be->health(r.dev, &h);
    } while (h.state != MF_NPU_LOST && h.last.code == 0);
    MF_CHECK(h.last.text[0] != '\0');
    MF_CHECK(rig_await_ready(&r));
    rig_put_slot(&r, &s);
    rig_close(&r);
}

MF_TEST(npu_remote, ends_a_worker_that_sends_what_is_no_answer)
{
    char mode[32];

    for (int i = 0; i < NPU_TEST_FAULTS; i++) {
        (void)snprintf(mode, sizeof(mode), "fault:%d", i);
        run_fault(mode);
    }
}

MF_TEST(npu_remote, returns_every_block_when_memory_fails_at_any_point_of_the_opening)
{
    int before = rig_count_fds(0);
    struct mf_npu_err err;

    worker_is("twin");
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
