/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/store_kit.h"

#include <stdio.h>

static const char hash_a[] = "0123456789abcdef0123456789abcdef";
static const char hash_b[] = "fedcba9876543210fedcba9876543210";

MF_LOOP static int ask(struct store_kit *k, struct mf_store_entity *e,
                       enum mf_store_op op, enum mf_entity_kind kind)
{
    e->req.op = op;
    e->kind = kind;
    return kit_run(k, &e->req);
}

static const char *ids_of(const struct mf_entity *rows, size_t n_rows)
{
    static char text[256];
    size_t n = 0;

    text[0] = '\0';
    for (size_t i = 0; i < n_rows; i++) {
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%.*s", i == 0 ? "" : " ",
                              (int)rows[i].id.n, rows[i].id.p);
    }
    return text;
}

MF_LOOP static void check_list(struct store_kit *k, enum mf_entity_kind kind,
                               const char *user, const char *agent,
                               const char *expected)
{
    struct mf_store_entity e = {
        .in = {.user_id = kit_s(user), .agent_id = kit_s(agent)}};

    MF_CHECK_OK(ask(k, &e, MF_STORE_LIST, kind));
    MF_CHECK_STR(ids_of(e.rows, e.n_rows), expected);
    mf_store_req_fini(&e.req);
}

static struct mf_entity named(const char *id, const char *name)
{
    return (struct mf_entity){
        .id = kit_s(id), .name = kit_s(name), .created_us = 5, .updated_us = 6};
}

static struct mf_entity session(const char *id, const char *name, const char *user,
                                const char *agent)
{
    struct mf_entity s = named(id, name);

    s.user_id = kit_s(user);
    s.agent_id = kit_s(agent);
    return s;
}

static struct mf_entity api_key(const char *id, const char *user, const char *hash)
{
    struct mf_entity key = named(id, "laptop");

    key.user_id = kit_s(user);
    key.key_hash = kit_s(hash);
    key.expires_us = 77;
    return key;
}

MF_TEST(store_entities, creates_a_user_and_gives_it_back)
{
    struct store_kit k = {0};
    struct mf_entity in = named("u1", "ann");
    struct mf_store_entity e = {.ins = &in, .n_ins = 1};

    kit_open(&k);
    in.has_text = true; /* an empty description is not a missing one */
    MF_CHECK_OK(ask(&k, &e, MF_STORE_CREATE, MF_ENTITY_USER));
    MF_CHECK_INT(e.n_rows, 1);
    MF_CHECK(kit_is(e.rows[0].id, "u1") && kit_is(e.rows[0].name, "ann"));
    mf_store_req_fini(&e.req);

    e = (struct mf_store_entity){.in = {.id = kit_s("u1")}};
    MF_CHECK_OK(ask(&k, &e, MF_STORE_GET, MF_ENTITY_USER));
    MF_CHECK_INT(e.n_rows, 1);
    MF_CHECK(e.rows[0].has_text);
    MF_CHECK_INT(e.rows[0].text.n, 0);
    MF_CHECK_INT(e.rows[0].created_us, 5);
    MF_CHECK_INT(e.rows[0].updated_us, 6);
    mf_store_req_fini(&e.req);
    e.in.id = kit_s("u2");
    MF_CHECK_INT(ask(&k, &e, MF_STORE_GET, MF_ENTITY_USER), MF_ENOTFOUND);
    mf_store_req_fini(&e.req);
    kit_close(&k);
}

MF_TEST(store_entities, refuses_a_taken_name_but_not_the_same_request_again)
{
    struct store_kit k = {0};
    struct mf_entity ann = named("u1", "ann");
    struct mf_entity other = named("u2", "ann");
    struct mf_entity stolen = named("u1", "bob");

    static const enum mf_entity_kind kinds[] = {MF_ENTITY_USER, MF_ENTITY_AGENT};

    kit_open(&k);
    for (size_t i = 0; i < 2; i++) {
        MF_CHECK_OK(kit_create(&k, kinds[i], &ann));
        MF_CHECK_OK(kit_create(&k, kinds[i], &ann));
        MF_CHECK_INT(kit_create(&k, kinds[i], &other), MF_EEXIST);
        MF_CHECK_INT(kit_create(&k, kinds[i], &stolen), MF_EEXIST);
    }
    MF_CHECK_INT(kit_count(&k, "SELECT count(*) FROM users"), 1);
    kit_close(&k);
}

MF_TEST(store_entities, refuses_a_session_without_its_user_or_agent)
{
    struct store_kit k = {0};
    struct mf_entity in = session("s9", "talk", "gone", "a1");
    struct mf_store_entity e = {.ins = &in, .n_ins = 1};

    kit_open(&k);
    kit_people(&k);
    MF_CHECK_INT(ask(&k, &e, MF_STORE_CREATE, MF_ENTITY_SESSION), MF_ECONFLICT);
    MF_CHECK_STR(e.req.err.msg, "user gone is not there");
    mf_store_req_fini(&e.req);
    in = session("s9", "talk", "u1", "gone");
    MF_CHECK_INT(ask(&k, &e, MF_STORE_CREATE, MF_ENTITY_SESSION), MF_ECONFLICT);
    MF_CHECK_STR(e.req.err.msg, "agent gone is not there");
    mf_store_req_fini(&e.req);
    MF_CHECK_INT(kit_count(&k, "SELECT count(*) FROM sessions WHERE id = 's9'"), 0);
    kit_close(&k);
}

MF_TEST(store_entities, keeps_session_names_apart_by_user)
{
    struct store_kit k = {0};
    struct mf_entity one = session("s7", "talk", "u2", "a1");
    struct mf_entity two = session("s8", "talk", "u1", "a1");
    struct mf_entity again = session("s9", "talk", "u1", "a2");
    struct mf_store_entity e = {.in = {.name = kit_s("talk")}};

    kit_open(&k);
    kit_people(&k);
    two.created_us = 4; /* the older one */
    MF_CHECK_OK(kit_create(&k, MF_ENTITY_SESSION, &one));
    MF_CHECK_OK(kit_create(&k, MF_ENTITY_SESSION, &two));
    MF_CHECK_INT(kit_create(&k, MF_ENTITY_SESSION, &again), MF_EEXIST);
    MF_CHECK_OK(ask(&k, &e, MF_STORE_FIND, MF_ENTITY_SESSION));
    MF_CHECK_STR(ids_of(e.rows, e.n_rows), "s8");
    mf_store_req_fini(&e.req);
    e.in.user_id = kit_s("u2");
    MF_CHECK_OK(ask(&k, &e, MF_STORE_FIND, MF_ENTITY_SESSION));
    MF_CHECK_STR(ids_of(e.rows, e.n_rows), "s7");
    mf_store_req_fini(&e.req);
    e.in.name = kit_s("no talk");
    MF_CHECK_INT(ask(&k, &e, MF_STORE_FIND, MF_ENTITY_SESSION), MF_ENOTFOUND);
    mf_store_req_fini(&e.req);
    kit_close(&k);
}

MF_TEST(store_entities, lists_sessions_by_each_filter)
{
    struct store_kit k = {0};
    struct mf_store_entity e = {.limit = 2};

    kit_open(&k);
    kit_people(&k);
    check_list(&k, MF_ENTITY_USER, NULL, NULL, "u1 u2");
    check_list(&k, MF_ENTITY_AGENT, NULL, NULL, "a1 a2");
    check_list(&k, MF_ENTITY_SESSION, NULL, NULL, "s1 s2 s3");
    check_list(&k, MF_ENTITY_SESSION, "u1", NULL, "s1 s2");
    check_list(&k, MF_ENTITY_SESSION, NULL, "a1", "s1 s3");
    check_list(&k, MF_ENTITY_SESSION, "u1", "a2", "s2");
    check_list(&k, MF_ENTITY_SESSION, "u3", NULL, "");
    MF_CHECK_OK(ask(&k, &e, MF_STORE_LIST, MF_ENTITY_SESSION));
    MF_CHECK_STR(ids_of(e.rows, e.n_rows), "s1 s2");
    mf_store_req_fini(&e.req);
    kit_close(&k);
}

MF_TEST(store_entities, hides_knowledge_and_keys_from_another_user)
{
    struct store_kit k = {0};
    struct mf_entity fact = kit_knowledge("u1", "k1", 4);
    struct mf_entity key = api_key("key1", "u1", hash_a);
    const struct mf_slice ids[] = {kit_s("k1"), kit_s("gone")};
    struct mf_store_entity e = {.in = {.user_id = kit_s("u2")}, .ids = ids, .n = 2};

    kit_open(&k);
    kit_people(&k);
    MF_CHECK_OK(kit_create(&k, MF_ENTITY_KNOWLEDGE, &fact));
    MF_CHECK_OK(kit_create(&k, MF_ENTITY_API_KEY, &key));
    MF_CHECK_OK(ask(&k, &e, MF_STORE_GET, MF_ENTITY_KNOWLEDGE));
    MF_CHECK_INT(e.n_rows, 0);
    mf_store_req_fini(&e.req);
    MF_CHECK_OK(ask(&k, &e, MF_STORE_DELETE, MF_ENTITY_KNOWLEDGE));
    MF_CHECK_INT(e.n_rows, 0);
    mf_store_req_fini(&e.req);
    e.in.user_id = kit_s("u1");
    MF_CHECK_OK(ask(&k, &e, MF_STORE_GET, MF_ENTITY_KNOWLEDGE));
    MF_CHECK_STR(ids_of(e.rows, e.n_rows), "k1");
    MF_CHECK(kit_is(e.rows[0].text, "a fact"));
    MF_CHECK(kit_is(e.rows[0].search, "fact record"));
    MF_CHECK_INT(e.rows[0].seq, 4);
    mf_store_req_fini(&e.req);
    check_list(&k, MF_ENTITY_KNOWLEDGE, "u1", NULL, "k1");
    check_list(&k, MF_ENTITY_KNOWLEDGE, "u2", NULL, "");
    check_list(&k, MF_ENTITY_API_KEY, "u2", NULL, "");
    check_list(&k, MF_ENTITY_API_KEY, "u1", NULL, "key1");
    kit_close(&k);
}

MF_TEST(store_entities, finds_a_key_by_its_hash)
{
    struct store_kit k = {0};
    struct mf_entity key = api_key("key1", "u1", hash_a);
    struct mf_entity twin = api_key("key2", "u2", hash_a);
    struct mf_store_entity e = {.in = {.key_hash = kit_s(hash_a)}};

    kit_open(&k);
    kit_people(&k);
    MF_CHECK_OK(kit_create(&k, MF_ENTITY_API_KEY, &key));
    MF_CHECK_INT(kit_create(&k, MF_ENTITY_API_KEY, &twin), MF_EEXIST);
    MF_CHECK_OK(ask(&k, &e, MF_STORE_FIND, MF_ENTITY_API_KEY));
    MF_CHECK_STR(ids_of(e.rows, e.n_rows), "key1");
    MF_CHECK(kit_is(e.rows[0].user_id, "u1"));
    MF_CHECK_INT(e.rows[0].expires_us, 77);
    MF_CHECK(!e.rows[0].has_text);
    mf_store_req_fini(&e.req);
    e.in.key_hash = kit_s(hash_b);
    MF_CHECK_INT(ask(&k, &e, MF_STORE_FIND, MF_ENTITY_API_KEY), MF_ENOTFOUND);
    mf_store_req_fini(&e.req);
    MF_CHECK_INT(ask(&k, &e, MF_STORE_FIND, MF_ENTITY_KNOWLEDGE), MF_EINVAL);
    mf_store_req_fini(&e.req);
    kit_close(&k);
}

MF_TEST(store_entities, updates_only_the_fields_that_are_set)
{
    struct store_kit k = {0};
    struct mf_entity ann = named("u9", "ann");
    struct mf_store_entity e = {.in = {.id = kit_s("u9"),
                                       .name = kit_s("unused"),
                                       .text = kit_s("likes tea"),
                                       .has_text = true,
                                       .updated_us = 50},
                                .set_text = true};

    kit_open(&k);
    kit_people(&k);
    MF_CHECK_OK(kit_create(&k, MF_ENTITY_USER, &ann));
    MF_CHECK_OK(ask(&k, &e, MF_STORE_UPDATE, MF_ENTITY_USER));
    MF_CHECK_INT(e.n_rows, 1);
    MF_CHECK(kit_is(e.rows[0].name, "ann") && kit_is(e.rows[0].text, "likes tea"));
    MF_CHECK_INT(e.rows[0].created_us, 5);
    MF_CHECK_INT(e.rows[0].updated_us, 50);
    mf_store_req_fini(&e.req);
    e.set_text = false;
    e.set_name = true;
    e.in.name = kit_s("u1"); /* taken */
    MF_CHECK_INT(ask(&k, &e, MF_STORE_UPDATE, MF_ENTITY_USER), MF_EEXIST);
    mf_store_req_fini(&e.req);
    e.in.id = kit_s("nobody");
    MF_CHECK_INT(ask(&k, &e, MF_STORE_UPDATE, MF_ENTITY_USER), MF_ENOTFOUND);
    mf_store_req_fini(&e.req);
    e.in.id = kit_s("s1");
    e.in.name = kit_s("renamed");
    MF_CHECK_OK(ask(&k, &e, MF_STORE_UPDATE, MF_ENTITY_SESSION));
    MF_CHECK(kit_is(e.rows[0].name, "renamed") && kit_is(e.rows[0].user_id, "u1"));
    mf_store_req_fini(&e.req);
    kit_close(&k);
}

MF_TEST(store_entities, updates_the_knowledge_that_is_found)
{
    struct store_kit k = {0};
    struct mf_entity fact = kit_knowledge("u1", "k1", 4);
    struct mf_entity news[2] = {kit_knowledge("u1", "gone", 0),
                                kit_knowledge("u1", "k1", 0)};
    struct mf_store_entity e = {
        .in = {.user_id = kit_s("u1")}, .ins = news, .n_ins = 2};

    kit_open(&k);
    kit_people(&k);
    MF_CHECK_OK(kit_create(&k, MF_ENTITY_KNOWLEDGE, &fact));
    news[0].text = news[1].text = kit_s("a better fact");
    news[1].is_pending = true;
    MF_CHECK_OK(ask(&k, &e, MF_STORE_UPDATE, MF_ENTITY_KNOWLEDGE));
    MF_CHECK_STR(ids_of(e.rows, e.n_rows), "k1");
    MF_CHECK(kit_is(e.rows[0].text, "a better fact"));
    MF_CHECK(e.rows[0].is_pending);
    MF_CHECK_INT(e.rows[0].seq, 4); /* its place among the records stays */
    mf_store_req_fini(&e.req);
    kit_close(&k);
}

/* m1 in s1, m2 in s2 (u1), m3 in s3 (u2); knowledge and keys of both users. */
MF_LOOP static void furnish(struct store_kit *k)
{
    struct mf_store_row rows[3] = {kit_row("u1", "s1", "m1", 1),
                                   kit_row("u1", "s2", "m2", 2),
                                   kit_row("u2", "s3", "m3", 3)};
    struct mf_entity fact1 = kit_knowledge("u1", "k1", 4);
    struct mf_entity fact2 = kit_knowledge("u2", "k2", 5);
    struct mf_entity key1 = api_key("key1", "u1", hash_a);
    struct mf_entity key2 = api_key("key2", "u2", hash_b);

    kit_people(k);
    for (size_t i = 0; i < 3; i++) {
        rows[i].passages = kit_s("passages");
    }
    MF_CHECK_OK(kit_write(k, rows, 3, NULL));
    MF_CHECK_OK(kit_create(k, MF_ENTITY_KNOWLEDGE, &fact1));
    MF_CHECK_OK(kit_create(k, MF_ENTITY_KNOWLEDGE, &fact2));
    MF_CHECK_OK(kit_create(k, MF_ENTITY_API_KEY, &key1));
    MF_CHECK_OK(kit_create(k, MF_ENTITY_API_KEY, &key2));
}

MF_LOOP static void delete_one(struct store_kit *k, enum mf_entity_kind kind,
                               const char *id, const char *sessions)
{
    struct mf_store_entity e = {.in = {.id = kit_s(id)}};

    MF_CHECK_OK(ask(k, &e, MF_STORE_DELETE, kind));
    MF_CHECK_STR(ids_of(e.rows, e.n_rows), id);
    MF_CHECK_STR(ids_of(e.sessions, e.n_sessions), sessions);
    mf_store_req_fini(&e.req);
    MF_CHECK_INT(ask(k, &e, MF_STORE_DELETE, kind), MF_ENOTFOUND);
    mf_store_req_fini(&e.req);
}

MF_LOOP static void check_left(struct store_kit *k, const char *messages)
{
    struct mf_store_messages m = {.req = {.op = MF_STORE_GET_MESSAGES}};
    const struct mf_slice ids[] = {kit_s("m1"), kit_s("m2"), kit_s("m3")};
    char left[64] = "";
    int64_t n;

    m.ids = ids;
    m.n = 3;
    for (int user = 1; user <= 2; user++) {
        m.user_id = kit_s(user == 1 ? "u1" : "u2");
        MF_CHECK_OK(kit_run(k, &m.req));
        for (size_t i = 0; i < m.n_rows; i++) {
            strncat(left, m.rows[i].msg.id.p, m.rows[i].msg.id.n);
            MF_CHECK(kit_is(m.rows[i].passages, "passages"));
        }
        mf_store_req_fini(&m.req);
    }
    MF_CHECK_STR(left, messages);
    n = kit_count(k, "SELECT count(*) FROM messages");
    MF_CHECK_INT(kit_count(k, "SELECT count(*) FROM passages"), n);
    MF_CHECK_INT(kit_n_messages(k), n);
}

MF_TEST(store_entities, deletes_a_session_with_its_messages)
{
    struct store_kit k = {0};

    kit_open(&k);
    furnish(&k);
    delete_one(&k, MF_ENTITY_SESSION, "s1", "");
    check_left(&k, "m2m3");
    check_list(&k, MF_ENTITY_SESSION, NULL, NULL, "s2 s3");
    kit_close(&k);
}

MF_TEST(store_entities, deletes_an_agent_with_the_sessions_of_all_users)
{
    struct store_kit k = {0};

    kit_open(&k);
    furnish(&k);
    delete_one(&k, MF_ENTITY_AGENT, "a1", "s1 s3");
    check_left(&k, "m2");
    check_list(&k, MF_ENTITY_SESSION, NULL, NULL, "s2");
    check_list(&k, MF_ENTITY_AGENT, NULL, NULL, "a2");
    kit_close(&k);
}

MF_TEST(store_entities, deletes_a_user_with_all_that_is_his_and_nothing_else)
{
    struct store_kit k = {0};

    kit_open(&k);
    furnish(&k);
    delete_one(&k, MF_ENTITY_USER, "u1", "s1 s2");
    check_left(&k, "m3");
    check_list(&k, MF_ENTITY_USER, NULL, NULL, "u2");
    check_list(&k, MF_ENTITY_SESSION, NULL, NULL, "s3");
    check_list(&k, MF_ENTITY_KNOWLEDGE, "u1", NULL, "");
    check_list(&k, MF_ENTITY_KNOWLEDGE, "u2", NULL, "k2");
    check_list(&k, MF_ENTITY_API_KEY, "u1", NULL, "");
    check_list(&k, MF_ENTITY_API_KEY, "u2", NULL, "key2");
    kit_close(&k);
}

MF_LOOP static int get_answer(struct store_kit *k, const char *key, int *status)
{
    struct mf_store_idem_req r = {.req = {.op = MF_STORE_IDEM_GET}, .key = kit_s(key)};
    int rc = kit_run(k, &r.req);

    *status = r.found.status;
    if (rc == 0) {
        MF_CHECK(kit_is(r.found.response, "{}"));
        MF_CHECK_INT(r.found.body_hash[31], 9);
    }
    mf_store_req_fini(&r.req);
    return rc;
}

static struct mf_store_idem answer(const char *key, int status, int64_t created_us)
{
    struct mf_store_idem a = {.key = kit_s(key),
                              .status = status,
                              .response = kit_s("{}"),
                              .created_us = created_us};

    a.body_hash[31] = 9;
    return a;
}

MF_TEST(store_entities, records_an_answer_with_what_it_answers_for_or_not_at_all)
{
    struct store_kit k = {0};
    struct mf_entity in = named("u9", "ann");
    struct mf_store_idem first = answer("key one", 201, 10);
    struct mf_store_entity e = {.ins = &in, .n_ins = 1, .idem = &first};
    int status;

    kit_open(&k);
    kit_people(&k);
    MF_CHECK_OK(ask(&k, &e, MF_STORE_CREATE, MF_ENTITY_USER));
    mf_store_req_fini(&e.req);
    MF_CHECK_OK(get_answer(&k, "key one", &status));
    MF_CHECK_INT(status, 201);

    first.status = 400; /* the first answer stays */
    MF_CHECK_OK(ask(&k, &e, MF_STORE_CREATE, MF_ENTITY_USER));
    mf_store_req_fini(&e.req);
    MF_CHECK_OK(get_answer(&k, "key one", &status));
    MF_CHECK_INT(status, 201);

    first.key = kit_s("key two");
    in = named("u8", "ann"); /* taken */
    MF_CHECK_INT(ask(&k, &e, MF_STORE_CREATE, MF_ENTITY_USER), MF_EEXIST);
    mf_store_req_fini(&e.req);
    MF_CHECK_INT(get_answer(&k, "key two", &status), MF_ENOTFOUND);
    kit_close(&k);
}

MF_TEST(store_entities, purges_answers_older_than_asked)
{
    struct store_kit k = {0};
    const struct mf_store_idem idems[] = {answer("old", 201, 10),
                                          answer("new", 201, 20)};
    struct mf_store_row row = kit_row("u1", "s1", "m1", 1);
    struct mf_store_write w = {.req = {.op = MF_STORE_WRITE_ROUNDS},
                               .rows = &row,
                               .n_rows = 1,
                               .idems = idems,
                               .n_idems = 2};
    struct mf_store_idem_req r = {.req = {.op = MF_STORE_IDEM_PURGE}, .before_us = 20};
    int status;

    kit_open(&k);
    MF_CHECK_OK(kit_run(&k, &w.req));
    mf_store_req_fini(&w.req);
    MF_CHECK_OK(kit_run(&k, &r.req));
    MF_CHECK_INT(r.n_purged, 1);
    mf_store_req_fini(&r.req);
    MF_CHECK_INT(get_answer(&k, "old", &status), MF_ENOTFOUND);
    MF_CHECK_OK(get_answer(&k, "new", &status));
    kit_close(&k);
}
