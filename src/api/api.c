/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api.h"

#include "api/api_priv.h"
#include "api/handlers.h"
#include "base/wallclock.h"

/* How often the end of the last answers is looked for. */
#define LOOK_EVERY_MS 5U

static void fill_config(const struct mf_conf *c, struct mf_http_config *out)
{
    *out = (struct mf_http_config){.host = c->server_host,
                                   .port = (unsigned)c->server_port,
                                   .backlog = (unsigned)c->server_backlog,
                                   .max_connections = c->server_max_connections,
                                   .max_body_bytes = c->server_max_body_bytes,
                                   .max_url_bytes = c->server_max_url_bytes,
                                   .max_header_bytes = c->server_max_header_bytes,
                                   .max_headers = c->server_max_headers,
                                   .max_pipelined = c->server_max_pipelined,
                                   .max_output_bytes = c->server_max_output_bytes,
                                   .max_buffered_bytes = c->server_max_buffered_bytes,
                                   .header_timeout_ms = c->server_header_timeout_ms,
                                   .body_timeout_ms = c->server_body_timeout_ms,
                                   .idle_timeout_ms = c->server_idle_timeout_ms,
                                   .write_timeout_ms = c->server_write_timeout_ms};
}

static void free_all(struct mf_api *a)
{
    mf_buf_fini(&a->health);
    mf_buf_fini(&a->out);
    if (a->json.pool != NULL) {
        mf_json_fini(&a->json);
    }
    mf_free(a);
}

/* What is left when nothing listens and nobody waits. */
static void on_crowd_gone(void *arg)
{
    struct mf_api *a = arg;
    mf_api_closed_fn closed = a->closed;
    void *closed_arg = a->closed_arg;

    mf_loop_assert(a->loop);
    mf_auth_close(a->auth);
    free_all(a);
    if (closed != NULL) {
        closed(closed_arg);
    }
}

int mf_api_open(struct mf_api **out, struct mf_loop *l, const struct mf_conf *conf,
                struct mf_engine *engine, struct mf_err *err)
{
    struct mf_api *a = mf_calloc(1, sizeof(*a));
    struct mf_http_config cfg;
    int rc;

    if (a == NULL) {
        return mf_err_set(err, MF_ENOMEM, "no memory for the API");
    }
    a->loop = l;
    a->conf = conf;
    a->engine = engine;
    a->opened_us = mf_wallclock_us();
    mf_health_prepare(a);
    rc = mf_buf_status(&a->health);
    if (rc == 0) {
        rc = mf_json_init(&a->json, conf->limits_json_depth);
    }
    if (rc < 0) {
        free_all(a);
        return mf_err_set(err, rc, "no memory for the API");
    }
    rc = mf_auth_open(&a->auth, conf, err);
    if (rc < 0) {
        goto free_memory;
    }
    rc = mf_api_crowd_open(a);
    if (rc < 0) {
        (void)mf_err_set(err, rc, "no memory for the API");
        goto close_auth;
    }
    fill_config(conf, &cfg);
    rc = mf_http_open(&a->http, l, &cfg, mf_api_on_request, mf_api_on_head, a, err);
    if (rc < 0) {
        mf_api_crowd_close(a, on_crowd_gone, a);
        return rc;
    }
    *out = a;
    return 0;

close_auth:
    mf_auth_close(a->auth);
free_memory:
    free_all(a);
    return rc;
}

unsigned mf_api_port(const struct mf_api *a)
{
    return mf_http_port(a->http);
}

void mf_api_drain(struct mf_api *a)
{
    a->is_draining = true;
    mf_http_drain(a->http);
}

void mf_api_engine_gone(struct mf_api *a)
{
    a->engine = NULL;
}

/* ---- close ---- */

static void on_http_closed(void *arg)
{
    struct mf_api *a = arg;

    mf_loop_assert(a->loop);
    mf_api_crowd_close(a, on_crowd_gone, a);
}

static void on_timer_closed(uv_handle_t *h)
{
    struct mf_api *a = h->data;

    mf_loop_assert(a->loop);
    mf_http_close(a->http, on_http_closed, a);
}

static void on_look(uv_timer_t *t)
{
    struct mf_api *a = t->data;

    mf_loop_assert(a->loop);
    if (mf_http_n_connections(a->http) == 0 ||
        mf_loop_now_ms(a->loop) >= a->close_by_ms) {
        uv_close((uv_handle_t *)t, on_timer_closed);
    }
}

void mf_api_close(struct mf_api *a, mf_api_closed_fn closed, void *arg)
{
    MF_ASSERT(a->engine == NULL && a->closed == NULL);
    a->closed = closed;
    a->closed_arg = arg;
    /* A request that is only half here must not keep us from stopping. */
    a->close_by_ms = mf_loop_now_ms(a->loop) + mf_min(a->conf->server_write_timeout_ms,
                                                      a->conf->drain_timeout_ms);
    mf_api_drain(a);
    MF_ASSERT(uv_timer_init(mf_loop_uv(a->loop), &a->closing) == 0);
    a->closing.data = a;
    MF_ASSERT(uv_timer_start(&a->closing, on_look, 0, LOOK_EVERY_MS) == 0);
}
