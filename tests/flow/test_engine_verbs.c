/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's verbs against each other: changes that race, other people's things, and
 * a stop at any moment. */
#include "base/err.h"
#include "engine/engine_priv.h"
#include "flow/engine_kit.h"

#include <stdio.h>
#include <string.h>

static const char *const quick[] = {"buffer.performance.flush_interval=0.02",
                                    "buffer.performance.force_flush_timeout=0.02",
                                    "buffer.performance.flush_timeout=5",
                                    "flush.batch_age=0",
                                    "flush.retry_first=0.01",
                                    "flush.retry_max=0.05",
                                    NULL};
/* Nothing is flushed unless somebody asks for it. */
static const char *const still[] = {"buffer.performance.flush_interval=3600",
                                    "buffer.performance.force_flush_timeout=3600",
                                    "buffer.hybrid_buffer.max_size=10000",
                                    "flush.vector_wait=3600",
                                    "flush.batch_age=0",
                                    "drain.timeout=0",
                                    NULL};

struct run {
    union {
        struct mf_call call;
        struct mf_add_call add;
        struct mf_messages_call messages;
        struct mf_ask_call ask;
        struct mf_entity_call entity;
    } c;

    struct mf_arena arena;
    struct mf_slice ids[4];
    struct mf_msg news[4];
    struct mf_entity in;
    struct kit_id made;
    char text[128];
    size_t n_rows;
    unsigned n_done;
    bool is_done;
    int rc;
};

static void on_done(struct mf_call *c, int rc)
{
    struct run *r = mf_container_of(c, struct run, c.call);

    r->rc = rc;
    r->n_done++;
    r->is_done = true;
}

static void on_entity_done(struct mf_call *c, int rc)
{
    struct run *r = mf_container_of(c, struct run, c.call);

    r->n_rows = r->c.entity.n_rows;
    if (rc == 0 && r->n_rows > 0) {
        (void)snprintf(r->made.s, sizeof(r->made.s), "%.*s",
                       (int)r->c.entity.rows[0].id.n, r->c.entity.rows[0].id.p);
    }
    on_done(c, rc);
}

static void on_messages_done(struct mf_call *c, int rc)
{
    struct run *r = mf_container_of(c, struct run, c.call);

    r->n_rows = r->c.messages.n_rows;
    if (rc == 0 && r->n_rows > 0) {
        (void)snprintf(r->text, sizeof(r->text), "%.*s",
                       (int)r->c.messages.rows[0].content.n,
                       r->c.messages.rows[0].content.p);
    }
    on_done(c, rc);
}

static void on_ask_done(struct mf_call *c, int rc)
{
    struct run *r = mf_container_of(c, struct run, c.call);

    r->n_rows = r->c.ask.n_found;
    on_done(c, rc);
}

static void run_init(struct run *r, const struct mf_scope *scope,
                     void (*done)(struct mf_call *c, int rc))
{
    memset(r, 0, sizeof(*r));
    mf_arena_init(&r->arena, 4096);
    r->c.call.scope = scope;
    r->c.call.arena = &r->arena;
    r->c.call.done = done;
}

/* A verb that refused is done, too. */
static void began(struct run *r, int rc)
{
    MF_CHECK_INT(r->n_done, 0); /* never before the verb returned */
    if (rc < 0) {
        r->rc = rc;
        r->is_done = true;
    }
}

MF_LOOP static int run_end(struct kit *k, struct run *r)
{
    mf_loop_fixture_wait(k->loop, &r->is_done);
    mf_arena_fini(&r->arena);
    MF_CHECK(r->n_done <= 1);
    return r->rc;
}

/* ---- beginnings of verbs ---- */

MF_LOOP static void begin_add(struct kit *k, struct run *r, const struct mf_scope *s,
                              const char *id, const char *text)
{
    run_init(r, s, on_done);
    (void)snprintf(r->text, sizeof(r->text), "%s", text);
    r->news[0].content = mf_slice_str(r->text);
    r->news[0].id = id == NULL ? mf_slice_of(NULL, 0) : mf_slice_str(id);
    r->c.add.session_id = mf_slice_str(k->session.s);
    r->c.add.msgs = r->news;
    r->c.add.n_msgs = 1;
    began(r, mf_engine_add(k->e, &r->c.add));
}

MF_LOOP static void fill_messages(struct kit *k, struct run *r,
                                  const struct mf_scope *s, const char *id)
{
    run_init(r, s, on_messages_done);
    r->ids[0] = mf_slice_str(id);
    r->news[0].content = mf_slice_str("another text");
    r->c.messages.session_id = mf_slice_str(k->session.s);
    r->c.messages.ids = r->ids;
    r->c.messages.n_ids = 1;
    r->c.messages.news = r->news;
    r->c.messages.limit = 10;
}

MF_LOOP static void begin_update(struct kit *k, struct run *r, const struct mf_scope *s,
                                 const char *id)
{
    fill_messages(k, r, s, id);
    began(r, mf_engine_update(k->e, &r->c.messages));
}

MF_LOOP static void begin_delete(struct kit *k, struct run *r, const struct mf_scope *s,
                                 const char *id)
{
    fill_messages(k, r, s, id);
    began(r, mf_engine_delete(k->e, &r->c.messages));
}

MF_LOOP static void begin_list(struct kit *k, struct run *r, const struct mf_scope *s)
{
    fill_messages(k, r, s, "x");
    began(r, mf_engine_list(k->e, &r->c.messages));
}

MF_LOOP static void begin_read(struct kit *k, struct run *r, const struct mf_scope *s,
                               const char *id)
{
    fill_messages(k, r, s, id);
    began(r, mf_engine_read(k->e, &r->c.messages));
}

MF_LOOP static void begin_ask(struct kit *k, struct run *r, const struct mf_scope *s,
                              const char *user_id, const char *session_id)
{
    run_init(r, s, on_ask_done);
    r->c.ask.user_id = mf_slice_str(user_id);
    r->c.ask.text = mf_slice_str("text");
    r->c.ask.top_k = 5;
    if (session_id != NULL) {
        r->c.ask.session_id = mf_slice_str(session_id);
    }
    began(r, mf_engine_ask(k->e, &r->c.ask));
}

MF_LOOP static void begin_entity_delete(struct kit *k, struct run *r,
                                        const struct mf_scope *s,
                                        enum mf_entity_kind kind, const char *id)
{
    run_init(r, s, on_entity_done);
    r->c.entity.kind = kind;
    r->c.entity.in.id = mf_slice_str(id);
    began(r, mf_engine_entity_delete(k->e, &r->c.entity));
}

MF_LOOP static void begin_create(struct kit *k, struct run *r, const struct mf_scope *s,
                                 enum mf_entity_kind kind, struct mf_entity in)
{
    run_init(r, s, on_entity_done);
    r->in = in;
    r->c.entity.kind = kind;
    r->c.entity.in.user_id = in.user_id;
    r->c.entity.ins = &r->in;
    r->c.entity.n_ins = 1;
    began(r, mf_engine_entity_create(k->e, &r->c.entity));
}

MF_LOOP static void create(struct kit *k, enum mf_entity_kind kind, struct mf_entity in,
                           struct kit_id *out)
{
    struct run r;

    begin_create(k, &r, &k->scope, kind, in);
    MF_CHECK_OK(run_end(k, &r));
    *out = r.made;
}

static long n_stored(struct kit *k)
{
    return kit_number(k, "SELECT count(*) FROM messages");
}

static size_t n_parked(struct kit *k)
{
    struct mf_engine_figures f;

    mf_loop_assert(k->loop);
    mf_engine_figures(k->e, &f);
    return f.n_parked;
}

/* ---- other people's things ---- */

struct two {
    struct kit k;
    struct kit_id bob;
    struct mf_scope scope; /* bob's */
};

MF_LOOP static void make_bob(struct two *t)
{
    struct mf_id id;

    create(&t->k, MF_ENTITY_USER, (struct mf_entity){.name = mf_slice_str("bob")},
           &t->bob);
    MF_CHECK_OK(mf_id_from(&id, mf_slice_str(t->bob.s)));
    t->scope = mf_scope_of_user(&id);
}

MF_TEST(engine_verbs, nobody_adds_to_sees_or_changes_anothers_messages)
{
    struct two t;
    struct kit_id id;
    struct run r;

    kit_open(&t.k, NULL, quick);
    make_bob(&t);
    kit_add(&t.k, "ann's text", &id);
    begin_add(&t.k, &r, &t.scope, NULL, "bob's");
    MF_CHECK_INT(run_end(&t.k, &r), MF_ENOTFOUND);
    begin_list(&t.k, &r, &t.scope);
    MF_CHECK_INT(run_end(&t.k, &r), MF_ENOTFOUND);
    MF_CHECK_INT(r.n_rows, 0);
    begin_read(&t.k, &r, &t.scope, id.s);
    MF_CHECK_INT(run_end(&t.k, &r), MF_ENOTFOUND);
    begin_update(&t.k, &r, &t.scope, id.s);
    MF_CHECK_INT(run_end(&t.k, &r), MF_ENOTFOUND);
    begin_delete(&t.k, &r, &t.scope, id.s);
    MF_CHECK_INT(run_end(&t.k, &r), MF_ENOTFOUND);
    MF_CHECK_INT(kit_n_found(&t.k, "text", &id), 1);
    kit_close(&t.k);
}

MF_TEST(engine_verbs, nobody_asks_about_another_nor_from_anothers_session)
{
    struct two t;
    struct run r;

    kit_open(&t.k, NULL, quick);
    make_bob(&t);
    kit_add(&t.k, "ann's text", NULL);
    begin_ask(&t.k, &r, &t.scope, t.k.user.s, NULL);
    MF_CHECK_INT(run_end(&t.k, &r), MF_ENOTFOUND);
    begin_ask(&t.k, &r, &t.scope, t.bob.s, t.k.session.s);
    MF_CHECK_INT(run_end(&t.k, &r), MF_ENOTFOUND);
    begin_ask(&t.k, &r, &t.scope, t.bob.s, NULL);
    MF_CHECK_OK(run_end(&t.k, &r));
    MF_CHECK_INT(r.n_rows, 0);
    kit_close(&t.k);
}

/* As `kind` asks: get by id, many by ids, list, find by name; how many rows came. */
MF_LOOP static size_t n_visible(struct two *t, enum mf_entity_kind kind,
                                const struct kit_id *id, const char *owner)
{
    struct run r;
    size_t n;

    run_init(&r, &t->scope, on_entity_done);
    r.c.entity.kind = kind;
    r.c.entity.in.id = mf_slice_str(id->s);
    r.c.entity.in.user_id = mf_slice_str(owner);
    began(&r, mf_engine_entity_get(t->k.e, &r.c.entity));
    (void)run_end(&t->k, &r);
    n = r.n_rows;
    run_init(&r, &t->scope, on_entity_done);
    r.ids[0] = mf_slice_str(id->s);
    r.c.entity.kind = kind;
    r.c.entity.ids = r.ids;
    r.c.entity.n_ids = 1;
    r.c.entity.in.user_id = mf_slice_str(owner);
    began(&r, mf_engine_entity_get(t->k.e, &r.c.entity));
    (void)run_end(&t->k, &r);
    n += r.n_rows;
    run_init(&r, &t->scope, on_entity_done);
    r.c.entity.kind = kind;
    r.c.entity.in.user_id = mf_slice_str(owner);
    began(&r, mf_engine_entity_list(t->k.e, &r.c.entity));
    (void)run_end(&t->k, &r);
    return n + r.n_rows;
}

MF_TEST(engine_verbs, anothers_entities_are_not_there)
{
    struct two t;
    struct kit_id item, key;
    struct run r;

    kit_open(&t.k, NULL, quick);
    make_bob(&t);
    create(&t.k, MF_ENTITY_KNOWLEDGE,
           (struct mf_entity){.user_id = mf_slice_str(t.k.user.s),
                              .text = mf_slice_str("ann's text"),
                              .has_text = true},
           &item);
    create(&t.k, MF_ENTITY_API_KEY,
           (struct mf_entity){.user_id = mf_slice_str(t.k.user.s),
                              .name = mf_slice_str("door"),
                              .key_hash =
                                  mf_slice_str("01234567890123456789012345678901")},
           &key);
    MF_CHECK_INT(n_visible(&t, MF_ENTITY_SESSION, &t.k.session, ""), 0);
    MF_CHECK_INT(n_visible(&t, MF_ENTITY_SESSION, &t.k.session, t.k.user.s), 0);
    MF_CHECK_INT(n_visible(&t, MF_ENTITY_KNOWLEDGE, &item, t.k.user.s), 0);
    MF_CHECK_INT(n_visible(&t, MF_ENTITY_KNOWLEDGE, &item, ""), 0);
    MF_CHECK_INT(n_visible(&t, MF_ENTITY_API_KEY, &key, t.k.user.s), 0);
    MF_CHECK_INT(n_visible(&t, MF_ENTITY_API_KEY, &key, t.bob.s), 0);
    begin_entity_delete(&t.k, &r, &t.scope, MF_ENTITY_USER, t.k.user.s);
    MF_CHECK_INT(run_end(&t.k, &r), MF_ENOTFOUND);
    begin_entity_delete(&t.k, &r, &t.scope, MF_ENTITY_SESSION, t.k.session.s);
    MF_CHECK_INT(run_end(&t.k, &r), MF_ENOTFOUND);
    begin_entity_delete(&t.k, &r, &t.scope, MF_ENTITY_AGENT, t.k.agent.s);
    MF_CHECK_INT(run_end(&t.k, &r), MF_EFORBIDDEN);
    begin_create(&t.k, &r, &t.scope, MF_ENTITY_KNOWLEDGE,
                 (struct mf_entity){.user_id = mf_slice_str(t.k.user.s),
                                    .text = mf_slice_str("planted"),
                                    .has_text = true});
    MF_CHECK_INT(run_end(&t.k, &r), MF_ENOTFOUND);
    MF_CHECK_INT(kit_number(&t.k, "SELECT count(*) FROM knowledge"), 1);
    kit_close(&t.k);
}

/* The path says bob, the body ann: whose it is was checked for the path. */
MF_TEST(engine_verbs, knowledge_belongs_to_whom_the_path_says)
{
    struct two t;
    struct run r;

    kit_open(&t.k, NULL, quick);
    make_bob(&t);
    run_init(&r, &t.scope, on_entity_done);
    r.in = (struct mf_entity){.user_id = mf_slice_str(t.k.user.s),
                              .text = mf_slice_str("planted"),
                              .has_text = true};
    r.c.entity.kind = MF_ENTITY_KNOWLEDGE;
    r.c.entity.in.user_id = mf_slice_str(t.bob.s);
    r.c.entity.ins = &r.in;
    r.c.entity.n_ins = 1;
    began(&r, mf_engine_entity_create(t.k.e, &r.c.entity));
    MF_CHECK_OK(run_end(&t.k, &r));
    MF_CHECK_INT(kit_number(&t.k, "SELECT count(*) FROM knowledge JOIN users"
                                  " ON users.id = user_id WHERE name = 'ann'"),
                 0);
    kit_close(&t.k);
}

/* ---- ids that the client brings ---- */

MF_TEST(engine_verbs, one_id_twice_in_a_request_is_refused_before_the_journal)
{
    struct kit k;
    struct run r;
    struct mf_engine_figures f;

    kit_open(&k, NULL, still);
    run_init(&r, &k.scope, on_done);
    r.news[0].content = r.news[1].content = mf_slice_str("text");
    r.news[0].id = r.news[1].id = mf_slice_str("same");
    r.c.add.session_id = mf_slice_str(k.session.s);
    r.c.add.msgs = r.news;
    r.c.add.n_msgs = 2;
    began(&r, mf_engine_add(k.e, &r.c.add));
    MF_CHECK_INT(run_end(&k, &r), MF_EUNPROCESSABLE);
    mf_engine_figures(k.e, &f);
    MF_CHECK_INT(f.journal_bytes, 0);
    MF_CHECK_INT(f.bytes, 0);
    kit_cut_power(&k); /* and it starts */
    kit_close(&k);
}

MF_TEST(engine_verbs, a_round_known_in_part_is_completed)
{
    struct kit k;
    struct run r;

    kit_open(&k, NULL, quick);
    begin_add(&k, &r, &k.scope, "first", "one");
    MF_CHECK_OK(run_end(&k, &r));
    run_init(&r, &k.scope, on_done);
    r.news[0] =
        (struct mf_msg){.id = mf_slice_str("first"), .content = mf_slice_str("one")};
    r.news[1] =
        (struct mf_msg){.id = mf_slice_str("second"), .content = mf_slice_str("two")};
    r.c.add.session_id = mf_slice_str(k.session.s);
    r.c.add.msgs = r.news;
    r.c.add.n_msgs = 2;
    began(&r, mf_engine_add(k.e, &r.c.add));
    MF_CHECK_OK(run_end(&k, &r));
    begin_add(&k, &r, &k.scope, "second", "not two");
    MF_CHECK_INT(run_end(&k, &r), MF_ECONFLICT);
    kit_flush(&k);
    MF_CHECK_INT(n_stored(&k), 2);
    begin_add(&k, &r, &k.scope, "second", "not two"); /* stored by now */
    MF_CHECK_INT(run_end(&k, &r), MF_ECONFLICT);
    kit_close(&k);
}

/* ---- deletes that race ---- */

MF_TEST(engine_verbs, a_round_never_enters_a_session_that_is_being_deleted)
{
    struct kit k;
    struct run del, plain, with_id;
    int rc;

    kit_open(&k, NULL, quick);
    kit_add(&k, "first", NULL);
    begin_entity_delete(&k, &del, &k.scope, MF_ENTITY_SESSION, k.session.s);
    begin_add(&k, &plain, &k.scope, NULL, "late");
    begin_add(&k, &with_id, &k.scope, "mine", "late too");
    MF_CHECK_OK(run_end(&k, &del));
    rc = run_end(&k, &plain);
    MF_CHECK(rc == 0 || rc == MF_ENOTFOUND);
    rc = run_end(&k, &with_id);
    MF_CHECK(rc == 0 || rc == MF_ENOTFOUND);
    kit_flush(&k);
    MF_CHECK_INT(n_stored(&k), 0);
    MF_CHECK_INT(n_parked(&k), 0); /* nothing was left without its session */
    kit_close(&k);
}

/* While the store looks its id up the session goes. */
MF_TEST(engine_verbs,
        a_round_whose_session_went_while_its_ids_were_looked_up_is_refused)
{
    struct kit k;
    struct run del[8], add[8];

    kit_open(&k, NULL, quick);
    for (size_t i = 0; i < mf_countof(add); i++) {
        struct kit_id session;
        char name[16];
        int rc;

        (void)snprintf(name, sizeof(name), "s%zu", i);
        create(&k, MF_ENTITY_SESSION,
               (struct mf_entity){.user_id = mf_slice_str(k.user.s),
                                  .agent_id = mf_slice_str(k.agent.s),
                                  .name = mf_slice_str(name)},
               &session);
        k.session = session;
        begin_entity_delete(&k, &del[i], &k.scope, MF_ENTITY_SESSION, k.session.s);
        kit_linger(&k, (unsigned)i % 3);
        begin_add(&k, &add[i], &k.scope, "mine", "late");
        rc = run_end(&k, &add[i]);
        MF_CHECK(rc == 0 || rc == MF_ENOTFOUND);
        MF_CHECK_OK(run_end(&k, &del[i]));
        kit_flush(&k);
        MF_CHECK_INT(n_stored(&k), 0);
        MF_CHECK_INT(n_parked(&k), 0);
    }
    kit_close(&k);
}

MF_TEST(engine_verbs, deleting_an_agent_takes_its_rounds_of_all_users)
{
    struct kit k;
    struct kit_id bob, other;
    struct run r, del;

    kit_open(&k, NULL, still);
    kit_add(&k, "ann's", NULL);
    create(&k, MF_ENTITY_USER, (struct mf_entity){.name = mf_slice_str("bob")}, &bob);
    create(&k, MF_ENTITY_SESSION,
           (struct mf_entity){.user_id = mf_slice_str(bob.s),
                              .agent_id = mf_slice_str(k.agent.s),
                              .name = mf_slice_str("bob's")},
           &other);
    k.session = other;
    kit_add(&k, "bob's", NULL);
    begin_entity_delete(&k, &del, &k.scope, MF_ENTITY_AGENT, k.agent.s);
    kit_linger(&k, 0);
    begin_add(&k, &r, &k.scope, NULL, "late");
    MF_CHECK_INT(run_end(&k, &r), MF_ENOTFOUND);
    MF_CHECK_OK(run_end(&k, &del));
    MF_CHECK_INT(n_stored(&k), 0);
    MF_CHECK_INT(kit_number(&k, "SELECT count(*) FROM sessions"), 0);
    begin_list(&k, &r, &k.scope);
    MF_CHECK_INT(run_end(&k, &r), MF_ENOTFOUND);
    kit_close(&k);
}

MF_LOOP static void refuse_poison(struct kit *k)
{
    sqlite3 *db = kit_store_file(k);

    kit_sql(db, "CREATE TRIGGER refuse BEFORE INSERT ON messages"
                " WHEN NEW.content LIKE '%POISON%'"
                " BEGIN SELECT RAISE(ABORT, 'refused'); END");
    MF_CHECK_INT(sqlite3_close(db), SQLITE_OK);
}

static bool is_one_parked(struct kit *k, MF_UNUSED void *arg)
{
    return n_parked(k) == 1;
}

static bool has_nothing(struct kit *k, MF_UNUSED void *arg)
{
    struct mf_engine_figures f;

    mf_loop_assert(k->loop);
    mf_engine_figures(k->e, &f);
    return f.n_parked == 0 && f.n_messages == 0 && f.bytes == 0 && f.journal_bytes == 0;
}

/* The dead letter is its user's last round: the user's buffer goes with it. */
MF_TEST(engine_verbs, deleting_a_user_purges_the_dead_letters)
{
    struct kit k;
    struct run del;

    kit_open(&k, NULL, quick);
    refuse_poison(&k);
    kit_add(&k, "POISON", NULL);
    kit_wait(&k, is_one_parked, NULL);
    begin_entity_delete(&k, &del, &k.scope, MF_ENTITY_USER, k.user.s);
    MF_CHECK_OK(run_end(&k, &del));
    kit_wait(&k, has_nothing, NULL);
    kit_close(&k);
}

MF_TEST(engine_verbs, deleting_an_agent_purges_the_dead_letters)
{
    struct kit k;
    struct run del;

    kit_open(&k, NULL, quick);
    refuse_poison(&k);
    kit_add(&k, "POISON", NULL);
    kit_add(&k, "good", NULL);
    kit_wait(&k, is_one_parked, NULL);
    begin_entity_delete(&k, &del, &k.scope, MF_ENTITY_AGENT, k.agent.s);
    MF_CHECK_OK(run_end(&k, &del));
    kit_wait(&k, has_nothing, NULL);
    MF_CHECK_INT(n_stored(&k), 0);
    kit_close(&k);
}

MF_TEST(engine_verbs, flushing_all_stores_the_others_and_names_the_dead_letter)
{
    struct kit k;
    struct run r;

    kit_open(&k, NULL, still);
    refuse_poison(&k);
    kit_add(&k, "one", NULL);
    kit_add(&k, "POISON", NULL);
    kit_add(&k, "two", NULL);
    for (int i = 0; i < 2; i++) { /* parked during the first, before the second */
        run_init(&r, &k.scope, on_done);
        began(&r, mf_engine_flush(k.e, &r.c.call));
        MF_CHECK_INT(run_end(&k, &r), MF_ECONFLICT);
        MF_CHECK_INT(n_stored(&k), 2);
    }
    kit_close(&k);
}

MF_TEST(engine_verbs, updates_and_deletes_of_one_message_all_end)
{
    struct kit k;
    struct kit_id id;
    struct run up[3], del[2];
    size_t n_ok = 0;

    kit_open(&k, NULL, quick);
    kit_add(&k, "text", &id);
    for (size_t i = 0; i < mf_countof(up); i++) {
        begin_update(&k, &up[i], &k.scope, id.s);
    }
    for (size_t i = 0; i < mf_countof(del); i++) {
        begin_delete(&k, &del[i], &k.scope, id.s);
    }
    for (size_t i = 0; i < mf_countof(up); i++) {
        int rc = run_end(&k, &up[i]);

        MF_CHECK(rc == 0 || rc == MF_ENOTFOUND);
    }
    for (size_t i = 0; i < mf_countof(del); i++) {
        n_ok += run_end(&k, &del[i]) == 0;
    }
    MF_CHECK(n_ok >= 1);
    MF_CHECK_INT(n_stored(&k), 0);
    MF_CHECK_INT(kit_n_found(&k, "text", &id), 0);
    kit_close(&k);
}

MF_TEST(engine_verbs, a_user_who_goes_while_asked_about_is_answered_or_not_there)
{
    struct kit k;
    struct run q, del;
    int rc;

    kit_open(&k, NULL, quick);
    for (int i = 0; i < 5; i++) {
        kit_add(&k, "text", NULL);
    }
    begin_ask(&k, &q, &k.scope, k.user.s, NULL);
    begin_entity_delete(&k, &del, &k.scope, MF_ENTITY_USER, k.user.s);
    rc = run_end(&k, &q);
    MF_CHECK(rc == 0 || rc == MF_ENOTFOUND);
    MF_CHECK_OK(run_end(&k, &del));
    begin_ask(&k, &q, &k.scope, k.user.s, NULL);
    MF_CHECK_INT(run_end(&k, &q), MF_ENOTFOUND);
    kit_close(&k);
}

MF_TEST(engine_verbs, an_empty_answer_says_whether_there_is_a_session)
{
    struct two t;
    struct run r;

    kit_open(&t.k, NULL, quick);
    make_bob(&t);
    begin_ask(&t.k, &r, &t.scope, t.bob.s, NULL);
    MF_CHECK_OK(run_end(&t.k, &r));
    MF_CHECK(r.c.ask.no_sessions);
    begin_ask(&t.k, &r, &t.k.scope, t.k.user.s, NULL);
    MF_CHECK_OK(run_end(&t.k, &r));
    MF_CHECK(!r.c.ask.no_sessions);
    kit_add(&t.k, "text", NULL);
    begin_ask(&t.k, &r, &t.k.scope, t.k.user.s, NULL);
    MF_CHECK_OK(run_end(&t.k, &r));
    MF_CHECK_INT(r.n_rows, 1);
    MF_CHECK(!r.c.ask.no_sessions);
    kit_close(&t.k);
}

MF_LOOP static size_t n_items_found(struct kit *k, const char *text)
{
    struct run r;

    run_init(&r, &k->scope, on_ask_done);
    r.c.ask.user_id = mf_slice_str(k->user.s);
    r.c.ask.text = mf_slice_str(text);
    r.c.ask.top_k = 5;
    r.c.ask.no_vector_leg = true;
    began(&r, mf_engine_ask(k->e, &r.c.ask));
    MF_CHECK_OK(run_end(k, &r));
    return r.n_rows;
}

MF_TEST(engine_verbs, changed_and_deleted_knowledge_is_found_as_it_is)
{
    struct mf_entity news = {.text = mf_slice_str("zebras graze"), .has_text = true};
    struct kit_id item;
    struct run r;
    struct kit k;

    kit_open(&k, NULL, quick);
    create(&k, MF_ENTITY_KNOWLEDGE,
           (struct mf_entity){.user_id = mf_slice_str(k.user.s),
                              .text = mf_slice_str("lions sleep"),
                              .has_text = true},
           &item);
    MF_CHECK_INT(n_items_found(&k, "lions"), 1);
    for (int i = 0; i < 2; i++) { /* changed, then deleted */
        run_init(&r, &k.scope, on_entity_done);
        r.ids[0] = mf_slice_str(item.s);
        r.c.entity.kind = MF_ENTITY_KNOWLEDGE;
        r.c.entity.in.user_id = mf_slice_str(k.user.s);
        r.c.entity.ids = r.ids;
        r.c.entity.n_ids = 1;
        r.c.entity.ins = &news;
        r.c.entity.n_ins = 1;
        began(&r, i == 0 ? mf_engine_entity_update(k.e, &r.c.entity)
                         : mf_engine_entity_delete(k.e, &r.c.entity));
        MF_CHECK_OK(run_end(&k, &r));
        MF_CHECK_INT(r.n_rows, 1);
        MF_CHECK_INT(n_items_found(&k, "zebras"), 1 - i);
    }
    kit_close(&k);
}

/* ---- lists ---- */

/* The rounds reach the store while it is asked: those that are dropped from its answer
 * must not be missing from the length of the list. */
MF_TEST(engine_verbs, a_list_is_as_long_as_asked_in_the_midst_of_a_hand_over)
{
    struct kit k;
    struct run r, f;

    kit_open(&k, NULL, still);
    for (int i = 0; i < 12; i++) {
        kit_add(&k, "old", NULL);
    }
    kit_flush(&k);
    for (int i = 0; i < 4; i++) {
        kit_add(&k, "new", NULL);
    }
    fill_messages(&k, &r, &k.scope, "x");
    r.c.messages.part = MF_LIST_BUT_WRITE_BUFFER;
    r.c.messages.is_descending = true;
    run_init(&f, &k.scope, on_done);
    began(&f, mf_engine_flush(k.e, &f.c.call));
    began(&r, mf_engine_list(k.e, &r.c.messages));
    MF_CHECK_OK(run_end(&k, &r));
    MF_CHECK_INT(r.n_rows, 10);
    MF_CHECK_OK(run_end(&k, &f));
    fill_messages(&k, &r, &k.scope, "x");
    r.c.messages.limit = 0;
    began(&r, mf_engine_list(k.e, &r.c.messages));
    MF_CHECK_OK(run_end(&k, &r));
    MF_CHECK_INT(r.n_rows, 0);
    kit_close(&k);
}

MF_TEST(engine_verbs, an_id_read_twice_comes_twice)
{
    struct kit k;
    struct kit_id id;
    struct run r;

    kit_open(&k, NULL, still);
    kit_add(&k, "text", &id);
    fill_messages(&k, &r, &k.scope, id.s);
    r.ids[1] = mf_slice_str("nobody's");
    r.ids[2] = r.ids[0];
    r.c.messages.n_ids = 3;
    began(&r, mf_engine_read(k.e, &r.c.messages));
    MF_CHECK_INT(run_end(&k, &r), MF_ENOTFOUND);
    MF_CHECK_INT(r.c.messages.n_missing, 1);
    fill_messages(&k, &r, &k.scope, id.s);
    r.ids[1] = r.ids[0];
    r.c.messages.n_ids = 2;
    began(&r, mf_engine_read(k.e, &r.c.messages));
    MF_CHECK_OK(run_end(&k, &r));
    MF_CHECK_INT(r.n_rows, 2);
    kit_close(&k);
}

/* ---- what is due ---- */

/* A hybrid buffer larger than one job is due by its size, too. */
MF_TEST(engine_verbs, a_large_hybrid_buffer_is_flushed_by_its_size)
{
    static const char *const large[] = {"buffer.performance.flush_interval=3600",
                                        "buffer.performance.force_flush_timeout=3600",
                                        "buffer.hybrid_buffer.max_size=100",
                                        "buffer.round_buffer.max_size=1",
                                        "flush.vector_wait=0",
                                        "flush.batch_age=0",
                                        NULL};
    struct kit k;

    kit_open(&k, NULL, large);
    for (int i = 0; i < 110; i++) {
        kit_add(&k, "text", NULL);
    }
    for (int i = 0; i < 500 && n_stored(&k) == 0; i++) {
        kit_linger(&k, 10);
    }
    MF_CHECK(n_stored(&k) >= 64);
    kit_close(&k);
}

/* ---- stop at any moment ---- */

#define N_CALLS 9

static const struct mf_fake_config slow = {.dim = 8, .delay_ms = 3};

MF_LOOP static void begin_all(struct kit *k, struct run *r, const struct kit_id *id,
                              const char *name, const struct kit_id *agent)
{
    begin_add(k, &r[0], &k->scope, NULL, "text");
    begin_add(k, &r[1], &k->scope, "mine", "text");
    begin_list(k, &r[2], &k->scope);
    begin_ask(k, &r[3], &k->scope, k->user.s, NULL);
    begin_update(k, &r[4], &k->scope, id->s);
    begin_delete(k, &r[5], &k->scope, id->s);
    begin_create(k, &r[6], &k->scope, MF_ENTITY_KNOWLEDGE,
                 (struct mf_entity){.user_id = mf_slice_str(k->user.s),
                                    .text = mf_slice_str("text"),
                                    .has_text = true});
    begin_create(k, &r[7], &k->scope, MF_ENTITY_USER,
                 (struct mf_entity){.name = mf_slice_str(name)});
    begin_entity_delete(k, &r[8], &k->scope, MF_ENTITY_AGENT, agent->s);
}

static bool is_allowed(int rc)
{
    return rc == 0 || rc == MF_ECLOSED || rc == MF_ECANCELED || rc == MF_ENOTFOUND ||
           rc == MF_ETIMEOUT;
}

/* One life of the engine: everything at once, some turns, the end. */
MF_LOOP static void live_and_stop(struct kit *k, unsigned turns)
{
    static const bool never = false;
    struct run r[N_CALLS];
    struct kit_id id, agent;
    char name[16];

    (void)snprintf(name, sizeof(name), "n%u", turns);
    create(k, MF_ENTITY_AGENT, (struct mf_entity){.name = mf_slice_str(name)}, &agent);
    kit_add(k, "text", &id);
    begin_all(k, r, &id, name, &agent);
    for (unsigned i = 0; i < turns; i++) {
        (void)mf_loop_run_until(k->loop, &never, i % 2);
    }
    kit_stop(k);
    for (size_t i = 0; i < N_CALLS; i++) {
        MF_CHECK(r[i].is_done); /* each was answered before the engine went */
        if (!is_allowed(run_end(k, &r[i]))) {
            fail_msg("call %zu after %u turns: %s", i, turns, mf_code_name(r[i].rc));
        }
    }
    kit_reopen(k);
    if (r[5].rc < 0) { /* acknowledged, and not deleted */
        struct run look;

        begin_read(k, &look, &k->scope, id.s);
        MF_CHECK_OK(run_end(k, &look));
    }
}

MF_TEST(engine_verbs, stop_without_patience_ends_every_call_once)
{
    struct kit k;

    kit_open(&k, &slow, still);
    for (unsigned turns = 0; turns < 24; turns++) {
        live_and_stop(&k, turns);
    }
    kit_close(&k);
}

MF_TEST(engine_verbs, stop_with_patience_ends_every_call_once)
{
    struct kit k;

    kit_open(&k, &slow, quick);
    for (unsigned turns = 0; turns < 24; turns += 3) {
        live_and_stop(&k, turns);
    }
    kit_close(&k);
}

/* ---- the rooms are closed, one after the other ---- */

MF_TEST(engine_verbs, while_it_closes_verbs_refuse_and_figures_are_told)
{
    struct kit k;
    struct kit_id id;
    unsigned n = 0;

    kit_open(&k, NULL, still);
    kit_add(&k, "text", &id);
    mf_engine_close(k.e, kit_on_closed, &k);
    while (!k.is_closed) {
        static const bool never = false;
        struct mf_engine_figures f;
        struct run r;

        mf_engine_figures(k.e, &f);
        MF_CHECK(f.is_draining);
        if (k.e->state == MF_ENGINE_CLOSING) {
            struct mf_idem_ticket t = {.key = mf_slice_str("k")};

            begin_list(&k, &r, &k.scope);
            MF_CHECK_INT(run_end(&k, &r), MF_ECLOSED);
            begin_ask(&k, &r, &k.scope, k.user.s, NULL);
            MF_CHECK_INT(run_end(&k, &r), MF_ECLOSED);
            begin_entity_delete(&k, &r, &k.scope, MF_ENTITY_USER, k.user.s);
            MF_CHECK_INT(run_end(&k, &r), MF_ECLOSED);
            MF_CHECK_INT(mf_engine_idem_begin(k.e, &t), MF_ECLOSED);
            n++;
        }
        (void)mf_loop_run_until(k.loop, &never, 0);
    }
    MF_CHECK(n > 0);
    kit_reopen(&k);
    MF_CHECK_INT(kit_n_found(&k, "text", &id), 1);
    kit_close(&k);
}
