/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/fake_store.h"

#include "base/map.h"

#include <stdio.h>
#include <stdlib.h>

#define MAX_POISON 1024
#define MAX_KEY    (2 * MF_ID_MAX + 2)
#define MAX_IDEMS  4096

struct stored_row {
    struct mf_map_node by_key; /* user id, NUL, message id */
    struct mf_link link;
    struct mf_store_row row;
    char *block; /* all bytes of `row` */
    char key[MAX_KEY];
    size_t n_key;
};

struct pending {
    struct mf_link link;
    struct mf_store_req *req;
    struct mf_fake_plan plan;
    uint64_t due_turn;
};

struct fake {
    struct mf_store base;
    struct mf_turn_hook hook;
    uint64_t turn;
    struct mf_list pending;
    struct mf_map by_key;
    struct mf_list rows;
    struct stored_row sentinel; /* keeps the map's first buckets: no insert can fail */
    struct mf_store_idem idems[MAX_IDEMS];
    char poison[MAX_POISON][MF_ID_MAX + 1];
    size_t n_poison;
    unsigned delay;
    size_t fail_nth, lose_nth;
    int fail_code, lose_code, all_code, submit_code;
    const char *away; /* parts */
    bool is_held;
    mf_fake_plan_fn plan;
    void *plan_arg;
    mf_fake_seen_fn seen;
    void *seen_arg;
    struct mf_fake_stats stats;
    bool is_closing;
    mf_store_closed_fn closed;
    void *closed_arg;
};

static struct fake *fake_of(struct mf_store *s)
{
    return mf_container_of(s, struct fake, base);
}

static void *must(void *p)
{
    MF_ASSERT(p != NULL);
    return p;
}

static struct mf_slice row_key(const struct mf_map_node *node)
{
    const struct stored_row *r =
        (const struct stored_row *)((const char *)node -
                                    offsetof(struct stored_row, by_key));

    return mf_slice_of(r->key, r->n_key);
}

static size_t make_key(char key[MAX_KEY], struct mf_slice user_id, struct mf_slice id)
{
    MF_ASSERT(user_id.n <= MF_ID_MAX && id.n <= MF_ID_MAX);
    memcpy(key, user_id.p, user_id.n);
    key[user_id.n] = '\0';
    memcpy(key + user_id.n + 1, id.p, id.n);
    return user_id.n + 1 + id.n;
}

static struct stored_row *find_row(const struct fake *f, struct mf_slice user_id,
                                   struct mf_slice id)
{
    char key[MAX_KEY];
    size_t n = make_key(key, user_id, id);
    struct mf_map_node *node = mf_map_find(&f->by_key, mf_slice_of(key, n));

    return node == NULL ? NULL : mf_container_of(node, struct stored_row, by_key);
}

static struct mf_slice copy(char **at, struct mf_slice s)
{
    struct mf_slice c = {*at, s.n};

    if (s.n > 0) {
        memcpy(*at, s.p, s.n);
        *at += s.n;
    }
    return c;
}

static void insert_row(struct fake *f, const struct mf_store_row *row)
{
    struct stored_row *r = must(calloc(1, sizeof(*r)));
    size_t n = row->user_id.n + row->session_id.n + row->round_id.n + row->search.n +
               row->passages.n + row->msg.id.n + row->msg.content.n +
               row->msg.metadata.n;
    char *at = must(malloc(n + 1));

    r->block = at;
    r->row = *row;
    r->row.user_id = copy(&at, row->user_id);
    r->row.session_id = copy(&at, row->session_id);
    r->row.round_id = copy(&at, row->round_id);
    r->row.search = copy(&at, row->search);
    r->row.passages = copy(&at, row->passages);
    r->row.msg.id = copy(&at, row->msg.id);
    r->row.msg.content = copy(&at, row->msg.content);
    r->row.msg.metadata = copy(&at, row->msg.metadata);
    r->n_key = make_key(r->key, row->user_id, row->msg.id);
    MF_ASSERT(mf_map_insert(&f->by_key, &r->by_key) == 0);
    mf_list_push_tail(&f->rows, &r->link);
    f->stats.n_rows++;
}

static bool is_same(const struct mf_store_row *a, const struct mf_store_row *b)
{
    return a->seq == b->seq && mf_slice_eq(a->session_id, b->session_id) &&
           mf_slice_eq(a->round_id, b->round_id) &&
           mf_slice_eq(a->msg.content, b->msg.content);
}

static void insert_idem(struct fake *f, const struct mf_store_idem *idem)
{
    struct mf_store_idem *to = &f->idems[f->stats.n_idems];
    char *at;

    if (mf_fake_store_find_idem(&f->base, idem->key) != NULL) {
        return;
    }
    MF_ASSERT(f->stats.n_idems < MAX_IDEMS);
    at = must(malloc(idem->key.n + idem->response.n + 1));
    *to = *idem;
    to->key = copy(&at, idem->key); /* begins the block */
    to->response = copy(&at, idem->response);
    f->stats.n_idems++;
}

static void commit(struct fake *f, struct mf_store_write *w)
{
    for (size_t i = 0; i < w->n_rows; i++) {
        const struct stored_row *r = find_row(f, w->rows[i].user_id, w->rows[i].msg.id);

        if (r == NULL) {
            insert_row(f, &w->rows[i]);
            w->n_changed++;
            continue;
        }
        f->stats.n_again++;
        f->stats.n_different += !is_same(&r->row, &w->rows[i]);
    }
    for (size_t i = 0; i < w->n_idems; i++) {
        insert_idem(f, &w->idems[i]);
    }
}

static bool is_poison(const struct fake *f, struct mf_slice id)
{
    for (size_t i = 0; i < f->n_poison; i++) {
        if (mf_slice_is(id, f->poison[i])) {
            return true;
        }
    }
    return false;
}

static void tell_parts(struct fake *f, struct mf_store_write *w)
{
    f->stats.n_asked_parts++;
    for (size_t i = 0; i < w->n_rows; i++) {
        w->parts[i] = (unsigned char)w->rows[i].user_id.p[0];
    }
}

static bool is_away(const struct fake *f, const struct mf_store_write *w)
{
    for (size_t i = 0; i < w->n_rows; i++) {
        if (strchr(f->away, w->rows[i].user_id.p[0]) != NULL) {
            return true;
        }
    }
    return false;
}

static int write_rounds(struct fake *f, struct mf_store_write *w,
                        const struct mf_fake_plan *plan)
{
    if (plan->code != 0 && !plan->commits) {
        return plan->code;
    }
    if (w->parts != NULL) {
        tell_parts(f, w);
        return 0;
    }
    w->is_part_away = is_away(f, w);
    if (w->is_part_away) {
        return MF_EUNAVAILABLE;
    }
    for (size_t i = 0; i < w->n_rows; i++) {
        if (is_poison(f, w->rows[i].msg.id)) {
            return mf_err_set(&w->req.err, MF_EPOISON, "row %zu is refused", i);
        }
    }
    commit(f, w);
    f->stats.n_lost += plan->code != 0;
    return plan->code;
}

static const struct stored_row *wanted_row(struct fake *f,
                                           const struct mf_store_messages *q, size_t i)
{
    if (q->ids != NULL) {
        return find_row(f, q->user_id, q->ids[i]);
    }
    mf_list_each (&f->rows, k) {
        const struct stored_row *r = mf_container_of(k, struct stored_row, link);

        if (r->row.seq == q->seqs[i] && mf_slice_eq(r->row.user_id, q->user_id)) {
            return r;
        }
    }
    return NULL;
}

static int get_messages(struct fake *f, struct mf_store_messages *q)
{
    q->rows = mf_arena_alloc(&q->req.arena, (q->n + 1) * sizeof(*q->rows));
    if (q->rows == NULL) {
        return MF_ENOMEM;
    }
    for (size_t i = 0; i < q->n; i++) {
        const struct stored_row *r = wanted_row(f, q, i);

        if (r != NULL &&
            (q->session_id.n == 0 || mf_slice_eq(q->session_id, r->row.session_id))) {
            q->rows[q->n_rows++] = r->row;
        }
    }
    return 0;
}

static int get_idem(struct fake *f, struct mf_store_idem_req *q)
{
    const struct mf_store_idem *idem = mf_fake_store_find_idem(&f->base, q->key);

    if (idem == NULL) {
        return MF_ENOTFOUND;
    }
    q->found = *idem;
    return 0;
}

static int work(struct fake *f, struct mf_store_req *req,
                const struct mf_fake_plan *plan)
{
    if (req->op == MF_STORE_WRITE_ROUNDS) {
        return write_rounds(f, mf_container_of(req, struct mf_store_write, req), plan);
    }
    if (plan->code != 0) {
        return plan->code;
    }
    if (req->op == MF_STORE_GET_MESSAGES) {
        return get_messages(f, mf_container_of(req, struct mf_store_messages, req));
    }
    if (req->op == MF_STORE_IDEM_GET) {
        return get_idem(f, mf_container_of(req, struct mf_store_idem_req, req));
    }
    return mf_err_set(&req->err, MF_EINVAL, "the fake store has no verb %d",
                      (int)req->op);
}

static void finish(struct fake *f, struct pending *p)
{
    struct mf_store_req *req = p->req;
    bool is_write = req->op == MF_STORE_WRITE_ROUNDS;

    req->rc = f->is_closing ? MF_ECANCELED : work(f, req, &p->plan);
    f->stats.n_failed += is_write && req->rc != 0;
    f->stats.n_at_once -= is_write;
    free(p);
    req->done(req, req->rc);
}

static void free_fake(struct fake *f)
{
    struct mf_link *k;

    while ((k = mf_list_pop_head(&f->rows)) != NULL) {
        struct stored_row *r = mf_container_of(k, struct stored_row, link);

        free(r->block);
        free(r);
    }
    for (size_t i = 0; i < f->stats.n_idems; i++) {
        free((void *)(uintptr_t)f->idems[i].key.p);
    }
    mf_map_fini(&f->by_key);
    free(f);
}

static void on_turn(struct mf_turn_hook *h)
{
    struct fake *f = mf_container_of(h, struct fake, hook);
    struct mf_list due;
    struct mf_link *k;

    mf_loop_assert(f->base.loop);
    f->turn++;
    mf_list_init(&due);
    mf_list_each_safe (&f->pending, p) {
        if (f->is_closing ||
            mf_container_of(p, struct pending, link)->due_turn <= f->turn) {
            mf_list_remove(&f->pending, p);
            mf_list_push_tail(&due, p);
        }
    }
    while ((k = mf_list_pop_head(&due)) != NULL) {
        finish(f, mf_container_of(k, struct pending, link));
    }
    if (f->is_closing && mf_list_is_empty(&f->pending)) {
        mf_store_closed_fn closed = f->closed;
        void *arg = f->closed_arg;

        mf_loop_forget_hook(f->base.loop, h);
        free_fake(f);
        closed(arg);
        return;
    }
    if (!f->is_held && !mf_list_is_empty(&f->pending)) {
        mf_loop_at_turn_end(f->base.loop, h);
    }
}

static void plan_write(struct fake *f, const struct mf_store_write *w,
                       struct mf_fake_plan *plan)
{
    size_t nth = ++f->stats.n_writes;

    f->stats.n_at_once++;
    f->stats.max_at_once = mf_max(f->stats.max_at_once, f->stats.n_at_once);
    f->stats.n_urgent += w->req.urgency == MF_URGENT;
    plan->code = f->all_code;
    if (nth == f->fail_nth) {
        plan->code = f->fail_code;
    }
    if (nth == f->lose_nth) {
        plan->code = f->lose_code;
        plan->commits = true;
    }
    if (f->plan != NULL) {
        f->plan(nth, w, plan, f->plan_arg);
    }
    if (f->seen != NULL) {
        f->seen(w, f->seen_arg);
    }
}

MF_LOOP static int fake_submit(struct mf_store *s, struct mf_store_req *req)
{
    struct fake *f = fake_of(s);
    struct pending *p;

    if (f->is_closing) {
        return MF_ECLOSED;
    }
    if (f->submit_code != 0) {
        return f->submit_code;
    }
    p = must(calloc(1, sizeof(*p)));
    p->req = req;
    p->plan.turns = f->delay;
    if (req->op == MF_STORE_WRITE_ROUNDS) {
        plan_write(f, mf_container_of(req, struct mf_store_write, req), &p->plan);
    }
    p->due_turn = f->turn + 1 + p->plan.turns;
    mf_list_push_tail(&f->pending, &p->link);
    if (!f->is_held) {
        mf_loop_at_turn_end(s->loop, &f->hook);
    }
    return 0;
}

MF_LOOP static void fake_close(struct mf_store *s, mf_store_closed_fn closed, void *arg)
{
    struct fake *f = fake_of(s);

    f->is_closing = true;
    f->closed = closed;
    f->closed_arg = arg;
    mf_loop_at_turn_end(s->loop, &f->hook);
}

static const struct mf_store_ops fake_ops = {
    .name = "fake", .submit = fake_submit, .close = fake_close};

struct mf_store *mf_fake_store_open(struct mf_loop *l)
{
    struct fake *f = must(calloc(1, sizeof(*f)));

    f->base = (struct mf_store){.ops = &fake_ops, .loop = l};
    f->base.info = (struct mf_store_info){.backend = "fake", .next_seq = 1};
    f->hook.fn = on_turn;
    f->away = "";
    mf_list_init(&f->pending);
    mf_list_init(&f->rows);
    mf_map_init(&f->by_key, row_key);
    MF_ASSERT(mf_map_insert(&f->by_key, &f->sentinel.by_key) == 0);
    return &f->base;
}

void mf_fake_store_delay(struct mf_store *s, unsigned turns)
{
    fake_of(s)->delay = turns;
}

void mf_fake_store_fail_nth(struct mf_store *s, size_t nth, int code)
{
    fake_of(s)->fail_nth = nth;
    fake_of(s)->fail_code = code;
}

void mf_fake_store_lose_nth(struct mf_store *s, size_t nth, int code)
{
    fake_of(s)->lose_nth = nth;
    fake_of(s)->lose_code = code;
}

void mf_fake_store_fail_all(struct mf_store *s, int code)
{
    fake_of(s)->all_code = code;
}

void mf_fake_store_fail_submit(struct mf_store *s, int code)
{
    fake_of(s)->submit_code = code;
}

void mf_fake_store_poison(struct mf_store *s, const char *message_id)
{
    struct fake *f = fake_of(s);

    MF_ASSERT(f->n_poison < MAX_POISON);
    (void)snprintf(f->poison[f->n_poison++], sizeof(f->poison[0]), "%s", message_id);
}

void mf_fake_store_heal(struct mf_store *s)
{
    fake_of(s)->n_poison = 0;
}

void mf_fake_store_hold(struct mf_store *s, bool on)
{
    struct fake *f = fake_of(s);

    mf_loop_assert(s->loop);
    f->is_held = on;
    if (on) {
        mf_loop_forget_hook(s->loop, &f->hook);
    } else {
        mf_loop_at_turn_end(s->loop, &f->hook);
    }
}

void mf_fake_store_plan(struct mf_store *s, mf_fake_plan_fn fn, void *arg)
{
    fake_of(s)->plan = fn;
    fake_of(s)->plan_arg = arg;
}

void mf_fake_store_part_away(struct mf_store *s, const char *parts)
{
    fake_of(s)->away = parts;
}

void mf_fake_store_watch(struct mf_store *s, mf_fake_seen_fn fn, void *arg)
{
    fake_of(s)->seen = fn;
    fake_of(s)->seen_arg = arg;
}

const struct mf_fake_stats *mf_fake_store_stats(struct mf_store *s)
{
    return &fake_of(s)->stats;
}

const struct mf_store_row *mf_fake_store_find(struct mf_store *s, const char *user_id,
                                              const char *message_id)
{
    const struct stored_row *r =
        find_row(fake_of(s), mf_slice_str(user_id), mf_slice_str(message_id));

    return r == NULL ? NULL : &r->row;
}

const struct mf_store_idem *mf_fake_store_find_idem(struct mf_store *s,
                                                    struct mf_slice key)
{
    const struct fake *f = fake_of(s);

    for (size_t i = 0; i < f->stats.n_idems; i++) {
        if (mf_slice_eq(f->idems[i].key, key)) {
            return &f->idems[i];
        }
    }
    return NULL;
}
