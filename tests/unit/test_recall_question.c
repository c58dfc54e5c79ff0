/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/mf_test.h"

#include "base/err.h"
#include "recall/question.h"

#include <stdio.h>
#include <string.h>

static struct mf_question ask(const char *text, const char *user, const char *agent)
{
    struct mf_terms *t = mf_terms_new();
    struct mf_question q;

    MF_CHECK_OK(mf_question_init(&q, t, mf_slice_str(text), mf_slice_str(user),
                                 mf_slice_str(agent)));
    mf_terms_free(t);
    return q;
}

static void check_embed(const char *text, const char *user, const char *agent,
                        const char *want)
{
    struct mf_question q = ask(text, user, agent);

    MF_CHECK_INT(q.text_to_embed.n, strlen(want));
    MF_CHECK_MEM(q.text_to_embed.p, want, strlen(want));
    mf_question_fini(&q);
}

static void check_role(const char *text, int role)
{
    struct mf_question q = ask(text, "Ada Byron", "Max");

    MF_CHECK_INT(q.role, role);
    mf_question_fini(&q);
}

MF_TEST(question, turns_names_into_i_and_my)
{
    (void)state;
    check_embed("What did Ada's dog do to ADA?", "Ada Byron", "Max",
                "What did my dog do to I?");
    check_embed("Adam saw Ada_ and Ada\xE2\x80\x99s Ada'sx max's", "Ada", "Max",
                "Adam saw Ada_ and my I'sx my");
    check_embed("zo\xC3\x8B, Zoe", "Zo\xC3\xAB", "bot", "I, Zoe");
    check_embed("Did the user ask Bo?", "User", "Bo", "Did the user ask Bo?");
    check_embed("", "Ada", "Max", "");
}

MF_TEST(question, finds_who_is_asked_for)
{
    (void)state;
    check_role("What did Ada buy?", MF_MSG_USER);
    check_role("What did you tell Max?", MF_MSG_ASSISTANT);
    check_role("What did Ada tell Max?", -1);
    check_role("What did Ada tell Max about my dog?", MF_MSG_USER);
    check_role("Which book have you recommended?", MF_MSG_ASSISTANT);
    check_role("I forgot your advice", MF_MSG_ASSISTANT);
    check_role("I forgot your  advice", MF_MSG_USER);
    check_role("Is this mine?", MF_MSG_USER);
    check_role("Who won?", -1);
}

MF_TEST(question, reads_months_years_and_whether_time_is_asked)
{
    struct mf_question q =
        ask("  When may we meet in March or May 2023, 2023 or 20241 or 2024?", "", "");

    (void)state;
    MF_CHECK(q.asks_time);
    MF_CHECK_INT(q.months, 1 << 2 | 1 << 4);
    MF_CHECK_INT(q.n_years, 2);
    MF_CHECK_INT(q.years[0], 2023);
    MF_CHECK_INT(q.years[1], 2024);
    mf_question_fini(&q);
    q = ask("may I ask when", "", "");
    MF_CHECK(!q.asks_time && q.months == 0 && q.n_years == 0);
    mf_question_fini(&q);
}

MF_TEST(question, keeps_eight_years_at_most)
{
    struct mf_question q =
        ask("2001 2002 2003 2004 2005 2006 2007 2008 2009 2010", "", "");

    (void)state;
    MF_CHECK_INT(q.n_years, 8);
    MF_CHECK_INT(q.years[7], 2008);
    mf_question_fini(&q);
}

MF_TEST(question, keeps_distinct_terms_in_order_and_not_too_many)
{
    char text[4096];
    size_t at = 0;
    struct mf_question q = ask("dogs cats the dog bird cat", "", "");

    (void)state;
    MF_CHECK_INT(q.n_terms, 3);
    MF_CHECK_INT(q.terms[0], mf_term_hash("dog", 3));
    MF_CHECK_INT(q.terms[1], mf_term_hash("cat", 3));
    MF_CHECK_INT(q.terms[2], mf_term_hash("bird", 4));
    mf_question_fini(&q);
    for (size_t i = 0; i < 600; i++) {
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%zu ", 1000 + i / 2);
    }
    q = ask(text, "", "");
    MF_CHECK_INT(q.n_terms, MF_QUESTION_MAX_TERMS);
    MF_CHECK_INT(q.terms[0], mf_term_hash("1000", 4));
    MF_CHECK_INT(q.terms[MF_QUESTION_MAX_TERMS - 1], mf_term_hash("1255", 4));
    mf_question_fini(&q);
}

MF_TEST(question, is_the_newest_message_of_a_prompt)
{
    struct mf_question q;

    (void)state;
    check_embed("User: I like dogs\\nAssistant: Nice!\\nUser: When did I say so?\\n",
                "", "", "When did I say so?");
    check_embed("User: only this\\n", "", "", "only this");
    check_embed("cut off\\nSystem: what Ada wants\\n", "Ada", "", "what I wants");
    check_embed("User: a\\nb \\n Assistant: c", "", "", "a\\nb \\n Assistant: c");
    q = ask("Assistant: it was in March 2020\\nUser: why?\\n", "", "");
    MF_CHECK(q.months == 0 && q.n_years == 0 && q.n_terms == 0);
    mf_question_fini(&q);
}

MF_TEST(question, stays_as_it_is_when_it_is_no_prompt)
{
    (void)state;
    check_embed("User: no mark", "", "", "User: no mark");
    check_embed("a\\nb", "", "", "a\\nb");
    check_embed("tell me\nUser: real line end", "", "", "tell me\nUser: real line end");
    check_embed("User: a\\nUser: \\n", "", "", "User: a\\nUser: \\n");
}

MF_TEST(question, ends_cleanly_when_memory_runs_out)
{
    struct mf_terms *t = mf_terms_new();
    struct mf_question q;
    int rc = MF_ENOMEM;

    (void)state;
    for (size_t nth = 1; rc != 0; nth++) {
        mf_test_fail_nth(nth);
        rc = mf_question_init(&q, t, MF_SLICE("What did Ada buy at the station?"),
                              MF_SLICE("Ada"), MF_SLICE("bot"));
        MF_CHECK(rc == 0 || rc == MF_ENOMEM);
    }
    mf_test_fail_nth(0);
    mf_question_fini(&q);
    mf_terms_free(t);
}

static unsigned flags(const char *text)
{
    return mf_text_flags(mf_slice_str(text));
}

MF_TEST(question, flags_short_questions)
{
    (void)state;
    MF_CHECK_INT(flags("Why? \n"), MF_SEARCH_SHORT_QUESTION);
    MF_CHECK_INT(flags("1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20?"),
                 MF_SEARCH_SHORT_QUESTION);
    MF_CHECK_INT(flags("1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 ?"), 0);
    MF_CHECK_INT(flags("?!"), 0);
    MF_CHECK_INT(flags("why?\xE2\x80\x83"), MF_SEARCH_SHORT_QUESTION); /* em space */
    MF_CHECK_INT(flags(""), 0);
}

MF_TEST(question, flags_time_words)
{
    (void)state;
    MF_CHECK_INT(flags("It was LAST time"), MF_SEARCH_TIME_WORD);
    MF_CHECK_INT(flags("in 2019."), MF_SEARCH_TIME_WORD);
    MF_CHECK_INT(flags("this fall"), MF_SEARCH_TIME_WORD);
    MF_CHECK_INT(flags("this  fall"), 0);
    MF_CHECK_INT(flags("lasting weeks 20190 _2019 fall"), 0);
    MF_CHECK_INT(flags("last\xC3\xA9"), 0); /* a letter follows */
}
