/* SPDX-License-Identifier: Apache-2.0 */
#include "base/wallclock.h"
#include "http/server.h"

/* Each wait has one length, so its list is in the order of the deadlines by itself and
 * a sweep looks at what is due and at one more. */
#define SWEEP_MAX_MS 250U
#define SWEEP_MIN_MS 10U

MF_LOOP static uint64_t wait_ms(const struct mf_http_server *s, enum mf_http_wait w)
{
    switch (w) {
    case MF_HTTP_WAIT_HEADER: return s->cfg.header_timeout_ms;
    case MF_HTTP_WAIT_BODY: return s->cfg.body_timeout_ms;
    case MF_HTTP_WAIT_IDLE: return s->cfg.idle_timeout_ms;
    case MF_HTTP_WAIT_WRITE: return s->cfg.write_timeout_ms;
    case MF_HTTP_WAIT_LINGER: return MF_HTTP_LINGER_MS;
    case MF_HTTP_WAIT_NONE:
    case MF_HTTP_WAIT_COUNT: break;
    }
    return 0;
}

MF_LOOP static void timer_set(struct mf_http_server *s, struct mf_http_timer *t,
                              enum mf_http_wait w)
{
    t->due_ms = mf_loop_now_ms(s->loop) + wait_ms(s, w);
    mf_list_push_tail(&s->waits[w], &t->link);
}

MF_LOOP static void timer_forget(struct mf_http_server *s, struct mf_http_timer *t,
                                 enum mf_http_wait w)
{
    if (mf_link_is_on(&t->link)) {
        mf_list_remove(&s->waits[w], &t->link);
    }
}

MF_LOOP static enum mf_http_wait what_for(const struct mf_http_conn *c)
{
    if (c->is_lingering) {
        return MF_HTTP_WAIT_LINGER;
    }
    if (c->has_last) {
        return MF_HTTP_WAIT_NONE;
    }
    if (c->cur != NULL && c->parser.stage == MF_HTTP_IN_HEAD) {
        return MF_HTTP_WAIT_HEADER;
    }
    if (c->cur != NULL && c->parser.stage == MF_HTTP_IN_BODY) {
        return MF_HTTP_WAIT_BODY;
    }
    if (c->slots.n > 0 || c->out.n > 0 || c->is_writing) {
        return MF_HTTP_WAIT_NONE;
    }
    return MF_HTTP_WAIT_IDLE;
}

/* The deadline is that of the request as a whole: more bytes of it do not move it. */
void mf_http_set_wait(struct mf_http_conn *c)
{
    enum mf_http_wait w = what_for(c);

    if (w == c->wait && c->wait_of == c->n_begun) {
        return;
    }
    timer_forget(c->server, &c->read_timer, c->wait);
    c->wait = w;
    c->wait_of = c->n_begun;
    if (w != MF_HTTP_WAIT_NONE) {
        timer_set(c->server, &c->read_timer, w);
    }
}

void mf_http_set_write_wait(struct mf_http_conn *c, bool is_on)
{
    timer_forget(c->server, &c->write_timer, MF_HTTP_WAIT_WRITE);
    if (is_on) {
        c->left_to_write = uv_stream_get_write_queue_size(&c->u.stream);
        timer_set(c->server, &c->write_timer, MF_HTTP_WAIT_WRITE);
    }
}

void mf_http_forget_waits(struct mf_http_conn *c)
{
    timer_forget(c->server, &c->read_timer, c->wait);
    timer_forget(c->server, &c->write_timer, MF_HTTP_WAIT_WRITE);
    c->wait = MF_HTTP_WAIT_NONE;
}

MF_LOOP static void fault_late(struct mf_http_conn *c, const char *field,
                               const char *key, uint64_t ms)
{
    struct mf_http_fault f;

    mf_http_fault_set(&f, 408, field,
                      "the %s did not arrive within server.%s (%llu ms)", field, key,
                      (unsigned long long)ms);
    mf_http_conn_fault(c, &f);
}

MF_LOOP static void read_is_late(struct mf_http_conn *c)
{
    const struct mf_http_config *cfg = &c->server->cfg;
    enum mf_http_wait w = c->wait;

    timer_forget(c->server, &c->read_timer, w);
    c->wait = MF_HTTP_WAIT_NONE;
    if (w == MF_HTTP_WAIT_HEADER) {
        fault_late(c, "headers", "header_timeout_ms", cfg->header_timeout_ms);
    } else if (w == MF_HTTP_WAIT_BODY) {
        fault_late(c, "body", "body_timeout_ms", cfg->body_timeout_ms);
    } else {
        mf_http_conn_close(c);
    }
}

MF_LOOP static void write_is_late(struct mf_http_conn *c)
{
    if (uv_stream_get_write_queue_size(&c->u.stream) < c->left_to_write) {
        mf_http_set_write_wait(c, true); /* slow, but it takes something */
    } else {
        mf_http_conn_close(c);
    }
}

MF_LOOP static struct mf_http_timer *first_due(struct mf_http_server *s,
                                               enum mf_http_wait w)
{
    struct mf_link *k = mf_list_head(&s->waits[w]);
    struct mf_http_timer *t;

    if (k == NULL) {
        return NULL;
    }
    t = mf_container_of(k, struct mf_http_timer, link);
    return t->due_ms <= mf_loop_now_ms(s->loop) ? t : NULL;
}

MF_LOOP static void stamp_now(struct mf_http_server *s)
{
    mf_http_stamp_set(&s->stamp, mf_wallclock_us() / 1000000);
}

static void on_sweep(uv_timer_t *handle)
{
    struct mf_http_server *s = mf_container_of(handle, struct mf_http_server, sweep);
    struct mf_http_timer *t;

    mf_loop_assert(s->loop);
    stamp_now(s);
    for (int w = MF_HTTP_WAIT_HEADER; w < MF_HTTP_WAIT_WRITE; w++) {
        while ((t = first_due(s, (enum mf_http_wait)w)) != NULL) {
            read_is_late(mf_container_of(t, struct mf_http_conn, read_timer));
        }
    }
    while ((t = first_due(s, MF_HTTP_WAIT_WRITE)) != NULL) {
        write_is_late(mf_container_of(t, struct mf_http_conn, write_timer));
    }
    mf_http_listen_resume(s);
    if (s->conns.n == 0 && (s->is_polling || s->is_draining)) {
        mf_http_sweep_stop(s);
    }
}

void mf_http_sweep_start(struct mf_http_server *s)
{
    const struct mf_http_config *cfg = &s->cfg;
    uint64_t ms = mf_min(mf_min(cfg->header_timeout_ms, cfg->body_timeout_ms),
                         mf_min(cfg->idle_timeout_ms, cfg->write_timeout_ms)) /
                  4;

    if (s->is_sweeping || s->is_closing) {
        return;
    }
    ms = mf_max(mf_min(ms, SWEEP_MAX_MS), SWEEP_MIN_MS);
    stamp_now(s);
    MF_ASSERT(uv_timer_start(&s->sweep, on_sweep, ms, ms) == 0);
    s->is_sweeping = true;
}

void mf_http_sweep_stop(struct mf_http_server *s)
{
    MF_ASSERT(uv_timer_stop(&s->sweep) == 0);
    s->is_sweeping = false;
}
