/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fault_vfs: SQLite's file layer with a fault at the n-th call. The default VFS as long
 * as it is installed; calls are counted from fault_vfs_arm on, over all files.
 */
#ifndef MF_FAULT_VFS_H
#define MF_FAULT_VFS_H

#include "base/base.h"

enum fault_call { FAULT_WRITE, FAULT_SYNC };

void fault_vfs_install(void);
void fault_vfs_remove(void);
/* From the n-th such call on (1: the next), `times` calls answer the SQLite code
 * without doing anything. */
void fault_vfs_arm(enum fault_call call, unsigned n, unsigned times, int code);
void fault_vfs_disarm(void);
unsigned fault_vfs_n_fired(void); /* since armed: a test must look */
unsigned fault_vfs_n_after(void); /* writes and syncs behind the first that fired */

#endif
