/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's verbs: other people's things, ids that clients bring, lists, and what is
 * told while it closes. */
#include "flow/verbs_kit.h"

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
    run_init(&r, &k.scope, on_run_done);
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
    run_init(&r, &k.scope, on_run_done);
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
    run_init(&f, &k.scope, on_run_done);
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
