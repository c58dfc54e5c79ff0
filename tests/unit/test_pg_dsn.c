/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "lib/mf_test.h"
#include "store/pg_dsn.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SYSTEM_CA "/etc/ssl/certs/ca-certificates.crt"

/* What the machine of whoever runs the test says is not what we test. */
static void clear_environment(void)
{
    static const char *const names[] = {"PGHOST",     "PGHOSTADDR",   "PGPORT",
                                        "PGDATABASE", "PGUSER",       "PGPASSWORD",
                                        "PGSERVICE",  "PGSSLMODE",    "PGSSLROOTCERT",
                                        "PGAPPNAME",  "PGGSSENCMODE", NULL};

    for (size_t i = 0; names[i] != NULL; i++) {
        MF_CHECK_OK(unsetenv(names[i]));
    }
}

static const char *word(const struct mf_pg_dsn *d, const char *key)
{
    const char *found = NULL;

    for (size_t i = 0; d->keywords[i] != NULL; i++) {
        if (strcmp(d->keywords[i], key) == 0) {
            MF_CHECK_PTR(found, NULL); /* said once */
            found = d->values[i];
        }
    }
    return found;
}

static void parse(struct mf_pg_dsn *d, const char *dsn)
{
    struct mf_err err = {0};
    int rc;

    clear_environment();
    rc = mf_pg_dsn_parse(d, dsn, NULL, 5000, &err);
    if (rc < 0) {
        fail_msg("%s", err.msg);
    }
}

static void refused(const char *dsn, const char *password_file, const char *sentence)
{
    struct mf_pg_dsn d;
    struct mf_err err = {0};

    clear_environment();
    MF_CHECK_INT(mf_pg_dsn_parse(&d, dsn, password_file, 5000, &err), MF_EINVAL);
    if (strstr(err.msg, sentence) == NULL || strstr(err.msg, "hunter2") != NULL) {
        fail_msg("%s: %s", dsn, err.msg);
    }
    MF_CHECK(strncmp(err.msg, "store.postgres.", 15) == 0);
    MF_CHECK(strlen(err.msg) < MF_ERR_MAX - 1); /* nothing was cut */
    MF_CHECK_INT(d.n + d.n_hosts, 0);
}

static void shows(const struct mf_pg_dsn *d, const char *expected)
{
    struct mf_buf out;

    mf_buf_init(&out);
    mf_pg_dsn_show(d, &out);
    mf_buf_add_char(&out, '\0');
    MF_CHECK_OK(mf_buf_status(&out));
    MF_CHECK_STR(out.p, expected);
    mf_buf_fini(&out);
}

static const char *password_file(const void *text, size_t n, mode_t mode)
{
    static char path[512];
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s/password", mf_test_tmpdir());
    (void)unlink(path);
    f = fopen(path, "w");
    MF_CHECK(f != NULL);
    MF_CHECK_INT(fwrite(text, 1, n, f), n);
    MF_CHECK_OK(fclose(f));
    MF_CHECK_OK(chmod(path, mode));
    return path;
}

MF_TEST(pg_dsn, reads_a_uri_with_several_hosts)
{
    struct mf_pg_dsn d;

    parse(&d, "postgresql://bob:hunter2@db1:5433,10.0.0.2,[0::01]:5435/memories"
              "?target_session_attrs=read-write&application_name=me");
    MF_CHECK_INT(d.n_hosts, 3);
    MF_CHECK_STR(d.hosts[0].name, "db1");
    MF_CHECK_STR(d.hosts[0].port, "5433");
    MF_CHECK(!d.hosts[0].is_numeric && !d.hosts[0].is_local);
    MF_CHECK_PTR(d.hosts[0].addr, NULL);
    MF_CHECK_STR(d.hosts[1].addr, "10.0.0.2");
    MF_CHECK_STR(d.hosts[1].port, "5432");
    MF_CHECK(d.hosts[1].is_numeric && !d.hosts[1].is_local);
    MF_CHECK_STR(d.hosts[2].name, "0::01");
    MF_CHECK(d.hosts[2].is_numeric && d.hosts[2].is_local);
    MF_CHECK_STR(d.hosts[2].addr, "::1"); /* as libpq will call it */
    MF_CHECK_STR(word(&d, "user"), "bob");
    MF_CHECK_STR(word(&d, "password"), "hunter2");
    MF_CHECK_STR(word(&d, "target_session_attrs"), "read-write");
    MF_CHECK_STR(word(&d, "application_name"), "me");
    MF_CHECK_STR(word(&d, "dbname"), "memories");
    MF_CHECK_PTR(word(&d, "host"), NULL);
    MF_CHECK_PTR(word(&d, "port"), NULL);
    shows(&d, "db1:5433,10.0.0.2:5432,[0::01]:5435/memories");
    mf_pg_dsn_fini(&d);
}

MF_TEST(pg_dsn, reads_keywords_and_shows_neither_user_nor_password)
{
    struct mf_pg_dsn d;

    parse(&d, "host=/run/pg port=6000 user=bob password='hunter 2' dbname=memories");
    MF_CHECK_INT(d.n_hosts, 1);
    MF_CHECK(d.hosts[0].is_local && d.hosts[0].is_numeric);
    MF_CHECK_STR(word(&d, "password"), "hunter 2");
    shows(&d, "/run/pg:6000/memories");
    mf_pg_dsn_fini(&d);
}

MF_TEST(pg_dsn, takes_what_is_not_said_from_the_environment)
{
    struct mf_pg_dsn d;

    clear_environment();
    MF_CHECK_OK(setenv("PGHOST", "db7", 1));
    MF_CHECK_OK(setenv("PGPORT", "7777", 1));
    MF_CHECK_OK(setenv("PGUSER", "eve", 1));
    MF_CHECK_OK(mf_pg_dsn_parse(&d, "", NULL, 5000, NULL));
    shows(&d, "db7:7777/eve"); /* the database is called like the user */
    mf_pg_dsn_fini(&d);
    MF_CHECK_OK(mf_pg_dsn_parse(&d, "host=db8 dbname=x", NULL, 5000, NULL));
    shows(&d, "db8:7777/x");
    mf_pg_dsn_fini(&d);
    clear_environment();
}

MF_TEST(pg_dsn, leaves_the_host_to_libpq_when_nobody_names_one)
{
    struct mf_pg_dsn d;

    parse(&d, "dbname=x");
    MF_CHECK_INT(d.n_hosts, 1);
    MF_CHECK_STR(d.hosts[0].name, "");
    MF_CHECK(d.hosts[0].is_local && d.hosts[0].is_numeric);
    shows(&d, "socket:5432/x");
    mf_pg_dsn_fini(&d);
}

MF_TEST(pg_dsn, asks_for_a_certificate_of_a_host_that_is_not_local)
{
    static const char *const far[] = {"host=db1", "host=10.1.1.1", "host=::2",
                                      "host=/run/pg,db1",
                                      "host=localhost hostaddr=10.0.0.1"};
    struct mf_pg_dsn d;

    for (size_t i = 0; i < mf_countof(far); i++) {
        parse(&d, far[i]);
        MF_CHECK_STR(word(&d, "sslmode"), "verify-full");
        if (access(SYSTEM_CA, R_OK) == 0) {
            MF_CHECK_STR(word(&d, "sslrootcert"), SYSTEM_CA);
        }
        mf_pg_dsn_fini(&d);
    }
}

MF_TEST(pg_dsn, asks_for_no_certificate_of_a_local_host)
{
    static const char *const near[] = {"host=localhost",
                                       "host=127.0.0.9",
                                       "host=::1",
                                       "host=/run/pg",
                                       "host=db1 hostaddr=127.0.0.1",
                                       "host=@abstract",
                                       "host=LOCALHOST,/run/pg"};
    struct mf_pg_dsn d;

    for (size_t i = 0; i < mf_countof(near); i++) {
        parse(&d, near[i]);
        MF_CHECK_PTR(word(&d, "sslmode"), NULL);
        MF_CHECK_PTR(word(&d, "sslrootcert"), NULL);
        mf_pg_dsn_fini(&d);
    }
}

MF_TEST(pg_dsn, lets_what_somebody_said_of_tls_stand)
{
    struct mf_pg_dsn d;

    parse(&d, "host=db1 sslmode=require");
    MF_CHECK_STR(word(&d, "sslmode"), "require");
    MF_CHECK_PTR(word(&d, "sslrootcert"), NULL);
    mf_pg_dsn_fini(&d);
    parse(&d, "host=db1 sslrootcert=/own.crt");
    MF_CHECK_STR(word(&d, "sslmode"), "verify-full");
    MF_CHECK_STR(word(&d, "sslrootcert"), "/own.crt");
    mf_pg_dsn_fini(&d);
    clear_environment();
    MF_CHECK_OK(setenv("PGSSLMODE", "disable", 1));
    MF_CHECK_OK(mf_pg_dsn_parse(&d, "host=db1", NULL, 5000, NULL));
    MF_CHECK_PTR(word(&d, "sslmode"), NULL); /* libpq reads it itself */
    mf_pg_dsn_fini(&d);
    clear_environment();
}

MF_TEST(pg_dsn, adds_words_of_its_own)
{
    struct mf_pg_dsn d;

    parse(&d, "host=db1");
    MF_CHECK_STR(word(&d, "fallback_application_name"), "memfuse");
    MF_CHECK_STR(word(&d, "client_encoding"), "UTF8");
    MF_CHECK_STR(word(&d, "gssencmode"), "disable");
    MF_CHECK_STR(word(&d, "connect_timeout"), "5");
    MF_CHECK_INT(d.connect_timeout_ms, 0);
    MF_CHECK_PTR(d.keywords[d.n], NULL);
    mf_pg_dsn_fini(&d);
    parse(&d, "host=db1 connect_timeout=12 client_encoding=utf8 gssencmode=prefer "
              "tcp_user_timeout=1000 fallback_application_name=x");
    MF_CHECK_STR(word(&d, "connect_timeout"), "12");
    MF_CHECK_INT(d.connect_timeout_ms, 12000);
    MF_CHECK_STR(word(&d, "gssencmode"), "prefer");
    MF_CHECK_STR(word(&d, "tcp_user_timeout"), "1000");
    MF_CHECK_STR(word(&d, "fallback_application_name"), "x");
    mf_pg_dsn_fini(&d);
}

MF_TEST(pg_dsn, refuses_a_bad_dsn_and_never_quotes_it)
{
    static const char *const unreadable[] = {"postgresql://bob:hunter2@[::1/x",
                                             "host=a password=hunter2 rest",
                                             "password='hunter2",
                                             "postgresql://a/b?hunter2=1",
                                             "hunter2=1",
                                             "postgresql://bob:hunter2%zz@a/b"};

    for (size_t i = 0; i < mf_countof(unreadable); i++) {
        refused(unreadable[i], NULL, "store.postgres.dsn cannot be read");
    }
    refused("host=a port=0 password=hunter2", NULL, "a port is a number from 1");
    refused("host=a port=65536", NULL, "a port is a number from 1 to 65535");
    refused("host=a port=x", NULL, "a port is a number");
    refused("host=a,b,c port=1,2", NULL, "2 ports for 3 hosts");
    refused("host=a,b hostaddr=1.1.1.1", NULL, "2 host and 1 hostaddr");
    refused("hostaddr=db1", NULL, "a hostaddr is a numeric address");
    refused("host=a sslmode=yes", NULL, "sslmode is one of");
    refused("host=a target_session_attrs=x", NULL, "target_session_attrs is one of");
    refused("service=x", NULL, "names a service");
    refused("host=a replication=database", NULL, "asks for replication");
    refused("host=a client_encoding=latin1", NULL, "always UTF8");
    refused("host=a connect_timeout=0", NULL, "connect_timeout is a number");
    refused("host=a connect_timeout=-1", NULL, "connect_timeout is a number");
    refused("host=1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17", NULL,
            "names 17 hosts, the limit is 16");
}

MF_TEST(pg_dsn, takes_the_first_line_of_the_password_file)
{
    static const char *const texts[] = {"hunter2\nnot this\n", "hunter2\r\n",
                                        "hunter2"};
    struct mf_pg_dsn d;

    clear_environment();
    for (size_t i = 0; i < mf_countof(texts); i++) {
        const char *path = password_file(texts[i], strlen(texts[i]), 0600);

        MF_CHECK_OK(mf_pg_dsn_parse(&d, "host=db1", path, 5000, NULL));
        MF_CHECK_STR(word(&d, "password"), "hunter2");
        mf_pg_dsn_fini(&d);
    }
}

MF_TEST(pg_dsn, takes_a_password_as_long_as_the_limit_and_no_longer)
{
    char text[1026];
    struct mf_pg_dsn d;

    clear_environment();
    memset(text, 'p', sizeof(text));
    text[1024] = '\n';
    MF_CHECK_OK(
        mf_pg_dsn_parse(&d, "host=a", password_file(text, 1025, 0400), 1, NULL));
    MF_CHECK_INT(strlen(word(&d, "password")), 1024);
    mf_pg_dsn_fini(&d);
    text[1024] = 'p';
    refused("host=a", password_file(text, 1025, 0600), "is longer than 1024 bytes");
    refused("host=a", password_file(text, 1026, 0600), "is longer than 1024 bytes");
}

MF_TEST(pg_dsn, refuses_a_password_file_that_is_not_one)
{
    refused("host=a", password_file("hunter2", 7, 0640), "can be read by others");
    refused("host=a", password_file("hunter2", 7, 0604), "chmod 600");
    refused("host=a", password_file("", 0, 0600), "first line is empty");
    refused("host=a", password_file("\nhunter2", 8, 0600), "first line is empty");
    refused("host=a", password_file("hunt\0er2", 8, 0600), "holds a zero byte");
    refused("host=a", "/nowhere/password", "No such file");
    refused("host=a", "/tmp", "is not a file");
    refused("host=a password=hunter2", password_file("x", 1, 0600), "keep one of them");
}

MF_TEST(pg_dsn, leaves_nothing_behind_when_memory_ends)
{
    const char *path = password_file("hunter2", 7, 0600);
    bool has_failed = true;

    clear_environment();
    for (size_t n = 1; has_failed; n++) {
        struct mf_pg_dsn d;
        struct mf_err err = {0};
        int rc;

        mf_test_fail_nth(n);
        rc = mf_pg_dsn_parse(&d, "host=db1,10.0.0.1 user=bob dbname=x", path, 1, &err);
        has_failed = mf_test_has_failed();
        mf_test_fail_nth(0);
        MF_CHECK_INT(rc, has_failed ? MF_ENOMEM : 0);
        MF_CHECK(has_failed ? strstr(err.msg, "out of memory") != NULL
                            : d.n_hosts == 2);
        mf_pg_dsn_fini(&d);
    }
}
