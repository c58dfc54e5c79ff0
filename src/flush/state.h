/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state: what the files of the rim share: flusher.c (the line in), fly.c (one batch:
 * rows, store, outcome) and aside.c (batches of a part of the store that is away).
 *
 * Owns:    struct mf_flush, jobs, batches
 * Thread:  loop
 * Limits:  those of flush.h
 * Fails:   those of flush.h
 */
#ifndef MF_FLUSH_STATE_H
#define MF_FLUSH_STATE_H

#include "flush/batch.h"
#include "flush/flush.h"
#include "flush/flushq.h"

/* What an entry's `list` is part of. */
struct flush_group {
    struct mf_list entries; /* by in_place */
    bool is_job;
};

struct flush_job {
    struct flush_group group;
    struct mf_flushq_node node;
};

struct flush_batch {
    struct flush_group group;
    struct mf_flush *flush;
    struct mf_link link; /* waiting, making, flying or aside */
    struct mf_batch_fill fill;
    unsigned attempts;
    uint64_t not_before_ms; /* while it waits; 0: goes before anything else */
    uint64_t serial;        /* grows with each batch that is opened; halves share it */
    bool is_urgent;
    bool is_made; /* its rows were made once; what they lack still is for `prepare` */
    struct mf_flush_make make;
    bool asks_parts; /* its next flight asks where its rows belong, and writes none */
    bool is_placed;  /* all of one part, as the store has just said */
    bool has_part;   /* was told once */
    bool is_aside;
    uint32_t part;
    unsigned n_asides;           /* in a row */
    uint32_t *parts;             /* of its rows, while it asks */
    struct mf_store_write write; /* while it flies */
    struct mf_store_row *rows;
    struct mf_store_idem *idems;
    uint64_t started_ns;
};

struct mf_flush {
    struct mf_loop *loop;
    struct mf_store *store;
    struct mf_buffers *buffers;
    struct mf_flush_config cfg;
    struct mf_flush_events events;
    struct mf_batch_limits limits;
    struct mf_flushq q;
    struct mf_batch_fill queued; /* all jobs together; opened_ms is asked of q */
    struct mf_list waiting;
    struct mf_list making; /* hold a place like those that fly */
    struct mf_list flying;
    struct mf_list aside; /* of each part one has its time, the others wait for it */
    struct mf_dep dep;
    uint64_t n_opened; /* batches */
    uv_timer_t timer;  /* batch age, backoff, breaker: whatever comes first */
    struct mf_turn_hook hook;
    uint64_t memory_at_ms; /* no new batch before: memory was short */
    bool is_room_wanted;
    bool is_hurried;
    bool is_paused;
    bool is_closing;
    mf_flush_closed_fn closed;
    void *closed_arg;
};

/* flusher.c */
MF_LOOP void flush_ask(struct mf_flush *f); /* looks at the end of this turn */
MF_LOOP void flush_end_if_idle(struct mf_flush *f);
/* Backoff is over for all that wait: the store is there again, or somebody is in a
 * hurry. */
MF_LOOP void flush_let_waiting_go(struct mf_flush *f);

/* fly.c */
MF_LOOP struct flush_batch *flush_batch_new(struct mf_flush *f);
MF_LOOP void flush_batch_free(struct flush_batch *b); /* it has no entries */
MF_LOOP void flush_batch_take(struct flush_batch *b, struct mf_entry *e);
/* To the store; or back in line, when a row cannot be made. */
MF_LOOP void flush_batch_launch(struct flush_batch *b);
/* From a batch that waits into another one. */
MF_LOOP void flush_batch_hand_over(struct flush_batch *from, struct flush_batch *to,
                                   struct mf_entry *e);
/* All its entries go back to HYBRID, and it goes. */
MF_LOOP void flush_batch_dissolve(struct flush_batch *b);

/* aside.c: batches are on no list when they are given, entries QUEUED */
MF_LOOP void flush_part_is_away(struct flush_batch *b);
MF_LOOP void flush_parts_told(struct flush_batch *b, const uint32_t *parts);
MF_LOOP void flush_part_is_there(struct mf_flush *f, uint32_t part);
MF_ANY struct flush_batch *flush_aside_due(const struct mf_flush *f, uint64_t now_ms);
/* UINT64_MAX: never */
MF_ANY uint64_t flush_aside_due_at_ms(const struct mf_flush *f);
MF_LOOP void flush_aside_take(struct flush_batch *b);
MF_LOOP void flush_aside_hurry(struct mf_flush *f); /* backoff is over */

static inline size_t flush_n_under_way(const struct mf_flush *f)
{
    return f->making.n + f->flying.n;
}

static inline struct mf_entry *flush_entry_at(struct mf_link *in_place)
{
    return mf_container_of(in_place, struct mf_entry, in_place);
}

#endif
