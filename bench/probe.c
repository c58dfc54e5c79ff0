/* SPDX-License-Identifier: Apache-2.0 */
#include "probe.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define N_SYNCS 200

uint64_t mf_probe_now_ns(void)
{
    struct timespec ts;

    MF_ASSERT(clock_gettime(CLOCK_MONOTONIC, &ts) == 0);
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static bool time_syncs(int fd, uint64_t ns[N_SYNCS])
{
    static const char page[4096];

    for (size_t i = 0; i < N_SYNCS; i++) {
        uint64_t from = mf_probe_now_ns();

        if (write(fd, page, sizeof(page)) != (ssize_t)sizeof(page) ||
            fdatasync(fd) != 0) {
            return false;
        }
        ns[i] = mf_probe_now_ns() - from;
    }
    qsort(ns, N_SYNCS, sizeof(*ns), by_value);
    return true;
}

static double us_at(const uint64_t ns[N_SYNCS], size_t i)
{
    return (double)ns[i] / 1e3;
}

static bool probe_syncs(const char *dir, uint64_t ns[N_SYNCS])
{
    char path[PATH_MAX];
    bool is_good;
    int fd;

    (void)snprintf(path, sizeof(path), "%s/probe-XXXXXX", dir);
    fd = mkstemp(path);
    if (fd < 0) {
        return false;
    }
    is_good = time_syncs(fd, ns);
    (void)close(fd);
    (void)unlink(path);
    return is_good;
}

void mf_probe_print(const char *dir)
{
    uint64_t ns[N_SYNCS];
    double load[3] = {0, 0, 0};

    (void)getloadavg(load, 3);
    (void)printf("probe: load %.2f %.2f %.2f; ", load[0], load[1], load[2]);
    if (probe_syncs(dir, ns)) {
        (void)printf(
            "fdatasync of 4 KiB appended: p50 %.0f us, p99 %.0f us (%d times)\n",
            us_at(ns, N_SYNCS / 2), us_at(ns, N_SYNCS * 99 / 100), N_SYNCS);
    } else {
        (void)printf("no fsync probe: %s cannot be written\n", dir);
    }
}
