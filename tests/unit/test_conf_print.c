/* SPDX-License-Identifier: Apache-2.0 */
/* What is printed reads back as the same settings. */
#include "unit/conf_kit.h"

#include "conf/dsn_mask.h"

#include <stdio.h>
#include <string.h>

static void check_round_trip(struct conf_kit *k)
{
    struct conf_kit again;
    struct mf_buf out;

    mf_buf_init(&out);
    mf_conf_print(&k->c, &out);
    MF_CHECK_OK(mf_buf_status(&out));
    conf_kit_open(&again);
    if (mf_conf_read_yaml(&again.c, mf_slice_of(out.p, out.n), "printed", &again.r) !=
        0) {
        fail_msg("%.*s", (int)again.r.text.n, again.r.text.p);
    }
    conf_kit_same(&again.c, &k->c);
    conf_kit_close(&again);
    mf_buf_fini(&out);
}

MF_TEST(conf_print, defaults_read_back)
{
    struct conf_kit k;

    conf_kit_open(&k);
    check_round_trip(&k);
    conf_kit_close(&k);
}

/* A value of the key that is not its default. */
static void other_value(const struct mf_conf_key *key, char *out, size_t cap)
{
    double v = key->def == key->min ? key->max : key->min;

    switch (key->type) {
    case MF_CONF_STR:
        (void)snprintf(out, cap, "%s=%s", key->name,
                       key->is_dsn ? "dbname='a \"b\" \\\\c: #d'"
                                   : "a \"b\" \\c: #d 'e' \xc3\xbc {");
        return;
    case MF_CONF_ENUM:
        (void)snprintf(out, cap, "%s=%s", key->name,
                       strrchr(key->words, '|') ? strrchr(key->words, '|') + 1
                                                : key->words);
        return;
    case MF_CONF_BOOL:
        (void)snprintf(out, cap, "%s=%d", key->name, key->def == 0);
        return;
    case MF_CONF_REAL:
        (void)snprintf(out, cap, "%s=%.17g", key->name, (key->min + key->max) / 3);
        return;
    case MF_CONF_UINT:
    case MF_CONF_SIZE:
    case MF_CONF_TIME: break;
    }
    (void)snprintf(out, cap, "%s=%.0f%s", key->name, v,
                   key->type == MF_CONF_TIME ? "ms" : "");
}

MF_TEST(conf_print, every_key_reads_back_when_changed)
{
    size_t n;
    const struct mf_conf_key *keys = mf_conf_keys(&n);
    struct conf_kit k;

    conf_kit_open(&k);
    for (size_t i = 0; i < n; i++) {
        char text[256];

        other_value(&keys[i], text, sizeof(text));
        if (conf_kit_set(&k, text) != 0) {
            fail_msg("refused: %s", text);
        }
    }
    check_round_trip(&k);
    conf_kit_close(&k);
}

MF_TEST(conf_print, numbers_between_units_read_back)
{
    static const char *const settings[] = {"recall.bm25_k1=0.1",
                                           "recall.vector_weight=0.123456789012345",
                                           "server.max_body_bytes=1048577",
                                           "server.max_body_bytes=1.5MiB",
                                           "server.header_timeout=1234ms",
                                           "flush.batch_age=0",
                                           "recall.short_question_boost=-1e-9"};

    for (size_t i = 0; i < mf_countof(settings); i++) {
        struct conf_kit k;

        conf_kit_open(&k);
        MF_CHECK_OK(conf_kit_set(&k, settings[i]));
        check_round_trip(&k);
        conf_kit_close(&k);
    }
}

MF_TEST(conf_print, the_sample_reads_back_as_the_defaults)
{
    struct conf_kit k, defaults;
    struct mf_buf out;

    mf_buf_init(&out);
    mf_conf_print_sample(&out);
    MF_CHECK_OK(mf_buf_status(&out));
    conf_kit_open(&k);
    conf_kit_open(&defaults);
    MF_CHECK_OK(conf_kit_set(&k, "server.port=1"));
    MF_CHECK_OK(mf_conf_read_yaml(&k.c, mf_slice_of(out.p, out.n), "sample", &k.r));
    conf_kit_same(&k.c, &defaults.c);
    conf_kit_close(&defaults);
    conf_kit_close(&k);
    mf_buf_fini(&out);
}

static void read_source(const char *name, struct mf_buf *out)
{
    char path[1024];
    FILE *f;
    size_t n;

    (void)snprintf(path, sizeof(path), "%s/%s", MF_SOURCE_DIR, name);
    f = fopen(path, "re");
    MF_CHECK(f != NULL);
    mf_buf_init(out);
    do {
        char *at = mf_buf_reserve(out, 4096);

        MF_CHECK(at != NULL);
        n = fread(at, 1, 4096, f);
        out->n += n;
    } while (n > 0);
    MF_CHECK_OK(fclose(f));
}

static void check_shown(const char *dsn, const char *shown)
{
    struct mf_buf out;

    mf_buf_init(&out);
    mf_conf_mask_dsn(mf_slice_str(dsn), &out);
    mf_buf_add_char(&out, '\0');
    MF_CHECK_OK(mf_buf_status(&out));
    MF_CHECK_STR(out.p, shown);
    mf_buf_fini(&out);
}

MF_TEST(conf_print, a_dsn_is_shown_without_its_password)
{
    check_shown("", "");
    check_shown("postgresql://db.example/memfuse", "postgresql://db.example/memfuse");
    check_shown("postgresql://me@[::1]:5432/x", "postgresql://me@[::1]:5432/x");
    check_shown("postgres://me:s3cret@a:1,b:2/x?sslmode=verify-full",
                "postgres://me:***@a:1,b:2/x?sslmode=verify-full");
    check_shown("postgresql:///x?host=/run&password=s3cret&user=me",
                "postgresql:///x?host=/run&password=***&user=me");
    check_shown("postgresql://h/x?sslpassword=s3cret",
                "postgresql://h/x?sslpassword=***");
    check_shown("host=/run dbname=x", "host=/run dbname=x");
    check_shown("host=a password=s3cret user=me", "host=a password=*** user=me");
    check_shown("password = 's3 c\\'ret'  user='a b'", "password = *** user='a b'");
    check_shown("passfile=/srv/x/.pgpass", "passfile=/srv/x/.pgpass");
}

/* libpq takes or refuses each of these in its own way; none shows the secret. */
MF_TEST(conf_print, an_odd_dsn_shows_no_password_either)
{
    static const char *const odd[] = {
        "s3cret",
        "POSTGRESQL://me:s3cret@h/x",
        "POSTGRESQL://me:s3cret@h/x?user=y",
        "postgresql://me:p/s3cret@h/x",
        "postgresql://me:p@s3cret@h/x",
        "postgresql://me:p?s3cret@h/x",
        "postgresql://me:p&s3cret@h/x",
        "postgresql://h/x?user=me@y&password=s3cret",
        "postgresql://h/x?password=s3cret@y",
        "postgresql://h/x?password=a?s3cret",
        "postgresql://h/x?p%61ssword=s3cret",
        "postgresql://h/a=b?password=s3cret",
        "password='a s3cret",
        "password=a s3cret host=x",
        "password=a\\ s3cret",
        "password=",
        "PASSWORD=s3cret",
        "host=x s3cret",
    };

    for (size_t i = 0; i < mf_countof(odd); i++) {
        struct mf_buf out;

        mf_buf_init(&out);
        mf_conf_mask_dsn(mf_slice_str(odd[i]), &out);
        MF_CHECK_OK(mf_buf_status(&out));
        if (out.n > 0 && memmem(out.p, out.n, "s3cret", 6) != NULL) {
            fail_msg("%s shows %.*s", odd[i], (int)out.n, out.p);
        }
        mf_buf_fini(&out);
    }
}

MF_TEST(conf_print, no_complaint_and_no_print_shows_a_password)
{
    struct conf_kit k;
    struct mf_buf out;

    conf_kit_open(&k);
    mf_buf_init(&out);
    MF_CHECK_INT(conf_kit_set(&k, "store.postgres.dsn=password=s3cret\n"), MF_EINVAL);
    MF_CHECK_INT(conf_kit_set(&k, "store.postgres.dsn:password s3cret"), MF_EINVAL);
    MF_CHECK_INT(k.r.n_problems, 2);
    MF_CHECK(memmem(k.r.text.p, k.r.text.n, "s3cret", 6) == NULL);
    MF_CHECK_OK(conf_kit_set(&k, "store.postgres.dsn=dbname=x password=s3cret"));
    mf_conf_print(&k.c, &out);
    MF_CHECK_OK(mf_buf_status(&out));
    MF_CHECK(memmem(out.p, out.n, "s3cret", 6) == NULL);
    MF_CHECK(memmem(out.p, out.n, "dbname=x password=***", 21) != NULL);
    mf_buf_fini(&out);
    conf_kit_close(&k);
}

/* When this fails: memfuse print-config --docs >docs/config.md */
MF_TEST(conf_print, the_page_in_docs_is_what_is_printed)
{
    struct mf_buf page, out;

    read_source("docs/config.md", &page);
    mf_buf_init(&out);
    mf_conf_print_doc(&out);
    MF_CHECK_OK(mf_buf_status(&out));
    MF_CHECK_INT(page.n, out.n);
    MF_CHECK_MEM(page.p, out.p, out.n);
    mf_buf_fini(&out);
    mf_buf_fini(&page);
}

MF_TEST(conf_print, the_file_people_start_from_holds_the_defaults)
{
    struct conf_kit k, defaults;
    struct mf_buf text;

    read_source("memfuse.yaml", &text);
    conf_kit_open(&k);
    conf_kit_open(&defaults);
    if (mf_conf_read_yaml(&k.c, mf_slice_of(text.p, text.n), "memfuse.yaml", &k.r) !=
        0) {
        fail_msg("%.*s", (int)k.r.text.n, k.r.text.p);
    }
    conf_kit_same(&k.c, &defaults.c);
    conf_kit_close(&defaults);
    conf_kit_close(&k);
    mf_buf_fini(&text);
}

MF_TEST(conf_print, the_page_has_a_line_for_every_key)
{
    size_t n, n_lines = 0;
    const struct mf_conf_key *keys = mf_conf_keys(&n);
    struct mf_buf out;

    mf_buf_init(&out);
    mf_conf_print_doc(&out);
    mf_buf_add_char(&out, '\0');
    MF_CHECK_OK(mf_buf_status(&out));
    for (const char *p = strstr(out.p, "\n| `"); p != NULL;
         p = strstr(p + 1, "\n| `")) {
        n_lines++;
    }
    MF_CHECK_INT(n_lines, n);
    for (size_t i = 0; i < n; i++) {
        char line[160];

        (void)snprintf(line, sizeof(line), "\n| `%s` | `", keys[i].name);
        MF_CHECK(strstr(out.p, line) != NULL);
        MF_CHECK(strstr(out.p, keys[i].doc) != NULL);
    }
    MF_CHECK(
        strstr(out.p, "| `server.port` | `8765` | a whole number, 0 to 65535 | ") !=
        NULL);
    mf_buf_fini(&out);
}
