/* SPDX-License-Identifier: Apache-2.0 */
/* The whole engine while the store refuses, is locked, or the power goes. */
#include "flow/engine_kit.h"

#include <stdio.h>
#include <string.h>

/* clang-format off */
static const char *const quick[] = {
    "buffer.performance.flush_interval=0.02", "buffer.performance.force_flush_timeout=0.02",
    "flush.batch_age=0", "flush.retry_first=0.01", "flush.retry_max=0.05", NULL};
static const char *const patient[] = {
    "buffer.performance.flush_interval=3600", "buffer.performance.force_flush_timeout=3600",
    "flush.batch_age=0", "flush.retry_first=0.01", "flush.retry_max=0.05",
    "flush.vector_wait=3600", "drain.timeout=0", NULL};

/* clang-format on */

static bool is_stored(struct kit *k, MF_UNUSED void *arg)
{
    struct mf_engine_figures f;

    mf_loop_assert(k->loop);
    mf_engine_figures(k->e, &f);
    return f.n_messages == 0;
}

static bool is_all_but_one_stored(struct kit *k, MF_UNUSED void *arg)
{
    struct mf_engine_figures f;

    mf_loop_assert(k->loop);
    mf_engine_figures(k->e, &f);
    return f.n_messages == 1 && f.n_parked == 1;
}

static long n_stored(struct kit *k)
{
    return kit_number(k, "SELECT count(*) FROM messages");
}

static void check_texts(const struct kit_rows *rows, const char *const *texts, size_t n)
{
    MF_CHECK_INT(rows->n, n);
    for (size_t i = 0; i < n; i++) {
        MF_CHECK_STR(rows->row[i].text, texts[i]);
    }
}

/* ---- a row that the store refuses ---- */

MF_LOOP static void add_with_poison(struct kit *k, struct kit_id *poison)
{
    sqlite3 *db = kit_store_file(k);

    kit_sql(db, "CREATE TRIGGER refuse BEFORE INSERT ON messages"
                " WHEN NEW.content LIKE '%POISON%'"
                " BEGIN SELECT RAISE(ABORT, 'refused'); END");
    MF_CHECK_INT(sqlite3_close(db), SQLITE_OK);
    kit_add(k, "one good", NULL);
    kit_add(k, "two POISON", poison);
    kit_add(k, "three good", NULL);
}

static void mend_store(struct kit *k)
{
    sqlite3 *db = kit_store_file(k);

    kit_sql(db, "DROP TRIGGER refuse");
    MF_CHECK_INT(sqlite3_close(db), SQLITE_OK);
}

MF_TEST(engine, poison_is_parked_listed_and_found_and_the_others_are_stored)
{
    static const char *const texts[] = {"one good", "two POISON", "three good"};
    struct mf_engine_figures f;
    struct kit_rows rows;
    struct kit_id poison;
    struct kit k;

    kit_open(&k, NULL, quick);
    add_with_poison(&k, &poison);
    kit_wait(&k, is_all_but_one_stored, NULL);
    mf_engine_figures(k.e, &f);
    MF_CHECK_INT(f.n_parked, 1);
    MF_CHECK_INT(n_stored(&k), 2);
    for (int restarts = 0; restarts < 2; restarts++) {
        kit_list(&k, &rows);
        check_texts(&rows, texts, 3);
        MF_CHECK_INT(kit_n_found(&k, "POISON", &poison), 1);
        kit_stop(&k);
        kit_reopen(&k);
    }
    mf_engine_figures(k.e, &f);
    MF_CHECK_INT(f.n_parked, 1); /* not tried again at every start */
    mend_store(&k);
    MF_CHECK_INT(kit_requeue(&k), 1);
    kit_wait(&k, is_stored, NULL);
    MF_CHECK_INT(n_stored(&k), 3);
    MF_CHECK_INT(kit_n_found(&k, "POISON", &poison), 1);
    MF_CHECK_INT(kit_requeue(&k), 0);
    kit_close(&k);
}

/* ---- a store that is down ---- */

MF_TEST(engine, with_the_store_down_adds_go_on_and_all_arrives_later)
{
    struct kit_rows rows;
    struct kit_id id;
    sqlite3 *db;
    struct kit k;

    kit_open(&k, NULL, quick);
    db = kit_store_file(&k);
    kit_sql(db, "BEGIN IMMEDIATE");
    for (int i = 0; i < 20; i++) {
        char text[32];

        (void)snprintf(text, sizeof(text), "word%d meanwhile", i);
        kit_add(&k, text, &id);
        MF_CHECK_INT(kit_n_found(&k, text, &id), 1);
    }
    kit_list(&k, &rows);
    MF_CHECK_INT(rows.n, 20);
    MF_CHECK(!rows.row[0].is_stored);
    kit_sql(db, "COMMIT");
    MF_CHECK_INT(sqlite3_close(db), SQLITE_OK);
    kit_wait(&k, is_stored, NULL);
    MF_CHECK_INT(n_stored(&k), 20);
    kit_list(&k, &rows);
    MF_CHECK_INT(rows.n, 20);
    MF_CHECK(rows.row[0].is_stored && rows.row[19].is_stored);
    kit_close(&k);
}

MF_TEST(engine, a_full_journal_refuses_and_recovers_when_the_store_is_back)
{
    static const char *const small[] = {"journal.max_bytes=1MiB",
                                        "buffer.performance.flush_interval=0.02",
                                        "buffer.performance.force_flush_timeout=0.02",
                                        "flush.retry_first=0.01",
                                        "flush.retry_max=0.05",
                                        NULL};
    char text[200];
    long n_acked = 0;
    int rc = 0;
    sqlite3 *db;
    struct kit k;

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    kit_open(&k, NULL, small);
    db = kit_store_file(&k);
    kit_sql(db, "BEGIN IMMEDIATE");
    for (int i = 0; i < 20000 && rc == 0; i++) {
        rc = kit_try_add(&k, text, NULL);
        n_acked += rc == 0;
    }
    MF_CHECK_INT(rc, MF_EBUSY);
    kit_sql(db, "COMMIT");
    MF_CHECK_INT(sqlite3_close(db), SQLITE_OK);
    kit_wait(&k, is_stored, NULL);
    MF_CHECK_INT(kit_try_add(&k, text, NULL), 0);
    kit_stop(&k);
    MF_CHECK_INT(n_stored(&k), n_acked + 1); /* refused ones are nowhere */
    kit_reopen(&k);
    kit_close(&k);
}

MF_TEST(engine, without_disk_space_adds_are_refused_with_enospc)
{
    static const char *const none[] = {"journal.min_free=1024GiB", NULL};
    struct kit_rows rows;
    struct kit k;

    kit_open(&k, NULL, none);
    MF_CHECK_INT(kit_try_add(&k, "no room", NULL), MF_ENOSPC);
    kit_list(&k, &rows);
    MF_CHECK_INT(rows.n, 0);
    kit_close(&k);
}

/* ---- stop, and the power goes ---- */

MF_TEST(engine, stop_drains_the_buffers_into_the_store)
{
    struct kit k;

    kit_open(&k, NULL, NULL); /* the usual settings: nothing is due for a minute */
    for (int i = 0; i < 3; i++) {
        kit_add(&k, "to be drained", NULL);
    }
    MF_CHECK_INT(n_stored(&k), 0);
    kit_stop(&k);
    MF_CHECK_INT(n_stored(&k), 3);
    kit_reopen(&k);
    MF_CHECK(is_stored(&k, NULL)); /* and nothing was left in the journal */
    kit_close(&k);
}

MF_TEST(engine, stop_with_the_store_down_leaves_all_in_the_journal)
{
    static const char *const short_drain[] = {"drain.timeout=0.1",
                                              "flush.retry_first=0.01", NULL};
    static const char *const texts[] = {"first", "second", "third"};
    struct kit_rows rows;
    sqlite3 *db;
    struct kit k;

    kit_open(&k, NULL, short_drain);
    db = kit_store_file(&k);
    kit_sql(db, "BEGIN IMMEDIATE");
    for (size_t i = 0; i < 3; i++) {
        kit_add(&k, texts[i], NULL);
    }
    kit_stop(&k);
    kit_sql(db, "COMMIT");
    MF_CHECK_INT(sqlite3_close(db), SQLITE_OK);
    MF_CHECK_INT(n_stored(&k), 0);
    kit_reopen(&k);
    kit_list(&k, &rows);
    check_texts(&rows, texts, 3);
    kit_flush(&k);
    MF_CHECK_INT(n_stored(&k), 3);
    kit_close(&k);
}

MF_TEST(engine, after_a_power_cut_all_is_there_once)
{
    static const char *const texts[] = {"first", "second", "third", "fourth"};
    struct kit_rows rows;
    struct kit_id id;
    struct kit k;

    kit_open(&k, NULL, patient);
    kit_add(&k, texts[0], NULL);
    kit_flush(&k); /* one in the store, three in the journal */
    for (size_t i = 1; i < 4; i++) {
        kit_add(&k, texts[i], &id);
    }
    kit_cut_power(&k);
    kit_list(&k, &rows);
    check_texts(&rows, texts, 4);
    MF_CHECK_INT(kit_n_found(&k, texts[3], &id), 1);
    kit_flush(&k);
    kit_list(&k, &rows);
    check_texts(&rows, texts, 4);
    MF_CHECK_INT(n_stored(&k), 4);
    kit_close(&k);
}

/* ---- changes on the way to the store ---- */

MF_TEST(engine, an_update_in_the_midst_of_a_hand_over_survives_a_power_cut)
{
    static const char *const texts[] = {"was kept", "became new"};
    struct kit_rows rows;
    struct kit_id kept, changed;
    struct kit k;

    kit_open(&k, NULL, patient);
    kit_add(&k, texts[0], &kept);
    kit_add(&k, "was old", &changed);
    MF_CHECK_OK(kit_update(&k, &changed, texts[1]));
    for (int i = 0; i < 2; i++) {
        kit_list(&k, &rows);
        check_texts(&rows, texts, 2);
        MF_CHECK_STR(rows.row[1].id.s, changed.s);
        MF_CHECK_INT(kit_n_found(&k, texts[1], &changed), 1);
        if (i == 0) {
            kit_cut_power(&k);
        }
    }
    kit_close(&k);
}

MF_TEST(engine, a_delete_in_the_midst_of_a_hand_over_survives_a_power_cut)
{
    static const char *const texts[] = {"was kept"};
    struct kit_rows rows;
    struct kit_id gone;
    struct kit k;

    kit_open(&k, NULL, patient);
    kit_add(&k, texts[0], NULL);
    kit_add(&k, "was deleted", &gone);
    MF_CHECK_OK(kit_delete(&k, &gone));
    for (int i = 0; i < 2; i++) {
        kit_list(&k, &rows);
        check_texts(&rows, texts, 1);
        MF_CHECK_INT(kit_n_found(&k, "was deleted", &gone), 0);
        if (i == 0) {
            kit_cut_power(&k);
        }
    }
    MF_CHECK_INT(kit_delete(&k, &gone), MF_ENOTFOUND);
    kit_close(&k);
}

MF_TEST(engine, a_change_that_cannot_be_settled_in_time_changes_nothing)
{
    static const char *const settings[] = {"buffer.performance.flush_timeout=0.1",
                                           "flush.retry_first=0.01", NULL};
    static const char *const texts[] = {"stays as it is"};
    struct kit_rows rows;
    struct kit_id id;
    sqlite3 *db;
    struct kit k;

    kit_open(&k, NULL, settings);
    kit_add(&k, texts[0], &id);
    db = kit_store_file(&k);
    kit_sql(db, "BEGIN IMMEDIATE");
    MF_CHECK_INT(kit_update(&k, &id, "something else"), MF_ETIMEOUT);
    MF_CHECK_INT(kit_delete(&k, &id), MF_ETIMEOUT);
    kit_list(&k, &rows);
    check_texts(&rows, texts, 1);
    kit_sql(db, "COMMIT");
    MF_CHECK_INT(sqlite3_close(db), SQLITE_OK);
    MF_CHECK_OK(kit_update(&k, &id, "something else"));
    kit_close(&k);
}
