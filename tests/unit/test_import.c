/* SPDX-License-Identifier: Apache-2.0 */
/* memfuse import without its command: lines, batches with their ids, and the store. */
#include "main/import_feed.h"
#include "main/import_lines.h"

#include "lib/loop_fixture.h"
#include "lib/mf_test.h"
#include "lib/test_file.h"

#include <stdio.h>

#define ROUND(user, text)                                                              \
    "{\"user\":\"" user "\",\"session\":\"s\",\"messages\":[{\"role\":\"user\","       \
    "\"content\":\"" text "\"}]}\n"

/* ---- files ---- */

static const char *file_of(const char *text, size_t n)
{
    return mf_test_file(mf_test_tmpdir(), "lines", text, n);
}

static void check_line(struct mf_lines *l, uint64_t number, const char *text)
{
    MF_CHECK_INT(mf_lines_next(l, NULL), 1);
    MF_CHECK_INT(l->number, number);
    MF_CHECK(!l->is_too_long);
    MF_CHECK(mf_slice_is(mf_slice_of(l->line.p, l->line.n), text));
}

MF_TEST(import_lines, gives_each_line_without_its_end_and_no_empty_one)
{
    static const char text[] = "one\r\n\n\r\ntwo\n three";
    static struct mf_lines l;

    MF_CHECK_OK(mf_lines_open(&l, file_of(text, sizeof(text) - 1), 100, NULL));
    check_line(&l, 1, "one");
    check_line(&l, 4, "two");
    check_line(&l, 5, " three");
    MF_CHECK_INT(mf_lines_next(&l, NULL), 0);
    MF_CHECK_INT(mf_lines_next(&l, NULL), 0);
    mf_lines_close(&l);
}

MF_TEST(import_lines, keeps_nothing_of_a_line_that_is_too_long_and_goes_on_behind_it)
{
    static char text[3 * MF_LINES_READ];
    static struct mf_lines l;

    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 6] = '\n';
    memcpy(text + sizeof(text) - 5, "next\n", 5);
    MF_CHECK_OK(
        mf_lines_open(&l, file_of(text, sizeof(text)), 2 * MF_LINES_READ, NULL));
    MF_CHECK_INT(mf_lines_next(&l, NULL), 1);
    MF_CHECK(l.is_too_long);
    check_line(&l, 2, "next");
    mf_lines_close(&l);
    MF_CHECK_OK(mf_lines_open(&l, file_of(text, sizeof(text)), sizeof(text) - 6, NULL));
    MF_CHECK_INT(mf_lines_next(&l, NULL), 1);
    MF_CHECK(!l.is_too_long);
    MF_CHECK_INT(l.line.n, sizeof(text) - 6);
    mf_lines_close(&l);
}

MF_TEST(import_lines, says_which_file_is_not_there)
{
    static struct mf_lines l;
    struct mf_err err = {0};

    MF_CHECK(mf_lines_open(&l, "/nowhere/at-all", 100, &err) < 0);
    MF_CHECK_STR(err.msg, "/nowhere/at-all: No such file or directory");
    mf_lines_close(&l);
}

/* ---- batches ---- */

struct rig {
    struct mf_conf conf;
    struct mf_record_maker maker;
    struct mf_feed *feed;
    struct mf_import_batch batch;
    struct mf_feed_result result;
};

static void open_rig(struct rig *r, const char *text, bool skips_bad)
{
    struct mf_feed_config cfg;

    MF_CHECK_OK(mf_conf_init(&r->conf));
    r->maker.terms = mf_terms_pool_new();
    cfg = (struct mf_feed_config){.conf = &r->conf,
                                  .path = file_of(text, strlen(text)),
                                  .maker = &r->maker,
                                  .skips_bad = skips_bad};
    MF_CHECK_OK(mf_feed_open(&r->feed, &cfg, NULL));
    mf_import_batch_init(&r->batch);
    mf_buf_init(&r->result.said);
}

static void close_rig(struct rig *r)
{
    mf_feed_close(r->feed);
    mf_import_batch_fini(&r->batch);
    mf_buf_fini(&r->result.said);
    mf_terms_pool_free(r->maker.terms);
    mf_conf_fini(&r->conf);
}

static void copy_id(char *to, struct mf_slice id)
{
    MF_CHECK_INT(id.n, MF_UUID_LEN);
    memcpy(to, id.p, id.n);
    to[id.n] = '\0';
}

/* The id of the first message of line `at`. */
static void id_of(char *to, const char *text, size_t at)
{
    struct rig r = {.feed = NULL};

    open_rig(&r, text, false);
    mf_feed_fill(r.feed, &r.batch, &r.result);
    MF_CHECK_OK(r.result.rc);
    MF_CHECK(at < r.batch.n_lines);
    copy_id(to, r.batch.rows[r.batch.lines[at].first].msg.id);
    close_rig(&r);
}

MF_TEST(import_feed, makes_rows_that_wait_for_their_vectors_and_are_found_by_words)
{
    struct rig r = {.feed = NULL};
    const struct mf_store_row *row;

    open_rig(&r,
             "{\"user\":\"u\",\"agent\":\"a\",\"session\":\"s\",\"messages\":["
             "{\"role\":\"user\",\"content\":\"hi there\",\"id\":\"m1\",\"metadata\":"
             "{\"timestamp\":\"1970-01-01T00:00:01\",\"k\":1}},"
             "{\"role\":\"assistant\",\"content\":\"yes\"}]}\n",
             false);
    mf_feed_fill(r.feed, &r.batch, &r.result);
    MF_CHECK_OK(r.result.rc);
    MF_CHECK(r.result.is_over && !r.result.is_bad);
    MF_CHECK_INT(r.batch.n_lines, 1);
    MF_CHECK_INT(r.batch.n_rows, 2);
    MF_CHECK(mf_slice_is(r.batch.lines[0].agent, "a"));
    row = &r.batch.rows[0];
    MF_CHECK(mf_slice_is(row->msg.id, "m1"));
    MF_CHECK_INT(row->msg.created_us, 1000000);
    MF_CHECK(mf_slice_is(row->msg.metadata,
                         "{\"timestamp\":\"1970-01-01T00:00:01\",\"k\":1}"));
    MF_CHECK(row[1].msg.created_us > 1000000);
    MF_CHECK_INT(row[1].msg.created_us, row[1].msg.updated_us);
    MF_CHECK(mf_slice_eq(row[0].round_id, row[1].round_id));
    for (size_t i = 0; i < 2; i++) {
        struct mf_search_view v;

        MF_CHECK(row[i].is_pending);
        MF_CHECK_OK(mf_search_view(row[i].search, &v));
        MF_CHECK(v.vector == NULL);
        MF_CHECK_INT(v.role, row[i].msg.role);
    }
    close_rig(&r);
}

MF_TEST(import_feed, makes_ids_of_the_line_its_place_and_whose_it_is)
{
    char id[40], other[40];

    id_of(id, ROUND("u", "a") ROUND("u", "b"), 1);
    id_of(other, "\n" ROUND("u", "b"), 0); /* the same line at the same place */
    MF_CHECK_STR(id, other);
    id_of(other, ROUND("u", "b"), 0);
    MF_CHECK(strcmp(id, other) != 0);
    id_of(other, "\n" ROUND("v", "b"), 0);
    MF_CHECK(strcmp(id, other) != 0);
    id_of(other, "\n" ROUND("u", "c"), 0);
    MF_CHECK(strcmp(id, other) != 0);
    MF_CHECK_INT(id[14], '8'); /* a UUID of version 8 */
}

MF_TEST(import_feed, ends_a_batch_that_has_rows_enough_and_goes_on_with_the_next)
{
    static char text[(MF_FEED_ROWS + 10) * sizeof(ROUND("u", "a"))];
    struct rig r = {.feed = NULL};
    size_t n = 0;

    for (size_t i = 0; i < MF_FEED_ROWS + 10; i++) {
        memcpy(text + n, ROUND("u", "a"), sizeof(ROUND("u", "a")));
        n += sizeof(ROUND("u", "a")) - 1;
    }
    open_rig(&r, text, false);
    mf_feed_fill(r.feed, &r.batch, &r.result);
    MF_CHECK_INT(r.batch.n_rows, MF_FEED_ROWS);
    MF_CHECK(!r.result.is_over);
    mf_import_batch_reset(&r.batch);
    mf_feed_fill(r.feed, &r.batch, &r.result);
    MF_CHECK_INT(r.batch.n_rows, 10);
    MF_CHECK_INT(r.batch.lines[9].number, MF_FEED_ROWS + 10);
    MF_CHECK(r.result.is_over);
    close_rig(&r);
}

MF_TEST(import_feed, ends_at_a_bad_line_or_counts_it_and_goes_on)
{
    static const char text[] = ROUND("u", "a") "{]\n" ROUND("u", "") ROUND("u", "b");
    struct rig r = {.feed = NULL};

    open_rig(&r, text, false);
    mf_feed_fill(r.feed, &r.batch, &r.result);
    MF_CHECK(r.result.is_bad && r.result.is_over);
    MF_CHECK_INT(r.batch.n_lines, 1);
    MF_CHECK_INT(r.result.n_skipped, 1);
    close_rig(&r);
    r = (struct rig){.feed = NULL};
    open_rig(&r, text, true);
    mf_feed_fill(r.feed, &r.batch, &r.result);
    MF_CHECK(!r.result.is_bad);
    MF_CHECK_INT(r.batch.n_lines, 2);
    MF_CHECK_INT(r.batch.lines[1].number, 4);
    MF_CHECK_INT(r.result.n_skipped, 2);
    mf_buf_add_char(&r.result.said, '\0');
    MF_CHECK(strstr(r.result.said.p, "lines:2: body: invalid JSON") != NULL);
    MF_CHECK(strstr(r.result.said.p, "lines:3: messages[0].content: String should have "
                                     "at least 1 character\n") != NULL);
    close_rig(&r);
}

/* Whether an allocation failed. */
static bool fill_with_failure(size_t nth)
{
    struct rig r = {.feed = NULL};
    bool has_failed;

    open_rig(&r, ROUND("u", "some words") "{]\n" ROUND("u", "b"), true);
    mf_test_fail_nth(nth);
    mf_feed_fill(r.feed, &r.batch, &r.result);
    has_failed = mf_test_has_failed();
    mf_test_fail_nth(0);
    if (r.result.rc < 0) {
        MF_CHECK_INT(r.result.rc, MF_ENOMEM);
        MF_CHECK(r.result.is_over && r.result.err.msg[0] != '\0');
    } else {
        MF_CHECK_INT(r.batch.n_lines, 2);
    }
    close_rig(&r);
    return has_failed;
}

MF_TEST(import_feed, ends_cleanly_without_memory)
{
    size_t n = 1;

    while (fill_with_failure(n)) {
        n++;
    }
    MF_CHECK(n > 8);
}

/* ---- the store ---- */

struct refusals {
    unsigned n;
    uint64_t last;
};

static bool on_refused(void *arg, const struct mf_import_line *line,
                       MF_UNUSED const char *why)
{
    struct refusals *r = arg;

    r->n++;
    r->last = line->number;
    return true;
}

struct place { /* of an import in a folder of its own */
    struct mf_loop *loop;
    struct rig rig;
    struct mf_import *im;
    struct refusals refusals;
    struct mf_import_counts counts;
};

MF_ANY static void open_place(struct place *p, const char *text) MF_ASSERTS_LOOP;

static void open_place(struct place *p, const char *text)
{
    struct mf_conf_report report = {.n_problems = 0};
    char setting[512];

    mf_buf_init(&report.text);
    p->loop = mf_loop_fixture_open();
    open_rig(&p->rig, text, true);
    (void)snprintf(setting, sizeof(setting), "data.dir=%s/data", mf_test_tmpdir());
    MF_CHECK_OK(mf_conf_set(&p->rig.conf, setting, &report));
    mf_buf_fini(&report.text);
}

MF_LOOP static int open_import(struct place *p, struct mf_import **im,
                               struct mf_err *err)
{
    struct mf_import_events ev = {.refused = on_refused, .arg = &p->refusals};

    return mf_import_open(im, p->loop, &p->rig.conf, &ev, err);
}

MF_LOOP static void close_place(struct place *p)
{
    mf_import_close(p->im);
    mf_loop_fixture_close(p->loop);
    close_rig(&p->rig);
}

MF_LOOP static int store_all(struct place *p)
{
    struct mf_err err = {0};

    mf_import_batch_reset(&p->rig.batch);
    mf_feed_fill(p->rig.feed, &p->rig.batch, &p->rig.result);
    MF_CHECK_OK(p->rig.result.rc);
    return mf_import_store(p->im, &p->rig.batch, &p->counts, &err);
}

MF_TEST(import, stores_lines_of_several_users_and_passes_over_what_it_cannot)
{
    static const char of_other_agent[] =
        "{\"user\":\"u\",\"agent\":\"other\",\"session\":\"s\",\"messages\":[]}\n";
    struct place p = {.im = NULL};
    char text[1024];

    (void)snprintf(text, sizeof(text), "%s%s%s%s", ROUND("u", "a"), ROUND("v", "b"),
                   of_other_agent, ROUND("u", "c"));
    open_place(&p, text);
    MF_CHECK_OK(open_import(&p, &p.im, NULL));
    MF_CHECK_OK(store_all(&p));
    MF_CHECK_INT(p.counts.n_stored, 3);
    MF_CHECK_INT(p.counts.n_lines, 3);
    MF_CHECK_INT(p.refusals.n, 1);
    MF_CHECK_INT(p.refusals.last, 3);
    close_place(&p);
}

MF_TEST(import, is_refused_while_another_has_the_folder)
{
    struct place p = {.im = NULL};
    struct mf_import *second = NULL;
    struct mf_err err = {0};

    open_place(&p, "");
    MF_CHECK_OK(open_import(&p, &p.im, &err));
    MF_CHECK_INT(open_import(&p, &second, &err), MF_EBUSY);
    MF_CHECK(strstr(err.msg, "stop the service") != NULL);
    close_place(&p);
}
