/* SPDX-License-Identifier: Apache-2.0 */
#include "recall/topk.h"

#include "base/err.h"
#include "base/mem.h"

int mf_topk_init(struct mf_topk *t, size_t k)
{
    *t = (struct mf_topk){.k = k};
    t->heap = mf_array(k + 1, sizeof(*t->heap));
    return t->heap == NULL ? MF_ENOMEM : 0;
}

void mf_topk_fini(struct mf_topk *t)
{
    mf_free(t->heap);
    t->heap = NULL;
}

static bool is_worse(const struct mf_top *a, const struct mf_top *b)
{
    return a->key < b->key || (a->key == b->key && a->at > b->at);
}

static void sink(struct mf_top *heap, size_t n, size_t i)
{
    struct mf_top x = heap[i];

    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && is_worse(&heap[child + 1], &heap[child])) {
            child++;
        }
        if (!is_worse(&heap[child], &x)) {
            break;
        }
        heap[i] = heap[child];
    }
    heap[i] = x;
}

static void rise(struct mf_top *heap, size_t i)
{
    struct mf_top x = heap[i];

    while (i > 0 && is_worse(&x, &heap[(i - 1) / 2])) {
        heap[i] = heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    heap[i] = x;
}

void mf_topk_take(struct mf_topk *t, double key, size_t at)
{
    struct mf_top x = {key, at};

    if (t->n < t->k) {
        t->heap[t->n] = x;
        rise(t->heap, t->n++);
    } else if (t->k > 0 && is_worse(&t->heap[0], &x)) {
        t->heap[0] = x;
        sink(t->heap, t->n, 0);
    }
}

void mf_topk_sort(struct mf_topk *t)
{
    for (size_t n = t->n; n > 1; n--) {
        struct mf_top worst = t->heap[0];

        t->heap[0] = t->heap[n - 1];
        t->heap[n - 1] = worst;
        sink(t->heap, n - 1, 0);
    }
}
