/* SPDX-License-Identifier: Apache-2.0 */
#include "recall/searchrec.h"

#include "base/err.h"
#include "base/mem.h"

#include <libstemmer.h>
#include <utf8proc.h>
#include <xxhash.h>

#define STOP_SLOTS 512

/* A word of up to 8 bytes as one number; all stop words are that short. */
static const char stop_words[][8] = {
    "a",      "an",    "and",   "are",   "as",   "at",     "be",     "been",
    "but",    "by",    "can",   "could", "did",  "do",     "does",   "doing",
    "for",    "from",  "had",   "has",   "have", "having", "he",     "her",
    "hers",   "him",   "his",   "how",   "i",    "if",     "in",     "into",
    "is",     "it",    "its",   "me",    "my",   "of",     "on",     "or",
    "our",    "ours",  "out",   "over",  "own",  "she",    "should", "so",
    "some",   "such",  "than",  "that",  "the",  "their",  "theirs", "them",
    "then",   "there", "these", "they",  "this", "those",  "to",     "too",
    "was",    "we",    "were",  "what",  "when", "where",  "which",  "while",
    "who",    "whom",  "why",   "will",  "with", "would",  "you",    "your",
    "yours",  "am",    "not",   "no",    "up",   "about",  "after",  "before",
    "during",
};

struct mf_terms {
    struct sb_stemmer *porter;
    char *bytes; /* the stems; `word` .. `end` is the word being read */
    size_t cap, word, end;
    bool word_is_ascii;
    /* A run of a script without spaces: its last character. */
    char last[4];
    size_t last_n, run;
    struct mf_slice *stems;
    size_t n_stems, cap_stems;
    int rc;
    uint64_t stop[STOP_SLOTS];
};

struct range {
    int32_t from, to;
};

/* Thai and Lao, Myanmar, Khmer, Han with its marks, kana, Bopomofo. */
static const struct range no_spaces[] = {
    {0x0E01, 0x0EFF}, {0x1000, 0x109F}, {0x1780, 0x17FF},   {0x3005, 0x3007},
    {0x3041, 0x312F}, {0x31A0, 0x31FF}, {0x3400, 0x4DBF},   {0x4E00, 0x9FFF},
    {0xF900, 0xFAFF}, {0xFF66, 0xFF9F}, {0x20000, 0x3FFFF},
};

static size_t stop_slot(uint64_t key)
{
    return (size_t)((key * 0x9E3779B97F4A7C15U) >> 55);
}

static void stop_add(struct mf_terms *t, const char word[8])
{
    uint64_t key;
    size_t i;

    memcpy(&key, word, sizeof(key));
    for (i = stop_slot(key); t->stop[i] != 0; i = (i + 1) % STOP_SLOTS) {
    }
    t->stop[i] = key;
}

/* `word` has 8 readable bytes; those behind its end are cut off here. */
static bool is_stop_word(const struct mf_terms *t, const char *word, size_t n)
{
    char padded[8] = {0};
    uint64_t key;

    if (n > sizeof(padded)) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        padded[i] = word[i];
    }
    memcpy(&key, padded, sizeof(key));
    for (size_t i = stop_slot(key); t->stop[i] != 0; i = (i + 1) % STOP_SLOTS) {
        if (t->stop[i] == key) {
            return true;
        }
    }
    return false;
}

struct mf_terms *mf_terms_new(void)
{
    struct mf_terms *t = mf_calloc(1, sizeof(*t));

    if (t == NULL) {
        return NULL;
    }
    t->porter = sb_stemmer_new("porter", "UTF_8");
    if (t->porter == NULL) {
        mf_free(t);
        return NULL;
    }
    for (size_t i = 0; i < mf_countof(stop_words); i++) {
        stop_add(t, stop_words[i]);
    }
    return t;
}

void mf_terms_free(struct mf_terms *t)
{
    if (t != NULL) {
        sb_stemmer_delete(t->porter);
        mf_free(t->bytes);
        mf_free(t->stems);
        mf_free(t);
    }
}

uint32_t mf_term_hash(const char *stem, size_t n)
{
    return XXH32(stem, n, 0);
}

static void push_stem(struct mf_terms *t, size_t n)
{
    void *stems = t->stems;

    if (mf_grow(&stems, &t->cap_stems, t->n_stems + 1, sizeof(*t->stems)) < 0) {
        t->rc = MF_ENOMEM;
        return;
    }
    t->stems = stems;
    t->stems[t->n_stems++] = mf_slice_of(t->bytes + t->word, n);
    t->end = t->word + n;
    t->word = t->end;
}

static void stem_word(struct mf_terms *t, char *word, size_t n)
{
    const sb_symbol *stem =
        sb_stemmer_stem(t->porter, (const sb_symbol *)(const void *)word, (int)n);
    int stem_n = stem == NULL ? 0 : sb_stemmer_length(t->porter);

    if (stem == NULL) {
        t->rc = MF_ENOMEM;
        return;
    }
    memcpy(word, stem, (size_t)stem_n);
    push_stem(t, (size_t)stem_n);
}

static void end_word(struct mf_terms *t)
{
    char *word = t->bytes + t->word;
    size_t n = t->end - t->word;

    if (n == 0) {
        return;
    }
    if (!t->word_is_ascii) {
        push_stem(t, n);
    } else if (!is_stop_word(t, word, n)) {
        stem_word(t, word, n);
    }
    t->end = t->word;
    t->word_is_ascii = true;
}

static void end_run(struct mf_terms *t)
{
    if (t->run == 1) {
        memcpy(t->bytes + t->word, t->last, t->last_n);
        push_stem(t, t->last_n);
    }
    t->run = 0;
}

static inline void end_all(struct mf_terms *t)
{
    if (mf_unlikely(t->run > 0)) {
        end_run(t);
    }
    end_word(t);
}

/* The letter or digit in lower case, or 0. */
static inline char ascii_word_char(uint8_t c)
{
    uint8_t lower = c | 0x20;

    if (lower >= 'a' && lower <= 'z') {
        return (char)lower;
    }
    if (c >= '0' && c <= '9') {
        return (char)c;
    }
    return '\0';
}

static bool is_without_spaces(int32_t cp)
{
    for (size_t i = 0; i < mf_countof(no_spaces); i++) {
        if (cp >= no_spaces[i].from && cp <= no_spaces[i].to) {
            return true;
        }
    }
    return false;
}

static void take_run_char(struct mf_terms *t, const char *p, size_t n)
{
    char *at;

    end_word(t);
    if (t->run > 0) {
        at = t->bytes + t->word;
        memcpy(at, t->last, t->last_n);
        memcpy(at + t->last_n, p, n);
        push_stem(t, t->last_n + n);
    }
    memcpy(t->last, p, n);
    t->last_n = n;
    t->run++;
}

static bool is_accent(int32_t cp)
{
    return cp >= 0x0300 && cp <= 0x036F;
}

/* Lower case without accents, so that text with composed and with combining accents,
 * or typed without any, finds the same. */
static int32_t fold(int32_t cp)
{
    int32_t lower = cp == 0x03C2 ? 0x03C3 : utf8proc_tolower(cp); /* final sigma */
    int32_t parts[4];
    int bound = UTF8PROC_BOUNDCLASS_START;
    utf8proc_ssize_t n = utf8proc_decompose_char(lower, parts, mf_countof(parts),
                                                 UTF8PROC_DECOMPOSE, &bound);

    for (utf8proc_ssize_t i = 1; i < n; i++) {
        if (n > (utf8proc_ssize_t)mf_countof(parts) || !is_accent(parts[i])) {
            return lower;
        }
    }
    return n >= 2 ? parts[0] : lower;
}

static bool is_word_category(utf8proc_category_t c)
{
    return c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_NO;
}

static void take_letter(struct mf_terms *t, int32_t cp)
{
    int32_t c = fold(cp);

    if (t->run > 0) {
        end_run(t);
    }
    t->word_is_ascii = t->word_is_ascii && c < 0x80;
    t->end += (size_t)utf8proc_encode_char(c, (uint8_t *)t->bytes + t->end);
}

/* Characters beyond ASCII; the end of the character is returned. */
static size_t take_wide(struct mf_terms *t, struct mf_slice s, size_t i)
{
    int32_t cp;
    utf8proc_ssize_t n =
        utf8proc_iterate((const uint8_t *)s.p + i, (utf8proc_ssize_t)(s.n - i), &cp);

    if (n <= 0) {
        end_all(t);
        return i + 1;
    }
    if (is_without_spaces(cp) && is_word_category(utf8proc_category(cp))) {
        take_run_char(t, s.p + i, (size_t)n);
    } else if (is_accent(cp)) {
        return i + (size_t)n;
    } else if (is_word_category(utf8proc_category(cp))) {
        take_letter(t, cp);
    } else {
        end_all(t);
    }
    return i + (size_t)n;
}

/* An apostrophe goes, also one beyond ASCII, and a directly following s with it: the
 * words at its sides become one. Its end, or 0 when there is none at `i`. */
static inline size_t skip_apostrophe(struct mf_slice s, size_t i)
{
    size_t end = 0;

    if (s.p[i] == '\'') {
        end = i + 1;
    } else if (s.n - i >= 3 && memcmp(s.p + i, "\xE2\x80\x99", 3) == 0) {
        end = i + 3;
    }
    return end > 0 && end < s.n && (s.p[end] | 0x20) == 's' ? end + 1 : end;
}

static void read_words(struct mf_terms *t, struct mf_slice s)
{
    size_t i = 0;
    size_t end;

    while (i < s.n && t->rc == 0) {
        uint8_t byte = (uint8_t)s.p[i];
        char c = ascii_word_char(byte);

        if (mf_likely(c != '\0') && mf_likely(t->run == 0)) {
            t->bytes[t->end++] = c;
            i++;
        } else if (c != '\0') {
            end_run(t);
        } else if ((end = skip_apostrophe(s, i)) > 0) {
            i = end;
        } else if (byte < 0x80) {
            end_all(t);
            i++;
        } else {
            i = take_wide(t, s, i);
        }
    }
    end_all(t);
}

int mf_terms_of(struct mf_terms *t, struct mf_slice text, const struct mf_slice **stems,
                size_t *n)
{
    void *bytes = t->bytes;
    size_t need;

    t->word = t->end = t->run = t->n_stems = 0;
    t->word_is_ascii = true;
    t->rc = 0;
    /* Nothing more than doubles: bigrams do, a changed case adds a half at most. */
    if (__builtin_mul_overflow(text.n, 2, &need) ||
        __builtin_add_overflow(need, 16, &need) ||
        mf_grow(&bytes, &t->cap, need, 1) < 0) {
        return MF_ENOMEM;
    }
    t->bytes = bytes;
    read_words(t, text);
    *stems = t->stems;
    *n = t->n_stems;
    return t->rc;
}
