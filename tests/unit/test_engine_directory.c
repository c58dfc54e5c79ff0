/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"
#include "engine/directory.h"
#include "lib/loop_fixture.h"
#include "lib/mf_test.h"
#include "unit/stub_store.h"

#include <stdio.h>
#include <string.h>

struct fix {
    struct mf_loop *loop;
    struct stub_store store;
    struct mf_directory *d;
};

struct asker {
    struct mf_directory_wait w;
    unsigned n_done;
    int rc;
    char name[32];
};

static void on_known(struct mf_directory_wait *w, int rc, const struct mf_known *k)
{
    struct asker *a = mf_container_of(w, struct asker, w);

    a->n_done++;
    a->rc = rc;
    if (rc == 0) {
        (void)snprintf(a->name, sizeof(a->name), "%.*s", (int)k->name.n, k->name.p);
    }
}

static void fix_open(struct fix *f, size_t max) MF_ASSERTS_LOOP
{
    f->loop = mf_loop_fixture_open();
    stub_open(&f->store, f->loop);
    MF_CHECK_OK(mf_directory_new(&f->d, &f->store.base, max));
}

MF_LOOP static void fix_close(struct fix *f)
{
    mf_directory_free(f->d);
    mf_loop_fixture_close(f->loop);
}

static struct mf_entity session(const char *id, const char *name)
{
    return (struct mf_entity){.id = mf_slice_str(id),
                              .user_id = mf_slice_str("user"),
                              .agent_id = mf_slice_str("agent"),
                              .name = mf_slice_str(name)};
}

MF_LOOP static int load(struct fix *f, struct asker *a, const char *id)
{
    memset(a, 0, sizeof(*a));
    a->w.done = on_known;
    return mf_directory_load(f->d, MF_ENTITY_SESSION, mf_slice_str(id), &a->w);
}

MF_LOOP static void answer(struct fix *f, size_t i, struct mf_entity *row)
{
    stub_entity(&f->store, i)->rows = row;
    stub_entity(&f->store, i)->n_rows = row == NULL ? 0 : 1;
    stub_answer(&f->store, i, 0);
}

MF_LOOP static bool knows(struct fix *f, const char *id)
{
    return mf_directory_find(f->d, MF_ENTITY_SESSION, mf_slice_str(id)) != NULL;
}

MF_TEST(directory, remembers_what_the_store_answered)
{
    struct mf_entity row = session("s1", "trip");
    struct asker a;
    struct fix f;

    fix_open(&f, 4);
    MF_CHECK(!knows(&f, "s1"));
    MF_CHECK_OK(load(&f, &a, "s1"));
    MF_CHECK_INT(a.n_done, 0);
    answer(&f, 0, &row);
    MF_CHECK_INT(a.n_done, 1);
    MF_CHECK_OK(a.rc);
    MF_CHECK_STR(a.name, "trip");
    MF_CHECK(knows(&f, "s1"));
    MF_CHECK(mf_directory_find(f.d, MF_ENTITY_USER, mf_slice_str("s1")) == NULL);
    fix_close(&f);
}

MF_TEST(directory, tells_what_nobody_has_and_what_failed)
{
    struct asker a;
    struct fix f;

    fix_open(&f, 4);
    MF_CHECK_INT(load(&f, &a, "no id \x01"), MF_ENOTFOUND);
    MF_CHECK_INT(f.store.n, 0);
    MF_CHECK_OK(load(&f, &a, "s1"));
    answer(&f, 0, NULL);
    MF_CHECK_INT(a.rc, MF_ENOTFOUND);
    MF_CHECK_OK(load(&f, &a, "s1"));
    stub_answer(&f.store, 1, MF_EUNAVAILABLE);
    MF_CHECK_INT(a.rc, MF_EUNAVAILABLE);
    f.store.submit_rc = MF_EBUSY;
    MF_CHECK_INT(load(&f, &a, "s1"), MF_EBUSY);
    MF_CHECK_INT(a.n_done, 0);
    fix_close(&f);
}

MF_TEST(directory, drops_who_was_asked_for_least_recently)
{
    struct fix f;

    fix_open(&f, 2);
    for (const char *const *id = (const char *const[]){"a", "b", NULL}; *id != NULL;
         id++) {
        struct mf_entity row = session(*id, "x");

        mf_directory_remember(f.d, MF_ENTITY_SESSION, &row);
    }
    MF_CHECK(knows(&f, "a"));
    mf_directory_remember(f.d, MF_ENTITY_SESSION,
                          &(struct mf_entity){.id = mf_slice_str("c")});
    MF_CHECK(knows(&f, "a") && !knows(&f, "b") && knows(&f, "c"));
    fix_close(&f);
}

/* The row was read before the deletion: it must not come back after it. */
MF_TEST(directory, asks_again_when_something_was_deleted_meanwhile)
{
    struct mf_entity row = session("s1", "trip");
    struct asker a;
    struct fix f;

    fix_open(&f, 4);
    MF_CHECK_OK(load(&f, &a, "s1"));
    mf_directory_forget(f.d, MF_ENTITY_SESSION, mf_slice_str("s1"));
    answer(&f, 0, &row);
    MF_CHECK_INT(a.n_done, 0);
    MF_CHECK_INT(f.store.n, 2);
    answer(&f, 1, NULL);
    MF_CHECK_INT(a.rc, MF_ENOTFOUND);
    MF_CHECK(!knows(&f, "s1"));
    MF_CHECK_OK(load(&f, &a, "s1"));
    mf_directory_forget(f.d, MF_ENTITY_USER, mf_slice_str("other"));
    f.store.submit_rc = MF_EBUSY;
    answer(&f, 2, &row);
    MF_CHECK_INT(a.n_done, 1);
    MF_CHECK_INT(a.rc, MF_EBUSY);
    fix_close(&f);
}

MF_TEST(directory, asks_no_more_once_it_is_stopped)
{
    struct mf_entity row = session("s1", "trip");
    struct asker a, late;
    struct fix f;

    fix_open(&f, 4);
    MF_CHECK_OK(load(&f, &a, "s1"));
    mf_directory_forget(f.d, MF_ENTITY_SESSION, mf_slice_str("s2"));
    mf_directory_stop(f.d);
    answer(&f, 0, &row); /* would ask again */
    MF_CHECK_INT(a.rc, MF_ECLOSED);
    MF_CHECK_INT(load(&f, &late, "s1"), MF_ECLOSED);
    MF_CHECK_INT(f.store.n, 1);
    fix_close(&f);
}

MF_TEST(directory, without_memory_it_fails_or_forgets_and_loses_nothing)
{
    struct mf_entity row = session("s1", "trip");
    struct fix f;

    fix_open(&f, 4);
    for (size_t n = 1;; n++) {
        size_t before = f.store.n;
        bool failed;
        struct asker a;
        int rc;

        mf_test_fail_nth(n);
        rc = load(&f, &a, "s1");
        if (rc == 0) {
            answer(&f, before, &row);
            MF_CHECK_INT(a.n_done, 1);
            MF_CHECK(a.rc == 0 || a.rc == MF_ENOMEM);
        }
        failed = mf_test_has_failed();
        mf_test_fail_nth(0);
        MF_CHECK(rc == 0 || rc == MF_ENOMEM);
        if (!failed) {
            MF_CHECK(n > 2 && knows(&f, "s1"));
            break;
        }
    }
    fix_close(&f);
}

/* ---- kept over a restart ---- */

static void stub_health(MF_UNUSED const struct mf_store *s, struct mf_store_health *out)
{
    out->is_up = true; /* it has not noticed yet */
}

MF_LOOP static bool guesses(struct fix *f, const char *id)
{
    return mf_directory_guess(f->d, MF_ENTITY_SESSION, mf_slice_str(id)) != NULL;
}

static const struct mf_journal_known kept = {.kind = MF_ENTITY_SESSION,
                                             .id = {"s1", 2},
                                             .user_id = {"user", 4},
                                             .agent_id = {"agent", 5},
                                             .name = {"old", 3}};

MF_LOOP static void make_remote(struct fix *f, struct mf_store_ops *ops)
{
    *ops = *f->store.base.ops;
    ops->health = stub_health;
    f->store.base.ops = ops;
    f->store.base.info.is_remote = true;
}

MF_TEST(directory, does_not_believe_what_was_kept_while_the_store_can_be_asked)
{
    struct mf_entity row = session("s1", "new");
    struct mf_store_ops ops;
    struct asker a;
    struct fix f;

    fix_open(&f, 4);
    make_remote(&f, &ops);
    MF_CHECK_OK(mf_directory_restore(f.d, &kept));
    MF_CHECK(!knows(&f, "s1"));
    MF_CHECK(guesses(&f, "s1"));
    MF_CHECK_OK(load(&f, &a, "s1"));
    answer(&f, 0, &row);
    MF_CHECK_STR(a.name, "new");
    MF_CHECK(knows(&f, "s1"));
    fix_close(&f);
}

MF_TEST(directory, takes_what_was_kept_when_the_store_says_that_it_is_away)
{
    struct mf_store_ops ops;
    struct asker a;
    struct fix f;

    fix_open(&f, 4);
    make_remote(&f, &ops);
    MF_CHECK_OK(mf_directory_restore(f.d, &kept));
    MF_CHECK_OK(load(&f, &a, "s1"));
    stub_answer(&f.store, 0, MF_EUNAVAILABLE);
    MF_CHECK_OK(a.rc);
    MF_CHECK_STR(a.name, "old");
    MF_CHECK_OK(load(&f, &a, "s2")); /* this one was never known */
    stub_answer(&f.store, 1, MF_EUNAVAILABLE);
    MF_CHECK_INT(a.rc, MF_EUNAVAILABLE);
    MF_CHECK_OK(load(&f, &a, "s1"));
    stub_answer(&f.store, 2, MF_EDB); /* it is there, and something is wrong with it */
    MF_CHECK_INT(a.rc, MF_EDB);
    MF_CHECK_OK(load(&f, &a, "s1"));
    stub_answer(&f.store, 3, MF_ENOTFOUND); /* it was deleted meanwhile */
    MF_CHECK_INT(a.rc, MF_ENOTFOUND);
    MF_CHECK(!guesses(&f, "s1"));
    fix_close(&f);
}

/* As if it had been remembered so long ago that others may have deleted it since. */
MF_LOOP static void make_old(struct fix *f, const char *id)
{
    const struct mf_known *k =
        mf_directory_find(f->d, MF_ENTITY_SESSION, mf_slice_str(id));

    MF_CHECK(k != NULL);
    if (k != NULL) {
        ((struct mf_known *)(uintptr_t)k)->said_ms -= MF_DIRECTORY_TRUST_MS;
    }
}

MF_TEST(directory, asks_a_shared_store_again_after_a_while)
{
    struct mf_entity row = session("s1", "trip");
    struct mf_store_ops ops;
    struct asker a;
    struct fix f;

    fix_open(&f, 4);
    make_remote(&f, &ops);
    mf_directory_remember(f.d, MF_ENTITY_SESSION, &row);
    make_old(&f, "s1");
    MF_CHECK(knows(&f, "s1")); /* nobody else deletes from it */
    f.store.base.info.is_shared = true;
    MF_CHECK(!knows(&f, "s1"));
    MF_CHECK_OK(load(&f, &a, "s1"));
    stub_answer(&f.store, 0, MF_EUNAVAILABLE);
    MF_CHECK_OK(a.rc); /* it is all there is */
    mf_directory_remember(f.d, MF_ENTITY_SESSION, &row);
    MF_CHECK(knows(&f, "s1"));
    fix_close(&f);
}

MF_TEST(directory, ends_a_wait_that_takes_too_long)
{
    struct mf_entity row = session("s1", "trip");
    struct mf_store_ops ops;
    struct asker a, b;
    struct fix f;

    fix_open(&f, 4);
    make_remote(&f, &ops);
    mf_directory_bound(f.d, 100);
    MF_CHECK_OK(mf_directory_restore(f.d, &kept));
    MF_CHECK_OK(load(&f, &a, "s1"));
    MF_CHECK_OK(load(&f, &b, "s2"));
    mf_directory_tick(f.d, mf_loop_now_ms(f.loop) + 99);
    MF_CHECK_INT(a.n_done + b.n_done, 0);
    mf_directory_tick(f.d, mf_loop_now_ms(f.loop) + 100);
    MF_CHECK_OK(a.rc);
    MF_CHECK_STR(a.name, "old"); /* of before the start */
    MF_CHECK_INT(b.rc, MF_EUNAVAILABLE);
    answer(&f, 0, &row); /* late: remembered, and told to nobody */
    answer(&f, 1, NULL);
    MF_CHECK_INT(a.n_done + b.n_done, 2);
    MF_CHECK(knows(&f, "s1"));
    fix_close(&f);
}
