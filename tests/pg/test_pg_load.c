/* SPDX-License-Identifier: Apache-2.0 */
/* LOAD_ROUNDS by COPY: the same rows as WRITE_ROUNDS makes, and what it does with rows
 * that are there or are refused. */
#include "pg/crowd.h"
#include "unit/store_kit_pg.h"

#include <stdio.h>

#define N_ROWS  3000
#define N_USERS 20

MF_LOOP static int load(struct store_kit *k, const struct mf_store_row *rows, size_t n,
                        size_t *n_changed, struct mf_err *err)
{
    return kit_write_as(k, MF_STORE_LOAD_ROUNDS, rows, n, n_changed, err);
}

/* Of all that may be NULL some are. */
static void make_many(struct crowd *c)
{
    static char texts[N_ROWS][1200];

    crowd_make(c, N_ROWS, N_USERS);
    for (size_t i = 0; i < N_ROWS; i++) {
        struct mf_store_row *r = &c->rows[i];
        size_t n = 20 + i % 1000;

        memset(texts[i], 'x', n);
        (void)snprintf(texts[i], sizeof(texts[i]), "text %zu \xc3\xa9\t\\N", i);
        texts[i][strlen(texts[i])] = 'x';
        r->msg.content = mf_slice_of(texts[i], n);
        r->msg.role = (enum mf_msg_role)(i % MF_MSG_ROLE_COUNT);
        r->is_pending = i % 2 == 0;
        r->msg.metadata = i % 3 == 0 ? kit_s("{\"a\":1}") : kit_s("");
        r->round_id = i % 5 == 0 ? kit_s("round") : kit_s("");
        r->search = i % 7 == 0 ? kit_s("") : kit_s("record");
        r->passages = i % 11 == 0 ? kit_s("passages") : kit_s("");
    }
}

/* Every row of both tables, in one number. */
MF_LOOP static int64_t sum(struct store_kit *k)
{
    return kit_count(k, "SELECT (('x' || md5(string_agg(m::text || p::text, ','"
                        " ORDER BY m.user_id, m.id)))::bit(60))::bigint"
                        " FROM messages m LEFT JOIN passages p"
                        " ON p.user_id = m.user_id AND p.message_id = m.id");
}

MF_TEST(pg_load, stores_the_same_rows_as_the_flush_does)
{
    static struct crowd m;

    struct store_kit k = {0};
    int64_t flushed;
    size_t n;

    make_many(&m);
    kit_open(&k);
    MF_CHECK_OK(kit_write(&k, m.rows, N_ROWS, &n));
    MF_CHECK_INT(n, N_ROWS);
    flushed = sum(&k);
    kit_exec(&k, "DELETE FROM messages");
    kit_exec(&k, "DELETE FROM passages");
    MF_CHECK_OK(load(&k, m.rows, N_ROWS, &n, NULL));
    MF_CHECK_INT(n, N_ROWS);
    MF_CHECK_INT(kit_count(&k, "SELECT count(*) FROM messages"), N_ROWS);
    MF_CHECK_INT(kit_count(&k, "SELECT count(*) FROM passages"), (N_ROWS + 10) / 11);
    MF_CHECK_INT(sum(&k), flushed);
    kit_close(&k);
}

MF_TEST(pg_load, writes_nothing_when_a_row_is_there_and_the_flush_then_adds_the_rest)
{
    struct store_kit k = {0};
    struct mf_store_row rows[3] = {kit_row("u1", "s1", "m1", 1),
                                   kit_row("u1", "s1", "m2", 2),
                                   kit_row("u2", "s1", "m3", 3)};
    size_t n;

    kit_open(&k);
    MF_CHECK_OK(load(&k, rows + 1, 1, &n, NULL));
    MF_CHECK_INT(n, 1);
    for (int i = 0; i < 2; i++) {
        MF_CHECK_INT(load(&k, rows, 3, &n, NULL), MF_EEXIST);
        MF_CHECK_INT(n, 0);
    }
    MF_CHECK_INT(kit_count(&k, "SELECT count(*) FROM messages"), 1);
    MF_CHECK_OK(kit_write(&k, rows, 3, &n)); /* the connection is still good */
    MF_CHECK_INT(n, 2);
    MF_CHECK_OK(kit_write(&k, rows, 3, &n));
    MF_CHECK_INT(n, 0);
    kit_close(&k);
}

MF_TEST(pg_load, refuses_all_for_a_row_that_the_server_refuses_and_goes_on)
{
    struct store_kit k = {0};
    struct mf_store_row rows[2] = {kit_row("u1", "s1", "m1", 1),
                                   kit_row("u1", "s1", "m2", 2)};
    size_t n;

    kit_open(&k);
    MF_CHECK_OK(load(&k, rows, 0, &n, NULL)); /* the tables are there then */
    kit_exec(&k, "ALTER TABLE messages ADD CONSTRAINT of_somebody"
                 " CHECK (content <> 'poison')");
    rows[1].msg.content = kit_s("poison");
    MF_CHECK_INT(load(&k, rows, 2, &n, NULL), MF_EPOISON);
    rows[1].msg.content = mf_slice_of("\xff", 1);
    MF_CHECK_INT(load(&k, rows, 2, &n, NULL), MF_EPOISON);
    MF_CHECK_INT(kit_count(&k, "SELECT count(*) FROM messages"), 0);
    MF_CHECK_OK(load(&k, rows, 1, &n, NULL));
    MF_CHECK_INT(n, 1);
    kit_close(&k);
}

MF_TEST(pg_load, names_the_message_with_a_nul)
{
    struct store_kit k = {0};
    struct mf_store_row rows[2] = {kit_row("u1", "s1", "m1", 1),
                                   kit_row("u1", "s1", "the.bad.one", 2)};
    struct mf_err err;

    kit_open(&k);
    rows[1].msg.content = mf_slice_of("a\0b", 3);
    MF_CHECK_INT(load(&k, rows, 2, NULL, &err), MF_EPOISON);
    MF_CHECK(strstr(err.msg, "the.bad.one") != NULL);
    kit_close(&k);
}

MF_TEST(pg_load, gives_rows_of_a_shared_store_their_users_mark)
{
    struct store_kit k = {.is_shared = true};
    struct mf_store_row rows[3] = {kit_row("u2", "s1", "m1", 1),
                                   kit_row("u1", "s1", "m2", 2),
                                   kit_row("u1", "s1", "m3", 3)};
    size_t n;

    kit_open(&k);
    MF_CHECK_OK(load(&k, rows, 2, &n, NULL));
    MF_CHECK_INT(n, 2);
    MF_CHECK_INT(kit_pg_n_marked_last(&k), 2);
    kit_pg_restart_marks(&k);
    MF_CHECK_INT(load(&k, rows, 3, &n, NULL), MF_EEXIST); /* and takes no mark */
    MF_CHECK_OK(load(&k, rows + 2, 1, &n, NULL));
    MF_CHECK_INT(kit_count(&k, "SELECT count(*) FROM messages WHERE mark = 1"), 2);
    MF_CHECK_INT(kit_count(&k, "SELECT mark FROM messages WHERE id = 'm3'"), 2);
    MF_CHECK_INT(kit_count(&k, "SELECT sum(mark) FROM marks"), 3);
    kit_close(&k);
}
