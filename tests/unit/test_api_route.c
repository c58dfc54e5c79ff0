/* SPDX-License-Identifier: Apache-2.0 */
#include "api/envelope.h"
#include "api/route.h"

#include "lib/mf_test.h"

#include <stdio.h>
#include <string.h>

static int find(struct mf_arena *a, enum mf_http_method m, const char *path,
                struct mf_route_match *out)
{
    return mf_route_find(a, m, mf_slice_str(path), out);
}

/* The path of a row with ids in place of the stars. */
static void path_of(const struct mf_route *r, const char *id, char out[128])
{
    size_t n = (size_t)snprintf(out, 128, "/api/v1");

    for (size_t i = 0; i < MF_ROUTE_SEGMENTS && r->segments[i] != NULL; i++) {
        n += (size_t)snprintf(out + n, 128 - n, "/%s",
                              r->segments[i][0] == '*' ? id : r->segments[i]);
    }
}

MF_TEST(api_route, finds_each_row_with_and_without_a_slash)
{
    const struct mf_route *r;
    struct mf_arena a;

    mf_arena_init(&a, 256);
    for (size_t i = 0; (r = mf_route_at(i)) != NULL; i++) {
        struct mf_route_match m;
        char path[128];

        path_of(r, "u-1", path);
        MF_CHECK_OK(find(&a, r->method, path, &m));
        MF_CHECK_PTR(m.route, r);
        strcat(path, "/");
        MF_CHECK_OK(find(&a, r->method, path, &m));
        MF_CHECK_PTR(m.route, r);
        strcat(path, "/");
        MF_CHECK_INT(find(&a, r->method, path, &m), MF_ENOTFOUND);
    }
    mf_arena_fini(&a);
}

MF_TEST(api_route, answers_head_wherever_it_answers_get)
{
    const struct mf_route *r;
    struct mf_arena a;

    mf_arena_init(&a, 256);
    for (size_t i = 0; (r = mf_route_at(i)) != NULL; i++) {
        struct mf_route_match m;
        char path[128];

        path_of(r, "x", path);
        if (r->method == MF_HTTP_GET) {
            MF_CHECK_OK(find(&a, MF_HTTP_HEAD, path, &m));
            MF_CHECK_PTR(m.route, r);
        }
    }
    mf_arena_fini(&a);
}

MF_TEST(api_route, gives_the_ids_decoded)
{
    struct mf_route_match m;
    struct mf_arena a;

    mf_arena_init(&a, 256);
    MF_CHECK_OK(find(&a, MF_HTTP_DELETE, "/api/v1/users/u%2F1%41/api-keys/k.2/", &m));
    MF_CHECK(mf_slice_is(m.ids[0], "u/1A"));
    MF_CHECK(mf_slice_is(m.ids[1], "k.2"));
    MF_CHECK_OK(find(&a, MF_HTTP_GET, "/api/v1/%75sers/+", &m));
    MF_CHECK(mf_slice_is(m.ids[0], "+")); /* a plus is a plus in a path */
    mf_arena_fini(&a);
}

static const struct {
    const char *path;
    enum mf_http_method method;
    int rc;
} at_root[] = {{"/", MF_HTTP_POST, 0},
               {"/embed", MF_HTTP_POST, 0},
               {"/embed/", MF_HTTP_POST, 0},
               {"/v1/embeddings", MF_HTTP_POST, 0},
               {"/embeddings/", MF_HTTP_POST, 0},
               {"/v1/models/a%2Fb", MF_HTTP_GET, 0},
               {"/health", MF_HTTP_HEAD, 0},
               {"/", MF_HTTP_GET, MF_EINVAL},
               {"/embed", MF_HTTP_GET, MF_EINVAL},
               {"//", MF_HTTP_POST, MF_ENOTFOUND},
               {"/embed//", MF_HTTP_POST, MF_ENOTFOUND},
               {"/v1/health", MF_HTTP_GET, MF_ENOTFOUND},
               {"/v1/", MF_HTTP_GET, MF_ENOTFOUND},
               {"/api/v1/embed", MF_HTTP_POST, MF_ENOTFOUND},
               {"/api/v1/v1/embeddings", MF_HTTP_POST, MF_ENOTFOUND},
               {"/v1/embed", MF_HTTP_POST, MF_ENOTFOUND}};

MF_TEST(api_route, finds_the_routes_of_other_families_at_the_root)
{
    struct mf_route_match m;
    struct mf_arena a;

    mf_arena_init(&a, 256);
    for (size_t i = 0; i < mf_countof(at_root); i++) {
        MF_CHECK_INT(find(&a, at_root[i].method, at_root[i].path, &m), at_root[i].rc);
    }
    MF_CHECK_OK(find(&a, MF_HTTP_GET, "/v1/models/a%2Fb", &m));
    MF_CHECK(mf_slice_is(m.ids[0], "a/b"));
    mf_arena_fini(&a);
}

MF_TEST(api_route, knows_no_other_paths)
{
    static const char *const paths[] = {"",
                                        "/api",
                                        "/api/v1",
                                        "/api/v1/",
                                        "/api/v1//",
                                        "/api/v2/health",
                                        "/api/v1/healthy",
                                        "/api/v1/heal",
                                        "/api/v1//health",
                                        "/api/v1/health//",
                                        "/api/v1/users//query",
                                        "/api/v1/users/a/b",
                                        "/api/v1/users/%",
                                        "/api/v1/users/%zz",
                                        "/api/v1/users/%00",
                                        "/api/v1/sessions/s/messages/read/x",
                                        "/api/v1/sessions/s/messages/read/x/y/z",
                                        "/API/v1/health",
                                        "api/v1/health"};
    struct mf_route_match m;
    struct mf_arena a;

    mf_arena_init(&a, 256);
    for (size_t i = 0; i < mf_countof(paths); i++) {
        MF_CHECK_INT(find(&a, MF_HTTP_GET, paths[i], &m), MF_ENOTFOUND);
    }
    mf_arena_fini(&a);
}

MF_TEST(api_route, tells_which_methods_a_path_has)
{
    struct mf_route_match m;
    struct mf_arena a;
    struct mf_buf b;

    mf_arena_init(&a, 256);
    mf_buf_init(&b);
    MF_CHECK_INT(find(&a, MF_HTTP_PATCH, "/api/v1/sessions/s/messages", &m), MF_EINVAL);
    mf_route_allow(m.methods, &b);
    mf_buf_add_char(&b, '\0');
    MF_CHECK_STR(b.p, "Allow: GET, HEAD, POST, PUT, DELETE\r\n");
    mf_buf_reset(&b);
    MF_CHECK_INT(find(&a, MF_HTTP_HEAD, "/api/v1/buffer/flush", &m), MF_EINVAL);
    mf_route_allow(m.methods, &b);
    mf_buf_add_char(&b, '\0');
    MF_CHECK_STR(b.p, "Allow: POST\r\n");
    mf_buf_fini(&b);
    mf_arena_fini(&a);
}

MF_TEST(api_route, says_out_of_memory_for_a_path_it_cannot_decode)
{
    struct mf_route_match m;
    struct mf_arena a;

    mf_arena_init(&a, 256);
    mf_test_fail_nth(1);
    MF_CHECK_INT(find(&a, MF_HTTP_GET, "/api/v1/users/%41", &m), MF_ENOMEM);
    mf_test_fail_nth(0);
    mf_arena_fini(&a);
}

/* ---- envelope ---- */

MF_TEST(api_envelope, has_five_keys_around_success_and_error)
{
    struct mf_buf b;

    mf_buf_init(&b);
    mf_envelope_begin(&b, 201);
    mf_buf_add_str(&b, "{}");
    mf_envelope_end(&b, "made");
    mf_buf_add_char(&b, '\0');
    MF_CHECK_STR(b.p, "{\"status\":\"success\",\"code\":201,\"data\":{},\"message\":"
                      "\"made\",\"errors\":null}");
    mf_buf_reset(&b);
    mf_envelope_error(&b, 404, NULL, "no \"x\"");
    mf_buf_add_char(&b, '\0');
    MF_CHECK_STR(b.p,
                 "{\"status\":\"error\",\"code\":404,\"data\":null,\"message\":\"no "
                 "\\\"x\\\"\",\"errors\":[{\"field\":\"general\",\"message\":\"no "
                 "\\\"x\\\"\"}]}");
    mf_buf_fini(&b);
}

MF_TEST(api_envelope, tells_faults_in_both_shapes)
{
    struct mf_arena a;
    struct mf_faults f = {.arena = &a};
    struct mf_buf b;

    mf_arena_init(&a, 256);
    mf_buf_init(&b);
    (void)mf_fault_add(&f, MF_EUNPROCESSABLE, "missing", "messages[3].content", "no");
    (void)mf_fault_add(&f, MF_EUNPROCESSABLE, "dict_type", "body", "what");
    mf_envelope_faults(&b, 422, &f);
    mf_buf_add_char(&b, '\0');
    MF_CHECK_STR(
        b.p,
        "{\"detail\":[{\"type\":\"missing\",\"loc\":[\"body\",\"messages\",3,"
        "\"content\"],\"msg\":\"no\"},{\"type\":\"dict_type\",\"loc\":[\"body\"],"
        "\"msg\":\"what\"}],\"status\":\"error\",\"code\":422,\"data\":null,\"message\":"
        "\"messages[3].content: no (and 1 more)\",\"errors\":[{\"field\":"
        "\"messages[3].content\",\"message\":\"no\"},{\"field\":\"body\",\"message\":"
        "\"what\"}]}");
    mf_buf_fini(&b);
    mf_arena_fini(&a);
}

/* Field names may hold what a client sent. */
MF_TEST(api_envelope, makes_a_loc_of_any_field)
{
    static const char *const fields[] = {
        "",        ".",     "..",    "[",     "]",    "[]",    "a[",
        "a[1",     "a[1].", "a]b",   "[x]",   "a..b", "a[1][", "[12",
        "a[1]b[c", "\xFF",  "a[1]]", "a[00]", "[01]", "[0",    "[9999999999]"};

    for (size_t i = 0; i < mf_countof(fields); i++) {
        struct mf_arena a;
        struct mf_faults f = {.arena = &a};
        struct mf_buf b;
        yyjson_doc *doc;

        mf_arena_init(&a, 256);
        mf_buf_init(&b);
        (void)mf_fault_add(&f, MF_EINVAL, "t", fields[i], "m");
        mf_envelope_faults(&b, 400, &f);
        doc = yyjson_read(b.p, b.n, 0);
        MF_CHECK(doc != NULL);
        yyjson_doc_free(doc);
        mf_buf_fini(&b);
        mf_arena_fini(&a);
    }
}

MF_TEST(api_envelope, asks_to_come_back_only_when_it_helps)
{
    static const int passing[] = {429, 503, 504, 507};
    static const int lasting[] = {200, 400, 404, 409, 413, 422, 500};

    for (int round = 0; round < 100; round++) {
        for (size_t i = 0; i < mf_countof(passing); i++) {
            unsigned s = mf_retry_after(passing[i]);

            MF_CHECK(s >= 1 && s <= 30);
        }
    }
    for (size_t i = 0; i < mf_countof(lasting); i++) {
        MF_CHECK_INT(mf_retry_after(lasting[i]), 0);
    }
}
