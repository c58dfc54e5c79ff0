/* SPDX-License-Identifier: Apache-2.0 */
#include "tokenizer/vocab.h"

#include "base/err.h"
#include "base/mem.h"

#define SEED_BEGINS    0x9E3779B97F4A7C15ull
#define SEED_CONTINUES 0xC2B2AE3D27D4EB4Full
#define STEP_FACTOR    0x100000001B3ull

/* A file names its pieces, and its maker can make them collide: that costs time at the
 * one who trusts the file, nothing else. So the hash has no secret seed. */
static uint64_t hash_step(uint64_t h, char c)
{
    return (h ^ (unsigned char)c) * STEP_FACTOR;
}

static uint64_t hash_end(uint64_t h)
{
    h ^= h >> 29;
    h *= 0xBF58476D1CE4E5B9ull;
    return h ^ h >> 32;
}

int mf_vocab_init(struct mf_vocab *v, struct mf_slice prefix, uint32_t n_ids)
{
    char *copy = mf_strndup(prefix.p, prefix.n);

    *v = (struct mf_vocab){.n_ids = n_ids};
    mf_buf_init(&v->text);
    if (copy == NULL) {
        return MF_ENOMEM;
    }
    v->prefix = mf_slice_of(copy, prefix.n);
    v->pieces = mf_calloc(n_ids > 0 ? n_ids : 1, sizeof(*v->pieces));
    if (v->pieces == NULL) {
        mf_vocab_fini(v);
        return MF_ENOMEM;
    }
    return 0;
}

void mf_vocab_fini(struct mf_vocab *v)
{
    mf_buf_fini(&v->text);
    mf_free(v->pieces);
    mf_free(v->slots);
    mf_free((void *)(uintptr_t)v->prefix.p);
    *v = (struct mf_vocab){0};
}

void mf_vocab_add(struct mf_vocab *v, uint32_t id, struct mf_slice piece)
{
    MF_ASSERT(id < v->n_ids);
    v->pieces[id] = (struct mf_vocab_piece){(uint32_t)v->text.n, (uint32_t)piece.n};
    mf_buf_add_slice(&v->text, piece);
}

struct mf_slice mf_vocab_piece(const struct mf_vocab *v, uint32_t id)
{
    if (id >= v->n_ids || v->pieces[id].n == 0) {
        return mf_slice_of("", 0);
    }
    return mf_slice_of(v->text.p + v->pieces[id].at, v->pieces[id].n);
}

/* How a piece stands in the table. */
static struct mf_slice without_prefix(const struct mf_vocab *v, struct mf_slice piece,
                                      bool *continues)
{
    size_t n = v->prefix.n;

    *continues = n > 0 && piece.n > n && memcmp(piece.p, v->prefix.p, n) == 0;
    return *continues ? mf_slice_of(piece.p + n, piece.n - n) : piece;
}

static uint64_t hash_of(struct mf_slice s, bool continues)
{
    uint64_t h = continues ? SEED_CONTINUES : SEED_BEGINS;

    for (size_t i = 0; i < s.n; i++) {
        h = hash_step(h, s.p[i]);
    }
    return hash_end(h);
}

/* The slot that holds it, or the free one where it belongs. */
static inline struct mf_vocab_slot *slot_of(const struct mf_vocab *v, uint64_t hash,
                                            struct mf_slice s, bool continues)
{
    uint32_t tag = (uint32_t)(hash >> 32);
    size_t i = hash & v->mask;

    while (v->slots[i].id != MF_VOCAB_NONE &&
           (v->slots[i].tag != tag || v->slots[i].n != s.n ||
            v->slots[i].continues != continues ||
            memcmp(v->text.p + v->slots[i].at, s.p, s.n) != 0)) {
        i = (i + 1) & v->mask;
    }
    return &v->slots[i];
}

static void index_piece(struct mf_vocab *v, uint32_t id)
{
    bool continues;
    struct mf_slice s = without_prefix(v, mf_vocab_piece(v, id), &continues);
    uint64_t hash = hash_of(s, continues);
    struct mf_vocab_slot *slot;

    if (s.n == 0 || s.n > MF_WORD_BYTES) {
        return;
    }
    slot = slot_of(v, hash, s, continues);
    *slot = (struct mf_vocab_slot){.tag = (uint32_t)(hash >> 32),
                                   .id = id,
                                   .at = (uint32_t)(s.p - v->text.p),
                                   .n = (uint16_t)s.n,
                                   .continues = continues};
    v->longest = mf_max(v->longest, s.n);
}

int mf_vocab_index(struct mf_vocab *v)
{
    size_t n = 16;

    if (mf_buf_status(&v->text) < 0) {
        return MF_ENOMEM;
    }
    while (n < (size_t)v->n_ids * 2) {
        n *= 2;
    }
    v->slots = mf_array(n, sizeof(*v->slots));
    if (v->slots == NULL) {
        return MF_ENOMEM;
    }
    v->mask = n - 1;
    for (size_t i = 0; i < n; i++) {
        v->slots[i] = (struct mf_vocab_slot){.id = MF_VOCAB_NONE};
    }
    for (uint32_t id = 0; id < v->n_ids; id++) {
        index_piece(v, id);
    }
    return 0;
}

uint32_t mf_vocab_find(const struct mf_vocab *v, struct mf_slice piece)
{
    bool continues;
    struct mf_slice s = without_prefix(v, piece, &continues);

    if (s.n == 0 || s.n > MF_WORD_BYTES) {
        return MF_VOCAB_NONE;
    }
    return slot_of(v, hash_of(s, continues), s, continues)->id;
}

/* The longest piece that the `n` bytes at `s` begin with; its length in *len. */
static uint32_t find_longest(const struct mf_vocab *v, const char *s, size_t n,
                             bool continues, size_t *len)
{
    uint64_t h = continues ? SEED_CONTINUES : SEED_BEGINS, hashes[MF_WORD_BYTES];

    n = mf_min(n, v->longest);
    for (size_t i = 0; i < n; i++) {
        h = hash_step(h, s[i]);
        hashes[i] = h;
    }
    for (; n > 0; n--) {
        struct mf_slice part = mf_slice_of(s, n);
        uint32_t id = slot_of(v, hash_end(hashes[n - 1]), part, continues)->id;

        if (id != MF_VOCAB_NONE) {
            *len = n;
            return id;
        }
    }
    return MF_VOCAB_NONE;
}

size_t mf_vocab_cut(const struct mf_vocab *v, const char *word, size_t n,
                    struct mf_vocab_hit *hits)
{
    size_t at = 0, n_hits = 0;

    while (at < n) {
        size_t len = 0;
        uint32_t id = find_longest(v, word + at, n - at, at > 0, &len);

        if (id == MF_VOCAB_NONE) {
            return 0;
        }
        at += len;
        hits[n_hits++] = (struct mf_vocab_hit){id, (uint32_t)at};
    }
    return n_hits;
}
