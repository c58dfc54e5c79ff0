/* SPDX-License-Identifier: Apache-2.0 */
/* What rows lack is made by workers between the line and the store. */
#include "base/err.h"
#include "unit/flush_rig.h"

static struct rig rig;

static struct rig *open_holding(unsigned workers, size_t batch_rows) MF_ASSERTS_LOOP;

static struct rig *open_holding(unsigned workers, size_t batch_rows)
{
    struct mf_flush_config cfg = rig_config();

    cfg.workers = workers;
    cfg.batch_rows = batch_rows;
    rig_open(&rig, &cfg);
    rig.make_turns = RIG_HOLD_MAKES;
    return &rig;
}

MF_TEST(flusher_make, writes_a_batch_once_its_rows_are_made)
{
    struct rig *r = open_holding(1, 10);

    (void)rig_add(r, "u", 1, 2);
    (void)rig_add(r, "u", 3, 1);
    MF_CHECK_OK(rig_push(r, "u", MF_FLUSH_NORMAL));
    rig_turn(r, 20);
    MF_CHECK_INT(r->n_makes, 1); /* both together */
    MF_CHECK_INT(r->n_prepared, 0);
    MF_CHECK_INT(rig_stats(r)->n_writes, 0);
    MF_CHECK_INT(mf_buffers_n_entries(r->buffers, MF_PLACE_QUEUED), 2);
    rig_finish_makes(r);
    rig_settle(r, 2);
    MF_CHECK_INT(r->n_makes, 1);
    MF_CHECK_INT(rig_stats(r)->n_writes, 1);
    MF_CHECK_INT(rig_stats(r)->n_rows, 3);
    rig_close(r);
}

/* A long backlog has made rows of as many batches as fly, and of no more. */
MF_TEST(flusher_make, gives_a_batch_that_is_made_the_place_of_one_that_flies)
{
    struct rig *r = open_holding(2, 1);

    for (uint64_t seq = 1; seq <= 6; seq++) {
        (void)rig_job(r, "u", seq, MF_FLUSH_NORMAL);
    }
    rig_turn(r, 20);
    MF_CHECK_INT(r->n_makes, 2);
    MF_CHECK_INT(mf_flush_n_flying(r->flush), 2);
    MF_CHECK_INT(mf_flush_n_queued(r->flush), 4);
    r->make_turns = 3;
    rig_finish_makes(r);
    rig_settle(r, 6);
    MF_CHECK_INT(r->n_makes, 6);
    MF_CHECK_INT(mf_flush_n_flying(r->flush), 0);
    rig_close(r);
}

MF_TEST(flusher_make, makes_the_rows_of_a_batch_once_though_the_store_fails)
{
    struct rig *r = open_holding(1, 10);

    r->make_turns = 1;
    mf_fake_store_fail_all(r->store, MF_EUNAVAILABLE);
    (void)rig_job(r, "u", 1, MF_FLUSH_NORMAL);
    while (r->n_written < 3) {
        rig_turn(r, 1);
    }
    mf_fake_store_fail_all(r->store, 0);
    rig_settle(r, 1);
    MF_CHECK_INT(r->n_makes, 1);
    rig_close(r);
}

MF_LOOP static void let_backoff_pass(struct rig *r)
{
    uint64_t end_ms = mf_loop_now_ms(r->loop) + 10 * rig_config().dep.max_backoff_ms;

    while (mf_loop_now_ms(r->loop) < end_ms) {
        rig_turn(r, 1);
    }
}

/* The store went away while rows were made: what was opened first asks it first. */
MF_TEST(flusher_make, keeps_the_order_when_the_store_goes_meanwhile)
{
    struct rig *r = open_holding(3, 1);

    mf_fake_store_fail_all(r->store, MF_EUNAVAILABLE);
    (void)rig_job(r, "u", 1, MF_FLUSH_NORMAL);
    rig_turn(r, 10);
    MF_CHECK_INT(r->n_making, 1);
    r->make_turns = 0;
    for (uint64_t seq = 2; seq <= 8; seq++) {
        (void)rig_job(r, "u", seq, MF_FLUSH_NORMAL);
    }
    while (r->n_written < 2) {
        rig_turn(r, 1);
    }
    while (mf_flush_n_flying(r->flush) > 1) { /* but for the one that is made */
        rig_turn(r, 1);
    }
    r->n_written = 0;
    mf_fake_store_fail_all(r->store, 0);
    let_backoff_pass(r);
    (void)rig_job(r, "u", 9, MF_FLUSH_NORMAL); /* the flush looks what may go */
    rig_turn(r, 20);
    MF_CHECK_INT(r->n_written, 0);
    rig_finish_makes(r);
    rig_settle(r, 9);
    for (size_t i = 0; i < 9; i++) {
        MF_CHECK_INT(r->written[i], i + 1);
    }
    rig_close(r);
}

static void on_closed(void *arg)
{
    *(bool *)arg = true;
}

MF_TEST(flusher_make, is_closed_after_the_last_rows_were_made)
{
    struct rig *r = open_holding(1, 10);

    (void)rig_job(r, "u", 1, MF_FLUSH_NORMAL);
    rig_turn(r, 10);
    mf_flush_close(r->flush, on_closed, &r->is_closed);
    rig_turn(r, 10);
    MF_CHECK(!r->is_closed);
    rig_finish_makes(r);
    mf_loop_fixture_wait(r->loop, &r->is_closed);
    MF_CHECK_INT(rig_stats(r)->n_writes, 0);
    MF_CHECK_INT(mf_buffers_n_entries(r->buffers, MF_PLACE_HYBRID), 1);
    rig_close(r);
}
