/* SPDX-License-Identifier: Apache-2.0 */
/* Lending, and the changes that stand in line meanwhile. */
#include "recall/shelf_in.h"

#include "base/mem.h"

enum change_kind { CHANGE_PUT, CHANGE_REPLACE, CHANGE_REMOVE, CHANGE_REMOVE_SESSION };

struct change {
    struct mf_link link; /* first: the shelf frees by it */
    enum change_kind kind;
    struct mf_shelf_row row; /* slices of the bytes below */
    size_t n_bytes;
    char bytes[];
};

_Static_assert(offsetof(struct change, link) == 0, "freed by its link");

static struct mf_slice take_copy(char **at, struct mf_slice from)
{
    struct mf_slice to = {*at, from.n};

    if (from.n > 0) {
        memcpy(*at, from.p, from.n);
        *at += from.n;
    }
    return to;
}

static int stand_in_line(struct mf_shelf *s, enum change_kind kind,
                         const struct mf_shelf_row *row)
{
    size_t n = row->session_id.n + row->agent_id.n + row->rec.n;
    struct change *c = mf_malloc(sizeof(*c) + n);
    char *at;

    if (c == NULL) {
        return MF_ENOMEM;
    }
    at = c->bytes;
    *c = (struct change){.kind = kind, .row.seq = row->seq, .n_bytes = n};
    c->row.session_id = take_copy(&at, row->session_id);
    c->row.agent_id = take_copy(&at, row->agent_id);
    c->row.rec = take_copy(&at, row->rec);
    mf_list_push_tail(&s->line, &c->link);
    s->line_bytes += sizeof(*c) + n;
    return 0;
}

static int apply(struct mf_shelf *s, enum change_kind kind,
                 const struct mf_shelf_row *row)
{
    struct mf_search_view v;
    int rc = 0;

    if (kind == CHANGE_PUT || kind == CHANGE_REPLACE) {
        rc = mf_search_view(row->rec, &v);
    }
    if (rc < 0) {
        return rc;
    }
    switch (kind) {
    case CHANGE_PUT: return mf_shelf_do_put(s, row, &v);
    case CHANGE_REPLACE: return mf_shelf_do_replace(s, row->seq, &v);
    case CHANGE_REMOVE: return mf_shelf_do_remove(s, row->seq);
    case CHANGE_REMOVE_SESSION: return mf_shelf_do_remove_session(s, row->session_id);
    }
    return MF_EINVAL;
}

/* What was checked when it came in can fail only for lack of memory: then it stays in
 * line, first, and whoever borrows next tries again. */
static int apply_line(struct mf_shelf *s)
{
    struct mf_link *k;

    while ((k = mf_list_head(&s->line)) != NULL) {
        struct change *c = mf_container_of(k, struct change, link);

        if (apply(s, c->kind, &c->row) == MF_ENOMEM) {
            return MF_ENOMEM;
        }
        mf_list_remove(&s->line, k);
        s->line_bytes -= sizeof(*c) + c->n_bytes;
        mf_free(c);
    }
    return 0;
}

static bool must_wait(const struct mf_shelf *s)
{
    return s->n_lent > 0 || !mf_list_is_empty(&s->line);
}

static int change(struct mf_shelf *s, enum change_kind kind,
                  const struct mf_shelf_row *row)
{
    return must_wait(s) ? stand_in_line(s, kind, row) : apply(s, kind, row);
}

static bool is_record_of(const struct mf_shelf *s, uint64_t seq,
                         struct mf_slice session)
{
    const struct shelf_rec *rec = mf_shelf_find(s, seq);
    uint32_t index;

    if (rec == NULL) {
        return false;
    }
    index = s->cols[rec->kind].session[rec->at];
    return mf_slice_eq(s->sessions.by_index[index]->id, session);
}

/* As it will be when the line is done. `last` is the put of this seq that counts, when
 * it is one of the line. */
static bool will_have(const struct mf_shelf *s, uint64_t seq,
                      const struct change **last)
{
    bool has = mf_shelf_find(s, seq) != NULL;
    const struct change *put = NULL;

    mf_list_each (&s->line, k) {
        const struct change *c = mf_container_of(k, struct change, link);
        bool is_this = c->row.seq == seq;

        if (c->kind == CHANGE_REMOVE_SESSION) {
            struct mf_slice id = c->row.session_id;

            has = has && !(put != NULL ? mf_slice_eq(put->row.session_id, id)
                                       : is_record_of(s, seq, id));
        } else if (is_this && c->kind == CHANGE_REMOVE) {
            has = false;
        } else if (is_this && c->kind == CHANGE_PUT && !has) {
            has = true;
            put = c;
        }
    }
    *last = has ? put : NULL;
    return has;
}

int mf_shelf_put(struct mf_shelf *s, uint64_t seq, struct mf_slice session_id,
                 struct mf_slice agent_id, struct mf_slice rec)
{
    struct mf_shelf_row row = {seq, session_id, agent_id, rec};
    struct mf_search_view v;
    int rc = mf_search_view(rec, &v);

    return rc < 0 ? rc : change(s, CHANGE_PUT, &row);
}

/* The kind of a record that is or will be there. */
static enum mf_kind kind_of(const struct mf_shelf *s, uint64_t seq,
                            const struct change *put)
{
    struct mf_search_view v;

    if (put != NULL && mf_search_view(put->row.rec, &v) == 0) {
        return mf_kind_of(&v);
    }
    return (enum mf_kind)mf_shelf_find(s, seq)->kind;
}

int mf_shelf_replace(struct mf_shelf *s, uint64_t seq, struct mf_slice rec)
{
    struct mf_shelf_row row = {.seq = seq, .rec = rec};
    const struct change *put;
    struct mf_search_view v;
    int rc = mf_search_view(rec, &v);

    if (rc < 0) {
        return rc;
    }
    if (!will_have(s, seq, &put)) {
        return MF_ENOTFOUND;
    }
    if (kind_of(s, seq, put) != mf_kind_of(&v)) {
        return MF_EINVAL;
    }
    return change(s, CHANGE_REPLACE, &row);
}

static bool is_in_line(const struct mf_shelf *s, uint64_t seq)
{
    mf_list_each (&s->line, k) {
        const struct change *c = mf_container_of(k, struct change, link);

        if (c->row.seq == seq || c->kind == CHANGE_REMOVE_SESSION) {
            return true;
        }
    }
    return false;
}

int mf_shelf_take(struct mf_shelf *s, const struct mf_shelf_row *row)
{
    struct mf_search_view v;
    int rc = mf_search_view(row->rec, &v);

    if (rc < 0) {
        return rc;
    }
    if (mf_shelf_holds(s, row->seq, &v) && !is_in_line(s, row->seq)) {
        return 0;
    }
    rc = mf_shelf_replace(s, row->seq, row->rec);
    return rc == MF_ENOTFOUND ? change(s, CHANGE_PUT, row) : rc;
}

int mf_shelf_remove(struct mf_shelf *s, uint64_t seq)
{
    struct mf_shelf_row row = {.seq = seq};
    const struct change *put;

    return will_have(s, seq, &put) ? change(s, CHANGE_REMOVE, &row) : MF_ENOTFOUND;
}

int mf_shelf_remove_session(struct mf_shelf *s, struct mf_slice session_id)
{
    struct mf_shelf_row row = {.session_id = session_id};

    return change(s, CHANGE_REMOVE_SESSION, &row);
}

bool mf_shelf_has(const struct mf_shelf *s, uint64_t seq)
{
    const struct change *put;

    return will_have(s, seq, &put);
}

int mf_shelf_lend(struct mf_shelf *s, struct mf_shelf_waiter *w)
{
    if (s->n_lent > 0 && !mf_list_is_empty(&s->line)) {
        if (!mf_link_is_on(&w->link)) {
            mf_list_push_tail(&s->waiters, &w->link);
        }
        return MF_EBUSY;
    }
    if (apply_line(s) < 0) {
        return MF_ENOMEM;
    }
    s->n_lent++;
    return 0;
}

/* Only those that wait now: one that must wait again stands at the end. */
static void call_waiters(struct mf_shelf *s)
{
    for (size_t n = s->waiters.n; n > 0 && !mf_list_is_empty(&s->waiters); n--) {
        struct mf_link *k = mf_list_pop_head(&s->waiters);
        struct mf_shelf_waiter *w = mf_container_of(k, struct mf_shelf_waiter, link);

        w->ready(w);
    }
}

void mf_shelf_return(struct mf_shelf *s)
{
    MF_ASSERT(s->n_lent > 0);
    s->n_lent--;
    if (s->n_lent > 0) {
        return;
    }
    /* Without memory the line stays; whoever borrows next is told. */
    if (apply_line(s) < 0) {
        MF_DEBUG_ASSERT(!mf_list_is_empty(&s->line));
    }
    call_waiters(s);
}

void mf_shelf_forget_waiter(struct mf_shelf *s, struct mf_shelf_waiter *w)
{
    if (mf_link_is_on(&w->link)) {
        mf_list_remove(&s->waiters, &w->link);
    }
}

bool mf_shelf_is_lent(const struct mf_shelf *s)
{
    return s->n_lent > 0;
}
