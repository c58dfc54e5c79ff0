/* SPDX-License-Identifier: Apache-2.0 */
/* The whole engine on a remote store that goes and comes back. */
#include "base/stat.h"
#include "flow/remote_kit.h"

#include <stdio.h>
#include <string.h>

/* clang-format off */
static const char *const quick[] = {
    "buffer.performance.flush_interval=0.02", "buffer.performance.force_flush_timeout=0.02",
    "flush.batch_age=0", "flush.retry_first=0.01", "flush.retry_max=0.05",
    "flush.breaker_after=3", "drain.timeout=0.2", NULL};

/* clang-format on */

static bool is_stored(struct kit *k, MF_UNUSED void *arg)
{
    struct mf_engine_figures f;

    mf_loop_assert(k->loop);
    mf_engine_figures(k->e, &f);
    return f.n_messages == 0;
}

static long n_stored(struct kit *k)
{
    return kit_number(k, "SELECT count(*) FROM messages");
}

/* As many as there are, in the order in which they were added. */
static void check_stored(struct kit *k, long n)
{
    MF_CHECK_INT(n_stored(k), n);
    MF_CHECK_INT(kit_number(k, "SELECT count(DISTINCT content) FROM messages"), n);
    MF_CHECK_INT(kit_number(k, "SELECT count(*) FROM messages a, messages b WHERE"
                               " a.content < b.content AND a.seq >= b.seq"),
                 0);
}

/* Texts sort as they were added. */
MF_LOOP static void add_some(struct kit *k, int from, int to)
{
    for (int i = from; i < to; i++) {
        char text[32];

        (void)snprintf(text, sizeof(text), "text%04d", i);
        kit_add(k, text, NULL);
    }
}

/* ---- verbs ---- */

union call {
    struct mf_call call;
    struct mf_messages_call messages;
    struct mf_entity_call entity;
};

struct run {
    union call c;
    struct mf_arena arena;
    bool is_done;
    int rc;
};

static void on_done(struct mf_call *c, int rc)
{
    struct run *r = mf_container_of(c, struct run, c.call);

    r->rc = rc;
    r->is_done = true;
}

static void run_init(struct kit *k, struct run *r)
{
    memset(r, 0, sizeof(*r));
    mf_arena_init(&r->arena, 4096);
    r->c.call.scope = &k->scope;
    r->c.call.arena = &r->arena;
    r->c.call.done = on_done;
}

MF_LOOP static int run_end(struct kit *k, struct run *r, int rc)
{
    if (rc == 0) {
        mf_loop_fixture_wait(k->loop, &r->is_done);
        rc = r->rc;
    }
    mf_arena_fini(&r->arena);
    return rc;
}

MF_LOOP static int try_list(struct kit *k, char why[MF_ERR_MAX])
{
    struct run r;
    int rc;

    run_init(k, &r);
    r.c.messages.session_id = mf_slice_str(k->session.s);
    r.c.messages.limit = 10;
    rc = run_end(k, &r, mf_engine_list(k->e, &r.c.messages));
    (void)snprintf(why, MF_ERR_MAX, "%s", r.c.call.err.msg);
    return rc;
}

MF_LOOP static int try_delete(struct kit *k, enum mf_entity_kind kind, const char *id)
{
    struct run r;

    run_init(k, &r);
    r.c.entity.kind = kind;
    r.c.entity.in.id = mf_slice_str(id);
    return run_end(k, &r, mf_engine_entity_delete(k->e, &r.c.entity));
}

MF_LOOP static int try_get(struct kit *k, enum mf_entity_kind kind, const char *id)
{
    struct run r;

    run_init(k, &r);
    r.c.entity.kind = kind;
    r.c.entity.in.id = mf_slice_str(id);
    return run_end(k, &r, mf_engine_entity_get(k->e, &r.c.entity));
}

MF_LOOP static int try_add_to(struct kit *k, const char *session_id)
{
    struct kit_add a;

    kit_fill_add(k, &a, "text9999");
    a.c.session_id = mf_slice_str(session_id);
    kit_submit_add(k, &a);
    return kit_add_end(k, &a);
}

/* ---- numbers ---- */

MF_TEST(remote, order_numbers_are_made_of_clock_and_node)
{
    struct kit k;

    remote_open(&k, quick);
    add_some(&k, 0, 5);
    kit_flush(&k);
    check_stored(&k, 5);
    MF_CHECK_INT(
        kit_number(&k, "SELECT count(*) FROM messages WHERE (seq >> 12 & 1023) = 7"),
        5);
    MF_CHECK(kit_number(&k, "SELECT min(seq) >> 22 FROM messages") > 31536000000L);
    kit_stop(&k);
    kit_reopen(&k); /* nothing in the journal tells the last one */
    add_some(&k, 5, 10);
    kit_flush(&k);
    check_stored(&k, 10);
    remote_close(&k);
}

/* ---- away ---- */

MF_TEST(remote, adds_and_questions_go_on_while_the_store_is_away)
{
    struct kit_answer answer;
    char why[MF_ERR_MAX];
    struct kit_id id;
    struct kit k;

    remote_open(&k, quick);
    add_some(&k, 0, 1);
    kit_flush(&k);
    remote_cut(true);
    add_some(&k, 1, 20);
    kit_add(&k, "text0020", &id);
    MF_CHECK_INT(kit_n_found(&k, "text0020", &id), 1);
    kit_ask(&k, "text0020", &answer);
    MF_CHECK(answer.is_partial);
    MF_CHECK_INT(try_list(&k, why), MF_EUNAVAILABLE);
    MF_CHECK_STR(why, FAR_STORE_WHY);
    MF_CHECK_INT(try_add_to(&k, "nobody-knows-it"), MF_EUNAVAILABLE);
    MF_CHECK_INT(n_stored(&k), 1);
    remote_cut(false);
    kit_wait(&k, is_stored, NULL);
    check_stored(&k, 21);
    MF_CHECK_INT(try_add_to(&k, "nobody-knows-it"), MF_ENOTFOUND);
    remote_close(&k);
}

MF_TEST(remote, known_sessions_outlive_a_restart_while_the_store_is_away)
{
    struct kit_answer answer;
    struct kit_id id;
    struct kit k;

    remote_open(&k, quick);
    add_some(&k, 0, 3);
    remote_cut(true);
    for (int restarts = 0; restarts < 2; restarts++) {
        if (restarts == 0) {
            kit_stop(&k);
            kit_reopen(&k);
        } else {
            kit_cut_power(&k);
        }
        add_some(&k, 10 * restarts + 3, 10 * restarts + 8);
        kit_add(&k, restarts == 0 ? "text0008" : "text0018", &id);
        kit_ask(&k, restarts == 0 ? "text0008" : "text0018", &answer);
        MF_CHECK(answer.is_partial);
        MF_CHECK_STR(answer.rows.row[0].id.s, id.s);
        MF_CHECK_INT(try_add_to(&k, "nobody-knows-it"), MF_EUNAVAILABLE);
    }
    remote_cut(false);
    kit_wait(&k, is_stored, NULL);
    check_stored(&k, 15);
    remote_close(&k);
}

MF_TEST(remote, a_store_that_is_away_at_the_start_gets_the_journals_rounds_later)
{
    struct kit k;

    remote_open(&k, quick);
    remote_cut(true);
    add_some(&k, 0, 12);
    kit_cut_power(&k);
    MF_CHECK_INT(n_stored(&k), 0);
    MF_CHECK(!is_stored(&k, NULL));
    remote_cut(false);
    kit_wait(&k, is_stored, NULL);
    check_stored(&k, 12);
    remote_close(&k);
}

/* ---- what is known ---- */

MF_TEST(remote, a_deleted_session_does_not_come_back_with_a_restart)
{
    struct kit_id session;
    struct kit k;

    remote_open(&k, quick);
    add_some(&k, 0, 1);
    session = k.session;
    MF_CHECK_OK(try_delete(&k, MF_ENTITY_SESSION, session.s));
    remote_cut(true);
    kit_cut_power(&k);
    MF_CHECK_INT(try_add_to(&k, session.s), MF_EUNAVAILABLE);
    remote_cut(false);
    MF_CHECK_INT(try_add_to(&k, session.s), MF_ENOTFOUND);
    remote_close(&k);
}

MF_TEST(remote, a_deleted_user_takes_what_is_known_along)
{
    struct kit k;

    remote_open(&k, quick);
    add_some(&k, 0, 1);
    kit_flush(&k);
    kit_stop(&k);
    kit_reopen(&k); /* unsure: the session was not asked for since */
    MF_CHECK_OK(try_delete(&k, MF_ENTITY_USER, k.user.s));
    remote_cut(true);
    kit_cut_power(&k);
    MF_CHECK_INT(try_add_to(&k, k.session.s), MF_EUNAVAILABLE);
    remote_close(&k);
}

MF_TEST(remote, what_a_restart_found_is_checked_when_the_store_is_there)
{
    sqlite3 *db;
    struct kit k;

    remote_open(&k, quick);
    kit_stop(&k);
    db = kit_store_file(&k); /* another process deletes it */
    kit_sql(db, "DELETE FROM sessions");
    MF_CHECK_INT(sqlite3_close(db), SQLITE_OK);
    kit_reopen(&k);
    MF_CHECK_INT(try_add_to(&k, k.session.s), MF_ENOTFOUND);
    remote_cut(true); /* and is not believed any more */
    MF_CHECK_INT(try_add_to(&k, k.session.s), MF_EUNAVAILABLE);
    remote_close(&k);
}

MF_TEST(remote, what_is_known_makes_no_commit_of_its_own)
{
    struct mf_stat_histogram before, after;
    struct kit k;

    remote_open(&k, quick);
    kit_linger(&k, 20);
    mf_stat_read_histogram(MF_STAT_journal_commit_us, &before);
    MF_CHECK_OK(try_get(&k, MF_ENTITY_USER, k.user.s));
    kit_linger(&k, 20);
    mf_stat_read_histogram(MF_STAT_journal_commit_us, &after);
    MF_CHECK_INT(after.count, before.count);
    remote_close(&k);
}
