/* SPDX-License-Identifier: Apache-2.0 */
/* Where a cluster keeps the rows of a batch: Citus has all of a user on one node. */
#include "store/pg_job.h"
#include "store/pg_row.h"

MF_WORKER static struct mf_store_write *of_job(const struct mf_pg_job *j)
{
    return mf_container_of(j->req, struct mf_store_write, req);
}

static struct mf_slice user_at(const void *rows, size_t i)
{
    return ((const struct mf_store_row *)rows)[i].user_id;
}

int mf_pg_tell_parts(struct mf_pg_job *j)
{
    struct mf_store_write *w = of_job(j);
    const PGresult *res;

    if (j->n_rounds == 0) {
        mf_pg_add(&j->round, MF_PG_PARTS);
        mf_pg_text_array(&j->round, w->rows, w->n_rows, user_at);
        return 0;
    }
    res = mf_pg_result(j, 0);
    if ((size_t)PQntuples(res) != w->n_rows) {
        return mf_err_set(j->err, MF_ECORRUPT,
                          "the database told the nodes of %d rows, not of %zu",
                          PQntuples(res), w->n_rows);
    }
    for (size_t i = 0; i < w->n_rows; i++) {
        struct mf_pg_row r = mf_pg_row(res, (int)i, j->err);

        w->parts[i] = (uint32_t)mf_pg_get_int(&r, 0);
        if (r.rc < 0) {
            return r.rc;
        }
    }
    return 0;
}
