/* SPDX-License-Identifier: Apache-2.0 */
/* Each verb, with each allocation of it failing in turn: it ends once, as MF_ENOMEM or
 * well, and the next one works. */
#include "base/err.h"
#include "flow/verbs_kit.h"

#include <stdio.h>
#include <string.h>

#define MAX_SWEEP 4000

static const char *const settings[] = {"buffer.performance.flush_interval=0.02",
                                       "buffer.performance.flush_timeout=5",
                                       "flush.retry_first=0.001",
                                       "flush.retry_max=0.005",
                                       "flush.batch_age=0.001",
                                       "embed.backfill_interval=0.01",
                                       NULL};

/* Whether the allocation that was to fail came. */
static bool has_met_failure;

/* Fills the call and calls the verb. */
typedef int (*verb_fn)(struct kit *k, struct run *r, size_t n);

MF_LOOP static int run_one(struct kit *k, verb_fn verb, size_t n, size_t fail_at)
{
    struct run r;

    run_init(&r, &k->scope, on_run_done);
    mf_test_fail_nth(fail_at);
    r.rc = verb(k, &r, n);
    if (r.rc == 0) {
        MF_CHECK_INT(r.n_done, 0);
        mf_loop_fixture_wait(k->loop, &r.is_done);
        MF_CHECK_INT(r.n_done, 1);
    }
    has_met_failure = mf_test_has_failed();
    mf_test_fail_nth(0);
    if (r.rc < 0) {
        MF_CHECK(r.c.call.err.msg[0] != '\0' || r.rc == MF_ENOMEM);
    }
    mf_arena_fini(&r.arena);
    return r.rc;
}

/* `prepare` (may be NULL) makes what the verb works on. */
MF_LOOP static void sweep(struct kit *k, verb_fn prepare, verb_fn verb)
{
    bool has_failed = true;

    for (size_t n = 1; has_failed; n++) {
        int rc;

        MF_CHECK(n < MAX_SWEEP);
        if (prepare != NULL) {
            MF_CHECK_OK(run_one(k, prepare, n, 0));
        }
        rc = run_one(k, verb, n, n);
        has_failed = has_met_failure;
        if (rc != 0 && rc != MF_ENOMEM) {
            fail_msg("allocation %zu failed: %s", n, mf_code_name(rc));
        }
        if (rc != 0 && !has_failed) {
            fail_msg("run %zu: %s", n, mf_code_name(rc));
        }
    }
}

static char name_buf[64];

static struct mf_slice name_of(const char *what, size_t n)
{
    int len = snprintf(name_buf, sizeof(name_buf), "%s-%04zu", what, n);

    return mf_slice_of(name_buf, (size_t)len);
}

/* An id of a message: 36 characters. */
static char id_buf[40];

static struct mf_slice id_of(size_t n)
{
    (void)snprintf(id_buf, sizeof(id_buf), "00000000-0000-7000-8000-%012zu", n);
    return mf_slice_str(id_buf);
}

MF_LOOP static int add(struct kit *k, struct run *r, size_t n)
{
    r->news[0].content = mf_slice_str("a walk along the river");
    r->news[0].id = id_of(n);
    r->c.add.session_id = mf_slice_str(k->session.s);
    r->c.add.msgs = r->news;
    r->c.add.n_msgs = 1;
    return mf_engine_add(k->e, &r->c.add);
}

MF_LOOP static int list(struct kit *k, struct run *r, MF_UNUSED size_t n)
{
    r->c.messages.session_id = mf_slice_str(k->session.s);
    r->c.messages.limit = 10;
    return mf_engine_list(k->e, &r->c.messages);
}

MF_LOOP static void fill_one_id(struct kit *k, struct run *r, size_t n)
{
    r->ids[0] = id_of(n);
    r->c.messages.session_id = mf_slice_str(k->session.s);
    r->c.messages.ids = r->ids;
    r->c.messages.n_ids = 1;
}

MF_LOOP static int read_one(struct kit *k, struct run *r, MF_UNUSED size_t n)
{
    fill_one_id(k, r, 1);
    return mf_engine_read(k->e, &r->c.messages);
}

MF_LOOP static int update(struct kit *k, struct run *r, size_t n)
{
    fill_one_id(k, r, n);
    r->news[0].content = mf_slice_str("a walk up the hill");
    r->c.messages.news = r->news;
    return mf_engine_update(k->e, &r->c.messages);
}

MF_LOOP static int delete_one(struct kit *k, struct run *r, size_t n)
{
    fill_one_id(k, r, n);
    return mf_engine_delete(k->e, &r->c.messages);
}

MF_LOOP static int ask(struct kit *k, struct run *r, MF_UNUSED size_t n)
{
    r->c.ask.user_id = mf_slice_str(k->user.s);
    r->c.ask.text = mf_slice_str("river");
    r->c.ask.top_k = 5;
    return mf_engine_ask(k->e, &r->c.ask);
}

MF_LOOP static int create_user(struct kit *k, struct run *r, size_t n)
{
    r->in = (struct mf_entity){.name = name_of("user", n), .id = id_of(n)};
    r->c.entity.kind = MF_ENTITY_USER;
    r->c.entity.ins = &r->in;
    r->c.entity.n_ins = 1;
    return mf_engine_entity_create(k->e, &r->c.entity);
}

MF_LOOP static int create_knowledge(struct kit *k, struct run *r, MF_UNUSED size_t n)
{
    r->in = (struct mf_entity){.text = mf_slice_str("rivers run downhill"),
                               .has_text = true,
                               .user_id = mf_slice_str(k->user.s)};
    r->c.entity.kind = MF_ENTITY_KNOWLEDGE;
    r->c.entity.in.user_id = r->in.user_id;
    r->c.entity.ins = &r->in;
    r->c.entity.n_ins = 1;
    return mf_engine_entity_create(k->e, &r->c.entity);
}

MF_LOOP static int delete_user(struct kit *k, struct run *r, size_t n)
{
    r->c.entity.kind = MF_ENTITY_USER;
    r->c.entity.in.id = id_of(n);
    return mf_engine_entity_delete(k->e, &r->c.entity);
}

MF_LOOP static int get_user(struct kit *k, struct run *r, MF_UNUSED size_t n)
{
    r->c.entity.kind = MF_ENTITY_USER;
    r->c.entity.in.id = mf_slice_str(k->user.s);
    return mf_engine_entity_get(k->e, &r->c.entity);
}

/* How many messages a list has, each once. */
MF_LOOP static long count_stored(struct kit *k)
{
    kit_flush(k);
    return kit_number(k, "SELECT count(*) FROM messages");
}

MF_TEST(engine_nomem, an_add_ends_once_and_what_was_acknowledged_is_there)
{
    struct kit k;
    size_t n_ok = 0, n = 0;
    bool has_failed = true;

    kit_open(&k, NULL, settings);
    while (has_failed) {
        n++;
        n_ok += run_one(&k, add, n, n) == 0;
        has_failed = has_met_failure;
    }
    MF_CHECK(n > 5 && n_ok > 0);
    MF_CHECK_INT(count_stored(&k), n_ok);
    for (size_t i = 1; i <= n; i++) { /* again: known ones change nothing */
        MF_CHECK_OK(run_one(&k, add, i, 0));
    }
    MF_CHECK_INT(count_stored(&k), n);
    kit_close(&k);
}

MF_TEST(engine_nomem, reading_verbs_end_once)
{
    struct kit k;

    kit_open(&k, NULL, settings);
    MF_CHECK_OK(run_one(&k, add, 1, 0));
    sweep(&k, NULL, list);
    sweep(&k, NULL, read_one);
    sweep(&k, NULL, ask);
    sweep(&k, NULL, get_user);
    kit_flush(&k);
    sweep(&k, NULL, list);
    sweep(&k, NULL, read_one);
    sweep(&k, NULL, ask);
    kit_close(&k);
}

MF_TEST(engine_nomem, changing_verbs_end_once)
{
    struct kit k;

    kit_open(&k, NULL, settings);
    sweep(&k, add, update);
    kit_close(&k);
}

MF_TEST(engine_nomem, deleting_ends_once)
{
    struct kit k;

    kit_open(&k, NULL, settings);
    sweep(&k, add, delete_one);
    kit_close(&k);
}

MF_TEST(engine_nomem, entities_are_created_and_deleted_or_not)
{
    struct kit k;

    kit_open(&k, NULL, settings);
    sweep(&k, NULL, create_user);
    sweep(&k, NULL, create_knowledge);
    kit_close(&k);
}

MF_TEST(engine_nomem, a_user_is_deleted_or_not)
{
    struct kit k;

    kit_open(&k, NULL, settings);
    sweep(&k, create_user, delete_user);
    kit_close(&k);
}

static void on_fatal(const struct mf_err *err, MF_UNUSED void *arg)
{
    fail_msg("fatal: %s", err->msg);
}

static void format_add(MF_UNUSED const struct mf_item *it, struct mf_buf *out,
                       MF_UNUSED void *arg)
{
    mf_buf_add_str(out, "added");
}

/* What is in the journal comes back at the next start that has memory. */
MF_TEST(engine_nomem, a_start_succeeds_or_leaves_nothing_open)
{
    static const char *const lazy[] = {"buffer.performance.flush_interval=3600",
                                       "drain.timeout=0", NULL};
    struct mf_engine_events ev = {.fatal = on_fatal, .format_add = format_add};
    bool has_failed = true;
    struct kit k;

    kit_open(&k, NULL, lazy);
    MF_CHECK_OK(run_one(&k, add, 1, 0));
    kit_stop(&k);
    for (size_t n = 1; has_failed; n++) {
        struct mf_err err = {0};
        int rc;

        mf_test_fail_nth(n);
        rc = mf_engine_open(&k.e, k.loop, &k.conf, &k.model->model, &ev, &err);
        has_failed = mf_test_has_failed();
        mf_test_fail_nth(0);
        MF_CHECK(n < MAX_SWEEP && (rc == 0 || has_failed));
        if (rc == 0) {
            k.is_closed = false;
            kit_stop(&k);
        }
    }
    kit_reopen(&k);
    MF_CHECK_OK(run_one(&k, read_one, 1, 0));
    kit_close(&k);
}
