/* SPDX-License-Identifier: Apache-2.0 */
#include "store/sqlite_priv.h"

/* The first answer stays: a retry gets what the first call got. */
int mf_sq_idem_put(struct mf_sq_conn *c, const struct mf_store_idem *idem,
                   struct mf_err *err)
{
    struct mf_sq q = mf_sq_begin(c, MF_SQ_IDEM_PUT, err);

    mf_sq_bind_blob(&q, 1, idem->key);
    mf_sq_bind_blob(
        &q, 2, mf_slice_of((const char *)idem->body_hash, sizeof(idem->body_hash)));
    mf_sq_bind_int(&q, 3, idem->status);
    mf_sq_bind_blob(&q, 4, idem->response);
    mf_sq_bind_int(&q, 5, idem->created_us);
    return mf_sq_run(&q, NULL);
}

static int read_idem(struct mf_sq *q, struct mf_store_idem_req *r)
{
    struct mf_slice hash = mf_sq_peek(q, 0);

    if (hash.n != sizeof(r->found.body_hash)) {
        return mf_err_set(&r->req.err, MF_ECORRUPT,
                          "a recorded answer has a body hash of %zu bytes, not %zu",
                          hash.n, sizeof(r->found.body_hash));
    }
    memcpy(r->found.body_hash, hash.p, hash.n);
    r->found.key = r->key;
    r->found.status = (int)mf_sq_read_int(q, 1);
    r->found.created_us = mf_sq_read_int(q, 3);
    return mf_sq_read(q, 2, &r->req.arena, &r->found.response);
}

int mf_sq_idem_get(struct mf_sq_conn *c, struct mf_store_req *req)
{
    struct mf_store_idem_req *r = mf_container_of(req, struct mf_store_idem_req, req);
    struct mf_sq q = mf_sq_begin(c, MF_SQ_IDEM_GET, &req->err);
    int rc;

    mf_sq_bind_blob(&q, 1, r->key);
    rc = mf_sq_step(&q);
    if (rc == 1) {
        rc = read_idem(&q, r);
    } else if (rc == 0) {
        rc = mf_err_set(&req->err, MF_ENOTFOUND, "no answer is recorded for this key");
    }
    mf_sq_end(&q);
    return rc;
}

int mf_sq_idem_purge(struct mf_sq_conn *c, struct mf_store_req *req)
{
    struct mf_store_idem_req *r = mf_container_of(req, struct mf_store_idem_req, req);
    struct mf_sq q = mf_sq_begin(c, MF_SQ_IDEM_PURGE, &req->err);

    mf_sq_bind_int(&q, 1, r->before_us);
    return mf_sq_run(&q, &r->n_purged);
}
