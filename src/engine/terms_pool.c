/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/terms_pool.h"

#include "base/mem.h"

#include <pthread.h>

/* More than any pool has threads at work on records; the rest is freed. */
#define MAX_KEPT 64

struct mf_terms_pool {
    pthread_mutex_t lock;
    struct mf_terms *kept[MAX_KEPT];
    size_t n_kept;
};

struct mf_terms_pool *mf_terms_pool_new(void)
{
    struct mf_terms_pool *s = mf_calloc(1, sizeof(*s));

    if (s != NULL && pthread_mutex_init(&s->lock, NULL) != 0) {
        mf_free(s);
        return NULL;
    }
    return s;
}

void mf_terms_pool_free(struct mf_terms_pool *s)
{
    if (s == NULL) {
        return;
    }
    while (s->n_kept > 0) {
        mf_terms_free(s->kept[--s->n_kept]);
    }
    (void)pthread_mutex_destroy(&s->lock);
    mf_free(s);
}

struct mf_terms *mf_terms_pool_take(struct mf_terms_pool *s)
{
    struct mf_terms *t = NULL;

    (void)pthread_mutex_lock(&s->lock);
    if (s->n_kept > 0) {
        t = s->kept[--s->n_kept];
    }
    (void)pthread_mutex_unlock(&s->lock);
    return t != NULL ? t : mf_terms_new();
}

void mf_terms_pool_give(struct mf_terms_pool *s, struct mf_terms *t)
{
    (void)pthread_mutex_lock(&s->lock);
    if (s->n_kept < MAX_KEPT) {
        s->kept[s->n_kept++] = t;
        t = NULL;
    }
    (void)pthread_mutex_unlock(&s->lock);
    mf_terms_free(t);
}
