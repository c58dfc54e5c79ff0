/* SPDX-License-Identifier: Apache-2.0 */
#include "embed/hash_word.h"

#include "item/utf8.h"

#define FIRST_PIECE 6
#define NEXT_PIECE  4

struct range {
    uint32_t first, last;
    enum mf_char_class class;
};

/* From U+0080 on, ascending; what is not here is a letter. */
static const struct range ranges[] = {
    {0x80, 0xA0, MF_CHAR_BLANK},      {0xA1, 0xA9, MF_CHAR_MARK},
    {0xAB, 0xB4, MF_CHAR_MARK},       {0xB6, 0xB9, MF_CHAR_MARK},
    {0xBB, 0xBF, MF_CHAR_MARK},       {0xD7, 0xD7, MF_CHAR_MARK},
    {0xF7, 0xF7, MF_CHAR_MARK},       {0x2000, 0x200F, MF_CHAR_BLANK},
    {0x2010, 0x2027, MF_CHAR_MARK},   {0x2028, 0x202F, MF_CHAR_BLANK},
    {0x2030, 0x205E, MF_CHAR_MARK},   {0x205F, 0x206F, MF_CHAR_BLANK},
    {0x20A0, 0x20CF, MF_CHAR_MARK},   {0x2190, 0x25FF, MF_CHAR_MARK},
    {0x2600, 0x27BF, MF_CHAR_WIDE},   {0x27C0, 0x2BFF, MF_CHAR_MARK},
    {0x2E80, 0x2FFF, MF_CHAR_WIDE},   {0x3000, 0x3000, MF_CHAR_BLANK},
    {0x3001, 0x3004, MF_CHAR_MARK},   {0x3005, 0x3007, MF_CHAR_WIDE},
    {0x3008, 0x3030, MF_CHAR_MARK},   {0x3031, 0xA4CF, MF_CHAR_WIDE},
    {0xA960, 0xA97F, MF_CHAR_WIDE},   {0xAC00, 0xD7FF, MF_CHAR_WIDE},
    {0xF900, 0xFAFF, MF_CHAR_WIDE},   {0xFE00, 0xFE0F, MF_CHAR_BLANK},
    {0xFE10, 0xFE6F, MF_CHAR_MARK},   {0xFEFF, 0xFEFF, MF_CHAR_BLANK},
    {0xFF01, 0xFF0F, MF_CHAR_MARK},   {0xFF1A, 0xFF20, MF_CHAR_MARK},
    {0xFF3B, 0xFF40, MF_CHAR_MARK},   {0xFF5B, 0xFF65, MF_CHAR_MARK},
    {0xFF66, 0xFFDC, MF_CHAR_WIDE},   {0xFFE0, 0xFFEE, MF_CHAR_MARK},
    {0x1F000, 0x3FFFF, MF_CHAR_WIDE}, {0xE0000, 0xE0FFF, MF_CHAR_BLANK},
};

static bool is_ascii_letter(uint32_t cp)
{
    return (cp >= '0' && cp <= '9') || ((cp | 0x20) >= 'a' && (cp | 0x20) <= 'z');
}

enum mf_char_class mf_char_class_of(uint32_t cp)
{
    size_t low = 0, high = mf_countof(ranges);

    if (cp < 0x80) {
        return is_ascii_letter(cp)        ? MF_CHAR_LETTER
               : cp <= 0x20 || cp == 0x7F ? MF_CHAR_BLANK
                                          : MF_CHAR_MARK;
    }
    while (low < high) { /* the first range that does not end before cp */
        size_t mid = (low + high) / 2;

        if (ranges[mid].last < cp) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    if (low == mf_countof(ranges) || cp < ranges[low].first) {
        return MF_CHAR_LETTER;
    }
    return ranges[low].class;
}

/* Latin Extended-A: capital and small letter are neighbours, mostly even and odd. */
static uint32_t lower_latin_a(uint32_t cp)
{
    if (cp == 0x178) {
        return 0xFF;
    }
    if ((cp >= 0x139 && cp <= 0x148) || cp >= 0x179) {
        return cp + (cp & 1);
    }
    return cp == 0x130 || cp == 0x138 || cp == 0x149 ? cp : cp | 1;
}

uint32_t mf_char_lower(uint32_t cp)
{
    if (cp < 0x80) {
        return cp >= 'A' && cp <= 'Z' ? cp + 0x20 : cp;
    }
    if (cp >= 0x100 && cp < 0x17F) {
        return lower_latin_a(cp);
    }
    if ((cp >= 0xC0 && cp <= 0xDE && cp != 0xD7) || (cp >= 0x391 && cp <= 0x3A9) ||
        (cp >= 0x410 && cp <= 0x42F)) {
        return cp + 0x20;
    }
    if (cp >= 0x400 && cp <= 0x40F) {
        return cp + 0x50;
    }
    if (cp >= 0xFF10 && cp <= 0xFF5A) { /* full-width forms of ASCII */
        return mf_char_lower(cp - 0xFF00 + 0x20);
    }
    return cp;
}

bool mf_hash_word_next(struct mf_slice text, size_t *at, struct mf_hash_word *w)
{
    enum mf_char_class class = MF_CHAR_BLANK;

    w->n = 0;
    while (*at < text.n && w->n < MF_HASH_WORD_MAX) {
        uint32_t cp;
        size_t n = mf_utf8_next(text, *at, &cp);
        enum mf_char_class c = mf_char_class_of(cp);

        if (w->n > 0 && c != class) {
            break;
        }
        *at += n;
        if (c == MF_CHAR_LETTER || c == MF_CHAR_WIDE) {
            class = c;
            w->cp[w->n++] = mf_char_lower(cp);
        }
    }
    w->is_wide = class == MF_CHAR_WIDE;
    return w->n > 0;
}

static bool ends_with(const struct mf_hash_word *w, const char *end, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (w->n < n || w->cp[w->n - n + i] != (unsigned char)end[i]) {
            return false;
        }
    }
    return true;
}

static bool is_vowel(uint32_t cp)
{
    return cp == 'a' || cp == 'e' || cp == 'i' || cp == 'o' || cp == 'u' || cp == 'y';
}

static bool has_vowel(const struct mf_hash_word *w, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (is_vowel(w->cp[i])) {
            return true;
        }
    }
    return false;
}

static void cut_plural(struct mf_hash_word *w)
{
    if (w->n <= 3 || !ends_with(w, "s", 1) || ends_with(w, "ss", 2) ||
        ends_with(w, "us", 2) || ends_with(w, "is", 2)) {
        return;
    }
    w->n--;
}

/* "running" and "run": the doubled consonant goes with the ending. */
static void cut_verb_ending(struct mf_hash_word *w)
{
    unsigned cut = ends_with(w, "ing", 3)                             ? 3
                   : ends_with(w, "ed", 2) && !ends_with(w, "eed", 3) ? 2
                                                                      : 0;
    uint32_t last;

    if (cut == 0 || w->n < cut + 3 || !has_vowel(w, w->n - cut)) {
        return;
    }
    w->n -= cut;
    last = w->cp[w->n - 1];
    if (w->n > 3 && last == w->cp[w->n - 2] && !is_vowel(last) && last != 'l' &&
        last != 's' && last != 'z') {
        w->n--;
    }
}

void mf_hash_word_stem(struct mf_hash_word *w)
{
    if (w->is_wide || w->n <= 3) {
        return;
    }
    cut_plural(w);
    cut_verb_ending(w);
    if (w->n > 3 && ends_with(w, "e", 1)) {
        w->n--;
    }
    if (w->n > 3 && ends_with(w, "i", 1)) {
        w->cp[w->n - 1] = 'y'; /* "studies", "studied": as "study" */
    }
}

uint64_t mf_hash_mix(uint64_t h)
{
    h = (h ^ (h >> 32)) * 0xD6E8FEB86659FD93ull;
    h = (h ^ (h >> 32)) * 0xD6E8FEB86659FD93ull;
    return h ^ (h >> 32);
}

uint64_t mf_hash_word_key(const struct mf_hash_word *w)
{
    uint64_t h = 0x9AE16A3B2F90404Full;

    for (unsigned i = 0; i < w->n; i++) {
        h = (h ^ w->cp[i]) * 0x100000001B3ull;
    }
    h = mf_hash_mix(h);
    return h == 0 ? 1 : h;
}

/* Letters from p->end on, at most `room` of them. */
static void take_letters(struct mf_slice text, struct mf_hash_piece *p, unsigned room)
{
    uint32_t cp;

    for (; p->end < text.n && room > 0; room--) {
        size_t len = mf_utf8_next(text, p->end, &cp);

        if (mf_char_class_of(cp) != MF_CHAR_LETTER) {
            return;
        }
        p->end += len;
    }
}

bool mf_hash_piece_next(struct mf_slice text, struct mf_hash_piece *p)
{
    enum mf_char_class c = MF_CHAR_BLANK;
    size_t at, len = 0;
    bool is_inner;
    uint32_t cp;

    for (at = p->end; at < text.n; at += len) {
        len = mf_utf8_next(text, at, &cp);
        c = mf_char_class_of(cp);
        if (c != MF_CHAR_BLANK) {
            break;
        }
    }
    if (at >= text.n) {
        return false;
    }
    is_inner = at == p->end && p->is_word;
    p->start = at;
    p->is_word = c == MF_CHAR_LETTER;
    if (p->is_word) {
        p->end = at;
        take_letters(text, p, is_inner ? NEXT_PIECE : FIRST_PIECE);
    } else {
        p->end = at + len;
    }
    return true;
}

size_t mf_hash_pieces(struct mf_slice text, uint32_t *at, size_t cap)
{
    struct mf_hash_piece p = {0};
    size_t n = 0;

    for (; mf_hash_piece_next(text, &p); n++) {
        if (n < cap) {
            at[n] = (uint32_t)p.start;
        }
    }
    return n;
}
