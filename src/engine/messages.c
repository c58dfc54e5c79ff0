/* SPDX-License-Identifier: Apache-2.0 */
/* Listing and reading: what the buffers hold at the start, then what the store has. In
 * that order nothing on its way between the two can be missed. */
#include "engine/resolve.h"

#include <stdlib.h>
#include <string.h>

struct held {
    struct mf_item *item;
};

struct look {
    struct mf_resolve resolve;
    struct mf_messages_call *c;
    struct mf_engine *e;
    struct mf_store_messages req;
    struct held *held; /* what the rows point into */
    size_t n_held, cap_held;
    struct mf_listed *rows;
    size_t n_rows, cap_rows;
    struct mf_slice *hidden; /* ids in the write buffer, when it is not to be listed */
    size_t n_hidden, cap_hidden;
    bool is_read, has_req;
};

MF_LOOP static void finish(struct look *lk, int rc)
{
    struct mf_messages_call *c = lk->c;

    c->rows = lk->rows;
    c->n_rows = rc == 0 ? lk->n_rows : 0;
    mf_call_finish(&c->call, rc);
    for (size_t i = 0; i < lk->n_held; i++) {
        mf_item_unref(lk->held[i].item);
    }
    if (lk->has_req) {
        mf_store_req_fini(&lk->req.req);
    }
    mf_free(lk->held);
    mf_free(lk->rows);
    mf_free(lk->hidden);
    mf_free(lk);
}

static const char *source_of(const struct mf_entry *en)
{
    return en->place == MF_PLACE_WRITE ? "write_buffer" : "hybrid_buffer";
}

static struct mf_listed *row_add(struct look *lk)
{
    if (mf_grow((void **)&lk->rows, &lk->cap_rows, lk->n_rows + 1, sizeof(*lk->rows)) <
        0) {
        return NULL;
    }
    return &lk->rows[lk->n_rows++];
}

static int take_message(struct look *lk, const struct mf_entry_msg *m)
{
    const struct mf_item *it = m->entry->item;
    const struct mf_msg *msg = mf_entry_msg_of(m);
    struct mf_listed *row = row_add(lk);

    if (row == NULL) {
        return MF_ENOMEM;
    }
    *row = (struct mf_listed){.id = msg->id,
                              .session_id = it->session_id,
                              .user_id = it->user_id,
                              .content = msg->content,
                              .metadata = msg->metadata,
                              .role = msg->role,
                              .created_us = msg->created_us,
                              .updated_us = msg->updated_us,
                              .seq = it->seq + mf_entry_msg_index(m),
                              .source = source_of(m->entry)};
    return 0;
}

MF_LOOP static int hold(struct look *lk, struct mf_item *it)
{
    if (mf_grow((void **)&lk->held, &lk->cap_held, lk->n_held + 1, sizeof(*lk->held)) <
        0) {
        return MF_ENOMEM;
    }
    lk->held[lk->n_held++].item = mf_item_ref(it);
    return 0;
}

static int hide(struct look *lk, const struct mf_item *it)
{
    for (uint32_t i = 0; i < it->n_msgs; i++) {
        if (mf_grow((void **)&lk->hidden, &lk->cap_hidden, lk->n_hidden + 1,
                    sizeof(*lk->hidden)) < 0) {
            return MF_ENOMEM;
        }
        lk->hidden[lk->n_hidden++] = it->msgs[i].id;
    }
    return 0;
}

MF_LOOP static int take_round(struct look *lk, struct mf_entry *en)
{
    bool is_written = en->place == MF_PLACE_WRITE;
    int rc = 0;

    if (hold(lk, en->item) < 0) {
        return MF_ENOMEM;
    }
    if (lk->c->part == MF_LIST_BUT_WRITE_BUFFER && is_written) {
        return hide(lk, en->item);
    }
    for (uint32_t i = 0; rc == 0 && i < en->item->n_msgs; i++) {
        rc = take_message(lk, &en->msgs[i]);
    }
    return rc;
}

/* ---- list ---- */

static int compare_us(int64_t a, int64_t b)
{
    return a < b ? -1 : a > b;
}

static int by_time(const void *a, const void *b)
{
    const struct mf_listed *x = a, *y = b;
    int d = compare_us(x->created_us, y->created_us);

    return d != 0 ? d : x->seq < y->seq ? -1 : x->seq > y->seq;
}

static int by_time_down(const void *a, const void *b)
{
    return by_time(b, a);
}

static int by_id(const void *a, const void *b)
{
    const struct mf_listed *x = a, *y = b;
    int d = memcmp(x->id.p, y->id.p, mf_min(x->id.n, y->id.n));

    return d != 0 ? d : x->id.n < y->id.n ? -1 : x->id.n > y->id.n;
}

static int by_id_down(const void *a, const void *b)
{
    return by_id(b, a);
}

static void sort_and_cut(struct look *lk)
{
    const struct mf_messages_call *c = lk->c;

    if (lk->n_rows > 1) {
        qsort(lk->rows, lk->n_rows, sizeof(*lk->rows),
              c->sort == MF_SORT_ID ? (c->is_descending ? by_id_down : by_id)
                                    : (c->is_descending ? by_time_down : by_time));
    }
    lk->n_rows = mf_min(lk->n_rows, c->limit);
}

static bool is_hidden(const struct look *lk, struct mf_slice id)
{
    for (size_t i = 0; i < lk->n_hidden; i++) {
        if (mf_slice_eq(lk->hidden[i], id)) {
            return true;
        }
    }
    return false;
}

/* A row that the buffers held when we began is listed from there. The buffers give
 * their rounds by ascending seq. */
static bool is_taken(const struct look *lk, size_t n_buffered, uint64_t seq)
{
    size_t lo = 0, hi = n_buffered;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (lk->rows[mid].seq < seq) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo < n_buffered && lk->rows[lo].seq == seq;
}

static int take_row(struct look *lk, const struct mf_store_row *r)
{
    struct mf_listed *row = row_add(lk);

    if (row == NULL) {
        return MF_ENOMEM;
    }
    *row = (struct mf_listed){.id = r->msg.id,
                              .session_id = r->session_id,
                              .user_id = r->user_id,
                              .content = r->msg.content,
                              .metadata = r->msg.metadata,
                              .role = r->msg.role,
                              .created_us = r->msg.created_us,
                              .updated_us = r->msg.updated_us,
                              .seq = r->seq,
                              .source = "store"};
    return 0;
}

static int order_as_asked(struct look *lk);

static void on_store_rows(struct mf_store_req *req, int rc)
{
    struct look *lk = mf_container_of(req, struct look, req.req);
    size_t n_buffered = lk->n_rows;

    mf_loop_assert(lk->e->loop);
    if (rc < 0 && rc != MF_ENOTFOUND) {
        finish(lk, mf_call_blame(&lk->c->call, rc, &req->err));
        return;
    }
    rc = 0;
    for (size_t i = 0; rc == 0 && i < lk->req.n_rows; i++) {
        const struct mf_store_row *r = &lk->req.rows[i];

        if ((lk->is_read || !is_taken(lk, n_buffered, r->seq)) &&
            !is_hidden(lk, r->msg.id)) {
            rc = take_row(lk, r);
        }
    }
    if (rc == 0 && lk->is_read) {
        rc = order_as_asked(lk);
    } else if (rc == 0) {
        sort_and_cut(lk);
    }
    finish(lk, rc);
}

MF_LOOP static int ask_store(struct look *lk, enum mf_store_op op)
{
    lk->req.req.op = op;
    lk->req.req.done = on_store_rows;
    lk->req.req.urgency = MF_URGENT;
    lk->req.user_id = lk->resolve.got[0].user_id;
    lk->req.session_id = lk->resolve.got[0].id;
    lk->has_req = true;
    return lk->e->state == MF_ENGINE_CLOSING
               ? MF_ECLOSED
               : mf_store_submit(lk->e->store, &lk->req.req);
}

/* Short, whatever else waits for the store. */
MF_LOOP static int take_written(struct look *lk, const struct mf_resolve *r,
                                const struct mf_userbuf *u)
{
    mf_list_each (&u->write, k) {
        struct mf_entry *en = mf_container_of(k, struct mf_entry, in_place);

        if (mf_slice_eq(en->item->session_id, r->got[0].id) && take_round(lk, en) < 0) {
            return MF_ENOMEM;
        }
    }
    return 0;
}

MF_LOOP static int take_session(struct look *lk, const struct mf_resolve *r)
{
    struct mf_userbuf *u = mf_userbuf_find(lk->e->buffers, r->got[0].user_id);

    if (u == NULL) {
        return 0;
    }
    if (lk->c->part == MF_LIST_WRITE_BUFFER) {
        return take_written(lk, r, u);
    }
    mf_list_each (&u->all, k) {
        struct mf_entry *en = mf_container_of(k, struct mf_entry, in_user);

        if (mf_slice_eq(en->item->session_id, r->got[0].id) && take_round(lk, en) < 0) {
            return MF_ENOMEM;
        }
    }
    return 0;
}

MF_LOOP static void on_list_resolved(struct mf_resolve *r, int rc)
{
    struct look *lk = mf_container_of(r, struct look, resolve);
    struct mf_messages_call *c = lk->c;

    if (rc < 0) {
        finish(lk, rc);
        return;
    }
    rc = take_session(lk, r);
    if (rc == 0 && (c->limit == 0 ||
                    (c->part == MF_LIST_WRITE_BUFFER && lk->e->conf->buffer_enabled))) {
        sort_and_cut(lk);
        finish(lk, 0);
        return;
    }
    if (rc == 0) {
        /* What was taken here may be among the store's rows when it answers, and is
         * dropped from them: there must be enough others. */
        lk->req.limit = c->limit + lk->n_rows + lk->n_hidden;
        lk->req.sort = c->sort;
        lk->req.is_descending = c->is_descending;
        rc = ask_store(lk, MF_STORE_LIST_MESSAGES);
    }
    if (rc < 0) {
        finish(lk, rc);
    }
}

MF_LOOP static int start(struct mf_engine *e, struct mf_messages_call *c, bool is_read,
                         void (*next)(struct mf_resolve *r, int rc))
{
    int rc = mf_call_check(e, &c->call, false);
    struct look *lk;

    if (rc < 0) {
        return rc;
    }
    lk = mf_calloc(1, sizeof(*lk));
    if (lk == NULL) {
        return mf_call_fail(&c->call, MF_ENOMEM, NULL, "out of memory");
    }
    c->missing = NULL;
    c->n_missing = 0;
    lk->e = e;
    lk->c = c;
    lk->is_read = is_read;
    mf_call_begin(e, &c->call);
    mf_resolve_want(&lk->resolve, MF_ENTITY_SESSION, c->session_id);
    mf_resolve_start(&lk->resolve, &c->call, next);
    return 0;
}

int mf_engine_list(struct mf_engine *e, struct mf_messages_call *c)
{
    return start(e, c, false, on_list_resolved);
}

/* ---- read ---- */

/* Where each of the ids stands among the rows; an id that is asked for twice: where
 * its first stands. */
static const struct mf_listed **rows_by_id(const struct look *lk,
                                           const struct mf_idset *set)
{
    size_t n = (lk->c->n_ids + 1) * sizeof(struct mf_listed *);
    const struct mf_listed **at = mf_arena_alloc(lk->c->call.arena, n);

    if (at == NULL) {
        return NULL;
    }
    memset(at, 0, n);
    for (size_t i = 0; i < lk->n_rows; i++) {
        size_t k = mf_idset_find(set, lk->rows[i].id);

        if (k != MF_IDSET_NONE) {
            at[k] = &lk->rows[i];
        }
    }
    return at;
}

MF_LOOP static int order_as_asked(struct look *lk)
{
    struct mf_messages_call *c = lk->c;
    struct mf_listed *out = mf_array(c->n_ids + 1, sizeof(*out));
    struct mf_slice *missing =
        mf_arena_alloc(c->call.arena, (c->n_ids + 1) * sizeof(*missing));
    const struct mf_listed **at = NULL;
    struct mf_idset set;

    if (mf_idset_build(&set, c->call.arena, c->ids, c->n_ids) == 0) {
        at = rows_by_id(lk, &set);
    }
    if (out == NULL || missing == NULL || at == NULL) {
        mf_free(out);
        return MF_ENOMEM;
    }
    for (size_t i = 0; i < c->n_ids; i++) {
        const struct mf_listed *row = at[mf_idset_find(&set, c->ids[i])];

        if (row == NULL) {
            missing[c->n_missing++] = c->ids[i];
        } else {
            out[i - c->n_missing] = *row;
        }
    }
    mf_free(lk->rows);
    lk->rows = out;
    lk->n_rows = c->n_ids - c->n_missing;
    c->missing = missing;
    return c->n_missing == 0 ? 0
                             : mf_call_fail(&c->call, MF_ENOTFOUND, "message_ids",
                                            "Some message IDs were not found");
}

MF_LOOP static void on_read_resolved(struct mf_resolve *r, int rc)
{
    struct look *lk = mf_container_of(r, struct look, resolve);
    struct mf_messages_call *c = lk->c;
    struct mf_slice *rest =
        mf_arena_alloc(c->call.arena, (c->n_ids + 1) * sizeof(*rest));
    struct mf_userbuf *u;
    size_t n_rest = 0;

    if (rc == 0 && rest == NULL) {
        rc = MF_ENOMEM;
    }
    u = rc < 0 ? NULL : mf_userbuf_find(lk->e->buffers, r->got[0].user_id);
    for (size_t i = 0; rc == 0 && i < c->n_ids; i++) {
        struct mf_entry_msg *m = u == NULL ? NULL : mf_userbuf_find_msg(u, c->ids[i]);

        if (m != NULL && mf_slice_eq(m->entry->item->session_id, r->got[0].id)) {
            rc = hold(lk, m->entry->item);
            rc = rc == 0 ? take_message(lk, m) : rc;
        } else {
            rest[n_rest++] = c->ids[i];
        }
    }
    if (rc == 0 && n_rest == 0) {
        rc = order_as_asked(lk);
        finish(lk, rc);
        return;
    }
    if (rc == 0) {
        lk->req.ids = rest;
        lk->req.n = n_rest;
        rc = ask_store(lk, MF_STORE_GET_MESSAGES);
    }
    if (rc < 0) {
        finish(lk, rc);
    }
}

int mf_engine_read(struct mf_engine *e, struct mf_messages_call *c)
{
    return start(e, c, true, on_read_resolved);
}
