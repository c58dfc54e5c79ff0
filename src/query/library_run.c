/* SPDX-License-Identifier: Apache-2.0 */
/* One scan, from its holder to its answer. */
#include "query/library_priv.h"

static void on_shelf_ready(struct mf_shelf_waiter *w);

void mf_run_enter(struct mf_run *run)
{
    struct mf_library *lib = run->lib;
    struct mf_slice user = run->s->user_id;
    struct mf_holder *h = mf_holder_find(lib, user);
    bool is_shared = lib->store->info.is_shared;
    int rc = h == NULL ? mf_holder_new(lib, user, &h) : 0;

    if (rc < 0) {
        mf_run_finish(run, rc);
        return;
    }
    run->h = h;
    run->state = MF_RUN_WAITING;
    run->upto = mf_pending_tail(lib, user);
    run->read = is_shared ? h->reads_begun + 1 : 0;
    mf_list_push_tail(&h->waiting, &run->link);
    if (is_shared || h->state == MF_HOLDER_FAILED || h->state == MF_HOLDER_LOADING) {
        mf_library_time(run);
    }
    mf_list_remove(&lib->used, &h->in_used);
    mf_list_push_tail(&lib->used, &h->in_used);
    mf_holder_want_turn(h);
    if (h->state == MF_HOLDER_FAILED) {
        mf_load_start(h); /* may end the run */
    }
}

void mf_run_begin(struct mf_run *run, enum mf_run_state state)
{
    MF_ASSERT(run->state == MF_RUN_WAITING);
    mf_list_remove(&run->h->waiting, &run->link);
    run->state = state;
    run->epoch = run->h->epoch;
    run->h->n_active++;
    mf_library_untime(run);
}

void mf_run_want_no_read(struct mf_run *run)
{
    MF_ASSERT(run->state == MF_RUN_WAITING);
    run->read = 0;
    run->s->is_partial = true;
}

/* The holder hears of it at the end of the turn: a shelf that calls us is not freed
 * under its feet. */
MF_LOOP static void leave_holder(struct mf_run *run)
{
    struct mf_holder *h = run->h;

    if (run->state >= MF_RUN_GATHERING && --h->n_active == 0) {
        h->n_gone = 0;
    }
    if (h != NULL) {
        mf_holder_want_turn(h);
    }
    run->h = NULL;
    mf_library_untime(run);
    if (run->feed != NULL) {
        mf_feed_free(run->feed);
        run->feed = NULL;
    }
}

void mf_run_finish(struct mf_run *run, int rc)
{
    struct mf_library_scan *s = run->s;

    leave_holder(run);
    if (rc < 0) {
        s->n_hits = 0;
    }
    s->state = NULL;
    run->lib->n_runs--;
    mf_library_arm(run->lib);
    mf_free(run);
    s->done(s, rc);
}

void mf_run_restart(struct mf_run *run)
{
    if (run->lib->is_closing || run->n_restarts++ == MF_MAX_RESTARTS) {
        mf_run_finish(run, run->lib->is_closing ? MF_ECLOSED : MF_EBUSY);
        return;
    }
    leave_holder(run);
    run->s->n_hits = 0;
    run->s->is_partial = false;
    run->state = MF_RUN_ARRIVED;
    mf_list_push_tail(&run->lib->arrivals, &run->link);
    mf_library_arm(run->lib);
}

static bool is_gone(const struct mf_holder *h, uint64_t seq)
{
    for (size_t i = 0; i < h->n_gone; i++) {
        if (h->gone[i] == seq) {
            return true;
        }
    }
    return false;
}

void mf_run_ranked(struct mf_run *run)
{
    struct mf_library_scan *s = run->s;
    const struct mf_holder *h = run->h;
    size_t n = 0;

    if (run->rc < 0) {
        mf_run_finish(run, run->rc);
        return;
    }
    if (h->is_gone || h->epoch != run->epoch) {
        mf_run_restart(run);
        return;
    }
    for (size_t i = 0; h->n_gone > 0 && i < s->n_hits; i++) {
        if (!is_gone(h, s->hits[i].seq)) {
            s->hits[n++] = s->hits[i];
        }
    }
    s->n_hits = h->n_gone > 0 ? n : s->n_hits;
    mf_run_finish(run, 0);
}

/* ---- on a resident shelf ---- */

MF_WORKER static void work_scan(struct mf_job *job)
{
    struct mf_run *run = mf_container_of(job, struct mf_run, job);
    struct mf_library_scan *s = run->s;

    run->rc = mf_shelf_scan(run->shelf, &s->request, s->hits, &s->n_hits);
}

static void on_scanned(struct mf_job *job, int status)
{
    struct mf_run *run = mf_container_of(job, struct mf_run, job);

    mf_loop_assert(run->lib->loop);
    mf_shelf_return(run->h->shelf);
    if (status < 0) {
        mf_run_finish(run, MF_ECLOSED);
        return;
    }
    mf_run_ranked(run);
}

void mf_run_lend(struct mf_run *run)
{
    struct mf_library *lib = run->lib;
    struct mf_holder *h = run->h;
    int rc;

    run->waiter.ready = on_shelf_ready;
    rc = mf_shelf_lend(h->shelf, &run->waiter);
    if (rc == MF_EBUSY) {
        return;
    }
    if (rc < 0) {
        mf_run_finish(run, rc);
        return;
    }
    run->shelf = h->shelf;
    run->job.work = work_scan;
    run->job.done = on_scanned;
    rc = mf_lane_submit(lib->lane, &run->job, MF_URGENT);
    if (rc < 0) {
        mf_shelf_return(h->shelf);
        mf_run_finish(run, rc);
    }
}

static void on_shelf_ready(struct mf_shelf_waiter *w)
{
    struct mf_run *run = mf_container_of(w, struct mf_run, waiter);

    mf_loop_assert(run->lib->loop);
    if (run->h->is_gone || run->lib->is_closing) {
        mf_run_restart(run);
        return;
    }
    mf_run_lend(run);
}
