/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/idset.h"
#include "engine/scope.h"
#include "lib/mf_test.h"

#include "base/err.h"

#include <stdio.h>

static struct mf_scope scope_of(const char *id)
{
    struct mf_id user;

    MF_CHECK_OK(mf_id_from(&user, mf_slice_str(id)));
    return mf_scope_of_user(&user);
}

MF_TEST(scope, a_user_covers_the_own_things_only)
{
    struct mf_scope s = scope_of("ann");

    MF_CHECK(mf_scope_covers(&s, mf_slice_str("ann")));
    MF_CHECK(!mf_scope_covers(&s, mf_slice_str("anna")));
    MF_CHECK(!mf_scope_covers(&s, mf_slice_str("an")));
    MF_CHECK(!mf_scope_covers(&s, mf_slice_str("bob")));
    MF_CHECK(!mf_scope_covers(&s, mf_slice_of(NULL, 0)));
}

MF_TEST(scope, the_administrator_covers_all)
{
    struct mf_scope s = mf_scope_admin();

    MF_CHECK(mf_scope_covers(&s, mf_slice_str("ann")));
    MF_CHECK(mf_scope_covers(&s, mf_slice_of(NULL, 0)));
}

/* A scope that nobody filled must not fit things without an owner. */
MF_TEST(scope, an_empty_one_covers_nothing)
{
    struct mf_scope s = {.is_admin = false};

    MF_CHECK(!mf_scope_covers(&s, mf_slice_str("ann")));
    MF_CHECK(!mf_scope_covers(&s, mf_slice_of(NULL, 0)));
}

/* ---- idset ---- */

#define N_IDS 1000

MF_TEST(idset, finds_each_id_and_no_other)
{
    static char text[N_IDS][16];
    struct mf_slice ids[N_IDS];
    struct mf_arena a;
    struct mf_idset s;

    mf_arena_init(&a, 4096);
    for (size_t i = 0; i < N_IDS; i++) {
        (void)snprintf(text[i], sizeof(text[i]), "id-%zu", i);
        ids[i] = mf_slice_str(text[i]);
    }
    MF_CHECK_OK(mf_idset_build(&s, &a, ids, N_IDS));
    MF_CHECK(s.twice == MF_IDSET_NONE);
    for (size_t i = 0; i < N_IDS; i++) {
        MF_CHECK_INT(mf_idset_find(&s, mf_slice_str(text[i])), i);
    }
    MF_CHECK(mf_idset_find(&s, mf_slice_str("id-1000")) == MF_IDSET_NONE);
    mf_arena_fini(&a);
}

MF_TEST(idset, names_the_id_that_stands_twice_and_finds_the_first)
{
    struct mf_slice ids[] = {mf_slice_str("a"), mf_slice_str("b"), mf_slice_str("a"),
                             mf_slice_str("b")};
    struct mf_arena a;
    struct mf_idset s;

    mf_arena_init(&a, 4096);
    MF_CHECK_OK(mf_idset_build(&s, &a, ids, mf_countof(ids)));
    MF_CHECK_INT(s.twice, 2);
    MF_CHECK_INT(mf_idset_find(&s, mf_slice_str("b")), 1);
    MF_CHECK_OK(mf_idset_build(&s, &a, NULL, 0));
    MF_CHECK(mf_idset_find(&s, mf_slice_str("a")) == MF_IDSET_NONE);
    mf_arena_fini(&a);
}

MF_TEST(idset, without_memory_it_says_so)
{
    struct mf_slice id = mf_slice_str("a");
    struct mf_arena a;
    struct mf_idset s;

    mf_arena_init(&a, 4096);
    mf_test_fail_nth(1);
    MF_CHECK_INT(mf_idset_build(&s, &a, &id, 1), MF_ENOMEM);
    mf_test_fail_nth(0);
    mf_arena_fini(&a);
}
