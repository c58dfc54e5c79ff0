/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "item/item.h"
#include "item/utf8.h"
#include "lib/mf_test.h"

static const struct mf_msg two_msgs[] = {
    {.id = {"m-1", 3},
     .content = {"Where did I park?", 17},
     .metadata = {"{\"a\":1}", 7},
     .created_us = 10,
     .updated_us = 11,
     .role = MF_MSG_USER},
    {.id = {"m-2", 3},
     .content = {"Behind the station.", 19},
     .created_us = 12,
     .updated_us = 13,
     .role = MF_MSG_ASSISTANT},
};

/* There is no loop here: this thread is as good as the loop's. */
static void as_loop(void) MF_ASSERTS_LOOP
{
}

static struct mf_item_spec spec_of_two(void)
{
    struct mf_item_spec s = {
        .accepted_us = 99,
        .user_id = MF_SLICE("user"),
        .session_id = MF_SLICE("session"),
        .agent_id = MF_SLICE("agent"),
        .round_id = MF_SLICE("round"),
        .idem_key = MF_SLICE("user/key"),
        .msgs = two_msgs,
        .n_msgs = 2,
    };

    memset(s.idem_hash, 7, sizeof(s.idem_hash));
    return s;
}

static bool is_inside(const struct mf_item *it, struct mf_slice s)
{
    uintptr_t p = (uintptr_t)s.p, base = (uintptr_t)it;

    return p >= base && p + s.n <= base + it->bytes;
}

static uint32_t tokens(const char *s)
{
    return mf_tokens_of_text(mf_slice_str(s));
}

MF_TEST(item, keeps_its_own_copy_of_everything_in_one_block)
{
    struct mf_item_spec spec = spec_of_two();
    size_t before = mf_test_live_blocks();
    struct mf_item *it = mf_item_new(&spec);

    as_loop();
    assert_non_null(it);
    MF_CHECK_INT(mf_test_live_blocks(), before + 1);
    MF_CHECK_INT(it->refs, 1);
    MF_CHECK_INT(it->seq, 0);
    MF_CHECK_INT(it->accepted_us, 99);
    MF_CHECK_INT(it->n_msgs, 2);
    MF_CHECK_MEM(it->idem_hash, spec.idem_hash, sizeof(it->idem_hash));
    MF_CHECK(mf_slice_is(it->user_id, "user") && is_inside(it, it->user_id));
    MF_CHECK(mf_slice_is(it->session_id, "session") && is_inside(it, it->session_id));
    MF_CHECK(mf_slice_is(it->agent_id, "agent") && is_inside(it, it->agent_id));
    MF_CHECK(mf_slice_is(it->round_id, "round") && is_inside(it, it->round_id));
    MF_CHECK(mf_slice_is(it->idem_key, "user/key") && is_inside(it, it->idem_key));
    for (uint32_t i = 0; i < 2; i++) {
        const struct mf_msg *m = &it->msgs[i];

        MF_CHECK(mf_slice_eq(m->id, two_msgs[i].id) && is_inside(it, m->id));
        MF_CHECK(mf_slice_eq(m->content, two_msgs[i].content));
        MF_CHECK(is_inside(it, m->content) && is_inside(it, m->metadata));
        MF_CHECK(mf_slice_eq(m->metadata, two_msgs[i].metadata));
        MF_CHECK_INT(m->created_us, two_msgs[i].created_us);
        MF_CHECK_INT(m->updated_us, two_msgs[i].updated_us);
        MF_CHECK_INT(m->role, two_msgs[i].role);
    }
    mf_item_unref(it);
}

MF_TEST(item, counts_its_bytes_and_tokens_at_birth)
{
    struct mf_item_spec spec = spec_of_two();
    struct mf_item *it = mf_item_new(&spec);
    size_t text = 3 + 17 + 7 + 3 + 19 + 4 + 7 + 5 + 5 + 8;

    as_loop();
    assert_non_null(it);
    MF_CHECK_INT(it->bytes, sizeof(struct mf_item) + 2 * sizeof(struct mf_msg) + text);
    /* 4 words: int(5.2), 3 words: int(3.9), each with its role (1) and 4 */
    MF_CHECK_INT(it->tokens, (5 + 1 + 4) + (3 + 1 + 4));
    mf_item_unref(it);
}

MF_TEST(item, may_have_no_messages_and_empty_fields)
{
    struct mf_item_spec spec = {.user_id = MF_SLICE("u")};
    struct mf_item *it = mf_item_new(&spec);

    as_loop();
    assert_non_null(it);
    MF_CHECK_INT(it->tokens, 0);
    MF_CHECK_INT(it->idem_key.n, 0);
    MF_CHECK_INT(it->bytes, sizeof(struct mf_item) + 1);
    mf_item_unref(it);
}

MF_TEST(item, lives_until_the_last_reference_is_given_back)
{
    struct mf_item_spec spec = spec_of_two();
    size_t before = mf_test_live_blocks();
    struct mf_item *it = mf_item_new(&spec);

    as_loop();
    assert_non_null(it);
    mf_item_set_seq(it, 42);
    MF_CHECK_PTR(mf_item_ref(it), it);
    mf_item_unref(it);
    MF_CHECK_INT(mf_test_live_blocks(), before + 1);
    MF_CHECK_INT(it->seq, 42);
    mf_item_unref(it);
    MF_CHECK_INT(mf_test_live_blocks(), before);
    mf_item_unref(NULL);
}

MF_TEST(item, is_null_when_memory_or_sizes_run_out)
{
    struct mf_item_spec spec = spec_of_two();
    struct mf_msg huge[] = {{.content = {"x", SIZE_MAX - 8}}, {.content = {"x", 16}}};

    mf_test_fail_nth(1);
    assert_null(mf_item_new(&spec));
    MF_CHECK(mf_test_has_failed());
    spec.msgs = huge;
    assert_null(mf_item_new(&spec));
}

MF_TEST(item, knows_its_roles_by_exact_name)
{
    enum mf_msg_role r;

    for (unsigned i = 0; i < MF_MSG_ROLE_COUNT; i++) {
        const char *name = mf_msg_role_name((enum mf_msg_role)i);

        MF_CHECK_OK(mf_msg_role_parse(mf_slice_str(name), &r));
        MF_CHECK_INT(r, i);
    }
    MF_CHECK_STR(mf_msg_role_name(MF_MSG_ASSISTANT), "assistant");
    MF_CHECK_INT(mf_msg_role_parse(MF_SLICE("User"), &r), MF_EINVAL);
    MF_CHECK_INT(mf_msg_role_parse(MF_SLICE("use"), &r), MF_EINVAL);
    MF_CHECK_INT(mf_msg_role_parse(MF_SLICE(""), &r), MF_EINVAL);
}

MF_TEST(tokens, are_words_times_1_3_cut_to_a_whole_number)
{
    MF_CHECK_INT(tokens(""), 0);
    MF_CHECK_INT(tokens("one"), 1);
    MF_CHECK_INT(tokens("one two"), 2);
    MF_CHECK_INT(tokens("one two three"), 3);
    MF_CHECK_INT(tokens("one two three four"), 5);
    MF_CHECK_INT(tokens("a b c d e f g h i j"), 13);
    MF_CHECK_INT(tokens("  a\tb\nc\r\nd  \v e\f"), 6);
    MF_CHECK_INT(tokens("   "), 1); /* not empty: at least one word */
}

MF_TEST(tokens, count_each_cjk_character_and_each_fragment_between)
{
    MF_CHECK_INT(tokens("\u4f60\u597d\u4e16\u754c"), 5);     /* 4 characters */
    MF_CHECK_INT(tokens("\u4f60\u597dhello"), 3);            /* 2 and a fragment */
    MF_CHECK_INT(tokens("a\u4f60b\u597dc"), 6);              /* 2 and 3 */
    MF_CHECK_INT(tokens("\u3053\u3093 \u30ab\u30ca"), 5);    /* kana */
    MF_CHECK_INT(tokens("\ud55c\uad6d\uc5b4 caf\u00e9"), 2); /* words */
    MF_CHECK_INT(tokens("a\u3000b\u00a0c\u2003d"), 5);       /* blanks of Unicode */
    MF_CHECK_INT(tokens("\xff\xfe\x80 \xe4\xbd"), 2);        /* damaged: words */
}

/* The plain reading of the rule for ASCII text, one byte at a time. */
static uint32_t slow_tokens(const char *p, size_t n)
{
    uint64_t words = 0;

    for (size_t i = 0; i < n; i++) {
        bool blank = strchr(" \t\n\v\f\r\x1c\x1d\x1e\x1f", p[i]) != NULL;
        bool before = i == 0 || strchr(" \t\n\v\f\r\x1c\x1d\x1e\x1f", p[i - 1]) != NULL;

        words += !blank && before;
    }
    return n == 0 ? 0 : (uint32_t)((double)mf_max(words, 1u) * 1.3);
}

MF_TEST(tokens, of_ascii_are_the_same_eight_bytes_at_a_time)
{
    char text[80];
    uint32_t x = 1;

    for (unsigned round = 0; round < 20000; round++) {
        size_t n = round % sizeof(text);

        for (size_t i = 0; i < n; i++) {
            x = x * 1664525u + 1013904223u;
            text[i] = (char)((x >> 30) == 0 ? ' ' : 1 + (int)((x >> 16) % 127));
        }
        MF_CHECK_INT(mf_tokens_of_text(mf_slice_of(text, n)), slow_tokens(text, n));
    }
}

MF_TEST(tokens, of_a_message_add_role_and_frame)
{
    MF_CHECK_INT(mf_tokens_of_message(MF_MSG_USER, MF_SLICE("")), 5);
    MF_CHECK_INT(mf_tokens_of_message(MF_MSG_TOOL, MF_SLICE("a b c")), 8);
}

MF_TEST(utf8, steps_over_whole_characters_and_single_bad_bytes)
{
    struct mf_slice s = MF_SLICE("a\u00e9\u4f60\U0001f600\xff\xe4\xbd");
    static const size_t lens[] = {1, 2, 3, 4, 1, 1, 1};
    static const uint32_t cps[] = {'a', 0xE9, 0x4F60, 0x1F600, 0xFFFD, 0xFFFD, 0xFFFD};
    size_t at = 0;

    for (size_t i = 0; i < mf_countof(lens); i++) {
        uint32_t cp;

        MF_CHECK_INT(mf_utf8_next(s, at, &cp), lens[i]);
        MF_CHECK_INT(cp, cps[i]);
        at += lens[i];
    }
    MF_CHECK_INT(at, s.n);
}
