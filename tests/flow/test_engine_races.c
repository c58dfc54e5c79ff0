/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's verbs against each other: deletes that race, and a stop at any moment.
 */
#include "base/err.h"
#include "flow/verbs_kit.h"

#include <stdio.h>

/* ---- deletes that race ---- */

/* A call ended as if all of it were before the deletion, or after it. */
static void check_ok_or_gone(int rc)
{
    MF_CHECK(rc == 0 || rc == MF_ENOTFOUND);
}

MF_TEST(engine_verbs, a_round_never_enters_a_session_that_is_being_deleted)
{
    struct kit k;
    struct run del, plain, with_id;

    kit_open(&k, NULL, quick);
    kit_add(&k, "first", NULL);
    begin_entity_delete(&k, &del, &k.scope, MF_ENTITY_SESSION, k.session.s);
    begin_add(&k, &plain, &k.scope, NULL, "late");
    begin_add(&k, &with_id, &k.scope, "mine", "late too");
    MF_CHECK_OK(run_end(&k, &del));
    check_ok_or_gone(run_end(&k, &plain));
    check_ok_or_gone(run_end(&k, &with_id));
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
        check_ok_or_gone(run_end(&k, &add[i]));
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

/* Waits for the dead letter; then the entity goes, and all of the engine with it. */
MF_LOOP static void check_purge(struct kit *k, enum mf_entity_kind kind,
                                const struct kit_id *id)
{
    struct run del;

    kit_wait(k, is_one_parked, NULL);
    begin_entity_delete(k, &del, &k->scope, kind, id->s);
    MF_CHECK_OK(run_end(k, &del));
    kit_wait(k, has_nothing, NULL);
    MF_CHECK_INT(n_stored(k), 0);
}

/* The dead letter is its user's last round: the user's buffer goes with it. */
MF_TEST(engine_verbs, deleting_a_user_purges_the_dead_letters)
{
    struct kit k;

    kit_open(&k, NULL, quick);
    refuse_poison(&k);
    kit_add(&k, "POISON", NULL);
    check_purge(&k, MF_ENTITY_USER, &k.user);
    kit_close(&k);
}

MF_TEST(engine_verbs, deleting_an_agent_purges_the_dead_letters)
{
    struct kit k;

    kit_open(&k, NULL, quick);
    refuse_poison(&k);
    kit_add(&k, "POISON", NULL);
    kit_add(&k, "good", NULL);
    check_purge(&k, MF_ENTITY_AGENT, &k.agent);
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
        run_init(&r, &k.scope, on_run_done);
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
        check_ok_or_gone(run_end(&k, &up[i]));
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

    kit_open(&k, NULL, quick);
    for (int i = 0; i < 5; i++) {
        kit_add(&k, "text", NULL);
    }
    begin_ask(&k, &q, &k.scope, k.user.s, NULL);
    begin_entity_delete(&k, &del, &k.scope, MF_ENTITY_USER, k.user.s);
    check_ok_or_gone(run_end(&k, &q));
    MF_CHECK_OK(run_end(&k, &del));
    begin_ask(&k, &q, &k.scope, k.user.s, NULL);
    MF_CHECK_INT(run_end(&k, &q), MF_ENOTFOUND);
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
