/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/store_faults.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#define SEEN_BY_LIBRARIES __attribute__((visibility("default")))

static atomic_uint armed_call, seen, first, n_times, fired;
static atomic_int error_number;

void faults_arm(enum faults_call call, unsigned n, unsigned times, int error)
{
    atomic_store(&armed_call, call);
    atomic_store(&seen, 0);
    atomic_store(&fired, 0);
    atomic_store(&n_times, times);
    atomic_store(&error_number, error);
    atomic_store(&first, n);
}

void faults_disarm(void)
{
    atomic_store(&first, 0);
}

unsigned faults_n_fired(void)
{
    return atomic_load(&fired);
}

static bool must_fail(enum faults_call call)
{
    unsigned at = atomic_load(&first);
    unsigned n;

    if (at == 0 || call != (enum faults_call)atomic_load(&armed_call)) {
        return false;
    }
    n = atomic_fetch_add(&seen, 1) + 1;
    if (n < at || n - at >= atomic_load(&n_times)) {
        return false;
    }
    atomic_fetch_add(&fired, 1);
    errno = atomic_load(&error_number);
    return true;
}

SEEN_BY_LIBRARIES ssize_t pwrite64(int fd, const void *buf, size_t n, off64_t offset)
{
    return must_fail(FAULTS_WRITE) ? -1 : syscall(SYS_pwrite64, fd, buf, n, offset);
}

SEEN_BY_LIBRARIES int fdatasync(int fildes)
{
    return must_fail(FAULTS_SYNC) ? -1 : (int)syscall(SYS_fdatasync, fildes);
}
