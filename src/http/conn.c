/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "base/stat.h"
#include "http/server.h"

#include <sys/socket.h>
#include <unistd.h>

MF_LOOP static bool must_pause(const struct mf_http_conn *c)
{
    const struct mf_http_config *cfg = &c->server->cfg;
    size_t unsent = c->out.n + (c->is_writing ? c->writing.n : 0);

    return c->slots.n >= cfg->max_pipelined || unsent > cfg->max_output_bytes;
}

MF_LOOP static bool is_drained(const struct mf_http_conn *c)
{
    return c->out.n == 0 && !c->is_writing;
}

MF_LOOP static bool has_held(const struct mf_http_conn *c)
{
    return c->held.n > c->held_at;
}

MF_LOOP static bool take_request(struct mf_http_conn *c)
{
    struct mf_http_request *r = mf_http_pool_take(&c->server->pool);

    if (r == NULL) {
        return false;
    }
    r->server = c->server;
    r->conn = c;
    c->cur = r;
    c->n_begun++;
    mf_http_parser_begin(&c->parser, r);
    return true;
}

MF_LOOP static void drop_cur(struct mf_http_conn *c)
{
    if (c->cur != NULL) {
        mf_http_give_request(c->server, c->cur);
        c->cur = NULL;
    }
}

MF_LOOP static void log_rejected(const struct mf_http_fault *f)
{
    mf_stat_add(MF_STAT_http_rejected, 1);
    mf_log_limited(MF_LOG_INFO, "http_rejected", "status=%d field=\"%s\"", f->status,
                   f->field);
}

/* The answer of `cur`, which never reached the handler, is in its reply. */
MF_LOOP static void end_with_cur(struct mf_http_conn *c)
{
    struct mf_http_request *r = c->cur;

    c->cur = NULL;
    r->state = MF_HTTP_REQ_REPLIED;
    r->is_last = true;
    mf_list_push_tail(&c->slots, &r->link);
    c->takes_no_more = c->must_linger = true;
    mf_http_release_slots(c);
}

void mf_http_conn_fault(struct mf_http_conn *c, const struct mf_http_fault *f)
{
    bool no_body =
        c->cur != NULL && c->parser.has_method && c->cur->pub.method == MF_HTTP_HEAD;

    log_rejected(f);
    if (c->cur == NULL && !take_request(c)) {
        mf_http_conn_close(c);
        return;
    }
    mf_http_write_fault(&c->cur->reply, &c->server->stamp, f, no_body);
    end_with_cur(c);
}

MF_LOOP static void ask_head(struct mf_http_conn *c, bool waits)
{
    struct mf_http_server *s = c->server;
    struct mf_http_request *r = c->cur;

    r->state = MF_HTTP_REQ_IN_HEAD;
    if (s->head != NULL && s->head(&r->pub, s->arg) != 0) {
        MF_ASSERT(r->state == MF_HTTP_REQ_REPLIED); /* mf_http_refuse was called */
        mf_stat_add(MF_STAT_http_rejected, 1);
        end_with_cur(c);
        return;
    }
    if (c->is_closing) { /* the server was closed from inside; `r` is gone */
        return;
    }
    r->state = MF_HTTP_REQ_RECEIVING;
    r->wants_continue = r->wants_continue && waits;
    if (r->wants_continue) {
        mf_http_release_slots(c); /* says 100 Continue when it is its turn */
    }
}

MF_LOOP static void deliver(struct mf_http_conn *c)
{
    struct mf_http_server *s = c->server;
    struct mf_http_request *r = c->cur;

    c->cur = NULL;
    r->state = MF_HTTP_REQ_DELIVERED;
    mf_list_push_tail(&c->slots, &r->link);
    c->takes_no_more = !r->is_kept_alive || s->is_draining;
    s->n_requests++;
    mf_stat_add(MF_STAT_http_requests, 1);
    s->handler(&r->pub, s->arg);
}

/* Tells how many bytes were used; what is left waits for mf_http_conn_go_on. */
MF_LOOP static size_t consume(struct mf_http_conn *c, const char *p, size_t n)
{
    const char *at = p;
    const char *end = p + n;

    while (!c->takes_no_more && !c->is_closing) {
        if (c->cur == NULL && (at == end || must_pause(c))) {
            return (size_t)(at - p);
        }
        if (c->cur == NULL && !take_request(c)) {
            mf_log_limited(MF_LOG_ERROR, "http_no_memory", "connections=%zu",
                           c->server->conns.n);
            mf_http_conn_close(c);
            return n;
        }
        switch (mf_http_parse(&c->parser, &at, end)) {
        case MF_HTTP_EV_MORE: return n;
        case MF_HTTP_EV_HEAD: ask_head(c, at == end); break;
        case MF_HTTP_EV_DONE: deliver(c); break;
        case MF_HTTP_EV_FAULT: mf_http_conn_fault(c, &c->parser.fault); break;
        }
    }
    return n; /* nothing behind the last request is looked at */
}

MF_LOOP static void parse_held(struct mf_http_conn *c)
{
    c->held_at += consume(c, c->held.p + c->held_at, c->held.n - c->held_at);
    if (!has_held(c)) {
        c->held_at = 0;
        mf_http_keep_small(&c->held);
    }
}

MF_LOOP static void hold(struct mf_http_conn *c, const char *p, size_t n)
{
    mf_buf_add(&c->held, p, n);
    if (mf_buf_status(&c->held) < 0) {
        mf_log_limited(MF_LOG_ERROR, "http_no_memory", "connections=%zu",
                       c->server->conns.n);
        mf_http_conn_close(c);
    }
}

static void on_alloc(uv_handle_t *handle, MF_UNUSED size_t size, uv_buf_t *buf)
{
    struct mf_http_conn *c = mf_container_of(handle, struct mf_http_conn, u.handle);

    mf_loop_assert(c->server->loop);
    *buf = uv_buf_init(c->server->read_buf, MF_HTTP_READ_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);

MF_LOOP static void set_reading(struct mf_http_conn *c)
{
    bool want =
        !c->has_eof && (c->is_lingering || (!c->takes_no_more && !has_held(c) &&
                                            (c->cur != NULL || !must_pause(c))));

    if (want == c->is_reading) {
        return;
    }
    if (!want) {
        MF_ASSERT(uv_read_stop(&c->u.stream) == 0);
    } else if (uv_read_start(&c->u.stream, on_alloc, on_read) != 0) {
        mf_http_conn_close(c);
        return;
    }
    c->is_reading = want;
}

MF_LOOP static void take_input(struct mf_http_conn *c, const char *p, size_t n)
{
    size_t used;

    if (c->takes_no_more) {
        return;
    }
    if (has_held(c)) { /* paused, and the turn is not over: it is the last read */
        hold(c, p, n);
        set_reading(c);
        return;
    }
    used = consume(c, p, n);
    if (c->is_closing) {
        return;
    }
    if (used < n) {
        hold(c, p + used, n - used);
    }
    if (c->takes_no_more || must_pause(c)) {
        mf_http_mark_dirty(c); /* whether to stop reading is decided once a turn */
    }
}

MF_LOOP static void discard(struct mf_http_conn *c, size_t n)
{
    if (n >= c->linger_left) {
        mf_http_conn_close(c);
        return;
    }
    c->linger_left -= n;
}

MF_LOOP static void note_end(struct mf_http_conn *c)
{
    c->has_eof = true;
    c->is_reading = false;
    mf_list_each (&c->slots, k) {
        mf_container_of(k, struct mf_http_request, link)->pub.client_has_ended = true;
    }
    mf_http_mark_dirty(c);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct mf_http_conn *c = mf_container_of(stream, struct mf_http_conn, u.stream);

    mf_loop_assert(c->server->loop);
    if (c->is_closing || n == 0) {
        return;
    }
    if (n == UV_EOF && !c->is_lingering) { /* it may have closed its half only */
        note_end(c);
        return;
    }
    if (n < 0) {
        mf_http_conn_close(c);
        return;
    }
    if (c->is_lingering) {
        discard(c, (size_t)n);
        return;
    }
    take_input(c, buf->base, (size_t)n);
    if (!c->is_closing) {
        mf_http_set_wait(c);
    }
}

/* The last answer is out. */
MF_LOOP static void finish(struct mf_http_conn *c)
{
    uv_os_fd_t fd;

    if (!c->must_linger || c->has_eof || uv_fileno(&c->u.handle, &fd) != 0 ||
        shutdown(fd, SHUT_WR) != 0) {
        mf_http_conn_close(c);
        return;
    }
    c->is_lingering = true;
    c->linger_left = MF_HTTP_LINGER_BYTES;
}

void mf_http_conn_go_on(struct mf_http_conn *c)
{
    if (!c->takes_no_more && has_held(c) && !must_pause(c)) {
        parse_held(c);
    }
    if (c->is_closing) {
        return;
    }
    if (c->has_eof && !has_held(c)) {
        c->takes_no_more = true;
    }
    if (c->has_last || (c->has_eof && c->takes_no_more)) {
        drop_cur(c);
    }
    if (c->has_last && is_drained(c) && !c->is_lingering) {
        finish(c);
    } else if (c->takes_no_more && !c->has_last && c->cur == NULL && c->slots.n == 0 &&
               is_drained(c)) {
        mf_http_conn_close(c);
    }
    if (!c->is_closing) {
        set_reading(c);
    }
    if (!c->is_closing) {
        mf_http_set_wait(c);
    }
}

static void on_conn_closed(uv_handle_t *handle)
{
    struct mf_http_conn *c = mf_container_of(handle, struct mf_http_conn, u.handle);
    struct mf_http_server *s = c->server;

    mf_loop_assert(s->loop);
    mf_buf_fini(&c->held);
    mf_buf_fini(&c->out);
    mf_buf_fini(&c->writing);
    mf_free(c);
    mf_http_handle_closed(s);
}

void mf_http_conn_close(struct mf_http_conn *c)
{
    struct mf_http_server *s = c->server;

    if (c->is_closing) {
        return;
    }
    c->is_closing = true;
    mf_http_forget_waits(c);
    if (mf_link_is_on(&c->dirty)) {
        mf_list_remove(&s->dirty, &c->dirty);
    }
    mf_list_remove(&s->conns, &c->link);
    s->n_extra -= c->is_extra ? 1 : 0;
    mf_stat_add(MF_STAT_http_connections, -1);
    drop_cur(c);
    mf_http_orphan_slots(c);
    uv_close(&c->u.handle, on_conn_closed);
}

MF_LOOP static int adopt(struct mf_http_conn *c, int fd)
{
    uv_loop_t *uv = mf_loop_uv(c->server->loop);
    int rc;

    if (c->server->unix_path != NULL) {
        MF_ASSERT(uv_pipe_init(uv, &c->u.pipe, 0) == 0);
        return uv_pipe_open(&c->u.pipe, fd);
    }
    MF_ASSERT(uv_tcp_init(uv, &c->u.tcp) == 0);
    rc = uv_tcp_open(&c->u.tcp, fd);
    if (rc == 0) {
        (void)uv_tcp_nodelay(&c->u.tcp, 1); /* slower without, nothing worse */
    }
    return rc;
}

MF_LOOP static void say_full(struct mf_http_conn *c)
{
    struct mf_http_fault f;

    mf_http_fault_set(&f, 503, "connections",
                      "server.max_connections (%zu) reached: try again later",
                      c->server->cfg.max_connections);
    log_rejected(&f);
    mf_http_write_fault(&c->out, &c->server->stamp, &f, false);
    c->takes_no_more = c->must_linger = c->has_last = true;
    mf_http_mark_dirty(c);
}

void mf_http_conn_open(struct mf_http_server *s, int fd, bool is_extra)
{
    struct mf_http_conn *c = mf_calloc(1, sizeof(*c));

    if (c == NULL) {
        mf_log_limited(MF_LOG_ERROR, "http_no_memory", "connections=%zu", s->conns.n);
        (void)close(fd);
        return;
    }
    c->server = s;
    c->is_extra = is_extra;
    mf_list_init(&c->slots);
    mf_http_parser_init(&c->parser, &s->bounds);
    mf_list_push_tail(&s->conns, &c->link);
    s->n_extra += is_extra ? 1 : 0;
    s->n_handles++;
    mf_stat_add(MF_STAT_http_connections, 1);
    if (adopt(c, fd) != 0) {
        (void)close(fd);
        mf_http_conn_close(c);
        return;
    }
    mf_http_sweep_start(s);
    if (is_extra) {
        say_full(c);
        return;
    }
    set_reading(c);
    if (!c->is_closing) {
        mf_http_set_wait(c);
    }
}
