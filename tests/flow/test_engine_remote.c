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

/* ---- what waits, and how long ---- */

/* clang-format off */
static const char *const short_wait[] = {
    "recall.store_timeout=0.05", "buffer.performance.flush_interval=3600",
    "buffer.performance.force_flush_timeout=3600", "buffer.performance.flush_timeout=3600",
    "embed.backfill_interval=0.02", "drain.timeout=0.2", NULL};

/* clang-format on */

MF_TEST(remote, a_question_does_not_wait_for_a_store_that_says_nothing)
{
    struct kit_answer answer;
    struct kit_id stored, buffered;
    struct kit k;

    remote_open(&k, short_wait);
    kit_add(&k, "words of old", &stored);
    kit_flush(&k);
    MF_CHECK_INT(kit_n_found(&k, "words of old", &stored), 1); /* resident from here */
    kit_stop(&k);
    kit_reopen(&k);
    kit_add(&k, "words of new", &buffered);
    kit_linger(&k, 20);
    mf_far_store_stall(remote_store(), true);
    kit_ask(&k, "words", &answer); /* shelf, names of sessions: all late */
    MF_CHECK(answer.is_partial);
    MF_CHECK_INT(answer.rows.n, 1);
    MF_CHECK_STR(answer.rows.row[0].id.s, buffered.s);
    mf_far_store_stall(remote_store(), false);
    MF_CHECK_INT(kit_n_found(&k, "words", &stored), 1);
    MF_CHECK_INT(kit_n_found(&k, "words", &buffered), 1);
    kit_ask(&k, "words", &answer);
    MF_CHECK(!answer.is_partial);
    remote_close(&k);
}

MF_TEST(remote, an_add_to_a_known_session_does_not_wait_for_it_either)
{
    struct kit k;

    remote_open(&k, short_wait);
    kit_add(&k, "one", NULL);
    kit_stop(&k);
    kit_reopen(&k);
    mf_far_store_stall(remote_store(), true);
    kit_add(&k, "two", NULL); /* known from before the restart */
    MF_CHECK_INT(try_add_to(&k, "nobody-knows-it"), MF_EUNAVAILABLE);
    MF_CHECK_INT(try_delete(&k, MF_ENTITY_SESSION, "nobody-knows-it"), MF_EUNAVAILABLE);
    mf_far_store_stall(remote_store(), false);
    kit_linger(&k, 20); /* the late answers come to nobody */
    kit_flush(&k);
    MF_CHECK_INT(n_stored(&k), 2);
    remote_close(&k);
}

/* A store answers at last, or says that it does not: the stop waits for that. */
MF_TEST(remote, a_stop_meets_visits_that_nobody_waits_for_any_more)
{
    struct kit_answer answer;
    struct kit k;

    remote_open(&k, short_wait);
    kit_add(&k, "one", NULL);
    kit_stop(&k);
    kit_reopen(&k);
    mf_far_store_stall(remote_store(), true);
    kit_ask(&k, "one", &answer);
    MF_CHECK_INT(try_add_to(&k, "nobody-knows-it"), MF_EUNAVAILABLE);
    mf_engine_close(k.e, kit_on_closed, &k);
    kit_linger(&k, 50);
    mf_far_store_stall(remote_store(), false);
    mf_loop_fixture_wait(k.loop, &k.is_closed);
    kit_reopen(&k);
    remote_close(&k);
}

MF_TEST(remote, what_must_change_the_store_is_refused_at_once_while_it_is_away)
{
    struct kit_id id;
    char why[MF_ERR_MAX];
    struct kit k;

    remote_open(&k, short_wait);
    kit_add(&k, "stays", &id);
    remote_cut(true);
    MF_CHECK_INT(try_list(&k, why), MF_EUNAVAILABLE); /* now it is known to be away */
    MF_CHECK_INT(kit_update(&k, &id, "changed"), MF_EUNAVAILABLE);
    MF_CHECK_INT(kit_delete(&k, &id), MF_EUNAVAILABLE);
    MF_CHECK_INT(try_delete(&k, MF_ENTITY_SESSION, k.session.s), MF_EUNAVAILABLE);
    MF_CHECK_INT(try_delete(&k, MF_ENTITY_AGENT, k.agent.s), MF_EUNAVAILABLE);
    kit_add(&k, "the session is open again", NULL);
    remote_cut(false);
    MF_CHECK_OK(kit_update(&k, &id, "changed"));
    MF_CHECK_OK(kit_delete(&k, &id));
    MF_CHECK_OK(try_delete(&k, MF_ENTITY_SESSION, k.session.s));
    remote_close(&k);
}

/* ---- known by way of its session ---- */

MF_TEST(remote, the_user_of_a_session_is_known_with_it)
{
    struct kit_answer answer;
    struct kit_id id;
    struct kit k;

    remote_open(&k, quick);
    kit_stop(&k);
    {
        char path[300];

        (void)snprintf(path, sizeof(path), "%s/journal.db", k.dir);
        MF_CHECK_OK(remove(path)); /* as on a new machine */
    }
    kit_reopen(&k);
    kit_add(&k, "asks for the session only", NULL);
    kit_linger(&k, 20);
    kit_add(&k, "takes the notes along", NULL);
    remote_cut(true);
    kit_cut_power(&k);
    kit_add(&k, "offline", &id);
    kit_ask(&k, "offline", &answer);
    MF_CHECK(answer.is_partial);
    MF_CHECK_STR(answer.rows.row[0].id.s, id.s);
    remote_close(&k);
}

/* ---- vectors ---- */

static bool has_all_vectors(struct kit *k, MF_UNUSED void *arg)
{
    return kit_number(k, "SELECT count(*) FROM messages WHERE is_pending") == 0;
}

static bool was_asked(MF_UNUSED struct kit *k, void *arg)
{
    const enum mf_store_op *op = arg;

    mf_loop_assert(k->loop);
    return mf_far_store_n_asked(remote_store(), *op) > 0;
}

MF_TEST(remote, rows_without_vectors_are_looked_for_once_it_is_there)
{
    enum mf_store_op walk = MF_STORE_MARK_FOREIGN, look = MF_STORE_PENDING_VECTORS;
    sqlite3 *db;
    struct kit k;

    remote_open(&k, short_wait);
    kit_add(&k, "has a vector", NULL);
    kit_linger(&k, 20);
    kit_flush(&k);
    kit_stop(&k);
    db = kit_store_file(&k); /* as another process may have left it */
    kit_sql(db, "UPDATE messages SET is_pending = 1");
    MF_CHECK_INT(sqlite3_close(db), SQLITE_OK);
    remote_cut_next(true);
    kit_reopen(&k);
    kit_wait(&k, was_asked, &walk);
    kit_linger(&k, 50);
    remote_cut(false);
    kit_wait(&k, has_all_vectors, NULL);
    MF_CHECK(was_asked(&k, &look));
    remote_close(&k);
}

/* ---- health ---- */

static bool is_up_and_empty(struct kit *k, MF_UNUSED void *arg)
{
    struct mf_engine_figures f;

    mf_loop_assert(k->loop);
    mf_engine_figures(k->e, &f);
    return f.store_up && f.n_waiting == 0;
}

static bool is_down(struct kit *k, MF_UNUSED void *arg)
{
    struct mf_engine_figures f;

    mf_loop_assert(k->loop);
    mf_engine_figures(k->e, &f);
    return !f.store_up;
}

MF_TEST(remote, figures_tell_why_since_when_and_how_much_waits)
{
    struct mf_engine_figures f, later;
    struct kit k;

    remote_open(&k, quick);
    mf_engine_figures(k.e, &f);
    MF_CHECK(f.store_up);
    MF_CHECK_STR(f.store_why, "");
    MF_CHECK(f.store_down_us == 0);
    remote_cut(true);
    add_some(&k, 0, 3);
    kit_wait(&k, is_down, NULL);
    kit_linger(&k, 50);
    mf_engine_figures(k.e, &f);
    MF_CHECK_STR(f.store_why, FAR_STORE_WHY);
    MF_CHECK_INT(f.n_waiting, 3);
    MF_CHECK(f.store_down_us > 0);
    kit_linger(&k, 20);
    mf_engine_figures(k.e, &later);
    MF_CHECK(later.store_down_us == f.store_down_us);
    remote_cut(false);
    kit_wait(&k, is_up_and_empty, NULL);
    mf_engine_figures(k.e, &f);
    MF_CHECK_STR(f.store_why, "");
    MF_CHECK(f.store_down_us == 0);
    remote_close(&k);
}

/* ---- bounds ---- */

MF_TEST(remote, a_long_absence_ends_at_the_journals_bound_and_then_all_arrives)
{
    static const char *const small[] = {"journal.max_bytes=1MiB",
                                        "buffer.performance.flush_interval=0.02",
                                        "buffer.performance.force_flush_timeout=0.02",
                                        "buffer.performance.max_flush_queue_size=4",
                                        "flush.retry_first=0.01",
                                        "flush.retry_max=0.05",
                                        NULL};
    struct mf_engine_figures f;
    char text[200];
    long n_acked = 0;
    int rc = 0;
    struct kit k;

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    remote_open(&k, small);
    remote_cut(true);
    for (int i = 0; i < 20000 && rc == 0; i++) {
        rc = kit_try_add(&k, text, NULL);
        n_acked += rc == 0;
    }
    MF_CHECK_INT(rc, MF_EBUSY);
    mf_engine_figures(k.e, &f);
    MF_CHECK(f.flush_jobs <= 4);
    MF_CHECK_INT(f.n_waiting, n_acked);
    remote_cut(false);
    kit_wait(&k, is_stored, NULL);
    MF_CHECK_INT(n_stored(&k), n_acked);
    MF_CHECK_INT(kit_try_add(&k, text, NULL), 0);
    remote_close(&k);
}
