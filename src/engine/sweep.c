/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Visits to all users, in slices: with a hundred thousand of them one walk would hold
 * the loop too long. Who was visited goes to the list's tail, so that the next slice
 * goes on with the others, whoever came or went meanwhile.
 */
#include "engine/engine_priv.h"

#define SLICE_NS      2000000
#define USERS_A_CLOCK 16

MF_LOOP static void visit(struct mf_engine *e, struct mf_userbuf *u)
{
    bool full = mf_buffers_bytes(e->buffers) > mf_buffers_max_bytes(e->buffers) / 4 * 3;

    if (e->state == MF_ENGINE_DRAINING) {
        mf_engine_push_all(e, u, MF_FLUSH_CRITICAL);
    } else if (full || mf_wbuf_is_idle(u, &e->hbuf_limits, mf_loop_now_ms(e->loop))) {
        mf_engine_push_rest(e, u, MF_FLUSH_HIGH);
    } else {
        mf_engine_consider(e, u);
    }
    mf_settle_visit(e, u); /* may take `u` away */
}

MF_LOOP static void visit_slice(struct mf_engine *e)
{
    struct mf_list *users = mf_buffers_users(e->buffers);
    uint64_t until_ns = uv_hrtime() + SLICE_NS;

    for (size_t i = 1; e->sweep_left > 0 && !mf_list_is_empty(users); i++) {
        struct mf_link *k = mf_list_pop_head(users);

        mf_list_push_tail(users, k);
        e->sweep_left--;
        visit(e, mf_container_of(k, struct mf_userbuf, in_all));
        if (i % USERS_A_CLOCK == 0 && uv_hrtime() >= until_ns) {
            break;
        }
    }
    if (mf_list_is_empty(users)) {
        e->sweep_left = 0;
    }
}

static void on_sweep(struct mf_turn_hook *h)
{
    struct mf_engine *e = mf_container_of(h, struct mf_engine, sweep_hook);

    mf_loop_assert(e->loop);
    if (e->state == MF_ENGINE_CLOSING) {
        return;
    }
    visit_slice(e);
    if (e->sweep_left > 0) {
        mf_loop_at_turn_end(e->loop, &e->sweep_hook);
        return;
    }
    e->is_sweeping = false;
    mf_settle_sweep_ends(e);
    if (e->is_sweep_wanted) {
        mf_engine_sweep(e);
    }
}

void mf_engine_init_sweep(struct mf_engine *e)
{
    e->sweep_hook.fn = on_sweep;
}

void mf_engine_sweep(struct mf_engine *e)
{
    if (e->state == MF_ENGINE_CLOSING) {
        return;
    }
    if (e->is_sweeping) { /* never begun anew half way: then it might never end */
        e->is_sweep_wanted = true;
        return;
    }
    e->is_sweeping = true;
    e->is_sweep_wanted = false;
    e->sweep_left = mf_buffers_users(e->buffers)->n;
    mf_settle_sweep_begins(e);
    mf_loop_at_turn_end(e->loop, &e->sweep_hook);
}
