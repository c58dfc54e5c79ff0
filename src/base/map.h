/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map: a hash table whose links live in the objects; keys are bytes of the object.
 *
 * Chained, grows at load 1 in small steps (a bounded number of buckets moved at each
 * insert), so that no insert is long. Hash: xxh3-64 with a seed drawn at start, since
 * keys come from clients.
 *
 * Owns:    the bucket array; the objects are their owners'
 * Thread:  the owner's
 * Limits:  none; owners bound what they keep
 * Fails:   MF_ENOMEM from mf_map_insert when the first buckets cannot be had
 */
#ifndef MF_MAP_H
#define MF_MAP_H

#include "base/base.h"
#include "base/str.h"

struct mf_map_node {
    struct mf_map_node *next;
    uint64_t hash;
    bool is_in;
};

/* The key of the object that holds `node`. */
typedef struct mf_slice (*mf_map_key_fn)(const struct mf_map_node *node);

struct mf_map {
    struct mf_map_node **buckets, **old;
    size_t n_buckets, n_old, moved; /* while old != NULL, buckets < moved are empty */
    size_t n;
    mf_map_key_fn key;
};

MF_ANY void mf_map_init(struct mf_map *m, mf_map_key_fn key);
MF_ANY void mf_map_fini(struct mf_map *m); /* must be empty or about to be forgotten */
/* The key must not be there yet (asserted in debug builds). Only the first buckets are
 * waited for: a map that cannot grow becomes slower, not wrong. */
MF_MUST MF_ANY int mf_map_insert(struct mf_map *m, struct mf_map_node *node);
MF_ANY struct mf_map_node *mf_map_find(const struct mf_map *m, struct mf_slice key);
MF_ANY void mf_map_remove(struct mf_map *m, struct mf_map_node *node);
/* Calls `fn` for each node; `fn` may remove that node and nothing else. */
MF_ANY void mf_map_each(struct mf_map *m, void (*fn)(struct mf_map_node *, void *),
                        void *arg);

MF_ANY uint64_t mf_hash_bytes(const void *p, size_t n); /* seeded, per process */

#endif
