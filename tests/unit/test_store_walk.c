/* SPDX-License-Identifier: Apache-2.0 */
/* The walk that marks rows whose record is of another vector space. */
#include "unit/store_kit.h"

#include <stdio.h>

#define N_ROWS 25

/* Records of these tests are one letter: the space. */
static bool is_not_b(MF_UNUSED const struct mf_store_walk *w, struct mf_slice search)
{
    return !mf_slice_is(search, "b");
}

MF_LOOP static void furnish(struct store_kit *k)
{
    kit_people(k);
    for (unsigned i = 1; i <= N_ROWS; i++) {
        char id[16];
        struct mf_store_row row;

        (void)snprintf(id, sizeof(id), "m%u", i);
        row = kit_row(i % 2 == 0 ? "u1" : "u2", i % 2 == 0 ? "s1" : "s3", id, i);
        row.search = kit_s(i % 5 == 0 ? "b" : "a");
        MF_CHECK_OK(kit_write(k, &row, 1, NULL));
    }
    for (unsigned i = N_ROWS + 1; i <= N_ROWS + 2; i++) {
        char id[16];
        struct mf_entity fact;

        (void)snprintf(id, sizeof(id), "k%u", i);
        fact = kit_knowledge("u1", id, i); /* "fact record" */
        MF_CHECK_OK(kit_create(k, MF_ENTITY_KNOWLEDGE, &fact));
    }
}

/* Walks to the end in steps of `max`; returns how many steps that took. */
MF_LOOP static unsigned walk(struct store_kit *k, size_t max, size_t *n_marked)
{
    struct mf_store_walk w = {.is_at_end = false};
    char user[64] = "";
    unsigned n = 0;

    for (*n_marked = 0; !w.is_at_end; n++) {
        struct mf_store_walk next = {.req = {.op = MF_STORE_MARK_FOREIGN},
                                     .user_id = kit_s(user),
                                     .seq = w.next_seq,
                                     .in_knowledge = w.next_in_knowledge,
                                     .max_rows = max,
                                     .space = 7,
                                     .is_foreign = is_not_b};

        MF_CHECK(n < 1000);
        MF_CHECK_OK(kit_run(k, &next.req));
        *n_marked += next.n_marked;
        (void)snprintf(user, sizeof(user), "%.*s", (int)next.next_user_id.n,
                       next.next_user_id.n == 0 ? "" : next.next_user_id.p);
        w = next;
        mf_store_req_fini(&next.req);
    }
    return n;
}

static int64_t n_pending(const struct store_kit *k)
{
    return kit_count(k, "SELECT (SELECT count(*) FROM messages WHERE is_pending) +"
                        " (SELECT count(*) FROM knowledge WHERE is_pending)");
}

MF_TEST(store_walk, marks_what_is_foreign_in_steps_of_any_size)
{
    static const size_t sizes[] = {1, 2, 7, N_ROWS, N_ROWS + 2, 1000};

    struct store_kit k = {0};

    kit_open(&k);
    furnish(&k);
    for (size_t i = 0; i < mf_countof(sizes); i++) {
        size_t n;

        kit_exec(&k, "UPDATE messages SET is_pending = false;"
                     "UPDATE knowledge SET is_pending = false");
        kit_exec(&k, kit_is_postgres() ? "UPDATE memfuse SET space = 0"
                                       : "UPDATE totals SET space = 0");
        MF_CHECK(walk(&k, sizes[i], &n) >= N_ROWS / sizes[i]);
        MF_CHECK_INT(n, N_ROWS - N_ROWS / 5 + 2);
        MF_CHECK_INT(n_pending(&k), N_ROWS - N_ROWS / 5 + 2);
        MF_CHECK_INT(kit_count(&k, "SELECT count(*) FROM messages WHERE is_pending"
                                   " AND search = CAST('b' AS blob)"),
                     0);
        MF_CHECK_INT(kit_space(&k), 7);
        (void)walk(&k, sizes[i], &n); /* what is marked is not counted twice */
        MF_CHECK_INT(n, 0);
    }
    kit_close(&k);
}

MF_TEST(store_walk, writes_the_space_down_at_the_end_and_not_before)
{
    struct store_kit k = {0};
    struct mf_store_walk w = {.req = {.op = MF_STORE_MARK_FOREIGN},
                              .max_rows = 5,
                              .space = 7,
                              .is_foreign = is_not_b};

    kit_open(&k);
    furnish(&k);
    MF_CHECK_OK(kit_run(&k, &w.req));
    MF_CHECK(!w.is_at_end);
    MF_CHECK_INT(w.n_marked + (size_t)kit_count(&k, "SELECT count(*) FROM messages"
                                                    " WHERE is_pending"),
                 2 * w.n_marked);
    MF_CHECK_INT(kit_space(&k), 0);
    mf_store_req_fini(&w.req);
    kit_close(&k);
}

/* Opens the closed store for `space`, and closes it. */
MF_LOOP static void check_reopened(struct store_kit *k, uint32_t space,
                                   uint32_t expected)
{
    struct mf_store_messages any = {.req = {.op = MF_STORE_PENDING_VECTORS},
                                    .limit = 1};

    k->space = space;
    MF_CHECK_OK(kit_open_store(k, NULL));
    /* One that may be away is not asked before it is opened. */
    MF_CHECK_INT(k->store->info.space, kit_is_postgres() ? 0 : expected);
    MF_CHECK_OK(kit_run(k, &any.req)); /* by now it is connected */
    mf_store_req_fini(&any.req);
    MF_CHECK_INT(kit_space(k), expected);
    kit_close_store(k);
}

MF_TEST(store_walk, a_store_opened_for_another_space_forgets_the_old_one_at_once)
{
    struct store_kit k = {.space = 7};
    size_t n;

    kit_open(&k);
    furnish(&k);
    (void)walk(&k, 1000, &n);
    kit_close_store(&k);
    check_reopened(&k, 7, 7);
    check_reopened(&k, 8, 0);
    check_reopened(&k, 7, 0); /* and back: rows of 8 may have come meanwhile */
    kit_close(&k);
}

MF_TEST(store_walk, a_file_of_the_first_version_is_of_no_known_space)
{
    struct store_kit k = {.space = 7};

    if (kit_is_postgres()) {
        return; /* its first version knew the space */
    }
    kit_open(&k);
    furnish(&k);
    kit_close_store(&k);
    kit_exec(&k, "ALTER TABLE totals DROP COLUMN space; PRAGMA user_version = 1");
    MF_CHECK_OK(kit_open_store(&k, NULL));
    MF_CHECK_INT(kit_count(&k, "PRAGMA user_version"), 2);
    MF_CHECK_INT(k.store->info.space, 0);
    MF_CHECK_INT(k.store->info.n_messages, N_ROWS);
    kit_close(&k);
}
