/* SPDX-License-Identifier: Apache-2.0 */
/* A program of its own: the pool of a process is sized once. */
#include "base/log.h"
#include "lib/mf_test.h"
#include "loop/loop.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define N_THREADS 6

static char last_line[512];
static pthread_barrier_t all_run;

static void keep_line(MF_UNUSED enum mf_log_level level, const char *line, size_t n,
                      MF_UNUSED void *arg)
{
    (void)snprintf(last_line, sizeof(last_line), "%.*s", (int)n, line);
}

MF_WORKER static void work_meet_all(MF_UNUSED uv_work_t *req)
{
    int rc = pthread_barrier_wait(&all_run);

    MF_ASSERT(rc == 0 || rc == PTHREAD_BARRIER_SERIAL_THREAD);
}

static void on_met(uv_work_t *req, int status)
{
    bool *has_met = req->data;

    MF_ASSERT(status == 0);
    *has_met = true;
}

MF_TEST(loop_pool, refuses_a_size_libuv_would_cut_and_names_the_key)
{
    struct mf_loop_config cfg = {.pool_threads = 1025};
    struct mf_err err = {0};
    struct mf_loop *l = NULL;

    MF_CHECK_INT(mf_loop_open(&l, &cfg, &err), MF_EINVAL);
    MF_CHECK(strstr(err.msg, "pool_threads is 1025, the limit is 1024"));
}

MF_TEST(loop_pool, has_the_threads_the_first_loop_asked_for)
{
    struct mf_loop_config cfg = {.pool_threads = N_THREADS};
    struct mf_loop *l = NULL;
    uv_work_t reqs[N_THREADS];
    bool has_met[N_THREADS] = {false};

    MF_CHECK_OK(mf_loop_open(&l, &cfg, NULL));
    mf_loop_assert(l);
    MF_CHECK_INT(mf_loop_pool_threads(l), N_THREADS);
    MF_CHECK_OK(pthread_barrier_init(&all_run, NULL, N_THREADS));
    for (size_t i = 0; i < N_THREADS; i++) {
        reqs[i].data = &has_met[i];
        MF_CHECK_OK(uv_queue_work(mf_loop_uv(l), &reqs[i], work_meet_all, on_met));
    }
    for (size_t i = 0; i < N_THREADS; i++) {
        MF_CHECK(mf_loop_run_until(l, &has_met[i], 60000));
    }
    MF_CHECK_OK(pthread_barrier_destroy(&all_run));
    MF_CHECK_OK(mf_loop_close(l));
}

MF_TEST(loop_pool, tells_a_later_loop_the_size_that_stands)
{
    struct mf_loop_config first = {.pool_threads = N_THREADS};
    struct mf_loop_config other = {.pool_threads = 3};
    struct mf_loop *l = NULL;

    MF_CHECK_OK(mf_loop_open(&l, &first, NULL));
    MF_CHECK_OK(mf_loop_close(l));
    mf_log_set_sink(keep_line, NULL);
    MF_CHECK_OK(mf_loop_open(&l, &other, NULL));
    mf_log_set_sink(NULL, NULL);
    MF_CHECK_INT(mf_loop_pool_threads(l), N_THREADS);
    MF_CHECK(strstr(last_line, "loop_pool_fixed wanted=3 threads=6"));
    MF_CHECK_OK(mf_loop_close(l));
}
