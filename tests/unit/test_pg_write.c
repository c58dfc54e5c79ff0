/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Steps of the verbs that write, without a server: which statements go in which round,
 * in which order the rows come, and what is made of an answer that is damaged.
 */
#include "unit/pg_write_rig.h"

#include <endian.h>
#include <libpq-fe.h>
#include <math.h>

#define VECTOR_OID 16400

static struct mf_store_row row_of(const char *user, const char *id, uint64_t seq)
{
    return (struct mf_store_row){.seq = seq,
                                 .user_id = mf_slice_str(user),
                                 .session_id = MF_SLICE("s1"),
                                 .msg = {.id = mf_slice_str(id),
                                         .content = MF_SLICE("a text"),
                                         .created_us = (int64_t)seq,
                                         .updated_us = (int64_t)seq},
                                 .search = MF_SLICE("record")};
}

/* The step after the round before was answered with `res`, which it clears. */
MF_WORKER static int answer(struct rig *r, mf_pg_step_fn step, PGresult *res)
{
    int rc;

    r->results[0] = res;
    r->job.n_results = 1;
    r->job.n_rounds++;
    mf_arena_reset(&r->args);
    mf_pg_round_init(&r->job.round, &r->args);
    rc = step(&r->job);
    PQclear(res);
    return rc;
}

struct pair {
    const char *first;
    struct mf_slice second;
};

/* An answer of two columns, the second of `type`. */
static PGresult *pairs(const struct pair *p, int n, Oid type)
{
    static char name[] = "column";
    PGresAttDesc attrs[2] = {
        {.name = name, .format = 1, .typid = MF_PG_OID_TEXT, .typlen = -1},
        {.name = name, .format = 1, .typid = type, .typlen = -1},
    };
    PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);

    MF_CHECK(res != NULL && PQsetResultAttrs(res, 2, attrs) != 0);
    for (int i = 0; i < n; i++) {
        char bytes[32];

        (void)strncpy(bytes, p[i].first, sizeof(bytes) - 1);
        MF_CHECK(PQsetvalue(res, i, 0, bytes, (int)strlen(p[i].first)) != 0);
        memcpy(bytes, p[i].second.p, p[i].second.n);
        MF_CHECK(PQsetvalue(res, i, 1, bytes, (int)p[i].second.n) != 0);
    }
    return res;
}

static uint32_t word_at(const char *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return be32toh(v);
}

/* Element `i` of the array that is parameter `arg` of statement `call`. */
static struct mf_slice element(const struct rig *r, size_t call, int arg, uint32_t i)
{
    const char *p = r->job.round.calls[call].values[arg];

    MF_CHECK(i < word_at(p + 12));
    p += 20;
    for (uint32_t k = 0; k < i; k++) {
        p += 4 + (word_at(p) == UINT32_MAX ? 0 : word_at(p));
    }
    return mf_slice_of(p + 4, word_at(p));
}

static uint32_t count(const struct rig *r, size_t call, int arg)
{
    return word_at((const char *)r->job.round.calls[call].values[arg] + 12);
}

static void check_calls(const struct rig *r, const enum mf_pg_stmt *ids, size_t n)
{
    MF_CHECK_OK(r->job.round.rc);
    MF_CHECK_INT(r->job.round.n, n);
    for (size_t i = 0; i < n; i++) {
        MF_CHECK_INT(r->job.round.calls[i].id, ids[i]);
    }
}

#define CHECK_CALLS(rig, ...)                                                          \
    check_calls(rig, (const enum mf_pg_stmt[]){__VA_ARGS__},                           \
                mf_countof(((const enum mf_pg_stmt[]){__VA_ARGS__})))

MF_TEST(pg_write, sends_a_batch_and_its_answers_in_one_round_sorted_by_key)
{
    struct rig r = {.w = {.n_changed = 9}};
    const struct mf_store_row rows[] = {row_of("u2", "a", 1), row_of("u1", "b", 2),
                                        row_of("u1", "a", 4), row_of("u1", "a", 3)};
    const struct mf_store_idem idem = {.key = MF_SLICE("key"), .status = 201};

    rig_open(&r, rows, 4);
    r.w.idems = &idem;
    r.w.n_idems = 1;
    MF_CHECK_OK(mf_pg_write_rounds(&r.job));
    MF_CHECK(r.job.is_last);
    CHECK_CALLS(&r, MF_PG_MESSAGE_PUT, MF_PG_IDEM_PUT);
    MF_CHECK_INT(count(&r, 0, 0), 3); /* u1's a once */
    MF_CHECK(mf_slice_is(element(&r, 0, 0, 0), "u1"));
    MF_CHECK(mf_slice_is(element(&r, 0, 1, 0), "a"));
    MF_CHECK_INT(element(&r, 0, 2, 0).p[7], 3); /* the lower seq */
    MF_CHECK(mf_slice_is(element(&r, 0, 1, 1), "b"));
    MF_CHECK(mf_slice_is(element(&r, 0, 0, 2), "u2"));
    rig_close(&r);
}

static size_t one_float(struct mf_slice search, float *to, size_t max_dim)
{
    MF_CHECK(max_dim >= 1);
    to[0] = 1;
    return search.n == 0 ? 0 : 1;
}

MF_TEST(pg_write, adds_passages_and_vectors_when_there_are_some)
{
    struct rig r = {
        .env = {.vector_oid = VECTOR_OID, .max_dim = 2, .vector_of = one_float}};
    struct mf_store_row rows[] = {row_of("u1", "a", 1), row_of("u1", "b", 2)};

    rows[1].passages = MF_SLICE("passages");
    rig_open(&r, rows, 2);
    MF_CHECK_OK(mf_pg_write_rounds(&r.job));
    CHECK_CALLS(&r, MF_PG_MESSAGE_PUT_VECTOR_PASSAGES);
    MF_CHECK_INT(r.job.round.calls[0].n, 17);
    MF_CHECK_INT(count(&r, 0, 13), 2);
    MF_CHECK_INT(count(&r, 0, 15), 1);
    MF_CHECK(mf_slice_is(element(&r, 0, 15, 0), "b"));
    MF_CHECK(mf_slice_is(element(&r, 0, 16, 0), "passages"));
    rig_close(&r);
    rig_open(&r, rows, 1);
    MF_CHECK_OK(mf_pg_write_rounds(&r.job));
    CHECK_CALLS(&r, MF_PG_MESSAGE_PUT_VECTOR);
    MF_CHECK_INT(r.job.round.calls[0].n, 14);
    rig_close(&r);
    rig_open(&r, rows, 0);
    MF_CHECK_OK(mf_pg_write_rounds(&r.job));
    MF_CHECK_INT(r.job.round.n, 0);
    rig_close(&r);
}

/* The vector of a record that says what is wrong with it. */
static size_t any_floats(struct mf_slice search, float *to, size_t max_dim)
{
    MF_CHECK(max_dim >= 2);
    to[0] = 1;
    to[1] = mf_slice_is(search, "inf")   ? -INFINITY
            : mf_slice_is(search, "nan") ? NAN
                                         : -1;
    return 2;
}

MF_TEST(pg_write, writes_no_vector_that_pgvector_would_refuse_the_row_for)
{
    struct rig r = {
        .env = {.vector_oid = VECTOR_OID, .max_dim = 2, .vector_of = any_floats}};
    struct mf_store_row rows[] = {row_of("u1", "a", 1), row_of("u1", "b", 2),
                                  row_of("u1", "c", 3)};

    rows[0].search = MF_SLICE("inf");
    rows[1].search = MF_SLICE("nan");
    rig_open(&r, rows, 3);
    MF_CHECK_OK(mf_pg_write_rounds(&r.job));
    CHECK_CALLS(&r, MF_PG_MESSAGE_PUT_VECTOR);
    MF_CHECK_INT(element(&r, 0, 13, 0).n, UINT32_MAX); /* NULL */
    MF_CHECK_INT(element(&r, 0, 13, 1).n, UINT32_MAX);
    MF_CHECK_INT(element(&r, 0, 13, 2).n, 12);
    rig_close(&r);
}

static const struct pair two_marks[] = {
    {"u1", {"\0\0\0\0\0\0\0\7", 8}},
    {"u2", {"\0\0\0\0\0\0\0\10", 8}},
};

MF_TEST(pg_write, takes_marks_of_a_shared_store_first_and_writes_them)
{
    struct rig r = {.env = {.cfg = {.is_shared = true}}};
    const struct mf_store_row rows[] = {row_of("u2", "a", 1), row_of("u1", "b", 2),
                                        row_of("u1", "a", 3)};

    rig_open(&r, rows, 3);
    MF_CHECK_OK(mf_pg_write_rounds(&r.job));
    MF_CHECK(!r.job.is_last);
    CHECK_CALLS(&r, MF_PG_MARKS_TAKE);
    MF_CHECK_INT(count(&r, 0, 0), 2);
    MF_CHECK(mf_slice_is(element(&r, 0, 0, 0), "u1"));
    MF_CHECK_INT(r.job.round.calls[0].n, 2);
    MF_CHECK_OK(answer(&r, mf_pg_write_rounds, pairs(two_marks, 2, MF_PG_OID_INT8)));
    MF_CHECK(r.job.is_last);
    CHECK_CALLS(&r, MF_PG_MESSAGE_PUT);
    for (uint32_t i = 0; i < 3; i++) {
        MF_CHECK_INT(element(&r, 0, 9, i).p[7], i < 2 ? 7 : 8);
    }
    rig_close(&r);
}

MF_TEST(pg_write, takes_marks_of_citus_shard_by_shard)
{
    struct rig r = {.env = {.cfg = {.is_shared = true, .is_citus = true}}};
    const struct mf_store_row row = row_of("u1", "a", 1);

    rig_open(&r, &row, 1);
    MF_CHECK_OK(mf_pg_write_rounds(&r.job));
    CHECK_CALLS(&r, MF_PG_STMT_COUNT, MF_PG_MARKS_TAKE);
    MF_CHECK(strstr(r.job.round.calls[0].text, "sequential") != NULL);
    rig_close(&r);
}

MF_TEST(pg_write, refuses_marks_that_are_missing_or_damaged)
{
    static const struct pair short_mark = {"u1", {"\0\0\0\7", 4}};
    static const struct pair no_mark = {"u1", {"\0\0\0\0\0\0\0\0", 8}};
    const struct mf_store_row row = row_of("u1", "a", 1);
    PGresult *answers[] = {
        pairs(&two_marks[1], 1, MF_PG_OID_INT8), pairs(&short_mark, 1, MF_PG_OID_INT8),
        pairs(&no_mark, 1, MF_PG_OID_INT8), pairs(two_marks, 1, MF_PG_OID_TEXT)};

    for (size_t i = 0; i < mf_countof(answers); i++) {
        struct rig r = {.env = {.cfg = {.is_shared = true}}};

        rig_open(&r, &row, 1);
        MF_CHECK_OK(mf_pg_write_rounds(&r.job));
        MF_CHECK_INT(answer(&r, mf_pg_write_rounds, answers[i]), MF_ECORRUPT);
        MF_CHECK_INT(r.w.req.err.code, MF_ECORRUPT);
        rig_close(&r);
    }
}

static const struct mf_slice a_key = {"a", 1};
static const struct mf_slice b_key = {"b", 1};

MF_TEST(pg_write, commits_changes_only_when_each_row_was_there)
{
    struct rig r = {.w = {.n_changed = 9}};
    struct mf_store_row rows[] = {row_of("u1", "b", 2), row_of("u1", "a", 1)};
    const struct pair both[] = {{"u1", a_key}, {"u1", b_key}};

    rows[1].passages = MF_SLICE("passages");
    rig_open(&r, rows, 2);
    MF_CHECK_OK(mf_pg_update_messages(&r.job));
    MF_CHECK(!r.job.is_last);
    CHECK_CALLS(&r, MF_PG_MESSAGE_SET, MF_PG_PASSAGES_PUT, MF_PG_PASSAGES_DROP);
    MF_CHECK(mf_slice_is(element(&r, 1, 1, 0), "a"));
    MF_CHECK(mf_slice_is(element(&r, 2, 1, 0), "b"));
    MF_CHECK_OK(answer(&r, mf_pg_update_messages, pairs(both, 2, MF_PG_OID_TEXT)));
    MF_CHECK_INT(r.job.round.n, 0);
    MF_CHECK_INT(r.w.n_changed, 2);
    rig_close(&r);
    rig_open(&r, rows, 2);
    MF_CHECK_OK(mf_pg_update_messages(&r.job));
    MF_CHECK_INT(answer(&r, mf_pg_update_messages, pairs(both, 1, MF_PG_OID_TEXT)),
                 MF_ENOTFOUND);
    MF_CHECK_STR(r.w.req.err.msg, "message b: not found in this session");
    rig_close(&r);
}

MF_TEST(pg_write, tells_citus_whose_rows_are_changed_when_they_are_one_users)
{
    struct rig r = {.env = {.cfg = {.is_citus = true}}};
    struct mf_store_row rows[] = {row_of("u1", "a", 1), row_of("u1", "b", 2),
                                  row_of("u2", "c", 3)};

    rig_open(&r, rows, 2);
    MF_CHECK_OK(mf_pg_update_messages(&r.job));
    CHECK_CALLS(&r, MF_PG_MESSAGE_SET, MF_PG_PASSAGES_DROP);
    MF_CHECK_INT(r.job.round.calls[0].n, 11);
    MF_CHECK_MEM(r.job.round.calls[0].values[10], "u1", 2);
    MF_CHECK_MEM(r.job.round.calls[1].values[2], "u1", 2);
    rig_close(&r);
    rig_open(&r, rows, 3);
    MF_CHECK_OK(mf_pg_set_search(&r.job));
    CHECK_CALLS(&r, MF_PG_MESSAGE_SET_SEARCH);
    MF_CHECK_INT(r.job.round.calls[0].n, 7);
    MF_CHECK(r.job.round.calls[0].values[6] == NULL);
    rig_close(&r);
}

MF_TEST(pg_write, sets_passages_only_of_records_that_were_set)
{
    struct rig r = {.w = {.n_changed = 9}};
    struct mf_store_row rows[] = {row_of("u1", "a", 1), row_of("u1", "b", 2),
                                  row_of("u1", "c", 3)};
    const struct pair both[] = {{"u1", a_key}, {"u1", b_key}};

    rows[0].passages = rows[2].passages = MF_SLICE("passages");
    rig_open(&r, rows, 3);
    MF_CHECK_OK(mf_pg_set_search(&r.job));
    CHECK_CALLS(&r, MF_PG_MESSAGE_SET_SEARCH);
    MF_CHECK_OK(answer(&r, mf_pg_set_search, pairs(both, 2, MF_PG_OID_TEXT)));
    MF_CHECK(r.job.is_last);
    MF_CHECK_INT(r.w.n_changed, 2);
    CHECK_CALLS(&r, MF_PG_PASSAGES_PUT, MF_PG_PASSAGES_DROP);
    MF_CHECK_INT(count(&r, 0, 1), 1);
    MF_CHECK(mf_slice_is(element(&r, 0, 1, 0), "a"));
    MF_CHECK(mf_slice_is(element(&r, 1, 1, 0), "b"));
    rig_close(&r);
}

MF_TEST(pg_write, names_the_row_that_breaks_a_rule_before_it_asks_the_server)
{
    struct mf_store_row bad[4];

    for (size_t i = 0; i < mf_countof(bad); i++) {
        bad[i] = row_of("u1", "bad", 1);
    }
    bad[0].msg.content = MF_SLICE("");
    bad[1].msg.role = (enum mf_msg_role)4;
    bad[2].seq = 0;
    bad[3].session_id = MF_SLICE("");
    for (size_t i = 0; i < mf_countof(bad); i++) {
        struct rig r = {.w = {.n_changed = 9}};

        rig_open(&r, &bad[i], 1);
        MF_CHECK_INT(mf_pg_write_rounds(&r.job), MF_EPOISON);
        MF_CHECK(strncmp(r.w.req.err.msg, "message bad: ", 13) == 0);
        MF_CHECK_INT(r.job.round.n, 0);
        rig_close(&r);
    }
}

/* Both rounds of a shared store, with the n-th allocation failing; whether one did. */
MF_WORKER static bool write_with_failure(size_t n)
{
    struct rig r = {.env = {.cfg = {.is_shared = true}}};
    struct mf_store_row rows[] = {row_of("u2", "a", 1), row_of("u1", "b", 2)};
    PGresult *marks = pairs(two_marks, 2, MF_PG_OID_INT8);
    bool has_failed;
    int rc;

    rows[1].passages = MF_SLICE("passages");
    rig_open(&r, rows, 2);
    mf_test_fail_nth(n);
    rc = mf_pg_write_rounds(&r.job);
    rc = rc < 0 ? rc : r.job.round.rc;
    if (rc == 0) {
        rc = answer(&r, mf_pg_write_rounds, marks);
        rc = rc < 0 ? rc : r.job.round.rc;
    } else {
        PQclear(marks);
    }
    has_failed = mf_test_has_failed();
    mf_test_fail_nth(0);
    MF_CHECK_INT(rc, has_failed ? MF_ENOMEM : 0);
    rig_close(&r);
    return has_failed;
}

MF_TEST(pg_write, fails_cleanly_for_each_lack_of_memory)
{
    size_t n = 1;

    while (write_with_failure(n)) {
        n++;
    }
    MF_CHECK(n > 15);
}
