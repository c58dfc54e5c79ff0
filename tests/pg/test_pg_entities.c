/* SPDX-License-Identifier: Apache-2.0 */
/* What several processes do to users, agents, sessions and knowledge at once. What one
 * does alone, the tests of the store tell (unit/test_store_entities.c). */
#include "base/log.h"
#include "lib/mf_test.h"
#include "pg/pg_drive.h"
#include "store/pg_schema.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define N_AT_ONCE  4
#define N_TURNS    10
#define N_SESSIONS 1500 /* more than one round takes */

static const struct mf_pg_verb verb_create = {mf_pg_create, NULL, true};
static const struct mf_pg_verb verb_update = {mf_pg_update, NULL, true};
static const struct mf_pg_verb verb_delete = {mf_pg_delete, NULL, true};
static const struct mf_pg_verb verb_load = {mf_pg_load_search, mf_pg_load_search_rows,
                                            false};

static struct mf_slice text(const char *s)
{
    return mf_slice_str(s);
}

/* A schema of its own with our tables; every drive is one process. */
static void furnish(struct drive *all, size_t n, bool is_shared)
{
    static unsigned n_schemas;

    const char *version = getenv("MF_TEST_PG_VERSION");
    struct mf_pg_schema s = {.holder = "test"};
    char words[128];
    char sql[64];

    mf_log_set_level(MF_LOG_WARN);
    (void)snprintf(sql, sizeof(sql), "CREATE SCHEMA e_%d_%u", (int)getpid(),
                   ++n_schemas);
    (void)snprintf(words, sizeof(words), "options='-c search_path=e_%d_%u,public'",
                   (int)getpid(), n_schemas);
    drive_open(&all[0], "");
    drive_exec(&all[0], sql);
    drive_close(&all[0]);
    for (size_t i = 0; i < n; i++) {
        drive_open(&all[i], words);
        all[i].env.cfg.is_shared = is_shared;
        all[i].env.cfg.is_citus = version != NULL && strcmp(version, "citus") == 0;
    }
    MF_CHECK_OK(drive_all(&all[0], mf_pg_migrate, &s, NULL));
}

static void put_away(struct drive *all, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        drive_close(&all[i]);
    }
}

static int run(struct drive *d, const struct mf_pg_verb *v, struct mf_store_entity *e,
               enum mf_entity_kind kind)
{
    e->kind = kind;
    return drive_request(d, v, &e->req);
}

static int create(struct drive *d, enum mf_entity_kind kind, const struct mf_entity *in)
{
    struct mf_store_entity e = {.ins = in, .n_ins = 1};
    int rc = run(d, &verb_create, &e, kind);

    mf_store_req_fini(&e.req);
    return rc;
}

static struct mf_entity person(const char *id, const char *name)
{
    return (struct mf_entity){
        .id = text(id), .name = text(name), .created_us = 1, .updated_us = 1};
}

static struct mf_entity fact(const char *id, uint64_t seq)
{
    return (struct mf_entity){.id = text(id),
                              .user_id = text("u"),
                              .text = text("a fact"),
                              .has_text = true,
                              .search = text("record"),
                              .seq = seq,
                              .created_us = 1,
                              .updated_us = 1};
}

/* --- several at once */

struct actor {
    pthread_t thread;
    struct drive *d;
    const struct mf_pg_verb *verb;
    struct mf_store_entity e;
    struct mf_entity in;
    char id[32], name[32];
    enum mf_entity_kind kind;
    int rc;
};

static void *act(void *arg)
{
    struct actor *a = arg;

    a->rc = run(a->d, a->verb, &a->e, a->kind);
    return NULL;
}

/* All at once; the requests' arenas are given back. */
static void act_all(struct actor *all, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        MF_CHECK_OK(pthread_create(&all[i].thread, NULL, act, &all[i]));
    }
    for (size_t i = 0; i < n; i++) {
        MF_CHECK_OK(pthread_join(all[i].thread, NULL));
        mf_store_req_fini(&all[i].e.req);
    }
}

static void to_create(struct actor *a, struct drive *d, enum mf_entity_kind kind)
{
    *a = (struct actor){.d = d, .verb = &verb_create, .kind = kind};
    a->e.ins = &a->in;
    a->e.n_ins = 1;
}

/* Of those who wanted a name: the number who have it; the others were told. */
static size_t count_winners(const struct actor *all, size_t n)
{
    size_t n_ok = 0;

    for (size_t i = 0; i < n; i++) {
        n_ok += all[i].rc == 0;
        if (all[i].rc != 0) {
            MF_CHECK_INT(all[i].rc, MF_EEXIST);
            MF_CHECK_STR(all[i].e.req.err.msg, "another user has this name already");
        }
    }
    return n_ok;
}

MF_TEST(pg_entities, gives_a_name_to_one_of_those_who_ask_at_once)
{
    static struct drive drives[N_AT_ONCE];
    static struct actor actors[N_AT_ONCE];

    furnish(drives, N_AT_ONCE, false);
    for (unsigned turn = 0; turn < N_TURNS; turn++) {
        for (unsigned i = 0; i < N_AT_ONCE; i++) {
            struct actor *a = &actors[i];

            to_create(a, &drives[i], MF_ENTITY_USER);
            (void)snprintf(a->id, sizeof(a->id), "u%u-%u", turn, i);
            (void)snprintf(a->name, sizeof(a->name), "name %u", turn);
            a->in = person(a->id, a->name);
        }
        act_all(actors, N_AT_ONCE);
        MF_CHECK_INT(count_winners(actors, N_AT_ONCE), 1);
    }
    MF_CHECK_STR(drive_value(&drives[0], "SELECT count(*) FROM users"), "10");
    put_away(drives, N_AT_ONCE);
}

MF_TEST(pg_entities, one_request_sent_by_all_at_once_succeeds_for_all)
{
    static struct drive drives[N_AT_ONCE];
    static struct actor actors[N_AT_ONCE];

    furnish(drives, N_AT_ONCE, false);
    for (unsigned turn = 0; turn < N_TURNS; turn++) {
        for (unsigned i = 0; i < N_AT_ONCE; i++) {
            struct actor *a = &actors[i];

            to_create(a, &drives[i], MF_ENTITY_AGENT);
            (void)snprintf(a->id, sizeof(a->id), "a%u", turn);
            a->in = person(a->id, a->id);
        }
        act_all(actors, N_AT_ONCE);
        for (unsigned i = 0; i < N_AT_ONCE; i++) {
            MF_CHECK_OK(actors[i].rc);
        }
    }
    MF_CHECK_STR(drive_value(&drives[0], "SELECT count(*) FROM agents"), "10");
    put_away(drives, N_AT_ONCE);
}

MF_TEST(pg_entities, leaves_no_session_whose_user_went_at_the_same_moment)
{
    static struct drive drives[2];
    static struct actor actors[2];
    struct mf_entity agent = person("a", "a");
    struct mf_entity user = person("u", "u");

    furnish(drives, 2, false);
    MF_CHECK_OK(create(&drives[0], MF_ENTITY_AGENT, &agent));
    for (unsigned turn = 0; turn < 2 * N_TURNS; turn++) {
        MF_CHECK_OK(create(&drives[0], MF_ENTITY_USER, &user));
        to_create(&actors[0], &drives[0], MF_ENTITY_SESSION);
        actors[0].in = person("s", "s");
        actors[0].in.user_id = text("u");
        actors[0].in.agent_id = text("a");
        actors[1] = (struct actor){
            .d = &drives[1], .verb = &verb_delete, .kind = MF_ENTITY_USER};
        actors[1].e.in.id = text("u");
        act_all(actors, 2);
        MF_CHECK_OK(actors[1].rc);
        MF_CHECK(actors[0].rc == 0 || actors[0].rc == MF_ECONFLICT);
        MF_CHECK_INT(actors[1].e.n_sessions, actors[0].rc == 0 ? 1 : 0);
        MF_CHECK_STR(drive_value(&drives[0], "SELECT count(*) FROM sessions"), "0");
    }
    put_away(drives, 2);
}

/* --- alone */

MF_TEST(pg_entities, refuses_a_session_id_that_another_user_has)
{
    struct drive d;
    struct mf_entity agent = person("a", "a");
    struct mf_entity users[2] = {person("u", "u"), person("v", "v")};
    struct mf_entity session = person("s", "s");

    furnish(&d, 1, false);
    MF_CHECK_OK(create(&d, MF_ENTITY_AGENT, &agent));
    MF_CHECK_OK(create(&d, MF_ENTITY_USER, &users[0]));
    MF_CHECK_OK(create(&d, MF_ENTITY_USER, &users[1]));
    session.user_id = text("u");
    session.agent_id = text("a");
    MF_CHECK_OK(create(&d, MF_ENTITY_SESSION, &session));
    session.user_id = text("v");
    MF_CHECK_INT(create(&d, MF_ENTITY_SESSION, &session), MF_EEXIST);
    MF_CHECK_STR(drive_value(&d, "SELECT count(*) FROM sessions"), "1");
    drive_close(&d);
}

MF_TEST(pg_entities, creates_all_or_none_of_a_request)
{
    struct drive d;
    struct mf_entity in[3] = {person("u1", "n1"), person("u2", "n2"),
                              person("u3", "n1")};
    struct mf_store_entity e = {.ins = in, .n_ins = 3};

    furnish(&d, 1, false);
    MF_CHECK_INT(run(&d, &verb_create, &e, MF_ENTITY_USER), MF_EEXIST);
    mf_store_req_fini(&e.req);
    MF_CHECK_STR(drive_value(&d, "SELECT count(*) FROM users"), "0");
    in[2].name = text("n3");
    MF_CHECK_OK(run(&d, &verb_create, &e, MF_ENTITY_USER));
    MF_CHECK_INT(e.n_rows, 3);
    MF_CHECK(mf_slice_is(e.rows[2].id, "u3"));
    mf_store_req_fini(&e.req);
    drive_close(&d);
}

MF_TEST(pg_entities, deletes_an_agent_with_more_sessions_than_a_round_takes)
{
    struct drive d;
    struct mf_store_entity e = {.in = {.id = text("a")}};
    char sql[256];

    furnish(&d, 1, false);
    drive_exec(&d, "INSERT INTO agents VALUES ('a', 'a', NULL, 1, 1),"
                   " ('b', 'b', NULL, 1, 1)");
    (void)snprintf(
        sql, sizeof(sql),
        "INSERT INTO sessions (user_id, id, agent_id, created_us, updated_us)"
        " SELECT 'u' || i %% 3, 's' || i,"
        " CASE WHEN i = 0 THEN 'b' ELSE 'a' END, i, i"
        " FROM generate_series(0, %d) i",
        N_SESSIONS);
    drive_exec(&d, sql);
    drive_exec(&d, "INSERT INTO messages SELECT user_id, 'm' || id, 1, id, NULL, 1, 1,"
                   " 0, false, 0, NULL, 'text', NULL FROM sessions");
    drive_exec(&d, "INSERT INTO passages SELECT user_id, id, 'p' FROM messages");
    MF_CHECK_OK(run(&d, &verb_delete, &e, MF_ENTITY_AGENT));
    MF_CHECK_INT(e.n_sessions, N_SESSIONS);
    MF_CHECK(mf_slice_is(e.sessions[0].id, "s1"));
    mf_store_req_fini(&e.req);
    MF_CHECK_STR(drive_value(&d, "SELECT count(*) FROM sessions"), "1");
    MF_CHECK_STR(drive_value(&d, "SELECT count(*) FROM messages"), "1");
    MF_CHECK_STR(drive_value(&d, "SELECT message_id FROM passages"), "ms0");
    MF_CHECK_STR(drive_value(&d, "SELECT id FROM agents"), "b");
    drive_close(&d);
}

/* --- a store that others write to */

static int load(struct drive *d, struct mf_store_search *s)
{
    return drive_request(d, &verb_load, &s->req);
}

/* So many rows; the mark. */
static uint64_t check_since(struct drive *d, uint64_t after_mark, size_t n)
{
    struct mf_store_search s = {.user_id = text("u"), .after_mark = after_mark};

    MF_CHECK_OK(load(d, &s));
    MF_CHECK_INT(s.n_rows, n);
    mf_store_req_fini(&s.req);
    return s.mark;
}

MF_TEST(pg_entities, marks_knowledge_that_is_new_or_changed_in_a_shared_store)
{
    struct drive d;
    struct mf_entity user = person("u", "u");
    struct mf_entity facts[2] = {fact("k1", 11), fact("k2", 12)};
    struct mf_store_entity e = {.ins = facts, .n_ins = 2};
    uint64_t first;

    furnish(&d, 1, true);
    MF_CHECK_OK(create(&d, MF_ENTITY_USER, &user));
    MF_CHECK_INT(check_since(&d, 0, 0), 0);
    MF_CHECK_OK(run(&d, &verb_create, &e, MF_ENTITY_KNOWLEDGE));
    MF_CHECK_INT(e.n_rows, 2);
    mf_store_req_fini(&e.req);
    first = check_since(&d, 0, 2);
    MF_CHECK_INT(check_since(&d, first, 0), first);
    e.n_ins = 1;
    facts[0].text = text("a better fact");
    MF_CHECK_OK(run(&d, &verb_update, &e, MF_ENTITY_KNOWLEDGE));
    MF_CHECK_INT(e.n_rows, 1);
    mf_store_req_fini(&e.req);
    MF_CHECK_INT(check_since(&d, first, 1), first + 1);
    MF_CHECK_INT(check_since(&d, 0, 2), first + 1);
    drive_close(&d);
}

/* A fact of a request of its own. */
static void tell(struct drive *d, unsigned number)
{
    char id[16];
    struct mf_entity one;

    (void)snprintf(id, sizeof(id), "k%u", number);
    one = fact(id, number);
    MF_CHECK_OK(create(d, MF_ENTITY_KNOWLEDGE, &one));
}

/* The shelf of one process has the marks of a user whom another one deletes and makes
 * again, and who soon has more rows than before. */
MF_TEST(pg_entities, shows_all_rows_of_a_user_who_was_made_again_elsewhere)
{
    static struct drive drives[2];
    struct drive *here = &drives[0];
    struct drive *there = &drives[1];
    struct mf_entity user = person("u", "u");
    struct mf_store_entity gone = {.in = {.id = text("u")}};
    uint64_t mark;

    furnish(drives, 2, true);
    MF_CHECK_OK(create(here, MF_ENTITY_USER, &user));
    for (unsigned i = 1; i <= 3; i++) {
        tell(here, i);
    }
    mark = check_since(here, 0, 3);
    MF_CHECK_OK(run(there, &verb_delete, &gone, MF_ENTITY_USER));
    mf_store_req_fini(&gone.req);
    MF_CHECK_OK(create(there, MF_ENTITY_USER, &user));
    for (unsigned i = 11; i <= 15; i++) {
        tell(there, i);
    }
    MF_CHECK(!mf_store_marks_are_akin(mark, check_since(here, mark, 5)));
    put_away(drives, 2);
}

MF_TEST(pg_entities, marks_each_user_of_a_request_once)
{
    struct drive d;
    struct mf_entity facts[3] = {fact("k1", 11), fact("k2", 12), fact("k3", 13)};
    struct mf_store_entity e = {.ins = facts, .n_ins = 3};

    furnish(&d, 1, true);
    drive_exec(&d, "INSERT INTO users VALUES ('u', 'u', NULL, 1, 1),"
                   " ('v', 'v', NULL, 1, 1)");
    drive_exec(&d, "INSERT INTO marks VALUES ('u', 6), ('v', 2)");
    facts[0].user_id = facts[2].user_id = text("v");
    MF_CHECK_OK(run(&d, &verb_create, &e, MF_ENTITY_KNOWLEDGE));
    MF_CHECK(mf_slice_is(e.rows[0].id, "k1") && mf_slice_is(e.rows[0].user_id, "v"));
    mf_store_req_fini(&e.req);
    MF_CHECK_STR(drive_value(&d, "SELECT string_agg(user_id || mark, ' ' ORDER BY"
                                 " user_id) FROM marks"),
                 "u7 v3");
    MF_CHECK_STR(drive_value(&d, "SELECT string_agg(user_id || id || mark, ' ' ORDER BY"
                                 " id) FROM knowledge"),
                 "vk13 uk27 vk33");
    drive_close(&d);
}

MF_TEST(pg_entities, loads_the_agents_of_sessions_with_the_rows_since_a_mark)
{
    struct drive d;
    struct mf_store_search s = {.user_id = text("u"), .after_mark = 4};

    furnish(&d, 1, true);
    drive_exec(&d, "INSERT INTO sessions VALUES ('u', 's1', 'a1', 'x', 1, 1),"
                   " ('u', 's2', 'a2', 'y', 1, 1), ('v', 's3', 'a3', 'z', 1, 1)");
    drive_exec(&d,
               "INSERT INTO messages SELECT CASE WHEN i = 9 THEN 'v' ELSE 'u' END,"
               " 'm' || i, 100 - i, 's' || i % 3, NULL, 1, 1, 0, false, i, 'record',"
               " 'text', NULL FROM generate_series(1, 9) i");
    drive_exec(&d, "INSERT INTO marks VALUES ('u', 8), ('v', 9)");
    MF_CHECK_OK(load(&d, &s));
    MF_CHECK_INT(s.mark, 8);
    MF_CHECK_INT(s.n_rows, 4); /* 8, 7, 6, 5 by ascending seq */
    MF_CHECK_INT(s.rows[0].seq, 92);
    MF_CHECK(mf_slice_is(s.rows[0].session_id, "s2"));
    MF_CHECK(mf_slice_is(s.rows[0].agent_id, "a2"));
    MF_CHECK(mf_slice_is(s.rows[1].agent_id, "a1"));
    MF_CHECK(mf_slice_is(s.rows[2].session_id, "s0"));
    MF_CHECK_INT(s.rows[2].agent_id.n, 0);
    MF_CHECK_INT(s.rows[3].seq, 95);
    mf_store_req_fini(&s.req);
    s.max_rows = 3;
    MF_CHECK_OK(load(&d, &s));
    MF_CHECK_INT(s.n_rows, 3);
    MF_CHECK(s.has_more);
    mf_store_req_fini(&s.req);
    drive_close(&d);
}

/* --- pieces and memory */

struct taken {
    size_t n_pieces, n_rows, n_bytes;
    bool is_good;
};

static int take_piece(struct mf_store_search *s, const struct mf_store_search_row *rows,
                      size_t n)
{
    struct taken *t = s->feed_arg;

    t->n_pieces++;
    for (size_t i = 0; i < n; i++) {
        struct mf_slice search = rows[i].search;

        t->n_rows++;
        t->n_bytes += search.n;
        t->is_good &= rows[i].seq == t->n_rows &&
                      mf_slice_is(rows[i].session_id, "lost") && search.n > 0 &&
                      search.p[0] == (char)rows[i].seq &&
                      search.p[search.n - 1] == (char)rows[i].seq;
    }
    return 0;
}

/* 30 records of 100,000 bytes, in their midst one that is larger than a piece. */
MF_TEST(pg_entities, feeds_large_records_in_pieces_by_their_bytes)
{
    struct drive d;
    struct taken t = {.is_good = true};
    struct mf_store_search s = {
        .user_id = text("u"), .feed = take_piece, .feed_arg = &t};

    furnish(&d, 1, false);
    drive_exec(&d,
               "INSERT INTO messages SELECT 'u', 'm' || i, i, 'lost', NULL, 1, 1, 0,"
               " false, 0, decode(repeat(lpad(to_hex(i), 2, '0'),"
               " CASE WHEN i = 15 THEN 1500000 ELSE 100000 END), 'hex'),"
               " 'text', NULL FROM generate_series(1, 30) i");
    MF_CHECK_OK(load(&d, &s));
    MF_CHECK(t.is_good);
    MF_CHECK_INT(t.n_rows, 30);
    MF_CHECK_INT(s.n_rows, 30);
    MF_CHECK_INT(t.n_bytes, 29 * 100000 + 1500000);
    MF_CHECK(t.n_pieces >= 4 && t.n_pieces <= 6);
    mf_store_req_fini(&s.req);
    drive_close(&d);
}

static int change_everything(struct drive *d)
{
    struct mf_entity facts[2] = {fact("k1", 11), fact("k2", 12)};
    struct mf_entity user = person("u", "u");
    struct mf_store_entity made = {.ins = facts, .n_ins = 2};
    struct mf_store_entity changed = {.ins = facts, .n_ins = 2};
    struct mf_store_entity gone = {.in = {.id = text("u")}};
    struct mf_store_search s = {.user_id = text("u")};
    int rc = create(d, MF_ENTITY_USER, &user);

    rc = rc < 0 ? rc : run(d, &verb_create, &made, MF_ENTITY_KNOWLEDGE);
    mf_store_req_fini(&made.req);
    rc = rc < 0 ? rc : run(d, &verb_update, &changed, MF_ENTITY_KNOWLEDGE);
    mf_store_req_fini(&changed.req);
    rc = rc < 0 ? rc : load(d, &s);
    mf_store_req_fini(&s.req);
    rc = rc < 0 ? rc : run(d, &verb_delete, &gone, MF_ENTITY_USER);
    mf_store_req_fini(&gone.req);
    return rc;
}

MF_TEST(pg_entities, each_failed_allocation_is_said_and_changes_nothing_for_the_next)
{
    struct drive d;
    bool has_failed = true;

    furnish(&d, 1, true);
    for (size_t nth = 1; has_failed; nth++) {
        int rc;

        mf_test_fail_nth(nth);
        rc = change_everything(&d);
        has_failed = mf_test_has_failed();
        mf_test_fail_nth(0);
        MF_CHECK_INT(rc, has_failed ? MF_ENOMEM : 0);
        MF_CHECK_OK(change_everything(&d));
    }
    MF_CHECK_STR(drive_value(&d, "SELECT count(*) FROM users"), "0");
    MF_CHECK_STR(drive_value(&d, "SELECT count(*) FROM knowledge"), "0");
    drive_close(&d);
}

/* --- how the server gets at it */

MF_TEST(pg_entities, a_cold_load_reads_in_the_order_of_the_index)
{
    struct drive d;
    char plan[8192] = "";
    char sql[1024];
    PGresult *res;

    furnish(&d, 1, false);
    drive_exec(&d, "INSERT INTO messages SELECT 'u' || i % 10, 'm' || i, i, 's', NULL,"
                   " 1, 1, 0, false, 0, sha256(i::text::bytea), repeat('text ', 20),"
                   " NULL FROM generate_series(1, 20000) i");
    drive_exec(&d, "ANALYZE messages");
    (void)snprintf(sql, sizeof(sql), "PREPARE cold AS %s",
                   mf_pg_sql(MF_PG_SEARCH_ALL)->text);
    drive_exec(&d, sql);
    res = PQexec(d.db, "EXPLAIN EXECUTE cold('u1', 0, NULL)");
    for (int i = 0; i < PQntuples(res); i++) {
        size_t n = strlen(plan);

        (void)snprintf(plan + n, sizeof(plan) - n, "%s\n", PQgetvalue(res, i, 0));
    }
    PQclear(res);
    if (d.env.cfg.is_citus) {
        MF_CHECK(strstr(plan, "Task Count: 1") != NULL);
    }
    MF_CHECK(strstr(plan, "Merge Append") != NULL);
    MF_CHECK(strstr(plan, "Index Scan using messages_seq") != NULL);
    MF_CHECK(strstr(plan, "Sort  (") == NULL);
    drive_close(&d);
}
