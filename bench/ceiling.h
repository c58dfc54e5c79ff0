/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ceiling: the most that one core's multiply instruction can do, for reading rates
 * beside it: as many sums as there are registers, none waiting for another.
 *
 * Owns:    nothing
 * Thread:  any; uses the calling thread's CPU time
 * Limits:  x86-64; elsewhere, and for a kernel in plain C, there is no ceiling: 0
 * Fails:   never
 */
#ifndef MF_BENCH_CEILING_H
#define MF_BENCH_CEILING_H

/* Thousand million operations a second of CPU time of the instruction that the kernel
 * ("int8-avx512vnni") multiplies with; measured for `seconds`. */
double ceiling_measure(const char *kernel, double seconds);

#endif
