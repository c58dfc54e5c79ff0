/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/mf_test.h"

#include "base/err.h"
#include "recall/searchrec.h"

#include <stdlib.h>
#include <string.h>

/* The stems of a text, one blank between. */
static const char *stems_of(struct mf_terms *t, const char *text)
{
    static char out[1024];
    const struct mf_slice *stems;
    size_t n;
    size_t at = 0;

    MF_CHECK_OK(mf_terms_of(t, mf_slice_str(text), &stems, &n));
    for (size_t i = 0; i < n; i++) {
        MF_CHECK(at + stems[i].n + 2 < sizeof(out));
        if (i > 0) {
            out[at++] = ' ';
        }
        memcpy(out + at, stems[i].p, stems[i].n);
        at += stems[i].n;
    }
    out[at] = '\0';
    return out;
}

struct example {
    const char *text, *stems;
};

static void check_all(const struct example *e, size_t n)
{
    struct mf_terms *t = mf_terms_new();

    for (size_t i = 0; i < n; i++) {
        MF_CHECK_STR(stems_of(t, e[i].text), e[i].stems);
    }
    mf_terms_free(t);
}

MF_TEST(terms, are_stems_without_stop_words_and_apostrophes)
{
    static const struct example e[] = {
        {"", ""},
        {"The the THE", ""},
        {"They repaired Ada's bicycles!", "repair ada bicycl"},
        {"don't DON'T dont", "dont dont dont"},
        /* Porter leaves nothing of a lone s. */
        {"it's John'S rock'n'roll 'start ''ss", "john rocknrol tart "},
        {"don\xE2\x80\x99t Ada\xE2\x80\x99s", "dont ada"},
        {"mp3 2023 a1-b2_c3", "mp3 2023 a1 b2 c3"},
        {"generalizations relational hopping", "gener relat hop"},
    };

    (void)state;
    check_all(e, mf_countof(e));
}

MF_TEST(terms, of_words_with_accents_are_those_of_words_without)
{
    static const struct example e[] = {
        {"caf\xC3\xA9 CAF\xC3\x89S cafe\xCC\x81 cafe", "cafe cafe cafe cafe"},
        {"na\xC3\xAFve", "naiv"},
        {"stra\xC3\x9F"
         "e \xC3\xB8re",
         "stra\xC3\x9F"
         "e \xC3\xB8re"},
        {"\xE2\x84\xAA"
         "ing",
         "king"}, /* the Kelvin sign is a k */
    };

    (void)state;
    check_all(e, mf_countof(e));
}

MF_TEST(terms, of_other_scripts_are_words_in_lower_case)
{
    static const struct example e[] = {
        {"\xD0\x9F\xD1\x80\xD0\xB8\xD0\xB2\xD0\xB5\xD1\x82, \xD0\xBC\xD0\xB8\xD1\x80",
         "\xD0\xBF\xD1\x80\xD0\xB8\xD0\xB2\xD0\xB5\xD1\x82 \xD0\xBC\xD0\xB8\xD1\x80"},
        /* Greek: accent and final sigma */
        {"\xCE\xBB\xCF\x8C\xCE\xB3\xCE\xBF\xCF\x82 \xCE\x9B\xCE\x9F\xCE\x93\xCE\x9F\xCE\xA3",
         "\xCE\xBB\xCE\xBF\xCE\xB3\xCE\xBF\xCF\x83 \xCE\xBB\xCE\xBF\xCE\xB3\xCE\xBF\xCF\x83"},
        {"\xF0\x9F\x98\x80 ok \xFF\xFE bad", "ok bad"}, /* a picture, broken UTF-8 */
    };

    (void)state;
    check_all(e, mf_countof(e));
}

MF_TEST(terms, of_scripts_without_spaces_are_pairs_of_characters)
{
    static const struct example e[] = {
        {"\xE4\xBD\xA0\xE5\xA5\xBD\xE5\x90\x97",
         "\xE4\xBD\xA0\xE5\xA5\xBD \xE5\xA5\xBD\xE5\x90\x97"},
        {"\xE4\xBD\xA0", "\xE4\xBD\xA0"},
        {"my\xE4\xBD\xA0\xE5\xA5\xBD"
         "dogs\xE4\xBD\xA0.",
         "\xE4\xBD\xA0\xE5\xA5\xBD dog \xE4\xBD\xA0"},
    };

    (void)state;
    check_all(e, mf_countof(e));
}

MF_TEST(terms, of_bytes_that_mean_nothing_are_none_and_harmless)
{
    struct mf_terms *t = mf_terms_new();
    const struct mf_slice *stems;
    char noise[512];
    size_t n;

    (void)state;
    srand(1);
    for (size_t round = 0; round < 2000; round++) {
        size_t length = (size_t)rand() % sizeof(noise);

        for (size_t i = 0; i < length; i++) {
            noise[i] =
                (char)(rand() % 2 == 0 ? rand() : "\xE4\xBD\xA0\xC8\xBA'"[rand() % 6]);
        }
        MF_CHECK_OK(mf_terms_of(t, mf_slice_of(noise, length), &stems, &n));
        for (size_t i = 0; i < n; i++) {
            MF_CHECK(stems[i].n <= 2 * length);
        }
    }
    mf_terms_free(t);
}

MF_TEST(terms, ends_cleanly_when_memory_runs_out)
{
    int rc = MF_ENOMEM;

    (void)state;
    for (size_t nth = 1; rc != 0; nth++) {
        struct mf_terms *t;
        const struct mf_slice *stems;
        size_t n;

        mf_test_fail_nth(nth);
        t = mf_terms_new();
        if (t != NULL) {
            rc =
                mf_terms_of(t, MF_SLICE("b c d e f g h j k l m n o p q r"), &stems, &n);
            MF_CHECK(rc == 0 ? n == 16 : rc == MF_ENOMEM);
        }
        mf_test_fail_nth(0);
        mf_terms_free(t);
    }
}

MF_TEST(terms, hash_is_the_one_on_disk)
{
    (void)state;
    MF_CHECK_INT(mf_term_hash("", 0), 0x02CC5D05);
    MF_CHECK_INT(mf_term_hash("abc", 3), 0x32D153FF);
}
