/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "lib/mf_test.h"
#include "tokenizer_kit.h"

#include <string.h>

#define MAX_PIECES 64

struct encoded {
    uint32_t id[MAX_PIECES], start[MAX_PIECES], end[MAX_PIECES];
    struct mf_pieces p;
    size_t returned;
};

static void encode(struct encoded *e, const char *text, unsigned flags, size_t cap)
{
    struct mf_tokenizer *t = kit_open();

    e->p =
        (struct mf_pieces){.id = e->id, .start = e->start, .end = e->end, .cap = cap};
    e->returned = mf_tokenizer_encode(t, mf_slice_str(text), flags, &e->p);
    mf_tokenizer_close(t);
}

static void check_ids(const struct encoded *e, const uint32_t *want, size_t n)
{
    MF_CHECK_INT(e->p.n, n);
    for (size_t i = 0; i < n; i++) {
        MF_CHECK_INT(e->id[i], want[i]);
    }
}

#define CHECK_IDS(e, ...)                                                              \
    check_ids((e), (const uint32_t[]){__VA_ARGS__},                                    \
              mf_countof(((const uint32_t[]){__VA_ARGS__})))

static void check_span(const struct encoded *e, size_t i, uint32_t start, uint32_t end)
{
    MF_CHECK_INT(e->start[i], start);
    MF_CHECK_INT(e->end[i], end);
}

MF_TEST(tokenizer, cuts_words_into_their_longest_pieces)
{
    struct encoded e;

    encode(&e, "playing  Played.", MF_ENCODE_SPECIAL, MAX_PIECES);
    CHECK_IDS(&e, KIT_CLS, KIT_PLAY, KIT_ING, KIT_PLAY, KIT_ED, KIT_DOT, KIT_SEP);
    check_span(&e, 0, 0, 0);
    check_span(&e, 1, 0, 4);
    check_span(&e, 2, 4, 7);
    check_span(&e, 4, 13, 15);
    check_span(&e, 5, 15, 16);
    check_span(&e, 6, 0, 0);
    MF_CHECK_INT(e.returned, 7);
    MF_CHECK_INT(e.p.n_bytes, 16);
}

MF_TEST(tokenizer, makes_a_word_unknown_when_any_rest_of_it_is)
{
    struct encoded e;

    encode(&e, "playx a", 0, MAX_PIECES);
    CHECK_IDS(&e, KIT_UNK, KIT_A);
    check_span(&e, 0, 0, 5);
}

MF_TEST(tokenizer, says_bytes_of_the_text_for_what_it_normalised)
{
    struct encoded e;

    /* A composed accent, one that combines, a dropped control, a CJK character. */
    encode(&e,
           "CAF\u00c9 cafe\u0301 pl\x01"
           "aying\u4e2d",
           0, MAX_PIECES);
    CHECK_IDS(&e, KIT_CAFE, KIT_CAFE, KIT_PLAY, KIT_ING, KIT_HAN);
    check_span(&e, 0, 0, 5);
    check_span(&e, 1, 6, 10);
    check_span(&e, 2, 13, 18);
    check_span(&e, 3, 18, 21);
    check_span(&e, 4, 21, 24);
}

MF_TEST(tokenizer, takes_special_tokens_out_of_the_text)
{
    struct encoded e;

    encode(&e, "play[SEP]ing [sep]", 0, MAX_PIECES);
    CHECK_IDS(&e, KIT_PLAY, KIT_SEP, KIT_UNK, KIT_UNK, KIT_UNK, KIT_UNK);
    check_span(&e, 1, 4, 9);
}

MF_TEST(tokenizer, bounds_the_characters_of_a_word)
{
    char text[2 * 101 + 1];
    struct encoded e;
    uint32_t ids[128];
    struct mf_pieces p = {.id = ids, .cap = 128};
    struct mf_tokenizer *t = kit_open();

    memset(text, 'a', 101);
    MF_CHECK_INT(mf_tokenizer_encode(t, mf_slice_of(text, 100), 0, &p), 100);
    MF_CHECK_INT(ids[0], KIT_A);
    MF_CHECK_INT(ids[99], KIT_MORE_A);
    MF_CHECK_INT(mf_tokenizer_encode(t, mf_slice_of(text, 101), 0, &p), 1);
    MF_CHECK_INT(ids[0], KIT_UNK);
    mf_tokenizer_close(t);
    for (size_t i = 0; i < 101; i++) {
        memcpy(text + 2 * i, "\u00e0", 2); /* characters, not bytes */
    }
    text[200] = '\0';
    encode(&e, text, MF_ENCODE_COUNT, 2);
    MF_CHECK_INT(e.returned, 100);
    CHECK_IDS(&e, KIT_A, KIT_MORE_A);
    check_span(&e, 1, 2, 4);
}

MF_TEST(tokenizer, keeps_the_beginning_or_the_end_of_a_long_text)
{
    static const char text[] = "play a . caf\u00e9 ";
    struct encoded e;

    encode(&e, text, MF_ENCODE_SPECIAL, 4);
    CHECK_IDS(&e, KIT_CLS, KIT_PLAY, KIT_A, KIT_SEP);
    MF_CHECK_INT(e.returned, 5);
    MF_CHECK_INT(e.p.n_bytes, 6);
    encode(&e, text, MF_ENCODE_SPECIAL | MF_ENCODE_LEFT | MF_ENCODE_COUNT, 4);
    CHECK_IDS(&e, KIT_CLS, KIT_DOT, KIT_CAFE, KIT_SEP);
    check_span(&e, 2, 9, 14);
    MF_CHECK_INT(e.returned, 6);
    MF_CHECK_INT(e.p.n_bytes, 8);
    encode(&e, text, MF_ENCODE_SPECIAL | MF_ENCODE_LEFT, 6);
    CHECK_IDS(&e, KIT_CLS, KIT_PLAY, KIT_A, KIT_DOT, KIT_CAFE, KIT_SEP);
    MF_CHECK_INT(e.returned, 6);
    MF_CHECK_INT(e.p.n_bytes, sizeof(text) - 1);
}

MF_TEST(tokenizer, gives_the_special_tokens_what_room_there_is)
{
    struct encoded e;

    encode(&e, "play", MF_ENCODE_SPECIAL, 0);
    MF_CHECK_INT(e.p.n, 0);
    MF_CHECK_INT(e.returned, 1);
    encode(&e, "play", MF_ENCODE_SPECIAL | MF_ENCODE_LEFT, 1);
    CHECK_IDS(&e, KIT_CLS);
    MF_CHECK_INT(e.returned, 2);
    encode(&e, "play", MF_ENCODE_SPECIAL | MF_ENCODE_COUNT, 2);
    CHECK_IDS(&e, KIT_CLS, KIT_SEP);
    MF_CHECK_INT(e.returned, 3);
    MF_CHECK_INT(e.p.n_bytes, 0);
    encode(&e, "", MF_ENCODE_SPECIAL, 2);
    CHECK_IDS(&e, KIT_CLS, KIT_SEP);
    MF_CHECK_INT(e.returned, 2);
}

/* What lies behind the bound is no memory of ours: to look at it is a crash. */
MF_TEST(tokenizer, stops_reading_when_nothing_more_is_wanted)
{
    struct mf_tokenizer *t = kit_open();
    static const char letters[11] = "a a a a a a";
    char *text = mf_malloc(sizeof(letters));
    uint32_t ids[4];
    struct mf_pieces p = {.id = ids, .cap = 2};

    memcpy(text, letters, sizeof(letters));
    MF_CHECK_INT(mf_tokenizer_encode(t, mf_slice_of(text, 1u << 30), 0, &p), 3);
    MF_CHECK_INT(p.n, 2);
    MF_CHECK_INT(p.n_bytes, 3);
    mf_free(text);
    mf_tokenizer_close(t);
}

MF_TEST(tokenizer, reads_damage_as_nothing)
{
    struct encoded e;

    encode(&e,
           "pl\xff"
           "ay\xe4\xb8 \xf0\x9f \xc3",
           0, MAX_PIECES);
    CHECK_IDS(&e, KIT_PLAY);
    check_span(&e, 0, 0, 5);
    encode(&e, "\xed\xa0\x80 \xc0\x80 a", 0, MAX_PIECES); /* a surrogate, a long NUL */
    CHECK_IDS(&e, KIT_A);
}

MF_TEST(tokenizer, tells_where_pieces_begin)
{
    struct mf_tokenizer *t = kit_open();
    struct mf_slice text = mf_slice_str("playing caf\u00e9.");
    uint32_t at[8] = {0};

    MF_CHECK_INT(mf_tokenizer_offsets(t, text, at, 8), 4);
    MF_CHECK_INT(at[0], 0);
    MF_CHECK_INT(at[1], 4);
    MF_CHECK_INT(at[2], 8);
    MF_CHECK_INT(at[3], 13);
    at[1] = 99;
    MF_CHECK_INT(mf_tokenizer_offsets(t, text, at, 1), 4);
    MF_CHECK_INT(at[1], 99);
    MF_CHECK_INT(mf_tokenizer_offsets(t, text, NULL, 0), 4);
    mf_tokenizer_close(t);
}

MF_TEST(tokenizer, writes_ids_alone_when_offsets_are_not_wanted)
{
    struct mf_tokenizer *t = kit_open();
    uint32_t ids[8];
    struct mf_pieces p = {.id = ids, .cap = 8};

    MF_CHECK_INT(mf_tokenizer_encode(t, MF_SLICE("playing"), MF_ENCODE_SPECIAL, &p), 4);
    MF_CHECK_INT(ids[2], KIT_ING);
    mf_tokenizer_close(t);
}

/* Marks that stay are put in canonical order: the note's tail before the tone mark. */
MF_TEST(tokenizer, orders_the_marks_that_stay)
{
    static const char vocab[] =
        "{\"[UNK]\":1,\"[CLS]\":2,\"[SEP]\":3,\"a\":4,\"##\\ud834\\udd65\":5,"
        "\"##\\u302e\":6}";
    struct kit_json parts = kit_plain;
    uint32_t ids[8], start[8], end[8];
    struct mf_pieces p = {.id = ids, .start = start, .end = end, .cap = 8};
    struct mf_tokenizer *t;
    struct mf_err err;

    parts.vocab = vocab;
    MF_CHECK_OK(mf_tokenizer_open(&t, kit_write_json(&parts), &err));
    /* U+302E (class 224), U+0301 (230), U+1D165 (216) */
    MF_CHECK_INT(mf_tokenizer_encode(t, mf_slice_str("a\u302e\u0301\U0001d165"), 0, &p),
                 3);
    MF_CHECK_INT(ids[1], 5);
    MF_CHECK_INT(start[1], 1);
    MF_CHECK_INT(ids[2], 6);
    MF_CHECK_INT(start[2], 4);
    mf_tokenizer_close(t);
}
