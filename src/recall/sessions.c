/* SPDX-License-Identifier: Apache-2.0 */
#include "recall/sessions.h"

#include "base/err.h"
#include "base/mem.h"
#include "recall/grow.h"

static struct mf_slice key_of(const struct mf_map_node *node)
{
    const struct mf_session *x = (const struct mf_session *)(const void *)node;

    return x->id;
}

_Static_assert(offsetof(struct mf_session, node) == 0, "key_of casts");

void mf_sessions_init(struct mf_sessions *s)
{
    *s = (struct mf_sessions){0};
    mf_map_init(&s->by_id, key_of);
}

void mf_sessions_fini(struct mf_sessions *s)
{
    for (size_t i = 0; i < s->n; i++) {
        mf_free(s->by_index[i]);
    }
    mf_map_fini(&s->by_id);
    mf_free(s->by_index);
    mf_free(s->free_indexes);
}

struct mf_session *mf_sessions_find(const struct mf_sessions *s, struct mf_slice id)
{
    struct mf_map_node *node = mf_map_find(&s->by_id, id);

    return node == NULL ? NULL : mf_container_of(node, struct mf_session, node);
}

static size_t session_bytes(const struct mf_session *x)
{
    return sizeof(*x) + x->id.n + x->agent.n;
}

static void copy(struct mf_slice *to, char *at, struct mf_slice from)
{
    if (from.n > 0) {
        memcpy(at, from.p, from.n);
    }
    *to = mf_slice_of(at, from.n);
}

struct mf_session *mf_sessions_get(struct mf_sessions *s, struct mf_slice id,
                                   struct mf_slice agent)
{
    struct mf_session *x = mf_sessions_find(s, id);

    if (x != NULL) {
        return x;
    }
    if (mf_grow_array(&s->by_index, &s->cap, s->n + 1, sizeof(struct mf_session *)) <
            0 ||
        mf_grow_array(&s->free_indexes, &s->cap_free, s->n + 1, sizeof(uint32_t)) < 0) {
        return NULL;
    }
    x = mf_calloc(1, sizeof(*x) + id.n + agent.n);
    if (x == NULL) {
        return NULL;
    }
    copy(&x->id, x->bytes, id);
    copy(&x->agent, x->bytes + id.n, agent);
    if (mf_map_insert(&s->by_id, &x->node) < 0) {
        mf_free(x);
        return NULL;
    }
    x->index = s->n_free > 0 ? s->free_indexes[--s->n_free] : (uint32_t)s->n++;
    s->by_index[x->index] = x;
    s->bytes += session_bytes(x);
    return x;
}

void mf_sessions_tidy(struct mf_sessions *s, struct mf_session *x)
{
    if (x->n_records > 0) {
        return;
    }
    mf_map_remove(&s->by_id, &x->node);
    s->by_index[x->index] = NULL;
    s->free_indexes[s->n_free++] = x->index;
    s->bytes -= session_bytes(x);
    mf_free(x);
}

size_t mf_sessions_bytes(const struct mf_sessions *s)
{
    return s->bytes + s->cap * sizeof(struct mf_session *) +
           s->cap_free * sizeof(uint32_t) +
           (s->by_id.n_buckets + s->by_id.n_old) * sizeof(struct mf_map_node *);
}
