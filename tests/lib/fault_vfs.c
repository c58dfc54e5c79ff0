/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/fault_vfs.h"

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Calls go to the real file through our own table, which differs in two places. */
struct fault_file {
    sqlite3_file base;
    sqlite3_file *real;
};

static sqlite3_vfs vfs;
static sqlite3_vfs *real_vfs;
static atomic_uint armed_call, seen, first, n_times, fired, after;
static atomic_int code;

static sqlite3_file *real_of(sqlite3_file *f)
{
    return ((struct fault_file *)f)->real;
}

static bool must_fail(enum fault_call call)
{
    unsigned n;

    if (atomic_load(&fired) > 0) {
        atomic_fetch_add(&after, 1);
    }
    if (atomic_load(&first) == 0 || call != atomic_load(&armed_call)) {
        return false;
    }
    n = atomic_fetch_add(&seen, 1) + 1;
    if (n < atomic_load(&first) || n - atomic_load(&first) >= atomic_load(&n_times)) {
        return false;
    }
    atomic_fetch_add(&fired, 1);
    return true;
}

static int f_close(sqlite3_file *f)
{
    int rc = real_of(f)->pMethods->xClose(real_of(f));

    free(real_of(f));
    return rc;
}

static int f_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
    return real_of(f)->pMethods->xRead(real_of(f), p, n, at);
}

static int f_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
    if (must_fail(FAULT_WRITE)) {
        return atomic_load(&code);
    }
    return real_of(f)->pMethods->xWrite(real_of(f), p, n, at);
}

static int f_truncate(sqlite3_file *f, sqlite3_int64 n)
{
    return real_of(f)->pMethods->xTruncate(real_of(f), n);
}

static int f_sync(sqlite3_file *f, int flags)
{
    if (must_fail(FAULT_SYNC)) {
        return atomic_load(&code);
    }
    return real_of(f)->pMethods->xSync(real_of(f), flags);
}

static int f_size(sqlite3_file *f, sqlite3_int64 *n)
{
    return real_of(f)->pMethods->xFileSize(real_of(f), n);
}

static int f_lock(sqlite3_file *f, int level)
{
    return real_of(f)->pMethods->xLock(real_of(f), level);
}

static int f_unlock(sqlite3_file *f, int level)
{
    return real_of(f)->pMethods->xUnlock(real_of(f), level);
}

static int f_check(sqlite3_file *f, int *out)
{
    return real_of(f)->pMethods->xCheckReservedLock(real_of(f), out);
}

static int f_control(sqlite3_file *f, int op, void *arg)
{
    return real_of(f)->pMethods->xFileControl(real_of(f), op, arg);
}

static int f_sector(sqlite3_file *f)
{
    return real_of(f)->pMethods->xSectorSize(real_of(f));
}

static int f_traits(sqlite3_file *f)
{
    return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f));
}

/* Version 1: no shared memory and no mapped files, which an exclusive WAL needs not. */
static const sqlite3_io_methods methods = {.iVersion = 1,
                                           .xClose = f_close,
                                           .xRead = f_read,
                                           .xWrite = f_write,
                                           .xTruncate = f_truncate,
                                           .xSync = f_sync,
                                           .xFileSize = f_size,
                                           .xLock = f_lock,
                                           .xUnlock = f_unlock,
                                           .xCheckReservedLock = f_check,
                                           .xFileControl = f_control,
                                           .xSectorSize = f_sector,
                                           .xDeviceCharacteristics = f_traits};

static int v_open(MF_UNUSED sqlite3_vfs *v, const char *name, sqlite3_file *f,
                  int flags, int *out_flags)
{
    struct fault_file *ff = (struct fault_file *)f;
    int rc;

    memset(ff, 0, sizeof(*ff));
    ff->real = calloc(1, (size_t)real_vfs->szOsFile);
    if (ff->real == NULL) {
        return SQLITE_NOMEM;
    }
    rc = real_vfs->xOpen(real_vfs, name, ff->real, flags, out_flags);
    if (ff->real->pMethods == NULL) {
        free(ff->real);
        return rc;
    }
    ff->base.pMethods = &methods;
    return rc;
}

void fault_vfs_install(void)
{
    MF_ASSERT(sqlite3_initialize() == SQLITE_OK);
    real_vfs = sqlite3_vfs_find(NULL);
    vfs = *real_vfs;
    vfs.zName = "fault";
    vfs.pNext = NULL;
    vfs.szOsFile = (int)sizeof(struct fault_file);
    vfs.xOpen = v_open;
    fault_vfs_disarm();
    MF_ASSERT(sqlite3_vfs_register(&vfs, 1) == SQLITE_OK);
}

void fault_vfs_remove(void)
{
    fault_vfs_disarm();
    MF_ASSERT(sqlite3_vfs_unregister(&vfs) == SQLITE_OK);
    MF_ASSERT(sqlite3_vfs_register(real_vfs, 1) == SQLITE_OK);
}

void fault_vfs_arm(enum fault_call call, unsigned n, unsigned times, int sqlite_code)
{
    atomic_store(&armed_call, call);
    atomic_store(&seen, 0);
    atomic_store(&fired, 0);
    atomic_store(&after, 0);
    atomic_store(&n_times, times);
    atomic_store(&code, sqlite_code);
    atomic_store(&first, n);
}

void fault_vfs_disarm(void)
{
    atomic_store(&first, 0);
    atomic_store(&fired, 0);
}

unsigned fault_vfs_n_fired(void)
{
    return atomic_load(&fired);
}

unsigned fault_vfs_n_after(void)
{
    return atomic_load(&after);
}
