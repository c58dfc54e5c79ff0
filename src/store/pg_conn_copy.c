/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A round with a COPY: libpq and the protocol have none in a pipeline, so all its
 * statements go as one query of texts, whose answers come one after the other as those
 * of a pipeline do. The first that fails ends it.
 */
#include "store/pg_conn_priv.h"

#define PIECE ((size_t)1 << 20) /* of the data, for one message */

bool mf_pg_round_copies(const struct mf_pg_round *r)
{
    for (size_t i = 0; i < r->n; i++) {
        if (r->calls[i].copy.n > 0) {
            return true;
        }
    }
    return false;
}

/* Before this nothing of the round is sent. */
bool mf_pg_send_texts(struct mf_pg_conn *c, const struct mf_pg_round *r)
{
    struct mf_buf all;
    bool is_sent;

    mf_buf_init(&all);
    for (size_t i = 0; i < r->n; i++) {
        const struct mf_pg_call *call = &r->calls[i];

        MF_ASSERT(call->n == 0 && !call->streams);
        mf_buf_add_str(&all,
                       call->text != NULL ? call->text : mf_pg_sql(call->id)->text);
        mf_buf_add_char(&all, ';');
    }
    mf_buf_add_char(&all, '\0');
    is_sent = mf_buf_status(&all) == 0 && PQexitPipelineMode(c->pg) == 1 &&
              PQsendQuery(c->pg, all.p) == 1;
    mf_buf_fini(&all);
    return is_sent;
}

/* libpq keeps what the socket does not take yet: a round is bounded by who makes it. */
bool mf_pg_feed_copy(struct mf_pg_conn *c, struct mf_slice data)
{
    for (size_t at = 0; at < data.n; at += PIECE) {
        if (PQputCopyData(c->pg, data.p + at, (int)mf_min(PIECE, data.n - at)) != 1) {
            return false;
        }
    }
    return PQputCopyEnd(c->pg, NULL) == 1;
}
