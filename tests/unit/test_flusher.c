/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"
#include "base/stat.h"
#include "unit/flush_rig.h"

#define HOUR_MS 3600000

static struct rig rig;

static struct rig *open_usual(void) MF_ASSERTS_LOOP;

static struct rig *open_usual(void)
{
    struct mf_flush_config cfg = rig_config();

    rig_open(&rig, &cfg);
    return &rig;
}

static void check_order(const struct rig *r, const uint64_t *want, size_t n)
{
    MF_CHECK_INT(r->n_written, n);
    for (size_t i = 0; i < n; i++) {
        MF_CHECK_INT(r->written[i], want[i]);
    }
}

MF_TEST(flusher, stores_rounds_of_many_users_in_one_batch)
{
    struct rig *r = open_usual();
    int64_t rounds = mf_stat_get(MF_STAT_flush_rounds);
    int64_t batches = mf_stat_get(MF_STAT_flush_batches);
    int64_t late = mf_stat_get(MF_STAT_flush_late_vectors);

    (void)rig_add(r, "u", 1, 2);
    (void)rig_add(r, "v", 3, 1);
    (void)rig_add(r, "u", 4, 3);
    MF_CHECK_OK(rig_push(r, "u", MF_FLUSH_NORMAL));
    MF_CHECK_OK(rig_push(r, "v", MF_FLUSH_NORMAL));
    MF_CHECK_INT(mf_flush_n_queued(r->flush), 2);
    MF_CHECK_INT(mf_stat_get(MF_STAT_flush_queue), 2);
    MF_CHECK_INT(rig_stats(r)->n_writes, 0); /* never before push returns */
    rig_settle(r, 3);
    MF_CHECK_INT(rig_stats(r)->n_writes, 1);
    MF_CHECK_INT(rig_stats(r)->n_rows, 6);
    MF_CHECK_INT(rig_stats(r)->n_urgent, 0);
    for (uint64_t seq = 1; seq <= 6; seq++) {
        rig_check_stored(r, seq == 3 ? "v" : "u", seq);
    }
    MF_CHECK_INT(r->n_storing, 3);
    MF_CHECK_INT(r->n_prepared, 3);
    MF_CHECK_INT(mf_buffers_n_messages(r->buffers), 0);
    MF_CHECK_INT(mf_buffers_bytes(r->buffers), 0);
    MF_CHECK_INT(mf_flush_n_queued(r->flush), 0);
    MF_CHECK_INT(mf_stat_get(MF_STAT_flush_queue), 0);
    MF_CHECK_INT(mf_stat_get(MF_STAT_flush_rounds) - rounds, 3);
    MF_CHECK_INT(mf_stat_get(MF_STAT_flush_batches) - batches, 1);
    MF_CHECK_INT(mf_stat_get(MF_STAT_flush_late_vectors) - late, 6);
    rig_close(r);
}

MF_TEST(flusher, writes_the_record_and_says_whether_a_vector_is_there)
{
    struct rig *r = open_usual();
    struct mf_entry *e = rig_add(r, "u", 1, 2);
    const struct mf_store_row *row;
    struct mf_buf search;

    mf_buf_init(&search);
    mf_buf_add_str(&search, "record");
    MF_CHECK_OK(mf_entry_set_record(r->buffers, &e->msgs[1], &search, NULL, true));
    MF_CHECK_OK(rig_push(r, "u", MF_FLUSH_NORMAL));
    rig_settle(r, 1);
    row = mf_fake_store_find(r->store, "u", "m1");
    MF_CHECK(row->is_pending);
    MF_CHECK_INT(row->search.n, 0);
    row = mf_fake_store_find(r->store, "u", "m2");
    MF_CHECK(!row->is_pending);
    MF_CHECK(mf_slice_is(row->search, "record"));
    rig_close(r);
}

MF_TEST(flusher, serves_the_most_urgent_job_first)
{
    struct mf_flush_config cfg = rig_config();
    struct rig *r = &rig;

    cfg.batch_rows = 1;
    rig_open(r, &cfg);
    (void)rig_job(r, "u", 1, MF_FLUSH_LOW);
    (void)rig_job(r, "u", 2, MF_FLUSH_BACKGROUND);
    (void)rig_job(r, "u", 3, MF_FLUSH_CRITICAL);
    (void)rig_job(r, "u", 4, MF_FLUSH_NORMAL);
    (void)rig_job(r, "u", 5, MF_FLUSH_HIGH);
    (void)rig_job(r, "u", 6, MF_FLUSH_NORMAL);
    rig_settle(r, 6);
    check_order(r, (const uint64_t[]){3, 5, 4, 6, 1, 2}, 6);
    MF_CHECK_INT(rig_stats(r)->n_urgent, 1);
    rig_close(r);
}

MF_TEST(flusher, keeps_the_order_of_a_users_rounds)
{
    struct mf_flush_config cfg = rig_config();
    struct rig *r = &rig;

    cfg.batch_rows = 3;
    rig_open(r, &cfg);
    for (uint64_t seq = 1; seq <= 20; seq++) {
        (void)rig_add(r, "u", seq, 1);
        if (seq % 5 == 0) {
            MF_CHECK_OK(rig_push(r, "u", MF_FLUSH_NORMAL));
        }
    }
    rig_settle(r, 20);
    for (uint64_t seq = 1; seq <= 20; seq++) {
        MF_CHECK_INT(r->written[seq - 1], seq);
    }
    MF_CHECK_INT(rig_stats(r)->n_writes, 7);
    rig_close(r);
}

MF_TEST(flusher, never_divides_a_round)
{
    struct mf_flush_config cfg = rig_config();
    struct rig *r = &rig;

    cfg.batch_rows = 7;
    rig_open(r, &cfg);
    for (uint64_t i = 0; i < 5; i++) {
        (void)rig_add(r, "u", 1 + 3 * i, 3);
    }
    (void)rig_add(r, "u", 100, 9); /* more than a batch holds */
    (void)rig_add(r, "u", 200, 1);
    MF_CHECK_OK(rig_push(r, "u", MF_FLUSH_NORMAL));
    rig_settle(r, 7);
    MF_CHECK_INT(r->n_seen, 5);
    MF_CHECK_INT(r->rows_of_write[0], 6);
    MF_CHECK_INT(r->rows_of_write[1], 6);
    MF_CHECK_INT(r->rows_of_write[2], 3);
    MF_CHECK_INT(r->rows_of_write[3], 9);
    MF_CHECK_INT(r->rows_of_write[4], 1);
    rig_close(r);
}

MF_TEST(flusher, ends_a_batch_at_its_bytes)
{
    struct mf_flush_config cfg = rig_config();
    struct mf_test_round round = {"u", "s", 1, 1, 20, NULL};
    struct mf_item *it = mf_test_round_new(&round);
    struct rig *r = &rig;

    cfg.batch_bytes = 2 * it->bytes;
    rig_open(r, &cfg);
    mf_item_unref(it);
    for (uint64_t seq = 1; seq <= 6; seq++) {
        (void)rig_add(r, "u", seq, 1);
    }
    MF_CHECK_OK(rig_push(r, "u", MF_FLUSH_NORMAL));
    rig_settle(r, 6);
    MF_CHECK_INT(rig_stats(r)->n_writes, 3);
    rig_close(r);
}

MF_TEST(flusher, waits_for_a_batch_to_fill_unless_kicked)
{
    struct mf_flush_config cfg = rig_config();
    struct rig *r = &rig;

    cfg.batch_age_ms = HOUR_MS;
    cfg.batch_rows = 4;
    rig_open(r, &cfg);
    (void)rig_job(r, "u", 1, MF_FLUSH_HIGH);
    rig_turn(r, 20);
    MF_CHECK_INT(rig_stats(r)->n_writes, 0);
    for (uint64_t seq = 2; seq <= 5; seq++) {
        (void)rig_job(r, "u", seq, MF_FLUSH_HIGH);
    }
    rig_settle(r, 4); /* full */
    rig_turn(r, 20);
    MF_CHECK_INT(rig_stats(r)->n_writes, 1);
    MF_CHECK_INT(mf_flush_n_queued(r->flush), 1);
    mf_flush_kick(r->flush);
    rig_settle(r, 5);
    MF_CHECK_INT(rig_stats(r)->n_writes, 2);
    (void)rig_job(r, "u", 6, MF_FLUSH_HIGH); /* the hurry is over */
    rig_turn(r, 20);
    MF_CHECK_INT(rig_stats(r)->n_writes, 2);
    rig_close(r);
}

MF_TEST(flusher, sends_a_batch_when_it_is_old_enough)
{
    struct mf_flush_config cfg = rig_config();
    struct rig *r = &rig;

    cfg.batch_age_ms = 5;
    rig_open(r, &cfg);
    (void)rig_job(r, "u", 1, MF_FLUSH_LOW);
    rig_settle(r, 1);
    MF_CHECK_INT(rig_stats(r)->n_writes, 1);
    rig_close(r);
}

MF_TEST(flusher, sends_critical_rounds_at_once_and_lets_the_others_fill_up)
{
    struct mf_flush_config cfg = rig_config();
    struct rig *r = &rig;
    struct mf_entry *e;

    cfg.batch_age_ms = HOUR_MS;
    rig_open(r, &cfg);
    (void)rig_job(r, "u", 1, MF_FLUSH_HIGH);
    (void)rig_job(r, "u", 2, MF_FLUSH_CRITICAL);
    e = rig_job(r, "v", 3, MF_FLUSH_LOW);
    rig_settle(r, 1);
    check_order(r, (const uint64_t[]){2}, 1);
    MF_CHECK_INT(rig_stats(r)->n_urgent, 1);
    mf_flush_raise(r->flush, e, MF_FLUSH_CRITICAL);
    rig_settle(r, 2);
    check_order(r, (const uint64_t[]){2, 3}, 2);
    MF_CHECK_INT(rig_stats(r)->n_urgent, 2);
    MF_CHECK_INT(mf_flush_n_queued(r->flush), 1);
    rig_close(r);
}

MF_TEST(flusher, remembers_the_urgency_of_a_round_that_is_not_queued_yet)
{
    struct mf_flush_config cfg = rig_config();
    struct rig *r = &rig;

    cfg.batch_age_ms = HOUR_MS;
    rig_open(r, &cfg);
    mf_flush_raise(r->flush, rig_add(r, "u", 1, 1), MF_FLUSH_CRITICAL);
    MF_CHECK_OK(rig_push(r, "u", MF_FLUSH_BACKGROUND));
    rig_settle(r, 1);
    MF_CHECK_INT(rig_stats(r)->n_urgent, 1);
    rig_close(r);
}

MF_TEST(flusher, keeps_as_many_batches_flying_as_it_has_workers)
{
    struct mf_flush_config cfg = rig_config();
    struct rig *r = &rig;

    cfg.workers = 3;
    cfg.batch_rows = 1;
    rig_open(r, &cfg);
    mf_fake_store_hold(r->store, true);
    for (uint64_t seq = 1; seq <= 10; seq++) {
        (void)rig_job(r, "u", seq, MF_FLUSH_NORMAL);
    }
    rig_turn(r, 20);
    MF_CHECK_INT(mf_flush_n_flying(r->flush), 3);
    MF_CHECK_INT(mf_buffers_n_entries(r->buffers, MF_PLACE_FLYING), 3);
    MF_CHECK_INT(mf_buffers_n_messages(r->buffers), 10); /* all listed still */
    mf_fake_store_hold(r->store, false);
    rig_settle(r, 10);
    MF_CHECK_INT(rig_stats(r)->max_at_once, 3);
    rig_close(r);
}

MF_TEST(flusher, says_busy_when_its_line_is_full_and_tells_of_room)
{
    struct mf_flush_config cfg = rig_config();
    struct rig *r = &rig;
    struct mf_entry *e;

    cfg.max_queue = 2;
    cfg.batch_rows = 1;
    rig_open(r, &cfg);
    (void)rig_job(r, "u", 1, MF_FLUSH_NORMAL);
    (void)rig_job(r, "u", 2, MF_FLUSH_NORMAL);
    MF_CHECK_INT(r->n_room, 0);
    e = rig_add(r, "u", 3, 1);
    MF_CHECK_INT(rig_push(r, "u", MF_FLUSH_CRITICAL), MF_EBUSY);
    MF_CHECK_INT(e->place, MF_PLACE_HYBRID);
    rig_settle(r, 2);
    MF_CHECK_INT(r->n_room, 1);
    MF_CHECK_OK(rig_push(r, "u", MF_FLUSH_NORMAL));
    rig_settle(r, 3);
    MF_CHECK_INT(r->n_room, 1); /* told once */
    rig_close(r);
}

MF_LOOP static void add_with_key(struct rig *r, uint64_t seq, const char *key)
{
    struct mf_test_round round = {"u", "s", seq, 1, 20, key};
    struct mf_item *it = mf_test_round_new(&round);
    struct mf_add_outcome out;

    mf_buffers_reserve(r->buffers, it->bytes);
    MF_CHECK_OK(mf_buffers_add(r->buffers, it, NULL, 1, &out));
    mf_item_unref(it);
}

MF_TEST(flusher, stores_the_answers_of_rounds_with_a_key)
{
    struct rig *r = open_usual();
    const struct mf_store_idem *idem;

    add_with_key(r, 1, "u/k1");
    add_with_key(r, 2, NULL);
    add_with_key(r, 3, "u/k3");
    add_with_key(r, 999, "u/none"); /* the rig has no answer for this one */
    MF_CHECK_OK(rig_push(r, "u", MF_FLUSH_NORMAL));
    rig_settle(r, 4);
    MF_CHECK_INT(rig_stats(r)->n_idems, 2);
    idem = mf_fake_store_find_idem(r->store, MF_SLICE("u/k3"));
    MF_ASSERT(idem != NULL);
    MF_CHECK_INT(idem->status, 201);
    MF_CHECK(mf_slice_is(idem->response, "{}"));
    rig_close(r);
}

static void on_closed(void *arg)
{
    *(bool *)arg = true;
}

MF_TEST(flusher, waits_for_flying_batches_and_gives_the_rest_back_at_close)
{
    struct mf_flush_config cfg = rig_config();
    struct rig *r = &rig;
    struct mf_entry *e;

    cfg.batch_rows = 1;
    rig_open(r, &cfg);
    mf_fake_store_hold(r->store, true);
    for (uint64_t seq = 1; seq <= 3; seq++) {
        (void)rig_job(r, "u", seq, MF_FLUSH_NORMAL);
    }
    rig_turn(r, 20);
    mf_flush_close(r->flush, on_closed, &r->is_closed);
    MF_CHECK_INT(mf_buffers_n_entries(r->buffers, MF_PLACE_HYBRID), 2);
    e = rig_add(r, "v", 9, 1);
    MF_CHECK_INT(rig_push(r, "v", MF_FLUSH_NORMAL), MF_ECLOSED);
    MF_CHECK_INT(e->place, MF_PLACE_HYBRID);
    rig_turn(r, 20);
    MF_CHECK(!r->is_closed);
    mf_fake_store_hold(r->store, false);
    mf_loop_fixture_wait(r->loop, &r->is_closed);
    MF_CHECK_INT(r->n_stored, 1);
    MF_CHECK_INT(mf_stat_get(MF_STAT_flush_queue), 0);
    rig_close(r);
}

MF_TEST(flusher, gives_a_batch_that_fails_during_close_back)
{
    struct rig *r = open_usual();

    mf_fake_store_fail_all(r->store, MF_EUNAVAILABLE);
    mf_fake_store_delay(r->store, 10);
    (void)rig_job(r, "u", 1, MF_FLUSH_NORMAL);
    (void)rig_job(r, "u", 2, MF_FLUSH_NORMAL);
    rig_turn(r, 3);
    MF_CHECK_INT(mf_flush_n_flying(r->flush), 1);
    rig_close_flush(r);
    MF_CHECK_INT(mf_buffers_n_entries(r->buffers, MF_PLACE_HYBRID), 2);
    MF_CHECK_INT(rig_stats(r)->n_failed, 1);
    rig_close(r);
}

MF_TEST(flusher, gives_a_waiting_batch_back_at_close)
{
    struct mf_flush_config cfg = rig_config();
    struct rig *r = &rig;

    cfg.dep.first_backoff_ms = HOUR_MS;
    cfg.dep.max_backoff_ms = HOUR_MS;
    rig_open(r, &cfg);
    mf_fake_store_fail_all(r->store, MF_EDB);
    (void)rig_job(r, "u", 2, MF_FLUSH_NORMAL);
    rig_turn(r, 10);
    (void)rig_add(r, "u", 5, 1);
    rig_close_flush(r);
    MF_CHECK_INT(mf_buffers_n_entries(r->buffers, MF_PLACE_HYBRID), 2);
    rig_close(r);
}

MF_TEST(flusher, refuses_a_configuration_out_of_bounds)
{
    struct mf_flush_config bad[5];
    struct rig *r = open_usual();
    struct mf_flush *f = NULL;

    for (size_t i = 0; i < mf_countof(bad); i++) {
        bad[i] = rig_config();
    }
    bad[0].workers = 0;
    bad[1].levels = 4;
    bad[2].max_queue = 0;
    bad[3].batch_rows = 0;
    bad[4].batch_bytes = 0;
    for (size_t i = 0; i < mf_countof(bad); i++) {
        MF_CHECK_INT(rig_open_second(r, &bad[i], &f), MF_EINVAL);
        MF_CHECK_PTR(f, NULL);
    }
    rig_close(r);
}
