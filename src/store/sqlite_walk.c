/* SPDX-License-Identifier: Apache-2.0 */
#include "store/sqlite_priv.h"

struct key {
    struct mf_slice user_id;
    uint64_t seq;
};

/* The rows of one table that a step looked at. */
struct seen {
    struct mf_sq_vec foreign; /* struct key */
    struct key last;
    size_t n;
};

static struct mf_store_walk *of_req(struct mf_store_req *req)
{
    return mf_container_of(req, struct mf_store_walk, req);
}

static int see_row(struct mf_store_walk *w, struct mf_sq *q, struct seen *seen)
{
    struct mf_arena *a = &w->req.arena;
    struct key *key;
    int rc;

    seen->n++;
    seen->last.seq = (uint64_t)mf_sq_read_int(q, 1);
    if (!mf_slice_eq(seen->last.user_id, mf_sq_peek(q, 0))) {
        rc = mf_sq_read(q, 0, a, &seen->last.user_id);
        if (rc < 0) {
            return rc;
        }
    }
    if (mf_sq_read_int(q, 2) != 0 || !w->is_foreign(w, mf_sq_peek(q, 3))) {
        return 0;
    }
    key = mf_sq_push(&seen->foreign, a, sizeof(*key));
    if (key == NULL) {
        return mf_err_set(&w->req.err, MF_ENOMEM, "no memory for a walk's rows");
    }
    *key = seen->last;
    return 0;
}

static int look(struct mf_sq_conn *c, struct mf_store_walk *w, struct seen *seen)
{
    enum mf_sq_stmt list = w->in_knowledge ? MF_SQ_WALK_KNOWLEDGE : MF_SQ_WALK_MESSAGES;
    struct mf_sq q = mf_sq_begin(c, list, &w->req.err);
    int rc;

    if (w->user_id.n == 0) {
        mf_sq_bind_empty(&q, 1);
    } else {
        mf_sq_bind_text(&q, 1, w->user_id);
    }
    mf_sq_bind_int(&q, 2, (int64_t)mf_min(w->seq, (uint64_t)INT64_MAX));
    mf_sq_bind_limit(&q, 3, w->max_rows);
    while ((rc = mf_sq_step(&q)) == 1) {
        rc = see_row(w, &q, seen);
        if (rc < 0) {
            break;
        }
    }
    mf_sq_end(&q);
    return rc;
}

static int mark(struct mf_sq_conn *c, struct mf_store_walk *w, const struct seen *seen)
{
    const struct key *keys = seen->foreign.p;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < seen->foreign.n; i++) {
        struct mf_sq q =
            mf_sq_begin(c, w->in_knowledge ? MF_SQ_KNOWLEDGE_MARK : MF_SQ_MESSAGE_MARK,
                        &w->req.err);

        mf_sq_bind_text(&q, 1, keys[i].user_id);
        mf_sq_bind_int(&q, 2, (int64_t)keys[i].seq);
        rc = mf_sq_run(&q, NULL);
    }
    return rc;
}

int mf_sq_set_space(struct mf_sq_conn *c, uint32_t space, struct mf_err *err)
{
    struct mf_sq q = mf_sq_begin(c, MF_SQ_TOTALS_SET_SPACE, err);

    mf_sq_bind_int(&q, 1, space);
    return mf_sq_run(&q, NULL);
}

int mf_sq_mark_foreign(struct mf_sq_conn *c, struct mf_store_req *req)
{
    struct mf_store_walk *w = of_req(req);
    struct seen seen = {.n = 0};
    bool is_table_done;
    int rc = look(c, w, &seen);

    if (rc == 0) {
        rc = mark(c, w, &seen);
    }
    if (rc < 0) {
        return rc;
    }
    is_table_done = seen.n < w->max_rows;
    w->n_marked = seen.foreign.n;
    w->is_at_end = is_table_done && w->in_knowledge;
    w->next_in_knowledge = w->in_knowledge || is_table_done;
    w->next_user_id = is_table_done ? (struct mf_slice){NULL, 0} : seen.last.user_id;
    w->next_seq = is_table_done ? 0 : seen.last.seq;
    return w->is_at_end ? mf_sq_set_space(c, w->space, &req->err) : 0;
}
