/* SPDX-License-Identifier: Apache-2.0 */
/*
 * str: borrowed slices and a growing byte buffer.
 *
 * Owns:    struct mf_buf owns its bytes; a slice owns nothing
 * Thread:  the owner's
 * Limits:  none here
 * Fails:   a buffer that could not grow keeps what it has, sets `failed` and ignores
 *          what follows, so a writer checks once, at the end (mf_buf_status)
 */
#ifndef MF_STR_H
#define MF_STR_H

#include "base/base.h"

#include <string.h>

struct mf_slice {
    const char *p; /* not NUL-terminated; may be NULL when n is 0 */
    size_t n;
};

#define MF_SLICE(literal) ((struct mf_slice){"" literal, sizeof(literal) - 1})

static inline struct mf_slice mf_slice_of(const char *p, size_t n)
{
    return (struct mf_slice){p, n};
}

static inline struct mf_slice mf_slice_str(const char *s) /* NULL gives an empty one */
{
    return (struct mf_slice){s, s == NULL ? 0 : strlen(s)};
}

static inline bool mf_slice_eq(struct mf_slice a, struct mf_slice b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

MF_ANY bool mf_slice_is(struct mf_slice a, const char *s); /* equal bytes */
MF_ANY bool mf_slice_is_nocase(struct mf_slice a,
                               const char *s);           /* ASCII case folded */
MF_ANY struct mf_slice mf_slice_trim(struct mf_slice a); /* ASCII blanks, both ends */
/* Decimal digits only, no sign, no overflow. 0 or MF_EINVAL. */
MF_MUST MF_ANY int mf_slice_to_u64(struct mf_slice a, uint64_t *out);

struct mf_buf {
    char *p;
    size_t n, cap;
    bool failed;
};

MF_ANY void mf_buf_init(struct mf_buf *b);
MF_ANY void mf_buf_fini(struct mf_buf *b);
MF_ANY void mf_buf_reset(struct mf_buf *b); /* keeps the memory */
MF_ANY void mf_buf_add(struct mf_buf *b, const void *p, size_t n);
MF_ANY void mf_buf_add_slice(struct mf_buf *b, struct mf_slice s);
MF_ANY void mf_buf_add_str(struct mf_buf *b, const char *s);
MF_ANY void mf_buf_add_char(struct mf_buf *b, char c);
MF_ANY void mf_buf_add_u64(struct mf_buf *b, uint64_t v); /* decimal */
MF_ANY void mf_buf_addf(struct mf_buf *b, const char *fmt, ...) MF_PRINTF(2, 3);
/* Room for `n` more bytes at b->p + b->n, or NULL; the caller then adds to b->n. */
MF_ANY char *mf_buf_reserve(struct mf_buf *b, size_t n);
MF_ANY void mf_buf_consume(struct mf_buf *b, size_t n);   /* drops from the front */
MF_MUST MF_ANY int mf_buf_status(const struct mf_buf *b); /* 0 or MF_ENOMEM */

/* Little-endian fixed-width fields, for records on disk. */
MF_ANY void mf_put_u16(void *at, uint16_t v);
MF_ANY void mf_put_u32(void *at, uint32_t v);
MF_ANY void mf_put_u64(void *at, uint64_t v);
MF_ANY uint16_t mf_get_u16(const void *at);
MF_ANY uint32_t mf_get_u32(const void *at);
MF_ANY uint64_t mf_get_u64(const void *at);

#endif
