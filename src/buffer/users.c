/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"
#include "base/mem.h"
#include "buffer/state.h"

static struct mf_slice user_key(const struct mf_map_node *node)
{
    const struct mf_userbuf *u =
        (const struct mf_userbuf *)((const char *)node -
                                    offsetof(struct mf_userbuf, node));

    return mf_id_slice(&u->user_id);
}

static struct mf_slice id_key(const struct mf_map_node *node)
{
    const struct mf_entry_msg *m =
        (const struct mf_entry_msg *)((const char *)node -
                                      offsetof(struct mf_entry_msg, by_id));

    return mf_entry_msg_of(m)->id;
}

static struct mf_slice seq_key(const struct mf_map_node *node)
{
    const struct mf_entry_msg *m =
        (const struct mf_entry_msg *)((const char *)node -
                                      offsetof(struct mf_entry_msg, by_seq));

    return mf_slice_of((const char *)&m->seq, sizeof(m->seq));
}

int mf_buffers_new(struct mf_buffers **out, size_t max_bytes)
{
    struct mf_buffers *b = mf_calloc(1, sizeof(*b));

    if (b == NULL) {
        return MF_ENOMEM;
    }
    mf_map_init(&b->by_user, user_key);
    mf_list_init(&b->users);
    b->max_bytes = max_bytes;
    *out = b;
    return 0;
}

MF_LOOP static void free_entries_of(struct mf_buffers *b, struct mf_userbuf *u)
{
    size_t left = u->all.n;

    /* The last one takes the user with it. */
    for (; left > 0; left--) {
        mf_entry_free(b,
                      mf_container_of(mf_list_head(&u->all), struct mf_entry, in_user));
    }
}

void mf_buffers_free(struct mf_buffers *b)
{
    if (b == NULL) {
        return;
    }
    MF_ASSERT(b->n_entries[MF_PLACE_FLYING] == 0 && b->n_entries[MF_PLACE_STORED] == 0);
    while (!mf_list_is_empty(&b->users)) {
        struct mf_userbuf *u =
            mf_container_of(mf_list_head(&b->users), struct mf_userbuf, in_all);

        if (mf_list_is_empty(&u->all)) {
            mf_userbuf_drop(b, u);
        } else {
            free_entries_of(b, u);
        }
    }
    mf_map_fini(&b->by_user);
    mf_free(b);
}

bool mf_buffers_has_room(const struct mf_buffers *b, size_t bytes)
{
    return b->bytes <= b->max_bytes && bytes <= b->max_bytes - b->bytes;
}

void mf_buffers_reserve(struct mf_buffers *b, size_t bytes)
{
    b->bytes += bytes;
}

void mf_buffers_unreserve(struct mf_buffers *b, size_t bytes)
{
    MF_ASSERT(bytes <= b->bytes);
    b->bytes -= bytes;
}

size_t mf_buffers_bytes(const struct mf_buffers *b)
{
    return b->bytes;
}

size_t mf_buffers_max_bytes(const struct mf_buffers *b)
{
    return b->max_bytes;
}

size_t mf_buffers_n_messages(const struct mf_buffers *b)
{
    return b->n_messages;
}

size_t mf_buffers_n_entries(const struct mf_buffers *b, enum mf_place p)
{
    return b->n_entries[p];
}

struct mf_list *mf_buffers_users(struct mf_buffers *b)
{
    return &b->users;
}

void mf_buffers_on_gone(struct mf_buffers *b, mf_userbuf_gone_fn fn, void *arg)
{
    b->gone = fn;
    b->gone_arg = arg;
}

struct mf_userbuf *mf_userbuf_find(struct mf_buffers *b, struct mf_slice user_id)
{
    struct mf_map_node *node = mf_map_find(&b->by_user, user_id);

    return node == NULL ? NULL : mf_container_of(node, struct mf_userbuf, node);
}

int mf_userbuf_get(struct mf_buffers *b, struct mf_slice user_id,
                   struct mf_userbuf **out)
{
    struct mf_userbuf *u = mf_userbuf_find(b, user_id);
    int rc;

    if (u != NULL) {
        *out = u;
        return 0;
    }
    u = mf_calloc(1, sizeof(*u));
    if (u == NULL) {
        return MF_ENOMEM;
    }
    rc = mf_id_from(&u->user_id, user_id);
    if (rc == 0) {
        rc = mf_map_insert(&b->by_user, &u->node);
    }
    if (rc != 0) {
        mf_free(u);
        return rc;
    }
    mf_list_init(&u->write);
    mf_list_init(&u->hybrid);
    mf_list_init(&u->all);
    mf_map_init(&u->by_id, id_key);
    mf_map_init(&u->by_seq, seq_key);
    mf_list_push_tail(&b->users, &u->in_all);
    *out = u;
    return 0;
}

void mf_userbuf_drop(struct mf_buffers *b, struct mf_userbuf *u)
{
    MF_ASSERT(mf_list_is_empty(&u->all) && mf_list_is_empty(&u->write) &&
              mf_list_is_empty(&u->hybrid));
    if (b->gone != NULL) {
        b->gone(u, b->gone_arg);
    }
    mf_list_remove(&b->users, &u->in_all);
    mf_map_remove(&b->by_user, &u->node);
    mf_map_fini(&u->by_id);
    mf_map_fini(&u->by_seq);
    mf_free(u);
}

void mf_userbuf_note_oldest(struct mf_userbuf *u)
{
    struct mf_link *head = mf_list_head(&u->hybrid);

    /* 0 is the word for an empty buffer. */
    u->oldest_hybrid_ms =
        head == NULL
            ? 0
            : mf_max(mf_container_of(head, struct mf_entry, in_place)->hybrid_ms, 1);
}

static struct mf_entry *entry_at(struct mf_link *in_place)
{
    return mf_container_of(in_place, struct mf_entry, in_place);
}

/* Inserts `e` somewhere before `at`, which is where a walk towards the head begins. */
static void link_before(struct mf_list *hybrid, struct mf_link *at, struct mf_entry *e)
{
    while (at->prev != &hybrid->head && entry_at(at->prev)->item->seq > e->item->seq) {
        at = at->prev;
    }
    mf_link_insert(hybrid, &e->in_place, at);
}

void mf_userbuf_link_hybrid(struct mf_userbuf *u, struct mf_entry *e)
{
    link_before(&u->hybrid, &u->hybrid.head, e);
}

size_t mf_userbuf_transfer(struct mf_buffers *b, struct mf_userbuf *u, uint64_t now_ms)
{
    size_t n = 0;

    for (; !mf_list_is_empty(&u->write); n++) {
        struct mf_entry *e =
            mf_container_of(mf_list_head(&u->write), struct mf_entry, in_place);

        e->hybrid_ms = now_ms;
        mf_entry_move(b, e, MF_PLACE_HYBRID, NULL);
    }
    return n;
}

size_t mf_userbuf_take_ready(struct mf_userbuf *u, const struct mf_hbuf_limits *lim,
                             uint64_t now_ms, bool no_wait, struct mf_list *out)
{
    size_t n = 0;

    mf_list_each_safe (&u->hybrid, k) {
        if (mf_entry_is_ready(mf_container_of(k, struct mf_entry, in_place), lim,
                              now_ms, no_wait)) {
            mf_list_remove(&u->hybrid, k);
            mf_list_push_tail(out, k);
            n++;
        }
    }
    mf_userbuf_note_oldest(u);
    return n;
}

/* Both lists are in order: one walk from the tails merges them. */
void mf_userbuf_give_back(struct mf_userbuf *u, struct mf_list *entries)
{
    struct mf_link *at = &u->hybrid.head;

    for (size_t left = entries->n; left > 0; left--) {
        struct mf_entry *e = entry_at(entries->head.prev);

        mf_list_remove(entries, &e->in_place);
        link_before(&u->hybrid, at, e);
        at = &e->in_place;
    }
    mf_userbuf_note_oldest(u);
}

struct mf_entry_msg *mf_userbuf_find_msg(struct mf_userbuf *u, struct mf_slice id)
{
    struct mf_map_node *node = mf_map_find(&u->by_id, id);

    return node == NULL ? NULL : mf_container_of(node, struct mf_entry_msg, by_id);
}

struct mf_entry_msg *mf_userbuf_find_seq(struct mf_userbuf *u, uint64_t seq)
{
    struct mf_slice key = mf_slice_of((const char *)&seq, sizeof(seq));
    struct mf_map_node *node = mf_map_find(&u->by_seq, key);

    return node == NULL ? NULL : mf_container_of(node, struct mf_entry_msg, by_seq);
}
