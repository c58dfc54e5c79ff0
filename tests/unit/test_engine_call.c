/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"
#include "engine/engine_priv.h"
#include "flow/engine_kit.h"

#include <string.h>

struct told {
    struct mf_call c;
    unsigned n_done;
    int rc;
};

static void on_done(struct mf_call *c, int rc)
{
    struct told *t = mf_container_of(c, struct told, c);

    t->n_done++;
    t->rc = rc;
}

static void told_init(struct told *t)
{
    memset(t, 0, sizeof(*t));
    t->c.done = on_done;
}

MF_TEST(call, one_that_failed_without_a_sentence_gets_one)
{
    struct mf_engine e = {.state = MF_ENGINE_OPEN};
    struct mf_loop *l = mf_loop_fixture_open();
    struct told t;

    told_init(&t);
    t.c.err.msg[0] = 'x'; /* of a call before */
    t.c.field = "name";
    mf_call_begin(&e, &t.c);
    MF_CHECK_INT(e.n_calls, 1);
    mf_call_finish(&t.c, MF_EBUSY);
    MF_CHECK_INT(e.n_calls, 0);
    MF_CHECK_INT(t.n_done, 1);
    MF_CHECK_INT(t.rc, MF_EBUSY);
    MF_CHECK_STR(t.c.err.msg, mf_code_sentence(MF_EBUSY));
    MF_CHECK(t.c.field == NULL);
    mf_loop_fixture_close(l);
}

MF_TEST(call, keeps_the_sentence_of_who_knew_more)
{
    struct mf_engine e = {.state = MF_ENGINE_OPEN};
    struct mf_loop *l = mf_loop_fixture_open();
    struct mf_err silent = {.code = MF_EDB}, loud = {.code = MF_EDB, .msg = "why"};
    struct told t;

    told_init(&t);
    mf_call_begin(&e, &t.c);
    MF_CHECK_INT(mf_call_fail(&t.c, MF_EINVAL, "name", "%d is too many", 7), MF_EINVAL);
    MF_CHECK_STR(t.c.field, "name");
    MF_CHECK_STR(t.c.err.msg, "7 is too many");
    MF_CHECK_INT(mf_call_blame(&t.c, MF_EUNAVAILABLE, &silent), MF_EUNAVAILABLE);
    MF_CHECK_STR(t.c.err.msg, "7 is too many");
    MF_CHECK_INT(t.c.err.code, MF_EUNAVAILABLE);
    MF_CHECK_INT(mf_call_blame(&t.c, MF_EUNAVAILABLE, &loud), MF_EUNAVAILABLE);
    MF_CHECK_STR(t.c.err.msg, "why");
    mf_call_finish(&t.c, MF_EUNAVAILABLE);
    mf_loop_fixture_close(l);
}

MF_TEST(call, changes_are_refused_while_draining_and_all_while_closing)
{
    struct mf_engine e = {.state = MF_ENGINE_OPEN};
    struct mf_loop *l = mf_loop_fixture_open();
    struct told t;

    told_init(&t);
    MF_CHECK_OK(mf_call_check(&e, &t.c, true));
    e.state = MF_ENGINE_DRAINING;
    MF_CHECK_OK(mf_call_check(&e, &t.c, false));
    MF_CHECK_INT(mf_call_check(&e, &t.c, true), MF_ECLOSED);
    e.state = MF_ENGINE_CLOSING;
    MF_CHECK_INT(mf_call_check(&e, &t.c, false), MF_ECLOSED);
    MF_CHECK(t.c.err.msg[0] != '\0');
    mf_loop_fixture_close(l);
}

struct add_told {
    struct mf_add_call c;
    struct mf_arena arena;
    unsigned n_done;
};

static void on_add_done(struct mf_call *c, int rc)
{
    struct add_told *a = mf_container_of(c, struct add_told, c.call);

    MF_CHECK_OK(rc);
    a->n_done++;
}

/* Whatever ends at once, well or badly, ends after the verb returned. */
MF_TEST(call, nothing_is_done_before_its_verb_returned)
{
    static const bool never = false;
    struct add_told a;
    struct kit k;

    kit_open(&k, NULL, NULL);
    memset(&a, 0, sizeof(a));
    mf_arena_init(&a.arena, 1024);
    a.c.call =
        (struct mf_call){.scope = &k.scope, .arena = &a.arena, .done = on_add_done};
    a.c.session_id = mf_slice_str(k.session.s);
    MF_CHECK_OK(mf_engine_add(k.e, &a.c)); /* a round of no message */
    MF_CHECK_INT(a.n_done, 0);
    MF_CHECK_INT(k.e->n_calls, 1);
    (void)mf_loop_run_until(k.loop, &never, 0);
    MF_CHECK_INT(a.n_done, 1);
    MF_CHECK_INT(k.e->n_calls, 0);
    mf_arena_fini(&a.arena);
    kit_close(&k);
}
