/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/wallclock.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1024
/* Events that are limited each for itself; those beyond share one slot. */
#define N_SLOTS        64

static const char *const level_words[] = {"error", "warn", "info", "debug"};

struct slot {
    char event[32]; /* empty: free */
    uint64_t second;
    uint64_t held_back;
};

static _Atomic int max_level = MF_LOG_INFO;
static _Atomic uint64_t n_dropped;

/* Guards what follows; never held over a write. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static mf_log_sink_fn sink_fn;
static void *sink_arg;
static mf_log_clock_fn clock_fn;
static struct slot slots[N_SLOTS];

static void take_lock(void)
{
    MF_ASSERT(pthread_mutex_lock(&lock) == 0);
}

static void give_lock(void)
{
    MF_ASSERT(pthread_mutex_unlock(&lock) == 0);
}

void mf_log_set_level(enum mf_log_level level)
{
    atomic_store(&max_level, (int)level);
}

void mf_log_set_sink(mf_log_sink_fn sink, void *arg)
{
    take_lock();
    sink_fn = sink;
    sink_arg = arg;
    give_lock();
}

void mf_log_set_clock(mf_log_clock_fn now_ms)
{
    take_lock();
    clock_fn = now_ms;
    give_lock();
}

bool mf_log_is_on(enum mf_log_level level)
{
    return (int)level <= atomic_load_explicit(&max_level, memory_order_relaxed);
}

uint64_t mf_log_dropped(void)
{
    return atomic_load(&n_dropped);
}

static void write_stderr(const char *line, size_t n)
{
    ssize_t rc;

    do {
        rc = write(STDERR_FILENO, line, n);
    } while (rc < 0 && errno == EINTR);
    if (rc != (ssize_t)n) {
        atomic_fetch_add(&n_dropped, 1);
    }
}

static void emit(enum mf_log_level level, const char *line, size_t n)
{
    mf_log_sink_fn sink;
    void *arg;

    take_lock();
    sink = sink_fn;
    arg = sink_arg;
    give_lock();
    if (sink != NULL) {
        sink(level, line, n, arg);
    } else {
        write_stderr(line, n);
    }
}

/* What snprintf says it wrote, against the room it had. */
static size_t cut(int wrote, size_t room)
{
    if (wrote < 0) {
        return 0;
    }
    return (size_t)wrote < room ? (size_t)wrote : room - 1;
}

/* A value that was not quoted may hold a newline; it shall not begin a line. */
static void blunt_controls(char *line, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7f) {
            line[i] = '?';
        }
    }
}

static void write_line(enum mf_log_level level, const char *event, uint64_t held_back,
                       const char *fmt, va_list ap) MF_PRINTF(4, 0);

static void write_line(enum mf_log_level level, const char *event, uint64_t held_back,
                       const char *fmt, va_list ap)
{
    char line[LINE_MAX_BYTES];
    char stamp[MF_ISO8601_LEN + 1];
    const size_t room = sizeof(line) - 1; /* the newline has its place */
    size_t n, body;

    mf_iso8601_format(mf_wallclock_us(), stamp);
    n = cut(snprintf(line, room, "%sZ %s %s", stamp, level_words[level], event), room);
    if (held_back > 0) {
        n += cut(snprintf(line + n, room - n, " held_back=%llu",
                          (unsigned long long)held_back),
                 room - n);
    }
    body = cut(vsnprintf(line + n + 1, room - n - 1, fmt, ap), room - n - 1);
    if (body > 0) {
        line[n] = ' ';
        n += 1 + body;
    }
    blunt_controls(line, n);
    line[n++] = '\n';
    emit(level, line, n);
}

void mf_log_write(enum mf_log_level level, const char *event, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    write_line(level, event, 0, fmt, ap);
    va_end(ap);
}

static uint64_t monotonic_ms(void)
{
    struct timespec ts;

    MF_ASSERT(clock_gettime(CLOCK_MONOTONIC, &ts) == 0);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static struct slot *slot_of(const char *event)
{
    for (size_t i = 0; i < N_SLOTS - 1; i++) {
        struct slot *s = &slots[i];

        if (s->event[0] == '\0') {
            (void)snprintf(s->event, sizeof(s->event), "%s", event);
            return s;
        }
        if (strncmp(s->event, event, sizeof(s->event) - 1) == 0) {
            return s;
        }
    }
    return &slots[N_SLOTS - 1];
}

/* Whether the event may be written now, and how many were not since the last one. */
static bool may_write(const char *event, uint64_t *held_back)
{
    struct slot *s;
    uint64_t second;
    bool may;

    take_lock();
    second = (clock_fn != NULL ? clock_fn() : monotonic_ms()) / 1000 + 1; /* 0: never */
    s = slot_of(event);
    may = s->second != second;
    if (may) {
        *held_back = s->held_back;
        s->held_back = 0;
        s->second = second;
    } else {
        s->held_back++;
    }
    give_lock();
    return may;
}

void mf_log_limited_write(enum mf_log_level level, const char *event, const char *fmt,
                          ...)
{
    uint64_t held_back;
    va_list ap;

    if (!may_write(event, &held_back)) {
        return;
    }
    va_start(ap, fmt);
    write_line(level, event, held_back, fmt, ap);
    va_end(ap);
}

static bool is_plain(unsigned char c)
{
    return c > ' ' && c < 0x7f && c != '"' && c != '\\' && c != '=';
}

/* Writes the escaped form of `c`, at most 4 bytes, and returns its length. */
static size_t escape_byte(char out[4], unsigned char c)
{
    static const char hex[] = "0123456789abcdef";

    if (is_plain(c) || c == ' ' || c == '=') {
        out[0] = (char)c;
        return 1;
    }
    out[0] = '\\';
    switch (c) {
    case '"':
    case '\\': out[1] = (char)c; return 2;
    case '\n': out[1] = 'n'; return 2;
    case '\r': out[1] = 'r'; return 2;
    case '\t': out[1] = 't'; return 2;
    default:
        out[1] = 'x';
        out[2] = hex[c >> 4];
        out[3] = hex[c & 15];
        return 4;
    }
}

const char *mf_log_quote(char *out, size_t cap, const char *s, size_t n)
{
    bool plain = n > 0;
    size_t at = 1;

    MF_ASSERT(cap >= 3);
    for (size_t i = 0; i < n && plain; i++) {
        plain = is_plain((unsigned char)s[i]);
    }
    if (plain) {
        n = mf_min(n, cap - 1);
        memcpy(out, s, n);
        out[n] = '\0';
        return out;
    }
    out[0] = '"';
    for (size_t i = 0; i < n; i++) {
        char piece[4];
        size_t len = escape_byte(piece, (unsigned char)s[i]);

        if (at + len + 2 > cap) {
            break;
        }
        memcpy(out + at, piece, len);
        at += len;
    }
    out[at] = '"';
    out[at + 1] = '\0';
    return out;
}
