/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scans without a shelf: of users too large to be resident, and, when the store is late
 * or failed, of what the buffers hold. First the messages of the buffers are gathered,
 * a part a turn; then the store is asked, so that what leaves the buffers while we
 * gather is found there; both are merged by seq into one stream.
 *
 * A feed may outlive its run (a store that is late still feeds): it holds copies of all
 * it needs.
 */
#include "query/library_priv.h"

#include "base/log.h"
#include "base/stat.h"

#define PIECE 128

struct mf_feed {
    struct mf_store_search req;
    struct mf_library *lib;
    struct mf_run *run; /* NULL: abandoned */
    struct mf_id user_id;
    bool is_partial;
    /* gathering */
    uint64_t after;
    struct mf_pending rows;
    /* the worker's */
    size_t at; /* rows before are fed */
    bool as_f32, is_built;
    size_t n_damaged;
    struct mf_stream *stream;
    struct mf_scan_request request; /* points to the copies */
    struct mf_question question;
    float *vector;
    char *agent_id;
    _Atomic bool is_stopped;
};

/* ---- on workers ---- */

MF_WORKER static int build_once(struct mf_feed *f)
{
    int rc = f->is_built ? 0 : mf_pending_build(&f->rows, f->as_f32);

    f->is_built = f->is_built || rc == 0;
    return rc;
}

MF_WORKER static struct mf_shelf_row pending_row(const struct mf_pending_row *row)
{
    const struct mf_item *it = row->item;

    return (struct mf_shelf_row){row->seq, it->session_id, it->agent_id,
                                 mf_slice_of(row->rec.p, row->rec.n)};
}

struct merge {
    struct mf_feed *f;
    struct mf_shelf_row rows[PIECE];
    size_t n;
};

MF_WORKER static int feed_merged(struct merge *m)
{
    int rc = mf_stream_feed(m->f->stream, m->rows, m->n);

    m->n = 0;
    if (rc == MF_ECORRUPT) { /* the others were taken */
        m->f->n_damaged++;
        rc = 0;
    }
    return rc;
}

MF_WORKER static int push_merged(struct merge *m, struct mf_shelf_row row)
{
    m->rows[m->n++] = row;
    return m->n == PIECE ? feed_merged(m) : 0;
}

/* Rows of the buffers before `seq`; one that is stored, too, is taken from there. */
MF_WORKER static int push_pending(struct merge *m, uint64_t seq)
{
    struct mf_feed *f = m->f;
    int rc = 0;

    while (rc == 0 && f->at < f->rows.n && f->rows.rows[f->at].seq < seq) {
        rc = push_merged(m, pending_row(&f->rows.rows[f->at++]));
    }
    if (f->at < f->rows.n && f->rows.rows[f->at].seq == seq) {
        f->at++;
    }
    return rc;
}

MF_WORKER static int feed_stream(struct mf_store_search *req,
                                 const struct mf_store_search_row *rows, size_t n)
{
    struct mf_feed *f = req->feed_arg;
    struct merge m = {.f = f};
    int rc = build_once(f);

    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = push_pending(&m, rows[i].seq);
        if (rc == 0) {
            rc = push_merged(&m,
                             (struct mf_shelf_row){rows[i].seq, rows[i].session_id,
                                                   rows[i].agent_id, rows[i].search});
        }
    }
    if (rc == 0) {
        rc = feed_merged(&m);
    }
    return rc < 0 ? rc : atomic_load(&f->is_stopped);
}

MF_WORKER static void work_finish(struct mf_job *job)
{
    struct mf_run *run = mf_container_of(job, struct mf_run, job);
    struct mf_library_scan *s = run->s;
    struct merge m = {.f = run->feed};
    int rc = build_once(run->feed);

    if (rc == 0) {
        rc = push_pending(&m, UINT64_MAX);
    }
    if (rc == 0) {
        rc = feed_merged(&m);
    }
    if (rc == 0) {
        rc = mf_stream_finish(run->feed->stream, s->hits, &s->n_hits);
    }
    run->rc = rc;
}

/* ---- on the loop ---- */

void mf_feed_free(struct mf_feed *f)
{
    mf_pending_fini(&f->rows);
    mf_stream_free(f->stream);
    mf_store_req_fini(&f->req.req);
    mf_free(f->vector);
    mf_free(f->agent_id);
    mf_free(f);
}

MF_LOOP static int copy_request(struct mf_feed *f, const struct mf_scan_request *r)
{
    f->request = *r;
    f->question = *r->question;
    f->question.text_to_embed = (struct mf_buf){0}; /* not read by a scan */
    f->request.question = &f->question;
    if (r->vector != NULL) {
        f->vector = mf_array(r->dim, sizeof(float));
        if (f->vector == NULL) {
            return MF_ENOMEM;
        }
        memcpy(f->vector, r->vector, r->dim * sizeof(float));
        f->request.vector = f->vector;
    }
    if (r->agent_id.n > 0) {
        f->agent_id = mf_strndup(r->agent_id.p, r->agent_id.n);
        if (f->agent_id == NULL) {
            return MF_ENOMEM;
        }
        f->request.agent_id.p = f->agent_id;
    }
    return mf_stream_new(&f->stream, &f->request);
}

MF_LOOP static int new_feed(struct mf_run *run, bool is_partial)
{
    struct mf_feed *f = mf_calloc(1, sizeof(*f));
    int rc;

    if (f == NULL) {
        return MF_ENOMEM;
    }
    f->lib = run->lib;
    f->run = run;
    f->user_id = run->h->user_id;
    f->is_partial = is_partial;
    f->as_f32 = run->lib->cfg.as_f32;
    rc = copy_request(f, &run->s->request);
    if (rc < 0) {
        mf_feed_free(f);
        return rc;
    }
    run->feed = f;
    return 0;
}

MF_LOOP static void gather_from_start(struct mf_run *run, bool is_partial)
{
    int rc = new_feed(run, is_partial);

    if (rc < 0) {
        mf_run_finish(run, rc);
        return;
    }
    run->state = MF_RUN_GATHERING;
    run->s->is_partial = is_partial;
    mf_list_push_tail(&run->lib->gathering, &run->link);
    mf_library_arm(run->lib);
}

void mf_stream_run(struct mf_run *run, bool is_partial)
{
    mf_run_begin(run, MF_RUN_GATHERING);
    gather_from_start(run, is_partial);
}

/* A run at the store leaves its feed to the request. */
MF_LOOP static void leave_feed(struct mf_run *run)
{
    mf_feed_stop(run);
    run->feed->run = NULL;
    run->feed = NULL;
}

void mf_feed_stop(struct mf_run *run)
{
    if (run->feed != NULL) {
        atomic_store(&run->feed->is_stopped, true);
    }
}

void mf_stream_go_partial(struct mf_run *run)
{
    leave_feed(run);
    gather_from_start(run, true);
}

static void on_stream_ranked(struct mf_job *job, int status)
{
    struct mf_run *run = mf_container_of(job, struct mf_run, job);

    mf_loop_assert(run->lib->loop);
    if (status < 0) {
        mf_run_finish(run, MF_ECLOSED);
        return;
    }
    if (run->feed->n_damaged > 0) {
        mf_log_limited(MF_LOG_WARN, "search_record_damaged", "user=%s pieces=%zu",
                       run->feed->user_id.s, run->feed->n_damaged);
    }
    mf_run_ranked(run);
}

MF_LOOP static void rank(struct mf_run *run)
{
    int rc;

    run->state = MF_RUN_AT_WORK;
    mf_library_untime(run);
    run->job.work = work_finish;
    run->job.done = on_stream_ranked;
    rc = mf_lane_submit(run->lib->lane, &run->job, MF_URGENT);
    if (rc < 0) {
        mf_run_finish(run, rc);
    }
}

static void on_streamed(struct mf_store_req *req, int rc)
{
    struct mf_feed *f = mf_container_of(req, struct mf_feed, req.req);
    struct mf_library *lib = f->lib;
    struct mf_run *run = f->run;

    mf_loop_assert(lib->loop);
    lib->n_at_store--;
    mf_library_arm(lib);
    if (run == NULL) {
        mf_feed_free(f);
        return;
    }
    if (lib->is_closing) {
        mf_run_finish(run, MF_ECLOSED);
    } else if (rc == MF_ENOMEM) {
        mf_run_finish(run, rc);
    } else if (rc < 0) {
        mf_log_limited(MF_LOG_WARN, "stream_failed", "user=%s code=%s", f->user_id.s,
                       mf_code_name(rc));
        run->feed = NULL;
        mf_feed_free(f);
        gather_from_start(run, true);
    } else {
        mf_stat_add(MF_STAT_shelf_streams, 1);
        rank(run);
    }
}

MF_LOOP static void ask_store(struct mf_run *run)
{
    struct mf_library *lib = run->lib;
    struct mf_feed *f = run->feed;
    int rc;

    f->req.req.op = MF_STORE_LOAD_SEARCH;
    f->req.req.done = on_streamed;
    f->req.req.urgency = MF_URGENT;
    f->req.user_id = mf_id_slice(&f->user_id);
    f->req.feed = feed_stream;
    f->req.feed_arg = f;
    rc = mf_store_submit(lib->store, &f->req.req);
    if (rc < 0) {
        run->feed = NULL;
        mf_feed_free(f);
        gather_from_start(run, true);
        return;
    }
    lib->n_at_store++;
    run->state = MF_RUN_AT_STORE;
    mf_library_time(run);
}

void mf_stream_gather(struct mf_run *run)
{
    struct mf_library *lib = run->lib;
    struct mf_feed *f = run->feed;
    struct mf_userbuf *u = mf_userbuf_find(lib->buffers, mf_id_slice(&f->user_id));
    size_t from = f->rows.n;
    size_t max = from + lib->budget;
    bool is_all = true;
    int rc = 0;

    if (u != NULL) {
        rc = mf_pending_gather(&f->rows, u, f->after, run->upto, max);
        is_all = f->rows.n < max;
    }
    if (rc == 0 && u != NULL) {
        rc = mf_pending_copy_records(&f->rows, u, from);
    }
    if (rc < 0) {
        mf_run_finish(run, rc);
        return;
    }
    lib->budget -= mf_min(lib->budget, f->rows.n - from);
    if (!is_all) {
        f->after = f->rows.rows[f->rows.n - 1].seq;
        mf_list_push_tail(&lib->gathering, &run->link);
    } else if (f->is_partial) {
        rank(run);
    } else {
        ask_store(run);
    }
}
