/* SPDX-License-Identifier: Apache-2.0 */
#include "api/json_in.h"

#include "lib/mf_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH 8U

struct kit {
    struct mf_json json;
    struct mf_arena arena;
    struct mf_faults faults;
    yyjson_val *root;
    int rc;
};

static void kit_open(struct kit *k, const char *body, size_t n)
{
    memset(k, 0, sizeof(*k));
    MF_CHECK_OK(mf_json_init(&k->json, DEPTH));
    mf_arena_init(&k->arena, 1024);
    k->faults.arena = &k->arena;
    k->rc = mf_json_open(&k->json, mf_slice_of(body, n), &k->faults, &k->root);
}

static void kit_close(struct kit *k)
{
    if (k->rc == 0) {
        mf_json_close(&k->json);
    }
    mf_json_fini(&k->json);
    mf_arena_fini(&k->arena);
}

static struct mf_json_at at_root(struct kit *k)
{
    return (struct mf_json_at){.faults = &k->faults, .obj = k->root};
}

static void check_refused(const char *body, size_t n, int code, const char *field)
{
    struct kit k;

    kit_open(&k, body, n);
    MF_CHECK_INT(k.rc, code);
    MF_CHECK_INT(k.faults.code, code);
    MF_CHECK_INT(k.faults.n, 1);
    MF_CHECK_STR(k.faults.all[0].field, field);
    MF_CHECK(k.faults.all[0].msg[0] != '\0');
    kit_close(&k);
}

static void check_accepted(const char *body)
{
    struct kit k;

    kit_open(&k, body, strlen(body));
    MF_CHECK_OK(k.rc);
    MF_CHECK_INT(k.faults.n, 0);
    kit_close(&k);
}

#define REFUSED(body, code, field)                                                     \
    check_refused("" body, sizeof(body) - 1, (code), (field))

MF_TEST(api_json_in, keeps_strings_when_the_document_is_closed)
{
    static const char body[] = "{\"role\":\"us\\u0065r \\ud83d\\ude00 \xC3\xA9\"}";
    struct kit k;
    struct mf_json_at at;
    struct mf_slice role = {NULL, 0};

    kit_open(&k, body, sizeof(body) - 1);
    MF_CHECK_OK(k.rc);
    at = at_root(&k);
    MF_CHECK(mf_json_text(&at, "role", MF_JSON_REQUIRED, &role));
    mf_json_close(&k.json);
    k.rc = -1;
    MF_CHECK(mf_slice_is(role, "user \xF0\x9F\x98\x80 \xC3\xA9"));
    kit_close(&k);
}

MF_TEST(api_json_in, reads_one_body_after_the_other_small_and_large)
{
    struct mf_json j;
    struct mf_arena a;
    size_t n = 200000;
    char *large = malloc(n);

    MF_CHECK(large != NULL);
    memset(large, ' ', n);
    memcpy(large, "{\"a\":[1,2,3]", 12);
    large[n - 1] = '}';
    MF_CHECK_OK(mf_json_init(&j, DEPTH));
    for (int i = 0; i < 4; i++) {
        struct mf_faults f = {.arena = &a};
        struct mf_slice body =
            i % 2 == 0 ? mf_slice_of(large, n) : MF_SLICE("{\"a\":[1,2,3]}");
        yyjson_val *root;

        mf_arena_init(&a, 1024);
        MF_CHECK_OK(mf_json_open(&j, body, &f, &root));
        MF_CHECK_INT(yyjson_arr_size(yyjson_obj_get(root, "a")), 3);
        mf_json_close(&j);
        mf_arena_fini(&a);
    }
    mf_json_fini(&j);
    free(large);
}

MF_TEST(api_json_in, says_422_to_what_is_no_json)
{
    REFUSED("", MF_EUNPROCESSABLE, "body");
    REFUSED("{", MF_EUNPROCESSABLE, "body");
    REFUSED("{\"a\":}", MF_EUNPROCESSABLE, "body");
    REFUSED("{'a':1}", MF_EUNPROCESSABLE, "body");
    REFUSED("{\"a\":1,}", MF_EUNPROCESSABLE, "body");
    REFUSED("{\"a\":01}", MF_EUNPROCESSABLE, "body");
    REFUSED("{\"a\":NaN}", MF_EUNPROCESSABLE, "body");
    REFUSED("// no\n{}", MF_EUNPROCESSABLE, "body");
    REFUSED("\xEF\xBB\xBF{}", MF_EUNPROCESSABLE, "body");
}

MF_TEST(api_json_in, says_400_to_text_that_is_no_utf8)
{
    REFUSED("{\"a\":\"\xFF\"}", MF_EINVAL, "body");
    REFUSED("{\"a\":\"\x80\"}", MF_EINVAL, "body");
    REFUSED("{\"a\":\"\xC3\"}", MF_EINVAL, "body");
    REFUSED("{\"a\":\"\xC0\xAF\"}", MF_EINVAL, "body");         /* overlong */
    REFUSED("{\"a\":\"\xE0\x80\xAF\"}", MF_EINVAL, "body");     /* overlong */
    REFUSED("{\"a\":\"\xF0\x80\x80\xAF\"}", MF_EINVAL, "body"); /* overlong */
    REFUSED("{\"a\":\"\xED\xA0\x80\"}", MF_EINVAL, "body");     /* surrogate */
    REFUSED("{\"a\":\"\xF4\x90\x80\x80\"}", MF_EINVAL, "body"); /* beyond */
    REFUSED("{\"\xFF\":1}", MF_EINVAL, "body");
    REFUSED("{\"a\":\"\\ud800\"}", MF_EINVAL, "body");
    REFUSED("{\"a\":\"\\udc00\"}", MF_EINVAL, "body");
    REFUSED("{\"a\":\"\\ud800\\u0041\"}", MF_EINVAL, "body");
    REFUSED("{\"a\":\"\n\"}", MF_EINVAL, "body");
    REFUSED("{\"a\":\"\0\"}", MF_EINVAL, "body");
}

MF_TEST(api_json_in, says_400_to_bytes_behind_the_value)
{
    REFUSED("{} {}", MF_EINVAL, "body");
    REFUSED("{}x", MF_EINVAL, "body");
    REFUSED("{}\0", MF_EINVAL, "body");
    check_accepted("{}  \n");
}

MF_TEST(api_json_in, names_the_field_that_holds_nul)
{
    REFUSED("{\"name\":\"a\\u0000b\"}", MF_EINVAL, "name");
    REFUSED("{\"messages\":[{\"content\":\"ok\"},{\"role\":\"user\",\"content\":"
            "\"x\\u0000\"}]}",
            MF_EINVAL, "messages[1].content");
    REFUSED("{\"m\":[{\"metadata\":{\"deep\":{\"er\":[0,\"\\u0000\"]}}}]}", MF_EINVAL,
            "m[0].metadata.deep.er[1]");
    REFUSED("{\"m\":{\"a\\u0000\":1}}", MF_EINVAL, "m.a");
    check_accepted("{\"name\":\"a\\\\u0000b\"}");
}

MF_TEST(api_json_in, names_the_key_that_stands_twice)
{
    REFUSED("{\"role\":\"user\",\"role\":\"system\"}", MF_EINVAL, "role");
    REFUSED("{\"m\":[{},{\"metadata\":{\"x\":1,\"y\":2,\"x\":3}}]}", MF_EINVAL,
            "m[1].metadata.x");
    REFUSED("{\"a\":1,\"\\u0061\":2}", MF_EINVAL, "a");
    check_accepted("{\"a\":{\"a\":1},\"b\":{\"a\":1}}");
}

/* {"k0":0,...,"kN":N} and, when `twin`, k1 once more. */
static char *wide(unsigned n, bool twin)
{
    char *body = malloc((size_t)n * 24 + 64), *at = body;

    MF_CHECK(body != NULL);
    *at++ = '{';
    for (unsigned i = 0; i < n; i++) {
        at += sprintf(at, "%s\"k%u\":%u", i == 0 ? "" : ",", i, i);
    }
    at += sprintf(at, "%s}", twin ? ",\"k1\":0" : "");
    return body;
}

MF_TEST(api_json_in, finds_twins_among_many_keys)
{
    static const unsigned counts[] = {2, 11, 12, 13, 14, 500, 999};

    for (size_t i = 0; i < mf_countof(counts); i++) {
        char *good = wide(counts[i], false), *bad = wide(counts[i], true);

        check_accepted(good);
        check_refused(bad, strlen(bad), MF_EINVAL, "k1");
        free(good);
        free(bad);
    }
}

MF_TEST(api_json_in, takes_as_many_keys_as_the_limit_and_not_one_more)
{
    char *most = wide(MF_JSON_MAX_KEYS, false);
    char *more = wide(MF_JSON_MAX_KEYS + 1, false);

    check_accepted(most);
    check_refused(more, strlen(more), MF_EINVAL, "body");
    free(most);
    free(more);
}

MF_TEST(api_json_in, takes_the_depth_of_the_limit_and_not_one_more)
{
    check_accepted("[[[[[[[[1]]]]]]]]");
    REFUSED("[[[[[[[[[]]]]]]]]]", MF_EINVAL, "[0][0][0][0][0][0][0][0]");
    check_accepted("[[[[[[[[]]]]]]],[[[[[[[]]]]]]]]");
    REFUSED("{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{}}}}}}}}}",
            MF_EINVAL, "a.a.a.a.a.a.a.a");
}

MF_TEST(api_json_in, refuses_numbers_without_end)
{
    char digits[200];

    (void)snprintf(digits, sizeof(digits), "{\"a\":%0*d}", (int)MF_JSON_MAX_DIGITS, 1);
    digits[5] = '1';
    check_accepted(digits);
    (void)snprintf(digits, sizeof(digits), "{\"a\":%0*d}", (int)MF_JSON_MAX_DIGITS + 1,
                   1);
    digits[5] = '1';
    check_refused(digits, strlen(digits), MF_EINVAL, "a");
    REFUSED("{\"a\":[1,1e999]}", MF_EINVAL, "a[1]");
    check_accepted("{\"a\":1e-999}");
}

MF_TEST(api_json_in, keeps_numbers_digit_for_digit)
{
    static const char body[] = "{ \"a\" : 12345678901234567890123 , \"b\":[1.10, -0, "
                               "1E5], \"c\":\"\\u00e9\\/\" }";
    struct kit k;
    struct mf_slice text;

    kit_open(&k, body, sizeof(body) - 1);
    MF_CHECK_OK(k.rc);
    MF_CHECK_OK(mf_json_compact(k.root, &k.arena, &text));
    MF_CHECK(mf_slice_is(
        text,
        "{\"a\":12345678901234567890123,\"b\":[1.10,-0,1E5],\"c\":\"\xC3\xA9/\"}"));
    kit_close(&k);
}

MF_TEST(api_json_in, tells_missing_from_null_from_wrong)
{
    static const char body[] = "{\"null\":null,\"number\":5,\"text\":\"t\"}";
    struct kit k;
    struct mf_json_at at;
    struct mf_slice s;

    kit_open(&k, body, sizeof(body) - 1);
    at = at_root(&k);
    MF_CHECK(mf_json_text(&at, "text", MF_JSON_REQUIRED, &s));
    MF_CHECK(!mf_json_text(&at, "null", MF_JSON_OPTIONAL, &s));
    MF_CHECK(!mf_json_text(&at, "none", MF_JSON_OPTIONAL, &s));
    MF_CHECK_INT(k.faults.n, 0);
    MF_CHECK(!mf_json_text(&at, "none", MF_JSON_REQUIRED, &s));
    MF_CHECK(!mf_json_text(&at, "null", MF_JSON_REQUIRED, &s));
    MF_CHECK(!mf_json_text(&at, "number", MF_JSON_OPTIONAL, &s));
    MF_CHECK_INT(k.faults.n, 3);
    MF_CHECK_INT(k.faults.code, MF_EUNPROCESSABLE);
    MF_CHECK_STR(k.faults.all[0].type, "missing");
    MF_CHECK_STR(k.faults.all[1].type, "null_type");
    MF_CHECK_STR(k.faults.all[2].type, "string_type");
    MF_CHECK_STR(k.faults.all[2].field, "number");
    kit_close(&k);
}

MF_TEST(api_json_in, reads_whole_numbers_only_as_such)
{
    static const char body[] =
        "{\"a\":5,\"b\":-7,\"c\":99999999999999999999999,\"d\":-99999999999999999999999,"
        "\"e\":5.0,\"f\":true,\"g\":\"5\",\"h\":1e3}";
    struct kit k;
    struct mf_json_at at;
    int64_t v = 0;

    kit_open(&k, body, sizeof(body) - 1);
    at = at_root(&k);
    MF_CHECK(mf_json_int(&at, "a", &v) && v == 5);
    MF_CHECK(mf_json_int(&at, "b", &v) && v == -7);
    MF_CHECK(mf_json_int(&at, "c", &v) && v == INT64_MAX);
    MF_CHECK(mf_json_int(&at, "d", &v) && v == INT64_MIN);
    MF_CHECK_INT(k.faults.n, 0);
    MF_CHECK(!mf_json_int(&at, "e", &v) && !mf_json_int(&at, "f", &v));
    MF_CHECK(!mf_json_int(&at, "g", &v) && !mf_json_int(&at, "h", &v));
    MF_CHECK_INT(k.faults.n, 4);
    kit_close(&k);
}

MF_TEST(api_json_in, counts_faults_it_does_not_keep)
{
    struct kit k;
    struct mf_json_at at;
    struct mf_slice s;

    kit_open(&k, "{}", 2);
    at = at_root(&k);
    for (unsigned i = 0; i < MF_FAULTS_MAX + 4; i++) {
        MF_CHECK(!mf_json_text(&at, "x", MF_JSON_REQUIRED, &s));
    }
    MF_CHECK_INT(k.faults.n, MF_FAULTS_MAX + 4);
    MF_CHECK_INT(mf_faults_kept(&k.faults), MF_FAULTS_MAX);
    kit_close(&k);
}

MF_TEST(api_json_in, lets_the_graver_fault_name_the_whole)
{
    struct kit k;
    struct mf_json_at at = {.list = "messages", .i = 3};

    kit_open(&k, "{}", 2);
    at.faults = &k.faults;
    MF_CHECK_INT(mf_json_fault(&at, "content", MF_EUNPROCESSABLE, "t", "a"),
                 MF_EUNPROCESSABLE);
    MF_CHECK_INT(mf_json_fault(&at, "content", MF_ETOOBIG, "t", "b"), MF_ETOOBIG);
    MF_CHECK_INT(mf_json_fault(&at, NULL, MF_EUNPROCESSABLE, "t", "c"), MF_ETOOBIG);
    MF_CHECK_STR(k.faults.all[1].field, "messages[3].content");
    MF_CHECK_STR(k.faults.all[2].field, "messages[3]");
    kit_close(&k);
}

MF_TEST(api_json_in, takes_lists_of_texts_up_to_the_limit)
{
    static const char body[] = "{\"ids\":[\"a\",\"b\",\"c\"],\"bad\":[\"a\",1,null]}";
    struct kit k;
    struct mf_json_at at;
    struct mf_slice *ids;
    size_t n;

    kit_open(&k, body, sizeof(body) - 1);
    at = at_root(&k);
    MF_CHECK(mf_json_texts(&at, "ids", 3, "limits.x", &ids, &n));
    MF_CHECK_INT(n, 3);
    MF_CHECK(mf_slice_is(ids[2], "c"));
    MF_CHECK(!mf_json_texts(&at, "ids", 2, "limits.x", &ids, &n));
    MF_CHECK(strstr(k.faults.all[0].msg, "limits.x") != NULL);
    MF_CHECK(!mf_json_texts(&at, "bad", 3, "limits.x", &ids, &n));
    MF_CHECK_STR(k.faults.all[1].field, "bad[1]");
    MF_CHECK_STR(k.faults.all[2].field, "bad[2]");
    kit_close(&k);
}

MF_TEST(api_json_in, finds_only_keys_at_the_top)
{
    struct mf_slice o = MF_SLICE("{\"a\":{\"source\":1},\"b\":[{\"user_id\":2}],"
                                 "\"c\":\"\\\"session_id\\\":\",\"d\":\"source\"}");

    MF_CHECK(mf_json_has_key(o, "a"));
    MF_CHECK(mf_json_has_key(o, "d"));
    MF_CHECK(!mf_json_has_key(o, "source"));
    MF_CHECK(!mf_json_has_key(o, "user_id"));
    MF_CHECK(!mf_json_has_key(o, "session_id"));
    MF_CHECK(!mf_json_has_key(MF_SLICE("{}"), "a"));
}

MF_TEST(api_json_in, survives_every_failed_allocation)
{
    static const char body[] = "{\"m\":[{\"metadata\":{\"x\":1,\"x\":2}}]}";
    bool has_failed = true;

    for (size_t n = 1; has_failed; n++) {
        struct mf_json j;
        struct mf_arena a;
        struct mf_faults f = {.arena = &a};
        yyjson_val *root;
        int rc;

        mf_arena_init(&a, 64);
        mf_test_fail_nth(n);
        rc = mf_json_init(&j, DEPTH);
        if (rc == 0) {
            rc = mf_json_open(&j, MF_SLICE(""), &f, &root);
            MF_CHECK(rc < 0);
            f.n = 0;
            f.code = 0;
            rc = mf_json_open(&j, mf_slice_of(body, sizeof(body) - 1), &f, &root);
            MF_CHECK(rc == MF_EINVAL || rc == MF_ENOMEM);
            mf_json_fini(&j);
        }
        has_failed = mf_test_has_failed();
        MF_CHECK(has_failed || rc == MF_EINVAL);
        mf_test_fail_nth(0);
        mf_arena_fini(&a);
    }
}
