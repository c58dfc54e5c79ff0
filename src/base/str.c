/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"

#include "base/err.h"
#include "base/mem.h"

#include <endian.h>
#include <stdarg.h>
#include <stdio.h>

static char fold(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

bool mf_slice_is(struct mf_slice a, const char *s)
{
    return mf_slice_eq(a, mf_slice_str(s));
}

bool mf_slice_is_nocase(struct mf_slice a, const char *s)
{
    struct mf_slice b = mf_slice_str(s);

    if (a.n != b.n) {
        return false;
    }
    for (size_t i = 0; i < a.n; i++) {
        if (fold(a.p[i]) != fold(b.p[i])) {
            return false;
        }
    }
    return true;
}

struct mf_slice mf_slice_trim(struct mf_slice a)
{
    while (a.n > 0 && is_blank(a.p[0])) {
        a.p++;
        a.n--;
    }
    while (a.n > 0 && is_blank(a.p[a.n - 1])) {
        a.n--;
    }
    return a;
}

int mf_slice_to_u64(struct mf_slice a, uint64_t *out)
{
    uint64_t v = 0;

    if (a.n == 0) {
        return MF_EINVAL;
    }
    for (size_t i = 0; i < a.n; i++) {
        if (a.p[i] < '0' || a.p[i] > '9' || __builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(a.p[i] - '0'), &v)) {
            return MF_EINVAL;
        }
    }
    *out = v;
    return 0;
}

void mf_buf_init(struct mf_buf *b)
{
    *b = (struct mf_buf){0};
}

void mf_buf_fini(struct mf_buf *b)
{
    mf_free(b->p);
    mf_buf_init(b);
}

void mf_buf_reset(struct mf_buf *b)
{
    b->n = 0;
    b->failed = false;
}

char *mf_buf_reserve(struct mf_buf *b, size_t n)
{
    void *p = b->p;
    size_t need;

    if (b->failed || __builtin_add_overflow(b->n, n, &need) ||
        mf_grow(&p, &b->cap, need, 1) < 0) {
        b->failed = true;
        return NULL;
    }
    b->p = p;
    return b->p == NULL ? NULL : b->p + b->n;
}

void mf_buf_add(struct mf_buf *b, const void *p, size_t n)
{
    char *at;

    if (n == 0) {
        return;
    }
    at = mf_buf_reserve(b, n);
    if (at != NULL) {
        memcpy(at, p, n);
        b->n += n;
    }
}

void mf_buf_add_slice(struct mf_buf *b, struct mf_slice s)
{
    mf_buf_add(b, s.p, s.n);
}

void mf_buf_add_str(struct mf_buf *b, const char *s)
{
    mf_buf_add(b, s, strlen(s));
}

void mf_buf_add_char(struct mf_buf *b, char c)
{
    mf_buf_add(b, &c, 1);
}

void mf_buf_add_u64(struct mf_buf *b, uint64_t v)
{
    char digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v != 0);
    mf_buf_add(b, digits + at, sizeof(digits) - at);
}

void mf_buf_addf(struct mf_buf *b, const char *fmt, ...)
{
    va_list ap, again;
    size_t room = b->failed ? 0 : b->cap - b->n;
    char *at;
    int n;

    va_start(ap, fmt);
    va_copy(again, ap);
    n = vsnprintf(room == 0 ? NULL : b->p + b->n, room, fmt, ap);
    va_end(ap);
    if (n < 0) {
        b->failed = true;
    } else if ((size_t)n >= room) {
        at = mf_buf_reserve(b, (size_t)n + 1); /* vsnprintf writes a NUL, too */
        if (at != NULL) {
            n = vsnprintf(at, (size_t)n + 1, fmt, again);
        }
    }
    va_end(again);
    if (!b->failed) {
        b->n += (size_t)n;
    }
}

void mf_buf_consume(struct mf_buf *b, size_t n)
{
    MF_ASSERT(n <= b->n);
    b->n -= n;
    if (n > 0 && b->n > 0) {
        memmove(b->p, b->p + n, b->n);
    }
}

int mf_buf_status(const struct mf_buf *b)
{
    return b->failed ? MF_ENOMEM : 0;
}

void mf_put_u16(void *at, uint16_t v)
{
    v = htole16(v);
    memcpy(at, &v, sizeof(v));
}

void mf_put_u32(void *at, uint32_t v)
{
    v = htole32(v);
    memcpy(at, &v, sizeof(v));
}

void mf_put_u64(void *at, uint64_t v)
{
    v = htole64(v);
    memcpy(at, &v, sizeof(v));
}

uint16_t mf_get_u16(const void *at)
{
    uint16_t v;

    memcpy(&v, at, sizeof(v));
    return le16toh(v);
}

uint32_t mf_get_u32(const void *at)
{
    uint32_t v;

    memcpy(&v, at, sizeof(v));
    return le32toh(v);
}

uint64_t mf_get_u64(const void *at)
{
    uint64_t v;

    memcpy(&v, at, sizeof(v));
    return le64toh(v);
}
