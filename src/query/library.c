/* SPDX-License-Identifier: Apache-2.0 */
/* Opening, closing, the turn, and the timer of the store. */
#include "query/library_priv.h"

#include "base/stat.h"

#define LANE_WAITING (4 * (size_t)MF_LIBRARY_MAX_SCANS)

static void on_library_turn(struct mf_turn_hook *hook);

int mf_library_open(struct mf_library **out, struct mf_loop *l, struct mf_store *store,
                    struct mf_buffers *buffers, const struct mf_library_config *cfg)
{
    struct mf_library *lib = mf_calloc(1, sizeof(*lib));
    int rc;

    if (lib == NULL) {
        return MF_ENOMEM;
    }
    rc = mf_lane_open(&lib->lane, l, "scan", cfg->scan_permits, LANE_WAITING);
    if (rc < 0) {
        mf_free(lib);
        return rc;
    }
    lib->loop = l;
    lib->store = store;
    lib->buffers = buffers;
    lib->cfg = *cfg;
    lib->max_delta = MF_DELTA_ROWS;
    lib->hook.fn = on_library_turn;
    mf_map_init(&lib->holders, mf_holder_key);
    mf_list_init(&lib->used);
    mf_list_init(&lib->turn);
    mf_list_init(&lib->arrivals);
    mf_list_init(&lib->gathering);
    mf_list_init(&lib->timed);
    MF_ASSERT(uv_timer_init(mf_loop_uv(l), &lib->timer) == 0);
    *out = lib;
    return 0;
}

void mf_library_arm(struct mf_library *lib)
{
    mf_loop_at_turn_end(lib->loop, &lib->hook);
}

int mf_library_scan(struct mf_library *lib, struct mf_library_scan *s)
{
    struct mf_run *run;
    struct mf_id id;
    int rc = mf_id_from(&id, s->user_id);

    if (rc < 0) {
        return rc;
    }
    if (lib->is_closing) {
        return MF_ECLOSED;
    }
    if (lib->n_runs >= MF_LIBRARY_MAX_SCANS) {
        return MF_EBUSY;
    }
    run = mf_calloc(1, sizeof(*run));
    if (run == NULL) {
        return MF_ENOMEM;
    }
    run->s = s;
    run->lib = lib;
    s->state = run;
    s->n_hits = 0;
    s->is_partial = false;
    s->request.weights = &lib->cfg.weights;
    lib->n_runs++;
    mf_list_push_tail(&lib->arrivals, &run->link);
    mf_library_arm(lib);
    return 0;
}

/* ---- the turn ---- */

MF_LOOP static void start_waiting(struct mf_holder *h)
{
    mf_list_each_safe (&h->waiting, k) {
        struct mf_run *run = mf_container_of(k, struct mf_run, link);

        if (h->state == MF_HOLDER_LARGE) {
            mf_stream_run(run, false);
        } else if (run->upto <= h->mark && run->read <= h->reads_done) {
            mf_run_begin(run, MF_RUN_AT_WORK);
            mf_run_lend(run);
        }
    }
}

/* A shelf may outgrow its bound message by message. */
MF_LOOP static bool has_outgrown(const struct mf_holder *h)
{
    return h->state == MF_HOLDER_RESIDENT && h->n_active == 0 && h->fresh == NULL &&
           mf_shelf_count(h->shelf) > h->lib->cfg.max_resident;
}

MF_LOOP static void advance(struct mf_holder *h)
{
    if (h->is_gone) {
        if (h->n_active == 0) {
            mf_holder_free(h);
        }
        return;
    }
    if (h->state == MF_HOLDER_LOADING && h->load == NULL) {
        mf_load_settle(h);
    }
    if (h->is_gone || h->state == MF_HOLDER_LOADING) {
        return;
    }
    if (h->state == MF_HOLDER_FAILED) {
        if (h->n_active == 0 && mf_list_is_empty(&h->waiting)) {
            mf_holder_drop(h);
        }
        return;
    }
    if (has_outgrown(h)) {
        mf_holder_set_state(h, MF_HOLDER_LARGE);
    }
    if (h->state == MF_HOLDER_RESIDENT) {
        mf_delta_step(h);
    }
    if (h->state == MF_HOLDER_RESIDENT && !h->is_gone) {
        mf_fresh_step(h);
    }
    if (!h->is_gone) {
        start_waiting(h);
    }
}

MF_LOOP static void do_turns(struct mf_library *lib)
{
    struct mf_link *k;

    while ((k = mf_list_pop_head(&lib->arrivals)) != NULL) {
        mf_run_enter(mf_container_of(k, struct mf_run, link));
    }
    while (lib->budget > 0 && (k = mf_list_pop_head(&lib->turn)) != NULL) {
        advance(mf_container_of(k, struct mf_holder, in_turn));
    }
    while (lib->budget > 0 && (k = mf_list_pop_head(&lib->gathering)) != NULL) {
        mf_stream_gather(mf_container_of(k, struct mf_run, link));
    }
    mf_holder_evict(lib);
}

/* ---- closing ---- */

MF_LOOP static void end_all(struct mf_library *lib, struct mf_list *runs)
{
    struct mf_link *k;

    while ((k = mf_list_pop_head(runs)) != NULL) {
        mf_run_finish(mf_container_of(k, struct mf_run, link), MF_ECLOSED);
    }
    MF_ASSERT(lib->is_closing);
}

/* Ends what stands in line, tells the store's workers to end early, and frees holders
 * that nobody uses. */
MF_LOOP static void end_line(struct mf_library *lib)
{
    struct mf_link *k;

    end_all(lib, &lib->arrivals);
    end_all(lib, &lib->gathering);
    mf_list_each_safe (&lib->used, u) {
        struct mf_holder *h = mf_container_of(u, struct mf_holder, in_used);

        mf_holder_fail_waiting(h, MF_ECLOSED);
        mf_holder_drop(h);
    }
    mf_list_each (&lib->timed, t) {
        mf_feed_stop(mf_container_of(t, struct mf_run, in_timed));
    }
    while ((k = mf_list_pop_head(&lib->turn)) != NULL) {
        advance(mf_container_of(k, struct mf_holder, in_turn));
    }
}

MF_LOOP static void end_if_over(struct mf_library *lib)
{
    mf_library_closed_fn closed = lib->closed;
    void *arg = lib->closed_arg;

    if (!lib->is_lane_closed || !lib->is_timer_closed || lib->n_runs > 0 ||
        lib->n_at_store > 0) {
        return;
    }
    MF_ASSERT(lib->holders.n == 0 && lib->bytes == 0);
    mf_loop_forget_hook(lib->loop, &lib->hook);
    mf_map_fini(&lib->holders);
    mf_free(lib);
    if (closed != NULL) {
        closed(arg);
    }
}

static void on_library_turn(struct mf_turn_hook *hook)
{
    struct mf_library *lib = mf_container_of(hook, struct mf_library, hook);

    mf_loop_assert(lib->loop);
    if (lib->is_closing) {
        end_line(lib);
        end_if_over(lib);
        return;
    }
    lib->budget = MF_TURN_ROWS;
    do_turns(lib);
    if (!mf_list_is_empty(&lib->arrivals) || !mf_list_is_empty(&lib->turn) ||
        !mf_list_is_empty(&lib->gathering)) {
        mf_library_arm(lib);
    }
}

static void on_lane_closed(void *arg)
{
    struct mf_library *lib = arg;

    mf_loop_assert(lib->loop);
    lib->is_lane_closed = true;
    mf_library_arm(lib);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct mf_library *lib =
        mf_container_of((uv_timer_t *)handle, struct mf_library, timer);

    mf_loop_assert(lib->loop);
    lib->is_timer_closed = true;
    mf_library_arm(lib);
}

void mf_library_close(struct mf_library *lib, mf_library_closed_fn closed, void *arg)
{
    if (lib->is_closing) {
        return;
    }
    lib->is_closing = true;
    lib->closed = closed;
    lib->closed_arg = arg;
    uv_close((uv_handle_t *)&lib->timer, on_timer_closed);
    mf_lane_close(lib->lane, on_lane_closed, lib);
    mf_library_arm(lib);
}

/* ---- the store's time ---- */

static void on_store_late(uv_timer_t *timer);

MF_LOOP static void set_timer(struct mf_library *lib)
{
    struct mf_link *k = mf_list_head(&lib->timed);
    uint64_t now = mf_loop_now_ms(lib->loop);
    uint64_t at;

    if (lib->is_closing) {
        return;
    }
    if (k == NULL) {
        (void)uv_timer_stop(&lib->timer);
        return;
    }
    at = mf_container_of(k, struct mf_run, in_timed)->deadline_ms;
    MF_ASSERT(uv_timer_start(&lib->timer, on_store_late, at > now ? at - now : 0, 0) ==
              0);
}

/* One that waits for its turn, or for records being made, is not held up by the store.
 */
MF_LOOP static void go_on_without(struct mf_run *run)
{
    if (run->state == MF_RUN_AT_STORE) {
        mf_stream_go_partial(run);
    } else if (run->state == MF_RUN_WAITING && run->h->load != NULL) {
        mf_stream_run(run, true);
    } else if (run->state == MF_RUN_WAITING && run->read > run->h->reads_done) {
        mf_run_want_no_read(run);
        mf_holder_want_turn(run->h);
    }
}

static void on_store_late(uv_timer_t *timer)
{
    struct mf_library *lib = mf_container_of(timer, struct mf_library, timer);
    uint64_t now = mf_loop_now_ms(lib->loop);
    struct mf_link *k;

    mf_loop_assert(lib->loop);
    while ((k = mf_list_head(&lib->timed)) != NULL) {
        struct mf_run *run = mf_container_of(k, struct mf_run, in_timed);

        if (run->deadline_ms > now) {
            break;
        }
        mf_list_remove(&lib->timed, k);
        go_on_without(run);
    }
    set_timer(lib);
}

/* All wait equally long, so who comes last is last in line. */
void mf_library_time(struct mf_run *run)
{
    struct mf_library *lib = run->lib;

    mf_library_untime(run);
    run->deadline_ms = mf_loop_now_ms(lib->loop) + lib->cfg.store_timeout_ms;
    mf_list_push_tail(&lib->timed, &run->in_timed);
    if (lib->timed.n == 1) {
        set_timer(lib);
    }
}

void mf_library_untime(struct mf_run *run)
{
    if (mf_link_is_on(&run->in_timed)) {
        mf_list_remove(&run->lib->timed, &run->in_timed);
    }
    if (mf_list_is_empty(&run->lib->timed)) {
        set_timer(run->lib);
    }
}

size_t mf_library_bytes(const struct mf_library *lib)
{
    return lib->bytes;
}

size_t mf_library_n_shelves(const struct mf_library *lib)
{
    return lib->n_shelves;
}
