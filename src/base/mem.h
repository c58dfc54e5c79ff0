/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mem: the one seam for memory, overflow-checked sizes, and the arena.
 *
 * Owns:    the four functions behind the seam (set once, before the first call)
 * Thread:  any for the seam; an arena belongs to who holds it
 * Limits:  none here; every owner has its own bound
 * Fails:   NULL on exhaustion: callers return MF_ENOMEM
 */
#ifndef MF_MEM_H
#define MF_MEM_H

#include "base/base.h"

struct mf_mem_ops {
    void *(*malloc)(size_t n);
    void *(*calloc)(size_t n, size_t size);
    void *(*realloc)(void *p, size_t n);
    void (*free)(void *p);
};

/* Replaces the four functions (tests count and fail them). Before the first use. */
MF_ANY void mf_mem_set(const struct mf_mem_ops *ops);
MF_ANY const struct mf_mem_ops *mf_mem_get(void);

MF_ANY void *mf_malloc(size_t n);
MF_ANY void *mf_calloc(size_t n, size_t size); /* zeroed; NULL on overflow too */
MF_ANY void *mf_realloc(void *p, size_t n);
MF_ANY void mf_free(void *p);
MF_ANY void *mf_array(size_t n, size_t size); /* n * size checked, not zeroed */
/* Grows `*p` (elements of `size`) to hold at least `need`; doubles. 0 or MF_ENOMEM. */
MF_MUST MF_ANY int mf_grow(void **p, size_t *cap, size_t need, size_t size);
MF_ANY char *mf_strndup(const char *s, size_t n); /* NUL-terminated copy */
MF_ANY void *mf_aligned(size_t align, size_t n);  /* give back with mf_aligned_free */
MF_ANY void mf_aligned_free(void *p);

/* Arena: many small blocks, one end. Zeroed memory is not promised. */
struct mf_arena_block;

struct mf_arena {
    struct mf_arena_block *head;
    size_t used;       /* bytes used in head */
    size_t cap;        /* bytes of head */
    size_t block_size; /* of the next block */
    size_t total;      /* bytes taken from the seam */
};

MF_ANY void mf_arena_init(struct mf_arena *a, size_t block_size);
MF_ANY void *mf_arena_alloc(struct mf_arena *a, size_t n); /* 16-byte aligned or NULL */
MF_ANY char *mf_arena_strndup(struct mf_arena *a, const char *s, size_t n);
MF_ANY void mf_arena_reset(struct mf_arena *a); /* keeps one block */
MF_ANY void mf_arena_fini(struct mf_arena *a);

#endif
