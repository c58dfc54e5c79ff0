/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include "base/err.h"

#include <stdlib.h>
#include <string.h>

struct mf_arena_block {
    struct mf_arena_block *next;
    size_t cap;
    _Alignas(16) char data[];
};

static struct mf_mem_ops ops = {malloc, calloc, realloc, free};

void mf_mem_set(const struct mf_mem_ops *o)
{
    ops = *o;
}

const struct mf_mem_ops *mf_mem_get(void)
{
    return &ops;
}

void *mf_malloc(size_t n)
{
    return ops.malloc(n);
}

void *mf_calloc(size_t n, size_t size)
{
    return ops.calloc(n, size);
}

void *mf_realloc(void *p, size_t n)
{
    return ops.realloc(p, n);
}

void mf_free(void *p)
{
    ops.free(p);
}

void *mf_array(size_t n, size_t size)
{
    size_t total;

    if (__builtin_mul_overflow(n, size, &total)) {
        return NULL;
    }
    return ops.malloc(total);
}

int mf_grow(void **p, size_t *cap, size_t need, size_t size)
{
    size_t next = *cap < 8 ? 8 : *cap;
    size_t bytes;
    void *q;

    if (need <= *cap) {
        return 0;
    }
    while (next < need) {
        if (__builtin_mul_overflow(next, 2, &next)) {
            return MF_ENOMEM;
        }
    }
    if (__builtin_mul_overflow(next, size, &bytes)) {
        return MF_ENOMEM;
    }
    q = ops.realloc(*p, bytes);
    if (q == NULL) {
        return MF_ENOMEM;
    }
    *p = q;
    *cap = next;
    return 0;
}

char *mf_strndup(const char *s, size_t n)
{
    char *d = ops.malloc(n + 1);

    if (d != NULL) {
        memcpy(d, s, n);
        d[n] = '\0';
    }
    return d;
}

/* The address that free() wants stands just before the aligned block. */
void *mf_aligned(size_t align, size_t n)
{
    char *raw;
    uintptr_t at;
    size_t total;

    MF_ASSERT(align >= sizeof(void *) && (align & (align - 1)) == 0);
    if (__builtin_add_overflow(n, align + sizeof(void *), &total)) {
        return NULL;
    }
    raw = ops.malloc(total);
    if (raw == NULL) {
        return NULL;
    }
    at = ((uintptr_t)raw + sizeof(void *) + align - 1) & ~(uintptr_t)(align - 1);
    ((void **)at)[-1] = raw;
    return (void *)at;
}

void mf_aligned_free(void *p)
{
    if (p != NULL) {
        ops.free(((void **)p)[-1]);
    }
}

void mf_arena_init(struct mf_arena *a, size_t block_size)
{
    memset(a, 0, sizeof(*a));
    a->block_size = block_size;
}

static int arena_add_block(struct mf_arena *a, size_t n)
{
    size_t cap = n > a->block_size ? n : a->block_size;
    struct mf_arena_block *b;
    size_t total;

    if (__builtin_add_overflow(sizeof(*b), cap, &total)) {
        return MF_ENOMEM;
    }
    b = ops.malloc(total);
    if (b == NULL) {
        return MF_ENOMEM;
    }
    b->cap = cap;
    b->next = a->head;
    a->head = b;
    a->used = 0;
    a->cap = cap;
    a->total += total;
    return 0;
}

void *mf_arena_alloc(struct mf_arena *a, size_t n)
{
    size_t need = (n + 15) & ~(size_t)15;
    void *p;

    if (need < n) {
        return NULL;
    }
    if ((a->head == NULL || need > a->cap - a->used) && arena_add_block(a, need) < 0) {
        return NULL;
    }
    p = a->head->data + a->used;
    a->used += need;
    return p;
}

char *mf_arena_strndup(struct mf_arena *a, const char *s, size_t n)
{
    char *d = mf_arena_alloc(a, n + 1);

    if (d != NULL) {
        memcpy(d, s, n);
        d[n] = '\0';
    }
    return d;
}

void mf_arena_reset(struct mf_arena *a)
{
    struct mf_arena_block *keep = a->head;

    if (keep == NULL) {
        return;
    }
    for (struct mf_arena_block *b = keep->next, *next; b != NULL; b = next) {
        next = b->next;
        ops.free(b);
    }
    keep->next = NULL;
    a->used = 0;
    a->total = sizeof(*keep) + keep->cap;
}

void mf_arena_fini(struct mf_arena *a)
{
    for (struct mf_arena_block *b = a->head, *next; b != NULL; b = next) {
        next = b->next;
        ops.free(b);
    }
    a->head = NULL;
    a->used = a->cap = a->total = 0;
}
