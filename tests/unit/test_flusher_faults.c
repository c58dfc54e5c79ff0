/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"
#include "base/stat.h"
#include "unit/flush_rig.h"

#include <stdio.h>

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

MF_TEST(flusher, tries_a_failed_batch_again_as_a_whole)
{
    struct rig *r = open_usual();
    int64_t retries = mf_stat_get(MF_STAT_flush_retries);

    mf_fake_store_fail_nth(r->store, 1, MF_EDB);
    (void)rig_add(r, "u", 1, 2);
    (void)rig_add(r, "u", 3, 2);
    MF_CHECK_OK(rig_push(r, "u", MF_FLUSH_NORMAL));
    rig_settle(r, 2);
    MF_CHECK_INT(rig_stats(r)->n_writes, 2);
    MF_CHECK_INT(r->rows_of_write[1], 4);
    MF_CHECK_INT(rig_stats(r)->n_rows, 4);
    MF_CHECK_INT(r->n_prepared, 4);
    MF_CHECK_INT(mf_stat_get(MF_STAT_flush_retries) - retries, 1);
    MF_CHECK_INT(r->n_parked, 0);
    rig_close(r);
}

MF_TEST(flusher, takes_a_late_record_along_while_a_batch_waits)
{
    struct mf_flush_config cfg = rig_config();
    struct rig *r = &rig;
    struct mf_entry *e;
    struct mf_buf search;

    cfg.dep.first_backoff_ms = HOUR_MS;
    cfg.dep.max_backoff_ms = HOUR_MS;
    rig_open(r, &cfg);
    mf_fake_store_fail_nth(r->store, 1, MF_ETIMEOUT);
    e = rig_job(r, "u", 1, MF_FLUSH_NORMAL);
    rig_turn(r, 20);
    MF_CHECK_INT(rig_stats(r)->n_failed, 1);
    MF_CHECK_INT(e->place, MF_PLACE_QUEUED);
    MF_CHECK_INT(e->attempts, 1);
    mf_buf_init(&search);
    mf_buf_add_str(&search, "late");
    MF_CHECK_OK(mf_entry_set_record(r->buffers, &e->msgs[0], &search, NULL, true));
    mf_flush_raise(r->flush, e, MF_FLUSH_CRITICAL);
    rig_turn(r, 20);
    MF_CHECK_INT(rig_stats(r)->n_writes, 1); /* the backoff holds */
    mf_flush_kick(r->flush);
    rig_settle(r, 1);
    MF_CHECK_INT(rig_stats(r)->n_urgent, 1);
    MF_CHECK(mf_slice_is(mf_fake_store_find(r->store, "u", "m1")->search, "late"));
    rig_close(r);
}

MF_TEST(flusher, stores_once_when_the_answer_of_a_commit_is_lost)
{
    struct rig *r = open_usual();

    mf_fake_store_lose_nth(r->store, 1, MF_ETIMEOUT);
    (void)rig_add(r, "u", 1, 3);
    MF_CHECK_OK(rig_push(r, "u", MF_FLUSH_NORMAL));
    rig_settle(r, 1);
    MF_CHECK_INT(rig_stats(r)->n_lost, 1);
    MF_CHECK_INT(rig_stats(r)->n_writes, 2);
    MF_CHECK_INT(rig_stats(r)->n_rows, 3);
    MF_CHECK_INT(rig_stats(r)->n_again, 3);
    MF_CHECK_INT(rig_stats(r)->n_different, 0);
    rig_close(r);
}

MF_TEST(flusher, finds_one_poison_round_with_a_logarithm_of_writes)
{
    for (uint64_t poison = 1; poison <= 64; poison += 7) {
        struct mf_flush_config cfg = rig_config();
        struct rig *r = &rig;
        int64_t parked = mf_stat_get(MF_STAT_flush_parked);
        char id[24];

        cfg.batch_rows = 64;
        rig_open(r, &cfg);
        (void)snprintf(id, sizeof(id), "m%u", (unsigned)poison);
        mf_fake_store_poison(r->store, id);
        for (uint64_t seq = 1; seq <= 64; seq++) {
            (void)rig_add(r, "u", seq, 1);
        }
        MF_CHECK_OK(rig_push(r, "u", MF_FLUSH_NORMAL));
        rig_settle(r, 64);
        MF_CHECK_INT(r->n_parked, 1);
        MF_CHECK_INT(r->parked_seqs[0], poison);
        MF_CHECK_INT(r->parked_code, MF_EPOISON);
        MF_CHECK_INT(rig_stats(r)->n_rows, 63);
        MF_CHECK_INT(rig_stats(r)->n_writes, 1 + 2 * 6);
        MF_CHECK_INT(mf_stat_get(MF_STAT_flush_parked) - parked, 1);
        MF_CHECK(mf_dep_is_up(mf_flush_health(r->flush)));
        MF_CHECK_INT(mf_buffers_n_messages(r->buffers), 1); /* listed still */
        rig_close(r);
    }
}

MF_TEST(flusher, sends_the_halves_before_anything_else)
{
    struct mf_flush_config cfg = rig_config();
    struct rig *r = &rig;

    cfg.batch_rows = 4;
    rig_open(r, &cfg);
    mf_fake_store_poison(r->store, "m2");
    for (uint64_t seq = 1; seq <= 4; seq++) {
        (void)rig_add(r, "u", seq, 1);
    }
    MF_CHECK_OK(rig_push(r, "u", MF_FLUSH_NORMAL));
    mf_fake_store_hold(r->store, true);
    rig_turn(r, 5);
    (void)rig_job(r, "v", 50, MF_FLUSH_CRITICAL);
    mf_fake_store_hold(r->store, false);
    rig_settle(r, 5);
    /* 1-4, then 1-2, 1, 2 and 3-4, and only then the new one. */
    check_order(r, (const uint64_t[]){1, 2, 3, 4, 1, 2, 1, 2, 3, 4, 50}, 11);
    rig_close(r);
}

MF_TEST(flusher, parks_each_poison_round_of_a_batch_and_only_these)
{
    struct mf_flush_config cfg = rig_config();
    struct rig *r = &rig;

    cfg.batch_rows = 64;
    cfg.workers = 2;
    rig_open(r, &cfg);
    mf_fake_store_poison(r->store, "m3");
    mf_fake_store_poison(r->store, "m4");
    mf_fake_store_poison(r->store, "m32");
    for (uint64_t seq = 1; seq <= 32; seq += 2) {
        (void)rig_add(r, "u", seq, 2);
    }
    MF_CHECK_OK(rig_push(r, "u", MF_FLUSH_NORMAL));
    rig_settle(r, 16);
    MF_CHECK_INT(r->n_parked, 2);
    MF_CHECK_INT(r->parked_seqs[0] + r->parked_seqs[1], 3 + 31);
    MF_CHECK_INT(rig_stats(r)->n_rows, 28);
    MF_CHECK(!rig_is_stored(r, "u", 31)); /* a round goes as a whole */
    rig_close(r);
}

MF_TEST(flusher, tries_a_parked_round_again_when_asked)
{
    struct rig *r = open_usual();
    struct mf_entry *e;

    mf_fake_store_poison(r->store, "m1");
    e = rig_job(r, "u", 1, MF_FLUSH_LOW);
    rig_settle(r, 1);
    MF_CHECK_INT(e->place, MF_PLACE_PARKED);
    MF_CHECK_OK(mf_flush_requeue(r->flush, e));
    MF_CHECK_INT(e->place, MF_PLACE_QUEUED);
    rig_settle(r, 2);
    MF_CHECK_INT(r->n_parked, 2);
    mf_fake_store_heal(r->store);
    MF_CHECK_OK(mf_flush_requeue(r->flush, e));
    rig_settle(r, 3);
    MF_CHECK_INT(r->n_stored, 1);
    rig_check_stored(r, "u", 1);
    rig_close(r);
}

MF_TEST(flusher, submits_nothing_while_the_breaker_is_open)
{
    struct mf_flush_config cfg = rig_config();
    struct rig *r = &rig;

    cfg.workers = 3;
    cfg.batch_rows = 1;
    cfg.dep.open_after = 2;
    cfg.dep.first_backoff_ms = HOUR_MS;
    cfg.dep.max_backoff_ms = HOUR_MS;
    rig_open(r, &cfg);
    mf_fake_store_fail_all(r->store, MF_EUNAVAILABLE);
    (void)rig_job(r, "u", 1, MF_FLUSH_NORMAL);
    (void)rig_job(r, "u", 2, MF_FLUSH_NORMAL);
    rig_turn(r, 20);
    MF_CHECK_INT(rig_stats(r)->n_writes, 2);
    MF_CHECK_INT(mf_flush_health(r->flush)->state, MF_DEP_DOWN);
    for (uint64_t seq = 3; seq <= 9; seq++) {
        (void)rig_job(r, "u", seq, MF_FLUSH_CRITICAL);
    }
    mf_flush_kick(r->flush);
    rig_turn(r, 50);
    MF_CHECK_INT(rig_stats(r)->n_writes, 2);
    MF_CHECK_INT(mf_flush_n_queued(r->flush), 7); /* kept in line, by urgency */
    rig_close(r);
}

MF_TEST(flusher, probes_with_one_batch_and_drains_when_the_store_is_back)
{
    struct mf_flush_config cfg = rig_config();
    struct rig *r = &rig;

    cfg.workers = 3;
    cfg.batch_rows = 1;
    cfg.dep.open_after = 1;
    cfg.dep.timeout_ms = HOUR_MS; /* a second probe would come after that */
    rig_open(r, &cfg);
    mf_fake_store_fail_all(r->store, MF_EUNAVAILABLE);
    (void)rig_job(r, "u", 1, MF_FLUSH_NORMAL);
    rig_turn(r, 5);
    MF_CHECK(!mf_dep_is_up(mf_flush_health(r->flush)));
    for (uint64_t seq = 2; seq <= 9; seq++) {
        (void)rig_job(r, "u", seq, MF_FLUSH_NORMAL);
    }
    mf_fake_store_hold(r->store, true);
    while (mf_flush_n_flying(r->flush) == 0) {
        rig_turn(r, 50);
    }
    rig_turn(r, 200);
    MF_CHECK_INT(mf_flush_n_flying(r->flush), 1);
    mf_fake_store_fail_all(r->store, 0);
    mf_fake_store_hold(r->store, false);
    rig_settle(r, 9);
    MF_CHECK_INT(r->n_stored, 9);
    MF_CHECK(mf_dep_is_up(mf_flush_health(r->flush)));
    rig_close(r);
}

MF_TEST(flusher, goes_on_when_the_stores_own_line_is_full)
{
    struct rig *r = open_usual();

    mf_fake_store_fail_submit(r->store, MF_EBUSY);
    (void)rig_job(r, "u", 1, MF_FLUSH_NORMAL);
    rig_turn(r, 20);
    MF_CHECK_INT(mf_buffers_n_entries(r->buffers, MF_PLACE_QUEUED), 1);
    mf_fake_store_fail_submit(r->store, 0);
    rig_settle(r, 1);
    rig_check_stored(r, "u", 1);
    rig_close(r);
}

MF_TEST(flusher, puts_rounds_that_cannot_be_prepared_aside)
{
    struct rig *r = open_usual();

    r->n_prepare_fails = 2;
    r->prepare_fails_seq = 2;
    for (uint64_t seq = 1; seq <= 3; seq++) {
        (void)rig_add(r, "u", seq, 1);
    }
    MF_CHECK_OK(rig_push(r, "u", MF_FLUSH_NORMAL));
    rig_settle(r, 3);
    MF_CHECK_INT(rig_stats(r)->n_writes, 2);
    MF_CHECK_INT(r->rows_of_write[0], 1);
    MF_CHECK_INT(r->rows_of_write[1], 2); /* these two together */
    MF_CHECK_INT(r->n_prepared, 5);
    MF_CHECK(mf_dep_is_up(mf_flush_health(r->flush)));
    rig_close(r);
}

MF_TEST(flusher, leaves_rounds_in_line_while_batches_wait)
{
    struct mf_flush_config cfg = rig_config();
    struct rig *r = &rig;

    cfg.batch_rows = 1;
    cfg.dep.first_backoff_ms = HOUR_MS;
    cfg.dep.max_backoff_ms = HOUR_MS;
    rig_open(r, &cfg);
    mf_fake_store_fail_all(r->store, MF_EDB);
    for (uint64_t seq = 1; seq <= 6; seq++) {
        (void)rig_job(r, "u", seq, MF_FLUSH_NORMAL);
    }
    rig_turn(r, 50);
    MF_CHECK_INT(rig_stats(r)->n_writes, 2);
    MF_CHECK_INT(mf_flush_n_queued(r->flush), 4);
    mf_fake_store_fail_all(r->store, 0);
    mf_flush_kick(r->flush);
    rig_settle(r, 6);
    rig_close(r);
}

/* However the pauses of single batches fall. */
MF_TEST(flusher, stores_what_an_outage_held_up_in_the_order_it_came)
{
    struct mf_flush_config cfg = rig_config();
    struct rig *r = &rig;
    size_t first;

    cfg.workers = 3;
    cfg.batch_rows = 1;
    cfg.dep.max_backoff_ms = 8;
    rig_open(r, &cfg);
    mf_fake_store_fail_all(r->store, MF_EUNAVAILABLE);
    for (uint64_t seq = 1; seq <= 40; seq++) {
        (void)rig_job(r, "u", seq, MF_FLUSH_NORMAL);
    }
    while (r->n_written < 20) {
        rig_turn(r, 1);
    }
    while (mf_flush_n_flying(r->flush) > 0) {
        rig_turn(r, 1);
    }
    first = r->n_written;
    mf_fake_store_fail_all(r->store, 0);
    rig_settle(r, 40);
    MF_CHECK_INT(r->n_written - first, 40);
    for (size_t i = 0; i < 40; i++) {
        MF_CHECK_INT(r->written[first + i], i + 1);
    }
    rig_close(r);
}

MF_TEST(flusher, tries_what_waits_again_as_soon_as_the_store_takes_something)
{
    struct mf_flush_config cfg = rig_config();
    struct rig *r = &rig;

    cfg.dep.first_backoff_ms = HOUR_MS;
    cfg.dep.max_backoff_ms = HOUR_MS;
    cfg.dep.open_after = 0;
    rig_open(r, &cfg);
    mf_fake_store_fail_nth(r->store, 1, MF_EUNAVAILABLE);
    (void)rig_job(r, "u", 1, MF_FLUSH_NORMAL);
    rig_turn(r, 20);
    MF_CHECK_INT(rig_stats(r)->n_failed, 1);
    (void)rig_job(r, "v", 2, MF_FLUSH_NORMAL);
    rig_turn(r, 50);
    check_order(r, (const uint64_t[]){1, 2, 1}, 3);
    MF_CHECK_INT(r->n_stored, 2);
    rig_close(r);
}

MF_TEST(flusher, keeps_the_urgency_of_a_batch_in_its_halves)
{
    struct rig *r = open_usual();

    mf_fake_store_poison(r->store, "m3");
    for (uint64_t seq = 1; seq <= 4; seq++) {
        (void)rig_add(r, "u", seq, 1);
    }
    MF_CHECK_OK(rig_push(r, "u", MF_FLUSH_CRITICAL));
    rig_settle(r, 4);
    MF_CHECK_INT(rig_stats(r)->n_writes, 5);
    MF_CHECK_INT(rig_stats(r)->n_urgent, 5);
    rig_close(r);
}

MF_TEST(flusher, gives_each_half_its_own_attempts_when_they_are_bounded)
{
    struct mf_flush_config cfg = rig_config();
    struct rig *r = &rig;

    cfg.dep.max_attempts = 2;
    rig_open(r, &cfg);
    mf_fake_store_fail_all(r->store, MF_EDB);
    (void)rig_add(r, "u", 1, 1);
    (void)rig_add(r, "u", 2, 1);
    MF_CHECK_OK(rig_push(r, "u", MF_FLUSH_NORMAL));
    rig_settle(r, 2);
    MF_CHECK_INT(r->n_parked, 2);
    MF_CHECK_INT(r->parked_code, MF_EDB);
    MF_CHECK_INT(rig_stats(r)->n_writes, 2 + 2 + 2);
    rig_close(r);
}

/* Pushes until it is taken: a push that fails for want of memory changed nothing. */
MF_LOOP static void push_stubbornly(struct rig *r, const char *user)
{
    int rc = rig_push(r, user, MF_FLUSH_NORMAL);

    if (rc != 0) {
        MF_CHECK_INT(rc, MF_ENOMEM);
        MF_CHECK_OK(rig_push(r, user, MF_FLUSH_NORMAL));
    }
}

/* True when the nth allocation was never asked for. */
static bool survives_failure_of(size_t nth) MF_ASSERTS_LOOP;

static bool survives_failure_of(size_t nth)
{
    struct rig *r = open_usual();
    bool has_failed;

    r->n_prepare_fails = 1;
    r->prepare_fails_seq = 6;
    mf_fake_store_poison(r->store, "m3");
    for (uint64_t seq = 1; seq <= 6; seq++) {
        (void)rig_add(r, "u", seq, 1);
    }
    (void)rig_add(r, "v", 7, 1);
    mf_test_fail_nth(nth);
    push_stubbornly(r, "u");
    push_stubbornly(r, "v");
    rig_settle(r, 7);
    has_failed = mf_test_has_failed();
    mf_test_fail_nth(0);
    MF_CHECK_INT(r->n_parked, 1);
    MF_CHECK_INT(r->parked_seqs[0], 3);
    MF_CHECK_INT(rig_stats(r)->n_rows, 6);
    rig_close(r);
    return !has_failed;
}

MF_TEST(flusher, loses_nothing_whichever_allocation_fails)
{
    size_t nth = 1;

    while (!survives_failure_of(nth)) {
        nth++;
    }
    MF_CHECK(nth > 10);
}
