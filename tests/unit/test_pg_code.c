/* SPDX-License-Identifier: Apache-2.0 */
/* What the states of PostgreSQL, Citus, Yugabyte and Cockroach mean for us, and that no
 * sentence tells of a row. */
#include "lib/mf_test.h"

#include "store/pg_code.h"

#include <libpq-fe.h>
#include <string.h>

static void means(const char *state, int code, enum mf_pg_blame blame, bool is_lost)
{
    const struct mf_pg_meaning *m = mf_pg_meaning(state);

    if (m->code != code || m->blame != blame || m->is_lost != is_lost) {
        fail_msg("%s: %s, blame %d, lost %d", state, mf_code_name(m->code),
                 (int)m->blame, m->is_lost);
    }
}

MF_TEST(pg_code, blames_the_row_for_what_will_never_pass)
{
    static const char *const states[] = {"22001", "22003", "22021", "22P02", "22P05",
                                         "23502", "23503", "23514", "23P01", "44000",
                                         "54000", "54023", "P0001"};

    for (size_t i = 0; i < mf_countof(states); i++) {
        means(states[i], MF_EPOISON, MF_PG_BLAME_ROW, false);
    }
}

MF_TEST(pg_code, a_taken_name_and_a_late_statement_are_the_requests)
{
    means("23505", MF_EEXIST, MF_PG_BLAME_REQUEST, false);
    means("57014", MF_ETIMEOUT, MF_PG_BLAME_REQUEST, false);
}

MF_TEST(pg_code, what_passes_by_itself_is_the_moments)
{
    static const char *const states[] = {"40001", "40P01", "40003", "55P03", "55006"};

    for (size_t i = 0; i < mf_countof(states); i++) {
        means(states[i], MF_EUNAVAILABLE, MF_PG_BLAME_MOMENT, false);
    }
    means("25P03", MF_EUNAVAILABLE, MF_PG_BLAME_MOMENT, true);
    means("42710", MF_EEXIST, MF_PG_BLAME_MOMENT, false); /* creations that met */
    means("42P07", MF_EEXIST, MF_PG_BLAME_MOMENT, false);
}

MF_TEST(pg_code, what_the_server_has_is_the_servers)
{
    static const char *const lost[] = {"08000", "08003", "08004", "08P01", "57P01",
                                       "57P02", "57P03", "57P04", "57P05", "53300",
                                       "25006", "26000", "42P05"};

    for (size_t i = 0; i < mf_countof(lost); i++) {
        means(lost[i], MF_EUNAVAILABLE, MF_PG_BLAME_SERVER, true);
    }
    means("53100", MF_ENOSPC, MF_PG_BLAME_SERVER, false);
    means("53200", MF_EUNAVAILABLE, MF_PG_BLAME_SERVER, false);
    means("58030", MF_EDB, MF_PG_BLAME_SERVER, false);
    means("58P01", MF_EDB, MF_PG_BLAME_SERVER, false);
    means("XX000", MF_EDB, MF_PG_BLAME_SERVER, false);
    means("XX001", MF_EDB, MF_PG_BLAME_SERVER, false);
}

MF_TEST(pg_code, what_a_person_must_mend_comes_with_advice)
{
    static const char *const states[] = {"28000", "28P01", "3D000", "3F000", "42501",
                                         "42P01", "42703", "42601", "42804", "0A000"};

    for (size_t i = 0; i < mf_countof(states); i++) {
        const struct mf_pg_meaning *m = mf_pg_meaning(states[i]);

        MF_CHECK_INT(m->blame, MF_PG_BLAME_SETUP);
        MF_CHECK(m->advice != NULL);
        MF_CHECK_INT(m->code,
                     strncmp(states[i], "28", 2) == 0 ? MF_EAUTH : MF_EUNAVAILABLE);
    }
}

MF_TEST(pg_code, no_state_is_a_lost_connection_and_a_strange_one_the_databases)
{
    means(NULL, MF_EUNAVAILABLE, MF_PG_BLAME_SERVER, true);
    means("", MF_EUNAVAILABLE, MF_PG_BLAME_SERVER, true);
    means("ZZ999", MF_EDB, MF_PG_BLAME_SERVER, false);
    means("P0002", MF_EDB, MF_PG_BLAME_SERVER, false);
}

MF_TEST(pg_code, a_state_is_a_number_of_its_own)
{
    MF_CHECK_INT(mf_pg_state_number("00000"), 0);
    MF_CHECK_INT(mf_pg_state_number("0000Z"), 35);
    MF_CHECK_INT(mf_pg_state_number("00010"), 36);
    MF_CHECK_INT(mf_pg_state_number("23505"),
                 ((((2 * 36) + 3) * 36 + 5) * 36 + 0) * 36 + 5);
    MF_CHECK(mf_pg_state_number("42P01") != mf_pg_state_number("42703"));
    MF_CHECK_INT(mf_pg_state_number(NULL), 0);
    MF_CHECK_INT(mf_pg_state_number("2350"), 0);
    MF_CHECK_INT(mf_pg_state_number("23 05"), 0);
}

/* Sentences of real servers with the word of a row in them. */
MF_TEST(pg_code, no_sentence_quotes_a_row)
{
    static const char *const said[][2] = {
        {"22P02", "invalid input syntax for type json: \"s3cret"},
        {"22P02", "invalid input syntax for type bigint: \"s3cret\""},
        {"22008", "date/time field value out of range: \"s3cret\""},
        {"23505", "duplicate key value (id)=('s3cret') violates unique constraint"},
        {"23505", "duplicate key value (id)=(s3cret) violates unique constraint"},
        {"23514", "failed to satisfy CHECK constraint (content != s3cret)"},
        {"22000", "could not parse `s3cret` as type int"},
        {"P0001", "the word s3cret is forbidden here"},
        {"P0004", "assertion failed on s3cret"},
        {"ZZ000", "strange: s3cret"},
    };

    for (size_t i = 0; i < mf_countof(said); i++) {
        struct mf_err err = {0};

        MF_CHECK(mf_pg_fail_words(said[i][0], said[i][1], "", &err) < 0);
        MF_CHECK(strstr(err.msg, "s3cret") == NULL);
        MF_CHECK(strstr(err.msg, said[i][0]) != NULL);
        MF_CHECK_INT(err.sys, mf_pg_state_number(said[i][0]));
    }
}

MF_TEST(pg_code, the_sentence_says_what_happened_where_and_what_to_do)
{
    struct mf_err err = {0};

    MF_CHECK_INT(
        mf_pg_fail_words("42P01", "relation \"messages\" does not exist", "", &err),
        MF_EUNAVAILABLE);
    MF_CHECK_STR(err.msg, "the database says: relation \"messages\" does not exist "
                          "(42P01): the tables are not those that memfuse made");
    MF_CHECK_INT(mf_pg_fail_words("23514",
                                  "new row for relation \"m\" violates check "
                                  "constraint \"c\"",
                                  " [constraint c]", &err),
                 MF_EPOISON);
    MF_CHECK_STR(err.msg,
                 "the database says: new row for relation [constraint c] (23514)");
    MF_CHECK_INT(mf_pg_fail_words("57P01",
                                  "terminating connection due to administrator "
                                  "command\nSSL connection closed",
                                  "", &err),
                 MF_EUNAVAILABLE);
    MF_CHECK_STR(err.msg, "the database says: terminating connection due to "
                          "administrator command (57P01)");
}

MF_TEST(pg_code, a_worker_of_citus_that_is_away_is_no_defect)
{
    static const char *const states[] = {"XX000", "58030", "08006"};
    static const char *const said[] = {
        "failure on connection marked as essential: 10.0.0.7:9701",
        "server closed the connection unexpectedly",
        "SSL SYSCALL error: EOF detected",
        ("execution cannot recover from multiple connection failures. Last node failed "
         "10.0.0.7:9701"),
    };
    struct mf_err err = {0};

    means("08006", MF_EUNAVAILABLE, MF_PG_BLAME_MOMENT, false);
    for (size_t i = 0; i < mf_countof(states); i++) {
        err = (struct mf_err){0};
        MF_CHECK(!mf_pg_is_worker_away(&err));
        MF_CHECK_INT(
            mf_pg_fail_words(states[i],
                             "connection to the remote node test@10.0.0.7:9701 failed",
                             "", &err),
            MF_EUNAVAILABLE);
        MF_CHECK(mf_pg_is_worker_away(&err));
        mf_pg_hide(&err);
        MF_CHECK_STR(err.msg, "the database refuses (SQLSTATE 08006): a worker of the "
                              "cluster is not reached");
        MF_CHECK(mf_pg_is_worker_away(&err));
    }
    for (size_t i = 0; i < mf_countof(said); i++) {
        MF_CHECK_INT(mf_pg_fail_words("XX000", said[i], "", &err), MF_EUNAVAILABLE);
        MF_CHECK(mf_pg_is_worker_away(&err));
    }
    MF_CHECK_INT(mf_pg_fail_words("XX000", "cache lookup failed for type 7", "", &err),
                 MF_EDB);
    MF_CHECK(!mf_pg_is_worker_away(&err));
}

MF_TEST(pg_code, a_result_of_libpq_itself_is_a_lost_connection)
{
    PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_FATAL_ERROR);
    struct mf_err err = {0};

    MF_CHECK_INT(mf_pg_fail(res, &err), MF_EUNAVAILABLE);
    MF_CHECK_INT(mf_pg_fail(res, NULL), MF_EUNAVAILABLE);
    MF_CHECK_INT(err.sys, 0);
    MF_CHECK(strstr(err.msg, "no state") != NULL);
    PQclear(res);
}

MF_TEST(pg_code, clients_read_no_address_and_no_name)
{
    struct mf_err err = {0};

    (void)mf_err_set(&err, MF_EUNAVAILABLE,
                     "connection to server at \"db.example.org\" (10.0.0.7), port 5432 "
                     "failed: Connection refused");
    mf_pg_hide(&err);
    MF_CHECK_STR(err.msg, "the database is away: Connection refused");
    MF_CHECK_INT(err.code, MF_EUNAVAILABLE);
    (void)mf_err_set(&err, MF_EUNAVAILABLE, "root.crt: no such file: /etc/secret");
    mf_pg_hide(&err);
    MF_CHECK_STR(err.msg, "the database is away: the log says why");
    (void)mf_pg_fail_words("28P01", "password failed for user \"ann\"", "", &err);
    mf_pg_hide(&err);
    MF_CHECK(strstr(err.msg, "ann") == NULL && strstr(err.msg, "28P01") != NULL);
    MF_CHECK_INT(err.sys, mf_pg_state_number("28P01"));
}
