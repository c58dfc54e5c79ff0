/* SPDX-License-Identifier: Apache-2.0 */
/* One value into one key: what each type takes, and its bounds. */
#include "unit/conf_kit.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static void takes(const char *assignment)
{
    struct conf_kit k;

    conf_kit_open(&k);
    if (conf_kit_set(&k, assignment) != 0) {
        fail_msg("refused: %s", assignment);
    }
    conf_kit_close(&k);
}

static void refuses(const char *assignment)
{
    struct conf_kit k, untouched;

    conf_kit_open(&k);
    conf_kit_open(&untouched);
    if (conf_kit_set(&k, assignment) != MF_EINVAL || k.r.n_problems != 1) {
        fail_msg("taken: %s", assignment);
    }
    conf_kit_same(&k.c, &untouched.c);
    conf_kit_close(&untouched);
    conf_kit_close(&k);
}

MF_TEST(conf, defaults_are_those_of_the_table_and_pass_the_check)
{
    struct conf_kit k;

    conf_kit_open(&k);
    MF_CHECK_STR(k.c.server_host, "127.0.0.1");
    MF_CHECK_INT(k.c.server_port, 8765);
    MF_CHECK(!k.c.server_api_key_validation);
    MF_CHECK_INT(k.c.server_max_body_bytes, 8 << 20);
    MF_CHECK_INT(k.c.buffer_round_max_size, 5);
    MF_CHECK_INT(k.c.buffer_round_max_tokens, 800);
    MF_CHECK_INT(k.c.buffer_flush_interval_ms, 60000);
    MF_CHECK(k.c.recall_w == 0.7);
    MF_CHECK_STR(k.c.log_level, "info");
    MF_CHECK_OK(mf_conf_check(&k.c, &k.r));
    conf_kit_close(&k);
}

MF_TEST(conf, every_default_lies_within_its_own_bounds)
{
    size_t n;
    const struct mf_conf_key *keys = mf_conf_keys(&n);

    MF_CHECK(n > 90);
    for (size_t i = 0; i < n; i++) {
        struct conf_kit k;
        struct mf_buf text;

        conf_kit_open(&k);
        mf_buf_init(&text);
        mf_buf_addf(&text, "%s=", keys[i].name);
        if (keys[i].type == MF_CONF_STR || keys[i].type == MF_CONF_ENUM) {
            mf_buf_add_str(&text, keys[i].text);
        } else {
            mf_conf_key_print(NULL, &keys[i], true, &text);
        }
        mf_buf_add_char(&text, '\0');
        if (conf_kit_set(&k, text.p) != 0) {
            fail_msg("refused: %s", text.p);
        }
        mf_buf_fini(&text);
        conf_kit_close(&k);
    }
}

static bool is_number(const struct mf_conf_key *key)
{
    return key->type == MF_CONF_UINT || key->type == MF_CONF_SIZE ||
           key->type == MF_CONF_TIME || key->type == MF_CONF_REAL;
}

static void assign(char *out, size_t cap, const struct mf_conf_key *key, double v)
{
    (void)snprintf(out, cap, "%s=%.17g%s", key->name, v,
                   key->type == MF_CONF_TIME ? "ms" : "");
}

MF_TEST(conf, every_number_takes_its_bounds_and_nothing_one_step_beyond)
{
    size_t n, n_numbers = 0;
    const struct mf_conf_key *keys = mf_conf_keys(&n);

    for (size_t i = 0; i < n; i++) {
        bool is_real = keys[i].type == MF_CONF_REAL;
        char text[160];

        if (!is_number(&keys[i])) {
            continue;
        }
        n_numbers++;
        assign(text, sizeof(text), &keys[i], keys[i].min);
        takes(text);
        assign(text, sizeof(text), &keys[i], keys[i].max);
        takes(text);
        assign(text, sizeof(text), &keys[i],
               is_real ? nextafter(keys[i].max, DBL_MAX) : keys[i].max + 1);
        refuses(text);
        assign(text, sizeof(text), &keys[i],
               is_real ? nextafter(keys[i].min, -DBL_MAX) : keys[i].min - 1);
        refuses(text);
        assign(text, sizeof(text), &keys[i],
               is_real ? nextafter(keys[i].max, 0) : keys[i].max - 1);
        takes(text);
    }
    MF_CHECK(n_numbers > 70);
}

MF_TEST(conf, every_text_takes_its_longest_and_nothing_longer)
{
    size_t n;
    const struct mf_conf_key *keys = mf_conf_keys(&n);

    for (size_t i = 0; i < n; i++) {
        struct conf_kit k;
        char text[8192];
        struct mf_err err = {0};
        size_t max = (size_t)keys[i].max, min = (size_t)keys[i].min;

        if (keys[i].type != MF_CONF_STR) {
            continue;
        }
        MF_CHECK(max + 1 < sizeof(text));
        memset(text, 'a', sizeof(text));
        conf_kit_open(&k);
        MF_CHECK_OK(mf_conf_key_set(&k.c, &keys[i], mf_slice_of(text, max), &err));
        MF_CHECK_OK(mf_conf_key_set(&k.c, &keys[i], mf_slice_of(text, min), &err));
        MF_CHECK_INT(mf_conf_key_set(&k.c, &keys[i], mf_slice_of(text, max + 1), &err),
                     MF_EINVAL);
        if (min > 0) {
            MF_CHECK_INT(
                mf_conf_key_set(&k.c, &keys[i], mf_slice_of(text, min - 1), &err),
                MF_EINVAL);
        }
        conf_kit_close(&k);
    }
}

MF_TEST(conf, a_yes_or_no_has_eight_words_in_any_case)
{
    static const char *const yes[] = {"true", "yes", "on", "1", "TRUE", "Yes"};
    static const char *const no[] = {"false", "no", "off", "0", "False", "OFF"};
    static const char *const bad[] = {"", "2", "y", "t", "truee", " true", "-1"};
    char text[64];

    for (size_t i = 0; i < mf_countof(yes); i++) {
        struct conf_kit k;

        conf_kit_open(&k);
        (void)snprintf(text, sizeof(text), "server.strict_upstream=%s", yes[i]);
        MF_CHECK_OK(conf_kit_set(&k, text));
        MF_CHECK(k.c.server_strict_upstream);
        (void)snprintf(text, sizeof(text), "server.strict_upstream=%s", no[i]);
        MF_CHECK_OK(conf_kit_set(&k, text));
        MF_CHECK(!k.c.server_strict_upstream);
        conf_kit_close(&k);
    }
    for (size_t i = 0; i < mf_countof(bad); i++) {
        (void)snprintf(text, sizeof(text), "server.strict_upstream=%s", bad[i]);
        refuses(text);
    }
}

MF_TEST(conf, a_word_must_be_one_of_the_list)
{
    struct conf_kit k;

    takes("recall.vectors=f32");
    takes("log.level=debug");
    refuses("recall.vectors=");
    refuses("recall.vectors=int");
    refuses("recall.vectors=int8|f32");
    refuses("recall.vectors=INT8");
    conf_kit_open(&k);
    MF_CHECK_INT(conf_kit_set(&k, "recall.vectors=f16"), MF_EINVAL);
    conf_kit_says(&k, "--set: recall.vectors: must be int8 or f32, not f16\n");
    conf_kit_close(&k);
}

MF_TEST(conf, a_whole_number_is_nothing_else)
{
    static const char *const bad[] = {"",     "abc", "1.5", "1a",   "-1",   "0x10",
                                      "0X10", "inf", "nan", "-inf", "+nan", "1e400",
                                      " 5",   "1_0", "--5", ".",    "5;6",  "99999"};
    struct conf_kit k;
    char text[64];

    for (size_t i = 0; i < mf_countof(bad); i++) {
        (void)snprintf(text, sizeof(text), "server.port=%s", bad[i]);
        refuses(text);
    }
    conf_kit_open(&k);
    MF_CHECK_OK(conf_kit_set(&k, "server.port=1e3"));
    MF_CHECK_INT(k.c.server_port, 1000);
    MF_CHECK_INT(conf_kit_set(&k, "server.port=65536"), MF_EINVAL);
    conf_kit_says(&k, "--set: server.port: must be a whole number, 0 to 65535, not "
                      "65536\n");
    conf_kit_close(&k);
}

MF_TEST(conf, sizes_have_units)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {{"2048", 2048},       {"2048B", 2048},   {"2KiB", 2048},
                {"2 KiB", 2048},      {"2kb", 2048},     {"2K", 2048},
                {"1.5MiB", 3u << 19}, {"3MB", 3u << 20}, {"3m", 3u << 20},
                {"1GiB", 1u << 30},   {"1G", 1u << 30}};

    static const char *const bad[] = {"1TiB", "1Ki", "KiB", "1.3", "0.0001KiB", "1s"};
    char text[64];

    for (size_t i = 0; i < mf_countof(good); i++) {
        struct conf_kit k;

        conf_kit_open(&k);
        (void)snprintf(text, sizeof(text), "server.max_body_bytes=%s", good[i].text);
        MF_CHECK_OK(conf_kit_set(&k, text));
        MF_CHECK_INT(k.c.server_max_body_bytes, good[i].bytes);
        conf_kit_close(&k);
    }
    for (size_t i = 0; i < mf_countof(bad); i++) {
        (void)snprintf(text, sizeof(text), "server.max_body_bytes=%s", bad[i]);
        refuses(text);
    }
}

MF_TEST(conf, times_are_seconds_or_have_units_and_are_kept_in_ms)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } good[] = {{"2", 2000},     {"0.25", 250},    {"1.001", 1001},
                {"250ms", 250},  {"3s", 3000},     {"2 m", 120000},
                {"1h", 3600000}, {"1d", 86400000}, {"0.0101", 10}};

    static const char *const bad[] = {"2 weeks", "s", "1hm", "-1", "1KiB", "9ms"};
    char text[64];

    for (size_t i = 0; i < mf_countof(good); i++) {
        struct conf_kit k;

        conf_kit_open(&k);
        (void)snprintf(text, sizeof(text), "buffer.performance.force_flush_timeout=%s",
                       good[i].text);
        MF_CHECK_OK(conf_kit_set(&k, text));
        MF_CHECK_INT(k.c.buffer_force_flush_timeout_ms, good[i].ms);
        conf_kit_close(&k);
    }
    for (size_t i = 0; i < mf_countof(bad); i++) {
        (void)snprintf(text, sizeof(text), "buffer.performance.force_flush_timeout=%s",
                       bad[i]);
        refuses(text);
    }
}

MF_TEST(conf, a_number_ends_where_its_text_ends)
{
    const struct mf_conf_key *port = mf_conf_key_find(MF_SLICE("server.port"));
    struct conf_kit k;
    struct mf_err err = {0};
    char longest[80];

    conf_kit_open(&k);
    MF_CHECK_INT(mf_conf_key_set(&k.c, port, MF_SLICE("80\0x"), &err), MF_EINVAL);
    MF_CHECK_OK(mf_conf_key_set(&k.c, port, mf_slice_of("8080", 2), &err));
    MF_CHECK_INT(k.c.server_port, 80);
    memset(longest, '0', sizeof(longest));
    MF_CHECK_INT(mf_conf_key_set(&k.c, port, mf_slice_of(longest, 64), &err),
                 MF_EINVAL);
    MF_CHECK_OK(mf_conf_key_set(&k.c, port, mf_slice_of(longest, 63), &err));
    conf_kit_close(&k);
}

MF_TEST(conf, a_text_is_one_line_of_utf8)
{
    static const char *const bad[] = {"\x01",
                                      "\n",
                                      "\x7f",
                                      "\xc2\x80", /* C1 */
                                      "\xc2\x85",
                                      "\xe2\x80\xa8",
                                      "\xef\xbb\xbf",
                                      "\xff",
                                      "\xc3",
                                      "\xc3(",
                                      "\xed\xa0\x80",
                                      "\xc0\xaf",
                                      "\xe0\x80\xaf",
                                      "\xe2\x82",
                                      "\xf4\x90\x80\x80",
                                      "\x80",
                                      "\xef\xbf\xbe",
                                      "\xf0\x80\x80\xaf"};
    const struct mf_conf_key *dir = mf_conf_key_find(MF_SLICE("data.dir"));
    struct conf_kit k;
    struct mf_err err = {0};

    for (size_t i = 0; i < mf_countof(bad); i++) {
        char text[64];

        (void)snprintf(text, sizeof(text), "data.dir=a%s", bad[i]);
        refuses(text);
    }
    conf_kit_open(&k);
    MF_CHECK_OK(conf_kit_set(&k, "data.dir=B\xc3\xbc"
                                 "cher \xe2\x82\xac \xf0\x9f\x99\x82"));
    MF_CHECK_STR(k.c.data_dir, "B\xc3\xbc"
                               "cher \xe2\x82\xac \xf0\x9f\x99\x82");
    MF_CHECK_INT(mf_conf_key_set(&k.c, dir, MF_SLICE("a\0b"), &err), MF_EINVAL);
    conf_kit_close(&k);
}

MF_TEST(conf, key_names_are_unique_and_described)
{
    size_t n;
    const struct mf_conf_key *keys = mf_conf_keys(&n);

    for (size_t i = 0; i < n; i++) {
        MF_CHECK_PTR(mf_conf_key_find(mf_slice_str(keys[i].name)), &keys[i]);
        MF_CHECK(strlen(keys[i].doc) > 3);
        MF_CHECK(strchr(keys[i].doc, '|') == NULL); /* would end a cell of the table */
        MF_CHECK(!mf_conf_is_section(mf_slice_str(keys[i].name)));
    }
    MF_CHECK(mf_conf_is_section(MF_SLICE("buffer.performance")));
    MF_CHECK(!mf_conf_is_section(MF_SLICE("buff")));
    MF_CHECK(!mf_conf_is_section(MF_SLICE("")));
}
