/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"
#include "base/mem.h"
#include "buffer/buffer.h"
#include "lib/mf_test.h"
#include "lib/rounds.h"

#include <limits.h>

static const struct mf_wbuf_limits lim = {.max_rounds = 3, .max_tokens = 800};

/* There is no loop here: this thread is as good as the loop's. */
static struct mf_buffers *buffers_of(size_t max_bytes) MF_ASSERTS_LOOP;
static struct mf_buffers *buffers_open(void) MF_ASSERTS_LOOP;
static void as_loop(void) MF_ASSERTS_LOOP;

static void as_loop(void)
{
}

static struct mf_buffers *buffers_of(size_t max_bytes)
{
    struct mf_buffers *b;

    as_loop();
    MF_CHECK_OK(mf_buffers_new(&b, max_bytes));
    return b;
}

static struct mf_buffers *buffers_open(void)
{
    return buffers_of(1 << 20);
}

MF_LOOP static struct mf_add_outcome add(struct mf_buffers *b,
                                         const struct mf_test_round *r,
                                         const struct mf_wbuf_limits *l,
                                         uint64_t now_ms)
{
    struct mf_item *it = mf_test_round_new(r);
    struct mf_add_outcome out;

    mf_buffers_reserve(b, it->bytes);
    MF_CHECK_OK(mf_buffers_add(b, it, l, now_ms, &out));
    mf_item_unref(it);
    return out;
}

MF_LOOP static struct mf_add_outcome add_one(struct mf_buffers *b, uint64_t seq)
{
    return add(b, &(struct mf_test_round){"u", "s", seq, 1, 8, NULL}, &lim, seq);
}

MF_LOOP static struct mf_add_outcome add_direct(struct mf_buffers *b, uint64_t seq)
{
    return add(b, &(struct mf_test_round){"u", "s", seq, 1, 8, NULL}, NULL, seq);
}

struct counts {
    size_t write, hybrid, queued, flying, parked, stored;
};

MF_LOOP static void counts_are(struct mf_buffers *b, struct counts want)
{
    MF_CHECK_INT(mf_buffers_n_entries(b, MF_PLACE_WRITE), want.write);
    MF_CHECK_INT(mf_buffers_n_entries(b, MF_PLACE_HYBRID), want.hybrid);
    MF_CHECK_INT(mf_buffers_n_entries(b, MF_PLACE_QUEUED), want.queued);
    MF_CHECK_INT(mf_buffers_n_entries(b, MF_PLACE_FLYING), want.flying);
    MF_CHECK_INT(mf_buffers_n_entries(b, MF_PLACE_PARKED), want.parked);
    MF_CHECK_INT(mf_buffers_n_entries(b, MF_PLACE_STORED), want.stored);
}

/* check_counts(b, .write = 2): so many entries in that place, none in the others. */
#define check_counts(b, ...) counts_are((b), (struct counts){__VA_ARGS__})

static uint64_t seq_at(const struct mf_list *l, size_t at)
{
    mf_list_each (l, k) {
        if (at-- == 0) {
            return mf_container_of(k, struct mf_entry, in_place)->item->seq;
        }
    }
    return 0;
}

MF_TEST(buffers, keep_rounds_in_the_write_buffer_until_it_is_full)
{
    struct mf_buffers *b = buffers_open();
    struct mf_add_outcome out;
    struct mf_userbuf *u;

    for (uint64_t seq = 1; seq <= 3; seq++) {
        out = add_one(b, seq);
        MF_CHECK(!out.transferred);
        MF_CHECK_INT(out.entry->place, MF_PLACE_WRITE);
        MF_CHECK_INT(out.entry->urgency, UINT_MAX);
    }
    check_counts(b, .write = 3);
    u = mf_userbuf_find(b, MF_SLICE("u"));
    MF_CHECK_INT(u->last_write_ms, 3);
    MF_CHECK_INT(u->write_tokens, 3 * out.entry->item->tokens);
    out = add_one(b, 4);
    MF_CHECK(out.transferred);
    MF_CHECK_INT(out.reason, MF_WBUF_SIZE_LIMIT);
    check_counts(b, .write = 1, .hybrid = 3);
    MF_CHECK_INT(u->write_tokens, out.entry->item->tokens);
    MF_CHECK_INT(u->oldest_hybrid_ms, 4);
    MF_CHECK_INT(seq_at(&u->hybrid, 0), 1);
    MF_CHECK_INT(seq_at(&u->hybrid, 2), 3);
    mf_buffers_free(b);
}

MF_TEST(buffers, hand_over_when_the_session_changes)
{
    struct mf_buffers *b = buffers_open();
    struct mf_add_outcome out;

    (void)add_one(b, 1);
    out = add(b, &(struct mf_test_round){"u", "s2", 2, 1, 8, NULL}, &lim, 7);
    MF_CHECK_INT(out.reason, MF_WBUF_SESSION_CHANGE);
    check_counts(b, .write = 1, .hybrid = 1);
    /* Another user's session is another matter. */
    out = add(b, &(struct mf_test_round){"v", "s3", 3, 1, 8, NULL}, &lim, 8);
    MF_CHECK(!out.transferred);
    out = add(b, &(struct mf_test_round){"u", "s2", 4, 1, 8, NULL}, &lim, 9);
    MF_CHECK(!out.transferred);
    check_counts(b, .write = 3, .hybrid = 1);
    mf_buffers_free(b);
}

MF_TEST(buffers, pass_an_oversized_round_behind_the_waiting_ones)
{
    static const struct mf_wbuf_limits small = {.max_rounds = 5, .max_tokens = 8};
    struct mf_buffers *b = buffers_open();
    struct mf_userbuf *u;
    struct mf_add_outcome out;

    (void)add(b, &(struct mf_test_round){"u", "s", 1, 1, 8, NULL}, &small, 5);
    out = add(b, &(struct mf_test_round){"u", "s", 2, 4, 8, NULL}, &small, 6);
    MF_CHECK(out.transferred);
    MF_CHECK_INT(out.reason, MF_WBUF_OVERSIZE);
    MF_CHECK_INT(out.entry->place, MF_PLACE_HYBRID);
    u = out.entry->owner;
    MF_CHECK_INT(u->hybrid.n, 2);
    MF_CHECK_INT(seq_at(&u->hybrid, 0), 1);
    MF_CHECK_INT(u->write_tokens, 0);
    MF_CHECK_INT(u->last_write_ms, 5);
    mf_buffers_free(b);
}

MF_TEST(buffers, know_an_idle_write_buffer)
{
    static const struct mf_hbuf_limits hlim = {.idle_ms = 100};
    struct mf_buffers *b = buffers_open();
    struct mf_userbuf *u = add_one(b, 50).entry->owner;

    MF_CHECK(!mf_wbuf_is_idle(u, &hlim, 149));
    MF_CHECK(mf_wbuf_is_idle(u, &hlim, 150));
    MF_CHECK_INT(mf_userbuf_transfer(b, u, 150), 1);
    MF_CHECK_INT(mf_userbuf_transfer(b, u, 150), 0);
    MF_CHECK(!mf_wbuf_is_idle(u, &hlim, 1000));
    check_counts(b, .hybrid = 1);
    mf_buffers_free(b);
}

MF_TEST(buffers, find_messages_by_id_and_number_until_they_are_stored)
{
    struct mf_buffers *b = buffers_open();
    struct mf_entry *e =
        add(b, &(struct mf_test_round){"u", "s", 10, 3, 8, NULL}, &lim, 1).entry;
    struct mf_userbuf *u = e->owner;
    struct mf_entry_msg *m = mf_userbuf_find_msg(u, MF_SLICE("m11"));

    MF_CHECK_PTR(m, &e->msgs[1]);
    MF_CHECK_INT(mf_entry_msg_index(m), 1);
    MF_CHECK_PTR(mf_userbuf_find_seq(u, 11), m);
    MF_CHECK_PTR(mf_userbuf_find_seq(u, 9), NULL);
    MF_CHECK_PTR(mf_userbuf_find_seq(u, 13), NULL);
    MF_CHECK_PTR(mf_userbuf_find_msg(u, MF_SLICE("m13")), NULL);
    MF_CHECK_INT(mf_buffers_n_messages(b), 3);
    (void)add_one(b, 20);
    mf_entry_stored(b, e);
    MF_CHECK_PTR(mf_userbuf_find_seq(u, 11), NULL);
    MF_CHECK_PTR(mf_userbuf_find_msg(u, MF_SLICE("m11")), NULL);
    MF_CHECK_PTR(e->owner, NULL);
    MF_CHECK_INT(mf_buffers_n_messages(b), 1);
    check_counts(b, .write = 1, .stored = 1);
    mf_entry_free(b, e);
    check_counts(b, .write = 1);
    mf_buffers_free(b);
}

MF_TEST(buffers, count_bytes_of_items_and_records_exactly)
{
    struct mf_buffers *b = buffers_open();
    struct mf_entry *e = add_one(b, 1).entry;
    size_t item_bytes = e->item->bytes;
    struct mf_buf search, passages;
    size_t records;

    mf_buf_init(&search);
    mf_buf_init(&passages);
    mf_buf_add_str(&search, "a search record");
    mf_buf_add_str(&passages, "passages");
    records = search.n + passages.n; /* no more than there is to keep */
    MF_CHECK_INT(mf_buffers_bytes(b), item_bytes);
    MF_CHECK_OK(mf_entry_set_record(b, &e->msgs[0], &search, &passages, false));
    MF_CHECK_PTR(search.p, NULL);
    MF_CHECK_PTR(passages.p, NULL);
    MF_CHECK(mf_slice_eq(mf_slice_of(e->msgs[0].search.p, e->msgs[0].search.n),
                         MF_SLICE("a search record")));
    MF_CHECK_INT(mf_buffers_bytes(b), item_bytes + records);
    /* Replaced by a smaller one, without passages. */
    mf_buf_add_str(&search, "b");
    records = search.n;
    MF_CHECK_OK(mf_entry_set_record(b, &e->msgs[0], &search, NULL, true));
    MF_CHECK_INT(e->msgs[0].passages.n, 0);
    MF_CHECK_INT(mf_buffers_bytes(b), item_bytes + records);
    mf_entry_stored(b, e);
    MF_CHECK_INT(mf_buffers_bytes(b), item_bytes + records);
    mf_entry_free(b, e);
    MF_CHECK_INT(mf_buffers_bytes(b), 0);
    mf_buffers_free(b);
}

MF_TEST(buffers, have_room_up_to_the_bound)
{
    struct mf_buffers *b = buffers_of(100);

    mf_buffers_reserve(b, 40);
    MF_CHECK(mf_buffers_has_room(b, 59));
    MF_CHECK(mf_buffers_has_room(b, 60));
    MF_CHECK(!mf_buffers_has_room(b, 61));
    MF_CHECK(!mf_buffers_has_room(b, SIZE_MAX));
    mf_buffers_unreserve(b, 40);
    MF_CHECK(mf_buffers_has_room(b, 100));
    mf_buffers_reserve(b, 101);
    MF_CHECK(!mf_buffers_has_room(b, 0));
    mf_buffers_unreserve(b, 101);
    MF_CHECK_INT(mf_buffers_max_bytes(b), 100);
    mf_buffers_free(b);
}

MF_LOOP static int set_record(struct mf_buffers *b, struct mf_entry_msg *m,
                              bool has_vector)
{
    struct mf_buf search;
    int rc;

    mf_buf_init(&search);
    mf_buf_add_str(&search, "record");
    rc = mf_entry_set_record(b, m, &search, NULL, has_vector);
    mf_buf_fini(&search);
    return rc;
}

MF_TEST(buffers, count_missing_vectors_once)
{
    struct mf_buffers *b = buffers_open();
    struct mf_entry *e =
        add(b, &(struct mf_test_round){"u", "s", 1, 3, 8, NULL}, NULL, 1).entry;

    MF_CHECK_INT(e->n_missing, 3);
    MF_CHECK_OK(set_record(b, &e->msgs[0], false)); /* keywords only */
    MF_CHECK_INT(e->n_missing, 3);
    MF_CHECK_OK(set_record(b, &e->msgs[0], true));
    MF_CHECK_OK(set_record(b, &e->msgs[0], true));
    MF_CHECK_INT(e->n_missing, 2);
    mf_entry_vector_failed(&e->msgs[1]);
    mf_entry_vector_failed(&e->msgs[1]);
    MF_CHECK_INT(e->n_missing, 1);
    MF_CHECK_OK(set_record(b, &e->msgs[1], true)); /* late, after all */
    MF_CHECK_INT(e->n_missing, 1);
    MF_CHECK_OK(set_record(b, &e->msgs[2], true));
    MF_CHECK_INT(e->n_missing, 0);
    mf_buffers_free(b);
}

MF_TEST(buffers, refuse_a_record_while_the_store_reads_the_old_one)
{
    struct mf_buffers *b = buffers_open();
    struct mf_entry *e = add_direct(b, 1).entry;
    struct mf_list job;
    size_t bytes = mf_buffers_bytes(b);

    mf_list_init(&job);
    mf_entry_move(b, e, MF_PLACE_QUEUED, &job);
    mf_entry_move(b, e, MF_PLACE_FLYING, &job);
    MF_CHECK_INT(set_record(b, &e->msgs[0], true), MF_EBUSY);
    MF_CHECK_INT(mf_buffers_bytes(b), bytes);
    MF_CHECK(!e->msgs[0].has_vector);
    mf_entry_move(b, e, MF_PLACE_QUEUED, &job);
    MF_CHECK_OK(set_record(b, &e->msgs[0], true));
    mf_entry_stored(b, e);
    MF_CHECK_INT(set_record(b, &e->msgs[0], true), MF_EBUSY);
    mf_entry_free(b, e);
    mf_buffers_free(b);
}

MF_TEST(buffers, move_entries_between_lists_as_they_change_place)
{
    struct mf_buffers *b = buffers_open();
    struct mf_entry *e = add_direct(b, 1).entry;
    struct mf_userbuf *u = e->owner;
    struct mf_list job, batch;

    mf_list_init(&job);
    mf_list_init(&batch);
    MF_CHECK_INT(u->oldest_hybrid_ms, 1);
    mf_entry_move(b, e, MF_PLACE_QUEUED, &job);
    MF_CHECK_INT(u->oldest_hybrid_ms, 0);
    MF_CHECK_INT(u->hybrid.n, 0);
    MF_CHECK_INT(job.n, 1);
    mf_entry_move(b, e, MF_PLACE_QUEUED, &batch);
    MF_CHECK_INT(job.n, 0);
    mf_entry_move(b, e, MF_PLACE_FLYING, &batch);
    MF_CHECK_INT(batch.n, 1);
    check_counts(b, .flying = 1);
    mf_entry_move(b, e, MF_PLACE_PARKED, NULL);
    MF_CHECK_INT(batch.n, 0);
    check_counts(b, .parked = 1);
    MF_CHECK_INT(mf_buffers_n_messages(b), 1); /* listed still */
    MF_CHECK_PTR(mf_userbuf_find_seq(u, 1), &e->msgs[0]);
    mf_entry_move(b, e, MF_PLACE_QUEUED, &job);
    MF_CHECK_INT(job.n, 1);
    mf_entry_free(b, e);
    MF_CHECK_INT(job.n, 0);
    check_counts(b, .write = 0);
    mf_buffers_free(b);
}

MF_TEST(buffers, take_what_is_ready_and_give_it_back_in_order)
{
    static const struct mf_hbuf_limits hlim = {.vector_wait_ms = 100};
    struct mf_buffers *b = buffers_open();
    struct mf_userbuf *u = NULL;
    struct mf_list ready;

    mf_list_init(&ready);
    for (uint64_t seq = 1; seq <= 6; seq++) {
        struct mf_entry *e = add_direct(b, seq).entry;

        u = e->owner;
        if (seq % 2 == 1) {
            mf_entry_vector_failed(&e->msgs[0]);
        }
    }
    MF_CHECK_INT(mf_userbuf_take_ready(u, &hlim, 50, false, &ready), 3);
    MF_CHECK_INT(seq_at(&ready, 0), 1);
    MF_CHECK_INT(seq_at(&ready, 2), 5);
    MF_CHECK_INT(u->oldest_hybrid_ms, 2);
    mf_userbuf_give_back(u, &ready);
    MF_CHECK_INT(ready.n, 0);
    MF_CHECK_INT(u->oldest_hybrid_ms, 1);
    for (uint64_t seq = 1; seq <= 6; seq++) {
        MF_CHECK_INT(seq_at(&u->hybrid, seq - 1), seq);
    }
    MF_CHECK_INT(mf_userbuf_take_ready(u, &hlim, 103, false, &ready), 4);
    MF_CHECK_INT(mf_userbuf_take_ready(u, &hlim, 50, true, &ready), 2);
    MF_CHECK_INT(u->oldest_hybrid_ms, 0);
    mf_userbuf_give_back(u, &ready);
    mf_buffers_free(b);
}

static void on_gone(struct mf_userbuf *u, void *arg)
{
    MF_CHECK_INT(u->all.n, 0);
    ++*(int *)arg;
}

MF_TEST(buffers, let_a_user_go_with_the_last_entry)
{
    struct mf_buffers *b = buffers_open();
    struct mf_entry *first = add_one(b, 1).entry;
    struct mf_entry *second = add_one(b, 2).entry;
    int n_gone = 0;

    mf_buffers_on_gone(b, on_gone, &n_gone);
    MF_CHECK_INT(mf_buffers_users(b)->n, 1);
    mf_entry_stored(b, first);
    MF_CHECK_INT(n_gone, 0);
    mf_entry_stored(b, second);
    MF_CHECK_INT(n_gone, 1);
    mf_entry_free(b, first);
    mf_entry_free(b, second);
    MF_CHECK_INT(mf_buffers_users(b)->n, 0);
    MF_CHECK_PTR(mf_userbuf_find(b, MF_SLICE("u")), NULL);
    (void)add_one(b, 3); /* comes back */
    mf_buffers_free(b);
    MF_CHECK_INT(n_gone, 2);
}

MF_TEST(buffers, refuse_a_message_id_that_is_here_and_change_nothing)
{
    struct mf_buffers *b = buffers_open();
    struct mf_item *twin =
        mf_test_round_new(&(struct mf_test_round){"u", "s", 9, 2, 8, NULL});
    struct mf_add_outcome out;

    (void)add_one(b, 10);
    mf_buffers_reserve(b, twin->bytes);
    MF_CHECK_INT(mf_buffers_add(b, twin, &lim, 1, &out), MF_EEXIST);
    mf_buffers_unreserve(b, twin->bytes);
    MF_CHECK_INT(mf_buffers_n_messages(b), 1);
    MF_CHECK_PTR(mf_userbuf_find_seq(mf_userbuf_find(b, MF_SLICE("u")), 9), NULL);
    check_counts(b, .write = 1);
    mf_item_unref(twin);
    mf_buffers_free(b);
}

MF_TEST(buffers, refuse_a_user_whose_id_is_no_id)
{
    struct mf_buffers *b = buffers_open();
    struct mf_userbuf *u;

    MF_CHECK_INT(mf_userbuf_get(b, MF_SLICE("no good"), &u), MF_EINVAL);
    MF_CHECK_INT(mf_userbuf_get(b, MF_SLICE(""), &u), MF_EINVAL);
    MF_CHECK_OK(mf_userbuf_get(b, MF_SLICE("good"), &u));
    MF_CHECK_PTR(mf_userbuf_find(b, MF_SLICE("good")), u);
    mf_buffers_free(b);
}

MF_TEST(buffers, keep_the_order_of_seq_when_an_older_round_comes_late)
{
    struct mf_buffers *b = buffers_open();
    struct mf_userbuf *u;
    uint64_t last = 0;

    (void)add_direct(b, 5);
    (void)add_direct(b, 2);
    u = add_direct(b, 9).entry->owner;
    mf_list_each (&u->all, k) {
        uint64_t seq = mf_container_of(k, struct mf_entry, in_user)->item->seq;

        MF_CHECK(seq > last);
        last = seq;
    }
    MF_CHECK_INT(seq_at(&u->hybrid, 0), 2);
    MF_CHECK_INT(u->all.n, 3);
    mf_buffers_free(b);
}

MF_TEST(buffers, report_each_failed_allocation_and_stay_as_they_were)
{
    for (size_t nth = 1;; nth++) {
        struct mf_buffers *b = buffers_open();
        struct mf_item *it =
            mf_test_round_new(&(struct mf_test_round){"u", "s", 1, 2, 8, NULL});
        struct mf_add_outcome out;
        int rc;

        mf_buffers_reserve(b, it->bytes);
        mf_test_fail_nth(nth);
        rc = mf_buffers_add(b, it, &lim, 1, &out);
        mf_test_fail_nth(0);
        if (rc == 0) {
            MF_CHECK(nth > 3);
            mf_item_unref(it);
            mf_buffers_free(b);
            return;
        }
        MF_CHECK_INT(rc, MF_ENOMEM);
        MF_CHECK_INT(it->refs, 1);
        MF_CHECK_INT(mf_buffers_n_messages(b), 0);
        MF_CHECK_PTR(mf_userbuf_find(b, MF_SLICE("u")), NULL);
        MF_CHECK_OK(mf_buffers_add(b, it, &lim, 1, &out));
        mf_item_unref(it);
        mf_buffers_free(b);
    }
}
