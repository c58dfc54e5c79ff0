/* SPDX-License-Identifier: Apache-2.0 */
/* embed.device and embed.npu.*: what is opened, what is refused, what is gone without.
 */
#include "engine/engine.h"
#include "engine/model_choice.h"
#include "lib/loop_fixture.h"
#include "lib/mf_test.h"
#include "lib/model_folder.h"
#include "npu/remote.h"
#include "npu/twin.h"
#include "unit/conf_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

/* The helper process is this program: so the environment tells its twin to lie. */
#define LIES "MF_TEST_TWIN_LIES"

__attribute__((constructor)) static void serve_as_worker(int argc, char **argv)
{
    struct mf_npu_twin_faults f = {.skips_compute = true};

    if (argc > 1 && strcmp(argv[1], "npu-worker") == 0) {
        mf_npu_twin_set_faults(getenv(LIES) != NULL ? &f : NULL);
        exit(mf_npu_worker_main(argc - 2, argv + 2));
    }
}

struct bench {
    struct mf_loop *l;
    struct conf_kit k;
    struct mf_model *m;
    struct mf_npu_offload *o;
    struct mf_err err;
};

static void set(struct bench *t, const char *key, const char *value)
{
    char assignment[512];

    (void)snprintf(assignment, sizeof(assignment), "%s=%s", key, value);
    MF_CHECK_OK(conf_kit_set(&t->k, assignment));
}

/* `is_small`: a small encoder's folder; else the built-in model. */
static void bench_open(struct bench *t, bool is_small) MF_ASSERTS_LOOP
{
    struct mf_model_spec spec = mf_model_small();

    memset(t, 0, sizeof(*t));
    t->l = mf_loop_fixture_open();
    conf_kit_open(&t->k);
    set(t, "data.dir", mf_test_tmpdir());
    set(t, "embed.precision", "f32");
    set(t, "embed.model", is_small ? mf_test_tmpdir() : "hash");
    if (is_small) {
        mf_model_folder(mf_test_tmpdir(), &spec);
    }
    MF_CHECK_OK(mf_engine_choose_model(&t->m, &t->k.c, &t->err));
}

MF_LOOP static int choose(struct bench *t)
{
    return mf_engine_choose_device(&t->o, t->m, &t->k.c, &t->err);
}

MF_LOOP static void bench_close(struct bench *t)
{
    mf_npu_offload_close(t->o);
    mf_model_close(t->m);
    conf_kit_close(&t->k);
    mf_loop_fixture_close(t->l);
}

MF_TEST(engine_device, nothing_is_looked_for_unless_asked)
{
    struct bench t;

    bench_open(&t, true);
    MF_CHECK_OK(choose(&t)); /* auto, and no artefacts */
    assert_null(t.o);
    MF_CHECK_STR(t.err.msg, "");
    set(&t, "embed.device", "cpu");
    set(&t, "embed.npu.simulated", "true");
    MF_CHECK_OK(choose(&t));
    assert_null(t.o);
    bench_close(&t);
}

MF_TEST(engine_device, the_simulated_one_serves_and_says_so)
{
    struct mf_npu_report r;
    struct bench t;
    uint32_t space;

    bench_open(&t, true);
    space = t.m->info.space_id;
    set(&t, "embed.npu.simulated", "true");
    set(&t, "embed.npu.min_rows", "1");
    MF_CHECK_OK(choose(&t));
    mf_npu_offload_report(t.o, &r);
    MF_CHECK(r.caps.simulated);
    MF_CHECK_INT(r.min_rows, 1);
    MF_CHECK(r.agreement > 0.9999);
    MF_CHECK_INT(t.m->info.space_id, space);
    bench_close(&t);
}

static void on_closed(void *arg)
{
    *(bool *)arg = true;
}

static void on_fatal(const struct mf_err *err, MF_UNUSED void *arg)
{
    fail_msg("fatal: %s", err->msg);
}

MF_TEST(engine_device, its_process_has_ended_when_the_engine_is_closed)
{
    struct mf_engine_events events = {.fatal = on_fatal};
    bool is_closed = false;
    struct mf_engine *e;
    struct bench t;

    bench_open(&t, true);
    set(&t, "embed.npu.simulated", "true");
    set(&t, "embed.npu.min_rows", "1");
    MF_CHECK_OK(mf_engine_open(&e, t.l, &t.k.c, NULL, &events, &t.err));
    MF_CHECK_INT(waitpid(-1, NULL, WNOHANG), 0); /* it runs */
    mf_engine_close(e, on_closed, &is_closed);
    mf_loop_fixture_wait(t.l, &is_closed);
    MF_CHECK_INT(waitpid(-1, NULL, WNOHANG), -1); /* none is there any more */
    bench_close(&t);
}

MF_TEST(engine_device, auto_goes_on_without_and_npu_does_not_start)
{
    struct bench t;

    bench_open(&t, true);
    set(&t, "embed.npu.simulated", "true");
    set(&t, "embed.npu.dir", "/no/such/folder");
    MF_CHECK_OK(choose(&t));
    assert_null(t.o);
    MF_CHECK(strstr(t.err.msg, "/no/such/folder") != NULL); /* health tells it */
    set(&t, "embed.device", "npu");
    MF_CHECK_INT(choose(&t), MF_ENOTFOUND);
    assert_null(t.o);
    MF_CHECK(strstr(t.err.msg, "embed.device npu: ") != NULL);
    set(&t, "embed.npu.dir", "");
    set(&t, "embed.npu.simulated", "false");
    MF_CHECK_INT(choose(&t), MF_EINVAL);
    MF_CHECK(strstr(t.err.msg, "set embed.npu.dir") != NULL);
    bench_close(&t);
}

MF_TEST(engine_device, a_device_that_lies_is_not_taken)
{
    struct bench t;

    bench_open(&t, true);
    set(&t, "embed.npu.simulated", "true");
    MF_CHECK_OK(setenv(LIES, "1", 1));
    MF_CHECK_OK(choose(&t));
    assert_null(t.o);
    MF_CHECK(strstr(t.err.msg, "wrong numbers") != NULL);
    MF_CHECK_OK(unsetenv(LIES));
    bench_close(&t);
}

MF_TEST(engine_device, the_built_in_model_has_nothing_for_it)
{
    struct bench t;

    bench_open(&t, false);
    set(&t, "embed.npu.simulated", "true");
    MF_CHECK_OK(choose(&t));
    assert_null(t.o);
    set(&t, "embed.device", "npu");
    MF_CHECK_INT(choose(&t), MF_EINVAL);
    MF_CHECK(strstr(t.err.msg, "set embed.model") != NULL);
    bench_close(&t);
}

MF_TEST(engine_device, a_device_that_differs_has_a_space_of_its_own)
{
    struct mf_model_device near = {"npu", 2048, 0.99995F}, far = {"npu", 0, 0.9995F};
    struct bench t;
    uint32_t space;

    bench_open(&t, true);
    space = t.m->info.space_id;
    mf_model_set_device(t.m, &near);
    MF_CHECK_INT(t.m->info.space_id, space);
    MF_CHECK_INT(t.m->info.batch_tokens, 2048);
    MF_CHECK(t.m->info.batch_texts > 64);
    mf_model_set_device(t.m, &far);
    MF_CHECK(t.m->info.space_id != space);
    MF_CHECK_INT(t.m->info.space_id, mf_space_id(t.m->info.space));
    MF_CHECK(strstr(t.m->info.space, "f32+npu") != NULL);
    MF_CHECK_INT(t.m->info.batch_tokens, 2048);
    bench_close(&t);
}
