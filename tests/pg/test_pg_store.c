/* SPDX-License-Identifier: Apache-2.0 */
/* The store while its database is away, comes back, or does not let us in. */
#include "unit/store_kit_pg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void control(const char *word)
{
    char command[512];

    (void)snprintf(command, sizeof(command), "\"$MF_TEST_PG_CTL\" %s >/dev/null 2>&1",
                   word);
    MF_CHECK_INT(system(command), 0);
}

MF_LOOP static int write_one(struct store_kit *k, const char *id, uint64_t seq)
{
    struct mf_store_row row = kit_row("u1", "s1", id, seq);

    return kit_write(k, &row, 1, NULL);
}

static void on_pause_over(uv_timer_t *t)
{
    *(bool *)t->data = true;
}

static void on_pause_closed(uv_handle_t *h)
{
    *(bool *)h->data = true;
}

MF_LOOP static void turn_for(struct store_kit *k, uint64_t ms)
{
    bool is_over = false;
    uv_timer_t t = {.data = &is_over};

    MF_CHECK_OK(uv_timer_init(mf_loop_uv(k->loop), &t));
    MF_CHECK_OK(uv_timer_start(&t, on_pause_over, ms, 0));
    mf_loop_fixture_wait(k->loop, &is_over);
    is_over = false;
    uv_close((uv_handle_t *)&t, on_pause_closed);
    mf_loop_fixture_wait(k->loop, &is_over);
}

/* Until the store says so; nobody asks it for anything. */
MF_LOOP static struct mf_store_health until(struct store_kit *k, bool is_up)
{
    struct mf_store_health h;

    for (int i = 0; i < 1000; i++) {
        mf_store_health(k->store, &h);
        if (h.is_up == is_up) {
            return h;
        }
        turn_for(k, 10);
    }
    fail_msg("still %s: %s", h.is_up ? "up" : "down", h.why);
    return h;
}

/* A request in line. */
struct asked {
    struct mf_store_entity e;
    bool is_done;
    int rc;
    char why[MF_ERR_MAX];
};

static void on_answer(struct mf_store_req *req, int rc)
{
    struct asked *a = mf_container_of(req, struct asked, e.req);

    MF_CHECK(!a->is_done);
    a->is_done = true;
    a->rc = rc;
    (void)snprintf(a->why, sizeof(a->why), "%s", req->err.msg);
    mf_store_req_fini(req);
}

MF_LOOP static int ask(struct store_kit *k, struct asked *a)
{
    *a = (struct asked){
        .e = {.req = {.op = MF_STORE_LIST, .done = on_answer}, .kind = MF_ENTITY_USER}};
    return mf_store_submit(k->store, &a->e.req);
}

MF_TEST(pg_store, says_what_it_is)
{
    struct store_kit k = {0};

    kit_open(&k);
    MF_CHECK_STR(k.store->info.backend, "postgres");
    MF_CHECK(k.store->info.is_remote);
    MF_CHECK_INT(k.store->info.node, 1);
    MF_CHECK_OK(write_one(&k, "m1", 1));
    (void)until(&k, true);
    kit_close(&k);
}

MF_TEST(pg_store, a_database_that_is_away_at_the_start_is_used_once_it_is_there)
{
    struct store_kit k = {0};
    struct mf_err err = {0};
    struct mf_store_health h;
    struct asked a;

    kit_open(&k);
    kit_close_store(&k);
    control("stop");
    MF_CHECK_OK(kit_open_store(&k, &err));
    h = until(&k, false);
    MF_CHECK(h.why[0] != '\0');
    MF_CHECK_OK(ask(&k, &a)); /* in line until the first attempt has failed */
    MF_CHECK(!a.is_done);
    mf_loop_fixture_wait(k.loop, &a.is_done);
    MF_CHECK_INT(a.rc, MF_EUNAVAILABLE);
    MF_CHECK(a.why[0] != '\0');
    MF_CHECK_INT(write_one(&k, "m1", 1), MF_EUNAVAILABLE); /* and later ones at once */
    h = until(&k, false);
    MF_CHECK_STR(h.why, a.why);
    control("start");
    (void)until(&k, true);
    MF_CHECK_OK(write_one(&k, "m1", 1));
    MF_CHECK_INT(kit_count(&k, "SELECT count(*) FROM messages"), 1);
    kit_close(&k);
}

MF_TEST(pg_store, a_database_that_goes_and_comes_back_is_noticed_and_used_again)
{
    struct store_kit k = {0};
    struct mf_store_health h;

    kit_open(&k);
    MF_CHECK_OK(write_one(&k, "m1", 1));
    control("stop");
    MF_CHECK_INT(write_one(&k, "m2", 2), MF_EUNAVAILABLE);
    h = until(&k, false);
    MF_CHECK(h.why[0] != '\0');
    MF_CHECK_INT(write_one(&k, "m2", 2), MF_EUNAVAILABLE);
    control("start");
    (void)until(&k, true);
    MF_CHECK_OK(write_one(&k, "m1", 1));
    MF_CHECK_OK(write_one(&k, "m2", 2));
    MF_CHECK_INT(kit_count(&k, "SELECT count(*) FROM messages"), 2);
    kit_close(&k);
}

/* That we may not come in is for who runs the store, not a 401 for who asks it. */
MF_TEST(pg_store, a_refused_login_is_an_unavailable_store_with_a_reason)
{
    struct store_kit k = {0};
    struct mf_err err = {0};
    struct mf_store_health h;

    kit_open(&k);
    kit_close_store(&k);
    (void)snprintf(k.dsn, sizeof(k.dsn), "%s user=stranger password=s3cret",
                   getenv("MF_TEST_DSN"));
    MF_CHECK_OK(kit_open_store(&k, &err));
    MF_CHECK_INT(write_one(&k, "m1", 1), MF_EUNAVAILABLE);
    h = until(&k, false);
    MF_CHECK(strstr(h.why, "SQLSTATE 28") != NULL); /* what clients may read */
    MF_CHECK(strstr(h.why, "stranger") == NULL);
    MF_CHECK(strstr(h.why, "s3cret") == NULL);
    kit_close(&k);
}

MF_TEST(pg_store, a_table_that_is_gone_is_told_and_used_again_when_it_is_back)
{
    struct store_kit k = {0};
    struct mf_store_health h;

    kit_open(&k);
    MF_CHECK_OK(write_one(&k, "m1", 1));
    kit_exec(&k, "ALTER TABLE messages RENAME TO elsewhere");
    MF_CHECK_INT(write_one(&k, "m2", 2), MF_EUNAVAILABLE);
    h = until(&k, false);
    MF_CHECK(strstr(h.why, "42P01") != NULL);
    kit_exec(&k, "ALTER TABLE elsewhere RENAME TO messages");
    (void)until(&k, true);
    MF_CHECK_OK(write_one(&k, "m2", 2));
    kit_close(&k);
}

/* The first `n` users that are made lose to another's transaction. */
static void make_victims(const struct store_kit *k, int n)
{
    char sql[512];

    (void)snprintf(
        sql, sizeof(sql),
        "CREATE SEQUENCE victims;"
        "CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF nextval('victims') <= %d THEN RAISE EXCEPTION 'deadlock detected' "
        "USING ERRCODE = '40P01'; END IF; RETURN NEW; END $$;"
        "CREATE TRIGGER lose BEFORE INSERT ON users "
        "FOR EACH ROW EXECUTE FUNCTION lose()",
        n);
    kit_exec(k, sql);
}

MF_TEST(pg_store, what_somebody_makes_goes_again_when_it_lost_to_another_transaction)
{
    static const struct {
        int n_victims, rc, n_tried;
    } cases[] = {{3, 0, 4}, {100, MF_EUNAVAILABLE, 5}};

    for (size_t i = 0; i < mf_countof(cases); i++) {
        struct store_kit k = {0};
        struct mf_entity in = {.id = mf_slice_str("u9"),
                               .name = mf_slice_str("somebody"),
                               .created_us = 1,
                               .updated_us = 1};

        kit_open(&k);
        (void)until(&k, true);
        make_victims(&k, cases[i].n_victims);
        MF_CHECK_INT(kit_create(&k, MF_ENTITY_USER, &in), cases[i].rc);
        MF_CHECK_INT(kit_count(&k, "SELECT last_value FROM victims"), cases[i].n_tried);
        MF_CHECK_INT(kit_count(&k, "SELECT count(*) FROM users WHERE id = 'u9'"),
                     cases[i].rc == 0);
        kit_close(&k);
    }
}

/* --- a server that accepts and says nothing */

static int silent_server(const char *dir)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    MF_CHECK(fd >= 0);
    (void)snprintf(at.sun_path, sizeof(at.sun_path), "%s/.s.PGSQL.5432", dir);
    MF_CHECK_OK(bind(fd, (struct sockaddr *)&at, sizeof(at)));
    MF_CHECK_OK(listen(fd, 16));
    return fd;
}

MF_TEST(pg_store, the_line_is_bounded_and_ends_when_the_store_is_closed)
{
    struct store_kit k = {.max_waiting = 4};
    struct mf_err err = {0};
    struct asked asked[16];
    struct asked one_more;
    size_t n = 0;
    int fd;

    kit_open(&k);
    kit_close_store(&k);
    fd = silent_server(k.dir);
    (void)snprintf(k.dsn, sizeof(k.dsn), "host=%s user=u dbname=d", k.dir);
    MF_CHECK_OK(kit_open_store(&k, &err));
    while (n < mf_countof(asked) && ask(&k, &asked[n]) == 0) {
        n++;
    }
    MF_CHECK(n >= 4 && n < mf_countof(asked));
    MF_CHECK_INT(ask(&k, &one_more), MF_EBUSY);
    MF_CHECK(strstr(one_more.e.req.err.msg, "store.max_waiting") != NULL);
    kit_close_store(&k);
    for (size_t i = 0; i < n; i++) {
        MF_CHECK(asked[i].is_done);
        MF_CHECK_INT(asked[i].rc, MF_ECANCELED);
        MF_CHECK(strstr(asked[i].why, "closed before its turn") != NULL);
    }
    MF_CHECK_OK(close(fd));
    kit_close(&k);
}

/* --- what is wrong is told at open */

MF_TEST(pg_store, a_dsn_that_cannot_be_read_is_refused_without_telling_it)
{
    struct store_kit k = {0};
    struct mf_err err = {0};

    kit_open(&k);
    kit_close_store(&k);
    (void)snprintf(k.dsn, sizeof(k.dsn), "host=x password='s3cret");
    MF_CHECK_INT(kit_open_store(&k, &err), MF_EINVAL);
    MF_CHECK(strstr(err.msg, "store.postgres.dsn") != NULL);
    MF_CHECK(strstr(err.msg, "s3cret") == NULL);
    kit_close(&k);
}

/* --- memory */

MF_TEST(pg_store, each_failed_allocation_of_the_opening_is_a_clean_refusal)
{
    struct store_kit k = {0};
    bool has_failed = true;

    kit_open(&k);
    for (size_t nth = 1; has_failed; nth++) {
        struct mf_err err = {0};
        int rc;

        kit_close_store(&k);
        mf_test_fail_nth(nth);
        rc = kit_open_store(&k, &err);
        has_failed = mf_test_has_failed();
        mf_test_fail_nth(0);
        MF_CHECK(rc == 0 || rc == MF_ENOMEM);
        MF_CHECK(rc == 0 || err.msg[0] != '\0');
        if (rc < 0) {
            MF_CHECK_OK(kit_open_store(&k, &err));
        }
    }
    (void)until(&k, true);
    kit_close(&k);
}

/* Wherever memory ends, the store is up again by itself and the row is there once. */
MF_TEST(pg_store, each_failed_allocation_of_a_write_is_survived)
{
    struct store_kit k = {0};
    bool has_failed = true;

    kit_open(&k);
    (void)until(&k, true);
    for (size_t nth = 1; has_failed; nth++) {
        char id[16];
        int rc;

        (void)snprintf(id, sizeof(id), "m%zu", nth);
        mf_test_fail_nth(nth);
        rc = write_one(&k, id, nth);
        has_failed = mf_test_has_failed();
        mf_test_fail_nth(0);
        MF_CHECK(rc == 0 || rc == MF_ENOMEM || rc == MF_EUNAVAILABLE);
        (void)until(&k, true);
        MF_CHECK_OK(write_one(&k, id, nth));
        MF_CHECK_INT(kit_count(&k, "SELECT count(*) FROM messages"), nth);
    }
    kit_close(&k);
}
