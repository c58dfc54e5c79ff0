/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/mf_test.h"

#include "hub/disk.h"
#include "hub/manifest.h"
#include "hub/sum.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* SHA-256 of "abc" */
#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

#define ONE(path, bytes, sum)                                                          \
    "{\"name\":\"a\",\"revision\":\"b\",\"files\":[{\"path\":\"" path                  \
    "\",\"bytes\":" bytes ",\"sha256\":\"" sum "\"}]}"

static int open_room(void)
{
    int dir = mf_hub_open_dir(mf_test_tmpdir(), true, NULL);

    MF_CHECK(dir >= 0);
    return dir;
}

static void write_text(int dir, const char *path, const char *text)
{
    MF_CHECK_OK(mf_hub_write_file(dir, path, mf_slice_str(text), NULL));
}

static struct mf_manifest one_file(void)
{
    struct mf_manifest m = {.name = "owner/name",
                            .revision = "abc123",
                            .files = {{"config.json", 3, ABC}},
                            .n_files = 1};

    return m;
}

MF_TEST(hub, reads_the_manifest_it_wrote)
{
    struct mf_manifest m = one_file(), back;
    struct mf_manifest_file more = {"1_Pooling/config.json", 7, ABC};
    int dir = open_room();

    MF_CHECK_OK(mf_manifest_put(&m, &more));
    MF_CHECK_OK(mf_manifest_write(&m, dir, NULL));
    MF_CHECK_OK(mf_manifest_read(&back, dir, NULL));
    MF_CHECK_STR(back.name, "owner/name");
    MF_CHECK_STR(back.revision, "abc123");
    MF_CHECK_INT(back.n_files, 2);
    MF_CHECK_INT(mf_manifest_find(&back, "1_Pooling/config.json")->bytes, 7);
    MF_CHECK_STR(mf_manifest_find(&back, "config.json")->sha256, ABC);
    MF_CHECK_PTR(mf_manifest_find(&back, "vocab.txt"), NULL);
    (void)close(dir);
}

MF_TEST(hub, replaces_what_the_manifest_says_of_a_file)
{
    struct mf_manifest m = one_file();
    struct mf_manifest_file again = {"config.json", 4, ABC};

    MF_CHECK_OK(mf_manifest_put(&m, &again));
    MF_CHECK_INT(m.n_files, 1);
    MF_CHECK_INT(m.files[0].bytes, 4);
    for (int i = 1; i < MF_HUB_FILES_MAX; i++) {
        (void)snprintf(again.path, sizeof(again.path), "f%d", i);
        MF_CHECK_OK(mf_manifest_put(&m, &again));
    }
    (void)snprintf(again.path, sizeof(again.path), "one too many");
    MF_CHECK_INT(mf_manifest_put(&m, &again), MF_ETOOBIG);
}

MF_TEST(hub, refuses_a_damaged_manifest)
{
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "{\"name\":\"a\",\"files\":[]}",
        "{\"name\":\"a\",\"revision\":\"b\"}",
        "{\"name\":\"a\",\"revision\":\"b\",\"files\":[{}]}",
        ONE("../x", "3", ABC),
        ONE("x", "-3", ABC),
        ONE("x\\u0000/../y", "3", ABC),
        ONE("x", "3", "ba78")};
    struct mf_manifest m;
    int dir = open_room();

    for (size_t i = 0; i < mf_countof(bad); i++) {
        write_text(dir, MF_MANIFEST_NAME, bad[i]);
        MF_CHECK_INT(mf_manifest_read(&m, dir, NULL), MF_EINVAL);
    }
    write_text(dir, MF_MANIFEST_NAME, ONE("x", "3", ABC));
    MF_CHECK_OK(mf_manifest_read(&m, dir, NULL));
    MF_CHECK_OK(unlinkat(dir, MF_MANIFEST_NAME, 0));
    MF_CHECK_INT(mf_manifest_read(&m, dir, NULL), MF_ENOTFOUND);
    (void)close(dir);
}

MF_TEST(hub, finds_the_file_that_is_not_what_the_manifest_says)
{
    struct mf_manifest m = one_file();
    struct mf_err err;
    int dir = open_room();

    MF_CHECK_INT(mf_manifest_check(&m.files[0], dir, &err), MF_ENOTFOUND);
    write_text(dir, "config.json", "abc");
    MF_CHECK_OK(mf_manifest_check(&m.files[0], dir, &err));
    write_text(dir, "config.json", "abd");
    MF_CHECK_INT(mf_manifest_check(&m.files[0], dir, &err), MF_ECORRUPT);
    MF_CHECK(strstr(err.msg, "config.json has the checksum") != NULL);
    write_text(dir, "config.json", "ab");
    MF_CHECK_INT(mf_manifest_check(&m.files[0], dir, &err), MF_ECORRUPT);
    MF_CHECK_STR(err.msg, "config.json has 2 bytes where 3 are expected");
    (void)close(dir);
}

MF_TEST(hub, removes_a_folder_but_not_what_a_link_in_it_points_to)
{
    struct mf_buf back;
    int dir = open_room(), sub;
    char path[512];

    (void)snprintf(path, sizeof(path), "%s/gone/deep", mf_test_tmpdir());
    sub = mf_hub_open_dir(path, true, NULL);
    MF_CHECK(sub >= 0);
    write_text(sub, "a", "1");
    write_text(dir, "kept", "2");
    MF_CHECK_OK(symlinkat("../../kept", sub, "link"));
    MF_CHECK_OK(symlinkat("..", sub, "up"));
    (void)close(sub);
    MF_CHECK_OK(mf_hub_remove_tree(dir, "gone", NULL));
    MF_CHECK_OK(mf_hub_remove_tree(dir, "gone", NULL));
    MF_CHECK(mf_hub_open_dir(path, false, NULL) < 0);
    mf_buf_init(&back);
    MF_CHECK_OK(mf_hub_read_file(dir, "kept", 10, &back, NULL));
    MF_CHECK_INT(back.n, 1);
    mf_buf_fini(&back);
    (void)close(dir);
}

MF_TEST(hub, reads_no_file_beyond_its_bound)
{
    struct mf_buf back;
    int dir = open_room();

    write_text(dir, "three", "abc");
    mf_buf_init(&back);
    MF_CHECK_INT(mf_hub_read_file(dir, "three", 2, &back, NULL), MF_ETOOBIG);
    mf_buf_fini(&back);
    (void)close(dir);
}

MF_TEST(hub, reads_a_manifest_or_says_that_memory_ended)
{
    struct mf_manifest m = one_file(), back;
    int dir = open_room(), rc = MF_ENOMEM;

    MF_CHECK_OK(mf_manifest_write(&m, dir, NULL));
    for (size_t n = 1; rc != 0; n++) {
        mf_test_fail_nth(n);
        rc = mf_manifest_read(&back, dir, NULL);
        if (rc == 0) {
            rc = mf_manifest_check(&back.files[0], dir, NULL);
            rc = rc == MF_ENOTFOUND ? 0 : rc; /* the file itself is not there */
        }
        mf_test_fail_nth(0);
        MF_CHECK(rc == 0 || rc == MF_ENOMEM);
    }
    (void)close(dir);
}
