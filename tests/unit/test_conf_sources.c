/* SPDX-License-Identifier: Apache-2.0 */
/* Where values come from, in which order, and the rules for values together. */
#include "lib/test_file.h"
#include "unit/conf_kit.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

MF_TEST(conf_env, two_underscores_stand_for_a_dot)
{
    char *const env[] = {(char[]){"PATH=/bin"},
                         (char[]){"MEMFUSE__BUFFER__ROUND_BUFFER__MAX_SIZE=9"},
                         (char[]){"MEMFUSE__DATA__DIR=/a=b"},
                         (char[]){"MEMFUSE_BIN=/bin/memfuse"},
                         (char[]){"MEMFUSE_API_KEY=secret"},
                         NULL};
    struct conf_kit k;

    conf_kit_open(&k);
    MF_CHECK_OK(mf_conf_read_env(&k.c, env, &k.r));
    MF_CHECK_INT(k.c.buffer_round_max_size, 9);
    MF_CHECK_STR(k.c.data_dir, "/a=b");
    conf_kit_close(&k);
}

MF_TEST(conf_env, a_bad_variable_is_told_by_its_name)
{
    char *const env[] = {(char[]){"MEMFUSE__SERVER__PORT=x"},
                         (char[]){"MEMFUSE__SERVER__PROT=1"},
                         (char[]){"MEMFUSE__=1"},
                         (char[]){"MEMFUSE_BUFFER_ENABLED=maybe"},
                         (char[]){"MEMFUSE__SERVER__BACKLOG=7"},
                         NULL};
    struct conf_kit k;

    conf_kit_open(&k);
    MF_CHECK_INT(mf_conf_read_env(&k.c, env, &k.r), MF_EINVAL);
    MF_CHECK_INT(k.r.n_problems, 4);
    conf_kit_says(
        &k,
        "MEMFUSE_BUFFER_ENABLED: buffer.enabled: must be true or false, not maybe\n"
        "MEMFUSE__SERVER__PORT: server.port: must be a whole number, 0 to 65535, not x\n"
        "MEMFUSE__SERVER__PROT: unknown key 'server.prot' (did you mean 'server.port'?)\n"
        "MEMFUSE__: unknown key '\"\"'\n");
    MF_CHECK_INT(k.c.server_backlog, 7);
    conf_kit_close(&k);
}

MF_TEST(conf_env, the_buffers_other_name_works_and_yields_to_the_first)
{
    char *const other[] = {(char[]){"MEMFUSE_BUFFER_ENABLED=false"}, NULL};
    char *const both[] = {(char[]){"MEMFUSE__BUFFER__ENABLED=true"},
                          (char[]){"MEMFUSE_BUFFER_ENABLED=false"}, NULL};
    struct conf_kit k;

    conf_kit_open(&k);
    MF_CHECK_OK(mf_conf_read_env(&k.c, other, &k.r));
    MF_CHECK(!k.c.buffer_enabled);
    MF_CHECK_OK(mf_conf_read_env(&k.c, both, &k.r));
    MF_CHECK(k.c.buffer_enabled);
    conf_kit_close(&k);
}

MF_TEST(conf_set, takes_key_and_value_and_the_last_one_counts)
{
    struct conf_kit k;

    conf_kit_open(&k);
    MF_CHECK_OK(conf_kit_set(&k, "server.port=1"));
    MF_CHECK_OK(conf_kit_set(&k, "server.port=2"));
    MF_CHECK_INT(k.c.server_port, 2);
    MF_CHECK_OK(conf_kit_set(&k, "data.dir=a=b"));
    MF_CHECK_STR(k.c.data_dir, "a=b");
    MF_CHECK_INT(conf_kit_set(&k, "server.port"), MF_EINVAL);
    MF_CHECK_INT(conf_kit_set(&k, "=1"), MF_EINVAL);
    MF_CHECK_INT(conf_kit_set(&k, "serverport=1"), MF_EINVAL);
    conf_kit_says(&k,
                  "--set: 'server.port' is not section.key=value\n"
                  "--set: unknown key '\"\"'\n"
                  "--set: unknown key 'serverport' (did you mean 'server.port'?)\n");
    conf_kit_close(&k);
}

MF_TEST(conf_file, later_sources_win)
{
    char *const env[] = {(char[]){"MEMFUSE__LIMITS__JSON_DEPTH=13"},
                         (char[]){"MEMFUSE__LIMITS__NAME_BYTES=103"}, NULL};
    const char *dir = mf_test_tmpdir();
    struct conf_kit k;
    char sub[256];

    (void)snprintf(sub, sizeof(sub), "%s/m.yaml.d", dir);
    MF_CHECK_OK(mkdir(sub, 0700));
    mf_test_text(sub, "20-b.yaml", "limits: {json_depth: 12, name_bytes: 102}\n");
    mf_test_text(sub, "10-a.yaml", "limits: {json_depth: 11, ids_per_request: 11}\n");
    mf_test_text(sub, ".hidden.yaml", "nonsense: 1\n");
    mf_test_text(sub, "notes.txt", "nonsense: 1\n");
    mf_test_text(sub, ".yaml", "nonsense: 1\n");
    conf_kit_open(&k);
    MF_CHECK_OK(
        mf_conf_read_file(&k.c,
                          mf_test_text(dir, "m.yaml",
                                       "limits: {json_depth: 10, ids_per_request: 10, "
                                       "messages_per_add: 10}\n"),
                          &k.r));
    MF_CHECK_OK(mf_conf_read_dir(&k.c, sub, &k.r));
    MF_CHECK_INT(k.c.limits_messages_per_add, 10);
    MF_CHECK_INT(k.c.limits_ids_per_request, 11);
    MF_CHECK_INT(k.c.limits_json_depth, 12);
    MF_CHECK_INT(k.c.limits_name_bytes, 102);
    MF_CHECK_OK(mf_conf_read_env(&k.c, env, &k.r));
    MF_CHECK_INT(k.c.limits_json_depth, 13);
    MF_CHECK_OK(conf_kit_set(&k, "limits.name_bytes=104"));
    MF_CHECK_INT(k.c.limits_name_bytes, 104);
    conf_kit_close(&k);
}

MF_TEST(conf_file, problems_of_all_files_are_told_with_their_paths)
{
    const char *dir = mf_test_tmpdir();
    struct conf_kit k;
    char want[2048];
    char sub[256];

    (void)snprintf(sub, sizeof(sub), "%s/all.d", dir);
    MF_CHECK_OK(mkdir(sub, 0700));
    mf_test_text(sub, "b.yaml", "y: 1\n");
    mf_test_text(sub, "a.yaml", "\nx: 1\n");
    conf_kit_open(&k);
    MF_CHECK_INT(mf_conf_read_dir(&k.c, sub, &k.r), MF_EINVAL);
    (void)snprintf(want, sizeof(want),
                   "%s/a.yaml:2: unknown key 'x'\n%s/b.yaml:1: unknown key 'y'\n", sub,
                   sub);
    conf_kit_says(&k, want);
    conf_kit_close(&k);
}

MF_TEST(conf_file, a_missing_folder_is_fine_and_a_missing_file_is_not)
{
    struct conf_kit k;

    conf_kit_open(&k);
    MF_CHECK_OK(mf_conf_read_dir(&k.c, "/nowhere/at/all.d", &k.r));
    MF_CHECK_INT(mf_conf_read_file(&k.c, "/nowhere/m.yaml", &k.r), MF_EINVAL);
    MF_CHECK_INT(mf_conf_read_dir(&k.c, "/dev/null", &k.r), MF_EINVAL);
    MF_CHECK_INT(mf_conf_read_file(&k.c, "/", &k.r), MF_EINVAL);
    conf_kit_says(&k, "/nowhere/m.yaml: cannot be read: No such file or directory\n"
                      "/dev/null: cannot be read: Not a directory\n"
                      "/: cannot be read: Is a directory\n");
    conf_kit_close(&k);
}

MF_TEST(conf_file, an_endless_file_is_refused)
{
    struct conf_kit k;

    conf_kit_open(&k);
    MF_CHECK_INT(mf_conf_read_file(&k.c, "/dev/zero", &k.r), MF_EINVAL);
    conf_kit_says(&k, "/dev/zero: larger than 1 MiB\n");
    conf_kit_close(&k);
}

/* Each setting alone, then the check. NULL: all is well. */
static void check_says(const char *const *settings, size_t n, const char *report)
{
    struct conf_kit k;

    conf_kit_open(&k);
    for (size_t i = 0; i < n; i++) {
        MF_CHECK_OK(conf_kit_set(&k, settings[i]));
    }
    MF_CHECK_INT(mf_conf_check(&k.c, &k.r), report == NULL ? 0 : MF_EINVAL);
    conf_kit_says(&k, report == NULL ? "" : report);
    conf_kit_close(&k);
}

#define CHECK_SAYS(report, ...)                                                        \
    check_says((const char *const[]){__VA_ARGS__},                                     \
               sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *), report)

MF_TEST(conf_check, only_loopback_is_served_without_keys)
{
    static const char *const local[] = {"127.0.0.1", "127.9.9.9", "::1", "localhost",
                                        "unix:/run/m"};
    static const char *const open[] = {
        "0.0.0.0",           "::",        "192.168.1.2", "127.evil.example",
        "localhost.example", "memfuse",   "*",           "fe80::1",
        "128.0.0.1",         "126.0.0.1", "27.0.0.1"};
    char host[64], want[256];

    for (size_t i = 0; i < mf_countof(local); i++) {
        (void)snprintf(host, sizeof(host), "server.host=%s", local[i]);
        CHECK_SAYS(NULL, host);
    }
    for (size_t i = 0; i < mf_countof(open); i++) {
        (void)snprintf(host, sizeof(host), "server.host=%s", open[i]);
        (void)snprintf(want, sizeof(want),
                       "server.host: '%s' is not loopback: everybody on the network "
                       "could read all memories; set server.api_key_validation to "
                       "true\n",
                       open[i]);
        CHECK_SAYS(want, host);
        CHECK_SAYS(NULL, host, "server.api_key_validation=true",
                   "server.admin_key_file=k");
    }
}

MF_TEST(conf_check, keys_need_the_administrators)
{
    CHECK_SAYS("server.admin_key_file: is needed with server.api_key_validation: the "
               "first keys are made with the administrator's\n",
               "server.api_key_validation=true");
}

MF_TEST(conf_check, some_numbers_have_a_hole)
{
    CHECK_SAYS("flush.priority_levels: must be 3 or 5, not 4\n",
               "flush.priority_levels=4");
    CHECK_SAYS(NULL, "flush.priority_levels=3");
    CHECK_SAYS("server.delete_user_status: must be 200 or 204, not 202\n",
               "server.delete_user_status=202");
    CHECK_SAYS(NULL, "server.delete_user_status=200");
}

MF_TEST(conf_check, a_first_pause_is_not_longer_than_the_longest)
{
    CHECK_SAYS("flush.retry_first: is longer than flush.retry_max\n"
               "embed.retry_first: is longer than embed.retry_max\n",
               "flush.retry_first=31", "embed.retry_first=31");
    CHECK_SAYS(NULL, "flush.retry_first=30", "embed.retry_first=30");
}

MF_TEST(conf_check, what_may_be_sent_can_be_taken)
{
    CHECK_SAYS("limits.message_bytes: is larger than server.max_body_bytes: what is so "
               "large could never pass\n",
               "limits.message_bytes=1MiB", "server.max_body_bytes=1048575");
    CHECK_SAYS(NULL, "limits.message_bytes=1MiB", "server.max_body_bytes=1MiB");
    CHECK_SAYS(
        "server.max_body_bytes: is larger than server.max_buffered_bytes: what is "
        "so large could never pass\n"
        "limits.message_bytes: is larger than buffer.max_bytes: what is so large "
        "could never pass\n"
        "limits.message_bytes: is larger than journal.max_bytes: what is so large "
        "could never pass\n",
        "limits.message_bytes=2MiB", "server.max_buffered_bytes=2MiB",
        "buffer.max_bytes=1MiB", "journal.max_bytes=1MiB");
}
