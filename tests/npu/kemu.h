/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kemu: an NPU below the kernel's interface: a preloaded library that answers ioctl and
 * mmap of /dev/accel/accel0 as the amdxdna driver would (drm/amdxdna_accel.h), so that
 * XRT and its plugin run as they are shipped. It computes the emulated instruction
 * files of npu/manifest.h.
 *
 * kemu.c: the two calls; kemu_faults.c; kemu_bo.c: buffers; kemu_cmd.c: contexts and
 * commands, which end on a thread of their context; kemu_gemm.c: the numbers.
 *
 * The device has its own copy of every buffer; only SYNC_BO carries bytes between the
 * two (XRT's setting Debug.force_driver_sync is made, or it would flush caches
 * instead). A copy that was never synced holds NaN, and so does the host's side of what
 * a command wrote.
 *
 * Faults are those of fake_xrt.cpp, in the same variable MF_FAKE_XRT, read when a
 * context is made: words with commas between, of the N-th command only with @N, of all
 * from that on with @N+:
 *   refuse-context  contexts are refused (EINVAL)
 *   no-memory       so are buffers, when there is a context
 *   refuse-start    EXEC_CMD fails
 *   stuck           EXEC_CMD does not return
 *   never           a command does not end
 *   error, abort    a command ends in that state; nothing is written
 *   wrong           one element of the result is wrong
 *   zeros           all of them are 0
 *   delay=MS        a command takes so much longer
 *   heap=BYTES      so much of the heap can be had
 *   eintr=N         every N-th wait is interrupted
 * KEMU_TRACE=1 tells each call on stderr.
 *
 * Owns:    all of it for the life of the process
 * Thread:  any; everything under one lock, but for the arithmetic
 * Limits:  KEMU_MAX_BOS buffers and KEMU_MAX_CONTEXTS contexts at once
 * Fails:   as the driver: -1 and errno
 */
#ifndef KEMU_H
#define KEMU_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEMU_MAX_BOS      4096U
#define KEMU_MAX_CONTEXTS 16U
#define KEMU_PUBLIC       __attribute__((visibility("default")))

struct kemu_faults {
    char words[256];
};

struct kemu_bo {
    bool is_used, is_closed; /* is_closed: the last command that uses it frees it */
    unsigned n_users;
    uint32_t handle, type;
    size_t size;
    int fd;                       /* what the process maps; -1: a piece of the heap */
    unsigned char *host, *device; /* the same bytes as seen by the two */
    uint64_t address;             /* by which commands know it; 0: not mapped yet */
};

/* ---- kemu.c ---- */

extern pthread_mutex_t kemu_lock;
void kemu_trace(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Returns -1 with errno set. */
int kemu_fail(int code);

/* ---- kemu_faults.c ---- */

void kemu_faults_read(struct kemu_faults *f);
/* Whether `word` is among them, for the command `nth`. */
bool kemu_faults_has(const struct kemu_faults *f, const char *word, uint64_t nth);
/* The number behind "word="; 0: it is not among them. */
uint64_t kemu_faults_number(const struct kemu_faults *f, const char *word);

/* ---- kemu_bo.c; with the lock ---- */

int kemu_bo_create(void *arg);
int kemu_bo_info(void *arg);
int kemu_bo_sync(void *arg);
int kemu_bo_close(void *arg);
struct kemu_bo *kemu_bo_get(uint64_t handle); /* NULL: no such */
/* The buffer that has all of these bytes; it has one user more. NULL: none has. */
struct kemu_bo *kemu_bo_hold(uint64_t address, uint64_t n);
void kemu_bo_release(struct kemu_bo *bo);
/* The buffer behind an offset that kemu_bo_info gave. */
struct kemu_bo *kemu_bo_at_offset(uint64_t offset);

/* ---- kemu_cmd.c; with the lock ---- */

int kemu_context_create(void *arg);
int kemu_context_config(void *arg);
int kemu_context_destroy(void *arg);
/* Of the context that was made last, while it is there. */
const struct kemu_faults *kemu_context_faults(void);
/* It is made and configured: what is asked for now is the program's, not XRT's. */
bool kemu_context_is_ready(void);
int kemu_cmd_exec(void *arg);
int kemu_cmd_wait_timeline(void *arg);
int kemu_cmd_wait(void *arg);

/* ---- kemu_gemm.c ---- */

struct kemu_gemm {
    uint32_t m, k, n, epilogue, layout;
    const uint16_t *a, *b;
    float *c;
};

/* C = A B; false: no memory. */
bool kemu_gemm(const struct kemu_gemm *g);

#endif
