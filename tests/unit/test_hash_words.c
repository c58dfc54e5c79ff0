/* SPDX-License-Identifier: Apache-2.0 */
/* How the built-in model reads words: endings, kinds of letters, how rare they are. */
#include "embed/hash_prior.h"
#include "embed/hash_word.h"
#include "lib/mf_test.h"

static void check_stem(const char *word, const char *want)
{
    struct mf_hash_word w, e;
    size_t at = 0, at_e = 0;

    MF_CHECK(mf_hash_word_next(mf_slice_str(word), &at, &w));
    MF_CHECK(mf_hash_word_next(mf_slice_str(want), &at_e, &e));
    mf_hash_word_stem(&w);
    if (mf_hash_word_key(&w) != mf_hash_word_key(&e)) {
        print_error("stem of '%s' is not '%s'\n", word, want);
        fail();
    }
}

MF_TEST(words, lose_their_english_endings)
{
    check_stem("parks", "park");
    check_stem("parked", "park");
    check_stem("parking", "park");
    check_stem("running", "run");
    check_stem("making", "mak");
    check_stem("make", "mak");
    check_stem("studies", "study");
    check_stem("studied", "study");
    check_stem("boxes", "box");
    check_stem("classes", "class");
    check_stem("class", "class");
    check_stem("string", "string");
    check_stem("bus", "bus");
    check_stem("virus", "virus");
    check_stem("speed", "speed");
    check_stem("calling", "call");
    check_stem("go", "go");
}

MF_TEST(words, are_runs_of_one_kind_lower_cased)
{
    struct mf_slice t =
        MF_SLICE("Don't\u3000A\u4f60\u597d-42 \u0416\u0178\u0130\uff21.");
    static const unsigned lens[] = {3, 1, 1, 2, 2, 4};
    struct mf_hash_word w;
    size_t at = 0;

    for (size_t i = 0; i < mf_countof(lens); i++) {
        MF_CHECK(mf_hash_word_next(t, &at, &w));
        MF_CHECK_INT(w.n, lens[i]);
        MF_CHECK(w.is_wide == (i == 3));
    }
    MF_CHECK_INT(w.cp[0], 0x436);
    MF_CHECK_INT(w.cp[1], 0xFF);
    MF_CHECK_INT(w.cp[3], 'a');
    MF_CHECK(!mf_hash_word_next(t, &at, &w));
}

MF_TEST(words, lower_case_covers_latin_greek_and_cyrillic)
{
    MF_CHECK_INT(mf_char_lower('Z'), 'z');
    MF_CHECK_INT(mf_char_lower(0xC4), 0xE4);
    MF_CHECK_INT(mf_char_lower(0xD7), 0xD7);
    MF_CHECK_INT(mf_char_lower(0x10C), 0x10D);
    MF_CHECK_INT(mf_char_lower(0x10D), 0x10D);
    MF_CHECK_INT(mf_char_lower(0x141), 0x142);
    MF_CHECK_INT(mf_char_lower(0x142), 0x142);
    MF_CHECK_INT(mf_char_lower(0x17D), 0x17E);
    MF_CHECK_INT(mf_char_lower(0x3A3), 0x3C3);
    MF_CHECK_INT(mf_char_lower(0x401), 0x451);
    MF_CHECK_INT(mf_char_lower(0x4F60), 0x4F60);
}

static unsigned prior_of(const struct mf_hash_prior *p, const char *word)
{
    struct mf_hash_word w;
    size_t at = 0;

    MF_CHECK(mf_hash_word_next(mf_slice_str(word), &at, &w));
    return mf_hash_prior_weight(p, mf_hash_word_key(&w));
}

MF_TEST(prior, grows_as_words_become_rarer)
{
    static struct mf_hash_prior p;
    size_t used = 0;

    mf_hash_prior_init(&p);
    MF_CHECK_INT(prior_of(&p, "the"), MF_HASH_WEIGHT_STOP);
    MF_CHECK(prior_of(&p, "go") > MF_HASH_WEIGHT_STOP);
    MF_CHECK(prior_of(&p, "week") > prior_of(&p, "go"));
    MF_CHECK(prior_of(&p, "water") > prior_of(&p, "week"));
    MF_CHECK(prior_of(&p, "doctor") > prior_of(&p, "water"));
    MF_CHECK_INT(prior_of(&p, "marzipan"), MF_HASH_WEIGHT_RARE);
    for (size_t i = 0; i < MF_HASH_PRIOR_SLOTS; i++) {
        used += p.key[i] != 0;
    }
    MF_CHECK(used > 600 && used < MF_HASH_PRIOR_SLOTS / 2);
}
