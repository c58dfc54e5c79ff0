/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/store_kit.h"

#include <stdio.h>

#define N_MANY 2500

MF_LOOP static int load(struct store_kit *k, struct mf_store_search *s)
{
    s->req.op = MF_STORE_LOAD_SEARCH;
    return kit_run(k, &s->req);
}

/* Messages 1, 3, 6 of u1 in two sessions, 2 of u2; knowledge 4 of u1, 5 of u2. */
MF_LOOP static void furnish(struct store_kit *k)
{
    struct mf_store_row rows[4] = {
        kit_row("u1", "s1", "m1", 1), kit_row("u2", "s3", "m2", 2),
        kit_row("u1", "s2", "m3", 3), kit_row("u1", "s1", "m6", 6)};
    struct mf_entity fact1 = kit_knowledge("u1", "k4", 4);
    struct mf_entity fact2 = kit_knowledge("u2", "k5", 5);

    kit_people(k);
    rows[0].search = mf_slice_of("\0one", 4);
    MF_CHECK_OK(kit_write(k, rows, 4, NULL));
    MF_CHECK_OK(kit_create(k, MF_ENTITY_KNOWLEDGE, &fact1));
    MF_CHECK_OK(kit_create(k, MF_ENTITY_KNOWLEDGE, &fact2));
}

static void check_row(const struct mf_store_search_row *row, uint64_t seq,
                      const char *session, const char *agent)
{
    MF_CHECK_INT(row->seq, seq);
    MF_CHECK(kit_is(row->session_id, session));
    MF_CHECK(kit_is(row->agent_id, agent));
}

MF_TEST(store_search, merges_messages_and_knowledge_of_a_user_by_seq)
{
    struct store_kit k = {0};
    struct mf_store_search s = {.user_id = kit_s("u1")};

    kit_open(&k);
    furnish(&k);
    MF_CHECK_OK(load(&k, &s));
    MF_CHECK_INT(s.n_rows, 4);
    MF_CHECK(!s.has_more);
    check_row(&s.rows[0], 1, "s1", "a1");
    check_row(&s.rows[1], 3, "s2", "a2");
    check_row(&s.rows[2], 4, "", "");
    check_row(&s.rows[3], 6, "s1", "a1");
    MF_CHECK(mf_slice_eq(s.rows[0].search, mf_slice_of("\0one", 4)));
    MF_CHECK(kit_is(s.rows[2].search, "fact record"));
    mf_store_req_fini(&s.req);
    kit_close(&k);
}

MF_TEST(store_search, goes_on_after_a_seq_and_says_whether_there_is_more)
{
    struct store_kit k = {0};
    struct mf_store_search s = {.user_id = kit_s("u1"), .after_seq = 1, .max_rows = 2};

    kit_open(&k);
    furnish(&k);
    MF_CHECK_OK(load(&k, &s));
    MF_CHECK_INT(s.n_rows, 2);
    MF_CHECK(s.has_more);
    check_row(&s.rows[0], 3, "s2", "a2");
    check_row(&s.rows[1], 4, "", "");
    mf_store_req_fini(&s.req);
    s.after_seq = 4;
    s.max_rows = 1; /* exactly what is left */
    MF_CHECK_OK(load(&k, &s));
    MF_CHECK_INT(s.n_rows, 1);
    MF_CHECK(!s.has_more);
    check_row(&s.rows[0], 6, "s1", "a1");
    mf_store_req_fini(&s.req);
    s.after_seq = UINT64_MAX;
    MF_CHECK_OK(load(&k, &s));
    MF_CHECK_INT(s.n_rows, 0);
    mf_store_req_fini(&s.req);
    kit_close(&k);
}

MF_TEST(store_search, leaves_the_agent_empty_when_the_session_is_gone)
{
    struct store_kit k = {0};
    struct mf_store_search s = {.user_id = kit_s("u1")};
    struct mf_store_row row = kit_row("u1", "lost", "m1", 1);

    kit_open(&k);
    MF_CHECK_OK(kit_write(&k, &row, 1, NULL));
    MF_CHECK_OK(load(&k, &s));
    MF_CHECK_INT(s.n_rows, 1);
    check_row(&s.rows[0], 1, "lost", "");
    mf_store_req_fini(&s.req);
    kit_close(&k);
}

struct taker {
    size_t n_pieces, n_rows, max_piece;
    uint64_t last_seq;
    bool is_in_order;
    int answer; /* of the second piece */
};

static int take_piece(struct mf_store_search *s, const struct mf_store_search_row *rows,
                      size_t n)
{
    struct taker *t = s->feed_arg;

    t->n_pieces++;
    t->n_rows += n;
    t->max_piece = mf_max(t->max_piece, n);
    for (size_t i = 0; i < n; i++) {
        t->is_in_order &= rows[i].seq > t->last_seq && kit_is(rows[i].search, "record");
        t->last_seq = rows[i].seq;
    }
    return t->n_pieces == 2 ? t->answer : 0;
}

MF_LOOP static void write_many(struct store_kit *k)
{
    static struct mf_store_row rows[N_MANY];
    static char ids[N_MANY][8];

    for (size_t i = 0; i < N_MANY; i++) {
        (void)snprintf(ids[i], sizeof(ids[i]), "m%zu", i);
        rows[i] = kit_row(i % 2 == 0 ? "u1" : "u2", "s1", ids[i], i + 1);
        rows[i].user_id = kit_s("u1");
    }
    MF_CHECK_OK(kit_write(k, rows, N_MANY, NULL));
}

MF_LOOP static void check_feed(struct store_kit *k, struct taker *t, size_t max_rows,
                               int expected)
{
    struct mf_store_search s = {.user_id = kit_s("u1"),
                                .max_rows = max_rows,
                                .feed = take_piece,
                                .feed_arg = t};

    t->is_in_order = true;
    MF_CHECK_INT(load(k, &s), expected);
    MF_CHECK_PTR(s.rows, NULL);
    MF_CHECK(t->is_in_order);
    if (expected == 0) {
        MF_CHECK_INT(s.n_rows, t->n_rows);
    }
    mf_store_req_fini(&s.req);
}

MF_TEST(store_search, feeds_pieces_in_order_until_the_taker_has_enough)
{
    struct store_kit k = {0};
    struct taker all = {0};
    struct taker some = {0};
    struct taker enough = {.answer = 1};
    struct taker failing = {.answer = MF_ENOMEM};

    kit_open(&k);
    write_many(&k);
    check_feed(&k, &all, 0, 0);
    MF_CHECK_INT(all.n_rows, N_MANY);
    MF_CHECK_INT(all.n_pieces, 3);
    MF_CHECK_INT(all.max_piece, 1000);
    check_feed(&k, &some, 1500, 0);
    MF_CHECK_INT(some.n_rows, 1500);
    check_feed(&k, &enough, 0, 0);
    MF_CHECK_INT(enough.n_rows, 2000);
    check_feed(&k, &failing, 0, MF_ENOMEM);
    kit_close(&k);
}
