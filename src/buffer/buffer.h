/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buffer: every acknowledged round that the store has not confirmed: where it is, what
 * was made of it (search records), who may see it.
 *
 * One entry per round. An entry is in exactly one place:
 *
 *   WRITE   in its user's write buffer (what buffer_only=true lists)
 *   HYBRID  handed over: waits for its vectors and for the flush
 *   QUEUED  in a flush job, in line
 *   FLYING  in a batch that the store works on
 *   PARKED  a dead letter: refused by the store; still listed, read and found
 *   STORED  the store confirmed it, the journal has not erased it yet: no longer listed
 *           from here, kept only for who waits for the erasing
 *
 * The write buffer's rules (MemFuse's RoundBuffer) are a pure function, mf_wbuf_decide.
 *
 * Owns:    entries, a reference to each item, the search records made for it
 * Thread:  loop; search records are handed to workers by borrowed slice while the entry
 *          is FLYING, during which nobody replaces them
 * Limits:  max_bytes of items and records: mf_buffers_has_room says no before
 * Fails:   MF_ENOMEM; MF_EEXIST for a message id that the user has here already
 */
#ifndef MF_BUFFER_BUFFER_H
#define MF_BUFFER_BUFFER_H

#include "base/base.h"
#include "base/list.h"
#include "base/map.h"
#include "base/str.h"
#include "item/item.h"

enum mf_place {
    MF_PLACE_WRITE,
    MF_PLACE_HYBRID,
    MF_PLACE_QUEUED,
    MF_PLACE_FLYING,
    MF_PLACE_PARKED,
    MF_PLACE_STORED
};

#define MF_PLACE_COUNT 6

struct mf_userbuf;
struct mf_buffers;

struct mf_entry_msg {
    struct mf_map_node by_id;  /* key: message id, in its user's map */
    struct mf_map_node by_seq; /* key: the bytes of seq, in its user's map */
    uint64_t seq;
    struct mf_entry *entry;
    struct mf_buf search;   /* searchrec; empty until made */
    struct mf_buf passages; /* empty: none */
    float *vector;          /* full vector, kept when the store wants it; else NULL */
    bool has_vector;        /* search holds a vector of the model's space */
    bool vector_failed;     /* given up: will be stored pending */
};

struct mf_entry {
    struct mf_item *item;
    enum mf_place place;
    struct mf_userbuf *owner; /* NULL once STORED */
    struct mf_link in_place; /* owner's write or hybrid list; a job's or batch's list */
    struct mf_list *list;    /* QUEUED, FLYING: the list that in_place is on */
    struct mf_link in_user;  /* owner's list of all entries that are listed, by seq */
    uint32_t n_missing;      /* messages with neither vector nor vector_failed */
    uint64_t accepted_ms;    /* monotonic */
    uint64_t hybrid_ms;      /* monotonic: when it was handed over */
    unsigned attempts;       /* of the flush */
    unsigned urgency; /* most urgent mf_flush_priority it was asked for; UINT_MAX:
                         never asked for */
    void *user_data;  /* the engine's */
    struct mf_entry_msg msgs[];
};

struct mf_userbuf {
    struct mf_map_node node; /* key: user id */
    struct mf_id user_id;
    struct mf_list write;    /* entries, MF_PLACE_WRITE */
    struct mf_list hybrid;   /* entries, MF_PLACE_HYBRID */
    struct mf_list all;      /* every entry but STORED, ascending seq */
    struct mf_map by_id;     /* messages of all */
    struct mf_map by_seq;    /* the same ones */
    struct mf_id session_id; /* of the write buffer, empty before the first round */
    uint32_t write_tokens;
    uint64_t last_write_ms;    /* last round into the write buffer */
    uint64_t oldest_hybrid_ms; /* 0: hybrid is empty */
    struct mf_link in_all;     /* of struct mf_buffers */
    void *user_data;           /* the engine's: the shelf */
};

/* ---- the write buffer's rules: pure ---- */

struct mf_wbuf_limits {  /* buffer.round_buffer.* */
    unsigned max_rounds; /* max_size: 5 */
    unsigned max_tokens; /* 800 */
};

enum mf_wbuf_reason {
    MF_WBUF_NONE,
    MF_WBUF_SESSION_CHANGE,
    MF_WBUF_OVERSIZE,
    MF_WBUF_TOKEN_LIMIT,
    MF_WBUF_SIZE_LIMIT
};

struct mf_wbuf_decision {
    bool transfer_first; /* hand over all that is there, before this round */
    bool is_direct;      /* this round goes to the hybrid buffer at once */
    enum mf_wbuf_reason reason;
};

/* The checks in MemFuse's order: session change, oversize, token limit, size limit. */
MF_ANY struct mf_wbuf_decision mf_wbuf_decide(const struct mf_wbuf_limits *lim,
                                              size_t n_rounds, uint32_t tokens,
                                              bool is_other_session,
                                              uint32_t new_tokens);

/* ---- when the hybrid buffer is due: pure ---- */

struct mf_hbuf_limits {
    unsigned max_rounds;        /* buffer.hybrid_buffer.max_size: 5 */
    uint64_t flush_interval_ms; /* buffer.performance.flush_interval: 60 s */
    uint64_t idle_ms;           /* buffer.performance.force_flush_timeout: 1800 s */
    uint64_t vector_wait_ms;    /* flush.vector_wait */
};

enum mf_hbuf_due { MF_HBUF_NOT_DUE, MF_HBUF_DUE_SIZE, MF_HBUF_DUE_INTERVAL };

MF_ANY enum mf_hbuf_due mf_hbuf_is_due(const struct mf_hbuf_limits *lim,
                                       size_t n_rounds, uint64_t oldest_ms,
                                       uint64_t now_ms);
/* May this entry go to the store? Its vectors are there (or given up), or it waited
 * long enough, or the backlog is over its bound (`no_wait`). */
MF_ANY bool mf_entry_is_ready(const struct mf_entry *e,
                              const struct mf_hbuf_limits *lim, uint64_t now_ms,
                              bool no_wait);
MF_ANY bool mf_wbuf_is_idle(const struct mf_userbuf *u,
                            const struct mf_hbuf_limits *lim, uint64_t now_ms);

/* ---- the entries ---- */

MF_MUST MF_LOOP int mf_buffers_new(struct mf_buffers **out, size_t max_bytes);
/* Unrefs all that is left. Nothing may be FLYING, and who holds STORED ones has freed
 * them. */
MF_LOOP void mf_buffers_free(struct mf_buffers *b);
MF_LOOP bool mf_buffers_has_room(const struct mf_buffers *b, size_t bytes);
/* Counted from admission on, before the journal: mf_buffers_add takes over the count.
 */
MF_LOOP void mf_buffers_reserve(struct mf_buffers *b, size_t bytes);
MF_LOOP void mf_buffers_unreserve(struct mf_buffers *b, size_t bytes);
MF_LOOP size_t mf_buffers_bytes(const struct mf_buffers *b);
MF_LOOP size_t mf_buffers_max_bytes(const struct mf_buffers *b);
MF_LOOP size_t mf_buffers_n_messages(const struct mf_buffers *b); /* listed */
MF_LOOP size_t mf_buffers_n_entries(const struct mf_buffers *b, enum mf_place p);

/* The user's buffer, made when absent; goes away with its last entry. */
MF_LOOP struct mf_userbuf *mf_userbuf_find(struct mf_buffers *b,
                                           struct mf_slice user_id);
MF_MUST MF_LOOP int mf_userbuf_get(struct mf_buffers *b, struct mf_slice user_id,
                                   struct mf_userbuf **out);
MF_LOOP struct mf_list *mf_buffers_users(struct mf_buffers *b); /* links: in_all */
/* Called when a user's buffer is about to go (all entries gone). */
typedef void (*mf_userbuf_gone_fn)(struct mf_userbuf *u, void *arg);
MF_LOOP void mf_buffers_on_gone(struct mf_buffers *b, mf_userbuf_gone_fn fn, void *arg);

struct mf_add_outcome {
    struct mf_entry *entry;
    enum mf_wbuf_reason reason; /* why a hand-over happened */
    bool transferred;           /* transfer_first or is_direct */
};

/* A committed round enters: takes its own reference to the item; its bytes were
 * reserved. With lim NULL (replay, bypass) it goes straight to HYBRID. On an error
 * nothing happened: the reservation is still the caller's. MF_EEXIST: one of its
 * message ids is here already. */
MF_MUST MF_LOOP int mf_buffers_add(struct mf_buffers *b, struct mf_item *it,
                                   const struct mf_wbuf_limits *lim, uint64_t now_ms,
                                   struct mf_add_outcome *out);
/* Hands the user's whole write buffer over to HYBRID; how many rounds. */
MF_LOOP size_t mf_userbuf_transfer(struct mf_buffers *b, struct mf_userbuf *u,
                                   uint64_t now_ms);
/* Takes the entries that are ready out of the hybrid list, in order, onto `out` (by
 * in_place): what mf_flush_push is given. They are HYBRID still; when nobody takes them
 * they are given back. How many. */
MF_LOOP size_t mf_userbuf_take_ready(struct mf_userbuf *u,
                                     const struct mf_hbuf_limits *lim, uint64_t now_ms,
                                     bool no_wait, struct mf_list *out);
MF_LOOP void mf_userbuf_give_back(struct mf_userbuf *u, struct mf_list *entries);
/* The one mover between places; lists follow the place. For QUEUED and FLYING the
 * caller brings the list, which then must not be spliced (mf_list_move). PARKED entries
 * are on no place list; those that come back to HYBRID stand in order of seq. */
MF_LOOP void mf_entry_move(struct mf_buffers *b, struct mf_entry *e, enum mf_place to,
                           struct mf_list *list);
/* The store confirmed: out of all lists and maps; STORED. in_place and in_user are the
 * holder's from now on. */
MF_LOOP void mf_entry_stored(struct mf_buffers *b, struct mf_entry *e);
/* Frees the entry (place STORED, or any at stop) and gives its bytes back. */
MF_LOOP void mf_entry_free(struct mf_buffers *b, struct mf_entry *e);

/* What the embedding made. Keeps a copy of just its size and empties the buffers
 * (`passages` may be NULL); counts the bytes. Not while FLYING, when the batch uses the
 * record, nor afterwards: then MF_EBUSY (drop it: the row is stored pending and
 * embedded later). */
MF_MUST MF_LOOP int mf_entry_set_record(struct mf_buffers *b, struct mf_entry_msg *m,
                                        struct mf_buf *search, struct mf_buf *passages,
                                        bool has_vector);
MF_LOOP void mf_entry_vector_failed(struct mf_entry_msg *m);
MF_ANY size_t mf_entry_msg_index(const struct mf_entry_msg *m);

static inline const struct mf_msg *mf_entry_msg_of(const struct mf_entry_msg *m)
{
    return &m->entry->item->msgs[mf_entry_msg_index(m)];
}

MF_LOOP struct mf_entry_msg *mf_userbuf_find_msg(struct mf_userbuf *u,
                                                 struct mf_slice id);
/* By order number, among entries of the user; NULL when it is not here. */
MF_LOOP struct mf_entry_msg *mf_userbuf_find_seq(struct mf_userbuf *u, uint64_t seq);

#endif
