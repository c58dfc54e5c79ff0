/* SPDX-License-Identifier: Apache-2.0 */
#include "store/pg_args.h"

#include "base/err.h"
#include "lib/mf_test.h"

#include <stdlib.h>

#define VECTOR_OID 16400
#define MAX_DIM    4

struct setup {
    struct mf_arena arena;
    struct mf_pg_round round;
};

static void open_round(struct setup *s)
{
    mf_arena_init(&s->arena, 512);
    mf_pg_round_init(&s->round, &s->arena);
}

/* Parameter `at` of the last statement has these bytes. */
static void check_value(const struct setup *s, int at, const char *bytes, size_t n)
{
    const struct mf_pg_call *c = &s->round.calls[s->round.n - 1];

    MF_CHECK(at < c->n);
    MF_CHECK_INT(c->lengths[at], n);
    MF_CHECK(c->values[at] != NULL);
    MF_CHECK_MEM(c->values[at], bytes, n);
}

#define CHECK_VALUE(s, at, literal) check_value(s, at, literal, sizeof(literal) - 1)

static void check_null(const struct setup *s, int at)
{
    const struct mf_pg_call *c = &s->round.calls[s->round.n - 1];

    MF_CHECK(at < c->n);
    MF_CHECK(c->values[at] == NULL);
}

static struct mf_slice slice_at(const void *rows, size_t i)
{
    return ((const struct mf_slice *)rows)[i];
}

static int64_t int_at(const void *rows, size_t i)
{
    return ((const int64_t *)rows)[i];
}

/* Element i is how many floats row i has: 1.5, 2.5, .. */
static size_t vector_at(const void *rows, size_t i, float *to, size_t max_dim)
{
    size_t n = ((const size_t *)rows)[i];

    MF_CHECK_INT(max_dim, MAX_DIM);
    for (size_t k = 0; k < n; k++) {
        to[k] = (float)k + 1.5F;
    }
    return n;
}

MF_TEST(pg_args, writes_single_values_in_the_servers_format)
{
    struct setup s;
    char text[] = "caf\xc3\xa9";

    open_round(&s);
    mf_pg_add(&s.round, MF_PG_BEGIN);
    mf_pg_int(&s.round, 1);
    mf_pg_int(&s.round, INT64_MIN + 2);
    mf_pg_bool(&s.round, true);
    mf_pg_bool(&s.round, false);
    mf_pg_text(&s.round, mf_slice_str(text));
    mf_pg_bytes(&s.round, mf_slice_of("\0\377", 2));
    text[0] = 'x'; /* it was copied */
    MF_CHECK_OK(s.round.rc);
    MF_CHECK_INT(s.round.calls[0].n, 6);
    CHECK_VALUE(&s, 0, "\0\0\0\0\0\0\0\1");
    CHECK_VALUE(&s, 1, "\200\0\0\0\0\0\0\2");
    CHECK_VALUE(&s, 2, "\1");
    CHECK_VALUE(&s, 3, "\0");
    CHECK_VALUE(&s, 4, "caf\xc3\xa9");
    CHECK_VALUE(&s, 5, "\0\377");
    mf_arena_fini(&s.arena);
}

MF_TEST(pg_args, says_null_for_what_is_empty_but_words)
{
    struct setup s;

    open_round(&s);
    mf_pg_add(&s.round, MF_PG_BEGIN);
    mf_pg_text(&s.round, mf_slice_of(NULL, 0));
    mf_pg_bytes(&s.round, mf_slice_of("", 0));
    mf_pg_null(&s.round);
    mf_pg_limit(&s.round, 0);
    mf_pg_words(&s.round, mf_slice_of(NULL, 0));
    mf_pg_limit(&s.round, 258);
    mf_pg_limit(&s.round, SIZE_MAX); /* more than int8 can say: no limit */
    for (int i = 0; i < 4; i++) {
        check_null(&s, i);
    }
    CHECK_VALUE(&s, 4, "");
    CHECK_VALUE(&s, 5, "\0\0\0\0\0\0\1\2");
    check_null(&s, 6);
    mf_arena_fini(&s.arena);
}

MF_TEST(pg_args, writes_arrays_of_texts_with_and_without_nulls)
{
    struct setup s;
    const struct mf_slice v[] = {MF_SLICE("ab"), MF_SLICE(""), MF_SLICE("c")};

    open_round(&s);
    mf_pg_add(&s.round, MF_PG_BEGIN);
    mf_pg_text_array(&s.round, v, 3, slice_at);
    mf_pg_words_array(&s.round, v, 3, slice_at);
    mf_pg_bytes_array(&s.round, v, 1, slice_at);
    CHECK_VALUE(&s, 0,
                "\0\0\0\1\0\0\0\1\0\0\0\31" /* dimensions, has NULLs, text */
                "\0\0\0\3\0\0\0\1"          /* three elements from 1 on */
                "\0\0\0\2ab\377\377\377\377\0\0\0\1c");
    CHECK_VALUE(&s, 1,
                "\0\0\0\1\0\0\0\0\0\0\0\31\0\0\0\3\0\0\0\1"
                "\0\0\0\2ab\0\0\0\0\0\0\0\1c");
    CHECK_VALUE(&s, 2,
                "\0\0\0\1\0\0\0\0\0\0\0\21\0\0\0\1\0\0\0\1"
                "\0\0\0\2ab");
    mf_arena_fini(&s.arena);
}

MF_TEST(pg_args, writes_arrays_of_numbers_and_an_empty_one)
{
    struct setup s;
    const int64_t v[] = {-2, 0};

    open_round(&s);
    mf_pg_add(&s.round, MF_PG_BEGIN);
    mf_pg_int_array(&s.round, v, 2, int_at);
    mf_pg_bool_array(&s.round, v, 2, int_at);
    mf_pg_int_array(&s.round, v, 0, int_at);
    mf_pg_text_array(&s.round, NULL, 0, slice_at);
    CHECK_VALUE(&s, 0,
                "\0\0\0\1\0\0\0\0\0\0\0\24\0\0\0\2\0\0\0\1"
                "\0\0\0\10\377\377\377\377\377\377\377\376"
                "\0\0\0\10\0\0\0\0\0\0\0\0");
    CHECK_VALUE(&s, 1,
                "\0\0\0\1\0\0\0\0\0\0\0\20\0\0\0\2\0\0\0\1"
                "\0\0\0\1\1\0\0\0\1\0");
    CHECK_VALUE(&s, 2, "\0\0\0\0\0\0\0\0\0\0\0\24"); /* no dimension at all */
    CHECK_VALUE(&s, 3, "\0\0\0\0\0\0\0\0\0\0\0\31");
    mf_arena_fini(&s.arena);
}

MF_TEST(pg_args, writes_arrays_of_vectors_and_null_for_none)
{
    struct setup s;
    const size_t dims[] = {2, 0, 1};

    open_round(&s);
    mf_pg_add(&s.round, MF_PG_BEGIN);
    mf_pg_vector_array(&s.round, VECTOR_OID, dims, 3, MAX_DIM, vector_at);
    CHECK_VALUE(&s, 0,
                "\0\0\0\1\0\0\0\1\0\0\100\20\0\0\0\3\0\0\0\1"
                "\0\0\0\14\0\2\0\0\77\300\0\0\100\40\0\0" /* 1.5, 2.5 */
                "\377\377\377\377"
                "\0\0\0\10\0\1\0\0\77\300\0\0");
    mf_pg_vector_array(&s.round, VECTOR_OID, dims, 1, MAX_DIM, vector_at);
    CHECK_VALUE(&s, 1,
                "\0\0\0\1\0\0\0\0\0\0\100\20\0\0\0\1\0\0\0\1"
                "\0\0\0\14\0\2\0\0\77\300\0\0\100\40\0\0");
    mf_arena_fini(&s.arena);
}

MF_TEST(pg_args, keeps_each_statements_parameters_apart)
{
    struct setup s;

    open_round(&s);
    for (int i = 0; i < 40; i++) {
        if (i % 2 == 0) {
            mf_pg_add(&s.round, MF_PG_COMMIT);
            mf_pg_int(&s.round, i);
        } else {
            mf_pg_add_text(&s.round, "SELECT 1");
        }
    }
    mf_pg_stream_last(&s.round);
    MF_CHECK_OK(s.round.rc);
    MF_CHECK_INT(s.round.n, 40);
    for (int i = 0; i < 40; i++) {
        const struct mf_pg_call *c = &s.round.calls[i];
        char wire[8] = {0, 0, 0, 0, 0, 0, 0, (char)i};

        MF_CHECK_INT(c->streams, i == 39);
        MF_CHECK_INT(c->n, i % 2 == 0);
        if (i % 2 == 1) {
            MF_CHECK_STR(c->text, "SELECT 1");
            continue;
        }
        MF_CHECK(c->text == NULL);
        MF_CHECK_INT(c->id, MF_PG_COMMIT);
        MF_CHECK_MEM(c->values[0], wire, sizeof(wire));
    }
    mf_arena_fini(&s.arena);
}

/* Says how long it is; nobody may look at the bytes. */
static struct mf_slice huge_at(const void *rows, size_t i)
{
    return mf_slice_of(i == 0 ? rows : NULL, SIZE_MAX);
}

MF_TEST(pg_args, refuses_a_value_over_the_servers_limit_and_stays_refused)
{
    struct setup s;

    open_round(&s);
    mf_pg_add(&s.round, MF_PG_BEGIN);
    mf_pg_text_array(&s.round, "x", 3, huge_at);
    MF_CHECK_INT(s.round.rc, MF_ETOOBIG);
    mf_pg_int(&s.round, 1);
    mf_pg_add(&s.round, MF_PG_COMMIT);
    mf_pg_stream_last(&s.round);
    MF_CHECK_INT(s.round.rc, MF_ETOOBIG);
    MF_CHECK_INT(s.round.n, 1);
    mf_arena_fini(&s.arena);

    open_round(&s);
    mf_pg_add(&s.round, MF_PG_BEGIN);
    mf_pg_bytes(&s.round, mf_slice_of("x", (size_t)1 << 30));
    MF_CHECK_INT(s.round.rc, MF_ETOOBIG);
    mf_arena_fini(&s.arena);
}

MF_TEST(pg_args, refuses_more_statements_than_a_round_holds)
{
    struct setup s;

    open_round(&s);
    for (size_t i = 0; i < MF_PG_MAX_CALLS; i++) {
        mf_pg_add(&s.round, MF_PG_BEGIN);
    }
    MF_CHECK_OK(s.round.rc);
    mf_pg_add(&s.round, MF_PG_BEGIN);
    MF_CHECK_INT(s.round.rc, MF_ETOOBIG);
    MF_CHECK_INT(s.round.n, MF_PG_MAX_CALLS);
    mf_arena_fini(&s.arena);
}

static void fill(struct setup *s)
{
    static const struct mf_slice texts[] = {MF_SLICE("ab"), MF_SLICE("")};
    static const int64_t numbers[] = {1, 2};
    static const size_t dims[] = {4, 4};

    for (int i = 0; i < 6; i++) { /* more than the first piece of the list holds */
        mf_pg_add(&s->round, MF_PG_BEGIN);
        mf_pg_text(&s->round, MF_SLICE("a text"));
        mf_pg_int(&s->round, i);
        mf_pg_bool(&s->round, true);
        mf_pg_text_array(&s->round, texts, 2, slice_at);
        mf_pg_int_array(&s->round, numbers, 2, int_at);
        mf_pg_bool_array(&s->round, numbers, 2, int_at);
        mf_pg_vector_array(&s->round, VECTOR_OID, dims, 2, MAX_DIM, vector_at);
        mf_pg_stream_last(&s->round);
    }
}

MF_TEST(pg_args, says_once_that_memory_ran_out_wherever_it_did)
{
    struct setup s;
    size_t n = 0;

    do {
        mf_arena_init(&s.arena, 16);
        mf_pg_round_init(&s.round, &s.arena);
        mf_test_fail_nth(++n);
        fill(&s);
        MF_CHECK_INT(s.round.rc, mf_test_has_failed() ? MF_ENOMEM : 0);
        mf_arena_fini(&s.arena);
    } while (mf_test_has_failed());
    mf_test_fail_nth(0);
    MF_CHECK(n > 40); /* each value has a block of its own here */
}

MF_TEST(pg_sql, gives_each_statement_a_name_of_its_own_that_the_server_keeps_whole)
{
    for (int i = 0; i < MF_PG_STMT_COUNT; i++) {
        const struct mf_pg_sql *a = mf_pg_sql((enum mf_pg_stmt)i);

        MF_CHECK(strncmp(a->name, "mf_", 3) == 0);
        MF_CHECK(strlen(a->name) < 64); /* NAMEDATALEN */
        MF_CHECK(strlen(a->text) > 0);
        MF_CHECK(strchr(a->text, ';') == NULL); /* one statement: it is prepared */
    }
}
