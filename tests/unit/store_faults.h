/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_faults: the program's own pwrite and fdatasync, which SQLite's library then
 * calls: the n-th one fails with an errno. (tests/lib/fault_vfs has no shared memory,
 * which a WAL with readers needs.)
 *
 * Owns:    the count of calls
 * Thread:  any
 * Limits:  one fault at a time
 * Fails:   never by itself: a test must look at faults_n_fired
 */
#ifndef MF_STORE_FAULTS_H
#define MF_STORE_FAULTS_H

#include "base/base.h"

enum faults_call { FAULTS_WRITE, FAULTS_SYNC };

/* From the n-th such call on (1: the next) `times` calls fail. */
MF_ANY void faults_arm(enum faults_call call, unsigned n, unsigned times, int error);
MF_ANY void faults_disarm(void);
MF_ANY unsigned faults_n_fired(void); /* since armed */

#endif
