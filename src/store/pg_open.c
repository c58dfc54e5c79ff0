/* SPDX-License-Identifier: Apache-2.0 */
/* The Postgres store: opening and closing. */
#include "base/log.h"
#include "store/pg_priv.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#define MAX_NODE      1023 /* 10 bits of an order number */
#define FNV_OFFSET    0xcbf29ce484222325ull
#define FNV_PRIME     0x100000001b3ull
#define BREAKER_AFTER 1 /* an attempt to connect has had its own time to succeed */

/* --- the end */

MF_LOOP static void forget_all(struct mf_pg_store *s)
{
    struct mf_pg_known *older;

    for (; s->known != NULL; s->known = older) {
        older = s->known->older;
        mf_free(s->known);
    }
    mf_pg_dsn_fini(&s->dsn);
    mf_free(s);
}

static void on_part_closed(void *arg)
{
    struct mf_pg_store *s = arg;
    mf_store_closed_fn closed = s->closed;
    void *closed_arg = s->closed_arg;

    mf_loop_assert(s->base.loop);
    if (--s->n_open_parts > 0) {
        return;
    }
    forget_all(s);
    if (closed != NULL) {
        closed(closed_arg);
    }
}

static void on_timer_closed(uv_handle_t *h)
{
    struct mf_pg_store *s =
        mf_container_of((uv_timer_t *)h, struct mf_pg_store, look_timer);

    mf_loop_assert(s->base.loop);
    on_part_closed(s);
}

void mf_pg_close_parts(struct mf_pg_store *s)
{
    if (!s->is_closing || s->is_going || s->runner.n_running > 0 || s->line.n > 0 ||
        mf_link_is_on(&s->ender.link)) {
        return;
    }
    s->is_going = true;
    s->n_open_parts = 5;
    uv_close((uv_handle_t *)&s->look_timer, on_timer_closed);
    mf_pg_runner_close(&s->runner, on_part_closed, s);
    mf_lane_close(s->runner.lane, on_part_closed, s);
    mf_pg_pool_close(s->runner.reads, on_part_closed, s);
    mf_pg_pool_close(s->runner.writes, on_part_closed, s);
}

void mf_pg_close(struct mf_store *base, mf_store_closed_fn closed, void *arg)
{
    struct mf_pg_store *s = mf_container_of(base, struct mf_pg_store, base);

    if (s->is_closing) {
        return;
    }
    s->is_closing = true;
    s->closed = closed;
    s->closed_arg = arg;
    mf_pg_end_line(s);
}

/* --- opening */

static const struct mf_store_ops pg_ops = {
    .name = "postgres",
    .submit = mf_pg_submit,
    .close = mf_pg_close,
    .health = mf_pg_health,
};

static uint64_t hash(uint64_t h, const char *s)
{
    for (; *s != '\0'; s++) {
        h = (h ^ (uint8_t)*s) * FNV_PRIME;
    }
    return h;
}

/* The same for the same folder on the same host: a process that starts again is the
 * same one, to the order numbers and to the lease of a migration it was killed in. So
 * it cannot be mf_hash_bytes, which is of one process: that one keeps clients from
 * choosing keys that meet, this one (FNV-1a) need only stay what it is. */
static uint64_t identity_of(const char *dir)
{
    char host[HOST_NAME_MAX + 1] = "";
    char path[PATH_MAX];
    uint64_t h = FNV_OFFSET;

    (void)gethostname(host, sizeof(host) - 1);
    h = hash(h, host);
    h = hash(h, dir == NULL || realpath(dir, path) == NULL ? "" : path);
    return h ^ h >> 32;
}

static int check_config(const struct mf_store_pg_config *c, struct mf_err *err)
{
    if (c->readers == 0 || c->writers == 0) {
        return mf_err_set(err, MF_EINVAL,
                          "store.postgres.readers and .writers must be 1 or more");
    }
    if (c->node > MAX_NODE) {
        return mf_err_set(err, MF_EINVAL,
                          "store.postgres.node is %u: choose 1 to %d, or 0", c->node,
                          MAX_NODE);
    }
    return 0;
}

static int open_known(struct mf_pg_store *s, const struct mf_store_config *cfg,
                      struct mf_err *err)
{
    struct mf_pg_env *env;

    s->known = mf_calloc(1, sizeof(*s->known));
    if (s->known == NULL) {
        return mf_err_set(err, MF_ENOMEM, "no memory for the store");
    }
    env = &s->known->env;
    env->cfg = cfg->pg;
    env->cfg.dsn = env->cfg.password_file = NULL; /* nobody's business */
    env->cfg.wants_vector = cfg->pg.wants_vector && cfg->vector_of != NULL;
    env->space = cfg->space;
    env->vector_of = cfg->vector_of;
    s->runner.env = env;
    return 0;
}

MF_LOOP static int open_pool(struct mf_pg_store *s, struct mf_pg_pool **out,
                             const char *name, unsigned max,
                             const struct mf_store_pg_config *c)
{
    struct mf_pg_pool_config cfg = {
        .name = name,
        .conn = {.dsn = &s->dsn,
                 .connect_timeout_ms = c->connect_timeout_ms,
                 .statement_timeout_ms = c->statement_timeout_ms,
                 .lock_timeout_ms = c->lock_timeout_ms},
        .max = max,
        .idle_ms = c->idle_ms,
        .age_ms = c->age_ms,
        .dep = s->dep};

    return mf_pg_pool_open(out, s->base.loop, &cfg);
}

/* What was opened is empty and needs nobody when it is closed. */
MF_LOOP static int open_parts(struct mf_pg_store *s, const struct mf_store_pg_config *c,
                              struct mf_err *err)
{
    struct mf_pg_runner *r = &s->runner;
    int rc = mf_lane_open(&r->lane, s->base.loop, "store_steps", s->n_conns,
                          s->max_waiting + s->n_conns + 1);

    if (rc < 0) {
        goto failed;
    }
    rc = open_pool(s, &r->reads, "read", c->readers, c);
    if (rc < 0) {
        goto close_lane;
    }
    rc = open_pool(s, &r->writes, "write", c->writers, c);
    if (rc < 0) {
        goto close_reads;
    }
    r->loop = s->base.loop;
    r->deadline_ms = c->deadline_ms;
    mf_pg_runner_open(r);
    MF_ASSERT(uv_timer_init(mf_loop_uv(s->base.loop), &s->look_timer) == 0);
    return 0;

close_reads:
    mf_pg_pool_close(r->reads, NULL, NULL);
close_lane:
    mf_lane_close(r->lane, NULL, NULL);
failed:
    return mf_err_set(err, rc, "the store: %s", mf_code_sentence(rc));
}

static void init_store(struct mf_pg_store *s, struct mf_loop *l,
                       const struct mf_store_config *cfg)
{
    const struct mf_store_pg_config *c = &cfg->pg;
    uint64_t identity = identity_of(cfg->dir);
    unsigned drawn = 1 + (unsigned)(identity % MAX_NODE);

    s->base.ops = &pg_ops;
    s->base.loop = l;
    s->base.info = (struct mf_store_info){.backend = pg_ops.name,
                                          .is_remote = true,
                                          .is_shared = c->is_shared,
                                          .node = c->node == 0 ? drawn : c->node};
    (void)snprintf(s->holder, sizeof(s->holder), "%016llx",
                   (unsigned long long)identity);
    s->max_waiting = cfg->max_waiting;
    s->n_conns = c->readers + c->writers;
    s->dep = (struct mf_dep_config){.timeout_ms = c->connect_timeout_ms,
                                    .first_backoff_ms = c->first_backoff_ms,
                                    .max_backoff_ms = c->max_backoff_ms,
                                    .open_after = BREAKER_AFTER};
    mf_list_init(&s->line);
}

static void log_open(const struct mf_pg_store *s, const struct mf_store_pg_config *c)
{
    struct mf_buf where;

    mf_buf_init(&where);
    mf_pg_dsn_show(&s->dsn, &where);
    mf_log_info("store_open",
                "backend=postgres database=\"%.*s\" readers=%u writers=%u node=%u "
                "shared=%d",
                (int)where.n, where.n == 0 ? "" : where.p, c->readers, c->writers,
                s->base.info.node, c->is_shared);
    mf_buf_fini(&where);
}

int mf_store_pg_open(struct mf_store **out, struct mf_loop *l,
                     const struct mf_store_config *cfg, struct mf_err *err)
{
    const struct mf_store_pg_config *c = &cfg->pg;
    struct mf_pg_store *s;
    int rc = check_config(c, err);

    mf_loop_assert(l); /* the loop does not run yet, but this is its thread */
    if (rc < 0) {
        return rc;
    }
    s = mf_calloc(1, sizeof(*s));
    if (s == NULL) {
        return mf_err_set(err, MF_ENOMEM, "no memory for the store");
    }
    rc = mf_pg_dsn_parse(&s->dsn, c->dsn, c->password_file, c->connect_timeout_ms, err);
    if (rc < 0) {
        mf_free(s);
        return rc;
    }
    init_store(s, l, cfg);
    rc = open_known(s, cfg, err);
    if (rc == 0) {
        rc = open_parts(s, c, err);
    }
    if (rc < 0) {
        forget_all(s);
        return rc;
    }
    log_open(s, c);
    mf_pg_look(s);
    *out = &s->base;
    return 0;
}
