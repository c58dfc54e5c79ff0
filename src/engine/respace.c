/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/respace.h"

#include "base/log.h"
#include "base/mem.h"
#include "engine/away.h"
#include "recall/searchrec.h"

#include <string.h>

struct mf_respace {
    struct mf_index_parts p;
    struct mf_backfill *backfill;
    const struct mf_model_info *model; /* lives longer than embed does */
    bool is_over, is_running, is_stopped;
    uint64_t next_ms, n_marked;
    struct mf_store_walk walk;
    struct mf_buf user_id; /* where the next step begins */
    uint64_t seq;
    bool in_knowledge;
};

int mf_respace_new(struct mf_respace **out, const struct mf_index_parts *p,
                   struct mf_backfill *backfill)
{
    struct mf_respace *r = mf_calloc(1, sizeof(*r));

    if (r == NULL) {
        return MF_ENOMEM;
    }
    r->p = *p;
    r->backfill = backfill;
    mf_buf_init(&r->user_id);
    r->model = mf_embed_info(p->embed);
    /* A remote one is asked: the first step's answer is the end when they are. */
    r->is_over =
        !p->store->info.is_remote && p->store->info.space == r->model->space_id;
    *out = r;
    return 0;
}

void mf_respace_free(struct mf_respace *r)
{
    if (r != NULL) {
        MF_ASSERT(!r->is_running);
        mf_buf_fini(&r->user_id);
        mf_free(r);
    }
}

void mf_respace_stop(struct mf_respace *r)
{
    r->is_stopped = true;
}

/* A damaged record counts: it is made anew from the text. */
MF_WORKER static bool is_foreign(const struct mf_store_walk *w, struct mf_slice search)
{
    struct mf_search_view v;

    return mf_search_view(search, &v) < 0 || v.dim == 0 || v.space != w->space;
}

static void on_walked(struct mf_store_req *req, int rc);

MF_LOOP static void step(struct mf_respace *r)
{
    struct mf_store_walk *w = &r->walk;

    memset(w, 0, sizeof(*w));
    w->req.op = MF_STORE_MARK_FOREIGN;
    w->req.done = on_walked;
    w->req.urgency = MF_ORDINARY;
    w->user_id = mf_slice_of(r->user_id.p, r->user_id.n);
    w->seq = r->seq;
    w->in_knowledge = r->in_knowledge;
    w->max_rows = MF_RESPACE_ROWS;
    w->space = r->model->space_id;
    w->is_foreign = is_foreign;
    if (mf_store_submit(r->p.store, &w->req) < 0) {
        mf_store_req_fini(&w->req);
        return;
    }
    r->is_running = true;
}

/* Takes over what the step found; the walk goes on from there. */
MF_LOOP static int move_on(struct mf_respace *r)
{
    const struct mf_store_walk *w = &r->walk;

    mf_buf_reset(&r->user_id);
    mf_buf_add_slice(&r->user_id, w->next_user_id);
    if (r->user_id.failed) {
        return MF_ENOMEM;
    }
    r->seq = w->next_seq;
    r->in_knowledge = w->next_in_knowledge;
    r->n_marked += w->n_marked;
    r->is_over = w->is_at_end;
    if (w->n_marked > 0) {
        mf_backfill_expect(r->backfill);
    }
    if (r->is_over && (r->n_marked > 0 || !r->p.store->info.is_remote)) {
        mf_log_info("vectors_renewed_mark", "space=%s rows=%llu", r->model->space,
                    (unsigned long long)r->n_marked);
    }
    return 0;
}

static void on_walked(struct mf_store_req *req, int rc)
{
    struct mf_respace *r = mf_container_of(req, struct mf_respace, walk.req);

    mf_loop_assert(r->p.loop);
    r->is_running = false;
    if (rc == 0 && !r->is_stopped) {
        rc = move_on(r);
    }
    mf_store_req_fini(req);
    if (r->is_stopped) {
        return;
    }
    if (rc < 0) {
        mf_log_limited(MF_LOG_WARN, "vectors_renewed_retry", "code=%s",
                       mf_code_name(rc));
        mf_buf_reset(&r->user_id); /* from the beginning: what is marked is skipped */
        r->seq = 0;
        r->in_knowledge = false;
    } else if (!r->is_over) {
        step(r);
    }
}

void mf_respace_tick(struct mf_respace *r, uint64_t now_ms)
{
    if (r->is_over || r->is_running || r->is_stopped || now_ms < r->next_ms ||
        mf_store_is_away(r->p.store, 0)) {
        return;
    }
    r->next_ms = now_ms + r->p.conf->embed_backfill_ms;
    step(r);
}
