/* SPDX-License-Identifier: Apache-2.0 */
/*
 * priority: how urgent a flush is; the smaller the sooner.
 *
 * Owns:    nothing
 * Thread:  any
 * Limits:  none
 * Fails:   never
 */
#ifndef MF_FLUSH_PRIORITY_H
#define MF_FLUSH_PRIORITY_H

enum mf_flush_priority {
    MF_FLUSH_CRITICAL, /* somebody waits: delete, update, drain */
    MF_FLUSH_HIGH,     /* idle user's last rounds */
    MF_FLUSH_NORMAL,   /* hybrid buffer is full */
    MF_FLUSH_LOW,      /* interval */
    MF_FLUSH_BACKGROUND
};

#define MF_FLUSH_PRIORITY_COUNT 5

#endif
