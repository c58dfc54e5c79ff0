/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/mf_test.h"

#include "hub/names.h"
#include "hub/web.h"

#include <string.h>

MF_TEST(hub, takes_a_name_with_or_without_an_owner)
{
    MF_CHECK(mf_hub_name_ok("all-MiniLM-L6-v2"));
    MF_CHECK(mf_hub_name_ok("sentence-transformers/all-MiniLM-L6-v2"));
    MF_CHECK(mf_hub_name_ok("o.w_n-er/1"));
    MF_CHECK_STR(mf_hub_leaf("owner/name"), "name");
    MF_CHECK_STR(mf_hub_leaf("name"), "name");
}

MF_TEST(hub, refuses_a_name_that_is_more_than_two_words)
{
    static const char *const bad[] = {
        "",    "/",   "a/",  "/a",   "a/b/c", "../a", "a/..",   ".a",   "a/.b",
        "a b", "a?b", "a#b", "a%2e", "a\\b",  "a:b",  "a\nb/c", "a//b", "\xc3\xa9"};
    char longest[MF_HUB_NAME_MAX + 1];

    for (size_t i = 0; i < mf_countof(bad); i++) {
        MF_CHECK(!mf_hub_name_ok(bad[i]));
    }
    memset(longest, 'a', sizeof(longest));
    longest[MF_HUB_NAME_MAX] = '\0';
    MF_CHECK(!mf_hub_name_ok(longest));
    longest[MF_HUB_NAME_MAX - 1] = '\0';
    MF_CHECK(mf_hub_name_ok(longest));
}

MF_TEST(hub, takes_a_revision_of_one_word)
{
    MF_CHECK(mf_hub_revision_ok("main"));
    MF_CHECK(mf_hub_revision_ok("8b3219a92973c328a8e22fadcfa821b5dc75636a"));
    MF_CHECK(!mf_hub_revision_ok(""));
    MF_CHECK(!mf_hub_revision_ok("refs/pr/1"));
    MF_CHECK(!mf_hub_revision_ok(".."));
}

MF_TEST(hub, refuses_a_path_that_leaves_its_folder)
{
    static const char *const bad[] = {"",      "/etc/passwd", "..",    "../a", "a/../b",
                                      "a/..",  "./a",         "a//b",  "a/",   "a\\b",
                                      "..\\a", "a\nb",        "a/\x7f"};

    MF_CHECK(mf_hub_path_ok("config.json"));
    MF_CHECK(mf_hub_path_ok("1_Pooling/config.json"));
    MF_CHECK(mf_hub_path_ok("..a/b..c"));
    for (size_t i = 0; i < mf_countof(bad); i++) {
        MF_CHECK(!mf_hub_path_ok(bad[i]));
    }
}

MF_TEST(hub, wants_the_files_of_a_sentence_encoder_and_no_other)
{
    MF_CHECK(mf_hub_file_bound("config.json") > 0);
    MF_CHECK(mf_hub_file_bound("1_Pooling/config.json") > 0);
    MF_CHECK(mf_hub_file_bound("model.safetensors") >
             mf_hub_file_bound("tokenizer.json"));
    MF_CHECK_INT(mf_hub_file_bound("pytorch_model.bin"), 0);
    MF_CHECK_INT(mf_hub_file_bound("onnx/model.safetensors"), 0);
    MF_CHECK_INT(mf_hub_file_bound("a/1_Pooling/config.json"), 0);
    MF_CHECK_INT(mf_hub_file_bound("../_Pooling/config.json"), 0);
    MF_CHECK_INT(mf_hub_file_bound("README.md"), 0);
}

MF_TEST(hub, reads_where_a_part_begins)
{
    uint64_t from = 0, total = 0;

    MF_CHECK(mf_web_read_range("bytes 5-9/10", 12, &from, &total));
    MF_CHECK_INT(from, 5);
    MF_CHECK_INT(total, 10);
}

MF_TEST(hub, refuses_a_part_that_does_not_add_up)
{
    static const char *const bad[] = {
        "",
        "bytes",
        "bytes 5-9/*",
        "bytes */10",
        "bytes 9-5/10",
        "bytes 5-10/10",
        "bytes 5-9",
        "bytes -5-9/10",
        "bytes 5-9/10 ",
        "items 5-9/10",
        "bytes 99999999999999999999-99999999999999999999/3"};
    uint64_t from, total;

    for (size_t i = 0; i < mf_countof(bad); i++) {
        MF_CHECK(!mf_web_read_range(bad[i], strlen(bad[i]), &from, &total));
    }
}
