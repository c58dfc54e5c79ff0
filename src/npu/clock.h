/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock: deadlines are monotonic.
 *
 * Owns:    nothing
 * Thread:  any
 * Limits:  none
 * Fails:   never
 */
#ifndef MF_NPU_CLOCK_H
#define MF_NPU_CLOCK_H

#include "base/base.h"

#include <time.h>

static inline int64_t mf_npu_now_ns(void)
{
    struct timespec t;

    MF_ASSERT(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

#endif
