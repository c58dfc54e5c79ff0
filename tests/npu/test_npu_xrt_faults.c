/* SPDX-License-Identifier: Apache-2.0 */
/* What the module makes of a device that fails, lies, is late or never answers. */
#include "lib/mf_test.h"
#include "npu/clock.h"
#include "npu/xrt_kit.h"

#include <pthread.h>
#include <string.h>

#define MAX_ERROR 1e-5
#define SHORT_NS  (SECOND_NS / 4)

static const struct mf_npu_backend *xrt(void)
{
    return kit_backend(KIT_MODULE);
}

static struct mf_npu_stats stats_of(struct mf_npu_dev *dev)
{
    struct mf_npu_stats stats;

    xrt()->stats(dev, &stats);
    return stats;
}

static enum mf_npu_state state_of(struct mf_npu_dev *dev)
{
    struct mf_npu_health health;

    xrt()->health(dev, &health);
    return health.state;
}

static void check_no_open(const char *fault, int rc, const char *sentence)
{
    struct mf_npu_dev *dev = NULL;
    struct mf_npu_err err = {0};

    MF_CHECK_INT(kit_try_open(xrt(), fault, &dev, &err), rc);
    MF_CHECK_PTR(dev, NULL);
    MF_CHECK_INT(err.code, rc);
    if (strstr(err.text, sentence) == NULL) {
        fail_msg("'%s' does not say '%s'", err.text, sentence);
    }
}

MF_TEST(npu_xrt, finds_no_device_and_says_so_in_the_words_of_xrt)
{
    check_no_open("no-device", MF_ENOTFOUND, "XRT: No such device with index '0'");
}

MF_TEST(npu_xrt, does_not_open_when_the_context_is_refused)
{
    check_no_open("refuse-context", MF_EBACKEND, "XRT: ");
}

MF_TEST(npu_xrt, does_not_open_without_a_manifest)
{
    struct mf_npu_conf conf = {.dir = mf_test_tmpdir()};
    struct mf_npu_dev *dev = NULL;
    struct mf_npu_err err = {0};

    MF_CHECK(xrt()->open(&conf, &dev, &err) < 0);
    MF_CHECK(strlen(err.text) > 0);
}

MF_TEST(npu_xrt, has_no_memory_when_the_device_has_none)
{
    struct mf_npu_dev *dev = kit_open(xrt(), MF_NPU_LAYOUT_PLAIN, "no-memory");
    struct mf_npu_mem *mem = NULL;
    struct mf_npu_plan *plan = NULL;
    struct mf_npu_err err = {0};

    MF_CHECK_INT(xrt()->mem_new(dev, MF_NPU_MEM_IN, 64, &mem, &err), MF_ENOMEM);
    MF_CHECK_INT(xrt()->plan(dev, &kit_plain, &plan, &err), MF_ENOMEM);
    xrt()->close(dev);
}

/* The second run ends as `fault` says, the third is right again. */
static void check_one_failure(const char *fault)
{
    struct mf_npu_dev *dev = kit_open(xrt(), MF_NPU_LAYOUT_PLAIN, fault);
    struct mf_npu_err err = {0};
    struct kit_product p;

    kit_product_init(&p, xrt(), dev, &kit_plain);
    MF_CHECK_OK(kit_run(&p, dev, p.g.m, 10 * SECOND_NS, &err));
    MF_CHECK_INT(kit_run(&p, dev, p.g.m, 10 * SECOND_NS, &err), MF_EBACKEND);
    MF_CHECK(strstr(err.text, "XRT: ") == err.text);
    MF_CHECK_INT(state_of(dev), MF_NPU_DEGRADED);
    for (int i = 0; i < 16; i++) {
        MF_CHECK_OK(kit_run(&p, dev, p.g.m, 10 * SECOND_NS, &err));
    }
    MF_CHECK(kit_error(&p, p.g.m) <= MAX_ERROR);
    MF_CHECK_INT(state_of(dev), MF_NPU_READY);
    MF_CHECK_INT(stats_of(dev).jobs_failed, 1);
    MF_CHECK_INT(stats_of(dev).jobs_ok, 17);
    kit_product_fini(&p);
    xrt()->close(dev);
}

MF_TEST(npu_xrt, fails_a_job_in_error_and_goes_on_degraded_for_a_while)
{
    check_one_failure("error@2");
}

MF_TEST(npu_xrt, takes_no_state_but_completed_for_success)
{
    check_one_failure("abort@2");
}

MF_TEST(npu_xrt, fails_a_job_that_is_not_started)
{
    check_one_failure("refuse-start@2");
}

static void check_slow(const char *faults)
{
    struct mf_npu_dev *dev = kit_open(xrt(), MF_NPU_LAYOUT_PLAIN, faults);
    struct mf_npu_err err = {0};
    struct kit_product p;

    kit_product_init(&p, xrt(), dev, &kit_plain);
    MF_CHECK_OK(kit_run(&p, dev, p.g.m, 60 * SECOND_NS, &err));
    MF_CHECK(kit_error(&p, p.g.m) <= MAX_ERROR);
    MF_CHECK_INT(state_of(dev), MF_NPU_READY);
    kit_product_fini(&p);
    xrt()->close(dev);
}

MF_TEST(npu_xrt, waits_on_when_a_timed_wait_throws_while_the_run_goes_on)
{
    check_slow("delay=350");
}

MF_TEST(npu_xrt, waits_on_when_a_timed_wait_returns_while_the_run_goes_on)
{
    check_slow("delay=350,quiet-wait");
}

/* The fake ends the process when such a run is freed. */
static void check_lost(const char *faults)
{
    struct mf_npu_dev *dev = kit_open(xrt(), MF_NPU_LAYOUT_PLAIN, faults);
    struct mf_npu_job *first = NULL, *second = NULL;
    struct mf_npu_mem *mem = NULL;
    struct mf_npu_err err = {0};
    struct kit_product p;

    kit_product_init(&p, xrt(), dev, &kit_plain);
    MF_CHECK_OK(kit_submit(&p, dev, 1, SHORT_NS, &first, &err));
    MF_CHECK_OK(kit_submit(&p, dev, 1, 60 * SECOND_NS, &second, &err));
    MF_CHECK_INT(xrt()->wait(first, &err), MF_ETIMEOUT);
    MF_CHECK_INT(xrt()->wait(second, &err), MF_EUNAVAILABLE);
    MF_CHECK(strstr(err.text, "lost") != NULL);
    xrt()->job_put(first);
    xrt()->job_put(second);
    MF_CHECK_INT(state_of(dev), MF_NPU_LOST);
    MF_CHECK_INT(stats_of(dev).quarantined, 1);
    MF_CHECK_INT(stats_of(dev).jobs_timeout, 1);
    MF_CHECK_INT(kit_run(&p, dev, 1, SECOND_NS, &err), MF_EUNAVAILABLE);
    MF_CHECK_INT(xrt()->mem_new(dev, MF_NPU_MEM_IN, 64, &mem, &err), MF_EUNAVAILABLE);
    kit_product_fini(&p);
    xrt()->close(dev);
}

MF_TEST(npu_xrt, keeps_a_run_that_never_ends_aside_and_is_lost)
{
    check_lost("never");
}

MF_TEST(npu_xrt, is_lost_when_a_call_into_xrt_does_not_return)
{
    check_lost("stuck");
}

MF_TEST(npu_xrt, opens_again_beside_a_device_that_was_lost)
{
    check_lost("never");
    check_slow("");
}

MF_TEST(npu_xrt, lets_a_job_that_is_late_in_line_go_without_blaming_the_device)
{
    struct mf_npu_dev *dev = kit_open(xrt(), MF_NPU_LAYOUT_PLAIN, "delay=600");
    struct mf_npu_job *first = NULL, *second = NULL;
    struct mf_npu_err err = {0};
    struct kit_product p;

    kit_product_init(&p, xrt(), dev, &kit_plain);
    MF_CHECK_OK(kit_submit(&p, dev, 1, 60 * SECOND_NS, &first, &err));
    MF_CHECK_OK(kit_submit(&p, dev, 1, SECOND_NS / 100, &second, &err));
    MF_CHECK_INT(xrt()->wait(second, &err), MF_ETIMEOUT);
    MF_CHECK_OK(xrt()->wait(first, &err));
    xrt()->job_put(first);
    xrt()->job_put(second);
    MF_CHECK_INT(state_of(dev), MF_NPU_READY);
    MF_CHECK_INT(stats_of(dev).quarantined, 0);
    kit_product_fini(&p);
    xrt()->close(dev);
}

MF_TEST(npu_xrt, finds_one_wrong_number_though_the_device_says_completed)
{
    struct mf_npu_dev *dev = kit_open(xrt(), MF_NPU_LAYOUT_PLAIN, "wrong@2");
    struct mf_npu_health health;
    struct mf_npu_caps caps;
    struct mf_npu_err err = {0};
    struct kit_product p;

    kit_product_init(&p, xrt(), dev, &kit_plain);
    MF_CHECK_INT(xrt()->verify(dev, &health), MF_ECORRUPT);
    MF_CHECK_INT(health.state, MF_NPU_LOST);
    MF_CHECK_INT(health.last.code, MF_ECORRUPT);
    xrt()->caps(dev, &caps);
    MF_CHECK(!caps.verified);
    MF_CHECK_INT(stats_of(dev).verify_bad, 1);
    MF_CHECK_INT(kit_run(&p, dev, 1, SECOND_NS, &err), MF_EUNAVAILABLE);
    kit_product_fini(&p);
    xrt()->close(dev);
}

MF_TEST(npu_xrt, closes_while_a_canceled_run_does_not_end)
{
    struct mf_npu_dev *dev = kit_open(xrt(), MF_NPU_LAYOUT_PLAIN, "never");
    struct mf_npu_job *job = NULL;
    struct mf_npu_err err = {0};
    struct kit_product p;

    kit_product_init(&p, xrt(), dev, &kit_plain);
    MF_CHECK_OK(kit_submit(&p, dev, 1, SHORT_NS, &job, &err));
    while (stats_of(dev).in_flight == 0) {
        continue;
    }
    MF_CHECK_OK(xrt()->cancel(job));
    MF_CHECK_INT(xrt()->wait(job, &err), MF_ECANCELED);
    xrt()->job_put(job);
    kit_product_fini(&p);
    xrt()->close(dev);
}

/* ---- many threads ---- */

#define N_THREADS 4
#define N_RUNS    20

struct crowd {
    struct mf_npu_dev *dev;
    unsigned n_wrong, n_ok;
    pthread_t thread;
};

static void *run_many(void *arg)
{
    struct crowd *c = arg;
    struct kit_product p;
    struct mf_npu_err err = {0};

    kit_product_init(&p, xrt(), c->dev, &kit_plain);
    for (int i = 0; i < N_RUNS; i++) {
        int rc = kit_run(&p, c->dev, p.g.m, 60 * SECOND_NS, &err);

        if (rc == 0) {
            c->n_ok++;
            c->n_wrong += !(kit_error(&p, p.g.m) <= MAX_ERROR);
        } else {
            c->n_wrong += rc != MF_EBACKEND && rc != MF_EBUSY;
        }
    }
    kit_product_fini(&p);
    return NULL;
}

MF_TEST(npu_xrt, serves_many_threads_and_none_sees_the_numbers_of_another)
{
    struct mf_npu_dev *dev = kit_open(xrt(), MF_NPU_LAYOUT_PLAIN, "error@7");
    struct crowd crowd[N_THREADS] = {0};
    unsigned n_ok = 0;

    for (int i = 0; i < N_THREADS; i++) {
        crowd[i].dev = dev;
        MF_CHECK_OK(pthread_create(&crowd[i].thread, NULL, run_many, &crowd[i]));
    }
    for (int i = 0; i < N_THREADS; i++) {
        MF_CHECK_OK(pthread_join(crowd[i].thread, NULL));
        MF_CHECK_INT(crowd[i].n_wrong, 0);
        n_ok += crowd[i].n_ok;
    }
    MF_CHECK_INT(stats_of(dev).jobs_ok, n_ok);
    MF_CHECK_INT(stats_of(dev).jobs_failed, 1);
    xrt()->close(dev);
}
