/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/engine_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int mf_call_check(const struct mf_engine *e, struct mf_call *c, bool is_change)
{
    if (e->state == MF_ENGINE_OPEN || (e->state == MF_ENGINE_DRAINING && !is_change)) {
        return 0;
    }
    return mf_call_fail(c, MF_ECLOSED, NULL, "memfuse is shutting down");
}

void mf_call_begin(struct mf_engine *e, struct mf_call *c)
{
    c->engine = e;
    c->rc = 0;
    c->state = NULL;
    c->field = NULL;
    memset(&c->err, 0, sizeof(c->err));
    memset(&c->link, 0, sizeof(c->link));
    e->n_calls++;
}

/* A store that is away says why it is. */
MF_LOOP static void say_why(const struct mf_engine *e, struct mf_call *c, int rc)
{
    struct mf_store_health h = {.is_up = true};

    if (rc == MF_EUNAVAILABLE && e->store != NULL) {
        mf_store_health(e->store, &h);
    }
    (void)mf_err_set(&c->err, rc, "%s", h.is_up ? mf_code_sentence(rc) : h.why);
}

void mf_call_finish(struct mf_call *c, int rc)
{
    struct mf_engine *e = c->engine;

    MF_ASSERT(e->n_calls > 0);
    e->n_calls--;
    c->rc = rc;
    if (rc < 0 && c->err.msg[0] == '\0') {
        say_why(e, c, rc);
    }
    c->done(c, rc);
    mf_engine_stop_later(e);
}

void mf_call_finish_later(struct mf_call *c, int rc)
{
    struct mf_engine *e = c->engine;

    c->rc = rc;
    mf_list_push_tail(&e->ready, &c->link);
    mf_loop_at_turn_end(e->loop, &e->ready_hook);
}

int mf_call_fail(struct mf_call *c, int rc, const char *field, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(c->err.msg, sizeof(c->err.msg), fmt, ap);
    va_end(ap);
    c->err.code = rc;
    c->field = field;
    return rc;
}

int mf_call_blame(struct mf_call *c, int rc, const struct mf_err *err)
{
    if (err->msg[0] != '\0') {
        c->err = *err;
    }
    c->err.code = rc;
    return rc;
}
