/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/far_store.h"

#include <stdlib.h>

struct held {
    struct mf_link link;
    struct mf_store_req *req;
};

struct far {
    struct mf_store base; /* first member */
    struct mf_store *near;
    struct mf_turn_hook hook;
    struct mf_list refused; /* to be answered at the end of this turn */
    struct mf_list held;
    size_t n_asked[MF_STORE_LOAD_ROUNDS + 1];
    uint32_t space;   /* of the rows */
    const char *away; /* whose rows; NULL: nobody's */
    bool is_cut, is_stalled, has_failed, is_closing;
    mf_store_closed_fn closed;
    void *closed_arg;
};

static struct far *far_of(const struct mf_store *s)
{
    return mf_container_of((struct mf_store *)(uintptr_t)s, struct far, base);
}

static bool is_first_step(const struct mf_store_walk *w)
{
    return w->user_id.n == 0 && w->seq == 0 && !w->in_knowledge;
}

/* What is to be stored has rows of the part that is away, or its parts are asked for.
 */
static bool is_of_parts(const struct far *f, const struct mf_store_req *req)
{
    const struct mf_store_write *w;

    if (f->away == NULL || req->op != MF_STORE_WRITE_ROUNDS) {
        return false;
    }
    w = mf_container_of((struct mf_store_req *)(uintptr_t)req, struct mf_store_write,
                        req);
    for (size_t i = 0; i < w->n_rows; i++) {
        if (mf_slice_is(w->rows[i].user_id, f->away)) {
            return true;
        }
    }
    return w->parts != NULL;
}

static void answer_parts(const struct far *f, struct mf_store_req *req)
{
    struct mf_store_write *w = mf_container_of(req, struct mf_store_write, req);

    if (w->parts == NULL) {
        w->is_part_away = true;
        req->rc = MF_EUNAVAILABLE;
        (void)mf_err_set(&req->err, req->rc, FAR_STORE_WHY);
        return;
    }
    for (size_t i = 0; i < w->n_rows; i++) {
        w->parts[i] = mf_slice_is(w->rows[i].user_id, f->away);
    }
}

/* Whether it was answered here. */
static bool answer_here(struct far *f, struct mf_store_req *req)
{
    struct mf_store_walk *w;

    if (f->is_closing || f->is_cut) {
        f->has_failed = true;
        req->rc = f->is_closing ? MF_ECANCELED : MF_EUNAVAILABLE;
        (void)mf_err_set(&req->err, req->rc, FAR_STORE_WHY);
        return true;
    }
    if (is_of_parts(f, req)) {
        answer_parts(f, req);
        return true;
    }
    if (req->op != MF_STORE_MARK_FOREIGN) {
        return false;
    }
    w = mf_container_of(req, struct mf_store_walk, req);
    w->is_at_end = is_first_step(w) && w->space == f->space;
    return w->is_at_end;
}

MF_LOOP static void answer_list(struct far *f, struct mf_list *list)
{
    struct mf_list now;
    struct mf_link *k;

    mf_list_init(&now);
    mf_list_move(&now, list);
    while ((k = mf_list_pop_head(&now)) != NULL) {
        struct held *h = mf_container_of(k, struct held, link);
        struct mf_store_req *req = h->req;

        free(h);
        if (answer_here(f, req)) {
            req->done(req, req->rc);
            continue;
        }
        req->store = f->near;
        MF_ASSERT(f->near->ops->submit(f->near, req) == 0);
    }
}

static void on_near_closed(void *arg)
{
    struct far *f = arg;
    mf_store_closed_fn closed = f->closed;
    void *closed_arg = f->closed_arg;

    mf_loop_assert(f->base.loop);
    mf_loop_forget_hook(f->base.loop, &f->hook);
    free(f);
    closed(closed_arg);
}

static void on_turn(struct mf_turn_hook *h)
{
    struct far *f = mf_container_of(h, struct far, hook);

    mf_loop_assert(f->base.loop);
    answer_list(f, &f->refused);
    if (f->is_closing || !f->is_stalled) {
        answer_list(f, &f->held);
    }
    if (f->is_closing) {
        mf_store_close(f->near, on_near_closed, f);
    }
}

MF_LOOP static int far_submit(struct mf_store *s, struct mf_store_req *req)
{
    struct far *f = far_of(s);
    struct held *h;

    if (f->is_closing) {
        return MF_ECLOSED;
    }
    f->n_asked[req->op]++;
    if (!f->is_cut && !f->is_stalled && req->op != MF_STORE_MARK_FOREIGN &&
        !is_of_parts(f, req)) {
        req->store = f->near;
        return f->near->ops->submit(f->near, req);
    }
    h = calloc(1, sizeof(*h));
    MF_ASSERT(h != NULL);
    h->req = req;
    mf_list_push_tail(f->is_stalled ? &f->held : &f->refused, &h->link);
    mf_loop_at_turn_end(s->loop, &f->hook);
    return 0;
}

MF_LOOP static void far_close(struct mf_store *s, mf_store_closed_fn closed, void *arg)
{
    struct far *f = far_of(s);

    f->is_closing = true;
    f->closed = closed;
    f->closed_arg = arg;
    mf_loop_at_turn_end(s->loop, &f->hook);
}

MF_LOOP static void far_health(const struct mf_store *s, struct mf_store_health *out)
{
    const struct far *f = far_of(s);

    *out = (struct mf_store_health){.is_up = !f->has_failed};
    if (!out->is_up) {
        memcpy(out->why, FAR_STORE_WHY, sizeof(FAR_STORE_WHY));
    }
}

static const struct mf_store_ops far_ops = {
    .name = "far", .submit = far_submit, .close = far_close, .health = far_health};

struct mf_store *mf_far_store_open(struct mf_store *near, unsigned node)
{
    struct far *f = calloc(1, sizeof(*f));

    MF_ASSERT(f != NULL);
    f->base = (struct mf_store){.ops = &far_ops, .loop = near->loop};
    f->base.info =
        (struct mf_store_info){.backend = "far", .is_remote = true, .node = node};
    f->near = near;
    f->space = near->info.space;
    f->hook.fn = on_turn;
    mf_list_init(&f->refused);
    mf_list_init(&f->held);
    return &f->base;
}

void mf_far_store_cut(struct mf_store *s, bool is_cut)
{
    far_of(s)->is_cut = is_cut;
    far_of(s)->has_failed = far_of(s)->has_failed && is_cut;
}

void mf_far_store_stall(struct mf_store *s, bool is_stalled)
{
    far_of(s)->is_stalled = is_stalled;
    mf_loop_at_turn_end(s->loop, &far_of(s)->hook);
}

void mf_far_store_part_away(struct mf_store *s, const char *user_id)
{
    far_of(s)->away = user_id;
}

size_t mf_far_store_n_asked(const struct mf_store *s, enum mf_store_op op)
{
    return far_of(s)->n_asked[op];
}
