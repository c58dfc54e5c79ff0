/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"
#include "base/mem.h"
#include "buffer/state.h"

#include <limits.h>
#include <string.h>

#define PLACE_BIT(p) (1u << MF_PLACE_##p)

/* Where an entry may go from each place. STORED has a mover of its own. */
static const unsigned moves[MF_PLACE_COUNT] = {
    [MF_PLACE_WRITE] = PLACE_BIT(HYBRID),
    [MF_PLACE_HYBRID] = PLACE_BIT(QUEUED) | PLACE_BIT(PARKED),
    [MF_PLACE_QUEUED] = PLACE_BIT(QUEUED) | PLACE_BIT(FLYING) | PLACE_BIT(HYBRID),
    [MF_PLACE_FLYING] = PLACE_BIT(QUEUED) | PLACE_BIT(HYBRID) | PLACE_BIT(PARKED),
    [MF_PLACE_PARKED] = PLACE_BIT(QUEUED) | PLACE_BIT(HYBRID),
    [MF_PLACE_STORED] = 0,
};

static size_t record_bytes(const struct mf_entry_msg *m)
{
    return m->search.cap + m->passages.cap;
}

static size_t entry_bytes(const struct mf_entry *e)
{
    size_t n = e->item->bytes;

    for (uint32_t i = 0; i < e->item->n_msgs; i++) {
        n += record_bytes(&e->msgs[i]);
    }
    return n;
}

static bool is_missing(const struct mf_entry_msg *m)
{
    return !m->has_vector && !m->vector_failed;
}

static void set_place(struct mf_buffers *b, struct mf_entry *e, enum mf_place to)
{
    MF_ASSERT(b->n_entries[e->place] > 0);
    b->n_entries[e->place]--;
    b->n_entries[to]++;
    e->place = to;
}

/* From its place's list, when it is on one: who hands over a list of his own (see
 * mf_flush_push) takes the entry off it before. */
MF_LOOP static void leave_list(struct mf_entry *e)
{
    if (mf_link_is_on(&e->in_place)) {
        switch (e->place) {
        case MF_PLACE_WRITE: mf_list_remove(&e->owner->write, &e->in_place); break;
        case MF_PLACE_HYBRID: mf_list_remove(&e->owner->hybrid, &e->in_place); break;
        case MF_PLACE_QUEUED:
        case MF_PLACE_FLYING: mf_list_remove(e->list, &e->in_place); break;
        case MF_PLACE_PARKED:
        case MF_PLACE_STORED: break;
        }
    }
    e->list = NULL;
    if (e->place == MF_PLACE_WRITE) {
        MF_ASSERT(e->owner->write_tokens >= e->item->tokens);
        e->owner->write_tokens -= e->item->tokens;
    } else if (e->place == MF_PLACE_HYBRID) {
        mf_userbuf_note_oldest(e->owner);
    }
}

void mf_entry_move(struct mf_buffers *b, struct mf_entry *e, enum mf_place to,
                   struct mf_list *list)
{
    bool wants_list = to == MF_PLACE_QUEUED || to == MF_PLACE_FLYING;

    MF_ASSERT((moves[e->place] >> to & 1) != 0 && (list != NULL) == wants_list);
    if (list != NULL && list == e->list) {
        set_place(b, e, to);
        return;
    }
    leave_list(e);
    set_place(b, e, to);
    if (wants_list) {
        e->list = list;
        mf_list_push_tail(list, &e->in_place);
    } else if (to == MF_PLACE_HYBRID) {
        mf_userbuf_link_hybrid(e->owner, e);
        mf_userbuf_note_oldest(e->owner);
    }
}

static void forget_messages(struct mf_userbuf *u, struct mf_entry *e, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        mf_map_remove(&u->by_id, &e->msgs[i].by_id);
        mf_map_remove(&u->by_seq, &e->msgs[i].by_seq);
    }
}

MF_LOOP static int enter_message(struct mf_userbuf *u, struct mf_entry_msg *m)
{
    int rc;

    if (mf_userbuf_find_msg(u, mf_entry_msg_of(m)->id) != NULL) {
        return MF_EEXIST;
    }
    rc = mf_map_insert(&u->by_id, &m->by_id);
    if (rc != 0) {
        return rc;
    }
    rc = mf_map_insert(&u->by_seq, &m->by_seq);
    if (rc != 0) {
        mf_map_remove(&u->by_id, &m->by_id);
    }
    return rc;
}

MF_LOOP static int enter_messages(struct mf_userbuf *u, struct mf_entry *e)
{
    for (uint32_t i = 0; i < e->item->n_msgs; i++) {
        int rc = enter_message(u, &e->msgs[i]);

        if (rc != 0) {
            forget_messages(u, e, i);
            return rc;
        }
    }
    return 0;
}

/* The entry is a borrower of `it` until it has entered for good. */
static struct mf_entry *entry_new(struct mf_item *it, struct mf_userbuf *u,
                                  uint64_t now_ms)
{
    struct mf_entry *e =
        mf_calloc(1, sizeof(*e) + (size_t)it->n_msgs * sizeof(struct mf_entry_msg));

    if (e == NULL) {
        return NULL;
    }
    e->item = it;
    e->owner = u;
    e->n_missing = it->n_msgs;
    e->accepted_ms = now_ms;
    e->urgency = UINT_MAX;
    for (uint32_t i = 0; i < it->n_msgs; i++) {
        e->msgs[i].entry = e;
        e->msgs[i].seq = it->seq + i;
    }
    return e;
}

/* Rounds come in order of seq, but for a replay that goes on beside new ones. */
static void link_in_user(struct mf_userbuf *u, struct mf_entry *e)
{
    struct mf_link *at = &u->all.head;

    while (at->prev != &u->all.head &&
           mf_container_of(at->prev, struct mf_entry, in_user)->item->seq >
               e->item->seq) {
        at = at->prev;
    }
    mf_link_insert(&u->all, &e->in_user, at);
}

MF_LOOP static void place_new(struct mf_buffers *b, struct mf_entry *e, bool is_direct,
                              uint64_t now_ms)
{
    struct mf_userbuf *u = e->owner;

    e->place = is_direct ? MF_PLACE_HYBRID : MF_PLACE_WRITE;
    b->n_entries[e->place]++;
    if (is_direct) {
        e->hybrid_ms = now_ms;
        mf_userbuf_link_hybrid(u, e);
        mf_userbuf_note_oldest(u);
        return;
    }
    mf_list_push_tail(&u->write, &e->in_place);
    u->write_tokens += e->item->tokens;
    u->last_write_ms = now_ms;
}

MF_LOOP static struct mf_wbuf_decision
decide(struct mf_userbuf *u, const struct mf_item *it, const struct mf_wbuf_limits *lim)
{
    bool is_other;

    if (lim == NULL) {
        return (struct mf_wbuf_decision){.is_direct = true};
    }
    is_other = u->session_id.n > 0 &&
               !mf_slice_eq(mf_id_slice(&u->session_id), it->session_id);
    return mf_wbuf_decide(lim, u->write.n, u->write_tokens, is_other, it->tokens);
}

MF_LOOP static int make_entry(struct mf_userbuf *u, struct mf_item *it, uint64_t now_ms,
                              struct mf_entry **out)
{
    struct mf_entry *e = entry_new(it, u, now_ms);
    int rc;

    if (e == NULL) {
        return MF_ENOMEM;
    }
    rc = enter_messages(u, e);
    if (rc != 0) {
        mf_free(e);
        return rc;
    }
    *out = e;
    return 0;
}

int mf_buffers_add(struct mf_buffers *b, struct mf_item *it,
                   const struct mf_wbuf_limits *lim, uint64_t now_ms,
                   struct mf_add_outcome *out)
{
    bool is_new_user = mf_userbuf_find(b, it->user_id) == NULL;
    struct mf_wbuf_decision d;
    struct mf_id session_id = {0};
    struct mf_userbuf *u;
    struct mf_entry *e = NULL;
    int rc = it->session_id.n == 0 ? 0 : mf_id_from(&session_id, it->session_id);

    MF_ASSERT(it->n_msgs > 0); /* a round without messages never becomes an item */
    if (rc != 0) {
        return rc;
    }
    rc = mf_userbuf_get(b, it->user_id, &u);
    if (rc != 0) {
        return rc;
    }
    rc = make_entry(u, it, now_ms, &e);
    if (rc != 0) {
        if (is_new_user) {
            mf_userbuf_drop(b, u);
        }
        return rc;
    }
    d = decide(u, it, lim);
    if (d.transfer_first) {
        (void)mf_userbuf_transfer(b, u, now_ms);
    }
    if (lim != NULL) {
        u->session_id = session_id;
    }
    (void)mf_item_ref(it);
    link_in_user(u, e);
    place_new(b, e, d.is_direct, now_ms);
    b->n_messages += it->n_msgs;
    *out = (struct mf_add_outcome){
        .entry = e, .reason = d.reason, .transferred = d.transfer_first || d.is_direct};
    return 0;
}

/* Out of its user's lists and maps; the last one takes the user's buffer with it. */
MF_LOOP static void unlist(struct mf_buffers *b, struct mf_entry *e)
{
    struct mf_userbuf *u = e->owner;

    leave_list(e);
    mf_list_remove(&u->all, &e->in_user);
    forget_messages(u, e, e->item->n_msgs);
    b->n_messages -= e->item->n_msgs;
    e->owner = NULL;
    if (mf_list_is_empty(&u->all)) {
        mf_userbuf_drop(b, u);
    }
}

void mf_entry_stored(struct mf_buffers *b, struct mf_entry *e)
{
    MF_ASSERT(e->place != MF_PLACE_STORED);
    unlist(b, e);
    set_place(b, e, MF_PLACE_STORED);
}

void mf_entry_free(struct mf_buffers *b, struct mf_entry *e)
{
    size_t bytes = entry_bytes(e);

    if (e->place != MF_PLACE_STORED) {
        unlist(b, e);
    }
    MF_ASSERT(b->n_entries[e->place] > 0 && b->bytes >= bytes);
    b->n_entries[e->place]--;
    b->bytes -= bytes;
    for (uint32_t i = 0; i < e->item->n_msgs; i++) {
        mf_buf_fini(&e->msgs[i].search);
        mf_buf_fini(&e->msgs[i].passages);
        mf_free(e->msgs[i].vector);
    }
    mf_item_unref(e->item);
    mf_free(e);
}

/* Of just the size, and from the loop's part of the heap: what a worker allocated comes
 * from one of its own, where the room that leaves with stored rounds is of no use to
 * the next ones. */
static int copy_buf(struct mf_buf *to, const struct mf_buf *from)
{
    mf_buf_init(to);
    if (from == NULL || from->n == 0) {
        return 0;
    }
    to->p = mf_malloc(from->n);
    if (to->p == NULL) {
        return MF_ENOMEM;
    }
    memcpy(to->p, from->p, from->n);
    to->n = to->cap = from->n;
    return 0;
}

static void replace_buf(struct mf_buf *to, struct mf_buf *copy, struct mf_buf *from)
{
    mf_buf_fini(to);
    *to = *copy;
    if (from != NULL) {
        mf_buf_fini(from);
    }
}

int mf_entry_set_record(struct mf_buffers *b, struct mf_entry_msg *m,
                        struct mf_buf *search, struct mf_buf *passages, bool has_vector)
{
    size_t before = record_bytes(m);
    bool was_missing = is_missing(m);
    struct mf_buf record, spans;

    if (m->entry->place == MF_PLACE_FLYING || m->entry->place == MF_PLACE_STORED) {
        return MF_EBUSY;
    }
    if (search->failed || (passages != NULL && passages->failed)) {
        return MF_ENOMEM;
    }
    if (copy_buf(&record, search) < 0) {
        return MF_ENOMEM;
    }
    if (copy_buf(&spans, passages) < 0) {
        mf_buf_fini(&record);
        return MF_ENOMEM;
    }
    replace_buf(&m->search, &record, search);
    replace_buf(&m->passages, &spans, passages);
    m->has_vector = has_vector;
    m->entry->n_missing += (uint32_t)is_missing(m) - (uint32_t)was_missing;
    MF_ASSERT(b->bytes >= before);
    b->bytes = b->bytes - before + record_bytes(m);
    return 0;
}

void mf_entry_vector_failed(struct mf_entry_msg *m)
{
    if (is_missing(m)) {
        MF_ASSERT(m->entry->n_missing > 0);
        m->entry->n_missing--;
    }
    m->vector_failed = true;
}

size_t mf_entry_msg_index(const struct mf_entry_msg *m)
{
    return (size_t)(m - m->entry->msgs);
}
