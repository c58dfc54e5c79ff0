/* SPDX-License-Identifier: Apache-2.0 */
/* Flushing everything and requeueing dead letters on request, and the doors to idem. */
#include "engine/engine_priv.h"

#include <string.h>

struct flush_all {
    struct mf_settle settle;
    struct mf_call *c;
};

static void on_settled(struct mf_settle *s, int rc)
{
    struct flush_all *f = mf_container_of(s, struct flush_all, settle);
    struct mf_call *c = f->c;

    mf_loop_assert(s->engine->loop);
    if (rc == MF_ETIMEOUT) {
        rc = mf_call_fail(c, rc, NULL,
                          "the store did not take everything in time "
                          "(buffer.performance.flush_timeout): the rest stays in the "
                          "buffers");
    } else if (rc == MF_ECONFLICT) {
        rc = mf_call_fail(c, rc, NULL,
                          "a round that the store refuses (a dead letter) stays in the "
                          "buffers; all others are flushed");
    }
    mf_settle_end(s);
    mf_free(f);
    /* A settle with nothing to wait for is done before the verb returned. */
    mf_call_finish_later(c, rc);
}

int mf_engine_flush(struct mf_engine *e, struct mf_call *c)
{
    int rc = mf_call_check(e, c, false);
    struct flush_all *f;

    if (rc < 0) {
        return rc;
    }
    if (!c->scope->is_admin) {
        return mf_call_fail(c, MF_EFORBIDDEN, NULL,
                            "only the administrator may flush the buffers");
    }
    f = mf_calloc(1, sizeof(*f));
    if (f == NULL) {
        return mf_call_fail(c, MF_ENOMEM, NULL, "out of memory");
    }
    f->c = c;
    f->settle.done = on_settled;
    mf_call_begin(e, c);
    mf_settle_begin(e, &f->settle);
    return 0;
}

MF_LOOP static size_t requeue_user(struct mf_engine *e, struct mf_userbuf *u)
{
    size_t n = 0;

    mf_list_each (&u->all, k) {
        struct mf_entry *en = mf_container_of(k, struct mf_entry, in_user);

        if (en->place == MF_PLACE_PARKED && mf_flush_requeue(e->flush, en) == 0) {
            mf_engine_note_parked(e, en->item, NULL);
            n++;
        }
    }
    return n;
}

int mf_engine_requeue(struct mf_engine *e, struct mf_call *c, size_t *n_requeued)
{
    int rc = mf_call_check(e, c, false);

    *n_requeued = 0;
    if (rc < 0) {
        return rc;
    }
    if (!c->scope->is_admin) {
        return mf_call_fail(c, MF_EFORBIDDEN, NULL,
                            "only the administrator may requeue dead letters");
    }
    /* Who waits counted the dead letters as they were. */
    if (!mf_list_is_empty(&e->settles.active)) {
        return mf_call_fail(c, MF_EBUSY, NULL,
                            "a flush or a deletion is under way: try again later");
    }
    mf_call_begin(e, c);
    if (mf_buffers_n_entries(e->buffers, MF_PLACE_PARKED) > 0) {
        mf_list_each (mf_buffers_users(e->buffers), k) {
            *n_requeued +=
                requeue_user(e, mf_container_of(k, struct mf_userbuf, in_all));
        }
    }
    mf_call_finish_later(c, 0);
    return 0;
}

int mf_engine_idem_begin(struct mf_engine *e, struct mf_idem_ticket *t)
{
    return mf_idem_begin(e->idem, t);
}

void mf_engine_idem_end(struct mf_engine *e, struct mf_idem_ticket *t, int status,
                        struct mf_slice response)
{
    mf_idem_end(e->idem, t, status, response);
}
