/* SPDX-License-Identifier: Apache-2.0 */
/*
 * list: a doubly linked list whose links live in the objects, with a count.
 *
 * Owns:    nothing: the objects are their owners'
 * Thread:  the owner's
 * Limits:  none; owners bound what they keep
 * Fails:   an object on two lists, or removed twice, ends in an assertion
 */
#ifndef MF_LIST_H
#define MF_LIST_H

#include "base/base.h"

struct mf_link {
    struct mf_link *prev, *next; /* NULL, NULL: on no list */
};

struct mf_list {
    struct mf_link head;
    size_t n;
};

static inline void mf_list_init(struct mf_list *l)
{
    l->head.prev = l->head.next = &l->head;
    l->n = 0;
}

static inline bool mf_list_is_empty(const struct mf_list *l)
{
    return l->n == 0;
}

static inline bool mf_link_is_on(const struct mf_link *k)
{
    return k->next != NULL;
}

static inline void mf_link_insert(struct mf_list *l, struct mf_link *k,
                                  struct mf_link *before)
{
    MF_ASSERT(k->next == NULL);
    k->next = before;
    k->prev = before->prev;
    before->prev->next = k;
    before->prev = k;
    l->n++;
}

static inline void mf_list_push_tail(struct mf_list *l, struct mf_link *k)
{
    mf_link_insert(l, k, &l->head);
}

static inline void mf_list_push_head(struct mf_list *l, struct mf_link *k)
{
    mf_link_insert(l, k, l->head.next);
}

static inline void mf_list_remove(struct mf_list *l, struct mf_link *k)
{
    MF_ASSERT(k->next != NULL && l->n > 0);
    k->prev->next = k->next;
    k->next->prev = k->prev;
    k->prev = k->next = NULL;
    l->n--;
}

static inline struct mf_link *mf_list_head(const struct mf_list *l)
{
    return l->n == 0 ? NULL : l->head.next;
}

static inline struct mf_link *mf_list_tail(const struct mf_list *l)
{
    return l->n == 0 ? NULL : l->head.prev;
}

static inline struct mf_link *mf_list_pop_head(struct mf_list *l)
{
    struct mf_link *k = mf_list_head(l);

    if (k != NULL) {
        mf_list_remove(l, k);
    }
    return k;
}

/* Moves everything of `from` to the tail of `to`; `from` is empty afterwards. */
static inline void mf_list_move(struct mf_list *to, struct mf_list *from)
{
    if (from->n == 0) {
        return;
    }
    from->head.next->prev = to->head.prev;
    from->head.prev->next = &to->head;
    to->head.prev->next = from->head.next;
    to->head.prev = from->head.prev;
    to->n += from->n;
    mf_list_init(from);
}

/* NOLINTBEGIN(bugprone-macro-parentheses): `k` names the variable declared here */
#define mf_list_each(l, k)                                                             \
    for (struct mf_link *k = (l)->head.next; k != &(l)->head; k = k->next)

/* `k` may be removed (or freed) in the body; nothing else may. */
#define mf_list_each_safe(l, k)                                                        \
    for (struct mf_link *k = (l)->head.next, *k##_next = k->next; k != &(l)->head;     \
         k = k##_next, k##_next = k->next)
/* NOLINTEND(bugprone-macro-parentheses) */

#endif
