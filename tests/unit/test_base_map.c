/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/mf_test.h"

#include "base/err.h"
#include "base/map.h"
#include "base/mem.h"

#define N_MANY 20000

struct entry {
    struct mf_map_node node;
    uint32_t key;
    bool is_seen;
};

static struct mf_slice key_of(const struct mf_map_node *node)
{
    const struct entry *e = (const struct entry *)node; /* node stands first */

    return mf_slice_of((const char *)&e->key, sizeof(e->key));
}

static struct entry *find(const struct mf_map *m, uint32_t key)
{
    struct mf_map_node *node =
        mf_map_find(m, mf_slice_of((const char *)&key, sizeof(key)));

    return node == NULL ? NULL : mf_container_of(node, struct entry, node);
}

static struct entry *entries_new(size_t n)
{
    struct entry *entries = mf_calloc(n, sizeof(*entries));

    assert_non_null(entries);
    for (size_t i = 0; i < n; i++) {
        entries[i].key = (uint32_t)i;
    }
    return entries;
}

static void see(struct mf_map_node *node, void *arg)
{
    struct entry *e = mf_container_of(node, struct entry, node);
    size_t *n = arg;

    MF_CHECK(!e->is_seen);
    e->is_seen = true;
    (*n)++;
}

static void remove_odd(struct mf_map_node *node, void *arg)
{
    if (mf_container_of(node, struct entry, node)->key % 2 == 1) {
        mf_map_remove(arg, node);
    }
}

MF_TEST(map, finds_nothing_when_empty)
{
    struct mf_map m;
    size_t n = 0;

    mf_map_init(&m, key_of);
    MF_CHECK_PTR(find(&m, 1), NULL);
    mf_map_each(&m, see, &n);
    MF_CHECK_INT(n, 0);
    mf_map_fini(&m);
}

MF_TEST(map, finds_each_key_at_every_step_of_its_growth)
{
    struct entry *entries = entries_new(600);
    struct mf_map m;

    mf_map_init(&m, key_of);
    for (uint32_t i = 0; i < 600; i++) {
        MF_CHECK_OK(mf_map_insert(&m, &entries[i].node));
        for (uint32_t k = 0; k <= i; k++) {
            MF_CHECK_PTR(find(&m, k), &entries[k]);
        }
        MF_CHECK_PTR(find(&m, i + 1), NULL);
    }
    mf_map_fini(&m);
    mf_free(entries);
}

MF_TEST(map, removes_at_every_step_of_its_growth)
{
    struct entry *entries = entries_new(600);
    struct mf_map m;

    mf_map_init(&m, key_of);
    for (uint32_t i = 0; i < 600; i++) {
        MF_CHECK_OK(mf_map_insert(&m, &entries[i].node));
        if (i % 3 == 2) {
            mf_map_remove(&m, &entries[i / 2].node);
            MF_CHECK(!entries[i / 2].node.is_in);
            MF_CHECK_PTR(find(&m, i / 2), NULL);
            MF_CHECK_OK(mf_map_insert(&m, &entries[i / 2].node));
            MF_CHECK_PTR(find(&m, i / 2), &entries[i / 2]);
        }
    }
    MF_CHECK_INT(m.n, 600);
    mf_map_fini(&m);
    mf_free(entries);
}

MF_TEST(map, holds_many_keys_in_chains_of_bounded_length)
{
    struct entry *entries = entries_new(N_MANY);
    struct mf_map m;
    size_t n = 0;

    mf_map_init(&m, key_of);
    for (size_t i = 0; i < N_MANY; i++) {
        MF_CHECK_OK(mf_map_insert(&m, &entries[i].node));
        MF_CHECK(m.n <= m.n_buckets + m.n_buckets / 2);
    }
    for (uint32_t i = 0; i < N_MANY; i++) {
        MF_CHECK_PTR(find(&m, i), &entries[i]);
    }
    mf_map_each(&m, see, &n);
    MF_CHECK_INT(n, N_MANY);
    for (size_t i = 0; i < N_MANY; i++) {
        mf_map_remove(&m, &entries[i].node);
    }
    MF_CHECK_INT(m.n, 0);
    MF_CHECK_PTR(find(&m, 5), NULL);
    mf_map_fini(&m);
    mf_free(entries);
}

MF_TEST(map, each_visits_all_once_also_in_the_middle_of_growth)
{
    for (size_t n = 1; n <= 40; n++) {
        struct entry *entries = entries_new(n);
        struct mf_map m;
        size_t seen = 0;

        mf_map_init(&m, key_of);
        for (size_t i = 0; i < n; i++) {
            MF_CHECK_OK(mf_map_insert(&m, &entries[i].node));
        }
        mf_map_each(&m, see, &seen);
        MF_CHECK_INT(seen, n);
        mf_map_each(&m, remove_odd, &m);
        MF_CHECK_INT(m.n, (n + 1) / 2);
        mf_map_fini(&m);
        mf_free(entries);
    }
}

MF_TEST(map, insert_moves_a_bounded_number_of_buckets)
{
    struct entry *entries = entries_new(5000);
    struct mf_map m;
    size_t before = 0;

    mf_map_init(&m, key_of);
    for (size_t i = 0; i < 5000; i++) {
        const bool growing = m.old != NULL;

        before = m.moved;
        MF_CHECK_OK(mf_map_insert(&m, &entries[i].node));
        if (growing) {
            MF_CHECK(m.moved - before <= 4);
        }
    }
    mf_map_fini(&m);
    mf_free(entries);
}

MF_TEST(map, insert_fails_only_without_its_first_buckets)
{
    struct entry *entries = entries_new(100);
    struct mf_map m;

    mf_map_init(&m, key_of);
    mf_test_fail_nth(1);
    MF_CHECK_INT(mf_map_insert(&m, &entries[0].node), MF_ENOMEM);
    MF_CHECK(!entries[0].node.is_in);
    MF_CHECK_INT(m.n, 0);
    mf_test_fail_nth(2);
    for (size_t i = 0; i < 100; i++) {
        MF_CHECK_OK(mf_map_insert(&m, &entries[i].node));
    }
    MF_CHECK(mf_test_has_failed());
    for (uint32_t i = 0; i < 100; i++) {
        MF_CHECK_PTR(find(&m, i), &entries[i]);
    }
    mf_map_fini(&m);
    mf_free(entries);
}

MF_TEST(map, hash_depends_on_every_byte)
{
    char bytes[40] = {0};
    uint64_t empty = mf_hash_bytes(bytes, sizeof(bytes));

    MF_CHECK(empty == mf_hash_bytes(bytes, sizeof(bytes)));
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = 1;
        MF_CHECK(empty != mf_hash_bytes(bytes, sizeof(bytes)));
        bytes[i] = 0;
    }
}
