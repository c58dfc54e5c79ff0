/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seqs: order numbers. Pure: time is an argument.
 *
 * A store on this disk counts: it can tell the greatest number when it is opened. A
 * remote one cannot (it may be away), and may not be ours alone; then a number is made
 * of the clock:
 *
 *     63            22            12             0
 *      | ms since    | node        | counter     |
 *      | 2024-01-01  | 0..1023     | 0..4095     |
 *
 * Either way each number is greater than all before, also when the clock stands or goes
 * back: then the milliseconds are counted on, ahead of the clock.
 *
 * Owns:    its own numbers
 * Thread:  the owner's
 * Limits:  41 bits of milliseconds: 63 bits cannot overflow before September 2093; a
 *          clock beyond that is taken for one that stands
 * Fails:   never
 */
#ifndef MF_ENGINE_SEQS_H
#define MF_ENGINE_SEQS_H

#include "base/base.h"

#define MF_SEQS_EPOCH_MS     UINT64_C(1704067200000) /* 2024-01-01T00:00Z */
#define MF_SEQS_MS_SHIFT     22
#define MF_SEQS_NODE_SHIFT   12
#define MF_SEQS_A_MS         (1U << MF_SEQS_NODE_SHIFT) /* numbers of a node in one ms */
#define MF_SEQS_MAX_NODE     1023
#define MF_SEQS_MAX_CLOCK_MS ((UINT64_C(1) << 41) - 1)

struct mf_seqs {
    uint64_t next; /* above all that were given; by clock: not the next one as a rule */
    bool is_by_clock;
    unsigned node;
};

/* Counts from `next` (>= 1) on. */
MF_ANY void mf_seqs_init_count(struct mf_seqs *s, uint64_t next);
/* By the clock, but from `next` on at least. */
MF_ANY void mf_seqs_init_clock(struct mf_seqs *s, uint64_t next, unsigned node);
/* The first of n (>= 1) numbers in a row, which nobody else is given. More than
 * MF_SEQS_A_MS of them begin a millisecond and reach into the numbers of the nodes
 * behind ours: only there could two nodes have the same one, for messages of one
 * millisecond. Numbers need not be used. */
MF_ANY uint64_t mf_seqs_take(struct mf_seqs *s, uint64_t n, uint64_t unix_ms);
/* The greatest that was given, or below the first. */
MF_ANY uint64_t mf_seqs_last(const struct mf_seqs *s);

#endif
