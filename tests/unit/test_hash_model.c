/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "embed/hash_prior.h"
#include "embed/hash_word.h"
#include "embed/model.h"
#include "lib/mf_test.h"

#include <math.h>
#include <xxhash.h>

#define DIM 384

static struct mf_model *open_hash(void)
{
    struct mf_model *m = NULL;

    MF_CHECK_OK(mf_model_open(&m, &(struct mf_model_options){.model = "hash"}, NULL));
    return m;
}

static void embed(struct mf_model *m, struct mf_slice text, float *v)
{
    struct mf_text t = {.text = text};
    struct mf_text_result res = {.rc = -1};

    MF_CHECK_OK(m->ops->embed(m, &t, 1, v, &res));
    MF_CHECK_OK(res.rc);
}

static double dot(const float *a, const float *b)
{
    double s = 0;

    for (size_t i = 0; i < DIM; i++) {
        s += (double)a[i] * b[i];
    }
    return s;
}

static double likeness(const char *a, const char *b)
{
    struct mf_model *m = open_hash();
    float va[DIM], vb[DIM];

    embed(m, mf_slice_str(a), va);
    embed(m, mf_slice_str(b), vb);
    mf_model_close(m);
    return dot(va, vb);
}

static void check_unit(struct mf_model *m, struct mf_slice text)
{
    float v[DIM];

    embed(m, text, v);
    for (size_t i = 0; i < DIM; i++) {
        MF_CHECK(isfinite(v[i]));
    }
    MF_CHECK(fabs(dot(v, v) - 1) < 1e-5);
}

MF_TEST(model, says_what_it_is)
{
    struct mf_model *m = open_hash();

    MF_CHECK_STR(m->info.name, "hash");
    MF_CHECK_INT(m->info.dim, DIM);
    MF_CHECK_INT(m->info.window, 256);
    MF_CHECK(!m->info.is_semantic);
    MF_CHECK_STR(m->info.precision, "exact");
    MF_CHECK(m->info.prefers_cores);
    MF_CHECK_INT(m->info.space_id, mf_space_id(m->info.space));
    MF_CHECK(mf_space_id("a") != 0 && mf_space_id("a") != mf_space_id("b"));
    mf_model_close(m);
    mf_model_close(NULL);
}

MF_TEST(model, reports_when_there_is_no_memory)
{
    struct mf_model *m = NULL;
    struct mf_err err = {0};

    mf_test_fail_nth(1);
    MF_CHECK_INT(mf_model_hash_open(&m, &err), MF_ENOMEM);
    assert_null(m);
}

MF_TEST(hash_model, gives_a_unit_vector_for_any_bytes)
{
    static const char *const texts[] = {"",
                                        " \t\n",
                                        "the of and to",
                                        "!!!",
                                        "?",
                                        "x",
                                        "...---...",
                                        "I",
                                        "\u4f60\u597d",
                                        "\u4f60",
                                        "\U0001f600\U0001f600",
                                        "\u0416\u0438\u0437\u043d\u044c",
                                        "\xff\xfe\x80",
                                        "\xe4\xbd",
                                        "\xf4\x90\x80\x80",
                                        "don't",
                                        "\u2014\u2019\u201c"};
    struct mf_model *m = open_hash();
    char *long_word = mf_malloc(100000);

    assert_non_null(long_word);
    for (size_t i = 0; i < mf_countof(texts); i++) {
        check_unit(m, mf_slice_str(texts[i]));
    }
    check_unit(m, (struct mf_slice){NULL, 0});
    check_unit(m, MF_SLICE("a\0b\0"));
    memset(long_word, 'q', 100000);
    check_unit(m, mf_slice_of(long_word, 100000));
    memset(long_word, ' ', 100000);
    check_unit(m, mf_slice_of(long_word, 100000));
    mf_free(long_word);
    mf_model_close(m);
}

static uint64_t fingerprint(struct mf_model *m, const char *text)
{
    float v[DIM];
    char bytes[4 * DIM];

    embed(m, mf_slice_str(text), v);
    for (size_t i = 0; i < DIM; i++) {
        uint32_t bits;

        memcpy(&bits, &v[i], sizeof(bits));
        mf_put_u32(bytes + 4 * i, bits);
    }
    return XXH64(bytes, sizeof(bytes), 0);
}

/* Fails when any vector changes: then the vector space needs a new name as well. */
MF_TEST(hash_model, gives_the_same_bits_on_every_machine)
{
    struct mf_model *m = open_hash();

    MF_CHECK_STR(m->info.space, "memfuse-hash-1-384");
    MF_CHECK(fingerprint(m, "") == 0x4558F1555428F517u);
    MF_CHECK(fingerprint(m, "Where did I park the car yesterday? Near the station!") ==
             0x7942655BCF070DF8u);
    MF_CHECK(
        fingerprint(m, "\u6771\u4eac\u306b\u884c\u304d\u307e\u3059 caf\u00e9 42") ==
        0x0135743D4A8176E9u);
    mf_model_close(m);
}

MF_TEST(hash_model, does_not_look_at_a_texts_neighbours_in_the_batch)
{
    struct mf_model *m = open_hash();
    struct mf_text texts[3] = {{.text = MF_SLICE("one pizza")},
                               {.text = MF_SLICE("two parks")},
                               {.text = MF_SLICE("one pizza")}};
    float batch[3 * DIM], alone[DIM];
    struct mf_text_result res[3] = {{.rc = -1}, {.rc = -1}, {.rc = -1}};

    MF_CHECK_OK(m->ops->embed(m, texts, 3, batch, res));
    embed(m, texts[1].text, alone);
    MF_CHECK(res[0].rc == 0 && res[1].rc == 0 && res[2].rc == 0);
    MF_CHECK_MEM(batch + DIM, alone, sizeof(alone));
    MF_CHECK_MEM(batch, batch + (size_t)2 * DIM, sizeof(alone));
    mf_model_close(m);
}

MF_TEST(hash_model, finds_inflected_and_misspelt_words_alike)
{
    MF_CHECK(likeness("I parked the cars", "parking my car") > 0.6);
    MF_CHECK(likeness("PIZZA Napoli", "pizza napoli") > 0.999);
    MF_CHECK(likeness("the pizza", "pizza") > 0.999);
    MF_CHECK(likeness("restaurant recommendation", "restarant recomendation") > 0.4);
    MF_CHECK(likeness("restaurant recommendation", "quantum chemistry") < 0.2);
    MF_CHECK(likeness("\u00c9COLE", "\u00e9cole") > 0.999);
    MF_CHECK(likeness("it\u2019s raining", "it's raining") > 0.999);
}

MF_TEST(hash_model, counts_a_rare_word_more_than_a_common_one)
{
    double rare = likeness("good marzipan", "marzipan");
    double common = likeness("good marzipan", "good");

    MF_CHECK(rare > common + 0.1);
}

MF_TEST(hash_model, tells_texts_without_words_apart)
{
    MF_CHECK(likeness("!!!", "") < 0.9);
    MF_CHECK(likeness("!", "?") < 0.9);
    MF_CHECK(likeness("who are you", "what is this") < 0.9);
    MF_CHECK(likeness("", "   ") > 0.999);
}

MF_TEST(hash_model, finds_words_of_scripts_without_blanks)
{
    const char *question = "\u4e1c\u4eac\u65c5\u884c"; /* a trip to Tokyo */
    double right =
        likeness(question, "\u6211\u660e\u5e74\u53bb\u4e1c\u4eac\u65c5\u884c");
    double wrong =
        likeness(question, "\u6211\u559c\u6b22\u5403\u82f9\u679c\u548c\u9999\u8549");

    MF_CHECK(right > 0.4 && right > wrong + 0.3);
}

/* ---- known-item retrieval: the right one of all is nearest ---- */

static const char *const facts[][2] = {
    {"My sister Clara moved to Lisbon last spring", "Where does my sister Clara live?"},
    {"I am allergic to peanuts and shellfish", "what am I allergic to, peanut or what"},
    {"The dentist appointment is on Thursday at nine",
     "when is my dentists apointment"},
    {"We adopted a grey cat called Momo", "name of the cat we adopted"},
    {"My favourite pizza is the one with artichokes", "which pizza is my favorite"},
    {"The garage code is written behind the mirror", "where is the garage code"},
    {"I started learning the cello in September", "when did I start to learn cello"},
    {"Our flight to Oslo leaves from terminal two",
     "from which terminal does the flight go"},
    {"Dad's birthday present will be a telescope",
     "what do we give dad for his birthday"},
    {"The project deadline slipped by three weeks",
     "by how much did the deadline slip"},
    {"I prefer window seats on long train rides", "do I like a window seat in trains"},
    {"Our landlord raises the rent every January", "when is the rent raised"},
    {"The recipe needs two spoons of cinnamon", "how much cinamon is in the recipe"},
    {"I sprained my ankle while jumping over a fence", "how did I sprain my ankle"},
    {"My password manager is called Vaultkeeper", "which pasword manager do I use"},
    {"The new laptop has thirty two gigabytes of memory",
     "how much memory has my laptop"},
    {"Grandma's chocolate cake won the village contest",
     "who won the contest with a cake"},
    {"I volunteer at the animal shelter on Sundays",
     "when do I volunteer in the shelter"},
    {"The plumber fixed the leaking kitchen sink", "who repaired the sink that leaked"},
    {"My thesis is about medieval trade routes", "what is the topic of my thesis"},
};

MF_TEST(hash_model, ranks_the_right_one_of_twenty_facts_first)
{
    enum { N = mf_countof(facts) };

    struct mf_model *m = open_hash();
    static float v[N][DIM];
    unsigned right = 0;

    for (size_t i = 0; i < N; i++) {
        embed(m, mf_slice_str(facts[i][0]), v[i]);
    }
    for (size_t i = 0; i < N; i++) {
        float q[DIM];
        size_t best = 0;

        embed(m, mf_slice_str(facts[i][1]), q);
        for (size_t k = 1; k < N; k++) {
            best = dot(q, v[k]) > dot(q, v[best]) ? k : best;
        }
        right += best == i;
    }
    mf_model_close(m);
    MF_CHECK(right >= 18);
}

static uint32_t next_random(uint32_t *x)
{
    *x = *x * 1664525u + 1013904223u;
    return *x >> 8;
}

/* Ten made-up words of a vocabulary of 300; with `part`, half of them, some misspelt.
 */
static size_t made_up_text(char *out, uint32_t seed, bool part)
{
    size_t n = 0;

    for (unsigned i = 0; i < 10; i++) {
        uint32_t w = (next_random(&seed) % 300) * 2654435761u + 1;
        size_t from = n;

        if (part && i % 2 == 1) {
            continue;
        }
        for (unsigned s = 0; s < 4; s++) {
            out[n++] = "bdfghklmnprstvz"[next_random(&w) % 15];
            out[n++] = "aeiou"[next_random(&w) % 5];
        }
        if (part && i % 4 == 0) { /* two letters change places */
            char c = out[from + 2];

            out[from + 2] = out[from + 3];
            out[from + 3] = c;
        }
        out[n++] = ' ';
    }
    return n;
}

MF_TEST(hash_model, finds_most_texts_by_half_of_their_words_some_misspelt)
{
    enum { N = 300 };

    struct mf_model *m = open_hash();
    static float v[N][DIM];
    char text[100];
    unsigned right = 0;

    for (uint32_t i = 0; i < N; i++) {
        embed(m, mf_slice_of(text, made_up_text(text, i, false)), v[i]);
    }
    for (uint32_t i = 0; i < N; i++) {
        float q[DIM];
        size_t best = 0;

        embed(m, mf_slice_of(text, made_up_text(text, i, true)), q);
        for (size_t k = 1; k < N; k++) {
            best = dot(q, v[k]) > dot(q, v[best]) ? k : best;
        }
        right += best == i;
    }
    mf_model_close(m);
    MF_CHECK(right >= N * 8 / 10);
}

/* ---- window and pieces ---- */

static size_t repeat(char *out, size_t n, const char *word, unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        size_t len = strlen(word);

        memcpy(out + n, word, len + 1);
        n += len;
    }
    return n;
}

MF_TEST(hash_model, represents_the_window_up_to_its_last_sentence_end)
{
    struct mf_model *m = open_hash();
    static char text[4000];
    float whole[DIM], cut[DIM], other[DIM];
    size_t n = repeat(text, 0, "pear ", 199);
    size_t sentence;

    n = repeat(text, n, "plum.", 1);
    sentence = n;
    embed(m, mf_slice_of(text, n), cut);
    n = repeat(text, n, " quince", 30);
    embed(m, mf_slice_of(text, n), other); /* 231 pieces: all of it */
    n = repeat(text, n, " quince", 70);
    embed(m, mf_slice_of(text, n), whole);
    MF_CHECK_MEM(whole, cut, sizeof(whole));
    MF_CHECK(dot(whole, other) < 0.999);
    text[sentence - 1] = ' '; /* no sentence end: the full window */
    embed(m, mf_slice_of(text, n), whole);
    MF_CHECK(dot(whole, cut) < 0.999);
    mf_model_close(m);
}

MF_TEST(hash_model, leaves_out_what_lies_beyond_the_window)
{
    struct mf_model *m = open_hash();
    static char text[4000];
    float a[DIM], b[DIM];
    size_t n = repeat(text, 0, "pear ", 300);

    embed(m, mf_slice_of(text, n), a);
    n = repeat(text, n, "zebra ", 100);
    embed(m, mf_slice_of(text, n), b);
    MF_CHECK_MEM(a, b, sizeof(a));
    mf_model_close(m);
}

static size_t n_pieces(const char *text)
{
    return mf_hash_pieces(mf_slice_str(text), NULL, 0);
}

MF_TEST(pieces, are_about_those_of_wordpiece)
{
    MF_CHECK_INT(n_pieces(""), 0);
    MF_CHECK_INT(n_pieces("  \n"), 0);
    MF_CHECK_INT(n_pieces("word"), 1);
    MF_CHECK_INT(n_pieces("abcdef"), 1);
    MF_CHECK_INT(n_pieces("abcdefg"), 2);
    MF_CHECK_INT(n_pieces("abcdefghij"), 2);
    MF_CHECK_INT(n_pieces("abcdefghijk"), 3);
    MF_CHECK_INT(n_pieces("a, b!"), 4);
    MF_CHECK_INT(n_pieces("don't"), 3);
    MF_CHECK_INT(n_pieces("\u4f60\u597d\u3002"), 3);
    MF_CHECK_INT(n_pieces("ab\u4f60ab"), 3);
    MF_CHECK_INT(n_pieces("\u0416\u0438\u0437\u043d\u044c"), 1);
}

MF_TEST(pieces, say_where_they_begin_up_to_the_room_there_is)
{
    struct mf_model *m = open_hash();
    uint32_t at[4] = {9, 9, 9, 9};

    MF_CHECK_INT(m->ops->pieces(m, MF_SLICE(" abcdefgh, \u4f60x"), at, 3), 5);
    MF_CHECK_INT(at[0], 1);
    MF_CHECK_INT(at[1], 7);
    MF_CHECK_INT(at[2], 9);
    MF_CHECK_INT(at[3], 9);
    mf_model_close(m);
}

static size_t tokenize(const char *text, struct mf_piece *out, size_t cap)
{
    struct mf_model *m = open_hash();
    struct mf_text t = {.text = mf_slice_str(text)};
    size_t n = m->ops->tokenize(m, &t, true, out, cap);

    mf_model_close(m);
    return n;
}

MF_TEST(tokenize, gives_the_pieces_writing_and_place)
{
    static const char text[] = " abcdefgh, \u4f60x";

    static const struct {
        unsigned start, end;
        const char *writing;
    } want[] = {{1, 7, "abcdef"},
                {7, 9, "gh"},
                {9, 10, ","},
                {11, 14, "\u4f60"},
                {14, 15, "x"}};
    struct mf_piece p[8];

    MF_CHECK_INT(tokenize(text, p, 8), mf_countof(want));
    for (size_t i = 0; i < mf_countof(want); i++) {
        MF_CHECK_INT(p[i].id, i);
        MF_CHECK_INT(p[i].start, want[i].start);
        MF_CHECK_INT(p[i].end, want[i].end);
        MF_CHECK(mf_slice_is(p[i].writing, want[i].writing));
        MF_CHECK(!p[i].is_special);
    }
}

MF_TEST(tokenize, writes_no_more_than_there_is_room_for)
{
    struct mf_piece p[3] = {{.id = 99}, {.id = 99}, {.id = 99}};

    MF_CHECK_INT(tokenize("one two three", p, 2), 3);
    MF_CHECK_INT(p[1].id, 1);
    MF_CHECK_INT(p[2].id, 99);
    MF_CHECK_INT(tokenize("", NULL, 0), 0);
    MF_CHECK_INT(tokenize("one two", NULL, 0), 2);
}

/* ---- what the caller asks for ---- */

/* n words "aa", then "horse"; the caller frees it. */
static char *many_words(size_t n)
{
    char *text = mf_malloc(3 * n + 6);

    assert_non_null(text);
    for (size_t i = 0; i < n; i++) {
        text[3 * i] = text[3 * i + 1] = 'a';
        text[3 * i + 2] = ' ';
    }
    memcpy(text + 3 * n, "horse", sizeof("horse"));
    return text;
}

static struct mf_text_result embed_as(const char *text, unsigned flags, float *v)
{
    struct mf_model *m = open_hash();
    struct mf_text t = {.text = mf_slice_str(text), .flags = flags};
    struct mf_text_result res = {.rc = -1};

    MF_CHECK_OK(m->ops->embed(m, &t, 1, v, &res));
    mf_model_close(m);
    return res;
}

MF_TEST(hash_model, counts_the_pieces_it_read)
{
    char *text = many_words(300);
    float v[DIM];

    MF_CHECK_INT(embed_as("", 0, v).n_tokens, 0);
    MF_CHECK_INT(embed_as("one, two", 0, v).n_tokens, 3);
    MF_CHECK_INT(embed_as(text, 0, v).n_tokens, 256);
    MF_CHECK_INT(embed_as(text, MF_TEXT_LEFT, v).n_tokens, 256);
    text[602] = '.'; /* a sentence ends here, after 202 pieces */
    text[603] = ' ';
    MF_CHECK_INT(embed_as(text, 0, v).n_tokens, 202);
    mf_free(text);
}

MF_TEST(hash_model, refuses_a_longer_text_that_must_be_whole)
{
    char *fits = many_words(255), *longer = many_words(256);
    float v[DIM];

    MF_CHECK_OK(embed_as(fits, MF_TEXT_WHOLE, v).rc);
    MF_CHECK_INT(embed_as(longer, MF_TEXT_WHOLE, v).rc, MF_ETOOBIG);
    MF_CHECK_INT(embed_as(longer, MF_TEXT_WHOLE | MF_TEXT_LEFT, v).rc, MF_ETOOBIG);
    MF_CHECK_OK(embed_as(longer, 0, v).rc);
    mf_free(fits);
    mf_free(longer);
}

MF_TEST(hash_model, keeps_the_end_when_asked_to)
{
    char *text = many_words(300);
    float first[DIM], last[DIM], end[DIM];

    MF_CHECK_OK(embed_as(text, 0, first).rc);
    MF_CHECK_OK(embed_as(text, MF_TEXT_LEFT, last).rc);
    MF_CHECK_OK(embed_as(text + (size_t)3 * 45, 0, end).rc); /* the last 256 pieces */
    MF_CHECK_MEM(last, end, sizeof(end));
    MF_CHECK(dot(first, last) < 0.9);
    mf_free(text);
}

MF_TEST(hash_model, gives_a_vector_as_it_is_when_asked_to)
{
    float unit[DIM], raw[DIM];
    double length;

    MF_CHECK_OK(embed_as("red bicycles", 0, unit).rc);
    MF_CHECK_OK(embed_as("red bicycles", MF_TEXT_RAW, raw).rc);
    length = sqrt(dot(raw, raw));
    MF_CHECK(length > 1.1);
    for (size_t i = 0; i < DIM; i++) {
        MF_CHECK(fabs(raw[i] / length - unit[i]) < 1e-6);
    }
}

MF_TEST(hash_model, has_no_vectors_of_pieces)
{
    struct mf_model *m = open_hash();
    struct mf_text t = {.text = MF_SLICE("one two")};
    float *states = NULL;
    uint32_t n = 0;

    MF_CHECK_INT(m->ops->states(m, &t, &states, &n), MF_EUNPROCESSABLE);
    assert_null(states);
    mf_model_close(m);
}
