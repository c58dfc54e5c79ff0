/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/mf_test.h"

#include "base/err.h"
#include "base/wallclock.h"

#define NOON_US  INT64_C(1755864000000000) /* 2025-08-22T12:00:00Z */
#define HOUR_US  (INT64_C(3600) * 1000000)
#define FIRST_US (INT64_C(-62135596800) * 1000000)
#define LAST_US  (INT64_C(253402300800) * 1000000 - 1)

static void check_parse(const char *text, int64_t want)
{
    int64_t us = -1;

    if (mf_iso8601_parse(mf_slice_str(text), &us) != 0) {
        fail_msg("'%s' was refused", text);
    }
    if (us != want) {
        fail_msg("'%s' gave %lld, not %lld", text, (long long)us, (long long)want);
    }
}

MF_TEST(wallclock, parses_all_forms_of_one_moment)
{
    check_parse("2025-08-22", NOON_US - 12 * HOUR_US);
    check_parse("2025-08-22T12:00", NOON_US);
    check_parse("2025-08-22T12:00:00", NOON_US);
    check_parse("2025-08-22 12:00:00", NOON_US);
    check_parse("2025-08-22t12:00:00z", NOON_US);
    check_parse("2025-08-22T12:00:00Z", NOON_US);
    check_parse("2025-08-22T14:00:00+02:00", NOON_US);
    check_parse("2025-08-22T14:00:00+0200", NOON_US);
    check_parse("2025-08-22 14:00:00+02", NOON_US);
    check_parse("2025-08-22T17:45:00+05:45", NOON_US);
    check_parse("2025-08-22T04:30:00-07:30", NOON_US);
    check_parse("2025-08-23T01:00+13:00", NOON_US);
}

MF_TEST(wallclock, parses_fractions_of_any_length_down_to_a_microsecond)
{
    check_parse("2025-08-22T12:00:00.1", NOON_US + 100000);
    check_parse("2025-08-22T12:00:00,25Z", NOON_US + 250000);
    check_parse("2025-08-22T12:00:00.000001", NOON_US + 1);
    check_parse("2025-08-22T12:00:00.123456", NOON_US + 123456);
    check_parse("2025-08-22T12:00:00.123456789999999999999999999+00:00",
                NOON_US + 123456);
}

MF_TEST(wallclock, parses_the_edges_of_calendar_and_limit)
{
    check_parse("1970-01-01", 0);
    check_parse("1969-12-31T23:59:59.999999", -1);
    check_parse("2000-02-29", INT64_C(951782400000000));
    check_parse("2024-02-29T00:00", INT64_C(1709164800000000));
    check_parse("0001-01-01T00:00:00", FIRST_US);
    check_parse("9999-12-31T23:59:59.999999", LAST_US);
    check_parse("0001-01-01T02:00+02:00", FIRST_US);
}

MF_TEST(wallclock, refuses_what_is_no_time)
{
    static const char *const bad[] = {
        "",
        "2025",
        "2025-08",
        "2025-8-22",
        "20250822",
        "2025-08-22T",
        "2025-08-22T12",
        "2025-08-22Z",
        "2025-08-22T12:0",
        "2025-08-22T12:00:",
        "2025-08-22T12:00:0",
        "2025-08-22T12:00:00.",
        "2025-08-22T12:00:00.Z",
        "2025-08-22T12:00:00+",
        "2025-08-22T12:00:00+2",
        "2025-08-22T12:00:00+02:",
        "2025-08-22T12:00:00+02:0",
        "2025-08-22T12:00:00+24:00",
        "2025-08-22T12:00:00+00:60",
        "2025-08-22T12:00:00ZZ",
        "2025-08-22T12:00:00 ",
        " 2025-08-22",
        "2025-08-22T24:00:00",
        "2025-08-22T12:60:00",
        "2025-08-22T12:00:60",
        "2025-13-01",
        "2025-00-01",
        "2025-01-00",
        "2025-04-31",
        "2025-02-29",
        "1900-02-29",
        "0000-01-01",
        "-001-01-01",
        "0001-01-01T00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "yesterday",
    };
    int64_t us = 42;

    for (size_t i = 0; i < mf_countof(bad); i++) {
        if (mf_iso8601_parse(mf_slice_str(bad[i]), &us) != MF_EINVAL) {
            fail_msg("'%s' was accepted", bad[i]);
        }
    }
    MF_CHECK_INT(mf_iso8601_parse(mf_slice_of("2025-08-22\0", 11), &us), MF_EINVAL);
    MF_CHECK_INT(us, 42);
}

MF_TEST(wallclock, formats_as_python_does)
{
    char out[MF_ISO8601_LEN + 1];

    mf_iso8601_format(NOON_US + 123456, out);
    MF_CHECK_STR(out, "2025-08-22T12:00:00.123456");
    mf_iso8601_format(-1, out);
    MF_CHECK_STR(out, "1969-12-31T23:59:59.999999");
    mf_iso8601_format(INT64_MIN, out);
    MF_CHECK_STR(out, "0001-01-01T00:00:00.000000");
    mf_iso8601_format(INT64_MAX, out);
    MF_CHECK_STR(out, "9999-12-31T23:59:59.999999");
}

MF_TEST(wallclock, reads_back_every_day_that_it_writes)
{
    const int64_t day_us = 24 * HOUR_US;
    int month_before = 12, year_before = 0;

    for (int64_t us = FIRST_US; us <= LAST_US; us += day_us) {
        char out[MF_ISO8601_LEN + 1];
        int64_t back;
        int year, month;

        mf_iso8601_format(us, out);
        if (mf_iso8601_parse(mf_slice_str(out), &back) != 0 || back != us) {
            fail_msg("%s does not read back", out);
        }
        mf_wallclock_year_month(us, &year, &month);
        if (month != month_before) {
            MF_CHECK_INT(month, month_before % 12 + 1);
            MF_CHECK_INT(year, year_before + (month == 1 ? 1 : 0));
        }
        month_before = month;
        year_before = year;
    }
    MF_CHECK_INT(year_before, 9999);
    MF_CHECK_INT(month_before, 12);
}

MF_TEST(wallclock, now_lies_in_this_age)
{
    MF_CHECK(mf_wallclock_us() > NOON_US);
}
