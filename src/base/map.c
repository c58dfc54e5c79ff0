/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include "base/err.h"
#include "base/id.h"
#include "base/mem.h"

#include <xxhash.h>

/* Twice what is needed to be done with the old buckets before the next growth. */
#define MOVES_PER_INSERT 4
#define FIRST_BUCKETS    16

static uint64_t hash_seed;

__attribute__((constructor)) static void draw_hash_seed(void)
{
    mf_random(&hash_seed, sizeof(hash_seed));
}

uint64_t mf_hash_bytes(const void *p, size_t n)
{
    return XXH3_64bits_withSeed(p, n, hash_seed);
}

void mf_map_init(struct mf_map *m, mf_map_key_fn key)
{
    *m = (struct mf_map){.key = key};
}

void mf_map_fini(struct mf_map *m)
{
    mf_free(m->buckets);
    mf_free(m->old);
    mf_map_init(m, m->key);
}

/* The one bucket where a node of this hash stands, now. */
static struct mf_map_node **bucket_of(const struct mf_map *m, uint64_t hash)
{
    if (m->old != NULL && (hash & (m->n_old - 1)) >= m->moved) {
        return &m->old[hash & (m->n_old - 1)];
    }
    return &m->buckets[hash & (m->n_buckets - 1)];
}

static void move_one_bucket(struct mf_map *m)
{
    struct mf_map_node *node = m->old[m->moved];

    m->old[m->moved++] = NULL;
    while (node != NULL) {
        struct mf_map_node *next = node->next;
        struct mf_map_node **at = bucket_of(m, node->hash);

        node->next = *at;
        *at = node;
        node = next;
    }
}

static void move_some(struct mf_map *m)
{
    for (int i = 0; i < MOVES_PER_INSERT && m->old != NULL; i++) {
        move_one_bucket(m);
        if (m->moved == m->n_old) {
            mf_free(m->old);
            m->old = NULL;
        }
    }
}

/* Without memory for more buckets the chains grow longer: slower, never wrong. */
static void start_growth(struct mf_map *m)
{
    struct mf_map_node **wider =
        mf_calloc(m->n_buckets * 2, sizeof(struct mf_map_node *));

    if (wider == NULL) {
        return;
    }
    m->old = m->buckets;
    m->n_old = m->n_buckets;
    m->moved = 0;
    m->buckets = wider;
    m->n_buckets *= 2;
}

int mf_map_insert(struct mf_map *m, struct mf_map_node *node)
{
    struct mf_slice key = m->key(node);
    struct mf_map_node **at;

    MF_DEBUG_ASSERT(mf_map_find(m, key) == NULL);
    if (m->buckets == NULL) {
        m->buckets = mf_calloc(FIRST_BUCKETS, sizeof(struct mf_map_node *));
        if (m->buckets == NULL) {
            return MF_ENOMEM;
        }
        m->n_buckets = FIRST_BUCKETS;
    }
    if (m->old == NULL && m->n >= m->n_buckets) {
        start_growth(m);
    }
    move_some(m);
    node->hash = mf_hash_bytes(key.p, key.n);
    at = bucket_of(m, node->hash);
    node->next = *at;
    node->is_in = true;
    *at = node;
    m->n++;
    return 0;
}

struct mf_map_node *mf_map_find(const struct mf_map *m, struct mf_slice key)
{
    uint64_t hash;

    if (m->n == 0) {
        return NULL;
    }
    hash = mf_hash_bytes(key.p, key.n);
    for (struct mf_map_node *node = *bucket_of(m, hash); node != NULL;
         node = node->next) {
        if (node->hash == hash && mf_slice_eq(m->key(node), key)) {
            return node;
        }
    }
    return NULL;
}

void mf_map_remove(struct mf_map *m, struct mf_map_node *node)
{
    struct mf_map_node **at;

    MF_ASSERT(node->is_in);
    at = bucket_of(m, node->hash);
    while (*at != node) {
        MF_ASSERT(*at != NULL);
        at = &(*at)->next;
    }
    *at = node->next;
    node->next = NULL;
    node->is_in = false;
    m->n--;
}

static void each_in(struct mf_map_node *node, void (*fn)(struct mf_map_node *, void *),
                    void *arg)
{
    while (node != NULL) {
        struct mf_map_node *next = node->next;

        fn(node, arg);
        node = next;
    }
}

void mf_map_each(struct mf_map *m, void (*fn)(struct mf_map_node *, void *), void *arg)
{
    for (size_t i = 0; m->old != NULL && i < m->n_old; i++) {
        each_in(m->old[i], fn, arg);
    }
    for (size_t i = 0; i < m->n_buckets; i++) {
        each_in(m->buckets[i], fn, arg);
    }
}
