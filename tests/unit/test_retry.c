/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"
#include "flush/retry.h"
#include "lib/mf_test.h"

static const struct mf_dep_config forever = {.first_backoff_ms = 2000,
                                             .max_backoff_ms = 30000};

static struct mf_flush_outcome judge(int code, unsigned attempts, size_t n_rounds)
{
    return mf_flush_judge(&forever, code, attempts, n_rounds, UINT32_MAX);
}

MF_TEST(retry, halves_a_refused_batch_and_parks_a_round_alone)
{
    static const int codes[] = {MF_EPOISON, MF_ECONFLICT, MF_ETOOBIG,
                                MF_EUNPROCESSABLE};

    for (size_t i = 0; i < mf_countof(codes); i++) {
        MF_CHECK_INT(judge(codes[i], 1, 100).verdict, MF_FLUSH_SPLIT);
        MF_CHECK_INT(judge(codes[i], 1, 2).verdict, MF_FLUSH_SPLIT);
        MF_CHECK_INT(judge(codes[i], 1, 1).verdict, MF_FLUSH_PARK);
        MF_CHECK(judge(codes[i], 1, 1).is_refusal);
        MF_CHECK(!judge(codes[i], 1, 1).is_loud);
    }
}

MF_TEST(retry, tries_again_for_ever_what_may_pass)
{
    static const int codes[] = {MF_ENOSPC, MF_EUNAVAILABLE, MF_ETIMEOUT, MF_EDB,
                                MF_EIO,    MF_ENOMEM,       MF_EBUSY,    MF_ECORRUPT,
                                MF_EFATAL, MF_EINVAL,       MF_ECLOSED,  -9999};

    for (size_t i = 0; i < mf_countof(codes); i++) {
        for (unsigned attempts = 1; attempts < 1000; attempts += 7) {
            MF_CHECK_INT(judge(codes[i], attempts, 1).verdict, MF_FLUSH_RETRY);
            MF_CHECK_INT(judge(codes[i], attempts, 50).verdict, MF_FLUSH_RETRY);
            MF_CHECK(!judge(codes[i], attempts, 50).is_refusal);
        }
    }
}

MF_TEST(retry, is_loud_about_what_should_not_happen)
{
    MF_CHECK(judge(MF_ECORRUPT, 1, 1).is_loud);
    MF_CHECK(judge(MF_EINVAL, 1, 1).is_loud);
    MF_CHECK(judge(-9999, 1, 1).is_loud);
    MF_CHECK(!judge(MF_EUNAVAILABLE, 1, 1).is_loud);
    MF_CHECK(!judge(MF_ENOSPC, 1, 1).is_loud);
}

MF_TEST(retry, waits_two_seconds_first_then_twice_as_long_up_to_the_cap)
{
    static const uint64_t most[] = {2000, 4000, 8000, 16000, 30000, 30000, 30000};

    for (unsigned i = 0; i < mf_countof(most); i++) {
        struct mf_flush_outcome late = judge(MF_EUNAVAILABLE, i + 1, 9);
        struct mf_flush_outcome soon =
            mf_flush_judge(&forever, MF_EUNAVAILABLE, i + 1, 9, 0);

        MF_CHECK_INT(late.wait_ms, most[i]);
        MF_CHECK(soon.wait_ms < late.wait_ms); /* jitter */
        MF_CHECK(soon.wait_ms >= most[i] / 2);
    }
}

MF_TEST(retry, treats_a_batch_as_poison_after_the_last_allowed_attempt)
{
    struct mf_dep_config three = forever;

    three.max_attempts = 3;
    MF_CHECK_INT(mf_flush_judge(&three, MF_EDB, 2, 4, 0).verdict, MF_FLUSH_RETRY);
    MF_CHECK_INT(mf_flush_judge(&three, MF_EDB, 3, 4, 0).verdict, MF_FLUSH_SPLIT);
    MF_CHECK_INT(mf_flush_judge(&three, MF_EDB, 3, 1, 0).verdict, MF_FLUSH_PARK);
    MF_CHECK(!mf_flush_judge(&three, MF_EDB, 3, 1, 0).is_refusal);
}
