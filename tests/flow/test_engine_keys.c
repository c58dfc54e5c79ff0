/* SPDX-License-Identifier: Apache-2.0 */
/* A request with an Idempotency-Key that comes again when nobody remembers its answer:
 * after that was purged, or at another process on the same store. */
#include "flow/remote_kit.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char *const patient[] = {"buffer.performance.flush_interval=3600",
                                      "buffer.performance.force_flush_timeout=3600",
                                      "drain.timeout=0", NULL};

static const uint8_t body[32] = {7};
static const uint8_t other_body[32] = {8};

/* Without a ticket: as if the answer of the first one were lost. */
MF_LOOP static int add_keyed(struct kit *k, const char *key, const uint8_t hash[32],
                             struct kit_add *a)
{
    kit_fill_add(k, a, "said once");
    (void)snprintf(a->text[1], sizeof(a->text[1]), "and answered");
    a->msgs[1].content = mf_slice_str(a->text[1]);
    a->msgs[1].role = MF_MSG_ASSISTANT;
    a->c.n_msgs = 2;
    a->c.idem_key = mf_slice_str(key);
    memcpy(a->c.idem_hash, hash, sizeof(a->c.idem_hash));
    kit_submit_add(k, a);
    return kit_add_end(k, a);
}

static void check_same_ids(const struct kit_add *a, const struct kit_add *b, bool same)
{
    for (int i = 0; i < 2; i++) {
        MF_CHECK_INT(a->ids[i].s[14], '8');
        MF_CHECK_INT(strcmp(a->ids[i].s, b->ids[i].s) == 0, same);
    }
    MF_CHECK(strcmp(a->ids[0].s, a->ids[1].s) != 0);
}

static long n_stored(struct kit *k)
{
    return kit_number(k, "SELECT count(*) FROM messages");
}

MF_TEST(keys, the_same_request_again_adds_nothing_wherever_the_first_one_is)
{
    struct kit_add first, again;
    struct kit_rows rows;
    struct kit k;

    remote_open(&k, patient);
    MF_CHECK_OK(add_keyed(&k, "ann|one", body, &first));
    MF_CHECK_OK(add_keyed(&k, "ann|one", body, &again)); /* in the buffers */
    check_same_ids(&first, &again, true);
    kit_list(&k, &rows);
    MF_CHECK_INT(rows.n, 2);
    kit_flush(&k);
    MF_CHECK_OK(add_keyed(&k, "ann|one", body, &again)); /* stored */
    check_same_ids(&first, &again, true);
    MF_CHECK_OK(kit_update(&k, &first.ids[0], "changed since"));
    MF_CHECK_OK(add_keyed(&k, "ann|one", body, &again));
    kit_list(&k, &rows);
    MF_CHECK_INT(rows.n, 2);
    MF_CHECK_STR(rows.row[0].text, "changed since");
    kit_flush(&k);
    MF_CHECK_INT(n_stored(&k), 2);
    remote_close(&k);
}

MF_TEST(keys, of_somebody_else_or_with_another_body_make_other_messages)
{
    struct kit_add first, second, third;
    struct kit k;

    remote_open(&k, patient);
    MF_CHECK_OK(add_keyed(&k, "ann|one", body, &first));
    MF_CHECK_OK(add_keyed(&k, "bob|one", body, &second));
    MF_CHECK_OK(add_keyed(&k, "ann|one", other_body, &third));
    check_same_ids(&first, &second, false);
    check_same_ids(&first, &third, false);
    check_same_ids(&second, &third, false);
    kit_flush(&k);
    MF_CHECK_INT(n_stored(&k), 6);
    remote_close(&k);
}

/* A second engine with a folder of its own, on the store of the first one. */
MF_LOOP static void open_beside(struct kit *b, const struct kit *a)
{
    struct mf_conf_report r = {.n_problems = 0};
    char dir[sizeof(b->dir) + 16];

    *b = *a;
    remote_store_dir(a->dir);
    (void)snprintf(b->dir, sizeof(b->dir), "%s-beside", a->dir);
    MF_CHECK_OK(mkdir(b->dir, 0700));
    mf_buf_init(&r.text);
    MF_CHECK_OK(mf_conf_init(&b->conf));
    (void)snprintf(dir, sizeof(dir), "data.dir=%s", b->dir);
    MF_CHECK_OK(mf_conf_set(&b->conf, dir, &r));
    mf_buf_fini(&r.text);
    kit_reopen(b);
}

MF_TEST(keys, the_same_request_at_two_processes_is_stored_once)
{
    struct kit_add first, again;
    struct kit a, b;

    remote_open(&a, patient);
    open_beside(&b, &a);
    MF_CHECK_OK(add_keyed(&a, "ann|one", body, &first));
    MF_CHECK_OK(add_keyed(&b, "ann|one", body, &again)); /* neither is stored yet */
    check_same_ids(&first, &again, true);
    kit_flush(&b);
    kit_flush(&a);
    MF_CHECK_INT(n_stored(&a), 2);
    MF_CHECK_OK(add_keyed(&b, "ann|one", body, &again));
    check_same_ids(&first, &again, true);
    kit_flush(&b);
    MF_CHECK_INT(n_stored(&a), 2);
    kit_stop(&b);
    mf_conf_fini(&b.conf);
    remote_store_dir(NULL);
    remote_close(&a);
}

/* ---- the store is away ---- */

struct ticket {
    struct mf_idem_ticket t;
    struct mf_arena arena;
    enum mf_idem_outcome outcome;
    bool is_done;
};

static void on_ticket(struct mf_idem_ticket *t, enum mf_idem_outcome outcome)
{
    struct ticket *w = mf_container_of(t, struct ticket, t);

    w->outcome = outcome;
    w->is_done = true;
}

MF_LOOP static enum mf_idem_outcome begin(struct kit *k, const char *key, bool unasked)
{
    struct ticket w;

    memset(&w, 0, sizeof(w));
    mf_arena_init(&w.arena, 512);
    w.t.key = mf_slice_str(key);
    w.t.arena = &w.arena;
    w.t.done = on_ticket;
    w.t.may_go_unasked = unasked;
    MF_CHECK_OK(mf_engine_idem_begin(k->e, &w.t));
    mf_loop_fixture_wait(k->loop, &w.is_done);
    if (w.outcome == MF_IDEM_PROCEED) {
        mf_engine_idem_end(k->e, &w.t, 503, mf_slice_of(NULL, 0));
    }
    mf_arena_fini(&w.arena);
    return w.outcome;
}

MF_TEST(keys, of_adds_go_on_while_the_store_is_away)
{
    struct kit_add first, again;
    struct kit_rows rows;
    struct kit k;

    remote_open(&k, patient);
    MF_CHECK_OK(add_keyed(&k, "ann|one", body, &first));
    kit_flush(&k);
    remote_cut(true);
    MF_CHECK_INT(begin(&k, "ann|two", true), MF_IDEM_PROCEED);
    MF_CHECK_INT(begin(&k, "ann|two", false), MF_IDEM_FAILED);
    MF_CHECK_OK(add_keyed(&k, "ann|one", body, &again)); /* stored, but who knows */
    check_same_ids(&first, &again, true);
    MF_CHECK_OK(add_keyed(&k, "ann|two", body, &again));
    check_same_ids(&first, &again, false);
    /* A client's own id may be there with other content. */
    MF_CHECK_INT(kit_try_add(&k, "mine", "my-id"), MF_EUNAVAILABLE);
    remote_cut(false);
    MF_CHECK_OK(kit_try_add(&k, "mine", "my-id"));
    kit_flush(&k);
    MF_CHECK_INT(n_stored(&k), 5);
    kit_list(&k, &rows);
    MF_CHECK_INT(rows.n, 5);
    remote_close(&k);
}

MF_TEST(keys, of_adds_wait_for_a_silent_store_a_while_only)
{
    static const char *const short_wait[] = {
        "recall.store_timeout=0.05", "buffer.performance.flush_interval=3600",
        "buffer.performance.force_flush_timeout=3600", "drain.timeout=0.2", NULL};
    struct kit_add first, again;
    struct kit k;

    remote_open(&k, short_wait);
    mf_far_store_stall(remote_store(), true);
    MF_CHECK_INT(begin(&k, "ann|one", true), MF_IDEM_PROCEED);
    MF_CHECK_INT(begin(&k, "ann|one", false), MF_IDEM_FAILED);
    MF_CHECK_OK(add_keyed(&k, "ann|one", body, &first));
    MF_CHECK_OK(add_keyed(&k, "ann|one", body, &again));
    check_same_ids(&first, &again, true);
    MF_CHECK_INT(kit_try_add(&k, "mine", "my-id"), MF_EUNAVAILABLE);
    mf_far_store_stall(remote_store(), false);
    kit_linger(&k, 20); /* the late answers come to nobody */
    MF_CHECK_OK(kit_try_add(&k, "mine", "my-id"));
    kit_flush(&k);
    MF_CHECK_INT(n_stored(&k), 3);
    remote_close(&k);
}

/* ---- users, sessions, knowledge ---- */

struct made {
    struct mf_entity_call c;
    struct mf_arena arena;
    struct kit_id id;
    char name[64];
    bool is_done;
    int rc;
};

static void on_made(struct mf_call *c, int rc)
{
    struct made *m = mf_container_of(c, struct made, c.call);

    if (rc == 0) {
        (void)snprintf(m->id.s, sizeof(m->id.s), "%.*s", (int)m->c.rows[0].id.n,
                       m->c.rows[0].id.p);
        (void)snprintf(m->name, sizeof(m->name), "%.*s", (int)m->c.rows[0].name.n,
                       m->c.rows[0].name.p);
    }
    m->rc = rc;
    m->is_done = true;
}

MF_LOOP static int make(struct kit *k, struct made *m, enum mf_entity_kind kind,
                        const struct mf_entity *in, const char *key)
{
    memset(m, 0, sizeof(*m));
    mf_arena_init(&m->arena, 1024);
    m->c.call =
        (struct mf_call){.scope = &k->scope, .arena = &m->arena, .done = on_made};
    m->c.kind = kind;
    m->c.in.user_id = mf_slice_str(k->user.s);
    m->c.ins = in;
    m->c.n_ins = 1;
    m->c.idem_key = mf_slice_str(key);
    memcpy(m->c.idem_hash, body, sizeof(body));
    MF_CHECK_OK(mf_engine_entity_create(k->e, &m->c));
    mf_loop_fixture_wait(k->loop, &m->is_done);
    mf_arena_fini(&m->arena);
    return m->rc;
}

MF_TEST(keys, make_the_same_user_session_and_knowledge_again)
{
    struct made first, again;
    struct kit k;
    struct mf_entity user = {.name = mf_slice_str("carl")};
    struct mf_entity session, fact = {.text = mf_slice_str("a fact"), .has_text = true};

    remote_open(&k, patient);
    MF_CHECK_OK(make(&k, &first, MF_ENTITY_USER, &user, "*|users|one"));
    MF_CHECK_OK(make(&k, &again, MF_ENTITY_USER, &user, "*|users|one"));
    MF_CHECK_STR(first.id.s, again.id.s);
    MF_CHECK_INT(make(&k, &again, MF_ENTITY_USER, &user, "*|users|two"), MF_EEXIST);
    session = (struct mf_entity){.user_id = mf_slice_str(k.user.s),
                                 .agent_id = mf_slice_str(k.agent.s)};
    MF_CHECK_OK(make(&k, &first, MF_ENTITY_SESSION, &session, "*|sessions|one"));
    MF_CHECK_OK(make(&k, &again, MF_ENTITY_SESSION, &session, "*|sessions|one"));
    MF_CHECK_STR(first.id.s, again.id.s);
    MF_CHECK_STR(first.name, again.name);
    MF_CHECK_OK(make(&k, &first, MF_ENTITY_KNOWLEDGE, &fact, "*|knowledge|one"));
    MF_CHECK_OK(make(&k, &again, MF_ENTITY_KNOWLEDGE, &fact, "*|knowledge|one"));
    MF_CHECK_STR(first.id.s, again.id.s);
    MF_CHECK_INT(kit_number(&k, "SELECT count(*) FROM sessions"), 2);
    MF_CHECK_INT(kit_number(&k, "SELECT count(*) FROM knowledge"), 1);
    remote_close(&k);
}
