/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"
#include "engine/idem.h"
#include "lib/loop_fixture.h"
#include "lib/mf_test.h"
#include "unit/stub_store.h"

#include <string.h>

#define KEY "ann POST /x key-1"

struct fix {
    struct mf_loop *loop;
    struct stub_store store;
    struct mf_idem *m;
};

struct asker {
    struct mf_idem_ticket t;
    struct mf_arena arena;
    unsigned n_done;
    enum mf_idem_outcome outcome;
};

static void on_ticket(struct mf_idem_ticket *t, enum mf_idem_outcome outcome)
{
    struct asker *a = mf_container_of(t, struct asker, t);

    a->n_done++;
    a->outcome = outcome;
}

static void fix_open(struct fix *f) MF_ASSERTS_LOOP
{
    f->loop = mf_loop_fixture_open();
    stub_open(&f->store, f->loop);
    MF_CHECK_OK(mf_idem_new(&f->m, &f->store.base));
}

MF_LOOP static void fix_close(struct fix *f)
{
    mf_idem_free(f->m);
    mf_loop_fixture_close(f->loop);
}

MF_LOOP static int begin(struct fix *f, struct asker *a, uint8_t body)
{
    memset(a, 0, sizeof(*a));
    mf_arena_init(&a->arena, 256);
    a->t.key = mf_slice_str(KEY);
    a->t.body_hash[0] = body;
    a->t.arena = &a->arena;
    a->t.done = on_ticket;
    return mf_idem_begin(f->m, &a->t);
}

static void check_end(struct asker *a, enum mf_idem_outcome outcome)
{
    MF_CHECK_INT(a->n_done, 1);
    MF_CHECK_INT(a->outcome, outcome);
    mf_arena_fini(&a->arena);
}

static void check_replay(struct asker *a, const char *response)
{
    MF_CHECK_INT(a->n_done, 1);
    MF_CHECK_INT(a->outcome, MF_IDEM_REPLAY);
    MF_CHECK_INT(a->t.status, 201);
    MF_CHECK(mf_slice_eq(a->t.response, mf_slice_str(response)));
    mf_arena_fini(&a->arena);
}

/* The first with the key: the store knows nothing of it. */
MF_LOOP static void begin_first(struct fix *f, struct asker *a)
{
    MF_CHECK_OK(begin(f, a, 1));
    MF_CHECK_INT(a->n_done, 0);
    stub_answer(&f->store, f->store.n - 1, MF_ENOTFOUND);
    MF_CHECK_INT(a->outcome, MF_IDEM_PROCEED);
}

MF_LOOP static void end(struct fix *f, struct asker *a, int status, const char *text)
{
    mf_idem_end(f->m, &a->t, status, mf_slice_str(text));
    check_end(a, MF_IDEM_PROCEED);
}

MF_TEST(idem, the_store_is_asked_once_and_those_who_wait_hear_the_first_answer)
{
    struct asker first, same, other;
    struct fix f;

    fix_open(&f);
    begin_first(&f, &first);
    MF_CHECK_OK(begin(&f, &same, 1));
    MF_CHECK_OK(begin(&f, &other, 2));
    MF_CHECK_INT(f.store.n, 1);
    MF_CHECK_INT(same.n_done + other.n_done, 0);
    end(&f, &first, 201, "made");
    check_replay(&same, "made");
    check_end(&other, MF_IDEM_MISMATCH);
    fix_close(&f);
}

MF_TEST(idem, after_a_failure_the_next_one_in_line_does_it)
{
    struct asker first, second, third;
    struct fix f;

    fix_open(&f);
    begin_first(&f, &first);
    MF_CHECK_OK(begin(&f, &second, 1));
    MF_CHECK_OK(begin(&f, &third, 1));
    end(&f, &first, 503, "busy");
    MF_CHECK_INT(f.store.n, 2); /* one look for both */
    stub_answer(&f.store, 1, MF_ENOTFOUND);
    MF_CHECK_INT(second.outcome, MF_IDEM_PROCEED);
    MF_CHECK_INT(third.n_done, 0);
    end(&f, &second, 201, "made");
    check_replay(&third, "made");
    fix_close(&f);
}

MF_TEST(idem, a_recorded_answer_is_compared_with_the_recorded_body)
{
    struct asker a, waits;
    struct fix f;

    fix_open(&f);
    MF_CHECK_OK(begin(&f, &a, 2));
    MF_CHECK_OK(begin(&f, &waits, 1));
    stub_idem(&f.store, 0)->found = (struct mf_store_idem){
        .body_hash = {1}, .status = 201, .response = mf_slice_str("recorded")};
    stub_answer(&f.store, 0, 0);
    check_end(&a, MF_IDEM_MISMATCH);
    check_replay(&waits, "recorded");
    fix_close(&f);
}

MF_TEST(idem, an_answer_that_is_held_needs_no_store_until_it_is_dropped)
{
    struct mf_store_idem out;
    struct asker first, again;
    struct fix f;

    fix_open(&f);
    begin_first(&f, &first);
    mf_idem_hold(f.m, mf_slice_str(KEY));
    MF_CHECK(!mf_idem_find(f.m, mf_slice_str(KEY), &out)); /* not answered yet */
    end(&f, &first, 201, "made");
    MF_CHECK(mf_idem_find(f.m, mf_slice_str(KEY), &out));
    MF_CHECK(mf_slice_eq(out.response, mf_slice_str("made")));
    MF_CHECK_OK(begin(&f, &again, 1));
    check_replay(&again, "made");
    MF_CHECK_INT(f.store.n, 1);
    mf_idem_drop(f.m, mf_slice_str(KEY));
    MF_CHECK_OK(begin(&f, &again, 1));
    MF_CHECK_INT(f.store.n, 2);
    stub_answer(&f.store, 1, MF_ENOTFOUND);
    end(&f, &again, 400, "");
    fix_close(&f);
}

MF_TEST(idem, a_store_that_cannot_be_asked_fails_all_who_wait)
{
    struct asker a, waits;
    struct fix f;

    fix_open(&f);
    MF_CHECK_OK(begin(&f, &a, 1));
    MF_CHECK_OK(begin(&f, &waits, 1));
    f.store.submit_rc = MF_EBUSY;
    stub_answer(&f.store, 0, MF_EUNAVAILABLE);
    check_end(&a, MF_IDEM_FAILED);
    check_end(&waits, MF_IDEM_FAILED);
    MF_CHECK_INT(begin(&f, &a, 1), MF_EBUSY);
    MF_CHECK_INT(a.n_done, 0);
    fix_close(&f);
}

MF_TEST(idem, asks_no_more_once_it_is_stopped)
{
    struct asker a, waits, late;
    struct fix f;

    fix_open(&f);
    begin_first(&f, &a);
    MF_CHECK_OK(begin(&f, &waits, 1));
    mf_idem_stop(f.m);
    MF_CHECK_INT(begin(&f, &late, 1), 0); /* waits like the other */
    end(&f, &a, 503, "");
    check_end(&waits, MF_IDEM_FAILED);
    MF_CHECK_INT(waits.t.err.code, MF_ECLOSED);
    check_end(&late, MF_IDEM_FAILED);
    MF_CHECK_INT(begin(&f, &late, 1), MF_ECLOSED);
    fix_close(&f);
}

/* Neither half an answer to those who wait, nor one for the store. */
MF_TEST(idem, an_answer_without_memory_is_told_as_lost)
{
    struct mf_store_idem out;
    struct asker first, waits;
    struct fix f;

    fix_open(&f);
    begin_first(&f, &first);
    mf_idem_hold(f.m, mf_slice_str(KEY));
    MF_CHECK_OK(begin(&f, &waits, 1));
    mf_test_fail_nth(1);
    mf_idem_end(f.m, &first.t, 201, mf_slice_str("made"));
    MF_CHECK(mf_test_has_failed());
    mf_test_fail_nth(0);
    check_end(&first, MF_IDEM_PROCEED);
    check_end(&waits, MF_IDEM_FAILED);
    MF_CHECK(!mf_idem_find(f.m, mf_slice_str(KEY), &out));
    mf_idem_drop(f.m, mf_slice_str(KEY));
    fix_close(&f);
}

MF_TEST(idem, restored_answers_stand_and_the_first_of_two_wins)
{
    struct mf_store_idem one = {.key = mf_slice_str(KEY),
                                .body_hash = {1},
                                .status = 201,
                                .response = mf_slice_str("one")};
    struct mf_store_idem two = one;
    struct asker a;
    struct fix f;

    fix_open(&f);
    two.response = mf_slice_str("two");
    MF_CHECK_OK(mf_idem_restore(f.m, &one));
    MF_CHECK_OK(mf_idem_restore(f.m, &two));
    MF_CHECK_OK(begin(&f, &a, 1));
    check_replay(&a, "one");
    MF_CHECK_INT(f.store.n, 0);
    fix_close(&f);
}

MF_TEST(idem, without_memory_it_says_so_and_the_key_is_free)
{
    struct fix f;

    fix_open(&f);
    for (size_t n = 1;; n++) {
        struct asker a;
        bool failed;
        int rc;

        mf_test_fail_nth(n);
        rc = begin(&f, &a, 1);
        failed = mf_test_has_failed();
        mf_test_fail_nth(0);
        if (rc == 0) {
            stub_answer(&f.store, f.store.n - 1, MF_ENOTFOUND);
            end(&f, &a, 503, "");
        } else {
            MF_CHECK_INT(rc, MF_ENOMEM);
        }
        if (!failed) {
            MF_CHECK(n > 3);
            break;
        }
    }
    fix_close(&f);
}
