/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base: the words every file uses: attributes, thread roles, assertions.
 *
 * Owns:    nothing
 * Thread:  any
 * Limits:  none
 * Fails:   MF_ASSERT ends the process: it guards our own mistakes, never input
 */
#ifndef MF_BASE_H
#define MF_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The result says whether it worked; a caller that drops it does not compile. */
#define MF_MUST         __attribute__((warn_unused_result))
#define MF_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define MF_UNUSED       __attribute__((unused))
#define MF_NORETURN     __attribute__((noreturn))
#define mf_likely(x)    __builtin_expect(!!(x), 1)
#define mf_unlikely(x)  __builtin_expect(!!(x), 0)
#define mf_countof(a)   (sizeof(a) / sizeof((a)[0]))
#define mf_min(a, b)    ((a) < (b) ? (a) : (b))
#define mf_max(a, b)    ((a) > (b) ? (a) : (b))
/* Through an integer, so that a pointer to const may go in; the caller keeps const. */
#define mf_container_of(ptr, type, member)                                             \
    ((type *)((uintptr_t)(ptr)-offsetof(type, member)))

/*
 * Thread roles. MF_LOOP: only on the loop thread. MF_WORKER: only inside a job.
 * MF_ANY: pure or atomic, a promise to the reader. Under clang the first two are
 * checked by -Wthread-safety: a callback on the loop states its role with
 * mf_loop_assert() (loop/loop.h); a worker body cannot.
 */
#if defined(__clang__)
struct __attribute__((capability("role"))) mf_role {
    char unused;
};
extern struct mf_role mf_role_loop;
#    define MF_LOOP         __attribute__((requires_capability(mf_role_loop)))
#    define MF_WORKER       __attribute__((locks_excluded(mf_role_loop)))
#    define MF_ASSERTS_LOOP __attribute__((assert_capability(mf_role_loop)))
#else
#    define MF_LOOP
#    define MF_WORKER
#    define MF_ASSERTS_LOOP
#endif
#define MF_ANY

/* Stays in release builds: prints where and what, then aborts. */
#define MF_ASSERT(cond)                                                                \
    (mf_likely(cond) ? (void)0 : mf_assert_failed(#cond, __FILE__, __LINE__, __func__))

#ifdef NDEBUG
#    define MF_DEBUG_ASSERT(cond) ((void)0)
#else
#    define MF_DEBUG_ASSERT(cond) MF_ASSERT(cond)
#endif

MF_NORETURN void mf_assert_failed(const char *cond, const char *file, int line,
                                  const char *func);

#endif
