/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/mf_test.h"
#include "store/pg_code.h"
#include "store/pg_conn_priv.h"

#include <string.h>

#define AT(host) "connection to server at \"" host "\", port 5432 failed: "

static void means(const char *message, bool needs_password, int code, const char *says)
{
    struct mf_err err = {0};

    MF_CHECK_INT(mf_pg_connect_meaning(message, needs_password, &err), code);
    MF_CHECK_INT(err.code, code);
    if (strstr(err.msg, says) == NULL || strchr(err.msg, '\n') != NULL) {
        fail_msg("%s: %s", says, err.msg);
    }
}

MF_TEST(pg_conn_error, finds_the_state_in_what_libpq_says)
{
    struct mf_err err = {0};

    means(AT("db1") "FATAL:  28P01: password authentication failed for user \"bob\"\n"
                    "LOCATION:  auth_failed, auth.c:331\n",
          true, MF_EAUTH,
          "failed: FATAL:  password authentication failed for user \"bob\" "
          "(SQLSTATE 28P01); look at store.postgres.dsn");
    means(AT("db1") "FATAL:  57P03: the database system is starting up\n"
                    "LOCATION:  ProcessStartupPacket, postmaster.c:2402\n",
          false, MF_EUNAVAILABLE, "starting up (SQLSTATE 57P03)");
    (void)mf_pg_connect_meaning("FATAL:  3D000: database \"x\" does not exist\n", false,
                                &err);
    MF_CHECK_INT(err.sys, mf_pg_state_number("3D000"));
}

MF_TEST(pg_conn_error, tells_of_the_last_host_why_it_gave_up)
{
    means(AT("a") "Connection refused\n"
                  "\tIs the server running on that host and accepting TCP/IP "
                  "connections?\n" AT("b") "FATAL:  53300: sorry, too many clients\n"
                                           "LOCATION:  InitProcess, proc.c:359\n",
          false, MF_EUNAVAILABLE, "at \"b\", port 5432 failed: FATAL:  sorry");
    means(AT("a") "FATAL:  53300: sorry\n" AT(
              "b") "Connection refused\n"
                   "\tIs the server running on that host?\n",
          false, MF_EUNAVAILABLE, "at \"b\", port 5432 failed: Connection refused");
    means(AT("a") "no file\nEither provide the file or change sslmode\n", false,
          MF_EUNAVAILABLE, "failed: no file");
    means(AT("a") "session is read-only\n", false, MF_EUNAVAILABLE, "is read-only");
}

MF_TEST(pg_conn_error, names_the_key_when_a_password_is_missing)
{
    means(AT("db1") "fe_sendauth: no password supplied\n", true, MF_EAUTH,
          "set store.postgres.password_file");
}

MF_TEST(pg_conn_error, takes_any_text)
{
    char lines[4096];

    means("", false, MF_EUNAVAILABLE, "");
    means("\n\n", false, MF_EUNAVAILABLE, "");
    means(":  12345: ", false, MF_EDB, "SQLSTATE 12345");
    means("x:  1234: y", false, MF_EUNAVAILABLE, "x:  1234: y");
    means("\tonly a remark", false, MF_EUNAVAILABLE, "only a remark");
    memset(lines, 'x', sizeof(lines) - 1);
    lines[sizeof(lines) - 1] = '\0';
    means(lines, false, MF_EUNAVAILABLE, "xxx");
    memcpy(lines + 300, ":  28000: ", 10);
    means(lines, false, MF_EAUTH, "xxx");
}
