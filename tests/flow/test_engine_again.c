/* SPDX-License-Identifier: Apache-2.0 */
/* The whole engine when clients say things twice: ids, keys, names. */
#include "flow/engine_kit.h"

#include <stdio.h>
#include <string.h>

static const char id_one[] = "018f3c5e-0000-7000-8000-000000000001";

static long n_stored(struct kit *k)
{
    return kit_number(k, "SELECT count(*) FROM messages");
}

MF_TEST(engine, the_same_id_and_content_again_adds_nothing_wherever_the_first_is)
{
    struct kit_rows rows;
    struct kit k;

    kit_open(&k, NULL, NULL);
    for (int round = 0; round < 4; round++) {
        MF_CHECK_INT(kit_try_add(&k, "said once", id_one), 0);
        MF_CHECK_INT(kit_try_add(&k, "said otherwise", id_one), MF_ECONFLICT);
        kit_list(&k, &rows);
        MF_CHECK_INT(rows.n, 1);
        MF_CHECK_STR(rows.row[0].text, "said once");
        MF_CHECK_STR(rows.row[0].id.s, id_one);
        switch (round) { /* write buffer, then journal replayed, then store */
        case 0: kit_cut_power(&k); break;
        case 1: kit_flush(&k); break;
        default:
            kit_stop(&k);
            kit_reopen(&k);
            break;
        }
    }
    MF_CHECK_INT(n_stored(&k), 1);
    kit_close(&k);
}

/* ---- Idempotency-Key ---- */

struct ticket {
    struct mf_idem_ticket t;
    struct mf_arena arena;
    enum mf_idem_outcome outcome;
    bool is_done;
};

static void on_ticket(struct mf_idem_ticket *t, enum mf_idem_outcome outcome)
{
    struct ticket *k = mf_container_of(t, struct ticket, t);

    k->outcome = outcome;
    k->is_done = true;
}

MF_LOOP static enum mf_idem_outcome begin(struct kit *k, struct ticket *t, char body)
{
    memset(t, 0, sizeof(*t));
    mf_arena_init(&t->arena, 1024);
    t->t.key = mf_slice_str("ann|add|key-1");
    memset(t->t.body_hash, body, sizeof(t->t.body_hash));
    t->t.arena = &t->arena;
    t->t.done = on_ticket;
    MF_CHECK_OK(mf_engine_idem_begin(k->e, &t->t));
    mf_loop_fixture_wait(k->loop, &t->is_done);
    return t->outcome;
}

MF_LOOP static void add_with_key(struct kit *k, struct ticket *t, struct kit_add *a)
{
    MF_CHECK_INT(begin(k, t, 'b'), MF_IDEM_PROCEED);
    kit_fill_add(k, a, "said with a key");
    a->c.idem_key = t->t.key;
    memcpy(a->c.idem_hash, t->t.body_hash, sizeof(a->c.idem_hash));
    kit_submit_add(k, a);
    MF_CHECK_OK(kit_add_end(k, a));
}

MF_LOOP static void check_replay(struct kit *k, const char *want)
{
    struct ticket t;

    MF_CHECK_INT(begin(k, &t, 'b'), MF_IDEM_REPLAY);
    MF_CHECK_INT(t.t.status, 201);
    MF_CHECK_INT(t.t.response.n, strlen(want));
    MF_CHECK_MEM(t.t.response.p, want, strlen(want));
    mf_arena_fini(&t.arena);
    MF_CHECK_INT(begin(k, &t, 'x'), MF_IDEM_MISMATCH);
    mf_arena_fini(&t.arena);
}

MF_TEST(engine, the_answer_to_a_key_is_the_same_after_power_cut_and_restart)
{
    char answer[64];
    struct kit_add a;
    struct ticket t;
    struct kit k;

    kit_open(&k, NULL, NULL);
    add_with_key(&k, &t, &a);
    (void)snprintf(answer, sizeof(answer), "added:%s", a.ids[0].s);
    mf_engine_idem_end(k.e, &t.t, 201, mf_slice_str(answer));
    mf_arena_fini(&t.arena);
    check_replay(&k, answer);
    kit_cut_power(&k); /* only the journal knows it */
    check_replay(&k, answer);
    kit_flush(&k); /* the store has it */
    check_replay(&k, answer);
    kit_stop(&k);
    kit_reopen(&k);
    check_replay(&k, answer);
    MF_CHECK_INT(n_stored(&k), 1);
    kit_close(&k);
}

MF_TEST(engine, a_request_that_failed_frees_its_key)
{
    struct kit_add a;
    struct ticket t;
    struct kit k;

    kit_open(&k, NULL, NULL);
    MF_CHECK_INT(begin(&k, &t, 'b'), MF_IDEM_PROCEED);
    mf_engine_idem_end(k.e, &t.t, 503, mf_slice_str("busy"));
    mf_arena_fini(&t.arena);
    add_with_key(&k, &t, &a);
    mf_engine_idem_end(k.e, &t.t, 201, mf_slice_str("done"));
    mf_arena_fini(&t.arena);
    kit_close(&k);
}

MF_TEST(engine, who_comes_meanwhile_with_the_same_key_waits_and_hears_the_same)
{
    struct ticket first, second;
    struct kit_add a;
    struct kit k;

    kit_open(&k, NULL, NULL);
    add_with_key(&k, &first, &a);
    memset(&second, 0, sizeof(second));
    mf_arena_init(&second.arena, 1024);
    second.t.key = first.t.key;
    memcpy(second.t.body_hash, first.t.body_hash, sizeof(first.t.body_hash));
    second.t.arena = &second.arena;
    second.t.done = on_ticket;
    MF_CHECK_OK(mf_engine_idem_begin(k.e, &second.t));
    kit_linger(&k, 30);
    MF_CHECK(!second.is_done);
    mf_engine_idem_end(k.e, &first.t, 201, mf_slice_str("the answer"));
    mf_loop_fixture_wait(k.loop, &second.is_done);
    MF_CHECK_INT(second.outcome, MF_IDEM_REPLAY);
    MF_CHECK(mf_slice_is(second.t.response, "the answer"));
    mf_arena_fini(&first.arena);
    mf_arena_fini(&second.arena);
    kit_close(&k);
}

/* ---- names ---- */

struct create {
    struct mf_entity_call c;
    struct mf_entity in;
    struct mf_arena arena;
    bool is_done;
    int rc;
    struct kit_id id;
};

static void on_created(struct mf_call *c, int rc)
{
    struct create *m = mf_container_of(c, struct create, c.call);

    if (rc == 0) {
        MF_CHECK_INT(m->c.n_rows, 1);
        (void)snprintf(m->id.s, sizeof(m->id.s), "%.*s", (int)m->c.rows[0].id.n,
                       m->c.rows[0].id.p);
    }
    m->rc = rc;
    m->is_done = true;
}

MF_LOOP static void create_begin(struct kit *k, struct create *m,
                                 enum mf_entity_kind kind, const char *name)
{
    int rc;

    memset(m, 0, sizeof(*m));
    mf_arena_init(&m->arena, 1024);
    m->in.name = mf_slice_str(name);
    if (kind == MF_ENTITY_SESSION) {
        m->in.user_id = mf_slice_str(k->user.s);
        m->in.agent_id = mf_slice_str(k->agent.s);
    }
    m->c.call =
        (struct mf_call){.scope = &k->scope, .arena = &m->arena, .done = on_created};
    m->c.kind = kind;
    m->c.ins = &m->in;
    m->c.n_ins = 1;
    rc = mf_engine_entity_create(k->e, &m->c);
    if (rc < 0) {
        m->rc = rc;
        m->is_done = true;
    }
}

MF_LOOP static int create_end(struct kit *k, struct create *m)
{
    mf_loop_fixture_wait(k->loop, &m->is_done);
    mf_arena_fini(&m->arena);
    return m->rc;
}

MF_TEST(engine, those_who_create_a_name_at_the_same_moment_get_the_same_row)
{
    static const enum mf_entity_kind kinds[] = {MF_ENTITY_USER, MF_ENTITY_AGENT,
                                                MF_ENTITY_SESSION};
    struct create m[5], late;
    struct kit k;

    kit_open(&k, NULL, NULL);
    for (size_t i = 0; i < mf_countof(kinds); i++) {
        for (size_t j = 0; j < mf_countof(m); j++) {
            create_begin(&k, &m[j], kinds[i], "rush hour");
        }
        for (size_t j = 0; j < mf_countof(m); j++) {
            MF_CHECK_OK(create_end(&k, &m[j]));
            MF_CHECK_STR(m[j].id.s, m[0].id.s);
        }
        create_begin(&k, &late, kinds[i], "rush hour");
        MF_CHECK_INT(create_end(&k, &late), MF_EEXIST);
    }
    kit_close(&k);
}

MF_TEST(engine, nothing_is_accepted_while_it_stops)
{
    struct kit_add a;
    struct kit k;

    kit_open(&k, NULL, NULL);
    kit_add(&k, "in time", NULL);
    mf_engine_close(k.e, kit_on_closed, &k);
    if (!k.is_closed) {
        kit_add_begin(&k, &a, "too late");
        MF_CHECK_INT(kit_add_end(&k, &a), MF_ECLOSED);
    }
    mf_loop_fixture_wait(k.loop, &k.is_closed);
    MF_CHECK_INT(n_stored(&k), 1);
    kit_reopen(&k);
    kit_close(&k);
}
