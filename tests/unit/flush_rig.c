/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/flush_rig.h"

#include "base/err.h"

#include <stdio.h>
#include <string.h>

struct mf_flush_config rig_config(void)
{
    return (struct mf_flush_config){
        .workers = 1,
        .max_queue = 100,
        .levels = 5,
        .ageing_ms = 60000,
        .batch_rows = 10,
        .batch_bytes = 1 << 20,
        .batch_age_ms = 0,
        .dep = {.timeout_ms = 10, .first_backoff_ms = 1, .max_backoff_ms = 4}};
}

static void note_settled(struct rig *r)
{
    r->is_done = r->n_stored + r->n_parked >= r->n_settled_wanted;
}

static void on_storing(struct mf_entry *e, void *arg)
{
    struct rig *r = arg;

    mf_loop_assert(r->loop);
    MF_CHECK_INT(e->place, MF_PLACE_FLYING);
    MF_CHECK(e->owner != NULL);
    r->n_storing++;
}

static void on_stored(struct mf_list *entries, void *arg)
{
    struct rig *r = arg;
    struct mf_link *k;

    mf_loop_assert(r->loop);
    while ((k = mf_list_pop_head(entries)) != NULL) {
        struct mf_entry *e = mf_container_of(k, struct mf_entry, in_place);

        MF_CHECK_INT(e->place, MF_PLACE_STORED);
        mf_entry_free(r->buffers, e);
        r->n_stored++;
    }
    note_settled(r);
}

static void on_parked(struct mf_entry *e, const struct mf_err *why, void *arg)
{
    struct rig *r = arg;

    mf_loop_assert(r->loop);
    MF_CHECK_INT(e->place, MF_PLACE_PARKED);
    MF_CHECK(why->msg[0] != '\0');
    r->parked_code = why->code;
    r->parked_seqs[r->n_parked++ % RIG_MAX_SEQS] = e->item->seq;
    note_settled(r);
}

MF_LOOP static void finish_make(struct rig *r, size_t i)
{
    struct mf_flush_make *m = r->makes[i].make;

    r->makes[i] = r->makes[--r->n_making];
    m->done(m);
}

static void on_make_turn(struct mf_turn_hook *h)
{
    struct rig *r = mf_container_of(h, struct rig, make_hook);

    mf_loop_assert(r->loop);
    for (size_t i = r->n_making; i-- > 0;) {
        if (r->makes[i].turns_left != RIG_HOLD_MAKES && r->makes[i].turns_left-- == 0) {
            finish_make(r, i);
        }
    }
    if (r->n_making > 0) {
        mf_loop_at_turn_end(r->loop, h);
    }
}

void rig_finish_makes(struct rig *r)
{
    while (r->n_making > 0) {
        finish_make(r, 0);
    }
}

static bool on_make(const struct mf_list *entries, struct mf_flush_make *m, void *arg)
{
    struct rig *r = arg;

    mf_loop_assert(r->loop);
    MF_CHECK(!mf_list_is_empty(entries));
    if (r->make_turns == 0) {
        return false;
    }
    MF_ASSERT(r->n_making < RIG_MAX_MAKES);
    r->makes[r->n_making].make = m;
    r->makes[r->n_making++].turns_left = r->make_turns;
    r->n_makes++;
    if (r->make_turns != RIG_HOLD_MAKES) {
        mf_loop_at_turn_end(r->loop, &r->make_hook);
    }
    return true;
}

static int on_prepare(struct mf_entry *e, void *arg)
{
    struct rig *r = arg;

    mf_loop_assert(r->loop);
    MF_CHECK_INT(e->place, MF_PLACE_QUEUED);
    r->n_prepared++;
    if (r->n_prepare_fails > 0 && e->item->seq >= r->prepare_fails_seq) {
        r->n_prepare_fails--;
        return MF_ENOMEM;
    }
    return 0;
}

static bool on_idem(struct mf_entry *e, struct mf_store_idem *out, void *arg)
{
    struct rig *r = arg;

    mf_loop_assert(r->loop);
    *out = (struct mf_store_idem){
        .key = e->item->idem_key, .status = 201, .response = MF_SLICE("{}")};
    return e->item->seq != 999;
}

static void on_room(void *arg)
{
    struct rig *r = arg;

    mf_loop_assert(r->loop);
    r->n_room++;
}

static void on_seen(const struct mf_store_write *w, void *arg)
{
    struct rig *r = arg;

    r->rows_of_write[r->n_seen++ % RIG_MAX_SEQS] = w->n_rows;
    for (size_t i = 0; i < w->n_rows; i++) {
        if (i == 0 || !mf_slice_eq(w->rows[i].round_id, w->rows[i - 1].round_id)) {
            r->written[r->n_written++ % RIG_MAX_SEQS] = w->rows[i].seq;
        }
    }
}

static void on_counted_turn(struct mf_turn_hook *h)
{
    struct rig *r = mf_container_of(h, struct rig, turns);

    mf_loop_assert(r->loop);
    if (r->n_turns-- > 0) {
        mf_loop_at_turn_end(r->loop, h);
        return;
    }
    r->is_turned = true;
}

int rig_open_second(struct rig *r, const struct mf_flush_config *cfg,
                    struct mf_flush **out)
{
    struct mf_flush_events ev = {.storing = on_storing,
                                 .stored = on_stored,
                                 .parked = on_parked,
                                 .make = on_make,
                                 .prepare = on_prepare,
                                 .idem = on_idem,
                                 .room = on_room,
                                 .arg = r};

    return mf_flush_open(out, r->loop, r->store, r->buffers, cfg, &ev);
}

void rig_open(struct rig *r, const struct mf_flush_config *cfg)
{
    memset(r, 0, sizeof(*r));
    r->n_settled_wanted = SIZE_MAX;
    r->turns.fn = on_counted_turn;
    r->make_hook.fn = on_make_turn;
    r->loop = mf_loop_fixture_open();
    r->store = mf_fake_store_open(r->loop);
    mf_fake_store_watch(r->store, on_seen, r);
    MF_CHECK_OK(mf_buffers_new(&r->buffers, SIZE_MAX));
    MF_CHECK_OK(rig_open_second(r, cfg, &r->flush));
}

struct mf_entry *rig_add(struct rig *r, const char *user, uint64_t seq, uint32_t n_msgs)
{
    struct mf_test_round round = {
        .user = user, .session = "s", .seq = seq, .n_msgs = n_msgs, .n_bytes = 20};
    struct mf_item *it = mf_test_round_new(&round);
    struct mf_add_outcome out;

    MF_ASSERT(it != NULL);
    mf_buffers_reserve(r->buffers, it->bytes);
    MF_CHECK_OK(mf_buffers_add(r->buffers, it, NULL, mf_loop_now_ms(r->loop), &out));
    mf_item_unref(it);
    return out.entry;
}

int rig_push(struct rig *r, const char *user, enum mf_flush_priority p)
{
    static const struct mf_hbuf_limits lim = {.max_rounds = 1};
    struct mf_userbuf *u = mf_userbuf_find(r->buffers, mf_slice_str(user));
    struct mf_list job;
    int rc;

    mf_list_init(&job);
    (void)mf_userbuf_take_ready(u, &lim, 0, true, &job);
    rc = mf_flush_push(r->flush, &job, p);
    mf_userbuf_give_back(u, &job);
    return rc;
}

struct mf_entry *rig_job(struct rig *r, const char *user, uint64_t seq,
                         enum mf_flush_priority p)
{
    struct mf_entry *e = rig_add(r, user, seq, 1);

    MF_CHECK_OK(rig_push(r, user, p));
    return e;
}

void rig_turn(struct rig *r, unsigned n)
{
    r->is_turned = false;
    r->n_turns = n;
    mf_loop_at_turn_end(r->loop, &r->turns);
    mf_loop_fixture_wait(r->loop, &r->is_turned);
}

void rig_settle(struct rig *r, size_t n)
{
    r->n_settled_wanted = n;
    note_settled(r);
    mf_loop_fixture_wait(r->loop, &r->is_done);
    r->n_settled_wanted = SIZE_MAX;
}

static void on_closed(void *arg)
{
    *(bool *)arg = true;
}

void rig_close_flush(struct rig *r)
{
    mf_flush_close(r->flush, on_closed, &r->is_closed);
    mf_loop_fixture_wait(r->loop, &r->is_closed);
}

void rig_close(struct rig *r)
{
    if (!r->is_closed) {
        rig_close_flush(r);
    }
    mf_store_close(r->store, on_closed, &r->is_store_closed);
    mf_loop_fixture_wait(r->loop, &r->is_store_closed);
    mf_buffers_free(r->buffers);
    mf_loop_fixture_close(r->loop);
}

const struct mf_fake_stats *rig_stats(struct rig *r)
{
    return mf_fake_store_stats(r->store);
}

static const struct mf_store_row *row_of(struct rig *r, const char *user, uint64_t seq)
{
    char id[32];

    (void)snprintf(id, sizeof(id), "m%llu", (unsigned long long)seq);
    return mf_fake_store_find(r->store, user, id);
}

bool rig_is_stored(struct rig *r, const char *user, uint64_t seq)
{
    return row_of(r, user, seq) != NULL;
}

void rig_check_stored(struct rig *r, const char *user, uint64_t seq)
{
    const struct mf_store_row *row = row_of(r, user, seq);

    MF_ASSERT(row != NULL); /* a message of this case is not in the store */
    MF_CHECK_INT(row->seq, seq);
    MF_CHECK(mf_slice_is(row->session_id, "s"));
    MF_CHECK_INT(row->msg.content.n, 20);
    MF_CHECK(mf_test_content_is(row->msg.content, seq));
}
