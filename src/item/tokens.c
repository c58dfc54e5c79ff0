/* SPDX-License-Identifier: Apache-2.0 */
/* The token count: one pass, eight bytes a step as long as the text is ASCII. */
#include "item/item.h"
#include "item/utf8.h"

#include <endian.h>

#define REP(byte)    (0x0101010101010101ull * (byte))
#define HIGH         REP(0x80)
#define PER_WORD     1.3 /* MemFuse's figure for mixed text */
#define MSG_OVERHEAD 4

struct counter {
    uint64_t words;
    bool in_word; /* the byte before belongs to a word that was counted */
};

/* What MemFuse's \S does not match. */
static bool is_blank(uint32_t cp)
{
    if (cp < 0x80) {
        return (cp >= 0x09 && cp <= 0x0D) || (cp >= 0x1C && cp <= 0x20);
    }
    return cp == 0x85 || cp == 0xA0 || cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200A) ||
           cp == 0x2028 || cp == 0x2029 || cp == 0x202F || cp == 0x205F || cp == 0x3000;
}

static bool is_cjk(uint32_t cp)
{
    return (cp >= 0x3040 && cp <= 0x30FF) || (cp >= 0x3400 && cp <= 0x4DBF) ||
           (cp >= 0x4E00 && cp <= 0x9FFF);
}

/* The high bit of each byte >= `low`; the bytes of x are all below 0x80. */
static uint64_t at_least(uint64_t x, unsigned low)
{
    return (x + REP(0x80u - low)) & HIGH;
}

static uint64_t blanks_of(uint64_t x)
{
    return (at_least(x, 0x09) & ~at_least(x, 0x0E)) |
           (at_least(x, 0x1C) & ~at_least(x, 0x21));
}

/* Counts words that begin in the ASCII front of `s`; returns its length in whole steps
 * of eight. */
static size_t count_ascii(struct counter *c, struct mf_slice s)
{
    uint64_t before = c->in_word ? 0 : 0x80; /* blank flag of the byte before */
    size_t at = 0;

    for (uint64_t x; s.n - at >= sizeof(x); at += sizeof(x)) {
        uint64_t blank;

        memcpy(&x, s.p + at, sizeof(x));
        x = le64toh(x);
        if ((x & HIGH) != 0) {
            break;
        }
        blank = blanks_of(x);
        c->words +=
            (unsigned)__builtin_popcountll(~blank & HIGH & (blank << 8 | before));
        before = blank >> 56;
    }
    c->in_word = before == 0;
    return at;
}

static void count_char(struct counter *c, uint32_t cp)
{
    if (is_blank(cp)) {
        c->in_word = false;
    } else if (is_cjk(cp)) {
        c->words++;
        c->in_word = false;
    } else {
        c->words += !c->in_word;
        c->in_word = true;
    }
}

static void count_text(struct counter *c, struct mf_slice s)
{
    uint32_t cp;

    for (size_t at = count_ascii(c, s); at < s.n;) {
        at += mf_utf8_next(s, at, &cp);
        count_char(c, cp);
    }
}

uint32_t mf_tokens_of_text(struct mf_slice text)
{
    struct counter c = {0};
    double tokens;

    if (text.n == 0) {
        return 0;
    }
    count_text(&c, text);
    tokens = (double)mf_max(c.words, 1u) * PER_WORD;
    return tokens < UINT32_MAX ? (uint32_t)tokens : UINT32_MAX;
}

uint32_t mf_tokens_of_message(enum mf_msg_role role, struct mf_slice content)
{
    uint64_t n = (uint64_t)mf_tokens_of_text(content) + MSG_OVERHEAD +
                 mf_tokens_of_text(mf_slice_str(mf_msg_role_name(role)));

    return (uint32_t)mf_min(n, UINT32_MAX);
}
