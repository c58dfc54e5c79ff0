/* SPDX-License-Identifier: Apache-2.0 */
/* Flushing everything on request, and the doors to idem. */
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

int mf_engine_idem_begin(struct mf_engine *e, struct mf_idem_ticket *t)
{
    return mf_idem_begin(e->idem, t);
}

void mf_engine_idem_end(struct mf_engine *e, struct mf_idem_ticket *t, int status,
                        struct mf_slice response)
{
    mf_idem_end(e->idem, t, status, response);
}
