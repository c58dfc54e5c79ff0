/* SPDX-License-Identifier: Apache-2.0 */
#include "base/id.h"

#include "base/err.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/random.h>

/* getrandom(2) gives up to 256 bytes in one piece, whatever signals come. */
#define POOL_BYTES 256

/* The counter of version 7: 12 bits in rand_a and 14 at the head of rand_b. It starts
 * in its lower half at random, so that threads do not meet and 2^25 ids fit. */
#define COUNTER_BITS 26
#define UNIX_MS_MASK ((UINT64_C(1) << 48) - 1)

static _Thread_local struct {
    uint8_t bytes[POOL_BYTES];
    size_t left;
    unsigned generation;
} pool;

static _Thread_local struct {
    uint64_t ms;
    uint32_t counter;
} last_v7;

/* Grows in a forked child, which would else repeat its parent's random bytes. */
static atomic_uint generation;

static void on_fork_in_child(void)
{
    atomic_fetch_add(&generation, 1);
}

__attribute__((constructor)) static void watch_forks(void)
{
    /* Fails only without memory at start; ids are still random then. */
    (void)pthread_atfork(NULL, NULL, on_fork_in_child);
}

static void pool_fill(void)
{
    ssize_t n;

    do {
        n = getrandom(pool.bytes, sizeof(pool.bytes), 0);
    } while (n < 0 && errno == EINTR);
    MF_ASSERT(n == (ssize_t)sizeof(pool.bytes));
    pool.left = sizeof(pool.bytes);
}

void mf_random(void *p, size_t n)
{
    uint8_t *at = p;
    unsigned now = atomic_load(&generation);

    if (pool.generation != now) {
        pool.generation = now;
        pool.left = 0;
    }
    while (n > 0) {
        size_t step;

        if (pool.left == 0) {
            pool_fill();
        }
        step = mf_min(n, pool.left);
        memcpy(at, pool.bytes + sizeof(pool.bytes) - pool.left, step);
        pool.left -= step;
        at += step;
        n -= step;
    }
}

static bool is_id_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '.' || c == '_' || c == ':' || c == '-';
}

bool mf_id_is_valid(struct mf_slice text)
{
    if (text.n == 0 || text.n > MF_ID_MAX) {
        return false;
    }
    for (size_t i = 0; i < text.n; i++) {
        if (!is_id_byte(text.p[i])) {
            return false;
        }
    }
    return true;
}

int mf_id_from(struct mf_id *id, struct mf_slice text)
{
    if (!mf_id_is_valid(text)) {
        return MF_EINVAL;
    }
    id->n = (uint8_t)text.n;
    memcpy(id->s, text.p, text.n);
    id->s[text.n] = '\0';
    return 0;
}

/* 8-4-4-4-12 hexadecimal digits. */
static void format_uuid(struct mf_id *id, const uint8_t b[16])
{
    static const char hex[] = "0123456789abcdef";
    char *at = id->s;

    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *at++ = '-';
        }
        *at++ = hex[b[i] >> 4];
        *at++ = hex[b[i] & 15];
    }
    *at = '\0';
    id->n = MF_UUID_LEN;
}

static void set_version(uint8_t b[16], unsigned version)
{
    b[6] = (uint8_t)((b[6] & 0x0f) | (version << 4));
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80); /* the variant of RFC 9562 */
}

static void start_ms(uint64_t ms)
{
    uint32_t start;

    mf_random(&start, sizeof(start));
    last_v7.ms = ms;
    last_v7.counter = start >> (32 - (COUNTER_BITS - 1));
}

void mf_id_new_v7(struct mf_id *id, uint64_t unix_ms)
{
    uint8_t b[16];
    uint64_t ms = unix_ms & UNIX_MS_MASK;
    uint32_t counter;

    if (ms > last_v7.ms) {
        start_ms(ms);
    } else if (++last_v7.counter >> COUNTER_BITS != 0) {
        start_ms(last_v7.ms + 1);
    }
    ms = last_v7.ms;
    counter = last_v7.counter;
    for (int i = 5; i >= 0; i--) {
        b[i] = (uint8_t)ms;
        ms >>= 8;
    }
    b[6] = (uint8_t)(counter >> 22);
    b[7] = (uint8_t)(counter >> 14);
    b[8] = (uint8_t)((counter >> 8) & 0x3f);
    b[9] = (uint8_t)counter;
    mf_random(b + 10, 6);
    set_version(b, 7);
    format_uuid(id, b);
}

void mf_id_new_v4(struct mf_id *id)
{
    uint8_t b[16];

    mf_random(b, sizeof(b));
    set_version(b, 4);
    format_uuid(id, b);
}

void mf_id_new_v8(struct mf_id *id, const uint8_t bytes[16])
{
    uint8_t b[16];

    memcpy(b, bytes, sizeof(b));
    set_version(b, 8);
    format_uuid(id, b);
}
