/* SPDX-License-Identifier: Apache-2.0 */
/* Rows in the binary format of COPY, byte by byte, and the rounds of LOAD_ROUNDS. */
#include "store/pg_copy.h"

#include "store/pg_write.h"
#include "unit/pg_write_rig.h"

#include <stdio.h>

#define HEAD "5047434f50590aff0d0a00 00000000 00000000"

/* `want` in hexadecimal digits, with blanks anywhere. */
static void check_bytes(struct mf_slice got, const char *want)
{
    char hex[1024];
    size_t n = 0;

    for (; *want != '\0' && n < sizeof(hex) - 1; want++) {
        if (*want != ' ') {
            hex[n++] = *want;
        }
    }
    hex[n] = '\0';
    MF_CHECK_INT(got.n, n / 2);
    for (size_t i = 0; i < got.n; i++) {
        char two[3];

        (void)snprintf(two, sizeof(two), "%02x", (unsigned char)got.p[i]);
        if (memcmp(two, hex + 2 * i, 2) != 0) {
            fail_msg("byte %zu is %s and not %.2s", i, two, hex + 2 * i);
        }
    }
}

static size_t two_floats(struct mf_slice search, float *to, size_t max_dim)
{
    if (search.n == 0 || max_dim < 2) {
        return 0;
    }
    to[0] = 1;
    to[1] = -0.5F;
    return 2;
}

static struct mf_store_row row_of(const char *user, const char *id, uint64_t seq)
{
    return (struct mf_store_row){.seq = seq,
                                 .user_id = mf_slice_str(user),
                                 .session_id = MF_SLICE("s"),
                                 .msg = {.id = mf_slice_str(id),
                                         .content = MF_SLICE("hi"),
                                         .created_us = 2,
                                         .updated_us = 3,
                                         .role = MF_MSG_ASSISTANT}};
}

MF_TEST(pg_copy, writes_a_row_as_the_manual_has_it_with_its_nulls)
{
    struct rig r = {.w = {.n_changed = 0}};
    const struct mf_store_row row = row_of("u", "m", 258);
    struct mf_pg_copy c;

    rig_open(&r, &row, 1);
    MF_CHECK_OK(mf_pg_copy_messages(
        &r.args, mf_pg_batch_sort(&r.job, NULL, MF_PG_KEEP_FIRST), &c));
    check_bytes(c.data, HEAD "000d" /* 13 fields */
                             "00000001 75 00000001 6d"
                             "00000008 0000000000000102" /* seq */
                             "00000001 73 ffffffff"      /* session, no round */
                             "00000008 0000000000000002" /* created */
                             "00000008 0000000000000003" /* updated */
                             "00000002 0001 00000001 00" /* role, is_pending */
                             "00000008 0000000000000000" /* mark */
                             "ffffffff 00000002 6869"    /* no search, content */
                             "ffffffff ffff");           /* no metadata, the end */
    MF_CHECK_STR(c.text, "COPY messages (user_id, id, seq, session_id, round_id,"
                         " created_us, updated_us, role, is_pending, mark, search,"
                         " content, metadata) FROM STDIN WITH (FORMAT binary)");
    rig_close(&r);
}

MF_TEST(pg_copy, writes_vectors_where_the_server_has_a_column_for_them)
{
    struct rig r = {
        .env = {.vector_oid = 16400, .max_dim = 16, .vector_of = two_floats}};
    struct mf_store_row rows[] = {row_of("u", "a", 1), row_of("u", "b", 1)};
    struct mf_slice tail;
    struct mf_pg_copy c;

    rows[1].search = MF_SLICE("x");
    rows[1].is_pending = true;
    rig_open(&r, rows, 2);
    MF_CHECK_OK(mf_pg_copy_messages(
        &r.args, mf_pg_batch_sort(&r.job, NULL, MF_PG_KEEP_FIRST), &c));
    MF_CHECK(strstr(c.text, "metadata, embedding) FROM STDIN") != NULL);
    tail = mf_slice_of(c.data.p + c.data.n - 28, 28);
    check_bytes(tail, "00000002 6869 ffffffff" /* content, metadata */
                      "0000000c 0002 0000 3f800000 bf000000 ffff");
    MF_CHECK_INT(c.data.p[19 + 1], 14); /* fields of the first row, which has none */
    rig_close(&r);
}

MF_TEST(pg_copy, writes_passages_of_their_message)
{
    struct rig r = {.w = {.n_changed = 0}};
    struct mf_store_row row = row_of("u", "m", 1);
    struct mf_pg_copy c;

    row.passages = MF_SLICE("pp");
    rig_open(&r, &row, 1);
    MF_CHECK_OK(mf_pg_copy_passages(
        &r.args, mf_pg_batch_sort(&r.job, NULL, MF_PG_KEEP_FIRST), &c));
    check_bytes(c.data, HEAD "0003 00000001 75 00000001 6d 00000002 7070 ffff");
    rig_close(&r);
}

MF_TEST(pg_copy, sends_one_round_sorted_by_key_each_row_once)
{
    struct rig r = {.w = {.n_changed = 9}};
    const struct mf_store_row rows[] = {row_of("u2", "a", 1), row_of("u1", "b", 2),
                                        row_of("u1", "b", 3)};

    rig_open(&r, rows, 3);
    MF_CHECK_OK(mf_pg_load_rounds(&r.job));
    MF_CHECK(r.job.is_last);
    MF_CHECK_INT(r.job.round.n, 1);
    MF_CHECK_INT(r.job.round.calls[0].n, 0);
    check_bytes(mf_slice_of(r.job.round.calls[0].copy.p, 44),
                HEAD "000d 00000002 7531 00000001 62 00000008 0000000000000002");
    MF_CHECK_INT(r.job.round.calls[0].copy.n, 19 + 2 * 95 + 2);
    rig_close(&r);
}

MF_TEST(pg_copy, sends_nothing_for_no_rows)
{
    struct rig r = {.w = {.n_changed = 9}};

    rig_open(&r, NULL, 0);
    MF_CHECK_OK(mf_pg_load_rounds(&r.job));
    MF_CHECK_INT(r.job.round.n, 0);
    MF_CHECK_OK(mf_pg_load_rounds(&r.job));
    MF_CHECK_INT(r.w.n_changed, 0);
    rig_close(&r);
}

MF_TEST(pg_copy, asks_for_marks_first_when_the_store_is_shared)
{
    struct rig r = {.env = {.cfg = {.is_shared = true}}};
    const struct mf_store_row row = row_of("u", "m", 1);

    rig_open(&r, &row, 1);
    MF_CHECK_OK(mf_pg_load_rounds(&r.job));
    MF_CHECK(!r.job.is_last);
    MF_CHECK_INT(r.job.round.n, 1);
    MF_CHECK_INT(r.job.round.calls[0].id, MF_PG_MARKS_TAKE);
    rig_close(&r);
}

MF_TEST(pg_copy, leaves_a_cluster_of_citus_to_the_flushs_statement)
{
    struct rig r = {.env = {.cfg = {.is_citus = true}}};
    const struct mf_store_row row = row_of("u", "m", 1);

    rig_open(&r, &row, 1);
    MF_CHECK_OK(mf_pg_load_rounds(&r.job));
    MF_CHECK(r.job.is_last);
    MF_CHECK_INT(r.job.round.n, 1);
    MF_CHECK_INT(r.job.round.calls[0].id, MF_PG_MESSAGE_PUT);
    rig_close(&r);
}

MF_TEST(pg_copy, names_the_message_whose_text_has_a_nul)
{
    struct rig r = {.w = {.n_changed = 0}};
    struct mf_store_row rows[] = {row_of("u", "good", 1), row_of("u", "bad.one", 2)};

    rows[1].msg.content = mf_slice_of("a\0b", 3);
    rig_open(&r, rows, 2);
    MF_CHECK_INT(mf_pg_load_rounds(&r.job), MF_EPOISON);
    MF_CHECK(strstr(r.job.err->msg, "bad.one") != NULL);
    MF_CHECK(strstr(r.job.err->msg, "NUL") != NULL);
    rig_close(&r);
}

/* Whether an allocation failed. */
static bool load_with_failure(const struct mf_store_row *rows, size_t nth)
{
    struct rig r = {.w = {.n_changed = 0}};
    int rc;
    bool has_failed;

    rig_open(&r, rows, 2);
    mf_test_fail_nth(nth);
    rc = mf_pg_load_rounds(&r.job);
    has_failed = mf_test_has_failed();
    mf_test_fail_nth(0);
    rc = rc < 0 ? rc : r.job.round.rc;
    MF_CHECK_INT(rc, has_failed ? MF_ENOMEM : 0);
    MF_CHECK(has_failed || r.job.round.n == 2);
    rig_close(&r);
    return has_failed;
}

MF_TEST(pg_copy, ends_cleanly_without_memory)
{
    struct mf_store_row rows[] = {row_of("u", "a", 1), row_of("u", "b", 2)};
    size_t n = 1;

    rows[0].passages = MF_SLICE("pp");
    while (load_with_failure(rows, n)) {
        n++;
    }
    MF_CHECK(n > 4);
}
