/* SPDX-License-Identifier: Apache-2.0 */
#include "embed/vcache.h"

#include "base/err.h"
#include "base/mem.h"

/* What an entry costs beside itself: its bucket and the head of its block. */
#define BOOK_BYTES 32U

/* ---- keys ---- */

int mf_vkey_maker_init(struct mf_vkey_maker *m)
{
    m->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    m->ctx = EVP_MD_CTX_new();
    if (m->sha256 == NULL || m->ctx == NULL) {
        mf_vkey_maker_fini(m);
        return MF_ENOMEM;
    }
    return 0;
}

void mf_vkey_maker_fini(struct mf_vkey_maker *m)
{
    EVP_MD_CTX_free(m->ctx);
    EVP_MD_free(m->sha256);
    memset(m, 0, sizeof(*m));
}

static bool add(const struct mf_vkey_maker *m, struct mf_slice s)
{
    return s.n == 0 || EVP_DigestUpdate(m->ctx, s.p, s.n) == 1;
}

static bool add_number(const struct mf_vkey_maker *m, uint64_t v)
{
    uint8_t bytes[8];

    mf_put_u64(bytes, v);
    return EVP_DigestUpdate(m->ctx, bytes, sizeof(bytes)) == 1;
}

int mf_vkey_make(struct mf_vkey_maker *m, const struct mf_vkey_of *of,
                 struct mf_vkey *out)
{
    unsigned n = sizeof(out->b);
    bool is_well = EVP_DigestInit_ex2(m->ctx, m->sha256, NULL) == 1 &&
                   add_number(m, of->space.n) && add(m, of->space) &&
                   add_number(m, of->flags) &&
                   add_number(m, of->prompt.n + of->text.n) && add(m, of->prompt) &&
                   add(m, of->text) && EVP_DigestFinal_ex(m->ctx, out->b, &n) == 1;

    return is_well ? 0 : MF_ENOMEM;
}

/* ---- the cache ---- */

struct kept {
    struct mf_map_node node;
    struct mf_link link; /* lru or cleared */
    struct mf_vkey key;
    uint64_t made_ms;
    uint32_t n_tokens;
    float vector[];
};

struct mf_vcache {
    struct mf_map by_key; /* of lru */
    struct mf_list lru;   /* the least recently used first */
    struct mf_list cleared;
    size_t dim, entry_bytes, max_entries;
    uint64_t ttl_ms;
    uint64_t evicted, expired;
};

static struct mf_slice key_of(const struct mf_map_node *node)
{
    return mf_vkey_slice(&mf_container_of(node, struct kept, node)->key);
}

static struct kept *kept_of(struct mf_link *k)
{
    return mf_container_of(k, struct kept, link);
}

int mf_vcache_new(struct mf_vcache **out, uint16_t dim, size_t max_bytes,
                  uint64_t ttl_ms)
{
    struct mf_vcache *c = mf_calloc(1, sizeof(*c));

    if (c == NULL) {
        return MF_ENOMEM;
    }
    mf_map_init(&c->by_key, key_of);
    mf_list_init(&c->lru);
    mf_list_init(&c->cleared);
    c->dim = dim;
    c->entry_bytes = sizeof(struct kept) + dim * sizeof(float) + BOOK_BYTES;
    c->max_entries = max_bytes / c->entry_bytes;
    c->ttl_ms = ttl_ms;
    *out = c;
    return 0;
}

void mf_vcache_free(struct mf_vcache *c)
{
    if (c == NULL) {
        return;
    }
    mf_vcache_clear(c);
    while (mf_vcache_sweep(c, SIZE_MAX)) {
    }
    mf_map_fini(&c->by_key);
    mf_free(c);
}

static void forget(struct mf_vcache *c, struct kept *e)
{
    mf_map_remove(&c->by_key, &e->node);
    mf_list_remove(&c->lru, &e->link);
    mf_free(e);
}

static bool is_too_old(const struct mf_vcache *c, const struct kept *e, uint64_t now_ms)
{
    return c->ttl_ms > 0 && now_ms - e->made_ms >= c->ttl_ms;
}

static struct kept *find(const struct mf_vcache *c, const struct mf_vkey *key)
{
    struct mf_map_node *node = mf_map_find(&c->by_key, mf_vkey_slice(key));

    return node == NULL ? NULL : mf_container_of(node, struct kept, node);
}

const float *mf_vcache_get(struct mf_vcache *c, const struct mf_vkey *key,
                           uint64_t now_ms, uint32_t *n_tokens)
{
    struct kept *e = find(c, key);

    if (e == NULL) {
        return NULL;
    }
    if (is_too_old(c, e, now_ms)) {
        c->expired++;
        forget(c, e);
        return NULL;
    }
    mf_list_remove(&c->lru, &e->link);
    mf_list_push_tail(&c->lru, &e->link);
    *n_tokens = e->n_tokens;
    return e->vector;
}

/* Memory for one more: of what was cleared, of the least recently used, or new. */
static struct kept *make_room(struct mf_vcache *c, uint64_t now_ms)
{
    struct mf_link *k = mf_list_pop_head(&c->cleared);
    struct kept *e;

    if (k != NULL) {
        return kept_of(k);
    }
    if (c->lru.n < c->max_entries) {
        return mf_malloc(c->entry_bytes - BOOK_BYTES);
    }
    e = kept_of(mf_list_head(&c->lru));
    if (is_too_old(c, e, now_ms)) {
        c->expired++;
    } else {
        c->evicted++;
    }
    mf_map_remove(&c->by_key, &e->node);
    mf_list_remove(&c->lru, &e->link);
    return e;
}

void mf_vcache_put(struct mf_vcache *c, const struct mf_vkey *key, const float *vector,
                   uint32_t n_tokens, uint64_t now_ms)
{
    struct kept *e = find(c, key);

    if (c->max_entries == 0) {
        return;
    }
    if (e != NULL) {
        forget(c, e);
    }
    e = make_room(c, now_ms);
    if (e == NULL) {
        return;
    }
    memset(e, 0, sizeof(*e));
    e->key = *key;
    e->made_ms = now_ms;
    e->n_tokens = n_tokens;
    memcpy(e->vector, vector, c->dim * sizeof(float));
    if (mf_map_insert(&c->by_key, &e->node) < 0) {
        mf_free(e);
        return;
    }
    mf_list_push_tail(&c->lru, &e->link);
}

void mf_vcache_clear(struct mf_vcache *c)
{
    mf_list_move(&c->cleared, &c->lru);
    mf_map_fini(&c->by_key);
    mf_map_init(&c->by_key, key_of);
}

bool mf_vcache_sweep(struct mf_vcache *c, size_t max)
{
    for (size_t i = 0; i < max && !mf_list_is_empty(&c->cleared); i++) {
        mf_free(kept_of(mf_list_pop_head(&c->cleared)));
    }
    return !mf_list_is_empty(&c->cleared);
}

void mf_vcache_counts(const struct mf_vcache *c, struct mf_vcache_counts *out)
{
    out->evicted = c->evicted;
    out->expired = c->expired;
    out->n = c->lru.n;
    out->bytes = c->lru.n * c->entry_bytes;
}

void mf_vcache_reset_counts(struct mf_vcache *c)
{
    c->evicted = c->expired = 0;
}
