/* SPDX-License-Identifier: Apache-2.0 */
/* The clock of the runs that wait for the server, and the end of all runs. */
#include "store/pg_run_priv.h"

static void on_due(uv_timer_t *t)
{
    struct mf_pg_runner *r = mf_container_of(t, struct mf_pg_runner, timer);
    struct mf_link *k;

    mf_loop_assert(r->loop);
    while ((k = mf_list_head(&r->waiting)) != NULL) {
        struct mf_pg_run *run = mf_container_of(k, struct mf_pg_run, wait_link);

        if (run->due_ms > mf_loop_now_ms(r->loop)) {
            break;
        }
        (void)mf_err_set(&run->gone, MF_ETIMEOUT,
                         "the database did not answer within %llu ms: the statement "
                         "is given up",
                         (unsigned long long)r->deadline_ms);
        mf_pg_run_give_back(run, MF_PG_USE_LATE);
        mf_pg_run_fail(run, MF_ETIMEOUT, &run->gone);
        mf_pg_run_proceed(run);
    }
    mf_pg_runner_set_clock(r);
}

/* Who was first to wait is due first. A clock that runs is left alone: it looks who
 * waits when it strikes. */
void mf_pg_runner_set_clock(struct mf_pg_runner *r)
{
    struct mf_link *k = mf_list_head(&r->waiting);
    uint64_t now = mf_loop_now_ms(r->loop);
    uint64_t due;

    if (k == NULL || uv_is_active((uv_handle_t *)&r->timer)) {
        return;
    }
    due = mf_container_of(k, struct mf_pg_run, wait_link)->due_ms;
    MF_ASSERT(uv_timer_start(&r->timer, on_due, due > now ? due - now : 0, 0) == 0);
}

void mf_pg_runner_open(struct mf_pg_runner *r)
{
    r->n_running = 0;
    mf_list_init(&r->runs);
    mf_list_init(&r->waiting);
    MF_ASSERT(uv_timer_init(mf_loop_uv(r->loop), &r->timer) == 0);
}

MF_LOOP static struct mf_pg_run *first_asking(struct mf_pg_runner *r)
{
    mf_list_each (&r->runs, k) {
        struct mf_pg_run *run = mf_container_of(k, struct mf_pg_run, link);

        if (run->is_asking) {
            return run;
        }
    }
    return NULL;
}

void mf_pg_runner_cancel(struct mf_pg_runner *r)
{
    struct mf_pg_run *run;

    while ((run = first_asking(r)) != NULL) {
        mf_pg_pool_forget(run->pool, &run->ask);
        run->is_asking = false;
        mf_pg_run_fail_closing(run, MF_ECANCELED);
        mf_pg_run_proceed(run);
    }
}

static void on_runner_closed(uv_handle_t *h)
{
    struct mf_pg_runner *r =
        mf_container_of((uv_timer_t *)h, struct mf_pg_runner, timer);

    mf_loop_assert(r->loop);
    r->closed(r->closed_arg);
}

void mf_pg_runner_close(struct mf_pg_runner *r, void (*closed)(void *arg), void *arg)
{
    MF_ASSERT(r->n_running == 0);
    r->closed = closed;
    r->closed_arg = arg;
    uv_close((uv_handle_t *)&r->timer, on_runner_closed);
}
