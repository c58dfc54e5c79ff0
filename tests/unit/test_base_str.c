/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/mf_test.h"

#include "base/err.h"
#include "base/str.h"

#include <errno.h>

MF_TEST(str, slices_equal_only_with_same_bytes_and_length)
{
    MF_CHECK(mf_slice_is(MF_SLICE("abc"), "abc"));
    MF_CHECK(!mf_slice_is(MF_SLICE("abc"), "ab"));
    MF_CHECK(!mf_slice_is(MF_SLICE("abc"), "abd"));
    MF_CHECK(mf_slice_is(mf_slice_str(NULL), ""));
    MF_CHECK(mf_slice_eq(mf_slice_of(NULL, 0), MF_SLICE("")));
}

MF_TEST(str, nocase_folds_ascii_letters_and_nothing_else)
{
    MF_CHECK(mf_slice_is_nocase(MF_SLICE("Content-Length"), "content-LENGTH"));
    MF_CHECK(!mf_slice_is_nocase(MF_SLICE("a["), "A{"));
    MF_CHECK(!mf_slice_is_nocase(MF_SLICE("@"), "`"));
    MF_CHECK(!mf_slice_is_nocase(MF_SLICE("abc"), "abcd"));
}

MF_TEST(str, trim_takes_blanks_from_both_ends_only)
{
    MF_CHECK(mf_slice_is(mf_slice_trim(MF_SLICE(" \t a b\r\n")), "a b"));
    MF_CHECK_INT(mf_slice_trim(MF_SLICE(" \t\r\n")).n, 0);
    MF_CHECK_INT(mf_slice_trim(mf_slice_str(NULL)).n, 0);
}

MF_TEST(str, to_u64_reads_up_to_the_greatest_number)
{
    uint64_t v = 7;

    MF_CHECK_OK(mf_slice_to_u64(MF_SLICE("0"), &v));
    MF_CHECK_INT(v, 0);
    MF_CHECK_OK(mf_slice_to_u64(MF_SLICE("18446744073709551615"), &v));
    MF_CHECK(v == UINT64_MAX);
    MF_CHECK_OK(mf_slice_to_u64(MF_SLICE("00042"), &v));
    MF_CHECK_INT(v, 42);
}

MF_TEST(str, to_u64_refuses_what_is_no_number_and_leaves_the_result)
{
    static const char *const bad[] = {"",
                                      "-1",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "1.0",
                                      "x",
                                      "18446744073709551616",
                                      "99999999999999999999"};
    uint64_t v = 7;

    for (size_t i = 0; i < mf_countof(bad); i++) {
        MF_CHECK_INT(mf_slice_to_u64(mf_slice_str(bad[i]), &v), MF_EINVAL);
    }
    MF_CHECK_INT(v, 7);
}

MF_TEST(str, buffer_joins_all_kinds_of_pieces)
{
    struct mf_buf b;

    mf_buf_init(&b);
    mf_buf_add(&b, NULL, 0);
    mf_buf_add_str(&b, "n=");
    mf_buf_add_u64(&b, 0);
    mf_buf_add_char(&b, ',');
    mf_buf_add_u64(&b, UINT64_MAX);
    mf_buf_add_slice(&b, MF_SLICE(";"));
    mf_buf_addf(&b, "%s-%03d", "x", 5);
    MF_CHECK_OK(mf_buf_status(&b));
    MF_CHECK(mf_slice_is(mf_slice_of(b.p, b.n), "n=0,18446744073709551615;x-005"));
    mf_buf_fini(&b);
    MF_CHECK_PTR(b.p, NULL);
}

MF_TEST(str, addf_fits_at_every_fill_of_the_buffer)
{
    for (size_t fill = 0; fill < 70; fill++) {
        char want[128];
        struct mf_buf b;

        mf_buf_init(&b);
        for (size_t i = 0; i < fill; i++) {
            mf_buf_add_char(&b, 'x');
            want[i] = 'x';
        }
        mf_buf_addf(&b, "<%d>", 12345);
        memcpy(want + fill, "<12345>", 7);
        MF_CHECK_OK(mf_buf_status(&b));
        MF_CHECK_INT(b.n, fill + 7);
        MF_CHECK_MEM(b.p, want, b.n);
        mf_buf_fini(&b);
    }
}

MF_TEST(str, buffer_keeps_what_it_has_when_memory_ends)
{
    struct mf_buf b;
    size_t cap;

    mf_buf_init(&b);
    mf_buf_add_str(&b, "kept");
    cap = b.cap;
    mf_test_fail_nth(1);
    while (!b.failed) {
        mf_buf_addf(&b, "%d", 7);
    }
    MF_CHECK(mf_test_has_failed());
    MF_CHECK_INT(b.cap, cap);
    mf_buf_add_str(&b, "ignored");
    mf_buf_addf(&b, "%s", "ignored");
    MF_CHECK_PTR(mf_buf_reserve(&b, 1), NULL);
    MF_CHECK_INT(mf_buf_status(&b), MF_ENOMEM);
    MF_CHECK_MEM(b.p, "kept", 4);
    MF_CHECK_INT(b.p[b.n - 1], '7');
    mf_buf_reset(&b);
    mf_buf_add_str(&b, "new");
    MF_CHECK_OK(mf_buf_status(&b));
    MF_CHECK(mf_slice_is(mf_slice_of(b.p, b.n), "new"));
    mf_buf_fini(&b);
}

MF_TEST(str, reserve_refuses_a_size_that_overflows)
{
    struct mf_buf b;

    mf_buf_init(&b);
    mf_buf_add_char(&b, 'x');
    MF_CHECK_PTR(mf_buf_reserve(&b, SIZE_MAX), NULL);
    MF_CHECK_INT(mf_buf_status(&b), MF_ENOMEM);
    mf_buf_fini(&b);
}

MF_TEST(str, consume_drops_from_the_front)
{
    struct mf_buf b;

    mf_buf_init(&b);
    mf_buf_consume(&b, 0);
    mf_buf_add_str(&b, "headtail");
    mf_buf_consume(&b, 4);
    MF_CHECK(mf_slice_is(mf_slice_of(b.p, b.n), "tail"));
    mf_buf_consume(&b, 4);
    MF_CHECK_INT(b.n, 0);
    mf_buf_fini(&b);
}

MF_TEST(str, fixed_width_fields_are_little_endian)
{
    uint8_t at[9] = {0};

    mf_put_u64(at + 1, UINT64_C(0x0102030405060708));
    MF_CHECK_MEM(at, "\0\x08\x07\x06\x05\x04\x03\x02\x01", 9);
    MF_CHECK(mf_get_u64(at + 1) == UINT64_C(0x0102030405060708));
    mf_put_u32(at + 1, UINT32_C(0xa1b2c3d4));
    MF_CHECK_MEM(at + 1, "\xd4\xc3\xb2\xa1", 4);
    MF_CHECK(mf_get_u32(at + 1) == UINT32_C(0xa1b2c3d4));
    mf_put_u16(at + 1, 0xfffe);
    MF_CHECK_MEM(at + 1, "\xfe\xff", 2);
    MF_CHECK_INT(mf_get_u16(at + 1), 0xfffe);
}

MF_TEST(err, every_code_has_a_name_a_status_and_a_sentence)
{
    MF_CHECK_STR(mf_code_name(0), "OK");
    MF_CHECK_INT(mf_code_status(0), 200);
#define X(name, status, sentence)                                                      \
    MF_CHECK(MF_##name < 0);                                                           \
    MF_CHECK_STR(mf_code_name(MF_##name), #name);                                      \
    MF_CHECK_INT(mf_code_status(MF_##name), status);                                   \
    MF_CHECK_STR(mf_code_sentence(MF_##name), sentence);
    MF_ERR_TABLE(X)
#undef X
}

MF_TEST(err, wrap_puts_its_words_before_the_sentence)
{
    struct mf_err err = {0};

    MF_CHECK_INT(mf_err_set(&err, MF_ENOSPC, "cannot grow %s", "log"), MF_ENOSPC);
    MF_CHECK_INT(mf_err_wrap(&err, MF_EIO, "journal in %s", "dir"), MF_EIO);
    MF_CHECK_STR(err.msg, "journal in dir: cannot grow log");
    MF_CHECK_INT(err.code, MF_EIO);
    MF_CHECK_INT(mf_err_set(NULL, MF_EIO, "nobody listens"), MF_EIO);
    MF_CHECK_INT(mf_err_wrap(NULL, MF_EIO, "nobody listens"), MF_EIO);
}

MF_TEST(err, wrap_of_an_empty_error_tells_the_sentence_of_its_code)
{
    struct mf_err err = {0};

    MF_CHECK_INT(mf_err_wrap(&err, MF_ETIMEOUT, "store"), MF_ETIMEOUT);
    MF_CHECK_STR(err.msg, "store: timed out");
}

MF_TEST(err, wrap_cuts_at_the_end_and_stays_terminated)
{
    struct mf_err err = {0};

    MF_CHECK_INT(mf_err_set(&err, MF_EIO, "%0300d", 0), MF_EIO);
    MF_CHECK_INT(strlen(err.msg), MF_ERR_MAX - 1);
    MF_CHECK_INT(mf_err_wrap(&err, MF_EIO, "store"), MF_EIO);
    MF_CHECK_INT(strlen(err.msg), MF_ERR_MAX - 1);
    MF_CHECK_MEM(err.msg, "store: 000", 10);
    MF_CHECK_INT(mf_err_wrap(&err, MF_EIO, "%0255d", 1), MF_EIO);
    MF_CHECK_INT(err.msg[MF_ERR_MAX - 2], '1');
}

MF_TEST(err, errno_of_a_full_disk_is_told_apart)
{
    MF_CHECK_INT(mf_code_from_errno(ENOSPC), MF_ENOSPC);
    MF_CHECK_INT(mf_code_from_errno(EDQUOT), MF_ENOSPC);
    MF_CHECK_INT(mf_code_from_errno(EMFILE), MF_EBUSY);
    MF_CHECK_INT(mf_code_from_errno(EPIPE), MF_EIO);
    MF_CHECK_INT(mf_code_from_errno(0), MF_OK);
}
