/* SPDX-License-Identifier: Apache-2.0 */
#include "store/pg_row.h"

#include "lib/mf_test.h"
#include "store/pg_args.h"

#include <libpq-fe.h>

#define MAX_COLUMNS 13

struct column {
    struct mf_slice value;
    Oid type;
    bool is_null;
};

#define V(oid, literal)                                                                \
    {                                                                                  \
        .value = {literal, sizeof(literal) - 1}, .type = (oid)                         \
    }
#define NONE(oid)                                                                      \
    {                                                                                  \
        .type = (oid), .is_null = true                                                 \
    }

/* A row as a server would have sent it; the caller clears it. */
static PGresult *row_of(const struct column *columns, int n, int format)
{
    PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    PGresAttDesc attrs[MAX_COLUMNS] = {{.name = NULL}};
    char name[] = "column";

    MF_CHECK(res != NULL && n <= MAX_COLUMNS);
    for (int i = 0; i < n; i++) {
        attrs[i] = (PGresAttDesc){
            .name = name, .format = format, .typid = columns[i].type, .typlen = -1};
    }
    MF_CHECK(PQsetResultAttrs(res, n, attrs) != 0);
    for (int i = 0; i < n; i++) {
        char bytes[64] = {0};
        int length = columns[i].is_null ? -1 : (int)columns[i].value.n;

        MF_CHECK(length < (int)sizeof(bytes));
        if (length > 0) {
            memcpy(bytes, columns[i].value.p, (size_t)length);
        }
        MF_CHECK(PQsetvalue(res, 0, i, columns[i].is_null ? NULL : bytes, length) != 0);
    }
    return res;
}

MF_TEST(pg_row, reads_integers_of_each_width)
{
    static const struct column columns[] = {
        V(MF_PG_OID_INT2, "\377\376"),
        V(MF_PG_OID_INT4, "\200\0\0\1"),
        V(MF_PG_OID_INT8, "\0\0\0\1\0\0\0\2"),
        V(MF_PG_OID_OID, "\377\377\377\376"),
        NONE(MF_PG_OID_INT8),
    };
    PGresult *res = row_of(columns, 5, 1);
    struct mf_err err = {0};
    struct mf_pg_row r = mf_pg_row(res, 0, &err);

    MF_CHECK(mf_pg_get_int(&r, 0) == -2);
    MF_CHECK(mf_pg_get_int(&r, 1) == INT32_MIN + 1);
    MF_CHECK(mf_pg_get_int(&r, 2) == 0x100000002);
    MF_CHECK(mf_pg_get_int(&r, 3) == 0xfffffffe);
    MF_CHECK(mf_pg_get_int(&r, 4) == 0);
    MF_CHECK(mf_pg_is_null(&r, 4) && !mf_pg_is_null(&r, 3));
    MF_CHECK_OK(r.rc);
    PQclear(res);
}

MF_TEST(pg_row, reads_booleans_and_bytes)
{
    static const struct column columns[] = {
        V(MF_PG_OID_BOOL, "\1"),        V(MF_PG_OID_BOOL, "\0"),
        NONE(MF_PG_OID_BOOL),           V(MF_PG_OID_TEXT, "caf\xc3\xa9"),
        V(MF_PG_OID_BYTEA, "\0a\0"),    V(MF_PG_OID_TEXT, ""),
        NONE(MF_PG_OID_BYTEA),          V(MF_PG_OID_NAME, "public"),
        V(MF_PG_OID_VARCHAR, "varied"),
    };
    PGresult *res = row_of(columns, 9, 1);
    struct mf_err err = {0};
    struct mf_pg_row r = mf_pg_row(res, 0, &err);
    struct mf_slice v;
    struct mf_arena a;

    mf_arena_init(&a, 64);
    MF_CHECK(mf_pg_get_bool(&r, 0) && !mf_pg_get_bool(&r, 1) && !mf_pg_get_bool(&r, 2));
    MF_CHECK(mf_slice_is(mf_pg_peek(&r, 3), "caf\xc3\xa9"));
    v = mf_pg_read(&r, 4, &a);
    MF_CHECK_INT(mf_pg_peek(&r, 5).n, 0);
    MF_CHECK(!mf_pg_is_null(&r, 5) && mf_pg_is_null(&r, 6));
    MF_CHECK_INT(mf_pg_read(&r, 6, &a).n, 0);
    MF_CHECK(mf_slice_is(mf_pg_peek(&r, 7), "public"));
    MF_CHECK(mf_slice_is(mf_pg_peek(&r, 8), "varied"));
    MF_CHECK_OK(r.rc);
    PQclear(res);
    MF_CHECK(mf_slice_eq(v, mf_slice_of("\0a\0", 3))); /* it outlives the result */
    mf_arena_fini(&a);
}

/* What a reader says about one column that is not what it promised. */
static void check_damaged(struct column column, int format)
{
    PGresult *res = row_of(&column, 1, format);
    struct mf_err err = {0};
    struct mf_pg_row r = mf_pg_row(res, 0, &err);

    MF_CHECK_INT(mf_pg_get_int(&r, 0), 0);
    MF_CHECK_INT(r.rc, MF_ECORRUPT);
    MF_CHECK(strstr(err.msg, "column 1 ") != NULL);
    r = mf_pg_row(res, 0, &err);
    MF_CHECK(!mf_pg_get_bool(&r, 0));
    MF_CHECK_INT(r.rc, MF_ECORRUPT);
    PQclear(res);
}

MF_TEST(pg_row, refuses_numbers_of_another_length_type_or_format)
{
    check_damaged((struct column)V(MF_PG_OID_INT8, "\0\0\0\1"), 1);
    check_damaged((struct column)V(MF_PG_OID_INT8, "\0\0\0\0\0\0\0\0\1"), 1);
    check_damaged((struct column)V(MF_PG_OID_INT8, ""), 1);
    check_damaged((struct column)V(MF_PG_OID_INT4, "\0\1"), 1);
    check_damaged((struct column)V(MF_PG_OID_INT2, "\0\0\0\1"), 1);
    check_damaged((struct column)V(MF_PG_OID_BOOL, ""), 1);
    check_damaged((struct column)V(MF_PG_OID_BOOL, "\0\1"), 1);
    check_damaged((struct column)V(MF_PG_OID_TEXT, "\0\0\0\1"), 1);
    check_damaged((struct column)NONE(MF_PG_OID_TEXT), 1);
    check_damaged((struct column)V(MF_PG_OID_INT8, "12345678"), 0);
}

MF_TEST(pg_row, refuses_bytes_where_a_number_was_sent)
{
    static const struct column columns[] = {V(MF_PG_OID_INT8, "\0\0\0\0\0\0\0\1")};
    PGresult *res = row_of(columns, 1, 1);
    struct mf_err err = {0};
    struct mf_pg_row r = mf_pg_row(res, 0, &err);

    MF_CHECK_INT(mf_pg_peek(&r, 0).n, 0);
    MF_CHECK_INT(r.rc, MF_ECORRUPT);
    PQclear(res);
}

MF_TEST(pg_row, refuses_a_column_that_was_not_sent)
{
    static const struct column columns[] = {V(MF_PG_OID_INT8, "\0\0\0\0\0\0\0\1")};
    PGresult *res = row_of(columns, 1, 1);
    struct mf_err err = {0};
    struct mf_pg_row r = mf_pg_row(res, 0, &err);

    MF_CHECK(mf_pg_is_null(&r, 1));
    MF_CHECK_INT(mf_pg_get_int(&r, 1), 0);
    MF_CHECK_INT(r.rc, MF_ECORRUPT);
    MF_CHECK_STR(err.msg, "the server sent 1 columns, not 2");
    MF_CHECK_INT(mf_pg_get_int(&r, 0), 1);
    MF_CHECK_INT(r.rc, MF_ECORRUPT); /* the first error stays */
    PQclear(res);
}

static const struct column message[] = {
    V(MF_PG_OID_INT8, "\0\0\0\0\0\0\0\7"),
    V(MF_PG_OID_TEXT, "u1"),
    V(MF_PG_OID_TEXT, "s1"),
    NONE(MF_PG_OID_TEXT),
    V(MF_PG_OID_TEXT, "m1"),
    V(MF_PG_OID_TEXT, "a text"),
    V(MF_PG_OID_TEXT, "{}"),
    V(MF_PG_OID_INT8, "\377\377\377\377\377\377\377\373"),
    V(MF_PG_OID_INT8, "\0\0\0\0\0\0\0\11"),
    V(MF_PG_OID_INT2, "\0\3"),
    V(MF_PG_OID_BYTEA, "\0r"),
    V(MF_PG_OID_BYTEA, "p"),
    V(MF_PG_OID_BOOL, "\1"),
};

MF_TEST(pg_row, reads_a_message)
{
    PGresult *res = row_of(message, 13, 1);
    struct mf_err err = {0};
    struct mf_pg_row r = mf_pg_row(res, 0, &err);
    struct mf_store_row row = {0};
    struct mf_arena a;

    mf_arena_init(&a, 64);
    MF_CHECK_OK(mf_pg_read_message(&r, &a, &row));
    PQclear(res);
    MF_CHECK_INT(row.seq, 7);
    MF_CHECK(mf_slice_is(row.user_id, "u1") && mf_slice_is(row.session_id, "s1"));
    MF_CHECK(row.round_id.n == 0 && mf_slice_is(row.msg.id, "m1"));
    MF_CHECK(mf_slice_is(row.msg.content, "a text"));
    MF_CHECK(mf_slice_is(row.msg.metadata, "{}"));
    MF_CHECK_INT(row.msg.created_us, -5);
    MF_CHECK_INT(row.msg.updated_us, 9);
    MF_CHECK_INT(row.msg.role, MF_MSG_TOOL);
    MF_CHECK(mf_slice_eq(row.search, mf_slice_of("\0r", 2)));
    MF_CHECK(mf_slice_is(row.passages, "p") && row.is_pending);
    mf_arena_fini(&a);
}

MF_TEST(pg_row, refuses_a_message_with_any_column_damaged)
{
    struct mf_arena a;

    mf_arena_init(&a, 64);
    for (int i = 0; i < 13; i++) {
        struct column columns[13];
        struct mf_store_row row = {0};
        struct mf_err err = {0};
        struct mf_pg_row r;
        PGresult *res;

        memcpy(columns, message, sizeof(columns));
        columns[i] = (struct column)V(700, "\0\0\0\1"); /* a float */
        res = row_of(columns, 13, 1);
        r = mf_pg_row(res, 0, &err);
        MF_CHECK_INT(mf_pg_read_message(&r, &a, &row), MF_ECORRUPT);
        MF_CHECK_INT(err.code, MF_ECORRUPT);
        PQclear(res);
        res = row_of(message, i, 1); /* and with columns missing */
        if (i > 0) {
            r = mf_pg_row(res, 0, &err);
            MF_CHECK_INT(mf_pg_read_message(&r, &a, &row), MF_ECORRUPT);
        }
        PQclear(res);
    }
    mf_arena_fini(&a);
}

MF_TEST(pg_row, refuses_a_role_that_nobody_knows)
{
    struct column columns[13];
    struct mf_store_row row = {0};
    struct mf_err err = {0};
    struct mf_pg_row r;
    struct mf_arena a;
    PGresult *res;

    mf_arena_init(&a, 64);
    memcpy(columns, message, sizeof(columns));
    columns[9] = (struct column)V(MF_PG_OID_INT2, "\0\4");
    res = row_of(columns, 13, 1);
    r = mf_pg_row(res, 0, &err);
    MF_CHECK_INT(mf_pg_read_message(&r, &a, &row), MF_ECORRUPT);
    MF_CHECK_STR(err.msg, "the store holds a message of role 4; there are 0 to 3");
    PQclear(res);
    mf_arena_fini(&a);
}

static const struct column entity[] = {
    V(MF_PG_OID_TEXT, "k1"),
    V(MF_PG_OID_TEXT, "u1"),
    NONE(MF_PG_OID_TEXT),
    V(MF_PG_OID_TEXT, "name"),
    V(MF_PG_OID_TEXT, ""),
    V(MF_PG_OID_BYTEA, "hash"),
    V(MF_PG_OID_INT8, "\0\0\0\0\0\0\0\1"),
    V(MF_PG_OID_INT8, "\0\0\0\0\0\0\0\2"),
    V(MF_PG_OID_INT8, "\0\0\0\0\0\0\0\3"),
    V(MF_PG_OID_INT4, "\0\0\0\4"),
    NONE(MF_PG_OID_BYTEA),
    V(MF_PG_OID_BOOL, "\1"),
};

MF_TEST(pg_row, reads_an_entity_and_tells_an_empty_text_from_none)
{
    struct column columns[12];
    PGresult *res = row_of(entity, 12, 1);
    struct mf_err err = {0};
    struct mf_pg_row r = mf_pg_row(res, 0, &err);
    struct mf_entity e = {0};
    struct mf_arena a;

    mf_arena_init(&a, 64);
    MF_CHECK_OK(mf_pg_read_entity(&r, &a, &e));
    PQclear(res);
    MF_CHECK(mf_slice_is(e.id, "k1") && mf_slice_is(e.user_id, "u1"));
    MF_CHECK(e.agent_id.n == 0 && mf_slice_is(e.name, "name"));
    MF_CHECK(e.has_text && e.text.n == 0);
    MF_CHECK(mf_slice_is(e.key_hash, "hash") && e.search.n == 0 && e.is_pending);
    MF_CHECK(e.created_us == 1 && e.updated_us == 2 && e.expires_us == 3);
    MF_CHECK_INT(e.seq, 4);

    memcpy(columns, entity, sizeof(columns));
    columns[4] = (struct column)NONE(MF_PG_OID_TEXT);
    res = row_of(columns, 12, 1);
    r = mf_pg_row(res, 0, &err);
    MF_CHECK_OK(mf_pg_read_entity(&r, &a, &e));
    MF_CHECK(!e.has_text);
    PQclear(res);
    mf_arena_fini(&a);
}

MF_TEST(pg_row, fails_cleanly_for_each_lack_of_memory)
{
    PGresult *res = row_of(message, 13, 1);
    size_t n = 0;
    bool has_failed;

    do {
        struct mf_err err = {0};
        struct mf_pg_row r = mf_pg_row(res, 0, &err);
        struct mf_store_row row = {0};
        struct mf_arena a;
        int rc;

        mf_arena_init(&a, 1);
        mf_test_fail_nth(++n);
        rc = mf_pg_read_message(&r, &a, &row);
        has_failed = mf_test_has_failed();
        MF_CHECK_INT(rc, has_failed ? MF_ENOMEM : 0);
        mf_arena_fini(&a);
    } while (has_failed);
    mf_test_fail_nth(0);
    MF_CHECK_INT(n, 8); /* seven texts, each in a block of its own */
    PQclear(res);
}

MF_TEST(pg_row, counts_no_rows_for_a_result_without_a_tag)
{
    PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_COMMAND_OK);

    MF_CHECK_INT(mf_pg_n_changed(res), 0);
    PQclear(res);
}
