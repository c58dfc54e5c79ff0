/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the message verbs promise on Postgres beyond the cases of all stores
 * (unit/test_store_messages.c): batches, marks of a shared store, the vector column.
 */
#include "pg/crowd.h"
#include "unit/store_kit_pg.h"

#include <stdio.h>

#define N_BATCH 1000
#define N_USERS 70

/* Every third row has passages. */
static void make_many(struct crowd *c)
{
    static char texts[N_BATCH][24];

    crowd_make(c, N_BATCH, N_USERS);
    for (size_t i = 0; i < N_BATCH; i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "text %zu", i);
        c->rows[i].msg.content = kit_s(texts[i]);
        if (i % 3 == 0) {
            c->rows[i].passages = kit_s(texts[i]);
        }
    }
}

MF_TEST(pg_messages, writes_a_batch_of_many_users_once_however_often_it_is_sent)
{
    static struct crowd m;

    struct store_kit k = {0};
    size_t n;

    make_many(&m);
    kit_open(&k);
    for (size_t i = 0; i < 8; i++) { /* often enough for the server's generic plan */
        MF_CHECK_OK(kit_write(&k, m.rows, N_BATCH, &n));
        MF_CHECK_INT(n, i == 0 ? N_BATCH : 0);
    }
    MF_CHECK_INT(kit_count(&k, "SELECT count(*) FROM messages"), N_BATCH);
    MF_CHECK_INT(kit_count(&k, "SELECT count(*) FROM messages m WHERE"
                               " content = 'text ' || seq - 1"
                               " AND id = 'm' || 1001 - seq"
                               " AND user_id = 'u' || (seq - 1) % 70"),
                 N_BATCH);
    MF_CHECK_INT(kit_count(&k, "SELECT count(*) FROM passages p JOIN messages m"
                               " ON m.user_id = p.user_id AND m.id = p.message_id"
                               " WHERE p.passages = convert_to(m.content, 'UTF8')"),
                 (N_BATCH + 2) / 3);
    MF_CHECK_INT(kit_count(&k, "SELECT count(*) FROM passages"), (N_BATCH + 2) / 3);
    kit_close(&k);
}

MF_TEST(pg_messages, keeps_the_first_of_two_rows_with_one_id_in_a_batch)
{
    struct store_kit k = {0};
    struct mf_store_row rows[3] = {kit_row("u1", "s1", "m1", 9),
                                   kit_row("u1", "s1", "m1", 2),
                                   kit_row("u2", "s1", "m1", 3)};
    size_t n;

    kit_open(&k);
    rows[0].passages = kit_s("of the later one");
    rows[0].msg.content = kit_s("later");
    MF_CHECK_OK(kit_write(&k, rows, 3, &n));
    MF_CHECK_INT(n, 2);
    MF_CHECK_INT(kit_count(&k, "SELECT seq FROM messages WHERE user_id = 'u1'"
                               " AND content = 'a text'"),
                 2);
    MF_CHECK_INT(kit_count(&k, "SELECT count(*) FROM passages"), 0);
    kit_close(&k);
}

MF_TEST(pg_messages, leaves_the_passages_of_a_row_that_was_edited_since)
{
    struct store_kit k = {0};
    struct mf_store_row first = kit_row("u1", "s1", "m1", 1);
    struct mf_store_row edited = first;
    struct mf_store_row retry[2];

    kit_open(&k);
    first.passages = kit_s("of the first text");
    retry[0] = first;
    retry[1] = kit_row("u1", "s1", "m2", 2);
    retry[1].passages = kit_s("of another row");
    edited.msg.content = kit_s("edited");
    edited.passages = kit_s("");
    MF_CHECK_OK(kit_write(&k, &first, 1, NULL));
    MF_CHECK_OK(kit_write_as(&k, MF_STORE_UPDATE_MESSAGES, &edited, 1, NULL, NULL));
    MF_CHECK_OK(kit_write(&k, retry, 2, NULL));
    MF_CHECK_INT(kit_count(&k, "SELECT count(*) FROM passages"), 1);
    MF_CHECK_INT(kit_count(&k, "SELECT count(*) FROM passages WHERE message_id = 'm2'"),
                 1);
    kit_close(&k);
}

MF_TEST(pg_messages, takes_the_last_of_two_changes_of_one_message)
{
    struct store_kit k = {0};
    struct mf_store_row rows[3] = {kit_row("u1", "s1", "m1", 1),
                                   kit_row("u1", "s1", "m1", 1),
                                   kit_row("u1", "s1", "m2", 2)};
    size_t n;

    kit_open(&k);
    MF_CHECK_OK(kit_write(&k, rows, 3, NULL));
    rows[0].msg.content = kit_s("first change");
    rows[1].msg.content = kit_s("last change");
    MF_CHECK_OK(kit_write_as(&k, MF_STORE_UPDATE_MESSAGES, rows, 3, &n, NULL));
    MF_CHECK_INT(n, 3);
    MF_CHECK_INT(kit_count(&k, "SELECT count(*) FROM messages WHERE id = 'm1'"
                               " AND content = 'last change'"),
                 1);
    rows[0].session_id = kit_s("s2"); /* one of the two is of no such session */
    rows[2].msg.content = kit_s("not to be written");
    MF_CHECK_INT(kit_write_as(&k, MF_STORE_UPDATE_MESSAGES, rows, 3, NULL, NULL),
                 MF_ENOTFOUND);
    MF_CHECK_INT(kit_count(&k, "SELECT count(*) FROM messages"
                               " WHERE content = 'not to be written'"),
                 0);
    MF_CHECK_OK(kit_write_as(&k, MF_STORE_UPDATE_MESSAGES, rows, 0, &n, NULL));
    MF_CHECK_INT(n, 0);
    kit_close(&k);
}

MF_TEST(pg_messages, refuses_a_text_that_is_none_and_keeps_what_is_there)
{
    struct store_kit k = {0};
    struct mf_store_row rows[2] = {kit_row("u1", "s1", "m1", 1),
                                   kit_row("u1", "s1", "m2", 2)};

    kit_open(&k);
    rows[1].msg.content = mf_slice_of("a\0b", 3);
    MF_CHECK_INT(kit_write(&k, rows, 2, NULL), MF_EPOISON);
    rows[1].msg.content = mf_slice_of("\xff", 1);
    MF_CHECK_INT(kit_write(&k, rows, 2, NULL), MF_EPOISON);
    MF_CHECK_INT(kit_count(&k, "SELECT count(*) FROM messages"), 0);
    MF_CHECK_OK(kit_write(&k, rows, 1, NULL)); /* the connection is still good */
    rows[0].msg.content = kit_s("");
    MF_CHECK_INT(kit_write_as(&k, MF_STORE_UPDATE_MESSAGES, rows, 1, NULL, NULL),
                 MF_EPOISON);
    kit_close(&k);
}

MF_TEST(pg_messages, deletes_no_passages_of_a_message_that_stays)
{
    struct store_kit k = {0};
    struct mf_store_row rows[2] = {kit_row("u1", "s1", "m1", 1),
                                   kit_row("u1", "s2", "m2", 2)};
    const struct mf_slice ids[] = {kit_s("m1"), kit_s("m2")};
    struct mf_store_messages m = {.req = {.op = MF_STORE_DELETE_MESSAGES},
                                  .user_id = kit_s("u1"),
                                  .session_id = kit_s("s1"),
                                  .ids = ids,
                                  .n = 2};

    kit_open(&k);
    rows[0].passages = rows[1].passages = kit_s("passages");
    MF_CHECK_OK(kit_write(&k, rows, 2, NULL));
    MF_CHECK_OK(kit_run(&k, &m.req));
    MF_CHECK_INT(m.n_rows, 1);
    mf_store_req_fini(&m.req);
    MF_CHECK_INT(kit_count(&k, "SELECT count(*) FROM passages WHERE message_id = 'm2'"),
                 1);
    MF_CHECK_INT(kit_count(&k, "SELECT count(*) FROM passages"), 1);
    kit_close(&k);
}

MF_LOOP static int64_t max_mark(struct store_kit *k, const char *table,
                                const char *user)
{
    char sql[128];

    (void)snprintf(sql, sizeof(sql), "SELECT max(mark) FROM %s WHERE user_id = '%s'",
                   table, user);
    return kit_count(k, sql);
}

MF_TEST(pg_messages, gives_each_change_in_a_shared_store_the_users_next_mark)
{
    struct store_kit k = {.is_shared = true};
    struct mf_store_row rows[3] = {kit_row("u2", "s3", "m1", 1),
                                   kit_row("u1", "s1", "m2", 2),
                                   kit_row("u1", "s1", "m3", 3)};
    struct mf_store_row fact = kit_row("u2", "", "k1", 4);
    size_t n;

    kit_open(&k);
    MF_CHECK_OK(kit_write(&k, rows, 3, &n));
    MF_CHECK_INT(n, 3);
    MF_CHECK_INT(kit_pg_n_marked_last(&k), 3);
    kit_pg_restart_marks(&k);
    MF_CHECK_OK(kit_write_as(&k, MF_STORE_UPDATE_MESSAGES, rows + 1, 1, NULL, NULL));
    MF_CHECK_INT(max_mark(&k, "messages", "u1"), 2);
    MF_CHECK_INT(max_mark(&k, "messages", "u2"), 1);
    kit_exec(&k, "INSERT INTO knowledge (user_id, id, seq, created_us, updated_us,"
                 " is_pending, content) VALUES ('u2', 'k1', 4, 4, 4, true, 'a fact')");
    rows[0] = fact;
    MF_CHECK_OK(kit_write_as(&k, MF_STORE_SET_SEARCH, rows, 3, &n, NULL));
    MF_CHECK_INT(n, 3);
    MF_CHECK_INT(max_mark(&k, "messages", "u1"), 3);
    MF_CHECK_INT(max_mark(&k, "knowledge", "u2"), 2);
    MF_CHECK_INT(max_mark(&k, "marks", "u1"), 3);
    MF_CHECK_INT(max_mark(&k, "marks", "u2"), 2);
    MF_CHECK_INT(kit_count(&k, "SELECT count(*) FROM messages WHERE mark = 3"), 2);
    kit_close(&k);
}

MF_LOOP static bool has_column(struct store_kit *k)
{
    return kit_count(k, "SELECT count(*) FROM pg_attribute WHERE attname = 'embedding'"
                        " AND attrelid = 'messages'::regclass") > 0;
}

MF_LOOP static int64_t count_vectors(struct store_kit *k, const char *vector)
{
    char sql[128];

    (void)snprintf(sql, sizeof(sql),
                   "SELECT count(*) FROM messages WHERE embedding::text = '%s'",
                   vector);
    return kit_count(k, sql);
}

/* The kit's vector of a record: its length and its first byte. */
MF_TEST(pg_messages, writes_the_vector_of_the_record_where_there_is_pgvector)
{
    struct store_kit k = {0};
    struct mf_store_row rows[3] = {kit_row("u1", "s1", "m1", 1),
                                   kit_row("u1", "s1", "m2", 2),
                                   kit_row("u2", "s1", "m3", 3)};
    size_t n;

    kit_open(&k);
    rows[0].search = kit_s("AB");
    rows[1].search = kit_s("");
    rows[2].search = kit_s("ABC");
    rows[2].passages = kit_s("passages");
    MF_CHECK_OK(kit_write(&k, rows, 3, &n));
    MF_CHECK_INT(n, 3);
    if (!has_column(&k)) {
        kit_close(&k);
        skip();
    }
    MF_CHECK_INT(count_vectors(&k, "[2,65]"), 1);
    MF_CHECK_INT(count_vectors(&k, "[3,65]"), 1);
    MF_CHECK_INT(kit_count(&k, "SELECT count(*) FROM messages WHERE embedding IS NULL"),
                 1);
    rows[1].search = kit_s("B");
    MF_CHECK_OK(kit_write_as(&k, MF_STORE_SET_SEARCH, rows, 2, &n, NULL));
    MF_CHECK_INT(n, 2);
    MF_CHECK_INT(count_vectors(&k, "[1,66]"), 1);
    rows[1].search = kit_s("");
    MF_CHECK_OK(kit_write_as(&k, MF_STORE_UPDATE_MESSAGES, rows, 2, &n, NULL));
    MF_CHECK_INT(count_vectors(&k, "[1,66]"), 0);
    MF_CHECK_INT(kit_count(&k, "SELECT count(*) FROM messages WHERE embedding IS NULL"),
                 1);
    kit_close(&k);
}
