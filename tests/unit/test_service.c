/* SPDX-License-Identifier: Apache-2.0 */
/* Texts of others: each computed once, kept, admitted or refused as a whole. */
#include "unit/service_desk.h"

#include "base/err.h"
#include "base/mem.h"

#include <stdio.h>

#define MANY 100

/* ---- one computation ---- */

MF_TEST(service, runs_the_model_once_for_a_hundred_who_ask_the_same_at_once)
{
    static struct ask a[MANY];
    struct desk d;

    desk_open(&d);
    mf_fake_hold(d.f.fake);
    for (size_t i = 0; i < MANY; i++) {
        MF_CHECK_OK(ask(&d, &a[i], "the same text", MF_URGENT));
        if (i == MANY / 2) {
            run_until_calls(&d.f, 1); /* the rest comes while it is computed */
        }
    }
    MF_CHECK_INT(stats_of(&d).in_flight, 1);
    mf_fake_release(d.f.fake);
    for (size_t i = 0; i < MANY; i++) {
        wait_for(&d, &a[i]);
        check_all(&d, &a[i]);
        MF_CHECK_INT(a[i].n_tokens[0], 3);
        MF_CHECK_INT(a[i].r.n_joined, i > 0);
    }
    MF_CHECK_INT(mf_fake_counts(d.f.fake).texts, 1);
    MF_CHECK_INT(stats_of(&d).joined, MANY - 1);
    MF_CHECK_INT(stats_of(&d).misses, 1);
    MF_CHECK_INT(stats_of(&d).in_flight, 0);
    desk_close(&d);
}

MF_TEST(service, answers_what_it_knows_without_the_model_and_never_inside_submit)
{
    struct desk d;
    struct ask a, b;

    desk_open(&d);
    ask_and_check(&d, &a, "one|two words");
    mf_fake_hold(d.f.fake); /* who needs the model now would wait for ever */
    ask_and_check(&d, &b, "two words|one|one");
    MF_CHECK_INT(b.r.n_cached, 3);
    MF_CHECK_INT(b.n_tokens[0], 2);
    MF_CHECK_INT(b.n_tokens[1], 1);
    MF_CHECK_INT(mf_fake_counts(d.f.fake).texts, 2);
    MF_CHECK_INT(stats_of(&d).hits, 3);
    MF_CHECK_INT(stats_of(&d).cached, 2);
    MF_CHECK(stats_of(&d).cached_bytes >= sizeof(float) * 2 * DIM);
    desk_close(&d);
}

MF_TEST(service, computes_a_text_once_that_stands_in_a_request_twice)
{
    struct desk d;
    struct ask a;

    desk_open(&d);
    ask_and_check(&d, &a, "one|two|one|one");
    MF_CHECK_INT(mf_fake_counts(d.f.fake).texts, 2);
    MF_CHECK_INT(a.r.n_joined, 2);
    desk_close(&d);
}

MF_TEST(service, tells_texts_with_other_flags_and_prompts_apart)
{
    struct desk d;
    struct ask a, b;

    desk_open(&d);
    ask_and_check(&d, &a, "one");
    memset(&b, 0, sizeof(b));
    b.texts[0] = MF_SLICE("one");
    b.r = (struct mf_service_request){.texts = b.texts,
                                      .n = 1,
                                      .flags = MF_TEXT_RAW,
                                      .urgency = MF_URGENT,
                                      .done = ask_done};
    MF_CHECK_OK(mf_service_submit(d.s, &b.r));
    wait_for(&d, &b);
    MF_CHECK_OK(b.rc);
    MF_CHECK(a.vectors[0] != b.vectors[0]);
    b.is_done = false;
    b.n_done = 0;
    b.r.flags = 0;
    b.r.prompt = MF_SLICE("query: ");
    MF_CHECK_OK(mf_service_submit(d.s, &b.r));
    wait_for(&d, &b);
    b.texts[0] = MF_SLICE("query: one"); /* what the model is to have seen */
    check_all(&d, &b);
    MF_CHECK_INT(mf_fake_counts(d.f.fake).texts, 3);
    desk_close(&d);
}

MF_TEST(service, does_not_let_a_hurry_wait_for_the_background)
{
    struct desk d;
    struct ask blocker, slow, quick, late;

    desk_open(&d);
    block_model(&d, &blocker);
    MF_CHECK_OK(ask(&d, &slow, "x", MF_ORDINARY));
    MF_CHECK_OK(ask(&d, &quick, "x", MF_URGENT));
    MF_CHECK_OK(ask(&d, &late, "x", MF_ORDINARY)); /* joins the quicker one */
    MF_CHECK_INT(quick.r.n_joined, 0);
    MF_CHECK_INT(late.r.n_joined, 1);
    mf_fake_release(d.f.fake);
    wait_for(&d, &quick);
    wait_for(&d, &late);
    wait_for(&d, &slow);
    check_all(&d, &slow);
    MF_CHECK_INT(mf_fake_counts(d.f.fake).texts, 3);
    desk_close(&d);
}

MF_TEST(service, hands_the_results_over_to_who_wants_to_keep_them)
{
    struct desk d;
    struct ask a;
    float *v;
    uint32_t *t;

    desk_open(&d);
    MF_CHECK_OK(ask(&d, &a, "one|two", MF_URGENT));
    a.r.takes_results = true;
    v = a.r.vectors;
    t = a.r.n_tokens;
    wait_for(&d, &a);
    MF_CHECK_MEM(v, a.vectors, sizeof(float) * 2 * DIM);
    mf_free(v);
    mf_free(t);
    desk_close(&d);
}

/* ---- leaving ---- */

MF_TEST(service, goes_on_for_the_others_when_one_leaves)
{
    struct desk d;
    struct ask blocker, a, b;

    desk_open(&d);
    block_model(&d, &blocker);
    MF_CHECK_OK(ask(&d, &a, "x|y", MF_URGENT));
    MF_CHECK_OK(ask(&d, &b, "y", MF_URGENT));
    mf_service_cancel(d.s, &a.r);
    MF_CHECK_INT(a.n_done, 0);
    mf_fake_release(d.f.fake);
    wait_for(&d, &a);
    MF_CHECK_INT(a.rc, MF_ECANCELED);
    wait_for(&d, &b);
    check_all(&d, &b);
    run_a_while(&d.f);
    MF_CHECK_INT(mf_fake_counts(d.f.fake).texts, 2); /* x is wanted by nobody */
    desk_close(&d);
}

MF_TEST(service, computes_nothing_when_all_left)
{
    struct desk d;
    struct ask blocker, a, b, again;

    desk_open(&d);
    block_model(&d, &blocker);
    MF_CHECK_OK(ask(&d, &a, "x", MF_URGENT));
    MF_CHECK_OK(ask(&d, &b, "x", MF_URGENT));
    mf_service_cancel(d.s, &a.r);
    mf_service_cancel(d.s, &b.r);
    MF_CHECK_OK(ask(&d, &again, "z", MF_URGENT));
    mf_fake_release(d.f.fake);
    wait_for(&d, &a);
    wait_for(&d, &b);
    wait_for(&d, &again);
    MF_CHECK_INT(a.rc, MF_ECANCELED);
    MF_CHECK_INT(b.rc, MF_ECANCELED);
    MF_CHECK_STR(mf_fake_counts(d.f.fake).order, "bz");
    MF_CHECK_INT(stats_of(&d).in_flight, 0);
    desk_close(&d);
}

MF_TEST(service, flies_again_for_who_asks_after_all_left)
{
    struct desk d;
    struct ask blocker, a, b;

    desk_open(&d);
    block_model(&d, &blocker);
    MF_CHECK_OK(ask(&d, &a, "x", MF_URGENT));
    mf_service_cancel(d.s, &a.r);
    MF_CHECK_OK(ask(&d, &b, "x", MF_URGENT)); /* must not join what is canceled */
    mf_fake_release(d.f.fake);
    wait_for(&d, &a);
    wait_for(&d, &b);
    check_all(&d, &b);
    desk_close(&d);
}

MF_TEST(service, may_be_canceled_between_the_answer_and_its_telling)
{
    struct desk d;
    struct ask a, b;

    desk_open(&d);
    ask_and_check(&d, &a, "one");
    MF_CHECK_OK(ask(&d, &b, "one", MF_URGENT)); /* from the cache: told later */
    mf_service_cancel(d.s, &b.r);
    mf_service_cancel(d.s, &b.r);
    wait_for(&d, &b);
    MF_CHECK_INT(b.rc, MF_ECANCELED);
    desk_close(&d);
}

MF_TEST(service, ends_who_waits_as_canceled_when_it_closes)
{
    struct desk d;
    struct ask a, b;

    desk_open(&d);
    mf_fake_hold(d.f.fake);
    MF_CHECK_OK(ask(&d, &a, "x|y|z", MF_URGENT));
    MF_CHECK_OK(ask(&d, &b, "x", MF_ORDINARY));
    run_until_calls(&d.f, 1);
    desk_close(&d);
    MF_CHECK_INT(a.n_done, 1);
    MF_CHECK_INT(a.rc, MF_ECANCELED);
    MF_CHECK_INT(b.rc, MF_ECANCELED);
}

/* ---- failures ---- */

MF_TEST(service, brings_a_failure_to_all_who_wait_and_keeps_it_not)
{
    struct desk d;
    struct ask a, b, c;

    desk_open(&d);
    MF_CHECK_OK(ask(&d, &a, "good|INVALID|INVALID", MF_URGENT));
    MF_CHECK_OK(ask(&d, &b, "INVALID", MF_URGENT));
    MF_CHECK_OK(ask(&d, &c, "good", MF_URGENT));
    wait_for(&d, &a);
    wait_for(&d, &b);
    wait_for(&d, &c);
    MF_CHECK_INT(a.rc, MF_EINVAL);
    MF_CHECK_INT(a.r.failed, 1);
    MF_CHECK_INT(b.rc, MF_EINVAL);
    MF_CHECK_INT(b.r.failed, 0);
    check_all(&d, &c);
    MF_CHECK_INT(stats_of(&d).cached, 1);
    MF_CHECK_INT(mf_fake_counts(d.f.fake).texts, 2);
    MF_CHECK_OK(ask(&d, &b, "INVALID", MF_URGENT)); /* tried anew */
    wait_for(&d, &b);
    MF_CHECK_INT(b.rc, MF_EINVAL);
    MF_CHECK_INT(b.r.n_cached, 0);
    MF_CHECK_INT(mf_fake_counts(d.f.fake).texts, 3);
    desk_close(&d);
}

MF_TEST(service, leaves_the_rest_of_a_request_uncomputed_when_one_text_failed)
{
    struct desk d;
    struct ask a;

    desk_open(&d);
    MF_CHECK_OK(ask(&d, &a, "INVALID|two|three|four", MF_URGENT));
    wait_for(&d, &a);
    run_a_while(&d.f);
    MF_CHECK_INT(a.rc, MF_EINVAL);
    MF_CHECK(mf_fake_counts(d.f.fake).texts <= 2);
    desk_close(&d);
}

/* ---- admission ---- */

MF_TEST(service, refuses_when_too_much_waits_but_not_what_costs_nothing)
{
    struct mf_service_config cfg = plain_service;
    struct desk d;
    struct ask blocker, a, refused, known, joined;

    cfg.max_tokens = 20;
    desk_open_with(&d, &(struct mf_fake_config){0}, &plain_config, &cfg);
    ask_and_check(&d, &known, "known");
    mf_fake_hold(d.f.fake);
    MF_CHECK_OK(ask(&d, &blocker, "blocker", MF_URGENT));
    run_until_calls(&d.f, 2);
    MF_CHECK_OK(ask(&d, &a,
                    "a text of more than a hundred bytes, which are at least "
                    "twenty-five tokens as they are estimated before anything is cut",
                    MF_URGENT));
    MF_CHECK_INT(ask(&d, &refused, "one|two|known", MF_URGENT), MF_ERATE);
    MF_CHECK(refused.r.retry_after_ms >= 1000);
    MF_CHECK_OK(ask(&d, &known, "known", MF_URGENT));
    MF_CHECK_OK(ask(&d, &joined, "blocker|known", MF_URGENT));
    MF_CHECK_INT(stats_of(&d).in_flight, 2);
    mf_fake_release(d.f.fake);
    wait_for(&d, &known);
    wait_for(&d, &joined);
    wait_for(&d, &a);
    check_all(&d, &a);
    MF_CHECK_INT(refused.n_done, 0);
    MF_CHECK_INT(mf_fake_counts(d.f.fake).texts, 3);
    MF_CHECK_INT(stats_of(&d).misses, 3); /* a refused request is not counted */
    desk_close(&d);
}

MF_TEST(service, refuses_what_would_wait_too_long_by_the_measured_rate)
{
    struct mf_service_config cfg = plain_service;
    struct look l = {.k = {.text = MF_SLICE("one"), .done = look_done}};
    struct desk d;
    struct ask blocker, a, b;

    cfg.max_wait_ms = 1;
    desk_open_with(&d, &(struct mf_fake_config){.delay_ms = 30}, &plain_config, &cfg);
    ask_and_check(&d, &a, "one"); /* now the rate is known: 30 ms a text */
    mf_fake_hold(d.f.fake);
    MF_CHECK_OK(ask(&d, &blocker, "blocker", MF_URGENT));
    run_until_calls(&d.f, 2);
    MF_CHECK_INT(ask(&d, &b, "two", MF_URGENT), MF_ERATE);
    MF_CHECK(b.r.retry_after_ms >= 1000 && b.r.retry_after_ms <= 60000);
    MF_CHECK_INT(mf_service_look(d.s, &l.k), MF_ERATE);
    MF_CHECK(l.k.retry_after_ms >= 1000);
    MF_CHECK_INT(l.n_done, 0);
    mf_fake_release(d.f.fake);
    wait_for(&d, &blocker);
    ask_and_check(&d, &b, "two");
    desk_close(&d);
}

MF_TEST(service, takes_a_request_whole_or_not_at_all)
{
    struct mf_embed_config embed = plain_config;
    struct desk d;
    struct ask a, b;

    embed.max_waiting = 3;
    desk_open_with(&d, &(struct mf_fake_config){0}, &embed, &plain_service);
    MF_CHECK_OK(ask(&d, &b, "one", MF_ORDINARY));
    MF_CHECK_INT(ask(&d, &a, "one|two|three|four", MF_ORDINARY), MF_ERATE);
    MF_CHECK(a.r.retry_after_ms >= 1000);
    wait_for(&d, &b);
    run_a_while(&d.f);
    MF_CHECK_INT(a.n_done, 0);
    check_all(&d, &b);
    MF_CHECK_INT(mf_fake_counts(d.f.fake).texts, 1); /* nothing of it was computed */
    MF_CHECK_INT(stats_of(&d).in_flight, 0);
    desk_close(&d);
}

/* ---- the cache's bounds ---- */

MF_TEST(service, forgets_on_clear_and_counts_anew_on_reset)
{
    struct desk d;
    struct ask a;

    desk_open(&d);
    ask_and_check(&d, &a, "one|two");
    mf_service_clear(d.s);
    MF_CHECK_INT(stats_of(&d).cached, 0);
    MF_CHECK_INT(stats_of(&d).cached_bytes, 0);
    ask_and_check(&d, &a, "one|two");
    MF_CHECK_INT(a.r.n_cached, 0);
    MF_CHECK_INT(stats_of(&d).misses, 4);
    mf_service_reset_stats(d.s);
    MF_CHECK_INT(stats_of(&d).misses, 0);
    MF_CHECK_INT(stats_of(&d).cached, 2);
    desk_close(&d);
}

MF_TEST(service, works_without_a_cache)
{
    struct mf_service_config cfg = plain_service;
    struct desk d;
    struct ask a;

    cfg.cache_bytes = 0;
    desk_open_with(&d, &(struct mf_fake_config){0}, &plain_config, &cfg);
    ask_and_check(&d, &a, "one");
    ask_and_check(&d, &a, "one");
    MF_CHECK_INT(mf_fake_counts(d.f.fake).texts, 2);
    desk_close(&d);
}

/* ---- the end of memory ---- */

MF_TEST(service, comes_to_a_clean_end_whichever_allocation_fails)
{
    bool failed = true;

    for (size_t nth = 1; failed; nth++) {
        struct desk d;
        struct ask a, b;
        int rc, rc_b;

        MF_CHECK(nth < 200);
        desk_open(&d);
        mf_test_fail_nth(nth);
        rc = ask(&d, &a, "one|two|one", MF_URGENT);
        rc_b = ask(&d, &b, "two", MF_ORDINARY);
        if (rc == 0) {
            wait_for(&d, &a);
            rc = a.rc;
        }
        if (rc_b == 0) {
            wait_for(&d, &b);
            rc_b = b.rc;
        }
        failed = mf_test_has_failed();
        mf_test_fail_nth(0);
        MF_CHECK(rc == 0 || rc == MF_ENOMEM);
        MF_CHECK(rc_b == 0 || rc_b == MF_ENOMEM);
        ask_and_check(&d, &a, "one|two|one");
        desk_close(&d);
    }
}
