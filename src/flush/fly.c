/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"
#include "base/id.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stat.h"
#include "flush/retry.h"
#include "flush/state.h"

#define US_PER_NS 1000

struct flush_batch *flush_batch_new(struct mf_flush *f)
{
    struct flush_batch *b = mf_calloc(1, sizeof(*b));

    if (b != NULL) {
        b->flush = f;
        b->serial = ++f->n_opened;
        mf_list_init(&b->group.entries);
    }
    return b;
}

MF_LOOP static void free_rows(struct flush_batch *b)
{
    mf_free(b->rows);
    mf_free(b->idems);
    mf_free(b->parts);
    b->rows = NULL;
    b->idems = NULL;
    b->parts = NULL;
}

void flush_batch_free(struct flush_batch *b)
{
    MF_ASSERT(mf_list_is_empty(&b->group.entries));
    free_rows(b);
    mf_free(b);
}

void flush_batch_take(struct flush_batch *b, struct mf_entry *e)
{
    mf_entry_move(b->flush->buffers, e, MF_PLACE_QUEUED, &b->group.entries);
    b->fill.n_rows += e->item->n_msgs;
    b->fill.bytes += e->item->bytes;
}

void flush_batch_hand_over(struct flush_batch *from, struct flush_batch *to,
                           struct mf_entry *e)
{
    from->fill.n_rows -= e->item->n_msgs;
    from->fill.bytes -= e->item->bytes;
    flush_batch_take(to, e);
}

void flush_batch_dissolve(struct flush_batch *b)
{
    struct mf_link *k;

    while ((k = mf_list_head(&b->group.entries)) != NULL) {
        mf_entry_move(b->flush->buffers, flush_entry_at(k), MF_PLACE_HYBRID, NULL);
    }
    flush_batch_free(b);
}

/* ---- outcome ---- */

MF_LOOP static void wait_in_line(struct flush_batch *b, uint64_t wait_ms)
{
    b->not_before_ms = mf_loop_now_ms(b->flush->loop) + wait_ms;
    mf_list_push_tail(&b->flush->waiting, &b->link);
}

MF_LOOP static void log_retry(const struct flush_batch *b,
                              const struct mf_flush_outcome *o,
                              const struct mf_err *why)
{
    char reason[2 * MF_ERR_MAX];

    mf_log_limited(o->is_loud ? MF_LOG_ERROR : MF_LOG_WARN, "flush_retry",
                   "code=%s attempts=%u rounds=%zu wait_ms=%llu reason=%s",
                   mf_code_name(why->code), b->attempts, b->group.entries.n,
                   (unsigned long long)o->wait_ms,
                   mf_log_quote(reason, sizeof(reason), why->msg, strlen(why->msg)));
}

MF_LOOP static void retry(struct flush_batch *b, const struct mf_flush_outcome *o,
                          const struct mf_err *why)
{
    log_retry(b, o, why);
    mf_stat_add(MF_STAT_flush_retries, 1);
    wait_in_line(b, o->wait_ms);
}

/* Both halves go before anything else, the first one first. */
MF_LOOP static void split(struct flush_batch *b, struct flush_batch *second)
{
    struct mf_flush *f = b->flush;
    size_t n_first = (b->group.entries.n + 1) / 2;
    size_t i = 0;

    mf_list_each_safe (&b->group.entries, k) {
        if (i++ >= n_first) {
            flush_batch_hand_over(b, second, flush_entry_at(k));
        }
    }
    b->attempts = 0;
    b->not_before_ms = 0;
    second->is_urgent = b->is_urgent;
    second->serial = b->serial;
    second->is_placed = b->is_placed;
    second->has_part = b->has_part;
    second->part = b->part;
    mf_list_push_head(&f->waiting, &second->link);
    mf_list_push_head(&f->waiting, &b->link);
}

MF_LOOP static void park(struct flush_batch *b, const struct mf_err *why)
{
    struct mf_flush *f = b->flush;
    struct mf_entry *e = flush_entry_at(mf_list_head(&b->group.entries));
    struct mf_slice round_id = e->item->round_id;
    char reason[2 * MF_ERR_MAX];

    mf_log_error("flush_parked", "round=%.*s seq=%llu code=%s reason=%s",
                 (int)round_id.n, round_id.n == 0 ? "" : round_id.p,
                 (unsigned long long)e->item->seq, mf_code_name(why->code),
                 mf_log_quote(reason, sizeof(reason), why->msg, strlen(why->msg)));
    mf_stat_add(MF_STAT_flush_parked, 1);
    mf_entry_move(f->buffers, e, MF_PLACE_PARKED, NULL);
    flush_batch_free(b);
    f->events.parked(e, why, f->events.arg);
}

MF_LOOP static void stand_in_line(struct flush_batch *b)
{
    mf_list_each (&b->group.entries, k) {
        mf_entry_move(b->flush->buffers, flush_entry_at(k), MF_PLACE_QUEUED,
                      &b->group.entries);
    }
}

/* The batch's entries are QUEUED again or FLYING still; `b` goes back in line or goes.
 */
MF_LOOP static void settle(struct flush_batch *b, const struct mf_flush_outcome *o,
                           const struct mf_err *why)
{
    struct mf_flush *f = b->flush;
    struct flush_batch *second;

    if (o->verdict == MF_FLUSH_PARK) {
        park(b, why);
        return;
    }
    if (f->is_closing) {
        flush_batch_dissolve(b);
        return;
    }
    stand_in_line(b);
    second = o->verdict == MF_FLUSH_SPLIT ? flush_batch_new(f) : NULL;
    if (second != NULL) {
        split(b, second);
        return;
    }
    retry(b, o, why);
}

MF_LOOP static struct mf_flush_outcome judge(const struct flush_batch *b, int code)
{
    const struct mf_dep_config *dep = &b->flush->cfg.dep;
    uint32_t chance;
    struct mf_flush_outcome o;

    mf_random(&chance, sizeof(chance));
    o = mf_flush_judge(dep, code, b->attempts, b->group.entries.n, chance);
    /* Without memory for the second half, the whole waits as well. */
    if (o.verdict == MF_FLUSH_SPLIT) {
        o.wait_ms = mf_dep_backoff_ms(dep, b->attempts, chance);
    }
    return o;
}

/* Something of our own was missing; the store was not asked. */
MF_LOOP static void fail_at_home(struct flush_batch *b, int code)
{
    const struct mf_dep_config *dep = &b->flush->cfg.dep;
    struct mf_flush_outcome o = {.verdict = MF_FLUSH_RETRY};
    struct mf_err why;
    uint32_t chance;

    b->attempts++;
    mf_random(&chance, sizeof(chance));
    o.wait_ms = mf_max(mf_dep_backoff_ms(dep, b->attempts, chance), 1);
    (void)mf_err_set(&why, code, "a batch could not be made: %s",
                     mf_code_sentence(code));
    retry(b, &o, &why);
}

MF_LOOP static void tell_health(struct mf_flush *f, int code,
                                const struct mf_flush_outcome *o)
{
    uint32_t chance;

    if (code == 0 || o->is_refusal) {
        if (f->dep.failures > 0) {
            flush_let_waiting_go(f);
        }
        mf_dep_succeeded(&f->dep);
        return;
    }
    mf_random(&chance, sizeof(chance));
    mf_dep_failed(&f->dep, mf_loop_now_ms(f->loop), chance);
}

/* The store is there, but not the whole of it. */
MF_LOOP static void failed_partly(struct flush_batch *b)
{
    tell_health(b->flush, 0, NULL);
    mf_store_req_fini(&b->write.req);
    free_rows(b);
    if (b->flush->is_closing) {
        flush_batch_dissolve(b);
        return;
    }
    stand_in_line(b);
    flush_part_is_away(b);
}

/* Where its rows belong is told. */
MF_LOOP static void told_parts(struct flush_batch *b)
{
    uint32_t *parts = b->parts;

    tell_health(b->flush, 0, NULL);
    mf_store_req_fini(&b->write.req);
    b->parts = NULL;
    free_rows(b);
    b->asks_parts = false;
    if (b->flush->is_closing) {
        flush_batch_dissolve(b);
    } else {
        stand_in_line(b);
        flush_parts_told(b, parts);
    }
    mf_free(parts);
}

/* The store did not take it. */
MF_LOOP static void failed(struct flush_batch *b, int code)
{
    struct mf_flush_outcome o = judge(b, code);
    struct mf_err why = b->write.req.err;

    if (b->write.is_part_away && !b->asks_parts) {
        failed_partly(b);
        return;
    }
    b->asks_parts = false;
    if (why.code == 0) {
        (void)mf_err_set(&why, code, "%s", mf_code_sentence(code));
    }
    tell_health(b->flush, code, &o);
    mf_store_req_fini(&b->write.req);
    free_rows(b);
    settle(b, &o, &why);
}

MF_LOOP static void count_committed(const struct flush_batch *b)
{
    size_t n_late = 0;

    for (size_t i = 0; i < b->write.n_rows; i++) {
        n_late += b->rows[i].is_pending;
    }
    mf_stat_add(MF_STAT_flush_batches, 1);
    mf_stat_add(MF_STAT_flush_rounds, (int64_t)b->group.entries.n);
    mf_stat_add(MF_STAT_flush_late_vectors, (int64_t)n_late);
}

MF_LOOP static void committed(struct flush_batch *b)
{
    struct mf_flush *f = b->flush;
    struct mf_list stored;
    struct mf_link *k;

    tell_health(f, 0, NULL);
    count_committed(b);
    mf_store_req_fini(&b->write.req);
    mf_list_init(&stored);
    while ((k = mf_list_head(&b->group.entries)) != NULL) {
        struct mf_entry *e = flush_entry_at(k);

        if (f->events.storing != NULL) {
            f->events.storing(e, f->events.arg);
        }
        mf_entry_stored(f->buffers, e);
        mf_list_push_tail(&stored, k);
    }
    if (b->has_part) {
        flush_part_is_there(f, b->part);
    }
    flush_batch_free(b);
    f->events.stored(&stored, f->events.arg);
    MF_ASSERT(mf_list_is_empty(&stored));
}

static void on_written(struct mf_store_req *req, int rc)
{
    struct mf_store_write *w = mf_container_of(req, struct mf_store_write, req);
    struct flush_batch *b = mf_container_of(w, struct flush_batch, write);
    struct mf_flush *f = b->flush;

    mf_loop_assert(f->loop);
    mf_list_remove(&f->flying, &b->link);
    mf_stat_observe(MF_STAT_flush_us, (uv_hrtime() - b->started_ns) / US_PER_NS);
    if (rc == 0 && b->asks_parts) {
        told_parts(b);
    } else if (rc == 0) {
        committed(b);
    } else {
        failed(b, rc);
    }
    flush_ask(f);
    flush_end_if_idle(f);
}

/* ---- rows ---- */

/* Entries that cannot be completed now go aside, into a batch that waits, so that they
 * do not hold up the others. */
MF_LOOP static int prepare(struct flush_batch *b)
{
    struct mf_flush *f = b->flush;
    struct flush_batch *aside = NULL;
    int last_rc = 0;

    if (f->events.prepare == NULL) {
        return 0;
    }
    mf_list_each_safe (&b->group.entries, k) {
        struct mf_entry *e = flush_entry_at(k);
        int rc = f->events.prepare(e, f->events.arg);

        if (rc == 0) {
            continue;
        }
        last_rc = rc;
        aside = aside == NULL ? flush_batch_new(f) : aside;
        if (aside == NULL) {
            return MF_ENOMEM;
        }
        flush_batch_hand_over(b, aside, e);
    }
    if (aside != NULL) {
        aside->attempts = b->attempts;
        aside->is_urgent = b->is_urgent;
        aside->serial = b->serial;
        fail_at_home(aside, last_rc);
    }
    return 0;
}

MF_LOOP static int alloc_rows(struct flush_batch *b)
{
    size_t n_idems = 0;

    mf_list_each (&b->group.entries, k) {
        n_idems += flush_entry_at(k)->item->idem_key.n > 0;
    }
    b->rows = mf_array(b->fill.n_rows, sizeof(struct mf_store_row));
    b->parts = b->asks_parts ? mf_array(b->fill.n_rows, sizeof(*b->parts)) : NULL;
    b->idems = n_idems == 0 ? NULL : mf_array(n_idems, sizeof(struct mf_store_idem));
    if (b->rows == NULL || (n_idems > 0 && b->idems == NULL) ||
        (b->asks_parts && b->parts == NULL)) {
        free_rows(b);
        return MF_ENOMEM;
    }
    return 0;
}

static struct mf_slice slice_of_buf(const struct mf_buf *b)
{
    return mf_slice_of(b->p, b->n);
}

static void add_rows(struct mf_store_row *row, const struct mf_entry *e)
{
    const struct mf_item *it = e->item;

    for (uint32_t i = 0; i < it->n_msgs; i++) {
        const struct mf_entry_msg *m = &e->msgs[i];

        row[i] = (struct mf_store_row){.seq = m->seq,
                                       .user_id = it->user_id,
                                       .session_id = it->session_id,
                                       .round_id = it->round_id,
                                       .msg = it->msgs[i],
                                       .search = slice_of_buf(&m->search),
                                       .passages = slice_of_buf(&m->passages),
                                       .is_pending = !m->has_vector};
    }
}

MF_LOOP static void fill_write(struct flush_batch *b)
{
    struct mf_flush *f = b->flush;
    struct mf_store_write *w = &b->write;

    *w = (struct mf_store_write){
        .req = {.op = MF_STORE_WRITE_ROUNDS,
                .done = on_written,
                .urgency = b->is_urgent ? MF_URGENT : MF_ORDINARY},
        .rows = b->rows,
        .idems = b->idems,
        .parts = b->parts};
    mf_list_each (&b->group.entries, k) {
        struct mf_entry *e = flush_entry_at(k);

        add_rows(&b->rows[w->n_rows], e);
        w->n_rows += e->item->n_msgs;
        if (e->item->idem_key.n > 0 && f->events.idem != NULL &&
            f->events.idem(e, &b->idems[w->n_idems], f->events.arg)) {
            w->n_idems++;
        }
    }
}

/* Ready now: it goes before anything else, as soon as the store may be called. */
static void on_made(struct mf_flush_make *m)
{
    struct flush_batch *b = mf_container_of(m, struct flush_batch, make);
    struct mf_flush *f = b->flush;

    mf_loop_assert(f->loop);
    mf_list_remove(&f->making, &b->link);
    if (f->is_closing) {
        flush_batch_dissolve(b);
        flush_end_if_idle(f);
        return;
    }
    b->not_before_ms = 0;
    mf_list_push_head(&f->waiting, &b->link);
    flush_ask(f);
}

/* Once: what could not be made is prepared row by row. */
MF_LOOP static bool begin_making(struct flush_batch *b)
{
    struct mf_flush *f = b->flush;

    if (b->is_made || f->events.make == NULL) {
        return false;
    }
    b->is_made = true;
    b->make.done = on_made;
    if (!f->events.make(&b->group.entries, &b->make, f->events.arg)) {
        return false;
    }
    mf_list_push_tail(&f->making, &b->link);
    return true;
}

void flush_batch_launch(struct flush_batch *b)
{
    struct mf_flush *f = b->flush;
    int rc;

    if (begin_making(b)) {
        return;
    }
    rc = prepare(b);
    if (mf_list_is_empty(&b->group.entries)) {
        flush_batch_free(b);
        return;
    }
    rc = rc == 0 ? alloc_rows(b) : rc;
    if (rc != 0) {
        fail_at_home(b, rc);
        return;
    }
    fill_write(b);
    mf_list_each (&b->group.entries, k) {
        struct mf_entry *e = flush_entry_at(k);

        e->attempts++;
        mf_entry_move(f->buffers, e, MF_PLACE_FLYING, &b->group.entries);
    }
    b->attempts++;
    b->started_ns = uv_hrtime();
    /* The flusher looked before; asked here, this batch is the probe. */
    MF_ASSERT(mf_dep_may_call(&f->dep, mf_loop_now_ms(f->loop)));
    rc = mf_store_submit(f->store, &b->write.req);
    if (rc != 0) {
        failed(b, rc);
        return;
    }
    mf_list_push_tail(&f->flying, &b->link);
}
