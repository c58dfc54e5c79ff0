/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe: what a benchmark on a shared machine prints beside its figures: load average
 * and the price of one fsync, taken in the same minute.
 *
 * Owns:    a file of its own in the folder, removed again
 * Thread:  any
 * Limits:  none
 * Fails:   a folder that cannot be written is said in the line
 */
#ifndef MF_BENCH_PROBE_H
#define MF_BENCH_PROBE_H

#include "base/base.h"

MF_ANY uint64_t mf_probe_now_ns(void); /* monotonic */
/* One line: "probe: load 0.31 0.20 0.11; fdatasync of 4 KiB appended: p50 250 us, p99
 * 350 us (200 times)". */
MF_ANY void mf_probe_print(const char *dir);

#endif
