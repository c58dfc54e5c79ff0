/* SPDX-License-Identifier: Apache-2.0 */
#include "http/server.h"

#include <unistd.h>

struct least { /* no bound may be 0: that would be none at all, or a dead server */
    const char *key;
    uint64_t value;
};

static int check_config(const struct mf_http_config *cfg, struct mf_err *err)
{
    const struct least all[] = {
        {"backlog", cfg->backlog},
        {"max_connections", cfg->max_connections},
        {"max_body_bytes", cfg->max_body_bytes},
        {"max_url_bytes", cfg->max_url_bytes},
        {"max_header_bytes", cfg->max_header_bytes},
        {"max_headers", cfg->max_headers},
        {"max_pipelined", cfg->max_pipelined},
        {"max_output_bytes", cfg->max_output_bytes},
        {"max_buffered_bytes", cfg->max_buffered_bytes},
        {"header_timeout_ms", cfg->header_timeout_ms},
        {"body_timeout_ms", cfg->body_timeout_ms},
        {"idle_timeout_ms", cfg->idle_timeout_ms},
        {"write_timeout_ms", cfg->write_timeout_ms},
    };

    for (size_t i = 0; i < mf_countof(all); i++) {
        if (all[i].value == 0) {
            return mf_err_set(err, MF_EINVAL, "server.%s is 0: at least 1", all[i].key);
        }
    }
    if (cfg->max_url_bytes > UINT32_MAX / 4 || cfg->max_header_bytes > UINT32_MAX / 4) {
        return mf_err_set(
            err, MF_EINVAL,
            "server.max_url_bytes and server.max_header_bytes: at most %u",
            UINT32_MAX / 4);
    }
    return 0;
}

MF_LOOP static void server_init(struct mf_http_server *s, struct mf_loop *l,
                                const struct mf_http_config *cfg)
{
    s->loop = l;
    s->cfg = *cfg;
    s->listen_fd = s->reserve_fd = -1;
    s->turn_end.fn = mf_http_on_turn_end;
    s->bounds = (struct mf_http_bounds){.max_body_bytes = cfg->max_body_bytes,
                                        .max_url_bytes = cfg->max_url_bytes,
                                        .max_header_bytes = cfg->max_header_bytes,
                                        .max_headers = cfg->max_headers,
                                        .max_buffered_bytes = cfg->max_buffered_bytes};
    mf_list_init(&s->conns);
    mf_list_init(&s->dirty);
    mf_list_init(&s->orphans);
    for (size_t i = 0; i < mf_countof(s->waits); i++) {
        mf_list_init(&s->waits[i]);
    }
    mf_http_pool_init(&s->pool, cfg->max_headers);
}

static void server_free(struct mf_http_server *s)
{
    mf_http_pool_fini(&s->pool);
    mf_free(s->unix_path);
    mf_free(s);
}

/* NOLINTNEXTLINE(readability-function-size): seven parameters, as the header agreed */
int mf_http_open(struct mf_http_server **out, struct mf_loop *l,
                 const struct mf_http_config *cfg, mf_http_handler_fn handler,
                 mf_http_head_fn head, void *arg, struct mf_err *err)
{
    struct mf_http_server *s;
    int rc = check_config(cfg, err);

    if (rc < 0) {
        return rc;
    }
    s = mf_calloc(1, sizeof(*s));
    if (s == NULL) {
        return mf_err_set(err, MF_ENOMEM, "no memory for the HTTP server");
    }
    server_init(s, l, cfg);
    s->handler = handler;
    s->head = head;
    s->arg = arg;
    rc = mf_http_listen(s, err);
    if (rc < 0) {
        goto close_sockets;
    }
    s->cfg.host = NULL; /* borrowed for this call only */
    MF_ASSERT(uv_timer_init(mf_loop_uv(l), &s->sweep) == 0);
    s->n_handles = 2;
    *out = s;
    return 0;

close_sockets:
    if (s->listen_fd >= 0) {
        (void)close(s->listen_fd);
    }
    if (s->reserve_fd >= 0) {
        (void)close(s->reserve_fd);
    }
    server_free(s);
    return rc;
}

unsigned mf_http_port(const struct mf_http_server *s)
{
    return s->port;
}

struct mf_slice mf_http_header(const struct mf_http_req *req, const char *name)
{
    for (size_t i = 0; i < req->n_headers; i++) {
        if (mf_slice_is_nocase(req->headers[i].name, name)) {
            return req->headers[i].value;
        }
    }
    return mf_slice_of(NULL, 0);
}

size_t mf_http_n_connections(const struct mf_http_server *s)
{
    return s->conns.n - s->n_extra;
}

size_t mf_http_n_requests(const struct mf_http_server *s)
{
    return s->n_requests;
}

MF_LOOP static void drain_conn(struct mf_http_conn *c)
{
    bool has_begun = c->cur != NULL && c->parser.stage != MF_HTTP_BETWEEN;

    if (c->has_last || c->is_lingering) {
        return; /* ends by itself */
    }
    if (!has_begun && c->slots.n == 0 && c->out.n == 0 && !c->is_writing) {
        mf_http_conn_close(c);
    } else if (!has_begun) {
        c->takes_no_more = true;
        c->held_at = c->held.n = 0;
        mf_http_mark_dirty(c);
    }
}

void mf_http_drain(struct mf_http_server *s)
{
    if (s->is_draining) {
        return;
    }
    s->is_draining = true;
    mf_http_listen_stop(s);
    mf_list_each_safe (&s->conns, k) {
        drain_conn(mf_container_of(k, struct mf_http_conn, link));
    }
}

/* What the handler still holds goes on without us. */
MF_LOOP static void leave_orphans(struct mf_http_server *s)
{
    struct mf_link *k;

    while ((k = mf_list_pop_head(&s->orphans)) != NULL) {
        mf_container_of(k, struct mf_http_request, link)->server = NULL;
    }
}

void mf_http_handle_closed(struct mf_http_server *s)
{
    mf_http_closed_fn closed = s->closed;
    void *arg = s->closed_arg;

    s->n_handles--;
    if (s->n_handles > 0) {
        return;
    }
    mf_loop_forget_hook(s->loop, &s->turn_end);
    leave_orphans(s);
    server_free(s);
    closed(arg);
}

static void on_sweep_closed(uv_handle_t *handle)
{
    struct mf_http_server *s =
        mf_container_of((uv_timer_t *)(void *)handle, struct mf_http_server, sweep);

    mf_loop_assert(s->loop);
    mf_http_handle_closed(s);
}

void mf_http_close(struct mf_http_server *s, mf_http_closed_fn closed, void *arg)
{
    MF_ASSERT(!s->is_closing);
    mf_http_drain(s);
    s->is_closing = true;
    s->closed = closed;
    s->closed_arg = arg;
    mf_list_each_safe (&s->conns, k) {
        mf_http_conn_close(mf_container_of(k, struct mf_http_conn, link));
    }
    uv_close((uv_handle_t *)&s->sweep, on_sweep_closed);
}
