/* SPDX-License-Identifier: Apache-2.0 */
#include "flush/flushq.h"

static const unsigned folded[MF_FLUSH_PRIORITY_COUNT] = {
    [MF_FLUSH_CRITICAL] = 0, [MF_FLUSH_HIGH] = 0,       [MF_FLUSH_NORMAL] = 1,
    [MF_FLUSH_LOW] = 2,      [MF_FLUSH_BACKGROUND] = 2,
};

bool mf_flushq_levels_ok(unsigned n_levels)
{
    return n_levels == 3 || n_levels == MF_FLUSH_PRIORITY_COUNT;
}

void mf_flushq_init(struct mf_flushq *q, unsigned n_levels, uint64_t ageing_ms)
{
    MF_ASSERT(mf_flushq_levels_ok(n_levels));
    *q = (struct mf_flushq){.n_levels = n_levels, .ageing_ms = ageing_ms};
    for (unsigned i = 0; i < MF_FLUSH_PRIORITY_COUNT; i++) {
        mf_list_init(&q->lines[i]);
    }
}

unsigned mf_flushq_level(const struct mf_flushq *q, enum mf_flush_priority p)
{
    MF_ASSERT((unsigned)p < MF_FLUSH_PRIORITY_COUNT);
    return q->n_levels == 3 ? folded[p] : (unsigned)p;
}

static unsigned aged_level(const struct mf_flushq *q, const struct mf_flushq_node *node,
                           uint64_t now_ms)
{
    uint64_t up = 0;

    if (q->ageing_ms > 0 && now_ms > node->since_ms) {
        up = (now_ms - node->since_ms) / q->ageing_ms;
    }
    return up >= node->level ? 0 : node->level - (unsigned)up;
}

static void enter_line(struct mf_flushq *q, struct mf_flushq_node *node,
                       uint64_t now_ms)
{
    node->level = mf_flushq_level(q, node->priority);
    node->since_ms = now_ms;
    mf_list_push_tail(&q->lines[node->level], &node->link);
}

void mf_flushq_push(struct mf_flushq *q, struct mf_flushq_node *node,
                    enum mf_flush_priority p, uint64_t now_ms)
{
    node->priority = p;
    enter_line(q, node, now_ms);
    q->n++;
    q->n_critical += p == MF_FLUSH_CRITICAL;
}

static struct mf_flushq_node *head_of(const struct mf_flushq *q, unsigned level)
{
    struct mf_link *k = mf_list_head(&q->lines[level]);

    return k == NULL ? NULL : mf_container_of(k, struct mf_flushq_node, link);
}

struct mf_flushq_node *mf_flushq_peek(const struct mf_flushq *q, uint64_t now_ms)
{
    struct mf_flushq_node *best = NULL;
    unsigned best_level = 0;

    for (unsigned i = 0; i < q->n_levels; i++) {
        struct mf_flushq_node *node = head_of(q, i);
        unsigned level;

        if (node == NULL) {
            continue;
        }
        level = aged_level(q, node, now_ms);
        if (best == NULL || level < best_level ||
            (level == best_level && node->since_ms < best->since_ms)) {
            best = node;
            best_level = level;
        }
    }
    return best;
}

struct mf_flushq_node *mf_flushq_pop(struct mf_flushq *q, uint64_t now_ms)
{
    struct mf_flushq_node *node = mf_flushq_peek(q, now_ms);

    if (node != NULL) {
        mf_flushq_remove(q, node);
    }
    return node;
}

void mf_flushq_remove(struct mf_flushq *q, struct mf_flushq_node *node)
{
    mf_list_remove(&q->lines[node->level], &node->link);
    q->n--;
    q->n_critical -= node->priority == MF_FLUSH_CRITICAL;
}

void mf_flushq_raise(struct mf_flushq *q, struct mf_flushq_node *node,
                     enum mf_flush_priority p, uint64_t now_ms)
{
    if (p >= node->priority) {
        return;
    }
    q->n_critical += p == MF_FLUSH_CRITICAL;
    node->priority = p;
    if (mf_flushq_level(q, p) < aged_level(q, node, now_ms)) {
        mf_list_remove(&q->lines[node->level], &node->link);
        enter_line(q, node, now_ms);
    }
}

uint64_t mf_flushq_oldest_ms(const struct mf_flushq *q)
{
    uint64_t oldest = UINT64_MAX;

    for (unsigned i = 0; i < q->n_levels; i++) {
        const struct mf_flushq_node *node = head_of(q, i);

        if (node != NULL) {
            oldest = mf_min(oldest, node->since_ms);
        }
    }
    return oldest;
}
