/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/seqs.h"
#include "lib/mf_test.h"

#define NOW (MF_SEQS_EPOCH_MS + 1000)

static uint64_t ms_of(uint64_t seq)
{
    return seq >> MF_SEQS_MS_SHIFT;
}

static unsigned node_of(uint64_t seq)
{
    return (unsigned)(seq >> MF_SEQS_NODE_SHIFT) & MF_SEQS_MAX_NODE;
}

static unsigned counter_of(uint64_t seq)
{
    return (unsigned)seq & (MF_SEQS_A_MS - 1);
}

MF_TEST(seqs, counts_without_gaps_for_a_store_of_our_own)
{
    struct mf_seqs s;

    mf_seqs_init_count(&s, 7);
    MF_CHECK_INT(mf_seqs_last(&s), 6);
    MF_CHECK_INT(mf_seqs_take(&s, 3, NOW), 7);
    MF_CHECK_INT(mf_seqs_take(&s, 1, 0), 10);
    MF_CHECK_INT(mf_seqs_last(&s), 10);
}

MF_TEST(seqs, are_made_of_milliseconds_node_and_counter)
{
    struct mf_seqs s;
    uint64_t a, b, c;

    mf_seqs_init_clock(&s, 1, 5);
    a = mf_seqs_take(&s, 2, NOW);
    b = mf_seqs_take(&s, 1, NOW);
    c = mf_seqs_take(&s, 1, NOW + 1);
    MF_CHECK_INT(a, UINT64_C(1000) << 22 | UINT64_C(5) << 12);
    MF_CHECK_INT(b, a + 2);
    MF_CHECK_INT(ms_of(c), 1001);
    MF_CHECK_INT(node_of(c), 5);
    MF_CHECK_INT(counter_of(c), 0);
}

MF_TEST(seqs, grow_when_the_clock_stands_or_goes_back)
{
    struct mf_seqs s;
    uint64_t last;

    mf_seqs_init_clock(&s, 1, 1023);
    last = mf_seqs_take(&s, 1, NOW);
    for (unsigned i = 0; i < 10000; i++) {
        uint64_t seq = mf_seqs_take(&s, 1, NOW - i % 900);

        MF_CHECK(seq > last);
        MF_CHECK_INT(node_of(seq), 1023);
        last = seq;
    }
    MF_CHECK_INT(ms_of(last), 1002); /* 10,001 of them took three milliseconds */
    MF_CHECK(mf_seqs_take(&s, 1, 0) > last);
    MF_CHECK(mf_seqs_take(&s, 1, UINT64_MAX) > last);
    MF_CHECK(mf_seqs_last(&s) < INT64_MAX);
}

MF_TEST(seqs, of_a_round_never_leave_their_millisecond)
{
    static const unsigned sizes[] = {1, 4095, 4096, 4000, 97, 4096, 2, 3};
    uint64_t last = 0;
    struct mf_seqs s;

    mf_seqs_init_clock(&s, 1, 77);
    for (unsigned i = 0; i < 1000; i++) {
        unsigned n = sizes[i % mf_countof(sizes)];
        uint64_t first = mf_seqs_take(&s, n, NOW);

        MF_CHECK(first > last);
        last = first + n - 1;
        MF_CHECK_INT(ms_of(first), ms_of(last));
        MF_CHECK_INT(node_of(first), 77);
        MF_CHECK_INT(node_of(last), 77);
        MF_CHECK_INT(mf_seqs_last(&s), last);
    }
}

MF_TEST(seqs, of_a_huge_round_begin_a_millisecond_of_their_own)
{
    struct mf_seqs s;
    uint64_t first, next;

    mf_seqs_init_clock(&s, 1, 3);
    (void)mf_seqs_take(&s, 1, NOW);
    first = mf_seqs_take(&s, 100000, NOW);
    MF_CHECK_INT(counter_of(first), 0);
    MF_CHECK_INT(node_of(first), 3);
    MF_CHECK_INT(ms_of(first), 1001);
    next = mf_seqs_take(&s, 1, NOW);
    MF_CHECK(next >= first + 100000);
    MF_CHECK_INT(node_of(next), 3);
    MF_CHECK_INT(ms_of(next), 1002);
}

MF_TEST(seqs, go_on_behind_what_the_journal_held)
{
    const uint64_t ahead = UINT64_C(5000) << 22 | UINT64_C(9) << 12 | 17;
    struct mf_seqs s;

    mf_seqs_init_clock(&s, ahead, 9); /* same node: goes on in this millisecond */
    MF_CHECK_INT(mf_seqs_take(&s, 1, NOW), ahead);
    mf_seqs_init_clock(&s, ahead, 10); /* a node behind: its numbers are free yet */
    MF_CHECK_INT(mf_seqs_take(&s, 1, NOW), UINT64_C(5000) << 22 | UINT64_C(10) << 12);
    mf_seqs_init_clock(&s, ahead, 8); /* a node before: they are passed */
    MF_CHECK_INT(mf_seqs_take(&s, 1, NOW), UINT64_C(5001) << 22 | UINT64_C(8) << 12);
}

MF_TEST(seqs, before_2024_are_still_numbers)
{
    struct mf_seqs s;

    mf_seqs_init_clock(&s, 1, 0);
    MF_CHECK_INT(mf_seqs_take(&s, 1, 0), 1); /* 0 is none */
    MF_CHECK_INT(mf_seqs_take(&s, 1, 0), 2);
}

MF_TEST(seqs, of_the_last_year_fit_into_63_bits)
{
    struct mf_seqs s;
    uint64_t first;

    mf_seqs_init_clock(&s, 1, 1023);
    first = mf_seqs_take(&s, 4096, MF_SEQS_EPOCH_MS + MF_SEQS_MAX_CLOCK_MS);
    MF_CHECK_INT(ms_of(first), MF_SEQS_MAX_CLOCK_MS);
    MF_CHECK(first + 4095 == (uint64_t)INT64_MAX);
}
