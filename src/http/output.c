/* SPDX-License-Identifier: Apache-2.0 */
#include "http/server.h"

static struct mf_http_request *request_of(struct mf_http_req *req)
{
    return mf_container_of(req, struct mf_http_request, pub);
}

void mf_http_mark_dirty(struct mf_http_conn *c)
{
    struct mf_http_server *s = c->server;

    if (c->is_closing || mf_link_is_on(&c->dirty)) {
        return;
    }
    mf_list_push_tail(&s->dirty, &c->dirty);
    mf_loop_at_turn_end(s->loop, &s->turn_end);
}

void mf_http_give_request(struct mf_http_server *s, struct mf_http_request *r)
{
    if (s == NULL) {
        mf_http_pool_give(NULL, r);
        return;
    }
    MF_DEBUG_ASSERT(s->bounds.buffered_bytes >= r->body.n);
    s->bounds.buffered_bytes -= r->body.n;
    mf_http_pool_give(&s->pool, r);
}

void mf_http_orphan_slots(struct mf_http_conn *c)
{
    struct mf_http_server *s = c->server;
    struct mf_link *k;

    while ((k = mf_list_pop_head(&c->slots)) != NULL) {
        struct mf_http_request *r = mf_container_of(k, struct mf_http_request, link);

        if (r->state == MF_HTTP_REQ_REPLIED) {
            mf_http_give_request(s, r);
            continue;
        }
        r->conn = NULL;
        r->pub.client_is_gone = true;
        mf_list_push_tail(&s->orphans, &r->link);
    }
}

void mf_http_release_slots(struct mf_http_conn *c)
{
    struct mf_link *k;

    while ((k = mf_list_head(&c->slots)) != NULL && !c->has_last) {
        struct mf_http_request *r = mf_container_of(k, struct mf_http_request, link);

        if (r->state != MF_HTTP_REQ_REPLIED) {
            break;
        }
        mf_list_remove(&c->slots, k);
        mf_buf_add(&c->out, r->reply.p, r->reply.n);
        c->out.failed = c->out.failed || r->reply.failed;
        c->has_last = r->is_last;
        mf_http_give_request(c->server, r);
    }
    if (c->has_last) {
        c->takes_no_more = true;
        mf_http_orphan_slots(c); /* they stand behind the last answer */
    } else if (c->slots.n == 0 && c->cur != NULL && c->cur->wants_continue) {
        c->cur->wants_continue = false;
        mf_buf_add_str(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
    }
    mf_http_mark_dirty(c);
}

static unsigned shape_of(const struct mf_http_request *r)
{
    unsigned shape = r->pub.method == MF_HTTP_HEAD ? MF_HTTP_NO_BODY : 0U;

    if (r->is_last) {
        shape |= MF_HTTP_SAYS_CLOSE;
    } else if (r->is_http10) {
        shape |= MF_HTTP_SAYS_KEEP;
    }
    return shape;
}

void mf_http_reply(struct mf_http_req *req, const struct mf_http_reply *reply)
{
    struct mf_http_request *r = request_of(req);
    struct mf_http_server *s = r->server;
    struct mf_http_conn *c = r->conn;
    bool is_tail, is_head;

    MF_ASSERT(r->state ==
              MF_HTTP_REQ_DELIVERED); /* one reply, after the handler began */
    r->state = MF_HTTP_REQ_REPLIED;
    if (s != NULL) {
        s->n_requests--;
    }
    if (c == NULL) {
        if (s != NULL) {
            mf_list_remove(&s->orphans, &r->link);
        }
        mf_http_give_request(s, r);
        return;
    }
    is_tail = mf_list_tail(&c->slots) == &r->link && c->cur == NULL;
    is_head = mf_list_head(&c->slots) == &r->link;
    r->is_last = reply->close || (is_tail && c->takes_no_more);
    c->must_linger = c->must_linger || (reply->close && r->is_kept_alive);
    mf_http_write_reply(is_head ? &c->out : &r->reply, &s->stamp, reply, shape_of(r));
    if (is_head) {
        mf_http_release_slots(c);
    }
}

void mf_http_refuse(struct mf_http_req *req, const struct mf_http_reply *reply)
{
    struct mf_http_request *r = request_of(req);

    MF_ASSERT(r->state == MF_HTTP_REQ_IN_HEAD);
    r->state = MF_HTTP_REQ_REPLIED;
    r->is_last = true;
    mf_http_write_reply(&r->reply, &r->server->stamp, reply, shape_of(r));
}

static void on_written(uv_write_t *req, int status)
{
    struct mf_http_conn *c = mf_container_of(req, struct mf_http_conn, write);

    mf_loop_assert(c->server->loop);
    c->is_writing = false;
    if (c->is_closing) {
        return;
    }
    mf_http_keep_small(&c->writing);
    mf_http_set_write_wait(c, false);
    if (status < 0) {
        mf_http_conn_close(c);
        return;
    }
    mf_http_mark_dirty(c);
}

/* What the socket did not take goes with uv_write; answers that come meanwhile gather
 * in `out`. */
MF_LOOP static void write_rest(struct mf_http_conn *c, size_t sent)
{
    struct mf_buf empty = c->writing;
    uv_buf_t rest;

    c->writing = c->out;
    c->out = empty;
    rest = uv_buf_init(c->writing.p + sent, (unsigned)(c->writing.n - sent));
    if (uv_write(&c->write, &c->u.stream, &rest, 1, on_written) != 0) {
        mf_http_conn_close(c);
        return;
    }
    c->is_writing = true;
    mf_http_set_write_wait(c, true);
}

MF_LOOP static void flush(struct mf_http_conn *c)
{
    uv_buf_t all;
    int sent;

    if (mf_buf_status(&c->out) < 0) {
        mf_http_conn_close(c);
        return;
    }
    if (c->is_writing || c->out.n == 0) {
        return;
    }
    all = uv_buf_init(c->out.p, (unsigned)c->out.n);
    sent = uv_try_write(&c->u.stream, &all, 1);
    if (sent < 0 && sent != UV_EAGAIN) {
        mf_http_conn_close(c);
    } else if (sent < 0 || (size_t)sent < c->out.n) {
        write_rest(c, sent < 0 ? 0 : (size_t)sent);
    } else {
        mf_http_keep_small(&c->out);
    }
}

void mf_http_on_turn_end(struct mf_turn_hook *h)
{
    struct mf_http_server *s = mf_container_of(h, struct mf_http_server, turn_end);
    size_t n = s->dirty.n;

    mf_loop_assert(s->loop);
    /* Those that become dirty on the way come to the tail: their turn is the next. */
    for (struct mf_link *k; n > 0 && (k = mf_list_pop_head(&s->dirty)) != NULL; n--) {
        struct mf_http_conn *c = mf_container_of(k, struct mf_http_conn, dirty);

        flush(c);
        if (!c->is_closing) {
            mf_http_conn_go_on(c);
        }
    }
}
