/* SPDX-License-Identifier: Apache-2.0 */
#include "flush/flushq.h"
#include "lib/mf_test.h"

#include <string.h>

#define AGEING_MS UINT64_C(1000)
#define N_NODES   400

static struct mf_flushq_node nodes[N_NODES];

static void reset(struct mf_flushq *q, unsigned levels)
{
    memset(nodes, 0, sizeof(nodes));
    mf_flushq_init(q, levels, AGEING_MS);
}

static void check_pops(struct mf_flushq *q, uint64_t now_ms, const unsigned *want,
                       size_t n)
{
    for (size_t i = 0; i < n; i++) {
        MF_CHECK_PTR(mf_flushq_pop(q, now_ms), &nodes[want[i]]);
    }
    MF_CHECK_PTR(mf_flushq_pop(q, now_ms), NULL);
    MF_CHECK_INT(q->n, 0);
    MF_CHECK_INT(q->n_critical, 0);
}

MF_TEST(flushq, serves_the_most_urgent_first_whatever_came_first)
{
    struct mf_flushq q;

    reset(&q, 5);
    mf_flushq_push(&q, &nodes[0], MF_FLUSH_LOW, 0);
    mf_flushq_push(&q, &nodes[1], MF_FLUSH_CRITICAL, 0);
    mf_flushq_push(&q, &nodes[2], MF_FLUSH_NORMAL, 0);
    mf_flushq_push(&q, &nodes[3], MF_FLUSH_BACKGROUND, 0);
    mf_flushq_push(&q, &nodes[4], MF_FLUSH_HIGH, 0);
    MF_CHECK_INT(q.n_critical, 1);
    check_pops(&q, 1, (const unsigned[]){1, 4, 2, 0, 3}, 5);
}

MF_TEST(flushq, keeps_the_order_inside_a_level)
{
    struct mf_flushq q;

    reset(&q, 5);
    for (unsigned i = 0; i < 6; i++) {
        mf_flushq_push(&q, &nodes[i], i % 2 == 0 ? MF_FLUSH_NORMAL : MF_FLUSH_LOW, i);
    }
    check_pops(&q, 10, (const unsigned[]){0, 2, 4, 1, 3, 5}, 6);
}

MF_TEST(flushq, raises_a_job_one_level_for_each_ageing_time_in_line)
{
    struct mf_flushq q;

    reset(&q, 5);
    mf_flushq_push(&q, &nodes[0], MF_FLUSH_LOW, 0);
    mf_flushq_push(&q, &nodes[1], MF_FLUSH_NORMAL, AGEING_MS - 1);
    MF_CHECK_PTR(mf_flushq_peek(&q, AGEING_MS - 1), &nodes[1]);
    /* Now equal in level: the longest in line. */
    MF_CHECK_PTR(mf_flushq_peek(&q, AGEING_MS), &nodes[0]);
    mf_flushq_push(&q, &nodes[2], MF_FLUSH_HIGH, 2 * AGEING_MS - 2);
    MF_CHECK_PTR(mf_flushq_peek(&q, 2 * AGEING_MS - 2), &nodes[2]);
    MF_CHECK_PTR(mf_flushq_peek(&q, 2 * AGEING_MS), &nodes[0]);
    check_pops(&q, 2 * AGEING_MS, (const unsigned[]){0, 1, 2}, 3);
}

MF_TEST(flushq, does_not_age_when_told_so)
{
    struct mf_flushq q;

    reset(&q, 5);
    q.ageing_ms = 0;
    mf_flushq_push(&q, &nodes[0], MF_FLUSH_BACKGROUND, 0);
    mf_flushq_push(&q, &nodes[1], MF_FLUSH_LOW, 1000000);
    MF_CHECK_PTR(mf_flushq_peek(&q, UINT64_MAX), &nodes[1]);
}

MF_TEST(flushq, starves_nobody_while_critical_jobs_keep_coming)
{
    struct mf_flushq q;
    uint64_t now = 0;
    unsigned i;

    reset(&q, 5);
    mf_flushq_push(&q, &nodes[0], MF_FLUSH_BACKGROUND, now);
    for (i = 1; i < N_NODES; i++) {
        now += 100;
        mf_flushq_push(&q, &nodes[i], MF_FLUSH_CRITICAL, now);
        if (mf_flushq_pop(&q, now) == &nodes[0]) {
            break;
        }
    }
    MF_CHECK_INT(now, 4 * AGEING_MS);
}

MF_TEST(flushq, folds_five_priorities_into_three_levels)
{
    struct mf_flushq q;

    reset(&q, 3);
    MF_CHECK_INT(mf_flushq_level(&q, MF_FLUSH_CRITICAL), 0);
    MF_CHECK_INT(mf_flushq_level(&q, MF_FLUSH_HIGH), 0);
    MF_CHECK_INT(mf_flushq_level(&q, MF_FLUSH_NORMAL), 1);
    MF_CHECK_INT(mf_flushq_level(&q, MF_FLUSH_LOW), 2);
    MF_CHECK_INT(mf_flushq_level(&q, MF_FLUSH_BACKGROUND), 2);
    mf_flushq_push(&q, &nodes[0], MF_FLUSH_BACKGROUND, 0);
    mf_flushq_push(&q, &nodes[1], MF_FLUSH_LOW, 1);
    mf_flushq_push(&q, &nodes[2], MF_FLUSH_HIGH, 2);
    mf_flushq_push(&q, &nodes[3], MF_FLUSH_CRITICAL, 3);
    mf_flushq_push(&q, &nodes[4], MF_FLUSH_NORMAL, 4);
    check_pops(&q, 5, (const unsigned[]){2, 3, 4, 0, 1}, 5);
    MF_CHECK(mf_flushq_levels_ok(3) && mf_flushq_levels_ok(5));
    MF_CHECK(!mf_flushq_levels_ok(0) && !mf_flushq_levels_ok(4) &&
             !mf_flushq_levels_ok(6));
}

MF_TEST(flushq, raises_a_job_to_the_end_of_the_better_line)
{
    struct mf_flushq q;

    reset(&q, 5);
    mf_flushq_push(&q, &nodes[0], MF_FLUSH_HIGH, 0);
    mf_flushq_push(&q, &nodes[1], MF_FLUSH_LOW, 0);
    mf_flushq_push(&q, &nodes[2], MF_FLUSH_LOW, 0);
    mf_flushq_raise(&q, &nodes[2], MF_FLUSH_HIGH, 1);
    mf_flushq_raise(&q, &nodes[0], MF_FLUSH_BACKGROUND, 1); /* never down */
    check_pops(&q, 2, (const unsigned[]){0, 2, 1}, 3);
}

MF_TEST(flushq, never_loses_a_place_by_being_raised)
{
    struct mf_flushq q;

    reset(&q, 5);
    mf_flushq_push(&q, &nodes[0], MF_FLUSH_BACKGROUND, 0);
    mf_flushq_push(&q, &nodes[1], MF_FLUSH_HIGH, 3 * AGEING_MS);
    /* Aged to HIGH already, before the other one. */
    mf_flushq_raise(&q, &nodes[0], MF_FLUSH_HIGH, 3 * AGEING_MS);
    MF_CHECK_INT(nodes[0].priority, MF_FLUSH_HIGH);
    MF_CHECK_PTR(mf_flushq_peek(&q, 3 * AGEING_MS), &nodes[0]);
    mf_flushq_raise(&q, &nodes[0], MF_FLUSH_CRITICAL, 3 * AGEING_MS);
    MF_CHECK_INT(q.n_critical, 1);
    check_pops(&q, 3 * AGEING_MS, (const unsigned[]){0, 1}, 2);
}

MF_TEST(flushq, knows_since_when_the_oldest_waits)
{
    struct mf_flushq q;

    reset(&q, 5);
    MF_CHECK(mf_flushq_oldest_ms(&q) == UINT64_MAX);
    mf_flushq_push(&q, &nodes[0], MF_FLUSH_LOW, 70);
    mf_flushq_push(&q, &nodes[1], MF_FLUSH_CRITICAL, 80);
    MF_CHECK_INT(mf_flushq_oldest_ms(&q), 70);
    mf_flushq_remove(&q, &nodes[0]);
    MF_CHECK_INT(mf_flushq_oldest_ms(&q), 80);
}

static unsigned model_level(const struct mf_flushq_node *n, uint64_t now_ms)
{
    uint64_t up = (now_ms - n->since_ms) / AGEING_MS;

    return up >= n->level ? 0 : n->level - (unsigned)up;
}

/* The plain way: look at everybody. */
static bool is_best(const struct mf_flushq_node *got, uint64_t now_ms)
{
    for (unsigned i = 0; i < N_NODES; i++) {
        const struct mf_flushq_node *n = &nodes[i];

        if (!mf_link_is_on(&n->link)) {
            continue;
        }
        if (model_level(n, now_ms) < model_level(got, now_ms) ||
            (model_level(n, now_ms) == model_level(got, now_ms) &&
             n->since_ms < got->since_ms)) {
            return false;
        }
    }
    return true;
}

static uint32_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

static void step(struct mf_flushq *q, uint64_t *rnd, uint64_t now)
{
    struct mf_flushq_node *n = &nodes[next_random(rnd) % N_NODES];
    enum mf_flush_priority p = next_random(rnd) % MF_FLUSH_PRIORITY_COUNT;

    if (!mf_link_is_on(&n->link)) {
        mf_flushq_push(q, n, p, now);
    } else if (next_random(rnd) % 2 == 0) {
        mf_flushq_raise(q, n, p, now);
    } else {
        struct mf_flushq_node *got = mf_flushq_pop(q, now);

        MF_CHECK(got != NULL && is_best(got, now));
    }
}

MF_TEST(flushq, agrees_with_a_look_at_everybody_in_random_runs)
{
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct mf_flushq q;
        uint64_t rnd = seed, now = 0;
        size_t n_in = 0;

        reset(&q, seed % 2 == 0 ? 3 : 5);
        for (int i = 0; i < 3000; i++) {
            now += next_random(&rnd) % 40;
            step(&q, &rnd, now);
        }
        for (unsigned i = 0; i < N_NODES; i++) {
            n_in += mf_link_is_on(&nodes[i].link);
        }
        MF_CHECK_INT(q.n, n_in);
        print_message("seed %u: %zu in line at the end\n", (unsigned)seed, n_in);
    }
}
