/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "store/pg_conn_priv.h"

static void finish(struct mf_pg_conn *c)
{
    mf_pg_conn_closed_fn closed = c->closed;
    void *arg = c->closed_arg;

    mf_buf_fini(&c->step.hosts);
    mf_buf_fini(&c->step.addrs);
    mf_buf_fini(&c->step.ports);
    mf_free(c->expected);
    mf_free(c);
    if (closed != NULL) {
        closed(arg);
    }
}

void mf_pg_conn_release(struct mf_pg_conn *c)
{
    if (!c->closing || c->is_stepping || c->is_canceling) {
        return;
    }
    PQfinish(c->pg);
    c->pg = NULL;
    if (c->n_open_handles == 0 && mf_pg_names_pending(c) == 0) {
        finish(c);
    }
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct mf_pg_conn *c = mf_container_of(handle, struct mf_pg_conn, timer);

    mf_loop_assert(c->loop);
    c->n_open_handles--;
    mf_pg_conn_release(c);
}

/* A server that cannot be told ends the statement by its own timeout, or when it finds
 * the socket closed. */
MF_WORKER static void work_cancel(uv_work_t *req)
{
    struct mf_pg_cancel *cancel = mf_container_of(req, struct mf_pg_cancel, req);
    char why[256];

    (void)PQcancel(cancel->request, why, sizeof(why));
}

static void on_canceled(uv_work_t *req, MF_UNUSED int status)
{
    struct mf_pg_cancel *cancel = mf_container_of(req, struct mf_pg_cancel, req);
    struct mf_pg_conn *c = mf_container_of(cancel, struct mf_pg_conn, cancel);

    mf_loop_assert(c->loop);
    PQfreeCancel(cancel->request);
    c->is_canceling = false;
    mf_pg_conn_release(c);
}

MF_LOOP static void cancel_round(struct mf_pg_conn *c)
{
    if (!c->in_round || c->is_broken) {
        return;
    }
    c->cancel.request = PQgetCancel(c->pg);
    if (c->cancel.request == NULL) {
        return;
    }
    if (uv_queue_work(mf_loop_uv(c->loop), &c->cancel.req, work_cancel, on_canceled) <
        0) {
        PQfreeCancel(c->cancel.request);
        return;
    }
    c->is_canceling = true;
}

void mf_pg_conn_close(struct mf_pg_conn *c, bool cancels, mf_pg_conn_closed_fn closed,
                      void *arg)
{
    if (c->closing) {
        return;
    }
    c->closing = true;
    c->closed = closed;
    c->closed_arg = arg;
    mf_loop_forget_hook(c->loop, &c->hook);
    mf_pg_names_forget(c);
    mf_pg_unwatch(c);
    if (cancels) {
        cancel_round(c);
    }
    uv_close((uv_handle_t *)&c->timer, on_timer_closed);
    mf_pg_conn_release(c);
}
