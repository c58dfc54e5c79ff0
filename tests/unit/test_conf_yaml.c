/* SPDX-License-Identifier: Apache-2.0 */
/* Files: nesting, and every way to get them wrong, told with its line. */
#include "unit/conf_kit.h"

#include "base/mem.h"

#include <string.h>

/* The text is refused, and this is all that is said. */
static void says(const char *yaml, const char *report)
{
    struct conf_kit k;

    conf_kit_open(&k);
    MF_CHECK_INT(conf_kit_yaml(&k, yaml), MF_EINVAL);
    MF_CHECK(k.r.n_problems > 0);
    conf_kit_says(&k, report);
    conf_kit_close(&k);
}

MF_TEST(conf_yaml, nested_sections_make_the_name_of_a_key)
{
    struct conf_kit k;

    conf_kit_open(&k);
    MF_CHECK_OK(conf_kit_yaml(&k,
                              "# first\n"
                              "server:\n  port: 9000\n  host: \"::1\"\n"
                              "buffer:\n"
                              "  round_buffer:\n    max_size: 7\n    max_tokens: 900\n"
                              "  hybrid_buffer: {max_size: 8}\n"
                              "  max_bytes: 64MiB\n"
                              "log.level: debug\n"
                              "data: {dir: '/srv/my data'}\n"));
    MF_CHECK_INT(k.c.server_port, 9000);
    MF_CHECK_STR(k.c.server_host, "::1");
    MF_CHECK_INT(k.c.buffer_round_max_size, 7);
    MF_CHECK_INT(k.c.buffer_round_max_tokens, 900);
    MF_CHECK_INT(k.c.buffer_hybrid_max_size, 8);
    MF_CHECK_INT(k.c.buffer_max_bytes, 64 << 20);
    MF_CHECK_STR(k.c.log_level, "debug");
    MF_CHECK_STR(k.c.data_dir, "/srv/my data");
    MF_CHECK_INT(k.c.server_backlog, 1024);
    conf_kit_close(&k);
}

MF_TEST(conf_yaml, nothing_changes_nothing)
{
    static const char *const texts[] = {"",
                                        "\n\n",
                                        "# only words\n",
                                        "---\n",
                                        "---\n...\n",
                                        "~\n",
                                        "{}\n",
                                        "server:\n  # port: 1\n",
                                        "server: ~\nbuffer: null\n"};

    for (size_t i = 0; i < mf_countof(texts); i++) {
        struct conf_kit k, untouched;

        conf_kit_open(&k);
        conf_kit_open(&untouched);
        MF_CHECK_OK(conf_kit_yaml(&k, texts[i]));
        conf_kit_same(&k.c, &untouched.c);
        conf_kit_close(&untouched);
        conf_kit_close(&k);
    }
}

MF_TEST(conf_yaml, a_key_left_empty_is_an_empty_value)
{
    struct conf_kit k;

    conf_kit_open(&k);
    MF_CHECK_OK(conf_kit_set(&k, "server.admin_key_file=k"));
    MF_CHECK_OK(conf_kit_yaml(&k, "server:\n  admin_key_file: null\n"));
    MF_CHECK_STR(k.c.server_admin_key_file, "");
    MF_CHECK_OK(conf_kit_yaml(&k, "server:\n  admin_key_file: \"null\"\n"));
    MF_CHECK_STR(k.c.server_admin_key_file, "null");
    conf_kit_close(&k);
    says("server:\n  host:\n",
         "f.yaml:2: server.host: must be 1 to 255 bytes long, not "
         "\"\"\n");
}

MF_TEST(conf_yaml, an_unknown_key_names_the_nearest)
{
    says("server:\n  prot: 1\n",
         "f.yaml:2: unknown key 'server.prot' (did you mean 'server.port'?)\n");
    says("buffer:\n  round_buffer:\n\n    maxsize: 1\n",
         "f.yaml:4: unknown key 'buffer.round_buffer.maxsize' (did you mean "
         "'buffer.round_buffer.max_size'?)\n");
    says("a: {b: {c: {d: {e: {f: {g: {h: 1}}}}}}}\n",
         "f.yaml:1: unknown key 'a.b.c.d.e.f.g.h'\n");
    says("server:\n  port: {tcp: 1}\n",
         "f.yaml:2: unknown key 'server.port.tcp' (did you mean 'server.port'?)\n");
    says("server: 80\n", "f.yaml:1: 'server' is a section: it takes keys, no value\n");
}

MF_TEST(conf_yaml, all_problems_are_told_at_once)
{
    struct conf_kit k;

    conf_kit_open(&k);
    MF_CHECK_INT(conf_kit_yaml(&k, "server:\n  port: high\n  backlog: 0\n"
                                   "journall: 1\nlog:\n  level: loud\n  x: 1\n"),
                 MF_EINVAL);
    MF_CHECK_INT(k.r.n_problems, 5);
    conf_kit_says(
        &k, "f.yaml:2: server.port: must be a whole number, 0 to 65535, not high\n"
            "f.yaml:3: server.backlog: must be a whole number, 1 to 65535, not 0\n"
            "f.yaml:4: unknown key 'journall'\n"
            "f.yaml:6: log.level: must be error or warn or info or debug, not loud\n"
            "f.yaml:7: unknown key 'log.x'\n");
    conf_kit_close(&k);
}

MF_TEST(conf_yaml, what_is_good_is_taken_beside_what_is_bad)
{
    struct conf_kit k;

    conf_kit_open(&k);
    MF_CHECK_INT(conf_kit_yaml(&k, "server:\n  prot: 1\n  port: 81\n"), MF_EINVAL);
    MF_CHECK_INT(k.c.server_port, 81);
    conf_kit_close(&k);
}

MF_TEST(conf_yaml, nothing_may_stand_twice)
{
    says("server:\n  port: 1\n  port: 2\n", "f.yaml:3: the key stands here twice\n");
    says("server.port: 1\nserver:\n  port: 2\n",
         "f.yaml:3: the key stands here twice\n");
    says("server:\n  port: 1\nlog:\n  level: info\nserver:\n  backlog: 2\n",
         "f.yaml:6: the section stands here twice\n");
    says(
        "---\nserver:\n  port: 1\n---\nserver:\n  port: 1\n",
        "f.yaml:6: the section stands here twice\nf.yaml:6: the key stands here twice\n");
}

MF_TEST(conf_yaml, other_shapes_are_refused)
{
    says("server:\n  host: [a, b]\n", "f.yaml:2: no key takes a list\n");
    says("server:\n  host: [a, {b: [c]}]\n  prt: 1\nlog: *x\ndta: 1\n",
         "f.yaml:2: no key takes a list\n"
         "f.yaml:3: unknown key 'server.prt' (did you mean 'server.port'?)\n"
         "f.yaml:4: aliases are not taken\n"
         "f.yaml:5: unknown key 'dta'\n");
    says("- server\n", "f.yaml:1: no key takes a list\n");
    says("server: &x\n  port: 1\nlog: *x\n", "f.yaml:3: aliases are not taken\n");
    says("server\n", "f.yaml:1: sections with keys were expected, not a lone value\n");
    says("server:\n  ? {a: 1}\n  : 2\n", "f.yaml:2: a key must be a word\n");
    says("? [a]\n: 2\n", "f.yaml:1: no key takes a list\n");
    says("\"server.port\\0x\": 2\n", "f.yaml:1: a key is too long or not a word\n");
}

MF_TEST(conf_yaml, broken_yaml_is_told_with_its_line)
{
    struct conf_kit k;

    says("server:\n  port: 1\n  host: \"x\n",
         "f.yaml:4: found unexpected end of stream\n");
    says("server:\n\tport: 1\n",
         "f.yaml:2: found character that cannot start any token\n");
    conf_kit_open(&k);
    MF_CHECK_INT(conf_kit_yaml(&k, "server:\n  port: 1\n  host: a\xff\n"), MF_EINVAL);
    MF_CHECK(k.r.text.n > 10);
    MF_CHECK_MEM(k.r.text.p, "f.yaml:3: ", 10);
    conf_kit_close(&k);
}

MF_TEST(conf_yaml, nesting_ends_at_eight)
{
    says("a: {b: {c: {d: {e: {f: {g: {h: {i: 1}}}}}}}}\n",
         "f.yaml:1: too deeply nested\n");
}

MF_TEST(conf_yaml, a_key_has_an_end)
{
    char text[256];

    memset(text, 'k', sizeof(text));
    memcpy(text + 192, ": 1\n", 5);
    says(text, "f.yaml:1: a key is too long or not a word\n");
}

MF_TEST(conf_yaml, one_mebibyte_is_taken_and_one_byte_more_is_not)
{
    size_t n = (size_t)1 << 20;
    char *text = mf_malloc(n + 1);
    struct conf_kit k;

    MF_CHECK(text != NULL);
    memcpy(text, "log.level: warn\n", 16);
    memset(text + 16, '\n', n + 1 - 16);
    conf_kit_open(&k);
    MF_CHECK_OK(mf_conf_read_yaml(&k.c, mf_slice_of(text, n), "f.yaml", &k.r));
    MF_CHECK_STR(k.c.log_level, "warn");
    MF_CHECK_INT(mf_conf_read_yaml(&k.c, mf_slice_of(text, n + 1), "f.yaml", &k.r),
                 MF_EINVAL);
    conf_kit_says(&k, "f.yaml: larger than 1 MiB\n");
    conf_kit_close(&k);
    mf_free(text);
}

MF_TEST(conf_yaml, a_long_path_does_not_hide_the_line)
{
    char path[1024];
    struct conf_kit k;

    memset(path, 'p', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    conf_kit_open(&k);
    MF_CHECK_INT(mf_conf_read_yaml(&k.c, MF_SLICE("\nx: 1\n"), path, &k.r), MF_EINVAL);
    MF_CHECK(k.r.text.n > sizeof(path));
    MF_CHECK_MEM(k.r.text.p + sizeof(path) - 1, ":2: ", 4);
    conf_kit_close(&k);
}
