/* SPDX-License-Identifier: Apache-2.0 */
/* What embed does while all goes well: order, batches, permits, bounds, closing. */
#include "base/mem.h"
#include "base/stat.h"
#include "lib/embed_fixture.h"

#include <stdio.h>

MF_TEST(embed, gives_each_task_its_own_vector_once)
{
    struct fix f;
    struct task k[20];
    char text[20][16];
    int64_t texts = mf_stat_get(MF_STAT_embed_texts);

    fix_open(&f, &(struct mf_fake_config){.batch_texts = 6}, &plain_config);
    mf_loop_assert(f.loop);
    for (size_t i = 0; i < 20; i++) {
        (void)snprintf(text[i], sizeof(text[i]), "text %zu", i);
        MF_CHECK_OK(submit(&f, &k[i], text[i], MF_ORDINARY));
        MF_CHECK_INT(k[i].n_done, 0);
    }
    MF_CHECK_INT(mf_embed_backlog(f.embed), 20);
    MF_CHECK_INT(mf_embed_backlog_bytes(f.embed), 10 * 6 + 10 * 7);
    run_until_done(&f, &k[19]);
    run_a_while(&f);
    for (size_t i = 0; i < 20; i++) {
        check_vector(&f, &k[i]);
        MF_CHECK_INT(k[i].n_done, 1);
        MF_CHECK_INT(k[i].n_after, 1);
        MF_CHECK_INT(k[i].after_rc, 0);
        MF_CHECK(k[i].after_had_vector);
        MF_CHECK_INT(k[i].t.n_passages, 0);
    }
    MF_CHECK_INT(mf_embed_backlog(f.embed), 0);
    MF_CHECK_INT(mf_embed_backlog_bytes(f.embed), 0);
    MF_CHECK_INT(mf_stat_get(MF_STAT_embed_texts), texts + 20);
    MF_CHECK_INT(mf_stat_get(MF_STAT_embed_backlog), 0);
    MF_CHECK_INT(mf_embed_info(f.embed)->dim, DIM);
    fix_close(&f);
}

MF_TEST(embed, works_without_after_and_with_an_empty_text)
{
    struct fix f;
    struct task k;

    fix_open(&f, &(struct mf_fake_config){0}, &plain_config);
    MF_CHECK_OK(submit(&f, &k, "", MF_URGENT));
    k.t.after = NULL;
    run_until_done(&f, &k);
    check_vector(&f, &k);
    MF_CHECK_INT(k.n_after, 0);
    fix_close(&f);
}

MF_TEST(embed, shows_the_vector_to_after_alone_when_it_has_no_place)
{
    struct fix f;
    struct task k;

    fix_open(&f, &(struct mf_fake_config){0}, &plain_config);
    MF_CHECK_OK(submit(&f, &k, "Where is the bicycle?", MF_ORDINARY));
    k.t.vector = NULL;
    run_until_done(&f, &k);
    MF_CHECK_INT(k.rc, 0);
    MF_CHECK_INT(k.after_rc, 0);
    MF_CHECK(k.after_had_vector);
    MF_CHECK_PTR(k.t.vector, NULL);
    fix_close(&f);
}

MF_TEST(embed, works_with_the_built_in_model)
{
    struct fix f;
    struct task k;
    struct mf_model *hash;
    struct mf_embed *e;
    float v[384], want[384];
    struct mf_text text = {.flags = 0};
    struct mf_text_result res;

    fix_open(&f, &(struct mf_fake_config){0}, &plain_config);
    mf_loop_assert(f.loop);
    MF_CHECK_OK(mf_model_hash_open(&hash, NULL));
    e = f.embed;
    MF_CHECK_OK(mf_embed_open(&f.embed, f.loop, hash, &plain_config));
    MF_CHECK_OK(submit(&f, &k, "Where is the bicycle?", MF_URGENT));
    k.t.vector = v;
    run_until_done(&f, &k);
    MF_CHECK_INT(k.rc, 0);
    text.text = k.t.text;
    MF_CHECK_OK(hash->ops->embed(hash, &text, 1, want, &res));
    MF_CHECK_MEM(v, want, sizeof(v));
    mf_embed_close(f.embed, fix_closed, &f);
    MF_CHECK(mf_loop_run_until(f.loop, &f.closed, PATIENCE));
    mf_model_close(hash);
    f.closed = false;
    f.n_closed = 0;
    f.embed = e;
    fix_close(&f);
}

MF_TEST(embed, takes_urgent_tasks_first_and_keeps_order_inside_a_class)
{
    struct fix f;
    struct task k[5];

    fix_open(&f, &(struct mf_fake_config){0}, &plain_config);
    mf_fake_hold(f.fake);
    MF_CHECK_OK(submit(&f, &k[0], "A", MF_ORDINARY));
    run_until_calls(&f, 1);
    MF_CHECK_OK(submit(&f, &k[1], "B", MF_ORDINARY));
    MF_CHECK_OK(submit(&f, &k[2], "C", MF_ORDINARY));
    MF_CHECK_OK(submit(&f, &k[3], "U", MF_URGENT));
    MF_CHECK_OK(submit(&f, &k[4], "V", MF_URGENT));
    run_a_while(&f);
    mf_fake_release(f.fake);
    run_until_done(&f, &k[2]);
    MF_CHECK_STR(mf_fake_counts(f.fake).order, "AUVBC");
    MF_CHECK_STR(done_order, "AUVBC");
    fix_close(&f);
}

MF_TEST(embed, never_puts_background_and_urgent_texts_into_one_batch)
{
    struct fix f;
    struct task k[4];

    fix_open(&f, &(struct mf_fake_config){.batch_texts = 8}, &plain_config);
    MF_CHECK_OK(submit(&f, &k[0], "A", MF_ORDINARY));
    MF_CHECK_OK(submit(&f, &k[1], "U", MF_URGENT));
    MF_CHECK_OK(submit(&f, &k[2], "B", MF_ORDINARY));
    MF_CHECK_OK(submit(&f, &k[3], "V", MF_URGENT));
    run_until_done(&f, &k[2]);
    MF_CHECK_STR(mf_fake_counts(f.fake).order, "UA");
    MF_CHECK_STR(done_order, "UVAB");
    fix_close(&f);
}

MF_TEST(embed, fills_batches_as_large_as_the_model_likes)
{
    struct fix f;
    struct task k[10];

    fix_open(&f, &(struct mf_fake_config){.batch_texts = 4}, &plain_config);
    for (size_t i = 0; i < 10; i++) {
        static const char letters[] = "a\0b\0c\0d\0e\0f\0g\0h\0i\0j";

        MF_CHECK_OK(submit(&f, &k[i], letters + 2 * i, MF_ORDINARY));
    }
    run_until_done(&f, &k[9]);
    MF_CHECK_STR(mf_fake_counts(f.fake).order, "aei");
    MF_CHECK_INT(mf_fake_counts(f.fake).max_batch, 4);
    MF_CHECK_STR(done_order, "abcdefghij");
    fix_close(&f);
}

MF_TEST(embed, bounds_batches_by_bytes_and_lets_a_longer_text_go_alone)
{
    struct fix f;
    struct task k[5];

    fix_open(&f, &(struct mf_fake_config){.batch_texts = 9, .batch_bytes = 6},
             &plain_config);
    MF_CHECK_OK(submit(&f, &k[0], "aaa", MF_ORDINARY));
    MF_CHECK_OK(submit(&f, &k[1], "bbb", MF_ORDINARY));
    MF_CHECK_OK(submit(&f, &k[2], "c", MF_ORDINARY));
    MF_CHECK_OK(submit(&f, &k[3], "long text", MF_ORDINARY));
    MF_CHECK_OK(submit(&f, &k[4], "d", MF_ORDINARY));
    run_until_done(&f, &k[4]);
    MF_CHECK_STR(mf_fake_counts(f.fake).order, "acld");
    fix_close(&f);
}

MF_TEST(embed, bounds_batches_by_estimated_tokens)
{
    struct fix f;
    struct task k[5];

    fix_open(&f, &(struct mf_fake_config){.batch_texts = 9, .batch_tokens = 9},
             &plain_config);
    MF_CHECK_OK(submit(&f, &k[0], "f o r", MF_ORDINARY)); /* 5 / 4 + 2 */
    MF_CHECK_OK(submit(&f, &k[1], "f o r", MF_ORDINARY));
    MF_CHECK_OK(submit(&f, &k[2], "f o r", MF_ORDINARY));
    MF_CHECK_OK(submit(&f, &k[3], "a text of thirty-two characters.", MF_ORDINARY));
    MF_CHECK_OK(submit(&f, &k[4], "more", MF_ORDINARY));
    run_until_done(&f, &k[4]);
    run_until_done(&f, &k[3]);
    MF_CHECK_STR(mf_fake_counts(f.fake).order, "fam");
    MF_CHECK_INT(mf_fake_counts(f.fake).max_batch, 3);
    fix_close(&f);
}

MF_TEST(embed, fills_batches_by_the_tokens_that_texts_turned_out_to_have)
{
    struct mf_fake_config config = {.batch_texts = 99, .batch_tokens = 12};
    struct fix f;
    struct task k[10];

    fix_open(&f, &config, &plain_config);
    for (unsigned i = 0; i < 10; i++) {
        MF_CHECK_OK(submit(&f, &k[i], "sixteen letters.", MF_ORDINARY)); /* cost 6 */
        if (i == 1) {
            run_until_done(&f, &k[1]);
            MF_CHECK_INT(mf_fake_counts(f.fake).max_batch, 2);
        }
    }
    run_until_done(&f, &k[9]);
    MF_CHECK_INT(mf_fake_counts(f.fake).calls, 3); /* two words each: 4 and 4 */
    MF_CHECK_INT(mf_fake_counts(f.fake).max_batch, 4);
    fix_close(&f);
}

MF_TEST(embed, makes_background_batches_small_while_somebody_asks)
{
    struct fix f;
    struct task k[42];
    struct mf_fake_config config = {
        .batch_texts = 99, .batch_tokens = 999, .prefers_cores = true};

    fix_open(&f, &config, &plain_config);
    for (unsigned i = 0; i < 20; i++) {
        MF_CHECK_OK(submit(&f, &k[i], "sixteen letters.", MF_ORDINARY)); /* cost 6 */
    }
    run_until_done(&f, &k[19]);
    MF_CHECK_INT(mf_fake_counts(f.fake).max_batch, 20);
    MF_CHECK_OK(submit(&f, &k[20], "asked", MF_URGENT));
    run_until_done(&f, &k[20]);
    MF_CHECK_INT(mf_fake_counts(f.fake).calls, 2);
    for (unsigned i = 21; i < 42; i++) {
        MF_CHECK_OK(submit(&f, &k[i], "sixteen letters.", MF_ORDINARY));
    }
    run_until_done(&f, &k[41]);
    MF_CHECK_INT(mf_fake_counts(f.fake).calls, 5); /* 10 and 10 and 1 */
    fix_close(&f);
}

MF_TEST(embed, takes_short_texts_first)
{
    struct fix f;
    struct task k[3];
    char text[201];

    memset(text, 'l', 200);
    text[200] = '\0';
    fix_open(&f, &(struct mf_fake_config){0}, &plain_config);
    mf_fake_hold(f.fake);
    MF_CHECK_OK(submit(&f, &k[0], "A", MF_ORDINARY));
    run_until_calls(&f, 1);
    MF_CHECK_OK(submit(&f, &k[1], text, MF_URGENT));
    MF_CHECK_OK(submit(&f, &k[2], "s", MF_URGENT));
    mf_fake_release(f.fake);
    run_until_done(&f, &k[1]);
    MF_CHECK_STR(mf_fake_counts(f.fake).order, "Asl");
    fix_close(&f);
}

/* ---- flags ---- */

MF_TEST(embed, hands_flags_to_the_model_and_tokens_back)
{
    struct fix f;
    struct task k[4];

    fix_open(&f, &(struct mf_fake_config){.window = 3, .batch_texts = 4},
             &plain_config);
    mf_fake_hold(f.fake);
    MF_CHECK_OK(submit(&f, &k[0], "one two", MF_ORDINARY));
    MF_CHECK_OK(submit(&f, &k[1], "a b c d", MF_ORDINARY));
    MF_CHECK_OK(submit(&f, &k[2], "a b c d e", MF_ORDINARY));
    MF_CHECK_OK(submit(&f, &k[3], "x y z", MF_ORDINARY));
    k[2].t.flags = MF_TEXT_WHOLE;
    k[3].t.flags = MF_TEXT_WHOLE | MF_TEXT_RAW;
    mf_fake_release(f.fake);
    run_until_done(&f, &k[3]);
    check_vector(&f, &k[0]);
    MF_CHECK_INT(k[0].t.n_tokens, 2);
    check_vector(&f, &k[1]);
    MF_CHECK_INT(k[1].t.n_tokens, 3); /* cut off */
    MF_CHECK_INT(k[2].rc, MF_ETOOBIG);
    MF_CHECK_INT(k[2].t.n_tokens, 0);
    MF_CHECK_INT(mf_fake_counts(f.fake).calls, 1); /* not tried again */
    MF_CHECK_INT(k[3].rc, 0);
    MF_CHECK_INT(k[3].t.n_tokens, 3);
    fix_close(&f);
}

MF_TEST(embed, takes_a_vector_of_any_length_only_when_it_was_asked_for_raw)
{
    struct mf_embed_config cfg = plain_config;
    struct fix f;
    struct task raw, unit;
    float want[DIM];

    cfg.dep.max_attempts = 1;
    fix_open(&f, &(struct mf_fake_config){0}, &cfg);
    MF_CHECK_OK(submit(&f, &raw, "a LONG one", MF_ORDINARY));
    raw.t.flags = MF_TEXT_RAW;
    MF_CHECK_OK(submit(&f, &unit, "a LONG one", MF_ORDINARY));
    run_until_done(&f, &raw);
    run_until_done(&f, &unit);
    MF_CHECK_INT(raw.rc, 0);
    MF_CHECK_INT(unit.rc, MF_EBACKEND);
    mf_fake_vector(f.fake, raw.t.text, want);
    for (size_t i = 0; i < DIM; i++) {
        MF_CHECK(raw.v[i] == want[i] * 2 * 3);
    }
    fix_close(&f);
}

/* ---- bounds ---- */

MF_TEST(embed, runs_as_many_jobs_at_once_as_there_are_permits)
{
    struct mf_embed_config cfg = plain_config;
    struct fix f;
    struct task k[20];

    cfg.permits = 10;
    fix_open(&f, &(struct mf_fake_config){0}, &cfg);
    mf_fake_hold(f.fake);
    for (size_t i = 0; i < 20; i++) {
        MF_CHECK_OK(submit(&f, &k[i], "x", MF_ORDINARY));
    }
    run_until_calls(&f, 10); /* all of them, none after another */
    run_a_while(&f);
    MF_CHECK_INT(mf_fake_counts(f.fake).running, 10);
    mf_fake_release(f.fake);
    for (size_t i = 0; i < 20; i++) {
        run_until_done(&f, &k[i]);
    }
    MF_CHECK_INT(mf_fake_counts(f.fake).max_running, 10);
    MF_CHECK_INT(mf_fake_counts(f.fake).calls, 20);
    fix_close(&f);
}

MF_TEST(embed, refuses_background_tasks_over_its_bounds_and_never_urgent_ones)
{
    struct mf_embed_config cfg = plain_config;
    struct fix f;
    struct task k[8];

    cfg.max_waiting = 3;
    cfg.max_waiting_bytes = 10;
    fix_open(&f, &(struct mf_fake_config){0}, &cfg);
    mf_loop_assert(f.loop);
    mf_fake_hold(f.fake);
    MF_CHECK_OK(submit(&f, &k[0], "more than ten bytes", MF_ORDINARY));
    MF_CHECK_INT(submit(&f, &k[1], "b", MF_ORDINARY), MF_EBUSY);
    run_until_calls(&f, 1); /* k[0] waits no more */
    MF_CHECK_OK(submit(&f, &k[2], "12345678", MF_ORDINARY));
    MF_CHECK_INT(submit(&f, &k[3], "123", MF_ORDINARY), MF_EBUSY);
    MF_CHECK_OK(submit(&f, &k[3], "12", MF_ORDINARY));
    MF_CHECK_OK(submit(&f, &k[4], "", MF_ORDINARY));
    MF_CHECK_INT(submit(&f, &k[5], "", MF_ORDINARY), MF_EBUSY);
    MF_CHECK_OK(submit(&f, &k[6], "urgent", MF_URGENT));
    MF_CHECK_INT(mf_embed_backlog(f.embed), 5);
    mf_fake_release(f.fake);
    run_until_done(&f, &k[4]);
    MF_CHECK_OK(submit(&f, &k[7], "12345", MF_ORDINARY));
    run_until_done(&f, &k[7]);
    MF_CHECK_INT(k[1].n_done + k[5].n_done, 0);
    fix_close(&f);
}

MF_TEST(embed, lets_only_urgent_tasks_through_while_paused)
{
    struct fix f;
    struct task bg, urgent;

    fix_open(&f, &(struct mf_fake_config){0}, &plain_config);
    mf_loop_assert(f.loop);
    mf_embed_pause(f.embed, true);
    MF_CHECK_OK(submit(&f, &bg, "B", MF_ORDINARY));
    MF_CHECK_OK(submit(&f, &urgent, "U", MF_URGENT));
    run_until_done(&f, &urgent);
    run_a_while(&f);
    MF_CHECK_STR(mf_fake_counts(f.fake).order, "U");
    MF_CHECK_INT(bg.n_done, 0);
    mf_embed_pause(f.embed, false);
    run_until_done(&f, &bg);
    check_vector(&f, &bg);
    fix_close(&f);
}

/* ---- passages ---- */

static void run_for_passages(const char *text, bool wanted)
{
    struct fix f;
    struct task k;

    fix_open(&f, &(struct mf_fake_config){.window = 4, .batch_texts = 2},
             &plain_config);
    MF_CHECK_OK(submit(&f, &k, text, MF_ORDINARY));
    k.t.wants_passages = wanted;
    k.t.done = done_with_passages;
    run_until_done(&f, &k);
    check_vector(&f, &k);
    check_passages(&f, "", text);
    fix_close(&f);
}

MF_TEST(embed, gives_a_text_longer_than_the_window_its_passages)
{
    run_for_passages("a b c. d e f g h i j k", true);
    MF_CHECK_INT(seen.n, 3); /* "a b c. " "d e f g " "h i j k" */
    MF_CHECK_INT(seen.spans[0].n, 7);
}

MF_TEST(embed, gives_no_passages_unless_needed_and_wanted)
{
    run_for_passages("a b c. d e f g h i j k", false);
    MF_CHECK_INT(seen.n, 0);
    run_for_passages("aaaa bbbb cccc dddd", true);
    MF_CHECK_INT(seen.n, 0);
}

/* ---- closing, and calls from inside `done` ---- */

MF_TEST(embed, cancels_what_waits_and_finishes_what_runs_when_closed)
{
    struct fix f;
    struct task k[3], late;

    fix_open(&f, &(struct mf_fake_config){0}, &plain_config);
    mf_loop_assert(f.loop);
    mf_fake_hold(f.fake);
    MF_CHECK_OK(submit(&f, &k[0], "A", MF_ORDINARY));
    run_until_calls(&f, 1);
    MF_CHECK_OK(submit(&f, &k[1], "B", MF_ORDINARY));
    MF_CHECK_OK(submit(&f, &k[2], "U", MF_URGENT));
    mf_embed_close(f.embed, fix_closed, &f);
    MF_CHECK_INT(k[1].n_done, 0);
    MF_CHECK_INT(submit(&f, &late, "L", MF_URGENT), MF_ECLOSED);
    run_until_done(&f, &k[1]);
    run_until_done(&f, &k[2]);
    run_a_while(&f);
    MF_CHECK_INT(k[1].rc, MF_ECANCELED);
    MF_CHECK_INT(k[2].rc, MF_ECANCELED);
    MF_CHECK_INT(k[1].n_after + k[2].n_after, 0);
    MF_CHECK_INT(k[0].n_done, 0);
    MF_CHECK(!f.closed);
    mf_fake_release(f.fake);
    MF_CHECK(mf_loop_run_until(f.loop, &f.closed, PATIENCE));
    check_vector(&f, &k[0]);
    MF_CHECK_INT(late.n_done, 0);
    f.embed = NULL;
    fix_close(&f);
}

static struct task next;

static void done_then_submit(struct mf_embed_task *t, int rc)
{
    struct task *k = mf_container_of(t, struct task, t);

    task_done(t, rc);
    MF_CHECK_OK(submit(k->fix, &next, "second", MF_URGENT));
    MF_CHECK_INT(next.n_done, 0);
}

MF_TEST(embed, takes_a_new_task_from_inside_done)
{
    struct fix f;
    struct task k;

    fix_open(&f, &(struct mf_fake_config){0}, &plain_config);
    MF_CHECK_OK(submit(&f, &k, "first", MF_URGENT));
    k.t.done = done_then_submit;
    memset(&next, 0, sizeof(next));
    run_until_done(&f, &next);
    check_vector(&f, &next);
    fix_close(&f);
}

static void done_then_close(struct mf_embed_task *t, int rc)
{
    struct task *k = mf_container_of(t, struct task, t);

    mf_loop_assert(k->fix->loop);
    task_done(t, rc);
    mf_embed_close(k->fix->embed, fix_closed, k->fix);
}

MF_TEST(embed, may_be_closed_from_inside_done)
{
    struct fix f;
    struct task k[3];

    fix_open(&f, &(struct mf_fake_config){.batch_texts = 2}, &plain_config);
    MF_CHECK_OK(submit(&f, &k[0], "A", MF_ORDINARY));
    k[0].t.done = done_then_close;
    MF_CHECK_OK(submit(&f, &k[1], "B", MF_ORDINARY));
    MF_CHECK_OK(submit(&f, &k[2], "C", MF_ORDINARY));
    MF_CHECK(mf_loop_run_until(f.loop, &f.closed, PATIENCE));
    check_vector(&f, &k[0]);
    check_vector(&f, &k[1]);
    MF_CHECK_INT(k[2].rc, MF_ECANCELED);
    f.embed = NULL;
    fix_close(&f);
}
