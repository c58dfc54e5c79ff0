/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flushq: the line of flush jobs: five levels (or three), FIFO inside, with ageing.
 * Pure: time is an argument.
 *
 * A job's effective level rises by one for each ageing_ms in line, so that nothing
 * starves; of equal ones the longest in line is first. Each level is a FIFO, so its
 * head is the oldest and only the heads are compared: O(levels) for peek.
 *
 * With three levels CRITICAL and HIGH share the first, LOW and BACKGROUND the last.
 *
 * Owns:    nothing: nodes are embedded in the caller's jobs
 * Thread:  the owner's
 * Limits:  none here: the flusher bounds the number of jobs
 * Fails:   never; `now_ms` must not go back
 */
#ifndef MF_FLUSH_FLUSHQ_H
#define MF_FLUSH_FLUSHQ_H

#include "base/base.h"
#include "base/list.h"
#include "flush/priority.h"

struct mf_flushq_node {
    struct mf_link link;
    enum mf_flush_priority priority;
    unsigned level;    /* the line it stands in */
    uint64_t since_ms; /* in that line */
};

struct mf_flushq {
    struct mf_list lines[MF_FLUSH_PRIORITY_COUNT];
    unsigned n_levels;
    uint64_t ageing_ms; /* 0: no ageing */
    size_t n;
    size_t n_critical; /* of priority CRITICAL */
};

MF_ANY bool mf_flushq_levels_ok(unsigned n_levels); /* 5 or 3 */
MF_ANY void mf_flushq_init(struct mf_flushq *q, unsigned n_levels, uint64_t ageing_ms);
MF_ANY void mf_flushq_push(struct mf_flushq *q, struct mf_flushq_node *node,
                           enum mf_flush_priority p, uint64_t now_ms);
/* Who is next; NULL when nobody is in line. */
MF_ANY struct mf_flushq_node *mf_flushq_peek(const struct mf_flushq *q,
                                             uint64_t now_ms);
MF_ANY struct mf_flushq_node *mf_flushq_pop(struct mf_flushq *q, uint64_t now_ms);
MF_ANY void mf_flushq_remove(struct mf_flushq *q, struct mf_flushq_node *node);
/* To the end of the line of `p`; stays where it is when ageing has brought it that far.
 */
MF_ANY void mf_flushq_raise(struct mf_flushq *q, struct mf_flushq_node *node,
                            enum mf_flush_priority p, uint64_t now_ms);
MF_ANY unsigned mf_flushq_level(const struct mf_flushq *q, enum mf_flush_priority p);
/* Since when the longest in line waits; UINT64_MAX when nobody does. */
MF_ANY uint64_t mf_flushq_oldest_ms(const struct mf_flushq *q);

#endif
