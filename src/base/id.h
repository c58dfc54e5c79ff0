/* SPDX-License-Identifier: Apache-2.0 */
/*
 * id: names of users, agents, sessions, rounds and messages.
 *
 * An id is text of 1..MF_ID_MAX bytes from [A-Za-z0-9._:-]; ours are UUIDs (RFC 9562),
 * version 7 where order matters, so that rows arrive in index order.
 *
 * Owns:    nothing
 * Thread:  any; the version 7 counter is per thread
 * Limits:  MF_ID_MAX bytes
 * Fails:   MF_EINVAL for text that is no id
 */
#ifndef MF_ID_H
#define MF_ID_H

#include "base/base.h"
#include "base/str.h"

#define MF_ID_MAX   64
#define MF_UUID_LEN 36

struct mf_id {
    uint8_t n;
    char s[MF_ID_MAX + 1]; /* NUL-terminated */
};

static inline struct mf_slice mf_id_slice(const struct mf_id *id)
{
    return (struct mf_slice){id->s, id->n};
}

static inline bool mf_id_eq(const struct mf_id *a, const struct mf_id *b)
{
    return a->n == b->n && memcmp(a->s, b->s, a->n) == 0;
}

MF_MUST MF_ANY int mf_id_from(struct mf_id *id, struct mf_slice text);
MF_ANY bool mf_id_is_valid(struct mf_slice text);
/* Version 7: 48 bits of `unix_ms`, then a counter that grows within one millisecond,
 * then random bits. Later calls give greater ids, also when the clock steps back. */
MF_ANY void mf_id_new_v7(struct mf_id *id, uint64_t unix_ms);
MF_ANY void mf_id_new_v4(struct mf_id *id);
/* Version 8: 122 bits of these bytes. */
MF_ANY void mf_id_new_v8(struct mf_id *id, const uint8_t bytes[16]);
MF_ANY void mf_random(void *p, size_t n); /* from getrandom(2), buffered per thread */

#endif
