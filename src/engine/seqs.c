/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/seqs.h"

void mf_seqs_init_count(struct mf_seqs *s, uint64_t next)
{
    *s = (struct mf_seqs){.next = next};
}

void mf_seqs_init_clock(struct mf_seqs *s, uint64_t next, unsigned node)
{
    MF_ASSERT(node <= MF_SEQS_MAX_NODE);
    *s = (struct mf_seqs){.next = next, .is_by_clock = true, .node = node};
}

static uint64_t clock_ms(uint64_t unix_ms)
{
    uint64_t ms = unix_ms < MF_SEQS_EPOCH_MS ? 0 : unix_ms - MF_SEQS_EPOCH_MS;

    return ms > MF_SEQS_MAX_CLOCK_MS ? 0 : ms;
}

/* The first number of this node in millisecond `ms`. */
static uint64_t begin_of(const struct mf_seqs *s, uint64_t ms)
{
    return ms << MF_SEQS_MS_SHIFT | (uint64_t)s->node << MF_SEQS_NODE_SHIFT;
}

static uint64_t first_by_clock(const struct mf_seqs *s, uint64_t n, uint64_t unix_ms)
{
    uint64_t ms = mf_max(clock_ms(unix_ms), s->next >> MF_SEQS_MS_SHIFT);
    uint64_t begin = begin_of(s, ms);
    uint64_t first = mf_max(begin, s->next);

    if (first == begin || first + n <= begin + MF_SEQS_A_MS) {
        return first;
    }
    return begin_of(s, ms + 1);
}

uint64_t mf_seqs_take(struct mf_seqs *s, uint64_t n, uint64_t unix_ms)
{
    uint64_t first = s->is_by_clock ? first_by_clock(s, n, unix_ms) : s->next;

    s->next = first + n;
    return first;
}

uint64_t mf_seqs_last(const struct mf_seqs *s)
{
    return s->next - 1;
}
