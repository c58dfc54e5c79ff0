/* SPDX-License-Identifier: Apache-2.0 */
#include "api/auth.h"

#include "lib/mf_test.h"
#include "lib/test_file.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* The test's thread plays the loop. */
static inline void as_loop(void) MF_ASSERTS_LOOP;

static inline void as_loop(void)
{
}

static int bearer(const char *header, struct mf_slice *key)
{
    return mf_auth_bearer(mf_slice_str(header), key);
}

MF_TEST(api_auth, takes_the_key_of_a_bearer_header)
{
    struct mf_slice key;

    MF_CHECK_OK(bearer("Bearer mf_key", &key));
    MF_CHECK(mf_slice_is(key, "mf_key"));
    MF_CHECK_OK(bearer("bearer   mf_key ", &key));
    MF_CHECK(mf_slice_is(key, "mf_key"));
}

MF_TEST(api_auth, refuses_headers_that_are_no_bearer)
{
    static const char *const headers[] = {
        "",          "Bearer",   "Bearer ",          "Bearer  ",    "mf_key",
        "Basic abc", "Bearermf", "Bearer two words", "Bearer t\x80"};
    char large[MF_AUTH_MAX_KEY + 16] = "Bearer ";
    struct mf_slice key;

    for (size_t i = 0; i < mf_countof(headers); i++) {
        MF_CHECK_INT(bearer(headers[i], &key), MF_EINVAL);
    }
    memset(large + 7, 'k', MF_AUTH_MAX_KEY);
    MF_CHECK_OK(bearer(large, &key));
    large[7 + MF_AUTH_MAX_KEY] = 'k';
    MF_CHECK_INT(bearer(large, &key), MF_EINVAL);
}

MF_TEST(api_auth, makes_keys_that_tell_all_random_bytes_apart)
{
    struct mf_id id;
    uint8_t zero[32] = {0}, ones[32], low[32] = {0}, high[32] = {0};
    char key[MF_KEY_LEN + 1], other[MF_KEY_LEN + 1];

    MF_CHECK_OK(mf_id_from(&id, MF_SLICE("12345678-abcd")));
    memset(ones, 0xff, sizeof(ones));
    low[31] = 1;
    high[0] = 1;
    mf_auth_make_key(&id, zero, key);
    MF_CHECK_STR(key, "mf_12345678_0000000000000000000000000000000000000000000");
    mf_auth_make_key(&id, low, key);
    MF_CHECK_STR(key, "mf_12345678_0000000000000000000000000000000000000000001");
    mf_auth_make_key(&id, high, other);
    MF_CHECK(strcmp(key, other) != 0);
    mf_auth_make_key(&id, ones, other);
    MF_CHECK_INT(strlen(other), MF_KEY_LEN);
    MF_CHECK(other[12] != '0'); /* all 256 bits are in the digits */
}

static const char *write_key(const char *text, mode_t mode)
{
    const char *path = mf_test_text(mf_test_tmpdir(), "admin.key", text);

    MF_CHECK_INT(chmod(path, mode), 0);
    return path;
}

MF_TEST(api_auth, reads_a_key_file_without_its_blanks)
{
    char key[MF_AUTH_MAX_KEY + 1];
    struct mf_err err = {0};

    MF_CHECK_OK(
        mf_auth_read_key_file(write_key(" 0123456789abcdef\r\n", 0600), key, &err));
    MF_CHECK_STR(key, "0123456789abcdef");
    MF_CHECK_OK(mf_auth_read_key_file(write_key("0123456789abcdef", 0400), key, &err));
}

static void check_bad_file(const char *path, int code, const char *word)
{
    char key[MF_AUTH_MAX_KEY + 1];
    struct mf_err err = {0};

    MF_CHECK_INT(mf_auth_read_key_file(path, key, &err), code);
    MF_CHECK(strstr(err.msg, "server.admin_key_file") != NULL);
    MF_CHECK(strstr(err.msg, word) != NULL);
}

MF_TEST(api_auth, says_what_is_wrong_with_a_key_file)
{
    char large[MF_AUTH_MAX_KEY + 2];

    memset(large, 'k', sizeof(large));
    large[MF_AUTH_MAX_KEY + 1] = '\0';
    check_bad_file("/nonexistent/key", MF_EIO, "/nonexistent/key");
    check_bad_file(mf_test_tmpdir(), MF_EINVAL, "plain file");
    check_bad_file(write_key("0123456789abcdef", 0640), MF_EINVAL, "chmod 600");
    check_bad_file(write_key("0123456789abcdef", 0604), MF_EINVAL, "chmod 600");
    check_bad_file(write_key("", 0600), MF_EINVAL, "one key");
    check_bad_file(write_key("0123456789abcde", 0600), MF_EINVAL, "one key");
    check_bad_file(write_key("0123456789 abcdef", 0600), MF_EINVAL, "one key");
    check_bad_file(write_key("0123456789abcdef\nsecond", 0600), MF_EINVAL, "one key");
    check_bad_file(write_key(large, 0600), MF_EINVAL, "one key");
}

MF_TEST(api_auth, hashes_as_sha256_does)
{
    static const uint8_t abc[4] = {0xba, 0x78, 0x16, 0xbf};
    struct mf_conf conf = {.server_api_key_header = (char[]){"Authorization"},
                           .server_admin_key_file = (char[]){""}};
    struct mf_auth *a = NULL;
    uint8_t hash[MF_AUTH_HASH];
    struct mf_err err = {0};

    as_loop();
    MF_CHECK_OK(mf_auth_open(&a, &conf, &err));
    for (int i = 0; i < 2; i++) {
        MF_CHECK_OK(mf_auth_hash(a, MF_SLICE("abc"), hash));
        MF_CHECK_MEM(hash, abc, sizeof(abc));
    }
    mf_auth_close(a);
}

MF_TEST(api_auth, does_not_open_with_a_key_file_it_cannot_trust)
{
    struct mf_conf conf = {.server_api_key_header = (char[]){"Authorization"},
                           .server_api_key_validation = true};
    struct mf_auth *a = NULL;
    struct mf_err err = {0};
    char path[512];

    as_loop();
    (void)snprintf(path, sizeof(path), "%s", write_key("0123456789abcdef", 0644));
    conf.server_admin_key_file = path;
    MF_CHECK_INT(mf_auth_open(&a, &conf, &err), MF_EINVAL);
    MF_CHECK(strstr(err.msg, path) != NULL);
    MF_CHECK_PTR(a, NULL);
}
