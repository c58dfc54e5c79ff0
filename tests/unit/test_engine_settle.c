/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"
#include "engine/engine_priv.h"
#include "flow/engine_kit.h"

#include <stdio.h>
#include <string.h>

static const char *const still[] = {"buffer.performance.flush_interval=3600",
                                    "buffer.performance.force_flush_timeout=3600",
                                    "buffer.performance.flush_timeout=0.3",
                                    "flush.vector_wait=3600",
                                    "flush.batch_age=0",
                                    "flush.retry_first=0.01",
                                    "flush.retry_max=0.05",
                                    "drain.timeout=0",
                                    NULL};

struct waiter {
    struct mf_settle s;
    unsigned n_done;
    bool is_done;
    int rc;
};

static void on_done(struct mf_settle *s, int rc)
{
    struct waiter *w = mf_container_of(s, struct waiter, s);

    w->n_done++;
    w->is_done = true;
    w->rc = rc;
}

static void waiter_init(struct waiter *w, const char *user, const char *session,
                        const char *agent)
{
    memset(w, 0, sizeof(*w));
    w->s.user_id = mf_slice_str(user);
    w->s.session_id = mf_slice_str(session);
    w->s.agent_id = mf_slice_str(agent);
    w->s.done = on_done;
}

MF_LOOP static int wait_end(struct kit *k, struct waiter *w)
{
    mf_loop_fixture_wait(k->loop, &w->is_done);
    MF_CHECK_INT(w->n_done, 1);
    mf_settle_end(&w->s);
    return w->rc;
}

static long n_stored(struct kit *k)
{
    return kit_number(k, "SELECT count(*) FROM messages");
}

MF_TEST(settle, with_nothing_to_wait_for_is_done_at_once)
{
    struct waiter w;
    struct kit k;

    kit_open(&k, NULL, still);
    waiter_init(&w, "", "", "");
    mf_settle_begin(k.e, &w.s);
    MF_CHECK(w.is_done);
    MF_CHECK_OK(wait_end(&k, &w));
    waiter_init(&w, k.user.s, "", "");
    mf_settle_begin(k.e, &w.s);
    MF_CHECK(w.is_done);
    MF_CHECK_OK(wait_end(&k, &w));
    kit_close(&k);
}

/* Whichever way it is asked for; rounds on their way to the journal count, too. */
MF_TEST(settle, brings_the_rounds_of_its_scope_out_of_journal_and_buffers)
{
    struct kit k;

    kit_open(&k, NULL, still);
    for (int i = 0; i < 4; i++) {
        struct mf_engine_figures f;
        struct kit_add a;
        struct waiter w;

        kit_add(&k, "one", NULL);
        kit_add_begin(&k, &a, "under way");
        waiter_init(&w, i == 0 || i == 1 ? k.user.s : "", i == 1 ? k.session.s : "",
                    i == 2 ? k.agent.s : "");
        mf_settle_begin(k.e, &w.s);
        MF_CHECK(!w.is_done);
        MF_CHECK_OK(wait_end(&k, &w));
        MF_CHECK(a.is_done);
        MF_CHECK_OK(kit_add_end(&k, &a));
        MF_CHECK_INT(n_stored(&k), 2 * (i + 1));
        mf_engine_figures(k.e, &f);
        MF_CHECK_INT(f.n_messages, 0);
        MF_CHECK_INT(f.journal_bytes, 0);
    }
    kit_close(&k);
}

MF_TEST(settle, waits_for_no_round_of_another_nor_for_later_ones)
{
    struct waiter w;
    struct kit k;

    kit_open(&k, NULL, still);
    kit_add(&k, "one", NULL);
    waiter_init(&w, "somebody", "", "");
    mf_settle_begin(k.e, &w.s);
    MF_CHECK(w.is_done);
    MF_CHECK_OK(wait_end(&k, &w));
    waiter_init(&w, k.user.s, "elsewhere", "");
    mf_settle_begin(k.e, &w.s);
    MF_CHECK(w.is_done);
    MF_CHECK_OK(wait_end(&k, &w));
    waiter_init(&w, "", "", "other-agent");
    mf_settle_begin(k.e, &w.s);
    MF_CHECK_OK(wait_end(&k, &w));
    MF_CHECK_INT(n_stored(&k), 0);
    kit_close(&k);
}

MF_TEST(settle, gives_up_in_time_when_the_store_does_not_take_it)
{
    struct waiter user, all, agent;
    sqlite3 *db;
    struct kit k;

    kit_open(&k, NULL, still);
    db = kit_store_file(&k);
    kit_sql(db, "BEGIN IMMEDIATE");
    kit_add(&k, "one", NULL);
    waiter_init(&user, k.user.s, "", "");
    waiter_init(&all, "", "", "");
    waiter_init(&agent, "", "", k.agent.s);
    mf_settle_begin(k.e, &user.s);
    mf_settle_begin(k.e, &all.s);
    mf_settle_begin(k.e, &agent.s);
    MF_CHECK_INT(wait_end(&k, &user), MF_ETIMEOUT);
    MF_CHECK_INT(wait_end(&k, &all), MF_ETIMEOUT);
    MF_CHECK_INT(wait_end(&k, &agent), MF_ETIMEOUT);
    kit_sql(db, "ROLLBACK");
    MF_CHECK_INT(sqlite3_close(db), SQLITE_OK);
    waiter_init(&user, k.user.s, "", "");
    k.conf.buffer_flush_timeout_ms = 30000;
    mf_settle_begin(k.e, &user.s);
    MF_CHECK_OK(wait_end(&k, &user));
    MF_CHECK_INT(n_stored(&k), 1);
    kit_close(&k);
}

MF_LOOP static bool closes(struct kit *k, const char *user, const char *session,
                           const char *agent)
{
    return mf_settle_is_closing(k->e, mf_slice_str(user), mf_slice_str(session),
                                mf_slice_str(agent));
}

MF_TEST(settle, a_closing_one_shuts_its_scope_until_it_ends)
{
    struct waiter w;
    struct kit k;

    kit_open(&k, NULL, still);
    waiter_init(&w, "ann", "trip", "");
    w.s.is_closing = true;
    mf_settle_begin(k.e, &w.s);
    MF_CHECK(w.is_done); /* and shut still */
    MF_CHECK(closes(&k, "ann", "trip", "guide"));
    MF_CHECK(!closes(&k, "ann", "other", "guide"));
    MF_CHECK(!closes(&k, "bob", "trip", "guide"));
    MF_CHECK(!closes(&k, "ann", "", "guide")); /* a new session of the user */
    mf_settle_end(&w.s);
    MF_CHECK(!closes(&k, "ann", "trip", "guide"));
    waiter_init(&w, "ann", "", "");
    mf_settle_begin(k.e, &w.s);
    MF_CHECK(!closes(&k, "ann", "trip", "guide")); /* it only waits */
    mf_settle_end(&w.s);
    waiter_init(&w, "", "", "guide");
    w.s.is_closing = true;
    mf_settle_begin(k.e, &w.s);
    MF_CHECK(closes(&k, "bob", "any", "guide"));
    MF_CHECK(!closes(&k, "bob", "any", "other"));
    MF_CHECK_OK(wait_end(&k, &w));
    kit_close(&k);
}

MF_TEST(settle, all_are_told_when_the_engine_closes)
{
    struct waiter user, agent;
    struct kit k;
    sqlite3 *db;

    kit_open(&k, NULL, still);
    db = kit_store_file(&k);
    kit_sql(db, "BEGIN IMMEDIATE");
    kit_add(&k, "one", NULL);
    waiter_init(&user, k.user.s, "", "");
    waiter_init(&agent, "", "", k.agent.s);
    mf_settle_begin(k.e, &user.s);
    mf_settle_begin(k.e, &agent.s);
    mf_engine_close(k.e, kit_on_closed, &k);
    mf_loop_fixture_wait(k.loop, &user.is_done);
    MF_CHECK_INT(user.rc, MF_ECLOSED);
    MF_CHECK_INT(agent.rc, MF_ECLOSED);
    kit_sql(db, "ROLLBACK");
    MF_CHECK_INT(sqlite3_close(db), SQLITE_OK);
    mf_loop_fixture_wait(k.loop, &k.is_closed);
    kit_reopen(&k);
    kit_flush(&k);
    MF_CHECK_INT(n_stored(&k), 1);
    kit_close(&k);
}

/* ---- the sweep ---- */

#define N_USERS 5000

/* Rounds straight into the buffers, not due for long: nobody flushes them. */
MF_LOOP static void fill_buffers(struct kit *k)
{
    struct mf_wbuf_limits roomy = {.max_rounds = 100, .max_tokens = 1000};

    for (size_t i = 0; i < N_USERS; i++) {
        struct mf_msg msg = {.id = mf_slice_str("m"), .content = mf_slice_str("text")};
        struct mf_item_spec spec = {.msgs = &msg, .n_msgs = 1};
        struct mf_add_outcome out;
        struct mf_item *it;
        char user[16];

        (void)snprintf(user, sizeof(user), "u%zu", i);
        spec.user_id = mf_slice_str(user);
        it = mf_item_new(&spec);
        MF_CHECK(it != NULL);
        mf_item_set_seq(it, mf_engine_take_seqs(k->e, 1));
        mf_buffers_reserve(k->e->buffers, it->bytes);
        MF_CHECK_OK(
            mf_buffers_add(k->e->buffers, it, &roomy, mf_loop_now_ms(k->loop), &out));
        mf_item_unref(it);
    }
}

MF_TEST(sweep, visits_each_user_once_and_is_not_begun_anew_half_way)
{
    static const bool never = false;
    const struct mf_link *first;
    unsigned n_turns = 0;
    struct kit k;

    kit_open(&k, NULL, still);
    (void)uv_timer_stop(&k.e->tick);
    fill_buffers(&k);
    first = mf_list_head(mf_buffers_users(k.e->buffers));
    mf_engine_sweep(k.e);
    MF_CHECK_INT(k.e->sweep_left, N_USERS);
    mf_engine_sweep(k.e); /* wanted once more, later */
    while (k.e->is_sweeping) {
        size_t before = k.e->sweep_left;

        (void)mf_loop_run_until(k.loop, &never, 0);
        MF_CHECK(k.e->sweep_left <= before || !k.e->is_sweep_wanted);
        MF_CHECK(++n_turns < N_USERS);
    }
    MF_CHECK_PTR(mf_list_head(mf_buffers_users(k.e->buffers)), first);
    MF_CHECK_INT(mf_buffers_users(k.e->buffers)->n, N_USERS);
    kit_close(&k);
}
