/* SPDX-License-Identifier: Apache-2.0 */
/* The whole engine with a model that is slow, fails, or stands still. */
#include "flow/engine_kit.h"

#include <stdio.h>
#include <string.h>

static const char *const quick[] = {"buffer.performance.flush_interval=0.02",
                                    "buffer.performance.force_flush_timeout=0.02",
                                    "flush.batch_age=0",
                                    "flush.retry_first=0.01",
                                    "flush.retry_max=0.05",
                                    "embed.retry_first=0.01",
                                    "embed.retry_max=0.05",
                                    "embed.backfill_interval=0.03",
                                    "flush.vector_wait=0.05",
                                    NULL};
/* Rounds stay in memory until somebody asks. */
static const char *const ten_at_once[] = {"embed.max_concurrent=10",
                                          "buffer.performance.flush_interval=3600",
                                          "buffer.performance.force_flush_timeout=3600",
                                          "buffer.round_buffer.max_size=1000",
                                          "buffer.round_buffer.max_tokens=100000",
                                          NULL};

struct reach {
    unsigned running, calls;
};

static bool has_reached(struct kit *k, void *arg)
{
    const struct reach *r = arg;
    struct mf_fake_counts c = mf_fake_counts(k->model);

    return c.running == r->running && c.calls >= r->calls;
}

static bool is_embedded(struct kit *k, MF_UNUSED void *arg)
{
    struct mf_engine_figures f;

    mf_loop_assert(k->loop);
    mf_engine_figures(k->e, &f);
    return f.embed_backlog == 0 && mf_fake_counts(k->model).running == 0;
}

static bool is_stored(struct kit *k, MF_UNUSED void *arg)
{
    struct mf_engine_figures f;

    mf_loop_assert(k->loop);
    mf_engine_figures(k->e, &f);
    return f.n_messages == 0;
}

MF_LOOP static void add_many(struct kit *k, unsigned from, unsigned n)
{
    for (unsigned i = from; i < from + n; i++) {
        char text[32];

        (void)snprintf(text, sizeof(text), "text number %u", i);
        kit_add(k, text, NULL);
    }
}

MF_TEST(engine, acknowledges_and_lists_while_no_vector_is_there)
{
    struct kit k;
    struct kit_rows rows;

    kit_open(&k, NULL, ten_at_once);
    mf_fake_hold(k.model);
    add_many(&k, 0, 30); /* each waits for its answer */
    kit_list(&k, &rows);
    MF_CHECK_INT(rows.n, 30);
    mf_fake_release(k.model);
    kit_close(&k);
}

MF_TEST(engine, ten_slow_texts_take_one_wave)
{
    struct reach all = {10, 10};
    struct mf_fake_counts c;
    struct kit k;

    kit_open(&k, NULL, ten_at_once);
    mf_fake_hold(k.model);
    add_many(&k, 0, 10);
    kit_wait(&k, has_reached, &all);
    mf_fake_release(k.model);
    kit_wait(&k, is_embedded, NULL);
    c = mf_fake_counts(k.model);
    MF_CHECK_INT(c.calls, 10);
    MF_CHECK_INT(c.max_running, 10); /* all were in at once: one wave */
    kit_close(&k);
}

MF_TEST(engine, twenty_slow_texts_take_two_waves_of_ten)
{
    struct reach first = {10, 10};
    struct mf_fake_counts c;
    struct kit k;

    kit_open(&k, NULL, ten_at_once);
    mf_fake_hold(k.model);
    add_many(&k, 0, 20);
    kit_wait(&k, has_reached, &first);
    kit_linger(&k, 50);
    MF_CHECK_INT(mf_fake_counts(k.model).calls,
                 10); /* the second waits for the first */
    mf_fake_release(k.model);
    kit_wait(&k, is_embedded, NULL);
    c = mf_fake_counts(k.model);
    MF_CHECK_INT(c.calls, 20);
    MF_CHECK_INT(c.max_running, 10);
    kit_close(&k);
}

MF_TEST(engine, never_more_jobs_at_once_than_allowed_whatever_comes)
{
    struct mf_fake_config slow = {.dim = 8, .delay_ms = 5};
    struct kit_answer answer;
    struct kit k;

    kit_open(&k, &slow, ten_at_once);
    for (unsigned i = 0; i < 10; i++) {
        add_many(&k, i * 5, 5);
        kit_ask(&k, "text number", &answer); /* interactive, beside the adds */
        MF_CHECK_INT(answer.rows.n, (i + 1) * 5);
    }
    kit_wait(&k, is_embedded, NULL);
    MF_CHECK(mf_fake_counts(k.model).max_running <= 10);
    kit_close(&k);
}

MF_LOOP static void check_pending(struct kit *k, const struct kit_id *id)
{
    struct kit_answer answer;

    kit_ask(k, "cello lesson", &answer);
    MF_CHECK(answer.no_vector); /* said, not hidden */
    MF_CHECK_INT(answer.rows.n, 1);
    MF_CHECK_STR(answer.rows.row[0].id.s, id->s);
    MF_CHECK(!answer.has_vector[0]);
}

static bool has_no_pending(struct kit *k, MF_UNUSED void *arg)
{
    return kit_number(k, "SELECT count(*) FROM messages WHERE is_pending = 1") == 0;
}

MF_TEST(engine, a_failing_model_leaves_rows_pending_found_by_keyword_embedded_later)
{
    struct kit_answer answer;
    struct kit_id id;
    struct kit k;

    kit_open(&k, NULL, quick);
    mf_fake_fail_calls(k.model, 1000000);
    kit_add(&k, "the cello lesson is at nine", &id);
    check_pending(&k, &id);
    kit_wait(&k, is_stored, NULL);
    MF_CHECK_INT(kit_number(&k, "SELECT count(*) FROM messages WHERE is_pending = 1"),
                 1);
    check_pending(&k, &id);

    mf_fake_fail_calls(k.model, 0);
    kit_wait(&k, has_no_pending, NULL);
    kit_ask(&k, "the cello lesson is at nine", &answer);
    MF_CHECK(!answer.no_vector);
    MF_CHECK_INT(answer.rows.n, 1);
    MF_CHECK(answer.has_vector[0]);
    MF_CHECK(answer.similarity[0] > 0.99); /* the same text: its own vector */
    kit_close(&k);
}

/* The fake model notes the first byte of each call's first text. */
MF_TEST(engine, stored_texts_and_questions_have_the_models_prompts_before_them)
{
    static const struct mf_prompt_text prompts[] = {{"query", "Question: "},
                                                    {"passage", "Passage: "}};
    struct kit_answer answer;
    struct kit_rows rows;
    struct kit k;

    kit_open(&k, NULL, ten_at_once);
    k.model->model.info.prompts = prompts;
    k.model->model.info.n_prompts = mf_countof(prompts);
    kit_add(&k, "the cello lesson is at nine", NULL);
    kit_wait(&k, is_embedded, NULL);
    kit_ask(&k, "when is the cello lesson?", &answer);
    MF_CHECK_STR(mf_fake_counts(k.model).order, "PQ");
    MF_CHECK(answer.has_vector[0]);
    kit_list(&k, &rows);
    MF_CHECK_STR(rows.row[0].text, "the cello lesson is at nine"); /* and nobody else */
    kit_close(&k);
}

MF_TEST(engine, rows_left_pending_are_embedded_after_a_restart)
{
    struct kit_answer answer;
    struct kit k;

    kit_open(&k, NULL, quick);
    mf_fake_fail_calls(k.model, 1000000);
    add_many(&k, 0, 5);
    kit_wait(&k, is_stored, NULL);
    kit_stop(&k);
    MF_CHECK_INT(kit_number(&k, "SELECT count(*) FROM messages WHERE is_pending = 1"),
                 5);
    mf_fake_fail_calls(k.model, 0);
    kit_reopen(&k);
    kit_wait(&k, has_no_pending, NULL);
    kit_ask(&k, "text number 3", &answer);
    MF_CHECK_INT(answer.rows.n, 5);
    for (size_t i = 0; i < 5; i++) {
        MF_CHECK(answer.has_vector[i]);
    }
    kit_close(&k);
}

static void change_model(struct kit *k, const char *space)
{
    k->model->model.info.space = space;
    k->model->model.info.space_id = mf_space_id(space);
}

static bool is_of_the_models_space(struct kit *k, MF_UNUSED void *arg)
{
    return kit_number(k, "SELECT space FROM totals") ==
               (long)k->model->model.info.space_id &&
           has_no_pending(k, NULL);
}

MF_LOOP static void check_all_have_vectors(struct kit *k, size_t n)
{
    struct kit_answer answer;

    kit_ask(k, "text number 3", &answer);
    MF_CHECK_INT(answer.rows.n, n);
    for (size_t i = 0; i < n; i++) {
        MF_CHECK(answer.has_vector[i]);
    }
}

MF_TEST(engine, another_model_renews_all_vectors_and_all_stays_found_meanwhile)
{
    struct kit_answer answer;
    struct kit k;
    unsigned n_texts;

    kit_open(&k, NULL, quick);
    kit_wait(&k, is_of_the_models_space, NULL);
    add_many(&k, 0, 20);
    kit_wait(&k, is_stored, NULL);
    check_all_have_vectors(&k, 20);
    kit_stop(&k);

    change_model(&k, "fake-2");
    mf_fake_fail_calls(k.model, 1000000);
    kit_reopen(&k);
    kit_ask(&k, "text number 3",
            &answer); /* by its words: it has no vector to ask by */
    MF_CHECK_INT(answer.rows.n, 20);
    mf_fake_fail_calls(k.model, 0);
    kit_wait(&k, is_of_the_models_space, NULL);
    check_all_have_vectors(&k, 20);
    kit_stop(&k);

    n_texts = mf_fake_counts(k.model).texts;
    kit_reopen(&k); /* the same model again: nothing to do */
    kit_linger(&k, 100);
    MF_CHECK_INT(mf_fake_counts(k.model).texts, n_texts);
    kit_close(&k);
}

MF_TEST(engine, back_to_the_first_model_before_all_is_renewed)
{
    struct kit k;

    kit_open(&k, NULL, quick);
    kit_wait(&k, is_of_the_models_space, NULL);
    add_many(&k, 0, 10);
    kit_wait(&k, is_stored, NULL);
    kit_stop(&k);
    change_model(&k, "fake-2");
    mf_fake_fail_calls(k.model, 1000000);
    kit_reopen(&k);
    add_many(&k, 10, 2);
    kit_stop(&k);
    change_model(&k, "fake-1");
    mf_fake_fail_calls(k.model, 0);
    kit_reopen(&k);
    kit_wait(&k, is_stored, NULL);
    kit_wait(&k, is_of_the_models_space, NULL);
    check_all_have_vectors(&k, 12);
    kit_close(&k);
}

MF_TEST(engine, one_text_that_cannot_be_embedded_harms_no_other)
{
    struct kit_answer answer;
    struct kit_id bad;
    struct kit k;

    kit_open(&k, NULL, quick);
    add_many(&k, 0, 3);
    kit_add(&k, "this number is INVALID", &bad);
    add_many(&k, 3, 3);
    kit_wait(&k, is_stored, NULL);
    kit_ask(&k, "number", &answer);
    MF_CHECK_INT(answer.rows.n, 7);
    for (size_t i = 0; i < 7; i++) {
        MF_CHECK(answer.has_vector[i] == (strcmp(answer.rows.row[i].id.s, bad.s) != 0));
    }
    kit_close(&k);
}

MF_TEST(engine, over_the_backlog_texts_are_stored_without_a_vector_and_embedded_later)
{
    static const char *const small[] = {"embed.max_backlog=4",
                                        "embed.max_concurrent=1",
                                        "buffer.performance.flush_interval=0.02",
                                        "buffer.performance.force_flush_timeout=0.02",
                                        "flush.batch_age=0",
                                        "embed.backfill_interval=0.03",
                                        "flush.vector_wait=0.05",
                                        NULL};
    struct kit k;

    kit_open(&k, NULL, small);
    mf_fake_hold(k.model);
    add_many(&k, 0, 40);
    kit_wait(&k, is_stored, NULL); /* none waited for the model */
    mf_fake_release(k.model);
    kit_wait(&k, has_no_pending, NULL);
    kit_close(&k);
}
