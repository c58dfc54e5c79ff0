/* SPDX-License-Identifier: Apache-2.0 */
#include "recall/cues.h"

#include <utf8proc.h>

#define SHORT_QUESTION_WORDS 20

static const char *const months[] = {
    "january", "february", "march",     "april",   "may",      "june",
    "july",    "august",   "september", "october", "november", "december",
};

#define WORDS_A_LETTER 6

static const char *const time_words[26][WORDS_A_LETTER] = {
    ['a' - 'a'] = {"ago", "april", "august"},
    ['d' - 'a'] = {"december"},
    ['f' - 'a'] = {"friday", "february"},
    ['j' - 'a'] = {"just", "january", "june", "july"},
    ['l' - 'a'] = {"last"},
    ['m' - 'a'] = {"month", "monday", "march", "may"},
    ['n' - 'a'] = {"next", "november"},
    ['o' - 'a'] = {"october"},
    ['r' - 'a'] = {"recently"},
    ['s' - 'a'] = {"since", "saturday", "sunday", "september"},
    ['t' - 'a'] = {"today", "tonight", "tomorrow", "tuesday", "thursday"},
    ['w' - 'a'] = {"week", "weekend", "wednesday"},
    ['y' - 'a'] = {"year", "yesterday"},
};

/* With "this" before them; "this week" and the like are time words by their noun. */
static const char *const after_this[] = {"morning", "summer", "fall", "winter",
                                         "spring"};

static const char *const no_names[] = {"user", "assistant", "agent", "bot"};

/* One character; a byte that is no UTF-8 counts as one that is nothing (0xFFFD). */
static size_t decode(struct mf_slice s, size_t at, int32_t *cp)
{
    utf8proc_ssize_t n;

    if ((uint8_t)s.p[at] < 0x80) {
        *cp = (uint8_t)s.p[at];
        return 1;
    }
    n = utf8proc_iterate((const uint8_t *)s.p + at, (utf8proc_ssize_t)(s.n - at), cp);
    if (n <= 0) {
        *cp = 0xFFFD;
        return 1;
    }
    return (size_t)n;
}

static inline bool is_ascii_word(uint8_t c)
{
    uint8_t lower = c | 0x20;

    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

static bool is_letter(utf8proc_category_t c)
{
    return c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_LO;
}

static bool is_number(utf8proc_category_t c)
{
    return c >= UTF8PROC_CATEGORY_ND && c <= UTF8PROC_CATEGORY_NO;
}

static bool is_word_char(int32_t cp)
{
    utf8proc_category_t c;

    if (cp < 0x80) {
        return is_ascii_word((uint8_t)cp);
    }
    c = utf8proc_category(cp);
    return is_letter(c) || is_number(c);
}

static bool is_space(int32_t cp)
{
    utf8proc_category_t c;

    if (cp < 0x80) {
        return cp == ' ' || (cp >= '\t' && cp <= '\r') || (cp >= 0x1C && cp <= 0x1F);
    }
    c = utf8proc_category(cp);
    return cp == 0x85 || (c >= UTF8PROC_CATEGORY_ZS && c <= UTF8PROC_CATEGORY_ZP);
}

/* What a comparison without case takes as equal: simple lower case, and the letters
 * whose only lower-case twin is another letter. */
static int32_t fold(int32_t cp)
{
    if (cp < 0x80) {
        return cp >= 'A' && cp <= 'Z' ? cp + ('a' - 'A') : cp;
    }
    switch (cp) {
    case 0x0130:                /* I with a dot */
    case 0x0131: return 'i';    /* i without one */
    case 0x017F: return 's';    /* long s */
    case 0x00B5: return 0x03BC; /* micro, mu */
    case 0x03C2: return 0x03C3; /* final sigma */
    default: return utf8proc_tolower(cp);
    }
}

static void word_add(struct mf_cue_word *w, int32_t cp)
{
    int32_t c = fold(cp);

    if (w->n_chars < MF_CUE_WORD - 1) {
        w->folded[w->n_chars] = '?';
        w->folded[w->n_chars + 1] = '\0';
        if (c < 0x80) {
            w->folded[w->n_chars] = (char)c;
        }
    }
    w->n_chars++;
    w->is_ascii = w->is_ascii && cp < 0x80;
}

bool mf_cue_next(struct mf_cue_reader *r, struct mf_cue_word *w)
{
    int32_t cp = 0;
    size_t n = 0;

    for (; r->at < r->text.n; r->at += n) {
        n = decode(r->text, r->at, &cp);
        if (is_word_char(cp)) {
            break;
        }
    }
    w->at = r->at;
    w->n_chars = 0;
    w->is_ascii = true;
    w->folded[0] = '\0';
    while (r->at < r->text.n && is_word_char(cp)) {
        word_add(w, cp);
        r->at += n;
        if (r->at < r->text.n) {
            n = decode(r->text, r->at, &cp);
        }
    }
    w->n = r->at - w->at;
    return w->n > 0;
}

bool mf_cue_same(struct mf_slice a, struct mf_slice b)
{
    size_t i = 0;
    size_t k = 0;
    int32_t x;
    int32_t y;

    while (i < a.n && k < b.n) {
        i += decode(a, i, &x);
        k += decode(b, k, &y);
        if (fold(x) != fold(y)) {
            return false;
        }
    }
    return i == a.n && k == b.n;
}

bool mf_cue_follows(struct mf_slice text, const struct mf_cue_word *a,
                    const struct mf_cue_word *b)
{
    return a->n > 0 && b->at == a->at + a->n + 1 && text.p[b->at - 1] == ' ';
}

/* Decimal digits of every script stand in tens, zero first; -1 for no digit. */
static int digit_value(int32_t cp)
{
    int32_t first = cp;

    if (cp < 0x80) {
        return cp >= '0' && cp <= '9' ? cp - '0' : -1;
    }
    if (utf8proc_category(cp) != UTF8PROC_CATEGORY_ND) {
        return -1;
    }
    while (utf8proc_category(first - 1) == UTF8PROC_CATEGORY_ND) {
        first--;
    }
    return (cp - first) % 10;
}

unsigned mf_cue_year(struct mf_slice text, const struct mf_cue_word *w)
{
    struct mf_slice word = mf_slice_of(text.p + w->at, w->n);
    int32_t tens;
    int32_t ones;

    if (w->n_chars != 4 || word.p[0] != '2' || word.p[1] != '0') {
        return 0;
    }
    (void)decode(word, 2 + decode(word, 2, &tens), &ones);
    tens = digit_value(tens);
    ones = digit_value(ones);
    return tens < 0 || ones < 0 ? 0 : (unsigned)(2000 + 10 * tens + ones);
}

static bool is_one_of(const char *word, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n && list[i] != NULL; i++) {
        if (strcmp(word, list[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_time_word(struct mf_slice text, const struct mf_cue_word *w)
{
    char first = w->folded[0];

    if (first >= 'a' && first <= 'z') {
        return is_one_of(w->folded, time_words[first - 'a'], WORDS_A_LETTER);
    }
    return first == '2' && mf_cue_year(text, w) != 0;
}

bool mf_cue_has_time_word(struct mf_slice text)
{
    struct mf_cue_reader r = {text, 0};
    struct mf_cue_word last = {0};
    struct mf_cue_word w;

    while (mf_cue_next(&r, &w)) {
        if (is_time_word(text, &w)) {
            return true;
        }
        if (strcmp(last.folded, "this") == 0 && mf_cue_follows(text, &last, &w) &&
            is_one_of(w.folded, after_this, mf_countof(after_this))) {
            return true;
        }
        last = w;
    }
    return false;
}

unsigned mf_cue_month(const struct mf_cue_word *w)
{
    if (!w->is_ascii) {
        return 0;
    }
    for (unsigned m = 0; m < mf_countof(months); m++) {
        if (strcmp(w->folded, months[m]) == 0) {
            return m + 1;
        }
    }
    return 0;
}

static struct mf_slice skip_blank(struct mf_slice text)
{
    int32_t cp;

    while (text.n > 0) {
        size_t n = decode(text, 0, &cp);

        if (!is_space(cp)) {
            break;
        }
        text.p += n;
        text.n -= n;
    }
    return text;
}

static struct mf_slice cut_blank(struct mf_slice text)
{
    int32_t cp;

    while (text.n > 0) {
        size_t at = text.n - 1;

        while (at > 0 && ((uint8_t)text.p[at] & 0xC0) == 0x80) {
            at--;
        }
        (void)decode(text, at, &cp);
        if (!is_space(cp)) {
            break;
        }
        text.n = at;
    }
    return text;
}

/* Counts no further than one more than a short question has. */
static size_t count_words(struct mf_slice text)
{
    size_t n_words = 0;
    bool in_word = false;
    int32_t cp;

    for (size_t i = 0; i < text.n && n_words <= SHORT_QUESTION_WORDS;) {
        i += decode(text, i, &cp);
        if (is_space(cp)) {
            in_word = false;
        } else if (!in_word) {
            in_word = true;
            n_words++;
        }
    }
    return n_words;
}

bool mf_cue_is_short_question(struct mf_slice text)
{
    struct mf_slice s = cut_blank(text);

    return s.n > 0 && s.p[s.n - 1] == '?' && count_words(s) <= SHORT_QUESTION_WORDS;
}

struct mf_slice mf_cue_first_name(struct mf_slice record_name)
{
    struct mf_cue_word w = {.is_ascii = true};
    int32_t cp;

    for (size_t n; w.n < record_name.n; w.n += n) {
        n = decode(record_name, w.n, &cp);
        if (!is_word_char(cp) || cp == '_' || digit_value(cp) >= 0) {
            break;
        }
        word_add(&w, cp);
    }
    if (w.n_chars < 3 ||
        (w.is_ascii && is_one_of(w.folded, no_names, mf_countof(no_names)))) {
        return mf_slice_of(NULL, 0);
    }
    return mf_slice_of(record_name.p, w.n);
}

/* `lower` in ASCII at the front of *text, in any case; then *text begins behind it. */
static bool eat(struct mf_slice *text, const char *lower)
{
    size_t at = 0;
    int32_t cp;

    for (; *lower != '\0'; lower++) {
        if (at == text->n) {
            return false;
        }
        at += decode(*text, at, &cp);
        if (fold(cp) != *lower) {
            return false;
        }
    }
    text->p += at;
    text->n -= at;
    return true;
}

bool mf_cue_asks_time(struct mf_slice text)
{
    static const char *const openings[] = {
        "when",           "what day",      "what date",     "what month", "what year",
        "what time",      "which day",     "which month",   "which year", "how long",
        "in which month", "in what month", "on which date",
    };
    struct mf_slice s = skip_blank(text);

    for (size_t i = 0; i < mf_countof(openings); i++) {
        struct mf_slice rest = s;

        if (eat(&rest, openings[i])) {
            return true;
        }
    }
    return false;
}
