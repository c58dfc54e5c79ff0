/* SPDX-License-Identifier: Apache-2.0 */
#include "base/wallclock.h"

#include "base/err.h"

#include <time.h>

#define US_PER_SECOND INT64_C(1000000)
#define US_PER_MINUTE (60 * US_PER_SECOND)
#define US_PER_DAY    (US_PER_MINUTE * 60 * 24)
#define FIRST_US      (INT64_C(-62135596800) * US_PER_SECOND)     /* 0001-01-01 */
#define LAST_US       (INT64_C(253402300800) * US_PER_SECOND - 1) /* end of 9999 */

struct date {
    int year, month, day;
};

int64_t mf_wallclock_us(void)
{
    struct timespec ts;

    MF_ASSERT(clock_gettime(CLOCK_REALTIME, &ts) == 0);
    return ts.tv_sec * US_PER_SECOND + ts.tv_nsec / 1000;
}

static bool is_leap(int year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

/* Days since 1970-01-01. A year that begins in March has its leap day at the end, and
 * its months follow 153 days in 5. */
static int64_t days_from_date(struct date d)
{
    int64_t y = d.month > 2 ? d.year : d.year - 1;
    int64_t month = d.month > 2 ? d.month - 3 : d.month + 9;

    return 365 * y + y / 4 - y / 100 + y / 400 + (153 * month + 2) / 5 + d.day - 1 -
           719468;
}

/* The inverse, for days of the years 1..9999. */
static struct date date_from_days(int64_t days)
{
    int64_t n = days + 719468; /* since 0000-03-01 */
    int64_t era = n / 146097;  /* of 400 years */
    int64_t in_era = n % 146097;
    int64_t y = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    int64_t in_year = in_era - (365 * y + y / 4 - y / 100);
    int64_t month = (5 * in_year + 2) / 153;
    struct date d = {.day = (int)(in_year - (153 * month + 2) / 5 + 1)};

    d.month = (int)(month < 10 ? month + 3 : month - 9);
    d.year = (int)(era * 400 + y + (d.month <= 2 ? 1 : 0));
    return d;
}

/* The take_* functions read from the front and go on behind it; false: not there. */
static bool take_digits(struct mf_slice *s, size_t n, int *out)
{
    int v = 0;

    if (s->n < n) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (s->p[i] < '0' || s->p[i] > '9') {
            return false;
        }
        v = v * 10 + (s->p[i] - '0');
    }
    s->p += n;
    s->n -= n;
    *out = v;
    return true;
}

static bool take_char(struct mf_slice *s, const char *one_of)
{
    if (s->n == 0 || s->p[0] == '\0' || strchr(one_of, s->p[0]) == NULL) {
        return false;
    }
    s->p++;
    s->n--;
    return true;
}

static bool take_date(struct mf_slice *s, int64_t *us)
{
    struct date d;

    if (!take_digits(s, 4, &d.year) || !take_char(s, "-") ||
        !take_digits(s, 2, &d.month) || !take_char(s, "-") ||
        !take_digits(s, 2, &d.day)) {
        return false;
    }
    if (d.year < 1 || d.month < 1 || d.month > 12 || d.day < 1 ||
        d.day > days_in_month(d.year, d.month)) {
        return false;
    }
    *us = days_from_date(d) * US_PER_DAY;
    return true;
}

/* Digits after the sixth are read and dropped. */
static bool take_fraction(struct mf_slice *s, int64_t *us)
{
    int64_t unit = US_PER_SECOND;
    int digit;

    if (!take_digits(s, 1, &digit)) {
        return false;
    }
    do {
        unit /= 10;
        *us += digit * unit;
    } while (take_digits(s, 1, &digit));
    return true;
}

static int64_t minutes_us(int hour, int minute)
{
    return (INT64_C(60) * hour + minute) * US_PER_MINUTE;
}

static bool take_time(struct mf_slice *s, int64_t *us)
{
    int hour, minute, second = 0;

    if (!take_digits(s, 2, &hour) || !take_char(s, ":") ||
        !take_digits(s, 2, &minute)) {
        return false;
    }
    if (take_char(s, ":")) {
        if (!take_digits(s, 2, &second)) {
            return false;
        }
        if (take_char(s, ".,") && !take_fraction(s, us)) {
            return false;
        }
    }
    *us += minutes_us(hour, minute) + second * US_PER_SECOND;
    return hour < 24 && minute < 60 && second < 60;
}

static bool take_zone(struct mf_slice *s, int64_t *us)
{
    int sign, hour, minute = 0;

    if (s->n == 0 || take_char(s, "Zz")) {
        return true;
    }
    sign = s->p[0] == '-' ? -1 : 1;
    if (!take_char(s, "+-") || !take_digits(s, 2, &hour)) {
        return false;
    }
    if (s->n > 0) {
        (void)take_char(s, ":");
        if (!take_digits(s, 2, &minute)) {
            return false;
        }
    }
    *us -= sign * minutes_us(hour, minute);
    return hour < 24 && minute < 60;
}

int mf_iso8601_parse(struct mf_slice text, int64_t *us)
{
    int64_t at;

    if (!take_date(&text, &at)) {
        return MF_EINVAL;
    }
    if (text.n > 0 && (!take_char(&text, "Tt ") || !take_time(&text, &at) ||
                       !take_zone(&text, &at))) {
        return MF_EINVAL;
    }
    if (text.n > 0 || at < FIRST_US || at > LAST_US) {
        return MF_EINVAL;
    }
    *us = at;
    return 0;
}

static void split_us(int64_t us, struct date *d, int64_t *in_day)
{
    int64_t from_first = mf_max(FIRST_US, mf_min(us, LAST_US)) - FIRST_US;

    *d = date_from_days(from_first / US_PER_DAY + FIRST_US / US_PER_DAY);
    *in_day = from_first % US_PER_DAY;
}

static char *put_digits(char *at, int n, int64_t v, char after)
{
    for (int i = n - 1; i >= 0; i--) {
        at[i] = (char)('0' + v % 10);
        v /= 10;
    }
    at[n] = after;
    return at + n + 1;
}

void mf_iso8601_format(int64_t us, char out[MF_ISO8601_LEN + 1])
{
    struct date d;
    int64_t t;

    split_us(us, &d, &t);
    out = put_digits(out, 4, d.year, '-');
    out = put_digits(out, 2, d.month, '-');
    out = put_digits(out, 2, d.day, 'T');
    out = put_digits(out, 2, t / (60 * US_PER_MINUTE), ':');
    out = put_digits(out, 2, t / US_PER_MINUTE % 60, ':');
    out = put_digits(out, 2, t / US_PER_SECOND % 60, '.');
    (void)put_digits(out, 6, t % US_PER_SECOND, '\0');
}

void mf_wallclock_year_month(int64_t us, int *year, int *month)
{
    struct date d;
    int64_t in_day;

    split_us(us, &d, &in_day);
    *year = d.year;
    *month = d.month;
}
