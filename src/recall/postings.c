/* SPDX-License-Identifier: Apache-2.0 */
#include "recall/postings.h"

#include "base/err.h"
#include "recall/grow.h"

#define FIRST_TABLE 64
#define BLOCK       16 /* entries */
#define ENTRY_BYTES (sizeof(uint32_t) + 1)

void mf_postings_init(struct mf_postings *p)
{
    *p = (struct mf_postings){0};
}

void mf_postings_fini(struct mf_postings *p)
{
    for (size_t i = 0; i < p->n_terms; i++) {
        mf_free(p->terms[i].records);
    }
    mf_free(p->terms);
    mf_free(p->table);
    mf_free(p->free_terms);
}

/* The hashes are public and clients choose the words; a multiplication spreads what
 * stands close together, and a flood of equal slots costs only that user's own shelf.
 */
static size_t slot_of(const struct mf_postings *p, uint32_t hash)
{
    return (size_t)(((uint64_t)hash * 0x9E3779B97F4A7C15U) >> 32) & (p->n_table - 1);
}

/* The slot of the term, or the free one where it would stand. */
static size_t find_slot(const struct mf_postings *p, uint32_t hash)
{
    size_t i = slot_of(p, hash);

    while (p->table[i] != 0 && p->terms[p->table[i] - 1].hash != hash) {
        i = (i + 1) & (p->n_table - 1);
    }
    return i;
}

static int grow_table(struct mf_postings *p)
{
    struct mf_postings wider = *p;

    wider.n_table = p->n_table == 0 ? FIRST_TABLE : p->n_table * 2;
    wider.table = mf_calloc(wider.n_table, sizeof(*wider.table));
    if (wider.table == NULL) {
        return MF_ENOMEM;
    }
    MF_DEBUG_ASSERT(p->terms != NULL); /* one to be added */
    for (size_t i = 0; i < p->n_table; i++) {
        if (p->table[i] != 0) {
            wider.table[find_slot(&wider, p->terms[p->table[i] - 1].hash)] =
                p->table[i];
        }
    }
    mf_free(p->table);
    *p = wider;
    return 0;
}

static int add_term(struct mf_postings *p, uint32_t hash, uint32_t *term)
{
    size_t need = p->n_terms + 1;

    if (mf_grow_array(&p->terms, &p->cap_terms, need, sizeof(*p->terms)) < 0 ||
        mf_grow_array(&p->free_terms, &p->cap_free, need, sizeof(*p->free_terms)) < 0) {
        return MF_ENOMEM;
    }
    if (need * 2 > p->n_table && grow_table(p) < 0) {
        return MF_ENOMEM;
    }
    MF_DEBUG_ASSERT(p->terms != NULL && p->table != NULL);
    *term = p->n_free > 0 ? p->free_terms[--p->n_free] : (uint32_t)p->n_terms++;
    p->terms[*term] = (struct mf_term){.hash = hash};
    p->table[find_slot(p, hash)] = *term + 1;
    return 0;
}

/* Moves back what stood behind, so that no chain is broken. */
static void clear_slot(struct mf_postings *p, size_t hole)
{
    size_t mask = p->n_table - 1;

    for (size_t i = (hole + 1) & mask; p->table[i] != 0; i = (i + 1) & mask) {
        size_t home = slot_of(p, p->terms[p->table[i] - 1].hash);

        if (((i - home) & mask) >= ((i - hole) & mask)) {
            p->table[hole] = p->table[i];
            hole = i;
        }
    }
    p->table[hole] = 0;
}

static void tidy(struct mf_postings *p, uint32_t term)
{
    struct mf_term *t = &p->terms[term];

    if (t->n > 0 || t->n_reserved > 0) {
        return;
    }
    clear_slot(p, find_slot(p, t->hash));
    p->bytes -= t->cap * ENTRY_BYTES;
    mf_free(t->records);
    *t = (struct mf_term){0};
    p->free_terms[p->n_free++] = term;
}

static int grow_term(struct mf_postings *p, struct mf_term *t)
{
    uint32_t cap = t->cap == 0 ? 1 : t->cap * 2;
    uint32_t *block = mf_malloc(cap * ENTRY_BYTES);

    if (block == NULL) {
        return MF_ENOMEM;
    }
    if (t->n > 0) {
        memcpy(block, t->records, t->n * sizeof(*block));
        memcpy(block + cap, mf_term_counts(t), t->n);
    }
    mf_free(t->records);
    p->bytes += (cap - t->cap) * ENTRY_BYTES;
    t->records = block;
    t->cap = cap;
    return 0;
}

int mf_postings_reserve(struct mf_postings *p, uint32_t hash, uint32_t *term)
{
    const struct mf_term *there = mf_postings_find(p, hash);
    struct mf_term *t;

    if (there != NULL) {
        *term = (uint32_t)(there - p->terms);
    } else if (add_term(p, hash, term) < 0) {
        return MF_ENOMEM;
    }
    t = &p->terms[*term];
    if (t->n + t->n_reserved == t->cap && grow_term(p, t) < 0) {
        tidy(p, *term);
        return MF_ENOMEM;
    }
    t->n_reserved++;
    return 0;
}

void mf_postings_unreserve(struct mf_postings *p, uint32_t term)
{
    p->terms[term].n_reserved--;
    tidy(p, term);
}

void mf_postings_add(struct mf_postings *p, uint32_t term, uint32_t record,
                     uint8_t count)
{
    struct mf_term *t = &p->terms[term];

    t->n_reserved--;
    t->records[t->n] = record;
    mf_term_counts(t)[t->n] = count;
    t->n++;
}

/* The order inside a list has no meaning. */
static void remove_at(struct mf_term *t, uint32_t i)
{
    t->n--;
    t->records[i] = t->records[t->n];
    mf_term_counts(t)[i] = mf_term_counts(t)[t->n];
}

void mf_postings_remove(struct mf_postings *p, uint32_t term, uint32_t record)
{
    struct mf_term *t = &p->terms[term];
    uint32_t i = t->n;

    while (t->records[--i] != record) {
        MF_ASSERT(i > 0);
    }
    remove_at(t, i);
    tidy(p, term);
}

static inline unsigned is_gone(const uint8_t *bits, uint32_t record)
{
    return bits[record / 8] >> (record % 8) & 1U;
}

/* Most blocks lose nothing: they are looked at without a branch for each entry. */
static bool block_loses(const uint32_t *records, const uint8_t *gone_bits)
{
    unsigned any = 0;

    for (size_t i = 0; i < BLOCK; i++) {
        any |= is_gone(gone_bits, records[i]);
    }
    return any != 0;
}

void mf_postings_sweep(struct mf_postings *p, uint32_t term, const uint8_t *gone_bits)
{
    struct mf_term *t = &p->terms[term];
    uint32_t i = t->n;

    if (t->n_gone == 0) {
        return;
    }
    while (t->n_gone > 0) {
        if (i % BLOCK == 0 && !block_loses(t->records + i - BLOCK, gone_bits)) {
            i -= BLOCK;
        } else if (is_gone(gone_bits, t->records[--i]) != 0) {
            remove_at(t, i);
            t->n_gone--;
        }
    }
    tidy(p, term);
}

const struct mf_term *mf_postings_find(const struct mf_postings *p, uint32_t hash)
{
    uint32_t found = p->n_table == 0 ? 0 : p->table[find_slot(p, hash)];

    return found == 0 ? NULL : &p->terms[found - 1];
}

size_t mf_postings_bytes(const struct mf_postings *p)
{
    return p->bytes + p->cap_terms * sizeof(*p->terms) +
           p->n_table * sizeof(*p->table) + p->cap_free * sizeof(*p->free_terms);
}
