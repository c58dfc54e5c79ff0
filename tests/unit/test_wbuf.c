/* SPDX-License-Identifier: Apache-2.0 */
#include "buffer/buffer.h"
#include "lib/mf_test.h"

static const struct mf_wbuf_limits lim = {.max_rounds = 5, .max_tokens = 800};

struct rule {
    size_t n_rounds;
    uint32_t tokens;
    bool is_other_session;
    uint32_t new_tokens;
    struct mf_wbuf_decision want;
};

static bool holds(const struct rule *r)
{
    struct mf_wbuf_decision d = mf_wbuf_decide(&lim, r->n_rounds, r->tokens,
                                               r->is_other_session, r->new_tokens);

    print_message("transfer_first=%d is_direct=%d reason=%d\n", d.transfer_first,
                  d.is_direct, (int)d.reason);
    return d.transfer_first == r->want.transfer_first &&
           d.is_direct == r->want.is_direct && d.reason == r->want.reason;
}

static void check_rules(const struct rule *rules, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        MF_CHECK(holds(&rules[i]));
    }
}

MF_TEST(wbuf, keeps_rounds_until_a_limit)
{
    static const struct rule rules[] = {
        {0, 0, false, 0, {false, false, MF_WBUF_NONE}},
        {0, 0, false, 800, {false, false, MF_WBUF_NONE}},
        {1, 10, false, 10, {false, false, MF_WBUF_NONE}},
        {4, 40, false, 10, {false, false, MF_WBUF_NONE}},
    };

    check_rules(rules, mf_countof(rules));
}

MF_TEST(wbuf, hands_over_when_the_session_changes_and_something_is_there)
{
    static const struct rule rules[] = {
        {1, 10, true, 10, {true, false, MF_WBUF_SESSION_CHANGE}},
        {5, 800, true, 10, {true, false, MF_WBUF_SESSION_CHANGE}},
        {0, 0, true, 10, {false, false, MF_WBUF_NONE}},
        /* After the hand-over nothing is there: the other limits see zero. */
        {5, 799, true, 800, {true, false, MF_WBUF_SESSION_CHANGE}},
    };

    check_rules(rules, mf_countof(rules));
}

MF_TEST(wbuf, passes_an_oversized_round_on_behind_what_is_there)
{
    static const struct rule rules[] = {
        {0, 0, false, 799, {false, false, MF_WBUF_NONE}},
        {0, 0, false, 800, {false, false, MF_WBUF_NONE}},
        {0, 0, false, 801, {false, true, MF_WBUF_OVERSIZE}},
        {3, 30, false, 801, {true, true, MF_WBUF_OVERSIZE}},
        {5, 30, false, 801, {true, true, MF_WBUF_OVERSIZE}},
        {3, 30, true, 801, {true, true, MF_WBUF_SESSION_CHANGE}},
        {0, 0, true, 801, {false, true, MF_WBUF_OVERSIZE}},
        {1, 800, false, UINT32_MAX, {true, true, MF_WBUF_OVERSIZE}},
    };

    check_rules(rules, mf_countof(rules));
}

MF_TEST(wbuf, hands_over_at_the_token_limit)
{
    static const struct rule rules[] = {
        {1, 400, false, 399, {false, false, MF_WBUF_NONE}},
        {1, 400, false, 400, {false, false, MF_WBUF_NONE}},
        {1, 400, false, 401, {true, false, MF_WBUF_TOKEN_LIMIT}},
        /* Both limits at once: tokens are looked at before the size. */
        {5, 400, false, 401, {true, false, MF_WBUF_TOKEN_LIMIT}},
        /* The sum does not wrap round. */
        {1, UINT32_MAX, false, 800, {true, false, MF_WBUF_TOKEN_LIMIT}},
    };

    check_rules(rules, mf_countof(rules));
}

MF_TEST(wbuf, hands_over_when_the_sixth_round_comes)
{
    static const struct rule rules[] = {
        {4, 40, false, 10, {false, false, MF_WBUF_NONE}},
        {5, 50, false, 10, {true, false, MF_WBUF_SIZE_LIMIT}},
        {6, 60, false, 10, {true, false, MF_WBUF_SIZE_LIMIT}},
    };

    check_rules(rules, mf_countof(rules));
}

static const struct mf_hbuf_limits hlim = {.max_rounds = 5,
                                           .flush_interval_ms = 60000,
                                           .idle_ms = 1800000,
                                           .vector_wait_ms = 2000};

MF_TEST(hbuf, is_due_by_size_then_by_interval)
{
    MF_CHECK_INT(mf_hbuf_is_due(&hlim, 0, 0, UINT64_MAX), MF_HBUF_NOT_DUE);
    MF_CHECK_INT(mf_hbuf_is_due(&hlim, 4, 100, 100), MF_HBUF_NOT_DUE);
    MF_CHECK_INT(mf_hbuf_is_due(&hlim, 5, 100, 100), MF_HBUF_DUE_SIZE);
    MF_CHECK_INT(mf_hbuf_is_due(&hlim, 6, 100, 900000), MF_HBUF_DUE_SIZE);
    MF_CHECK_INT(mf_hbuf_is_due(&hlim, 1, 100, 60099), MF_HBUF_NOT_DUE);
    MF_CHECK_INT(mf_hbuf_is_due(&hlim, 1, 100, 60100), MF_HBUF_DUE_INTERVAL);
    MF_CHECK_INT(mf_hbuf_is_due(&hlim, 1, 100, 60101), MF_HBUF_DUE_INTERVAL);
    /* Time that seems to go back is no reason. */
    MF_CHECK_INT(mf_hbuf_is_due(&hlim, 1, 100, 99), MF_HBUF_NOT_DUE);
}

MF_TEST(hbuf, lets_an_entry_go_with_vectors_or_after_the_wait_or_under_pressure)
{
    struct mf_entry e = {.n_missing = 1, .hybrid_ms = 1000};

    MF_CHECK(!mf_entry_is_ready(&e, &hlim, 1000, false));
    MF_CHECK(!mf_entry_is_ready(&e, &hlim, 2999, false));
    MF_CHECK(mf_entry_is_ready(&e, &hlim, 3000, false));
    MF_CHECK(mf_entry_is_ready(&e, &hlim, 1000, true));
    e.n_missing = 0;
    MF_CHECK(mf_entry_is_ready(&e, &hlim, 1000, false));
}
