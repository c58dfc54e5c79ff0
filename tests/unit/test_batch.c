/* SPDX-License-Identifier: Apache-2.0 */
#include "flush/batch.h"
#include "lib/mf_test.h"

static const struct mf_batch_limits lim = {
    .max_rows = 10, .max_bytes = 1000, .max_age_ms = 50};

static bool due(size_t n_rows, size_t bytes, uint64_t age_ms)
{
    struct mf_batch_fill b = {.n_rows = n_rows, .bytes = bytes, .opened_ms = 100};

    return mf_batch_is_due(&b, &lim, 100 + age_ms);
}

MF_TEST(batch, is_due_when_full_by_count_or_bytes)
{
    MF_CHECK(!due(9, 999, 0));
    MF_CHECK(due(10, 1, 0));
    MF_CHECK(due(11, 1, 0));
    MF_CHECK(due(1, 1000, 0));
    MF_CHECK(due(1, 1001, 0));
}

MF_TEST(batch, is_due_when_its_oldest_part_waited_long_enough)
{
    MF_CHECK(!due(1, 1, 49));
    MF_CHECK(due(1, 1, 50));
    MF_CHECK(due(1, 1, 51));
}

MF_TEST(batch, is_never_due_while_nothing_is_there)
{
    struct mf_batch_fill none = {.opened_ms = UINT64_MAX};

    MF_CHECK(!due(0, 0, 1000));
    MF_CHECK(!mf_batch_is_due(&none, &lim, UINT64_MAX));
    MF_CHECK(mf_batch_due_at_ms(&none, &lim) == UINT64_MAX);
}

MF_TEST(batch, tells_when_it_will_be_due)
{
    struct mf_batch_fill b = {.n_rows = 1, .bytes = 1, .opened_ms = 100};

    MF_CHECK_INT(mf_batch_due_at_ms(&b, &lim), 150);
    b.n_rows = 10;
    MF_CHECK_INT(mf_batch_due_at_ms(&b, &lim), 0);
    b = (struct mf_batch_fill){.n_rows = 1, .opened_ms = UINT64_MAX - 1};
    MF_CHECK(mf_batch_due_at_ms(&b, &lim) == UINT64_MAX);
}

MF_TEST(batch, takes_rounds_up_to_its_limits_and_any_first_one)
{
    struct mf_batch_fill b = {0};

    MF_CHECK(mf_batch_fits(&b, &lim, 500, 50000));
    b = (struct mf_batch_fill){.n_rows = 8, .bytes = 900};
    MF_CHECK(mf_batch_fits(&b, &lim, 1, 99));
    MF_CHECK(mf_batch_fits(&b, &lim, 2, 100));
    MF_CHECK(!mf_batch_fits(&b, &lim, 3, 100));
    MF_CHECK(!mf_batch_fits(&b, &lim, 2, 101));
    MF_CHECK(!mf_batch_fits(&b, &lim, SIZE_MAX, SIZE_MAX));
    b.n_rows = 500;
    MF_CHECK(!mf_batch_fits(&b, &lim, 1, 1));
}
