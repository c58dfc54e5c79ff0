/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log: levelled lines of key=value, one write each, to one sink.
 *
 * A line: time level event key=value ... Event words are stable, so that logs can be
 * counted. Values with blanks or control bytes are quoted and escaped. Never message
 * text, never credentials. Repeating trouble goes through mf_log_limited: at most one
 * line per event and second, with the number of lines held back.
 *
 * Owns:    the sink (stderr unless set)
 * Thread:  any; one write(2) a line
 * Limits:  a line of 1 KiB, cut at the end
 * Fails:   never; lines that could not be written are counted
 */
#ifndef MF_LOG_H
#define MF_LOG_H

#include "base/base.h"

enum mf_log_level { MF_LOG_ERROR, MF_LOG_WARN, MF_LOG_INFO, MF_LOG_DEBUG };

typedef void (*mf_log_sink_fn)(enum mf_log_level level, const char *line, size_t n,
                               void *arg);
/* Milliseconds; called under the log's lock. */
typedef uint64_t (*mf_log_clock_fn)(void);

MF_ANY void mf_log_set_level(enum mf_log_level level);
MF_ANY void mf_log_set_sink(mf_log_sink_fn sink, void *arg); /* NULL: stderr */
/* The limiter's clock; NULL: the system's monotonic one. */
MF_ANY void mf_log_set_clock(mf_log_clock_fn now_ms);
MF_ANY bool mf_log_is_on(enum mf_log_level level);
MF_ANY uint64_t mf_log_dropped(void);
MF_ANY void mf_log_write(enum mf_log_level level, const char *event, const char *fmt,
                         ...) MF_PRINTF(3, 4);
MF_ANY void mf_log_limited_write(enum mf_log_level level, const char *event,
                                 const char *fmt, ...) MF_PRINTF(3, 4);
/* Escapes `s` for a value: into `out`, cut, always terminated; returns `out`. */
MF_ANY const char *mf_log_quote(char *out, size_t cap, const char *s, size_t n);

/* Arguments are evaluated only when the level is on. */
#define mf_log(level, event, ...)                                                      \
    (mf_log_is_on(level) ? mf_log_write(level, event, __VA_ARGS__) : (void)0)
#define mf_log_error(event, ...) mf_log(MF_LOG_ERROR, event, __VA_ARGS__)
#define mf_log_warn(event, ...)  mf_log(MF_LOG_WARN, event, __VA_ARGS__)
#define mf_log_info(event, ...)  mf_log(MF_LOG_INFO, event, __VA_ARGS__)
#define mf_log_debug(event, ...) mf_log(MF_LOG_DEBUG, event, __VA_ARGS__)
#define mf_log_limited(level, event, ...)                                              \
    (mf_log_is_on(level) ? mf_log_limited_write(level, event, __VA_ARGS__) : (void)0)

#endif
