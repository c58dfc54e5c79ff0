/* SPDX-License-Identifier: Apache-2.0 */
#include "item/chunk.h"
#include "item/utf8.h"
#include "lib/mf_test.h"

#define MAX_TEXT  600
#define MAX_SPANS 700

/* Pieces for a test: every word is one. */
static size_t words_of(struct mf_slice t, uint32_t *at)
{
    size_t n = 0;

    for (size_t i = 0; i < t.n; i++) {
        if (t.p[i] != ' ' && t.p[i] != '\n' &&
            (i == 0 || t.p[i - 1] == ' ' || t.p[i - 1] == '\n')) {
            at[n++] = (uint32_t)i;
        }
    }
    return n;
}

static size_t chunk_words(const char *text, size_t max, struct mf_span *out, size_t cap)
{
    uint32_t at[MAX_TEXT];
    struct mf_slice t = mf_slice_str(text);

    return mf_chunk(t, at, words_of(t, at), max, out, cap);
}

static void check_span(const char *text, struct mf_span s, const char *want)
{
    struct mf_slice got = {text + s.at, s.n};

    if (!mf_slice_is(got, want)) {
        print_error("passage '%.*s', wanted '%s'\n", (int)got.n, got.p, want);
        fail();
    }
}

MF_TEST(chunk, leaves_a_short_text_whole)
{
    static const char text[] = "One two. Three four.";
    struct mf_span s[4];

    MF_CHECK_INT(chunk_words(text, 4, s, 4), 1);
    check_span(text, s[0], text);
    MF_CHECK_INT(chunk_words("", 4, s, 4), 0);
    MF_CHECK_INT(chunk_words("   ", 4, s, 4), 1);
    MF_CHECK_INT(s[0].n, 3);
}

MF_TEST(chunk, cuts_after_the_last_sentence_end_in_the_second_half)
{
    static const char text[] = "A b c. D e. F g h i j k l m n.";
    struct mf_span s[4];

    MF_CHECK_INT(chunk_words(text, 8, s, 4), 3);
    check_span(text, s[0], "A b c. D e. "); /* the blank stays with it */
    check_span(text, s[1], "F g h i j k l m ");
    check_span(text, s[2], "n.");
}

MF_TEST(chunk, does_not_cut_at_a_sentence_end_in_the_first_half)
{
    static const char text[] = "A. B c d e f g h i";
    struct mf_span s[4];

    MF_CHECK_INT(chunk_words(text, 6, s, 4), 2);
    check_span(text, s[0], "A. B c d e f ");
}

MF_TEST(chunk, takes_no_point_inside_a_number_for_an_end)
{
    static const char text[] = "a b c 3.14 e f g";
    struct mf_span s[4];

    MF_CHECK_INT(chunk_words(text, 5, s, 4), 2);
    check_span(text, s[0], "a b c 3.14 e ");
}

MF_TEST(chunk, keeps_closing_quotes_with_their_sentence)
{
    static const char text[] = "She said \"no more.\" Then she went away.";
    struct mf_span s[4];

    MF_CHECK_INT(chunk_words(text, 5, s, 4), 2);
    check_span(text, s[0], "She said \"no more.\" ");
}

MF_TEST(chunk, ends_a_sentence_at_a_line_end)
{
    static const char text[] = "a b c\nd e f g h i";
    struct mf_span s[4];

    MF_CHECK_INT(chunk_words(text, 5, s, 4), 3);
    check_span(text, s[0], "a b c\n");
    check_span(text, s[1], "d e f g h ");
}

MF_TEST(chunk, ends_a_sentence_at_cjk_marks_without_a_blank)
{
    static const char text[] = "\u4f60\u597d\u3002\u518d\u89c1\u5427\uff01\u597d";
    uint32_t at[8];
    struct mf_span s[4];

    for (uint32_t i = 0; i < 8; i++) {
        at[i] = 3 * i;
    }
    MF_CHECK_INT(mf_chunk(mf_slice_str(text), at, 8, 4, s, 4), 3);
    check_span(text, s[0], "\u4f60\u597d\u3002");
    check_span(text, s[1], "\u518d\u89c1\u5427\uff01");
    check_span(text, s[2], "\u597d");
}

MF_TEST(chunk, cuts_between_pieces_when_there_is_no_blank)
{
    static const char text[] = "abcdefghij";
    static const uint32_t at[] = {0, 2, 4, 6, 8};
    struct mf_span s[4];

    MF_CHECK_INT(mf_chunk(mf_slice_str(text), at, 5, 2, s, 4), 3);
    check_span(text, s[0], "abcd");
    check_span(text, s[1], "efgh");
    check_span(text, s[2], "ij");
}

MF_TEST(chunk, never_cuts_a_character_that_holds_several_pieces)
{
    static const char text[] = "\U0001f600\U0001f601"; /* a piece for each byte */
    static const uint32_t at[] = {0, 1, 2, 3, 4, 5, 6, 7};
    struct mf_span s[8];

    MF_CHECK_INT(mf_chunk(mf_slice_str(text), at, 8, 6, s, 8), 2);
    MF_CHECK_INT(s[0].n, 4);
    /* even when one character has more pieces than a passage may have */
    MF_CHECK_INT(mf_chunk(mf_slice_str(text), at, 8, 2, s, 8), 2);
    MF_CHECK_INT(s[0].n, 4);
}

MF_TEST(chunk, gives_the_rest_to_the_last_span_when_room_is_short)
{
    static const char text[] = "a b c d e f g h i j";
    struct mf_span s[3] = {{0, 0}, {0, 0}, {77, 77}};

    MF_CHECK_INT(chunk_words(text, 2, s, 2), 5);
    check_span(text, s[0], "a b ");
    check_span(text, s[1], "c d e f g h i j");
    MF_CHECK_INT(s[2].at, 77);
    MF_CHECK_INT(chunk_words(text, 2, NULL, 0), 5);
}

static uint32_t next_random(uint32_t *x)
{
    *x = *x * 1664525u + 1013904223u;
    return *x >> 8;
}

static size_t random_text(char *out, size_t max, uint32_t *x)
{
    static const char *const bits[] = {
        "word",       " ",      ".",    " ",   "! ", "?\n", "\u4f60", "\u3002",
        "\U0001f600", "\u00e9", "3.14", "\" ", ")",  "a",   "  ",     "\xff"};
    size_t n = 0, target = next_random(x) % (max - 8);

    while (n < target) {
        struct mf_slice b = mf_slice_str(bits[next_random(x) % mf_countof(bits)]);

        memcpy(out + n, b.p, b.n);
        n += b.n;
    }
    return n;
}

/* Pieces anywhere, ascending: also inside characters and on blanks. */
static size_t random_pieces(size_t n, uint32_t *at, uint32_t *x)
{
    size_t n_pieces = 0;

    for (uint32_t i = 0; i < n; i++) {
        if (next_random(x) % 3 != 0) {
            at[n_pieces++] = i;
        }
    }
    return n_pieces;
}

static void check_property(struct mf_slice t, const uint32_t *at, size_t n_pieces,
                           size_t max)
{
    static struct mf_span s[MAX_SPANS];
    size_t n = mf_chunk(t, at, n_pieces, max, s, MAX_SPANS), piece = 0;
    uint32_t end = 0;

    MF_CHECK(n <= MAX_SPANS);
    for (size_t i = 0; i < n; i++) {
        size_t held = 0;

        MF_CHECK_INT(s[i].at, end);
        MF_CHECK(s[i].n > 0);
        end = s[i].at + s[i].n;
        for (; piece < n_pieces && at[piece] < end; piece++) {
            held++;
        }
        MF_CHECK(held <= mf_max(max, (size_t)4)); /* 4: one whole character */
    }
    MF_CHECK_INT(end, t.n);
    for (size_t i = 0, c = 0, len; i < n; i++) { /* spans end where characters do */
        uint32_t cp;

        for (; c < s[i].at + s[i].n; c += len) {
            len = mf_utf8_next(t, c, &cp);
        }
        MF_CHECK_INT(c, s[i].at + s[i].n);
    }
}

MF_TEST(chunk, covers_any_text_without_gap_overlap_or_broken_character)
{
    static char text[MAX_TEXT];
    static uint32_t at[MAX_TEXT];
    uint32_t x = 7;

    for (unsigned round = 0; round < 5000; round++) {
        size_t n = random_text(text, sizeof(text), &x);
        size_t n_pieces = random_pieces(n, at, &x);

        check_property(mf_slice_of(text, n), at, n_pieces, 1 + next_random(&x) % 40);
    }
}
