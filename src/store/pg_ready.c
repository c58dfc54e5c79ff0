/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether the database is there and has our tables. That is looked at once the loop
 * runs, again and again until it is so, and anew when the server misses a table: an
 * outage alone changes no schema.
 */
#include "base/log.h"
#include "store/pg_code.h"
#include "store/pg_priv.h"

#include <stdio.h>

#define VECTOR_MAX_DIM 16000 /* pgvector's own limit */
#define LOOK_APART_MS  1000  /* between looks that were asked for by failures */
#define BUSY_MS        200
#define PATIENCE_LOOKS 50 /* for another process that migrates: some 10 s */

static const struct mf_pg_verb migration = {mf_pg_migrate, NULL, false};

static void on_look_due(uv_timer_t *t)
{
    struct mf_pg_store *s = mf_container_of(t, struct mf_pg_store, look_timer);

    mf_loop_assert(s->base.loop);
    mf_pg_look(s);
}

MF_LOOP static void look_in(struct mf_pg_store *s, uint64_t ms)
{
    MF_ASSERT(uv_timer_start(&s->look_timer, on_look_due, ms, 0) == 0);
}

/* The moment from which the pool lets somebody try is as good as any of ours. */
MF_LOOP static uint64_t pause_ms(const struct mf_pg_store *s)
{
    const struct mf_dep *dep = mf_pg_pool_health(s->runner.writes);
    uint64_t now = mf_loop_now_ms(s->base.loop);
    uint32_t chance;

    if (dep->state == MF_DEP_DOWN && dep->retry_at_ms > now) {
        return dep->retry_at_ms - now;
    }
    mf_random(&chance, sizeof(chance));
    return mf_max(mf_dep_backoff_ms(&s->dep, s->n_failed_looks, chance), 1);
}

/* Another process is at it: no failure, unless it takes too long. */
static bool is_others_turn(const struct mf_pg_store *s, int rc)
{
    return (rc == MF_EBUSY || rc == MF_EEXIST) && s->n_failed_looks < PATIENCE_LOOKS;
}

MF_LOOP static void take_failed_look(struct mf_pg_store *s, int rc)
{
    char why[2 * MF_ERR_MAX];

    s->n_failed_looks++;
    if (is_others_turn(s, rc)) {
        look_in(s, rc == MF_EEXIST ? 1 : BUSY_MS);
        return;
    }
    s->readiness = MF_PG_FAILED;
    s->why = s->look_err;
    mf_log_limited(MF_LOG_WARN, "store_unavailable", "backend=postgres code=%s why=%s",
                   mf_code_name(rc),
                   mf_log_quote(why, sizeof(why), s->why.msg, strlen(s->why.msg)));
    mf_pg_end_line(s);
    look_in(s, pause_ms(s));
}

/* What workers read stays as it is: a change is a new one. */
MF_LOOP static int learn(struct mf_pg_store *s)
{
    const struct mf_pg_env *env = &s->known->env;
    struct mf_pg_known *known;

    if (env->vector_oid == s->schema.vector_oid) {
        return 0;
    }
    known = mf_malloc(sizeof(*known));
    if (known == NULL) {
        return mf_err_set(&s->look_err, MF_ENOMEM, "no memory for the store");
    }
    known->env = *env;
    known->env.vector_oid = s->schema.vector_oid;
    known->env.max_dim = VECTOR_MAX_DIM;
    known->older = s->known;
    s->known = known;
    s->runner.env = &known->env;
    return 0;
}

static void on_looked(void *arg, int rc)
{
    struct mf_pg_store *s = arg;

    mf_loop_assert(s->base.loop);
    s->is_looking = false;
    if (s->is_closing) {
        mf_pg_close_parts(s);
        return;
    }
    if (rc == 0) {
        rc = learn(s);
    }
    if (rc < 0) {
        take_failed_look(s, rc);
        return;
    }
    s->readiness = MF_PG_READY;
    s->n_failed_looks = 0;
    mf_log_info("store_ready", "backend=postgres server=\"%s\" vector=%d citus=%d",
                s->schema.server, s->schema.vector_oid != 0, s->schema.is_citus);
    mf_pg_let_go(s);
}

void mf_pg_look(struct mf_pg_store *s)
{
    struct mf_pg_run_spec spec = {.verb = &migration,
                                  .state = &s->schema,
                                  .err = &s->look_err,
                                  .urgency = MF_URGENT,
                                  .done = on_looked,
                                  .arg = s};
    int rc;

    if (s->is_looking || s->is_closing) {
        return;
    }
    s->look_err = (struct mf_err){0};
    s->schema = (struct mf_pg_schema){0};
    s->looked_ms = mf_loop_now_ms(s->base.loop);
    memcpy(s->schema.holder, s->holder, sizeof(s->holder));
    rc = mf_pg_run(&s->runner, &spec);
    if (rc < 0) {
        (void)mf_err_set(&s->look_err, rc, "the store: %s", mf_code_sentence(rc));
        take_failed_look(s, rc);
        return;
    }
    s->is_looking = true;
}

void mf_pg_heed(struct mf_pg_store *s, const struct mf_err *err)
{
    bool is_missing = err->sys == mf_pg_state_number("42P01") ||
                      err->sys == mf_pg_state_number("42703");
    uint64_t now = mf_loop_now_ms(s->base.loop);

    if (err->sys == 0 || !is_missing || s->readiness != MF_PG_READY ||
        now - s->looked_ms < LOOK_APART_MS) {
        return;
    }
    s->readiness = MF_PG_LOOKING;
    mf_pg_look(s);
}

/* Health is told to whoever asks. */
static void tell_down(struct mf_store_health *out, const struct mf_err *why)
{
    struct mf_err told = {0};

    if (why == NULL) {
        (void)mf_err_set(&told, MF_EUNAVAILABLE, "the database has not answered yet");
    } else {
        told = *why;
        mf_pg_hide(&told);
    }
    out->is_up = false;
    (void)snprintf(out->why, sizeof(out->why), "%s", told.msg);
}

/* Readers may be the first, or the only ones, to find it away. */
void mf_pg_health(const struct mf_store *base, struct mf_store_health *out)
{
    const struct mf_pg_store *s = mf_container_of(base, const struct mf_pg_store, base);
    const struct mf_pg_pool *pools[] = {s->runner.writes, s->runner.reads};

    if (s->readiness != MF_PG_READY) {
        tell_down(out, s->readiness == MF_PG_FAILED ? &s->why : NULL);
        return;
    }
    for (size_t i = 0; i < mf_countof(pools); i++) {
        if (!mf_dep_is_up(mf_pg_pool_health(pools[i]))) {
            tell_down(out, mf_pg_pool_why(pools[i]));
            return;
        }
    }
}
