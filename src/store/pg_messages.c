/* SPDX-License-Identifier: Apache-2.0 */
#include "store/pg_job.h"
#include "store/pg_row.h"

MF_WORKER static struct mf_store_messages *of_job(const struct mf_pg_job *j)
{
    return mf_container_of(j->req, struct mf_store_messages, req);
}

static struct mf_slice id_at(const void *ids, size_t i)
{
    return ((const struct mf_slice *)ids)[i];
}

static int64_t seq_at(const void *seqs, size_t i)
{
    return (int64_t)((const uint64_t *)seqs)[i];
}

typedef int (*read_fn)(struct mf_pg_row *r, struct mf_store_messages *m,
                       struct mf_store_row *out);

/* All rows of the answer, in its order. */
MF_WORKER static int read_rows(struct mf_pg_job *j, read_fn read)
{
    struct mf_store_messages *m = of_job(j);
    const PGresult *res = mf_pg_result(j, 0);
    size_t n = (size_t)PQntuples(res);
    struct mf_store_row *rows;

    m->n_rows = 0; /* also of a struct that was used before */
    if (n == 0) {
        return 0;
    }
    rows = mf_arena_alloc(&m->req.arena, n * sizeof(*rows));
    if (rows == NULL) {
        return mf_err_set(j->err, MF_ENOMEM, "no memory for the rows");
    }
    memset(rows, 0, n * sizeof(*rows));
    for (size_t i = 0; i < n; i++) {
        struct mf_pg_row r = mf_pg_row(res, (int)i, j->err);
        int rc = read(&r, m, &rows[i]);

        if (rc < 0) {
            return rc;
        }
    }
    m->rows = rows;
    m->n_rows = n;
    return 0;
}

static int read_message(struct mf_pg_row *r, struct mf_store_messages *m,
                        struct mf_store_row *out)
{
    return mf_pg_read_message(r, &m->req.arena, out);
}

int mf_pg_get_messages(struct mf_pg_job *j)
{
    const struct mf_store_messages *m = of_job(j);

    if (m->n == 0) {
        return 0;
    }
    if (j->n_rounds > 0) {
        return read_rows(j, read_message);
    }
    mf_pg_add(&j->round, m->seqs != NULL ? MF_PG_MESSAGE_BY_SEQ : MF_PG_MESSAGE_BY_ID);
    mf_pg_text(&j->round, m->user_id);
    if (m->seqs != NULL) {
        mf_pg_int_array(&j->round, m->seqs, m->n, seq_at);
    } else {
        mf_pg_text_array(&j->round, m->ids, m->n, id_at);
    }
    mf_pg_text(&j->round, m->session_id);
    return 0;
}

int mf_pg_list_messages(struct mf_pg_job *j)
{
    static const enum mf_pg_stmt lists[2][2] = {
        [MF_SORT_TIMESTAMP] = {MF_PG_LIST_TIME_UP, MF_PG_LIST_TIME_DOWN},
        [MF_SORT_ID] = {MF_PG_LIST_ID_UP, MF_PG_LIST_ID_DOWN},
    };
    const struct mf_store_messages *m = of_job(j);

    if (j->n_rounds > 0) {
        return read_rows(j, read_message);
    }
    mf_pg_add(&j->round, lists[m->sort][m->is_descending]);
    mf_pg_text(&j->round, m->user_id);
    mf_pg_text(&j->round, m->session_id);
    mf_pg_limit(&j->round, m->limit);
    return 0;
}

int mf_pg_pending(struct mf_pg_job *j)
{
    const struct mf_store_messages *m = of_job(j);

    if (j->n_rounds > 0) {
        return read_rows(j, read_message);
    }
    mf_pg_add(&j->round, MF_PG_PENDING_LIST);
    mf_pg_int(&j->round, (int64_t)m->after_seq);
    mf_pg_text(&j->round, m->user_id);
    mf_pg_limit(&j->round, m->limit);
    return 0;
}

/* The columns of MESSAGE_DROP. */
static int read_dropped(struct mf_pg_row *r, struct mf_store_messages *m,
                        struct mf_store_row *out)
{
    out->seq = (uint64_t)mf_pg_get_int(r, 0);
    out->user_id = mf_pg_read(r, 1, &m->req.arena);
    out->session_id = mf_pg_read(r, 2, &m->req.arena);
    out->msg.id = mf_pg_read(r, 3, &m->req.arena);
    return r->rc;
}

int mf_pg_delete_messages(struct mf_pg_job *j)
{
    const struct mf_store_messages *m = of_job(j);

    if (m->n == 0) {
        return 0;
    }
    if (j->n_rounds > 0) {
        return read_rows(j, read_dropped);
    }
    mf_pg_add(&j->round, MF_PG_MESSAGE_DROP);
    mf_pg_text(&j->round, m->user_id);
    mf_pg_text_array(&j->round, m->ids, m->n, id_at);
    mf_pg_text(&j->round, m->session_id);
    mf_pg_add(&j->round, MF_PG_PASSAGES_DROP_LEFT);
    mf_pg_text(&j->round, m->user_id);
    mf_pg_text_array(&j->round, m->ids, m->n, id_at);
    mf_pg_is_last(j);
    return 0;
}
