/* SPDX-License-Identifier: Apache-2.0 */
#include "ceiling.h"

#include <string.h>
#include <time.h>

#if defined(__x86_64__)

#    define SPIN(op, r, sums)                                                          \
        do {                                                                           \
            long n = 1000;                                                             \
            __asm__ volatile("vpxor %%xmm14, %%xmm14, %%xmm14\n"                       \
                             "vpxor %%xmm15, %%xmm15, %%xmm15\n"                       \
                             "1:\n.irp i, " sums "\n" op " %%" r "mm14, %%" r          \
                             "mm15, %%" r "mm\\i\n.endr\n"                             \
                             "dec %0\njnz 1b\nvzeroupper\n"                            \
                             : "+r"(n)                                                 \
                             :                                                         \
                             : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5",   \
                               "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",       \
                               "xmm12", "xmm13", "xmm14", "xmm15");                    \
        } while (0)
#    define SUMS_14 "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13"
#    define SUMS_30                                                                    \
        SUMS_14 ", 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31"
#    define SPUN_14 14000
#    define SPUN_30 30000

/* One round of the kernel's multiply instruction: operations done, 0 if not known. */
static double spin(const char *kernel)
{
    if (strncmp(kernel, "f32-avx512", 10) == 0) {
        SPIN("vfmadd231ps", "z", SUMS_30);
        return 32.0 * SPUN_30;
    }
    if (strncmp(kernel, "bf16-avx512", 11) == 0) {
        SPIN("vdpbf16ps", "z", SUMS_30);
        return 64.0 * SPUN_30;
    }
    if (strncmp(kernel, "int8-avx512", 11) == 0) {
        SPIN("vpdpbusd", "z", SUMS_30);
        return 128.0 * SPUN_30;
    }
    if (strncmp(kernel, "f32-avx2", 8) == 0) {
        SPIN("vfmadd231ps", "y", SUMS_14);
        return 16.0 * SPUN_14;
    }
    if (strncmp(kernel, "int8-avxvnni", 12) == 0) {
        SPIN("%{vex%} vpdpbusd", "y", SUMS_14);
        return 64.0 * SPUN_14;
    }
    return 0;
}

#else

static double spin(const char *kernel)
{
    (void)kernel;
    return 0;
}

#endif

static double thread_s(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

double ceiling_measure(const char *kernel, double seconds)
{
    double begin = thread_s();
    double done = 0;
    double took;

    do {
        double n = spin(kernel);

        if (n == 0) {
            return 0;
        }
        done += n;
        took = thread_s() - begin;
    } while (took < seconds);
    return done / took / 1e9;
}
