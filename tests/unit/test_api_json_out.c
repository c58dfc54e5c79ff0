/* SPDX-License-Identifier: Apache-2.0 */
#include "api/json_out.h"

#include "base/err.h"
#include "lib/mf_test.h"

#include <math.h>
#include <stdlib.h>
#include <yyjson.h>

static void check_text(struct mf_slice in, const char *want)
{
    struct mf_buf b;

    mf_buf_init(&b);
    mf_json_put_text(&b, in);
    mf_buf_add_char(&b, '\0');
    MF_CHECK_OK(mf_buf_status(&b));
    MF_CHECK_STR(b.p, want);
    mf_buf_fini(&b);
}

MF_TEST(api_json_out, escapes_what_json_forbids_and_nothing_else)
{
    check_text(MF_SLICE(""), "\"\"");
    check_text(MF_SLICE("plain / 'text' \x7f"), "\"plain / 'text' \x7f\"");
    check_text(MF_SLICE("a\"b\\c"), "\"a\\\"b\\\\c\"");
    check_text(MF_SLICE("\b\t\n\f\r"), "\"\\b\\t\\n\\f\\r\"");
    check_text(mf_slice_of("\x01\x0b\x1f\0", 4), "\"\\u0001\\u000b\\u001f\\u0000\"");
}

MF_TEST(api_json_out, keeps_utf8)
{
    check_text(MF_SLICE("\xC3\xA9 \xE4\xBD\xA0 \xF0\x9F\x98\x80 \xF4\x8F\xBF\xBF"),
               "\"\xC3\xA9 \xE4\xBD\xA0 \xF0\x9F\x98\x80 \xF4\x8F\xBF\xBF\"");
}

#define FFFD "\xEF\xBF\xBD"

MF_TEST(api_json_out, puts_the_replacement_sign_for_bytes_that_are_no_utf8)
{
    check_text(MF_SLICE("a\xFFz"), "\"a" FFFD "z\"");
    check_text(MF_SLICE("\xC3"), "\"" FFFD "\"");
    check_text(MF_SLICE("\xE4\xBD"), "\"" FFFD FFFD "\"");
    check_text(MF_SLICE("\xC0\xAF"), "\"" FFFD FFFD "\"");
    check_text(MF_SLICE("\xE0\x80\xAF"), "\"" FFFD FFFD FFFD "\"");
    check_text(MF_SLICE("\xED\xA0\x80"), "\"" FFFD FFFD FFFD "\"");
    check_text(MF_SLICE("\xF4\x90\x80\x80"), "\"" FFFD FFFD FFFD FFFD "\"");
    check_text(MF_SLICE("\xF0\x80\x80\xAF"), "\"" FFFD FFFD FFFD FFFD "\"");
}

MF_TEST(api_json_out, knows_utf8)
{
    MF_CHECK(mf_json_is_utf8(mf_slice_of(NULL, 0)));
    MF_CHECK(mf_json_is_utf8(MF_SLICE("a\xC3\xA9\xF4\x8F\xBF\xBF\x01")));
    MF_CHECK(!mf_json_is_utf8(MF_SLICE("a\xFF")));
    MF_CHECK(!mf_json_is_utf8(MF_SLICE("\xC0\xAF")));
    MF_CHECK(!mf_json_is_utf8(MF_SLICE("a\xE4\xBD")));
    MF_CHECK(!mf_json_is_utf8(MF_SLICE("\xED\xA0\x80")));
}

MF_TEST(api_json_out, writes_what_a_strict_reader_takes_whatever_the_bytes)
{
    unsigned seed = 7;

    for (int round = 0; round < 2000; round++) {
        char bytes[24];
        struct mf_buf b;
        yyjson_doc *doc;

        for (size_t i = 0; i < sizeof(bytes); i++) {
            seed = seed * 1103515245U + 12345U;
            bytes[i] = (char)(seed >> 16);
        }
        mf_buf_init(&b);
        mf_json_put_text(&b, mf_slice_of(bytes, sizeof(bytes)));
        doc = yyjson_read(b.p, b.n, 0);
        MF_CHECK(doc != NULL);
        yyjson_doc_free(doc);
        mf_buf_fini(&b);
    }
}

MF_TEST(api_json_out, writes_times_numbers_and_null)
{
    struct mf_buf b;

    mf_buf_init(&b);
    mf_json_put_time(&b, INT64_C(1755824015123456));
    mf_json_put_real(&b, 0.5);
    mf_json_put_real(&b, (double)NAN);
    mf_json_put_real(&b, (double)INFINITY);
    mf_json_put_text_or_null(&b, mf_slice_of(NULL, 0));
    mf_json_put_bool(&b, true);
    mf_json_put_bool(&b, false);
    mf_buf_add_char(&b, '\0');
    MF_CHECK_STR(b.p, "\"2025-08-22T00:53:35.123456\"0.5000000.0000000.000000nulltrue"
                      "false");
    mf_buf_fini(&b);
}

MF_TEST(api_json_out, leaves_a_failed_buffer_failed)
{
    struct mf_buf b;

    mf_buf_init(&b);
    mf_test_fail_nth(1);
    mf_json_put_text(&b, MF_SLICE("a\nb\xFF"));
    mf_test_fail_nth(0);
    MF_CHECK_INT(mf_buf_status(&b), MF_ENOMEM);
    mf_json_put_text(&b, MF_SLICE("more"));
    MF_CHECK_INT(b.n, 0);
    mf_buf_fini(&b);
}
