/* SPDX-License-Identifier: Apache-2.0 */
#include "store/pg_job.h"
#include "store/pg_row.h"

static const struct mf_store_idem *idem_of(const void *idems, size_t i)
{
    return &((const struct mf_store_idem *)idems)[i];
}

static struct mf_slice key_at(const void *idems, size_t i)
{
    return idem_of(idems, i)->key;
}

static struct mf_slice hash_at(const void *idems, size_t i)
{
    const struct mf_store_idem *idem = idem_of(idems, i);

    return mf_slice_of((const char *)idem->body_hash, sizeof(idem->body_hash));
}

static int64_t status_at(const void *idems, size_t i)
{
    return idem_of(idems, i)->status;
}

static struct mf_slice response_at(const void *idems, size_t i)
{
    return idem_of(idems, i)->response;
}

static int64_t created_at(const void *idems, size_t i)
{
    return idem_of(idems, i)->created_us;
}

/* The first answer stays: a retry gets what the first call got. */
void mf_pg_add_idems(struct mf_pg_job *j, const struct mf_store_idem *idems, size_t n)
{
    if (n == 0) {
        return;
    }
    mf_pg_add(&j->round, MF_PG_IDEM_PUT);
    mf_pg_bytes_array(&j->round, idems, n, key_at);
    mf_pg_bytes_array(&j->round, idems, n, hash_at);
    mf_pg_int_array(&j->round, idems, n, status_at);
    mf_pg_bytes_array(&j->round, idems, n, response_at);
    mf_pg_int_array(&j->round, idems, n, created_at);
}

MF_WORKER static struct mf_store_idem_req *of_job(const struct mf_pg_job *j)
{
    return mf_container_of(j->req, struct mf_store_idem_req, req);
}

MF_WORKER static int read_idem(struct mf_pg_job *j, struct mf_store_idem_req *q)
{
    struct mf_pg_row r = mf_pg_row(mf_pg_result(j, 0), 0, j->err);
    struct mf_slice hash = mf_pg_peek(&r, 0);

    q->found.key = q->key;
    q->found.status = (int)mf_pg_get_int(&r, 1);
    q->found.response = mf_pg_read(&r, 2, &q->req.arena);
    q->found.created_us = mf_pg_get_int(&r, 3);
    if (r.rc < 0) {
        return r.rc;
    }
    if (hash.n != sizeof(q->found.body_hash)) {
        return mf_err_set(j->err, MF_ECORRUPT,
                          "a recorded answer has a body hash of %zu bytes, not %zu",
                          hash.n, sizeof(q->found.body_hash));
    }
    memcpy(q->found.body_hash, hash.p, hash.n);
    return 0;
}

int mf_pg_idem_get(struct mf_pg_job *j)
{
    struct mf_store_idem_req *q = of_job(j);

    if (j->n_rounds == 0) {
        mf_pg_add(&j->round, MF_PG_IDEM_GET);
        mf_pg_bytes(&j->round, q->key);
        return 0;
    }
    if (PQntuples(mf_pg_result(j, 0)) == 0) {
        return mf_err_set(j->err, MF_ENOTFOUND, "no answer is recorded for this key");
    }
    return read_idem(j, q);
}

int mf_pg_idem_purge(struct mf_pg_job *j)
{
    struct mf_store_idem_req *q = of_job(j);

    if (j->n_rounds == 0) {
        mf_pg_add(&j->round, MF_PG_IDEM_PURGE);
        mf_pg_int(&j->round, q->before_us);
        mf_pg_is_last(j);
        return 0;
    }
    q->n_purged = mf_pg_n_changed(mf_pg_result(j, 0));
    return 0;
}
