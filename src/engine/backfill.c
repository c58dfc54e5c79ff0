/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/backfill.h"

#include "base/log.h"
#include "engine/away.h"

#include <string.h>

/* A store on this disk is written by nobody else; in a remote one an import, or another
 * process, may leave rows without vectors at any time. */
#define REMOTE_LOOK_MS 10000

struct row_task {
    struct mf_record_task rt;
    struct mf_backfill *b;
    size_t i; /* of the rows read */
    bool has_vector;
};

struct mf_backfill {
    struct mf_index_parts p;
    const struct mf_record_maker *maker;
    bool is_expected; /* rows that no pass under way is sure to see */
    bool is_running, is_stopped;
    uint64_t next_ms, after_seq; /* after_seq > 0: in the middle of a pass */
    uint64_t look_ms;            /* when a remote store is looked at unasked */
    struct mf_store_messages reading;
    struct mf_store_write writing;
    struct mf_store_row *rows; /* to write; as many as were read */
    struct row_task *tasks;
    size_t n_left;
};

int mf_backfill_new(struct mf_backfill **out, const struct mf_index_parts *p,
                    const struct mf_record_maker *maker)
{
    struct mf_backfill *b = mf_calloc(1, sizeof(*b));

    if (b == NULL) {
        return MF_ENOMEM;
    }
    b->p = *p;
    b->maker = maker;
    /* What a remote one has nobody knows before the first look. */
    b->is_expected = p->store->info.is_remote || p->store->info.n_pending > 0;
    *out = b;
    return 0;
}

void mf_backfill_free(struct mf_backfill *b)
{
    if (b != NULL) {
        MF_ASSERT(!b->is_running);
        mf_free(b);
    }
}

void mf_backfill_expect(struct mf_backfill *b)
{
    b->is_expected = true;
}

void mf_backfill_stop(struct mf_backfill *b)
{
    b->is_stopped = true;
}

MF_LOOP static void step_end(struct mf_backfill *b)
{
    for (size_t i = 0; i < b->reading.n_rows && b->tasks != NULL; i++) {
        mf_record_task_fini(&b->tasks[i].rt);
    }
    mf_free(b->tasks);
    mf_free(b->rows);
    b->tasks = NULL;
    b->rows = NULL;
    mf_store_req_fini(&b->reading.req);
    b->is_running = false;
}

static void on_written(struct mf_store_req *req, int rc)
{
    struct mf_backfill *b = mf_container_of(req, struct mf_backfill, writing.req);

    mf_loop_assert(b->p.loop);
    for (size_t i = 0; rc == 0 && !b->is_stopped && i < b->writing.n_rows; i++) {
        if (b->writing.n_changed == b->writing.n_rows) {
            mf_library_replaced(b->p.library, b->rows[i].user_id, b->rows[i].seq,
                                b->rows[i].search);
        } else { /* some row was changed meanwhile, we do not know which: load anew */
            mf_library_user_gone(b->p.library, b->rows[i].user_id);
        }
    }
    if (rc < 0) {
        mf_log_limited(MF_LOG_WARN, "backfill_retry", "code=%s", mf_code_name(rc));
        b->is_expected = true;
    } else {
        b->next_ms = 0; /* there may be more: at once */
    }
    mf_store_req_fini(req);
    step_end(b);
}

MF_LOOP static void write_back(struct mf_backfill *b)
{
    size_t n = 0;

    for (size_t i = 0; i < b->reading.n_rows; i++) {
        struct row_task *t = &b->tasks[i];

        if (t->has_vector) {
            b->rows[n] = b->reading.rows[i];
            b->rows[n].search = mf_slice_of(t->rt.search.p, t->rt.search.n);
            b->rows[n].passages = mf_slice_of(t->rt.passages.p, t->rt.passages.n);
            b->rows[n].is_pending = false;
            n++;
        }
    }
    if (n == 0 || b->is_stopped) {
        step_end(b);
        return;
    }
    memset(&b->writing, 0, sizeof(b->writing));
    b->writing.req.op = MF_STORE_SET_SEARCH;
    b->writing.req.done = on_written;
    b->writing.req.urgency = MF_ORDINARY;
    b->writing.rows = b->rows;
    b->writing.n_rows = n;
    if (mf_store_submit(b->p.store, &b->writing.req) < 0) {
        mf_store_req_fini(&b->writing.req);
        b->is_expected = true;
        step_end(b);
    }
}

MF_LOOP static void row_is_done(struct mf_backfill *b)
{
    if (--b->n_left == 0) {
        write_back(b);
    }
}

MF_LOOP static void on_row_made(struct mf_record_task *rt, int rc)
{
    struct row_task *t = mf_container_of(rt, struct row_task, rt);

    t->has_vector = rc == 0;
    t->b->is_expected = t->b->is_expected || rc < 0; /* the next pass has it again */
    row_is_done(t->b);
}

MF_LOOP static int start_rows(struct mf_backfill *b)
{
    size_t n = b->reading.n_rows;

    b->tasks = mf_calloc(n, sizeof(*b->tasks));
    b->rows = mf_calloc(n, sizeof(*b->rows));
    if (b->tasks == NULL || b->rows == NULL) {
        return MF_ENOMEM;
    }
    b->n_left = n + 1; /* one for this function */
    for (size_t i = 0; i < n; i++) {
        const struct mf_store_row *r = &b->reading.rows[i];
        struct row_task *t = &b->tasks[i];
        int rc;

        t->b = b;
        t->i = i;
        mf_record_task_init(&t->rt, b->maker, r->msg.content, r->msg.role,
                            r->msg.created_us);
        t->rt.is_knowledge = r->session_id.n == 0;
        rc = mf_record_task_submit(&t->rt, MF_ORDINARY, on_row_made);
        if (rc < 0) {
            b->n_left--;
            b->is_expected = true; /* the next pass has it again */
        }
    }
    row_is_done(b);
    return 0;
}

static void on_read(struct mf_store_req *req, int rc)
{
    struct mf_backfill *b = mf_container_of(req, struct mf_backfill, reading.req);

    mf_loop_assert(b->p.loop);
    if (rc < 0 || b->reading.n_rows == 0 || b->is_stopped) {
        /* The end: begin anew only when somebody failed on the way or says so. */
        b->is_expected = b->is_expected || rc < 0;
        b->after_seq = 0;
        b->reading.n_rows = 0;
        step_end(b);
        return;
    }
    b->after_seq = b->reading.rows[b->reading.n_rows - 1].seq;
    if (start_rows(b) < 0) {
        b->is_expected = true;
        step_end(b);
    }
}

void mf_backfill_tick(struct mf_backfill *b, uint64_t now_ms)
{
    bool has_work;

    if (b->p.store->info.is_remote && now_ms >= b->look_ms) {
        b->look_ms = now_ms + REMOTE_LOOK_MS;
        b->is_expected = true;
    }
    has_work = b->is_expected || b->after_seq > 0;
    if (!has_work || b->is_running || b->is_stopped || now_ms < b->next_ms ||
        mf_embed_backlog(b->p.embed) > b->p.conf->embed_max_backlog / 2 ||
        mf_store_is_away(b->p.store, 0)) {
        return;
    }
    b->next_ms = now_ms + b->p.conf->embed_backfill_ms;
    memset(&b->reading, 0, sizeof(b->reading));
    b->reading.req.op = MF_STORE_PENDING_VECTORS;
    b->reading.req.done = on_read;
    b->reading.req.urgency = MF_ORDINARY;
    b->reading.limit = b->p.conf->embed_backfill_batch;
    b->reading.after_seq = b->after_seq;
    if (mf_store_submit(b->p.store, &b->reading.req) < 0) {
        mf_store_req_fini(&b->reading.req);
        return;
    }
    b->is_running = true;
    /* What is told from here on may come behind this pass. */
    b->is_expected = b->is_expected && b->after_seq > 0;
}
