/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/mf_test.h"

#include "base/mem.h"
#include "hub/listing.h"

#include <stdio.h>
#include <string.h>

#define SUM "53AA51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
#define WEIGHTS                                                                        \
    "{\"rfilename\":\"model.safetensors\",\"size\":134,\"lfs\":{\"sha256\":\"" SUM     \
    "\",\"size\":90868376}}"
#define SMALL                                                                          \
    "{\"rfilename\":\"config.json\",\"size\":612},{\"rfilename\":\"vocab.txt\"}"
#define GOOD                                                                           \
    "{\"sha\":\"8b3219a9\",\"siblings\":[{\"rfilename\":\"README.md\"}," WEIGHTS       \
    "," SMALL ",{\"rfilename\":\"1_Pooling/config.json\"}]}"

static int read_text(struct mf_hub_listing *l, const char *text, struct mf_err *err)
{
    return mf_hub_listing_read(l, mf_slice_str(text), err);
}

MF_TEST(hub, lists_what_is_needed_with_the_weights_last)
{
    struct mf_hub_listing l;

    MF_CHECK_OK(read_text(&l, GOOD, NULL));
    MF_CHECK_STR(l.revision, "8b3219a9");
    MF_CHECK_INT(l.n_files, 4);
    MF_CHECK_STR(l.files[3].path, "model.safetensors");
    MF_CHECK_INT(l.files[3].bytes, 90868376);
    MF_CHECK_STR(l.files[3].sha256,
                 "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db");
    for (size_t i = 0; i < 3; i++) {
        MF_CHECK_STR(l.files[i].sha256, "");
        MF_CHECK(strcmp(l.files[i].path, "README.md") != 0);
    }
}

MF_TEST(hub, says_which_part_of_a_model_is_missing)
{
    struct mf_hub_listing l;
    struct mf_err err;

    MF_CHECK_INT(read_text(&l, "{\"siblings\":[]}", &err), MF_ENOTFOUND);
    MF_CHECK(strstr(err.msg, "config.json") != NULL);
    MF_CHECK_INT(read_text(&l, "{\"siblings\":[" SMALL "]}", &err), MF_ENOTFOUND);
    MF_CHECK(strstr(err.msg, "model.safetensors") != NULL);
    MF_CHECK_INT(
        read_text(&l, "{\"siblings\":[{\"rfilename\":\"config.json\"}," WEIGHTS "]}",
                  &err),
        MF_ENOTFOUND);
    MF_CHECK(strstr(err.msg, "tokenizer.json") != NULL);
}

MF_TEST(hub, refuses_a_listing_with_any_name_that_leaves_its_folder)
{
    static const char *const bad[] = {"../config.json",
                                      "/etc/passwd",
                                      "a/../../b",
                                      "a\\\\b",
                                      "x/.._Pooling/../config.json",
                                      ""};
    struct mf_hub_listing l;
    struct mf_err err;
    char text[1024];

    for (size_t i = 0; i < mf_countof(bad); i++) {
        (void)snprintf(text, sizeof(text),
                       "{\"siblings\":[" SMALL "," WEIGHTS ",{\"rfilename\":\"%s\"}]}",
                       bad[i]);
        MF_CHECK_INT(read_text(&l, text, &err), MF_EINVAL);
        MF_CHECK(strstr(err.msg, "leaves its folder") != NULL);
    }
}

MF_TEST(hub, refuses_an_answer_that_is_no_listing)
{
    static const char *const bad[] = {
        "",
        "<html>",
        "[]",
        "{}",
        "{\"siblings\":{}}",
        "{\"siblings\":[1]}",
        "{\"siblings\":[{\"rfilename\":7}]}",
        "{\"siblings\":[{\"rfilename\":\"config.json\\u0000/../x\"}]}",
        "{\"sha\":\"../..\",\"siblings\":[" SMALL "," WEIGHTS "]}"};
    struct mf_hub_listing l;

    for (size_t i = 0; i < mf_countof(bad); i++) {
        MF_CHECK_INT(read_text(&l, bad[i], NULL), MF_EINVAL);
    }
}

MF_TEST(hub, refuses_a_file_that_says_it_is_too_large)
{
    struct mf_hub_listing l;
    struct mf_err err;

    MF_CHECK_INT(read_text(&l,
                           "{\"siblings\":[{\"rfilename\":\"config.json\","
                           "\"size\":99999999}," WEIGHTS "]}",
                           &err),
                 MF_ETOOBIG);
    MF_CHECK(strstr(err.msg, "99999999") != NULL);
}

MF_TEST(hub, refuses_more_needed_files_than_there_are_places)
{
    struct mf_hub_listing l;
    struct mf_buf b;

    mf_buf_init(&b);
    mf_buf_add_str(&b, "{\"siblings\":[" SMALL "," WEIGHTS);
    for (int i = 0; i <= MF_HUB_FILES_MAX; i++) {
        mf_buf_addf(&b, ",{\"rfilename\":\"%d_Pooling/config.json\"}", i);
    }
    mf_buf_add_str(&b, "]}");
    MF_CHECK_INT(mf_hub_listing_read(&l, mf_slice_of(b.p, b.n), NULL), MF_EINVAL);
    mf_buf_fini(&b);
}

MF_TEST(hub, counts_a_file_that_is_listed_twice_once)
{
    struct mf_hub_listing l;

    MF_CHECK_OK(
        read_text(&l, "{\"siblings\":[" SMALL "," SMALL "," WEIGHTS "]}", NULL));
    MF_CHECK_INT(l.n_files, 3);
    MF_CHECK_STR(l.revision, "");
}

MF_TEST(hub, reads_a_listing_or_says_that_memory_ended)
{
    for (size_t n = 1;; n++) {
        struct mf_hub_listing l;
        int rc;

        mf_test_fail_nth(n);
        rc = read_text(&l, GOOD, NULL);
        mf_test_fail_nth(0);
        if (rc == 0) {
            break;
        }
        MF_CHECK_INT(rc, MF_ENOMEM);
    }
}

MF_TEST(hub, takes_a_sum_of_64_digits_only)
{
    char out[MF_SHA256_HEX];

    MF_CHECK(mf_hub_take_sha256(out, SUM, 64));
    MF_CHECK(!mf_hub_take_sha256(out, SUM, 63));
    MF_CHECK_STR(out, "");
    MF_CHECK(!mf_hub_take_sha256(
        out, "g3aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db", 64));
}
