/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker is killed and stopped at random moments while several threads compute:
 * every job ends, none with wrong numbers, and everything is there again afterwards.
 * MF_NPU_KILLS: how often; 15 unless it is set.
 */
#include "lib/mf_test.h"
#include "lib/npu_rig.h"

#include "base/err.h"
#include "base/id.h"
#include "npu/remote.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

#define N_THREADS 4

struct storm {
    struct npu_rig rig;
    atomic_bool is_over;
    atomic_ulong n_ok, n_lost, n_late, n_busy, n_canceled, n_other, n_wrong, n_mems;
};

struct runner {
    struct storm *storm;
    pthread_t thread;
    struct npu_slot slot;
    unsigned seed;
};

static void count(struct storm *s, int rc)
{
    switch (rc) {
    case 0: atomic_fetch_add(&s->n_ok, 1); return;
    case MF_EUNAVAILABLE: atomic_fetch_add(&s->n_lost, 1); return;
    case MF_ETIMEOUT: atomic_fetch_add(&s->n_late, 1); return;
    case MF_EBUSY: atomic_fetch_add(&s->n_busy, 1); return;
    default:
        atomic_fetch_add(&s->n_other, 1);
        (void)fprintf(stderr, "a job ended with %s\n", mf_code_name(rc));
    }
}

static void use_a_memory(struct storm *s)
{
    struct mf_npu_mem *mem;
    struct mf_npu_err err;

    if (s->rig.be->mem_new(s->rig.dev, MF_NPU_MEM_IN, 5000, &mem, &err) == 0) {
        (void)s->rig.be->mem_flush(mem, 0, 100);
        s->rig.be->mem_put(mem);
        atomic_fetch_add(&s->n_mems, 1);
    }
}

static void cancel_one(struct runner *r)
{
    struct npu_rig *rig = &r->storm->rig;
    struct mf_npu_job *job;
    struct mf_npu_err err;

    if (rig_submit(rig, &r->slot, 2000, &job, &err) == 0) {
        (void)rig->be->cancel(job);
        (void)rig->be->wait(job, &err);
        rig->be->job_put(job);
        atomic_fetch_add(&r->storm->n_canceled, 1);
    }
}

static void *run(void *arg)
{
    struct runner *r = arg;
    struct storm *s = r->storm;
    const struct timespec nap = {.tv_nsec = 500000};

    while (!atomic_load(&s->is_over)) {
        int rc = rig_run(&s->rig, &r->slot, ++r->seed, 1500);

        count(s, rc);
        if (rc == 0 && !rig_is_right(&s->rig, &r->slot, r->seed)) {
            atomic_fetch_add(&s->n_wrong, 1);
        }
        if (r->seed % 8 == 0) {
            use_a_memory(s);
        }
        if (r->seed % 32 == 0) {
            cancel_one(r);
        }
        if (rc < 0) {
            (void)nanosleep(&nap, NULL); /* the CPU would compute it now */
        }
    }
    return NULL;
}

/* Until one more job was computed. */
static void await_work(struct storm *s)
{
    unsigned long before = atomic_load(&s->n_ok);
    const struct timespec nap = {.tv_nsec = 1000000};

    while (atomic_load(&s->n_ok) == before) {
        (void)nanosleep(&nap, NULL);
    }
}

/* Of three: two are killed, one is stopped; at some moment of its life, at times before
 * it is ready. */
static void strike(struct storm *s)
{
    struct timespec t = {0};
    uint32_t dice;
    int pid;

    mf_random(&dice, sizeof(dice));
    t.tv_nsec = (long)(dice % 30000) * 1000;
    if (dice >> 30 != 0) { /* most have come to work */
        await_work(s);
    }
    do {
        (void)nanosleep(&t, NULL);
        pid = mf_npu_remote_pid(s->rig.dev);
    } while (pid == 0);
    (void)kill(pid, dice % 3 == 0 ? SIGSTOP : SIGKILL);
}

static unsigned long n_kills(void)
{
    const char *text = getenv("MF_NPU_KILLS");

    return text != NULL ? strtoul(text, NULL, 10) : 15;
}

static void check_rest(struct storm *s, unsigned long killed)
{
    struct mf_npu_stats st;

    MF_CHECK(rig_await_ready(&s->rig));
    do {
        s->rig.be->stats(s->rig.dev, &st);
    } while (st.in_flight > 0);
    (void)fprintf(
        stderr,
        "%lu strikes: %lu ok, %lu lost, %lu late, %lu busy, %lu canceled, %lu "
        "memories; %llu workers\n",
        killed, atomic_load(&s->n_ok), atomic_load(&s->n_lost), atomic_load(&s->n_late),
        atomic_load(&s->n_busy), atomic_load(&s->n_canceled), atomic_load(&s->n_mems),
        (unsigned long long)st.reopens + 1);
    MF_CHECK_INT(atomic_load(&s->n_wrong), 0);
    MF_CHECK_INT(atomic_load(&s->n_other), 0);
    MF_CHECK(atomic_load(&s->n_ok) > 0 && st.reopens > 0);
    MF_CHECK_INT(st.verify_bad, 0);
}

MF_TEST(npu_kill, ends_every_job_and_none_with_wrong_numbers_when_workers_are_killed)
{
    static const struct mf_npu_remote_conf conf = {.inner = "twin",
                                                   .program = NPU_TEST_WORKER,
                                                   .first_backoff_ms = 2,
                                                   .max_backoff_ms = 10,
                                                   .answer_ms = 1000};
    struct runner runners[N_THREADS] = {0};
    unsigned long kills = n_kills();
    struct storm s = {.n_ok = 0};
    int before = rig_count_fds(0);

    MF_CHECK_OK(setenv("NPU_TEST_WORKER", "twin", 1));
    rig_open(&s.rig, mf_npu_remote(&conf));
    for (unsigned i = 0; i < N_THREADS; i++) {
        runners[i].storm = &s;
        runners[i].seed = i * 1000003U;
        rig_slot(&s.rig, &runners[i].slot);
    }
    for (unsigned i = 0; i < N_THREADS; i++) {
        MF_CHECK_OK(pthread_create(&runners[i].thread, NULL, run, &runners[i]));
    }
    for (unsigned long i = 0; i < kills; i++) {
        strike(&s);
    }
    MF_CHECK(rig_await_ready(&s.rig));
    atomic_store(&s.is_over, true);
    for (unsigned i = 0; i < N_THREADS; i++) {
        MF_CHECK_OK(pthread_join(runners[i].thread, NULL));
    }
    check_rest(&s, kills);
    MF_CHECK_INT(rig_count_fds(0), before + 3);
    for (unsigned i = 0; i < N_THREADS; i++) {
        MF_CHECK_OK(rig_run(&s.rig, &runners[i].slot, i, 60000));
        MF_CHECK(rig_is_right(&s.rig, &runners[i].slot, i));
        rig_put_slot(&s.rig, &runners[i].slot);
    }
    rig_close(&s.rig);
    MF_CHECK_INT(rig_count_fds(0), before);
    MF_CHECK_INT(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
}
