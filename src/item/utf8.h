/* SPDX-License-Identifier: Apache-2.0 */
/*
 * utf8: steps through text one character at a time, whatever the bytes are.
 *
 * Owns:    nothing
 * Thread:  any
 * Limits:  sequences of 1..4 bytes
 * Fails:   never: a byte that begins no valid sequence is one character, U+FFFD
 */
#ifndef MF_ITEM_UTF8_H
#define MF_ITEM_UTF8_H

#include "base/base.h"
#include "base/str.h"

#define MF_UTF8_BAD 0xFFFDu

MF_ANY static inline bool mf_utf8_is_tail(unsigned char b)
{
    return (b & 0xC0) == 0x80;
}

/* How many bytes the sequence that `lead` begins wants; 1 for bytes that begin none. */
MF_ANY static inline size_t mf_utf8_wants(unsigned char lead)
{
    if (lead < 0xC2 || lead > 0xF4) {
        return 1;
    }
    return lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

/* Bytes of the character at s.p[at] (at < s.n), its code point in `*cp`. */
MF_ANY static inline size_t mf_utf8_next(struct mf_slice s, size_t at, uint32_t *cp)
{
    const unsigned char *p = (const unsigned char *)s.p + at;
    size_t n = mf_utf8_wants(*p);
    uint32_t c = *p & (0xFFu >> (n + 1));

    *cp = *p < 0x80 ? *p : MF_UTF8_BAD;
    if (n == 1 || n > s.n - at) {
        return 1;
    }
    for (size_t i = 1; i < n; i++) {
        if (!mf_utf8_is_tail(p[i])) {
            return 1;
        }
        c = c << 6 | (p[i] & 0x3Fu);
    }
    *cp = c;
    return n;
}

#endif
