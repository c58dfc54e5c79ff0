/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What other processes wrote to a shared store: asked for before a scan, from the mark
 * up to which the shelf is complete, and put on the shelf.
 *
 * The store reads at one moment, which we do not know. Of a seq that changed here
 * meanwhile the shelf has what was told; whether the row is older or newer cannot be
 * told, so it is left out, and so is one that the buffers hold in another form. Then
 * the mark stays, and the next delta brings the row again.
 */
#include "query/library_priv.h"

#include "base/log.h"
#include "recall/grow.h"

/* More changes here beside one delta: it is thrown away and another is asked for. */
#define MAX_TOLD 1024

struct told {
    uint64_t seq; /* 0: all of a session */
    struct mf_id session_id;
};

struct mf_delta {
    struct mf_store_search req;
    struct mf_library *lib;
    struct mf_holder *h; /* NULL: abandoned */
    struct mf_id user_id;
    uint64_t number; /* among the reads of the holder */
    bool is_read;    /* the store has answered */
    size_t at;       /* rows before are put */
    bool left_some;
    struct told *told;
    size_t n_told, cap_told;
    bool has_lost_told;
};

MF_LOOP static void free_delta(struct mf_delta *d)
{
    mf_store_req_fini(&d->req.req);
    mf_free(d->told);
    mf_free(d);
}

void mf_delta_abandon(struct mf_holder *h)
{
    struct mf_delta *d = h->delta;

    h->delta = NULL;
    if (d != NULL && !d->is_read) {
        d->h = NULL;
    } else if (d != NULL) {
        free_delta(d);
    }
}

void mf_delta_told(struct mf_holder *h, uint64_t seq, struct mf_slice session_id)
{
    struct mf_delta *d = h->delta;
    struct told *t;

    if (d == NULL || d->has_lost_told) {
        return;
    }
    if (d->n_told == MAX_TOLD ||
        mf_grow_array(&d->told, &d->cap_told, d->n_told + 1, sizeof(*d->told)) < 0) {
        d->has_lost_told = true;
        return;
    }
    t = &d->told[d->n_told];
    *t = (struct told){.seq = seq};
    if (seq == 0 && mf_id_from(&t->session_id, session_id) < 0) {
        return; /* no row is of such a session */
    }
    d->n_told++;
}

/* ---- putting ---- */

MF_LOOP static bool was_told(const struct mf_delta *d,
                             const struct mf_store_search_row *row)
{
    for (size_t i = 0; i < d->n_told; i++) {
        const struct told *t = &d->told[i];

        if (t->seq != 0 ? t->seq == row->seq
                        : mf_slice_eq(mf_id_slice(&t->session_id), row->session_id)) {
            return true;
        }
    }
    return false;
}

MF_LOOP static int put_row(struct mf_holder *h, size_t i, struct mf_userbuf *u)
{
    struct mf_delta *d = h->delta;
    const struct mf_store_search_row *row = &d->req.rows[i];
    struct mf_entry_msg *m = u == NULL ? NULL : mf_userbuf_find_seq(u, row->seq);
    struct mf_shelf_row put = {row->seq, row->session_id, row->agent_id, row->search};

    if (m != NULL) {
        d->left_some = d->left_some ||
                       !mf_slice_eq(mf_slice_of(m->search.p, m->search.n), row->search);
        return 0;
    }
    if (was_told(d, row)) {
        d->left_some = true;
        return 0;
    }
    return mf_holder_judge_put(row->seq, mf_shelf_take(h->shelf, &put));
}

/* A delta that could not be judged counts for nobody: those who wait get another. */
MF_LOOP static void finish(struct mf_holder *h)
{
    struct mf_delta *d = h->delta;

    if (!d->has_lost_told) {
        h->reads_done = d->number;
    }
    if (!d->has_lost_told && !d->left_some) {
        h->store_mark = d->req.mark;
    }
    mf_delta_abandon(h);
}

/* ---- asking ---- */

MF_LOOP static void give_up(struct mf_holder *h, uint64_t number, int rc)
{
    mf_log_limited(MF_LOG_WARN, "shelf_delta_failed", "user=%s code=%s", h->user_id.s,
                   mf_code_name(rc));
    mf_list_each (&h->waiting, k) {
        struct mf_run *run = mf_container_of(k, struct mf_run, link);

        if (run->read > h->reads_done && run->read <= number) {
            mf_run_want_no_read(run);
        }
    }
}

/* The user was deleted elsewhere, and perhaps is made anew: nothing of the shelf is
 * true any more. */
MF_LOOP static bool must_reload(const struct mf_delta *d)
{
    return d->req.has_more ||
           (d->req.after_mark > 0 &&
            !mf_store_marks_are_akin(d->req.after_mark, d->req.mark));
}

static void on_delta(struct mf_store_req *req, int rc)
{
    struct mf_delta *d = mf_container_of(req, struct mf_delta, req.req);
    struct mf_library *lib = d->lib;
    struct mf_holder *h = d->h;

    mf_loop_assert(lib->loop);
    lib->n_at_store--;
    mf_library_arm(lib);
    d->is_read = true;
    if (h == NULL) {
        free_delta(d);
        return;
    }
    if (rc < 0) {
        give_up(h, d->number, rc);
        mf_delta_abandon(h);
        mf_holder_want_turn(h);
    } else if (must_reload(d)) {
        mf_holder_drop(h);
    } else {
        mf_holder_want_turn(h);
    }
}

MF_LOOP static int submit(struct mf_holder *h)
{
    struct mf_delta *d = mf_calloc(1, sizeof(*d));
    int rc;

    if (d == NULL) {
        return MF_ENOMEM;
    }
    d->lib = h->lib;
    d->h = h;
    d->user_id = h->user_id;
    d->number = h->reads_begun;
    d->req.req.op = MF_STORE_LOAD_SEARCH;
    d->req.req.done = on_delta;
    d->req.req.urgency = MF_URGENT;
    d->req.user_id = mf_id_slice(&d->user_id);
    d->req.after_mark = h->store_mark;
    d->req.max_rows = h->lib->max_delta;
    rc = mf_store_submit(h->lib->store, &d->req.req);
    if (rc < 0) {
        free_delta(d);
        return rc;
    }
    h->lib->n_at_store++;
    h->delta = d;
    return 0;
}

MF_LOOP static bool is_wanted(const struct mf_holder *h)
{
    mf_list_each (&h->waiting, k) {
        if (mf_container_of(k, struct mf_run, link)->read > h->reads_done) {
            return true;
        }
    }
    return false;
}

void mf_delta_step(struct mf_holder *h)
{
    struct mf_delta *d = h->delta;
    int rc;

    if (d != NULL && d->is_read &&
        (d->has_lost_told || mf_holder_put_part(h, put_row, &d->at, d->req.n_rows))) {
        finish(h);
    }
    if (h->is_gone || h->delta != NULL || !is_wanted(h)) {
        return;
    }
    h->reads_begun++;
    rc = submit(h);
    if (rc < 0) {
        give_up(h, h->reads_begun, rc);
    }
}
