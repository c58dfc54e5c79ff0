/* SPDX-License-Identifier: Apache-2.0 */
#include "jdoc/jdoc.h"
#include "lib/mf_test.h"

static struct mf_err err;

static struct mf_jdoc open_doc(const char *text)
{
    struct mf_jdoc j;

    err = (struct mf_err){0};
    if (mf_jdoc_open(&j, "f.json", mf_slice_str(text), &err) < 0) {
        fail_msg("%s", err.msg);
    }
    return j;
}

static void check_refused(int rc, const char *sentence)
{
    MF_CHECK_INT(rc, MF_EINVAL);
    MF_CHECK_STR(err.msg, sentence);
}

MF_TEST(jdoc, gives_what_is_there)
{
    struct mf_jdoc j = open_doc("{\"b\":true,\"n\":4294967295,\"t\":\"a\\u0000\"}");
    struct mf_slice text = MF_SLICE("");
    uint32_t n = 0, size = 0;
    bool b = false;

    MF_CHECK_OK(mf_jdoc_want_object(&j));
    MF_CHECK_OK(mf_jdoc_bool(&j, "b", &b));
    MF_CHECK_OK(mf_jdoc_u32(&j, "n", &n));
    MF_CHECK_OK(mf_jdoc_size(&j, "n", UINT32_MAX, &size));
    MF_CHECK_OK(mf_jdoc_text(&j, "t", &text));
    MF_CHECK(b && n == UINT32_MAX && size == UINT32_MAX);
    MF_CHECK(mf_slice_eq(text, mf_slice_of("a\0", 2)));
    mf_jdoc_close(&j);
}

MF_TEST(jdoc, leaves_what_is_absent_or_null)
{
    struct mf_jdoc j = open_doc("{\"b\":null,\"n\":null,\"s\":null,\"t\":null}");
    struct mf_slice text = MF_SLICE("usual");
    uint32_t n = 7, size = 8, none = 0;
    bool b = true;

    MF_CHECK_OK(mf_jdoc_bool(&j, "b", &b));
    MF_CHECK_OK(mf_jdoc_u32(&j, "n", &n));
    MF_CHECK_OK(mf_jdoc_size(&j, "s", 9, &size));
    MF_CHECK_OK(mf_jdoc_text(&j, "t", &text));
    MF_CHECK_OK(mf_jdoc_text(&j, "other", &text));
    MF_CHECK(b && n == 7 && size == 8 && mf_slice_is(text, "usual"));
    check_refused(mf_jdoc_size(&j, "s", 9, &none), "f.json: s is missing");
    mf_jdoc_close(&j);
}

MF_TEST(jdoc, names_the_key_whose_value_is_of_another_kind)
{
    struct mf_jdoc j = open_doc("{\"in\":{\"k\":-1,\"z\":0,\"big\":4294967296}}");
    struct mf_jdoc inside = mf_jdoc_inside(&j, mf_jdoc_get(&j, "in"), "in.");
    struct mf_slice text;
    uint32_t n = 1;
    bool b;

    check_refused(mf_jdoc_bool(&inside, "k", &b), "f.json: in.k must be true or false");
    check_refused(mf_jdoc_text(&inside, "k", &text), "f.json: in.k must be text");
    check_refused(mf_jdoc_u32(&inside, "k", &n), "f.json: in.k must be a whole number");
    check_refused(mf_jdoc_u32(&inside, "big", &n),
                  "f.json: in.big must be a whole number");
    check_refused(mf_jdoc_size(&inside, "z", 9, &n),
                  "f.json: in.z must be a whole number, 1 to 9");
    check_refused(mf_jdoc_want_list(&inside), "f.json: must be a JSON list");
    MF_CHECK_INT(n, 1);
    mf_jdoc_close(&j);
}

MF_TEST(jdoc, refuses_what_is_no_json_or_too_deep)
{
    char deep[MF_JDOC_DEPTH + 2];
    struct mf_jdoc j;

    memset(deep, '[', sizeof(deep));
    check_refused(mf_jdoc_open(&j, "f", mf_slice_of(deep, sizeof(deep)), &err),
                  "f: JSON deeper than 32");
    MF_CHECK_INT(mf_jdoc_open(&j, "f", MF_SLICE("{\"a\":"), &err), MF_EINVAL);
    MF_CHECK(strncmp(err.msg, "f: no JSON, at byte 5: ", 23) == 0);
    MF_CHECK_INT(mf_jdoc_open(&j, "f", MF_SLICE(""), &err), MF_EINVAL);
    j = open_doc("\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"");
    check_refused(mf_jdoc_want_object(&j), "f.json: must be a JSON object");
    mf_jdoc_close(&j);
}

MF_TEST(jdoc, tells_when_there_is_no_memory)
{
    struct mf_jdoc j;
    unsigned nth = 1;
    int rc;

    for (;; nth++) {
        mf_test_fail_nth(nth);
        rc = mf_jdoc_open(&j, "f", MF_SLICE("{\"a\":[1,2,3]}"), &err);
        mf_test_fail_nth(0);
        if (rc == 0) {
            break;
        }
        MF_CHECK_INT(rc, MF_ENOMEM);
    }
    MF_CHECK(nth > 1);
    mf_jdoc_close(&j);
}
