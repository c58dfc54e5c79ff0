/* SPDX-License-Identifier: Apache-2.0 */
/* memfuse serve: start, signals, ordered stop. */
#include "api/api.h"
#include "base/log.h"
#include "embed/embed.h"
#include "engine/engine.h"
#include "engine/rooms_conf.h"
#include "loop/loop.h"
#include "main/commands.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifndef MF_VERSION
#    define MF_VERSION "0"
#endif

struct server {
    struct mf_conf conf;
    struct mf_loop *loop;
    struct mf_engine *engine;
    struct mf_api *api;
    uv_signal_t sigterm, sigint;
    bool is_stopping;
    bool is_dead; /* the journal failed */
};

static enum mf_log_level level_of(const char *name)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};

    for (size_t i = 0; i < mf_countof(names); i++) {
        if (strcmp(name, names[i]) == 0) {
            return (enum mf_log_level)i;
        }
    }
    return MF_LOG_INFO;
}

/* ---- stop ---- */

static void on_signal_closed(uv_handle_t *h)
{
    struct server *s = h->data;

    mf_loop_assert(s->loop);
    if (uv_is_closing((uv_handle_t *)&s->sigterm) != 0 &&
        uv_is_closing((uv_handle_t *)&s->sigint) != 0) {
        mf_loop_stop(s->loop);
    }
}

static void on_api_closed(void *arg)
{
    struct server *s = arg;

    mf_loop_assert(s->loop);
    s->api = NULL;
    uv_close((uv_handle_t *)&s->sigterm, on_signal_closed);
    uv_close((uv_handle_t *)&s->sigint, on_signal_closed);
}

static void on_engine_closed(void *arg)
{
    struct server *s = arg;

    mf_loop_assert(s->loop);
    s->engine = NULL;
    mf_api_engine_gone(s->api);
    mf_api_close(s->api, on_api_closed, s);
}

static void on_signal(uv_signal_t *h, int signum)
{
    struct server *s = h->data;

    mf_loop_assert(s->loop);
    if (s->is_stopping) {
        mf_log_warn("stop_now", "signal=%d", signum);
        _exit(128 + signum);
    }
    s->is_stopping = true;
    mf_log_info("stopping", "signal=%d drain_timeout_ms=%llu", signum,
                (unsigned long long)s->conf.drain_timeout_ms);
    mf_api_drain(s->api);
    mf_engine_close(s->engine, on_engine_closed, s);
}

/* The answers of this turn still go out, then the process ends without another word to
 * the disk. */
static void on_fatal(const struct mf_err *err, void *arg)
{
    struct server *s = arg;
    char why[2 * MF_ERR_MAX];

    mf_loop_assert(s->loop);
    mf_log_error("journal_failed", "why=%s",
                 mf_log_quote(why, sizeof(why), err->msg, strlen(err->msg)));
    s->is_dead = true;
    mf_loop_stop(s->loop);
}

/* ---- start ---- */

MF_LOOP static int watch_signal(struct server *s, uv_signal_t *h, int signum)
{
    int rc = uv_signal_init(mf_loop_uv(s->loop), h);

    MF_ASSERT(rc == 0);
    h->data = s;
    rc = uv_signal_start(h, on_signal, signum);
    return rc == 0 ? 0 : mf_code_from_errno(-rc);
}

/* One for every permit (journal, writer and readers of the store, late records, scans,
 * embedding jobs and their end, looks at texts, long answers), and two that are never
 * promised to a lane. */
static unsigned pool_threads(const struct mf_conf *c)
{
    return (unsigned)(1 + mf_store_permits(c) + 1 + c->recall_scan_permits +
                      mf_embed_max_permits((unsigned)c->embed_max_concurrent) + 1 + 1 +
                      1 + 2);
}

static int open_loop(struct server *s, struct mf_err *err)
{
    struct mf_loop_config cfg = {.pool_threads = pool_threads(&s->conf),
                                 .stall_ms = (unsigned)s->conf.loop_stall_ms};

    return mf_loop_open(&s->loop, &cfg, err);
}

static void on_unused_engine_closed(void *arg)
{
    struct server *s = arg;

    mf_loop_assert(s->loop);
    s->engine = NULL;
    mf_loop_stop(s->loop);
}

static int open_rooms(struct server *s, struct mf_err *err)
{
    struct mf_engine_events ev = {
        .fatal = on_fatal, .format_add = mf_api_format_add, .arg = s};
    int rc;

    mf_loop_assert(s->loop);
    rc = mf_engine_open(&s->engine, s->loop, &s->conf, NULL, &ev, err);
    if (rc < 0) {
        return rc;
    }
    rc = mf_api_open(&s->api, s->loop, &s->conf, s->engine, err);
    if (rc < 0) {
        mf_engine_close(s->engine, on_unused_engine_closed, s);
        mf_loop_run(s->loop);
        return rc;
    }
    rc = watch_signal(s, &s->sigterm, SIGTERM);
    return rc < 0 ? rc : watch_signal(s, &s->sigint, SIGINT);
}

static void say_ready(struct server *s)
{
    const struct mf_model_info *m;

    mf_loop_assert(s->loop);
    m = mf_engine_model(s->engine);
    mf_log_info(
        "ready", "version=%s host=%s port=%u store=%s data=%s model=%s semantic=%s",
        MF_VERSION, s->conf.server_host, mf_api_port(s->api), s->conf.store_backend,
        s->conf.data_dir, m->name, m->is_semantic ? "true" : "false");
}

static int serve(struct server *s)
{
    struct mf_err err = {0};
    int rc = open_loop(s, &err);

    if (rc == 0) {
        rc = open_rooms(s, &err);
        if (rc < 0 && s->api == NULL) {
            MF_ASSERT(mf_loop_close(s->loop) == 0);
        }
    }
    if (rc < 0) {
        (void)fprintf(stderr, "memfuse: %s\n",
                      err.msg[0] != '\0' ? err.msg : mf_code_sentence(rc));
        return MF_EXIT_FAILED;
    }
    say_ready(s);
    mf_loop_assert(s->loop);
    mf_loop_run(s->loop);
    if (s->is_dead) {
        return MF_EXIT_JOURNAL;
    }
    MF_ASSERT(mf_loop_close(s->loop) == 0);
    mf_log_info("stopped", "code=0");
    return MF_EXIT_OK;
}

int mf_cmd_serve(int argc, char **argv)
{
    struct server s;
    int rc;

    memset(&s, 0, sizeof(s));
    rc = mf_load_conf(&s.conf, argc, argv, NULL, NULL);
    if (rc == 0) {
        (void)signal(SIGPIPE, SIG_IGN);
        mf_log_set_level(level_of(s.conf.log_level));
        rc = serve(&s);
    }
    mf_conf_fini(&s.conf);
    return rc;
}
