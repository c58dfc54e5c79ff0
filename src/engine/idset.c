/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/idset.h"

#include "base/err.h"
#include "base/map.h"

#include <string.h>

#define MIN_SLOTS 8

/* The slot of this id, or the free one where it would go. */
static uint32_t *slot_of(const struct mf_idset *s, struct mf_slice id)
{
    size_t i = (size_t)mf_hash_bytes(id.p, id.n) & s->mask;

    while (s->slots[i] != 0 && !mf_slice_eq(s->ids[s->slots[i] - 1], id)) {
        i = (i + 1) & s->mask;
    }
    return &s->slots[i];
}

int mf_idset_build(struct mf_idset *s, struct mf_arena *a, const struct mf_slice *ids,
                   size_t n)
{
    size_t n_slots = MIN_SLOTS;

    while (n_slots < 2 * n) {
        n_slots *= 2;
    }
    s->ids = ids;
    s->mask = n_slots - 1;
    s->twice = MF_IDSET_NONE;
    s->slots = mf_arena_alloc(a, n_slots * sizeof(*s->slots));
    if (s->slots == NULL) {
        return MF_ENOMEM;
    }
    memset(s->slots, 0, n_slots * sizeof(*s->slots));
    for (size_t i = 0; i < n; i++) {
        uint32_t *slot = slot_of(s, ids[i]);

        if (*slot == 0) {
            *slot = (uint32_t)i + 1;
        } else if (s->twice == MF_IDSET_NONE) {
            s->twice = i;
        }
    }
    return 0;
}

size_t mf_idset_find(const struct mf_idset *s, struct mf_slice id)
{
    uint32_t at = *slot_of(s, id);

    return at == 0 ? MF_IDSET_NONE : at - 1;
}
