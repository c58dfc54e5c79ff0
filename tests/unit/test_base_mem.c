/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/mf_test.h"

#include "base/err.h"
#include "base/list.h"
#include "base/mem.h"

#include <string.h>

MF_TEST(mem, sizes_that_overflow_give_no_block)
{
    void *p = NULL;
    size_t cap = 0;
    struct mf_arena a;

    MF_CHECK_PTR(mf_array(SIZE_MAX / 2, 3), NULL);
    MF_CHECK_PTR(mf_aligned(64, SIZE_MAX - 8), NULL);
    MF_CHECK_INT(mf_grow(&p, &cap, SIZE_MAX, 1), MF_ENOMEM);
    MF_CHECK_INT(mf_grow(&p, &cap, SIZE_MAX / 4, 16), MF_ENOMEM);
    MF_CHECK_PTR(p, NULL);
    MF_CHECK_INT(cap, 0);
    mf_arena_init(&a, 128);
    MF_CHECK_PTR(mf_arena_alloc(&a, SIZE_MAX), NULL);
    MF_CHECK_PTR(mf_arena_alloc(&a, SIZE_MAX - 15), NULL);
    MF_CHECK_INT(a.total, 0);
    mf_arena_fini(&a);
}

MF_TEST(mem, grow_doubles_and_keeps_the_elements)
{
    uint32_t *v = NULL;
    size_t cap = 0, n_grown = 0;

    for (uint32_t i = 0; i < 1000; i++) {
        const size_t before = cap;
        void *p = v;

        MF_CHECK_OK(mf_grow(&p, &cap, i + 1, sizeof(*v)));
        v = p;
        v[i] = i;
        n_grown += cap != before;
    }
    MF_CHECK(cap >= 1000);
    MF_CHECK(n_grown <= 8);
    for (uint32_t i = 0; i < 1000; i++) {
        MF_CHECK_INT(v[i], i);
    }
    mf_free(v);
}

MF_TEST(mem, grow_leaves_everything_when_memory_ends)
{
    void *p = mf_malloc(8);
    void *before = p;
    size_t cap = 8;

    mf_test_fail_nth(1);
    MF_CHECK_INT(mf_grow(&p, &cap, 9, 1), MF_ENOMEM);
    MF_CHECK_PTR(p, before);
    MF_CHECK_INT(cap, 8);
    mf_free(p);
}

MF_TEST(mem, aligned_blocks_stand_on_their_boundary)
{
    for (size_t align = sizeof(void *); align <= 4096; align *= 2) {
        for (size_t n = 0; n < 70; n += 23) {
            char *p = mf_aligned(align, n);

            assert_non_null(p);
            MF_CHECK_INT((uintptr_t)p % align, 0);
            memset(p, 0x5a, n);
            mf_aligned_free(p);
        }
    }
    mf_aligned_free(NULL);
}

MF_TEST(mem, strndup_terminates_its_copy)
{
    char *s = mf_strndup("abcdef", 3);

    MF_CHECK_STR(s, "abc");
    mf_free(s);
    mf_test_fail_nth(1);
    MF_CHECK_PTR(mf_strndup("abc", 3), NULL);
}

MF_TEST(arena, blocks_are_aligned_and_do_not_overlap)
{
    unsigned char *blocks[200];
    struct mf_arena a;

    mf_arena_init(&a, 256);
    for (size_t i = 0; i < mf_countof(blocks); i++) {
        blocks[i] = mf_arena_alloc(&a, i + 1);
        assert_non_null(blocks[i]);
        MF_CHECK_INT((uintptr_t)blocks[i] % 16, 0);
        memset(blocks[i], (int)i, i + 1);
    }
    for (size_t i = 0; i < mf_countof(blocks); i++) {
        for (size_t k = 0; k <= i; k++) {
            MF_CHECK_INT(blocks[i][k], i);
        }
    }
    mf_arena_fini(&a);
}

MF_TEST(arena, holds_a_block_larger_than_its_block_size)
{
    struct mf_arena a;
    char *p;

    mf_arena_init(&a, 64);
    p = mf_arena_alloc(&a, 10000);
    assert_non_null(p);
    memset(p, 1, 10000);
    MF_CHECK(a.total >= 10000);
    mf_arena_fini(&a);
    MF_CHECK_INT(a.total, 0);
}

MF_TEST(arena, reset_keeps_one_block_and_uses_it_again)
{
    struct mf_arena a;
    size_t before = mf_test_live_blocks();

    mf_arena_init(&a, 128);
    mf_arena_reset(&a);
    for (int i = 0; i < 50; i++) {
        assert_non_null(mf_arena_alloc(&a, 100));
    }
    MF_CHECK_INT(mf_test_live_blocks() - before, 50);
    mf_arena_reset(&a);
    MF_CHECK_INT(mf_test_live_blocks() - before, 1);
    mf_test_fail_nth(1);
    assert_non_null(mf_arena_alloc(&a, 100));
    MF_CHECK(!mf_test_has_failed());
    MF_CHECK_PTR(mf_arena_alloc(&a, 100), NULL);
    MF_CHECK(mf_test_has_failed());
    MF_CHECK_STR(mf_arena_strndup(&a, "abc", 2), "ab");
    mf_arena_fini(&a);
}

struct thing {
    int v;
    struct mf_link link;
};

static void check_order(const struct mf_list *l, const char *want)
{
    size_t n = 0;

    mf_list_each (l, k) {
        MF_CHECK_INT(mf_container_of(k, struct thing, link)->v, want[n++] - '0');
    }
    MF_CHECK_INT(n, strlen(want));
    MF_CHECK_INT(l->n, n);
}

MF_TEST(list, keeps_order_at_both_ends)
{
    struct thing t[4] = {{.v = 0}, {.v = 1}, {.v = 2}, {.v = 3}};
    struct mf_list l;

    mf_list_init(&l);
    MF_CHECK(mf_list_is_empty(&l));
    MF_CHECK_PTR(mf_list_pop_head(&l), NULL);
    mf_list_push_tail(&l, &t[1].link);
    mf_list_push_tail(&l, &t[2].link);
    mf_list_push_head(&l, &t[0].link);
    mf_link_insert(&l, &t[3].link, &t[1].link);
    check_order(&l, "0312");
    MF_CHECK_PTR(mf_list_head(&l), &t[0].link);
    MF_CHECK_PTR(mf_list_tail(&l), &t[2].link);
    mf_list_remove(&l, &t[3].link);
    MF_CHECK(!mf_link_is_on(&t[3].link));
    MF_CHECK_PTR(mf_list_pop_head(&l), &t[0].link);
    check_order(&l, "12");
}

MF_TEST(list, move_takes_all_and_empties_the_other)
{
    struct thing t[4] = {{.v = 0}, {.v = 1}, {.v = 2}, {.v = 3}};
    struct mf_list a, b;

    mf_list_init(&a);
    mf_list_init(&b);
    mf_list_move(&a, &b);
    mf_list_push_tail(&a, &t[0].link);
    mf_list_push_tail(&b, &t[1].link);
    mf_list_push_tail(&b, &t[2].link);
    mf_list_move(&a, &b);
    check_order(&a, "012");
    check_order(&b, "");
    mf_list_push_tail(&b, &t[3].link);
    check_order(&b, "3");
}

MF_TEST(list, each_safe_lets_the_body_remove)
{
    struct thing t[5] = {{.v = 0}, {.v = 1}, {.v = 2}, {.v = 3}, {.v = 4}};
    struct mf_list l;

    mf_list_init(&l);
    for (size_t i = 0; i < mf_countof(t); i++) {
        mf_list_push_tail(&l, &t[i].link);
    }
    mf_list_each_safe (&l, k) {
        if (mf_container_of(k, struct thing, link)->v % 2 == 0) {
            mf_list_remove(&l, k);
        }
    }
    check_order(&l, "13");
}
