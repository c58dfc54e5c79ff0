/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grow: mf_grow for arrays of any type.
 *
 * Owns:    nothing
 * Thread:  the array's owner's
 * Limits:  none
 * Fails:   MF_ENOMEM: the array stays as it was
 */
#ifndef MF_RECALL_GROW_H
#define MF_RECALL_GROW_H

#include "base/mem.h"

#include <string.h>

/* `array` is the address of the pointer to its first element. */
MF_MUST static inline int mf_grow_array(void *array, size_t *cap, size_t need,
                                        size_t size)
{
    void *p;
    int rc;

    if (need <= *cap) {
        return 0;
    }
    memcpy(&p, array, sizeof(p));
    rc = mf_grow(&p, cap, need, size);
    memcpy(array, &p, sizeof(p));
    return rc;
}

#endif
