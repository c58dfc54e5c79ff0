/* SPDX-License-Identifier: Apache-2.0 */
#include "store/sqlite_priv.h"

static struct mf_store_messages *of_req(struct mf_store_req *req)
{
    return mf_container_of(req, struct mf_store_messages, req);
}

static int push_row(struct mf_sq *q, struct mf_sq_vec *rows, struct mf_store_req *req)
{
    struct mf_store_row *row =
        mf_sq_push(rows, &req->arena, sizeof(struct mf_store_row));

    return row == NULL ? mf_err_set(&req->err, MF_ENOMEM, "no memory for the rows")
                       : mf_sq_read_row(q, &req->arena, row);
}

/* Steps to the end and ends the statement. */
static int read_rows(struct mf_sq *q, struct mf_sq_vec *rows, struct mf_store_req *req)
{
    int rc;

    while ((rc = mf_sq_step(q)) == 1) {
        rc = push_row(q, rows, req);
        if (rc < 0) {
            break;
        }
    }
    mf_sq_end(q);
    return rc;
}

static void give_rows(struct mf_store_messages *m, const struct mf_sq_vec *rows)
{
    m->rows = rows->p;
    m->n_rows = rows->n;
}

static int read_by_id(struct mf_sq_conn *c, const struct mf_store_messages *m, size_t i,
                      struct mf_sq_vec *rows, struct mf_store_req *req)
{
    struct mf_sq q = mf_sq_begin(c, MF_SQ_MESSAGE_BY_ID, &req->err);

    mf_sq_bind_text(&q, 1, m->user_id);
    mf_sq_bind_text(&q, 2, m->ids[i]);
    mf_sq_bind_text(&q, 3, m->session_id);
    return read_rows(&q, rows, req);
}

static int read_by_seq(struct mf_sq_conn *c, const struct mf_store_messages *m,
                       size_t i, struct mf_sq_vec *rows, struct mf_store_req *req)
{
    size_t n_before = rows->n;
    struct mf_sq q = mf_sq_begin(c, MF_SQ_MESSAGE_BY_SEQ, &req->err);
    int rc;

    mf_sq_bind_text(&q, 1, m->user_id);
    mf_sq_bind_int(&q, 2, (int64_t)m->seqs[i]);
    mf_sq_bind_text(&q, 3, m->session_id);
    rc = read_rows(&q, rows, req);
    /* Order numbers are one series: what is no message may be knowledge. */
    if (rc < 0 || rows->n > n_before || m->session_id.n > 0) {
        return rc;
    }
    q = mf_sq_begin(c, MF_SQ_KNOWLEDGE_BY_SEQ, &req->err);
    mf_sq_bind_text(&q, 1, m->user_id);
    mf_sq_bind_int(&q, 2, (int64_t)m->seqs[i]);
    return read_rows(&q, rows, req);
}

int mf_sq_get_messages(struct mf_sq_conn *c, struct mf_store_req *req)
{
    struct mf_store_messages *m = of_req(req);
    struct mf_sq_vec rows = {0};

    for (size_t i = 0; i < m->n; i++) {
        int rc = m->seqs != NULL ? read_by_seq(c, m, i, &rows, req)
                                 : read_by_id(c, m, i, &rows, req);

        if (rc < 0) {
            return rc;
        }
    }
    give_rows(m, &rows);
    return 0;
}

int mf_sq_list_messages(struct mf_sq_conn *c, struct mf_store_req *req)
{
    static const enum mf_sq_stmt lists[2][2] = {
        [MF_SORT_TIMESTAMP] = {MF_SQ_LIST_TIME_UP, MF_SQ_LIST_TIME_DOWN},
        [MF_SORT_ID] = {MF_SQ_LIST_ID_UP, MF_SQ_LIST_ID_DOWN},
    };
    struct mf_store_messages *m = of_req(req);
    struct mf_sq_vec rows = {0};
    struct mf_sq q = mf_sq_begin(c, lists[m->sort][m->is_descending], &req->err);
    int rc;

    mf_sq_bind_text(&q, 1, m->user_id);
    mf_sq_bind_text(&q, 2, m->session_id);
    mf_sq_bind_limit(&q, 3, m->limit);
    rc = read_rows(&q, &rows, req);
    give_rows(m, &rows);
    return rc;
}

int mf_sq_pending(struct mf_sq_conn *c, struct mf_store_req *req)
{
    struct mf_store_messages *m = of_req(req);
    struct mf_sq_vec rows = {0};
    struct mf_sq q = mf_sq_begin(c, MF_SQ_PENDING_LIST, &req->err);
    int rc;

    mf_sq_bind_int(&q, 1, (int64_t)m->after_seq);
    mf_sq_bind_text(&q, 2, m->user_id);
    mf_sq_bind_limit(&q, 3, m->limit);
    rc = read_rows(&q, &rows, req);
    give_rows(m, &rows);
    return rc;
}

static int copy_slice(struct mf_slice *to, struct mf_slice from,
                      struct mf_store_req *req)
{
    to->p = mf_arena_strndup(&req->arena, from.p, from.n);
    to->n = from.n;
    return to->p == NULL ? mf_err_set(&req->err, MF_ENOMEM, "no memory for an id") : 0;
}

/* One message; 1 when it was there, described in `row`. */
MF_WORKER static int drop_message(struct mf_sq_conn *c, struct mf_store_messages *m,
                                  struct mf_slice id, struct mf_store_row *row)
{
    struct mf_store_req *req = &m->req;
    struct mf_sq q = mf_sq_begin(c, MF_SQ_MESSAGE_DROP, &req->err);
    int rc, end;

    mf_sq_bind_text(&q, 1, m->user_id);
    mf_sq_bind_text(&q, 2, id);
    mf_sq_bind_text(&q, 3, m->session_id);
    rc = mf_sq_step(&q);
    if (rc == 1) {
        row->seq = (uint64_t)mf_sq_read_int(&q, 0);
        rc = mf_sq_read(&q, 1, &req->arena, &row->session_id);
        end = rc < 0 ? rc : mf_sq_step(&q); /* the key is unique: no second row */
        rc = end < 0 ? end : 1;
    }
    mf_sq_end(&q);
    return rc;
}

MF_WORKER static int drop_passages(struct mf_sq_conn *c, struct mf_store_messages *m,
                                   struct mf_slice id)
{
    struct mf_sq q = mf_sq_begin(c, MF_SQ_PASSAGES_DROP, &m->req.err);

    mf_sq_bind_text(&q, 1, m->user_id);
    mf_sq_bind_text(&q, 2, id);
    return mf_sq_run(&q, NULL);
}

MF_WORKER static int delete_one(struct mf_sq_conn *c, struct mf_store_messages *m,
                                struct mf_slice id, struct mf_sq_vec *rows)
{
    struct mf_store_req *req = &m->req;
    struct mf_store_row row = {0};
    struct mf_store_row *slot;
    int rc = drop_message(c, m, id, &row);

    if (rc <= 0) {
        return rc;
    }
    rc = drop_passages(c, m, id);
    rc = rc < 0 ? rc : copy_slice(&row.user_id, m->user_id, req);
    rc = rc < 0 ? rc : copy_slice(&row.msg.id, id, req);
    if (rc < 0) {
        return rc;
    }
    slot = mf_sq_push(rows, &req->arena, sizeof(*slot));
    if (slot == NULL) {
        return mf_err_set(&req->err, MF_ENOMEM, "no memory for the rows");
    }
    *slot = row;
    return 0;
}

int mf_sq_delete_messages(struct mf_sq_conn *c, struct mf_store_req *req)
{
    struct mf_store_messages *m = of_req(req);
    struct mf_sq_vec rows = {0};

    for (size_t i = 0; i < m->n; i++) {
        int rc = delete_one(c, m, m->ids[i], &rows);

        if (rc < 0) {
            return rc;
        }
    }
    give_rows(m, &rows);
    return mf_sq_add_totals(c, 0, -(int64_t)rows.n, &req->err);
}
