/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wallclock: time of day as data: microseconds since 1970 UTC, and ISO 8601 text.
 * Order never rests on it; timeouts use the loop's monotonic time.
 *
 * Owns:    nothing
 * Thread:  any
 * Limits:  years 1..9999
 * Fails:   MF_EINVAL for text that is no time
 */
#ifndef MF_WALLCLOCK_H
#define MF_WALLCLOCK_H

#include "base/base.h"
#include "base/str.h"

#define MF_ISO8601_LEN 26 /* "2025-08-22T00:53:35.123456", UTC, no zone suffix */

MF_ANY int64_t mf_wallclock_us(void);
/* Accepts date, date and time, fraction (any digits), 'T' or blank, zone Z, +hh:mm,
 * +hhmm, +hh; without a zone it is UTC. */
MF_MUST MF_ANY int mf_iso8601_parse(struct mf_slice text, int64_t *us);
MF_ANY void mf_iso8601_format(int64_t us, char out[MF_ISO8601_LEN + 1]);
MF_ANY void mf_wallclock_year_month(int64_t us, int *year, int *month); /* 1..12 */

#endif
