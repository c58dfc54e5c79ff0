/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "store/sqlite_priv.h"

#include <stdlib.h>

static struct mf_store_write *of_req(struct mf_store_req *req)
{
    return mf_container_of(req, struct mf_store_write, req);
}

int mf_sq_add_totals(struct mf_sq_conn *c, uint64_t next_seq, int64_t n_messages,
                     struct mf_err *err)
{
    struct mf_sq q;

    if (next_seq == 0 && n_messages == 0) {
        return 0;
    }
    q = mf_sq_begin(c, MF_SQ_TOTALS_ADD, err);
    mf_sq_bind_int(&q, 1, (int64_t)next_seq);
    mf_sq_bind_int(&q, 2, n_messages);
    return mf_sq_run(&q, NULL);
}

/* Names the row in a refusal: ids are no message text. */
static int name_row(struct mf_err *err, int rc, const struct mf_store_row *row)
{
    return mf_err_wrap(err, rc, "message %.*s",
                       (int)mf_min(row->msg.id.n, (size_t)MF_ID_MAX), row->msg.id.p);
}

/* The passages of an existing message become those of `row`, none when empty. */
MF_WORKER static int put_passages(struct mf_sq_conn *c, const struct mf_store_row *row,
                                  struct mf_err *err)
{
    bool has_some = row->passages.n > 0;
    struct mf_sq q =
        mf_sq_begin(c, has_some ? MF_SQ_PASSAGES_PUT : MF_SQ_PASSAGES_DROP, err);

    mf_sq_bind_text(&q, 1, row->user_id);
    mf_sq_bind_text(&q, 2, row->msg.id);
    if (has_some) {
        mf_sq_bind_blob(&q, 3, row->passages);
    }
    return mf_sq_run(&q, NULL);
}

MF_WORKER static int insert_row(struct mf_sq_conn *c, const struct mf_store_row *row,
                                size_t *n_changed, struct mf_err *err)
{
    struct mf_sq q = mf_sq_begin(c, MF_SQ_MESSAGE_PUT, err);
    size_t n = 0;
    int rc;

    mf_sq_bind_text(&q, 1, row->user_id);
    mf_sq_bind_int(&q, 2, (int64_t)row->seq);
    mf_sq_bind_text(&q, 3, row->msg.id);
    mf_sq_bind_text(&q, 4, row->session_id);
    mf_sq_bind_text(&q, 5, row->round_id);
    mf_sq_bind_int(&q, 6, row->msg.created_us);
    mf_sq_bind_int(&q, 7, row->msg.updated_us);
    mf_sq_bind_int(&q, 8, row->msg.role);
    mf_sq_bind_int(&q, 9, row->is_pending);
    mf_sq_bind_blob(&q, 10, row->search);
    mf_sq_bind_text(&q, 11, row->msg.content);
    mf_sq_bind_text(&q, 12, row->msg.metadata);
    rc = mf_sq_run(&q, &n);
    if (rc == 0 && n > 0 && row->passages.n > 0) {
        rc = put_passages(c, row, err);
    }
    *n_changed += n;
    return rc < 0 ? name_row(err, rc, row) : 0;
}

static int compare_slices(struct mf_slice a, struct mf_slice b)
{
    size_t n = mf_min(a.n, b.n);
    int order = n == 0 ? 0 : memcmp(a.p, b.p, n);

    return order != 0 ? order : (a.n > b.n) - (a.n < b.n);
}

struct place { /* of a row in the order of writing */
    const struct mf_store_row *row;
};

static int by_user_and_seq(const void *a, const void *b)
{
    const struct mf_store_row *x = ((const struct place *)a)->row;
    const struct mf_store_row *y = ((const struct place *)b)->row;
    int order = compare_slices(x->user_id, y->user_id);

    return order != 0 ? order : (x->seq > y->seq) - (x->seq < y->seq);
}

/* The order of the table: each page is visited once, however small the page cache. */
static struct place *sort_rows(const struct mf_store_write *w)
{
    struct place *sorted = mf_array(w->n_rows + 1, sizeof(*sorted));

    if (sorted == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < w->n_rows; i++) {
        sorted[i].row = &w->rows[i];
    }
    qsort(sorted, w->n_rows, sizeof(*sorted), by_user_and_seq);
    return sorted;
}

MF_WORKER static int insert_rows(struct mf_sq_conn *c, struct mf_store_write *w,
                                 uint64_t *next_seq)
{
    struct place *sorted = sort_rows(w);
    int rc = 0;

    if (sorted == NULL) {
        return mf_err_set(&w->req.err, MF_ENOMEM, "no memory to sort the rows");
    }
    for (size_t i = 0; rc == 0 && i < w->n_rows; i++) {
        rc = insert_row(c, sorted[i].row, &w->n_changed, &w->req.err);
        *next_seq = mf_max(*next_seq, sorted[i].row->seq + 1);
    }
    mf_free(sorted);
    return rc;
}

int mf_sq_write_rounds(struct mf_sq_conn *c, struct mf_store_req *req)
{
    struct mf_store_write *w = of_req(req);
    uint64_t next_seq = 0;
    int rc;

    w->n_changed = 0;
    rc = insert_rows(c, w, &next_seq);
    for (size_t i = 0; rc == 0 && i < w->n_idems; i++) {
        rc = mf_sq_idem_put(c, &w->idems[i], &req->err);
    }
    if (rc < 0) {
        return rc;
    }
    return mf_sq_add_totals(c, next_seq, (int64_t)w->n_changed, &req->err);
}

MF_WORKER static int update_row(struct mf_sq_conn *c, const struct mf_store_row *row,
                                struct mf_err *err)
{
    struct mf_sq q = mf_sq_begin(c, MF_SQ_MESSAGE_SET, err);
    size_t n = 0;
    int rc;

    mf_sq_bind_text(&q, 1, row->user_id);
    mf_sq_bind_text(&q, 2, row->msg.id);
    mf_sq_bind_text(&q, 3, row->session_id);
    mf_sq_bind_text(&q, 4, row->msg.content);
    mf_sq_bind_int(&q, 5, row->msg.role);
    mf_sq_bind_text(&q, 6, row->msg.metadata);
    mf_sq_bind_blob(&q, 7, row->search);
    mf_sq_bind_int(&q, 8, row->is_pending);
    mf_sq_bind_int(&q, 9, row->msg.updated_us);
    rc = mf_sq_run(&q, &n);
    if (rc == 0 && n == 0) {
        rc = mf_err_set(err, MF_ENOTFOUND, "not found in this session");
    }
    if (rc == 0) {
        rc = put_passages(c, row, err);
    }
    return rc < 0 ? name_row(err, rc, row) : 0;
}

int mf_sq_update_messages(struct mf_sq_conn *c, struct mf_store_req *req)
{
    struct mf_store_write *w = of_req(req);

    w->n_changed = 0;
    for (size_t i = 0; i < w->n_rows; i++) {
        int rc = update_row(c, &w->rows[i], &req->err);

        if (rc < 0) {
            return rc;
        }
        w->n_changed++;
    }
    return 0;
}

/* A vector made from a text that was edited meanwhile finds no row. */
MF_WORKER static int set_search(struct mf_sq_conn *c, const struct mf_store_row *row,
                                size_t *n_changed, struct mf_err *err)
{
    bool is_knowledge = row->session_id.n == 0;
    struct mf_sq q = mf_sq_begin(
        c, is_knowledge ? MF_SQ_KNOWLEDGE_SET_SEARCH : MF_SQ_MESSAGE_SET_SEARCH, err);
    size_t n = 0;
    int rc;

    mf_sq_bind_text(&q, 1, row->user_id);
    mf_sq_bind_text(&q, 2, row->msg.id);
    mf_sq_bind_int(&q, 3, row->msg.updated_us);
    mf_sq_bind_blob(&q, 4, row->search);
    mf_sq_bind_int(&q, 5, row->is_pending);
    rc = mf_sq_run(&q, &n);
    if (rc == 0 && n > 0 && !is_knowledge) {
        rc = put_passages(c, row, err);
    }
    *n_changed += n;
    return rc < 0 ? name_row(err, rc, row) : 0;
}

int mf_sq_set_search(struct mf_sq_conn *c, struct mf_store_req *req)
{
    struct mf_store_write *w = of_req(req);

    w->n_changed = 0;
    for (size_t i = 0; i < w->n_rows; i++) {
        int rc = set_search(c, &w->rows[i], &w->n_changed, &req->err);

        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}
