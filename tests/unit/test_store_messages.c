/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/store_kit.h"

#include <stdio.h>

/* One get, list or pending; the caller ends the request. */
MF_LOOP static int ask(struct store_kit *k, struct mf_store_messages *m,
                       enum mf_store_op op)
{
    m->req.op = op;
    return kit_run(k, &m->req);
}

/* The ids of the answer, joined by blanks. */
static const char *ids_of(const struct mf_store_messages *m)
{
    static char text[256];
    size_t n = 0;

    text[0] = '\0';
    for (size_t i = 0; i < m->n_rows; i++) {
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%.*s", i == 0 ? "" : " ",
                              (int)m->rows[i].msg.id.n, m->rows[i].msg.id.p);
    }
    return text;
}

MF_LOOP static void check_ids(struct store_kit *k, struct mf_store_messages m,
                              enum mf_store_op op, const char *expected)
{
    MF_CHECK_OK(ask(k, &m, op));
    MF_CHECK_STR(ids_of(&m), expected);
    mf_store_req_fini(&m.req);
}

MF_TEST(store_messages, gives_back_every_field_of_a_written_row)
{
    struct store_kit k = {0};
    struct mf_slice id = kit_s("m1");
    struct mf_store_messages m = {.user_id = kit_s("u1"), .ids = &id, .n = 1};
    struct mf_store_row row = kit_row("u1", "s1", "m1", 7);

    kit_open(&k);
    row.msg.content = kit_s("na\xc3\xafve caf\xc3\xa9");
    row.msg.metadata = kit_s("{\"a\":1}");
    row.msg.role = MF_MSG_TOOL;
    row.msg.created_us = -5;
    row.msg.updated_us = 9;
    row.search = mf_slice_of("\0\1\2", 3);
    row.passages = mf_slice_of("\0p", 2);
    row.is_pending = true;
    MF_CHECK_OK(kit_write(&k, &row, 1, NULL));

    MF_CHECK_OK(ask(&k, &m, MF_STORE_GET_MESSAGES));
    MF_CHECK_INT(m.n_rows, 1);
    MF_CHECK_INT(m.rows[0].seq, 7);
    MF_CHECK(kit_is(m.rows[0].user_id, "u1") && kit_is(m.rows[0].session_id, "s1"));
    MF_CHECK(kit_is(m.rows[0].round_id, "r1") && kit_is(m.rows[0].msg.id, "m1"));
    MF_CHECK(mf_slice_eq(m.rows[0].msg.content, row.msg.content));
    MF_CHECK(mf_slice_eq(m.rows[0].msg.metadata, row.msg.metadata));
    MF_CHECK(mf_slice_eq(m.rows[0].search, row.search));
    MF_CHECK(mf_slice_eq(m.rows[0].passages, row.passages));
    MF_CHECK_INT(m.rows[0].msg.created_us, -5);
    MF_CHECK_INT(m.rows[0].msg.updated_us, 9);
    MF_CHECK_INT(m.rows[0].msg.role, MF_MSG_TOOL);
    MF_CHECK(m.rows[0].is_pending);
    mf_store_req_fini(&m.req);
    kit_close(&k);
}

MF_TEST(store_messages, keeps_the_first_row_when_a_round_is_sent_again)
{
    struct store_kit k = {0};
    struct mf_slice id = kit_s("m1");
    struct mf_store_messages m = {.user_id = kit_s("u1"), .ids = &id, .n = 1};
    struct mf_store_row rows[2] = {kit_row("u1", "s1", "m1", 1),
                                   kit_row("u1", "s1", "m2", 2)};
    size_t n = 99;

    kit_open(&k);
    MF_CHECK_OK(kit_write(&k, rows, 1, &n));
    MF_CHECK_INT(n, 1);
    rows[0].msg.content = kit_s("another text");
    rows[0].passages = kit_s("of another text");
    MF_CHECK_OK(kit_write(&k, rows, 2, &n)); /* the same seq and id, and one more */
    MF_CHECK_INT(n, 1);
    rows[0].seq = 3; /* the same id under a new order number */
    MF_CHECK_OK(kit_write(&k, rows, 1, &n));
    MF_CHECK_INT(n, 0);

    MF_CHECK_OK(ask(&k, &m, MF_STORE_GET_MESSAGES));
    MF_CHECK_INT(m.n_rows, 1);
    MF_CHECK(kit_is(m.rows[0].msg.content, "a text"));
    MF_CHECK_INT(m.rows[0].passages.n, 0);
    MF_CHECK_INT(kit_count(&k, "SELECT count(*) FROM messages"), 2);
    MF_CHECK_INT(kit_n_messages(&k), 2);
    mf_store_req_fini(&m.req);
    kit_close(&k);
}

MF_TEST(store_messages, lets_two_users_have_the_same_message_id)
{
    struct store_kit k = {0};
    struct mf_store_row rows[2] = {kit_row("u1", "s1", "m1", 1),
                                   kit_row("u2", "s3", "m1", 2)};
    size_t n;

    kit_open(&k);
    MF_CHECK_OK(kit_write(&k, rows, 2, &n));
    MF_CHECK_INT(n, 2);
    kit_close(&k);
}

MF_LOOP static void check_poison(struct store_kit *k, const struct mf_store_row *bad)
{
    struct mf_store_row rows[2] = {kit_row("u0", "s1", "good", 50), *bad};
    struct mf_store_write w = {
        .req = {.op = MF_STORE_WRITE_ROUNDS}, .rows = rows, .n_rows = 2};

    MF_CHECK_INT(kit_run(k, &w.req), MF_EPOISON);
    MF_CHECK(strstr(w.req.err.msg, "message bad: ") != NULL);
    mf_store_req_fini(&w.req);
    MF_CHECK_INT(kit_count(k, "SELECT count(*) FROM messages"), 1);
    MF_CHECK_INT(kit_n_messages(k), 1);
}

MF_TEST(store_messages, refuses_a_poison_row_and_rolls_its_batch_back)
{
    struct store_kit k = {0};
    struct mf_store_row first = kit_row("u1", "s1", "m1", 1);
    struct mf_store_row bad = kit_row("u1", "s1", "bad", 2);

    kit_open(&k);
    MF_CHECK_OK(kit_write(&k, &first, 1, NULL));
    bad.msg.content = kit_s("");
    check_poison(&k, &bad);
    bad = kit_row("u1", "s1", "bad", 2);
    bad.msg.role = (enum mf_msg_role)4;
    check_poison(&k, &bad);
    bad = kit_row("u1", "s1", "bad", 0); /* no order number */
    check_poison(&k, &bad);
    if (!kit_is_postgres()) { /* there, numbers are made by more than one process */
        bad = kit_row("u1", "s1", "bad", 1); /* the number of another message */
        check_poison(&k, &bad);
    }
    bad = kit_row("u1", NULL, "bad", 2);
    check_poison(&k, &bad);
    kit_close(&k);
}

MF_LOOP static void write_five(struct store_kit *k)
{
    struct mf_store_row rows[5] = {
        kit_row("u1", "s1", "e", 1), kit_row("u1", "s1", "d", 2),
        kit_row("u1", "s1", "c", 3), kit_row("u1", "s2", "b", 4),
        kit_row("u2", "s3", "a", 5),
    };

    rows[0].msg.created_us = 30;
    rows[1].msg.created_us = 20; /* the same time: seq decides */
    rows[2].msg.created_us = 20;
    MF_CHECK_OK(kit_write(k, rows, 5, NULL));
}

MF_TEST(store_messages, lists_a_session_in_each_order_and_up_to_the_limit)
{
    struct store_kit k = {0};
    struct mf_store_messages m = {.user_id = kit_s("u1"), .session_id = kit_s("s1")};

    kit_open(&k);
    write_five(&k);
    check_ids(&k, m, MF_STORE_LIST_MESSAGES, "d c e");
    m.limit = 2;
    check_ids(&k, m, MF_STORE_LIST_MESSAGES, "d c");
    m.is_descending = true;
    check_ids(&k, m, MF_STORE_LIST_MESSAGES, "e c");
    m.sort = MF_SORT_ID;
    check_ids(&k, m, MF_STORE_LIST_MESSAGES, "e d");
    m.is_descending = false;
    check_ids(&k, m, MF_STORE_LIST_MESSAGES, "c d");
    m.user_id = kit_s("u2"); /* not the session's user */
    check_ids(&k, m, MF_STORE_LIST_MESSAGES, "");
    m.sort = MF_SORT_TIMESTAMP;
    check_ids(&k, m, MF_STORE_LIST_MESSAGES, "");
    kit_close(&k);
}

MF_TEST(store_messages, gets_by_ids_within_user_and_session)
{
    struct store_kit k = {0};
    const struct mf_slice ids[] = {kit_s("b"), kit_s("gone"), kit_s("e"), kit_s("a")};
    struct mf_store_messages m = {.user_id = kit_s("u1"), .ids = ids, .n = 4};

    kit_open(&k);
    write_five(&k);
    check_ids(&k, m, MF_STORE_GET_MESSAGES, "b e");
    m.session_id = kit_s("s1");
    check_ids(&k, m, MF_STORE_GET_MESSAGES, "e");
    m.n = 0;
    check_ids(&k, m, MF_STORE_GET_MESSAGES, "");
    kit_close(&k);
}

MF_TEST(store_messages, gets_messages_and_knowledge_by_seq)
{
    struct store_kit k = {0};
    const uint64_t seqs[] = {4, 6, 5, 77};
    struct mf_entity fact = kit_knowledge("u1", "k1", 6);
    struct mf_store_messages m = {.user_id = kit_s("u1"), .seqs = seqs, .n = 4};

    kit_open(&k);
    kit_people(&k);
    write_five(&k);
    MF_CHECK_OK(kit_create(&k, MF_ENTITY_KNOWLEDGE, &fact));
    MF_CHECK_OK(ask(&k, &m, MF_STORE_GET_MESSAGES));
    MF_CHECK_STR(ids_of(&m), "b k1"); /* 5 is another user's */
    MF_CHECK(kit_is(m.rows[0].session_id, "s2"));
    MF_CHECK_INT(m.rows[1].session_id.n, 0);
    MF_CHECK(kit_is(m.rows[1].msg.content, "a fact"));
    mf_store_req_fini(&m.req);
    kit_close(&k);
}

MF_TEST(store_messages, updates_all_rows_or_none)
{
    struct store_kit k = {0};
    struct mf_store_row rows[2] = {kit_row("u1", "s1", "e", 0),
                                   kit_row("u1", "s1", "b", 0)}; /* of s2 */
    struct mf_store_write w = {
        .req = {.op = MF_STORE_UPDATE_MESSAGES}, .rows = rows, .n_rows = 2};

    kit_open(&k);
    write_five(&k);
    rows[0].msg.content = rows[1].msg.content = kit_s("new");
    rows[0].passages = kit_s("passages");
    MF_CHECK_INT(kit_run(&k, &w.req), MF_ENOTFOUND);
    MF_CHECK(strstr(w.req.err.msg, "message b: ") != NULL);
    mf_store_req_fini(&w.req);
    MF_CHECK_INT(kit_count(&k, "SELECT count(*) FROM messages WHERE content = 'new'"),
                 0);
    MF_CHECK_INT(kit_count(&k, "SELECT count(*) FROM passages"), 0);

    rows[1].session_id = kit_s("s2");
    MF_CHECK_OK(kit_run(&k, &w.req));
    MF_CHECK_INT(w.n_changed, 2);
    mf_store_req_fini(&w.req);
    MF_CHECK_INT(kit_count(&k, "SELECT count(*) FROM messages WHERE content = 'new'"
                               " AND created_us > 0"),
                 2);
    MF_CHECK_INT(kit_count(&k, "SELECT count(*) FROM passages"), 1);
    rows[0].passages = kit_s(""); /* a shorter text has none */
    MF_CHECK_OK(kit_run(&k, &w.req));
    mf_store_req_fini(&w.req);
    MF_CHECK_INT(kit_count(&k, "SELECT count(*) FROM passages"), 0);
    kit_close(&k);
}

MF_TEST(store_messages, deletes_what_is_there_with_its_passages)
{
    struct store_kit k = {0};
    const struct mf_slice ids[] = {kit_s("e"), kit_s("gone"), kit_s("b"), kit_s("e")};
    struct mf_store_messages m = {.req = {.op = MF_STORE_DELETE_MESSAGES},
                                  .user_id = kit_s("u1"),
                                  .session_id = kit_s("s1"),
                                  .ids = ids,
                                  .n = 4};
    struct mf_store_row other = kit_row("u2", "s1", "e", 9);

    kit_open(&k);
    write_five(&k);
    other.passages = kit_s("of another user");
    MF_CHECK_OK(kit_write(&k, &other, 1, NULL));
    kit_exec(&k, "INSERT INTO passages VALUES ('u1', 'e', CAST('p' AS blob))");
    MF_CHECK_OK(kit_run(&k, &m.req)); /* b is of s2 */
    MF_CHECK_STR(ids_of(&m), "e");
    MF_CHECK_INT(m.rows[0].seq, 1);
    MF_CHECK(kit_is(m.rows[0].user_id, "u1") && kit_is(m.rows[0].session_id, "s1"));
    mf_store_req_fini(&m.req);
    m.session_id = kit_s("");
    MF_CHECK_OK(kit_run(&k, &m.req));
    MF_CHECK_STR(ids_of(&m), "b");
    mf_store_req_fini(&m.req);
    MF_CHECK_INT(kit_count(&k, "SELECT count(*) FROM messages"), 4);
    MF_CHECK_INT(kit_n_messages(&k), 4);
    MF_CHECK_INT(kit_count(&k, "SELECT count(*) FROM passages"), 1);
    kit_close(&k);
}

MF_TEST(store_messages, offers_pending_rows_of_all_kinds_by_seq)
{
    struct store_kit k = {0};
    struct mf_store_row rows[3] = {kit_row("u2", "s3", "m9", 9),
                                   kit_row("u1", "s1", "m3", 3),
                                   kit_row("u1", "s1", "m4", 4)};
    struct mf_entity fact = kit_knowledge("u1", "k5", 5);
    struct mf_store_messages m = {.limit = 10};

    kit_open(&k);
    kit_people(&k);
    rows[0].is_pending = rows[1].is_pending = true;
    fact.is_pending = true;
    MF_CHECK_OK(kit_write(&k, rows, 3, NULL));
    MF_CHECK_OK(kit_create(&k, MF_ENTITY_KNOWLEDGE, &fact));
    check_ids(&k, m, MF_STORE_PENDING_VECTORS, "m3 k5 m9");
    m.limit = 2;
    check_ids(&k, m, MF_STORE_PENDING_VECTORS, "m3 k5");
    m.after_seq = 5;
    check_ids(&k, m, MF_STORE_PENDING_VECTORS, "m9");
    m.after_seq = 0;
    m.user_id = kit_s("u1");
    check_ids(&k, m, MF_STORE_PENDING_VECTORS, "m3 k5");
    kit_close_store(&k);
    MF_CHECK_OK(kit_open_store(&k, NULL));
    MF_CHECK_INT(k.store->info.is_remote, kit_is_postgres());
    MF_CHECK_INT(k.store->info.n_pending, kit_is_postgres() ? 0 : 3);
    MF_CHECK_INT(k.store->info.n_messages, kit_is_postgres() ? 0 : 3);
    MF_CHECK_INT(k.store->info.next_seq, kit_is_postgres() ? 0 : 10);
    kit_close(&k);
}

MF_TEST(store_messages, sets_search_only_of_rows_not_edited_meanwhile)
{
    struct store_kit k = {0};
    struct mf_store_row rows[3] = {kit_row("u1", "s1", "m1", 1),
                                   kit_row("u1", "s1", "m2", 2),
                                   kit_row("u1", "", "k1", 3)};
    struct mf_entity fact = kit_knowledge("u1", "k1", 3);
    struct mf_store_write w = {
        .req = {.op = MF_STORE_SET_SEARCH}, .rows = rows, .n_rows = 3};

    kit_open(&k);
    kit_people(&k);
    rows[0].is_pending = rows[1].is_pending = fact.is_pending = true;
    MF_CHECK_OK(kit_write(&k, rows, 2, NULL));
    MF_CHECK_OK(kit_create(&k, MF_ENTITY_KNOWLEDGE, &fact));
    for (size_t i = 0; i < 3; i++) {
        rows[i].search = kit_s("with vector");
        rows[i].passages = kit_s("passages");
        rows[i].is_pending = false;
        rows[i].msg.content = kit_s("not to be written");
    }
    rows[1].msg.updated_us = 1; /* an older text than the one stored */
    MF_CHECK_OK(kit_run(&k, &w.req));
    MF_CHECK_INT(w.n_changed, 2);
    mf_store_req_fini(&w.req);
    MF_CHECK_INT(kit_count(&k, "SELECT count(*) FROM messages WHERE is_pending"
                               " AND id = 'm2' AND search = CAST('record' AS blob)"),
                 1);
    MF_CHECK_INT(kit_count(&k, "SELECT count(*) FROM messages WHERE NOT is_pending"
                               " AND id = 'm1' AND content = 'a text'"
                               " AND search = CAST('with vector' AS blob)"),
                 1);
    MF_CHECK_INT(kit_count(&k, "SELECT count(*) FROM knowledge WHERE NOT is_pending"
                               " AND search = CAST('with vector' AS blob)"),
                 1);
    MF_CHECK_INT(kit_count(&k, "SELECT count(*) FROM passages"), 1);
    kit_close(&k);
}
